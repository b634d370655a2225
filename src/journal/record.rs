//! The journal's records as they are in the file: one JSON object per line.
//!
//! Every record has `v` (the format's version, 1), `at` (the host's clock in UTC, RFC 3339) and `kind`. The types below document
//! the fields of each kind. New optional fields may be added to version 1; a change
//! of meaning makes a version 2, which this reader reports as damage instead of guessing.
//!
//! Texts are JSON strings, so control characters in them are escaped and a record is always one line. Times of the database's
//! clock (`logon_time`, DATE columns) are written without a zone, because they have none.

mod rehearsed;
mod retention;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::refill::{ClientGroup, Return};
use crate::decide::verify::{Proof, Verification};
use crate::event::{Event, Evidence, Intent, JournalGap, Outcomed, PolicyLoad};
use crate::journal::cells::{Unwritable, naive, read_cells, write_cells};
use crate::oracle::identity::DatabaseIdentity;
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::session::time::DbTime;

pub(super) use rehearsed::RehearsedRecord;
pub(super) use retention::RetentionRecord;

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JournalLine {
    /// [`VERSION`].
    pub(super) v: u32,
    /// When it was written.
    pub(super) at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub(super) record: Record,
}

/// What happened; `kind` names it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Record {
    /// The daemon started.
    Started { version: String, dry_run: bool },
    /// The daemon stops.
    Stopping { reason: String },
    /// Policies are in force from here on.
    PoliciesLoaded {
        digest: String,
        policies: usize,
        /// Missing in journals of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exemptions: Option<usize>,
        /// What was in force before a reload and is not any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lost: Vec<String>,
    },
    /// The policies are invalid.
    PoliciesFailed { error: String },
    /// A database answers.
    DatabaseUp {
        database: String,
        /// INST_ID and INSTANCE_NAME.
        instances: Vec<(u32, String)>,
        release: String,
    },
    /// A database does not answer.
    DatabaseDown { database: String, error: String },
    /// An action is about to be taken. On disk before the statement is sent.
    Intent(Box<IntentRecord>),
    /// The outcome of an intent.
    Outcome(Box<OutcomeRecord>),
    /// A warrant that was dropped before anything was tried.
    Dropped(Box<DroppedRecord>),
    /// What a later snapshot shows of an action.
    Verification(VerificationRecord),
    /// A policy's whole plan was refused.
    BreakerOpened {
        database: String,
        policy: String,
        /// Missing in journals of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        reason: String,
    },
    /// A policy's breaker is closed again.
    BreakerClosed {
        database: String,
        policy: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
    },
    /// A session logged in soon after a session of the same group was killed.
    CameBack(CameBackRecord),
    /// What became of a session that a dry run would have ended.
    Rehearsed(RehearsedRecord),
    /// A policy is suspended for a group.
    GroupSuspended {
        database: String,
        policy: String,
        #[serde(flatten)]
        who: WhoRecord,
        reason: String,
    },
    /// A policy is no longer suspended for a group.
    GroupReleased {
        database: String,
        policy: String,
        #[serde(flatten)]
        who: WhoRecord,
    },
    /// No action is taken on any database from here on.
    Paused {
        by: String,
        #[serde(default)]
        reason: String,
    },
    /// Actions are permitted again.
    Resumed { by: String },
    /// Retention deletes the oldest file. Written before that.
    Retention(RetentionRecord),
    /// The journal took no records from `since` until now: the number of refused intents and of other records that are lost.
    JournalGap {
        since: DateTime<Utc>,
        error: String,
        refused: u64,
        lost: u64,
    },
}

