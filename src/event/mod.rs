//! Everything that the daemon does or learns, as one typed value.
//!
//! [`EventSink`](crate::event_sink::EventSink) turns each [`Event`] into the journal record, the log line, the metrics, the status page
//! and the notifications. Events have no other way to journal, metrics and page, so these cannot contradict each other. Technical log
//! lines are written where they occur.
//!
//! Texts that a client can set (program, machine, a reason that quotes them) are data here: the journal and the log escape
//! them, and no metric has them as a label.

mod cycle_report;
mod log;
mod outlook;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::decide::guard::Warrant;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::refill::{ClientGroup, Return};
use crate::decide::used_again::Aftermath;
use crate::decide::verify::Verification;
pub use crate::event::cycle_report::{
    Breakers, CycleReport, CycleStep, InstanceReport, PolicyReport, READ_TOO_SLOWLY, SessionCount, SpareReason,
    StatusLabel, Suspensions, TypeLabel,
};
pub use crate::event::outlook::{BudgetReport, LingeringReport, PendingReport};
use crate::oracle::Class;
use crate::oracle::identity::DatabaseIdentity;
use crate::policy::model::{Action, Labels};
use crate::session::SessionKey;
use crate::session::column::{Column, Kind};
use crate::session::snapshot::{Field, Snapshot};
use crate::session::time::DbTime;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The daemon started.
    Started {
        /// Its version.
        version: &'static str,
        /// Whether every action is a dry run.
        dry_run: bool,
    },
    /// The daemon stops.
    Stopping {
        /// The reason: a signal, an error.
        reason: String,
    },
    /// The policies were loaded, or loading them failed.
    Policies(PolicyLoad),
    /// The files that protect the pages have changed and were read anew.
    WebConfig {
        /// Why they are not in force; what was in force stays in force.
        error: Option<String>,
    },
    /// A database answers.
    DatabaseUp {
        /// Its name.
        database: Arc<str>,
        /// Its instances: INST_ID and INSTANCE_NAME.
        instances: Vec<(u32, String)>,
        /// The release that it reports.
        release: String,
    },
    /// A database does not answer any more, or has never answered.
    DatabaseDown {
        /// Its name.
        database: Arc<str>,
        /// The error.
        error: String,
    },
    /// A call to a database failed. Whether the database is down is another event.
    DriverError {
        /// The database.
        database: Arc<str>,
        /// The class of the error.
        class: Class,
        /// What was tried, and the error.
        error: String,
    },
    /// The set of connections that stand by for actions has changed.
    Acting {
        /// The database.
        database: Arc<str>,
        /// Each connection that is needed: its INST_ID, and whether it is open. Empty if no policy enforces. `None` as INST_ID:
        /// a connection to any instance would do, and none is open.
        connections: Vec<(Option<u32>, bool)>,
        /// How many connections for actions do not come back from a call of the driver.
        hanging: usize,
    },
    /// An action is about to be taken.
    Intent(Arc<Intent>),
    /// The outcome of an intent.
    Outcome(Outcomed),
    /// A warrant was dropped before anything was tried; the message says why.
    Dropped(Outcomed),
    /// A snapshot shows the effect of an earlier action.
    Verification {
        /// The database.
        database: Arc<str>,
        /// The effect.
        verification: Verification,
    },
    /// A policy's whole plan was refused.
    BreakerOpened {
        /// The database.
        database: Arc<str>,
        /// The policy.
        policy: Arc<str>,
        /// The mode in which the policy runs.
        mode: RunMode,
        /// The counts that opened it.
        reason: String,
    },
    /// A policy's breaker is closed again.
    BreakerClosed {
        /// The database.
        database: Arc<str>,
        /// The policy.
        policy: Arc<str>,
        /// The mode in which the policy ran when the breaker opened.
        mode: RunMode,
    },
    /// A session logged in soon after a session of the same group was killed.
    CameBack {
        /// The database.
        database: Arc<str>,
        /// The killed session and the new one.
        back: Return,
    },
    /// A snapshot shows what became of a session that a dry run would have ended.
    Rehearsed {
        /// The database.
        database: Arc<str>,
        /// The session, and what became of it.
        aftermath: Aftermath,
    },
    /// A policy is suspended for a group, because the group refills.
    GroupSuspended {
        /// The database.
        database: Arc<str>,
        /// The policy.
        policy: Arc<str>,
        /// The group.
        who: ClientGroup,
        /// How often the group refilled, and until when at least the policy leaves it alone.
        reason: String,
    },
    /// A policy is no longer suspended for a group.
    GroupReleased {
        /// The database.
        database: Arc<str>,
        /// The policy.
        policy: Arc<str>,
        /// The group.
        who: ClientGroup,
    },
    /// A cycle is complete.
    Cycle(Arc<CycleReport>),
    /// No action is taken on any database until [`Event::Resumed`].
    Paused {
        /// Who paused: an operator, the file.
        by: String,
        /// The reason; may be empty.
        reason: String,
        /// Whether the daemon counts as paused only because it cannot read the switch.
        trouble: bool,
    },
    /// Actions are permitted again.
    Resumed {
        /// Who ended the pause.
        by: String,
    },
    /// The journal takes no records any more, so no session is acted on.
    JournalFails {
        /// Why.
        error: String,
    },
    /// The journal takes records again: this is the first of them.
    JournalAgain(JournalGap),
    /// Retention deletes the journal's oldest file.
    Retention(DeletedFile),
    /// An exemption ends soon.
    ExemptionEnds(ExemptionEnd),
}

