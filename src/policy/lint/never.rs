//! Whether some conditions can hold for one session together, with all alternatives of OR tried in turn.
//!
//! [`ColumnFacts`] looks at what holds in any case and passes over alternatives. Here each alternative is assumed in turn, so that
//! `(A or B) and (not A) and (not B)` is seen too. The number of steps is bounded; beyond it, nothing is reported.

use super::facts::ColumnFacts;
use crate::policy::condition::{Comparison, Condition, Constant, Operand};
use crate::session::column::Column;

/// The most combinations of alternatives that are tried.
const MOST_STEPS: usize = 512;

/// A condition, and whether it is demanded to be TRUE or to be FALSE.
type Demand = (Condition, bool);

/// Whether no session can make all of these TRUE (or FALSE, where that is said). `false` if it is not certain.
pub(crate) fn never_together(demands: &[(&Condition, bool)]) -> bool {
    let demands = demands.iter().map(|(condition, holds)| ((*condition).clone(), *holds));
    let mut steps = MOST_STEPS;
    !is_possible(ColumnFacts::default(), demands.collect(), Vec::new(), &mut steps)
}

/// What is true of every session that a policy may act on, or may tell of if it only `reports`. The protections that make it so
/// are never lifted.
pub(crate) fn of_every_session(reports: bool) -> Condition {
    let equal = |column, value: &str| Condition::Compare {
        left: Operand::Column(column),
        op: Comparison::Equal,
        right: Operand::Literal(Constant::Text(value.into())),
    };
    let not = |condition| Condition::Not(Box::new(condition));
    let identity = [
        Column::InstId,
        Column::Sid,
        Column::Serial,
        Column::LogonTime,
        Column::Username,
    ];
    let known = identity.map(|column| not(Condition::IsNull(Operand::Column(column))));
    let alive = (!reports).then(|| not(equal(Column::Status, "KILLED")));
    let all = known.into_iter().chain([equal(Column::Type, "USER")]).chain(alive);
    Condition::And(all.collect())
}

/// `open` are the alternatives of which one is still to be chosen: of each, one has to hold.
fn is_possible(mut facts: ColumnFacts, demands: Vec<Demand>, mut open: Vec<Vec<Demand>>, steps: &mut usize) -> bool {
    let Some(left) = steps.checked_sub(1) else { return true };
    *steps = left;
    let mut demands = demands;
    while let Some((condition, holds)) = demands.pop() {
        match (condition, holds) {
            (Condition::Not(inner), holds) => demands.push((*inner, !holds)),
            (Condition::Named(_, inner), holds) => demands.push(((*inner).clone(), holds)),
            (Condition::Phrase(phrase), holds) => demands.push((phrase.meaning(), holds)),
            (Condition::And(parts), true) | (Condition::Or(parts), false) => {
                demands.extend(parts.into_iter().map(|part| (part, holds)));
            }
            (Condition::And(parts), false) | (Condition::Or(parts), true) => {
                open.push(parts.into_iter().map(|part| (part, holds)).collect());
            }
            (
                term @ (Condition::Compare { .. }
                | Condition::In { .. }
                | Condition::Between { .. }
                | Condition::Like { .. }
                | Condition::Matches { .. }
                | Condition::IsNull(_)),
                holds,
            ) => facts.assume(&term, holds),
        }
    }
    if facts.contradict() {
        return false;
    }
    let Some(alternatives) = open.pop() else { return true };
    alternatives
        .into_iter()
        .any(|chosen| is_possible(facts.clone(), vec![chosen], open.clone(), steps))
}
