//! Points in a database's own clock, and spans as people read them.
//!
//! SYSDATE, LOGON_TIME and their like carry no time zone: they are the wall clock of the database's host. All ages are
//! differences between two of them, so no zone is needed; only what is shown to people is turned into UTC, by the offset
//! that SYSTIMESTAMP had in the same query.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// Seconds of the database's own clock since 1970-01-01 00:00:00 on that clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DbTime(pub i64);

impl DbTime {
    /// Seconds from `earlier` to this; negative if it is later.
    #[must_use]
    pub const fn since(self, earlier: DbTime) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// In UTC, for a clock that is `utc_offset` seconds east of Greenwich. `None` outside the calendar's range.
    #[must_use]
    pub fn to_utc(self, utc_offset: i32) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0, 0)?.checked_sub_signed(TimeDelta::seconds(i64::from(utc_offset)))
    }
}

impl fmt::Display for DbTime {
    /// As the clock showed it; bare seconds outside the calendar's range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp(self.0, 0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%d %H:%M:%S")),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A span in whole seconds as people write it, largest units first, at most two of them: `5h 12m`, `90s` is `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0;
        if total < 0 {
            f.write_str("-")?;
        }
        let seconds = total.unsigned_abs();
        let parts = [
            (seconds / 86400, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        let Some(first) = parts.iter().position(|(count, _)| *count > 0) else {
            return f.write_str("0s");
        };
        write!(f, "{}{}", parts[first].0, parts[first].1)?;
        match parts.get(first + 1) {
            Some((count, unit)) if *count > 0 => write!(f, " {count}{unit}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// What was to be a span is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a span such as 90s, 30m, 4h, 1d or 1h30m")]
pub struct NoSpan;

impl std::str::FromStr for Span {
    type Err = NoSpan;

    /// `5h`, `1h30m`, `90s` or a bare number of seconds.
    fn from_str(text: &str) -> Result<Span, NoSpan> {
        if let Ok(seconds) = text.parse() {
            return Ok(Span(seconds));
        }
        let (mut total, mut rest) = (0_i64, text);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(NoSpan)?;
            let count: i64 = rest[..digits].parse().map_err(|_| NoSpan)?;
            let unit = match rest.as_bytes()[digits] {
                b's' => 1,
                b'm' => 60,
                b'h' => 3600,
                b'd' => 86_400,
                _ => return Err(NoSpan),
            };
            let span = count.checked_mul(unit).ok_or(NoSpan)?;
            total = total.checked_add(span).ok_or(NoSpan)?;
            rest = &rest[digits + 1..];
        }
        if text.is_empty() { Err(NoSpan) } else { Ok(Span(total)) }
    }
}

/// Bytes as people write them, in units of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub i64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
        let mut amount = self.0 as f64;
        let mut unit = 0;
        while amount.abs() >= 1024.0 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        if unit == 0 || amount.fract() == 0.0 {
            write!(f, "{amount:.0} {}", UNITS[unit])
        } else {
            write!(f, "{amount:.1} {}", UNITS[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (90, "1m 30s"),
            (3600, "1h"),
            (18_720, "5h 12m"),
            (86_400, "1d"),
            (90_061, "1d 1h"),
            (86_460, "1d"),
            (-90, "-1m 30s"),
        ];
        for (seconds, text) in cases {
            assert_eq!(Span(seconds).to_string(), text);
        }
    }

    #[test]
    fn spans_are_read_as_they_are_written() {
        let cases = [
            ("90s", 90),
            ("1h30m", 5_400),
            ("1d", 86_400),
            ("15", 15),
            ("5h 12m", -1),
            ("", -1),
            ("h", -1),
            ("1w", -1),
        ];
        for (text, seconds) in cases {
            let expected = if seconds < 0 { Err(NoSpan) } else { Ok(Span(seconds)) };
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    #[test]
    fn a_clock_east_of_greenwich_is_ahead_of_utc() {
        let noon = DbTime(12 * 3600);
        assert_eq!(noon.to_utc(3600).expect("in range").timestamp(), 11 * 3600);
        assert_eq!(DbTime(i64::MAX).to_utc(0), None);
        assert_eq!(noon.to_string(), "1970-01-01 12:00:00");
    }

    #[test]
    fn bytes_read_as_people_write_them() {
        assert_eq!(Bytes(512).to_string(), "512 B");
        assert_eq!(Bytes(2 << 30).to_string(), "2 GB");
        assert_eq!(Bytes(1_572_864).to_string(), "1.5 MB");
    }
}
