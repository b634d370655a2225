//! Calls of a driver on threads that may be lost to it.
//!
//! The thin driver decodes what a server sends without looking whether it can be so, and panics where it cannot. That would be
//! caught, but on its way out it panics again in a destructor (a statement that is dropped takes the lock which the first panic
//! has poisoned), and a panic during a panic ends the whole process. So each call runs on a thread of its own, and the hook
//! that is called before any panic goes on stops that thread there, for ever, at its second one. Such an answer costs a thread,
//! a descriptor and some memory; waiting between attempts keeps them few.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Once};
use std::thread;

use crate::oracle::error::{Class, Error};
use crate::oracle::row::RowBuffer;

/// Rows that are handed over at a time.
pub(super) const CHUNK: usize = 500;

/// What a call says while it runs.
enum Said<T> {
    Rows(Vec<RowBuffer>),
    Done(Result<T, Box<dyn Any + Send>>),
    /// Its thread has stopped in the middle of a second panic.
    Lost,
}

/// Where a call hands its rows over.
pub(super) struct Rows<T> {
    said: SyncSender<Said<T>>,
    /// Nobody wants more.
    enough: Arc<AtomicBool>,
}

impl<T> Rows<T> {
    /// Whether anybody still wants more.
    pub(super) fn hand_over(&self, rows: Vec<RowBuffer>) -> bool {
        !self.enough.load(Ordering::Relaxed) && self.said.send(Said::Rows(rows)).is_ok()
    }
}

/// What has to be said when the thread that this is on is lost.
type LastWords = Box<dyn Fn()>;

thread_local! {
    /// On a thread of a call: how many panics there were, and its last words.
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

/// Runs a call and gives its rows to `take`, for as long as that wants them.
///
/// # Errors
/// [`Class::Reconnect`] where the call's thread was lost, or there was none to be had.
///
/// # Panics
/// As the call does.
pub(super) fn run<T: Send + 'static>(
    tried: &str,
    call: impl FnOnce(&Rows<Result<T, Error>>) -> Result<T, Error> + Send + 'static,
    take: &mut dyn FnMut(Vec<RowBuffer>) -> bool,
) -> Result<T, Error> {
    watch_panics();
    let (said, heard) = sync_channel::<Said<Result<T, Error>>>(2);
    let enough = Arc::new(AtomicBool::new(false));
    let its_enough = Arc::clone(&enough);
    let spawned = thread::Builder::new().name("call".to_owned()).spawn(move || {
        let last = said.clone();
        // Nobody listens any more only where nobody waits for it.
        let last_words: LastWords = Box::new(move || drop(last.send(Said::Lost)));
        CALL.set(Some((0, last_words)));
        let rows = Rows {
            said,
            enough: its_enough,
        };
        let done = catch_unwind(AssertUnwindSafe(|| call(&rows)));
        CALL.set(None);
        drop(rows.said.send(Said::Done(done)));
    });
    if let Err(error) = spawned {
        return Err(Error::new(
            Class::Reconnect,
            tried,
            format!("no thread to call on: {error}"),
        ));
    }
    listen(tried, &heard, &enough, take)
}

fn listen<T>(
    tried: &str,
    heard: &Receiver<Said<Result<T, Error>>>,
    enough: &AtomicBool,
    take: &mut dyn FnMut(Vec<RowBuffer>) -> bool,
) -> Result<T, Error> {
    for said in heard {
        match said {
            Said::Rows(rows) => {
                if !enough.load(Ordering::Relaxed) && !take(rows) {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            Said::Done(Ok(result)) => return result,
            Said::Done(Err(panic)) => resume_unwind(panic),
            Said::Lost => break,
        }
    }
    let why = "panicked over the answer, and again while it cleaned up after that";
    Err(Error::new(Class::Reconnect, tried, why))
}
