//! Whether this daemon leads, as its loop follows it, and what that changes.
//!
//! A new term begins as a start does: nothing that was permitted before is valid, holds and gates begin anew, and the first snapshot that
//! is acted on was begun after the lock was there. What was done, who is followed and which groups refill stays. While it stands by, the
//! daemon counts what it sees the other one do: a session that it would have acted on and that is gone or KILLED at the next snapshot
//! takes the budget of its policy, as if this daemon had done it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Monotonic;
use crate::daemon::database::DatabaseLoop;
use crate::daemon::messages::Polled;
use crate::decide::cycle::Cycle;
use crate::decide::in_force::RunMode;
use crate::decide::leadership::{Rank, WhyNot};
use crate::decide::ledger::LedgerEntry;
use crate::decide::reason::{Obstacle, Why};
use crate::decide::standstill::Standstill;
use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;

/// Why warrants are dropped when a term begins or ends.
const CHANGED: &str = "which daemon leads here has changed";

/// Where this daemon stands.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// The term in which it leads, if it does.
    pub(super) term: Option<u64>,
    /// Whom it would have acted on at the last snapshot, had it led, and by which policy.
    would: Vec<(SessionKey, Arc<str>)>,
}

impl DatabaseLoop {
    /// Looks whether this daemon leads, and begins anew where that has changed.
    pub(super) fn look_who_leads(&mut self) {
        let rank = self.settings.leader.as_ref().map(crate::daemon::ranks::Leader::rank);
        let term = match rank {
            Some(Rank::Leads { term, .. }) => Some(term),
            Some(Rank::StandsBy(_)) | None => None,
        };
        if term == self.lead.term {
            return;
        }
        self.lead.term = term;
        self.revoke(CHANGED);
        if term.is_some() {
            self.memory.begin_anew();
            self.last_began = None;
            self.anew = true;
        }
    }

    /// Whether connections to act on are needed although no policy acts: the lock is held by one of them.
    pub(super) fn may_lead(&self) -> bool {
        self.settings.leader.is_some() && self.rules.is_armed()
    }

    /// Whether this daemon leads, where one of several is to and this database is armed.
    pub(super) fn leads(&self) -> Option<bool> {
        self.may_lead().then_some(self.lead.term.is_some())
    }

    /// Why this daemon may not act on a snapshot that was begun then.
    pub(super) fn not_leading(&self, polled: &Polled) -> Option<Standstill> {
        let leader = self.settings.leader.as_ref().filter(|_| self.rules.is_armed())?;
        match leader.rank() {
            Rank::Leads { since, .. } if polled.began.since(Monotonic::default()) > since => None,
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

    /// Takes note of what this snapshot shows the other daemon to have done, and of whom this daemon would act on.
    pub(super) fn watch_the_other(&mut self, cycle: &Cycle, snapshot: &Snapshot, now: DateTime<Utc>) {
        for (key, policy) in std::mem::take(&mut self.lead.would) {
            let row = snapshot.find(key);
            let is_killed = row.is_some_and(|row| snapshot.is_killed(row));
            if is_killed || row.is_none() && snapshot.is_complete(key.inst_id) {
                let mode = RunMode::Enforce;
                self.memory.ledger.enter(LedgerEntry {
                    at: now,
                    policy,
                    mode,
                    action_id: None,
                });
            }
        }
        let policies = &self.rules.set().policies;
        let stands_by = |why: &Why| matches!(why, Why::Deferred(Obstacle::Standstill(Standstill::StandsBy(_))));
        let would = cycle.ruling.decisions.iter().filter(|decision| {
            let ends = decision.action.ends_session() && decision.mode == RunMode::Enforce;
            ends && stands_by(&decision.why)
        });
        self.lead.would = would
            .filter_map(|decision| Some((snapshot.key(decision.row)?, Arc::clone(&policies[decision.policy].name))))
            .collect();
    }
}
