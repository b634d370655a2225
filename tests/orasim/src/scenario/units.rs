//! The units a scenario is written in: `4h`, `30s..5m`, `2MB..10MB`, `1..50`.
//!
//! A range stands for a value drawn from it by the scenario's seed, once for each session.

use std::fmt;

use rand::Rng;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A length of time, in milliseconds: `250ms`, `90s`, `30m`, `4h`, `1d`, `1h30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub i64);

/// How far ahead, in milliseconds: a length of time, `-9h` for behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift(pub i64);

/// A whole number or a size: `5`, `2GB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub i64);

/// A length of time, or two of them between which one is drawn: `30s..5m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest.
    pub low: i64,
    /// The longest.
    pub high: i64,
}

/// A whole number or a size, or two of them between which one is drawn: `5`, `1..50`, `2MB..10MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// The least.
    pub low: i64,
    /// The most.
    pub high: i64,
}

impl Lengths {
    pub(crate) fn draw(self, rng: &mut impl Rng) -> i64 {
        rng.random_range(self.low..=self.high)
    }
}

impl Amounts {
    pub(crate) fn draw(self, rng: &mut impl Rng) -> i64 {
        rng.random_range(self.low..=self.high)
    }
}

/// Splits `12h34m` into numbers with their units.
fn parts(text: &str) -> Option<Vec<(i64, &str)>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        if digits == 0 {
            return None;
        }
        parts.push((number.parse().ok()?, unit));
        rest = tail;
    }
    (!parts.is_empty()).then_some(parts)
}

fn length(text: &str) -> Result<i64, String> {
    let wrong = || format!("expected a length of time such as 90s, 30m, 4h, 1d or 1h30m, found `{text}`");
    parts(text)
        .ok_or_else(wrong)?
        .into_iter()
        .try_fold(0_i64, |sum, (number, unit)| {
            let millis = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "" if number == 0 => 0,
                _ => return Err(wrong()),
            };
            number
                .checked_mul(millis)
                .and_then(|part| sum.checked_add(part))
                .ok_or_else(wrong)
        })
}

fn amount(text: &str) -> Result<i64, String> {
    let wrong = || format!("expected a whole number or a size such as 512KB, 20MB or 2GB, found `{text}`");
    match parts(text).ok_or_else(wrong)?.as_slice() {
        [(number, unit)] => {
            let factor = match *unit {
                "" | "B" => 1,
                "KB" => 1 << 10,
                "MB" => 1 << 20,
                "GB" => 1 << 30,
                _ => return Err(wrong()),
            };
            number.checked_mul(factor).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn shift(text: &str) -> Result<i64, String> {
    match text.strip_prefix('-') {
        Some(behind) => length(behind).map(|length| -length),
        None => length(text.strip_prefix('+').unwrap_or(text)),
    }
}

fn range(text: &str, one: fn(&str) -> Result<i64, String>) -> Result<(i64, i64), String> {
    let (low, high) = match text.split_once("..") {
        Some((low, high)) => (one(low)?, one(high)?),
        None => (one(text)?, one(text)?),
    };
    if low > high {
        Err(format!("the range `{text}` ends before it begins"))
    } else {
        Ok((low, high))
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time, a number or a size")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        length(&from.deserialize_any(Text)?)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Shift {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        shift(&from.deserialize_any(Text)?).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        amount(&from.deserialize_any(Text)?)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Lengths {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (low, high) = range(&from.deserialize_any(Text)?, length).map_err(de::Error::custom)?;
        Ok(Self { low, high })
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (low, high) = range(&from.deserialize_any(Text)?, amount).map_err(de::Error::custom)?;
        Ok(Self { low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up_and_refuse_what_they_do_not_know() {
        assert_eq!(length("1h30m"), Ok(5_400_000));
        assert_eq!(length("250ms"), Ok(250));
        assert_eq!(length("1d"), Ok(86_400_000));
        for bad in ["", "h", "5", "4 hours", "3w", "99999999999999999999s"] {
            assert!(length(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shift_goes_either_way() {
        assert_eq!(
            ["-9h", "+5h30m", "45m"].map(shift),
            [Ok(-32_400_000), Ok(19_800_000), Ok(2_700_000)]
        );
    }

    #[test]
    fn a_range_has_a_beginning_and_an_end() {
        assert_eq!(range("30s..5m", length), Ok((30_000, 300_000)));
        assert_eq!(range("2MB", amount), Ok((2 << 20, 2 << 20)));
        assert!(range("5m..30s", length).is_err());
    }
}
