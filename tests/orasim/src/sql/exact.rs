//! NUMBER to all its digits.
//!
//! SQLite has integers of 64 bits and floats, which hold fifteen digits for certain. A number that is neither lies in SQLite
//! as text, in one spelling for each value, so that equal numbers are equal there; what else is done with it (comparing,
//! sorting, adding) goes through functions, where its type ([`Ty::Long`](super::types::Ty::Long)) says that it may be one.

use std::num::NonZeroU64;

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};
use rusqlite::types::{Value as Lite, ValueRef};

use super::types::plain;
use crate::backend::OraError;
use crate::error::known;

/// How many digits a float holds for certain.
const CERTAIN: u64 = 15;

/// What a text says as a number.
pub(crate) fn parsed(text: &str) -> Option<BigDecimal> {
    let text = text.trim();
    let plausible = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plausible && digits)
}

/// A value of SQLite's as a number.
pub(crate) fn number(value: ValueRef<'_>) -> Result<Option<BigDecimal>, OraError> {
    Ok(match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) => Some(number.into()),
        ValueRef::Real(number) => Some(parsed(&plain(number)).ok_or_else(|| known(1426))?),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| known(1722))?;
            Some(parsed(text).ok_or_else(|| known(1722))?)
        }
    })
}

/// As a NUMBER holds it: twenty digits of base 100, which are 39 or 40 decimal ones.
fn held(number: &BigDecimal) -> BigDecimal {
    let point = i64::try_from(number.digits()).unwrap_or(i64::MAX) - number.fractional_digit_count();
    let digits = if point.rem_euclid(2) == 0 { 40 } else { 39 };
    let digits = NonZeroU64::new(digits).unwrap_or(NonZeroU64::MIN);
    number.with_precision_round(digits, RoundingMode::HalfUp).normalized()
}

/// A number as it lies in SQLite: each value in one way.
pub(crate) fn kept(number: &BigDecimal) -> Lite {
    let number = held(number);
    if number.is_zero() {
        return Lite::Integer(0);
    }
    if number.fractional_digit_count() <= 0
        && let Some(whole) = number.to_i64()
    {
        return Lite::Integer(whole);
    }
    if number.digits() <= CERTAIN
        && let Some(float) = number.to_f64().filter(|float| float.is_finite())
    {
        return Lite::Real(float);
    }
    Lite::Text(number.to_plain_string())
}

/// Bytes that sort as the numbers do.
pub(crate) fn key(number: &BigDecimal) -> Vec<u8> {
    let number = held(number);
    let point = i64::try_from(number.digits()).unwrap_or(0) - number.fractional_digit_count();
    let (magnitude, _) = number.as_bigint_and_exponent();
    let mut key = (point + 0x8000).clamp(0, 0xffff).to_be_bytes()[6..].to_vec();
    key.extend(magnitude.magnitude().to_string().bytes());
    match magnitude.sign() {
        Sign::NoSign => vec![0x80],
        Sign::Plus => std::iter::once(0x81).chain(key).collect(),
        // The larger the magnitude the less, and a longer one is larger.
        Sign::Minus => std::iter::once(0x7f)
            .chain(key.into_iter().map(|byte| !byte))
            .chain(std::iter::once(0xff))
            .collect(),
    }
}

/// Rounded to so many places, which may be negative.
pub(crate) fn scaled(number: &BigDecimal, places: i64, mode: RoundingMode) -> BigDecimal {
    number.with_scale_round(places, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> BigDecimal {
        parsed(text).expect(text)
    }

    #[test]
    fn keys_sort_as_numbers_do() {
        let sorted = [
            "-12345678901234567890",
            "-123.4",
            "-123",
            "-12",
            "-1.5",
            "-0.0012",
            "0",
            "0.001",
            "0.01",
            "0.5",
            "5",
            "12",
            "12.000000000000000001",
            "123",
            "9223372036854775808",
            "1e30",
        ];
        for pair in sorted.windows(2) {
            assert!(key(&of(pair[0])) < key(&of(pair[1])), "{pair:?}");
        }
        assert_eq!(key(&of("1.50")), key(&of("1.5")));
    }

    #[test]
    fn a_number_lies_in_one_way() {
        assert_eq!(kept(&of("100.000")), Lite::Integer(100));
        assert_eq!(kept(&of("0.25")), Lite::Real(0.25));
        assert_eq!(
            kept(&of("12345678901234567890.10")),
            Lite::Text("12345678901234567890.1".into())
        );
        let third = kept(&(of("1") / of("3")));
        assert_eq!(third, Lite::Text(format!("0.{}", "3".repeat(40))));
        let more = kept(&(of("10") / of("3")));
        assert_eq!(more, Lite::Text(format!("3.{}", "3".repeat(38))));
        assert!(parsed("1e").is_none() && parsed("").is_none() && parsed("inf").is_none());
    }
}
