//! Conditions: WHERE as a whole, and what is tested otherwise than by a comparison.

use sqlparser::ast::{BinaryOperator, Expr, Value as Literal};

use super::expr::{Sql, name_of, sql};
use super::query::{Only, Scope, Translator};
use super::types::Ty;
use crate::backend::OraError;
use crate::error::known;

type Result<T> = std::result::Result<T, OraError>;

impl Translator<'_> {
    /// WHERE: ROWNUM counts the rows for which all the rest holds.
    pub(super) fn filter(&mut self, conjuncts: &[&Expr], scope: &Scope<'_>) -> Result<Option<String>> {
        let mut plain = Vec::new();
        let mut counted = Vec::new();
        for conjunct in conjuncts {
            match self.rownum(conjunct, scope)? {
                Some(condition) => counted.push(condition),
                None => {
                    self.note_equality(conjunct, scope);
                    plain.push(self.condition(conjunct, scope)?);
                }
            }
        }
        let all = plain.join(" AND ");
        Ok(match (plain.is_empty(), counted.is_empty()) {
            (true, true) => None,
            (false, true) => Some(all),
            (true, false) => Some(counted.join(" AND ")),
            (false, false) => Some(format!("CASE WHEN {all} THEN {} ELSE 0 END", counted.join(" AND "))),
        })
    }

    fn rownum(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Option<String>> {
        let Expr::BinaryOp { left, op, right } = expr else {
            return Ok(None);
        };
        if !matches!(left.as_ref(), Expr::Identifier(ident) if name_of(ident) == "ROWNUM") {
            return Ok(None);
        }
        let op = match op {
            BinaryOperator::Lt => "<",
            BinaryOperator::LtEq => "<=",
            BinaryOperator::Eq => "=",
            // ROWNUM > 0 always holds, and no other lower bound ever does.
            _ => return Ok(None),
        };
        let bound = self.number(right, scope)?;
        let slot = self.rownums;
        self.rownums += 1;
        Ok(Some(format!("ora_rownum({slot}, '{op}', {bound})")))
    }

    /// `sid = 42`, `serial# = :1`: only such rows need be loaded.
    fn note_equality(&mut self, expr: &Expr, scope: &Scope<'_>) {
        let Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } = expr
        else {
            return;
        };
        let (table, name) = match left.as_ref() {
            Expr::Identifier(name) => (None, name),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] => (Some(name_of(table)), name),
                _ => return,
            },
            _ => return,
        };
        let Expr::Value(value) = right.as_ref() else { return };
        let only = match &value.value {
            Literal::Number(number, _) => number.parse().ok().map(Only::Number),
            Literal::Placeholder(place) => place[1..]
                .parse()
                .ok()
                .filter(|at| self.binds.get(*at) == Some(&Ty::Number))
                .map(Only::Bind),
            _ => None,
        };
        if let Some(only) = only {
            self.only(scope, table.as_deref(), name, only);
        }
    }

    /// `IN (...)`: as it stands where no term needs converting, else term by term.
    fn in_list(&mut self, tested: &Sql, list: &[Expr], scope: &Scope<'_>) -> Result<String> {
        let mut pairs = Vec::new();
        for term in list {
            let term = self.value(term, scope)?;
            pairs.push(self.alike(tested.clone(), term));
        }
        if pairs.iter().all(|(left, _)| *left == tested.text) {
            let terms: Vec<_> = pairs.into_iter().map(|(_, term)| term).collect();
            return Ok(format!("{} IN ({})", tested.text, terms.join(", ")));
        }
        let terms: Vec<_> = pairs
            .into_iter()
            .map(|(left, term)| format!("{left} = {term}"))
            .collect();
        Ok(format!("({})", terms.join(" OR ")))
    }

    /// Conditions other than comparisons.
    pub(super) fn predicate(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let text = match expr {
            Expr::IsNull(inner) => format!("({} IS NULL)", self.value(inner, scope)?.text),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.value(inner, scope)?.text),
            Expr::InList { expr, list, negated } => {
                let tested = self.value(expr, scope)?;
                format!("({}{})", not(negated), self.in_list(&tested, list, scope)?)
            }
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => {
                let tested = match expr.as_ref() {
                    Expr::Tuple(parts) => {
                        let parts: Vec<_> = parts
                            .iter()
                            .map(|part| Ok(self.value(part, scope)?.text))
                            .collect::<Result<_>>()?;
                        format!("({})", parts.join(", "))
                    }
                    single => self.value(single, scope)?.text,
                };
                let inner = self.subquery(subquery, scope)?;
                format!("({tested} {}IN ({}))", not(negated), inner.sql)
            }
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let tested = self.value(expr, scope)?;
                let (low, high) = (self.value(low, scope)?, self.value(high, scope)?);
                let (a, low) = self.alike(tested.clone(), low);
                let (b, high) = self.alike(tested, high);
                format!("({}({a} >= {low} AND {b} <= {high}))", not(negated))
            }
            Expr::Like {
                negated,
                expr,
                pattern,
                escape_char,
                any: false,
            } => {
                let it = self.value(expr, scope)?;
                let mut args = vec![self.as_text(it), self.value(pattern, scope)?.text];
                if let Some(escape) = escape_char {
                    args.push(self.value(escape, scope)?.text);
                }
                format!("({}ora_like({}))", not(negated), args.join(", "))
            }
            Expr::Exists { subquery, negated } => {
                format!("({}EXISTS ({}))", not(negated), self.subquery(subquery, scope)?.sql)
            }
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => {
                let any = any_of(left, compare_op, right).ok_or_else(|| known(936))?;
                return self.predicate(&any, scope);
            }
            _ => return Err(self.at(936, "missing expression", expr)),
        };
        Ok(sql(text, Ty::Condition))
    }
}

/// `= ANY (...)` and `<> ANY (...)` as an IN.
fn any_of(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let negated = match op {
        BinaryOperator::Eq => false,
        BinaryOperator::NotEq => true,
        _ => return None,
    };
    let list = match right {
        Expr::Tuple(list) => list.clone(),
        Expr::Nested(one) => vec![one.as_ref().clone()],
        _ => return None,
    };
    Some(Expr::InList {
        expr: Box::new(left.clone()),
        list,
        negated,
    })
}
