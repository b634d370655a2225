//! Resolves comparisons: which side is the column, whether the kinds agree, how a pattern is read.

use std::ops::Range;
use std::sync::Arc;

use super::literal::{empty_text, kind_name, literal};
use crate::policy::ast::{Term, TermKind};
use crate::policy::condition::{Comparison, Condition, Constant, LikePattern, Operand};
use crate::policy::habit::instead_of_column;
use crate::policy::lex::Mistake;
use crate::session::column::{Column, Kind};
use crate::yaml::diagnostics::{did_you_mean, quoted};

const LONGEST_REGEX: usize = 1_000;
const REGEX_MEMORY: usize = 1 << 20;

/// The column that a term names; anything else is a mistake.
pub(super) fn column(term: &Term) -> Result<Column, Mistake> {
    match &term.kind {
        TermKind::Word(word) => Column::named(word).ok_or_else(|| unknown_column(word, &term.at)),
        TermKind::Text(text) => {
            Err(
                Mistake::new(term.at.clone(), "not-a-column", "expected a column here, not a text")
                    .maybe_hint(Column::named(text).map(|column| format!("write `{}` without quotes", column.name()))),
            )
        }
        TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => Err(Mistake::new(
            term.at.clone(),
            "not-a-column",
            "expected a column here, not a value",
        )),
    }
}

fn unknown_column(word: &str, at: &Range<usize>) -> Mistake {
    let hint = instead_of_column(word)
        .map(str::to_owned)
        .or_else(|| did_you_mean(word, Column::ALL.iter().map(|column| column.name())));
    Mistake::new(at.clone(), "unknown-column", format!("unknown column {}", quoted(word))).maybe_hint(hint)
}

/// The mistake for `rownum < 10`, with the limit that takes as many sessions.
fn row_limit(left: &Term, op: Comparison, right: &Term) -> Option<Mistake> {
    let (TermKind::Word(word), TermKind::Number(number)) = (&left.kind, &right.kind) else {
        return None;
    };
    let most = match op {
        Comparison::Less => *number - 1,
        Comparison::LessOrEqual => *number,
        Comparison::Equal if *number == 1 => 1,
        Comparison::Equal | Comparison::NotEqual | Comparison::Greater | Comparison::GreaterOrEqual => return None,
    };
    (word.eq_ignore_ascii_case("rownum") && most > 0).then(|| {
        let hint = format!(
            "the key `limits` of the policy sets how many sessions are taken: `limits: {{per_cycle: {most}}}`; the key `order` \
             sets which go first: `order: [idle desc]`"
        );
        Mistake::new(left.at.clone(), "unknown-column", format!("unknown column {}", quoted(word))).hint(hint)
    })
}

/// The column that a term names, if it names one.
fn as_column(term: &Term) -> Option<Column> {
    match &term.kind {
        TermKind::Word(word) => Column::named(word),
        TermKind::Text(_) | TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => {
            None
        }
    }
}

pub(super) fn compare(left: &Term, op: Comparison, right: &Term, at: &Range<usize>) -> Result<Condition, Mistake> {
    // `wait_class = idle`: `idle` is a column too, but a word in the closed list of the other side's column is a value.
    let (mut one, mut other) = (as_column(left), as_column(right));
    if is_value_of(one, right) {
        other = None;
    } else if is_value_of(other, left) {
        one = None;
    }
    let (left, right) = match (one, other) {
        (Some(one), Some(other)) => {
            same_kind(one, other, &right.at)?;
            (Operand::Column(one), Operand::Column(other))
        }
        (Some(column), None) => (
            Operand::Column(column),
            Operand::Literal(literal(column, &right.kind, &right.at)?),
        ),
        (None, Some(column)) => (
            Operand::Literal(literal(column, &left.kind, &left.at)?),
            Operand::Column(column),
        ),
        (None, None) => {
            if let Some(limit) = row_limit(left, op, right) {
                return Err(limit);
            }
            if let TermKind::Word(word) = &left.kind {
                return Err(unknown_column(word, &left.at));
            }
            if let TermKind::Word(word) = &right.kind {
                return Err(unknown_column(word, &right.at));
            }
            return Err(
                Mistake::new(at.clone(), "constant-condition", "both sides are constants")
                    .hint("one side of a comparison must be a column of the session"),
            );
        }
    };
    Ok(Condition::Compare { left, op, right })
}

fn is_value_of(column: Option<Column>, term: &Term) -> bool {
    match (&term.kind, column) {
        (TermKind::Word(word), Some(column)) => column.listed(word).is_some(),
        (_, _) => false,
    }
}

fn same_kind(one: Column, other: Column, at: &Range<usize>) -> Result<(), Mistake> {
    if one.kind() != other.kind() {
        let mistake = Mistake::new(
            at.clone(),
            "mixed-kinds",
            format!(
                "`{}` is {}, `{}` is {}",
                one.name(),
                kind_name(one.kind()),
                other.name(),
                kind_name(other.kind())
            ),
        );
        if one.kind() == Kind::Text {
            let hint = format!(
                "`{}` is a column; for the text, write '{}'",
                other.name(),
                other.name().to_uppercase()
            );
            return Err(mistake.hint(hint));
        }
        return Err(mistake);
    }
    if one.kind() == Kind::Duration && one.per_second() != other.per_second() {
        return Err(Mistake::new(
            at.clone(),
            "mixed-units",
            format!(
                "`{}` and `{}` are measured in different units and cannot be compared with each other",
                one.name(),
                other.name()
            ),
        )
        .hint("compare each with a duration"));
    }
    Ok(())
}

