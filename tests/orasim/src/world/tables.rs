//! The users' tables: just enough that a real client can open a transaction and wait for a locked row.
//!
//! A row has a committed image and, while a session changes it, that session's image. Other sessions read the committed image; a
//! session that wants to change the row waits for the holder.

use std::collections::BTreeMap;

use rusqlite::types::Value;

use super::session::Seat;
use crate::backend::ColumnType;

/// All user tables, by `OWNER.NAME`.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: BTreeMap<(String, String), UserTable>,
    created: i64,
}

/// OBJECT_ID of the users' tables begins after this.
const FIRST_OBJECT: i64 = 80_000;

/// One table.
#[derive(Debug, Default)]
pub(crate) struct UserTable {
    pub(crate) columns: Vec<(String, ColumnType)>,
    rows: BTreeMap<i64, Row>,
    last: i64,
    /// OBJECT_ID.
    pub(crate) object: i64,
}

#[derive(Debug, Default)]
struct Row {
    lasting: Option<Vec<Value>>,
    pending: Option<(Seat, Option<Vec<Value>>)>,
}

/// A change to a row: its new image, or `None` where it is deleted.
pub(crate) type Change = (i64, Option<Vec<Value>>);

impl UserTable {
    pub(crate) fn new(columns: Vec<(String, ColumnType)>) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }

    /// The rows as a session sees them, with their ids.
    pub(crate) fn rows(&self, reader: Seat) -> impl Iterator<Item = (i64, &Vec<Value>)> {
        self.rows.iter().filter_map(move |(id, row)| {
            let image = match &row.pending {
                Some((by, image)) if *by == reader => image.as_ref(),
                Some(_) | None => row.lasting.as_ref(),
            };
            image.map(|image| (*id, image))
        })
    }

    /// The first id that no row has had yet.
    pub(crate) fn next(&self) -> i64 {
        self.last + 1
    }

    /// Who holds one of these rows, other than the session itself.
    pub(crate) fn holder(&self, by: Seat, ids: impl Iterator<Item = i64>) -> Option<Seat> {
        ids.filter_map(|id| self.rows.get(&id)?.pending.as_ref())
            .map(|(holder, _)| *holder)
            .find(|holder| *holder != by)
    }

    /// Whether a session has changed rows of it that it has not committed.
    pub(crate) fn is_held_by(&self, by: Seat) -> bool {
        self.rows
            .values()
            .any(|row| row.pending.as_ref().is_some_and(|(holder, _)| *holder == by))
    }

    /// Makes changes that last once they are committed.
    pub(crate) fn change(&mut self, by: Seat, changes: Vec<Change>) {
        for (id, image) in changes {
            self.last = self.last.max(id);
            self.rows.entry(id).or_default().pending = Some((by, image));
        }
    }
}

impl Tables {
    pub(crate) fn get(&self, owner: &str, name: &str) -> Option<&UserTable> {
        self.tables.get(&(owner.to_owned(), name.to_owned()))
    }

    pub(crate) fn get_mut(&mut self, owner: &str, name: &str) -> Option<&mut UserTable> {
        self.tables.get_mut(&(owner.to_owned(), name.to_owned()))
    }

    /// All tables with their owners and names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &UserTable)> {
        self.tables
            .iter()
            .map(|((owner, name), table)| (owner.as_str(), name.as_str(), table))
    }

    /// Creates a table; whether the name was free.
    pub(crate) fn create(&mut self, owner: &str, name: &str, mut table: UserTable) -> bool {
        let key = (owner.to_owned(), name.to_owned());
        if self.tables.contains_key(&key) {
            return false;
        }
        self.created += 1;
        table.object = FIRST_OBJECT + self.created;
        self.tables.insert(key, table);
        true
    }

    /// Drops a table; whether there was one.
    pub(crate) fn remove(&mut self, owner: &str, name: &str) -> bool {
        self.tables.remove(&(owner.to_owned(), name.to_owned())).is_some()
    }

    /// All tables of an account, as CASCADE does.
    pub(crate) fn remove_owner(&mut self, owner: &str) {
        self.tables.retain(|(of, _), _| of != owner);
    }

    pub(crate) fn commit(&mut self, by: Seat) {
        self.settle(by, true);
    }

    pub(crate) fn roll_back(&mut self, by: Seat) {
        self.settle(by, false);
    }

    fn settle(&mut self, by: Seat, keep: bool) {
        for table in self.tables.values_mut() {
            table.rows.retain(|_, row| {
                if row.pending.as_ref().is_some_and(|(holder, _)| *holder == by)
                    && let Some((_, image)) = row.pending.take()
                    && keep
                {
                    row.lasting = image;
                }
                row.lasting.is_some() || row.pending.is_some()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_see_a_change_once_it_is_committed() {
        let mut table = UserTable::new(vec![("A".into(), ColumnType::Number)]);
        table.change((1, 5), vec![(1, Some(vec![Value::Integer(1)]))]);
        let mut tables = Tables::default();
        assert!(tables.create("X", "T", table));
        let seen = |tables: &Tables, by| tables.get("X", "T").map(|table| table.rows(by).count());
        assert_eq!(seen(&tables, (1, 5)), Some(1));
        assert_eq!(seen(&tables, (1, 6)), Some(0));
        assert_eq!(
            tables
                .get("X", "T")
                .and_then(|table| table.holder((1, 6), [1].into_iter())),
            Some((1, 5))
        );
        tables.commit((1, 5));
        assert_eq!(seen(&tables, (1, 6)), Some(1));
    }
}
