//! Warns of policies that match everybody, or nobody whom they may act on.

use crate::policy::condition::{Comparison, Condition, Constant, LikePart, Operand, Phrase};
use crate::policy::lex::Mistake;
use crate::policy::lint::facts::ColumnFacts;
use crate::policy::resolve::Spans;
use crate::session::column::{Column, Kind};
use crate::yaml::diagnostics::Severity;

/// Warns of a policy that matches all user sessions, or only sessions that are always protected. One that only `reports` may tell
/// of sessions that are KILLED.
pub(super) fn coverage(condition: &Condition, spans: &Spans, reports: bool, found: &mut Vec<(Severity, Mistake)>) {
    let facts = ColumnFacts::of(condition, true);
    let background = !facts.may_be(Column::Type, "USER") || facts.must_be_null(Column::Username);
    let dying = Column::Status
        .closed_list()
        .unwrap_or_default()
        .iter()
        .all(|status| *status == "KILLED" || !facts.may_be(Column::Status, status));
    let spared = dying && !reports;
    for (only, protection) in [(background, "background"), (spared, "dying")] {
        if only {
            let message = format!("this matches only sessions that the protection `{protection}` spares");
            let mistake = Mistake::new(spans.at.clone(), "always-protected", message)
                .hint("this protection cannot be lifted, so the policy can never act");
            found.push((Severity::Warning, mistake));
        }
    }
    if !narrows(condition, true) {
        let mistake = Mistake::new(spans.at.clone(), "matches-everybody", "this matches every user session")
            .hint("add what distinguishes the unwanted sessions: `INACTIVE longer than 4h`, a user, a program");
        found.push((Severity::Warning, mistake));
    }
}

/// Whether the condition excludes some ordinary user sessions.
pub(super) fn narrows(condition: &Condition, positive: bool) -> bool {
    match condition {
        Condition::And(parts) if positive => parts.iter().any(|part| narrows(part, true)),
        Condition::And(parts) => parts.iter().all(|part| narrows(part, false)),
        Condition::Or(parts) if positive => parts.iter().all(|part| narrows(part, true)),
        Condition::Or(parts) => parts.iter().any(|part| narrows(part, false)),
        Condition::Not(inner) => narrows(inner, !positive),
        Condition::Named(_, inner) => narrows(inner, positive),
        Condition::Phrase(Phrase::Background) => positive,
        Condition::Phrase(phrase @ (Phrase::Status { .. } | Phrase::Server(_))) => {
            excludes_users(&ColumnFacts::of(&phrase.meaning(), positive))
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
        } => compare_narrows(*column, *op, value, positive) || excludes_users(&ColumnFacts::of(condition, positive)),
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(Operand::Literal(_)) => true,
    }
}

/// Whether the facts exclude user sessions in an ordinary state.
fn excludes_users(facts: &ColumnFacts) -> bool {
    let ordinary = ["ACTIVE", "INACTIVE"];
    !facts.may_be(Column::Type, "USER")
        || ordinary.iter().any(|status| !facts.may_be(Column::Status, status))
        || ["DEDICATED", "SHARED", "POOLED", "NONE"]
            .iter()
            .any(|server| !facts.may_be(Column::Server, server))
}

fn compare_narrows(column: Column, op: Comparison, value: &Constant, positive: bool) -> bool {
    // `excludes_users` judges the equalities of these columns.
    if matches!(column, Column::Type | Column::Status | Column::Server) {
        return !matches!(op, Comparison::Equal | Comparison::NotEqual);
    }
    let trivial_numbers = matches!(
        column,
        Column::Sid | Column::Serial | Column::InstId | Column::Connected | Column::LastCallEt | Column::Pga
    ) || matches!(column.kind(), Kind::Size);
    let zero = matches!(value, Constant::Number(0) | Constant::Duration(0) | Constant::Size(0));
    let above = matches!(op, Comparison::Greater | Comparison::GreaterOrEqual);
    !(positive && trivial_numbers && zero && above)
}
