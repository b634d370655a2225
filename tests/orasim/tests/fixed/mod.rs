//! A database of fixed answers: what the wire's tests put behind it, so that they test the wire alone.
//!
//! It knows a handful of statements by their texts and notes every call that reaches it.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub(crate) mod clients;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime};
use orasim::Server;
use orasim::backend::{
    Client, Column, ColumnType, ConnectTo, Database, EndToEnd, Hangup, Interrupt, Logon, OnAccept, OraError, Proof,
    Reply, Rows, Session, Statement, StatementKind, Then, Value,
};

/// How many rows `select n, name from big` has: more than 64k, and no multiple of any array size in use.
pub(crate) const BIG: i64 = 70_001;
/// How long a statement naps, which is as long as some time-outs.
pub(crate) const NAP: Duration = Duration::from_millis(200);
/// How long a statement sleeps that nobody interrupts.
pub(crate) const SLEEP: Duration = Duration::from_secs(20);

/// The database, and what it has been asked.
#[derive(Clone, Default)]
pub(crate) struct Fixed {
    events: Arc<Mutex<Vec<String>>>,
    hangups: Arc<Mutex<Vec<Hangup>>>,
}

impl Fixed {
    fn note(&self, event: impl Into<String>) {
        self.events.lock().expect("no panic while noting").push(event.into());
    }

    /// Everything it has been asked so far.
    pub(crate) fn events(&self) -> Vec<String> {
        self.events.lock().expect("no panic while noting").clone()
    }

    /// Waits (seconds at most) until it has been asked this.
    pub(crate) fn saw(&self, event: &str) -> bool {
        (0..500).any(|_| {
            let seen = self.events().iter().any(|seen| seen == event);
            if !seen {
                std::thread::sleep(Duration::from_millis(10));
            }
            seen
        })
    }

    /// Hangs up every connection.
    pub(crate) fn hang_up_all(&self) {
        self.hangups
            .lock()
            .expect("no panic while hanging up")
            .iter()
            .for_each(|hangup| hangup());
    }
}

/// A server on a free port, and the database behind it.
pub(crate) fn serve() -> (Server, Fixed) {
    let database = Fixed::default();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::start(Arc::new(database.clone()), listen).expect("a free port");
    (server, database)
}

/// An error after which the session goes on.
pub(crate) fn error(code: u32, text: &str, offset: u32) -> OraError {
    OraError {
        code,
        message: format!("ORA-{code:05}: {text}"),
        offset,
        then: Then::Continue,
    }
}

fn then(code: u32, text: &str, then: Then) -> OraError {
    OraError {
        then,
        ..error(code, text, 0)
    }
}

/// 2024-02-29 23:59:58.123456, the moment in `select * from kinds`.
pub(crate) fn moment() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2024, 2, 29)
        .and_then(|day| day.and_hms_micro_opt(23, 59, 58, 123_456))
        .expect("a moment")
}

impl Database for Fixed {
    fn route(&self, to: &ConnectTo) -> Result<u32, OraError> {
        self.note(format!("route {}", to.service_name.as_deref().unwrap_or("-")));
        match to.service_name.as_deref() {
            Some("fixed") => Ok(1),
            Some("starting") => Err(error(12_528, "TNS:listener: all appropriate instances are blocking", 0)),
            _ => Err(error(12_514, "TNS:listener does not currently know of service", 0)),
        }
    }

    fn password(&self, user: &str) -> Option<String> {
        matches!(user, "SCOTT" | "LOCKED" | "EXPIRING").then(|| "tiger".to_owned())
    }

