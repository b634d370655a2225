//! Which sessions have to be read for the loaded policies, so that nothing is decided otherwise than with all of them.
//!
//! Most policies are about few sessions: those that are idle for hours, that hold a transaction, that block others. Their conditions
//! imply something about GV$SESSION alone ([`crate::policy::implied`]), which the database can check; the others are only counted
//! there. A policy for which this cannot be done makes its database read all sessions, as it does where there are few.
//!
//! Besides those that a condition may hold for, these are read: whom memory has to look at again, by INST_ID and SID; who logged in
//! since a session was ended; who waits, and for whom, if a condition asks who blocks others; who shares a server process with one
//! of them, if an action ends server processes; other daemons; and whoever has no complete identity.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::columns_needed::{self, of_policy, resources_of};
use crate::decide::cycle::Memory;
use crate::decide::in_force::{DatabaseRules, Due};
use crate::decide::shared_process::ends_the_process;
use crate::policy::implied::{RowClause, implied};
use crate::policy::model::{KeepOf, Policy, PolicySet};
use crate::policy::pressure::Resource;
use crate::session::column::{Column, Columns, Source};

/// A longer clause is not sent: the database would parse more than it saves.
const LONGEST_CLAUSE: usize = 16 * 1024;

/// Why all sessions are read for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhyAll {
    /// Its condition may hold for sessions that nothing in GV$SESSION tells from the others.
    Condition,
    /// Its floor counts all sessions of groups that GV$SESSION does not show.
    Keep(Column),
    /// It compares with the snapshot before.
    Rate(Column),
    /// In a PDB, the PGA is added up over all sessions.
    Pga,
    /// Its clause would be too long.
    TooLong,
}

impl fmt::Display for WhyAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyAll::Condition => {
                f.write_str("its condition says nothing of GV$SESSION that a WHERE clause could select by")
            }
            WhyAll::Keep(column) => write!(
                f,
                "`keep` groups sessions by {}, which is not in GV$SESSION",
                column.name()
            ),
            WhyAll::Rate(column) => write!(f, "{} compares each session with the snapshot before", column.name()),
            WhyAll::Pga => f.write_str("in a PDB, `pga` is added up over all sessions"),
            WhyAll::TooLong => write!(f, "its WHERE clause would be longer than {} KiB", LONGEST_CLAUSE / 1024),
        }
    }
}

/// The sessions that policies want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedRows {
    /// A condition over `gv$session s`.
    pub(crate) clause: RowClause,
    /// Who waits, and for whom, is wanted besides.
    pub(crate) blockers: bool,
    /// Who shares a server process with one of them is wanted besides.
    pub(crate) processes: bool,
    /// The columns of each floor, by whose values the database has to count sessions.
    pub(crate) groups: BTreeSet<Vec<Column>>,
}

impl fmt::Display for WantedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.clause {
            RowClause::Everybody => f.write_str("all")?,
            RowClause::Nobody => f.write_str("those that others wait for, and those who wait")?,
            RowClause::Those(clause) => write!(f, "those with {clause}")?,
        }
        match (&self.clause, self.blockers) {
            (RowClause::Those(_), true) => f.write_str(", those that others wait for, and those who wait"),
            (RowClause::Those(_) | RowClause::Nobody | RowClause::Everybody, _) => Ok(()),
        }
    }
}

/// What one policy wants of a release that has these columns.
///
/// # Errors
/// Why all sessions are read for it.
pub(crate) fn of(policy: &Policy, available: Columns, in_pdb: bool) -> Result<WantedRows, WhyAll> {
    let floor = policy.keep.as_ref().filter(|keep| keep.of == KeepOf::All);
    let per = floor.map(|keep| keep.per.as_slice());
    let is_own = |column: &Column| column.source() == Source::Session && available.contains(*column);
    if let Some(other) = per.unwrap_or_default().iter().find(|column| !is_own(column)) {
        return Err(WhyAll::Keep(*other));
    }
    let columns = of_policy(policy);
    if let Some(rate) = columns.iter().find(|column| column.source() == Source::Rate) {
        return Err(WhyAll::Rate(rate));
    }
    if in_pdb && resources_of(policy).contains(&Resource::Pga) {
        return Err(WhyAll::Pga);
    }
    let implied = implied(&policy.when, policy.unless.as_ref(), available);
    match implied.clause {
        RowClause::Everybody => Err(WhyAll::Condition),
        RowClause::Those(clause) if clause.len() > LONGEST_CLAUSE => Err(WhyAll::TooLong),
        clause @ (RowClause::Nobody | RowClause::Those(_)) => Ok(WantedRows {
            clause,
            blockers: implied.blockers || columns.needs(Source::Waiters),
            processes: policy.actions().any(ends_the_process),
            groups: per.map(<[Column]>::to_vec).into_iter().collect(),
        }),
    }
}

/// The policies that may run on a database.
#[derive(Debug)]
pub(crate) struct Selection {
    set: Arc<PolicySet>,
    policies: Vec<usize>,
}

impl Selection {
    /// Under its rules, on any day.
    #[must_use]
    pub(crate) fn of(rules: &DatabaseRules) -> Selection {
        let configured = rules.configured(Due::Always);
        Selection {
            set: Arc::clone(rules.set()),
            policies: configured.running().iter().map(|in_force| in_force.index()).collect(),
        }
    }

