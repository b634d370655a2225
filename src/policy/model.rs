//! A policy as the daemon uses it: checked, resolved, nothing left to go wrong.
//!
//! What a DBA wrote is read by `raw`, parsed by `condition`, and judged by `check`; only what passed becomes the types here.
//! They hold no text that still has to be parsed, no name that might not exist and no combination that makes no sense.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::policy::condition::Condition;
use crate::policy::pressure::PressureCondition;
use crate::policy::schedule::Schedule;
use crate::session::column::Column;
use crate::words::{word_table, words};

/// All policies of all files, as one unit: loaded whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// In file and list order, which is the order in which they may claim a session.
    pub policies: Vec<Policy>,
    /// Apply to every policy.
    pub exemptions: Vec<Exemption>,
    /// SHA-256 of all the files' bytes in order, in hexadecimal: the journal names the policies that an action came from.
    pub digest: String,
}

/// One rule: whom, when, how many, and what then.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Unique over all files, `[a-z0-9-]+`; a label of metrics.
    pub name: Arc<str>,
    /// For people.
    pub description: String,
    /// Where it stands, for messages.
    pub origin: Origin,
    /// Whether it acts.
    pub mode: Mode,
    /// Which databases it is for; empty means all.
    pub databases: Vec<Selector>,
    /// When it is evaluated; `None` means at every snapshot.
    pub schedule: Option<Schedule>,
    /// Only while an instance is short of something.
    pub pressure: Option<Pressure>,
    /// Whom it wants.
    pub when: Condition,
    /// Whom it spares all the same.
    pub unless: Option<Condition>,
    /// For how long, in seconds of the database's clock, it must have held in every snapshot; 0 acts at once.
    pub hold: u64,
    /// Worst first.
    pub order: Vec<OrderKey>,
    /// Never take a group below this.
    pub keep: Option<Keep>,
    /// The policy's own limits.
    pub limits: Limits,
    /// The statement.
    pub action: Action,
    /// What follows if the session does not go.
    pub escalate: Vec<Escalation>,
    /// Protections that the policy lifts, never one that cannot be.
    pub allow: Vec<Protection>,
    /// Why it lifts them.
    pub reason: String,
}

/// Words of a site's own about a database, by name.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// What a policy chooses databases by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// A glob over their names.
    Name(glob::Pattern),
    /// A label and a glob over its value: `env=prod`.
    Label(Arc<str>, glob::Pattern),
}

impl Selector {
    /// Whether it chooses this database.
    #[must_use]
    pub fn selects(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Selector::Name(glob) => glob.matches(name),
            Selector::Label(label, glob) => labels.get(label).is_some_and(|value| glob.matches(value)),
        }
    }
}

/// As policies write it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Name(glob) => f.write_str(glob.as_str()),
            Selector::Label(label, glob) => write!(f, "{label}={}", glob.as_str()),
        }
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file as it was named.
    pub file: Arc<str>,
    /// 1-based.
    pub line: usize,
}

words! {
    /// Whether a policy acts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Mode {
        /// Everything but the statement.
        DryRun = "dry-run",
        /// The statement too, if the database is armed and the daemon was not started with `--dry-run`.
        Enforce = "enforce",
        /// Neither evaluated nor reported.
        Off = "off",
    }
}

/// A gate per instance, with hysteresis.
#[derive(Clone, Debug)]
pub struct Pressure {
    /// Opens it.
    pub begin: PressureCondition,
    /// Closes it again once begun; `None`: as soon as `begin` no longer holds.
    pub end: Option<PressureCondition>,
}

/// One key of `order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// Any column; sessions without a value come last either way.
    pub column: Column,
    /// Largest first.
    pub descending: bool,
}

/// A floor per group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// This many sessions of a group survive.
    pub at_least: u32,
    /// What makes a group; sessions equal in all of these.
    pub per: Vec<Column>,
}

/// Limits as far as they were given; `None` leaves it to the configuration or the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Actions a cycle.
    pub per_cycle: Option<u32>,
    /// Actions in any 60 minutes.
    pub per_hour: Option<u32>,
    /// Actions in any 24 hours.
    pub per_day: Option<u32>,
    /// The breaker: candidates in percent of an instance's user sessions (0 to 100).
    pub share: Option<u32>,
    /// More records than this to roll back protect a session.
    pub undo_records: Option<u64>,
    /// In so many cycles of a day sessions of a group may come back before the group is left alone.
    pub respawns: Option<u32>,
}

/// A rung of the ladder after the policy's own action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Seconds after the previous action was accepted.
    pub after: u64,
    /// What is done then, if the session is still there.
    pub action: Action,
}

