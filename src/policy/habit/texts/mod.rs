//! Functions on texts: `upper(program) like '%TOAD%'` is `program matches '(?i)TOAD'`, `nvl(module, ' ') != 'x'` includes NULL.
//!
//! The compared text is followed through the functions from the outermost to the column: which values become a text like this?
//! Where they have no simple form, there is no rewriting, and the reason instead. A function may also return NULL for a value,
//! as `substr('ab', -3)` does; then the comparison is UNKNOWN, and what to write depends on what UNKNOWN does at that place.

mod columns;
mod operand;
mod oracle_regex;
mod shape;
#[cfg(test)]
mod tests;
mod written;

use super::{Aim, Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::{Comparison, LikePattern};
use crate::session::column::{Column, Kind};
use operand::{Step, TextOperand, are_ones, number};
use shape::{Odd, Piece, TextShape};
pub(crate) use written::quoted;

/// What to say of a comparison.
#[derive(Debug, PartialEq)]
pub(super) enum Counterpart {
    /// The same comparison in the policy language.
    Exact(String),
    /// Why there is none.
    Reason(String),
}

/// A constant, and whether it is a word without quotes.
#[derive(Clone, Debug)]
struct Literal {
    text: String,
    word: bool,
}

/// What a text is compared with.
enum WantedText {
    /// Equal to any of these.
    Texts(Vec<String>),
    /// LIKE this pattern.
    Pattern(LikePattern),
    /// This regular expression matches.
    Regex(regex::Regex),
}

impl WantedText {
    fn takes(&self, value: &str) -> bool {
        match self {
            WantedText::Texts(texts) => texts.iter().any(|text| text == value),
            WantedText::Pattern(pattern) => pattern.matches(value),
            WantedText::Regex(regex) => regex.is_match(value),
        }
    }
}

/// A comparison of a text.
struct TextComparison {
    subject: TextOperand,
    wanted: WantedText,
    negated: bool,
    aim: Aim,
}

impl TextComparison {
    /// What the comparison says of a value before the step `from`; `None` is UNKNOWN.
    fn truth(&self, from: usize, value: Option<String>) -> Option<bool> {
        let value = self.subject.value(from, value)?;
        Some(self.wanted.takes(&value) != self.negated)
    }

    fn shapes(&self) -> Result<Vec<TextShape>, Odd> {
        let wanted: Vec<TextShape> = match &self.wanted {
            WantedText::Texts(texts) => texts.iter().map(|text| vec![Piece::Text(text.clone())]).collect(),
            WantedText::Pattern(pattern) => vec![shape::of_like(&pattern.parts)],
            WantedText::Regex(_) => return Ok(Vec::new()),
        };
        let (mut shapes, mut never) = (Vec::new(), None);
        for one in wanted {
            // What LOWER leaves, UPPER around it changes again: of several, the outermost counts.
            let outermost = self.subject.last_fold();
            let counts = |step: &&Step| !step.folds() || outermost.is_some_and(|fold| std::ptr::eq(fold, *step));
            let mut steps = self.subject.steps.iter().rev().filter(counts);
            match steps.try_fold(one, |one, step| shape::before(step, one)) {
                Ok(shape) => shapes.push(shape),
                Err(Odd::Never(reason)) => never = Some(Odd::Never(reason)),
                Err(no_form @ Odd::NoForm(_)) => return Err(no_form),
            }
        }
        match never {
            Some(never) if shapes.is_empty() => Err(never),
            _ => Ok(shapes),
        }
    }

    /// Whether UPPER around it can be left out. The name of an account that was created in double quotes may have small letters:
    /// the comparison may miss it only where that acts on fewer sessions.
    fn is_upper(&self) -> bool {
        let column = self.subject.column;
        matches!(column, Column::Username | Column::Schemaname) && !self.negated && self.aim == Aim::Acts
            || column
                .closed_list()
                .is_some_and(|list| list.iter().all(|value| !value.contains(char::is_lowercase)))
    }

    fn term(&self, shapes: Vec<TextShape>) -> String {
        let name = self.subject.column.name();
        let folded = self.subject.last_fold().is_some();
        let ignores_case = folded && !self.is_upper();
        if let WantedText::Regex(regex) = &self.wanted {
            let flag = if folded { "i" } else { "" };
            return written::matches(name, self.negated, &oracle_regex::with_flag(regex.as_str(), flag));
        }
        let capitals = |piece: Piece| match piece {
            Piece::Text(text) if folded && !ignores_case => Piece::Text(text.to_uppercase()),
            other => other,
        };
        let shapes: Vec<TextShape> = shapes
            .into_iter()
            .map(|shape| shape.into_iter().map(capitals).collect())
            .collect();
        written::term(name, self.negated, &shapes, ignores_case)
    }

    fn answer(&self) -> Counterpart {
        let name = self.subject.column.name();
        let null = self.truth(0, None);
        let steps = &self.subject.steps;
        let has_letters =
            |step: &Step| matches!(step, Step::UpTo { delimiter, .. } if delimiter.contains(char::is_alphabetic));
        if steps.iter().any(Step::folds) && steps.iter().any(has_letters) {
            return Counterpart::Reason(
                "UPPER or LOWER and a delimiter with letters together have no counterpart".to_owned(),
            );
        }
        let shapes = match self.shapes() {
            Ok(shapes) => shapes,
            Err(Odd::NoForm(reason)) => return Counterpart::Reason(reason),
            Err(Odd::Never(_)) if self.is_partial() && null.is_some() => return Counterpart::Reason(NESTED.to_owned()),
            Err(Odd::Never(reason)) => {
                return match (self.negated, null) {
                    (false, Some(true)) => Counterpart::Exact(format!("{name} is null")),
                    (true, Some(false)) => Counterpart::Exact(format!("{name} is not null")),
                    (true, _) => Counterpart::Reason(format!("{reason}: as written, the two are never equal")),
                    (false, _) => Counterpart::Reason(format!("{reason}: as written, this is never true")),
                };
            }
        };
        let domain = match self.domain() {
            Ok(domain) => domain,
            Err(reason) => return Counterpart::Reason(reason),
        };
        let term = self.term(shapes);
        let whole = match domain {
            Some((domain, true)) if !self.negated => Whole::Or(format!("{} or {term}", domain.outside)),
            Some((domain, false)) if self.negated => Whole::And(format!("{} and {term}", domain.within)),
            _ => Whole::One(term),
        };
        Counterpart::Exact(match null {
            Some(true) => format!("({name} is null or {})", whole.beside_or()),
            Some(false) if self.aim != Aim::Acts => format!("({name} is not null and {})", whole.beside_and()),
            _ => whole.alone(),
        })
    }

    fn is_partial(&self) -> bool {
        self.subject.steps.iter().any(written::is_partial)
    }

    /// For which values the functions return one, and what the comparison says of all others; `None` if it is all values.
    fn domain(&self) -> Result<Option<(written::Domain, bool)>, String> {
        let steps = &self.subject.steps;
        let mut partial = steps.iter().enumerate().filter(|(_, step)| written::is_partial(step));
        let Some((at, step)) = partial.next() else {
            return Ok(None);
        };
        let simple = |inner: &Step| inner.folds() || matches!(inner, Step::Null(_));
        if partial.next().is_some() || !steps[..at].iter().all(simple) {
            return Err(NESTED.to_owned());
        }
        let beyond = match (self.truth(at + 1, None), self.aim) {
            (Some(truth), _) => truth,
            (None, Aim::Acts) => false,
            (None, Aim::Spares) => true,
            (None, Aim::Either) => {
                return Err(
                    "where the function returns NULL this is UNKNOWN, which spares in `unless` and does not match in `when`; write \
                     it there, and not in a named condition"
                        .to_owned(),
                );
            }
        };
        Ok(Some((written::domain(self.subject.column.name(), step), beyond)))
    }
}

/// A condition, and the word that joins its parts.
enum Whole {
    One(String),
    And(String),
    Or(String),
}

impl Whole {
    fn beside_or(self) -> String {
        match self {
            Whole::One(text) | Whole::Or(text) => text,
            Whole::And(text) => format!("({text})"),
        }
    }

    fn beside_and(self) -> String {
        match self {
            Whole::One(text) | Whole::And(text) => text,
            Whole::Or(text) => format!("({text})"),
        }
    }

    fn alone(self) -> String {
        match self {
            Whole::One(text) => text,
            Whole::And(text) | Whole::Or(text) => format!("({text})"),
        }
    }
}

/// The same comparison in the policy language, or why there is none.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool, aim: Aim) -> Option<Counterpart> {
    if let (Some(_), Predicate::Compare(operator @ (Comparison::Equal | Comparison::NotEqual), right)) =
        (literal(left), form)
        && literal(right).is_none()
    {
        return counterpart(right, Predicate::Compare(operator, left), negated, aim);
    }
    if let Some(answer) = by_function(left, form, aim) {
        return Some(answer);
    }
    if let Some(answer) = columns::counterpart(left, form, negated) {
        return Some(answer);
    }
    let subject = TextOperand::of(left)?;
    if subject.column.kind() != Kind::Text {
        return number_as_text(&subject, form, negated);
    }
    let of_a_word = |literal: Literal| match subject.last_fold() {
        Some(Step::Lower) if literal.word => literal.text.to_lowercase(),
        _ => literal.text,
    };
    let text = |sql: &Sql| literal(sql).map(of_a_word);
    let (wanted, negated) = match form {
        Predicate::Compare(Comparison::Equal, right) => (WantedText::Texts(vec![text(right)?]), negated),
        Predicate::Compare(Comparison::NotEqual, right) => (WantedText::Texts(vec![text(right)?]), !negated),
        Predicate::In(values) if !values.is_empty() => (
            WantedText::Texts(values.iter().map(text).collect::<Option<Vec<_>>>()?),
            negated,
        ),
        Predicate::Like(pattern, escape) => (WantedText::Pattern(like(text(pattern)?, escape)?), negated),
        Predicate::Compare(..)
        | Predicate::In(_)
        | Predicate::Between(..)
        | Predicate::Matches(_)
        | Predicate::Null
        | Predicate::Alone => return None,
    };
    let is_empty = match &wanted {
        WantedText::Texts(texts) => texts.iter().any(String::is_empty),
        WantedText::Pattern(pattern) => pattern.text.is_empty(),
        WantedText::Regex(_) => false,
    };
    if is_empty {
        return Some(Counterpart::Reason(EMPTY.to_owned()));
    }
    let comparison = TextComparison {
        subject,
        wanted,
        negated,
        aim,
    };
    Some(comparison.answer())
}

