//! V$SESSION, V$PROCESS and V$PX_SESSION.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Cell, Col, Sink, Snap, d, n, raw, since, v, view};
use crate::backend::ColumnType;
use crate::scenario::Release;
use crate::world::session::{Kind, Phase, Seat, Sess, mix, sql_hash};

/// A session with what is worked out once for all its columns.
pub(super) struct Row<'a> {
    pub(super) seat: Seat,
    pub(super) sess: &'a Sess,
    pub(super) phase: Phase,
}

pub(super) fn rows<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    let now = snap.state.now;
    snap.sessions().map(move |(seat, sess)| {
        (
            seat.0,
            Row {
                seat,
                sess,
                phase: sess.phase(now),
            },
        )
    })
}

impl Row<'_> {
    /// It runs a statement now.
    pub(super) fn runs(&self) -> bool {
        self.phase.busy && self.sess.kind == Kind::User && self.sess.mark.is_none()
    }

    /// The event, its class and its class number: waiting for the client unless it does something.
    pub(super) fn wait(&self) -> (Cell, Cell, i64) {
        let (event, class) = if self.sess.blocked.is_some() {
            (Cell::Word("enq: TX - row lock contention"), "Application")
        } else if !self.phase.busy {
            (Cell::Word("SQL*Net message from client"), "Idle")
        } else if let Some(wait) = &self.sess.wait {
            let number = class_number(&wait.class);
            return (Cell::Owned(wait.event.clone()), Cell::Owned(wait.class.clone()), number);
        } else {
            (Cell::Word("SQL*Net message to client"), "Network")
        };
        (event, Cell::Word(class), class_number(class))
    }

    /// The statement that it runs or ran last.
    pub(super) fn cursor(&self) -> Option<&Arc<str>> {
        self.sess.sql.as_ref().or(self.sess.previous_sql.as_ref())
    }

    /// It waits now: a call without a wait is on the processor.
    fn waits(&self) -> bool {
        !self.phase.busy || self.sess.wait.is_some() || self.sess.blocked.is_some()
    }

    fn seconds(&self, snap: &Snap<'_>) -> i64 {
        ((snap.state.now - self.phase.since) / 1000).max(0)
    }

    fn micros(&self, snap: &Snap<'_>) -> i64 {
        ((snap.state.now - self.phase.since) * 1000).max(0)
    }

    fn hash(&self, salt: u64) -> i64 {
        (mix(u64::from(self.seat.1) << 32 | u64::from(self.sess.serial), salt) >> 33) as i64
    }

    /// Who is at the end of the chain that it waits in.
    fn root(&self, snap: &Snap<'_>) -> Option<Seat> {
        let mut at = self.sess.blocked?.0;
        for _ in 0..64 {
            match snap.state.sessions.get(&at).and_then(|sess| sess.blocked) {
                Some((next, _)) => at = next,
                None => break,
            }
        }
        Some(at)
    }
}

pub(super) fn class_number(class: &str) -> i64 {
    match class {
        "Application" => 1,
        "Configuration" => 2,
        "Concurrency" => 4,
        "Commit" => 5,
        "Idle" => 6,
        "Network" => 7,
        "User I/O" => 8,
        "System I/O" => 9,
        _ => 0,
    }
}

fn maybe(it: Option<u32>) -> Cell {
    it.map_or(Cell::Null, |it| Cell::Int(i64::from(it)))
}

fn session_columns<'a>() -> Vec<Col<Row<'a>>> {
    let mut columns = identity();
    columns.extend(statement());
    columns.extend(client());
    columns.extend(blocking());
    columns.extend(waiting());
    columns.extend(waited());
    columns.extend(last());
    columns
}

