//! Which acting connections stand by, so that the daemon can act when it is needed.
//!
//! A database at its limit of sessions or processes accepts no new connection, and that is when sessions have to be ended. So if
//! any policy enforces, acting connections stand by from the first snapshot on: one, or one to each instance if a policy
//! disconnects, because DISCONNECT reaches no other instance. They are checked at every poll. That finds a lost connection before
//! it is needed, and keeps limits on idle sessions from ending it (IDLE_TIME of a profile, MAX_IDLE_TIME,
//! MAX_IDLE_BLOCKER_TIME). The probe is repeated on each of them after a reload and at intervals, as on the reading connection.
//!
//! They are made only after the first snapshot, so that a refused account is tried once, by the reading connection.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::daemon::backoff::Backoff;
use crate::decide::in_force::{InForce, RunMode};
use crate::oracle::Error;
use crate::policy::model::{Action, PolicySet};
use crate::session::snapshot::Snapshot;

/// The instances that need a connection that stands by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Needed {
    /// Nothing: no policy enforces.
    #[default]
    Nothing,
    /// One connection to any instance.
    Any,
    /// A connection to each of these instances.
    Each(Vec<u32>),
}

impl Needed {
    /// What the policies in force need on the instances of a snapshot.
    #[must_use]
    pub(crate) fn of(set: &PolicySet, in_force: &[InForce], snapshot: &Snapshot) -> Needed {
        let enforced = in_force.iter().filter(|policy| policy.mode() == RunMode::Enforce);
        let mut needed = Needed::Nothing;
        for policy in enforced.filter_map(|in_force| set.policies.get(in_force.index())) {
            let rungs = policy.escalate.iter().map(|rung| rung.action);
            for action in std::iter::once(policy.action).chain(rungs) {
                match action {
                    Action::Disconnect { .. } => return Needed::Each(readable(snapshot)),
                    Action::Kill { .. } | Action::CancelSql | Action::Report => needed = Needed::Any,
                }
            }
        }
        needed
    }
}

/// The instances that were read; others are not acted on.
fn readable(snapshot: &Snapshot) -> Vec<u32> {
    let instances = snapshot.instances().iter().filter(|instance| instance.complete);
    instances.map(|instance| instance.inst_id).collect()
}

/// The order to the acting thread.
#[derive(Clone, Debug)]
pub struct StandbyOrder {
    /// The connections that are needed.
    pub needed: Needed,
    /// The names of the instances, for connecting to one.
    pub instances: BTreeMap<u32, String>,
    /// Whether missing connections may be made now. If not, the open ones are only checked.
    pub may_connect: bool,
    /// Whether to probe the database again, over each open connection.
    pub anew: bool,
}

/// The state of a connection that has to stand by.
#[derive(Clone, Debug)]
pub struct ConnectionState {
    /// Its instance; `None` for one to any instance that is missing.
    pub(crate) inst_id: Option<u32>,
    /// Whether it is open.
    pub stands: bool,
    /// Whether its session may act, as far as one of several daemons leads.
    pub acts: bool,
    /// Why it could not be opened, if that was tried.
    pub(crate) error: Option<Error>,
}

/// The state of the connections that stand by.
#[derive(Debug)]
pub(crate) struct Standby {
    needed: Needed,
    instances: BTreeMap<u32, String>,
    /// The places of the last answer.
    places: Vec<ConnectionState>,
    /// Whether the acting thread has an order that it has not answered.
    asked: bool,
    /// Whether it was told to keep connections, so that it has to be told when none is needed any more.
    standing: bool,
    backoff: Backoff,
    next: NextAttempt,
    /// There was a reload since they were asked.
    reloaded: bool,
}

/// When a missing connection may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextAttempt {
    /// At once.
    Now,
    /// Then.
    From(Monotonic),
    /// Not before a reload: the account was refused.
    Never,
}

impl NextAttempt {
    /// After this pause; `None` if there must be no attempt.
    #[must_use]
    pub(crate) fn after(pause: Option<Duration>, now: Monotonic) -> NextAttempt {
        pause.map_or(NextAttempt::Never, |pause| NextAttempt::From(now.plus(pause)))
    }

