//! Reads numbers and dates as SQL tools write them.
//!
//! Ambiguous values are refused: `1.234` is more than a thousand in one country and about one in another, `03/04/2026` is in
//! March or in April. A wrong date in a report about which sessions to kill is worse than no report.

use chrono::{NaiveDate, NaiveTime};

use crate::session::snapshot::SnapshotClock;
use crate::session::time::DbTime;

const DATES: &str = "not a date that can be read; expected ISO 8601 (2026-11-22T10:00:00) or Oracle's 22-NOV-26 or \
                     22-NOV-2026 10:00:00 with English months (ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS')";
const NUMBERS: &str = "not a whole number; export numbers without thousands separators or decimals";
const ROUNDED: &str = "rounded: SQL*Plus does this to a number that is longer than `set numwidth`; `set numwidth 38`";
const TOO_NARROW: &str = "a number that was too wide for its column; `set numwidth 38`, and no `column ... format`";
pub(super) const NO_TIME_OF_DAY: &str =
    "a day without a time; alter session set nls_date_format = 'YYYY-MM-DD HH24:MI:SS'";

/// A point in time in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Seconds since 1970-01-01 00:00:00, by the wall clock.
    pub(crate) wall: i64,
    /// The offset from UTC in seconds, if there is one.
    pub(crate) offset: Option<i32>,
    /// Whether there is no time of day: it is midnight then, which no age may be counted from.
    pub(crate) day_only: bool,
}

impl Stamp {
    /// Reads ISO 8601 (with `T` or a blank; a fraction, `Z` or an offset are optional), or Oracle's DD-MON-RR and
    /// DD-MON-YYYY, alone or with HH24:MI:SS or HH.MI.SS AM. A year of two digits is Oracle's RR: 00 to 49 are 2000 to 2049.
    ///
    /// # Errors
    /// The forms that are accepted.
    pub(crate) fn parse(text: &str) -> Result<Stamp, &'static str> {
        Self::read(text).ok_or(DATES)
    }

    fn read(text: &str) -> Option<Stamp> {
        let text = text.trim();
        let end_of_day = text
            .find(['T', 't', ' '])
            // A date has two hyphens before its time, so the T of OCT is not the separator.
            .filter(|at| text[..*at].matches('-').count() == 2)
            .or_else(|| text.find(' '))
            .unwrap_or(text.len());
        let (day, rest) = text.split_at_checked(end_of_day)?;
        let date = read_day(day)?;
        let rest = rest.trim_start_matches(['T', 't', ' ']);
        let (clock, offset) = split_offset(rest)?;
        let time = if clock.is_empty() {
            NaiveTime::MIN
        } else {
            read_clock(clock)?
        };
        if clock.is_empty() && offset.is_some() {
            return None;
        }
        Some(Stamp {
            wall: date.and_time(time).and_utc().timestamp(),
            offset,
            day_only: clock.is_empty(),
        })
    }

    /// The time on the database's clock, which is `utc_offset` seconds ahead of UTC.
    #[must_use]
    pub(crate) fn in_clock(self, utc_offset: i32) -> DbTime {
        DbTime(match self.offset {
            None => self.wall,
            Some(own) => self.wall - i64::from(own) + i64::from(utc_offset),
        })
    }

    /// The database's clock, if this is its time.
    ///
    /// # Errors
    /// If there is no time of day: with midnight, every age would be wrong by up to a day.
    pub(crate) fn as_clock(self) -> Result<SnapshotClock, &'static str> {
        if self.day_only {
            return Err(NO_TIME_OF_DAY);
        }
        Ok(SnapshotClock {
            now: DbTime(self.wall),
            utc_offset: self.offset.unwrap_or(0),
        })
    }
}

fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<u32> {
    (lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn read_day(day: &str) -> Option<NaiveDate> {
    let mut parts = day.split('-');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    if first.len() == 4 {
        let year = i32::try_from(digits(first, 4..=4)?).ok()?;
        return NaiveDate::from_ymd_opt(year, digits(second, 2..=2)?, digits(third, 2..=2)?);
    }
    let year = match (third.len(), digits(third, 2..=4)?) {
        (2, year @ 0..50) => 2000 + year,
        (2, year) => 1900 + year,
        (4, year) => year,
        (_, _) => return None,
    };
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month(second)?, digits(first, 1..=2)?)
}

fn month(name: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    let at = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    u32::try_from(at + 1).ok()
}

/// Splits `Z`, `+01:00`, `+0100` or `+01` from the end of a time of day.
fn split_offset(text: &str) -> Option<(&str, Option<i32>)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock.trim_end(), Some(0)));
    }
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, None));
    };
    let (clock, offset) = text.split_at(at);
    let plain: String = offset[1..].chars().filter(|character| *character != ':').collect();
    let hours = digits(plain.get(..2)?, 2..=2)?;
    let minutes = if plain.len() == 2 {
        0
    } else {
        digits(plain.get(2..)?, 2..=2)?
    };
    if hours > 15 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    let signed = if offset.starts_with('-') { -seconds } else { seconds };
    Some((clock.trim_end(), Some(signed)))
}

