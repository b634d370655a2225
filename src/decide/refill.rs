//! Whether ending sessions helps: a pool that refills is not fixed by killing.
//!
//! A connection pool replaces what it loses, a job scheduler starts again what failed. Ending such sessions over and over
//! relieves nothing: it only adds logins, and hides what a person has to look at. So a session that
//! logs in within minutes after one of the same USERNAME, MACHINE and PROGRAM was ended **came back**. A policy whose sessions
//! of such a group came back in several cycles of a day is suspended for that group, which is logged.
//!
//! The group is left alone for an hour after the last session that came back. Then the policy may try once more: if sessions come
//! back again, the next hour begins.
//!
//! What surprises:
//! - The client of an idle session learns of the kill only at its next call, perhaps an hour later, and only then logs in again.
//!   So the minutes are counted from the kill, and again from when the session was seen to be gone.
//! - A login does not show its cause. One that would have happened anyway counts as one that came back: a policy may be suspended
//!   although a kill did help, which spares.
//! - USERNAME, MACHINE or PROGRAM that are NULL or were not read count as equal, which makes groups larger, and spares.
//! - A dry run ends no session, so none comes back to replace it; it counts the logins that happen anyway.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::RunMode;
use crate::decide::ledger::later;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::session::time::DbTime;

/// A session that logs in within this time after one of its group was ended, or was seen to be gone, came back.
pub(crate) const CAME_BACK_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// The period over which cycles are counted whose sessions came back.
pub(crate) const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// How long a group that refills is left alone after the last session that came back.
pub(crate) const PAUSE: TimeDelta = TimeDelta::hours(1);

/// How long a killed session may take to disappear and still have a session come back for it.
const AWAITED: TimeDelta = TimeDelta::hours(1);

/// The greatest number of ended sessions that are remembered; the newest are kept.
const MOST_ENDED: usize = 10_000;

/// The greatest number of sessions that came back and are remembered; the newest are kept.
const MOST_RETURNS: usize = 10_000;

/// The greatest number of logins that are remembered as counted. Beyond it, one that is missing in a snapshot and then seen again
/// may count twice.
const MOST_COUNTED: usize = 100_000;

/// A group of sessions. `None` is NULL or was not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientGroup {
    /// USERNAME.
    pub username: Option<Arc<str>>,
    /// PROGRAM.
    pub program: Option<Arc<str>>,
    /// MACHINE.
    pub machine: Option<Arc<str>>,
}

impl ClientGroup {
    /// The group of a row.
    #[must_use]
    pub(crate) fn of(snapshot: &Snapshot, row: usize) -> ClientGroup {
        let text = |column| snapshot.text(row, column).map(Arc::from);
        ClientGroup {
            username: text(Column::Username),
            program: text(Column::Program),
            machine: text(Column::Machine),
        }
    }

    /// The group with all machines whose names differ only in their digits: `web01` and `web02` are `web#`.
    #[must_use]
    pub(crate) fn class(&self) -> ClientGroup {
        ClientGroup {
            machine: self.machine.as_deref().map(|machine| Arc::from(machine_class(machine))),
            ..self.clone()
        }
    }

    /// Stands for all groups beyond a bound.
    #[must_use]
    pub(crate) fn others() -> ClientGroup {
        let others: Option<Arc<str>> = Some("(others)".into());
        ClientGroup {
            username: others.clone(),
            program: others.clone(),
            machine: others,
        }
    }

    /// A text of the group for people; `(unknown)` for `None`.
    #[must_use]
    pub(crate) fn shown(text: &Option<Arc<str>>) -> &str {
        text.as_deref().unwrap_or("(unknown)")
    }

    /// Whether a row is of this group.
    #[must_use]
    pub(crate) fn includes(&self, snapshot: &Snapshot, row: usize) -> bool {
        self.username.as_deref() == snapshot.text(row, Column::Username)
            && self.program.as_deref() == snapshot.text(row, Column::Program)
            && self.machine.as_deref() == snapshot.text(row, Column::Machine)
    }
}

/// A machine's name with each run of digits as one `#`.
pub(crate) fn machine_class(machine: &str) -> String {
    let mut class = String::with_capacity(machine.len());
    for letter in machine.chars() {
        if !letter.is_ascii_digit() {
            class.push(letter);
        } else if !class.ends_with('#') {
            class.push('#');
        }
    }
    class
}

impl fmt::Display for ClientGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [username, machine, program] = [&self.username, &self.machine, &self.program].map(ClientGroup::shown);
        write!(f, "{username} from {machine} with {program}")
    }
}

