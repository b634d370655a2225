//! Conditions that are well-formed and still cannot be what was meant.
//!
//! Errors are for what can never hold. Warnings are for SQL's NULL, which surprises in two ways: in `when`, a negated
//! comparison passes over the sessions that have no value (`module not like 'BATCH%'` and no MODULE); in `unless`, any
//! comparison spares them (`unless: undo_records > 1000` spares everybody without a transaction). Columns that only rarely
//! lack a value (USERNAME, PROGRAM, MACHINE) are left alone: a warning that is usually wrong is not read.

mod facts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;

use facts::Facts;

use super::condition::{Comparison, Condition, LikePart, Operand, Phrase, Value};
use super::lex::Mistake;
use super::resolve::Spans;
use crate::session::column::{Column, Kind};
use crate::visible::visible;
use crate::yaml::diagnostics::{Severity, did_you_mean, one_of};

/// Above this many parts of one AND, pairs are no longer compared.
const MOST_PAIRS: usize = 64;

/// Where a condition stands, which decides what its NULLs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A policy's `when`.
    When,
    /// A policy's `unless`.
    Unless,
    /// An exemption's `when`.
    Exemption,
    /// A named condition, which may be used anywhere.
    Definition,
}

type Findings = Vec<(Severity, Mistake)>;

/// Everything that is odd about a condition.
pub(crate) fn judge(condition: &Condition, spans: &Spans, place: Place) -> Findings {
    let mut found = Findings::new();
    values(condition, spans, &mut found);
    if !found.iter().any(|(severity, _)| *severity == Severity::Error) {
        contradictions(condition, spans, &mut found);
    }
    if found.iter().any(|(severity, _)| *severity == Severity::Error) {
        return found;
    }
    match place {
        Place::When => {
            let mut tested = BTreeSet::new();
            null_tests(condition, &mut tested);
            passed_over(condition, spans, true, &tested, &mut found);
            reach(condition, spans, &mut found);
        }
        // An exemption spares like an `unless`, and from every policy.
        Place::Unless | Place::Exemption => {
            let mut tested = BTreeSet::new();
            null_tests(condition, &mut tested);
            spared(condition, spans, &tested, &mut found);
        }
        Place::Definition => {}
    }
    found
}

/// Whether a session that matches may be in a call.
pub(crate) fn may_be_active(condition: &Condition) -> bool {
    Facts::of(condition, true).may_be(Column::Status, "ACTIVE")
}

/// Texts that a column with a closed list of values never has.
fn values(condition: &Condition, spans: &Spans, found: &mut Findings) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for (part, spans) in parts.iter().zip(&spans.children) {
                values(part, spans, found);
            }
        }
        Condition::Not(inner) => {
            if let Some(spans) = spans.children.first() {
                values(inner, spans, found);
            }
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
                account_name(*column, &pattern.text, &spans.at, found);
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

/// A pattern that no value of the column's closed list is like: letter case matters in it.
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
    let message = format!("no value of `{}` is like '{}'", column.name(), pattern.escape_debug());
    let letters = pattern.trim_matches(|c: char| !c.is_alphanumeric());
    let mistake = Mistake::new(at.clone(), "unknown-value", message)
        .expected(format!("it is {}", one_of(values.iter().copied())))
        .maybe_hint(did_you_mean(letters, values.iter().copied()));
    found.push((Severity::Error, mistake));
}

fn known_value(column: Column, value: &Value, at: &Range<usize>, found: &mut Findings) {
    let Value::Text(text) = value else {
        return;
    };
    if column.is_raw() && !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'A'..=b'F')) {
        let message = format!("`{}` is compared as hexadecimal text in capital letters", column.name());
        let mistake = Mistake::new(at.clone(), "unknown-value", message).expected("for example '00000000A3F1C2D8'");
        found.push((Severity::Error, mistake));
    }
    account_name(column, text, at, found);
    too_long(column, text, at, found);
    let Some(domain) = column.closed_list() else {
        return;
    };
    if domain.contains(&&**text) {
        return;
    }
    let message = format!("`{}` is never '{}'", column.name(), visible(text));
    let mistake = Mistake::new(at.clone(), "unknown-value", message)
        .expected(format!("it is {}", one_of(domain.iter().copied())))
        .maybe_hint(did_you_mean(text, domain.iter().copied()));
    found.push((Severity::Error, mistake));
}

/// Names that no ordinary account has.
fn account_name(column: Column, text: &str, at: &Range<usize>, found: &mut Findings) {
    if !matches!(column, Column::Username | Column::Schemaname) {
        return;
    }
    let (message, hint) = if text == "USER" {
        (
            format!(
                "`{}` is compared with the text 'USER', and no account has that name",
                column.name()
            ),
            "write the account's name; `user` is no function here, and orareaper never ends its own sessions"
                .to_owned(),
        )
    } else if text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase) {
        (
            format!(
                "'{}' is no account's name unless that was created in double quotes",
                text.escape_debug()
            ),
            format!(
                "Oracle keeps names in capital letters: write '{}'",
                text.to_uppercase().escape_debug()
            ),
        )
    } else {
        return;
    };
    let mistake = Mistake::new(at.clone(), "unlikely-account", message).hint(hint);
    found.push((Severity::Warning, mistake));
}

