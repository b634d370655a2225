//! One complete look at all sessions of a database, held in columns.
//!
//! A snapshot is built row by row from GV$SESSION, then what other views say of the same sessions is joined to it here, in
//! the daemon: Oracle supports only simple queries on V$ views, gives no consistency between them, and joins of them have
//! bad plans. So references may dangle, and what dangles is unknown, never zero.
//!
//! "No value" has two forms. NULL is what the database answered. *Missing* is a column that was not read or that the
//! release lacks; a term over it is UNKNOWN even where it asks IS NULL, because nothing is known.

use std::collections::HashMap;

use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Source};
use crate::session::store::{Numbers, Texts, TextsBuilder};
use crate::session::time::DbTime;
use crate::session::waiters::{HeldUp, Wait, held_up};

/// More sessions than this in one snapshot are refused: Oracle's own limit on SESSIONS is 65,535 an instance.
pub const MAX_ROWS: usize = 1_000_000;

/// One value as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// For a [`crate::session::column::Kind::Text`] column.
    Text(&'a str),
    /// For a number, a duration (in the column's unit) or a size.
    Number(i64),
    /// For a point in time.
    Time(DbTime),
}

/// What one column of one session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// The column was not read, or the release lacks it.
    Missing,
    /// NULL.
    Null,
    /// A text.
    Text(&'a str),
    /// A number, a duration in the column's unit, a size, or a point in time.
    Number(i64),
}

/// Where a snapshot came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotSource {
    /// Read from the database just now.
    Live,
    /// Read from a file: nothing is ever done to its sessions.
    Saved,
}

/// An instance of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// GV$INSTANCE.INST_ID.
    pub inst_id: u32,
    /// GV$INSTANCE.INSTANCE_NAME.
    pub name: String,
    /// Whether its sessions were read. A missing instance's sessions are unknown: neither there nor gone.
    pub complete: bool,
}

/// The clock that came with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// SYSDATE.
    pub now: DbTime,
    /// Seconds east of Greenwich, from SYSTIMESTAMP.
    pub utc_offset: i32,
}

/// One row of GV$TRANSACTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRow {
    /// INST_ID.
    pub inst_id: u32,
    /// ADDR in hexadecimal, the session's TADDR.
    pub addr: String,
    /// START_DATE.
    pub started: Option<DbTime>,
    /// USED_UREC.
    pub undo_records: Option<i64>,
    /// USED_UBLK times the block size.
    pub undo_bytes: Option<i64>,
}

/// One row of GV$PROCESS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// INST_ID.
    pub inst_id: u32,
    /// ADDR in hexadecimal, the session's PADDR.
    pub addr: String,
    /// SPID.
    pub spid: Option<String>,
    /// PGA_ALLOC_MEM.
    pub pga: Option<i64>,
}

/// Temporary segments of one session, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TempRow {
    /// INST_ID.
    pub inst_id: u32,
    /// SESSION_ADDR in hexadecimal, the session's SADDR.
    pub saddr: String,
    /// Bytes.
    pub bytes: i64,
}

/// One session's statistics since its logon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsRow {
    /// INST_ID.
    pub inst_id: u32,
    /// SID.
    pub sid: u32,
    /// 'CPU used by this session', hundredths of a second.
    pub cpu: Option<i64>,
    /// 'session logical reads'.
    pub logical_reads: Option<i64>,
    /// 'physical reads'.
    pub physical_reads: Option<i64>,
    /// 'redo size'.
    pub redo: Option<i64>,
}

/// A row of GV$PX_SESSION that is a parallel server (its coordinator is another session).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParallelServer {
    /// INST_ID.
    pub inst_id: u32,
    /// SID.
    pub sid: u32,
    /// SERIAL#.
    pub serial: u32,
    /// QCINST_ID; the server's own instance where it is NULL.
    pub coordinator_inst_id: u32,
    /// QCSID.
    pub coordinator_sid: u32,
}

#[derive(Clone, Debug, Default)]
enum Data {
    #[default]
    Missing,
    Texts(Texts),
    Numbers(Numbers),
}

/// All sessions at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    rows: usize,
    source: SnapshotSource,
    clock: Option<Clock>,
    columns: Vec<Data>,
    instances: Vec<Instance>,
    parallel_servers: Vec<ParallelServer>,
}

