//! Tells systemd the daemon's state, and feeds its watchdog.
//!
//! The protocol (sd_notify(3)): datagrams of `NAME=value` lines to the Unix socket that `NOTIFY_SOCKET` names. Without that
//! variable nothing is sent, so the daemon runs the same on a terminal.
//!
//! The watchdog is fed only while every loop of the daemon makes progress. A timer would prove only that the timer runs; a
//! [`Pulse`] that each loop touches proves that the loop runs. Each touch says how long the next one may take, because loops
//! wait for different times. A call into a driver may hang without a limit, so no loop with a pulse makes one: a database that
//! hangs must not end the daemon.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::{Clock, Monotonic};
use crate::terminal::visible::acts;

/// A status is cut to this many characters.
const STATUS_CHARS: usize = 300;

/// A service manager that does not read its socket must not hold up the daemon.
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// The connection to the service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// To the socket that `NOTIFY_SOCKET` names.
    ///
    /// # Errors
    /// When it names a socket that cannot be reached.
    pub(crate) fn from_environment() -> io::Result<Notifier> {
        Notifier::to(std::env::var_os("NOTIFY_SOCKET").as_deref())
    }

    /// To this socket: a path, or `@` and a name in the abstract namespace. `None` sends nothing.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) fn to(socket: Option<&OsStr>) -> io::Result<Notifier> {
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Notifier::default());
        };
        let connect = || {
            let address = match name.as_bytes().split_first() {
                Some((b'@', abstract_name)) => SocketAddr::from_abstract_name(abstract_name)?,
                Some(_) | None => SocketAddr::from_pathname(name)?,
            };
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            socket.set_write_timeout(Some(SEND_LIMIT))?;
            Ok(socket)
        };
        let socket: io::Result<UnixDatagram> = connect();
        let socket = socket.map_err(|error| {
            let shown = name.to_string_lossy();
            io::Error::new(error.kind(), format!("connect to NOTIFY_SOCKET {shown}: {error}"))
        })?;
        Ok(Notifier { socket: Some(socket) })
    }

    /// The daemon is up, or has reloaded.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// Sets the line that `systemctl status` shows.
    pub(crate) fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&one_line(status))]);
    }

    /// The daemon reloads; [`Self::ready`] ends the reload, whether or not it succeeded.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            // A message without the time makes systemd 253 and later report a failed reload; no message does no harm.
            Err(error) => tracing::warn!(error = error.to_string(), "cannot read the monotonic clock"),
        }
    }

    /// The daemon is shutting down.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))]);
    }

    /// Feeds the watchdog if every loop makes progress; returns whether it was fed.
    pub(crate) fn feed(&self, heartbeat: &Heartbeat) -> bool {
        let stuck = heartbeat.stuck();
        if stuck.is_empty() {
            self.send(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(
                loops = stuck.join(", "),
                "loops make no progress, so the watchdog is not fed"
            );
        }
        stuck.is_empty()
    }

    /// A message that cannot be sent is logged and dropped: systemd acts on the missing watchdog message by itself.
    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::warn!(error = error.to_string(), "cannot notify the service manager");
        }
    }
}

/// How often the watchdog has to be fed, if the service manager watches this process: half of what it allows.
#[must_use]
pub(crate) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}

/// The status without line feeds, which would start another assignment of the protocol.
fn one_line(status: &str) -> String {
    let shown = status.chars().take(STATUS_CHARS);
    shown.map(|shown| if acts(shown) { ' ' } else { shown }).collect()
}

/// Whether all loops of the daemon make progress.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    clock: Arc<dyn Clock>,
    loops: Arc<Mutex<BTreeMap<String, Arc<Loop>>>>,
}

#[derive(Debug)]
struct Loop {
    /// The time by which the next touch is due, in microseconds of the clock.
    until: AtomicU64,
}

impl Heartbeat {
    /// Without loops.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Heartbeat {
        Heartbeat {
            clock,
            loops: Arc::default(),
        }
    }

    /// Adds a loop that touches its pulse at least every `allowance`, until the pulse is dropped. It replaces a loop of the same
    /// name.
    #[must_use]
    pub fn pulse(&self, name: &str, allowance: Duration) -> Pulse {
        let state = Arc::new(Loop {
            until: AtomicU64::new(0),
        });
        let pulse = Pulse {
            heartbeat: self.clone(),
            name: name.to_owned(),
            allowance,
            state: Arc::clone(&state),
        };
        pulse.touch();
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.insert(pulse.name.clone(), state);
        pulse
    }

    /// The loops that do not make progress.
    #[must_use]
    pub(crate) fn stuck(&self) -> Vec<String> {
        let now = micros(self.clock.now());
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = loops
            .iter()
            .filter(|(_, state)| state.until.load(Ordering::Relaxed) < now);
        stuck.map(|(name, _)| name.clone()).collect()
    }
}

/// Shows that one loop makes progress.
#[derive(Debug)]
pub struct Pulse {
    heartbeat: Heartbeat,
    name: String,
    allowance: Duration,
    state: Arc<Loop>,
}

impl Pulse {
    /// The loop makes progress.
    pub(crate) fn touch(&self) {
        self.touch_for(self.allowance);
    }

