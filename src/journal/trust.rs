//! Whether the journal shows every action that budgets count: nothing in it was damaged, edited or taken away.
//!
//! A line that cannot be read, or whose hash does not fit, may have been an intent. How many there were, and when, nobody knows, and what
//! is unknown never kills: each budget counts as used up until its period has passed since. The newest time at which such a line
//! can have been written is that of the next good record, or of the file.
//!
//! What a crash leaves is no damage: the beginning of one record, which the next record follows. No statement is sent after an intent
//! that is not on the disk as a whole.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::checks::{Check, Id, State};
use crate::journal::chain::{LineHash, Raw, Seal, has_seal, is_beginning, is_record};
use crate::session::time::iso;

/// A damaged line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedLine {
    /// The file.
    pub(crate) file: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// Actions that may be missing from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingActions {
    /// The first line that shows it.
    pub(crate) place: DamagedLine,
    /// When the last of them was written at the latest, by the host's clock.
    pub(crate) until: DateTime<Utc>,
}

impl MissingActions {
    /// Where it shows, and why.
    #[must_use]
    pub(crate) fn why(&self) -> String {
        let DamagedLine { file, line, problem } = &self.place;
        format!("{}, line {line}: {problem}", file.display())
    }

    /// What `doctor` says.
    #[must_use]
    pub(crate) fn check(&self) -> Check {
        missing_actions(&self.why(), self.until)
    }
}

/// What is said of actions that may be missing, wherever it is said.
#[must_use]
pub(crate) fn missing_actions(why: &str, until: DateTime<Utc>) -> Check {
    let until = iso(until);
    let found = format!(
        "the journal is damaged or was changed ({why}), so actions until {until} may be missing in it: each budget counts as used up until \
         its hour or day has passed since then"
    );
    Check::new(Id::Journal, "", State::Missing, found).with(
        "find out with `orareaper history --verify` what happened to the file; budgets are free again by themselves. To have them free at \
         once, if it is known what was done: stop the daemon, move all journal*.jsonl away, and start it",
    )
}

/// Follows the lines of the journal that are read at a start.
#[derive(Debug)]
pub(super) struct Scrutiny {
    now: DateTime<Utc>,
    /// The line before; `None` before the first one.
    link: Option<LineHash>,
    /// Whether nothing was written before the files that are read.
    is_whole: bool,
    /// Whether a record has had a hash.
    is_chained: bool,
    /// When the newest record was written.
    newest: Option<DateTime<Utc>>,
    /// The first problem.
    place: Option<DamagedLine>,
    /// The last line is empty.
    blank: Option<DamagedLine>,
    /// Since the last problem no record was good.
    is_open: bool,
    until: Option<DateTime<Utc>>,
    /// The first record follows another one, which is not there.
    beginning: Option<(LineHash, MissingActions)>,
    /// The ends of what retention deleted.
    deleted: HashSet<LineHash>,
}

impl Scrutiny {
    /// `is_whole`: the first file that is read is the oldest one that is there.
    pub(super) fn new(now: DateTime<Utc>, is_whole: bool) -> Scrutiny {
        Scrutiny {
            now,
            link: None,
            is_whole,
            is_chained: false,
            newest: None,
            place: None,
            blank: None,
            is_open: false,
            until: None,
            beginning: None,
            deleted: HashSet::new(),
        }
    }

    /// What retention deleted ends with the line of this hash.
    pub(super) fn deleted(&mut self, through: &str) {
        self.deleted.extend(through.parse::<LineHash>().ok());
    }

    /// The next line, with when it was written if it is a record that is understood, or what is wrong with it.
    pub(super) fn take(
        &mut self,
        (file, line): (&Path, usize),
        raw: Raw<'_>,
        understood: &Result<Option<DateTime<Utc>>, String>,
    ) {
        let at = || (file, line);
        let (text, seal) = match raw {
            Raw::Text(text) => (text, Seal::of(text)),
            Raw::Long(_) => (&[][..], Seal::None),
        };
        let link = match (seal, raw) {
            (Seal::Whole(chained), _) => chained.hash,
            (Seal::Broken | Seal::None, raw) => raw.link(),
        };
        // Before there was a chain, records had no hash.
        let is_ours = match seal {
            Seal::Whole(_) => true,
            Seal::Broken => false,
            Seal::None => !self.is_chained && !has_seal(text),
        };
        let is_torn = understood.is_err() && seal == Seal::None && is_beginning(text) && !text.contains(&0);
        match seal {
            Seal::Whole(chained) => {
                self.is_chained = true;
                match self.link {
                    Some(before) if before != chained.prev => {
                        self.damaged(at(), "the line before it is not the one that it was written after");
                    }
                    None if self.is_whole && chained.prev != LineHash::NOTHING => {
                        self.begins_late(at(), chained.prev, understood)
                    }
                    Some(_) | None => {}
                }
            }
            Seal::Broken => self.damaged(at(), "its hash is not that of its text"),
            Seal::None if !is_ours && is_record(text) => {
                self.damaged(at(), "it has no hash, although records before it have one");
            }
            Seal::None => {}
        }
        match understood {
            Err(problem) if !is_torn => self.damaged(at(), problem),
            Ok(Some(written)) if is_ours => self.is_good(*written),
            Ok(_) | Err(_) => {}
        }
        self.link = Some(link);
        let is_blank = matches!(raw, Raw::Text(_)) && text.trim_ascii().is_empty();
        self.blank = is_blank.then(|| damaged_line(at(), "it is empty"));
    }

    /// After the last line of the last file, which was last written then.
    pub(super) fn end(mut self, modified: Option<DateTime<Utc>>) -> Option<MissingActions> {
        if let Some(blank) = self.blank.take() {
            self.is_open = true;
            self.place.get_or_insert(blank);
        }
        if self.is_open {
            self.is_good(modified.unwrap_or(self.now));
        }
        let beginning = self.beginning.filter(|(prev, _)| !self.deleted.contains(prev));
        let beginning = beginning.map(|(_, missing)| missing);
        match (self.place, self.until) {
            (Some(place), Some(until)) => Some(MissingActions { place, until }),
            _ => beginning,
        }
    }

    fn damaged(&mut self, (file, line): (&Path, usize), problem: &str) {
        self.is_open = true;
        self.place.get_or_insert_with(|| damaged_line((file, line), problem));
    }

    /// A record of this time ends what is damaged before it. A line that was moved is older than the one before it.
    fn is_good(&mut self, written: DateTime<Utc>) {
        let written = written.min(self.now);
        let newest = self.newest.map_or(written, |newest| newest.max(written));
        self.newest = Some(newest);
        if std::mem::take(&mut self.is_open) {
            self.until = Some(newest);
        }
    }

    fn begins_late(
        &mut self,
        (file, line): (&Path, usize),
        prev: LineHash,
        understood: &Result<Option<DateTime<Utc>>, String>,
    ) {
        let until = understood.as_ref().ok().copied().flatten().unwrap_or(self.now);
        let problem = "the record that it was written after is missing, and the daemon did not delete it";
        let place = damaged_line((file, line), problem);
        let until = until.min(self.now);
        self.beginning = Some((prev, MissingActions { place, until }));
    }
}

fn damaged_line((file, line): (&Path, usize), problem: &str) -> DamagedLine {
    DamagedLine {
        file: file.to_owned(),
        line,
        problem: problem.to_owned(),
    }
}
