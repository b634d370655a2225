//! The host's clocks. No other file reads them.
//!
//! Decisions take the time as an argument, from the snapshot. The host's clocks serve only waits, deadlines, heartbeats and the
//! time stamps of records. They are read here, so that a test can set the time and no other file can depend on it unnoticed.
//!
//! There are two kinds of time: [`Monotonic`] measures and cannot be set; UTC is for people and may jump.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, NaiveDate, Utc};

/// A moment of this process's own clock, for measuring only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The moment this long after the clock was made.
    #[must_use]
    pub const fn at(since_start: Duration) -> Monotonic {
        Monotonic(since_start)
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    #[must_use]
    pub(crate) const fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `span` later.
    #[must_use]
    pub(crate) const fn plus(self, span: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(span))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// For measuring.
    fn now(&self) -> Monotonic;

    /// For people and records.
    fn utc(&self) -> DateTime<Utc>;

    /// How many seconds of a database's clock pass in one of this: 1, except where a simulated database runs faster.
    fn pace(&self) -> u32 {
        1
    }

    /// The calendar day in a time zone, which exemptions expire by.
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

/// The host's clocks beside a simulated database that runs faster.
#[derive(Clone, Copy, Debug)]
pub struct PacedClock {
    /// The host's clocks.
    pub host: SystemClock,
    /// Seconds of the database's clock in one of theirs.
    pub pace: u32,
}

impl Clock for PacedClock {
    fn now(&self) -> Monotonic {
        self.host.now()
    }

    fn utc(&self) -> DateTime<Utc> {
        self.host.utc()
    }

    fn pace(&self) -> u32 {
        self.pace
    }
}

/// A clock that stands still until it is advanced: for tests and for recorded time.
#[derive(Debug)]
pub struct ManualClock {
    start: DateTime<Utc>,
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// A clock at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> ManualClock {
        ManualClock {
            start,
            passed: Mutex::new(Duration::ZERO),
        }
    }

    /// Advances the clock.
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
