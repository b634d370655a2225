//! The guard: applies every limit to a plan in one place, and alone hands out warrants.
//!
//! A warrant is permission for exactly one action on exactly one session. It cannot be copied, and carrying it out uses it
//! up, so "at most one action a session a cycle" and "never above a budget" are decided here and nowhere else; the actuator
//! counts nothing.
//!
//! Two kinds of limit, never mixed up. A **budget** takes the worst N and defers the rest. The **breaker** refuses a policy's
//! whole plan when its candidates are more than a share of an instance's user sessions, because that is more likely a wrong
//! policy than so many bad sessions.
//!
//! Beside both, a policy is suspended for a group of sessions that comes back after each kill (`respawn`): it is told whom to
//! leave alone, and refuses them one by one.

mod bench;
mod lapse;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::guard::bench::{Bench, Taken};
pub use crate::decide::guard::lapse::{Going, Surroundings};
use crate::decide::in_force::{EffectiveLimits, InForce, RunMode};
use crate::decide::ledger::Ledger;
use crate::decide::plan::{
    Entry, Plan, PolicyPlan, Situation, Standing, escalation_protection, exempt_rows, matched_rows,
    standing_protection, why,
};
use crate::decide::protect::{Facts, because, protections};
use crate::decide::respawn::{CAME_BACK_WITHIN, Suspension, Who};
use crate::policy::model::{Action, Policy, PolicySet, Protection};
use crate::quantity::Span;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// The breaker never opens for so few candidates.
pub const BREAKER_IGNORES: usize = 5;

/// Permission for exactly one action.
#[derive(Debug)]
pub struct Warrant {
    key: SessionKey,
    who: Who,
    set: Arc<PolicySet>,
    in_force: InForce,
    action: Action,
    escalates: bool,
    reason: String,
    issued: DateTime<Utc>,
}

impl Warrant {
    /// On whom.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The like of the session.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// What.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// By which policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.set.policies[self.in_force.index()]
    }

    /// The set that the policy is of.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// Whether the statement is sent.
    #[must_use]
    pub fn mode(&self) -> RunMode {
        self.in_force.mode()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The snapshot's time, by the database's clock in UTC.
    #[must_use]
    pub fn issued(&self) -> DateTime<Utc> {
        self.issued
    }
}

/// What was decided about one session by one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The policy's place in the set.
    pub policy: usize,
    /// Whether it would be real.
    pub mode: RunMode,
    /// The session's row in the snapshot.
    pub row: usize,
    /// What would be done: the policy's action, or a later rung of its ladder.
    pub action: Action,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in words with the session's own values.
    pub reason: String,
}

/// The six things that can be decided of a session whose condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// A warrant was given.
    Act,
    /// `for:` is not served.
    Pending,
    /// A budget is used up, a group is at its floor, or the session is taken care of already.
    Deferred,
    /// The breaker is open, or the policy is suspended for the session's group, which refills.
    Refused,
    /// A protection spares it.
    Protected(Protection),
    /// An exemption spares it.
    Exempt,
}

impl Verdict {
    /// As reports and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Act => "act",
            Verdict::Pending => "pending",
            Verdict::Deferred => "deferred",
            Verdict::Refused => "refused",
            Verdict::Protected(_) => "protected",
            Verdict::Exempt => "exempt",
        }
    }
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    /// The policy's place in the set.
    pub policy: usize,
    /// The instance that opened it.
    pub inst_id: u32,
    /// Candidates there.
    pub candidates: usize,
    /// User sessions there.
    pub user_sessions: usize,
    /// The share in percent that was passed.
    pub share: u32,
}

/// A group that a policy leaves alone, because it refills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// The policy's place in the set.
    pub policy: usize,
    /// The group.
    pub who: Who,
    /// How often it refilled, and until when it is left alone.
    pub suspension: Suspension,
}

impl Suspended {
    /// In words.
    #[must_use]
    pub fn reason(&self) -> String {
        let Suspension { times, until } = self.suspension;
        let within = Span(CAME_BACK_WITHIN.num_seconds());
        format!(
            "suspended: sessions of {} came back within {within} of being ended, in {times} cycles of a day; left alone \
             until {}",
            self.who,
            until.format("%Y-%m-%dT%H:%M:%SZ")
        )
    }
}

