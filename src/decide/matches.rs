//! The sessions that each policy's condition holds for, computed once a cycle: `for:` and the plan use the same result.

use std::rc::Rc;

use crate::decide::evaluate::Evaluation;
use crate::decide::in_force::InForce;
use crate::policy::model::{Policy, PolicySet};
use crate::session::snapshot::Snapshot;

/// Which sessions a policy's condition holds for: `(when) AND NOT (unless)` TRUE, nothing else.
#[must_use]
pub(crate) fn matched_rows(policy: &Policy, snapshot: &Snapshot) -> Vec<usize> {
    matched(policy, &mut Evaluation::of(snapshot))
}

fn matched(policy: &Policy, evaluation: &mut Evaluation<'_>) -> Vec<usize> {
    let when = evaluation.truths(&policy.when);
    let Some(unless) = &policy.unless else {
        return when.true_rows().collect();
    };
    let spares = Rc::unwrap_or_clone(evaluation.truths(unless));
    (!spares).and(&when).true_rows().collect()
}

/// The rows that the conditions of the policies in force hold for.
#[derive(Clone, Debug, Default)]
pub struct Matches(Vec<(usize, Vec<usize>)>);

impl Matches {
    /// In a snapshot.
    #[must_use]
    pub fn of(set: &PolicySet, running: &[InForce], snapshot: &Snapshot) -> Matches {
        let mut evaluation = Evaluation::of(snapshot);
        let of_policy = |in_force: &InForce| {
            let index = in_force.index();
            (index, matched(&set.policies[index], &mut evaluation))
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
