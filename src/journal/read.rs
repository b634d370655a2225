//! Reads the journal at start: recent actions, actions still under way, and actions with an unknown outcome.
//!
//! The contents of the files never make reading fail. A damaged line is reported with its number and skipped. No statement was sent after
//! an intent that was not written completely, and a lost outcome or verification leaves an action open, which is then followed until
//! the snapshots show its end. Where a whole record may have been lost, budgets count as used up: [`super::trust`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::clocks::{Clocks, TOLERANCE};
use crate::decide::cycle::{Done, Memory, remember};
use crate::decide::in_force::RunMode;
use crate::decide::ledger::later;
use crate::decide::outcome::Outcome;
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::{Afterwards, CallSigns, Rehearsals};
use crate::decide::verify::{FollowState, Proof};
use crate::event::{Evidence, EvidenceValue, Intent, Outcomed};
use crate::journal::chain::{Raw, raw_lines};
use crate::journal::files::Files;
use crate::journal::open::OpenActions;
use crate::journal::record::{JournalLine, Record, VERSION};
use crate::journal::trust::{DamagedLine, MissingActions, Scrutiny};
use crate::journal::{JournalError, RECORD_BYTES};
use crate::oracle::hindrance::hindrance;
use crate::oracle::identity::DatabaseIdentity;
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::KILLED;

/// Older files are not read: budgets count over a day, and the host's clock may be an hour off the database's.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::hours(25);

/// The largest valid number of an action. The daemon counts from one, so it never reaches a larger number. If a damaged record
/// with a larger number were accepted, no numbers might be left.
const LARGEST_ID: u64 = 1 << 53;

/// At most this many damaged lines are reported one by one.
const DAMAGE_TOLD: usize = 20;

/// The contents of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The number of the next action: one more than the largest in the files.
    pub(crate) next_id: u64,
    /// Every action of the last day, by its number.
    pub actions: BTreeMap<u64, Past>,
    /// The first damaged lines.
    pub(crate) damage: Vec<DamagedLine>,
    /// The number of all damaged lines.
    pub(crate) damaged_lines: usize,
    /// Actions of the last day that the journal may not show, if it was damaged or changed.
    pub(crate) missing: Option<MissingActions>,
    /// How many exemptions were in force at last, if that is known.
    pub(crate) exemptions: Option<usize>,
    /// When the journal was read, by the host's clock.
    pub(crate) read_at: DateTime<Utc>,
    /// In which order outcomes and ends were written.
    order: Sequence,
}

/// The order of the records, by the number of each action: that of its outcome, and of the last proof of its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sequence {
    records: u64,
    outcomes: BTreeMap<u64, u64>,
    ends: BTreeMap<u64, u64>,
}

/// An action in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The intent.
    pub intent: Arc<Intent>,
    /// When the intent was written, by the host's clock.
    pub written: DateTime<Utc>,
    /// The outcome; `None` if the daemon ended before it was written.
    pub outcome: Option<Outcomed>,
    /// What later snapshots showed, in order.
    pub proofs: Vec<Proof>,
    /// Sessions of the same group that logged in soon after, and when.
    pub(crate) came_back: Option<(SessionKey, DateTime<Utc>)>,
    /// For a dry run: what became of the session, and how long after.
    pub(crate) afterwards: Option<(Afterwards, TimeDelta)>,
}

impl Default for History {
    fn default() -> History {
        History {
            next_id: 1,
            actions: BTreeMap::new(),
            damage: Vec::new(),
            damaged_lines: 0,
            missing: None,
            exemptions: None,
            read_at: DateTime::<Utc>::MAX_UTC,
            order: Sequence::default(),
        }
    }
}

impl Past {
    /// When its snapshot's clock was read, by the host's clock, or at most what that call took before. The intent may be written minutes
    /// later, and nothing of that is a step of the database's clock.
    fn clock_was_read(&self) -> DateTime<Utc> {
        TimeDelta::from_std(self.intent.waited).map_or(self.written, |waited| later(self.written, -waited))
    }

