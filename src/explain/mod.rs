//! Why a session is taken or spared, term by term.
//!
//! A condition becomes a tree. Each of its terms carries the truth that the one evaluator gives it for the session alone, and
//! the values that it looked at, NULL told apart from what nobody read. There is no second meaning of a condition here: a
//! term's truth is asked, never worked out from its parts.
//!
//! Around the trees stands everything else that decides, in the order in which it is asked: protections, exemptions, the
//! hold, the limits, and what the cycle itself decided.

mod name;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::decide::cycle::Cycle;
use crate::decide::evaluate::reason::shown;
use crate::decide::evaluate::truth::Truth;
use crate::decide::evaluate::{columns_of, evaluate};
use crate::decide::guard::{RunMode, Verdict};
use crate::decide::in_force::Absent;
use crate::decide::plan::{EffectiveLimits, PolicyPlan};
use crate::decide::protect::{Facts, Under, because, protections, undo};
use crate::policy::condition::{Condition, Phrase};
use crate::policy::model::{Action, Exemption, Policy, PolicySet, Protection};
use crate::report::Who;
use crate::session::column::Column;
use crate::session::snapshot::{Field, Snapshot};

pub use name::SessionName;

/// A condition, or a part of one, as it stands with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// In the policy language's words; how its parts are joined, where it has some.
    pub text: String,
    /// What the evaluator says of it.
    pub truth: Truth,
    /// The columns that it looks at, with what they hold: of a term without parts only, which the others' parts tell.
    pub values: Vec<Held>,
    /// What it is made of.
    pub parts: Vec<Term>,
    /// How its truth follows from that of its parts.
    pub join: Join,
}

/// How a term's truth follows from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It has no parts.
    None,
    /// All of them.
    All,
    /// Any of them.
    Any,
    /// Not the one that it has.
    Not,
    /// The same as the one that it has.
    Same,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody read it, or the release lacks it.
    Missing(Column),
    /// NULL.
    Null(Column),
    /// A value, as people read it.
    Value(Column, String),
}

/// The condition as a tree, for the one session of a snapshot.
///
/// # Panics
/// When the snapshot holds more than one session, or none.
#[must_use]
pub fn tree(condition: &Condition, one: &Snapshot) -> Term {
    assert_eq!(one.rows(), 1, "a tree is about one session");
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
    Term {
        text,
        truth: evaluate(condition, one).get(0),
        values,
        parts,
        join,
    }
}

fn trees(terms: &[Condition], one: &Snapshot) -> Vec<Term> {
    terms.iter().map(|term| tree(term, one)).collect()
}

/// Terms that say `not` in their own middle: `module is not null`.
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

/// A phrase that means two things at once is shown with both.
fn phrase_parts(phrase: &Phrase, one: &Snapshot) -> Vec<Term> {
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

fn held(column: Column, one: &Snapshot) -> Held {
    match one.field(0, column) {
        Field::Missing => Held::Missing(column),
        Field::Null => Held::Null(column),
        field @ (Field::Text(_) | Field::Number(_)) => Held::Value(column, shown(column, field)),
    }
}

/// What an explanation is made from.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The database.
    pub database: &'a str,
    /// All sessions.
    pub snapshot: &'a Snapshot,
    /// The row of the one that is explained.
    pub row: usize,
    /// The policies.
    pub set: &'a PolicySet,
    /// How each of them runs on this database, or why it does not, in the set's order.
    pub here: &'a [Result<RunMode, Absent>],
    /// Who is protected.
    pub facts: &'a Facts,
    /// The configuration's limits.
    pub limits: &'a EffectiveLimits,
    /// The day, which exemptions expire by.
    pub today: NaiveDate,
    /// What the cycle decided.
    pub cycle: &'a Cycle,
    /// For policies with `while`, whether its gate is open for the session's instance, in the set's order.
    pub gates: &'a [bool],
    /// The one policy that was asked for, by its place in the set.
    pub only: Option<usize>,
}

/// Everything about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The database.
    pub database: String,
    /// The session.
    pub who: Who,
    /// Every protection in the order in which they are asked; why, if it holds.
    pub protections: Vec<(Protection, Option<String>)>,
    /// Every exemption.
    pub exemptions: Vec<ExemptionPart>,
    /// Every policy, or the one that was asked for.
    pub policies: Vec<PolicyPart>,
}

/// One exemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptionPart {
    /// Why it is there.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Its last day, once that is past.
    pub expired: Option<NaiveDate>,
    /// Its condition.
    pub when: Term,
}

impl ExemptionPart {
    /// Whether it spares the session: not FALSE is enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.expired.is_none() && self.when.truth != Truth::False
    }
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPart {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub action: Action,
    /// How it runs on this database, or why it does not.
    pub here: Result<RunMode, Absent>,
    /// Whom it wants.
    pub when: Term,
    /// Whom it spares all the same.
    pub unless: Option<Term>,
    /// `(when) AND NOT (unless)`.
    pub selects: Truth,
    /// Protections that hold, in order, and whether this policy lifts them.
    pub protections: Vec<(Protection, bool)>,
    /// Why it lifts some.
    pub lifted_because: String,
    /// Whether it has a schedule, which is taken as due.
    pub scheduled: bool,
    /// Whether its `while` lets it take sessions of this instance, if it has one.
    pub gate: Option<bool>,
    /// `for:` in seconds, if it has one.
    pub hold: u64,
    /// What bounds it, in words.
    pub limits: String,
    /// The cycle's decision; why there is none, otherwise.
    pub decision: Result<Decided, String>,
}

