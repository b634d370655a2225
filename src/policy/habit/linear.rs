//! Arithmetic on ages and amounts: `(sysdate - logon_time) * 24 > 20` is `connected > 20h`.
//!
//! Each side is read as a sum of multiples of columns, ages and dates. Everything is moved to one side; if one column (or age)
//! and a constant remain, the comparison has a counterpart.

use super::{Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::quantity::{Bytes, Span};
use crate::session::column::{Column, Kind};

const DAY: f64 = 86_400.0;

/// A hundred years in seconds: a longer duration is a typing error.
const LONGEST: f64 = 100.0 * 366.0 * DAY;

/// What a sum may contain.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Atom {
    /// A column, in seconds, in bytes or as a plain number.
    Amount(Column),
    /// SYSDATE and the other functions that return the time.
    Now,
    /// A point in time, named by the column that is its age.
    Since(Column),
}

/// Multiples of atoms and a constant. Dates are in days, as in Oracle's arithmetic.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    atoms: Vec<(Atom, f64)>,
    constant: f64,
    /// The durations in the sum (`4h`, `INTERVAL '4' HOUR`), in seconds.
    seconds: f64,
}

impl Sum {
    fn constant(constant: f64) -> Sum {
        Sum {
            constant,
            ..Sum::default()
        }
    }

    fn seconds(seconds: f64) -> Sum {
        Sum {
            seconds,
            ..Sum::default()
        }
    }

    fn atom(atom: Atom, times: f64) -> Sum {
        Sum {
            atoms: vec![(atom, times)],
            ..Sum::default()
        }
    }

    pub(super) fn add(mut self, other: &Sum, times: f64) -> Sum {
        for (atom, own) in &other.atoms {
            match self.atoms.iter_mut().find(|(known, _)| known == atom) {
                Some((_, sum)) => *sum += own * times,
                None => self.atoms.push((*atom, own * times)),
            }
        }
        self.atoms.retain(|(_, times)| times.abs() > 1e-9);
        self.constant += other.constant * times;
        self.seconds += other.seconds * times;
        self
    }

    fn times(mut self, factor: f64) -> Sum {
        self.atoms.iter_mut().for_each(|(_, times)| *times *= factor);
        self.constant *= factor;
        self.seconds *= factor;
        self
    }

    /// The value of a sum that is a plain number.
    pub(super) fn number(&self) -> Option<f64> {
        (self.atoms.is_empty() && self.seconds == 0.0).then_some(self.constant)
    }

    pub(super) fn of(sql: &Sql) -> Option<Sum> {
        match &sql.kind {
            SqlKind::Plain(TermKind::Number(number)) => Some(Sum::constant(whole(*number))),
            SqlKind::Plain(TermKind::Duration(seconds)) => Some(Sum::seconds(whole(*seconds))),
            SqlKind::Plain(TermKind::Size(bytes)) => Some(Sum::constant(whole(*bytes))),
            SqlKind::Plain(TermKind::Word(word)) => of_word(word),
            SqlKind::Fraction(number) => Some(Sum::constant(*number)),
            SqlKind::Interval(seconds) => Some(Sum::seconds(*seconds)),
            SqlKind::Group(members) if members.len() == 1 => Sum::of(&members[0]),
            SqlKind::Arithmetic { left, operator, right } => {
                of_arithmetic(&Sum::of(left)?, *operator, &Sum::of(right)?)
            }
            SqlKind::Call { name, arguments } => of_call(name, arguments),
            _ => None,
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "constants of a condition; a hint rounds to whole seconds and bytes anyway"
)]
fn whole(number: i64) -> f64 {
    number as f64
}

fn of_word(word: &str) -> Option<Sum> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "sysdate" | "systimestamp" | "current_date" | "current_timestamp" | "localtimestamp" => {
            return Some(Sum::atom(Atom::Now, 1.0));
        }
        "pga_alloc_mem" => return Some(Sum::atom(Atom::Amount(Column::Pga), 1.0)),
        "start_date" | "start_time" => return Some(Sum::atom(Atom::Since(Column::TransactionAge), 1.0)),
        "used_urec" => return Some(Sum::atom(Atom::Amount(Column::UndoRecords), 1.0)),
        "wait_time_micro" => return Some(Sum::atom(Atom::Amount(Column::Waited), 1e6)),
        _ => {}
    }
    let column = Column::named(word)?;
    let atom = match column.kind() {
        Kind::Duration | Kind::Size | Kind::Number => Atom::Amount(column),
        Kind::Time if column == Column::LogonTime => Atom::Since(Column::Connected),
        Kind::Time if column == Column::SqlExecStart => Atom::Since(Column::StatementAge),
        Kind::Time | Kind::Text => return None,
    };
    Some(Sum::atom(atom, 1.0))
}

fn of_arithmetic(left: &Sum, operator: char, right: &Sum) -> Option<Sum> {
    match operator {
        '+' => Some(left.clone().add(right, 1.0)),
        '-' => Some(left.clone().add(right, -1.0)),
        '*' => match (left.number(), right.number()) {
            (_, Some(factor)) => Some(left.clone().times(factor)),
            (Some(factor), None) => Some(right.clone().times(factor)),
            (None, None) => None,
        },
        '/' => right
            .number()
            .filter(|divisor| *divisor != 0.0)
            .map(|divisor| left.clone().times(1.0 / divisor)),
        _ => None,
    }
}

