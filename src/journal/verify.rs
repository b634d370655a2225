//! Follows the chain of a journal ([`super::chain`]) from its first record to its last, and names the first line that is not as
//! it was written.
//!
//! Nothing is locked: the daemon may write, rotate and delete meanwhile. A finding is checked a second time, so that a write in
//! progress is not taken for a change.
//!
//! What a chain cannot show: that its end was cut off, and that somebody wrote all of it anew. For both, the hash of a record
//! that is known from elsewhere (the log, the status page) can be looked for.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use memchr::memmem;

use crate::journal::chain::{Chained, LineHash, Raw, Seal, has_seal, is_beginning, is_record, raw_lines};
use crate::journal::files::Files;
use crate::journal::read::record;
use crate::journal::record::Record;
use crate::journal::{JournalError, file};

/// No more lines than this are noted one by one.
const MOST_NOTED: usize = 20;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineOfFile {
    /// The file.
    pub(crate) file: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// What the first record of the chain follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Nothing: it is the first record of the journal.
    Nothing,
    /// Records without a hash, which an earlier version wrote.
    Unchained,
    /// Lines that a crash has cut.
    Cut,
    /// Records that retention deleted, as the record at this place says.
    Deleted(LineHash, LineOfFile),
    /// Records that are missing, and no record says that retention deleted them.
    Missing(LineHash),
}

/// Why a line is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its hash is not that of its text.
    Changed,
    /// It has no hash or is no record, and the next record follows another line, which it may have replaced.
    NotOurs,
    /// The records before and after it follow each other: it came between them later.
    Inserted,
    /// The record that it follows is nowhere.
    PredecessorMissing(LineHash),
    /// The record that it follows is at this place, and not before it.
    Moved(LineOfFile),
    /// The first record of its file does not begin a file: what was before it is missing.
    StartMissing,
    /// It begins a file, and stands within one.
    StartWithin,
    /// The journal ends with it, and it has no hash although earlier records have one.
    UnchainedEnd,
    /// The journal ends with it, and it is neither a record nor the beginning of one.
    DamagedEnd,
    /// It is before the chain begins, and neither a record nor the beginning of one: no version wrote it.
    NotARecord,
    /// Records before the first file are missing, and retention did not delete them.
    BeginningMissing(LineHash),
    /// No record has this hash, which is known from elsewhere.
    HeadMissing(LineHash),
}

/// A line that the chain goes over although it carries no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is no whole record: a crash has cut it. What follows was written after that.
    Cut,
    /// It is a record of an earlier version, written after the chain had begun.
    Unchained,
    /// The last line has no line feed yet: it is being written, or a crash has cut it.
    BeingWritten,
}

/// What following a chain has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChainFindings {
    /// How many files were read.
    pub(crate) files: usize,
    /// There are full files, and not the one that is written.
    pub(crate) current_is_missing: bool,
    /// Records with a hash.
    pub(crate) records: u64,
    /// Records before the chain begins, which nothing vouches for but the last of them.
    pub(crate) unchained: u64,
    /// Where the chain begins, since when, and what it follows there; `None` where no record has a hash.
    pub(crate) begins: Option<(LineOfFile, Option<DateTime<Utc>>, Follows)>,
    /// The last record that was reached, when it was written, and its hash.
    pub(crate) head: Option<(LineOfFile, Option<DateTime<Utc>>, LineHash)>,
    /// Where the record is whose hash was asked for.
    pub(crate) asked: Option<LineOfFile>,
    /// Lines without a hash within the chain, at most the first of them.
    pub(crate) noted: Vec<(LineOfFile, Noted)>,
    /// The first line that is not as it was written, and why.
    pub(crate) fault: Option<(LineOfFile, Fault)>,
}

/// Follows the chain; `asked` is the hash of a record that must be there.
///
/// # Errors
/// When there is no journal, or a file that is there cannot be read.
pub(crate) fn verify(state: &Path, asked: Option<LineHash>) -> Result<ChainFindings, JournalError> {
    let first = follow(state, asked)?;
    if first.fault.is_none() {
        return Ok(first);
    }
    follow(state, asked)
}

