//! Warns of constants that do not mean what they seem to mean: a word without quotes, which is read in upper case, and an
//! amount without a unit. Both can be seen only in the text of a condition: once it is resolved, `web01` and `'WEB01'` are
//! the same.

use std::ops::Range;

use super::Clause;
use super::findings::Findings;
use crate::policy::ast::{Expr, ExprKind, Term, TermKind, Values};
use crate::policy::condition::Comparison;
use crate::policy::lex::Mistake;
use crate::policy::resolve::Definitions;
use crate::quantity::{Bytes, Span};
use crate::session::column::{Column, Kind, Source};
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::{Severity, quoted};

/// The code of a condition that mixes AND and OR on one level.
pub(crate) const AND_OR_MIXED: &str = "and-or-mixed";

/// What can be seen only in the text of a condition.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Warnings and errors.
    pub(crate) found: Findings,
    /// A word without quotes whose lower-case letters became upper case, here or in a named condition that is used here.
    pub(crate) folded: Option<String>,
}

/// Looks for such constants. A word whose lower-case letters become upper case is an error where it decides who is spared.
pub(crate) fn judge_text(text: &str, expr: &Expr, definitions: &Definitions, place: Clause) -> Written {
    let mut reader = WrittenReader {
        text,
        definitions,
        place,
        written: Written::default(),
    };
    reader.expr(expr, true);
    reader.written
}

struct WrittenReader<'a> {
    text: &'a str,
    definitions: &'a Definitions,
    place: Clause,
    written: Written,
}

