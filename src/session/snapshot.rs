//! All sessions of a database at one moment, stored by column.
//!
//! A snapshot is built row by row from GV$SESSION. Then the rows of other views are joined in the daemon, because Oracle
//! supports only simple queries on V$ views, does not make them consistent with each other, and has bad plans for joins of
//! them. So the row that a session refers to may be missing; then its values are unknown, never zero.
//!
//! There are two forms of "no value". NULL is a value that the database returned. A *missing* column was not read, or the
//! release does not have it; a term on it is UNKNOWN, even IS NULL, because nothing is known about it.

mod restore;

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::extent::{CountedGroups, CountedSessions, PartOfSessions};
pub(crate) use crate::session::join::OWN_TRANSACTION;
use crate::session::join::input_columns;
pub use crate::session::join::{
    AccountRow, Joining, ParallelServer, ProcessRow, StatisticsRow, TempRow, TransactionRow, Xid,
};
use crate::session::store::{Numbers, Texts, TextsBuilder};
use crate::session::time::DbTime;

pub(crate) use restore::Restoring;

/// V$SESSION.STATUS of a session that is to be killed (Oracle Database Reference, "V$SESSION").
pub(crate) const KILLED: &str = "KILLED";

/// The most sessions in a snapshot. Oracle's own limit (SESSIONS) is 65,535 for each instance.
pub(crate) const MAX_ROWS: usize = 1_000_000;

/// A value as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// The value of a [`Kind::Text`] column.
    Text(&'a str),
    /// A number, a duration (in the column's unit) or a size.
    Number(i64),
    /// A point in time.
    Time(DbTime),
}

/// The value of one column of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// The column was not read, or the release does not have it.
    Missing,
    /// NULL.
    Null,
    /// A text.
    Text(&'a str),
    /// A number, a duration in the column's unit, a size, or a point in time.
    Number(i64),
}

/// The origin of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotSource {
    /// A database.
    Live,
    /// A file. No action is possible on its sessions.
    Saved,
}

/// An instance of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// GV$INSTANCE.INST_ID.
    pub inst_id: u32,
    /// GV$INSTANCE.INSTANCE_NAME.
    pub name: String,
    /// Whether its sessions were read. If not, nothing is known about them, neither that they exist nor that they are gone.
    pub complete: bool,
}

/// The clock that was read with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotClock {
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
    pub(super) clock: Option<SnapshotClock>,
    pub(super) columns: Vec<Data>,
    pub(super) instances: Vec<Instance>,
    pub(super) parallel_servers: Vec<ParallelServer>,
    /// What is known of the sessions that were not asked for; `None` if all were.
    pub(super) part: Option<Arc<PartOfSessions>>,
    /// The known keys, sorted, with their rows. Computed when a session is first looked up.
    by_key: OnceLock<Vec<(SessionKey, u32)>>,
}

