//! A database whose views are tables of SQLite, so that the daemon's own queries are asked of a real SQL engine.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, Value, ValueRef};

use crate::oracle::{
    Bind, Cell, CellType, Connection, ConnectionIdentity, Driver, Error, Phase, Purpose, Query, Sink, reading,
};
use crate::session::column::Column;
use crate::session::time::DbTime;

/// Seconds east of Greenwich.
pub(super) const OFFSET: i64 = 7_200;

/// What GV$SESSION has here.
pub(super) const SESSION: [Column; 28] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Username,
    Column::Type,
    Column::Status,
    Column::Server,
    Column::Program,
    Column::Machine,
    Column::Module,
    Column::ClientInfo,
    Column::Taddr,
    Column::Saddr,
    Column::Paddr,
    Column::Event,
    Column::LastCallEt,
    Column::ConId,
    Column::SqlId,
    Column::SqlExecId,
    Column::PrevSqlId,
    Column::PrevExecStart,
    Column::BlockingSessionStatus,
    Column::BlockingInstance,
    Column::BlockingSession,
    Column::WaitTimeMicro,
    Column::State,
    Column::WaitClass,
];

/// The other views, with their columns.
const OTHERS: [(&str, &str); 5] = [
    ("gv$instance", "inst_id, instance_name, status, startup_time"),
    (
        "gv$transaction",
        "inst_id, addr, start_date, used_urec, used_ublk, ses_addr, xidusn, xidslot, xidsqn, ptx_xidusn, ptx_xidslt, ptx_xidsqn, status",
    ),
    ("gv$process", "inst_id, addr, spid, pga_alloc_mem, pname"),
    ("gv$px_session", "inst_id, sid, serial_, qcinst_id, qcsid, qcserial_"),
    ("gv$parameter", "inst_id, name, value"),
];

/// One moment of a database.
pub(super) struct Tables {
    identity: ConnectionIdentity,
    sqlite: rusqlite::Connection,
    now: i64,
    /// All queries.
    pub(super) asked: Vec<String>,
    /// What answers this query (counted from 0, of GV$SESSION only) shows no session of this instance.
    pub(super) silent_at: Option<(usize, i64)>,
}

impl Tables {
    /// Empty views.
    pub(super) fn new(now: i64) -> Tables {
        let sqlite = rusqlite::Connection::open_in_memory().expect("a database in memory");
        sqlite
            .pragma_update(None, "case_sensitive_like", true)
            .expect("LIKE as Oracle's");
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        sqlite
            .create_scalar_function("RAWTOHEX", 1, flags, raw_to_hex)
            .expect("a function");
        sqlite
            .create_scalar_function("HEXTORAW", 1, flags, hex_to_raw)
            .expect("a function");
        sqlite
            .create_scalar_function("TO_DATE", 2, flags, to_date)
            .expect("a function");
        let columns: Vec<String> = SESSION.iter().map(|column| column.name().replace('#', "_")).collect();
        let mut create = format!(
            "CREATE TABLE all_sessions ({columns}); CREATE TABLE silent (inst_id); CREATE VIEW gv$session AS SELECT * FROM \
             all_sessions WHERE inst_id NOT IN (SELECT inst_id FROM silent);",
            columns = columns.join(", ")
        );
        for (view, columns) in OTHERS {
            create += &format!("CREATE TABLE {view} ({columns});");
        }
        sqlite.execute_batch(&create).expect("tables");
        Tables {
            identity: ConnectionIdentity {
                database: Arc::from("test"),
                driver: Driver::Thin,
                purpose: Purpose::Poll,
            },
            sqlite,
            now,
            asked: Vec::new(),
            silent_at: None,
        }
    }

