//! The thread that reads: one connection, one snapshot at a time, made when it is asked for.
//!
//! It owns the connection for reading and reconnects when that is lost. It never decides anything. When the account is
//! refused it stops connecting: each further attempt would bring the account nearer to its lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::config::{SecretError, SecretSource};
use crate::daemon::accounts::Accounts;
use crate::daemon::database::Input;
use crate::decide::pressure::Readings;
use crate::oracle::access::{self, Asked, Unreadable};
use crate::oracle::capabilities::Capabilities;
use crate::oracle::pressure::{Counters, read_pressure};
use crate::oracle::probe::{probe, texts_as_bytes};
use crate::oracle::read::read_snapshot;
use crate::oracle::sql::Scope;
use crate::oracle::{Class, ConnectSlot, Connection, Error, Login, Purpose, Secret, Target, TextForm, panicked};
use crate::policy::pressure::Resource;
use crate::session::SessionKey;
use crate::session::column::Columns;
use crate::session::snapshot::Snapshot;

/// What a database is and lets be read is found out anew after so long, so that a grant that was given is noticed, and one
/// that was taken away, a switchover and a PDB that was opened.
const PROBE_AGAIN: Duration = Duration::from_secs(600);

/// How to reach a database and how long each step may take.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Where and as whom, with the password as it was when the daemon started.
    pub target: Target,
    /// Where the password is kept, if there is one.
    pub password: Option<SecretSource>,
    /// What is known of accounts, so that a password that was refused is not tried again.
    pub accounts: Arc<Accounts>,
    /// For connecting.
    pub connect_limit: Duration,
    /// For each call.
    pub call_limit: Duration,
    /// For a statement that ends a session, which may wait for its victim.
    pub kill_limit: Duration,
}

/// The way to a database, which a reload may change while its threads run. Where it leads never changes: an entry that leads
/// elsewhere gets threads of its own.
#[derive(Clone, Debug)]
pub struct SharedReach(Arc<Mutex<Reach>>);

impl SharedReach {
    /// As it is at first.
    #[must_use]
    pub fn new(reach: Reach) -> SharedReach {
        SharedReach(Arc::new(Mutex::new(reach)))
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Reach {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on.
    pub fn change(&self, reach: Reach) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reach;
    }
}

impl Reach {
    /// The target with the password as it is now. Read anew for each connection, so that one that was changed is picked up:
    /// without that, a reload after a refused login would try the old one once more and bring the account nearer to its lock.
    ///
    /// # Errors
    /// When the password cannot be had any more.
    pub fn target_now(&self) -> Result<Target, Error> {
        let mut target = self.target.clone();
        if let (Login::Password { password, .. }, Some(source)) = (&mut target.login, &self.password) {
            let unread = |error: SecretError| {
                Error::new(
                    Class::Config,
                    format!("connect to {}", self.target.name),
                    error.to_string(),
                )
            };
            *password = Secret::new(source.read().map_err(unread)?.reveal());
        }
        Ok(target)
    }

    /// Connects, to one instance by its name where that is given.
    ///
    /// # Errors
    /// What the driver answers; [`Class::Auth`] without an attempt where this password was refused before.
    pub fn connect(
        &self,
        slot: &ConnectSlot,
        purpose: Purpose,
        instance: Option<&str>,
    ) -> Result<Box<dyn Connection>, Error> {
        let target = self.target_now()?;
        let target = match instance {
            // Where it cannot be asked for, the statement is not sent to another.
            Some(instance) => target.on_instance(instance).unwrap_or(target),
            None => target,
        };
        let attempt = self.accounts.attempt(&self.target_of(&target), self.connect_limit)?;
        let mut answer = slot.connect(&target, purpose, self.connect_limit);
        if let Some(attempt) = attempt {
            attempt.ended(&answer);
        }
        if let (Err(error), Some(source)) = (&mut answer, &self.password)
            && error.is_wrong_password()
        {
            error.why = format!("{}; {}", error.why, source.remedy());
        }
        answer
    }

    /// The same account at the address as it is configured, whichever of its instances is asked for.
    fn target_of(&self, target: &Target) -> Target {
        Target {
            connect: self.target.connect.clone(),
            ..target.clone()
        }
    }
}

/// What a snapshot has to tell.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Columns that the policies speak of.
    pub columns: Columns,
    /// Resources that they watch.
    pub resources: Vec<Resource>,
    /// What the database is and lets be read is to be found out anew: these needs are new, or somebody asked for it.
    pub anew: bool,
}

