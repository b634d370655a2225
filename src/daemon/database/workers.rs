//! The threads that act on a database: the main thread, which always stands by, and helpers.
//!
//! An action may block its thread for a minute. If other warrants wait meanwhile, a helper is called: another thread with a
//! connection of its own, to any instance, or to a certain one where DISCONNECT needs it. A helper without work for some minutes
//! logs off; its thread stays. Each thread gets one warrant at a time.
//!
//! - A helper gets a warrant only once it has a connection, so a database without room for another session costs no warrant.
//! - For one instance, at most `parallel` threads act, including the main thread and those that hang in a call.
//! - A main thread that hangs in a call is replaced.
//! - The main thread starts with its first order: a database where nothing is to be done has none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::daemon::backoff::Backoff;
use crate::daemon::database::orders::Orders;
use crate::daemon::messages::{ActorOrder, Task};
use crate::daemon::standby::{ConnectionState, Needed, NextAttempt, StandbyOrder};
use crate::decide::going::Going;
use crate::decide::under_way::Begun;
use crate::oracle::Error;

/// A helper without work logs off after this time.
pub(super) const LOGS_OFF_AFTER: Duration = Duration::from_secs(300);

/// Helpers are called when an action takes longer than this; most take milliseconds.
const HELP_AFTER: Duration = Duration::from_secs(2);

/// Starts the acting thread with this number; `None` if that is impossible.
pub type StartWorker = Box<dyn FnMut(usize) -> Option<Sender<ActorOrder>> + Send>;

/// The warrant that a thread is carrying out.
#[derive(Debug)]
pub(super) struct UnderWayTask {
    pub(super) begun: Begun,
    pub(super) going: Going,
    /// Whether it is an operator's order.
    pub(super) by_hand: bool,
    /// Whether the journal was failing when the warrant was given: then its end shows whether the journal works again.
    pub(super) shows_journal: bool,
    /// Whether it could not be carried out.
    pub(super) failed: bool,
    /// The instance whose connection it needs; `None` for any.
    place: Option<u32>,
    since: Monotonic,
}

/// An acting thread.
#[derive(Debug)]
struct Worker {
    /// `None` until its thread has started.
    orders: Option<Sender<ActorOrder>>,
    /// The orders that it has not answered.
    open: Orders,
    /// The instance that a helper is for; `None` for any.
    place: Option<u32>,
    /// The instances of its connections, by its last message.
    stands: Vec<u32>,
    task: Option<UnderWayTask>,
    /// Since when it has had nothing to do.
    idle: Monotonic,
    /// Whether it must probe the database again.
    anew: bool,
}

impl Worker {
    fn new(now: Monotonic) -> Worker {
        Worker {
            orders: None,
            open: Orders::default(),
            place: None,
            stands: Vec::new(),
            task: None,
            idle: now,
            anew: false,
        }
    }

    /// Sends an order to the thread; false if it has not started or has ended.
    fn order(&mut self, order: ActorOrder, now: Monotonic) -> bool {
        let heard = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        if heard {
            self.open.given(now);
        }
        heard
    }

    fn is_idle(&self) -> bool {
        self.task.is_none() && !self.open.are_open() && !self.open.are_lost()
    }

    fn reaches(&self, place: Option<u32>) -> bool {
        place.map_or(!self.stands.is_empty(), |inst_id| self.stands.contains(&inst_id))
    }

    /// Whether it counts against `parallel` for this instance.
    fn acts_at(&self, place: Option<u32>) -> bool {
        match &self.task {
            Some(task) => task.place == place,
            None => self.open.are_lost(),
        }
    }
}

/// All threads that act on a database.
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// Which of them is the main thread.
    main: usize,
    start_worker: StartWorker,
    backoff: Backoff,
    next: NextAttempt,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers of {:?} led by {}", self.workers, self.main)
    }
}

impl Workers {
    /// The main thread alone, which has not started.
    pub(super) fn new(database: &str, start_worker: StartWorker, now: Monotonic) -> Workers {
        Workers {
            workers: vec![Worker::new(now)],
            main: 0,
            start_worker,
            backoff: Backoff::of(database),
            next: NextAttempt::Now,
        }
    }

    pub(super) fn is_main(&self, worker: usize) -> bool {
        worker == self.main
    }

    /// Whether any thread has a connection.
    pub(super) fn stands(&self) -> bool {
        let mut workers = self.workers.iter();
        workers.any(|worker| !worker.stands.is_empty() && !worker.open.are_lost())
    }

    /// Whether any thread but the main thread has one.
    pub(super) fn others_stand(&self) -> bool {
        let mut others = self.workers.iter().enumerate().filter(|(at, _)| *at != self.main);
        others.any(|(_, worker)| !worker.stands.is_empty() && !worker.open.are_lost())
    }

