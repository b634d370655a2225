//! Explains why a session is acted on or spared, term by term.
//!
//! A condition becomes a tree. Each term has the truth value that the evaluator gives it for the session, and the values that
//! it uses; NULL is distinguished from a column that was not read. A term's truth value always comes from the evaluator and is
//! never computed from its parts, so an explanation cannot disagree with the daemon.
//!
//! Around the trees is everything else that decides, in the order in which it is checked: protections, exemptions, the hold,
//! the limits, and the decision of the cycle.

mod name;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use crate::decide::cycle::Cycle;
use crate::decide::eligibility::{Eligibility, StateFrom, exempts};
use crate::decide::evaluate::reason::shown;
use crate::decide::evaluate::truth::Truth;
use crate::decide::evaluate::{Evaluation, columns_of, evaluate};
use crate::decide::in_force::{Absent, DatabaseRules, Here, InForce, RunMode};
use crate::decide::matches::selects;
use crate::decide::plan::PolicyPlan;
use crate::decide::protect::{ProtectionFacts, why_protected};
use crate::decide::reason::{Standing, Verdict};
use crate::policy::condition::{Condition, Phrase};
use crate::policy::model::{Action, Exemption, Keep, KeepOf, Policy, Protection};
use crate::report::ShownSession;
use crate::session::column::Column;
use crate::session::snapshot::{Field, Snapshot};

pub(crate) use name::SessionName;

/// A condition, or a part of one, evaluated for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedTerm {
    /// The term in the policy language; for a term with parts, how they are joined.
    pub(crate) text: String,
    /// Its truth value, from the evaluator.
    pub truth: Truth,
    /// The columns that it uses and their values. Empty for a term with parts, whose parts have them.
    pub(crate) values: Vec<ColumnValue>,
    /// Its parts.
    pub parts: Vec<ExplainedTerm>,
    /// How its truth value follows from those of its parts.
    pub join: Join,
}

/// How the truth value of a term follows from those of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The term has no parts.
    None,
    /// All parts must be TRUE.
    All,
    /// One part must be TRUE.
    Any,
    /// It is the negation of its only part.
    Not,
    /// It is the same as its only part.
    Same,
}

/// A column and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnValue {
    /// The column was not read, or the release does not have it.
    Missing(Column),
    /// NULL.
    Null(Column),
    /// A value, in readable form.
    Value(Column, String),
}

/// A condition as a tree, for the only session of a snapshot.
///
/// # Panics
/// If the snapshot does not have exactly one session.
#[must_use]
pub fn tree(condition: &Condition, one: &Snapshot) -> ExplainedTerm {
    assert_eq!(one.rows(), 1, "a tree is for one session");
    let (text, join, parts) = match condition {
        Condition::And(terms) => ("all of".to_owned(), Join::All, trees(terms, one)),
        Condition::Or(terms) => ("any of".to_owned(), Join::Any, trees(terms, one)),
        Condition::Not(inner) if has_own_not(inner) => (condition.to_string(), Join::None, Vec::new()),
        Condition::Not(inner) => ("not".to_owned(), Join::Not, vec![tree(inner, one)]),
        Condition::Named(_, inner) => (condition.to_string(), Join::Same, vec![tree(inner, one)]),
        Condition::Phrase(phrase) => {
            let parts = phrase_parts(phrase, one);
            let join = if parts.is_empty() { Join::None } else { Join::All };
            (condition.to_string(), join, parts)
        }
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_) => (condition.to_string(), Join::None, Vec::new()),
    };
    let values = match join {
        Join::None => columns_of(condition).iter().map(|column| held(column, one)).collect(),
        Join::All | Join::Any | Join::Not | Join::Same => Vec::new(),
    };
    ExplainedTerm {
        text,
        truth: evaluate(condition, one).get(0),
        values,
        parts,
        join,
    }
}

fn trees(terms: &[Condition], one: &Snapshot) -> Vec<ExplainedTerm> {
    terms.iter().map(|term| tree(term, one)).collect()
}

/// Whether the syntax of a term has a place for `not`, as in `module is not null`.
fn has_own_not(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
    )
}

/// The parts of a phrase that means two terms.
fn phrase_parts(phrase: &Phrase, one: &Snapshot) -> Vec<ExplainedTerm> {
    match phrase.meaning() {
        Condition::And(terms) => trees(&terms, one),
        Condition::Or(_)
        | Condition::Not(_)
        | Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => Vec::new(),
    }
}

fn held(column: Column, one: &Snapshot) -> ColumnValue {
    match one.field(0, column) {
        Field::Missing => ColumnValue::Missing(column),
        Field::Null => ColumnValue::Null(column),
        field @ (Field::Text(_) | Field::Number(_)) => ColumnValue::Value(column, shown(column, field)),
    }
}

