//! Saved snapshots: sessions from a file that any tool wrote as the result of `SELECT * FROM GV$SESSION`.
//!
//! A DBA tries policies on an export before trusting them with a database. So the reader accepts what SQL tools really write
//! (any column order, separators, byte order marks, Oracle's dates) and is strict about everything else. A file that is cut
//! off, contains two snapshots or has an ambiguous date is refused with its line, because a report on half of the sessions
//! would look like a report on all of them. No action is possible on a session of a saved snapshot.
//!
//! # CSV
//! A header row with column names in any letter case and order, then a row for each session. The separator is a comma,
//! semicolon, tab or bar, whichever is most frequent in the header. Unknown columns are ignored. A field is NULL if it is
//! empty, `(null)`, `[null]`, `<null>` or `NULL` (in any letter case): SQL Developer and others write NULL like this, and NULL
//! spares.
//!
//! The text that SQL*Plus writes around the rows is recognized: prompts and queries above and below, headings and underlines
//! on each page, and `412 rows selected.` in its languages; the count is compared with the number of rows. `set colsep` pads
//! values with blanks. If the heading shows that, the blanks are removed. Where a message of the database (`ORA-00942: ...`,
//! `SP2-0640: ...`) stands in place of rows, the file is refused with it.
//!
//! # JSON
//! Objects with a SID are sessions, with column names as keys in any letter case. They are in one array, anywhere in the
//! document and under any name, or one after another (JSON Lines). The form in which this project writes them is
//!
//! ```json
//! {"database": "prod", "taken_at": "2026-11-22T11:00:00+01:00",
//!  "sessions": [{"INST_ID": 1, "SID": 287, "SERIAL#": 62507, "LOGON_TIME": "2026-11-22T02:00:00"}]}
//! ```
//!
//! `database` and `taken_at` may be left out, other keys are ignored. Values are JSON numbers or texts; `null` and the empty
//! text are NULL.
//!
//! # Unreadable values
//! A value that cannot be read (a rounded `2.8800E+10`, an ambiguous date) makes its column unknown for all sessions, and a
//! note says so; so does a number that is larger than any that Oracle shows there. If the column identifies a session, says how long it has been idle or running, or has a closed list of
//! values, the file is refused. NULL would be wrong: `p1 is null` would be true.
//!
//! # Time
//! Dates are the wall-clock time of the database's host. `taken_at`, or a column SYSDATE or SYSTIMESTAMP, gives the time on
//! that clock and perhaps its offset; without an offset it is assumed to be UTC. A date with its own offset is converted to
//! that clock. If there is none of these, or only a day without a time, the snapshot has no clock, and ages that need one are
//! unknown.

mod assemble;
mod json;
mod spool;
mod stamp;
mod table;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::quantity::Bytes;
use crate::session::snapshot::{Snapshot, SnapshotClock};

pub(crate) use stamp::Stamp;

/// The largest file. All columns of a session need about a kilobyte, so this is about a quarter of a million sessions, four
/// times Oracle's limit for an instance. The whole file is in memory while it is read.
pub const MAX_BYTES: u64 = 256 << 20;

/// The longest row of a CSV file. A longer one means that a quote is never closed.
pub(crate) const MAX_ROW_BYTES: usize = 1 << 20;

/// The contents of a file.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The sessions, with all derived columns that need only GV$SESSION.
    pub snapshot: Snapshot,
    /// The name of the database, if the file has one.
    pub database: Option<String>,
    /// The format of the file.
    pub format: Format,
    /// Notes on the file for the reader of a report.
    pub notes: Vec<String>,
}

/// The format of a file, which its contents decide and not its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Separated values.
    Csv,
    /// JSON.
    Json,
}

