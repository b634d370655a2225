//! Replays recorded snapshots: what would the policies have done?
//!
//! Each snapshot goes through the daemon's own cycle, with holds, budgets, pressure and schedules, as a dry run. An action is
//! assumed to be done, so a session is not acted on twice, and budgets are used up as they would have been. A replay cannot
//! know what the database would have shown afterwards: a session that would have been killed is still in the recording.

mod assume;
mod curve;
mod series;
#[cfg(test)]
mod tests;
mod totals;

use chrono::{DateTime, TimeDelta, Utc};

use crate::columns_needed;
use crate::decide::cycle::{Cycle, CycleInput, Memory, cycle};
use crate::decide::in_force::{DatabaseRules, Here, Rhythm};
use crate::decide::used_again::Rehearsals;
use crate::recording::RecordedSnapshot;
use crate::replay::assume::assume_done;

pub(crate) use curve::{Curve, CurvePoint, CurveReplay};
pub(crate) use series::Series;
pub(crate) use totals::{ActionTally, TalliesByName, Totals};

/// The settings of a replay.
#[derive(Clone, Debug)]
pub struct ReplaySetting {
    /// The policies and everything else that is in force. They are those for sessions of a file, so nothing is armed.
    pub rules: DatabaseRules,
    /// The name of the database, for display.
    pub database: String,
    /// The time between two snapshots, and the longest gap.
    pub rhythm: Rhythm,
    /// Whether every `for:` is assumed to be fulfilled.
    pub assume_held: bool,
}

/// A running replay.
#[derive(Debug)]
pub struct Replay {
    setting: ReplaySetting,
    memory: Memory,
    before: Option<DateTime<Utc>>,
    action_id: u64,
    totals: Totals,
}

/// One cycle of a replay.
#[derive(Debug)]
pub struct ReplayedCycle {
    /// The time of the snapshot.
    pub(crate) now: DateTime<Utc>,
    /// All policies, those that ran and those that did not.
    pub(crate) here: Here,
    /// The result of the cycle.
    pub(crate) cycle: Cycle,
}

impl Replay {
    /// Begins a replay.
    #[must_use]
    pub fn new(setting: ReplaySetting) -> Replay {
        Replay {
            totals: Totals::of(&setting),
            setting,
            memory: Memory::default(),
            before: None,
            action_id: 0,
        }
    }

    /// Runs a cycle, and adds to the snapshot what only the ones before it tell. `None` for a snapshot without a clock, for which the
    /// daemon makes no decisions either.
    pub fn step(&mut self, recorded: &mut RecordedSnapshot) -> Option<ReplayedCycle> {
        let Some(now) = recorded.snapshot.utc() else {
            self.totals.clockless += 1;
            return None;
        };
        let ReplaySetting { rules, rhythm, .. } = &self.setting;
        let here = rules.configured(rhythm.due(self.before, now));
        let unbroken = rhythm.is_unbroken(self.before, now);
        let standstill = rules.blackout(now);
        self.memory
            .add_rates(&mut recorded.snapshot, columns_needed::columns(rules.set()), unbroken);
        let recorded = &*recorded;
        let snapshot = &recorded.snapshot;
        let input = CycleInput {
            rules,
            here: &here,
            facts: &recorded.facts,
            now,
            unbroken,
            read_in: TimeDelta::zero(),
            standstill: standstill.as_ref(),
            assume_held: self.setting.assume_held,
        };
        let cycle = cycle(&mut self.memory, snapshot, recorded.readings.clone(), &input);
        assume_done(&mut self.memory, snapshot, &cycle, &mut self.action_id);
        let step = ReplayedCycle { now, here, cycle };
        let gap = self.before.is_some() && !unbroken;
        self.totals.count(recorded, &step, gap, standstill.is_some());
        self.before = Some(now);
        Some(step)
    }

    /// What became so far of the sessions that the policies would have ended.
    pub(crate) fn rehearsals(&self) -> &Rehearsals {
        &self.memory.rehearsals
    }

    /// The totals at the end.
    #[must_use]
    pub fn into_totals(mut self) -> Totals {
        for policy in &mut self.totals.policies {
            policy.rehearsal = self.memory.rehearsals.of(&policy.name);
        }
        self.totals
    }
}
