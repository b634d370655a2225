//! The stored forms of NUMBER, DATE, TIMESTAMP, BINARY_FLOAT and BINARY_DOUBLE.
//!
//! They are made to be compared as bytes: the exponent and the sign come first, negative values are complemented, and
//! no field of a date can be zero.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, Timelike};

use crate::backend::Value;

/// The most base-100 digits a NUMBER holds.
const MANTISSA: usize = 20;
/// The trailing byte of a negative NUMBER with room left in its mantissa.
const NEGATIVE_END: u8 = 102;

/// A NUMBER from a whole number.
pub(crate) fn number_from_int(value: i64) -> Vec<u8> {
    let mut pairs = [0_u8; 10];
    let mut first = pairs.len();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        first -= 1;
        pairs[first] = (rest % 100) as u8;
        rest /= 100;
    }
    let exponent = (pairs.len() - first) as i32;
    number_from_pairs(value < 0, &pairs[first..], exponent)
}

/// A NUMBER from a number in decimal notation, with or without a point or an exponent; `None` where it is not a number.
pub(crate) fn number_from_text(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, power) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    if power.abs() > 1_000 {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = Vec::with_capacity(whole.len() + fraction.len() + 2);
    for byte in whole.bytes().chain(fraction.bytes()) {
        digits.push(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    if digits.is_empty() {
        return None;
    }
    // The point sits after `point` digits; make that an even number of them, and the whole an even number.
    let mut point = whole.len() as i32 + power;
    if point.rem_euclid(2) == 1 {
        digits.insert(0, 0);
        point += 1;
    }
    if digits.len() % 2 == 1 {
        digits.push(0);
    }
    let pairs: Vec<u8> = digits.chunks(2).map(|pair| pair[0] * 10 + pair[1]).collect();
    Some(number_from_pairs(negative, &pairs, point / 2))
}

/// A NUMBER from a float, as good as 40 digits are; infinities have a form of their own, and what is no number is `None`.
pub(crate) fn number_from_float(value: f64) -> Option<Vec<u8>> {
    if value.is_nan() {
        None
    } else if value.is_infinite() {
        Some(if value > 0.0 { vec![0xff, 0x65] } else { vec![0] })
    } else {
        number_from_text(&format!("{value}"))
    }
}

fn number_from_pairs(negative: bool, pairs: &[u8], exponent: i32) -> Vec<u8> {
    let leading = pairs.iter().take_while(|pair| **pair == 0).count();
    let exponent = exponent - leading as i32;
    let pairs = &pairs[leading..];
    let pairs = &pairs[..pairs.len().min(MANTISSA)];
    let kept = pairs.iter().rposition(|pair| *pair != 0).map_or(0, |at| at + 1);
    let pairs = &pairs[..kept];
    if pairs.is_empty() || exponent < -64 {
        return vec![0x80];
    }
    if exponent > 63 {
        return if negative { vec![0] } else { vec![0xff, 0x65] };
    }
    let first = (0xc0 + exponent) as u8;
    let mut bytes = Vec::with_capacity(pairs.len() + 2);
    if negative {
        bytes.push(!first);
        bytes.extend(pairs.iter().map(|pair| 101 - pair));
        if pairs.len() < MANTISSA {
            bytes.push(NEGATIVE_END);
        }
    } else {
        bytes.push(first);
        bytes.extend(pairs.iter().map(|pair| pair + 1));
    }
    bytes
}

/// The value of a NUMBER: an `Int` where it is whole and fits, else a `Decimal`. `None` where the bytes are no NUMBER.
pub(crate) fn number_value(bytes: &[u8]) -> Option<Value> {
    let (first, rest) = bytes.split_first()?;
    if *first == 0x80 && rest.is_empty() {
        return Some(Value::Int(0));
    }
    let negative = first & 0x80 == 0;
    let (exponent, digits) = if negative {
        (
            i32::from(!first) - 0xc0,
            rest.strip_suffix(&[NEGATIVE_END]).unwrap_or(rest),
        )
    } else {
        (i32::from(*first) - 0xc0, rest)
    };
    if digits.is_empty() || digits.len() > MANTISSA {
        return None;
    }
    let mut text = String::with_capacity(2 * digits.len() + 8);
    for byte in digits {
        let pair = if negative {
            101_u8.checked_sub(*byte)?
        } else {
            byte.checked_sub(1)?
        };
        if pair > 99 {
            return None;
        }
        text.push(char::from(b'0' + pair / 10));
        text.push(char::from(b'0' + pair % 10));
    }
    let point = exponent * 2;
    let (whole, fraction) = if point <= 0 {
        (String::new(), "0".repeat(point.unsigned_abs() as usize) + &text)
    } else if point as usize >= text.len() {
        (text.clone() + &"0".repeat(point as usize - text.len()), String::new())
    } else {
        (text[..point as usize].to_owned(), text[point as usize..].to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() {
        let text = format!("{sign}{whole}");
        return Some(
            text.parse()
                .map_or_else(|_| Value::Decimal(text.as_str().into()), Value::Int),
        );
    }
    Some(Value::Decimal(format!("{sign}{whole}.{fraction}").into()))
}

/// A DATE, or a TIMESTAMP of the given fractional precision, which is as short as a DATE where it has no fraction.
pub(crate) fn datetime(value: NaiveDateTime, precision: Option<u8>) -> Vec<u8> {
    let year = value.year().clamp(1, 9999);
    let mut bytes = vec![
        (year / 100 + 100) as u8,
        (year % 100 + 100) as u8,
        value.month() as u8,
        value.day() as u8,
        value.hour() as u8 + 1,
        value.minute() as u8 + 1,
        value.second() as u8 + 1,
    ];
    if let Some(precision) = precision {
        let unit = 10_u32.pow(9 - u32::from(precision.min(9)));
        let nanos = value.nanosecond() % 1_000_000_000 / unit * unit;
        if nanos > 0 {
            bytes.extend_from_slice(&nanos.to_be_bytes());
        }
    }
    bytes
}

/// A TIMESTAMP WITH TIME ZONE, always at full length: the time in UTC, then the zone's hours and minutes. What is shown is
/// this time, at +00:00.
pub(crate) fn zoned_datetime(value: NaiveDateTime) -> Vec<u8> {
    let mut bytes = datetime(value, None);
    bytes.extend_from_slice(&(value.nanosecond() % 1_000_000_000).to_be_bytes());
    bytes.extend_from_slice(&[20, 60]);
    bytes
}

/// The time that a DATE, a TIMESTAMP or a TIMESTAMP WITH TIME ZONE shows on its own clock. `None` where there is no such time.
pub(crate) fn datetime_value(bytes: &[u8]) -> Option<NaiveDateTime> {
    if !matches!(bytes.len(), 7 | 11 | 13) {
        return None;
    }
    let year = (i32::from(bytes[0]) - 100) * 100 + i32::from(bytes[1]) - 100;
    let nanos = if bytes.len() >= 11 {
        u32::from_be_bytes([bytes[7], bytes[8], bytes[9], bytes[10]])
    } else {
        0
    };
    let clock = |byte: u8| u32::from(byte).checked_sub(1);
    let value = NaiveDate::from_ymd_opt(year, u32::from(bytes[2]), u32::from(bytes[3]))?.and_hms_nano_opt(
        clock(bytes[4])?,
        clock(bytes[5])?,
        clock(bytes[6])?,
        nanos,
    )?;
    if bytes.len() == 13 && bytes[11] & 0x80 == 0 {
        let minutes = (i64::from(bytes[11]) - 20) * 60 + i64::from(bytes[12]) - 60;
        return value.checked_add_signed(Duration::minutes(minutes));
    }
    Some(value)
}

/// A BINARY_DOUBLE.
pub(crate) fn binary_double(value: f64) -> [u8; 8] {
    let bits = value.to_bits();
    let bits = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    bits.to_be_bytes()
}

/// A BINARY_FLOAT.
pub(crate) fn binary_float(value: f32) -> [u8; 4] {
    let bits = value.to_bits();
    let bits = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    bits.to_be_bytes()
}

/// The value of a BINARY_DOUBLE or a BINARY_FLOAT, told apart by their lengths.
pub(crate) fn float_value(bytes: &[u8]) -> Option<f64> {
    if let Ok(bytes) = <[u8; 8]>::try_from(bytes) {
        let bits = u64::from_be_bytes(bytes);
        let bits = if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits };
        return Some(f64::from_bits(bits));
    }
    let bits = u32::from_be_bytes(bytes.try_into().ok()?);
    let bits = if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits };
    Some(f64::from(f32::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    /// Derived by hand from the published form: exponent byte 0xc0 + base-100 digits before the point, digit + 1 each.
    #[test]
    fn numbers_have_the_published_form() {
        let cases: [(&str, &[u8]); 11] = [
            ("0", &[0x80]),
            ("1", &[0xc1, 2]),
            ("100", &[0xc2, 2]),
            ("123", &[0xc2, 2, 24]),
            ("-1", &[0x3e, 100, 102]),
            ("-123", &[0x3d, 100, 78, 102]),
            ("0.5", &[0xc0, 51]),
            ("12.5", &[0xc1, 13, 51]),
            ("0.01", &[0xc0, 2]),
            ("0.001", &[0xbf, 11]),
            ("123.456", &[0xc2, 2, 24, 46, 61]),
        ];
        for (text, bytes) in cases {
            assert_eq!(number_from_text(text).as_deref(), Some(bytes), "{text}");
            if let Ok(value) = text.parse::<i64>() {
                assert_eq!(number_from_int(value), bytes, "{text}");
            }
        }
    }

    #[test]
    fn whole_numbers_come_back() {
        for value in [
            0,
            1,
            -1,
            9,
            10,
            99,
            100,
            101,
            -100,
            287,
            62_507,
            i64::MAX,
            i64::MIN,
            1_000_000,
            -65_536,
        ] {
            assert_eq!(
                number_value(&number_from_int(value)),
                Some(Value::Int(value)),
                "{value}"
            );
        }
    }

    #[test]
    fn decimals_come_back() {
        for text in [
            "0.5",
            "-12.5",
            "123.456",
            "-0.001",
            "99999999999999999999",
            "0.00000000000000000000000001",
        ] {
            let bytes = number_from_text(text).expect("a number");
            assert_eq!(number_value(&bytes), Some(Value::Decimal(text.into())), "{text}");
        }
        assert_eq!(
            number_from_text("1.5e3").and_then(|b| number_value(&b)),
            Some(Value::Int(1500))
        );
        assert_eq!(
            number_from_text("15E-1").and_then(|b| number_value(&b)),
            Some(Value::Decimal("1.5".into()))
        );
        assert_eq!(
            number_from_float(0.1).and_then(|b| number_value(&b)),
            Some(Value::Decimal("0.1".into()))
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "abc", "1.2.3", "1e", "12a", "."] {
            assert_eq!(number_from_text(text), None, "{text}");
        }
        for bytes in [&[][..], &[0xc1], &[0xc1, 0], &[0xc1, 102], &[0xff; 30]] {
            assert_eq!(number_value(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn times_come_back() {
        let day = NaiveDate::from_ymd_opt(2024, 2, 29).expect("a day");
        let whole = day.and_hms_opt(23, 59, 58).expect("a time");
        assert_eq!(datetime(whole, None), [120, 124, 2, 29, 24, 60, 59]);
        assert_eq!(datetime(whole, Some(6)), [120, 124, 2, 29, 24, 60, 59]);
        let exact = day.and_hms_nano_opt(0, 0, 0, 123_456_789).expect("a time");
        assert_eq!(datetime(exact, Some(3))[7..], 123_000_000_u32.to_be_bytes());
        assert_eq!(datetime_value(&datetime(exact, Some(9))), Some(exact));
        assert_eq!(datetime_value(&datetime(whole, None)), Some(whole));
        for time in [whole, exact] {
            let zoned = zoned_datetime(time);
            assert_eq!((zoned.len(), &zoned[11..]), (13, &[20, 60][..]));
            assert_eq!(datetime_value(&zoned), Some(time));
        }
        let zoned = [120, 124, 2, 29, 11, 1, 1, 0, 0, 0, 0, 20 + 2, 60 + 30];
        assert_eq!(datetime_value(&zoned), day.and_hms_opt(12, 30, 0));
        assert_eq!(datetime_value(&[120, 124, 13, 1, 1, 1, 1]), None);
        assert_eq!(datetime_value(&[120, 124, 1, 1, 0, 1, 1]), None);
    }

    #[test]
    fn floats_come_back_and_sort_as_bytes() {
        let values = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 1.5, f64::INFINITY];
        for pair in values.windows(2) {
            assert!(binary_double(pair[0]) <= binary_double(pair[1]), "{pair:?}");
        }
        for value in values {
            assert_eq!(float_value(&binary_double(value)), Some(value));
        }
        assert_eq!(float_value(&binary_float(-2.5)), Some(-2.5));
        assert_eq!(float_value(&[1, 2, 3]), None);
    }
}
