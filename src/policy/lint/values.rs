//! Finds texts that a column never contains.

use std::ops::Range;

use super::findings::Findings;
use super::wholes::texts_of_another_operator;
use crate::policy::condition::{Condition, Constant, Operand};
use crate::policy::display::Quoted;
use crate::policy::lex::Mistake;
use crate::policy::resolve::Spans;
use crate::session::column::Column;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::{Severity, did_you_mean, one_of};

/// Reports texts that the column never contains.
pub(super) fn values(condition: &Condition, spans: &Spans, found: &mut Findings) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for (part, spans) in parts.iter().zip(&spans.children) {
                values(part, spans, found);
            }
        }
        Condition::Not(inner) => match (&**inner, spans.children.first()) {
            (Condition::IsNull(_), _) | (_, None) => {}
            (Condition::And(_) | Condition::Or(_) | Condition::Not(_), Some(child)) => values(inner, child, found),
            // `x not in (...)` has one place, `not x in (...)` has two.
            (_, Some(child)) => term(inner, child.at == spans.at, &child.at, found),
        },
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => term(condition, false, &spans.at, found),
    }
}

/// Reports the texts of one term. `negated`: its operator is `not in`, `not like` or `not matches`.
fn term(condition: &Condition, negated: bool, at: &Range<usize>, found: &mut Findings) {
    texts_of_another_operator(condition, negated, at, found);
    match condition {
        Condition::IsNull(Operand::Column(column)) if column.is_never_null() => {
            let name = column.name();
            let message =
                format!("`{name}` is never NULL: where it is not known, this is UNKNOWN, so it is never true");
            let hint = format!("a session whose `{name}` is not known is never acted on");
            found.push((
                Severity::Warning,
                Mistake::new(at.clone(), "never-null", message).hint(hint),
            ));
        }
        Condition::Compare { left, right, .. } => match (left, right) {
            (Operand::Column(column), Operand::Literal(value)) | (Operand::Literal(value), Operand::Column(column)) => {
                known_value(*column, value, at, found);
            }
            (Operand::Column(_), Operand::Column(_)) | (Operand::Literal(_), Operand::Literal(_)) => {}
        },
        Condition::In { operand, values, .. } => {
            if let Operand::Column(column) = operand {
                for value in values.iter() {
                    known_value(*column, value, at, found);
                }
            }
        }
        Condition::Between { operand, low, high } => {
            if let Operand::Column(column) = operand {
                for bound in [low, high] {
                    if let Operand::Literal(value) = bound {
                        known_value(*column, value, at, found);
                    }
                }
            }
        }
        Condition::Like { operand, pattern } => {
            if let Operand::Column(column) = operand {
                in_small_letters(*column, &pattern.text, SmallText::Pattern, at, found);
            }
            known_pattern(operand, &pattern.text, |value| pattern.matches(value), at, found);
        }
        Condition::Matches { operand, pattern } => {
            if let Operand::Column(column) = operand {
                regex_in_small_letters(*column, pattern, at, found);
            }
            known_pattern(operand, pattern.as_str(), |value| pattern.is_match(value), at, found);
        }
        Condition::And(_)
        | Condition::Or(_)
        | Condition::Not(_)
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => {}
    }
}

/// Reports a pattern that matches none of the column's closed list of values, perhaps only because of letter case.
fn known_pattern(
    operand: &Operand,
    pattern: &str,
    matches: impl Fn(&str) -> bool,
    at: &Range<usize>,
    found: &mut Findings,
) {
    let Operand::Column(column) = operand else { return };
    let Some(values) = column.closed_list() else { return };
    if values.iter().any(|value| matches(value)) {
        return;
    }
    let shown = Quoted(pattern).to_string();
    let message = format!("no value of `{}` matches {}", column.name(), visible(&shown));
    let letters = pattern.trim_matches(|c: char| !c.is_alphanumeric());
    let mistake = Mistake::new(at.clone(), "unknown-value", message)
        .expected(format!("expected {}", one_of(values.iter().copied())))
        .maybe_hint(did_you_mean(letters, values.iter().copied()));
    found.push((Severity::Error, mistake));
}

