//! From Oracle's expressions to SQLite's, with their types.
//!
//! What Oracle converts silently (a text compared with a number or a date, anything joined to a text) is converted here in
//! so many words, because SQLite would compare it as it lies.

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Expr, Ident, Interval, TrimWhereField, UnaryOperator,
    Value as Literal,
};

use super::lex::offset;
use super::query::{Only, Scope, Translator, quoted, split_and};
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
            Ty::Number | Ty::Double | Ty::Raw(_) | Ty::Interval => format!("ora_text({})", it.text),
            Ty::Text(_) | Ty::Clob | Ty::Condition | Ty::Unknown => it.text,
        }
    }

    fn as_date(&self, it: Sql) -> String {
        if it.ty.is_text() {
            format!("ora_date({}, {})", it.text, literal(&self.catalog.date_models().0))
        } else {
            it.text
        }
    }

    /// Both sides of a comparison in one type: numbers win over texts, and so do dates.
    pub(super) fn alike(&self, left: Sql, right: Sql) -> (String, String) {
        let (a, b) = (left.ty, right.ty);
        if a.is_number() && b.is_text() || a.is_text() && b.is_number() {
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
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Not => Ok(sql(format!("(NOT {})", self.condition(expr, scope)?), Ty::Condition)),
                UnaryOperator::Minus => Ok(sql(format!("(- {})", self.number(expr, scope)?), Ty::Number)),
                UnaryOperator::Plus => Ok(sql(self.number(expr, scope)?, Ty::Number)),
                _ => Err(known(936)),
            },
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
                Ok(sql(format!("({})", inner.sql), ty))
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
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
                Ty::Number,
            )),
            Expr::Floor { expr, .. } => Ok(sql(
                format!("ora_math('FLOOR', {})", self.number(expr, scope)?),
                Ty::Number,
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

    /// Conditions other than comparisons.
    fn predicate(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let text = match expr {
            Expr::IsNull(inner) => format!("({} IS NULL)", self.value(inner, scope)?.text),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.value(inner, scope)?.text),
            Expr::InList { expr, list, negated } => {
                let tested = self.value(expr, scope)?;
                let mut terms = Vec::new();
                for term in list {
                    let term = self.value(term, scope)?;
                    let (a, b) = self.alike(tested.clone(), term);
                    terms.push(format!("{a} = {b}"));
                }
                format!("({}({}))", not(negated), terms.join(" OR "))
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
                let negated = match compare_op {
                    BinaryOperator::Eq => false,
                    BinaryOperator::NotEq => true,
                    _ => return Err(known(936)),
                };
                let list = match right.as_ref() {
                    Expr::Tuple(list) => list.clone(),
                    Expr::Nested(one) => vec![one.as_ref().clone()],
                    _ => return Err(known(936)),
                };
                let any = Expr::InList {
                    expr: left.clone(),
                    list,
                    negated,
                };
                return self.predicate(&any, scope);
            }
            _ => return Err(self.at(936, "missing expression", expr)),
        };
        Ok(sql(text, Ty::Condition))
    }

    fn name(&mut self, table: Option<&str>, name: &Ident, scope: &Scope<'_>) -> Result<Sql> {
        if let Some(found) = self.resolve(scope, table, name)? {
            return Ok(found);
        }
        let wanted = name_of(name);
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
        let now = self.catalog.now();
        Some(match name {
            "SYSDATE" | "CURRENT_DATE" => sql((now / 1000).to_string(), Ty::Date),
            "SYSTIMESTAMP" | "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" => {
                sql(format!("{}.{:03}", now / 1000, now % 1000), Ty::Timestamp(6))
            }
            "USER" => sql(literal(&self.catalog.user()), Ty::Text(128)),
            "UID" => sql(crate::world::user_number(&self.catalog.user()).to_string(), Ty::Number),
            "ROWNUM" => sql("row_number() OVER ()", Ty::Number),
            "NULL" => sql("NULL", Ty::Unknown),
            _ => return None,
        })
    }

    fn literal_value(&self, value: &Literal) -> Result<Sql> {
        Ok(match value {
            Literal::Number(number, _) => sql(number.trim_end_matches(['d', 'D', 'f', 'F']), Ty::Number),
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

    fn interval(&self, interval: &Interval) -> Result<Sql> {
        let Expr::Value(value) = interval.value.as_ref() else {
            return Err(self.at(30_089, "missing or invalid <datetime field>", interval.value.as_ref()));
        };
        let text = value.value.clone().into_string().unwrap_or_default();
        let unit = match interval.leading_field {
            Some(DateTimeField::Day | DateTimeField::Days) => 86_400.0,
            Some(DateTimeField::Hour | DateTimeField::Hours) => 3_600.0,
            Some(DateTimeField::Minute | DateTimeField::Minutes) => 60.0,
            Some(DateTimeField::Second | DateTimeField::Seconds) => 1.0,
            _ => return Err(ora(30_089, "missing or invalid <datetime field>")),
        };
        let seconds = if let Ok(number) = text.trim().parse::<f64>() {
            number * unit
        } else {
            // `1 02:03:04`, `02:03`: from the leading field downwards.
            let units = [86_400.0, 3_600.0, 60.0, 1.0];
            let first = units.iter().position(|known| *known == unit).unwrap_or(3);
            let parts = text.trim().split([' ', ':']).map(|part| part.parse::<f64>().ok());
            let parts = parts
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| ora(1867, "the interval is invalid"))?;
            parts.iter().zip(&units[first..]).map(|(part, unit)| part * unit).sum()
        };
        Ok(sql(format!("{seconds:?}"), Ty::Interval))
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, scope: &Scope<'_>) -> Result<Sql> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => {
                let word = if matches!(op, BinaryOperator::And) { "AND" } else { "OR" };
                let mut parts = Vec::new();
                if word == "AND" {
                    let both = [left, right];
                    both.into_iter().for_each(|side| split_and(side, &mut parts));
                } else {
                    parts.extend([left, right]);
                }
                let parts: Vec<_> = parts
                    .iter()
                    .map(|part| self.condition(part, scope))
                    .collect::<Result<_>>()?;
                return Ok(sql(format!("({})", parts.join(&format!(" {word} "))), Ty::Condition));
            }
            _ => {}
        }
        let comparison = match op {
            BinaryOperator::Eq => Some("="),
            BinaryOperator::NotEq => Some("<>"),
            BinaryOperator::Lt => Some("<"),
            BinaryOperator::LtEq => Some("<="),
            BinaryOperator::Gt => Some(">"),
            BinaryOperator::GtEq => Some(">="),
            _ => None,
        };
        if let (Some(word), Expr::Tuple(a), Expr::Tuple(b)) = (comparison, left, right) {
            let mut pairs = Vec::new();
            for (a, b) in a.iter().zip(b) {
                pairs.push(self.binary(a, op, b, scope)?.text);
            }
            let join = if word == "=" { " AND " } else { " OR " };
            return Ok(sql(format!("({})", pairs.join(join)), Ty::Condition));
        }
        let (a, b) = (self.value(left, scope)?, self.value(right, scope)?);
        if let Some(word) = comparison {
            let (a, b) = self.alike(a, b);
            return Ok(sql(format!("({a} {word} {b})"), Ty::Condition));
        }
        self.arithmetic(a, op, b)
    }

    fn arithmetic(&mut self, a: Sql, op: &BinaryOperator, b: Sql) -> Result<Sql> {
        let times = (a.ty.is_time(), b.ty.is_time());
        Ok(match op {
            BinaryOperator::StringConcat => {
                let width = (a.ty.width() + b.ty.width()).min(4000);
                let (a, b) = (self.as_text(a), self.as_text(b));
                sql(format!("ora_cat({a}, {b})"), Ty::Text(width))
            }
            BinaryOperator::Minus if times == (true, true) => {
                let exact = a.ty == Ty::Date && b.ty == Ty::Date;
                let difference = format!("({} - {})", a.text, b.text);
                if exact {
                    sql(format!("({difference} / 86400.0)"), Ty::Number)
                } else {
                    sql(difference, Ty::Interval)
                }
            }
            BinaryOperator::Plus if times.0 || times.1 => {
                let (time, other) = if times.0 { (a, b) } else { (b, a) };
                self.moved(time, "+", other)
            }
            BinaryOperator::Minus if times.0 => self.moved(a, "-", b),
            BinaryOperator::Plus | BinaryOperator::Minus => {
                let word = if matches!(op, BinaryOperator::Plus) { "+" } else { "-" };
                let ty = if a.ty == Ty::Interval {
                    Ty::Interval
                } else {
                    a.ty.with(b.ty)
                };
                let ty = if ty.is_number() || ty == Ty::Interval {
                    ty
                } else {
                    Ty::Number
                };
                sql(format!("({} {word} {})", self.as_number(a), self.as_number(b)), ty)
            }
            BinaryOperator::Multiply => {
                let ty = if a.ty == Ty::Interval || b.ty == Ty::Interval {
                    Ty::Interval
                } else {
                    Ty::Number
                };
                sql(format!("({} * {})", self.as_number(a), self.as_number(b)), ty)
            }
            BinaryOperator::Divide => {
                let ty = if a.ty == Ty::Interval { Ty::Interval } else { Ty::Number };
                sql(format!("ora_div({}, {})", self.as_number(a), self.as_number(b)), ty)
            }
            _ => return Err(known(911)),
        })
    }

    /// A date some days, or an interval, later or earlier; a DATE has no fractions of a second.
    fn moved(&self, time: Sql, word: &str, by: Sql) -> Sql {
        let by = match by.ty {
            Ty::Interval => by.text,
            _ => format!("{} * 86400.0", self.as_number(by)),
        };
        let moved = format!("({} {word} {by})", time.text);
        match time.ty {
            Ty::Date => sql(format!("round({moved})"), Ty::Date),
            ty => sql(moved, ty),
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[sqlparser::ast::CaseWhen],
        otherwise: Option<&Expr>,
        scope: &Scope<'_>,
    ) -> Result<Sql> {
        let operand = operand.map(|operand| self.value(operand, scope)).transpose()?;
        let mut arms = Vec::new();
        let mut ty = Ty::Unknown;
        for arm in conditions {
            let when = match &operand {
                None => self.condition(&arm.condition, scope)?,
                Some(operand) => {
                    let tested = self.value(&arm.condition, scope)?;
                    let (a, b) = self.alike(operand.clone(), tested);
                    format!("{a} = {b}")
                }
            };
            let then = self.value(&arm.result, scope)?;
            ty = ty.with(then.ty);
            arms.push((when, then));
        }
        let otherwise = otherwise.map(|otherwise| self.value(otherwise, scope)).transpose()?;
        ty = otherwise.as_ref().map_or(ty, |otherwise| ty.with(otherwise.ty));
        let arms: Vec<_> = arms
            .into_iter()
            .map(|(when, then)| format!("WHEN {when} THEN {}", self.unified(then, ty)))
            .collect();
        let otherwise = otherwise.map_or_else(|| "NULL".into(), |otherwise| self.unified(otherwise, ty));
        Ok(sql(format!("CASE {} ELSE {otherwise} END", arms.join(" ")), ty))
    }

    /// A value in the type of all its alternatives.
    pub(super) fn unified(&self, it: Sql, ty: Ty) -> String {
        if ty.is_text() && !it.ty.is_text() {
            self.as_text(it)
        } else {
            it.text
        }
    }

    fn cast(&mut self, it: Sql, to: &DataType) -> Result<Sql> {
        let name = to.to_string().to_uppercase();
        let size = name.split_once('(').and_then(|(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        let base = name.split(['(', ' ']).next().unwrap_or_default();
        match base {
            "VARCHAR2" | "VARCHAR" | "CHAR" | "NVARCHAR2" | "CLOB" => {
                let width = size.unwrap_or(4000);
                Ok(sql(
                    format!("ora_substr({}, 1, {width})", self.as_text(it)),
                    Ty::Text(width),
                ))
            }
            "NUMBER" | "INTEGER" | "INT" | "NUMERIC" | "DECIMAL" | "FLOAT" | "SMALLINT" => {
                let whole = base == "INTEGER" || base == "INT" || size.is_some() && !name.contains(',');
                let number = self.as_number(it);
                let text = if whole {
                    format!("ora_math('ROUND', {number}, 0)")
                } else {
                    number
                };
                Ok(sql(text, Ty::Number))
            }
            "BINARY_DOUBLE" | "DOUBLE" => Ok(sql(format!("CAST({} AS REAL)", self.as_number(it)), Ty::Double)),
            "DATE" => Ok(sql(format!("CAST({} AS INTEGER)", self.as_date(it)), Ty::Date)),
            "TIMESTAMP" => Ok(sql(self.as_date(it), Ty::Timestamp(6))),
            "RAW" => Ok(sql(format!("ora_raw({})", it.text), Ty::Raw(size.unwrap_or(2000)))),
            _ => Err(ora(902, "invalid datatype")),
        }
    }
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

/// Whether an expression aggregates rows, other than inside a subquery.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            let name = function.name.to_string().to_uppercase();
            let own = function.over.is_none()
                && ["COUNT", "SUM", "AVG", "MIN", "MAX", "LISTAGG", "STDDEV", "MEDIAN"].contains(&name.as_str());
            own || super::call::arguments(function)
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
