//! The statements of a proof: an action on a decoy, in the words that a warrant's would have.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::actuator::NoStatement;
use crate::actuator::door::{Door, DoorAnswer};
use crate::actuator::way::wording;
use crate::decide::guard::{Again, LastStep, Wording};
use crate::oracle::capabilities::Way;
use crate::policy::model::Action;

/// What is tried on a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecoyAttempt<'a> {
    /// An action; with the SQL_ID of its statement, if it runs one.
    Action(Action, Option<&'a str>),
    /// DISCONNECT SESSION with an instance in the name, which the daemon never sends. Only ALTER SYSTEM has words for it.
    DisconnectWithInstance,
}

/// Sends the statement of an attempt, if it is still permitted.
///
/// # Errors
/// When this way has no words for it over a connection to the instance `connected`.
pub(crate) fn attempt(
    again: Again,
    attempt: DecoyAttempt<'_>,
    (way, connected): (Way, u32),
    (door, now): (&mut Door<'_>, DateTime<Utc>),
    limit: Duration,
) -> Result<DoorAnswer, NoStatement> {
    let statement = again.statement(|key| match attempt {
        DecoyAttempt::Action(action, sql_id) => wording(way, action, key, sql_id, connected),
        DecoyAttempt::DisconnectWithInstance => Ok(Wording::Statement(format!(
            "ALTER SYSTEM DISCONNECT SESSION '{},{},@{}' IMMEDIATE",
            key.sid, key.serial, key.inst_id
        ))),
    })?;
    Ok(door.take(LastStep::Send(statement), now, limit))
}