    fn logon(
        &self,
        instance: u32,
        user: &str,
        proof: Proof,
        client: Client,
        hangup: Hangup,
    ) -> Result<Logon, OraError> {
        let Client {
            program,
            machine,
            osuser,
            process,
            sysdba,
            ..
        } = &client;
        self.note(format!("logon {user} {proof:?} program={program} sysdba={sysdba}"));
        let named = ![machine, osuser, process].iter().any(|said| said.is_empty());
        self.note(format!(
            "client described={named} proxy for {}",
            client.proxy_for.as_deref().unwrap_or("nobody")
        ));
        if proof == Proof::Wrong {
            return Err(error(1_017, "invalid username/password; logon denied", 0));
        }
        if user == "LOCKED" {
            return Err(error(28_000, "the account is locked", 0));
        }
        self.hangups.lock().expect("no panic while hanging up").push(hangup);
        let warning = (user == "EXPIRING").then(|| error(28_002, "the password will expire within 7 days", 0));
        Ok(Logon {
            session: Box::new(FixedSession {
                database: self.clone(),
                call: Arc::default(),
                changed: false,
            }),
            sid: 287,
            serial: 62_507,
            instance_name: format!("fixed{instance}"),
            db_name: "FIXED".into(),
            db_unique_name: "FIXED_A".into(),
            service_name: "fixed".into(),
            version: [19, 3, 0, 0, 0],
            banner: "Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production".into(),
            warning,
        })
    }

    fn on_accept(&self, _peer: SocketAddr) -> OnAccept {
        OnAccept::Serve
    }
}

/// A call that can be interrupted while it sleeps.
#[derive(Default)]
struct Call {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Call {
    /// Sleeps; `false` where it was interrupted.
    fn sleep(&self, duration: Duration) -> bool {
        let mut state = self.state.lock().expect("no panic while asleep");
        *state = (true, false);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, duration, |(_, interrupted)| !*interrupted)
            .expect("no panic while asleep");
        let slept = !state.1;
        *state = (false, false);
        slept
    }
}

impl Interrupt for Call {
    fn break_call(&self) {
        let mut state = self.state.lock().expect("no panic while asleep");
        if state.0 {
            state.1 = true;
            self.changed.notify_all();
        }
    }
}

struct FixedSession {
    database: Fixed,
    call: Arc<Call>,
    changed: bool,
}

impl Drop for FixedSession {
    fn drop(&mut self) {
        self.database.note("session dropped");
    }
}

impl Session for FixedSession {
    fn execute(&mut self, statement: &Statement<'_>) -> Result<Reply, OraError> {
        let again = if statement.reexecution { "again " } else { "" };
        let commit = if statement.commit { " and commit" } else { "" };
        let what = if statement.describe_only { "describe" } else { "execute" };
        self.database.note(format!("{what} {again}{}{commit}", statement.sql));
        if matches!(statement.sql, "begin sleep; end;" | "begin nap; end;") {
            let duration = if statement.sql.contains("nap") { NAP } else { SLEEP };
            return if self.call.sleep(duration) {
                Ok(done(StatementKind::PlSql, vec![0]))
            } else {
                Err(error(1_013, "user requested cancel of current operation", 0))
            };
        }
        let reply = answer(statement)?;
        self.changed |= statement.sql.starts_with("insert");
        self.changed &= !statement.commit;
        Ok(reply)
    }

    fn fetching(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn answered(&mut self) {}

    fn ping(&mut self) -> Result<(), OraError> {
        self.database.note("ping");
        Ok(())
    }

    fn commit(&mut self) -> Result<(), OraError> {
        self.database.note("commit");
        self.changed = false;
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        self.database.note("rollback");
        self.changed = false;
        Ok(())
    }

    fn in_transaction(&self) -> bool {
        self.changed
    }

    fn logoff(&mut self) {
        self.database.note("logoff");
    }

    fn set_end_to_end(&mut self, changes: EndToEnd) {
        let EndToEnd {
            module,
            action,
            client_identifier,
            client_info,
        } = changes;
        for (name, value) in [
            ("module", module),
            ("action", action),
            ("client_identifier", client_identifier),
            ("client_info", client_info),
        ] {
            if let Some(value) = value {
                self.database.note(format!("{name} {value}"));
            }
        }
    }

    fn set_current_schema(&mut self, schema: &str) {
        self.database.note(format!("current schema {schema}"));
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.call) as Arc<dyn Interrupt>
    }
}

