//! A database of canned answers behind the real wire: what no healthy database would answer, on demand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime};
use orasim::Server;
use orasim::backend::{
    Bind, Client, Column, ColumnType, ConnectTo, Database, EndToEnd, Hangup, Interrupt, Logon, OnAccept, OraError,
    Proof, Reply, Rows, Session, Statement, StatementKind, Then, Value,
};

/// What was asked of it, and what it does with the next connection.
#[derive(Clone, Default)]
pub(crate) struct Canned {
    pub(crate) notes: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    pub(crate) fn saw(&self, note: &str) -> bool {
        let notes = self.notes.lock().expect("no panic while noting");
        notes.iter().any(|seen| seen == note)
    }

    fn note(&self, note: String) {
        self.notes.lock().expect("no panic while noting").push(note);
    }
}

/// Starts it on a free port.
pub(crate) fn serve() -> (Server, Canned) {
    let canned = Canned::default();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::start(Arc::new(canned.clone()), listen).expect("a free port");
    (server, canned)
}

fn error(code: u32, text: &str, then: Then) -> OraError {
    OraError {
        code,
        message: format!("ORA-{code:05}: {text}"),
        offset: 0,
        then,
    }
}

impl Database for Canned {
    fn route(&self, to: &ConnectTo) -> Result<u32, OraError> {
        match to.service_name.as_deref() {
            Some("canned") => Ok(1),
            Some("full") => Err(error(
                12_519,
                "TNS:no appropriate service handler found",
                Then::Continue,
            )),
            _ => Err(error(12_514, "TNS:listener does not know of service", Then::Continue)),
        }
    }

    fn password(&self, user: &str) -> Option<String> {
        (user != "NOBODY").then(|| "tiger".to_owned())
    }

    fn logon(&self, _: u32, user: &str, proof: Proof, client: Client, _: Hangup) -> Result<Logon, OraError> {
        match (user, proof) {
            (_, Proof::Wrong) => return Err(error(1017, "invalid username/password; logon denied", Then::Continue)),
            ("LOCKED", _) => return Err(error(28_000, "the account is locked", Then::Continue)),
            ("STARTING", _) => {
                return Err(error(
                    1033,
                    "ORACLE initialization or shutdown in progress",
                    Then::Continue,
                ));
            }
            _ => self.note(format!("program {}", client.program)),
        }
        let expires = error(28_002, "the password will expire within 7 days", Then::Continue);
        Ok(Logon {
            session: Box::new(CannedSession {
                database: self.clone(),
                call: Arc::default(),
            }),
            sid: 287,
            serial: 62_507,
            instance_name: "canned".into(),
            db_name: "CANNED".into(),
            db_unique_name: "CANNED".into(),
            service_name: "canned".into(),
            version: [19, 3, 0, 0, 0],
            banner: "Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production".into(),
            warning: (user == "EXPIRING").then_some(expires),
        })
    }

    fn on_accept(&self, _: SocketAddr) -> OnAccept {
        OnAccept::Serve
    }
}

#[derive(Default)]
struct Call {
    interrupted: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt for Call {
    fn break_call(&self) {
        *self.interrupted.lock().expect("no panic while waiting") = true;
        self.changed.notify_all();
    }
}

struct CannedSession {
    database: Canned,
    call: Arc<Call>,
}

struct Counted {
    left: i64,
    fails_at_end: bool,
}

impl Rows for Counted {
    fn next_row(&mut self) -> Result<Option<Vec<Value>>, OraError> {
        if self.left == 0 {
            return if self.fails_at_end {
                Err(error(1555, "snapshot too old", Then::Continue))
            } else {
                Ok(None)
            };
        }
        self.left -= 1;
        Ok(Some(vec![Value::Int(self.left), Value::Text(Arc::from("name"))]))
    }
}

struct Listed(std::vec::IntoIter<Vec<Value>>);

impl Rows for Listed {
    fn next_row(&mut self) -> Result<Option<Vec<Value>>, OraError> {
        Ok(self.0.next())
    }
}

pub(crate) fn moment() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 11, 22)
        .and_then(|day| day.and_hms_opt(10, 0, 5))
        .expect("a moment")
}

fn query(kinds: &[ColumnType], rows: impl Rows + 'static) -> Reply {
    let columns: Vec<Column> = kinds
        .iter()
        .enumerate()
        .map(|(at, kind)| Column {
            name: format!("C{at}"),
            kind: *kind,
            nullable: true,
        })
        .collect();
    Reply::Query {
        columns: columns.into(),
        rows: Some(Box::new(rows)),
    }
}

