//! The simulated database: sessions that work, wait, go and come back. In memory, on simulated time, and drawn from the seed.
//!
//! It is the truth that the judge goes by, so it knows nothing of the daemon. Its views are in `views`, its statements in
//! `statements`. There are two times: true time, which only passes, and the database's clock, which may be set.

use super::chance::Chance;
use super::groups::{GROUPS, Habit, group_named};
use super::locks::Locks;

/// True time begins here, at midnight: 2026-11-23T00:00:00Z, a Monday.
pub(crate) const MIDNIGHT: i64 = 20_780 * 86_400;

/// The daemon's account.
pub(crate) const REAPER: &str = "REAPER";

/// How long a plain KILL waits for its victim.
const PATIENCE: i64 = 60;

/// A session's whole key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) inst: u32,
    pub(crate) sid: u32,
    pub(crate) serial: u32,
    /// LOGON_TIME, by the database's clock.
    pub(crate) logon: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) since: i64,
    pub(crate) undo: i64,
    pub(crate) addr: String,
}

/// A session that is KILLED.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// When it holds nothing any more.
    pub(crate) frees: i64,
    /// When its row is gone.
    pub(crate) gone: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) key: Key,
    /// Its place in [`GROUPS`]; none for the daemon's own.
    pub(crate) group: Option<usize>,
    /// When it logged in, in true time.
    pub(crate) came: i64,
    pub(crate) busy: bool,
    /// Since when it is busy or idle, in true time.
    pub(crate) since: i64,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) mark: Option<Mark>,
    /// It ends with its transaction, as it was asked to.
    pub(crate) asked: bool,
    /// How many statements it has run.
    pub(crate) executions: i64,
    pub(crate) waits_for: Option<(u32, u32)>,
    pub(crate) paddr: String,
    /// When it begins to work or stops.
    turns: i64,
}

impl Session {
    pub(crate) fn user(&self) -> &'static str {
        self.group.map_or(REAPER, |group| GROUPS[group].user)
    }

    pub(crate) fn program(&self) -> &'static str {
        self.group.map_or("orareaper", |group| GROUPS[group].program)
    }

    pub(crate) fn machine(&self) -> &'static str {
        self.group.map_or("host", |group| GROUPS[group].machine)
    }

    fn habit(&self) -> Habit {
        self.group.map_or(Habit::Idle, |group| GROUPS[group].habit)
    }

    pub(crate) fn is_background(&self) -> bool {
        self.user().is_empty()
    }

    pub(crate) fn event(&self) -> &'static str {
        if self.habit() == Habit::Listens {
            "pipe get"
        } else if self.waits_for.is_some() {
            "enq: TX - row lock contention"
        } else {
            "SQL*Net message from client"
        }
    }

    pub(crate) fn transaction_status(&self) -> &'static str {
        if self.habit() == Habit::Prepared {
            "PREPARED"
        } else {
            "ACTIVE"
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        match (self.mark, self.habit(), self.busy) {
            (Some(_), ..) => "KILLED",
            (None, Habit::Cached, _) => "CACHED",
            (None, _, true) => "ACTIVE",
            (None, _, false) => "INACTIVE",
        }
    }

    pub(crate) fn server(&self) -> &'static str {
        match (self.mark, self.habit()) {
            (Some(_), _) if !self.busy => "PSEUDO",
            (_, Habit::Cached) => "NONE",
            _ => "DEDICATED",
        }
    }

    pub(crate) fn sql_id(&self) -> Option<&'static str> {
        const IDS: [&str; 3] = ["8yds4k9tqmh3u", "0abc4k9tqmh3v", "7zds4k9tqmh3w"];
        let at = usize::try_from(self.executions).unwrap_or(0) % IDS.len();
        self.busy.then_some(IDS[at])
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) started: i64,
    next_sid: u32,
}

/// What became of a statement that reached the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is answered at once: 0, or an error.
    Answer(u32),
    /// A plain KILL waits until this session is free, or until then.
    Waits(Key, i64),
}

/// How a session is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    Kill,
    KillImmediate,
    KillForce,
    DisconnectPostTransaction,
    DisconnectImmediate,
    CancelSql,
}

