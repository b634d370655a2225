//! Decodes blocks into snapshots. Nothing in a block is trusted: every number is checked before it is an index or a size.

use std::sync::Arc;

use crate::decide::pressure::{Reading, Readings};
use crate::decide::protect::{Accounts, ProtectionFacts};
use crate::policy::pressure::Resource;
use crate::recording::RecordedSnapshot;
use crate::recording::bytes::{Malformed, Take};
use crate::recording::encode::{
    CHANGES, FACTS, FACTS_BY_CONTAINER, FACTS_WITH_REPLICATION, NEW, SAME_FACTS, WHOLE, shifted,
};
use crate::session::column::{Column, Columns, Kind};
use crate::session::snapshot::{Instance, MAX_ROWS, ParallelServer, Restoring, SnapshotClock, SnapshotSource};
use crate::session::store::{Numbers, Texts};
use crate::session::time::DbTime;

/// Decodes blocks, with the last values of the wanted columns.
#[derive(Debug)]
pub(super) struct Decoder {
    wanted: Columns,
    last: Option<LastDecoded>,
}

#[derive(Debug)]
struct LastDecoded {
    rows: usize,
    facts: Arc<ProtectionFacts>,
    columns: Vec<DecodedColumn>,
}

/// A column of the recording.
#[derive(Debug)]
enum DecodedColumn {
    /// The column is not wanted, or this version does not know it.
    Skipped,
    Texts(Column, HeldTexts),
    Numbers(Column, Vec<i64>),
}

#[derive(Debug, Default)]
struct HeldTexts {
    codes: Vec<u32>,
    words: String,
    ends: Vec<u32>,
}

/// The previous row number of each row.
enum From {
    /// All rows have the same numbers as before.
    Same,
    Moved(Vec<u32>),
}

/// The result of decoding a block.
#[derive(Debug)]
pub(super) enum Decoded {
    RecordedSnapshot(Box<RecordedSnapshot>),
    /// The block has only the changes since a block that could not be read.
    Dangling,
}

impl Decoder {
    pub(super) fn new(wanted: Columns) -> Decoder {
        Decoder { wanted, last: None }
    }

    /// Forgets the last values, after a block that could not be read: changes since that block cannot be applied.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Decodes the content of a block. After an error, only a whole block can be decoded.
    pub(super) fn decode(&mut self, content: &[u8]) -> Result<Decoded, Malformed> {
        let mut take = Take(content);
        let last = match take.byte()? {
            WHOLE => {
                self.last = None;
                None
            }
            CHANGES => match self.last.take() {
                Some(last) => Some(last),
                None => return Ok(Decoded::Dangling),
            },
            _ => return Err(Malformed("a block of an unknown kind")),
        };
        let moment = moment(&mut take)?;
        let facts = facts(&mut take, last.as_ref().map(|last| &last.facts))?;
        let readings = readings(&mut take)?;
        let (rows, from) = rows(&mut take, last.as_ref().map(|last| last.rows))?;
        let count = take.count()?;
        let mut held = last.map(|last| last.columns);
        if held.as_ref().is_some_and(|held| held.len() != count) {
            return Err(Malformed("columns that differ from those before"));
        }
        let mut restoring = moment.restoring(rows);
        let mut columns = Vec::with_capacity(count);
        for at in 0..count {
            let mut column = match &mut held {
                Some(held) => std::mem::replace(&mut held[at], DecodedColumn::Skipped),
                None => self.column(&mut take)?,
            };
            let mut section = Take(take.bytes()?);
            match &mut column {
                DecodedColumn::Skipped => {}
                DecodedColumn::Texts(column, held) => {
                    held.apply(&mut section, rows, &from)?;
                    restoring.texts(*column, Texts::of(&held.codes, &held.words, &held.ends));
                }
                DecodedColumn::Numbers(column, held) => {
                    apply_numbers(held, &mut section, rows, &from)?;
                    restoring.numbers(*column, Numbers::of(held));
                }
            }
            columns.push(column);
        }
        self.last = Some(LastDecoded {
            rows,
            facts: Arc::clone(&facts),
            columns,
        });
        Ok(Decoded::RecordedSnapshot(Box::new(RecordedSnapshot {
            snapshot: restoring.finish(),
            readings,
            facts,
        })))
    }

