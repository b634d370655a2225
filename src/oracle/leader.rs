//! The lock by which one of several daemons leads, in Oracle's words: DBMS_LOCK, by a fixed number.
//!
//! `REQUEST` returns 0 for a lock that it got, 1 for one that others hold, 4 for one that the session holds already, in whatever mode (PL/SQL
//! Packages and Types Reference, DBMS_LOCK). With `release_on_commit => FALSE` a lock lives until its session has ended, across all
//! instances. A fixed number needs no name in the dictionary (ALLOCATE_UNIQUE), which would write and commit.

use std::time::Duration;

use crate::decide::guard::Wording;
use crate::decide::leadership::{LockAnswer, LockCall};
use crate::oracle::access::{Grantee, grant_execute};
use crate::oracle::error::{Class, Error, Phase};
use crate::oracle::probe::{number, time};
use crate::oracle::{Bind, BlockAnswer, CellType, Connection, LeaderLock, LockQuestion, Query, collect};
use crate::session::SessionKey;

/// The package that a grant is on.
pub(crate) const PACKAGE: &str = "dbms_lock";

/// DBMS_LOCK.X_MODE and S_MODE.
const EXCLUSIVE: u32 = 6;
const SHARED: u32 = 4;

/// What a fenced statement answers that was not carried out.
const NOT_HELD: u32 = 20_999;

/// PL/SQL that does not compile: without the grant the package is no known name.
const DOES_NOT_COMPILE: u32 = 6550;

fn request(lock: LeaderLock, mode: u32) -> String {
    format!("SYS.DBMS_LOCK.REQUEST(id => {lock}, lockmode => {mode}, timeout => 0, release_on_commit => FALSE)")
}

/// A question, as a call that answers in two placeholders.
pub(crate) fn question(call: LockCall, lock: LeaderLock) -> LockQuestion {
    LockQuestion(Wording::Call(match call {
        LockCall::Begin => format!("BEGIN :code := {}; :text := NULL; END;", request(lock, EXCLUSIVE)),
        LockCall::Join | LockCall::Keep => format!("BEGIN :code := {}; :text := NULL; END;", request(lock, SHARED)),
        LockCall::Share => format!(
            "DECLARE answer INTEGER; BEGIN answer := {}; IF answer = 4 THEN IF SYS.DBMS_LOCK.CONVERT({lock}, {SHARED}, 0) <> 0 THEN \
             answer := 3; END IF; END IF; :code := answer; :text := NULL; END;",
            request(lock, SHARED)
        ),
    }))
}

/// Whether the account may use the package: releases a lock that the session does not hold, which changes nothing.
pub(crate) fn probe(lock: LeaderLock) -> LockQuestion {
    let text = format!("BEGIN :code := SYS.DBMS_LOCK.RELEASE({lock}); :text := NULL; END;");
    LockQuestion(Wording::Call(text))
}

/// What was answered.
///
/// # Errors
/// When DBMS_LOCK could not be called; [`Class::Config`] if the right is missing.
pub(crate) fn answer(answer: &BlockAnswer, tried: &str) -> Result<LockAnswer, Error> {
    if !answer.message.is_empty() {
        let mut error = Error::from_database(Phase::Call, tried, Some(answer.code), &answer.message);
        if answer.code == DOES_NOT_COMPILE {
            error.class = Class::Config;
        }
        return Err(error);
    }
    Ok(match answer.code {
        0 => LockAnswer::Got,
        1 => LockAnswer::Taken,
        4 => LockAnswer::Held,
        other => LockAnswer::Other(other.into()),
    })
}

/// Why it could not be called, with the grant if it is missing.
pub(crate) fn explained(error: &Error, grantee: Grantee<'_>) -> String {
    if error.class == Class::Config {
        format!("{error}; remedy: {}", grant_execute(PACKAGE, grantee))
    } else {
        error.to_string()
    }
}

/// The same words, carried out only by a session that holds the lock: it is asked in the same call, right before.
pub(crate) fn fenced(wording: &Wording, lock: LeaderLock) -> Wording {
    let fence = format!(
        "IF {} <> 4 THEN RAISE_APPLICATION_ERROR(-{NOT_HELD}, 'lock {lock} is not held'); END IF;",
        request(lock, SHARED)
    );
    match wording {
        Wording::Statement(text) => {
            let quoted = text.replace('\'', "''");
            Wording::Statement(format!("BEGIN {fence} EXECUTE IMMEDIATE '{quoted}'; END;"))
        }
        Wording::Call(text) => Wording::Call(format!("BEGIN {fence} {text} END;")),
    }
}