/// A snapshot with what came along.
#[derive(Debug)]
pub struct Polled {
    /// The sessions.
    pub snapshot: Snapshot,
    /// What instances are short of.
    pub readings: Readings,
    /// What the database is and can.
    pub capabilities: Arc<Capabilities>,
    /// Before the first query.
    pub began: Monotonic,
    /// How long the reading took.
    pub took: Duration,
    /// Round trips it took.
    pub round_trips: u64,
    /// Views that are needed and could not be read, each once.
    pub unreadable: Vec<Unreadable>,
    /// Why ages that are differences of DATEs are unknown, if they are.
    pub dates_fault: Option<String>,
    /// A warning that came with the login of the connection.
    pub warning: Option<String>,
}

impl Polled {
    /// What has to be said of the database itself: what is odd about it, and what it did not let be read.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let unreadable = self.unreadable.iter().map(ToString::to_string);
        let notes = self.dates_fault.iter().chain(&self.warning);
        let notes = notes.chain(&self.capabilities.notes).cloned();
        let strangers = self.capabilities.strangers(&self.snapshot);
        notes.chain(strangers).chain(unreadable).collect()
    }
}

/// Reads snapshots over a connection of its own, which it makes when it has none.
pub struct Poller {
    reach: Reach,
    clock: Arc<dyn Clock>,
    slot: ConnectSlot,
    connected: Option<Connected>,
    /// Since when the texts of sessions are read as their bytes, if they are.
    bytes_since: Option<Monotonic>,
}

/// A connection with what was found out over it.
struct Connected {
    connection: Box<dyn Connection>,
    capabilities: Arc<Capabilities>,
    /// Views that are needed and cannot be read.
    unreadable: Vec<Unreadable>,
    counters: Counters,
    since: Monotonic,
    /// What the log-in showed: a LOGON_TIME of another zone stays so for as long as its session lives.
    fault_at_login: Option<String>,
    /// When; `None` where it turned out to be out of date.
    probed: Option<Monotonic>,
}

/// After a text failed a query, texts are read as their bytes for so long: its session may be gone by then.
const BYTES_FOR: Duration = Duration::from_secs(3_600);

impl Poller {
    /// One without a connection yet.
    #[must_use]
    pub fn new(reach: Reach, clock: Arc<dyn Clock>) -> Poller {
        Poller {
            reach,
            clock,
            slot: ConnectSlot::new(),
            connected: None,
            bytes_since: None,
        }
    }

    /// Reads when asked. Ends when nobody asks any more.
    pub fn run(mut self, reach: &SharedReach, asks: &Receiver<Needs>, inputs: &Sender<Input>) {
        for needs in asks {
            self.reach = reach.now();
            if inputs.send(Input::Polled(self.poll(&needs))).is_err() {
                break;
            }
        }
        self.close();
    }

    /// Logs off.
    pub fn close(self) {
        if let Some(connected) = self.connected {
            connected.connection.close(Duration::from_secs(1));
        }
    }

    /// Its session, while it is connected.
    #[must_use]
    pub fn own(&self) -> Option<SessionKey> {
        self.connected.as_ref().map(|connected| connected.capabilities.own)
    }

    /// How long each step may take, from now on.
    pub fn reach_mut(&mut self) -> &mut Reach {
        &mut self.reach
    }

    /// Reads one snapshot. After an error that costs the connection the next one is read over a new one. Where it fails only
    /// for a text, it is read again at once in a form that cannot.
    ///
    /// # Errors
    /// When there is no snapshot.
    pub fn poll(&mut self, needs: &Needs) -> Result<Box<Polled>, Error> {
        let now = self.clock.now();
        self.bytes_since = self.bytes_since.filter(|since| now.since(*since) < BYTES_FOR);
        match self.read_guarded(needs) {
            Err(error) if error.is_of_a_text() && self.bytes_since.is_none() => {
                self.bytes_since = Some(now);
                self.read_guarded(needs)
            }
            answer => answer,
        }
    }

