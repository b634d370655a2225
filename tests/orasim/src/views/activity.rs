//! The activity of sessions: waits, wait history, long operations, statements, and how they are connected.

use super::session::{Row, class_number, rows, waited, waiting};
use super::transaction::{STATISTICS, of_row, statistic};
use super::{Cell, Col, Sink, Snap, d, n, raw, since, v, view};
use crate::backend::ColumnType;
use crate::clock::calendar;
use crate::scenario::Release;
use crate::world::session::{Kind, Sess, mix, sql_hash};

fn sid<'a>() -> Col<Row<'a>> {
    n("SID", |_, r| Cell::Int(i64::from(r.seat.1)))
}

fn con_id<'a>() -> Col<Row<'a>> {
    since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.sess.con_id))))
}

fn wait_columns<'a>() -> Vec<Col<Row<'a>>> {
    let mut columns = vec![sid()];
    columns.extend(waiting().into_iter().filter(|column| column.name != "EVENT#"));
    columns.extend(
        waited()
            .into_iter()
            .filter(|column| !column.name.ends_with("TIME_WAITED_MICRO")),
    );
    columns.push(con_id());
    columns
}

view!(waits, Row<'_>, super::wait_columns(), |snap| super::rows(snap));

/// Time in its present event, in hundredths of a second.
fn hundredths(snap: &Snap<'_>, row: &Row<'_>) -> i64 {
    ((snap.state.now - row.phase.since) / 10).max(0)
}

fn event_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        sid(),
        v("EVENT", 64, |_, r| r.wait().0),
        n("TOTAL_WAITS", |_, r| Cell::Int(r.phase.calls)),
        n("TOTAL_TIMEOUTS", |_, _| Cell::Int(0)),
        n("TIME_WAITED", |s, r| Cell::Int(hundredths(s, r))),
        n("AVERAGE_WAIT", |s, r| {
            Cell::Int(hundredths(s, r) / r.phase.calls.max(1))
        }),
        n("MAX_WAIT", |s, r| Cell::Int(hundredths(s, r))),
        n("TIME_WAITED_MICRO", |s, r| Cell::Int(hundredths(s, r) * 10_000)),
        n("EVENT_ID", |_, r| {
            Cell::Int(i64::from(mix(r.wait().2 as u64, 9) as u32))
        }),
        n("WAIT_CLASS_ID", |_, r| Cell::Int(2_723_168_908 + r.wait().2)),
        n("WAIT_CLASS#", |_, r| Cell::Int(r.wait().2)),
        v("WAIT_CLASS", 64, |_, r| r.wait().1),
        con_id(),
    ]
}

view!(events, Row<'_>, super::event_columns(), |snap| super::rows(snap));

type Figure<'a> = (Row<'a>, i64);

fn own_columns<'a>() -> Vec<Col<Figure<'a>>> {
    vec![
        n("SID", |_, (r, _)| Cell::Int(i64::from(r.seat.1))),
        n("STATISTIC#", |_, (_, number)| Cell::Int(*number)),
        n("VALUE", |s, (r, number)| Cell::Int(statistic(s, r, *number))),
        since(12, 1, n("CON_ID", |_, (r, _)| Cell::Int(i64::from(r.sess.con_id)))),
    ]
}

/// The statistics of whoever asks.
fn own<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Figure<'a>)> {
    let seat = snap.viewer.seat;
    rows(snap)
        .filter(move |(_, row)| row.seat == seat)
        .flat_map(|(instance, row)| of_row(instance, &row))
}

