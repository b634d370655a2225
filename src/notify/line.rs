//! One receiver: its queue, and the thread that empties it.
//!
//! Whoever hands a notice in never waits: the lock is held for a push, and never while somebody is told. Everything is bounded: what
//! waits by `queue`, what is sent in a minute by `rate`, an attempt by `timeout`, and a message with all its attempts by `give_up`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::{Clock, Monotonic};
use crate::config::Receiver;
use crate::metrics::{Metrics, NoticeResult};
use crate::notify::attempt::attempt;
use crate::notify::failure::NoticeFailure;
use crate::notify::notice::Notice;
use crate::notify::noticer::Noticer;
use crate::notify::program::RunningPrograms;
use crate::notify::rate::RateWindow;
use crate::session::time::iso;
use crate::status::SharedStatus;

/// The wait after a first failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long an idle thread sleeps at most.
const IDLE: Duration = Duration::from_secs(60);

/// What all receivers share.
#[derive(Clone, Debug)]
pub(super) struct LineContext {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) status: SharedStatus,
    pub(super) host: Arc<str>,
    pub(super) dry_run: bool,
    pub(super) programs: Arc<RunningPrograms>,
}

/// A receiver with its queue.
#[derive(Debug)]
pub(super) struct ReceiverLine {
    name: Arc<str>,
    around: LineContext,
    state: Mutex<LineState>,
    /// There is something to do, or the end begins.
    work: Condvar,
    /// The thread has ended.
    over: Condvar,
}

#[derive(Debug)]
struct LineState {
    receiver: Arc<Receiver>,
    queue: VecDeque<WaitingNotice>,
    rate: RateWindow,
    /// Until when what waits is still sent, once the end has begun.
    ending: Option<Monotonic>,
    /// Whether a reload has taken the receiver out: then its series and its line on the page are gone.
    is_removed: bool,
    trouble: Option<LineTrouble>,
    /// Whether it was said that the queue is full.
    said_full: bool,
    /// How many were never sent, since the end has begun.
    left: u64,
    ended: bool,
}

#[derive(Clone, Debug)]
struct WaitingNotice {
    notice: Arc<Notice>,
    /// When it is given up.
    until: Monotonic,
}

/// Since when the receiver cannot be told, and why.
#[derive(Clone, Debug)]
struct LineTrouble {
    since: DateTime<Utc>,
    why: String,
    answer: String,
    untold: u64,
}

impl ReceiverLine {
    /// Starts the thread of a receiver.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn start(receiver: &Receiver, around: &LineContext) -> std::io::Result<Arc<ReceiverLine>> {
        let line = Arc::new(ReceiverLine {
            name: Arc::clone(&receiver.name),
            around: around.clone(),
            state: Mutex::new(LineState {
                receiver: Arc::new(receiver.clone()),
                queue: VecDeque::new(),
                rate: RateWindow::default(),
                ending: None,
                is_removed: false,
                trouble: None,
                said_full: false,
                left: 0,
                ended: false,
            }),
            work: Condvar::new(),
            over: Condvar::new(),
        });
        let its = Arc::clone(&line);
        thread::Builder::new()
            .name(format!("tell-{}", receiver.name))
            .spawn(move || its.run())?;
        Ok(line)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn receiver(&self) -> Arc<Receiver> {
        Arc::clone(&self.lock().receiver)
    }

    /// Puts other settings in force, also for what waits.
    pub(super) fn change(&self, receiver: &Receiver) {
        let mut state = self.lock();
        if *state.receiver != *receiver {
            state.receiver = Arc::new(receiver.clone());
            self.work.notify_all();
        }
    }

    /// Hands a notice in. Never waits.
    pub(super) fn push(&self, notice: &Arc<Notice>) {
        let now = self.around.clock.now();
        let mut state = self.lock();
        if state.ending.is_some() {
            self.lost(&mut state, 1);
            return;
        }
        let (most, queue, give_up) = (state.receiver.rate, state.receiver.queue, state.receiver.give_up);
        if !state.rate.admits(now, most, (notice.kind, notice.severity)) {
            self.count(&state, NoticeResult::Collected, 1);
            // The thread has to know when the minute is over.
            self.work.notify_all();
            return;
        }
        if state.queue.len() >= queue {
            if !std::mem::replace(&mut state.said_full, true) {
                tracing::warn!(
                    receiver = &*self.name,
                    queue,
                    "the queue of notifications is full: more are dropped"
                );
            }
            self.lost(&mut state, 1);
            return;
        }
        state.queue.push_back(WaitingNotice {
            notice: Arc::clone(notice),
            until: now.plus(give_up),
        });
        self.work.notify_all();
    }

