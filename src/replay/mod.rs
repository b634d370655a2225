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

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::config::Blackout;
use crate::cycle::{Cycle, Done, Memory, Terms, cycle, remember};
use crate::guard::RunMode;
use crate::outcome::Outcome;
use crate::plan::{EffectiveLimits, InForce, run_mode};
use crate::policy::model::{Action, PolicySet};
use crate::recording::Recorded;

pub use series::{MOST_POINTS, Series};
pub use totals::{Counts, MOST_NAMES, MOST_RETURNS, PolicyTotals, Tally, Totals};

/// What a replay is run with.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The policies.
    pub set: Arc<PolicySet>,
    /// The configuration's limits.
    pub limits: EffectiveLimits,
    /// Times in which nothing is done.
    pub blackouts: Vec<Blackout>,
    /// For the calendar's day.
    pub zone: Tz,
    /// The database's name, which policies may ask for.
    pub database: String,
    /// Between two snapshots, as the recording says: what lies before the first one counts as so long.
    pub every: TimeDelta,
    /// A longer pause between two snapshots breaks every hold.
    pub longest_gap: TimeDelta,
    /// Takes every hold as served.
    pub assume_held: bool,
}

impl Rules {
    /// How many snapshots may be missing in a row: as in the daemon, three.
    #[must_use]
    pub fn longest_gap(every: TimeDelta) -> TimeDelta {
        every.checked_mul(4).unwrap_or(TimeDelta::MAX)
    }

    /// Which policies run in a cycle, all of them as dry runs.
    fn in_force(&self, before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<InForce> {
        // A schedule's hour that passed while nobody looked is over, as it is for the daemon.
        let recent = before.filter(|before| now - *before <= self.longest_gap);
        let after = recent.unwrap_or(now - self.every);
        let in_force = self.set.policies.iter().enumerate().filter_map(|(index, policy)| {
            let here = policy.databases.is_empty() || policy.databases.iter().any(|glob| glob.matches(&self.database));
            let mode = run_mode(policy.mode, false, true).filter(|_| here)?;
            let due = policy.schedule.as_ref().is_none_or(|schedule| schedule.due(after, now));
            Some(InForce { index, mode, due })
        });
        in_force.collect()
    }
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    rules: Rules,
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
    pub fn new(rules: Rules) -> Replay {
        Replay {
            totals: Totals::of(&rules),
            rules,
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
        let in_force = self.rules.in_force(self.before, now);
        let unbroken = self.before.is_some_and(|before| now - before <= self.rules.longest_gap);
        let blackout = self.rules.blackouts.iter().find(|blackout| blackout.holds(now));
        let standstill = blackout.map(|blackout| format!("blackout: {}", blackout.reason));
        let terms = Terms {
            set: &self.rules.set,
            in_force: &in_force,
            facts: &recorded.facts,
            limits: &self.rules.limits,
            now,
            today: now.with_timezone(&self.rules.zone).date_naive(),
            unbroken,
            standstill: standstill.as_deref(),
            assume_held: self.rules.assume_held,
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

    /// What it comes to so far.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What it comes to.
    #[must_use]
    pub fn into_totals(self) -> Totals {
        self.totals
    }
}
