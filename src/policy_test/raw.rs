//! The files of a policy test, as they are written.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use crate::policy::model::Limits;
use crate::policy_test::ExpectedLine;
use crate::quantity::{Bytes, Span};
use crate::session::column::{Column, Kind, Source};

/// Why a policy test cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyTestError(pub String);

/// `timeline.yaml`: what the database shows, over time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// The name of the database in the configuration; default `prod`.
    pub(crate) database: Option<String>,
    /// The labels of the database.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether the database is armed; default `true`.
    pub(crate) armed: Option<bool>,
    /// Whether the daemon was started with `--dry-run`.
    pub(crate) dry_run: Option<bool>,
    /// Treats policies with `mode: dry-run` like those with `enforce`, to test what they would do.
    #[serde(default)]
    pub(crate) enforce: bool,
    /// The limits of the configuration.
    #[serde(default)]
    pub(crate) limits: RawLimits,
    /// Accounts that are Oracle-maintained in DBA_USERS.
    #[serde(default)]
    pub(crate) oracle_maintained: Vec<String>,
    /// Accounts with the privilege to capture or apply changes.
    #[serde(default)]
    pub(crate) replication_accounts: Vec<String>,
    /// The policy files, in order, relative to the folder of the test; default policy.yaml.
    pub(crate) policies: Option<Vec<String>>,
    /// The daemon's own sessions, `sid,serial#,@inst_id`.
    #[serde(default)]
    pub(crate) own_sessions: Vec<String>,
    /// The time zone of the database, for schedules and days; default UTC.
    pub(crate) timezone: Option<String>,
    /// The longest pause between snapshots that does not break a hold; default 30m.
    pub(crate) max_gap: Option<String>,
    /// The values of columns for sessions that do not set them.
    #[serde(default)]
    pub(crate) defaults: BTreeMap<String, RawValue>,
    /// The snapshots, oldest first.
    pub(crate) snapshots: Vec<RawMoment>,
}

/// The limits, as in the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLimits {
    per_cycle: Option<u32>,
    per_hour: Option<u32>,
    per_day: Option<u32>,
    /// In percent.
    share: Option<u32>,
    undo_records: Option<u64>,
    respawns: Option<u32>,
}

impl RawLimits {
    pub(crate) fn to_limits(self) -> Limits {
        Limits {
            per_cycle: self.per_cycle,
            per_hour: self.per_hour,
            per_day: self.per_day,
            share: self.share,
            undo_records: self.undo_records,
            respawns: self.respawns,
            parallel: None,
        }
    }
}

/// A snapshot.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMoment {
    /// The time on the database's clock, ISO 8601 in UTC.
    pub(crate) at: String,
    /// The sessions.
    pub(crate) sessions: Vec<RawSession>,
    /// Columns that could not be read.
    #[serde(default)]
    pub(crate) missing: Vec<String>,
    /// Instances that are open but did not answer.
    #[serde(default)]
    pub(crate) partial: Vec<u32>,
    /// Instances that answered but have no sessions.
    #[serde(default)]
    pub(crate) empty: Vec<u32>,
    /// The policy files that are in force from this snapshot on.
    pub(crate) reload: Option<Vec<String>>,
    /// Why nothing may be done in this cycle.
    pub(crate) standstill: Option<String>,
    /// The outcomes of actions, by session (`sid,serial#,@inst_id`); default `done`.
    #[serde(default)]
    pub(crate) answers: BTreeMap<String, String>,
    /// The resources by instance: `1: {sessions: 180/200}`.
    #[serde(default)]
    pub(crate) pressure: BTreeMap<u32, BTreeMap<String, String>>,
}

/// A session, or `repeat` sessions with consecutive SIDs.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RawSession {
    /// The number of sessions.
    pub(crate) repeat: Option<u32>,
    /// Its open transaction.
    pub(crate) transaction: Option<RawTransaction>,
    /// The session that it waits for: `sid@inst_id`, and for how long.
    pub(crate) blocked_by: Option<RawBlocked>,
    /// The SID of its coordinator on the same instance, if it is a parallel server.
    pub(crate) parallel_server_of: Option<u32>,
    /// Columns of GV$SESSION, and those of other views that are set directly: `pga`, `temp`, `cpu`, `container`, ...
    #[serde(flatten)]
    pub(crate) columns: BTreeMap<String, RawValue>,
}

/// An open transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTransaction {
    /// Its age.
    pub(crate) age: Option<String>,
    /// STATUS; ACTIVE without this.
    pub(crate) status: Option<String>,
    /// USED_UREC.
    pub(crate) undo_records: Option<i64>,
    /// The size of its undo.
    pub(crate) undo: Option<RawValue>,
}