fn identity<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        raw("SADDR", |_, r| Cell::Address(Sess::saddr(r.seat))),
        n("SID", |_, r| Cell::Int(i64::from(r.seat.1))),
        n("SERIAL#", |_, r| Cell::Int(i64::from(r.sess.serial))),
        n("AUDSID", |_, r| Cell::Int(i64::from(r.sess.audsid))),
        raw("PADDR", |_, r| Cell::Address(r.sess.paddr(r.seat))),
        n("USER#", |_, r| Cell::Int(i64::from(r.sess.user_number))),
        v("USERNAME", 128, |_, r| Cell::text(&r.sess.who.username)),
        n("COMMAND", |_, r| {
            Cell::Int(if r.runs() { i64::from(r.sess.command) } else { 0 })
        }),
        n("OWNERID", |_, r| match r.sess.parallel.filter(|part| part.number > 0) {
            Some(part) => Cell::Int(i64::from(part.coordinator.0) << 16 | i64::from(part.coordinator.1)),
            None => Cell::Int(2_147_483_644),
        }),
        v("TADDR", 16, |_, r| match &r.sess.txn {
            Some(txn) => Cell::Owned(format!("{:016X}", txn.address(r.seat.0))),
            None => Cell::Null,
        }),
        v("LOCKWAIT", 16, |_, r| match r.sess.blocked {
            Some((blocker, _)) => Cell::Owned(format!("{:016X}", Sess::saddr(blocker) | 0x40)),
            None => Cell::Null,
        }),
        v("STATUS", 8, |_, r| Cell::Word(r.sess.status(r.phase))),
        v("SERVER", 9, |_, r| Cell::Word(r.sess.server_name())),
        n("SCHEMA#", |_, r| Cell::Int(i64::from(r.sess.user_number))),
        v("SCHEMANAME", 128, |_, r| Cell::Text(r.sess.who.schema.clone())),
        v("OSUSER", 128, |_, r| Cell::text(&r.sess.who.osuser)),
        v("PROCESS", 24, |_, r| match (&r.sess.who.process, r.sess.spid) {
            (None, spid) => Cell::Owned(spid.to_string()),
            (process, _) => Cell::text(process),
        }),
        v("MACHINE", 64, |_, r| Cell::text(&r.sess.who.machine)),
        n("PORT", |_, r| Cell::Int(i64::from(r.sess.who.port))),
        v("TERMINAL", 30, |_, r| Cell::text(&r.sess.who.terminal)),
        v("PROGRAM", 48, |_, r| Cell::text(&r.sess.who.program)),
        v("TYPE", 10, |_, r| match r.sess.kind {
            Kind::User => Cell::Word("USER"),
            Kind::Background => Cell::Word("BACKGROUND"),
        }),
    ]
}

fn statement<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        raw("SQL_ADDRESS", |_, r| {
            Cell::Address(if r.runs() { r.hash(1) as u64 | 1 << 36 } else { 0 })
        }),
        n("SQL_HASH_VALUE", |_, r| {
            Cell::Int(match &r.sess.sql {
                Some(id) if r.runs() => sql_hash(id),
                Some(_) | None => 0,
            })
        }),
        v("SQL_ID", 13, |_, r| {
            if r.runs() { Cell::text(&r.sess.sql) } else { Cell::Null }
        }),
        n(
            "SQL_CHILD_NUMBER",
            |_, r| if r.runs() { Cell::Int(0) } else { Cell::Null },
        ),
        d("SQL_EXEC_START", |_, r| match r.runs() && r.sess.sql.is_some() {
            true => Cell::Time(r.phase.since),
            false => Cell::Null,
        }),
        n("SQL_EXEC_ID", |_, r| {
            if r.runs() {
                Cell::Int(16_777_216 + r.phase.calls)
            } else {
                Cell::Null
            }
        }),
        raw("PREV_SQL_ADDR", |_, r| Cell::Address(r.hash(3) as u64 | 1 << 36)),
        n("PREV_HASH_VALUE", |_, r| {
            Cell::Int(r.sess.previous_sql.as_deref().map_or(0, sql_hash))
        }),
        v("PREV_SQL_ID", 13, |_, r| Cell::text(&r.sess.previous_sql)),
        n("PREV_CHILD_NUMBER", |_, r| {
            if r.sess.previous_sql.is_some() {
                Cell::Int(0)
            } else {
                Cell::Null
            }
        }),
        d("PREV_EXEC_START", |_, r| {
            if r.runs() {
                Cell::Null
            } else {
                Cell::Time(r.phase.since)
            }
        }),
        n("PREV_EXEC_ID", |_, r| Cell::Int(16_777_215 + r.phase.calls)),
        n("PLSQL_ENTRY_OBJECT_ID", |_, _| Cell::Null),
        n("PLSQL_ENTRY_SUBPROGRAM_ID", |_, _| Cell::Null),
        n("PLSQL_OBJECT_ID", |_, _| Cell::Null),
        n("PLSQL_SUBPROGRAM_ID", |_, _| Cell::Null),
    ]
}

