//! What the next snapshot of a database has to have.

use std::sync::Arc;

use crate::columns_needed;
use crate::daemon::database::DatabaseLoop;
use crate::daemon::database::orders::Polling;
use crate::daemon::messages::{Needs, Polled};
use crate::rows_needed::RowsNeeded;

impl DatabaseLoop {
    /// What the policies, memory and operators need.
    pub(super) fn needs(&mut self) -> Needs {
        let by_hand = self.requests.ask_for_columns(&self.memory.following);
        let rows = self.rows_needed();
        self.wanted.asked = rows.as_ref().map(|rows| Arc::clone(&rows.selection));
        Needs {
            columns: columns_needed::columns(self.rules.set()).union(by_hand),
            resources: columns_needed::resources(self.rules.set()),
            anew: self.anew,
            rows,
        }
    }

    /// The sessions that are needed; `None` if all are: while something is under way, it is not known yet whom memory will look at
    /// when the snapshot comes, an operator may name anybody, and a kill that nobody knows of may show in other sessions.
    fn rows_needed(&self) -> Option<RowsNeeded> {
        let settled = self.memory.under_way.is_empty()
            && self.waiting.is_empty()
            && self.requests.is_empty()
            && !self.memory.following.is_any_uncertain();
        settled.then(|| {
            let mut rows = RowsNeeded::of(&self.wanted.selection, &self.memory);
            rows.seats.extend(self.lead.watched().map(|key| (key.inst_id, key.sid)));
            rows
        })
    }

    /// Passes a snapshot over, and asks for another one.
    pub(super) fn read_anew(&mut self) {
        self.polling = Polling::Idle;
        self.next_poll = self.clock.now();
    }

    /// Whether a snapshot has only the sessions that the policies before a reload wanted.
    pub(super) fn is_of_other_policies(&self, polled: &Polled) -> bool {
        let asked = self.wanted.asked.as_ref();
        let is_current = asked.is_some_and(|asked| Arc::ptr_eq(asked, &self.wanted.selection));
        polled.snapshot.counted().is_some() && !is_current
    }
}
