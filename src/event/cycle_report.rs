//! The counts of a cycle, for the metrics and the status page.
//!
//! All label values come from closed sets, so that the number of series is bounded. An unknown word in STATUS or TYPE becomes
//! `other`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::decide::cycle::{Cycle, Memory};
use crate::decide::in_force::{DatabaseRules, InForce, RunMode};
use crate::decide::pressure::Readings;
use crate::decide::reason::{Refusal, Standing, Why};
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::PolicyRehearsal;
use crate::decide::verify::Following;
use crate::event::Event;
use crate::event::outlook::{BudgetReport, LingeringReport, PendingReport, marks};
use crate::policy::model::{PolicySet, Protection};
use crate::policy::pressure::Resource;
use crate::session::census::kinds;
use crate::session::snapshot::Snapshot;
use crate::words::words;

/// Why no session is acted on if snapshots are already too old when they arrive.
pub const READ_TOO_SLOWLY: &str =
    "reading the sessions takes longer than two poll intervals, so no session is acted on: raise `poll`";

words! {
    /// A step of a cycle whose duration is measured.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum CycleStep {
        /// Reading the snapshot.
        Read = "read",
        /// Everything from the snapshot to the warrants.
        Decide = "decide",
        /// The whole cycle.
        Whole = "whole",
    }
}

words! {
    /// V$SESSION.TYPE.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum TypeLabel {
        /// USER.
        User = "user",
        /// BACKGROUND.
        Background = "background",
        /// RECURSIVE.
        Recursive = "recursive",
        /// NULL, or a word that is not known.
        Other = "other",
    }
}

impl TypeLabel {
    fn of(word: Option<&str>) -> TypeLabel {
        match word {
            Some("USER") => TypeLabel::User,
            Some("BACKGROUND") => TypeLabel::Background,
            Some("RECURSIVE") => TypeLabel::Recursive,
            Some(_) | None => TypeLabel::Other,
        }
    }
}

words! {
    /// V$SESSION.STATUS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum StatusLabel {
        /// ACTIVE.
        Active = "active",
        /// INACTIVE.
        Inactive = "inactive",
        /// KILLED.
        Killed = "killed",
        /// CACHED.
        Cached = "cached",
        /// SNIPED.
        Sniped = "sniped",
        /// NULL, or a word that is not known.
        Other = "other",
    }
}

impl StatusLabel {
    fn of(word: Option<&str>) -> StatusLabel {
        match word {
            Some("ACTIVE") => StatusLabel::Active,
            Some("INACTIVE") => StatusLabel::Inactive,
            Some("KILLED") => StatusLabel::Killed,
            Some("CACHED") => StatusLabel::Cached,
            Some("SNIPED") => StatusLabel::Sniped,
            Some(_) | None => StatusLabel::Other,
        }
    }
}

/// Why a session that matches a condition is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpareReason {
    /// `for:` is not fulfilled yet.
    Pending,
    /// A budget, a floor, or another action on the session.
    Deferred,
    /// An open breaker.
    Breaker,
    /// A suspended group.
    Suspended,
    /// An exemption.
    Exempt,
    /// A protection.
    Protected(Protection),
}

impl SpareReason {
    /// The `reason` label; for a protection its name.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SpareReason::Pending => "pending",
            SpareReason::Deferred => "deferred",
            SpareReason::Breaker => "breaker",
            SpareReason::Suspended => "suspended",
            SpareReason::Exempt => "exempt",
            SpareReason::Protected(protection) => protection.name(),
        }
    }

    /// The reason of a decision that spares.
    #[must_use]
    pub(crate) const fn of(why: &Why) -> Option<SpareReason> {
        match why {
            Why::Refused(Refusal::Breaker(_)) => Some(SpareReason::Breaker),
            Why::Refused(Refusal::Suspended(_)) => Some(SpareReason::Suspended),
            Why::Deferred(_) => Some(SpareReason::Deferred),
            Why::Standing(standing) => match standing {
                Standing::Ready | Standing::Escalating { .. } => None,
                Standing::Pending { .. } => Some(SpareReason::Pending),
                Standing::Followed(_) => Some(SpareReason::Deferred),
                Standing::Exempt(_) => Some(SpareReason::Exempt),
                Standing::Protected(protection) => Some(SpareReason::Protected(*protection)),
                Standing::SharedProcess(_) => Some(SpareReason::Protected(Protection::SharedProcess)),
            },
        }
    }
}

/// The counts of a cycle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CycleReport {
    /// The database.
    pub database: Arc<str>,
    /// The snapshot's time in UTC.
    pub taken_at: DateTime<Utc>,
    /// The duration of each step.
    pub steps: Vec<(CycleStep, Duration)>,
    /// Round trips to the database since the previous report.
    pub round_trips: u64,
    /// The sessions that were read; the others were counted by the database.
    pub sessions_read: usize,
    /// All instances in the snapshot.
    pub instances: Vec<InstanceReport>,
    /// Sessions by instance, type and status.
    pub sessions: Vec<SessionCount>,
    /// All policies in force, due or not.
    pub policies: Vec<PolicyReport>,
    /// What could not be read, and the consequences.
    pub notes: Vec<String>,
    /// Whether the snapshot was already too old to act on when it arrived.
    pub stale: bool,
    /// Whether this daemon leads, where one of several is to and the database is armed.
    pub leads: Option<bool>,
    /// Other daemons that may act on the database at the same time.
    pub acting_beside: usize,
    /// The budgets and what is used of them.
    pub budgets: Vec<BudgetReport>,
    /// Whether the journal may lack actions, so that each budget counts as used up.
    pub budgets_unknown: bool,
    /// Sessions that were killed and linger.
    pub lingering: Vec<LingeringReport>,
}

