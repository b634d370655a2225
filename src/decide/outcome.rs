//! What came of one action: a closed set whose names are labels of metrics and words of the journal.
//!
//! An answer that was to be expected (marked for kill, already gone) is an outcome and no error. The number and text of
//! Oracle's answer are kept beside it as data; they are never a label.

use crate::words::words;
use std::fmt;

words! {
    /// What came of one action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Outcome {
        /// Oracle did it.
        Done = "done",
        /// Accepted, to be finished later: "session marked for kill" on the killer's side.
        Marked = "marked",
        /// The session was gone when it was read again, or when the statement arrived.
        AlreadyGone = "already_gone",
        /// Read again, its condition was no longer TRUE, or an exemption held. Nothing was sent.
        NoLongerMatches = "no_longer_matches",
        /// Read again, a protection held. Nothing was sent.
        Protected = "protected",
        /// It could not be read again. Nothing was sent.
        Unchecked = "unchecked",
        /// Oracle refused this target: not a user session, or the caller's own.
        Refused = "refused",
        /// The release or the service has no such statement.
        Unsupported = "unsupported",
        /// Any other error; the number is in the record.
        Failed = "failed",
        /// The connection broke or the call took too long: what came of it is seen in the next snapshots.
        Unknown = "unknown",
        /// The warrant was too old when its turn came. Nothing was sent.
        Expired = "expired",
        /// What the warrant was given for held no longer when its turn came: a pause, a blackout, a reload, the policy's schedule,
        /// gate, floor or hold. Nothing was sent.
        Revoked = "revoked",
        /// A dry run: everything was done but the statement, and it is assumed to have succeeded.
        Assumed = "assumed",
        /// The action was to report, which was done.
        Reported = "reported",
    }
}

impl Outcome {
    /// Whether it counts against the budgets: a statement was sent, or may have been, or a dry run assumes so.
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
