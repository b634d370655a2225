//! The views of the simulated database, as queries of them are answered.
//!
//! A query is told by its view and its text. Of GV$SESSION the columns are those of the select list, so that the daemon reads what
//! it asks for; every other query has rows of its own here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use orareaper::oracle::{Bind, Cell, Query, Sink};
use orareaper::session::time::DbTime;

use super::base::{Base, Key, MIDNIGHT, REAPER, Session};

/// The columns of GV$SESSION that the database has.
const COLUMNS: &[(&str, Value)] = &[
    ("INST_ID", |_, session| Cell::Number(session.key.inst.into())),
    ("SID", |_, session| Cell::Number(session.key.sid.into())),
    ("SERIAL#", |_, session| Cell::Number(session.key.serial.into())),
    ("LOGON_TIME", |_, session| Cell::Time(time(session.key.logon))),
    ("USERNAME", |_, session| text(session.user())),
    ("TYPE", |_, session| {
        Cell::Text(if session.is_background() { "BACKGROUND" } else { "USER" })
    }),
    ("STATUS", |_, session| Cell::Text(session.status())),
    ("SERVER", |_, session| Cell::Text(session.server())),
    ("PROGRAM", |_, session| Cell::Text(session.program())),
    ("MACHINE", |_, session| Cell::Text(session.machine())),
    ("MODULE", |_, session| {
        Cell::Text(if session.user() == REAPER { "orareaper" } else { "app" })
    }),
    ("CLIENT_INFO", |_, _| Cell::Null),
    ("TADDR", |_, session| {
        session
            .transaction
            .as_ref()
            .map_or(Cell::Null, |it| Cell::Text(&it.addr))
    }),
    ("PADDR", |_, session| Cell::Text(&session.paddr)),
    ("EVENT", |_, session| Cell::Text(session.event())),
    ("LAST_CALL_ET", |base, session| Cell::Number(base.now - session.since)),
    ("SQL_ID", |_, session| session.sql_id().map_or(Cell::Null, Cell::Text)),
    ("SQL_EXEC_ID", |_, session| Cell::Number(session.executions)),
    ("BLOCKING_SESSION_STATUS", |_, session| {
        Cell::Text(if session.waits_for.is_some() {
            "VALID"
        } else {
            "NO HOLDER"
        })
    }),
    ("BLOCKING_INSTANCE", |_, session| {
        session
            .waits_for
            .map_or(Cell::Null, |(inst, _)| Cell::Number(inst.into()))
    }),
    ("BLOCKING_SESSION", |_, session| {
        session
            .waits_for
            .map_or(Cell::Null, |(_, sid)| Cell::Number(sid.into()))
    }),
];

type Value = for<'a> fn(&Base, &'a Session) -> Cell<'a>;

fn text(text: &str) -> Cell<'_> {
    if text.is_empty() { Cell::Null } else { Cell::Text(text) }
}

pub(crate) fn time(at: i64) -> DbTime {
    DbTime(at)
}

/// Accounts that Oracle maintains.
const MAINTAINED: &[&str] = &["SYS", "SYSTEM", "DBSNMP", "ORDS_METADATA"];

thread_local! {
    /// The select list of each text of a query of GV$SESSION.
    static LISTS: RefCell<HashMap<String, Rc<[Value]>>> = RefCell::default();
}

/// The columns of a select list.
fn list(sql: &str) -> Rc<[Value]> {
    LISTS.with_borrow_mut(|lists| {
        if let Some(list) = lists.get(sql) {
            return Rc::clone(list);
        }
        let from = sql.to_uppercase();
        let list = from
            .strip_prefix("SELECT ")
            .and_then(|rest| rest.split_once(" FROM "))
            .expect("a query")
            .0;
        let named = |item: &str| {
            let name = item
                .strip_prefix("RAWTOHEX(")
                .map_or(item, |rest| rest.split(')').next().expect("closed"));
            let column = COLUMNS.iter().find(|(column, _)| *column == name);
            column.unwrap_or_else(|| panic!("no such column: {item}")).1
        };
        let list: Rc<[Value]> = list.split(", ").map(named).collect();
        lists.insert(sql.to_owned(), Rc::clone(&list));
        list
    })
}

/// Who asks, and what is wrong while it asks.
pub(crate) struct Asking<'a> {
    pub(crate) base: &'a Base,
    /// The session of the connection.
    pub(crate) own: Key,
    /// Instances whose rows GV$ views leave out.
    pub(crate) hidden: Option<u32>,
    /// GV$RESOURCE_LIMIT shows no number for its limits.
    pub(crate) at_most: i64,
}