impl Snapshot {
    /// Begins a snapshot whose rows have these columns, in this order.
    ///
    /// # Panics
    /// If a column is not one of GV$SESSION: other columns are joined or computed.
    #[must_use]
    pub fn builder(source: SnapshotSource, columns: &[Column]) -> SnapshotBuilder {
        assert!(
            columns.iter().all(|column| column.source() == Source::Session),
            "only columns of GV$SESSION are read row by row"
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

    /// The number of sessions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Its origin.
    #[must_use]
    pub fn source(&self) -> SnapshotSource {
        self.source
    }

    /// The database's clock when it was taken; `None` for a saved snapshot without one.
    #[must_use]
    pub fn clock(&self) -> Option<SnapshotClock> {
        self.clock
    }

    /// The instances that were open.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The snapshot's time in UTC; `None` without a clock, or if its time is outside the calendar's range.
    #[must_use]
    pub fn utc(&self) -> Option<DateTime<Utc>> {
        let clock = self.clock?;
        clock.now.to_utc(clock.utc_offset)
    }

    /// Whether the sessions of an instance were read.
    #[must_use]
    pub fn is_complete(&self, inst_id: u32) -> bool {
        self.instances
            .iter()
            .any(|instance| instance.inst_id == inst_id && instance.complete)
    }

    /// Whether it shows if this session is there: its instance was read, and it was asked for.
    #[must_use]
    pub fn shows(&self, key: SessionKey) -> bool {
        let asked_for = |part: &Arc<PartOfSessions>| part.seats.contains(&(key.inst_id, key.sid));
        self.is_complete(key.inst_id) && self.part.as_ref().is_none_or(asked_for)
    }

    /// Notes that not all sessions were asked for, and what is known of the others.
    pub(crate) fn set_part(&mut self, part: PartOfSessions) {
        self.part = Some(Arc::new(part));
    }

    /// All sessions of the database by kind, where only some of them were read.
    #[must_use]
    pub(crate) fn counted(&self) -> Option<&[CountedSessions]> {
        self.part.as_deref().map(|part| &*part.counted)
    }

    /// The sessions of each group by these columns, where only some sessions were read.
    #[must_use]
    pub(crate) fn counted_groups(&self, per: &[Column]) -> Option<&CountedGroups> {
        let groups = &self.part.as_deref()?.groups;
        groups.iter().find(|groups| groups.per == per)
    }

    /// The number of sessions of the database.
    #[must_use]
    pub(crate) fn sessions(&self) -> usize {
        let counted = self.counted();
        counted.map_or(self.rows, |counted| counted.iter().map(|alike| alike.sessions).sum())
    }

    /// Whether the sessions of this session's instance were read; otherwise what it shows is not known. Saved snapshots do not record
    /// it.
    #[must_use]
    pub(crate) fn is_read_completely(&self, row: usize) -> bool {
        self.source == SnapshotSource::Saved
            || self
                .id(row, Column::InstId)
                .is_none_or(|inst_id| self.is_complete(inst_id))
    }

    /// The parallel servers among the sessions.
    #[must_use]
    pub(crate) fn parallel_servers(&self) -> &[ParallelServer] {
        &self.parallel_servers
    }

    /// Whether a column was read or computed.
    #[must_use]
    pub fn has(&self, column: Column) -> bool {
        !matches!(self.columns[column as usize], Data::Missing)
    }

    /// A text column; `None` if it is missing or not a text column.
    #[must_use]
    pub(crate) fn texts(&self, column: Column) -> Option<&Texts> {
        match &self.columns[column as usize] {
            Data::Texts(texts) => Some(texts),
            Data::Missing | Data::Numbers(_) => None,
        }
    }

    /// A column of numbers, durations, sizes or times; `None` if it is missing or a text column.
    #[must_use]
    pub(crate) fn numbers(&self, column: Column) -> Option<&Numbers> {
        match &self.columns[column as usize] {
            Data::Numbers(numbers) => Some(numbers),
            Data::Missing | Data::Texts(_) => None,
        }
    }

    /// The value of a column of a session.
    #[must_use]
    pub fn field(&self, row: usize, column: Column) -> Field<'_> {
        match &self.columns[column as usize] {
            Data::Missing => Field::Missing,
            Data::Texts(texts) => texts.get(row).map_or(Field::Null, Field::Text),
            Data::Numbers(numbers) => numbers.get(row).map_or(Field::Null, Field::Number),
        }
    }

    /// A text; `None` if it is NULL or missing.
    #[must_use]
    pub fn text(&self, row: usize, column: Column) -> Option<&str> {
        self.texts(column)?.get(row)
    }

    /// Whether its STATUS is known to be KILLED.
    #[must_use]
    pub fn is_killed(&self, row: usize) -> bool {
        self.text(row, Column::Status) == Some(KILLED)
    }

    /// A number; `None` if it is NULL or missing.
    #[must_use]
    pub fn number(&self, row: usize, column: Column) -> Option<i64> {
        self.numbers(column)?.get(row)
    }

    /// An unsigned number of 32 bits; `None` if it is NULL, missing or out of range.
    #[must_use]
    pub fn id(&self, row: usize, column: Column) -> Option<u32> {
        u32::try_from(self.number(row, column)?).ok()
    }

    /// The whole key of a session; `None` if a part of it is unknown.
    #[must_use]
    pub fn key(&self, row: usize) -> Option<SessionKey> {
        Some(SessionKey {
            inst_id: self.id(row, Column::InstId)?,
            sid: self.id(row, Column::Sid)?,
            serial: self.id(row, Column::Serial)?,
            logon_time: DbTime(self.number(row, Column::LogonTime)?),
        })
    }

    /// The keys of all sessions, by row.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Option<SessionKey>> + '_ {
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

    /// The rows with a session's key. More than one means that the database returned a session twice.
    pub(crate) fn rows_of(&self, key: SessionKey) -> impl Iterator<Item = usize> + '_ {
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

    /// A snapshot of the same moment with only one session and all its values, derived ones included.
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
            part: self.part.clone(),
            by_key: OnceLock::new(),
        }
    }

    /// The values of a column of numbers.
    pub(super) fn computed(&self, value: impl Fn(&Snapshot, usize) -> Option<i64>) -> Data {
        let mut numbers = Numbers::default();
        for row in 0..self.rows {
            numbers.push(value(self, row));
        }
        numbers.shrink();
        Data::Numbers(numbers)
    }

    /// Sets a column of numbers that is computed from several snapshots.
    ///
    /// # Panics
    /// If the column is another one.
    pub(crate) fn compute(&mut self, column: Column, value: impl Fn(&Snapshot, usize) -> Option<i64>) {
        assert!(column.source() == Source::Rate, "{} is read or joined", column.name());
        self.columns[column as usize] = self.computed(value);
    }

    /// Puts other texts in the place of those that a column has in `before`.
    ///
    /// # Panics
    /// If `before` has other rows.
    pub(crate) fn replace_texts(
        &mut self,
        before: &Snapshot,
        column: Column,
        mut stand_in: impl FnMut(usize, &str) -> String,
    ) {
        assert_eq!(self.rows, before.rows, "another snapshot");
        let Some(texts) = before.texts(column) else { return };
        let mut builder = TextsBuilder::default();
        for row in 0..before.rows {
            builder.push(texts.get(row).map(|text| stand_in(row, text)).as_deref());
        }
        self.columns[column as usize] = Data::Texts(builder.finish());
    }

    /// Gives the instances other names.
    pub(crate) fn rename_instances(&mut self, mut stand_in: impl FnMut(&str) -> String) {
        for instance in &mut self.instances {
            instance.name = stand_in(&instance.name);
        }
    }

    /// The memory that it uses, in bytes.
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

    /// The columns of GV$SESSION that have to be read for `wanted`: those that are wanted themselves and those that the others
    /// are computed from.
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