/// One instance in a cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceReport {
    /// INST_ID.
    pub inst_id: u32,
    /// INSTANCE_NAME.
    pub name: Arc<str>,
    /// Whether its sessions were read.
    pub complete: bool,
    /// Killed sessions that linger.
    pub lingering: usize,
    /// The use of each resource that could be read, as a share of the limit: 1.0 is full.
    pub pressure: Vec<(Resource, f64)>,
    /// The shares at which policies begin or stop, as far as the limits are known.
    pub marks: Vec<(Resource, f64)>,
}

/// The number of sessions with one combination of instance, type and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCount {
    /// INST_ID.
    pub inst_id: u32,
    /// TYPE.
    pub session_type: TypeLabel,
    /// STATUS.
    pub status: StatusLabel,
    /// The number of sessions.
    pub count: usize,
}

/// One policy in a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReport {
    /// Its name.
    pub policy: Arc<str>,
    /// Its mode on this database.
    pub mode: RunMode,
    /// Sessions that match its condition.
    pub matched: usize,
    /// Warrants issued.
    pub warrants: usize,
    /// Sessions spared, by reason.
    pub spared: BTreeMap<SpareReason, usize>,
    /// Why its breaker is open; `None` if it is closed.
    pub breaker: Option<String>,
    /// The groups for which it is suspended, and why.
    pub suspended: BTreeMap<ClientGroup, String>,
    /// What became of the sessions that it would have ended in a dry run, since the daemon started.
    pub rehearsal: PolicyRehearsal,
    /// The sessions whose hold is served soonest.
    pub pending: Vec<PendingReport>,
}

impl CycleReport {
    /// Counts a cycle. The caller fills in what the cycle does not know: `steps`, `round_trips`, `notes`, `stale`, `leads`, `acting_beside`.
    #[must_use]
    pub(crate) fn of(
        database: &Arc<str>,
        snapshot: &Snapshot,
        readings: &Readings,
        cycle: &Cycle,
        rules: &DatabaseRules,
        in_force: &[InForce],
        memory: &Memory,
    ) -> CycleReport {
        let set = rules.set();
        let now = snapshot.utc();
        CycleReport {
            database: Arc::clone(database),
            taken_at: now.unwrap_or_default(),
            steps: Vec::new(),
            round_trips: 0,
            sessions_read: snapshot.rows(),
            instances: instances(snapshot, readings, (set, in_force), &memory.following),
            sessions: sessions(snapshot),
            policies: in_force
                .iter()
                .map(|policy| policy_report(*policy, cycle, set, (snapshot, memory)))
                .collect(),
            notes: Vec::new(),
            stale: false,
            leads: None,
            acting_beside: 0,
            budgets: now.map_or_else(Vec::new, |now| BudgetReport::all(rules, in_force, &memory.ledger, now)),
            budgets_unknown: memory.ledger.unknown().is_some(),
            lingering: LingeringReport::all(&memory.following),
        }
    }
}

fn instances(
    snapshot: &Snapshot,
    readings: &Readings,
    (set, in_force): (&PolicySet, &[InForce]),
    following: &Following,
) -> Vec<InstanceReport> {
    let report = |instance: &crate::session::snapshot::Instance| {
        let of_this = readings.iter().filter(|(inst_id, ..)| *inst_id == instance.inst_id);
        let mut pressure: Vec<(Resource, f64)> = of_this
            .filter_map(|(_, resource, reading)| {
                let limit = reading.limit.filter(|limit| *limit > 0)?;
                // The lost precision of a large count does not matter in a ratio.
                Some((resource, reading.used as f64 / limit as f64))
            })
            .collect();
        pressure.sort_by_key(|(resource, _)| resource.name());
        InstanceReport {
            inst_id: instance.inst_id,
            name: Arc::from(instance.name.as_str()),
            complete: instance.complete,
            lingering: following.lingering(instance.inst_id),
            pressure,
            marks: marks(set, in_force, readings, instance.inst_id),
        }
    };
    snapshot.instances().iter().map(report).collect()
}

fn sessions(snapshot: &Snapshot) -> Vec<SessionCount> {
    let mut counts: BTreeMap<(u32, TypeLabel, StatusLabel), usize> = BTreeMap::new();
    for kind in kinds(snapshot) {
        if let Some(inst_id) = kind.inst_id {
            let labels = (inst_id, TypeLabel::of(kind.session_type), StatusLabel::of(kind.status));
            *counts.entry(labels).or_insert(0) += kind.sessions;
        }
    }
    let count = |((inst_id, session_type, status), count)| SessionCount {
        inst_id,
        session_type,
        status,
        count,
    };
    counts.into_iter().map(count).collect()
}

