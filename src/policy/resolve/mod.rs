//! Resolves a parsed condition: names become columns, literals become values of the column's kind.
//!
//! Kinds are never converted into each other. Oracle would evaluate `sql_id = 5` with TO_NUMBER at run time and fail on the
//! first SQL_ID that is not a number; here it is a mistake, reported with its position. The one exception is a number without
//! a unit: compared with a duration it means seconds, with a size bytes, because the views have these units.

mod literal;
mod terms;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use literal::{LONGEST_DURATION, literal, time_literal, too_long};
use terms::{between, column, compare, like, matches};

use super::ast::{Expr, ExprKind, Term, TermKind, Values};
use super::condition::{Condition, Constant, Operand, Phrase};
use super::lex::Mistake;
use crate::session::column::Kind;
use crate::yaml::diagnostics::{did_you_mean, quoted};

/// What each `@name` stands for. A name whose definition has mistakes maps to `None`, so that they are reported only once.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) lists: BTreeMap<Arc<str>, Option<Vec<TermKind>>>,
    pub(crate) conditions: BTreeMap<Arc<str>, Option<Arc<Condition>>>,
    /// The conditions that contain a word without quotes whose lower-case letters became upper case, and that word.
    pub(crate) folded: BTreeMap<Arc<str>, String>,
}

/// The positions of a condition's parts: a tree of the same shape as the condition.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    pub(crate) at: Range<usize>,
    pub(crate) children: Vec<Spans>,
}

/// Resolves a condition and adds its mistakes. `None` without a mistake means that it uses a name whose definition has one.
pub(crate) fn resolve(
    expr: &Expr,
    definitions: &Definitions,
    mistakes: &mut Vec<Mistake>,
) -> Option<(Condition, Spans)> {
    let mut resolver = Resolver { definitions, mistakes };
    resolver.expr(expr)
}

/// AND or OR of several conditions.
type Joined = fn(Vec<Condition>) -> Condition;

/// The largest correct parts of a condition that has mistakes in other parts. The correct parts of an AND or OR stay
/// together.
pub(crate) fn right_parts(expr: &Expr, definitions: &Definitions) -> Vec<(Condition, Spans)> {
    let whole = |expr: &Expr| resolve(expr, definitions, &mut Vec::new());
    if let Some(whole) = whole(expr) {
        return vec![whole];
    }
    let (inner, join): (&[Expr], Joined) = match &expr.kind {
        ExprKind::And(parts) => (parts, Condition::And),
        ExprKind::Or(parts) => (parts, Condition::Or),
        // A lint about a part under NOT would not apply to the part alone.
        ExprKind::Not(_)
        | ExprKind::Broken
        | ExprKind::Named(_)
        | ExprKind::Phrase(_)
        | ExprKind::Compare { .. }
        | ExprKind::In { .. }
        | ExprKind::Between { .. }
        | ExprKind::Like { .. }
        | ExprKind::Matches { .. }
        | ExprKind::IsNull(_) => return Vec::new(),
    };
    let mut right = Vec::new();
    let mut together = (Vec::new(), Vec::new());
    for part in inner {
        match whole(part) {
            Some((condition, spans)) => {
                together.0.push(condition);
                together.1.push(spans);
            }
            None => right.extend(right_parts(part, definitions)),
        }
    }
    let (conditions, children) = together;
    if !conditions.is_empty() {
        let at = expr.at.clone();
        right.insert(0, (join(conditions), Spans { at, children }));
    }
    right
}

struct Resolver<'a> {
    definitions: &'a Definitions,
    mistakes: &'a mut Vec<Mistake>,
}

