//! Reads a subquery, as far as its meaning for a session can be told: one view, the columns it selects, and its conditions.

use crate::policy::condition::Comparison;
use crate::policy::habit::texts::quoted;
use crate::policy::lex::{Token, lex};

/// What a subquery selects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    Columns(Vec<String>),
    /// `count(*)`
    Count,
    /// `1`
    Number(i64),
    Other,
}

/// A column in a subquery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedColumn {
    pub(super) prefix: Option<String>,
    pub(super) name: String,
}

/// A part of the subquery's WHERE; all of them hold.
#[derive(Debug)]
pub(super) enum Restriction {
    /// Two columns are equal.
    Pair(NamedColumn, NamedColumn),
    NotNull(String),
    /// A column and a constant; several constants are those of IN.
    Value(String, ValueTest),
    Other,
}

/// What is asked of a column.
#[derive(Clone, Debug)]
pub(super) enum ValueTest {
    Compare(Comparison, String),
    In(Vec<String>),
    Like(String),
}

impl ValueTest {
    /// The same of a column of a condition.
    pub(super) fn written(&self, column: &str, negated: bool) -> String {
        let not = if negated { "not " } else { "" };
        match self {
            ValueTest::Compare(operator, value) => {
                let (not, operator) = match (operator, negated) {
                    (Comparison::Equal, true) => ("", Comparison::NotEqual),
                    (Comparison::NotEqual, true) => ("", Comparison::Equal),
                    (same, _) => (not, *same),
                };
                format!("{not}{column} {} {value}", operator.sql())
            }
            ValueTest::In(values) => format!("{column} {not}in ({})", values.join(", ")),
            ValueTest::Like(pattern) => format!("{column} {not}like {pattern}"),
        }
    }
}

/// A subquery of one view.
#[derive(Debug)]
pub(super) struct Subquery {
    pub(super) selected: Selected,
    /// Without the G of a GV$ view, and without its owner.
    pub(super) view: String,
    alias: Option<String>,
    pub(super) restrictions: Vec<Restriction>,
}

/// The words after which a subquery is not one of one view, or not of single rows.
const BEYOND: [&str; 16] = [
    "group",
    "having",
    "union",
    "minus",
    "intersect",
    "order",
    "start",
    "connect",
    "fetch",
    "join",
    "on",
    "or",
    "not",
    "rownum",
    "model",
    "case",
];

impl Subquery {
    /// Reads the text in its parentheses; `None` if it is more than one view with conditions that all hold.
    pub(super) fn read(text: &str) -> Option<Subquery> {
        let tokens: Vec<Token> = lex(text).tokens.into_iter().map(|(token, _)| token).collect();
        let [Token::Open, inner @ .., Token::Close, Token::End] = tokens.as_slice() else {
            return None;
        };
        let (first, inner) = inner.split_first()?;
        if !is_word(first, "select") {
            return None;
        }
        let from = outside(inner, |token| is_word(token, "from"))?;
        let (selected, rest) = (&inner[..from], &inner[from + 1..]);
        let until = outside(rest, |token| is_word(token, "where"));
        let (views, conditions) = match until {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        let beyond = |token: &Token| BEYOND.iter().any(|word| is_word(token, word));
        if views.iter().any(beyond) || mixed(conditions) {
            return None;
        }
        let (view, alias) = match views {
            [view] => (view, None),
            [view, Token::Word(alias)] => (view, Some(alias.to_lowercase())),
            _ => return None,
        };
        Some(Subquery {
            selected: of_the_head(selected),
            view: view_of(view)?,
            alias,
            restrictions: parts(conditions).map(restriction).collect(),
        })
    }

    /// Whether the column is one of the subquery's own view; `None` if that cannot be told.
    pub(super) fn is_own(&self, column: &NamedColumn) -> Option<bool> {
        let prefix = column.prefix.as_ref()?;
        Some(match &self.alias {
            Some(alias) => alias == prefix,
            None => without_g(prefix) == self.view,
        })
    }
}

/// Whether a NOT, an OR or another clause stands beside the conditions; `is not null` is none.
fn mixed(conditions: &[Token]) -> bool {
    conditions.iter().enumerate().any(|(at, token)| {
        let of_is = at > 0 && is_word(&conditions[at - 1], "is");
        BEYOND.iter().any(|word| is_word(token, word)) && !(is_word(token, "not") && of_is)
    })
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word))
}

