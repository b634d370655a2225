//! What expressions are made of: comparisons, sums, moved dates, intervals, CASE and CAST.

use sqlparser::ast::{BinaryOperator, DataType, DateTimeField, Expr, Interval};

use super::clause::split_and;
use super::expr::{Sql, sql};
use super::query::{Scope, Translator};
use super::types::Ty;
use crate::backend::OraError;
use crate::error::{known, ora};

type Result<T> = std::result::Result<T, OraError>;

impl Translator<'_> {
    pub(super) fn interval(&self, interval: &Interval) -> Result<Sql> {
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

    pub(super) fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, scope: &Scope<'_>) -> Result<Sql> {
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
            BinaryOperator::Plus if times == (true, true) => return Err(known(975)),
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
                match ty {
                    Ty::Number | Ty::Double | Ty::Interval if !a.ty.is_text() && !b.ty.is_text() => {
                        sql(format!("({} {word} {})", a.text, b.text), ty)
                    }
                    _ => sql(format!("ora_exact('{word}', {}, {})", a.text, b.text), Ty::Long),
                }
            }
            BinaryOperator::Multiply | BinaryOperator::Divide => {
                let word = if matches!(op, BinaryOperator::Multiply) {
                    "*"
                } else {
                    "/"
                };
                let (a, b) = match (a.ty, b.ty) {
                    // Of an interval or a float the digits are those of a float.
                    (Ty::Interval | Ty::Double, _) | (_, Ty::Interval | Ty::Double) => {
                        let interval = a.ty == Ty::Interval || b.ty == Ty::Interval;
                        let ty = if interval { Ty::Interval } else { Ty::Double };
                        let (a, b) = (self.as_number(a), self.as_number(b));
                        return Ok(match word {
                            "*" => sql(format!("({a} * {b})"), ty),
                            _ => sql(format!("ora_div({a}, {b})"), ty),
                        });
                    }
                    (_, _) => (a.text, b.text),
                };
                sql(format!("ora_exact('{word}', {a}, {b})"), Ty::Long)
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

    pub(super) fn case(
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

    pub(super) fn cast(&mut self, it: Sql, to: &DataType) -> Result<Sql> {
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
                Ok(sql(text, Ty::Long))
            }
            "BINARY_DOUBLE" | "DOUBLE" => Ok(sql(format!("CAST({} AS REAL)", self.as_number(it)), Ty::Double)),
            "DATE" => Ok(sql(format!("CAST({} AS INTEGER)", self.as_date(it)), Ty::Date)),
            "TIMESTAMP" => Ok(sql(self.as_date(it), Ty::Timestamp(6))),
            "RAW" => Ok(sql(format!("ora_raw({})", it.text), Ty::Raw(size.unwrap_or(2000)))),
            _ => Err(ora(902, "invalid datatype")),
        }
    }
}
