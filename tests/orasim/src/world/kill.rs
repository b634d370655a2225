//! The effect of ALTER SYSTEM on a session, clause by clause.
//!
//! The answer and the end of the session are independent: an idle session is marked and frees its locks at once; a busy one must
//! notice the kill and roll back before it frees its locks; its row may remain longer. Plain KILL waits for the locks up to a
//! minute, then answers ORA-00031; IMMEDIATE does not wait; FORCE ends the victim without delay.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::pass::Due;
use super::session::{Kind, Mark, Seat, Told};
use super::{SessionView, Shared, State, UserLock};
use crate::backend::OraError;
use crate::clock::{Moment, calendar};
use crate::error::known;
use crate::faults::Strike;
use crate::scenario::{BackgroundKill, ContainerData, Server, WhenKilled};

/// How long a plain KILL waits for its victim.
pub(super) const PATIENCE: i64 = 60_000;
/// How long a busy session takes to notice, if the scenario does not say.
const NOTICES: i64 = 120_000;
/// Undo records rolled back a second, if the scenario does not say.
const ROLLBACK: u32 = 50_000;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// KILL SESSION.
    Kill,
    /// KILL SESSION ... IMMEDIATE.
    KillImmediate,
    /// KILL SESSION ... NOREPLAY.
    KillNoreplay,
    /// KILL SESSION ... FORCE, with so many seconds to wait.
    KillForce(u32),
    /// KILL SESSION ... TIMEOUT, with so many seconds to wait.
    KillTimeout(u32),
    /// DISCONNECT SESSION ... POST_TRANSACTION.
    DisconnectPostTransaction,
    /// DISCONNECT SESSION ... IMMEDIATE.
    DisconnectImmediate,
    /// CANCEL SQL, with the SQL_ID if one was given.
    CancelSql,
}

impl Clause {
    /// Whether it is one of KILL SESSION.
    pub(crate) fn is_kill(self) -> bool {
        match self {
            Self::Kill | Self::KillImmediate | Self::KillNoreplay | Self::KillForce(_) | Self::KillTimeout(_) => true,
            Self::DisconnectPostTransaction | Self::DisconnectImmediate | Self::CancelSql => false,
        }
    }
}

/// One ALTER SYSTEM that was meant to end a session or its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillRecord {
    /// When it was received.
    pub at: NaiveDateTime,
    /// The user who sent it.
    pub by: String,
    /// The sender's INST_ID, SID and SERIAL#.
    pub sender: (u32, u32, u32),
    /// V$SESSION.PROCESS of the sender.
    pub process: Option<String>,
    /// The user locks that anybody held at that moment.
    pub locks: Vec<UserLock>,
    /// As sent.
    pub statement: String,
    /// What was asked for.
    pub clause: Clause,
    /// The instance, SID and SERIAL# it named.
    pub target: (u32, u32, u32),
    /// USERNAME of the session it hit, if it hit one.
    pub username: Option<String>,
    /// Its group in the scenario.
    pub group: Option<String>,
    /// The session it hit is a background process.
    pub background: bool,
    /// The session it hit, as it was just before.
    pub hit: Option<SessionView>,
    /// Who else ended because they shared its server process.
    pub also: Vec<SessionView>,
    /// The answer: 0, or the number of the error. `None` while its caller waits.
    pub answer: Option<u32>,
}

/// A parsed statement.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) clause: Clause,
    pub(crate) sid: u32,
    pub(crate) serial: u32,
    pub(crate) instance: Option<u32>,
    pub(crate) sql_id: Option<String>,
    /// It says NOREPLAY, which changes a DISCONNECT in nothing else.
    pub(crate) noreplay: bool,
}

impl Order {
    /// The action's name in a scenario's behaviour.
    pub(super) fn action(&self) -> String {
        let name = match self.clause {
            Clause::Kill => "kill",
            Clause::KillImmediate => "kill immediate",
            Clause::KillNoreplay => "kill noreplay",
            Clause::KillForce(_) => "kill force",
            Clause::KillTimeout(_) => "kill timeout",
            Clause::DisconnectPostTransaction if self.noreplay => "disconnect post_transaction noreplay",
            Clause::DisconnectPostTransaction => "disconnect post_transaction",
            Clause::DisconnectImmediate if self.noreplay => "disconnect noreplay",
            Clause::DisconnectImmediate => "disconnect immediate",
            Clause::CancelSql => "cancel sql",
        };
        name.to_owned()
    }
}

/// Who gives it.
pub(crate) struct Killer {
    pub(crate) seat: Seat,
    pub(crate) user: Arc<str>,
    pub(crate) con_id: u32,
}

/// What comes of it.
pub(crate) enum Verdict {
    /// An answer at once.
    Done,
    /// Done when this session (of this SERIAL#) has freed its locks; ORA-00031 at the deadline.
    Wait { seat: Seat, serial: u32, deadline: Moment },
}

