//! What a policy would do with other limits: how many sessions it would end, and how many of them were used again.
//!
//! The policy runs alone, once for each limit, with its hold, floor, schedule, gate, the protections and the exemptions, and without
//! budgets, breaker and suspensions: these say how fast it may act, and the question is on whom.
//!
//! Where the limit is about idle sessions, a session that was used again is a new one for the policy, as its client's next session would
//! be. So a short limit takes the same session several times, and each use counts.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::cycle::{CycleInput, Memory, cycle};
use crate::decide::in_force::{DatabaseRules, Rhythm};
use crate::decide::used_again::{Afterwards, RehearsalTally, STEPS};
use crate::policy::limit::{TimeLimit, own_limit, with_limit};
use crate::policy::model::{Limits, Mode, Policy, PolicySet};
use crate::recording::RecordedSnapshot;
use crate::replay::ReplaySetting;
use crate::replay::assume::assume_done;

/// Why there is no curve of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCurve {
    /// No policy has the name.
    #[error("no policy is called {0:?}")]
    Unknown(String),
    /// The policy's condition has no limit.
    #[error(
        "the condition of the policy {0} has no limit of time, such as `longer than 4h`, that could be another one"
    )]
    NoLimit(Arc<str>),
    /// Its action ends no session.
    #[error("the policy {0} ends no session, so none of its sessions can be used again after that")]
    EndsNobody(Arc<str>),
}

/// A policy with several limits.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// The policy.
    pub(crate) policy: Arc<str>,
    /// The term with its own limit, as the policy has it.
    pub(crate) words: String,
    /// Its own limit, in seconds.
    pub(crate) own: i64,
    /// From the shortest limit to the longest.
    pub(crate) points: Vec<CurvePoint>,
}

/// A policy with one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CurvePoint {
    /// The limit, in seconds.
    pub(crate) limit: i64,
    /// What became of the sessions that it would have ended.
    pub(crate) tally: RehearsalTally,
}

/// Replays a policy with several limits at once.
#[derive(Debug)]
pub(crate) struct CurveReplay {
    policy: Arc<str>,
    limit: TimeLimit,
    rhythm: Rhythm,
    assume_held: bool,
    before: Option<DateTime<Utc>>,
    variants: Vec<Variant>,
}

/// The policy with one limit.
#[derive(Debug)]
struct Variant {
    limit: i64,
    rules: DatabaseRules,
    memory: Memory,
    action_id: u64,
}

impl CurveReplay {
    /// Begins a replay of the policy of this name, with the limits of [`STEPS`] and its own.
    ///
    /// # Errors
    /// If there can be no curve of it.
    pub(crate) fn new(setting: &ReplaySetting, name: &str) -> Result<CurveReplay, NoCurve> {
        let set = setting.rules.set();
        let policy = set.policies.iter().find(|policy| &*policy.name == name);
        let policy = policy.ok_or_else(|| NoCurve::Unknown(name.to_owned()))?;
        if !policy.action.ends_session() {
            return Err(NoCurve::EndsNobody(Arc::clone(&policy.name)));
        }
        let limit = own_limit(&policy.when).ok_or_else(|| NoCurve::NoLimit(Arc::clone(&policy.name)))?;
        let mut limits: Vec<i64> = STEPS.into_iter().chain([limit.seconds]).collect();
        limits.sort_unstable();
        limits.dedup();
        let variants = limits.into_iter().map(|seconds| Variant {
            limit: seconds,
            rules: setting.rules.unlimited(Arc::new(PolicySet {
                policies: vec![Policy {
                    mode: Mode::DryRun,
                    databases: Vec::new(),
                    when: with_limit(&policy.when, &limit, seconds),
                    limits: Limits {
                        undo_records: policy.limits.undo_records,
                        ..Limits::default()
                    },
                    ..policy.clone()
                }],
                ..PolicySet::clone(set)
            })),
            memory: Memory::default(),
            action_id: 0,
        });
        Ok(CurveReplay {
            policy: Arc::clone(&policy.name),
            rhythm: setting.rhythm,
            assume_held: setting.assume_held,
            before: None,
            variants: variants.collect(),
            limit,
        })
    }

    /// Runs a cycle with each limit. Nothing is decided on a snapshot without a clock.
    pub(crate) fn step(&mut self, recorded: &RecordedSnapshot) {
        let Some(now) = recorded.snapshot.utc() else {
            return;
        };
        let due = self.rhythm.due(self.before, now);
        let unbroken = self.rhythm.is_unbroken(self.before, now);
        self.before = Some(now);
        for variant in &mut self.variants {
            let here = variant.rules.configured(due);
            let standstill = variant.rules.blackout(now);
            let input = CycleInput {
                rules: &variant.rules,
                here: &here,
                facts: &recorded.facts,
                now,
                unbroken,
                read_in: TimeDelta::zero(),
                standstill: standstill.as_ref(),
                assume_held: self.assume_held,
            };
            let memory = &mut variant.memory;
            let cycle = cycle(memory, &recorded.snapshot, recorded.readings.clone(), &input);
            for aftermath in &cycle.aftermaths {
                match aftermath.afterwards {
                    Afterwards::UsedAgain if self.limit.idle => memory.following.forget_session(aftermath.key),
                    Afterwards::UsedAgain | Afterwards::Validated | Afterwards::Ended | Afterwards::Lost => {}
                }
            }
            assume_done(memory, &recorded.snapshot, &cycle, &mut variant.action_id);
        }
    }

    /// The curve at the end.
    #[must_use]
    pub(crate) fn into_curve(self) -> Curve {
        let points = self.variants.iter().map(|variant| CurvePoint {
            limit: variant.limit,
            tally: variant.memory.rehearsals.of(&self.policy).all,
        });
        Curve {
            points: points.collect(),
            policy: self.policy,
            words: self.limit.words,
            own: self.limit.seconds,
        }
    }
}