    /// How many threads hang in a call.
    pub(super) fn lost(&self) -> usize {
        self.workers.iter().filter(|worker| worker.open.are_lost()).count()
    }

    /// Whether no thread is left that could act.
    pub(super) fn is_lost(&self) -> bool {
        self.workers[self.main].open.are_lost()
    }

    /// Sends an order to the main thread; false if it has ended.
    pub(super) fn order_main(&mut self, order: ActorOrder, now: Monotonic) -> bool {
        self.order(self.main, order, now)
    }

    /// # Panics
    /// When the main thread cannot be started: nothing could be done on this database, and a restart only delays.
    fn order(&mut self, worker: usize, order: ActorOrder, now: Monotonic) -> bool {
        if self.workers[worker].orders.is_none() {
            let orders = (self.start_worker)(worker);
            self.workers[worker].orders = Some(orders.expect("a thread to act"));
        }
        self.workers[worker].order(order, now)
    }

    /// The thread that may get a warrant for this instance now. The main thread comes first, so that helpers may log off; it makes its
    /// own connection if neither it nor another thread has one.
    pub(super) fn free_for(&self, place: Option<u32>, parallel: usize) -> Option<usize> {
        let acting = self.workers.iter().filter(|worker| worker.acts_at(place)).count();
        if acting >= parallel {
            return None;
        }
        let main = &self.workers[self.main];
        let reached = || {
            self.workers
                .iter()
                .any(|worker| worker.reaches(place) && !worker.open.are_lost())
        };
        let main_may = main.task.is_none() && !main.open.are_lost();
        if main_may && (!main.stands.is_empty() || !reached()) {
            return Some(self.main);
        }
        let may = |worker: &Worker| worker.is_idle() && worker.reaches(place);
        (0..self.workers.len()).find(|at| *at != self.main && may(&self.workers[*at]))
    }

    /// Gives a thread a warrant; false if the thread has ended.
    pub(super) fn give(
        &mut self,
        worker: usize,
        task: Task,
        place: Option<u32>,
        journal_fails: bool,
        now: Monotonic,
    ) -> bool {
        let under_way = UnderWayTask {
            begun: task.warrant.begun(),
            going: task.warrant.going(),
            by_hand: task.batch.told.is_some(),
            shows_journal: journal_fails,
            failed: false,
            place,
            since: now,
        };
        assert!(self.workers[worker].task.is_none(), "one warrant at a time");
        let heard = self.order(worker, ActorOrder::Act(Box::new(task)), now);
        self.workers[worker].task = heard.then_some(under_way);
        heard
    }

    /// The warrant that a thread is carrying out.
    pub(super) fn task(&mut self, worker: usize) -> Option<&mut UnderWayTask> {
        self.workers.get_mut(worker)?.task.as_mut()
    }

    /// Notes a sign of life of a thread; returns whether it was counted as hanging.
    pub(super) fn goes_on(&mut self, worker: usize, answers: bool, now: Monotonic) -> bool {
        let Some(worker) = self.workers.get_mut(worker) else {
            return false;
        };
        let was_lost = worker.open.are_lost();
        worker.open.goes_on(answers, now);
        was_lost
    }

    /// Notes that a thread has used up its warrant, and to which instances it has connections.
    pub(super) fn finished(&mut self, worker: usize, stands: Vec<u32>, now: Monotonic) -> Option<UnderWayTask> {
        let worker = self.workers.get_mut(worker)?;
        worker.stands = stands;
        worker.idle = now;
        worker.task.take()
    }

    /// Takes a thread's report of its connections; returns the error of a helper that could not make one.
    pub(super) fn stood(
        &mut self,
        worker: usize,
        places: &[ConnectionState],
        now: Monotonic,
        poll: Duration,
    ) -> Option<Error> {
        let is_helper = !self.is_main(worker);
        let stand = places.iter().filter(|place| place.stands && place.acts);
        let stands: Vec<u32> = stand.filter_map(|place| place.inst_id).collect();
        let told = self.workers.get_mut(worker)?;
        let connected = told.stands.is_empty() && !stands.is_empty();
        told.stands = stands;
        if !is_helper {
            return None;
        }
        let error = places.iter().find_map(|place| place.error.clone());
        if connected {
            told.idle = now;
        } else if error.is_some() {
            // The listener chose another instance, so the connection is useless.
            let nothing = StandbyOrder {
                needed: Needed::Nothing,
                instances: BTreeMap::new(),
                may_connect: false,
                anew: false,
            };
            let _ = told.order(ActorOrder::StandBy(nothing), now);
        }
        match &error {
            Some(error) => self.failed(error, now, poll),
            None if connected => self.again(),
            None => {}
        }
        error
    }