    /// The loop makes progress, and the next touch is due within `allowance`.
    pub(crate) fn touch_for(&self, allowance: Duration) {
        let until = self.heartbeat.clock.now().plus(allowance);
        self.state.until.store(micros(until), Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let mut loops = self.heartbeat.loops.lock().unwrap_or_else(PoisonError::into_inner);
        // Another loop may have replaced this one under the same name.
        if loops
            .get(&self.name)
            .is_some_and(|state| Arc::ptr_eq(state, &self.state))
        {
            loops.remove(&self.name);
        }
    }
}

fn micros(at: Monotonic) -> u64 {
    u64::try_from(at.since(Monotonic::default()).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    struct ServiceManager {
        _folder: tempfile::TempDir,
        socket: UnixDatagram,
        notifier: Notifier,
    }

    fn service_manager() -> ServiceManager {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("binds");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("is set");
        let notifier = Notifier::to(Some(path.as_os_str())).expect("connects");
        ServiceManager {
            _folder: folder,
            socket,
            notifier,
        }
    }

    impl ServiceManager {
        fn hears(&self) -> String {
            let mut buffer = [0; 4096];
            let len = self.socket.recv(&mut buffer).expect("a message came");
            String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")
        }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at("2026-11-22T10:00:00Z".parse().expect("a time")))
    }

    #[test]
    fn the_life_of_a_service_is_told_in_the_protocols_words() {
        let systemd = service_manager();
        systemd.notifier.ready("watching 2 databases");
        assert_eq!(systemd.hears(), "READY=1\nSTATUS=watching 2 databases\n");
        systemd.notifier.status("prod is down");
        assert_eq!(systemd.hears(), "STATUS=prod is down\n");
        systemd.notifier.stopping("SIGTERM");
        assert_eq!(systemd.hears(), "STOPPING=1\nSTATUS=SIGTERM\n");
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let systemd = service_manager();
        systemd.notifier.reloading();
        let heard = systemd.hears();
        let lines: Vec<&str> = heard.lines().collect();
        assert_eq!(lines.len(), 2, "{heard}");
        assert_eq!(lines[0], "RELOADING=1");
        let micros = lines[1].strip_prefix("MONOTONIC_USEC=").expect("the time");
        assert!(micros.parse::<u64>().expect("a number") > 0);
    }

    #[test]
    fn a_status_cannot_forge_another_message() {
        let systemd = service_manager();
        systemd.notifier.status("down\nWATCHDOG=1\r\0");
        assert_eq!(systemd.hears(), "STATUS=down WATCHDOG=1  \n");
        systemd.notifier.status(&"x".repeat(10_000));
        assert_eq!(systemd.hears().len(), "STATUS=\n".len() + STATUS_CHARS);
    }

    #[test]
    fn the_watchdog_is_fed_only_while_every_loop_makes_progress() {
        let systemd = service_manager();
        let clock = clock();
        let heartbeat = Heartbeat::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let fast = heartbeat.pulse("main", Duration::from_secs(5));
        let slow = heartbeat.pulse("prod", Duration::from_secs(60));
        clock.advance(Duration::from_secs(5));
        assert!(systemd.notifier.feed(&heartbeat));
        assert_eq!(systemd.hears(), "WATCHDOG=1\n");
        clock.advance(Duration::from_millis(1));
        assert!(!systemd.notifier.feed(&heartbeat));
        assert_eq!(heartbeat.stuck(), ["main"]);
        systemd.socket.set_nonblocking(true).expect("is set");
        systemd.socket.recv(&mut [0; 16]).expect_err("nothing was sent");
        fast.touch();
        assert!(systemd.notifier.feed(&heartbeat));
        clock.advance(Duration::from_secs(56));
        fast.touch();
        assert_eq!(heartbeat.stuck(), ["prod"]);
        slow.touch_for(Duration::from_secs(3600));
        clock.advance(Duration::from_secs(4));
        assert_eq!(heartbeat.stuck(), Vec::<String>::new());
        // A loop that has ended is not stuck.
        drop(fast);
        clock.advance(Duration::from_secs(60));
        assert_eq!(heartbeat.stuck(), Vec::<String>::new());
    }

    #[test]
    fn an_abstract_socket_is_reached_by_its_name() {
        let name = format!("orareaper-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("binds");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("is set");
        Notifier::to(Some(OsStr::new(&format!("@{name}"))))
            .expect("connects")
            .ready("");
        let mut buffer = [0; 64];
        let len = socket.recv(&mut buffer).expect("a message came");
        assert_eq!(&buffer[..len], b"READY=1\nSTATUS=\n");
    }

    #[test]
    fn without_a_service_manager_nothing_is_sent_and_nothing_fails() {
        let none = Notifier::to(None).expect("is nothing");
        none.ready("alone");
        none.reloading();
        assert!(none.feed(&Heartbeat::new(clock())));
        let error = Notifier::to(Some(OsStr::new("/nowhere/notify"))).expect_err("is not there");
        assert!(
            error
                .to_string()
                .starts_with("connect to NOTIFY_SOCKET /nowhere/notify: "),
            "{error}"
        );
    }

    #[test]
    fn a_service_manager_that_went_away_costs_nothing() {
        let ServiceManager {
            _folder,
            socket,
            notifier,
        } = service_manager();
        drop(socket);
        notifier.ready("anybody there?");
    }
}
