//! The session of a real client: the effects of its calls on the world, and of the world on its calls.
//!
//! Every call first checks the session's row: if it is marked for kill, the client gets the error and the row is removed; if it
//! is already gone, the connection gets no answer. A wait inside a call (a sleep, a row lock, a kill that waits for its victim)
//! ends when the session is marked for kill, interrupted or gone.

use std::sync::Arc;
use std::time::Duration;

use super::idle::is_sniped;
use super::pass::Due;
use super::session::{Activity, Seat, Sess, Told, sql_id_of};
use super::{Shared, State};
use crate::backend::{EndToEnd, Interrupt, OraError, Reply, Session, Statement, Then};
use crate::clock::Moment;
use crate::error::{cut, fatal, known, ora};
use crate::faults::Strike;
use crate::scenario::Wait;
use crate::sql::engine::Engine;
use crate::sql::lex::Tokens;
use crate::views::Viewer;

/// What ALTER SESSION and the login have set.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) viewer: Viewer,
    /// Who logged in, while a package runs with the rights of its owner.
    pub(crate) invoker: Option<Arc<str>>,
    pub(crate) schema: String,
    pub(crate) date_model: String,
    pub(crate) time_model: String,
    pub(crate) sysdba: bool,
    /// What SYSDATE and SYSTIMESTAMP are ahead of the host's clock.
    pub(crate) sysdate_shift: i64,
}

/// The session of one connection.
pub(crate) struct ClientSession {
    pub(crate) shared: Arc<Shared>,
    pub(crate) seat: Seat,
    pub(crate) serial: u32,
    pub(crate) setting: Setting,
    pub(crate) engine: Option<Engine>,
    /// By what the bytes of the next answer are changed.
    pub(crate) garbled: Option<u64>,
    ended: bool,
}

/// What a client is told, as the last thing.
fn said(told: Told) -> OraError {
    match told {
        Told::Killed => fatal(28),
        Told::NoReplay => fatal(45),
        Told::Cut => cut(),
        Told::Number(number) => fatal(number),
    }
}

impl ClientSession {
    pub(super) fn new(shared: Arc<Shared>, seat: Seat, serial: u32, setting: Setting) -> Self {
        Self {
            shared,
            seat,
            serial,
            setting,
            engine: None,
            garbled: None,
            ended: false,
        }
    }

