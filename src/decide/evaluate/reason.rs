//! Says why a condition is TRUE for a session, in the words of the condition and with the session's values.
//!
//! A reason names the terms that make the condition TRUE. Terms about time come first and are usually enough: "INACTIVE for 5h
//! 12m, longer than 4h" says more than the ten names that a list excludes. Without such terms, the other comparisons are named.

use crate::decide::evaluate::truth::Truth;
use crate::decide::evaluate::{evaluate, unknown_columns};
use crate::policy::condition::{Comparison, Condition, Constant, Operand, Phrase};
use crate::quantity::{Bytes, Span};
use crate::session::column::{Column, Kind};
use crate::session::snapshot::{Field, Snapshot};
use crate::session::time::DbTime;

/// Why the condition is TRUE for a row; an empty text if it is not.
#[must_use]
pub(crate) fn reason(condition: &Condition, snapshot: &Snapshot, row: usize) -> String {
    said(condition, snapshot, row, false)
}

/// The same where STATUS and for how long it has lasted stand beside it, and need not be said again.
#[must_use]
pub(crate) fn reason_beside_status(condition: &Condition, snapshot: &Snapshot, row: usize) -> String {
    said(condition, snapshot, row, true)
}

/// Which values leave the condition UNKNOWN for a row; `None` if it is not.
#[must_use]
pub(crate) fn unknown(condition: &Condition, snapshot: &Snapshot, row: usize) -> Option<String> {
    let one = snapshot.only(row);
    let columns = unknown_columns(condition, &one);
    let why = |column: Column| match one.field(0, column) {
        Field::Missing => format!("{} was not read", column.name()),
        Field::Null if column.is_never_null() => format!("{} is unknown", column.name()),
        Field::Null => format!("{} is NULL", column.name()),
        Field::Text(_) | Field::Number(_) => format!("{} is not completely readable", column.name()),
    };
    let each: Vec<String> = columns.iter().map(why).collect();
    (evaluate(condition, &one).get(0) == Truth::Unknown).then(|| each.join(", "))
}

fn said(condition: &Condition, snapshot: &Snapshot, row: usize, beside_status: bool) -> String {
    let one = snapshot.only(row);
    if evaluate(condition, &one).get(0) != Truth::True {
        return String::new();
    }
    let mut terms = Phrases {
        one: &one,
        beside_status,
        spans: Vec::new(),
        others: Vec::new(),
    };
    terms.collect(condition);
    let said = if terms.spans.is_empty() {
        terms.others
    } else {
        terms.spans
    };
    if said.is_empty() {
        "the condition holds".into()
    } else {
        said.join(", and ")
    }
}

struct Phrases<'a> {
    /// A snapshot with only the session.
    one: &'a Snapshot,
    /// Its STATUS and how long that has lasted are known to the reader.
    beside_status: bool,
    spans: Vec<String>,
    others: Vec<String>,
}

