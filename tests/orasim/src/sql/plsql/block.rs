//! The shape of a block, read from its tokens.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::backend::OraError;
use crate::error::ora_at;
use crate::sql::lex::{Tokens, offset, word};
use crate::sql::types::Ty;

/// A stretch of tokens: an expression or a statement of SQL.
pub(super) type Span = std::ops::Range<usize>;

/// BEGIN ... END with what is declared before it and caught after it.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) variables: Vec<Variable>,
    /// Exceptions with the number that PRAGMA EXCEPTION_INIT gave them.
    pub(super) exceptions: Vec<(String, Option<i64>)>,
    pub(super) body: Vec<Step>,
    pub(super) handlers: Vec<(Vec<String>, Vec<Step>)>,
    /// PRAGMA AUTONOMOUS_TRANSACTION.
    pub(super) autonomous: bool,
}

/// An argument of EXECUTE IMMEDIATE ... USING.
#[derive(Debug)]
pub(super) enum Using {
    In(Span),
    Out(Target),
}

/// A declared variable.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) ty: Ty,
    pub(super) start: Option<Span>,
}

/// Where a value goes.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Variable(String),
    Bind(usize),
}

/// A statement.
#[derive(Debug)]
pub(super) enum Step {
    Null,
    Assign(Target, Span),
    If(Vec<(Span, Vec<Step>)>, Vec<Step>),
    Loop(Option<Span>, Vec<Step>),
    For(String, Span, Span, Vec<Step>),
    Exit(Option<Span>),
    Return(Option<Span>),
    Raise(Option<String>),
    Block(Box<Block>),
    Immediate {
        text: Span,
        into: Vec<Target>,
        using: Vec<Using>,
    },
    Select {
        before: Span,
        into: Vec<Target>,
        after: Span,
    },
    Sql(Span),
    Call(String, Vec<(Option<String>, Span)>),
}

/// Reads tokens into a block.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) tokens: &'t [TokenWithSpan],
    pub(super) at: usize,
    depth: usize,
}

type Result<T> = std::result::Result<T, OraError>;

impl<'t> Reader<'t> {
    pub(super) fn new(tokens: &'t Tokens<'_>) -> Self {
        Self {
            text: tokens.text,
            tokens: &tokens.tokens,
            at: 0,
            depth: 0,
        }
    }

    pub(super) fn word_at(&self, at: usize) -> Option<String> {
        word(&self.tokens.get(at)?.token)
    }