/// What is done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `ALTER SYSTEM KILL SESSION 'sid,serial#,@inst'`.
    Kill {
        /// The clause after it.
        clause: KillClause,
    },
    /// `ALTER SYSTEM DISCONNECT SESSION 'sid,serial#'` on the session's own instance.
    Disconnect {
        /// The clause after it.
        clause: DisconnectClause,
    },
    /// `ALTER SYSTEM CANCEL SQL 'sid, serial, @inst, sql_id'`.
    CancelSql,
    /// Nothing is done to the session.
    Report,
}

/// The clause of KILL SESSION. The grammar allows one keyword, so a combination is not representable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillClause {
    /// None: Oracle may let the caller wait up to 60 seconds.
    Plain,
    /// `IMMEDIATE`.
    Immediate,
    /// `NOREPLAY`.
    NoReplay,
    /// `FORCE TIMEOUT 0`.
    Force,
}

/// The clause of DISCONNECT SESSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectClause {
    /// `POST_TRANSACTION`.
    PostTransaction,
    /// `IMMEDIATE`.
    Immediate,
    /// `POST_TRANSACTION NOREPLAY`.
    PostTransactionNoReplay,
    /// `NOREPLAY`.
    NoReplay,
}

/// Sessions that no policy takes until the date given.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// Whom.
    pub when: Condition,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it protects; `None`: for good.
    pub until: Option<chrono::NaiveDate>,
}

words! {
    /// A built-in protection, in the order in which they are asked.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Protection {
        /// A part of the identity is unknown.
        Unidentified = "unidentified",
        /// TYPE is not USER, or unknown; USERNAME is NULL.
        Background = "background",
        /// The reaper's own sessions.
        Own = "self",
        /// STATUS KILLED.
        Dying = "dying",
        /// SYS, SYSTEM and every Oracle-maintained account.
        Sys = "sys",
        /// RMAN.
        Backup = "backup",
        /// Data Guard, GoldenGate, LogMiner, XStream, change data capture.
        Replication = "replication",
        /// Data Pump.
        DataPump = "data-pump",
        /// Job slaves.
        Jobs = "jobs",
        /// AQ servers.
        Queues = "queues",
        /// PX servers.
        ParallelServer = "parallel-server",
        /// DBSNMP, Enterprise Manager, known exporters.
        Agents = "agents",
        /// CACHED, or holding a distributed transaction.
        Xa = "xa",
        /// Too much to roll back.
        Undo = "undo",
    }
}

impl Protection {
    /// Whether no policy can lift it.
    #[must_use]
    pub const fn is_never_lifted(self) -> bool {
        matches!(
            self,
            Protection::Background | Protection::Own | Protection::Dying | Protection::Unidentified
        )
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

word_table! { Action:
    [Action::Kill { clause: KillClause::Plain }] = "kill",
    [Action::Kill { clause: KillClause::Immediate }] = "kill immediate",
    [Action::Kill { clause: KillClause::NoReplay }] = "kill noreplay",
    [Action::Kill { clause: KillClause::Force }] = "kill force",
    [Action::Disconnect { clause: DisconnectClause::PostTransaction }] = "disconnect post_transaction",
    [Action::Disconnect { clause: DisconnectClause::Immediate }] = "disconnect immediate",
    [Action::Disconnect { clause: DisconnectClause::PostTransactionNoReplay }] = "disconnect post_transaction noreplay",
    [Action::Disconnect { clause: DisconnectClause::NoReplay }] = "disconnect noreplay",
    [Action::CancelSql] = "cancel sql",
    [Action::Report] = "report",
}

impl Action {
    /// Whether it ends the session, sooner or later.
    #[must_use]
    pub const fn ends_session(self) -> bool {
        match self {
            Action::Kill { .. } | Action::Disconnect { .. } => true,
            Action::CancelSql | Action::Report => false,
        }
    }

    /// How much it takes from its session; a ladder climbs.
    #[must_use]
    pub const fn strength(self) -> u8 {
        match self {
            Action::Report => 0,
            Action::CancelSql => 1,
            Action::Disconnect { clause } => match clause {
                DisconnectClause::PostTransaction | DisconnectClause::PostTransactionNoReplay => 2,
                DisconnectClause::NoReplay => 3,
                DisconnectClause::Immediate => 4,
            },
            Action::Kill { clause } => match clause {
                KillClause::Plain | KillClause::NoReplay => 3,
                KillClause::Immediate => 4,
                KillClause::Force => 5,
            },
        }
    }

    /// Whether it waits for the session's own transaction to end, which may be never.
    #[must_use]
    pub const fn waits_for_commit(self) -> bool {
        match self {
            Action::Disconnect { clause } => match clause {
                DisconnectClause::PostTransaction | DisconnectClause::PostTransactionNoReplay => true,
                DisconnectClause::NoReplay | DisconnectClause::Immediate => false,
            },
            Action::Kill { .. } | Action::CancelSql | Action::Report => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