impl Clause {
    /// Whether it shows at once: STATUS is KILLED.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Clause::Kill | Clause::KillImmediate | Clause::KillForce)
    }

    /// How hard it is; an escalation only ever becomes harder.
    pub(crate) fn strength(self) -> u8 {
        match self {
            Clause::CancelSql => 1,
            Clause::DisconnectPostTransaction => 2,
            Clause::Kill => 3,
            Clause::KillImmediate | Clause::DisconnectImmediate => 4,
            Clause::KillForce => 5,
        }
    }
}

/// The habits of those who are ended in this database.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Endings {
    /// The rows of idle sessions stay for so long.
    pub(crate) lingers: i64,
    /// Busy ones notice after so long.
    pub(crate) notices: i64,
    /// Undo records rolled back in a second.
    pub(crate) rollback: i64,
    /// Their clients log in again within so long.
    pub(crate) reconnects: Option<i64>,
}

/// One database.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) name: &'static str,
    pub(crate) instances: Vec<Instance>,
    pub(crate) sessions: Vec<Session>,
    /// True time.
    pub(crate) now: i64,
    /// How much later the database's clock is.
    pub(crate) offset: i64,
    pub(crate) endings: Endings,
    /// Calls of the guard package that were let through, when.
    pub(crate) guarded: Vec<i64>,
    pub(crate) locks: Locks,
    chance: Chance,
    next_serial: u32,
    logins: Vec<(i64, usize, u32)>,
    addresses: u64,
}

impl Base {
    pub(crate) fn new(name: &'static str, instances: u32, now: i64, endings: Endings, chance: Chance) -> Base {
        let instance = |number| Instance {
            number,
            name: format!("{}{number}", name.to_lowercase()),
            up: true,
            started: now - 90_000,
            next_sid: 1,
        };
        let mut base = Base {
            name,
            instances: (1..=instances).map(instance).collect(),
            sessions: Vec::new(),
            now,
            offset: 0,
            endings,
            guarded: Vec::new(),
            locks: Locks::default(),
            chance,
            next_serial: 100,
            logins: Vec::new(),
            addresses: 0xA000,
        };
        for number in 1..=instances {
            base.log_in(number, Some(group_named("background")));
        }
        base
    }

    /// SYSDATE.
    pub(crate) fn clock(&self) -> i64 {
        self.now + self.offset
    }

    pub(crate) fn is_up(&self, inst: u32) -> bool {
        self.instances
            .iter()
            .any(|instance| instance.number == inst && instance.up)
    }

    fn address(&mut self) -> String {
        self.addresses += 0x10;
        format!("{:016X}", self.addresses)
    }

    /// A new session of a group, or of the daemon.
    pub(crate) fn log_in(&mut self, inst: u32, group: Option<usize>) -> Option<Key> {
        let seat = self
            .instances
            .iter_mut()
            .find(|instance| instance.number == inst && instance.up)?;
        let sid = seat.next_sid;
        seat.next_sid += 1;
        Some(self.seat(inst, sid, group))
    }

    fn seat(&mut self, inst: u32, sid: u32, group: Option<usize>) -> Key {
        self.next_serial += 1;
        let key = Key {
            inst,
            sid,
            serial: self.next_serial,
            logon: self.clock(),
        };
        let paddr = self.address();
        let mut session = Session {
            key,
            group,
            came: self.now,
            busy: false,
            since: self.now,
            transaction: None,
            mark: None,
            asked: false,
            executions: 0,
            waits_for: None,
            paddr,
            turns: i64::MAX,
        };
        match session.habit() {
            Habit::Pool => session.turns = self.now + self.chance.some(5, 180),
            Habit::Idle | Habit::Cached | Habit::Listens => {}
            Habit::Transaction(undo) => session.transaction = Some(self.transaction(undo)),
            Habit::Prepared => session.transaction = Some(self.transaction(5)),
            Habit::Runs => session.busy = true,
            Habit::Waits => {
                session.busy = true;
                let mut others = self.sessions.iter();
                let holder = others.find(|other| other.group == Some(group_named("walked-away")));
                session.waits_for = holder.map(|other| (other.key.inst, other.key.sid));
            }
        }
        self.sessions.push(session);
        key
    }

    fn transaction(&mut self, undo: i64) -> Transaction {
        Transaction {
            since: self.clock(),
            undo,
            addr: self.address(),
        }
    }

