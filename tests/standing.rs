//! The connections that stand by to act: what keeps them there, and what follows when one is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::drivers::both::{on_both_drivers, target};
use crate::site::{Db, PASSWORD, Site, drivers, until, wait_for};
use chrono::{DateTime, Utc};
use orareaper::actuator::carry_out::{Answered, Intending, StepRecorder};
use orareaper::clock::{Clock, ManualClock, SystemClock};
use orareaper::config::{Config, DatabaseConfig, Driver, LoginConfig, SecretSource};
use orareaper::daemon::actor::Actor;
use orareaper::daemon::messages::Acted;
use orareaper::daemon::pause::Switch;
use orareaper::daemon::poller::PROBE_AGAIN;
use orareaper::daemon::reach::Reach;
use orareaper::daemon::standby::{Needed, StandbyOrder};
use orareaper::daemon::watcher::{Clerk, EventWatcher};
use orareaper::daemon::{Start, start};
use orareaper::decide::cycle::Done;
use orareaper::decide::outcome::Outcome;
use orareaper::decide::verify::Proof;
use orareaper::journal::read::{Past, read};
use orareaper::metrics::Metrics;

use orareaper::event_sink::EventSink;
use orareaper::policy::model::Limits;
use orareaper::status::SharedStatus;
use orareaper::systemd::Heartbeat;
use orasim::{Scenario, World};

/// The clock is moved by hand. LIMITED is replaced by the limit on idle sessions that a test is about.
const BUSY: &str = "
release: 19.22.0.0.0
seed: 5
speed: 0
starts: 2026-11-23T09:00:00
database: {name: PROD}
instances:
  - {number: 1, name: prod, host: db1}
accounts:
  REAPER: {password: reaper, PROFILE}
  DBA: {password: dba}
sessions:
  - {name: runaway, user: RUNAWAY, program: loop, machines: [pc1], active: 1h, logged_on: 6h}
PARAMETERS
";

const ENFORCE: &str =
    "policies: [{name: runaway, mode: enforce, when: RUNNING longer than 4h, action: kill immediate}]";

/// A minute less than the limits allow.
const SHORTER: Duration = Duration::from_secs(14 * 60);

fn text(profile: &str, parameters: &str) -> String {
    BUSY.replace("PROFILE", profile).replace("PARAMETERS", parameters)
}

/// A database for each way in which idle sessions are limited to a quarter of an hour.
fn limited() -> Vec<(&'static str, Db)> {
    let there = World::new(Scenario::parse(&text("", "")).expect("the test's own scenario"));
    // MAX_IDLE_BLOCKER_TIME strikes where there is no room for another session: two are the daemon's.
    let full = there.sessions().len() + 2;
    let blocker = format!("parameters: {{max_idle_blocker_time: 15, sessions: {full}}}");
    vec![
        ("IDLE_TIME", Db::parse(&text("idle_time: 15", ""))),
        ("MAX_IDLE_TIME", Db::parse(&text("", "parameters: {max_idle_time: 15}"))),
        ("MAX_IDLE_BLOCKER_TIME", Db::parse(&text("", &blocker))),
    ]
}

fn seats(db: &Db) -> BTreeSet<(u32, u32)> {
    db.seats_of("REAPER").into_iter().collect()
}

/// Whether each of the daemon's sessions has made a call since the clock was moved.
fn all_asked(db: &Db) -> bool {
    let sessions = db.world.sessions();
    let mut own = sessions
        .iter()
        .filter(|session| session.username.as_deref() == Some("REAPER"));
    own.all(|session| session.last_call_et == 0)
}