    /// Adds a row to a view.
    pub(super) fn add(&self, view: &str, values: &[Value]) {
        let table = if view == "gv$session" { "all_sessions" } else { view };
        let marks = vec!["?"; values.len()].join(", ");
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        let sql = format!("INSERT INTO {table} VALUES ({marks})");
        self.sqlite
            .execute(&sql, &*values)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// From now on no session of this instance is shown.
    pub(super) fn silence(&self, inst_id: Option<i64>) {
        self.sqlite.execute("DELETE FROM silent", []).expect("a table");
        if let Some(inst_id) = inst_id {
            self.sqlite
                .execute("INSERT INTO silent VALUES (?)", [inst_id])
                .expect("a row");
        }
    }

    /// Nobody but the background processes has a SID any more.
    pub(super) fn forget_sids(&self) {
        let sql = "UPDATE all_sessions SET sid = NULL WHERE type = 'USER'";
        self.sqlite.execute(sql, []).expect("a table");
    }

    /// The text as SQLite takes it: dates are numbers of seconds.
    fn translated(&self, sql: &str) -> String {
        let clock = format!("{}, '+02:00'", self.now);
        // A clause is looked at a moment later.
        sql.replace("SYSDATE, TO_CHAR(SYSTIMESTAMP, 'TZH:TZM')", &clock)
            .replace("SYSDATE", &(self.now + 1).to_string())
            .replace(" / 86400", "")
            .replace('#', "_")
    }

    fn rows(&self, query: &Query, sink: &mut Sink<'_>) -> rusqlite::Result<()> {
        let mut statement = self.sqlite.prepare(&self.translated(&query.sql))?;
        for (at, bind) in query.binds.iter().enumerate() {
            let place = statement
                .parameter_index(&format!(":{}", at + 1))?
                .expect("each bind has a place");
            match bind {
                Bind::Number(number) => statement.raw_bind_parameter(place, number)?,
                Bind::Text(text) => statement.raw_bind_parameter(place, text)?,
                Bind::Time(time) => statement.raw_bind_parameter(place, time.0)?,
            }
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let mut cells = Vec::new();
            for (at, kind) in query.columns.iter().enumerate() {
                cells.push(match (row.get_ref(at)?, kind) {
                    (ValueRef::Null, _) => Cell::Null,
                    (ValueRef::Integer(number), CellType::Number) => Cell::Number(number),
                    (ValueRef::Integer(seconds), CellType::Time) => Cell::Time(DbTime(seconds)),
                    (ValueRef::Text(text), CellType::Text) => Cell::Text(str::from_utf8(text).expect("a text")),
                    (other, _) => panic!("{}: {other:?} is no {kind:?}", query.sql),
                });
            }
            if sink(&cells).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn raw_to_hex(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let bytes = match context.get_raw(0) {
        // An empty text is NULL.
        ValueRef::Null | ValueRef::Text([]) => return Ok(None),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Integer(_) | ValueRef::Real(_) => panic!("RAWTOHEX of a number"),
    };
    Ok(Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect()))
}

fn hex_to_raw(context: &Context<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
    let text: Option<String> = context.get(0)?;
    let bytes = |text: String| {
        let pairs = (0..text.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    };
    Ok(text.map(bytes))
}

fn to_date(context: &Context<'_>) -> rusqlite::Result<i64> {
    let text: String = context.get(0)?;
    let date = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S").expect("a date");
    Ok(date.and_utc().timestamp())
}

/// An address, as RAW columns have it.
pub(super) fn raw(address: i64) -> Value {
    Value::Blob(vec![
        u8::try_from(address % 256).expect("a byte"),
        u8::try_from(address / 256).expect("a byte"),
    ])
}

/// An address, as TADDR has it.
pub(super) fn hexadecimal(address: i64) -> Value {
    Value::Text(format!("{:02X}{:02X}", address % 256, address / 256))
}

impl Connection for Tables {
    fn query(&mut self, query: &Query, _limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error> {
        if let Some((at, inst_id)) = self.silent_at {
            let before = self.asked.iter().filter(|sql| sql.contains("gv$session")).count();
            self.silence((before == at).then_some(inst_id));
        }
        self.asked.push(query.sql.to_string());
        self.rows(query, sink).map_err(|error| {
            let message = format!("ORA-00904: {error} in {}", query.sql);
            Error::from_database(Phase::Call, reading(query, "test"), Some(904), &message)
        })
    }

    fn ping(&mut self, _limit: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn is_lost(&self) -> bool {
        false
    }

    fn identity(&self) -> &ConnectionIdentity {
        &self.identity
    }

    fn warning(&self) -> Option<&str> {
        None
    }

    fn round_trips(&self) -> u64 {
        0
    }

    fn close(self: Box<Self>, _grace: Duration) {}
}
