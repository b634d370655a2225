//! The guard: applies every limit to a plan, and is the only maker of warrants.
//!
//! A warrant is permission for exactly one action on exactly one session. It cannot be copied, and carrying it out uses it
//! up. So "at most one action a session a cycle" and "never above a budget" are decided here and nowhere else; the actuator
//! counts nothing.
//!
//! The limits defer single sessions, or refuse them:
//!
//! - A **budget** takes the worst N and defers the rest.
//! - A **floor** (`keep`) defers a session while too few others of its group would be left.
//! - The **estimate of the pressure** (`until`) defers the rest once the sessions taken so far relieve the instance.
//! - **Repeated attempts** on one session wait, longer after each failure.
//! - The **breaker** refuses a policy's whole plan when its candidates exceed a share of an instance's user sessions, because a
//!   wrong policy is more likely than so many bad sessions.
//!
//! Besides, a policy is suspended for a group of sessions that comes back after each kill (see `refill`); its sessions are
//! refused one by one.

mod allowance;
mod decoy;
mod floors;
mod recheck;
mod statement;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::eligibility::{Eligibility, Objection, StateFrom};
use crate::decide::guard::allowance::{Allowance, Permitted};
pub(crate) use crate::decide::guard::decoy::{Again, Decoy};
pub(crate) use crate::decide::guard::recheck::Surroundings;
pub use crate::decide::guard::statement::{LastStep, Statement, Wording};
use crate::decide::in_force::{EffectiveLimits, InForce, RunMode};
use crate::decide::ledger::Ledger;
use crate::decide::matches::matched_rows;
use crate::decide::order::OperatorOrder;
use crate::decide::plan::{Plan, PlanEntry, PolicyPlan, Situation};
use crate::decide::protect::{ProtectionFacts, why_protected};
use crate::decide::reason::{About, Obstacle, OpenBreaker, Refusal, Spared, Standing, Suspended, Verdict, Why};
use crate::decide::refill::ClientGroup;
use crate::decide::shared_process::{ProcessSharer, ends_unrecorded, means_for, must_stay};
use crate::decide::standstill::Standstill;
use crate::decide::under_way::Begun;
use crate::policy::model::{Action, Policy, PolicySet};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// The breaker does not open for this many candidates or fewer.
pub(crate) const BREAKER_IGNORES: usize = 5;

/// Permission for exactly one action.
#[derive(Debug)]
#[must_use = "a warrant is carried out or written down as dropped"]
pub struct Warrant {
    key: SessionKey,
    who: ClientGroup,
    set: Arc<PolicySet>,
    in_force: InForce,
    action: Action,
    escalates: bool,
    reason: String,
    issued: DateTime<Utc>,
    /// The operator's order that it was given for, if it was.
    order: Option<Arc<OperatorOrder>>,
    used: bool,
}

impl Warrant {
    /// The session.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The session's group: same user, program and machine.
    #[must_use]
    pub(crate) fn who(&self) -> &ClientGroup {
        &self.who
    }

    /// The action.
    #[must_use]
    pub(crate) fn action(&self) -> Action {
        self.action
    }

    /// The policy that the warrant was given for.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.set.policies[self.in_force.index()]
    }

    /// The set that the policy belongs to.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// How the policy runs: whether the statement is sent.
    #[must_use]
    pub fn mode(&self) -> RunMode {
        self.in_force.mode()
    }

    /// The reason in words.
    #[must_use]
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The operator's order, if it is no policy's.
    #[must_use]
    pub(crate) fn order(&self) -> Option<&OperatorOrder> {
        self.order.as_deref()
    }

    /// What is under way when it is carried out.
    #[must_use]
    pub(crate) fn begun(&self) -> Begun {
        Begun {
            key: self.key,
            policy: Arc::clone(&self.policy().name),
            action: self.action,
            mode: self.mode(),
        }
    }

    /// The snapshot's time by the database's clock, in UTC.
    #[must_use]
    pub fn issued(&self) -> DateTime<Utc> {
        self.issued
    }
}

/// One policy's decision about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The policy's place in the set.
    pub policy: usize,
    /// How the policy runs.
    pub(crate) mode: RunMode,
    /// The session's row in the snapshot.
    pub row: usize,
    /// The action: the policy's own, or a later rung of its ladder.
    pub action: Action,
    /// Why, which says what was decided.
    pub why: Why,
}

