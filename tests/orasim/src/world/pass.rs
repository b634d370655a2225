//! How time passes: on each access, everything that is due happens in order, each at its moment.

use std::cmp::Reverse;

use super::State;
use super::session::{Activity, Parallel, Seat, mix};
use crate::clock::Moment;
use crate::scenario::{Event, Scenario};

/// Something that will happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The scenario's event of this number.
    Event(usize),
    /// A killed session's locks are released (its SERIAL# tells it from its successor).
    Release(Seat, u32),
    /// Its row goes away, and its client comes back after so long.
    Gone(Seat, u32, Option<i64>),
    /// A cancelled statement ends.
    Cancelled(Seat, u32),
    /// A client of a group comes back.
    Return(usize, u32),
}

impl State {
    pub(super) fn later(&mut self, in_millis: i64, due: Due) {
        self.queued += 1;
        self.queue
            .push(Reverse((self.now.saturating_add(in_millis), self.queued, due)));
    }

    /// When something happens next.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.queue.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Brings the world up to the present; whether anything ended meanwhile.
    pub(super) fn settle(&mut self, scenario: &Scenario, present: Moment) -> bool {
        let mut happened = false;
        while let Some(Reverse((at, _, _))) = self.queue.peek() {
            if *at > present {
                break;
            }
            let Some(Reverse((at, _, due))) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(at);
            self.happen(scenario, due);
            happened = true;
        }
        self.now = self.now.max(present);
        self.strike_the_idle() || happened
    }

    fn happen(&mut self, scenario: &Scenario, due: Due) {
        match due {
            Due::Event(index) => self.event(scenario, &scenario.events[index]),
            Due::Release(seat, serial) => {
                if self.sessions.get(&seat).is_some_and(|sess| sess.serial == serial) {
                    self.release(seat);
                }
            }
            Due::Gone(seat, serial, back) => {
                let Some(sess) = self.sessions.get(&seat).filter(|sess| sess.serial == serial) else {
                    return;
                };
                let origin = sess.origin;
                self.remove(seat);
                if let (Some((group, slot)), Some(back)) = (origin, back) {
                    self.later(back, Due::Return(group, slot));
                }
            }
            Due::Cancelled(seat, serial) => {
                let now = self.now;
                if let Some(sess) = self.sessions.get_mut(&seat).filter(|sess| sess.serial == serial) {
                    sess.activity = Activity::Idle { since: now };
                    sess.blocked = None;
                }
            }
            Due::Return(group, slot) => self.spawn(scenario, group, slot, false),
        }
    }

    fn event(&mut self, scenario: &Scenario, event: &Event) {
        let group = |name: &Option<String>| {
            name.as_ref()
                .and_then(|name| scenario.sessions.iter().position(|group| group.name == *name))
        };
        if let Some(index) = group(&event.spawn) {
            self.spawn_group(scenario, index, true);
        }
        if let Some(index) = group(&event.end) {
            for seat in self.members(index) {
                self.remove(seat);
            }
        }
        if let Some(index) = group(&event.wake) {
            let cycle = scenario.sessions[index].cycle;
            for seat in self.members(index) {
                let now = self.now;
                let Some(sess) = self.sessions.get_mut(&seat) else {
                    continue;
                };
                sess.activity = match cycle {
                    Some(cycle) => Activity::Cycle {
                        anchor: now,
                        period: (cycle.busy.high + cycle.idle.low).max(2),
                        busy: (cycle.busy.low, cycle.busy.high),
                        salt: mix(u64::from(seat.1), u64::from(seat.0)),
                    },
                    None => Activity::Busy { since: now },
                };
            }
        }
        if let Some(instance) = event.leave {
            self.leave(instance);
        }
        if let Some(instance) = event.join {
            self.join(scenario, instance);
        }
        if let Some(resources) = &event.resources {
            if let Some(percent) = resources.get("host_cpu") {
                self.host_cpu.push((self.now, *percent));
            }
            self.resources
                .extend(resources.iter().map(|(name, used)| (name.clone(), *used)));
        }
    }

