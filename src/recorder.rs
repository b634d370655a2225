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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::decide::outcome::Outcome;
    use crate::journal::FILE_BYTES;
    use crate::journal::tests::{Tape, intent, outcome};

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::at("2026-11-22T11:00:00Z".parse().expect("a time")))
    }

    struct Desk {
        tape: Tape,
        metrics: Arc<Metrics>,
        status: SharedStatus,
        recorder: Recorder,
    }

    fn desk() -> Desk {
        let tape = Tape::default();
        let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
        let journal = Journal::on(Box::new(tape.clone()), FILE_BYTES);
        let recorder = Recorder::on(journal, 1, clock(), Arc::clone(&metrics), status.clone());
        Desk {
            tape,
            metrics,
            status,
            recorder,
        }
    }

    impl Desk {
        fn fail(&self, calls: &[&'static str]) {
            self.tape.fail.lock().expect("not poisoned").extend_from_slice(calls);
        }

        /// The ids of the records that are whole, with their kinds.
        fn written(&self) -> Vec<(String, u64)> {
            let bytes = self.tape.bytes.lock().expect("not poisoned");
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            let json = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).expect("a whole record"));
            json.map(|json| {
                let kind = json["kind"].as_str().expect("a kind").to_owned();
                (kind, json["id"].as_u64().expect("a number"))
            })
            .collect()
        }
    }

    #[test]
    fn an_event_reaches_journal_metrics_and_status() {
        let desk = desk();
        let one = intent(desk.recorder.next_id(), 287, crate::decide::in_force::RunMode::Enforce);
        desk.recorder.record_intent(&one).expect("is on the disk");
        assert_eq!(desk.written(), [("intent".to_owned(), 1)]);
        desk.recorder.record(&outcome(&one, Outcome::Marked));
        assert_eq!(desk.written().len(), 2);
        let counted = r#"orareaper_actions_total{action="kill immediate",database="prod",inst_id="1",mode="enforce",outcome="marked",policy="idle"} 1"#;
        assert!(desk.metrics.text().contains(counted), "{}", desk.metrics.text());
        assert_eq!(desk.status.read().recent[0].outcomed.outcome, Outcome::Marked);
        assert_eq!(desk.recorder.next_id(), 2);
    }

    #[test]
    fn an_intent_that_is_not_on_the_disk_is_an_error_and_not_written_later() {
        let desk = desk();
        desk.fail(&["append"]);
        let one = intent(desk.recorder.next_id(), 287, crate::decide::in_force::RunMode::Enforce);
        let error = desk.recorder.record_intent(&one).expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(desk.metrics.text().contains("orareaper_journal_errors_total 1\n"));
        assert!(desk.status.read().journal_error.is_some());
        let two = intent(desk.recorder.next_id(), 288, crate::decide::in_force::RunMode::Enforce);
        desk.recorder.record_intent(&two).expect("there is room again");
        assert_eq!(
            desk.written(),
            [("intent".to_owned(), 2)],
            "nothing was done about the first"
        );
        assert_eq!(desk.status.read().journal_error, None);
    }

    #[test]
    fn an_outcome_waits_for_the_disk_and_goes_before_the_next_intent() {
        let desk = desk();
        let one = intent(desk.recorder.next_id(), 287, crate::decide::in_force::RunMode::Enforce);
        desk.recorder.record_intent(&one).expect("is on the disk");
        desk.fail(&["append"]);
        desk.recorder.record(&outcome(&one, Outcome::Done));
        assert_eq!(desk.status.read().recent.len(), 1, "it is shown all the same");
        let two = intent(desk.recorder.next_id(), 288, crate::decide::in_force::RunMode::Enforce);
        // The outcome still finds no room: then there is none for an intent either.
        desk.fail(&["cut"]);
        desk.recorder.record_intent(&two).expect_err("still full");
        desk.recorder.record_intent(&two).expect("there is room again");
        let expected = [("intent", 1), ("outcome", 1), ("intent", 2)];
        assert_eq!(desk.written(), expected.map(|(kind, id)| (kind.to_owned(), id)));
    }

    #[test]
    fn only_so_many_records_wait() {
        let desk = desk();
        let one = intent(1, 287, crate::decide::in_force::RunMode::Enforce);
        desk.fail(&["append"]);
        desk.fail(&vec!["cut"; MOST_WAITING + 5]);
        for _ in 0..MOST_WAITING + 6 {
            desk.recorder.record(&outcome(&one, Outcome::Done));
        }
        assert_eq!(
            desk.recorder.writing.lock().expect("not poisoned").waiting.len(),
            MOST_WAITING
        );
    }

    #[test]
    fn what_a_crash_left_open_is_ended_once() {
        let state = tempfile::tempdir().expect("a folder");
        let open = || {
            let metrics = Arc::new(Metrics::new());
            Recorder::open(state.path(), clock(), metrics, SharedStatus::default()).expect("opens")
        };
        let (recorder, history) = open();
        assert_eq!(history.actions.len(), 0);
        let one = intent(recorder.next_id(), 287, crate::decide::in_force::RunMode::Enforce);
        let two = intent(recorder.next_id(), 288, crate::decide::in_force::RunMode::DryRun);
        recorder.record_intent(&one).expect("is on the disk");
        recorder.record_intent(&two).expect("is on the disk");
        drop(recorder);
        let (recorder, history) = open();
        assert_eq!(history.unfinished().map(|intent| intent.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(recorder.next_id(), 3);
        drop(recorder);
        let (_recorder, history) = open();
        assert_eq!(history.unfinished().count(), 0);
        let outcomes = history
            .actions
            .values()
            .map(|past| past.outcome.as_ref().expect("ended").outcome);
        assert_eq!(outcomes.collect::<Vec<_>>(), [Outcome::Unknown, Outcome::Assumed]);
        // Nobody knows, so both are followed until the snapshots show their end.
        assert_eq!(history.memory("prod", "here").following.iter().count(), 2);
    }
}
