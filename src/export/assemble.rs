//! Builds a snapshot from the rows of a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::export::stamp::{NO_TIME_OF_DAY, Stamp, read_number};
use crate::export::{Format, LineFault, Problem, Saved, parse_taken_at};
use crate::quantity::counted;
use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::snapshot::{Cell, Instance, Snapshot, SnapshotBuilder, SnapshotClock, SnapshotSource};
use crate::yaml::diagnostics::one_of;

/// A value in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldValue<'a> {
    Null,
    Text(&'a str),
    /// A JSON number.
    Number(i64),
}

/// Builds the snapshot of a file.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The columns in the order of the builder; the first is INST_ID if the file does not have it.
    columns: Vec<Column>,
    builder: SnapshotBuilder,
    /// The time from elsewhere; it overrides that in the sessions.
    taken_at: Option<SnapshotClock>,
    clock: Option<SnapshotClock>,
    /// The time in the sessions; `None` before the first session.
    shown: Option<Option<String>>,
    has_inst_id: bool,
    /// The database that the sessions are from, if each session names it.
    database: Option<String>,
    instances: BTreeSet<u32>,
    /// The line of each session.
    seen: HashMap<SessionKey, u64>,
    day_only_logons: usize,
    /// For each column with an unreadable value, the note about the first one.
    unreadable: BTreeMap<Column, String>,
    notes: Vec<String>,
    /// The word before the number of a session in messages, `line` or `session`.
    place: &'static str,
}

/// The column of GV$SESSION with a name. Computed columns are never read from a file. `serial` is SERIAL# in the
/// output of `orareaper sessions`, and where `#` is avoided.
pub(super) fn session_column(name: &str) -> Option<Column> {
    if name.trim().eq_ignore_ascii_case("serial") {
        return Some(Column::Serial);
    }
    Column::named(name.trim()).filter(|column| column.source() == Source::Session)
}

/// Whether a column is the time of the database's clock.
pub(super) fn is_clock(name: &str) -> bool {
    ["SYSDATE", "SYSTIMESTAMP"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name.trim()))
}

/// Nobody is connected for longer than ten years, in seconds.
const LONGEST_CONNECTED: i64 = 10 * 366 * 86_400;

/// The clock in the `taken_at` of a document; `None` if it is NULL.
pub(super) fn read_taken_at(value: FieldValue<'_>) -> Result<Option<SnapshotClock>, Problem> {
    let refused = |text: &str, expected: &'static str| refuse("TAKEN_AT", text, expected.into());
    match value {
        FieldValue::Null => Ok(None),
        FieldValue::Text(text) => match parse_taken_at(text) {
            Ok(clock) => Ok(Some(clock)),
            Err(expected) => Err(refused(text, expected)),
        },
        FieldValue::Number(number) => Err(refused(&number.to_string(), NO_NUMBER)),
    }
}

const NO_NUMBER: &str = "a number, but a date is expected";

fn refuse(column: &str, value: &str, expected: Cow<'static, str>) -> Problem {
    Problem::Value {
        column: column.to_owned(),
        value: value.chars().take(60).collect(),
        expected,
    }
}

/// Whether a file is useless without this column, because it identifies the sessions or says how long they have been idle or
/// running. Any other column with an unreadable value is ignored, and what depends on it is unknown.
const fn is_needed(column: Column) -> bool {
    matches!(
        column,
        Column::InstId | Column::Sid | Column::Serial | Column::LogonTime | Column::LastCallEt
    )
}

/// The longest duration: Oracle counts LAST_CALL_ET and its like in 32 bits, so this is longer than any of them.
const LONGEST_SECONDS: i64 = 1 << 32;

/// The duration, unless it is longer than any that Oracle shows.
fn possible(column: Column, number: i64) -> Result<i64, &'static str> {
    if number / column.per_second() > LONGEST_SECONDS {
        return Err("longer than a session can last; export it again");
    }
    Ok(number)
}

/// Says that a value is not in the column's closed list.
fn not_listed(text: &str, list: &[&str]) -> String {
    let none = format!("none of {}", one_of(list.iter().copied()));
    if list.contains(&text.trim()) {
        return format!(
            "{none}: the values are padded with blanks, so texts cannot be compared; export without \
             padding (SQL*Plus: `set markup csv on quote on` instead of `set colsep`)"
        );
    }
    none
}

impl Assembly {
    pub(super) fn new(present: Columns, taken_at: Option<SnapshotClock>, place: &'static str) -> Assembly {
        let has_inst_id = present.contains(Column::InstId);
        let mut all = present;
        all.insert(Column::InstId);
        let columns: Vec<Column> = all.iter().collect();
        Assembly {
            builder: Snapshot::builder(SnapshotSource::Saved, &columns),
            columns,
            taken_at,
            clock: taken_at,
            shown: None,
            has_inst_id,
            database: None,
            instances: BTreeSet::new(),
            seen: HashMap::new(),
            day_only_logons: 0,
            unreadable: BTreeMap::new(),
            notes: Vec::new(),
            place,
        }
    }

