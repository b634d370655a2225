//! The guard: applies every limit to a plan in one place, and alone hands out warrants.
//!
//! A warrant is permission for exactly one action on exactly one session. It cannot be copied, and carrying it out uses it
//! up, so "at most one action a session a cycle" and "never above a budget" are decided here and nowhere else; the actuator
//! counts nothing.
//!
//! Two kinds of limit, never mixed up. A **budget** takes the worst N and defers the rest. The **breaker** refuses a policy's
//! whole plan when its candidates are more than a share of an instance's user sessions, because that is more likely a wrong
//! policy than so many bad sessions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::evaluate::truth::Truth;
use crate::ledger::Ledger;
use crate::plan::{
    EffectiveLimits, Entry, InForce, Plan, PolicyPlan, Situation, Standing, escalation_protection, exempt_rows,
    group_of, group_sizes, matched_rows, standing_protection, why,
};
use crate::policy::model::{Action, Keep, Policy, PolicySet, Protection};
use crate::pressure::{Readings, judge};
use crate::protect::{Facts, because, protections};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// The breaker never opens for so few candidates.
pub const BREAKER_IGNORES: usize = 5;

/// Whether the last step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunMode {
    /// Everything but the statement.
    DryRun,
    /// The statement too.
    Enforce,
}

impl RunMode {
    /// The `mode` label of every metric and record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RunMode::DryRun => "dry-run",
            RunMode::Enforce => "enforce",
        }
    }
}

/// Permission for exactly one action.
#[derive(Debug)]
pub struct Warrant {
    key: SessionKey,
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

