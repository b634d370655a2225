//! What became of the sessions that were acted on: an accepted kill is not a dead session.
//!
//! A kill has one of three results: it is done, it is marked (ORA-00031), or it is unknown because the connection broke. In all
//! three the proof is the next snapshots: the session is followed by its whole key until it is gone, until its resources are
//! free although its row is still there, or until the deadline passes; meanwhile it may linger.
//!
//! A killed session that was idle keeps its row, STATUS KILLED, until its client calls again, sometimes for days; what matters
//! is that it no longer holds anything. A session that waits for its own transaction (DISCONNECT POST_TRANSACTION) does not
//! linger. An instance that is missing from the snapshot proves nothing.
//!
//! A session that was asked to go after its transaction and is still there at the deadline stays known as asked: the request is
//! not repeated, but a stronger action is possible.
//!
//! A statement that has not ended its session is remembered as well, so that the session is not tried again at every poll and
//! does not use up the budgets: each further attempt on it waits twice as long as the one before. A session that Oracle refuses
//! to end at all is not tried again.
//!
//! Where nobody knows whether a kill was sent (the daemon ended or the connection broke before the answer), the session shows it:
//! every form of KILL SESSION shows as STATUS KILLED at once. One that shows none of it a minute later was not killed, so it is
//! no longer followed and the policy may take it again. DISCONNECT and CANCEL SQL leave no such trace: their session is spared until
//! the deadline.
//!
//! A session that was spared when it was read again may be spared every time (its server process serves a protected session, for
//! example) and would use up the turn of the others. It is remembered for an hour and goes behind all other sessions of its policy.
//!
//! A dry run assumes that its actions succeeded; its sessions are followed too, so that they are not taken twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::RunMode;
use crate::decide::ledger::later;
use crate::decide::outcome::{Earlier, Outcome};
use crate::decide::protect::is_orareaper;
use crate::decide::reason::Obstacle;
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::{Field, KILLED, Snapshot};
use crate::words::words;

/// A session that is still there this long after the snapshot behind its kill lingers.
pub(crate) const LINGERS_AFTER: TimeDelta = TimeDelta::seconds(60);

/// A session is followed for this long, or for this long after the last rung of its policy's ladder was due.
pub(crate) const DEADLINE: TimeDelta = TimeDelta::hours(1);

/// A session that was acted on and is not known to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The journal's number of the action.
    pub action_id: u64,
    /// The policy of the action.
    pub policy: Arc<str>,
    /// The action.
    pub action: Action,
    /// The mode in which the policy ran.
    pub mode: RunMode,
    /// The time of the snapshot behind the action, by the database's clock, in UTC.
    pub since: DateTime<Utc>,
    /// The session's SQL_ID and SQL_EXEC_ID, for CANCEL SQL.
    pub sql_exec: Option<(String, Option<i64>)>,
    /// Whether the answer said that the statement was accepted; not if the connection broke or the daemon ended.
    pub accepted: bool,
    /// Whether it is known to have been accepted: by its answer, or because a snapshot has shown it since.
    pub certain: bool,
    /// Whether the session was KILLED before, by the rung below: then its STATUS tells nothing of this action.
    pub was_killed: bool,
    /// Its state.
    pub state: FollowState,
}

impl Followed {
    /// As it stands in the way of another action.
    #[must_use]
    pub(crate) fn as_earlier(&self) -> Earlier {
        if self.certain {
            return Earlier::Accepted;
        }
        Earlier::Unknown {
            action_id: self.action_id,
            action: self.action,
            since: self.since,
            until: later(self.since, DEADLINE),
        }
    }

    /// Whether it prevents this action on the session, which is or is not in a transaction.
    #[must_use]
    pub(crate) fn holds_off(&self, action: Action, in_transaction: bool) -> bool {
        match self.state {
            FollowState::Waiting | FollowState::Lingering => true,
            FollowState::Asked => in_transaction && action.strength() <= self.action.strength(),
        }
    }
}