fn known_value(column: Column, value: &Constant, at: &Range<usize>, found: &mut Findings) {
    let Constant::Text(text) = value else {
        return;
    };
    if column.is_raw() && !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'A'..=b'F')) {
        let message = format!("`{}` is a hexadecimal text in upper case", column.name());
        let mistake =
            Mistake::new(at.clone(), "unknown-value", message).expected("expected, for example, '00000000A3F1C2D8'");
        found.push((Severity::Error, mistake));
    }
    in_small_letters(column, text, SmallText::Value, at, found);
    too_long(column, text, at, found);
    let Some(domain) = column.closed_list() else {
        return;
    };
    if domain.contains(&&**text) {
        return;
    }
    let shown = Quoted(text).to_string();
    let message = format!("`{}` is never {}", column.name(), visible(&shown));
    let mistake = Mistake::new(at.clone(), "unknown-value", message)
        .expected(format!("expected {}", one_of(domain.iter().copied())))
        .maybe_hint(did_you_mean(text, domain.iter().copied()).or_else(|| other_word(column, text)));
    found.push((Severity::Error, mistake));
}

/// What Oracle calls a status that has another name elsewhere.
fn other_word(column: Column, text: &str) -> Option<String> {
    if column != Column::Status {
        return None;
    }
    match text.to_ascii_uppercase().as_str() {
        "IDLE" | "SLEEPING" | "WAITING FOR CLIENT" => {
            Some("a session that is idle is INACTIVE: write `INACTIVE`, or `idle longer than 4h`".to_owned())
        }
        "RUNNING" | "EXECUTING" | "BUSY" => {
            Some("a session that is in a call is ACTIVE: write `ACTIVE`, or `running longer than 4h`".to_owned())
        }
        "WAITING" | "BLOCKED" | "LOCKED" => {
            Some("write `blocked longer than 5m`, or `waited > 5m` for any wait".to_owned())
        }
        _ => None,
    }
}

/// What a text in small letters is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SmallText {
    Value,
    Pattern,
}

/// What the values of a column are whose letters Oracle stores in upper case.
const fn in_capitals(column: Column) -> Option<&'static str> {
    if matches!(column, Column::Username | Column::Schemaname) {
        Some("account")
    } else if matches!(column, Column::Container) {
        Some("container")
    } else if matches!(column, Column::Profile) {
        Some("profile")
    } else if matches!(column, Column::ResourceConsumerGroup) {
        Some("consumer group")
    } else if matches!(column, Column::AccountStatus) {
        Some("status of an account")
    } else {
        None
    }
}

const fn capitals_code(column: Column) -> &'static str {
    if matches!(column, Column::Username | Column::Schemaname) {
        "unlikely-account"
    } else {
        "in-small-letters"
    }
}

/// Warns of names, or patterns of names, that are unlikely to be in the column, because Oracle stores them in upper case.
fn in_small_letters(column: Column, text: &str, as_what: SmallText, at: &Range<usize>, found: &mut Findings) {
    if let Some(variable) = variable_of_sqlplus(text) {
        let message = format!(
            "`{}` is a variable of SQL*Plus, and here a text like any other",
            visible(variable)
        );
        let hint = "write the value itself; put values that change into a list under `lists:`";
        found.push((
            Severity::Warning,
            Mistake::new(at.clone(), "no-variables", message).hint(hint),
        ));
        return;
    }
    let Some(what) = in_capitals(column) else { return };
    let (message, hint) = if text.eq_ignore_ascii_case("null") && as_what == SmallText::Value {
        let name = column.name();
        (
            format!(
                "`{name}` is compared with the text {}, and not with NULL",
                visible(&Quoted(text).to_string())
            ),
            format!("to test for NULL, write `{name} is null` or `{name} is not null`"),
        )
    } else if text == "USER" && what == "account" {
        (
            format!(
                "`{}` is compared with the text 'USER', which is not an account",
                column.name()
            ),
            "write the name of an account; `user` is not a function here, and orareaper never ends its own sessions"
                .to_owned(),
        )
    } else if text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase) {
        let shown = |text: &str| visible(&Quoted(text).to_string()).into_owned();
        let none = match (as_what, column == Column::AccountStatus) {
            (SmallText::Value, true) => "no account has the status".to_owned(),
            (SmallText::Value, false) => format!("no {what} has the name"),
            (SmallText::Pattern, true) => "no status of an account matches".to_owned(),
            (SmallText::Pattern, false) => format!("no {what} name matches"),
        };
        let unless = if can_be_quoted(column) {
            " unless it was created in double quotes"
        } else {
            ""
        };
        (
            format!("{none} {}{unless}", shown(text)),
            format!(
                "Oracle stores {} in upper case: write {}",
                stored(column),
                shown(&text.to_uppercase())
            ),
        )
    } else {
        return;
    };
    let mistake = Mistake::new(at.clone(), capitals_code(column), message).hint(hint);
    found.push((Severity::Warning, mistake));
}

