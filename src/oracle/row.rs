//! One row on its way from a driver to the sink.
//!
//! Both drivers hand out rows in types of their own. A row is copied once into this buffer, which is reused for the next row,
//! and read from there in the types that the query expects. NUMBERs pass through as decimal text, the one form in which both
//! drivers return every NUMBER exactly.

use std::fmt::{Display, Write};

use crate::oracle::{Cell, CellType, whole_number};
use crate::session::time::DbTime;

#[derive(Clone, Copy, Debug)]
enum DriverValue {
    Null,
    /// A text, or a NUMBER in decimal notation: its range in the buffer's text.
    Text {
        begin: usize,
        end: usize,
    },
    Time(DbTime),
    /// A value of a type that no query asks for.
    Other,
}

/// The values of one row.
#[derive(Debug, Default)]
pub(super) struct RowBuffer {
    text: String,
    values: Vec<DriverValue>,
}

impl RowBuffer {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
    }

    pub(super) fn push_null(&mut self) {
        self.values.push(DriverValue::Null);
    }

    /// `None` is a date that no calendar has.
    pub(super) fn push_time(&mut self, time: Option<DbTime>) {
        self.values.push(time.map_or(DriverValue::Other, DriverValue::Time));
    }

    /// A value of a type that no query asks for.
    pub(super) fn push_other(&mut self) {
        self.values.push(DriverValue::Other);
    }

    /// A text or a number.
    pub(super) fn push_text(&mut self, text: impl Display) {
        let begin = self.text.len();
        write!(self.text, "{text}").expect("writing to a String does not fail");
        self.values.push(DriverValue::Text {
            begin,
            end: self.text.len(),
        });
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The row in the types that the query expects.
    ///
    /// # Errors
    /// What is wrong with a value of another type. It must not become NULL, because a condition may ask `IS NULL`.
    pub(super) fn cells<'a>(&'a self, expected: &[CellType]) -> Result<Vec<Cell<'a>>, String> {
        let cell = |(place, (expected, value)): (usize, (&CellType, &DriverValue))| {
            let cell = match (expected, value) {
                (CellType::Text, DriverValue::Text { begin, end }) => Some(shown(&self.text[*begin..*end])),
                (CellType::Number, DriverValue::Text { begin, end }) => {
                    whole_number(&self.text[*begin..*end]).map(Cell::Number)
                }
                (CellType::Time, DriverValue::Time(time)) => Some(Cell::Time(*time)),
                (CellType::Text | CellType::Number | CellType::Time, DriverValue::Null) => Some(Cell::Null),
                (CellType::Text | CellType::Number | CellType::Time, DriverValue::Other)
                | (CellType::Text | CellType::Number, DriverValue::Time(_))
                | (CellType::Time, DriverValue::Text { .. }) => None,
            };
            cell.ok_or_else(|| format!("column {} has a value that is not a {}", place + 1, expected.name()))
        };
        expected.iter().zip(&self.values).enumerate().map(cell).collect()
    }
}

/// Old Windows clients send some of their texts with a trailing NUL. Blanks stay: Oracle compares with them.
fn shown(text: &str) -> Cell<'_> {
    match text.trim_end_matches('\0') {
        "" => Cell::Null,
        text => Cell::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_what_the_query_expects() {
        let mut row = RowBuffer::default();
        row.push_text("left over");
        row.clear();
        row.push_text("web01\0");
        row.push_text("\0");
        row.push_text("BATCH ");
        row.push_text(42);
        row.push_text("18446744073709551615");
        row.push_time(Some(DbTime(8)));
        row.push_null();
        let expected = [
            CellType::Text,
            CellType::Text,
            CellType::Text,
            CellType::Number,
            CellType::Number,
            CellType::Time,
            CellType::Text,
        ];
        assert_eq!(row.len(), expected.len());
        assert_eq!(
            row.cells(&expected).expect("a row"),
            [
                Cell::Text("web01"),
                Cell::Null,
                Cell::Text("BATCH "),
                Cell::Number(42),
                Cell::Number(i64::MAX),
                Cell::Time(DbTime(8)),
                Cell::Null,
            ]
        );
    }

    #[test]
    fn a_value_of_another_type_is_an_error_and_not_null() {
        type Push = fn(&mut RowBuffer);
        let text: Push = |row| row.push_text("01-JAN-70");
        let time: Push = |row| row.push_time(Some(DbTime(7)));
        let no_date: Push = |row| row.push_time(None);
        let other: Push = RowBuffer::push_other;
        let cases = [
            (CellType::Time, text),
            (CellType::Number, text),
            (CellType::Text, time),
            (CellType::Number, time),
            (CellType::Time, no_date),
            (CellType::Time, other),
            (CellType::Text, other),
        ];
        for (expected, push) in cases {
            let mut row = RowBuffer::default();
            row.push_null();
            push(&mut row);
            let why = row.cells(&[expected, expected]).expect_err("no cell");
            assert_eq!(why, format!("column 2 has a value that is not a {}", expected.name()));
        }
    }
}
