//! Which accounts are Oracle's own, and which capture or apply changes: by the data dictionary.
//!
//! The dictionary of a container has its own accounts. In the root the CDB_ views have those of every container, with CON_ID;
//! where one of them cannot be read, the root's own dictionary is better than nothing, and the CDB_ view is named among what
//! is unreadable. What the root grants holds in every container, so it protects in every container.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::checks::Id;
use crate::decide::protect::Accounts;
use crate::oracle::access::Unreadable;
use crate::oracle::capabilities::{Provenance, Release};
use crate::oracle::error::Error;
use crate::oracle::probe::{Asking, PREDEFINED_ACCOUNTS, WITH_CONTAINERS, id, text};
use crate::oracle::sql::startup::{self, Dictionary};
use crate::oracle::{Cell, Query};

/// What the probe found out about accounts.
pub(super) struct AccountsFound {
    pub(super) maintained: Accounts,
    pub(super) maintained_from: Provenance,
    /// The containers that the CDB_ views cover; `None` where they are not read, or cannot be.
    pub(super) containers: Option<BTreeSet<u32>>,
    pub(super) replication: Accounts,
}

/// CDB$ROOT.
const ROOT: u32 = 1;

/// Oracle's own roles that hold these rights among many others: having such a role proves nothing.
const FOR_MANY_USES: [&str; 8] = [
    "DBA",
    "CDB_DBA",
    "PDB_DBA",
    "EXECUTE_CATALOG_ROLE",
    "IMP_FULL_DATABASE",
    "DATAPUMP_IMP_FULL_DATABASE",
    "SYS",
    "PUBLIC",
];

/// Roles that are made for capturing and applying changes.
const ROLES: [&str; 5] = [
    "OGG_CAPTURE",
    "OGG_APPLY",
    "OGG_APPLY_PROCREP",
    "XSTREAM_CAPTURE",
    "XSTREAM_APPLY",
];

/// The rights in the dictionary of one container, or of the root.
#[derive(Default)]
struct Rights {
    holders: HashSet<String>,
    /// To whom, which role.
    roles: Vec<(String, String)>,
}

impl Rights {
    /// The accounts and roles that hold a right themselves or by another role, starting from the direct holders.
    fn all_holders(&self, before: &HashSet<String>, granted_before: &[(String, String)]) -> HashSet<String> {
        let mut found: HashSet<String> = before.union(&self.holders).cloned().collect();
        found.retain(|name| !FOR_MANY_USES.contains(&name.as_str()));
        let grants = || self.roles.iter().chain(granted_before);
        loop {
            let known = found.len();
            for (to, role) in grants().filter(|(to, _)| !FOR_MANY_USES.contains(&to.as_str())) {
                if found.contains(role) {
                    found.insert(to.clone());
                }
            }
            if found.len() == known {
                return found;
            }
        }
    }
}