    /// Begins the end: what waits is tried once more until `deadline`, and the rest is dropped. `is_removed` if a reload has taken the
    /// receiver out.
    pub(super) fn end(&self, deadline: Monotonic, is_removed: bool) {
        let mut state = self.lock();
        state.ending = Some(deadline);
        state.is_removed |= is_removed;
        self.work.notify_all();
    }

    /// Waits until the thread has ended, no longer than `within`; returns how many notices were never sent.
    pub(super) fn ended(&self, within: Duration) -> u64 {
        let state = self.lock();
        let waited = self.over.wait_timeout_while(state, within, |state| !state.ended);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            // What is being sent may still arrive, and counts as not sent.
            let waits = state.queue.len() as u64 + 1;
            state.queue.clear();
            self.lost(&mut state, waits);
        }
        state.left
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut not_before = None;
        while let Some(waiting) = self.next() {
            not_before = self.deliver(&waiting, not_before);
        }
        let mut state = self.lock();
        state.ended = true;
        if state.is_removed {
            let dropped = state.left;
            tracing::info!(
                receiver = &*self.name,
                dropped,
                "a receiver that was taken out gets no more notifications"
            );
        }
        self.over.notify_all();
    }

    /// The next notice; `None` at the end.
    fn next(&self) -> Option<WaitingNotice> {
        let mut state = self.lock();
        loop {
            let now = self.around.clock.now();
            if state.ending.is_some_and(|deadline| now >= deadline) {
                let waits = state.queue.len() as u64;
                state.queue.clear();
                self.lost(&mut state, waits);
                return None;
            }
            let due = state.rate.due();
            if due.is_some_and(|due| now >= due || state.ending.is_some()) {
                let collected = state.rate.take(now);
                let (host, dry_run) = (&self.around.host, self.around.dry_run);
                let notice = Noticer::collected((host, dry_run), self.around.clock.utc(), collected);
                return Some(WaitingNotice {
                    notice: Arc::new(notice),
                    until: now.plus(state.receiver.give_up),
                });
            }
            if let Some(waiting) = state.queue.pop_front() {
                return Some(waiting);
            }
            state.said_full = false;
            if state.ending.is_some() {
                return None;
            }
            let pause = due.map_or(IDLE, |due| due.since(now)).min(IDLE);
            state = self.wait(state, pause);
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, LineState>, pause: Duration) -> MutexGuard<'a, LineState> {
        let waited = self.work.wait_timeout(state, pause);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Sends one notice, with as many attempts as its time permits; returns before when the receiver wants no other.
    fn deliver(&self, waiting: &WaitingNotice, mut not_before: Option<Monotonic>) -> Option<Monotonic> {
        let mut pause = FIRST_WAIT;
        loop {
            if let Some(until) = not_before
                && !self.waits_until(until, waiting.until)
            {
                self.told(Err(NoticeResult::Failed), None);
                return not_before;
            }
            let Some((receiver, limit)) = self.attempt_now(waiting) else {
                self.told(Err(NoticeResult::Failed), None);
                return not_before;
            };
            let failure = match self.attempt(&receiver, &waiting.notice, limit) {
                Ok(()) => {
                    self.told(Ok(()), None);
                    return None;
                }
                Err(failure) => failure,
            };
            let now = self.around.clock.now();
            if !failure.may_pass {
                self.told(Err(NoticeResult::Refused), Some(&failure));
                return None;
            }
            self.fails(&failure);
            not_before = Some(now.plus(failure.again_in.unwrap_or(Duration::ZERO).max(pause)));
            pause = (pause * 2).min(LONGEST_WAIT);
            if self.lock().ending.is_some() {
                self.told(Err(NoticeResult::Dropped), None);
                return not_before;
            }
        }
    }

    /// The settings in force and the time for an attempt, if there is any.
    fn attempt_now(&self, waiting: &WaitingNotice) -> Option<(Arc<Receiver>, Duration)> {
        let now = self.around.clock.now();
        let state = self.lock();
        let left = waiting.until.since(now);
        let left = state.ending.map_or(left, |deadline| left.min(deadline.since(now)));
        let limit = state.receiver.timeout.min(left);
        (!limit.is_zero()).then(|| (Arc::clone(&state.receiver), limit))
    }

    fn attempt(&self, receiver: &Receiver, notice: &Notice, limit: Duration) -> Result<(), NoticeFailure> {
        let is_over = || {
            let now = self.around.clock.now();
            self.lock().ending.is_some_and(|deadline| now >= deadline)
        };
        // A fault in here must not end the telling for good.
        let tried = catch_unwind(AssertUnwindSafe(|| {
            attempt((receiver, &self.around.programs), notice, limit, &is_over)
        }));
        match tried {
            Ok(tried) => tried.map(|_| ()),
            Err(_) => Err(NoticeFailure::lasting("a fault in orareaper itself; the log has it")),
        }
    }

    /// Waits for the next attempt; `false` if there is none before the notice is given up, or before the end. Where a reload has changed
    /// the receiver, what was asked by the one before does not hold.
    fn waits_until(&self, until: Monotonic, given_up: Monotonic) -> bool {
        let mut state = self.lock();
        let before = Arc::clone(&state.receiver);
        loop {
            let now = self.around.clock.now();
            if now >= until || !Arc::ptr_eq(&before, &state.receiver) {
                return true;
            }
            if now >= given_up || state.ending.is_some() {
                return false;
            }
            // Whoever may not be asked before the notice is given up will not be asked for it.
            let pause = until.min(given_up).since(now);
            state = self.wait(state, pause);
        }
    }

    /// Says once of each kind of trouble that there is one; the page shows it from the first failed attempt on.
    fn fails(&self, failure: &NoticeFailure) {
        let why = failure.why.as_str();
        let mut state = self.lock();
        let at = self.around.clock.utc();
        match &mut state.trouble {
            Some(trouble) if trouble.why == why => return,
            Some(trouble) => {
                (trouble.why, trouble.answer) = (failure.why.clone(), failure.answer.clone());
            }
            none @ None => {
                *none = Some(LineTrouble {
                    since: at,
                    why: why.to_owned(),
                    answer: failure.answer.clone(),
                    untold: 0,
                });
            }
        }
        let error = failure.to_string();
        tracing::warn!(receiver = &*self.name, error, "notifications cannot be sent");
        self.show(&state);
    }

    /// Counts what came of a notice.
    fn told(&self, result: Result<(), NoticeResult>, failure: Option<&NoticeFailure>) {
        if let Some(failure) = failure {
            self.fails(failure);
        }
        let mut state = self.lock();
        match result {
            Ok(()) => {
                self.count(&state, NoticeResult::Sent, 1);
                if let Some(trouble) = state.trouble.take() {
                    let untold = trouble.untold;
                    tracing::info!(receiver = &*self.name, untold, "notifications are sent again");
                    self.show(&state);
                }
            }
            Err(NoticeResult::Dropped) => self.lost(&mut state, 1),
            Err(result) => {
                self.count(&state, result, 1);
                state.left += u64::from(state.ending.is_some());
                self.untold(&mut state, 1);
            }
        }
    }

    /// Counts notices that are dropped.
    fn lost(&self, state: &mut LineState, count: u64) {
        self.count(state, NoticeResult::Dropped, count);
        if state.ending.is_some() {
            state.left += count;
        }
        self.untold(state, count);
    }

    fn untold(&self, state: &mut LineState, count: u64) {
        if let Some(trouble) = &mut state.trouble {
            trouble.untold += count;
            self.show(state);
        }
    }

    fn count(&self, state: &LineState, result: NoticeResult, count: u64) {
        if !state.is_removed && count > 0 {
            self.around.metrics.notified(&self.name, result, count);
        }
    }

    /// The line on the status page.
    fn show(&self, state: &LineState) {
        if state.is_removed {
            return;
        }
        let mut status = self.around.status.write();
        match &state.trouble {
            None => {
                status.untold.remove(&self.name);
            }
            Some(LineTrouble {
                since,
                why,
                answer,
                untold,
            }) => {
                let since = iso(*since);
                let colon = if answer.is_empty() { "" } else { ": " };
                let line = format!("since {since}: {why}{colon}{answer}; not sent: {untold}");
                status.untold.insert(Arc::clone(&self.name), line);
            }
        }
    }
}
