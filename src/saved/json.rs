//! JSON: an array of sessions, or an object around one.
//!
//! The text is gone over twice, once for the columns and the clock (either may stand anywhere) and once for the values, so
//! that only the snapshot is held in memory and never a tree of the whole file.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::saved::assemble::{Assembly, Value, is_clock, read_clock, session_column};
use crate::saved::{Fault, Format, Problem, Saved};
use crate::session::column::{Column, Columns};
use crate::session::snapshot::Clock;

/// A value of a session, as far as it can be one.
#[derive(Clone, Debug)]
enum Scalar {
    Null,
    Number(i64),
    Text(String),
}

impl Scalar {
    fn value(&self) -> Value<'_> {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Number(number) => Value::Number(*number),
            Scalar::Text(text) if text.is_empty() => Value::Null,
            Scalar::Text(text) => Value::Text(text),
        }
    }
}

/// One session.
#[derive(Debug, Default)]
struct Row {
    cells: Vec<(Column, Scalar)>,
    clock: Option<(String, Scalar)>,
}

/// What is wanted of the rows.
trait Rows {
    fn row(&mut self, number: u64, row: &Row) -> Result<(), Problem>;
}

/// First time: which columns there are, and the clock.
#[derive(Default)]
struct Survey {
    columns: Columns,
    clock: Option<Option<Clock>>,
}

impl Rows for Survey {
    fn row(&mut self, _: u64, row: &Row) -> Result<(), Problem> {
        for (column, _) in &row.cells {
            self.columns.insert(*column);
        }
        let shown = match &row.clock {
            None => None,
            Some((name, scalar)) => read_clock(name, scalar.value())?,
        };
        match self.clock {
            None => self.clock = Some(shown),
            Some(first) if first == shown => {}
            Some(_) => {
                return Err(Problem::SeveralSnapshots(
                    "SYSDATE differs from the sessions before".into(),
                ));
            }
        }
        Ok(())
    }
}

/// Second time: the values.
impl Rows for Assembly {
    fn row(&mut self, number: u64, row: &Row) -> Result<(), Problem> {
        self.push(number, |wanted| {
            row.cells
                .iter()
                .find(|(column, _)| *column == wanted)
                .map_or(Value::Null, |(_, scalar)| scalar.value())
        })
    }
}

pub(super) fn read(text: &str, taken_at: Option<Clock>) -> Result<Saved, Fault> {
    let mut survey = Survey::default();
    let document = pass(text, &mut survey)?;
    if document.rows == 0 {
        return Err(Fault::whole(Problem::NoSessions));
    }
    if !survey.columns.contains(Column::Sid) {
        return Err(Fault::whole(Problem::NoSid { header: false }));
    }
    let of_document = match &document.taken_at {
        None => None,
        Some(scalar) => read_clock("taken_at", scalar.value()).map_err(Fault::whole)?,
    };
    let clock = taken_at.or(of_document).or(survey.clock.flatten());
    let mut assembly = Assembly::new(survey.columns, clock, "session");
    pass(text, &mut assembly)?;
    assembly.finish(Format::Json, document.database)
}

/// What stands around the sessions.
#[derive(Debug, Default)]
struct Document {
    database: Option<String>,
    taken_at: Option<Scalar>,
    rows: u64,
}

fn pass(text: &str, rows: &mut dyn Rows) -> Result<Document, Fault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut problem = None;
    let reader = DocumentReader {
        rows,
        problem: &mut problem,
    };
    let read = reader
        .deserialize(&mut deserializer)
        .and_then(|document| deserializer.end().map(|()| document));
    read.map_err(|error| {
        let line = Some(error.line() as u64).filter(|line| *line > 0);
        let problem = match problem {
            Some(problem) => problem,
            None if error.is_eof() => Problem::CutOff("the JSON"),
            None => Problem::Json(without_place(&error)),
        };
        Fault { line, problem }
    })
}

/// The parser's words without its own "at line 3 column 4", which stands in front already.
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

struct DocumentReader<'a> {
    rows: &'a mut dyn Rows,
    /// The parser carries texts alone, so what is wrong is left here.
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for DocumentReader<'_> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DocumentReader<'_> {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a saved snapshot")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sessions: A) -> Result<Document, A::Error> {
        let rows = read_sessions(sessions, self.rows, self.problem)?;
        Ok(Document {
            rows,
            ..Document::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        let mut sessions_seen = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.to_ascii_lowercase().as_str() {
                "database" => document.database = map.next_value()?,
                "taken_at" => document.taken_at = Some(map.next_value_seed(ScalarReader)?),
                "sessions" if sessions_seen => return Err(A::Error::custom("`sessions` is there twice")),
                "sessions" => {
                    sessions_seen = true;
                    document.rows = map.next_value_seed(Sessions {
                        rows: self.rows,
                        problem: self.problem,
                    })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if sessions_seen {
            Ok(document)
        } else {
            Err(A::Error::custom("an object without `sessions`"))
        }
    }
}

struct Sessions<'a> {
    rows: &'a mut dyn Rows,
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Sessions<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Sessions<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of sessions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sessions: A) -> Result<u64, A::Error> {
        read_sessions(sessions, self.rows, self.problem)
    }
}

fn read_sessions<'de, A: SeqAccess<'de>>(
    mut sessions: A,
    rows: &mut dyn Rows,
    problem: &mut Option<Problem>,
) -> Result<u64, A::Error> {
    let mut number = 0;
    while sessions
        .next_element_seed(Session {
            number: number + 1,
            rows: &mut *rows,
            problem: &mut *problem,
        })?
        .is_some()
    {
        number += 1;
    }
    Ok(number)
}

struct Session<'a> {
    number: u64,
    rows: &'a mut dyn Rows,
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Session<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Session<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session: an object of column names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut row = Row::default();
        let mut seen = Columns::NONE;
        while let Some(key) = map.next_key::<String>()? {
            if is_clock(&key) {
                row.clock = Some((key, map.next_value_seed(ScalarReader)?));
            } else if let Some(column) = session_column(&key) {
                if seen.contains(column) {
                    return Err(A::Error::custom(format!("{key} is there twice in one session")));
                }
                seen.insert(column);
                row.cells.push((column, map.next_value_seed(ScalarReader)?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        self.rows.row(self.number, &row).map_err(|found| {
            let error = A::Error::custom(&found);
            *self.problem = Some(found);
            error
        })
    }
}

struct ScalarReader;

impl<'de> DeserializeSeed<'de> for ScalarReader {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ScalarReader {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, a text or null")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    /// Beyond 63 bits it cannot be held, and is NULL.
    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number).map_or(Scalar::Null, Scalar::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }
}
