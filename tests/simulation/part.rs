//! One entry of the configuration at work: its loop, its poller and those who act, as the daemon has them, without their threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use orareaper::daemon::accounts::AccountMemory;
use orareaper::daemon::actor::{Actor, KILL_LIMIT};
use orareaper::daemon::database::{DatabaseLoop, StartWorker, Threads};
use orareaper::daemon::messages::{ActorOrder, Input, Needs, Settings};
use orareaper::daemon::pause::Switch;
use orareaper::daemon::poller::Poller;
use orareaper::daemon::ranks::Leader;
use orareaper::daemon::reach::{Reach, SharedReach};
use orareaper::daemon::watcher::{Clerk, EventWatcher};
use orareaper::decide::in_force::{DatabaseRules, EffectiveLimits, RunMode};
use orareaper::event_sink::EventSink;
use orareaper::journal::read::{History, read};
use orareaper::metrics::Metrics;
use orareaper::oracle::{Driver, LeaderLock, Target};
use orareaper::status::SharedStatus;
use orareaper::systemd::Heartbeat;

use super::base::Key;
use super::connection::ToBase;
use super::judge::Entry;
use super::setting::Setting;
use super::spy::{Desk, Spy};
use super::stage::{Left, Stage, Who, lock};

/// The limit of each call.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// What all entries share.
pub(crate) struct Shared {
    pub(crate) sink: Arc<EventSink>,
    switch: Arc<Switch>,
    heartbeat: Heartbeat,
    settings: Settings,
    refused: Arc<AccountMemory>,
}

/// An order that somebody has not begun with.
struct Waiting {
    number: usize,
    order: ActorOrder,
}

/// One entry at work.
pub(crate) struct Part {
    pub(crate) at: usize,
    pub(crate) name: Arc<str>,
    pub(crate) place: Arc<str>,
    reach: SharedReach,
    database: Mutex<DatabaseLoop>,
    /// None while it is at work.
    poller: Mutex<Option<Poller>>,
    actors: Mutex<Vec<Option<Actor>>>,
    asks: Mutex<Receiver<Needs>>,
    orders: Arc<Mutex<Vec<Receiver<ActorOrder>>>>,
    waiting: Mutex<Vec<Waiting>>,
    tell: Sender<Input>,
    inputs: Mutex<Receiver<Input>>,
}

impl Part {
    /// What its loop knows.
    pub(crate) fn database(&self) -> MutexGuard<'_, DatabaseLoop> {
        lock(&self.database)
    }

    pub(crate) fn apply(&self, input: Input) {
        let goes_on = self.database().apply(input).is_continue();
        assert!(goes_on, "nobody ended it");
    }

    /// Whom its loop follows because of a statement.
    pub(crate) fn followed(&self) -> Vec<Key> {
        let database = self.database();
        let followed = database.memory().following.iter();
        let real = followed.filter(|(_, followed)| followed.mode == RunMode::Enforce);
        real.map(|(key, _)| key_of(*key)).collect()
    }

    /// One of those who act that is not at work.
    fn take_actor(&self, stage: &Stage, switch: Arc<Switch>, number: usize) -> Option<Actor> {
        let mut actors = lock(&self.actors);
        while actors.len() <= number {
            let told = (actors.len(), self.tell.clone());
            actors.push(Some(Actor::new(
                self.reach.now(),
                stage.clock(),
                Arc::clone(&switch),
                told,
            )));
        }
        let mut actor = actors[number].take()?;
        *actor.reach_mut() = self.reach.now();
        Some(actor)
    }

    fn hear(&self) {
        self.database().tick();
        let orders = lock(&self.orders);
        let mut waiting = lock(&self.waiting);
        for (number, heard) in orders.iter().enumerate() {
            while let Ok(order) = heard.try_recv() {
                waiting.push(Waiting { number, order });
            }
        }
    }

    /// The next order of somebody who is not at work.
    fn next_order(&self, stage: &Stage) -> Option<Waiting> {
        let mut waiting = lock(&self.waiting);
        let is_free = |number: usize| !stage.is_at_work(Who::Actor(self.at, number));
        let firsts: Vec<usize> = (0..waiting.len())
            .filter(|at| {
                let number = waiting[*at].number;
                is_free(number) && waiting[..*at].iter().all(|earlier| earlier.number != number)
            })
            .collect();
        let most = u64::try_from(firsts.len()).ok()?.checked_sub(1)?;
        let at = usize::try_from(stage.chance().between(0, most)).expect("few");
        Some(waiting.remove(firsts[at]))
    }

    fn tell_outcomes(&self) {
        let told: Vec<Input> = lock(&self.inputs).try_iter().collect();
        for input in told {
            self.apply(input);
        }
    }
}

