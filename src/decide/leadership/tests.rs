//! What each answer means, and a model of several daemons on one database in which anything happens in any order.

use std::collections::BTreeMap;

use super::*;
use crate::session::time::DbTime;

fn session(sid: u32) -> SessionKey {
    SessionKey {
        inst_id: 1,
        sid,
        serial: 1,
        logon_time: DbTime(0),
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One that leads, with this session, which shares the lock.
fn leading(sid: u32) -> Leadership {
    let mut one = Leadership::default();
    let key = session(sid);
    assert_eq!(
        one.answered(key, LockCall::Begin, LockAnswer::Got, at(1)),
        Footing::Acts
    );
    assert_eq!(
        one.answered(key, LockCall::Share, LockAnswer::Held, at(2)),
        Footing::Acts
    );
    one
}

#[test]
fn a_term_begins_alone_and_is_shared_from_the_next_answer_on() {
    let mut one = Leadership::default();
    let (first, second) = (session(1), session(2));
    assert_eq!(one.rank(), Rank::StandsBy(WhyNot::Unasked));
    assert_eq!(one.next(first), Some(LockCall::Begin));
    assert_eq!(
        one.answered(first, LockCall::Begin, LockAnswer::Taken, at(1)),
        Footing::Waits
    );
    assert_eq!(one.rank(), Rank::StandsBy(WhyNot::Another));
    assert_eq!(
        one.answered(first, LockCall::Begin, LockAnswer::Got, at(5)),
        Footing::Acts
    );
    assert_eq!(one.rank(), Rank::Leads { term: 1, since: at(5) });
    assert_eq!([one.next(first), one.next(second)], [Some(LockCall::Share), None]);
    assert_eq!(
        one.answered(first, LockCall::Share, LockAnswer::Held, at(9)),
        Footing::Acts
    );
    assert_eq!(
        [one.next(first), one.next(second)],
        [Some(LockCall::Keep), Some(LockCall::Join)]
    );
    assert_eq!(one.rank(), Rank::Leads { term: 1, since: at(5) }, "the term goes on");
}

#[test]
fn every_answer_but_held_ends_a_session_and_the_last_one_ends_the_term() {
    for answer in [LockAnswer::Got, LockAnswer::Taken, LockAnswer::Other(5)] {
        let mut one = leading(1);
        assert_eq!(
            one.answered(session(1), LockCall::Keep, answer, at(3)),
            Footing::Closes,
            "{answer:?}"
        );
        assert!(matches!(one.rank(), Rank::StandsBy(_)), "{answer:?}");
        assert_eq!(one.term_of(session(1)), None, "{answer:?}");
    }
    // A lock that is held and does not count: its answer was lost.
    let mut one = Leadership::default();
    assert_eq!(
        one.answered(session(1), LockCall::Begin, LockAnswer::Held, at(1)),
        Footing::Closes
    );
    let mut one = leading(1);
    one.failed(session(1), "no answer");
    assert_eq!(one.rank(), Rank::StandsBy(WhyNot::Refused("no answer".into())));
}

#[test]
fn who_joins_counts_once_one_that_counts_was_seen_alive_after_it() {
    let (first, second) = (session(1), session(2));
    let mut one = leading(1);
    assert_eq!(
        one.answered(second, LockCall::Join, LockAnswer::Got, at(3)),
        Footing::Waits
    );
    assert_eq!(one.term_of(second), None);
    assert_eq!(one.vouched(second, &[first], &[first]), Footing::Acts);
    assert_eq!(one.term_of(second), Some(1));
    one.ended(first);
    assert_eq!(
        one.rank(),
        Rank::Leads { term: 1, since: at(1) },
        "it holds the lock in its own right"
    );

    let mut one = leading(1);
    assert_eq!(one.vouched(second, &[first], &[]), Footing::Closes);
    assert!(one.members().is_empty(), "the first one is gone");

    // The first one lost the lock while the other looked.
    let mut one = leading(1);
    one.ended(first);
    assert_eq!(one.vouched(second, &[first], &[first]), Footing::Closes);
    assert!(one.members().is_empty());
}

#[test]
fn a_new_term_forgets_the_sessions_of_the_one_before() {
    let mut one = leading(1);
    assert_eq!(
        one.answered(session(2), LockCall::Begin, LockAnswer::Got, at(9)),
        Footing::Acts
    );
    assert_eq!(one.rank(), Rank::Leads { term: 2, since: at(9) });
    assert_eq!(one.term_of(session(1)), None);
    assert_eq!(
        one.answered(session(1), LockCall::Keep, LockAnswer::Held, at(9)),
        Footing::Closes
    );
}

/// DBMS_LOCK, and the sessions that are alive.
#[derive(Default)]
struct World {
    alive: Vec<SessionKey>,
    locks: BTreeMap<SessionKey, Grip>,
    next: u32,
}

impl World {
    fn connect(&mut self) -> SessionKey {
        self.next += 1;
        let key = session(self.next);
        self.alive.push(key);
        key
    }

    fn end(&mut self, key: SessionKey) {
        self.alive.retain(|known| *known != key);
        self.locks.remove(&key);
    }

    /// `None` where the session is gone.
    fn call(&mut self, key: SessionKey, call: LockCall) -> Option<LockAnswer> {
        if !self.alive.contains(&key) {
            return None;
        }
        let mut others = self.locks.iter().filter(|(holder, _)| **holder != key);
        let wanted = match call {
            LockCall::Begin => Grip::Alone,
            LockCall::Share | LockCall::Join | LockCall::Keep => Grip::Shared,
        };
        let is_free = others.all(|(_, grip)| wanted == Grip::Shared && *grip == Grip::Shared);
        if let Some(grip) = self.locks.get_mut(&key) {
            if call == LockCall::Share {
                *grip = Grip::Shared;
            }
            return Some(LockAnswer::Held);
        }
        if !is_free {
            return Some(LockAnswer::Taken);
        }
        self.locks.insert(key, wanted);
        Some(LockAnswer::Got)
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).expect("small")).expect("small")
    }
}

