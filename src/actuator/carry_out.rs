//! The steps between a warrant and its outcome, in the order that makes them safe.
//!
//! The intent is on disk before anything else is tried. The session is read again with all its columns, and must still deserve
//! the warrant. Everything else that the permission depends on is checked again, the kill switch last. Then comes the last
//! step, the only one that a dry run leaves out. Carrying a warrant out uses it up. A crash between any two lines leaves at
//! worst an intent without an outcome, which the next start follows up.

use std::io;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::actuator::door::{Door, DoorAnswer};
use crate::actuator::ending::Ending;
use crate::actuator::way::{NOT_COMPILED, is_invalid, outcome, wording};
use crate::actuator::{NoStatement, PRIVILEGE, guard, lacks_privilege};
use crate::checks::Check;
use crate::decide::cycle::Done;
use crate::decide::going::Going;
use crate::decide::guard::{Surroundings, Warrant, Wording, still_deserved, stopped_by_another};
use crate::decide::in_force::{EffectiveLimits, RunMode};
use crate::decide::ledger::later;
use crate::decide::outcome::{Hindrance, Outcome};
use crate::decide::pressure::Readings;
use crate::decide::protect::ProtectionFacts;
use crate::decide::rates::Rates;
use crate::decide::reason::{Lapse, Spared};
use crate::decide::shared_process::{NotChecked, ends_the_process, has_a_process};
use crate::oracle::access::{self, Grantee};
use crate::oracle::capabilities::{Capabilities, HostingService, Way};
use crate::oracle::hindrance::hindrance;
use crate::oracle::identity::DatabaseIdentity;
use crate::oracle::pressure::{Counters, read_pressure};
use crate::oracle::read::{read_same_process, read_server, read_snapshot};
use crate::oracle::sql::Scope;
use crate::oracle::{BlockAnswer, Error};
use crate::policy::model::Action;
use crate::policy::timetable::Timetable;
use crate::session::SessionKey;
use crate::session::column::{Column, Columns};
use crate::session::snapshot::Snapshot;

/// Records the steps. The daemon's writes the journal; tests have their own.
pub trait StepRecorder {
    /// The number of the next action.
    fn next_id(&mut self) -> u64;

    /// Writes the intent and returns when it is on disk.
    ///
    /// # Errors
    /// When it could not be written. Then nothing is done.
    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()>;

    /// Writes the outcome.
    fn answered(&mut self, answered: &Answered<'_>);

    /// Writes an outcome for every action that has none because its thread is lost; returns the assumed outcomes.
    fn abandon(&mut self, why: &str) -> Vec<Done>;

    /// Writes that a warrant was dropped before anything was tried, and why.
    fn unused(&mut self, unused: &Intending<'_>, outcome: Outcome, why: &str);
}

/// An action that is about to be taken.
#[derive(Debug)]
pub struct Intending<'a> {
    /// The action's number.
    pub action_id: u64,
    /// The permission.
    pub warrant: &'a Warrant,
    /// A snapshot of this session alone, as it was when the warrant was given.
    pub(crate) seen: &'a Snapshot,
    /// The statement that will be sent; `None` for `report`, and if it depends on the re-check.
    pub(crate) statement: Option<&'a str>,
    /// The database that the connection leads to; `None` where nothing is tried.
    pub(crate) identity: Option<&'a DatabaseIdentity>,
    /// The time since the answer with the snapshot's clock was there.
    pub waited: Duration,
}

/// An action that has ended.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The action's number.
    pub action_id: u64,
    /// The statement that was sent, or would have been.
    pub statement: Option<&'a str>,
    /// Its outcome.
    pub outcome: Outcome,
    /// Oracle's number; 0 for success, `None` if Oracle was not asked or did not answer.
    pub code: Option<u32>,
    /// The message of Oracle or the driver, or why the session was spared.
    pub message: Option<String>,
    /// The session at the re-check, row 0.
    pub(crate) session: Option<&'a Snapshot>,
    /// How long the action took.
    pub(crate) took: Duration,
}

