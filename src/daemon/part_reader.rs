//! Whether a snapshot is read with all sessions, or with those that are needed and a count of all.
//!
//! Where there are few sessions, all of them come in one fetch, and counting would only add a query. A database that does not take the
//! clause of a part is read whole until other policies are in force: the clause saves work, and nothing depends on it.

use std::sync::Arc;
use std::time::Duration;

use crate::daemon::messages::Needs;
use crate::oracle::capabilities::{Capabilities, Container};
use crate::oracle::deadline::Deadline;
use crate::oracle::read::{TakenSnapshot, read_selected, read_snapshot_telling};
use crate::oracle::sql::Scope;
use crate::oracle::{Class, Connection, Error, TextForm};
use crate::rows_needed::{RowsNeeded, Selection, WantedRows};
use crate::session::column::Columns;

/// All sessions are read where the last snapshot showed fewer than this.
pub(crate) const FEW: usize = 1_000;

/// Reads the sessions of one database.
#[derive(Debug, Default)]
pub(crate) struct PartReader {
    /// The number of sessions at the last snapshot.
    sessions: usize,
    /// What the policies wanted last, of a release with these columns.
    wanted: Option<LastWanted>,
    /// The selection whose clause the database did not take, and its answer.
    refused: Option<(Arc<Selection>, Error)>,
}

#[derive(Debug)]
struct LastWanted {
    selection: Arc<Selection>,
    available: Columns,
    in_pdb: bool,
    rows: Option<WantedRows>,
}

impl PartReader {
    /// Reads a snapshot with what is needed; `clock_came` as in [`read_snapshot_telling`].
    ///
    /// # Errors
    /// When the answer is not complete.
    pub(crate) fn read(
        &mut self,
        connection: &mut dyn Connection,
        needs: &Needs,
        capabilities: &Capabilities,
        limit: Duration,
        clock_came: &mut dyn FnMut(),
    ) -> Result<TakenSnapshot, Error> {
        let deadline = Deadline::begin(limit);
        let refused = self.refused.as_ref().map(|(selection, _)| selection);
        let rows = needs.rows.as_ref().filter(|rows| {
            self.sessions >= FEW && refused.is_none_or(|refused| !Arc::ptr_eq(refused, &rows.selection))
        });
        let mut taken = None;
        if let Some(rows) = rows
            && let Some(wanted) = self.wanted(rows, capabilities).cloned()
        {
            match read_selected(
                connection,
                needs.columns,
                capabilities,
                ((rows, &wanted), limit),
                clock_came,
            ) {
                Ok(part) => taken = Some(part),
                Err(error) if !connection.is_lost() && is_of_the_clause(&error, capabilities) => {
                    self.refused = Some((Arc::clone(&rows.selection), error));
                }
                Err(error) => return Err(error),
            }
        }
        let taken = match taken {
            Some(taken) => taken,
            None => {
                let left = deadline.left().unwrap_or_default();
                read_snapshot_telling(connection, needs.columns, capabilities, (Scope::All, left), clock_came)?
            }
        };
        self.sessions = taken.snapshot.sessions();
        Ok(taken)
    }

    /// Why all sessions are read although a part was needed, if the database did not take the clause.
    #[must_use]
    pub(crate) fn refused(&self, needs: &Needs) -> Option<&Error> {
        let (selection, error) = self.refused.as_ref()?;
        let rows = needs.rows.as_ref()?;
        Arc::ptr_eq(selection, &rows.selection).then_some(error)
    }

    fn wanted(&mut self, rows: &RowsNeeded, capabilities: &Capabilities) -> Option<&WantedRows> {
        let (available, in_pdb) = (capabilities.columns, capabilities.container() == Container::Pdb);
        let is_current = |last: &LastWanted| {
            Arc::ptr_eq(&last.selection, &rows.selection) && (last.available, last.in_pdb) == (available, in_pdb)
        };
        if !self.wanted.as_ref().is_some_and(is_current) {
            self.wanted = Some(LastWanted {
                selection: Arc::clone(&rows.selection),
                available,
                in_pdb,
                rows: rows.selection.wanted(available, in_pdb),
            });
        }
        self.wanted.as_ref()?.rows.as_ref()
    }
}

/// Whether the answer to reading a part may be one to its clause, so that reading all may succeed.
fn is_of_the_clause(error: &Error, capabilities: &Capabilities) -> bool {
    if error.is_of_a_text() {
        // As text, the whole query is read again as bytes.
        return capabilities.texts != TextForm::Text;
    }
    match error.class {
        Class::Config | Class::Unsupported | Class::Bug => true,
        Class::Auth | Class::Backoff | Class::Reconnect | Class::Cancelled | Class::Partial => false,
    }
}

#[cfg(test)]
mod tests;
