//! What was done lately: the memory behind the budgets, rebuilt from the journal after a restart.
//!
//! A dry run's actions are entered too, marked as such. Who asks says which of them count: an enforcing policy sees only real
//! ones, so that a dry run beside it never takes its budget away; see [`crate::decide::in_force::InForce::reckons_with`].

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::RunMode;
use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;

/// The longest period of a budget.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// One action that was permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The time by the database's clock, in UTC.
    pub(crate) at: DateTime<Utc>,
    /// The policy.
    pub policy: Arc<str>,
    /// The mode in which the policy ran.
    pub mode: RunMode,
    /// The number of the action in the journal; `None` for what another daemon was seen to do.
    pub action_id: Option<u64>,
}

/// Actions of the last 24 hours, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: VecDeque<LedgerEntry>,
    /// Actions through other entries of the configuration that stand for the same database; they count, too.
    others: Vec<LedgerEntry>,
    /// Actions that were taken over, and when. One of them may be under way here: its outcome counts in its place.
    taken_over: BTreeMap<u64, DateTime<Utc>>,
    unknown: Option<UnknownActions>,
}

/// Actions that may have been taken, and of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownActions {
    /// Why they are not known.
    pub(crate) why: Arc<str>,
    /// The latest time of the last one by the database's clock, or how long before the first snapshot it was at least.
    last: Result<DateTime<Utc>, TimeDelta>,
}

/// Why a budget counts as used up although it may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownUse {
    /// The place in the journal, and what is wrong there.
    pub(crate) why: Arc<str>,
    /// When it no longer does, by the database's clock.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl UnknownActions {
    /// The latest time of the last one, by the database's clock. Before the first snapshot it is not known.
    #[must_use]
    pub(crate) fn last(&self) -> Option<DateTime<Utc>> {
        self.last.ok()
    }
}

impl Ledger {
    /// The actions through this entry of the configuration.
    #[must_use]
    pub fn own(&self) -> Vec<LedgerEntry> {
        self.entries.iter().cloned().collect()
    }

    /// Sets the actions through other entries, replacing those of the previous cycle. One that is here as well counts once, by the
    /// later date: the other may be from before a step of the clock.
    pub(crate) fn reckon_with(&mut self, others: Vec<LedgerEntry>) {
        let mut latest: BTreeMap<u64, LedgerEntry> = BTreeMap::new();
        let mut unnumbered = Vec::new();
        for entry in others {
            match entry.action_id {
                None => unnumbered.push(entry),
                Some(id) if latest.get(&id).is_some_and(|known| known.at >= entry.at) => {}
                Some(id) => drop(latest.insert(id, entry)),
            }
        }
        for entry in &mut self.entries {
            if let Some(elsewhere) = entry.action_id.and_then(|id| latest.remove(&id)) {
                entry.at = entry.at.max(elsewhere.at);
            }
        }
        self.others = unnumbered;
        self.others.extend(latest.into_values());
    }

    /// Enters actions through entries that are there no longer. A reload reads them from the journal, which has the intents of actions
    /// that are under way here as well.
    pub(crate) fn take_over(&mut self, left: Vec<LedgerEntry>) {
        let known = left.iter().filter_map(|entry| Some((entry.action_id?, entry.at)));
        self.taken_over.extend(known);
        self.entries.extend(left);
    }

    /// Enters an action.
    pub(crate) fn enter(&mut self, entry: LedgerEntry) {
        if let Some(id) = entry.action_id {
            self.withdraw(id);
        }
        self.entries.push_back(entry);
    }

    /// An action has an outcome that does not count, although it was taken over while nobody knew.
    pub(crate) fn withdraw(&mut self, action_id: u64) {
        if self.taken_over.remove(&action_id).is_some() {
            self.entries.retain(|entry| entry.action_id != Some(action_id));
        }
    }

    /// Forgets entries that are too old. An entry from the future was dated by a clock that ran ahead; it is dated now instead, so
    /// that it counts as long as any other.
    pub(crate) fn settle(&mut self, now: DateTime<Utc>) {
        for entry in &mut self.entries {
            entry.at = entry.at.min(now);
        }
        self.entries.retain(|entry| now - entry.at <= REMEMBERED);
        self.taken_over.retain(|_, at| now - *at <= REMEMBERED);
        if let Some(unknown) = &mut self.unknown {
            let last = unknown.last.unwrap_or_else(|ago| later(now, -ago)).min(now);
            unknown.last = Ok(last);
            self.unknown.take_if(|_| now - last > REMEMBERED);
        }
    }