impl Phrases<'_> {
    fn collect(&mut self, condition: &Condition) {
        match condition {
            Condition::And(terms) => terms.iter().for_each(|term| self.collect(term)),
            Condition::Or(terms) => {
                let held = terms.iter().find(|term| evaluate(term, self.one).get(0) == Truth::True);
                if let Some(term) = held {
                    self.collect(term);
                }
            }
            Condition::Named(_, inner) => self.collect(inner),
            Condition::Phrase(phrase) => self.phrase(phrase),
            Condition::Compare {
                left: Operand::Column(column),
                op,
                right: Operand::Literal(value),
            } => {
                self.compare(*column, *op, value);
            }
            Condition::In {
                operand: Operand::Column(column),
                ..
            }
            | Condition::Like {
                operand: Operand::Column(column),
                ..
            }
            | Condition::Matches {
                operand: Operand::Column(column),
                ..
            }
            | Condition::Between {
                operand: Operand::Column(column),
                ..
            } => {
                let said = format!("{} is {}", column.name(), self.value(*column));
                self.others.push(said);
            }
            Condition::IsNull(Operand::Column(column)) => self.others.push(format!("{} is null", column.name())),
            // Exclusions and comparisons of constants or of two columns explain little.
            Condition::Not(_)
            | Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::Between { .. }
            | Condition::IsNull(Operand::Literal(_)) => {}
        }
    }

    fn value(&self, column: Column) -> String {
        shown(column, self.one.field(0, column))
    }

    fn longer(&mut self, what: &str, column: Column, than: i64) {
        let said = format!("{what} for {}, longer than {}", self.value(column), Span(than));
        self.spans.push(said);
    }

    fn phrase(&mut self, phrase: &Phrase) {
        match phrase {
            Phrase::Status {
                status,
                longer_than: Some(than),
            } if self.beside_status => self
                .spans
                .push(format!("{} longer than {}", status.name(), Span(*than))),
            Phrase::Status {
                status,
                longer_than: Some(than),
            } => self.longer(status.name(), Column::LastCallEt, *than),
            Phrase::Status {
                status,
                longer_than: None,
            } => self.others.push(format!("{} now", status.name())),
            Phrase::Connected { longer_than } => self.longer("connected", Column::Connected, *longer_than),
            Phrase::InTransaction {
                longer_than: Some(than),
            } => {
                self.longer("in transaction", Column::TransactionAge, *than);
            }
            Phrase::InTransaction { longer_than: None } => self.others.push("in transaction".into()),
            Phrase::Blocking { longer_than, .. } => {
                let count = self.value(Column::Blocking);
                let sessions = if count == "1" { "session" } else { "sessions" };
                let blocked = format!("blocks {count} {sessions}");
                match longer_than {
                    Some(than) => {
                        let longest = self.value(Column::BlockingFor);
                        self.spans.push(format!(
                            "{blocked}, one of them for {longest}, longer than {}",
                            Span(*than)
                        ));
                    }
                    None => self.spans.push(blocked),
                }
            }
            Phrase::Blocked {
                longer_than: Some(than),
            } => self.longer("blocked", Column::Waited, *than),
            Phrase::Blocked { longer_than: None } => self.others.push("blocked".into()),
            Phrase::Background => self.others.push("a background process".into()),
            Phrase::Server(server) => self.others.push(format!("served by a {} server", server.name())),
        }
    }

    fn compare(&mut self, column: Column, op: Comparison, value: &Constant) {
        let held = self.value(column);
        match value {
            Constant::Duration(seconds) => {
                self.spans
                    .push(format!("{} {held}, {} {}", column.name(), worded(op), Span(*seconds)));
            }
            Constant::Size(bytes) => {
                self.spans
                    .push(format!("{} {held}, {} {}", column.name(), worded(op), Bytes(*bytes)));
            }
            Constant::Number(number) => {
                self.others
                    .push(format!("{} {held}, {} {number}", column.name(), worded(op)));
            }
            Constant::Text(_) => self.others.push(format!("{} is {held}", column.name())),
        }
    }
}

const fn worded(op: Comparison) -> &'static str {
    match op {
        Comparison::Equal => "equal to",
        Comparison::NotEqual => "not",
        Comparison::Less => "below",
        Comparison::LessOrEqual => "at most",
        Comparison::Greater => "more than",
        Comparison::GreaterOrEqual => "at least",
    }
}

/// The value of a column in readable form.
#[must_use]
pub(crate) fn shown(column: Column, field: Field<'_>) -> String {
    match field {
        Field::Missing => "unknown".into(),
        Field::Null if column.is_never_null() => "unknown".into(),
        Field::Null => "null".into(),
        Field::Text(text) => text.into(),
        Field::Number(number) => match column.kind() {
            Kind::Duration => Span(number / column.per_second()).to_string(),
            Kind::Size => Bytes(number).to_string(),
            Kind::Time => DbTime(number).to_string(),
            Kind::Text | Kind::Number => number.to_string(),
        },
    }
}
