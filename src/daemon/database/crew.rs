//! Who acts on a database: one that always stands by, the lead, and helpers.
//!
//! An action may hold up whoever sends it for a minute. If sessions wait for their turn meanwhile, a helper is called: another thread with
//! a connection of its own, to any instance, or to one of them where DISCONNECT needs it. A helper that has had nothing to do for some
//! minutes logs off; its thread stays. Each is given one warrant at a time.
//!
//! - Only who has a connection is a helper for a warrant, so a database without room for another session costs no warrant.
//! - At a place no more than `parallel` act, the lead and whoever does not come back from a call among them.
//! - A lead that does not come back from a call is replaced.

use std::collections::HashMap;
use std::fmt;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::daemon::backoff::Backoff;
use crate::daemon::database::orders::Orders;
use crate::daemon::messages::{ActorOrder, Task};
use crate::daemon::standby::{ConnectionState, Needed, NextAttempt, StandbyOrder};
use crate::decide::guard::Going;
use crate::decide::under_way::Begun;
use crate::oracle::Error;

/// A helper that has had nothing to do for so long logs off.
pub(super) const LOGS_OFF_AFTER: Duration = Duration::from_secs(300);

/// Helpers are called when somebody has been at one action for so long; most take milliseconds.
const HELP_AFTER: Duration = Duration::from_secs(2);

/// Starts one more thread that acts, of this number; `None` if that is impossible.
pub type Hire = Box<dyn FnMut(usize) -> Option<Sender<ActorOrder>> + Send>;

/// What somebody is at.
#[derive(Debug)]
pub(super) struct UnderWayTask {
    pub(super) begun: Begun,
    pub(super) going: Going,
    /// Whether it is an operator's order.
    pub(super) by_hand: bool,
    /// Whether the journal was known to fail when it was given: then its end shows whether that is over.
    pub(super) shows_journal: bool,
    /// Whether it could not be carried out.
    pub(super) failed: bool,
    /// The instance whose connections it takes; any for `None`.
    place: Option<u32>,
    since: Monotonic,
}

/// One thread that acts.
#[derive(Debug)]
struct Worker {
    orders: Sender<ActorOrder>,
    /// What it has not answered.
    open: Orders,
    /// The instance that a helper is for; any for `None`.
    place: Option<u32>,
    /// The instances of its connections, as it last told.
    stands: Vec<u32>,
    task: Option<UnderWayTask>,
    /// Since when it has had nothing to do.
    idle: Monotonic,
    /// What the database is and has is to be found out anew.
    anew: bool,
}

impl Worker {
    fn new(orders: Sender<ActorOrder>, now: Monotonic) -> Worker {
        Worker {
            orders,
            open: Orders::default(),
            place: None,
            stands: Vec::new(),
            task: None,
            idle: now,
            anew: false,
        }
    }

    fn order(&mut self, order: ActorOrder, now: Monotonic) -> bool {
        let heard = self.orders.send(order).is_ok();
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

    /// Whether it takes one of the connections that may act at a place.
    fn acts_at(&self, place: Option<u32>) -> bool {
        match &self.task {
            Some(task) => task.place == place,
            None => self.open.are_lost(),
        }
    }
}

/// All who act on a database.
pub(super) struct Crew {
    workers: Vec<Worker>,
    /// Which of them is the lead.
    lead: usize,
    hire: Hire,
    backoff: Backoff,
    next: NextAttempt,
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crew of {:?} led by {}", self.workers, self.lead)
    }
}

impl Crew {
    /// The lead alone.
    pub(super) fn new(database: &str, lead: Sender<ActorOrder>, hire: Hire, now: Monotonic) -> Crew {
        Crew {
            workers: vec![Worker::new(lead, now)],
            lead: 0,
            hire,
            backoff: Backoff::of(database),
            next: NextAttempt::Now,
        }
    }

    pub(super) fn is_lead(&self, worker: usize) -> bool {
        worker == self.lead
    }

