//! Carrying out a call: from what the client asked to the session and back into an answer.

use super::bind::error;
use super::codec::Writer;
use super::connection::{Connection, Phase};
use super::cursor::Cursor;
use super::request::{Call, Notice, Unsupported};
use super::response::{self, CallEnd};
use super::statement::{Execute, Reexecute, Sort, option};
use crate::backend::{Bind, OraError, Reply, Session, Statement, StatementKind, Value};

/// The most rows and bytes in the answer to one call; a client that asked for more fetches again.
const BATCH_ROWS: u32 = 1_048_576;
const BATCH_BYTES: usize = 64 * 1024 * 1024;

/// A call that failed, and the cursor that its answer names.
pub(crate) struct Failure {
    /// Why.
    pub(crate) error: OraError,
    /// The cursor, 0 where there is none.
    pub(crate) cursor: u16,
}

impl From<OraError> for Failure {
    fn from(error: OraError) -> Self {
        Self { error, cursor: 0 }
    }
}

/// What an execution needs besides its cursor.
struct Run<'a> {
    values: &'a [Vec<Option<Vec<u8>>>],
    describe_only: bool,
    commit: bool,
    reexecution: bool,
    describe: bool,
    rows: Option<u32>,
    parameters: bool,
    row_counts: bool,
}

impl Connection {
    /// Takes a piggyback.
    pub(crate) fn take_notice(&mut self, notice: Notice) {
        let Phase::Session(session) = &mut self.phase else {
            return;
        };
        match notice {
            Notice::CloseCursors(cursors) => cursors.into_iter().for_each(|cursor| self.cursors.close(cursor)),
            Notice::CancelCursors(cursors) => {
                for id in cursors {
                    if let Some(cursor) = self.cursors.get_mut(id) {
                        cursor.rows = None;
                    }
                }
            }
            Notice::EndToEnd(changes) => session.set_end_to_end(changes),
            Notice::CurrentSchema(schema) => session.set_current_schema(&schema),
            Notice::Nothing => {}
        }
    }

    fn session(&mut self) -> Result<&mut dyn Session, OraError> {
        match &mut self.phase {
            Phase::Session(session) => Ok(session.as_mut()),
            Phase::Logon(_) | Phase::Gone => Err(error(1_012, "not logged on")),
        }
    }

    /// Carries out a call and writes its answer.
    pub(crate) fn carry_out(&mut self, call: Call, answer: &mut Writer) -> Result<(), Failure> {
        match call {
            Call::Execute(execute) => return self.execute(*execute, answer),
            Call::Reexecute(reexecute) => return self.reexecute(&reexecute, answer),
            Call::Fetch { cursor, rows } => return self.fetch(cursor, rows, answer),
            Call::Lob(call) => {
                self.session()?;
                self.lobs.carry_out(&call, answer)?;
                response::call_end(answer, self.call_end());
                return Ok(());
            }
            Call::Ping => self.session()?.ping()?,
            Call::Commit => self.session()?.commit()?,
            Call::Rollback => self.session()?.rollback()?,
            Call::Logoff => self.session()?.logoff(),
            Call::Version => {
                let (banner, number) = &self.release;
                answer.u8(8);
                answer.ub(banner.len() as u64);
                answer.text(banner);
                answer.ub(*number);
            }
            Call::SessionKey(_) | Call::Authenticate(_) => {
                return Err(error(3_001, "not simulated: a second login on a connection").into());
            }
            Call::Unsupported(what) => return Err(unsupported(&what).into()),
        }
        response::status(answer, self.in_transaction());
        Ok(())
    }

    fn execute(&mut self, execute: Execute, answer: &mut Writer) -> Result<(), Failure> {
        let parse = execute.options & option::PARSE != 0 && execute.sql.is_some();
        let id = match execute.sql.as_deref().filter(|_| parse) {
            Some(sql) => {
                self.shared.counters.parse();
                let opened = self.cursors.open(execute.cursor, Cursor::new(sql));
                opened.ok_or_else(|| error(1_000, "maximum open cursors exceeded"))?
            }
            None => execute.cursor,
        };
        let cursor = self.cursors.get_mut(id).ok_or_else(|| error(1_001, "invalid cursor"))?;
        if let Some(declared) = execute.declared {
            cursor.declared = declared;
        }
        if execute.options & option::DEFINE != 0 {
            cursor.defines = execute.defines;
        }
        let executes = execute.options & option::EXECUTE != 0;
        let rows = (execute.options & option::FETCH != 0).then_some(execute.rows);
        if executes || parse {
            let run = Run {
                values: &execute.values,
                describe_only: !executes,
                commit: execute.options & option::COMMIT != 0,
                reexecution: !parse,
                describe: parse || execute.options & option::DESCRIBE != 0,
                rows,
                parameters: true,
                row_counts: execute.row_counts,
            };
            let result = self.run_statement(id, &run, answer);
            if parse && result.is_err() {
                // A statement that failed with its parse leaves no cursor behind: it is parsed again next time.
                self.cursors.close(id);
                return result.map_err(|failure| Failure { cursor: 0, ..failure });
            }
            return result;
        }
        self.rows(id, rows.unwrap_or(0), true, true, answer)
    }

    fn reexecute(&mut self, reexecute: &Reexecute, answer: &mut Writer) -> Result<(), Failure> {
        let run = Run {
            values: &reexecute.values,
            describe_only: false,
            commit: reexecute.commit,
            reexecution: true,
            describe: false,
            rows: reexecute.rows,
            parameters: false,
            row_counts: false,
        };
        self.run_statement(reexecute.cursor, &run, answer)
    }