/// The state of a followed session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowState {
    /// It is expected to go.
    Waiting,
    /// It lingers, which was reported.
    Lingering,
    /// It was asked to go after its transaction, and was still there at the deadline.
    Asked,
}

/// The statements that were sent for a session and have not ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SessionAttempts {
    /// What the last one came to.
    outcome: Outcome,
    /// The time of the snapshot behind the last one.
    at: DateTime<Utc>,
    /// How many there were.
    times: u32,
    /// Whether a snapshot has shown that the last one did nothing.
    shown_without_effect: bool,
}

impl SessionAttempts {
    /// Until when no other statement is sent, `None` for ever. A statement that had no effect may be repeated soon; one that the
    /// database answered with an error, or that had its full time, later. `again` is for the same rung of a ladder, which has a
    /// time of its own.
    fn wait(self, again: bool) -> Option<TimeDelta> {
        let first = match self.outcome {
            Outcome::Refused => return None,
            Outcome::Unsupported | Outcome::Failed => FAILED_FOR,
            Outcome::AlreadyGone => WITHOUT_EFFECT_FOR,
            Outcome::Done | Outcome::Marked | Outcome::Unknown if self.shown_without_effect || again => {
                WITHOUT_EFFECT_FOR
            }
            Outcome::Done | Outcome::Marked | Outcome::Unknown => DEADLINE,
            Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Assumed
            | Outcome::Reported => unreachable!("nothing was sent"),
        };
        let doublings = self.times.saturating_sub(1).min(20);
        Some((first * (1 << doublings)).min(LONGEST_WAIT))
    }
}

/// A statement that failed on a session is not sent again within this time; after the second failure within twice this time, and
/// so on.
const FAILED_FOR: TimeDelta = TimeDelta::hours(1);

/// Likewise for a statement that did nothing, although it was sent or may have been.
const WITHOUT_EFFECT_FOR: TimeDelta = TimeDelta::minutes(1);

/// The longest wait between two attempts on a session; shorter than [`REMEMBERED`], which forgets how many there were.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(16);

/// A session that was spared when it was read again goes behind the others for this time.
const SPARED_FOR: TimeDelta = TimeDelta::hours(1);

/// The most spared sessions that are remembered; the oldest is forgotten first.
pub(crate) const MOST_SPARED: usize = 10_000;

/// Attempts are forgotten after this time, the same as in the journal.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);

words! {
    /// What a snapshot proved of a followed session.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Proof {
        /// Its row is gone, or its SID has a new session.
        Gone = "gone",
        /// Its row is there, KILLED, and holds no transaction and no server process.
        ResourcesFreed = "resources_freed",
        /// CANCEL SQL: its statement is no longer running.
        Cancelled = "cancelled",
        /// It is still there a minute after the action.
        Lingers = "lingers",
        /// It was still there at the deadline and is no longer followed.
        DeadlinePassed = "deadline_passed",
        /// Nobody knew whether the kill was sent, and a minute later the session shows that it was not carried out.
        NotSent = "not_sent",
    }
}

impl Proof {
    /// Whether following ends.
    #[must_use]
    pub(crate) const fn ends(self) -> bool {
        match self {
            Proof::Gone | Proof::ResourcesFreed | Proof::Cancelled | Proof::DeadlinePassed | Proof::NotSent => true,
            Proof::Lingers => false,
        }
    }
}

/// A proof of this cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The session.
    pub key: SessionKey,
    /// The action that was followed.
    pub followed: Followed,
    /// What was proved.
    pub proof: Proof,
}

/// The followed sessions of a database.
#[derive(Clone, Debug, Default)]
pub struct Following {
    sessions: BTreeMap<SessionKey, Followed>,
    /// What is followed again if a snapshot shows that a later action on the session was not sent: the accepted one before it.
    before: BTreeMap<SessionKey, Followed>,
    attempts: BTreeMap<SessionKey, SessionAttempts>,
    /// By policy, mode and session: when it was spared last.
    spared: BTreeMap<(Arc<str>, RunMode, SessionKey), DateTime<Utc>>,
}

