//! A thread that acts: connections of its own, one warrant after the other.
//!
//! Reading and acting are kept on separate connections, because an action may wait for a minute and may cost the
//! connection it runs on. DISCONNECT SESSION reaches only the instance that it is sent to, so there is a connection for
//! each instance that needs one. They are opened before they are needed (see [`crate::daemon::standby`]). A database may have several
//! such threads, which know nothing of each other but what is being ended (see [`crate::actuator::ending`]). Warrants that are too old are
//! not carried out: the next snapshot decides anew.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::actuator::carry_out::{Hands, Intending, StepRecorder, carry_out};
use crate::actuator::door::{Door, LOST, Permission};
use crate::actuator::way::probe;
use crate::clock::{Clock, Monotonic};
use crate::daemon::messages::{Acted, ActorOrder, Batch, Input, Task};
use crate::daemon::operator::TellsOperator;
use crate::daemon::pause::{Switch, Ticket};
use crate::daemon::poller::PROBE_AGAIN;
use crate::daemon::ranks::{Leader, Membership};
use crate::daemon::reach::{Reach, SharedReach};
use crate::daemon::standby::{ConnectionState, Needed, StandbyOrder};
use crate::decide::cycle::Done;
use crate::decide::leadership::Footing;
use crate::decide::outcome::Outcome;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::pressure::Counters;
use crate::oracle::probe::texts_as_bytes;
use crate::oracle::{
    ActingConnection, CellType, Class, ConnectSlot, Connection, Driver, Error, Query, TextForm, collect, panicked,
};
use crate::policy::model::Action;
use crate::session::SessionKey;

/// The limit of a plain KILL, which makes its caller wait up to 60 seconds (Oracle Database Administrator's Guide, "Terminating
/// Sessions"), with a margin.
pub const KILL_LIMIT: Duration = Duration::from_secs(75);

/// One connection with what it found.
struct ActingLink {
    connection: Box<dyn ActingConnection>,
    capabilities: Capabilities,
    counters: Counters,
    since: Monotonic,
    /// Why DATEs cannot be compared, found at the log-in: it applies as long as the session lives.
    fault_at_login: Option<String>,
    probed: Monotonic,
    /// Its part in leading, where one of several daemons does.
    membership: Option<(Leader, Membership)>,
}

impl ActingLink {
    /// The form in which the re-check reads texts. It reads every column of a session, so a text that no snapshot reads could fail it,
    /// which costs the thin driver its connection. Bytes cannot; where the character set is not UTF-8, they would say less than texts.
    fn text_form(&mut self, of_the_snapshot: TextForm, limit: Duration) -> TextForm {
        if of_the_snapshot != TextForm::Text || self.connection.identity().driver != Driver::Thin {
            return of_the_snapshot;
        }
        match texts_as_bytes(&mut *self.connection, &self.capabilities, limit) {
            Ok(as_bytes) if as_bytes.texts == (TextForm::Bytes { utf8: true }) => as_bytes.texts,
            // A connection that is lost fails the re-check.
            Ok(_) | Err(_) => of_the_snapshot,
        }
    }

    /// Whether its session may act, as far as one of several daemons leads; asked anew.
    fn ask_who_leads(&mut self, (acts, limit): (bool, Duration), clock: &dyn Clock) -> Footing {
        match &self.membership {
            Some((leader, _)) => leader.ask(&mut *self.connection, &self.capabilities, (acts, limit), clock),
            None => Footing::Acts,
        }
    }

    /// The term in which it may act.
    fn term(&self) -> Option<u64> {
        let (leader, _) = self.membership.as_ref()?;
        leader.term_of(self.capabilities.own)
    }

    /// Whether it is to be asked about this lock.
    fn asks_about(&self, leader: Option<&Leader>) -> bool {
        match (&self.membership, leader) {
            (Some((own, _)), Some(leader)) => own.is(leader),
            (own, leader) => own.is_none() && leader.is_none(),
        }
    }

    /// Whether it can be used: the database answers, and its probe is recent.
    fn is_usable(&mut self, anew: bool, limit: Duration, clock: &dyn Clock) -> bool {
        if !anew && clock.now().since(self.probed) < PROBE_AGAIN {
            return answers(&mut *self.connection, limit);
        }
        match probe(&mut *self.connection, self.capabilities.via, limit) {
            // The old answer no longer counts: another connection may get a new one.
            Err(_) => false,
            // The driver has made another session, which is not known to hold a lock.
            Ok(capabilities) if capabilities.own != self.capabilities.own => false,
            Ok(capabilities) => {
                let now = clock.now();
                let fault = || capabilities.dates.fault_later(now.since(self.since));
                let dates_fault = self.fault_at_login.clone().or_else(fault);
                self.capabilities = Capabilities {
                    dates_fault,
                    ..capabilities
                };
                self.probed = now;
                true
            }
        }
    }
}

