//! The sessions that each policy's condition holds for, computed once a cycle: `for:` and the plan use the same result.

use crate::decide::evaluate::evaluate;
use crate::decide::in_force::InForce;
use crate::policy::model::{Policy, PolicySet};
use crate::session::snapshot::Snapshot;

/// Which sessions a policy's condition holds for: `(when) AND NOT (unless)` TRUE, nothing else.
#[must_use]
pub(crate) fn matched_rows(policy: &Policy, snapshot: &Snapshot) -> Vec<usize> {
    let when = evaluate(&policy.when, snapshot);
    let selected = match &policy.unless {
        None => when,
        Some(unless) => when.and(&!evaluate(unless, snapshot)),
    };
    selected.true_rows().collect()
}

/// The rows that the conditions of the policies in force hold for.
#[derive(Clone, Debug, Default)]
pub struct Matches(Vec<(usize, Vec<usize>)>);

impl Matches {
    /// In a snapshot.
    #[must_use]
    pub fn of(set: &PolicySet, running: &[InForce], snapshot: &Snapshot) -> Matches {
        let of_policy = |in_force: &InForce| {
            let index = in_force.index();
            (index, matched_rows(&set.policies[index], snapshot))
        };
        Matches(running.iter().map(of_policy).collect())
    }

    /// Those of the policy at this place in the set; none if it is not in force.
    #[must_use]
    pub(crate) fn rows(&self, policy: usize) -> &[usize] {
        self.0
            .iter()
            .find(|(index, _)| *index == policy)
            .map_or(&[], |(_, rows)| rows)
    }
}
