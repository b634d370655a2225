//! Other daemons on the same database, by the mark that each daemon's sessions carry.
//!
//! A daemon draws a number when it starts and shows it in V$SESSION.CLIENT_INFO of all its sessions, beside MODULE. So it knows its own
//! from those of others, on whatever host and under whatever account; the commands carry no mark. A client may show the same of itself:
//! that misleads a warning, and nothing else goes by it.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::oracle::MODULE;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// What a mark begins with.
const BEGINS: &str = "daemon ";

/// A mark that no other process has.
#[must_use]
pub(crate) fn mark() -> Arc<str> {
    let number = RandomState::new().hash_one(std::process::id());
    format!("{BEGINS}{number:016x}").into()
}

/// Another daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherDaemon {
    username: String,
    machine: String,
    mark: String,
}

impl fmt::Display for OtherDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the orareaper on {} as {}", self.machine, self.username)
    }
}

/// The daemons that a snapshot shows, but for the one whose session reads. One that has no mark itself is a command.
pub(crate) fn others(snapshot: &Snapshot, own: SessionKey) -> Vec<OtherDaemon> {
    let text = |row, column| snapshot.text(row, column).unwrap_or_default().to_owned();
    let own = snapshot.find(own).map(|row| text(row, Column::ClientInfo));
    let mut found: Vec<OtherDaemon> = Vec::new();
    for row in 0..snapshot.rows() {
        let mark = text(row, Column::ClientInfo);
        let is_daemon = snapshot.text(row, Column::Module) == Some(MODULE) && mark.starts_with(BEGINS);
        let is_known = own.as_ref() == Some(&mark) || found.iter().any(|other| other.mark == mark);
        if is_daemon && !is_known {
            found.push(OtherDaemon {
                username: text(row, Column::Username),
                machine: text(row, Column::Machine),
                mark,
            });
        }
    }
    found
}

/// Whether the session that reads is a daemon's.
pub(crate) fn is_daemon(snapshot: &Snapshot, own: SessionKey) -> bool {
    let row = snapshot.find(own);
    row.is_some_and(|row| {
        snapshot
            .text(row, Column::ClientInfo)
            .is_some_and(|mark| mark.starts_with(BEGINS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_another_mark_that_fits_the_column() {
        let (one, other) = (mark(), mark());
        assert_ne!(one, other);
        assert!(one.starts_with(BEGINS) && one.len() <= 64, "{one}");
    }
}
