//! Who is told of what happens: chats, an Alertmanager, web servers, programs.
//!
//! ```text
//! event_sink --Event--> Noticer --Notice--> filter --> queue of each receiver --> its thread --> render --> POST or program
//! ```
//!
//! What to tell ([`noticer`]) and its form ([`render`]) are pure. Telling never delays a cycle: an event is handed to queues, each
//! receiver has a thread of its own, and a full queue drops. Nothing waits for a receiver, also at the end, beyond a few seconds.
//!
//! An event is told after it is recorded: an intent is on the disk then. Whether and when a receiver hears of it decides nothing.

mod attempt;
mod failure;
mod line;
mod notice;
mod noticer;
mod program;
mod rate;
mod render;
mod web;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{Notify, Receiver};
use crate::event::Event;
use crate::metrics::Metrics;
use crate::notify::line::{LineContext, ReceiverLine};
use crate::notify::noticer::Noticer;
use crate::notify::program::RunningPrograms;
use crate::status::SharedStatus;

/// How long what waits for a receiver that a reload has taken out is still sent.
const REMOVED_WITHIN: Duration = Duration::from_secs(30);

/// Tells receivers of events. One for the whole daemon.
#[derive(Debug)]
pub struct NoticeDispatcher {
    around: LineContext,
    told: Mutex<Dispatching>,
}

#[derive(Debug)]
struct Dispatching {
    noticer: Noticer,
    lines: Vec<Arc<ReceiverLine>>,
}

impl NoticeDispatcher {
    /// Without receivers. `dry_run` if the daemon sends no statement at all.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, status: SharedStatus, dry_run: bool) -> NoticeDispatcher {
        let host = own_host();
        NoticeDispatcher {
            told: Mutex::new(Dispatching {
                noticer: Noticer::new(Arc::clone(&host), dry_run),
                lines: Vec::new(),
            }),
            around: LineContext {
                clock,
                metrics,
                status,
                host,
                dry_run,
                programs: Arc::default(),
            },
        }
    }

    /// Puts receivers in force. One that has the same name as before keeps what waits; what waits for others is sent within half a
    /// minute, and counted as dropped in the log after that.
    ///
    /// # Errors
    /// When the system has no thread to give. The receivers before that one are in force.
    pub fn receivers(&self, notify: Option<&Notify>) -> io::Result<()> {
        let wanted: &[Receiver] = notify.map_or(&[], |notify| &notify.receivers);
        let mut told = self.lock();
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut told.lines)
            .into_iter()
            .partition(|line| wanted.iter().any(|receiver| *receiver.name == *line.name()));
        let deadline = self.around.clock.now().plus(REMOVED_WITHIN);
        for line in &gone {
            line.end(deadline, true);
        }
        let names: Vec<&str> = wanted.iter().map(|receiver| &*receiver.name).collect();
        self.around.metrics.receivers(&names);
        self.around
            .status
            .write()
            .untold
            .retain(|name, _| names.contains(&&**name));
        told.lines = kept;
        for receiver in wanted {
            match told.lines.iter().find(|line| *line.name() == *receiver.name) {
                Some(line) => line.change(receiver),
                None => {
                    let line = ReceiverLine::start(receiver, &self.around)?;
                    told.lines.push(line);
                }
            }
        }
        Ok(())
    }

    /// Tells of an event whom it is for. Never waits for a receiver.
    pub(crate) fn tell(&self, event: &Event) {
        // There is one of these in every cycle, and nobody is told of it.
        if matches!(event, Event::Cycle(_)) {
            return;
        }
        let mut told = self.lock();
        let Some(notice) = told.noticer.notice(event, self.around.clock.utc()) else {
            return;
        };
        let labels = told.noticer.labels(notice.database.as_deref());
        let notice = Arc::new(notice);
        for line in &told.lines {
            if notice.passes(&line.receiver().filter, &labels) {
                line.push(&notice);
            }
        }
    }

    /// Sends what waits, no longer than this, and takes nothing more; then no program runs that was told. Returns how many were not
    /// sent.
    #[must_use]
    pub fn close(&self, within: Duration) -> u64 {
        let lines = std::mem::take(&mut self.lock().lines);
        let deadline = self.around.clock.now().plus(within);
        for line in &lines {
            line.end(deadline, false);
        }
        let left = |line: &Arc<ReceiverLine>| line.ended(deadline.since(self.around.clock.now()));
        let left = lines.iter().map(left).sum();
        // Their own threads would do it too, but may not be there any more.
        self.around.programs.end_all();
        left
    }

    fn lock(&self) -> MutexGuard<'_, Dispatching> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one clearly marked test message to a receiver, and returns what came of it, in words.
///
/// # Errors
/// Why it could not be sent, without any secret.
pub(crate) fn test(receiver: &Receiver, clock: &dyn Clock) -> Result<String, String> {
    let notice = Noticer::test(own_host(), clock.utc());
    let tried = attempt::attempt(
        (receiver, &RunningPrograms::default()),
        &notice,
        receiver.timeout,
        &|| false,
    );
    tried.map_err(|failure| failure.to_string())
}

fn own_host() -> Arc<str> {
    rustix::system::uname().nodename().to_string_lossy().into()
}
