//! Parses operands: columns, values, and the expressions that SQL allows in their place.

use super::{DEEPEST, Parser, is_keyword};
use crate::policy::ast::TermKind;
use crate::policy::habit::{Sql, SqlKind, seconds_of};
use crate::policy::lex::{Mistake, Token, in_a_smaller_unit, measure};
use crate::quantity::{Bytes, Span};
use crate::session::column::Column;

/// The most operands in one arithmetic expression.
const MOST_MEMBERS: usize = 100;

/// A number with a unit that is a separate word (`4 hours`): the token that was meant, and how to write it.
pub(super) fn with_unit(number: i64, unit: &str) -> Option<(Token, String)> {
    let lower = unit.to_ascii_lowercase();
    let duration = |each: i64, count: i64, letter: &str| {
        Some((
            Token::Duration(number.checked_mul(each)?),
            format!("{}{letter}", number.checked_mul(count)?),
        ))
    };
    match lower.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => duration(1, 1, "s"),
        "m" | "min" | "mins" | "minute" | "minutes" => duration(60, 1, "m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => duration(3_600, 1, "h"),
        "d" | "day" | "days" => duration(86_400, 1, "d"),
        "week" | "weeks" => duration(7 * 86_400, 7, "d"),
        "month" | "months" => duration(30 * 86_400, 30, "d"),
        "kb" | "mb" | "gb" | "tb" => {
            let written = format!("{number}{}", unit.to_ascii_uppercase());
            let Bytes(bytes) = written.parse().ok()?;
            Some((Token::Size(bytes), written))
        }
        "percent" | "pct" => Some((Token::Percent(number), format!("{number}%"))),
        _ => None,
    }
}

/// `1.5 hours` as `1h30m`, if that is exact.
fn with_fraction(number: &str, unit: &str) -> Option<(Token, String)> {
    let (one, _) = with_unit(1, unit)?;
    let letters = match one {
        Token::Duration(1) => "s",
        Token::Duration(60) => "m",
        Token::Duration(3_600) => "h",
        Token::Duration(86_400) => "d",
        Token::Size(_) => unit,
        _ => return None,
    };
    let written = in_a_smaller_unit(&format!("{number}{letters}"))?;
    let token = measure(&written).ok()?;
    Some((token, written))
}