/// An exemption that ends soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptionEnd {
    /// Who is responsible for it; may be empty.
    pub owner: String,
    /// Why there is one.
    pub reason: String,
    /// The last day on which it applies, in the time zone of the configuration.
    pub last_day: NaiveDate,
    /// The policy file and line.
    pub origin: String,
}

/// A file of the journal that retention deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedFile {
    /// The configured limit that it is beyond.
    pub reason: String,
    /// Its length.
    pub bytes: u64,
    /// How many records it has.
    pub records: u64,
    /// When its first record was written, by the host's clock.
    pub from: DateTime<Utc>,
    /// When its last record was written.
    pub to: DateTime<Utc>,
    /// The hash of its last line, which the record after it carries.
    pub through: String,
}

/// What the journal did not take while it took nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalGap {
    /// Since when it took nothing, by the host's clock.
    pub since: DateTime<Utc>,
    /// Why, as it was last.
    pub error: String,
    /// Intents that were refused: no statement was sent for them.
    pub refused: u64,
    /// Other records that are in no journal.
    pub lost: u64,
}

/// The result of loading the policies.
#[derive(Clone, Debug)]
pub enum PolicyLoad {
    /// The policies are in force from now on.
    Loaded(InForceReport),
    /// They are invalid; the previous policies stay in force.
    Failed {
        /// The problems as they were reported.
        error: String,
    },
}

/// The policies and databases in force.
#[derive(Clone, Debug, Default)]
pub struct InForceReport {
    /// The set's digest.
    pub digest: Arc<str>,
    /// How many policies the files contain.
    pub policies: usize,
    /// How many exemptions the files contain.
    pub exemptions: usize,
    /// The policies and exemptions that were in force before this reload and are not in the files any more, each in words.
    pub lost: Vec<String>,
    /// The time zone of the configuration.
    pub timezone: Tz,
    /// Every configured database, with the policies that it runs.
    pub databases: Vec<LoadedDatabase>,
}

/// What is in force for one database.
#[derive(Clone, Debug)]
pub struct LoadedDatabase {
    /// Its name.
    pub database: Arc<str>,
    /// Its place, see [`crate::config::DatabaseConfig::place`].
    pub place: Arc<str>,
    /// Its driver's name.
    pub driver: &'static str,
    /// Whether `armed: true` permits actions.
    pub armed: bool,
    /// How often it is polled.
    pub poll: Duration,
    /// Its labels from the configuration.
    pub labels: Labels,
    /// The policies that it runs.
    pub policies: Vec<LoadedPolicy>,
}

/// A policy as one database runs it.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// Its name.
    pub policy: Arc<str>,
    /// Its mode on this database.
    pub mode: RunMode,
    /// Its action and its escalations.
    pub actions: Vec<Action>,
}

/// An action that is about to be taken, with everything that may be of interest later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The journal's number of the action, unique in the journal.
    pub id: u64,
    /// The database.
    pub database: Arc<str>,
    /// The place of the database at that time, see [`crate::config::DatabaseConfig::place`]; `None` in records of older versions.
    pub place: Option<Arc<str>>,
    /// Which database the name led to; `None` in records of older versions, and where nothing was tried.
    pub identity: Option<Arc<DatabaseIdentity>>,
    /// The session.
    pub key: SessionKey,
    /// The policy.
    pub policy: Arc<str>,
    /// The digest of the policy set.
    pub policy_digest: String,
    /// The mode: in a dry run the statement is not sent.
    pub mode: RunMode,
    /// The action.
    pub action: Action,
    /// The session's USERNAME.
    pub username: Option<String>,
    /// The session's PROGRAM.
    pub program: Option<String>,
    /// The session's MACHINE.
    pub machine: Option<String>,
    /// Who ordered it by hand; `None` for a policy's.
    pub operator: Option<String>,
    /// Why the session matches, in words.
    pub reason: String,
    /// The statement, as far as it is known before the session is read again; none for `report`.
    pub statement: Option<String>,
    /// The snapshot's time, by the database's clock in UTC.
    pub taken_at: DateTime<Utc>,
    /// How long before this the answer with the snapshot's clock was there, by the host's monotonic clock; zero in records of older
    /// versions. So a record that comes late is not taken for a step of a clock.
    pub waited: Duration,
    /// The session's columns in the snapshot.
    pub session: Evidence,
}

