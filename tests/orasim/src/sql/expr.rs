//! From Oracle's expressions to SQLite's, with their types.
//!
//! What Oracle converts silently (a text compared with a number or a date, anything joined to a text) is converted here in
//! so many words, because SQLite would compare it as it lies.

use rusqlite::types::Value as Lite;
use sqlparser::ast::{CastKind, DataType, Expr, Function, Ident, TrimWhereField, UnaryOperator, Value as Literal};

use super::clause::quoted;
use super::dates;
use super::exact;
use super::lex::offset;
use super::query::{Scope, Translator};
use super::types::Ty;
use crate::backend::OraError;
use crate::error::{known, ora, ora_at};

/// An expression as SQLite takes it.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) ty: Ty,
}

pub(super) fn sql(text: impl Into<String>, ty: Ty) -> Sql {
    Sql { text: text.into(), ty }
}

/// A name as Oracle folds it.
pub(crate) fn name_of(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_uppercase()
    }
}

/// A text literal.
pub(super) fn literal(text: &str) -> String {
    if text.is_empty() {
        "NULL".into()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

type Result<T> = std::result::Result<T, OraError>;

impl Translator<'_> {
    /// An expression that yields a value.
    pub(super) fn value(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        let it = self.expr(expr, scope)?;
        if it.ty == Ty::Condition {
            Err(self.at(923, "FROM keyword not found where expected", expr))
        } else {
            Ok(it)
        }
    }

    /// An expression that holds or does not.
    pub(super) fn condition(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<String> {
        let it = self.expr(expr, scope)?;
        if it.ty == Ty::Condition {
            Ok(it.text)
        } else {
            Err(self.at(920, "invalid relational operator", expr))
        }
    }

    pub(super) fn number(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<String> {
        let it = self.value(expr, scope)?;
        Ok(self.as_number(it))
    }

    pub(super) fn as_number(&self, it: Sql) -> String {
        if it.ty.is_text() {
            format!("ora_num({})", it.text)
        } else {
            it.text
        }
    }

    /// An expression as text, however it was typed.
    pub(super) fn as_text(&self, it: Sql) -> String {
        match it.ty {
            Ty::Date => format!("ora_date_text({}, {})", it.text, literal(&self.catalog.date_models().0)),
            Ty::Timestamp(_) => format!("ora_date_text({}, {})", it.text, literal(&self.catalog.date_models().1)),
            Ty::Long => format!("ora_long_text({})", it.text),
            Ty::Number | Ty::Double | Ty::Raw(_) | Ty::Interval => format!("ora_text({})", it.text),
            Ty::Text(_) | Ty::Clob | Ty::Condition | Ty::Unknown => it.text,
        }
    }

    pub(super) fn as_date(&self, it: Sql) -> String {
        if it.ty.is_text() {
            format!("ora_date({}, {})", it.text, literal(&self.catalog.date_models().0))
        } else {
            it.text
        }
    }

    /// Both sides of a comparison in one type: numbers win over texts, and so do dates.
    pub(super) fn alike(&self, left: Sql, right: Sql) -> (String, String) {
        let (a, b) = (left.ty, right.ty);
        if a == Ty::Long && (b.is_number() || b.is_text()) || b == Ty::Long && (a.is_number() || a.is_text()) {
            (sortable(left), sortable(right))
        } else if a.is_number() && b.is_text() || a.is_text() && b.is_number() {
            (self.as_number(left), self.as_number(right))
        } else if a.is_time() && b.is_text() || a.is_text() && b.is_time() {
            (self.as_date(left), self.as_date(right))
        } else if matches!(a, Ty::Raw(_)) && b.is_text() || a.is_text() && matches!(b, Ty::Raw(_)) {
            (self.as_text(left), self.as_text(right))
        } else {
            (left.text, right.text)
        }
    }

    /// An expression with its type.
    pub(super) fn expr(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        match expr {
            Expr::Identifier(name) => self.name(None, name, scope),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] | [_, table, name] => self.name(Some(&name_of(table)), name, scope),
                _ => Err(self.at(904, &format!("{}: invalid identifier", shown(parts)), expr)),
            },
            Expr::Nested(inner) => {
                let it = self.expr(inner, scope)?;
                Ok(sql(format!("({})", it.text), it.ty))
            }
            Expr::OuterJoin(inner) => self.expr(inner, scope),
            Expr::Prior(inner) => {
                let Some(item) = scope.prior.clone() else {
                    return Err(self.at(1788, "CONNECT BY clause required in this query block", expr));
                };
                self.priors += 1;
                self.expr(inner, &Scope::of(item))
            }
            Expr::Value(value) => self.literal_value(&value.value),
            Expr::TypedString(typed) => {
                let model = match typed.data_type {
                    DataType::Date => "YYYY-MM-DD",
                    _ => "YYYY-MM-DD HH24:MI:SSXFF",
                };
                let text = typed.value.value.clone().into_string().unwrap_or_default();
                let ty = if typed.data_type == DataType::Date {
                    Ty::Date
                } else {
                    Ty::Timestamp(6)
                };
                Ok(sql(format!("ora_date({}, '{model}')", literal(&text)), ty))
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, scope),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, scope),
            Expr::Function(function) => self.call(function, scope),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref(), scope),
            Expr::Cast {
                kind: CastKind::Cast,
                expr,
                data_type,
                ..
            } => {
                let it = self.value(expr, scope)?;
                self.cast(it, data_type)
            }
            Expr::Subquery(query) => {
                let inner = self.subquery(query, scope)?;
                let ty = inner.columns.first().map_or(Ty::Unknown, |(_, ty)| *ty);
                if inner.columns.len() > 1 {
                    return Err(ora(913, "too many values"));
                }
                Ok(sql(only_row(&inner.sql, &inner.columns), ty))
            }
            other => self.special(other, scope),
        }
    }

    fn unary(&mut self, op: UnaryOperator, expr: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        match op {
            UnaryOperator::Not => Ok(sql(format!("(NOT {})", self.condition(expr, scope)?), Ty::Condition)),
            UnaryOperator::Minus => {
                let it = self.value(expr, scope)?;
                Ok(match it.ty {
                    Ty::Number => sql(format!("(- {})", it.text), Ty::Number),
                    Ty::Interval | Ty::Double => sql(format!("(- {})", it.text), it.ty),
                    _ => sql(format!("ora_math('MINUS', {})", it.text), Ty::Long),
                })
            }
            UnaryOperator::Plus => {
                let it = self.value(expr, scope)?;
                let ty = if it.ty.is_number() { it.ty } else { Ty::Long };
                Ok(sql(self.as_number(it), ty))
            }
            _ => Err(known(936)),
        }
    }

    /// Functions that have a grammar of their own, and then conditions.
    fn special(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        match expr {
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                if substring_from.is_none() {
                    return Err(ora(938, "not enough arguments for function"));
                }
                let it = self.value(expr, scope)?;
                let width = it.ty.width();
                let mut args = vec![self.as_text(it)];
                for part in [substring_from, substring_for].into_iter().flatten() {
                    args.push(self.number(part, scope)?);
                }
                Ok(sql(format!("ora_substr({})", args.join(", ")), Ty::Text(width)))
            }
            Expr::Trim {
                expr,
                trim_where,
                trim_what,
                ..
            } => {
                let it = self.value(expr, scope)?;
                let width = it.ty.width();
                let side = match trim_where {
                    Some(TrimWhereField::Leading) => "L",
                    Some(TrimWhereField::Trailing) => "R",
                    Some(TrimWhereField::Both) | None => "B",
                };
                let mut args = vec![format!("'{side}'"), self.as_text(it)];
                if let Some(what) = trim_what {
                    args.push(self.value(what, scope)?.text);
                }
                Ok(sql(format!("ora_trim({})", args.join(", ")), Ty::Text(width)))
            }
            Expr::Ceil { expr, .. } => Ok(sql(
                format!("ora_math('CEIL', {})", self.number(expr, scope)?),
                Ty::Long,
            )),
            Expr::Floor { expr, .. } => Ok(sql(
                format!("ora_math('FLOOR', {})", self.number(expr, scope)?),
                Ty::Long,
            )),
            Expr::Extract { field, expr, .. } => {
                let it = self.value(expr, scope)?;
                let function = if it.ty == Ty::Interval {
                    "ora_extract_interval"
                } else {
                    "ora_extract"
                };
                Ok(sql(
                    format!("{function}('{}', {})", field.to_string().to_uppercase(), it.text),
                    Ty::Number,
                ))
            }
            Expr::AtTimeZone { timestamp, .. } => self.expr(timestamp, scope),
            other => self.predicate(other, scope),
        }
    }

    fn name(&mut self, table: Option<&str>, name: &Ident, scope: &Scope<'_>) -> Result<Sql> {
        if let Some(found) = self.resolve(scope, table, name)? {
            return Ok(found);
        }
        let wanted = name_of(name);
        if table.is_none()
            && wanted == "LEVEL"
            && let Some(level) = &scope.level
        {
            return Ok(sql(level.clone(), Ty::Number));
        }
        if table.is_none()
            && name.quote_style.is_none()
            && let Some(pseudo) = self.pseudo(&wanted)
        {
            return Ok(pseudo);
        }
        let shown = match table {
            Some(table) => format!("{}.{}", quoted(table), quoted(&wanted)),
            None => quoted(&wanted),
        };
        Err(ora_at(
            904,
            format!("{shown}: invalid identifier"),
            offset(self.text, name.span.start),
        ))
    }

    fn pseudo(&self, name: &str) -> Option<Sql> {
        let clocks = self.catalog.clocks();
        let whole = |at: i64| sql(at.div_euclid(1000).to_string(), Ty::Date);
        let exact = |at: i64| sql(format!("{}.{:03}", at / 1000, at % 1000), Ty::Timestamp(6));
        Some(match name {
            "SYSDATE" => whole(clocks.sysdate),
            "SYSTIMESTAMP" => exact(clocks.systimestamp),
            // In the client's own zone, which is the host's here.
            "CURRENT_DATE" => whole(clocks.host),
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" => exact(clocks.host),
            "DBTIMEZONE" => sql(literal(&dates::offset_text(clocks.zone)), Ty::Text(6)),
            "SESSIONTIMEZONE" => sql("'+00:00'", Ty::Text(75)),
            "USER" => sql(literal(&self.catalog.user()), Ty::Text(128)),
            "UID" => sql(crate::world::user_number(&self.catalog.user()).to_string(), Ty::Number),
            "ROWNUM" => match self.rownum {
                Some(slot) => sql(format!("ora_rownum_next({slot})"), Ty::Number),
                None => sql("row_number() OVER ()", Ty::Number),
            },
            "NULL" => sql("NULL", Ty::Unknown),
            _ => return None,
        })
    }

    fn literal_value(&self, value: &Literal) -> Result<Sql> {
        Ok(match value {
            Literal::Number(number, _) => number_literal(number),
            Literal::SingleQuotedString(text) | Literal::NationalStringLiteral(text) => sql(literal(text), size(text)),
            Literal::QuoteDelimitedStringLiteral(text) => sql(literal(&text.value), size(&text.value)),
            Literal::Null => sql("NULL", Ty::Unknown),
            Literal::Boolean(true) => sql("1", Ty::Number),
            Literal::Boolean(false) => sql("0", Ty::Number),
            Literal::Placeholder(place) => {
                let at: usize = place.trim_start_matches(':').parse().map_err(|_| known(1008))?;
                sql(
                    format!("?{}", at + 1),
                    self.binds.get(at).copied().unwrap_or(Ty::Unknown),
                )
            }
            _ => return Err(known(936)),
        })
    }

    /// A value in the type of all its alternatives.
    pub(super) fn unified(&self, it: Sql, ty: Ty) -> String {
        if ty.is_text() && !it.ty.is_text() {
            self.as_text(it)
        } else {
            it.text
        }
    }
}

