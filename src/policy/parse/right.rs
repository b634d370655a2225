//! The right side of a comparison: in SQL, and in the syntax tree of a condition.

use std::ops::Range;

use crate::policy::ast::{ExprKind, Term, Values};
use crate::policy::condition::Comparison;
use crate::policy::habit::{Form, Sql};

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
pub(super) enum Terms {
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

    pub(super) fn form(&self) -> Form<'_> {
        match self {
            Right::Compare(op, one) => Form::Compare(*op, one),
            Right::In(values) => Form::In(values),
            Right::Between(low, high) => Form::Between(low, high),
            Right::Like(pattern, _) => Form::Like(pattern),
            Right::Matches(pattern) => Form::Matches(pattern),
            Right::List { .. } => Form::In(&[]),
            Right::Null => Form::Null,
        }
    }

    pub(super) fn terms(&self) -> Option<Terms> {
        Some(match self {
            Right::Compare(op, one) => Terms::Compare(*op, one.term()?),
            Right::In(values) => Terms::In(Values::These(values.iter().map(Sql::term).collect::<Option<_>>()?)),
            Right::List { name, at } => Terms::In(Values::List {
                name: name.clone(),
                at: at.clone(),
            }),
            Right::Between(low, high) => Terms::Between(low.term()?, high.term()?),
            Right::Like(pattern, None) => Terms::Like(pattern.term()?, None),
            Right::Like(pattern, Some(escape)) => Terms::Like(pattern.term()?, Some(escape.term()?)),
            Right::Matches(pattern) => Terms::Matches(pattern.term()?),
            Right::Null => Terms::Null,
        })
    }
}

impl Terms {
    pub(super) fn of(self, operand: Term) -> ExprKind {
        match self {
            Terms::Compare(op, right) => ExprKind::Compare {
                left: operand,
                op,
                right,
            },
            Terms::In(values) => ExprKind::In { operand, values },
            Terms::Between(low, high) => ExprKind::Between { operand, low, high },
            Terms::Like(pattern, escape) => ExprKind::Like {
                operand,
                pattern,
                escape,
            },
            Terms::Matches(pattern) => ExprKind::Matches { operand, pattern },
            Terms::Null => ExprKind::IsNull(operand),
        }
    }
}
