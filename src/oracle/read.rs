//! Reads one snapshot: a series of plain queries, joined in the daemon.
//!
//! GV$INSTANCE is read before and after GV$SESSION. GV$ views omit the rows of an instance that is down, joining or not
//! answering, without an error. So an instance counts as read only if it was open both times, was not restarted in between, and
//! showed at least one session (its background processes are always there). What is not read is unknown, never gone.
//!
//! An error on GV$SESSION, or one that may leave any view incomplete, means that there is no snapshot. A view that does not
//! exist or is not granted is left out: its columns are unknown, which spares.

mod other_views;
mod seen;
mod selected;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::columns_needed::ALWAYS;
use crate::decide::protect::is_unnamed_server_process;
use crate::oracle::access::Unreadable;
use crate::oracle::capabilities::{Capabilities, Container, dates_fault};
use crate::oracle::deadline::Deadline;
use crate::oracle::error::{Class, Error};
use crate::oracle::probe::{id, number, text, texts_as_bytes, time};
use crate::oracle::read::seen::SeenRows;
use crate::oracle::sql::{self, Scope};
use crate::oracle::{Cell, Connection, Query, TextForm, collect, reading, text_form};
use crate::quantity::Elapsed;
use crate::rows_needed::{RowsNeeded, WantedRows};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::snapshot::{Instance, Joining, MAX_ROWS, Snapshot, SnapshotClock, SnapshotSource, TooManySessions};
use crate::session::time::DbTime;

/// More instances than any cluster has.
const MAX_INSTANCES: usize = 1000;

/// A snapshot with what could not be read for it.
#[derive(Debug)]
pub(crate) struct TakenSnapshot {
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    /// Views that could not be read: their columns are missing.
    pub(crate) unreadable: Vec<Unreadable>,
    /// Why ages that are differences of DATEs are unknown, if they are.
    pub(crate) dates_fault: Option<String>,
}

/// Reads a snapshot of all sessions, or of one SID, within the limit. `wanted` are the columns that policies use; those that
/// every snapshot has are added.
///
/// One SID is read with every column that the release has. If `wanted` includes who blocks others, all sessions are read
/// nevertheless, because one session does not show that. If only a text of that session makes it fail, perhaps in a column that
/// no snapshot of all sessions has, it is read again at once with texts as bytes.
///
/// # Errors
/// When the answer is not complete. [`Class::Unsupported`] means that the capabilities are out of date.
pub(crate) fn read_snapshot(
    connection: &mut dyn Connection,
    wanted: Columns,
    capabilities: &Capabilities,
    scope: Scope,
    limit: Duration,
) -> Result<TakenSnapshot, Error> {
    read_snapshot_telling(connection, wanted, capabilities, (scope, limit), &mut || ())
}

/// Likewise, calling `clock_came` when the answer with the database's clock is there, which was read after this began and before that.
///
/// # Errors
/// As there.
pub(crate) fn read_snapshot_telling(
    connection: &mut dyn Connection,
    wanted: Columns,
    capabilities: &Capabilities,
    (scope, limit): (Scope, Duration),
    clock_came: &mut dyn FnMut(),
) -> Result<TakenSnapshot, Error> {
    let deadline = Deadline::begin(limit);
    let all = SnapshotScope {
        scope,
        rows: None,
        limit,
    };
    match read_once(connection, wanted, capabilities, all, clock_came) {
        Err(error)
            if error.is_of_a_text()
                && scope != Scope::All
                && capabilities.texts == TextForm::Text
                && !connection.is_lost() =>
        {
            let left = deadline.left().ok_or(error)?;
            let as_bytes = texts_as_bytes(connection, capabilities, left)?;
            read_once(
                connection,
                wanted,
                &as_bytes,
                SnapshotScope { limit: left, ..all },
                clock_came,
            )
        }
        answer => answer,
    }
}

