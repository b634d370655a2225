//! What a recording shows of each group of clients.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::native::{MOST_LAST, UserSurveys};
use crate::decide::protect::{Under, protections};
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::{AfterTimes, CallSigns, SeenCall};
use crate::decide::verify::may_be_there;
use crate::recording::RecordedSnapshot;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// The most groups of USERNAME, PROGRAM and MACHINE; sessions of further ones are not looked at.
const MOST_GROUPS: usize = 10_000;

/// After this many intervals without a snapshot, sessions may have been called unseen.
const GAP: i64 = 4;

/// What a group's idle sessions held at once, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IdleHoldings {
    pub(super) sessions: usize,
    pub(super) pga: i64,
    pub(super) undo: i64,
    /// The sessions that waited for them.
    pub(super) blocked: i64,
}

impl IdleHoldings {
    fn raise_to(&mut self, other: IdleHoldings) {
        self.sessions = self.sessions.max(other.sessions);
        self.pga = self.pga.max(other.pga);
        self.undo = self.undo.max(other.undo);
        self.blocked = self.blocked.max(other.blocked);
    }
}

/// A group of clients: a user, a program, and machines whose names differ only in their digits.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupSurvey {
    /// The group.
    pub(super) who: ClientGroup,
    /// One of its machines, by its own name.
    pub(super) machine: Option<Arc<str>>,
    /// How many machines it has.
    pub(super) machines: usize,
    /// How many sessions it had in all.
    pub(super) sessions: usize,
    /// The most at once.
    pub(super) most: usize,
    /// The most of one machine that were in use within one interval.
    pub(super) in_use: usize,
    /// How long sessions had been idle when they were called again.
    pub(super) came_back: AfterTimes,
    /// The same for calls that look like a pool's validation.
    pub(super) validated: AfterTimes,
    /// How long each session had been idle when it was seen last, in seconds.
    pub(super) last_idle: Vec<i64>,
    /// What its idle sessions held.
    pub(super) held: IdleHoldings,
}

/// How long a session had been idle while others waited for it.
#[derive(Clone, Copy, Debug, Default)]
struct IdleBlocking {
    /// It is idle, and others wait for it.
    now: bool,
    /// It is idle, and how long it had been by the first snapshot in which nobody waited for it any more.
    until: Option<i64>,
}

impl IdleBlocking {
    /// `came_back`: it has made a call, after so many seconds. `idle`: for how long it is idle, if it is. `blocks`: whether others wait
    /// for it, if that is known. How long it had been idle at most while others waited for it, if it came back and others had.
    fn look(&mut self, came_back: Option<i64>, idle: Option<i64>, blocks: Option<bool>) -> Option<i64> {
        let blocked_for = came_back.and_then(|idle| if self.now { Some(idle) } else { self.until });
        if came_back.is_some() || idle.is_none() {
            *self = IdleBlocking::default();
        }
        let blocks = blocks.unwrap_or(self.now);
        if self.now && !blocks {
            self.until = idle;
        }
        self.now = blocks && idle.is_some();
        blocked_for
    }
}

/// A session of the last snapshot.
#[derive(Debug)]
struct SurveyedSession {
    /// Its exact group; `None` if it is protected, so that no policy would take it, or of a group beyond the most.
    exact: Option<usize>,
    /// Its user, protected or not; `None` if Oracle's own limits do not apply to it.
    user: Option<usize>,
    is_protected: bool,
    signs: CallSigns<'static>,
    blocking: IdleBlocking,
    seen_in: usize,
}

/// All groups of one user, program and machine.
#[derive(Debug)]
struct ExactGroup {
    class: usize,
    in_use: usize,
}

