//! One trial: a decoy, made idle, busy or in a transaction, one action on it, and the observation.

use std::time::Duration;

use crate::actuator::decoy::DecoyAttempt;
use crate::actuator::way;
use crate::clock::Monotonic;
use crate::decide::outcome::Outcome;
use crate::oracle::decoy::{NOTHING, told_words};
use crate::policy::model::Action;
use crate::prove::assumed::{Assumed, assumed};
use crate::prove::stage::{DecoyReading, Player, Sent, Stage};
use crate::prove::{Behaved, Doing, Finding, Halt, RowAfter, SeenToEnd, SentStatement, TrialVerdict};

/// A trial that was carried out or not.
pub(super) struct Trial {
    pub(super) finding: Finding,
    /// What came of it, if it was carried out.
    pub(super) behaved: Option<Behaved>,
    /// The account may not act: no other action has to be tried.
    pub(super) may_not: Option<String>,
    /// The instance of the decoy.
    pub(super) inst_id: Option<u32>,
}

/// Why a decoy is not disconnected.
pub(super) const SHARED: &str = "the decoy's server process serves other sessions too, which a DISCONNECT would end";

/// Why a trial could not be carried out.
pub(super) struct Untried(pub(super) String);

/// The result of a step: a value, why this trial is impossible, or why the whole proof ends.
type TrialStep<T> = Result<Result<T, Untried>, Halt>;

fn untried<T>(why: impl Into<String>) -> TrialStep<T> {
    Ok(Err(Untried(why.into())))
}

/// What was observed.
struct Observed {
    sent: Sent,
    code: u32,
    message: String,
    outcome: Outcome,
    behaved: Behaved,
    shown_for: Option<Duration>,
}

/// Tries an action on a new decoy; `None` where there is nothing to try.
pub(super) fn trial(
    stage: &mut Stage<'_>,
    action: Action,
    doing: Doing,
    instance: Option<&str>,
) -> Result<Option<Trial>, Halt> {
    let Some(expected) = assumed(action, doing) else {
        return Ok(None);
    };
    stage.goes_on()?;
    let mut inst_id = None;
    let observed = match stage.open(instance) {
        Err(error) => Err(Untried(format!("no decoy: {error}"))),
        Ok(mut player) => {
            inst_id = Some(player.decoy.key().inst_id);
            let observed = play(stage, &mut player, action, doing, expected);
            stage.dismiss(player);
            observed?
        }
    };
    let blank = Finding {
        what: action.name().to_owned(),
        doing: Some(doing),
        verdict: TrialVerdict::Untried,
        assumed: expected.words().to_owned(),
        found: String::new(),
        sent: None,
    };
    let tried = match observed {
        Err(Untried(found)) => Trial {
            finding: Finding { found, ..blank },
            behaved: None,
            may_not: None,
            inst_id,
        },
        Ok(observed) => Trial {
            inst_id,
            ..judged(blank, expected, observed)
        },
    };
    Ok(Some(tried))
}

fn judged(blank: Finding, expected: Assumed, observed: Observed) -> Trial {
    let Observed {
        sent,
        code,
        message,
        outcome,
        behaved,
        shown_for,
    } = observed;
    let sent = Some(SentStatement {
        text: sent.text,
        answer: Some(code),
        waited: sent.waited,
        shown_for,
    });
    if outcome == Outcome::Failed {
        return Trial {
            finding: Finding {
                found: message.clone(),
                sent,
                ..blank
            },
            behaved: None,
            may_not: Some(message),
            inst_id: None,
        };
    }
    let differences = expected.differences(outcome, &behaved);
    let mut found = found_words(expected, &message, &behaved);
    if !differences.is_empty() {
        found = format!("{}: {found}", differences.join(", "));
    }
    let verdict = if differences.is_empty() {
        TrialVerdict::AsAssumed
    } else {
        TrialVerdict::Differs
    };
    Trial {
        finding: Finding {
            verdict,
            found,
            sent,
            ..blank
        },
        behaved: Some(behaved),
        may_not: None,
        inst_id: None,
    }
}

