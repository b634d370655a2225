//! Warns of alternatives of which one always holds: `username != 'A' or username != 'B'`, which was meant as `and`.

use super::findings::Findings;
use crate::policy::condition::{Comparison, Condition, Constant, LikePart, Operand};
use crate::policy::lex::Mistake;
use crate::policy::resolve::Spans;
use crate::session::column::Column;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::Severity;

/// The code of the warning.
pub(crate) const ALWAYS_TRUE: &str = "always-true";

/// The alternatives of an OR with more than this are not compared with each other.
const MOST_ALTERNATIVES: usize = 64;

/// What a column must be for a negated comparison to be FALSE.
#[derive(Clone, PartialEq)]
enum Excluded {
    Value(Constant),
    /// Texts that begin so.
    Beginning(Box<str>),
    /// Texts that begin so in any letter case; in small letters of ASCII.
    BeginningInAnyCase(Box<str>),
}

/// Warns of each alternative that is TRUE for all values for which an earlier one is not.
pub(super) fn always_one_of(parts: &[Condition], spans: &[Spans], found: &mut Findings) {
    if parts.len() > MOST_ALTERNATIVES {
        return;
    }
    let excluded: Vec<Option<(Column, Vec<Excluded>)>> = parts.iter().map(|part| excluded(part, true)).collect();
    for (later, (part, spans)) in parts.iter().zip(spans).enumerate() {
        let Some((column, own)) = &excluded[later] else {
            continue;
        };
        let earlier = (0..later).find(|earlier| {
            excluded[*earlier]
                .as_ref()
                .is_some_and(|(other, values)| other == column && are_apart(own, values))
        });
        let Some(earlier) = earlier else { continue };
        let name = column.name();
        let message = format!(
            "`{}` or `{}` is true for every session with a value in {}",
            visible(&parts[earlier].to_string()),
            visible(&part.to_string()),
            name.to_uppercase()
        );
        let values: Option<Vec<String>> = excluded[earlier]
            .iter()
            .chain(&excluded[later])
            .flat_map(|(_, values)| values)
            .map(|value| match value {
                Excluded::Value(value) => Some(value.to_string()),
                Excluded::Beginning(_) | Excluded::BeginningInAnyCase(_) => None,
            })
            .collect();
        let hint = match values {
            Some(values) if values.len() <= 8 => format!(
                "`and` is probably meant: in place of both, write `{name} not in ({})`",
                visible(&values.join(", "))
            ),
            Some(_) | None => "`and` is probably meant".to_owned(),
        };
        let mistake = Mistake::new(spans.at.clone(), ALWAYS_TRUE, message).hint(hint);
        found.push((Severity::Warning, mistake));
    }
}

/// The column of a negated comparison with constants, and for which of its values the comparison is FALSE.
fn excluded(condition: &Condition, positive: bool) -> Option<(Column, Vec<Excluded>)> {
    match condition {
        Condition::Not(inner) => excluded(inner, !positive),
        Condition::Named(_, inner) => excluded(inner, positive),
        Condition::Compare { left, op, right } => {
            let ((Operand::Column(column), Operand::Literal(value))
            | (Operand::Literal(value), Operand::Column(column))) = (left, right)
            else {
                return None;
            };
            let negated = match op {
                Comparison::Equal => !positive,
                Comparison::NotEqual => positive,
                Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => false,
            };
            negated.then(|| (*column, vec![Excluded::Value(value.clone())]))
        }
        Condition::In {
            operand: Operand::Column(column),
            values,
            ..
        } if !positive => Some((*column, values.iter().cloned().map(Excluded::Value).collect())),
        Condition::Like {
            operand: Operand::Column(column),
            pattern,
        } if !positive => match &*pattern.parts {
            [LikePart::Text(text)] => Some((*column, vec![Excluded::Value(Constant::Text((&**text).into()))])),
            [LikePart::Text(text), ..] => Some((*column, vec![Excluded::Beginning(text.clone())])),
            _ => None,
        },
        Condition::Matches {
            operand: Operand::Column(column),
            pattern,
        } if !positive => Some((*column, vec![beginning(pattern.as_str())?])),
        Condition::In { .. }
        | Condition::Like { .. }
        | Condition::And(_)
        | Condition::Or(_)
        | Condition::Between { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_) => None,
    }
}

