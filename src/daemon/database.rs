//! One database's loop: its memory, when it polls, and the one place where everything that happens to it arrives.
//!
//! Whatever comes from outside (a snapshot, an outcome, a reload, a stop) becomes one [`Input`], and one thread applies
//! them in order. Only that thread owns the database's memory, so nothing here is locked. Reading and acting are done by
//! threads of their own, which may hang: this one never waits for either, and a database that hangs delays no other.
//!
//! While actions are under way cycles go on. What is under way counts as done: its sessions are left out, budgets and floors count
//! it, and everything else may be permitted ([`acting`]).

mod acting;
mod asked;
mod by_hand;
mod hanging;
mod lead;
mod needs;
mod orders;
mod refused;
mod requests;
mod view;
mod workers;

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::actuator::carry_out::StepRecorder;
use crate::actuator::ending::Ending;
use crate::clock::{Clock, Monotonic};
use crate::columns_needed;
use crate::daemon::backoff::Backoff;
use crate::daemon::database::asked::AskedSelection;
use crate::daemon::database::lead::{CHANGED, Lead, not_leading};
use crate::daemon::database::orders::{Polling, Trouble};
use crate::daemon::database::refused::LastRefusal;
use crate::daemon::database::requests::OperatorRequests;
use crate::daemon::database::workers::Workers;
use crate::daemon::messages::{Input, Needs, Polled, Settings, Task};
use crate::daemon::pause::Pause;
use crate::daemon::siblings::Kin;
use crate::daemon::standby::{ConnectionState, Needed, Standby};
use crate::decide::clocks::{ClockStep, HostTime};
use crate::decide::cycle::{CycleInput, Memory, cycle};
use crate::decide::going::going;
use crate::decide::in_force::{Absent, DatabaseRules, GAP, Here, Rhythm};
use crate::decide::ledger::later;
use crate::decide::outcome::Outcome;
use crate::decide::standstill::Standstill;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::identity::DatabaseIdentity;
use crate::oracle::{Class, Error};
use crate::session::SessionKey;

pub use view::CycleView;
pub use workers::StartWorker;

/// Why what was permitted and has not begun is revoked.
const RELOADED: &str = "policies or settings were changed before its turn came";
const STOPPING: &str = "orareaper stopped, or no longer watches the database, before its turn came";