    /// An empty assembly without the columns that have unreadable values, for a second pass; `None` if there are none.
    pub(super) fn again(&self) -> Option<Assembly> {
        if self.unreadable.is_empty() {
            return None;
        }
        let kept = self.columns.iter().copied();
        let kept = kept.filter(|column| !self.unreadable.contains_key(column));
        let kept = kept.filter(|column| *column != Column::InstId || self.has_inst_id);
        let mut rest = Assembly::new(kept.collect(), self.taken_at, self.place);
        rest.notes.extend(self.unreadable.values().cloned());
        Some(rest)
    }

    /// Takes the database of a session, before the session is added. All sessions must be from the same database.
    pub(super) fn of_database(&mut self, name: &str) -> Result<(), Problem> {
        match &self.database {
            Some(first) if first == name => Ok(()),
            Some(first) => Err(Problem::SeveralSnapshots(format!(
                "the previous sessions are from the database {first}, this one is from {name}"
            ))),
            None => {
                self.database = Some(name.to_owned());
                Ok(())
            }
        }
    }

    /// Adds a note for the reader of a report.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Takes the time of the database's clock from a session, before the session is added. It must be the same in all sessions.
    pub(super) fn clock(&mut self, name: &str, value: FieldValue<'_>, line: u64) -> Result<(), Problem> {
        let text = match value {
            FieldValue::Null => None,
            FieldValue::Text(text) => Some(Cow::Borrowed(text)),
            FieldValue::Number(number) => Some(Cow::Owned(number.to_string())),
        };
        match &self.shown {
            Some(first) if first.as_deref() == text.as_deref() => return Ok(()),
            Some(_) => {
                return Err(Problem::SeveralSnapshots(format!(
                    "{name} differs from that of the previous sessions"
                )));
            }
            None => self.shown = Some(text.as_deref().map(str::to_owned)),
        }
        let Some(text) = text else { return Ok(()) };
        if let Some(given) = self.taken_at {
            if parse_taken_at(&text).is_ok_and(|clock| clock.now != given.now) {
                self.notes.push(format!(
                    "--taken-at is used instead of the time of the snapshot in the file, {name} {text}: all ages go by it"
                ));
            }
            return Ok(());
        }
        match parse_taken_at(&text) {
            Ok(clock) => self.clock = Some(clock),
            Err(expected) => {
                let problem = refuse(name, &text, expected.into());
                self.notes.push(format!(
                    "{} {line}: {problem}; without the time, only the ages `idle` and `running` are known (--taken-at sets it)",
                    self.place
                ));
            }
        }
        Ok(())
    }

    /// The number of sessions so far.
    pub(super) fn rows(&self) -> usize {
        self.builder.rows()
    }

