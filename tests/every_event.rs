//! One event of each kind, with every word of the closed sets: what documentation and alert rules are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use orareaper::config::Driver;
use orareaper::decide::in_force::RunMode;
use orareaper::decide::outcome::Outcome;
use orareaper::decide::refill::{ClientGroup, Ended, Return};
use orareaper::decide::used_again::{Aftermath, Afterwards, PolicyRehearsal};
use orareaper::decide::verify::{FollowState, Followed, Proof, Verification};
use orareaper::event::{
    CycleReport, CycleStep, DeletedFile, Event, Evidence, ExemptionEnd, InForceReport, InstanceReport, Intent,
    JournalGap, LoadedDatabase, LoadedPolicy, Outcomed, PolicyLoad, PolicyReport, SessionCount, SpareReason,
    StatusLabel, TypeLabel,
};
use orareaper::metrics::Metrics;
use orareaper::oracle::Class;
use orareaper::oracle::identity::DatabaseIdentity;
use orareaper::policy::model::{Action, Protection};
use orareaper::policy::pressure::Resource;
use orareaper::session::SessionKey;
use orareaper::session::time::DbTime;

const KEY: SessionKey = SessionKey {
    inst_id: 1,
    sid: 287,
    serial: 62507,
    logon_time: DbTime(1_763_776_800),
};

/// The time of every event.
pub(crate) fn at() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().expect("a time")
}

fn who() -> ClientGroup {
    ClientGroup {
        username: Some("APP".into()),
        program: Some("java".into()),
        machine: Some("app01".into()),
    }
}

fn intent(mode: RunMode, action: Action) -> Arc<Intent> {
    Arc::new(Intent {
        id: 1,
        database: "prod".into(),
        place: Some("here".into()),
        identity: Some(Arc::new(DatabaseIdentity {
            database: "PROD".into(),
            container: Some(3),
            instances: BTreeSet::from([("prod1".into(), "db01".into())]),
        })),
        key: KEY,
        policy: "idle".into(),
        policy_digest: "ab12".into(),
        mode,
        action,
        username: None,
        program: None,
        machine: None,
        operator: Some("maria as root".into()),
        reason: "INACTIVE for 5h 12m".into(),
        statement: None,
        taken_at: at(),
        waited: Duration::from_millis(7),
        session: Evidence::default(),
    })
}

fn outcomed(intent: &Arc<Intent>, outcome: Outcome) -> Outcomed {
    Outcomed {
        intent: Arc::clone(intent),
        outcome,
        code: None,
        message: None,
        statement: None,
        session: Evidence::default(),
        took: Duration::from_millis(7),
    }
}

/// Both drivers and both modes, with every action.
fn loaded() -> InForceReport {
    let policy = |mode| LoadedPolicy {
        policy: format!("idle-{}", RunMode::name(mode)).into(),
        mode,
        actions: Action::ALL.to_vec(),
    };
    let database = |driver: Driver| LoadedDatabase {
        database: driver.name().into(),
        place: "here".into(),
        driver: driver.name(),
        armed: true,
        poll: Duration::from_secs(15),
        labels: BTreeMap::new(),
        policies: RunMode::ALL.map(policy).to_vec(),
    };
    InForceReport {
        digest: "ab12".into(),
        policies: 2,
        exemptions: 1,
        lost: vec!["policy idle (policies/idle.yaml)".into()],
        timezone: chrono_tz::Tz::UTC,
        databases: Driver::ALL.map(database).to_vec(),
    }
}

/// Every reason why a session is spared.
fn reasons() -> Vec<SpareReason> {
    let others = [
        SpareReason::Pending,
        SpareReason::Deferred,
        SpareReason::Breaker,
        SpareReason::Suspended,
        SpareReason::Exempt,
    ];
    let reasons = others.into_iter().chain(Protection::ALL.map(SpareReason::Protected));
    let reasons: Vec<SpareReason> = reasons.collect();
    for reason in &reasons {
        // A variant that is missing above is missing here as well, and then this does not compile.
        match reason {
            SpareReason::Pending
            | SpareReason::Deferred
            | SpareReason::Breaker
            | SpareReason::Suspended
            | SpareReason::Exempt
            | SpareReason::Protected(_) => {}
        }
    }
    reasons
}