impl Parser<'_> {
    /// The quantity that is `ahead` tokens after the current one: what was meant, how to write it, and how many tokens it has.
    fn quantity(&self, ahead: usize) -> Option<(Token, String, usize)> {
        match (self.ahead(ahead), self.ahead(ahead + 1)) {
            (Token::Number(number), Token::Word(unit)) => {
                with_unit(*number, unit).map(|(token, written)| (token, written, 2))
            }
            (Token::Fraction(number), Token::Word(unit)) => {
                with_fraction(number, unit).map(|(token, written)| (token, written, 2))
            }
            (Token::Duration(seconds), _) => Some((Token::Duration(*seconds), Span(*seconds).in_full().to_string(), 1)),
            _ => None,
        }
    }

    /// Reads a quantity in more than one word (`4 hours`, `1 hour 30 minutes`), reports it, and returns the token that was meant.
    /// Its parts may be joined by `and`, if what follows shows that this does not begin another comparison.
    pub(super) fn unit_apart(&mut self) -> Option<Token> {
        let (mut token, mut written, mut length) = self.quantity(0)?;
        let of_one_unit = length == 2;
        let mut smallest = token.clone();
        while let (Token::Duration(sum), Token::Duration(least)) = (&token, &smallest) {
            let joined = usize::from(Self::is_word(self.ahead(length), "and"));
            let Some((Token::Duration(more), _, tokens)) = self.quantity(length + joined) else {
                break;
            };
            if more >= *least || joined == 1 && !self.is_bound(length + joined + tokens) {
                break;
            }
            let whole = sum.saturating_add(more);
            (token, smallest) = (Token::Duration(whole), Token::Duration(more));
            written = Span(whole).in_full().to_string();
            length += joined + tokens;
        }
        if length == 1 {
            return None;
        }
        let start = self.at().start;
        for _ in 0..length {
            self.advance();
        }
        let message = if length == 2 && of_one_unit {
            "a number and its unit must be one word"
        } else {
            "a duration must be one word"
        };
        let mistake = Mistake::new(self.since(start), "unit-apart", message).hint(format!("write `{written}`"));
        self.report(mistake);
        Some(token)
    }

    /// Whether the parenthesis here encloses an operand: an operator follows it, or it encloses a query.
    pub(super) fn is_operand(&self) -> bool {
        if Self::is_word(self.ahead(1), "select") {
            return true;
        }
        let mut depth = 0_usize;
        for (at, (token, _)) in self.tokens.iter().enumerate().skip(self.next) {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return self.comparison_follows(at + 1 - self.next);
            }
        }
        false
    }

    /// Whether the word here is the name of a function, or CASE.
    pub(super) fn call_follows(&self, word: &str) -> bool {
        self.ahead(1) == &Token::Open && !is_keyword(word)
            || word.eq_ignore_ascii_case("case") && !Self::is_word(self.ahead(1), "and")
    }

    /// Reports `between 1 and 2 hours` as a whole: its unit belongs to both numbers.
    pub(super) fn one_unit(&mut self, low: &Sql, high: &Sql) {
        let (SqlKind::Plain(TermKind::Number(number)), Some(last)) = (&low.kind, self.mistakes.last_mut()) else {
            return;
        };
        let unit = self.next.checked_sub(1).map(|unit| &self.tokens[unit].0);
        let (Some(Token::Word(unit)), true) = (unit, last.code == "unit-apart" && last.at == high.at) else {
            return;
        };
        let upper = last.hint.as_deref().and_then(|hint| hint.strip_prefix("write `"));
        if let (Some((_, lower)), Some(upper)) = (with_unit(*number, unit), upper) {
            last.hint = Some(format!("write `{lower} and {upper}"));
            last.at.start = low.at.start;
        }
    }

    /// An operand in SQL.
    pub(super) fn sql(&mut self) -> Result<Sql, Mistake> {
        let mut sum = self.product()?;
        let mut members = 0;
        while let Token::Arithmetic(operator @ ('+' | '-' | '|')) = *self.token() {
            self.bounded(&mut members)?;
            self.advance();
            let right = self.product()?;
            sum = arithmetic(sum, operator, right);
        }
        Ok(sum)
    }

    fn product(&mut self) -> Result<Sql, Mistake> {
        let mut product = self.factor()?;
        let mut members = 0;
        while let Token::Arithmetic(operator @ ('*' | '/')) = *self.token() {
            self.bounded(&mut members)?;
            self.advance();
            let right = self.factor()?;
            product = arithmetic(product, operator, right);
        }
        Ok(product)
    }

    /// Counts an operand and fails above the limit: deep trees are walked several times.
    fn bounded(&self, members: &mut usize) -> Result<(), Mistake> {
        *members += 1;
        if *members > MOST_MEMBERS {
            return Err(self.mistake("not-an-operator", "conditions do not support arithmetic"));
        }
        Ok(())
    }

    fn factor(&mut self) -> Result<Sql, Mistake> {
        let at = self.at();
        if let Some(token) = self.unit_apart() {
            let kind = match token {
                Token::Duration(seconds) => TermKind::Duration(seconds),
                Token::Size(bytes) => TermKind::Size(bytes),
                Token::Percent(percent) => TermKind::Percent(percent),
                _ => return Err(self.unexpected("a column or a value")),
            };
            return Ok(self.operand_since(at.start, SqlKind::Plain(kind)));
        }
        let kind = match self.token().clone() {
            Token::Open => return self.group(),
            Token::Arithmetic('-') => return self.negative(),
            Token::Arithmetic('+') => {
                self.advance();
                return self.factor();
            }
            Token::Word(word) => return self.word(&word),
            Token::Qualified(prefix, name) => SqlKind::Qualified { prefix, name },
            Token::Text(text) => SqlKind::Plain(TermKind::Text(text)),
            Token::Number(number) => SqlKind::Plain(TermKind::Number(number)),
            Token::Duration(seconds) => SqlKind::Plain(TermKind::Duration(seconds)),
            Token::Size(bytes) => SqlKind::Plain(TermKind::Size(bytes)),
            Token::Percent(percent) => SqlKind::Plain(TermKind::Percent(percent)),
            Token::Fraction(written) => SqlKind::Fraction(written.parse().unwrap_or(f64::NAN)),
            Token::Variable(_) => SqlKind::Variable,
            Token::Wrong => SqlKind::Wrong,
            Token::Name(_) => {
                return Err(self
                    .mistake("list-as-value", "a named list is not a single value")
                    .hint("a list goes after `in`: `username in @batch_users`"));
            }
            Token::Close | Token::Comma | Token::Operator(_) | Token::Arithmetic(_) | Token::End => {
                return Err(self.unexpected("a column or a value"));
            }
        };
        self.advance();
        Ok(self.outer(Sql { at, kind }))
    }

    fn operand_since(&self, start: usize, kind: SqlKind) -> Sql {
        Sql {
            at: self.since(start),
            kind,
        }
    }

    /// A negative number; a duration, size or percentage cannot have a sign.
    fn negative(&mut self) -> Result<Sql, Mistake> {
        let (_, sign) = self.advance();
        let inner = self.factor()?;
        let at = self.since(sign.start);
        match inner.kind {
            SqlKind::Plain(TermKind::Number(number)) => Ok(Sql {
                at,
                kind: SqlKind::Plain(TermKind::Number(number.saturating_neg())),
            }),
            SqlKind::Plain(TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_)) => Err(Mistake::new(
                at,
                "negative-amount",
                "durations, sizes and percentages are never negative",
            )),
            _ => {
                let zero = Sql {
                    at: sign,
                    kind: SqlKind::Plain(TermKind::Number(0)),
                };
                Ok(arithmetic(zero, '-', inner))
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<Sql, Mistake> {
        let start = self.at().start;
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "null" => {
                return Err(self
                    .mistake("comparison-with-null", "a comparison with NULL is never true")
                    .hint("write `is null` or `is not null`"));
            }
            "case" if !matches!(self.ahead(1), Token::Operator(_) | Token::End) => return self.case(),
            "interval" if matches!(self.ahead(1), Token::Text(_)) => return self.interval(),
            "date" | "timestamp" if matches!(self.ahead(1), Token::Text(_)) => {
                self.advance();
                self.advance();
                let call = SqlKind::Call {
                    name: "to_date".to_owned(),
                    arguments: Vec::new(),
                };
                return Ok(self.operand_since(start, call));
            }
            _ if is_keyword(word) => return Err(self.unexpected("a column or a value")),
            _ => {}
        }
        if self.ahead(1) == &Token::Open && !self.is_outer(1) {
            return self.call(lower);
        }
        let (_, at) = self.advance();
        let kind = SqlKind::Plain(TermKind::Word(word.to_owned()));
        Ok(self.outer(Sql { at, kind }))
    }

    /// Whether `(+)` begins `ahead` tokens after the current one.
    fn is_outer(&self, ahead: usize) -> bool {
        self.ahead(ahead) == &Token::Open
            && self.ahead(ahead + 1) == &Token::Arithmetic('+')
            && self.ahead(ahead + 2) == &Token::Close
    }

    fn outer(&mut self, operand: Sql) -> Sql {
        if !self.is_outer(0) {
            return operand;
        }
        for _ in 0..3 {
            self.advance();
        }
        self.operand_since(operand.at.start, SqlKind::OuterJoin)
    }

    fn call(&mut self, name: String) -> Result<Sql, Mistake> {
        let (_, start) = self.advance();
        if let Some(query) = self.query() {
            let arguments = vec![query];
            return Ok(self.operand_since(start.start, SqlKind::Call { name, arguments }));
        }
        let open = self.next;
        let arguments = self.arguments()?;
        if arguments.is_none() {
            self.after_parenthesis(open);
        }
        let call = SqlKind::Call {
            name,
            arguments: arguments.unwrap_or_default(),
        };
        Ok(self.operand_since(start.start, call))
    }

    /// Reads `(a, b)`; `None` if the parentheses contain something else, as in `cast(x as date)`.
    fn arguments(&mut self) -> Result<Option<Vec<Sql>>, Mistake> {
        if self.depth == DEEPEST {
            return Err(self.mistake("too-deep", format!("more than {DEEPEST} parentheses inside each other")));
        }
        self.advance();
        self.depth += 1;
        let arguments = self.argument_list();
        self.depth -= 1;
        Ok(arguments)
    }

    fn argument_list(&mut self) -> Option<Vec<Sql>> {
        let mut arguments = Vec::new();
        loop {
            if self.token() == &Token::Close {
                self.advance();
                return Some(arguments);
            }
            if Self::is_word(self.token(), "null") && matches!(self.ahead(1), Token::Comma | Token::Close) {
                // In Oracle, an empty text is NULL.
                let (_, at) = self.advance();
                let kind = SqlKind::Plain(TermKind::Text(String::new()));
                arguments.push(Sql { at, kind });
            } else {
                arguments.push(self.sql().ok()?);
            }
            match self.token() {
                Token::Comma => self.advance(),
                Token::Close => continue,
                _ => return None,
            };
        }
    }

    /// Advances past the parenthesis that closes the one at this token.
    fn after_parenthesis(&mut self, open: usize) {
        let mut depth = 0_usize;
        self.next = open;
        while self.token() != &Token::End {
            match self.advance().0 {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }

    /// Reads `(select ...)`, if it is here.
    pub(super) fn query(&mut self) -> Option<Sql> {
        if self.token() != &Token::Open || !Self::is_word(self.ahead(1), "select") {
            return None;
        }
        let start = self.at().start;
        self.after_parenthesis(self.next);
        let at = self.since(start);
        // What would have to be quoted in a condition is not looked at in a query.
        self.mistakes
            .retain(|one| one.code != "needs-quotes" || one.at.start < at.start || one.at.end > at.end);
        let text = self.text[at.clone()].to_owned();
        Some(Sql {
            at,
            kind: SqlKind::Query(text),
        })
    }

    fn group(&mut self) -> Result<Sql, Mistake> {
        if let Some(query) = self.query() {
            return Ok(query);
        }
        let open = self.next;
        let start = self.at().start;
        let Some(mut members) = self.arguments()? else {
            self.after_parenthesis(open);
            return Err(Mistake::new(
                self.since(start),
                "unexpected-word",
                "the text in these parentheses is neither a condition nor a value",
            ));
        };
        let only = if members.len() == 1 { members.pop() } else { None };
        let kind = match only {
            // The parentheses of `(sysdate - logon_time) * 24` are not kept.
            Some(Sql {
                kind: kind @ (SqlKind::Arithmetic { .. } | SqlKind::Wrong),
                ..
            }) => kind,
            Some(other) => SqlKind::Group(vec![other]),
            None => SqlKind::Group(members),
        };
        Ok(self.operand_since(start, kind))
    }

    /// Reads `CASE ... END`, which may be nested.
    fn case(&mut self) -> Result<Sql, Mistake> {
        let start = self.at();
        let mut open = 0_usize;
        loop {
            let token = self.advance().0;
            if Self::is_word(&token, "case") {
                open += 1;
            } else if Self::is_word(&token, "end") {
                open -= 1;
            }
            if open == 0 {
                return Ok(self.operand_since(start.start, SqlKind::Case));
            }
            if self.token() == &Token::End {
                return Err(Mistake::new(start, "no-functions", "conditions do not support CASE")
                    .hint("write each case out: `(a and b) or (c and d)`"));
            }
        }
    }

    /// Reads `INTERVAL '1' HOUR` or `INTERVAL '90' MINUTE(3)`.
    fn interval(&mut self) -> Result<Sql, Mistake> {
        let (_, start) = self.advance();
        let (text, _) = self.advance();
        let unit = self.advance().0;
        if self.token() == &Token::Open {
            self.after_parenthesis(self.next);
        }
        let number = match &text {
            Token::Text(number) => number.trim().parse::<f64>().ok(),
            _ => None,
        };
        let each = match &unit {
            Token::Word(unit) => seconds_of(unit),
            _ => None,
        };
        let Some(seconds) = number.zip(each).map(|(number, each)| number * each) else {
            return Err(Mistake::new(
                self.since(start.start),
                "not-an-operator",
                "write this interval as a duration",
            )
            .hint("durations look like `90s`, `30m`, `4h`, `1d`, `1h30m`"));
        };
        Ok(self.operand_since(start.start, SqlKind::Interval(seconds)))
    }

    /// Whether the token here can begin a part of a condition.
    pub(super) fn begins_a_part(&self) -> bool {
        match self.token() {
            Token::Name(_) | Token::Open | Token::Qualified(..) => true,
            Token::Word(word) => {
                self.comparison_follows(1)
                    || super::phrase::begins_a_phrase(word)
                    || Column::named(word).is_some()
                    || word.eq_ignore_ascii_case("not")
            }
            _ => false,
        }
    }
}

fn arithmetic(left: Sql, operator: char, right: Sql) -> Sql {
    Sql {
        at: left.at.start..right.at.end,
        kind: SqlKind::Arithmetic {
            left: Box::new(left),
            operator,
            right: Box::new(right),
        },
    }
}
