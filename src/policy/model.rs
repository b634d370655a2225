//! A checked and resolved policy, as the daemon uses it.
//!
//! `check` makes these types, and only from files without an error. They contain no text that still has to be parsed, no name
//! that might not exist and no combination that makes no sense.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::policy::condition::Condition;
use crate::policy::pressure::PressureCondition;
use crate::policy::timetable::Timetable;
use crate::session::column::Column;
use crate::words::{word_table, words};

/// All policies of all files. They are loaded together or not at all.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// In the order of the files and in them; an earlier policy claims a session first.
    pub policies: Vec<Policy>,
    /// They apply to every policy.
    pub exemptions: Vec<Exemption>,
    /// SHA-256 of the bytes of all files in order, in hexadecimal. The journal records it with each action.
    pub digest: String,
}

impl PolicySet {
    /// The policies and exemptions of this set that another one lacks, each in words. An exemption has no name: it is known by its
    /// reason and its owner.
    pub(crate) fn lacking_in(&self, later: &PolicySet) -> Vec<String> {
        let is_known = |policy: &&Policy| later.policies.iter().any(|known| known.name == policy.name);
        let policies = self.policies.iter().filter(|policy| !is_known(policy));
        let policies = policies.map(|policy| format!("policy {} ({})", policy.name, policy.origin.file));
        let mut kept: Vec<(&str, &str)> = later.exemptions.iter().map(Exemption::mark).collect();
        let exemptions = self.exemptions.iter().filter(|exemption| {
            let at = kept.iter().position(|known| *known == exemption.mark());
            at.map(|at| kept.swap_remove(at)).is_none()
        });
        let exemptions = exemptions.map(|exemption| {
            let (reason, owner) = exemption.mark();
            format!("exemption \"{reason}\" of {owner} ({})", exemption.origin.file)
        });
        policies.chain(exemptions).collect()
    }
}

/// One policy: which sessions, when, how many, and what is done to them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Unique over all files, `[a-z0-9-]+`; a label of the metrics.
    pub name: Arc<str>,
    /// For people.
    pub description: String,
    /// Where it is defined, for messages.
    pub origin: Origin,
    /// Whether it executes its action.
    pub mode: Mode,
    /// The databases that it applies to; empty means all.
    pub databases: Vec<Selector>,
    /// When it is in force.
    pub timetable: Timetable,
    /// The pressure on an instance under which it acts; `None` means always.
    pub pressure: Option<Pressure>,
    /// The sessions that it selects.
    pub when: Condition,
    /// The sessions among these that it spares.
    pub unless: Option<Condition>,
    /// How long the condition must have held in every snapshot, in seconds of the database's clock; 0 acts at once.
    pub hold: u64,
    /// The order of the candidates; the first are acted on first.
    pub order: Vec<OrderKey>,
    /// How many sessions of each group to keep.
    pub keep: Option<Keep>,
    /// The policy's own limits.
    pub limits: Limits,
    /// The action on each session.
    pub action: Action,
    /// Stronger actions if the session does not disappear.
    pub escalate: Vec<Escalation>,
    /// The protections that the policy lifts; all of them can be lifted.
    pub allow: Vec<Protection>,
    /// The reason for lifting them.
    pub reason: String,
}

/// The labels of a database, by name; a site chooses them.
pub(crate) type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// A selector of databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// A glob over the names of databases.
    Name(glob::Pattern),
    /// The name of a label and a glob over its value: `env=prod`.
    Label(Arc<str>, glob::Pattern),
}

impl Policy {
    /// Its action, then those that it escalates to.
    pub(crate) fn actions(&self) -> impl Iterator<Item = Action> + '_ {
        std::iter::once(self.action).chain(self.escalate.iter().map(|rung| rung.action))
    }
}

impl Selector {
    /// Whether it selects this database.
    #[must_use]
    pub(crate) fn selects(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Selector::Name(glob) => glob.matches(name),
            Selector::Label(label, glob) => labels.get(label).is_some_and(|value| glob.matches(value)),
        }
    }
}

/// The selector as in a policy.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Name(glob) => f.write_str(glob.as_str()),
            Selector::Label(label, glob) => write!(f, "{label}={}", glob.as_str()),
        }
    }
}

/// Where something is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The path of the file as it was given.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

words! {
    /// Whether a policy executes its action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Mode {
        /// Everything but the statement is done.
        DryRun = "dry-run",
        /// The statement is executed too, if the database is armed and the daemon was not started with `--dry-run`.
        Enforce = "enforce",
        /// The policy is neither evaluated nor reported.
        Off = "off",
    }
}

/// A gate for each instance, with hysteresis.
#[derive(Clone, Debug)]
pub struct Pressure {
    /// The condition that opens the gate.
    pub(crate) begin: PressureCondition,
    /// The condition that closes the gate again; `None`: it closes as soon as `begin` no longer holds.
    pub(crate) end: Option<PressureCondition>,
}

