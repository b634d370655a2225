//! Reads CSV as SQL tools export it, and the spools of SQL*Plus.

use csv::StringRecord;

use crate::export::assemble::{Assembly, FieldValue, is_clock};
use crate::export::spool::{self, Heading, NoHeading};
use crate::export::{Format, LineFault, MAX_ROW_BYTES, Problem, Saved};
use crate::session::column::{Column, Columns};
use crate::session::snapshot::SnapshotClock;

/// The columns of a file.
struct HeaderRow {
    record: StringRecord,
    heading: Heading,
    /// The number of the field for each [`Column`].
    places: Vec<Option<usize>>,
    columns: Columns,
    /// The name and the field number of the clock.
    clock: Option<(String, usize)>,
    listed: Option<ListingColumns>,
}

/// The kinds of lines.
enum SpoolLine {
    Session,
    /// The heading of another page, an underline, or an empty line.
    Layout,
    /// The end of the result, with the row count if there is one.
    End(Option<u64>),
    Other,
}

pub(super) fn read(text: &str, taken_at: Option<SnapshotClock>) -> Result<Saved, LineFault> {
    let heading = Heading::find(text).map_err(|missing| match missing {
        NoHeading::NoSid { line } => match spool::first_message(text) {
            Some((line, message)) => LineFault::at(line, failed_with(message)),
            None => match spool::nothing_found(text) {
                Some(line) => LineFault::at(line, Problem::NoSessions),
                None => LineFault::at(line, Problem::NoSid { header: true }),
            },
        },
        NoHeading::FixedWidth { line } => LineFault::at(line, Problem::FixedWidth),
    })?;
    let mut lines = SpoolLines::new(text);
    let start = heading.start;
    let header = HeaderRow::read(text, heading).map_err(|problem| LineFault::at(lines.line_of(start), problem))?;
    let assembly = pass(text, &header, Assembly::new(header.columns, taken_at, "line"))?;
    let mut assembly = match assembly.again() {
        None => assembly,
        Some(rest) => pass(text, &header, rest)?,
    };
    if header.listed.is_some() {
        assembly.note(
            "`orareaper sessions` wrote the file, which leaves out most columns and every session that was filtered out: what is \
             missing is unknown, and shares and floors count only the sessions in it"
                .into(),
        );
    }
    assembly.finish(Format::Csv, None)
}

/// Reads all lines once.
fn pass(text: &str, header: &HeaderRow, mut assembly: Assembly) -> Result<Assembly, LineFault> {
    let mut lines = SpoolLines::new(text);
    let (heading, start) = (&header.heading, header.heading.start);
    let mut reader = header.heading.reader(&text[start..]);
    let mut record = StringRecord::new();
    let mut end: Option<(u64, Option<u64>)> = None;
    let mut first = true;
    loop {
        let before = start + usize::try_from(reader.position().byte()).unwrap_or(text.len());
        let more = reader
            .read_record(&mut record)
            .map_err(|error| LineFault::at(lines.line_of(before), Problem::Json(error.to_string())))?;
        if !more {
            break;
        }
        let line = lines.line_of(before);
        if record.as_slice().len() > MAX_ROW_BYTES {
            return Err(LineFault::at(line, Problem::RowTooLong));
        }
        if std::mem::take(&mut first) {
            continue;
        }
        match (header.line(&record), end) {
            (SpoolLine::Layout, None) => {}
            (SpoolLine::End(count), None) => end = Some((line, count)),
            (SpoolLine::End(count), Some((said, None))) => end = Some((said, count)),
            (SpoolLine::Session, Some((said, _))) => {
                let problem = format!("there is a session after the end of the result in line {said}");
                return Err(LineFault::at(line, Problem::SeveralSnapshots(problem)));
            }
            (SpoolLine::Layout, Some(_)) if header.is_repeated(&record) => {
                return Err(LineFault::at(
                    line,
                    Problem::SeveralSnapshots("a second result begins here".into()),
                ));
            }
            (SpoolLine::End(_) | SpoolLine::Layout | SpoolLine::Other, Some(_)) => {}
            (SpoolLine::Other, None) => {
                if let Some((below, message)) = spool::message_near(text[before..].trim_start()) {
                    return Err(LineFault::at(line + below - 1, failed_with(message)));
                }
                let in_quotes = !heading.padded && ends_in_quotes(text, before, heading.separator);
                let at_end = text[start + usize::try_from(reader.position().byte()).unwrap_or(0)..]
                    .trim()
                    .is_empty();
                return Err(field_count(&record, header, line, in_quotes, at_end));
            }
            (SpoolLine::Session, None) => {
                let at_end = start + reader.position().byte() as usize >= text.len();
                if at_end && !heading.padded && ends_in_quotes(text, before, heading.separator) {
                    return Err(LineFault::at(line, Problem::CutOff("a quoted field")));
                }
                header
                    .session(&record, line, &mut assembly)
                    .map_err(|problem| LineFault::at(line, problem))?;
            }
        }
    }
    if assembly.rows() == 0
        && let Some((line, message)) = spool::first_message(&text[start..])
    {
        let above = text[..start].bytes().filter(|byte| *byte == b'\n').count() as u64;
        return Err(LineFault::at(above + line, failed_with(message)));
    }
    checked(assembly, end, text.ends_with(['\n', '\r']))
}

