//! Finds conditions that are valid but cannot be what was intended.
//!
//! A condition that can never be true is an error. Most warnings are about NULL, which has two surprising effects: in `when`,
//! a negated comparison does not match sessions without a value (`module not like 'BATCH%'` without a MODULE); in `unless`,
//! every comparison spares them (`unless: undo_records > 1000` spares all sessions without a transaction). There is no
//! warning for columns that are rarely NULL (USERNAME, PROGRAM, MACHINE): nobody reads warnings that are usually wrong.

mod coverage;
mod facts;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeSet;
use std::ops::Range;

use coverage::coverage;
use facts::ColumnFacts;
pub(crate) use written::{AND_OR_MIXED, judge_text};

use super::condition::{Comparison, Condition, Constant, Operand};
use super::lex::Mistake;
use super::resolve::Spans;
use crate::session::column::Column;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::{Severity, did_you_mean, one_of};

/// The parts of an AND with more parts than this are not compared with each other.
const MOST_PAIRS: usize = 64;

/// Where a condition is used, which decides the effect of NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    /// A policy's `when`.
    When,
    /// The `when` of a policy that reports and does nothing else.
    WhenReporting,
    /// A policy's `unless`.
    Unless,
    /// An exemption's `when`.
    Exemption,
    /// A named condition, which may be used anywhere.
    Definition,
}

type Findings = Vec<(Severity, Mistake)>;

/// All errors and warnings about a condition.
pub(crate) fn judge(condition: &Condition, spans: &Spans, place: Clause) -> Findings {
    let mut tested = BTreeSet::new();
    null_tests(condition, &mut tested);
    let mut found = judge_part(condition, spans, place, &tested);
    let errors = found.iter().any(|(severity, _)| *severity == Severity::Error);
    match place {
        Clause::When if !errors => coverage(condition, spans, false, &mut found),
        Clause::WhenReporting if !errors => coverage(condition, spans, true, &mut found),
        Clause::When | Clause::WhenReporting | Clause::Unless | Clause::Exemption | Clause::Definition => {}
    }
    found
}

/// Errors and warnings about the correct parts of a condition that has mistakes in other parts. `wrong` are the positions of
/// those mistakes: nothing more is reported there.
pub(crate) fn judge_parts(parts: &[(Condition, Spans)], place: Clause, wrong: &[Range<usize>]) -> Findings {
    let mut tested = BTreeSet::new();
    for (part, _) in parts {
        null_tests(part, &mut tested);
    }
    let mut found = Findings::new();
    for (part, spans) in parts {
        found.extend(judge_part(part, spans, place, &tested));
    }
    let meets = |at: &Range<usize>, other: &Range<usize>| at.start < other.end && other.start < at.end;
    found.retain(|(_, mistake)| !wrong.iter().any(|wrong| meets(&mistake.at, wrong)));
    found
}

fn judge_part(condition: &Condition, spans: &Spans, place: Clause, tested: &BTreeSet<Column>) -> Findings {
    let mut found = Findings::new();
    values(condition, spans, &mut found);
    if !found.iter().any(|(severity, _)| *severity == Severity::Error) {
        contradictions(condition, spans, &mut found);
    }
    if found.iter().any(|(severity, _)| *severity == Severity::Error) {
        return found;
    }
    match place {
        Clause::When | Clause::WhenReporting => null_in_when(condition, spans, true, tested, &mut found),
        // An exemption is an `unless` of every policy.
        Clause::Unless | Clause::Exemption => null_in_unless(condition, spans, tested, &mut found),
        Clause::Definition => {}
    }
    found
}

/// Whether the condition can match a session that is in a call.
pub(crate) fn may_be_active(condition: &Condition) -> bool {
    ColumnFacts::of(condition, true).may_be(Column::Status, "ACTIVE")
}

