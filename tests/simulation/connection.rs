//! Connections to the simulated database, behind the daemon's own traits: what a driver does, without a wire and without a thread.
//!
//! Before a call is answered, anything else may happen ([`Stage::meanwhile`]): time passes, sessions change, others of the daemon's
//! parts get their turn. That is how the order of events is drawn.

use std::sync::{Arc, Weak};
use std::time::Duration;

use orareaper::decide::guard::Statement;
use orareaper::oracle::{
    ActingConnection, BlockAnswer, Class, Connection, ConnectionIdentity, Connector, Error, LeaderLock, LockQuestion,
    Phase, Purpose, Query, Sink, Target,
};

use super::base::{Effect, Key};
use super::faults::Strike;
use super::judge::Read;
use super::locks::HELD;
use super::stage::{Stage, Who};
use super::statements::{Asked, guard_answer, parse};
use super::views::{Asking, begins_snapshot, sessions_read};

/// What a fenced statement is answered whose session does not hold the lock.
const FENCED_OFF: u32 = 20_999;

/// Connects an entry of the configuration.
#[derive(Clone)]
pub(crate) struct ToBase {
    pub(crate) stage: Weak<Stage>,
    pub(crate) entry: usize,
}

impl std::fmt::Debug for ToBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to the database of entry {}", self.entry)
    }
}

/// A session of the daemon's.
struct ToSession {
    stage: Arc<Stage>,
    entry: usize,
    base: usize,
    own: Key,
    identity: ConnectionIdentity,
    lost: bool,
    trips: u64,
}

impl ToBase {
    fn open(&self, target: &Target, purpose: Purpose) -> Result<ToSession, Error> {
        let stage = self.stage.upgrade().expect("the run goes on");
        let tried = "connect";
        let attempt = stage.tries_password(self.entry);
        stage.meanwhile();
        let (base, wanted) = stage.place(&target.connect);
        if stage.is_cut_off() {
            return Err(Error::from_database(Phase::Connect, tried, Some(12170), "simulated"));
        }
        if let Some(Strike::Error(code)) = stage.strike(base, "CONNECT") {
            return Err(Error::from_database(Phase::Connect, tried, Some(code), "simulated"));
        }
        let mut bases = stage.bases();
        let up: Vec<u32> = bases[base]
            .instances
            .iter()
            .filter(|it| it.up)
            .map(|it| it.number)
            .collect();
        let inst = match wanted {
            Some(wanted) if up.contains(&wanted) => wanted,
            Some(_) => return Err(Error::from_database(Phase::Connect, tried, Some(12514), "simulated")),
            None => *stage.chance().pick(&up),
        };
        if attempt.is_some_and(|attempt| !stage.is_let_in(attempt.tried)) {
            return Err(Error::from_database(Phase::Connect, tried, Some(1017), "simulated"));
        }
        let own = bases[base].log_in(inst, None).expect("it is up");
        bases[base].belongs(own, stage.daemon());
        drop(bases);
        Ok(ToSession {
            stage,
            entry: self.entry,
            base,
            own,
            identity: ConnectionIdentity {
                database: Arc::clone(&target.name),
                driver: target.driver,
                purpose,
            },
            lost: false,
            trips: 0,
        })
    }
}

impl Connector for ToBase {
    fn connect(&self, target: &Target) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.open(target, Purpose::Poll)?))
    }

    fn connect_to_act(&self, target: &Target) -> Result<Box<dyn ActingConnection>, Error> {
        Ok(Box::new(self.open(target, Purpose::Act)?))
    }
}

impl ToSession {
    fn failed(&mut self, tried: &str, code: u32) -> Error {
        let error = Error::from_database(Phase::Call, tried, Some(code), "simulated");
        self.lost = error.class.costs_the_connection();
        if self.lost {
            self.stage.leaves(self.base, self.own);
        }
        error
    }

