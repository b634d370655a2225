//! Spares each session that a DISCONNECT would end together with one that must stay ([`crate::decide::shared_process`]).

use std::collections::HashMap;

use crate::decide::eligibility::{Eligibility, Objection};
use crate::decide::in_force::InForce;
use crate::decide::plan::{PlanEntry, Situation, held};
use crate::decide::reason::Standing;
use crate::decide::shared_process::{
    NotChecked, ProcessSharer, SharedProcess, Stays, ends_the_process, has_a_process, means_for,
};
use crate::policy::model::Policy;
use crate::session::column::Column;
use crate::session::snapshot::{Snapshot, SnapshotSource};

/// The sessions of a snapshot by their server process, with what spares them.
pub(super) struct Processes<'a> {
    snapshot: &'a Snapshot,
    situation: &'a Situation<'a>,
    sessions: &'a Eligibility<'a>,
    /// By INST_ID and PADDR; empty where no policy disconnects.
    served: HashMap<(u32, &'a str), Vec<usize>>,
}

impl<'a> Processes<'a> {
    pub(super) fn of(
        snapshot: &'a Snapshot,
        situation: &'a Situation<'a>,
        sessions: &'a Eligibility<'a>,
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
                Standing::Protected(_) | Standing::SharedProcess(_) | Standing::Exempt(_) | Standing::Followed(_) => {
                    continue;
                }
            };
            if let Some(shared) = self
                .shared(entry.row, policy, matched)
                .filter(|_| ends_the_process(action))
            {
                entry.standing = Standing::SharedProcess(shared);
            }
        }
    }

    /// Why the session's server process may not end, if so.
    fn shared(&self, row: usize, policy: &Policy, matched: &[usize]) -> Option<SharedProcess> {
        let snapshot = self.snapshot;
        if !has_a_process(snapshot.text(row, Column::Server)) {
            return None;
        }
        let Some(address) = address(snapshot, row) else {
            // A saved snapshot may lack PADDR; its report says what cannot be seen in it.
            let says = snapshot.has(Column::Paddr) || snapshot.source() == SnapshotSource::Live;
            return says.then_some(SharedProcess::NotChecked(NotChecked::Unknown));
        };
        let served = self.served.get(&address).map_or(&[][..], Vec::as_slice);
        let mut others: Vec<usize> = served.iter().copied().filter(|other| *other != row).collect();
        if let Some(too_many) = NotChecked::if_too_many(others.len()) {
            return Some(SharedProcess::NotChecked(too_many));
        }
        // Rows come in any order, and the same session is to be named every time.
        others.sort_by_key(|other| snapshot.key(*other));
        let mut others = others.into_iter();
        others.find_map(|other| Some(SharedProcess::Stays(other, self.stays(other, policy, matched)?)))
    }

    /// Why another session must stay, if it must.
    fn stays(&self, row: usize, policy: &Policy, matched: &[usize]) -> Option<Stays> {
        let (snapshot, situation) = (self.snapshot, self.situation);
        let matches = matched.binary_search(&row).is_ok();
        match means_for(self.sessions, row, policy, matches) {
            ProcessSharer::MustStay(Objection::Protected(protection)) => Some(Stays::Protected(protection)),
            ProcessSharer::MustStay(Objection::Exempt(_)) => Some(Stays::Exempt),
            ProcessSharer::MustStay(Objection::NoMatch) => Some(Stays::DoesNotMatch),
            ProcessSharer::EndsAnyway => None,
            ProcessSharer::EndsUnrecorded => {
                let is_held = snapshot
                    .key(row)
                    .is_some_and(|key| held(policy, snapshot, situation, key) == Standing::Ready);
                Some(if is_held { Stays::Selected } else { Stays::NotHeld })
            }
        }
    }
}

fn address(snapshot: &Snapshot, row: usize) -> Option<(u32, &str)> {
    Some((snapshot.id(row, Column::InstId)?, snapshot.text(row, Column::Paddr)?))
}
