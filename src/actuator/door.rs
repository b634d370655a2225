//! The door that a statement leaves by.
//!
//! An acting thread reads and acts over the same connection, and has it only inside this door. The checks of the daemon as a whole
//! (pause, blackout, reload, the age of the snapshot) are made here, right before each last step, also of a dry run; no statement
//! is sent in any other way.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::decide::guard::LastStep;
use crate::decide::outcome::Outcome;
use crate::oracle::leader::was_stopped;
use crate::oracle::{ActingConnection, BlockAnswer, Connection, Error, LeaderLock};

/// Why a statement is not carried out whose session has lost the lock.
pub(crate) const LOST: &str = "its session no longer holds the lock by which this daemon leads";

/// Whether the daemon as a whole still permits anything.
pub(crate) trait Permission {
    /// Whether the last step may be taken. If it may, it counts as under way until [`Self::end`]. `now` is the database's
    /// clock in UTC, read just before.
    ///
    /// # Errors
    /// What came of the action instead, and why.
    fn begin(&self, what: &str, now: DateTime<Utc>) -> Result<(), (Outcome, String)>;

    /// The last step is through.
    fn end(&self);
}

/// A connection to act on, and who is asked before it acts.
pub(crate) struct Door<'a> {
    connection: &'a mut dyn ActingConnection,
    permission: &'a dyn Permission,
    fence: Option<LeaderLock>,
    was_fenced_off: bool,
}

/// What came of a last step.
#[derive(Debug)]
#[must_use = "it is what came of the warrant"]
pub(crate) enum DoorAnswer {
    /// It was not taken after all.
    Stopped(Outcome, String),
    /// There was nothing to do.
    Reported,
    /// A dry run: it is assumed to have succeeded.
    Assumed(String),
    /// The statement was sent; with the database's answer.
    Sent(String, Result<BlockAnswer, Error>),
}

impl<'a> Door<'a> {
    /// To the database that the connection is to. Where one of several daemons leads, a statement is carried out only while the session
    /// of this connection holds the lock.
    pub(crate) fn new(
        connection: &'a mut dyn ActingConnection,
        permission: &'a dyn Permission,
        fence: Option<LeaderLock>,
    ) -> Door<'a> {
        Door {
            connection,
            permission,
            fence,
            was_fenced_off: false,
        }
    }

    /// Whether a statement was not carried out because its session did not hold the lock. Having been asked for it, the session may hold
    /// it now, beside those of another daemon: it has to be closed.
    pub(crate) const fn was_fenced_off(&self) -> bool {
        self.was_fenced_off
    }

    /// To look again.
    pub(crate) fn reading(&mut self) -> &mut dyn Connection {
        self.connection
    }

    /// Takes the last step, if it is still permitted at this time by the database's clock.
    pub(crate) fn take(&mut self, step: LastStep, now: DateTime<Utc>, limit: Duration) -> DoorAnswer {
        let what = match &step {
            LastStep::Report => "",
            LastStep::Assume(text) => text,
            LastStep::Send(statement) => statement.text(),
        };
        if let Err((outcome, why)) = self.permission.begin(what, now) {
            return DoorAnswer::Stopped(outcome, why);
        }
        let taken = match step {
            LastStep::Report => DoorAnswer::Reported,
            LastStep::Assume(text) => DoorAnswer::Assumed(text),
            LastStep::Send(statement) => {
                let text = statement.text().to_owned();
                match self.connection.send(statement, self.fence, limit) {
                    Ok(answer) if self.fence.is_some() && was_stopped(&answer) => {
                        self.was_fenced_off = true;
                        DoorAnswer::Stopped(Outcome::Revoked, LOST.to_owned())
                    }
                    answer => DoorAnswer::Sent(text, answer),
                }
            }
        };
        self.permission.end();
        taken
    }
}
