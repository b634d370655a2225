//! `prove`: everything that a kill depends on, tried on the user's own database, on sessions that this program opens itself.
//!
//! Everywhere else, Oracle's behaviour is taken from its documentation. Here it is tried: each action that the release has is
//! carried out on a decoy that is idle, busy and in a transaction, over the connections that the daemon would have, and the
//! result stands beside the daemon's assumption.
//!
//! - Nothing but a decoy is ever named in a statement: the permission for one is made of a decoy that its own connection
//!   reported and that a reading right before still shows ([`crate::decide::guard::Decoy`]).
//! - The kill switch is asked before each statement.
//! - Nothing is written to the journal, and nothing counts against a budget: a decoy is no user's session.
//! - However it ends, every decoy is logged off or ended first.

mod assumed;
pub(crate) mod page;
pub(crate) mod run;
pub(crate) mod show;
mod stage;
mod trial;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::oracle::Error;

crate::words::words! {
    /// What a decoy does when an action reaches it, in the order of the trials.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Doing {
        /// Nothing.
        Idle = "idle",
        /// A query that takes long.
        Busy = "busy",
        /// Nothing, in an open transaction.
        Transaction = "transaction",
    }
}

crate::words::words! {
    /// What came of a trial, in the order of the counts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum TrialVerdict {
        /// The database does what orareaper assumes.
        AsAssumed = "as assumed",
        /// It does something else.
        Differs = "differs",
        /// It could not be tried.
        Untried = "could not be tried",
    }
}

/// The row of a decoy, right after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowAfter {
    /// It is gone.
    Gone,
    /// Its STATUS is KILLED.
    Killed,
    /// It is as before.
    Kept,
}

/// Whether what was ended was seen to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeenToEnd {
    /// With the call of its client.
    Call,
    /// Not while it was followed.
    Stays,
}

/// What came of an action, without how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Behaved {
    /// The number in Oracle's answer, 0 for success.
    pub(crate) answer: u32,
    /// The row with the answer; `None` where it may end at any moment.
    pub(crate) row: Option<RowAfter>,
    /// Whether it was seen to end; `None` where it was gone with the answer.
    pub(crate) ends: Option<SeenToEnd>,
    /// What the decoy's own client was told, 0 for nothing; `None` where it was not asked.
    pub(crate) told: Option<u32>,
}

/// How the database behaves, as far as it was tried; a simulated database can be set to behave alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Behaviour {
    pub(crate) seen_at_once: Option<bool>,
    pub(crate) idle_age_grows: Option<bool>,
    pub(crate) active_age_grows: Option<bool>,
    pub(crate) program_bytes: Option<u32>,
    pub(crate) missing_session: Option<u32>,
    pub(crate) disconnect_with_instance: Option<u32>,
    pub(crate) actions: BTreeMap<&'static str, BTreeMap<&'static str, Behaved>>,
}

/// One line of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was tried: the name of an action, or of another assumption.
    pub(crate) what: String,
    /// What the decoy did.
    pub(crate) doing: Option<Doing>,
    /// What came of it.
    pub(crate) verdict: TrialVerdict,
    /// What orareaper assumes.
    pub(crate) assumed: String,
    /// What was found, or why it could not be tried.
    pub(crate) found: String,
    /// What was sent and answered, if anything was.
    pub(crate) sent: Option<SentStatement>,
}

/// A statement that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentStatement {
    /// Its text, which names a decoy.
    pub(crate) text: String,
    /// The number in Oracle's answer.
    pub(crate) answer: Option<u32>,
    /// How long the caller waited for it.
    pub(crate) waited: Duration,
    /// How long the decoy's row was still shown afterwards.
    pub(crate) shown_for: Option<Duration>,
}

/// A proof.
#[derive(Clone, Debug)]
pub(crate) struct ProofReport {
    /// The configured name of the database.
    pub(crate) database: String,
    /// Its release.
    pub(crate) release: String,
    /// The driver.
    pub(crate) driver: &'static str,
    /// Whether it has containers, and which one this is: `no containers`, `CDB$ROOT`, `PDB`.
    pub(crate) container: &'static str,
    /// How sessions are ended there, in the configuration's word.
    pub(crate) via: &'static str,
    /// How many instances it has.
    pub(crate) instances: usize,
    /// DATABASE_ROLE and OPEN_MODE.
    pub(crate) role: String,
    /// When, by this host's clock.
    pub(crate) taken_at: DateTime<Utc>,
    /// The lines.
    pub(crate) findings: Vec<Finding>,
    /// The same for a simulated database.
    pub(crate) behaviour: Behaviour,
}

impl ProofReport {
    /// How many lines have this verdict.
    pub(crate) fn count(&self, verdict: TrialVerdict) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    /// Whether an action was carried out at all.
    #[must_use]
    pub(crate) fn tried_an_action(&self) -> bool {
        !self.behaviour.actions.is_empty()
    }
}

/// Why a proof ended before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It was interrupted.
    Interrupted,
    /// The kill switch is set.
    Paused(String),
    /// The database could not be reached or read.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(error)
    }
}