    /// Whether the action must be followed: a statement was or may have been sent, and no snapshot has shown the end.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        let followed = self
            .outcome
            .as_ref()
            .is_none_or(|outcomed| outcomed.outcome.is_followed());
        let ended = self.proofs.iter().any(|proof| proof.ends());
        self.intent.action != Action::Report && followed && (!ended || self.stays_asked())
    }

    /// Whether the session was followed because of the action, and is no longer.
    fn was_followed(&self) -> bool {
        let outcome = self.outcome.as_ref().map(|outcomed| outcomed.outcome);
        outcome.map_or(self.proofs.contains(&Proof::NotSent), Outcome::is_followed)
    }

    /// Whether the action was accepted, waits for a commit, and has passed its deadline: the request is still valid.
    fn stays_asked(&self) -> bool {
        let accepted = self.outcome.as_ref().is_some_and(|outcomed| match outcomed.outcome {
            Outcome::Done | Outcome::Marked => true,
            Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Unknown
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Assumed
            | Outcome::Reported => false,
        });
        let mut ends = self.proofs.iter().filter(|proof| proof.ends());
        let deadline = ends.next() == Some(&Proof::DeadlinePassed) && ends.next().is_none();
        accepted && deadline && self.intent.action.waits_for_commit()
    }
}

impl History {
    /// Actions without an outcome: it is unknown whether their statements were carried out.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &Arc<Intent>> {
        self.actions
            .values()
            .filter(|past| past.outcome.is_none())
            .map(|past| &past.intent)
    }

    /// Which database a name led to at its newest action there.
    #[must_use]
    pub fn identity(&self, database: &str, place: &str) -> Option<&DatabaseIdentity> {
        let mut newest_first = self.actions.values().rev();
        newest_first.find_map(|past| {
            let is_here = &*past.intent.database == database && past.intent.place.as_deref() == Some(place);
            past.intent.identity.as_deref().filter(|_| is_here)
        })
    }

    /// The memory of a database after a restart: its budgets continue, and open actions are followed further. An action without
    /// an outcome counts as unknown. Actions at a previous place of the name are not of this database.
    #[must_use]
    pub fn memory(&self, database: &str, place: &str) -> Memory {
        let mut memory = Memory::default();
        let mut open = OpenActions::default();
        // Where in the journal a real action on the session ended.
        let mut real_until: BTreeMap<SessionKey, u64> = BTreeMap::new();
        let is_here = |intent: &Intent| {
            &*intent.database == database && intent.place.as_ref().is_none_or(|known| &**known == place)
        };
        let is_past = |past: &Past| self.is_past(past);
        let here = || self.actions.values().filter(|past| is_here(&past.intent));
        let ahead = self.ahead(is_here);
        memory.clocks = Clocks::restored(ahead);
        for past in here() {
            let done = done(past, ahead);
            if is_past(past) {
                remember(&mut memory, done.clone());
                for proof in &past.proofs {
                    memory.following.shown(past.intent.key, *proof);
                }
                if past.proofs.contains(&Proof::NotSent) {
                    memory.refills.forget(past.intent.id);
                }
                if let Some((key, login)) = past.came_back {
                    memory.refills.restore(past.intent.id, key, login);
                }
            }
            if past.is_open() {
                let state = if past.stays_asked() {
                    FollowState::Asked
                } else if past.proofs.contains(&Proof::Lingers) {
                    FollowState::Lingering
                } else {
                    FollowState::Waiting
                };
                // As while the daemon runs: an assumed action of a dry run never replaces a real one, also where that has ended since.
                // Without an outcome it is assumed from now on, after all that the journal has.
                let assumed_at = self.order.outcomes.get(&past.intent.id).unwrap_or(&u64::MAX);
                let was_real = real_until.get(&past.intent.key).is_some_and(|until| assumed_at < until);
                let is_real = open.has_real(past.intent.key);
                if done.mode == RunMode::Enforce || !(is_real || was_real) {
                    open.begin(done, state);
                }
            } else if past.was_followed() {
                match past.proofs.contains(&Proof::NotSent) {
                    true => open.not_sent(past.intent.key),
                    false => open.end(past.intent.key),
                }
                if let Some(ended) = self
                    .order
                    .ends
                    .get(&past.intent.id)
                    .filter(|_| done.mode == RunMode::Enforce)
                {
                    let until = real_until.entry(past.intent.key).or_default();
                    *until = (*until).max(*ended);
                }
            }
        }
        if let Some(missing) = &self.missing {
            let ago = (self.read_at - missing.until).max(TimeDelta::zero());
            memory.ledger.distrust(missing.why().into(), ago);
        }
        memory.rehearsals = rehearsals(here().filter(|past| is_past(past)), ahead);
        for past in here().filter(|past| past.intent.mode == RunMode::Enforce) {
            memory.rehearsals.taken(past.intent.key);
        }
        // `remember` follows every accepted action, including ended ones, so the followed actions are set again.
        memory.following.forget_actions();
        open.follow(&mut memory.following);
        memory
    }

    /// Whether it is not dated in the future, by a clock that ran ahead or by editing. Such an action is followed but takes no budget: it
    /// would take it until that time has come.
    fn is_past(&self, past: &Past) -> bool {
        past.intent.taken_at - REMEMBERED <= self.read_at
    }

    /// How much later the newest of these actions was dated than its snapshot's clock was read.
    pub(super) fn ahead(&self, of: impl Fn(&Intent) -> bool) -> Option<TimeDelta> {
        let mut newest_first = self.actions.values().rev();
        let newest = newest_first.find(|past| of(&past.intent) && self.is_past(past));
        newest.map(|past| past.intent.taken_at - past.clock_was_read())
    }

    pub(super) fn take(&mut self, at: DateTime<Utc>, record: Record) -> Result<(), String> {
        self.order.records += 1;
        match record {
            Record::Intent(record) => {
                let id = record.id;
                self.next_id = self.next_id.max(id.saturating_add(1));
                let mut intent = record.read().map_err(|error| error.to_string())?;
                keep_what_matters(&mut intent.session);
                if self.actions.contains_key(&id) {
                    return Err(format!("action {id} was there before"));
                }
                self.actions.insert(
                    id,
                    Past {
                        intent: Arc::new(intent),
                        written: at,
                        outcome: None,
                        proofs: Vec::new(),
                        came_back: None,
                        afterwards: None,
                    },
                );
            }
            Record::Outcome(record) => {
                let id = record.id;
                // The intent may have been in a file that was removed.
                if let Some(past) = self.actions.get_mut(&id) {
                    let mut outcomed = record.read(&past.intent).map_err(|error| error.to_string())?;
                    keep_what_matters(&mut outcomed.session);
                    past.outcome = Some(outcomed);
                    self.order.outcomes.insert(id, self.order.records);
                }
            }
            Record::Verification(record) => {
                let proof = record.read().map_err(|error| error.to_string())?;
                if let Some(past) = self.actions.get_mut(&record.id) {
                    past.proofs.push(proof);
                    if proof.ends() {
                        self.order.ends.insert(record.id, self.order.records);
                    }
                }
            }
            Record::CameBack(record) => {
                if let Some(past) = self.actions.get_mut(&record.id) {
                    past.came_back = Some((record.key(), record.login));
                }
            }
            Record::Rehearsed(record) => {
                let became = record.read().map_err(|error| error.to_string())?;
                if let Some(past) = self.actions.get_mut(&record.id) {
                    past.afterwards = Some(became);
                }
            }
            Record::PoliciesLoaded { exemptions, .. } => self.exemptions = exemptions,
            Record::Started { .. }
            | Record::Stopping { .. }
            | Record::PoliciesFailed { .. }
            | Record::DatabaseUp { .. }
            | Record::DatabaseDown { .. }
            | Record::BreakerOpened { .. }
            | Record::BreakerClosed { .. }
            | Record::GroupSuspended { .. }
            | Record::GroupReleased { .. }
            | Record::Dropped(_)
            | Record::Paused { .. }
            | Record::Resumed { .. }
            | Record::Retention(_)
            | Record::JournalGap { .. } => {}
        }
        Ok(())
    }

    /// Takes note that actions until now may be missing, for a reason that is not in a line.
    pub(crate) fn distrust(&mut self, now: DateTime<Utc>, state: &Path, problem: String) {
        let file = crate::journal::file(state, 0);
        let place = DamagedLine { file, line: 1, problem };
        self.missing = Some(MissingActions { place, until: now });
    }

    fn damaged(&mut self, file: &Path, line: usize, problem: String) {
        self.damaged_lines += 1;
        if self.damage.len() < DAMAGE_TOLD {
            self.damage.push(DamagedLine {
                file: file.to_owned(),
                line,
                problem,
            });
        }
    }
}

