//! How long to wait before a database is tried again.
//!
//! Pauses grow up to a maximum and differ between databases, so that a daemon with twenty databases behind one listener does not
//! try all of them at once. The difference comes from the database's name and the number of the attempt, without randomness.

use std::time::Duration;

use crate::oracle::{Class, Retry};

/// The longest pause, without the spread.
const LONGEST: Duration = Duration::from_secs(300);

/// A pause is lengthened by at most this share.
const SPREAD: f64 = 0.25;

/// The state between attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    /// Differs between databases.
    seed: u64,
}

impl Backoff {
    /// For the database of this name.
    #[must_use]
    pub(crate) fn of(database: &str) -> Backoff {
        // FNV-1a: names that differ in one letter differ in all bits of the sum.
        let seed = database.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |so_far, byte| {
            (so_far ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Backoff { failures: 0, seed }
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns the pause before the next attempt; `None` if there must be none until a person acts.
    pub(crate) fn after(&mut self, class: Class, poll: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        match class.retry() {
            Retry::Never => None,
            Retry::Slowly => Some(self.spread(LONGEST)),
            Retry::Reconnect if self.failures == 1 => Some(self.spread(Duration::from_millis(250))),
            Retry::Backoff | Retry::Reconnect => {
                let doubled = poll.saturating_mul(1 << self.failures.saturating_sub(1).min(10));
                Some(self.spread(doubled.min(LONGEST)))
            }
            Retry::NextCycle => Some(poll),
        }
    }

    /// The pause, lengthened by this database's share for this attempt.
    fn spread(&self, pause: Duration) -> Duration {
        let mixed = (self.seed ^ u64::from(self.failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let share = f64::from(u32::try_from(mixed >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        pause + pause.mul_f64(share * SPREAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_account_is_never_tried_again_by_itself() {
        assert_eq!(Backoff::of("prod").after(Class::Auth, Duration::from_secs(15)), None);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_a_lost_connection_is_tried_at_once() {
        let poll = Duration::from_secs(15);
        let mut backoff = Backoff::of("prod");
        let first = backoff.after(Class::Reconnect, poll).expect("it is tried again");
        assert!(
            first >= Duration::from_millis(250) && first <= Duration::from_millis(313),
            "{first:?}"
        );
        let pauses: Vec<Duration> = (0..20).filter_map(|_| backoff.after(Class::Backoff, poll)).collect();
        assert_eq!(pauses.len(), 20);
        assert!(pauses[0] >= Duration::from_secs(30) && pauses[0] <= Duration::from_millis(37_500));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST.mul_f64(1.0 + SPREAD)));
    }

    #[test]
    fn databases_that_went_down_together_are_not_tried_together() {
        let poll = Duration::from_secs(15);
        for class in [Class::Backoff, Class::Config] {
            let mut pauses: Vec<Duration> = (1..=20)
                .filter_map(|number| Backoff::of(&format!("db{number}")).after(class, poll))
                .collect();
            pauses.sort_unstable();
            let (first, last) = (pauses[0], pauses[pauses.len() - 1]);
            assert!(
                last - first >= first.mul_f64(0.15),
                "{class}: within {:?}",
                last - first
            );
            // Twenty within a quarter of the pause: no half of them at once.
            let crowded = pauses.windows(10).any(|ten| ten[9] - ten[0] < first.mul_f64(0.02));
            assert!(!crowded, "{class}: {pauses:?}");
        }
    }
}