/// The input of an explanation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExplainedSession<'a> {
    /// The database.
    pub database: &'a str,
    /// All sessions.
    pub snapshot: &'a Snapshot,
    /// The row of the session to explain.
    pub(crate) row: usize,
    /// The policies, their limits, and the day on the database.
    pub(crate) rules: &'a DatabaseRules,
    /// For each policy, how it runs on this database, or why it does not.
    pub(crate) here: &'a Here,
    /// What the protections need to know about the database.
    pub(crate) facts: &'a ProtectionFacts,
    /// The time of the snapshot in UTC.
    pub(crate) now: DateTime<Utc>,
    /// The result of the cycle.
    pub(crate) cycle: &'a Cycle,
    /// For each policy, whether its gate is open for the session's instance; used only for policies with `while`.
    pub(crate) gates: &'a [bool],
    /// The index of the only policy to explain; `None` for all.
    pub(crate) only: Option<usize>,
}

/// The explanation for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The database.
    pub(crate) database: String,
    /// The session.
    pub(crate) who: ShownSession,
    /// All protections in the order in which they are checked, each with the reason if it applies.
    pub(crate) protections: Vec<(Protection, Option<String>)>,
    /// All exemptions.
    pub(crate) exemptions: Vec<ExemptionPart>,
    /// All policies, or the one that was asked for.
    pub(crate) policies: Vec<ExplainedPolicy>,
}

/// An exemption, for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExemptionPart {
    /// Its reason.
    pub(crate) reason: String,
    /// Its owner.
    pub(crate) owner: String,
    /// Its last day, if that is past.
    pub(crate) expired: Option<NaiveDate>,
    /// Its condition.
    pub(crate) when: ExplainedTerm,
    /// Whether it spares the session.
    pub(crate) applies: bool,
}

/// A policy, for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExplainedPolicy {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its action.
    pub(crate) action: Action,
    /// How it runs on this database, or why it does not.
    pub(crate) here: Result<RunMode, Absent>,
    /// Its `when`.
    pub(crate) when: ExplainedTerm,
    /// Its `unless`.
    pub(crate) unless: Option<ExplainedTerm>,
    /// `(when) AND NOT (unless)`.
    pub(crate) selects: Truth,
    /// The protections that apply, in order, and whether this policy may speak of the session nevertheless: it lifts them, or reports
    /// one that is KILLED.
    pub(crate) protections: Vec<(Protection, bool)>,
    /// The reason for lifting them.
    pub(crate) lifted_because: String,
    /// Whether it has a schedule. An explanation assumes that it is due now.
    pub(crate) scheduled: bool,
    /// Whether the gate of its `while` is open for this instance; `None` without `while`.
    pub(crate) gate: Option<bool>,
    /// Its `for` in seconds; 0 without one.
    pub(crate) hold: u64,
    /// Its limits, in words.
    pub(crate) limits: String,
    /// The decision of the cycle, or why there is none.
    pub(crate) decision: Result<Decided, String>,
}

/// The decision of the cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// The action.
    pub(crate) action: Action,
    /// The reason.
    pub(crate) reason: String,
}

impl Explanation {
    /// Explains a session.
    #[must_use]
    pub(crate) fn new(subject: &ExplainedSession<'_>) -> Explanation {
        let one = subject.snapshot.only(subject.row);
        let today = subject.rules.today(subject.now);
        let (limits, exemptions) = (subject.rules.limits(), &subject.rules.set().exemptions);
        let session = Eligibility::of(&one, subject.facts, limits, exemptions, today);
        let applying: Vec<Protection> = session.protections(0, limits.undo_records).collect();
        let protection = |protection: Protection| {
            if protection == Protection::SharedProcess {
                return (protection, company(subject, None));
            }
            let applies = applying.contains(&protection);
            (protection, applies.then(|| why_protected(protection, &one, 0)))
        };
        let policies =
            (0..subject.rules.set().policies.len()).filter(|index| subject.only.is_none_or(|only| only == *index));
        Explanation {
            database: subject.database.to_owned(),
            who: ShownSession::of(&one, 0),
            protections: Protection::ALL.into_iter().map(protection).collect(),
            exemptions: exemptions
                .iter()
                .map(|exemption| exemption_part(exemption, &one, today))
                .collect(),
            policies: policies
                .map(|index| policy_part(subject, index, &one, &session))
                .collect(),
        }
    }
}

/// The other sessions that a DISCONNECT would end together with this one, in the plan's words, if they are the reason that it
/// is spared. `of` limits the search to one policy.
fn company(subject: &ExplainedSession<'_>, of: Option<usize>) -> Option<String> {
    let plans = subject.cycle.plan.policies.iter();
    let mut entries = plans
        .filter(|plan| of.is_none_or(|index| plan.in_force.index() == index))
        .flat_map(|plan| &plan.entries);
    entries.find_map(|entry| {
        let Standing::SharedProcess(company) = &entry.standing else {
            return None;
        };
        (entry.row == subject.row).then(|| company.words(subject.snapshot))
    })
}

