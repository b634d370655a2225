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
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Once};
use std::thread;

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

/// Runs a call and gives its rows to `take` until `take` breaks.
///
/// # Errors
/// [`Class::Reconnect`] if the call's thread was lost or could not be started.
///
/// # Panics
/// When the call panics.
pub(super) fn run<T: Send + 'static>(
    tried: &str,
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
    listen(tried, &heard, &enough, take)
}

fn listen<T>(
    tried: &str,
    heard: &Receiver<CallMessage<Result<T, Error>>>,
    enough: &AtomicBool,
    take: &mut dyn FnMut(Vec<RowBuffer>) -> bool,
) -> Result<T, Error> {
    for said in heard {
        match said {
            CallMessage::Rows(rows) => {
                if !enough.load(Ordering::Relaxed) && !take(rows) {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            CallMessage::Done(Ok(result)) => return result,
            CallMessage::Done(Err(panic)) => resume_unwind(panic),
            CallMessage::Lost => break,
        }
    }
    let why = "the driver panicked over the answer, and again while it cleaned up";
    Err(Error::new(Class::Reconnect, tried, why))
}
