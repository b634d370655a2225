//! The journal: what the daemon did and is about to do, in an append-only file of JSON lines.
//!
//! `<state>/journal.jsonl` is the current file. When it is full it becomes `journal.1.jsonl`, the one before `journal.2.jsonl`
//! and so on; the oldest are deleted as the configuration says ([`retention`]). The records are documented in [`record`].
//!
//! The journal is the daemon's only memory across a restart, and its one hard promise: **when [`Journal::append`] returns,
//! the record is on the disk,** in the file that the path names. An intent is appended before its statement is sent, so a crash
//! at any instruction can leave an action without an outcome, and never an action without a record. Records that come at the
//! same time share a flush (see [`crate::event_sink`]).
//!
//! A write that fails half-way is cut off again before anything else is written, and if that fails too, nothing is written:
//! the caller gets the error and does not act. The same applies while the file is not as this process left it: moved, deleted,
//! replaced, cut (`: > journal.jsonl`, `copytruncate`) or written to by somebody else. What the daemon remembers would not be
//! what the next start reads. A file that a crash has cut in the middle of a record is never cut by the next start; its last line
//! is ended with a line feed and stays as damage that is reported.
//!
//! Each line carries the hash of the one before it ([`chain`]), so that [`verify`] finds what was changed afterwards.
//!
//! A folder belongs to one daemon. The lock is on a file of its own, because the journal's own file changes its name.

mod cells;
pub(crate) mod chain;
mod disk;
pub(crate) mod entries;
mod files;
pub(crate) mod left;
mod open;
pub mod read;
mod record;
mod retention;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod trust;
pub(crate) mod verify;

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::event::Event;
pub(crate) use crate::journal::cells::cells;
use crate::journal::chain::{ChainEnd, LineHash, SEAL_BYTES};
use crate::journal::disk::{Disk, lock};
use crate::journal::read::{History, read};
use crate::journal::record::{JournalLine, Record, VERSION};
pub(crate) use crate::journal::retention::Tidied;
use crate::terminal::visible::json_escaped;

/// The current file grows no larger than this, unless the configuration keeps little.
pub(crate) const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A record is never larger: a session's whole row is some kilobytes.
pub(crate) const RECORD_BYTES: usize = 1024 * 1024;

