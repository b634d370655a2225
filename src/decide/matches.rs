//! The sessions that each policy's condition holds for, computed once a cycle: `for:` and the plan use the same result.

use std::rc::Rc;

use crate::decide::evaluate::Evaluation;
use crate::decide::evaluate::truth::Truths;
use crate::decide::in_force::InForce;
use crate::policy::model::{Policy, PolicySet};
use crate::session::snapshot::Snapshot;

/// The truth of a policy's whole condition, `(when) AND NOT (unless)`, for each session. The policy selects those for which it is TRUE.
#[must_use]
pub(crate) fn selects(policy: &Policy, evaluation: &mut Evaluation<'_>) -> Rc<Truths> {
    let when = evaluation.truths(&policy.when);
    let Some(unless) = &policy.unless else {
        return when;
    };
    let spares = Rc::unwrap_or_clone(evaluation.truths(unless));
    Rc::new((!spares).and(&when))
}

/// The sessions that a policy selects.
#[must_use]
pub(crate) fn matched_rows(policy: &Policy, snapshot: &Snapshot) -> Vec<usize> {
    selects(policy, &mut Evaluation::of(snapshot)).true_rows().collect()
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
            let selected = selects(&set.policies[index], &mut evaluation);
            (index, selected.true_rows().collect())
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
