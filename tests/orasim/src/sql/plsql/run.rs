//! Running a block.

mod transaction;

use std::collections::BTreeMap;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::block::{Block, Reader, Span, Step, Target, Using};
use super::unit::Unit;
use crate::backend::{Bind, OraError, Reply, Rows, StatementKind, Then, Value};
use crate::error::{known, ora};
use crate::sql::lex::{Tokens, word};
use crate::sql::types::{Ty, bind_types};
use crate::world::ClientSession;

pub(super) type Result<T> = std::result::Result<T, OraError>;

/// How often a loop may go round, all loops of a block together.
const TURNS: u32 = 1_000_000;

pub(super) enum Flow {
    On,
    Exit,
    Return,
}

pub(super) struct Run<'a, 't> {
    pub(super) session: &'a mut ClientSession,
    pub(super) tokens: &'t Tokens<'t>,
    /// The units of the package that runs; none in an anonymous block.
    pub(super) units: &'t [Unit],
    /// How many calls of units deep.
    pub(super) depth: u32,
    /// What a function returns.
    pub(super) returned: Option<Value>,
    pub(super) variables: BTreeMap<String, (Value, Ty)>,
    exceptions: Vec<(String, Option<i64>)>,
    /// Placeholder by placeholder, the bind it stands for: a name counts once in PL/SQL.
    places: Vec<usize>,
    binds: Vec<(Value, Ty)>,
    out: Vec<Option<Value>>,
    caught: Vec<OraError>,
    turns: u32,
}

/// Runs a block once for each row of binds.
pub(crate) fn run(
    session: &mut ClientSession,
    tokens: &Tokens<'_>,
    binds: &[Vec<Bind>],
    describe_only: bool,
) -> Result<Reply> {
    let block = Reader::new(tokens).whole()?;
    let mut names: Vec<&String> = Vec::new();
    let places: Vec<usize> = tokens
        .binds
        .iter()
        .map(|name| {
            names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        })
        .collect();
    let mut out = Vec::new();
    if !describe_only {
        let once = [Vec::new()];
        for row in if binds.is_empty() { &once[..] } else { binds } {
            if row.len() < names.len() {
                return Err(known(1008));
            }
            let types = bind_types(row);
            let mut run = Run {
                places: places.clone(),
                binds: row.iter().map(|bind| bind.value.clone()).zip(types).collect(),
                out: vec![None; row.len()],
                ..Run::inside(session, (tokens, &[]), 0)
            };
            run.block(&block).map_err(|error| stacked(error, tokens))?;
            out = run.out;
        }
    }
    Ok(Reply::Done {
        kind: StatementKind::PlSql,
        affected: vec![u64::from(!describe_only)],
        out,
    })
}

/// An error that nobody caught says where it passed.
fn stacked(error: OraError, tokens: &Tokens<'_>) -> OraError {
    // A block that does not compile runs through no line.
    if error.then != Then::Continue || matches!(error.code, 1013 | 6550) {
        return error;
    }
    let line = 1 + tokens.text[..(error.offset as usize).min(tokens.text.len())]
        .matches('\n')
        .count();
    OraError {
        message: format!("{}\nORA-06512: at line {line}", error.message),
        ..error
    }
}

/// SQLCODE: negative, but 100 for no data.
fn sqlcode(error: &OraError) -> i64 {
    if error.code == 1403 {
        100
    } else {
        -i64::from(error.code)
    }
}

fn predefined(name: &str) -> Option<u32> {
    Some(match name {
        "NO_DATA_FOUND" => 1403,
        "TOO_MANY_ROWS" => 1422,
        "ZERO_DIVIDE" => 1476,
        "INVALID_NUMBER" => 1722,
        "VALUE_ERROR" => 6502,
        "DUP_VAL_ON_INDEX" => 1,
        "PROGRAM_ERROR" => 6501,
        "LOGIN_DENIED" => 1017,
        _ => return None,
    })
}

