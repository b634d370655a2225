//! How many sessions of each kind a database has: by its rows where all were read, otherwise as the database counted them.

use crate::session::column::Column;
use crate::session::extent::{CountedGroups, CountedSessions, GroupValues, IDLE_BOUNDS};
use crate::session::snapshot::{Field, Snapshot};

/// What sessions are counted by. A row of a snapshot is one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionKind<'a> {
    /// INST_ID.
    pub(crate) inst_id: Option<u32>,
    /// TYPE.
    pub(crate) session_type: Option<&'a str>,
    /// STATUS.
    pub(crate) status: Option<&'a str>,
    /// CON_ID.
    pub(crate) con_id: Option<u32>,
    /// Whether it has a TADDR.
    pub(crate) in_transaction: bool,
    /// The class of its idle time ([`IDLE_BOUNDS`]); `None` if it is not idle.
    pub(crate) idle: Option<usize>,
    /// The number of sessions of this kind.
    pub(crate) sessions: usize,
}

impl SessionKind<'_> {
    /// Whether they are user sessions.
    #[must_use]
    pub(crate) fn are_users(&self) -> bool {
        self.session_type == Some("USER")
    }
}

impl CountedSessions {
    fn kind(&self) -> SessionKind<'_> {
        SessionKind {
            inst_id: Some(self.inst_id),
            session_type: self.session_type.as_deref(),
            status: self.status.as_deref(),
            con_id: self.con_id,
            in_transaction: self.in_transaction,
            idle: self.idle,
            sessions: self.sessions,
        }
    }
}

/// All sessions of the database by kind, in groups of one session or more.
pub(crate) fn kinds(snapshot: &Snapshot) -> Box<dyn Iterator<Item = SessionKind<'_>> + '_> {
    match snapshot.counted() {
        Some(counted) => Box::new(counted.iter().map(CountedSessions::kind)),
        None => Box::new((0..snapshot.rows()).map(|row| SessionKind {
            inst_id: snapshot.id(row, Column::InstId),
            session_type: snapshot.text(row, Column::Type),
            status: snapshot.text(row, Column::Status),
            con_id: snapshot.id(row, Column::ConId),
            in_transaction: snapshot.text(row, Column::Taddr).is_some(),
            idle: idle_class_of(snapshot, row),
            sessions: 1,
        })),
    }
}

/// Which class of idle time a session belongs to, if it is idle.
#[must_use]
pub(crate) fn idle_class_of(snapshot: &Snapshot, row: usize) -> Option<usize> {
    let is_idle = matches!(snapshot.text(row, Column::Status)?, "INACTIVE" | "SNIPED");
    let idle = snapshot.number(row, Column::LastCallEt).filter(|_| is_idle)?;
    IDLE_BOUNDS.iter().position(|below| idle < *below)
}

/// The sessions of a row's group on the instances that were read, as the database counted them.
#[must_use]
pub(crate) fn counted_group(snapshot: &Snapshot, groups: &CountedGroups, row: usize) -> u32 {
    let value = |column: &Column| match snapshot.field(row, *column) {
        Field::Text(text) => Some(text.to_owned()),
        Field::Number(number) => Some(number.to_string()),
        Field::Null | Field::Missing => None,
    };
    let values: GroupValues = groups.per.iter().map(value).collect();
    let read = snapshot.instances().iter().filter(|instance| instance.complete);
    let on = |inst_id| groups.sessions.get(&(inst_id, values.clone())).copied().unwrap_or(0);
    read.map(|instance| on(instance.inst_id)).fold(0, u32::saturating_add)
}