    /// The sessions that all of them together want; `None` if that is all sessions.
    ///
    /// Exemptions, readings and the journal also go by columns and resources that none of these policies names: a number of waiters, a
    /// rate and a sum are as wrong there.
    #[must_use]
    pub(crate) fn wanted(&self, available: Columns, in_pdb: bool) -> Option<WantedRows> {
        let columns = columns_needed::columns(&self.set);
        let sums = in_pdb && columns_needed::resources(&self.set).contains(&Resource::Pga);
        if sums || columns.needs(Source::Rate) {
            return None;
        }
        let none = WantedRows {
            clause: RowClause::Nobody,
            blockers: columns.needs(Source::Waiters),
            processes: false,
            groups: BTreeSet::new(),
        };
        let policies = self.policies.iter().map(|index| &self.set.policies[*index]);
        let all = policies
            .map(|policy| of(policy, available, in_pdb))
            .try_fold(none, |all, one| {
                let one = one.ok()?;
                Some(WantedRows {
                    clause: all.clause.or(one.clause),
                    blockers: all.blockers || one.blockers,
                    processes: all.processes || one.processes,
                    groups: all.groups.into_iter().chain(one.groups).collect(),
                })
            })?;
        match &all.clause {
            RowClause::Everybody => None,
            RowClause::Those(clause) if clause.len() > LONGEST_CLAUSE => None,
            RowClause::Nobody | RowClause::Those(_) => Some(all),
        }
    }
}

/// The sessions that a snapshot has to have.
#[derive(Clone, Debug)]
pub(crate) struct RowsNeeded {
    /// Those that the policies want.
    pub(crate) selection: Arc<Selection>,
    /// INST_ID and SID of those that memory has to look at again.
    pub(crate) seats: Vec<(u32, u32)>,
    /// Whoever logged in since then.
    pub(crate) logins_since: Option<DateTime<Utc>>,
    /// The time of the last snapshot. If the database's clock shows less, it was set back, and these are not who is needed.
    pub(crate) after: Option<DateTime<Utc>>,
}

impl RowsNeeded {
    /// Those that the policies want, and those that memory has to look at again.
    #[must_use]
    pub(crate) fn of(selection: &Arc<Selection>, memory: &Memory) -> RowsNeeded {
        RowsNeeded {
            selection: Arc::clone(selection),
            seats: memory.watched_seats().into_iter().collect(),
            logins_since: memory.refills.logins_since(),
            after: memory.refills.last_snapshot(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::in_force::{Arming, EffectiveLimits};
    use crate::policy::check_files;
    use crate::policy::model::Limits;

    /// What the policies want in all, in a PDB or not; `None` is all sessions.
    fn wanted(text: &str, in_pdb: bool) -> Option<WantedRows> {
        let today = chrono::DateTime::UNIX_EPOCH.date_naive();
        let loaded = check_files(&[("test.yaml".into(), text.as_bytes().to_vec())], today, chrono_tz::UTC);
        let limits = EffectiveLimits::of(&Limits::default());
        let set = loaded.set.expect(text).into();
        let rules = DatabaseRules::of_policy_test("prod", Arming::Armed, limits, chrono_tz::UTC, set);
        Selection::of(&rules).wanted(Column::ALL.iter().copied().collect(), in_pdb)
    }

    const IDLE: &str = "policies:\n  - {name: idle, when: idle > 4h, action: kill}\n";
    const ELSEWHERE: &str = "  - {name: elsewhere, mode: \"off\", when: INACTIVE";

    #[test]
    fn what_exemptions_and_other_policies_use_is_read_too() {
        let exempt = |when: &str| format!("exemptions: [{{when: {when}, reason: month end, owner: dwh}}]\n{IDLE}");
        let elsewhere = |rest: &str| format!("{IDLE}{ELSEWHERE}{rest}, action: kill}}\n");
        let waiters = |text: &str| wanted(text, false).expect("a part").blockers;
        assert!(!waiters(IDLE) && !waiters(&exempt("username = APP")));
        assert!(waiters(&exempt("blocking > 0")));
        assert!(waiters(&elsewhere(", unless: blocking > 0")));
        assert!(wanted(&exempt("cpu_rate > 50"), false).is_none());
        assert!(wanted(&elsewhere(" and cpu_rate > 50"), false).is_none());
        let pga = elsewhere(", while: pga above 1GB");
        assert!(wanted(&pga, false).is_some() && wanted(&pga, true).is_none());
    }

    #[test]
    fn who_is_blocked_is_read_wherever_a_policy_asks_who_blocks() {
        for policy in [
            "when: INACTIVE, unless: blocking > 0",
            "when: INACTIVE and blocking = 0",
            "when: INACTIVE and blocking is null",
            "when: INACTIVE, order: blocking desc",
            "when: BLOCKING",
        ] {
            let text = format!("policies:\n  - {{name: idle, {policy}, action: kill}}\n");
            let wanted = wanted(&text, false).expect("a part");
            assert!(wanted.blockers, "{policy}: {wanted}");
        }
    }
}