impl<'a, 't> Run<'a, 't> {
    /// With these units to call, and nothing else yet.
    pub(super) fn inside(
        session: &'a mut ClientSession,
        (tokens, units): (&'t Tokens<'t>, &'t [Unit]),
        depth: u32,
    ) -> Run<'a, 't> {
        Run {
            session,
            tokens,
            units,
            depth,
            returned: None,
            variables: BTreeMap::new(),
            exceptions: Vec::new(),
            places: Vec::new(),
            binds: Vec::new(),
            out: Vec::new(),
            caught: Vec::new(),
            turns: 0,
        }
    }
}

impl<'t> Run<'_, 't> {
    pub(super) fn block(&mut self, block: &Block) -> Result<Flow> {
        let outer = self.variables.clone();
        let known_before = self.exceptions.len();
        self.exceptions.extend(block.exceptions.iter().cloned());
        let result = self.guarded(block);
        self.exceptions.truncate(known_before);
        for variable in &block.variables {
            match outer.get(&variable.name) {
                Some(shadowed) => drop(self.variables.insert(variable.name.clone(), shadowed.clone())),
                None => drop(self.variables.remove(&variable.name)),
            }
        }
        result
    }

    fn guarded(&mut self, block: &Block) -> Result<Flow> {
        for variable in &block.variables {
            let value = match &variable.start {
                Some(span) => self.value(span, variable.ty)?,
                None => Value::Null,
            };
            self.variables.insert(variable.name.clone(), (value, variable.ty));
        }
        let error = match self.steps(&block.body) {
            Ok(flow) => return Ok(flow),
            Err(error) => error,
        };
        if error.then != Then::Continue {
            return Err(error);
        }
        let handler = block
            .handlers
            .iter()
            .find(|(names, _)| names.iter().any(|name| self.catches(name, &error)));
        let Some((_, steps)) = handler else { return Err(error) };
        self.caught.push(error);
        let result = self.steps(steps);
        self.caught.pop();
        result
    }

    fn catches(&self, name: &str, error: &OraError) -> bool {
        if name == "OTHERS" || predefined(name) == Some(error.code) {
            return true;
        }
        let own = self.exceptions.iter().rev().find(|(known, _)| known == name);
        match own {
            Some((_, Some(number))) => -number == i64::from(error.code),
            Some((_, None)) => error.code == 6510 && error.message.ends_with(&format!("[{name}]")),
            None => false,
        }
    }

    fn steps(&mut self, steps: &[Step]) -> Result<Flow> {
        for step in steps {
            match self.step(step)? {
                Flow::On => {}
                leaving => return Ok(leaving),
            }
        }
        Ok(Flow::On)
    }

    fn step(&mut self, step: &Step) -> Result<Flow> {
        match step {
            Step::Null => {}
            Step::Return(None) => return Ok(Flow::Return),
            Step::Return(Some(value)) => {
                self.returned = Some(self.value(value, Ty::Unknown)?);
                return Ok(Flow::Return);
            }
            Step::Assign(target, value) => {
                let ty = self.type_of(target);
                let value = self.value(value, ty)?;
                self.assign(target, value)?;
            }
            Step::If(arms, otherwise) => {
                for (condition, steps) in arms {
                    if self.holds(condition)? {
                        return self.steps(steps);
                    }
                }
                return self.steps(otherwise);
            }
            Step::Loop(condition, body) => return self.repeat(condition.as_ref(), body),
            Step::For(name, low, high, body) => return self.count(name, low, high, body),
            Step::Exit(None) => return Ok(Flow::Exit),
            Step::Exit(Some(condition)) => {
                if self.holds(condition)? {
                    return Ok(Flow::Exit);
                }
            }
            Step::Raise(name) => return Err(self.raised(name.as_deref())),
            Step::Block(block) => return self.block(block),
            Step::Immediate { text, into, using } => self.immediate(text, into, using)?,
            Step::Select { before, into, after } => {
                let list: Vec<_> = self.tokens.tokens[before.clone()]
                    .iter()
                    .chain(&self.tokens.tokens[after.clone()])
                    .cloned()
                    .collect();
                let reply = self.sql(&list)?;
                self.into(reply, into)?;
            }
            Step::Sql(span) => {
                let list = self.tokens.tokens[span.clone()].to_vec();
                self.sql(&list)?;
            }
            Step::Call(name, arguments) => self.call(name, arguments)?,
        }
        Ok(Flow::On)
    }

