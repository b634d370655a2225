//! A connection's open cursors.

use std::collections::HashMap;
use std::sync::Arc;

use super::bind::Declaration;
use super::statement::Sort;
use crate::backend::{Column, ColumnType, Rows};

/// The most cursors a session may have open; beyond that it is ORA-01000.
pub(crate) const OPEN_CURSORS: usize = 1_000;

/// One open cursor.
pub(crate) struct Cursor {
    /// The statement.
    pub(crate) sql: Arc<str>,
    /// What sort of statement it is.
    pub(crate) sort: Sort,
    /// What its binds are.
    pub(crate) declared: Vec<Declaration>,
    /// What its columns were defined as, if they were.
    pub(crate) defines: Option<Vec<Declaration>>,
    /// Its columns, once it is known that it has some.
    pub(crate) columns: Option<Arc<[Column]>>,
    /// The rows not fetched yet.
    pub(crate) rows: Option<Box<dyn Rows>>,
    /// How many rows have been fetched.
    pub(crate) fetched: u64,
}

impl Cursor {
    /// A cursor for a statement that is about to be parsed.
    pub(crate) fn new(sql: &str) -> Self {
        Self {
            sql: sql.into(),
            sort: Sort::of(sql),
            declared: Vec::new(),
            defines: None,
            columns: None,
            rows: None,
            fetched: 0,
        }
    }

    /// Whether its rows may come with an execution. Those with CLOBs may not: at first the client has to say how it wants
    /// them, and later on it has no buffers yet either.
    pub(crate) fn prefetches(&self) -> bool {
        self.columns
            .as_ref()
            .is_none_or(|columns| columns.iter().all(|column| column.kind != ColumnType::Clob))
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("sql", &self.sql)
            .field("fetched", &self.fetched)
            .finish_non_exhaustive()
    }
}

/// All of a connection's cursors, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct CursorTable {
    open: HashMap<u16, Cursor>,
    last: u16,
}

impl CursorTable {
    /// An open cursor.
    pub(crate) fn get(&self, id: u16) -> Option<&Cursor> {
        self.open.get(&id)
    }

    /// An open cursor, to be changed.
    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut Cursor> {
        self.open.get_mut(&id)
    }

    /// Puts a cursor under this number if it is open, else under a new one. `None` where too many are open.
    pub(crate) fn open(&mut self, id: u16, cursor: Cursor) -> Option<u16> {
        if let Some(existing) = self.open.get_mut(&id) {
            *existing = cursor;
            return Some(id);
        }
        if self.open.len() >= OPEN_CURSORS {
            return None;
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.open.contains_key(&self.last) {
                self.open.insert(self.last, cursor);
                return Some(self.last);
            }
        }
    }

    /// Closes a cursor, if it is open.
    pub(crate) fn close(&mut self, id: u16) {
        self.open.remove(&id);
    }

    /// Closes all of them.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_zero_and_never_in_use() {
        let mut table = CursorTable {
            last: u16::MAX - 1,
            ..CursorTable::default()
        };
        let first = table.open(0, Cursor::new("a")).expect("room");
        let second = table.open(0, Cursor::new("b")).expect("room");
        assert_eq!((first, second), (u16::MAX, 1));
        table.last = u16::MAX - 1;
        assert_eq!(table.open(0, Cursor::new("c")), Some(2));
        assert_eq!(table.open(1, Cursor::new("d")), Some(1));
        assert_eq!(table.get(1).map(|cursor| cursor.sql.to_string()).as_deref(), Some("d"));
    }

    #[test]
    fn there_is_a_limit() {
        let mut table = CursorTable::default();
        for _ in 0..OPEN_CURSORS {
            assert!(table.open(0, Cursor::new("x")).is_some());
        }
        assert_eq!(table.open(0, Cursor::new("x")), None);
        table.close(7);
        assert!(table.open(0, Cursor::new("x")).is_some());
    }
}