#[test]
fn idle_limits_do_not_end_connections_that_are_used_at_each_poll() {
    for driver in drivers() {
        for (limit, db) in limited() {
            let site = Site::new();
            site.policies(ENFORCE);
            site.configure(&driver, &db);
            let daemon = site.run(&driver);
            daemon.metric_becomes("orareaper_acting_connection{database=\"orcl\",inst_id=\"1\"}", 1.0);
            let first = seats(&db);
            assert_eq!(first.len(), 2, "one that reads, one that acts");
            for _ in 0..5 {
                db.world.advance(SHORTER);
                until("both to be asked", || all_asked(&db));
            }
            assert_eq!(seats(&db), first, "{limit} with driver {}", driver.name);
            assert!(db.kills().is_empty());

            // Neither is checked for that long, so both are lost and made again.
            let connections = db.server.stats().connections;
            db.world.advance_between_calls(Duration::from_secs(3 * 3_600));
            // Its victim is busy and notices nothing while the clock stands still.
            until("the kill", || db.kills().iter().any(|kill| kill.1.is_some()));
            assert_eq!(db.kills().len(), 1);
            let now = seats(&db);
            assert!(now.len() == 2 && now.is_disjoint(&first), "{limit}: {first:?} {now:?}");
            assert_eq!(db.server.stats().connections, connections + 2, "{limit}: each once");
            assert_eq!(daemon.log_line("no actions on this database for now"), None);
        }
    }
}

/// What a connection once found out decides who is protected: an account that was granted the right to capture changes, a
/// switchover. So it is asked anew over the connections that act as well.
#[test]
fn capabilities_are_read_again_over_standby_connections() {
    on_both_drivers(|driver| {
        let db = Db::parse(&text("", ""));
        let clock = Arc::new(ManualClock::at("2026-11-23T09:00:00Z".parse().expect("a time")));
        let state = tempfile::tempdir().expect("a folder");
        let switch = Switch::new(state.path(), Arc::clone(&clock) as Arc<dyn Clock>).expect("a folder");
        let limit = Duration::from_secs(60);
        let reach = Reach {
            via: None,
            leader: None,
            connector: None,
            target: target(driver, db.server.addr().port(), "PROD", "reaper", PASSWORD),
            password: None,
            accounts: Arc::default(),
            connect_limit: limit,
            call_limit: limit,
            kill_limit: limit,
        };
        let (told, _hears) = channel();
        let mut actor = Actor::new(reach, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(switch), (0, told));
        let mut asks = |anew| {
            let before = db.world.statements();
            let answer = actor.stand_by(&StandbyOrder {
                needed: Needed::Any,
                instances: BTreeMap::new(),
                may_connect: true,
                anew,
            });
            let Acted::Standby(places) = answer else {
                panic!("{answer:?}")
            };
            assert!(places.len() == 1 && places[0].stands, "{places:?}");
            db.world.statements() - before
        };
        let found_out = asks(false);
        let first = seats(&db);
        assert!(found_out > 5, "{found_out} statements are no probe");
        assert_eq!(asks(false), 1, "whether it lives");
        let again = asks(true);
        assert!(again > 5, "{again} statements are no probe");
        clock.advance(PROBE_AGAIN - Duration::from_secs(1));
        assert_eq!(asks(false), 1, "not long ago");
        clock.advance(Duration::from_secs(1));
        assert_eq!(asks(false), again);
        assert_eq!(asks(false), 1, "just now");
        assert_eq!(seats(&db), first, "all over the same connection");
    });
}

/// Panics once, right after the first statement was answered.
struct Panics {
    inner: Clerk,
    armed: Arc<AtomicBool>,
}

impl StepRecorder for Panics {
    fn next_id(&mut self) -> u64 {
        self.inner.next_id()
    }

    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()> {
        self.inner.intend(intending)
    }

    fn answered(&mut self, answered: &Answered<'_>) {
        assert!(!self.armed.swap(false, Ordering::SeqCst), "over this very answer");
        self.inner.answered(answered);
    }

    fn abandon(&mut self, why: &str) -> Vec<Done> {
        self.inner.abandon(why)
    }

    fn unused(&mut self, unused: &Intending<'_>, outcome: Outcome, why: &str) {
        self.inner.unused(unused, outcome, why);
    }
}

