//! One event in; the journal's record, the log line, the metrics and the status page out.
//!
//! An intent is special: [`Recorder::record_intent`] returns only when it is on the disk, and whoever gets an error from it
//! does not act. So a full disk stops the acting, not the daemon: it goes on watching, measuring and answering `/metrics`.
//!
//! Any other record that the disk does not take is kept, up to a bound, and written before the next one, intents included:
//! order is kept, and an outcome is not lost to a disk that was full for a minute. What is lost in a crash meanwhile is an
//! outcome, and an intent without one is followed up at the next start.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::event::{Event, Evidence, Intent, Outcomed};
use crate::journal::read::{History, unwritten};
use crate::journal::{Error, Journal, line};
use crate::metrics::Metrics;
use crate::status::SharedStatus;

/// So many records wait for a disk that does not take them; then the oldest are lost.
const MOST_WAITING: usize = 1000;

/// Records events. One for the whole daemon, shared by its threads.
#[derive(Debug)]
pub struct Recorder {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    status: SharedStatus,
    writing: Mutex<Writing>,
}

#[derive(Debug)]
struct Writing {
    journal: Journal,
    next_id: u64,
    waiting: VecDeque<Vec<u8>>,
    failing: bool,
}

impl Recorder {
    /// Opens the journal of a state folder, ends what a crash has left open in it, and reports its damage.
    ///
    /// # Errors
    /// When another daemon uses the folder, or it cannot be read or written.
    pub fn open(
        state: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        status: SharedStatus,
    ) -> Result<(Recorder, History), Error> {
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
        let recorder = Recorder::on(journal, history.next_id, clock, metrics, status);
        for intent in history.unfinished() {
            recorder.record(&Event::Outcome(Outcomed {
                intent: Arc::clone(intent),
                outcome: unwritten(intent),
                code: None,
                message: Some("the daemon ended before the outcome was written".to_owned()),
                statement: None,
                session: Evidence::default(),
                took: std::time::Duration::ZERO,
            }));
        }
        Ok((recorder, history))
    }

    fn on(
        journal: Journal,
        next_id: u64,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        status: SharedStatus,
    ) -> Recorder {
        Recorder {
            clock,
            metrics,
            status,
            writing: Mutex::new(Writing {
                journal,
                next_id,
                waiting: VecDeque::new(),
                failing: false,
            }),
        }
    }

    /// A number for an action, never given twice.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let id = writing.next_id;
        writing.next_id += 1;
        id
    }

    /// Records an intent; returns when it is on the disk.
    ///
    /// # Errors
    /// When it is not. Then the action must not be taken.
    pub fn record_intent(&self, intent: &Arc<Intent>) -> io::Result<()> {
        let event = Event::Intent(Arc::clone(intent));
        let at = self.clock.utc();
        let written = {
            let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let written = line(&event, at).and_then(|line| writing.write(line));
            self.tell_journal(&mut writing, written.as_ref().err(), 0);
            written
        };
        if written.is_ok() {
            self.show(&event);
        }
        written
    }

    /// Records anything else. A journal that does not take it is told in the log, in a metric and on the status page.
    pub fn record(&self, event: &Event) {
        if let Event::Intent(intent) = event {
            // Whoever does not wait for the disk does not act either, so nothing depends on the answer here.
            let _ = self.record_intent(intent);
            return;
        }
        self.show(event);
        let at = self.clock.utc();
        let line = match line(event, at) {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
                self.tell_journal(&mut writing, Some(&error), 0);
                return;
            }
        };
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writing.write(Some(line.clone()));
        let mut lost = 0;
        if written.is_err() {
            writing.waiting.push_back(line);
            while writing.waiting.len() > MOST_WAITING {
                writing.waiting.pop_front();
                lost += 1;
            }
        }
        self.tell_journal(&mut writing, written.as_ref().err(), lost);
    }

    fn show(&self, event: &Event) {
        let at = self.clock.utc();
        event.log();
        self.metrics.count(event, at);
        self.status.write().update(event, at, self.clock.now());
    }

    fn tell_journal(&self, writing: &mut Writing, error: Option<&io::Error>, lost: usize) {
        match error {
            Some(error) => {
                self.metrics.journal_failed();
                tracing::error!(
                    error = error.to_string(),
                    waiting = writing.waiting.len(),
                    lost,
                    "the journal takes no records: nobody is acted on"
                );
                self.status.write().journal_error = Some(error.to_string());
            }
            None if writing.failing => {
                tracing::info!("the journal takes records again");
                self.status.write().journal_error = None;
            }
            None => {}
        }
        writing.failing = error.is_some();
    }
}

impl Writing {
    /// Writes what has waited, then the line.
    fn write(&mut self, line: Option<Vec<u8>>) -> io::Result<()> {
        while let Some(first) = self.waiting.front() {
            self.journal.append_line(first)?;
            self.waiting.pop_front();
        }
        line.map_or(Ok(()), |line| self.journal.append_line(&line))
    }
}
