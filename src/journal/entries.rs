//! The journal for people: one entry for each action, with its outcome and what the snapshots showed afterwards.
//!
//! The daemon reads a day at its start ([`mod@super::read`]); an auditor reads everything that is kept, while the daemon goes on
//! writing. So nothing is locked, all files are opened before the first is read (a rotation meanwhile renames them and changes
//! none), and a last line without its line feed is one that is being written, not damage.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::used_again::Afterwards;
use crate::decide::verify::Proof;
use crate::event::{Intent, Outcomed};
use crate::journal::files::Files;
use crate::journal::read::{each_line, record};
use crate::journal::record::Record;
use crate::journal::trust::DamagedLine;
use crate::journal::{JournalError, file};
use crate::session::column::Column;
use crate::yaml::diagnostics::did_you_mean;

/// The most entries that are kept; older ones are left out, and the output says so.
pub(crate) const MOST_ENTRIES: usize = 200_000;

/// The same if each is kept with the session's whole row, which is some kilobytes.
pub(crate) const MOST_WITH_ROWS: usize = 20_000;

/// Columns of a row that are always kept: what a session held.
const HELD: [Column; 4] = [Column::Undo, Column::Temp, Column::Pga, Column::LastCallEt];

/// No more damaged lines than this are named one by one.
const DAMAGE_NAMED: usize = 20;

/// One action.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When the intent was written, by the host's clock.
    pub(crate) at: DateTime<Utc>,
    /// The action, its reason, and the session as the snapshot showed it.
    pub(crate) intent: Arc<Intent>,
    /// The outcome; `None` if the daemon ended before it was written.
    pub(crate) outcome: Option<Outcomed>,
    /// When that was written, right after the answer, by the host's clock.
    pub(crate) answered: Option<DateTime<Utc>>,
    /// What the snapshots showed afterwards, and when.
    pub(crate) proofs: Vec<(DateTime<Utc>, Proof)>,
    /// When a session of the same client group logged in soon after.
    pub(crate) came_back: Option<DateTime<Utc>>,
    /// For a dry run: what became of the session, and how long after.
    pub(crate) afterwards: Option<(Afterwards, TimeDelta)>,
}

impl Entry {
    /// What became of the session, as far as it was followed.
    #[must_use]
    pub(crate) fn last_proof(&self) -> Option<(DateTime<Utc>, Proof)> {
        self.proofs.last().copied()
    }

    /// Whether a dry run would have ended the session.
    #[must_use]
    pub(crate) fn would_have_ended(&self) -> bool {
        self.intent.mode == RunMode::DryRun
            && self.intent.action.ends_session()
            && self
                .outcome
                .as_ref()
                .is_none_or(|outcomed| outcomed.outcome == Outcome::Assumed)
    }

    /// The outcome, in the journal's word; `unknown` if none was written.
    #[must_use]
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
            .as_ref()
            .map_or(Outcome::Unknown, |outcomed| outcomed.outcome)
    }
}

/// SID, SERIAL# and INST_ID, each if it is given.
pub(crate) type SessionParts = (Option<u32>, Option<u32>, Option<u32>);

/// The filters; an entry must match every one that is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Written at this time or later.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Written before this time.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Of this database.
    pub(crate) database: Option<String>,
    /// By this policy.
    pub(crate) policy: Option<String>,
    /// Of sessions of this USERNAME, in any letter case.
    pub(crate) user: Option<String>,
    /// The outcome, or what a snapshot showed.
    pub(crate) result: Option<Result<Outcome, Proof>>,
    /// Of this SID, SERIAL# and instance, where they are given.
    pub(crate) session: SessionParts,
    /// With the sessions' whole rows.
    pub(crate) rows: bool,
}

impl Wanted {
    fn is_of(&self, at: DateTime<Utc>, intent: &Intent) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let same = |wanted: Option<u32>, found: u32| wanted.is_none_or(|wanted| wanted == found);
        let (sid, serial, inst_id) = self.session;
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && is(&self.database, &intent.database)
            && is(&self.policy, &intent.policy)
            && self.user.as_deref().is_none_or(|user| {
                let found = intent.username.as_deref();
                found.is_some_and(|found| found.to_lowercase() == user.to_lowercase())
            })
            && same(sid, intent.key.sid)
            && same(serial, intent.key.serial)
            && same(inst_id, intent.key.inst_id)
    }

    fn ended_so(&self, entry: &Entry) -> bool {
        match self.result {
            None => true,
            Some(Ok(outcome)) => entry.outcome() == outcome,
            Some(Err(proof)) => entry.proofs.iter().any(|(_, shown)| *shown == proof),
        }
    }
}

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    /// The entries that are wanted, oldest first.
    pub(crate) entries: Vec<Entry>,
    /// How many matching entries are older and were left out.
    pub(crate) left_out: usize,
    /// A sentence for each name in a filter that no action in the journal has.
    pub(crate) unknown_names: Vec<String>,
    /// When the oldest record of all was written: earlier ones are gone with their files.
    pub(crate) oldest: Option<DateTime<Utc>>,
    /// Lines that could not be understood, at most the first few of them.
    pub(crate) damage: Vec<DamagedLine>,
    /// How many there are in all.
    pub(crate) damaged_lines: usize,
}