view!(own_figures, Figure<'_>, super::own_columns(), |snap| super::own(snap));

/// A statistic of an instance: number, name, class, and the sum of all its sessions.
type Total = (i64, &'static str, i64, i64);

fn total_columns() -> Vec<Col<Total>> {
    vec![
        n("STATISTIC#", |_, r| Cell::Int(r.0)),
        v("NAME", 64, |_, r| Cell::Word(r.1)),
        n("CLASS", |_, r| Cell::Int(r.2)),
        n("VALUE", |_, r| Cell::Int(r.3)),
        n("STAT_ID", |_, r| Cell::Int((mix(r.0 as u64, 1) >> 33) as i64)),
        since(12, 1, n("CON_ID", |_, _| Cell::Int(0))),
    ]
}

fn totals(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Total)> {
    let mut totals = Vec::new();
    for instance in snap.instances() {
        let number = instance.spec.number;
        let here: Vec<_> = rows(snap).filter(|(on, _)| *on == number).collect();
        for (id, name, class) in STATISTICS {
            let sum = here.iter().map(|(_, row)| statistic(snap, row, id)).sum();
            totals.push((number, (id, name, class, sum)));
        }
    }
    totals.into_iter()
}

view!(sums, Total, super::total_columns(), |snap| super::totals(snap));

/// Blocks of a long operation: a thousand a second, and it is half through.
fn blocks(snap: &Snap<'_>, row: &Row<'_>) -> i64 {
    hundredths(snap, row) * 10
}

fn long_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        sid(),
        n("SERIAL#", |_, r| Cell::Int(i64::from(r.sess.serial))),
        v("OPNAME", 64, |_, _| Cell::Word("Table Scan")),
        v("TARGET", 64, |_, r| {
            Cell::Owned(format!("{}.ORDERS", r.sess.who.schema))
        }),
        v("TARGET_DESC", 32, |_, _| Cell::Null),
        n("SOFAR", |s, r| Cell::Int(blocks(s, r))),
        n("TOTALWORK", |s, r| Cell::Int(blocks(s, r) * 2)),
        v("UNITS", 32, |_, _| Cell::Word("Blocks")),
        d("START_TIME", |_, r| Cell::Time(r.phase.since)),
        d("LAST_UPDATE_TIME", |s, _| Cell::Time(s.state.now)),
        n("TIME_REMAINING", |s, r| Cell::Int(hundredths(s, r) / 100)),
        n("ELAPSED_SECONDS", |s, r| Cell::Int(hundredths(s, r) / 100)),
        n("CONTEXT", |_, _| Cell::Int(0)),
        v("MESSAGE", 512, |s, r| {
            let (done, schema) = (blocks(s, r), &r.sess.who.schema);
            Cell::Owned(format!(
                "Table Scan:  {schema}.ORDERS: {done} out of {} Blocks done",
                done * 2
            ))
        }),
        v("USERNAME", 128, |_, r| Cell::text(&r.sess.who.username)),
        n("SQL_HASH_VALUE", |_, r| {
            Cell::Int(r.sess.sql.as_deref().map_or(0, sql_hash))
        }),
        v("SQL_ID", 13, |_, r| Cell::text(&r.sess.sql)),
        d("SQL_EXEC_START", |_, r| Cell::Time(r.phase.since)),
        n("SQL_EXEC_ID", |_, r| Cell::Int(16_777_216 + r.phase.calls)),
        n("QCSID", |_, r| {
            Cell::Int(r.sess.parallel.map_or(0, |part| i64::from(part.coordinator.1)))
        }),
        con_id(),
    ]
}

/// Whoever has been reading from disk for more than six seconds.
fn long<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    let now = snap.state.now;
    rows(snap)
        .filter(move |(_, row)| row.runs() && now - row.phase.since > 6_000 && row.wait().2 == class_number("User I/O"))
}

view!(long_operations, Row<'_>, super::long_columns(), |snap| super::long(
    snap
));

fn connect_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        sid(),
        n("SERIAL#", |_, r| Cell::Int(i64::from(r.sess.serial))),
        v("AUTHENTICATION_TYPE", 26, |_, _| Cell::Word("DATABASE")),
        v("OSUSER", 128, |_, r| Cell::text(&r.sess.who.osuser)),
        v("NETWORK_SERVICE_BANNER", 4000, |_, _| {
            Cell::Word("TCP/IP NT Protocol Adapter for Linux: Version 19.0.0.0.0 - Production")
        }),
        v("CLIENT_CHARSET", 40, |_, _| Cell::Word("AL32UTF8")),
        v("CLIENT_CONNECTION", 13, |_, _| Cell::Word("Heterogeneous")),
        v("CLIENT_OCI_LIBRARY", 13, |_, r| {
            Cell::Word(match r.sess.who.program.as_deref() {
                Some(program) if program.starts_with("JDBC Thin") => "Unknown",
                Some(_) | None => "Home-based",
            })
        }),
        v("CLIENT_VERSION", 40, |_, _| Cell::Word("19.3.0.0.0")),
        v("CLIENT_DRIVER", 30, |_, r| {
            Cell::Word(match r.sess.who.program.as_deref() {
                Some(program) if program.starts_with("JDBC Thin") => "jdbcthin",
                Some(program) if program.starts_with("sqlplus") => "SQL*PLUS",
                Some(_) | None => "",
            })
        }),
        v("CLIENT_LOBATTR", 22, |_, _| Cell::Word("Client Temp Lob Rfc On")),
        n("CLIENT_REGID", |_, _| Cell::Int(0)),
        con_id(),
    ]
}

fn connected<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    rows(snap).filter(|(_, row)| row.sess.kind == Kind::User)
}

