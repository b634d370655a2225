//! The thread that reads: one connection, one snapshot at a time, made when it is asked for.
//!
//! It owns the connection for reading and reconnects when that is lost. It never decides anything. When the account is
//! refused it stops connecting: each further attempt would bring the account nearer to its lock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::daemon::database::Input;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::pressure::read_pressure;
use crate::oracle::probe::probe;
use crate::oracle::read::read_snapshot;
use crate::oracle::sql::Scope;
use crate::oracle::{Class, ConnectSlot, Connection, Error, Purpose, Target};
use crate::policy::pressure::Resource;
use crate::pressure::Readings;
use crate::session::column::Columns;
use crate::session::snapshot::Snapshot;

/// How to reach a database and how long each step may take.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Where.
    pub target: Target,
    /// For connecting.
    pub connect_limit: Duration,
    /// For each call.
    pub call_limit: Duration,
}

/// What a snapshot has to tell.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Columns that the policies speak of.
    pub columns: Columns,
    /// Resources that they watch.
    pub resources: Vec<Resource>,
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
    /// Views that could not be read: their columns are missing.
    pub unreadable: Vec<Error>,
    /// A warning that came with the login of the connection.
    pub warning: Option<String>,
}

/// Reads when asked. Ends when nobody asks any more.
pub fn run(reach: &Reach, clock: &dyn Clock, asks: &Receiver<Needs>, inputs: &Sender<Input>) {
    let slot = ConnectSlot::new();
    let mut connected: Option<(Box<dyn Connection>, Arc<Capabilities>)> = None;
    for needs in asks {
        let answer = poll(reach, clock, &slot, &mut connected, &needs);
        if let Err(error) = &answer
            && error.class.costs_the_connection()
        {
            connected = None;
        }
        if inputs.send(Input::Polled(answer)).is_err() {
            break;
        }
    }
    if let Some((connection, _)) = connected {
        connection.close(Duration::from_secs(1));
    }
}

fn poll(
    reach: &Reach,
    clock: &dyn Clock,
    slot: &ConnectSlot,
    connected: &mut Option<(Box<dyn Connection>, Arc<Capabilities>)>,
    needs: &Needs,
) -> Result<Box<Polled>, Error> {
    if connected.is_none() {
        let mut connection = slot.connect(&reach.target, Purpose::Poll, reach.connect_limit)?;
        let capabilities = probe(&mut *connection, reach.call_limit)?;
        *connected = Some((connection, Arc::new(capabilities)));
    }
    let Some((connection, capabilities)) = connected else {
        return Err(Error::new(Class::Bug, "poll", "no connection after connecting"));
    };
    let began = clock.now();
    let trips = connection.round_trips();
    let limit = reach.call_limit;
    let taken = read_snapshot(&mut **connection, needs.columns, capabilities, Scope::All, limit)?;
    let (readings, unreadable) = read_pressure(
        &mut **connection,
        &needs.resources,
        &taken.snapshot,
        capabilities,
        limit,
    )?;
    Ok(Box::new(Polled {
        snapshot: taken.snapshot,
        readings,
        unreadable: taken.unreadable.into_iter().chain(unreadable).collect(),
        capabilities: Arc::clone(capabilities),
        began,
        took: clock.now().since(began),
        round_trips: connection.round_trips() - trips,
        warning: connection.warning().map(str::to_owned),
    }))
}

/// Starts the thread.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(
    reach: Reach,
    clock: Arc<dyn Clock>,
    asks: Receiver<Needs>,
    inputs: Sender<Input>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("poll-{}", reach.target.name))
        .spawn(move || run(&reach, &*clock, &asks, &inputs))
}