/// Why a file cannot be used, and what to do.
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

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The file could not be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// The path is a folder.
    #[error("it is a folder; give the path of a file")]
    Folder,
    /// The file is larger than [`MAX_BYTES`].
    #[error("it is larger than {}, more than the sessions of any database; export only GV$SESSION", Bytes(MAX_BYTES.cast_signed()))]
    TooLarge,
    /// The file is empty or only white space.
    #[error("it is empty; export `SELECT * FROM GV$SESSION` with a header row")]
    Empty,
    /// The file is not text, or not in UTF-8.
    #[error("{0}")]
    NotText(&'static str),
    /// There is no SID, so these are not sessions.
    #[error(
        "{}, so this is not a list of sessions; export `SELECT * FROM GV$SESSION` with a header row", if *header { "the header row has no column SID" } else { "no object has a SID" }
    )]
    NoSid {
        /// Whether the file has a header row, which JSON has not.
        header: bool,
    },
    /// The header has a column twice.
    #[error("there are two columns {0}; export only `SELECT * FROM GV$SESSION`")]
    DuplicateColumn(String),
    /// There are no sessions.
    #[error("it has no sessions; a database always has some, so the export failed or was filtered")]
    NoSessions,
    /// A row has another number of fields than the header.
    #[error("{found} fields, but the header has {expected}: {}", match (padded, found < expected) {
        (true, _) => "the line is wrapped (`set linesize 32767`, `set pagesize 50000`), or a value contains the separator; \
                      `set markup csv on quote on` instead of `set colsep` avoids both",
        (false, true) if *at_end => "the file is cut off or a line break is not quoted; export it again (SQL*Plus: `set markup csv on quote on`)",
        (false, true) => "SQL*Plus has wrapped the line (`set linesize 32767`), or a value has a line break that is not quoted \
                          (`set markup csv on quote on`); set both and export it again",
        (false, false) => "a value that contains the separator is not quoted; export it with quotes (SQL*Plus: `set markup csv on quote on`)",
    })]
    FieldCount {
        /// The number in this row.
        found: usize,
        /// The number in the header.
        expected: usize,
        /// Whether the values are padded with blanks.
        padded: bool,
        /// Whether it is the last row.
        at_end: bool,
    },
    /// The query failed, and its message stands where the rows would be.
    #[error("the query failed, so there are no sessions or not all of them: {0}")]
    Failed(String),
    /// The default layout of SQL*Plus.
    #[error(
        "the columns are separated only by blanks, so the end of a value is not clear; `set markup csv on quote on` and spool it again"
    )]
    FixedWidth,
    /// The file is one page of a longer result.
    #[error("it is one page of a longer result (`hasMore`); ask for all sessions at once (ORDS: `?limit=10000`)")]
    MorePages,
    /// The file is the output of `orareaper sessions`.
    #[error(
        "it was written by `orareaper sessions`, which leaves out most columns and every session that was filtered out; export \
         `SELECT * FROM GV$SESSION`, or take snapshots with `orareaper record` and use `orareaper replay`"
    )]
    Listing,
    /// The file ends too early.
    #[error("the file ends in the middle of {0}: it is incomplete; export it again")]
    CutOff(&'static str),
    /// A row is longer than [`MAX_ROW_BYTES`].
    #[error("a row has more than {}; probably a quote is never closed", Bytes(MAX_ROW_BYTES.cast_signed() as i64))]
    RowTooLong,
    /// The file is not JSON, or not in a documented form.
    #[error("{0}; expected an array of sessions or {{\"taken_at\": ..., \"database\": ..., \"sessions\": [...]}}")]
    Json(String),
    /// A value is not of the kind of its column.
    #[error("column {column}: {value:?} is {expected}")]
    Value {
        /// The column, in upper case.
        column: String,
        /// The value, shortened.
        value: String,
        /// What the value is, such as "not a whole number", and what to do.
        expected: Cow<'static, str>,
    },
    /// The file has two snapshots.
    #[error("{0}; a saved snapshot is one moment, so export it with one query")]
    SeveralSnapshots(String),
    /// The array of sessions has other objects too.
    #[error("{} no SID; export all columns of all sessions", match .0 {
        1 => "1 object among the sessions has".to_owned(),
        several => format!("{several} objects among the sessions have"),
    })]
    AmongSessions(u64),
    /// The number of rows differs from the count in the file.
    #[error(
        "the file says {said} {} but has {found}: it is cut off or was edited; export it again", if *said == 1 { "row" } else { "rows" }
    )]
    RowCount {
        /// The count in `412 rows selected.`
        said: u64,
        /// The number of rows that were read.
        found: usize,
    },
    /// There are more sessions than a snapshot can have.
    #[error("{0}")]
    TooManySessions(#[from] crate::session::snapshot::TooManySessions),
}

/// A problem and its line.
#[derive(Debug)]
struct LineFault {
    line: Option<u64>,
    problem: Problem,
}

impl LineFault {
    fn at(line: u64, problem: Problem) -> LineFault {
        LineFault {
            line: Some(line),
            problem,
        }
    }

    fn whole(problem: Problem) -> LineFault {
        LineFault { line: None, problem }
    }
}