/// Who is told what happens. The daemon has one that logs, counts, journals and reports; the demo narrates.
pub trait Watcher: Send {
    /// A cycle is through.
    fn cycle(&mut self, view: &CycleView<'_>);
    /// The database could not be read. `again_in` is `None` when there will be no further attempt.
    fn unreadable(&mut self, database: &str, error: &Error, again_in: Option<Duration>);
    /// A read hangs, for an unknown reason, and is still going on.
    fn hangs(&mut self, database: &str, error: &Error);
    /// A policy cannot run on this database, and why.
    fn unsupported(&mut self, database: &str, policy: &str, why: &str);
    /// A warrant was used up.
    fn done(&mut self, database: &str, done: &crate::decide::cycle::Done);
    /// Actions stopped because they could not be written down, or the database could not be reached for them.
    fn acting_stopped(&mut self, database: &str, why: &str);
    /// What stopped them is over.
    fn acting_goes_on(&mut self, database: &str);
    /// There is no connection to act on.
    fn acting_failed(&mut self, database: &str, error: &Error) {
        self.acting_stopped(database, &error.to_string());
    }
    /// A connection beside the one that stands by could not be made or kept. Acting goes on without it.
    fn helper_failed(&mut self, database: &str, error: &Error);
    /// The number of acting connections that hang in a driver call.
    fn hanging(&mut self, database: &str, connections: usize);
    /// The database's clock stepped.
    fn stepped(&mut self, database: &str, step: ClockStep);
    /// The acting connections that stand by at this poll.
    fn standby(&mut self, database: &str, places: &[ConnectionState]);
    /// The loop is alive.
    fn alive(&mut self, database: &str);
    /// The pause that holds, if one does. Never waits for a disk.
    fn paused(&mut self) -> Option<Pause>;
}

/// Whether warrants may be given out.
#[derive(Debug)]
enum BatchState {
    /// Yes.
    Free,
    /// The last one failed for a reason that holds for the next one too: not before this time.
    Waiting {
        /// Until when.
        until: Monotonic,
        /// For what.
        why: String,
    },
    /// The account was refused. Each further attempt would bring it nearer to its lock, so there is none before a reload.
    GaveUp {
        /// What the database said.
        why: String,
    },
}

/// One database's loop.
pub struct DatabaseLoop {
    settings: Settings,
    rules: Arc<DatabaseRules>,
    memory: Memory,
    clock: Arc<dyn Clock>,
    ask: Sender<Needs>,
    workers: Workers,
    /// Warrants whose turn has not come, in their order.
    waiting: Vec<Task>,
    /// What is being ended, for those who act.
    ending: Arc<Ending>,
    /// Records warrants that are dropped before a thread got them.
    recorder: Box<dyn StepRecorder + Send>,
    watcher: Box<dyn Watcher>,
    polling: Polling,
    acting: BatchState,
    /// Revokes all that has not begun.
    revoked: Arc<OnceLock<String>>,
    acting_backoff: Backoff,
    trouble: Option<Trouble>,
    refused: LastRefusal,
    standby: Standby,
    next_poll: Monotonic,
    /// Until the first snapshot was asked for.
    stagger: Option<Duration>,
    last_cycle: Option<DateTime<Utc>>,
    last_began: Option<Monotonic>,
    backoff: Backoff,
    gave_up: bool,
    own: Vec<SessionKey>,
    warned_unsupported: Vec<(Arc<str>, String)>,
    kin: Kin,
    requests: OperatorRequests,
    /// Whether this daemon leads, where one of several does.
    lead: Lead,
    /// The next snapshot begins with a probe of the database.
    anew: bool,
    /// Whom the policies are about.
    wanted: AskedSelection,
}

/// The threads of a database.
pub struct Threads {
    /// The one that reads.
    pub ask: Sender<Needs>,
    /// Starts those that act, when they are needed.
    pub start_worker: StartWorker,
}

impl DatabaseLoop {
    /// One that polls at once. `memory` comes from the journal.
    #[must_use]
    pub fn new(
        settings: Settings,
        rules: Arc<DatabaseRules>,
        memory: Memory,
        clock: Arc<dyn Clock>,
        threads: Threads,
        (watcher, recorder): (Box<dyn Watcher>, Box<dyn StepRecorder + Send>),
    ) -> DatabaseLoop {
        let next_poll = clock.now();
        let workers = Workers::new(&settings.name, threads.start_worker, next_poll);
        let ending = Ending::default();
        ending.follow(going(&memory.following));
        let backoff = Backoff::of(&settings.name);
        let standby = Standby::new(&settings.name);
        let kin = Kin::new(&settings.siblings, &settings.name);
        let stagger = Some(settings.stagger).filter(|stagger| *stagger > Duration::ZERO);
        DatabaseLoop {
            wanted: AskedSelection::of(&rules),
            settings,
            rules,
            memory,
            clock,
            ask: threads.ask,
            workers,
            waiting: Vec::new(),
            ending: Arc::new(ending),
            recorder,
            watcher,
            polling: Polling::Idle,
            acting: BatchState::Free,
            revoked: Arc::default(),
            acting_backoff: backoff,
            trouble: None,
            refused: LastRefusal::default(),
            standby,
            stagger,
            next_poll,
            last_cycle: None,
            last_began: None,
            backoff,
            gave_up: false,
            own: Vec::new(),
            kin,
            warned_unsupported: Vec::new(),
            requests: OperatorRequests::default(),
            lead: Lead::default(),
            anew: false,
        }
    }

    /// Applies inputs until a stop, or until every sender is gone.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>) {
        loop {
            self.tick();
            let input = match inputs.recv_timeout(self.until_next()) {
                Ok(input) => input,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.apply(input).is_break() {
                return;
            }
        }
    }

    /// Does what is due without an input: asks for a snapshot, reports threads that hang, and gives waiting warrants to threads. Does not block.
    pub fn tick(&mut self) {
        self.watcher.alive(&self.settings.name);
        self.poll_if_due();
        self.tell_if_hanging();
        self.tell_if_acting_hangs();
        self.share_out();
    }

