//! `orareaper_notifications_total`: what came of the notifications of each receiver.

use prometheus::core::Atomic as _;

use crate::metrics::Metrics;
use crate::words::words;

words! {
    /// What came of a notification.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NoticeResult {
        /// The receiver took it.
        Sent = "sent",
        /// The receiver refused it, or another attempt cannot help.
        Refused = "refused",
        /// No attempt within `give_up` succeeded.
        Failed = "failed",
        /// The queue was full, or the daemon ended before it was sent.
        Dropped = "dropped",
        /// There were too many within a minute, so it was counted in a message about all of them.
        Collected = "collected",
    }
}

impl Metrics {
    /// Sets the receivers. Their counters begin at zero, so that `increase()` sees the first failure; those of others go.
    pub fn receivers(&self, names: &[&str]) {
        self.notifications.retain(|[receiver, _]| names.contains(&receiver));
        for name in names {
            for result in NoticeResult::ALL {
                self.notifications.with([name, result.name()]);
            }
        }
    }

    /// Counts notifications of a receiver.
    pub(crate) fn notified(&self, receiver: &str, result: NoticeResult, count: u64) {
        self.notifications.with([receiver, result.name()]).inc_by(count);
    }
}