    /// Whether anybody has a connection.
    pub(super) fn stands(&self) -> bool {
        let mut workers = self.workers.iter();
        workers.any(|worker| !worker.stands.is_empty() && !worker.open.are_lost())
    }

    /// Whether anybody but the lead has one.
    pub(super) fn others_stand(&self) -> bool {
        let mut others = self.workers.iter().enumerate().filter(|(at, _)| *at != self.lead);
        others.any(|(_, worker)| !worker.stands.is_empty() && !worker.open.are_lost())
    }

    /// How many do not come back from a call.
    pub(super) fn lost(&self) -> usize {
        self.workers.iter().filter(|worker| worker.open.are_lost()).count()
    }

    /// Whether nobody is left who could act.
    pub(super) fn is_lost(&self) -> bool {
        self.workers[self.lead].open.are_lost()
    }

    /// Tells the lead to do something; whether it is there to hear it.
    pub(super) fn order_lead(&mut self, order: ActorOrder, now: Monotonic) -> bool {
        self.workers[self.lead].order(order, now)
    }

    /// Who may be given a warrant for this place now. The lead comes first, so that helpers may log off; it makes its own
    /// connection where it has none and nobody else does.
    pub(super) fn free_for(&self, place: Option<u32>, parallel: usize) -> Option<usize> {
        let acting = self.workers.iter().filter(|worker| worker.acts_at(place)).count();
        if acting >= parallel {
            return None;
        }
        let lead = &self.workers[self.lead];
        let reached = || {
            self.workers
                .iter()
                .any(|worker| worker.reaches(place) && !worker.open.are_lost())
        };
        let lead_may = lead.task.is_none() && !lead.open.are_lost();
        if lead_may && (!lead.stands.is_empty() || !reached()) {
            return Some(self.lead);
        }
        let may = |worker: &Worker| worker.is_idle() && worker.reaches(place);
        (0..self.workers.len()).find(|at| *at != self.lead && may(&self.workers[*at]))
    }

