//! Sessions from a file: what `SELECT * FROM GV$SESSION` gave, saved by whatever tool was at hand.
//!
//! A DBA tries policies on an export before trusting them with a database, so the reader takes what SQL tools really write
//! (any column order, separators, byte order marks, Oracle's own dates) and is strict about all else: a file that is cut
//! off, holds two snapshots or a date that could be read two ways is refused with its line, because a report over half of
//! the sessions would look like a report over all of them. Nothing is ever done to a session of a saved snapshot.
//!
//! # CSV
//! A header row of column names in any letter case and order, then a row for each session. The separator is a comma,
//! semicolon, tab or bar, whichever the header holds most of. Unknown columns are ignored. A field is NULL if it is empty,
//! `(null)` or `NULL` (in any letter case): SQL Developer and others write it so, and NULL spares. SQL*Plus's repeated
//! headers and its closing `412 rows selected.` are understood, and the count is held against the rows.
//!
//! # JSON
//! Either an array of objects, a session each, with column names as keys in any letter case; or one object:
//!
//! ```json
//! {"database": "prod", "taken_at": "2026-11-22T11:00:00+01:00",
//!  "sessions": [{"INST_ID": 1, "SID": 287, "SERIAL#": 62507, "LOGON_TIME": "2026-11-22T02:00:00"}]}
//! ```
//!
//! `database` and `taken_at` may be left out, other keys are ignored. Values are JSON numbers or texts; `null` and the empty
//! text are NULL. This is also the form in which a recording holds one snapshot.
//!
//! # Time
//! Dates are the wall clock of the database's host. `taken_at`, a SYSDATE or a SYSTIMESTAMP column tell what that clock
//! showed, and with an offset also where it stands; without an offset it is taken for UTC. A date that has an offset of its
//! own is moved to that clock. Without any of them the snapshot has no clock, and ages that need one are unknown.

mod assemble;
mod json;
mod stamp;
mod table;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::session::snapshot::{Clock, Snapshot};

pub use stamp::Stamp;

/// Larger files are refused. All columns of a session make about a kilobyte, so this is some quarter of a million sessions,
/// four times what Oracle allows an instance; and the file is held in memory while it is read.
pub const MAX_BYTES: u64 = 256 << 20;

/// One session's row of a CSV file is shorter than this, or a quote was never closed.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// What a file held.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The sessions, with all derived columns that GV$SESSION alone allows.
    pub snapshot: Snapshot,
    /// The database's name, where the file has one.
    pub database: Option<String>,
    /// How the file was understood.
    pub format: Format,
    /// What a reader of a report has to know about the file.
    pub notes: Vec<String>,
}

/// The form of a file, told by its content and not by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Separated values.
    Csv,
    /// JSON.
    Json,
}

/// A file that cannot be used, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub struct SavedError {
    file: String,
    line: Option<u64>,
    problem: Problem,
}