fn config(db: &Db, state: &Path) -> Config {
    let password = state.join("password");
    std::fs::write(&password, PASSWORD).expect("written");
    let limits = Limits {
        per_cycle: Some(1),
        share: Some(100),
        ..Limits::default()
    };
    Config {
        databases: vec![DatabaseConfig {
            via: None,
            leader: None,
            name: "orcl".into(),
            driver: Driver::Thin,
            connect: db.connect_string(),
            login: LoginConfig::Password {
                user: "reaper".to_owned(),
                password: SecretSource::File(password),
            },
            armed: true,
            // Nobody acts on a snapshot that is older than two polls, which a loaded machine must be able to keep.
            poll: Duration::from_secs(3),
            pressed: None,
            connect_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(60),
            limits,
            blackouts: Vec::new(),
            timezone: chrono_tz::UTC,
            tns_admin: None,
            labels: BTreeMap::new(),
        }],
        policies: Vec::new(),
        listen: "127.0.0.1:0".parse().expect("an address"),
        web_config: None,
        listen_unprotected: false,
        state: state.to_owned(),
        journal: orareaper::config::Retention::default(),
        timezone: chrono_tz::UTC,
        limits,
        blackouts: Vec::new(),
        notify: None,
    }
}

#[test]
fn a_panic_while_it_acts_costs_the_connection_and_leaves_an_outcome_to_be_seen() {
    let two =
        "  - {name: forgotten, user: FORGOTTEN, count: 2, program: sqlplus, machines: [pc2], idle: 5h, logged_on: 6h}";
    let db = Db::parse(&text("", two));
    let state = tempfile::tempdir().expect("a folder");
    let config = config(&db, state.path());
    let policies =
        "policies: [{name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill immediate}]";
    let files = [("policies.yaml".to_owned(), policies.as_bytes().to_vec())];
    let loaded = orareaper::policy::check_files(&files, "2026-11-23".parse().expect("a day"), chrono_tz::UTC);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let heartbeat = Heartbeat::new(Arc::clone(&clock));
    let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
    let opened = EventSink::open(state.path(), Arc::clone(&clock), metrics, status);
    let (sink, history) = opened.expect("the state folder");
    let (sink, armed) = (Arc::new(sink), Arc::new(AtomicBool::new(true)));
    let switch = Arc::new(Switch::new(state.path(), Arc::clone(&clock)).expect("the state folder"));
    let running = start(&Start {
        config: &config,
        set: Arc::new(loaded.set.expect("the test's own policy")),
        dry_run: false,
        clock: Arc::clone(&clock),
        switch: Arc::clone(&switch),
        mark: None,
        accounts: &Arc::default(),
        siblings: &Arc::default(),
        memory: &|database| history.memory(&database.name, &database.place()),
        watcher: &|database| {
            Box::new(EventWatcher::new(
                &database.name,
                Arc::clone(&sink),
                heartbeat.pulse("db-orcl", Duration::from_secs(300)),
                Arc::clone(&clock),
                Arc::clone(&switch),
                state.path(),
            ))
        },
        recorder: &|database| {
            let (name, place) = (Arc::clone(&database.name), database.place());
            let (sink, armed) = (Arc::clone(&sink), Arc::clone(&armed));
            Box::new(move || {
                let inner = Clerk::new((&name, &place), Arc::clone(&sink));
                let armed = Arc::clone(&armed);
                Box::new(Panics { inner, armed })
            })
        },
    })
    .expect("it starts");
    let both: Vec<Past> = wait_for("both to be gone", || {
        let now: DateTime<Utc> = clock.utc();
        let actions = read(state.path(), now).expect("the journal").actions;
        let gone = |past: &Past| past.proofs.contains(&Proof::Gone);
        (actions.len() == 2 && actions.values().all(gone)).then(|| actions.into_values().collect())
    });
    let outcome = |past: &Past| past.outcome.clone().expect("it was written");
    let (first, second) = (outcome(&both[0]), outcome(&both[1]));
    assert_eq!(first.outcome, Outcome::Unknown);
    let why = first.message.unwrap_or_default();
    assert!(
        why.contains("panicked") && why.contains("over this very answer"),
        "{why}"
    );
    assert_eq!(second.outcome, Outcome::Done);
    assert_eq!(db.kills().len(), 2, "nothing is repeated");
    assert!(!armed.load(Ordering::SeqCst) && running.all_run());
    assert_eq!(
        db.server.stats().connections,
        3,
        "one that reads, one that was lost, and another"
    );
    assert!(running.stop(Duration::from_secs(60)));
}