const EMPTY: &str =
    "in Oracle, '' is NULL, so as written this is never true; `is null` and `is not null` test for a value";

/// The counterpart of `to_char(sid) = '12'`. A text that TO_CHAR never makes, such as `'012'`, has none.
fn number_as_text(subject: &TextOperand, form: Predicate<'_>, negated: bool) -> Option<Counterpart> {
    if subject.column.kind() != Kind::Number || !subject.steps.is_empty() {
        return None;
    }
    let digits = |sql: &Sql| {
        let text = literal(sql)?.text;
        text.parse::<i64>()
            .is_ok_and(|number| number.to_string() == text)
            .then_some(text)
    };
    let name = subject.column.name();
    let equal = |right: &Sql, negated: bool| {
        let operator = if negated { "!=" } else { "=" };
        Some(Counterpart::Exact(format!("{name} {operator} {}", digits(right)?)))
    };
    match form {
        Predicate::Compare(Comparison::Equal, right) => equal(right, negated),
        Predicate::Compare(Comparison::NotEqual, right) => equal(right, !negated),
        Predicate::In(values) if !values.is_empty() => {
            let numbers = values.iter().map(digits).collect::<Option<Vec<_>>>()?.join(", ");
            let not = if negated { "not " } else { "" };
            Some(Counterpart::Exact(format!("{name} {not}in ({numbers})")))
        }
        _ => None,
    }
}

