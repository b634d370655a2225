//! Connecting on threads that may be abandoned.
//!
//! One thing cannot be bounded from within the drivers: the thin driver's connect waits without limit for a listener that
//! accepts and does not answer. So it runs on a thread of its own, and the caller waits only as long as it may. Then the socket
//! is shut down (see [`crate::oracle::sockets`]), which ends the thread, and the server's side of it too: a network that swallows everything for hours costs neither threads nor
//! sessions, and the first attempt after it succeeds.
//!
//! Where the socket cannot be identified, the thread lives until the driver returns by itself. It must not keep the database
//! from being tried again, only make that rarer: each attempt that hangs makes the next one wait longer, and at most
//! [`MAX_HANGING`] hang at a time.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::oracle::deadline::Deadline;
use crate::oracle::error::{Class, Error};
use crate::oracle::link::{Acting, DecoyLink, Link};
use crate::oracle::logoff::Logoffs;
use crate::oracle::sockets::SocketAttempt;
use crate::oracle::{ActingConnection, Client, Connection, DecoyConnection, Driver, Purpose, Target, oci, thin};

/// How many attempts to connect to one database may hang at a time.
pub(super) const MAX_HANGING: usize = 8;

/// The next attempt waits this many times the limit of the attempt that hangs, and twice that for each further one.
const WAIT_TIMES: u32 = 10;

/// The longest wait before the next attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Makes the connections to one database: one attempt at a time, abandoned when it takes too long.
#[derive(Clone, Debug, Default)]
pub struct ConnectSlot {
    attempts: Arc<Attempts>,
    logoffs: Logoffs,
}

#[derive(Debug, Default)]
struct Attempts {
    state: Mutex<RunningAttempts>,
    ended: Condvar,
}

/// The attempts whose threads have not ended.
#[derive(Debug, Default)]
struct RunningAttempts {
    count: usize,
    /// No new attempt begins before this, unless all others have ended.
    closed: Option<Deadline>,
}

impl RunningAttempts {
    fn lets_in(&self) -> bool {
        let closed = self.closed.as_ref().is_some_and(|closed| closed.left().is_some());
        self.count == 0 || self.count < MAX_HANGING && !closed
    }
}

impl Attempts {
    fn state(&self) -> MutexGuard<'_, RunningAttempts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropping it ends the attempt's count, also when the thread that holds it panics.
struct Occupied(Arc<Attempts>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.state().count -= 1;
        self.0.ended.notify_one();
    }
}

impl ConnectSlot {
    /// A slot without any attempt.
    #[must_use]
    pub fn new() -> ConnectSlot {
        ConnectSlot::default()
    }

    /// Connects to read, within the limit. Waits for an attempt that is under way; that wait counts towards the limit.
    ///
    /// # Errors
    /// The driver's error; [`Class::Backoff`] when there was no answer in time, or an earlier attempt still hangs.
    pub fn connect(&self, target: &Target, limit: Duration) -> Result<Box<dyn Connection>, Error> {
        self.open(target, Purpose::Poll, limit).map(Opened::into_read)
    }

    /// Connects to act, likewise.
    ///
    /// # Errors
    /// The same.
    pub fn connect_to_act(&self, target: &Target, limit: Duration) -> Result<Box<dyn ActingConnection>, Error> {
        self.open(target, Purpose::Act, limit).map(Opened::into_act)
    }