    /// Applies one input; `Break` at the end. Does not block.
    pub fn apply(&mut self, input: Input) -> ControlFlow<()> {
        match input {
            Input::Stop => {
                self.revoke(STOPPING);
                return ControlFlow::Break(());
            }
            Input::Reload(rules, settings) => self.reload(rules, settings),
            Input::Polled(Ok(polled)) if self.is_of_other_policies(&polled) => self.read_anew(),
            Input::Polled(Ok(mut polled)) => self.read(&mut polled),
            Input::Polled(Err(error)) => self.unreadable(&error),
            Input::Acted(worker, acted) => self.acted(worker, acted),
            Input::Asked(asked) => self.asked(*asked),
        }
        ControlFlow::Continue(())
    }

    /// What it remembers.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// At most a second, so that the loop shows it is alive.
    fn until_next(&self) -> Duration {
        let heartbeat = Duration::from_secs(1);
        if self.polling != Polling::Idle || self.gave_up {
            heartbeat
        } else {
            self.next_poll.since(self.clock.now()).min(heartbeat)
        }
    }

    /// Asks for a snapshot if it is time for one and none is under way.
    pub(crate) fn poll_if_due(&mut self) {
        if self.polling != Polling::Idle || self.gave_up || self.clock.now() < self.next_poll {
            return;
        }
        let needs = self.needs();
        let now = self.clock.now();
        if self.ask.send(needs).is_ok() {
            self.polling = Polling::Since(now);
            self.anew = false;
        }
        let interval = self.stagger.take().unwrap_or(self.settings.poll);
        self.next_poll = now.plus(interval);
    }

    /// Reads sooner while a gate is open, and after a pause where reading was slow: as long as it took, so that a database that is
    /// overloaded is read half of the time at most. The pause makes no gap.
    fn pace(&mut self, began: Monotonic, took: Duration) {
        let Settings { poll, pressed, .. } = self.settings;
        if let Some(pressed) = pressed.filter(|_| self.memory.gates.any_is_open()) {
            self.next_poll = self.next_poll.min(began.plus(pressed));
        }
        let no_gap = poll.saturating_mul(GAP).saturating_sub(took + Duration::from_secs(1));
        let pause = took.min(poll).min(no_gap);
        self.next_poll = self.next_poll.max(self.clock.now().plus(pause));
    }

    /// Revokes every warrant that is not being carried out yet. An action that has begun is not stopped.
    fn revoke(&mut self, why: &str) {
        let _ = self.revoked.set(why.to_owned());
        self.revoked = Arc::default();
        self.drop_waiting(Outcome::Revoked, why);
    }

    fn reload(&mut self, rules: Arc<DatabaseRules>, settings: Settings) {
        assert_eq!(self.settings.name, settings.name, "a database keeps its name");
        // A warrant of the old rules may be one that the new ones would not give: the next cycle decides anew.
        self.revoke(RELOADED);
        self.wanted.reload(&rules);
        self.rules = rules;
        self.agree();
        self.next_poll = self.next_poll.min(self.clock.now().plus(settings.poll));
        self.settings = settings;
        self.gave_up = false;
        if matches!(self.acting, BatchState::Waiting { .. } | BatchState::GaveUp { .. }) {
            self.acting = BatchState::Free;
        }
        self.refused.forget();
        self.acting_backoff.reset();
        self.standby.reloaded();
        self.workers.reloaded();
        self.backoff.reset();
        self.warned_unsupported.clear();
        self.anew = true;
    }

    fn unreadable(&mut self, error: &Error) {
        self.polling = Polling::Idle;
        let again_in = self.backoff.after(error.class, self.settings.poll);
        match again_in {
            Some(pause) => self.next_poll = self.clock.now().plus(pause),
            None => self.gave_up = true,
        }
        self.watcher.unreadable(&self.settings.name, error, again_in);
        self.requests.fail(&error.to_string());
        self.stand_by(false);
    }

    /// Nothing is decided on a snapshot without a clock.
    fn miss_the_clock(&mut self) {
        let tried = format!("read {}", self.settings.name);
        let error = Error::new(Class::Partial, tried, "no clock came with it");
        self.watcher
            .unreadable(&self.settings.name, &error, Some(self.settings.poll));
    }