const NESTED: &str = "functions inside one another that may return NULL have no counterpart";

fn like(text: String, escape: Option<&Sql>) -> Option<LikePattern> {
    let escape = match escape {
        None => None,
        Some(escape) => {
            let escape = literal(escape)?.text;
            let mut characters = escape.chars();
            Some(characters.next().filter(|_| characters.next().is_none())?)
        }
    };
    LikePattern::new(text.into(), escape)
}

/// What to write for ILIKE, which ignores letter case.
pub(crate) fn instead_of_ilike(column: Column, pattern: &str) -> String {
    let shape = LikePattern::new(pattern.into(), None).map(|pattern| shape::of_like(&pattern.parts));
    written::term(column.name(), false, &[shape.unwrap_or_default()], true)
}

/// What to write for an operator that looks for a text anywhere. A `%` at its ends is taken for the wildcard.
pub(crate) fn instead_of_contains(column: Column, text: &str) -> String {
    let text = Piece::Text(text.trim_matches('%').to_owned());
    written::term(column.name(), false, &[vec![Piece::Any, text, Piece::Any]], false)
}

/// What to write for an operator that looks for a text at the beginning.
pub(crate) fn instead_of_start(column: Column, text: &str) -> String {
    let text = Piece::Text(text.trim_end_matches('%').to_owned());
    written::term(column.name(), false, &[vec![text, Piece::Any]], false)
}