    /// Whether its time has come.
    #[must_use]
    pub(crate) fn is_due(self, now: Monotonic) -> bool {
        match self {
            NextAttempt::Now => true,
            NextAttempt::From(from) => now >= from,
            NextAttempt::Never => false,
        }
    }
}

impl Standby {
    /// Without any need.
    #[must_use]
    pub(crate) fn new(database: &str) -> Standby {
        Standby {
            needed: Needed::Nothing,
            instances: BTreeMap::new(),
            places: Vec::new(),
            asked: false,
            standing: false,
            backoff: Backoff::of(database),
            next: NextAttempt::Now,
            reloaded: false,
        }
    }

    /// Sets what is needed from now on.
    pub(crate) fn need(&mut self, needed: Needed, snapshot: &Snapshot) {
        self.needed = needed;
        self.instances = names(snapshot);
    }

    /// The order for this poll; `None` if the last one is not answered, or nothing is needed. `may_connect` is false if no connection
    /// may be made for other reasons.
    pub(crate) fn ask(&mut self, now: Monotonic, may_connect: bool) -> Option<StandbyOrder> {
        if self.asked || (self.needed == Needed::Nothing && !self.standing) {
            return None;
        }
        self.asked = true;
        self.standing = self.needed != Needed::Nothing;
        Some(StandbyOrder {
            needed: self.needed.clone(),
            instances: self.instances.clone(),
            may_connect: may_connect && self.next.is_due(now),
            anew: std::mem::take(&mut self.reloaded),
        })
    }

    /// Processes the answer. A connection that could not be opened is tried again later, with growing pauses; the others stay.
    pub(crate) fn answered(&mut self, places: &[ConnectionState], now: Monotonic, poll: Duration) {
        self.asked = false;
        self.places = places.to_vec();
        match places.iter().find_map(|place| place.error.as_ref()) {
            Some(error) => {
                self.next = NextAttempt::after(self.backoff.after(error.class, poll), now);
            }
            None if places.iter().all(|place| place.stands) => self.again(),
            None => {}
        }
    }

    /// The instance whose connection an action on this instance takes; any instance's for `None`.
    #[must_use]
    pub(crate) fn place_of(&self, inst_id: u32) -> Option<u32> {
        match &self.needed {
            Needed::Nothing | Needed::Any => None,
            Needed::Each(instances) => instances.contains(&inst_id).then_some(inst_id),
        }
    }

    /// Whether any connection has to stand by.
    #[must_use]
    pub(crate) fn is_needed(&self) -> bool {
        self.needed != Needed::Nothing
    }

    /// The names of the instances, for connecting to one.
    #[must_use]
    pub(crate) fn instances(&self) -> &BTreeMap<u32, String> {
        &self.instances
    }

    /// Another thread is to stand by from now on; what the one before it was asked is not waited for.
    pub(crate) fn passed_on(&mut self) {
        self.asked = false;
    }

    /// How many connections have to stand by; one where a batch makes its own.
    #[must_use]
    pub(crate) fn connections(&self) -> u32 {
        match &self.needed {
            Needed::Nothing | Needed::Any => 1,
            Needed::Each(instances) => u32::try_from(instances.len()).unwrap_or(u32::MAX).max(1),
        }
    }

    /// The places where they stood by last, as if none did.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<ConnectionState> {
        let gone = |place: &ConnectionState| ConnectionState {
            stands: false,
            acts: false,
            error: None,
            ..place.clone()
        };
        let places: Vec<ConnectionState> = self.places.iter().map(gone).collect();
        if places.is_empty() && self.needed != Needed::Nothing {
            return vec![ConnectionState {
                inst_id: None,
                stands: false,
                acts: false,
                error: None,
            }];
        }
        places
    }

    /// Notes that somebody has acted: missing connections may be made at once, and the last probe may be out of date.
    pub(crate) fn reloaded(&mut self) {
        self.again();
        self.reloaded = true;
    }

    /// Lets missing connections be made at once.
    fn again(&mut self) {
        self.backoff.reset();
        self.next = NextAttempt::Now;
    }
}