/// Everything that was decided in a cycle.
#[derive(Debug, Default)]
pub struct Ruling {
    /// One for each matched session and policy, in the policies' order, worst first.
    pub decisions: Vec<Decision>,
    /// One for each session that may be acted on.
    pub warrants: Vec<Warrant>,
    /// Policies whose whole plan was refused.
    pub open_breakers: Vec<OpenBreaker>,
    /// Groups that a policy leaves alone.
    pub suspended: Vec<Suspended>,
}

/// Applies the limits. `stale` is why the snapshot is too old to act on, if it is.
#[must_use]
pub fn rule(
    plan: &Plan,
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    ledger: &Ledger,
    stale: Option<&str>,
) -> Ruling {
    let mut ruling = Ruling {
        suspended: suspended(situation),
        ..Ruling::default()
    };
    let mut taken = Taken::default();
    for policy_plan in &plan.policies {
        let policy = &situation.set().policies[policy_plan.in_force.index()];
        let breaker = open_breaker(policy_plan, policy, situation.limits());
        let mut bench = Bench::new(policy, policy_plan.in_force, snapshot, situation, ledger, &taken);
        for entry in &policy_plan.entries {
            let stopped = match &entry.standing {
                Standing::Ready | Standing::Escalating { .. } => {
                    let refused = breaker.as_ref().map(breaker_reason);
                    let refused = refused.or_else(|| left_alone(entry, policy_plan, &ruling.suspended, snapshot));
                    let deferred = || stale.map(str::to_owned).or_else(|| bench.obstacle(entry));
                    refused
                        .map(|why| (Verdict::Refused, why))
                        .or_else(|| deferred().map(|why| (Verdict::Deferred, why)))
                }
                Standing::Pending { .. } | Standing::Protected(_) | Standing::Exempt(_) | Standing::Followed => None,
            };
            let (verdict, reason) = stopped.unwrap_or_else(|| {
                let why = why(entry, policy, situation.set(), snapshot, situation.now);
                (verdict_of(&entry.standing), why)
            });
            let (action, escalates) = match entry.standing {
                Standing::Escalating { next, .. } => (next, true),
                Standing::Ready
                | Standing::Pending { .. }
                | Standing::Protected(_)
                | Standing::Exempt(_)
                | Standing::Followed => (policy.action, false),
            };
            if let (Verdict::Act, Some(key)) = (verdict, entry.key) {
                bench.take(entry.row, key, escalates, &mut taken);
                ruling.warrants.push(Warrant {
                    key,
                    who: Who::of(snapshot, entry.row),
                    set: Arc::clone(situation.set()),
                    in_force: policy_plan.in_force,
                    action,
                    escalates,
                    reason: reason.clone(),
                    issued: situation.now,
                });
            }
            ruling.decisions.push(Decision {
                policy: policy_plan.in_force.index(),
                mode: policy_plan.in_force.mode(),
                row: entry.row,
                action,
                verdict,
                reason,
            });
        }
        ruling.open_breakers.extend(breaker);
    }
    assert_one_warrant_a_session(&ruling);
    ruling
}

