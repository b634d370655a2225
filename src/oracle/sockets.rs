//! The drivers' sockets, found from outside.
//!
//! The thin driver does not expose its socket, waits on it without a limit while it connects and while it logs off, and cannot
//! interrupt that. Shutting the socket down ends such a wait: the driver's thread gets an error, and the server sees the
//! connection end. The socket can be found only in the list of this process's descriptors (proc(5), `/proc/self/fd`), each of
//! which is duplicated to find out what it is.
//!
//! How the owner of a socket is found:
//! - The socket of an established connection is found once, right after connecting, by a read limit that no other has.
//! - The socket of an abandoned attempt blocks, reads without a limit, and leads out of this process to a port of the connect
//!   string. It did not exist when the attempt began. It belongs to no established connection, and to no attempt that may still
//!   succeed: it existed before each of those began. While several attempts could own a socket, it is left alone.

use std::collections::HashSet;
use std::fs;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};

/// A connected TCP socket of this process, through a second descriptor.
#[derive(Debug)]
pub(super) struct Socket {
    inode: u64,
    stream: TcpStream,
}

impl Socket {
    /// Ends every wait on it, in both directions.
    pub(super) fn shut_down(&self) {
        // An error means that the socket is closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether it looks like the socket of an attempt that hangs: calls on established connections have a limit.
    fn waits_without_limit(&self) -> bool {
        let blocks = fcntl_getfl(&self.stream).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
        blocks && matches!(self.stream.read_timeout(), Ok(None))
    }
}

/// The running attempts and the established connections of the whole process.
#[derive(Debug, Default)]
struct Registry {
    next: u64,
    attempts: Vec<OpenAttempt>,
    /// The sockets of established connections, each once for every claim on it.
    claimed: Vec<u64>,
}

#[derive(Debug)]
struct OpenAttempt {
    id: u64,
    /// The sockets that existed when the attempt began.
    before: HashSet<u64>,
    /// The ports that it may lead to; `None` if the connect string does not name them.
    ports: Option<Vec<u16>>,
    given_up: bool,
}

impl OpenAttempt {
    fn may_have(&self, inode: u64, port: u16) -> bool {
        !self.before.contains(&inode) && self.ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

fn with_registry<T>(run: impl FnOnce(&mut Registry) -> T) -> T {
    let mut registry: MutexGuard<'_, Option<Registry>> = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    run(registry.get_or_insert_default())
}

/// An attempt to connect. It ends when its last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct SocketAttempt(Arc<Registered>);

#[derive(Debug)]
struct Registered(u64);

impl Drop for Registered {
    fn drop(&mut self) {
        with_registry(|registry| {
            registry.attempts.retain(|running| running.id != self.0);
            // Sockets that this attempt could have owned may now have one possible owner.
            registry.end_those_given_up();
        });
    }
}

impl SocketAttempt {
    /// Records the sockets that exist before the attempt.
    pub(super) fn begin(connect: &str) -> SocketAttempt {
        let ports = ports_in(connect);
        let before = descriptors().into_iter().map(|(_, inode)| inode).collect();
        with_registry(|registry| {
            let id = registry.next;
            registry.next += 1;
            registry.attempts.push(OpenAttempt {
                id,
                before,
                ports,
                given_up: false,
            });
            SocketAttempt(Arc::new(Registered(id)))
        })
    }

    /// Abandons the attempt: its socket is shut down.
    pub(super) fn give_up(&self) {
        with_registry(|registry| {
            for running in registry.attempts.iter_mut().filter(|running| running.id == self.0.0) {
                running.given_up = true;
            }
            registry.end_those_given_up();
        });
    }

    /// The attempt has succeeded: sockets that are new since it began are kept. For a driver whose socket cannot be identified.
    pub(super) fn claim_new(&self) -> SocketClaim {
        with_registry(|registry| {
            let own = registry.attempts.iter().find(|running| running.id == self.0.0);
            let before = own.map(|running| running.before.clone()).unwrap_or_default();
            let new = descriptors().into_iter().map(|(_, inode)| inode);
            let new: Vec<u64> = new.filter(|inode| !before.contains(inode)).collect();
            registry.claimed.extend(&new);
            SocketClaim(new)
        })
    }
}

impl Registry {
    fn end_those_given_up(&self) {
        let (given_up, waited_for): (Vec<&OpenAttempt>, Vec<&OpenAttempt>) =
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

/// The numbers in a connect string, which include its ports, and the default port. `None` for an alias, which has neither.
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

/// Marks sockets as those of established connections for as long as it is held.
#[derive(Debug)]
pub(super) struct SocketClaim(Vec<u64>);

impl SocketClaim {
    pub(super) fn on(socket: &Socket) -> SocketClaim {
        with_registry(|registry| registry.claimed.push(socket.inode));
        SocketClaim(vec![socket.inode])
    }
}

impl Drop for SocketClaim {
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

/// Far above every limit of a call.
const FIRST_MARK: Duration = Duration::from_secs(10_000_000);

/// Distance between marks: the kernel rounds limits to its ticks, at least a hundred a second on every system.
const APART: Duration = Duration::from_millis(100);

/// The socket of the connection on which `mark` sets the given read limit. The caller then sets the real limit.
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

/// The outgoing connected sockets, without those that a listener of this process has accepted.
fn outgoing() -> Vec<Socket> {
    let (mut connected, mut listening) = (Vec::new(), HashSet::new());
    for (fd, inode) in descriptors() {
        let Some(own) = duplicate(fd) else { continue };
        // The descriptor may belong to another file since it was listed.
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

/// This process's sockets: descriptor and inode. Empty if the system has no such list.
fn descriptors() -> Vec<(RawFd, u64)> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            Some((fd, inode_of(fd)?))
        })
        .collect()
}

/// The inode of a descriptor, if that is a socket.
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
        let attempt = SocketAttempt::begin(&connect);
        let (mut hanging, mut hanging_server) = pair(&listener);
        let (standing, mut standing_server) = pair(&listener);
        let claimed = outgoing()
            .into_iter()
            .find(|socket| socket.stream.local_addr().ok() == standing.local_addr().ok())
            .expect("it is there");
        let _claim = SocketClaim::on(&claimed);
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
        let (one, other) = (SocketAttempt::begin(&connect), SocketAttempt::begin(&connect));
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