/// When a victim is rid of its locks, and of its row.
struct Course {
    notices: i64,
    rollback: i64,
    rate: u32,
    lingers: i64,
}

fn habits_of(shared: &Shared, sess: &super::Sess) -> WhenKilled {
    sess.origin
        .map(|(group, _)| shared.scenario.sessions[group].when_killed)
        .unwrap_or_default()
}

impl State {
    /// Carries an order out as far as it goes at once. The record's index is for the answer.
    pub(super) fn order(
        &mut self,
        shared: &Shared,
        killer: &Killer,
        order: &Order,
        text: &str,
        strikes: &[Strike],
    ) -> (usize, Result<Verdict, OraError>) {
        let seat = (order.instance.unwrap_or(killer.seat.0), order.sid);
        let lingers = self.strike_target(seat, strikes);
        let hit = self.sessions.get(&seat).filter(|sess| sess.serial == order.serial);
        let sender = self.sessions.get(&killer.seat);
        let record = KillRecord {
            at: calendar(self.now),
            by: killer.user.to_string(),
            sender: (killer.seat.0, killer.seat.1, sender.map_or(0, |sess| sess.serial)),
            process: sender.and_then(|sess| sess.who.process.as_deref().map(str::to_owned)),
            locks: self.user_locks().copied().collect(),
            statement: text.to_owned(),
            clause: order.clause,
            target: (seat.0, seat.1, order.serial),
            username: hit.and_then(|sess| sess.who.username.as_deref().map(str::to_owned)),
            group: hit
                .and_then(|sess| sess.origin)
                .map(|(group, _)| shared.scenario.sessions[group].name.clone()),
            background: hit.is_some_and(|sess| sess.kind == Kind::Background),
            hit: hit.map(|sess| self.view(&shared.scenario, seat, sess)),
            also: Vec::new(),
            answer: None,
        };
        self.kills.push(record);
        let shared_process = self.sharers(seat);
        let verdict = self.judge(shared, killer, order, seat, lingers);
        if order.clause == Clause::DisconnectImmediate && verdict.is_ok() {
            let record = self.kills.len() - 1;
            self.end_sharers(shared, record, &shared_process);
        }
        shared.signal();
        (self.kills.len() - 1, verdict)
    }

    /// The other sessions of a session's server process; nobody where it has none of its own: through a shared server a virtual
    /// circuit ends alone.
    fn sharers(&self, seat: Seat) -> Vec<Seat> {
        let sess = self.sessions.get(&seat);
        let of_its_own = sess.filter(|sess| matches!(sess.server, Server::Dedicated | Server::Pooled));
        let Some(pid) = of_its_own.map(|sess| sess.pid) else {
            return Vec::new();
        };
        self.sessions
            .range((seat.0, 0)..(seat.0 + 1, 0))
            .filter(|(other, sess)| **other != seat && sess.pid == pid)
            .map(|(other, _)| *other)
            .collect()
    }

    /// DISCONNECT ends the server process, and with it every session that it serves.
    fn end_sharers(&mut self, shared: &Shared, record: usize, seats: &[Seat]) {
        for seat in seats {
            let Some(sess) = self.sessions.get(seat) else { continue };
            let (view, scripted) = (self.view(&shared.scenario, *seat, sess), sess.link.is_none());
            if let Some(record) = self.kills.get_mut(record) {
                record.also.push(view);
            }
            // Its end does not matter to the caller, who already has the answer.
            let _ = if scripted {
                self.end_scripted(shared, *seat, Clause::DisconnectImmediate, None)
            } else {
                self.end_client(shared, *seat, Clause::DisconnectImmediate)
            };
        }
    }

    fn strike_target(&mut self, seat: Seat, strikes: &[Strike]) -> Option<i64> {
        let mut lingers = None;
        for strike in strikes {
            match strike {
                Strike::ReplaceTarget => drop(self.reuse(seat)),
                Strike::EndTarget => self.remove(seat),
                Strike::LingerTarget(length) => lingers = Some(length.0),
                Strike::Error { .. }
                | Strike::Cut
                | Strike::CutAfter
                | Strike::Garble(_)
                | Strike::Hang
                | Strike::Delay(_)
                | Strike::Advance(_)
                | Strike::HideInstance(_)
                | Strike::Leave(_) => {}
            }
        }
        lingers
    }

