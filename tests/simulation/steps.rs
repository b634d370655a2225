//! A run, step by step: one thread, one clock that only the run moves, and every choice drawn from the seed.
//!
//! The daemon's own parts are at work: its poller and its actor over the real driver and the real wire, its database's loop
//! one input at a time, its sink on a folder of its own. Only the order in which they get their turns is the run's.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use orareaper::clock::{Clock, Monotonic};
use orareaper::daemon::actor::Actor;
use orareaper::daemon::database::{DatabaseLoop, Hire, Threads};
use orareaper::daemon::messages::{ActorOrder, Input, Needs, Settings, Task};
use orareaper::daemon::pause::{Pause, Switch, clear, set};
use orareaper::daemon::poller::Poller;
use orareaper::daemon::reach::Reach;
use orareaper::daemon::watcher::{Clerk, EventWatcher};
use orareaper::decide::in_force::{Arming, DatabaseRules, EffectiveLimits};
use orareaper::event_sink::EventSink;
use orareaper::journal;
use orareaper::metrics::Metrics;
use orareaper::oracle::{Driver, Login, Secret, Target};
use orareaper::session::SessionKey;
use orareaper::status::SharedStatus;
use orareaper::systemd::Heartbeat;
use orasim::{Server, World};

use super::chance::Chance;
use super::checks::{Truth, is, remembered};
use super::setting::{REAPER, Rule, Setting, load};
use super::spy::Spy;
use super::trouble::{Desk, Mischief, Trouble, is_crash};

/// The configured name.
pub(crate) const NAME: &str = "sim";

/// The daemon's clock is the database's.
pub(crate) struct WorldClock {
    pub(crate) world: Arc<World>,
    pub(crate) start: NaiveDateTime,
}

impl std::fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldClock since {}", self.start)
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Monotonic {
        Monotonic::at((self.world.now() - self.start).to_std().unwrap_or_default())
    }

    fn utc(&self) -> DateTime<Utc> {
        self.world.now().and_utc()
    }
}

pub(crate) type Shared = Arc<Mutex<Truth>>;

pub(crate) fn lock(truth: &Shared) -> MutexGuard<'_, Truth> {
    truth.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The daemon, in parts.
struct Daemon {
    sink: Arc<EventSink>,
    database: DatabaseLoop,
    poller: Poller,
    /// Those who act, as many as were started so far.
    actors: Vec<Actor>,
    switch: Arc<Switch>,
    asks: Receiver<Needs>,
    /// What each of those who act was told to do.
    orders: Arc<Mutex<Vec<Receiver<ActorOrder>>>>,
    /// Warrants that somebody was given and has not begun with.
    given: Vec<(usize, Task)>,
    tell: Sender<Input>,
    inputs: Receiver<Input>,
}

impl Daemon {
    /// What was told to whoever acts, by its number.
    fn next_order(&self) -> Option<(usize, ActorOrder)> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = orders.iter().enumerate();
        all.find_map(|(number, orders)| Some((number, orders.try_recv().ok()?)))
    }
}

/// One run.
pub(crate) struct Run {
    chance: Chance,
    setting: Setting,
    world: Arc<World>,
    truth: Shared,
    clock: Arc<dyn Clock>,
    reach: Reach,
    state: tempfile::TempDir,
    daemon: Option<Daemon>,
    /// Which set of policies is loaded.
    loaded: usize,
    trouble: Trouble,
    /// Ends last, with all its connections.
    _server: Server,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) statements: usize,
    /// How many would be sent in the first cycle if nothing went wrong in it.
    pub(crate) in_first_cycles: usize,
    pub(crate) crashes: usize,
    pub(crate) cycles: usize,
}

impl Summary {
    pub(crate) fn add(&mut self, other: Summary) {
        self.statements += other.statements;
        self.in_first_cycles += other.in_first_cycles;
        self.crashes += other.crashes;
        self.cycles += other.cycles;
    }
}

