//! Evaluates conditions over snapshots: which sessions a WHERE clause selects, and why.
//!
//! A condition is evaluated term by term over whole columns. A term on a text judges each distinct text of the column once and
//! looks up the result of each row by its code. A term on a number is one pass over packed integers. The same evaluator judges
//! the one session that is read again before a statement is sent, as a snapshot with a single row. So a condition cannot have
//! two meanings.
//!
//! Invariants:
//! - A term on a missing column is UNKNOWN, even `IS NULL`.
//! - A term on NULL is UNKNOWN, except `IS NULL`.
//! - A term on a column that is never NULL ([`Column::is_never_null`]) is UNKNOWN where it has no value, even `IS NULL`.
//! - A term on a text that is not completely known (it has U+FFFD in place of bytes that could not be read) is UNKNOWN, except
//!   `IS NULL`, which is FALSE.
//! - Both sides of a comparison are of the same kind; `check` refuses everything else.

pub(crate) mod reason;
pub mod truth;

use std::cmp::Ordering;
use std::rc::Rc;

use crate::decide::evaluate::truth::{Truth, Truths};
use crate::policy::condition::{Comparison, Condition, Constant, Operand};
use crate::session::column::{Column, Columns};
use crate::session::snapshot::{Field, Snapshot};
use crate::session::store::{Codes, Numbers, Texts};

/// The truth of a condition for each session of a snapshot.
#[must_use]
pub fn evaluate(condition: &Condition, snapshot: &Snapshot) -> Truths {
    Rc::unwrap_or_clone(Evaluation::of(snapshot).truths(condition))
}

/// Several conditions over one snapshot. A term that several of them have, as most have `STATUS = 'INACTIVE'`, is evaluated once.
#[derive(Debug)]
pub struct Evaluation<'a> {
    snapshot: &'a Snapshot,
    terms: Vec<(Condition, Rc<Truths>)>,
}

impl<'a> Evaluation<'a> {
    /// Of a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Evaluation<'a> {
        Evaluation {
            snapshot,
            terms: Vec::new(),
        }
    }

    /// The truth of a condition for each session.
    pub fn truths(&mut self, condition: &Condition) -> Rc<Truths> {
        match condition {
            // All parts are evaluated: UNKNOWN and FALSE both spare, but a NOT around this AND distinguishes them.
            Condition::And(parts) => self.combined(parts, Truth::True),
            Condition::Or(parts) => self.combined(parts, Truth::False),
            Condition::Not(inner) => Rc::new(!Rc::unwrap_or_clone(self.truths(inner))),
            Condition::Phrase(phrase) => self.truths(&phrase.meaning()),
            Condition::Named(_, inner) => self.truths(inner),
            Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_) => self.term(condition),
        }
    }

    /// AND or OR of the parts, which without parts has this truth.
    fn combined(&mut self, parts: &[Condition], of_none: Truth) -> Rc<Truths> {
        let truths: Vec<Rc<Truths>> = parts.iter().map(|part| self.truths(part)).collect();
        match &*truths {
            [only] => Rc::clone(only),
            several if of_none == Truth::True => Rc::new(Truths::all_of(self.snapshot.rows(), several)),
            several => Rc::new(Truths::any_of(self.snapshot.rows(), several)),
        }
    }

    fn term(&mut self, term: &Condition) -> Rc<Truths> {
        if let Some((_, truths)) = self.terms.iter().find(|(known, _)| known.is_same_term(term)) {
            return Rc::clone(truths);
        }
        let truths = Rc::new(evaluate_term(term, self.snapshot));
        self.terms.push((term.clone(), Rc::clone(&truths)));
        truths
    }
}

