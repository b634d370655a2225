//! What the journal knows of databases for the entries of the configuration that lead there now: a budget belongs to the database.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::decide::ledger::LedgerEntry;
use crate::event::Intent;
use crate::journal::read::{History, done_as_dated};
use crate::oracle::identity::DatabaseIdentity;

/// An action on a database that no entry has in its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftAction {
    /// The database.
    pub(crate) of: Arc<DatabaseIdentity>,
    /// The action.
    pub(crate) done: LedgerEntry,
    /// How much the database's clock was ahead of the host's time of day when it was dated; `None` where it is dated anew after each step.
    pub(crate) ahead: Option<TimeDelta>,
}

impl History {
    /// What was done to which database, under whatever name and address the configuration had it then: that counts for every entry
    /// that leads to the database now.
    #[must_use]
    pub(crate) fn left(&self) -> Vec<LeftAction> {
        let mut places: BTreeSet<(&str, &str)> = BTreeSet::new();
        places.extend(self.actions.values().filter_map(|past| {
            let Intent { database, place, .. } = &*past.intent;
            Some((&**database, &**place.as_ref()?))
        }));
        let done = places.into_iter().flat_map(|(database, place)| {
            let newest = self.identity(database, place).cloned().map(Arc::new);
            let (done, ahead) = self.ledger(database, place);
            done.into_iter().map(move |done| (newest.clone(), done, ahead))
        });
        done.filter_map(|(newest, done, ahead)| {
            let past = self.actions.get(&done.action_id?)?;
            let of = past.intent.identity.clone().or(newest)?;
            Some(LeftAction { of, done, ahead })
        })
        .collect()
    }

    /// What was done through an entry, and how much the database's clock was ahead of the host's time of day at the newest of it.
    pub(crate) fn ledger(&self, database: &str, place: &str) -> (Vec<LedgerEntry>, Option<TimeDelta>) {
        let memory = self.memory(database, place);
        (memory.ledger.own(), memory.clocks.journalled())
    }

    /// Whether it is known by now that this action takes from no budget.
    #[must_use]
    pub(crate) fn came_to_nothing(&self, action_id: u64) -> bool {
        let past = self.actions.get(&action_id).filter(|past| past.outcome.is_some());
        past.is_some_and(|past| !done_as_dated(past).takes_budget())
    }
}
