//! A snapshot put together again from its columns, derived ones included: what a recording gives back is what was decided on,
//! not what would be derived today.

use std::sync::OnceLock;

use crate::session::column::{Column, Kind};
use crate::session::snapshot::{Clock, Data, Instance, ParallelServer, Snapshot, SnapshotSource};
use crate::session::store::{Numbers, Texts};

/// Takes whole columns; those that it is not given are missing.
#[derive(Debug)]
pub struct Restoring {
    snapshot: Snapshot,
}

impl Restoring {
    /// Of so many sessions.
    #[must_use]
    pub fn of(
        rows: usize,
        source: SnapshotSource,
        clock: Option<Clock>,
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
                by_key: OnceLock::new(),
            },
        }
    }

    /// Sets a text column.
    ///
    /// # Panics
    /// When the column is no text column or has another number of rows.
    pub fn texts(&mut self, column: Column, texts: Texts) {
        assert!(column.kind() == Kind::Text, "{} holds no texts", column.name());
        assert_eq!(texts.rows(), self.snapshot.rows, "a column has a value for each row");
        self.snapshot.columns[column as usize] = Data::Texts(texts);
    }

    /// Sets any other column.
    ///
    /// # Panics
    /// When the column is a text column or has another number of rows.
    pub fn numbers(&mut self, column: Column, numbers: Numbers) {
        assert!(column.kind() != Kind::Text, "{} holds no numbers", column.name());
        assert_eq!(numbers.rows(), self.snapshot.rows, "a column has a value for each row");
        self.snapshot.columns[column as usize] = Data::Numbers(numbers);
    }

    /// Ends.
    #[must_use]
    pub fn finish(self) -> Snapshot {
        self.snapshot
    }
}