view!(connects, Row<'_>, super::connect_columns(), |snap| super::connected(
    snap
));

/// A statement of V$SQL: SQL_ID and what is known of it.
type Kept<'a> = (&'a std::sync::Arc<str>, &'a crate::world::statements::Known);

fn command(text: &str) -> i64 {
    let first = text.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next();
    match first.unwrap_or_default().to_ascii_uppercase().as_str() {
        "CREATE" => 1,
        "INSERT" => 2,
        "SELECT" | "WITH" => 3,
        "UPDATE" => 6,
        "DELETE" => 7,
        "BEGIN" | "DECLARE" => 47,
        "ALTER" => 49,
        _ => 0,
    }
}

/// One line of at most so many bytes, as SQL_TEXT shows it.
fn line(text: &str, most: usize) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    line[..line.floor_char_boundary(most)].to_owned()
}

fn sql_columns<'a>() -> Vec<Col<Kept<'a>>> {
    vec![
        v("SQL_TEXT", 1000, |_, r| Cell::Owned(line(&r.1.text, 1000))),
        v("SQL_FULLTEXT", 4000, |_, r| Cell::Text(r.1.text.clone())),
        v("SQL_ID", 13, |_, r| Cell::Text((*r.0).clone())),
        n("EXECUTIONS", |_, r| Cell::Int(r.1.executions)),
        n("PARSE_CALLS", |_, r| Cell::Int(r.1.executions)),
        n("USERS_EXECUTING", |s, r| {
            let runs = |sess: &&Sess| sess.sql.as_ref() == Some(r.0) && sess.phase(s.state.now).busy;
            Cell::Int(s.state.sessions.values().filter(runs).count() as i64)
        }),
        v("FIRST_LOAD_TIME", 19, |_, r| {
            Cell::Owned(calendar(r.1.first).format("%Y-%m-%d/%H:%M:%S").to_string())
        }),
        d("LAST_ACTIVE_TIME", |_, r| Cell::Time(r.1.last)),
        raw("ADDRESS", |_, r| Cell::Address(1 << 36 | sql_hash(r.0) as u64)),
        n("HASH_VALUE", |_, r| Cell::Int(sql_hash(r.0))),
        n("CHILD_NUMBER", |_, _| Cell::Int(0)),
        n("PLAN_HASH_VALUE", |_, r| {
            Cell::Int(i64::from(mix(sql_hash(r.0) as u64, 5) as u32))
        }),
        n("COMMAND_TYPE", |_, r| Cell::Int(command(&r.1.text))),
        v("PARSING_SCHEMA_NAME", 128, |_, r| Cell::Text(r.1.schema.clone())),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.1.con_id)))),
    ]
}

fn statements<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Kept<'a>)> {
    let (global, own, con_id) = (snap.global, snap.viewer.seat.0, snap.viewer.con_id);
    snap.state
        .texts
        .iter()
        .filter(move |(instance, _, known)| (global || *instance == own) && (con_id <= 1 || known.con_id == con_id))
        .map(|(instance, id, known)| (instance, (id, known)))
}

view!(sqls, Kept<'_>, super::sql_columns(), |snap| super::statements(snap));

fn cursor_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        raw("SADDR", |_, r| Cell::Address(Sess::saddr(r.seat))),
        sid(),
        v("USER_NAME", 128, |_, r| Cell::text(&r.sess.who.username)),
        raw("ADDRESS", |_, r| {
            Cell::Address(1 << 36 | r.cursor().map_or(0, |id| sql_hash(id) as u64))
        }),
        n("HASH_VALUE", |_, r| Cell::Int(r.cursor().map_or(0, |id| sql_hash(id)))),
        v("SQL_ID", 13, |_, r| {
            r.cursor().map_or(Cell::Null, |id| Cell::Text(id.clone()))
        }),
        v("SQL_TEXT", 60, |s, r| {
            let known = r.cursor().and_then(|id| s.state.texts.get(r.seat.0, id));
            known.map_or(Cell::Null, |known| Cell::Owned(line(&known.text, 60)))
        }),
        d("LAST_SQL_ACTIVE_TIME", |_, _| Cell::Null),
        n("SQL_EXEC_ID", |_, _| Cell::Null),
        v("CURSOR_TYPE", 64, |_, _| Cell::Word("OPEN")),
        con_id(),
    ]
}

/// The statement that a session runs or ran last is its open cursor.
fn cursors<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    rows(snap).filter(|(_, row)| row.sess.kind == Kind::User && row.cursor().is_some())
}

view!(open_cursors, Row<'_>, super::cursor_columns(), |snap| super::cursors(
    snap
));