impl Decision {
    /// What was decided.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.why.verdict()
    }

    /// What the words of its reason are made from.
    #[must_use]
    pub(crate) fn about<'a>(&self, set: &'a PolicySet, snapshot: &'a Snapshot) -> About<'a> {
        About {
            set,
            policy: self.policy,
            snapshot,
            row: self.row,
        }
    }

    /// The reason in words, with the session's values.
    #[must_use]
    pub fn reason(&self, set: &PolicySet, snapshot: &Snapshot) -> String {
        self.about(set, snapshot).words(&self.why)
    }
}

/// All decisions of a cycle.
#[derive(Debug, Default)]
#[must_use = "it holds the warrants"]
pub struct Ruling {
    /// One for each matched session and policy, in the order of the policies, worst session first.
    pub decisions: Vec<Decision>,
    /// One for each session that may be acted on.
    pub warrants: Vec<Warrant>,
    /// Policies whose whole plan was refused.
    pub(crate) open_breakers: Vec<OpenBreaker>,
    /// Groups that a policy leaves alone.
    pub(crate) suspended: Vec<Suspended>,
}

/// Applies the limits. `standstill` is why no session may be acted on, if so.
pub fn rule(
    plan: &Plan,
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    ledger: &Ledger,
    standstill: Option<&Standstill>,
) -> Ruling {
    let mut ruling = Ruling {
        suspended: suspended(situation),
        ..Ruling::default()
    };
    let mut taken = Permitted::default();
    for policy_plan in &plan.policies {
        let in_force = policy_plan.in_force;
        let policy = &situation.set().policies[in_force.index()];
        let breaker = open_breaker(policy_plan, policy, situation.limits());
        let mut allowance = Allowance::new(policy, in_force, snapshot, situation, ledger, &taken);
        for entry in &policy_plan.entries {
            let why = match &entry.standing {
                Standing::Ready | Standing::Escalating { .. } => {
                    let refusal = breaker.clone().map(Refusal::Breaker);
                    let refusal = refusal.or_else(|| left_alone(entry, policy_plan, &ruling.suspended, snapshot));
                    let obstacle = || {
                        standstill
                            .cloned()
                            .map(Obstacle::Standstill)
                            .or_else(|| allowance.obstacle(entry))
                    };
                    let limit = refusal.map(Why::Refused).or_else(|| obstacle().map(Why::Deferred));
                    limit.unwrap_or_else(|| Why::Standing(entry.standing.clone()))
                }
                standing @ (Standing::Pending { .. }
                | Standing::Protected(_)
                | Standing::SharedProcess(_)
                | Standing::Exempt(_)
                | Standing::Followed(_)) => Why::Standing(standing.clone()),
            };
            let (action, escalates) = match entry.standing {
                Standing::Escalating { last, next } => (next, last != next),
                Standing::Ready
                | Standing::Pending { .. }
                | Standing::Protected(_)
                | Standing::SharedProcess(_)
                | Standing::Exempt(_)
                | Standing::Followed(_) => (policy.action, false),
            };
            let decision = Decision {
                policy: in_force.index(),
                mode: in_force.mode(),
                row: entry.row,
                action,
                why,
            };
            if let (Verdict::Act, Some(key)) = (decision.verdict(), meant(entry, situation)) {
                allowance.take(entry, key, &mut taken);
                ruling.warrants.push(Warrant {
                    key,
                    who: ClientGroup::of(snapshot, entry.row),
                    set: Arc::clone(situation.set()),
                    in_force,
                    action,
                    escalates,
                    reason: match situation.rules.order() {
                        Some(order) => order.words(),
                        None => decision.reason(situation.set(), snapshot),
                    },
                    issued: situation.now,
                    order: situation.rules.order().cloned(),
                    used: false,
                });
            }
            ruling.decisions.push(decision);
        }
        ruling.open_breakers.extend(breaker);
    }
    assert_one_warrant_a_session(&ruling);
    ruling
}

/// The session of an entry, if a warrant may be for it: an operator was shown one session, and another one with its SID and
/// SERIAL# is not meant.
fn meant(entry: &PlanEntry, situation: &Situation<'_>) -> Option<SessionKey> {
    let order = situation.rules.order();
    entry.key.filter(|key| order.is_none_or(|order| order.key == *key))
}

/// The groups that refill, for every policy in force, due or not.
fn suspended(situation: &Situation<'_>) -> Vec<Suspended> {
    let of_policy = |in_force: &InForce| {
        let policy = &situation.set().policies[in_force.index()];
        let times = policy.limits.respawns.unwrap_or(situation.limits().respawns);
        let groups = situation.refills.suspended(times, situation.now, |ended| {
            ended.policy == policy.name && in_force.reckons_with(situation.set(), ended.mode, &ended.policy)
        });
        let index = in_force.index();
        groups.into_iter().map(move |(who, suspension)| Suspended {
            policy: index,
            who,
            suspension,
        })
    };
    situation.here.running().iter().flat_map(of_policy).collect()
}

