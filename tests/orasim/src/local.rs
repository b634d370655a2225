//! A client in this process, without the wire protocol.

use std::sync::Arc;

use crate::backend::{
    Bind, Client, Column, ColumnType, ConnectTo, Database, Interrupt, OraError, Proof, Reply, Session, Statement, Value,
};
use crate::world::World;

/// A logged-in client in this process.
pub struct Local {
    session: Box<dyn Session>,
    /// Its instance.
    pub instance: u32,
    /// Its SID.
    pub sid: u32,
    /// Its SERIAL#.
    pub serial: u32,
}

/// A statement's answer, all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The result's columns; none for what is not a query.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Vec<Value>>,
    /// Rows changed.
    pub affected: u64,
    /// Values of OUT binds.
    pub out: Vec<Option<Value>>,
}

impl Local {
    /// Logs in as an account of the scenario; `to` names a service or an instance.
    pub fn connect(world: &Arc<World>, user: &str, to: &ConnectTo) -> Result<Self, OraError> {
        let client = Client {
            program: "orasim@localhost (local)".into(),
            machine: "localhost".into(),
            terminal: "pts/0".into(),
            process: "4242".into(),
            osuser: "dba".into(),
            ..Client::default()
        };
        Self::connect_as(world, user, to, client)
    }

    /// The same, as this client.
    pub fn connect_as(world: &Arc<World>, user: &str, to: &ConnectTo, client: Client) -> Result<Self, OraError> {
        let route = world.route(to)?;
        let logon = world.logon(route, user, Proof::Right, client, Arc::new(|| ()))?;
        Ok(Self {
            session: logon.session,
            instance: route & 0xffff,
            sid: logon.sid,
            serial: logon.serial,
        })
    }

    /// Runs a statement without binds and fetches all of its rows.
    pub fn run(&mut self, sql: &str) -> Result<Answer, OraError> {
        self.run_with(sql, &[])
    }

    /// Runs a statement with binds and fetches all of its rows.
    pub fn run_with(&mut self, sql: &str, binds: &[Value]) -> Result<Answer, OraError> {
        let binds: Vec<Bind> = binds
            .iter()
            .map(|value| Bind {
                value: value.clone(),
                kind: kind(value),
                left_out: false,
            })
            .collect();
        let binds = [binds];
        let rows = if binds[0].is_empty() { &[][..] } else { &binds[..] };
        let statement = Statement {
            sql,
            binds: rows,
            describe_only: false,
            commit: false,
            reexecution: false,
        };
        let answer = self.whole(&statement);
        self.session.answered();
        answer
    }

    fn whole(&mut self, statement: &Statement<'_>) -> Result<Answer, OraError> {
        match self.session.execute(statement)? {
            Reply::Query { columns, rows } => {
                let mut answer = Answer {
                    columns: columns.to_vec(),
                    ..Answer::default()
                };
                if let Some(mut rows) = rows {
                    while let Some(row) = rows.next_row()? {
                        answer.rows.push(row);
                    }
                }
                Ok(answer)
            }
            Reply::Done { affected, out, .. } => Ok(Answer {
                affected: affected.iter().sum(),
                out,
                ..Answer::default()
            }),
        }
    }

    /// The session itself.
    pub fn session(&mut self) -> &mut dyn Session {
        self.session.as_mut()
    }

    /// How another thread interrupts the call that runs.
    pub fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.session.interrupt()
    }
}

fn kind(value: &Value) -> ColumnType {
    match value {
        Value::Null | Value::Text(_) | Value::Bytes(_) => ColumnType::Varchar2(4000),
        Value::Int(_) | Value::Decimal(_) => ColumnType::Number,
        Value::Float(_) => ColumnType::BinaryDouble,
        Value::Date(_) => ColumnType::Date,
        Value::Raw(_) => ColumnType::Raw(2000),
    }
}

/// A value as a terminal shows it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) | Value::Decimal(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Date(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        Value::Raw(bytes) => crate::sql::types::hex(bytes),
    }
}
