//! One event in; the journal's record, the log line, the metrics, the status page and the notifications out.
//!
//! Log, metrics, page and the queues of receivers get an event at once. The record goes to the one thread that writes the journal ([`writer`]). Only a thread
//! that is about to act waits for it: [`EventSink::record_intent`] returns when the intent is on the disk, and after an error the
//! thread does not act. So a disk that is full, or does not answer, stops the acting and not the daemon: it goes on
//! watching, measuring and answering `/metrics`.
//!
//! Records are written in the order in which they were handed in, so an outcome is on the disk before the next intent of the same
//! thread is. What is lost in a crash meanwhile is an outcome, and an intent without one is followed up at the next start.

mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Retention;
use crate::decide::outcome::Outcome;
use crate::event::{Event, Intent, Outcomed};
use crate::event_sink::writer::{JournalWriter, Refused, Room};
use crate::journal::read::{History, unwritten};
use crate::journal::{Journal, JournalError, line};
use crate::metrics::Metrics;
use crate::notify::NoticeDispatcher;
use crate::status::SharedStatus;

/// How long a disk may take to answer. Then it is reported, and intents stop waiting: their warrants would be too old.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last records may take when the daemon ends, unless the caller says otherwise.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Records events. One for the whole daemon, shared by its threads.
#[derive(Debug)]
pub struct EventSink {
    panel: Arc<Panel>,
    next_id: AtomicU64,
    writer: JournalWriter,
}

/// Everything besides the journal that an event goes to.
#[derive(Debug)]
struct Panel {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    status: SharedStatus,
    /// Who tells receivers, where somebody does.
    notifier: OnceLock<Arc<NoticeDispatcher>>,
}

impl Panel {
    fn show(&self, event: &Event) {
        let at = self.clock.utc();
        self.metrics.count(event, at);
        self.status.write().update(event, at, self.clock.now());
        // Whoever has read it in the log finds it on the page.
        event.log();
        if let Some(notifier) = self.notifier.get() {
            notifier.tell(event);
        }
    }
}

impl EventSink {
    /// Opens the journal of a state folder, ends what a crash has left open in it, and reports its damage.
    ///
    /// # Errors
    /// When another daemon uses the folder, it cannot be read or written, or the system has no thread to give.
    pub fn open(
        state: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        status: SharedStatus,
    ) -> Result<(EventSink, History), JournalError> {
        let write = |journal, panel| JournalWriter::start(journal, panel, PATIENCE);
        EventSink::open_with(state, (clock, metrics, status), write)
    }

    /// The same without a thread that writes: records are written when somebody waits for an intent, a flush or the end. So the same
    /// calls always come to the same files.
    ///
    /// # Errors
    /// As there.
    pub fn open_without_a_thread(
        state: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        status: SharedStatus,
    ) -> Result<(EventSink, History), JournalError> {
        let write = |journal, panel| Ok(JournalWriter::without_a_thread(journal, panel, PATIENCE));
        EventSink::open_with(state, (clock, metrics, status), write)
    }

    fn open_with(
        state: &Path,
        (clock, metrics, status): (Arc<dyn Clock>, Arc<Metrics>, SharedStatus),
        write: impl FnOnce(Journal, Arc<Panel>) -> io::Result<JournalWriter>,
    ) -> Result<(EventSink, History), JournalError> {
        let (journal, history) = Journal::open(state, clock.utc())?;
        for damage in &history.damage {
            tracing::warn!(
                file = %damage.file.display(),
                line = damage.line,
                problem = damage.problem.as_str(),
                "damaged record in the journal"
            );
        }
        if history.damaged_lines > history.damage.len() {
            tracing::warn!(
                lines = history.damaged_lines,
                "damaged records in the journal, not all were told"
            );
        }
        if let Some(missing) = &history.missing {
            let check = missing.check();
            tracing::error!(
                file = %missing.place.file.display(),
                line = missing.place.line,
                problem = missing.place.problem.as_str(),
                note = check.to_string(),
                "actions may be missing in the journal"
            );
        }
        let panel = Panel {
            clock,
            metrics,
            status,
            notifier: OnceLock::new(),
        };
        let started = EventSink::on(journal, history.next_id, panel, write);
        let sink = started.map_err(JournalError::io("start a thread to write the journal in", state))?;
        for intent in history.unfinished() {
            let why = "the daemon ended before the outcome was written";
            sink.record(&Event::Outcome(Outcomed::untold(intent, unwritten(intent), why)));
        }
        Ok((sink, history))
    }

    fn on(
        journal: Journal,
        next_id: u64,
        panel: Panel,
        write: impl FnOnce(Journal, Arc<Panel>) -> io::Result<JournalWriter>,
    ) -> io::Result<EventSink> {
        let panel = Arc::new(panel);
        Ok(EventSink {
            writer: write(journal, Arc::clone(&panel))?,
            panel,
            next_id: AtomicU64::new(next_id),
        })
    }

    /// Sets who tells receivers of each event from now on; it stays the same for good.
    pub fn notify(&self, notifier: Arc<NoticeDispatcher>) {
        assert!(self.panel.notifier.set(notifier).is_ok(), "there is one notifier");
    }

    /// Sets how much of the journal is kept from now on.
    pub(crate) fn keep(&self, kept: Retention) {
        self.writer.keep(kept);
    }

    /// A number for an action, never given twice.
    #[must_use]
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Records an intent; returns when it is on the disk.
    ///
    /// # Errors
    /// When it is not. Then the action must not be taken.
    pub(crate) fn record_intent(&self, intent: &Arc<Intent>) -> io::Result<()> {
        let event = Event::Intent(Arc::clone(intent));
        let line = line(&event, self.panel.clock.utc())?.expect("an intent is journalled");
        match self.writer.write_and_wait(line) {
            Ok(()) => {
                self.panel.show(&event);
                Ok(())
            }
            Err(Refused::NotWritten(error)) => Err(error),
            // It may yet come to the disk, and must not be taken for an action then.
            Err(Refused::NotYet(error)) => {
                let revoked = Outcomed::untold(intent, Outcome::Revoked, &error.to_string());
                self.record(&Event::Outcome(revoked));
                Err(error)
            }
        }
    }

    /// Records anything else, and does not wait for the disk.
    pub(crate) fn record(&self, event: &Event) {
        self.panel.show(event);
        self.writer.tell_if_stuck();
        match line(event, self.panel.clock.utc()) {
            Ok(None) => {}
            Ok(Some(line)) => {
                // There is one for each intent, so they need no bound of their own.
                let is_outcome = matches!(event, Event::Outcome(_));
                self.writer
                    .write(line, if is_outcome { Room::Kept } else { Room::IfAny });
            }
            Err(error) => self.writer.lose(&error),
        }
    }

    /// Waits until all that was handed in before is on the disk, no longer than this; whether it is.
    #[must_use]
    pub fn flush(&self, within: Duration) -> bool {
        self.writer.flush(within)
    }

    /// Writes what is still to be written and takes nothing more, intents included.
    ///
    /// # Errors
    /// How many records were not written in time, and why.
    pub fn close(&self, within: Duration) -> Result<(), String> {
        self.writer.close(within)
    }

    /// Whether the writing thread is alive.
    #[must_use]
    pub(crate) fn runs(&self) -> bool {
        self.writer.runs()
    }
}

/// The journal's lock is free once this is gone, so that a next daemon may have the folder.
impl Drop for EventSink {
    fn drop(&mut self) {
        if !self.writer.is_closing()
            && let Err(unwritten) = self.writer.close(ENDS_WITHIN)
        {
            tracing::error!(error = unwritten, "the journal is not whole");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
