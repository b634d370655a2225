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

use crate::decide::in_force::{EffectiveLimits, SharedBudget};
use crate::decide::ledger::{LedgerEntry, later};
use crate::journal::read::History;
use crate::oracle::identity::DatabaseIdentity;

/// All connected entries, and what removed entries did.
#[derive(Debug, Default)]
pub struct Siblings(Mutex<Household>);

#[derive(Debug, Default)]
struct Household {
    entries: BTreeMap<Arc<str>, KnownSibling>,
    /// Actions that no entry has in its memory, and the database of each: the next entry that leads there takes them over.
    left: Vec<(Arc<DatabaseIdentity>, LedgerEntry)>,
}

#[derive(Debug)]
struct KnownSibling {
    identity: DatabaseIdentity,
    done: Vec<LedgerEntry>,
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
    fn leave(&mut self, left: impl IntoIterator<Item = (Arc<DatabaseIdentity>, LedgerEntry)>) {
        let numbered = |(at, (_, done)): (usize, &(_, LedgerEntry))| Some((done.action_id?, at));
        let mut known: HashMap<u64, usize> = self.left.iter().enumerate().filter_map(numbered).collect();
        for (of, done) in left {
            let place = self.left.len();
            match done.action_id.map(|id| *known.entry(id).or_insert(place)) {
                Some(at) if at < place => {
                    let known = &mut self.left[at].1;
                    known.at = known.at.max(done.at);
                }
                Some(_) | None => self.left.push((of, done)),
            }
        }
    }

