//! Who leads, as all threads of a database know it, and how a connection that acts asks.
//!
//! What an answer means is [`crate::decide::leadership`]'s to say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::decide::leadership::{Footing, Leadership, LockAnswer, LockCall, Rank};
use crate::oracle::capabilities::Capabilities;
use crate::oracle::leader::{answer, explained, question, seen_alive};
use crate::oracle::{ActingConnection, Class, LeaderLock};
use crate::session::SessionKey;

/// The lock by which one of several daemons leads a database, and which of this daemon's sessions hold it.
#[derive(Clone, Debug)]
pub struct Leader {
    pub(crate) lock: LeaderLock,
    known: Arc<Mutex<Leadership>>,
}

/// A session's part in it, for as long as its connection is kept.
#[derive(Debug)]
pub(crate) struct Membership {
    leader: Leader,
    session: SessionKey,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leader.known().ended(self.session);
    }
}

impl Leader {
    /// One that has not asked yet.
    #[must_use]
    pub fn new(lock: LeaderLock) -> Leader {
        Leader {
            lock,
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Leadership> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same sessions, where it is the same lock.
    #[must_use]
    pub(crate) fn or_before(self, before: Option<&Leader>) -> Leader {
        before
            .filter(|before| before.lock == self.lock)
            .cloned()
            .unwrap_or(self)
    }

    /// Whether both know of the same sessions.
    #[must_use]
    pub(crate) fn is(&self, other: &Leader) -> bool {
        Arc::ptr_eq(&self.known, &other.known)
    }

    /// Whether this daemon leads.
    #[must_use]
    pub(crate) fn rank(&self) -> Rank {
        self.known().rank()
    }

    /// The term in which a session may act.
    #[must_use]
    pub(crate) fn term_of(&self, session: SessionKey) -> Option<u64> {
        self.known().term_of(session)
    }

    /// A new connection's session.
    #[must_use]
    pub(crate) fn member(&self, session: SessionKey) -> Membership {
        Membership {
            leader: self.clone(),
            session,
        }
    }

    /// Asks over a connection whether its session holds the lock, or may have it. Right before it acts it only asks.
    pub(crate) fn ask(
        &self,
        connection: &mut dyn ActingConnection,
        capabilities: &Capabilities,
        (acts, limit): (bool, Duration),
        clock: &dyn Clock,
    ) -> Footing {
        let session = capabilities.own;
        let (next, asked) = {
            let known = self.known();
            (known.next(session), known.members())
        };
        let call = match next {
            None => return Footing::Waits,
            Some(LockCall::Share) if acts => LockCall::Keep,
            Some(call) => call,
        };
        let database = &connection.identity().database;
        let tried = format!("ask for lock {}, by which one daemon leads {database}", self.lock);
        let answered = connection
            .ask(&question(call, self.lock), limit)
            .and_then(|said| answer(&said, &tried));
        let now = clock.now().since(Monotonic::default());
        match answered {
            Err(error) => {
                self.known().failed(session, &explained(&error, capabilities.grantee()));
                // A call that the database refused has given nothing.
                let never_had = matches!(call, LockCall::Begin | LockCall::Join) && error.class == Class::Config;
                if never_had { Footing::Waits } else { Footing::Closes }
            }
            Ok(answer) => {
                let footing = self.known().answered(session, call, answer, now);
                if (call, answer) == (LockCall::Join, LockAnswer::Got) {
                    let alive = seen_alive(connection, &asked, limit).unwrap_or_default();
                    return self.known().vouched(session, &asked, &alive);
                }
                footing
            }
        }
    }
}

#[cfg(test)]
impl Leader {
    /// As if this session had got the lock alone then.
    pub(crate) fn has_got(&self, session: SessionKey, at: Duration) {
        self.known().answered(session, LockCall::Begin, LockAnswer::Got, at);
    }
}