    /// Gives somebody a warrant; whether it was heard.
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
            going: Going::of(&task.warrant),
            by_hand: task.batch.told.is_some(),
            shows_journal: journal_fails,
            failed: false,
            place,
            since: now,
        };
        let worker = &mut self.workers[worker];
        assert!(worker.task.is_none(), "one warrant at a time");
        let heard = worker.order(ActorOrder::Act(Box::new(task)), now);
        worker.task = heard.then_some(under_way);
        heard
    }

    /// What somebody is at.
    pub(super) fn task(&mut self, worker: usize) -> Option<&mut UnderWayTask> {
        self.workers.get_mut(worker)?.task.as_mut()
    }

    /// Somebody shows that it goes on; whether it was given up for lost.
    pub(super) fn goes_on(&mut self, worker: usize, answers: bool, now: Monotonic) -> bool {
        let Some(worker) = self.workers.get_mut(worker) else {
            return false;
        };
        let was_lost = worker.open.are_lost();
        worker.open.goes_on(answers, now);
        was_lost
    }

    /// Somebody has used its warrant up, and has connections to these instances.
    pub(super) fn through(&mut self, worker: usize, stands: Vec<u32>, now: Monotonic) -> Option<UnderWayTask> {
        let worker = self.workers.get_mut(worker)?;
        worker.stands = stands;
        worker.idle = now;
        worker.task.take()
    }

    /// Somebody told of its connections; an error if it is a helper that could not make one.
    pub(super) fn stood(
        &mut self,
        worker: usize,
        places: &[ConnectionState],
        now: Monotonic,
        poll: Duration,
    ) -> Option<Error> {
        let is_helper = !self.is_lead(worker);
        let stand = places.iter().filter(|place| place.stands);
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
            // One that the listener led elsewhere is of no use.
            let nothing = StandbyOrder {
                needed: Needed::Nothing,
                instances: HashMap::new(),
                may_connect: false,
                anew: false,
            };
            let _ = told.order(ActorOrder::Stand(nothing), now);
        }
        match &error {
            Some(error) => self.failed(error, now, poll),
            None if connected => self.again(),
            None => {}
        }
        error
    }

    /// A helper could not connect: none tries again for a while.
    pub(super) fn failed(&mut self, error: &Error, now: Monotonic, poll: Duration) {
        self.next = NextAttempt::after(self.backoff.after(error.class, poll), now);
    }

    fn again(&mut self) {
        self.backoff.reset();
        self.next = NextAttempt::Now;
    }

    /// There was a reload.
    pub(super) fn reloaded(&mut self) {
        self.again();
        self.workers.iter_mut().for_each(|worker| worker.anew = true);
    }

    /// Has helpers with nothing to do asked whether their connections live, and those that have been idle for `idle` log off.
    pub(super) fn keep_up(&mut self, idle: Duration, now: Monotonic) {
        let lead = self.lead;
        let helpers = self.workers.iter_mut().enumerate().filter(|(at, _)| *at != lead);
        for (_, helper) in helpers.filter(|(_, helper)| helper.is_idle() && !helper.stands.is_empty()) {
            let needed = if now.since(helper.idle) >= idle {
                Needed::Nothing
            } else {
                helper.place.map_or(Needed::Any, |inst_id| Needed::Each(vec![inst_id]))
            };
            let standing = StandbyOrder {
                needed,
                instances: HashMap::new(),
                may_connect: false,
                anew: std::mem::take(&mut helper.anew),
            };
            // Without its thread the daemon ends.
            let _ = helper.order(ActorOrder::Stand(standing), now);
        }
    }

    /// Calls helpers for `waiting` warrants at a place, if somebody is held up and more may act there.
    pub(super) fn call(
        &mut self,
        (place, waiting): (Option<u32>, usize),
        instances: &HashMap<u32, String>,
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
            if at != self.lead && worker.place == place && is_used {
                there += 1;
                coming += usize::from(worker.task.is_none() && !worker.open.are_lost());
            }
        }
        while coming < waiting && there + 1 < parallel {
            let Some(helper) = self.one_more(now) else { return };
            let helper = &mut self.workers[helper];
            helper.place = place;
            helper.idle = now;
            let standing = StandbyOrder {
                needed: place.map_or(Needed::Any, |inst_id| Needed::Each(vec![inst_id])),
                instances: instances.clone(),
                may_connect: true,
                anew: std::mem::take(&mut helper.anew),
            };
            if !helper.order(ActorOrder::Stand(standing), now) {
                return;
            }
            (coming, there) = (coming + 1, there + 1);
        }
    }

    /// Somebody without a connection and without anything to do; a new thread if there is nobody.
    fn one_more(&mut self, now: Monotonic) -> Option<usize> {
        let lead = self.lead;
        let rests = |worker: &Worker| worker.is_idle() && worker.stands.is_empty();
        if let Some(at) = (0..self.workers.len()).find(|at| *at != lead && rests(&self.workers[*at])) {
            return Some(at);
        }
        let orders = (self.hire)(self.workers.len())?;
        self.workers.push(Worker::new(orders, now));
        Some(self.workers.len() - 1)
    }

    /// Who does not answer for longer than the lead or a helper may take, each told once; and for how long.
    pub(super) fn hangs(&mut self, now: Monotonic, lead: Duration, helper: Duration) -> Vec<Duration> {
        let mut hangs = Vec::new();
        for (at, worker) in self.workers.iter_mut().enumerate() {
            let patience = if at == self.lead { lead } else { helper };
            hangs.extend(worker.open.hangs(now, patience));
        }
        hangs
    }

    /// Puts another in the place of a lead that is lost, if there may be one; whether it did.
    pub(super) fn replace_lead(&mut self, parallel: usize, now: Monotonic) -> bool {
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
        self.workers[self.lead].place = self.workers[self.lead].task.as_ref().and_then(|task| task.place);
        self.lead = other;
        true
    }
}
