//! Which of several daemons acts on a database: by a lock that the database gives to sessions.
//!
//! A daemon leads while sessions of its own hold the lock, and a session acts only while it holds the lock itself. So whatever a network
//! or a stopped process delays, a statement is carried out by a session that has the right to, or by none: the right ends with the
//! session, and with the session ends its ability to act.
//!
//! - The first session takes the lock alone (exclusive). Nobody else holds it then: this begins a **term**, and nothing of an earlier one
//!   is valid any more.
//! - From the next time on it shares the lock, so that other sessions of the same daemon can take it too. Another daemon cannot begin
//!   while any session shares it.
//! - One that joins could join somebody else's term. So it counts only if one that counts already was seen alive after it had joined.
//! - A session that answers anything but "I hold it already" has lost it, and is closed.
//!
//! This says what to ask next and what an answer means. Nothing here asks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::session::SessionKey;

/// How a session holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grip {
    /// Nobody else can hold it.
    Alone,
    /// Others of the same daemon may.
    Shared,
}

/// What a session has to ask the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockCall {
    /// To hold the lock alone, without waiting for it.
    Begin,
    /// To share a lock that it has held alone.
    Share,
    /// To share a lock that others of the same daemon hold.
    Join,
    /// Whether it still holds the lock.
    Keep,
}

/// What DBMS_LOCK answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockAnswer {
    /// 0: the session has got the lock now.
    Got,
    /// 1: somebody else holds it.
    Taken,
    /// 4: the session holds it already.
    Held,
    /// Anything else.
    Other(i64),
}

/// What follows for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Footing {
    /// It may act.
    Acts,
    /// It may not; it stays.
    Waits,
    /// It may not, and may hold a lock to which it has no right: it has to be closed.
    Closes,
}

/// Why a daemon does not lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WhyNot {
    /// It has not asked yet.
    Unasked,
    /// A session that is not its own holds the lock.
    Another,
    /// It cannot ask, and why.
    Refused(String),
}

/// Whether a daemon leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// It does.
    Leads {
        /// How often it has begun to lead.
        term: u64,
        /// Since when, by the host's monotonic clock.
        since: Duration,
    },
    /// It does not.
    StandsBy(WhyNot),
}

/// One daemon's sessions that hold the lock of a database.
#[derive(Debug)]
pub(crate) struct Leadership {
    term: u64,
    since: Duration,
    members: BTreeMap<SessionKey, Grip>,
    why_not: WhyNot,
}

impl Default for Leadership {
    fn default() -> Leadership {
        Leadership {
            term: 0,
            since: Duration::ZERO,
            members: BTreeMap::new(),
            why_not: WhyNot::Unasked,
        }
    }
}

impl Leadership {
    /// Whether the daemon leads.
    pub(crate) fn rank(&self) -> Rank {
        if self.members.is_empty() {
            Rank::StandsBy(self.why_not.clone())
        } else {
            Rank::Leads {
                term: self.term,
                since: self.since,
            }
        }
    }

    /// The term in which a session may act; `None` if it may not.
    pub(crate) fn term_of(&self, session: SessionKey) -> Option<u64> {
        self.members.contains_key(&session).then_some(self.term)
    }

    /// The sessions that count.
    pub(crate) fn members(&self) -> Vec<SessionKey> {
        self.members.keys().copied().collect()
    }

    /// What a session has to ask now; `None` if it has to wait.
    pub(crate) fn next(&self, session: SessionKey) -> Option<LockCall> {
        match self.members.get(&session) {
            Some(Grip::Alone) => Some(LockCall::Share),
            Some(Grip::Shared) => Some(LockCall::Keep),
            None if self.members.is_empty() => Some(LockCall::Begin),
            None if self.members.values().any(|grip| *grip == Grip::Alone) => None,
            None => Some(LockCall::Join),
        }
    }

    /// A session was answered. `now` is the host's monotonic clock, read after the answer.
    pub(crate) fn answered(
        &mut self,
        session: SessionKey,
        call: LockCall,
        answer: LockAnswer,
        now: Duration,
    ) -> Footing {
        match (call, answer) {
            (LockCall::Begin, LockAnswer::Got) => {
                // Nobody held it, so no earlier session of this daemon does.
                self.members = BTreeMap::from([(session, Grip::Alone)]);
                self.term += 1;
                self.since = now;
                Footing::Acts
            }
            (LockCall::Begin | LockCall::Join, LockAnswer::Taken) => {
                self.why_not = WhyNot::Another;
                Footing::Waits
            }
            (LockCall::Share | LockCall::Keep, LockAnswer::Held) => match self.members.get_mut(&session) {
                Some(grip) => {
                    if call == LockCall::Share {
                        *grip = Grip::Shared;
                    }
                    Footing::Acts
                }
                // Another session has begun a term meanwhile.
                None => Footing::Closes,
            },
            // One that joins is still to be vouched for.
            (LockCall::Join, LockAnswer::Got) => Footing::Waits,
            (LockCall::Begin | LockCall::Join, LockAnswer::Held | LockAnswer::Other(_))
            | (LockCall::Share | LockCall::Keep, LockAnswer::Got | LockAnswer::Taken | LockAnswer::Other(_)) => {
                self.ended(session);
                if self.members.is_empty() {
                    self.why_not = WhyNot::Unasked;
                }
                Footing::Closes
            }
        }
    }

    /// A session has joined, and of those that counted before it asked (`asked`) these were seen alive after it had the lock (`alive`).
    pub(crate) fn vouched(&mut self, session: SessionKey, asked: &[SessionKey], alive: &[SessionKey]) -> Footing {
        let shares = |key: &SessionKey| asked.contains(key) && self.members.get(key) == Some(&Grip::Shared);
        let is_vouched_for = alive.iter().any(shares);
        for gone in asked.iter().filter(|key| !alive.contains(key)) {
            self.members.remove(gone);
        }
        if is_vouched_for {
            self.members.insert(session, Grip::Shared);
            Footing::Acts
        } else {
            Footing::Closes
        }
    }

    /// A session could not ask, and why; it is not known any more whether it holds the lock.
    pub(crate) fn failed(&mut self, session: SessionKey, why: &str) {
        self.ended(session);
        if self.members.is_empty() {
            self.why_not = WhyNot::Refused(why.to_owned());
        }
    }

    /// A session's connection is closed or lost.
    pub(crate) fn ended(&mut self, session: SessionKey) {
        self.members.remove(&session);
        if self.members.is_empty() && self.why_not == WhyNot::Another {
            self.why_not = WhyNot::Unasked;
        }
    }
}

#[cfg(test)]
mod tests;