/// The connection that a warrant takes, or why it takes none.
enum ConnectionForTask {
    /// The one to this instance.
    To(u32),
    /// The warrant is no longer good: the outcome, and why.
    Lapsed(Outcome, String),
    /// There is none.
    Unreachable(Error),
}

/// Carries out warrants over connections of its own, which it makes as needed.
pub struct Actor {
    reach: Reach,
    clock: Arc<dyn Clock>,
    switch: Arc<Switch>,
    slot: ConnectSlot,
    /// The connections by instance; in the order of these they are asked whether they live.
    links: BTreeMap<u32, ActingLink>,
    /// Why the last attempt to open a connection that stands by failed. Until the next such attempt no other connection is tried
    /// either: each attempt brings a refused account nearer to its lock.
    failed: Option<Error>,
    /// Its number among those that act on the database.
    number: usize,
    inputs: Sender<Input>,
}

impl Actor {
    /// An actor without a connection, which sends its messages to `inputs` under this number.
    #[must_use]
    pub fn new(
        reach: Reach,
        clock: Arc<dyn Clock>,
        switch: Arc<Switch>,
        (number, inputs): (usize, Sender<Input>),
    ) -> Actor {
        Actor {
            reach,
            clock,
            switch,
            slot: ConnectSlot::new(),
            links: BTreeMap::new(),
            failed: None,
            number,
            inputs,
        }
    }

    /// Runs until the sender of orders or the receiver of messages is gone.
    pub(crate) fn run(mut self, reach: &SharedReach, recorder: &mut dyn StepRecorder, orders: &Receiver<ActorOrder>) {
        for order in orders {
            self.reach = reach.now();
            let answer = match order {
                ActorOrder::StandBy(order) => self.stand_by(&order),
                ActorOrder::Act(task) => {
                    self.act_guarded(*task, recorder);
                    self.finished()
                }
            };
            if self.inputs.send(Input::Acted(self.number, answer)).is_err() {
                break;
            }
        }
        for (_, link) in self.links {
            link.connection.close(Duration::from_secs(1));
        }
    }

    /// The sessions of its connections.
    #[must_use]
    pub fn own(&self) -> Vec<SessionKey> {
        self.links.values().map(|link| link.capabilities.own).collect()
    }

    /// The limits of each step, to be changed by a reload.
    pub fn reach_mut(&mut self) -> &mut Reach {
        &mut self.reach
    }

    /// Sends a message; it is lost only while the daemon stops.
    fn tell(&self, acted: Acted) {
        let _ = self.inputs.send(Input::Acted(self.number, acted));
    }

    /// The answer after a warrant.
    #[must_use]
    pub fn finished(&self) -> Acted {
        let may = |link: &ActingLink| link.membership.is_none() || link.term().is_some();
        let links = self.links.iter().filter(|(_, link)| may(link));
        Acted::Finished(links.map(|(inst_id, _)| *inst_id).collect())
    }

    /// Like [`Self::act`]; a panic ends the connections and nothing else: an action in progress has the outcome unknown and is followed.
    fn act_guarded(&mut self, task: Task, recorder: &mut dyn StepRecorder) {
        let stepped = task.batch.stepped;
        let carried_out = catch_unwind(AssertUnwindSafe(|| self.act(task, recorder)));
        if let Err(panic) = carried_out {
            self.links.clear();
            let error = panicked(&format!("act on {}", self.reach.target.name), &*panic);
            for done in recorder.abandon(&error.why) {
                self.tell(Acted::Done(Box::new(done), stepped));
            }
            self.tell(Acted::Unreachable(Box::new(error)));
        }
    }

    /// Checks the connections that stand by, opens missing ones if that is permitted, and returns their state.
    pub fn stand_by(&mut self, order: &StandbyOrder) -> Acted {
        let stood = catch_unwind(AssertUnwindSafe(|| self.check_connections(order)));
        Acted::Standby(stood.unwrap_or_else(|panic| {
            self.links.clear();
            let error = panicked(&format!("stand by for {}", self.reach.target.name), &*panic);
            vec![ConnectionState {
                inst_id: None,
                stands: false,
                acts: false,
                error: Some(error),
            }]
        }))
    }