impl Following {
    /// Follows a session, or replaces its earlier action. One that was accepted is still in force where the later one turns out not to
    /// have been sent: a session that was asked to go after its transaction goes.
    pub(crate) fn follow(&mut self, key: SessionKey, followed: Followed) {
        let is_open = !followed.accepted;
        let earlier = self.sessions.insert(key, followed);
        if !is_open {
            self.before.remove(&key);
        } else if let Some(earlier) = earlier.filter(|earlier| earlier.accepted && earlier.mode == RunMode::Enforce) {
            self.before.insert(key, earlier);
        }
    }

    /// Ends the following of a session that is known to go on.
    pub(crate) fn forget_session(&mut self, key: SessionKey) {
        self.sessions.remove(&key);
        self.before.remove(&key);
    }

    /// Ends all following. Attempts are kept.
    pub(crate) fn forget_actions(&mut self) {
        self.sessions.clear();
        self.before.clear();
    }

    /// Records what came of a statement that was sent for a session, or may have been.
    pub(crate) fn attempted(&mut self, key: SessionKey, outcome: Outcome, at: DateTime<Utc>, sent: bool) {
        let counts = match outcome {
            Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Done
            | Outcome::Marked
            | Outcome::Unknown => true,
            // It is gone, unless a snapshot shows it again.
            Outcome::AlreadyGone => sent,
            Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Assumed
            | Outcome::Reported => false,
        };
        if !counts {
            return;
        }
        let before = self.attempts.get(&key).map_or(0, |attempts| attempts.times);
        let attempts = SessionAttempts {
            outcome,
            at,
            times: before.saturating_add(1),
            shown_without_effect: false,
        };
        self.attempts.insert(key, attempts);
    }

    /// Takes note of what a snapshot showed of the last attempt on a session. A statement that was cancelled is a success: what
    /// runs next is another one.
    pub(crate) fn shown(&mut self, key: SessionKey, proof: Proof) {
        match proof {
            Proof::Cancelled => {
                self.attempts.remove(&key);
            }
            Proof::NotSent => {
                if let Some(attempts) = self.attempts.get_mut(&key) {
                    attempts.shown_without_effect = true;
                }
            }
            Proof::Gone | Proof::ResourcesFreed | Proof::Lingers | Proof::DeadlinePassed => {}
        }
    }

    /// Takes note of a session that a policy was permitted to act on and that was spared when it was read again. The oldest is
    /// forgotten where there are too many.
    pub(crate) fn spared(&mut self, policy: &Arc<str>, mode: RunMode, key: SessionKey, at: DateTime<Utc>) {
        self.spared.insert((Arc::clone(policy), mode, key), at);
        if self.spared.len() > MOST_SPARED {
            let oldest = self.spared.iter().min_by_key(|(_, at)| **at).map(|(of, _)| of.clone());
            oldest.and_then(|of| self.spared.remove(&of));
        }
        assert!(self.spared.len() <= MOST_SPARED, "more are remembered than may be");
    }

    /// Dates everything anew after a step of the database's clock.
    pub fn shift(&mut self, step: TimeDelta) {
        for followed in self.sessions.values_mut().chain(self.before.values_mut()) {
            followed.since = later(followed.since, step);
        }
        for attempts in self.attempts.values_mut() {
            attempts.at = later(attempts.at, step);
        }
        for at in self.spared.values_mut() {
            *at = later(*at, step);
        }
    }

    /// When a session was last spared by this policy, as far as that is not long ago.
    #[must_use]
    pub(crate) fn last_spared(
        &self,
        policy: &Arc<str>,
        mode: RunMode,
        key: SessionKey,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let at = self.spared.get(&(Arc::clone(policy), mode, key))?;
        (now - *at < SPARED_FOR).then_some(*at)
    }

