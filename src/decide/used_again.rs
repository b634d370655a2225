//! Evidence before a policy is armed: what became of the sessions that a dry run would have ended.
//!
//! Such a session lives on, so it can be watched. It was **used again** if it then made a call: LAST_CALL_ET falls, STATUS changes,
//! or SQL_ID becomes another one. Ending it would have been felt. It was **not used** (`ended` in the journal) if it ended
//! without one. Until then it is still watched. The daemon, `replay`, and every report and metric go by this file.
//!
//! A dry run takes a session once, so each counts once for a policy. Where one is taken again all the same (after a restart, or by a
//! curve), that adds nothing while it is still watched, and counts once more after it was used: its client would have felt both.
//!
//! What this cannot tell:
//! - **What lies between two polls.** A session that is called and ends between two polls counts as not used, and so does a
//!   session whose last call is its logoff. "After" is exact for a call as far as LAST_CALL_ET is; the end of a session is known to
//!   the poll interval.
//! - **A session that was idle for less than a poll interval.** A call after which LAST_CALL_ET is no smaller than before is not seen,
//!   unless STATUS or SQL_ID differ. After a pause of the daemon LAST_CALL_ET is compared with the time that passed, less ten minutes.
//! - **Whether a call mattered.** A pool that validates a connection makes a call as well. A call that ran no statement, or for a
//!   second or so the one that had run before, outside of a transaction, is shown apart, where PREV_SQL_ID and PREV_EXEC_START were
//!   read; it counts as used again all the same, because a client that always runs the same statement looks no different. A pool
//!   that validates right after each use hides the use behind the validation.
//! - **Whom somebody else ends.** A session that is seen KILLED, is SNIPED by its profile, or that another policy really acts on, tells
//!   nothing any more: it is lost. So is one of an instance that is not read for a day, and one beyond [`MOST_WATCHED`]. One that was
//!   killed and went between two polls cannot be told from one whose client logged off.
//! - **What happens while nobody watches.** A session that is gone after a gap, as holds know it (the daemon was down, polls failed, the
//!   clock was set), or after snapshots in which its instance was not read, may have been used meanwhile: it is lost. One that is still
//!   there shows its calls in LAST_CALL_ET.
//! - **An active session.** Its STATUS changes when its call ends. For a policy that takes sessions in a call, used again says no more
//!   than that the call had not ended: ending such a session is always felt.
//!
//! A value that was not read tells nothing, neither a use nor its absence.

mod signs;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::ledger::later;
use crate::decide::refill::ClientGroup;
use crate::decide::verify::may_be_there;
use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;
use crate::session::time::DbTime;

pub(crate) use signs::{CallSigns, SeenCall};
pub(crate) use tally::STEPS;
pub use tally::{AfterTimes, Afterwards, PolicyRehearsal, RehearsalTally};

/// The most sessions that are watched, each counted for each policy; further ones are lost.
const MOST_WATCHED: usize = 20_000;

/// The most groups, each counted for each policy; further ones are one group.
const MOST_GROUPS: usize = 2_000;

/// How long a session of an instance that is not read is watched.
const UNREAD_FOR: TimeDelta = TimeDelta::hours(24);

/// What became of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aftermath {
    /// The journal's number of the action that a dry run assumed.
    pub action_id: u64,
    /// The policy.
    pub policy: Arc<str>,
    /// The session.
    pub key: SessionKey,
    /// What became of it.
    pub afterwards: Afterwards,
    /// How long after the action.
    pub after: TimeDelta,
    /// Whether it had been validated before, and so counted as used again already.
    pub was_validated: bool,
}

/// A session that a dry run would have ended and that is watched.
#[derive(Clone, Debug)]
struct Rehearsed {
    action_id: u64,
    /// Its group, machines by their class.
    who: ClientGroup,
    since: DateTime<Utc>,
    seen: Option<CallSigns<'static>>,
    /// After which time it was validated.
    validated: Option<TimeDelta>,
    /// Something else really acts on it.
    taken: bool,
    /// Since it was seen last there was a gap, or a snapshot that did not tell whether it is there.
    unwatched: bool,
}