/// The first such token that is not in parentheses.
fn outside(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && wanted(token)
    })
}

/// `gv$session`, `sys.v_$session` as `v$session`.
fn without_g(view: &str) -> String {
    let lower = view.to_lowercase().replace("v_$", "v$");
    match lower.strip_prefix("gv$") {
        Some(rest) => format!("v${rest}"),
        None => lower,
    }
}

fn view_of(token: &Token) -> Option<String> {
    match token {
        Token::Word(view) | Token::Qualified(_, view) => Some(without_g(view)),
        _ => None,
    }
}

fn named(token: &Token) -> Option<NamedColumn> {
    match token {
        Token::Word(name) => Some(NamedColumn {
            prefix: None,
            name: name.to_lowercase(),
        }),
        Token::Qualified(prefix, name) => Some(NamedColumn {
            prefix: Some(prefix.to_lowercase()),
            name: name.to_lowercase(),
        }),
        _ => None,
    }
}

fn of_the_head(tokens: &[Token]) -> Selected {
    let tokens = match tokens {
        [first, rest @ ..] if is_word(first, "distinct") => rest,
        all => all,
    };
    match tokens {
        [Token::Number(number)] => return Selected::Number(*number),
        [count, Token::Open, .., Token::Close] if is_word(count, "count") => return Selected::Count,
        _ => {}
    }
    let columns: Option<Vec<String>> = tokens
        .split(|token| token == &Token::Comma)
        .map(|one| match one {
            [one] => named(one).map(|column| column.name),
            _ => None,
        })
        .collect();
    columns.map_or(Selected::Other, Selected::Columns)
}

/// The parts between the ANDs, but for that of a BETWEEN, which makes both of its halves parts that are not known.
fn parts(conditions: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0_usize;
    conditions
        .split(move |token| {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && is_word(token, "and")
        })
        .filter(|part| !part.is_empty())
}

fn restriction(part: &[Token]) -> Restriction {
    match part {
        [one, Token::Operator(operator), other] => compared(one, *operator, other),
        [one, is, not, null] if is_word(is, "is") && is_word(not, "not") && is_word(null, "null") => {
            named(one).map_or(Restriction::Other, |column| Restriction::NotNull(column.name))
        }
        [one, like, Token::Text(pattern)] if is_word(like, "like") => named(one).map_or(Restriction::Other, |column| {
            Restriction::Value(column.name, ValueTest::Like(quoted(pattern)))
        }),
        [one, word, Token::Open, values @ .., Token::Close] if is_word(word, "in") => {
            let values: Option<Vec<String>> = values
                .split(|token| token == &Token::Comma)
                .map(|value| match value {
                    [value] => constant(value),
                    _ => None,
                })
                .collect();
            match named(one).zip(values) {
                Some((column, values)) => Restriction::Value(column.name, ValueTest::In(values)),
                None => Restriction::Other,
            }
        }
        _ => Restriction::Other,
    }
}

fn compared(one: &Token, operator: Comparison, other: &Token) -> Restriction {
    match (named(one), named(other), constant(other)) {
        (Some(one), Some(other), _) if operator == Comparison::Equal => Restriction::Pair(one, other),
        (Some(one), _, Some(value)) => Restriction::Value(one.name, ValueTest::Compare(operator, value)),
        _ => Restriction::Other,
    }
}

fn constant(token: &Token) -> Option<String> {
    match token {
        Token::Text(text) if !text.is_empty() => Some(quoted(text)),
        Token::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