/// An intent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IntentRecord {
    /// The action's number, unique in the journal.
    pub(super) id: u64,
    database: String,
    /// A digest of the address, driver and account of the database.
    #[serde(default)]
    place: Option<String>,
    /// Which database the name led to: its name, container, and instances with their hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<Arc<DatabaseIdentity>>,
    #[serde(flatten)]
    key: KeyRecord,
    policy: String,
    /// SHA-256 of the policy files.
    policy_digest: String,
    /// `dry-run` or `enforce`.
    mode: String,
    /// As policies write it: `kill immediate`.
    action: String,
    username: Option<String>,
    program: Option<String>,
    machine: Option<String>,
    /// Who ordered the action by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
    /// Why the session matches, in words.
    reason: String,
    /// The statement; null for `report`.
    statement: Option<String>,
    /// The snapshot's time by the database's clock, in UTC.
    taken_at: DateTime<Utc>,
    /// How long before the record the answer with the snapshot's clock was there, in milliseconds; missing in journals of older versions.
    #[serde(default)]
    waited_ms: u64,
    /// The session's row in the snapshot: a column that was not read is missing, NULL is null.
    session: BTreeMap<String, Value>,
}

/// A session's whole key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    inst_id: u32,
    sid: u32,
    serial: u32,
    /// By the database's clock, without a zone.
    logon_time: NaiveDateTime,
}

/// The outcome of an action.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OutcomeRecord {
    /// The number of the action.
    pub(super) id: u64,
    database: String,
    /// One of the closed list: `done`, `marked`, `already_gone` ...
    outcome: String,
    /// The ORA- number, 0 for success; null if nothing was sent or no answer came.
    code: Option<u32>,
    /// The message of Oracle, the driver or the daemon.
    message: Option<String>,
    /// The statement that was sent, or that a dry run would have sent.
    statement: Option<String>,
    /// The duration of the re-check and the statement, in milliseconds.
    took_ms: u64,
    /// The session's row at the re-check.
    session: BTreeMap<String, Value>,
}

/// A warrant that was dropped before anything was tried. It has its own number and no other record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DroppedRecord {
    /// The session and the intended action.
    #[serde(flatten)]
    intent: IntentRecord,
    /// `expired` or `revoked`.
    outcome: String,
    /// Why.
    message: String,
}

/// What a snapshot shows of an action.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct VerificationRecord {
    /// The number of the action.
    pub(super) id: u64,
    database: String,
    /// One of the closed list: `gone`, `resources_freed`, `cancelled`, `lingers`, `deadline_passed`.
    proof: String,
}

/// A session that logged in soon after a session of the same group was killed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CameBackRecord {
    /// The number of the action that killed the other session.
    pub(super) id: u64,
    database: String,
    #[serde(flatten)]
    key: KeyRecord,
    /// When it logged in, in UTC.
    pub(super) login: DateTime<Utc>,
}

/// The group of a session; null is unknown.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WhoRecord {
    username: Option<String>,
    program: Option<String>,
    machine: Option<String>,
}

impl WhoRecord {
    fn of(who: &ClientGroup) -> WhoRecord {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        WhoRecord {
            username: text(&who.username),
            program: text(&who.program),
            machine: text(&who.machine),
        }
    }
}

impl CameBackRecord {
    fn of(database: &str, back: &Return) -> Result<CameBackRecord, Unwritable> {
        Ok(CameBackRecord {
            id: back.ended.action_id,
            database: database.to_string(),
            key: KeyRecord::of(back.key)?,
            login: back.at,
        })
    }
}

