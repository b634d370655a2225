//! A cycle in figures: what metrics and the status page show of it.
//!
//! Everything here is counted from the cycle's own data and comes from closed sets. STATUS and TYPE are Oracle's words, but
//! a word that is not known becomes `other`: a label must not be able to grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::decide::cycle::Cycle;
use crate::decide::guard::{OpenBreaker, RunMode, Verdict};
use crate::decide::plan::InForce;
use crate::decide::pressure::Readings;
use crate::decide::respawn::Who;
use crate::decide::verify::Following;
use crate::event::Event;
use crate::policy::model::{PolicySet, Protection};
use crate::policy::pressure::Resource;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::words::words;

/// What a snapshot that was too old when it was there means, if it goes on.
pub const READ_TOO_SLOWLY: &str =
    "reading the sessions takes longer than two poll intervals, so nobody is acted on: raise `poll`";

words! {
    /// A step of a cycle whose duration is measured.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Step {
        /// Reading the snapshot.
        Read = "read",
        /// Everything from the snapshot to the warrants.
        Decide = "decide",
        /// All of it.
        Whole = "whole",
    }
}

words! {
    /// V$SESSION.TYPE.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum SessionType {
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

impl SessionType {
    fn of(word: Option<&str>) -> SessionType {
        match word {
            Some("USER") => SessionType::User,
            Some("BACKGROUND") => SessionType::Background,
            Some("RECURSIVE") => SessionType::Recursive,
            Some(_) | None => SessionType::Other,
        }
    }
}

words! {
    /// V$SESSION.STATUS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum SessionStatus {
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

impl SessionStatus {
    fn of(word: Option<&str>) -> SessionStatus {
        match word {
            Some("ACTIVE") => SessionStatus::Active,
            Some("INACTIVE") => SessionStatus::Inactive,
            Some("KILLED") => SessionStatus::Killed,
            Some("CACHED") => SessionStatus::Cached,
            Some("SNIPED") => SessionStatus::Sniped,
            Some(_) | None => SessionStatus::Other,
        }
    }
}

/// Why a session whose condition holds was not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpareReason {
    /// `for:` is not served.
    Pending,
    /// A budget, a floor, or it is taken care of already.
    Deferred,
    /// The breaker is open.
    Refused,
    /// An exemption.
    Exempt,
    /// A protection.
    Protected(Protection),
}

impl SpareReason {
    /// The `reason` label: a protection by its own name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SpareReason::Pending => "pending",
            SpareReason::Deferred => "deferred",
            SpareReason::Refused => "refused",
            SpareReason::Exempt => "exempt",
            SpareReason::Protected(protection) => protection.name(),
        }
    }

    /// Of a verdict that spares.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Option<SpareReason> {
        match verdict {
            Verdict::Act => None,
            Verdict::Pending => Some(SpareReason::Pending),
            Verdict::Deferred => Some(SpareReason::Deferred),
            Verdict::Refused => Some(SpareReason::Refused),
            Verdict::Exempt => Some(SpareReason::Exempt),
            Verdict::Protected(protection) => Some(SpareReason::Protected(protection)),
        }
    }
}

/// A cycle in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CycleReport {
    /// Of which database.
    pub database: Arc<str>,
    /// The snapshot's time in UTC.
    pub taken_at: DateTime<Utc>,
    /// How long each step took.
    pub steps: Vec<(Step, Duration)>,
    /// Round trips to the database since the report before.
    pub round_trips: u64,
    /// Every instance that the snapshot knows of.
    pub instances: Vec<InstanceReport>,
    /// Sessions by instance, type and status.
    pub sessions: Vec<SessionCount>,
    /// Every policy in force, due or not.
    pub policies: Vec<PolicyReport>,
    /// What could not be read, and what follows from that.
    pub notes: Vec<String>,
    /// Whether the snapshot was too old to act on when it was there.
    pub stale: bool,
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
    /// Sessions that were killed and linger.
    pub lingering: usize,
    /// What it uses of each resource that could be read, as a share of the limit: 1.0 is full.
    pub pressure: Vec<(Resource, f64)>,
}

/// How many sessions of a kind there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCount {
    /// INST_ID.
    pub inst_id: u32,
    /// TYPE.
    pub session_type: SessionType,
    /// STATUS.
    pub status: SessionStatus,
    /// How many.
    pub count: usize,
}

/// One policy in a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReport {
    /// Its name.
    pub policy: Arc<str>,
    /// Whether it acts here.
    pub mode: RunMode,
    /// Sessions that its condition holds for.
    pub matched: usize,
    /// Warrants given.
    pub warrants: usize,
    /// Sessions spared, by reason.
    pub spared: BTreeMap<SpareReason, usize>,
    /// Why its breaker is open, if it is.
    pub breaker: Option<String>,
    /// Groups that it leaves alone because they refill, and why.
    pub suspended: BTreeMap<Who, String>,
}

