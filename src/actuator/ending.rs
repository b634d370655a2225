//! Sessions that actions on one database are ending, shared by all its acting threads.
//!
//! Floors and gates are checked again right before an action, and several threads act at once: two that see the same four sessions
//! must not both end one where three have to stay. So a thread counts the sessions that others have begun to end as gone, and
//! enters its own in the same step. An entry stays until the database's loop follows the session or knows that it was spared.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decide::going::Going;
use crate::decide::reason::Lapse;

/// All sessions that are being ended.
#[derive(Debug, Default)]
pub struct Ending(Mutex<SessionsEnding>);

#[derive(Debug, Default)]
struct SessionsEnding {
    /// Actions that have ended, whose sessions are not known to be gone.
    followed: Vec<Going>,
    /// Actions under way.
    begun: Vec<Going>,
}

impl SessionsEnding {
    fn all(&self) -> Vec<Going> {
        self.followed.iter().chain(&self.begun).cloned().collect()
    }
}

impl Ending {
    fn lock(&self) -> MutexGuard<'_, SessionsEnding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that are being ended now; call it before the sessions are read.
    #[must_use]
    pub(crate) fn now(&self) -> Vec<Going> {
        self.lock().all()
    }

    /// Enters a session that is about to be ended, unless `stopped` objects, given all sessions that are being ended; these are
    /// returned. `before` is [`Self::now`] from before the sessions were read: a session that ended since then was still read as live.
    ///
    /// # Errors
    /// What `stopped` objects.
    pub(crate) fn begin(
        &self,
        going: Going,
        before: Vec<Going>,
        stopped: impl FnOnce(&[Going]) -> Option<Lapse>,
    ) -> Result<Vec<Going>, Lapse> {
        let mut inner = self.lock();
        let mut counted = inner.all();
        counted.extend(before);
        if let Some(lapse) = stopped(&counted) {
            return Err(lapse);
        }
        inner.begun.push(going);
        Ok(counted)
    }

    /// Replaces what is followed.
    pub(crate) fn follow(&self, followed: Vec<Going>) {
        self.lock().followed = followed;
    }

    /// Removes an action that has ended. If its session is followed, [`Self::follow`] was called before.
    pub(crate) fn ended(&self, ended: &Going) {
        self.lock().begun.retain(|begun| begun != ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::in_force::RunMode;
    use crate::session::SessionKey;
    use crate::session::time::DbTime;

    fn going(sid: u32) -> Going {
        Going {
            key: SessionKey {
                inst_id: 1,
                sid,
                serial: 1,
                logon_time: DbTime(0),
            },
            mode: RunMode::Enforce,
            policy: "idle".into(),
        }
    }

    /// Permits while more than three of four are left.
    fn floor(counted: &[Going]) -> Option<Lapse> {
        (!counted.is_empty()).then_some(Lapse::Used)
    }

    #[test]
    fn two_that_have_read_the_same_sessions_do_not_both_begin() {
        let ending = Ending::default();
        let (one, other) = (ending.now(), ending.now());
        assert_eq!(ending.begin(going(1), one, floor), Ok(Vec::new()));
        assert_eq!(ending.begin(going(2), other, floor), Err(Lapse::Used));
        assert_eq!(ending.now(), [going(1)], "who is stopped is not entered");
    }

    #[test]
    fn who_is_spared_is_there_again_and_who_is_ended_is_counted_until_a_snapshot_says_otherwise() {
        let ending = Ending::default();
        assert_eq!(ending.begin(going(1), Vec::new(), floor), Ok(Vec::new()));
        ending.ended(&going(1));
        let read_before = ending.now();
        assert_eq!(
            ending.begin(going(2), read_before, floor),
            Ok(Vec::new()),
            "nobody is being ended"
        );
        ending.follow(vec![going(2)]);
        ending.ended(&going(2));
        let read_before = ending.now();
        ending.follow(Vec::new());
        assert!(
            ending.begin(going(3), read_before, floor).is_err(),
            "it was there when the sessions were read"
        );
        assert_eq!(ending.begin(going(3), ending.now(), floor), Ok(Vec::new()));
    }
}