/// What to write for an operator that looks for a text at the end.
pub(crate) fn instead_of_end(column: Column, text: &str) -> String {
    let text = Piece::Text(text.trim_start_matches('%').to_owned());
    written::term(column.name(), false, &[vec![Piece::Any, text]], false)
}

/// The answer for INSTR and REGEXP_LIKE.
fn by_function(left: &Sql, form: Predicate<'_>, aim: Aim) -> Option<Counterpart> {
    let SqlKind::Call { name, arguments } = &left.kind else {
        return None;
    };
    let [subject, text, more @ ..] = arguments.as_slice() else {
        return None;
    };
    let subject = TextOperand::of(subject)?;
    if subject.column.kind() != Kind::Text {
        return None;
    }
    let text = literal(text)?.text;
    let (wanted, negated) = match (name.as_str(), form) {
        ("instr", Predicate::Compare(operator, bound)) => {
            let negated = match (operator, number(bound)?) {
                (Comparison::Greater | Comparison::NotEqual, 0) | (Comparison::GreaterOrEqual, 1) => false,
                (Comparison::Equal, 0) | (Comparison::Less, 1) => true,
                _ => return None,
            };
            if !are_ones(more) {
                return Some(Counterpart::Reason(
                    "INSTR with a position or an occurrence has no counterpart: `like '%TOAD%'` looks at the whole text"
                        .to_owned(),
                ));
            }
            let pattern = format!("%{}%", text.replace('!', "!!").replace('%', "!%").replace('_', "!_"));
            let pattern = LikePattern::new(pattern.into(), Some('!'))?;
            (WantedText::Pattern(pattern), negated)
        }
        ("regexp_like", Predicate::Alone) if more.len() <= 1 => {
            let flags = match more.first() {
                Some(flags) => literal(flags)?.text,
                None => String::new(),
            };
            if text.is_empty() {
                return Some(Counterpart::Reason(EMPTY.to_owned()));
            }
            match oracle_regex::same_here(&text, &flags, &subject.steps) {
                Ok(regex) => (WantedText::Regex(regex), false),
                Err(reason) => return Some(Counterpart::Reason(reason.to_owned())),
            }
        }
        _ => return None,
    };
    if text.is_empty() {
        return Some(Counterpart::Reason(EMPTY.to_owned()));
    }
    let comparison = TextComparison {
        subject,
        wanted,
        negated,
        aim,
    };
    Some(comparison.answer())
}

/// A constant as a text. As everywhere, a word without quotes is in upper case.
fn literal(sql: &Sql) -> Option<Literal> {
    let text = |text: String, word| Some(Literal { text, word });
    match &sql.kind {
        SqlKind::Plain(TermKind::Text(quoted)) => text(quoted.clone(), false),
        SqlKind::Plain(TermKind::Word(word)) if Column::named(word).is_none() => text(word.to_uppercase(), true),
        SqlKind::Group(members) if members.len() == 1 => literal(&members[0]),
        SqlKind::Call { name, arguments } if arguments.len() == 1 => {
            let step = match name.as_str() {
                "upper" => Step::Upper,
                "lower" => Step::Lower,
                "trim" => Step::Trim {
                    left: true,
                    right: true,
                },
                _ => return None,
            };
            let inner = literal(&arguments[0])?.text;
            text(step.apply(Some(inner)).unwrap_or_default(), false)
        }
        _ => None,
    }
}
