//! What the server answers: describe information, rows, OUT values, and the end of every call.
//!
//! An answer has no length either: the client knows that it is whole by its last part, which is a status (STA) for calls
//! that cannot return an error number and an error record (OER) for all others, with number 0 for success.

use super::bind::{self, Declaration};
use super::capability::CHARSET;
use super::codec::Writer;
use super::lob::Lobs;
use crate::backend::{Column, ColumnType, OraError, StatementKind, Value};

/// The end of a result set is an error with this number.
pub(crate) const NO_DATA_FOUND: u32 = 1_403;

/// What is in an error record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallEnd<'a> {
    /// The sequence number of the call that is answered. A client that is told ORA-01013 with another number takes it for
    /// the late answer to an older cancel, and silently executes the statement again.
    pub(crate) sequence: u8,
    /// Rows fetched or changed.
    pub(crate) rows: u64,
    /// The cursor.
    pub(crate) cursor: u16,
    /// The kind of statement.
    pub(crate) statement: u8,
    /// The error, if it is one.
    pub(crate) error: Option<&'a OraError>,
    /// The result set is at its end.
    pub(crate) at_end: bool,
    /// A transaction is open.
    pub(crate) in_transaction: bool,
}

/// The status of a call's end: a bit that is always set, and one for an open transaction.
fn end_status(in_transaction: bool) -> u64 {
    1 | u64::from(in_transaction) << 1
}

/// How the protocol numbers a kind of statement.
pub(crate) fn statement_number(kind: StatementKind) -> u8 {
    match kind {
        StatementKind::Select => 3,
        StatementKind::Insert => 2,
        StatementKind::Update => 5,
        StatementKind::Delete => 7,
        StatementKind::PlSql => 34,
        StatementKind::AlterSystem => 49,
        StatementKind::AlterSession => 42,
        StatementKind::Other => 0,
    }
}

/// The end of a call without an error number: STA.
pub(crate) fn status(writer: &mut Writer, in_transaction: bool) {
    writer.u8(9);
    writer.ub(end_status(in_transaction));
    writer.ub(0);
}

/// The end of a call: OER.
pub(crate) fn call_end(writer: &mut Writer, end: CallEnd<'_>) {
    let no_data = "ORA-01403: no data found";
    let (code, message, offset) = match end.error {
        Some(error) => (error.code, error.message.as_str(), error.offset),
        None if end.at_end => (NO_DATA_FOUND, no_data, 0),
        None => (0, "", 0),
    };
    writer.u8(4);
    writer.ub(end_status(end.in_transaction));
    writer.ub(u64::from(end.sequence));
    writer.ub(end.rows & 0xffff_ffff);
    writer.ub(u64::from(code.min(0xffff)));
    writer.ub(0);
    writer.ub(0);
    writer.ub(u64::from(end.cursor));
    writer.ub(u64::from(offset.min(0x7fff)));
    writer.u8(end.statement);
    writer.raw(&[0; 5]);
    writer.raw(&[0; 5]);
    writer.ub(0);
    writer.u8(0);
    writer.u8(end.sequence);
    writer.ub(0);
    writer.ub(1);
    writer.raw(&[0; 4]);
    writer.ub(u64::from(code));
    writer.ub(end.rows);
    if code != 0 {
        writer.clr(format!("{}\n", message.trim_end()).as_bytes());
    }
}

/// A warning in front of an answer.
pub(crate) fn warning(writer: &mut Writer, warning: &OraError) {
    let text = format!("{}\n", warning.message.trim_end());
    writer.u8(0x0f);
    writer.ub(u64::from(warning.code));
    writer.ub(text.len() as u64);
    writer.ub(0);
    writer.text(&text);
}

/// Name-value pairs, as the login's answers have them.
pub(crate) fn pairs(writer: &mut Writer, pairs: &[(&str, String, u64)]) {
    writer.u8(8);
    writer.ub(pairs.len() as u64);
    for (name, value, flags) in pairs {
        writer.dalc(name.as_bytes());
        writer.dalc(value.as_bytes());
        writer.ub(*flags);
    }
}