    /// Closes connections that are not usable or not needed, opens missing ones, and returns the state of each.
    fn check_connections(&mut self, order: &StandbyOrder) -> Vec<ConnectionState> {
        let limit = self.reach.call_limit;
        let clock = Arc::clone(&self.clock);
        let leader = self.reach.leader.clone();
        self.links
            .retain(|_, link| link.asks_about(leader.as_ref()) && link.is_usable(order.anew, limit, &*clock));
        if order.may_connect {
            self.failed = None;
        }
        let mut places = match &order.needed {
            Needed::Nothing => {
                for (_, link) in std::mem::take(&mut self.links) {
                    link.connection.close(Duration::ZERO);
                }
                Vec::new()
            }
            Needed::Any => vec![self.check_connection(None, order)],
            Needed::Each(instances) => instances
                .iter()
                .map(|id| self.check_connection(Some(*id), order))
                .collect(),
        };
        if let Some(error) = places.iter().find_map(|place| place.error.as_ref()) {
            self.failed = Some(error.clone());
        }
        for place in &mut places {
            let inst_id = place.inst_id.filter(|_| place.stands);
            let footing = inst_id.map_or(Footing::Waits, |inst_id| self.ask_who_leads(inst_id, false));
            place.acts = footing == Footing::Acts;
            place.stands &= footing != Footing::Closes;
        }
        places
    }

    /// Has a connection ask whether its session may act. A connection whose session has lost the lock is closed.
    fn ask_who_leads(&mut self, inst_id: u32, acts: bool) -> Footing {
        let (clock, limit) = (Arc::clone(&self.clock), self.reach.call_limit);
        let link = self.links.get_mut(&inst_id);
        let footing = link.map_or(Footing::Closes, |link| link.ask_who_leads((acts, limit), &*clock));
        if footing == Footing::Closes
            && let Some(link) = self.links.remove(&inst_id)
        {
            link.connection.close(Duration::ZERO);
        }
        footing
    }

    /// The state of the connection to an instance, or to any, which is made if it is missing and may be made.
    fn check_connection(&mut self, wanted: Option<u32>, order: &StandbyOrder) -> ConnectionState {
        let mut there = self.connected_to(wanted);
        let mut error = None;
        if there.is_none() && order.may_connect {
            match self.connect(wanted, &order.instances) {
                Ok(inst_id) if wanted.is_none_or(|wanted| wanted == inst_id) => there = Some(inst_id),
                Ok(inst_id) => error = Some(self.wrong_instance(wanted, inst_id)),
                Err(failed) => error = Some(failed),
            }
        }
        ConnectionState {
            inst_id: there.or(wanted),
            stands: there.is_some(),
            acts: there.is_some(),
            error,
        }
    }

    /// The error for a listener that connected to another instance than the requested one.
    fn wrong_instance(&self, wanted: Option<u32>, got: u32) -> Error {
        let wanted = wanted.unwrap_or_default();
        Error::new(
            Class::Config,
            format!("connect to instance {wanted} of {}", self.reach.target.name),
            format!("the connect string led to instance {got}: a session of instance {wanted} cannot be disconnected"),
        )
    }

    /// The instance of an open connection that reaches the wanted instance, or any.
    fn connected_to(&self, wanted: Option<u32>) -> Option<u32> {
        match wanted {
            Some(inst_id) => self.links.get(&inst_id).map(|_| inst_id),
            None => self.links.keys().min().copied(),
        }
    }

    /// Carries a warrant out, or drops it if it is no longer good.
    pub fn act(&mut self, task: Task, recorder: &mut dyn StepRecorder) {
        let lapsed = task.batch.lapsed(&*self.clock).or_else(|| {
            let paused = self.switch.look()?;
            Some((Outcome::Revoked, format!("orareaper is {paused}")))
        });
        let stepped = task.batch.stepped;
        let connection = match lapsed {
            Some((outcome, why)) => ConnectionForTask::Lapsed(outcome, why),
            None => self.connection_for(&task),
        };
        let answer = match connection {
            ConnectionForTask::Unreachable(error) => Acted::Unreachable(Box::new(error)),
            ConnectionForTask::Lapsed(outcome, why) => {
                let done = match &task.batch.told {
                    None => drop_unused(&task, (outcome, &why), &*self.clock, recorder),
                    Some(told) => {
                        let recorder = &mut TellsOperator { inner: recorder, told };
                        drop_unused(&task, (outcome, &why), &*self.clock, recorder)
                    }
                };
                Acted::Done(Box::new(done), stepped)
            }
            ConnectionForTask::To(place) => match self.carry_out_over(task, place, recorder) {
                Ok(done) => Acted::Done(Box::new(done), stepped),
                Err(failed) => failed,
            },
        };
        self.tell(answer);
    }

