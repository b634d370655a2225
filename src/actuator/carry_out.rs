//! The steps between a warrant and its outcome, in the order that makes them safe.
//!
//! The intent is on disk before anything else is tried; the session is read again, whole, and must still deserve the
//! warrant; then the last step is taken, which is the only thing that a dry run leaves out. Carrying a warrant out uses it
//! up. A crash between any two lines leaves at worst an intent without an outcome, which the next start follows up.

use std::io;
use std::time::Duration;

use chrono::NaiveDate;

use crate::actuator::{NoStatement, outcome_of, statement};
use crate::cycle::Done;
use crate::guard::{RunMode, Spared, Warrant, still_deserved};
use crate::oracle::capabilities::Capabilities;
use crate::oracle::read::read_snapshot;
use crate::oracle::sql::Scope;
use crate::oracle::{Connection, Error};
use crate::outcome::Outcome;
use crate::plan::EffectiveLimits;
use crate::policy::model::Action;
use crate::protect::Facts;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// Where the steps are written down. The journal is one; a test has its own.
pub trait Witness {
    /// The number of the next action.
    fn next_id(&mut self) -> u64;

    /// Writes the intent down and returns when it is on disk.
    ///
    /// # Errors
    /// When it could not be: then nothing is done.
    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()>;

    /// Writes the outcome down.
    fn answered(&mut self, answered: &Answered<'_>);

    /// Writes down that nobody will say what came of the actions whose outcomes were not; what each is taken for.
    fn abandon(&mut self, why: &str) -> Vec<Done>;
}

/// What is about to be done.
#[derive(Debug)]
pub struct Intending<'a> {
    /// The action's number.
    pub action_id: u64,
    /// The permission.
    pub warrant: &'a Warrant,
    /// The session as the snapshot had it, alone.
    pub seen: &'a Snapshot,
    /// The statement as it will be sent; `None` for `report`, and where it depends on what the re-check reads.
    pub statement: Option<&'a str>,
}

/// What came of it.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The action's number.
    pub action_id: u64,
    /// The permission that was used up.
    pub warrant: &'a Warrant,
    /// The statement that was sent, or would have been.
    pub statement: Option<&'a str>,
    /// What came of it.
    pub outcome: Outcome,
    /// Oracle's number; 0 for success, `None` if nothing was asked of it or it did not answer.
    pub code: Option<u32>,
    /// Oracle's or the driver's words, or why the session was spared.
    pub message: Option<String>,
    /// The session as it was read again, row 0.
    pub session: Option<&'a Snapshot>,
    /// How long it all took.
    pub took: Duration,
}

/// What carrying out needs besides the warrant.
pub struct Hands<'a> {
    /// To the session's own instance if the action reaches no other.
    pub connection: &'a mut dyn Connection,
    /// What the database is, as this connection found it; it tells the instance that the connection is to.
    pub capabilities: &'a Capabilities,
    /// Who is protected.
    pub facts: &'a Facts,
    /// The configuration's limits.
    pub limits: &'a EffectiveLimits,
    /// The day.
    pub today: NaiveDate,
    /// For each call.
    pub limit: Duration,
    /// A plain KILL of a busy session makes its caller wait up to 60 seconds.
    pub kill_limit: Duration,
    /// Since the carrying out began.
    pub elapsed: &'a dyn Fn() -> Duration,
}