    /// Why a session is not tried again yet, if so. A session that cannot be ended at all is never tried again. `again` is for an
    /// action that is the same rung of a ladder as the last one.
    #[must_use]
    pub(crate) fn tried(&self, key: SessionKey, now: DateTime<Utc>, again: bool) -> Option<Obstacle> {
        let attempts = *self.attempts.get(&key)?;
        let SessionAttempts { outcome, at, times, .. } = attempts;
        let until = attempts.wait(again).map(|wait| later(at, wait));
        until.is_none_or(|until| now < until).then_some(Obstacle::NotAgain {
            outcome,
            at,
            times,
            until,
        })
    }

    /// Why the next rung is not tried on a session yet, if the last attempt on it came to nothing: that was the rung itself.
    #[must_use]
    pub(crate) fn failed(&self, key: SessionKey, now: DateTime<Utc>) -> Option<Obstacle> {
        let last = self.attempts.get(&key)?;
        if last.outcome.is_followed() && !last.shown_without_effect {
            return None;
        }
        self.tried(key, now, false)
    }

    /// Whether and how a session is followed.
    #[must_use]
    pub(crate) fn get(&self, key: SessionKey) -> Option<&Followed> {
        self.sessions.get(&key)
    }

    /// All followed sessions, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Followed)> {
        self.sessions.iter()
    }

    /// The number of lingering sessions on an instance.
    #[must_use]
    pub(crate) fn lingering(&self, inst_id: u32) -> usize {
        self.sessions
            .iter()
            .filter(|(key, followed)| key.inst_id == inst_id && followed.state == FollowState::Lingering)
            .count()
    }

    /// The sessions that the next snapshot has to show, if they are there.
    pub(crate) fn watched(&self) -> impl Iterator<Item = SessionKey> + '_ {
        let spared = self.spared.keys().map(|(_, _, key)| *key);
        self.sessions.keys().chain(self.attempts.keys()).copied().chain(spared)
    }

    /// Whether nobody knows of some kill whether it was sent: other sessions than its own may show that ([`may_carry_it_out`]).
    #[must_use]
    pub(crate) fn is_any_uncertain(&self) -> bool {
        let mut followed = self.sessions.values();
        followed.any(|followed| followed.mode == RunMode::Enforce && !followed.certain)
    }

    /// Compares the snapshot with all followed sessions; each proof is returned once. `patience` gives how long a session is followed,
    /// at least [`DEADLINE`].
    pub(crate) fn verify(
        &mut self,
        snapshot: &Snapshot,
        now: DateTime<Utc>,
        patience: impl Fn(&Followed) -> TimeDelta,
    ) -> Vec<Verification> {
        let mut proved = Vec::new();
        let lives =
            |key: &SessionKey| !snapshot.shows(*key) || snapshot.find(*key).is_some() || may_be_there(*key, snapshot);
        let remembered = |attempts: &SessionAttempts| now - attempts.at < REMEMBERED;
        self.attempts.retain(|key, attempts| lives(key) && remembered(attempts));
        self.spared
            .retain(|(_, _, key), at| lives(key) && now - *at < SPARED_FOR);
        self.sessions.retain(|key, followed| {
            let row = snapshot.find(*key);
            // A time in the future came from a clock that ran ahead; it is not later than now.
            followed.since = followed.since.min(now);
            let limit = match followed.state {
                FollowState::Waiting | FollowState::Lingering => patience(followed).max(DEADLINE),
                FollowState::Asked => REMEMBERED.max(DEADLINE),
            };
            let overdue = now - followed.since >= limit;
            let seen = snapshot.shows(*key) && (row.is_some() || !may_be_there(*key, snapshot));
            // Whatever the answer was: the statement arrived.
            followed.certain |= !followed.was_killed && row.is_some_and(|row| snapshot.is_killed(row));
            let proof = if seen {
                prove(followed, snapshot, row, now, overdue)
            } else {
                // Neither there nor gone, and an instance that left may never return: only the deadline ends it.
                overdue.then_some(Proof::DeadlinePassed)
            };
            let Some(proof) = proof else { return true };
            let asked = proof == Proof::DeadlinePassed
                && followed.state != FollowState::Asked
                && followed.accepted
                && followed.mode == RunMode::Enforce
                && followed.action.waits_for_commit();
            if proof == Proof::Lingers {
                followed.state = FollowState::Lingering;
            }
            proved.push(Verification {
                key: *key,
                followed: followed.clone(),
                proof,
            });
            if asked {
                followed.state = FollowState::Asked;
            }
            asked || !proof.ends()
        });
        for verification in &proved {
            self.shown(verification.key, verification.proof);
            if verification.proof == Proof::NotSent
                && let Some(before) = self.before.remove(&verification.key)
            {
                self.sessions.insert(verification.key, before);
            }
        }
        self.before.retain(|key, _| self.sessions.contains_key(key));
        proved
    }
}