    /// Removes an entry; what it did stays.
    fn remove(&mut self, name: &str) {
        if let Some(KnownSibling { identity, done, .. }) = self.entries.remove(name) {
            let identity = Arc::new(identity);
            self.leave(done.into_iter().map(|done| (Arc::clone(&identity), done)));
        }
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
                let done = history.memory(&name, &place).ledger.own();
                self.seed(&name, identity.clone(), done);
            }
            let _ = self.agree(&name, limits.budget());
        }
        let mut known = self.known();
        // One that was under way when an earlier reload read the journal may have come to nothing since.
        let is_over = |done: &LedgerEntry| done.action_id.is_some_and(|id| history.came_to_nothing(id));
        known.left.retain(|(_, done)| !is_over(done));
        known.leave(history.left());
    }

    /// Enters an entry that has not connected yet, as the journal knows it: its recent actions count for the others from the first
    /// snapshot on.
    fn seed(&self, name: &Arc<str>, identity: DatabaseIdentity, done: Vec<LedgerEntry>) {
        let acts = false;
        let budget = None;
        let seed = KnownSibling {
            identity,
            done,
            acts,
            budget,
        };
        self.known().entries.entry(Arc::clone(name)).or_insert(seed);
    }

    /// Records an entry's identity and actions, and takes the turn to act if no other entry has it.
    pub(crate) fn meet(&self, name: &Arc<str>, identity: DatabaseIdentity, mut done: Vec<LedgerEntry>) -> Heard {
        let mut known = self.known();
        if known
            .entries
            .get(name)
            .is_some_and(|before| !before.identity.is(&identity))
        {
            // The address leads to another database now.
            known.remove(name);
        }
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
            heard
                .done
                .extend(known.done.iter().filter(|done| is_new(done)).cloned());
            if known.acts {
                heard.acts = Some(Arc::clone(other));
            }
        }
        let left = known.left.extract_if(.., |(of, _)| of.is(&identity));
        let left: Vec<LedgerEntry> = left.map(|(_, done)| done).filter(|done| is_new(done)).collect();
        let is_own = |done: &LedgerEntry| done.action_id.is_some_and(|id| own.contains(&id));
        let (dated_later, left) = left.into_iter().partition(is_own);
        heard.done.extend::<Vec<LedgerEntry>>(dated_later);
        heard.left = left;
        // Another container's actions count here too, and stay for the entry that leads there next.
        let elsewhere = known
            .left
            .iter()
            .filter(|(of, done)| of.overlaps(&identity) && is_new(done));
        heard.done.extend(elsewhere.map(|(_, done)| done.clone()));
        done.extend(heard.left.iter().cloned());
        let acts = heard.acts.is_none();
        let budget = known.entries.get(name).and_then(|before| before.budget);
        let met = KnownSibling {
            identity,
            done,
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

    /// The database's clock was set forward: the actions of the other entries are dated anew, until each dates its own. An entry that
    /// is down does not, and its actions would be forgotten.
    pub(crate) fn step(&self, name: &str, step: TimeDelta) {
        let mut known = self.known();
        let Some(identity) = known.entries.get(name).map(|known| known.identity.clone()) else {
            return;
        };
        let others = known.entries.iter_mut();
        let others = others.filter(|(other, known)| &***other != name && known.identity.overlaps(&identity));
        for entry in others.flat_map(|(_, known)| &mut known.done) {
            entry.at = later(entry.at, step.max(TimeDelta::zero()));
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
        let is_it = |done: &LedgerEntry| done.action_id == Some(action_id);
        self.known().left.retain(|(_, done)| !is_it(done));
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
    pub(crate) fn meet(&self, identity: DatabaseIdentity, done: Vec<LedgerEntry>) -> Heard {
        self.siblings.meet(&self.name, identity, done)
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
mod tests {
    use super::*;
    use crate::decide::in_force::RunMode;

    fn identity(database: &str, hosts: &[&str]) -> DatabaseIdentity {
        DatabaseIdentity {
            database: database.into(),
            container: None,
            instances: hosts.iter().map(|host| ("prod1".into(), (*host).into())).collect(),
        }
    }

    fn done() -> Vec<LedgerEntry> {
        vec![LedgerEntry {
            at: DateTime::UNIX_EPOCH,
            policy: "idle".into(),
            mode: RunMode::Enforce,
            action_id: Some(1),
        }]
    }

    #[test]
    fn those_that_lead_to_one_database_share_what_was_done_and_take_turns() {
        let siblings = Siblings::default();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = siblings.meet(&one, identity("PROD", &["a", "b"]), done());
        assert!(first.names.is_empty() && first.acts.is_none());
        let second = siblings.meet(&other, identity("PROD", &["b"]), Vec::new());
        assert_eq!(
            (second.names, second.done, second.acts),
            (vec![one.clone()], done(), Some(one.clone()))
        );
        siblings.rest(&one, done());
        assert_eq!(siblings.meet(&other, identity("PROD", &["b"]), Vec::new()).acts, None);
        assert_eq!(
            siblings.meet(&one, identity("PROD", &["a", "b"]), done()).acts,
            Some(other.clone())
        );
        siblings.leave(&other);
        assert!(
            siblings
                .meet(&one, identity("PROD", &["a", "b"]), done())
                .names
                .is_empty()
        );
    }

    /// The root shows the sessions of every PDB, and a PDB its own.
    #[test]
    fn an_entry_for_the_root_shares_with_those_for_its_pdbs() {
        let of = |container| DatabaseIdentity {
            container,
            ..identity("CDB", &["a"])
        };
        let (root, shop, crm, plain) = (of(Some(1)), of(Some(3)), of(Some(4)), of(None));
        for (one, other, shared) in [
            (&root, &shop, true),
            (&shop, &root, true),
            (&shop, &crm, false),
            (&root, &root, true),
            (&root, &plain, false),
            (&shop, &plain, false),
        ] {
            let siblings = Siblings::default();
            siblings.meet(&"one".into(), one.clone(), done());
            siblings.rest("one", done());
            let heard = siblings.meet(&"other".into(), other.clone(), Vec::new());
            assert_eq!(heard.done.len(), usize::from(shared), "{one:?} {other:?}");
            // What a removed entry did counts, and is taken over by its own container alone.
            siblings.leave("one");
            let heard = siblings.meet(&"other".into(), other.clone(), Vec::new());
            let is_heir = one.container == other.container;
            let counts = (usize::from(shared && !is_heir), usize::from(is_heir));
            assert_eq!((heard.done.len(), heard.left.len()), counts, "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_smallest_budget_is_of_those_that_share_it() {
        let of = |container| DatabaseIdentity {
            container: Some(container),
            ..identity("CDB", &["a"])
        };
        let budget = |per_hour, per_day| SharedBudget { per_hour, per_day };
        let siblings = Siblings::default();
        let (root, shop, crm) = (budget(9, None), budget(3, None), budget(5, Some(7)));
        let entries = [("root", of(1), root), ("shop", of(3), shop), ("crm", of(4), crm)];
        for (name, identity, budget) in &entries {
            assert_eq!(siblings.agree(name, *budget), None, "it has not connected");
            siblings.meet(&(*name).into(), identity.clone(), Vec::new());
            siblings.agree(name, *budget);
        }
        let others = entries.map(|(name, _, budget)| siblings.agree(name, budget));
        assert_eq!(others, [Some(budget(3, Some(7))), Some(root), Some(root)]);
        // One that has not connected since the start, and one whose limits a reload has changed.
        siblings.leave("shop");
        siblings.seed(&"shop".into(), of(3), Vec::new());
        assert_eq!(siblings.agree("root", root), Some(crm));
        siblings.agree("shop", budget(1, None));
        assert_eq!(siblings.agree("root", root), Some(budget(1, Some(7))));
    }

    /// What an entry took over may be dated by the journal, from before a step of the clock that the other entry has seen.
    #[test]
    fn an_action_that_is_known_twice_is_told_by_the_later_date() {
        let at = |seconds| LedgerEntry {
            at: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
            ..done().remove(0)
        };
        let siblings = Siblings::default();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let of = || identity("PROD", &["a"]);
        siblings.meet(&one, of(), vec![at(4_000)]);
        assert_eq!(siblings.meet(&other, of(), vec![at(0)]).done, [at(4_000)]);
        assert_eq!(siblings.meet(&one, of(), vec![at(4_000)]).done, []);
        siblings.leave(&one);
        let heir = siblings.meet(&other, of(), vec![at(0)]);
        assert_eq!(
            (heir.done, heir.left),
            (vec![at(4_000)], Vec::new()),
            "it has it already"
        );
    }

    #[test]
    fn an_entry_that_is_down_forgets_nothing_when_the_database_s_clock_is_set() {
        let siblings = Siblings::default();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        siblings.meet(&one, identity("PROD", &["a"]), done());
        siblings.meet(&other, identity("PROD", &["a"]), Vec::new());
        siblings.meet(&"else".into(), identity("TEST", &["a"]), done());
        siblings.step(&other, TimeDelta::hours(-2));
        siblings.step(&other, TimeDelta::hours(2));
        let heard = siblings.meet(&other, identity("PROD", &["a"]), Vec::new());
        assert_eq!(heard.done[0].at, DateTime::UNIX_EPOCH + TimeDelta::hours(2));
        let apart = siblings.meet(&"third".into(), identity("TEST", &["a"]), Vec::new());
        assert_eq!(apart.done, done(), "another database has another clock");
    }

    #[test]
    fn an_entry_that_has_not_connected_since_the_start_is_known_by_its_last_action() {
        let siblings = Siblings::default();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        siblings.seed(&one, identity("PROD", &["a"]), done());
        let heard = siblings.meet(&other, identity("PROD", &["a", "b"]), Vec::new());
        assert_eq!((heard.names, heard.done, heard.acts), (vec![one.clone()], done(), None));
        siblings.rest(&other, Vec::new());
        siblings.meet(&one, identity("PROD", &["a"]), Vec::new());
        siblings.seed(&one, identity("PROD", &["a"]), done());
        let heard = siblings.meet(&other, identity("PROD", &["a"]), Vec::new());
        assert!(heard.done.is_empty(), "what it says itself is newer");
    }

    #[test]
    fn what_an_entry_did_outlives_it_and_counts_once() {
        let siblings = Siblings::default();
        let (one, other, third): (Arc<str>, Arc<str>, Arc<str>) = ("one".into(), "other".into(), "third".into());
        siblings.meet(&one, identity("PROD", &["a"]), done());
        siblings.leave(&one);
        siblings
            .known()
            .leave(vec![(identity("PROD", &["a"]).into(), done().remove(0))]);
        let elsewhere = siblings.meet(&third, identity("TEST", &["a"]), Vec::new());
        assert!(elsewhere.left.is_empty(), "another database has its own budget");
        let heir = siblings.meet(&other, identity("PROD", &["a", "b"]), Vec::new());
        assert_eq!((heir.names.len(), heir.done, heir.left), (0, Vec::new(), done()));
        // Before the heir says again what it has: nobody misses it, and nobody takes it over a second time.
        let heard = siblings.meet(&one, identity("PROD", &["a"]), Vec::new());
        assert_eq!((heard.done, heard.left), (done(), Vec::new()));
        let again = siblings.meet(&one, identity("PROD", &["a"]), done());
        assert!(
            again.done.is_empty(),
            "the entry is there again, with its memory from the journal"
        );
        let moved = siblings.meet(&other, identity("TEST", &["a"]), done());
        assert_eq!(moved.names, vec![third]);
        assert_eq!(
            siblings.meet(&"new".into(), identity("PROD", &["a"]), Vec::new()).done,
            done()
        );
    }

    /// A reload reads the journal before the removed entry has ended. The journal dates its actions by the clock before a step.
    #[test]
    fn what_a_removed_entry_did_is_taken_over_by_the_later_date_whichever_is_heard_first() {
        let at = |seconds| LedgerEntry {
            at: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
            ..done().remove(0)
        };
        let journal = || vec![(identity("PROD", &["a"]).into(), at(0))];
        for journal_first in [true, false] {
            let siblings = Siblings::default();
            siblings.meet(&"one".into(), identity("PROD", &["a"]), vec![at(4_000)]);
            if journal_first {
                siblings.known().leave(journal());
            }
            siblings.leave("one");
            if !journal_first {
                siblings.known().leave(journal());
            }
            let heir = siblings.meet(&"other".into(), identity("PROD", &["a"]), Vec::new());
            assert_eq!((heir.done, heir.left), (Vec::new(), vec![at(4_000)]), "{journal_first}");
        }
    }

    #[test]
    fn what_has_an_outcome_is_not_taken_over_as_an_intent_that_a_reload_read() {
        let siblings = Siblings::default();
        let under_way = || vec![(identity("PROD", &["a"]).into(), done().remove(0))];
        siblings.known().leave(under_way());
        siblings.done(2);
        siblings.done(1);
        let left = siblings.meet(&"one".into(), identity("PROD", &["a"]), Vec::new()).left;
        assert_eq!(left, []);
        siblings.known().leave(under_way());
        let left = siblings.meet(&"one".into(), identity("PROD", &["a"]), Vec::new()).left;
        assert_eq!(left, done(), "it has none");
    }

    #[test]
    fn a_standby_and_another_database_of_the_host_are_others() {
        let siblings = Siblings::default();
        siblings.meet(&"one".into(), identity("PROD", &["a"]), done());
        for other in [identity("PROD", &["standby"]), identity("TEST", &["a"])] {
            assert!(siblings.meet(&"other".into(), other, Vec::new()).names.is_empty());
        }
    }
}