    fn column(&self, take: &mut Take<'_>) -> Result<DecodedColumn, Malformed> {
        let column = Column::named(take.text()?);
        let texts = take.flag()?;
        Ok(match column.filter(|column| self.wanted.contains(*column)) {
            None => DecodedColumn::Skipped,
            Some(column) if texts != (column.kind() == Kind::Text) => {
                return Err(Malformed("a column with values of another kind"));
            }
            Some(column) if texts => DecodedColumn::Texts(column, HeldTexts::default()),
            Some(column) => DecodedColumn::Numbers(column, Vec::new()),
        })
    }
}

struct SnapshotHead {
    source: SnapshotSource,
    clock: Option<SnapshotClock>,
    instances: Vec<Instance>,
    parallel_servers: Vec<ParallelServer>,
}

impl SnapshotHead {
    fn restoring(self, rows: usize) -> Restoring {
        Restoring::of(rows, self.source, self.clock, self.instances, self.parallel_servers)
    }
}

fn moment(take: &mut Take<'_>) -> Result<SnapshotHead, Malformed> {
    let source = if take.flag()? {
        SnapshotSource::Saved
    } else {
        SnapshotSource::Live
    };
    let clock = if take.flag()? {
        Some(SnapshotClock {
            now: DbTime(take.signed()?),
            utc_offset: i32::try_from(take.signed()?).map_err(|_| Malformed("an impossible time zone"))?,
        })
    } else {
        None
    };
    let mut instances = Vec::new();
    for _ in 0..take.count()? {
        instances.push(Instance {
            inst_id: take.id()?,
            name: take.text()?.to_owned(),
            complete: take.flag()?,
        });
    }
    let mut parallel_servers = Vec::new();
    for _ in 0..take.count()? {
        parallel_servers.push(ParallelServer {
            inst_id: take.id()?,
            sid: take.id()?,
            serial: take.id()?,
            coordinator_inst_id: take.id()?,
            coordinator_sid: take.id()?,
        });
    }
    Ok(SnapshotHead {
        source,
        clock,
        instances,
        parallel_servers,
    })
}

fn facts(take: &mut Take<'_>, last: Option<&Arc<ProtectionFacts>>) -> Result<Arc<ProtectionFacts>, Malformed> {
    let form = take.byte()?;
    if form == SAME_FACTS {
        let last = last.ok_or(Malformed("unchanged protections without earlier ones"))?;
        return Ok(Arc::clone(last));
    }
    let own_username = take.text()?.to_owned();
    let mut own_sessions = Vec::new();
    for _ in 0..take.count()? {
        own_sessions.push((take.id()?, take.id()?, take.id()?));
    }
    let by_container = form == FACTS_BY_CONTAINER;
    let mut oracle_maintained: Accounts = names(take)?.into_iter().collect();
    let mut replication = match form {
        FACTS => Accounts::default(),
        FACTS_WITH_REPLICATION | FACTS_BY_CONTAINER => names(take)?.into_iter().collect(),
        _ => return Err(Malformed("protections of an unknown form")),
    };
    for accounts in [&mut oracle_maintained, &mut replication]
        .into_iter()
        .filter(|_| by_container)
    {
        for _ in 0..take.count()? {
            let con_id = take.id()?;
            for name in names(take)? {
                accounts.insert(Some(con_id), name);
            }
        }
    }
    Ok(Arc::new(ProtectionFacts {
        own_username,
        own_sessions,
        oracle_maintained,
        replication,
    }))
}

fn names(take: &mut Take<'_>) -> Result<Vec<String>, Malformed> {
    (0..take.count()?).map(|_| Ok(take.text()?.to_owned())).collect()
}

fn readings(take: &mut Take<'_>) -> Result<Readings, Malformed> {
    let mut readings = Readings::default();
    for _ in 0..take.count()? {
        let inst_id = take.id()?;
        let name = take.text()?;
        let reading = Reading {
            used: take.signed()?,
            limit: take.optional()?,
        };
        // No policy can use a resource that this version does not know.
        if let Some(resource) = Resource::named(name) {
            readings.set(inst_id, resource, reading);
        }
    }
    Ok(readings)
}