    /// Dates all entries anew after a step of the database's clock. Actions through other entries are dated by those entries.
    pub fn shift(&mut self, step: TimeDelta) {
        for entry in &mut self.entries {
            entry.at = later(entry.at, step);
        }
        if let Some(UnknownActions { last: Ok(last), .. }) = &mut self.unknown {
            *last = later(*last, step);
        }
    }

    /// Counts every budget as used up until its period has passed since the last action that may be unknown, which was this long ago.
    pub(crate) fn distrust(&mut self, why: Arc<str>, ago: TimeDelta) {
        self.unknown = Some(UnknownActions { why, last: Err(ago) });
    }

    /// Actions that may have been taken, and of which nothing is known.
    #[must_use]
    pub(crate) fn unknown(&self) -> Option<&UnknownActions> {
        self.unknown.as_ref()
    }

    /// Why a budget of this period counts as used up whatever is known of it, if so, and until when. Before the first snapshot the
    /// end is not known.
    #[must_use]
    pub(crate) fn unknown_within(&self, now: DateTime<Utc>, period: TimeDelta) -> Option<UnknownUse> {
        let unknown = self.unknown.as_ref()?;
        let until = unknown.last().map(|last| later(last, period));
        let why = Arc::clone(&unknown.why);
        until
            .is_none_or(|until| now < until)
            .then_some(UnknownUse { why, until })
    }

    /// How much of a budget is used: all of it where there may be unknown actions.
    #[must_use]
    pub(crate) fn used(
        &self,
        now: DateTime<Utc>,
        (period, limit): (TimeDelta, u32),
        counts: impl Fn(&LedgerEntry) -> bool,
    ) -> u32 {
        let known = self.count(now, period, counts);
        if self.unknown_within(now, period).is_some() {
            known.max(limit)
        } else {
            known
        }
    }

    /// The number of actions within `period` before `now` for which `counts` returns true.
    #[must_use]
    pub fn count(&self, now: DateTime<Utc>, period: TimeDelta, counts: impl Fn(&LedgerEntry) -> bool) -> u32 {
        // An entry from the future counts: it was an action.
        let counted = self
            .entries
            .iter()
            .chain(&self.others)
            .filter(|entry| now - entry.at < period && counts(entry));
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    }
}

/// The moment that is this much later, or earlier if it is negative.
pub(crate) fn later(at: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(step).unwrap_or(at)
}

/// Sessions that a policy with the action `report` has reported; it reports each once.
#[derive(Clone, Debug, Default)]
pub struct Reported(HashMap<Arc<str>, HashSet<SessionKey>>);

impl Reported {
    /// Whether this policy has reported this session.
    #[must_use]
    pub(crate) fn contains(&self, policy: &str, key: SessionKey) -> bool {
        self.0.get(policy).is_some_and(|keys| keys.contains(&key))
    }

    /// Notes that the policy has reported this session.
    pub(crate) fn insert(&mut self, policy: &Arc<str>, key: SessionKey) {
        self.0.entry(Arc::clone(policy)).or_default().insert(key);
    }

    /// The sessions that the next snapshot has to show, if they are there.
    pub(crate) fn watched(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.0.values().flatten().copied()
    }