    fn read_guarded(&mut self, needs: &Needs) -> Result<Box<Polled>, Error> {
        let tried = format!("read {}", self.reach.target.name);
        let answer =
            catch_unwind(AssertUnwindSafe(|| self.read(needs))).unwrap_or_else(|panic| Err(panicked(&tried, &*panic)));
        if let Err(error) = &answer {
            let lost = |connected: &Connected| connected.connection.is_lost();
            if error.class.costs_the_connection() || self.connected.as_ref().is_some_and(lost) {
                self.connected = None;
            }
            // The database does not know a column or a view any more that it knew: it is another release now.
            if let (Class::Unsupported, Some(connected)) = (error.class, &mut self.connected) {
                connected.probed = None;
            }
        }
        answer
    }

    fn read(&mut self, needs: &Needs) -> Result<Box<Polled>, Error> {
        let limit = self.reach.call_limit;
        self.connect_or_probe_again(needs)?;
        let Some(connected) = &mut self.connected else {
            return Err(Error::new(Class::Bug, "poll", "no connection after connecting"));
        };
        let as_bytes = self.bytes_since.is_some();
        if as_bytes != (connected.capabilities.texts != TextForm::Text) {
            let connection = &mut *connected.connection;
            connected.capabilities = Arc::new(if as_bytes {
                texts_as_bytes(connection, &connected.capabilities, limit)?
            } else {
                probe(connection, limit)?
            });
        }
        let (connection, capabilities) = (&mut *connected.connection, &connected.capabilities);
        let began = self.clock.now();
        let trips = connection.round_trips();
        let taken = read_snapshot(connection, needs.columns, capabilities, Scope::All, limit)?;
        let (readings, more) = read_pressure(
            connection,
            &needs.resources,
            &taken.snapshot,
            capabilities,
            &mut connected.counters,
            limit,
        )?;
        let mut unreadable = connected.unreadable.clone();
        for view in taken.unreadable.into_iter().chain(more) {
            if !unreadable.iter().any(|known| known.view == view.view) {
                unreadable.push(view);
            }
        }
        Ok(Box::new(Polled {
            snapshot: taken.snapshot,
            readings,
            unreadable,
            capabilities: Arc::clone(capabilities),
            began,
            took: self.clock.now().since(began),
            round_trips: connection.round_trips() - trips,
            dates_fault: taken.dates_fault,
            warning: connection.warning().map(str::to_owned),
        }))
    }

    /// Makes a connection where there is none, and finds out what the database is and lets be read where that is not known,
    /// was found out long ago, or is asked for.
    fn connect_or_probe_again(&mut self, needs: &Needs) -> Result<(), Error> {
        let now = self.clock.now();
        let limit = self.reach.call_limit;
        let mut before = None;
        let (mut connection, counters) = match self.connected.take() {
            Some(connected) if !needs.anew && connected.probed.is_some_and(|at| now.since(at) < PROBE_AGAIN) => {
                self.connected = Some(connected);
                return Ok(());
            }
            Some(connected) => {
                before = Some((connected.since, connected.fault_at_login));
                (connected.connection, connected.counters)
            }
            None => {
                let connection = self.reach.connect(&self.slot, Purpose::Poll, None)?;
                (connection, Counters::default())
            }
        };
        let mut capabilities = probe(&mut *connection, limit)?;
        let names = capabilities.instances.iter().map(|instance| instance.name.as_str());
        let asked_for = names.map(|name| self.reach.target.on_instance(name).map(|_| ()));
        capabilities.narrows = asked_for.collect();
        let passed = |since| self.clock.now().since(since);
        let (since, fault_at_login) = before.unwrap_or_else(|| (now, capabilities.dates.fault_at_login(passed(now))));
        capabilities.dates_fault = fault_at_login
            .clone()
            .or_else(|| capabilities.dates.fault_later(passed(since)));
        let asked = Asked {
            columns: needs.columns.union(crate::columns_needed::ALWAYS.into_iter().collect()),
            resources: &needs.resources,
            capabilities: &capabilities,
        };
        let unreadable = access::check(&mut *connection, &asked, limit)?;
        self.connected = Some(Connected {
            connection,
            capabilities: Arc::new(capabilities),
            unreadable,
            counters,
            since,
            fault_at_login,
            probed: Some(now),
        });
        Ok(())
    }
}

/// Starts the thread.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(
    reach: SharedReach,
    clock: Arc<dyn Clock>,
    asks: Receiver<Needs>,
    inputs: Sender<Input>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("poll-{}", reach.now().target.name))
        .spawn(move || Poller::new(reach.now(), clock).run(&reach, &asks, &inputs))
}
