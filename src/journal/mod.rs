//! The journal: what the daemon did and is about to do, in an append-only file of JSON lines.
//!
//! `<state>/journal.jsonl` is the current file. When it is full it becomes `journal.1.jsonl`, the one before `journal.2.jsonl`
//! and so on; the oldest is removed. The records are documented in [`record`].
//!
//! The journal is the daemon's only memory across a restart, and its one hard promise: **when [`Journal::append`] returns,
//! the record is on the disk,** in the file that the path names. An intent is appended before its statement is sent, so a crash at any instruction can leave
//! an action without an outcome, and never an action without a record. The price is one flush an action; a cycle has few.
//!
//! A write that fails half-way is cut off again before anything else is written, and if that fails too, nothing is written:
//! whoever asked gets the error and does not act. A file that a crash has cut in the middle of a record is never cut by the
//! next start; its last line is ended with a line feed and stays as damage that is reported.
//!
//! A folder belongs to one daemon. The lock is on a file of its own, because the journal's own file changes its name.

pub mod entries;
pub mod read;
mod record;
#[cfg(test)]
pub(crate) mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::event::Event;
use crate::journal::read::{History, read};
pub(crate) use crate::journal::record::cells;
use crate::journal::record::{Line, Record, VERSION};
use crate::terminal::visible::json_escaped;

/// The current file grows no larger than this.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// So many full files are kept beside the current one.
pub const FILES_KEPT: u32 = 8;

/// A record is never larger: a session's whole row is some kilobytes.
pub const RECORD_BYTES: usize = 1024 * 1024;

const MODE: u32 = 0o640;

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
pub enum Error {
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

impl Error {
    fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Io {
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
    /// Whether what is written is the file that its path names.
    fn verify(&self) -> io::Result<()>;
    /// Makes this file the newest of the full ones and starts a new one.
    fn rotate(&mut self) -> io::Result<()>;
}

/// The journal of a state folder, open for writing.
#[derive(Debug)]
pub struct Journal {
    medium: Box<dyn Medium>,
    limit: u64,
    /// The current file's length up to the last record that was written whole.
    len: u64,
    /// Whether there may be half a record after it.
    torn: bool,
}

impl Journal {
    /// Takes the folder, reads what is there, and opens the journal for writing. `now` is the host's time: older records
    /// than a day are not read, for nothing depends on them any more.
    ///
    /// # Errors
    /// When another daemon has the folder, or it cannot be read or written. Damaged records are no error: they are reported
    /// in the history.
    pub fn open(state: &Path, now: DateTime<Utc>) -> Result<(Journal, History), Error> {
        fs::create_dir_all(state).map_err(Error::io("create state folder", state))?;
        let lock = lock(state)?;
        let history = read(state, now)?;
        let mut disk = Disk::open(state, lock).map_err(Error::io("open journal in", state))?;
        let len = disk.end_last_line().map_err(Error::io("write journal in", state))?;
        let journal = Journal {
            medium: Box::new(disk),
            limit: FILE_BYTES,
            len,
            torn: false,
        };
        Ok((journal, history))
    }

    #[cfg(test)]
    pub(crate) fn on(medium: Box<dyn Medium>, limit: u64) -> Journal {
        Journal {
            medium,
            limit,
            len: 0,
            torn: false,
        }
    }

    /// Writes an event's record; returns when it is on the disk. An event that is not journalled costs nothing.
    ///
    /// # Errors
    /// When the record is not on the disk. Then it must be taken as not written, although a crash may yet show it.
    pub fn append(&mut self, event: &Event, at: DateTime<Utc>) -> io::Result<()> {
        match line(event, at)? {
            Some(line) => self.append_line(&line),
            None => Ok(()),
        }
    }

    /// As [`Self::append`], with a line that [`line()`] made.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.medium.cut(self.len)?;
            self.torn = false;
        }
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.len > 0 && self.len.saturating_add(size) > self.limit {
            self.medium.rotate()?;
            self.len = 0;
        }
        // Until the record is known to be whole and on the disk, the file's end is not to be trusted.
        self.torn = true;
        self.medium.append(line)?;
        self.medium.sync()?;
        self.medium.verify()?;
        self.torn = false;
        self.len += size;
        Ok(())
    }
}

