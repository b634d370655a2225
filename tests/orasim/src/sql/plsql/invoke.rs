//! Calls of procedures and functions: those of the same package, and those of stored packages.
//!
//! A stored package runs with the rights of its owner, whoever calls it, and only of those that its owner has itself. One whose
//! body mentions what its owner may not read does not compile, and none of its units can be called.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::block::{Block, Span, Step, Target};
use super::locking;
use super::run::{Result, Run, as_text, converted};
use super::unit::{self, Unit};
use crate::backend::{OraError, Value};
use crate::error::{not_simulated, ora};
use crate::sql::lex::{Tokens, word};
use crate::sql::types::Ty;
use crate::world::ClientSession;

/// How deep calls may go.
const DEEPEST: u32 = 50;

/// The values that the parameters have in the end, and that of a function.
type Given = (Vec<Value>, Option<Value>);

/// A unit of a stored package, by name.
struct Stored {
    owner: String,
    package: String,
    unit: String,
}

/// `owner.package.unit`, or without the owner one of the current schema, if the session may execute it.
fn stored(session: &ClientSession, parts: &[String]) -> Option<Stored> {
    let (owner, package, unit) = match parts {
        [owner, package, unit] => (owner.clone(), package, unit),
        [package, unit] => (session.setting.schema.clone(), package, unit),
        _ => return None,
    };
    let viewer = &session.setting.viewer;
    let state = session.shared.look();
    let there = state.packages.get(&owner, package)?;
    let public = there.public.contains(unit);
    let may = session.setting.sysdba
        || *viewer.user == *owner
        || state.accounts.may_execute(&viewer.user, viewer.con_id, &owner, package);
    (public && may).then(|| Stored {
        owner,
        package: package.clone(),
        unit: unit.clone(),
    })
}