impl Rehearsed {
    /// What became of it by this snapshot; `None` if it has to be watched further. `unbroken`: there was no gap before the snapshot.
    fn look(
        &mut self,
        key: SessionKey,
        snapshot: &Snapshot,
        (now, unbroken): (DateTime<Utc>, bool),
    ) -> Option<(Afterwards, TimeDelta)> {
        // A time in the future came from a clock that ran ahead.
        self.since = self.since.min(now);
        let after = now - self.since;
        if self.taken {
            return Some((Afterwards::Lost, after));
        }
        self.unwatched |= !unbroken;
        let row = snapshot.shows(key).then(|| snapshot.find(key));
        match row {
            Some(Some(row)) => {
                self.unwatched = false;
                self.look_at(&CallSigns::of(snapshot, row, now))
            }
            Some(None) if !may_be_there(key, snapshot) => {
                let afterwards = if self.unwatched {
                    Afterwards::Lost
                } else {
                    Afterwards::Ended
                };
                Some((afterwards, after))
            }
            Some(None) | None => {
                self.unwatched = true;
                let seen = self.seen.as_ref().map_or(self.since, |seen| seen.at);
                (now - seen >= UNREAD_FOR).then_some((Afterwards::Lost, after))
            }
        }
    }

    fn look_at(&mut self, signs: &CallSigns<'_>) -> Option<(Afterwards, TimeDelta)> {
        let before = self.seen.get_or_insert_with(|| signs.clone().into_owned());
        let call = signs.call_since(before);
        let taken = signs.was_taken_since(before);
        let called = signs.last_call_after(before.at.max(self.since)) - self.since;
        before.replace_by(signs);
        if taken {
            return Some((Afterwards::Lost, signs.at - self.since));
        }
        match call? {
            SeenCall::Other => Some((Afterwards::UsedAgain, called)),
            SeenCall::Validation if self.validated.is_some() => None,
            SeenCall::Validation => Some((Afterwards::Validated, called)),
        }
    }
}

/// One database's memory of the sessions that dry runs would have ended.
#[derive(Clone, Debug, Default)]
pub struct Rehearsals {
    watched: BTreeMap<(Arc<str>, SessionKey), Rehearsed>,
    /// What became of the others since the daemon started.
    told: BTreeMap<(Arc<str>, ClientGroup), RehearsalTally>,
}

/// A session that a dry run would have ended, as it was then.
#[derive(Clone, Debug)]
pub(crate) struct WouldHaveEnded {
    pub(crate) action_id: u64,
    pub(crate) policy: Arc<str>,
    pub(crate) key: SessionKey,
    pub(crate) who: ClientGroup,
    pub(crate) at: DateTime<Utc>,
    pub(crate) seen: Option<CallSigns<'static>>,
}

/// Distinguishes, among what was recorded, a session that a dry run would have ended from one that it took again while it was still
/// watched.
#[derive(Debug)]
pub(crate) struct KnownRehearsals<K>(BTreeMap<K, DateTime<Utc>>);

impl<K> Default for KnownRehearsals<K> {
    fn default() -> Self {
        KnownRehearsals(BTreeMap::new())
    }
}

impl<K: Ord> KnownRehearsals<K> {
    /// Whether a session was not watched when it was taken. `of` is the policy and the session; `became` what is known of it. The
    /// oldest comes first.
    pub(crate) fn is_new(&mut self, of: K, at: DateTime<Utc>, became: Option<(Afterwards, TimeDelta)>) -> bool {
        if self.0.get(&of).is_some_and(|until| at < *until) {
            return false;
        }
        let until = match became {
            None | Some((Afterwards::Validated, _)) => DateTime::<Utc>::MAX_UTC,
            Some((Afterwards::UsedAgain | Afterwards::Ended | Afterwards::Lost, after)) => later(at, after),
        };
        self.0.insert(of, until);
        true
    }
}

impl Rehearsals {
    /// Watches a session from now on, unless it is watched for this policy already.
    pub(crate) fn begin(&mut self, one: WouldHaveEnded) {
        let key = (one.policy, one.key);
        if self.watched.contains_key(&key) {
            return;
        }
        if self.watched.len() >= MOST_WATCHED {
            self.tell(&key.0, &one.who.class(), Afterwards::Lost, 0);
            return;
        }
        let rehearsed = Rehearsed {
            action_id: one.action_id,
            who: one.who.class(),
            since: one.at,
            seen: one.seen,
            validated: None,
            taken: false,
            unwatched: false,
        };
        self.watched.insert(key, rehearsed);
        assert!(self.watched.len() <= MOST_WATCHED, "more are watched than may be");
    }

    /// Watches what was watched before a restart: all that was taken, in the order in which it was, with what the journal has of it.
    /// An action on a session that was still watched then has no record of its own.
    pub(crate) fn restored(
        past: impl Iterator<Item = (WouldHaveEnded, Option<(Afterwards, TimeDelta)>)>,
    ) -> Rehearsals {
        let mut rehearsals = Rehearsals::default();
        let mut known = KnownRehearsals::default();
        for (one, became) in past {
            let key = (Arc::clone(&one.policy), one.key);
            if !known.is_new(key.clone(), one.at, became) {
                continue;
            }
            match became {
                None => rehearsals.begin(one),
                Some((Afterwards::Validated, after)) => {
                    rehearsals.begin(one);
                    if let Some(watched) = rehearsals.watched.get_mut(&key) {
                        watched.validated = Some(after);
                    }
                }
                Some((Afterwards::UsedAgain | Afterwards::Ended | Afterwards::Lost, _)) => {}
            }
        }
        rehearsals
    }