impl CycleReport {
    /// Counts a cycle; `steps`, `round_trips`, `notes` and `stale` are the caller's to fill in.
    #[must_use]
    pub fn of(
        database: &Arc<str>,
        snapshot: &Snapshot,
        readings: &Readings,
        cycle: &Cycle,
        set: &PolicySet,
        in_force: &[InForce],
        following: &Following,
    ) -> CycleReport {
        CycleReport {
            database: Arc::clone(database),
            taken_at: snapshot
                .clock()
                .and_then(|clock| clock.now.to_utc(clock.utc_offset))
                .unwrap_or_default(),
            steps: Vec::new(),
            round_trips: 0,
            instances: instances(snapshot, readings, following),
            sessions: sessions(snapshot),
            policies: in_force
                .iter()
                .map(|policy| policy_report(*policy, cycle, set))
                .collect(),
            notes: Vec::new(),
            stale: false,
        }
    }
}

fn instances(snapshot: &Snapshot, readings: &Readings, following: &Following) -> Vec<InstanceReport> {
    let report = |instance: &crate::session::snapshot::Instance| {
        let of_this = readings.iter().filter(|(inst_id, ..)| *inst_id == instance.inst_id);
        let mut pressure: Vec<(Resource, f64)> = of_this
            .filter_map(|(_, resource, reading)| {
                let limit = reading.limit.filter(|limit| *limit > 0)?;
                // A ratio for people: the last bits of a 64-bit count do not matter.
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
        }
    };
    snapshot.instances().iter().map(report).collect()
}

fn sessions(snapshot: &Snapshot) -> Vec<SessionCount> {
    let mut counts: BTreeMap<(u32, SessionType, SessionStatus), usize> = BTreeMap::new();
    for row in 0..snapshot.rows() {
        if let Some(inst_id) = snapshot.id(row, Column::InstId) {
            let session_type = SessionType::of(snapshot.text(row, Column::Type));
            let status = SessionStatus::of(snapshot.text(row, Column::Status));
            *counts.entry((inst_id, session_type, status)).or_insert(0) += 1;
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

fn policy_report(in_force: InForce, cycle: &Cycle, set: &PolicySet) -> PolicyReport {
    let matched = cycle.plan.matches.iter().find(|(index, _)| *index == in_force.index);
    let mut spared = BTreeMap::new();
    let mut warrants = 0;
    for decision in cycle
        .ruling
        .decisions
        .iter()
        .filter(|decision| decision.policy == in_force.index)
    {
        match SpareReason::of(decision.verdict) {
            None => warrants += 1,
            Some(reason) => *spared.entry(reason).or_insert(0) += 1,
        }
    }
    let breaker = cycle
        .ruling
        .open_breakers
        .iter()
        .find(|open| open.policy == in_force.index);
    let suspended = cycle
        .ruling
        .suspended
        .iter()
        .filter(|group| group.policy == in_force.index);
    PolicyReport {
        policy: Arc::clone(&set.policies[in_force.index].name),
        mode: in_force.mode,
        matched: matched.map_or(0, |(_, matched)| *matched),
        warrants,
        spared,
        breaker: breaker.map(breaker_text),
        suspended: suspended.map(|group| (group.who.clone(), group.reason())).collect(),
    }
}

fn breaker_text(open: &OpenBreaker) -> String {
    format!(
        "{} candidates of {} user sessions on instance {}, more than {}%",
        open.candidates, open.user_sessions, open.inst_id, open.share
    )
}

/// Puts what holds now in the place of what held in the cycle before: what has begun, with why, and what has ended.
fn turn<K: Ord + Clone>(held: &mut BTreeSet<K>, now: BTreeMap<K, String>) -> (Vec<(K, String)>, Vec<K>) {
    let ended = held.iter().filter(|key| !now.contains_key(key)).cloned().collect();
    let keys = now.keys().cloned().collect();
    let begun = now.into_iter().filter(|(key, _)| !held.contains(key)).collect();
    *held = keys;
    (begun, ended)
}

/// Which breakers of a database are open, so that opening and closing are told once.
#[derive(Clone, Debug, Default)]
pub struct Breakers(BTreeSet<(Arc<str>, RunMode)>);

impl Breakers {
    /// What changed with this cycle. A policy that is not in force any more has no breaker.
    pub fn changes(&mut self, report: &CycleReport) -> Vec<Event> {
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

/// Which groups are left alone, so that a suspension's beginning and end are told once.
#[derive(Clone, Debug, Default)]
pub struct Suspensions(BTreeSet<(Arc<str>, Who)>);

impl Suspensions {
    /// What changed with this cycle. A policy that is not in force any more suspends nobody.
    pub fn changes(&mut self, report: &CycleReport) -> Vec<Event> {
        let database = || Arc::clone(&report.database);
        let groups = report.policies.iter().flat_map(|policy| {
            let group = |(who, reason): (&Who, &String)| ((Arc::clone(&policy.policy), who.clone()), reason.clone());
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
