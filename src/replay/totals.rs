//! The totals of a replay: by policy, user, program and machine, and the sessions that came back.
//!
//! Memory is bounded: names beyond [`MOST_NAMES`] are counted together, a series has a bounded number of points, and only the
//! first [`MOST_RETURNS`] sessions that came back are listed, although all are counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::reason::{DecisionCounts, Standing, Verdict};
use crate::decide::refill::{ClientGroup, Return};
use crate::decide::used_again::PolicyRehearsal;
use crate::gaps::notes;
use crate::policy::model::{Action, PolicySet};
use crate::policy::pressure::Resource;
use crate::recording::RecordedSnapshot;
use crate::replay::curve::Curve;
use crate::replay::series::Series;
use crate::replay::{ReplaySetting, ReplayedCycle};

/// The most names that are counted separately.
pub(crate) const MOST_NAMES: usize = 10_000;

/// The most sessions that came back and are listed.
pub(crate) const MOST_RETURNS: usize = 1_000;

/// How many actions there would have been, and how many would have been in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionTally {
    /// The number of actions.
    pub acted: usize,
    /// The number of killed sessions of which a similar one was back within minutes.
    pub(crate) came_back: usize,
}

/// Tallies by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TalliesByName {
    by_name: BTreeMap<String, ActionTally>,
    /// The names beyond [`MOST_NAMES`].
    pub(crate) others: ActionTally,
}

impl TalliesByName {
    fn of(&mut self, name: &str) -> &mut ActionTally {
        if !self.by_name.contains_key(name) && self.by_name.len() == MOST_NAMES {
            return &mut self.others;
        }
        self.by_name.entry(name.to_owned()).or_default()
    }

    /// The tallies, most actions first.
    #[must_use]
    pub(crate) fn sorted(&self) -> Vec<(&str, ActionTally)> {
        let mut all: Vec<(&str, ActionTally)> = self.by_name.iter().map(|(name, tally)| (&**name, *tally)).collect();
        all.sort_by(|one, two| two.1.acted.cmp(&one.1.acted).then(one.0.cmp(two.0)));
        all
    }
}

/// The totals of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyTotals {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its action.
    pub(crate) action: Action,
    /// Whether it runs on this database.
    pub(crate) runs: bool,
    /// Why it did not at first.
    pub(crate) absent: Option<String>,
    /// The number of snapshots in which it was due.
    pub(crate) due: usize,
    /// Its actions.
    pub(crate) tally: ActionTally,
    /// The most sessions in one snapshot for which its condition held.
    pub(crate) most_matched: usize,
    /// The most sessions in one snapshot with each verdict.
    pub(crate) most: DecisionCounts,
    /// The number of snapshots in which its breaker was open.
    pub(crate) breaker_open: usize,
    /// What became of the sessions that it would have ended.
    pub(crate) rehearsal: PolicyRehearsal,
}

/// The totals of a replay.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The database.
    pub(crate) database: String,
    /// The times of the first and the last snapshot.
    pub(crate) span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The number of snapshots with decisions.
    pub(crate) snapshots: usize,
    /// The number of snapshots without a clock, for which there are no decisions.
    pub(crate) clockless: usize,
    /// The number of pauses between snapshots that broke all holds.
    pub(crate) gaps: usize,
    /// The number of snapshots in a blackout.
    pub(crate) blackouts: usize,
    /// The most sessions in a snapshot.
    pub(crate) most_sessions: usize,
    /// The policies, in the order of the files and in them.
    pub(crate) policies: Vec<PolicyTotals>,
    /// The tallies by USERNAME.
    pub(crate) by_user: TalliesByName,
    /// The tallies by PROGRAM.
    pub(crate) by_program: TalliesByName,
    /// The tallies by MACHINE.
    pub(crate) by_machine: TalliesByName,
    /// The tally of all actions.
    pub all: ActionTally,
    /// The first sessions that came back.
    pub(crate) returns: Vec<Return>,
    /// The use of each limited resource over time, in percent, by instance and resource.
    pub(crate) pressure: BTreeMap<(u32, Resource), Series>,
    /// What a policy would do with other limits, if that was asked for.
    pub(crate) curve: Option<Curve>,
    /// Notes at the beginning of a report.
    pub(crate) notes: Vec<String>,
    set: Arc<PolicySet>,
}