/// Reads a snapshot of the sessions that are needed, and the number of all; or all sessions, where that is less work.
///
/// # Errors
/// As [`read_snapshot`].
pub(crate) fn read_selected(
    connection: &mut dyn Connection,
    columns: Columns,
    capabilities: &Capabilities,
    (rows, limit): ((&RowsNeeded, &WantedRows), Duration),
    clock_came: &mut dyn FnMut(),
) -> Result<TakenSnapshot, Error> {
    let part = SnapshotScope {
        scope: Scope::All,
        rows: Some(rows),
        limit,
    };
    read_once(connection, columns, capabilities, part, clock_came)
}

/// What is read, and within which limit.
#[derive(Clone, Copy)]
struct SnapshotScope<'a> {
    scope: Scope,
    /// Of all sessions the part that is enough.
    rows: Option<(&'a RowsNeeded, &'a WantedRows)>,
    limit: Duration,
}

fn read_once(
    connection: &mut dyn Connection,
    wanted: Columns,
    capabilities: &Capabilities,
    SnapshotScope { scope, rows, limit }: SnapshotScope<'_>,
    clock_came: &mut dyn FnMut(),
) -> Result<TakenSnapshot, Error> {
    let wanted = wanted.union(ALWAYS.into_iter().collect());
    let (scope, wanted) = match scope {
        Scope::One { .. } if wanted.needs(Source::Waiters) => (Scope::All, wanted),
        Scope::One { .. } => (scope, wanted.union(capabilities.columns)),
        Scope::All => (scope, wanted),
    };
    let mut reader = SnapshotReader::new(connection, capabilities, scope, limit);
    let before = reader.instances()?;
    clock_came();
    let clock = clock_of(&before);
    let inputs = Snapshot::inputs(wanted);
    let selected = match rows {
        Some(rows) => reader.selected_sessions(inputs, rows, clock)?,
        None => None,
    };
    let (builder, selected) = match selected {
        Some((builder, selected)) => (builder, Some(selected)),
        None => (reader.sessions(inputs)?, None),
    };
    let after = if capabilities.cluster {
        reader.instances()?
    } else {
        before.clone()
    };
    let seen = match scope {
        Scope::All => None,
        Scope::One { inst_id, .. } if builder.rows() == 0 => Some((inst_id, reader.answers(inst_id)?)),
        Scope::One { inst_id, .. } => Some((inst_id, true)),
    };
    let joining = {
        let ids = builder.instances_seen.clone();
        let is_seen = |inst_id: u32| match seen {
            None => ids.contains(&inst_id),
            Some((of_seat, answers)) => inst_id != of_seat || answers,
        };
        let mut instances = agreed(&before, &after, is_seen);
        if scope == Scope::All {
            reader.leave_out_where_pdb_is_closed(&mut instances)?;
        }
        builder.rows.finish(clock, instances).with(selected)
    };
    let snapshot = reader.join(joining, wanted)?;
    Ok(TakenSnapshot {
        snapshot,
        unreadable: reader.unreadable,
        dates_fault: reader.dates_fault,
    })
}

/// Why DATEs cannot be compared, if so: found at the log-in of this connection, or from a session of any instance.
///
/// SYSDATE comes from the instance that answers, LOGON_TIME from the session's own, and a log-in measures one instance only.
/// That the clock of another instance differs shows in a session that logged on after SYSDATE, or in a parallel server of this
/// query that logged on before its coordinator. One such instance makes all ages unknown: otherwise a condition would apply
/// to some sessions only, while shares and groups count all. It is not documented that a parallel server logs on anew for
/// each query; if it does not, ages are unknown without need.
fn dates_fault_of(sessions: &Snapshot, capabilities: &Capabilities) -> Option<String> {
    const SLACK: i64 = 60;
    if let Some(fault) = &capabilities.dates_fault {
        return Some(fault.clone());
    }
    let now = sessions.clock()?.now.0;
    let own = capabilities.own;
    let servers: HashSet<(u32, u32)> = sessions
        .parallel_servers()
        .iter()
        .filter(|server| (server.coordinator_inst_id, server.coordinator_sid) == (own.inst_id, own.sid))
        .map(|server| (server.inst_id, server.sid))
        .collect();
    let counted = sessions.counted().unwrap_or_default().iter();
    let mut ahead = counted.filter(|alike| alike.last_logon.is_some_and(|logon| logon.0 > now + SLACK));
    let ahead = ahead.next().map(|alike| alike.inst_id);
    let elsewhere = ahead.or_else(|| {
        (0..sessions.rows()).find_map(|row| {
            let logon_time = sessions.number(row, Column::LogonTime)?;
            let seat = (sessions.id(row, Column::InstId)?, sessions.id(row, Column::Sid)?);
            let too_early = servers.contains(&seat) && logon_time < own.logon_time.0 - SLACK;
            (logon_time > now + SLACK || too_early).then_some(seat.0)
        })
    })?;
    Some(dates_fault(&format!(
        "SYSDATE does not agree with the LOGON_TIME of sessions on instance {elsewhere}"
    )))
}

