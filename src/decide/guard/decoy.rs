//! Permission to act on a decoy: a session that this program opened itself, to try an action on.
//!
//! A warrant comes out of policies, limits and protections, none of which concern a decoy. Its permission rests on something else:
//! that it is a decoy. So a [`Decoy`] is made of what the decoy's own connection reports of itself and of nothing else, and each
//! statement needs an [`Again`], which is made of a fresh reading of its SID and is used up by the statement.

use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;

/// A session that this program opened to try actions on.
#[derive(Debug)]
pub(crate) struct Decoy {
    key: SessionKey,
}

/// That a decoy was as expected a moment ago: permission for one statement.
#[derive(Debug)]
#[must_use = "it permits one statement"]
pub(crate) struct Again {
    pub(super) key: SessionKey,
}

impl Decoy {
    /// The session that a decoy's connection reports as its own. Only such a connection calls this.
    pub(crate) fn reported(key: SessionKey) -> Decoy {
        Decoy { key }
    }

    /// Its whole key.
    pub(crate) fn key(&self) -> SessionKey {
        self.key
    }

    /// Permission for one statement, if this reading of its SID shows the decoy.
    pub(crate) fn again(&self, reading: &Snapshot) -> Option<Again> {
        reading.find(self.key).map(|_| Again { key: self.key })
    }

    /// Permission for one statement that should find no session: this reading of its SID shows that the decoy is gone.
    pub(crate) fn departed(&self, reading: &Snapshot) -> Option<Again> {
        let is_read = reading.is_complete(self.key.inst_id);
        (is_read && reading.find(self.key).is_none()).then_some(Again { key: self.key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::column::Column;
    use crate::session::snapshot::{Cell, Instance, SnapshotSource};
    use crate::session::time::DbTime;

    fn key(serial: u32) -> SessionKey {
        SessionKey {
            inst_id: 1,
            sid: 12,
            serial,
            logon_time: DbTime(100),
        }
    }

    /// A reading of SID 12 of instance 1.
    fn reading(serials: &[u32], complete: bool) -> Snapshot {
        let columns = [Column::InstId, Column::Sid, Column::Serial, Column::LogonTime];
        let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
        for serial in serials {
            let numbers = [1, 12, i64::from(*serial)].map(Cell::Number);
            let row: Vec<Cell<'_>> = numbers.into_iter().chain([Cell::Time(DbTime(100))]).collect();
            builder.push_row(&row).expect("few rows");
        }
        let instance = Instance {
            inst_id: 1,
            name: "prod1".into(),
            complete,
        };
        builder
            .finish(None, vec![instance])
            .finish(columns.into_iter().collect())
    }

    #[test]
    fn only_the_decoy_itself_is_permitted_and_only_while_it_is_seen() {
        let decoy = Decoy::reported(key(7));
        assert!(decoy.again(&reading(&[7], true)).is_some());
        assert!(decoy.again(&reading(&[8], true)).is_none());
        assert!(decoy.again(&reading(&[], true)).is_none());
        assert!(decoy.departed(&reading(&[8], true)).is_some());
        assert!(decoy.departed(&reading(&[], true)).is_some());
        assert!(decoy.departed(&reading(&[7], true)).is_none());
        assert!(decoy.departed(&reading(&[], false)).is_none());
    }
}
