//! What became of the sessions that were acted on: an accepted kill is not a dead session.
//!
//! Oracle answers a kill in one of three ways: it is done, it is marked (ORA-00031), or nobody knows, because the
//! connection broke. In all three the proof is the next snapshots: the session is followed by its whole key until it is
//! gone, until its resources are free although its row still shows, until it lingers, or until the deadline passes.
//!
//! A killed session that was idle keeps its row, STATUS KILLED, until its client calls again, sometimes for days; what
//! matters is that it holds nothing any more. A session that waits for its own transaction (DISCONNECT POST_TRANSACTION) is
//! not lingering, it was asked politely. An instance that is missing from the snapshot proves nothing.
//!
//! A session that was asked to go after its transaction and is still there when the deadline passes stays known as asked: the
//! request stands, so nobody makes it again, but it keeps nobody from doing something stronger.
//!
//! A session that Oracle refused to end is remembered as well, so that it is not tried again at every poll, at the cost of
//! everybody's budget.
//!
//! A dry run assumes that its actions succeeded; its sessions are "followed" too, so that they are not taken twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::reason::Obstacle;
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::{Field, Snapshot};
use crate::words::words;

/// A session that is still there this long after its kill was accepted lingers.
pub const LINGERS_AFTER: TimeDelta = TimeDelta::seconds(60);

/// A session is followed for this long, or for this long after the last rung of its policy's ladder was due.
pub const DEADLINE: TimeDelta = TimeDelta::hours(1);

/// A session that was acted on and is not known to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The journal's number of the action.
    pub action_id: u64,
    /// The policy that wanted it.
    pub policy: Arc<str>,
    /// What was done.
    pub action: Action,
    /// Whether it was really done.
    pub mode: RunMode,
    /// When it was accepted, by the database's clock in UTC.
    pub since: DateTime<Utc>,
    /// What the session's SQL was, for CANCEL SQL.
    pub sql_exec: Option<(String, Option<i64>)>,
    /// Whether the statement is known to have been accepted. Where the connection broke or the daemon ended, nobody knows.
    pub certain: bool,
    /// Where it stands.
    pub state: FollowState,
}

impl Followed {
    /// Whether it keeps this action away from the session, which is or is not in a transaction.
    #[must_use]
    pub fn holds_off(&self, action: Action, in_transaction: bool) -> bool {
        match self.state {
            FollowState::Waiting | FollowState::Lingering => true,
            FollowState::Asked => in_transaction && action.strength() <= self.action.strength(),
        }
    }
}

/// Where a followed session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowState {
    /// Waiting for it to go.
    Waiting,
    /// It lingers, and that was said.
    Lingering,
    /// It was asked to go after its transaction, and has not gone before the deadline. The request stands.
    Asked,
}

/// A session that Oracle refused to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal {
    outcome: Outcome,
    at: DateTime<Utc>,
}

/// A statement that failed on a session is not sent again within this.
const REFUSED_FOR: TimeDelta = TimeDelta::hours(1);

/// What an instance that left took with it is forgotten after this; the journal does not remember it for longer either.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);

words! {
    /// What a snapshot proved of a followed session.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Proof {
        /// Its row is gone, or its seat has a new occupant.
        Gone = "gone",
        /// Its row is there, KILLED, and holds no transaction and no server process.
        ResourcesFreed = "resources_freed",
        /// CANCEL SQL: its statement is no longer running.
        Cancelled = "cancelled",
        /// It is still there, a minute after it was to go.
        Lingers = "lingers",
        /// It was still there when the deadline passed; nobody follows it any more.
        DeadlinePassed = "deadline_passed",
    }
}

impl Proof {
    /// Whether the session is followed no longer.
    #[must_use]
    pub const fn ends(self) -> bool {
        match self {
            Proof::Gone | Proof::ResourcesFreed | Proof::Cancelled | Proof::DeadlinePassed => true,
            Proof::Lingers => false,
        }
    }
}

/// Something proved in this cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Of whom.
    pub key: SessionKey,
    /// Of which action.
    pub followed: Followed,
    /// What.
    pub proof: Proof,
}

/// The followed sessions of a database.
#[derive(Clone, Debug, Default)]
pub struct Following {
    sessions: BTreeMap<SessionKey, Followed>,
    refused: BTreeMap<SessionKey, Refusal>,
}

impl Following {
    /// Starts following, or goes on with a new action.
    pub fn follow(&mut self, key: SessionKey, followed: Followed) {
        self.sessions.insert(key, followed);
    }

    /// Follows nobody any more. What was refused stays so.
    pub fn forget_actions(&mut self) {
        self.sessions.clear();
    }

    /// Takes note of what Oracle answered about a session.
    pub fn answered(&mut self, key: SessionKey, outcome: Outcome, at: DateTime<Utc>) {
        match outcome {
            Outcome::Refused | Outcome::Unsupported | Outcome::Failed => {
                self.refused.insert(key, Refusal { outcome, at });
            }
            Outcome::Done
            | Outcome::Marked
            | Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Unknown
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Assumed
            | Outcome::Reported => {}
        }
    }

    /// Why a session is not tried again yet, if so. That it is no session which may be ended does not change while it lives.
    #[must_use]
    pub fn refused(&self, key: SessionKey, now: DateTime<Utc>) -> Option<Obstacle> {
        let Refusal { outcome, at } = *self.refused.get(&key)?;
        let for_good = outcome == Outcome::Refused;
        (for_good || now - at < REFUSED_FOR).then_some(Obstacle::NotAgain { outcome, at, for_good })
    }

