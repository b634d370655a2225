//! Several hosts, each with a daemon of its own, that watch the same databases, of which one leads.
//!
//! They share true time, the databases and what goes wrong in them, and nothing else: each has its clock, its journal, its switch and
//! its judge. While a call of one daemon waits for its answer, the others go on. A daemon may be killed and stay away, be stopped and go
//! on later, or be cut off from the databases; sessions that it has given up may live on in a database, hold the lock, and have a
//! statement on its way to them.

use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use orareaper::journal::read::read;

use super::base::{Base, Key, MIDNIGHT};
use super::chance::Chance;
use super::faults::Faults;
use super::judge::Entry;
use super::leads::Claim;
use super::locks::{Daemon, HELD};
use super::memory::{EntryMemory, LostIntent, Sent, Told};
use super::setting::{LOCK, OTHER_LOCK, Setting};
use super::stage::{Left, Stage, Who, lock};
use super::statements::{Asked, guard_answer};

/// A statement that its daemon has given up, on its way to a session.
struct Delayed {
    at: i64,
    base: usize,
    session: Key,
    asked: Asked,
    claim: Option<Claim>,
}

/// What all hosts share.
pub(crate) struct World {
    /// True time.
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) chance: Mutex<Chance>,
    pub(crate) bases: Mutex<Vec<Base>>,
    pub(crate) faults: Mutex<Vec<Faults>>,
    hosts: Mutex<Vec<Weak<Stage>>>,
    delayed: Mutex<Vec<Delayed>>,
    /// Somebody was found out.
    pub(crate) failed: AtomicBool,
    /// A clock was set, so that dates in the journal are not those in memory any more.
    pub(crate) clocks_were_set: AtomicBool,
    /// Nothing goes wrong any more.
    pub(crate) calm: AtomicBool,
    pub(crate) crashes: AtomicUsize,
    /// Statements that were not carried out because their session did not hold the lock, and terms that began.
    pub(crate) fenced_off: AtomicUsize,
}

/// How a host's daemon is.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// How often it was started.
    life: usize,
    /// Its process does not run, until then.
    away: Option<i64>,
    /// Its process is stopped, until then.
    stopped: Option<i64>,
    /// No database can be reached, until then.
    cut_off: Option<i64>,
    /// It does not run before somebody says so; whether its process is there.
    gone: Option<bool>,
    /// What it was doing when it crashed.
    fallen: Option<Fallen>,
}

/// What a daemon that crashed must know when it comes back.
#[derive(Debug)]
struct Fallen {
    at: i64,
    known: Vec<(usize, BTreeSet<Key>)>,
    in_flight: Vec<(usize, Key)>,
}

impl World {
    pub(crate) fn new(setting: &Setting, mut chance: Chance) -> World {
        let begins = MIDNIGHT + chance.some(0, 86_399);
        let bases: Vec<Base> = setting
            .bases
            .iter()
            .map(|spec| spec.base(begins, &mut chance))
            .collect();
        World {
            now: Arc::new(AtomicI64::new(begins)),
            chance: Mutex::new(chance),
            faults: Mutex::new(bases.iter().map(|_| Faults::default()).collect()),
            bases: Mutex::new(bases),
            hosts: Mutex::default(),
            delayed: Mutex::default(),
            failed: AtomicBool::new(false),
            clocks_were_set: AtomicBool::new(false),
            calm: AtomicBool::new(false),
            crashes: AtomicUsize::new(0),
            fenced_off: AtomicUsize::new(0),
        }
    }

    pub(crate) fn knows(&self, hosts: &[Arc<Stage>]) {
        *lock(&self.hosts) = hosts.iter().map(Arc::downgrade).collect();
    }
}

impl Stage {
    /// The daemon that runs here now.
    pub(crate) fn daemon(&self) -> Daemon {
        Daemon {
            host: self.host,
            life: lock(&self.condition).life,
        }
    }

    /// A daemon is started here.
    pub(crate) fn is_born(&self) {
        let mut condition = lock(&self.condition);
        condition.life += 1;
        condition.away = None;
    }

    /// Whether its process runs and is not stopped.
    pub(crate) fn runs(&self) -> bool {
        let condition = lock(&self.condition);
        condition.away.is_none() && condition.stopped.is_none() && condition.gone.is_none()
    }

    /// Whether its process is there, though it may be stopped.
    fn is_there(&self) -> bool {
        lock(&self.condition).away.is_none()
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        let mut condition = lock(&self.condition);
        let ends = condition.cut_off.filter(|until| *until > self.now());
        condition.cut_off = ends;
        ends.is_some()
    }