/// Texts that are longer than what the database keeps, and so equal nothing.
fn too_long(column: Column, text: &str, at: &Range<usize>, found: &mut Findings) {
    // Bytes of the database's character set, of which a character takes at least one.
    let Some(width) = column.width().filter(|width| text.chars().count() > *width) else {
        return;
    };
    let kept: String = text.chars().take(width).collect();
    let message = format!(
        "`{}` holds {width} bytes and cuts what is longer: it never equals this",
        column.name()
    );
    let mistake = Mistake::new(at.clone(), "unknown-value", message)
        .hint(format!("write what is left of it: '{}'", kept.escape_debug()));
    found.push((Severity::Error, mistake));
}

/// Parts of an AND that cannot hold together, and alternatives that the rest excludes.
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
            if Facts::of(condition, true).contradict() {
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
    let facts: Vec<Facts> = parts.iter().map(|part| Facts::of(part, true)).collect();
    for (later, spans) in spans.children.iter().enumerate() {
        let clash = (0..later).find(|earlier| {
            let alone = facts[*earlier].contradict() || facts[later].contradict();
            !alone && facts[*earlier].and(&facts[later]).contradict()
        });
        if let Some(earlier) = clash {
            let message = format!("`{}` can never hold together with `{}`", parts[later], parts[earlier]);
            found.push((Severity::Error, Mistake::new(spans.at.clone(), "unreachable", message)));
        }
    }
    for (at, part) in parts.iter().enumerate() {
        let Condition::Or(branches) = part else { continue };
        let others = facts.iter().enumerate().filter(|(other, _)| *other != at);
        let rest = others.fold(Facts::default(), |rest, (_, facts)| rest.and(facts));
        if rest.contradict() {
            continue;
        }
        let dead: Vec<usize> = (0..branches.len())
            .filter(|branch| rest.and(&Facts::of(&branches[*branch], true)).contradict())
            .collect();
        let severity = if dead.len() == branches.len() {
            Severity::Error
        } else {
            Severity::Warning
        };
        for branch in dead {
            let message = format!("`{}` can never hold together with the rest", branches[branch]);
            let at = spans.children[at].children[branch].at.clone();
            found.push((severity, Mistake::new(at, "unreachable", message)));
        }
    }
}

/// Columns that the condition asks IS NULL of: whoever wrote that knows.
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

/// Whether sessions without a value of this column are ordinary.
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
            | Column::UndoRecords
            | Column::Undo
            | Column::Waited
            | Column::BlockingFor
    )
}

/// Sessions that have no value, in words.
fn without(column: Column) -> String {
    if matches!(column, Column::TransactionAge | Column::UndoRecords | Column::Undo) {
        "sessions without a transaction".to_owned()
    } else if column == Column::Idle {
        "sessions in a call".to_owned()
    } else if column == Column::Running || column == Column::StatementAge {
        "sessions that run nothing".to_owned()
    } else {
        format!("sessions without a value in {}", column.name().to_uppercase())
    }
}

/// In `when`: negated comparisons of a column that may be NULL.
fn passed_over(condition: &Condition, spans: &Spans, positive: bool, tested: &BTreeSet<Column>, found: &mut Findings) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for (at, part) in parts.iter().enumerate() {
                passed_over(part, spans.children.get(at).unwrap_or(spans), positive, tested, found);
            }
        }
        // The place of the NOT is the better one to point at.
        Condition::Not(inner) => match (&**inner, spans.children.first()) {
            (Condition::And(_) | Condition::Or(_) | Condition::Not(_), Some(child)) => {
                passed_over(inner, child, !positive, tested, found);
            }
            _ => passed_over(inner, spans, !positive, tested, found),
        },
        Condition::Named(_, inner) => passed_over(inner, &flat(spans), positive, tested, found),
        Condition::Compare { op, .. } => {
            if (*op == Comparison::NotEqual) == positive {
                surprise(condition, positive, &spans.at, tested, found);
            }
        }
        Condition::In { .. } | Condition::Between { .. } | Condition::Like { .. } | Condition::Matches { .. } => {
            if !positive {
                surprise(condition, positive, &spans.at, tested, found);
            }
        }
        Condition::IsNull(_) | Condition::Phrase(_) => {}
    }
}

fn surprise(condition: &Condition, positive: bool, at: &Range<usize>, tested: &BTreeSet<Column>, found: &mut Findings) {
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
            "{} are never matched by this: NULL is neither equal nor unequal",
            without(column)
        );
        let hint = format!("to match them too, write `({} is null or {whole})`", column.name());
        found.push((
            Severity::Warning,
            Mistake::new(at.clone(), "null-passed-over", message).hint(hint),
        ));
    }
}

