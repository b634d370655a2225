//! Oracle's scalar functions, registered with SQLite under names of their own (`ora_...`).
//!
//! The translation decides by the types which one a call means (TO_CHAR of a date or of a number), so each function here
//! deals with one kind of argument. An empty text is NULL in all of them.

mod numbers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{Datelike, Months, NaiveDateTime};
use regex::RegexBuilder;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value as Lite, ValueRef};

use super::dates;
use super::types::{hex, seconds, spelled};
use crate::backend::OraError;
use crate::clock::{calendar, moment};
use crate::error::{known, ora};

/// How many query blocks of a statement may count rows.
pub(crate) const SLOTS: usize = 16;

/// What the functions share with the statement that runs.
#[derive(Default)]
pub(crate) struct Shared {
    /// SYSDATE, in milliseconds.
    pub(crate) now: AtomicI64,
    /// What SYSTIMESTAMP is ahead of UTC, in minutes.
    pub(crate) zone: AtomicI64,
    /// Rows that ROWNUM has let through, by its place in the statement.
    pub(crate) rownum: [AtomicI64; SLOTS],
}

#[derive(Debug)]
struct Raised(OraError);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Raised {}

type Args<'a> = [ValueRef<'a>];
type Answer = Result<Lite, OraError>;

fn define(
    to: &Connection,
    name: &str,
    function: impl Fn(&Args<'_>) -> Answer + Send + 'static,
) -> Result<(), rusqlite::Error> {
    to.create_scalar_function(name, -1, FunctionFlags::SQLITE_UTF8, move |context: &Context<'_>| {
        let args: Vec<_> = (0..context.len()).map(|index| context.get_raw(index)).collect();
        function(&args).map_err(raised)
    })
}

/// An error of Oracle's on its way through SQLite.
fn raised(error: OraError) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(Raised(error)))
}

/// Registers them all.
pub(crate) fn register(to: &Connection, shared: &Arc<Shared>) -> Result<(), rusqlite::Error> {
    texts(to)?;
    padded(to)?;
    replaced(to)?;
    patterns(to)?;
    numbers::register(to)?;
    times(to, shared)?;
    calendars(to)?;
    define(to, "ora_raise", |args| {
        Err(known(
            whole(args, 0)?.and_then(|code| u32::try_from(code).ok()).unwrap_or(600),
        ))
    })?;
    numbers::rownums(to, shared)
}

