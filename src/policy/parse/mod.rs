//! Reads a condition by recursive descent, one function a line of the grammar.
//!
//! Recursion happens only through parentheses, and these are counted; everything else loops. The first mistake ends the
//! reading of that condition: what follows it would be guesswork.
//!
//! `IN` is the one word with two lives (`username in (A)`, `in transaction`); one word of look-ahead tells them apart.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a place takes a few tokens; every other one, old or new, is unexpected there"
)]

mod phrase;

use std::ops::Range;

use super::ast::{Expr, ExprKind, Term, TermKind, Values};
use super::condition::Comparison;
use super::diagnostics::did_you_mean;
use super::lex::{Mistake, Token, lex};

/// How deep parentheses may stand in each other.
const DEEPEST: usize = 48;

/// How many terms one condition may have.
const MOST_TERMS: usize = 1_000;

/// Reads a condition.
pub(crate) fn parse(text: &str) -> Result<Expr, Mistake> {
    let tokens = lex(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        terms: 0,
    };
    if parser.token() == &Token::End {
        return Err(Mistake::new(0..text.len(), "empty-condition", "the condition is empty"));
    }
    let expr = parser.or()?;
    if parser.token() == &Token::Close {
        return Err(parser.mistake("unbalanced-parenthesis", "this `)` closes nothing"));
    }
    if parser.token() != &Token::End {
        return Err(parser.trailing());
    }
    Ok(expr)
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    depth: usize,
    terms: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> Range<usize> {
        self.tokens[self.next].1.clone()
    }

    /// The token after the next `ahead` ones.
    fn ahead(&self, ahead: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.next + ahead).min(last)].0
    }

    fn advance(&mut self) -> (Token, Range<usize>) {
        let taken = self.tokens[self.next].clone();
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        taken
    }

    fn is_word(token: &Token, word: &str) -> bool {
        matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = Self::is_word(self.token(), word);
        if found {
            self.advance();
        }
        found
    }

    fn mistake(&self, code: &'static str, message: impl Into<String>) -> Mistake {
        Mistake::new(self.at(), code, message)
    }

    fn unexpected(&self, expected: &str) -> Mistake {
        self.mistake(
            "unexpected-word",
            format!("expected {expected}, found {}", self.token().describe()),
        )
        .expected(format!("expected {expected}"))
    }

    fn since(&self, start: usize) -> Range<usize> {
        let end = self.next.checked_sub(1).map_or(start, |last| self.tokens[last].1.end);
        start..end.max(start)
    }

    fn or(&mut self) -> Result<Expr, Mistake> {
        let mut parts = vec![self.and()?];
        while self.eat("or") {
            parts.push(self.and()?);
        }
        Ok(joined(parts, false))
    }

    fn and(&mut self) -> Result<Expr, Mistake> {
        let mut parts = vec![self.not()?];
        while self.eat("and") {
            parts.push(self.not()?);
        }
        Ok(joined(parts, true))
    }

    fn not(&mut self) -> Result<Expr, Mistake> {
        let start = self.at().start;
        if !self.eat("not") {
            return self.primary();
        }
        if Self::is_word(self.token(), "not") {
            return Err(self
                .mistake("double-not", "a second `not` undoes the first")
                .hint("leave both out"));
        }
        let inner = self.primary()?;
        Ok(Expr {
            at: start..inner.at.end,
            kind: ExprKind::Not(Box::new(inner)),
        })
    }

    fn primary(&mut self) -> Result<Expr, Mistake> {
        self.terms += 1;
        if self.terms > MOST_TERMS {
            return Err(self
                .mistake(
                    "condition-too-long",
                    format!("the condition has more than {MOST_TERMS} terms"),
                )
                .hint("use `in (...)` or a named list"));
        }
        let (start, token) = (self.at(), self.token().clone());
        match token {
            Token::Open => self.parenthesis(),
            Token::Name(name) => {
                self.advance();
                Ok(Expr {
                    at: start,
                    kind: ExprKind::Named(name),
                })
            }
            Token::Word(word) => {
                if self.comparison_follows(1) {
                    self.comparison()
                } else {
                    self.phrase(&word)
                }
            }
            Token::Text(_) | Token::Number(_) | Token::Duration(_) | Token::Size(_) | Token::Percent(_) => {
                self.comparison()
            }
            Token::End => Err(self.unexpected("a condition")),
            Token::Close | Token::Comma | Token::Operator(_) => Err(self.unexpected("a condition")),
        }
    }

    fn parenthesis(&mut self) -> Result<Expr, Mistake> {
        let open = self.at();
        if self.depth == DEEPEST {
            return Err(self.mistake("too-deep", format!("more than {DEEPEST} parentheses inside each other")));
        }
        self.advance();
        self.depth += 1;
        let inner = self.or()?;
        self.depth -= 1;
        match self.token() {
            Token::Close => {
                self.advance();
                Ok(Expr {
                    at: self.since(open.start),
                    kind: inner.kind,
                })
            }
            Token::End => Err(Mistake::new(open, "unbalanced-parenthesis", "this `(` is never closed")),
            _ => Err(self.trailing()),
        }
    }

    /// Whether the word here is an operand: an operator follows it.
    fn comparison_follows(&self, ahead: usize) -> bool {
        match self.ahead(ahead) {
            Token::Operator(_) => true,
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "above" | "below" | "between" | "like" | "matches" | "is" => true,
                "in" => !Self::is_word(self.ahead(ahead + 1), "transaction"),
                "not" => ["in", "between", "like", "matches"]
                    .iter()
                    .any(|operator| Self::is_word(self.ahead(ahead + 1), operator)),
                _ => false,
            },
            _ => false,
        }
    }

    fn comparison(&mut self) -> Result<Expr, Mistake> {
        let start = self.at().start;
        let left = self.operand()?;
        let comparison = match self.token() {
            Token::Operator(op) => Some(*op),
            word if Self::is_word(word, "above") => Some(Comparison::Greater),
            word if Self::is_word(word, "below") => Some(Comparison::Less),
            _ => None,
        };
        if let Some(op) = comparison {
            self.advance();
            let right = self.operand()?;
            return Ok(Expr {
                at: self.since(start),
                kind: ExprKind::Compare { left, op, right },
            });
        }
        if self.eat("is") {
            let negated = self.eat("not");
            if !self.eat("null") {
                return Err(self
                    .unexpected("`null`")
                    .hint("`is null` and `is not null` are the two forms"));
            }
            return Ok(self.negated(negated, start, ExprKind::IsNull(left)));
        }
        let negated = self.eat("not");
        let kind = if self.eat("in") {
            ExprKind::In {
                operand: left,
                values: self.values()?,
            }
        } else if self.eat("between") {
            let low = self.operand()?;
            if !self.eat("and") {
                return Err(self.unexpected("`and` and the upper bound"));
            }
            ExprKind::Between {
                operand: left,
                low,
                high: self.operand()?,
            }
        } else if self.eat("like") {
            let pattern = self.operand()?;
            let escape = if self.eat("escape") {
                Some(self.operand()?)
            } else {
                None
            };
            ExprKind::Like {
                operand: left,
                pattern,
                escape,
            }
        } else if self.eat("matches") {
            ExprKind::Matches {
                operand: left,
                pattern: self.operand()?,
            }
        } else {
            return Err(self.unexpected("an operator, such as `=`, `in` or `like`"));
        };
        Ok(self.negated(negated, start, kind))
    }

    fn negated(&self, negated: bool, start: usize, kind: ExprKind) -> Expr {
        let at = self.since(start);
        let plain = Expr { at: at.clone(), kind };
        if !negated {
            return plain;
        }
        Expr {
            at,
            kind: ExprKind::Not(Box::new(plain)),
        }
    }

    fn values(&mut self) -> Result<Values, Mistake> {
        if let Token::Name(name) = self.token().clone() {
            let (_, at) = self.advance();
            return Ok(Values::List { name, at });
        }
        if self.token() != &Token::Open {
            return Err(self.unexpected("`(` and values, or a list's `@name`"));
        }
        self.advance();
        let mut values = Vec::new();
        loop {
            if self.token() == &Token::Close && values.is_empty() {
                return Err(self.mistake("empty-list", "the parentheses hold no value"));
            }
            if let Token::Name(name) = self.token() {
                let hint = format!("write `in @{name}`, without parentheses");
                return Err(self
                    .mistake("list-in-parentheses", "a named list stands alone after `in`")
                    .hint(hint));
            }
            values.push(self.operand()?);
            match self.token() {
                Token::Comma => self.advance(),
                Token::Close => break,
                _ => return Err(self.unexpected("`,` or `)`")),
            };
        }
        self.advance();
        Ok(Values::These(values))
    }

    fn operand(&mut self) -> Result<Term, Mistake> {
        let at = self.at();
        let kind = match self.token().clone() {
            Token::Word(word) if word.eq_ignore_ascii_case("null") => {
                return Err(self
                    .mistake("comparison-with-null", "a comparison with NULL is never true")
                    .hint("write `is null` or `is not null`"));
            }
            Token::Word(word) if is_keyword(&word) => return Err(self.unexpected("a column or a value")),
            Token::Word(word) => TermKind::Word(word),
            Token::Text(text) => TermKind::Text(text),
            Token::Number(number) => TermKind::Number(number),
            Token::Duration(seconds) => TermKind::Duration(seconds),
            Token::Size(bytes) => TermKind::Size(bytes),
            Token::Percent(percent) => TermKind::Percent(percent),
            Token::Name(_) => {
                return Err(self
                    .mistake("list-as-value", "a named list is no single value")
                    .hint("a list stands after `in`: `username in @batch_users`"));
            }
            Token::Open | Token::Close | Token::Comma | Token::Operator(_) | Token::End => {
                return Err(self.unexpected("a column or a value"));
            }
        };
        self.advance();
        if self.token() == &Token::Open && matches!(kind, TermKind::Word(_)) {
            let whole = at.start..self.at().end;
            return Err(
                Mistake::new(whole, "no-functions", "there are no functions in conditions").hint(
                    "letter case matters in texts: list the spellings with `in (...)`, or use `matches '(?i)...'`",
                ),
            );
        }
        Ok(Term { at, kind })
    }

    /// Something stands where only AND, OR or the end may.
    fn trailing(&self) -> Mistake {
        let mistake = self.unexpected("`and`, `or` or the end");
        if let Token::Word(word) = self.token()
            && let Some(hint) = did_you_mean(word, ["and", "or", "longer", "for", "not", "sessions"])
        {
            return mistake.hint(hint);
        }
        let before = self.next.checked_sub(1).map(|last| &self.tokens[last].0);
        match (before, self.token()) {
            (_, Token::Operator(_)) => mistake.hint("write `a > 1 and a < 5`: comparisons do not chain"),
            (Some(Token::Word(_) | Token::Text(_)), Token::Word(_) | Token::Text(_)) => {
                mistake.hint("a text with spaces is quoted: `program = 'SQL Developer'`")
            }
            _ => mistake,
        }
    }
}

fn is_keyword(word: &str) -> bool {
    [
        "and", "or", "not", "in", "between", "like", "escape", "matches", "is", "above", "below",
    ]
    .iter()
    .any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Joins parts by AND or OR, without nesting one in itself: `a and (b and c)` is `a and b and c`.
fn joined(mut parts: Vec<Expr>, and: bool) -> Expr {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let at = parts[0].at.start..parts[parts.len() - 1].at.end;
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part.kind {
            ExprKind::And(inner) if and => flat.extend(inner),
            ExprKind::Or(inner) if !and => flat.extend(inner),
            kind => flat.push(Expr { at: part.at, kind }),
        }
    }
    Expr {
        at,
        kind: if and { ExprKind::And(flat) } else { ExprKind::Or(flat) },
    }
}
