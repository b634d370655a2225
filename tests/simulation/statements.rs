//! The statements that end sessions, read back from their texts, and the guard package, by the rules of its own.

use super::base::{Base, Clause, Key, REAPER, Session};
use super::groups::GROUPS;

/// What a text asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) clause: Clause,
    /// INST_ID, SID, SERIAL#.
    pub(crate) seat: (u32, u32, u32),
    pub(crate) sql_id: Option<String>,
    /// Through the guard package, with the LOGON_TIME that the call names.
    pub(crate) by_package: Option<i64>,
    /// The lock that the session has to hold that carries it out.
    pub(crate) fence: Option<u32>,
}

/// How many actions in an hour the package lets through.
pub(crate) const GUARD_PER_HOUR: usize = 12;

/// Reads a statement that was sent to this instance. One that is not understood is a failure: nothing else may be sent.
pub(crate) fn parse(text: &str, inst: u32) -> Asked {
    let not_understood = || -> ! { panic!("nobody may send this: {text}") };
    let numbers = |list: &str| -> Vec<u32> {
        let parts = list.split(',').map(|part| part.trim().trim_start_matches('@').parse());
        parts.map_while(Result::ok).collect()
    };
    if let Some(call) = text.strip_prefix("BEGIN ORAREAPER_OWNER.orareaper_guard.act(") {
        let quoted: Vec<&str> = text.split('\'').collect();
        let ids = numbers(call);
        let (&[inst_id, sid, serial], [_, at, _, _, _, action, ..]) = (ids.as_slice(), quoted.as_slice()) else {
            not_understood()
        };
        let at = chrono::NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").unwrap_or_else(|_| not_understood());
        let clause = match *action {
            "KILL" => Clause::Kill,
            "KILL IMMEDIATE" => Clause::KillImmediate,
            "KILL FORCE" => Clause::KillForce,
            "DISCONNECT POST_TRANSACTION" => Clause::DisconnectPostTransaction,
            "DISCONNECT IMMEDIATE" => Clause::DisconnectImmediate,
            "CANCEL SQL" => Clause::CancelSql,
            _ => not_understood(),
        };
        return Asked {
            clause,
            seat: (inst_id, sid, serial),
            sql_id: quoted.get(7).map(|sql_id| (*sql_id).to_owned()),
            by_package: Some(at.and_utc().timestamp()),
            fence: None,
        };
    }
    let (what, rest) = text
        .strip_prefix("ALTER SYSTEM ")
        .and_then(|rest| rest.split_once(" '"))
        .unwrap_or_else(|| not_understood());
    let Some((list, how)) = rest.split_once('\'') else {
        not_understood()
    };
    let ids = numbers(list);
    let clause = match (what, how) {
        ("KILL SESSION", "") => Clause::Kill,
        ("KILL SESSION", " IMMEDIATE") => Clause::KillImmediate,
        ("KILL SESSION", " FORCE TIMEOUT 0") => Clause::KillForce,
        ("DISCONNECT SESSION", " POST_TRANSACTION") => Clause::DisconnectPostTransaction,
        ("DISCONNECT SESSION", " IMMEDIATE") => Clause::DisconnectImmediate,
        ("CANCEL SQL", "") => Clause::CancelSql,
        _ => not_understood(),
    };
    let seat = match (what, ids.as_slice()) {
        ("DISCONNECT SESSION", [sid, serial]) => (inst, *sid, *serial),
        ("KILL SESSION" | "CANCEL SQL", [sid, serial, inst_id]) => (*inst_id, *sid, *serial),
        _ => not_understood(),
    };
    let sql_id = (clause == Clause::CancelSql).then(|| list.rsplit(", ").next().unwrap_or_default().to_owned());
    Asked {
        clause,
        seat,
        sql_id,
        by_package: None,
        fence: None,
    }
}

/// Why the package refuses a call that came over this session; `None` where it lets it through, which it writes down.
pub(crate) fn guard_answer(base: &mut Base, asked: &Asked, caller: Key) -> Option<u32> {
    let logon = asked.by_package?;
    let now = base.now;
    base.guarded.retain(|at| now - at < 3600);
    let refused = match base.on_seat(asked.seat.0, asked.seat.1, asked.seat.2) {
        None => Some(20_002),
        Some(session) => refusal(session, asked, logon, caller),
    };
    let refused = refused.or_else(|| (base.guarded.len() >= GUARD_PER_HOUR).then_some(20_012));
    if refused.is_none() {
        base.guarded.push(now);
    }
    refused
}

fn refusal(session: &Session, asked: &Asked, logon: i64, caller: Key) -> Option<u32> {
    let maintained = matches!(session.user(), "SYS" | "DBSNMP" | "ORDS_METADATA");
    let disconnects = matches!(
        asked.clause,
        Clause::DisconnectPostTransaction | Clause::DisconnectImmediate
    );
    let harder = matches!(
        asked.clause,
        Clause::KillImmediate | Clause::KillForce | Clause::DisconnectImmediate
    );
    let rules = [
        (session.key.logon != logon, 20_003),
        (session.is_background(), 20_004),
        (session.key == caller, 20_005),
        (maintained, 20_006),
        (session.user() == REAPER || session.user() == "VIP", 20_007),
        (session.program().starts_with("oracle@"), 20_008),
        (session.mark.is_some() && !harder, 20_009),
        (disconnects && asked.seat.0 != caller.inst, 20_010),
        (
            asked.clause == Clause::CancelSql && session.sql_id() != asked.sql_id.as_deref(),
            20_011,
        ),
    ];
    rules
        .into_iter()
        .find(|(speaks_against, _)| *speaks_against)
        .map(|(_, code)| code)
}

/// Whether nobody may ever touch the session, as it is now.
pub(crate) fn is_safe(session: &Session) -> bool {
    let Some(group) = session.group else { return true };
    let group = &GROUPS[group];
    match group.name {
        "large-undo" | "prepared" => session.transaction.is_some(),
        _ => group.safe,
    }
}
