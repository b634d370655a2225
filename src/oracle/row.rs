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

    pub(super) fn push_time(&mut self, time: Option<DbTime>) {
        self.values.push(time.map_or(DriverValue::Null, DriverValue::Time));
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

    /// The row in the types that the query expects; a value that cannot be converted exactly is NULL.
    pub(super) fn cells<'a>(&'a self, expected: &[CellType]) -> Vec<Cell<'a>> {
        expected
            .iter()
            .zip(&self.values)
            .map(|(expected, value)| match (expected, value) {
                (CellType::Text, DriverValue::Text { begin, end }) => shown(&self.text[*begin..*end]),
                (CellType::Number, DriverValue::Text { begin, end }) => {
                    whole_number(&self.text[*begin..*end]).map_or(Cell::Null, Cell::Number)
                }
                (CellType::Time, DriverValue::Time(time)) => Cell::Time(*time),
                (CellType::Text | CellType::Number | CellType::Time, DriverValue::Null)
                | (CellType::Text | CellType::Number, DriverValue::Time(_))
                | (CellType::Time, DriverValue::Text { .. }) => Cell::Null,
            })
            .collect()
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
    fn a_cell_is_what_the_query_expects_or_unknown() {
        let mut row = RowBuffer::default();
        row.push_text("left over");
        row.clear();
        row.push_text("web01\0");
        row.push_text("\0");
        row.push_text("BATCH ");
        row.push_text(42);
        row.push_text("18446744073709551615");
        row.push_text("01-JAN-70");
        row.push_time(Some(DbTime(7)));
        row.push_time(None);
        row.push_time(Some(DbTime(8)));
        row.push_null();
        let expected = [
            CellType::Text,
            CellType::Text,
            CellType::Text,
            CellType::Number,
            CellType::Number,
            CellType::Time,
            CellType::Time,
            CellType::Time,
            CellType::Number,
            CellType::Text,
        ];
        assert_eq!(row.len(), expected.len());
        assert_eq!(
            row.cells(&expected),
            [
                Cell::Text("web01"),
                Cell::Null,
                Cell::Text("BATCH "),
                Cell::Number(42),
                Cell::Null,
                Cell::Null,
                Cell::Time(DbTime(7)),
                Cell::Null,
                Cell::Null,
                Cell::Null,
            ]
        );
    }
}
