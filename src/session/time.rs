//! Points in time by a database's clock.
//!
//! SYSDATE, LOGON_TIME and other DATEs have no time zone: they are the wall-clock time of the database's host. All ages are
//! differences of two such times, so they need no zone. Only times that are shown to people are converted to UTC, with the
//! offset of SYSTIMESTAMP in the same query.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

/// Seconds since 1970-01-01 00:00:00, by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DbTime(pub i64);

impl DbTime {
    /// The seconds from `earlier` to this time; negative if this time is before `earlier`.
    #[must_use]
    pub(crate) const fn since(self, earlier: DbTime) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time in UTC, if the clock is `utc_offset` seconds ahead of UTC. `None` outside the calendar's range.
    #[must_use]
    pub fn to_utc(self, utc_offset: i32) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0, 0)?.checked_sub_signed(TimeDelta::seconds(i64::from(utc_offset)))
    }
}

impl fmt::Display for DbTime {
    /// The time on the clock; the number of seconds outside the calendar's range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp(self.0, 0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%d %H:%M:%S")),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A time in UTC as all texts have it, ISO 8601 to the second: `2026-11-22T10:00:00Z`.
#[must_use]
pub(crate) fn iso(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time in a time zone, for a person: `2026-11-22 11:00:00 CET`.
#[must_use]
pub(crate) fn in_zone(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_positive_offset_is_ahead_of_utc() {
        let noon = DbTime(12 * 3600);
        assert_eq!(noon.to_utc(3600).expect("in range").timestamp(), 11 * 3600);
        assert_eq!(DbTime(i64::MAX).to_utc(0), None);
        assert_eq!(noon.to_string(), "1970-01-01 12:00:00");
    }
}