/// For calls that nothing is meant to delay: far above what a loaded machine needs.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);

/// How long a logoff may take, in milliseconds.
const PATIENCE: u32 = 100;

/// For calls while something hangs.
const IMPATIENT: Duration = Duration::from_millis(250);

pub(crate) fn reach(server: &Server, limit: Duration) -> Reach {
    Reach {
        via: None,
        leader: None,
        target: Target {
            name: Arc::from(NAME),
            driver: Driver::Thin,
            connect: format!("//{}/SIM", server.addr()),
            login: Login::Password {
                user: REAPER.to_lowercase(),
                password: Secret::new("reaper"),
            },
            tns_admin: None,
            mark: None,
        },
        password: None,
        accounts: Arc::default(),
        connect_limit: PATIENT,
        call_limit: limit,
        kill_limit: limit,
    }
}

impl Run {
    pub(crate) fn new(seed: u64) -> Run {
        let mut chance = Chance::of(seed);
        let setting = Setting::draw(seed, &mut chance);
        let world = World::new(setting.scenario.clone());
        world.let_waits_pass();
        let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(Arc::clone(&world) as Arc<dyn orasim::backend::Database>, loopback)
            .expect("a port on the loopback");
        let rules = setting.sets.concat();
        let truth = Truth::new(Arc::clone(&world), rules, setting.limits);
        let clock: Arc<dyn Clock> = Arc::new(WorldClock {
            start: world.now(),
            world: Arc::clone(&world),
        });
        let mut run = Run {
            chance,
            reach: reach(&server, PATIENT),
            setting,
            world,
            truth: Arc::new(Mutex::new(truth)),
            clock,
            state: tempfile::tempdir().expect("a folder"),
            daemon: None,
            loaded: 0,
            trouble: Trouble::default(),
            _server: server,
        };
        run.start();
        run
    }

    /// Everything that goes wrong, then nothing more, until whoever has to go is gone.
    pub(crate) fn play(mut self, steps: usize) -> Summary {
        let mut summary = Summary {
            in_first_cycles: self.in_first_cycle(),
            ..Summary::default()
        };
        for _ in 0..steps {
            self.disturb();
            summary.crashes += usize::from(self.turn());
            summary.cycles += 1;
        }
        summary.cycles += self.come_to_rest();
        summary.statements = lock(&self.truth).statements();
        summary
    }

    /// How many sessions those policies want at the start that act at sight, within the budgets.
    fn in_first_cycle(&self) -> usize {
        let all = &self.setting.limits;
        let mut at_sight = self.setting.sets[self.loaded].clone();
        at_sight.retain(|rule| rule.hold == 0);
        let under = |wanted: usize, limit: Option<u32>| limit.map_or(wanted, |limit| wanted.min(limit as usize));
        let of_each = at_sight.iter().map(|rule| {
            let wanted = lock(&self.truth).wanted_gone(std::slice::from_ref(rule)).len();
            under(under(wanted, rule.per_cycle), rule.per_hour)
        });
        let most = lock(&self.truth).wanted_gone(&at_sight).len();
        let wanted = of_each.sum::<usize>().min(most);
        // An open breaker would take nobody.
        if all.share == Some(100) {
            under(under(wanted, all.per_cycle), all.per_hour)
        } else {
            0
        }
    }

    fn rules(&self) -> Arc<DatabaseRules> {
        let arming = Arming::of(lock(&self.truth).armed, false);
        let limits = EffectiveLimits::of(&self.setting.limits);
        let set = Arc::new(load(&self.setting.sets[self.loaded]));
        Arc::new(DatabaseRules::of_story(NAME, arming, limits, chrono_tz::UTC, set))
    }

    fn settings(&self) -> Settings {
        Settings {
            name: Arc::from(NAME),
            poll: self.setting.poll,
            patience: Duration::MAX,
            acting_patience: Duration::MAX,
            siblings: Arc::default(),
            leader: None,
        }
    }

    fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts the daemon, from what the journal says.
    fn start(&mut self) {
        let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
        let (sink, history) =
            EventSink::open(self.state(), Arc::clone(&self.clock), metrics, status).expect("the state folder");
        let sink = Arc::new(sink);
        let heartbeat = Heartbeat::new(Arc::clone(&self.clock));
        let name: Arc<str> = Arc::from(NAME);
        let pulse = heartbeat.pulse("db-sim", Duration::from_secs(3600));
        let switch = Switch::new(self.state(), Arc::clone(&self.clock)).expect("the state folder");
        let switch = Arc::new(switch);
        let watcher = Spy {
            inner: EventWatcher::new(
                &name,
                Arc::clone(&sink),
                pulse,
                Arc::clone(&self.clock),
                Arc::clone(&switch),
                self.state(),
            ),
            truth: Arc::clone(&self.truth),
            switch: Arc::clone(&switch),
        };
        let (ask, asks) = channel();
        let (act, first) = channel();
        let orders = Arc::new(Mutex::new(vec![first]));
        let hire: Hire = {
            let orders = Arc::clone(&orders);
            Box::new(move |_| {
                let (act, heard) = channel();
                orders.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                Some(act)
            })
        };
        let (tell, inputs) = channel();
        let settings = self.settings();
        let clock = Arc::clone(&self.clock);
        let memory = history.memory(NAME, NAME);
        let watched = (
            Box::new(watcher) as _,
            Box::new(Clerk::new((&name, &name), Arc::clone(&sink))) as _,
        );
        let database = DatabaseLoop::new(
            settings,
            self.rules(),
            memory,
            clock,
            Threads { ask, act, hire },
            watched,
        );
        self.daemon = Some(Daemon {
            sink,
            database,
            poller: Poller::new(self.reach.clone(), Arc::clone(&self.clock)),
            actors: Vec::new(),
            switch,
            asks,
            orders,
            given: Vec::new(),
            tell,
            inputs,
        });
    }

    /// One of those who act.
    fn actor(&mut self, number: usize) -> &mut Actor {
        let (reach, clock) = (self.reach.clone(), Arc::clone(&self.clock));
        let daemon = self.daemon.as_mut().expect("it runs");
        while daemon.actors.len() <= number {
            let told = (daemon.actors.len(), daemon.tell.clone());
            let switch = Arc::clone(&daemon.switch);
            daemon
                .actors
                .push(Actor::new(reach.clone(), Arc::clone(&clock), switch, told));
        }
        &mut daemon.actors[number]
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("it runs")
    }

    /// Lets time pass and things go wrong, as the seed will have it.
    fn disturb(&mut self) {
        let poll = self.setting.poll;
        let span = match self.chance.between(0, 9) {
            0 => poll * 5,
            1 => poll / 3,
            2 => Duration::from_secs(self.chance.between(600, 4000)),
            _ => poll,
        };
        self.world.advance(span);
        self.trouble.stir(&mut self.chance, &self.world, self.setting.instances);
        let limit = if self.trouble.hangs() { IMPATIENT } else { PATIENT };
        self.set_limits(limit);
        if self.chance.one_in(12) {
            self.reload();
        }
        if self.chance.one_in(15) {
            self.pause();
        }
        if self.chance.one_in(20) {
            self.restart();
        }
    }

    fn set_limits(&mut self, limit: Duration) {
        self.reach.call_limit = limit;
        self.reach.kill_limit = limit;
        let daemon = self.daemon();
        let actors = daemon.actors.iter_mut().map(Actor::reach_mut);
        for reach in actors.chain([daemon.poller.reach_mut()]) {
            reach.call_limit = limit;
            reach.kill_limit = limit;
        }
    }