    fn read(&mut self, polled: &mut Polled) {
        self.polling = Polling::Idle;
        self.backoff.reset();
        self.look_who_leads();
        self.begin_a_term(polled.began);
        self.remember_own(polled.capabilities.own);
        let Some(now) = polled.snapshot.utc() else {
            return self.miss_the_clock();
        };
        let began = self.clock.now();
        let here = self.here(&polled.capabilities, now);
        let host = self.host_time(polled);
        let step = self.reconcile(now, host);
        let (siblings, acts) = self.hear(&polled.capabilities, now - host.utc);
        let rules = Arc::clone(&self.rules);
        let mut needed = Needed::of(rules.set(), here.running(), &polled.snapshot);
        if needed == Needed::Nothing && self.may_lead() {
            needed = Needed::Any;
        }
        self.standby.need(needed, &polled.snapshot);
        let facts = polled.capabilities.facts(&self.own);
        let unbroken = self.is_unbroken(polled.began) && step.is_none();
        let wanted = columns_needed::columns(rules.set());
        self.memory.add_rates(&mut polled.snapshot, wanted, unbroken);
        let polled = &*polled;
        let standstill = self
            .standstill(polled, now)
            .or_else(|| step.map(Standstill::ClockStepped))
            .or_else(|| Some(Standstill::Sibling(acts?)));
        let for_policies = standstill.clone().or_else(|| self.requests.first_order());
        let for_policies = for_policies.or_else(|| self.refused.standstill(self.clock.now()));
        let input = CycleInput {
            rules: &rules,
            here: &here,
            facts: &facts,
            now,
            unbroken,
            read_in: whole_seconds(polled.took),
            standstill: for_policies.as_ref(),
            assume_held: false,
        };
        self.watch_the_other(polled, now);
        let mut cycle = cycle(&mut self.memory, &polled.snapshot, polled.readings.clone(), &input);
        self.lead.note_whom(&cycle, &polled.snapshot, &rules.set().policies);
        self.pace(polled.began, polled.took);
        self.last_cycle = Some(now);
        let deciding_took = self.clock.now().since(began);
        self.watcher.cycle(&CycleView {
            database: &self.settings.name,
            polled,
            cycle: &cycle,
            rules: &rules,
            in_force: here.running(),
            memory: &self.memory,
            now,
            deciding_took,
            standstill: for_policies.as_ref(),
            refused: self.refused.check(),
            blackout: rules.blackout_by_either(now, self.clock.utc()),
            siblings: &siblings,
            leads: self.leads(),
        });
        let warrants = std::mem::take(&mut cycle.ruling.warrants);
        self.ending.follow(going(&self.memory.following));
        self.stand_by(true);
        if for_policies.is_none() {
            self.permit(warrants, polled, rules, now);
        }
        self.requests.follow_up(&cycle.verified, &polled.snapshot);
        self.answer_operators(polled, &facts, now, standstill.as_ref());
        self.rest_if_idle();
    }

    /// Meets other entries for the same database: what they did counts here, and the smallest limits of all. Returns their names, and who
    /// of them acts now.
    fn hear(&mut self, capabilities: &Capabilities, ahead: TimeDelta) -> (Vec<Arc<str>>, Option<Arc<str>>) {
        let identity = DatabaseIdentity::of(capabilities);
        let heard = self.kin.meet((identity, ahead), self.memory.ledger.own());
        self.memory.ledger.take_over(heard.left);
        self.memory.ledger.reckon_with(heard.done);
        self.agree();
        (heard.names, heard.acts)
    }

    /// Tells the other entries this one's limits, and goes by theirs where they are smaller.
    fn agree(&mut self) {
        let others = self.kin.agree(self.rules.own_budget());
        if let Some(rules) = self.rules.beside(others) {
            self.rules = Arc::new(rules);
        }
    }

    /// Looks whether this daemon leads, and begins anew where that has changed.
    fn look_who_leads(&mut self) {
        if !self.lead.look(self.settings.leader.as_ref()) {
            return;
        }
        self.revoke(CHANGED);
        self.anew |= self.lead.term().is_some();
    }

    /// With the first snapshot of a term, what earlier ones have shown counts no longer.
    fn begin_a_term(&mut self, began: Monotonic) {
        if self.lead.begins_with(self.settings.leader.as_ref(), began) {
            self.memory.begin_anew();
            self.last_began = None;
        }
    }

    fn watch_the_other(&mut self, polled: &Polled, now: DateTime<Utc>) {
        let ledger = &mut self.memory.ledger;
        self.lead.watch_the_other(&polled.snapshot, now, ledger);
    }

    /// Whether connections to act on are needed although no policy acts: the lock is held by one of them.
    fn may_lead(&self) -> bool {
        self.settings.leader.is_some() && self.rules.is_armed()
    }

