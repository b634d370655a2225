//! Encodes snapshots into blocks.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decide::protect::ProtectionFacts;
use crate::recording::bytes::Put;
use crate::recording::{RecordedSnapshot, WHOLE_EVERY};
use crate::session::SessionKey;
use crate::session::column::{Column, Kind};
use crate::session::snapshot::{Snapshot, SnapshotSource};
use crate::session::store::{Numbers, Texts};

/// A block that does not depend on earlier ones.
pub(super) const WHOLE: u8 = 1;
/// A block with the changes since the one before it.
pub(super) const CHANGES: u8 = 2;

/// The facts for the protections are unchanged.
pub(super) const SAME_FACTS: u8 = 0;
/// The facts follow.
pub(super) const FACTS: u8 = 1;
/// The facts follow, with the accounts that capture or apply changes; since version 2 of the format.
pub(super) const FACTS_WITH_REPLICATION: u8 = 2;
/// The same, followed by the entries of both lists that exist only in some containers; since version 3 of the format.
pub(super) const FACTS_BY_CONTAINER: u8 = 3;

/// A new row.
pub(super) const NEW: u32 = u32::MAX;

/// Encodes snapshots, with the last one.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    last: Option<LastEncoded>,
    since_whole: u32,
}

#[derive(Debug)]
struct LastEncoded {
    snapshot: Snapshot,
    facts: Arc<ProtectionFacts>,
    dictionaries: HashMap<Column, TextDictionary>,
}

/// The words of a column that the reader knows.
#[derive(Debug, Default)]
struct TextDictionary {
    known: HashMap<Box<str>, u32>,
    /// The number in the recording of each code of the last snapshot.
    numbers: Vec<u32>,
}

impl Encoder {
    /// The content of the block for a snapshot.
    pub(super) fn encode(&mut self, recorded: RecordedSnapshot) -> Vec<u8> {
        let snapshot = recorded.snapshot;
        let columns: Vec<Column> = Column::ALL.iter().copied().filter(|one| snapshot.has(*one)).collect();
        let same_columns = |last: &LastEncoded| {
            Column::ALL
                .iter()
                .all(|one| last.snapshot.has(*one) == snapshot.has(*one))
        };
        let last = self.last.take().filter(same_columns);
        let last = last.filter(|_| self.since_whole < WHOLE_EVERY);
        let mut put = Put::default();
        put.byte(if last.is_some() { CHANGES } else { WHOLE });
        moment(&mut put, &snapshot);
        facts(&mut put, &recorded.facts, last.as_ref().map(|last| &last.facts));
        readings(&mut put, &recorded.readings);
        let from = rows(&mut put, &snapshot, last.as_ref().map(|last| &last.snapshot));
        put.count(columns.len());
        let (before, mut dictionaries) = match last {
            Some(last) => {
                self.since_whole += 1;
                (Some(last.snapshot), last.dictionaries)
            }
            None => {
                self.since_whole = 1;
                (None, HashMap::new())
            }
        };
        for column in columns {
            if before.is_none() {
                put.text(column.name());
                put.byte(u8::from(column.kind() == Kind::Text));
            }
            let mut section = Put::default();
            if let Some(texts) = snapshot.texts(column) {
                let before = before.as_ref().and_then(|before| before.texts(column));
                let dictionary = dictionaries.entry(column).or_default();
                changed_texts(&mut section, texts, before, &from, dictionary);
            } else if let Some(numbers) = snapshot.numbers(column) {
                let before = before.as_ref().and_then(|before| before.numbers(column));
                changed_numbers(&mut section, numbers, before, &from);
            }
            put.bytes(&section.0);
        }
        self.last = Some(LastEncoded {
            snapshot,
            facts: recorded.facts,
            dictionaries,
        });
        put.0
    }
}