    /// Whether and how a session is followed.
    #[must_use]
    pub fn get(&self, key: SessionKey) -> Option<&Followed> {
        self.sessions.get(&key)
    }

    /// All, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Followed)> {
        self.sessions.iter()
    }

    /// How many linger on an instance.
    #[must_use]
    pub fn lingering(&self, inst_id: u32) -> usize {
        self.sessions
            .iter()
            .filter(|(key, followed)| key.inst_id == inst_id && followed.state == FollowState::Lingering)
            .count()
    }

    /// Holds the snapshot against all followed sessions; each proof is told once. `patience` says for how long a session is
    /// followed; [`DEADLINE`] at least.
    pub fn verify(
        &mut self,
        snapshot: &Snapshot,
        now: DateTime<Utc>,
        patience: impl Fn(&Followed) -> TimeDelta,
    ) -> Vec<Verification> {
        let mut proved = Vec::new();
        let lives = |key: &SessionKey| {
            !snapshot.is_complete(key.inst_id) || snapshot.find(*key).is_some() || may_be_there(*key, snapshot)
        };
        self.refused
            .retain(|key, refusal| lives(key) && now - refusal.at < REMEMBERED);
        self.sessions.retain(|key, followed| {
            let row = snapshot.find(*key);
            // What a clock that ran ahead has dated into the future happened before now.
            followed.since = followed.since.min(now);
            let limit = match followed.state {
                FollowState::Waiting | FollowState::Lingering => patience(followed).max(DEADLINE),
                FollowState::Asked => REMEMBERED.max(DEADLINE),
            };
            let overdue = now - followed.since >= limit;
            let seen = snapshot.is_complete(key.inst_id) && (row.is_some() || !may_be_there(*key, snapshot));
            let proof = if seen {
                prove(followed, snapshot, row, now, overdue)
            } else {
                // Neither there nor gone, and an instance that left may never come back: only the deadline ends it.
                overdue.then_some(Proof::DeadlinePassed)
            };
            let Some(proof) = proof else { return true };
            let asked = proof == Proof::DeadlinePassed
                && followed.state != FollowState::Asked
                && followed.certain
                && followed.mode == RunMode::Enforce
                && followed.action.waits_for_commit();
            if proof == Proof::Lingers {
                followed.state = FollowState::Lingering;
            }
            proved.push(Verification {
                key: *key,
                followed: followed.clone(),
                proof,
            });
            if asked {
                followed.state = FollowState::Asked;
            }
            asked || !proof.ends()
        });
        proved
    }
}

/// Whether some row might be the session's although a part of the row's identity could not be read.
fn may_be_there(key: SessionKey, snapshot: &Snapshot) -> bool {
    let agrees = |row, column, id: u32| snapshot.id(row, column).is_none_or(|read| read == id);
    (0..snapshot.rows())
        .filter(|row| snapshot.key(*row).is_none())
        .any(|row| {
            agrees(row, Column::InstId, key.inst_id)
                && agrees(row, Column::Sid, key.sid)
                && agrees(row, Column::Serial, key.serial)
                && snapshot
                    .number(row, Column::LogonTime)
                    .is_none_or(|logon| logon == key.logon_time.0)
        })
}

fn prove(
    followed: &Followed,
    snapshot: &Snapshot,
    row: Option<usize>,
    now: DateTime<Utc>,
    overdue: bool,
) -> Option<Proof> {
    let Some(row) = row else { return Some(Proof::Gone) };
    if followed.mode == RunMode::DryRun {
        // Assumed gone until it really is; it can never linger.
        return None;
    }
    let age = now - followed.since;
    let deadline = overdue.then_some(Proof::DeadlinePassed);
    match followed.action {
        Action::Report => Some(Proof::DeadlinePassed),
        Action::CancelSql => {
            if may_be_running(followed, snapshot, row) {
                lingers(followed, age).or(deadline)
            } else {
                Some(Proof::Cancelled)
            }
        }
        Action::Disconnect { .. }
            if followed.action.waits_for_commit()
                && snapshot.text(row, Column::Status) != Some("KILLED")
                && snapshot.text(row, Column::Taddr).is_some() =>
        {
            deadline
        }
        Action::Kill { .. } | Action::Disconnect { .. } => {
            let killed = snapshot.text(row, Column::Status) == Some("KILLED");
            let detached = snapshot.text(row, Column::Server) == Some("PSEUDO");
            let idle = snapshot.has(Column::Taddr) && snapshot.text(row, Column::Taddr).is_none();
            if killed && detached && idle {
                return Some(Proof::ResourcesFreed);
            }
            deadline.or_else(|| lingers(followed, age))
        }
    }
}

/// Whether the statement that was to be cancelled may still be running: all but an answer that says otherwise.
fn may_be_running(followed: &Followed, snapshot: &Snapshot, row: usize) -> bool {
    let in_call = snapshot
        .text(row, Column::Status)
        .is_none_or(|status| status == "ACTIVE");
    let Some((sql_id, execution)) = followed.sql_exec.as_ref() else {
        return in_call;
    };
    let same_sql = match snapshot.field(row, Column::SqlId) {
        Field::Missing => true,
        Field::Text(now) => now == sql_id,
        Field::Null | Field::Number(_) => false,
    };
    let same_execution = match (execution, snapshot.number(row, Column::SqlExecId)) {
        (Some(was), Some(now)) => *was == now,
        (None, _) | (_, None) => true,
    };
    in_call && same_sql && same_execution
}

fn lingers(followed: &Followed, age: TimeDelta) -> Option<Proof> {
    (followed.state == FollowState::Waiting && age >= LINGERS_AFTER).then_some(Proof::Lingers)
}