    fn members(&self, group: usize) -> Vec<Seat> {
        let of = |origin: Option<(usize, u32)>| origin.is_some_and(|(index, _)| index == group);
        self.sessions
            .iter()
            .filter(|(_, sess)| of(sess.origin))
            .map(|(seat, _)| *seat)
            .collect()
    }

    /// A session's transaction is over and its locks are free: who waited for it goes on.
    pub(super) fn release(&mut self, seat: Seat) {
        let now = self.now;
        self.tables.roll_back(seat);
        if let Some(sess) = self.sessions.get_mut(&seat) {
            sess.txn = None;
            sess.suspended = None;
            sess.blocked = None;
        }
        for server in self.servers_of(seat) {
            if let Some(sess) = self.sessions.get_mut(&server) {
                sess.txn = None;
            }
        }
        self.free_waiters(seat, now);
    }

    /// A session's work is made lasting.
    pub(super) fn keep(&mut self, seat: Seat) {
        let now = self.now;
        self.tables.commit(seat);
        if let Some(sess) = self.sessions.get_mut(&seat) {
            sess.txn = None;
        }
        self.free_waiters(seat, now);
    }

    fn free_waiters(&mut self, seat: Seat, now: Moment) {
        for sess in self.sessions.values_mut() {
            if sess.blocked.is_some_and(|(blocker, _)| blocker == seat) {
                sess.blocked = None;
                if sess.link.is_none() {
                    sess.activity = Activity::Idle { since: now };
                }
            }
        }
    }

    /// A session's row goes away, and with it its PX servers.
    pub(super) fn remove(&mut self, seat: Seat) {
        self.release(seat);
        let Some(sess) = self.sessions.remove(&seat) else {
            return;
        };
        if let Some(link) = &sess.link {
            (link.hangup)();
        }
        if let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.spec.number == seat.0)
        {
            instance.free.push(seat.1);
        }
        if sess.parallel.is_some_and(|part| part.number == 0) {
            for server in self.servers_of(seat) {
                self.remove(server);
            }
        }
    }

    /// The PX servers of a coordinator.
    pub(super) fn servers_of(&self, coordinator: Seat) -> Vec<Seat> {
        if self
            .sessions
            .get(&coordinator)
            .is_some_and(|sess| sess.parallel.is_none())
        {
            return Vec::new();
        }
        let serves = |part: Parallel| part.coordinator == coordinator && part.number > 0;
        self.sessions
            .iter()
            .filter(|(_, other)| other.parallel.is_some_and(serves))
            .map(|(served, _)| *served)
            .collect()
    }

    /// An instance is gone from one moment to the next.
    pub(super) fn leave(&mut self, number: u32) {
        let seats: Vec<Seat> = self
            .sessions
            .range((number, 0)..(number + 1, 0))
            .map(|(seat, _)| *seat)
            .collect();
        for seat in seats {
            self.remove(seat);
        }
        if let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.spec.number == number)
        {
            instance.up = false;
            instance.free.clear();
        }
    }

    /// An instance comes back: SIDs and SERIAL#s begin anew.
    pub(super) fn join(&mut self, scenario: &Scenario, number: u32) {
        let now = self.now;
        let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.spec.number == number)
        else {
            return;
        };
        if instance.up {
            return;
        }
        let spec = instance.spec.clone();
        *instance = super::Instance::new(&spec, now);
        self.start_background(scenario, number);
    }

    /// Another session takes a seat over: the same look, a new SERIAL#, logged on just now.
    pub(super) fn reuse(&mut self, seat: Seat) -> Option<u32> {
        let now = self.now;
        let instance = self
            .instances
            .iter_mut()
            .find(|instance| instance.spec.number == seat.0)?;
        let serial = instance.serial(seat.1, 0);
        instance.serials.insert(seat.1, serial);
        self.release(seat);
        let sess = self.sessions.get_mut(&seat)?;
        if let Some(link) = sess.link.take() {
            (link.hangup)();
        }
        sess.serial = serial;
        sess.logon = now;
        sess.activity = Activity::Busy { since: now };
        sess.mark = None;
        Some(serial)
    }
}