    fn turn(&mut self) -> Result<()> {
        self.turns += 1;
        if self.turns > TURNS {
            return Err(ora(
                600,
                "internal error code, arguments: [orasim], [a loop went round a million times]",
            ));
        }
        self.session.with_own(|_, _| ())
    }

    fn repeat(&mut self, condition: Option<&Span>, body: &[Step]) -> Result<Flow> {
        loop {
            self.turn()?;
            if let Some(condition) = condition
                && !self.holds(condition)?
            {
                return Ok(Flow::On);
            }
            match self.steps(body)? {
                Flow::On => {}
                Flow::Exit => return Ok(Flow::On),
                Flow::Return => return Ok(Flow::Return),
            }
        }
    }

    fn count(&mut self, name: &str, low: &Span, high: &Span, body: &[Step]) -> Result<Flow> {
        let bound = |value| match value {
            Value::Int(number) => Ok(number),
            _ => Err(ora(6502, "PL/SQL: numeric or value error")),
        };
        let (low, high) = (
            bound(self.value(low, Ty::Number)?)?,
            bound(self.value(high, Ty::Number)?)?,
        );
        let shadowed = self.variables.remove(name);
        let mut flow = Flow::On;
        for number in low..=high {
            self.turn()?;
            self.variables.insert(name.to_owned(), (Value::Int(number), Ty::Number));
            match self.steps(body)? {
                Flow::On => {}
                Flow::Exit => break,
                Flow::Return => {
                    flow = Flow::Return;
                    break;
                }
            }
        }
        self.variables.remove(name);
        if let Some(shadowed) = shadowed {
            self.variables.insert(name.to_owned(), shadowed);
        }
        Ok(flow)
    }

    fn raised(&self, name: Option<&str>) -> OraError {
        match name {
            None => self.caught.last().cloned().unwrap_or_else(|| known(6510)),
            Some(name) => match (
                predefined(name),
                self.exceptions.iter().rev().find(|(known, _)| known == name),
            ) {
                (Some(code), _) => known(code),
                (None, Some((_, Some(number)))) => known(u32::try_from(-number).unwrap_or(6510)),
                (None, Some((_, None))) => ora(6510, format!("PL/SQL: unhandled user-defined exception [{name}]")),
                (None, None) => ora(
                    6550,
                    format!("line 1, column 1:\nPLS-00201: identifier '{name}' must be declared"),
                ),
            },
        }
    }

    pub(super) fn type_of(&self, target: &Target) -> Ty {
        match target {
            Target::Variable(name) => self.variables.get(name).map_or(Ty::Unknown, |(_, ty)| *ty),
            Target::Bind(place) => self
                .places
                .get(*place)
                .and_then(|at| self.binds.get(*at))
                .map_or(Ty::Unknown, |it| it.1),
        }
    }

    pub(super) fn assign(&mut self, target: &Target, value: Value) -> Result<()> {
        match target {
            Target::Variable(name) => {
                let Some(variable) = self.variables.get_mut(name) else {
                    return Err(ora(
                        6550,
                        format!("line 1, column 1:\nPLS-00201: identifier '{name}' must be declared"),
                    ));
                };
                if let (Value::Text(text), Ty::Text(size)) = (&value, variable.1)
                    && text.len() > size as usize
                {
                    return Err(ora(
                        6502,
                        "PL/SQL: numeric or value error: character string buffer too small",
                    ));
                }
                if matches!((&value, variable.1), (Value::Text(_), Ty::Number)) {
                    return Err(ora(
                        6502,
                        "PL/SQL: numeric or value error: character to number conversion error",
                    ));
                }
                variable.0 = value;
            }
            Target::Bind(place) => {
                let at = self.places.get(*place).copied().ok_or_else(|| known(1008))?;
                self.binds.get_mut(at).ok_or_else(|| known(1008))?.0 = value.clone();
                self.out[at] = Some(value);
            }
        }
        Ok(())
    }