    /// The connection that a warrant takes, made if it is missing.
    fn connection_for(&mut self, task: &Task) -> ConnectionForTask {
        // KILL and CANCEL SQL name the instance and may be sent to any.
        let wanted = match task.warrant.action() {
            Action::Disconnect { .. } => Some(task.warrant.key().inst_id),
            Action::Kill { .. } | Action::CancelSql | Action::Report => None,
        };
        let place = match (self.connected_to(wanted), self.failed.clone()) {
            (Some(place), _) => place,
            (None, Some(error)) => return ConnectionForTask::Unreachable(error),
            (None, None) => match self.connect(wanted, &task.batch.instances) {
                Ok(place) => place,
                Err(error) => return ConnectionForTask::Unreachable(error),
            },
        };
        let footing = self.ask_who_leads(place, true);
        let term = self.links.get(&place).and_then(ActingLink::term);
        if footing == Footing::Acts && term == task.batch.term {
            ConnectionForTask::To(place)
        } else {
            ConnectionForTask::Lapsed(Outcome::Revoked, LOST.to_owned())
        }
    }

    /// Carries a warrant out over the connection to this instance.
    ///
    /// # Errors
    /// What to tell the loop where the intent could not be written.
    fn carry_out_over(&mut self, task: Task, place: u32, recorder: &mut dyn StepRecorder) -> Result<Done, Acted> {
        let Task { warrant, seen, batch } = task;
        let clock = Arc::clone(&self.clock);
        let began = clock.now();
        let own: Vec<SessionKey> = batch
            .own
            .iter()
            .copied()
            .chain(self.links.values().map(|link| link.capabilities.own))
            .collect();
        let link = self.links.get_mut(&place).expect("it was just connected");
        link.capabilities.texts = link.text_form(batch.texts, self.reach.call_limit);
        let facts = link.capabilities.facts(&own);
        let fence = link.membership.as_ref().map(|(leader, _)| leader.lock);
        let permission = AskedAgain {
            batch: &batch,
            switch: &self.switch,
            clock: &*clock,
            database: &self.reach.target.name,
            policy: Arc::clone(&warrant.policy().name),
            ticket: Cell::new(None),
        };
        let mut hands = Hands {
            door: Door::new(&mut *link.connection, &permission, fence),
            capabilities: &link.capabilities,
            counters: &mut link.counters,
            facts: &facts,
            limits: batch.rules.limits(),
            today: batch.today,
            timetable: batch.rules.timetable(&warrant.policy().name),
            age: began.since(batch.clock_came),
            read_in: batch.read_in,
            ending: &batch.ending,
            rates: &batch.rates,
            limit: self.reach.call_limit,
            kill_limit: self.reach.kill_limit,
            elapsed: &|| clock.now().since(began),
        };
        let done = match &batch.told {
            None => carry_out(warrant, &seen, &mut hands, recorder),
            Some(told) => carry_out(warrant, &seen, &mut hands, &mut TellsOperator { inner: recorder, told }),
        };
        let was_fenced_off = hands.door.was_fenced_off();
        drop(permission);
        let broken = !was_fenced_off && link.connection.ping(self.reach.call_limit).is_err();
        if (broken || was_fenced_off)
            && let Some(link) = self.links.remove(&place)
            && was_fenced_off
        {
            link.connection.close(Duration::ZERO);
        }
        done.map_err(|error| Acted::JournalFailed(error.to_string()))
    }

