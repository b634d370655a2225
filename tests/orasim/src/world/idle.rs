//! The limits on idle sessions: IDLE_TIME of a profile, MAX_IDLE_TIME, MAX_IDLE_BLOCKER_TIME.
//!
//! A session over its profile's limit is SNIPED: it keeps its place until its client calls, and is told ORA-02396 then. One over
//! a limit of the instance is ended at once, and its client finds its connection cut. Here a limit is kept to the second;
//! Oracle looks now and then, which only gives a client longer.

use std::collections::BTreeMap;

use super::State;
use super::session::{Kind, Seat, Sess};
use crate::scenario::{Parked, Scenario};
use crate::views::instance::{parameters_in, parameters_of, used_on};

/// The limits of a scenario, in milliseconds; what is not limited is not there.
#[derive(Debug, Default)]
pub(super) struct IdleLimits {
    profiles: BTreeMap<String, i64>,
    /// By container.
    idle: BTreeMap<u32, i64>,
    blocker: BTreeMap<u32, i64>,
    /// SESSIONS and PROCESSES of each instance.
    room: [i64; 2],
}

/// What becomes of an idle session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sniped,
    Ended,
}

impl IdleLimits {
    pub(super) fn of(scenario: &Scenario) -> Self {
        const MINUTE: i64 = 60_000;
        let profiles = scenario.accounts.iter().filter_map(|(name, account)| {
            let minutes = account.idle_time?;
            Some((name.clone(), i64::from(minutes) * MINUTE))
        });
        let containers = 0..3 + scenario.database.pdbs.len() as u32;
        let limited = |parameter: &str| {
            let minutes = containers.clone().filter_map(|con_id| {
                let minutes: i64 = parameters_in(scenario, con_id).get(parameter)?.parse().ok()?;
                (minutes > 0).then_some((con_id, minutes * MINUTE))
            });
            minutes.collect()
        };
        let parameters = parameters_of(scenario);
        let most = |name: &str| parameters.get(name).and_then(|it| it.parse().ok()).unwrap_or(i64::MAX);
        Self {
            profiles: profiles.collect(),
            idle: limited("max_idle_time"),
            blocker: limited("max_idle_blocker_time"),
            room: [most("sessions"), most("processes")],
        }
    }

    /// A profile limits this user, or does not any more.
    fn limit(&mut self, user: &str, minutes: Option<u32>) {
        match minutes {
            Some(minutes) => self.profiles.insert(user.to_owned(), i64::from(minutes) * 60_000),
            None => self.profiles.remove(user),
        };
    }

    fn are_none(&self) -> bool {
        self.profiles.is_empty() && self.idle.is_empty() && self.blocker.is_empty()
    }
}

impl State {
    /// The account's profile counts from now on.
    pub(super) fn limit_idle(&mut self, user: &str) {
        let minutes = self.accounts.get(user).and_then(|known| known.account.idle_time);
        self.idle_limits.limit(user, minutes);
    }

    /// Whether a limit on idle sessions struck anybody.
    pub(super) fn strike_the_idle(&mut self) -> bool {
        if self.idle_limits.are_none() {
            return false;
        }
        let fates: Vec<(Seat, Fate)> = self
            .sessions
            .iter()
            .filter_map(|(seat, sess)| Some((*seat, self.fate(*seat, sess)?)))
            .collect();
        for (seat, fate) in &fates {
            match fate {
                Fate::Ended => self.remove(*seat),
                Fate::Sniped => {
                    if let Some(sess) = self.sessions.get_mut(seat) {
                        sess.parked = Some(Parked::Sniped);
                    }
                }
            }
        }
        !fates.is_empty()
    }

    fn fate(&self, seat: Seat, sess: &Sess) -> Option<Fate> {
        let phase = sess.phase(self.now);
        if sess.kind == Kind::Background || phase.busy || sess.mark.is_some() {
            return None;
        }
        let limits = &self.idle_limits;
        let over = |limit: Option<&i64>| limit.is_some_and(|limit| self.now - phase.since > *limit);
        if over(limits.idle.get(&sess.con_id)) {
            return Some(Fate::Ended);
        }
        let user = sess.who.username.as_deref().unwrap_or("SYS");
        let spared = user == "SYS" || sess.parallel.is_some_and(|part| part.number > 0);
        if !spared && over(limits.blocker.get(&sess.con_id)) && self.counts_as_blocking(seat) {
            return Some(Fate::Ended);
        }
        let sniped = sess.parked == Some(Parked::Sniped);
        (!sniped && over(limits.profiles.get(user))).then_some(Fate::Sniped)
    }

    /// Somebody waits for it, or there is no room for another session or process where it is.
    fn counts_as_blocking(&self, seat: Seat) -> bool {
        let waits = |sess: &Sess| sess.blocked.is_some_and(|(blocker, _)| blocker == seat);
        let [sessions, processes] = self.idle_limits.room;
        self.sessions.values().any(waits)
            || used_on(self, seat.0, "sessions") >= sessions
            || used_on(self, seat.0, "processes") >= processes
    }
}

/// Whether its client is told at the next call that it was idle for too long.
pub(super) fn is_sniped(sess: &Sess) -> bool {
    sess.link.is_some() && sess.parked == Some(Parked::Sniped)
}
