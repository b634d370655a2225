//! What was done lately: the memory behind the budgets, rebuilt from the journal after a restart.
//!
//! A dry run's actions are entered too, marked as such. An enforcing policy sees only real ones, so that a dry run beside it
//! never takes its budget away; a dry run sees both, because that is what it would meet if it were enforced.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::guard::RunMode;

/// The longest period a budget counts over.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// One action that was permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, by the database's clock in UTC.
    pub at: DateTime<Utc>,
    /// By which policy.
    pub policy: Arc<str>,
    /// Whether it was real.
    pub mode: RunMode,
}

/// Actions of the last 24 hours, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: VecDeque<Entry>,
}

impl Ledger {
    /// Enters an action and forgets what is too old to matter.
    pub fn enter(&mut self, entry: Entry) {
        let now = entry.at;
        self.entries.push_back(entry);
        while self.entries.front().is_some_and(|first| now - first.at > REMEMBERED) {
            self.entries.pop_front();
        }
    }

    /// Actions within `period` before `now` that count for a policy of this mode: all policies', or one's.
    #[must_use]
    pub fn count(&self, now: DateTime<Utc>, period: TimeDelta, mode: RunMode, policy: Option<&str>) -> u32 {
        let counted = self.entries.iter().filter(|entry| {
            // An entry from the future is a clock that was set back: it counts, for it was an action.
            now - entry.at < period
                && (mode == RunMode::DryRun || entry.mode == RunMode::Enforce)
                && policy.is_none_or(|name| &*entry.policy == name)
        });
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).expect("in range")
    }

    #[test]
    fn a_dry_run_takes_nothing_from_a_real_budget_but_sees_what_it_would_meet() {
        let mut ledger = Ledger::default();
        ledger.enter(Entry {
            at: at(0),
            policy: "a".into(),
            mode: RunMode::DryRun,
        });
        ledger.enter(Entry {
            at: at(1),
            policy: "b".into(),
            mode: RunMode::Enforce,
        });
        let hour = TimeDelta::hours(1);
        assert_eq!(ledger.count(at(2), hour, RunMode::Enforce, None), 1);
        assert_eq!(ledger.count(at(2), hour, RunMode::DryRun, None), 2);
        assert_eq!(ledger.count(at(2), hour, RunMode::DryRun, Some("a")), 1);
    }

    #[test]
    fn an_action_counts_for_just_under_the_period() {
        let mut ledger = Ledger::default();
        ledger.enter(Entry {
            at: at(0),
            policy: "a".into(),
            mode: RunMode::Enforce,
        });
        let hour = TimeDelta::hours(1);
        assert_eq!(ledger.count(at(59), hour, RunMode::Enforce, None), 1);
        assert_eq!(ledger.count(at(60), hour, RunMode::Enforce, None), 0);
    }
}
