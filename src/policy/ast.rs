//! A condition as it was written, each part with its place: what the parser hands to the checker.

use std::ops::Range;

use super::condition::{Comparison, Phrase};

/// A part of a condition and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expr {
    pub(crate) at: Range<usize>,
    pub(crate) kind: ExprKind,
}

/// What a part of a condition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExprKind {
    /// Two or more, never an AND itself.
    And(Vec<Expr>),
    /// Two or more, never an OR itself.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        left: Term,
        op: Comparison,
        right: Term,
    },
    In {
        operand: Term,
        values: Values,
    },
    Between {
        operand: Term,
        low: Term,
        high: Term,
    },
    Like {
        operand: Term,
        pattern: Term,
        escape: Option<Term>,
    },
    Matches {
        operand: Term,
        pattern: Term,
    },
    IsNull(Term),
    Phrase(Phrase),
    /// `@name`
    Named(String),
    /// What was reported already.
    Broken,
}

/// An operand or literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) at: Range<usize>,
    pub(crate) kind: TermKind,
}

/// What an operand is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TermKind {
    /// A column, or a bare word.
    Word(String),
    Text(String),
    Number(i64),
    Duration(i64),
    Size(i64),
    Percent(i64),
}

/// What stands after IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    These(Vec<Term>),
    List { name: String, at: Range<usize> },
}