    /// Connects to be acted on, likewise.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn connect_decoy(&self, target: &Target, limit: Duration) -> Result<Box<dyn DecoyConnection>, Error> {
        self.open(target, Purpose::Decoy, limit).map(Opened::into_decoy)
    }

    fn open(&self, target: &Target, purpose: Purpose, limit: Duration) -> Result<Opened, Error> {
        let tried = target.connecting();
        let deadline = Deadline::begin(limit);
        let occupied = self.occupy(limit, &tried)?;
        let Some(left) = deadline.left() else {
            return Err(Error::no_answer(Class::Backoff, tried, limit));
        };
        let (answer, answered) = sync_channel(1);
        let logoffs = self.logoffs.clone();
        let its_target = target.clone();
        let attempt = SocketAttempt::begin(&target.connect);
        let its_attempt = attempt.clone();
        let spawned = thread::Builder::new()
            .name(format!("connect-{}", target.name))
            .spawn(move || {
                let opened = open(&its_target, purpose, left, logoffs, &its_attempt);
                drop(its_attempt);
                drop(occupied);
                // If the receiver has given up, the connection is dropped here, which logs it off.
                let _ = answer.send(opened);
            });
        if let Err(error) = spawned {
            return Err(Error::new(
                Class::Backoff,
                tried,
                format!("could not start a thread to connect on: {error}"),
            ));
        }
        match answered.recv_timeout(left) {
            Ok(opened) => opened.map_err(with_place),
            Err(RecvTimeoutError::Timeout) => {
                attempt.give_up();
                Err(Error::no_answer(Class::Backoff, tried, limit))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::new(Class::Bug, tried, "the driver panicked")),
        }
    }

    fn occupy(&self, limit: Duration, tried: &str) -> Result<Occupied, Error> {
        let (mut running, _) = self
            .attempts
            .ended
            .wait_timeout_while(self.attempts.state(), limit, |running| !running.lets_in())
            .unwrap_or_else(PoisonError::into_inner);
        if !running.lets_in() {
            let why = match running.count {
                1 => "an earlier attempt to connect still hangs".to_owned(),
                several => format!("{several} earlier attempts to connect still hang"),
            };
            return Err(Error {
                timed_out: true,
                ..Error::new(Class::Backoff, tried, why)
            });
        }
        let times = WAIT_TIMES.saturating_mul(1 << running.count.min(MAX_HANGING));
        running.closed = Some(Deadline::begin(limit.saturating_mul(times).min(LONGEST_WAIT)));
        running.count += 1;
        assert!(running.count <= MAX_HANGING, "more attempts than may hang");
        Ok(Occupied(Arc::clone(&self.attempts)))
    }
}

/// Adds to an error about a missing alias or wallet where the driver looked for it.
fn with_place(mut error: Error) -> Error {
    let missing = match error.code {
        // TNS: could not resolve the connect identifier specified.
        Some(12154) => "the alias was looked for in tnsnames.ora",
        // Failure to open file; TNS: wallet open failed.
        Some(28759 | 12578) => "the wallet is where sqlnet.ora (WALLET_LOCATION) or the connect string says",
        Some(_) | None => return error,
    };
    let folder = std::env::var("TNS_ADMIN").unwrap_or_default();
    let place = if folder.is_empty() {
        "TNS_ADMIN is not set, so Oracle Client looks in network/admin of its own folder".to_owned()
    } else {
        format!("in TNS_ADMIN={folder}")
    };
    error.why = format!("{}; {missing}, {place}", error.why);
    error
}

/// The version of Oracle Client, and whether it is new enough to bound calls (18) and to know Easy Connect Plus (19). Loads it.
///
/// # Errors
/// When it cannot be found or loaded.
pub(crate) fn client_version(tns_admin: Option<&Path>) -> Result<Client, Error> {
    oci::client_version(tns_admin)
}

/// A connection by either driver.
enum Opened {
    Oci(Link<::oracle::Connection>),
    Thin(Link<thin::Thin>),
}

impl Opened {
    fn into_read(self) -> Box<dyn Connection> {
        match self {
            Opened::Oci(link) => Box::new(link),
            Opened::Thin(link) => Box::new(link),
        }
    }

    fn into_act(self) -> Box<dyn ActingConnection> {
        match self {
            Opened::Oci(link) => Box::new(Acting::over(link)),
            Opened::Thin(link) => Box::new(Acting::over(link)),
        }
    }

    fn into_decoy(self) -> Box<dyn DecoyConnection> {
        match self {
            Opened::Oci(link) => Box::new(DecoyLink::over(link)),
            Opened::Thin(link) => Box::new(DecoyLink::over(link)),
        }
    }
}

fn open(
    target: &Target,
    purpose: Purpose,
    limit: Duration,
    logoffs: Logoffs,
    attempt: &SocketAttempt,
) -> Result<Opened, Error> {
    let configured = target.tns_admin.clone();
    let folder = configured.or_else(|| std::env::var_os("TNS_ADMIN").map(PathBuf::from));
    if let Some(why) = folder.and_then(|folder| odd_file(&folder)) {
        return Err(Error::new(Class::Config, target.connecting(), why));
    }
    match target.driver {
        Driver::Oci => Ok(Opened::Oci(oci::connect(target, purpose, limit, logoffs, attempt)?)),
        Driver::Thin => Ok(Opened::Thin(thin::connect(target, purpose, limit, logoffs)?)),
    }
}