/// Why a session's group is left alone, if so. An escalation is not stopped by it.
fn left_alone(
    entry: &PlanEntry,
    policy_plan: &PolicyPlan,
    suspended: &[Suspended],
    snapshot: &Snapshot,
) -> Option<Refusal> {
    if entry.standing.is_next_rung() || suspended.is_empty() {
        return None;
    }
    let is_of =
        |group: &&Suspended| group.policy == policy_plan.in_force.index() && group.who.includes(snapshot, entry.row);
    suspended.iter().find(is_of).cloned().map(Refusal::Suspended)
}

/// Asserts, in release builds too, that no session gets two warrants in one cycle. Policies in `mode: dry-run` are counted
/// separately: they take no session from the others.
fn assert_one_warrant_a_session(ruling: &Ruling) {
    let mut seen = HashSet::new();
    for warrant in ruling
        .warrants
        .iter()
        .filter(|warrant| warrant.action != Action::Report)
    {
        assert!(
            seen.insert((warrant.key, warrant.policy().mode)),
            "two warrants for session {}",
            warrant.key
        );
    }
}

fn open_breaker(policy_plan: &PolicyPlan, policy: &Policy, limits: &EffectiveLimits) -> Option<OpenBreaker> {
    let total: usize = policy_plan.candidates.values().sum();
    if total <= BREAKER_IGNORES {
        return None;
    }
    let share = policy.limits.share.unwrap_or(limits.share);
    policy_plan.candidates.iter().find_map(|(inst_id, candidates)| {
        let user_sessions = policy_plan.user_sessions.get(inst_id).copied().unwrap_or(0);
        let over = candidates.saturating_mul(100) > user_sessions.saturating_mul(share as usize);
        over.then_some(OpenBreaker {
            policy: policy_plan.in_force.index(),
            inst_id: *inst_id,
            candidates: *candidates,
            user_sessions,
            share,
        })
    })
}

/// Checks that the session still deserves the warrant: the same identity, the whole condition, all protections and exemptions.
/// `again` is a new snapshot of that session and of whatever its derived columns need.
///
/// # Errors
/// Why it is spared.
pub fn still_deserved(
    warrant: &Warrant,
    again: &Snapshot,
    facts: &ProtectionFacts,
    limits: &EffectiveLimits,
    today: chrono::NaiveDate,
) -> Result<usize, Spared> {
    let row = again.find(warrant.key).ok_or(Spared::Gone)?;
    let policy = warrant.policy();
    let state_from = if warrant.escalates {
        StateFrom::OwnAction
    } else {
        StateFrom::Itself
    };
    let sessions = Eligibility::of(again, facts, limits, &warrant.set.exemptions, today);
    let matches = matched_rows(policy, again).contains(&row);
    match sessions.objection(policy, row, matches, state_from) {
        None => Ok(row),
        Some(objection) => Err(spared(objection, again, row)),
    }
}

/// Why the server process of the warrant's session may not end because of another session that it serves, if so. One that is gone,
/// or whose SID has another session, is no obstacle.
pub(crate) fn stopped_by_another(
    warrant: &Warrant,
    again: &Snapshot,
    (sid, serial): (u32, u32),
    facts: &ProtectionFacts,
    limits: &EffectiveLimits,
    today: chrono::NaiveDate,
) -> Option<String> {
    let is_there = |row: &usize| {
        again.id(*row, Column::InstId) == Some(warrant.key.inst_id)
            && again.id(*row, Column::Sid) == Some(sid)
            && again.id(*row, Column::Serial) == Some(serial)
    };
    let row = (0..again.rows()).find(is_there)?;
    let policy = warrant.policy();
    let sessions = Eligibility::of(again, facts, limits, &warrant.set.exemptions, today);
    let matches = matched_rows(policy, again).contains(&row);
    let who = format!("{sid},{serial},@{}", warrant.key.inst_id);
    match means_for(&sessions, row, policy, matches) {
        ProcessSharer::MustStay(what) => Some(must_stay(&who, &spared(what, again, row).to_string())),
        ProcessSharer::EndsUnrecorded => Some(ends_unrecorded(&who)),
        ProcessSharer::EndsAnyway => None,
    }
}

fn spared(objection: Objection, again: &Snapshot, row: usize) -> Spared {
    match objection {
        Objection::Protected(protection) => Spared::Protected(protection, why_protected(protection, again, row)),
        Objection::Exempt(_) => Spared::Exempt,
        Objection::NoMatch => Spared::ConditionNoLongerHolds,
    }
}