    /// Notes that a helper could not connect: no helper tries again for a while.
    pub(super) fn failed(&mut self, error: &Error, now: Monotonic, poll: Duration) {
        self.next = NextAttempt::after(self.backoff.after(error.class, poll), now);
    }

    fn again(&mut self) {
        self.backoff.reset();
        self.next = NextAttempt::Now;
    }

    /// Notes a reload.
    pub(super) fn reloaded(&mut self) {
        self.again();
        self.workers.iter_mut().for_each(|worker| worker.anew = true);
    }

    /// Has helpers without work check their connections, and log off if they have had none for `idle`.
    pub(super) fn keep_up(&mut self, idle: Duration, now: Monotonic) {
        let main = self.main;
        let helpers = self.workers.iter_mut().enumerate().filter(|(at, _)| *at != main);
        for (_, helper) in helpers.filter(|(_, helper)| helper.is_idle() && !helper.stands.is_empty()) {
            let needed = if now.since(helper.idle) >= idle {
                Needed::Nothing
            } else {
                helper.place.map_or(Needed::Any, |inst_id| Needed::Each(vec![inst_id]))
            };
            let order = StandbyOrder {
                needed,
                instances: BTreeMap::new(),
                may_connect: false,
                anew: std::mem::take(&mut helper.anew),
            };
            // If the thread has ended, the daemon ends too.
            let _ = helper.order(ActorOrder::StandBy(order), now);
        }
    }

    /// Calls helpers for `waiting` warrants for an instance, if a thread is blocked and `parallel` allows more.
    pub(super) fn call(
        &mut self,
        (place, waiting): (Option<u32>, usize),
        instances: &BTreeMap<u32, String>,
        parallel: usize,
        now: Monotonic,
    ) {
        let is_held_up = |worker: &Worker| {
            let task = worker.task.as_ref();
            worker.open.are_lost() || task.is_some_and(|task| now.since(task.since) >= HELP_AFTER)
        };
        if !self.next.is_due(now) || !self.stands() || !self.workers.iter().any(is_held_up) {
            return;
        }
        let (mut coming, mut there) = (0, 0);
        for (at, worker) in self.workers.iter().enumerate() {
            let is_used = worker.task.is_some() || worker.open.are_open() || !worker.stands.is_empty();
            if at != self.main && worker.place == place && is_used {
                there += 1;
                coming += usize::from(worker.task.is_none() && !worker.open.are_lost());
            }
        }
        while coming < waiting && there + 1 < parallel {
            let Some(helper) = self.one_more(now) else { return };
            let helper = &mut self.workers[helper];
            helper.place = place;
            helper.idle = now;
            let order = StandbyOrder {
                needed: place.map_or(Needed::Any, |inst_id| Needed::Each(vec![inst_id])),
                instances: instances.clone(),
                may_connect: true,
                anew: std::mem::take(&mut helper.anew),
            };
            if !helper.order(ActorOrder::StandBy(order), now) {
                return;
            }
            (coming, there) = (coming + 1, there + 1);
        }
    }

    /// A thread without connection and work; a new one if there is none.
    fn one_more(&mut self, now: Monotonic) -> Option<usize> {
        let main = self.main;
        let rests = |worker: &Worker| worker.is_idle() && worker.stands.is_empty();
        if let Some(at) = (0..self.workers.len()).find(|at| *at != main && rests(&self.workers[*at])) {
            return Some(at);
        }
        let orders = (self.start_worker)(self.workers.len())?;
        self.workers.push(Worker {
            orders: Some(orders),
            ..Worker::new(now)
        });
        Some(self.workers.len() - 1)
    }

    /// How long each thread has not answered, for those beyond the limit of the main thread or of a helper. Each is reported once.
    pub(super) fn hangs(&mut self, now: Monotonic, main: Duration, helper: Duration) -> Vec<Duration> {
        let mut hangs = Vec::new();
        for (at, worker) in self.workers.iter_mut().enumerate() {
            let patience = if at == self.main { main } else { helper };
            hangs.extend(worker.open.hangs(now, patience));
        }
        hangs
    }

    /// Replaces a main thread that hangs, if `parallel` allows another thread; returns whether it did.
    pub(super) fn replace_main(&mut self, parallel: usize, now: Monotonic) -> bool {
        if !self.is_lost() {
            return false;
        }
        let lives = |at: &usize| !self.workers[*at].open.are_lost();
        let stands = |at: &usize| !self.workers[*at].stands.is_empty();
        let all = || (0..self.workers.len()).filter(lives);
        let other = all().find(stands).or_else(|| all().next());
        let other = match other {
            None if self.lost() < parallel => self.one_more(now),
            other => other,
        };
        let Some(other) = other else { return false };
        self.workers[self.main].place = self.workers[self.main].task.as_ref().and_then(|task| task.place);
        self.main = other;
        true
    }
}