    /// The sessions that the next snapshot has to show, if they are there.
    pub(crate) fn watched(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.watched.keys().map(|(_, key)| *key)
    }

    /// Something really acts on a session: what becomes of it tells nothing about a dry run.
    pub(crate) fn taken(&mut self, key: SessionKey) {
        let of_session = self.watched.iter_mut().filter(|((_, watched), _)| *watched == key);
        for (_, rehearsed) in of_session {
            rehearsed.taken = true;
        }
    }

    /// Looks at all watched sessions. Each thing that became of one is returned once. `unbroken` says whether the snapshot before this
    /// one is near enough for nothing to be missed but what lies between two polls.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, now: DateTime<Utc>, unbroken: bool) -> Vec<Aftermath> {
        let mut told = Vec::new();
        let mut counted = Vec::new();
        self.watched.retain(|(policy, key), rehearsed| {
            let Some((afterwards, after)) = rehearsed.look(*key, snapshot, (now, unbroken)) else {
                return true;
            };
            let was_validated = rehearsed.validated;
            if afterwards == Afterwards::Validated {
                rehearsed.validated = Some(after);
            }
            // A session that was validated was used again, whatever became of it later.
            let counts_as = match (afterwards, was_validated) {
                (Afterwards::Ended | Afterwards::Lost, Some(after)) => Some((Afterwards::Validated, after)),
                (Afterwards::Validated, _) => None,
                (Afterwards::UsedAgain | Afterwards::Ended | Afterwards::Lost, _) => Some((afterwards, after)),
            };
            if was_validated.is_none() || afterwards == Afterwards::UsedAgain {
                told.push(Aftermath {
                    action_id: rehearsed.action_id,
                    policy: Arc::clone(policy),
                    key: *key,
                    afterwards,
                    after,
                    was_validated: was_validated.is_some(),
                });
            }
            if let Some((afterwards, after)) = counts_as {
                counted.push((Arc::clone(policy), rehearsed.who.clone(), afterwards, after));
            }
            counts_as.is_none()
        });
        for (policy, who, afterwards, after) in counted {
            self.tell(&policy, &who, afterwards, after.num_seconds());
        }
        told
    }

    fn tell(&mut self, policy: &Arc<str>, who: &ClientGroup, afterwards: Afterwards, seconds: i64) {
        let mut key = (Arc::clone(policy), who.clone());
        if !self.told.contains_key(&key) && self.told.len() >= MOST_GROUPS {
            key.1 = ClientGroup::others();
        }
        self.told.entry(key).or_default().add(afterwards, seconds);
    }

    /// Dates everything anew after a step of the database's clock.
    pub fn shift(&mut self, step: TimeDelta) {
        for rehearsed in self.watched.values_mut() {
            rehearsed.since = later(rehearsed.since, step);
            if let Some(seen) = &mut rehearsed.seen {
                seen.at = later(seen.at, step);
            }
        }
    }

    /// The sessions that are watched for a policy.
    fn watched_for(&self, policy: &str) -> impl Iterator<Item = &Rehearsed> {
        let least = SessionKey {
            inst_id: 0,
            sid: 0,
            serial: 0,
            logon_time: DbTime(i64::MIN),
        };
        let from = self.watched.range((Arc::from(policy), least)..);
        from.take_while(move |((of, _), _)| &**of == policy)
            .map(|(_, watched)| watched)
    }

    /// What became of the sessions of a policy, with those that are still watched.
    #[must_use]
    pub(crate) fn of(&self, policy: &str) -> PolicyRehearsal {
        let mut groups: BTreeMap<&ClientGroup, RehearsalTally> = BTreeMap::new();
        let told = self.told.range((Arc::from(policy), ClientGroup::default())..);
        for ((_, who), tally) in told.take_while(|((of, _), _)| &**of == policy) {
            groups.entry(who).or_default().join(tally);
        }
        for rehearsed in self.watched_for(policy) {
            let tally = groups.entry(&rehearsed.who).or_default();
            match rehearsed.validated {
                Some(after) => tally.add(Afterwards::Validated, after.num_seconds()),
                None => tally.watched += 1,
            }
        }
        PolicyRehearsal::of(groups.into_iter().map(|(who, tally)| (who.clone(), tally)))
    }
}

#[cfg(test)]
mod tests;
