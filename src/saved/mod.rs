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
//! `(null)`, `[null]`, `<null>` or `NULL` (in any letter case): SQL Developer and others write it so, and NULL spares.
//!
//! What SQL*Plus has around the rows is understood: prompts and queries above and below, headings and underlines of each page, and
//! `412 rows selected.` in its languages; the count is held against the rows. `set colsep` fills every value up with
//! blanks; where the heading shows that, they are no part of the values.
//!
//! # JSON
//! Objects with a SID are sessions, with column names as keys in any letter case. They stand in one array, which may stand
//! anywhere and have any name, or one after another (JSON Lines). The form in which this project writes them is
//!
//! ```json
//! {"database": "prod", "taken_at": "2026-11-22T11:00:00+01:00",
//!  "sessions": [{"INST_ID": 1, "SID": 287, "SERIAL#": 62507, "LOGON_TIME": "2026-11-22T02:00:00"}]}
//! ```
//!
//! `database` and `taken_at` may be left out, other keys are ignored. Values are JSON numbers or texts; `null` and the empty
//! text are NULL.
//!
//! # What cannot be read
//! A value that cannot be read (a rounded `2.8800E+10`, a date that could be read two ways) makes its column unknown for
//! everybody, with a note; in a column that tells who a session is or how long it has been at rest, and in one whose values
//! are a closed list, it refuses the file. NULL would not do: `p1 is null` would hold.
//!
//! # Time
//! Dates are the wall clock of the database's host. `taken_at`, a SYSDATE or a SYSTIMESTAMP column tell what that clock
//! showed, and with an offset also where it stands; without an offset it is taken for UTC. A date that has an offset of its
//! own is moved to that clock. Without any of them, or with a day alone, the
//! snapshot has no clock, and ages that need one are unknown.

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
    #[error("it is larger than {}, more than any database's sessions; export GV$SESSION alone", Bytes(MAX_BYTES.cast_signed()))]
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
    #[error("{found} fields where the header has {expected}: {}", match (padded, found < expected) {
        (true, _) => "the line is wrapped (`set linesize 32767`, `set pagesize 50000`), or a value holds the separator; \
                      `set markup csv on quote on` instead of `set colsep` avoids both",
        (false, true) => "the file is cut off or a line break is not quoted; export it again (SQL*Plus: `set markup csv on quote on`)",
        (false, false) => "a value that holds the separator is not quoted; export it with quotes (SQL*Plus: `set markup csv on quote on`)",
    })]
    FieldCount {
        /// In this row.
        found: usize,
        /// In the header.
        expected: usize,
        /// Whether the values are filled up with blanks.
        padded: bool,
    },
    /// SQL*Plus's own layout.
    #[error(
        "the columns have nothing but blanks between them, so where a value ends cannot be told; `set markup csv on quote on` and spool it again"
    )]
    FixedWidth,
    /// One page of a longer answer.
    #[error("it is one page of a longer answer (`hasMore`); ask for all sessions at once (ORDS: `?limit=10000`)")]
    MorePages,
    /// The end came too early.
    #[error("the file ends in the middle of {0}: it is half-written or cut off; export it again")]
    CutOff(&'static str),
    /// A row beyond [`MAX_ROW_BYTES`].
    #[error("a row of more than {}; is a quote never closed?", Bytes(MAX_ROW_BYTES.cast_signed() as i64))]
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
        expected: Cow<'static, str>,
    },
    /// Two snapshots in one file.
    #[error("{0}; a saved snapshot is one moment, so export it with one query")]
    SeveralSnapshots(String),
    /// An array of sessions and of something else.
    #[error("{0} objects without a SID stand among the sessions; export all columns of all sessions")]
    AmongSessions(u64),
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

/// Opens and reads a file, standard input if it is `-`. `taken_at` is what the database's clock showed, and wins over what the file says.
///
/// # Errors
/// Whatever [`parse`] refuses, and what the operating system does.
pub fn open(path: &Path, taken_at: Option<Clock>) -> Result<Saved, SavedError> {
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

/// The bound is on what is read: a pipe or a device has no length.
fn read_all(from: impl Read, name: &str, taken_at: Option<Clock>) -> Result<Saved, SavedError> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(name, Problem::Unreadable(error)))?;
    parse(&bytes, name, taken_at)
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
        if let Some((part, lines)) = spool::json_part(&text) {
            return json::read(part, taken_at).map_err(|fault| Fault {
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

/// The bytes as text, or why they are none. A NUL further down is taken: old Windows clients end MACHINE with one.
fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let not_text = |what| Err(Fault::whole(Problem::NotText(what)));
    let text = match bytes {
        [0x1f, 0x8b, ..] => return not_text("it is compressed; unpack it first"),
        [b'P', b'K', 3, 4, ..] => return not_text("it is a workbook or a zip archive; save it as CSV in UTF-8"),
        // What Windows' PowerShell makes of every output that it writes into a file.
        [0xff, 0xfe, rest @ ..] => Cow::Owned(of_utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(of_utf16(rest, u16::from_be_bytes)?),
        _ => Cow::Borrowed(of_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))?),
    };
    let first_line = text.lines().next().unwrap_or_default();
    if first_line.contains(|c: char| c < ' ' && c != '\t' && c != '\r') {
        return not_text("it is binary, not text; export `SELECT * FROM GV$SESSION` as CSV or JSON");
    }
    if text.trim().is_empty() {
        return Err(Fault::whole(Problem::Empty));
    }
    if text.trim_start().starts_with('<') {
        return not_text("it is HTML or XML; export it as CSV (SQL*Plus: `set markup csv on quote on`) or JSON");
    }
    Ok(text)
}

fn of_utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        Fault::at(
            line,
            Problem::NotText("it is binary or not in UTF-8; export it in UTF-8 (SQL*Plus: NLS_LANG=.AL32UTF8)"),
        )
    })
}

fn of_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Fault> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    text.ok()
        .filter(|_| odd.is_empty())
        .ok_or_else(|| Fault::whole(Problem::CutOff("a character of UTF-16")))
}

/// What a command line gives as the time of a snapshot: the wall clock of the database's host, with an offset where it is
/// not UTC.
///
/// # Errors
/// The forms that are understood.
pub fn parse_taken_at(text: &str) -> Result<Clock, &'static str> {
    Stamp::parse(text.trim())?.as_clock()
}
