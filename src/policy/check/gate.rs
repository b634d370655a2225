//! Checks `while` and `until`: conditions on the resources of an instance.

use crate::policy::ast::{Expr, ExprKind, Term, TermKind};
use crate::policy::condition::Comparison;
use crate::policy::lex::Mistake;
use crate::policy::pressure::{PressureCondition, Resource, Threshold};
use crate::yaml::diagnostics::{did_you_mean, one_of, quoted};

/// What a resource can be compared with apart from a percentage.
#[derive(Clone, Copy, PartialEq)]
enum Amount {
    Number,
    Size,
    None,
}

const fn amount(resource: Resource) -> Amount {
    match resource {
        Resource::Sessions | Resource::Processes | Resource::Transactions | Resource::ActiveSessions => Amount::Number,
        Resource::Pga | Resource::Temp | Resource::Undo => Amount::Size,
        Resource::HostCpu => Amount::None,
    }
}

/// Whether an amount of the resource is a size.
pub(super) fn is_size(resource: Resource) -> bool {
    amount(resource) == Amount::Size
}

/// Resolves the condition of a gate and adds its mistakes.
pub(super) fn resolve_gate(expr: &Expr, mistakes: &mut Vec<Mistake>) -> Option<PressureCondition> {
    match &expr.kind {
        ExprKind::And(parts) => {
            let terms: Vec<Option<_>> = parts.iter().map(|part| resolve_gate(part, mistakes)).collect();
            let right: Vec<PressureCondition> = terms.iter().flatten().cloned().collect();
            noted(possible(&right, expr), mistakes)?;
            (right.len() == terms.len()).then_some(PressureCondition::And(right))
        }
        ExprKind::Or(parts) => all(parts, mistakes).map(PressureCondition::Or),
        ExprKind::Not(inner) => Some(PressureCondition::Not(Box::new(resolve_gate(inner, mistakes)?))),
        ExprKind::Compare { left, op, right } => noted(compare(left, *op, right), mistakes),
        ExprKind::Between { operand, low, high } => {
            let low = noted(compare(operand, Comparison::GreaterOrEqual, low), mistakes);
            let high = noted(compare(operand, Comparison::LessOrEqual, high), mistakes);
            let terms = vec![low?, high?];
            noted(possible(&terms, expr), mistakes)?;
            Some(PressureCondition::And(terms))
        }
        ExprKind::Broken => None,
        ExprKind::Phrase(_)
        | ExprKind::Named(_)
        | ExprKind::In { .. }
        | ExprKind::Like { .. }
        | ExprKind::Matches { .. }
        | ExprKind::IsNull(_) => {
            mistakes.push(
                Mistake::new(
                    expr.at.clone(),
                    "not-a-pressure",
                    "this is about a session, not about a resource of an instance",
                )
                .hint("compare a resource: `sessions above 85%`; conditions on sessions belong in `when`"),
            );
            None
        }
    }
}