/// An event's line with its line feed; `None` for one that is not journalled.
pub(crate) fn line(event: &Event, at: DateTime<Utc>) -> io::Result<Option<Vec<u8>>> {
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let Some(record) = Record::of(event).map_err(|error| invalid(error.to_string()))? else {
        return Ok(None);
    };
    let line = Line { v: VERSION, at, record };
    let json = serde_json::to_string(&line).map_err(|error| invalid(error.to_string()))?;
    let mut line = json_escaped(&json).into_owned().into_bytes();
    line.push(b'\n');
    if line.len() > RECORD_BYTES {
        return Err(invalid(format!(
            "a record of {} bytes is larger than {RECORD_BYTES}",
            line.len()
        )));
    }
    Ok(Some(line))
}

/// Takes the folder for this process, until it ends or drops the file.
fn lock(state: &Path) -> Result<File, Error> {
    let path = state.join("lock");
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(&path);
    let mut file = open.map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            // Only for the message of whoever comes second; the lock is the kernel's.
            let named = file
                .set_len(0)
                .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            named.map_err(Error::io("write", &path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let read = Read::by_ref(&mut file).take(20).read_to_string(&mut owner);
            let known = read.is_ok() && !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit());
            Err(Error::InUse {
                state: state.to_owned(),
                owner: if known { owner } else { "unknown".to_owned() },
            })
        }
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
    }
}

/// Whether an open file is the one that a path names: what is written into another is lost with this process.
fn is_named(open: &File, path: &Path) -> io::Result<()> {
    let shown = path.display();
    let named = fs::metadata(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{shown} cannot be looked at any more: {error}")))?;
    let ours = open.metadata()?;
    if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) && ours.nlink() > 0 {
        return Ok(());
    }
    let error = format!("{shown} is another file than the one that is open: the state folder was moved or replaced");
    Err(io::Error::new(io::ErrorKind::NotFound, error))
}

/// The files of a state folder.
#[derive(Debug)]
struct Disk {
    state: PathBuf,
    current: File,
    /// Held for as long as the journal lives.
    lock: File,
}

impl Disk {
    fn open(state: &Path, lock: File) -> io::Result<Disk> {
        Ok(Disk {
            state: state.to_owned(),
            current: Disk::open_current(state)?,
            lock,
        })
    }

    fn open_current(state: &Path) -> io::Result<File> {
        let path = file(state, 0);
        let current = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path)?;
        // A new file's name is on the disk only when its folder is.
        File::open(state)?.sync_all()?;
        Ok(current)
    }

    /// Ends a line that a crash has cut, so that the next record starts on its own; gives the file's length.
    fn end_last_line(&mut self) -> io::Result<u64> {
        let len = self.current.seek(SeekFrom::End(0))?;
        if len == 0 {
            return Ok(0);
        }
        let mut last = [0];
        self.current.seek(SeekFrom::End(-1))?;
        self.current.read_exact(&mut last)?;
        if last == [b'\n'] {
            return Ok(len);
        }
        self.current.write_all(b"\n")?;
        self.current.sync_data()?;
        Ok(len + 1)
    }
}

impl Medium for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.current.set_len(len)?;
        self.current.sync_data()
    }

    fn verify(&self) -> io::Result<()> {
        is_named(&self.current, &file(&self.state, 0))?;
        // Without its name the lock keeps nobody out.
        is_named(&self.lock, &self.state.join("lock"))
    }

    /// A crash between two of these renames leaves a gap in the numbers, which reading does not mind.
    fn rotate(&mut self) -> io::Result<()> {
        for age in (0..FILES_KEPT).rev() {
            match fs::rename(file(&self.state, age), file(&self.state, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.current = Disk::open_current(&self.state)?;
        Ok(())
    }
}