    fn is_gone(&self) -> bool {
        lock(&self.condition).gone.is_some()
    }

    /// Its process is not there, for so long.
    pub(crate) fn is_away(&self, seconds: i64) {
        lock(&self.condition).away = Some(self.now() + seconds);
    }

    /// Starts it again or lets it go on, if it is time; whether it runs.
    pub(crate) fn comes_to(self: &Arc<Self>) -> bool {
        let now = self.now();
        let (is_away, comes_back) = {
            let mut condition = lock(&self.condition);
            let calm = self.is_calm();
            if condition.stopped.is_some_and(|until| calm || until <= now) {
                condition.stopped = None;
            }
            let away = condition.away;
            (away.is_some(), away.is_some_and(|until| calm || until <= now))
        };
        if is_away && comes_back && !self.is_gone() {
            self.comes_back();
        }
        self.runs()
    }

    /// A connection is given up, or lost; the database may notice later.
    pub(crate) fn leaves(&self, base: usize, session: Key) {
        let later = self.notices_late();
        let mut bases = self.bases();
        let base = &mut bases[base];
        match later {
            Some(seconds) if base.find(session).is_some() => {
                if !base.is_ghost(session) {
                    let until = base.now + seconds;
                    base.haunts(session, until);
                }
            }
            _ => base.log_off(session),
        }
    }

    /// A session is logged off in good order, or its process is gone.
    pub(crate) fn ends(&self, base: usize, session: Key) {
        if lock(&self.condition).fallen.is_some() {
            self.leaves(base, session);
        } else {
            self.bases()[base].log_off(session);
        }
    }

    /// So much later a database notices that a client is gone; at once where there is none.
    fn notices_late(&self) -> Option<i64> {
        let late = self.setting.has_leader() && !self.is_calm() && !self.one_in(3);
        late.then(|| self.chance().some(1, 900))
    }

    /// Whether a statement that is sent now stays on the way for longer than its daemon waits.
    pub(crate) fn delays_statement(&self) -> bool {
        self.setting.has_leader() && !self.is_calm() && self.one_in(25)
    }

    /// A statement that its daemon has given up, and its session.
    pub(crate) fn arrives_late(&self, base: usize, session: Key, asked: &Asked, claim: Option<Claim>) {
        self.trace(|| format!("{asked:?} is on its way over {session:?}"));
        let (arrives, stays) = {
            let mut chance = self.chance();
            (chance.some(1, 600), chance.some(1, 900))
        };
        let now = self.now();
        let mut bases = self.bases();
        bases[base].haunts(session, now + stays);
        for own in bases[base].sessions.iter_mut().filter(|own| own.key == session) {
            // A call is under way in it, as far as anybody can see.
            own.busy = true;
        }
        lock(&self.world.delayed).push(Delayed {
            at: now + arrives,
            base,
            session,
            asked: asked.clone(),
            claim,
        });
    }

    /// Statements that were on their way arrive, if their sessions are still there.
    pub(crate) fn deliver(&self) {
        let now = self.now();
        let due: Vec<Delayed> = {
            let mut delayed = lock(&self.world.delayed);
            delayed.extract_if(.., |delayed| delayed.at <= now).collect()
        };
        for Delayed {
            base,
            session,
            asked,
            claim,
            ..
        } in due
        {
            let mut bases = self.bases();
            let base = &mut bases[base];
            if base.find(session).is_none_or(|own| own.mark.is_some()) {
                continue;
            }
            let answer = claim.map_or(HELD, |claim| base.request(session, claim.lock, false));
            self.trace(|| format!("{asked:?} arrives over {session:?}, with {answer}"));
            if answer == HELD && guard_answer(base, &asked, session).is_none() {
                if let Some(Err(why)) = claim.map(|claim| claim.check(base)) {
                    drop(bases);
                    self.fails(&format!("{why}: {asked:?}, which came late"));
                }
                base.order(asked.clause, asked.seat, asked.sql_id.as_deref(), 0);
            }
            base.haunts(session, now);
            base.notice_the_gone(false);
        }
    }

    /// The database did not carry a statement out.
    pub(crate) fn fenced_off(&self, who: Who) {
        self.trace(|| format!("{who:?} does not hold the lock"));
        self.world.fenced_off.fetch_add(1, Ordering::Relaxed);
        self.judge().was_fenced_off(who);
    }

