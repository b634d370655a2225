//! The types of Oracle's SQL, as far as the simulated database tells them apart, and how their values lie in SQLite.
//!
//! SQLite has no dates: a DATE or TIMESTAMP is a number of seconds since 1970 there, an interval a number of seconds, a
//! RAW a blob. What a number means is known from the expression's type, which is worked out before the statement runs.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::{Value as Lite, ValueRef};

use super::exact;
use crate::backend::{Bind, Column, ColumnType, Value};
use crate::clock::{calendar, moment};

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    Number,
    /// NUMBER that may have more digits than a number of SQLite's.
    Long,
    Double,
    Text(u32),
    Date,
    Timestamp(u8),
    Interval,
    Raw(u32),
    Clob,
    /// A condition: not a value that can be selected.
    Condition,
    /// NULL, or a bind that nobody has typed.
    Unknown,
}

impl Ty {
    pub(crate) fn of(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Varchar2(size) => Self::Text(size),
            ColumnType::Number => Self::Number,
            ColumnType::BinaryDouble => Self::Double,
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp(digits) => Self::Timestamp(digits),
            ColumnType::Raw(size) => Self::Raw(size),
            ColumnType::Clob => Self::Clob,
        }
    }

    pub(crate) fn column(self) -> ColumnType {
        match self {
            Self::Number | Self::Long | Self::Condition => ColumnType::Number,
            Self::Double => ColumnType::BinaryDouble,
            Self::Text(size) => ColumnType::Varchar2(size.clamp(1, 32_767)),
            Self::Date => ColumnType::Date,
            Self::Timestamp(digits) => ColumnType::Timestamp(digits),
            Self::Interval => ColumnType::Varchar2(30),
            Self::Raw(size) => ColumnType::Raw(size),
            Self::Clob => ColumnType::Clob,
            Self::Unknown => ColumnType::Varchar2(1),
        }
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text(_) | Self::Clob)
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Long | Self::Double)
    }

    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp(_))
    }

    /// How many bytes of text a value may take.
    pub(crate) fn width(self) -> u32 {
        match self {
            Self::Text(size) => size,
            Self::Number | Self::Long | Self::Double => 40,
            Self::Date => 19,
            Self::Timestamp(_) | Self::Interval => 30,
            Self::Raw(size) => size * 2,
            Self::Clob => 4000,
            Self::Condition | Self::Unknown => 1,
        }
    }

    /// The type of a value that may be of either.
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, it) | (it, Self::Unknown) => it,
            (Self::Text(a), Self::Text(b)) => Self::Text(a.max(b)),
            (Self::Text(a), it) | (it, Self::Text(a)) => Self::Text(a.max(it.width())),
            (Self::Double, Self::Number | Self::Long) => Self::Double,
            (Self::Number, Self::Long) => Self::Long,
            (Self::Date, Self::Timestamp(digits)) => Self::Timestamp(digits),
            (it, _) => it,
        }
    }
}

/// A column of a result.
pub(crate) fn result_column(name: String, ty: Ty) -> Column {
    Column {
        name,
        kind: ty.column(),
        nullable: true,
    }
}

/// A bind as SQLite gets it.
pub(crate) fn lite(value: &Value) -> Lite {
    match value {
        Value::Null => Lite::Null,
        Value::Text(text) if text.is_empty() => Lite::Null,
        Value::Text(text) => Lite::Text(text.to_string()),
        Value::Bytes(bytes) => Lite::Text(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Lite::Integer(*number),
        Value::Decimal(text) => exact::parsed(text).map_or(Lite::Null, |number| exact::kept(&number)),
        Value::Float(number) => Lite::Real(*number),
        Value::Date(at) => seconds(moment(*at)),
        Value::Raw(bytes) => Lite::Blob(bytes.to_vec()),
    }
}

/// A moment as SQLite gets it: whole seconds where it has no fraction.
pub(crate) fn seconds(moment: i64) -> Lite {
    if moment % 1000 == 0 {
        Lite::Integer(moment / 1000)
    } else {
        Lite::Real(moment as f64 / 1000.0)
    }
}

/// The types of binds, by their declarations.
pub(crate) fn bind_types(binds: &[Bind]) -> Vec<Ty> {
    binds
        .iter()
        .map(|bind| match (&bind.value, Ty::of(bind.kind)) {
            (Value::Date(_), declared) if !declared.is_time() => Ty::Date,
            (Value::Decimal(_), Ty::Number) => Ty::Long,
            (_, declared) => declared,
        })
        .collect()
}

/// Texts that were seen before, so that a result of many rows holds each once.
#[derive(Default)]
pub(crate) struct Texts(HashMap<String, Arc<str>>);

impl Texts {
    fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        if self.0.len() < 50_000 {
            self.0.insert(text.to_owned(), Arc::clone(&new));
        }
        new
    }
}