/// Which of Oracle's files in a folder is something else, if one is: both drivers would wait for a FIFO without a writer, and
/// read a device without an end.
fn odd_file(folder: &Path) -> Option<String> {
    let odd = |name: &&str| std::fs::metadata(folder.join(name)).is_ok_and(|found| !found.is_file());
    let name = ["tnsnames.ora", "sqlnet.ora"].into_iter().find(odd)?;
    let path = folder.join(name);
    Some(format!(
        "{} is not a regular file, but a directory, a pipe, a socket or a device; replace it with a file",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    use crate::oracle::{Login, Secret};

    fn target(port: u16) -> Target {
        Target {
            name: Arc::from("silent"),
            driver: Driver::Thin,
            connect: format!("//127.0.0.1:{port}/orcl"),
            login: Login::Password {
                user: "reaper".to_owned(),
                password: Secret::new("secret"),
            },
            tns_admin: None,
            mark: None,
        }
    }

    /// A listener that accepts and says nothing, as long as it is held.
    fn silent() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    }

    #[test]
    fn attempts_that_hang_are_ended_and_the_next_one_is_made() {
        let (listener, port) = silent();
        let slot = ConnectSlot::new();
        let limit = Duration::from_millis(100);
        let mut held = Vec::new();
        // More of them than may hang at a time.
        for attempt in 1..=MAX_HANGING + 4 {
            let error = slot
                .connect(&target(port), limit)
                .map(|_| ())
                .expect_err("it is silent");
            assert_eq!(error.class, Class::Backoff);
            assert_eq!(
                error.to_string(),
                format!("connect to silent with driver thin at //127.0.0.1:{port}/orcl: no answer within 100ms"),
                "attempt {attempt}"
            );
            held.push(listener.accept().expect("it reached the listener").0);
            // The thread ends as soon as it runs.
            let ended = Deadline::begin(Duration::from_secs(20));
            while slot.attempts.state().count > 0 {
                assert!(ended.left().is_some(), "attempt {attempt} still hangs");
                thread::sleep(Duration::from_millis(5));
            }
        }
        for mut stream in held {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .expect("a socket");
            // What the driver has sent, and then the end.
            let mut sent = Vec::new();
            std::io::Read::read_to_end(&mut stream, &mut sent).expect("the server learns that nobody is there");
        }
    }

    #[test]
    fn a_slot_is_free_again_after_a_panic() {
        let slot = ConnectSlot::new();
        let occupied = slot.occupy(Duration::from_secs(60), "test").expect("free");
        assert!(slot.occupy(Duration::ZERO, "test").is_err());
        let thread = thread::spawn(move || {
            let _occupied = occupied;
            panic!("the driver panics");
        });
        assert!(thread.join().is_err());
        assert!(slot.occupy(Duration::ZERO, "test").is_ok());
    }

    #[test]
    fn attempts_that_hang_are_few_and_do_not_keep_the_next_one_out_for_ever() {
        let slot = ConnectSlot::new();
        let limit = Duration::from_millis(1);
        let mut hanging = Vec::new();
        while hanging.len() < MAX_HANGING {
            let before = Deadline::begin(Duration::from_secs(60));
            let occupied = loop {
                match slot.occupy(limit, "test") {
                    Ok(occupied) => break occupied,
                    Err(error) => assert!(error.why.contains("still hang"), "{error}"),
                }
                assert!(before.left().is_some(), "kept out by {}", hanging.len());
            };
            hanging.push(occupied);
        }
        // 10 ms, doubled for each of eight: long over.
        thread::sleep(limit * WAIT_TIMES * (1 << MAX_HANGING));
        let error = slot.occupy(limit, "test").map(|_| ()).expect_err("they are enough");
        assert!(error.why.starts_with("8 earlier attempts"), "{error}");
        hanging.clear();
        assert!(
            slot.occupy(limit, "test").is_ok(),
            "the last one that ends lets in at once"
        );
    }

    #[test]
    fn an_alias_or_a_wallet_that_is_not_found_says_where_was_looked() {
        for (number, word) in [
            (12154, "tnsnames.ora"),
            (28759, "WALLET_LOCATION"),
            (12578, "WALLET_LOCATION"),
        ] {
            let error = Error {
                code: Some(number),
                ..Error::new(Class::Config, "connect to crm", format!("ORA-{number:05}"))
            };
            let told = with_place(error).to_string();
            assert!(told.contains(word) && told.contains("TNS_ADMIN"), "{told}");
        }
        let other = Error::new(Class::Backoff, "connect to crm", "ORA-12541");
        assert_eq!(with_place(other.clone()), other);
    }
}
