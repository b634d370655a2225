//! What one policy did on one day, for the summary.

use std::collections::BTreeMap;

use super::is_unused;
use super::rehearsed::count;
use crate::decide::outcome::Outcome;
use crate::decide::used_again::RehearsalTally;
use crate::decide::verify::Proof;
use crate::event::EvidenceValue;
use crate::journal::entries::Entry;
use crate::quantity::Bytes;
use crate::session::column::Column;

/// Users that a line of the summary names; the rest are counted.
const USERS_NAMED: usize = 3;

/// What one policy did on one day.
#[derive(Default)]
pub(super) struct DayTally {
    /// All but the unused.
    actions: u64,
    done: u64,
    spared: u64,
    failed: u64,
    /// Warrants that expired or were revoked before anything was tried.
    unused: u64,
    /// Without an outcome.
    open: u64,
    gone: u64,
    lingering: u64,
    back: u64,
    /// What became of the sessions that a dry run would have ended.
    rehearsed: RehearsalTally,
    users: BTreeMap<String, u64>,
    undo: i64,
    temp: i64,
}

impl DayTally {
    pub(super) fn add(&mut self, entry: &Entry) {
        if is_unused(entry) {
            self.unused += 1;
            return;
        }
        self.actions += 1;
        let counted = match entry.outcome.as_ref().map(|outcomed| outcomed.outcome) {
            None => &mut self.open,
            Some(Outcome::Done | Outcome::Marked | Outcome::Assumed | Outcome::Reported) => &mut self.done,
            Some(
                Outcome::AlreadyGone
                | Outcome::NoLongerMatches
                | Outcome::Protected
                | Outcome::Unchecked
                | Outcome::Expired
                | Outcome::Revoked,
            ) => &mut self.spared,
            Some(Outcome::Refused | Outcome::Unsupported | Outcome::Failed | Outcome::Unknown) => &mut self.failed,
        };
        *counted += 1;
        match entry.last_proof().map(|(_, proof)| proof) {
            Some(Proof::Gone | Proof::ResourcesFreed | Proof::Cancelled) => self.gone += 1,
            Some(Proof::Lingers | Proof::DeadlinePassed) => self.lingering += 1,
            Some(Proof::NotSent) | None => {}
        }
        self.back += u64::from(entry.came_back.is_some());
        let user = entry.intent.username.clone().unwrap_or_else(|| "-".into());
        *self.users.entry(user).or_default() += 1;
        for (column, sum) in [(Column::Undo, &mut self.undo), (Column::Temp, &mut self.temp)] {
            if let Some(EvidenceValue::Number(bytes)) = entry.intent.session.get(column) {
                *sum = sum.saturating_add(*bytes);
            }
        }
    }

    pub(super) fn rehearse(&mut self, entry: &Entry) {
        count(&mut self.rehearsed, entry);
    }

    /// The users with the most, and how many others there are.
    pub(super) fn who(&self) -> String {
        let mut users: Vec<(&String, &u64)> = self.users.iter().collect();
        users.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
        let mut words: Vec<String> = users
            .iter()
            .take(USERS_NAMED)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if users.len() > USERS_NAMED {
            words.push(format!("{} others", users.len() - USERS_NAMED));
        }
        words.join(", ")
    }

    /// What the sessions held of what others wait for.
    pub(super) fn held(&self) -> String {
        let parts: Vec<String> = [("undo", self.undo), ("temp", self.temp)]
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(what, bytes)| format!("{what} {}", Bytes(bytes)))
            .collect();
        if parts.is_empty() {
            "-".to_owned()
        } else {
            parts.join(", ")
        }
    }

    pub(super) fn counts(&self) -> [u64; 14] {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let rehearsed = &self.rehearsed;
        [
            self.actions,
            self.done,
            self.spared,
            self.failed,
            self.unused,
            self.open,
            self.gone,
            self.lingering,
            self.back,
            whole(rehearsed.used_again()),
            whole(rehearsed.validated.count),
            whole(rehearsed.ended.count),
            whole(rehearsed.watched),
            whole(rehearsed.lost),
        ]
    }
}
