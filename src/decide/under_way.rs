//! Actions that were begun and have no outcome yet.
//!
//! An action may take a minute, and cycles go on meanwhile. What is under way counts as done: its session is left out, budgets and
//! floors count it. If it comes to nothing after all, the next cycle decides anew.

use std::sync::Arc;

use crate::decide::in_force::{InForce, RunMode};
use crate::policy::model::{Action, PolicySet};
use crate::session::SessionKey;

/// One action under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The session.
    pub(crate) key: SessionKey,
    /// The policy.
    pub(crate) policy: Arc<str>,
    /// The action.
    pub(crate) action: Action,
    /// The mode in which the policy ran.
    pub(crate) mode: RunMode,
}

/// All actions of a database that are under way, in the order in which they were begun.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Vec<Begun>);

impl UnderWay {
    /// An action begins.
    pub(crate) fn begin(&mut self, begun: Begun) {
        self.0.push(begun);
    }

    /// An action has its outcome, or will have none.
    pub(crate) fn end(&mut self, ended: &Begun) {
        self.0.retain(|begun| begun != ended);
    }

    /// Whether nothing is under way.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The actions that do something to their sessions and count for this policy.
    pub(crate) fn counted(&self, in_force: InForce, set: &PolicySet) -> impl Iterator<Item = &Begun> {
        let acts = self.0.iter().filter(|begun| begun.action != Action::Report);
        acts.filter(move |begun| in_force.reckons_with(set, begun.mode, &begun.policy))
    }

    /// Whether a report of this policy on the session is under way.
    #[must_use]
    pub(crate) fn reports(&self, policy: &str, key: SessionKey) -> bool {
        let is_report = |begun: &Begun| begun.action == Action::Report && begun.key == key && &*begun.policy == policy;
        self.0.iter().any(is_report)
    }
}
