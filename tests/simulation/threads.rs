//! The simulation with the daemon's threads, started as `run` starts them, against a database whose clock runs.
//!
//! The seed does not determine the order of events here, so a failure may not be reproducible; the checks hold in any order.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use orareaper::clock::{Clock, PacedClock, SystemClock};
use orareaper::config::{Config, DatabaseConfig, Driver, LoginConfig, SecretSource};
use orareaper::daemon::pause::Switch;
use orareaper::daemon::watcher::{Clerk, EventWatcher};
use orareaper::daemon::{RunningDatabases, Start, start};
use orareaper::decide::in_force::RunMode;
use orareaper::event_sink::EventSink;
use orareaper::journal::read::{History, Past, read};
use orareaper::metrics::Metrics;
use orareaper::policy::model::PolicySet;
use orareaper::status::SharedStatus;
use orareaper::systemd::Heartbeat;
use orasim::{Clause, KillRecord, Server, World};

use super::chance::Chance;
use super::threads_setting::{REAPER, Rule, Setting, is_safe, load};
use super::threads_trouble::Trouble;

/// The configured name.
const NAME: &str = "sim";

/// Simulated seconds a second.
const SPEED: u32 = 120;

/// How often something is done to a database, at least: some four seconds of its trouble.
const STEPS: usize = 32;

/// How long a statement is waited for. A seed that sends none by then is none that can.
const PATIENCE: Duration = Duration::from_secs(120);

/// After so long without a statement the daemon and the trouble are given twice the time for everything: nobody acts on a snapshot
/// that is older than two polls, and a busy machine may need longer than that to take one.
const TOO_FAST: Duration = Duration::from_secs(8);

/// Plays a seed with threads for so long, restarting the daemon in between; how many statements were sent.
#[allow(clippy::disallowed_methods, reason = "how long a test lasts is read off a clock")]
pub(crate) fn play(seed: u64) -> usize {
    let mut chance = Chance::of(seed);
    let setting = Setting::draw(seed, &mut chance);
    let mut scenario = setting.scenario.clone();
    scenario.speed = f64::from(SPEED);
    let world = World::new(scenario);
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(Arc::clone(&world) as Arc<dyn orasim::backend::Database>, loopback)
        .expect("a port on the loopback");
    let state = tempfile::tempdir().expect("a folder");
    let mut config = config(&setting, &server, state.path());
    let mut trouble = Trouble::default();
    let mut running = begin(&config, &setting.sets[0]);
    let began = Instant::now();
    let (mut steps, mut slower, mut slower_at) = (0, 1, TOO_FAST);
    // A busy machine gets little done in a step: where nothing was sent yet, there are more of them.
    while steps < STEPS || (world.kills().is_empty() && began.elapsed() < PATIENCE) {
        steps += 1;
        if world.kills().is_empty() && began.elapsed() > slower_at {
            slower *= 2;
            slower_at += TOO_FAST * slower;
            let database = &mut config.databases[0];
            for time in [
                &mut database.poll,
                &mut database.connect_timeout,
                &mut database.call_timeout,
            ] {
                *time *= 2;
            }
            running.reload(&config, load(&setting.sets[0]));
        }
        std::thread::sleep(Duration::from_millis(chance.between(20, 200)) * slower);
        trouble.stir(&mut chance, &world, setting.instances);
        if chance.one_in(12) {
            let set = load(&setting.sets[usize::from(chance.one_in(2))]);
            running.reload(&config, set);
        }
        if chance.one_in(25) {
            end(running, &world);
            running = begin(&config, &setting.sets[0]);
        }
    }
    trouble.end(&world, setting.instances);
    end(running, &world);
    let history = read(state.path(), SystemClock::new().utc()).expect("the journal");
    check(&world, &history, &setting)
}

fn config(setting: &Setting, server: &Server, state: &Path) -> Config {
    let secret = state.join("password");
    std::fs::write(&secret, "reaper\n").expect("written");
    Config {
        databases: vec![DatabaseConfig {
            via: None,
            leader: None,
            name: NAME.into(),
            driver: Driver::Thin,
            connect: format!("//{}/SIM", server.addr()),
            login: LoginConfig::Password {
                user: REAPER.to_lowercase(),
                password: SecretSource::File(secret),
            },
            armed: true,
            poll: Duration::from_millis(150),
            pressed: None,
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(1),
            limits: setting.limits,
            blackouts: Vec::new(),
            timezone: chrono_tz::UTC,
            tns_admin: None,
            labels: std::collections::BTreeMap::new(),
        }],
        policies: Vec::new(),
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        web_config: None,
        listen_unprotected: false,
        state: state.to_owned(),
        journal: orareaper::config::Retention::default(),
        timezone: chrono_tz::UTC,
        limits: setting.limits,
        blackouts: Vec::new(),
        notify: None,
    }
}

/// The daemon and what its databases share.
struct Whole {
    sink: Arc<EventSink>,
    history: History,
    heartbeat: Heartbeat,
    switch: Arc<Switch>,
    clock: Arc<dyn Clock>,
    running: Option<RunningDatabases>,
}