impl Intent {
    /// The intent to carry out a warrant. `snapshot` is the snapshot that the warrant is based on, or the part of it that was kept.
    #[must_use]
    pub(crate) fn of(
        id: u64,
        (database, place): (&Arc<str>, &Arc<str>),
        warrant: &Warrant,
        snapshot: Option<&Snapshot>,
        statement: Option<&str>,
        identity: Option<&DatabaseIdentity>,
        waited: Duration,
    ) -> Intent {
        let seen = snapshot.and_then(|snapshot| Some((snapshot, snapshot.find(warrant.key())?)));
        let text = |column| {
            seen.and_then(|(snapshot, row)| snapshot.text(row, column))
                .map(str::to_owned)
        };
        Intent {
            id,
            database: Arc::clone(database),
            place: Some(Arc::clone(place)),
            identity: identity.cloned().map(Arc::new),
            key: warrant.key(),
            policy: Arc::clone(&warrant.policy().name),
            policy_digest: warrant.set().digest.clone(),
            mode: warrant.mode(),
            action: warrant.action(),
            username: text(Column::Username),
            program: text(Column::Program),
            machine: text(Column::Machine),
            operator: warrant.order().map(|order| order.by.clone()),
            reason: warrant.reason().to_owned(),
            statement: statement.map(str::to_owned),
            taken_at: warrant.issued(),
            waited,
            session: seen
                .map(|(snapshot, row)| Evidence::of(snapshot, row))
                .unwrap_or_default(),
        }
    }
}

/// An intent with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomed {
    /// The intent.
    pub intent: Arc<Intent>,
    /// The outcome.
    pub outcome: Outcome,
    /// The ORA- number, 0 for success; `None` if nothing was sent or no answer came.
    pub code: Option<u32>,
    /// The message of Oracle or the driver, or why the session was spared.
    pub message: Option<String>,
    /// The statement that was sent, or would have been.
    pub statement: Option<String>,
    /// The session as it was read again.
    pub session: Evidence,
    /// The duration of the re-check and the statement.
    pub took: Duration,
}

impl Outcomed {
    /// The outcome of an intent for which no call to the database was made.
    #[must_use]
    pub(crate) fn untold(intent: &Arc<Intent>, outcome: Outcome, why: &str) -> Outcomed {
        Outcomed {
            intent: Arc::clone(intent),
            outcome,
            code: None,
            message: Some(why.to_owned()),
            statement: None,
            session: Evidence::default(),
            took: Duration::ZERO,
        }
    }
}

/// The columns of a session that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence(pub Vec<(Column, EvidenceValue)>);

/// A column's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceValue {
    /// NULL.
    Null,
    /// VARCHAR2.
    Text(String),
    /// NUMBER, in the column's unit.
    Number(i64),
    /// DATE.
    Time(DbTime),
}

impl Evidence {
    /// The columns of one row. A column that was not read is left out; NULL is kept.
    #[must_use]
    pub(crate) fn of(snapshot: &Snapshot, row: usize) -> Evidence {
        let columns = Column::ALL.iter().filter_map(|column| {
            let value = match snapshot.field(row, *column) {
                Field::Missing => return None,
                Field::Null => EvidenceValue::Null,
                Field::Text(text) => EvidenceValue::Text(text.to_owned()),
                Field::Number(number) if column.kind() == Kind::Time => EvidenceValue::Time(DbTime(number)),
                Field::Number(number) => EvidenceValue::Number(number),
            };
            Some((*column, value))
        });
        Evidence(columns.collect())
    }

    /// A column's value, if it was read.
    #[must_use]
    pub(crate) fn get(&self, column: Column) -> Option<&EvidenceValue> {
        self.0
            .iter()
            .find(|(known, _)| *known == column)
            .map(|(_, value)| value)
    }

    /// The SQL_ID and SQL_EXEC_ID of the session's statement.
    #[must_use]
    pub(crate) fn sql_exec(&self) -> Option<(String, Option<i64>)> {
        let Some(EvidenceValue::Text(sql_id)) = self.get(Column::SqlId) else {
            return None;
        };
        let exec = match self.get(Column::SqlExecId) {
            Some(EvidenceValue::Number(exec)) => Some(*exec),
            Some(EvidenceValue::Null | EvidenceValue::Text(_) | EvidenceValue::Time(_)) | None => None,
        };
        Some((sql_id.clone(), exec))
    }
}
