//! Bind variables and values: how a declared type is read, and how any value is written as any type.

use super::codec::{Parse, Reader, Writer};
use super::request::Unsupported;
use super::scalar;
use crate::backend::{ColumnType, OraError, Then, Value};

/// Strings are at most so long in SQL; what is declared longer is a long bind.
const STRING_MAX: u32 = 4_000;
/// A declaration's flag for a PL/SQL table.
const ARRAY: u8 = 0x40;
/// A declaration's flag for an indicator after an OUT value.
const INDICATOR: u8 = 0x01;
/// A declaration's flag for a return code after that.
const RETURN_CODE: u8 = 0x02;
/// The return code of NULL.
const NULL_FETCHED: u64 = 1_405;
/// A declaration's flag for a bind without a value of its own: its name stands earlier in the statement.
const LEFT_OUT: u8 = 0x80;
/// A declaration's further flag for a LOB: its length, and the beginning of its text, come with its locator.
const LOB_PREFETCH: u64 = 0x0200_0000;
/// The form of the national character set.
const NATIONAL: u8 = 2;

/// The type numbers of the protocol.
mod type_number {
    pub(super) const VARCHAR2: u8 = 1;
    pub(super) const NUMBER: u8 = 2;
    pub(super) const BINARY_INTEGER: u8 = 3;
    pub(super) const LONG: u8 = 8;
    pub(super) const VARNUM: u8 = 6;
    pub(super) const DATE: u8 = 12;
    pub(super) const RAW: u8 = 23;
    pub(super) const LONG_RAW: u8 = 24;
    pub(super) const CHAR: u8 = 96;
    pub(super) const BINARY_FLOAT: u8 = 100;
    pub(super) const BINARY_DOUBLE: u8 = 101;
    pub(super) const CLOB: u8 = 112;
    pub(super) const TIMESTAMP: u8 = 180;
    pub(super) const TIMESTAMP_TZ: u8 = 181;
    pub(super) const TIMESTAMP_LTZ: u8 = 231;
}

/// How a bind or a define is declared (OAC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    kind: u8,
    flags: u8,
    length: u32,
    further: u64,
    form: u8,
    characters: u32,
}

impl Declaration {
    /// Reads one.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Parse<Self> {
        let kind = reader.u8()?;
        let flags = reader.u8()?;
        reader.u8()?;
        reader.scale()?;
        let length = reader.ub4()?;
        reader.ub()?;
        let further = reader.ub()?;
        reader.dalc()?;
        reader.ub()?;
        reader.ub()?;
        let form = reader.u8()?;
        let characters = reader.ub4()?;
        reader.ub()?;
        Ok(Self {
            kind,
            flags,
            length,
            further,
            form,
            characters,
        })
    }

    /// Whether no value of it comes.
    pub(crate) fn is_left_out(&self) -> bool {
        self.flags & LEFT_OUT != 0
    }

    /// Whether its value comes after those of the other binds.
    pub(crate) fn is_long(&self) -> bool {
        self.length > STRING_MAX
    }

    /// Whether a column is to be sent by reference.
    pub(crate) fn is_lob(&self) -> bool {
        self.kind == type_number::CLOB
    }

    /// How much of a LOB, in characters, is to come along with its locator; `None` where its length is not wanted either.
    pub(crate) fn prefetch(&self) -> Option<u32> {
        (self.further & LOB_PREFETCH != 0).then_some(self.characters)
    }

    /// The type as the database sees it; `None` where this server has no such type.
    pub(crate) fn column_type(&self) -> Option<ColumnType> {
        use type_number as t;
        Some(match self.kind {
            t::VARCHAR2 | t::CHAR | t::LONG => ColumnType::Varchar2(self.length),
            t::NUMBER | t::BINARY_INTEGER | t::VARNUM => ColumnType::Number,
            t::DATE => ColumnType::Date,
            t::RAW | t::LONG_RAW => ColumnType::Raw(self.length),
            t::BINARY_FLOAT | t::BINARY_DOUBLE => ColumnType::BinaryDouble,
            // Drivers declare no precision: the value has what it has.
            t::TIMESTAMP | t::TIMESTAMP_TZ | t::TIMESTAMP_LTZ => ColumnType::Timestamp(9),
            _ => return None,
        })
    }

    /// The value that the client sent.
    pub(crate) fn value(&self, bytes: Option<&[u8]>) -> Result<Value, OraError> {
        use type_number as t;
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return Ok(Value::Null);
        };
        let value = match self.kind {
            t::NUMBER | t::BINARY_INTEGER | t::VARNUM => scalar::number_value(bytes),
            t::DATE | t::TIMESTAMP | t::TIMESTAMP_TZ | t::TIMESTAMP_LTZ => {
                scalar::datetime_value(bytes).map(Value::Date)
            }
            t::RAW | t::LONG_RAW => Some(Value::Raw(bytes.into())),
            t::BINARY_FLOAT | t::BINARY_DOUBLE => scalar::float_value(bytes).map(Value::Float),
            _ => Some(Value::Text(self.text(bytes).into())),
        };
        value.ok_or_else(|| error(3_115, "unsupported network datatype or representation"))
    }

    fn text(&self, bytes: &[u8]) -> String {
        if self.form == NATIONAL {
            let units: Vec<u16> = bytes
                .chunks_exact(2)
                .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
                .collect();
            String::from_utf16_lossy(&units)
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        }
    }

    /// Writes an OUT value as it was declared.
    pub(crate) fn write_out(&self, writer: &mut Writer, value: &Value) -> Result<(), OraError> {
        let kind = self.column_type().unwrap_or(ColumnType::Varchar2(STRING_MAX));
        if self.kind == type_number::BINARY_FLOAT {
            match float(value)? {
                Some(value) => writer.clr(&scalar::binary_float(value as f32)),
                None => writer.clr(&[]),
            }
            return Ok(());
        }
        let mut bytes = if let (type_number::TIMESTAMP_TZ, Value::Date(time)) = (self.kind, value) {
            scalar::zoned_datetime(*time)
        } else {
            encode(kind, value)?
        };
        if matches!(kind, ColumnType::Varchar2(_)) && self.form == NATIONAL {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            bytes = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        }
        if matches!(kind, ColumnType::Varchar2(_) | ColumnType::Raw(_)) && bytes.len() > self.length as usize {
            return Err(error(
                6_502,
                "PL/SQL: numeric or value error: character string buffer too small",
            ));
        }
        writer.clr(&bytes);
        Ok(())
    }
}

