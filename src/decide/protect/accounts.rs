//! Names of accounts, each with the containers that have the account.
//!
//! A PDB has accounts of its own, and those of another may have the same names and other rights. Of a session whose container
//! is not known, any of them may be meant.

use std::collections::{BTreeMap, HashSet};

/// Accounts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    everywhere: HashSet<String>,
    /// By CON_ID, those that are not everywhere.
    local: BTreeMap<u32, HashSet<String>>,
}

impl Accounts {
    /// Adds one of every container, or of a PDB alone.
    pub(crate) fn insert(&mut self, container: Option<u32>, name: String) {
        match container {
            None => {
                self.everywhere.insert(name);
            }
            Some(con_id) => {
                self.local.entry(con_id).or_default().insert(name);
            }
        }
    }

    /// Whether the name is one of them in every container.
    #[must_use]
    pub(crate) fn are_everywhere(&self, name: &str) -> bool {
        self.everywhere.contains(name)
    }

    /// Whether the name is one of them in some container.
    #[must_use]
    pub(crate) fn are_somewhere(&self, name: &str) -> bool {
        self.are_everywhere(name) || self.local.values().any(|names| names.contains(name))
    }

    /// Whether the account of a session in this container is one of them. NULL and 0 name no container.
    #[must_use]
    pub(crate) fn include(&self, name: &str, con_id: Option<u32>) -> bool {
        match con_id.filter(|con_id| *con_id > 0) {
            None => self.are_somewhere(name),
            Some(con_id) => {
                self.are_everywhere(name) || self.local.get(&con_id).is_some_and(|names| names.contains(name))
            }
        }
    }

    /// Whether some are of one container alone.
    #[must_use]
    pub(crate) fn are_by_container(&self) -> bool {
        !self.local.is_empty()
    }

    /// The accounts of every container, in no order.
    pub(crate) fn everywhere(&self) -> impl Iterator<Item = &String> {
        self.everywhere.iter()
    }

    /// The accounts of one container alone, by its CON_ID.
    pub(crate) fn local(&self) -> impl Iterator<Item = (u32, &HashSet<String>)> {
        self.local.iter().map(|(con_id, names)| (*con_id, names))
    }
}

impl FromIterator<String> for Accounts {
    /// Of every container.
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Accounts {
        Accounts {
            everywhere: names.into_iter().collect(),
            local: BTreeMap::new(),
        }
    }
}

impl<const N: usize> From<[String; N]> for Accounts {
    fn from(names: [String; N]) -> Accounts {
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_one_in_its_container_and_wherever_nobody_knows_the_container() {
        let mut accounts: Accounts = ["C##GG"].map(String::from).into();
        accounts.insert(Some(3), "APP".into());
        accounts.insert(Some(4), "ETL".into());
        for (name, con_id, included) in [
            ("C##GG", Some(3), true),
            ("C##GG", Some(1), true),
            ("C##GG", None, true),
            ("APP", Some(3), true),
            ("APP", Some(4), false),
            ("APP", Some(1), false),
            ("APP", Some(0), true),
            ("APP", None, true),
            ("ETL", Some(4), true),
            ("OTHER", None, false),
        ] {
            assert_eq!(accounts.include(name, con_id), included, "{name} in {con_id:?}");
        }
    }
}