fn policy_report(
    in_force: InForce,
    cycle: &Cycle,
    set: &PolicySet,
    (snapshot, memory): (&Snapshot, &Memory),
) -> PolicyReport {
    let matched = cycle.plan.matches.iter().find(|(index, _)| *index == in_force.index());
    let mut spared = BTreeMap::new();
    let mut warrants = 0;
    for decision in cycle
        .ruling
        .decisions
        .iter()
        .filter(|decision| decision.policy == in_force.index())
    {
        match SpareReason::of(&decision.why) {
            None => warrants += 1,
            Some(reason) => *spared.entry(reason).or_insert(0) += 1,
        }
    }
    let breaker = cycle
        .ruling
        .open_breakers
        .iter()
        .find(|open| open.policy == in_force.index());
    let suspended = cycle
        .ruling
        .suspended
        .iter()
        .filter(|group| group.policy == in_force.index());
    PolicyReport {
        policy: Arc::clone(&set.policies[in_force.index()].name),
        mode: in_force.mode(),
        matched: matched.map_or(0, |(_, matched)| *matched),
        warrants,
        spared,
        breaker: breaker.map(ToString::to_string),
        suspended: suspended.map(|group| (group.who.clone(), group.to_string())).collect(),
        rehearsal: memory.rehearsals.of(&set.policies[in_force.index()].name),
        pending: PendingReport::soonest(in_force.index(), cycle, set, snapshot),
    }
}

/// Replaces the state of the previous cycle with the current one. Returns what has begun, with the reason, and what has ended.
fn turn<K: Ord + Clone>(held: &mut BTreeSet<K>, now: BTreeMap<K, String>) -> (Vec<(K, String)>, Vec<K>) {
    let ended = held.iter().filter(|key| !now.contains_key(key)).cloned().collect();
    let keys = now.keys().cloned().collect();
    let begun = now.into_iter().filter(|(key, _)| !held.contains(key)).collect();
    *held = keys;
    (begun, ended)
}

/// The open breakers of a database, so that opening and closing are each reported once.
#[derive(Clone, Debug, Default)]
pub struct Breakers(BTreeSet<(Arc<str>, RunMode)>);

impl Breakers {
    /// The changes of this cycle. The breaker of a policy that is no longer in force closes.
    pub(crate) fn changes(&mut self, report: &CycleReport) -> Vec<Event> {
        let database = || Arc::clone(&report.database);
        let open = |policy: &PolicyReport| Some(((Arc::clone(&policy.policy), policy.mode), policy.breaker.clone()?));
        let (opened, closed) = turn(&mut self.0, report.policies.iter().filter_map(open).collect());
        let opened = opened.into_iter().map(|((policy, mode), reason)| Event::BreakerOpened {
            database: database(),
            policy,
            mode,
            reason,
        });
        let closed = closed.into_iter().map(|(policy, mode)| Event::BreakerClosed {
            database: database(),
            policy,
            mode,
        });
        opened.chain(closed).collect()
    }
}

/// The suspended groups of a database, so that the beginning and the end of a suspension are each reported once.
#[derive(Clone, Debug, Default)]
pub struct Suspensions(BTreeSet<(Arc<str>, ClientGroup)>);

impl Suspensions {
    /// The changes of this cycle. A policy that is no longer in force is not suspended for any group.
    pub(crate) fn changes(&mut self, report: &CycleReport) -> Vec<Event> {
        let database = || Arc::clone(&report.database);
        let groups = report.policies.iter().flat_map(|policy| {
            let group =
                |(who, reason): (&ClientGroup, &String)| ((Arc::clone(&policy.policy), who.clone()), reason.clone());
            policy.suspended.iter().map(group)
        });
        let (suspended, released) = turn(&mut self.0, groups.collect());
        let suspended = suspended
            .into_iter()
            .map(|((policy, who), reason)| Event::GroupSuspended {
                database: database(),
                policy,
                who,
                reason,
            });
        let released = released.into_iter().map(|(policy, who)| Event::GroupReleased {
            database: database(),
            policy,
            who,
        });
        suspended.chain(released).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::reason::{OpenBreaker, Suspended};
    use crate::decide::refill::Suspension;

    #[test]
    fn an_open_breaker_and_a_group_that_refills_are_counted_apart() {
        let breaker = OpenBreaker {
            policy: 0,
            inst_id: 1,
            candidates: 9,
            user_sessions: 10,
            share: 20,
        };
        let suspension = Suspension {
            times: 3,
            until: DateTime::UNIX_EPOCH,
        };
        let suspended = Suspended {
            policy: 0,
            who: ClientGroup::default(),
            suspension,
        };
        let label = |refusal| SpareReason::of(&Why::Refused(refusal)).map(SpareReason::name);
        assert_eq!(label(Refusal::Breaker(breaker)), Some("breaker"));
        assert_eq!(label(Refusal::Suspended(suspended)), Some("suspended"));
    }
}
