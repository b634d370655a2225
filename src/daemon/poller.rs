//! The reading thread: one connection, and one snapshot at a time, on request.
//!
//! It owns the reading connection and reconnects when that is lost. It decides nothing. When the account is refused, it stops
//! connecting: each further attempt would bring the account nearer to its lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use crate::actuator::way::probe;
use crate::clock::{Clock, Monotonic};
use crate::daemon::messages::{Input, Needs, Polled};
use crate::daemon::part_reader::PartReader;
use crate::daemon::reach::{Reach, SharedReach};
use crate::oracle::access::{self, PolicyNeeds, Unreadable};
use crate::oracle::capabilities::Capabilities;
use crate::oracle::pressure::{Counters, read_pressure};
use crate::oracle::probe::texts_as_bytes;
use crate::oracle::{Class, ConnectSlot, Connection, Error, TextForm, panicked};
use crate::session::SessionKey;

/// How often the probe is repeated, so that new and revoked grants, a switchover and an opened PDB are noticed.
pub const PROBE_AGAIN: Duration = Duration::from_secs(600);

/// Reads snapshots over a connection of its own, which it makes as needed.
pub struct Poller {
    reach: Reach,
    clock: Arc<dyn Clock>,
    slot: ConnectSlot,
    connected: Option<Connected>,
    /// A connection, and since when it is open, over which the probe failed because a right is missing. The next
    /// attempt uses it, so that no log-in is made for each.
    unknown: Option<(Box<dyn Connection>, Monotonic)>,
    /// Since when the texts of sessions are read as bytes, if they are.
    bytes_since: Option<Monotonic>,
    /// Whether all sessions are read, or a part.
    part: PartReader,
}

/// A connection with the results of its probe.
struct Connected {
    connection: Box<dyn Connection>,
    capabilities: Arc<Capabilities>,
    /// Needed views that cannot be read.
    unreadable: Vec<Unreadable>,
    counters: Counters,
    since: Monotonic,
    /// Why DATEs cannot be compared, found at the log-in; it applies as long as the session lives.
    fault_at_login: Option<String>,
    /// When the probe ran; `None` if its results are out of date.
    probed: Option<Monotonic>,
}

/// How long texts are read as bytes after a text failed a query; by then its session may be gone.
const BYTES_FOR: Duration = Duration::from_secs(3_600);

impl Poller {
    /// A poller without a connection.
    #[must_use]
    pub fn new(reach: Reach, clock: Arc<dyn Clock>) -> Poller {
        Poller {
            reach,
            clock,
            slot: ConnectSlot::new(),
            connected: None,
            unknown: None,
            bytes_since: None,
            part: PartReader::default(),
        }
    }

    /// Reads on request, until the requester is gone.
    pub(crate) fn run(mut self, reach: &SharedReach, asks: &Receiver<Needs>, inputs: &Sender<Input>) {
        for needs in asks {
            let reach = reach.now();
            if reach.target.mark != self.reach.target.mark {
                // What its session shows is no longer so; other daemons go by it.
                self.log_off();
            }
            self.reach = reach;
            if inputs.send(Input::Polled(self.poll(&needs))).is_err() {
                break;
            }
        }
        self.close();
    }

    /// Logs off.
    pub fn close(mut self) {
        self.log_off();
    }

    fn log_off(&mut self) {
        let known = self.connected.take().map(|connected| connected.connection);
        let unknown = self.unknown.take().map(|(connection, _)| connection);
        for connection in known.into_iter().chain(unknown) {
            connection.close(Duration::from_secs(1));
        }
    }

    /// The connection that is there, if one is, with what is known of the database, if anything is.
    pub(crate) fn connection(&mut self) -> Option<(&mut dyn Connection, Option<Arc<Capabilities>>)> {
        match (&mut self.connected, &mut self.unknown) {
            (Some(connected), _) => Some((&mut *connected.connection, Some(Arc::clone(&connected.capabilities)))),
            (None, Some((connection, _))) => Some((&mut **connection, None)),
            (None, None) => None,
        }
    }

    /// Its own session, if it is connected.
    #[must_use]
    pub fn own(&self) -> Option<SessionKey> {
        self.connected.as_ref().map(|connected| connected.capabilities.own)
    }

    /// The limits of each step, to be changed by a reload.
    pub fn reach_mut(&mut self) -> &mut Reach {
        &mut self.reach
    }

    /// Reads one snapshot. After an error that loses the connection, the next one is read over a new connection. If only a text makes
    /// it fail, it is read again at once with texts as bytes.
    ///
    /// # Errors
    /// When there is no complete answer.
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
            // A known column or view no longer exists: the database has another release now.
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
                probe(connection, self.reach.via, limit)?
            });
        }
        let (connection, capabilities) = (&mut *connected.connection, &connected.capabilities);
        let began = self.clock.now();
        let trips = connection.round_trips();
        let mut clock_came = began;
        let taken = self.part.read(connection, needs, capabilities, limit, &mut || {
            clock_came = self.clock.now();
        })?;
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
            clock_came,
            took: self.clock.now().since(began),
            round_trips: connection.round_trips() - trips,
            dates_fault: taken.dates_fault,
            refused_part: self.part.refused(needs).map(ToString::to_string),
            warning: connection.warning().map(str::to_owned),
            leader: self.reach.leader.as_ref().map(|leader| leader.lock),
        }))
    }

    /// Makes a connection if there is none, and repeats the probe if its results are missing or old, or if it is requested.
    fn connect_or_probe_again(&mut self, needs: &Needs) -> Result<(), Error> {
        let now = self.clock.now();
        let limit = self.reach.call_limit;
        let mut before = None;
        let mut began = now;
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
                let connection = match self.unknown.take() {
                    Some((connection, since)) => {
                        began = since;
                        connection
                    }
                    None => self.reach.connect(&self.slot)?,
                };
                (connection, Counters::default())
            }
        };
        let mut capabilities = match probe(&mut *connection, self.reach.via, limit) {
            Ok(capabilities) => capabilities,
            Err(error) => {
                if error.is_missing_right() && !connection.is_lost() {
                    self.unknown = Some((connection, before.map_or(began, |(since, _)| since)));
                }
                return Err(error);
            }
        };
        let names = capabilities.instances.iter().map(|instance| instance.name.as_str());
        let asked_for = names.map(|name| self.reach.target.on_instance(name).map(|_| ()));
        capabilities.narrows = asked_for.collect();
        let passed = |since| self.clock.now().since(since);
        let (since, fault_at_login) =
            before.unwrap_or_else(|| (began, capabilities.dates.fault_at_login(passed(began))));
        capabilities.dates_fault = fault_at_login
            .clone()
            .or_else(|| capabilities.dates.fault_later(passed(since)));
        let asked = PolicyNeeds {
            columns: needs.columns.union(crate::columns_needed::ALWAYS.into_iter().collect()),
            resources: &needs.resources,
            shape: capabilities.shape(),
        };
        let unreadable = access::check(&mut *connection, &asked, capabilities.grantee(), limit)?;
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
/// When the thread cannot be started.
pub(crate) fn start(
    reach: SharedReach,
    clock: Arc<dyn Clock>,
    asks: Receiver<Needs>,
    inputs: Sender<Input>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("poll-{}", reach.now().target.name))
        .spawn(move || Poller::new(reach.now(), clock).run(&reach, &asks, &inputs))
}