    /// While this one waits, the daemons of other hosts go on, or this one stops for a while.
    pub(crate) fn others_go_on(&self) {
        if !self.setting.has_leader() || self.is_calm() {
            return;
        }
        let stops = self.one_in(160);
        if !stops && !self.one_in(15) {
            return;
        }
        let others = self.others_at_rest();
        if others.is_empty() {
            return;
        }
        let poll = self.setting.entries[0].says[0].poll;
        let turns = if stops { self.chance().between(1, 6) } else { 1 };
        if stops {
            self.trace(|| "stops".to_owned());
            if self.one_in(3) {
                self.somebody_ends_a_session_of(Some(self.host));
            }
        }
        for _ in 0..turns {
            let other = Arc::clone(self.chance().pick(&others));
            if stops {
                let seconds = self.chance().some(1, 2 * poll);
                self.pass(Duration::from_secs(seconds.unsigned_abs()));
            }
            let went = panic::catch_unwind(AssertUnwindSafe(|| other.goes_on()));
            if let Err(panicked) = went {
                // This daemon does not let every panic through.
                self.world.failed.store(true, Ordering::Relaxed);
                panic::resume_unwind(panicked);
            }
        }
    }

    /// The other hosts whose daemons are not in the middle of something.
    fn others_at_rest(&self) -> Vec<Arc<Stage>> {
        let hosts = lock(&self.world.hosts);
        let others = hosts.iter().filter_map(Weak::upgrade);
        others
            .filter(|other| other.host != self.host && other.depth() == 0)
            .collect()
    }

    /// A turn of this host within a wait of another one.
    fn goes_on(self: &Arc<Self>) {
        if !self.comes_to() {
            return;
        }
        let crashes = self.one_in(20).then(|| self.chance().between(1, 12));
        self.will_crash(crashes);
        let left = self.until_a_crash(|| self.everybody_s_turn());
        self.will_crash(None);
        if let Some(left) = left {
            self.falls(left);
        }
    }

    /// It has crashed, and is away for a while.
    pub(crate) fn falls(&self, left: Left) {
        let poll = self.setting.entries[0].says[0].poll;
        self.dies(left);
        let seconds = if self.one_in(2) {
            0
        } else {
            self.chance().some(1, 15 * poll)
        };
        self.is_away(seconds);
    }

    /// The daemon is gone: what it may have done is written down.
    pub(crate) fn dies(&self, left: Left) {
        self.world.crashes.fetch_add(1, Ordering::Relaxed);
        let known: Vec<(usize, BTreeSet<Key>)> = self
            .all_parts()
            .iter()
            .map(|part| (part.at, part.followed().into_iter().collect()))
            .collect();
        let fallen = Fallen {
            at: self.now(),
            known,
            in_flight: Vec::new(),
        };
        lock(&self.condition).fallen = Some(fallen);
        self.end_as_after(left);
        let history = read(self.state.path(), self.clock().utc()).expect("the journal");
        let mut judge = self.judge();
        let judge = &mut *judge;
        let memories = judge.memory.iter().enumerate();
        let under_way =
            memories.flat_map(|(at, memory)| memory.begun.values().filter_map(move |begun| LostIntent::of(at, begun)));
        let is_open = |lost: &LostIntent| history.actions.get(&lost.id).is_some_and(|past| past.outcome.is_none());
        judge
            .lost
            .extend(under_way.chain(judge.unsent.drain(..).filter(is_open)));
        let is_written = |sent: &Sent| history.actions.get(&sent.id).is_some_and(|past| past.outcome.is_some());
        let mut in_flight = Vec::new();
        for sent in judge.sent.iter_mut().filter(|sent| sent.under_way || !is_written(sent)) {
            in_flight.extend(sent.under_way.then_some((sent.entry, sent.key)));
            // What came of it is not known any more.
            (sent.under_way, sent.told) = (false, Told::Nothing);
        }
        judge.memory.iter_mut().for_each(EntryMemory::crashes);
        if let Some(fallen) = &mut lock(&self.condition).fallen {
            fallen.in_flight = in_flight;
        }
    }

    /// The daemon is started: whatever it may have done before is remembered.
    pub(crate) fn comes_back(self: &Arc<Self>) {
        let entries: Vec<Option<Entry>> = self.judge().entries.clone();
        let fallen = lock(&self.condition).fallen.take();
        self.start(&entries);
        // Later than that, some are not waited for any longer.
        let Some(fallen) = fallen.filter(|fallen| fallen.at == self.now()) else {
            return;
        };
        for (at, before) in fallen.known {
            let part = self
                .all_parts()
                .into_iter()
                .find(|part| part.at == at)
                .expect("it is configured");
            let after: BTreeSet<Key> = part.followed().into_iter().collect();
            let in_flight = fallen.in_flight.iter();
            let in_flight = in_flight.filter(|(entry, _)| *entry == at).map(|(_, key)| key);
            for key in before.iter().chain(in_flight) {
                assert!(after.contains(key), "{key:?} is forgotten after the crash");
            }
        }
    }