/// Drops the columns that only people read, because thousands of rows need not be kept in memory.
fn keep_what_matters(session: &mut Evidence) {
    session.0.retain(|(column, _)| {
        matches!(
            column,
            Column::SqlId
                | Column::SqlExecId
                | Column::Status
                | Column::LastCallEt
                | Column::PrevSqlId
                | Column::PrevExecStart
        )
    });
}

/// The sessions that dry runs would have ended, to be watched on.
fn rehearsals<'p>(past: impl Iterator<Item = &'p Past>, ahead: Option<TimeDelta>) -> Rehearsals {
    Rehearsals::restored(past.filter_map(|past| {
        let done = done(past, ahead);
        let seen = Some(signs(&past.intent.session, done.at));
        Some((Done { seen, ..done }.would_have_ended()?, past.afterwards))
    }))
}

/// What was known of a session when the snapshot was taken.
fn signs(session: &Evidence, at: DateTime<Utc>) -> CallSigns<'static> {
    let text = |column| match session.get(column) {
        Some(EvidenceValue::Text(text)) => Some(text.as_str()),
        Some(EvidenceValue::Null | EvidenceValue::Number(_) | EvidenceValue::Time(_)) | None => None,
    };
    let last_call_et = match session.get(Column::LastCallEt) {
        Some(EvidenceValue::Number(seconds)) => Some(*seconds),
        Some(EvidenceValue::Null | EvidenceValue::Text(_) | EvidenceValue::Time(_)) | None => None,
    };
    let prev_exec_start = match session.get(Column::PrevExecStart) {
        Some(EvidenceValue::Time(time)) => Some(*time),
        Some(EvidenceValue::Null | EvidenceValue::Text(_) | EvidenceValue::Number(_)) | None => None,
    };
    let sql_id = session.get(Column::SqlId).map(|_| text(Column::SqlId));
    let before = (text(Column::PrevSqlId), prev_exec_start);
    CallSigns::restored(at, text(Column::Status), last_call_et, sql_id, before)
}