    /// An expression's tokens with variables and binds turned into placeholders of their own.
    fn bound(&self, list: &[TokenWithSpan]) -> (Vec<TokenWithSpan>, Vec<Bind>) {
        let mut bound = Vec::with_capacity(list.len());
        let mut binds = Vec::new();
        for (at, token) in list.iter().enumerate() {
            let after_period = at > 0 && list[at - 1].token == Token::Period;
            let before = list.get(at + 1).map(|next| &next.token);
            let called = matches!(before, Some(Token::Period | Token::LParen));
            let value = match &token.token {
                Token::Placeholder(place) => place[1..]
                    .parse::<usize>()
                    .ok()
                    .and_then(|at| self.binds.get(*self.places.get(at)?))
                    .cloned(),
                other if !after_period && !called => word(other).and_then(|name| self.named(&name)),
                _ => None,
            };
            match value {
                Some((value, ty)) => {
                    let place = Token::Placeholder(format!(":{}", binds.len()));
                    bound.push(TokenWithSpan::new(place, token.span));
                    binds.push(Bind {
                        value,
                        kind: ty.column(),
                        left_out: false,
                    });
                }
                None => bound.push(token.clone()),
            }
        }
        (bound, binds)
    }

    fn named(&self, name: &str) -> Option<(Value, Ty)> {
        if let Some(variable) = self.variables.get(name) {
            return Some(variable.clone());
        }
        let caught = self.caught.last();
        match name {
            "SQLCODE" => Some((Value::Int(caught.map_or(0, sqlcode)), Ty::Number)),
            "SQLERRM" => {
                let text = caught.map_or("ORA-0000: normal, successful completion", |error| {
                    error.message.as_str()
                });
                Some((Value::Text(text.into()), Ty::Text(512)))
            }
            "TRUE" => Some((Value::Int(1), Ty::Number)),
            "FALSE" => Some((Value::Int(0), Ty::Number)),
            _ => None,
        }
    }

    fn sql(&mut self, list: &[TokenWithSpan]) -> Result<Reply> {
        let list = self.expanded(list.to_vec())?;
        let (tokens, binds) = self.bound_tokens(&list);
        if self.units.is_empty() {
            self.session.run(&tokens, &[binds], false)
        } else {
            self.session.run_within(&tokens, &[binds], false)
        }
    }

    fn bound_tokens(&self, list: &[TokenWithSpan]) -> (Tokens<'t>, Vec<Bind>) {
        let (tokens, binds) = self.bound(list);
        let names = vec![String::new(); binds.len()];
        let tokens = Tokens {
            text: self.tokens.text,
            tokens,
            binds: names,
        };
        (tokens, binds)
    }

    /// Whether a query could be run, were there rows or not.
    pub(super) fn described(&mut self, list: Vec<TokenWithSpan>) -> Result<()> {
        let (tokens, binds) = self.bound_tokens(&list);
        self.session.run_within(&tokens, &[binds], true).map(|_| ())
    }

    /// The value of an expression: `SELECT expression FROM DUAL`.
    pub(super) fn value(&mut self, span: &Span, wanted: Ty) -> Result<Value> {
        if self.is_transaction_id(span) {
            return self.transaction_id(span);
        }
        self.evaluated(self.tokens.tokens[span.clone()].to_vec(), wanted)
    }

    pub(super) fn evaluated(&mut self, list: Vec<TokenWithSpan>, wanted: Ty) -> Result<Value> {
        let value = self.selected("SELECT", list, "FROM DUAL")?;
        Ok(converted(value, wanted))
    }

    fn holds(&mut self, span: &Span) -> Result<bool> {
        // A lone boolean variable is a number here; anything else is a condition.
        let single = span.len() == 1;
        let tail = if single {
            "<> 0 THEN 1 ELSE 0 END FROM DUAL"
        } else {
            "THEN 1 ELSE 0 END FROM DUAL"
        };
        let list = self.tokens.tokens[span.clone()].to_vec();
        Ok(self.selected("SELECT CASE WHEN", list, tail)? == Value::Int(1))
    }