impl fmt::Display for SavedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read saved sessions from {}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl SavedError {
    /// The line that it is about, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refused.
    #[error("{0}")]
    Unreadable(io::Error),
    /// A folder.
    #[error("it is a folder; name one file")]
    Folder,
    /// Larger than [`MAX_BYTES`].
    #[error("it is larger than {} MiB, more than any database's sessions; export GV$SESSION alone", MAX_BYTES >> 20)]
    TooLarge,
    /// No byte, or white space alone.
    #[error("it is empty; export `SELECT * FROM GV$SESSION` with a header row")]
    Empty,
    /// No text, or not in UTF-8.
    #[error("{0}")]
    NotText(&'static str),
    /// A header that names no session.
    #[error(
        "{} has no column SID, so it is no list of sessions; export `SELECT * FROM GV$SESSION` with a header row", if *header { "the header row" } else { "no session" }
    )]
    NoSid {
        /// Whether a header was looked at.
        header: bool,
    },
    /// A header that names a column twice.
    #[error("column {0} is there twice, and which one counts cannot be told; export `SELECT * FROM GV$SESSION` alone")]
    DuplicateColumn(String),
    /// A header and nothing else.
    #[error("it holds no session; a database always has some, so the export failed or was filtered")]
    NoSessions,
    /// A row of another length.
    #[error("{found} fields where the header has {expected}: {}", if found < expected {
        "the file is cut off or a line break is not quoted; export it again"
    } else {
        "a value that holds the separator is not quoted; export it with quotes"
    })]
    FieldCount {
        /// In this row.
        found: usize,
        /// In the header.
        expected: usize,
    },
    /// The end came too early.
    #[error("the file ends in the middle of {0}: it is half-written or cut off; export it again")]
    CutOff(&'static str),
    /// A row beyond [`MAX_ROW_BYTES`].
    #[error("a row of more than {} KiB; is a quote never closed?", MAX_ROW_BYTES >> 10)]
    RowTooLong,
    /// Not JSON, or not of the documented form.
    #[error("{0}; expected an array of sessions or {{\"taken_at\": ..., \"database\": ..., \"sessions\": [...]}}")]
    Json(String),
    /// A value that is not what its column holds.
    #[error("column {column}: {value:?} is {expected}")]
    Value {
        /// Upper case.
        column: String,
        /// Cut to a readable length.
        value: String,
        /// "no whole number; ...".
        expected: &'static str,
    },
    /// Two snapshots in one file.
    #[error("{0}; a saved snapshot is one moment, so export it with one query")]
    SeveralSnapshots(String),
    /// Fewer or more rows than the tool said.
    #[error("the file says {said} rows and has {found}: it is cut off or was edited; export it again")]
    RowCount {
        /// `412 rows selected.`
        said: u64,
        /// Rows read.
        found: usize,
    },
    /// The snapshot's own bound.
    #[error("{0}")]
    TooManySessions(#[from] crate::session::snapshot::TooManySessions),
}

/// A problem and the line it is on.
#[derive(Debug)]
struct Fault {
    line: Option<u64>,
    problem: Problem,
}

impl Fault {
    fn at(line: u64, problem: Problem) -> Fault {
        Fault {
            line: Some(line),
            problem,
        }
    }

    fn whole(problem: Problem) -> Fault {
        Fault { line: None, problem }
    }
}

/// Opens and reads a file. `taken_at` is what the database's clock showed, and wins over what the file says.
///
/// # Errors
/// Whatever [`parse`] refuses, and what the operating system does.
pub fn open(path: &Path, taken_at: Option<Clock>) -> Result<Saved, SavedError> {
    let name = path.display().to_string();
    let fail = |problem| SavedError {
        file: name.clone(),
        line: None,
        problem,
    };
    let unreadable = |error| fail(Problem::Unreadable(error));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(fail(Problem::Folder));
    }
    if metadata.len() > MAX_BYTES {
        return Err(fail(Problem::TooLarge));
    }
    let mut bytes = Vec::new();
    // The bound is on what is read, too: a pipe or a device has no length.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    parse(&bytes, &name, taken_at)
}

/// Reads what a file holds. `name` stands in messages only.
///
/// # Errors
/// When the content is no complete snapshot in one of the documented forms.
pub fn parse(bytes: &[u8], name: &str, taken_at: Option<Clock>) -> Result<Saved, SavedError> {
    let read = || {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Fault::whole(Problem::TooLarge));
        }
        let text = text_of(bytes)?;
        if text.trim_start().starts_with(['[', '{']) {
            json::read(text, taken_at)
        } else {
            table::read(text, taken_at)
        }
    };
    read().map_err(|fault| SavedError {
        file: name.to_owned(),
        line: fault.line,
        problem: fault.problem,
    })
}

/// The bytes as text, or why they are none. A NUL further down is taken: old Windows clients end MACHINE with one.
fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
    let not_text = |what| Err(Fault::whole(Problem::NotText(what)));
    match bytes {
        [0x1f, 0x8b, ..] => return not_text("it is compressed; unpack it first"),
        [b'P', b'K', 3, 4, ..] => return not_text("it is a workbook or a zip archive; save it as CSV in UTF-8"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return not_text("it is in UTF-16; save it in UTF-8"),
        _ => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_control = |byte: &u8| *byte < b' ' && !matches!(*byte, b'\t' | b'\r');
    if first_line.iter().any(is_control) {
        return not_text("it is binary, not text; export `SELECT * FROM GV$SESSION` as CSV or JSON");
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        Fault::at(
            line,
            Problem::NotText("it is binary or not in UTF-8; export it in UTF-8"),
        )
    })?;
    if text.trim().is_empty() {
        return Err(Fault::whole(Problem::Empty));
    }
    Ok(text)
}

/// What a command line gives as the time of a snapshot: the wall clock of the database's host, with an offset where it is
/// not UTC.
///
/// # Errors
/// The forms that are understood.
pub fn parse_taken_at(text: &str) -> Result<Clock, &'static str> {
    Stamp::parse(text.trim()).map(Stamp::as_clock)
}
