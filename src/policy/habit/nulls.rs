//! NVL around an amount or a date: `nvl(idle, 0) > 4h` is `idle > 4h`, and `nvl(idle, 999999) > 4h` includes NULL.
//!
//! The comparison is read twice: without the NVL, and with the replacement in place of the column.

use super::linear::{Sum, holds, one_column};
use super::{Aim, Predicate, Sql, SqlKind, linear, rounding};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::{Column, Kind};

/// What stands in the place of an NVL.
#[derive(Clone, Copy)]
enum Instead {
    Column,
    Default,
}

/// The operand with its NVL replaced, and how many it had.
fn without(sql: &Sql, instead: Instead) -> (Sql, usize) {
    let at = sql.at.clone();
    let (kind, count) = match &sql.kind {
        SqlKind::Call { name, arguments } if matches!(name.as_str(), "nvl" | "coalesce") && arguments.len() == 2 => {
            let one = match instead {
                Instead::Column => &arguments[0],
                Instead::Default => &arguments[1],
            };
            return (one.clone(), 1);
        }
        SqlKind::Call { name, arguments } => {
            let (arguments, counts): (Vec<Sql>, Vec<usize>) =
                arguments.iter().map(|argument| without(argument, instead)).unzip();
            let name = name.clone();
            (SqlKind::Call { name, arguments }, counts.iter().sum())
        }
        SqlKind::Group(members) => {
            let (members, counts): (Vec<Sql>, Vec<usize>) = members.iter().map(|one| without(one, instead)).unzip();
            (SqlKind::Group(members), counts.iter().sum())
        }
        SqlKind::Arithmetic { left, operator, right } => {
            let ((left, of_left), (right, of_right)) = (without(left, instead), without(right, instead));
            let kind = SqlKind::Arithmetic {
                left: Box::new(left),
                operator: *operator,
                right: Box::new(right),
            };
            (kind, of_left + of_right)
        }
        other => (other.clone(), 0),
    };
    (Sql { at, kind }, count)
}

/// The same comparison in the policy language.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool, aim: Aim) -> Option<String> {
    let (subject, count) = without(left, Instead::Column);
    if count != 1 {
        return None;
    }
    let (default, _) = without(left, Instead::Default);
    let compared = |operator: Comparison, right: &Sql| {
        let (column, factor) = one_column(&Sum::of(&subject)?.add(&Sum::of(right)?, -1.0))?;
        holds(
            &Sum::of(&default)?.add(&Sum::of(right)?, -1.0),
            operator,
            column,
            factor,
        )
    };
    let (plain, null) = match form {
        Predicate::Compare(operator, right) => (
            linear::counterpart(&subject, form, negated).or_else(|| rounding::counterpart(&subject, form, negated))?,
            compared(operator, right)?,
        ),
        Predicate::Between(low, high) => (
            linear::counterpart(&subject, form, negated)?,
            compared(Comparison::GreaterOrEqual, low)? && compared(Comparison::LessOrEqual, high)?,
        ),
        Predicate::In(values) if !values.is_empty() => {
            let equal: Option<Vec<bool>> = values.iter().map(|one| compared(Comparison::Equal, one)).collect();
            (list(&subject, values, negated)?, equal?.contains(&true))
        }
        Predicate::In(_) | Predicate::Like(..) | Predicate::Matches(_) | Predicate::Null | Predicate::Alone => {
            return None;
        }
    };
    let name = plain
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '#')))
        .find_map(Column::named)?
        .name();
    Some(match null != negated {
        true => format!("({name} is null or {plain})"),
        false if aim != Aim::Acts => format!("({name} is not null and {plain})"),
        false => plain,
    })
}

fn list(subject: &Sql, values: &[Sql], negated: bool) -> Option<String> {
    let SqlKind::Plain(TermKind::Word(word)) = &subject.kind else {
        return None;
    };
    let column = Column::named(word).filter(|column| column.kind() == Kind::Number)?;
    let numbers: Option<Vec<String>> = values
        .iter()
        .map(|value| match &value.kind {
            SqlKind::Plain(TermKind::Number(number)) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    let not = if negated { "not " } else { "" };
    Some(format!("{} {not}in ({})", column.name(), numbers?.join(", ")))
}