/// Reads all files of a state folder.
///
/// # Errors
/// When there is no journal, or a file that is there cannot be read.
pub(crate) fn entries(state: &Path, wanted: &Wanted) -> Result<Entries, JournalError> {
    let mut reading = JournalReading {
        wanted,
        found: BTreeMap::new(),
        read: Entries::default(),
        databases: BTreeSet::new(),
        policies: BTreeSet::new(),
    };
    let files = Files::open(state)?;
    if files.len() == 0 {
        let none = io::Error::new(
            io::ErrorKind::NotFound,
            "no journal is there; a daemon with this state folder writes it",
        );
        return Err(JournalError::io("open", &file(state, 0))(none));
    }
    for (path, opened) in files.oldest_first() {
        // Only the line that is being written to the current file may be incomplete.
        let may_be_half = path == file(state, 0);
        each_line(opened, |number, ended, line| {
            if let Err(problem) = line.and_then(|text| reading.take(text))
                && (ended || !may_be_half)
            {
                reading.damaged(path, number, problem);
            }
        })
        .map_err(JournalError::io("read", path))?;
    }
    let mut read = reading.read;
    read.unknown_names
        .extend(unknown("database", wanted.database.as_deref(), &reading.databases));
    read.unknown_names
        .extend(unknown("policy", wanted.policy.as_deref(), &reading.policies));
    read.entries = reading
        .found
        .into_values()
        .filter(|entry| wanted.ended_so(entry))
        .collect();
    Ok(read)
}

/// The names in filters that no action has: a mistyped name must not look like a quiet night.
fn unknown(what: &str, asked: Option<&str>, names: &BTreeSet<Arc<str>>) -> Option<String> {
    let asked = asked.filter(|asked| !names.contains(*asked))?;
    let hint = did_you_mean(asked, names.iter().map(|name| &**name));
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    Some(format!("the journal has no action with the {what} {asked:?}{hint}"))
}

struct JournalReading<'w> {
    wanted: &'w Wanted,
    /// The names that actions have.
    databases: BTreeSet<Arc<str>>,
    policies: BTreeSet<Arc<str>>,
    found: BTreeMap<u64, Entry>,
    read: Entries,
}

impl JournalReading<'_> {
    fn take(&mut self, text: &[u8]) -> Result<(), String> {
        let (at, record) = record(text)?;
        self.read.oldest = Some(self.read.oldest.map_or(at, |oldest| oldest.min(at)));
        match record {
            Record::Intent(record) => {
                let id = record.id;
                let intent = record.read().map_err(|error| error.to_string())?;
                self.begin(at, id, intent, None)?;
            }
            Record::Dropped(record) => {
                let outcomed = record.read().map_err(|error| error.to_string())?;
                let intent = Intent::clone(&outcomed.intent);
                self.begin(at, intent.id, intent, Some(outcomed))?;
            }
            Record::Outcome(record) => {
                if let Some(entry) = self.found.get_mut(&record.id) {
                    let mut outcomed = record.read(&entry.intent).map_err(|error| error.to_string())?;
                    if !self.wanted.rows {
                        outcomed.session.0.clear();
                    }
                    entry.outcome = Some(outcomed);
                    entry.answered = Some(at);
                }
            }
            Record::Verification(record) => {
                let proof = record.read().map_err(|error| error.to_string())?;
                if let Some(entry) = self.found.get_mut(&record.id) {
                    entry.proofs.push((at, proof));
                }
            }
            Record::CameBack(record) => {
                if let Some(entry) = self.found.get_mut(&record.id) {
                    entry.came_back = Some(record.login);
                }
            }
            Record::Rehearsed(record) => {
                let became = record.read().map_err(|error| error.to_string())?;
                if let Some(entry) = self.found.get_mut(&record.id) {
                    entry.afterwards = Some(became);
                }
            }
            Record::Started { .. }
            | Record::Stopping { .. }
            | Record::PoliciesLoaded { .. }
            | Record::PoliciesFailed { .. }
            | Record::DatabaseUp { .. }
            | Record::DatabaseDown { .. }
            | Record::BreakerOpened { .. }
            | Record::BreakerClosed { .. }
            | Record::GroupSuspended { .. }
            | Record::GroupReleased { .. }
            | Record::Paused { .. }
            | Record::Resumed { .. }
            | Record::Retention(_)
            | Record::JournalGap { .. } => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        at: DateTime<Utc>,
        id: u64,
        mut intent: Intent,
        outcome: Option<Outcomed>,
    ) -> Result<(), String> {
        self.databases.insert(Arc::clone(&intent.database));
        self.policies.insert(Arc::clone(&intent.policy));
        if !self.wanted.is_of(at, &intent) {
            return Ok(());
        }
        if self.found.contains_key(&id) {
            return Err(format!("action {id} was there before"));
        }
        if !self.wanted.rows {
            intent.session.0.retain(|(column, _)| HELD.contains(column));
        }
        let entry = Entry {
            at,
            intent: Arc::new(intent),
            answered: outcome.is_some().then_some(at),
            outcome,
            proofs: Vec::new(),
            came_back: None,
            afterwards: None,
        };
        self.found.insert(id, entry);
        let most = if self.wanted.rows { MOST_WITH_ROWS } else { MOST_ENTRIES };
        if self.found.len() > most {
            self.found.pop_first();
            self.read.left_out += 1;
        }
        Ok(())
    }

    fn damaged(&mut self, path: &Path, line: usize, problem: String) {
        self.read.damaged_lines += 1;
        if self.read.damage.len() < DAMAGE_NAMED {
            self.read.damage.push(DamagedLine {
                file: path.to_owned(),
                line,
                problem,
            });
        }
    }
}
