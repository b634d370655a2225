//! Finds texts that a column never contains.

use std::ops::Range;

use super::findings::Findings;
use crate::policy::condition::{Condition, Constant, Operand};
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
        Condition::Not(inner) => {
            if let Some(spans) = spans
                .children
                .first()
                .filter(|_| !matches!(**inner, Condition::IsNull(_)))
            {
                values(inner, spans, found);
            }
        }
        Condition::IsNull(Operand::Column(column)) if column.is_never_null() => {
            let name = column.name();
            let message =
                format!("`{name}` is never NULL: where it is not known, this is UNKNOWN, so it is never true");
            let hint = format!("a session whose `{name}` is not known is never acted on");
            found.push((
                Severity::Warning,
                Mistake::new(spans.at.clone(), "never-null", message).hint(hint),
            ));
        }
        Condition::Compare { left, right, .. } => match (left, right) {
            (Operand::Column(column), Operand::Literal(value)) | (Operand::Literal(value), Operand::Column(column)) => {
                known_value(*column, value, &spans.at, found);
            }
            (Operand::Column(_), Operand::Column(_)) | (Operand::Literal(_), Operand::Literal(_)) => {}
        },
        Condition::In { operand, values, .. } => {
            if let Operand::Column(column) = operand {
                for value in values.iter() {
                    known_value(*column, value, &spans.at, found);
                }
            }
        }
        Condition::Between { operand, low, high } => {
            if let Operand::Column(column) = operand {
                for bound in [low, high] {
                    if let Operand::Literal(value) = bound {
                        known_value(*column, value, &spans.at, found);
                    }
                }
            }
        }
        Condition::Like { operand, pattern } => {
            if let Operand::Column(column) = operand {
                account_name(*column, &pattern.text, "no account name matches", &spans.at, found);
            }
            known_pattern(operand, &pattern.text, |value| pattern.matches(value), &spans.at, found);
        }
        Condition::Matches { operand, pattern } => {
            known_pattern(
                operand,
                pattern.as_str(),
                |value| pattern.is_match(value),
                &spans.at,
                found,
            );
        }
        Condition::IsNull(_) | Condition::Phrase(_) | Condition::Named(..) => {}
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
    let message = format!("no value of `{}` matches '{}'", column.name(), visible(pattern));
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
    account_name(column, text, "no account has the name", at, found);
    too_long(column, text, at, found);
    let Some(domain) = column.closed_list() else {
        return;
    };
    if domain.contains(&&**text) {
        return;
    }
    let message = format!("`{}` is never '{}'", column.name(), visible(text));
    let mistake = Mistake::new(at.clone(), "unknown-value", message)
        .expected(format!("expected {}", one_of(domain.iter().copied())))
        .maybe_hint(did_you_mean(text, domain.iter().copied()));
    found.push((Severity::Error, mistake));
}

/// Warns of names, or patterns of names, that are unlikely to be those of accounts. `none` begins the message: it says which
/// of the two it is about.
fn account_name(column: Column, text: &str, none: &str, at: &Range<usize>, found: &mut Findings) {
    if !matches!(column, Column::Username | Column::Schemaname) {
        return;
    }
    let (message, hint) = if text == "USER" {
        (
            format!(
                "`{}` is compared with the text 'USER', which is not an account",
                column.name()
            ),
            "write the name of an account; `user` is not a function here, and orareaper never ends its own sessions"
                .to_owned(),
        )
    } else if text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase) {
        (
            format!("{none} '{}' unless it was created in double quotes", visible(text)),
            format!(
                "Oracle stores names in upper case: write '{}'",
                visible(&text.to_uppercase())
            ),
        )
    } else {
        return;
    };
    let mistake = Mistake::new(at.clone(), "unlikely-account", message).hint(hint);
    found.push((Severity::Warning, mistake));
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
        "write the beginning that the column contains: '{}'",
        visible(&kept)
    ));
    found.push((Severity::Error, mistake));
}
