//! The listener: accepts connections, gives each its threads, and can be stopped with all of them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::connection;
use super::packet::PacketReader;
use super::tls;
use super::verifier::Verifiers;
use crate::backend::{Database, OnAccept};

/// The most connections at one time; further ones are closed at once.
const CONNECTIONS_MAX: usize = 4_096;
/// How long stopping waits for the connections' threads. One that is inside a call that nothing can interrupt is left
/// to end by itself.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What clients have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// TCP connections accepted.
    pub connections: u64,
    /// Calls of sessions (not of logins), each of them one round trip.
    pub round_trips: u64,
    /// Statements parsed.
    pub parses: u64,
    /// Statements executed, the first and every further time.
    pub executions: u64,
    /// Fetch calls; the rows that come with an execution are not among them.
    pub fetches: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    round_trips: AtomicU64,
    parses: AtomicU64,
    executions: AtomicU64,
    fetches: AtomicU64,
}

impl Counters {
    /// A session's call has come.
    pub(crate) fn round_trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// A statement is parsed.
    pub(crate) fn parse(&self) {
        self.parses.fetch_add(1, Ordering::Relaxed);
    }

    /// A statement is executed.
    pub(crate) fn execution(&self) {
        self.executions.fetch_add(1, Ordering::Relaxed);
    }

    /// Rows are fetched.
    pub(crate) fn fetch(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    /// The world.
    pub(crate) database: Arc<dyn Database>,
    /// The accounts' verifiers.
    pub(crate) verifiers: Verifiers,
    /// The counters.
    pub(crate) counters: Counters,
    /// What the listener agrees upon with each client before anything else, if it speaks TLS.
    tls: Option<Arc<rustls::ServerConfig>>,
    stopping: AtomicBool,
    open: Mutex<HashMap<u64, TcpStream>>,
    closed: Condvar,
}

impl Shared {
    /// Whether clients are connected by TCPS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener with a database behind it.
///
/// Dropping it is [`Server::stop`].
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on this address (port 0 takes a free one) and serves the database to whoever connects.
    ///
    /// # Errors
    ///
    /// Those of binding the address and of starting a thread.
    pub fn start(database: Arc<dyn Database>, listen: SocketAddr) -> io::Result<Self> {
        Self::start_with(database, listen, None)
    }

    /// The same by TCPS: each connection begins with TLS.
    ///
    /// # Errors
    ///
    /// Those of binding the address and of starting a thread.
    pub fn start_tls(
        database: Arc<dyn Database>,
        listen: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
    ) -> io::Result<Self> {
        Self::start_with(database, listen, Some(tls))
    }

    fn start_with(
        database: Arc<dyn Database>,
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            database,
            verifiers: Verifiers::default(),
            counters: Counters::default(),
            tls,
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
            closed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("orasim-listener".into())
            .spawn(move || accept_all(&listener, &serving))?;
        Ok(Self {
            shared,
            address,
            listener: Some(thread),
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What clients have done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            connections: counters.connections.load(Ordering::Relaxed),
            round_trips: counters.round_trips.load(Ordering::Relaxed),
            parses: counters.parses.load(Ordering::Relaxed),
            executions: counters.executions.load(Ordering::Relaxed),
            fetches: counters.fetches.load(Ordering::Relaxed),
        }
    }

    /// Closes the listener and every connection, and waits (some seconds at most) until their threads have ended.
    pub fn stop(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The listener waits in accept(): a connection of our own wakes it. Where even that fails, it is left waiting.
        let woken = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1)).is_ok();
        if woken {
            // It only runs this module's code, which does not panic.
            let _ = listener.join();
        }
        let open = self.shared.open();
        for stream in open.values() {
            // One that is closed already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let waiting = self
            .shared
            .closed
            .wait_timeout_while(open, STOP_WAIT, |open| !open.is_empty());
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An address that reaches a listener on this one: its own, or loopback where it listens everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut last = 0;
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                last += 1;
                shared.counters.connections.fetch_add(1, Ordering::Relaxed);
                // A connection that cannot be given its thread is closed by being dropped.
                let _ = begin(stream, peer, last, shared);
            }
            // Out of descriptors, most likely: wait for some to be closed.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn begin(stream: TcpStream, peer: SocketAddr, id: u64, shared: &Arc<Shared>) -> io::Result<()> {
    let wanted = shared.database.on_accept(peer);
    if wanted == OnAccept::Drop {
        return Ok(());
    }
    let mut open = shared.open();
    if open.len() >= CONNECTIONS_MAX {
        return Ok(());
    }
    open.insert(id, stream.try_clone()?);
    drop(open);
    let serving = Registered {
        shared: Arc::clone(shared),
        id,
    };
    std::thread::Builder::new()
        .name("orasim-connection".into())
        .spawn(move || {
            let registered = serving;
            let _ended = match wanted {
                OnAccept::Serve => serve(stream, peer, &registered.shared),
                OnAccept::Silent => {
                    let mut stream = stream;
                    connection::wait_for_end(&mut stream, &mut PacketReader::new())
                }
                OnAccept::Drop => Ok(()),
            };
        })?;
    Ok(())
}

fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    let stream = match &shared.tls {
        Some(config) => tls::unwrapped(stream, Arc::clone(config))?,
        None => stream,
    };
    connection::serve(stream, peer, shared)
}

/// A connection's place among the open ones, given up however its thread ends.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.shared.open();
        if let Some(stream) = open.remove(&self.id) {
            // One that is closed already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(open);
        self.shared.closed.notify_all();
    }
}