fn text(args: &Args<'_>, index: usize) -> Result<Option<String>, OraError> {
    Ok(match args.get(index) {
        None | Some(ValueRef::Null) => None,
        Some(ValueRef::Integer(number)) => Some(number.to_string()),
        Some(ValueRef::Real(number)) => Some(spelled(*number)),
        Some(ValueRef::Text(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Some(ValueRef::Blob(bytes)) => Some(hex(bytes)),
    })
}

fn number(args: &Args<'_>, index: usize) -> Result<Option<f64>, OraError> {
    Ok(match args.get(index) {
        None | Some(ValueRef::Null | ValueRef::Blob(_)) => None,
        Some(ValueRef::Integer(number)) => Some(*number as f64),
        Some(ValueRef::Real(number)) => Some(*number),
        Some(ValueRef::Text(bytes)) => {
            let text = std::str::from_utf8(bytes).map_err(|_| known(1722))?.trim();
            let plausible = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            Some(text.parse().ok().filter(|_| plausible).ok_or_else(|| known(1722))?)
        }
    })
}

fn whole(args: &Args<'_>, index: usize) -> Result<Option<i64>, OraError> {
    Ok(number(args, index)?.map(|number| number.trunc() as i64))
}

fn of_text(text: String) -> Answer {
    Ok(if text.is_empty() { Lite::Null } else { Lite::Text(text) })
}

fn of_number(number: f64) -> Answer {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Ok(Lite::Integer(number as i64))
    } else {
        Ok(Lite::Real(number))
    }
}

fn texts(to: &Connection) -> Result<(), rusqlite::Error> {
    define(to, "ora_cat", |args| {
        let mut all = String::new();
        for index in 0..args.len() {
            all.push_str(&text(args, index)?.unwrap_or_default());
        }
        of_text(all)
    })?;
    define(to, "ora_fitting", |args| match text(args, 0)? {
        Some(it) if it.len() > 4000 => Err(known(1489)),
        Some(it) => of_text(it),
        None => Ok(Lite::Null),
    })?;
    define(to, "ora_text", |args| text(args, 0)?.map_or(Ok(Lite::Null), of_text))?;
    define(to, "ora_case", |args| {
        let Some(it) = text(args, 1)? else {
            return Ok(Lite::Null);
        };
        of_text(match text(args, 0)?.as_deref() {
            Some("U") => it.to_uppercase(),
            Some("L") => it.to_lowercase(),
            _ => initcap(&it),
        })
    })?;
    define(to, "ora_length", |args| {
        Ok(text(args, 0)?.map_or(Lite::Null, |it| Lite::Integer(it.chars().count() as i64)))
    })?;
    define(to, "ora_substr", |args| {
        let (Some(it), Some(start)) = (text(args, 0)?, whole(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let length = it.chars().count() as i64;
        let from = if start < 0 { length + start } else { (start - 1).max(0) };
        let count = if args.len() > 2 { whole(args, 2)? } else { Some(length) };
        match count {
            Some(count) if count > 0 && from >= 0 => {
                of_text(it.chars().skip(from as usize).take(count as usize).collect())
            }
            Some(_) | None => Ok(Lite::Null),
        }
    })?;
    bytewise(to)?;
    define(to, "ora_instr", |args| {
        let (Some(it), Some(part)) = (text(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let start = whole(args, 2)?.unwrap_or(1);
        let nth = whole(args, 3)?.unwrap_or(1).max(1) as usize;
        let places = it
            .match_indices(&part)
            .map(|(at, _)| it[..at].chars().count() as i64 + 1);
        let found = if start < 0 {
            let last = it.chars().count() as i64 + start + 1;
            places
                .filter(|at| *at <= last)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .nth(nth - 1)
        } else {
            places.filter(|at| *at >= start).nth(nth - 1)
        };
        Ok(Lite::Integer(found.unwrap_or(0)))
    })?;
    Ok(())
}

/// What looks at a text byte by byte.
fn bytewise(to: &Connection) -> Result<(), rusqlite::Error> {
    fn bytes(args: &Args<'_>) -> Result<Option<Vec<u8>>, OraError> {
        Ok(match args.first() {
            Some(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => Some(bytes.to_vec()),
            _ => text(args, 0)?.map(String::into_bytes),
        })
    }
    define(to, "ora_bytes", |args| Ok(bytes(args)?.map_or(Lite::Null, Lite::Blob)))?;
    define(to, "ora_substrb", |args| {
        let (Some(it), Some(start)) = (bytes(args)?, whole(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let length = it.len() as i64;
        let from = if start < 0 { length + start } else { (start - 1).max(0) };
        let count = whole(args, 2)?.unwrap_or(length);
        if from < 0 || from >= length || count < 1 {
            return Ok(Lite::Null);
        }
        let part = &it[from as usize..(from + count).min(length) as usize];
        // Half a character at either end becomes a space.
        of_text(String::from_utf8_lossy(part).replace(char::REPLACEMENT_CHARACTER, " "))
    })?;
    define(to, "ora_asciistr", |args| {
        let Some(it) = text(args, 0)? else {
            return Ok(Lite::Null);
        };
        let unit = |unit: u16| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() && byte != b'\\' => char::from(byte).to_string(),
            Ok(_) | Err(_) => format!("\\{unit:04X}"),
        };
        of_text(it.encode_utf16().map(unit).collect())
    })
}

fn padded(to: &Connection) -> Result<(), rusqlite::Error> {
    define(to, "ora_pad", |args| {
        let (Some(it), Some(width)) = (text(args, 1)?, whole(args, 2)?) else {
            return Ok(Lite::Null);
        };
        let fill = if args.len() > 3 {
            text(args, 3)?
        } else {
            Some(" ".into())
        };
        let Some(fill) = fill else { return Ok(Lite::Null) };
        let width = width.clamp(0, 4000) as usize;
        let missing = width.saturating_sub(it.chars().count());
        let padding: String = fill.chars().cycle().take(missing).collect();
        let kept: String = it.chars().take(width).collect();
        of_text(if text(args, 0)?.as_deref() == Some("L") {
            padding + &kept
        } else {
            kept + &padding
        })
    })?;
    define(to, "ora_trim", |args| {
        let (Some(side), Some(it)) = (text(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let set = text(args, 2)?.unwrap_or_else(|| " ".into());
        let mut kept = it.as_str();
        if side != "R" {
            kept = kept.trim_start_matches(|c| set.contains(c));
        }
        if side != "L" {
            kept = kept.trim_end_matches(|c| set.contains(c));
        }
        of_text(kept.to_owned())
    })?;
    Ok(())
}

fn replaced(to: &Connection) -> Result<(), rusqlite::Error> {
    define(to, "ora_replace", |args| {
        let Some(it) = text(args, 0)? else {
            return Ok(Lite::Null);
        };
        let Some(part) = text(args, 1)? else { return of_text(it) };
        of_text(it.replace(&part, &text(args, 2)?.unwrap_or_default()))
    })?;
    define(to, "ora_translate", |args| {
        let (Some(it), Some(from), Some(into)) = (text(args, 0)?, text(args, 1)?, text(args, 2)?) else {
            return Ok(Lite::Null);
        };
        let into: Vec<char> = into.chars().collect();
        let map = |c: char| match from.chars().position(|known| known == c) {
            Some(at) => into.get(at).copied(),
            None => Some(c),
        };
        of_text(it.chars().filter_map(map).collect())
    })?;
    define(to, "ora_chr", |args| {
        let code = whole(args, 0)?
            .and_then(|code| u32::try_from(code).ok())
            .and_then(char::from_u32);
        code.map_or(Ok(Lite::Null), |c| of_text(c.to_string()))
    })?;
    define(to, "ora_ascii", |args| {
        let first = text(args, 0)?.and_then(|it| it.chars().next());
        Ok(first.map_or(Lite::Null, |c| Lite::Integer(i64::from(u32::from(c)))))
    })?;
    define(to, "ora_raw", |args| {
        let Some(it) = text(args, 0)? else {
            return Ok(Lite::Null);
        };
        let bytes = (0..it.len())
            .step_by(2)
            .map(|at| it.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        bytes
            .collect::<Option<Vec<u8>>>()
            .map(Lite::Blob)
            .ok_or_else(|| ora(1465, "invalid hex number"))
    })
}

fn initcap(it: &str) -> String {
    let mut inside = false;
    it.chars()
        .map(|c| {
            let upper = !inside;
            inside = c.is_alphanumeric();
            if upper {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

fn patterns(to: &Connection) -> Result<(), rusqlite::Error> {
    define(to, "ora_like", |args| {
        let (Some(it), Some(pattern)) = (text(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let escape = match args.len() {
            0..=2 => None,
            _ => match text(args, 2)? {
                Some(one) if one.chars().count() == 1 => one.chars().next(),
                Some(_) | None => return Err(ora(1425, "escape character must be character string of length 1")),
            },
        };
        let pattern: Vec<char> = pattern.chars().collect();
        let it: Vec<char> = it.chars().collect();
        like(&it, &pattern, escape).map(|holds| Lite::Integer(i64::from(holds)))
    })?;
    define(to, "ora_regexp", |args| {
        let (Some(what), Some(it), Some(pattern)) = (text(args, 0)?, text(args, 1)?, text(args, 2)?) else {
            return Ok(Lite::Null);
        };
        let flags = text(args, 3)?.unwrap_or_default();
        let regex = RegexBuilder::new(&pattern)
            .case_insensitive(flags.contains('i'))
            .dot_matches_new_line(flags.contains('n'))
            .multi_line(flags.contains('m'))
            .size_limit(1 << 20)
            .build()
            .map_err(|_| ora(12_726, "unmatched bracket in regular expression"))?;
        match what.as_str() {
            "LIKE" => Ok(Lite::Integer(i64::from(regex.is_match(&it)))),
            "SUBSTR" => regex
                .find(&it)
                .map_or(Ok(Lite::Null), |found| of_text(found.as_str().to_owned())),
            "COUNT" => Ok(Lite::Integer(regex.find_iter(&it).count() as i64)),
            _ => {
                let into = text(args, 4)?.unwrap_or_default().replace('$', "$$");
                let into = (1..=9).fold(into, |into, n| into.replace(&format!("\\{n}"), &format!("${{{n}}}")));
                of_text(regex.replace_all(&it, into.as_str()).into_owned())
            }
        }
    })
}

/// LIKE: `%` any text, `_` any one character; the escape character may only stand before those and itself.
fn like(it: &[char], pattern: &[char], escape: Option<char>) -> Result<bool, OraError> {
    let Some((&first, rest)) = pattern.split_first() else {
        return Ok(it.is_empty());
    };
    if Some(first) == escape {
        let Some((&next, rest)) = rest.split_first() else {
            return Err(ora(1424, "missing or illegal character following the escape character"));
        };
        if next != '%' && next != '_' && Some(next) != escape {
            return Err(ora(1424, "missing or illegal character following the escape character"));
        }
        return Ok(it.first() == Some(&next) && like(&it[1..], rest, escape)?);
    }
    match first {
        '%' => {
            let rest = &rest[rest.iter().take_while(|c| **c == '%' && escape != Some('%')).count()..];
            for start in 0..=it.len() {
                if like(&it[start..], rest, escape)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        '_' => Ok(!it.is_empty() && like(&it[1..], rest, escape)?),
        literal => Ok(it.first() == Some(&literal) && like(&it[1..], rest, escape)?),
    }
}

fn date(args: &Args<'_>, index: usize) -> Result<Option<NaiveDateTime>, OraError> {
    Ok(number(args, index)?.map(|seconds| calendar((seconds * 1000.0).round() as i64)))
}

fn times(to: &Connection, shared: &Arc<Shared>) -> Result<(), rusqlite::Error> {
    let lite = |at: NaiveDateTime| Ok(seconds(moment(at)));
    let zone = Arc::clone(shared);
    define(to, "ora_date_text", move |args| {
        let (Some(at), Some(model)) = (date(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        of_text(dates::format(at, zone.zone.load(Ordering::Relaxed), &model)?)
    })?;
    let clock = Arc::clone(shared);
    define(to, "ora_date", move |args| {
        let (Some(it), Some(model)) = (text(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        lite(dates::parse(&it, &model, calendar(clock.now.load(Ordering::Relaxed)))?)
    })?;
    define(to, "ora_date_trunc", move |args| {
        let (Some(at), Some(unit)) = (date(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        lite(dates::truncate(at, &unit)?)
    })?;
    define(to, "ora_date_round", move |args| {
        let (Some(at), Some(unit)) = (date(args, 0)?, text(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let half = match unit.to_ascii_uppercase().as_str() {
            "MI" => chrono::Duration::seconds(30),
            "HH" | "HH24" => chrono::Duration::minutes(30),
            _ => chrono::Duration::hours(12),
        };
        lite(dates::truncate(at + half, &unit)?)
    })?;
    Ok(())
}

fn calendars(to: &Connection) -> Result<(), rusqlite::Error> {
    let lite = |at: NaiveDateTime| Ok(seconds(moment(at)));
    define(to, "ora_add_months", move |args| {
        let (Some(at), Some(months)) = (date(args, 0)?, whole(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let by = Months::new(u32::try_from(months.unsigned_abs()).unwrap_or(u32::MAX));
        let moved = if months < 0 {
            at.checked_sub_months(by)
        } else {
            at.checked_add_months(by)
        };
        moved.map_or(
            Err(ora(1841, "(full) year must be between -4713 and +9999, and not be 0")),
            lite,
        )
    })?;
    define(to, "ora_extract", |args| {
        let (Some(field), Some(at)) = (text(args, 0)?, date(args, 1)?) else {
            return Ok(Lite::Null);
        };
        let model = match field.as_str() {
            "YEAR" => return Ok(Lite::Integer(i64::from(at.year()))),
            "MONTH" => "MM",
            "DAY" => "DD",
            "HOUR" => "HH24",
            "MINUTE" => "MI",
            _ => "SS",
        };
        Ok(Lite::Integer(dates::format(at, 0, model)?.parse().unwrap_or(0)))
    })?;
    define(to, "ora_extract_interval", |args| {
        let (Some(field), Some(length)) = (text(args, 0)?, number(args, 1)?) else {
            return Ok(Lite::Null);
        };
        of_number(match field.as_str() {
            "DAY" => (length / 86_400.0).trunc(),
            "HOUR" => (length % 86_400.0 / 3600.0).trunc(),
            "MINUTE" => (length % 3600.0 / 60.0).trunc(),
            _ => length % 60.0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_its_escape() {
        let check = |it: &str, pattern: &str, escape| {
            let (it, pattern): (Vec<char>, Vec<char>) = (it.chars().collect(), pattern.chars().collect());
            like(&it, &pattern, escape).map_err(|error| error.code)
        };
        assert_eq!(check("JDBC Thin Client", "JDBC%", None), Ok(true));
        assert_eq!(check("jdbc", "JDBC%", None), Ok(false));
        assert_eq!(check("A_B", "A\\_B", Some('\\')), Ok(true));
        assert_eq!(check("AxB", "A\\_B", Some('\\')), Ok(false));
        assert_eq!(check("A", "A\\x", Some('\\')), Err(1424));
        assert_eq!(check("", "%", None), Ok(true));
    }
}
