//! Conditions: WHERE as a whole, and what is tested otherwise than by a comparison.

use sqlparser::ast::{BinaryOperator, Expr, Value as Literal};

use super::clause::quoted;
use super::expr::{Sql, name_of, sql};
use super::functions::SLOTS;
use super::query::{Only, Scope, Translator};
use super::types::Ty;
use crate::backend::OraError;
use crate::error::{known, not_simulated};

type Result<T> = std::result::Result<T, OraError>;

impl Translator<'_> {
    /// WHERE: ROWNUM is the number that a row would have if it were let through, and counts the rows that were.
    ///
    /// `limit` gets what bounds of ROWNUM alone come to, where the query can be limited by them: a subquery that runs once
    /// for each row outside begins to count anew each time. Other conditions on ROWNUM are judged row by row, after all
    /// others, and with a look at every FROM item, so that SQLite judges them once for each row of the join.
    pub(super) fn filter(
        &mut self,
        conjuncts: &[&Expr],
        scope: &Scope<'_>,
        limit: Option<&mut Vec<String>>,
    ) -> Result<Option<String>> {
        let mut plain = Vec::new();
        let (numbered, others): (Vec<&Expr>, Vec<&Expr>) = conjuncts.iter().copied().partition(|it| names_rownum(it));
        for conjunct in others {
            self.note_equality(conjunct, scope);
            plain.push(self.condition(conjunct, scope)?);
        }
        let bounds = numbered
            .iter()
            .map(|it| bound_of_rownum(it))
            .collect::<Option<Vec<_>>>();
        if let (Some(limit), Some(bounds)) = (limit, bounds) {
            for (op, bound) in bounds {
                let bound = self.number(bound, scope)?;
                limit.push(format!("ora_rownum_limit('{op}', {bound})"));
            }
            return Ok((!plain.is_empty()).then(|| plain.join(" AND ")));
        }
        if numbered.is_empty() {
            return Ok((!plain.is_empty()).then(|| plain.join(" AND ")));
        }
        let slot = self.rownums;
        self.rownums += 1;
        if slot >= SLOTS {
            return Err(not_simulated("so many conditions on ROWNUM in one statement"));
        }
        let outer = self.rownum.replace(slot);
        let counted: Result<Vec<_>> = numbered.iter().map(|it| self.condition(it, scope)).collect();
        self.rownum = outer;
        let counted = counted?.join(" AND ");
        let mut seen: Vec<String> = Vec::new();
        for item in &scope.items {
            match (item.load, item.columns.first()) {
                (Some(_), _) => seen.push(format!("{}.rowid", item.alias)),
                (None, Some(column)) => seen.push(format!("{}.{}", item.alias, quoted(&column.name))),
                (None, None) => {}
            }
        }
        let seen: String = seen.iter().map(|column| format!(", {column}")).collect();
        let all = plain.iter().map(|it| format!("{it} AND ")).collect::<String>();
        Ok(Some(format!(
            "{all}CASE WHEN {all}1 THEN ora_rownum({slot}, ({counted}){seen}) ELSE 0 END"
        )))
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

/// Whether ROWNUM is named in an expression, other than in a subquery.
fn names_rownum(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(ident) => ident.quote_style.is_none() && name_of(ident) == "ROWNUM",
        Expr::BinaryOp { left, right, .. } => names_rownum(left) || names_rownum(right),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) | Expr::Cast { expr, .. } => names_rownum(expr),
        Expr::IsNull(expr) | Expr::IsNotNull(expr) | Expr::InSubquery { expr, .. } => names_rownum(expr),
        Expr::InList { expr, list, .. } => names_rownum(expr) || list.iter().any(names_rownum),
        Expr::Between { expr, low, high, .. } => [expr, low, high].into_iter().any(|it| names_rownum(it)),
        Expr::Function(function) => super::call::arguments(function).into_iter().any(names_rownum),
        _ => false,
    }
}

/// `ROWNUM <= 5`, `5 > ROWNUM`: the comparison and what ROWNUM is compared with, where that is the same for every row.
fn bound_of_rownum(expr: &Expr) -> Option<(&'static str, &Expr)> {
    let Expr::BinaryOp { left, op, right } = expr else {
        return None;
    };
    let is = |it: &Expr| matches!(it, Expr::Identifier(ident) if name_of(ident) == "ROWNUM");
    let (bound, turned) = match (is(left), is(right)) {
        (true, false) => (right, false),
        (false, true) => (left, true),
        (true, true) | (false, false) => return None,
    };
    let constant = match bound.as_ref() {
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } => matches!(expr.as_ref(), Expr::Value(_)),
        _ => false,
    };
    let op = match (op, turned) {
        (BinaryOperator::Lt, false) | (BinaryOperator::Gt, true) => "<",
        (BinaryOperator::LtEq, false) | (BinaryOperator::GtEq, true) => "<=",
        (BinaryOperator::Gt, false) | (BinaryOperator::Lt, true) => ">",
        (BinaryOperator::GtEq, false) | (BinaryOperator::LtEq, true) => ">=",
        (BinaryOperator::Eq, _) => "=",
        _ => return None,
    };
    constant.then_some((op, bound.as_ref()))
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
