//! What is ahead: whose holds are served next, what is left of the budgets, at which pressure policies begin, and which killed
//! sessions linger. For the status page; each list is bounded.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::cycle::Cycle;
use crate::decide::in_force::{DatabaseRules, InForce, RunMode};
use crate::decide::ledger::Ledger;
use crate::decide::pressure::Readings;
use crate::decide::reason::{Standing, Why};
use crate::decide::refill::ClientGroup;
use crate::decide::verify::{FollowState, Following};
use crate::policy::model::PolicySet;
use crate::policy::pressure::{Resource, Threshold};
use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;

/// The most pending sessions of a policy that a report lists.
const PENDING: usize = 5;

/// The most lingering sessions of a database that a report lists.
const LINGERING: usize = 20;

/// A session whose condition holds, but not yet for as long as `for:` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReport {
    /// The session.
    pub key: SessionKey,
    /// Its user, machine and program.
    pub who: ClientGroup,
    /// The seconds from the snapshot until the hold is served, if the condition goes on to hold.
    pub(crate) remaining: u64,
}

impl PendingReport {
    /// Those of a policy whose hold is served soonest.
    pub(crate) fn soonest(policy: usize, cycle: &Cycle, set: &PolicySet, snapshot: &Snapshot) -> Vec<PendingReport> {
        let hold = set.policies[policy].hold;
        let of_policy = cycle
            .ruling
            .decisions
            .iter()
            .filter(|decision| decision.policy == policy);
        let mut pending: Vec<(u64, usize)> = of_policy
            .filter_map(|decision| match &decision.why {
                Why::Standing(Standing::Pending { held }) => {
                    Some((hold.saturating_sub(u64::try_from(*held).unwrap_or(0)), decision.row))
                }
                Why::Standing(
                    Standing::Ready
                    | Standing::Protected(_)
                    | Standing::SharedProcess(_)
                    | Standing::Exempt(_)
                    | Standing::Followed(_)
                    | Standing::Escalating { .. },
                )
                | Why::Refused(_)
                | Why::Deferred(_) => None,
            })
            .collect();
        pending.sort_unstable();
        let report = |(remaining, row): (u64, usize)| {
            Some(PendingReport {
                key: snapshot.key(row)?,
                who: ClientGroup::of(snapshot, row),
                remaining,
            })
        };
        pending.into_iter().filter_map(report).take(PENDING).collect()
    }
}

/// A budget, and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetReport {
    /// The policy that it belongs to; `None`: all policies of the database together.
    pub policy: Option<Arc<str>>,
    /// The key in the configuration or the policy: `per_hour`, `per_day`.
    pub key: &'static str,
    /// The most actions in the period.
    pub limit: u32,
    /// Those in the period that ends now.
    pub used: u32,
}

impl BudgetReport {
    /// The budgets by hour and by day, the database's first. Those of the database count real actions, or those of dry runs where no
    /// policy enforces.
    pub(crate) fn all(
        rules: &DatabaseRules,
        in_force: &[InForce],
        ledger: &Ledger,
        now: DateTime<Utc>,
    ) -> Vec<BudgetReport> {
        let set = rules.set();
        let limits = rules.limits();
        let mut budgets = Vec::new();
        let mut add = |of: &InForce, policy: Option<&Arc<str>>, per_hour: Option<u32>, per_day: Option<u32>| {
            for (key, hours, limit) in [("per_hour", 1, per_hour), ("per_day", 24, per_day)] {
                budgets.extend(limit.map(|limit| BudgetReport {
                    policy: policy.cloned(),
                    key,
                    limit,
                    used: ledger.used(now, (TimeDelta::hours(hours), limit), |entry| {
                        of.reckons_with(set, entry.mode, &entry.policy)
                            && policy.is_none_or(|policy| entry.policy == *policy)
                    }),
                }));
            }
        };
        let enforces = in_force.iter().find(|policy| policy.mode() == RunMode::Enforce);
        if let Some(first) = enforces.or(in_force.first()) {
            add(first, None, Some(limits.per_hour), limits.per_day);
        }
        for policy in in_force {
            let own = &set.policies[policy.index()];
            add(policy, Some(&own.name), own.limits.per_hour, own.limits.per_day);
        }
        budgets
    }
}

/// A session that was killed and is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LingeringReport {
    /// The session.
    pub key: SessionKey,
    /// The policy that killed it.
    pub policy: Arc<str>,
    /// The time of the snapshot behind the kill, by the database's clock.
    pub since: DateTime<Utc>,
}

impl LingeringReport {
    /// Those that linger longest.
    pub(crate) fn all(following: &Following) -> Vec<LingeringReport> {
        let lingers = following
            .iter()
            .filter(|(_, followed)| followed.state == FollowState::Lingering);
        let mut all: Vec<LingeringReport> = lingers
            .map(|(key, followed)| LingeringReport {
                key: *key,
                policy: Arc::clone(&followed.policy),
                since: followed.since,
            })
            .collect();
        all.sort_by_key(|lingering| (lingering.since, lingering.key));
        all.truncate(LINGERING);
        all
    }
}

/// The shares of a resource's limit at which policies in force begin or stop on an instance.
pub(crate) fn marks(set: &PolicySet, in_force: &[InForce], readings: &Readings, inst_id: u32) -> Vec<(Resource, f64)> {
    let conditions = in_force
        .iter()
        .filter_map(|policy| set.policies[policy.index()].pressure.as_ref());
    let comparisons = conditions.flat_map(|pressure| {
        let end = pressure.end.iter().flat_map(|end| end.comparisons());
        pressure.begin.comparisons().into_iter().chain(end)
    });
    let mut marks: Vec<(Resource, f64)> = comparisons
        .filter_map(|(resource, _, threshold)| match threshold {
            Threshold::Percent(percent) => Some((resource, f64::from(percent) / 100.0)),
            Threshold::Amount(amount) => {
                let limit = readings.get(inst_id, resource)?.limit.filter(|limit| *limit > 0)?;
                // The lost precision of a large amount does not matter in a ratio.
                Some((resource, amount as f64 / limit as f64))
            }
        })
        .collect();
    marks.sort_by(|one, other| one.0.name().cmp(other.0.name()).then(one.1.total_cmp(&other.1)));
    marks.dedup();
    marks
}