impl Snapshot {
    /// Starts one whose rows have these columns, in this order.
    ///
    /// # Panics
    /// When a column is derived: those are computed, not read.
    #[must_use]
    pub fn builder(source: SnapshotSource, columns: &[Column]) -> SnapshotBuilder {
        assert!(
            columns.iter().all(|column| column.source() == Source::Session),
            "only GV$SESSION columns are read"
        );
        SnapshotBuilder {
            source,
            rows: 0,
            columns: columns
                .iter()
                .map(|column| match column.kind() {
                    crate::session::column::Kind::Text => (*column, Growing::Texts(TextsBuilder::default())),
                    crate::session::column::Kind::Number
                    | crate::session::column::Kind::Duration
                    | crate::session::column::Kind::Size
                    | crate::session::column::Kind::Time => (*column, Growing::Numbers(Numbers::default())),
                })
                .collect(),
        }
    }

    /// How many sessions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> SnapshotSource {
        self.source
    }

    /// The database's clock when it was taken; unknown in a saved snapshot that does not say.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.clock
    }

    /// The instances that were open.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// Whether the sessions of this instance were read.
    #[must_use]
    pub fn is_complete(&self, inst_id: u32) -> bool {
        self.instances
            .iter()
            .any(|instance| instance.inst_id == inst_id && instance.complete)
    }

    /// The parallel servers among the sessions.
    #[must_use]
    pub fn parallel_servers(&self) -> &[ParallelServer] {
        &self.parallel_servers
    }

    /// Whether the column was read or computed.
    #[must_use]
    pub fn has(&self, column: Column) -> bool {
        !matches!(self.columns[column as usize], Data::Missing)
    }

    /// A text column; `None` if it is missing or no text column.
    #[must_use]
    pub fn texts(&self, column: Column) -> Option<&Texts> {
        match &self.columns[column as usize] {
            Data::Texts(texts) => Some(texts),
            Data::Missing | Data::Numbers(_) => None,
        }
    }

    /// A column of numbers, durations, sizes or times; `None` if it is missing or a text column.
    #[must_use]
    pub fn numbers(&self, column: Column) -> Option<&Numbers> {
        match &self.columns[column as usize] {
            Data::Numbers(numbers) => Some(numbers),
            Data::Missing | Data::Texts(_) => None,
        }
    }

    /// One value.
    #[must_use]
    pub fn field(&self, row: usize, column: Column) -> Field<'_> {
        match &self.columns[column as usize] {
            Data::Missing => Field::Missing,
            Data::Texts(texts) => texts.get(row).map_or(Field::Null, Field::Text),
            Data::Numbers(numbers) => numbers.get(row).map_or(Field::Null, Field::Number),
        }
    }

    /// A text, `None` where it is NULL or missing.
    #[must_use]
    pub fn text(&self, row: usize, column: Column) -> Option<&str> {
        self.texts(column)?.get(row)
    }

    /// A number, `None` where it is NULL or missing.
    #[must_use]
    pub fn number(&self, row: usize, column: Column) -> Option<i64> {
        self.numbers(column)?.get(row)
    }

    /// A small unsigned number, `None` where it is NULL, missing or out of range.
    #[must_use]
    pub fn id(&self, row: usize, column: Column) -> Option<u32> {
        u32::try_from(self.number(row, column)?).ok()
    }

    /// The session's whole key; `None` if any part of it is unknown.
    #[must_use]
    pub fn key(&self, row: usize) -> Option<SessionKey> {
        Some(SessionKey {
            inst_id: self.id(row, Column::InstId)?,
            sid: self.id(row, Column::Sid)?,
            serial: self.id(row, Column::Serial)?,
            logon_time: DbTime(self.number(row, Column::LogonTime)?),
        })
    }

    /// The row of a session.
    #[must_use]
    pub fn find(&self, key: SessionKey) -> Option<usize> {
        (0..self.rows).find(|row| self.key(*row) == Some(key))
    }

    /// The same moment with one session alone: all its values, derived ones included, and nothing of the others.
    #[must_use]
    pub fn only(&self, row: usize) -> Snapshot {
        let columns = self.columns.iter().map(|data| match data {
            Data::Missing => Data::Missing,
            Data::Texts(texts) => {
                let mut one = TextsBuilder::default();
                one.push(texts.get(row));
                Data::Texts(one.finish())
            }
            Data::Numbers(numbers) => {
                let mut one = Numbers::default();
                one.push(numbers.get(row));
                Data::Numbers(one)
            }
        });
        Snapshot {
            rows: 1,
            source: self.source,
            clock: self.clock,
            columns: columns.collect(),
            instances: self.instances.clone(),
            parallel_servers: self.parallel_servers.clone(),
        }
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns
            .iter()
            .map(|data| match data {
                Data::Missing => 0,
                Data::Texts(texts) => texts.bytes(),
                Data::Numbers(numbers) => numbers.bytes(),
            })
            .sum::<usize>()
            + size_of::<Snapshot>()
            + Column::COUNT * size_of::<Data>()
    }

    /// The columns that have to be read so that all of `wanted` can be known: the GV$SESSION columns themselves and those
    /// that the derived ones are made of.
    #[must_use]
    pub fn inputs(wanted: Columns) -> Columns {
        let mut inputs = Columns::NONE;
        for column in wanted.iter() {
            inputs = inputs.union(input_columns(column).iter().copied().collect());
        }
        inputs
    }
}

