//! Warns of texts that were written for another operator: a wildcard that `=`, `like` or `matches` does not have, several values
//! in one text, blanks around a value. Such a comparison is never true, so that an exception spares nobody.

use std::ops::Range;
use std::sync::Arc;

use super::findings::Findings;
use crate::policy::condition::{Comparison, Condition, Constant, LikePart, LikePattern, Operand};
use crate::policy::display::Quoted;
use crate::policy::lex::Mistake;
use crate::session::column::Column;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::Severity;

/// A comparison of a column with texts: what is marked, and whether its operator has a NOT inside.
struct TextTerm<'a> {
    column: Column,
    negated: bool,
    at: &'a Range<usize>,
}

/// Warns of the texts of one term. `negated`: its operator is `not in`, `not like` or `not matches`.
pub(super) fn texts_of_another_operator(term: &Condition, negated: bool, at: &Range<usize>, found: &mut Findings) {
    let of = |column, negated| TextTerm { column, negated, at };
    match term {
        Condition::Compare {
            left: Operand::Column(column),
            op: op @ (Comparison::Equal | Comparison::NotEqual),
            right: Operand::Literal(Constant::Text(text)),
        }
        | Condition::Compare {
            left: Operand::Literal(Constant::Text(text)),
            op: op @ (Comparison::Equal | Comparison::NotEqual),
            right: Operand::Column(column),
        } => {
            let term = of(*column, *op == Comparison::NotEqual);
            term.whole_texts(op.sql(), &[text], None, found);
        }
        Condition::In {
            operand: Operand::Column(column),
            values,
            list,
        } => {
            let texts: Vec<&Arc<str>> = values
                .iter()
                .filter_map(|value| match value {
                    Constant::Text(text) => Some(text),
                    Constant::Number(_) | Constant::Duration(_) | Constant::Size(_) => None,
                })
                .collect();
            of(*column, negated).whole_texts("in", &texts, list.as_deref(), found);
        }
        Condition::Like {
            operand: Operand::Column(column),
            pattern,
        } => of(*column, negated).like(pattern, found),
        Condition::Matches {
            operand: Operand::Column(column),
            pattern,
        } => of(*column, negated).matches(pattern.as_str(), found),
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::And(_)
        | Condition::Or(_)
        | Condition::Not(_)
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => {}
    }
}