/// A session that was ended, or that a dry run assumes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The journal's number of the action.
    pub action_id: u64,
    /// The policy.
    pub policy: Arc<str>,
    /// Whether a statement was sent.
    pub mode: RunMode,
    /// The session.
    pub key: SessionKey,
    /// Its group.
    pub who: ClientGroup,
    /// The snapshot's time by the database's clock, in UTC, which is the same for a whole cycle.
    pub at: DateTime<Utc>,
}

/// A session that was ended, for which another may come back.
#[derive(Clone, Debug)]
struct Awaited {
    ended: Ended,
    gone: Option<Gone>,
    /// By how much the clock was set forward and back since. A login before the step has the time of the old clock.
    forward: TimeDelta,
    back: TimeDelta,
}

/// When a session disappeared: after one snapshot and before the other.
#[derive(Clone, Copy, Debug)]
struct Gone {
    after: DateTime<Utc>,
    before: DateTime<Utc>,
}

impl Awaited {
    /// Whether a login at this time counts as coming back for this session.
    fn may_return(&self, login: DateTime<Utc>) -> bool {
        let within = |from: DateTime<Utc>, to: DateTime<Utc>| {
            later(from, -self.forward) <= login && login <= later(to + CAME_BACK_WITHIN, self.back)
        };
        within(self.ended.at, self.ended.at) || self.gone.is_some_and(|gone| within(gone.after, gone.before))
    }

    /// Whether no login can count for this session any more. A login is seen up to a poll late, so the wait is twice the time limit.
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        match self.gone {
            Some(gone) => now - gone.before > CAME_BACK_WITHIN * 2,
            None => now - self.ended.at > AWAITED,
        }
    }
}

/// A session that was ended, and the session of its group that logged in soon after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The session that was ended.
    pub ended: Ended,
    /// The session that logged in.
    pub key: SessionKey,
    /// When it logged in, in UTC.
    pub at: DateTime<Utc>,
}

/// How long a policy leaves a group alone, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspension {
    /// The number of cycles of a day in which the group's sessions were ended and came back.
    pub(crate) times: usize,
    /// Until when the group is left alone.
    pub(crate) until: DateTime<Utc>,
}

/// One database's memory of sessions that were ended and of those that came back.
#[derive(Clone, Debug, Default)]
pub struct Refills {
    awaited: VecDeque<Awaited>,
    returns: VecDeque<Return>,
    /// Logins that were counted before.
    counted: HashSet<SessionKey>,
    /// The time of the previous snapshot.
    last: Option<DateTime<Utc>>,
}

impl Refills {
    /// Remembers a session that was ended just now.
    pub(crate) fn ended(&mut self, ended: Ended) {
        self.awaited.push_back(Awaited {
            ended,
            gone: None,
            forward: TimeDelta::zero(),
            back: TimeDelta::zero(),
        });
        while self.awaited.len() > MOST_ENDED {
            self.awaited.pop_front();
        }
    }

    /// Forgets an action that turned out not to have been carried out.
    pub(crate) fn forget(&mut self, action_id: u64) {
        self.awaited.retain(|awaited| awaited.ended.action_id != action_id);
    }

    /// Restores from the journal a session that came back for the action with this number.
    pub(crate) fn restore(&mut self, action_id: u64, key: SessionKey, at: DateTime<Utc>) {
        let is = |awaited: &Awaited| awaited.ended.action_id == action_id;
        if let Some(place) = self.awaited.iter().position(is) {
            self.came_back(place, key, at);
            self.counted.insert(key);
        }
    }

    /// Dates everything anew after a step of the database's clock.
    pub fn shift(&mut self, step: TimeDelta) {
        for awaited in &mut self.awaited {
            awaited.ended.at = later(awaited.ended.at, step);
            if let Some(gone) = &mut awaited.gone {
                (gone.after, gone.before) = (later(gone.after, step), later(gone.before, step));
            }
            let (forward, back) = (step.max(TimeDelta::zero()), (-step).max(TimeDelta::zero()));
            awaited.forward = awaited.forward.checked_add(&forward).unwrap_or(awaited.forward);
            awaited.back = awaited.back.checked_add(&back).unwrap_or(awaited.back);
        }
        for back in &mut self.returns {
            (back.ended.at, back.at) = (later(back.ended.at, step), later(back.at, step));
        }
        self.last = self.last.map(|last| later(last, step));
    }

