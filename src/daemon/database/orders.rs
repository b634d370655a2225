//! The state of a database's threads: whether a snapshot is being read, whether an acting thread hangs, and what stopped acting.
//! Driver calls have limits, but a client library can fail to keep them.

use std::time::Duration;

use crate::clock::Monotonic;

/// What has stopped acting, if it was reported and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The journal.
    Journal,
    /// No connection.
    Connection,
}

/// Whether a snapshot is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polling {
    /// No.
    Idle,
    /// Since then.
    Since(Monotonic),
    /// For so long that it was reported.
    Hanging,
}

/// Orders that an acting thread has not answered.
#[derive(Debug, Default)]
pub(super) struct Orders {
    open: usize,
    /// Its last sign of life.
    since: Monotonic,
    /// Whether it was reported as hanging.
    told: bool,
}

impl Orders {
    /// Adds an order.
    pub(super) fn given(&mut self, now: Monotonic) {
        if self.open == 0 {
            self.since = now;
        }
        self.open += 1;
    }

    /// Notes a message of the thread, and whether it answers an order.
    pub(super) fn goes_on(&mut self, answers: bool, now: Monotonic) {
        *self = Orders {
            open: self.open.saturating_sub(usize::from(answers)),
            since: now,
            told: false,
        };
    }

    /// How long the thread has been silent beyond `patience`; reported once.
    pub(super) fn hangs(&mut self, now: Monotonic, patience: Duration) -> Option<Duration> {
        let taken = now.since(self.since);
        let hangs = self.open > 0 && !self.told && taken > patience;
        self.told |= hangs;
        hangs.then_some(taken)
    }

    /// Whether there are any.
    pub(super) fn are_open(&self) -> bool {
        self.open > 0
    }

    /// Whether it was reported as hanging and has been silent since.
    pub(super) fn are_lost(&self) -> bool {
        self.told
    }
}
