//! Finds conditions that are valid but cannot be what was intended.
//!
//! A condition that can never be true is an error. Most warnings are about NULL, which has two surprising effects: in `when`,
//! a negated comparison does not match sessions without a value (`module not like 'BATCH%'` without a MODULE); in `unless`,
//! every comparison spares them (`unless: undo_records > 1000` spares all sessions without a transaction). There is no
//! warning for columns that are rarely NULL (USERNAME, PROGRAM, MACHINE): nobody reads warnings that are usually wrong.

mod alternatives;
mod coverage;
mod facts;
mod findings;
mod never;
mod null;
#[cfg(test)]
mod tests;
mod values;
mod wholes;
mod written;

use std::collections::BTreeSet;
use std::ops::Range;

pub(crate) use alternatives::ALWAYS_TRUE;
use alternatives::always_one_of;
use coverage::coverage;
use facts::ColumnFacts;
use findings::Findings;
pub(crate) use never::{never_together, of_every_session};
use null::{UnknownEffect, surprises};
use values::values;
pub(crate) use written::{AND_OR_MIXED, judge_text};

use super::condition::{Condition, Operand};
use super::lex::Mistake;
use super::resolve::Spans;
use crate::session::column::Column;
use crate::yaml::diagnostics::Severity;

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

/// All errors and warnings about a condition.
pub(crate) fn judge(condition: &Condition, spans: &Spans, place: Clause) -> Findings {
    let mut tested = BTreeSet::new();
    null_tests(condition, &mut tested);
    let mut found = judge_part(condition, spans, place, &tested);
    let mut errors = found.iter().any(|(severity, _)| *severity == Severity::Error);
    if !errors && place != Clause::Definition && never_together(&[(condition, true)]) {
        let message = "no session can match this: its parts contradict each other";
        found.push((Severity::Error, Mistake::new(spans.at.clone(), "unreachable", message)));
        errors = true;
    }
    match place {
        Clause::When if !errors => coverage(condition, spans, false, &mut found),
        Clause::WhenReporting if !errors => coverage(condition, spans, true, &mut found),
        Clause::Exemption
            if !errors
                && !found.iter().any(|(_, mistake)| mistake.code == ALWAYS_TRUE)
                && never_together(&[(&of_every_session(false), true), (condition, false)]) =>
        {
            let message = "this exempts every session, so no policy can ever act";
            let mistake = Mistake::new(spans.at.clone(), "spares-everybody", message)
                .hint("name whom to spare, such as a user or a program; to stop all actions, run `orareaper pause`");
            found.push((Severity::Warning, mistake));
        }
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
        Clause::When | Clause::WhenReporting => {
            surprises(condition, spans, UnknownEffect::PassesOver, tested, &mut found);
        }
        // An exemption is an `unless` of every policy.
        Clause::Unless | Clause::Exemption => surprises(condition, spans, UnknownEffect::Spares, tested, &mut found),
        Clause::Definition => {}
    }
    found
}

/// Whether the condition can match a session that is in a call.
pub(crate) fn may_be_active(condition: &Condition) -> bool {
    ColumnFacts::of(condition, true).may_be(Column::Status, "ACTIVE")
}

/// Reports parts of an AND that cannot be true together, parts of an OR that the rest excludes, and alternatives of which one is
/// always true.
fn contradictions(condition: &Condition, spans: &Spans, found: &mut Findings) {
    match condition {
        Condition::And(parts) => {
            conjunction(parts, spans, found);
            for (part, spans) in parts.iter().zip(&spans.children) {
                contradictions(part, spans, found);
            }
        }
        Condition::Or(parts) => {
            always_one_of(parts, &spans.children, found);
            for (part, spans) in parts.iter().zip(&spans.children) {
                contradictions(part, spans, found);
            }
        }
        Condition::Not(inner) => {
            // What can never be true is always true under NOT: no reason to refuse the condition.
            let mut inside = Findings::new();
            if let Some(spans) = spans.children.first() {
                contradictions(inner, spans, &mut inside);
            }
            found.extend(inside.into_iter().map(|(_, mistake)| (Severity::Warning, mistake)));
        }
        Condition::Compare { .. } | Condition::In { .. } | Condition::Between { .. } => {
            if ColumnFacts::of(condition, true).contradict() {
                let message = format!("`{condition}` can never be true");
                found.push((Severity::Error, Mistake::new(spans.at.clone(), "unreachable", message)));
            }
        }
        Condition::Like { .. }
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