/// Warns of a regular expression that finds only small letters, in a column that has none.
fn regex_in_small_letters(column: Column, pattern: &regex::Regex, at: &Range<usize>, found: &mut Findings) {
    let text = pattern.as_str();
    if in_capitals(column).is_none() || pattern.is_match("") || !has_only_small_letters(text) {
        return;
    }
    let unless = if can_be_quoted(column) {
        ", unless they were created in double quotes"
    } else {
        ""
    };
    let message = format!(
        "{} of `{}` have no small letters{unless}, so that {} finds none",
        stored(column),
        column.name(),
        visible(&Quoted(text).to_string())
    );
    let hint = format!(
        "write {}, which finds letters of either case",
        visible(&Quoted(&format!("(?i){text}")).to_string())
    );
    let mistake = Mistake::new(at.clone(), capitals_code(column), message).hint(hint);
    found.push((Severity::Warning, mistake));
}

/// Whether the letters of a regular expression that stand for themselves are small. One with flags, names or classes of Unicode
/// is not looked at.
fn has_only_small_letters(pattern: &str) -> bool {
    let mut rest = pattern.chars().peekable();
    let (mut before, mut small) = (' ', false);
    while let Some(character) = rest.next() {
        match character {
            '\\' => {
                if let Some('p' | 'P' | 'x' | 'u' | 'U') = rest.next() {
                    return false;
                }
            }
            '?' if before == '(' && rest.peek() != Some(&':') => return false,
            // `[^a-z]` finds capitals, and so does `[[:upper:]]`.
            '^' | '[' if before == '[' => return false,
            character if character.is_uppercase() => return false,
            character => small |= character.is_lowercase(),
        }
        before = character;
    }
    small
}

/// Whether a name in double quotes keeps its small letters.
const fn can_be_quoted(column: Column) -> bool {
    !matches!(column, Column::AccountStatus | Column::Container)
}

const fn stored(column: Column) -> &'static str {
    if matches!(column, Column::AccountStatus) {
        "values"
    } else {
        "names"
    }
}

/// Reports texts that are longer than the column, so that they equal nothing.
fn too_long(column: Column, text: &str, at: &Range<usize>, found: &mut Findings) {
    // The width is in bytes, and every character has at least one.
    let Some(width) = column.width().filter(|width| text.chars().count() > *width) else {
        return;
    };
    let kept: String = text.chars().take(width).collect();
    let message = format!(
        "`{}` is cut off after {width} bytes, so it never equals this text",
        column.name()
    );
    let mistake = Mistake::new(at.clone(), "unknown-value", message).hint(format!(
        "write the beginning that the column contains: {}",
        visible(&Quoted(&kept).to_string())
    ));
    found.push((Severity::Error, mistake));
}

/// The variable, if all of the text but `%` is one: `&name` or `&&name`.
fn variable_of_sqlplus(text: &str) -> Option<&str> {
    let variable = text.trim_matches('%');
    let name = variable.strip_prefix("&&").or_else(|| variable.strip_prefix('&'))?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(variable)
}