/// Uses the warrant up.
///
/// # Errors
/// When the intent could not be written down. Nothing was done then.
pub fn carry_out(
    warrant: Warrant,
    seen: &Snapshot,
    hands: &mut Hands<'_>,
    witness: &mut dyn Witness,
) -> io::Result<Done> {
    let action_id = witness.next_id();
    let planned = statement(warrant.action(), warrant.key(), None, hands.capabilities.own.inst_id).ok();
    witness.intend(&Intending {
        action_id,
        warrant: &warrant,
        seen,
        statement: planned.as_deref(),
    })?;
    let SessionKey { inst_id, sid, .. } = warrant.key();
    let wanted = crate::needs::columns(warrant.set());
    let seat = Scope::One { inst_id, sid };
    let again = read_snapshot(hands.connection, wanted, hands.capabilities, seat, hands.limit);
    let (answer, session) = match again {
        Err(error) => (Answer::not_sent(Outcome::Unchecked, Some(error.to_string())), None),
        // What an instance that does not answer leaves out is not gone, and what it shows may not be all.
        Ok(taken) if !taken.snapshot.is_complete(inst_id) => {
            let why = format!("instance {inst_id} could not be read");
            (Answer::not_sent(Outcome::Unchecked, Some(why)), None)
        }
        Ok(taken) => match still_deserved(&warrant, &taken.snapshot, hands.facts, hands.limits, hands.today) {
            Err(spared) => (
                spare(&spared),
                taken.snapshot.find(warrant.key()).map(|row| taken.snapshot.only(row)),
            ),
            Ok(row) => {
                let session = taken.snapshot.only(row);
                (
                    last_step(&warrant, session.text(0, Column::SqlId), hands),
                    Some(session),
                )
            }
        },
    };
    witness.answered(&Answered {
        action_id,
        warrant: &warrant,
        statement: answer.statement.as_deref(),
        outcome: answer.outcome,
        code: answer.code,
        message: answer.message,
        session: session.as_ref(),
        took: (hands.elapsed)(),
    });
    let sql_exec = session.as_ref().and_then(|session| {
        Some((
            session.text(0, Column::SqlId)?.to_owned(),
            session.number(0, Column::SqlExecId),
        ))
    });
    Ok(Done::of(&warrant, action_id, answer.outcome, sql_exec))
}

struct Answer {
    outcome: Outcome,
    code: Option<u32>,
    message: Option<String>,
    statement: Option<String>,
}

impl Answer {
    fn not_sent(outcome: Outcome, message: Option<String>) -> Answer {
        Answer {
            outcome,
            code: None,
            message,
            statement: None,
        }
    }
}

fn spare(spared: &Spared) -> Answer {
    match spared {
        Spared::Gone => Answer::not_sent(Outcome::AlreadyGone, None),
        Spared::Protected(protection, because) => {
            Answer::not_sent(Outcome::Protected, Some(format!("{protection}: {because}")))
        }
        Spared::Exempt => Answer::not_sent(Outcome::NoLongerMatches, Some("an exemption holds now".into())),
        Spared::ConditionNoLongerHolds => {
            Answer::not_sent(Outcome::NoLongerMatches, Some("its condition no longer holds".into()))
        }
    }
}

/// The one place where a dry run and the real thing differ.
fn last_step(warrant: &Warrant, sql_id: Option<&str>, hands: &mut Hands<'_>) -> Answer {
    let text = match statement(warrant.action(), warrant.key(), sql_id, hands.capabilities.own.inst_id) {
        Ok(text) => text,
        Err(NoStatement::Nothing) => return Answer::not_sent(Outcome::Reported, None),
        Err(NoStatement::NoSqlId) => {
            return Answer::not_sent(Outcome::NoLongerMatches, Some(NoStatement::NoSqlId.to_string()));
        }
        Err(other @ NoStatement::OtherInstance { .. }) => {
            return Answer::not_sent(Outcome::Unsupported, Some(other.to_string()));
        }
    };
    match warrant.mode() {
        RunMode::DryRun => Answer {
            outcome: Outcome::Assumed,
            code: None,
            message: None,
            statement: Some(text),
        },
        RunMode::Enforce => {
            let limit = match warrant.action() {
                Action::Kill { .. } | Action::Disconnect { .. } => hands.kill_limit,
                Action::CancelSql | Action::Report => hands.limit,
            };
            let answer = hands.connection.call(&text, limit);
            sent(answer, text)
        }
    }
}

fn sent(answer: Result<crate::oracle::BlockAnswer, Error>, statement: String) -> Answer {
    match answer {
        Ok(answer) => Answer {
            outcome: outcome_of(answer.code),
            code: Some(answer.code),
            message: (!answer.message.is_empty()).then_some(answer.message),
            statement: Some(statement),
        },
        Err(error) => Answer {
            outcome: Outcome::Unknown,
            code: error.code,
            message: Some(error.to_string()),
            statement: Some(statement),
        },
    }
}
