//! Numbers: arithmetic, conversions, TO_CHAR, and the counting of rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bigdecimal::{BigDecimal, RoundingMode, Signed, ToPrimitive, Zero};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::Value as Lite;

use super::{Args, SLOTS, Shared, define, number, of_number, of_text, raised, text, whole};
use crate::backend::OraError;
use crate::error::known;
use crate::sql::exact::{self, kept};
use crate::sql::types::spelled_text;

pub(super) fn register(to: &Connection) -> Result<(), rusqlite::Error> {
    exactly(to)?;
    sums(to)?;
    define(to, "ora_div", |args| {
        let (Some(a), Some(b)) = (number(args, 0)?, number(args, 1)?) else {
            return Ok(Lite::Null);
        };
        if b == 0.0 { Err(known(1476)) } else { of_number(a / b) }
    })?;
    define(to, "ora_bitand", |args| {
        let (Some(a), Some(b)) = (whole(args, 0)?, whole(args, 1)?) else {
            return Ok(Lite::Null);
        };
        Ok(Lite::Integer(a & b))
    })?;
    define(to, "ora_math", |args| {
        let (Some(what), Some(exact), Some(x)) = (text(args, 0)?, decimal(args, 1)?, number(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let places = whole(args, 2)?.unwrap_or(0).clamp(-40, 40);
        let scaled = |places, mode| kept(&exact::scaled(&exact, places, mode));
        Ok(match what.as_str() {
            "TRUNC" => scaled(places, RoundingMode::Down),
            "ROUND" => scaled(places, RoundingMode::HalfUp),
            "CEIL" => scaled(0, RoundingMode::Ceiling),
            "FLOOR" => scaled(0, RoundingMode::Floor),
            "ABS" => kept(&exact.abs()),
            "MINUS" => kept(&-exact),
            "SIGN" => Lite::Integer(i64::from(x > 0.0) - i64::from(x < 0.0)),
            "SQRT" => return of_number(x.sqrt()),
            "EXP" => return of_number(x.exp()),
            "LN" => return of_number(x.ln()),
            _ => return of_number(x.powf(number(args, 2)?.unwrap_or(1.0))),
        })
    })?;
    define(to, "ora_number_text", |args| {
        let (Some(x), Some(model)) = (decimal(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        of_text(number_text(&x, &model))
    })
}

fn decimal(args: &Args<'_>, index: usize) -> Result<Option<BigDecimal>, OraError> {
    args.get(index).map_or(Ok(None), |value| exact::number(*value))
}

/// What keeps all digits.
fn exactly(to: &Connection) -> Result<(), rusqlite::Error> {
    define(to, "ora_num", |args| {
        Ok(decimal(args, 0)?.map_or(Lite::Null, |number| kept(&number)))
    })?;
    define(to, "ora_key", |args| {
        Ok(decimal(args, 0)?.map_or(Lite::Null, |number| Lite::Blob(exact::key(&number))))
    })?;
    define(to, "ora_long_text", |args| {
        decimal(args, 0)?.map_or(Ok(Lite::Null), |number| match kept(&number) {
            Lite::Text(text) => of_text(spelled_text(text)),
            Lite::Integer(number) => of_text(number.to_string()),
            _ => of_text(spelled_text(number.normalized().to_plain_string())),
        })
    })?;
    define(to, "ora_mod", |args| {
        let (Some(a), Some(b)) = (decimal(args, 0)?, decimal(args, 1)?) else {
            return Ok(Lite::Null);
        };
        Ok(kept(&if b.is_zero() { a } else { a % b }))
    })?;
    define(to, "ora_exact", |args| {
        let (Some(word), Some(a), Some(b)) = (text(args, 0)?, decimal(args, 1)?, decimal(args, 2)?) else {
            return Ok(Lite::Null);
        };
        let result = match word.as_str() {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ if b.is_zero() => return Err(known(1476)),
            _ => a / b,
        };
        Ok(kept(&result))
    })
}

/// SUM, AVG, MIN and MAX of numbers with all their digits.
#[derive(Clone, Copy)]
enum Total {
    Sum,
    Average,
    Least,
    Most,
}

fn sums(to: &Connection) -> Result<(), rusqlite::Error> {
    let kinds = [
        ("ora_sum", Total::Sum),
        ("ora_avg", Total::Average),
        ("ora_min", Total::Least),
        ("ora_max", Total::Most),
    ];
    for (name, kind) in kinds {
        to.create_aggregate_function(name, 1, FunctionFlags::SQLITE_UTF8, kind)?;
    }
    Ok(())
}

impl Aggregate<Option<(BigDecimal, i64)>, Lite> for Total {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<(BigDecimal, i64)>, rusqlite::Error> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, so_far: &mut Option<(BigDecimal, i64)>) -> Result<(), rusqlite::Error> {
        let Some(next) = exact::number(context.get_raw(0)).map_err(raised)? else {
            return Ok(());
        };
        *so_far = Some(match (so_far.take(), self) {
            (None, _) => (next, 1),
            (Some((sum, count)), Self::Sum | Self::Average) => (sum + next, count + 1),
            (Some((least, count)), Self::Least) => (least.min(next), count + 1),
            (Some((most, count)), Self::Most) => (most.max(next), count + 1),
        });
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        result: Option<Option<(BigDecimal, i64)>>,
    ) -> Result<Lite, rusqlite::Error> {
        Ok(match (result.flatten(), self) {
            (None, _) => Lite::Null,
            (Some((sum, count)), Self::Average) => kept(&(sum / BigDecimal::from(count))),
            (Some((it, _)), Self::Sum | Self::Least | Self::Most) => kept(&it),
        })
    }
}

/// TO_CHAR of a number with a model of nines, noughts, a point, commas, X and FM.
fn number_text(x: &BigDecimal, model: &str) -> String {
    let upper = model.to_ascii_uppercase();
    let (fill, body) = match upper.strip_prefix("FM") {
        Some(rest) => (true, rest),
        None => (false, upper.as_str()),
    };
    if body.contains('X') {
        let digits = format!("{:X}", x.to_i64().unwrap_or(i64::MAX));
        return if fill {
            digits
        } else {
            format!("{digits:>width$}", width = body.len() + 1)
        };
    }
    let (left, right) = body.split_once(['.', 'D']).unwrap_or((body, ""));
    let decimals = right.chars().filter(|c| matches!(c, '9' | '0')).count();
    let number = exact::scaled(&x.abs(), decimals as i64, RoundingMode::HalfUp).to_plain_string();
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let places: Vec<char> = left.chars().filter(|c| matches!(c, '9' | '0' | ',' | 'G')).collect();
    let room = places.iter().filter(|c| matches!(c, '9' | '0')).count();
    let whole = if whole == "0" && decimals > 0 { "" } else { whole };
    if whole.len() > room {
        return "#".repeat(body.len() + 1);
    }
    let forced = places
        .iter()
        .position(|c| *c == '0')
        .map_or(0, |at| places[at..].iter().filter(|c| **c != ',').count());
    let whole = format!("{:0>width$}", whole, width = whole.len().max(forced.min(room)));
    let mut digits = whole.chars().rev();
    let mut reversed = String::new();
    for place in places.iter().rev() {
        match (place, digits.clone().next()) {
            (_, None) => break,
            (',' | 'G', Some(_)) => reversed.push(','),
            (_, Some(digit)) => {
                reversed.push(digit);
                digits.next();
            }
        }
    }
    let mut out: String = reversed.chars().rev().collect();
    if decimals > 0 {
        let fraction = if fill {
            fraction.trim_end_matches(|c| c == '0' && !right.contains('0'))
        } else {
            fraction
        };
        out = format!("{out}.{fraction}");
    }
    let out = if x.is_negative() {
        format!("-{out}")
    } else if fill {
        out
    } else {
        format!(" {out}")
    };
    if fill {
        out
    } else {
        format!("{out:>width$}", width = body.len() + 1)
    }
}

/// ROWNUM in conditions.
pub(super) fn rownums(to: &Connection, shared: &Arc<Shared>) -> Result<(), rusqlite::Error> {
    let counters = Arc::clone(shared);
    define(to, "ora_rownum_next", move |args| {
        let slot = &counters.rownum[whole(args, 0)?.unwrap_or(0) as usize % SLOTS];
        Ok(Lite::Integer(slot.load(Ordering::Relaxed) + 1))
    })?;
    let counters = Arc::clone(shared);
    define(to, "ora_rownum", move |args| {
        // The row counts once the condition on its tentative number holds.
        let holds = whole(args, 1)?.is_some_and(|holds| holds != 0);
        if holds {
            let slot = &counters.rownum[whole(args, 0)?.unwrap_or(0) as usize % SLOTS];
            slot.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Lite::Integer(i64::from(holds)))
    })?;
    define(to, "ora_rownum_limit", |args| {
        // How many rows are let through before the first that is not; -1 for all.
        let Some(bound) = number(args, 1)? else {
            return Ok(Lite::Integer(0));
        };
        let all = |holds: bool| if holds { -1.0 } else { 0.0 };
        Ok(Lite::Integer(match text(args, 0)?.as_deref() {
            Some("<") => (bound.ceil() - 1.0).max(0.0),
            Some("<=") => bound.floor().max(0.0),
            Some("=") => f64::from(u8::from(bound == 1.0)),
            Some(">") => all(bound < 1.0),
            _ => all(bound <= 1.0),
        } as i64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_models_fill_their_places() {
        assert_eq!(
            number_text(&exact::parsed("1234.5").expect("a number"), "FM9,999.0"),
            "1,234.5"
        );
        assert_eq!(number_text(&exact::parsed("42.0").expect("a number"), "0000"), " 0042");
        assert_eq!(number_text(&exact::parsed("42.0").expect("a number"), "999"), "  42");
        assert_eq!(number_text(&exact::parsed("255.0").expect("a number"), "FMXX"), "FF");
        assert_eq!(number_text(&exact::parsed("12345.0").expect("a number"), "999"), "####");
    }
}
