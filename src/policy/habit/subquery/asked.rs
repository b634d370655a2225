//! What a comparison with a subquery asks: whether the subquery has rows, none, or how many.
//!
//! A comparison with a count, or with the constant that a subquery selects, is tried with each number of rows.

use super::read::{Selected, Subquery};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::policy::habit::{Aim, Predicate, Sql, SqlKind};

/// The most rows with which a comparison is tried.
const MOST_ROWS: i64 = 100;

/// For how many rows of the subquery the comparison is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Some,
    None,
    /// This many, two or more.
    AtLeast(i64),
    /// Fewer than this many, two or more.
    FewerThan(i64),
}

impl Asked {
    pub(super) const fn opposite(self) -> Asked {
        match self {
            Asked::Some => Asked::None,
            Asked::None => Asked::Some,
            Asked::AtLeast(rows) => Asked::FewerThan(rows),
            Asked::FewerThan(rows) => Asked::AtLeast(rows),
        }
    }

    /// Whether it is true of sessions that have rows.
    pub(super) const fn is_positive(self) -> bool {
        matches!(self, Asked::Some | Asked::AtLeast(_))
    }
}

/// A comparison with a subquery.
#[derive(Debug)]
pub(super) struct RowQuestion {
    pub(super) asked: Asked,
    /// The columns whose values are looked for among those that are selected, as in `sid in (select ...)`: each of them NULL makes
    /// the comparison UNKNOWN.
    pub(super) members: Option<Vec<String>>,
}

fn column(sql: &Sql) -> Option<String> {
    match &sql.kind {
        SqlKind::Plain(TermKind::Word(word)) => Some(word.to_lowercase()),
        _ => None,
    }
}

fn columns(sql: &Sql) -> Option<Vec<String>> {
    match &sql.kind {
        SqlKind::Group(members) => members.iter().map(column).collect(),
        _ => Some(vec![column(sql)?]),
    }
}

/// How the subquery is quantified: `= any (...)`.
fn quantifier(sql: &Sql) -> Option<&str> {
    match &sql.kind {
        SqlKind::Query(_) => Some(""),
        SqlKind::Call { name, arguments } => match arguments.as_slice() {
            [
                Sql {
                    kind: SqlKind::Query(_),
                    ..
                },
            ] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// What a comparison asks of the subquery that it contains.
pub(super) fn question(
    left: &Sql,
    form: Predicate<'_>,
    negated: bool,
    aim: Aim,
    query: Option<&Subquery>,
) -> Option<RowQuestion> {
    let member = |sql: &Sql, asked: Asked| {
        Some(RowQuestion {
            asked,
            members: Some(columns(sql)?),
        })
    };
    let question = match form {
        Predicate::Alone if matches!(&left.kind, SqlKind::Call { name, .. } if name == "exists") => Some(RowQuestion {
            asked: Asked::Some,
            members: None,
        }),
        Predicate::In([one]) if matches!(one.kind, SqlKind::Query(_)) => member(left, Asked::Some),
        Predicate::Compare(operator, right) => {
            let (subject, quantifier) = match (quantifier(left), quantifier(right)) {
                (Some(quantifier), None) if column(right).is_some() => (right, Some(quantifier)),
                (None, quantifier) => (left, quantifier),
                _ => (left, None),
            };
            match (operator, quantifier) {
                (Comparison::Equal, Some("" | "any" | "some")) => member(subject, Asked::Some),
                (Comparison::NotEqual, Some("" | "all")) => member(subject, Asked::None),
                _ => None,
            }
        }
        _ => None,
    };
    match question {
        Some(RowQuestion { asked, members }) => Some(RowQuestion {
            asked: if negated { asked.opposite() } else { asked },
            members,
        }),
        None => Some(RowQuestion {
            asked: by_rows(left, form, negated, aim, &query?.selected)?,
            members: None,
        }),
    }
}

fn number(sql: &Sql) -> Option<i64> {
    match sql.kind {
        SqlKind::Plain(TermKind::Number(number)) => Some(number),
        _ => None,
    }
}

/// The value of an operand when its subquery has so many rows; the inner `None` is NULL.
fn value(sql: &Sql, selected: &Selected, rows: i64) -> Option<Option<i64>> {
    match &sql.kind {
        SqlKind::Query(_) => match selected {
            Selected::Count => Some(Some(rows)),
            Selected::Number(number) => Some((rows > 0).then_some(*number)),
            Selected::Columns(_) | Selected::Other => None,
        },
        SqlKind::Group(members) if members.len() == 1 => value(&members[0], selected, rows),
        SqlKind::Call { name, arguments } if matches!(name.as_str(), "nvl" | "coalesce") => {
            let [inner, default] = arguments.as_slice() else {
                return None;
            };
            let inner = value(inner, selected, rows)?;
            Some(inner.or(Some(number(default)?)))
        }
        _ => number(sql).map(Some),
    }
}

/// The comparison tried with each number of rows.
fn by_rows(left: &Sql, form: Predicate<'_>, negated: bool, aim: Aim, selected: &Selected) -> Option<Asked> {
    let constants = std::iter::once(left)
        .chain(form.operands())
        .flat_map(Sql::all)
        .filter_map(number);
    let most = constants.max().unwrap_or(0).max(0).saturating_add(2);
    if most > MOST_ROWS {
        return None;
    }
    let truths: Option<Vec<bool>> = (0..=most)
        .map(|rows| {
            let value = |sql: &Sql| value(sql, selected, rows);
            let subject = value(left)?;
            let compared = |operator: Comparison, other: &Sql| {
                let other = value(other)?;
                Some(subject.zip(other).map(|(one, other)| operator.holds(one.cmp(&other))))
            };
            let truth = match form {
                Predicate::Compare(operator, right) => compared(operator, right)?,
                Predicate::Between(low, high) => compared(Comparison::GreaterOrEqual, low)?
                    .zip(compared(Comparison::LessOrEqual, high)?)
                    .map(|(low, high)| low && high),
                Predicate::In(values) if !values.is_empty() => {
                    let each: Option<Vec<Option<bool>>> =
                        values.iter().map(|one| compared(Comparison::Equal, one)).collect();
                    each?.into_iter().try_fold(false, |any, one| Some(any || one?))
                }
                Predicate::Null => Some(subject.is_none()),
                Predicate::In(_) | Predicate::Like(..) | Predicate::Matches(_) | Predicate::Alone => return None,
            };
            match (truth.map(|truth| truth != negated), aim) {
                (Some(truth), _) => Some(truth),
                (None, Aim::Acts) => Some(false),
                (None, Aim::Spares) => Some(true),
                (None, Aim::Either) => None,
            }
        })
        .collect();
    let truths = truths?;
    let first = truths.iter().position(|truth| *truth != truths[0])?;
    if truths[first..].iter().any(|truth| *truth == truths[0]) {
        return None;
    }
    let rows = i64::try_from(first).ok()?;
    Some(match (truths[0], rows) {
        (false, 1) => Asked::Some,
        (true, 1) => Asked::None,
        (false, rows) => Asked::AtLeast(rows),
        (true, rows) => Asked::FewerThan(rows),
    })
}