/// The parameters that end an execution's answer: all of them are empty but for the row counts, where those were asked for.
pub(crate) fn parameters(writer: &mut Writer, row_counts: Option<&[u64]>) {
    writer.u8(8);
    writer.ub(6);
    writer.raw(&[0; 6]);
    writer.raw(&[0; 3]);
    if let Some(counts) = row_counts {
        writer.ub(counts.len() as u64);
        counts.iter().for_each(|count| writer.ub(*count));
    }
}

/// The columns of a result set.
pub(crate) fn describe(writer: &mut Writer, columns: &[Column]) {
    writer.u8(0x10);
    writer.u8(0);
    writer.ub(columns
        .iter()
        .map(|column| u64::from(wire_type(column.kind).size))
        .sum());
    writer.ub(columns.len() as u64);
    if !columns.is_empty() {
        writer.u8(0x51);
    }
    for (position, column) in columns.iter().enumerate() {
        describe_column(writer, column, position + 1);
    }
    writer.dalc(&[120, 119, 1, 1, 1, 1, 1]);
    writer.ub(0);
    writer.ub(0x1fe8);
    writer.ub(2);
    writer.ub(0x80);
    writer.dalc(&[]);
}

/// How a column type is described.
struct WireType {
    number: u8,
    character: bool,
    scale: i8,
    size: u32,
}

fn wire_type(kind: ColumnType) -> WireType {
    let (number, character, scale, size) = match kind {
        // A size of zero would mean that the column is always NULL and left out of the rows.
        ColumnType::Varchar2(size) => (1, true, 0, size.max(1)),
        ColumnType::Number => (2, false, -127, 22),
        ColumnType::BinaryDouble => (101, false, 0, 8),
        ColumnType::Date => (12, false, 0, 7),
        ColumnType::Timestamp(precision) => (180, false, precision.min(9) as i8, 11),
        ColumnType::Raw(size) => (23, false, 0, size.max(1)),
        ColumnType::Clob => (112, true, 0, 4_000),
    };
    WireType {
        number,
        character,
        scale,
        size,
    }
}

fn describe_column(writer: &mut Writer, column: &Column, position: usize) {
    let wire = wire_type(column.kind);
    let name = column.name.as_bytes();
    writer.u8(wire.number);
    writer.u8(if wire.character { 0x80 } else { 0 });
    writer.u8(0);
    writer.scale(wire.scale);
    writer.ub(u64::from(wire.size));
    writer.raw(&[0; 4]);
    writer.ub(if wire.character { u64::from(CHARSET) } else { 0 });
    writer.u8(u8::from(wire.character));
    writer.ub(if wire.character { u64::from(wire.size) } else { 0 });
    writer.ub(0);
    writer.u8(u8::from(column.nullable));
    writer.u8(name.len().min(255) as u8);
    writer.dalc(name);
    writer.dalc(&[]);
    writer.dalc(&[]);
    writer.ub(position as u64);
    writer.ub(0);
}

/// What precedes the rows of one round trip.
pub(crate) fn row_header(writer: &mut Writer, after_execute: bool, columns: usize, asked: u32) {
    writer.u8(6);
    writer.u8(if after_execute { 0x22 } else { 0x02 });
    writer.ub(columns as u64);
    writer.ub(0);
    writer.ub(u64::from(asked));
    writer.raw(&[0; 3]);
}

/// One row. A CLOB is sent as it was defined: by reference, or as a long string with an indicator and a return code.
pub(crate) fn row(
    writer: &mut Writer,
    columns: &[Column],
    defines: Option<&[Declaration]>,
    lobs: &mut Lobs,
    values: &[Value],
) -> Result<(), OraError> {
    writer.u8(7);
    let values = values.iter().chain(std::iter::repeat(&Value::Null));
    for (index, (column, value)) in columns.iter().zip(values).enumerate() {
        let define = defines
            .and_then(|defines| defines.get(index))
            .filter(|_| column.kind == ColumnType::Clob);
        match (define, value) {
            (Some(define), Value::Text(text)) if define.is_lob() => lobs.write(writer, text, define.prefetch()),
            (Some(define), _) if define.is_lob() => writer.ub(0),
            _ => bind::write_column(writer, column.kind, value)?,
        }
        if define.is_some_and(|define| !define.is_lob()) {
            writer.ub(0);
            writer.ub(0);
        }
    }
    Ok(())
}