impl TextTerm<'_> {
    fn warn(&self, code: &'static str, message: String, hint: String, found: &mut Findings) {
        let mistake = Mistake::new(self.at.clone(), code, message).hint(hint);
        found.push((Severity::Warning, mistake));
    }

    /// Texts that are compared as a whole, of `=`, `!=`, `in` or a named list.
    fn whole_texts(&self, operator: &str, texts: &[&Arc<str>], list: Option<&str>, found: &mut Findings) {
        if self.column.closed_list().is_some() || self.column.is_raw() {
            // Whatever is not in the list is an error already.
            return;
        }
        let (patterns, rest): (Vec<&Arc<str>>, Vec<&Arc<str>>) =
            texts.iter().partition(|text| wildcard_at_an_end(text).is_some());
        if let Some(first) = patterns.first() {
            self.pattern_in_a_text(operator, first, &patterns, &rest, list, found);
        }
        for text in rest {
            if text.contains(',') && (has_no_commas(self.column) || self.is_only_text(operator, texts, list)) {
                self.several_in_one(operator, text, list, found);
            } else {
                self.blanks(text, found);
            }
        }
    }

    /// Whether `in` has one text alone, where nobody writes `in` for one.
    fn is_only_text(&self, operator: &str, texts: &[&Arc<str>], list: Option<&str>) -> bool {
        operator == "in" && list.is_none() && texts.len() == 1 && self.column != Column::ExternalName
    }

    fn pattern_in_a_text(
        &self,
        operator: &str,
        first: &str,
        patterns: &[&Arc<str>],
        rest: &[&Arc<str>],
        list: Option<&str>,
        found: &mut Findings,
    ) {
        let wildcard = wildcard_at_an_end(first).unwrap_or_default();
        let message = format!(
            "`{operator}` compares whole texts: in {}, `{wildcard}` is an ordinary character",
            visible(&Quoted(first).to_string())
        );
        let name = self.column.name();
        let hint = if !first.contains(char::is_alphanumeric) {
            let (which, not) = if self.negated {
                ("without", "")
            } else {
                ("with", "not ")
            };
            format!("for every session {which} a value, write `{name} is {not}null`")
        } else if let Some(list) = list {
            let like = self.negation(like(self.column, &with_percent(first)));
            let join = if self.negated { "and" } else { "or" };
            format!(
                "take it out of the list `@{list}`, and write `{join} {}`",
                visible(&like.to_string())
            )
        } else {
            let mut parts: Vec<Condition> = patterns
                .iter()
                .map(|text| self.negation(like(self.column, &with_percent(text))))
                .collect();
            if !rest.is_empty() {
                let values = rest.iter().map(|text| Constant::Text(Arc::clone(text))).collect();
                parts.push(self.negation(Condition::In {
                    operand: Operand::Column(self.column),
                    values,
                    list: None,
                }));
            }
            let whole = match (parts.len(), self.negated) {
                (1, _) => parts.remove(0).to_string(),
                (_, true) => format!("({})", Condition::And(parts)),
                (_, false) => format!("({})", Condition::Or(parts)),
            };
            format!("for a pattern, write `{}`", visible(&whole))
        };
        self.warn("pattern-without-like", message, hint, found);
    }

    fn negation(&self, term: Condition) -> Condition {
        if self.negated {
            Condition::Not(Box::new(term))
        } else {
            term
        }
    }

    fn several_in_one(&self, operator: &str, text: &str, list: Option<&str>, found: &mut Findings) {
        let message = format!(
            "{} is one text with a comma in it, and not several",
            visible(&Quoted(text).to_string())
        );
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        let pieces: Vec<String> = pieces.map(|piece| Quoted(piece).to_string()).collect();
        let pieces = pieces.join(", ");
        let not = if self.negated { "not " } else { "" };
        let hint = if list.is_some() || operator == "in" {
            format!("put each text into quotes of its own: {}", visible(&pieces))
        } else {
            format!("write `{} {not}in ({})`", self.column.name(), visible(&pieces))
        };
        self.warn("several-in-one-text", message, hint, found);
    }

    fn blanks(&self, text: &str, found: &mut Findings) {
        let bare = text.trim();
        if bare == text || bare.is_empty() {
            return;
        }
        let message = format!(
            "{} begins or ends with a blank, which is compared too",
            visible(&Quoted(text).to_string())
        );
        let hint = format!("write {}", visible(&Quoted(bare).to_string()));
        self.warn("blank-at-an-end", message, hint, found);
    }

    fn like(&self, pattern: &LikePattern, found: &mut Findings) {
        let text = &*pattern.text;
        if let Some(width) = self.column.width()
            && least_length(pattern) > width
        {
            let message = format!(
                "`{}` is cut off after {width} bytes, so it never matches a pattern that is longer",
                self.column.name()
            );
            let mistake = Mistake::new(self.at.clone(), "unknown-value", message)
                .hint("write the beginning that the column contains, and `%` at its end");
            found.push((Severity::Error, mistake));
            return;
        }
        let is_plain = !pattern
            .parts
            .iter()
            .any(|part| matches!(part, LikePart::Any | LikePart::One));
        if is_plain && wildcard_at_an_end(text) == Some('*') && text.contains(char::is_alphanumeric) {
            let instead = self.negation(like(self.column, &with_percent(text)));
            self.warn(
                "shell-wildcard",
                "`*` is an ordinary character in a pattern of `like`".to_owned(),
                format!("for any characters, write `%`: `{}`", visible(&instead.to_string())),
                found,
            );
            return;
        }
        self.blanks(text, found);
    }

    fn matches(&self, pattern: &str, found: &mut Findings) {
        let at_an_end = pattern.starts_with('%') || pattern.ends_with('%') && !pattern.ends_with("\\%");
        if !at_an_end {
            return;
        }
        let message = "`%` is an ordinary character in a regular expression, which finds its text anywhere".to_owned();
        let bare = pattern.trim_matches('%');
        let hint = if bare.is_empty() || bare.contains(|c: char| "\\[](){}|^$*+?%".contains(c)) {
            "leave the `%` out".to_owned()
        } else {
            let instead = self.negation(like(self.column, pattern));
            format!("leave the `%` out, or write `{}`", visible(&instead.to_string()))
        };
        self.warn("percent-in-regex", message, hint, found);
    }
}

/// `%` or `*`, if a text begins or ends with one.
fn wildcard_at_an_end(text: &str) -> Option<char> {
    ['%', '*']
        .into_iter()
        .find(|wildcard| text.starts_with(*wildcard) || text.ends_with(*wildcard))
}

/// The text as a pattern of `like`, with `%` for each `*` at its ends.
fn with_percent(text: &str) -> String {
    let bare = text.trim_matches(['*', '%']);
    let (begins, ends) = (text.starts_with(['*', '%']), text.ends_with(['*', '%']));
    format!("{}{bare}{}", if begins { "%" } else { "" }, if ends { "%" } else { "" })
}

fn like(column: Column, text: &str) -> Condition {
    Condition::Like {
        operand: Operand::Column(column),
        pattern: LikePattern {
            text: text.into(),
            escape: None,
            parts: Arc::default(),
        },
    }
}

/// The least number of characters of a text that matches.
fn least_length(pattern: &LikePattern) -> usize {
    let lengths = pattern.parts.iter().map(|part| match part {
        LikePart::Text(text) => text.chars().count(),
        LikePart::One => 1,
        LikePart::Any => 0,
    });
    lengths.sum()
}

/// Whether the column holds a name, in which a comma is unlikely.
const fn has_no_commas(column: Column) -> bool {
    matches!(
        column,
        Column::Username
            | Column::Schemaname
            | Column::Osuser
            | Column::Machine
            | Column::Terminal
            | Column::Program
            | Column::Process
            | Column::SqlId
            | Column::PrevSqlId
            | Column::ServiceName
            | Column::ResourceConsumerGroup
            | Column::Container
            | Column::Profile
            | Column::AccountStatus
    )
}