    fn reload(&mut self) {
        if self.chance.one_in(2) {
            self.loaded = 1 - self.loaded;
        }
        lock(&self.truth).armed = !self.chance.one_in(3);
        let (rules, settings) = (self.rules(), self.settings());
        let ended = self.daemon().database.apply(Input::Reload(rules, settings));
        assert!(ended.is_continue());
    }

    fn pause(&mut self) {
        let mut truth = lock(&self.truth);
        truth.paused = !truth.paused;
        if truth.paused {
            let (by, reason) = ("a test".to_owned(), String::new());
            let since = None;
            set(self.state.path(), &Pause { by, reason, since }).expect("written");
        } else {
            assert!(clear(self.state.path()).expect("removed"));
        }
    }

    /// Ends the daemon in good order and starts it again: what the journal remembers is what the daemon did.
    fn restart(&mut self) {
        let (now, rules) = (self.clock.utc(), self.setting.sets.concat());
        let before = remembered(self.daemon().database.memory(), now, &rules);
        self.daemon = None;
        self.start();
        let after = remembered(self.daemon().database.memory(), now, &rules);
        assert_eq!(before, after, "the journal remembers otherwise");
        self.settle();
    }

    /// One turn of each part. Whether the daemon crashed in it.
    fn turn(&mut self) -> bool {
        let daemon = self.daemon();
        daemon.database.poll_if_due();
        if let Ok(needs) = daemon.asks.try_recv() {
            let polled = daemon.poller.poll(&needs);
            if self.chance.one_in(4) {
                let seconds = self.chance.between(1, 3 * self.setting.poll.as_secs());
                self.world.advance(Duration::from_secs(seconds));
                self.trouble.touch_somebody(&mut self.chance, &self.world);
            }
            let ended = self.daemon().database.apply(Input::Polled(polled));
            assert!(ended.is_continue());
        }
        self.hear();
        if self.daemon().given.is_empty() {
            lock(&self.truth).nothing_else_was_sent();
            self.settle();
            return false;
        }
        if self.chance.one_in(4) {
            self.trouble.touch_somebody(&mut self.chance, &self.world);
        }
        if self.chance.one_in(6) {
            let seconds = self.chance.between(1, 3 * self.setting.poll.as_secs());
            self.world.advance(Duration::from_secs(seconds));
        }
        if self.chance.one_in(10) {
            self.poll_meanwhile();
        }
        if self.chance.one_in(8) {
            self.reload();
        }
        let mischief = Mischief::draw(&mut self.chance);
        let crashed = self.act_all(mischief);
        if !crashed {
            self.compare_with_journal();
        }
        self.settle();
        crashed
    }

    /// Cycles go on while somebody acts.
    fn poll_meanwhile(&mut self) {
        self.world.advance(self.setting.poll);
        let daemon = self.daemon();
        daemon.database.poll_if_due();
        if let Ok(needs) = daemon.asks.try_recv() {
            let polled = daemon.poller.poll(&needs);
            let ended = daemon.database.apply(Input::Polled(polled));
            assert!(ended.is_continue());
            self.hear();
        }
    }

    /// Has the connections to act on stand by, as far as that is ordered, and takes note of the warrants that are given to somebody.
    fn hear(&mut self) {
        self.daemon().database.share_out();
        while let Some((number, order)) = self.daemon().next_order() {
            match order {
                ActorOrder::Act(task) => {
                    let given = &mut self.daemon().given;
                    assert!(
                        given.iter().all(|(other, _)| *other != number),
                        "two warrants at a time"
                    );
                    given.push((number, *task));
                }
                ActorOrder::Stand(standing) => {
                    let answer = self.actor(number).answer_to(&standing);
                    self.tell_outcomes();
                    let told = self.daemon().database.apply(Input::Acted(number, answer));
                    assert!(told.is_continue());
                }
            }
        }
    }