    fn judge(
        &mut self,
        shared: &Shared,
        killer: &Killer,
        order: &Order,
        seat: Seat,
        lingers: Option<i64>,
    ) -> Result<Verdict, OraError> {
        let spec = &shared.scenario.database;
        if order.instance.is_some_and(|number| self.instance(number).is_none()) {
            return Err(known(26));
        }
        let root_only = killer.con_id == 1 && spec.container_data == ContainerData::Current;
        let within = |con_id: u32| killer.con_id <= 1 && !root_only || con_id == killer.con_id || con_id == 0;
        let Some(sess) = self
            .sessions
            .get(&seat)
            .filter(|sess| sess.serial == order.serial && within(sess.con_id))
        else {
            return Err(known(shared.scenario.behaviour.missing_session.unwrap_or(30)));
        };
        if seat == killer.seat {
            return Err(known(27));
        }
        if sess.kind == Kind::Background {
            if spec.background_kill == BackgroundKill::Fatal {
                self.leave(seat.0);
                return Ok(Verdict::Done);
            }
            return Err(known(29));
        }
        if habits_of(shared, sess).refused {
            return Err(known(29));
        }
        let client = sess.link.is_some();
        let in_transaction = sess.txn.is_some() && sess.mark.is_none();
        if let Some(as_said) = self.behave(shared, seat, order) {
            return as_said;
        }
        match order.clause {
            Clause::CancelSql => {
                self.cancel(shared, seat, order);
                Ok(Verdict::Done)
            }
            Clause::DisconnectPostTransaction if in_transaction => {
                if let Some(link) = self.sessions.get_mut(&seat).and_then(|sess| sess.link.as_mut()) {
                    link.post_transaction = true;
                }
                Ok(Verdict::Done)
            }
            Clause::Kill
            | Clause::KillImmediate
            | Clause::KillNoreplay
            | Clause::KillForce(_)
            | Clause::KillTimeout(_)
            | Clause::DisconnectPostTransaction
            | Clause::DisconnectImmediate => {
                if client {
                    self.end_client(shared, seat, order.clause)
                } else {
                    self.end_scripted(shared, seat, order.clause, lingers)
                }
            }
        }
    }

    /// CANCEL SQL: without the SQL_ID it is accepted and does nothing, as measured on 19c.
    pub(super) fn cancel(&mut self, shared: &Shared, seat: Seat, order: &Order) {
        let now = self.now;
        let Some(sess) = self.sessions.get_mut(&seat) else {
            return;
        };
        let running = sess.phase(now).busy
            && order
                .sql_id
                .as_deref()
                .is_some_and(|id| sess.sql.as_deref() == Some(id));
        if !running {
            return;
        }
        let serial = sess.serial;
        match &mut sess.link {
            Some(link) => link.broken = !link.deaf,
            None => self.later(2_000, Due::Cancelled(seat, serial)),
        }
        shared.signal();
    }

    /// Ends a real client's session: an idle one learns it at its next call, a busy one in the middle of its call.
    fn end_client(&mut self, shared: &Shared, seat: Seat, clause: Clause) -> Result<Verdict, OraError> {
        let now = self.now;
        let recent = shared.scenario.release.major() >= 18;
        let Some(sess) = self.sessions.get_mut(&seat) else {
            return Err(known(30));
        };
        let replayed = shared
            .scenario
            .services
            .iter()
            .any(|it| it.replay && it.name == *sess.who.service);
        let (busy, serial) = (sess.phase(now).busy, sess.serial);
        let deaf = sess.link.as_ref().is_some_and(|link| link.deaf);
        let told = match clause {
            Clause::KillNoreplay if replayed => Told::NoReplay,
            Clause::DisconnectImmediate | Clause::KillForce(_) => Told::Cut,
            Clause::KillImmediate if recent && !busy => Told::Cut,
            Clause::Kill
            | Clause::KillImmediate
            | Clause::KillNoreplay
            | Clause::KillTimeout(_)
            | Clause::DisconnectPostTransaction
            | Clause::CancelSql => Told::Killed,
        };
        if !busy && told == Told::Cut || matches!(clause, Clause::DisconnectImmediate | Clause::KillForce(_)) {
            self.remove(seat);
            return Ok(Verdict::Done);
        }
        let marked = sess.mark.is_some();
        if !marked {
            let released = if busy { Moment::MAX } else { now };
            sess.mark = Some(Mark {
                released,
                detached: !busy,
                ..Mark::new(now, told)
            });
        }
        if !busy {
            self.release(seat);
            return if marked { Err(known(31)) } else { Ok(Verdict::Done) };
        }
        match clause {
            Clause::KillImmediate => Err(known(31)),
            Clause::KillTimeout(seconds) => Ok(Verdict::Wait {
                seat,
                serial,
                deadline: now + i64::from(seconds) * 1000,
            }),
            Clause::Kill | Clause::KillNoreplay | Clause::DisconnectPostTransaction => {
                // Without something it must finish first, it notices within moments.
                Ok(Verdict::Wait {
                    seat,
                    serial,
                    deadline: now + if deaf { PATIENCE } else { 2 * PATIENCE },
                })
            }
            Clause::KillForce(_) | Clause::DisconnectImmediate | Clause::CancelSql => Ok(Verdict::Done),
        }
    }

