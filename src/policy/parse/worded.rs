//! Explains an operator in words after a column: `idle greater than 600`, `program does not contain 'toad'`.
//!
//! What is proposed has the value that was written, and the NOT.

use super::Parser;
use crate::policy::condition::Comparison;
use crate::policy::habit::{instead_of_contains, instead_of_end, instead_of_ilike, instead_of_start, quoted_text};
use crate::policy::lex::{Mistake, Token};
use crate::quantity::{Bytes, Span};
use crate::session::column::{Column, Kind};

/// How many words may stand between an operator and its value, which ends with the value: `greater than or equal to 5`.
const FARTHEST: usize = 6;

impl Parser<'_> {
    /// The mistake for a column without an operator after it.
    pub(super) fn no_operator(&self, column: Column) -> Mistake {
        let name = column.name();
        let found = self.token().describe();
        let mistake = self
            .mistake(
                "unexpected-word",
                format!("expected an operator after `{name}`, found {found}"),
            )
            .expected("expected `=`, `>`, `in`, `like`, `is null`, ...");
        let does = usize::from(Self::is_word(self.token(), "does") || Self::is_word(self.token(), "do"));
        let negated = Self::is_word(self.ahead(does), "not");
        mistake.maybe_hint(self.worded(column, does + usize::from(negated), negated))
    }

    /// The hint for an operator in words that is `at` tokens after the current one.
    fn worded(&self, column: Column, at: usize, negated: bool) -> Option<String> {
        let name = column.name();
        let text = self.after(at).find_map(|token| match token {
            Token::Text(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        });
        let with_not = |written: String| {
            if !negated {
                return written;
            }
            let (before, after) = written.split_once(' ').unwrap_or((&written, ""));
            format!("{before} not {after}")
        };
        let of_a_text = |written: &dyn Fn(&str) -> String, example: &str| match text {
            Some(text) => format!("write `{}`", with_not(written(text))),
            None => format!("for example `{}`", with_not(written(example))),
        };
        let word = match self.ahead(at) {
            Token::Operator(operator) if negated => return Some(self.compared(column, *operator, at, negated)),
            Token::Word(word) => word.to_ascii_lowercase(),
            _ => return None,
        };
        let or_equal = self.after(at).any(|token| Self::is_word(token, "equal"));
        Some(match word.as_str() {
            "ilike" => of_a_text(&|text| instead_of_ilike(column, text), "%toad%"),
            "contains" | "contain" | "containing" | "includes" | "include" => {
                of_a_text(&|text| instead_of_contains(column, text), "toad")
            }
            "starts" | "start" | "starting" | "startswith" | "begins" | "begin" => {
                of_a_text(&|text| instead_of_start(column, text), "JDBC")
            }
            "ends" | "end" | "ending" | "endswith" => of_a_text(&|text| instead_of_end(column, text), ".exe"),
            "regexp" | "rlike" | "regexp_like" | "similar" => {
                of_a_text(&|text| format!("{name} matches {}", quoted_text(text)), "toad")
            }
            "equals" | "equal" | "eq" => self.compared(column, Comparison::Equal, at, negated),
            "longer" | "more" | "greater" | "over" | "exceeds" | "older" | "for" | "since" | "gt" if or_equal => {
                self.compared(column, Comparison::GreaterOrEqual, at, negated)
            }
            "longer" | "more" | "greater" | "over" | "exceeds" | "older" | "for" | "since" | "gt" => {
                self.compared(column, Comparison::Greater, at, negated)
            }
            "less" | "under" | "lt" | "shorter" | "fewer" if or_equal => {
                self.compared(column, Comparison::LessOrEqual, at, negated)
            }
            "less" | "under" | "lt" | "shorter" | "fewer" => self.compared(column, Comparison::Less, at, negated),
            _ => return None,
        })
    }

    /// The tokens after the operator, up to the next comparison.
    fn after(&self, at: usize) -> impl Iterator<Item = &Token> {
        let ends = move |ahead: usize| {
            let or_equal = Self::is_word(self.ahead(ahead), "or") && Self::is_word(self.ahead(ahead + 1), "equal");
            self.is_bound(ahead) && !or_equal
        };
        (at + 1..=at + FARTHEST)
            .take_while(move |ahead| !ends(*ahead))
            .map(|ahead| self.ahead(ahead))
    }

    /// The comparison with the value that follows; with an example if none does.
    fn compared(&self, column: Column, operator: Comparison, at: usize, negated: bool) -> String {
        let operator = if negated { operator.opposite() } else { operator };
        let value = self.after(at).find_map(|token| match (token, column.kind()) {
            (Token::Duration(seconds), _) | (Token::Number(seconds), Kind::Duration) => {
                Some(Span(*seconds).in_full().to_string())
            }
            (Token::Size(bytes), _) => Some(Bytes(*bytes).in_full().to_string()),
            (Token::Number(number), _) => Some(number.to_string()),
            (Token::Text(text), _) if !text.is_empty() => Some(quoted_text(text)),
            _ => None,
        });
        let example = match column.kind() {
            Kind::Duration => "4h",
            Kind::Size => "2GB",
            Kind::Text => "'SHOP'",
            Kind::Number | Kind::Time => "5",
        };
        let (word, value) = value.map_or(("for example", example.to_owned()), |value| ("write", value));
        format!("{word} `{} {} {value}`", column.name(), operator.sql())
    }
}
