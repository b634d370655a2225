//! How long to wait before a database is tried again.
//!
//! Longer each time, with a bound. Jitter, so that a daemon with twenty databases behind one listener does not knock at all
//! of them at once, comes from the attempt's own number: it needs no randomness, only that databases drift apart.

use std::time::Duration;

use crate::oracle::{Class, Retry};

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(300);

/// What is remembered between attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure; the pause before the next attempt, `None` when there must be none until a person has acted.
    pub fn after(&mut self, class: Class, poll: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        match class.retry() {
            Retry::Never => None,
            Retry::Slowly => Some(LONGEST),
            Retry::Reconnect if self.failures == 1 => Some(Duration::from_millis(250)),
            Retry::Backoff | Retry::Reconnect => {
                let doubled = poll
                    .saturating_mul(1 << self.failures.saturating_sub(1).min(10))
                    .min(LONGEST);
                let jitter = doubled.mul_f64(f64::from(self.failures.wrapping_mul(2_654_435_761) >> 24) / 256.0 / 5.0);
                Some(doubled + jitter)
            }
            Retry::NextCycle => Some(poll),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_account_is_never_tried_again_by_itself() {
        assert_eq!(Backoff::default().after(Class::Auth, Duration::from_secs(15)), None);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_a_lost_connection_is_tried_at_once() {
        let poll = Duration::from_secs(15);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after(Class::Reconnect, poll), Some(Duration::from_millis(250)));
        let pauses: Vec<Duration> = (0..20).filter_map(|_| backoff.after(Class::Backoff, poll)).collect();
        assert_eq!(pauses.len(), 20);
        assert!(pauses[0] >= Duration::from_secs(30) && pauses[0] <= Duration::from_secs(36));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST.mul_f64(1.2)));
    }
}