/// The instances' names.
#[must_use]
pub(crate) fn names(snapshot: &Snapshot) -> BTreeMap<u32, String> {
    let instances = snapshot.instances().iter();
    instances
        .map(|instance| (instance.inst_id, instance.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Class;

    const POLL: Duration = Duration::from_secs(15);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::at(Duration::from_secs(seconds))
    }

    fn place(stands: bool, class: Option<Class>) -> ConnectionState {
        ConnectionState {
            inst_id: Some(1),
            stands,
            acts: stands,
            error: class.map(|class| Error::new(class, "connect to prod", "no")),
        }
    }

    fn asking() -> Standby {
        let mut standby = Standby::new("prod");
        standby.needed = Needed::Any;
        standby
    }

    #[test]
    fn nobody_is_asked_where_nothing_is_needed_and_once_when_it_no_longer_is() {
        let mut standby = Standby::new("prod");
        assert!(standby.ask(at(0), true).is_none());
        standby.needed = Needed::Any;
        assert!(standby.ask(at(0), true).is_some_and(|asked| asked.may_connect));
        assert!(standby.ask(at(15), true).is_none(), "one question at a time");
        standby.answered(&[place(true, None)], at(15), POLL);
        standby.needed = Needed::Nothing;
        let last = standby.ask(at(30), true).expect("what stands by may go");
        assert_eq!(last.needed, Needed::Nothing);
        standby.answered(&[], at(30), POLL);
        assert!(standby.ask(at(45), true).is_none());
    }

    #[test]
    fn a_lost_connection_is_made_anew_at_once_and_one_that_cannot_be_is_tried_less_and_less() {
        let mut standby = asking();
        let may = |standby: &mut Standby, now| standby.ask(at(now), true).map(|asked| asked.may_connect);
        assert_eq!(may(&mut standby, 0), Some(true));
        standby.answered(&[place(true, None)], at(0), POLL);
        // It is lost between two polls: the question itself makes it anew.
        assert_eq!(may(&mut standby, 15), Some(true));
        standby.answered(&[place(false, Some(Class::Backoff))], at(15), POLL);
        // 15 s and up to a quarter more.
        assert_eq!(may(&mut standby, 29), Some(false));
        standby.answered(&[place(false, None)], at(29), POLL);
        assert_eq!(may(&mut standby, 34), Some(true));
        standby.answered(&[place(false, Some(Class::Backoff))], at(34), POLL);
        assert_eq!(may(&mut standby, 63), Some(false), "30 s this time");
        standby.answered(&[place(false, None)], at(63), POLL);
        assert_eq!(may(&mut standby, 72), Some(true));
        standby.answered(&[place(true, None)], at(72), POLL);
        assert_eq!(may(&mut standby, 73), Some(true), "and it begins anew");
    }

    #[test]
    fn a_reload_has_everything_found_out_anew_once() {
        let mut standby = asking();
        let asked = |standby: &mut Standby| {
            let asked = standby.ask(at(0), false).expect("it may be asked");
            standby.answered(&[place(true, None)], at(0), POLL);
            asked.anew
        };
        assert!(!asked(&mut standby));
        standby.reloaded();
        assert_eq!([asked(&mut standby), asked(&mut standby)], [true, false]);
    }

    #[test]
    fn a_refused_account_is_not_tried_before_a_reload() {
        let mut standby = asking();
        standby.ask(at(0), true).expect("asked");
        standby.answered(&[place(true, None), place(false, Some(Class::Auth))], at(0), POLL);
        let asked = standby.ask(at(100_000), true).expect("the others are asked on");
        assert!(!asked.may_connect);
        standby.answered(&[place(true, None), place(false, None)], at(100_000), POLL);
        standby.reloaded();
        assert!(standby.ask(at(100_015), true).is_some_and(|asked| asked.may_connect));
    }
}