/// What a recording shows, snapshot by snapshot.
#[derive(Debug)]
pub struct RecordingSurvey {
    every: i64,
    sessions: HashMap<SessionKey, SurveyedSession>,
    exact: Vec<ExactGroup>,
    by_exact: HashMap<ClientGroup, usize>,
    by_class: BTreeMap<ClientGroup, usize>,
    pub(super) groups: Vec<GroupSurvey>,
    /// What Oracle's own limits go by: all sessions of each user.
    pub(super) users: UserSurveys,
    /// The times of the first and the last snapshot.
    pub(super) span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub(super) snapshots: usize,
    pub(super) clockless: usize,
    pub(super) gaps: usize,
    /// Sessions that no policy takes.
    pub(super) protected: usize,
    /// Sessions beyond the most groups.
    pub(super) unread: usize,
    /// Columns that some snapshot lacked.
    pub(super) missing: Vec<Column>,
}

/// Columns without which something is not said.
const TOLD_BY: [Column; 7] = [
    Column::LastCallEt,
    Column::Status,
    Column::PrevSqlId,
    Column::PrevExecStart,
    Column::Pga,
    Column::Undo,
    Column::Blocking,
];

impl RecordingSurvey {
    /// Of a recording with a snapshot every so many seconds.
    #[must_use]
    pub fn new(every: i64) -> RecordingSurvey {
        RecordingSurvey {
            every: every.max(1),
            sessions: HashMap::new(),
            exact: Vec::new(),
            by_exact: HashMap::new(),
            by_class: BTreeMap::new(),
            groups: Vec::new(),
            users: UserSurveys::default(),
            span: None,
            snapshots: 0,
            clockless: 0,
            gaps: 0,
            protected: 0,
            unread: 0,
            missing: Vec::new(),
        }
    }

    /// Seconds between two snapshots.
    pub(super) const fn every(&self) -> i64 {
        self.every
    }

    /// Looks at the next snapshot. The time of the snapshot; `None` if it has no clock, and is passed over.
    pub fn look(&mut self, recorded: &RecordedSnapshot) -> Option<DateTime<Utc>> {
        let snapshot = &recorded.snapshot;
        let Some(now) = snapshot.utc() else {
            self.clockless += 1;
            return None;
        };
        for column in TOLD_BY {
            if !snapshot.has(column) && !self.missing.contains(&column) {
                self.missing.push(column);
            }
        }
        let before = self.span.map(|(_, last)| last);
        self.gaps += usize::from(before.is_some_and(|before| (now - before).num_seconds() > GAP * self.every));
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        self.snapshots += 1;
        self.meet(recorded, now);
        self.look_at_sessions(snapshot, now);
        self.see_who_left(snapshot);
        Some(now)
    }

    /// Finds the groups of sessions that are new.
    fn meet(&mut self, recorded: &RecordedSnapshot, now: DateTime<Utc>) {
        let snapshot = &recorded.snapshot;
        let mut under = None;
        for (row, key) in snapshot.keys().enumerate() {
            let Some(key) = key else { continue };
            if self.sessions.contains_key(&key) {
                continue;
            }
            let under = under.get_or_insert_with(|| protections(snapshot, &recorded.facts));
            let is_protected = under[row] != Under::default();
            let exact = if is_protected {
                self.protected += 1;
                None
            } else {
                let exact = self.exact_group(ClientGroup::of(snapshot, row));
                self.unread += usize::from(exact.is_none());
                exact
            };
            if let Some(exact) = exact {
                self.groups[self.exact[exact].class].sessions += 1;
            }
            let session = SurveyedSession {
                exact,
                user: self.users.meet(snapshot, row, is_protected),
                is_protected,
                signs: CallSigns::of(snapshot, row, now).into_owned(),
                blocking: IdleBlocking::default(),
                seen_in: 0,
            };
            self.sessions.insert(key, session);
        }
    }

    fn exact_group(&mut self, who: ClientGroup) -> Option<usize> {
        if let Some(known) = self.by_exact.get(&who) {
            return Some(*known);
        }
        if self.exact.len() >= MOST_GROUPS {
            return None;
        }
        let class = who.class();
        let class = *self.by_class.entry(class.clone()).or_insert_with(|| {
            self.groups.push(GroupSurvey {
                who: class,
                machine: who.machine.clone(),
                ..GroupSurvey::default()
            });
            self.groups.len() - 1
        });
        self.groups[class].machines += 1;
        self.exact.push(ExactGroup { class, in_use: 0 });
        self.by_exact.insert(who, self.exact.len() - 1);
        Some(self.exact.len() - 1)
    }