/// The query failed: its message, shortened, without what a terminal would act on.
fn failed_with(message: &str) -> Problem {
    Problem::Failed(message.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Compares the row count in the file with the number of rows that were read.
fn checked(
    mut assembly: Assembly,
    end: Option<(u64, Option<u64>)>,
    ends_in_line_end: bool,
) -> Result<Assembly, LineFault> {
    let found = assembly.rows();
    if found == 0 {
        return Err(LineFault::whole(Problem::NoSessions));
    }
    match end {
        Some((line, Some(said))) if said != found as u64 => Err(LineFault::at(line, Problem::RowCount { said, found })),
        Some(_) => Ok(assembly),
        None => {
            if !ends_in_line_end {
                // Some tools write no line end, so it does not prove that something is missing.
                assembly.note(
                    "the last line has no line end: if the file is cut off there, the last session is incomplete"
                        .into(),
                );
            }
            Ok(assembly)
        }
    }
}

fn field_count(record: &StringRecord, header: &HeaderRow, line: u64, in_quotes: bool, at_end: bool) -> LineFault {
    let (found, expected) = (record.len(), header.record.len());
    LineFault::at(
        line,
        if in_quotes && found < expected {
            Problem::CutOff("a quoted field")
        } else {
            Problem::FieldCount {
                found,
                expected,
                padded: header.heading.padded,
                at_end,
            }
        },
    )
}

impl Heading {
    fn reader<'a>(&self, text: &'a str) -> csv::Reader<&'a [u8]> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.separator)
            .quoting(!self.padded)
            .from_reader(text.as_bytes())
    }
}

/// The places of two columns that only the output of `orareaper sessions --format csv` has.
struct ListingColumns {
    database: usize,
    taken_at: usize,
}

impl ListingColumns {
    fn find(record: &StringRecord) -> Option<ListingColumns> {
        let place = |wanted: &str| record.iter().position(|name| name == wanted);
        place("values").and(place("policies"))?;
        Some(ListingColumns {
            database: place("database")?,
            taken_at: place("taken_at")?,
        })
    }
}

