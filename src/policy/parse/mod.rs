//! Parses a condition by recursive descent, with a function for each rule of the grammar.
//!
//! Only parentheses recurse, and their depth is limited; everything else is a loop. After a mistake the parser skips to the
//! next AND or OR and goes on there, so that one run reports all mistakes. The part with the mistake becomes
//! [`ExprKind::Broken`], and nothing more is reported about it.
//!
//! The parser also reads SQL that conditions do not support (aliases, arithmetic, functions, subqueries), so that `habit` can
//! say what to write instead. `IN` is the only ambiguous word (`username in (A)`, `in transaction`); the word after it decides.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "only a few tokens are allowed at each position; all others, including future ones, are unexpected"
)]

mod judged;
mod operand;
mod phrase;
mod right;
mod trailing;
mod worded;

use std::collections::BTreeSet;
use std::ops::Range;

use super::ast::{Expr, ExprKind};
use super::condition::Comparison;
use super::habit::{Aim, Aliases, Place};
use super::lex::{Lexed, Mistake, Token, lex};
use right::Right;

/// The deepest nesting of parentheses.
const DEEPEST: usize = 48;

/// The most terms in a condition.
const MOST_TERMS: usize = 1_000;

/// The parsed condition, and its mistakes in the order of the text.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The text.
    pub(crate) text: String,
    pub(crate) expr: Expr,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Parses a condition as the text of a `when`.
pub(crate) fn parse(text: &str) -> Parsed {
    parse_for(text, Aim::Acts)
}

