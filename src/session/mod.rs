//! Sessions as one snapshot shows them.
//!
//! A session is named by its whole key. A bare SID is a seat: whoever sits there next has the same number.

pub mod column;
pub mod groups;
mod join;
pub mod snapshot;
pub mod store;
pub mod time;
mod values;
pub mod waiters;

use std::fmt;

use crate::session::time::DbTime;

/// Who a session is, for as long as the database lives: SERIAL# is a small counter that wraps, so LOGON_TIME belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// GV$SESSION.INST_ID.
    pub inst_id: u32,
    /// GV$SESSION.SID.
    pub sid: u32,
    /// GV$SESSION.SERIAL#.
    pub serial: u32,
    /// GV$SESSION.LOGON_TIME, in the database's own clock.
    pub logon_time: DbTime,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},@{}", self.sid, self.serial, self.inst_id)
    }
}
