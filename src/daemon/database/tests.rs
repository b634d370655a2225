//! What a database does when its acting thread cannot connect, or its disk does not answer.

use super::*;
use crate::actuator::carry_out::{Answered, Intending};
use crate::clock::ManualClock;
use crate::daemon::messages::{Acted, ActorOrder};
use crate::daemon::pause::Switch;
use crate::daemon::standby::StandbyOrder;
use crate::daemon::watcher::EventWatcher;
use crate::decide::clocks::Clocks;
use crate::decide::in_force::{Arming, EffectiveLimits, RunMode};
use crate::decide::pressure::Reading;
use crate::event_sink::tests::over;
use crate::journal::tests::{Tape, intent};
use crate::oracle::capabilities::tests::capabilities;
use crate::policy::pressure::Resource;
use crate::session::extent::PartOfSessions;
use crate::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock as DbClock, SnapshotSource};
use crate::session::time::DbTime;
use crate::systemd::Heartbeat;
use std::sync::Mutex;
use std::sync::mpsc::channel;

/// Standstills of cycles, and reads that hang; and the pause that it tells of.
#[derive(Clone, Default)]
pub(super) struct Noted(
    pub(super) Arc<Mutex<Vec<Option<String>>>>,
    pub(super) Arc<Mutex<Option<Pause>>>,
);

impl Watcher for Noted {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.0
            .lock()
            .expect("one thread")
            .push(view.standstill.map(ToString::to_string));
    }
    fn unreadable(&mut self, _: &str, _: &Error, _: Option<Duration>) {}
    fn hangs(&mut self, _: &str, error: &Error) {
        self.0.lock().expect("one thread").push(Some(error.to_string()));
    }
    fn unsupported(&mut self, _: &str, _: &str, _: &str) {}
    fn done(&mut self, _: &str, _: &crate::decide::cycle::Done) {}
    fn acting_stopped(&mut self, _: &str, why: &str) {
        if why.starts_with("act on") {
            self.0.lock().expect("one thread").push(Some(why.to_owned()));
        }
    }
    fn acting_goes_on(&mut self, _: &str) {
        self.0.lock().expect("one thread").push(Some("actions resumed".into()));
    }
    fn helper_failed(&mut self, _: &str, error: &Error) {
        self.0.lock().expect("one thread").push(Some(error.to_string()));
    }
    fn hanging(&mut self, _: &str, _: usize) {}
    fn stepped(&mut self, _: &str, _: ClockStep) {}
    fn standby(&mut self, _: &str, _: &[ConnectionState]) {}
    fn alive(&mut self, _: &str) {}
    fn paused(&mut self) -> Option<Pause> {
        self.1.lock().expect("one thread").clone()
    }
}

fn polled(clock: &ManualClock) -> Input {
    // The database's clock is right.
    polled_at(clock, 1_000_000 + clock.utc().timestamp())
}

/// A snapshot of this time by the database's clock.
fn polled_at(clock: &ManualClock, now: i64) -> Input {
    let columns = [crate::session::column::Column::InstId];
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    builder.push_row(&[Cell::Number(1)]).expect("one row");
    let instances = vec![Instance {
        inst_id: 1,
        name: "i".into(),
        complete: true,
    }];
    let time = DbClock {
        now: DbTime(now),
        utc_offset: 0,
    };
    Input::Polled(Ok(Box::new(Polled {
        snapshot: builder
            .finish(Some(time), instances)
            .finish(crate::session::column::Columns::NONE),
        readings: crate::decide::pressure::Readings::default(),
        capabilities: Arc::new(capabilities(19, 3)),
        began: clock.now(),
        clock_came: clock.now(),
        took: Duration::ZERO,
        round_trips: 0,
        unreadable: Vec::new(),
        refused_part: None,
        dates_fault: None,
        warning: None,
        leader: None,
    })))
}

/// The same of a part of the sessions.
fn part(clock: &ManualClock) -> Input {
    let Input::Polled(Ok(mut polled)) = polled(clock) else {
        unreachable!("it is a snapshot")
    };
    polled.snapshot.set_part(PartOfSessions::default());
    Input::Polled(Ok(polled))
}

/// A database that polls every 15 seconds, its clock, and what it tells.
fn database() -> (DatabaseLoop, Arc<ManualClock>, Noted, Heard) {
    let noted = Noted::default();
    let (database, clock, asks) = watched_by(Box::new(noted.clone()));
    (database, clock, noted, asks)
}