fn begin(config: &Config, rules: &[Rule]) -> Whole {
    let clock: Arc<dyn Clock> = Arc::new(PacedClock {
        host: SystemClock::new(),
        pace: SPEED,
    });
    let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
    let opened = EventSink::open(&config.state, Arc::clone(&clock), metrics, status);
    let (sink, history) = opened.expect("the state folder");
    let mut whole = Whole {
        sink: Arc::new(sink),
        history,
        heartbeat: Heartbeat::new(Arc::clone(&clock)),
        switch: Arc::new(Switch::new(&config.state, Arc::clone(&clock)).expect("the state folder")),
        clock,
        running: None,
    };
    whole.running = Some(whole.with(config, load(rules), |with| start(with).expect("threads")));
    whole
}

impl Whole {
    fn with<T>(&self, config: &Config, set: PolicySet, then: impl FnOnce(&Start<'_>) -> T) -> T {
        then(&Start {
            config,
            set: Arc::new(set),
            dry_run: false,
            clock: Arc::clone(&self.clock),
            switch: Arc::clone(&self.switch),
            mark: None,
            accounts: &Arc::default(),
            siblings: &Arc::default(),
            memory: &|database| self.history.memory(&database.name, &database.place()),
            watcher: &|database| {
                let pulse = self.heartbeat.pulse("db-sim", Duration::from_secs(30));
                let (sink, clock) = (Arc::clone(&self.sink), Arc::clone(&self.clock));
                Box::new(EventWatcher::new(
                    &database.name,
                    sink,
                    pulse,
                    clock,
                    Arc::clone(&self.switch),
                    &config.state,
                ))
            },
            recorder: &|database| {
                let (name, place) = (Arc::clone(&database.name), database.place());
                let sink = Arc::clone(&self.sink);
                Box::new(move || Box::new(Clerk::new((&name, &place), Arc::clone(&sink))))
            },
        })
    }

    fn reload(&mut self, config: &Config, set: PolicySet) {
        let mut running = self.running.take().expect("it runs");
        self.with(config, set, |with| running.reload(with, || {}).expect("a password"));
        self.running = Some(running);
    }
}

/// Ends the daemon, and what its process would have taken with it: threads that hang in a call are not waited for.
fn end(whole: Whole, world: &World) {
    assert!(
        whole.running.expect("it runs").stop(Duration::from_secs(10)),
        "a loop did not end in good order"
    );
    whole.sink.close(Duration::from_secs(30)).expect("all of it is written");
    for session in world.sessions() {
        if session.group.is_none() && session.username.as_deref() == Some(REAPER) {
            world.log_off(session.instance, session.sid);
        }
    }
}

/// Whether a statement counts: not one that met nobody, nor one that was refused beforehand because the daemon may end nobody.
fn takes_budget(record: &KillRecord) -> bool {
    !matches!(record.answer, Some(30 | 1_031))
}

/// Every statement has an intent of its own, and deserved to be sent.
fn check(world: &World, history: &History, setting: &Setting) -> usize {
    let rules = setting.sets.concat();
    let mut intents: Vec<&Past> = history.actions.values().collect();
    let mut sent: Vec<(KillRecord, &Past)> = Vec::new();
    for record in world.kills() {
        let fits = |past: &&Past| {
            let key = past.intent.key;
            past.intent.mode == RunMode::Enforce
                && (key.inst_id, key.sid, key.serial) == record.target
                && past.intent.taken_at <= record.at.and_utc()
        };
        let at = intents.iter().position(fits);
        let past = intents.swap_remove(at.unwrap_or_else(|| panic!("sent without an intent: {record:?}")));
        let rule = rules
            .iter()
            .find(|rule| *rule.name == *past.intent.policy)
            .expect("a policy");
        if let Some(hit) = &record.hit {
            assert!(!is_safe(hit), "a protected session: {record:?}");
            assert_eq!(
                hit.logon_time.and_utc().timestamp(),
                past.intent.key.logon_time.0,
                "{record:?}"
            );
        }
        for (earlier, of) in &sent {
            let accepted = matches!(earlier.answer, None | Some(0 | 31)) && earlier.clause != Clause::CancelSql;
            let again = of.intent.key == past.intent.key;
            let apart = past.intent.taken_at - of.intent.taken_at;
            assert!(!(again && apart.is_zero()), "twice in one cycle: {record:?}");
            assert!(
                !(again && accepted && apart < TimeDelta::hours(1)),
                "again after {apart}: {record:?}"
            );
        }
        sent.push((record, past));
        let newest = past.intent.taken_at;
        let counted = |period: TimeDelta, policy: Option<&str>| {
            let count = sent.iter().filter(|(record, past)| {
                let age = newest - past.intent.taken_at;
                age >= TimeDelta::zero()
                    && age < period
                    && takes_budget(record)
                    && policy.is_none_or(|policy| *past.intent.policy == *policy)
            });
            u32::try_from(count.count()).expect("few")
        };
        let (cycle, hour) = (TimeDelta::milliseconds(1), TimeDelta::hours(1));
        for (limit, period, policy) in [
            (setting.limits.per_cycle, cycle, None),
            (setting.limits.per_hour, hour, None),
            (rule.per_cycle, cycle, Some(rule.name.as_str())),
            (rule.per_hour, hour, Some(rule.name.as_str())),
        ] {
            let count = counted(period, policy);
            assert!(
                limit.is_none_or(|limit| count <= limit),
                "{count} in {period}: {:?}",
                past.intent
            );
        }
    }
    sent.len()
}