impl Declaration {
    /// Writes what follows an OUT value: an indicator (-1 for NULL) and a return code, where they were asked for.
    pub(crate) fn write_indicators(&self, writer: &mut Writer, null: bool) {
        if self.flags & INDICATOR != 0 {
            writer.raw(if null { &[0x81, 1] } else { &[0] });
        }
        if self.flags & RETURN_CODE != 0 {
            writer.return_code(if null { NULL_FETCHED } else { 0 });
        }
    }
}

/// The first of the declarations that cannot be read.
pub(crate) fn unsupported(declared: &[Declaration]) -> Option<Unsupported> {
    declared.iter().find_map(|declaration| {
        if declaration.flags & ARRAY != 0 {
            Some(Unsupported::ArrayBind)
        } else if declaration.column_type().is_none() {
            Some(Unsupported::BindType(declaration.kind))
        } else {
            None
        }
    })
}

/// Writes a column's value.
pub(crate) fn write_column(writer: &mut Writer, kind: ColumnType, value: &Value) -> Result<(), OraError> {
    match (kind, value) {
        (_, Value::Null) => writer.u8(0),
        // A client reserves what the column was described with, and does not look whether that is enough.
        (ColumnType::Varchar2(size), Value::Text(text)) if text.len() > size as usize => {
            let message = format!("internal error: {} bytes in a column of {size}", text.len());
            return Err(error(600, &message));
        }
        (ColumnType::Varchar2(_) | ColumnType::Clob, Value::Text(text)) => writer.clr(text.as_bytes()),
        (kind, value) => writer.clr(&encode(kind, value)?),
    }
    Ok(())
}

