//! Entries for the same sessions: they share one budget, and only one of them acts at a time.
//!
//! Two entries may reach one database by different addresses. It is recognized after connecting, by its name, its container, and
//! its instances with their hosts; a standby and a clone have other hosts. Intents in the journal have this identity, so after a restart
//! an entry that has not connected yet is known by its last action. A budget is meant for a database: with a budget for
//! each entry, two entries would take twice as many sessions. An entry for CDB$ROOT shares it with those for the PDBs, whose sessions it
//! shows too; two PDBs share nothing. Where their limits differ, the smallest hold for all of them. For the same reason an entry that is removed, renamed or given another
//! address leaves its actions behind, in memory and in the journal: whatever entry leads to that database next takes them over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::clocks::TOLERANCE;
use crate::decide::in_force::{EffectiveLimits, SharedBudget};
use crate::decide::ledger::{LedgerEntry, later};
use crate::journal::left::LeftAction;
use crate::journal::read::History;
use crate::oracle::identity::DatabaseIdentity;

/// All connected entries, and what removed entries did.
#[derive(Debug, Default)]
pub struct Siblings(Mutex<Household>);

#[derive(Debug, Default)]
struct Household {
    entries: BTreeMap<Arc<str>, KnownSibling>,
    /// Actions that no entry has in its memory: the next entry that leads to their database takes them over.
    left: Vec<LeftAction>,
}

#[derive(Debug)]
struct KnownSibling {
    identity: DatabaseIdentity,
    done: Vec<LedgerEntry>,
    /// How much the database's clock was ahead of the host's time of day when these were dated, for an entry that has not connected since
    /// the start.
    ahead: Option<TimeDelta>,
    /// Whether its actions are in progress.
    acts: bool,
    /// The budget that the configuration gives it, once it has said so.
    budget: Option<SharedBudget>,
}

/// What an entry learns about the other entries for its database.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Their names.
    pub(crate) names: Vec<Arc<str>>,
    /// Their recent actions.
    pub(crate) done: Vec<LedgerEntry>,
    /// Actions of entries that were removed or changed. They are this entry's own from now on.
    pub(crate) left: Vec<LedgerEntry>,
    /// The entry whose actions are in progress, if there is one; this entry then must not act.
    pub(crate) acts: Option<Arc<str>>,
}

impl Household {
    /// Enters actions that no entry has in its memory, each once, by the later date: the journal has them as they were dated before a step
    /// of the clock, and is read while the removed entry may not have ended yet.
    fn leave(&mut self, left: impl IntoIterator<Item = LeftAction>) {
        let numbered = |(at, left): (usize, &LeftAction)| Some((left.done.action_id?, at));
        let mut known: HashMap<u64, usize> = self.left.iter().enumerate().filter_map(numbered).collect();
        for left in left {
            let place = self.left.len();
            match left.done.action_id.map(|id| *known.entry(id).or_insert(place)) {
                Some(at) if at < place => {
                    let known = &mut self.left[at];
                    if left.done.at > known.done.at {
                        (known.done, known.ahead) = (left.done, left.ahead);
                    }
                }
                Some(_) | None => self.left.push(left),
            }
        }
    }

    /// Removes an entry; what it did stays.
    fn remove(&mut self, name: &str) {
        if let Some(KnownSibling {
            identity, done, ahead, ..
        }) = self.entries.remove(name)
        {
            let of = Arc::new(identity);
            self.leave(done.into_iter().map(|done| LeftAction {
                of: Arc::clone(&of),
                done,
                ahead,
            }));
        }
    }
}

/// The action by a database's clock that is this much ahead of the host's time of day now. One that was dated before a step is dated
/// anew if that makes it later, as after a restart: either clock may have been set.
fn dated(done: &LedgerEntry, ahead: Option<TimeDelta>, ahead_now: TimeDelta) -> LedgerEntry {
    let step = ahead.and_then(|ahead| ahead_now.checked_sub(&ahead));
    let step = step.filter(|step| *step > TOLERANCE);
    LedgerEntry {
        at: later(done.at, step.unwrap_or_default()),
        ..done.clone()
    }
}

