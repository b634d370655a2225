//! Checks `while` and `until` together: whether the one can end what the other begins.

use std::ops::Range;

use super::gate::{of_one_resource, thresholds};
use super::other_mark::lower;
use crate::policy::condition::Comparison;
use crate::policy::pressure::{PressureCondition, Resource, Threshold};
use crate::yaml::fields::Inspection;

/// Reports what makes no sense of `while` and `until` together. `at` is where `until` stands.
pub(super) fn gate_pair(
    inspection: &mut Inspection,
    at: &Range<usize>,
    begin: &PressureCondition,
    end: &PressureCondition,
) {
    let proposed = |otherwise: &str| match lower(begin) {
        Some(until) => format!("write `until: {until}`"),
        None => otherwise.to_owned(),
    };
    if is_inverted(begin, end) {
        let message = "`until` is already true where `while` becomes true, so the policy could never act";
        inspection.error(at, "unreachable", message).hint = Some(match end {
            PressureCondition::Compare { op, .. } if !is_falling(*op) => {
                proposed("write an `until` that is not true there")
            }
            PressureCondition::And(_)
            | PressureCondition::Or(_)
            | PressureCondition::Not(_)
            | PressureCondition::Compare { .. } => "the threshold of `until` must be below that of `while`".to_owned(),
        });
    } else if let Some(other) = of_other_resources(begin, end) {
        let message = match other {
            OtherResources::Unending(names) => format!(
                "`while` can be true because of {names} alone, and `until` says nothing of that: when the policy stops depends on \
                 another resource"
            ),
            OtherResources::Unbegun(names) => format!(
                "`until` can be true because of {names} alone, and `while` says nothing of that: the policy may stop before it has acted"
            ),
        };
        inspection.warning(at, "until-of-another-resource", message).hint =
            Some(proposed("write an `until` of the same resources as `while`"));
    } else if let Some(resource) = in_other_units(begin, end) {
        let message = format!(
            "`while` and `until` compare `{}` in different units: one with a percentage, the other with an amount",
            resource.name()
        );
        let hint = match lower(begin) {
            Some(until) => format!("write both in the same unit, such as `until: {until}`"),
            None => "write both in the same unit".to_owned(),
        };
        inspection.warning(at, "different-units", message).hint = Some(hint);
    }
}

/// Resources that only one of `while` and `until` speaks of.
enum OtherResources {
    /// `while` can become true by these alone.
    Unending(String),
    /// `until` can become true by these alone.
    Unbegun(String),
}

/// An alternative of one of the two that has no resource in common with the other.
fn of_other_resources(begin: &PressureCondition, end: &PressureCondition) -> Option<OtherResources> {
    let names = |condition: &PressureCondition| -> Vec<Resource> {
        thresholds(condition)
            .into_iter()
            .map(|(resource, _)| resource)
            .collect()
    };
    let alone = |condition: &PressureCondition, other: &PressureCondition| {
        let known = names(other);
        let alternatives = match condition {
            PressureCondition::Or(parts) => parts.iter().map(names).collect(),
            PressureCondition::And(_) | PressureCondition::Not(_) | PressureCondition::Compare { .. } => {
                vec![names(condition)]
            }
        };
        let found = alternatives
            .into_iter()
            .find(|own| !own.iter().any(|resource| known.contains(resource)))?;
        Some(
            found
                .iter()
                .map(|resource| format!("`{}`", resource.name()))
                .collect::<Vec<_>>()
                .join(" and "),
        )
    };
    let unending = alone(begin, end).map(OtherResources::Unending);
    unending.or_else(|| alone(end, begin).map(OtherResources::Unbegun))
}

/// A resource that `while` compares with a percentage and `until` with an amount, or the other way round. One of the two most
/// likely lacks its `%`.
fn in_other_units(begin: &PressureCondition, end: &PressureCondition) -> Option<Resource> {
    let (begin, end) = (thresholds(begin), thresholds(end));
    let is_percent = |threshold: &Threshold| matches!(threshold, Threshold::Percent(_));
    let of = |resource, thresholds: &[(Resource, Threshold)]| -> Vec<bool> {
        let own = thresholds.iter().filter(|(other, _)| *other == resource);
        own.map(|(_, threshold)| is_percent(threshold)).collect()
    };
    Resource::ALL.into_iter().find(|resource| {
        let (begin, end) = (of(*resource, &begin), of(*resource, &end));
        !begin.is_empty() && !end.is_empty() && !begin.iter().any(|percent| end.contains(percent))
    })
}

/// Whether `until` is already true where `while` becomes true, as in `above 70%` until `below 85%` or `above 50%`.
///
/// It is known only if each is one comparison of the same resource with the same kind of threshold.
fn is_inverted(begin: &PressureCondition, end: &PressureCondition) -> bool {
    let Some([(op, begin), (other_op, end)]) = of_one_resource(begin, end) else {
        return false;
    };
    let is_rising = |op| matches!(op, Comparison::Greater | Comparison::GreaterOrEqual);
    let touches = other_op.holds(std::cmp::Ordering::Equal) || !op.holds(std::cmp::Ordering::Equal);
    match (is_rising(op), is_falling(op)) {
        (true, false) if is_falling(other_op) => end > begin,
        (true, false) if is_rising(other_op) => end < begin || end == begin && touches,
        (false, true) if is_falling(other_op) => end > begin || end == begin && touches,
        _ => false,
    }
}

const fn is_falling(op: Comparison) -> bool {
    matches!(op, Comparison::Less | Comparison::LessOrEqual)
}