/// Whether a fenced statement was not carried out because its session does not hold the lock, or cannot find that out.
pub(crate) fn was_stopped(answer: &BlockAnswer) -> bool {
    answer.code == NOT_HELD || answer.code == DOES_NOT_COMPILE && answer.message.contains("DBMS_LOCK")
}

/// The sessions among these that are there and not marked for kill.
fn alive(sessions: &[SessionKey]) -> Query {
    let condition = |at: usize| {
        let first = at * 4;
        let [inst_id, sid, serial, logon_time] = [1, 2, 3, 4].map(|more| first + more);
        format!("inst_id = :{inst_id} AND sid = :{sid} AND serial# = :{serial} AND logon_time = :{logon_time}")
    };
    let conditions: Vec<String> = (0..sessions.len()).map(condition).collect();
    let text = format!(
        "SELECT inst_id, sid, serial#, logon_time FROM gv$session WHERE status <> 'KILLED' AND ({})",
        conditions.join(" OR ")
    );
    let columns = [CellType::Number, CellType::Number, CellType::Number, CellType::Time];
    let binds = sessions.iter().flat_map(|key| {
        let number = |id: u32| Bind::Number(id.into());
        [
            number(key.inst_id),
            number(key.sid),
            number(key.serial),
            Bind::Time(key.logon_time),
        ]
    });
    Query::new("GV$SESSION", text, &columns).few().with(binds.collect())
}

/// The same, asked.
///
/// # Errors
/// When there is no answer.
pub(crate) fn seen_alive(
    connection: &mut dyn Connection,
    sessions: &[SessionKey],
    limit: Duration,
) -> Result<Vec<SessionKey>, Error> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    collect(connection, &alive(sessions), limit, sessions.len(), |row| {
        let id = |at| number(row, at).and_then(|id| u32::try_from(id).ok());
        Some(SessionKey {
            inst_id: id(0)?,
            sid: id(1)?,
            serial: id(2)?,
            logon_time: time(row, 3)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::MAX_STATEMENT;
    use crate::oracle::capabilities::HostingService;

    const LOCK: LeaderLock = LeaderLock(1_073_741_823);

    #[test]
    fn a_fenced_statement_fits_the_block_and_keeps_its_words() {
        let kill = Wording::Statement("ALTER SYSTEM KILL SESSION '287,62507,@1' IMMEDIATE".into());
        assert_eq!(
            fenced(&kill, LOCK).text(),
            "BEGIN IF SYS.DBMS_LOCK.REQUEST(id => 1073741823, lockmode => 4, timeout => 0, release_on_commit => FALSE) <> 4 THEN \
             RAISE_APPLICATION_ERROR(-20999, 'lock 1073741823 is not held'); END IF; EXECUTE IMMEDIATE 'ALTER SYSTEM KILL SESSION \
             ''287,62507,@1'' IMMEDIATE'; END;"
        );
        let call = Wording::Call(format!("BEGIN {}.act(:code, :text); END;", "x".repeat(600)));
        let fenced = fenced(&call, LOCK);
        assert!(matches!(fenced, Wording::Call(_)) && fenced.text().len() <= MAX_STATEMENT);
    }

    #[test]
    fn an_answer_is_a_number_and_an_error_is_none() {
        let reaper = Grantee {
            username: "REAPER",
            service: HostingService::SelfManaged,
        };
        let said = |code, message: &str| {
            let message = message.to_owned();
            answer(&BlockAnswer { code, message }, "ask for the lock of prod")
        };
        let answers = [0, 1, 2, 3, 4, 5].map(|code| said(code, "").expect("an answer"));
        assert_eq!(
            answers,
            [
                LockAnswer::Got,
                LockAnswer::Taken,
                LockAnswer::Other(2),
                LockAnswer::Other(3),
                LockAnswer::Held,
                LockAnswer::Other(5)
            ]
        );
        let refused = "ORA-06550: line 1, column 16:\nPLS-00201: identifier 'DBMS_LOCK' must be declared";
        let error = said(6550, refused).expect_err("it may not");
        assert_eq!(error.class, Class::Config);
        let explained = explained(&error, reaper);
        assert!(
            explained.ends_with("; remedy: GRANT EXECUTE ON sys.dbms_lock TO REAPER"),
            "{explained}"
        );
        let stopped = |code, message: &str| {
            was_stopped(&BlockAnswer {
                code,
                message: message.to_owned(),
            })
        };
        assert!(stopped(20_999, "ORA-20999: lock 7 is not held") && stopped(6550, refused));
        assert!(!stopped(0, "") && !stopped(31, "ORA-00031: session marked for kill"));
        assert!(!stopped(
            6550,
            "PLS-00201: identifier 'ORAREAPER_OWNER.ORAREAPER_GUARD' must be declared"
        ));
    }
}