    /// Runs a cursor's statement.
    fn run_statement(&mut self, id: u16, run: &Run<'_>, answer: &mut Writer) -> Result<(), Failure> {
        let failed = |error| Failure { error, cursor: id };
        let Phase::Session(session) = &mut self.phase else {
            return Err(error(1_012, "not logged on").into());
        };
        let cursor = self.cursors.get_mut(id).ok_or_else(|| error(1_001, "invalid cursor"))?;
        cursor.rows = None;
        cursor.fetched = 0;
        let mut binds = Vec::new();
        for row in run.values {
            let pairs = row.iter().zip(&cursor.declared);
            let row: Result<Vec<Bind>, OraError> = pairs
                .map(|(value, declaration)| {
                    let kind = declaration
                        .column_type()
                        .ok_or_else(|| error(932, "inconsistent datatypes"))?;
                    Ok(Bind {
                        value: declaration.value(value.as_deref())?,
                        kind,
                        left_out: declaration.is_left_out(),
                    })
                })
                .collect();
            binds.push(row.map_err(failed)?);
        }
        self.shared.counters.execution();
        let statement = Statement {
            sql: &cursor.sql,
            binds: &binds,
            describe_only: run.describe_only,
            commit: run.commit,
            reexecution: run.reexecution,
        };
        match session.execute(&statement).map_err(failed)? {
            Reply::Query { columns, rows } => {
                // Binds of other types, or a table that has changed, make other columns of the same statement.
                let known = cursor.columns.as_ref().is_some_and(|known| *known == columns);
                if run.describe || !known {
                    response::describe(answer, &columns);
                }
                cursor.columns = Some(columns);
                cursor.rows = rows;
                let asked = run.rows.filter(|_| cursor.prefetches()).unwrap_or(0);
                self.rows(id, asked, true, run.parameters, answer)
            }
            Reply::Done { kind, affected, out } => {
                if cursor.sort == Sort::PlSql && !cursor.declared.is_empty() && !run.describe_only {
                    self.out_binds(id, &out, answer).map_err(failed)?;
                }
                if run.parameters {
                    response::parameters(answer, run.row_counts.then_some(affected.as_slice()));
                }
                let end = CallEnd {
                    rows: affected.iter().sum(),
                    cursor: id,
                    statement: response::statement_number(kind),
                    ..self.call_end()
                };
                response::call_end(answer, end);
                Ok(())
            }
        }
    }

    fn out_binds(&self, id: u16, out: &[Option<Value>], answer: &mut Writer) -> Result<(), OraError> {
        let declared = self
            .cursors
            .get(id)
            .map(|cursor| cursor.declared.as_slice())
            .unwrap_or_default();
        response::out_binds(answer, declared, out)
    }

    fn fetch(&mut self, id: u16, asked: u32, answer: &mut Writer) -> Result<(), Failure> {
        self.shared.counters.fetch();
        self.session()?
            .fetching()
            .map_err(|error| Failure { error, cursor: id })?;
        self.rows(id, asked, false, false, answer)
    }

    /// Writes up to so many of a cursor's rows, and the end of the call.
    fn rows(
        &mut self,
        id: u16,
        asked: u32,
        after_execute: bool,
        parameters: bool,
        answer: &mut Writer,
    ) -> Result<(), Failure> {
        let failed = |error| Failure { error, cursor: id };
        let cursor = self.cursors.get_mut(id).ok_or_else(|| error(1_001, "invalid cursor"))?;
        let defines = cursor.defines.as_deref();
        let lobs = &mut self.lobs;
        let mut at_end = false;
        if asked > 0 {
            let columns = cursor.columns.clone().unwrap_or_default();
            match &mut cursor.rows {
                Some(rows) => {
                    let limit = answer.len() + BATCH_BYTES;
                    response::row_header(answer, after_execute, columns.len(), asked);
                    let mut sent = 0;
                    while sent < asked.min(BATCH_ROWS) && answer.len() < limit {
                        let row = rows.next_row().and_then(|row| match row {
                            Some(values) => response::row(answer, &columns, defines, lobs, &values).map(|()| true),
                            None => Ok(false),
                        });
                        match row {
                            Ok(true) => sent += 1,
                            Ok(false) => {
                                at_end = true;
                                break;
                            }
                            Err(error) => {
                                cursor.rows = None;
                                return Err(failed(error));
                            }
                        }
                    }
                    cursor.fetched += u64::from(sent);
                }
                None => at_end = true,
            }
            if at_end {
                cursor.rows = None;
            }
        }
        if parameters {
            response::parameters(answer, None);
        }
        let rows = cursor.fetched;
        let end = CallEnd {
            rows,
            cursor: id,
            statement: response::statement_number(StatementKind::Select),
            at_end,
            ..self.call_end()
        };
        response::call_end(answer, end);
        Ok(())
    }
}

fn unsupported(what: &Unsupported) -> OraError {
    match what {
        Unsupported::Function(function) => error(
            3_001,
            &format!("not simulated: function 0x{function:02x} of the protocol"),
        ),
        Unsupported::Piggyback(function) => error(
            3_001,
            &format!("not simulated: piggyback 0x{function:02x} of the protocol"),
        ),
        Unsupported::BindType(kind) => error(932, &format!("inconsistent datatypes: a bind of type {kind}")),
        Unsupported::ArrayBind => error(3_001, "not simulated: PL/SQL table binds"),
        Unsupported::Lob(code) => error(3_001, &format!("not simulated: operation 0x{code:x} on a LOB")),
        Unsupported::Returning => error(3_001, "not simulated: RETURNING"),
        Unsupported::Cursor(_) => error(1_001, "invalid cursor"),
    }
}
