//! What a replay does with warrants: it assumes that each action was carried out, and remembers it as the daemon does.

use crate::decide::cycle::{Cycle, Done, Memory, remember};
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::policy::model::Action;
use crate::session::snapshot::Snapshot;

/// Remembers the actions of a cycle. `action_id` is the number of the last action.
///
/// # Panics
/// If a warrant enforces: a replay is a dry run.
pub(super) fn assume_done(memory: &mut Memory, snapshot: &Snapshot, cycle: &Cycle, action_id: &mut u64) {
    for warrant in &cycle.ruling.warrants {
        assert_eq!(warrant.mode(), RunMode::DryRun, "a replay never enforces");
        *action_id += 1;
        let outcome = match warrant.action() {
            Action::Report => Outcome::Reported,
            Action::Kill { .. } | Action::Disconnect { .. } | Action::CancelSql => Outcome::Assumed,
        };
        remember(memory, Done::seen_in(snapshot, warrant, *action_id, outcome));
    }
}
