//! Holds: how long a policy's condition has held for each session (`for:`), pending until it is served.
//!
//! A hold starts with the first snapshot in which the condition is TRUE and ends with the first in which it is not, or in
//! which the session is not seen: what was not seen may have changed. A gap between snapshots that is too long ends all
//! holds for the same reason. A policy that is reloaded with another condition starts anew; one that is reloaded with a
//! shorter or longer `for:` keeps its clocks, because what they measured is still true.
//!
//! Times are UTC made from the database's clock and its offset: SYSDATE alone jumps by an hour twice a year.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::InForce;
use crate::decide::matches::Matches;
use crate::policy::model::{Policy, PolicySet};
use crate::session::SessionKey;
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
}

#[derive(Clone, Debug)]
struct PolicyHolds {
    /// The text of the condition that the clocks measure.
    condition: String,
    since: HashMap<SessionKey, DateTime<Utc>>,
}

/// A snapshot's time, as holds go by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotTime {
    /// When the database's clock was read, at the beginning.
    pub(crate) now: DateTime<Utc>,
    /// A row was read perhaps as late as this after that.
    pub(crate) read_in: TimeDelta,
    /// Whether the snapshot before it is near enough for holds to go on.
    pub(crate) unbroken: bool,
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
        let places = running.iter().map(|in_force| in_force.index());
        let with_hold: Vec<usize> = places.filter(|index| set.policies[*index].hold > 0).collect();
        self.keep_only(|name| with_hold.iter().any(|index| &*set.policies[*index].name == name));
        for index in with_hold {
            let keys = matches.rows(index).iter().filter_map(|row| snapshot.key(*row));
            let holding = keys.filter(|key| snapshot.is_complete(key.inst_id));
            self.observe(&set.policies[index], holding, moment.now + moment.read_in);
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

    /// Records the sessions for which the policy's condition is TRUE in this snapshot; the holds of all others end. `now` is the
    /// latest time at which it was known to be TRUE.
    ///
    /// # Panics
    /// When the policy has no `for:`.
    pub(crate) fn observe(&mut self, policy: &Policy, holding: impl Iterator<Item = SessionKey>, now: DateTime<Utc>) {
        assert!(policy.hold > 0, "a policy without `for:` has no clocks");
        let condition = condition_text(policy);
        let before = self
            .policies
            .remove(&policy.name)
            .filter(|holds| holds.condition == condition);
        let before = before.map(|holds| holds.since).unwrap_or_default();
        let since = holding
            .map(|key| (key, before.get(&key).copied().unwrap_or(now)))
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
        let since = self
            .policies
            .get(&policy.name)
            .and_then(|holds| holds.since.get(&key))
            .copied()
            .unwrap_or(now);
        let held = (now - since).num_seconds();
        if u64::try_from(held).is_ok_and(|held| held >= policy.hold) {
            Hold::Served
        } else {
            Hold::Pending { since }
        }
    }
}

fn condition_text(policy: &Policy) -> String {
    format!("{:?} unless {:?}", policy.when, policy.unless)
}