fn of_call(name: &str, arguments: &[Sql]) -> Option<Sum> {
    match (name, arguments) {
        ("to_number", [inner, ..]) => Sum::of(inner),
        ("abs", [inner]) => absolute(Sum::of(inner)?),
        ("numtodsinterval", [number, unit]) => {
            let SqlKind::Plain(TermKind::Text(unit)) = &unit.kind else {
                return None;
            };
            interval(&Sum::of(number)?, seconds_of(unit)?)
        }
        _ => None,
    }
}

/// The absolute value of an age or an amount, which is never below zero; of a difference there is no sum.
fn absolute(sum: Sum) -> Option<Sum> {
    let (column, factor) = one_column(&sum)?;
    let plain = sum.constant == 0.0 && sum.seconds == 0.0 && matches!(column.kind(), Kind::Duration | Kind::Size);
    plain.then(|| if factor < 0.0 { sum.times(-1.0) } else { sum })
}

/// A number of units as an interval. Like a date it is in days.
fn interval(number: &Sum, unit: f64) -> Option<Sum> {
    let amounts = number.atoms.iter().all(|(atom, _)| match atom {
        Atom::Amount(column) => column.kind() == Kind::Duration && column.per_second() == 1,
        Atom::Now | Atom::Since(_) => false,
    });
    (amounts && number.seconds == 0.0).then(|| Sum {
        atoms: number
            .atoms
            .iter()
            .map(|(atom, times)| (*atom, times * unit / DAY))
            .collect(),
        constant: 0.0,
        seconds: number.constant * unit,
    })
}

/// The seconds in a unit, which has its name in SQL.
pub(crate) fn seconds_of(unit: &str) -> Option<f64> {
    match unit.to_ascii_lowercase().trim_end_matches('s') {
        "second" => Some(1.0),
        "minute" => Some(60.0),
        "hour" => Some(3_600.0),
        "day" => Some(DAY),
        _ => None,
    }
}

/// The column that a sum is a multiple of, and the factor.
pub(super) fn one_column(sum: &Sum) -> Option<(Column, f64)> {
    match sum.atoms.as_slice() {
        [(Atom::Amount(column), times)] => Some((*column, 1.0 / times)),
        [(Atom::Now, now), (Atom::Since(age), then)] | [(Atom::Since(age), then), (Atom::Now, now)]
            if (now + then).abs() < 1e-9 =>
        {
            Some((*age, DAY / now))
        }
        _ => None,
    }
}

/// A bound as a literal of the column's kind. The values are whole, so a bound between two of them is moved to one of these.
#[allow(clippy::cast_possible_truncation, reason = "a bound out of range was refused before")]
pub(super) fn literal(column: Column, operator: Comparison, bound: f64) -> Option<String> {
    let nearest = bound.round();
    let whole = if (bound - nearest).abs() < 1e-6 {
        nearest
    } else if column.kind() == Kind::Duration && column.per_second() != 1 {
        return None;
    } else {
        match operator {
            Comparison::Greater | Comparison::LessOrEqual => bound.floor(),
            Comparison::GreaterOrEqual | Comparison::Less => bound.ceil(),
            Comparison::Equal | Comparison::NotEqual => return None,
        }
    };
    match column.kind() {
        Kind::Duration if (1.0..=LONGEST).contains(&whole) => Some(Span(whole as i64).in_full().to_string()),
        Kind::Size if (1.0..=1e15).contains(&whole) => Some(Bytes(whole as i64).in_full().to_string()),
        Kind::Number if whole.abs() <= 1e15 => Some((whole as i64).to_string()),
        Kind::Duration | Kind::Size | Kind::Number | Kind::Text | Kind::Time => None,
    }
}

/// The bound in the column's unit that one side of the comparison sets, if it is a constant.
pub(super) fn bound(sum: &Sum, column: Column, factor: f64) -> Option<f64> {
    let unscaled = column.kind() == Kind::Duration && (factor.abs() == 1.0 || factor.abs() == DAY);
    if sum.seconds != 0.0 && !unscaled {
        return None;
    }
    Some(-sum.constant * factor - sum.seconds * factor.signum())
}

/// Whether the comparison of a sum of constants with zero holds, in the units of a comparison that has the factor.
pub(super) fn holds(sum: &Sum, operator: Comparison, column: Column, factor: f64) -> Option<bool> {
    if !sum.atoms.is_empty() {
        return None;
    }
    let difference = -bound(sum, column, factor.abs())?;
    Some(operator.holds(difference.partial_cmp(&0.0)?))
}

/// The same comparison in the policy language.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool) -> Option<String> {
    let not = if negated { "not " } else { "" };
    match form {
        Predicate::Compare(operator, right) => {
            let sum = Sum::of(left)?.add(&Sum::of(right)?, -1.0);
            let (column, factor) = one_column(&sum)?;
            let operator = if factor < 0.0 { operator.mirrored() } else { operator };
            let bound = literal(column, operator, bound(&sum, column, factor)?)?;
            Some(format!("{} {} {bound}", column.name(), operator.sql()))
        }
        Predicate::Between(low, high) => {
            let sum = Sum::of(left)?;
            let (column, factor) = one_column(&sum)?;
            let mut bounds = [low, high]
                .into_iter()
                .map(|side| bound(&sum.clone().add(&Sum::of(side)?, -1.0), column, factor));
            let (mut from, mut to) = (bounds.next()??, bounds.next()??);
            if factor < 0.0 {
                (from, to) = (to, from);
            }
            let from = literal(column, Comparison::GreaterOrEqual, from)?;
            let to = literal(column, Comparison::LessOrEqual, to)?;
            Some(format!("{} {not}between {from} and {to}", column.name()))
        }
        Predicate::In(_) | Predicate::Like(..) | Predicate::Matches(_) | Predicate::Null | Predicate::Alone => None,
    }
}
