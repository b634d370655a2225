//! Who ends together with a session.
//!
//! DISCONNECT SESSION ends the server process, and with it every session that the process serves. Through a shared server it ends
//! a virtual circuit instead, and a session that is detached from its process (SERVER is PSEUDO) has none to end (Oracle Database
//! SQL Language Reference, ALTER SYSTEM). The database is asked again right before the statement; the plan checks it here so
//! that it shows the result, and no warrant is given that would be refused at every poll.

use std::collections::HashMap;

use crate::decide::in_force::InForce;
use crate::decide::plan::{PlanEntry, Situation, held};
use crate::decide::reason::{Company, MOST_OTHERS, Standing, Stays};
use crate::decide::standing::{AskedSessions, Because, InTheWay};
use crate::policy::model::{Action, Policy};
use crate::session::column::Column;
use crate::session::snapshot::{Snapshot, SnapshotSource};

/// Whether the action ends the server process.
#[must_use]
pub(crate) fn ends_the_process(action: Action) -> bool {
    match action {
        Action::Disconnect { .. } => true,
        Action::Kill { .. } | Action::CancelSql | Action::Report => false,
    }
}

/// Whether a session with this SERVER has a server process that a DISCONNECT would end.
#[must_use]
pub(crate) fn has_a_process(server: Option<&str>) -> bool {
    !matches!(server, Some("SHARED" | "NONE" | "PSEUDO"))
}

/// The sessions of a snapshot by their server process, with what spares them.
pub(super) struct Processes<'a> {
    snapshot: &'a Snapshot,
    situation: &'a Situation<'a>,
    sessions: &'a AskedSessions<'a>,
    /// By INST_ID and PADDR; empty where no policy disconnects.
    served: HashMap<(u32, &'a str), Vec<usize>>,
}

impl<'a> Processes<'a> {
    pub(super) fn of(
        snapshot: &'a Snapshot,
        situation: &'a Situation<'a>,
        sessions: &'a AskedSessions<'a>,
    ) -> Processes<'a> {
        let mut served: HashMap<_, Vec<usize>> = HashMap::new();
        let mut policies = situation
            .here
            .running()
            .iter()
            .map(|in_force| &situation.set().policies[in_force.index()]);
        if policies.any(|policy| policy.actions().any(ends_the_process)) {
            for row in 0..snapshot.rows() {
                if let Some(address) = address(snapshot, row) {
                    served.entry(address).or_default().push(row);
                }
            }
        }
        Processes {
            snapshot,
            situation,
            sessions,
            served,
        }
    }

    /// Spares each session that a DISCONNECT would end together with one that must stay. `matched` are the rows that the condition holds
    /// for, in their order.
    pub(super) fn spare(&self, entries: &mut [PlanEntry], in_force: InForce, matched: &[usize]) {
        let policy = &self.situation.set().policies[in_force.index()];
        for entry in entries {
            let action = match entry.standing {
                Standing::Ready | Standing::Pending { .. } => policy.action,
                Standing::Escalating { next, .. } => next,
                Standing::Protected(_) | Standing::Accompanied(_) | Standing::Exempt(_) | Standing::Followed(_) => {
                    continue;
                }
            };
            if let Some(company) = self
                .company(entry.row, policy, matched)
                .filter(|_| ends_the_process(action))
            {
                entry.standing = Standing::Accompanied(company);
            }
        }
    }

    fn company(&self, row: usize, policy: &Policy, matched: &[usize]) -> Option<Company> {
        let snapshot = self.snapshot;
        if !has_a_process(snapshot.text(row, Column::Server)) {
            return None;
        }
        let Some(address) = address(snapshot, row) else {
            // A saved snapshot may lack PADDR; its report says what cannot be seen in it.
            let told = snapshot.has(Column::Paddr) || snapshot.source() == SnapshotSource::Live;
            return told.then_some(Company::Unknown);
        };
        let served = self.served.get(&address).map_or(&[][..], Vec::as_slice);
        let others = served.iter().copied().filter(|other| *other != row);
        match others.clone().count() {
            count if count > MOST_OTHERS => Some(Company::Many(count)),
            _ => others
                .filter_map(|other| Some(Company::Stays(other, self.stays(other, policy, matched)?)))
                .next(),
        }
    }

    /// Why another session must stay, if it must. One that is KILLED ends anyway, but its other protections hold.
    fn stays(&self, row: usize, policy: &Policy, matched: &[usize]) -> Option<Stays> {
        let (snapshot, situation) = (self.snapshot, self.situation);
        let matches = matched.binary_search(&row).is_ok();
        match self.sessions.in_the_way(policy, row, matches, Because::OwnAction) {
            Some(InTheWay::Protected(protection)) => return Some(Stays::Protected(protection)),
            Some(InTheWay::Exempt(_)) => return Some(Stays::Exempt),
            Some(InTheWay::NoMatch) => return Some(Stays::DoesNotMatch),
            None if !matches => return None,
            None => {}
        }
        let is_held = snapshot
            .key(row)
            .is_some_and(|key| held(policy, snapshot, situation, key) == Standing::Ready);
        Some(if is_held { Stays::Selected } else { Stays::NotHeld })
    }
}

fn address(snapshot: &Snapshot, row: usize) -> Option<(u32, &str)> {
    Some((snapshot.id(row, Column::InstId)?, snapshot.text(row, Column::Paddr)?))
}
