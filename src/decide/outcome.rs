//! What came of one action: a closed set whose names are labels of metrics and words of the journal.
//!
//! An answer that is to be expected (marked for kill, already gone) is an outcome, not an error. The number and text of
//! Oracle's answer are kept beside it as data; they are never a label.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::checks::Check;
use crate::policy::model::Action;
use crate::session::time::iso;
use crate::words::words;

words! {
    /// What came of one action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Outcome {
        /// Oracle carried out the statement.
        Done = "done",
        /// Oracle accepted the statement and ends the session later: "session marked for kill".
        Marked = "marked",
        /// The session was gone at the re-check, or when the statement arrived.
        AlreadyGone = "already_gone",
        /// At the re-check the condition was no longer TRUE, or an exemption applied. Nothing was sent.
        NoLongerMatches = "no_longer_matches",
        /// At the re-check a protection applied. Nothing was sent.
        Protected = "protected",
        /// The session could not be read again. Nothing was sent.
        Unchecked = "unchecked",
        /// Oracle refused this session: not a user session, or the caller's own.
        Refused = "refused",
        /// The release or the service has no such statement, or no connection to the session's instance was there.
        Unsupported = "unsupported",
        /// A privilege is missing or the database is not open. Oracle's number is in the record.
        Failed = "failed",
        /// The connection broke, the call took too long, or Oracle's number may come from an accepted statement. The next snapshots
        /// show what became of the session.
        Unknown = "unknown",
        /// The warrant was too old when its turn came. Nothing was sent.
        Expired = "expired",
        /// When the warrant's turn came, a pause, a blackout, a reload, or the policy's schedule, gate, floor or hold no longer
        /// permitted the action. Nothing was sent.
        Revoked = "revoked",
        /// A dry run: everything was done but the statement, which is assumed to have succeeded.
        Assumed = "assumed",
        /// The action is `report`, and the session was reported.
        Reported = "reported",
    }
}

impl Outcome {
    /// Whether the action counts against the budgets: a statement was sent or may have been, or a dry run assumes so.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Outcome::Done
            | Outcome::Marked
            | Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Unknown
            | Outcome::Assumed => true,
            Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Reported => false,
        }
    }

    /// Whether the session itself was spared when it was read again, which may come out the same the next time.
    #[must_use]
    pub(crate) const fn is_spared(self) -> bool {
        match self {
            Outcome::NoLongerMatches | Outcome::Protected | Outcome::Unchecked => true,
            Outcome::Done
            | Outcome::Marked
            | Outcome::AlreadyGone
            | Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Unknown
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Assumed
            | Outcome::Reported => false,
        }
    }

    /// Whether the session is followed until it is known to be gone.
    #[must_use]
    pub const fn is_followed(self) -> bool {
        match self {
            Outcome::Done | Outcome::Marked | Outcome::Unknown | Outcome::Assumed => true,
            Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Reported => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was in the way of a statement that ended nothing for certain: it was refused before anything was done, so it takes no budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// It is about this session or action. Another one may be let through.
    Session,
    /// It is the same for every session of the database, until somebody acts or time passes.
    Database(Box<Check>),
}

/// An earlier action on a session, which stands in the way of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// `report` has reported the session, which it does once.
    Reported,
    /// An action on the session has begun and not ended.
    UnderWay,
    /// The session is expected to go; a dry run assumes so.
    Accepted,
    /// It is unknown whether its statement was carried out: the daemon ended or the connection broke before the answer.
    Unknown {
        /// The journal's number of the action.
        action_id: u64,
        /// The action.
        action: Action,
        /// When it began, by the database's clock.
        since: DateTime<Utc>,
        /// When the session is no longer followed.
        until: DateTime<Utc>,
    },
}

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Earlier::Reported => f.write_str("reported already; a session is reported once"),
            Earlier::UnderWay => f.write_str("an action on it is under way"),
            Earlier::Accepted => f.write_str("acted on already; waiting for it to end"),
            Earlier::Unknown {
                action_id,
                action,
                since,
                until,
            } => write!(
                f,
                "the outcome of action {action_id} ({action}, begun {}) is unknown: the daemon ended or the connection broke before its \
                 answer was recorded; if the session is still there at {}, it can be acted on again",
                iso(*since),
                iso(*until)
            ),
        }
    }
}
