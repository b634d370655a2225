//! The world: instances, sessions, and what is done to them.
//!
//! One lock guards the whole `State`. All waits (a kill for its victim, a sleep, a session for a row) are on one condition
//! variable that is signalled whenever something ends. Nothing is locked while waiting. Time passes only on access:
//! `State::settle` brings the world up to the present before each access.

pub(crate) mod accounts;
mod administer;
mod behave;
mod client;
mod idle;
mod kill;
mod listener;
mod lock;
pub(crate) mod packages;
mod pass;
mod run;
pub(crate) mod said;
pub(crate) mod session;
mod spawn;
pub(crate) mod statements;
pub(crate) mod tables;
mod user_locks;

pub(crate) use spawn::user_number;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::backend::OnAccept;
use crate::clock::{Clock, Moment, calendar, moment, wall_clock};
use crate::faults::{Fault, Faults};
use crate::scenario::{InstanceSpec, Scenario};
use accounts::Accounts;
pub(crate) use client::ClientSession;
use idle::IdleLimits;
pub(crate) use kill::Order;
pub use kill::{Clause, KillRecord};
use packages::Packages;
use pass::Due;
use session::{Seat, Sess, Told};
use statements::Statements;
use tables::Tables;
pub(crate) use user_locks::LockCall;
pub use user_locks::UserLock;

/// A wait without an end moves the clock no farther at a time.
const FARTHEST_JUMP: i64 = 3_600_000;

/// The simulated database: every instance of it, and all who are logged in.
pub struct World {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) scenario: Scenario,
    pub(crate) clock: Clock,
    /// While the clock stands still, whoever waits moves it on.
    jumps: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

/// All that changes.
pub(crate) struct State {
    pub(crate) now: Moment,
    pub(crate) sessions: BTreeMap<Seat, Sess>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) kills: Vec<KillRecord>,
    pub(crate) faults: Faults,
    pub(crate) hidden: BTreeSet<u32>,
    pub(crate) resources: BTreeMap<String, i64>,
    /// Since when the host's processors are busy by so many percent.
    pub(crate) host_cpu: Vec<(Moment, i64)>,
    pub(crate) tables: Tables,
    pub(crate) packages: Packages,
    pub(crate) accounts: Accounts,
    locks: Vec<UserLock>,
    pub(crate) texts: Statements,
    pub(crate) statements: u64,
    /// What the clients of sessions whose rows are gone will be told.
    farewells: BTreeMap<(Seat, u32), Told>,
    queue: BinaryHeap<std::cmp::Reverse<(Moment, u64, Due)>>,
    queued: u64,
    rng: StdRng,
    /// How many of the scenario's pins each user has used.
    logins: BTreeMap<String, usize>,
    listener: OnAccept,
    idle_limits: IdleLimits,
    audsid: u32,
    transactions: u32,
}

/// An instance as it is now.
pub(crate) struct Instance {
    pub(crate) spec: InstanceSpec,
    pub(crate) up: bool,
    pub(crate) startup: Moment,
    next_sid: u32,
    next_pid: u32,
    next_spid: u32,
    free: Vec<u32>,
    serials: BTreeMap<u32, u32>,
}

/// A session as tests and checkers look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// INST_ID.
    pub instance: u32,
    /// SID.
    pub sid: u32,
    /// SERIAL#.
    pub serial: u32,
    /// USERNAME.
    pub username: Option<String>,
    /// PROGRAM.
    pub program: Option<String>,
    /// TYPE is BACKGROUND.
    pub background: bool,
    /// STATUS.
    pub status: &'static str,
    /// LAST_CALL_ET.
    pub last_call_et: i64,
    /// LOGON_TIME.
    pub logon_time: NaiveDateTime,
    /// It has an open transaction.
    pub in_transaction: bool,
    /// ACTION.
    pub action: Option<String>,
    /// Its group in the scenario; `None` for background processes and real clients.
    pub group: Option<String>,
}

