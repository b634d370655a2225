//! The sessions of a database, as one snapshot shows them.
//!
//! A session is identified by its whole key. A SID alone is only a slot: the next session in it has the same number.

pub(crate) mod census;
pub mod column;
pub(crate) mod extent;
pub(crate) mod groups;
mod join;
pub mod snapshot;
pub(crate) mod store;
pub mod time;
mod values;
pub(crate) mod waiters;

use std::fmt;

use crate::session::time::DbTime;

/// Identifies a session for the whole life of the database. LOGON_TIME is part of it because SERIAL# is a small counter that wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// GV$SESSION.INST_ID.
    pub inst_id: u32,
    /// GV$SESSION.SID.
    pub sid: u32,
    /// GV$SESSION.SERIAL#.
    pub serial: u32,
    /// GV$SESSION.LOGON_TIME, by the database's clock.
    pub logon_time: DbTime,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},@{}", self.sid, self.serial, self.inst_id)
    }
}