/// In `unless` and in exemptions: comparisons that are UNKNOWN for sessions without a value, which spares these.
fn spared(condition: &Condition, spans: &Spans, tested: &BTreeSet<Column>, found: &mut Findings) {
    match condition {
        Condition::Or(parts) => {
            for (at, part) in parts.iter().enumerate() {
                spared(part, spans.children.get(at).unwrap_or(spans), tested, found);
            }
        }
        Condition::Not(inner) => spared(inner, &flat(spans), tested, found),
        Condition::Named(_, inner) => spared(inner, &flat(spans), tested, found),
        // Another part of an AND usually is FALSE for them; a phrase says what it means.
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
                let message = format!("this spares {} as well: whatever is UNKNOWN is spared", without(column));
                let hint = format!(
                    "to spare only those with a value, write `({0} is not null and {condition})`",
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

/// The same place for everything inside.
fn flat(spans: &Spans) -> Spans {
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

/// Whether the policy wants everybody, or only those it can never have.
fn reach(condition: &Condition, spans: &Spans, found: &mut Findings) {
    let facts = Facts::of(condition, true);
    let background = !facts.may_be(Column::Type, "USER") || facts.must_be_null(Column::Username);
    let dying = Column::Status
        .closed_list()
        .unwrap_or_default()
        .iter()
        .all(|status| *status == "KILLED" || !facts.may_be(Column::Status, status));
    for (only, protection) in [(background, "background"), (dying, "dying")] {
        if only {
            let message = format!("every session that this matches is spared by the protection `{protection}`");
            let mistake = Mistake::new(spans.at.clone(), "always-protected", message)
                .hint("that protection cannot be lifted: this policy will never act");
            found.push((Severity::Warning, mistake));
        }
    }
    if !narrows(condition, true) {
        let mistake = Mistake::new(spans.at.clone(), "matches-everybody", "this matches every user session")
            .hint("add what sets the unwanted sessions apart: `INACTIVE longer than 4h`, a user, a program");
        found.push((Severity::Warning, mistake));
    }
}

/// Whether a condition excludes any ordinary user session.
fn narrows(condition: &Condition, positive: bool) -> bool {
    match condition {
        Condition::And(parts) if positive => parts.iter().any(|part| narrows(part, true)),
        Condition::And(parts) => parts.iter().all(|part| narrows(part, false)),
        Condition::Or(parts) if positive => parts.iter().all(|part| narrows(part, true)),
        Condition::Or(parts) => parts.iter().any(|part| narrows(part, false)),
        Condition::Not(inner) => narrows(inner, !positive),
        Condition::Named(_, inner) => narrows(inner, positive),
        Condition::Phrase(Phrase::Background) => positive,
        Condition::Phrase(phrase @ (Phrase::Status { .. } | Phrase::Server(_))) => {
            excludes_users(&Facts::of(&phrase.meaning(), positive))
                || !matches!(condition, Condition::Phrase(Phrase::Status { longer_than: None, .. }))
        }
        Condition::Phrase(Phrase::Connected { longer_than }) => *longer_than > 0 || !positive,
        Condition::Phrase(Phrase::InTransaction { .. } | Phrase::Blocking { .. } | Phrase::Blocked { .. }) => true,
        Condition::IsNull(Operand::Column(column)) => {
            positive
                || !matches!(
                    column,
                    Column::Username | Column::Sid | Column::Serial | Column::Type | Column::Status
                )
        }
        Condition::Like {
            operand: Operand::Column(Column::Username),
            pattern,
        } => !positive || *pattern.parts != [LikePart::Any],
        Condition::Compare {
            left: Operand::Column(column),
            op,
            right: Operand::Literal(value),
        } => compare_narrows(*column, *op, value, positive) || excludes_users(&Facts::of(condition, positive)),
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(Operand::Literal(_)) => true,
    }
}

/// Whether a user session in an ordinary state is excluded.
fn excludes_users(facts: &Facts) -> bool {
    let ordinary = ["ACTIVE", "INACTIVE"];
    !facts.may_be(Column::Type, "USER")
        || ordinary.iter().any(|status| !facts.may_be(Column::Status, status))
        || ["DEDICATED", "SHARED", "POOLED", "NONE"]
            .iter()
            .any(|server| !facts.may_be(Column::Server, server))
}

fn compare_narrows(column: Column, op: Comparison, value: &Value, positive: bool) -> bool {
    // Equalities of these are judged by what they leave.
    if matches!(column, Column::Type | Column::Status | Column::Server) {
        return !matches!(op, Comparison::Equal | Comparison::NotEqual);
    }
    let trivial_numbers = matches!(
        column,
        Column::Sid | Column::Serial | Column::InstId | Column::Connected | Column::LastCallEt | Column::Pga
    ) || matches!(column.kind(), Kind::Size);
    let zero = matches!(value, Value::Number(0) | Value::Duration(0) | Value::Size(0));
    let above = matches!(op, Comparison::Greater | Comparison::GreaterOrEqual);
    !(positive && trivial_numbers && zero && above)
}