    pub(super) fn peek(&self) -> Option<String> {
        self.word_at(self.at)
    }

    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let is = self.peek().is_some_and(|word| word == wanted);
        self.at += usize::from(is);
        is
    }

    pub(super) fn symbol(&mut self, wanted: &Token) -> bool {
        let is = self.tokens.get(self.at).is_some_and(|token| token.token == *wanted);
        self.at += usize::from(is);
        is
    }

    pub(super) fn wrong(&self) -> OraError {
        let found = self.tokens.get(self.at);
        let at = found.map_or(self.text.len(), |token| offset(self.text, token.span.start));
        let (line, column) = found.map_or((1, 1), |token| (token.span.start.line, token.span.start.column));
        let symbol = found.map_or_else(|| "end-of-file".to_owned(), |token| token.token.to_string());
        let text = format!(
            "line {line}, column {column}:\nPLS-00103: Encountered the symbol \"{}\" when expecting something else",
            symbol.to_uppercase()
        );
        ora_at(6550, text, at)
    }

    pub(super) fn expect(&mut self, wanted: &str) -> Result<()> {
        if self.take(wanted) { Ok(()) } else { Err(self.wrong()) }
    }

    pub(super) fn semicolon(&mut self) -> Result<()> {
        if self.symbol(&Token::SemiColon) {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    pub(super) fn name(&mut self) -> Result<String> {
        let name = self.peek().ok_or_else(|| self.wrong())?;
        self.at += 1;
        Ok(name)
    }

    /// The whole text: a block, or `CALL procedure(...)`.
    pub(super) fn whole(&mut self) -> Result<Block> {
        let block = if self.take("CALL") {
            let call = self.call_to_end()?;
            Block {
                body: vec![call],
                ..Block::default()
            }
        } else {
            self.block()?
        };
        if self.at < self.tokens.len() {
            Err(self.wrong())
        } else {
            Ok(block)
        }
    }

    fn call_to_end(&mut self) -> Result<Step> {
        let end = self.tokens.len();
        let step = self.call(end)?;
        self.at = end;
        Ok(step)
    }

    fn block(&mut self) -> Result<Block> {
        self.depth += 1;
        if self.depth > 32 {
            return Err(self.wrong());
        }
        let block = if self.take("DECLARE") {
            self.declared()?
        } else {
            self.body(Block::default())?
        };
        self.depth -= 1;
        Ok(block)
    }

    /// Declarations and the body that they are for.
    pub(super) fn declared(&mut self) -> Result<Block> {
        let mut block = Block::default();
        while self.peek().as_deref() != Some("BEGIN") {
            self.declaration(&mut block)?;
        }
        self.body(block)
    }

    fn body(&mut self, mut block: Block) -> Result<Block> {
        self.expect("BEGIN")?;
        block.body = self.steps(&["END", "EXCEPTION"])?;
        if self.take("EXCEPTION") {
            while self.take("WHEN") {
                let mut names = vec![self.name()?];
                while self.take("OR") {
                    names.push(self.name()?);
                }
                self.expect("THEN")?;
                block.handlers.push((names, self.steps(&["WHEN", "END"])?));
            }
        }
        self.expect("END")?;
        if self.peek().is_some() {
            self.at += 1;
        }
        self.semicolon()?;
        Ok(block)
    }

    fn declaration(&mut self, block: &mut Block) -> Result<()> {
        if self.take("PRAGMA") {
            let end = self.end_of_statement()?;
            block.autonomous |= self.take("AUTONOMOUS_TRANSACTION");
            if self.take("EXCEPTION_INIT") && self.symbol(&Token::LParen) {
                let name = self.name()?;
                let negative = self.tokens[self.at..end]
                    .iter()
                    .any(|token| token.token == Token::Minus);
                let number = self.tokens[self.at..end].iter().find_map(|token| match &token.token {
                    Token::Number(number, _) => number.parse::<i64>().ok(),
                    _ => None,
                });
                let number = number.map(|number| if negative { -number } else { number });
                if let Some(known) = block.exceptions.iter_mut().find(|(known, _)| *known == name) {
                    known.1 = number;
                }
            }
            self.at = end;
            return self.semicolon();
        }
        let name = self.name()?;
        let end = self.end_of_statement()?;
        if self.take("EXCEPTION") {
            block.exceptions.push((name, None));
            return self.semicolon();
        }
        let _ = self.take("CONSTANT");
        let from = self.at;
        let assigned = (from..end)
            .find(|at| self.tokens[*at].token == Token::Assignment || self.word_at(*at).as_deref() == Some("DEFAULT"));
        let ty = self.declared_type(from..assigned.unwrap_or(end));
        let start = assigned.map(|at| at + 1..end);
        block.variables.push(Variable { name, ty, start });
        self.at = end;
        self.semicolon()
    }

    pub(super) fn declared_type(&self, span: Span) -> Ty {
        let size = span.clone().find_map(|at| match &self.tokens[at].token {
            Token::Number(number, _) => number.parse().ok(),
            _ => None,
        });
        match self.word_at(span.start).as_deref() {
            Some("VARCHAR2" | "VARCHAR" | "CHAR" | "NVARCHAR2" | "STRING" | "CLOB" | "LONG") => {
                Ty::Text(size.unwrap_or(32_767))
            }
            Some("DATE") => Ty::Date,
            Some("TIMESTAMP") => Ty::Timestamp(6),
            Some("RAW") => Ty::Raw(size.unwrap_or(2000)),
            Some(
                "NUMBER" | "INTEGER" | "PLS_INTEGER" | "BINARY_INTEGER" | "SIMPLE_INTEGER" | "INT" | "BOOLEAN"
                | "POSITIVE" | "NATURAL",
            ) => Ty::Number,
            // `name table.column%TYPE`: whatever is assigned.
            Some(_) | None => Ty::Unknown,
        }
    }

    /// Where the statement that begins here ends.
    fn end_of_statement(&self) -> Result<usize> {
        let found = (self.at..self.tokens.len()).find(|at| self.tokens[*at].token == Token::SemiColon);
        found.ok_or_else(|| {
            Reader {
                at: self.tokens.len(),
                ..*self
            }
            .wrong()
        })
    }

    /// The next of these words, outside parentheses and CASE, before the end of the statement.
    fn find(&self, words: &[&str], from: usize) -> Option<usize> {
        let (mut depth, mut cases) = (0_i32, 0_i32);
        for at in from..self.tokens.len() {
            match &self.tokens[at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::SemiColon => return None,
                _ => {}
            }
            let found = self.word_at(at);
            match found.as_deref() {
                Some("CASE") => cases += 1,
                Some("END") if cases > 0 => cases -= 1,
                Some(found) if depth == 0 && cases == 0 && words.contains(&found) => return Some(at),
                Some(_) | None => {}
            }
        }
        None
    }

    fn up_to(&mut self, wanted: &str) -> Result<Span> {
        let end = self.find(&[wanted], self.at).ok_or_else(|| self.wrong())?;
        let span = self.at..end;
        self.at = end + 1;
        Ok(span)
    }

    fn steps(&mut self, ends: &[&str]) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        while !self.peek().is_some_and(|word| ends.contains(&word.as_str())) {
            if self.at >= self.tokens.len() {
                return Err(self.wrong());
            }
            steps.push(self.step()?);
        }
        if steps.is_empty() { Err(self.wrong()) } else { Ok(steps) }
    }

    fn step(&mut self) -> Result<Step> {
        match self.peek().as_deref() {
            Some("NULL") => {
                self.at += 1;
                self.semicolon().map(|()| Step::Null)
            }
            Some("RETURN") => {
                self.at += 1;
                let value = self.at..self.end_of_statement()?;
                self.at = value.end + 1;
                Ok(Step::Return((!value.is_empty()).then_some(value)))
            }
            Some("DECLARE" | "BEGIN") => Ok(Step::Block(Box::new(self.block()?))),
            Some("IF") => self.condition(),
            Some("LOOP" | "WHILE" | "FOR") => self.repetition(),
            Some("EXIT") => {
                self.at += 1;
                let end = self.end_of_statement()?;
                let conditional = self.take("WHEN");
                let when = conditional.then_some(self.at..end);
                self.at = end;
                self.semicolon().map(|()| Step::Exit(when))
            }
            Some("RAISE") => {
                self.at += 1;
                let name = if self.symbol(&Token::SemiColon) {
                    return Ok(Step::Raise(None));
                } else {
                    self.name()?
                };
                self.semicolon().map(|()| Step::Raise(Some(name)))
            }
            Some("EXECUTE") => self.immediate(),
            Some("SELECT" | "WITH") => self.select(),
            Some("INSERT" | "UPDATE" | "DELETE" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "SET" | "LOCK" | "MERGE") => {
                let end = self.end_of_statement()?;
                let span = self.at..end;
                self.at = end + 1;
                Ok(Step::Sql(span))
            }
            Some(_) | None => self.assignment_or_call(),
        }
    }

    fn condition(&mut self) -> Result<Step> {
        self.at += 1;
        let mut arms = Vec::new();
        let first = self.up_to("THEN")?;
        arms.push((first, self.steps(&["ELSIF", "ELSE", "END"])?));
        while self.take("ELSIF") {
            let next = self.up_to("THEN")?;
            arms.push((next, self.steps(&["ELSIF", "ELSE", "END"])?));
        }
        let otherwise = if self.take("ELSE") {
            self.steps(&["END"])?
        } else {
            Vec::new()
        };
        self.expect("END")?;
        self.expect("IF")?;
        self.semicolon()?;
        Ok(Step::If(arms, otherwise))
    }

    fn repetition(&mut self) -> Result<Step> {
        let kind = self.name()?;
        let head = match kind.as_str() {
            "LOOP" => None,
            "WHILE" => Some((String::new(), self.up_to("LOOP")?)),
            _ => {
                let name = self.name()?;
                self.expect("IN")?;
                Some((name, self.up_to("LOOP")?))
            }
        };
        let body = self.steps(&["END"])?;
        self.expect("END")?;
        self.expect("LOOP")?;
        self.semicolon()?;
        match head {
            None => Ok(Step::Loop(None, body)),
            Some((name, condition)) if name.is_empty() => Ok(Step::Loop(Some(condition), body)),
            Some((name, range)) => {
                // `1..5`: the tokenizer takes the points for parts of numbers or for periods.
                let dots = range.clone().find(|at| matches!(self.tokens[*at].token, Token::Period));
                let split = dots.ok_or_else(|| self.wrong())?;
                let high = (split..range.end)
                    .find(|at| self.tokens[*at].token != Token::Period)
                    .unwrap_or(range.end);
                Ok(Step::For(name, range.start..split, high..range.end, body))
            }
        }
    }

    fn target(&mut self) -> Result<Target> {
        let token = self.tokens.get(self.at).ok_or_else(|| self.wrong())?;
        let target = match &token.token {
            Token::Placeholder(place) => Target::Bind(place[1..].parse().map_err(|_| self.wrong())?),
            other => Target::Variable(word(other).ok_or_else(|| self.wrong())?),
        };
        self.at += 1;
        Ok(target)
    }

    fn targets(&mut self) -> Result<Vec<Target>> {
        let mut targets = vec![self.target()?];
        while self.symbol(&Token::Comma) {
            targets.push(self.target()?);
        }
        Ok(targets)
    }

    fn immediate(&mut self) -> Result<Step> {
        self.at += 1;
        self.expect("IMMEDIATE")?;
        let end = self.end_of_statement()?;
        let stop = self.find(&["INTO", "USING"], self.at).unwrap_or(end);
        let text = self.at..stop;
        self.at = stop;
        let into = if self.take("INTO") { self.targets()? } else { Vec::new() };
        let using = if self.take("USING") {
            self.split(self.at..end)
        } else {
            Vec::new()
        };
        let using = using.into_iter().map(|span| match self.word_at(span.start).as_deref() {
            Some("IN") => Ok(Using::In(span.start + 1..span.end)),
            Some("OUT") => {
                self.at = span.start + 1;
                self.target().map(Using::Out)
            }
            Some(_) | None => Ok(Using::In(span)),
        });
        let using = using.collect::<Result<_>>()?;
        self.at = end;
        self.semicolon()?;
        Ok(Step::Immediate { text, into, using })
    }

    fn select(&mut self) -> Result<Step> {
        let start = self.at;
        let end = self.end_of_statement()?;
        let into_at = self.find(&["INTO"], start).ok_or_else(|| self.wrong())?;
        self.at = into_at + 1;
        let into = self.targets()?;
        let step = Step::Select {
            before: start..into_at,
            into,
            after: self.at..end,
        };
        self.at = end + 1;
        Ok(step)
    }

    fn assignment_or_call(&mut self) -> Result<Step> {
        let end = self.end_of_statement()?;
        if self
            .tokens
            .get(self.at + 1)
            .is_some_and(|token| token.token == Token::Assignment)
        {
            let target = self.target()?;
            let value = self.at + 1..end;
            if value.is_empty() {
                return Err(self.wrong());
            }
            self.at = end + 1;
            return Ok(Step::Assign(target, value));
        }
        let step = self.call(end)?;
        self.at = end;
        self.semicolon()?;
        Ok(step)
    }

    fn call(&mut self, end: usize) -> Result<Step> {
        let mut name = self.name()?;
        while self.symbol(&Token::Period) {
            name = format!("{name}.{}", self.name()?);
        }
        let mut arguments = Vec::new();
        if self.symbol(&Token::LParen) {
            if end == 0 || self.tokens[end - 1].token != Token::RParen {
                return Err(self.wrong());
            }
            for span in self.split(self.at..end - 1) {
                let named = self
                    .tokens
                    .get(span.start + 1)
                    .is_some_and(|token| token.token == Token::RArrow);
                match (named, self.word_at(span.start)) {
                    (true, Some(name)) => arguments.push((Some(name), span.start + 2..span.end)),
                    (_, _) => arguments.push((None, span)),
                }
            }
        } else if self.at != end {
            return Err(self.wrong());
        }
        Ok(Step::Call(name, arguments))
    }

    /// Splits a list at its commas.
    fn split(&self, span: Span) -> Vec<Span> {
        let mut parts = Vec::new();
        let (mut depth, mut start) = (0_i32, span.start);
        for at in span.clone() {
            match &self.tokens[at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::Comma if depth == 0 => {
                    parts.push(start..at);
                    start = at + 1;
                }
                _ => {}
            }
        }
        if start < span.end {
            parts.push(start..span.end);
        }
        parts
    }
}