impl Siblings {
    fn known(&self) -> MutexGuard<'_, Household> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what the journal knows count for all entries of each database; each of `configured` by its name, its place and its limits. What
    /// was done to databases under whatever name they had then counts too, but not twice where an entry has it in its own memory.
    pub fn learn(
        &self,
        history: &History,
        configured: impl IntoIterator<Item = (Arc<str>, Arc<str>, EffectiveLimits)>,
    ) {
        for (name, place, limits) in configured {
            if let Some(identity) = history.identity(&name, &place) {
                self.seed(&name, identity.clone(), history.ledger(&name, &place));
            }
            let _ = self.agree(&name, limits.budget());
        }
        let mut known = self.known();
        // One that was under way when an earlier reload read the journal may have come to nothing since.
        let is_over = |done: &LedgerEntry| done.action_id.is_some_and(|id| history.came_to_nothing(id));
        known.left.retain(|left| !is_over(&left.done));
        known.leave(history.left());
    }

    /// Enters an entry that has not connected yet, as the journal knows it: its recent actions count for the others from the first
    /// snapshot on.
    fn seed(&self, name: &Arc<str>, identity: DatabaseIdentity, (done, ahead): (Vec<LedgerEntry>, Option<TimeDelta>)) {
        let acts = false;
        let budget = None;
        let seed = KnownSibling {
            identity,
            done,
            ahead,
            acts,
            budget,
        };
        self.known().entries.entry(Arc::clone(name)).or_insert(seed);
    }

    /// Records an entry's identity and actions, and takes the turn to act if no other entry has it. The database's clock is so much
    /// ahead of the host's time of day.
    pub(crate) fn meet(
        &self,
        name: &Arc<str>,
        (identity, ahead_now): (DatabaseIdentity, TimeDelta),
        mut done: Vec<LedgerEntry>,
    ) -> Heard {
        let mut known = self.known();
        if known
            .entries
            .get(name)
            .is_some_and(|before| !before.identity.is(&identity))
        {
            // The address leads to another database now.
            known.remove(name);
        }
        // While one instance is down, an entry may know the other alone. What anybody has seen of the database stays known.
        let seen = known.entries.values().map(|known| &known.identity);
        let identity = seen.fold(identity, DatabaseIdentity::with_what_was_seen);
        // Of an action that is known twice the later date counts: the other may be from before a step of the clock.
        let mut known_at: HashMap<u64, DateTime<Utc>> = done
            .iter()
            .filter_map(|done| Some((done.action_id?, done.at)))
            .collect();
        let own: HashSet<u64> = known_at.keys().copied().collect();
        let mut is_new = |done: &LedgerEntry| {
            let Some(id) = done.action_id else { return true };
            let before = known_at.get(&id).copied();
            let is_later = before.is_none_or(|before| before < done.at);
            if is_later {
                known_at.insert(id, done.at);
            }
            is_later
        };
        let mut heard = Heard::default();
        let others = known.entries.iter();
        let others = others.filter(|(other, known)| *other != name && known.identity.overlaps(&identity));
        for (other, known) in others {
            heard.names.push(Arc::clone(other));
            let told = known.done.iter().map(|done| dated(done, known.ahead, ahead_now));
            heard.done.extend(told.filter(|done| is_new(done)));
            if known.acts {
                heard.acts = Some(Arc::clone(other));
            }
        }
        let by_now = |left: &LeftAction| dated(&left.done, left.ahead, ahead_now);
        let left = known.left.extract_if(.., |left| left.of.is(&identity));
        let left: Vec<LedgerEntry> = left.map(|left| by_now(&left)).filter(|done| is_new(done)).collect();
        let is_own = |done: &LedgerEntry| done.action_id.is_some_and(|id| own.contains(&id));
        let (dated_later, left) = left.into_iter().partition(is_own);
        heard.done.extend::<Vec<LedgerEntry>>(dated_later);
        heard.left = left;
        // Another container's actions count here too, and stay for the entry that leads there next.
        let elsewhere = known.left.iter().filter(|left| left.of.overlaps(&identity));
        heard.done.extend(elsewhere.map(by_now).filter(|done| is_new(done)));
        done.extend(heard.left.iter().cloned());
        let acts = heard.acts.is_none();
        let budget = known.entries.get(name).and_then(|before| before.budget);
        let met = KnownSibling {
            identity,
            done,
            ahead: None,
            acts,
            budget,
        };
        known.entries.insert(Arc::clone(name), met);
        heard
    }