impl Resolver<'_> {
    fn expr(&mut self, expr: &Expr) -> Option<(Condition, Spans)> {
        let leaf = |condition| {
            let children = Vec::new();
            Some((
                condition,
                Spans {
                    at: expr.at.clone(),
                    children,
                },
            ))
        };
        match &expr.kind {
            ExprKind::And(parts) => self.all(parts, &expr.at, Condition::And),
            ExprKind::Or(parts) => self.all(parts, &expr.at, Condition::Or),
            ExprKind::Not(inner) => {
                let (condition, spans) = self.expr(inner)?;
                let at = expr.at.clone();
                let children = vec![spans];
                Some((Condition::Not(Box::new(condition)), Spans { at, children }))
            }
            ExprKind::Broken => None,
            ExprKind::Named(name) => {
                let condition = self.named(name, &expr.at)?;
                leaf(condition)
            }
            ExprKind::Phrase(phrase) => {
                if longest(phrase).is_some_and(|seconds| seconds > LONGEST_DURATION) {
                    self.mistakes.push(too_long(&expr.at));
                    return None;
                }
                leaf(Condition::Phrase(phrase.clone()))
            }
            ExprKind::Compare { .. }
            | ExprKind::In { .. }
            | ExprKind::Between { .. }
            | ExprKind::Like { .. }
            | ExprKind::Matches { .. }
            | ExprKind::IsNull(_) => match self.comparison(&expr.kind, &expr.at) {
                Ok(condition) => leaf(condition?),
                Err(mistake) => {
                    self.mistakes.push(mistake);
                    None
                }
            },
        }
    }

    fn all(
        &mut self,
        parts: &[Expr],
        at: &Range<usize>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Option<(Condition, Spans)> {
        // Every part is resolved even if one fails, so that every mistake is reported.
        let resolved: Vec<_> = parts.iter().map(|part| self.expr(part)).collect();
        let (conditions, children) = resolved.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let at = at.clone();
        Some((join(conditions), Spans { at, children }))
    }

    fn named(&mut self, name: &str, at: &Range<usize>) -> Option<Condition> {
        if let Some(condition) = self.definitions.conditions.get(name) {
            return condition
                .clone()
                .map(|condition| Condition::Named(name.into(), condition));
        }
        let mistake = Mistake::new(
            at.clone(),
            "unknown-name",
            format!("there is no condition {}", quoted(name)),
        );
        let names = self.definitions.conditions.keys().map(|name| &**name);
        self.mistakes.push(if self.definitions.lists.contains_key(name) {
            mistake.hint(format!("`{name}` is a list: write `username in @{name}`"))
        } else {
            let define = || format!("define it under `conditions:`, as `{name}: ...`");
            mistake.hint(did_you_mean(name, names).unwrap_or_else(define))
        });
        None
    }

    fn comparison(&mut self, kind: &ExprKind, at: &Range<usize>) -> Result<Option<Condition>, Mistake> {
        match kind {
            ExprKind::Compare { left, op, right } => compare(left, *op, right, at).map(Some),
            ExprKind::In { operand, values } => self.within(operand, values),
            ExprKind::Between { operand, low, high } => between(operand, low, high).map(Some),
            ExprKind::Like {
                operand,
                pattern,
                escape,
            } => like(operand, pattern, escape.as_ref()).map(Some),
            ExprKind::Matches { operand, pattern } => matches(operand, pattern).map(Some),
            ExprKind::IsNull(operand) => Ok(Some(Condition::IsNull(Operand::Column(column(operand)?)))),
            ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::Phrase(_)
            | ExprKind::Named(_)
            | ExprKind::Broken => Ok(None),
        }
    }

    fn within(&mut self, operand: &Term, values: &Values) -> Result<Option<Condition>, Mistake> {
        let column = column(operand)?;
        if column.kind() == Kind::Time {
            return Err(time_literal(column, &operand.at));
        }
        let condition = |values: Vec<Constant>, list| Condition::In {
            operand: Operand::Column(column),
            values: values.into(),
            list,
        };
        match values {
            Values::These(terms) => {
                let values: Vec<Result<Constant, Mistake>> =
                    terms.iter().map(|term| literal(column, &term.kind, &term.at)).collect();
                let mut good = Vec::with_capacity(values.len());
                let mut bad = 0;
                for value in values {
                    match value {
                        Ok(value) => good.push(value),
                        Err(mistake) => {
                            bad += 1;
                            self.mistakes.push(mistake);
                        }
                    }
                }
                Ok((bad == 0).then(|| condition(good, None)))
            }
            Values::List { name, at } => {
                let Some(list) = self.definitions.lists.get(name.as_str()) else {
                    return Err(self.no_list(name, at));
                };
                let Some(list) = list else {
                    return Ok(None);
                };
                let values = list
                    .iter()
                    .map(|value| literal(column, value, at))
                    .collect::<Result<Vec<Constant>, Mistake>>()
                    .map_err(|mistake| {
                        let message = format!("in the list `@{name}`: {}", mistake.message);
                        Mistake { message, ..mistake }
                    })?;
                Ok(Some(condition(values, Some(name.as_str().into()))))
            }
        }
    }

    fn no_list(&self, name: &str, at: &Range<usize>) -> Mistake {
        let mistake = Mistake::new(at.clone(), "unknown-name", format!("there is no list {}", quoted(name)));
        if self.definitions.conditions.contains_key(name) {
            return mistake.hint(format!("`{name}` is a condition: write `... and @{name}`"));
        }
        let define = || format!("define it under `lists:`, as `{name}: [...]`");
        let names = self.definitions.lists.keys().map(|name| &**name);
        mistake.hint(did_you_mean(name, names).unwrap_or_else(define))
    }
}

fn longest(phrase: &Phrase) -> Option<i64> {
    match phrase {
        Phrase::Status { longer_than, .. }
        | Phrase::InTransaction { longer_than }
        | Phrase::Blocking { longer_than, .. }
        | Phrase::Blocked { longer_than } => *longer_than,
        Phrase::Connected { longer_than } => Some(*longer_than),
        Phrase::Background | Phrase::Server(_) => None,
    }
}
