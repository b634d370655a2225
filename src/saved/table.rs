//! CSV as SQL tools export it.

use csv::StringRecord;

use crate::saved::assemble::{Assembly, Value, is_clock, read_clock, session_column};
use crate::saved::{Fault, Format, MAX_ROW_BYTES, Problem, Saved};
use crate::session::column::{Column, Columns};
use crate::session::snapshot::Clock;

/// What a file's columns are.
struct Header {
    record: StringRecord,
    /// By [`Column`], the field's place.
    places: Vec<Option<usize>>,
    columns: Columns,
    /// The clock's name and place.
    clock: Option<(String, usize)>,
}

pub(super) fn read(text: &str, taken_at: Option<Clock>) -> Result<Saved, Fault> {
    let mut lines = Lines::new(text);
    let header_line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let separator = separator(header_line);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut header: Option<Header> = None;
    let mut assembly: Option<(Assembly, Option<Clock>)> = None;
    let mut said: Option<(u64, u64)> = None;
    loop {
        let before = usize::try_from(reader.position().byte()).unwrap_or(text.len());
        let more = reader
            .read_record(&mut record)
            .map_err(|error| Fault::at(lines.line_of(before), Problem::Json(error.to_string())))?;
        if !more {
            break;
        }
        let line = lines.line_of(before);
        if record.as_slice().len() > MAX_ROW_BYTES {
            return Err(Fault::at(line, Problem::RowTooLong));
        }
        let Some(header) = &header else {
            if blank(&record) {
                continue;
            }
            header = Some(Header::read(&record).map_err(|problem| Fault::at(line, problem))?);
            continue;
        };
        if record.len() == header.record.len() && record == header.record || blank(&record) {
            continue;
        }
        if let Some(count) = feedback(&record, header) {
            said = Some((line, count));
            continue;
        }
        if record.len() != header.record.len() {
            return Err(field_count(
                &record,
                header,
                line,
                ends_in_quotes(text, before, separator),
            ));
        }
        if reader.position().byte() as usize >= text.len() && ends_in_quotes(text, before, separator) {
            return Err(Fault::at(line, Problem::CutOff("a quoted field")));
        }
        let shown = header.clock(&record).map_err(|problem| Fault::at(line, problem))?;
        let (assembly, first) =
            assembly.get_or_insert_with(|| (Assembly::new(header.columns, taken_at.or(shown), "line"), shown));
        if *first != shown {
            let problem = Problem::SeveralSnapshots("SYSDATE differs from the rows before".into());
            return Err(Fault::at(line, problem));
        }
        assembly
            .push(line, |column| header.value(&record, column))
            .map_err(|problem| Fault::at(line, problem))?;
    }
    finish(
        assembly.map(|(assembly, _)| assembly),
        said,
        text.ends_with(['\n', '\r']),
    )
}

fn finish(assembly: Option<Assembly>, said: Option<(u64, u64)>, ends_in_line_end: bool) -> Result<Saved, Fault> {
    let Some(assembly) = assembly else {
        return Err(Fault::whole(Problem::NoSessions));
    };
    if let Some((line, said)) = said {
        let found = assembly.rows();
        if said != found as u64 {
            return Err(Fault::at(line, Problem::RowCount { said, found }));
        }
    }
    let mut saved = assembly.finish(Format::Csv, None)?;
    if !ends_in_line_end && said.is_none() {
        // Some tools leave it out, so it is no proof that anything is missing.
        saved.notes.insert(
            0,
            "the last line has no line end: if the file is cut off there, its last session is incomplete".into(),
        );
    }
    Ok(saved)
}

fn field_count(record: &StringRecord, header: &Header, line: u64, in_quotes: bool) -> Fault {
    let (found, expected) = (record.len(), header.record.len());
    Fault::at(
        line,
        if in_quotes && found < expected {
            Problem::CutOff("a quoted field")
        } else {
            Problem::FieldCount { found, expected }
        },
    )
}