/// Whether a query reads sessions for a snapshot: all of them, or those on one seat.
pub(crate) fn sessions_read(query: &Query) -> Option<Option<(u32, u32)>> {
    if query.of != "GV$SESSION" {
        return None;
    }
    match (query.sql.split_once(" WHERE "), query.binds.as_slice()) {
        (None, _) => Some(None),
        (Some((_, "inst_id = :1 AND sid = :2")), [Bind::Number(inst), Bind::Number(sid)]) => {
            let id = |number: i64| u32::try_from(number).expect("an id");
            Some(Some((id(*inst), id(*sid))))
        }
        (Some(_), _) => None,
    }
}

/// Whether a query begins a snapshot.
pub(crate) fn begins_snapshot(query: &Query) -> bool {
    query.of == "GV$INSTANCE" && query.sql.contains("SYSTIMESTAMP")
}

impl Asking<'_> {
    pub(crate) fn is_seen(&self, inst: u32) -> bool {
        inst == self.own.inst || self.hidden != Some(inst)
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.base
            .sessions
            .iter()
            .filter(|session| self.is_seen(session.key.inst))
    }

    /// Hands the rows of the answer over.
    pub(crate) fn answer(&self, query: &Query, sink: &mut Sink<'_>) {
        let sql = query.sql.as_ref();
        if sql.contains("WHERE 1 = 0") {
            return;
        }
        match query.of {
            "GV$SESSION" => self.of_sessions(query, sink),
            "GV$INSTANCE" | "V$INSTANCE" => self.of_instances(query, sink),
            "SYS_CONTEXT" if sql.contains("'SID'") => {
                let (sid, inst) = (self.own.sid.to_string(), self.own.inst.to_string());
                row(sink, &[Cell::Text(&sid), Cell::Text(&inst), Cell::Text(REAPER)]);
            }
            "SYS_CONTEXT" if sql.contains("'CON_ID'") => row(sink, &[Cell::Text("0"), Cell::Text(self.base.name)]),
            "V$DATABASE" if sql.contains("cdb") => row(sink, &[Cell::Text("NO")]),
            "V$DATABASE" => row(
                sink,
                &[
                    Cell::Text(self.base.name),
                    Cell::Text("PRIMARY"),
                    Cell::Text("READ WRITE"),
                ],
            ),
            "V$PARAMETER" => row(sink, &[Cell::Text("db_block_size"), Cell::Text("8192")]),
            "ALL_TAB_COLUMNS" => COLUMNS.iter().for_each(|(name, _)| row(sink, &[Cell::Text(name)])),
            "DBA_USERS" => MAINTAINED.iter().for_each(|name| row(sink, &[Cell::Text(name)])),
            "GV$TRANSACTION" => self.of_transactions(sink),
            "GV$RESOURCE_LIMIT" => self.of_limits(sink),
            "DUAL" | "ORAREAPER_GUARD" => row(sink, &[Cell::Number(1)]),
            _ => {}
        }
    }

    fn of_sessions(&self, query: &Query, sink: &mut Sink<'_>) {
        let sql = query.sql.as_ref();
        let number = |at: usize| match query.binds.get(at) {
            Some(Bind::Number(number)) => u32::try_from(*number).expect("an id"),
            _ => panic!("no number: {query:?}"),
        };
        if sql.contains("status <> 'KILLED'") {
            let asked = (0..query.binds.len()).step_by(4);
            self.of_those_alive(asked.map(|at| (number(at), number(at + 1), number(at + 2))), sink);
        } else if sql.contains("COUNT(*)") {
            let count = self.sessions().filter(|session| session.key.inst == number(0)).count();
            row(sink, &[Cell::Number(i64::try_from(count).expect("few"))]);
        } else if sql.contains("SYSDATE") {
            for session in self
                .sessions()
                .filter(|session| (session.key.inst, session.key.sid) == (number(0), number(1)))
            {
                let (serial, logon) = (
                    Cell::Number(session.key.serial.into()),
                    Cell::Time(time(session.key.logon)),
                );
                row(
                    sink,
                    &[
                        serial,
                        logon,
                        Cell::Text(session.user()),
                        Cell::Time(time(self.base.clock())),
                    ],
                );
            }
        } else if sql.starts_with("SELECT server") {
            let is = |key: Key| (key.serial, key.sid, key.inst) == (number(0), number(1), number(2));
            for session in self.sessions().filter(|session| is(session.key)) {
                row(sink, &[Cell::Text(session.server()), Cell::Text(&session.paddr)]);
            }
        } else if sql.contains("paddr = HEXTORAW") {
            let Some(Bind::Text(paddr)) = query.binds.get(1) else {
                panic!("no address: {query:?}")
            };
            for session in self.sessions().filter(|session| session.paddr == *paddr) {
                row(
                    sink,
                    &[
                        Cell::Number(session.key.sid.into()),
                        Cell::Number(session.key.serial.into()),
                    ],
                );
            }
        } else {
            let list = list(sql);
            let one = query.sql.contains(" WHERE ").then(|| (number(0), number(1)));
            let mut cells = Vec::with_capacity(list.len());
            for session in self.sessions() {
                if one.is_some_and(|seat| seat != (session.key.inst, session.key.sid)) {
                    continue;
                }
                cells.clear();
                cells.extend(list.iter().map(|value| value(self.base, session)));
                if sink(&cells).is_break() {
                    return;
                }
            }
        }
    }

    /// Which of these sessions are there and not KILLED.
    fn of_those_alive(&self, asked: impl Iterator<Item = (u32, u32, u32)>, sink: &mut Sink<'_>) {
        let asked: Vec<(u32, u32, u32)> = asked.collect();
        let is_asked = |key: Key| asked.contains(&(key.inst, key.sid, key.serial));
        let alive = self.sessions().filter(|session| self.base.vouches(session.key));
        for Session { key, .. } in alive.filter(|session| is_asked(session.key)) {
            let [inst, sid, serial] = [key.inst, key.sid, key.serial].map(|id| Cell::Number(id.into()));
            row(sink, &[inst, sid, serial, Cell::Time(time(key.logon))]);
        }
    }

    fn of_instances(&self, query: &Query, sink: &mut Sink<'_>) {
        let sql = query.sql.as_ref();
        if sql.contains("version_full") {
            return row(sink, &[Cell::Text("23.6.0.0.0")]);
        }
        for instance in self
            .base
            .instances
            .iter()
            .filter(|instance| instance.up && self.is_seen(instance.number))
        {
            let (number, name) = (Cell::Number(instance.number.into()), Cell::Text(&instance.name));
            if query.of == "V$INSTANCE" {
                if instance.number == self.own.inst {
                    let parallel = if self.base.instances.len() > 1 { "YES" } else { "NO" };
                    row(sink, &[number, name, Cell::Text("23.0.0.0.0"), Cell::Text(parallel)]);
                }
            } else if sql.contains("host_name") {
                row(sink, &[number, name, Cell::Text("db01"), Cell::Text("OPEN")]);
            } else {
                let (started, now) = (Cell::Time(time(instance.started)), Cell::Time(time(self.base.clock())));
                row(
                    sink,
                    &[number, name, Cell::Text("OPEN"), started, now, Cell::Text("+00:00")],
                );
            }
        }
    }

    fn of_transactions(&self, sink: &mut Sink<'_>) {
        for session in self.sessions() {
            let Some(transaction) = &session.transaction else {
                continue;
            };
            let (none, addr) = (Cell::Number(0), Cell::Text(&transaction.addr));
            let xid = Cell::Number(i64::from(session.key.serial));
            row(
                sink,
                &[
                    Cell::Number(session.key.inst.into()),
                    addr,
                    Cell::Time(time(transaction.since)),
                    Cell::Number(transaction.undo),
                    Cell::Number(transaction.undo / 50 + 1),
                    Cell::Null,
                    xid,
                    xid,
                    xid,
                    none,
                    none,
                    none,
                    Cell::Text(session.transaction_status()),
                ],
            );
        }
    }

    fn of_limits(&self, sink: &mut Sink<'_>) {
        let limit = if self.at_most == i64::MAX {
            "UNLIMITED".to_owned()
        } else {
            self.at_most.to_string()
        };
        for instance in self
            .base
            .instances
            .iter()
            .filter(|instance| instance.up && self.is_seen(instance.number))
        {
            let used = Cell::Number(self.base.used(instance.number));
            row(
                sink,
                &[
                    Cell::Number(instance.number.into()),
                    Cell::Text("sessions"),
                    used,
                    Cell::Text(&limit),
                ],
            );
        }
    }
}

impl Base {
    /// How many sessions an instance has.
    pub(crate) fn used(&self, inst: u32) -> i64 {
        let count = self.sessions.iter().filter(|session| session.key.inst == inst).count();
        i64::try_from(count).expect("few")
    }
}

fn row(sink: &mut Sink<'_>, cells: &[Cell<'_>]) {
    // A caller that has enough of them gets what it asked for.
    let _: ControlFlow<()> = sink(cells);
}

/// Whether true time is within these hours of a day, by a clock that is so much later.
pub(crate) fn is_within(clock: i64, from: i64, hours: i64) -> bool {
    let into_the_day = (clock - MIDNIGHT).rem_euclid(86_400);
    (into_the_day - from * 3_600).rem_euclid(86_400) < hours * 3_600
}