/// A value as the client gets it.
pub(crate) fn value(raw: ValueRef<'_>, ty: Ty, texts: &mut Texts) -> Value {
    match (raw, ty) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), Ty::Date | Ty::Timestamp(_)) => Value::Date(calendar(number.saturating_mul(1000))),
        (ValueRef::Real(number), Ty::Date) => Value::Date(calendar((number.round() as i64).saturating_mul(1000))),
        (ValueRef::Real(number), Ty::Timestamp(_)) => Value::Date(calendar((number * 1000.0).round() as i64)),
        (ValueRef::Integer(number), Ty::Interval) => Value::Text(interval(number as f64).into()),
        (ValueRef::Real(number), Ty::Interval) => Value::Text(interval(number).into()),
        (ValueRef::Integer(number), Ty::Double) => Value::Float(number as f64),
        (ValueRef::Real(number), Ty::Double) => Value::Float(number),
        (ValueRef::Text(bytes), Ty::Double) => match std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok())
        {
            Some(number) => Value::Float(number),
            None => Value::Text(texts.get(&String::from_utf8_lossy(bytes))),
        },
        (ValueRef::Integer(number), ty) if ty.is_text() => Value::Text(texts.get(&number.to_string())),
        (ValueRef::Real(number), ty) if ty.is_text() => Value::Text(texts.get(&spelled(number))),
        (ValueRef::Integer(number), _) => Value::Int(number),
        (ValueRef::Real(number), _) => decimal(number),
        (ValueRef::Text(bytes), Ty::Number | Ty::Long) => match std::str::from_utf8(bytes) {
            Ok(text) if exact::parsed(text).is_some() => Value::Decimal(text.into()),
            Ok(_) | Err(_) => Value::Text(texts.get(&String::from_utf8_lossy(bytes))),
        },
        (ValueRef::Text(bytes), _) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(texts.get(text)),
            Err(_) => Value::Bytes(bytes.into()),
        },
        (ValueRef::Blob(bytes), Ty::Text(_)) => Value::Text(hex(bytes).into()),
        (ValueRef::Blob(bytes), _) => Value::Raw(bytes.into()),
    }
}

/// A computed number, to the fifteen digits that a float holds for certain.
fn decimal(number: f64) -> Value {
    let text = plain(number);
    text.parse()
        .map_or_else(|_| Value::Decimal(text.as_str().into()), Value::Int)
}

/// A number in plain decimal notation.
pub(crate) fn plain(number: f64) -> String {
    let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    if rounded == 0.0 {
        "0".into()
    } else {
        format!("{rounded}")
    }
}

/// A number as TO_CHAR spells it: without the nought before the point.
pub(crate) fn spelled(number: f64) -> String {
    spelled_text(plain(number))
}

/// The same of a number in plain decimal notation.
pub(crate) fn spelled_text(text: String) -> String {
    match text.strip_prefix("0.") {
        Some(rest) => format!(".{rest}"),
        None => text
            .strip_prefix("-0.")
            .map_or(text.clone(), |rest| format!("-.{rest}")),
    }
}

/// Bytes in hexadecimal, as RAWTOHEX spells them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn interval(seconds: f64) -> String {
    let sign = if seconds < 0.0 { '-' } else { '+' };
    let micros = (seconds.abs() * 1_000_000.0).round() as u64;
    let whole = micros / 1_000_000;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    format!(
        "{sign}{days:09} {hours:02}:{minutes:02}:{:02}.{:06}",
        whole % 60,
        micros % 1_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_oracle_spells_them() {
        assert_eq!(spelled(0.5), ".5");
        assert_eq!(spelled(-0.25), "-.25");
        assert_eq!(plain(0.1 + 0.2), "0.3");
        assert_eq!(plain(18_000.000_000_000_004), "18000");
        assert_eq!(decimal(18_000.000_000_000_004), Value::Int(18_000));
        assert_eq!(interval(-90_061.5), "-000000001 01:01:01.500000");
    }
}
