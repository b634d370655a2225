//! Reading the calls that carry a statement: OALL8 and the two re-executions.
//!
//! A cursor remembers what its binds were declared as, since a re-execution sends values alone.

use super::bind::{self, Declaration};
use super::codec::{Parse, ParseError, Reader};
use super::cursor::CursorTable;
use super::request::{Call, Unsupported};

/// The most binds or defines of one statement.
const DECLARATIONS_MAX: u32 = 65_535;
/// The most executions in one call.
const ITERATIONS_MAX: u32 = 1_048_576;
/// A further option of OALL8, among its numbers: how many rows each execution has changed is to be told.
const ROW_COUNTS: u32 = 0x4000;
/// The type byte of a row of bind values.
const ROW: u8 = 0x07;

/// What OALL8 is to do, as bits.
pub(crate) mod option {
    /// Parse the statement text.
    pub(crate) const PARSE: u32 = 0x01;
    /// Define the columns.
    pub(crate) const DEFINE: u32 = 0x10;
    /// Execute.
    pub(crate) const EXECUTE: u32 = 0x20;
    /// Fetch.
    pub(crate) const FETCH: u32 = 0x40;
    /// Commit on success.
    pub(crate) const COMMIT: u32 = 0x100;
    /// Describe without executing.
    pub(crate) const DESCRIBE: u32 = 0x20000;
}

/// What sort of statement a text is, as far as the protocol treats them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// It has rows.
    Query,
    /// It has OUT binds.
    PlSql,
    /// It has neither.
    Other,
}

impl Sort {
    /// The sort of a statement text, by its first word.
    pub(crate) fn of(sql: &str) -> Self {
        let mut rest = sql.trim_start();
        loop {
            rest = if let Some(comment) = rest.strip_prefix("--") {
                comment.split_once('\n').map_or("", |(_, after)| after).trim_start()
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, after)| after).trim_start()
            } else if let Some(inner) = rest.strip_prefix('(') {
                inner.trim_start()
            } else {
                break;
            };
        }
        let word = rest
            .split(|c: char| !c.is_ascii_alphabetic())
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match word.as_str() {
            "select" | "with" => Self::Query,
            "begin" | "declare" | "call" => Self::PlSql,
            _ if rest.starts_with("<<") => Self::PlSql,
            _ => Self::Other,
        }
    }
}

/// OALL8.
#[derive(Debug)]
pub(crate) struct Execute {
    /// What to do, see [`option`].
    pub(crate) options: u32,
    /// The cursor, 0 for a new one.
    pub(crate) cursor: u16,
    /// The statement, if it is to be parsed.
    pub(crate) sql: Option<String>,
    /// How many rows to fetch along with it.
    pub(crate) rows: u32,
    /// What the columns are to be sent as, if that is defined here.
    pub(crate) defines: Option<Vec<Declaration>>,
    /// What the binds are, if that is declared here.
    pub(crate) declared: Option<Vec<Declaration>>,
    /// The bind values, a row for each execution.
    pub(crate) values: Vec<Vec<Option<Vec<u8>>>>,
    /// How many rows each execution has changed is to be told.
    pub(crate) row_counts: bool,
}

/// Another execution of a cursor.
#[derive(Debug)]
pub(crate) struct Reexecute {
    /// The cursor.
    pub(crate) cursor: u16,
    /// How many rows to fetch along with it, `None` without a fetch.
    pub(crate) rows: Option<u32>,
    /// Commit on success.
    pub(crate) commit: bool,
    /// The bind values, a row for each execution.
    pub(crate) values: Vec<Vec<Option<Vec<u8>>>>,
}

/// The fixed part of OALL8.
struct Header {
    options: u32,
    cursor: u16,
    /// The announced length of the statement's text, if there is one.
    sql: Option<u32>,
    numbers: u32,
    prefetch: u32,
    binds: u32,
    defines: u32,
}

fn parse_header(reader: &mut Reader<'_>) -> Parse<Header> {
    let options = reader.ub4()?;
    let cursor = reader.ub2()?;
    let sql = reader.pointer()?;
    let sql_length = reader.ub4()?;
    reader.pointer()?;
    let numbers = reader.ub4()?;
    reader.pointer()?;
    reader.pointer()?;
    reader.ub()?;
    let prefetch = reader.ub4()?;
    reader.ub()?;
    let bound = reader.pointer()?;
    let binds = reader.ub4()?;
    reader.raw(5)?;
    let defined = reader.pointer()?;
    let defines = reader.ub4()?;
    reader.ub()?;
    reader.raw(3)?;
    reader.ub()?;
    reader.u8()?;
    reader.ub()?;
    reader.ub()?;
    for _ in 0..2 {
        reader.u8()?;
        reader.ub()?;
        reader.u8()?;
    }
    reader.ub()?;
    reader.u8()?;
    reader.u8()?;
    reader.ub()?;
    if numbers > 64 || binds > DECLARATIONS_MAX || defines > DECLARATIONS_MAX {
        return Err(ParseError::Malformed("a statement with too many parts"));
    }
    Ok(Header {
        options,
        cursor,
        sql: sql.then_some(sql_length),
        numbers,
        prefetch,
        binds: if bound { binds } else { 0 },
        defines: if defined { defines } else { 0 },
    })
}