/// The file of this age: 0 is the current one.
#[must_use]
pub fn file(state: &Path, age: u32) -> PathBuf {
    match age {
        0 => state.join("journal.jsonl"),
        age => state.join(format!("journal.{age}.jsonl")),
    }
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another daemon uses the folder.
    #[error("state folder {} is in use by another orareaper (process {owner})", state.display())]
    InUse {
        /// The folder.
        state: PathBuf,
        /// The process id that the lock names, or `unknown`.
        owner: String,
    },
    /// The folder or a file in it.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl JournalError {
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> JournalError + 'a {
        move |source| JournalError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Where records go: a file, or in tests something that fails on purpose.
pub(crate) trait Medium: Send + std::fmt::Debug {
    /// Writes at the end; may write a part and fail.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything that was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off everything after `len`.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Whether what is written is the file that its path names, and is as long as this: nobody else has cut it or written to it.
    fn verify(&self, length: RangeInclusive<u64>) -> io::Result<()>;
    /// Makes this file the newest of the full ones and starts a new one.
    fn rotate(&mut self) -> io::Result<()>;
    /// The folder of the files.
    fn state(&self) -> Option<&Path>;
    /// Deletes a full file, whatever it is named now.
    fn delete(&mut self, full: &File) -> io::Result<()>;
}

/// The journal of a state folder, open for writing.
#[derive(Debug)]
pub struct Journal {
    medium: Box<dyn Medium>,
    limit: u64,
    /// The current file's length up to the last record that was written whole.
    len: u64,
    /// How many bytes of a failed write may follow it.
    torn: u64,
    /// Where the chain ends.
    end: ChainEnd,
}

impl Journal {
    /// Takes the folder, reads what is there, and opens the journal for writing. `now` is the host's time: older records
    /// than a day are not read, for nothing depends on them any more.
    ///
    /// # Errors
    /// When another daemon has the folder, or it cannot be read or written. Damaged records are no error: they are reported
    /// in the history.
    pub fn open(state: &Path, now: DateTime<Utc>) -> Result<(Journal, History), JournalError> {
        crate::folder::make_state(state).map_err(JournalError::io("create state folder", state))?;
        let lock = lock(state)?;
        let history = read(state, now)?;
        let end = ChainEnd::of(state)?;
        let mut disk = Disk::open(state, lock).map_err(JournalError::io("open journal in", state))?;
        let len = disk
            .end_last_line()
            .map_err(JournalError::io("write journal in", state))?;
        let journal = Journal {
            medium: Box::new(disk),
            limit: FILE_BYTES,
            len,
            torn: 0,
            end,
        };
        Ok((journal, history))
    }

    #[cfg(test)]
    pub(crate) fn on(medium: Box<dyn Medium>, limit: u64) -> Journal {
        Journal {
            medium,
            limit,
            len: 0,
            torn: 0,
            end: ChainEnd::START,
        }
    }

    /// The hash of the last record, which covers every record before it.
    #[must_use]
    pub(crate) fn head(&self) -> LineHash {
        self.end.head
    }

    /// Writes an event's record; returns when it is on the disk. An event that is not journalled costs nothing.
    ///
    /// # Errors
    /// When the record is not on the disk. Then it must be taken as not written, although a crash may yet show it.
    pub fn append(&mut self, event: &Event, at: DateTime<Utc>) -> io::Result<()> {
        match line(event, at)? {
            Some(line) => self.append_lines(&line),
            None => Ok(()),
        }
    }

    /// As [`Self::append`], with lines that [`line()`] made: all of them are on the disk then, or none.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn append_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.make_sure()?;
        let length = |lines: &[u8]| u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let (mut sealed, mut end) = self.end.seal(lines);
        if self.len > 0 && self.len.saturating_add(length(&sealed)) > self.limit {
            self.start_file()?;
            (sealed, end) = self.end.seal(lines);
        }
        let size = length(&sealed);
        // Until the lines are known to be whole and on the disk, the file's end is not to be trusted.
        self.torn = size;
        let whole = self.len.saturating_add(size);
        self.medium.append(&sealed)?;
        self.medium.sync()?;
        self.medium.verify(whole..=whole)?;
        (self.torn, self.len, self.end) = (0, whole, end);
        Ok(())
    }

    fn start_file(&mut self) -> io::Result<()> {
        self.medium.rotate()?;
        self.len = 0;
        self.end = self.end.next_file();
        Ok(())
    }

    /// Looks whether the file is as it was left, and cuts off what a write that failed left behind. A file that is shorter than
    /// it was is not cut: that would fill it up with zeros.
    ///
    /// # Errors
    /// When the path names another file, somebody else has cut it or written to it, or it cannot be cut. Then nothing must be
    /// written.
    pub(crate) fn make_sure(&mut self) -> io::Result<()> {
        self.medium.verify(self.len..=self.len.saturating_add(self.torn))?;
        if self.torn > 0 {
            self.medium.cut(self.len)?;
            self.torn = 0;
        }
        Ok(())
    }
}

/// An event's line with its line feed; `None` for one that is not journalled.
pub(crate) fn line(event: &Event, at: DateTime<Utc>) -> io::Result<Option<Vec<u8>>> {
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let Some(record) = Record::of(event).map_err(|error| invalid(error.to_string()))? else {
        return Ok(None);
    };
    let line = JournalLine { v: VERSION, at, record };
    let json = serde_json::to_string(&line).map_err(|error| invalid(error.to_string()))?;
    let mut line = json_escaped(&json).into_owned().into_bytes();
    line.push(b'\n');
    if line.len() + SEAL_BYTES > RECORD_BYTES {
        return Err(invalid(format!(
            "a record of {} bytes is larger than {RECORD_BYTES}",
            line.len()
        )));
    }
    Ok(Some(line))
}