impl Header {
    fn read(record: &StringRecord) -> Result<Header, Problem> {
        let mut header = Header {
            record: record.clone(),
            places: vec![None; Column::COUNT],
            columns: Columns::NONE,
            clock: None,
        };
        for (place, name) in record.iter().enumerate() {
            if is_clock(name) {
                // SYSTIMESTAMP says more than SYSDATE.
                if header.clock.is_none() || name.trim().eq_ignore_ascii_case("SYSTIMESTAMP") {
                    header.clock = Some((name.to_owned(), place));
                }
            } else if let Some(column) = session_column(name) {
                if header.places[column as usize].replace(place).is_some() {
                    return Err(Problem::DuplicateColumn(column.name().to_uppercase()));
                }
                header.columns.insert(column);
            }
        }
        if header.columns.contains(Column::Sid) {
            Ok(header)
        } else {
            Err(Problem::NoSid { header: true })
        }
    }

    fn value<'a>(&self, record: &'a StringRecord, column: Column) -> Value<'a> {
        self.places[column as usize]
            .and_then(|place| record.get(place))
            .map_or(Value::Null, value_of)
    }

    fn clock(&self, record: &StringRecord) -> Result<Option<Clock>, Problem> {
        match &self.clock {
            None => Ok(None),
            Some((name, place)) => read_clock(name, record.get(*place).map_or(Value::Null, value_of)),
        }
    }
}

fn value_of(field: &str) -> Value<'_> {
    let is_null = field.is_empty()
        || ["(null)", "null"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(field.trim()));
    if is_null { Value::Null } else { Value::Text(field) }
}

/// The separator that the header holds most of, outside quotes; a comma if it holds none.
fn separator(header: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == byte && !quoted) {
            *count += 1;
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts
        .iter()
        .find(|(_, count)| *count == most)
        .map_or(b',', |(byte, _)| *byte)
}

/// A line of white space alone.
fn blank(record: &StringRecord) -> bool {
    record.len() == 1 && record[0].trim().is_empty()
}

/// SQL*Plus ends with `412 rows selected.` unless told otherwise.
fn feedback(record: &StringRecord, header: &Header) -> Option<u64> {
    if record.len() != 1 || header.record.len() == 1 {
        return None;
    }
    let (count, words) = record[0].trim().split_once(' ')?;
    let is_feedback = matches!(words.trim_end_matches('.'), "row selected" | "rows selected");
    is_feedback.then(|| count.parse().ok()).flatten()
}

/// Whether the text from `start`, where a record begins, ends inside a quoted field. The parser takes the end for a quote.
fn ends_in_quotes(text: &str, start: usize, separator: u8) -> bool {
    enum At {
        FieldStart,
        Plain,
        Quoted,
        /// A quote within quotes: the end of the field, or the first of two.
        Quote,
    }
    let mut at = At::FieldStart;
    for byte in text.as_bytes()[start..].iter().copied() {
        let ends_field = byte == separator || matches!(byte, b'\n' | b'\r');
        at = match (at, byte) {
            (At::FieldStart | At::Quote, b'"') | (At::Quoted, 0..=b'!' | b'#'..) => At::Quoted,
            (At::Quoted, b'"') => At::Quote,
            (At::FieldStart | At::Plain | At::Quote, _) if ends_field => At::FieldStart,
            (At::FieldStart | At::Plain | At::Quote, _) => At::Plain,
        };
    }
    matches!(at, At::Quoted)
}

/// Counts lines as the reading goes on.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        Lines {
            bytes: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    /// The line of the record that begins at or after this byte: line ends before it belong to the record before it.
    fn line_of(&mut self, byte: usize) -> u64 {
        let mut start = byte.min(self.bytes.len());
        while self.bytes.get(start).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            start += 1;
        }
        if start > self.at {
            let passed = &self.bytes[self.at..start];
            self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.at = start;
        }
        self.line
    }
}