    /// Records the budget that the configuration gives an entry; the smallest one of the other entries for its database.
    pub(crate) fn agree(&self, name: &str, budget: SharedBudget) -> Option<SharedBudget> {
        let mut known = self.known();
        let own = known.entries.get_mut(name)?;
        own.budget = Some(budget);
        let identity = own.identity.clone();
        let others = known.entries.iter();
        let others = others.filter(|(other, known)| &***other != name && known.identity.overlaps(&identity));
        others
            .filter_map(|(_, known)| known.budget)
            .reduce(SharedBudget::smaller)
    }

    /// The database's clock was set forward: the actions of the other entries are dated anew, until each dates its own, and those that no
    /// entry has. An entry that is down does not, and its actions would be forgotten.
    pub(crate) fn step(&self, name: &str, step: TimeDelta) {
        let mut known = self.known();
        let Some(identity) = known.entries.get(name).map(|known| known.identity.clone()) else {
            return;
        };
        let others = known.entries.iter_mut();
        let others = others.filter(|(other, known)| &***other != name && known.identity.overlaps(&identity));
        let forward = step.max(TimeDelta::zero());
        let by_now = |ahead: &mut Option<TimeDelta>| *ahead = ahead.and_then(|ahead| ahead.checked_add(&step));
        for (_, known) in others {
            by_now(&mut known.ahead);
            for done in &mut known.done {
                done.at = later(done.at, forward);
            }
        }
        for left in known.left.iter_mut().filter(|left| left.of.overlaps(&identity)) {
            by_now(&mut left.ahead);
            left.done.at = later(left.done.at, forward);
        }
    }

    /// Gives the turn back and records the actions in one step, so that they count for the next entry.
    pub(crate) fn rest(&self, name: &str, done: Vec<LedgerEntry>) {
        if let Some(known) = self.known().entries.get_mut(name) {
            known.acts = false;
            known.done = done;
        }
    }

    /// An action has an outcome, which is in its entry's own memory. A reload that read the journal meanwhile has left its intent here.
    pub(crate) fn done(&self, action_id: u64) {
        self.known().left.retain(|left| left.done.action_id != Some(action_id));
    }

    /// Removes an entry that is no longer watched. What it did counts for the entry that leads to its database next.
    pub(crate) fn leave(&self, name: &str) {
        self.known().remove(name);
    }
}

/// One entry among the siblings. Dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct Kin {
    siblings: Arc<Siblings>,
    name: Arc<str>,
}

impl Kin {
    /// For the entry of this name.
    #[must_use]
    pub(crate) fn new(siblings: &Arc<Siblings>, name: &Arc<str>) -> Kin {
        Kin {
            siblings: Arc::clone(siblings),
            name: Arc::clone(name),
        }
    }

    /// As [`Siblings::meet`].
    pub(crate) fn meet(&self, now: (DatabaseIdentity, TimeDelta), done: Vec<LedgerEntry>) -> Heard {
        self.siblings.meet(&self.name, now, done)
    }

    /// As [`Siblings::agree`].
    pub(crate) fn agree(&self, budget: SharedBudget) -> Option<SharedBudget> {
        self.siblings.agree(&self.name, budget)
    }

    /// As [`Siblings::step`].
    pub(crate) fn step(&self, step: TimeDelta) {
        self.siblings.step(&self.name, step);
    }

    /// As [`Siblings::done`].
    pub(crate) fn done(&self, action_id: u64) {
        self.siblings.done(action_id);
    }

    /// As [`Siblings::rest`].
    pub(crate) fn rest(&self, done: Vec<LedgerEntry>) {
        self.siblings.rest(&self.name, done);
    }
}

impl Drop for Kin {
    fn drop(&mut self) {
        self.siblings.leave(&self.name);
    }
}

#[cfg(test)]
mod tests;