/// Whether a row with an incomplete identity may be the session's.
pub(crate) fn may_be_there(key: SessionKey, snapshot: &Snapshot) -> bool {
    let agrees = |row, column, id: u32| snapshot.id(row, column).is_none_or(|read| read == id);
    (0..snapshot.rows())
        .filter(|row| snapshot.key(*row).is_none())
        .any(|row| {
            agrees(row, Column::InstId, key.inst_id)
                && agrees(row, Column::Sid, key.sid)
                && agrees(row, Column::Serial, key.serial)
                && snapshot
                    .number(row, Column::LogonTime)
                    .is_none_or(|logon| logon == key.logon_time.0)
        })
}

fn prove(
    followed: &Followed,
    snapshot: &Snapshot,
    row: Option<usize>,
    now: DateTime<Utc>,
    overdue: bool,
) -> Option<Proof> {
    let Some(row) = row else { return Some(Proof::Gone) };
    if followed.mode == RunMode::DryRun {
        // It is assumed to be gone, so it cannot linger.
        return None;
    }
    let age = now - followed.since;
    let deadline = overdue.then_some(Proof::DeadlinePassed);
    match followed.action {
        Action::Report => Some(Proof::DeadlinePassed),
        Action::CancelSql => {
            if may_be_running(followed, snapshot, row) {
                lingers(followed, age).or(deadline)
            } else {
                Some(Proof::Cancelled)
            }
        }
        Action::Disconnect { .. }
            if followed.action.waits_for_commit()
                && !snapshot.is_killed(row)
                && snapshot.text(row, Column::Taddr).is_some() =>
        {
            deadline
        }
        Action::Kill { .. } | Action::Disconnect { .. } => {
            let killed = snapshot.is_killed(row);
            let detached = snapshot.text(row, Column::Server) == Some("PSEUDO");
            let idle = snapshot.has(Column::Taddr) && snapshot.text(row, Column::Taddr).is_none();
            if killed && detached && idle {
                return Some(Proof::ResourcesFreed);
            }
            if followed.state == FollowState::Waiting && was_not_killed(followed, snapshot, row, age) {
                return Some(Proof::NotSent);
            }
            let may_linger = followed.certain || killed;
            deadline.or_else(|| lingers(followed, age).filter(|_| may_linger))
        }
    }
}

/// Whether a kill of which nobody knows is known not to have been carried out: its time is over, the session is not KILLED, and
/// no session that may still be about to carry it out is there.
fn was_not_killed(followed: &Followed, snapshot: &Snapshot, row: usize, age: TimeDelta) -> bool {
    let is_kill = match followed.action {
        Action::Kill { .. } => true,
        Action::Disconnect { .. } | Action::CancelSql | Action::Report => false,
    };
    let shown = snapshot.text(row, Column::Status);
    is_kill
        && !followed.certain
        && age >= LINGERS_AFTER
        && shown.is_some_and(|status| status != KILLED)
        && snapshot.instances().iter().all(|instance| instance.complete)
        && !(0..snapshot.rows()).any(|row| may_carry_it_out(followed, snapshot, row))
}

