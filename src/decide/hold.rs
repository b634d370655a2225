//! Holds: how long a policy's condition has held for each session (`for:`), pending until it is served.
//!
//! A hold starts with the first snapshot in which the condition is TRUE and ends with the first in which it is not, or in
//! which the session is not seen: what was not seen may have changed. A gap between snapshots that is too long ends all
//! holds for the same reason. So does a use between two snapshots that LAST_CALL_ET shows, where the condition depends on what the
//! session is doing: it was not TRUE all the time. A policy that is reloaded with another condition starts anew; one that is reloaded with a
//! shorter or longer `for:` keeps its clocks, because what they measured is still true.
//!
//! Times are UTC made from the database's clock and its offset: SYSDATE alone jumps by an hour twice a year. A step of that clock
//! serves no hold: one has lasted for as long as both clocks say, the database's and the host's monotonic clock. Where there is
//! no host's clock (a replay, a policy test, a plan), the database's counts alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::evaluate::columns_of;
use crate::decide::in_force::InForce;
use crate::decide::matches::Matches;
use crate::policy::model::{Policy, PolicySet};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// Whether a session has served a policy's `for:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The condition holds, but not yet for long enough.
    Pending {
        /// Since when it holds.
        since: DateTime<Utc>,
    },
    /// The condition has held for long enough.
    Served,
}

/// All holds of a database.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    policies: HashMap<Arc<str>, PolicyHolds>,
    last_snapshot: Option<DateTime<Utc>>,
    /// The host's clock at the last snapshot, if it is known.
    passed: Option<Duration>,
}

/// The host's clock may show this much less than the database's between two snapshots: SYSDATE has whole seconds, and is read
/// some time after the question was sent.
const SLACK: TimeDelta = TimeDelta::seconds(2);

/// LAST_CALL_ET and SYSDATE are in whole seconds, and an instance may refresh one later than the other.
pub(crate) const INEXACT: TimeDelta = TimeDelta::seconds(5);

/// Whether a policy's condition depends on what the session is doing.
#[must_use]
pub(crate) fn depends_on_use(policy: &Policy) -> bool {
    let asks = [Column::LastCallEt, Column::Idle, Column::Running, Column::Status];
    let mut of_condition = columns_of(&policy.when);
    if let Some(unless) = &policy.unless {
        of_condition = of_condition.union(columns_of(unless));
    }
    asks.into_iter().any(|column| of_condition.contains(column))
}

/// When a session began to do what it does, or to do nothing: LAST_CALL_ET before the snapshot. In UTC, by the database's clock.
#[must_use]
pub(crate) fn last_use(snapshot: &Snapshot, row: usize) -> Option<DateTime<Utc>> {
    let now = snapshot.utc()?;
    let ago = TimeDelta::try_seconds(snapshot.number(row, Column::LastCallEt)?)?;
    now.checked_sub_signed(ago)
}

/// When a hold began, by both clocks.
#[derive(Clone, Copy, Debug)]
struct Since {
    database: DateTime<Utc>,
    host: Option<Duration>,
}

#[derive(Clone, Debug)]
struct PolicyHolds {
    /// The text of the condition that the clocks measure.
    condition: String,
    since: HashMap<SessionKey, Since>,
}

/// A snapshot's time, as holds go by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotTime {
    /// When the database's clock was read, at the beginning.
    pub(crate) now: DateTime<Utc>,
    /// How much later a row may have been read.
    pub(crate) read_in: TimeDelta,
    /// Whether the snapshot before it is near enough for holds to go on.
    pub(crate) unbroken: bool,
    /// The host's clock when the reading began, if there is one: the time since the daemon's start.
    pub(crate) passed: Option<Duration>,
}

