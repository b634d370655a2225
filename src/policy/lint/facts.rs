//! What follows for single columns if a condition is TRUE: enough to see that two parts of it cannot both be TRUE.
//!
//! This is not a theorem prover. It understands comparisons of a column with constants, NULL tests, and how the derived
//! columns depend on each other (`idle` has a value only for INACTIVE and SNIPED sessions). It ignores everything else, so it
//! may miss a contradiction but never reports one that does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::condition::{Comparison, Condition, Constant, LikePart, LikePattern, Operand};
use crate::session::column::{Column, Kind};

/// What is known about each column.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnFacts(BTreeMap<Column, Fact>);

#[derive(Clone, Debug, Default)]
struct Fact {
    /// Whether the column is NULL; `None`: not known.
    null: Option<bool>,
    /// The column would have to be NULL and not NULL.
    torn: bool,
    allowed: Option<BTreeSet<Arc<str>>>,
    excluded: BTreeSet<Arc<str>>,
    /// What LIKE and MATCHES say of it: each pattern, and whether it matches.
    likes: Vec<(LikePattern, bool)>,
    matches: Vec<(regex::Regex, bool)>,
    /// Inclusive, in the column's unit.
    low: Option<i128>,
    high: Option<i128>,
}

impl ColumnFacts {
    /// The facts if the condition is TRUE or, with `positive` false, FALSE.
    pub(super) fn of(condition: &Condition, positive: bool) -> ColumnFacts {
        let mut facts = ColumnFacts::default();
        facts.assume(condition, positive);
        facts
    }

    /// The facts of both together.
    pub(super) fn and(&self, other: &ColumnFacts) -> ColumnFacts {
        let mut both = self.clone();
        for (column, fact) in &other.0 {
            both.0.entry(*column).or_default().merge(fact);
        }
        both
    }

    pub(super) fn contradict(&self) -> bool {
        self.0.iter().any(|(column, fact)| fact.impossible(*column))
    }

    /// Whether a text column may have a value.
    pub(super) fn may_be(&self, column: Column, value: &str) -> bool {
        self.0.get(&column).is_none_or(|fact| {
            fact.null != Some(true)
                && fact.allowed.as_ref().is_none_or(|allowed| allowed.contains(value))
                && !fact.excluded.contains(value)
        })
    }

    /// Whether a column must be NULL.
    pub(super) fn must_be_null(&self, column: Column) -> bool {
        self.0.get(&column).is_some_and(|fact| fact.null == Some(true))
    }

    /// Adds what follows if the condition is TRUE or, with `positive` false, FALSE.
    pub(super) fn assume(&mut self, condition: &Condition, positive: bool) {
        match condition {
            Condition::And(parts) if positive => parts.iter().for_each(|part| self.assume(part, true)),
            Condition::Or(parts) if !positive => parts.iter().for_each(|part| self.assume(part, false)),
            Condition::And(_) | Condition::Or(_) => {}
            Condition::Not(inner) => self.assume(inner, !positive),
            Condition::Named(_, inner) => self.assume(inner, positive),
            Condition::Phrase(phrase) => self.assume(&phrase.meaning(), positive),
            Condition::IsNull(operand) => {
                if let Operand::Column(column) = operand {
                    self.null(*column, positive);
                }
            }
            Condition::Compare { left, op, right } => match (left, right) {
                (Operand::Column(column), Operand::Literal(value)) => self.compare(*column, *op, value, positive),
                (Operand::Literal(value), Operand::Column(column)) => {
                    self.compare(*column, op.mirrored(), value, positive);
                }
                (Operand::Column(one), Operand::Column(other)) => {
                    self.null(*one, false);
                    self.null(*other, false);
                    if one == other && op.holds(std::cmp::Ordering::Equal) != positive {
                        self.0.entry(*one).or_default().torn = true;
                    }
                }
                (Operand::Literal(_), Operand::Literal(_)) => {}
            },
            Condition::In { operand, values, .. } => self.within(operand, values, positive),
            Condition::Between { operand, low, high } => self.between(operand, low, high, positive),
            Condition::Like { operand, pattern } => {
                if let Operand::Column(column) = operand {
                    self.null(*column, false);
                    let likes = &mut self.0.entry(*column).or_default().likes;
                    likes.push((pattern.clone(), positive));
                }
            }
            Condition::Matches { operand, pattern } => {
                if let Operand::Column(column) = operand {
                    self.null(*column, false);
                    let matches = &mut self.0.entry(*column).or_default().matches;
                    matches.push((pattern.clone(), positive));
                }
            }
        }
    }