    /// The own row, or what the client is told instead.
    fn own<'s>(&self, state: &'s mut State, deaf: bool) -> Result<&'s mut Sess, OraError> {
        let (seat, serial, now) = (self.seat, self.serial, state.now);
        if self.ended {
            return Err(fatal(1012));
        }
        let mark = match state.sessions.get(&seat).filter(|sess| sess.serial == serial) {
            None => {
                return Err(state.farewells.remove(&(seat, serial)).map_or_else(cut, said));
            }
            Some(sess) => sess.mark.filter(|mark| !deaf && mark.noticed <= now),
        };
        if let Some(mark) = mark {
            // The answer must still reach the client: its connection is not hung up with the row.
            let told = said(mark.told);
            if told.then == Then::SessionGone
                && let Some(sess) = state.sessions.get_mut(&seat)
            {
                sess.link = None;
            }
            if mark.stays {
                state.release(seat);
            } else {
                state.remove(seat);
            }
            self.shared.signal();
            return Err(told);
        }
        if let Some(sess) = state.sessions.get_mut(&seat).filter(|sess| is_sniped(sess)) {
            // The answer must still reach the client here too.
            sess.link = None;
            state.remove(seat);
            self.shared.signal();
            return Err(fatal(2396));
        }
        let sess = state.sessions.get_mut(&seat).ok_or_else(cut)?;
        if let Some(link) = &mut sess.link
            && !deaf
            && link.broken
        {
            link.broken = false;
            return Err(known(1013));
        }
        Ok(sess)
    }

    /// Looks at the world and does something to the own row.
    pub(crate) fn with_own<T>(&self, act: impl FnOnce(&mut Sess, Moment) -> T) -> Result<T, OraError> {
        let mut state = self.shared.look();
        let now = state.now;
        let sess = self.own(&mut state, false)?;
        Ok(act(sess, now))
    }

    fn begin(&self, statement: Option<&str>) -> Result<(), OraError> {
        let mut state = self.shared.look();
        let now = state.now;
        let sess = self.own(&mut state, false)?;
        if let Some(link) = &mut sess.link {
            link.broken = false;
        }
        sess.activity = Activity::Busy { since: now };
        let id = statement.map(sql_id_of);
        sess.sql.clone_from(&id);
        let by = (Arc::clone(&sess.who.schema), sess.con_id);
        if let (Some(id), Some(text)) = (id, statement) {
            state.texts.executed(self.seat.0, &id, text, now, (&by.0, by.1));
            state.statements += 1;
        }
        Ok(())
    }

    /// Whether the running call has to end: its session is to end, is gone, or a break came.
    fn must_stop(shared: &Shared, seat: Seat, serial: u32) -> bool {
        let state = shared.look();
        let own = state.sessions.get(&seat).filter(|sess| sess.serial == serial);
        own.is_none_or(|sess| {
            sess.mark.is_some_and(|mark| mark.noticed <= state.now)
                || sess.link.as_ref().is_some_and(|link| link.broken)
        })
    }

    /// What the session's SQLite asks while it works.
    pub(super) fn interruption(&self) -> impl Fn() -> bool + Send + 'static {
        let (shared, seat, serial) = (Arc::clone(&self.shared), self.seat, self.serial);
        move || Self::must_stop(&shared, seat, serial)
    }

    /// Waits until something is so or the time has come; whether it is so.
    pub(crate) fn wait(&self, deadline: Moment, deaf: bool, so: impl Fn(&State) -> bool) -> Result<bool, OraError> {
        let mut state = self.shared.look();
        loop {
            self.own(&mut state, deaf)?;
            if so(&state) {
                return Ok(true);
            }
            if state.now >= deadline {
                return Ok(false);
            }
            let left = deadline.saturating_sub(state.now);
            state = self.shared.pause(state, left);
        }
    }

    /// Sleeps, as seen in EVENT; deaf to kills and breaks or not.
    pub(crate) fn sleep(&self, seconds: f64, deaf: bool) -> Result<(), OraError> {
        let wait = if deaf {
            ("SQL*Net message from dblink", "Network")
        } else {
            ("PL/SQL lock timer", "Idle")
        };
        let deadline = self.with_own(|sess, now| {
            sess.wait = Some(Arc::new(Wait {
                event: wait.0.into(),
                class: wait.1.into(),
            }));
            if let Some(link) = &mut sess.link {
                link.deaf = deaf;
            }
            now.saturating_add((seconds.clamp(0.0, 1e9) * 1000.0) as i64)
        })?;
        let waited = self.wait(deadline, deaf, |_| false);
        let mut state = self.shared.look();
        if let Some(sess) = state
            .sessions
            .get_mut(&self.seat)
            .filter(|sess| sess.serial == self.serial)
        {
            sess.wait = None;
            if let Some(link) = &mut sess.link {
                link.deaf = false;
            }
        }
        waited.and_then(|_| self.own(&mut state, false).map(|_| ()))
    }

    /// Waits for the holder of a row, not beyond the deadline; whether the wait is over.
    pub(crate) fn wait_for_row(&self, holder: Seat, deadline: Moment) -> Result<bool, OraError> {
        self.with_own(|sess, now| sess.blocked = Some((holder, now)))?;
        let seat = self.seat;
        let free = move |state: &State| state.sessions.get(&seat).is_none_or(|sess| sess.blocked.is_none());
        let waited = self.wait(deadline, false, free);
        if !matches!(waited, Ok(true))
            && let Some(sess) = self.shared.look().sessions.get_mut(&self.seat)
        {
            sess.blocked = None;
        }
        waited
    }

    /// The own transaction, opened if there is none yet, has changed so many rows more.
    ///
    /// An autonomous transaction is too short to be seen.
    pub(crate) fn changed(&self, state: &mut State, rows: usize) {
        if self.setting.viewer.holder != self.seat {
            return;
        }
        let now = state.now;
        let seat = self.seat;
        let fresh = state.open_transaction(now, 0, 0);
        if let Some(sess) = state.sessions.get_mut(&seat).filter(|sess| sess.serial == self.serial) {
            let txn = sess.txn.get_or_insert(fresh);
            txn.undo_records += i64::try_from(rows).unwrap_or(i64::MAX);
            txn.undo_blocks = txn.undo_records / 40 + 1;
        }
    }

    /// Ends the own transaction.
    pub(crate) fn end_transaction(&self, keep: bool) -> Result<(), OraError> {
        let mut state = self.shared.look();
        self.own(&mut state, false)?;
        let holder = self.setting.viewer.holder;
        if keep {
            state.keep(holder);
        } else {
            state.release(holder);
        }
        if holder != self.seat {
            drop(state);
            self.shared.signal();
            return Ok(());
        }
        if let Some(link) = state.sessions.get_mut(&self.seat).and_then(|sess| sess.link.as_mut()) {
            link.doomed = link.post_transaction;
        }
        drop(state);
        self.shared.signal();
        Ok(())
    }

    /// Applies what strikes this statement.
    pub(super) fn strikes(&self, text: &str) -> Result<Vec<Strike>, OraError> {
        let strikes = self.shared.look().faults.strike(self.user(), text);
        for strike in &strikes {
            match strike {
                Strike::Error { code, message } => return Err(ora(*code, message)),
                Strike::Cut => {
                    self.shared.look().remove(self.seat);
                    return Err(cut());
                }
                Strike::Hang => {
                    return Err(OraError {
                        then: Then::Hang,
                        ..cut()
                    });
                }
                Strike::Delay(length) => {
                    let deadline = self.with_own(|_, now| now + length.0)?;
                    self.wait(deadline, false, |_| false)?;
                }
                Strike::Advance(length) => {
                    self.shared
                        .clock
                        .advance(Duration::from_millis(length.0.unsigned_abs()));
                    drop(self.shared.look());
                    self.shared.signal();
                }
                Strike::HideInstance(number) => {
                    self.shared.look().hidden.insert(*number);
                }
                Strike::Leave(number) => {
                    self.shared.look().leave(*number);
                    self.shared.signal();
                }
                Strike::CutAfter
                | Strike::Garble(_)
                | Strike::ReplaceTarget
                | Strike::EndTarget
                | Strike::LingerTarget(_) => {}
            }
        }
        Ok(strikes)
    }

    /// A call that is not a statement.
    fn short_call<T>(&self, act: impl FnOnce(&Self) -> Result<T, OraError>) -> Result<T, OraError> {
        self.begin(None)?;
        act(self)
    }

    fn go(&mut self, keep: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.shared.look();
        if let Some(sess) = state
            .sessions
            .get_mut(&self.seat)
            .filter(|sess| sess.serial == self.serial)
        {
            sess.link = None;
            let stays = sess.mark.is_some_and(|mark| mark.stays);
            if keep && sess.mark.is_none() {
                state.keep(self.seat);
            }
            let noticed_in = self.shared.scenario.database.cut_off_stays.0;
            if !keep && !stays && noticed_in > 0 {
                state.later(noticed_in, Due::Gone(self.seat, self.serial, None));
            } else if !stays {
                state.remove(self.seat);
            }
        }
        drop(state);
        self.shared.signal();
    }
}