/// A key as the judge writes it.
pub(crate) fn key_of(key: orareaper::session::SessionKey) -> Key {
    Key {
        inst: key.inst_id,
        sid: key.sid,
        serial: key.serial,
        logon: key.logon_time.0,
    }
}

impl Stage {
    /// What all entries share.
    pub(crate) fn sink(&self) -> Arc<EventSink> {
        Arc::clone(&lock(&self.shared).as_ref().expect("it runs").sink)
    }

    fn switch(&self) -> Arc<Switch> {
        Arc::clone(&lock(&self.shared).as_ref().expect("it runs").switch)
    }

    /// Starts the daemon with these entries, from what the journal says.
    pub(crate) fn start(self: &Arc<Self>, entries: &[Option<Entry>]) {
        self.trace(|| "start".to_owned());
        self.is_born();
        let clock = self.clock();
        let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
        let opened = EventSink::open_without_a_thread(self.state.path(), Arc::clone(&clock), metrics, status);
        let (sink, history) = opened.expect("the state folder");
        *lock(&self.shared) = Some(Shared {
            sink: Arc::new(sink),
            switch: Arc::new(Switch::new(self.state.path(), Arc::clone(&clock)).expect("the state folder")),
            heartbeat: Heartbeat::new(clock),
            settings: Settings {
                name: Arc::from(""),
                poll: Duration::ZERO,
                pressed: None,
                stagger: Duration::ZERO,
                patience: CALL_LIMIT * 5,
                acting_patience: CALL_LIMIT * 5 + KILL_LIMIT * 2,
                siblings: Arc::default(),
                leader: None,
            },
            refused: Arc::new(AccountMemory::of(self.state.path()).expect("the state folder")),
        });
        self.accounts().restarts();
        self.learn(entries, &history);
        for (at, entry) in entries.iter().enumerate() {
            self.judge().memory[at].restarts();
            if let Some(entry) = entry {
                self.add(at, entry, &history);
            }
        }
    }

    /// What the journal knows counts for every entry of a database, as at a start and a reload of the service.
    pub(crate) fn learn(&self, entries: &[Option<Entry>], history: &History) {
        let configured = entries.iter().enumerate().filter_map(|(at, entry)| {
            let entry = entry.as_ref()?;
            let place = self.rules(at, entry).1;
            let loaded = &self.setting.entries[at].loaded[entry.version];
            let limits = EffectiveLimits::of(&loaded.database.limits);
            Some((Setting::name(at).into(), place, limits))
        });
        let shared = lock(&self.shared);
        let siblings = &shared.as_ref().expect("it runs").settings.siblings;
        siblings.learn(history, configured);
    }

    fn settings(&self, at: usize, entry: &Entry, leader: Option<Leader>) -> Settings {
        let shared = lock(&self.shared);
        Settings {
            name: Setting::name(at).into(),
            poll: Duration::from_secs(entry.poll.unsigned_abs()),
            leader,
            ..shared.as_ref().expect("it runs").settings.clone()
        }
    }

    fn rules(&self, at: usize, entry: &Entry) -> (Arc<DatabaseRules>, Arc<str>) {
        let loaded = &self.setting.entries[at].loaded[entry.version];
        let mut database = loaded.database.clone();
        database.armed = entry.armed;
        if entry.blackout.is_none() {
            database.blackouts.clear();
        }
        (
            Arc::new(DatabaseRules::of(&database, false, Arc::clone(&loaded.set))),
            database.place(),
        )
    }