/// Parses a condition. The place decides only what is said to write instead of SQL that conditions do not support.
pub(crate) fn parse_for(text: &str, aim: Aim) -> Parsed {
    let Lexed { tokens, mistakes } = lex(text);
    let aliases = Aliases::read(&tokens);
    let mut parser = Parser {
        text,
        tokens,
        next: 0,
        depth: 0,
        terms: 0,
        mistakes,
        prefixes: BTreeSet::new(),
        aliases,
        gave_up: false,
        aim,
        not: None,
    };
    let expr = if parser.token() == &Token::End {
        if parser.mistakes.is_empty() {
            let mistake = Mistake::new(0..text.len(), "empty-condition", "the condition is empty");
            parser.mistakes.push(mistake);
        }
        Expr {
            at: 0..text.len(),
            kind: ExprKind::Broken,
        }
    } else {
        parser.whole()
    };
    let mut mistakes = parser.mistakes;
    mistakes.sort_by_key(|mistake| (mistake.at.start, mistake.at.end));
    Parsed {
        text: text.to_owned(),
        expr,
        mistakes,
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    depth: usize,
    terms: usize,
    mistakes: Vec<Mistake>,
    /// The aliases that are already reported; each is reported once.
    prefixes: BTreeSet<String>,
    /// What the aliases stand for.
    aliases: Aliases,
    /// A limit was reached; the rest is not read, and nothing is reported about it.
    gave_up: bool,
    /// What decides at this place of the condition.
    aim: Aim,
    /// Where the NOT begins that stands right before the comparison that is being read.
    not: Option<usize>,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> Range<usize> {
        self.tokens[self.next].1.clone()
    }

    /// The token that is `ahead` tokens after the current one.
    fn ahead(&self, ahead: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.next + ahead).min(last)].0
    }

    fn before(&self) -> Option<&Token> {
        self.next.checked_sub(1).map(|last| &self.tokens[last].0)
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

    fn report(&mut self, mistake: Mistake) {
        if !self.gave_up {
            self.mistakes.push(mistake);
        }
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

    /// The whole text: what scripts have before a condition, the condition itself, and surplus closing parentheses.
    fn whole(&mut self) -> Expr {
        self.beginning();
        let mut parts = vec![self.or()];
        while self.token() == &Token::Close {
            let mistake = self.mistake("unbalanced-parenthesis", "this `)` has no matching `(`");
            if self.mistakes.last().is_none_or(|last| last.at != mistake.at) {
                self.report(mistake);
            }
            self.advance();
            if self.token() == &Token::End {
                break;
            }
            if !self.eat("and") {
                self.eat("or");
            }
            parts.push(self.or());
        }
        joined(parts, true)
    }

    /// `select ... where`, `where`, or the `and` of a clause that was cut out.
    fn beginning(&mut self) {
        if Self::is_word(self.token(), "select") {
            let start = self.at();
            let mut depth = 0_usize;
            let end = self.tokens.iter().position(|(token, _)| {
                match token {
                    Token::Open => depth += 1,
                    Token::Close => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && Self::is_word(token, "where") || token == &Token::End
            });
            self.next = end.unwrap_or(0);
            let mistake =
                Mistake::new(start, "not-a-query", "a condition is not a query").hint("write only what follows WHERE");
            self.report(mistake);
            self.eat("where");
            if self.token() == &Token::End {
                self.gave_up = true;
            }
            return;
        }
        for word in ["where", "and", "or"] {
            if Self::is_word(self.token(), word) {
                let message = format!("a condition does not begin with `{word}`");
                let mistake = self.mistake("not-a-query", message).hint("leave it out");
                self.report(mistake);
                self.advance();
                return;
            }
        }
    }

    fn or(&mut self) -> Expr {
        let mut parts = vec![self.and()];
        while self.eat("or") {
            parts.push(self.and());
        }
        joined(parts, false)
    }

    fn and(&mut self) -> Expr {
        let mut parts = vec![self.part()];
        while self.eat("and") {
            parts.push(self.part());
        }
        joined(parts, true)
    }

    /// One part of an AND, with or without mistakes, up to a token that may follow it.
    fn part(&mut self) -> Expr {
        let from = self.next;
        match self.not() {
            Ok(expr) if self.is_at_bound() => expr,
            Ok(_) => {
                let mistake = self.trailing(from);
                self.recover(from, mistake)
            }
            Err(mistake) => self.recover(from, mistake),
        }
    }

    fn is_at_bound(&self) -> bool {
        self.is_bound(0)
    }

    /// Whether the token that is `ahead` tokens after the current one ends a part.
    fn is_bound(&self, ahead: usize) -> bool {
        match self.ahead(ahead) {
            Token::Close | Token::End => true,
            word => Self::is_word(word, "and") || Self::is_word(word, "or"),
        }
    }

    /// Skips the rest of the part that began with the token `from`, and reports the mistake unless the part already has a
    /// reported one.
    fn recover(&mut self, from: usize, mistake: Mistake) -> Expr {
        let reached = self.next;
        let (mut depth, mut between) = (0_usize, false);
        let mut at = from;
        while at + 1 < self.tokens.len() {
            let token = &self.tokens[at].0;
            match token {
                Token::Open => depth += 1,
                Token::Close if depth == 0 && at >= reached => break,
                Token::Close => depth = depth.saturating_sub(1),
                token if depth > 0 => debug_assert_ne!(token, &Token::End),
                token if Self::is_word(token, "between") => between = true,
                token if between && Self::is_word(token, "and") => between = false,
                token if at >= reached && (Self::is_word(token, "and") || Self::is_word(token, "or")) => break,
                _ => {}
            }
            at += 1;
        }
        self.next = at.max(reached);
        if !self.tokens[from..self.next]
            .iter()
            .any(|(token, _)| token == &Token::Wrong)
        {
            self.report(mistake);
        }
        Expr {
            at: self.since(self.tokens[from].1.start),
            kind: ExprKind::Broken,
        }
    }

    fn place(&self, at: Range<usize>) -> Place {
        let (aim, not) = (self.aim, self.not);
        Place { at, aim, not }
    }

    fn not(&mut self) -> Result<Expr, Mistake> {
        let start = self.at().start;
        if !self.eat("not") {
            self.not = None;
            return self.primary();
        }
        if Self::is_word(self.token(), "not") {
            return Err(self
                .mistake("double-not", "the second `not` cancels the first")
                .hint("leave both out"));
        }
        let aim = self.aim;
        self.aim = aim.opposite();
        self.not = Some(start);
        let inner = self.primary();
        self.aim = aim;
        let inner = inner?;
        Ok(Expr {
            at: start..inner.at.end,
            kind: ExprKind::Not(Box::new(inner)),
        })
    }

    fn primary(&mut self) -> Result<Expr, Mistake> {
        self.terms += 1;
        if self.terms > MOST_TERMS {
            let mistake = self
                .mistake(
                    "condition-too-long",
                    format!("the condition has more than {MOST_TERMS} terms, which is the limit"),
                )
                .hint("use `in (...)` or a named list");
            self.report(mistake.clone());
            self.gave_up = true;
            self.next = self.tokens.len() - 1;
            return Err(mistake);
        }
        let (start, token) = (self.at(), self.token().clone());
        match token {
            Token::Open if self.is_operand() => self.comparison(),
            Token::Open => self.parenthesis(),
            Token::Name(name) => {
                self.advance();
                Ok(Expr {
                    at: start,
                    kind: ExprKind::Named(name),
                })
            }
            Token::Word(word) => {
                if self.comparison_follows(1) || self.call_follows(&word) {
                    self.comparison()
                } else {
                    self.phrase(&word)
                }
            }
            Token::Text(_)
            | Token::Number(_)
            | Token::Duration(_)
            | Token::Size(_)
            | Token::Percent(_)
            | Token::Fraction(_)
            | Token::Qualified(..)
            | Token::Variable(_)
            | Token::Arithmetic('-' | '+')
            | Token::Wrong => self.comparison(),
            Token::End | Token::Close | Token::Comma | Token::Operator(_) | Token::Arithmetic(_) => {
                Err(self.unexpected("a condition"))
            }
        }
    }

    fn parenthesis(&mut self) -> Result<Expr, Mistake> {
        let open = self.next;
        if self.depth == DEEPEST {
            return Err(self.mistake("too-deep", format!("parentheses are nested more than {DEEPEST} deep")));
        }
        self.advance();
        self.depth += 1;
        let inner = self.or();
        self.depth -= 1;
        if self.token() == &Token::Close {
            self.advance();
        } else if !self.tokens[open..].iter().any(|(token, _)| token == &Token::Wrong) {
            let at = self.tokens[open].1.clone();
            self.report(Mistake::new(at, "unbalanced-parenthesis", "this `(` is never closed"));
        }
        Ok(Expr {
            at: self.since(self.tokens[open].1.start),
            kind: inner.kind,
        })
    }

    /// Whether the word here is an operand, because an operator follows it.
    fn comparison_follows(&self, ahead: usize) -> bool {
        match self.ahead(ahead) {
            Token::Operator(_) | Token::Arithmetic(_) => true,
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
        let left = self.sql()?;
        let comparison = match self.token() {
            Token::Operator(op) => Some(*op),
            word if Self::is_word(word, "above") => Some(Comparison::Greater),
            word if Self::is_word(word, "below") => Some(Comparison::Less),
            _ => None,
        };
        if let Some(op) = comparison {
            self.advance();
            let right = self.sql()?;
            self.sessions_word(&left, op, &right);
            return self.judged(start, left, Right::Compare(op, right), false);
        }
        if self.eat("is") {
            let negated = self.eat("not");
            if !self.eat("null") {
                return Err(self.is_something(negated));
            }
            return self.judged(start, left, Right::Null, negated);
        }
        let negated = self.eat("not");
        let right = if self.eat("in") {
            self.values()?
        } else if self.eat("between") {
            let low = self.sql()?;
            if !self.eat("and") {
                return Err(self.unexpected("`and` and the upper bound"));
            }
            let high = self.sql()?;
            self.one_unit(&low, &high);
            Right::Between(low, high)
        } else if self.eat("like") {
            let pattern = self.sql()?;
            let escape = if self.eat("escape") { Some(self.sql()?) } else { None };
            Right::Like(pattern, escape)
        } else if self.eat("matches") {
            Right::Matches(self.sql()?)
        } else {
            return self.without_operator(start, left);
        };
        self.judged(start, left, right, negated)
    }

    fn values(&mut self) -> Result<Right, Mistake> {
        if let Token::Name(name) = self.token().clone() {
            let (_, at) = self.advance();
            return Ok(Right::List { name, at });
        }
        if self.token() != &Token::Open {
            return Err(self.no_list());
        }
        if let Some(query) = self.query() {
            return Ok(Right::In(vec![query]));
        }
        self.advance();
        let mut values = Vec::new();
        loop {
            if self.token() == &Token::Close && values.is_empty() {
                return Err(self.mistake("empty-list", "the list is empty"));
            }
            if let Token::Name(name) = self.token() {
                let hint = format!("write `in @{name}`");
                return Err(self
                    .mistake("list-in-parentheses", "a named list after `in` has no parentheses")
                    .hint(hint));
            }
            values.push(self.sql()?);
            match self.token() {
                Token::Comma => self.advance(),
                Token::Close => break,
                _ => return Err(self.unexpected("`,` or `)`")),
            };
        }
        self.advance();
        Ok(Right::In(values))
    }
}

fn is_keyword(word: &str) -> bool {
    [
        "and", "or", "not", "in", "between", "like", "escape", "matches", "is", "above", "below",
    ]
    .iter()
    .any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Joins parts with AND or OR and flattens them: `a and (b and c)` becomes `a and b and c`.
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