/// How all texts begin that a regular expression matches, if it says so in plain characters: `^JDBC`, `(?i)^toad`.
fn beginning(pattern: &str) -> Option<Excluded> {
    let (ignores_case, rest) = match pattern.strip_prefix("(?") {
        None => (false, pattern),
        Some(flagged) => {
            let (flags, rest) = flagged.split_once(')')?;
            // With m, `^` is also the beginning of any line; with x, blanks count for nothing.
            if !flags.chars().all(|flag| matches!(flag, 'i' | 's')) {
                return None;
            }
            (flags.contains('i'), rest)
        }
    };
    let rest = rest.strip_prefix('^')?;
    if rest.contains('|') || rest.contains("(?") {
        return None;
    }
    let plain = rest.find(|c: char| "\\.+*?()[]{}^$".contains(c));
    let text = &rest[..plain.unwrap_or(rest.len())];
    // What follows may say that the last character is not needed.
    let optional = plain.is_some_and(|at| rest[at..].starts_with(['*', '?', '{']));
    let kept = if optional {
        text.char_indices().next_back()?.0
    } else {
        text.len()
    };
    let text = &text[..kept];
    if text.is_empty() || ignores_case && !text.is_ascii() {
        return None;
    }
    Some(if ignores_case {
        Excluded::BeginningInAnyCase(text.to_ascii_lowercase().into())
    } else {
        Excluded::Beginning(text.into())
    })
}

/// Whether no value is in both.
fn are_apart(one: &[Excluded], other: &[Excluded]) -> bool {
    one.iter().all(|one| !other.iter().any(|other| may_meet(one, other)))
}

fn may_meet(one: &Excluded, other: &Excluded) -> bool {
    match (one, other) {
        (Excluded::Value(one), Excluded::Value(other)) => {
            one == other || one.as_text().is_none() && !are_like(one, other)
        }
        (Excluded::Value(value), Excluded::Beginning(begins))
        | (Excluded::Beginning(begins), Excluded::Value(value)) => {
            value.as_text().is_none_or(|text| text.starts_with(&**begins))
        }
        (Excluded::Beginning(one), Excluded::Beginning(other)) => {
            one.starts_with(&**other) || other.starts_with(&**one)
        }
        (Excluded::BeginningInAnyCase(begins), other) | (other, Excluded::BeginningInAnyCase(begins)) => {
            let text = match other {
                Excluded::Value(value) => value.as_text(),
                Excluded::Beginning(text) | Excluded::BeginningInAnyCase(text) => Some(&**text),
            };
            // Letters beyond ASCII may be other forms of these.
            text.filter(|text| text.is_ascii()).is_none_or(|text| {
                let text = text.to_ascii_lowercase();
                let is_whole = matches!(other, Excluded::Value(_));
                text.starts_with(&**begins) || !is_whole && begins.starts_with(&text)
            })
        }
    }
}

/// Whether both are numbers of one unit: 60 and 1m can be the same.
fn are_like(one: &Constant, other: &Constant) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::check_condition;

    const PATTERNS: [&str; 20] = [
        "^JDBC",
        "^sqlplus",
        "^JD",
        "(?i)^jdbc",
        "(?i)^SQL",
        "(?i)^sqlplus@",
        "(?s)^JDBC.*x",
        "^JDBCx?",
        "^JDBCx*y",
        "^J{0}sql",
        "^(JDBC|sqlplus)",
        "^JDBC|sqlplus",
        "JDBC",
        "(?m)^sqlplus",
        "(?x)^ JDBC",
        "^$",
        "^[Js]",
        "^\\x73ql",
        "^JDBC\\.",
        "(?i)^\u{212a}",
    ];

    const TEXTS: [&str; 12] = [
        "JDBC",
        "JDBCx",
        "JDBCy",
        "jdbc thin",
        "JDBC.x",
        "sqlplus",
        "SQLPLUS@web",
        "sql",
        "JDBC\nsqlplus",
        "sqlplus\nJDBC",
        "\u{212a}",
        "k",
    ];

    /// No text is matched by two patterns of which one is said never to match what the other does.
    #[test]
    fn patterns_that_are_apart_have_no_text_in_common() {
        let mut apart = 0;
        for one in PATTERNS {
            for other in PATTERNS {
                let text = format!("program not matches '{one}' or program not matches '{other}'");
                let Ok(Condition::Or(parts)) = check_condition(&text) else {
                    panic!("{text}")
                };
                let excluded: Vec<_> = parts.iter().filter_map(|part| excluded(part, true)).collect();
                let [(_, one_of), (_, other_of)] = excluded.as_slice() else {
                    continue;
                };
                if !are_apart(one_of, other_of) {
                    continue;
                }
                apart += 1;
                let (one, other) = (regex::Regex::new(one), regex::Regex::new(other));
                let (one, other) = (one.expect("valid"), other.expect("valid"));
                let both = TEXTS.iter().find(|text| one.is_match(text) && other.is_match(text));
                assert_eq!(both, None, "{one} {other}");
            }
        }
        assert!(apart > 20, "only {apart} pairs were told apart");
    }
}
