//! Numbers: arithmetic, conversions, TO_CHAR, and the counting of rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use rusqlite::types::Value as Lite;

use super::{SLOTS, Shared, define, number, of_number, of_text, text, whole};
use crate::error::known;
use crate::sql::types::plain;

pub(super) fn register(to: &Connection) -> Result<(), rusqlite::Error> {
    define(to, "ora_num", |args| number(args, 0)?.map_or(Ok(Lite::Null), of_number))?;
    define(to, "ora_div", |args| {
        let (Some(a), Some(b)) = (number(args, 0)?, number(args, 1)?) else {
            return Ok(Lite::Null);
        };
        if b == 0.0 { Err(known(1476)) } else { of_number(a / b) }
    })?;
    define(to, "ora_mod", |args| {
        let (Some(a), Some(b)) = (number(args, 0)?, number(args, 1)?) else {
            return Ok(Lite::Null);
        };
        of_number(if b == 0.0 { a } else { a % b })
    })?;
    define(to, "ora_bitand", |args| {
        let (Some(a), Some(b)) = (whole(args, 0)?, whole(args, 1)?) else {
            return Ok(Lite::Null);
        };
        Ok(Lite::Integer(a & b))
    })?;
    define(to, "ora_math", |args| {
        let (Some(what), Some(x)) = (text(args, 0)?, number(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let places = whole(args, 2)?.unwrap_or(0).clamp(-30, 30) as i32;
        let scale = 10_f64.powi(places);
        of_number(match what.as_str() {
            "TRUNC" => (plain(x * scale).parse().unwrap_or(x * scale)).trunc() / scale,
            "ROUND" => (plain(x * scale).parse().unwrap_or(x * scale)).round() / scale,
            "CEIL" => x.ceil(),
            "FLOOR" => x.floor(),
            "ABS" => x.abs(),
            "SIGN" => f64::from(u8::from(x > 0.0)) - f64::from(u8::from(x < 0.0)),
            "SQRT" => x.sqrt(),
            "EXP" => x.exp(),
            "LN" => x.ln(),
            _ => x.powf(number(args, 2)?.unwrap_or(1.0)),
        })
    })?;
    define(to, "ora_number_text", |args| {
        let (Some(x), Some(model)) = (number(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        of_text(number_text(x, &model))
    })
}

/// TO_CHAR of a number with a model of nines, noughts, a point, commas, X and FM.
fn number_text(x: f64, model: &str) -> String {
    let upper = model.to_ascii_uppercase();
    let (fill, body) = match upper.strip_prefix("FM") {
        Some(rest) => (true, rest),
        None => (false, upper.as_str()),
    };
    if body.contains('X') {
        let digits = format!("{:X}", x as i64);
        return if fill {
            digits
        } else {
            format!("{digits:>width$}", width = body.len() + 1)
        };
    }
    let (left, right) = body.split_once(['.', 'D']).unwrap_or((body, ""));
    let decimals = right.chars().filter(|c| matches!(c, '9' | '0')).count();
    let number = format!("{:.decimals$}", x.abs());
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
    let out = if x < 0.0 {
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
        assert_eq!(number_text(1234.5, "FM9,999.0"), "1,234.5");
        assert_eq!(number_text(42.0, "0000"), " 0042");
        assert_eq!(number_text(42.0, "999"), "  42");
        assert_eq!(number_text(255.0, "FMXX"), "FF");
        assert_eq!(number_text(12345.0, "999"), "####");
    }
}
