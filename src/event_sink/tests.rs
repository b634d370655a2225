//! The sink over a disk that fails, and over one that does not answer.

use std::sync::MutexGuard;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;
use crate::clock::ManualClock;
use crate::decide::in_force::RunMode;
use crate::journal::FILE_BYTES;
use crate::journal::tests::{Tape, intent, outcome};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-11-22T11:00:00Z".parse().expect("a time")))
}

/// A sink over this medium.
pub(crate) fn over(tape: &Tape) -> Arc<EventSink> {
    let panel = Panel {
        clock: clock(),
        metrics: Arc::new(Metrics::new()),
        status: SharedStatus::default(),
        notifier: OnceLock::new(),
    };
    let journal = Journal::on(Box::new(tape.clone()), FILE_BYTES);
    Arc::new(
        EventSink::on(journal, 1, panel, |journal, panel| {
            JournalWriter::start(journal, panel, PATIENCE)
        })
        .expect("a thread"),
    )
}

struct Desk {
    tape: Tape,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    status: SharedStatus,
    sink: Arc<EventSink>,
}

fn desk() -> Desk {
    patient_for(PATIENCE)
}

/// A sink whose intents wait this long.
fn patient_for(patience: Duration) -> Desk {
    let tape = Tape::default();
    let (metrics, status, clock) = (Arc::new(Metrics::new()), SharedStatus::default(), clock());
    let journal = Journal::on(Box::new(tape.clone()), FILE_BYTES);
    let panel = Panel {
        clock: Arc::<ManualClock>::clone(&clock),
        metrics: Arc::clone(&metrics),
        status: status.clone(),
        notifier: OnceLock::new(),
    };
    let sink = Arc::new(
        EventSink::on(journal, 1, panel, |journal, panel| {
            JournalWriter::start(journal, panel, patience)
        })
        .expect("a thread"),
    );
    Desk {
        tape,
        clock,
        metrics,
        status,
        sink,
    }
}

/// Waits until it is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain for {what}");
}

impl Desk {
    fn fail(&self, calls: &[&'static str]) {
        self.tape.fail.lock().expect("not poisoned").extend_from_slice(calls);
    }

    /// From here on no flush comes to its end; returns when one waits.
    fn slow(&self) -> MutexGuard<'_, ()> {
        let held = self.tape.slow.lock().expect("not poisoned");
        self.sink.record(&Event::Resumed { by: "a test".into() });
        until("the write", || self.tape.taken().contains(&"append".to_owned()));
        held
    }

    fn intend(&self, sid: u32) -> Arc<Intent> {
        intent(self.sink.next_id(), sid, RunMode::Enforce)
    }

    /// Has an intent recorded by a thread of its own, which tells what came of it.
    fn intends(&self, intent: &Arc<Intent>) -> Receiver<io::Result<()>> {
        let (told, answer) = channel();
        let (sink, intent) = (Arc::clone(&self.sink), Arc::clone(intent));
        thread::spawn(move || told.send(sink.record_intent(&intent)));
        answer
    }

    /// Waits until this many records wait for the disk.
    fn queued(&self, count: usize) {
        until("the queue", || self.sink.writer.waiting() == count);
    }

    fn flush(&self) {
        assert!(self.sink.flush(PATIENCE), "it is not on the disk");
    }

    /// What is there. Half a record at the end may be about to be cut off; there is none before it.
    fn records(&self) -> Vec<serde_json::Value> {
        let bytes = self.tape.bytes.lock().expect("not poisoned").clone();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let lines = lines.filter(|line| line.ends_with(b"\n"));
        lines
            .map(|line| serde_json::from_slice(line).expect("a whole record"))
            .collect()
    }

    /// Intents and outcomes, as they stand there.
    fn actions(&self) -> Vec<(String, u64)> {
        let with_number = |json: &serde_json::Value| Some((json["kind"].as_str()?.to_owned(), json["id"].as_u64()?));
        self.records().iter().filter_map(with_number).collect()
    }

    /// It says so after the record is on the disk: who looks at the record may be too early for the page.
    fn is_well_again(&self) {
        until("the journal to take records again", || {
            self.status.read().journal_error.is_none()
        });
    }

