//! Actions of which the journal does not say that they have ended, by session.

use std::collections::BTreeMap;

use crate::decide::cycle::Done;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::verify::{FollowState, Following};
use crate::session::SessionKey;

/// For each session its newest action, behind the newest accepted one where nobody knows whether the newest was sent.
#[derive(Debug, Default)]
pub(super) struct OpenActions(BTreeMap<SessionKey, Vec<(Done, FollowState)>>);

impl OpenActions {
    /// Whether a real action on the session is open.
    pub(super) fn has_real(&self, key: SessionKey) -> bool {
        let newest = self.0.get(&key).and_then(|open| open.last());
        newest.is_some_and(|(done, _)| done.mode == RunMode::Enforce)
    }

    /// An action that has not ended takes the place of earlier ones, as [`Following::follow`] has it.
    pub(super) fn begin(&mut self, done: Done, state: FollowState) {
        let open = self.0.entry(done.key).or_default();
        open.retain(|(earlier, _)| is_in_force(earlier) && done.outcome == Outcome::Unknown);
        open.push((done, state));
    }

    /// An action on the session has ended it, or was followed to its end.
    pub(super) fn end(&mut self, key: SessionKey) {
        self.0.remove(&key);
    }

    /// A snapshot has shown that the newest action on the session was not sent: an accepted one before it is in force.
    pub(super) fn not_sent(&mut self, key: SessionKey) {
        if let Some(open) = self.0.get_mut(&key) {
            open.retain(|(earlier, _)| is_in_force(earlier));
        }
    }

    /// Has all of them followed.
    pub(super) fn follow(self, following: &mut Following) {
        for (done, state) in self.0.into_values().flatten() {
            following.follow(done.key, done.followed(state));
        }
    }
}

/// Whether it goes on where a later action on the session turns out not to have been sent.
fn is_in_force(done: &Done) -> bool {
    done.is_accepted() && done.mode == RunMode::Enforce
}