/// The acting threads of these tests write no records.
struct Nobody;

impl StepRecorder for Nobody {
    fn next_id(&mut self) -> u64 {
        unreachable!("nothing is permitted")
    }
    fn intend(&mut self, _: &Intending<'_>) -> std::io::Result<()> {
        unreachable!("nothing is permitted")
    }
    fn answered(&mut self, _: &Answered<'_>) {}
    fn abandon(&mut self, _: &str) -> Vec<crate::decide::cycle::Done> {
        Vec::new()
    }
    fn unused(&mut self, _: &Intending<'_>, _: Outcome, _: &str) {}
}

fn watched_by(watcher: Box<dyn Watcher>) -> (DatabaseLoop, Arc<ManualClock>, Heard) {
    of_rules(rules(), watcher, Box::new(Nobody))
}

pub(super) fn of_rules(
    rules: Arc<DatabaseRules>,
    watcher: Box<dyn Watcher>,
    recorder: Box<dyn StepRecorder + Send>,
) -> (DatabaseLoop, Arc<ManualClock>, Heard) {
    of_settings(settings(), rules, watcher, recorder)
}

pub(super) fn of_settings(
    settings: Settings,
    rules: Arc<DatabaseRules>,
    watcher: Box<dyn Watcher>,
    recorder: Box<dyn StepRecorder + Send>,
) -> (DatabaseLoop, Arc<ManualClock>, Heard) {
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let (ask, asks) = channel();
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let hired = Arc::<Mutex<Vec<_>>>::default();
    let start_worker: StartWorker = {
        let hired = Arc::clone(&hired);
        Box::new(move |_| {
            let (act, orders) = channel();
            hired.lock().expect("one thread").push(orders);
            Some(act)
        })
    };
    let threads = Threads { ask, start_worker };
    let watched = (watcher, recorder);
    let database = DatabaseLoop::new(settings, rules, Memory::default(), shared, threads, watched);
    (database, clock, Heard { asks, orders: hired })
}

/// What its threads would hear.
pub(super) struct Heard {
    asks: Receiver<Needs>,
    /// Of each that acts.
    orders: Arc<Mutex<Vec<Receiver<ActorOrder>>>>,
}

impl Heard {
    /// What one of those who act was told to do.
    pub(super) fn orders(&self, worker: usize) -> Vec<ActorOrder> {
        let all = self.orders.lock().expect("one thread");
        all.get(worker)
            .map(|orders| orders.try_iter().collect())
            .unwrap_or_default()
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        name: "prod".into(),
        poll: Duration::from_secs(15),
        pressed: None,
        stagger: Duration::ZERO,
        patience: Duration::from_secs(70),
        acting_patience: Duration::from_secs(200),
        siblings: Arc::default(),
        leader: None,
    }
}

fn rules() -> Arc<DatabaseRules> {
    let limits = EffectiveLimits::of(&crate::policy::model::Limits::default());
    let rules = DatabaseRules::of_policy_test("prod", Arming::Unarmed, limits, chrono_tz::UTC, Arc::default());
    Arc::new(rules)
}

/// The standstill of a cycle after the acting thread met this error, at once and a minute later.
fn after(class: Class) -> Vec<Option<String>> {
    let (mut database, clock, noted, _threads) = database();
    let error = Error::new(class, "connect to prod", "refused");
    let _ = database.apply(Input::Acted(0, Acted::Unreachable(Box::new(error))));
    let _ = database.apply(Input::Acted(0, Acted::Finished(Vec::new())));
    let _ = database.apply(polled(&clock));
    clock.advance(Duration::from_secs(60));
    let _ = database.apply(polled(&clock));
    let _ = database.apply(Input::Reload(rules(), settings()));
    let _ = database.apply(polled(&clock));
    noted.0.lock().expect("one thread").clone()
}

/// A database with these settings and a policy for times of pressure.
fn paced(settings: Settings) -> (DatabaseLoop, Arc<ManualClock>, Heard) {
    let text = "policies: [{name: pressed, when: INACTIVE longer than 1h, while: sessions above 50%, action: kill}]";
    let files = [("pressed.yaml".to_owned(), text.as_bytes().to_vec())];
    let loaded = crate::policy::check_files(&files, DateTime::UNIX_EPOCH.date_naive(), chrono_tz::UTC);
    let set = Arc::new(loaded.set.expect("a policy"));
    let limits = EffectiveLimits::of(&crate::policy::model::Limits::default());
    let rules = DatabaseRules::of_policy_test("prod", Arming::Unarmed, limits, chrono_tz::UTC, set);
    let (mut database, clock, heard) = of_rules(Arc::new(rules), Box::new(Noted::default()), Box::new(Nobody));
    database.stagger = Some(settings.stagger).filter(|stagger| *stagger > Duration::ZERO);
    database.settings = settings;
    (database, clock, heard)
}

/// The seconds until the next snapshot is asked for, after one that took so long and found so many of 100 sessions.
fn until_asked(database: &mut DatabaseLoop, clock: &ManualClock, heard: &Heard, took: u64, sessions: i64) -> u64 {
    let took = Duration::from_secs(took);
    let Input::Polled(Ok(mut snapshot)) = polled(clock) else {
        unreachable!("it is a snapshot")
    };
    clock.advance(took);
    snapshot.took = took;
    let reading = Reading {
        used: sessions,
        limit: Some(100),
    };
    snapshot.readings.set(1, Resource::Sessions, reading);
    let _ = database.apply(Input::Polled(Ok(snapshot)));
    (0..1_000)
        .find(|_| {
            database.poll_if_due();
            let asked = heard.asks.try_recv().is_ok();
            if !asked {
                clock.advance(Duration::from_secs(1));
            }
            asked
        })
        .expect("it is asked again")
}

#[test]
fn a_database_is_read_sooner_under_pressure_and_with_a_pause_where_it_is_slow() {
    let pace = |pressed| Settings { pressed, ..settings() };
    let (mut database, clock, heard) = paced(pace(Some(Duration::from_secs(2))));
    database.poll_if_due();
    assert!(heard.asks.try_recv().is_ok(), "at once");
    let mut after = |took, sessions| until_asked(&mut database, &clock, &heard, took, sessions);
    assert_eq!(after(0, 40), 15);
    assert_eq!(after(0, 60), 2, "the gate is open");
    assert_eq!(after(5, 60), 5, "half of the time is for others");
    assert_eq!(after(5, 40), 10, "a pause of five seconds is in it already");
    assert_eq!(after(14, 40), 14);
    assert_eq!(after(40, 40), 15, "no longer than an interval");
    assert_eq!(after(55, 40), 4, "more would be a gap, which breaks every hold");
    assert_eq!(after(0, 60), 2);
    let (mut database, clock, heard) = paced(pace(None));
    database.poll_if_due();
    assert!(heard.asks.try_recv().is_ok());
    assert_eq!(
        until_asked(&mut database, &clock, &heard, 0, 60),
        15,
        "nothing else is configured"
    );
}

#[test]
fn databases_are_read_at_different_times() {
    let (mut database, clock, heard) = paced(Settings {
        stagger: Duration::from_secs(4),
        ..settings()
    });
    database.poll_if_due();
    assert!(heard.asks.try_recv().is_ok(), "the first time at once");
    assert_eq!(until_asked(&mut database, &clock, &heard, 0, 0), 4);
    assert_eq!(until_asked(&mut database, &clock, &heard, 0, 0), 15);
}

#[test]
fn a_read_that_does_not_come_back_is_told_once_and_waited_for() {
    let (mut database, clock, noted, threads) = database();
    let told = || noted.0.lock().expect("one thread").len();
    database.poll_if_due();
    clock.advance(Duration::from_secs(70));
    database.tell_if_hanging();
    assert_eq!(told(), 0, "that long it may take");
    clock.advance(Duration::from_secs(1));
    database.tell_if_hanging();
    clock.advance(Duration::from_secs(1000));
    database.tell_if_hanging();
    database.poll_if_due();
    assert_eq!(told(), 1);
    assert_eq!(
        threads.asks.try_iter().count(),
        1,
        "a second read would hang behind the first"
    );
    // It comes back after all; the next one may hang as well.
    let _ = database.apply(polled(&clock));
    database.poll_if_due();
    clock.advance(Duration::from_secs(71));
    database.tell_if_hanging();
    let told = noted.0.lock().expect("one thread").clone();
    let hangs = "read prod: no answer for 1m 11s: the driver does not keep its limits; nothing is done here until the \
                 call returns or orareaper is restarted";
    assert_eq!(told, [Some(hangs.into()), None, Some(hangs.into())]);
}

#[test]
fn acting_that_does_not_come_back_is_told_once_and_nothing_is_permitted_meanwhile() {
    let limits = EffectiveLimits {
        parallel: 1,
        ..EffectiveLimits::of(&crate::policy::model::Limits::default())
    };
    let alone = DatabaseRules::of_policy_test("prod", Arming::Unarmed, limits, chrono_tz::UTC, Arc::default());
    let noted = Noted::default();
    let (mut database, clock, _threads) = of_rules(Arc::new(alone), Box::new(noted.clone()), Box::new(Nobody));
    let told = || noted.0.lock().expect("one thread").clone();
    let order = StandbyOrder {
        needed: Needed::Any,
        instances: std::collections::BTreeMap::new(),
        may_connect: true,
        anew: false,
    };
    assert!(database.workers.order_main(ActorOrder::StandBy(order), clock.now()));
    clock.advance(Duration::from_secs(150));
    // A sign of life in the middle of it.
    let key = capabilities(19, 3).own;
    let _ = database.apply(Input::Acted(0, Acted::Connected(key)));
    clock.advance(Duration::from_secs(200));
    database.tell_if_acting_hangs();
    assert_eq!(told(), [None; 0], "that long it may take");
    clock.advance(Duration::from_secs(1));
    database.tell_if_acting_hangs();
    clock.advance(Duration::from_secs(1000));
    database.tell_if_acting_hangs();
    let _ = database.apply(polled(&clock));
    let _ = database.apply(Input::Acted(0, Acted::Standby(Vec::new())));
    let _ = database.apply(polled(&clock));
    clock.advance(Duration::from_secs(1000));
    database.tell_if_acting_hangs();
    let hangs = "act on prod: no answer for 3m 21s: the driver does not keep its limits; no session is acted on here until the \
                 call returns or orareaper is restarted";
    let standstill = "the thread that acts does not come back from a call of the driver";
    assert_eq!(
        told(),
        [Some(hangs.into()), Some(standstill.into()), None],
        "it came back"
    );
}

#[test]
fn a_step_of_the_database_s_clock_permits_nothing_and_takes_nothing_from_a_budget() {
    let (mut database, clock, noted, threads) = database();
    let hour = TimeDelta::hours(1);
    let done = |seconds| {
        let one = intent(1, 287, RunMode::Enforce);
        let done = crate::journal::read::done_of(&one, crate::decide::outcome::Outcome::Done, None);
        let at = DateTime::from_timestamp(seconds, 0).expect("in range");
        Input::Acted(
            0,
            Acted::Done(Box::new(crate::decide::cycle::Done { at, ..done }), TimeDelta::zero()),
        )
    };
    let counted = |database: &DatabaseLoop, now: i64| {
        let now = DateTime::from_timestamp(now, 0).expect("in range");
        database.memory().ledger.count(now, hour, |_| true)
    };
    let _ = database.apply(polled(&clock));
    let _ = database.apply(done(1_000_000));
    let _ = database.apply(Input::Acted(0, Acted::Finished(Vec::new())));
    clock.advance(Duration::from_secs(15));
    // Two hours in fifteen seconds, while another action of the first cycle is under way.
    let two_hours = 7_200;
    let _ = database.apply(polled_at(&clock, 1_000_015 + two_hours));
    let _ = database.apply(done(1_000_000));
    assert_eq!(counted(&database, 1_000_015 + two_hours), 2);
    clock.advance(Duration::from_secs(15));
    database.poll_if_due();
    let asked = threads.asks.try_recv().expect("a poll is due");
    assert!(asked.anew, "the ages of sessions are to be found out anew");
    let _ = database.apply(polled_at(&clock, 1_000_030 + two_hours));
    assert_eq!(counted(&database, 1_000_030 + two_hours), 2);
    // And back again.
    clock.advance(Duration::from_secs(15));
    let _ = database.apply(polled(&clock));
    assert_eq!(counted(&database, 1_000_045), 2);
    clock.advance(Duration::from_secs(3_600));
    let _ = database.apply(polled(&clock));
    assert_eq!(counted(&database, 1_003_645), 0, "the hour is over by both clocks");
    let told = noted.0.lock().expect("one thread").clone();
    let set = |step| {
        Some(format!(
            "the database's clock was set {step} since the previous snapshot, going by the host's clock: no time counts as passed, and \
             all holds begin anew"
        ))
    };
    assert_eq!(told, [None, set("forward by 2h"), None, set("back by 2h"), None]);
}

#[test]
fn after_a_restart_a_step_is_measured_from_when_the_reading_began() {
    let (mut database, clock, ..) = database();
    database.memory.clocks = Clocks::restored(Some(TimeDelta::seconds(1_000_000)));
    let two_hours = TimeDelta::hours(2);
    let read = polled_at(&clock, 1_000_000 + two_hours.num_seconds());
    clock.advance(Duration::from_secs(240));
    let _ = database.apply(read);
    assert_eq!(
        database.memory().clocks.stepped(),
        two_hours,
        "not less by what the reading took"
    );
}

#[test]
fn an_account_that_is_refused_for_acting_is_not_tried_again_before_a_reload() {
    let refused =
        Some("no connection to act on until somebody has acted and reloaded: connect to prod: refused".to_owned());
    assert_eq!(after(Class::Auth), [refused.clone(), refused, None]);
}

#[test]
fn a_listener_that_is_not_there_is_tried_again_later() {
    let waiting = Some("no connection to act on: connect to prod: refused".to_owned());
    assert_eq!(after(Class::Backoff), [waiting, None, None]);
}

/// An acting thread waits for the disk; a loop never does, whatever it records.
#[test]
fn a_disk_that_does_not_answer_delays_no_loop() {
    let state = tempfile::tempdir().expect("a folder");
    let tape = Tape::default();
    let sink = over(&tape);
    let held = tape.slow.lock().expect("not poisoned");
    let (told, acting) = channel();
    let acts = Arc::clone(&sink);
    let one = intent(sink.next_id(), 287, RunMode::Enforce);
    std::thread::spawn(move || told.send(acts.record_intent(&one)));
    let host: Arc<dyn Clock> = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let switch = Arc::new(Switch::new(state.path(), Arc::clone(&host)).expect("a folder"));
    let pulse = Heartbeat::new(Arc::clone(&host)).pulse("db-prod", Duration::from_secs(30));
    let watcher = EventWatcher::new(&"prod".into(), sink, pulse, host, switch, state.path());
    let (mut database, clock, threads) = watched_by(Box::new(watcher));
    // This thread blocks the disk and runs the loops: if they waited for the disk, the test would not end.
    for cycle in 0..3 {
        database.poll_if_due();
        assert!(threads.asks.try_recv().is_ok(), "poll {cycle}");
        let error = Error::new(Class::Backoff, "read prod", "refused");
        assert!(database.apply(Input::Polled(Err(error))).is_continue());
        clock.advance(Duration::from_secs(3600));
        database.poll_if_due();
        assert!(threads.asks.try_recv().is_ok(), "poll {cycle}");
        // Up and down again, which is journalled.
        assert!(database.apply(polled(&clock)).is_continue());
        clock.advance(Duration::from_secs(15));
    }
    acting.try_recv().expect_err("the intent is not on the disk");
    drop(held);
    let written = acting.recv_timeout(Duration::from_secs(60)).expect("an answer");
    written.expect("is on the disk");
}

#[test]
fn a_part_that_was_read_for_the_policies_before_a_reload_is_passed_over() {
    let (mut database, clock, noted, heard) = database();
    let cycles = || noted.0.lock().expect("one thread").len();
    database.poll_if_due();
    assert!(heard.asks.try_recv().expect("it asks").rows.is_some());
    let _ = database.apply(part(&clock));
    assert_eq!(cycles(), 1);
    clock.advance(Duration::from_secs(15));
    database.poll_if_due();
    let _ = heard.asks.try_recv().expect("it asks");
    let _ = database.apply(Input::Reload(rules(), settings()));
    let _ = database.apply(part(&clock));
    assert_eq!(cycles(), 1, "other policies may be about other sessions");
    // It asks again at once; a snapshot of all sessions is good for any policies.
    database.poll_if_due();
    let _ = heard.asks.try_recv().expect("it asks");
    let _ = database.apply(Input::Reload(rules(), settings()));
    let _ = database.apply(polled(&clock));
    assert_eq!(cycles(), 2);
}