    fn end_scripted(
        &mut self,
        shared: &Shared,
        seat: Seat,
        clause: Clause,
        lingers: Option<i64>,
    ) -> Result<Verdict, OraError> {
        let now = self.now;
        let Some(sess) = self.sessions.get(&seat) else {
            return Err(known(30));
        };
        let serial = sess.serial;
        if let Some(mark) = sess.mark {
            return match clause {
                Clause::KillForce(_) => {
                    self.remove(seat);
                    Ok(Verdict::Done)
                }
                Clause::DisconnectImmediate if mark.released <= now => {
                    self.remove(seat);
                    Ok(Verdict::Done)
                }
                Clause::Kill
                | Clause::KillImmediate
                | Clause::KillNoreplay
                | Clause::KillTimeout(_)
                | Clause::DisconnectPostTransaction
                | Clause::DisconnectImmediate
                | Clause::CancelSql => Err(known(31)),
            };
        }
        let habits = habits_of(shared, sess);
        let course = self.course(seat, clause, habits, lingers);
        let released = now + course.notices + course.rollback;
        self.begin_end(seat, &course, habits);
        if released + course.lingers <= now {
            return Ok(Verdict::Done);
        }
        match clause {
            _ if habits.marked && !matches!(clause, Clause::KillForce(_)) => Err(known(31)),
            _ if released <= now => Ok(Verdict::Done),
            Clause::KillForce(_) | Clause::DisconnectImmediate => Ok(Verdict::Done),
            Clause::KillImmediate => Err(known(31)),
            Clause::KillTimeout(seconds) => Ok(Verdict::Wait {
                seat,
                serial,
                deadline: now + i64::from(seconds) * 1000,
            }),
            Clause::Kill | Clause::KillNoreplay | Clause::DisconnectPostTransaction | Clause::CancelSql => {
                Ok(Verdict::Wait {
                    seat,
                    serial,
                    deadline: now + PATIENCE,
                })
            }
        }
    }

    fn course(&self, seat: Seat, clause: Clause, habits: WhenKilled, lingers: Option<i64>) -> Course {
        let rate = habits.rollback.unwrap_or(ROLLBACK).max(1);
        let Some(sess) = self.sessions.get(&seat) else {
            return Course {
                notices: 0,
                rollback: 0,
                rate,
                lingers: 0,
            };
        };
        let busy = sess.phase(self.now).busy;
        let takes = habits.notices.map_or(NOTICES, |length| length.0);
        let notices = match clause {
            _ if !busy => 0,
            Clause::KillForce(seconds) => takes.min(i64::from(seconds) * 1000),
            Clause::DisconnectImmediate => 0,
            Clause::Kill
            | Clause::KillImmediate
            | Clause::KillNoreplay
            | Clause::KillTimeout(_)
            | Clause::DisconnectPostTransaction
            | Clause::CancelSql => takes,
        };
        let own = sess.transactions().map(|txn| txn.records(self.now)).sum::<i64>();
        let servers = self.servers_of(seat);
        let theirs = servers.iter().filter_map(|server| self.sessions.get(server));
        let theirs = theirs
            .flat_map(super::Sess::transactions)
            .map(|txn| txn.records(self.now));
        let records = own + theirs.sum::<i64>();
        let rollback = records * 1000 / i64::from(rate);
        let lingers = lingers.unwrap_or(if matches!(clause, Clause::KillForce(_)) {
            0
        } else {
            habits.lingers.0
        });
        Course {
            notices,
            rollback,
            rate,
            lingers,
        }
    }

    fn begin_end(&mut self, seat: Seat, course: &Course, habits: WhenKilled) {
        let now = self.now;
        let back = habits.reconnects.map(|back| back.draw(&mut self.rng));
        let Some(sess) = self.sessions.get_mut(&seat) else {
            return;
        };
        let serial = sess.serial;
        let busy = sess.phase(now).busy;
        let released = now + course.notices + course.rollback;
        sess.mark = Some(Mark {
            released,
            detached: !busy,
            ..Mark::new(now, Told::Killed)
        });
        let rollback = Some((now + course.notices, course.rate));
        for txn in sess.txn.iter_mut().chain(&mut sess.suspended) {
            txn.rollback = rollback;
        }
        for server in self.servers_of(seat) {
            if let Some(txn) = self.sessions.get_mut(&server).and_then(|sess| sess.txn.as_mut()) {
                txn.rollback = rollback;
            }
        }
        self.later(released - now, Due::Release(seat, serial));
        self.later(released - now + course.lingers, Due::Gone(seat, serial, back));
    }
}
