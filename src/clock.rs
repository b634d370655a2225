//! The clocks, and nothing else that reads them.
//!
//! Everything that decides takes its time as an argument, from the snapshot that it decides on. What is left for the host's
//! own clocks is waiting, deadlines, heartbeats and the time stamps of records; they come from here, so that a test can set
//! the time and so that no other file can quietly start to depend on it.
//!
//! Two kinds, never mixed up: [`Monotonic`] measures and cannot be set; UTC is for people and may jump.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, NaiveDate, Utc};

/// A moment of this process's own clock, good for measuring only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The moment this long after the clock was made.
    #[must_use]
    pub const fn at(since_start: Duration) -> Monotonic {
        Monotonic(since_start)
    }

    /// From `earlier` to this; zero if it is later.
    #[must_use]
    pub const fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `span` later.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(span))
    }
}

/// What time it is.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// For measuring.
    fn now(&self) -> Monotonic;

    /// For people and records.
    fn utc(&self) -> DateTime<Utc>;

    /// The calendar's day in a time zone: exemptions expire by it.
    fn today(&self, zone: chrono_tz::Tz) -> NaiveDate {
        self.utc().with_timezone(&zone).date_naive()
    }
}

/// The host's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts at zero.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn now(&self) -> Monotonic {
        Monotonic(Instant::now().saturating_duration_since(self.start))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that reads the time of day")]
    fn utc(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now())
    }
}

/// A clock that stands still until it is moved: for tests and for time that was recorded.
#[derive(Debug)]
pub struct ManualClock {
    start: DateTime<Utc>,
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// Stands at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> ManualClock {
        ManualClock {
            start,
            passed: Mutex::new(Duration::ZERO),
        }
    }

    /// Moves on.
    pub fn advance(&self, span: Duration) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed = passed.saturating_add(span);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Monotonic {
        Monotonic(*self.passed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn utc(&self) -> DateTime<Utc> {
        self.start + self.now().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_the_one_of_the_zone() {
        let clock = ManualClock::at("2026-11-22T23:30:00Z".parse().expect("a time"));
        assert_eq!(clock.today(chrono_tz::UTC).to_string(), "2026-11-22");
        assert_eq!(clock.today(chrono_tz::Europe::Berlin).to_string(), "2026-11-23");
        clock.advance(Duration::from_secs(1800));
        assert_eq!(clock.today(chrono_tz::UTC).to_string(), "2026-11-23");
    }

    #[test]
    fn what_is_measured_is_never_negative() {
        let clock = SystemClock::new();
        let (one, two) = (clock.now(), clock.now());
        assert!(one <= two);
        assert_eq!(one.plus(Duration::from_secs(2)).since(one), Duration::from_secs(2));
        assert_eq!(one.since(one.plus(Duration::from_secs(2))), Duration::ZERO);
    }
}
