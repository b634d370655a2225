//! One policy's limits in one cycle: budgets, floors of groups, and the estimate of the pressure.
//!
//! Warrants of earlier policies in this cycle count as done, as far as they count for this policy.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::evaluate::truth::Truth;
use crate::decide::going::{is_going, rows_going};
use crate::decide::guard::floors::Floors;
use crate::decide::in_force::{InForce, RunMode};
use crate::decide::ledger::{Ledger, LedgerEntry, UnknownUse};
use crate::decide::plan::{PlanEntry, Situation};
use crate::decide::pressure::{Readings, judge};
use crate::decide::reason::{Obstacle, Relief, Standing, Whose};
use crate::decide::verify::Following;
use crate::policy::model::{Action, Policy};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// What has been permitted so far in this cycle, over all policies.
#[derive(Debug, Default)]
pub(super) struct Permitted(Vec<Took>);

#[derive(Clone, Debug)]
struct Took {
    key: SessionKey,
    mode: RunMode,
    by: Arc<str>,
}

/// A budget: the actions allowed in a period, and those used before this cycle.
struct Budget {
    key: &'static str,
    whose: Whose,
    limit: u32,
    used: u32,
    /// Why it counts as used up, where that is not by what is known to be done.
    unknown: Option<UnknownUse>,
}

/// One policy's limits: budgets, floors of groups, and the estimate of the pressure.
pub(super) struct Allowance<'a> {
    policy: &'a Policy,
    in_force: InForce,
    snapshot: &'a Snapshot,
    budgets: Vec<Budget>,
    /// The sessions with a warrant of this cycle that counts for this policy, and the policy that took each.
    taken: HashMap<SessionKey, Arc<str>>,
    all_actions: u32,
    own_actions: u32,
    floors: Option<Floors<'a>>,
    readings: &'a Readings,
    /// The same without what the sessions use that are going.
    estimate: Readings,
    following: &'a Following,
    now: DateTime<Utc>,
}

/// For each row, whether it is going as far as this policy counts it: an action on it is under way or followed, or it is `taken` in
/// this cycle.
fn going(
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    in_force: InForce,
    taken: impl Iterator<Item = SessionKey>,
) -> Vec<bool> {
    let followed = situation.all_followed(in_force);
    let followed = followed.filter(|(_, followed)| is_going(followed));
    let followed = followed.map(|(key, _)| *key);
    let under_way = situation.under_way.counted(in_force, situation.set());
    let under_way = under_way.map(|begun| begun.key);
    rows_going(snapshot, followed.chain(under_way).chain(taken))
}

/// Whether an earlier action of the policy on the session is followed, so that floors and estimates count it as going.
fn is_followed(standing: &Standing) -> bool {
    matches!(standing, Standing::Escalating { .. })
}