/// What carrying out needs besides the warrant.
pub(crate) struct Hands<'a> {
    /// A connection to the session's own instance if the action reaches no other. Pause, blackouts, reloads and the age of the
    /// snapshot are checked there.
    pub(crate) door: Door<'a>,
    /// The database as this connection found it; it names the connection's instance.
    pub(crate) capabilities: &'a Capabilities,
    /// The host's CPU times at this connection's last reading, for gates that are checked again.
    pub(crate) counters: &'a mut Counters,
    /// What the protections need to know.
    pub(crate) facts: &'a ProtectionFacts,
    /// The configuration's limits.
    pub(crate) limits: &'a EffectiveLimits,
    /// The current day, which exemptions expire by.
    pub(crate) today: NaiveDate,
    /// When the policy is in force.
    pub(crate) timetable: Option<&'a Timetable>,
    /// How long before carrying out began the answer with the clock of the snapshot behind the warrant was there.
    pub(crate) age: Duration,
    /// How long it took to read that snapshot.
    pub(crate) read_in: TimeDelta,
    /// The counters of the last snapshots, which tell the rates of a session that is read again.
    pub(crate) rates: &'a Rates,
    /// Sessions that are being ended, by this and by other connections.
    pub(crate) ending: &'a Ending,
    /// The limit of each call.
    pub(crate) limit: Duration,
    /// The limit of KILL and DISCONNECT: a plain KILL of a busy session makes its caller wait up to 60 seconds.
    pub(crate) kill_limit: Duration,
    /// The time since carrying out began.
    pub(crate) elapsed: &'a dyn Fn() -> Duration,
}