fn moment(put: &mut Put, snapshot: &Snapshot) {
    put.byte(match snapshot.source() {
        SnapshotSource::Live => 0,
        SnapshotSource::Saved => 1,
    });
    put.byte(u8::from(snapshot.clock().is_some()));
    if let Some(clock) = snapshot.clock() {
        put.signed(clock.now.0);
        put.signed(i64::from(clock.utc_offset));
    }
    put.count(snapshot.instances().len());
    for instance in snapshot.instances() {
        put.number(instance.inst_id.into());
        put.text(&instance.name);
        put.byte(u8::from(instance.complete));
    }
    put.count(snapshot.parallel_servers().len());
    for server in snapshot.parallel_servers() {
        for id in [
            server.inst_id,
            server.sid,
            server.serial,
            server.coordinator_inst_id,
            server.coordinator_sid,
        ] {
            put.number(id.into());
        }
    }
}

fn facts(put: &mut Put, facts: &Arc<ProtectionFacts>, last: Option<&Arc<ProtectionFacts>>) {
    if last.is_some_and(|last| last == facts) {
        put.byte(SAME_FACTS);
        return;
    }
    let lists = [&facts.oracle_maintained, &facts.replication];
    let by_container = lists.iter().any(|accounts| accounts.are_by_container());
    let replicates = facts.replication.everywhere().next().is_some();
    put.byte(match (by_container, replicates) {
        (true, _) => FACTS_BY_CONTAINER,
        (false, true) => FACTS_WITH_REPLICATION,
        (false, false) => FACTS,
    });
    put.text(&facts.own_username);
    put.count(facts.own_sessions.len());
    for (inst_id, sid, serial) in &facts.own_sessions {
        for id in [inst_id, sid, serial] {
            put.number(u64::from(*id));
        }
    }
    names(put, facts.oracle_maintained.everywhere());
    if by_container || replicates {
        names(put, facts.replication.everywhere());
    }
    for accounts in lists.into_iter().filter(|_| by_container) {
        put.count(accounts.local().count());
        for (con_id, local) in accounts.local() {
            put.number(con_id.into());
            names(put, local.iter());
        }
    }
}

fn names<'a>(put: &mut Put, names: impl Iterator<Item = &'a String>) {
    let mut names: Vec<&String> = names.collect();
    names.sort_unstable();
    put.count(names.len());
    names.into_iter().for_each(|name| put.text(name));
}

fn readings(put: &mut Put, readings: &crate::decide::pressure::Readings) {
    let mut all: Vec<_> = readings.iter().collect();
    all.sort_unstable_by_key(|(inst_id, resource, _)| (*inst_id, *resource));
    put.count(all.len());
    for (inst_id, resource, reading) in all {
        put.number(inst_id.into());
        put.text(resource.name());
        put.signed(reading.used);
        put.optional(reading.limit);
    }
}

/// Writes the previous row number of each row, in runs: the length, then 0 for new rows or else the beginning of the run,
/// relative to the end of the run before.
fn rows(put: &mut Put, snapshot: &Snapshot, last: Option<&Snapshot>) -> Vec<u32> {
    let rows = snapshot.rows();
    put.count(rows);
    let Some(last) = last else { return vec![NEW; rows] };
    let short = |row: usize| u32::try_from(row).expect("a snapshot has at most a million rows");
    let before: HashMap<SessionKey, u32> = (0..last.rows())
        .filter_map(|row| Some((last.key(row)?, short(row))))
        .collect();
    let of = |row| snapshot.key(row).and_then(|key| before.get(&key).copied());
    let from: Vec<u32> = (0..rows).map(|row| of(row).unwrap_or(NEW)).collect();
    let mut expected = 0;
    let mut at = 0;
    while at < rows {
        let start = from[at];
        let goes_on = |length: usize| {
            let next = from[at + length];
            if start == NEW {
                next == NEW
            } else {
                next != NEW && next as usize == start as usize + length
            }
        };
        let length = (1..rows - at).find(|length| !goes_on(*length)).unwrap_or(rows - at);
        put.count(length);
        if start == NEW {
            put.byte(0);
        } else {
            put.byte(1);
            put.signed(i64::from(start) - expected);
            expected = i64::from(start) + i64::try_from(length).expect("a snapshot has at most a million rows");
        }
        at += length;
    }
    from
}