fn who(intent: &Intent) -> ClientGroup {
    let text = |text: &Option<String>| text.as_deref().map(Arc::from);
    ClientGroup {
        username: text(&intent.username),
        program: text(&intent.program),
        machine: text(&intent.machine),
    }
}

/// `ahead` is how much later the newest action was dated than its snapshot was read. An action before a step of the database's clock is
/// dated by the clock after the step, if that makes it later: no budget is free again because of a clock that was set.
fn done(past: &Past, ahead: Option<TimeDelta>) -> Done {
    let again = ahead.map_or(past.intent.taken_at, |ahead| later(past.clock_was_read(), ahead));
    let stepped = again - past.intent.taken_at > TOLERANCE;
    let at = if stepped { again } else { past.intent.taken_at };
    let done = done_as_dated(past);
    Done { at, ..done }
}

pub(super) fn done_as_dated(past: &Past) -> Done {
    match &past.outcome {
        Some(outcomed) => Done {
            sent: past.intent.mode == RunMode::Enforce && outcomed.statement.is_some(),
            hindrance: hindrance(
                outcomed.outcome,
                outcomed.code,
                outcomed.message.as_deref().unwrap_or_default(),
            ),
            ..done_of(&past.intent, outcomed.outcome, outcomed.session.sql_exec())
        },
        None => done_of(&past.intent, unwritten(&past.intent), None),
    }
}

/// An intent with its outcome, as a database remembers it. `sql_exec` is the statement that the session ran at the re-check, if
/// there was one.
pub(crate) fn done_of(intent: &Intent, outcome: Outcome, sql_exec: Option<(String, Option<i64>)>) -> Done {
    Done {
        action_id: intent.id,
        key: intent.key,
        who: who(intent),
        policy: Arc::clone(&intent.policy),
        action: intent.action,
        mode: intent.mode,
        outcome,
        at: intent.taken_at,
        sql_exec: sql_exec.or_else(|| intent.session.sql_exec()),
        sent: false,
        hindrance: None,
        seen: None,
        was_killed: matches!(intent.session.get(Column::Status), Some(EvidenceValue::Text(status)) if status == KILLED),
    }
}

/// The outcome to assume for an action without one.
#[must_use]
pub(crate) fn unwritten(intent: &Intent) -> Outcome {
    match (intent.action, intent.mode) {
        // The record in the journal is the whole action.
        (Action::Report, _) => Outcome::Reported,
        (Action::Kill { .. } | Action::Disconnect { .. } | Action::CancelSql, RunMode::DryRun) => Outcome::Assumed,
        (Action::Kill { .. } | Action::Disconnect { .. } | Action::CancelSql, RunMode::Enforce) => Outcome::Unknown,
    }
}

