//! Which connections have to stand by, so that it can be acted when it is needed.
//!
//! A database at its limit of sessions or processes lets nobody in, and that is when sessions have to be ended. So where any
//! policy enforces, connections to act on stand beside the one that reads from the first snapshot on: one, or one to each
//! instance where a policy disconnects, because that reaches no other instance. They are asked at every poll whether they
//! live. That finds a lost one before it is needed, and keeps away the limits on idle sessions (IDLE_TIME of a profile,
//! MAX_IDLE_TIME, MAX_IDLE_BLOCKER_TIME).
//!
//! They are made after the first snapshot and not before: a refused account is then tried once, by the one that reads.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::daemon::backoff::Backoff;
use crate::decide::in_force::{InForce, RunMode};
use crate::oracle::Error;
use crate::policy::model::{Action, PolicySet};
use crate::session::snapshot::Snapshot;

/// What the connections that stand by have to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Needed {
    /// Nothing: no policy enforces.
    #[default]
    Nothing,
    /// The database, by any of its instances.
    Any,
    /// Each of these instances.
    Each(Vec<u32>),
}

impl Needed {
    /// What the policies in force need on the instances of a snapshot.
    #[must_use]
    pub fn of(set: &PolicySet, in_force: &[InForce], snapshot: &Snapshot) -> Needed {
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

/// An instance that cannot be read is not acted on either.
fn readable(snapshot: &Snapshot) -> Vec<u32> {
    let instances = snapshot.instances().iter().filter(|instance| instance.complete);
    instances.map(|instance| instance.inst_id).collect()
}

/// What the thread that acts is asked for.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What has to be reached.
    pub needed: Needed,
    /// Names of the instances, to reach one by.
    pub instances: HashMap<u32, String>,
    /// Whether a connection that is missing may be made now. If not, those that are there are only asked whether they live.
    pub may_connect: bool,
}

/// A connection that has to stand by.
#[derive(Clone, Debug)]
pub struct Place {
    /// The instance that it is to; `None` for one to any instance while there is none.
    pub inst_id: Option<u32>,
    /// Whether it is there.
    pub stands: bool,
    /// Why it could not be made, if it was tried.
    pub error: Option<Error>,
}

/// What is remembered of the connections that stand by.
#[derive(Debug)]
pub struct Standby {
    needed: Needed,
    instances: HashMap<u32, String>,
    /// The thread that acts has been asked and has not answered.
    asked: bool,
    /// It was asked to have some stand by, so it has to be told when none is needed any more.
    standing: bool,
    backoff: Backoff,
    next: Next,
}

/// When a missing connection may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Now,
    From(Monotonic),
    /// The account was refused: not before a reload.
    Never,
}

impl Standby {
    /// Nothing is needed yet.
    #[must_use]
    pub fn new(database: &str) -> Standby {
        Standby {
            needed: Needed::Nothing,
            instances: HashMap::new(),
            asked: false,
            standing: false,
            backoff: Backoff::of(database),
            next: Next::Now,
        }
    }

    /// Takes note of what is needed from now on.
    pub fn need(&mut self, needed: Needed, snapshot: &Snapshot) {
        self.needed = needed;
        self.instances = names(snapshot);
    }

    /// What to ask for at this poll; nothing where the last question is not answered, or there is nothing to ask about.
    /// `may_connect` is false where no connection may be made for other reasons.
    pub fn ask(&mut self, now: Monotonic, may_connect: bool) -> Option<Standing> {
        if self.asked || (self.needed == Needed::Nothing && !self.standing) {
            return None;
        }
        self.asked = true;
        self.standing = self.needed != Needed::Nothing;
        let in_time = match self.next {
            Next::Now => true,
            Next::From(from) => now >= from,
            Next::Never => false,
        };
        Some(Standing {
            needed: self.needed.clone(),
            instances: self.instances.clone(),
            may_connect: may_connect && in_time,
        })
    }

    /// Takes the answer. A place that could not be taken is tried again later, longer each time; the others stand.
    pub fn answered(&mut self, places: &[Place], now: Monotonic, poll: Duration) {
        self.asked = false;
        match places.iter().find_map(|place| place.error.as_ref()) {
            Some(error) => {
                let pause = self.backoff.after(error.class, poll);
                self.next = pause.map_or(Next::Never, |pause| Next::From(now.plus(pause)));
            }
            None if places.iter().all(|place| place.stands) => self.again(),
            None => {}
        }
    }

    /// Missing connections may be made at once: somebody has acted, or none is missing.
    pub fn again(&mut self) {
        self.backoff.reset();
        self.next = Next::Now;
    }
}

/// The instances' names.
#[must_use]
pub fn names(snapshot: &Snapshot) -> HashMap<u32, String> {
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

    fn place(stands: bool, class: Option<Class>) -> Place {
        Place {
            inst_id: Some(1),
            stands,
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
    fn a_refused_account_is_not_tried_before_a_reload() {
        let mut standby = asking();
        standby.ask(at(0), true).expect("asked");
        standby.answered(&[place(true, None), place(false, Some(Class::Auth))], at(0), POLL);
        let asked = standby.ask(at(100_000), true).expect("the others are asked on");
        assert!(!asked.may_connect);
        standby.answered(&[place(true, None), place(false, None)], at(100_000), POLL);
        standby.again();
        assert!(standby.ask(at(100_015), true).is_some_and(|asked| asked.may_connect));
    }
}
