//! The messages between a database's threads: the requests to the reading and the acting thread, and what its loop receives from
//! them and from the daemon.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};

use crate::actuator::ending::Ending;
use crate::checks::{Check, Id, State};
use crate::clock::Monotonic;
use crate::columns_needed;
use crate::daemon::operator::{OperatorRequest, OrderStep};
use crate::daemon::others::{OtherDaemon, ShownLock, others, own_lock};
use crate::daemon::ranks::Leader;
use crate::daemon::siblings::Siblings;
use crate::daemon::standby::{ConnectionState, StandbyOrder};
use crate::decide::cycle::{Done, Memory};
use crate::decide::guard::Warrant;
use crate::decide::in_force::DatabaseRules;
use crate::decide::pressure::Readings;
use crate::decide::rates::Rates;
use crate::oracle::access::Unreadable;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::{Error, LeaderLock, TextForm};
use crate::policy::pressure::Resource;
use crate::rows_needed::{RowsNeeded, Selection};
use crate::session::SessionKey;
use crate::session::column::Columns;
use crate::session::snapshot::Snapshot;

/// What to do about DATEs that come from different clocks.
const DATES_REMEDY: &str = "unset FIXED_DATE, leave TIME_AT_DBTIMEZONE as it is by default, and start the listener under the time zone \
                            (TZ) of the database";

/// Everything that can happen to a database.
#[derive(Debug)]
pub enum Input {
    /// A snapshot, or why there is none.
    Polled(Result<Box<Polled>, Error>),
    /// A message of an acting thread, with the thread's number.
    Acted(usize, Acted),
    /// A request of an operator.
    Asked(Box<OperatorRequest>),
    /// New policies and settings, already checked.
    Reload(Arc<DatabaseRules>, Settings),
    /// The end.
    Stop,
}

/// How a database is watched. A reload may change it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configured name, which stays.
    pub name: Arc<str>,
    /// Between the beginnings of two snapshots.
    pub poll: Duration,
    /// The same while a policy's gate is open; shorter.
    pub pressed: Option<Duration>,
    /// Between the first snapshot and the second, so that not all databases are read at the same time.
    pub stagger: Duration,
    /// A read that takes longer hangs. Nothing can end it, but it is reported.
    pub patience: Duration,
    /// The same for a step of acting: a statement, or a connection that has to stand by.
    pub acting_patience: Duration,
    /// Other entries that may lead to the same database.
    pub siblings: Arc<Siblings>,
    /// The lock by which one of several daemons leads, if there is one.
    pub leader: Option<Leader>,
}

/// What a snapshot has to contain.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Columns that the policies use.
    pub columns: Columns,
    /// Resources that the policies use.
    pub resources: Vec<Resource>,
    /// Whether the probe has to be repeated: after a reload, after a step of the database's clock, or when this daemon begins to lead.
    pub anew: bool,
    /// The sessions that are needed; `None` if all are.
    pub(crate) rows: Option<RowsNeeded>,
}

impl Needs {
    /// All sessions, with these columns and resources.
    #[must_use]
    pub fn all_sessions(columns: Columns, resources: Vec<Resource>) -> Needs {
        Needs {
            columns,
            resources,
            anew: false,
            rows: None,
        }
    }

    /// What the policies of a database need beside what is remembered, if nothing is under way.
    #[must_use]
    pub fn of(rules: &DatabaseRules, memory: &Memory) -> Needs {
        Needs {
            columns: columns_needed::columns(rules.set()),
            resources: columns_needed::resources(rules.set()),
            anew: false,
            rows: Some(RowsNeeded::of(&Arc::new(Selection::of(rules)), memory)),
        }
    }
}

/// A snapshot with what was read with it.
#[derive(Debug)]
pub struct Polled {
    /// The sessions.
    pub snapshot: Snapshot,
    /// The resources of the instances.
    pub readings: Readings,
    /// The result of the database's probe.
    pub capabilities: Arc<Capabilities>,
    /// When the reading began.
    pub(crate) began: Monotonic,
    /// When the answer with the database's clock was there.
    pub(crate) clock_came: Monotonic,
    /// How long the reading took.
    pub(crate) took: Duration,
    /// The number of round trips that the reading took.
    pub(crate) round_trips: u64,
    /// Needed views that could not be read, each once.
    pub(crate) unreadable: Vec<Unreadable>,
    /// What the database answered to a query for a part of the sessions, if it did not take it.
    pub(crate) refused_part: Option<String>,
    /// Why ages that are differences of DATEs are unknown, if they are.
    pub(crate) dates_fault: Option<String>,
    /// A warning that came with the login of the connection.
    pub(crate) warning: Option<String>,
    /// The lock by which one of several daemons is to lead here, if there is one.
    pub(crate) leader: Option<LeaderLock>,
}

impl Polled {
    /// Notes on the database: what is unusual, and what could not be read.
    #[must_use]
    pub(crate) fn checks(&self) -> Vec<Check> {
        let dates = self.dates_fault.iter();
        let dates = dates.map(|fault| Check::new(Id::Clock, "SYSDATE", State::Missing, fault).with(DATES_REMEDY));
        let warning = self.warning.iter();
        let warning = warning.map(|warning| Check::new(Id::Account, "", State::Note, warning));
        let notes = self.capabilities.notes.iter().cloned();
        let strangers = self.capabilities.strangers(&self.snapshot);
        let unreadable = self.unreadable.iter().map(Unreadable::check);
        let part = self.refused_part.iter().map(|answer| {
            let found = format!(
                "all sessions are read, because the query for those that the policies need was refused: {answer}"
            );
            Check::new(Id::View, "GV$SESSION", State::Note, found)
        });
        let all = dates.chain(warning).chain(notes).chain(part);
        let others = self.other_daemons_check();
        all.chain(strangers).chain(unreadable).chain(others).collect()
    }