impl World {
    /// Builds the world of a scenario, at its starting time.
    pub fn new(scenario: Scenario) -> Arc<Self> {
        let start = scenario.starts.map_or_else(wall_clock, moment);
        let clock = Clock::new(start, scenario.speed);
        let mut state = State::empty(&scenario, start);
        state.populate(&scenario);
        let shared = Shared {
            scenario,
            clock,
            jumps: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        Arc::new(Self {
            shared: Arc::new(shared),
        })
    }

    /// The scenario it was built from.
    pub fn scenario(&self) -> &Scenario {
        &self.shared.scenario
    }

    /// SYSDATE.
    pub fn now(&self) -> NaiveDateTime {
        calendar(self.shared.clock.now())
    }

    /// Lets simulated time pass at once.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
        drop(self.shared.look());
        self.shared.changed.notify_all();
    }

    /// Lets simulated time pass at once, at a moment when no client is in the middle of a call: each of them was idle all the while.
    pub fn advance_between_calls(&self, by: Duration) {
        loop {
            let state = self.shared.look();
            let mut clients = state.sessions.values().filter(|sess| sess.link.is_some());
            if clients.all(|sess| !sess.phase(state.now).busy) {
                self.shared.clock.advance(by);
                break;
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(self.shared.look());
        self.shared.changed.notify_all();
    }

    /// Changes how fast time passes: simulated seconds a real second, 0 to stand still.
    pub fn set_speed(&self, speed: f64) {
        self.shared.clock.set_speed(speed.max(0.0));
        self.shared.changed.notify_all();
    }

    /// From now on a clock that stands still is moved on by whoever waits (a killer for its victim, a late answer): to the
    /// next thing that happens, or to the end of the wait. For one client at a time, which is then served the same way
    /// each time.
    pub fn let_waits_pass(&self) {
        self.shared.jumps.store(true, Ordering::SeqCst);
    }

    /// Every ALTER SYSTEM that was meant to end a session or its statement, in order.
    pub fn kills(&self) -> Vec<KillRecord> {
        self.shared.look().kills.clone()
    }

    /// The locks that DBMS_LOCK has given and that are held now.
    pub fn user_locks(&self) -> Vec<UserLock> {
        self.shared.look().user_locks().copied().collect()
    }

    /// How many statements clients have executed.
    pub fn statements(&self) -> u64 {
        self.shared.look().statements
    }

    /// All sessions, by instance and SID.
    pub fn sessions(&self) -> Vec<SessionView> {
        let state = self.shared.look();
        state
            .sessions
            .iter()
            .map(|(seat, sess)| state.view(&self.shared.scenario, *seat, sess))
            .collect()
    }

    /// The session on a seat.
    pub fn session(&self, instance: u32, sid: u32) -> Option<SessionView> {
        let state = self.shared.look();
        let sess = state.sessions.get(&(instance, sid))?;
        Some(state.view(&self.shared.scenario, (instance, sid), sess))
    }

    /// Lets a fault wait for its statement.
    pub fn arm(&self, fault: Fault) {
        self.shared.look().faults.arm(fault);
    }

    /// Forgets all faults, and shows hidden instances again.
    pub fn disarm(&self) {
        let mut state = self.shared.look();
        state.faults.clear();
        state.hidden.clear();
    }

    /// Whether a fault hides the instance's sessions.
    pub fn is_hidden(&self, instance: u32) -> bool {
        self.shared.look().hidden.contains(&instance)
    }

    /// What the listener does with new connections from now on.
    pub fn set_listener(&self, listener: OnAccept) {
        self.shared.look().listener = listener;
    }

    /// An instance leaves: its sessions are gone, its clients cut off.
    pub fn leave(&self, instance: u32) {
        self.shared.look().leave(instance);
        self.shared.changed.notify_all();
    }

    /// It joins again, with its background processes and nobody else.
    pub fn join(&self, instance: u32) {
        self.shared.look().join(&self.shared.scenario, instance);
    }

    /// Ends a session as if its own client had logged off.
    pub fn log_off(&self, instance: u32, sid: u32) {
        self.shared.look().remove((instance, sid));
        self.shared.changed.notify_all();
    }

    /// Puts another session on a seat, with the same look and a new SERIAL#; its new SERIAL#.
    pub fn reuse_seat(&self, instance: u32, sid: u32) -> Option<u32> {
        let mut state = self.shared.look();
        let serial = state.reuse((instance, sid));
        drop(state);
        self.shared.changed.notify_all();
        serial
    }
}

impl Shared {
    /// The world, brought up to the present.
    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = state.settle(&self.scenario, self.clock.now());
        if ended {
            self.changed.notify_all();
        }
        state
    }

    /// Tells all who wait that something ended.
    pub(crate) fn signal(&self) {
        self.changed.notify_all();
    }

    /// Gives the world away until something ends or so much simulated time has passed, then looks again.
    pub(crate) fn pause<'a>(&'a self, state: MutexGuard<'a, State>, millis: i64) -> MutexGuard<'a, State> {
        if self.jumps.load(Ordering::SeqCst) && self.clock.real(0).is_none() {
            let next = state.next_due().map_or(i64::MAX, |due| due - state.now);
            let span = next.min(millis).max(1);
            drop(state);
            self.clock
                .advance(Duration::from_millis(span.min(FARTHEST_JUMP).unsigned_abs()));
            return self.look();
        }
        // With a clock that stands still only a signal ends the wait; look again now and then in case one was missed.
        let longest = Duration::from_millis(500);
        let wait = self
            .clock
            .real(millis)
            .map_or(longest, |real| real.min(longest))
            .max(Duration::from_micros(200));
        let (state, _) = self
            .changed
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        self.look()
    }
}

impl State {
    fn empty(scenario: &Scenario, start: Moment) -> Self {
        let mut state = Self {
            now: start,
            sessions: BTreeMap::new(),
            instances: scenario
                .instances
                .iter()
                .map(|spec| Instance::new(spec, start - spec.up.0))
                .collect(),
            kills: Vec::new(),
            faults: Faults::default(),
            hidden: BTreeSet::new(),
            resources: BTreeMap::new(),
            host_cpu: Vec::new(),
            tables: Tables::default(),
            packages: Packages::default(),
            accounts: Accounts::of(scenario),
            locks: Vec::new(),
            texts: Statements::default(),
            statements: 0,
            farewells: BTreeMap::new(),
            queue: BinaryHeap::new(),
            queued: 0,
            rng: StdRng::seed_from_u64(scenario.seed),
            logins: BTreeMap::new(),
            listener: OnAccept::Serve,
            idle_limits: IdleLimits::of(scenario),
            audsid: 1_400_000,
            transactions: 0,
        };
        for fault in &scenario.faults {
            state.faults.arm(fault.clone());
        }
        state
    }

