//! The result of `history --verify`: where the chain of the journal begins and ends, and the first record that was changed.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::journal::verify::{ChainFindings, Fault, Follows, LineOfFile, Noted};
use crate::session::time::{in_zone, iso};
use crate::terminal::visible::visible;

/// A chain that was followed, to be shown.
#[derive(Debug)]
pub(crate) struct ChainReport<'a> {
    /// Where the journal is.
    pub(crate) state: &'a str,
    /// The zone that times are shown in.
    pub(crate) zone: Tz,
    /// What was found.
    pub(crate) followed: &'a ChainFindings,
}

impl ChainReport<'_> {
    /// For people.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let found = self.followed;
        let mut out = String::new();
        let files = if found.files == 1 { "file" } else { "files" };
        let _ = writeln!(
            out,
            "orareaper history --verify: {} {files} in {}; times in {}",
            found.files,
            visible(self.state),
            self.zone
        );
        for note in self.notes() {
            let _ = writeln!(out, "  {note}");
        }
        let _ = writeln!(out, "{}", self.verdict());
        out
    }

    /// One object, for programs. Keys are added, never renamed.
    #[must_use]
    pub(crate) fn json(&self) -> String {
        let found = self.followed;
        let at = |place: &LineOfFile| json!({"file": place.file.display().to_string(), "line": place.line});
        let verdict = match (&found.fault, &found.begins) {
            (Some(_), _) => "broken",
            (None, Some(_)) => "whole",
            (None, None) => "no chain",
        };
        let begins = found.begins.as_ref().map(|(place, written, follows)| {
            let mut begins = at(place);
            begins["at"] = written.map_or(Value::Null, |written| iso(written).into());
            begins["follows"] = self.follows(follows).into();
            begins
        });
        let head = found.head.as_ref().map(|(place, written, hash)| {
            let mut head = at(place);
            head["at"] = written.map_or(Value::Null, |written| iso(written).into());
            head["hash"] = hash.to_string().into();
            head
        });
        let fault = found.fault.as_ref().map(|(place, fault)| {
            let mut shown = at(place);
            shown["problem"] = fault_words(fault).into();
            shown
        });
        let noted = found.noted.iter().map(|(place, noted)| {
            let mut shown = at(place);
            shown["problem"] = noted_words(*noted).into();
            shown
        });
        let object = json!({
            "verdict": verdict,
            "files": found.files,
            "current_is_missing": found.current_is_missing,
            "records": found.records,
            "unchained": found.unchained,
            "begins": begins,
            "head": head,
            "asked": found.asked.as_ref().map(at),
            "notes": noted.collect::<Vec<_>>(),
            "fault": fault,
        });
        format!("{object}\n")
    }

    fn notes(&self) -> Vec<String> {
        let found = self.followed;
        let mut notes = Vec::new();
        if found.current_is_missing {
            notes.push(
                "journal.jsonl is not there: the daemon ended in the moment between two files, or somebody removed it with its records"
                    .to_owned(),
            );
        }
        if let Some((at, written, follows)) = &found.begins {
            notes.push(format!(
                "the chain begins at {}{}: {}",
                place(at),
                self.when(*written),
                self.follows(follows)
            ));
        }
        for (at, noted) in &found.noted {
            notes.push(format!("{}: {}", place(at), noted_words(*noted)));
        }
        if let Some((at, written, hash)) = &found.head {
            let last = if found.fault.is_some() {
                "last good record"
            } else {
                "last record"
            };
            notes.push(format!("{last}: {}{}, hash {hash}", place(at), self.when(*written)));
        }
        if let Some(at) = &found.asked {
            notes.push(format!("the record that was asked for is at {}", place(at)));
        }
        notes
    }

    fn verdict(&self) -> String {
        let found = self.followed;
        let records = if found.records == 1 { "record" } else { "records" };
        match (&found.fault, &found.begins) {
            (Some((at, fault)), _) => format!("{}: {}", place(at), fault_words(fault)),
            (None, Some(_)) => format!(
                "whole: {} {records}, and none was changed, removed, inserted or moved since the chain begins",
                found.records
            ),
            (None, None) if found.unchained == 0 => {
                "the journal has no records: it is new, or another program emptied it".to_owned()
            }
            (None, None) => format!(
                "no chain: all {} lines were written by an earlier version, and nothing shows whether they were changed",
                found.unchained
            ),
        }
    }

    fn follows(&self, follows: &Follows) -> String {
        match follows {
            Follows::Nothing => "it is the first record of the journal".to_owned(),
            Follows::Unchained => {
                let before = self.followed.unchained;
                format!(
                    "the {before} lines before it have no hash, as earlier versions wrote them, and are not verified"
                )
            }
            Follows::Cut => "a crash has cut what was before it".to_owned(),
            Follows::Deleted(hash, said) => format!(
                "retention deleted what was before it, up to the record with the hash {hash}, as {} says",
                place(said)
            ),
            Follows::Missing(hash) => format!("it follows the record with the hash {hash}, which is not there"),
        }
    }

    fn when(&self, at: Option<DateTime<Utc>>) -> String {
        at.map_or_else(String::new, |at| format!(" ({})", in_zone(at, self.zone)))
    }
}

fn place(place: &LineOfFile) -> String {
    let name = place.file.file_name().unwrap_or(place.file.as_os_str());
    format!("{} line {}", visible(&name.to_string_lossy()), place.line)
}

fn noted_words(noted: Noted) -> &'static str {
    match noted {
        Noted::Cut => "a crash has cut this record; what follows was written after that",
        Noted::Unchained => "this record has no hash: an earlier version wrote it after the chain had begun",
        Noted::BeingWritten => "this record has no end yet: it is being written, or a crash has cut it",
    }
}

fn fault_words(fault: &Fault) -> String {
    match fault {
        Fault::Changed => "this record was changed: its hash is not that of its text".to_owned(),
        Fault::NotOurs => "this line was changed or inserted, or the one after it was removed: it has no hash, and the next record follows another line".to_owned(),
        Fault::Inserted => "this line was inserted: the records before and after it follow each other".to_owned(),
        Fault::PredecessorMissing(hash) => format!(
            "the record that this one follows, with the hash {hash}, is missing: it was removed, or changed together with its hash"
        ),
        Fault::Moved(elsewhere) => format!(
            "this record follows the one at {}, which is not the one before it: records were moved or inserted",
            place(elsewhere)
        ),
        Fault::StartMissing => {
            "this is not the first record of its file: those before it were removed or moved to another file".to_owned()
        }
        Fault::StartWithin => "this is the first record of a file, but stands within one: two files were joined".to_owned(),
        Fault::UnchainedEnd => {
            "this record has no hash although records before it have one: it was changed or inserted, or an earlier version wrote it".to_owned()
        }
        Fault::DamagedEnd | Fault::NotARecord => "this line is no record: it was changed or inserted, or a crash has damaged it".to_owned(),
        Fault::BeginningMissing(hash) => format!(
            "this record follows the one with the hash {hash}, which is not there, and no record says that retention deleted it: files \
             or records before it were removed"
        ),
        Fault::HeadMissing(hash) => format!(
            "the journal ends here, and no record has the hash {hash}: the journal was cut before it or written anew, or its hashes were removed"
        ),
    }
}