fn declarations(reader: &mut Reader<'_>, count: u32) -> Parse<Option<Vec<Declaration>>> {
    if count == 0 {
        return Ok(None);
    }
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(Declaration::parse(reader)?);
    }
    Ok(Some(found))
}

/// Whether it is DML with a RETURNING clause.
fn returns(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    let mut words = lower
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    matches!(words.next(), Some("insert" | "update" | "delete" | "merge"))
        && words.any(|word| matches!(word, "returning" | "return"))
        && words.any(|word| word == "into")
}

/// Reads OALL8 after its sequence number.
pub(crate) fn parse_execute(reader: &mut Reader<'_>, cursors: &CursorTable) -> Parse<Call> {
    let header = parse_header(reader)?;
    let sql = header.sql.map(|length| reader.text(length)).transpose()?;
    let mut numbers = Vec::new();
    for _ in 0..header.numbers {
        numbers.push(reader.sb()?);
    }
    let number = |index: usize| numbers.get(index).map_or(0, |value| u32::try_from(*value).unwrap_or(0));
    let defines = declarations(reader, header.defines)?;
    let declared = declarations(reader, header.binds)?;
    let query = number(7) == 1;
    let mut values = Vec::new();
    if let Some(declared) = &declared {
        if let Some(unsupported) = bind::unsupported(declared) {
            return Ok(Call::Unsupported(unsupported));
        }
        if sql.as_deref().is_some_and(returns) {
            return Ok(Call::Unsupported(Unsupported::Returning));
        }
        let sort = sql
            .as_deref()
            .map_or(if query { Sort::Query } else { Sort::Other }, Sort::of);
        let iterations = if query || sort == Sort::Query {
            1
        } else {
            number(1).max(1)
        };
        values = parse_values(reader, declared, sort, iterations)?;
    } else if sql.is_none() && header.options & option::EXECUTE != 0 {
        // Another execution of a statement whose binds are declared already: their values come without declarations.
        let Some(cursor) = cursors.get(header.cursor) else {
            return Ok(Call::Unsupported(Unsupported::Cursor(header.cursor)));
        };
        let iterations = if cursor.sort == Sort::Query {
            1
        } else {
            number(1).max(1)
        };
        values = parse_values(reader, &cursor.declared, cursor.sort, iterations)?;
    }
    Ok(Call::Execute(Box::new(Execute {
        options: header.options,
        cursor: header.cursor,
        sql,
        rows: if header.prefetch > 0 {
            header.prefetch
        } else {
            number(1)
        },
        defines,
        declared,
        values,
        row_counts: number(9) & ROW_COUNTS != 0,
    })))
}

/// Reads a re-execution after its sequence number.
pub(crate) fn parse_reexecute(reader: &mut Reader<'_>, cursors: &CursorTable, fetch: bool) -> Parse<Call> {
    let id = reader.ub2()?;
    let count = reader.ub4()?;
    let first = reader.ub4()?;
    let second = reader.ub4()?;
    let Some(cursor) = cursors.get(id) else {
        return Ok(Call::Unsupported(Unsupported::Cursor(id)));
    };
    let iterations = if fetch || cursor.sort == Sort::Query {
        1
    } else {
        count.max(1)
    };
    let values = parse_values(reader, &cursor.declared, cursor.sort, iterations)?;
    let commit = first & option::COMMIT != 0 || second & 1 != 0;
    Ok(Call::Reexecute(Reexecute {
        cursor: id,
        rows: fetch.then_some(count),
        commit,
        values,
    }))
}