/// One key of `order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// The column to order by; in both directions, sessions without a value come last.
    pub column: Column,
    /// Whether the largest value comes first.
    pub descending: bool,
}

/// As in a policy.
impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.descending { "desc" } else { "asc" };
        write!(f, "{} {direction}", self.column.name())
    }
}

/// A floor for each group of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The number of sessions of each group that are kept.
    pub(crate) at_least: u32,
    /// Sessions with equal values in all of these columns are one group. Without a column, all sessions are one.
    pub(crate) per: Vec<Column>,
    /// Which sessions of a group count.
    pub(crate) of: KeepOf,
}

words! {
    /// Which sessions of its group `keep` counts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum KeepOf {
        /// All live sessions.
        All = "all",
        /// Those that match. The last ones in the policy's order are kept.
        Matching = "matching",
    }
}

/// The limits that were given. For `None`, the configuration or the default decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most actions in a cycle.
    pub per_cycle: Option<u32>,
    /// The most actions in any 60 minutes.
    pub per_hour: Option<u32>,
    /// The most actions in any 24 hours.
    pub per_day: Option<u32>,
    /// The breaker opens above this share of candidates among an instance's user sessions, in percent.
    pub share: Option<u32>,
    /// A session with more undo records to roll back than this is protected.
    pub undo_records: Option<u64>,
    /// A group whose sessions came back in this many cycles of a day is no longer acted on.
    pub respawns: Option<u32>,
    /// The most actions at the same time; of a database, not of a policy.
    pub parallel: Option<u32>,
}

/// A stronger action that follows the policy's action or an earlier escalation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// How long after the snapshot behind the previous action, in seconds.
    pub(crate) after: u64,
    /// The action, if the session is still there.
    pub(crate) action: Action,
}

/// What a policy does to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `ALTER SYSTEM KILL SESSION 'sid,serial#,@inst'`.
    Kill {
        /// The clause at the end.
        clause: KillClause,
    },
    /// `ALTER SYSTEM DISCONNECT SESSION 'sid,serial#'` on the session's own instance.
    Disconnect {
        /// The clause at the end.
        clause: DisconnectClause,
    },
    /// `ALTER SYSTEM CANCEL SQL 'sid, serial, @inst, sql_id'`.
    CancelSql,
    /// The session is only reported.
    Report,
}

/// The clause of KILL SESSION. Oracle's grammar allows only one of these keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillClause {
    /// No clause: Oracle may make the caller wait for up to 60 seconds.
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

/// Sessions that no policy acts on, until a given date.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// The sessions.
    pub(crate) when: Condition,
    /// The reason.
    pub(crate) reason: String,
    /// Who is responsible for it.
    pub(crate) owner: String,
    /// The last day on which it applies; `None`: it does not expire.
    pub(crate) until: Option<chrono::NaiveDate>,
    /// Where it is written.
    pub(crate) origin: Origin,
}

impl Exemption {
    /// Its last day, if that is before `today`.
    #[must_use]
    pub(crate) fn expired(&self, today: chrono::NaiveDate) -> Option<chrono::NaiveDate> {
        self.until.filter(|until| today > *until)
    }

    fn mark(&self) -> (&str, &str) {
        (&self.reason, &self.owner)
    }
}

words! {
    /// A built-in protection, in the order in which they are checked.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Protection {
        /// A part of the identity is unknown.
        Unidentified = "unidentified",
        /// TYPE is unknown or not USER, or USERNAME is NULL.
        Background = "background",
        /// orareaper's own sessions.
        Own = "self",
        /// STATUS is KILLED.
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
        /// Too many undo records to roll back.
        Undo = "undo",
        /// The action ends the server process, which also serves sessions that must not be ended.
        SharedProcess = "shared-process",
    }
}

impl Protection {
    /// Whether it can never be lifted.
    #[must_use]
    pub(crate) const fn is_never_lifted(self) -> bool {
        matches!(
            self,
            Protection::Background
                | Protection::Own
                | Protection::Dying
                | Protection::Unidentified
                | Protection::SharedProcess
        )
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

word_table! { pub Action:
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
    /// Whether it ends the session, at once or later.
    #[must_use]
    pub(crate) const fn ends_session(self) -> bool {
        match self {
            Action::Kill { .. } | Action::Disconnect { .. } => true,
            Action::CancelSql | Action::Report => false,
        }
    }

    /// How strong it is: each escalation must be stronger than the action before it.
    #[must_use]
    pub(crate) const fn strength(self) -> u8 {
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

    /// Whether it waits until the session's transaction ends, which may be never.
    #[must_use]
    pub(crate) const fn waits_for_commit(self) -> bool {
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
