//! What Oracle's own limits on idle sessions go by: all sessions of each user, protected or not, whatever program they run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::rounding::{INEXACT, SHORTEST, whole_minutes};
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// The most users that are told apart; further ones are one, without a name.
const MOST_USERS: usize = 10_000;

/// The most sessions of a user or a group whose last idle time is kept.
pub(super) const MOST_LAST: usize = 100_000;

/// No limit for idle sessions that others wait for is suggested that is shorter, in seconds.
pub(super) const SHORTEST_FOR_BLOCKERS: i64 = 300;

/// How long a session had been idle when it was called again, in seconds, and whether it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CameBack {
    pub(super) idle: i64,
    pub(super) is_protected: bool,
}

/// All sessions of one user.
#[derive(Clone, Debug, Default)]
pub(super) struct UserSurvey {
    /// USERNAME; `None` if it is not known.
    pub(super) name: Option<Arc<str>>,
    /// The profiles that its sessions were seen with: those that ALTER USER would replace.
    pub(super) profiles: BTreeSet<String>,
    /// Who came back latest.
    latest: Option<CameBack>,
    /// The longest that an idle session that came back had been idle while others waited for it.
    latest_blocker: Option<i64>,
    /// Whether others waited for an idle session of it.
    pub(super) blocked: bool,
    /// How long each session had been idle when it was seen last, in seconds, and whether it is protected.
    last_idle: Vec<CameBack>,
    /// Whether some session of it is not protected.
    pub(super) has_unprotected: bool,
}

impl UserSurvey {
    /// Takes note of a session of its: it came back after so long, and others waited for so long while it was idle.
    pub(super) fn look(&mut self, came_back: Option<i64>, blocked_for: Option<i64>, is_protected: bool) {
        let came_back = came_back.map(|idle| CameBack { idle, is_protected });
        self.latest = self.latest.max(came_back);
        self.latest_blocker = self.latest_blocker.max(blocked_for);
    }

    /// Takes note of how long a session had been idle when it was seen last.
    pub(super) fn last_seen(&mut self, idle: i64, is_protected: bool) {
        if self.last_idle.len() < MOST_LAST {
            self.last_idle.push(CameBack { idle, is_protected });
        }
    }

    /// SYS is exempt from MAX_IDLE_BLOCKER_TIME by its documentation; a session with SYSDBA, from profiles.
    fn is_sys(&self) -> bool {
        self.name.as_deref() == Some("SYS")
    }
}

/// All users of a recording.
#[derive(Debug, Default)]
pub(super) struct UserSurveys {
    users: Vec<UserSurvey>,
    by_name: HashMap<Option<Arc<str>>, usize>,
}

impl Index<usize> for UserSurveys {
    type Output = UserSurvey;

    fn index(&self, at: usize) -> &UserSurvey {
        &self.users[at]
    }
}

impl IndexMut<usize> for UserSurveys {
    fn index_mut(&mut self, at: usize) -> &mut UserSurvey {
        &mut self.users[at]
    }
}

/// One of Oracle's own limits, as the recording shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NativeLimit {
    /// The shortest beyond which nobody came back, in seconds: whole minutes, and at least [`SHORTEST`].
    pub(super) seconds: i64,
    /// The user whose session came back latest, and when.
    pub(super) user: Option<Arc<str>>,
    pub(super) latest: CameBack,
    /// How many sessions it would have ended: they were idle for longer when they were seen last.
    pub(super) ends: usize,
    /// How many of these are protected.
    pub(super) ends_protected: usize,
}

impl UserSurveys {
    /// The user of a session that is new; `None` for one of Oracle's own processes, which have no client that could be idle.
    pub(super) fn meet(&mut self, snapshot: &Snapshot, row: usize, is_protected: bool) -> Option<usize> {
        let kind = snapshot.text(row, Column::Type);
        if kind.is_some_and(|kind| kind != "USER") {
            return None;
        }
        let mut name = snapshot.text(row, Column::Username).map(Arc::from);
        if self.users.len() >= MOST_USERS && !self.by_name.contains_key(&name) {
            name = None;
        }
        let at = *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.users.push(UserSurvey {
                name,
                ..UserSurvey::default()
            });
            self.users.len() - 1
        });
        let user = &mut self.users[at];
        user.has_unprotected |= !is_protected;
        if let Some(profile) = snapshot.text(row, Column::Profile)
            && !user.profiles.contains(profile)
        {
            user.profiles.insert(profile.to_owned());
        }
        Some(at)
    }

    /// What MAX_IDLE_TIME would do: it applies to all sessions, by its documentation. `None` if nobody came back, so that the
    /// recording tells no value.
    pub(super) fn max_idle_time(&self) -> Option<NativeLimit> {
        limit(self.users.iter())
    }

    /// What a profile of each user would do, where it would end somebody: it applies to all sessions of the user. Users all of whose
    /// sessions are protected have none.
    pub(super) fn profiles(&self) -> BTreeMap<&str, (&UserSurvey, NativeLimit)> {
        let of_policies = self.users.iter().filter(|user| user.has_unprotected && !user.is_sys());
        of_policies
            .filter_map(|user| {
                let limit = limit(std::iter::once(user)).filter(|limit| limit.ends > 0)?;
                Some((user.name.as_deref()?, (user, limit)))
            })
            .collect()
    }

    /// The value of MAX_IDLE_BLOCKER_TIME in seconds: by the idle sessions that others waited for and that were called again. `None` if
    /// there was none.
    pub(super) fn max_idle_blocker_time(&self) -> Option<i64> {
        let applies = self.users.iter().filter(|user| !user.is_sys());
        let latest = applies.filter_map(|user| user.latest_blocker).max()?;
        Some(whole_minutes((latest + INEXACT).max(SHORTEST_FOR_BLOCKERS)))
    }

    /// Whether others waited for an idle session that MAX_IDLE_BLOCKER_TIME applies to.
    pub(super) fn blocked(&self) -> bool {
        self.users.iter().any(|user| user.blocked && !user.is_sys())
    }
}

/// The limit for all sessions of these users together; `None` if none came back.
fn limit<'u>(users: impl Iterator<Item = &'u UserSurvey> + Clone) -> Option<NativeLimit> {
    let (latest, user) = users
        .clone()
        .filter_map(|user| Some((user.latest?, user)))
        .max_by_key(|(latest, _)| *latest)?;
    let seconds = whole_minutes((latest.idle + INEXACT).max(SHORTEST));
    let ended = users
        .flat_map(|user| &user.last_idle)
        .filter(|last| last.idle > seconds);
    Some(NativeLimit {
        seconds,
        user: user.name.clone(),
        latest,
        ends: ended.clone().count(),
        ends_protected: ended.filter(|last| last.is_protected).count(),
    })
}