impl Record {
    /// The record of an event; `None` for an event that is only counted or logged.
    ///
    /// # Errors
    /// When a session's logon time is outside the calendar: such a key could not be read back.
    pub(super) fn of(event: &Event) -> Result<Option<Record>, Unwritable> {
        Ok(Some(match event {
            Event::Started { version, dry_run } => Record::Started {
                version: (*version).to_owned(),
                dry_run: *dry_run,
            },
            Event::Stopping { reason } => Record::Stopping { reason: reason.clone() },
            Event::Policies(load) => Record::of_load(load),
            Event::DatabaseUp {
                database,
                instances,
                release,
            } => Record::DatabaseUp {
                database: database.to_string(),
                instances: instances.clone(),
                release: release.clone(),
            },
            Event::DatabaseDown { database, error } => Record::DatabaseDown {
                database: database.to_string(),
                error: error.clone(),
            },
            Event::Intent(intent) => Record::Intent(Box::new(IntentRecord::of(intent)?)),
            Event::Outcome(outcomed) => Record::Outcome(Box::new(OutcomeRecord::of(outcomed)?)),
            Event::Dropped(outcomed) => Record::Dropped(Box::new(DroppedRecord::of(outcomed)?)),
            Event::Verification { database, verification } => {
                Record::Verification(VerificationRecord::of(database, verification))
            }
            Event::BreakerOpened {
                database,
                policy,
                mode,
                reason,
            } => Record::BreakerOpened {
                database: database.to_string(),
                policy: policy.to_string(),
                mode: Some(mode.name().to_owned()),
                reason: reason.clone(),
            },
            Event::BreakerClosed { database, policy, mode } => Record::BreakerClosed {
                database: database.to_string(),
                policy: policy.to_string(),
                mode: Some(mode.name().to_owned()),
            },
            Event::CameBack { database, back } => Record::CameBack(CameBackRecord::of(database, back)?),
            Event::Rehearsed { database, aftermath } => Record::Rehearsed(RehearsedRecord::of(database, aftermath)),
            Event::GroupSuspended {
                database,
                policy,
                who,
                reason,
            } => Record::of_suspension(database, policy, who, Some(reason)),
            Event::GroupReleased { database, policy, who } => Record::of_suspension(database, policy, who, None),
            Event::Paused { by, reason, .. } => Record::Paused {
                by: by.clone(),
                reason: reason.clone(),
            },
            Event::Resumed { by } => Record::Resumed { by: by.clone() },
            Event::Retention(deleted) => Record::Retention(RetentionRecord::of(deleted)),
            Event::JournalAgain(gap) => Record::of_gap(gap),
            Event::WebConfig { .. }
            | Event::DriverError { .. }
            | Event::Acting { .. }
            | Event::Cycle(_)
            | Event::JournalFails { .. }
            | Event::ExemptionEnds(_) => return Ok(None),
        }))
    }

    fn of_load(load: &PolicyLoad) -> Record {
        match load {
            PolicyLoad::Loaded(loaded) => Record::PoliciesLoaded {
                digest: loaded.digest.to_string(),
                policies: loaded.policies,
                exemptions: Some(loaded.exemptions),
                lost: loaded.lost.clone(),
            },
            PolicyLoad::Failed { error } => Record::PoliciesFailed { error: error.clone() },
        }
    }

    fn of_gap(gap: &JournalGap) -> Record {
        Record::JournalGap {
            since: gap.since,
            error: gap.error.clone(),
            refused: gap.refused,
            lost: gap.lost,
        }
    }

    /// A group is suspended for a reason, or released.
    fn of_suspension(database: &str, policy: &str, who: &ClientGroup, reason: Option<&String>) -> Record {
        let (database, policy, who) = (database.to_owned(), policy.to_owned(), WhoRecord::of(who));
        match reason.cloned() {
            Some(reason) => Record::GroupSuspended {
                database,
                policy,
                who,
                reason,
            },
            None => Record::GroupReleased { database, policy, who },
        }
    }
}

/// A word in a record that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} '{word}'")]
pub(super) struct UnknownWord {
    what: &'static str,
    word: String,
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl KeyRecord {
    fn of(key: SessionKey) -> Result<KeyRecord, Unwritable> {
        Ok(KeyRecord {
            inst_id: key.inst_id,
            sid: key.sid,
            serial: key.serial,
            logon_time: naive(key.logon_time)?,
        })
    }

    fn read(&self) -> SessionKey {
        SessionKey {
            inst_id: self.inst_id,
            sid: self.sid,
            serial: self.serial,
            logon_time: DbTime(self.logon_time.and_utc().timestamp()),
        }
    }
}

impl DroppedRecord {
    fn of(outcomed: &Outcomed) -> Result<DroppedRecord, Unwritable> {
        Ok(DroppedRecord {
            intent: IntentRecord::of(&outcomed.intent)?,
            outcome: outcomed.outcome.name().to_owned(),
            message: outcomed.message.clone().unwrap_or_default(),
        })
    }