/// The session that a session waits for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBlocked {
    /// The SID of the blocker.
    pub(crate) sid: u32,
    /// The instance of the blocker; default the waiter's own.
    pub(crate) inst_id: Option<u32>,
    /// How long it has waited.
    pub(crate) waited: String,
}

/// The value of a column as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum RawValue {
    /// A whole number.
    Number(i64),
    /// A text, a duration such as `5h`, a size such as `2GB`, or a time in ISO 8601.
    Text(String),
    /// `null`.
    Null(()),
}

impl Timeline {
    pub(crate) fn zone(&self) -> Result<Tz, PolicyTestError> {
        let parse = |name: &String| {
            let unknown = |_| {
                PolicyTestError(format!(
                    "`timezone: {name}` is not a time zone; write one such as Europe/Berlin"
                ))
            };
            name.parse().map_err(unknown)
        };
        self.timezone.as_ref().map_or(Ok(Tz::UTC), parse)
    }

    pub(crate) fn max_gap(&self) -> Result<TimeDelta, PolicyTestError> {
        self.max_gap.as_deref().map_or(Ok(TimeDelta::minutes(30)), |text| {
            Ok(TimeDelta::seconds(seconds(text)?))
        })
    }

    pub(crate) fn defaults(&self) -> Result<BTreeMap<Column, RawValue>, PolicyTestError> {
        self.defaults
            .iter()
            .map(|(name, value)| Ok((session_column(name)?, value.clone())))
            .collect()
    }
}

/// A column that a test may set, by name: a column of GV$SESSION, or one that is read from another view. Derived columns
/// (`idle`, `connected`, `blocking`) and those of transactions cannot be set directly.
pub(crate) fn session_column(name: &str) -> Result<Column, PolicyTestError> {
    let told = |column: &Column| match column.source() {
        Source::Session | Source::Process | Source::Temp | Source::Statistics | Source::Container | Source::Account => {
            true
        }
        Source::Derived | Source::Transaction | Source::Waiters | Source::ParallelServers | Source::Rate => false,
    };
    Column::named(name).filter(told).ok_or_else(|| {
        PolicyTestError(format!(
            "a session has no column {name:?}: expected a column of GV$SESSION, pga, temp, cpu, redo, logical_reads, \
             physical_reads, spid, pname, container, account_status, profile or oracle_maintained"
        ))
    })
}

/// `512KB`, `20MB`, `2GB`, `1TB`, in powers of 1024, or a bare number of bytes.
fn bytes(text: &str) -> Result<i64, PolicyTestError> {
    let size: Result<Bytes, _> = text.parse();
    size.map(|Bytes(bytes)| bytes)
        .map_err(|error| PolicyTestError(format!("{text:?} is not a size: {error}")))
}

/// `sid,serial#,@inst_id` as INST_ID, SID, SERIAL#.
pub(crate) fn seat(text: &str) -> Result<(u32, u32, u32), PolicyTestError> {
    let parts: Vec<&str> = text.split(',').collect();
    let numbers = match parts[..] {
        [sid, serial, instance] => instance
            .strip_prefix('@')
            .and_then(|inst_id| Some((inst_id.parse().ok()?, sid.parse().ok()?, serial.parse().ok()?))),
        _ => None,
    };
    numbers.ok_or_else(|| PolicyTestError(format!("{text:?} is not a session: expected one such as 287,62507,@1")))
}

/// `5h`, `1h30m`, `90s` or a bare number of seconds.
pub(crate) fn seconds(text: &str) -> Result<i64, PolicyTestError> {
    let span: Result<Span, _> = text.parse();
    span.map(|Span(seconds)| seconds)
        .map_err(|error| PolicyTestError(format!("{text:?} is not a duration: {error}")))
}

/// ISO 8601 with a `Z` or an offset.
pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, PolicyTestError> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| {
            PolicyTestError(format!(
                "{text:?} is not a time: expected one such as 2026-11-22T10:00:00Z"
            ))
        })
}

impl RawValue {
    /// The number for a column.
    pub(crate) fn number(&self, column: Column) -> Result<Option<i64>, PolicyTestError> {
        match (self, column.kind()) {
            (RawValue::Null(()), _) => Ok(None),
            (RawValue::Number(number), _) => Ok(Some(*number)),
            (RawValue::Text(text), Kind::Duration) => Ok(Some(seconds(text)?.saturating_mul(column.per_second()))),
            (RawValue::Text(text), Kind::Size) => Ok(Some(bytes(text)?)),
            (RawValue::Text(text), Kind::Time) => Ok(Some(instant(text)?.timestamp())),
            (RawValue::Text(text), Kind::Number | Kind::Text) => {
                Err(PolicyTestError(format!("{} is a number, not {text:?}", column.name())))
            }
        }
    }

    /// The text for a text column.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            RawValue::Null(()) => None,
            RawValue::Number(number) => Some(number.to_string()),
            RawValue::Text(text) => Some(text.clone()),
        }
    }
}