impl<'a> Allowance<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        in_force: InForce,
        snapshot: &'a Snapshot,
        situation: &Situation<'a>,
        ledger: &Ledger,
        taken: &Permitted,
    ) -> Allowance<'a> {
        let counts = |mode, by: &str| in_force.reckons_with(situation.set(), mode, by);
        let used = |hours, limit, name: Option<&str>| {
            let is_of = |policy: &str| name.is_none_or(|name| policy == name);
            let period = TimeDelta::hours(hours);
            let is_counted = |entry: &LedgerEntry| counts(entry.mode, &entry.policy) && is_of(&entry.policy);
            let done = ledger.used(situation.now, (period, limit), is_counted);
            let known = ledger.count(situation.now, period, is_counted);
            let unknown = ledger.unknown_within(situation.now, period).filter(|_| known < limit);
            let begun = situation.under_way.counted(in_force, situation.set());
            let begun = begun.filter(|begun| is_of(&begun.policy)).count();
            (done.saturating_add(u32::try_from(begun).unwrap_or(u32::MAX)), unknown)
        };
        let before: Vec<&Took> = taken.0.iter().filter(|took| counts(took.mode, &took.by)).collect();
        let holders: HashMap<SessionKey, Arc<str>> =
            before.iter().map(|took| (took.key, Arc::clone(&took.by))).collect();
        let (all, own) = (situation.limits(), &policy.limits);
        let name = Some(&*policy.name);
        let mut budgets = Vec::new();
        let mut add = |key, whose, limit: Option<u32>, used: &dyn Fn(u32) -> (u32, Option<UnknownUse>)| {
            budgets.extend(limit.map(|limit| {
                let (used, unknown) = used(limit);
                Budget {
                    key,
                    whose,
                    limit,
                    used,
                    unknown,
                }
            }));
        };
        add("per_cycle", Whose::Database, Some(all.per_cycle), &|_| (0, None));
        add("per_hour", Whose::Database, Some(all.per_hour), &|limit| {
            used(1, limit, None)
        });
        add("per_day", Whose::Database, all.per_day, &|limit| used(24, limit, None));
        add("per_cycle", Whose::Policy, own.per_cycle, &|_| (0, None));
        add("per_hour", Whose::Policy, own.per_hour, &|limit| used(1, limit, name));
        add("per_day", Whose::Policy, own.per_day, &|limit| used(24, limit, name));
        let going = || going(snapshot, situation, in_force, holders.keys().copied());
        let matched = situation.matches.rows(in_force.index());
        let floors = policy.keep.as_ref();
        let floors = floors.and_then(|_| Floors::of(policy, snapshot, matched, &going()));
        let mut estimate = situation.gates.readings().clone();
        if policy.pressure.as_ref().is_some_and(|pressure| pressure.end.is_some()) {
            // A session that is going is not a reason to take another.
            for (row, _) in going().into_iter().enumerate().filter(|(_, going)| *going) {
                estimate.take_away(snapshot, row);
            }
        }
        Allowance {
            policy,
            in_force,
            snapshot,
            budgets,
            all_actions: u32::try_from(before.len()).unwrap_or(u32::MAX),
            taken: holders,
            own_actions: 0,
            floors,
            readings: situation.gates.readings(),
            estimate,
            following: situation.following,
            now: situation.now,
        }
    }

    /// Why the session is deferred, if so.
    pub(super) fn obstacle(&self, entry: &PlanEntry) -> Option<Obstacle> {
        if self.policy.action == Action::Report {
            return None;
        }
        if let Some(holder) = entry.key.and_then(|key| self.taken.get(&key)) {
            return Some(Obstacle::Taken(Arc::clone(holder)));
        }
        if self.policy.action == Action::CancelSql && self.snapshot.text(entry.row, Column::SqlId).is_none() {
            return Some(Obstacle::NoSqlId);
        }
        for budget in &self.budgets {
            let now = match budget.whose {
                Whose::Database => self.all_actions,
                Whose::Policy => self.own_actions,
            };
            if budget.used.saturating_add(now) >= budget.limit {
                return Some(Obstacle::Budget {
                    whose: budget.whose,
                    key: budget.key,
                    limit: budget.limit,
                    unknown: budget.unknown.clone(),
                });
            }
        }
        if let Some(tried) = entry.key.and_then(|key| self.tried(&entry.standing, key)) {
            return Some(tried);
        }
        if entry.standing.is_next_rung() {
            // It has counted as going since its first action, so a stronger action changes no floor and no estimate.
            return None;
        }
        let floors = self.floors.as_ref();
        // One that may have been ended before is there, although it has counted as going since.
        let itself = u32::from(is_followed(&entry.standing));
        if let Some(floor) = floors.and_then(|floors| floors.reached(self.snapshot, entry.row, itself)) {
            return Some(Obstacle::Floor(floor));
        }
        self.relief(entry).map(Obstacle::Relieved)
    }

    /// Whether earlier attempts on the session make this one wait. The next rung of a ladder is no repetition, unless it was tried
    /// and came to nothing; the same rung, taken again because nobody knows what came of it, is one.
    fn tried(&self, standing: &Standing, key: SessionKey) -> Option<Obstacle> {
        match standing {
            Standing::Escalating { last, next } if last != next => self.following.failed(key, self.now),
            Standing::Escalating { .. } => self.following.tried(key, self.now, true),
            Standing::Ready
            | Standing::Pending { .. }
            | Standing::Protected(_)
            | Standing::SharedProcess(_)
            | Standing::Exempt(_)
            | Standing::Followed(_) => self.following.tried(key, self.now, false),
        }
    }

    /// Why the pressure no longer asks for this session, if so.
    fn relief(&self, entry: &PlanEntry) -> Option<Relief> {
        let end = self
            .policy
            .pressure
            .as_ref()
            .and_then(|pressure| pressure.end.as_ref())?;
        let inst_id = self.snapshot.id(entry.row, Column::InstId)?;
        match (judge(end, self.readings, inst_id), judge(end, &self.estimate, inst_id)) {
            (_, Truth::False) => None,
            (Truth::True, Truth::True | Truth::Unknown) => Some(Relief::Already { inst_id }),
            (Truth::False, Truth::True) => Some(Relief::ByEstimate),
            (Truth::Unknown | Truth::False, Truth::Unknown) | (Truth::Unknown, Truth::True) => {
                Some(Relief::Unknown { inst_id })
            }
        }
    }

    pub(super) fn take(&mut self, entry: &PlanEntry, key: SessionKey, taken: &mut Permitted) {
        if self.policy.action == Action::Report {
            return;
        }
        let (mode, by) = (self.in_force.mode(), Arc::clone(&self.policy.name));
        self.taken.insert(key, Arc::clone(&by));
        taken.0.push(Took { key, mode, by });
        self.all_actions += 1;
        self.own_actions += 1;
        if is_followed(&entry.standing) {
            // Floor and estimate have not counted it since its first action.
            return;
        }
        let row = entry.row;
        if let Some(floors) = &mut self.floors {
            floors.take(row);
        }
        self.estimate.take_away(self.snapshot, row);
    }
}