    /// What there is to say of daemons that may act at the same time as this one.
    #[must_use]
    fn other_daemons_check(&self) -> Option<Check> {
        let beside = self.acting_beside();
        let ((first, shown), more) = beside.split_first()?;
        let is_command = self.own_lock().is_none();
        let too = if is_command { "" } else { " too" };
        let (found, remedy) = if let Some(lock) = self.leader {
            let and = match more.len() {
                0 => String::new(),
                more => format!(", and so may {more} more"),
            };
            let found = format!(
                "{first} watches this database{too} and {shown}, while this entry says lock {lock}: it may act at the same time as who leads \
                 by that lock{and}, and each takes its own budgets"
            );
            let remedy = "write the same `leader: {lock: N}` in the entry of each, and run the same version: then one of them acts and the \
                          others stand by";
            (found, remedy)
        } else {
            let and = match more {
                [] => String::new(),
                [(one, _)] => format!(", and so does {one}"),
                several => format!(", and so do {} more", several.len()),
            };
            let found = format!(
                "{first} watches this database{too}{and}: each takes its own budgets, so together they may end that many times as many sessions"
            );
            let remedy = "stop all but one, or write the same `leader: {lock: N}` in the entry of each: then one of them acts and the others \
                          stand by";
            (found, remedy)
        };
        Some(Check::new(Id::OtherDaemon, "", State::Note, found).with(remedy))
    }

    /// The other daemons that may act at the same time as this one, each with how. A daemon that only watches disturbs nobody. A
    /// command looks at a database that a daemon watches: without a leader only the second one counts there.
    #[must_use]
    pub(crate) fn acting_beside(&self) -> Vec<(OtherDaemon, ShownLock)> {
        let own = self.own_lock();
        if own == Some(ShownLock::Watches) {
            return Vec::new();
        }
        let others = self.other_daemons().into_iter();
        let beside = others.filter_map(|other| other.beside(self.leader).map(|shown| (other, shown)));
        let beside: Vec<_> = beside.collect();
        if own.is_none() && self.leader.is_none() && beside.len() < 2 {
            return Vec::new();
        }
        beside
    }

    fn own_lock(&self) -> Option<ShownLock> {
        own_lock(&self.snapshot, self.capabilities.own)
    }

    /// Other daemons that are connected to the database.
    #[must_use]
    pub(crate) fn other_daemons(&self) -> Vec<OtherDaemon> {
        others(&self.snapshot, self.capabilities.own)
    }

    /// The same as notes.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.checks().iter().map(ToString::to_string).collect()
    }
}

/// An order to the acting thread.
#[derive(Debug)]
pub enum ActorOrder {
    /// Check the connections that stand by, and open missing ones.
    StandBy(StandbyOrder),
    /// Carry out a warrant.
    Act(Box<Task>),
}

/// A warrant to be carried out.
#[derive(Debug)]
pub struct Task {
    /// The warrant.
    pub(crate) warrant: Warrant,
    /// A snapshot of its session alone.
    pub(crate) seen: Snapshot,
    /// The cycle that it comes from.
    pub(crate) batch: Arc<Batch>,
}

impl Task {
    /// Whether both are for the same session, policy and action.
    #[must_use]
    pub(crate) fn is_for_the_same(&self, other: &Task) -> bool {
        self.warrant.begun() == other.warrant.begun()
    }
}

/// What the warrants of one cycle have in common.
#[derive(Debug)]
pub struct Batch {
    /// When the reading of their snapshot began.
    pub(crate) began: Monotonic,
    /// When the answer with the snapshot's clock was there.
    pub(crate) clock_came: Monotonic,
    /// How long that reading took.
    pub(crate) read_in: TimeDelta,
    /// How long after that they are valid.
    pub(crate) good_for: Duration,
    /// The rules behind them.
    pub(crate) rules: Arc<DatabaseRules>,
    /// The sum of the steps of the database's clock at that time.
    pub(crate) stepped: TimeDelta,
    /// Sessions that actions are ending.
    pub(crate) ending: Arc<Ending>,
    /// The counters of the last snapshots, theirs included.
    pub(crate) rates: Arc<Rates>,
    /// The current day, which exemptions expire by.
    pub(crate) today: NaiveDate,
    /// The daemon's own sessions, except those of the acting thread.
    pub(crate) own: Vec<SessionKey>,
    /// The names of the instances, for connecting to one.
    pub(crate) instances: BTreeMap<u32, String>,
    /// The form in which the snapshot's texts were read, also for the re-check.
    pub(crate) texts: TextForm,
    /// Set when warrants that have not begun must not be carried out: why not.
    pub(crate) revoked: Arc<OnceLock<String>>,
    /// The term of this daemon's lead that it belongs to, where one of several daemons leads.
    pub(crate) term: Option<u64>,
    /// The operator whose order it is, if it is one.
    pub(crate) told: Option<Sender<OrderStep>>,
}

/// A message of the actor.
#[derive(Debug)]
pub enum Acted {
    /// It has made a connection, whose session must be recognized as the daemon's own.
    Connected(SessionKey),
    /// The state of the connections that stand by.
    Standby(Vec<ConnectionState>),
    /// A warrant was carried out; with the sum of the steps of the database's clock when it was given.
    Done(Box<Done>, TimeDelta),
    /// An intent could not be written, so its warrant was not carried out.
    JournalFailed(String),
    /// It could not connect, so its warrant was not carried out.
    Unreachable(Box<Error>),
    /// The warrant is used up, and another may follow; with the instances of its connections.
    Finished(Vec<u32>),
}