fn client<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        v("MODULE", 64, |_, r| Cell::text(&r.sess.who.module)),
        n("MODULE_HASH", |_, r| {
            if r.sess.who.module.is_some() {
                Cell::Int(r.hash(5))
            } else {
                Cell::Int(0)
            }
        }),
        v("ACTION", 64, |_, r| Cell::text(&r.sess.who.action)),
        n("ACTION_HASH", |_, r| {
            if r.sess.who.action.is_some() {
                Cell::Int(r.hash(6))
            } else {
                Cell::Int(0)
            }
        }),
        v("CLIENT_INFO", 64, |_, r| Cell::text(&r.sess.who.client_info)),
        n("FIXED_TABLE_SEQUENCE", |_, r| Cell::Int(r.phase.calls)),
        n("ROW_WAIT_OBJ#", |_, r| {
            Cell::Int(if r.sess.blocked.is_some() { 74_512 } else { -1 })
        }),
        n("ROW_WAIT_FILE#", |_, r| {
            Cell::Int(if r.sess.blocked.is_some() { 7 } else { 0 })
        }),
        n("ROW_WAIT_BLOCK#", |_, r| {
            Cell::Int(if r.sess.blocked.is_some() { 4_187 } else { 0 })
        }),
        n("ROW_WAIT_ROW#", |_, _| Cell::Int(0)),
        n("TOP_LEVEL_CALL#", |_, r| Cell::Int(if r.phase.busy { 94 } else { 0 })),
        d("LOGON_TIME", |_, r| Cell::Time(r.sess.logon)),
        n("LAST_CALL_ET", |s, r| {
            let behaviour = &s.scenario.behaviour;
            let grows = if r.phase.busy {
                behaviour.active_age_grows
            } else {
                behaviour.idle_age_grows
            };
            let of_client = r.sess.link.is_some();
            Cell::Int(if of_client && grows == Some(false) {
                0
            } else {
                r.seconds(s)
            })
        }),
        v("PDML_ENABLED", 3, |_, _| Cell::Word("NO")),
        v("FAILOVER_TYPE", 13, |_, _| Cell::Word("NONE")),
        v("FAILOVER_METHOD", 10, |_, _| Cell::Word("NONE")),
        v("FAILED_OVER", 3, |_, _| Cell::Word("NO")),
        v("RESOURCE_CONSUMER_GROUP", 32, |_, r| match r.sess.kind {
            Kind::User => Cell::Word("OTHER_GROUPS"),
            Kind::Background => Cell::Word("_ORACLE_BACKGROUND_GROUP_"),
        }),
        v("PDML_STATUS", 8, |_, _| Cell::Word("DISABLED")),
        v("PDDL_STATUS", 8, |_, _| Cell::Word("ENABLED")),
        v("PQ_STATUS", 8, |_, _| Cell::Word("ENABLED")),
        n("CURRENT_QUEUE_DURATION", |_, _| Cell::Int(0)),
        v("CLIENT_IDENTIFIER", 64, |_, r| {
            Cell::text(&r.sess.who.client_identifier)
        }),
    ]
}

fn blocking<'a>() -> Vec<Col<Row<'a>>> {
    fn status(r: &Row<'_>) -> Cell {
        Cell::Word(if r.sess.blocked.is_some() {
            "VALID"
        } else if r.waits() {
            "NO HOLDER"
        } else {
            "NOT IN WAIT"
        })
    }
    vec![
        v("BLOCKING_SESSION_STATUS", 11, |_, r| status(r)),
        n("BLOCKING_INSTANCE", |_, r| {
            maybe(r.sess.blocked.map(|(blocker, _)| blocker.0))
        }),
        n("BLOCKING_SESSION", |_, r| {
            maybe(r.sess.blocked.map(|(blocker, _)| blocker.1))
        }),
        v("FINAL_BLOCKING_SESSION_STATUS", 11, |_, r| status(r)),
        n("FINAL_BLOCKING_INSTANCE", |s, r| maybe(r.root(s).map(|root| root.0))),
        n("FINAL_BLOCKING_SESSION", |s, r| maybe(r.root(s).map(|root| root.1))),
    ]
}

