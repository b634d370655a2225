//! A watcher that compares what the daemon reports with the state of the simulated database, and passes it on.

use std::sync::Arc;
use std::time::Duration;

use orareaper::daemon::database::{CycleView, Watcher};
use orareaper::daemon::pause::{Pause, Switch};
use orareaper::daemon::standby::ConnectionState;
use orareaper::daemon::watcher::EventWatcher;
use orareaper::decide::verify::Proof;
use orareaper::oracle::Error;

use super::steps::{Shared, lock};

/// Holds what the daemon says against the truth, and passes it on to the daemon's own watcher.
pub(crate) struct Spy {
    pub(crate) inner: EventWatcher,
    pub(crate) truth: Shared,
    pub(crate) switch: Arc<Switch>,
}

impl Watcher for Spy {
    fn cycle(&mut self, view: &CycleView<'_>) {
        for verification in &view.cycle.verified {
            if verification.proof == Proof::Gone {
                lock(&self.truth).is_gone(verification.key);
            }
        }
        // From the first complete snapshot on, also after a crash: whoever is not in it is not waited for any longer.
        let snapshot = &view.polled.snapshot;
        let all_known = (0..snapshot.rows()).all(|row| snapshot.key(row).is_some());
        for (key, followed) in view.memory.following.iter() {
            let is_gone = all_known && snapshot.is_complete(key.inst_id) && snapshot.find(*key).is_none();
            assert!(!is_gone, "{key} is gone and not verified: {followed:?}");
        }
        for warrant in &view.cycle.ruling.warrants {
            let inst_id = warrant.key().inst_id;
            assert!(
                view.polled.snapshot.is_complete(inst_id),
                "instance {inst_id} was not read"
            );
        }
        self.inner.cycle(view);
    }

    fn unreadable(&mut self, database: &str, error: &Error, again_in: Option<Duration>) {
        self.inner.unreadable(database, error, again_in);
    }

    fn hangs(&mut self, database: &str, error: &Error) {
        self.inner.hangs(database, error);
    }

    fn stepped(&mut self, database: &str, step: orareaper::decide::clocks::ClockStep) {
        self.inner.stepped(database, step);
    }

    fn unsupported(&mut self, database: &str, policy: &str, why: &str) {
        self.inner.unsupported(database, policy, why);
    }

    fn done(&mut self, database: &str, done: &orareaper::decide::cycle::Done) {
        self.inner.done(database, done);
    }

    fn acting_goes_on(&mut self, database: &str) {
        self.inner.acting_goes_on(database);
    }

    fn acting_stopped(&mut self, database: &str, why: &str) {
        self.inner.acting_stopped(database, why);
    }

    fn helper_failed(&mut self, database: &str, error: &Error) {
        self.inner.helper_failed(database, error);
    }

    fn hanging(&mut self, database: &str, connections: usize) {
        self.inner.hanging(database, connections);
    }

    fn standing(&mut self, database: &str, places: &[ConnectionState]) {
        self.inner.standing(database, places);
    }

    fn alive(&mut self, database: &str) {
        self.inner.alive(database);
    }

    fn paused(&mut self) -> Option<Pause> {
        // The daemon's own loop is told by a thread that looks all the time.
        self.switch.look();
        self.inner.paused()
    }
}