    fn compare(&mut self, column: Column, op: Comparison, value: &Constant, positive: bool) {
        self.null(column, false);
        let op = if positive { op } else { op.opposite() };
        if let Constant::Text(text) = value {
            match op {
                Comparison::Equal => self.allow(column, BTreeSet::from([text.clone()])),
                Comparison::NotEqual => {
                    self.0.entry(column).or_default().excluded.insert(text.clone());
                }
                Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {}
            }
            return;
        }
        let Some(at) = scaled(column, value) else {
            return;
        };
        match op {
            Comparison::Equal => self.range(column, Some(at), Some(at)),
            Comparison::NotEqual => {}
            Comparison::Less => self.range(column, None, Some(at - 1)),
            Comparison::LessOrEqual => self.range(column, None, Some(at)),
            Comparison::Greater => self.range(column, Some(at + 1), None),
            Comparison::GreaterOrEqual => self.range(column, Some(at), None),
        }
    }

    fn within(&mut self, operand: &Operand, values: &[Constant], positive: bool) {
        let Operand::Column(column) = *operand else {
            return;
        };
        self.null(column, false);
        let texts: BTreeSet<Arc<str>> = values
            .iter()
            .filter_map(|value| match value {
                Constant::Text(text) => Some(text.clone()),
                Constant::Number(_) | Constant::Duration(_) | Constant::Size(_) => None,
            })
            .collect();
        if !texts.is_empty() {
            if positive {
                self.allow(column, texts);
            } else {
                self.0.entry(column).or_default().excluded.extend(texts);
            }
        } else if positive {
            let numbers = || values.iter().filter_map(|value| scaled(column, value));
            self.range(column, numbers().min(), numbers().max());
        }
    }

    fn between(&mut self, operand: &Operand, low: &Operand, high: &Operand, positive: bool) {
        let Operand::Column(column) = *operand else {
            return;
        };
        let end = |operand: &Operand| match operand {
            Operand::Literal(value) => scaled(column, value),
            Operand::Column(_) => None,
        };
        if positive {
            self.null(column, false);
            self.range(column, end(low), end(high));
        }
    }

    fn allow(&mut self, column: Column, values: BTreeSet<Arc<str>>) {
        let fact = Fact {
            allowed: Some(values),
            ..Fact::default()
        };
        self.0.entry(column).or_default().merge(&fact);
    }

    fn range(&mut self, column: Column, low: Option<i128>, high: Option<i128>) {
        let fact = Fact {
            low,
            high,
            ..Fact::default()
        };
        self.0.entry(column).or_default().merge(&fact);
        // The value of these columns is LAST_CALL_ET.
        if column == Column::Idle || column == Column::Running {
            self.0.entry(Column::LastCallEt).or_default().merge(&fact);
        }
    }

    /// Records that a column is NULL or not NULL; if it is not NULL, also what follows from that.
    fn null(&mut self, column: Column, null: bool) {
        let fact = Fact {
            null: Some(null),
            ..Fact::default()
        };
        self.0.entry(column).or_default().merge(&fact);
        if null {
            return;
        }
        let texts = |values: &[&str]| values.iter().map(|value| Arc::from(*value)).collect();
        if column == Column::Idle {
            self.allow(Column::Status, texts(&["INACTIVE", "SNIPED"]));
        } else if column == Column::Running || column == Column::StatementAge {
            self.allow(Column::Status, texts(&["ACTIVE"]));
        } else if column == Column::Waited {
            self.allow(Column::State, texts(&["WAITING"]));
        } else if matches!(
            column,
            Column::TransactionAge | Column::TransactionStatus | Column::UndoRecords | Column::Undo
        ) {
            self.null(Column::Taddr, false);
        }
    }
}

