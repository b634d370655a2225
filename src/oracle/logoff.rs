//! Logging off on threads that may be given up.
//!
//! The thin driver's logoff waits without limit for a server that hangs, so it runs on a thread of its own, and the caller waits
//! only as long as it may. Then the socket is shut down (see [`crate::oracle::sockets`]), which ends the thread. At most
//! [`MAX_LOGOFFS`] hang at a time; a connection beyond that is leaked, which costs a file descriptor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::oracle::sockets::Socket;

/// Logoffs of one database that may hang at a time.
pub(super) const MAX_LOGOFFS: usize = 8;

/// A logoff that takes longer is ended by shutting its socket down.
const LOGOFF_LIMIT: Duration = Duration::from_secs(10);

/// The logoffs of a database that run now.
#[derive(Clone, Debug, Default)]
pub(super) struct Logoffs(Arc<AtomicUsize>);

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Logoffs {
    /// Drops a driver's connection, which logs it off, on a thread of its own, and waits at most `grace`. If the logoff
    /// takes longer, or too many hang already, its socket is shut down.
    pub(super) fn log_off<C: Send + 'static>(&self, connection: C, socket: Option<Socket>, grace: Duration) {
        if self.0.fetch_add(1, Ordering::Relaxed) >= MAX_LOGOFFS {
            self.0.fetch_sub(1, Ordering::Relaxed);
            match socket {
                Some(socket) => {
                    socket.shut_down();
                    drop(connection);
                }
                None => std::mem::forget(connection),
            }
            return;
        }
        let counted = Counted(Arc::clone(&self.0));
        let (done, awaited) = sync_channel::<()>(1);
        // Without a thread the closure is dropped here, and the connection with it: there is no better place then.
        let spawned = thread::Builder::new().name("logoff".to_owned()).spawn(move || {
            drop_within(connection, socket, LOGOFF_LIMIT);
            drop(counted);
            drop(done);
        });
        if spawned.is_ok() && !grace.is_zero() {
            // Ends with a disconnect when the thread is done, with a timeout when it is given up.
            let _ = awaited.recv_timeout(grace);
        }
    }
}

/// Drops a connection; where its logoff takes too long, its socket is shut down, which ends that.
fn drop_within<C: Send + 'static>(connection: C, socket: Option<Socket>, limit: Duration) {
    let Some(socket) = socket else {
        drop(connection);
        return;
    };
    let (done, awaited) = sync_channel::<()>(1);
    let spawned = thread::Builder::new().name("logoff-call".to_owned()).spawn(move || {
        drop(connection);
        drop(done);
    });
    let late = matches!(awaited.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
    if let (Ok(thread), true) = (spawned, late) {
        socket.shut_down();
        // If a driver's drop panics, the connection is gone all the same.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;

    /// Waits in its drop for an answer, as a logoff does.
    struct Unanswered(std::net::TcpStream);

    impl Drop for Unanswered {
        fn drop(&mut self) {
            let _ = std::io::Read::read(&mut self.0, &mut [0]);
        }
    }

    #[test]
    fn a_logoff_that_is_never_answered_is_ended_on_both_sides() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let client = std::net::TcpStream::connect(address).expect("it listens");
        let mut server = listener.accept().expect("just connected").0;
        let socket = crate::oracle::sockets::marked(|mark| client.set_read_timeout(Some(mark)).is_ok());
        client.set_read_timeout(None).expect("a socket");
        assert!(socket.is_some(), "it is in the list of descriptors");
        drop_within(Unanswered(client), socket, Duration::from_millis(50));
        server
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket");
        let read = std::io::Read::read(&mut server, &mut [0]).expect("it hears of it");
        assert_eq!(read, 0, "the server's session has nobody any more");
    }

    /// Hangs in its drop until it is released.
    struct Hanging(mpsc::Receiver<()>);

    impl Drop for Hanging {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn logoffs_that_hang_are_limited_and_never_waited_for() {
        let logoffs = Logoffs::default();
        let mut releases = Vec::new();
        for _ in 0..MAX_LOGOFFS + 3 {
            let (release, hang) = mpsc::channel();
            releases.push(release);
            logoffs.log_off(Hanging(hang), None, Duration::from_millis(1));
        }
        assert_eq!(logoffs.0.load(Ordering::Relaxed), MAX_LOGOFFS);
        drop(releases);
        for _ in 0..500 {
            if logoffs.0.load(Ordering::Relaxed) == 0 {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(logoffs.0.load(Ordering::Relaxed), 0, "all threads end once released");
    }
}