fn found_words(expected: Assumed, message: &str, behaved: &Behaved) -> String {
    let mut words = vec![if message.is_empty() { "success" } else { message }.to_owned()];
    words.extend(behaved.row.map(|row| match row {
        RowAfter::Gone => "the row was gone".to_owned(),
        RowAfter::Killed => "the row was KILLED".to_owned(),
        RowAfter::Kept => "the row was as before".to_owned(),
    }));
    words.extend(behaved.ends.map(|ends| match (expected, ends) {
        (Assumed::Cancels, SeenToEnd::Call) => "the statement ended".to_owned(),
        (Assumed::Cancels, SeenToEnd::Stays) => "the statement ran on".to_owned(),
        (Assumed::AfterTransaction, SeenToEnd::Call) => "it was gone after the transaction".to_owned(),
        (_, SeenToEnd::Call) => "it was gone after its client's call".to_owned(),
        (_, SeenToEnd::Stays) => "it was still there at the end".to_owned(),
    }));
    words.extend(
        behaved
            .told
            .map(|told| format!("the client was told {}", told_words(told))),
    );
    words.join("; ")
}

/// Makes the decoy do this, and returns its reading.
fn prepare(stage: &mut Stage<'_>, player: &mut Player, doing: Doing) -> TrialStep<DecoyReading> {
    let limit = stage.reach.call_limit;
    let prepared = match doing {
        Doing::Idle => Ok(()),
        Doing::Busy => player.work(),
        Doing::Transaction => player.open_transaction(limit),
    };
    if let Err(why) = prepared {
        return untried(match doing {
            Doing::Transaction => format!("no transaction can be opened: {why}"),
            Doing::Idle | Doing::Busy => why,
        });
    }
    let key = player.decoy.key();
    let look = stage.until(|stage| {
        let look = stage.look(key)?;
        let is_so = look.row.is_some()
            && match doing {
                Doing::Idle => look.is("INACTIVE"),
                Doing::Busy => look.is("ACTIVE") && look.sql_id().is_some(),
                Doing::Transaction => look.is("INACTIVE") && look.in_transaction(),
            };
        Ok(is_so.then_some(look))
    })?;
    match look {
        Some(look) => Ok(Ok(look)),
        None => untried(match doing {
            Doing::Idle => "the decoy is not shown as INACTIVE",
            Doing::Busy => "the decoy is not shown as ACTIVE with an SQL_ID",
            Doing::Transaction => "the decoy is not shown in a transaction",
        }),
    }
}

/// The decoy as it was seen right before the statement, once it does what it should.
fn ready(stage: &mut Stage<'_>, player: &mut Player, action: Action, doing: Doing) -> TrialStep<DecoyReading> {
    let key = player.decoy.key();
    let connected = stage.connected()?;
    let disconnects = matches!(action, Action::Disconnect { .. });
    if disconnects && key.inst_id != connected {
        return untried(format!(
            "no decoy can be opened on the instance of the connection that acts: the decoy is on {}, the connection on {connected}",
            key.inst_id
        ));
    }
    if let Err(why) = prepare(stage, player, doing)? {
        return Ok(Err(why));
    }
    if disconnects && !stage.is_alone(key)? {
        return untried(SHARED);
    }
    if !player.reports_itself(stage.reach.call_limit) {
        return untried("the decoy was gone before the statement");
    }
    Ok(Ok(stage.look(key)?))
}