    fn selected(&mut self, before: &str, expression: Vec<TokenWithSpan>, after: &str) -> Result<Value> {
        let mut list = Tokens::read(before)?.tokens;
        list.extend(expression);
        list.extend(Tokens::read(after)?.tokens);
        match self.sql(&list)? {
            Reply::Query {
                rows: Some(mut rows), ..
            } => {
                let row = rows.next_row()?;
                Ok(row.and_then(|mut row| row.pop()).unwrap_or(Value::Null))
            }
            Reply::Query { .. } | Reply::Done { .. } => Ok(Value::Null),
        }
    }

    fn immediate(&mut self, text: &Span, into: &[Target], using: &[Using]) -> Result<()> {
        let Value::Text(statement) = self.value(text, Ty::Text(32_767))? else {
            return Err(ora(6535, "statement string in EXECUTE IMMEDIATE is NULL or 0 length"));
        };
        let mut binds = Vec::new();
        for argument in using {
            let (value, kind) = match argument {
                Using::Out(target) => (Value::Null, self.type_of(target)),
                Using::In(span) => {
                    let value = self.value(span, Ty::Unknown)?;
                    let kind = match &value {
                        Value::Int(_) | Value::Decimal(_) | Value::Float(_) => Ty::Number,
                        Value::Date(_) => Ty::Date,
                        Value::Null | Value::Text(_) | Value::Bytes(_) | Value::Raw(_) => Ty::Text(4000),
                    };
                    (value, kind)
                }
            };
            binds.push(Bind {
                value,
                kind: kind.column(),
                left_out: false,
            });
        }
        let tokens = Tokens::read(&statement)?;
        let reply = self.session.run(&tokens, &[binds], false)?;
        if let Reply::Done { out, .. } = &reply {
            for (argument, value) in using.iter().zip(out) {
                if let (Using::Out(target), Some(value)) = (argument, value) {
                    let value = converted(value.clone(), self.type_of(target));
                    self.assign(target, value)?;
                }
            }
        }
        if into.is_empty() {
            Ok(())
        } else {
            self.into(reply, into)
        }
    }

    fn into(&mut self, reply: Reply, into: &[Target]) -> Result<()> {
        let Reply::Query {
            rows: Some(mut rows), ..
        } = reply
        else {
            return Err(known(1403));
        };
        let row = only_row(rows.as_mut())?;
        if row.len() != into.len() {
            return Err(ora(947, "not enough values"));
        }
        for (target, value) in into.iter().zip(row) {
            let value = converted(value, self.type_of(target));
            self.assign(target, value)?;
        }
        Ok(())
    }
}

fn only_row(rows: &mut dyn Rows) -> Result<Vec<Value>> {
    let row = rows.next_row()?.ok_or_else(|| known(1403))?;
    if rows.next_row()?.is_some() {
        Err(known(1422))
    } else {
        Ok(row)
    }
}

pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) | Value::Decimal(text) => Some(text.to_string()),
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Date(at) => Some(at.to_string()),
        Value::Raw(bytes) => Some(crate::sql::types::hex(bytes)),
    }
}

/// A value in the type of what it is assigned to.
pub(super) fn converted(value: Value, wanted: Ty) -> Value {
    match (&value, wanted) {
        (Value::Int(_) | Value::Decimal(_) | Value::Float(_), Ty::Text(_) | Ty::Clob) => {
            as_text(&value).map_or(Value::Null, |text| Value::Text(text.into()))
        }
        (Value::Text(text), Ty::Number) => match (text.trim().parse::<i64>(), text.trim().parse::<f64>()) {
            (Ok(number), _) => Value::Int(number),
            (Err(_), Ok(_)) => Value::Decimal(text.trim().into()),
            (Err(_), Err(_)) => value,
        },
        (_, _) => value,
    }
}