fn cycle() -> CycleReport {
    let statuses = StatusLabel::ALL.into_iter();
    let sessions = statuses.flat_map(|status| {
        TypeLabel::ALL.map(|session_type| SessionCount {
            inst_id: 1,
            session_type,
            status,
            count: 1,
        })
    });
    let policies = RunMode::ALL.map(|mode| PolicyReport {
        policy: format!("idle-{}", mode.name()).into(),
        mode,
        matched: 1,
        warrants: 1,
        spared: reasons().into_iter().map(|reason| (reason, 1)).collect(),
        breaker: None,
        suspended: BTreeMap::new(),
        rehearsal: PolicyRehearsal::default(),
        pending: Vec::new(),
    });
    CycleReport {
        database: Driver::ALL[0].name().into(),
        taken_at: at(),
        steps: CycleStep::ALL.map(|step| (step, Duration::from_millis(7))).to_vec(),
        round_trips: 4,
        sessions_read: 9,
        acting_beside: 1,
        budgets_unknown: true,
        instances: vec![InstanceReport {
            inst_id: 1,
            name: "PROD1".into(),
            complete: true,
            lingering: 1,
            pressure: Resource::ALL.map(|resource| (resource, 0.5)).to_vec(),
            marks: Vec::new(),
        }],
        sessions: sessions.collect(),
        policies: policies.to_vec(),
        notes: Vec::new(),
        stale: false,
        leads: Some(true),
        budgets: Vec::new(),
        lingering: Vec::new(),
    }
}

fn about_actions() -> Vec<Event> {
    let enforced = intent(RunMode::Enforce, Action::ALL[0]);
    let ended = Ended {
        action_id: 1,
        policy: "idle".into(),
        mode: RunMode::Enforce,
        key: KEY,
        who: who(),
        at: at(),
    };
    let verification = Verification {
        key: KEY,
        followed: Followed {
            action_id: 1,
            policy: "idle".into(),
            action: Action::ALL[0],
            mode: RunMode::Enforce,
            since: at(),
            sql_exec: None,
            accepted: true,
            certain: true,
            was_killed: false,
            state: FollowState::Waiting,
        },
        proof: Proof::Gone,
    };
    // What was dropped was tried over no connection.
    let untried = Arc::new(Intent {
        identity: None,
        ..(*enforced).clone()
    });
    let mut events = vec![
        Event::Intent(Arc::clone(&enforced)),
        Event::Dropped(outcomed(&untried, Outcome::Expired)),
        Event::Verification {
            database: "prod".into(),
            verification,
        },
        Event::CameBack {
            database: "prod".into(),
            back: Return {
                ended,
                key: KEY,
                at: at(),
            },
        },
    ];
    events.extend(Afterwards::ALL.map(|afterwards| Event::Rehearsed {
        database: "prod".into(),
        aftermath: Aftermath {
            action_id: 1,
            policy: "idle".into(),
            key: KEY,
            afterwards,
            after: TimeDelta::seconds(18_600),
            was_validated: false,
        },
    }));
    events.extend(Outcome::ALL.map(|outcome| Event::Outcome(outcomed(&enforced, outcome))));
    events
}

fn about_policies() -> Vec<Event> {
    let (database, policy): (Arc<str>, Arc<str>) = ("prod".into(), "idle".into());
    vec![
        Event::BreakerOpened {
            database: Arc::clone(&database),
            policy: Arc::clone(&policy),
            mode: RunMode::Enforce,
            reason: "too many".into(),
        },
        Event::BreakerClosed {
            database: Arc::clone(&database),
            policy: Arc::clone(&policy),
            mode: RunMode::Enforce,
        },
        Event::GroupSuspended {
            database: Arc::clone(&database),
            policy: Arc::clone(&policy),
            who: who(),
            reason: "it refills".into(),
        },
        Event::GroupReleased {
            database,
            policy,
            who: who(),
        },
    ]
}

fn about_files() -> [Event; 5] {
    [
        Event::Policies(PolicyLoad::Failed { error: "line 1".into() }),
        Event::WebConfig { error: None },
        Event::WebConfig {
            error: Some("line 1".into()),
        },
        Event::Policies(PolicyLoad::Loaded(loaded())),
        Event::ExemptionEnds(ExemptionEnd {
            owner: "maria".into(),
            reason: "month end".into(),
            last_day: at().date_naive(),
            origin: "policies/exemptions.yaml:3".into(),
        }),
    ]
}

