//! Rounded ages and amounts: `trunc(last_call_et/3600) > 4` is true from five hours on, so it is `last_call_et >= 5h`.

use super::linear::{Sum, literal, one_column};
use super::{Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::Column;

/// How a function makes a number whole.
#[derive(Clone, Copy)]
enum Rounding {
    /// FLOOR, and TRUNC: ages and amounts are not negative.
    Down,
    Up,
    Nearest,
}

/// A column in a unit, rounded.
struct Rounded {
    column: Column,
    /// The column's value for a result of 1, and for 0.
    factor: f64,
    origin: f64,
    rounding: Rounding,
    /// Ten to the number of digits that are kept.
    scale: f64,
}

/// One end of a range of results.
type RangeEnd = (Comparison, f64);

/// Whether a function that rounds is the whole of one side.
pub(super) fn is_rounded(sql: &Sql) -> bool {
    match &sql.kind {
        SqlKind::Group(members) => members.len() == 1 && is_rounded(&members[0]),
        SqlKind::Call { name, .. } => rounding(name).is_some(),
        _ => false,
    }
}

fn rounding(name: &str) -> Option<Rounding> {
    match name {
        "trunc" | "floor" => Some(Rounding::Down),
        "ceil" => Some(Rounding::Up),
        "round" => Some(Rounding::Nearest),
        _ => None,
    }
}

impl Rounded {
    fn of(sql: &Sql) -> Option<Rounded> {
        match &sql.kind {
            SqlKind::Group(members) if members.len() == 1 => Rounded::of(&members[0]),
            SqlKind::Call { name, arguments } => {
                let rounding = rounding(name)?;
                let (inner, scale) = match arguments.as_slice() {
                    [inner] => (inner, 1.0),
                    [inner, digits] => (inner, 10_f64.powi(few(digits)?)),
                    _ => return None,
                };
                let sum = Sum::of(inner)?;
                let (column, factor) = one_column(&sum)?;
                let origin = super::linear::bound(&sum, column, factor)?;
                (factor > 0.0).then_some(Rounded {
                    column,
                    factor,
                    origin,
                    rounding,
                    scale,
                })
            }
            _ => None,
        }
    }

    /// The lowest number that is rounded to this one, and the lowest that is rounded to the next.
    fn range_of(&self, result: f64) -> (RangeEnd, RangeEnd) {
        let step = 1.0 / self.scale;
        match self.rounding {
            Rounding::Down => ((Comparison::GreaterOrEqual, result), (Comparison::Less, result + step)),
            Rounding::Up => ((Comparison::Greater, result - step), (Comparison::LessOrEqual, result)),
            Rounding::Nearest => (
                (Comparison::GreaterOrEqual, result - step / 2.0),
                (Comparison::Less, result + step / 2.0),
            ),
        }
    }

    /// The ends of the numbers for which the comparison with `number` is true.
    fn ends(&self, operator: Comparison, number: f64) -> Option<Vec<RangeEnd>> {
        let scaled = number * self.scale;
        if (scaled - scaled.round()).abs() > 1e-6 {
            return None;
        }
        let (low, high) = self.range_of(number);
        match operator {
            Comparison::Equal => Some(vec![low, high]),
            Comparison::GreaterOrEqual => Some(vec![low]),
            Comparison::LessOrEqual => Some(vec![high]),
            Comparison::Greater => Some(vec![beyond(high)]),
            Comparison::Less => Some(vec![beyond(low)]),
            Comparison::NotEqual => None,
        }
    }

    fn written(&self, ends: &[RangeEnd]) -> Option<String> {
        let name = self.column.name();
        let value = |number: f64| self.origin + number * self.factor;
        // Ages and amounts are never below zero.
        let needed: Vec<&RangeEnd> = ends
            .iter()
            .filter(|(operator, number)| {
                let low = matches!(operator, Comparison::Greater | Comparison::GreaterOrEqual);
                !(low && (value(*number) < 0.0 || *operator == Comparison::GreaterOrEqual && value(*number) == 0.0))
            })
            .collect();
        let parts: Option<Vec<String>> = needed
            .iter()
            .map(|(operator, number)| {
                Some(format!(
                    "{name} {} {}",
                    operator.sql(),
                    literal(self.column, *operator, value(*number))?
                ))
            })
            .collect();
        match parts?.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => Some(format!("({})", several.join(" and "))),
        }
    }
}

/// The number of digits to keep.
fn few(digits: &Sql) -> Option<i32> {
    match digits.kind {
        SqlKind::Plain(TermKind::Number(digits @ 0..=6)) => i32::try_from(digits).ok(),
        _ => None,
    }
}

/// The end of the numbers beyond this end of a range.
const fn beyond((operator, number): RangeEnd) -> RangeEnd {
    let other = match operator {
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
        same @ (Comparison::Equal | Comparison::NotEqual) => same,
    };
    (other, number)
}

/// The same comparison in the policy language, where one side is rounded and the other is a number.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool) -> Option<String> {
    let number = |sql: &Sql| Sum::of(sql)?.number();
    match form {
        Predicate::Compare(operator, right) if is_rounded(left) => {
            let rounded = Rounded::of(left)?;
            rounded.written(&rounded.ends(operator, number(right)?)?)
        }
        Predicate::Compare(operator, right) if is_rounded(right) => {
            let rounded = Rounded::of(right)?;
            rounded.written(&rounded.ends(operator.mirrored(), number(left)?)?)
        }
        Predicate::Between(low, high) if is_rounded(left) => {
            let rounded = Rounded::of(left)?;
            let mut ends = rounded.ends(Comparison::GreaterOrEqual, number(low)?)?;
            ends.extend(rounded.ends(Comparison::LessOrEqual, number(high)?)?);
            let written = rounded.written(&ends)?;
            Some(if negated { format!("not {written}") } else { written })
        }
        Predicate::Compare(..)
        | Predicate::Between(..)
        | Predicate::In(_)
        | Predicate::Like(..)
        | Predicate::Matches(_)
        | Predicate::Null
        | Predicate::Alone => None,
    }
}