/// Uses the warrant up.
///
/// # Errors
/// When the intent could not be written. Then nothing was done.
pub(crate) fn carry_out(
    mut warrant: Warrant,
    seen: &Snapshot,
    hands: &mut Hands<'_>,
    recorder: &mut dyn StepRecorder,
) -> io::Result<Done> {
    let action_id = recorder.next_id();
    let way = hands.capabilities.way();
    let planned = wording(
        way,
        warrant.action(),
        warrant.key(),
        None,
        hands.capabilities.own.inst_id,
    )
    .ok();
    recorder.intend(&Intending {
        action_id,
        warrant: &warrant,
        seen,
        statement: planned.as_ref().map(Wording::text),
        identity: Some(&DatabaseIdentity::of(hands.capabilities)),
        waited: hands.age.saturating_add((hands.elapsed)()),
    })?;
    let (answer, session) = match look_at_others(&warrant, hands) {
        Err(stopped) => (stopped, None),
        Ok(others) => match stopped_by_shared_process(&warrant, hands) {
            Some(stopped) => (stopped, None),
            None => check_and_act(&mut warrant, seen, &others, hands),
        },
    };
    let sent = warrant.mode() == RunMode::Enforce && answer.statement.is_some();
    recorder.answered(&Answered {
        action_id,
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
    Ok(Done {
        sent,
        hindrance: answer.hindrance.filter(|_| sent),
        ..Done::of(&warrant, action_id, answer.outcome, sql_exec).with(seen)
    })
}

/// What floors and gates were held against before the session itself was read.
struct OtherSessions {
    sessions: Snapshot,
    readings: Readings,
    /// The sessions that counted as gone.
    going: Vec<Going>,
}

/// Holds the action against its policy's floor and gate. Both depend on more than the session, so for a policy that has one, all
/// sessions and the resources are read again, before the session itself, which is read last. If nothing is against it, the session
/// counts as going from here on, for all threads that act. What was read is returned, for [`OtherSessions::stop`].
///
/// # Errors
/// Why it is not sent.
fn look_at_others(warrant: &Warrant, hands: &mut Hands<'_>) -> Result<Option<OtherSessions>, StepAnswer> {
    let going = warrant.going();
    if !warrant.depends_on_others() {
        if warrant.action().ends_session() {
            let _ = hands.ending.begin(going, Vec::new(), |_| None);
        }
        return Ok(None);
    }
    let before = hands.ending.now();
    let wanted = crate::columns_needed::columns(warrant.set());
    let resources = crate::columns_needed::resources_of(warrant.policy());
    let read = read_again(hands, wanted, Scope::All).and_then(|sessions| {
        let (readings, _) = read_pressure(
            hands.door.reading(),
            &resources,
            &sessions,
            hands.capabilities,
            hands.counters,
            hands.limit,
        )?;
        Ok((sessions, readings))
    });
    let (sessions, readings) =
        read.map_err(|error| StepAnswer::not_sent(Outcome::Unchecked, Some(error.to_string())))?;
    let begun = hands.ending.begin(going, before, |going| {
        warrant.stopped_by_others(&Surroundings {
            sessions: &sessions,
            readings: &readings,
            going,
        })
    });
    let going = begun.map_err(|lapse| revoked(&lapse))?;
    Ok(Some(OtherSessions {
        sessions,
        readings,
        going,
    }))
}

impl OtherSessions {
    /// Why the action is not sent after all, if others have begun to end sessions since: a policy without a floor, or with another one,
    /// may have taken from what this policy keeps. Reading the session itself can take a minute.
    fn stop(&self, warrant: &Warrant, ending: &Ending) -> Option<Lapse> {
        let mut going = ending.now();
        going.extend_from_slice(&self.going);
        warrant.stopped_by_others(&Surroundings {
            sessions: &self.sessions,
            readings: &self.readings,
            going: &going,
        })
    }
}

fn revoked(lapse: &Lapse) -> StepAnswer {
    StepAnswer::not_sent(Outcome::Revoked, Some(lapse.to_string()))
}

/// Reads one session or all of them again, with their rates as of now.
fn read_again(hands: &mut Hands<'_>, wanted: Columns, scope: Scope) -> Result<Snapshot, Error> {
    let taken = read_snapshot(hands.door.reading(), wanted, hands.capabilities, scope, hands.limit)?;
    let mut snapshot = taken.snapshot;
    hands.rates.add_to(&mut snapshot, wanted);
    Ok(snapshot)
}

/// Reads the session again and takes the last step if it still deserves it. Returns the session as it was read, too.
fn check_and_act(
    warrant: &mut Warrant,
    seen: &Snapshot,
    others: &Option<OtherSessions>,
    hands: &mut Hands<'_>,
) -> (StepAnswer, Option<Snapshot>) {
    let SessionKey { inst_id, sid, .. } = warrant.key();
    let wanted = crate::columns_needed::columns(warrant.set());
    let scope = Scope::One { inst_id, sid };
    let began = (hands.elapsed)();
    let taken = match read_again(hands, wanted, scope) {
        Err(error) => return (StepAnswer::not_sent(Outcome::Unchecked, Some(error.to_string())), None),
        Ok(taken) => taken,
    };
    // A session that a silent instance does not show is not gone, and what it shows may be incomplete.
    if !taken.is_complete(inst_id) {
        let why = format!("instance {inst_id} could not be read");
        return (StepAnswer::not_sent(Outcome::Unchecked, Some(why)), None);
    }
    let row = match still_deserved(warrant, &taken, hands.facts, hands.limits, hands.today) {
        Err(spared) => {
            let row = taken.find(warrant.key());
            return (spare(&spared), row.map(|row| taken.only(row)));
        }
        Ok(row) => row,
    };
    let session = taken.only(row);
    let answer = match taken.utc() {
        None => StepAnswer::not_sent(
            Outcome::Unchecked,
            Some("the database's clock could not be read with the session".into()),
        ),
        Some(at) => {
            // The clock was read first: a schedule may have ended, or a blackout begun, while the rest of the answer was waited for.
            let waited = (hands.elapsed)().saturating_sub(began);
            let now = TimeDelta::from_std(waited).map_or(DateTime::<Utc>::MAX_UTC, |waited| later(at, waited));
            match lapsed(warrant, seen, &taken, now, hands).or_else(|| others.as_ref()?.stop(warrant, hands.ending)) {
                Some(lapse) => revoked(&lapse),
                None => last_step(warrant, session.text(0, Column::SqlId), now, hands),
            }
        }
    };
    (answer, Some(session))
}

/// Why the timetable or the hold no longer permits the action, by the database's clock and the session's row.
fn lapsed(
    warrant: &Warrant,
    seen: &Snapshot,
    again: &Snapshot,
    now: DateTime<Utc>,
    hands: &Hands<'_>,
) -> Option<Lapse> {
    let schedule = warrant.off_schedule(hands.timetable, now);
    schedule.or_else(|| warrant.hold_broken(seen, hands.read_in, again))
}

struct StepAnswer {
    outcome: Outcome,
    code: Option<u32>,
    message: Option<String>,
    statement: Option<String>,
    hindrance: Option<Hindrance>,
}

impl StepAnswer {
    fn not_sent(outcome: Outcome, message: Option<String>) -> StepAnswer {
        StepAnswer {
            outcome,
            code: None,
            message,
            statement: None,
            hindrance: None,
        }
    }
}

fn spare(spared: &Spared) -> StepAnswer {
    let outcome = match spared {
        Spared::Gone => return StepAnswer::not_sent(Outcome::AlreadyGone, None),
        Spared::Protected(..) => Outcome::Protected,
        Spared::Exempt | Spared::ConditionNoLongerHolds => Outcome::NoLongerMatches,
    };
    StepAnswer::not_sent(outcome, Some(spared.to_string()))
}

/// Why the server process of the session may not end, if the action ends it and another session that it serves prevents that
/// ([`crate::decide::shared_process`]). A session that is gone is noticed by its own re-check, which comes last.
fn stopped_by_shared_process(warrant: &Warrant, hands: &mut Hands<'_>) -> Option<StepAnswer> {
    let key = warrant.key();
    if !ends_the_process(warrant.action()) {
        return None;
    }
    let unchecked = |why: String| Some(StepAnswer::not_sent(Outcome::Unchecked, Some(why)));
    let served = match read_server(hands.door.reading(), key, hands.limit) {
        Err(error) => return unchecked(error.to_string()),
        Ok(served) => served?,
    };
    if !has_a_process(served.server.as_deref()) {
        return None;
    }
    let Some(paddr) = served.paddr else {
        return unchecked(NotChecked::Unknown.to_string());
    };
    let others = match read_same_process(hands.door.reading(), key, &paddr, hands.limit) {
        Ok(others) => others,
        Err(error) => return unchecked(error.to_string()),
    };
    if let Some(too_many) = NotChecked::if_too_many(others.len()) {
        return unchecked(too_many.to_string());
    }
    let wanted = crate::columns_needed::columns(warrant.set());
    for other in others {
        let scope = Scope::One {
            inst_id: key.inst_id,
            sid: other.0,
        };
        let taken = match read_again(hands, wanted, scope) {
            Ok(taken) if !taken.is_complete(key.inst_id) => {
                return unchecked(format!("instance {} could not be read", key.inst_id));
            }
            Ok(taken) => taken,
            Err(error) => return unchecked(error.to_string()),
        };
        if let Some(why) = stopped_by_another(warrant, &taken, other, hands.facts, hands.limits, hands.today) {
            return Some(StepAnswer::not_sent(Outcome::Protected, Some(why)));
        }
    }
    None
}

/// Uses the warrant up.
fn last_step(warrant: &mut Warrant, sql_id: Option<&str>, now: DateTime<Utc>, hands: &mut Hands<'_>) -> StepAnswer {
    let way = hands.capabilities.way();
    let words = match wording(
        way,
        warrant.action(),
        warrant.key(),
        sql_id,
        hands.capabilities.own.inst_id,
    ) {
        Ok(words) => Some(words),
        Err(NoStatement::Nothing) => None,
        Err(NoStatement::NoSqlId) => {
            return StepAnswer::not_sent(Outcome::NoLongerMatches, Some(NoStatement::NoSqlId.to_string()));
        }
        Err(other @ (NoStatement::OtherInstance { .. } | NoStatement::NotInRds | NoStatement::NoLogonTime)) => {
            return StepAnswer::not_sent(Outcome::Unsupported, Some(other.to_string()));
        }
    };
    let limit = match warrant.action() {
        Action::Kill { .. } | Action::Disconnect { .. } => hands.kill_limit,
        Action::CancelSql | Action::Report => hands.limit,
    };
    let step = warrant.last_step(words);
    match hands.door.take(step, now, limit) {
        DoorAnswer::Stopped(outcome, why) => StepAnswer::not_sent(outcome, Some(why)),
        DoorAnswer::Reported => StepAnswer::not_sent(Outcome::Reported, None),
        DoorAnswer::Assumed(text) => StepAnswer {
            outcome: Outcome::Assumed,
            code: None,
            message: None,
            statement: Some(text),
            hindrance: None,
        },
        DoorAnswer::Sent(text, Ok(answer)) => answered(text, &answer, hands.capabilities),
        DoorAnswer::Sent(text, Err(error)) => StepAnswer {
            outcome: Outcome::Unknown,
            code: error.code,
            message: Some(error.to_string()),
            statement: Some(text),
            hindrance: None,
        },
    }
}

/// What came of a statement that was answered. Where nothing can be ended at all, the message says what to do about it.
fn answered(statement: String, answer: &BlockAnswer, capabilities: &Capabilities) -> StepAnswer {
    let outcome = outcome(capabilities.way(), answer.code);
    let hindrance = hindrance(outcome, Some(answer.code), &answer.message).map(|hindrance| match hindrance {
        Hindrance::Session => Hindrance::Session,
        Hindrance::Database(check) => Hindrance::Database(Box::new(remedied(*check, answer.code, capabilities))),
    });
    let message = match &hindrance {
        Some(Hindrance::Database(check)) => Some(check.to_string()),
        Some(Hindrance::Session) | None => (!answer.message.is_empty()).then(|| answer.message.clone()),
    };
    StepAnswer {
        outcome,
        code: Some(answer.code),
        message,
        statement: Some(statement),
        hindrance,
    }
}

/// What was found with its remedy, by the number in the answer, as `doctor` says it.
fn remedied(mut check: Check, code: u32, capabilities: &Capabilities) -> Check {
    if check.found.is_empty() {
        "the statement was refused".clone_into(&mut check.found);
    }
    match (capabilities.way(), code) {
        (Way::Package { owner }, NOT_COMPILED) => {
            check.found = guard::may_not_execute(&check.found, owner);
            check.granted_by(guard::grant_execute(
                capabilities.container(),
                &capabilities.own_username,
            ))
        }
        (Way::Package { .. }, code) if is_invalid(code) => check.with(guard::INSTALL_AGAIN),
        (Way::Package { owner }, code) if lacks_privilege(code) => {
            let grantee = Grantee {
                username: owner,
                service: HostingService::SelfManaged,
            };
            check.found = format!("{}; {}", check.found, guard::owner_lacks(owner, PRIVILEGE));
            check.granted_by(access::grant_privilege(PRIVILEGE, grantee))
        }
        (Way::Package { owner }, guard::BUDGET) => check.with(format!(
            "wait until an hour has passed since the earlier actions, or raise PER_HOUR in {owner}.ORAREAPER_SETTING"
        )),
        (Way::RdsAdmin, NOT_COMPILED) => check.granted_by(access::grant_rds_package(&capabilities.own_username)),
        (Way::AlterSystem, code) if lacks_privilege(code) => {
            check.granted_by(access::grant_privilege(PRIVILEGE, capabilities.grantee()))
        }
        (Way::AlterSystem | Way::Package { .. } | Way::RdsAdmin, _) => check,
    }
}

#[cfg(test)]
mod tests;
