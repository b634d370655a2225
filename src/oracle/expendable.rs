//! Runs each call of a driver on a thread that may be lost.
//!
//! The thin driver decodes a server's answer without checking it, and panics over an invalid one. That alone would be caught,
//! but while the panic unwinds, a destructor panics again (dropping a statement takes the lock that the first panic has
//! poisoned), and a panic during a panic ends the whole process. So each call runs on a thread of its own, and the panic hook,
//! which runs before the unwinding, stops that thread for ever at its second panic. Such an answer costs a thread, a
//! descriptor and some memory; the waits between attempts keep them few.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use crate::oracle::deadline::Deadline;
use crate::oracle::error::{Class, Error};
use crate::oracle::row::RowBuffer;

/// How many rows are handed over at a time.
pub(super) const CHUNK: usize = 500;

/// What a call's thread sends.
enum CallMessage<T> {
    Rows(Vec<RowBuffer>),
    Done(Result<T, Box<dyn Any + Send>>),
    /// The thread has stopped at its second panic.
    Lost,
}

/// Sends a call's rows to its caller.
pub(super) struct RowSender<T> {
    said: SyncSender<CallMessage<T>>,
    /// The caller wants no more rows.
    enough: Arc<AtomicBool>,
}

impl<T> RowSender<T> {
    /// Sends rows; `false` when the caller wants no more.
    pub(super) fn hand_over(&self, rows: Vec<RowBuffer>) -> bool {
        !self.enough.load(Ordering::Relaxed) && self.said.send(CallMessage::Rows(rows)).is_ok()
    }
}

/// Runs when its thread is lost: tells the caller.
type LastWords = Box<dyn Fn()>;

thread_local! {
    /// On the thread of a call: the number of its panics, and what to run when it is lost.
    static CALL: RefCell<Option<(u32, LastWords)>> = const { RefCell::new(None) };
}

/// Stops the threads of calls at their second panic. Other threads panic as before.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            let is_second = CALL.with_borrow_mut(|call| {
                call.as_mut().is_some_and(|(panics, last_words)| {
                    *panics += 1;
                    if *panics == 2 {
                        last_words();
                    }
                    *panics >= 2
                })
            });
            if is_second {
                loop {
                    thread::park();
                }
            }
        }));
    });
}

/// How much longer than its limit a call may take: the driver breaks it off at its limit, and the server's answer to that takes
/// a round trip.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a call and gives its rows to `take` until `take` breaks.
///
/// The driver's own limit is for each read, and begins anew with each byte and once more when the call is broken off. So the caller
/// waits for no longer than the limit of the whole call and [`GRACE`]. The thread ends when the connection is dropped, which shuts
/// its socket down.
///
/// # Errors
/// [`Class::Reconnect`] if the call's thread was lost or could not be started, or if there was no answer in time.
///
/// # Panics
/// When the call panics.
pub(super) fn run<T: Send + 'static>(
    tried: &str,
    limit: Duration,
    call: impl FnOnce(&RowSender<Result<T, Error>>) -> Result<T, Error> + Send + 'static,
    take: &mut dyn FnMut(Vec<RowBuffer>) -> bool,
) -> Result<T, Error> {
    watch_panics();
    let (said, heard) = sync_channel::<CallMessage<Result<T, Error>>>(2);
    let enough = Arc::new(AtomicBool::new(false));
    let its_enough = Arc::clone(&enough);
    let spawned = thread::Builder::new().name("call".to_owned()).spawn(move || {
        let last = said.clone();
        // Sending fails only if the caller no longer waits.
        let last_words: LastWords = Box::new(move || drop(last.send(CallMessage::Lost)));
        CALL.set(Some((0, last_words)));
        let rows = RowSender {
            said,
            enough: its_enough,
        };
        let done = catch_unwind(AssertUnwindSafe(|| call(&rows)));
        CALL.set(None);
        drop(rows.said.send(CallMessage::Done(done)));
    });
    if let Err(error) = spawned {
        return Err(Error::new(
            Class::Reconnect,
            tried,
            format!("could not start a thread for the call: {error}"),
        ));
    }
    listen(
        tried,
        Deadline::begin(limit.saturating_add(GRACE)),
        &heard,
        &enough,
        take,
    )
    .map_err(|error| match error {
        Unheard::TooLate => Error::no_answer(Class::Reconnect, tried, limit),
        Unheard::Error(error) => error,
    })
}

/// Why there is no result.
enum Unheard {
    TooLate,
    Error(Error),
}

fn listen<T>(
    tried: &str,
    deadline: Deadline,
    heard: &Receiver<CallMessage<Result<T, Error>>>,
    enough: &AtomicBool,
    take: &mut dyn FnMut(Vec<RowBuffer>) -> bool,
) -> Result<T, Unheard> {
    loop {
        match heard.recv_timeout(deadline.left().unwrap_or_default()) {
            Ok(CallMessage::Rows(rows)) => {
                if !enough.load(Ordering::Relaxed) && !take(rows) {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            Ok(CallMessage::Done(Ok(result))) => return result.map_err(Unheard::Error),
            Ok(CallMessage::Done(Err(panic))) => resume_unwind(panic),
            Err(RecvTimeoutError::Timeout) => {
                enough.store(true, Ordering::Relaxed);
                return Err(Unheard::TooLate);
            }
            Ok(CallMessage::Lost) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let why = "the driver panicked over the answer, and again while it cleaned up";
    Err(Unheard::Error(Error::new(Class::Reconnect, tried, why)))
}