    /// A session that has been there for so long.
    pub(crate) fn long_there(&mut self, inst: u32, group: usize, ago: i64) {
        if let Some(key) = self.log_in(inst, Some(group)) {
            let ago_idle = ago - self.chance.some(0, 30).min(ago);
            let session = self.sessions.last_mut().expect("just logged in");
            assert_eq!(session.key, key);
            session.key.logon -= ago;
            session.came -= ago;
            session.since -= ago_idle;
        }
    }

    pub(crate) fn find(&self, key: Key) -> Option<&Session> {
        self.sessions.iter().find(|session| session.key == key)
    }

    /// Whoever has this SID and SERIAL#.
    pub(crate) fn on_seat(&self, inst: u32, sid: u32, serial: u32) -> Option<&Session> {
        let is = |session: &&Session| (session.key.inst, session.key.sid, session.key.serial) == (inst, sid, serial);
        self.sessions.iter().find(is)
    }

    /// Lets true time pass; whatever is due happens on the way.
    pub(crate) fn advance(&mut self, until: i64) {
        while let Some(next) = self.next_event().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = self.now.max(until);
    }

    fn next_event(&self) -> Option<i64> {
        let of_session = |session: &Session| match session.mark {
            Some(mark) if session.transaction.is_some() || session.busy => mark.frees.min(mark.gone),
            Some(mark) => mark.gone,
            None => session.turns,
        };
        let sessions = self.sessions.iter().map(of_session);
        let logins = self.logins.iter().map(|(at, ..)| *at);
        let all = sessions.chain(logins).chain(self.next_noticed());
        all.filter(|at| *at != i64::MAX).min()
    }

