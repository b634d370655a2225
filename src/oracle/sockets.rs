//! The drivers' sockets, found from outside.
//!
//! The thin driver keeps its socket to itself, waits on it without a limit while it connects and while it logs off, and has no
//! way to break that off. Shutting the socket down ends such a wait: the driver's thread gets an error, and the server learns
//! that nobody is there any more. The only way to come by the socket is the list of this process's descriptors (proc(5),
//! `/proc/self/fd`), each of which is duplicated to be asked what it is.
//!
//! Which socket is whose:
//! - One of a connection that stands is found by a limit on its reads that no other has, once, when it was made.
//! - One of an attempt that was given up is blocking, reads without a limit, leads out of this process to a port that the
//!   connect string speaks of, was not there when the attempt began, belongs to no connection that stands, and to no attempt that may still succeed: it was there before each of
//!   those began. What cannot be told apart is left alone, until the others have ended.

use std::collections::HashSet;
use std::fs;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};

/// A connected TCP socket of this process, by another descriptor of it.
#[derive(Debug)]
pub(super) struct Socket {
    inode: u64,
    stream: TcpStream,
}

impl Socket {
    /// Ends every wait on it, in both directions.
    pub(super) fn shut_down(&self) {
        // One that is closed already is as good.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether it is as an attempt's that hangs is: the drivers' calls on connections that stand have a limit.
    fn waits_without_limit(&self) -> bool {
        let blocks = fcntl_getfl(&self.stream).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
        blocks && matches!(self.stream.read_timeout(), Ok(None))
    }
}

/// Attempts that run and connections that stand, in the whole process.
#[derive(Debug, Default)]
struct Registry {
    next: u64,
    attempts: Vec<Running>,
    /// The sockets of connections that stand, each as often as somebody holds a claim on it.
    claimed: Vec<u64>,
}

#[derive(Debug)]
struct Running {
    id: u64,
    /// The sockets that there were when it began.
    before: HashSet<u64>,
    /// Where it may lead; anywhere where the connect string does not say.
    ports: Option<Vec<u16>>,
    given_up: bool,
}

impl Running {
    fn may_have(&self, inode: u64, port: u16) -> bool {
        !self.before.contains(&inode) && self.ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

fn with_registry<T>(run: impl FnOnce(&mut Registry) -> T) -> T {
    let mut registry: MutexGuard<'_, Option<Registry>> = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    run(registry.get_or_insert_default())
}

/// An attempt to connect. It has ended when the last of its holders drops it.
#[derive(Clone, Debug)]
pub(super) struct Attempt(Arc<Registered>);

#[derive(Debug)]
struct Registered(u64);

impl Drop for Registered {
    fn drop(&mut self) {
        with_registry(|registry| {
            registry.attempts.retain(|running| running.id != self.0);
            // What it kept from being told apart may be told apart now.
            registry.end_those_given_up();
        });
    }
}

impl Attempt {
    /// Takes note of the sockets that there are before it.
    pub(super) fn begin(connect: &str) -> Attempt {
        let ports = ports_in(connect);
        let before = descriptors().into_iter().map(|(_, inode)| inode).collect();
        with_registry(|registry| {
            let id = registry.next;
            registry.next += 1;
            registry.attempts.push(Running {
                id,
                before,
                ports,
                given_up: false,
            });
            Attempt(Arc::new(Registered(id)))
        })
    }

    /// Nobody waits for it any more: its socket is shut down.
    pub(super) fn give_up(&self) {
        with_registry(|registry| {
            for running in registry.attempts.iter_mut().filter(|running| running.id == self.0.0) {
                running.given_up = true;
            }
            registry.end_those_given_up();
        });
    }

    /// It has led to a connection: the sockets that are new since it began stay. For a driver whose own socket cannot be told.
    pub(super) fn claim_new(&self) -> Claim {
        with_registry(|registry| {
            let own = registry.attempts.iter().find(|running| running.id == self.0.0);
            let before = own.map(|running| running.before.clone()).unwrap_or_default();
            let new = descriptors().into_iter().map(|(_, inode)| inode);
            let new: Vec<u64> = new.filter(|inode| !before.contains(inode)).collect();
            registry.claimed.extend(&new);
            Claim(new)
        })
    }
}

impl Registry {
    fn end_those_given_up(&self) {
        let (given_up, waited_for): (Vec<&Running>, Vec<&Running>) =
            self.attempts.iter().partition(|running| running.given_up);
        if given_up.is_empty() {
            return;
        }
        let is_theirs = |socket: &&Socket| {
            let port = socket.stream.peer_addr().map_or(0, |peer| peer.port());
            given_up.iter().any(|running| running.may_have(socket.inode, port))
                && waited_for.iter().all(|running| !running.may_have(socket.inode, port))
                && !self.claimed.contains(&socket.inode)
        };
        for socket in outgoing().iter().filter(is_theirs) {
            if socket.waits_without_limit() {
                socket.shut_down();
            }
        }
    }
}

/// The numbers in a connect string, among which its ports are, and the port that it means without one. An alias has neither.
fn ports_in(connect: &str) -> Option<Vec<u16>> {
    const LISTENER: u16 = 1521;
    if !connect.contains(['/', '(', ':']) {
        return None;
    }
    let numbers = connect.split(|shown: char| !shown.is_ascii_digit());
    Some(
        numbers
            .filter_map(|number| number.parse().ok())
            .chain([LISTENER])
            .collect(),
    )
}

/// Sockets that belong to connections that stand, for as long as it is held.
#[derive(Debug)]
pub(super) struct Claim(Vec<u64>);

impl Claim {
    pub(super) fn on(socket: &Socket) -> Claim {
        with_registry(|registry| registry.claimed.push(socket.inode));
        Claim(vec![socket.inode])
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        with_registry(|registry| {
            for inode in &self.0 {
                if let Some(at) = registry.claimed.iter().position(|claimed| claimed == inode) {
                    registry.claimed.swap_remove(at);
                }
            }
        });
    }
}

/// No limit of a call comes near the first mark.
const FIRST_MARK: Duration = Duration::from_secs(10_000_000);

/// The kernel rounds limits to its ticks, of which no system has less than a hundred a second.
const APART: Duration = Duration::from_millis(100);

/// The socket of a connection, on whose reads `mark` sets the limit that it is given. The caller sets the right one after it.
pub(super) fn marked(mark: impl FnOnce(Duration) -> bool) -> Option<Socket> {
    static MARKS: AtomicU64 = AtomicU64::new(0);
    let number = u32::try_from(MARKS.fetch_add(1, Ordering::Relaxed) % 100_000).unwrap_or(0);
    let limit = FIRST_MARK + APART * number;
    if !mark(limit) {
        return None;
    }
    let is_marked = |socket: &Socket| {
        let found = socket.stream.read_timeout().ok().flatten();
        found.is_some_and(|found| found.abs_diff(limit) < APART / 2)
    };
    outgoing().into_iter().find(is_marked)
}

/// The connected sockets that lead out: not those that a listener of this process has accepted.
fn outgoing() -> Vec<Socket> {
    let (mut connected, mut listening) = (Vec::new(), HashSet::new());
    for (fd, inode) in descriptors() {
        let Some(own) = duplicate(fd) else { continue };
        // The number may have got another meaning since it was listed.
        if inode_of(own.as_raw_fd()) != Some(inode) {
            continue;
        }
        let stream = TcpStream::from(own);
        let Ok(local) = stream.local_addr() else { continue };
        if stream.peer_addr().is_ok() {
            connected.push((local.port(), Socket { inode, stream }));
        } else {
            listening.insert(local.port());
        }
    }
    connected.retain(|(port, _)| !listening.contains(port));
    connected.into_iter().map(|(_, socket)| socket).collect()
}

/// This process's sockets: descriptor and inode. None where the system has no such list.
fn descriptors() -> Vec<(RawFd, u64)> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            Some((fd, inode_of(fd)?))
        })
        .collect()
}