fn follow(state: &Path, asked: Option<LineHash>) -> Result<ChainFindings, JournalError> {
    let files = Files::open(state)?;
    if files.len() == 0 {
        let none = io::Error::new(
            io::ErrorKind::NotFound,
            "no journal is there; a daemon with this state folder writes it",
        );
        return Err(JournalError::io("open", &file(state, 0))(none));
    }
    let mut following = ChainFollower {
        asked,
        found: ChainFindings {
            files: files.len(),
            current_is_missing: files.newest_first().all(|(path, _)| path != file(state, 0)),
            ..ChainFindings::default()
        },
        current: PathBuf::new(),
        has_records: false,
        link: None,
        last_chained: None,
        unchained: None,
        pending: Vec::new(),
        deleted: HashMap::new(),
    };
    for (path, opened) in files.oldest_first() {
        path.clone_into(&mut following.current);
        following.has_records = false;
        let read = raw_lines(opened, |line, ended, raw| match following.take(line, ended, raw) {
            Ok(()) => Ok(()),
            // Nothing after it means anything.
            Err(_) => Err(io::Error::other(FAULT)),
        });
        if following.found.fault.is_some() {
            break;
        }
        read.map_err(JournalError::io("read", path))?;
    }
    following.finish();
    let mut found = following.found;
    if let Some((place, Fault::PredecessorMissing(hash))) = &found.fault
        && let Some(elsewhere) = find(&files, *hash)?
    {
        found.fault = Some((place.clone(), Fault::Moved(elsewhere)));
    }
    Ok(found)
}

const FAULT: &str = "the chain is broken";

/// The line with this hash, in any file.
fn find(files: &Files, hash: LineHash) -> Result<Option<LineOfFile>, JournalError> {
    let mut found = None;
    for (path, opened) in files.oldest_first() {
        let read = raw_lines(opened, |line, _, raw| {
            if raw.link() == hash {
                found.get_or_insert(LineOfFile {
                    file: path.to_owned(),
                    line,
                });
            }
            Ok(())
        });
        read.map_err(JournalError::io("read", path))?;
    }
    Ok(found)
}

/// That a fault was found, and is set.
struct FaultFound;

/// A line without a hash, within the chain: the next record says whether it was there.
struct Pending {
    place: LineOfFile,
    noted: Noted,
    /// It begins as a record does, and ends too early.
    is_beginning: bool,
    ended: bool,
}

struct ChainFollower {
    asked: Option<LineHash>,
    found: ChainFindings,
    current: PathBuf,
    /// Whether the current file has a whole record yet.
    has_records: bool,
    /// The line before.
    link: Option<LineHash>,
    /// The last record with a hash.
    last_chained: Option<LineHash>,
    /// The first and the last line before the chain begins.
    unchained: Option<(LineOfFile, LineOfFile)>,
    pending: Vec<Pending>,
    /// What retention deleted, by the hash of the last line of it.
    deleted: HashMap<LineHash, LineOfFile>,
}

impl ChainFollower {
    fn take(&mut self, line: usize, ended: bool, raw: Raw<'_>) -> Result<(), FaultFound> {
        let place = LineOfFile {
            file: self.current.clone(),
            line,
        };
        let link = raw.link();
        let seal = match raw {
            Raw::Text(text) => Seal::of(text),
            Raw::Long(_) => Seal::None,
        };
        match seal {
            Seal::Whole(chained) => {
                let Raw::Text(text) = raw else {
                    unreachable!("a long line has no seal")
                };
                // Only a record that carries its hash: a line that was cut before it hashes alike, whatever it follows.
                if self.asked == Some(link) {
                    self.found.asked = Some(place.clone());
                }
                self.chained(&place, chained, text)?;
            }
            Seal::Broken => return self.fault(place, Fault::Changed),
            Seal::None => self.without_a_hash(place, ended, raw)?,
        }
        self.link = Some(link);
        Ok(())
    }

    fn fault(&mut self, place: LineOfFile, fault: Fault) -> Result<(), FaultFound> {
        self.found.fault.get_or_insert((place, fault));
        Err(FaultFound)
    }

    fn without_a_hash(&mut self, place: LineOfFile, ended: bool, raw: Raw<'_>) -> Result<(), FaultFound> {
        let (is_whole, is_beginning, has_seal, is_empty) = match raw {
            Raw::Text(text) => (
                is_record(text),
                is_beginning(text),
                has_seal(text),
                text.trim_ascii().is_empty(),
            ),
            Raw::Long(_) => (false, false, false, false),
        };
        if has_seal && !is_beginning {
            return self.fault(place, Fault::Changed);
        }
        self.has_records |= is_whole;
        if self.found.begins.is_none() && !has_seal && self.pending.is_empty() {
            if !is_whole && !is_beginning && !is_empty {
                return self.fault(place, Fault::NotARecord);
            }
            self.found.unchained += u64::from(!is_empty);
            let first = self.unchained.take().map_or_else(|| place.clone(), |(first, _)| first);
            self.unchained = Some((first, place));
            return Ok(());
        }
        let noted = match (is_whole, ended) {
            (true, _) => Noted::Unchained,
            (false, true) => Noted::Cut,
            (false, false) => Noted::BeingWritten,
        };
        // Only the first can be a fault, and few are named.
        if self.pending.len() < MOST_NOTED {
            self.pending.push(Pending {
                place,
                noted,
                is_beginning,
                ended,
            });
        }
        Ok(())
    }

