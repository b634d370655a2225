//! What a snapshot of a part of the sessions knows of the others: how many there are, as the database counted them.

use std::collections::{HashMap, HashSet};

use crate::session::column::Column;
use crate::session::time::DbTime;

/// Bounds of the classes of idle time in seconds; the last class has none.
pub(crate) const IDLE_BOUNDS: [i64; 8] = [60, 600, 3_600, 14_400, 43_200, 86_400, 604_800, i64::MAX];

/// The number of sessions that are alike, as the database counted them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CountedSessions {
    /// INST_ID.
    pub(crate) inst_id: u32,
    /// TYPE.
    pub(crate) session_type: Option<String>,
    /// STATUS.
    pub(crate) status: Option<String>,
    /// CON_ID, where the release has it.
    pub(crate) con_id: Option<u32>,
    /// Whether they have a TADDR.
    pub(crate) in_transaction: bool,
    /// The class of their idle time; `None` if they are not idle.
    pub(crate) idle: Option<usize>,
    /// Their number.
    pub(crate) sessions: usize,
    /// The newest LOGON_TIME.
    pub(crate) last_logon: Option<DbTime>,
}

/// The values of some columns by which sessions are grouped, numbers as texts; `None` is NULL.
pub(crate) type GroupValues = Vec<Option<String>>;

/// The sessions of groups, as the database counted them: user sessions that are not KILLED, of each instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CountedGroups {
    /// The columns that group them.
    pub(crate) per: Vec<Column>,
    /// By INST_ID and values.
    pub(crate) sessions: HashMap<(u32, GroupValues), u32>,
}

/// What a snapshot knows of the sessions that it may not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartOfSessions {
    /// All sessions of the database, counted right after the others were read.
    pub(crate) counted: Vec<CountedSessions>,
    /// The INST_ID and SID that were asked for, and those that were seen: what a session shows there is known.
    pub(crate) seats: HashSet<(u32, u32)>,
    /// The groups that floors count.
    pub(crate) groups: Vec<CountedGroups>,
}