/// Builds a snapshot from the rows of GV$SESSION.
#[derive(Debug)]
pub struct SnapshotBuilder {
    source: SnapshotSource,
    rows: usize,
    columns: Vec<(Column, Growing)>,
}

impl SnapshotBuilder {
    /// Adds a session. A cell of another kind than its column becomes NULL, because its meaning is unknown.
    ///
    /// # Errors
    /// If there are already [`MAX_ROWS`] sessions.
    ///
    /// # Panics
    /// If the number of cells differs from the number of columns.
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

    /// The number of sessions so far.
    #[must_use]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Ends the reading of GV$SESSION. Then other views can be joined.
    #[must_use]
    pub fn finish(self, clock: Option<SnapshotClock>, instances: Vec<Instance>) -> Joining {
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
            part: None,
            by_key: OnceLock::new(),
        })
    }
}

/// A database returned more sessions than [`MAX_ROWS`].
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
        let clock = SnapshotClock {
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
    fn derived_columns_are_null_for_other_statuses_and_missing_without_inputs() {
        let snapshot = build(&[]);
        let idle: Vec<_> = (0..3).map(|row| snapshot.number(row, Column::Idle)).collect();
        assert_eq!(idle, [Some(600), None, None]);
        assert_eq!(snapshot.number(1, Column::Running), Some(600));
        assert_eq!(snapshot.number(0, Column::Connected), Some(4000));
        assert_eq!(snapshot.field(1, Column::StatementAge), Field::Missing);
        assert_eq!(snapshot.text(0, Column::Machine), Some("web01"));
    }

    #[test]
    fn a_transaction_without_a_row_is_unknown_not_empty() {
        let snapshot = build(&[TransactionRow {
            inst_id: 1,
            addr: "AB01".into(),
            started: Some(DbTime(4900)),
            status: Some("ACTIVE".into()),
            undo_records: Some(12),
            ..TransactionRow::default()
        }]);
        assert_eq!(snapshot.number(1, Column::TransactionAge), Some(100));
        assert_eq!(snapshot.number(1, Column::UndoRecords), Some(12));
        assert_eq!(snapshot.field(2, Column::UndoRecords), Field::Null);
        assert_eq!(snapshot.field(0, Column::UndoRecords), Field::Null);
        let status: Vec<_> = (0..3)
            .map(|row| snapshot.text(row, Column::TransactionStatus))
            .collect();
        assert_eq!(status, [None, Some("ACTIVE"), None]);
    }

    #[test]
    fn a_session_is_found_only_by_its_whole_key() {
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
    fn sessions_are_found_in_any_order_of_rows() {
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
