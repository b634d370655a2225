//! Points in a database's own clock.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_east_of_greenwich_is_ahead_of_utc() {
        let noon = DbTime(12 * 3600);
        assert_eq!(noon.to_utc(3600).expect("in range").timestamp(), 11 * 3600);
        assert_eq!(DbTime(i64::MAX).to_utc(0), None);
        assert_eq!(noon.to_string(), "1970-01-01 12:00:00");
    }
}