    fn desk(&self, mischief: Mischief) -> Desk {
        let daemon = self.daemon.as_ref().expect("it runs");
        let state = self.state.path().to_owned();
        Desk::new(&daemon.sink, Arc::clone(&self.truth), state, mischief)
    }

    /// Has everything carried out that is given to somebody, in any order, and what comes after it. Whether the daemon crashed meanwhile.
    fn act_all(&mut self, mischief: Mischief) -> bool {
        let mut desk = self.desk(mischief);
        loop {
            self.hear();
            let given = self.daemon().given.len();
            if given == 0 {
                lock(&self.truth).nothing_else_was_sent();
                return false;
            }
            let most = u64::try_from(given - 1).expect("few");
            let at = if most == 0 { 0 } else { self.chance.between(0, most) };
            let (number, task) = self.daemon().given.swap_remove(usize::try_from(at).expect("few"));
            if let Err(panicked) = self.act(number, task, &mut desk) {
                let keys = std::mem::take(&mut desk.intended);
                // It holds the sink, and with it the journal's lock.
                drop(desk);
                if !is_crash(&*panicked) {
                    panic::resume_unwind(panicked);
                }
                self.crash(&keys);
                return true;
            }
        }
    }

    /// Has a warrant carried out, and the outcome told. An error is what it panicked with.
    fn act(&mut self, number: usize, task: Task, desk: &mut Desk) -> std::thread::Result<()> {
        // One that an earlier trouble has cut is noticed when it is used.
        let mut before = self.actor(number).own();
        before.retain(|own| {
            let session = self.world.session(own.inst_id, own.sid);
            session.is_some_and(|session| is(&session, *own))
        });
        desk.marked = false;
        let actor = self.actor(number);
        panic::catch_unwind(AssertUnwindSafe(|| actor.carry_out(task, desk)))?;
        if desk.marked && !self.trouble.may_cost_connections() {
            let after = self.actor(number).own();
            let lives = before.iter().all(|own| after.contains(own));
            assert!(lives, "ORA-00031 cost a connection: {before:?}, now {after:?}");
        }
        lock(&self.truth).nothing_else_was_sent();
        self.tell_outcomes();
        let through = self.actor(number).through();
        let told = self.daemon().database.apply(Input::Acted(number, through));
        assert!(told.is_continue());
        Ok(())
    }

    fn tell_outcomes(&mut self) {
        let daemon = self.daemon();
        while let Ok(input) = daemon.inputs.try_recv() {
            let ended = daemon.database.apply(input);
            assert!(ended.is_continue());
        }
    }

    /// What the journal remembers is what the daemon remembers, also while it runs.
    fn compare_with_journal(&mut self) {
        assert!(self.daemon().sink.flush(PATIENT), "the journal takes no records");
        let now = self.clock.utc();
        let rules = self.setting.sets.concat();
        let history = journal::read::read(self.state(), now).expect("the journal");
        let from_journal = remembered(&history.memory(NAME, NAME), now, &rules);
        let live = remembered(self.daemon().database.memory(), now, &rules);
        assert_eq!(live, from_journal, "the journal remembers otherwise");
    }

    /// The daemon is gone from one moment to the next, and comes back: whatever it may have done is remembered.
    fn crash(&mut self, intended: &[SessionKey]) {
        self.tell_outcomes();
        let before: Vec<SessionKey> = followed_in_earnest(&self.daemon().database);
        self.daemon = None;
        let mut truth = lock(&self.truth);
        truth.take();
        let under_way = truth.current.take();
        drop(truth);
        self.start();
        let after = followed_in_earnest(&self.daemon().database);
        for key in before {
            assert!(after.contains(&key), "{key} is forgotten after the crash");
        }
        if let Some(current) = under_way
            && current.mode == orareaper::decide::in_force::RunMode::Enforce
            && intended.contains(&current.key)
        {
            let key = current.key;
            assert!(after.contains(&key), "{key} may have been acted on, and is forgotten");
        }
        self.settle();
    }

