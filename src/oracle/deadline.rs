//! How long a call to a driver may still take.
//!
//! The drivers bound each round trip on its own, so a fetch in many round trips could take as many times its limit. This
//! is the watch that bounds the whole call.

use std::time::{Duration, Instant};

/// A call's time limit, from when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    began: Instant,
    limit: Duration,
}

impl Deadline {
    /// Starts the watch.
    #[allow(
        clippy::disallowed_methods,
        reason = "measures how long a driver takes; decides nothing about a session"
    )]
    pub(super) fn begin(limit: Duration) -> Deadline {
        Deadline {
            began: Instant::now(),
            limit,
        }
    }

    /// What is left of it; `None` when it has passed.
    pub(super) fn left(&self) -> Option<Duration> {
        self.limit
            .checked_sub(self.began.elapsed())
            .filter(|left| !left.is_zero())
    }

    /// The whole of it.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }
}