    /// Adds a session. `line` is its line or number, for messages.
    pub(super) fn push<'a>(&mut self, line: u64, value: impl Fn(Column) -> FieldValue<'a>) -> Result<(), Problem> {
        let mut owned: Vec<(usize, String)> = Vec::new();
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(self.columns.len());
        for at in 0..self.columns.len() {
            let column = self.columns[at];
            let value = if column == Column::InstId && !self.has_inst_id {
                FieldValue::Number(1)
            } else {
                value(column)
            };
            if let (Kind::Text, FieldValue::Number(number)) = (column.kind(), value) {
                owned.push((at, number.to_string()));
                cells.push(Cell::Null);
            } else {
                let cell = match self.cell(column, value) {
                    Ok(cell) => cell,
                    Err(problem) if is_needed(column) || column.closed_list().is_some() => return Err(problem),
                    Err(problem) => {
                        let place = self.place;
                        let note = || format!("{place} {line}: {problem}; the column is ignored");
                        self.unreadable.entry(column).or_insert_with(note);
                        Cell::Null
                    }
                };
                cells.push(cell);
            }
        }
        for (at, text) in &owned {
            cells[*at] = Cell::Text(text);
        }
        self.note_identity(&cells, line)?;
        self.builder.push_row(&cells)?;
        Ok(())
    }

    fn cell<'a>(&mut self, column: Column, value: FieldValue<'a>) -> Result<Cell<'a>, Problem> {
        let refused = |text: &str, expected| Err(refuse(&column.name().to_uppercase(), text, expected));
        match (column.kind(), value) {
            (_, FieldValue::Null) => Ok(Cell::Null),
            (Kind::Text, FieldValue::Text(text)) => match column.closed_list() {
                Some(list) if !list.contains(&text) => refused(text, not_listed(text, list).into()),
                Some(_) | None => Ok(Cell::Text(text)),
            },
            (Kind::Text | Kind::Number | Kind::Size, FieldValue::Number(number)) => Ok(Cell::Number(number)),
            (Kind::Duration, FieldValue::Number(number)) => match possible(column, number) {
                Ok(number) => Ok(Cell::Number(number)),
                Err(expected) => refused(&number.to_string(), expected.into()),
            },
            (Kind::Number | Kind::Size, FieldValue::Text(text)) => match read_number(text) {
                Ok(number) => Ok(Cell::Number(number)),
                Err(expected) => refused(text, expected.into()),
            },
            (Kind::Duration, FieldValue::Text(text)) => {
                match read_number(text).and_then(|number| possible(column, number)) {
                    Ok(number) => Ok(Cell::Number(number)),
                    Err(expected) => refused(text, expected.into()),
                }
            }
            (Kind::Time, FieldValue::Text(text)) => match Stamp::parse(text) {
                Ok(stamp) if stamp.day_only && column != Column::LogonTime => refused(text, NO_TIME_OF_DAY.into()),
                Ok(stamp) => {
                    self.day_only_logons += usize::from(stamp.day_only);
                    Ok(Cell::Time(
                        stamp.in_clock(self.clock.map_or(0, |clock| clock.utc_offset)),
                    ))
                }
                Err(expected) => refused(text, expected.into()),
            },
            (Kind::Time, FieldValue::Number(number)) => refused(&number.to_string(), NO_NUMBER.into()),
        }
    }

    /// Refuses a session that was already added: the file would have two snapshots, and ages and counts would be wrong.
    fn note_identity(&mut self, cells: &[Cell<'_>], line: u64) -> Result<(), Problem> {
        let find = |wanted: Column| {
            self.columns
                .iter()
                .position(|column| *column == wanted)
                .map(|at| cells[at])
        };
        let id = |wanted| match find(wanted) {
            Some(Cell::Number(number)) => u32::try_from(number).ok(),
            Some(Cell::Null | Cell::Text(_) | Cell::Time(_)) | None => None,
        };
        let logon_time = match find(Column::LogonTime) {
            Some(Cell::Time(time)) => Some(time),
            Some(Cell::Null | Cell::Text(_) | Cell::Number(_)) | None => None,
        };
        let (inst_id, sid, serial) = (id(Column::InstId), id(Column::Sid), id(Column::Serial));
        self.instances.extend(inst_id);
        let (Some(inst_id), Some(sid), Some(serial), Some(logon_time)) = (inst_id, sid, serial, logon_time) else {
            return Ok(());
        };
        let key = SessionKey {
            inst_id,
            sid,
            serial,
            logon_time,
        };
        match self.seen.insert(key, line) {
            None => Ok(()),
            Some(before) => Err(Problem::SeveralSnapshots(format!(
                "session {key} is already in {} {before}",
                self.place
            ))),
        }
    }

    /// Returns the snapshot, with all derived columns that need no other view.
    pub(super) fn finish(self, format: Format, database: Option<String>) -> Result<Saved, LineFault> {
        if self.builder.rows() == 0 {
            return Err(LineFault::whole(Problem::NoSessions));
        }
        let mut notes = self.notes;
        if self.day_only_logons > 0 {
            notes.push(format!(
                "LOGON_TIME has no time of day in {}, so `connected` is unknown; export it with alter session set nls_date_format = \
                 'YYYY-MM-DD HH24:MI:SS'",
                counted(self.day_only_logons, "session")
            ));
        }
        let instances = self.instances.iter().map(|inst_id| Instance {
            inst_id: *inst_id,
            name: inst_id.to_string(),
            complete: true,
        });
        // A day tells sessions apart, and is no age.
        let derived = Column::ALL
            .iter()
            .copied()
            .filter(|column| matches!(column.source(), Source::Derived | Source::Waiters))
            .filter(|column| *column != Column::Connected || self.day_only_logons == 0);
        let joining = self.builder.finish(self.clock, instances.collect());
        let snapshot = joining.finish(derived.collect());
        let connected = |row: usize| Some(self.clock?.now.0 - snapshot.number(row, Column::LogonTime)?);
        let count = |counts: fn(i64) -> bool| {
            (0..snapshot.rows())
                .filter_map(connected)
                .filter(|age| counts(*age))
                .count()
        };
        let (later, long_ago) = (count(|age| age < 0), count(|age| age > LONGEST_CONNECTED));
        if long_ago > 0 {
            notes.push(format!(
                "{} logged on more than ten years before the snapshot, so the year of LOGON_TIME was lost in the export and `connected` is \
                 wrong; export it with alter session set nls_date_format = 'YYYY-MM-DD HH24:MI:SS'",
                counted(long_ago, "session")
            ));
        }
        if later > 0 {
            notes.push(format!(
                "{} logged on after the time of the snapshot, so that time is not from the database's clock",
                counted(later, "session")
            ));
        }
        if !self.has_inst_id {
            notes.push(
                "the file has no INST_ID, so its sessions are shown as those of instance 1: in a cluster, check the instance in a \
                 statement before you run it"
                    .to_owned(),
            );
        }
        Ok(Saved {
            snapshot,
            database: database.or(self.database),
            format,
            notes,
        })
    }
}