impl Session for ClientSession {
    fn garbled(&mut self) -> Option<u64> {
        self.garbled.take()
    }

    fn execute(&mut self, statement: &Statement<'_>) -> Result<Reply, OraError> {
        self.begin(Some(statement.sql))?;
        let tokens = Tokens::read(statement.sql)?;
        let binds = tokens.filled(statement.binds)?;
        let reply = self.run(&tokens, &binds, statement.describe_only)?;
        if statement.commit {
            self.end_transaction(true)?;
        }
        // A session that was killed while SQLite worked gets the error now.
        self.with_own(|_, _| ())?;
        Ok(reply)
    }

    fn fetching(&mut self) -> Result<(), OraError> {
        self.with_own(|sess, now| {
            if !sess.activity.at(now).busy {
                sess.activity = Activity::Busy { since: now };
            }
        })
    }

    fn answered(&mut self) {
        let mut state = self.shared.look();
        let now = state.now;
        let Some(sess) = state
            .sessions
            .get_mut(&self.seat)
            .filter(|sess| sess.serial == self.serial)
        else {
            return;
        };
        if sess.link.as_ref().is_some_and(|link| link.doomed) {
            // The answer is still on its way: the client finds the connection cut at its next call.
            sess.link = None;
            state.remove(self.seat);
            drop(state);
            self.shared.signal();
            return;
        }
        if sess.activity.at(now).busy {
            sess.activity = Activity::Idle { since: now };
        }
        if let Some(sql) = sess.sql.take() {
            sess.previous_sql = Some(sql);
        }
    }

    fn ping(&mut self) -> Result<(), OraError> {
        self.short_call(|_| Ok(()))
    }

    fn commit(&mut self) -> Result<(), OraError> {
        self.short_call(|own| own.end_transaction(true))
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        self.short_call(|own| own.end_transaction(false))
    }

    fn in_transaction(&self) -> bool {
        let state = self.shared.look();
        let own = state.sessions.get(&self.seat).filter(|sess| sess.serial == self.serial);
        own.is_some_and(|sess| sess.txn.is_some())
    }

    fn logoff(&mut self) {
        self.go(true);
    }

    fn set_end_to_end(&mut self, changes: EndToEnd) {
        let set = |to: &mut Option<Arc<str>>, text: Option<String>| {
            if let Some(text) = text {
                *to = (!text.is_empty()).then(|| text.chars().take(64).collect::<String>().into());
            }
        };
        // A session that is gone has nothing left to set.
        let _ = self.with_own(|sess, _| {
            set(&mut sess.who.module, changes.module);
            set(&mut sess.who.action, changes.action);
            set(&mut sess.who.client_identifier, changes.client_identifier);
            set(&mut sess.who.client_info, changes.client_info);
        });
    }

    fn set_current_schema(&mut self, schema: &str) {
        self.setting.schema = schema.to_uppercase();
        let schema: Arc<str> = self.setting.schema.as_str().into();
        let _ = self.with_own(|sess, _| sess.who.schema = schema);
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::new(Break {
            shared: Arc::clone(&self.shared),
            seat: self.seat,
            serial: self.serial,
        })
    }
}

impl Drop for ClientSession {
    fn drop(&mut self) {
        self.go(false);
    }
}

struct Break {
    shared: Arc<Shared>,
    seat: Seat,
    serial: u32,
}

impl Interrupt for Break {
    fn break_call(&self) {
        let mut state = self.shared.look();
        let now = state.now;
        if let Some(sess) = state
            .sessions
            .get_mut(&self.seat)
            .filter(|sess| sess.serial == self.serial)
            && sess.phase(now).busy
            && let Some(link) = &mut sess.link
        {
            link.broken = true;
        }
        drop(state);
        self.shared.signal();
    }
}