impl Holds {
    /// Takes note of what the policies in force match. A session whose instance was not read completely does not hold. A hold
    /// that begins counts from when the rows had been read, and one that goes on is measured at the snapshot's clock.
    pub(crate) fn update(
        &mut self,
        snapshot: &Snapshot,
        set: &PolicySet,
        running: &[InForce],
        matches: &Matches,
        moment: SnapshotTime,
    ) {
        self.begin(moment.now, moment.unbroken);
        self.passed = moment.passed;
        let places = running.iter().map(|in_force| in_force.index());
        let with_hold: Vec<usize> = places.filter(|index| set.policies[*index].hold > 0).collect();
        self.keep_only(|name| with_hold.iter().any(|index| &*set.policies[*index].name == name));
        for index in with_hold {
            let policy = &set.policies[index];
            let by_use = depends_on_use(policy);
            let rows = matches.rows(index).iter().copied();
            let holding = rows.filter_map(|row| Some((snapshot.key(row)?, row)));
            let holding = holding.filter(|(key, _)| snapshot.is_complete(key.inst_id));
            let holding = holding.map(|(key, row)| (key, last_use(snapshot, row).filter(|_| by_use)));
            let since = Since {
                database: moment.now + moment.read_in,
                host: moment
                    .passed
                    .map(|passed| passed.saturating_add(moment.read_in.to_std().unwrap_or_default())),
            };
            self.observe(policy, holding, since);
        }
    }

    /// Begins a snapshot. All holds end if too many snapshots were missed before it, or if the clock went back.
    pub(crate) fn begin(&mut self, now: DateTime<Utc>, unbroken: bool) {
        let went_on = self.last_snapshot.is_some_and(|last| now >= last);
        if !(unbroken && went_on) {
            self.policies.clear();
        }
        self.last_snapshot = Some(now);
    }

    /// Records the sessions for which the policy's condition is TRUE in this snapshot, each with when it was used last if the condition
    /// depends on that; the holds of all others end. `now` is the latest time at which it was known to be TRUE.
    ///
    /// # Panics
    /// When the policy has no `for:`.
    fn observe(
        &mut self,
        policy: &Policy,
        holding: impl Iterator<Item = (SessionKey, Option<DateTime<Utc>>)>,
        now: Since,
    ) {
        assert!(policy.hold > 0, "a policy without `for:` has no clocks");
        let condition = condition_text(policy);
        let before = self
            .policies
            .remove(&policy.name)
            .filter(|holds| holds.condition == condition);
        let before = before.map(|holds| holds.since).unwrap_or_default();
        let since = holding
            .map(|(key, used)| {
                let unbroken = |since: &Since| used.is_none_or(|used| used <= since.database + INEXACT);
                (key, before.get(&key).copied().filter(unbroken).unwrap_or(now))
            })
            .collect();
        self.policies
            .insert(Arc::clone(&policy.name), PolicyHolds { condition, since });
    }

    /// Forgets the clocks of policies that are no longer loaded, or have no `for:` now. Kept clocks would count time in which
    /// nothing was observed.
    pub(crate) fn keep_only(&mut self, kept: impl Fn(&str) -> bool) {
        self.policies.retain(|name, _| kept(name));
    }

    /// The hold of a session; one that was not observed starts now.
    #[must_use]
    pub(crate) fn of(&self, policy: &Policy, key: SessionKey, now: DateTime<Utc>) -> Hold {
        if policy.hold == 0 {
            return Hold::Served;
        }
        let since = self.policies.get(&policy.name).and_then(|holds| holds.since.get(&key));
        let held = since.map_or(TimeDelta::zero(), |since| self.held(since, now));
        if u64::try_from(held.num_seconds()).is_ok_and(|held| held >= policy.hold) {
            Hold::Served
        } else {
            Hold::Pending { since: now - held }
        }
    }

    /// How long a hold has lasted, by the clock that shows less.
    fn held(&self, since: &Since, now: DateTime<Utc>) -> TimeDelta {
        let by_database = now - since.database;
        let by_host = self.passed.zip(since.host).map(|(passed, since)| {
            let passed = TimeDelta::from_std(passed.saturating_sub(since)).unwrap_or(TimeDelta::MAX - SLACK);
            passed + SLACK
        });
        by_host.map_or(by_database, |by_host| by_database.min(by_host))
    }
}

fn condition_text(policy: &Policy) -> String {
    format!("{:?} unless {:?}", policy.when, policy.unless)
}
