//! The right side of a comparison: in SQL, and in the syntax tree of a condition.

use std::ops::Range;

use crate::policy::ast::{ExprKind, Term, Values};
use crate::policy::condition::Comparison;
use crate::policy::habit::{Predicate, Sql};

/// An operator and the operands after it, in SQL.
#[derive(Clone)]
pub(super) enum Right {
    Compare(Comparison, Sql),
    In(Vec<Sql>),
    List { name: String, at: Range<usize> },
    Between(Sql, Sql),
    Like(Sql, Option<Sql>),
    Matches(Sql),
    Null,
}

/// An operator and the operands after it, if conditions support them.
pub(super) enum RightSide {
    Compare(Comparison, Term),
    In(Values),
    Between(Term, Term),
    Like(Term, Option<Term>),
    Matches(Term),
    Null,
}

impl Right {
    pub(super) fn operands(&self) -> impl Iterator<Item = &Sql> {
        let (some, more): (Vec<&Sql>, &[Sql]) = match self {
            Right::Compare(_, one) | Right::Matches(one) => (vec![one], &[]),
            Right::Between(low, high) => (vec![low, high], &[]),
            Right::Like(pattern, escape) => (std::iter::once(pattern).chain(escape).collect(), &[]),
            Right::In(values) => (Vec::new(), values),
            Right::List { .. } | Right::Null => (Vec::new(), &[]),
        };
        some.into_iter().chain(more)
    }

    pub(super) fn bare(self) -> Right {
        match self {
            Right::Compare(op, one) => Right::Compare(op, one.bare()),
            Right::In(values) => Right::In(values.into_iter().map(Sql::bare).collect()),
            Right::Between(low, high) => Right::Between(low.bare(), high.bare()),
            Right::Like(pattern, escape) => Right::Like(pattern.bare(), escape.map(Sql::bare)),
            Right::Matches(pattern) => Right::Matches(pattern.bare()),
            same @ (Right::List { .. } | Right::Null) => same,
        }
    }

    pub(super) fn form(&self) -> Predicate<'_> {
        match self {
            Right::Compare(op, one) => Predicate::Compare(*op, one),
            Right::In(values) => Predicate::In(values),
            Right::Between(low, high) => Predicate::Between(low, high),
            Right::Like(pattern, escape) => Predicate::Like(pattern, escape.as_ref()),
            Right::Matches(pattern) => Predicate::Matches(pattern),
            Right::List { .. } => Predicate::In(&[]),
            Right::Null => Predicate::Null,
        }
    }

    pub(super) fn terms(&self) -> Option<RightSide> {
        Some(match self {
            Right::Compare(op, one) => RightSide::Compare(*op, one.term()?),
            Right::In(values) => RightSide::In(Values::These(values.iter().map(Sql::term).collect::<Option<_>>()?)),
            Right::List { name, at } => RightSide::In(Values::List {
                name: name.clone(),
                at: at.clone(),
            }),
            Right::Between(low, high) => RightSide::Between(low.term()?, high.term()?),
            Right::Like(pattern, None) => RightSide::Like(pattern.term()?, None),
            Right::Like(pattern, Some(escape)) => RightSide::Like(pattern.term()?, Some(escape.term()?)),
            Right::Matches(pattern) => RightSide::Matches(pattern.term()?),
            Right::Null => RightSide::Null,
        })
    }
}

impl RightSide {
    pub(super) fn of(self, operand: Term) -> ExprKind {
        match self {
            RightSide::Compare(op, right) => ExprKind::Compare {
                left: operand,
                op,
                right,
            },
            RightSide::In(values) => ExprKind::In { operand, values },
            RightSide::Between(low, high) => ExprKind::Between { operand, low, high },
            RightSide::Like(pattern, escape) => ExprKind::Like {
                operand,
                pattern,
                escape,
            },
            RightSide::Matches(pattern) => ExprKind::Matches { operand, pattern },
            RightSide::Null => ExprKind::IsNull(operand),
        }
    }
}