    fn settle(&mut self) {
        let now = self.now;
        for session in &mut self.sessions {
            match session.mark {
                Some(mark) if mark.frees <= now => {
                    session.transaction = None;
                    session.waits_for = None;
                    session.busy = false;
                }
                Some(_) => {}
                None if session.turns <= now => {
                    session.busy = !session.busy;
                    session.since = now;
                    session.executions += i64::from(session.busy);
                    session.turns = match (session.habit(), session.busy) {
                        (Habit::Pool, true) => now + self.chance.some(1, 20),
                        (Habit::Pool, false) => now + self.chance.some(5, 180),
                        _ => i64::MAX,
                    };
                }
                None => {}
            }
        }
        self.sessions
            .retain(|session| session.mark.is_none_or(|mark| mark.gone > now));
        self.notice_the_gone(false);
        let due: Vec<(i64, usize, u32)> = self.logins.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, group, inst) in due {
            self.log_in(inst, Some(group));
        }
    }

    /// Ends a session as its own client would.
    pub(crate) fn log_off(&mut self, key: Key) {
        self.sessions.retain(|session| session.key != key);
    }

    /// Puts another session on a seat, with the same look; with the same SERIAL# too where that was used up.
    pub(crate) fn reuse_seat(&mut self, key: Key, same_serial: bool) {
        let Some(group) = self.find(key).map(|session| session.group) else {
            return;
        };
        self.log_off(key);
        let new = self.seat(key.inst, key.sid, group);
        if same_serial && new.logon != key.logon {
            let session = self.sessions.last_mut().expect("just seated");
            session.key.serial = key.serial;
        }
    }

    /// Its client uses it: a statement runs for some seconds, or it was a short one.
    pub(crate) fn use_it(&mut self, key: Key) {
        let now = self.now;
        let short = self.chance.one_in(2);
        let ends = now + self.chance.some(2, 90);
        if let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.key == key && session.mark.is_none())
        {
            session.executions += 1;
            session.since = now;
            (session.busy, session.turns) = if short { (false, i64::MAX) } else { (true, ends) };
        }
    }

    /// Its transaction ends.
    pub(crate) fn commit(&mut self, key: Key) {
        let Some(session) = self.sessions.iter_mut().find(|session| session.key == key) else {
            return;
        };
        if session.mark.is_none() && session.transaction.take().is_some() && session.asked {
            self.end(key, false);
        }
    }

    /// An instance leaves, and all of its sessions with it.
    pub(crate) fn leave(&mut self, inst: u32) {
        if self.instances.iter().filter(|instance| instance.up).count() > 1 {
            for instance in self.instances.iter_mut().filter(|instance| instance.number == inst) {
                instance.up = false;
            }
            self.sessions.retain(|session| session.key.inst != inst);
        }
    }

    /// It is there again.
    pub(crate) fn join(&mut self, inst: u32) {
        let now = self.now;
        let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.number == inst && !instance.up)
        else {
            return;
        };
        (instance.up, instance.started, instance.next_sid) = (true, now, 1);
        self.log_in(inst, Some(group_named("background")));
    }

    /// Carries a statement out on whoever has this SID and SERIAL#; `lingers` makes it take so much longer.
    pub(crate) fn order(
        &mut self,
        clause: Clause,
        seat: (u32, u32, u32),
        sql_id: Option<&str>,
        lingers: i64,
    ) -> Effect {
        if !self.is_up(seat.0) {
            return Effect::Answer(26);
        }
        let Some(session) = self.on_seat(seat.0, seat.1, seat.2) else {
            return Effect::Answer(30);
        };
        let (key, busy, in_transaction) = (session.key, session.busy, session.transaction.is_some());
        if session.is_background() {
            return Effect::Answer(29);
        }
        if clause == Clause::CancelSql {
            let runs = session.sql_id().is_some_and(|runs| sql_id == Some(runs));
            if runs && let Some(session) = self.sessions.iter_mut().find(|session| session.key == key) {
                // It notices within moments.
                session.turns = self.now + 2;
            }
            return Effect::Answer(0);
        }
        if let Some(mark) = session.mark {
            let harder = matches!(clause, Clause::KillForce | Clause::DisconnectImmediate);
            if harder && (clause == Clause::KillForce || mark.frees <= self.now) {
                self.log_off(key);
                return Effect::Answer(0);
            }
            return Effect::Answer(31);
        }
        if clause == Clause::DisconnectPostTransaction && in_transaction {
            for session in self.sessions.iter_mut().filter(|session| session.key == key) {
                session.asked = true;
            }
            return Effect::Answer(0);
        }
        let forced = matches!(clause, Clause::KillForce | Clause::DisconnectImmediate);
        let mark = self.end_in(key, forced, lingers);
        match clause {
            _ if mark.frees <= self.now => Effect::Answer(0),
            Clause::Kill | Clause::DisconnectPostTransaction if busy || in_transaction => {
                Effect::Waits(key, self.now + PATIENCE)
            }
            Clause::KillForce | Clause::DisconnectImmediate => Effect::Answer(0),
            Clause::Kill | Clause::KillImmediate | Clause::DisconnectPostTransaction | Clause::CancelSql => {
                Effect::Answer(31)
            }
        }
    }

    /// What a KILL that waited is answered at last; `None` while it waits.
    pub(crate) fn waited(&self, key: Key, until: i64) -> Option<u32> {
        let is_free = self
            .find(key)
            .is_none_or(|session| session.mark.is_some_and(|mark| mark.frees <= self.now));
        match is_free {
            true => Some(0),
            false => (self.now >= until).then_some(31),
        }
    }

    /// A DBA kills it.
    pub(crate) fn killed_by_somebody(&mut self, key: Key) {
        if self.find(key).is_some_and(|session| session.mark.is_none()) {
            self.end(key, false);
        }
    }

    fn end(&mut self, key: Key, forced: bool) -> Mark {
        self.end_in(key, forced, 0)
    }

    fn end_in(&mut self, key: Key, forced: bool, lingers: i64) -> Mark {
        let (now, endings) = (self.now, self.endings);
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.key == key)
            .expect("it is there");
        let undo = session.transaction.as_ref().map_or(0, |transaction| transaction.undo);
        let notices = if session.busy && !forced { endings.notices } else { 0 };
        let frees = now + notices + lingers + undo / endings.rollback.max(1);
        let mark = Mark {
            frees,
            gone: frees + if forced { 0 } else { endings.lingers },
        };
        session.mark = Some(mark);
        session.turns = i64::MAX;
        let group = session.group;
        if let (Some(within), Some(group)) = (endings.reconnects, group) {
            let at = now + self.chance.some(5, within);
            self.logins.push((at, group, key.inst));
        }
        if frees <= now {
            self.settle();
        }
        mark
    }
}