/// Reads the rows of bind values. Outside PL/SQL, those declared longer than a string can be come last; those that are
/// left out do not come, and without any value there is no row.
fn parse_values(
    reader: &mut Reader<'_>,
    declared: &[Declaration],
    sort: Sort,
    iterations: u32,
) -> Parse<Vec<Vec<Option<Vec<u8>>>>> {
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    if iterations > ITERATIONS_MAX {
        return Err(ParseError::Malformed("too many executions in one call"));
    }
    let mut order: Vec<usize> = (0..declared.len())
        .filter(|index| !declared[*index].is_left_out())
        .collect();
    if sort != Sort::PlSql {
        order.sort_by_key(|index| declared[*index].is_long());
    }
    if order.is_empty() {
        return Ok(vec![vec![None; declared.len()]]);
    }
    let mut rows = Vec::new();
    for _ in 0..iterations {
        if reader.u8()? != ROW {
            return Err(ParseError::Malformed("bind values are missing"));
        }
        let mut row = vec![None; declared.len()];
        for index in &order {
            row[*index] = reader.clr()?;
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::Writer;

    #[test]
    fn the_first_word_tells_the_sort() {
        for (sql, sort) in [
            ("select 1 from dual", Sort::Query),
            ("  -- why\n /* and */ ( ( SELECT 1 from dual))", Sort::Query),
            ("WITH x AS (select 1 from dual) select * from x", Sort::Query),
            ("begin null; end;", Sort::PlSql),
            ("DECLARE x number; begin null; end;", Sort::PlSql),
            ("<<top>> begin null; end;", Sort::PlSql),
            ("beginning", Sort::Other),
            ("update t set select = 1", Sort::Other),
            ("", Sort::Other),
            ("/* never closed", Sort::Other),
        ] {
            assert_eq!(Sort::of(sql), sort, "{sql}");
        }
    }

    #[test]
    fn a_returning_clause_is_seen() {
        for (sql, expected) in [
            ("insert into t values (:1) returning id into :2", true),
            ("UPDATE t SET a = 1 RETURN a INTO :x", true),
            ("insert into returning_items values (1)", false),
            ("update t set returning = 1", false),
            ("begin return; end;", false),
        ] {
            assert_eq!(returns(sql), expected, "{sql}");
        }
    }

    /// A whole OALL8 that parses, executes and binds two values, and a re-execution of it, with every byte of them
    /// changed to every value: whatever comes of it, it is no panic, and nothing is read beyond the end.
    #[test]
    fn a_message_with_any_byte_changed_is_no_panic() {
        let mut message = Writer::new();
        message.ub(0x8069);
        message.ub(0);
        message.u8(1);
        message.ub(30);
        message.u8(1);
        message.ub(13);
        message.raw(&[0, 0, 0]);
        message.ub(2);
        message.ub(0x7fff_ffff);
        message.u8(1);
        message.ub(2);
        message.raw(&[0; 5]);
        message.raw(&[0, 0, 0]);
        message.raw(&[0, 1, 0]);
        message.raw(&[0, 0, 0, 0]);
        message.raw(&[0; 3]);
        message.raw(&[0; 3]);
        message.raw(&[0; 4]);
        message.clr(b"select binds :1, :2 from dual");
        message.ub(1);
        message.raw(&[0; 6]);
        message.ub(1);
        message.raw(&[0; 5]);
        declaration(&mut message, 1, 40);
        declaration(&mut message, 2, 22);
        message.u8(ROW);
        message.clr(b"text");
        message.clr(&[0xc1, 2]);
        let message = message.into_bytes();
        let mut reader = Reader::new(&message);
        let none = CursorTable::default();
        let Ok(Call::Execute(execute)) = parse_execute(&mut reader, &none) else {
            panic!("the message is whole")
        };
        assert!(reader.is_empty());
        assert_eq!(execute.values, [vec![Some(b"text".to_vec()), Some(vec![0xc1, 2])]]);
        for cut in 0..message.len() {
            assert_eq!(
                parse_execute(&mut Reader::new(&message[..cut]), &none).err(),
                Some(ParseError::Incomplete),
                "{cut}"
            );
        }
        for at in 0..message.len() {
            for value in 0..=255 {
                let mut changed = message.clone();
                changed[at] = value;
                let _ = parse_execute(&mut Reader::new(&changed), &none);
            }
        }
    }

    fn declaration(message: &mut Writer, kind: u8, length: u64) {
        message.raw(&[kind, 1, 0, 0]);
        message.ub(length);
        message.ub(0);
        message.ub(0);
        message.ub(0);
        message.ub(0);
        message.ub(873);
        message.u8(1);
        message.ub(0);
        message.ub(0);
    }

    #[test]
    fn long_binds_come_after_the_others_except_in_plsql() {
        for (sort, first) in [(Sort::Other, &b"short"[..]), (Sort::PlSql, &b"long"[..])] {
            let mut described = Writer::new();
            declaration(&mut described, 1, 32_767);
            declaration(&mut described, 1, 20);
            let described = described.into_bytes();
            let mut reader = Reader::new(&described);
            let declared = declarations(&mut reader, 2).expect("declarations").expect("two");
            let second = if first == b"short" { &b"long"[..] } else { b"short" };
            let mut sent = Writer::new();
            sent.u8(ROW);
            sent.clr(first);
            sent.clr(second);
            let sent = sent.into_bytes();
            let rows = parse_values(&mut Reader::new(&sent), &declared, sort, 1).expect("values");
            assert_eq!(
                rows,
                [vec![Some(b"long".to_vec()), Some(b"short".to_vec())]],
                "{sort:?}"
            );
        }
    }
}