fn evaluate_term(term: &Condition, snapshot: &Snapshot) -> Truths {
    match term {
        Condition::Compare { left, op, right } => compare(snapshot, left, *op, right),
        Condition::In { operand, values, .. } => {
            let texts: Option<Vec<&str>> = values.iter().map(Constant::as_text).collect();
            if let Some(texts) = texts {
                return test_text(snapshot, operand, |text| texts.contains(&text));
            }
            let none = Truths::all(snapshot.rows(), Truth::False);
            values.iter().fold(none, |so_far, value| {
                let value = Operand::Literal(value.clone());
                so_far.or(&compare(snapshot, operand, Comparison::Equal, &value))
            })
        }
        Condition::Between { operand, low, high } => compare(snapshot, operand, Comparison::GreaterOrEqual, low)
            .and(&compare(snapshot, operand, Comparison::LessOrEqual, high)),
        Condition::Like { operand, pattern } => test_text(snapshot, operand, |text| pattern.matches(text)),
        Condition::Matches { operand, pattern } => test_text(snapshot, operand, |text| pattern.is_match(text)),
        Condition::IsNull(operand) => is_null(snapshot, operand),
        Condition::And(_) | Condition::Or(_) | Condition::Not(_) | Condition::Phrase(_) | Condition::Named(..) => {
            unreachable!("what is made of terms is no term")
        }
    }
}

/// The columns that a condition uses, those of phrases included.
#[must_use]
pub fn columns_of(condition: &Condition) -> Columns {
    let operands = |operands: &[&Operand]| {
        operands
            .iter()
            .filter_map(|operand| match operand {
                Operand::Column(column) => Some(*column),
                Operand::Literal(_) => None,
            })
            .collect()
    };
    match condition {
        Condition::And(terms) | Condition::Or(terms) => terms
            .iter()
            .fold(Columns::NONE, |so_far, term| so_far.union(columns_of(term))),
        Condition::Not(inner) => columns_of(inner),
        Condition::Named(_, inner) => columns_of(inner),
        Condition::Phrase(phrase) => columns_of(&phrase.meaning()),
        Condition::Compare { left, right, .. } => operands(&[left, right]),
        Condition::Between { operand, low, high } => operands(&[operand, low, high]),
        Condition::In { operand, .. }
        | Condition::Like { operand, .. }
        | Condition::Matches { operand, .. }
        | Condition::IsNull(operand) => operands(&[operand]),
    }
}

/// The columns whose values leave the condition UNKNOWN for the only session of a snapshot; none where it is not UNKNOWN.
#[must_use]
pub(crate) fn unknown_columns(condition: &Condition, one: &Snapshot) -> Columns {
    if evaluate(condition, one).get(0) != Truth::Unknown {
        return Columns::NONE;
    }
    match condition {
        Condition::And(terms) | Condition::Or(terms) => terms
            .iter()
            .fold(Columns::NONE, |so_far, term| so_far.union(unknown_columns(term, one))),
        Condition::Not(inner) => unknown_columns(inner, one),
        Condition::Named(_, inner) => unknown_columns(inner, one),
        Condition::Phrase(phrase) => unknown_columns(&phrase.meaning(), one),
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_) => columns_of(condition)
            .iter()
            .filter(|column| match one.field(0, *column) {
                Field::Missing | Field::Null => true,
                Field::Text(text) => !is_whole(text),
                Field::Number(_) => false,
            })
            .collect(),
    }
}

