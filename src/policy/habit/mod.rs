//! What a DBA writes from memory in a WHERE clause and a condition has not: aliases, arithmetic on ages, functions, subqueries.
//!
//! The parser reads all of it, so that the answer can be the one that a colleague would give: not "unexpected `/`" but what
//! to write instead of `last_call_et/3600 > 2`. Where the comparison has an exact counterpart, the hint is that counterpart,
//! and stands for what is marked; where it has none, the hint says by what else the policy reaches its end.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a habit is known by its few forms; every other one, old or new, is not that habit"
)]

mod elsewhere;
mod linear;
mod texts;

use std::ops::Range;

use super::ast::{Term, TermKind};
use super::condition::Comparison;
use super::lex::Mistake;

pub(crate) use elsewhere::{GROUPS, ROWS, instead_of_column};
pub(crate) use linear::seconds_of;

/// An operand as SQL would write it.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub(crate) at: Range<usize>,
    pub(crate) kind: SqlKind,
}

/// What an operand of SQL is.
#[derive(Clone, Debug)]
pub(crate) enum SqlKind {
    /// What a condition has, too.
    Plain(TermKind),
    /// `0.5`
    Fraction(f64),
    /// `s.status`
    Qualified { prefix: String, name: String },
    /// `upper(program)`, `count(*)`; the name in lower case, without arguments where they could not be read.
    Call { name: String, arguments: Vec<Sql> },
    /// One of `+ - * / |`, the last for `||`.
    Arithmetic {
        left: Box<Sql>,
        operator: char,
        right: Box<Sql>,
    },
    /// `INTERVAL '1' HOUR`, in seconds.
    Interval(f64),
    /// `(select ...)`, in lower case.
    Query(String),
    /// `&name` of SQL*Plus, `:name` of a program.
    Variable,
    /// `(1)`, `(sid, serial#)`
    Group(Vec<Sql>),
    /// `CASE ... END`
    Case,
    /// `t.addr(+)`
    OuterJoin,
    /// Reported already.
    Wrong,
}

/// What is done with the left operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    Compare(Comparison, &'a Sql),
    In(&'a [Sql]),
    Between(&'a Sql, &'a Sql),
    Like(&'a Sql),
    Matches(&'a Sql),
    Null,
    /// Nothing: `regexp_like(program, 'x')`
    Alone,
}

impl<'a> Form<'a> {
    fn operands(self) -> Vec<&'a Sql> {
        match self {
            Form::Compare(_, one) | Form::Like(one) | Form::Matches(one) => vec![one],
            Form::In(values) => values.iter().collect(),
            Form::Between(low, high) => vec![low, high],
            Form::Null | Form::Alone => Vec::new(),
        }
    }
}

impl Sql {
    /// The operand, if a condition has it.
    pub(crate) fn term(&self) -> Option<Term> {
        match &self.kind {
            SqlKind::Plain(kind) => Some(Term {
                at: self.at.clone(),
                kind: kind.clone(),
            }),
            _ => None,
        }
    }

    /// Itself and all that is in it.
    fn all(&self) -> Vec<&Sql> {
        let mut all = vec![self];
        let mut next = 0;
        while let Some(one) = all.get(next).copied() {
            match &one.kind {
                SqlKind::Call { arguments, .. } | SqlKind::Group(arguments) => all.extend(arguments),
                SqlKind::Arithmetic { left, right, .. } => all.extend([&**left, &**right]),
                _ => {}
            }
            next += 1;
        }
        all
    }

    /// Whether it holds what was reported already.
    pub(crate) fn is_wrong(&self) -> bool {
        self.all().iter().any(|one| matches!(one.kind, SqlKind::Wrong))
    }

    /// Its prefixes and their places, each with the name that it stands before.
    pub(crate) fn prefixes(&self) -> Vec<(&str, &str, Range<usize>)> {
        fn prefix(one: &Sql) -> Option<(&str, &str, Range<usize>)> {
            match &one.kind {
                SqlKind::Qualified { prefix, name } => Some((prefix, name, one.at.clone())),
                _ => None,
            }
        }
        self.all().into_iter().filter_map(prefix).collect()
    }

    /// The same without prefixes.
    pub(crate) fn bare(self) -> Sql {
        let kind = match self.kind {
            SqlKind::Qualified { name, .. } => SqlKind::Plain(TermKind::Word(name)),
            SqlKind::Call { name, arguments } => SqlKind::Call {
                name,
                arguments: arguments.into_iter().map(Sql::bare).collect(),
            },
            SqlKind::Group(members) => SqlKind::Group(members.into_iter().map(Sql::bare).collect()),
            SqlKind::Arithmetic { left, operator, right } => SqlKind::Arithmetic {
                left: Box::new(left.bare()),
                operator,
                right: Box::new(right.bare()),
            },
            other => other,
        };
        Sql { at: self.at, kind }
    }
}

/// Columns of two views held against each other.
pub(crate) fn join(at: Range<usize>) -> Mistake {
    Mistake::new(at, "no-joins", "a condition joins no views").hint(
        "leave it out: what other views say of a session are columns, such as `spid`, `pga`, `temp`, `transaction_age`, \
         `undo_records`, `blocking` and `cpu`",
    )
}

/// What to write instead of a comparison that a condition has not. `at` is the whole comparison, `negated` a NOT in it.
pub(crate) fn answer(left: &Sql, form: Form<'_>, negated: bool, at: Range<usize>) -> Mistake {
    let operands: Vec<&Sql> = std::iter::once(left).chain(form.operands()).collect();
    let all: Vec<&Sql> = operands.iter().flat_map(|operand| operand.all()).collect();
    if all.iter().any(|one| matches!(one.kind, SqlKind::OuterJoin)) {
        return join(at);
    }
    if let Some(mistake) = elsewhere::query(&all).or_else(|| elsewhere::own_session(&all, &at)) {
        return mistake;
    }
    if let Some(mistake) = elsewhere::misspelt(&all) {
        return mistake;
    }
    let (code, message) = what_is_missing(&all);
    let mistake = |at: Range<usize>| Mistake::new(at, code, message);
    let exact = linear::counterpart(left, form, negated).or_else(|| texts::counterpart(left, form, negated));
    if let Some(exact) = exact {
        return mistake(at).hint(format!("write `{exact}`"));
    }
    for one in &all {
        if let Some(hint) = elsewhere::instead_of(one, form) {
            return mistake(one.at.clone()).hint(hint);
        }
    }
    mistake(at).hint("on one side stands a column, on the other a value: `last_call_et > 4h`, `program like 'JDBC%'`")
}

/// The first thing that a condition has not.
fn what_is_missing(all: &[&Sql]) -> (&'static str, &'static str) {
    let call = all
        .iter()
        .any(|one| matches!(one.kind, SqlKind::Call { .. } | SqlKind::Case));
    let variable = all.iter().any(|one| matches!(one.kind, SqlKind::Variable));
    let arithmetic = all
        .iter()
        .any(|one| matches!(one.kind, SqlKind::Arithmetic { .. } | SqlKind::Interval(_)));
    if variable {
        ("no-variables", "there are no variables in conditions")
    } else if call {
        ("no-functions", "there are no functions in conditions")
    } else if arithmetic {
        ("not-an-operator", "there is no arithmetic in conditions")
    } else if all.iter().any(|one| matches!(one.kind, SqlKind::Fraction(_))) {
        ("not-whole", "numbers are whole here")
    } else {
        (
            "stray-parenthesis",
            "parentheses stand around conditions and lists, not around values",
        )
    }
}