    /// Whether this daemon leads, where one of several is to and this database is armed.
    fn leads(&self) -> Option<bool> {
        self.may_lead().then_some(self.lead.term().is_some())
    }

    /// The daemon's own sessions, the newest few: a reconnect makes a new one and the old one's SID may be another session's.
    fn remember_own(&mut self, own: SessionKey) {
        const KEPT: usize = 256;
        if !self.own.contains(&own) {
            self.own.push(own);
            let surplus = self.own.len().saturating_sub(KEPT);
            self.own.drain(..surplus);
        }
    }

    /// The host's clocks when the reading of a snapshot began. The database's was read right then, perhaps minutes ago.
    fn host_time(&self, polled: &Polled) -> HostTime {
        let paced = |span: Duration| span.saturating_mul(self.clock.pace());
        let since = TimeDelta::from_std(self.clock.now().since(polled.began)).unwrap_or(TimeDelta::MAX);
        HostTime {
            passed: paced(polled.began.since(Monotonic::default())),
            utc: later(self.clock.utc(), -since),
            within: paced(polled.clock_came.since(polled.began)),
        }
    }

    /// Compares the clock of a snapshot with the host's. After a step the ages of sessions are found out anew: see
    /// [`crate::oracle::capabilities::Dates`].
    fn reconcile(&mut self, now: DateTime<Utc>, host: HostTime) -> Option<ClockStep> {
        let step = self.memory.reconcile(now, host)?;
        self.watcher.stepped(&self.settings.name, step);
        self.kin.step(step.0);
        self.anew = true;
        Some(step)
    }

    /// Measured by this host's clock.
    fn is_unbroken(&mut self, began: Monotonic) -> bool {
        let before = self.last_began.replace(began);
        before.is_some_and(|before| began.since(before) <= self.settings.poll.saturating_mul(GAP))
    }

    /// Why nothing may be permitted in this cycle.
    fn standstill(&mut self, polled: &Polled, now: DateTime<Utc>) -> Option<Standstill> {
        if let Some(pause) = self.watcher.paused() {
            self.revoke(&format!("orareaper is {pause}"));
            return Some(Standstill::Paused(pause.to_string()));
        }
        if let Some(blackout) = self.rules.blackout_by_either(now, self.clock.utc()) {
            return Some(blackout);
        }
        if self.workers.is_lost() {
            return Some(Standstill::Hangs);
        }
        match &self.acting {
            BatchState::GaveUp { why } => return Some(Standstill::RefusedUntilReload(why.clone())),
            BatchState::Waiting { until, why } if self.clock.now() < *until => {
                return Some(Standstill::Unreachable(why.clone()));
            }
            BatchState::Waiting { .. } | BatchState::Free => {}
        }
        let leader = self.settings.leader.as_ref().filter(|_| self.rules.is_armed());
        if let Some(standstill) = leader.and_then(|leader| not_leading(leader, polled)) {
            return Some(standstill);
        }
        let age = self.clock.now().since(polled.began);
        (age > self.settings.poll * 2).then_some(Standstill::OldSnapshot)
    }

    fn here(&mut self, capabilities: &Capabilities, now: DateTime<Utc>) -> Here {
        let rules = Arc::clone(&self.rules);
        let rhythm = Rhythm::of(TimeDelta::from_std(self.settings.poll).unwrap_or(TimeDelta::MAX));
        let due = rhythm.due(self.last_cycle, now);
        let here = rules.here(|action| capabilities.supports(action), due);
        for (policy, run) in rules.set().policies.iter().zip(here.each()) {
            if let Err(Absent::Unsupported(why)) = run {
                self.warn_unsupported(&policy.name, why.clone());
            }
        }
        here
    }

    /// Said once.
    fn warn_unsupported(&mut self, policy: &Arc<str>, why: String) {
        let warning = (Arc::clone(policy), why);
        if !self.warned_unsupported.contains(&warning) {
            self.watcher.unsupported(&self.settings.name, &warning.0, &warning.1);
            self.warned_unsupported.push(warning);
        }
    }
}

/// A measured span as the database's clock counts: in whole seconds, rounded down.
fn whole_seconds(span: Duration) -> TimeDelta {
    i64::try_from(span.as_secs())
        .ok()
        .and_then(TimeDelta::try_seconds)
        .unwrap_or(TimeDelta::days(1))
}

#[cfg(test)]
mod tests;