/// At least one event of each kind.
pub(crate) fn every_event() -> Vec<Event> {
    let database: Arc<str> = Driver::ALL[0].name().into();
    let mut events = vec![
        Event::Started {
            version: "0.1.0",
            dry_run: false,
        },
        Event::Stopping {
            reason: "SIGTERM".into(),
        },
        Event::DatabaseDown {
            database: Arc::clone(&database),
            error: "ORA-12541".into(),
        },
        Event::DatabaseUp {
            database: Arc::clone(&database),
            instances: vec![(1, "PROD1".into())],
            release: "19.24.0.0.0".into(),
        },
        Event::DriverError {
            database: Arc::clone(&database),
            class: Class::ALL[0],
            error: "ORA-01017".into(),
        },
        Event::Acting {
            database,
            connections: vec![(Some(1), true)],
            hanging: 0,
        },
        Event::Cycle(Arc::new(cycle())),
        Event::Paused {
            by: "root".into(),
            reason: String::new(),
            trouble: false,
        },
        Event::Resumed { by: "root".into() },
        Event::JournalFails {
            error: "no space".into(),
        },
        Event::Retention(DeletedFile {
            reason: "its last record is older than 400d".into(),
            bytes: 67_108_864,
            records: 30_000,
            from: at(),
            to: at(),
            through: "00112233445566778899aabbccddeeff".into(),
        }),
        Event::JournalAgain(JournalGap {
            since: DateTime::UNIX_EPOCH,
            error: "no space".into(),
            refused: 1,
            lost: 2,
        }),
    ];
    events.extend(about_files());
    events.extend(about_actions());
    events.extend(about_policies());
    for event in &events {
        is_sampled(event);
    }
    events
}

/// Does not compile with a new kind of event: add a sample above.
fn is_sampled(event: &Event) {
    match event {
        Event::Started { .. }
        | Event::Stopping { .. }
        | Event::Policies(PolicyLoad::Loaded(_) | PolicyLoad::Failed { .. })
        | Event::WebConfig { .. }
        | Event::DatabaseUp { .. }
        | Event::DatabaseDown { .. }
        | Event::DriverError { .. }
        | Event::Acting { .. }
        | Event::Intent(_)
        | Event::Outcome(_)
        | Event::Dropped(_)
        | Event::Verification { .. }
        | Event::BreakerOpened { .. }
        | Event::BreakerClosed { .. }
        | Event::CameBack { .. }
        | Event::Rehearsed { .. }
        | Event::GroupSuspended { .. }
        | Event::GroupReleased { .. }
        | Event::Cycle(_)
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::JournalFails { .. }
        | Event::JournalAgain(_)
        | Event::Retention(_)
        | Event::ExemptionEnds(_) => {}
    }
}

/// A metric as the exposition shows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    /// `gauge`, `counter`, `histogram`.
    pub(crate) kind: String,
    /// Each label with the values that it has.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

/// What `/metrics` answers after every event, with the metrics of the process, which the client library adds.
pub(crate) fn exposition() -> String {
    let metrics = Metrics::new();
    for event in every_event() {
        metrics.count(&event, at());
    }
    metrics.receivers(&["dba-chat"]);
    metrics.text()
}

/// Every metric of the daemon after every event. Those of the process are left out.
pub(crate) fn every_metric() -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in exposition().lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a name and a type");
            current = name.to_owned();
            families.entry(current.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let family = families.get_mut(&current).expect("the type comes before the series");
            for (label, value) in labels(line) {
                // `le` is a part of every histogram.
                if label != "le" {
                    family.labels.entry(label).or_default().insert(value);
                }
            }
        }
    }
    families.retain(|name, _| name.starts_with("orareaper_"));
    families
}

/// The labels of a series; no value of the samples has a quotation mark or a comma in it.
fn labels(series: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = series.split_once('{') else {
        return Vec::new();
    };
    let (pairs, _) = rest.split_once('}').expect("the labels end");
    let pair = |pair: &str| {
        let (label, value) = pair.split_once('=').expect("a label has a value");
        (label.to_owned(), value.trim_matches('"').to_owned())
    };
    pairs.split(',').map(pair).collect()
}
