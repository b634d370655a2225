//! The selection of sessions that the policies in force make, and the one that a snapshot was asked for.

use std::sync::Arc;

use crate::decide::in_force::DatabaseRules;
use crate::rows_needed::Selection;

/// Whom the policies that may run on this database are about.
#[derive(Debug)]
pub(super) struct AskedSelection {
    pub(super) selection: Arc<Selection>,
    /// What the snapshot that is under way was asked for.
    pub(super) asked: Option<Arc<Selection>>,
}

impl AskedSelection {
    pub(super) fn of(rules: &DatabaseRules) -> AskedSelection {
        AskedSelection {
            selection: Arc::new(Selection::of(rules)),
            asked: None,
        }
    }

    /// Other rules are in force.
    pub(super) fn reload(&mut self, rules: &DatabaseRules) {
        self.selection = AskedSelection::of(rules).selection;
    }
}
