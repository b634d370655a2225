//! Deletes the oldest file of the journal when it is beyond what the configuration keeps.
//!
//! Whole files go, the oldest first, so the chain has no hole: the first record that stays names the hash of the last that went,
//! and a record of the deletion, which is on the disk before the file is deleted, names the same.
//!
//! A file stays, whatever the configuration says, while it has
//! - a record of the last day, which budgets count by;
//! - an action that is still followed or whose outcome is unknown, as far as the whole journal knows.
//!
//! A file that cannot be read is no reason to delete it. Of what is too old, one file goes in an hour: a host's clock that jumps
//! ahead costs one and not all.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::config::Retention;
use crate::event::{DeletedFile, Event};
use crate::journal::chain::{LineHash, Raw, raw_lines};
use crate::journal::files::Files;
use crate::journal::read::{History, REMEMBERED, record};
use crate::journal::record::Record;
use crate::journal::{Journal, RECORD_BYTES};
use crate::quantity::{Bytes, Span};

/// What became of the oldest file.
#[derive(Debug)]
pub(crate) enum Tidied {
    /// It is within the limits, or the only one.
    Nothing,
    /// It was deleted; the event is in the journal.
    Deleted { event: Event, is_too_large: bool },
    /// It is beyond a limit, and stays.
    Stays(String),
}

impl Journal {
    /// Deletes the oldest file if it is beyond what is kept. Returns when the record of that is on the disk.
    ///
    /// # Errors
    /// When a file cannot be read, the record cannot be written, or the file cannot be deleted. Then it is there.
    pub(crate) fn tidy(&mut self, kept: &Retention, now: DateTime<Utc>) -> io::Result<Tidied> {
        let Some(state) = self.medium.state().map(Path::to_owned) else {
            return Ok(Tidied::Nothing);
        };
        self.make_sure()?;
        self.limit = kept.file_bytes();
        let files = Files::open(&state).map_err(io::Error::other)?;
        if self.len > 0
            && let Some((path, current)) = files.newest_first().next()
        {
            let began = first_written(current).map_err(|error| named(path, &error))?;
            if began.is_some_and(|began| now - began > kept.file_span()) {
                self.start_file()?;
            }
        }
        let mut oldest_first = files.oldest_first();
        let (Some((path, oldest)), Some(_)) = (oldest_first.next(), oldest_first.next()) else {
            return Ok(Tidied::Nothing);
        };
        let all: u64 = files
            .newest_first()
            .map(|(_, opened)| length(opened))
            .sum::<io::Result<u64>>()?;
        let is_too_large = all > kept.size;
        let found = look(oldest).map_err(|error| named(path, &error))?;
        let reason = if is_too_large {
            let size = |bytes: u64| Bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
            format!("the journal has {}, and {} are kept", size(all), size(kept.size))
        } else if found.written.is_some_and(|(_, to)| now - to > kept.keep) {
            format!("its last record is older than {}", Span(kept.keep.num_seconds()))
        } else {
            return Ok(Tidied::Nothing);
        };
        let bytes = length(oldest)?;
        let written = found.written;
        let (records, through) = (found.records, found.last);
        if let Some(why) = found.stays(&files, now)? {
            return Ok(Tidied::Stays(format!(
                "{} stays although {reason}: {why}",
                path.display()
            )));
        }
        let (from, to) = written.unwrap_or((now, now));
        let event = Event::Retention(DeletedFile {
            reason,
            bytes,
            records,
            from,
            to,
            through: through.to_string(),
        });
        self.append(&event, now)?;
        self.medium.delete(oldest)?;
        Ok(Tidied::Deleted { event, is_too_large })
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("read {}: {error}", path.display()))
}

fn length(opened: &File) -> io::Result<u64> {
    Ok(opened.metadata()?.len())
}

/// When the first record of a file was written.
fn first_written(opened: &File) -> io::Result<Option<DateTime<Utc>>> {
    let mut first = None;
    for line in BufReader::new(opened.take(u64::try_from(RECORD_BYTES).unwrap_or(u64::MAX)))
        .split(b'\n')
        .take(2)
    {
        first = first.or(record(&line?).ok().map(|(at, _)| at));
    }
    Ok(first)
}

/// What the oldest file has.
struct OldestFile {
    records: u64,
    /// When the first and the last record were written.
    written: Option<(DateTime<Utc>, DateTime<Utc>)>,
    last: LineHash,
    /// The actions that are open at its end.
    open: History,
}

fn look(opened: &File) -> io::Result<OldestFile> {
    let mut found = OldestFile {
        records: 0,
        written: None,
        last: LineHash::NOTHING,
        open: History::default(),
    };
    raw_lines(opened, |_, _, line| {
        found.last = line.link();
        if let Raw::Text(text) = line
            && let Ok((at, record)) = record(text)
        {
            found.records += 1;
            let (from, to) = found.written.unwrap_or((at, at));
            found.written = Some((from.min(at), to.max(at)));
            follow(&mut found.open, at, record);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Holds the actions that are open, and no others.
fn follow(open: &mut History, at: DateTime<Utc>, record: Record) {
    let id = match &record {
        Record::Intent(record) => record.id,
        Record::Outcome(record) => record.id,
        Record::Verification(record) => record.id,
        Record::Started { .. }
        | Record::Stopping { .. }
        | Record::PoliciesLoaded { .. }
        | Record::PoliciesFailed { .. }
        | Record::DatabaseUp { .. }
        | Record::DatabaseDown { .. }
        | Record::Dropped(_)
        | Record::BreakerOpened { .. }
        | Record::BreakerClosed { .. }
        | Record::CameBack(_)
        | Record::Rehearsed(_)
        | Record::GroupSuspended { .. }
        | Record::GroupReleased { .. }
        | Record::Paused { .. }
        | Record::Resumed { .. }
        | Record::Retention(_)
        | Record::JournalGap { .. } => return,
    };
    // A record that cannot be understood changes nothing: the action stays open.
    let _ = open.take(at, record);
    if open.actions.get(&id).is_some_and(|past| !past.is_open()) {
        open.actions.remove(&id);
    }
}

impl OldestFile {
    /// Why the file must not be deleted.
    fn stays(mut self, files: &Files, now: DateTime<Utc>) -> io::Result<Option<String>> {
        if self.written.is_some_and(|(_, to)| now - to < REMEMBERED) {
            return Ok(Some("budgets count by its last day".to_owned()));
        }
        for (path, opened) in files.oldest_first().skip(1) {
            if self.open.actions.is_empty() {
                break;
            }
            let read = raw_lines(opened, |_, _, line| {
                if let Raw::Text(text) = line
                    && let Ok((at, record)) = record(text)
                    && !matches!(record, Record::Intent(_))
                {
                    follow(&mut self.open, at, record);
                }
                Ok(())
            });
            read.map_err(|error| named(path, &error))?;
        }
        Ok(self.open.actions.first_key_value().map(|(id, past)| {
            let database = &past.intent.database;
            format!("what became of action {id} on {database} is not known")
        }))
    }
}