    /// Why the database does not answer over this connection any more, if so.
    fn is_gone(&mut self, what: &str, limit: Duration) -> Option<Error> {
        if self.stage.is_cut_off() {
            if self.stage.one_in(2) {
                self.stage.pass(limit);
            }
            return Some(self.failed(what, 3113));
        }
        let mark = self.stage.bases()[self.base]
            .find(self.own)
            .map(|session| session.mark.is_some());
        match mark {
            // Its instance left, or somebody ended it.
            None => Some(self.failed(what, 3113)),
            Some(true) => {
                self.lost = true;
                let error = Error::from_database(Phase::Call, what, Some(28), "simulated");
                Some(error)
            }
            Some(false) => None,
        }
    }

    /// What a call meets before the database looks at it; an error ends it.
    fn begin(&mut self, what: &str, limit: Duration) -> Result<Option<Strike>, Error> {
        if self.lost {
            return Err(Error::new(Class::Reconnect, what, "the connection was lost before"));
        }
        self.stage.meanwhile();
        let strike = self.stage.strike(self.base, what);
        match strike {
            Some(Strike::Error(code)) => return Err(self.failed(what, code)),
            Some(Strike::Cut) => return Err(self.failed(what, 3113)),
            Some(Strike::Hang) => {
                self.stage.pass(limit);
                // The call was interrupted, and the connection with it.
                return Err(self.failed(what, 3156));
            }
            Some(Strike::Slow(seconds)) => self.stage.pass(Duration::from_secs(seconds).min(limit)),
            Some(Strike::Leave(inst)) => self.stage.bases()[self.base].leave(inst),
            _ => {}
        }
        match self.is_gone(what, limit) {
            Some(error) => Err(error),
            None => Ok(strike),
        }
    }

    fn who(&self) -> Who {
        match self.identity.purpose {
            Purpose::Act => self.stage.acting(self.entry),
            Purpose::Poll | Purpose::Decoy => Who::Poller(self.entry),
        }
    }

    /// Sends a statement and waits for its end; `None` where there is no answer.
    fn run(&mut self, asked: &Asked, limit: Duration) -> Result<BlockAnswer, Error> {
        const TRIED: &str = "run a statement";
        if !self.lost && self.stage.delays_statement() {
            self.stage.pass(limit);
            let claim = self.stage.judge().claim(self.who(), self.own, asked);
            self.stage.arrives_late(self.base, self.own, asked, claim);
            self.lost = true;
            return Err(Error::from_database(Phase::Call, TRIED, Some(3156), "simulated"));
        }
        let strike = self.begin("ALTER SYSTEM", limit)?;
        self.stage.may_crash(3);
        let told = |code: u32| BlockAnswer {
            code,
            message: if code == 0 {
                String::new()
            } else {
                format!("ORA-{code:05}: simulated")
            },
        };
        if let Some(Strike::Answer(code)) = strike {
            return Ok(told(code));
        }
        let claim = self.stage.judge().claim(self.who(), self.own, asked);
        let effect = {
            let mut bases = self.stage.bases();
            let base = &mut bases[self.base];
            if let Some(claim) = claim {
                if base.request(self.own, claim.lock, false) != HELD {
                    return Ok(told(FENCED_OFF));
                }
                if let Err(why) = claim.check(base) {
                    drop(bases);
                    self.stage.fails(&format!("{why}: {asked:?}"));
                }
            }
            let victim = base
                .on_seat(asked.seat.0, asked.seat.1, asked.seat.2)
                .map(|session| session.key);
            match (strike, victim) {
                (Some(Strike::EndTarget), Some(key)) => base.log_off(key),
                (Some(Strike::ReplaceTarget), Some(key)) => base.reuse_seat(key, false),
                _ => {}
            }
            let lingers = if let Some(Strike::Linger(seconds)) = strike {
                seconds
            } else {
                0
            };
            match guard_answer(base, asked, self.own) {
                Some(code) => Effect::Answer(code),
                None => base.order(asked.clause, asked.seat, asked.sql_id.as_deref(), lingers),
            }
        };
        self.stage.may_crash(3);
        let code = match effect {
            Effect::Answer(code) => code,
            Effect::Waits(key, until) => self.wait(key, until, limit)?,
        };
        if strike == Some(Strike::CutAfter) {
            return Err(self.failed(TRIED, 3113));
        }
        Ok(told(code))
    }