    /// Finds sessions that came back among the new logins of a snapshot. A login counts once, for each policy and mode for the session
    /// of its group that was ended first.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, now: DateTime<Utc>) -> Vec<Return> {
        self.awaited.retain(|awaited| !awaited.is_over(now));
        self.returns.retain(|back| now - back.at < REMEMBERED);
        self.see_who_is_gone(snapshot, now);
        let since = self
            .awaited
            .iter()
            .map(|awaited| later(awaited.ended.at, -awaited.forward))
            .fold(now, DateTime::min);
        let offset = snapshot.clock().map_or(0, |clock| clock.utc_offset);
        let earliest = since.timestamp().saturating_add(i64::from(offset));
        self.counted.retain(|key| key.logon_time.0 >= earliest);
        if self.counted.len() > MOST_COUNTED {
            self.counted.clear();
        }
        let mut came_back = Vec::new();
        for row in 0..snapshot.rows() {
            let logon = snapshot.number(row, Column::LogonTime);
            let Some(logon) = logon.filter(|logon| *logon >= earliest) else {
                continue;
            };
            let (Some(key), Some(login)) = (snapshot.key(row), DbTime(logon).to_utc(offset)) else {
                continue;
            };
            if self.counted.insert(key) {
                came_back.extend(self.welcome(snapshot, row, key, login));
            }
        }
        self.last = Some(now);
        came_back
    }

    fn welcome(&mut self, snapshot: &Snapshot, row: usize, key: SessionKey, login: DateTime<Utc>) -> Vec<Return> {
        let mut came_back: Vec<Return> = Vec::new();
        let mut place = 0;
        while let Some(awaited) = self.awaited.get(place) {
            let ended = &awaited.ended;
            let stands_already = |back: &Return| back.ended.policy == ended.policy && back.ended.mode == ended.mode;
            let is_like = ended.key != key
                && awaited.may_return(login)
                && ended.who.includes(snapshot, row)
                && !came_back.iter().any(stands_already);
            if is_like {
                came_back.extend(self.came_back(place, key, login));
            } else {
                place += 1;
            }
        }
        came_back
    }

    fn came_back(&mut self, place: usize, key: SessionKey, at: DateTime<Utc>) -> Option<Return> {
        let Awaited { ended, .. } = self.awaited.remove(place)?;
        let back = Return { ended, key, at };
        self.returns.push_back(back.clone());
        while self.returns.len() > MOST_RETURNS {
            self.returns.pop_front();
        }
        Some(back)
    }

    /// Records which ended sessions are gone. An instance that was not read proves nothing. A session of a dry run is assumed to be
    /// gone.
    fn see_who_is_gone(&mut self, snapshot: &Snapshot, now: DateTime<Utc>) {
        let waits = |awaited: &&mut Awaited| awaited.gone.is_none();
        let mut waiting: Vec<&mut Awaited> = self.awaited.iter_mut().filter(waits).collect();
        if waiting.is_empty() {
            return;
        }
        let seats: HashSet<i64> = waiting.iter().map(|awaited| i64::from(awaited.ended.key.sid)).collect();
        let there: HashSet<SessionKey> = (0..snapshot.rows())
            .filter(|row| {
                snapshot
                    .number(*row, Column::Sid)
                    .is_some_and(|sid| seats.contains(&sid))
            })
            .filter_map(|row| snapshot.key(row))
            .collect();
        for awaited in &mut waiting {
            let key = awaited.ended.key;
            let is_gone = awaited.ended.mode == RunMode::DryRun || !there.contains(&key);
            if snapshot.is_complete(key.inst_id) && is_gone {
                let after = self.last.unwrap_or(awaited.ended.at).max(awaited.ended.at);
                awaited.gone = Some(Gone { after, before: now });
            }
        }
    }

    /// The groups that are left alone now: those that refilled in `times` cycles of a day. `counts` selects the ended sessions that
    /// count.
    #[must_use]
    pub(crate) fn suspended(
        &self,
        times: u32,
        now: DateTime<Utc>,
        counts: impl Fn(&Ended) -> bool,
    ) -> BTreeMap<ClientGroup, Suspension> {
        let mut groups: BTreeMap<&ClientGroup, (BTreeSet<DateTime<Utc>>, DateTime<Utc>)> = BTreeMap::new();
        for back in self.returns.iter().filter(|back| counts(&back.ended)) {
            let group = groups.entry(&back.ended.who).or_insert((BTreeSet::new(), back.at));
            group.0.insert(back.ended.at);
            group.1 = group.1.max(back.at);
        }
        let suspension = |(who, (cycles, newest)): (&ClientGroup, (BTreeSet<DateTime<Utc>>, DateTime<Utc>))| {
            let (times_back, until) = (cycles.len(), newest + PAUSE);
            let is_suspended = u32::try_from(times_back).is_ok_and(|back| back >= times) && now < until;
            is_suspended.then(|| {
                let suspension = Suspension {
                    times: times_back,
                    until,
                };
                (who.clone(), suspension)
            })
        };
        groups.into_iter().filter_map(suspension).collect()
    }
}