fn rows(take: &mut Take<'_>, last: Option<usize>) -> Result<(usize, From), Malformed> {
    let rows = usize::try_from(take.number()?).unwrap_or(usize::MAX);
    if rows > MAX_ROWS {
        return Err(Malformed("more sessions than any database has"));
    }
    let Some(last) = last else {
        return Ok((rows, From::Moved(vec![NEW; rows])));
    };
    let mut from = Vec::with_capacity(rows);
    let mut expected = 0_usize;
    while from.len() < rows {
        let length = usize::try_from(take.number()?).unwrap_or(usize::MAX);
        if length == 0 || length > rows - from.len() {
            return Err(Malformed("more rows than the row count"));
        }
        if !take.flag()? {
            from.resize(from.len() + length, NEW);
            continue;
        }
        let distance = isize::try_from(take.signed()?).map_err(|_| Malformed("a row that is too far away"))?;
        let start = expected
            .checked_add_signed(distance)
            .ok_or(Malformed("a row before the first"))?;
        expected = start
            .checked_add(length)
            .filter(|end| *end <= last)
            .ok_or(Malformed("a row after the last"))?;
        if start == 0 && length == rows && length == last {
            return Ok((rows, From::Same));
        }
        from.extend((start..expected).map(|row| u32::try_from(row).unwrap_or(NEW)));
    }
    Ok((rows, From::Moved(from)))
}

/// Moves the values to the new rows.
fn move_rows<T: Copy>(held: &mut Vec<T>, rows: usize, from: &From, null: T) {
    match from {
        From::Same => {}
        From::Moved(from) => {
            *held = from
                .iter()
                .map(|row| held.get(*row as usize).copied().unwrap_or(null))
                .collect()
        }
    }
    debug_assert_eq!(held.len(), rows, "a value for each row");
}

/// Reads the rows whose value is not the predicted one.
fn exceptions(
    take: &mut Take<'_>,
    rows: usize,
    mut set: impl FnMut(&mut Take<'_>, usize) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut next = 0_usize;
    for _ in 0..take.count()? {
        let distance = usize::try_from(take.number()?).unwrap_or(usize::MAX);
        let row = next.checked_add(distance).filter(|row| *row < rows);
        let row = row.ok_or(Malformed("a value for a row that does not exist"))?;
        set(take, row)?;
        next = row + 1;
    }
    Ok(())
}

impl HeldTexts {
    fn apply(&mut self, take: &mut Take<'_>, rows: usize, from: &From) -> Result<(), Malformed> {
        move_rows(&mut self.codes, rows, from, 0);
        if take.flag()? {
            self.codes.fill(0);
            self.words.clear();
            self.ends.clear();
        }
        for _ in 0..take.count()? {
            let word = take.text()?;
            if word.is_empty() {
                return Err(Malformed("an empty word"));
            }
            self.words.push_str(word);
            let end = u32::try_from(self.words.len()).map_err(|_| Malformed("too many words"))?;
            self.ends.push(end);
        }
        let (codes, words) = (&mut self.codes, self.ends.len());
        exceptions(take, rows, |take, row| {
            let code = take.id()?;
            if code as usize > words {
                return Err(Malformed("a word that is not in the dictionary"));
            }
            codes[row] = code;
            Ok(())
        })
    }
}

fn apply_numbers(held: &mut Vec<i64>, take: &mut Take<'_>, rows: usize, from: &From) -> Result<(), Malformed> {
    move_rows(held, rows, from, Numbers::WIDE_NULL);
    let shift = take.signed()?;
    if shift != 0 {
        for value in held.iter_mut() {
            let was = (*value != Numbers::WIDE_NULL).then_some(*value);
            *value = shifted(was, shift).unwrap_or(Numbers::WIDE_NULL);
        }
    }
    exceptions(take, rows, |take, row| {
        let expected = if held[row] == Numbers::WIDE_NULL { 0 } else { held[row] };
        held[row] = take
            .optional()?
            .map_or(Numbers::WIDE_NULL, |difference| expected.wrapping_add(difference));
        Ok(())
    })
}