    /// Makes a connection to the instance, or to any, and returns its instance. The listener may choose another instance than the
    /// requested one; then no DISCONNECT is sent on it.
    fn connect(&mut self, wanted: Option<u32>, instances: &BTreeMap<u32, String>) -> Result<u32, Error> {
        let instance = wanted.and_then(|inst_id| instances.get(&inst_id));
        let began = self.clock.now();
        let mut connection = self.reach.connect_to_act(&self.slot, instance.map(String::as_str))?;
        let mut capabilities = probe(&mut *connection, self.reach.via, self.reach.call_limit)?;
        // Instances and listeners may differ in their clocks: what this connection re-reads depends on its own.
        let now = self.clock.now();
        let fault_at_login = capabilities.dates.fault_at_login(now.since(began));
        capabilities.dates_fault.clone_from(&fault_at_login);
        self.tell(Acted::Connected(capabilities.own));
        let inst_id = capabilities.own.inst_id;
        let leader = self.reach.leader.clone();
        let membership = leader.map(|leader| (leader.clone(), leader.member(capabilities.own)));
        // An open connection to that instance is kept; it is known to work.
        self.links.entry(inst_id).or_insert(ActingLink {
            connection,
            capabilities,
            counters: Counters::default(),
            since: began,
            fault_at_login,
            probed: now,
            membership,
        });
        Ok(inst_id)
    }
}

/// Whether the database still answers. It is a query, not a ping: only for a query it is documented that it ends the session's
/// idle time.
fn answers(connection: &mut dyn Connection, limit: Duration) -> bool {
    let query = Query::new("DUAL", "SELECT 1 FROM dual", &[CellType::Number]).few();
    collect(connection, &query, limit, 1, |_| Some(())).is_ok()
}

impl Batch {
    /// Why what has not begun is no longer valid, if so, with the outcome of its warrants.
    pub(crate) fn lapsed(&self, clock: &dyn Clock) -> Option<(Outcome, String)> {
        if let Some(why) = self.revoked.get() {
            return Some((Outcome::Revoked, why.clone()));
        }
        let too_old = clock.now().since(self.began) > self.good_for;
        too_old.then(|| {
            (
                Outcome::Expired,
                "the snapshot was too old when its turn came".to_owned(),
            )
        })
    }
}

/// The checks of the daemon as a whole right before each last step.
struct AskedAgain<'a> {
    batch: &'a Batch,
    switch: &'a Switch,
    clock: &'a dyn Clock,
    database: &'a str,
    /// The policy whose warrant it is.
    policy: Arc<str>,
    ticket: Cell<Option<Ticket>>,
}

impl Permission for AskedAgain<'_> {
    fn begin(&self, what: &str, now: DateTime<Utc>) -> Result<(), (Outcome, String)> {
        if let Some(lapsed) = self.batch.lapsed(self.clock) {
            return Err(lapsed);
        }
        if let Some(blackout) = self.batch.rules.blackout_by_either(now, self.clock.utc()) {
            return Err((Outcome::Revoked, blackout.to_string()));
        }
        let outside = self.batch.rules.outside_dates(&self.policy, now, self.clock.utc());
        if let Some(outside) = outside {
            return Err((Outcome::Revoked, format!("dates: {outside}")));
        }
        // The switch comes last, so that a pause can name every statement that began before it.
        let ticket = self.switch.begin(&format!("{}: {what}", self.database));
        let ticket = ticket.map_err(|pause| (Outcome::Revoked, format!("orareaper is {pause}")))?;
        self.ticket.set(Some(ticket));
        Ok(())
    }

    fn end(&self) {
        if let Some(ticket) = self.ticket.take() {
            self.switch.end(ticket);
        }
    }
}

/// Ends the ticket, also after a panic.
impl Drop for AskedAgain<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Records a warrant that is dropped before anything was tried.
pub(crate) fn drop_unused(
    task: &Task,
    (outcome, why): (Outcome, &str),
    clock: &dyn Clock,
    recorder: &mut dyn StepRecorder,
) -> Done {
    let action_id = recorder.next_id();
    let unused = Intending {
        action_id,
        warrant: &task.warrant,
        seen: &task.seen,
        statement: None,
        identity: None,
        waited: clock.now().since(task.batch.clock_came),
    };
    recorder.unused(&unused, outcome, why);
    Done::of(&task.warrant, action_id, outcome, None)
}

/// Starts the thread.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start(
    reach: SharedReach,
    (clock, switch): (Arc<dyn Clock>, Arc<Switch>),
    mut recorder: Box<dyn StepRecorder + Send>,
    orders: Receiver<ActorOrder>,
    (number, inputs): (usize, Sender<Input>),
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("act-{}-{number}", reach.now().target.name))
        .spawn(move || Actor::new(reach.now(), clock, switch, (number, inputs)).run(&reach, &mut *recorder, &orders))
}