impl Totals {
    pub(super) fn of(setting: &ReplaySetting) -> Totals {
        let set = setting.rules.set();
        let policies = set.policies.iter().map(|policy| PolicyTotals {
            name: Arc::clone(&policy.name),
            action: policy.action,
            runs: false,
            absent: None,
            due: 0,
            tally: ActionTally::default(),
            most_matched: 0,
            most: DecisionCounts::default(),
            breaker_open: 0,
            rehearsal: PolicyRehearsal::default(),
        });
        Totals {
            database: setting.database.clone(),
            span: None,
            snapshots: 0,
            clockless: 0,
            gaps: 0,
            blackouts: 0,
            most_sessions: 0,
            policies: policies.collect(),
            by_user: TalliesByName::default(),
            by_program: TalliesByName::default(),
            by_machine: TalliesByName::default(),
            all: ActionTally::default(),
            returns: Vec::new(),
            pressure: BTreeMap::new(),
            curve: None,
            notes: Vec::new(),
            set: Arc::clone(set),
        }
    }

    /// With what a policy would do with other limits.
    #[must_use]
    pub(crate) fn with_curve(self, curve: Option<Curve>) -> Totals {
        Totals { curve, ..self }
    }

    pub(super) fn count(&mut self, recorded: &RecordedSnapshot, step: &ReplayedCycle, gap: bool, blackout: bool) {
        let snapshot = &recorded.snapshot;
        if self.span.is_none() {
            self.notes = notes(snapshot, &recorded.readings, &self.set, step.here.running());
        }
        self.span = Some((self.span.map_or(step.now, |(first, _)| first), step.now));
        self.snapshots += 1;
        self.gaps += usize::from(gap);
        self.blackouts += usize::from(blackout);
        self.most_sessions = self.most_sessions.max(snapshot.rows());
        for (inst_id, resource, reading) in recorded.readings.iter() {
            if let Some(limit) = reading.limit.filter(|limit| *limit > 0) {
                let percent = reading.used as f64 / limit as f64 * 100.0;
                self.pressure
                    .entry((inst_id, resource))
                    .or_default()
                    .add(step.now, percent);
            }
        }
        self.count_returns(&step.cycle.returns);
        self.count_policies(step);
        for decision in &step.cycle.ruling.decisions {
            if decision.verdict() == Verdict::Act {
                let who = ClientGroup::of(snapshot, decision.row);
                self.each(decision.policy, &who, |tally| tally.acted += 1);
            }
        }
    }

    fn count_policies(&mut self, step: &ReplayedCycle) {
        for (policy, here) in self.policies.iter_mut().zip(step.here.each()) {
            if let Err(absent) = here {
                policy.absent.get_or_insert_with(|| absent.to_string());
            }
        }
        for in_force in step.here.running() {
            let policy = &mut self.policies[in_force.index()];
            policy.runs = true;
            policy.due += usize::from(in_force.is_due());
        }
        for (index, matched) in &step.cycle.plan.matches {
            let most = &mut self.policies[*index].most_matched;
            *most = (*most).max(*matched);
        }
        for breaker in &step.cycle.ruling.open_breakers {
            self.policies[breaker.policy].breaker_open += 1;
        }
        let plans = step.cycle.plan.policies.iter();
        let entries = plans.flat_map(|plan| plan.entries.iter());
        let mut now: BTreeMap<usize, DecisionCounts> = BTreeMap::new();
        for (decision, entry) in step.cycle.ruling.decisions.iter().zip(entries) {
            assert_eq!(
                decision.row, entry.row,
                "there is a decision for each entry of the plan, in the same order"
            );
            // A session that would have been killed is still in the recording, and is not counted again.
            if !matches!(entry.standing, Standing::Followed(_)) {
                now.entry(decision.policy).or_default().count(decision.verdict());
            }
        }
        for (index, summary) in now {
            self.policies[index].most.raise_to(&summary);
        }
    }

    fn each(&mut self, policy: usize, who: &ClientGroup, add: impl Fn(&mut ActionTally)) {
        add(&mut self.policies[policy].tally);
        add(&mut self.all);
        add(self.by_user.of(ClientGroup::shown(&who.username)));
        add(self.by_program.of(ClientGroup::shown(&who.program)));
        add(self.by_machine.of(ClientGroup::shown(&who.machine)));
    }

    fn count_returns(&mut self, returns: &[Return]) {
        for back in returns {
            let by = |policy: &PolicyTotals| policy.name == back.ended.policy;
            let policy = self.policies.iter().position(by);
            let policy = policy.expect("a killed session was killed by one of the policies");
            self.each(policy, &back.ended.who, |tally| tally.came_back += 1);
            if self.returns.len() < MOST_RETURNS {
                self.returns.push(back.clone());
            }
        }
    }
}