    /// Something happens to one of several daemons, or to its sessions.
    pub(crate) fn trouble_leaders(&self) {
        let poll = self.setting.entries[0].says[0].poll;
        let seconds = self.chance().some(1, 10 * poll);
        let what = self.chance().between(0, 29);
        match what {
            0 if self.runs() => {
                self.trace(|| format!("stops for {seconds} s"));
                lock(&self.condition).stopped = Some(self.now() + seconds);
            }
            1 if self.is_there() => {
                self.trace(|| format!("is cut off for {seconds} s"));
                lock(&self.condition).cut_off = Some(self.now() + seconds);
            }
            2 | 3 => self.somebody_ends_a_session_of(None),
            4 if self.is_there() => {
                self.trace(|| format!("is killed, and away for {seconds} s"));
                self.dies(self.left(false));
                self.is_away(seconds);
            }
            5 if self.runs() => {
                self.trace(|| format!("ends, and is away for {seconds} s"));
                self.end();
                self.is_away(seconds);
            }
            6 | 7 => {
                let at = usize::try_from(self.chance().between(0, self.setting.bases.len() as u64 - 1)).expect("few");
                let mut chance = self.chance();
                lock(&self.world.faults)[at].arm_lock(&mut chance);
            }
            _ => {}
        }
    }

    /// A DBA, or a limit on idle sessions, ends a session of a daemon: one that holds a lock, if there is one. Or it loses the lock.
    fn somebody_ends_a_session_of(&self, host: Option<usize>) {
        let (mut bases, mut chance) = (self.bases(), self.chance());
        let at = usize::try_from(chance.between(0, bases.len() as u64 - 1)).expect("few");
        let base = &mut bases[at];
        let is_of = |key: &Key| host.is_none_or(|host| base.daemon_of(*key).is_some_and(|of| of.host == host));
        let mut keys: Vec<Key> = base.holders(LOCK).map(|holder| holder.session).filter(is_of).collect();
        if keys.is_empty() {
            let own = base.sessions.iter().filter(|session| session.group.is_none());
            keys = own.map(|session| session.key).filter(is_of).collect();
        }
        if keys.is_empty() {
            return;
        }
        let key = *chance.pick(&keys);
        match chance.between(0, 2) {
            0 => base.log_off(key),
            1 => base.killed_by_somebody(key),
            // Nothing says that it cannot happen.
            _ => base.robs(key),
        }
    }

    /// Nothing is wrong with it any more.
    pub(crate) fn recovers(self: &Arc<Self>) {
        lock(&self.condition).cut_off = None;
        self.comes_to();
        lock(&self.world.delayed).clear();
        for base in self.bases().iter_mut() {
            base.notice_the_gone(true);
        }
    }

    /// The daemon is gone from one moment to the next, until it [is back](Self::is_back): killed, ended, or stopped and its sessions ended.
    pub(crate) fn goes_for_good(&self) {
        let how = self.chance().between(0, 2);
        self.trace(|| format!("goes for good: {how}"));
        match how {
            0 => self.dies(self.left(false)),
            1 => self.end(),
            _ => {
                for base in self.bases().iter_mut() {
                    let own = base.sessions.iter().map(|session| session.key);
                    let own: Vec<Key> = own
                        .filter(|key| base.daemon_of(*key).is_some_and(|of| of.host == self.host))
                        .collect();
                    own.into_iter().for_each(|key| base.log_off(key));
                }
            }
        }
        let mut condition = lock(&self.condition);
        condition.gone = Some(how == 2);
    }

    pub(crate) fn is_back(self: &Arc<Self>) {
        let was_stopped = lock(&self.condition).gone.take();
        if was_stopped == Some(false) {
            self.comes_back();
        }
    }

    /// What an entry says of its leader after a reload.
    pub(crate) fn leader_after_reload(&self, at: usize) -> Option<u32> {
        let now = self.judge().entries[at].as_ref().and_then(|entry| entry.leader);
        if !self.setting.has_leader() || !self.one_in(3) {
            return now;
        }
        *self
            .chance()
            .pick(&[Some(LOCK), Some(LOCK), Some(LOCK), Some(OTHER_LOCK), None])
    }
}