pub(super) fn between(operand: &Term, low: &Term, high: &Term) -> Result<Condition, Mistake> {
    let subject = column(operand)?;
    let bound = |term: &Term| match as_column(term) {
        Some(other) => same_kind(subject, other, &term.at).map(|()| Operand::Column(other)),
        None => literal(subject, &term.kind, &term.at).map(Operand::Literal),
    };
    let (lower, upper) = (bound(low)?, bound(high)?);
    if let (Operand::Literal(lower), Operand::Literal(upper)) = (&lower, &upper)
        && in_order(lower, upper) == Some(false)
    {
        return Err(Mistake::new(
            low.at.start..high.at.end,
            "empty-range",
            "no value is between these bounds: the first is above the second",
        )
        .hint("write the smaller bound first"));
    }
    Ok(Condition::Between {
        operand: Operand::Column(subject),
        low: lower,
        high: upper,
    })
}

fn in_order(low: &Constant, high: &Constant) -> Option<bool> {
    match (low, high) {
        (Constant::Number(low), Constant::Number(high))
        | (Constant::Duration(low), Constant::Duration(high))
        | (Constant::Size(low), Constant::Size(high)) => Some(low <= high),
        (Constant::Text(low), Constant::Text(high)) => Some(low <= high),
        _ => None,
    }
}

fn text_column(term: &Term, operator: &str) -> Result<Column, Mistake> {
    let column = column(term)?;
    if column.kind() == Kind::Text {
        return Ok(column);
    }
    Err(Mistake::new(
        term.at.clone(),
        "mixed-kinds",
        format!(
            "`{operator}` compares texts, but `{}` is {}",
            column.name(),
            kind_name(column.kind())
        ),
    ))
}

/// The text of a pattern: quoted, or a word without quotes, in upper case.
fn pattern_text(pattern: &Term, operator: &str) -> Result<Arc<str>, Mistake> {
    match &pattern.kind {
        TermKind::Text(text) if text.is_empty() => Err(empty_text(&pattern.at)),
        TermKind::Text(text) => Ok(text.as_str().into()),
        TermKind::Word(word) => Ok(word.to_uppercase().into()),
        TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => Err(Mistake::new(
            pattern.at.clone(),
            "needs-quotes",
            format!("the pattern of `{operator}` must be quoted"),
        )),
    }
}

pub(super) fn like(operand: &Term, pattern: &Term, escape: Option<&Term>) -> Result<Condition, Mistake> {
    let column = text_column(operand, "like")?;
    let text = pattern_text(pattern, "like")?;
    let escape = match escape {
        None => None,
        Some(term) => {
            let mut characters = match &term.kind {
                TermKind::Text(text) => text.chars(),
                TermKind::Word(_)
                | TermKind::Number(_)
                | TermKind::Duration(_)
                | TermKind::Size(_)
                | TermKind::Percent(_) => "".chars(),
            };
            match (characters.next(), characters.next()) {
                (Some(only), None) => Some(only),
                _ => {
                    return Err(Mistake::new(
                        term.at.clone(),
                        "bad-escape",
                        "the escape must be one character in quotes",
                    )
                    .hint("for example `like 'A!_B%' escape '!'`"));
                }
            }
        }
    };
    let pattern = LikePattern::new(text, escape).ok_or_else(|| {
        Mistake::new(
            pattern.at.clone(),
            "bad-escape",
            "the escape character must be followed by `%`, `_` or itself",
        )
    })?;
    Ok(Condition::Like {
        operand: Operand::Column(column),
        pattern,
    })
}

pub(super) fn matches(operand: &Term, pattern: &Term) -> Result<Condition, Mistake> {
    let column = text_column(operand, "matches")?;
    let text = pattern_text(pattern, "matches")?;
    let wrong = |message: String| Mistake::new(pattern.at.clone(), "bad-regex", message);
    if text.len() > LONGEST_REGEX {
        return Err(wrong(format!(
            "the regular expression is longer than {LONGEST_REGEX} bytes"
        )));
    }
    let pattern = regex::RegexBuilder::new(&text)
        .size_limit(REGEX_MEMORY)
        .build()
        .map_err(|error| {
            if let regex::Error::CompiledTooBig(_) = error {
                wrong("the regular expression needs too much memory".to_owned())
            } else {
                let full = error.to_string();
                let reason = full
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned();
                wrong(format!("this is not a valid regular expression: {reason}")).hint(
                    "the syntax is that of the Rust crate `regex`, which has no look-around and no back-references",
                )
            }
        })?;
    Ok(Condition::Matches {
        operand: Operand::Column(column),
        pattern,
    })
}