fn noted<T>(result: Result<T, Mistake>, mistakes: &mut Vec<Mistake>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn all(parts: &[Expr], mistakes: &mut Vec<Mistake>) -> Option<Vec<PressureCondition>> {
    let resolved: Vec<Option<PressureCondition>> = parts.iter().map(|part| resolve_gate(part, mistakes)).collect();
    resolved.into_iter().collect()
}

fn compare(left: &Term, op: Comparison, right: &Term) -> Result<PressureCondition, Mistake> {
    let TermKind::Word(name) = &left.kind else {
        return Err(
            Mistake::new(left.at.clone(), "not-a-resource", "this is not a resource")
                .expected(format!("expected {}", one_of(Resource::ALL.map(Resource::name)))),
        );
    };
    let resource = Resource::named(&name.to_ascii_lowercase()).ok_or_else(|| {
        Mistake::new(
            left.at.clone(),
            "unknown-resource",
            format!("unknown resource {}", quoted(name)),
        )
        .expected(format!("expected {}", one_of(Resource::ALL.map(Resource::name))))
        .maybe_hint(did_you_mean(name, Resource::ALL.map(Resource::name)))
    })?;
    let threshold = match (&right.kind, amount(resource)) {
        (TermKind::Percent(_), _) if resource == Resource::ActiveSessions => {
            let message = "`active_sessions` has no limit, so it cannot be compared with a percentage";
            return Err(Mistake::new(right.at.clone(), "no-limit", message)
                .expected("expected a number")
                .hint("for example `active_sessions above 50`"));
        }
        (TermKind::Percent(percent), _) => percentage(resource, *percent, right)?,
        (TermKind::Number(number), Amount::Number) if *number >= 0 => Threshold::Amount(*number),
        (TermKind::Size(bytes), Amount::Size) => Threshold::Amount(*bytes),
        (_, amount) => {
            let expected = match amount {
                Amount::Number if resource == Resource::ActiveSessions => "a number",
                Amount::Number => "a percentage or a number",
                Amount::Size => "a percentage or a size",
                Amount::None => "a percentage",
            };
            let example = match amount {
                Amount::Number if resource == Resource::ActiveSessions => "`50`",
                Amount::Number => "`85%` or `900`",
                Amount::Size => "`85%` or `20GB`",
                Amount::None => "`85%`",
            };
            let message = format!("`{}` can only be compared with {expected}", resource.name());
            return Err(Mistake::new(right.at.clone(), "mixed-kinds", message)
                .expected(format!("expected {expected}"))
                .hint(format!("for example {example}")));
        }
    };
    let never = match (op, threshold) {
        (Comparison::Greater, Threshold::Percent(percent)) => i64::from(percent) == most(resource),
        (Comparison::Less, Threshold::Percent(0) | Threshold::Amount(0)) => true,
        (_, Threshold::Percent(_) | Threshold::Amount(_)) => false,
    };
    if never {
        let bound = match (op, resource) {
            (Comparison::Less, _) => "0",
            (_, Resource::Pga) => "1000% of its limit",
            (_, _) => "its limit",
        };
        let goes = if op == Comparison::Less { "below" } else { "above" };
        let message = format!(
            "`{}` never goes {goes} {bound}, so this can never be true",
            resource.name()
        );
        return Err(Mistake::new(right.at.clone(), "out-of-range", message));
    }
    Ok(PressureCondition::Compare {
        resource,
        op,
        threshold,
    })
}

/// The highest possible percentage. Only PGA can exceed its limit for a while.
const fn most(resource: Resource) -> i64 {
    match resource {
        Resource::Pga => 1_000,
        Resource::Sessions
        | Resource::Processes
        | Resource::Transactions
        | Resource::Temp
        | Resource::Undo
        | Resource::HostCpu
        | Resource::ActiveSessions => 100,
    }
}

/// Whether all terms can be true together. Compares only pairs for the same resource with the same kind of threshold.
fn possible(terms: &[PressureCondition], expr: &Expr) -> Result<(), Mistake> {
    for (at, term) in terms.iter().enumerate() {
        for other in &terms[at + 1..] {
            if excludes(term, other) || excludes(other, term) {
                let message = "these cannot be true together";
                return Err(Mistake::new(expr.at.clone(), "contradiction", message));
            }
        }
    }
    Ok(())
}

/// Whether the first requires more of a resource than the second allows.
fn excludes(first: &PressureCondition, second: &PressureCondition) -> bool {
    let Some([(op, least), (other_op, most)]) = of_one_resource(first, second) else {
        return false;
    };
    let asks = matches!(op, Comparison::Greater | Comparison::GreaterOrEqual | Comparison::Equal);
    let allows = matches!(other_op, Comparison::Less | Comparison::LessOrEqual | Comparison::Equal);
    let both_reached = !matches!(op, Comparison::Greater) && !matches!(other_op, Comparison::Less);
    asks && allows && (least > most || least == most && !both_reached)
}

/// The operators and thresholds of two conditions, if each is one comparison of the same resource with the same kind of threshold.
pub(super) fn of_one_resource(first: &PressureCondition, second: &PressureCondition) -> Option<[(Comparison, i64); 2]> {
    let (
        PressureCondition::Compare {
            resource,
            op,
            threshold,
        },
        PressureCondition::Compare {
            resource: other,
            op: other_op,
            threshold: other_threshold,
        },
    ) = (first, second)
    else {
        return None;
    };
    let (threshold, other_threshold) = match (threshold, other_threshold) {
        (Threshold::Percent(threshold), Threshold::Percent(other_threshold)) => {
            (i64::from(*threshold), i64::from(*other_threshold))
        }
        (Threshold::Amount(threshold), Threshold::Amount(other_threshold)) => (*threshold, *other_threshold),
        (Threshold::Percent(_), Threshold::Amount(_)) | (Threshold::Amount(_), Threshold::Percent(_)) => return None,
    };
    (resource == other).then_some([(*op, threshold), (*other_op, other_threshold)])
}

fn percentage(resource: Resource, percent: i64, term: &Term) -> Result<Threshold, Mistake> {
    let most = most(resource);
    match u32::try_from(percent) {
        Ok(percent) if i64::from(percent) <= most => Ok(Threshold::Percent(percent)),
        Ok(_) | Err(_) => Err(Mistake::new(
            term.at.clone(),
            "out-of-range",
            format!("`{}` never goes above {most}%", resource.name()),
        )),
    }
}

/// The resources that a condition compares, each with its threshold.
pub(super) fn thresholds(condition: &PressureCondition) -> Vec<(Resource, Threshold)> {
    match condition {
        PressureCondition::And(parts) | PressureCondition::Or(parts) => parts.iter().flat_map(thresholds).collect(),
        PressureCondition::Not(inner) => thresholds(inner),
        PressureCondition::Compare {
            resource, threshold, ..
        } => vec![(*resource, *threshold)],
    }
}
