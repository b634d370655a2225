//! What a replay comes to: per policy, user, program and machine, and who came back.
//!
//! Memory is bounded: names beyond [`MOST_NAMES`] are counted together, a week is no more than a picture's points, and of
//! those who came back the first [`MOST_RETURNS`] are kept by name and all are counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::guard::Verdict;
use crate::decide::plan::Standing;
use crate::decide::respawn::{Return, Who};
use crate::notes::notes;
use crate::policy::model::{Action, PolicySet};
use crate::policy::pressure::Resource;
use crate::recording::Recorded;
use crate::replay::series::Series;
use crate::replay::{Setting, Step};
use crate::report::Summary;

/// More names than this are counted together.
pub const MOST_NAMES: usize = 10_000;

/// So many of those who came back are kept by name.
pub const MOST_RETURNS: usize = 1_000;

/// How often something would have been done, and how often that was in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Actions.
    pub acted: usize,
    /// Of them, ended sessions whose like was back within minutes.
    pub came_back: usize,
}

/// Tallies by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    by_name: BTreeMap<String, Tally>,
    /// Those that came when there were [`MOST_NAMES`] already.
    pub others: Tally,
}

impl Counts {
    fn of(&mut self, name: &str) -> &mut Tally {
        if !self.by_name.contains_key(name) && self.by_name.len() == MOST_NAMES {
            return &mut self.others;
        }
        self.by_name.entry(name.to_owned()).or_default()
    }

    /// Most actions first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&str, Tally)> {
        let mut all: Vec<(&str, Tally)> = self.by_name.iter().map(|(name, tally)| (&**name, *tally)).collect();
        all.sort_by(|one, two| two.1.acted.cmp(&one.1.acted).then(one.0.cmp(two.0)));
        all
    }
}

/// One policy's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTotals {
    /// Its name.
    pub name: Arc<str>,
    /// Its action.
    pub action: Action,
    /// Whether it runs on this database at all.
    pub runs: bool,
    /// Snapshots in which its schedule let it act.
    pub due: usize,
    /// What it would have done.
    pub tally: Tally,
    /// The most sessions at once for which its condition held.
    pub most_matched: usize,
    /// The most at once with each verdict.
    pub most: Summary,
    /// Snapshots in which its breaker was open.
    pub breaker_open: usize,
}

/// What a replay comes to.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The database.
    pub database: String,
    /// The first and the last snapshot's time.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Snapshots that were decided on.
    pub snapshots: usize,
    /// Snapshots without a clock, on which nothing is decided.
    pub clockless: usize,
    /// Pauses between snapshots that broke all holds.
    pub gaps: usize,
    /// Snapshots in a blackout.
    pub blackouts: usize,
    /// The most sessions in a snapshot.
    pub most_sessions: usize,
    /// In file and list order.
    pub policies: Vec<PolicyTotals>,
    /// By USERNAME.
    pub by_user: Counts,
    /// By PROGRAM.
    pub by_program: Counts,
    /// By MACHINE.
    pub by_machine: Counts,
    /// All of it.
    pub all: Tally,
    /// Who came back, the first of them.
    pub returns: Vec<Return>,
    /// How much of each limit was used, in percent, by instance and resource.
    pub pressure: BTreeMap<(u32, Resource), Series>,
    /// What has to be said first.
    pub notes: Vec<String>,
    set: Arc<PolicySet>,
}

impl Totals {
    pub(super) fn of(setting: &Setting) -> Totals {
        let set = setting.rules.set();
        let policies = set.policies.iter().map(|policy| PolicyTotals {
            name: Arc::clone(&policy.name),
            action: policy.action,
            runs: false,
            due: 0,
            tally: Tally::default(),
            most_matched: 0,
            most: Summary::default(),
            breaker_open: 0,
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
            by_user: Counts::default(),
            by_program: Counts::default(),
            by_machine: Counts::default(),
            all: Tally::default(),
            returns: Vec::new(),
            pressure: BTreeMap::new(),
            notes: Vec::new(),
            set: Arc::clone(set),
        }
    }

    pub(super) fn count(&mut self, recorded: &Recorded, step: &Step, gap: bool, blackout: bool) {
        let snapshot = &recorded.snapshot;
        if self.span.is_none() {
            self.notes = notes(snapshot, &recorded.readings, &self.set, &step.in_force);
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
        self.welcome(&step.cycle.returns);
        self.count_policies(step);
        for decision in &step.cycle.ruling.decisions {
            if decision.verdict == Verdict::Act {
                let who = Who::of(snapshot, decision.row);
                self.each(decision.policy, &who, |tally| tally.acted += 1);
            }
        }
    }

    fn count_policies(&mut self, step: &Step) {
        for in_force in &step.in_force {
            let policy = &mut self.policies[in_force.index];
            policy.runs = true;
            policy.due += usize::from(in_force.due);
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
        let mut now: BTreeMap<usize, Summary> = BTreeMap::new();
        for (decision, entry) in step.cycle.ruling.decisions.iter().zip(entries) {
            assert_eq!(
                decision.row, entry.row,
                "a decision for each entry of the plan, in its order"
            );
            // Whoever would have ended is still in the recording, and waits for nothing.
            if entry.standing != Standing::Followed {
                now.entry(decision.policy).or_default().count(decision.verdict);
            }
        }
        for (index, summary) in now {
            self.policies[index].most.raise_to(&summary);
        }
    }

    fn each(&mut self, policy: usize, who: &Who, add: impl Fn(&mut Tally)) {
        add(&mut self.policies[policy].tally);
        add(&mut self.all);
        add(self.by_user.of(Who::shown(&who.username)));
        add(self.by_program.of(Who::shown(&who.program)));
        add(self.by_machine.of(Who::shown(&who.machine)));
    }

    fn welcome(&mut self, returns: &[Return]) {
        for back in returns {
            let by = |policy: &PolicyTotals| policy.name == back.ended.policy;
            let policy = self.policies.iter().position(by);
            let policy = policy.expect("who was ended was ended by one of the policies");
            self.each(policy, &back.ended.who, |tally| tally.came_back += 1);
            if self.returns.len() < MOST_RETURNS {
                self.returns.push(back.clone());
            }
        }
    }
}