/// Reports texts that the column never contains.
fn values(condition: &Condition, spans: &Spans, found: &mut Findings) {
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

/// Reports parts of an AND that cannot be true together, and parts of an OR that the rest excludes.
fn contradictions(condition: &Condition, spans: &Spans, found: &mut Findings) {
    match condition {
        Condition::And(parts) => {
            conjunction(parts, spans, found);
            for (part, spans) in parts.iter().zip(&spans.children) {
                contradictions(part, spans, found);
            }
        }
        Condition::Or(parts) => {
            for (part, spans) in parts.iter().zip(&spans.children) {
                contradictions(part, spans, found);
            }
        }
        Condition::Compare { .. } | Condition::In { .. } | Condition::Between { .. } => {
            if ColumnFacts::of(condition, true).contradict() {
                let message = format!("`{condition}` can never be true");
                found.push((Severity::Error, Mistake::new(spans.at.clone(), "unreachable", message)));
            }
        }
        Condition::Not(_)
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => {}
    }
}

fn conjunction(parts: &[Condition], spans: &Spans, found: &mut Findings) {
    if parts.len() > MOST_PAIRS {
        return;
    }
    let facts: Vec<ColumnFacts> = parts.iter().map(|part| ColumnFacts::of(part, true)).collect();
    for (later, spans) in spans.children.iter().enumerate() {
        let clash = (0..later).find(|earlier| {
            let alone = facts[*earlier].contradict() || facts[later].contradict();
            !alone && facts[*earlier].and(&facts[later]).contradict()
        });
        if let Some(earlier) = clash {
            let message = format!(
                "`{}` can never be true together with `{}`",
                parts[later], parts[earlier]
            );
            found.push((Severity::Error, Mistake::new(spans.at.clone(), "unreachable", message)));
        }
    }
    for (at, part) in parts.iter().enumerate() {
        let Condition::Or(branches) = part else { continue };
        let others = facts.iter().enumerate().filter(|(other, _)| *other != at);
        let rest = others.fold(ColumnFacts::default(), |rest, (_, facts)| rest.and(facts));
        if rest.contradict() {
            continue;
        }
        let dead: Vec<usize> = (0..branches.len())
            .filter(|branch| rest.and(&ColumnFacts::of(&branches[*branch], true)).contradict())
            .collect();
        let severity = if dead.len() == branches.len() {
            Severity::Error
        } else {
            Severity::Warning
        };
        for branch in dead {
            let message = format!("`{}` can never be true together with the rest", branches[branch]);
            let at = spans.children[at].children[branch].at.clone();
            found.push((severity, Mistake::new(at, "unreachable", message)));
        }
    }
}

/// Collects the columns that the condition tests with IS NULL. There is no warning about these: the author thought of NULL.
fn null_tests(condition: &Condition, tested: &mut BTreeSet<Column>) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|part| null_tests(part, tested)),
        Condition::Not(inner) => null_tests(inner, tested),
        Condition::Named(_, inner) => null_tests(inner, tested),
        Condition::IsNull(Operand::Column(column)) => {
            tested.insert(*column);
        }
        Condition::IsNull(Operand::Literal(_))
        | Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::Phrase(_) => {}
    }
}

/// Whether the column is NULL in many sessions.
const fn often_null(column: Column) -> bool {
    matches!(
        column,
        Column::Module
            | Column::Action
            | Column::ClientInfo
            | Column::ClientIdentifier
            | Column::Terminal
            | Column::SqlId
            | Column::PrevSqlId
            | Column::SqlExecStart
            | Column::SqlExecId
            | Column::Taddr
            | Column::Lockwait
            | Column::BlockingSession
            | Column::BlockingInstance
            | Column::FinalBlockingSession
            | Column::FinalBlockingInstance
            | Column::PlsqlEntryObjectId
            | Column::PlsqlEntrySubprogramId
            | Column::PlsqlObjectId
            | Column::PlsqlSubprogramId
            | Column::ResourceConsumerGroup
            | Column::Ecid
            | Column::ExternalName
            | Column::Idle
            | Column::Running
            | Column::StatementAge
            | Column::TransactionAge
            | Column::TransactionStatus
            | Column::UndoRecords
            | Column::Undo
            | Column::Waited
            | Column::BlockingFor
    )
}

/// The sessions in which the column is NULL, in words.
fn without(column: Column) -> String {
    if matches!(
        column,
        Column::TransactionAge | Column::TransactionStatus | Column::UndoRecords | Column::Undo
    ) {
        "sessions without a transaction".to_owned()
    } else if column == Column::Idle {
        "sessions in a call".to_owned()
    } else if column == Column::Running || column == Column::StatementAge {
        "sessions that are not running a statement".to_owned()
    } else {
        format!("sessions without a value in {}", column.name().to_uppercase())
    }
}

