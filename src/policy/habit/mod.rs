//! SQL that DBAs write in a WHERE clause and conditions do not support: aliases, arithmetic on ages, functions, subqueries.
//!
//! The parser reads this SQL, so that a message can say what to write instead: not "unexpected `/`" but the counterpart of
//! `last_call_et/3600 > 2`. If the comparison has an exact counterpart, the hint is that counterpart, and replaces the text
//! that is marked. Otherwise the hint names another key or column for the same purpose.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "each check looks for a few forms and ignores all others, including future ones"
)]

mod aliases;
mod blocks;
mod decoded;
mod elsewhere;
mod extremes;
mod linear;
mod nulls;
mod rounding;
mod subquery;
mod texts;

use std::ops::Range;

use super::ast::{Term, TermKind};
use super::condition::Comparison;
use super::lex::Mistake;

use aliases::JOINED;
pub(crate) use aliases::{Aliases, Prefixed, instead_of_join, join};
pub(crate) use elsewhere::{GROUPS, ROWS, instead_of_column};
pub(crate) use linear::seconds_of;
use texts::Counterpart;
pub(crate) use texts::{
    instead_of_contains, instead_of_end, instead_of_ilike, instead_of_start, quoted as quoted_text,
};

/// An operand in SQL.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub(crate) at: Range<usize>,
    pub(crate) kind: SqlKind,
}

/// The kinds of operands in SQL.
#[derive(Clone, Debug)]
pub(crate) enum SqlKind {
    /// An operand that conditions support.
    Plain(TermKind),
    /// `0.5`
    Fraction(f64),
    /// `s.status`
    Qualified { prefix: String, name: String },
    /// `upper(program)`, `count(*)`. The name is in lower case; arguments that could not be read are left out.
    Call { name: String, arguments: Vec<Sql> },
    /// The operator is one of `+ - * / |`; `|` means `||`.
    Arithmetic {
        left: Box<Sql>,
        operator: char,
        right: Box<Sql>,
    },
    /// `INTERVAL '1' HOUR`, in seconds.
    Interval(f64),
    /// `(select ...)`
    Query(String),
    /// `&name` in SQL*Plus, `:name` in a program.
    Variable,
    /// `(1)`, `(sid, serial#)`
    Group(Vec<Sql>),
    /// `CASE ... END`
    Case,
    /// `t.addr(+)`
    OuterJoin,
    /// An operand with a mistake that is already reported.
    Wrong,
}

/// What decides at the place of a condition. A function may return NULL where a column has a value, so that no rewriting is UNKNOWN
/// wherever the original is: it may only have the same effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// TRUE: in `when`.
    Acts,
    /// FALSE: in `unless` and in exemptions, where UNKNOWN spares too, and under a NOT in `when`.
    Spares,
    /// Either: in a named condition.
    Either,
}

impl Aim {
    /// The same under a NOT.
    pub(crate) const fn opposite(self) -> Aim {
        match self {
            Aim::Acts => Aim::Spares,
            Aim::Spares => Aim::Acts,
            Aim::Either => Aim::Either,
        }
    }
}

/// Where a comparison stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// All of it.
    pub(crate) at: Range<usize>,
    pub(crate) aim: Aim,
    /// Where the NOT begins that stands right before it.
    pub(crate) not: Option<usize>,
}

impl Place {
    /// The place with the NOT right before it, and whether there is one.
    fn with_its_not(&self) -> (Place, bool) {
        let Some(not) = self.not else {
            return (self.clone(), false);
        };
        let with_it = Place {
            at: not..self.at.end,
            aim: self.aim.opposite(),
            not: None,
        };
        (with_it, true)
    }
}

/// What follows the left operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Predicate<'a> {
    Compare(Comparison, &'a Sql),
    In(&'a [Sql]),
    Between(&'a Sql, &'a Sql),
    /// With the character after ESCAPE.
    Like(&'a Sql, Option<&'a Sql>),
    Matches(&'a Sql),
    Null,
    /// Nothing, as in `regexp_like(program, 'x')`.
    Alone,
}

impl<'a> Predicate<'a> {
    fn operands(self) -> Vec<&'a Sql> {
        match self {
            Predicate::Compare(_, one) | Predicate::Matches(one) => vec![one],
            Predicate::Like(pattern, escape) => std::iter::once(pattern).chain(escape).collect(),
            Predicate::In(values) => values.iter().collect(),
            Predicate::Between(low, high) => vec![low, high],
            Predicate::Null | Predicate::Alone => Vec::new(),
        }
    }
}

impl Sql {
    /// The operand, if conditions support it.
    pub(crate) fn term(&self) -> Option<Term> {
        match &self.kind {
            SqlKind::Plain(kind) => Some(Term {
                at: self.at.clone(),
                kind: kind.clone(),
            }),
            _ => None,
        }
    }

    /// This operand and all operands inside it.
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

    /// Whether it contains a mistake that is already reported.
    pub(crate) fn is_wrong(&self) -> bool {
        self.all().iter().any(|one| matches!(one.kind, SqlKind::Wrong))
    }

    /// The prefixes in it, each with the name after it and their bytes in the text.
    pub(crate) fn prefixes(&self) -> Vec<Prefixed<'_>> {
        fn prefix(one: &Sql) -> Option<Prefixed<'_>> {
            match &one.kind {
                SqlKind::Qualified { prefix, name } => Some((prefix, name, one.at.clone())),
                _ => None,
            }
        }
        self.all().into_iter().filter_map(prefix).collect()
    }

    /// The same operand without prefixes.
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

