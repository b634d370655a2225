//! Numbers with their units: durations, sizes, percentages.

use super::Token;
use crate::yaml::diagnostics::quoted;

type NotAQuantity = (&'static str, String, Option<String>);

/// Reads a number, duration, size or percentage that fills its text.
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
    let size = |shift: u32| number.checked_mul(1 << shift).map(Token::Size).ok_or_else(too_large);
    let upper = unit.to_ascii_uppercase();
    match upper.as_str() {
        "" => Ok(Token::Number(number)),
        "%" => Ok(Token::Percent(number)),
        "B" => Ok(Token::Size(number)),
        "KB" => size(10),
        "MB" => size(20),
        "GB" => size(30),
        "TB" => size(40),
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
        _ => duration(written).ok_or_else(|| {
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
                _ => "durations: `90s`, `30m`, `4h`, `1d`, `1h30m`; sizes: `512KB`, `2GB`; percentages: `85%`; a text \
                      that begins with a digit is quoted"
                    .to_owned(),
            };
            ("unknown-unit", format!("unknown unit in {shown}"), Some(hint))
        }),
    }
}

/// `1.5h` is `1h30m`, where that is exact.
fn in_a_smaller_unit(written: &str) -> Option<String> {
    let digits = written.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = written.split_at(digits);
    let (before, after) = number.split_once('.')?;
    let before: i64 = before.parse().ok().filter(|before| *before < 1_000_000)?;
    let places = u32::try_from(after.len()).ok().filter(|places| *places <= 3)?;
    let tenths = 10_i64.pow(places);
    let after: i64 = after.parse().ok()?;
    let each = match unit.to_ascii_lowercase().as_str() {
        "d" => 86_400,
        "h" => 3_600,
        "m" if unit == "m" => 60,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        "tb" => 1 << 40,
        _ => return None,
    };
    let part = after * each;
    if part % tenths != 0 {
        return None;
    }
    let whole = before * each + part / tenths;
    Some(if unit.len() == 1 {
        crate::policy::Duration(whole).to_string()
    } else {
        crate::policy::Size(whole).to_string()
    })
}

/// `1d`, `1h30m`: units from large to small, each once.
fn duration(written: &str) -> Option<Token> {
    let mut seconds: i64 = 0;
    let mut smallest = i64::MAX;
    let mut rest = written;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let each = match unit.to_ascii_lowercase() {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if each >= smallest {
            return None;
        }
        smallest = each;
        seconds = seconds.checked_add(number.checked_mul(each)?)?;
        rest = &rest[digits + 1..];
    }
    Some(Token::Duration(seconds))
}
