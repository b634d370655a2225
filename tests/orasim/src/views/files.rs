//! Tablespaces and their files in the current container: DBA_ views show no other container, even from the root.

use std::collections::BTreeMap;

use super::{Cell, Col, Sink, Snap, n, since, v, view};
use crate::backend::ColumnType;
use crate::scenario::{Contents, Release, Scenario};

const BLOCK: i64 = 8192;

/// A file as it is now.
struct Held {
    tablespace: String,
    contents: Contents,
    number: i64,
    bytes: i64,
    most: Option<i64>,
}

const DEFAULTS: [(&str, Contents, i64); 5] = [
    ("SYSTEM", Contents::Permanent, 1 << 30),
    ("SYSAUX", Contents::Permanent, 2 << 30),
    ("UNDOTBS1", Contents::Undo, 10 << 30),
    ("TEMP", Contents::Temporary, 32 << 30),
    ("USERS", Contents::Permanent, 5 << 30),
];

/// The files of a container, the scenario's in place of the defaults of that name.
fn files(scenario: &Scenario, con_id: u32) -> Vec<Held> {
    let here = |container: Option<&str>| scenario.con_id(container) == Some(con_id);
    let given: Vec<_> = scenario
        .tablespaces
        .iter()
        .filter(|file| here(file.container.as_deref()))
        .collect();
    let defaults = DEFAULTS
        .iter()
        .filter(|(name, _, _)| !given.iter().any(|file| file.name.eq_ignore_ascii_case(name)))
        .map(|(name, contents, bytes)| ((*name).to_owned(), *contents, *bytes, None));
    let given = given.iter().map(|file| {
        (
            file.name.to_uppercase(),
            file.contents,
            file.size.0,
            file.grows_to.map(|most| most.0),
        )
    });
    let numbered = defaults.chain(given).zip(1..);
    numbered
        .map(|((tablespace, contents, bytes, most), number)| Held {
            tablespace,
            contents,
            number,
            bytes,
            most,
        })
        .collect()
}

/// Temporary space in use in the container, on all instances.
fn temp_in_use(snap: &Snap<'_>) -> i64 {
    let own = |con_id: u32| con_id == snap.viewer.con_id;
    snap.state
        .sessions
        .values()
        .filter(|sess| own(sess.con_id))
        .map(|sess| sess.temp)
        .sum()
}

/// Temp files with what they have grown to by now: as far as their limits go, one after the other.
fn temporary(snap: &Snap<'_>) -> Vec<Held> {
    let mut files: Vec<_> = files(snap.scenario, snap.viewer.con_id)
        .into_iter()
        .filter(|file| file.contents == Contents::Temporary)
        .collect();
    // All work goes to the first temporary tablespace.
    let first = files.first().map(|file| file.tablespace.clone());
    let mut missing = temp_in_use(snap)
        - files
            .iter()
            .filter(|file| Some(&file.tablespace) == first.as_ref())
            .map(|file| file.bytes)
            .sum::<i64>();
    for file in files.iter_mut().filter(|file| Some(&file.tablespace) == first.as_ref()) {
        let room = file.most.map_or(0, |most| (most - file.bytes).max(0));
        let more = missing.clamp(0, room);
        file.bytes += more;
        missing -= more;
    }
    files
}