    /// What.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// By which policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.set.policies[self.in_force.index]
    }

    /// The set that the policy is of.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// Whether the statement is sent.
    #[must_use]
    pub fn mode(&self) -> RunMode {
        self.in_force.mode
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
    /// The breaker is open.
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

/// Everything that was decided in a cycle.
#[derive(Debug, Default)]
pub struct Ruling {
    /// One for each matched session and policy, in the policies' order, worst first.
    pub decisions: Vec<Decision>,
    /// One for each session that may be acted on.
    pub warrants: Vec<Warrant>,
    /// Policies whose whole plan was refused.
    pub open_breakers: Vec<OpenBreaker>,
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
    let mut ruling = Ruling::default();
    let mut taken = Taken(Vec::new());
    for policy_plan in &plan.policies {
        let policy = &situation.set.policies[policy_plan.in_force.index];
        let breaker = open_breaker(policy_plan, policy, situation.limits);
        let mut bench = Bench::new(policy, policy_plan.in_force, snapshot, situation, ledger, &taken);
        for entry in &policy_plan.entries {
            let (verdict, reason) = match (&entry.standing, &breaker, stale) {
                (Standing::Ready | Standing::Escalating { .. }, Some(breaker), _) => {
                    (Verdict::Refused, breaker_reason(breaker))
                }
                (Standing::Ready | Standing::Escalating { .. }, None, Some(stale)) => {
                    (Verdict::Deferred, stale.to_owned())
                }
                (Standing::Ready | Standing::Escalating { .. }, None, None) => match bench.obstacle(entry) {
                    Some(obstacle) => (Verdict::Deferred, obstacle),
                    None => (Verdict::Act, why(entry, policy, situation.set, snapshot, situation.now)),
                },
                (standing, _, _) => (
                    verdict_of(standing),
                    why(entry, policy, situation.set, snapshot, situation.now),
                ),
            };
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
                    set: Arc::clone(situation.set),
                    in_force: policy_plan.in_force,
                    action,
                    escalates,
                    reason: reason.clone(),
                    issued: situation.now,
                });
            }
            let (policy, mode) = (policy_plan.in_force.index, policy_plan.in_force.mode);
            ruling.decisions.push(Decision {
                policy,
                mode,
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
            policy: policy_plan.in_force.index,
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

/// What has been permitted so far in this cycle, over all policies.
#[derive(Debug)]
struct Taken(Vec<Took>);

#[derive(Clone, Debug)]
struct Took {
    key: SessionKey,
    mode: RunMode,
    by: Arc<str>,
}

/// A budget: so many in a period, and how many of them are used before this cycle.
struct Budget {
    what: &'static str,
    whose: &'static str,
    limit: u32,
    used: u32,
    all_policies: bool,
}

/// One policy's hearing: its budgets, its groups' floors, its estimate of the pressure.
struct Bench<'a> {
    policy: &'a Policy,
    in_force: InForce,
    snapshot: &'a Snapshot,
    budgets: Vec<Budget>,
    /// What this policy has to reckon with of what was permitted in this cycle: who took the session.
    taken: HashMap<SessionKey, Arc<str>>,
    all_actions: u32,
    own_actions: u32,
    floors: Option<(&'a Keep, HashMap<Vec<String>, u32>)>,
    estimate: Readings,
}

impl<'a> Bench<'a> {
    fn new(
        policy: &'a Policy,
        in_force: InForce,
        snapshot: &'a Snapshot,
        situation: &Situation<'a>,
        ledger: &Ledger,
        taken: &Taken,
    ) -> Bench<'a> {
        let counts = |mode, by: &str| in_force.reckons_with(situation.set, mode, by);
        let used = |hours, name: Option<&str>| {
            ledger.count(situation.now, TimeDelta::hours(hours), |entry| {
                counts(entry.mode, &entry.policy) && name.is_none_or(|name| &*entry.policy == name)
            })
        };
        let before: Vec<&Took> = taken.0.iter().filter(|took| counts(took.mode, &took.by)).collect();
        let holders: HashMap<SessionKey, Arc<str>> =
            before.iter().map(|took| (took.key, Arc::clone(&took.by))).collect();
        let (all, own) = (situation.limits, &policy.limits);
        let name = Some(&*policy.name);
        let mut budgets = vec![
            Budget {
                what: "per_cycle",
                whose: "the database's",
                limit: all.per_cycle,
                used: 0,
                all_policies: true,
            },
            Budget {
                what: "per_hour",
                whose: "the database's",
                limit: all.per_hour,
                used: used(1, None),
                all_policies: true,
            },
        ];
        let mut add = |what, whose, limit: Option<u32>, used, all_policies| {
            budgets.extend(limit.map(|limit| Budget {
                what,
                whose,
                limit,
                used,
                all_policies,
            }));
        };
        add("per_day", "the database's", all.per_day, used(24, None), true);
        add("per_cycle", "the policy's", own.per_cycle, 0, false);
        add("per_hour", "the policy's", own.per_hour, used(1, name), false);
        add("per_day", "the policy's", own.per_day, used(24, name), false);
        let gone = |key| situation.followed(in_force, key).is_some() || holders.contains_key(&key);
        let floors = policy
            .keep
            .as_ref()
            .map(|keep| (keep, group_sizes(snapshot, &keep.per, gone)));
        let mut estimate = situation.gates.readings().clone();
        if policy.pressure.as_ref().is_some_and(|pressure| pressure.end.is_some()) {
            // Whoever is about to go is no reason to take another.
            for row in (0..snapshot.rows()).filter(|row| snapshot.key(*row).is_some_and(gone)) {
                estimate.take_away(snapshot, row);
            }
        }
        Bench {
            policy,
            in_force,
            snapshot,
            budgets,
            all_actions: u32::try_from(before.len()).unwrap_or(u32::MAX),
            taken: holders,
            own_actions: 0,
            floors,
            estimate,
        }
    }

    /// What defers the session, if anything.
    fn obstacle(&self, entry: &Entry) -> Option<String> {
        if self.policy.action == Action::Report {
            return None;
        }
        if let Some(holder) = entry.key.and_then(|key| self.taken.get(&key)) {
            return Some(format!("policy {holder} acts on it in this cycle"));
        }
        if self.policy.action == Action::CancelSql && self.snapshot.text(entry.row, Column::SqlId).is_none() {
            return Some("it runs no SQL that has an SQL_ID, without which nothing can be cancelled".into());
        }
        for budget in &self.budgets {
            let now = if budget.all_policies {
                self.all_actions
            } else {
                self.own_actions
            };
            if budget.used.saturating_add(now) >= budget.limit {
                return Some(format!(
                    "budget: {} {} {} is used up",
                    budget.whose, budget.what, budget.limit
                ));
            }
        }
        if matches!(entry.standing, Standing::Escalating { .. }) {
            // It counts as gone since its first action: no floor and no estimate is touched by ending it for good.
            return None;
        }
        if let Some((keep, sizes)) = &self.floors {
            if let Some(missing) = keep.per.iter().find(|column| !self.snapshot.has(**column)) {
                return Some(format!("keep: {} is unknown, and so are its groups", missing.name()));
            }
            let left = sizes
                .get(&group_of(self.snapshot, entry.row, &keep.per))
                .copied()
                .unwrap_or(0);
            if left <= keep.at_least {
                let per: Vec<&str> = keep.per.iter().map(|column| column.name()).collect();
                return Some(format!("keep: only {left} left of its {}", per.join(", ")));
            }
        }
        self.recovered(entry)
    }

    fn recovered(&self, entry: &Entry) -> Option<String> {
        let end = self.policy.pressure.as_ref()?.end.as_ref()?;
        let inst_id = self.snapshot.id(entry.row, Column::InstId)?;
        let enough = judge(end, &self.estimate, inst_id) != Truth::False;
        enough.then(|| "enough were taken to relieve the pressure, by estimate".into())
    }

    fn take(&mut self, row: usize, key: SessionKey, escalates: bool, taken: &mut Taken) {
        if self.policy.action == Action::Report {
            return;
        }
        let (mode, by) = (self.in_force.mode, Arc::clone(&self.policy.name));
        self.taken.insert(key, Arc::clone(&by));
        taken.0.push(Took { key, mode, by });
        self.all_actions += 1;
        self.own_actions += 1;
        if escalates {
            // Floor and estimate have done without it since its first action.
            return;
        }
        if let Some((keep, sizes)) = &mut self.floors
            && let Some(left) = sizes.get_mut(&group_of(self.snapshot, row, &keep.per))
        {
            *left = left.saturating_sub(1);
        }
        self.estimate.take_away(self.snapshot, row);
    }
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
    let policy = warrant.policy();
    let row = again.find(warrant.key).ok_or(Spared::Gone)?;
    let under = protections(again, facts)[row];
    let protection = if warrant.escalates {
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
    let marked = warrant.escalates && again.text(row, Column::Status) == Some("KILLED");
    if !marked && !matched_rows(policy, again).contains(&row) {
        return Err(Spared::ConditionNoLongerHolds);
    }
    Ok(row)
}