/// What a column is made of; itself for a column of GV$SESSION.
fn input_columns(column: Column) -> &'static [Column] {
    const WAITS: &[Column] = &[Column::WaitTimeMicro, Column::State];
    match column.source() {
        Source::Session => std::slice::from_ref(&Column::ALL[column as usize]),
        Source::Transaction => &[Column::Taddr],
        Source::Process => &[Column::Paddr],
        Source::Temp => &[Column::Saddr],
        Source::Statistics => &[Column::Sid],
        Source::Container => &[Column::ConId],
        Source::Waiters => &[
            Column::BlockingSessionStatus,
            Column::BlockingInstance,
            Column::BlockingSession,
            Column::WaitTimeMicro,
            Column::State,
        ],
        Source::Derived if column == Column::StatementAge => &[Column::Status, Column::SqlExecStart],
        Source::Derived if column == Column::Connected => &[Column::LogonTime],
        Source::Derived if column == Column::Waited => WAITS,
        Source::Derived => &[Column::Status, Column::LastCallEt],
    }
}

#[derive(Debug)]
enum Growing {
    Texts(TextsBuilder),
    Numbers(Numbers),
}

/// Takes the rows of GV$SESSION.
#[derive(Debug)]
pub struct SnapshotBuilder {
    source: SnapshotSource,
    rows: usize,
    columns: Vec<(Column, Growing)>,
}