/// An answer on its way.
enum Pending {
    Answer(SessionKey, LockCall, Option<LockAnswer>, Vec<SessionKey>),
    Seen(SessionKey, Vec<SessionKey>, Vec<SessionKey>),
}

struct Daemon {
    leadership: Leadership,
    sessions: Vec<SessionKey>,
    pending: Vec<Pending>,
}

impl Daemon {
    fn asks(&mut self, world: &mut World, dice: &mut Dice) {
        if self.sessions.is_empty() {
            return;
        }
        let key = self.sessions[dice.roll(self.sessions.len())];
        let is_asking = self.pending.iter().any(|pending| match pending {
            Pending::Answer(asking, ..) | Pending::Seen(asking, ..) => *asking == key,
        });
        if is_asking {
            return;
        }
        if let Some(call) = self.leadership.next(key) {
            let asked = self.leadership.members();
            self.pending
                .push(Pending::Answer(key, call, world.call(key, call), asked));
        }
    }

    fn hears(&mut self, world: &mut World, dice: &mut Dice, now: u64) {
        if self.pending.is_empty() {
            return;
        }
        let (key, footing) = match self.pending.swap_remove(dice.roll(self.pending.len())) {
            Pending::Answer(key, _, None, _) => {
                self.leadership.failed(key, "gone");
                (key, Footing::Closes)
            }
            Pending::Answer(key, call, Some(answer), asked) => {
                let footing = self.leadership.answered(key, call, answer, at(now));
                if (call, answer) == (LockCall::Join, LockAnswer::Got) {
                    // It looks after it has the lock; what it sees takes its time too.
                    let alive = asked.iter().copied().filter(|key| world.alive.contains(key)).collect();
                    self.pending.push(Pending::Seen(key, asked, alive));
                }
                (key, footing)
            }
            Pending::Seen(key, asked, alive) => (key, self.leadership.vouched(key, &asked, &alive)),
        };
        if footing == Footing::Closes {
            self.leadership.ended(key);
            self.sessions.retain(|known| *known != key);
            world.end(key);
        }
    }

    /// Whether a statement of one of its sessions would be carried out now: the session asks in the same call.
    fn could_act(&self, world: &World) -> bool {
        let may = |key: &&SessionKey| self.leadership.term_of(**key).is_some();
        let holds = |key: &SessionKey| world.alive.contains(key) && world.locks.contains_key(key);
        self.sessions.iter().filter(may).any(holds)
    }
}

/// Sessions end at any moment with and without their daemon's notice, answers come late and in any order.
#[test]
fn in_no_order_of_events_two_daemons_can_act() {
    const SCHEDULES: u64 = 20_000;
    let (mut terms, mut joined) = (0, 0);
    for seed in 1..=SCHEDULES {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::default();
        let mut daemons: Vec<Daemon> = (0..3)
            .map(|_| Daemon {
                leadership: Leadership::default(),
                sessions: Vec::new(),
                pending: Vec::new(),
            })
            .collect();
        for step in 0..120 {
            let daemon = &mut daemons[dice.roll(3)];
            match dice.roll(12) {
                0 | 1 if daemon.sessions.len() < 3 => daemon.sessions.push(world.connect()),
                2 if !world.alive.is_empty() => {
                    let key = world.alive[dice.roll(world.alive.len())];
                    world.end(key);
                }
                3..=7 => daemon.asks(&mut world, &mut dice),
                _ => daemon.hears(&mut world, &mut dice, step),
            }
            let able = daemons.iter().filter(|daemon| daemon.could_act(&world)).count();
            assert!(able <= 1, "seed {seed}, step {step}: {able} could act");
            joined += usize::from(daemons.iter().any(|daemon| daemon.leadership.members().len() > 1));
        }
        terms += daemons.iter().map(|daemon| daemon.leadership.term).sum::<u64>();
    }
    assert!(
        terms > SCHEDULES && joined > 10_000,
        "{terms} terms, {joined} steps with several sessions"
    );
}
