//! Reads JSON: an array of sessions anywhere in the document, or one session after another (JSON Lines).
//!
//! SQLcl and SQL Developer write `{"results":[{"columns":[...],"items":[...]}]}`, ORDS writes `{"items":[...],"hasMore":false}`,
//! DBeaver an array under the text of the query, others only an array. They have one thing in common: objects with a SID are
//! sessions. All sessions must be in one array; a second array would be a second snapshot.
//!
//! The text is parsed twice, first for the columns and the clock, which may be anywhere, then for the values. So only the
//! snapshot is in memory, never a tree of the whole document.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::export::assemble::{Assembly, FieldValue, is_clock, read_taken_at, session_column};
use crate::export::{Format, LineFault, Problem, Saved};
use crate::session::column::{Column, Columns};
use crate::session::snapshot::SnapshotClock;

/// A value that may belong to a session.
#[derive(Clone, Debug)]
enum JsonScalar {
    Null,
    Number(i64),
    Text(String),
    /// An array or an object.
    Nested,
}

impl JsonScalar {
    fn value(&self) -> FieldValue<'_> {
        match self {
            JsonScalar::Null | JsonScalar::Nested => FieldValue::Null,
            JsonScalar::Number(number) => FieldValue::Number(*number),
            JsonScalar::Text(text) if text.is_empty() => FieldValue::Null,
            JsonScalar::Text(text) => FieldValue::Text(text),
        }
    }
}

/// One session.
#[derive(Debug, Default)]
struct JsonRow {
    cells: Vec<(Column, JsonScalar)>,
    clock: Option<(String, JsonScalar)>,
}

/// Receives the rows of a pass.
trait JsonRows {
    fn row(&mut self, number: u64, row: &JsonRow) -> Result<(), Problem>;
}

/// The first pass: which columns there are.
#[derive(Default)]
struct Survey(Columns);

impl JsonRows for Survey {
    fn row(&mut self, _: u64, row: &JsonRow) -> Result<(), Problem> {
        for (column, _) in &row.cells {
            self.0.insert(*column);
        }
        Ok(())
    }
}

/// The second pass: the values.
impl JsonRows for Assembly {
    fn row(&mut self, number: u64, row: &JsonRow) -> Result<(), Problem> {
        let (name, shown) = match &row.clock {
            Some((name, scalar)) => (name.as_str(), scalar.value()),
            None => ("SYSDATE", FieldValue::Null),
        };
        self.clock(name, shown, number)?;
        self.push(number, |wanted| {
            row.cells
                .iter()
                .find(|(column, _)| *column == wanted)
                .map_or(FieldValue::Null, |(_, scalar)| scalar.value())
        })
    }
}

pub(super) fn read(text: &str, taken_at: Option<SnapshotClock>) -> Result<Saved, LineFault> {
    let mut survey = Survey::default();
    let document = pass(text, &mut survey)?;
    if document.more {
        return Err(LineFault::whole(Problem::MorePages));
    }
    if document.listing {
        return Err(LineFault::whole(Problem::Listing));
    }
    if document.home.is_none() {
        return Err(LineFault::whole(if document.others {
            Problem::NoSid { header: false }
        } else {
            Problem::NoSessions
        }));
    }
    let of_document = match &document.taken_at {
        None => None,
        Some(scalar) => read_taken_at(scalar.value()).map_err(LineFault::whole)?,
    };
    let mut assembly = Assembly::new(survey.0, taken_at.or(of_document), "session");
    pass(text, &mut assembly)?;
    if let Some(rest) = assembly.again() {
        assembly = rest;
        pass(text, &mut assembly)?;
    }
    assembly.finish(Format::Json, document.database)
}

/// What is known about the document during a pass.
#[derive(Debug, Default)]
struct JsonDocument {
    database: Option<String>,
    taken_at: Option<JsonScalar>,
    /// Whether ORDS says that there are more pages.
    more: bool,
    /// Whether it is the output of `orareaper sessions`.
    listing: bool,
    /// The number of the array with the sessions; 0 for JSON Lines, where there is no array.
    home: Option<u64>,
    /// The number of arrays so far.
    arrays: u64,
    /// The array of sessions has objects that are not sessions.
    others: bool,
}

/// A pass over the text. A problem of a session is kept in `problem`, because errors of the parser can only be texts.
struct Walk<'a> {
    rows: &'a mut dyn JsonRows,
    document: JsonDocument,
    problem: Option<Problem>,
}

fn pass(text: &str, rows: &mut dyn JsonRows) -> Result<JsonDocument, LineFault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut walk = Walk {
        rows,
        document: JsonDocument::default(),
        problem: None,
    };
    let mut number = 0;
    let read = loop {
        let node = JsonWalker {
            walk: &mut walk,
            whole: true,
        };
        match node.deserialize(&mut deserializer) {
            Err(error) => break Err(error),
            Ok(JsonValue::Scalar(_) | JsonValue::Object(None) | JsonValue::Array) => break deserializer.end(),
            Ok(JsonValue::Object(Some(row))) => {
                number += 1;
                if let Err(error) = walk.session::<serde_json::Error>(0, number, &row) {
                    break Err(error);
                }
                if deserializer.end().is_ok() {
                    break Ok(());
                }
            }
        }
    };
    read.map_err(|error| {
        let line = Some(error.line() as u64).filter(|line| *line > 0);
        let problem = match walk.problem {
            Some(problem) => problem,
            None if error.is_eof() => Problem::CutOff("the JSON"),
            None => Problem::Json(without_place(&error)),
        };
        LineFault { line, problem }
    })?;
    Ok(walk.document)
}