    /// The warrant and why it was dropped.
    ///
    /// # Errors
    /// When it has a word that this version does not know.
    pub(super) fn read(self) -> Result<Outcomed, UnknownWord> {
        let outcome = Outcome::named(&self.outcome).ok_or(UnknownWord {
            what: "outcome",
            word: self.outcome,
        })?;
        Ok(Outcomed {
            intent: Arc::new(self.intent.read()?),
            outcome,
            code: None,
            message: Some(self.message),
            statement: None,
            session: Evidence::default(),
            took: Duration::ZERO,
        })
    }
}

impl CameBackRecord {
    /// The session that logged in.
    pub(super) fn key(&self) -> SessionKey {
        self.key.read()
    }
}

impl IntentRecord {
    fn of(intent: &Intent) -> Result<IntentRecord, Unwritable> {
        Ok(IntentRecord {
            id: intent.id,
            database: intent.database.to_string(),
            place: intent.place.as_deref().map(str::to_owned),
            identity: intent.identity.clone(),
            key: KeyRecord::of(intent.key)?,
            policy: intent.policy.to_string(),
            policy_digest: intent.policy_digest.clone(),
            mode: intent.mode.name().to_owned(),
            action: intent.action.name().to_owned(),
            username: intent.username.clone(),
            program: intent.program.clone(),
            machine: intent.machine.clone(),
            operator: intent.operator.clone(),
            reason: intent.reason.clone(),
            statement: intent.statement.clone(),
            taken_at: intent.taken_at,
            waited_ms: milliseconds(intent.waited),
            session: write_cells(&intent.session)?,
        })
    }

    /// The intent again.
    ///
    /// # Errors
    /// When it has a word that this version does not know.
    pub(super) fn read(self) -> Result<Intent, UnknownWord> {
        let mode = RunMode::named(&self.mode);
        let action = Action::named(&self.action);
        Ok(Intent {
            id: self.id,
            database: Arc::from(self.database),
            place: self.place.map(Arc::from),
            identity: self.identity,
            key: self.key.read(),
            policy: Arc::from(self.policy),
            policy_digest: self.policy_digest,
            mode: mode.ok_or(UnknownWord {
                what: "mode",
                word: self.mode,
            })?,
            action: action.ok_or(UnknownWord {
                what: "action",
                word: self.action,
            })?,
            username: self.username,
            program: self.program,
            machine: self.machine,
            operator: self.operator,
            reason: self.reason,
            statement: self.statement,
            taken_at: self.taken_at,
            waited: Duration::from_millis(self.waited_ms),
            session: read_cells(&self.session),
        })
    }
}

impl OutcomeRecord {
    fn of(outcomed: &Outcomed) -> Result<OutcomeRecord, Unwritable> {
        Ok(OutcomeRecord {
            id: outcomed.intent.id,
            database: outcomed.intent.database.to_string(),
            outcome: outcomed.outcome.name().to_owned(),
            code: outcomed.code,
            message: outcomed.message.clone(),
            statement: outcomed.statement.clone(),
            took_ms: milliseconds(outcomed.took),
            session: write_cells(&outcomed.session)?,
        })
    }

    /// What came of the action.
    ///
    /// # Errors
    /// When it has a word that this version does not know.
    pub(super) fn read(self, intent: &Arc<Intent>) -> Result<Outcomed, UnknownWord> {
        let outcome = Outcome::named(&self.outcome).ok_or(UnknownWord {
            what: "outcome",
            word: self.outcome,
        })?;
        Ok(Outcomed {
            intent: Arc::clone(intent),
            outcome,
            code: self.code,
            message: self.message,
            statement: self.statement,
            session: read_cells(&self.session),
            took: Duration::from_millis(self.took_ms),
        })
    }
}

impl VerificationRecord {
    fn of(database: &str, verification: &Verification) -> VerificationRecord {
        VerificationRecord {
            id: verification.followed.action_id,
            database: database.to_owned(),
            proof: verification.proof.name().to_owned(),
        }
    }

    /// What was shown.
    ///
    /// # Errors
    /// When it is a word that this version does not know.
    pub(super) fn read(&self) -> Result<Proof, UnknownWord> {
        Proof::named(&self.proof).ok_or_else(|| UnknownWord {
            what: "proof",
            word: self.proof.clone(),
        })
    }
}
