//! Other daemons on the same database, by the mark that each daemon's sessions carry.
//!
//! A daemon draws a number when it starts and shows it in V$SESSION.CLIENT_INFO of all its sessions, beside MODULE. So it knows its own
//! from those of others, on whatever host and under whatever account; the commands carry no mark. Behind the number stands by which
//! lock it acts there, which versions before this did not show. A client may show the same of itself: that misleads a warning, and
//! nothing else goes by it.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::oracle::{LeaderLock, MODULE};
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

/// What stands behind the number: how the daemon acts on the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShownLock {
    /// It does not act: the database is not armed, or it is a dry run.
    Watches,
    /// It acts without a lock.
    Alone,
    /// It acts while it leads by this lock.
    Under(LeaderLock),
    /// It does not say.
    Unknown,
}

const WATCHES: &str = "watches";
const ALONE: &str = "acts alone";
const UNDER: &str = "lock ";

impl ShownLock {
    /// A mark that shows it, too.
    #[must_use]
    pub(crate) fn on(self, mark: &str) -> Arc<str> {
        match self {
            ShownLock::Watches => format!("{mark} {WATCHES}").into(),
            ShownLock::Alone => format!("{mark} {ALONE}").into(),
            ShownLock::Under(lock) => format!("{mark} {UNDER}{lock}").into(),
            ShownLock::Unknown => mark.into(),
        }
    }

    fn read(text: &str) -> ShownLock {
        match text {
            WATCHES => ShownLock::Watches,
            ALONE => ShownLock::Alone,
            _ => {
                let lock = text.strip_prefix(UNDER).and_then(|lock| lock.parse().ok());
                lock.map_or(ShownLock::Unknown, |lock| ShownLock::Under(LeaderLock(lock)))
            }
        }
    }

    /// Whether a daemon may act beside one that acts by this lock, or by none.
    fn is_beside(self, lock: Option<LeaderLock>) -> bool {
        match self {
            ShownLock::Watches => false,
            ShownLock::Alone | ShownLock::Unknown => true,
            ShownLock::Under(other) => Some(other) != lock,
        }
    }
}

impl fmt::Display for ShownLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShownLock::Watches => f.write_str("does not act here"),
            ShownLock::Alone => f.write_str("acts here without a lock"),
            ShownLock::Under(lock) => write!(f, "acts here by lock {lock}"),
            ShownLock::Unknown => f.write_str("does not show by which lock it acts here (an earlier version)"),
        }
    }
}

/// Another daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherDaemon {
    username: String,
    machine: String,
    number: String,
    /// Sessions from before a reload may show something else.
    locks: Vec<ShownLock>,
}

impl OtherDaemon {
    /// By what it may act beside one that acts by this lock, or by none; `None` if it does not.
    #[must_use]
    pub(crate) fn beside(&self, lock: Option<LeaderLock>) -> Option<ShownLock> {
        self.locks.iter().copied().find(|shown| shown.is_beside(lock))
    }
}

impl fmt::Display for OtherDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the orareaper on {} as {}", self.machine, self.username)
    }
}

/// The daemons that a snapshot shows, but for the one whose session reads. One that has no mark itself is a command.
pub(crate) fn others(snapshot: &Snapshot, own: SessionKey) -> Vec<OtherDaemon> {
    let text = |row, column| snapshot.text(row, column).unwrap_or_default().to_owned();
    let mark = |row| parted(snapshot.text(row, Column::ClientInfo)?);
    let own = mark_of(snapshot, own).map(|(number, _)| number);
    let mut found: Vec<OtherDaemon> = Vec::new();
    for row in 0..snapshot.rows() {
        let is_ours = snapshot.text(row, Column::Module) == Some(MODULE);
        let Some((number, lock)) = mark(row).filter(|(number, _)| is_ours && own != Some(*number)) else {
            continue;
        };
        match found.iter_mut().find(|other| other.number == number) {
            Some(other) => other.locks.push(lock),
            None => found.push(OtherDaemon {
                username: text(row, Column::Username),
                machine: text(row, Column::Machine),
                number: number.to_owned(),
                locks: vec![lock],
            }),
        }
    }
    found
}

/// A mark's number, and what stands behind it.
fn parted(mark: &str) -> Option<(&str, ShownLock)> {
    let rest = mark.strip_prefix(BEGINS)?;
    let (number, lock) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((number, ShownLock::read(lock)))
}

fn mark_of(snapshot: &Snapshot, key: SessionKey) -> Option<(&str, ShownLock)> {
    parted(snapshot.text(snapshot.find(key)?, Column::ClientInfo)?)
}

/// How the daemon whose session reads acts on the database; `None` if a command reads.
pub(crate) fn own_lock(snapshot: &Snapshot, own: SessionKey) -> Option<ShownLock> {
    mark_of(snapshot, own).map(|(_, lock)| lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_another_mark_that_fits_the_column() {
        let (one, other) = (mark(), mark());
        assert_ne!(one, other);
        let longest = ShownLock::Under(LeaderLock(1_073_741_823)).on(&one);
        assert!(one.starts_with(BEGINS) && longest.len() <= 64, "{longest}");
    }

    #[test]
    fn a_mark_shows_by_what_its_daemon_acts() {
        let (mark, lock) = (mark(), LeaderLock(7));
        let shown = [
            (ShownLock::Watches, false),
            (ShownLock::Alone, true),
            (ShownLock::Under(lock), false),
            (ShownLock::Under(LeaderLock(8)), true),
            (ShownLock::Unknown, true),
        ];
        for (shown, is_beside) in shown {
            let text = shown.on(&mark);
            assert_eq!(parted(&text), Some((&mark[BEGINS.len()..], shown)), "{text}");
            assert_eq!(shown.is_beside(Some(lock)), is_beside, "{text}");
            assert_eq!(shown.is_beside(None), shown != ShownLock::Watches, "{text}");
        }
        assert_eq!(
            parted("daemon 00ff something of a later version"),
            Some(("00ff", ShownLock::Unknown))
        );
        assert_eq!(parted("a client"), None);
    }
}
