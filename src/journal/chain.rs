//! The chain of the journal: each line carries the hash of the line before it, and its own.
//!
//! A record `{...}` becomes `{...,"prev":"P","hash":"H"}`. H is the hash of the line up to `,"hash"`, so it covers P, and with P every
//! line before it. The first record of a file also carries `"file":N`, the file's number since the chain began: a file whose
//! first lines were removed does not begin so. To change, remove, insert or move one line, somebody has to write every later
//! hash anew, and the last of them may be known elsewhere.
//!
//! A line that carries no hash (written by an earlier version, or cut by a crash) is chained by what is on the disk: its
//! whole text is hashed. So a restart after a crash goes on over the damaged line, and pins it.
//!
//! The hash is the first 128 bits of SHA-256: no second text for a given one can be found, and nothing else is needed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::str::FromStr;

use memchr::memmem;
use sha2::{Digest as _, Sha256};

use crate::journal::files::Files;
use crate::journal::{JournalError, RECORD_BYTES, file};

/// Bytes of a hash.
const BYTES: usize = 16;

/// The most bytes that a seal adds to a record: `file`, `prev` and `hash`.
pub(super) const SEAL_BYTES: usize = 112;

const FILE: &[u8] = b",\"file\":";
const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";

/// The hash of a line, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LineHash([u8; BYTES]);

impl LineHash {
    /// The hash that the first record of a journal carries for a previous line: none.
    pub(crate) const NOTHING: LineHash = LineHash([0; BYTES]);

    /// How many digits it is written with.
    pub(super) const DIGITS: usize = 2 * BYTES;

    fn of(text: &[u8]) -> LineHash {
        LineHash::end(Sha256::new_with_prefix(text))
    }

    fn end(hasher: Sha256) -> LineHash {
        let digest = hasher.finalize();
        LineHash(std::array::from_fn(|at| digest[at]))
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl FromStr for LineHash {
    type Err = String;

    /// 32 digits, in small or capital letters.
    fn from_str(text: &str) -> Result<LineHash, String> {
        let wrong = || {
            format!(
                "{text:?} is not the hash of a record; expected {} hexadecimal digits",
                2 * BYTES
            )
        };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            b'A'..=b'F' => Some(byte - b'A' + 10),
            _ => None,
        };
        let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
        let digits = digits.filter(|digits| digits.len() == 2 * BYTES).ok_or_else(wrong)?;
        Ok(LineHash(std::array::from_fn(|at| {
            digits[2 * at] * 16 + digits[2 * at + 1]
        })))
    }
}

/// What a line carries of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// Its own hash is right.
    Whole(Chained),
    /// Its own hash is not that of its text.
    Broken,
    /// No hash.
    None,
}

/// The seal of a line whose own hash is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chained {
    /// The number of the file that it begins.
    pub(super) file: Option<u64>,
    /// The line before it.
    pub(super) prev: LineHash,
    /// Its own.
    pub(super) hash: LineHash,
}

impl Seal {
    /// Of a line's text, without its line feed.
    pub(super) fn of(text: &[u8]) -> Seal {
        let Some((body, hash)) = last_hash(text, HASH, b"\"}") else {
            return Seal::None;
        };
        let Some((before, prev)) = last_hash(body, PREV, b"\"") else {
            return Seal::Broken;
        };
        if LineHash::of(body) != hash {
            return Seal::Broken;
        }
        Seal::Whole(Chained {
            file: last_number(before),
            prev,
            hash,
        })
    }
}

/// A text that ends with this key, a hash and what closes it: what is before the key, and the hash.
fn last_hash<'t>(text: &'t [u8], key: &[u8], close: &[u8]) -> Option<(&'t [u8], LineHash)> {
    let inner = text.strip_suffix(close)?;
    let (before, digits) = inner.split_at_checked(inner.len().checked_sub(2 * BYTES)?)?;
    // A record has no capital letters in it: one would be an edit.
    let written = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_uppercase()));
    let hash = written?.parse().ok()?;
    Some((before.strip_suffix(key)?, hash))
}

/// The number of the file, if a text ends with it.
fn last_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, digits) = text.split_at(text.len() - digits);
    before.strip_suffix(FILE)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Where the chain ends: what the next record is sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChainEnd {
    /// The last line.
    pub(super) head: LineHash,
    /// The number of the current file; 0 for one that began before there was a chain.
    pub(super) file: u64,
    /// No record is in the file yet.
    pub(super) is_new: bool,
}

impl ChainEnd {
    /// Of a journal without a record.
    pub(super) const START: ChainEnd = ChainEnd {
        head: LineHash::NOTHING,
        file: 1,
        is_new: true,
    };

    /// With the next file begun.
    pub(super) fn next_file(self) -> ChainEnd {
        ChainEnd {
            file: self.file + 1,
            is_new: true,
            ..self
        }
    }