fn changed_texts(put: &mut Put, texts: &Texts, before: Option<&Texts>, from: &[u32], dictionary: &mut TextDictionary) {
    let anew = before.is_none() || dictionary.known.len() > 2 * texts.code_count() + 64;
    if anew {
        *dictionary = TextDictionary::default();
    }
    put.byte(u8::from(anew));
    const UNUSED: u32 = u32::MAX;
    let mut numbers = vec![UNUSED; texts.code_count()];
    numbers[0] = 0;
    let mut words = Vec::new();
    for row in 0..from.len() {
        let code = texts.code(row);
        if numbers[code as usize] != UNUSED {
            continue;
        }
        let Some(word) = texts.word(code) else { continue };
        let next = u32::try_from(dictionary.known.len()).expect("fewer words than bytes") + 1;
        numbers[code as usize] = match dictionary.known.get(word) {
            Some(number) => *number,
            None => {
                dictionary.known.insert(word.into(), next);
                words.push(word);
                next
            }
        };
    }
    put.count(words.len());
    words.into_iter().for_each(|word| put.text(word));
    let was = |row: u32| match before {
        Some(before) if !anew && row != NEW => dictionary.numbers[before.code(row as usize) as usize],
        Some(_) | None => 0,
    };
    let is = |row: usize| numbers[texts.code(row) as usize];
    let changed: Vec<usize> = (0..from.len()).filter(|row| is(*row) != was(from[*row])).collect();
    exceptions(put, &changed, |put, row| put.number(is(row).into()));
    dictionary.numbers = numbers;
}

fn changed_numbers(put: &mut Put, numbers: &Numbers, before: Option<&Numbers>, from: &[u32]) {
    let was = |row: usize| match before {
        Some(before) if from[row] != NEW => before.get(from[row] as usize),
        Some(_) | None => None,
    };
    let is = |row: usize| numbers.get(row);
    let shift = usual_shift((0..from.len()).filter_map(|row| Some(is(row)?.wrapping_sub(was(row)?))));
    let exceptions_of = |shift: i64| -> Vec<usize> {
        let differs = |row: &usize| is(*row) != shifted(was(*row), shift);
        (0..from.len()).filter(differs).collect()
    };
    let (mut shift, mut changed) = (shift, exceptions_of(shift));
    if shift != 0 {
        let unshifted = exceptions_of(0);
        if unshifted.len() <= changed.len() {
            (shift, changed) = (0, unshifted);
        }
    }
    put.signed(shift);
    exceptions(put, &changed, |put, row| {
        put.optional(is(row).map(|is| is.wrapping_sub(shifted(was(row), shift).unwrap_or(0))));
    });
}

/// The predicted value; NULL stays NULL.
pub(super) fn shifted(was: Option<i64>, shift: i64) -> Option<i64> {
    was.map(|was| was.wrapping_add(shift))
        .filter(|is| *is != Numbers::WIDE_NULL)
}

/// The most frequent difference if it is a majority, otherwise any of them (majority vote).
fn usual_shift(differences: impl Iterator<Item = i64>) -> i64 {
    let (mut usual, mut votes) = (0, 0_usize);
    for difference in differences {
        if votes == 0 {
            (usual, votes) = (difference, 1);
        } else if difference == usual {
            votes += 1;
        } else {
            votes -= 1;
        }
    }
    usual
}

/// Writes the rows whose value is not the predicted one: the distance to the row before, then the value.
fn exceptions(put: &mut Put, rows: &[usize], value: impl Fn(&mut Put, usize)) {
    put.count(rows.len());
    let mut next = 0;
    for row in rows {
        put.count(row - next);
        value(put, *row);
        next = row + 1;
    }
}