/// Every policy's groups that refill, due or not.
fn suspended(situation: &Situation<'_>) -> Vec<Suspended> {
    let of_policy = |in_force: &InForce| {
        let policy = &situation.set().policies[in_force.index()];
        let times = policy.limits.respawns.unwrap_or(situation.limits().respawns);
        let groups = situation.respawns.suspended(times, situation.now, |ended| {
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

/// Why a session's group is left alone, if it is. What was begun is brought to an end all the same.
fn left_alone(entry: &Entry, policy_plan: &PolicyPlan, suspended: &[Suspended], snapshot: &Snapshot) -> Option<String> {
    if matches!(entry.standing, Standing::Escalating { .. }) || suspended.is_empty() {
        return None;
    }
    let is_of =
        |group: &&Suspended| group.policy == policy_plan.in_force.index() && group.who.includes(snapshot, entry.row);
    suspended.iter().find(is_of).map(Suspended::reason)
}

/// The last line: whatever went before, no session gets two warrants in one cycle, in release builds too. Policies in `mode:
/// dry-run` are a world of their own, which takes nothing from the others.
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

const fn verdict_of(standing: &Standing) -> Verdict {
    match standing {
        Standing::Ready | Standing::Escalating { .. } => Verdict::Act,
        Standing::Pending { .. } => Verdict::Pending,
        Standing::Protected(protection) => Verdict::Protected(*protection),
        Standing::Exempt(_) => Verdict::Exempt,
        Standing::Followed => Verdict::Deferred,
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

fn breaker_reason(breaker: &OpenBreaker) -> String {
    format!(
        "breaker open: {} candidates of {} user sessions on instance {}, more than {}%",
        breaker.candidates, breaker.user_sessions, breaker.inst_id, breaker.share
    )
}

/// Why a session that was read again is spared after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spared {
    /// It is not there any more.
    Gone,
    /// A protection holds now.
    Protected(Protection, String),
    /// An exemption holds now.
    Exempt,
    /// The condition is no longer TRUE.
    ConditionNoLongerHolds,
}

impl Spared {
    /// As journal and metrics have it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Spared::Gone => "already_gone",
            Spared::Protected(protection, _) => protection.name(),
            Spared::Exempt => "exempt",
            Spared::ConditionNoLongerHolds => "no_longer_matches",
        }
    }
}

/// Whether the session as it was read just now still deserves the warrant: the same identity, the whole condition, all
/// protections and exemptions. `again` is a snapshot of that session and whatever its derived columns need.
///
/// # Errors
/// Why it is spared.
pub fn still_deserved(
    warrant: &Warrant,
    again: &Snapshot,
    facts: &Facts,
    limits: &EffectiveLimits,
    today: chrono::NaiveDate,
) -> Result<usize, Spared> {
    let row = again.find(warrant.key).ok_or(Spared::Gone)?;
    deserves(warrant, again, row, facts, limits, today).map(|()| row)
}

/// Whether a session that would end together with the warrant's deserves it as well. One that is gone, or that is not in the
/// seat any more, is no obstacle; one that is KILLED ends anyway, but its other protections hold.
///
/// # Errors
/// Why it is spared.
pub fn deserved_by_another(
    warrant: &Warrant,
    again: &Snapshot,
    (sid, serial): (u32, u32),
    facts: &Facts,
    limits: &EffectiveLimits,
    today: chrono::NaiveDate,
) -> Result<(), Spared> {
    let is_there = |row: &usize| {
        again.id(*row, Column::InstId) == Some(warrant.key.inst_id)
            && again.id(*row, Column::Sid) == Some(sid)
            && again.id(*row, Column::Serial) == Some(serial)
    };
    match (0..again.rows()).find(is_there) {
        None => Ok(()),
        Some(row) => deserves(warrant, again, row, facts, limits, today),
    }
}

fn deserves(
    warrant: &Warrant,
    again: &Snapshot,
    row: usize,
    facts: &Facts,
    limits: &EffectiveLimits,
    today: chrono::NaiveDate,
) -> Result<(), Spared> {
    let policy = warrant.policy();
    let is_other = again.key(row) != Some(warrant.key);
    let under = protections(again, facts)[row];
    let protection = if warrant.escalates || is_other {
        escalation_protection(policy, again, row, under, limits)
    } else {
        standing_protection(policy, again, row, under, limits)
    };
    if let Some(protection) = protection {
        return Err(Spared::Protected(protection, because(protection, again, row)));
    }
    if exempt_rows(&warrant.set.exemptions, again, today).contains_key(&row) {
        return Err(Spared::Exempt);
    }
    // A session that this policy's own action has marked is KILLED and matches no more; it is the same session all the same.
    let marked = (warrant.escalates || is_other) && again.text(row, Column::Status) == Some("KILLED");
    if !marked && !matched_rows(policy, again).contains(&row) {
        return Err(Spared::ConditionNoLongerHolds);
    }
    Ok(())
}