/// Runs a unit; its parameters in their order.
fn enter(session: &mut ClientSession, library: (&Tokens<'_>, &[Unit]), unit: &Unit, run: Entry) -> Result<Given> {
    if run.depth > DEEPEST {
        return Err(ora(36, "maximum number of recursive SQL levels (50) exceeded"));
    }
    if run.values.len() != unit.parameters.len() {
        let text = format!(
            "line 1, column 7:\nPLS-00306: wrong number or types of arguments in call to '{}'",
            unit.name
        );
        return Err(ora(6550, text));
    }
    let Some(block) = &unit.block else {
        return Err(ora(6508, "PL/SQL: could not find program unit being called"));
    };
    let mut inner = Run::inside(session, library, run.depth);
    for (parameter, value) in unit.parameters.iter().zip(run.values) {
        let value = if parameter.takes {
            converted(value, parameter.ty)
        } else {
            Value::Null
        };
        inner.variables.insert(parameter.name.clone(), (value, parameter.ty));
    }
    let outer = block.autonomous.then(|| inner.session.begin_autonomous());
    let ran = inner.block(block);
    let returned = inner
        .returned
        .take()
        .map(|value| converted(value, unit.returns.unwrap_or(Ty::Unknown)));
    let variables = std::mem::take(&mut inner.variables);
    if let Some(outer) = outer {
        session.end_autonomous(outer, ran.is_ok())?;
    }
    ran?;
    let values = unit.parameters.iter().map(|parameter| {
        let known = variables.get(&parameter.name);
        known.map_or(Value::Null, |(value, _)| value.clone())
    });
    let values = values.collect();
    if unit.returns.is_some() && returned.is_none() {
        return Err(ora(6503, "PL/SQL: Function returned without value"));
    }
    Ok((values, returned))
}

/// How a unit is entered.
struct Entry {
    values: Vec<Value>,
    depth: u32,
}

/// Runs a unit of a stored package as its owner.
fn enter_stored(session: &mut ClientSession, of: &Stored, entry: Entry) -> Result<Given> {
    let body = session
        .shared
        .look()
        .packages
        .get(&of.owner, &of.package)
        .and_then(|it| it.body.clone());
    let name = format!("{}.{}", of.owner, of.package);
    let missing = || ora(4067, format!("not executed, package body \"{name}\" does not exist"));
    let body = body.ok_or_else(missing)?;
    let tokens = Tokens::read(&body)?;
    let created = unit::read(&tokens).ok_or_else(missing)??;
    session.as_definer(&of.owner, |session| {
        let library = (&tokens, created.units.as_slice());
        for unit in &created.units {
            let compiled = Run::inside(session, library, entry.depth).compiles(unit);
            compiled.map_err(|error| {
                let text = format!("package body \"{name}\" has errors\n{}", error.message);
                ora(4063, text)
            })?;
        }
        let unit = created
            .units
            .iter()
            .find(|unit| unit.name == of.unit)
            .ok_or_else(missing)?;
        enter(session, library, unit, entry)
    })
}

impl Run<'_, '_> {
    /// A call as a statement.
    pub(super) fn call(&mut self, name: &str, arguments: &[(Option<String>, Span)]) -> Result<()> {
        let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        let (units, tokens, depth) = (self.units, self.tokens, self.depth + 1);
        if let [only] = parts.as_slice()
            && let Some(unit) = units.iter().find(|unit| unit.name == *only)
        {
            let values = self.values_of(arguments)?;
            let given = enter(self.session, (tokens, units), unit, Entry { values, depth })?;
            return self.take_back(unit, arguments, given);
        }
        let Some(found) = stored(self.session, &parts) else {
            return self.supplied(name, arguments);
        };
        let spec = self
            .session
            .shared
            .look()
            .packages
            .get(&found.owner, &found.package)
            .map(|it| it.spec.clone());
        let spec = spec.unwrap_or_default();
        let spec_tokens = Tokens::read(&spec)?;
        let declared = unit::read(&spec_tokens).transpose()?;
        let declared = declared
            .into_iter()
            .flat_map(|created| created.units)
            .find(|unit| unit.name == found.unit);
        let values = self.values_of(arguments)?;
        let given = enter_stored(self.session, &found, Entry { values, depth })?;
        match declared {
            Some(unit) => self.take_back(&unit, arguments, given),
            None => Ok(()),
        }
    }

    fn values_of(&mut self, arguments: &[(Option<String>, Span)]) -> Result<Vec<Value>> {
        arguments
            .iter()
            .map(|(named, span)| match named {
                Some(_) => Err(not_simulated("a call of a stored procedure with named arguments")),
                None => self.value(span, Ty::Unknown),
            })
            .collect()
    }

    /// Gives the caller's variables what OUT parameters have.
    fn take_back(&mut self, unit: &Unit, arguments: &[(Option<String>, Span)], (values, _): Given) -> Result<()> {
        for ((parameter, (_, span)), value) in unit.parameters.iter().zip(arguments).zip(values) {
            if !parameter.gives {
                continue;
            }
            let target = match self.tokens.tokens.get(span.clone()) {
                Some([only]) => match &only.token {
                    Token::Placeholder(place) => place[1..].parse().ok().map(Target::Bind),
                    other => word(other).map(Target::Variable),
                },
                Some(_) | None => None,
            };
            let Some(target) = target else {
                let name = &parameter.name;
                let text =
                    format!("line 1, column 7:\nPLS-00363: expression '{name}' cannot be used as an assignment target");
                return Err(ora(6550, text));
            };
            let value = converted(value, self.type_of(&target));
            self.assign(&target, value)?;
        }
        Ok(())
    }

    /// The tokens with each call of a function replaced by its value.
    pub(super) fn expanded(&mut self, list: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
        let mut out: Vec<TokenWithSpan> = Vec::with_capacity(list.len());
        let mut at = 0;
        while at < list.len() {
            let Some((parts, open)) = called(&list, at) else {
                out.push(list[at].clone());
                at += 1;
                continue;
            };
            let close = closing(&list, open).unwrap_or(list.len() - 1);
            let (units, tokens, depth) = (self.units, self.tokens, self.depth + 1);
            let local = match parts.as_slice() {
                [only] => units.iter().find(|unit| unit.name == *only && unit.returns.is_some()),
                _ => None,
            };
            let found = stored(self.session, &parts);
            if let (None, None, Some(function)) = (local, &found, locking::function_of(&parts)) {
                let value = self.locking(function, &list[open + 1..close])?;
                out.push(TokenWithSpan::new(literal(value)?, list[at].span));
                at = close + 1;
                continue;
            }
            if local.is_none() && found.is_none() {
                out.extend(list[at..=open].iter().cloned());
                at = open + 1;
                continue;
            }
            let mut values = Vec::new();
            for argument in arguments(&list[open + 1..close]) {
                values.push(self.evaluated(argument.to_vec(), Ty::Unknown)?);
            }
            let entry = Entry { values, depth };
            let (_, value) = match (local, found) {
                (Some(unit), _) => enter(self.session, (tokens, units), unit, entry)?,
                (None, Some(found)) => enter_stored(self.session, &found, entry)?,
                (None, None) => (Vec::new(), None),
            };
            out.push(TokenWithSpan::new(
                literal(value.unwrap_or(Value::Null))?,
                list[at].span,
            ));
            at = close + 1;
        }
        Ok(out)
    }

    /// Whether every query of the unit names what its owner may read.
    fn compiles(&mut self, unit: &Unit) -> Result<()> {
        for parameter in &unit.parameters {
            self.variables
                .insert(parameter.name.clone(), (Value::Null, parameter.ty));
        }
        unit.block.as_ref().map_or(Ok(()), |block| self.block_compiles(block))
    }

    fn block_compiles(&mut self, block: &Block) -> Result<()> {
        for variable in &block.variables {
            self.variables.insert(variable.name.clone(), (Value::Null, variable.ty));
        }
        let handlers = block.handlers.iter().map(|(_, steps)| steps);
        std::iter::once(&block.body)
            .chain(handlers)
            .try_for_each(|steps| self.steps_compile(steps))
    }

    fn steps_compile(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| match step {
            Step::Select { before, after, .. } => {
                let list = self.tokens.tokens[before.clone()].iter();
                let list = list.chain(&self.tokens.tokens[after.clone()]).cloned().collect();
                self.described(list)
            }
            Step::If(arms, otherwise) => {
                let arms = arms.iter().map(|(_, steps)| steps);
                arms.chain([otherwise]).try_for_each(|steps| self.steps_compile(steps))
            }
            Step::Loop(_, body) | Step::For(_, _, _, body) => self.steps_compile(body),
            Step::Block(block) => self.block_compiles(block),
            Step::Null
            | Step::Assign(..)
            | Step::Exit(_)
            | Step::Return(_)
            | Step::Raise(_)
            | Step::Immediate { .. }
            | Step::Sql(_)
            | Step::Call(..) => Ok(()),
        })
    }
}