fn file_columns(temporary: bool) -> Vec<Col<Held>> {
    let name: Col<Held> = if temporary {
        v("FILE_NAME", 513, |s, r| {
            Cell::Owned(format!(
                "/u02/oradata/{}/temp{:02}.dbf",
                s.scenario.database.name, r.number
            ))
        })
    } else {
        v("FILE_NAME", 513, |s, r| {
            Cell::Owned(format!(
                "/u02/oradata/{}/data{:02}.dbf",
                s.scenario.database.name, r.number
            ))
        })
    };
    vec![
        name,
        n("FILE_ID", |_, r| Cell::Int(r.number)),
        v("TABLESPACE_NAME", 30, |_, r| Cell::Owned(r.tablespace.clone())),
        n("BYTES", |_, r| Cell::Int(r.bytes)),
        n("BLOCKS", |_, r| Cell::Int(r.bytes / BLOCK)),
        v("STATUS", 9, |_, r| {
            Cell::Word(if r.contents == Contents::Temporary {
                "ONLINE"
            } else {
                "AVAILABLE"
            })
        }),
        n("RELATIVE_FNO", |_, r| Cell::Int(r.number)),
        v("AUTOEXTENSIBLE", 3, |_, r| {
            Cell::Word(if r.most.is_some() { "YES" } else { "NO" })
        }),
        n("MAXBYTES", |_, r| Cell::Int(r.most.unwrap_or(0))),
        n("MAXBLOCKS", |_, r| Cell::Int(r.most.unwrap_or(0) / BLOCK)),
        n("INCREMENT_BY", |_, r| {
            Cell::Int(if r.most.is_some() { 1_280 } else { 0 })
        }),
        n("USER_BYTES", |_, r| Cell::Int(r.bytes - (1 << 20))),
        n("USER_BLOCKS", |_, r| Cell::Int((r.bytes - (1 << 20)) / BLOCK)),
    ]
}

fn data_file_columns() -> Vec<Col<Held>> {
    let mut columns = file_columns(false);
    columns.push(v("ONLINE_STATUS", 7, |_, r| {
        Cell::Word(if r.tablespace == "SYSTEM" { "SYSTEM" } else { "ONLINE" })
    }));
    columns
}

fn data(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Held)> {
    files(snap.scenario, snap.viewer.con_id)
        .into_iter()
        .filter(|file| file.contents != Contents::Temporary)
        .map(|file| (0, file))
}

view!(data_files, Held, super::data_file_columns(), |snap| super::data(snap));
view!(temp_files, Held, super::file_columns(true), |snap| super::temporary(
    snap
)
.into_iter()
.map(|file| (0, file)));

/// A temporary tablespace: its name, its size today, and what of it is in use.
type Free = (String, i64, i64);

fn free_columns() -> Vec<Col<Free>> {
    vec![
        v("TABLESPACE_NAME", 30, |_, r| Cell::Owned(r.0.clone())),
        n("TABLESPACE_SIZE", |_, r| Cell::Int(r.1)),
        n("ALLOCATED_SPACE", |_, r| Cell::Int(r.2)),
        n("FREE_SPACE", |_, r| Cell::Int((r.1 - r.2).max(0))),
        since(12, 2, v("SHARED", 12, |_, _| Cell::Word("SHARED"))),
        since(12, 2, n("INST_ID", |_, _| Cell::Null)),
    ]
}

fn free(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Free)> {
    let mut spaces: Vec<Free> = Vec::new();
    for file in temporary(snap) {
        match spaces.iter_mut().find(|(name, _, _)| *name == file.tablespace) {
            Some(space) => space.1 += file.bytes,
            None => spaces.push((file.tablespace, file.bytes, 0)),
        }
    }
    if let Some(first) = spaces.first_mut() {
        first.2 = temp_in_use(snap).min(first.1);
    }
    spaces.into_iter().map(|space| (0, space))
}

view!(temp_free_space, Free, super::free_columns(), |snap| super::free(snap));

type Space = (String, Contents);

fn tablespace_columns() -> Vec<Col<Space>> {
    vec![
        v("TABLESPACE_NAME", 30, |_, r| Cell::Owned(r.0.clone())),
        n("BLOCK_SIZE", |_, _| Cell::Int(BLOCK)),
        v("STATUS", 9, |_, _| Cell::Word("ONLINE")),
        v("CONTENTS", 21, |_, r| {
            Cell::Word(match r.1 {
                Contents::Permanent => "PERMANENT",
                Contents::Undo => "UNDO",
                Contents::Temporary => "TEMPORARY",
            })
        }),
        v("BIGFILE", 3, |_, _| Cell::Word("NO")),
    ]
}

fn spaces(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Space)> {
    let spaces: BTreeMap<String, Contents> = files(snap.scenario, snap.viewer.con_id)
        .into_iter()
        .map(|file| (file.tablespace, file.contents))
        .collect();
    spaces.into_iter().map(|space| (0, space))
}

view!(tablespaces, Space, super::tablespace_columns(), |snap| super::spaces(
    snap
));
