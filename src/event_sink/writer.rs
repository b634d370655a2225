//! The thread that writes the journal, and the queue before it.
//!
//! The thread takes everything that is queued, appends it in one write and flushes once: ten databases that act in the same
//! moment wait for one flush and not for ten. The queue's lock is never held while the disk is asked, so handing a record in
//! takes no longer than a push, whatever the disk does.
//!
//! - A write that fails, fails every intent in it and behind it: their callers are told and do nothing. Everything else keeps
//!   its place and is tried again, with the next intent or a second later.
//! - An intent waits for a limited time. One that is still queued then is withdrawn; one that is being written is reported
//!   differently, because it may still reach the disk.
//! - The queue has a bound. A record that finds no room is lost and counted; an intent that finds none is refused, and so is
//!   everything once the daemon has begun to end. An outcome always finds room: there is one for each intent that was written.
//! - A journal that takes no records is reported once, when that begins. The first record that is written again says how many
//!   intents were refused and how many records were lost meanwhile.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::clock::Monotonic;
use crate::config::Retention;
use crate::event::{Event, JournalGap};
use crate::event_sink::Panel;
use crate::journal::chain::LineHash;
use crate::journal::{Journal, Tidied, line};
use crate::quantity::Elapsed;

/// The queue's limit in bytes: some thousands of records.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);

/// How often an idle journal's file is checked, so that one that was moved or cut is reported before an action needs it.
const LOOKS: Duration = Duration::from_secs(10);

/// How often the oldest file is checked against the retention.
const TIDIES: Duration = Duration::from_secs(3600);

/// Whether a record is lost where the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It is not.
    Kept,
    /// It is.
    IfAny,
}

/// Why an intent is not on the disk.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not, and will not be.
    NotWritten(io::Error),
    /// It is still being written, for an unknown time.
    NotYet(io::Error),
}

/// The handle of the writing thread.
#[derive(Debug)]
pub(super) struct JournalWriter {
    shared: Arc<Shared>,
    /// How long an intent waits; a disk that does not answer for this long is reported.
    patience: Duration,
    hand: JournalHand,
}

/// Who writes.
#[derive(Debug)]
enum JournalHand {
    /// A thread of its own.
    Thread(JoinHandle<()>),
    /// Whoever waits for an intent, a flush or the end.
    Caller(Mutex<OpenJournal>),
}

/// The journal, in the hand of whoever writes.
#[derive(Debug)]
struct OpenJournal {
    journal: Journal,
    head: Head,
}

#[derive(Debug)]
struct Shared {
    panel: Arc<Panel>,
    queue: Mutex<JournalQueue>,
    /// There is something to do.
    work: Condvar,
    /// A write has come to its end, or the thread has.
    turned: Condvar,
}

#[derive(Debug, Default)]
struct JournalQueue {
    waiting: VecDeque<JournalItem>,
    /// The bytes of the waiting records and of those that are being written.
    bytes: usize,
    /// How many were ever handed in.
    handed_in: u64,
    /// The number of the first record that is being written, and how many are.
    writing: Option<(u64, usize)>,
    /// Since when the disk has been busy with a write, if it is.
    asked: Option<Monotonic>,
    trouble: Option<JournalTrouble>,
    /// Somebody wants what failed to be tried again now, and not only after the usual pause.
    is_pressed: bool,
    kept: Retention,
    /// When to check the retention next; `None`: now.
    tidies: Option<Monotonic>,
    closing: bool,
    ended: bool,
}

#[derive(Debug)]
struct JournalItem {
    number: u64,
    line: Vec<u8>,
    /// Who waits for it: an intent's caller.
    caller: Option<SyncSender<io::Result<()>>>,
}

/// What has been wrong since the journal last took a record.
#[derive(Debug)]
struct JournalTrouble {
    since: DateTime<Utc>,
    error: String,
    refused: u64,
    lost: u64,
}