    /// Seals records, each a line with its line feed; with where the chain ends then.
    pub(super) fn seal(self, lines: &[u8]) -> (Vec<u8>, ChainEnd) {
        let mut end = self;
        let mut sealed = Vec::with_capacity(lines.len() + SEAL_BYTES);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let body = line
                .strip_suffix(b"}\n")
                .expect("a record is an object on a line of its own");
            let start = sealed.len();
            sealed.extend_from_slice(body);
            if end.is_new {
                sealed.extend_from_slice(FILE);
                sealed.extend_from_slice(end.file.to_string().as_bytes());
            }
            sealed.extend_from_slice(PREV);
            sealed.extend_from_slice(end.head.to_string().as_bytes());
            sealed.push(b'"');
            end.head = LineHash::of(&sealed[start..]);
            end.is_new = false;
            sealed.extend_from_slice(HASH);
            sealed.extend_from_slice(end.head.to_string().as_bytes());
            sealed.extend_from_slice(b"\"}\n");
        }
        (sealed, end)
    }

    /// Of the files on the disk, whatever is in them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn of(state: &Path) -> Result<ChainEnd, JournalError> {
        let mut head = None;
        let files = Files::open(state)?;
        // A crash in the middle of a rotation leaves no current file: what is written next begins one.
        let missing = files
            .newest_first()
            .next()
            .is_some_and(|(path, _)| path != file(state, 0));
        for (newer, (path, opened)) in files.newest_first().enumerate() {
            let newer = u64::try_from(newer + usize::from(missing)).unwrap_or(u64::MAX);
            let found = ends(opened).map_err(JournalError::io("read", path))?;
            head = head.or(found.last);
            let is_current = newer == 0;
            if let Some(file) = found.number {
                return Ok(ChainEnd {
                    head: head.unwrap_or_default(),
                    file: file.saturating_add(newer),
                    is_new: newer > 0,
                });
            }
            if is_current && found.has_records {
                // It began before there was a chain.
                return Ok(ChainEnd {
                    head: head.unwrap_or_default(),
                    file: 0,
                    is_new: false,
                });
            }
            if found.has_records {
                break;
            }
        }
        Ok(ChainEnd {
            head: head.unwrap_or_default(),
            ..ChainEnd::START
        })
    }
}

/// A file's first record and its last line.
#[derive(Default)]
struct FileEnds {
    number: Option<u64>,
    has_records: bool,
    last: Option<LineHash>,
}

fn ends(opened: &File) -> io::Result<FileEnds> {
    let mut ends = FileEnds::default();
    let mut last = Vec::new();
    raw_lines(opened, |_, _, line| {
        if let (Raw::Text(text), false) = (line, ends.has_records) {
            if let Seal::Whole(chained) = Seal::of(text) {
                ends.number = chained.file;
                ends.has_records = true;
            } else if is_record(text) {
                ends.has_records = true;
            }
        }
        match line {
            // Most lines are not the last, and need no hash.
            Raw::Text(text) => {
                last.clear();
                last.extend_from_slice(text);
                ends.last = None;
            }
            Raw::Long(hash) => ends.last = Some(hash),
        }
        Ok(())
    })?;
    if ends.last.is_none() && !last.is_empty() {
        ends.last = Some(Raw::Text(&last).link());
    }
    Ok(ends)
}

/// Whether a text is a whole JSON object; otherwise a crash may have cut it.
pub(super) fn is_record(text: &[u8]) -> bool {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(text);
    text.first() == Some(&b'{') && read.is_ok()
}

/// Whether a text may be what a crash left of a record: it ends before its JSON does, and has no more of its own hash than that. A file
/// system that had made room for the record and not written it shows zero bytes in its place.
pub(super) fn is_beginning(text: &[u8]) -> bool {
    let written = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if written == 0 {
        return !text.is_empty();
    }
    let text = &text[..written];
    let after_key = memmem::rfind(text, HASH).map(|at| text.len() - at - HASH.len());
    if after_key.is_some_and(|bytes| bytes > LineHash::DIGITS + 1) {
        return false;
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => false,
        Err(error) => error.is_eof() && text.first() == Some(&b'{'),
    }
}

/// Whether a text has a part of a seal: then it is no record of an earlier version.
pub(super) fn has_seal(text: &[u8]) -> bool {
    [PREV, HASH].iter().any(|key| memmem::find(text, key).is_some())
}

/// A line as it is in the file, whatever it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'t> {
    /// Without its line feed.
    Text(&'t [u8]),
    /// Longer than any record, with its hash.
    Long(LineHash),
}

impl Raw<'_> {
    /// The hash that the next line carries as `prev`.
    pub(super) fn link(self) -> LineHash {
        match self {
            Raw::Long(hash) => hash,
            Raw::Text(text) => match Seal::of(text) {
                Seal::Whole(chained) => chained.hash,
                Seal::Broken | Seal::None => LineHash::of(text),
            },
        }
    }
}

/// Passes on every line of a file from its beginning, with its number and whether its line feed is there. Never holds more than
/// one record.
pub(super) fn raw_lines(
    mut opened: &File,
    mut each: impl FnMut(usize, bool, Raw<'_>) -> io::Result<()>,
) -> io::Result<()> {
    opened.rewind()?;
    let mut reader = BufReader::with_capacity(256 * 1024, opened);
    let longest = u64::try_from(RECORD_BYTES).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if (&mut reader).take(longest).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if let Some(text) = line.strip_suffix(b"\n") {
            each(number, true, Raw::Text(text))?;
            continue;
        }
        if line.len() < RECORD_BYTES {
            each(number, false, Raw::Text(&line))?;
            break;
        }
        let mut hasher = Sha256::new_with_prefix(&line);
        let mut ended = false;
        while !ended {
            line.clear();
            if (&mut reader).take(longest).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            ended = line.last() == Some(&b'\n');
            hasher.update(line.strip_suffix(b"\n").unwrap_or(&line));
        }
        each(number, ended, Raw::Long(LineHash::end(hasher)))?;
    }
    Ok(())
}