impl Fact {
    fn merge(&mut self, other: &Fact) {
        self.torn |= other.torn || matches!((self.null, other.null), (Some(one), Some(two)) if one != two);
        self.null = self.null.or(other.null);
        self.allowed = match (self.allowed.take(), &other.allowed) {
            (Some(one), Some(two)) => Some(one.intersection(two).cloned().collect()),
            (one, two) => one.or_else(|| two.clone()),
        };
        self.excluded.extend(other.excluded.iter().cloned());
        self.likes.extend(other.likes.iter().cloned());
        self.matches.extend(other.matches.iter().cloned());
        self.low = self.low.max(other.low);
        self.high = match (self.high, other.high) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }

    fn impossible(&self, column: Column) -> bool {
        let empty_range = match (self.low.max(least(column)), self.high) {
            (Some(low), Some(high)) => low > high,
            _ => false,
        };
        let possible = |value: &str| {
            !self.excluded.contains(value)
                && column.closed_list().is_none_or(|domain| domain.contains(&value))
                && self.likes.iter().all(|(like, holds)| like.matches(value) == *holds)
                && self
                    .matches
                    .iter()
                    .all(|(regex, holds)| regex.is_match(value) == *holds)
        };
        let no_text = match (&self.allowed, column.closed_list()) {
            (Some(allowed), _) => !allowed.iter().any(|value| possible(value)),
            (None, Some(domain)) => self.null == Some(false) && !domain.iter().any(|value| possible(value)),
            (None, None) => false,
        };
        self.torn || empty_range || no_text || self.patterns_contradict()
    }

    /// Whether no text satisfies all patterns, as far as their beginnings show it.
    fn patterns_contradict(&self) -> bool {
        let holding = || self.likes.iter().filter(|(_, holds)| *holds).map(|(like, _)| like);
        let failing = || self.likes.iter().filter(|(_, holds)| !*holds).map(|(like, _)| like);
        let begins = |like: &LikePattern| match like.parts.first() {
            Some(LikePart::Text(text)) => Some(text.clone()),
            Some(LikePart::Any | LikePart::One) | None => None,
        };
        let apart = |one: &str, other: &str| !one.starts_with(other) && !other.starts_with(one);
        let beginnings: Vec<Box<str>> = holding().filter_map(begins).collect();
        let torn = beginnings
            .iter()
            .any(|one| beginnings.iter().any(|other| apart(one, other)));
        let fails_for_all = |like: &LikePattern| match &*like.parts {
            [LikePart::Any] => true,
            [LikePart::Text(text), LikePart::Any] => beginnings.iter().any(|begins| begins.starts_with(&**text)),
            _ => holding().any(|other| other.parts == like.parts),
        };
        let same_regex = |one: &(regex::Regex, bool), other: &(regex::Regex, bool)| {
            one.1 != other.1 && one.0.as_str() == other.0.as_str()
        };
        let matches = &self.matches;
        torn || failing().any(fails_for_all)
            || matches
                .iter()
                .any(|one| matches.iter().any(|other| same_regex(one, other)))
    }
}

/// The least value that a column can have, where that is certain.
fn least(column: Column) -> Option<i128> {
    let counts = matches!(
        column,
        Column::InstId
            | Column::Sid
            | Column::Serial
            | Column::Blocking
            | Column::UndoRecords
            | Column::PxServers
            | Column::LogicalReads
            | Column::PhysicalReads
            | Column::CpuRate
            | Column::ReadsRate
    );
    (counts || matches!(column.kind(), Kind::Duration | Kind::Size)).then_some(0)
}

/// A number in the column's unit.
fn scaled(column: Column, value: &Constant) -> Option<i128> {
    match value {
        Constant::Number(number) | Constant::Size(number) => Some(i128::from(*number)),
        Constant::Duration(seconds) => Some(i128::from(*seconds) * i128::from(column.per_second())),
        Constant::Text(_) => None,
    }
}
