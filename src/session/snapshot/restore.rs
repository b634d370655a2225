//! Rebuilds a snapshot from its columns, derived ones included: a replay gets the values that the daemon decided on, not those
//! that this version would derive.

use std::sync::OnceLock;

use crate::session::column::{Column, Kind};
use crate::session::snapshot::{Data, Instance, ParallelServer, Snapshot, SnapshotClock, SnapshotSource};
use crate::session::store::{Numbers, Texts};

/// Builds a snapshot from whole columns. Columns that are not set are missing.
#[derive(Debug)]
pub(crate) struct Restoring {
    snapshot: Snapshot,
}

impl Restoring {
    /// Begins a snapshot with a number of sessions.
    #[must_use]
    pub(crate) fn of(
        rows: usize,
        source: SnapshotSource,
        clock: Option<SnapshotClock>,
        instances: Vec<Instance>,
        parallel_servers: Vec<ParallelServer>,
    ) -> Restoring {
        let mut columns = Vec::new();
        columns.resize_with(Column::COUNT, Data::default);
        Restoring {
            snapshot: Snapshot {
                rows,
                source,
                clock,
                columns,
                instances,
                parallel_servers,
                part: None,
                by_key: OnceLock::new(),
            },
        }
    }

    /// Sets a text column.
    ///
    /// # Panics
    /// If the column is not a text column or has another number of rows.
    pub(crate) fn texts(&mut self, column: Column, texts: Texts) {
        assert!(column.kind() == Kind::Text, "{} has no texts", column.name());
        assert_eq!(texts.rows(), self.snapshot.rows, "a column has a value for each row");
        self.snapshot.columns[column as usize] = Data::Texts(texts);
    }

    /// Sets any other column.
    ///
    /// # Panics
    /// If the column is a text column or has another number of rows.
    pub(crate) fn numbers(&mut self, column: Column, numbers: Numbers) {
        assert!(column.kind() != Kind::Text, "{} has no numbers", column.name());
        assert_eq!(numbers.rows(), self.snapshot.rows, "a column has a value for each row");
        self.snapshot.columns[column as usize] = Data::Numbers(numbers);
    }

    /// Returns the snapshot.
    #[must_use]
    pub(crate) fn finish(self) -> Snapshot {
        self.snapshot
    }
}