/// Whether a session may be the one that the statement was sent through, still in that call: an orareaper's that was there then
/// and is not idle. While the daemon that sent it lives, its session that reads is such a one too, so only a restart settles it.
fn may_carry_it_out(followed: &Followed, snapshot: &Snapshot, row: usize) -> bool {
    let is_own = match snapshot.field(row, Column::Module) {
        Field::Text(module) => is_orareaper(module),
        Field::Missing => true,
        Field::Null | Field::Number(_) => false,
    };
    let logon = snapshot.number(row, Column::LogonTime).zip(snapshot.clock());
    let came_later =
        logon.is_some_and(|(logon, clock)| logon - i64::from(clock.utc_offset) > followed.since.timestamp());
    is_own && !came_later && snapshot.text(row, Column::Status) != Some("INACTIVE")
}

/// Whether the statement that was to be cancelled may still be running: yes, unless the row shows otherwise.
fn may_be_running(followed: &Followed, snapshot: &Snapshot, row: usize) -> bool {
    let in_call = snapshot
        .text(row, Column::Status)
        .is_none_or(|status| status == "ACTIVE");
    let Some((sql_id, execution)) = followed.sql_exec.as_ref() else {
        return in_call;
    };
    let same_sql = match snapshot.field(row, Column::SqlId) {
        Field::Missing => true,
        Field::Text(now) => now == sql_id,
        Field::Null | Field::Number(_) => false,
    };
    let same_execution = match (execution, snapshot.number(row, Column::SqlExecId)) {
        (Some(was), Some(now)) => *was == now,
        (None, _) | (_, None) => true,
    };
    in_call && same_sql && same_execution
}

fn lingers(followed: &Followed, age: TimeDelta) -> Option<Proof> {
    (followed.state == FollowState::Waiting && age >= LINGERS_AFTER).then_some(Proof::Lingers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::time::DbTime;

    const KEY: SessionKey = SessionKey {
        inst_id: 1,
        sid: 10,
        serial: 7,
        logon_time: DbTime(0),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn answers() -> impl Strategy<Value = Vec<(Outcome, bool)>> {
        let outcome = prop_oneof![
            Just(Outcome::AlreadyGone),
            Just(Outcome::Unknown),
            Just(Outcome::Marked),
            Just(Outcome::Done),
            Just(Outcome::Failed),
            Just(Outcome::Unsupported),
        ];
        proptest::collection::vec((outcome, any::<bool>()), 1..40)
    }

    proptest! {
        /// Whatever the attempts on a session come to, each waits twice as long as the one before, and none for ever.
        #[test]
        fn attempts_on_one_session_back_off(answers in answers(), again in any::<bool>()) {
            let mut following = Following::default();
            let mut now = 0;
            for (number, (outcome, not_sent)) in (0_u32..).zip(answers) {
                following.attempted(KEY, outcome, at(now), true);
                if not_sent {
                    following.shown(KEY, Proof::NotSent);
                }
                let waits = |seconds: i64| following.tried(KEY, at(now + seconds), again).is_some();
                let least = (60_i64 << number.min(20)).min(LONGEST_WAIT.num_seconds());
                prop_assert!(waits(least - 1), "attempt {number} after {outcome}");
                prop_assert!(!waits(LONGEST_WAIT.num_seconds()), "attempt {number} after {outcome}");
                now += LONGEST_WAIT.num_seconds();
            }
        }
    }

    #[test]
    fn only_a_statement_that_was_sent_is_an_attempt() {
        for outcome in Outcome::ALL {
            let mut following = Following::default();
            following.attempted(KEY, outcome, at(0), false);
            let counts = outcome.counts() && outcome != Outcome::Assumed;
            assert_eq!(following.tried(KEY, at(1), false).is_some(), counts, "{outcome}");
        }
        let mut following = Following::default();
        following.attempted(KEY, Outcome::AlreadyGone, at(0), true);
        assert!(
            following.tried(KEY, at(59), false).is_some(),
            "ORA-00030, and it is still there"
        );
        assert!(following.tried(KEY, at(60), false).is_none());
        following.attempted(KEY, Outcome::Done, at(60), true);
        following.shown(KEY, Proof::Cancelled);
        assert!(
            following.tried(KEY, at(61), false).is_none(),
            "a cancelled statement is a success"
        );
    }
}
