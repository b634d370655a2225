//! Turns a literal into a value of the column's kind, or reports that it is of another kind.

use std::ops::Range;

use crate::policy::ast::TermKind;
use crate::policy::condition::Constant;
use crate::policy::lex::{Mistake, Token, measure};
use crate::session::column::{Column, Kind};
use crate::yaml::diagnostics::did_you_mean;

/// A hundred years. A longer duration is a typing error, and sums of durations below it cannot overflow.
pub(super) const LONGEST_DURATION: i64 = 100 * 366 * 86_400;

pub(super) fn too_long(at: &Range<usize>) -> Mistake {
    Mistake::new(at.clone(), "number-too-large", "this duration is longer than 100 years")
}

pub(super) fn empty_text(at: &Range<usize>) -> Mistake {
    Mistake::new(
        at.clone(),
        "empty-text",
        "in Oracle, '' is NULL, so a comparison with it is never true",
    )
    .hint("write `is null` or `is not null`")
}

pub(super) fn time_literal(column: Column, at: &Range<usize>) -> Mistake {
    let age = if matches!(column, Column::SqlExecStart | Column::PrevExecStart) {
        "statement_age > 30m"
    } else {
        "connected > 4h"
    };
    Mistake::new(
        at.clone(),
        "mixed-kinds",
        format!(
            "`{}` is a point in time; it can only be compared with another one",
            column.name()
        ),
    )
    .hint(format!("compare an age instead: `{age}`"))
}

/// The kind with its article.
pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a number",
        Kind::Duration => "a duration",
        Kind::Size => "a size",
        Kind::Time => "a point in time",
    }
}

/// A literal as a value of the column's kind. If the column has a closed list of values, a text that is in it apart from
/// letter case gets Oracle's spelling; one that is not in it is kept, and `lint` reports it.
pub(super) fn literal(column: Column, kind: &TermKind, at: &Range<usize>) -> Result<Constant, Mistake> {
    if column.kind() == Kind::Time {
        return Err(time_literal(column, at));
    }
    match (column.kind(), kind) {
        (Kind::Text, TermKind::Text(text)) if text.is_empty() => Err(empty_text(at)),
        (Kind::Text, TermKind::Text(text)) => Ok(Constant::Text(column.listed(text).unwrap_or(text).into())),
        (Kind::Text, TermKind::Word(word)) => {
            let spelt = column
                .listed(word)
                .map_or_else(|| word.to_uppercase().into(), Into::into);
            Ok(Constant::Text(spelt))
        }
        (Kind::Number, TermKind::Number(number)) => Ok(Constant::Number(*number)),
        (Kind::Number, TermKind::Percent(percent)) if column == Column::CpuRate => Ok(Constant::Number(*percent)),
        (Kind::Duration, TermKind::Number(number) | TermKind::Duration(number)) => {
            if *number > LONGEST_DURATION {
                return Err(too_long(at));
            }
            not_negative(*number, column, at).map(Constant::Duration)
        }
        (Kind::Size, TermKind::Number(number) | TermKind::Size(number)) => {
            not_negative(*number, column, at).map(Constant::Size)
        }
        (_, TermKind::Text(text)) if text.is_empty() => Err(empty_text(at)),
        (wanted, found) => Err(mixed(column, wanted, found, at)),
    }
}

fn not_negative(number: i64, column: Column, at: &Range<usize>) -> Result<i64, Mistake> {
    if number < 0 {
        let message = format!(
            "`{}` is {}, which is never negative",
            column.name(),
            kind_name(column.kind())
        );
        return Err(Mistake::new(at.clone(), "negative-amount", message));
    }
    Ok(number)
}

fn mixed(column: Column, wanted: Kind, found: &TermKind, at: &Range<usize>) -> Mistake {
    let found_name = match found {
        TermKind::Word(_) | TermKind::Text(_) => "a text",
        TermKind::Number(_) => "a number",
        TermKind::Duration(_) => "a duration",
        TermKind::Size(_) => "a size",
        TermKind::Percent(_) => "a percentage",
    };
    let hint = match (wanted, found) {
        (_, TermKind::Word(text) | TermKind::Text(text)) if column == Column::Command => Some(command(text)),
        (_, TermKind::Percent(_)) => {
            Some("percentages are allowed only in `while` and `until`, and for `cpu_rate`".to_owned())
        }
        (Kind::Text, TermKind::Number(number)) => Some(format!("write '{number}'")),
        (Kind::Text, _) => Some("put the text in single quotes".to_owned()),
        (Kind::Number, TermKind::Text(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Kind::Number, TermKind::Duration(_)) if column.name().ends_with("_micro") => {
            Some("this column is a number of microseconds; `waited` is the same time as a duration".to_owned())
        }
        (Kind::Duration | Kind::Size, TermKind::Text(text)) if is_amount(wanted, text) => {
            Some(format!("write {text} without quotes"))
        }
        (Kind::Number | Kind::Duration | Kind::Size, TermKind::Word(word)) => {
            did_you_mean(word, Column::ALL.iter().map(|column| column.name()))
        }
        (Kind::Duration, _) => {
            Some("durations look like `90s`, `30m`, `4h`, `1d`; a number without a unit means seconds".to_owned())
        }
        (Kind::Size, _) => Some("sizes look like `512KB`, `2GB`; a number without a unit means bytes".to_owned()),
        (Kind::Number | Kind::Time, _) => None,
    };
    Mistake::new(
        at.clone(),
        "mixed-kinds",
        format!("`{}` is {}, but this is {found_name}", column.name(), kind_name(wanted)),
    )
    .expected(format!("expected {}", kind_name(wanted)))
    .maybe_hint(hint)
}

/// Whether the text would be an amount of this kind without its quotes.
fn is_amount(wanted: Kind, text: &str) -> bool {
    match measure(text) {
        Ok(Token::Number(_)) => true,
        Ok(Token::Duration(_)) => wanted == Kind::Duration,
        Ok(Token::Size(_)) => wanted == Kind::Size,
        Ok(_) | Err(_) => false,
    }
}

/// What to write for the name of a command: COMMAND is its number, as in V$SQLCOMMAND.
fn command(name: &str) -> String {
    const NUMBERS: [(&str, u8); 9] = [
        ("INSERT", 2),
        ("SELECT", 3),
        ("UPDATE", 6),
        ("DELETE", 7),
        ("LOCK TABLE", 26),
        ("COMMIT", 44),
        ("ROLLBACK", 45),
        ("PL/SQL EXECUTE", 47),
        ("MERGE", 189),
    ];
    match NUMBERS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name.trim()))
    {
        Some((known, number)) => format!("write `{number}`, the number of {known} in V$SQLCOMMAND"),
        None => "write the number that V$SQLCOMMAND has for it: 3 is SELECT, 6 is UPDATE".to_owned(),
    }
}