fn done(kind: StatementKind, affected: Vec<u64>) -> Reply {
    Reply::Done {
        kind,
        affected,
        out: Vec::new(),
    }
}

fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.into(),
        kind,
        nullable: true,
    }
}

/// Rows from an iterator.
struct Iterated<I>(I);

impl<I: Iterator<Item = Result<Vec<Value>, OraError>> + Send> Rows for Iterated<I> {
    fn next_row(&mut self) -> Result<Option<Vec<Value>>, OraError> {
        self.0.next().transpose()
    }
}

fn query<I>(statement: &Statement<'_>, columns: Vec<Column>, rows: I) -> Result<Reply, OraError>
where
    I: Iterator<Item = Result<Vec<Value>, OraError>> + Send + 'static,
{
    let rows: Option<Box<dyn Rows>> = if statement.describe_only {
        None
    } else {
        Some(Box::new(Iterated(rows)))
    };
    Ok(Reply::Query {
        columns: columns.into(),
        rows,
    })
}

/// A text of so many bytes that is not the same everywhere, with characters of two and three bytes in it.
pub(crate) fn long_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    let mut index = 0_u32;
    while text.len() + 3 <= bytes {
        text.push(['a', 'é', '€', 'z'][(index % 4) as usize]);
        index += 1;
    }
    while text.len() < bytes {
        text.push('.');
    }
    text
}

fn kinds() -> Vec<Column> {
    vec![
        column("N", ColumnType::Number),
        column("D", ColumnType::Number),
        column("F", ColumnType::BinaryDouble),
        column("T", ColumnType::Varchar2(40)),
        column("LONG_T", ColumnType::Varchar2(4_000)),
        column("DAY", ColumnType::Date),
        column("TS", ColumnType::Timestamp(6)),
        column("R", ColumnType::Raw(300)),
    ]
}

