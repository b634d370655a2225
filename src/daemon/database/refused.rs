//! A statement that was refused for a reason that holds for every session of the database: a missing grant, the used-up budget of the
//! guard package. Each further one would be refused as well, so no policy tries another for some minutes. What the database said
//! is shown until a statement gets through.

use crate::checks::Check;
use crate::clock::Monotonic;
use crate::daemon::database::DatabaseLoop;
use crate::decide::cycle::Done;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Hindrance;
use crate::decide::standstill::Standstill;
use crate::oracle::Class;

/// The refusal.
#[derive(Debug)]
pub(super) struct RefusedStatement {
    /// What was found, with its remedy.
    pub(super) check: Check,
    /// No policy tries again before.
    until: Monotonic,
}

impl DatabaseLoop {
    /// Takes note of what a statement of a policy or an operator met.
    pub(super) fn learn_from(&mut self, done: &Done) {
        if done.mode != RunMode::Enforce || !done.sent {
            return;
        }
        let Some(Hindrance::Database(check)) = &done.hindrance else {
            self.refused = None;
            return;
        };
        let pause = self.acting_backoff.after(Class::Config, self.settings.poll);
        let until = self.clock.now().plus(pause.unwrap_or(self.settings.poll));
        self.refused = Some(RefusedStatement {
            check: (**check).clone(),
            until,
        });
        self.revoke(&Standstill::Refused(check.to_string()).to_string());
    }

    /// Why no policy may act, because of the last refusal.
    pub(super) fn is_refused(&self) -> Option<Standstill> {
        let refused = self.refused.as_ref()?;
        (self.clock.now() < refused.until).then(|| Standstill::Refused(refused.check.to_string()))
    }
}