/// Warns of negated comparisons in `when` of a column that is often NULL.
fn null_in_when(condition: &Condition, spans: &Spans, positive: bool, tested: &BTreeSet<Column>, found: &mut Findings) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for (at, part) in parts.iter().enumerate() {
                null_in_when(part, spans.children.get(at).unwrap_or(spans), positive, tested, found);
            }
        }
        // The warning marks the NOT together with its term.
        Condition::Not(inner) => match (&**inner, spans.children.first()) {
            (Condition::And(_) | Condition::Or(_) | Condition::Not(_), Some(child)) => {
                null_in_when(inner, child, !positive, tested, found);
            }
            _ => null_in_when(inner, spans, !positive, tested, found),
        },
        Condition::Named(_, inner) => null_in_when(inner, &undivided(spans), positive, tested, found),
        Condition::Compare { op, .. } => {
            if (*op == Comparison::NotEqual) == positive {
                warn_never_matched(condition, positive, &spans.at, tested, found);
            }
        }
        Condition::In { .. } | Condition::Between { .. } | Condition::Like { .. } | Condition::Matches { .. } => {
            if !positive {
                warn_never_matched(condition, positive, &spans.at, tested, found);
            }
        }
        Condition::IsNull(_) | Condition::Phrase(_) => {}
    }
}

fn warn_never_matched(
    condition: &Condition,
    positive: bool,
    at: &Range<usize>,
    tested: &BTreeSet<Column>,
    found: &mut Findings,
) {
    for column in columns(condition)
        .into_iter()
        .filter(|column| often_null(*column) && !tested.contains(column))
    {
        let whole = if positive {
            condition.clone()
        } else {
            Condition::Not(Box::new(condition.clone()))
        };
        let message = format!(
            "this never matches {}: a comparison with NULL is UNKNOWN",
            without(column)
        );
        let hint = format!("to match them too, write `({} is null or {whole})`", column.name());
        found.push((
            Severity::Warning,
            Mistake::new(at.clone(), "null-passed-over", message).hint(hint),
        ));
    }
}

/// Warns of comparisons in `unless` and in exemptions that are UNKNOWN, and therefore spare, if a column is NULL.
fn null_in_unless(condition: &Condition, spans: &Spans, tested: &BTreeSet<Column>, found: &mut Findings) {
    match condition {
        Condition::Or(parts) => {
            for (at, part) in parts.iter().enumerate() {
                null_in_unless(part, spans.children.get(at).unwrap_or(spans), tested, found);
            }
        }
        Condition::Not(inner) => null_in_unless(inner, &undivided(spans), tested, found),
        Condition::Named(_, inner) => null_in_unless(inner, &undivided(spans), tested, found),
        // In an AND, another part is usually FALSE for these sessions; the effect of a phrase is clear from its words.
        Condition::And(_) | Condition::IsNull(_) | Condition::Phrase(_) => {}
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. } => {
            for column in columns(condition) {
                if !often_null(column) || tested.contains(&column) {
                    continue;
                }
                let message = format!(
                    "this also spares {}: for them the comparison is UNKNOWN, which spares",
                    without(column)
                );
                let hint = format!(
                    "to spare only sessions with a value, write `({0} is not null and {condition})`",
                    column.name()
                );
                found.push((
                    Severity::Warning,
                    Mistake::new(spans.at.clone(), "null-spared", message).hint(hint),
                ));
            }
        }
    }
}

/// Spans that give the same position for every part.
fn undivided(spans: &Spans) -> Spans {
    Spans {
        at: spans.at.clone(),
        children: Vec::new(),
    }
}

fn columns(condition: &Condition) -> Vec<Column> {
    let column = |operand: &Operand| match operand {
        Operand::Column(column) => Some(*column),
        Operand::Literal(_) => None,
    };
    match condition {
        Condition::Compare { left, right, .. } => [left, right].into_iter().filter_map(column).collect(),
        Condition::Between { operand, low, high } => [operand, low, high].into_iter().filter_map(column).collect(),
        Condition::In { operand, .. }
        | Condition::Like { operand, .. }
        | Condition::Matches { operand, .. }
        | Condition::IsNull(operand) => column(operand).into_iter().collect(),
        Condition::And(_) | Condition::Or(_) | Condition::Not(_) | Condition::Phrase(_) | Condition::Named(..) => {
            Vec::new()
        }
    }
}
