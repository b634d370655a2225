//! Policies over recorded snapshots: what would they have done?
//!
//! Each snapshot goes through the very cycle that the daemon runs, holds, budgets, pressure and schedules included, as a dry
//! run: what would be done is assumed to have been done, so nobody is taken twice and budgets are used up as they would
//! have been. What cannot be known is what the database would have shown afterwards: a session that would have ended is
//! still in the recording.

mod series;
#[cfg(test)]
mod tests;
mod totals;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::cycle::{Cycle, Done, Memory, Terms, cycle, remember};
use crate::decide::guard::RunMode;
use crate::decide::in_force::{Here, Rhythm, Rules};
use crate::decide::outcome::Outcome;
use crate::decide::plan::InForce;
use crate::policy::model::Action;
use crate::recording::Recorded;

pub use series::{MOST_POINTS, Series};
pub use totals::{Counts, MOST_NAMES, MOST_RETURNS, PolicyTotals, Tally, Totals};

/// What a replay is run with.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The policies, and what else is in force. Nothing in them arms a replay: it is made with those of a file.
    pub rules: Rules,
    /// The database's name, for people.
    pub database: String,
    /// How often snapshots were taken.
    pub rhythm: Rhythm,
    /// Takes every hold as served.
    pub assume_held: bool,
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    setting: Setting,
    here: Here,
    memory: Memory,
    before: Option<DateTime<Utc>>,
    action_id: u64,
    totals: Totals,
}

/// One cycle of it.
#[derive(Debug)]
pub struct Step {
    /// The snapshot's time.
    pub now: DateTime<Utc>,
    /// The policies that ran.
    pub in_force: Vec<InForce>,
    /// What was found and decided.
    pub cycle: Cycle,
}

impl Replay {
    /// Before the first snapshot.
    #[must_use]
    pub fn new(setting: Setting) -> Replay {
        Replay {
            totals: Totals::of(&setting),
            here: setting.rules.configured(),
            setting,
            memory: Memory::default(),
            before: None,
            action_id: 0,
        }
    }

    /// Runs one cycle. `None` for a snapshot without a clock, on which the daemon would not decide either.
    pub fn step(&mut self, recorded: &Recorded) -> Option<Step> {
        let snapshot = &recorded.snapshot;
        let Some(now) = snapshot.clock().and_then(|clock| clock.now.to_utc(clock.utc_offset)) else {
            self.totals.clockless += 1;
            return None;
        };
        let Setting { rules, rhythm, .. } = &self.setting;
        let in_force = rules.in_force(&self.here, rhythm.due(self.before, now));
        let unbroken = rhythm.is_unbroken(self.before, now);
        let standstill = rules.blackout(now);
        let terms = Terms {
            set: rules.set(),
            in_force: &in_force,
            facts: &recorded.facts,
            limits: rules.limits(),
            now,
            today: rules.today(now),
            unbroken,
            read_in: TimeDelta::zero(),
            standstill: standstill.as_deref(),
            assume_held: self.setting.assume_held,
        };
        let cycle = cycle(&mut self.memory, snapshot, recorded.readings.clone(), &terms);
        for warrant in &cycle.ruling.warrants {
            assert_eq!(warrant.mode(), RunMode::DryRun, "a replay acts on nobody");
            self.action_id += 1;
            let outcome = match warrant.action() {
                Action::Report => Outcome::Reported,
                Action::Kill { .. } | Action::Disconnect { .. } | Action::CancelSql => Outcome::Assumed,
            };
            remember(
                &mut self.memory,
                Done::seen_in(snapshot, warrant, self.action_id, outcome),
            );
        }
        let step = Step { now, in_force, cycle };
        let gap = self.before.is_some() && !unbroken;
        self.totals.count(recorded, &step, gap, standstill.is_some());
        self.before = Some(now);
        Some(step)
    }

    /// What it comes to.
    #[must_use]
    pub fn into_totals(self) -> Totals {
        self.totals
    }
}