    fn reach(self: &Arc<Self>, at: usize, entry: &Entry, name: &Arc<str>) -> Reach {
        let base = self.setting.bases[entry.base].name;
        let (connect, login, password) = self.way_in(at, base);
        let refused = lock(&self.shared).as_ref().expect("it runs").refused.clone();
        // Where another attempt with the account is under way, the wait for it is over at once: time stands still here.
        let connect_limit = if password.is_some() { Duration::ZERO } else { CALL_LIMIT };
        Reach {
            via: entry.package.then_some(orareaper::config::Via::Package),
            connector: Some(Arc::new(ToBase {
                stage: Arc::downgrade(self),
                entry: at,
            })),
            target: Target {
                name: Arc::clone(name),
                driver: Driver::Thin,
                connect,
                login,
                tns_admin: None,
                mark: None,
            },
            password,
            accounts: refused,
            leader: entry.leader.map(|lock| Leader::new(LeaderLock(lock))),
            connect_limit,
            call_limit: CALL_LIMIT,
            kill_limit: KILL_LIMIT,
        }
    }

    /// An entry is new in the configuration; `history` is what the journal says.
    pub(crate) fn add(self: &Arc<Self>, at: usize, entry: &Entry, history: &History) {
        self.trace(|| format!("add {at}: {entry:?}"));
        let name: Arc<str> = Setting::name(at).into();
        let (rules, place) = self.rules(at, entry);
        let reach = self.reach(at, entry, &name);
        let (ask, asks) = channel();
        let orders = Arc::<Mutex<Vec<_>>>::default();
        let start_worker: StartWorker = {
            let orders = Arc::clone(&orders);
            Box::new(move |_| {
                let (act, heard) = channel();
                lock(&orders).push(heard);
                Some(act)
            })
        };
        let (tell, inputs) = channel();
        let (clock, sink) = (self.clock(), self.sink());
        let watcher = {
            let shared = lock(&self.shared);
            let pulse = shared
                .as_ref()
                .expect("it runs")
                .heartbeat
                .pulse(&name, Duration::from_secs(3600));
            let switch = Arc::clone(&shared.as_ref().expect("it runs").switch);
            let inner = EventWatcher::new(
                &name,
                Arc::clone(&sink),
                pulse,
                Arc::clone(&clock),
                Arc::clone(&switch),
                self.state.path(),
            );
            Spy {
                inner: inner.without_reports(),
                stage: Arc::downgrade(self),
                entry: at,
                switch,
            }
        };
        let database = DatabaseLoop::new(
            self.settings(at, entry, reach.leader.clone()),
            rules,
            history.memory(&name, &place),
            Arc::clone(&clock),
            Threads { ask, start_worker },
            (Box::new(watcher), Box::new(Clerk::new((&name, &place), sink))),
        );
        self.judge().entries[at] = Some(entry.clone());
        self.judge().denied[at] = None;
        lock(&self.parts)[at] = Some(Arc::new(Part {
            at,
            name,
            place,
            poller: Mutex::new(Some(Poller::new(reach.clone(), clock))),
            reach: SharedReach::new(reach),
            database: Mutex::new(database),
            actors: Mutex::default(),
            asks: Mutex::new(asks),
            orders,
            waiting: Mutex::default(),
            tell,
            inputs: Mutex::new(inputs),
        }));
    }

    /// An entry says something else.
    pub(crate) fn reload(&self, at: usize, entry: &Entry) {
        self.trace(|| format!("reload {at}: {entry:?}"));
        let part = lock(&self.parts)[at].clone().expect("it is configured");
        let (rules, place) = self.rules(at, entry);
        assert_eq!(part.place, place, "it is another database");
        self.judge().entries[at] = Some(entry.clone());
        lock(&self.shared).as_ref().expect("it runs").refused.look_again();
        // Somebody may have granted what was missing.
        self.judge().denied[at] = None;
        let mut reach = part.reach.now();
        reach.leader = entry.leader.map(|lock| Leader::new(LeaderLock(lock)));
        part.reach.change(reach);
        let leader = part.reach.now().leader;
        part.apply(Input::Reload(rules, self.settings(at, entry, leader)));
    }

