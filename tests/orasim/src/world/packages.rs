//! Stored packages, each as the text of its specification and of its body, and whose rights they run with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Shared;
use super::client::ClientSession;
use super::session::Seat;
use crate::backend::OraError;
use crate::error::{known, ora};
use crate::sql::plsql::unit::Created;

/// All packages by `OWNER.NAME`.
#[derive(Debug, Default)]
pub(crate) struct Packages(BTreeMap<(String, String), Package>);

/// One package.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) spec: String,
    pub(crate) body: Option<String>,
    /// The units that the specification declares.
    pub(crate) public: BTreeSet<String>,
}

impl Packages {
    pub(crate) fn get(&self, owner: &str, name: &str) -> Option<&Package> {
        self.0.get(&(owner.to_owned(), name.to_owned()))
    }

    /// All packages with their owners and names.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys().map(|(owner, name)| (owner.as_str(), name.as_str()))
    }

    /// All of an owner end with it.
    pub(crate) fn remove_owner(&mut self, owner: &str) {
        self.0.retain(|(own, _), _| own != owner);
    }
}

/// What an autonomous transaction hides while it runs.
pub(crate) struct Outer(Seat);

/// Added to a SID: who holds the rows of the session's autonomous transaction. No session has such a SID.
const AUTONOMOUS: u32 = 1 << 30;

impl ClientSession {
    /// CREATE PACKAGE, or its body.
    pub(super) fn create_package(&mut self, created: Created, text: &str) -> Result<(), OraError> {
        let viewer = &self.setting.viewer;
        let owner = created.owner.unwrap_or_else(|| self.setting.schema.clone());
        let shared: &Shared = &self.shared;
        let mut state = shared.look();
        let Some(known_owner) = state.accounts.get(&owner) else {
            return Err(ora(1918, format!("user '{owner}' does not exist")));
        };
        if !known_owner.place.holds(viewer.con_id) || !state.accounts.administers(&viewer.user, self.setting.sysdba) {
            return Err(known(1031));
        }
        if shared.scenario.database.open_mode != "READ WRITE" {
            return Err(known(16_000));
        }
        let package = state.packages.0.entry((owner, created.name)).or_default();
        if created.is_body {
            package.body = Some(text.to_owned());
        } else {
            text.clone_into(&mut package.spec);
            package.public = created.units.into_iter().map(|unit| unit.name).collect();
        }
        Ok(())
    }

    /// The account that logged in, also while a package runs with the rights of its owner.
    pub(crate) fn user(&self) -> &Arc<str> {
        self.setting.invoker.as_ref().unwrap_or(&self.setting.viewer.user)
    }

    /// Does something with the rights of a package's owner, in its schema.
    pub(crate) fn as_definer<T>(&mut self, owner: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.setting.clone();
        self.setting.invoker = Some(Arc::clone(self.user()));
        self.setting.viewer.user = owner.into();
        owner.clone_into(&mut self.setting.schema);
        self.setting.sysdba = false;
        let done = act(self);
        self.setting = before;
        done
    }

    /// From here on changes belong to a transaction of their own.
    pub(crate) fn begin_autonomous(&mut self) -> Outer {
        let outer = self.setting.viewer.holder;
        self.setting.viewer.holder = (self.seat.0, self.seat.1 | AUTONOMOUS);
        Outer(outer)
    }

    /// Whatever was not committed is rolled back; leaving it open is an error of its own.
    pub(crate) fn end_autonomous(&mut self, outer: Outer, well: bool) -> Result<(), OraError> {
        let own = std::mem::replace(&mut self.setting.viewer.holder, outer.0);
        let mut state = self.shared.look();
        let left_open = state.tables.iter().any(|(_, _, table)| table.is_held_by(own));
        state.release(own);
        drop(state);
        self.shared.signal();
        if left_open && well {
            return Err(ora(6519, "active autonomous transaction detected and rolled back"));
        }
        Ok(())
    }
}