/// Reads the journal of a state folder, oldest file first.
///
/// # Errors
/// When an existing file cannot be read.
pub fn read(state: &Path, now: DateTime<Utc>) -> Result<History, JournalError> {
    let history = read_once(state, now)?;
    if history.missing.is_none() {
        return Ok(history);
    }
    // A daemon that writes meanwhile may have put another record where it could not write one: that is no damage.
    read_once(state, now)
}

fn read_once(state: &Path, now: DateTime<Utc>) -> Result<History, JournalError> {
    let there = Files::open(state)?;
    let mut newest = None;
    let mut files = Vec::new();
    for (newer, (path, opened)) in there.newest_first().enumerate() {
        let modified = opened.metadata().and_then(|metadata| metadata.modified());
        let modified = DateTime::<Utc>::from(modified.map_err(JournalError::io("read", path))?);
        newest = newest.or(Some(modified));
        files.push((path, opened));
        // The newest full file is always read: the current file may be too new to contain the largest number.
        if newer > 0 && now - modified > REMEMBERED {
            break;
        }
    }
    let mut history = History {
        read_at: now,
        ..History::default()
    };
    let mut scrutiny = Scrutiny::new(now, files.len() == there.len());
    for (path, opened) in files.into_iter().rev() {
        read_file(path, opened, (&mut history, &mut scrutiny)).map_err(JournalError::io("read", path))?;
    }
    // What is older counts for no budget.
    let missing = scrutiny.end(newest);
    history.missing = missing.filter(|missing| now - missing.until <= REMEMBERED);
    Ok(history)
}

/// Reads one file line by line, never holding more than one record of it. Each line that is not empty is handed over with its
/// number, whether its line feed is there, and its text or what is wrong with it.
pub(super) fn each_line(opened: impl Read, mut each: impl FnMut(usize, bool, Result<&[u8], String>)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, opened);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let longest = u64::try_from(RECORD_BYTES).unwrap_or(u64::MAX);
        if (&mut reader).take(longest).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() == RECORD_BYTES && line.last() != Some(&b'\n') {
            reader.skip_until(b'\n')?;
            each(number, true, Err(format!("longer than {RECORD_BYTES} bytes")));
            continue;
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            each(number, line.last() == Some(&b'\n'), Ok(text));
        }
    }
    Ok(())
}

fn read_file(path: &Path, opened: &File, (history, scrutiny): (&mut History, &mut Scrutiny)) -> io::Result<()> {
    raw_lines(opened, |number, _, raw| {
        let understood = match raw {
            Raw::Text(text) if text.trim_ascii().is_empty() => Ok(None),
            Raw::Text(text) => understand(text.trim_ascii(), (history, scrutiny)).map(Some),
            Raw::Long(_) => Err(format!("longer than {RECORD_BYTES} bytes")),
        };
        scrutiny.take((path, number), raw, &understood);
        if let Err(problem) = understood {
            history.damaged(path, number, problem);
        }
        Ok(())
    })
}

/// The fields that a record of any version has.
#[derive(serde::Deserialize)]
struct AnyRecord {
    v: u32,
    id: Option<u64>,
}

/// Takes a record; returns when it was written.
fn understand(text: &[u8], (history, scrutiny): (&mut History, &mut Scrutiny)) -> Result<DateTime<Utc>, String> {
    let outline: AnyRecord = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    // Even if the rest of the record is damaged, its number is taken.
    if let Some(id) = outline.id {
        if id > LARGEST_ID {
            return Err(format!("number {id} is none that an action was ever given"));
        }
        history.next_id = history.next_id.max(id.saturating_add(1));
    }
    let line = parse(outline.v, text)?;
    if let Record::Retention(deleted) = &line.record {
        scrutiny.deleted(&deleted.through);
    }
    history.take(line.at, line.record)?;
    Ok(line.at)
}

fn parse(version: u32, text: &[u8]) -> Result<JournalLine, String> {
    if version != VERSION {
        return Err(format!("version {version} of the format is not known"));
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// A line's record and when it was written.
///
/// # Errors
/// What is wrong with it.
pub(super) fn record(text: &[u8]) -> Result<(DateTime<Utc>, Record), String> {
    let outline: AnyRecord = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let line = parse(outline.v, text)?;
    Ok((line.at, line.record))
}