/// A statement of SQL with each call of a stored function replaced by its value; `None` where there is none.
pub(crate) fn with_values<'t>(session: &mut ClientSession, tokens: &Tokens<'t>) -> Result<Option<Tokens<'t>>> {
    let calls = (0..tokens.tokens.len())
        .filter_map(|at| called(&tokens.tokens, at))
        .any(|(parts, _)| stored(session, &parts).is_some());
    if !calls {
        return Ok(None);
    }
    let list = Run::inside(session, (tokens, &[]), 0).expanded(tokens.tokens.clone())?;
    Ok(Some(Tokens {
        text: tokens.text,
        tokens: list,
        binds: tokens.binds.clone(),
    }))
}

/// The parts of the name that begins here, if it is called, and where its parenthesis opens.
fn called(list: &[TokenWithSpan], at: usize) -> Option<(Vec<String>, usize)> {
    if at > 0 && list[at - 1].token == Token::Period {
        return None;
    }
    let mut parts = vec![word(&list.get(at)?.token)?];
    let mut next = at + 1;
    while list.get(next)?.token == Token::Period {
        parts.push(word(&list.get(next + 1)?.token)?);
        next += 2;
    }
    (list.get(next)?.token == Token::LParen).then_some((parts, next))
}

fn closing(list: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    (open..list.len()).find(|at| {
        match &list[*at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// The arguments between a call's parentheses.
pub(super) fn arguments(list: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let mut depth = 0_i32;
    let parts = list.split(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0 && token.token == Token::Comma
    });
    parts.filter(|part| !part.is_empty()).collect()
}

fn literal(value: Value) -> std::result::Result<Token, OraError> {
    match &value {
        Value::Int(_) | Value::Decimal(_) | Value::Float(_) => {
            Ok(Token::Number(as_text(&value).unwrap_or_default(), false))
        }
        Value::Text(text) => Ok(Token::SingleQuotedString(text.to_string())),
        Value::Null => Ok(Token::make_keyword("NULL")),
        Value::Date(_) | Value::Bytes(_) | Value::Raw(_) => Err(not_simulated(
            "a function in an expression that is neither a number nor a text",
        )),
    }
}
