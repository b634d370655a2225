//! Whether this daemon leads, and what its loop does about it.
//!
//! A new term begins as a start does: nothing that was permitted before is valid, holds and gates begin anew, and the first snapshot that
//! is acted on was begun after the lock was there. What was done, who is followed and which groups refill stays. While it stands by, the
//! daemon counts what it sees the other one do: a session that it would have acted on and that is gone or KILLED at the next snapshot
//! takes the budget of its policy, as if this daemon had done it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Monotonic;
use crate::daemon::messages::Polled;
use crate::daemon::ranks::Leader;
use crate::decide::cycle::Cycle;
use crate::decide::in_force::RunMode;
use crate::decide::leadership::{Rank, WhyNot};
use crate::decide::ledger::{Ledger, LedgerEntry};
use crate::decide::reason::{Obstacle, Why};
use crate::decide::standstill::Standstill;
use crate::policy::model::Policy;
use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;

/// Why warrants are dropped when a term begins or ends.
pub(super) const CHANGED: &str = "which daemon leads here has changed";

/// Whether this daemon leads.
#[derive(Debug, Default)]
pub(super) struct Lead {
    term: Option<u64>,
    /// No snapshot of this term was read yet.
    begins: bool,
    /// Whom it would have acted on at the last snapshot, had it led, and by which policy.
    would: Vec<(SessionKey, Arc<str>)>,
}

impl Lead {
    /// The term in which it leads, if it does.
    pub(super) const fn term(&self) -> Option<u64> {
        self.term
    }

    /// Looks who leads; whether that has changed for this daemon.
    pub(super) fn look(&mut self, leader: Option<&Leader>) -> bool {
        let term = match leader.map(Leader::rank) {
            Some(Rank::Leads { term, .. }) => Some(term),
            Some(Rank::StandsBy(_)) | None => None,
        };
        let has_changed = std::mem::replace(&mut self.term, term) != term;
        if has_changed {
            self.begins = term.is_some();
        }
        has_changed
    }

    /// Whether a snapshot is the first of this term: its reading began after the lock was there. Conditions have held for no longer.
    pub(super) fn begins_with(&mut self, leader: Option<&Leader>, began: Monotonic) -> bool {
        let is_first = self.begins && leader.is_some_and(|leader| is_of_term(&leader.rank(), began));
        self.begins &= !is_first;
        is_first
    }

    /// The sessions that the next snapshot has to show, if they are there.
    pub(super) fn watched(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.would.iter().map(|(key, _)| *key)
    }

    /// Enters what this snapshot shows the other daemon to have done, before anything is decided on it: it may be the first on which this
    /// daemon acts.
    pub(super) fn watch_the_other(&mut self, snapshot: &Snapshot, now: DateTime<Utc>, ledger: &mut Ledger) {
        for (key, policy) in std::mem::take(&mut self.would) {
            let row = snapshot.find(key);
            let is_killed = row.is_some_and(|row| snapshot.is_killed(row));
            if is_killed || row.is_none() && snapshot.shows(key) {
                let mode = RunMode::Enforce;
                ledger.enter(LedgerEntry {
                    at: now,
                    policy,
                    mode,
                    action_id: None,
                });
            }
        }
    }

    /// Takes note of whom this daemon would act on.
    pub(super) fn note_whom(&mut self, cycle: &Cycle, snapshot: &Snapshot, policies: &[Policy]) {
        let stands_by = |why: &Why| matches!(why, Why::Deferred(Obstacle::Standstill(Standstill::StandsBy(_))));
        let would = cycle.ruling.decisions.iter().filter(|decision| {
            let ends = decision.action.ends_session() && decision.mode == RunMode::Enforce;
            ends && stands_by(&decision.why)
        });
        self.would = would
            .filter_map(|decision| Some((snapshot.key(decision.row)?, Arc::clone(&policies[decision.policy].name))))
            .collect();
    }
}

/// Whether the lock was there when this reading began.
fn is_of_term(rank: &Rank, began: Monotonic) -> bool {
    matches!(rank, Rank::Leads { since, .. } if began.since(Monotonic::default()) > *since)
}

/// Why this daemon may not act on a snapshot, if so: the lock was not there yet when its reading began.
pub(super) fn not_leading(leader: &Leader, polled: &Polled) -> Option<Standstill> {
    let rank = leader.rank();
    if is_of_term(&rank, polled.began) {
        return None;
    }
    match rank {
        Rank::Leads { .. } | Rank::StandsBy(WhyNot::Unasked) => Some(Standstill::TakesOver),
        Rank::StandsBy(WhyNot::Refused(why)) => Some(Standstill::CannotLead(why)),
        Rank::StandsBy(WhyNot::Another) => {
            let others = polled.other_daemons();
            let who = match others.first() {
                Some(other) => format!("another session holds lock {}; {other} is connected", leader.lock),
                None => format!("another session holds lock {}", leader.lock),
            };
            Some(Standstill::StandsBy(who))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::oracle::LeaderLock;
    use crate::session::time::DbTime;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::at(Duration::from_secs(seconds))
    }

    /// A reading that was under way while the lock was taken may show what the former leader had not ended yet.
    #[test]
    fn a_term_begins_with_the_first_snapshot_whose_reading_began_after_the_lock_was_there() {
        let leader = Leader::new(LeaderLock(7));
        let session = SessionKey {
            inst_id: 1,
            sid: 1,
            serial: 1,
            logon_time: DbTime(0),
        };
        let mut lead = Lead::default();
        assert!(!lead.look(Some(&leader)) && !lead.begins_with(Some(&leader), at(5)));
        for (since, term) in [(10, 1), (70, 2)] {
            leader.has_got(session, Duration::from_secs(since));
            assert!(lead.look(Some(&leader)), "term {term}");
            for before in [since - 1, since] {
                assert!(!lead.begins_with(Some(&leader), at(before)), "{before}");
            }
            assert!(lead.begins_with(Some(&leader), at(since + 1)), "term {term}");
            assert!(!lead.begins_with(Some(&leader), at(since + 16)), "once");
        }
        assert!(lead.look(None) && !lead.begins_with(None, at(200)));
    }
}