fn play(
    stage: &mut Stage<'_>,
    player: &mut Player,
    action: Action,
    doing: Doing,
    expected: Assumed,
) -> TrialStep<Observed> {
    let key = player.decoy.key();
    let look = match ready(stage, player, action, doing)? {
        Ok(look) => look,
        Err(why) => return Ok(Err(why)),
    };
    let sql_id = look.sql_id();
    if action == Action::CancelSql && sql_id.is_none() {
        return untried("the decoy's statement ended by itself");
    }
    let again = player.decoy.again(&look.read);
    let Some(sent) = stage.send(again, DecoyAttempt::Action(action, sql_id.as_deref()), &look)? else {
        return untried("the decoy was gone before the statement");
    };
    let answered = stage.clock.now();
    let answer = match &sent.answer {
        Ok(answer) => answer.clone(),
        Err(error) => return untried(format!("no answer: {error}")),
    };
    let outcome = way::outcome(stage.way()?, answer.code);
    if outcome == Outcome::AlreadyGone && stage.look(key)?.row.is_none() {
        return untried("the decoy was gone before the statement came");
    }
    let mut observed = Observed {
        sent,
        code: answer.code,
        message: answer.message,
        outcome,
        behaved: Behaved {
            answer: answer.code,
            ..Behaved::default()
        },
        shown_for: None,
    };
    if matches!(outcome, Outcome::Done | Outcome::Marked) {
        match expected {
            Assumed::Cancels => cancelled(stage, player, sql_id.as_deref(), &mut observed.behaved)?,
            Assumed::AfterTransaction => after_transaction(stage, player, &mut observed, answered)?,
            Assumed::Ends | Assumed::Waits | Assumed::Marks => ended(stage, player, doing, &mut observed, answered)?,
        }
    }
    Ok(Ok(observed))
}

/// Follows a decoy whose statement was cancelled.
fn cancelled(
    stage: &mut Stage<'_>,
    player: &mut Player,
    sql_id: Option<&str>,
    behaved: &mut Behaved,
) -> Result<(), Halt> {
    let key = player.decoy.key();
    let ended = stage.until(|stage| {
        let look = stage.look(key)?;
        let runs = look.is("ACTIVE") && look.sql_id().as_deref() == sql_id;
        Ok((!runs).then_some(()))
    })?;
    behaved.ends = Some(if ended.is_some() {
        SeenToEnd::Call
    } else {
        SeenToEnd::Stays
    });
    behaved.told = Some(match ended {
        Some(()) => stage.hears(player)?,
        None => NOTHING,
    });
    Ok(())
}

/// The row with the answer.
fn row_of(look: &DecoyReading) -> RowAfter {
    match look.row {
        None => RowAfter::Gone,
        Some(_) if look.is("KILLED") => RowAfter::Killed,
        Some(_) => RowAfter::Kept,
    }
}

/// Follows a decoy that should end with its transaction.
fn after_transaction(
    stage: &mut Stage<'_>,
    player: &mut Player,
    observed: &mut Observed,
    answered: Monotonic,
) -> Result<(), Halt> {
    let row = row_of(&stage.look(player.decoy.key())?);
    observed.behaved.row = Some(row);
    if row == RowAfter::Kept {
        player.commit(stage.reach.call_limit);
    }
    observed.behaved.told = Some(stage.hears(player)?);
    if row != RowAfter::Gone {
        goes(stage, player, observed, answered)?;
    }
    Ok(())
}

/// Follows a decoy that is to end.
fn ended(
    stage: &mut Stage<'_>,
    player: &mut Player,
    doing: Doing,
    observed: &mut Observed,
    answered: Monotonic,
) -> Result<(), Halt> {
    // A busy session that is marked may be gone at any moment.
    let is_ending = doing == Doing::Busy && observed.outcome == Outcome::Marked;
    let row = if is_ending {
        None
    } else {
        Some(row_of(&stage.look(player.decoy.key())?))
    };
    observed.behaved.row = row;
    let told = stage.hears(player)?;
    observed.behaved.told = Some(told);
    match row {
        Some(RowAfter::Gone) => Ok(()),
        Some(RowAfter::Kept) if told == NOTHING => Ok(()),
        Some(RowAfter::Killed | RowAfter::Kept) | None => goes(stage, player, observed, answered),
    }
}

/// Waits for the row to go.
fn goes(stage: &mut Stage<'_>, player: &Player, observed: &mut Observed, answered: Monotonic) -> Result<(), Halt> {
    let key = player.decoy.key();
    let gone = stage.until(|stage| Ok(stage.look(key)?.row.is_none().then_some(())))?;
    observed.behaved.ends = Some(if gone.is_some() {
        SeenToEnd::Call
    } else {
        SeenToEnd::Stays
    });
    observed.shown_for = Some(stage.clock.now().since(answered));
    Ok(())
}