impl Asking<'_> {
    pub(super) fn accounts(&mut self, release: Release, in_root: bool) -> Result<AccountsFound, Error> {
        let (maintained, maintained_from, containers) = self.maintained_accounts(release, in_root)?;
        Ok(AccountsFound {
            maintained,
            maintained_from,
            containers,
            replication: self.replication_accounts(in_root)?,
        })
    }

    /// The accounts that capture or apply changes, judged by their rights and not by names that a client sets.
    fn replication_accounts(&mut self, in_root: bool) -> Result<Accounts, Error> {
        let mut rights: BTreeMap<Option<u32>, Rights> = BTreeMap::new();
        for dictionary in &startup::HOLDERS {
            let names = self.dictionary(dictionary, in_root, |row| text(row, 0))?;
            for (container, name) in names {
                rights.entry(container).or_default().holders.insert(name);
            }
        }
        let grants = self.dictionary(&startup::ROLES, in_root, |row| Some((text(row, 0)?, text(row, 1)?)))?;
        for (container, grant) in grants {
            rights.entry(container).or_default().roles.push(grant);
        }
        let everywhere = rights.remove(&None).unwrap_or_default();
        let roles: HashSet<String> = ROLES.into_iter().map(str::to_owned).collect();
        let of_all = everywhere.all_holders(&roles, &[]);
        let mut accounts: Accounts = of_all.iter().cloned().collect();
        for (container, own) in rights {
            for name in own.all_holders(&of_all, &everywhere.roles) {
                if !of_all.contains(&name) {
                    accounts.insert(container, name);
                }
            }
        }
        Ok(accounts)
    }

    /// The rows of a dictionary view, each with its PDB; without one if the row applies to every container.
    fn dictionary<T>(
        &mut self,
        of: &Dictionary,
        in_root: bool,
        row: impl Fn(&[Cell<'_>]) -> Option<T>,
    ) -> Result<Vec<(Option<u32>, T)>, Error> {
        if !in_root {
            let rows = self.rows_if_readable(&of.own(), |cells| Some((None, row(cells)?)))?;
            return Ok(rows.unwrap_or_default());
        }
        if let Some(rows) = self.rows_if_readable(&of.of_all(), |cells| Some((container(cells), row(cells)?)))? {
            return Ok(rows);
        }
        let rows = self.rows_if_readable(&of.own(), |cells| Some((None, row(cells)?)))?;
        Ok(rows.unwrap_or_default())
    }

    fn maintained_accounts(
        &mut self,
        release: Release,
        in_root: bool,
    ) -> Result<(Accounts, Provenance, Option<BTreeSet<u32>>), Error> {
        let mut why = format!("release {release} has no ORACLE_MAINTAINED");
        let mut is_said = false;
        let mut sources: Vec<(Query, Provenance)> = Vec::new();
        if release.at_least(WITH_CONTAINERS.0, WITH_CONTAINERS.1) {
            let own = (startup::MAINTAINED.own(), Provenance::Dictionary);
            let for_everybody = startup::maintained_accounts_for_everybody();
            sources.extend(in_root.then(|| (startup::MAINTAINED.of_all(), Provenance::Dictionary)));
            sources.extend([own, (for_everybody, Provenance::PublicDictionary)]);
        }
        for (query, provenance) in sources {
            let of_all = query.of == startup::MAINTAINED.of_all;
            let row = |cells: &[Cell<'_>]| {
                let con_id = if of_all { id(cells, 1) } else { None };
                Some((con_id, text(cells, 0)?))
            };
            match self.rows_or(&query, row)? {
                Ok(names) if names.iter().any(|(_, name)| name == "SYS") => {
                    if provenance == Provenance::PublicDictionary && !is_said {
                        let found = format!("{why}; Oracle's accounts are those that ALL_USERS shows");
                        self.note(Id::Dictionary, "ALL_USERS", found);
                    }
                    // SYS is an account of every container.
                    let of_sys = names.iter().filter(|(_, name)| name == "SYS");
                    let containers = of_all.then(|| of_sys.filter_map(|(con_id, _)| *con_id).collect());
                    return Ok((by_container(names), provenance, containers));
                }
                Ok(_) => why = format!("{} names no account that Oracle maintains", query.of),
                Err(error) => {
                    why = error.to_string();
                    if error.is_missing_right() {
                        is_said = true;
                        self.unreadable.push(Unreadable::new(query.of, error, self.grantee()));
                    }
                }
            }
        }
        let found = format!("{why}; Oracle's accounts are taken to be those it documents");
        self.note(Id::Dictionary, "", found);
        let names = PREDEFINED_ACCOUNTS.into_iter().map(str::to_owned).collect();
        Ok((names, Provenance::Documentation, None))
    }
}

/// The accounts; those of the root apply to every container.
fn by_container(names: Vec<(Option<u32>, String)>) -> Accounts {
    let is_local = |(con_id, _): &(Option<u32>, String)| con_id.is_some_and(|con_id| con_id > ROOT);
    let (local, common): (Vec<_>, Vec<_>) = names.into_iter().partition(is_local);
    let mut accounts: Accounts = common.into_iter().map(|(_, name)| name).collect();
    for (con_id, name) in local {
        if !accounts.are_everywhere(&name) {
            accounts.insert(con_id, name);
        }
    }
    accounts
}

/// The PDB that the last column, CON_ID, names.
fn container(cells: &[Cell<'_>]) -> Option<u32> {
    id(cells, cells.len().checked_sub(1)?).filter(|con_id| *con_id > ROOT)
}
