//! How long a call to a driver may still take.
//!
//! The drivers bound each round trip, so a fetch of many round trips could take many times its limit. A [`Deadline`] bounds
//! the whole call.

use std::time::{Duration, Instant};

/// A call's time limit, counted from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    began: Instant,
    limit: Duration,
}

impl Deadline {
    /// Begins now.
    #[allow(
        clippy::disallowed_methods,
        reason = "measures how long a driver takes; decides nothing about a session"
    )]
    pub(crate) fn begin(limit: Duration) -> Deadline {
        Deadline {
            began: Instant::now(),
            limit,
        }
    }

    /// The time that is left; `None` when it has passed.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.limit
            .checked_sub(self.began.elapsed())
            .filter(|left| !left.is_zero())
    }

    /// The whole limit.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }
}
