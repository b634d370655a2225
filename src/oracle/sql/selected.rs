//! The queries for a part of the sessions: those that a clause selects, those of single seats and processes, and how many there are
//! in all. See [`crate::rows_needed`].
//!
//! Each is about GV$SESSION alone. Oracle's documentation supports simple queries of V$ views and advises against GROUP BY, because
//! such a view may change while it is sorted: a count may be off by the sessions that come or go meanwhile, as it is when they are
//! counted here a moment later.

use std::fmt::Write as _;

use crate::oracle::CellType::{self, Number, Text, Time};
use crate::oracle::sql::{cell_type, listed};
use crate::oracle::{Bind, Query, TextForm};
use crate::policy::implied::hex;
use crate::session::column::Column;
use crate::session::extent::IDLE_BOUNDS;
use crate::session::time::DbTime;

/// Sessions or processes in one query. The text is always the same: one that stands for fewer names the last several times.
pub(crate) const AT_ONCE: usize = 16;

/// A time that no login reaches.
const NEVER: &str = "9999-12-31 23:59:59";

/// Adds to a query of GV$SESSION whom a clause selects: a condition over the columns of `s`.
///
/// Whoever has no complete identity is always read, and so are daemons (by MODULE) and whoever logged in since a time. In a cluster
/// every parallel server is, because those of this query show the clocks of other instances; the same words stand for PMON, by which each
/// instance shows that it answers.
#[must_use]
pub(crate) fn selected(
    all: &Query,
    clause: Option<&str>,
    waiters: bool,
    cluster: bool,
    since: Option<DbTime>,
) -> Query {
    let mut sql = format!(
        "{all} WHERE s.sid IS NULL OR s.serial# IS NULL OR s.logon_time IS NULL OR s.logon_time >= TO_DATE(:1, 'YYYY-MM-DD HH24:MI:SS') \
         OR RAWTOHEX(s.module) = {}",
        hex(crate::oracle::MODULE),
        all = all.sql.to_string() + " s"
    );
    if cluster {
        write!(sql, " OR RAWTOHEX(s.program) LIKE '%' || {} || '%'", hex("(P")).expect("a String takes any text");
    }
    if waiters {
        sql.push_str(" OR s.blocking_session_status = 'VALID'");
    }
    if let Some(clause) = clause {
        write!(sql, " OR {clause}").expect("a String takes any text");
    }
    let since = since.map_or_else(|| NEVER.to_owned(), |since| since.to_string());
    Query::new(all.of, sql, &all.columns).with(vec![Bind::Text(since)])
}

/// Adds to a query of GV$SESSION that it is about the sessions of these seats: INST_ID and SID, at most [`AT_ONCE`]; in a cluster also
/// about PMON of each instance, which shows that it answers.
#[must_use]
pub(crate) fn of_seats(all: &Query, seats: &[(u32, u32)], cluster: bool) -> Query {
    let values = |(inst_id, sid): &(u32, u32)| [Bind::Number((*inst_id).into()), Bind::Number((*sid).into())];
    of_pairs(all, seats, ("sid = :", ""), cluster, values)
}

/// The same for the sessions of these processes: INST_ID and PADDR.
#[must_use]
pub(crate) fn of_processes(all: &Query, processes: &[(u32, String)], cluster: bool) -> Query {
    let values = |(inst_id, paddr): &(u32, String)| [Bind::Number((*inst_id).into()), Bind::Text(paddr.clone())];
    of_pairs(all, processes, ("paddr = HEXTORAW(:", ")"), cluster, values)
}

fn of_pairs<T>(
    all: &Query,
    pairs: &[T],
    (second, end): (&str, &str),
    cluster: bool,
    values: impl Fn(&T) -> [Bind; 2],
) -> Query {
    assert!(
        !pairs.is_empty() && pairs.len() <= AT_ONCE,
        "one query takes 1 to {AT_ONCE}"
    );
    let mut terms: Vec<String> = (0..AT_ONCE)
        .map(|at| format!("(inst_id = :{} AND {second}{}{end})", 2 * at + 1, 2 * at + 2))
        .collect();
    if cluster {
        terms.push(format!("RAWTOHEX(program) LIKE '%' || {} || '%'", hex("(PMON)")));
    }
    let padded = (0..AT_ONCE).map(|at| &pairs[at.min(pairs.len() - 1)]);
    Query::new(
        all.of,
        format!("{} WHERE {}", all.sql, terms.join(" OR ")),
        &all.columns,
    )
    .with(padded.flat_map(values).collect())
    .few()
}

/// How many sessions of each kind there are: INST_ID, TYPE, STATUS, CON_ID where the release has it, whether they are in a
/// transaction, the class of their idle time, their number, and the newest LOGON_TIME.
#[must_use]
pub(crate) fn counts(has_con_id: bool) -> Query {
    let con_id = if has_con_id { "con_id" } else { "NULL" };
    let mut idle = String::from("CASE WHEN status IS NULL OR status NOT IN ('INACTIVE', 'SNIPED') THEN NULL");
    for (class, below) in IDLE_BOUNDS.iter().enumerate() {
        write!(idle, " WHEN last_call_et < {below} THEN {class}").expect("a String takes any text");
    }
    idle.push_str(" END");
    let transaction = "CASE WHEN taddr IS NULL THEN 0 ELSE 1 END";
    let mut kind = format!("inst_id, type, status, {transaction}, {idle}");
    if has_con_id {
        kind.push_str(", con_id");
    }
    Query::new(
        "GV$SESSION",
        format!(
            "SELECT inst_id, type, status, {con_id}, {transaction}, {idle}, COUNT(*), MAX(logon_time) FROM gv$session GROUP BY {kind}"
        ),
        &[Number, Text, Text, Number, Number, Number, Number, Time],
    )
}

/// How many user sessions that are not KILLED have the same values in these columns: INST_ID, their number, the values.
#[must_use]
pub(crate) fn groups(per: &[Column], form: TextForm) -> Query {
    let shown: String = per
        .iter()
        .map(|column| format!(", {}", listed(*column, form)))
        .collect();
    let names: String = per.iter().map(|column| format!(", {}", column.name())).collect();
    let types: Vec<CellType> = [Number, Number]
        .into_iter()
        .chain(per.iter().map(|column| cell_type(*column)))
        .collect();
    Query::new(
        "GV$SESSION",
        format!(
            "SELECT inst_id, COUNT(*){shown} FROM gv$session WHERE type = 'USER' AND (status IS NULL OR status != 'KILLED') GROUP BY \
             inst_id{names}"
        ),
        &types,
    )
}

/// The processes that serve several sessions: INST_ID, PADDR.
#[must_use]
pub(crate) fn shared_processes() -> Query {
    Query::new(
        "GV$SESSION",
        "SELECT inst_id, RAWTOHEX(paddr) FROM gv$session GROUP BY inst_id, RAWTOHEX(paddr) HAVING COUNT(*) > 1",
        &[Number, Text],
    )
}
