//! The wire between a daemon and the database, which can be cut and can hang.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const WHOLE: u8 = 0;
const HANGS: u8 = 1;
const IS_CUT: u8 = 2;

/// How often each direction looks whether it may pass something on.
const OFTEN: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct State {
    now: AtomicU8,
    /// How often it was cut: what was connected before stays cut.
    cuts: AtomicU64,
    over: AtomicBool,
}

impl State {
    fn is(&self, state: u8) -> bool {
        self.now.load(Ordering::SeqCst) == state
    }

    fn ends(&self, cuts: u64) -> bool {
        self.over.load(Ordering::SeqCst) || self.cuts.load(Ordering::SeqCst) != cuts
    }
}

/// It ends when it is dropped.
pub(super) struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

impl Wire {
    pub(super) fn to(database: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can");
        let address = listener.local_addr().expect("it has one");
        let state = Arc::new(State::default());
        let its_state = Arc::clone(&state);
        thread::spawn(move || {
            while !its_state.over.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((client, _)) if !its_state.is(IS_CUT) => join(client, database, &its_state),
                    Ok(_) | Err(_) => thread::sleep(OFTEN),
                }
            }
        });
        Wire { address, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and every new one.
    pub(super) fn cut(&self) {
        self.state.now.store(IS_CUT, Ordering::SeqCst);
        self.state.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// Passes nothing on, in either direction.
    pub(super) fn hang(&self) {
        self.state.now.store(HANGS, Ordering::SeqCst);
    }

    pub(super) fn mend(&self) {
        self.state.now.store(WHOLE, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, database: SocketAddr, state: &Arc<State>) {
    let Ok(server) = TcpStream::connect(database) else {
        return;
    };
    let cuts = state.cuts.load(Ordering::SeqCst);
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
        let state = Arc::clone(state);
        thread::spawn(move || {
            pass_on(from, to, &state, cuts);
        });
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, state: &State, cuts: u64) {
    let _ = (from.set_nonblocking(false), to.set_nodelay(true));
    let _ = from.set_read_timeout(Some(OFTEN));
    let mut buffer = vec![0; 64 * 1024];
    while !state.ends(cuts) {
        if state.is(HANGS) {
            thread::sleep(OFTEN);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                // What was read on a wire that hangs by now arrives when it goes on.
                while state.is(HANGS) && !state.ends(cuts) {
                    thread::sleep(OFTEN);
                }
                if state.ends(cuts) || to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
