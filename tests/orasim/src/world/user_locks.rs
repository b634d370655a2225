//! User locks: what DBMS_LOCK gives to sessions (PL/SQL Packages and Types Reference, DBMS_LOCK).
//!
//! A lock belongs to the session that requested it, on whichever instance that is, until it releases the lock or has ended. A session
//! that is marked for kill keeps its locks until it is cleaned up.

use super::session::Seat;
use super::{Sess, Shared, State};
use crate::backend::OraError;
use crate::clock::Moment;

use super::client::ClientSession;

/// The modes, by number: NULL, sub-shared, sub-exclusive, shared, shared sub-exclusive, exclusive. Whether two sessions may hold a
/// lock in these two at the same time.
fn compatible(one: i64, other: i64) -> bool {
    match one.min(other) {
        1 => true,
        2 => one.max(other) < 6,
        3 => one.max(other) == 3,
        4 => one.max(other) == 4,
        _ => false,
    }
}

/// A lock that a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserLock {
    /// Its number.
    pub id: i64,
    /// 1 to 6.
    pub mode: i64,
    /// INST_ID and SID of who holds it.
    pub seat: (u32, u32),
    /// Its SERIAL#.
    pub serial: u32,
    pub(crate) since: Moment,
}

/// Whether a session still has its locks.
fn holds(sess: &Sess, serial: u32, now: Moment) -> bool {
    sess.serial == serial && sess.mark.is_none_or(|mark| mark.released > now)
}

impl State {
    /// The locks that are held now.
    pub(crate) fn user_locks(&self) -> impl Iterator<Item = &UserLock> {
        self.locks.iter().filter(|lock| {
            let sess = self.sessions.get(&lock.seat);
            sess.is_some_and(|sess| holds(sess, lock.serial, self.now))
        })
    }

    fn own_lock(&mut self, id: i64, (seat, serial): (Seat, u32)) -> Option<&mut UserLock> {
        let mut locks = self.locks.iter_mut();
        locks.find(|lock| lock.id == id && lock.seat == seat && lock.serial == serial)
    }

    fn is_free(&self, id: i64, mode: i64, (seat, serial): (Seat, u32)) -> bool {
        let others = self.user_locks().filter(|lock| lock.id == id);
        let mut others = others.filter(|lock| lock.seat != seat || lock.serial != serial);
        others.all(|lock| compatible(lock.mode, mode))
    }
}

/// A call of DBMS_LOCK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockCall {
    Request { mode: i64, seconds: i64 },
    Convert { mode: i64, seconds: i64 },
    Release,
}

impl ClientSession {
    /// What the call returns.
    pub(crate) fn lock_call(&self, id: i64, call: LockCall) -> Result<i64, OraError> {
        const PARAMETER_ERROR: i64 = 3;
        let own = (self.seat, self.serial);
        let (mode, seconds) = match call {
            LockCall::Request { mode, seconds } | LockCall::Convert { mode, seconds } => (mode, seconds),
            LockCall::Release => (1, 0),
        };
        if !(0..=1_999_999_999).contains(&id) || !(1..=6).contains(&mode) || seconds < 0 {
            return Ok(PARAMETER_ERROR);
        }
        let shared: &Shared = &self.shared;
        let deadline = {
            let mut state = shared.look();
            let now = state.now;
            let State { locks, sessions, .. } = &mut *state;
            locks.retain(|lock| {
                sessions
                    .get(&lock.seat)
                    .is_some_and(|sess| holds(sess, lock.serial, now))
            });
            let is_held = state.own_lock(id, own).is_some();
            match call {
                LockCall::Request { .. } if is_held => return Ok(4),
                LockCall::Convert { .. } | LockCall::Release if !is_held => return Ok(4),
                LockCall::Release => {
                    state
                        .locks
                        .retain(|lock| lock.id != id || (lock.seat, lock.serial) != own);
                    drop(state);
                    shared.signal();
                    return Ok(0);
                }
                LockCall::Request { .. } | LockCall::Convert { .. } => {}
            }
            state.now.saturating_add(seconds.saturating_mul(1000))
        };
        if !self.wait(deadline, false, |state| state.is_free(id, mode, own))? {
            return Ok(1);
        }
        let mut state = shared.look();
        // Somebody may have been faster since.
        if !state.is_free(id, mode, own) {
            return Ok(1);
        }
        let now = state.now;
        match state.own_lock(id, own) {
            Some(lock) => lock.mode = mode,
            None => state.locks.push(UserLock {
                id,
                mode,
                seat: own.0,
                serial: own.1,
                since: now,
            }),
        }
        drop(state);
        shared.signal();
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_go_together_as_documented() {
        // By row and column: NULL, SS, SX, S, SSX, X.
        let table = ["111111", "111110", "111000", "110100", "110000", "100000"];
        for (one, row) in (1..).zip(table) {
            for (other, cell) in (1..).zip(row.chars()) {
                assert_eq!(compatible(one, other), cell == '1', "{one} and {other}");
            }
        }
    }
}
