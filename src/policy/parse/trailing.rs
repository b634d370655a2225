//! Explains text where the grammar allows none: an operator of another language, a clause of the query around the condition,
//! a missing `and`.

use super::Parser;
use super::right::Right;
use crate::policy::ast::{Expr, ExprKind, TermKind};
use crate::policy::condition::{Comparison, SessionStatus};
use crate::policy::habit::{self, GROUPS, Predicate, ROWS, Sql, SqlKind};
use crate::policy::lex::{Mistake, Token};
use crate::quantity::Span;
use crate::session::column::Column;
use crate::yaml::diagnostics::did_you_mean;

/// Clauses that follow a condition in a query, and what to write in a policy instead.
const CLAUSES: [(&str, &str); 8] = [
    (
        "order",
        "the key `order` of the policy sets which sessions go first: `order: [idle desc]`",
    ),
    ("group", GROUPS),
    ("having", GROUPS),
    ("fetch", ROWS),
    ("limit", ROWS),
    ("union", "write `or` between the conditions"),
    ("minus", "write `and not` before the second condition"),
    ("intersect", "write `and` between the conditions"),
];

impl Parser<'_> {
    /// The mistake for a token where only AND, OR or the end may follow. The part before it began with the token `from`.
    pub(super) fn trailing(&self, from: usize) -> Mistake {
        let mistake = self.unexpected("`and`, `or` or the end of the text");
        match self.token() {
            Token::Word(word) => match self.trailing_word(word, from) {
                Some(hint) => mistake.hint(hint),
                None => mistake,
            },
            Token::Operator(_) => mistake.hint(self.trailing_operator()),
            Token::Comma
                if matches!(
                    (self.before(), self.ahead(1)),
                    (
                        Some(Token::Number(_)),
                        Token::Number(_) | Token::Duration(_) | Token::Size(_)
                    )
                ) =>
            {
                mistake.hint("numbers are whole: `90m` is an hour and a half, `1536MB` is a gigabyte and a half")
            }
            Token::Comma => mistake.hint(format!(
                "for several values, write a list: `username {}in (SHOP, CRM)`",
                self.not_of_the_last(self.at().start)
            )),
            Token::Text(_) if matches!(self.before(), Some(Token::Word(_) | Token::Text(_))) => mistake.hint(SPACES),
            _ if self.begins_a_part() => mistake.hint(MISSING),
            _ => mistake,
        }
    }

    /// `not `, if the last comparison before the byte `at` is `!=`.
    fn not_of_the_last(&self, at: usize) -> &'static str {
        let mut before = self.tokens.iter().rev().filter(|(_, range)| range.start < at);
        let operator = before.find_map(|(token, _)| match token {
            Token::Operator(operator) => Some(*operator),
            _ => None,
        });
        if operator == Some(Comparison::NotEqual) {
            "not "
        } else {
            ""
        }
    }

    fn trailing_word(&self, word: &str, from: usize) -> Option<String> {
        let lower = word.to_ascii_lowercase();
        if let Some((_, hint)) = CLAUSES.iter().find(|(clause, _)| *clause == lower) {
            return Some((*hint).to_owned());
        }
        if matches!(lower.as_str(), "longer" | "for" | "more" | "over" | "since" | "than") {
            return Some(self.longer_after_comparison(from));
        }
        let upper = match lower.as_str() {
            "less" | "under" | "shorter" | "fewer" | "below" => true,
            "at" => Self::is_word(self.ahead(1), "most"),
            "not" => Self::is_word(self.ahead(1), "longer"),
            _ => false,
        };
        if upper {
            return Some(format!(
                "phrases have no upper limit: compare a column beside, as in `INACTIVE and last_call_et < {}` or `blocking < 5`",
                self.span_ahead()
            ));
        }
        if self.begins_a_part() {
            return Some(MISSING.to_owned());
        }
        if let Some(hint) = did_you_mean(word, ["and", "or", "longer", "for", "not", "sessions"]) {
            return Some(hint);
        }
        matches!(self.before(), Some(Token::Word(_) | Token::Text(_))).then(|| SPACES.to_owned())
    }

    /// The hint for `status = 'INACTIVE' longer than 4h`.
    fn longer_after_comparison(&self, from: usize) -> String {
        let span = self.span_ahead();
        let negates = |token: &Token| {
            matches!(token, Token::Operator(Comparison::NotEqual))
                || Self::is_word(token, "not")
                || Self::is_word(token, "in")
        };
        if self.tokens[from..self.next].iter().any(|(token, _)| negates(token)) {
            return format!("`longer than` is only for phrases; after a comparison write `and last_call_et > {span}`");
        }
        let status = self.tokens[from..self.next].iter().find_map(|(token, _)| match token {
            Token::Word(word) | Token::Text(word) => SessionStatus::named(&word.to_ascii_uppercase()),
            _ => None,
        });
        let phrase = status.map_or("INACTIVE", SessionStatus::name);
        format!(
            "`longer than` is only for phrases, `{phrase} longer than {span}`; compare a column, `transaction_age > {span}`"
        )
    }

    /// The duration among the next tokens; an example if there is none.
    fn span_ahead(&self) -> impl std::fmt::Display + use<> {
        let span = (1..=3).find_map(|ahead| match self.ahead(ahead) {
            Token::Duration(seconds) => Some(*seconds),
            _ => None,
        });
        Span(span.unwrap_or(4 * 3_600)).in_full()
    }

    fn trailing_operator(&self) -> String {
        match (self.before(), self.ahead(1)) {
            (Some(before), Token::Duration(_) | Token::Number(_)) if Self::is_word(before, "transaction") => {
                let span = self.span_ahead();
                format!("a phrase continues with `longer than`: `in transaction longer than {span}`")
            }
            _ => "comparisons cannot be chained: write `a > 1 and a < 5`".to_owned(),
        }
    }

    /// The mistake for a value or a function without an operator.
    pub(super) fn without_operator(&mut self, start: usize, left: Sql) -> Result<Expr, Mistake> {
        let at = self.since(start);
        if left.is_wrong() {
            return Ok(Expr {
                at,
                kind: ExprKind::Broken,
            });
        }
        if let SqlKind::Qualified { name, .. } = &left.kind
            && let Some(column) = Column::named(name)
        {
            self.report_prefixes(&left, &Right::Null);
            return Err(self.no_operator(column));
        }
        if let Some(mistake) = left
            .prefixes()
            .iter()
            .find_map(|prefix| self.aliases.of_another(prefix))
        {
            return Err(mistake);
        }
        let left = left.bare();
        match &left.kind {
            SqlKind::Plain(TermKind::Text(_) | TermKind::Number(_)) => {
                let mistake = self.unexpected("an operator, such as `=`, `in` or `like`");
                let after_or = self.tokens.iter().position(|(_, range)| range.start == start);
                let after_or = after_or.and_then(|at| at.checked_sub(1)).map(|at| &self.tokens[at].0);
                Err(match after_or {
                    Some(word) if Self::is_word(word, "or") => mistake.hint(format!(
                        "each side of `or` must be a whole comparison; for several values, write `program {}in ('a', 'b')`",
                        self.not_of_the_last(start)
                    )),
                    _ => mistake,
                })
            }
            SqlKind::Plain(_) => Err(self.unexpected("an operator, such as `=`, `in` or `like`")),
            _ => {
                self.report(habit::answer(&left, Predicate::Alone, false, &self.place(at.clone())));
                Ok(Expr {
                    at,
                    kind: ExprKind::Broken,
                })
            }
        }
    }

    /// The mistake for an operator without a column before it, as in `username not in (SYS) and not in (SYSTEM)`.
    pub(super) fn no_column(&self, operator: &str) -> Mistake {
        let mistake = self.unexpected("a condition");
        let not = matches!(self.before(), Some(word) if Self::is_word(word, "not"));
        let column = self.tokens[..self.next]
            .iter()
            .rev()
            .find_map(|(token, _)| match token {
                Token::Word(word) | Token::Qualified(_, word) => Column::named(word),
                _ => None,
            });
        let Some(column) = column.filter(|_| !matches!(operator, "and" | "or" | "not" | "escape")) else {
            return mistake;
        };
        let (name, not) = (column.name(), if not { "not " } else { "" });
        mistake.hint(format!("the column is missing: write `{name} {not}{operator} ...`"))
    }

    /// The mistake for `status is 'INACTIVE'`.
    pub(super) fn is_something(&self, negated: bool) -> Mistake {
        let mistake = self.unexpected("`null`");
        let operator = if negated { "!=" } else { "=" };
        match self.token() {
            Token::Word(word)
                if ["empty", "blank", "missing", "unknown"]
                    .iter()
                    .any(|none| none.eq_ignore_ascii_case(word)) =>
            {
                let not = if negated { "not " } else { "" };
                mistake.hint(format!("write `is {not}null`: in Oracle, an empty text is NULL"))
            }
            Token::Text(text) if text.is_empty() => {
                let not = if negated { "not " } else { "" };
                mistake.hint(format!("write `is {not}null`: in Oracle, an empty text is NULL"))
            }
            Token::Text(text) => mistake.hint(format!("write `{operator} '{}'`", text.replace('\'', "''"))),
            Token::Word(word)
                if matches!(
                    word.to_ascii_lowercase().as_str(),
                    "in" | "like" | "between" | "matches"
                ) =>
            {
                let not = if negated { "not " } else { "" };
                mistake.hint(format!("write `{not}{}` without `is`", word.to_ascii_lowercase()))
            }
            Token::Word(word) => mistake.hint(format!(
                "write `{operator} {word}`; `is null` and `is not null` are the two forms"
            )),
            _ => mistake.hint("`is null` and `is not null` are the two forms"),
        }
    }

    /// The mistake for an `in` without a list after it.
    pub(super) fn no_list(&self) -> Mistake {
        let mistake = self.unexpected("`(` and values, or the `@name` of a list");
        match self.token() {
            Token::Text(_) | Token::Word(_) | Token::Number(_) => {
                mistake.hint("write the values in parentheses, even a single one: `username in (SHOP)`")
            }
            _ => mistake,
        }
    }

    /// Reports the last word of `blocking > 5 sessions` and skips it.
    pub(super) fn sessions_word(&mut self, left: &Sql, op: Comparison, right: &Sql) {
        if !(Self::is_word(self.token(), "sessions") || Self::is_word(self.token(), "session")) {
            return;
        }
        let mistake = self.mistake(
            "unexpected-word",
            "a comparison with a number has no `sessions` after it",
        );
        let hint = match (&left.kind, &right.kind) {
            (SqlKind::Plain(TermKind::Word(word)), SqlKind::Plain(TermKind::Number(number))) => {
                without_sessions(word, op, *number)
            }
            _ => "leave it out".to_owned(),
        };
        self.report(mistake.hint(hint));
        self.advance();
    }
}

fn without_sessions(word: &str, op: Comparison, number: i64) -> String {
    let phrase = |least: i64| {
        let sessions = if least == 1 { "session" } else { "sessions" };
        format!(", or the phrase `blocking {least} {sessions}`, which means at least {least}")
    };
    let or_phrase = match op {
        Comparison::Greater if word.eq_ignore_ascii_case("blocking") => phrase(number.saturating_add(1)),
        Comparison::GreaterOrEqual if word.eq_ignore_ascii_case("blocking") => phrase(number),
        _ => String::new(),
    };
    format!("write `{} {} {number}`{or_phrase}", word.to_ascii_lowercase(), op.sql())
}

const SPACES: &str = "quote a text with spaces: `program = 'SQL Developer'`";
const MISSING: &str = "`and` or `or` is missing before it";
