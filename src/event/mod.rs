//! What happened, as one typed value.
//!
//! Whatever the daemon does or learns becomes an [`Event`], and [`Recorder`](crate::recorder::Recorder) turns that one value
//! into the journal's record, the log line, the metrics and the status page. Nothing is told to one of them alone, so they
//! cannot contradict each other.
//!
//! Texts that a client can set (program, machine, a reason that quotes them) are data here: the journal and the log escape
//! them, and no metric has them as a label.

mod cycle_report;
mod log;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::decide::guard::{RunMode, Warrant};
use crate::decide::outcome::Outcome;
use crate::decide::respawn::{Return, Who};
use crate::decide::verify::Verification;
pub use crate::event::cycle_report::{
    Breakers, CycleReport, InstanceReport, PolicyReport, READ_TOO_SLOWLY, SessionCount, SessionStatus, SessionType,
    SpareReason, Step, Suspensions,
};
use crate::oracle::Class;
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
        /// Why: a signal, an error.
        reason: String,
    },
    /// Policies were loaded, or were not.
    Policies(PolicyLoad),
    /// A database answers.
    DatabaseUp {
        /// Which.
        database: Arc<str>,
        /// Its instances: INST_ID and INSTANCE_NAME.
        instances: Vec<(u32, String)>,
        /// Its release, as it says.
        release: String,
    },
    /// A database does not answer any more, or has not yet.
    DatabaseDown {
        /// Which.
        database: Arc<str>,
        /// Why.
        error: String,
    },
    /// A call to a database failed. Each is counted; whether it means "down" is another event.
    DriverError {
        /// Which database.
        database: Arc<str>,
        /// What the error means.
        class: Class,
        /// What was tried and what came of it.
        error: String,
    },
    /// Which connections stand by to act on has changed.
    Acting {
        /// For which database.
        database: Arc<str>,
        /// Each that is needed, with the instance that it is to, and whether it is there. None where no policy enforces; no
        /// instance where any would do and there is none.
        connections: Vec<(Option<u32>, bool)>,
    },
    /// An action is about to be taken.
    Intent(Arc<Intent>),
    /// An action was taken, or was not after all.
    Outcome(Outcomed),
    /// A warrant was dropped before anything was tried, and why.
    Dropped(Outcomed),
    /// A snapshot showed what became of an action.
    Verification {
        /// Of which database.
        database: Arc<str>,
        /// What was shown.
        verification: Verification,
    },
    /// A policy's whole plan was refused.
    BreakerOpened {
        /// On which database.
        database: Arc<str>,
        /// Whose plan.
        policy: Arc<str>,
        /// Whether the plan would have been carried out.
        mode: RunMode,
        /// The figures.
        reason: String,
    },
    /// A policy's breaker is closed again.
    BreakerClosed {
        /// On which database.
        database: Arc<str>,
        /// Whose.
        policy: Arc<str>,
        /// How the policy ran when it opened.
        mode: RunMode,
    },
    /// A session logged in soon after one of the like was ended.
    CameBack {
        /// To which database.
        database: Arc<str>,
        /// Who was ended, and who came.
        back: Return,
    },
    /// A policy leaves a group alone, because it refills.
    GroupSuspended {
        /// On which database.
        database: Arc<str>,
        /// Which policy.
        policy: Arc<str>,
        /// The group.
        who: Who,
        /// How often it refilled, and until when it is left alone at least.
        reason: String,
    },
    /// A policy may take sessions of the group again.
    GroupReleased {
        /// On which database.
        database: Arc<str>,
        /// Which policy.
        policy: Arc<str>,
        /// The group.
        who: Who,
    },
    /// A cycle is done.
    Cycle(Arc<CycleReport>),
    /// No database acts any more until further notice.
    Paused {
        /// By whom or what: an operator, the file.
        by: String,
        /// Why; may be empty.
        reason: String,
        /// Whether nobody set it: the switch cannot be looked at, which counts as paused.
        trouble: bool,
    },
    /// They act again.
    Resumed {
        /// By whom or what.
        by: String,
    },
}

/// What loading the policies came to.
#[derive(Clone, Debug)]
pub enum PolicyLoad {
    /// They are in force from now on.
    Loaded(Loaded),
    /// They did not check; what was in force before stays so.
    Failed {
        /// The problems as they were reported.
        error: String,
    },
}

