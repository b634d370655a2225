//! The statements of a proof: an action on a decoy, in the words that a warrant's would have.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::actuator::door::{Door, DoorAnswer};
use crate::actuator::{NoStatement, statement};
use crate::decide::guard::{Again, LastStep};
use crate::policy::model::Action;

/// What is tried on a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecoyAttempt<'a> {
    /// An action; with the SQL_ID of its statement, if it runs one.
    Action(Action, Option<&'a str>),
    /// DISCONNECT SESSION with an instance in the name, which the daemon never sends.
    DisconnectWithInstance,
}

/// Sends the statement of an attempt, if it is still permitted.
///
/// # Errors
/// When there is no statement for it over a connection to the instance `connected`.
pub(crate) fn attempt(
    again: Again,
    attempt: DecoyAttempt<'_>,
    connected: u32,
    (door, now): (&mut Door<'_>, DateTime<Utc>),
    limit: Duration,
) -> Result<DoorAnswer, NoStatement> {
    let key = again.key();
    let text = match attempt {
        DecoyAttempt::Action(action, sql_id) => statement(action, key, sql_id, connected)?,
        DecoyAttempt::DisconnectWithInstance => format!(
            "ALTER SYSTEM DISCONNECT SESSION '{},{},@{}' IMMEDIATE",
            key.sid, key.serial, key.inst_id
        ),
    };
    Ok(door.take(LastStep::Send(again.statement(text)), now, limit))
}
