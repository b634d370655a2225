//! A session's row in a record: each column that was read with its value.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use crate::event::{Evidence, EvidenceValue};
use crate::session::column::{Column, Kind};
use crate::session::time::DbTime;

/// A value that the format cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time of {0} seconds is outside the calendar")]
pub(super) struct Unwritable(i64);

pub(super) fn naive(time: DbTime) -> Result<NaiveDateTime, Unwritable> {
    let at = DateTime::from_timestamp(time.0, 0).ok_or(Unwritable(time.0))?;
    Ok(at.naive_utc())
}

/// A session's row as JSON has it: by column, NULL as null. What the calendar does not have is left out.
pub(crate) fn cells(session: &Evidence) -> BTreeMap<String, Value> {
    session.0.iter().filter_map(|cell| write_cell(cell).ok()).collect()
}

pub(super) fn write_cells(session: &Evidence) -> Result<BTreeMap<String, Value>, Unwritable> {
    session.0.iter().map(write_cell).collect()
}

fn write_cell((column, value): &(Column, EvidenceValue)) -> Result<(String, Value), Unwritable> {
    let value = match value {
        EvidenceValue::Null => Value::Null,
        EvidenceValue::Text(text) => Value::from(text.as_str()),
        EvidenceValue::Number(number) => Value::from(*number),
        EvidenceValue::Time(time) => Value::from(naive(*time)?.format("%Y-%m-%dT%H:%M:%S").to_string()),
    };
    Ok((column.name().to_owned(), value))
}

pub(super) fn read_cells(session: &BTreeMap<String, Value>) -> Evidence {
    let mut cells: Vec<_> = session.iter().filter_map(read_cell).collect();
    cells.sort_by_key(|(column, _)| *column);
    Evidence(cells)
}

/// A column that this version does not know is left out: it is evidence for people, no decision hangs on it.
fn read_cell((name, value): (&String, &Value)) -> Option<(Column, EvidenceValue)> {
    let column = Column::named(name)?;
    let value = match (value, column.kind()) {
        (Value::String(text), Kind::Time) => {
            let at: NaiveDateTime = text.parse().ok()?;
            EvidenceValue::Time(DbTime(at.and_utc().timestamp()))
        }
        (Value::String(text), _) => EvidenceValue::Text(text.clone()),
        (Value::Number(number), _) => EvidenceValue::Number(number.as_i64()?),
        (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_), _) => EvidenceValue::Null,
    };
    Some((column, value))
}