    fn gap(&self) -> Option<(u64, u64)> {
        let records = self.records();
        let gap = records.iter().find(|record| record["kind"] == "journal_gap")?;
        Some((gap["refused"].as_u64()?, gap["lost"].as_u64()?))
    }
}

fn actions<const COUNT: usize>(expected: [(&str, u64); COUNT]) -> [(String, u64); COUNT] {
    expected.map(|(kind, id)| (kind.to_owned(), id))
}

#[test]
fn an_event_reaches_journal_metrics_and_status() {
    let desk = desk();
    let one = desk.intend(287);
    desk.sink.record_intent(&one).expect("is on the disk");
    assert_eq!(desk.actions(), actions([("intent", 1)]));
    desk.sink.record(&outcome(&one, Outcome::Marked));
    desk.flush();
    assert_eq!(desk.actions().len(), 2);
    let counted = r#"orareaper_actions_total{action="kill immediate",database="prod",inst_id="1",mode="enforce",outcome="marked",policy="idle"} 1"#;
    assert!(desk.metrics.text().contains(counted), "{}", desk.metrics.text());
    assert_eq!(desk.status.read().recent[0].outcomed.outcome, Outcome::Marked);
    assert_eq!(desk.sink.next_id(), 2);
}

#[test]
fn a_disk_that_does_not_answer_delays_nobody_who_does_not_act() {
    let desk = desk();
    let held = desk.slow();
    let one = desk.intend(287);
    let acting = desk.intends(&one);
    desk.queued(1);
    // This thread blocks the disk: if any of these calls waited for it, the test would not end.
    let cycle = Event::Cycle(Arc::default());
    for event in [
        outcome(&one, Outcome::Done),
        cycle,
        Event::Resumed { by: "a test".into() },
    ] {
        desk.sink.record(&event);
    }
    desk.queued(3);
    acting
        .try_recv()
        .expect_err("the intent's caller waits, and nobody else");
    assert_eq!(desk.sink.next_id(), 2);
    assert_eq!(desk.status.read().recent.len(), 1, "the page does not wait");
    drop(held);
    acting
        .recv_timeout(PATIENCE)
        .expect("an answer")
        .expect("is on the disk");
    desk.flush();
    assert_eq!(
        desk.actions(),
        actions([("intent", 1), ("outcome", 1)]),
        "in the order of the calls"
    );
}

#[test]
fn intents_that_come_together_share_a_flush() {
    const ACTING: usize = 10;
    let desk = desk();
    let held = desk.slow();
    let acting: Vec<_> = (0..ACTING).map(|_| desk.intends(&desk.intend(287))).collect();
    desk.queued(ACTING);
    drop(held);
    for answer in acting {
        answer
            .recv_timeout(PATIENCE)
            .expect("an answer")
            .expect("is on the disk");
    }
    let flushes = desk.tape.taken().iter().filter(|call| *call == "sync").count();
    assert_eq!(
        flushes, 2,
        "the one that was under way, and one for all that came meanwhile"
    );
    assert_eq!(desk.actions().len(), ACTING);
}