/// How a session is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// SERVER.
    pub(crate) server: Option<String>,
    /// PADDR in hexadecimal.
    pub(crate) paddr: Option<String>,
}

/// How a session is served; `None` if it is gone.
///
/// # Errors
/// When the answer is not complete.
pub(crate) fn read_server(
    connection: &mut dyn Connection,
    of: SessionKey,
    limit: Duration,
) -> Result<Option<Served>, Error> {
    let query = sql::server_of(of.inst_id, of.sid, of.serial);
    let rows = collect(connection, &query, limit, MAX_ROWS, |row| {
        Some(Served {
            server: text(row, 0),
            paddr: text(row, 1),
        })
    })?;
    Ok(rows.into_iter().next())
}

/// The other sessions of a session's server process: SID and SERIAL#.
///
/// # Errors
/// When the answer is not complete.
pub(crate) fn read_same_process(
    connection: &mut dyn Connection,
    of: SessionKey,
    paddr: &str,
    limit: Duration,
) -> Result<Vec<(u32, u32)>, Error> {
    let query = sql::sessions_of_process(of.inst_id, paddr);
    let mut all = collect(connection, &query, limit, MAX_ROWS, |row| {
        Some((id(row, 0)?, id(row, 1)?))
    })?;
    all.retain(|seat| *seat != (of.sid, of.serial));
    Ok(all)
}

/// A row of GV$INSTANCE.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InstanceRow {
    inst_id: u32,
    name: String,
    open: bool,
    started: Option<DbTime>,
    now: Option<DbTime>,
    utc_offset: Option<i32>,
}

fn clock_of(rows: &[InstanceRow]) -> Option<SnapshotClock> {
    let row = rows.iter().find(|row| row.now.is_some())?;
    Some(SnapshotClock {
        now: row.now?,
        utc_offset: row.utc_offset.unwrap_or(0),
    })
}

/// The instances of both readings; one is complete if it did not change and showed sessions.
fn agreed(before: &[InstanceRow], after: &[InstanceRow], seen: impl Fn(u32) -> bool) -> Vec<Instance> {
    let mut instances: Vec<Instance> = before
        .iter()
        .map(|row| Instance {
            inst_id: row.inst_id,
            name: row.name.clone(),
            complete: row.open
                && seen(row.inst_id)
                && after
                    .iter()
                    .any(|later| later.inst_id == row.inst_id && later.open && later.started == row.started),
        })
        .collect();
    for row in after {
        if !before.iter().any(|earlier| earlier.inst_id == row.inst_id) {
            instances.push(Instance {
                inst_id: row.inst_id,
                name: row.name.clone(),
                complete: false,
            });
        }
    }
    instances.sort_by_key(|instance| instance.inst_id);
    instances
}

/// Seconds east of Greenwich in `+01:00`.
fn utc_offset(text: &str) -> Option<i32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let sign = if hours.starts_with('-') { -1 } else { 1 };
    let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok()?;
    let minutes: i32 = minutes.parse().ok()?;
    ((0..=15).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A reading in progress.
pub(super) struct SnapshotReader<'r> {
    connection: &'r mut dyn Connection,
    pub(super) capabilities: &'r Capabilities,
    scope: Scope,
    deadline: Deadline,
    pub(super) unreadable: Vec<Unreadable>,
    dates_fault: Option<String>,
}