impl SnapshotBuilder {
    /// Adds a session. A cell of another kind than its column is NULL: it is not known what it means.
    ///
    /// # Errors
    /// When there are already [`MAX_ROWS`].
    ///
    /// # Panics
    /// When the row has not as many cells as the snapshot has columns.
    pub fn push_row(&mut self, cells: &[Cell<'_>]) -> Result<(), TooManySessions> {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        if self.rows == MAX_ROWS {
            return Err(TooManySessions);
        }
        for ((_, growing), cell) in self.columns.iter_mut().zip(cells) {
            match (growing, cell) {
                // Old Windows clients send MACHINE with a trailing NUL.
                (Growing::Texts(texts), Cell::Text(text)) => texts.push(Some(text.trim_end_matches('\0'))),
                (Growing::Texts(texts), Cell::Null | Cell::Number(_) | Cell::Time(_)) => texts.push(None),
                (Growing::Numbers(numbers), Cell::Number(value) | Cell::Time(DbTime(value))) => {
                    numbers.push(Some(*value));
                }
                (Growing::Numbers(numbers), Cell::Null | Cell::Text(_)) => numbers.push(None),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// How many sessions there are so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Ends the reading of GV$SESSION; what other views say can be joined now.
    #[must_use]
    pub fn finish(self, clock: Option<Clock>, instances: Vec<Instance>) -> Joining {
        let mut columns: Vec<Data> = Vec::new();
        columns.resize_with(Column::COUNT, Data::default);
        for (column, growing) in self.columns {
            columns[column as usize] = match growing {
                Growing::Texts(texts) => Data::Texts(texts.finish()),
                Growing::Numbers(mut numbers) => {
                    numbers.shrink();
                    Data::Numbers(numbers)
                }
            };
        }
        Joining {
            snapshot: Snapshot {
                rows: self.rows,
                source: self.source,
                clock,
                columns,
                instances,
                parallel_servers: Vec::new(),
            },
        }
    }
}

/// A database answered more sessions than [`MAX_ROWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_ROWS} sessions in one snapshot, more than any database has")]
pub struct TooManySessions;

/// Joins what the other views say, each at most once, then ends in the snapshot.
#[derive(Debug)]
pub struct Joining {
    snapshot: Snapshot,
}

impl Joining {
    /// The sessions so far, to see which other views are worth reading.
    #[must_use]
    pub fn sessions(&self) -> &Snapshot {
        &self.snapshot
    }

    fn compute(&self, value: impl Fn(&Snapshot, usize) -> Option<i64>) -> Data {
        let mut numbers = Numbers::default();
        for row in 0..self.snapshot.rows {
            numbers.push(value(&self.snapshot, row));
        }
        numbers.shrink();
        Data::Numbers(numbers)
    }

    fn set(&mut self, column: Column, data: Data) {
        self.snapshot.columns[column as usize] = data;
    }

    /// GV$TRANSACTION. A session whose TADDR is in no row has a transaction of unknown age and size.
    pub fn join_transactions(&mut self, rows: &[TransactionRow]) {
        if !self.snapshot.has(Column::Taddr) {
            return;
        }
        let by_address: HashMap<(u32, &str), &TransactionRow> =
            rows.iter().map(|row| ((row.inst_id, row.addr.as_str()), row)).collect();
        let find = |snapshot: &Snapshot, row: usize| {
            let taddr = snapshot.text(row, Column::Taddr)?;
            by_address.get(&(snapshot.id(row, Column::InstId)?, taddr)).copied()
        };
        let now = self.snapshot.clock.map(|clock| clock.now);
        let age = self.compute(|snapshot, row| Some(now?.since(find(snapshot, row)?.started?)));
        let records = self.compute(|snapshot, row| find(snapshot, row)?.undo_records);
        let bytes = self.compute(|snapshot, row| find(snapshot, row)?.undo_bytes);
        self.set(Column::TransactionAge, age);
        self.set(Column::UndoRecords, records);
        self.set(Column::Undo, bytes);
    }

    /// GV$PROCESS. A killed session's PADDR may match no row.
    pub fn join_processes(&mut self, rows: &[ProcessRow]) {
        let by_address: HashMap<(u32, &str), &ProcessRow> =
            rows.iter().map(|row| ((row.inst_id, row.addr.as_str()), row)).collect();
        let find = |snapshot: &Snapshot, row: usize| {
            by_address
                .get(&(snapshot.id(row, Column::InstId)?, snapshot.text(row, Column::Paddr)?))
                .copied()
        };
        let pga = self.compute(|snapshot, row| find(snapshot, row)?.pga);
        let mut spid = TextsBuilder::default();
        for row in 0..self.snapshot.rows {
            spid.push(find(&self.snapshot, row).and_then(|process| process.spid.as_deref()));
        }
        self.set(Column::Pga, pga);
        self.set(Column::Spid, Data::Texts(spid.finish()));
    }

    /// GV$SORT_USAGE. A session without a row has no temporary segment.
    pub fn join_temp(&mut self, rows: &[TempRow]) {
        let mut by_address: HashMap<(u32, &str), i64> = HashMap::new();
        for row in rows {
            let bytes = by_address.entry((row.inst_id, row.saddr.as_str())).or_default();
            *bytes = bytes.saturating_add(row.bytes);
        }
        let temp = self.compute(|snapshot, row| {
            let key = (snapshot.id(row, Column::InstId)?, snapshot.text(row, Column::Saddr)?);
            Some(by_address.get(&key).copied().unwrap_or(0))
        });
        self.set(Column::Temp, temp);
    }

    /// GV$SESSTAT.
    pub fn join_statistics(&mut self, rows: &[StatisticsRow]) {
        let by_sid: HashMap<(u32, u32), &StatisticsRow> =
            rows.iter().map(|row| ((row.inst_id, row.sid), row)).collect();
        let find = |snapshot: &Snapshot, row: usize| {
            by_sid
                .get(&(snapshot.id(row, Column::InstId)?, snapshot.id(row, Column::Sid)?))
                .copied()
        };
        type Statistic = fn(&StatisticsRow) -> Option<i64>;
        let columns: [(Column, Statistic); 4] = [
            (Column::Cpu, |row| row.cpu),
            (Column::LogicalReads, |row| row.logical_reads),
            (Column::PhysicalReads, |row| row.physical_reads),
            (Column::Redo, |row| row.redo),
        ];
        for (column, value) in columns {
            let data = self.compute(|snapshot, row| value(find(snapshot, row)?));
            self.set(column, data);
        }
    }

    /// V$CONTAINERS, by CON_ID.
    pub fn join_containers(&mut self, names: &HashMap<u32, String>) {
        let mut container = TextsBuilder::default();
        for row in 0..self.snapshot.rows {
            let name = self
                .snapshot
                .id(row, Column::ConId)
                .and_then(|con_id| names.get(&con_id));
            container.push(name.map(String::as_str));
        }
        self.set(Column::Container, Data::Texts(container.finish()));
    }

    /// GV$PX_SESSION.
    pub fn join_parallel_servers(&mut self, rows: Vec<ParallelServer>) {
        self.snapshot.parallel_servers = rows;
    }

    /// Computes the derived columns among `wanted` and ends.
    #[must_use]
    pub fn finish(mut self, wanted: Columns) -> Snapshot {
        let now = self.snapshot.clock.map(|clock| clock.now);
        for column in wanted.iter().filter(|column| column.source() == Source::Derived) {
            if !input_columns(column).iter().all(|input| self.snapshot.has(*input)) {
                continue;
            }
            let data = self.compute(|snapshot, row| derived(snapshot, row, column, now));
            self.set(column, data);
        }
        if wanted.needs(Source::Waiters) {
            self.join_waiters();
        }
        self.snapshot
    }

    /// Who holds up whom. With an instance unread, or with a waiter that does not say for whom it waits, "holds up nobody"
    /// would be a guess about anybody.
    fn join_waiters(&mut self) {
        let snapshot = &self.snapshot;
        let alone = snapshot.instances.len() <= 1;
        let waiting: Vec<usize> = (0..snapshot.rows)
            .filter(|row| snapshot.text(*row, Column::BlockingSessionStatus) == Some("VALID"))
            .collect();
        let blocker_seat = |waiter: usize| {
            // Without BLOCKING_INSTANCE, the SID may be anybody's on a database of several instances.
            let own = snapshot.id(waiter, Column::InstId).filter(|_| alone);
            let inst_id = snapshot.id(waiter, Column::BlockingInstance).or(own)?;
            Some((inst_id, snapshot.id(waiter, Column::BlockingSession)?))
        };
        let all_known = snapshot.instances.iter().all(|instance| instance.complete)
            && waiting.iter().all(|waiter| blocker_seat(*waiter).is_some());
        if ![Column::BlockingSessionStatus, Column::BlockingSession]
            .into_iter()
            .all(|column| snapshot.has(column))
        {
            return;
        }
        let mut seats = HashMap::new();
        for row in 0..snapshot.rows {
            if let (Some(inst_id), Some(sid)) = (snapshot.id(row, Column::InstId), snapshot.id(row, Column::Sid)) {
                seats.insert((inst_id, sid), row);
            }
        }
        let waits: Vec<Wait> = waiting
            .iter()
            .filter_map(|waiter| {
                Some(Wait {
                    waiter: *waiter,
                    blocker: *seats.get(&blocker_seat(*waiter)?)?,
                    waited: waited(snapshot, *waiter),
                })
            })
            .collect();
        let held: Vec<HeldUp> = held_up(snapshot.rows, &waits);
        let sessions = self.compute(|_, row| all_known.then_some(held[row].sessions));
        let longest = self.compute(|_, row| held[row].longest.filter(|_| all_known));
        self.set(Column::Blocking, sessions);
        self.set(Column::BlockingFor, longest);
    }
}

fn waited(snapshot: &Snapshot, row: usize) -> Option<i64> {
    if snapshot.text(row, Column::State)? == "WAITING" {
        snapshot.number(row, Column::WaitTimeMicro)
    } else {
        None
    }
}

/// A derived column of one session; NULL outside the statuses that it is defined for.
fn derived(snapshot: &Snapshot, row: usize, column: Column, now: Option<DbTime>) -> Option<i64> {
    let last_call = |statuses: &[&str]| {
        let status = snapshot.text(row, Column::Status)?;
        if statuses.contains(&status) {
            snapshot.number(row, Column::LastCallEt)
        } else {
            None
        }
    };
    if column == Column::Idle {
        last_call(&["INACTIVE", "SNIPED"])
    } else if column == Column::Running {
        last_call(&["ACTIVE"])
    } else if column == Column::StatementAge {
        let active = snapshot.text(row, Column::Status)? == "ACTIVE";
        let started = snapshot.number(row, Column::SqlExecStart)?;
        if active {
            Some(now?.since(DbTime(started)))
        } else {
            None
        }
    } else if column == Column::Connected {
        Some(now?.since(DbTime(snapshot.number(row, Column::LogonTime)?)))
    } else {
        assert_eq!(column, Column::Waited, "every derived column is computed");
        waited(snapshot, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: [Column; 8] = [
        Column::InstId,
        Column::Sid,
        Column::Serial,
        Column::LogonTime,
        Column::Status,
        Column::LastCallEt,
        Column::Taddr,
        Column::Machine,
    ];

    fn session<'a>(sid: i64, status: &'a str, taddr: Cell<'a>) -> [Cell<'a>; 8] {
        [
            Cell::Number(1),
            Cell::Number(sid),
            Cell::Number(7),
            Cell::Time(DbTime(1000)),
            Cell::Text(status),
            Cell::Number(600),
            taddr,
            Cell::Text("web01\0"),
        ]
    }

    fn build(transactions: &[TransactionRow]) -> Snapshot {
        let mut builder = Snapshot::builder(SnapshotSource::Live, &READ);
        for cells in [
            session(10, "INACTIVE", Cell::Null),
            session(11, "ACTIVE", Cell::Text("AB01")),
            session(12, "KILLED", Cell::Text("DANGLING")),
        ] {
            builder.push_row(&cells).expect("few rows");
        }
        let instances = vec![Instance {
            inst_id: 1,
            name: "ORCL1".into(),
            complete: true,
        }];
        let clock = Clock {
            now: DbTime(5000),
            utc_offset: 3600,
        };
        let mut joining = builder.finish(Some(clock), instances);
        joining.join_transactions(transactions);
        joining.finish(
            [Column::Idle, Column::Running, Column::Connected, Column::StatementAge]
                .into_iter()
                .collect(),
        )
    }

    #[test]
    fn derived_columns_are_null_outside_their_status_and_missing_without_their_inputs() {
        let snapshot = build(&[]);
        let idle: Vec<_> = (0..3).map(|row| snapshot.number(row, Column::Idle)).collect();
        assert_eq!(idle, [Some(600), None, None]);
        assert_eq!(snapshot.number(1, Column::Running), Some(600));
        assert_eq!(snapshot.number(0, Column::Connected), Some(4000));
        assert_eq!(snapshot.field(1, Column::StatementAge), Field::Missing);
        assert_eq!(snapshot.text(0, Column::Machine), Some("web01"));
    }

    #[test]
    fn a_dangling_transaction_is_unknown_not_empty() {
        let snapshot = build(&[TransactionRow {
            inst_id: 1,
            addr: "AB01".into(),
            started: Some(DbTime(4900)),
            undo_records: Some(12),
            undo_bytes: None,
        }]);
        assert_eq!(snapshot.number(1, Column::TransactionAge), Some(100));
        assert_eq!(snapshot.number(1, Column::UndoRecords), Some(12));
        assert_eq!(snapshot.field(2, Column::UndoRecords), Field::Null);
        assert_eq!(snapshot.field(0, Column::UndoRecords), Field::Null);
    }

    #[test]
    fn a_session_is_found_by_its_whole_key_only() {
        let snapshot = build(&[]);
        let key = snapshot.key(1).expect("whole");
        assert_eq!(snapshot.find(key), Some(1));
        assert_eq!(
            snapshot.find(SessionKey {
                logon_time: DbTime(1001),
                ..key
            }),
            None
        );
        assert_eq!(key.to_string(), "11,7,@1");
    }
}