/// A value in the stored form of a type; nothing for NULL. What cannot be converted is Oracle's own error for that.
fn encode(kind: ColumnType, value: &Value) -> Result<Vec<u8>, OraError> {
    if *value == Value::Null {
        return Ok(Vec::new());
    }
    match kind {
        ColumnType::Varchar2(_) | ColumnType::Clob => Ok(if let Value::Bytes(bytes) = value {
            bytes.to_vec()
        } else {
            text(value).into_bytes()
        }),
        ColumnType::Number => match value {
            Value::Int(value) => Some(scalar::number_from_int(*value)),
            Value::Float(value) => scalar::number_from_float(*value),
            Value::Decimal(text) | Value::Text(text) => scalar::number_from_text(text),
            Value::Null | Value::Bytes(_) | Value::Date(_) | Value::Raw(_) => None,
        }
        .ok_or_else(|| error(1_722, "invalid number")),
        ColumnType::BinaryDouble => Ok(float(value)?.map_or_else(Vec::new, |f| scalar::binary_double(f).to_vec())),
        ColumnType::Date => time(value).map(|time| scalar::datetime(time, None)),
        ColumnType::Timestamp(precision) => time(value).map(|time| scalar::datetime(time, Some(precision))),
        ColumnType::Raw(_) => match value {
            Value::Raw(bytes) | Value::Bytes(bytes) => Ok(bytes.to_vec()),
            Value::Text(text) => Ok(text.as_bytes().to_vec()),
            Value::Null | Value::Int(_) | Value::Decimal(_) | Value::Float(_) | Value::Date(_) => {
                Err(error(932, "inconsistent datatypes: expected BINARY"))
            }
        },
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) | Value::Decimal(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Date(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        Value::Raw(bytes) => super::verifier::hex(bytes),
    }
}

fn float(value: &Value) -> Result<Option<f64>, OraError> {
    match value {
        Value::Null => Ok(None),
        Value::Int(value) => Ok(Some(*value as f64)),
        Value::Float(value) => Ok(Some(*value)),
        Value::Text(text) | Value::Decimal(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| error(1_722, "invalid number")),
        Value::Bytes(_) | Value::Date(_) | Value::Raw(_) => Err(error(1_722, "invalid number")),
    }
}

fn time(value: &Value) -> Result<chrono::NaiveDateTime, OraError> {
    match value {
        Value::Date(time) => Ok(*time),
        Value::Null
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Float(_)
        | Value::Raw(_) => Err(error(932, "inconsistent datatypes: expected DATE")),
    }
}

/// An error that the wire itself raises, after which the session goes on.
pub(crate) fn error(code: u32, text: &str) -> OraError {
    OraError {
        code,
        message: format!("ORA-{code:05}: {text}"),
        offset: 0,
        then: Then::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(kind: u8, length: u32, form: u8) -> Declaration {
        Declaration {
            kind,
            flags: 1,
            length,
            further: 0,
            form,
            characters: 0,
        }
    }

    fn out(declaration: &Declaration, value: Value) -> Result<Vec<u8>, u32> {
        let mut writer = Writer::new();
        declaration.write_out(&mut writer, &value).map_err(|error| error.code)?;
        Ok(writer.into_bytes())
    }

    #[test]
    fn national_text_is_utf_16_both_ways() {
        let bind = declared(1, 100, 2);
        assert_eq!(bind.value(Some(&[0, 0x41, 0x20, 0xac])), Ok(Value::Text("A€".into())));
        assert_eq!(out(&bind, Value::Text("A€".into())), Ok(vec![4, 0, 0x41, 0x20, 0xac]));
    }

    #[test]
    fn an_out_value_longer_than_its_variable_is_an_error() {
        assert_eq!(out(&declared(1, 3, 1), Value::Text("four".into())), Err(6_502));
        assert_eq!(
            out(&declared(1, 4, 1), Value::Text("four".into())),
            Ok(b"\x04four".to_vec())
        );
        assert_eq!(out(&declared(23, 1, 0), Value::Raw([1, 2][..].into())), Err(6_502));
    }

    #[test]
    fn a_value_longer_than_its_column_was_described_is_an_error() {
        let mut writer = Writer::default();
        let fits = write_column(&mut writer, ColumnType::Varchar2(3), &Value::Text("abc".into()));
        assert_eq!(fits, Ok(()));
        let longer = write_column(&mut writer, ColumnType::Varchar2(3), &Value::Text("abcd".into()));
        assert_eq!(longer.map_err(|error| error.code), Err(600));
    }

    #[test]
    fn values_are_converted_to_the_declared_type_or_refused() {
        assert_eq!(
            out(&declared(2, 22, 0), Value::Text("12".into())),
            Ok(vec![2, 0xc1, 13])
        );
        assert_eq!(out(&declared(2, 22, 0), Value::Text("twelve".into())), Err(1_722));
        assert_eq!(out(&declared(1, 22, 1), Value::Int(-31)), Ok(b"\x03-31".to_vec()));
        assert_eq!(out(&declared(12, 7, 0), Value::Int(1)), Err(932));
        assert_eq!(out(&declared(2, 22, 0), Value::Null), Ok(vec![0]));
    }

    #[test]
    fn what_cannot_be_bound_is_named() {
        assert_eq!(
            unsupported(&[declared(1, 1, 1), declared(112, 1, 1)]),
            Some(Unsupported::BindType(112))
        );
        let table = Declaration {
            flags: ARRAY,
            ..declared(2, 22, 0)
        };
        assert_eq!(unsupported(&[table]), Some(Unsupported::ArrayBind));
        assert_eq!(unsupported(&[declared(2, 22, 0)]), None);
    }
}