    fn look_at_sessions(&mut self, snapshot: &Snapshot, now: DateTime<Utc>) {
        let mut held = vec![IdleHoldings::default(); self.groups.len()];
        let mut present = vec![0_usize; self.groups.len()];
        for exact in &mut self.exact {
            exact.in_use = 0;
        }
        for (row, key) in snapshot.keys().enumerate() {
            let Some(session) = key.and_then(|key| self.sessions.get_mut(&key)) else {
                continue;
            };
            session.seen_in = self.snapshots;
            let signs = CallSigns::of(snapshot, row, now);
            let came_back = signs.call_after_idle(&session.signs);
            let idle = signs.idle_for();
            let blocking = snapshot.number(row, Column::Blocking);
            let blocked = blocking.unwrap_or(0);
            let back_after = came_back.map(|(_, idle)| idle);
            let blocked_for = session.blocking.look(back_after, idle, blocking.map(|count| count > 0));
            if let Some(user) = session.user {
                let user = &mut self.users[user];
                user.look(back_after, blocked_for, session.is_protected);
                user.blocked |= idle.is_some() && blocked > 0;
            }
            session.signs.replace_by(&signs);
            let Some(exact) = session.exact else { continue };
            let class = self.exact[exact].class;
            let group = &mut self.groups[class];
            match came_back {
                Some((SeenCall::Validation, idle)) => group.validated.add(idle),
                Some((SeenCall::Other, idle)) => group.came_back.add(idle),
                None => {}
            }
            present[class] += 1;
            match idle {
                Some(seconds) if seconds > self.every => {
                    let number = |column| snapshot.number(row, column).unwrap_or(0);
                    let held = &mut held[class];
                    held.sessions += 1;
                    held.pga = held.pga.saturating_add(number(Column::Pga));
                    held.undo = held.undo.saturating_add(number(Column::Undo));
                    held.blocked = held.blocked.saturating_add(blocked);
                }
                Some(_) | None => self.exact[exact].in_use += 1,
            }
        }
        for ((group, held), present) in self.groups.iter_mut().zip(held).zip(present) {
            group.held.raise_to(held);
            group.most = group.most.max(present);
        }
        for exact in &self.exact {
            let group = &mut self.groups[exact.class];
            group.in_use = group.in_use.max(exact.in_use);
        }
    }

    /// Sessions that are not in this snapshot, unless it does not tell.
    fn see_who_left(&mut self, snapshot: &Snapshot) {
        let (number, exact) = (self.snapshots, &self.exact);
        let (groups, users) = (&mut self.groups, &mut self.users);
        self.sessions.retain(|key, session| {
            let may_be_there =
                session.seen_in == number || !snapshot.is_complete(key.inst_id) || may_be_there(*key, snapshot);
            if !may_be_there {
                last_seen(session, groups, users, exact);
            }
            may_be_there
        });
    }

    /// Ends the survey: the sessions that are still there count as they were seen last.
    #[must_use]
    pub(super) fn finished(mut self) -> RecordingSurvey {
        let sessions = std::mem::take(&mut self.sessions);
        for session in sessions.values() {
            last_seen(session, &mut self.groups, &mut self.users, &self.exact);
        }
        self
    }
}

fn last_seen(session: &SurveyedSession, groups: &mut [GroupSurvey], users: &mut UserSurveys, exact: &[ExactGroup]) {
    let Some(idle) = session.signs.idle_for() else { return };
    if let Some(user) = session.user {
        users[user].last_seen(idle, session.is_protected);
    }
    if let Some(group) = session.exact.map(|at| &mut groups[exact[at].class])
        && group.last_idle.len() < MOST_LAST
    {
        group.last_idle.push(idle);
    }
}
