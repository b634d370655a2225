//! Which database a connection leads to, whatever the address: two entries of the configuration may lead to one, and share its budget.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::oracle::capabilities::Capabilities;

/// The CON_ID of CDB$ROOT (Oracle Database Reference, "V$CONTAINERS").
const ROOT: u32 = 1;

/// The identity of a database: its name, its container, and its instances with their hosts. A standby and a clone have other hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseIdentity {
    /// V$DATABASE.NAME.
    pub database: String,
    /// CON_ID; `None` on a database without containers.
    pub container: Option<u32>,
    /// INSTANCE_NAME and HOST_NAME.
    pub instances: BTreeSet<(String, String)>,
}

impl DatabaseIdentity {
    /// The identity of a connected database.
    #[must_use]
    pub(crate) fn of(capabilities: &Capabilities) -> DatabaseIdentity {
        let instances = capabilities.instances.iter();
        DatabaseIdentity {
            database: capabilities.database_name.clone(),
            container: capabilities.con_id,
            instances: instances
                .map(|instance| (instance.name.clone(), instance.host.clone()))
                .collect(),
        }
    }

    /// Whether both are of one database. An instance may have been down.
    #[must_use]
    pub(crate) fn is(&self, other: &DatabaseIdentity) -> bool {
        self.container == other.container && self.has_common_instances(other)
    }

    /// Whether both show some of the same sessions: they are of one database, or one is the root of the other's CDB, which shows the
    /// sessions of all its containers.
    #[must_use]
    pub(crate) fn overlaps(&self, other: &DatabaseIdentity) -> bool {
        let is_root = self.container == Some(ROOT) || other.container == Some(ROOT);
        let of_one =
            self.container == other.container || is_root && self.container.is_some() && other.container.is_some();
        of_one && self.has_common_instances(other)
    }

    /// The same with the instances of another that shows some of the same sessions: one that was down is one of the database all the same.
    #[must_use]
    pub(crate) fn with_what_was_seen(mut self, other: &DatabaseIdentity) -> DatabaseIdentity {
        if self.overlaps(other) {
            self.instances.extend(other.instances.iter().cloned());
        }
        self
    }

    fn has_common_instances(&self, other: &DatabaseIdentity) -> bool {
        self.database == other.database && !self.instances.is_disjoint(&other.instances)
    }
}