/// What the thread is to do next.
#[derive(Debug)]
enum Turn {
    /// Write these records; after trouble, with the record that ends it.
    Write(Vec<JournalItem>),
    /// Look whether the file is as it was left.
    Look,
    /// Check the oldest file against the retention.
    Tidy(Retention),
    End,
}

/// What to do next, the trouble that there is, and whether the end has begun.
type NextTurn = (Turn, Option<JournalGap>, bool);

impl OpenJournal {
    fn new(journal: Journal) -> OpenJournal {
        let head = Head::default();
        OpenJournal { journal, head }
    }
}

impl JournalWriter {
    pub(super) fn start(journal: Journal, panel: Arc<Panel>, patience: Duration) -> io::Result<JournalWriter> {
        let shared = Shared::new(panel);
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || its.run(OpenJournal::new(journal)))?;
        let hand = JournalHand::Thread(thread);
        Ok(JournalWriter { shared, patience, hand })
    }

    /// One without a thread: what is handed in is written when somebody waits for it.
    pub(super) fn without_a_thread(journal: Journal, panel: Arc<Panel>, patience: Duration) -> JournalWriter {
        JournalWriter {
            shared: Shared::new(panel),
            patience,
            hand: JournalHand::Caller(Mutex::new(OpenJournal::new(journal))),
        }
    }

    /// Writes all that waits, where there is no thread that does; `again` tries what failed before.
    fn turn(&self, again: bool) {
        let JournalHand::Caller(open) = &self.hand else { return };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waited = again && self.shared.lock().trouble.is_some();
        while let Some(next) = self.shared.next(waited) {
            if self.shared.turn(&mut open, next).is_break() {
                self.shared.ended();
                return;
            }
            waited = false;
        }
    }

    /// Sets what is kept.
    pub(super) fn keep(&self, kept: Retention) {
        let mut queue = self.shared.lock();
        if queue.kept != kept {
            (queue.kept, queue.tidies) = (kept, None);
            self.shared.work.notify_one();
        }
    }

    /// Hands a record in. Does not wait.
    pub(super) fn write(&self, line: Vec<u8>, room: Room) {
        let mut queue = self.shared.lock();
        if let Err(error) = queue.push(line, None, room) {
            self.shared.lost(queue, &error);
        } else if queue.trouble.is_none() {
            self.shared.work.notify_one();
        }
    }

    /// Counts a record that cannot be written as lost.
    pub(super) fn lose(&self, error: &io::Error) {
        self.shared.lost(self.shared.lock(), error);
    }

    /// Queues an intent and waits until it is on the disk.
    pub(super) fn write_and_wait(&self, line: Vec<u8>) -> Result<(), Refused> {
        let shared = &self.shared;
        let (told, answer) = sync_channel(1);
        let mut queue = shared.lock();
        let number = match queue.push(line, Some(told), Room::IfAny) {
            Ok(number) => number,
            Err(error) => {
                shared.refused(queue, &error);
                return Err(Refused::NotWritten(error));
            }
        };
        shared.work.notify_one();
        drop(queue);
        self.turn(false);
        match answer.recv_timeout(self.patience) {
            Ok(written) => return written.map_err(Refused::NotWritten),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let error = io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "the intent was not on the disk within {}: nothing was sent",
                Elapsed(self.patience)
            ),
        );
        let mut queue = shared.lock();
        if queue.take_back(number) {
            shared.refused(queue, &error);
            return Err(Refused::NotWritten(error));
        }
        // Its answer may have come in this moment.
        match answer.try_recv() {
            Ok(written) => written.map_err(Refused::NotWritten),
            Err(_) => {
                shared.refused(queue, &error);
                Err(Refused::NotYet(error))
            }
        }
    }

    /// A disk that does not answer fails no write, so the time of the current write is watched here.
    pub(super) fn tell_if_stuck(&self) {
        let queue = self.shared.lock();
        let taken = queue.asked.map(|since| self.shared.panel.clock.now().since(since));
        if let Some(taken) = taken.filter(|taken| *taken > self.patience) {
            let error = format!("the disk has not answered for {}", Elapsed(taken));
            drop(self.shared.in_trouble(queue, &error));
        }
    }

    pub(super) fn flush(&self, within: Duration) -> bool {
        self.turn(true);
        let mut queue = self.shared.lock();
        let wanted = queue.handed_in;
        queue.is_pressed = queue.trouble.is_some() && matches!(self.hand, JournalHand::Thread(_));
        self.shared.work.notify_one();
        let is_out = |queue: &JournalQueue| queue.oldest().is_some_and(|oldest| oldest <= wanted);
        // What has just failed is tried again only after a pause, for which nobody waits here.
        let has_failed = |queue: &JournalQueue| queue.trouble.is_some() && !queue.is_pressed && queue.writing.is_none();
        let waits = |queue: &mut JournalQueue| is_out(queue) && !queue.ended && !has_failed(queue);
        let waited = self.shared.turned.wait_timeout_while(queue, within, waits);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !is_out(&queue)
    }

    pub(super) fn close(&self, within: Duration) -> Result<(), String> {
        let mut queue = self.shared.lock();
        queue.closing = true;
        self.shared.work.notify_one();
        drop(queue);
        self.turn(true);
        let queue = self.shared.lock();
        let waited = self
            .shared
            .turned
            .wait_timeout_while(queue, within, |queue: &mut JournalQueue| !queue.ended);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let unwritten = queue.waiting.len() + queue.writing.map_or(0, |(_, count)| count);
        if unwritten == 0 {
            return Ok(());
        }
        let why = match &queue.trouble {
            Some(trouble) => trouble.error.clone(),
            None => format!("the disk did not answer within {}", Elapsed(within)),
        };
        Err(format!("{unwritten} records of the journal were not written: {why}"))
    }

    /// How many records wait, without those that are being written.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.shared.lock().closing
    }

    pub(super) fn runs(&self) -> bool {
        match &self.hand {
            JournalHand::Thread(thread) => !thread.is_finished(),
            JournalHand::Caller(_) => true,
        }
    }
}