/// A subquery as a value: more than one row is an error.
fn only_row(inner: &str, columns: &[(String, Ty)]) -> String {
    let Some((name, _)) = columns.first() else {
        return format!("({inner})");
    };
    format!(
        "(SELECT CASE WHEN count(*) > 1 THEN ora_raise(1427) ELSE max({}) END FROM ({inner}))",
        quoted(name)
    )
}

/// A number as it was typed: in quotes where SQLite would not keep all of its digits.
fn number_literal(number: &str) -> Sql {
    let digits = number.trim_end_matches(['d', 'D', 'f', 'F']);
    if digits.len() < number.len() {
        return sql(format!("CAST({digits} AS REAL)"), Ty::Double);
    }
    match exact::parsed(digits).map(|number| exact::kept(&number)) {
        Some(Lite::Text(text)) => sql(format!("'{text}'"), Ty::Long),
        Some(_) | None => sql(digits, Ty::Number),
    }
}

/// A number, or a text that is one, as bytes that sort as numbers do.
pub(super) fn sortable(it: Sql) -> String {
    format!("ora_key({})", it.text)
}

/// What something is sorted by.
pub(super) fn sort_key(it: Sql) -> String {
    if it.ty == Ty::Long { sortable(it) } else { it.text }
}

fn size(text: &str) -> Ty {
    Ty::Text(u32::try_from(text.len()).unwrap_or(4000))
}

