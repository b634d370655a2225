//! What a database's threads are at: whether one reads, whether those that act go on, and what stopped them. Calls into a driver
//! have limits, which a client library can fail to keep.

use std::time::Duration;

use crate::clock::Monotonic;

/// What stopped acting, as far as it was told and is not over.
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
    /// For so long that it was told.
    Hanging,
}

/// Orders that a thread that acts has not answered.
#[derive(Debug, Default)]
pub(super) struct Orders {
    open: usize,
    /// When it last showed that it goes on.
    since: Monotonic,
    /// That it does not was told.
    told: bool,
}

impl Orders {
    /// It was given one more.
    pub(super) fn given(&mut self, now: Monotonic) {
        if self.open == 0 {
            self.since = now;
        }
        self.open += 1;
    }

    /// It told something, which answers an order or not.
    pub(super) fn goes_on(&mut self, answers: bool, now: Monotonic) {
        *self = Orders {
            open: self.open.saturating_sub(usize::from(answers)),
            since: now,
            told: false,
        };
    }

    /// For how long it has told nothing although it should have, once.
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

    /// Whether that was told, and it has not come back since.
    pub(super) fn are_lost(&self) -> bool {
        self.told
    }
}