impl JournalQueue {
    fn push(&mut self, line: Vec<u8>, caller: Option<SyncSender<io::Result<()>>>, room: Room) -> io::Result<u64> {
        if self.closing {
            return Err(io::Error::other("the daemon ends and takes no more records"));
        }
        let bytes = self.bytes.saturating_add(line.len());
        if bytes > MOST_BYTES && room == Room::IfAny {
            let full = format!(
                "{} bytes of records wait for the disk, and there is no room for more",
                self.bytes
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, full));
        }
        self.bytes = bytes;
        self.handed_in += 1;
        let number = self.handed_in;
        self.waiting.push_back(JournalItem { number, line, caller });
        Ok(number)
    }

    /// Whether it was still there.
    fn take_back(&mut self, number: u64) -> bool {
        let Some(at) = self.waiting.iter().position(|item| item.number == number) else {
            return false;
        };
        let item = self.waiting.remove(at).expect("it was just found");
        self.bytes -= item.line.len();
        true
    }

    /// The number of the oldest record that is not written: failed records keep their place before later ones.
    fn oldest(&self) -> Option<u64> {
        let writing = self.writing.map(|(first, _)| first);
        writing.or_else(|| self.waiting.front().map(|item| item.number))
    }

    fn next(&mut self, waited: bool, now: Monotonic) -> Option<Turn> {
        let has_intent = || self.waiting.iter().any(|item| item.caller.is_some());
        match (&self.trouble, self.waiting.is_empty()) {
            (None, true) if self.closing => return Some(Turn::End),
            (None, true) if self.tidies.is_none_or(|at| now >= at) => {
                self.tidies = Some(now.plus(TIDIES));
                return Some(Turn::Tidy(self.kept));
            }
            (None, true) if waited => return Some(Turn::Look),
            (None, true) => return None,
            (Some(_), _) if !(waited || self.closing || has_intent()) => return None,
            (None, false) | (Some(_), _) => {}
        }
        self.writing = self.waiting.front().map(|first| (first.number, self.waiting.len()));
        Some(Turn::Write(self.waiting.drain(..).collect()))
    }

    fn begin(&mut self, waited: bool, now: Monotonic) -> Option<NextTurn> {
        let pressed = std::mem::take(&mut self.is_pressed);
        let turn = self.next(waited || pressed, now)?;
        self.asked = Some(now);
        Some((turn, self.gap(), self.closing))
    }

    fn gap(&self) -> Option<JournalGap> {
        self.trouble.as_ref().map(|trouble| JournalGap {
            since: trouble.since,
            error: trouble.error.clone(),
            refused: trouble.refused,
            lost: trouble.lost,
        })
    }

    /// Takes the trouble that this record ends. Records that were refused or lost while it was being written count for the next one.
    fn is_told(&mut self, gap: &JournalGap) {
        self.trouble = self.trouble.take().and_then(|mut trouble| {
            trouble.refused -= gap.refused;
            trouble.lost -= gap.lost;
            (trouble.refused + trouble.lost > 0).then_some(trouble)
        });
    }
}