    /// Forgets sessions that are gone.
    pub(crate) fn keep_only(&mut self, snapshot: &Snapshot) {
        for keys in self.0.values_mut() {
            keys.retain(|key| snapshot.find(*key).is_some() || !snapshot.shows(*key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).expect("in range")
    }

    #[test]
    fn what_counts_is_what_the_asker_says() {
        let mut ledger = Ledger::default();
        for (minutes, policy, mode) in [(0, "a", RunMode::DryRun), (1, "b", RunMode::Enforce)] {
            let (at, policy) = (at(minutes), policy.into());
            ledger.enter(LedgerEntry {
                at,
                policy,
                mode,
                action_id: None,
            });
        }
        let hour = TimeDelta::hours(1);
        let real = |entry: &LedgerEntry| entry.mode == RunMode::Enforce;
        assert_eq!(ledger.count(at(2), hour, real), 1);
        assert_eq!(ledger.count(at(2), hour, |_| true), 2);
        assert_eq!(ledger.count(at(2), hour, |entry| &*entry.policy == "a"), 1);
    }

    #[test]
    fn an_action_that_another_entry_dates_later_counts_once_by_the_later_date() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let entry = |id, seconds| LedgerEntry {
            at: at(seconds),
            policy: "a".into(),
            mode: RunMode::Enforce,
            action_id: Some(id),
        };
        let mut ledger = Ledger::default();
        ledger.enter(entry(1, 0));
        ledger.enter(entry(2, 4_000));
        let count = |ledger: &Ledger| ledger.count(at(5_000), TimeDelta::hours(1), |_| true);
        assert_eq!(count(&ledger), 1, "the first is more than an hour old");
        // A step of the clock by 4,000 s, of which only the other entry knows; and one that it dates earlier.
        ledger.reckon_with(vec![
            entry(1, 3_900),
            entry(1, 4_000),
            entry(2, 0),
            entry(3, 4_500),
            entry(3, 0),
        ]);
        assert_eq!(count(&ledger), 3);
    }

    #[test]
    fn what_is_under_way_while_a_reload_reads_the_journal_counts_once_or_not_at_all() {
        let entry = |id| LedgerEntry {
            at: at(0),
            policy: "a".into(),
            mode: RunMode::Enforce,
            action_id: Some(id),
        };
        let mut ledger = Ledger::default();
        let count = |ledger: &Ledger| ledger.count(at(1), TimeDelta::hours(1), |_| true);
        ledger.enter(entry(1));
        ledger.take_over(vec![entry(2), entry(3), entry(4)]);
        ledger.settle(at(1));
        assert_eq!(count(&ledger), 4);
        ledger.enter(entry(2));
        ledger.withdraw(3);
        ledger.withdraw(1);
        assert_eq!(count(&ledger), 3, "2 once, 3 came to nothing, 1 was never taken over");
    }

    #[test]
    fn a_clock_that_ran_ahead_neither_forgets_nor_counts_for_ever() {
        let mut ledger = Ledger::default();
        let mode = RunMode::Enforce;
        let year = 365 * 24 * 60;
        for minutes in [0, year] {
            let (at, policy) = (at(minutes), "a".into());
            ledger.enter(LedgerEntry {
                at,
                policy,
                mode,
                action_id: None,
            });
        }
        ledger.settle(at(10));
        let hour = TimeDelta::hours(1);
        assert_eq!(ledger.count(at(10), hour, |_| true), 2, "the real one is not forgotten");
        assert_eq!(
            ledger.count(at(65), hour, |_| true),
            1,
            "the other counts from when it was met"
        );
        ledger.settle(at(70));
        assert_eq!(ledger.count(at(70), hour, |_| true), 0);
    }

    #[test]
    fn unknown_actions_use_up_each_budget_for_its_period() {
        let mut ledger = Ledger::default();
        let (hour, day) = (TimeDelta::hours(1), TimeDelta::hours(24));
        let used = |ledger: &Ledger, minute, period| ledger.used(at(minute), (period, 7), |_| true);
        assert_eq!(used(&ledger, 0, hour), 0);
        ledger.distrust("line 3".into(), TimeDelta::minutes(20));
        assert_eq!(used(&ledger, 5000, hour), 7, "before a snapshot nothing is known");
        ledger.settle(at(100));
        assert_eq!((used(&ledger, 139, hour), used(&ledger, 140, hour)), (7, 0));
        assert_eq!((used(&ledger, 1519, day), used(&ledger, 1520, day)), (7, 0));
        ledger.shift(hour);
        assert_eq!(
            (used(&ledger, 199, hour), used(&ledger, 200, hour)),
            (7, 0),
            "the clock was set"
        );
        ledger.settle(at(1581));
        assert_eq!(ledger.unknown(), None);
    }

    #[test]
    fn an_action_counts_for_just_under_the_period() {
        let mut ledger = Ledger::default();
        ledger.enter(LedgerEntry {
            at: at(0),
            policy: "a".into(),
            mode: RunMode::Enforce,
            action_id: None,
        });
        let hour = TimeDelta::hours(1);
        assert_eq!(ledger.count(at(59), hour, |_| true), 1);
        assert_eq!(ledger.count(at(60), hour, |_| true), 0);
    }
}