/// What is in force.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The set's digest.
    pub digest: Arc<str>,
    /// How many policies the files hold.
    pub policies: usize,
    /// Every configured database, with the policies that it runs.
    pub databases: Vec<LoadedDatabase>,
}

/// One database's part of what is in force.
#[derive(Clone, Debug)]
pub struct LoadedDatabase {
    /// Its name.
    pub database: Arc<str>,
    /// Where it leads, [`crate::config::Database::place`].
    pub place: Arc<str>,
    /// Its driver's name.
    pub driver: &'static str,
    /// Whether it may be acted on at all.
    pub armed: bool,
    /// How often it is polled.
    pub poll: Duration,
    /// Words of the site's own, from the configuration.
    pub labels: Labels,
    /// The policies that it runs.
    pub policies: Vec<LoadedPolicy>,
}

/// A policy as one database runs it.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// Its name.
    pub policy: Arc<str>,
    /// Whether it acts here.
    pub mode: RunMode,
    /// Its action and what it may escalate to.
    pub actions: Vec<Action>,
}

/// An action that is about to be taken, with everything that somebody may want to know of it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The journal's number of the action, unique in the journal.
    pub id: u64,
    /// On which database.
    pub database: Arc<str>,
    /// Where that name led then, [`crate::config::Database::place`]; `None` in records of older versions.
    pub place: Option<Arc<str>>,
    /// On whom.
    pub key: SessionKey,
    /// The policy that wants it.
    pub policy: Arc<str>,
    /// The digest of the set that the policy is of.
    pub policy_digest: String,
    /// Whether the statement is sent.
    pub mode: RunMode,
    /// What.
    pub action: Action,
    /// The session's USERNAME.
    pub username: Option<String>,
    /// The session's PROGRAM.
    pub program: Option<String>,
    /// The session's MACHINE.
    pub machine: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// The statement, as far as it is known before the session is read again; none for `report`.
    pub statement: Option<String>,
    /// The snapshot's time, by the database's clock in UTC.
    pub taken_at: DateTime<Utc>,
    /// The session as the snapshot had it.
    pub session: Evidence,
}

impl Intent {
    /// To carry out a warrant. `snapshot` is the one it was given for, or whatever of it was kept.
    #[must_use]
    pub fn of(
        id: u64,
        (database, place): (&Arc<str>, &Arc<str>),
        warrant: &Warrant,
        snapshot: Option<&Snapshot>,
        statement: Option<&str>,
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
            key: warrant.key(),
            policy: Arc::clone(&warrant.policy().name),
            policy_digest: warrant.set().digest.clone(),
            mode: warrant.mode(),
            action: warrant.action(),
            username: text(Column::Username),
            program: text(Column::Program),
            machine: text(Column::Machine),
            reason: warrant.reason().to_owned(),
            statement: statement.map(str::to_owned),
            taken_at: warrant.issued(),
            session: seen
                .map(|(snapshot, row)| Evidence::of(snapshot, row))
                .unwrap_or_default(),
        }
    }
}

/// What came of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomed {
    /// Of which.
    pub intent: Arc<Intent>,
    /// What.
    pub outcome: Outcome,
    /// Oracle's number, 0 for success; none if it was not asked or did not answer.
    pub code: Option<u32>,
    /// What Oracle or the driver said, or why the session was spared.
    pub message: Option<String>,
    /// The statement that was sent, or would have been.
    pub statement: Option<String>,
    /// The session as it was read again.
    pub session: Evidence,
    /// How long all of it took.
    pub took: Duration,
}

/// A session's columns as far as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence(pub Vec<(Column, EvidenceValue)>);

/// A column's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceValue {
    /// NULL.
    Null,
    /// VARCHAR2.
    Text(String),
    /// NUMBER, in the column's own unit.
    Number(i64),
    /// DATE.
    Time(DbTime),
}

impl Evidence {
    /// One row. Columns that were not read are left out, NULL stays.
    #[must_use]
    pub fn of(snapshot: &Snapshot, row: usize) -> Evidence {
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
    pub fn get(&self, column: Column) -> Option<&EvidenceValue> {
        self.0
            .iter()
            .find(|(known, _)| *known == column)
            .map(|(_, value)| value)
    }

    /// The statement that the session ran: SQL_ID and SQL_EXEC_ID.
    #[must_use]
    pub fn sql_exec(&self) -> Option<(String, Option<i64>)> {
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