/// The hash of the last record, to be kept elsewhere.
#[derive(Debug, Default)]
struct Head {
    told: Option<NaiveDate>,
    shown: Option<LineHash>,
}

impl Head {
    /// On the page always, in the log once a day.
    fn tell(&mut self, shared: &Shared, journal: &Journal) {
        let (head, at) = (journal.head(), shared.panel.clock.utc());
        if self.shown != Some(head) {
            shared.panel.status.write().journal_head = Some((head.to_string(), at));
            self.shown = Some(head);
        }
        if self.told != Some(at.date_naive()) {
            tracing::info!(head = head.to_string(), "the journal is written");
            self.told = Some(at.date_naive());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, JournalQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new(panel: Arc<Panel>) -> Arc<Shared> {
        Arc::new(Shared {
            panel,
            queue: Mutex::default(),
            work: Condvar::new(),
            turned: Condvar::new(),
        })
    }

    fn run(&self, mut open: OpenJournal) {
        open.head.tell(self, &open.journal);
        while self.turn(&mut open, self.wait()).is_continue() {}
        tracing::info!(head = open.journal.head().to_string(), "the journal is closed");
        // Whoever waits for the end may open the folder anew.
        drop(open);
        self.ended();
    }

    fn ended(&self) {
        self.lock().ended = true;
        self.turned.notify_all();
    }

    /// Does one thing; `Break` at the end.
    fn turn(&self, OpenJournal { journal, head }: &mut OpenJournal, next: NextTurn) -> ControlFlow<()> {
        let (turn, since, closing) = next;
        let (items, written) = match turn {
            Turn::End => return ControlFlow::Break(()),
            Turn::Look => (Vec::new(), journal.make_sure()),
            Turn::Tidy(kept) => (Vec::new(), self.tidy(journal, &kept)),
            Turn::Write(items) => {
                let written = self.write(journal, &items, since);
                (items, written)
            }
        };
        let failed = written.is_err();
        head.tell(self, journal);
        match written {
            Ok(()) => self.written(items),
            Err(error) => self.not_written(items, &error),
        }
        if failed && closing {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// What there is to do now, if anything.
    fn next(&self, waited: bool) -> Option<NextTurn> {
        self.lock().begin(waited, self.panel.clock.now())
    }

    /// What to do next; the trouble that there is, and whether the end has begun.
    fn wait(&self) -> NextTurn {
        let mut queue = self.lock();
        let mut waited = false;
        loop {
            if let Some(next) = queue.begin(waited, self.panel.clock.now()) {
                return next;
            }
            let pause = if queue.trouble.is_some() { AGAIN } else { LOOKS };
            let (again, timeout) = self
                .work
                .wait_timeout(queue, pause)
                .unwrap_or_else(PoisonError::into_inner);
            (queue, waited) = (again, timeout.timed_out());
        }
    }

    /// Only this function accesses the disk, and it holds no lock meanwhile.
    fn write(&self, journal: &mut Journal, items: &[JournalItem], gap: Option<JournalGap>) -> io::Result<()> {
        let mut lines: Vec<u8> = items.iter().flat_map(|item| &item.line).copied().collect();
        let Some(gap) = gap else {
            return journal.append_lines(&lines);
        };
        let again = Event::JournalAgain(gap.clone());
        lines.extend(line(&again, self.panel.clock.utc())?.expect("it is journalled"));
        journal.append_lines(&lines)?;
        self.lock().is_told(&gap);
        self.panel.show(&again);
        Ok(())
    }

    /// Trouble with old files is reported, and does not stop new records; whether those can be written is checked in any case.
    fn tidy(&self, journal: &mut Journal, kept: &Retention) -> io::Result<()> {
        match journal.tidy(kept, self.panel.clock.utc()) {
            Ok(Tidied::Nothing) => {}
            Ok(Tidied::Stays(why)) => tracing::warn!(reason = why, "a file of the journal is not deleted yet"),
            Ok(Tidied::Deleted { event, is_too_large }) => {
                self.panel.show(&event);
                if is_too_large {
                    // There may be more.
                    self.lock().tidies = None;
                }
            }
            Err(error) => {
                tracing::warn!(error = error.to_string(), "no old file of the journal is deleted");
            }
        }
        journal.make_sure()
    }

    fn written(&self, items: Vec<JournalItem>) {
        let mut queue = self.lock();
        (queue.asked, queue.writing) = (None, None);
        for item in items {
            queue.bytes -= item.line.len();
            if let Some(caller) = item.caller {
                // The caller may have stopped waiting.
                let _ = caller.try_send(Ok(()));
            }
        }
        drop(queue);
        self.turned.notify_all();
    }

    /// Intents fail, everything else is tried again.
    fn not_written(&self, items: Vec<JournalItem>, error: &io::Error) {
        let mut queue = self.in_trouble(self.lock(), &error.to_string());
        (queue.asked, queue.writing) = (None, None);
        let behind = std::mem::take(&mut queue.waiting);
        let (intents, others): (Vec<JournalItem>, Vec<JournalItem>) =
            items.into_iter().chain(behind).partition(|item| item.caller.is_some());
        queue.waiting = others.into();
        for intent in intents {
            queue.bytes -= intent.line.len();
            if let (Some(caller), Some(trouble)) = (&intent.caller, &mut queue.trouble) {
                trouble.refused += 1;
                let again = io::Error::new(error.kind(), error.to_string());
                let _ = caller.try_send(Err(again));
            }
        }
        drop(queue);
        self.turned.notify_all();
    }

    /// Reports once that the journal takes no records, and counts each failure.
    fn in_trouble<'a>(&'a self, mut queue: MutexGuard<'a, JournalQueue>, error: &str) -> MutexGuard<'a, JournalQueue> {
        self.panel.metrics.journal_failed();
        match &mut queue.trouble {
            Some(trouble) if trouble.error == error => {}
            Some(trouble) => {
                error.clone_into(&mut trouble.error);
                self.panel.status.write().journal_error = Some(error.to_owned());
            }
            none @ None => {
                *none = Some(JournalTrouble {
                    since: self.panel.clock.utc(),
                    error: error.to_owned(),
                    refused: 0,
                    lost: 0,
                });
                self.panel.show(&Event::JournalFails {
                    error: error.to_owned(),
                });
            }
        }
        queue
    }

    fn refused(&self, queue: MutexGuard<'_, JournalQueue>, error: &io::Error) {
        let mut queue = self.in_trouble(queue, &error.to_string());
        queue.trouble.iter_mut().for_each(|trouble| trouble.refused += 1);
    }

    fn lost(&self, queue: MutexGuard<'_, JournalQueue>, error: &io::Error) {
        let mut queue = self.in_trouble(queue, &error.to_string());
        queue.trouble.iter_mut().for_each(|trouble| trouble.lost += 1);
    }
}