    fn chained(&mut self, place: &LineOfFile, chained: Chained, text: &[u8]) -> Result<(), FaultFound> {
        if self.link.unwrap_or(chained.prev) != chained.prev {
            return self.not_followed(place, chained);
        }
        for pending in std::mem::take(&mut self.pending) {
            self.note(pending.place, pending.noted);
        }
        match (chained.file.is_some(), self.has_records) {
            (false, false) => return self.fault(place.clone(), Fault::StartMissing),
            (true, true) => return self.fault(place.clone(), Fault::StartWithin),
            (true, false) | (false, true) => self.has_records = true,
        }
        let at = written(text);
        if self.found.begins.is_none() {
            let follows = match (self.link, chained.prev) {
                (Some(_), _) if self.unchained.is_none() => Follows::Cut,
                (Some(_), _) => Follows::Unchained,
                (None, LineHash::NOTHING) => Follows::Nothing,
                (None, missing) => Follows::Missing(missing),
            };
            self.found.begins = Some((place.clone(), at, follows));
        }
        if let Some(through) = retention(text) {
            self.deleted.insert(through, place.clone());
        }
        self.found.records += 1;
        self.found.head = Some((place.clone(), at, chained.hash));
        self.last_chained = Some(chained.hash);
        Ok(())
    }

    /// A record follows another line than the one before it.
    fn not_followed(&mut self, place: &LineOfFile, chained: Chained) -> Result<(), FaultFound> {
        let follows_the_last = self.last_chained == Some(chained.prev);
        // They are named by the fault, and by nothing else.
        let pending = std::mem::take(&mut self.pending).into_iter().next();
        match (pending, self.unchained.take(), self.last_chained) {
            (Some(pending), _, _) if follows_the_last => self.fault(pending.place, Fault::Inserted),
            (Some(pending), _, _) => self.fault(pending.place, Fault::NotOurs),
            (None, Some((first, _)), None) if chained.prev == LineHash::NOTHING => self.fault(first, Fault::Inserted),
            (None, Some((_, last)), None) => self.fault(last, Fault::NotOurs),
            (None, _, _) => self.fault(place.clone(), Fault::PredecessorMissing(chained.prev)),
        }
    }

    fn note(&mut self, place: LineOfFile, noted: Noted) {
        if self.found.noted.len() < MOST_NOTED {
            self.found.noted.push((place, noted));
        }
    }

    /// Judges the end, and what only the whole journal shows.
    fn finish(&mut self) {
        for last in std::mem::take(&mut self.pending) {
            let fault = match (last.noted, last.is_beginning) {
                (Noted::Unchained, _) if last.ended => Fault::UnchainedEnd,
                (Noted::Unchained, _) => {
                    self.note(last.place, Noted::BeingWritten);
                    continue;
                }
                // A start after a crash ends the line that was cut, and may be ended by the next crash.
                (Noted::Cut | Noted::BeingWritten, true) => {
                    self.note(last.place, last.noted);
                    continue;
                }
                (Noted::Cut | Noted::BeingWritten, false) => Fault::DamagedEnd,
            };
            self.found.fault.get_or_insert((last.place, fault));
        }
        if let Some((place, _, follows)) = &mut self.found.begins
            && let Follows::Missing(hash) = *follows
        {
            match self.deleted.get(&hash) {
                Some(said) => *follows = Follows::Deleted(hash, said.clone()),
                None => {
                    let fault = (place.clone(), Fault::BeginningMissing(hash));
                    self.found.fault.get_or_insert(fault);
                }
            }
        }
        if let (Some(asked), None) = (self.asked, &self.found.asked) {
            let fault = (self.end(), Fault::HeadMissing(asked));
            self.found.fault.get_or_insert(fault);
        }
    }

    /// The last record; without one the last line, and the first line of the last file if no file has a line.
    fn end(&self) -> LineOfFile {
        let head = self.found.head.as_ref().map(|(place, _, _)| place);
        let last = head.or(self.unchained.as_ref().map(|(_, last)| last));
        last.cloned().unwrap_or_else(|| LineOfFile {
            file: self.current.clone(),
            line: 1,
        })
    }
}

/// When a record was written.
fn written(text: &[u8]) -> Option<DateTime<Utc>> {
    #[derive(serde::Deserialize)]
    struct WrittenAt {
        at: DateTime<Utc>,
    }
    serde_json::from_slice::<WrittenAt>(text).ok().map(|written| written.at)
}

/// The hash of the last line that retention deleted, if a record says so.
fn retention(text: &[u8]) -> Option<LineHash> {
    memmem::find(text, b"\"kind\":\"retention\"")?;
    let (_, Record::Retention(deleted)) = record(text).ok()? else {
        return None;
    };
    deleted.through.parse().ok()
}