/// The directions of a PL/SQL block's binds and the values it assigned, each with the indicators its bind asked for.
///
/// A bind that is assigned is called IN OUT: the client then sends its value each time, and a re-execution need not
/// guess which are left out.
pub(crate) fn out_binds(writer: &mut Writer, declared: &[Declaration], out: &[Option<Value>]) -> Result<(), OraError> {
    let assigned = |index: usize| out.get(index).and_then(Option::as_ref);
    writer.u8(0x0b);
    writer.u8(5);
    writer.ub((declared.len() & 0xff) as u64);
    writer.ub((declared.len() >> 8) as u64);
    writer.ub(1);
    writer.raw(&[0; 3]);
    for index in 0..declared.len() {
        writer.u8(if assigned(index).is_some() { 0x30 } else { 0x20 });
    }
    if out.iter().take(declared.len()).all(Option::is_none) {
        return Ok(());
    }
    writer.u8(7);
    for (index, declaration) in declared.iter().enumerate() {
        if let Some(value) = assigned(index) {
            declaration.write_out(writer, value)?;
            declaration.write_indicators(writer, *value == Value::Null);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Then;
    use crate::wire::codec::Reader;

    /// Reads an error record the way the thin drivers' public sources do.
    fn read_end(bytes: &[u8]) -> (u64, u64, u64, u8, Option<String>) {
        let mut reader = Reader::new(bytes);
        let mut end = || -> Result<_, crate::wire::codec::ParseError> {
            assert_eq!(reader.u8()?, 4);
            for _ in 0..5 {
                reader.ub()?;
            }
            reader.ub()?;
            let cursor = reader.ub()?;
            let offset = reader.ub()?;
            reader.raw(6)?;
            for wide in [true, true, false, true, true] {
                if wide {
                    reader.ub()?
                } else {
                    u64::from(reader.u8()?)
                };
            }
            reader.ub()?;
            reader.u8()?;
            let call = reader.u8()?;
            for _ in 0..6 {
                reader.ub()?;
            }
            let code = reader.ub()?;
            reader.ub()?;
            let text = if code == 0 { None } else { Some(reader.text(0)?) };
            assert!(reader.is_empty());
            Ok((code, cursor, offset, call, text))
        };
        end().expect("an error record")
    }

    #[test]
    fn an_error_record_has_the_fields_where_the_drivers_read_them() {
        let error = OraError {
            code: 942,
            message: "ORA-00942: no".into(),
            offset: 14,
            then: Then::Continue,
        };
        let mut writer = Writer::new();
        call_end(
            &mut writer,
            CallEnd {
                sequence: 9,
                cursor: 3,
                error: Some(&error),
                ..CallEnd::default()
            },
        );
        assert_eq!(
            read_end(&writer.into_bytes()),
            (942, 3, 14, 9, Some("ORA-00942: no\n".into()))
        );
        let mut writer = Writer::new();
        call_end(
            &mut writer,
            CallEnd {
                sequence: 1,
                cursor: 2,
                rows: 70_000,
                ..CallEnd::default()
            },
        );
        assert_eq!(read_end(&writer.into_bytes()), (0, 2, 0, 1, None));
    }

    #[test]
    fn a_large_error_number_keeps_its_place() {
        let error = OraError {
            code: 70_000,
            message: "ORA-70000: x".into(),
            offset: 0,
            then: Then::Continue,
        };
        let mut writer = Writer::new();
        call_end(
            &mut writer,
            CallEnd {
                error: Some(&error),
                ..CallEnd::default()
            },
        );
        assert_eq!(read_end(&writer.into_bytes()).0, 70_000);
    }
}
