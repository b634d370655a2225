//! The limits of time in a condition: `longer than 4h`, `idle > 4h`.
//!
//! A replay asks what a policy would do with another limit, so a limit is found, and the condition is made again with another one in
//! its place. Only a limit that widens the condition as it shrinks is one: a term under NOT, or an upper bound, is left alone.

use std::sync::Arc;

use crate::policy::condition::{Comparison, Condition, Constant, Operand, Phrase, SessionStatus};
use crate::session::column::{Column, Kind};

/// A limit in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeLimit {
    /// Its place among the limits of the condition.
    place: usize,
    /// In seconds.
    pub(crate) seconds: i64,
    /// Whether it is about how long a session has been idle.
    pub(crate) idle: bool,
    /// Its term, as a policy has it.
    pub(crate) words: String,
}

/// The limit that the policy is about: one of how long a session is idle, if there is one, else the first.
#[must_use]
pub(crate) fn own_limit(condition: &Condition) -> Option<TimeLimit> {
    let mut found = Vec::new();
    rewrite(condition, &mut found, None);
    let at = found.iter().position(|limit| limit.idle).unwrap_or(0);
    (at < found.len()).then(|| found.swap_remove(at))
}

/// The condition with this many seconds in the place of one of its limits.
#[must_use]
pub(crate) fn with_limit(condition: &Condition, limit: &TimeLimit, seconds: i64) -> Condition {
    rewrite(condition, &mut Vec::new(), Some((limit.place, seconds)))
}

fn rewrite(condition: &Condition, found: &mut Vec<TimeLimit>, other: Option<(usize, i64)>) -> Condition {
    match condition {
        Condition::And(parts) => Condition::And(parts.iter().map(|part| rewrite(part, found, other)).collect()),
        Condition::Or(parts) => Condition::Or(parts.iter().map(|part| rewrite(part, found, other)).collect()),
        Condition::Named(name, inner) => Condition::Named(Arc::clone(name), Arc::new(rewrite(inner, found, other))),
        Condition::Phrase(phrase) => match limit_of(phrase) {
            Some((seconds, idle)) => {
                Condition::Phrase(with_seconds(phrase, meet(condition, found, (seconds, idle), other)))
            }
            None => condition.clone(),
        },
        Condition::Compare { left, op, right } => match (left, op, right) {
            (
                Operand::Column(column),
                Comparison::Greater | Comparison::GreaterOrEqual,
                Operand::Literal(Constant::Duration(seconds)),
            ) => {
                let seconds = meet(condition, found, (*seconds, is_idle(*column)), other);
                Condition::Compare {
                    left: left.clone(),
                    op: *op,
                    right: Operand::Literal(Constant::Duration(seconds)),
                }
            }
            (
                Operand::Literal(Constant::Duration(seconds)),
                Comparison::Less | Comparison::LessOrEqual,
                Operand::Column(column),
            ) => {
                let seconds = meet(condition, found, (*seconds, is_idle(*column)), other);
                Condition::Compare {
                    left: Operand::Literal(Constant::Duration(seconds)),
                    op: *op,
                    right: right.clone(),
                }
            }
            (Operand::Column(_) | Operand::Literal(_), _, _) => condition.clone(),
        },
        Condition::Not(_)
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_) => condition.clone(),
    }
}

/// Notes a limit, and returns what stands in its place.
fn meet(
    term: &Condition,
    found: &mut Vec<TimeLimit>,
    (seconds, idle): (i64, bool),
    other: Option<(usize, i64)>,
) -> i64 {
    let place = found.len();
    found.push(TimeLimit {
        place,
        seconds,
        idle,
        words: term.to_string(),
    });
    other
        .filter(|(at, _)| *at == place)
        .map_or(seconds, |(_, seconds)| seconds)
}

fn is_idle(column: Column) -> bool {
    assert!(
        column.kind() == Kind::Duration,
        "only a duration is compared with a duration"
    );
    matches!(column, Column::Idle | Column::LastCallEt)
}

/// The limit of a phrase in seconds, and whether it is about idle sessions.
fn limit_of(phrase: &Phrase) -> Option<(i64, bool)> {
    match phrase {
        Phrase::Status { status, longer_than } => Some(((*longer_than)?, *status == SessionStatus::Inactive)),
        Phrase::Connected { longer_than } => Some((*longer_than, false)),
        Phrase::InTransaction { longer_than }
        | Phrase::Blocking { longer_than, .. }
        | Phrase::Blocked { longer_than } => Some(((*longer_than)?, false)),
        Phrase::Background | Phrase::Server(_) => None,
    }
}

fn with_seconds(phrase: &Phrase, seconds: i64) -> Phrase {
    let longer_than = Some(seconds);
    match phrase {
        Phrase::Status { status, .. } => Phrase::Status {
            status: *status,
            longer_than,
        },
        Phrase::Connected { .. } => Phrase::Connected { longer_than: seconds },
        Phrase::InTransaction { .. } => Phrase::InTransaction { longer_than },
        Phrase::Blocking { sessions, .. } => Phrase::Blocking {
            sessions: *sessions,
            longer_than,
        },
        Phrase::Blocked { .. } => Phrase::Blocked { longer_than },
        Phrase::Background | Phrase::Server(_) => phrase.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::check_condition;

    fn condition(text: &str) -> Condition {
        check_condition(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
    }

    #[test]
    fn the_limit_of_idle_sessions_is_the_policy_s_own() {
        for (text, expected, at_an_hour) in [
            (
                "INACTIVE longer than 4h and not background",
                Some((14_400, "inactive longer than 4h")),
                "inactive longer than 1h and not background",
            ),
            (
                "connected longer than 1d and (idle > 30m or program = 'x')",
                Some((1_800, "idle > 30m")),
                "connected longer than 1d and (idle > 1h or program = 'x')",
            ),
            (
                "running longer than 3h",
                Some((10_800, "active longer than 3h")),
                "active longer than 1h",
            ),
            (
                "last_call_et >= 2h",
                Some((7_200, "last_call_et >= 2h")),
                "last_call_et >= 1h",
            ),
            ("not (idle > 2h) and idle < 3h", None, ""),
            ("username = 'SHOP'", None, ""),
        ] {
            let condition = condition(text);
            let limit = own_limit(&condition);
            let found = limit.as_ref().map(|limit| (limit.seconds, limit.words.to_lowercase()));
            assert_eq!(
                found,
                expected.map(|(seconds, words)| (seconds, words.to_owned())),
                "{text}"
            );
            if let Some(limit) = limit {
                assert_eq!(
                    with_limit(&condition, &limit, 3_600).to_string().to_lowercase(),
                    at_an_hour
                );
            }
        }
    }
}