    /// The instance of this number, if it is up.
    pub(crate) fn instance(&self, number: u32) -> Option<&Instance> {
        self.instances
            .iter()
            .find(|instance| instance.spec.number == number && instance.up)
    }

    fn view(&self, scenario: &Scenario, (instance, sid): Seat, sess: &Sess) -> SessionView {
        let phase = sess.phase(self.now);
        SessionView {
            instance,
            sid,
            serial: sess.serial,
            username: sess.who.username.as_deref().map(str::to_owned),
            program: sess.who.program.as_deref().map(said::shown),
            background: sess.kind == session::Kind::Background,
            status: sess.status(phase),
            last_call_et: (self.now - phase.since) / 1000,
            logon_time: calendar(sess.logon / 1000 * 1000),
            in_transaction: sess.txn.is_some(),
            action: sess.who.action.as_deref().map(said::shown),
            group: sess.origin.map(|(group, _)| scenario.sessions[group].name.clone()),
        }
    }
}

impl Instance {
    fn new(spec: &InstanceSpec, startup: Moment) -> Self {
        Self {
            spec: spec.clone(),
            up: true,
            startup,
            next_sid: 1,
            next_pid: 2,
            next_spid: 4_100 + 10_000 * spec.number,
            free: Vec::new(),
            serials: BTreeMap::new(),
        }
    }
}