/// The inode of a descriptor that is a socket.
fn inode_of(fd: RawFd) -> Option<u64> {
    let to = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Another descriptor of the same file.
#[allow(
    unsafe_code,
    reason = "a descriptor that a driver holds can be named only by its number; it is borrowed for one dup(2), which fails for a \
              number that is closed meanwhile, and what was duplicated is looked at again"
)]
fn duplicate(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: nothing is read or written through the number. dup(2) of one that is not open is an error.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    fn listening() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let connect = format!("//{}/orcl", listener.local_addr().expect("bound"));
        (listener, connect)
    }

    fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        (client, listener.accept().expect("just connected").0)
    }

    fn is_open(server: &mut TcpStream) -> bool {
        server.set_nonblocking(true).expect("a socket");
        let read = server.read(&mut [0]);
        server.set_nonblocking(false).expect("a socket");
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    #[test]
    fn a_connection_is_found_by_its_mark_and_by_nothing_else() {
        let (client, _server) = pair(&listening().0);
        let found = marked(|limit| client.set_read_timeout(Some(limit)).is_ok()).expect("it is there");
        assert_eq!(
            found.stream.local_addr().expect("connected"),
            client.local_addr().expect("connected")
        );
        assert!(marked(|_| true).is_none(), "nobody set this one");
        assert!(marked(|_| false).is_none());
    }

    #[test]
    fn an_attempt_that_is_given_up_takes_its_own_socket_along_and_no_other() {
        let ((listener, connect), (elsewhere, _)) = (listening(), listening());
        let (_older, mut older_server) = pair(&listener);
        let attempt = Attempt::begin(&connect);
        let (mut hanging, mut hanging_server) = pair(&listener);
        let (standing, mut standing_server) = pair(&listener);
        let claimed = outgoing()
            .into_iter()
            .find(|socket| socket.stream.local_addr().ok() == standing.local_addr().ok())
            .expect("it is there");
        let _claim = Claim::on(&claimed);
        let (limited, mut limited_server) = pair(&listener);
        limited
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket");
        let (_other, mut other_server) = pair(&elsewhere);
        attempt.give_up();
        assert_eq!(hanging.read(&mut [0]).expect("its wait has ended"), 0);
        assert!(!is_open(&mut hanging_server), "the server learns it");
        for (server, what) in [
            (&mut older_server, "was there before"),
            (&mut standing_server, "belongs to a connection"),
            (&mut limited_server, "has a limit"),
            (&mut other_server, "leads elsewhere"),
        ] {
            assert!(is_open(server), "one that {what} was shut down");
        }
    }

    #[test]
    fn what_may_belong_to_an_attempt_that_is_waited_for_is_left_until_that_has_ended() {
        let (listener, connect) = listening();
        let (one, other) = (Attempt::begin(&connect), Attempt::begin(&connect));
        let (_client, mut server) = pair(&listener);
        one.give_up();
        assert!(is_open(&mut server), "it may be the other's");
        drop(other);
        assert!(!is_open(&mut server));
    }

    #[test]
    fn a_connect_string_says_where_it_may_lead() {
        let ports =
            |connect| ports_in(connect).map(|ports| ports.into_iter().filter(|port| *port > 1000).collect::<Vec<_>>());
        assert_eq!(ports("//db1.example.com/orcl"), Some(vec![1521]));
        assert_eq!(ports("tcps://db1:2484/orcl"), Some(vec![2484, 1521]));
        assert_eq!(
            ports("(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1600))"),
            Some(vec![1600, 1521])
        );
        assert_eq!(ports("prod"), None, "an alias may lead anywhere");
    }
}