/// Values that a V$ view may hold and a careless reader would stumble over.
fn odd_values() -> Reply {
    let kinds = [
        ColumnType::Varchar2(64),
        ColumnType::Number,
        ColumnType::Number,
        ColumnType::Number,
        ColumnType::Date,
        ColumnType::Varchar2(10),
        ColumnType::Number,
        ColumnType::Timestamp(6),
        ColumnType::Varchar2(64),
    ];
    let row = vec![
        Value::Text(Arc::from("DOMÄNE\\WEB01\0")),
        Value::Decimal(Arc::from("18446744073709551615")),
        Value::Decimal(Arc::from("-12.75")),
        Value::Int(9_007_199_254_740_993),
        Value::Date(moment()),
        Value::Null,
        Value::Null,
        Value::Date(moment()),
        Value::Text(Arc::from("trailing blanks  ")),
    ];
    query(&kinds, Listed(vec![row].into_iter()))
}

/// The block: its first bind is the statement, and what it answers is told by that.
fn block(binds: &[Bind]) -> Result<Reply, OraError> {
    let Value::Text(statement) = &binds[0].value else {
        panic!("the statement is a text: {binds:?}");
    };
    let (code, text) = match &**statement {
        "marked" => (-31, Some("ORA-00031: session marked for kill")),
        "gone" => (
            -604,
            Some("ORA-00604: error at recursive SQL level 1\nORA-00030: User session ID does not exist."),
        ),
        "killed meanwhile" => return Err(error(28, "your session has been killed", Then::SessionGone)),
        "fine" => (0, None),
        other => panic!("no answer is canned for {other}"),
    };
    Ok(Reply::Done {
        kind: StatementKind::PlSql,
        affected: vec![0],
        out: vec![
            None,
            Some(Value::Int(code)),
            Some(text.map_or(Value::Null, |text| Value::Text(Arc::from(text)))),
        ],
    })
}

impl Session for CannedSession {
    fn execute(&mut self, statement: &Statement<'_>) -> Result<Reply, OraError> {
        let rows = [ColumnType::Number, ColumnType::Varchar2(30)];
        let sql = statement.sql;
        if sql.contains("EXECUTE IMMEDIATE :1") {
            return block(&statement.binds[0]);
        }
        match sql {
            "SELECT odd FROM values" => Ok(odd_values()),
            "SELECT raw FROM values" => {
                let row = vec![Value::Raw(Arc::from(&[1_u8, 2][..]))];
                Ok(query(&[ColumnType::Raw(8)], Listed(vec![row].into_iter())))
            }
            "SELECT :1, :2, :3 FROM binds" => {
                let row: Vec<Value> = statement.binds[0].iter().map(|bind| bind.value.clone()).collect();
                let kinds = [ColumnType::Number, ColumnType::Varchar2(30), ColumnType::Date];
                Ok(query(&kinds, Listed(vec![row].into_iter())))
            }
            "SELECT n, name FROM torn" => Ok(query(
                &rows,
                Counted {
                    left: 1500,
                    fails_at_end: true,
                },
            )),
            "SELECT n FROM nowhere" => Err(error(942, "table or view does not exist", Then::Continue)),
            "SELECT n FROM parallel" => Err(OraError {
                message: "ORA-12801: error signaled in parallel query server PZ99, instance db2 (2)\n\
                          ORA-03113: end-of-file on communication channel"
                    .into(),
                ..error(12_801, "", Then::Continue)
            }),
            "SELECT n FROM killed" => Err(error(28, "your session has been killed", Then::SessionGone)),
            "SELECT n FROM cut" => Err(error(3113, "", Then::Cut)),
            "SELECT n FROM abyss" => Err(error(0, "", Then::Hang)),
            "SELECT n FROM slow" => {
                let interrupted = self.call.interrupted.lock().expect("no panic while waiting");
                let (mut interrupted, _) = self
                    .call
                    .changed
                    .wait_timeout_while(interrupted, Duration::from_secs(30), |interrupted| !*interrupted)
                    .expect("no panic while waiting");
                *interrupted = false;
                Err(error(
                    1013,
                    "user requested cancel of current operation",
                    Then::Continue,
                ))
            }
            other => {
                let left = other
                    .strip_prefix("SELECT n, name FROM rows_")
                    .and_then(|count| count.parse().ok())
                    .unwrap_or_else(|| panic!("no answer is canned for {other}"));
                Ok(query(
                    &rows,
                    Counted {
                        left,
                        fails_at_end: false,
                    },
                ))
            }
        }
    }

    fn fetching(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn answered(&mut self) {}

    fn ping(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn in_transaction(&self) -> bool {
        false
    }

    fn logoff(&mut self) {
        self.database.note("logoff".into());
    }

    fn set_end_to_end(&mut self, changes: EndToEnd) {
        for (name, value) in [("module", changes.module), ("action", changes.action)] {
            if let Some(value) = value {
                self.database.note(format!("{name} {value}"));
            }
        }
    }

    fn set_current_schema(&mut self, _: &str) {}

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.call) as Arc<dyn Interrupt>
    }
}