impl HeaderRow {
    fn read(text: &str, heading: Heading) -> Result<HeaderRow, Problem> {
        let mut record = StringRecord::new();
        heading
            .reader(&text[heading.start..])
            .read_record(&mut record)
            .map_err(|error| Problem::Json(error.to_string()))?;
        let mut places = vec![None; Column::COUNT];
        let mut columns = Columns::NONE;
        let mut clock: Option<(String, usize)> = None;
        let listed = ListingColumns::find(&record);
        for (place, name) in record.iter().enumerate() {
            if listed.as_ref().is_some_and(|listed| listed.taken_at == place) {
                clock = Some(("TAKEN_AT".to_owned(), place));
            } else if is_clock(name) {
                // SYSTIMESTAMP has an offset, SYSDATE has none.
                if clock.is_none() || name.trim().eq_ignore_ascii_case("SYSTIMESTAMP") {
                    clock = Some((name.trim().to_uppercase(), place));
                }
            } else if let Some(column) = heading.column(place, name) {
                if places[column as usize].replace(place).is_some() {
                    return Err(Problem::DuplicateColumn(column.name().to_uppercase()));
                }
                columns.insert(column);
            }
        }
        Ok(HeaderRow {
            record,
            heading,
            places,
            columns,
            clock,
            listed,
        })
    }

    fn line(&self, record: &StringRecord) -> SpoolLine {
        let whole = record.len() == self.record.len();
        let sid = self.places[Column::Sid as usize].and_then(|place| record.get(place));
        let numbered = sid.is_some_and(|sid| sid.trim().parse::<u32>().is_ok());
        if whole && numbered {
            return SpoolLine::Session;
        }
        if is_blank(record) || self.is_repeated(record) || spool::is_underline(record.iter()) {
            return SpoolLine::Layout;
        }
        let first = record.get(0);
        if first.is_some_and(|first| spool::is_prompt(first) || spool::is_farewell(first)) {
            return SpoolLine::End(None);
        }
        if record.len() == 1
            && let Some(line) = record.get(0)
        {
            if let Some(count) = spool::feedback(line) {
                return SpoolLine::End(Some(count));
            }
            if spool::is_timing(line) {
                return SpoolLine::End(None);
            }
        }
        // A complete line whose SID is wrong is reported for that value.
        if whole { SpoolLine::Session } else { SpoolLine::Other }
    }

    fn is_repeated(&self, record: &StringRecord) -> bool {
        record.len() == self.record.len()
            && record
                .iter()
                .zip(self.record.iter())
                .all(|(one, other)| one.trim() == other.trim())
    }

    fn session(&self, record: &StringRecord, line: u64, assembly: &mut Assembly) -> Result<(), Problem> {
        if let Some((name, place)) = &self.clock {
            assembly.clock(name, self.value_of(record.get(*place).unwrap_or_default()), line)?;
        }
        if let Some(listed) = &self.listed {
            assembly.of_database(record.get(listed.database).unwrap_or_default())?;
        }
        assembly.push(line, |column| {
            self.places[column as usize]
                .and_then(|place| record.get(place))
                .map_or(FieldValue::Null, |field| self.value_of(field))
        })
    }

    fn value_of<'a>(&self, field: &'a str) -> FieldValue<'a> {
        let bare = field.trim();
        let is_null = field.is_empty()
            || ["(null)", "null", "[null]", "<null>"]
                .iter()
                .any(|word| word.eq_ignore_ascii_case(bare));
        if is_null || self.heading.padded && bare.is_empty() {
            FieldValue::Null
        } else if self.heading.padded {
            FieldValue::Text(bare)
        } else {
            FieldValue::Text(field)
        }
    }
}

/// Whether a line is only white space.
fn is_blank(record: &StringRecord) -> bool {
    record.len() == 1 && record[0].trim().is_empty()
}

/// Whether the text from `start`, where a record begins, ends inside a quoted field. The parser treats the end as a quote.
fn ends_in_quotes(text: &str, start: usize, separator: u8) -> bool {
    enum At {
        FieldStart,
        Plain,
        Quoted,
        /// A quote in a quoted field: the end of the field, or the first of two quotes.
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

/// Counts lines during reading.
struct SpoolLines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> SpoolLines<'a> {
    fn new(text: &'a str) -> SpoolLines<'a> {
        SpoolLines {
            bytes: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    /// The line of the record that begins at or after a byte. Line ends at that byte belong to the record before it.
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