/// An item of `expect.yaml`: all decisions for a snapshot, by the name of the decision. There must be no others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The policy acts.
    #[serde(default)]
    pub(crate) act: Vec<ExpectedDecision>,
    /// `for` is not served yet.
    #[serde(default)]
    pub(crate) pending: Vec<ExpectedDecision>,
    /// Deferred by a budget, by `keep`, or because the session is already acted on.
    #[serde(default)]
    pub(crate) deferred: Vec<ExpectedDecision>,
    /// The breaker is open, or the group refills.
    #[serde(default)]
    pub(crate) refused: Vec<ExpectedDecision>,
    /// A protection applies.
    #[serde(default)]
    pub(crate) protected: Vec<ExpectedDecision>,
    /// An exemption applies.
    #[serde(default)]
    pub(crate) exempt: Vec<ExpectedDecision>,
    /// The results of earlier actions.
    #[serde(default)]
    pub(crate) verified: Vec<ExpectedDecision>,
}

/// An expected decision.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedDecision {
    #[serde(skip)]
    decision: &'static str,
    session: String,
    policy: Option<String>,
    /// `enforce` or `dry-run`.
    mode: Option<String>,
    /// A part of the reason.
    reason: Option<String>,
    /// The whole statement.
    statement: Option<String>,
}

impl Expectation {
    pub(crate) fn lines(&self) -> Vec<ExpectedDecision> {
        let named = [
            ("act", &self.act),
            ("pending", &self.pending),
            ("deferred", &self.deferred),
            ("refused", &self.refused),
            ("protected", &self.protected),
            ("exempt", &self.exempt),
            ("verified", &self.verified),
        ];
        named
            .into_iter()
            .flat_map(|(decision, wanted)| {
                wanted.iter().map(move |wanted| ExpectedDecision {
                    decision,
                    ..wanted.clone()
                })
            })
            .collect()
    }
}

impl ExpectedDecision {
    /// Whether a decision is the expected one, as far as the expectation says.
    pub(crate) fn describes(&self, line: &ExpectedLine) -> bool {
        self.decision == line.decision
            && self.session == line.session
            && self.policy.as_ref().is_none_or(|policy| *policy == line.policy)
            && self.mode.as_ref().is_none_or(|mode| *mode == line.mode)
            && self
                .reason
                .as_ref()
                .is_none_or(|reason| line.reason.contains(reason.as_str()))
            && self
                .statement
                .as_ref()
                .is_none_or(|statement| line.statement.as_ref() == Some(statement))
    }
}

impl fmt::Display for ExpectedDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decision, self.session)?;
        if let Some(policy) = &self.policy {
            write!(f, " by {policy}")?;
        }
        if let Some(mode) = &self.mode {
            write!(f, " ({mode})")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ", because {reason:?}")?;
        }
        if let Some(statement) = &self.statement {
            write!(f, ", statement: {statement}")?;
        }
        Ok(())
    }
}

/// Parses a file of a test.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T, PolicyTestError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PolicyTestError(format!("{name} is not UTF-8 text")))?;
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Err(PolicyTestError(format!("{name}: the file is empty")));
    }
    serde_yaml::from_str(text).map_err(|error| PolicyTestError(in_words(name, &error)))
}

/// The words of the YAML reader, and what a person calls it.
const WORDS: [(&str, &str); 12] = [
    ("expected sequence start", "expected a list, such as `[...]`"),
    (
        "expected mapping start",
        "expected keys with values, such as `session: \"287,62507,@1\"`",
    ),
    ("expected string scalar", "expected a text"),
    (
        "data did not match any variant of untagged enum RawValue",
        "expected a text, a whole number or null",
    ),
    (
        "cannot deserialize null into string; use Option<String>",
        "there is no value",
    ),
    ("duplicate mapping key: ", "this key is there twice: "),
    (", set DuplicateKeyPolicy in Options if acceptable", ""),
    ("unknown field", "unknown key"),
    ("missing field", "there is no key"),
    ("invalid u32", "expected a whole number"),
    ("invalid u64", "expected a whole number"),
    ("invalid boolean", "expected true or false"),
];

/// A mistake with its place: the first line of what the reader says, which draws the file below it.
fn in_words(name: &str, error: &serde_yaml::Error) -> String {
    let all = error.to_string();
    let first = all.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let place = error.location().map(|place| (place.line(), place.column()));
    let at = place.map(|(line, column)| format!("line {line} column {column}: "));
    let mut message = at.and_then(|at| first.strip_prefix(&at)).unwrap_or(first).to_owned();
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    match place {
        Some((line, column)) => format!("{name}:{line}:{column}: {message}"),
        None => format!("{name}: {message}"),
    }
}
