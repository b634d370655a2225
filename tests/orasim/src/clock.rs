//! The world's clock: simulated time as milliseconds, run from real time at a chosen speed, or moved by hand.
//!
//! Everything that has an age in the world (SYSDATE, LOGON_TIME, LAST_CALL_ET, waits, rollbacks, time-outs of a kill) takes
//! its time from here, so that a test can let four hours pass in no time and a demo can show a day in a minute. This is
//! the only file that reads the machine's clock.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime};

/// A moment in the database's own time zone, in milliseconds since 1970-01-01.
pub(crate) type Moment = i64;

/// A moment as a calendar date and time.
pub(crate) fn calendar(moment: Moment) -> NaiveDateTime {
    DateTime::from_timestamp_millis(moment).map_or(NaiveDateTime::MAX, |t| t.naive_utc())
}

/// A calendar date and time as a moment.
pub(crate) fn moment(calendar: NaiveDateTime) -> Moment {
    calendar.and_utc().timestamp_millis()
}

/// The running clock.
#[derive(Debug)]
pub(crate) struct Clock {
    run: Mutex<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    anchor: Instant,
    at_anchor: Moment,
    /// Simulated seconds a real second; 0 stands still until it is moved by hand.
    speed: f64,
}

impl Run {
    fn at(self, real: Instant) -> Moment {
        let elapsed = real.saturating_duration_since(self.anchor).as_secs_f64() * 1000.0 * self.speed;
        self.at_anchor + elapsed as i64
    }
}

/// The machine's monotonic clock.
#[allow(clippy::disallowed_methods, reason = "the simulation has a clock of its own")]
fn real_now() -> Instant {
    Instant::now()
}

/// The machine's wall clock, for a scenario that names no starting time.
#[allow(clippy::disallowed_methods, reason = "the simulation has a clock of its own")]
pub(crate) fn wall_clock() -> Moment {
    chrono::Local::now().naive_local().and_utc().timestamp_millis()
}

impl Clock {
    /// A clock that shows `start` now.
    pub(crate) fn new(start: Moment, speed: f64) -> Self {
        Self {
            run: Mutex::new(Run {
                anchor: real_now(),
                at_anchor: start,
                speed,
            }),
        }
    }

    fn run(&self) -> std::sync::MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The simulated time.
    pub(crate) fn now(&self) -> Moment {
        self.run().at(real_now())
    }

    /// Lets simulated time pass at once.
    pub(crate) fn advance(&self, by: Duration) {
        let mut run = self.run();
        run.at_anchor += i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
    }

    /// Changes how fast it runs, from now on.
    pub(crate) fn set_speed(&self, speed: f64) {
        let mut run = self.run();
        let real = real_now();
        *run = Run {
            anchor: real,
            at_anchor: run.at(real),
            speed,
        };
    }

    /// How long to wait, in real time, for so many simulated milliseconds: `None` while the clock stands still.
    pub(crate) fn real(&self, millis: i64) -> Option<Duration> {
        let speed = self.run().speed;
        (speed > 0.0).then(|| Duration::from_secs_f64((millis.max(0) as f64 / 1000.0 / speed).min(3600.0)))
    }
}