    /// Waits until connections that were given up are gone from the database: they are logged off on threads of their own.
    fn settle(&mut self) {
        let actors = self.daemon().actors.iter();
        let mut own: Vec<SessionKey> = actors.flat_map(Actor::own).collect();
        own.extend(self.daemon().poller.own());
        let known = |instance, sid, serial| {
            own.iter()
                .any(|key| (key.inst_id, key.sid, key.serial) == (instance, sid, serial))
        };
        for attempt in 0..=PATIENCE {
            let mut surplus = self.world.sessions();
            surplus.retain(|session| {
                session.group.is_none()
                    && session.username.as_deref() == Some(REAPER)
                    && !known(session.instance, session.sid, session.serial)
            });
            if surplus.is_empty() {
                return;
            }
            if attempt == PATIENCE {
                // A logoff that hangs: the database notices some day that nobody is there any more.
                for session in surplus {
                    self.world.log_off(session.instance, session.sid);
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Nothing goes wrong any more: whoever is wanted and not protected goes, within the budgets.
    fn come_to_rest(&mut self) -> usize {
        self.trouble.end(&self.world, self.setting.instances);
        let mut truth = lock(&self.truth);
        truth.armed = true;
        let was_paused = std::mem::replace(&mut truth.paused, false);
        drop(truth);
        if was_paused {
            assert!(clear(self.state()).expect("removed"));
        }
        self.set_limits(PATIENT);
        let (rules, settings) = (self.rules(), self.settings());
        let ended = self.daemon().database.apply(Input::Reload(rules, settings));
        assert!(ended.is_continue());
        let in_force: Vec<Rule> = self.setting.sets[self.loaded].clone();
        if self.setting.limits.share != Some(100) || self.setting.reconnecting {
            return 0;
        }
        let wanted = lock(&self.truth).wanted_gone(&in_force);
        let still = |world: &World| {
            let there = world.sessions();
            wanted
                .iter()
                .filter(|wanted| {
                    there.iter().any(|session| {
                        (session.instance, session.sid, session.serial, session.logon_time)
                            == (wanted.instance, wanted.sid, wanted.serial, wanted.logon_time)
                            && session.status != "KILLED"
                            && in_force.iter().any(|rule| rule.wants(session, world.now()))
                    })
                })
                .count()
        };
        // An action whose end nobody knows holds its session for an hour; then the hourly budgets set the pace.
        let least = in_force.iter().filter_map(|rule| rule.per_hour);
        let an_hour = least.chain(self.setting.limits.per_hour).min().unwrap_or(1);
        let hours = 3 + wanted.len() as u64 / u64::from(an_hour) * 2;
        let step = self.setting.poll * 3;
        let most = hours * 3600 / step.as_secs();
        let mut cycles = 0;
        while still(&self.world) > 0 {
            assert!(
                cycles < most,
                "{} of {} are still there after {hours}h by {in_force:?}: {:?}",
                still(&self.world),
                wanted.len(),
                lock(&self.truth).wanted_gone(&in_force).first()
            );
            self.world.advance(step);
            self.turn_quietly();
            cycles += 1;
        }
        usize::try_from(cycles).expect("few")
    }

    fn turn_quietly(&mut self) {
        let daemon = self.daemon.as_mut().expect("it runs");
        daemon.database.poll_if_due();
        let Ok(needs) = daemon.asks.try_recv() else { return };
        let polled = daemon.poller.poll(&needs);
        assert!(daemon.database.apply(Input::Polled(polled)).is_continue());
        assert!(!self.act_all(Mischief::None), "nothing goes wrong any more");
    }
}

fn followed_in_earnest(database: &DatabaseLoop) -> Vec<SessionKey> {
    let following = database.memory().following.iter();
    following
        .filter(|(_, followed)| followed.mode == orareaper::decide::in_force::RunMode::Enforce)
        .map(|(key, _)| *key)
        .collect()
}