/// What to write instead of a comparison that conditions do not support. `negated`: it has a NOT of its own, as in `not like`.
pub(crate) fn answer(left: &Sql, form: Predicate<'_>, negated: bool, place: &Place) -> Mistake {
    let (aim, at) = (place.aim, place.at.clone());
    let operands: Vec<&Sql> = std::iter::once(left).chain(form.operands()).collect();
    let all: Vec<&Sql> = operands.iter().flat_map(|operand| operand.all()).collect();
    if all.iter().any(|one| matches!(one.kind, SqlKind::OuterJoin)) {
        return join(at, JOINED);
    }
    let other_rows = subquery::answer(left, form, negated, place);
    if let Some(mistake) = other_rows.or_else(|| subquery::of_the_context(left, form, negated, place)) {
        return mistake;
    }
    if let Some(mistake) = elsewhere::misspelt(&all) {
        return mistake;
    }
    let (code, message) = unsupported(&all);
    let mistake = |at: Range<usize>| Mistake::new(at, code, message);
    match counterpart(left, form, negated, aim) {
        Some(Counterpart::Exact(exact)) => return mistake(at).hint(format!("write `{exact}`")),
        Some(Counterpart::Reason(reason)) => return mistake(at).hint(reason),
        None => {}
    }
    for one in &all {
        if let Some(hint) = elsewhere::instead_of(one, form) {
            return mistake(one.at.clone()).hint(hint);
        }
    }
    mistake(at).hint("compare a column with a value: `last_call_et > 4h`, `program like 'JDBC%'`")
}

/// The same comparison in the policy language, or why there is none.
fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool, aim: Aim) -> Option<Counterpart> {
    let left = &decoded::usual(left);
    if let Predicate::Compare(operator @ (Comparison::Equal | Comparison::NotEqual), right) = form
        && let Some(initcap) = decoded::without_initcap(left, right)
    {
        return match initcap {
            Ok((left, right)) => texts::counterpart(&left, Predicate::Compare(operator, &right), negated, aim),
            Err(reason) => Some(Counterpart::Reason(reason.to_owned())),
        };
    }
    let exact = linear::counterpart(left, form, negated)
        .or_else(|| rounding::counterpart(left, form, negated))
        .or_else(|| nulls::counterpart(left, form, negated, aim))
        .or_else(|| decoded::counterpart(left, form, negated, aim))
        .or_else(|| decoded::quantified(left, form))
        .or_else(|| extremes::counterpart(left, form, aim));
    exact
        .map(Counterpart::Exact)
        .or_else(|| blocks::counterpart(left, form, negated).map(Counterpart::Reason))
        .or_else(|| texts::counterpart(left, form, negated, aim))
}

/// The fault code and the message for the first thing that conditions do not support.
fn unsupported(all: &[&Sql]) -> (&'static str, &'static str) {
    let call = all
        .iter()
        .any(|one| matches!(one.kind, SqlKind::Call { .. } | SqlKind::Case));
    let variable = all.iter().any(|one| matches!(one.kind, SqlKind::Variable));
    let arithmetic = all
        .iter()
        .any(|one| matches!(one.kind, SqlKind::Arithmetic { .. } | SqlKind::Interval(_)));
    if variable {
        ("no-variables", "conditions do not support variables")
    } else if call {
        ("no-functions", "conditions do not support functions")
    } else if all
        .iter()
        .any(|one| matches!(one.kind, SqlKind::Arithmetic { operator: '|', .. }))
    {
        (
            "not-an-operator",
            "`||` joins texts in SQL, and conditions do not support that",
        )
    } else if arithmetic {
        ("not-an-operator", "conditions do not support arithmetic")
    } else if all.iter().any(|one| matches!(one.kind, SqlKind::Fraction(_))) {
        ("not-whole", "numbers must be whole")
    } else {
        (
            "stray-parenthesis",
            "parentheses go around conditions and lists, not around single values",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Aim;
    use crate::policy::parse::parse_for;

    /// A clause with the advice for its first mistake in the place of what that is about.
    pub(super) fn as_advised(clause: &str, aim: Aim) -> String {
        let problem = parse_for(clause, aim).mistakes.remove(0);
        let hint = problem.hint.expect("a hint");
        let advice = hint.strip_prefix("write `").and_then(|hint| hint.strip_suffix('`'));
        let mut better = clause.to_owned();
        better.replace_range(problem.at, advice.expect(&hint));
        better
    }
}