fn kinds_rows() -> Vec<Vec<Value>> {
    let filled = |n: i64, d: &str, f: f64, text: &str, bytes: usize| {
        vec![
            Value::Int(n),
            Value::Decimal(d.into()),
            Value::Float(f),
            Value::Text(text.into()),
            Value::Text(long_text(bytes).into()),
            Value::Date(moment()),
            Value::Date(moment()),
            Value::Raw((0..=255).collect::<Vec<u8>>().into()),
        ]
    };
    vec![
        filled(1, "-12.5", 1.5, "grüße €", 252),
        vec![Value::Null; 8],
        filled(i64::MAX, "0.000001", -2.25e-100, "x", 4_000),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table of statements and their answers")]
fn answer(statement: &Statement<'_>) -> Result<Reply, OraError> {
    let numbers = |count: i64| (1..=count).map(|n| Ok(vec![Value::Int(n), Value::Text(format!("name of {n}").into())]));
    let pair = || {
        vec![
            column("N", ColumnType::Number),
            column("NAME", ColumnType::Varchar2(30)),
        ]
    };
    match statement.sql {
        "select * from kinds" => query(statement, kinds(), kinds_rows().into_iter().map(Ok)),
        "select n, name from big" => query(statement, pair(), numbers(BIG)),
        "select n, name from three" => query(statement, pair(), numbers(3)),
        "select n, name from none" => query(statement, pair(), numbers(0)),
        "select n, name from old" => {
            let rows = numbers(500).chain([Err(error(1_555, "snapshot too old: rollback segment number 3", 0))]);
            query(statement, pair(), rows)
        }
        "select t from clobs" | "select t from clobs where 1 = 1" => {
            let rows = [10, 40_000, 0, 300].map(|size| {
                Ok(vec![
                    Value::Int(size),
                    if size == 0 {
                        Value::Null
                    } else {
                        Value::Text(long_text(size as usize).into())
                    },
                ])
            });
            query(
                statement,
                vec![column("N", ColumnType::Number), column("T", ColumnType::Clob)],
                rows.into_iter(),
            )
        }
        "select * from wide" => {
            let columns = (0..300)
                .map(|n| column(&format!("C{n}"), ColumnType::Varchar2(150)))
                .collect();
            let rows = (0..5).map(|row| {
                Ok((0..300)
                    .map(|n| Value::Text(format!("{row}.{n:0>140}").into()))
                    .collect())
            });
            query(statement, columns, rows)
        }
        sql if sql.starts_with("select binds") => {
            let row = statement.binds.first().cloned().unwrap_or_default();
            let kind = |kind| match kind {
                ColumnType::Varchar2(_) => ColumnType::Varchar2(4_000),
                other @ (ColumnType::Number
                | ColumnType::BinaryDouble
                | ColumnType::Date
                | ColumnType::Timestamp(_)
                | ColumnType::Raw(_)
                | ColumnType::Clob) => other,
            };
            let columns = row
                .iter()
                .enumerate()
                .map(|(n, bind)| column(&format!("B{n}"), kind(bind.kind)))
                .collect();
            let values = row.into_iter().map(|bind| echo(bind.value)).collect();
            query(statement, columns, [Ok(values)].into_iter())
        }
        _ => answer_without_rows(statement),
    }
}

fn answer_without_rows(statement: &Statement<'_>) -> Result<Reply, OraError> {
    match statement.sql {
        "select nosuch from dual" => Err(error(904, "\"NOSUCH\": invalid identifier", 7)),
        "select * from nowhere" => Err(error(942, "table or view does not exist", 14)),
        "select gone from dual" => Err(then(28, "your session has been killed", Then::SessionGone)),
        "select cut from dual" => Err(then(3_113, "end-of-file on communication channel", Then::Cut)),
        "select hang from dual" => Err(then(3_113, "never", Then::Hang)),
        "begin :1 := :2 * 2; end;" => {
            let out = match statement
                .binds
                .first()
                .and_then(|row| row.get(1))
                .map(|bind| &bind.value)
            {
                Some(Value::Int(value)) => Value::Int(value * 2),
                _ => Value::Null,
            };
            Ok(Reply::Done {
                kind: StatementKind::PlSql,
                affected: vec![1],
                out: vec![Some(out), None],
            })
        }
        "begin :1 := upper(:1); :2 := null; end;" => {
            let out = match statement
                .binds
                .first()
                .and_then(|row| row.first())
                .map(|bind| &bind.value)
            {
                Some(Value::Text(text)) => Value::Text(text.to_uppercase().into()),
                _ => Value::Null,
            };
            Ok(Reply::Done {
                kind: StatementKind::PlSql,
                affected: vec![1],
                out: vec![Some(out), Some(Value::Null)],
            })
        }
        "begin :1 := upper(:2); :3 := null; end;" => {
            let out = match statement.binds.first().map(|row| &row[1].value) {
                Some(Value::Text(text)) => Value::Text(text.to_uppercase().into()),
                _ => Value::Null,
            };
            Ok(Reply::Done {
                kind: StatementKind::PlSql,
                affected: vec![1],
                out: vec![Some(out), None, Some(Value::Null)],
            })
        }
        "begin null; end;" => Ok(done(StatementKind::PlSql, vec![1])),
        "alter system flush" => Ok(done(StatementKind::AlterSystem, vec![0])),
        sql if sql.starts_with("insert into t") => {
            // The n-th row of a batch becomes n of them.
            let counts = 1..=statement.binds.len().max(1) as u64;
            Ok(done(StatementKind::Insert, counts.collect()))
        }
        sql => Err(error(900, &format!("invalid SQL statement: {sql}"), 0)),
    }
}

/// A bind value as it comes back: itself, or for a text too long for a column whether it is the one expected.
fn echo(value: Value) -> Value {
    match &value {
        Value::Text(text) if text.len() > 4_000 => {
            let expected = **text == *long_text(text.len());
            Value::Text(
                format!(
                    "{} bytes, {}",
                    text.len(),
                    if expected { "as expected" } else { "garbled" }
                )
                .into(),
            )
        }
        Value::Null
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Raw(_) => value,
    }
}