fn shown(parts: &[Ident]) -> String {
    parts
        .iter()
        .map(|part| quoted(&name_of(part)))
        .collect::<Vec<_>>()
        .join(".")
}

/// Whether an expression looks at more rows than its own through OVER.
pub(super) fn has_window(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            function.over.is_some()
                || super::call::arguments(function)
                    .iter()
                    .any(|argument| has_window(argument))
        }
        Expr::BinaryOp { left, right, .. } => has_window(left) || has_window(right),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) | Expr::Cast { expr, .. } => has_window(expr),
        Expr::Case {
            conditions,
            else_result,
            ..
        } => {
            conditions
                .iter()
                .any(|arm| has_window(&arm.condition) || has_window(&arm.result))
                || else_result.as_deref().is_some_and(has_window)
        }
        _ => false,
    }
}

/// Whether a function is one over groups of rows, and not over a window.
pub(super) fn is_aggregate(function: &Function) -> bool {
    let name = function.name.to_string().to_uppercase();
    function.over.is_none()
        && ["COUNT", "SUM", "AVG", "MIN", "MAX", "LISTAGG", "STDDEV", "MEDIAN"].contains(&name.as_str())
}

/// Whether an expression aggregates rows, other than inside a subquery.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            is_aggregate(function)
                || super::call::arguments(function)
                    .iter()
                    .any(|argument| has_aggregate(argument))
        }
        Expr::BinaryOp { left, right, .. } => has_aggregate(left) || has_aggregate(right),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) | Expr::Cast { expr, .. } => has_aggregate(expr),
        Expr::Case {
            conditions,
            else_result,
            ..
        } => {
            conditions
                .iter()
                .any(|arm| has_aggregate(&arm.condition) || has_aggregate(&arm.result))
                || else_result.as_deref().is_some_and(has_aggregate)
        }
        _ => false,
    }
}
