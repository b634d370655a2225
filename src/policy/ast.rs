//! The syntax tree of a condition: what the parser produces and `resolve` reads. Every part has its position in the text.

use std::ops::Range;

use super::condition::{Comparison, Phrase};

/// A part of a condition and its bytes in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expr {
    pub(crate) at: Range<usize>,
    pub(crate) kind: ExprKind,
}

/// The kinds of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExprKind {
    /// Two or more parts, none of them an AND.
    And(Vec<Expr>),
    /// Two or more parts, none of them an OR.
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
    /// A part with a mistake that is already reported.
    Broken,
}

/// A column or a literal, and its bytes in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) at: Range<usize>,
    pub(crate) kind: TermKind,
}

/// The kinds of terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TermKind {
    /// A column, or a text without quotes.
    Word(String),
    Text(String),
    Number(i64),
    Duration(i64),
    Size(i64),
    Percent(i64),
}

/// The right side of IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    These(Vec<Term>),
    List { name: String, at: Range<usize> },
}