    /// An entry is no longer configured.
    pub(crate) fn remove(&self, at: usize) {
        self.trace(|| format!("remove {at}"));
        let Some(part) = lock(&self.parts)[at].take() else {
            return;
        };
        self.judge().entries[at] = None;
        self.operators_lose(at);
        assert!(part.database().apply(Input::Stop).is_break());
        drop(part);
        // As the service does: whoever is removed may have acted until now.
        let entries = self.judge().entries.clone();
        self.learn(&entries, &self.history());
    }

    /// What the journal says now.
    pub(crate) fn history(&self) -> History {
        assert!(
            self.sink().flush(Duration::from_secs(30)),
            "the journal takes no records"
        );
        read(self.state.path(), self.clock().utc()).expect("the journal")
    }

    /// Ends the daemon and all of its parts.
    pub(crate) fn end(&self) {
        (0..self.setting.entries.len()).for_each(|at| self.operators_lose(at));
        let parts: Vec<_> = lock(&self.parts).iter_mut().map(Option::take).collect();
        drop(parts);
        *lock(&self.shared) = None;
    }

    /// The same from one moment to the next; this is left of the journal.
    pub(crate) fn end_as_after(&self, left: Left) {
        self.end();
        let journal = orareaper::journal::file(self.state.path(), 0);
        let file = std::fs::OpenOptions::new()
            .append(true)
            .open(journal)
            .expect("the journal");
        file.set_len(left.bytes).expect("cut");
        if left.torn {
            std::io::Write::write_all(&mut &file, br#"{"v":1,"at":"2026-11-23T09:00:00Z","kind":"inte"#)
                .expect("written");
        }
    }

    /// Everybody who has something to do gets a turn.
    pub(crate) fn everybody_s_turn(&self) {
        for part in self.all_parts() {
            part.hear();
            self.poll(&part);
            self.work(&part);
        }
    }

    /// Reads a snapshot, if the loop asks for one.
    pub(crate) fn poll(&self, part: &Arc<Part>) {
        if !self.is_configured(part) {
            return;
        }
        let Ok(needs) = lock(&part.asks).try_recv() else { return };
        let mut poller = lock(&part.poller).take().expect("one snapshot at a time");
        *poller.reach_mut() = part.reach.now();
        self.judge().memory[part.at].polls();
        let polled = self.turn_of(Who::Poller(part.at), || poller.poll(&needs));
        if !self.is_configured(part) {
            return;
        }
        *lock(&part.poller) = Some(poller);
        if !self.is_calm() && self.one_in(8) {
            let poll = self.setting.entries[part.at].says[0].poll;
            let seconds = self.chance().some(1, 3 * poll);
            self.pass(Duration::from_secs(seconds.unsigned_abs()));
        }
        part.apply(Input::Polled(polled));
        self.operators_hear(part.at);
        part.hear();
    }

    /// Whether an entry is still what it was: while it is at work it may be removed.
    fn is_configured(&self, part: &Arc<Part>) -> bool {
        lock(&self.parts)[part.at]
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, part))
    }

    /// Somebody who acts gets a turn, if there is an order; whether there was.
    pub(crate) fn work(&self, part: &Arc<Part>) -> bool {
        if !self.is_configured(part) {
            return false;
        }
        let Some(Waiting { number, order }) = part.next_order(self) else {
            return false;
        };
        let switch = self.switch();
        let mut actor = part.take_actor(self, switch, number).expect("it is not at work");
        let answer = match order {
            ActorOrder::StandBy(standing) => self.turn_of(Who::Actor(part.at, number), || actor.stand_by(&standing)),
            ActorOrder::Act(task) => {
                let mut desk = Desk::new(self, part, number);
                self.turn_of(Who::Actor(part.at, number), || actor.act(*task, &mut desk));
                self.judge().ended(part.at, number, self.now());
                actor.finished()
            }
        };
        if !self.is_configured(part) {
            return true;
        }
        lock(&part.actors)[number] = Some(actor);
        part.tell_outcomes();
        part.apply(Input::Acted(number, answer));
        self.operators_hear(part.at);
        part.hear();
        true
    }
}