impl WrittenReader<'_> {
    fn expr(&mut self, expr: &Expr, positive: bool) {
        match &expr.kind {
            ExprKind::And(parts) => parts.iter().for_each(|part| self.expr(part, positive)),
            ExprKind::Or(parts) => {
                self.mixed(expr, parts);
                parts.iter().for_each(|part| self.expr(part, positive));
            }
            ExprKind::Not(inner) => self.expr(inner, !positive),
            ExprKind::Compare { left, op, right } => {
                let positive = positive != (*op == Comparison::NotEqual);
                self.term(left, right, positive);
                self.term(right, left, positive);
            }
            ExprKind::In { operand, values } => match values {
                Values::These(terms) => terms.iter().for_each(|term| self.term(operand, term, positive)),
                Values::List { name, at } => self.list(operand, name, at, positive),
            },
            ExprKind::Between { operand, low, high } => {
                self.term(operand, low, positive);
                self.term(operand, high, positive);
            }
            ExprKind::Like { operand, pattern, .. } | ExprKind::Matches { operand, pattern } => {
                self.pattern(operand, pattern, positive);
            }
            ExprKind::Named(name) => self.named(name, &expr.at, positive),
            ExprKind::IsNull(_) | ExprKind::Phrase(_) | ExprKind::Broken => {}
        }
    }

    /// Warns of AND and OR on one level: AND binds more tightly, so `A and B or C` also takes what C alone holds for. The place of an
    /// AND in parentheses includes them.
    fn mixed(&mut self, expr: &Expr, parts: &[Expr]) {
        let is_bare = |part: &&Expr| match &part.kind {
            ExprKind::And(inner) => {
                inner.first().is_some_and(|first| first.at.start == part.at.start)
                    || inner.last().is_some_and(|last| last.at.end == part.at.end)
            }
            ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::Compare { .. }
            | ExprKind::In { .. }
            | ExprKind::Between { .. }
            | ExprKind::Like { .. }
            | ExprKind::Matches { .. }
            | ExprKind::IsNull(_)
            | ExprKind::Phrase(_)
            | ExprKind::Named(_)
            | ExprKind::Broken => false,
        };
        if !parts.iter().any(|part| is_bare(&part)) {
            return;
        }
        let shown = parts.iter().map(|part| {
            let text = self.text.get(part.at.clone()).unwrap_or_default();
            if is_bare(&part) {
                format!("({text})")
            } else {
                text.to_owned()
            }
        });
        let shown = shown.collect::<Vec<String>>().join(" or ");
        let message = format!("`and` binds before `or`, so this means {}", visible(&shown));
        let mistake = Mistake::new(expr.at.clone(), AND_OR_MIXED, message).hint(
            "put parentheses where they are meant, also if this is right: around each `and`, or around each `or`",
        );
        self.written.found.push((Severity::Warning, mistake));
    }

    /// An error if a mistake here can end sessions that the author wanted to spare, else a warning.
    fn severity(&self, positive: bool) -> Severity {
        match self.place {
            Clause::Unless | Clause::Exemption => Severity::Error,
            Clause::When | Clause::WhenReporting if !positive => Severity::Error,
            Clause::When | Clause::WhenReporting | Clause::Definition => Severity::Warning,
        }
    }

    fn term(&mut self, operand: &Term, value: &Term, positive: bool) {
        let Some(column) = column_of(operand) else { return };
        match &value.kind {
            TermKind::Word(word) if Column::named(word).is_none() => {
                self.word(column, word, None, &value.at, positive);
            }
            TermKind::Number(number) => self.amount(column, *number, &value.at),
            TermKind::Word(_)
            | TermKind::Text(_)
            | TermKind::Duration(_)
            | TermKind::Size(_)
            | TermKind::Percent(_) => {}
        }
    }

    /// In a pattern, a word is never a column.
    fn pattern(&mut self, operand: &Term, pattern: &Term, positive: bool) {
        if let (Some(column), TermKind::Word(word)) = (column_of(operand), &pattern.kind) {
            self.word(column, word, None, &pattern.at, positive);
        }
    }

    fn list(&mut self, operand: &Term, name: &str, at: &Range<usize>, positive: bool) {
        let Some(column) = column_of(operand) else { return };
        let values = self.definitions.lists.get(name).and_then(Option::as_ref);
        for value in values.into_iter().flatten() {
            if let TermKind::Word(word) = value
                && self.word(column, word, Some(name), at, positive)
            {
                return;
            }
        }
    }

    /// Reports a word whose lower-case letters become upper case, if the column's values can have lower-case letters.
    fn word(&mut self, column: Column, word: &str, list: Option<&str>, at: &Range<usize>, positive: bool) -> bool {
        let lost = word.chars().any(char::is_lowercase) && keeps_case(column) && column.listed(word).is_none();
        if lost {
            let within = list.map_or(String::new(), |list| format!("in the list `@{list}`: "));
            let message = format!(
                "{within}{} without quotes means '{}', but `{}` keeps lower-case letters",
                quoted(word),
                word.to_uppercase(),
                column.name()
            );
            let hint = match list {
                None => format!("write '{word}'"),
                Some(_) => format!("write '{word}' in the list, in quotes"),
            };
            let mistake = Mistake::new(at.clone(), "unquoted-text", message).hint(hint);
            self.written.found.push((self.severity(positive), mistake));
            self.written.folded.get_or_insert_with(|| word.to_owned());
        }
        lost
    }

    /// Reports a named condition that contains such a word. Its definition gave a warning; where the condition decides who is
    /// spared, it is an error.
    fn named(&mut self, name: &str, at: &Range<usize>, positive: bool) {
        let Some(word) = self.definitions.folded.get(name) else {
            return;
        };
        self.written.folded.get_or_insert_with(|| word.clone());
        if self.severity(positive) == Severity::Error {
            let message = format!(
                "the condition `@{name}` contains {} without quotes, which means '{}'",
                quoted(word),
                word.to_uppercase()
            );
            let mistake = Mistake::new(at.clone(), "unquoted-text", message)
                .hint(format!("write '{word}' where `{name}` is defined"));
            self.written.found.push((Severity::Error, mistake));
        }
    }

    /// Warns of a number without a unit. Columns of GV$SESSION itself are numbers in Oracle too, and zero needs no unit.
    fn amount(&mut self, column: Column, number: i64, at: &Range<usize>) {
        if column.source() == Source::Session || number <= 0 {
            return;
        }
        let (unit, hint) = match column.kind() {
            Kind::Duration => (
                "second",
                format!(
                    "write `{}`, or the unit that is meant: `{number}h`",
                    Span(number).in_full()
                ),
            ),
            Kind::Size => (
                "byte",
                format!(
                    "write `{}`, or the unit that is meant: `{number}GB`",
                    Bytes(number).in_full()
                ),
            ),
            Kind::Text | Kind::Number | Kind::Time => return,
        };
        let plural = if number == 1 { "" } else { "s" };
        let message = format!("without a unit, this is {number} {unit}{plural}");
        let mistake = Mistake::new(at.clone(), "missing-unit", message).hint(hint);
        self.written.found.push((Severity::Warning, mistake));
    }
}

fn column_of(term: &Term) -> Option<Column> {
    match &term.kind {
        TermKind::Word(word) => Column::named(word),
        TermKind::Text(_) | TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => {
            None
        }
    }
}

/// Whether Oracle stores a text as a client or a DBA wrote it, and not in upper case.
const fn keeps_case(column: Column) -> bool {
    matches!(
        column,
        Column::Osuser
            | Column::Process
            | Column::Machine
            | Column::Terminal
            | Column::Program
            | Column::SqlId
            | Column::PrevSqlId
            | Column::Module
            | Column::Action
            | Column::ClientInfo
            | Column::ClientIdentifier
            | Column::Event
            | Column::P1Text
            | Column::P2Text
            | Column::P3Text
            | Column::ServiceName
            | Column::Ecid
            | Column::ExternalName
    )
}