    /// Waits for a plain KILL's end, while everything else goes on.
    fn wait(&mut self, key: Key, until: i64, limit: Duration) -> Result<u32, Error> {
        let mut left = limit.as_secs();
        loop {
            if let Some(code) = self.stage.bases()[self.base].waited(key, until) {
                return Ok(code);
            }
            if left == 0 {
                return Err(self.failed("run a statement", 3156));
            }
            let span = self.stage.chance().between(1, 20).min(left);
            left -= span;
            self.stage.pass(Duration::from_secs(span));
            self.stage.meanwhile_at_length();
            if self.stage.bases()[self.base].find(self.own).is_none() {
                return Err(self.failed("run a statement", 3113));
            }
        }
    }
}

impl Connection for ToSession {
    fn query(&mut self, query: &Query, limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error> {
        let asked_at = self.stage.now();
        self.begin(query.of, limit)?;
        self.trips += 1;
        let who = self.who();
        let hidden = self.stage.faults()[self.base].hidden;
        let bases = self.stage.bases();
        let base = &bases[self.base];
        let asking = Asking {
            base,
            own: self.own,
            hidden,
            at_most: self.stage.at_most(self.base),
        };
        let mut judge = self.stage.judge();
        if begins_snapshot(query) {
            judge.reads(who, Read::Begins(base, asked_at));
        } else if let Some(seat) = sessions_read(query) {
            judge.reads(who, Read::Sessions(&asking, seat));
        } else if query.of == "GV$RESOURCE_LIMIT" && !query.sql.contains("1 = 0") {
            judge.reads(who, Read::Limits(&asking));
        }
        drop(judge);
        asking.answer(query, sink);
        Ok(())
    }

    fn ping(&mut self, limit: Duration) -> Result<(), Error> {
        self.begin("PING", limit).map(|_| ())
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn identity(&self) -> &ConnectionIdentity {
        &self.identity
    }

    fn warning(&self) -> Option<&str> {
        None
    }

    fn round_trips(&self) -> u64 {
        self.trips
    }

    fn close(self: Box<Self>, _: Duration) {}
}

impl ActingConnection for ToSession {
    fn send(&mut self, statement: Statement, fence: Option<LeaderLock>, limit: Duration) -> Result<BlockAnswer, Error> {
        let fence = fence.map(|LeaderLock(lock)| lock);
        let asked = Asked {
            fence,
            ..parse(statement.text(), self.own.inst)
        };
        let who = self.who();
        let stage = Arc::clone(&self.stage);
        stage.sends(who, self.base, &asked, limit);
        let answer = self.run(&asked, limit);
        let told = answer.as_ref().ok().map(|answer| answer.code);
        if told == Some(FENCED_OFF) && fence.is_some() {
            stage.fenced_off(who);
        } else {
            stage.judge().told(who, told);
        }
        answer
    }

    fn ask(&mut self, question: &LockQuestion, limit: Duration) -> Result<BlockAnswer, Error> {
        assert!(self.stage.setting.has_leader(), "nobody leads, and {question:?}");
        let strike = self.begin("DBMS_LOCK", limit)?;
        if let Some(Strike::Answer(code)) = strike {
            // The grant is gone, and PL/SQL does not compile.
            let message = format!("ORA-{code:05}: simulated: DBMS_LOCK");
            return Ok(BlockAnswer { code, message });
        }
        let code = self.stage.bases()[self.base].asked_for_lock(self.own, question.text());
        self.stage
            .trace(|| format!("{:?} is answered {code} to {}", self.own, question.text()));
        self.stage.meanwhile();
        if strike == Some(Strike::CutAfter) {
            return Err(self.failed("DBMS_LOCK", 3113));
        }
        let message = String::new();
        Ok(BlockAnswer { code, message })
    }
}

impl Drop for ToSession {
    fn drop(&mut self) {
        if !self.lost {
            self.stage.ends(self.base, self.own);
        }
    }
}