/// An operand of a comparison, in the unit of the comparison.
enum Side<'a> {
    Missing,
    Texts(&'a Texts),
    Text(&'a str),
    Numbers(&'a Numbers, i64),
    Number(i64),
}

fn side<'a>(snapshot: &'a Snapshot, operand: &'a Operand, per_second: i64) -> Side<'a> {
    match operand {
        Operand::Column(column) => match (snapshot.texts(*column), snapshot.numbers(*column)) {
            (Some(texts), _) => Side::Texts(texts),
            (None, Some(numbers)) => Side::Numbers(numbers, per_second / column.per_second()),
            (None, None) => Side::Missing,
        },
        Operand::Literal(Constant::Text(text)) => Side::Text(text),
        Operand::Literal(Constant::Number(number) | Constant::Size(number)) => Side::Number(*number),
        Operand::Literal(Constant::Duration(seconds)) => Side::Number(seconds.saturating_mul(per_second)),
    }
}

/// The finer unit of two operands, in which they are compared: microseconds, if one of them is in microseconds.
fn finest(left: &Operand, right: &Operand) -> i64 {
    let of = |operand: &Operand| match operand {
        Operand::Column(column) => column.per_second(),
        Operand::Literal(_) => 1,
    };
    of(left).max(of(right))
}

fn compare(snapshot: &Snapshot, left: &Operand, op: Comparison, right: &Operand) -> Truths {
    let rows = snapshot.rows();
    let per_second = finest(left, right);
    match (side(snapshot, left, per_second), side(snapshot, right, per_second)) {
        (Side::Texts(texts), Side::Text(text)) => by_word(texts, rows, |word| op.holds(word.cmp(text))),
        (Side::Text(text), Side::Texts(texts)) => by_word(texts, rows, |word| op.holds(text.cmp(word))),
        (Side::Texts(one), Side::Texts(two)) => Truths::from_fn(rows, |row| match (one.get(row), two.get(row)) {
            (Some(one), Some(two)) if is_whole(one) && is_whole(two) => Truth::known(op.holds(one.cmp(two))),
            (Some(_), Some(_)) | (None, _) | (_, None) => Truth::Unknown,
        }),
        (Side::Text(one), Side::Text(two)) => Truths::all(rows, Truth::known(op.holds(one.cmp(two)))),
        (Side::Numbers(numbers, 1), Side::Number(number)) => by_number(numbers, rows, op, number),
        (Side::Number(number), Side::Numbers(numbers, 1)) => by_number(numbers, rows, op.mirrored(), number),
        (Side::Numbers(numbers, scale), Side::Number(number)) => Truths::from_fn(rows, |row| {
            numbers.get(row).map_or(Truth::Unknown, |value| {
                Truth::known(op.holds(scaled(value, scale).cmp(&number)))
            })
        }),
        (Side::Number(number), Side::Numbers(numbers, scale)) => Truths::from_fn(rows, |row| {
            numbers.get(row).map_or(Truth::Unknown, |value| {
                Truth::known(op.holds(number.cmp(&scaled(value, scale))))
            })
        }),
        (Side::Numbers(one, one_scale), Side::Numbers(two, two_scale)) => {
            Truths::from_fn(rows, |row| match (one.get(row), two.get(row)) {
                (Some(one), Some(two)) => Truth::known(op.holds(scaled(one, one_scale).cmp(&scaled(two, two_scale)))),
                (None, _) | (_, None) => Truth::Unknown,
            })
        }
        (Side::Number(one), Side::Number(two)) => Truths::all(rows, Truth::known(op.holds(one.cmp(&two)))),
        (Side::Missing, _) | (_, Side::Missing) => Truths::all(rows, Truth::Unknown),
        (Side::Texts(_) | Side::Text(_), Side::Numbers(..) | Side::Number(_))
        | (Side::Numbers(..) | Side::Number(_), Side::Texts(_) | Side::Text(_)) => {
            unreachable!("`check` refuses a comparison of a text with a number")
        }
    }
}

fn scaled(value: i64, scale: i64) -> i64 {
    value.saturating_mul(scale)
}

fn by_number(numbers: &Numbers, rows: usize, op: Comparison, number: i64) -> Truths {
    match numbers {
        Numbers::Narrow(values) => {
            assert_eq!(values.len(), rows, "a column has a value for each row");
            let (low, high) = (i64::from(Numbers::NARROW_NULL), i64::from(i32::MAX));
            match i32::try_from(number) {
                Ok(number) if number != Numbers::NARROW_NULL => ordered(values, Numbers::NARROW_NULL, op, number),
                // The number is outside the range of the column, so all values are on the same side of it.
                Ok(_) | Err(_) => {
                    let ordering = if number <= low {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    };
                    assert!(
                        number <= low || number > high,
                        "a number that fits into 32 bits is compared as one"
                    );
                    packed(values, Numbers::NARROW_NULL, |_| op.holds(ordering))
                }
            }
        }
        Numbers::Wide(values) => {
            assert_eq!(values.len(), rows, "a column has a value for each row");
            ordered(values, Numbers::WIDE_NULL, op, number)
        }
    }
}

/// A loop for each operator, so that the operator is not matched again for each value.
fn ordered<T: Copy + Ord>(values: &[T], null: T, op: Comparison, number: T) -> Truths {
    match op {
        Comparison::Equal => packed(values, null, |value| value == number),
        Comparison::NotEqual => packed(values, null, |value| value != number),
        Comparison::Less => packed(values, null, |value| value < number),
        Comparison::LessOrEqual => packed(values, null, |value| value <= number),
        Comparison::Greater => packed(values, null, |value| value > number),
        Comparison::GreaterOrEqual => packed(values, null, |value| value >= number),
    }
}

fn packed<T: Copy + PartialEq>(values: &[T], null: T, holds: impl Fn(T) -> bool) -> Truths {
    if let Some(truths) = Truths::without_null(values, null, &holds) {
        return truths;
    }
    Truths::of(values, |value| {
        if value == null {
            Truth::Unknown
        } else {
            Truth::known(holds(value))
        }
    })
}

/// Judges each distinct text once, and looks up the result of each row.
fn by_word(texts: &Texts, rows: usize, holds: impl Fn(&str) -> bool) -> Truths {
    assert_eq!(texts.rows(), rows, "a column has a value for each row");
    let judged = texts.judged(|word| match word {
        Some(word) if is_whole(word) => Truth::known(holds(word)),
        Some(_) | None => Truth::Unknown,
    });
    looked_up(texts, &judged)
}

/// Whether a text is completely known: bytes that could not be read as characters are replaced by U+FFFD.
pub(crate) fn is_whole(text: &str) -> bool {
    !text.contains(char::REPLACEMENT_CHARACTER)
}

/// The truth of each row, looked up by the code of its text.
fn looked_up(texts: &Texts, verdicts: &[Truth]) -> Truths {
    if !verdicts.contains(&Truth::Unknown) {
        let holds: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Truth::True).collect();
        return match texts.codes() {
            Codes::Short(codes) => Truths::of_known(codes, |code| holds[usize::from(code)]),
            Codes::Long(codes) => Truths::of_known(codes, |code| holds[code as usize]),
        };
    }
    match texts.codes() {
        Codes::Short(codes) => Truths::of(codes, |code| verdicts[usize::from(code)]),
        Codes::Long(codes) => Truths::of(codes, |code| verdicts[code as usize]),
    }
}

fn test_text(snapshot: &Snapshot, operand: &Operand, holds: impl Fn(&str) -> bool) -> Truths {
    let rows = snapshot.rows();
    match side(snapshot, operand, 1) {
        Side::Missing => Truths::all(rows, Truth::Unknown),
        Side::Texts(texts) => by_word(texts, rows, holds),
        Side::Text(text) => Truths::all(rows, Truth::known(holds(text))),
        Side::Numbers(..) | Side::Number(_) => {
            unreachable!("`check` refuses LIKE and MATCHES on anything but a text")
        }
    }
}

fn is_null(snapshot: &Snapshot, operand: &Operand) -> Truths {
    let rows = snapshot.rows();
    let never = matches!(operand, Operand::Column(column) if column.is_never_null());
    let of = |has_none: bool| match (has_none, never) {
        (true, true) => Truth::Unknown,
        (has_none, _) => Truth::known(has_none),
    };
    match side(snapshot, operand, 1) {
        Side::Missing => Truths::all(rows, Truth::Unknown),
        Side::Texts(texts) => looked_up(texts, &texts.judged(|word| of(word.is_none()))),
        Side::Numbers(Numbers::Narrow(values), _) => Truths::of(values, |value| of(value == Numbers::NARROW_NULL)),
        Side::Numbers(Numbers::Wide(values), _) => Truths::of(values, |value| of(value == Numbers::WIDE_NULL)),
        Side::Text(_) | Side::Number(_) => Truths::all(rows, Truth::False),
    }
}

/// The columns of a condition that the snapshot does not have. Reports mention them, because their terms are UNKNOWN.
#[must_use]
pub(crate) fn missing_columns(condition: &Condition, snapshot: &Snapshot) -> Vec<Column> {
    columns_of(condition)
        .iter()
        .filter(|column| !snapshot.has(*column))
        .collect()
}