fn exemption_part(exemption: &Exemption, one: &Snapshot, today: NaiveDate) -> ExemptionPart {
    let when = tree(&exemption.when, one);
    ExemptionPart {
        reason: exemption.reason.clone(),
        owner: exemption.owner.clone(),
        expired: exemption.expired(today),
        applies: exempts(exemption, when.truth, today),
        when,
    }
}

fn policy_part(
    subject: &ExplainedSession<'_>,
    index: usize,
    one: &Snapshot,
    session: &Eligibility<'_>,
) -> ExplainedPolicy {
    let policy = &subject.rules.set().policies[index];
    let selects = selects(policy, &mut Evaluation::of(one)).get(0);
    let undo_records = subject.rules.limits().undo_records_of(policy);
    let applying: Vec<Protection> = session.protections(0, undo_records).collect();
    ExplainedPolicy {
        name: Arc::clone(&policy.name),
        action: policy.action,
        here: subject.here.each()[index].clone().map(InForce::mode),
        when: tree(&policy.when, one),
        unless: policy.unless.as_ref().map(|unless| tree(unless, one)),
        selects,
        protections: Protection::ALL
            .into_iter()
            .filter(|protection| {
                if *protection == Protection::SharedProcess {
                    company(subject, Some(index)).is_some()
                } else {
                    applying.contains(protection)
                }
            })
            .map(|protection| {
                let lifted = session.is_lifted(protection, policy, 0, StateFrom::Itself);
                (protection, lifted)
            })
            .collect(),
        lifted_because: policy.reason.clone(),
        scheduled: !policy.timetable.schedules.is_empty(),
        gate: policy.pressure.is_some().then(|| subject.gates[index]),
        hold: policy.hold,
        limits: limits(policy, subject, index),
        decision: decision(subject, index, selects),
    }
}

/// Whom `keep` keeps.
fn kept(keep: &Keep, policy: &Policy) -> String {
    let per: Vec<&str> = keep.per.iter().map(|column| column.name()).collect();
    let per = if per.is_empty() {
        String::new()
    } else {
        format!(" per {}", per.join(", "))
    };
    match keep.of {
        KeepOf::All => format!("at least {} kept{per}", keep.at_least),
        KeepOf::Matching => {
            let order: Vec<String> = policy.order.iter().map(ToString::to_string).collect();
            format!(
                "the last {} by {} kept of those that match{per}",
                keep.at_least,
                order.join(", ")
            )
        }
    }
}

/// The limits of the policy in this cycle, and the counts for its breaker.
fn limits(policy: &Policy, subject: &ExplainedSession<'_>, index: usize) -> String {
    let (own, all) = (&policy.limits, subject.rules.limits());
    let mut parts = vec![
        format!(
            "{} a cycle",
            own.per_cycle.map_or(all.per_cycle, |own| own.min(all.per_cycle))
        ),
        format!(
            "{} an hour",
            own.per_hour.map_or(all.per_hour, |own| own.min(all.per_hour))
        ),
    ];
    let per_day = own.per_day.into_iter().chain(all.per_day).min();
    parts.extend(per_day.map(|most| format!("{most} a day")));
    if let Some(keep) = &policy.keep {
        parts.push(kept(keep, policy));
    }
    let share = own.share.unwrap_or(all.share);
    let plan = subject
        .cycle
        .plan
        .policies
        .iter()
        .find(|plan| plan.in_force.index() == index);
    let inst_id = subject.snapshot.id(subject.row, Column::InstId);
    let of_instance = |counts: &BTreeMap<u32, usize>| inst_id.and_then(|id| counts.get(&id).copied()).unwrap_or(0);
    let so_far = |plan: &PolicyPlan| {
        format!(
            " (candidates on its instance: {} of {} user sessions)",
            of_instance(&plan.candidates),
            of_instance(&plan.user_sessions)
        )
    };
    parts.push(format!(
        "breaker above {share}%{}",
        plan.map(so_far).unwrap_or_default()
    ));
    parts.join(", ")
}

/// The decision of the cycle, or why there is none.
fn decision(subject: &ExplainedSession<'_>, index: usize, selects: Truth) -> Result<Decided, String> {
    let mut decisions = subject.cycle.ruling.decisions.iter();
    if let Some(decision) = decisions.find(|decision| decision.policy == index && decision.row == subject.row) {
        return Ok(Decided {
            verdict: decision.verdict(),
            action: decision.action,
            reason: decision.reason(subject.rules.set(), subject.snapshot),
        });
    }
    let policy = &subject.rules.set().policies[index];
    Err(match (&subject.here.each()[index], selects) {
        (Err(why), _) => why.to_string(),
        (Ok(_), Truth::False) => "its condition does not hold".into(),
        (Ok(_), Truth::Unknown) => "its condition is UNKNOWN, which spares the session".into(),
        (Ok(_), Truth::True) if policy.pressure.is_some() && !subject.gates[index] => {
            "its condition holds, but its `while` is not known to be true for this instance".into()
        }
        (Ok(_), Truth::True) => {
            "its condition holds, but its instance was not read completely, which spares the session".into()
        }
    })
}
