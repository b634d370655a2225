//! One complete look at all sessions of a database, held in columns.
//!
//! A snapshot is built row by row from GV$SESSION, then what other views say of the same sessions is joined to it here, in
//! the daemon: Oracle supports only simple queries on V$ views, gives no consistency between them, and joins of them have
//! bad plans. So references may dangle, and what dangles is unknown, never zero.
//!
//! "No value" has two forms. NULL is what the database answered. *Missing* is a column that was not read or that the
//! release lacks; a term over it is UNKNOWN even where it asks IS NULL, because nothing is known.

mod restore;

use std::sync::OnceLock;

use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::join::input_columns;
pub use crate::session::join::{Joining, ParallelServer, ProcessRow, StatisticsRow, TempRow, TransactionRow, Xid};
use crate::session::store::{Numbers, Texts, TextsBuilder};
use crate::session::time::DbTime;

pub use restore::Restoring;

/// More sessions than this in one snapshot are refused: Oracle's own limit on SESSIONS is 65,535 an instance.
pub const MAX_ROWS: usize = 1_000_000;

/// One value as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// For a [`Kind::Text`] column.
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

#[derive(Clone, Debug, Default)]
pub(super) enum Data {
    #[default]
    Missing,
    Texts(Texts),
    Numbers(Numbers),
}

/// All sessions at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) rows: usize,
    source: SnapshotSource,
    pub(super) clock: Option<Clock>,
    pub(super) columns: Vec<Data>,
    pub(super) instances: Vec<Instance>,
    pub(super) parallel_servers: Vec<ParallelServer>,
    /// Known keys in their order, with their rows; made when a session is first looked for.
    by_key: OnceLock<Vec<(SessionKey, u32)>>,
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
                    Kind::Text => (*column, Growing::Texts(TextsBuilder::default())),
                    Kind::Number | Kind::Duration | Kind::Size | Kind::Time => {
                        (*column, Growing::Numbers(Numbers::default()))
                    }
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

    /// All sessions' keys, row by row.
    pub fn keys(&self) -> impl Iterator<Item = Option<SessionKey>> + '_ {
        let parts = [Column::InstId, Column::Sid, Column::Serial, Column::LogonTime];
        let [inst_id, sid, serial, logon_time] = parts.map(|column| self.numbers(column));
        let id = |numbers: Option<&Numbers>, row| u32::try_from(numbers?.get(row)?).ok();
        (0..self.rows).map(move |row| {
            Some(SessionKey {
                inst_id: id(inst_id, row)?,
                sid: id(sid, row)?,
                serial: id(serial, row)?,
                logon_time: DbTime(logon_time?.get(row)?),
            })
        })
    }

    /// The row of a session.
    #[must_use]
    pub fn find(&self, key: SessionKey) -> Option<usize> {
        self.rows_of(key).next()
    }

    /// The rows that have a session's key: one, unless the database contradicts itself.
    pub fn rows_of(&self, key: SessionKey) -> impl Iterator<Item = usize> + '_ {
        let by_key = self.by_key.get_or_init(|| self.sorted_by_key());
        let before = by_key.partition_point(|(other, _)| *other < key);
        let same = by_key[before..].iter().take_while(move |(other, _)| *other == key);
        same.map(|(_, row)| *row as usize)
    }

    fn sorted_by_key(&self) -> Vec<(SessionKey, u32)> {
        let mut sorted = Vec::with_capacity(self.rows);
        for (row, key) in self.keys().enumerate() {
            if let Some(key) = key {
                sorted.push((key, u32::try_from(row).expect("fewer rows than the limit")));
            }
        }
        sorted.sort_unstable();
        sorted
    }

    /// The same moment with one session alone: all its values, derived ones included, and nothing of the others.
    #[must_use]
    pub fn only(&self, row: usize) -> Snapshot {
        let columns = self.columns.iter().map(|data| match data {
            Data::Missing => Data::Missing,
            Data::Texts(texts) => Data::Texts(texts.only(row)),
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
            by_key: OnceLock::new(),
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
            + self
                .by_key
                .get()
                .map_or(0, |keys| keys.capacity() * size_of::<(SessionKey, u32)>())
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
        Joining::new(Snapshot {
            rows: self.rows,
            source: self.source,
            clock,
            columns,
            instances,
            parallel_servers: Vec::new(),
            by_key: OnceLock::new(),
        })
    }
}

/// A database answered more sessions than [`MAX_ROWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_ROWS} sessions in one snapshot, more than any database has")]
pub struct TooManySessions;

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
            ..TransactionRow::default()
        }]);
        assert_eq!(snapshot.number(1, Column::TransactionAge), Some(100));
        assert_eq!(snapshot.number(1, Column::UndoRecords), Some(12));
        assert_eq!(snapshot.field(2, Column::UndoRecords), Field::Null);
        assert_eq!(snapshot.field(0, Column::UndoRecords), Field::Null);
    }

    #[test]
    fn a_session_is_found_by_its_whole_key_only() {
        let snapshot = build(&[]);
        for row in 0..3 {
            let key = snapshot.key(row).expect("whole");
            assert_eq!(snapshot.rows_of(key).collect::<Vec<_>>(), [row]);
        }
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

    #[test]
    fn sessions_are_found_in_whatever_order_they_were_read() {
        let mut builder = Snapshot::builder(SnapshotSource::Live, &READ);
        for (sid, logon) in [(12, Some(3)), (10, Some(1)), (11, None), (12, Some(2)), (10, Some(1))] {
            let mut cells = session(sid, "ACTIVE", Cell::Null);
            cells[3] = logon.map_or(Cell::Null, |logon| Cell::Time(DbTime(logon)));
            builder.push_row(&cells).expect("few rows");
        }
        let snapshot = builder.finish(None, Vec::new()).finish(Columns::NONE);
        let rows = |row| -> Vec<usize> {
            let key = snapshot.key(row).expect("whole");
            snapshot.rows_of(key).collect()
        };
        assert_eq!((rows(0), rows(1), rows(3)), (vec![0], vec![1, 4], vec![3]));
        let one_by_one = (0..5).map(|row| snapshot.key(row));
        assert!(snapshot.keys().eq(one_by_one) && snapshot.key(2).is_none());
    }
}
