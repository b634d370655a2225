//! A mark below that of `while`, for a policy that has no `until`; and one above that of `until`, for a policy that has no `while`.

use crate::policy::condition::Comparison;
use crate::policy::pressure::{PressureCondition, Resource, Threshold};
use crate::quantity::{Bytes, bytes_in};

use super::gate::is_size;

/// How far from a percentage the other one is proposed.
const APART: u32 = 15;

/// What to write as `until`: the same resources, each below a lower threshold. If one resource opens the gate, all must have
/// recovered; if several must be short, it is enough that one has. `None` if a threshold is not one from which to go down.
pub(super) fn lower(begin: &PressureCondition) -> Option<String> {
    written(begin, OtherMark::Until, false)
}

/// What to write as `while`: the same resources, each above a higher threshold.
pub(super) fn higher(end: &PressureCondition) -> Option<String> {
    written(end, OtherMark::While, false)
}

/// The key for which a mark is proposed.
#[derive(Clone, Copy, PartialEq)]
enum OtherMark {
    While,
    Until,
}

fn written(known: &PressureCondition, key: OtherMark, within: bool) -> Option<String> {
    let joined = |terms: &[PressureCondition], word: &str| {
        let terms: Option<Vec<String>> = terms.iter().map(|term| written(term, key, true)).collect();
        let joined = terms?.join(word);
        Some(if within { format!("({joined})") } else { joined })
    };
    match known {
        PressureCondition::And(terms) => joined(terms, " or "),
        PressureCondition::Or(terms) => joined(terms, " and "),
        PressureCondition::Not(_) => None,
        PressureCondition::Compare {
            resource,
            op,
            threshold,
        } => {
            let above = matches!(op, Comparison::Greater | Comparison::GreaterOrEqual);
            let below = matches!(op, Comparison::Less | Comparison::LessOrEqual);
            match key {
                OtherMark::Until if above => {
                    Some(format!("{} below {}", resource.name(), down(*resource, *threshold)?))
                }
                OtherMark::While if below => Some(format!("{} above {}", resource.name(), up(*resource, *threshold)?)),
                OtherMark::While | OtherMark::Until => None,
            }
        }
    }
}

fn down(resource: Resource, threshold: Threshold) -> Option<String> {
    match threshold {
        Threshold::Percent(percent) if percent > 2 * APART => Some(format!("{}%", percent - APART)),
        Threshold::Percent(percent) => Some(format!("{}%", above_zero(i64::from(percent) * 4 / 5)?)),
        Threshold::Amount(amount) if is_size(resource) => size(amount, four_fifths),
        Threshold::Amount(amount) => Some(above_zero(four_fifths(amount))?.to_string()),
    }
}

fn up(resource: Resource, threshold: Threshold) -> Option<String> {
    match threshold {
        Threshold::Percent(percent) if percent + APART < 100 => Some(format!("{}%", percent + APART)),
        Threshold::Percent(percent) if percent < 99 => Some(format!("{}%", u32::midpoint(percent, 100))),
        Threshold::Percent(_) => None,
        Threshold::Amount(amount) if is_size(resource) => size(amount, five_fourths),
        Threshold::Amount(amount) => Some(five_fourths(amount).to_string()),
    }
}

const fn four_fifths(amount: i64) -> i64 {
    amount / 5 * 4 + amount % 5 * 4 / 5
}

const fn five_fourths(amount: i64) -> i64 {
    amount
        .saturating_add(amount / 4)
        .saturating_add((amount % 4 > 0) as i64)
}

fn above_zero(amount: i64) -> Option<i64> {
    (amount > 0).then_some(amount)
}

/// A part of a size, in whole units of which it has five or more.
fn size(bytes: i64, part: fn(i64) -> i64) -> Option<String> {
    let unit = ["TB", "GB", "MB", "KB", "B"]
        .into_iter()
        .filter_map(bytes_in)
        .find(|unit| bytes / unit >= 5)?;
    Some(Bytes(part(bytes / unit).checked_mul(unit)?).in_full().to_string())
}

#[cfg(test)]
mod tests {
    use crate::policy::check_files;

    /// The advice is followed, for each resource and several thresholds: then nothing is left to say, so it is below the mark.
    #[test]
    fn the_other_mark_is_one_of_the_same_resources() {
        let cases = [
            ("sessions above 85%", "sessions below 70%"),
            ("processes > 90%", "processes below 75%"),
            ("processes above 500", "processes below 400"),
            ("transactions above 3", "transactions below 2"),
            ("active_sessions above 50", "active_sessions below 40"),
            ("pga above 40GB", "pga below 32GB"),
            ("pga above 1GB", "pga below 819MB"),
            ("temp above 20%", "temp below 16%"),
            ("undo above 31%", "undo below 16%"),
            ("undo above 30%", "undo below 24%"),
            ("host_cpu >= 95%", "host_cpu below 80%"),
            (
                "processes above 90% or pga above 50GB",
                "processes below 75% and pga below 40GB",
            ),
            (
                "sessions above 90% and (temp above 80% or undo above 80%)",
                "sessions below 75% or (temp below 65% and undo below 65%)",
            ),
        ];
        let check = |keys: &str| {
            let text = format!("policies:\n  - name: p\n    when: INACTIVE longer than 4h\n    action: kill\n{keys}");
            let loaded = check_files(
                &[("p.yaml".to_owned(), text.into_bytes())],
                chrono::NaiveDate::MIN,
                chrono_tz::Tz::UTC,
            );
            let found: Vec<(String, Option<String>)> = loaded
                .diagnostics
                .iter()
                .map(|one| (one.code.to_owned(), one.hint.clone()))
                .collect();
            found
        };
        for (begin, end) in cases {
            let hint = format!("add a lower threshold, such as `until: {end}`");
            let keys = format!("    while: {begin}\n");
            assert_eq!(check(&keys), [("no-hysteresis".to_owned(), Some(hint))], "{begin}");
            assert_eq!(check(&format!("{keys}    until: {end}\n")), [], "{begin}, {end}");
        }
        for begin in [
            "not sessions below 85%",
            "transactions above 1",
            "sessions between 10 and 20",
        ] {
            let found = check(&format!("    while: {begin}\n"));
            let hint = found[0].1.clone().unwrap_or_default();
            assert!(
                hint.contains("the same resource") && !hint.contains('%'),
                "{begin}: {found:?}"
            );
        }
    }
}