/// The cycle's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The verdict.
    pub verdict: Verdict,
    /// What would be done.
    pub action: Action,
    /// Why.
    pub reason: String,
}

impl Explanation {
    /// Explains a session.
    #[must_use]
    pub fn new(subject: &Subject<'_>) -> Explanation {
        let one = subject.snapshot.only(subject.row);
        let under = protections(&one, subject.facts);
        let protection = |protection: Protection| {
            let holds = holds(protection, &one, under[0], subject.limits.undo_records);
            (protection, holds.then(|| because(protection, &one, 0)))
        };
        let policies = (0..subject.set.policies.len()).filter(|index| subject.only.is_none_or(|only| only == *index));
        Explanation {
            database: subject.database.to_owned(),
            who: Who::of(&one, 0),
            protections: Protection::ALL.into_iter().map(protection).collect(),
            exemptions: subject
                .set
                .exemptions
                .iter()
                .map(|exemption| exemption_part(exemption, &one, subject.today))
                .collect(),
            policies: policies.map(|index| policy_part(subject, index, &one)).collect(),
        }
    }
}

/// Whether the session is under a protection; `undo` depends on a bound.
fn holds(protection: Protection, one: &Snapshot, under: Under, bound: u64) -> bool {
    under.contains(protection) || (protection == Protection::Undo && undo(one, 0, bound))
}

fn exemption_part(exemption: &Exemption, one: &Snapshot, today: NaiveDate) -> ExemptionPart {
    ExemptionPart {
        reason: exemption.reason.clone(),
        owner: exemption.owner.clone(),
        expired: exemption.until.filter(|until| today > *until),
        when: tree(&exemption.when, one),
    }
}

fn policy_part(subject: &Subject<'_>, index: usize, one: &Snapshot) -> PolicyPart {
    let policy = &subject.set.policies[index];
    let when = tree(&policy.when, one);
    let unless = policy.unless.as_ref().map(|unless| tree(unless, one));
    let both = match &policy.unless {
        None => policy.when.clone(),
        Some(unless) => Condition::And(vec![policy.when.clone(), Condition::Not(Box::new(unless.clone()))]),
    };
    let selects = evaluate(&both, one).get(0);
    let under = protections(one, subject.facts);
    let bound = policy.limits.undo_records.unwrap_or(subject.limits.undo_records);
    PolicyPart {
        name: Arc::clone(&policy.name),
        action: policy.action,
        here: subject.here[index].clone(),
        when,
        unless,
        selects,
        protections: Protection::ALL
            .into_iter()
            .filter(|protection| holds(*protection, one, under[0], bound))
            .map(|protection| {
                (
                    protection,
                    !protection.is_never_lifted() && policy.allow.contains(&protection),
                )
            })
            .collect(),
        lifted_because: policy.reason.clone(),
        scheduled: policy.schedule.is_some(),
        gate: policy.pressure.is_some().then(|| subject.gates[index]),
        hold: policy.hold,
        limits: limits(policy, subject, index),
        decision: decision(subject, index, selects),
    }
}

/// What bounds the policy in this cycle, and how far its breaker is.
fn limits(policy: &Policy, subject: &Subject<'_>, index: usize) -> String {
    let (own, all) = (&policy.limits, subject.limits);
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
        let per: Vec<&str> = keep.per.iter().map(|column| column.name()).collect();
        parts.push(format!("at least {} left per {}", keep.at_least, per.join(", ")));
    }
    let share = own.share.unwrap_or(all.share);
    let plan = subject
        .cycle
        .plan
        .policies
        .iter()
        .find(|plan| plan.in_force.index == index);
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

/// What the cycle decided, or why it had nothing to decide.
fn decision(subject: &Subject<'_>, index: usize, selects: Truth) -> Result<Decided, String> {
    let mut decisions = subject.cycle.ruling.decisions.iter();
    if let Some(decision) = decisions.find(|decision| decision.policy == index && decision.row == subject.row) {
        return Ok(Decided {
            verdict: decision.verdict,
            action: decision.action,
            reason: decision.reason.clone(),
        });
    }
    let policy = &subject.set.policies[index];
    Err(match (&subject.here[index], selects) {
        (Err(why), _) => why.to_string(),
        (Ok(_), Truth::False) => "its condition does not hold".into(),
        (Ok(_), Truth::Unknown) => "whether its condition holds is unknown, and unknown spares".into(),
        (Ok(_), Truth::True) if policy.pressure.is_some() && !subject.gates[index] => {
            "its condition holds, but its instance is not known to be short of what `while` asks for".into()
        }
        (Ok(_), Truth::True) => "its instance was not read completely, and unknown spares".into(),
    })
}