/// The parser's message without its "at line 3 column 4": the line is already at the front.
fn without_place(error: &serde_json::Error) -> String {
    let said = error.to_string();
    match said.rsplit_once(" at line ") {
        Some((words, place)) => {
            let column = place.rsplit(' ').next().unwrap_or_default();
            format!("at column {column}, {words}")
        }
        None => said,
    }
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        let error = E::custom(&problem);
        self.problem = Some(problem);
        error
    }

    /// Takes a value that does not belong to a session.
    fn around(&mut self, whole: bool, key: &str, value: JsonScalar) {
        self.document.listing |= whole && key == "hidden_background";
        if whole && key.eq_ignore_ascii_case("taken_at") {
            self.document.taken_at = Some(value);
        } else if let JsonScalar::Text(text) = value {
            if whole && key.eq_ignore_ascii_case("database") {
                self.document.database = Some(text);
            } else if key == "hasMore" {
                self.document.more |= text == "true";
            }
        }
    }

    /// Takes an object that is a session, with its number in the array.
    fn session<E: serde::de::Error>(&mut self, array: u64, number: u64, row: &JsonRow) -> Result<(), E> {
        match self.document.home {
            None => self.document.home = Some(array),
            Some(home) if home == array => {}
            Some(_) => {
                let problem = Problem::SeveralSnapshots("a second array of sessions begins here".into());
                return Err(self.refuse(problem));
            }
        }
        self.rows.row(number, row).map_err(|problem| self.refuse(problem))
    }
}

/// A parsed value.
enum JsonValue {
    Scalar(JsonScalar),
    /// An object; it is a session if it has a SID.
    Object(Option<JsonRow>),
    Array,
}

impl JsonValue {
    fn scalar(self) -> JsonScalar {
        match self {
            JsonValue::Scalar(scalar) => scalar,
            JsonValue::Object(_) | JsonValue::Array => JsonScalar::Nested,
        }
    }
}

/// Parses any value and everything that is nested in it.
struct JsonWalker<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// Whether it is the whole document.
    whole: bool,
}

impl<'a> JsonWalker<'_, 'a> {
    fn inside(&mut self) -> JsonWalker<'_, 'a> {
        JsonWalker {
            walk: self.walk,
            whole: false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for JsonWalker<'_, '_> {
    type Value = JsonValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonWalker<'_, '_> {
    type Value = JsonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a saved snapshot")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<JsonValue, A::Error> {
        self.walk.document.arrays += 1;
        let array = self.walk.document.arrays;
        let (mut number, mut others) = (0, 0_u64);
        while let Some(element) = elements.next_element_seed(self.inside())? {
            match element {
                JsonValue::Object(Some(row)) => {
                    number += 1;
                    self.walk.session::<A::Error>(array, number, &row)?;
                }
                JsonValue::Object(None) => others += 1,
                JsonValue::Scalar(_) | JsonValue::Array => {}
            }
        }
        if number > 0 && others > 0 {
            return Err(self.walk.refuse(Problem::AmongSessions(others)));
        }
        self.walk.document.others |= others > 0;
        Ok(JsonValue::Array)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<JsonValue, A::Error> {
        let mut row = JsonRow::default();
        let mut seen = Columns::NONE;
        while let Some(key) = map.next_key::<String>()? {
            let column = session_column(&key);
            if column.is_some_and(|column| seen.contains(column)) {
                return Err(A::Error::custom(format!("a session has the key {key} twice")));
            }
            let value = map.next_value_seed(self.inside())?.scalar();
            if let Some(column) = column {
                seen.insert(column);
                row.cells.push((column, value));
            } else if is_clock(&key) {
                row.clock = Some((key.trim().to_uppercase(), value));
            } else {
                self.walk.around(self.whole, &key, value);
            }
        }
        Ok(JsonValue::Object(seen.contains(Column::Sid).then_some(row)))
    }

    fn visit_unit<E>(self) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(JsonScalar::Null))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(JsonScalar::Text(truth.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(JsonScalar::Number(number)))
    }

    /// A number of more than 63 bits is reported as unreadable, as a text is.
    fn visit_u64<E>(self, number: u64) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(i64::try_from(number).map_or_else(
            |_| JsonScalar::Text(number.to_string()),
            JsonScalar::Number,
        )))
    }

    /// No column has fractions, and a number with an exponent may be rounded. As a text it is reported as unreadable.
    fn visit_f64<E>(self, number: f64) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(JsonScalar::Text(format!("{number:?}"))))
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(JsonScalar::Text(text.to_owned())))
    }
}
