//! A statement that was refused for a reason that holds for every session of the database: a missing grant, the used-up budget of the
//! guard package. Each further one would be refused as well, so no policy tries another for some minutes. What the database said
//! is shown until a statement gets through.

use crate::checks::Check;
use crate::clock::Monotonic;
use crate::decide::cycle::Done;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Hindrance;
use crate::decide::standstill::Standstill;

/// The refusal of the last statement, if it was refused so.
#[derive(Debug, Default)]
pub(super) struct LastRefusal(Option<RefusedStatement>);

#[derive(Debug)]
struct RefusedStatement {
    /// What was found, with its remedy.
    check: Check,
    /// No policy tries again before.
    until: Monotonic,
}

impl LastRefusal {
    /// Takes note of what a statement of a policy or an operator met. After a refusal no policy tries again before `until`; returns
    /// why everything that has not begun is to be revoked.
    pub(super) fn learn_from(&mut self, done: &Done, until: impl FnOnce() -> Monotonic) -> Option<Standstill> {
        if done.mode != RunMode::Enforce || !done.sent {
            return None;
        }
        let Some(Hindrance::Database(check)) = &done.hindrance else {
            self.0 = None;
            return None;
        };
        let (check, until) = ((**check).clone(), until());
        let why = Standstill::Refused(check.to_string());
        self.0 = Some(RefusedStatement { check, until });
        Some(why)
    }

    /// After a reload another statement may be tried.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// What was found.
    pub(super) fn check(&self) -> Option<&Check> {
        self.0.as_ref().map(|refused| &refused.check)
    }

    /// Why no policy may act.
    pub(super) fn standstill(&self, now: Monotonic) -> Option<Standstill> {
        let refused = self.0.as_ref()?;
        (now < refused.until).then(|| Standstill::Refused(refused.check.to_string()))
    }
}