/// Reads `10:00`, `10:00:00`, `10:00:00.123` or `10.00.00.123456 AM`.
fn read_clock(text: &str) -> Option<NaiveTime> {
    let (text, half) = match text.rsplit_once(' ') {
        Some((clock, "AM" | "am" | "a.m." | "A.M.")) => (clock.trim_end(), Some(0)),
        Some((clock, "PM" | "pm" | "p.m." | "P.M.")) => (clock.trim_end(), Some(12)),
        Some(_) => return None,
        None => (text, None),
    };
    let mut parts = text.split([':', '.']);
    let hour = digits(parts.next()?, 1..=2)?;
    let minute = digits(parts.next()?, 2..=2)?;
    let second = parts.next().map_or(Some(0), |second| digits(second, 2..=2))?;
    let fraction = parts
        .next()
        .is_none_or(|fraction| (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit()));
    if !fraction || parts.next().is_some() {
        return None;
    }
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) => hour % 12 + half,
    };
    NaiveTime::from_hms_opt(hour, minute, second)
}

/// What is said of a number that does not fit into 64 signed bits, such as an address in P1.
pub(super) const TOO_LARGE: &str = "a number of more than 63 bits";

/// Reads a whole number.
///
/// # Errors
/// What the text is instead.
pub(super) fn read_number(text: &str) -> Result<i64, &'static str> {
    let text = text.trim();
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(match unsigned.bytes().next() {
            Some(b'#') if unsigned.bytes().all(|byte| byte == b'#') => TOO_NARROW,
            Some(b'0'..=b'9') if unsigned.contains(['E', 'e']) && unsigned.parse::<f64>().is_ok() => ROUNDED,
            Some(_) | None => NUMBERS,
        });
    }
    text.parse().map_err(|_| TOO_LARGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 10:00:00 is 20,779 days (57 years of 365, 14 leap days less the rest; `date -d` agrees) and ten hours.
    const TEN: i64 = 20_779 * 86_400 + 10 * 3_600;

    fn wall(text: &str) -> i64 {
        Stamp::parse(text).unwrap_or_else(|_| panic!("{text} is a date")).wall
    }

    #[test]
    fn all_documented_forms_give_the_same_time() {
        for text in [
            "2026-11-22T10:00:00",
            "2026-11-22 10:00:00",
            "2026-11-22 10:00",
            "2026-11-22T10:00:00.123456",
            "22-NOV-2026 10:00:00",
            "22-nov-26 10:00:00",
            "22-Nov-26 10.00.00 AM",
            "22-NOV-26 10.00.00.000000 AM",
            "22-NOV-2026 10:00:00 AM",
        ] {
            assert_eq!(wall(text), TEN, "{text}");
            assert_eq!(Stamp::parse(text).expect("a date").offset, None, "{text}");
        }
    }

    #[test]
    fn an_offset_does_not_change_the_wall_clock() {
        for (text, offset) in [
            ("2026-11-22T10:00:00Z", 0),
            ("2026-11-22T10:00:00+01:00", 3_600),
            ("2026-11-22T10:00:00-0530", -19_800),
            ("2026-11-22 10:00:00 +01", 3_600),
            ("22-NOV-26 10.00.00.000000 AM +01:00", 3_600),
        ] {
            let stamp = Stamp::parse(text).expect("a date");
            assert_eq!((stamp.wall, stamp.offset), (TEN, Some(offset)), "{text}");
        }
        let stamp = Stamp::parse("2026-11-22T10:00:00+01:00").expect("a date");
        assert_eq!(stamp.in_clock(0), DbTime(TEN - 3_600));
        assert_eq!(stamp.in_clock(7_200), DbTime(TEN + 3_600));
    }

    #[test]
    fn noon_and_midnight_are_right_on_the_twelve_hour_clock() {
        assert_eq!(wall("22-NOV-26 12.00.00 AM"), TEN - 10 * 3_600);
        assert_eq!(wall("22-NOV-26 12.00.00 PM"), TEN + 2 * 3_600);
        assert_eq!(wall("22-NOV-26 11.59.59 PM"), TEN + 13 * 3_600 + 3_599);
    }

    #[test]
    fn two_digit_years_follow_oracles_rr() {
        let midnight = TEN - 10 * 3_600;
        assert_eq!(wall("22-NOV-26"), midnight);
        assert!(Stamp::parse("22-NOV-26").expect("a date").day_only);
        assert_eq!(wall("01-JAN-50"), wall("1950-01-01"));
        assert_eq!(wall("31-OCT-49 00:00:00"), wall("2049-10-31"));
        assert_eq!(wall("01-JAN-70"), 0);
    }

    #[test]
    fn an_ambiguous_or_invalid_date_is_refused() {
        for text in [
            "03/04/2026",
            "22.11.2026 10:00:00",
            "22-MAI-26",
            "2026-13-01",
            "2026-02-30",
            "22-NOV-226",
            "2026-11-22T25:00:00",
            "22-NOV-26 13.00.00 PM",
            "2026-11-22T10",
            "2026-11-22T10:00:00+99:00",
            "2026-11-22 10:00:00 Uhr",
            "1795341600",
            "-",
            "",
            "ü-ü-ü",
            "T",
        ] {
            assert!(Stamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_plain_whole_numbers_are_read() {
        assert_eq!(read_number(" 287 "), Ok(287));
        assert_eq!(read_number("-1"), Ok(-1));
        assert_eq!(read_number("18446744073709551615"), Err(TOO_LARGE));
        for text in ["1.234", "1,234", "1 234", "1E+05", "287.0", "+5", "-", "", "0x1F"] {
            assert!(read_number(text).is_err(), "{text}");
        }
    }
}