#[test]
fn a_flush_that_fails_fails_every_intent_in_it_and_behind_it() {
    let desk = desk();
    let held = desk.slow();
    let (one, two) = (desk.intend(287), desk.intend(288));
    let first = desk.intends(&one);
    desk.queued(1);
    desk.sink.record(&outcome(&one, Outcome::Done));
    let second = desk.intends(&two);
    desk.queued(3);
    // The one under way fails, so what waits behind it is not even tried: it would have to be written after it.
    desk.fail(&["sync"]);
    drop(held);
    for refused in [first, second] {
        let error = refused
            .recv_timeout(PATIENCE)
            .expect("an answer")
            .expect_err("is not on the disk");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    desk.is_well_again();
    assert_eq!(desk.gap(), Some((2, 0)));
    assert_eq!(
        desk.actions(),
        actions([("outcome", 1)]),
        "an intent that was refused is not written later"
    );
}

#[test]
fn an_intent_that_is_not_on_the_disk_is_an_error_and_not_written_later() {
    let desk = desk();
    desk.fail(&["append"]);
    let one = desk.intend(287);
    let error = desk.sink.record_intent(&one).expect_err("the disk is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(!desk.metrics.text().contains("orareaper_journal_errors_total 0\n"));
    let two = desk.intend(288);
    desk.sink.record_intent(&two).expect("there is room again");
    assert_eq!(
        desk.actions(),
        actions([("intent", 2)]),
        "nothing was done about the first"
    );
    assert_eq!(desk.status.read().journal_error, None);
}

#[test]
fn an_outcome_waits_for_the_disk_and_goes_before_the_next_intent() {
    let desk = desk();
    let one = desk.intend(287);
    desk.sink.record_intent(&one).expect("is on the disk");
    // While the half record cannot be cut off, nothing else is written, however often it is tried.
    desk.fail(&["append"]);
    desk.fail(&["cut"; 10_000]);
    desk.sink.record(&outcome(&one, Outcome::Done));
    assert_eq!(desk.status.read().recent.len(), 1, "it is shown all the same");
    let two = desk.intend(288);
    // The outcome still finds no room: then there is none for an intent either.
    desk.sink.record_intent(&two).expect_err("still full");
    assert!(desk.status.read().journal_error.is_some());
    desk.tape.fail.lock().expect("not poisoned").clear();
    let three = desk.intend(289);
    desk.sink.record_intent(&three).expect("there is room again");
    assert_eq!(desk.actions(), actions([("intent", 1), ("outcome", 1), ("intent", 3)]));
    assert_eq!(desk.gap(), Some((1, 0)));
}

/// Nobody has to act for it to be found out.
#[test]
fn a_journal_that_is_well_again_says_so_of_itself() {
    let desk = desk();
    desk.fail(&["append"]);
    let one = desk.intend(287);
    desk.sink.record_intent(&one).expect_err("the disk is full");
    desk.is_well_again();
    assert_eq!(desk.status.read().journal_error, None);
    let record = &desk.records()[0];
    assert_eq!((&record["refused"], &record["lost"]), (&1.into(), &0.into()));
    assert!(
        record["error"].is_string() && record["since"] == "2026-11-22T11:00:00Z",
        "{record}"
    );
}

#[test]
fn what_finds_no_room_is_counted_and_an_intent_that_finds_none_is_refused() {
    let desk = desk();
    let held = desk.slow();
    let large = Event::Resumed {
        by: "x".repeat(crate::journal::RECORD_BYTES / 2),
    };
    let size = line(&large, desk.clock.utc())
        .expect("made")
        .expect("is journalled")
        .len();
    let fit = writer::MOST_BYTES / size;
    for _ in 0..fit + 3 {
        desk.sink.record(&large);
    }
    let lost = fit + 3 - desk.sink.writer.waiting() + 1;
    assert!(lost >= 4);
    // Up to half a record's room is left: it is taken by smaller ones, so that an intent finds none.
    let small = Event::Resumed { by: String::new() };
    let mut waiting = 0;
    while desk.sink.writer.waiting() > waiting {
        waiting = desk.sink.writer.waiting();
        desk.sink.record(&small);
    }
    let one = desk.intend(287);
    let error = desk.sink.record_intent(&one).expect_err("finds no room");
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    assert!(desk.status.read().journal_error.is_some());
    // An outcome is of an intent that was written, so there are few, and each finds room.
    desk.sink.record(&outcome(&one, Outcome::Done));
    drop(held);
    desk.is_well_again();
    assert_eq!(desk.gap(), Some((1, u64::try_from(lost).expect("few"))));
    assert_eq!(desk.actions(), actions([("outcome", 1)]));
}

#[test]
fn a_disk_that_never_answers_is_told_of() {
    let desk = desk();
    let held = desk.slow();
    let tell = || desk.sink.record(&Event::Cycle(Arc::default()));
    desk.clock.advance(PATIENCE);
    tell();
    assert_eq!(desk.status.read().journal_error, None, "that long it may take");
    desk.clock.advance(Duration::from_secs(1));
    tell();
    let told = desk.status.read().journal_error.clone().expect("is told");
    assert_eq!(told, "the disk has not answered for 1m 1s");
    drop(held);
    desk.is_well_again();
    assert_eq!(desk.gap(), Some((0, 0)));
    assert_eq!(desk.status.read().journal_error, None);
}

#[test]
fn an_intent_does_not_wait_for_ever() {
    let desk = patient_for(Duration::from_millis(20));
    let held = desk.slow();
    let error = desk
        .sink
        .record_intent(&desk.intend(287))
        .expect_err("is not on the disk");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    desk.queued(0);
    drop(held);
    desk.is_well_again();
    assert_eq!(desk.gap(), Some((1, 0)));
    assert_eq!(desk.actions(), actions([]), "it was taken back");
    assert_eq!(desk.status.read().journal_error, None);
}

#[test]
fn an_intent_that_comes_to_the_disk_too_late_is_no_action() {
    let desk = patient_for(Duration::from_millis(20));
    let held = desk.tape.slow.lock().expect("not poisoned");
    // One whose time is over before its writing begins is taken back, and says nothing here.
    let late = (0..1000).find_map(|_| {
        let one = desk.intend(287);
        let error = desk.sink.record_intent(&one).expect_err("is not on the disk in time");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        desk.tape.taken().contains(&"append".to_owned()).then_some(one.id)
    });
    let late = late.expect("the thread has its turn");
    drop(held);
    desk.flush();
    assert_eq!(desk.actions(), actions([("intent", late), ("outcome", late)]));
    let outcome = &desk.records()[1];
    assert_eq!(
        (&outcome["kind"], &outcome["outcome"]),
        (&"outcome".into(), &"revoked".into())
    );
}

#[test]
fn at_the_end_everything_is_written_and_nothing_more_is_taken() {
    let desk = desk();
    let held = desk.slow();
    let one = desk.intend(287);
    desk.sink.record(&outcome(&one, Outcome::Done));
    let unwritten = desk
        .sink
        .close(Duration::from_millis(10))
        .expect_err("the disk does not answer");
    assert!(
        unwritten.starts_with("2 records of the journal were not written: "),
        "{unwritten}"
    );
    desk.sink.record_intent(&desk.intend(288)).expect_err("the daemon ends");
    assert!(desk.sink.runs());
    drop(held);
    desk.sink.close(PATIENCE).expect("in time");
    assert_eq!(desk.actions(), actions([("outcome", 1)]));
    until("the thread to end", || !desk.sink.runs());
}

#[test]
fn at_the_end_a_full_disk_is_tried_once_more() {
    let desk = desk();
    let one = desk.intend(287);
    desk.fail(&["append"; 10_000]);
    desk.sink.record(&outcome(&one, Outcome::Done));
    let unwritten = desk.sink.close(PATIENCE).expect_err("the disk is full");
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert_eq!(unwritten, format!("1 records of the journal were not written: {full}"));
}

#[test]
fn what_a_crash_left_open_is_ended_once() {
    let state = tempfile::tempdir().expect("a folder");
    let open = || {
        let metrics = Arc::new(Metrics::new());
        EventSink::open(state.path(), clock(), metrics, SharedStatus::default()).expect("opens")
    };
    let (sink, history) = open();
    assert_eq!(history.actions.len(), 0);
    let one = intent(sink.next_id(), 287, RunMode::Enforce);
    let two = intent(sink.next_id(), 288, RunMode::DryRun);
    sink.record_intent(&one).expect("is on the disk");
    sink.record_intent(&two).expect("is on the disk");
    drop(sink);
    let (sink, history) = open();
    assert_eq!(history.unfinished().map(|intent| intent.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(sink.next_id(), 3);
    drop(sink);
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

#[test]
fn without_a_thread_whoever_waits_writes() {
    let state = tempfile::tempdir().expect("a folder");
    let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
    let opened = EventSink::open_without_a_thread(state.path(), clock(), metrics, status);
    let (sink, _) = opened.expect("opens");
    let lines = || {
        std::fs::read_to_string(crate::journal::file(state.path(), 0))
            .expect("a journal")
            .lines()
            .count()
    };
    let one = intent(sink.next_id(), 287, RunMode::Enforce);
    sink.record_intent(&one).expect("written");
    assert_eq!(lines(), 1, "the intent is there when it is said to be");
    sink.record(&outcome(&one, Outcome::Done));
    assert_eq!(lines(), 1, "nobody waits for an outcome");
    assert!(sink.flush(PATIENCE));
    assert_eq!(lines(), 2);
    drop(sink);
    let opened = EventSink::open(state.path(), clock(), Arc::new(Metrics::new()), SharedStatus::default());
    assert_eq!(opened.expect("the folder is free").1.actions.len(), 1);
}
