//! How many messages a receiver gets in a minute. What is beyond is not sent but counted, and the counts make one message when
//! the minute is over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::config::{NoticeKind, NoticeSeverity};
use crate::notify::notice::CollectedCount;

const MINUTE: Duration = Duration::from_secs(60);

/// The current minute of a receiver. It begins with a message.
#[derive(Debug, Default)]
pub(crate) struct RateWindow {
    began: Option<Monotonic>,
    sent: u32,
    collected: BTreeMap<(NoticeSeverity, NoticeKind), u64>,
}

impl RateWindow {
    /// Whether one more may be sent; if not, it is counted. What is critical may be twice as many: a flood of other messages must not
    /// keep it back.
    pub(crate) fn admits(&mut self, now: Monotonic, most: u32, (kind, severity): (NoticeKind, NoticeSeverity)) -> bool {
        if self.began.is_none_or(|began| now.since(began) >= MINUTE) && self.collected.is_empty() {
            (self.began, self.sent) = (Some(now), 0);
        }
        let most = match severity {
            NoticeSeverity::Critical => most.saturating_mul(2),
            NoticeSeverity::Info | NoticeSeverity::Warning => most,
        };
        if self.sent < most {
            self.sent += 1;
            return true;
        }
        *self.collected.entry((severity, kind)).or_default() += 1;
        false
    }

    /// When the counts are due; `None` if there are none.
    pub(crate) fn due(&self) -> Option<Monotonic> {
        let began = self.began.filter(|_| !self.collected.is_empty())?;
        Some(began.plus(MINUTE))
    }

    /// The counts, the most urgent first. A new minute begins, with the one message that they make.
    pub(crate) fn take(&mut self, now: Monotonic) -> Vec<CollectedCount> {
        (self.began, self.sent) = (Some(now), 1);
        let collected = std::mem::take(&mut self.collected).into_iter().rev();
        collected
            .map(|((severity, kind), count)| CollectedCount { kind, severity, count })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILL: (NoticeKind, NoticeSeverity) = (NoticeKind::Outcome, NoticeSeverity::Info);
    const DOWN: (NoticeKind, NoticeSeverity) = (NoticeKind::Database, NoticeSeverity::Critical);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::at(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_too_many_in_a_minute_is_counted_and_told_when_it_is_over() {
        let mut rate = RateWindow::default();
        let admitted = (0..5).filter(|second| rate.admits(at(*second), 2, KILL)).count();
        assert_eq!(admitted, 2);
        assert_eq!(rate.due(), Some(at(60)));
        // Not before the counts are told, or they would be of several minutes.
        assert!(!rate.admits(at(61), 2, KILL));
        let counts = rate.take(at(61));
        assert_eq!(
            counts.iter().map(|one| (one.kind, one.count)).collect::<Vec<_>>(),
            [(NoticeKind::Outcome, 4)]
        );
        assert_eq!(rate.due(), None);
        assert!(rate.admits(at(62), 2, KILL), "one besides the counts");
        assert!(!rate.admits(at(63), 2, KILL));
    }

    #[test]
    fn a_minute_without_surplus_ends_by_itself() {
        let mut rate = RateWindow::default();
        assert!(rate.admits(at(0), 1, KILL));
        assert!(rate.admits(at(60), 1, KILL));
        assert!(!rate.admits(at(119), 1, KILL));
    }

    #[test]
    fn a_flood_does_not_keep_back_what_is_critical_up_to_twice_as_many() {
        let mut rate = RateWindow::default();
        for _ in 0..10 {
            rate.admits(at(0), 3, KILL);
        }
        let admitted = (0..10).filter(|_| rate.admits(at(1), 3, DOWN)).count();
        assert_eq!(admitted, 3);
        let counts = rate.take(at(60));
        let told: Vec<_> = counts.iter().map(|one| (one.severity, one.count)).collect();
        assert_eq!(told, [(NoticeSeverity::Critical, 7), (NoticeSeverity::Info, 7)]);
    }
}