/// Reads a file, or standard input if the path is `-`. `taken_at` is the time on the database's clock; it overrides that in the file.
///
/// # Errors
/// If the file cannot be read, or [`parse`] refuses it.
pub fn open(path: &Path, taken_at: Option<SnapshotClock>) -> Result<Saved, SavedError> {
    if path == Path::new("-") {
        return read_all(io::stdin().lock(), "standard input", taken_at);
    }
    let name = path.display().to_string();
    let fail = |problem| failed(&name, problem);
    let file = File::open(path).map_err(|error| fail(Problem::Unreadable(error)))?;
    let metadata = file.metadata().map_err(|error| fail(Problem::Unreadable(error)))?;
    if metadata.is_dir() {
        return Err(fail(Problem::Folder));
    }
    if metadata.len() > MAX_BYTES {
        return Err(fail(Problem::TooLarge));
    }
    read_all(file, &name, taken_at)
}

fn failed(name: &str, problem: Problem) -> SavedError {
    SavedError {
        file: name.to_owned(),
        line: None,
        problem,
    }
}

/// The limit is on the bytes that are read, because a pipe or a device has no length.
pub(crate) fn read_all(from: impl Read, name: &str, taken_at: Option<SnapshotClock>) -> Result<Saved, SavedError> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(name, Problem::Unreadable(error)))?;
    parse(&bytes, name, taken_at)
}

/// Reads the contents of a file. `name` is only for messages.
///
/// # Errors
/// If the contents are not a complete snapshot in one of the documented forms.
pub fn parse(bytes: &[u8], name: &str, taken_at: Option<SnapshotClock>) -> Result<Saved, SavedError> {
    let read = || {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LineFault::whole(Problem::TooLarge));
        }
        let text = text_of(bytes)?;
        if let Some((part, lines)) = spool::json_part(&text) {
            return json::read(part, taken_at).map_err(|fault| LineFault {
                line: fault.line.map(|line| line + lines),
                ..fault
            });
        }
        table::read(&text, taken_at)
    };
    read().map_err(|fault| SavedError {
        file: name.to_owned(),
        line: fault.line,
        problem: fault.problem,
    })
}

/// The bytes as text, or why they are not text. A NUL after the header is allowed: old Windows clients end MACHINE with one.
fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, LineFault> {
    let not_text = |what| Err(LineFault::whole(Problem::NotText(what)));
    let text = match bytes {
        [0x1f, 0x8b, ..] => return not_text("it is compressed; unpack it first"),
        _ if bytes.starts_with(&crate::recording::MAGIC) => {
            return not_text(
                "it is a recording, of many snapshots: `orareaper replay` and `orareaper suggest` read it",
            );
        }
        [b'P', b'K', 3, 4, ..] => return not_text("it is a workbook or a zip archive; save it as CSV in UTF-8"),
        // PowerShell on Windows writes all output into files as UTF-16.
        [0xff, 0xfe, rest @ ..] => Cow::Owned(of_utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(of_utf16(rest, u16::from_be_bytes)?),
        _ => Cow::Borrowed(of_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))?),
    };
    let first_line = text.lines().next().unwrap_or_default();
    if first_line.contains(|c: char| c < ' ' && c != '\t' && c != '\r') {
        return not_text("it is binary, not text; export `SELECT * FROM GV$SESSION` as CSV or JSON");
    }
    if text.trim().is_empty() {
        return Err(LineFault::whole(Problem::Empty));
    }
    if text.trim_start().starts_with('<') {
        return not_text("it is HTML or XML; export it as CSV (SQL*Plus: `set markup csv on quote on`) or JSON");
    }
    Ok(text)
}

fn of_utf8(bytes: &[u8]) -> Result<&str, LineFault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        LineFault::at(
            line,
            Problem::NotText("it is binary or not in UTF-8; export it in UTF-8 (SQL*Plus: NLS_LANG=.AL32UTF8)"),
        )
    })
}

fn of_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, LineFault> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    text.ok()
        .filter(|_| odd.is_empty())
        .ok_or_else(|| LineFault::whole(Problem::CutOff("a character of UTF-16")))
}

/// Reads the time of a snapshot from a command line: the wall-clock time of the database's host, with an offset if it is not
/// UTC.
///
/// # Errors
/// The forms that are accepted.
pub fn parse_taken_at(text: &str) -> Result<SnapshotClock, &'static str> {
    Stamp::parse(text.trim())?.as_clock()
}
