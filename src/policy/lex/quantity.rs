//! Reads numbers with units: durations, sizes, percentages.

use super::Token;
use crate::quantity::{Bytes, NoSize, Span, bytes_in, seconds_in};
use crate::yaml::diagnostics::quoted;

type NotAQuantity = (&'static str, String, Option<String>);

/// Reads a text that is a number, duration, size or percentage.
pub(crate) fn measure(written: &str) -> Result<Token, NotAQuantity> {
    let shown = quoted(written);
    let too_large = || ("number-too-large", format!("{shown} is too large"), None);
    if written.contains('.') {
        return Err((
            "not-whole",
            format!("{shown} is not a whole number"),
            Some(in_a_smaller_unit(written).map_or_else(
                || "use a smaller unit: `90m` for an hour and a half, `1536MB` for one and a half gigabytes".to_owned(),
                |smaller| format!("write `{smaller}`"),
            )),
        ));
    }
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let unit = &written[digits..];
    if digits == 0 {
        return Err(("not-a-number", format!("{shown} is not a number"), None));
    }
    let number: i64 = written[..digits].parse().map_err(|_| too_large())?;
    let upper = unit.to_ascii_uppercase();
    match upper.as_str() {
        "" => Ok(Token::Number(number)),
        "%" => Ok(Token::Percent(number)),
        "B" | "KB" | "MB" | "GB" | "TB" => {
            let size = written.parse().map_err(|NoSize| too_large());
            size.map(|Bytes(bytes)| Token::Size(bytes))
        }
        "K" | "G" | "T" | "KIB" | "MIB" | "GIB" | "TIB" => Err((
            "unknown-unit",
            format!("unknown unit in {shown}"),
            Some(format!("write `{number}{}B`", &upper[..1])),
        )),
        "M" if unit == "M" => Err((
            "ambiguous-unit",
            format!("{shown} could be minutes or megabytes"),
            Some(format!("write `{number}m` or `{number}MB`")),
        )),
        _ => Span::with_units(written)
            .map(|Span(seconds)| Token::Duration(seconds))
            .ok_or_else(|| {
                let hint = match upper.as_str() {
                "W" => format!("write `{}d`", number.saturating_mul(7)),
                "MS" | "US" | "NS" => "the smallest unit is one second, `1s`".to_owned(),
                "SEC" | "SECS" | "SECOND" | "SECONDS" => format!("write `{number}s`"),
                "MIN" | "MINS" | "MINUTE" | "MINUTES" => format!("write `{number}m`"),
                "HR" | "HRS" | "HOUR" | "HOURS" => format!("write `{number}h`"),
                "DAY" | "DAYS" => format!("write `{number}d`"),
                _ if written.chars().all(|c| c.is_ascii_digit() || "dhmsDHMS".contains(c)) => {
                    "units go from large to small, each once: `1d12h`, `1h30m`".to_owned()
                }
                _ => "durations: `90s`, `30m`, `4h`, `1d`, `1h30m`; sizes: `512KB`, `2GB`; percentages: `85%`; quote a text \
                      that begins with a digit"
                    .to_owned(),
            };
                ("unknown-unit", format!("unknown unit in {shown}"), Some(hint))
            }),
    }
}

/// `1.5h` as `1h30m`, if that is exact.
pub(crate) fn in_a_smaller_unit(written: &str) -> Option<String> {
    let digits = written.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = written.split_at(digits);
    let (before, after) = number.split_once('.')?;
    let before: i64 = before.parse().ok().filter(|before| *before < 1_000_000)?;
    let places = u32::try_from(after.len()).ok().filter(|places| *places <= 3)?;
    let tenths = 10_i64.pow(places);
    let after: i64 = after.parse().ok()?;
    let span = unit.parse::<char>().ok().filter(|_| unit != "M").and_then(seconds_in);
    let each = span.or_else(|| bytes_in(unit))?;
    let part = after * each;
    if part % tenths != 0 {
        return None;
    }
    let whole = before * each + part / tenths;
    Some(match span {
        Some(_) => Span(whole).in_full().to_string(),
        None => Bytes(whole).in_full().to_string(),
    })
}