pub(super) fn waiting<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        n("SEQ#", |_, r| Cell::Int(r.phase.calls % 65_536)),
        n("EVENT#", |_, r| {
            Cell::Int(if r.phase.busy { 1 + r.hash(7) % 1000 } else { 420 })
        }),
        v("EVENT", 64, |_, r| r.wait().0),
        v("P1TEXT", 64, |_, r| {
            Cell::Word(if r.sess.blocked.is_some() {
                "name|mode"
            } else {
                "driver id"
            })
        }),
        n("P1", |_, r| {
            Cell::Int(if r.sess.blocked.is_some() {
                1_415_053_318
            } else {
                1_952_673_792
            })
        }),
        raw("P1RAW", |_, r| {
            Cell::Address(if r.sess.blocked.is_some() {
                0x5458_0006
            } else {
                0x7463_7000
            })
        }),
        v("P2TEXT", 64, |_, r| {
            Cell::Word(if r.sess.blocked.is_some() {
                "usn<<16 | slot"
            } else {
                "#bytes"
            })
        }),
        n("P2", |_, r| {
            Cell::Int(if r.sess.blocked.is_some() { 655_374 } else { 1 })
        }),
        raw("P2RAW", |_, r| {
            Cell::Address(if r.sess.blocked.is_some() { 655_374 } else { 1 })
        }),
        v("P3TEXT", 64, |_, r| {
            Cell::Word(if r.sess.blocked.is_some() { "sequence" } else { "" })
        }),
        n("P3", |_, r| Cell::Int(if r.sess.blocked.is_some() { 8_000 } else { 0 })),
        raw("P3RAW", |_, r| {
            Cell::Address(if r.sess.blocked.is_some() { 8_000 } else { 0 })
        }),
    ]
}

pub(super) fn waited<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        n("WAIT_CLASS_ID", |_, r| Cell::Int(2_723_168_908 + r.wait().2)),
        n("WAIT_CLASS#", |_, r| Cell::Int(r.wait().2)),
        v("WAIT_CLASS", 64, |_, r| r.wait().1),
        n("WAIT_TIME", |_, r| Cell::Int(if r.waits() { 0 } else { -1 })),
        n("SECONDS_IN_WAIT", |s, r| Cell::Int(r.seconds(s))),
        v("STATE", 19, |_, r| {
            Cell::Word(if r.waits() { "WAITING" } else { "WAITED SHORT TIME" })
        }),
        n("WAIT_TIME_MICRO", |s, r| {
            Cell::Int(if r.waits() { r.micros(s) } else { 12 })
        }),
        n("TIME_REMAINING_MICRO", |_, r| {
            if r.waits() { Cell::Int(-1) } else { Cell::Null }
        }),
        since(
            21,
            0,
            n("TOTAL_TIME_WAITED_MICRO", |s, r| {
                Cell::Int(if r.waits() { r.micros(s) } else { 12 })
            }),
        ),
        since(
            21,
            0,
            n("HEUR_TIME_WAITED_MICRO", |s, r| {
                Cell::Int(if r.waits() { r.micros(s) } else { 12 })
            }),
        ),
        n("TIME_SINCE_LAST_WAIT_MICRO", |s, r| {
            Cell::Int(if r.waits() { 0 } else { r.micros(s) })
        }),
    ]
}

fn last<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        v("SERVICE_NAME", 64, |_, r| Cell::Text(r.sess.who.service.clone())),
        v("SQL_TRACE", 8, |_, _| Cell::Word("DISABLED")),
        v("SQL_TRACE_WAITS", 5, |_, _| Cell::Word("FALSE")),
        v("SQL_TRACE_BINDS", 5, |_, _| Cell::Word("FALSE")),
        v("SQL_TRACE_PLAN_STATS", 10, |_, _| Cell::Word("FIRST EXEC")),
        n("SESSION_EDITION_ID", |_, _| Cell::Int(134)),
        raw("CREATOR_ADDR", |_, r| Cell::Address(r.sess.paddr(r.seat))),
        n("CREATOR_SERIAL#", |_, r| Cell::Int(i64::from(r.sess.pid % 100 + 1))),
        v("ECID", 64, |_, _| Cell::Null),
        since(12, 1, n("SQL_TRANSLATION_PROFILE_ID", |_, _| Cell::Int(0))),
        since(12, 1, n("PGA_TUNABLE_MEM", |_, _| Cell::Int(0))),
        since(12, 2, v("SHARD_DDL_STATUS", 8, |_, _| Cell::Word("DISABLED"))),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.sess.con_id)))),
        since(12, 1, v("EXTERNAL_NAME", 1024, |_, r| Cell::text(&r.sess.who.osuser))),
        since(12, 2, v("PLSQL_DEBUGGER_CONNECTED", 5, |_, _| Cell::Word("FALSE"))),
        since(23, 0, v("DRAIN_STATUS", 8, |_, _| Cell::Word("NONE"))),
        since(23, 0, d("DRAIN_DEADLINE", |_, _| Cell::Null)),
        since(23, 0, v("DRAIN_ORIGIN", 16, |_, _| Cell::Null)),
    ]
}