/// The sessions that were read, with the instances that showed any.
struct SessionRows {
    rows: crate::session::snapshot::SnapshotBuilder,
    instances_seen: HashSet<u32>,
    /// Where only a part is read: what the rows show of other rows that are needed.
    seen: SeenRows,
}

impl SessionRows {
    /// No session yet.
    fn of(columns: &[Column]) -> SessionRows {
        SessionRows {
            rows: Snapshot::builder(SnapshotSource::Live, columns),
            instances_seen: HashSet::new(),
            seen: SeenRows::of(columns),
        }
    }

    fn rows(&self) -> usize {
        self.rows.rows()
    }
}

impl<'r> SnapshotReader<'r> {
    pub(super) fn new(
        connection: &'r mut dyn Connection,
        capabilities: &'r Capabilities,
        scope: Scope,
        limit: Duration,
    ) -> SnapshotReader<'r> {
        SnapshotReader {
            connection,
            capabilities,
            scope,
            deadline: Deadline::begin(limit),
            unreadable: Vec::new(),
            dates_fault: None,
        }
    }

    /// What is left of the limit for the next query.
    fn left(&self, query: &Query) -> Result<Duration, Error> {
        self.deadline.left().ok_or_else(|| {
            Error::new(
                Class::Cancelled,
                reading(query, &self.connection.identity().database),
                format!(
                    "the snapshot was not complete within {}",
                    Elapsed(self.deadline.limit())
                ),
            )
        })
    }

    fn rows<T>(&mut self, query: &Query, row: impl FnMut(&[Cell<'_>]) -> Option<T>) -> Result<Vec<T>, Error> {
        let left = self.left(query)?;
        collect(self.connection, query, left, MAX_ROWS, row)
    }

    /// The rows, or `None` if the view does not exist or is not granted; an answer that may be incomplete is an error.
    pub(super) fn rows_if_readable<T>(
        &mut self,
        query: &Query,
        row: impl FnMut(&[Cell<'_>]) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        match self.rows(query, row) {
            Ok(rows) => Ok(Some(rows)),
            Err(error) => match error.class {
                Class::Config | Class::Unsupported | Class::Bug => {
                    let grantee = self.capabilities.grantee();
                    self.unreadable.push(Unreadable::new(query.of, error, grantee));
                    Ok(None)
                }
                Class::Auth | Class::Backoff | Class::Reconnect | Class::Cancelled | Class::Partial => Err(error),
            },
        }
    }

    fn instances(&mut self) -> Result<Vec<InstanceRow>, Error> {
        let query = sql::instances();
        let left = self.left(&query)?;
        collect(self.connection, &query, left, MAX_INSTANCES, |row| {
            Some(InstanceRow {
                inst_id: id(row, 0)?,
                name: text(row, 1).unwrap_or_default(),
                open: text(row, 2).is_some_and(|status| status.starts_with("OPEN")),
                started: time(row, 3),
                now: time(row, 4),
                utc_offset: text(row, 5).and_then(|offset| utc_offset(&offset)),
            })
        })
    }

    fn sessions(&mut self, wanted: Columns) -> Result<SessionRows, Error> {
        let form = self.capabilities.texts;
        let (query, columns) = sql::sessions(wanted, self.capabilities.columns, self.scope, form);
        let mut rows = SessionRows::of(&columns);
        let inst_id_at = columns.iter().position(|column| *column == Column::InstId);
        self.fetch(&query, &columns, |row| {
            rows.instances_seen.extend(inst_id_at.and_then(|at| id(row, at)));
            rows.rows.push_row(row)
        })?;
        Ok(rows)
    }

    /// Adds the sessions of a query that are not there yet.
    fn fetch_sessions(&mut self, query: &Query, columns: &[Column], rows: &mut SessionRows) -> Result<(), Error> {
        let mut shown = HashSet::new();
        self.fetch(query, columns, |row| {
            shown.extend(rows.seen.instance(row));
            match rows.seen.note(row) {
                true => rows.rows.push_row(row),
                false => Ok(()),
            }
        })?;
        rows.seen.note_answers(shown);
        Ok(())
    }

    /// Hands on the rows of a query of GV$SESSION, texts as texts whatever form they come in.
    fn fetch(
        &mut self,
        query: &Query,
        columns: &[Column],
        mut take: impl FnMut(&[Cell<'_>]) -> Result<(), TooManySessions>,
    ) -> Result<(), Error> {
        let left = self.left(query)?;
        let form = self.capabilities.texts;
        let mut too_many = None;
        let is_text: Vec<bool> = columns
            .iter()
            .map(|column| column.kind() == Kind::Text && !column.is_raw())
            .collect();
        self.connection.query(query, left, &mut |row| {
            let taken = match form {
                TextForm::Text => take(row),
                TextForm::Bytes { utf8 } => {
                    let words = text_form::words_of(row, &is_text, utf8);
                    take(&text_form::with_words(row, &words))
                }
            };
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(TooManySessions) => {
                    too_many = Some(TooManySessions);
                    ControlFlow::Break(())
                }
            }
        })?;
        let Some(too_many) = too_many else { return Ok(()) };
        let tried = reading(query, &self.connection.identity().database);
        Err(Error::new(Class::Partial, tried, too_many.to_string()))
    }

    /// GV$INSTANCE shows all instances of the CDB. One on which this PDB is closed has no sessions of it and is left out, so that
    /// it does not count as silent. An instance that GV$PDBS does not show counts as silent.
    fn leave_out_where_pdb_is_closed(&mut self, instances: &mut Vec<Instance>) -> Result<(), Error> {
        let silent = instances.iter().any(|instance| !instance.complete);
        let (Container::Pdb, Some(con_id), true) = (self.capabilities.container(), self.capabilities.con_id, silent)
        else {
            return Ok(());
        };
        let rows = self.rows_if_readable(&sql::pdb_on_instances(con_id), |row| Some((id(row, 0)?, text(row, 1)?)))?;
        let closed: Vec<u32> = rows
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, open_mode)| open_mode == "MOUNTED")
            .map(|(inst_id, _)| inst_id)
            .collect();
        instances.retain(|instance| instance.complete || !closed.contains(&instance.inst_id));
        Ok(())
    }

    /// Whether an instance that did not show one SID shows any session at all.
    fn answers(&mut self, inst_id: u32) -> Result<bool, Error> {
        let counts = self.rows(&sql::sessions_of_instance(inst_id), |row| number(row, 0))?;
        Ok(counts.first().is_some_and(|count| *count > 0))
    }

    fn join(&mut self, mut joining: Joining, wanted: Columns) -> Result<Snapshot, Error> {
        if wanted.needs(Source::Transaction) {
            self.join_transactions(&mut joining)?;
        }
        let sessions = joining.sessions();
        let unnamed = sessions.has(Column::Paddr) && any_program(sessions, is_unnamed_server_process);
        if wanted.needs(Source::Process) || unnamed {
            self.join_processes(&mut joining)?;
        }
        if wanted.needs(Source::Temp) {
            self.join_temp(&mut joining)?;
        }
        if wanted.needs(Source::Statistics) {
            self.join_statistics(&mut joining)?;
        }
        if wanted.needs(Source::Container) && self.capabilities.con_id.is_some() {
            let names = self.rows_if_readable(&sql::containers(), |row| Some((id(row, 0)?, text(row, 1)?)))?;
            if let Some(names) = names {
                joining.join_containers(&names.into_iter().collect());
            }
        }
        if wanted.needs(Source::Account) {
            self.join_accounts(&mut joining)?;
        }
        self.join_parallel_servers(&mut joining, wanted)?;
        self.dates_fault = dates_fault_of(joining.sessions(), self.capabilities);
        if self.dates_fault.is_some() {
            joining.distrust_dates();
        }
        Ok(joining.finish(wanted))
    }
}

fn any_program(sessions: &Snapshot, is: impl Fn(&str) -> bool) -> bool {
    let programs = sessions.texts(Column::Program);
    programs.is_some_and(|programs| programs.judged(|program| program.is_some_and(&is)).contains(&true))
}

#[cfg(test)]
mod tests;