view!(sessions, Row<'_>, super::session_columns(), |snap| super::rows(snap));

fn process_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        raw("ADDR", |_, r| Cell::Address(r.sess.paddr(r.seat))),
        n("PID", |_, r| Cell::Int(i64::from(r.sess.pid))),
        v("SOSID", 24, |_, r| Cell::Owned(r.sess.spid.to_string())),
        v("SPID", 24, |_, r| Cell::Owned(r.sess.spid.to_string())),
        v("STID", 24, |_, r| Cell::Owned(r.sess.spid.to_string())),
        v("PNAME", 5, |_, r| Cell::text(&r.sess.pname)),
        v("USERNAME", 15, |_, _| Cell::Word("oracle")),
        n("SERIAL#", |_, r| Cell::Int(i64::from(r.sess.pid % 100 + 1))),
        v("TERMINAL", 30, |_, _| Cell::Word("UNKNOWN")),
        v("PROGRAM", 48, |s, r| {
            let instance = s
                .state
                .instances
                .iter()
                .find(|instance| instance.spec.number == r.seat.0);
            let host = instance.map_or("", |instance| instance.spec.host.as_str());
            Cell::Owned(match &r.sess.pname {
                Some(name) => format!("oracle@{host} ({name})"),
                None => format!("oracle@{host}"),
            })
        }),
        v("BACKGROUND", 1, |_, r| {
            if r.sess.kind == Kind::Background {
                Cell::Word("1")
            } else {
                Cell::Null
            }
        }),
        n("CPU_USED", |_, r| Cell::Int(r.hash(8) % 5_000_000)),
        n("PGA_USED_MEM", |_, r| Cell::Int(r.sess.pga / 10 * 8)),
        n("PGA_ALLOC_MEM", |_, r| Cell::Int(r.sess.pga)),
        n("PGA_FREEABLE_MEM", |_, r| Cell::Int(r.sess.pga / 10)),
        n("PGA_MAX_MEM", |_, r| Cell::Int(r.sess.pga / 10 * 12)),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.sess.con_id)))),
    ]
}

/// A killed idle session is detached from its process, which is gone; a process that serves several sessions is there once.
fn attached<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    let mut seen = BTreeSet::new();
    rows(snap)
        .filter(|(_, row)| !row.sess.mark.is_some_and(|mark| mark.detached))
        .filter(move |(instance, row)| seen.insert((*instance, row.sess.pid)))
}

view!(processes, Row<'_>, super::process_columns(), |snap| super::attached(
    snap
));

fn px_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        raw("SADDR", |_, r| Cell::Address(Sess::saddr(r.seat))),
        n("SID", |_, r| Cell::Int(i64::from(r.seat.1))),
        n("SERIAL#", |_, r| Cell::Int(i64::from(r.sess.serial))),
        n("QCSID", |_, r| maybe(r.sess.parallel.map(|part| part.coordinator.1))),
        n("QCSERIAL#", |_, r| {
            maybe(
                r.sess
                    .parallel
                    .filter(|it| it.number > 0)
                    .map(|it| it.coordinator_serial),
            )
        }),
        n("QCINST_ID", |_, r| {
            maybe(r.sess.parallel.filter(|it| it.number > 0).map(|it| it.coordinator.0))
        }),
        n("SERVER_GROUP", |_, r| {
            maybe(r.sess.parallel.filter(|it| it.number > 0).map(|_| 1))
        }),
        n("SERVER_SET", |_, r| {
            maybe(r.sess.parallel.filter(|it| it.number > 0).map(|_| 1))
        }),
        n("SERVER#", |_, r| {
            maybe(r.sess.parallel.filter(|it| it.number > 0).map(|it| it.number))
        }),
        n("DEGREE", |_, r| {
            maybe(r.sess.parallel.filter(|it| it.number > 0).map(|it| it.degree))
        }),
        n("REQ_DEGREE", |_, r| {
            maybe(r.sess.parallel.filter(|it| it.number > 0).map(|it| it.degree))
        }),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.sess.con_id)))),
    ]
}

fn parallel<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    rows(snap).filter(|(_, row)| row.sess.parallel.is_some())
}

view!(px_sessions, Row<'_>, super::px_columns(), |snap| super::parallel(snap));
