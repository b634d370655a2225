//! The views that are read, and what is reported when one cannot be.
//!
//! A view that the account may not read is not an error: its values are unknown, and unknown spares. But the author of a
//! policy has to learn that it does nothing here, and how to change that. So each view is a row of [`VIEWS`], with the
//! policies that need it and with what is unknown without it. A view that cannot be read becomes an [`Unreadable`], whose text
//! names the view, Oracle's answer, the consequence and the exact grant.
//!
//! Some views are read only when a session refers to them (GV$TRANSACTION when one has a TADDR). A missing grant would then
//! show only on the day when it matters, so [`check`] queries each needed view once for no rows.

use std::fmt;
use std::time::Duration;

use crate::checks::{Check, Id, State};
use crate::oracle::capabilities::{Container, HostingService, Release, Shape};
use crate::oracle::error::{Class, Error};
use crate::oracle::{CellType, Connection, Query, collect};
use crate::policy::pressure::Resource;
use crate::session::column::{Columns, Source};

/// A view that is read.
pub struct View {
    /// Its name in queries: `GV$TRANSACTION`.
    pub name: &'static str,
    /// What is unknown without it, as the end of a sentence.
    pub(crate) without: &'static str,
    /// Whether the policies need it on this database.
    needed: fn(&PolicyNeeds<'_>) -> bool,
}

/// What the policies need from a database.
#[derive(Clone, Copy, Debug)]
pub struct PolicyNeeds<'a> {
    /// Columns, derived ones included.
    pub columns: Columns,
    /// Resources that gates watch.
    pub resources: &'a [Resource],
    /// The database.
    pub shape: Shape,
}

impl PolicyNeeds<'_> {
    fn any(&self, of: &[Resource]) -> bool {
        self.resources.iter().any(|resource| of.contains(resource))
    }

    fn in_pdb(&self) -> bool {
        self.shape.container == Container::Pdb
    }

    fn in_root(&self) -> bool {
        self.shape.container == Container::Root
    }
}

const CAPTURE_BY_NAME: &str = "accounts that capture or apply changes are told by PROGRAM and MODULE alone";
const CAPTURE_IN_PDBS_BY_NAME: &str = "accounts of PDBs that capture or apply changes are told by PROGRAM and MODULE alone, and \
                                       so are those of the root where its own dictionary cannot be read either";

/// Every view that is read and that not every account may read. A new view must be added here: `setup-sql` and `doctor` use
/// this list.
pub const VIEWS: &[View] = &[
    View {
        name: "V$INSTANCE",
        without: "nothing is known of the database",
        needed: |_| true,
    },
    View {
        name: "GV$INSTANCE",
        without: "nothing is known of the database",
        needed: |_| true,
    },
    View {
        name: "GV$SESSION",
        without: "there are no sessions to look at",
        needed: |_| true,
    },
    View {
        name: "V$DATABASE",
        without: "the database is not known to be open, and no DISCONNECT is sent to it",
        needed: |_| true,
    },
    View {
        name: "V$PARAMETER",
        without: "the size of a block is not known, and undo and temp with it",
        needed: |_| true,
    },
    View {
        name: "DBA_USERS",
        without: "Oracle's own accounts are those that ALL_USERS shows, or else those that Oracle documents; account_status, profile \
                  and oracle_maintained are unknown",
        // ORACLE_MAINTAINED came with 12.1.
        needed: |asked| {
            let since = Release { major: 12, minor: 1 };
            (asked.shape.release >= since || asked.columns.needs(Source::Account)) && !asked.in_root()
        },
    },
    View {
        name: "CDB_USERS",
        without: "Oracle's own accounts are those of the root, as far as DBA_USERS shows them, and not those that only a PDB has; \
                  account_status, profile and oracle_maintained are unknown",
        needed: |asked| asked.in_root(),
    },
    View {
        name: "V$PDBS",
        without: "nobody can tell whether the account sees the sessions of the PDBs (CONTAINER_DATA)",
        needed: |asked| asked.in_root(),
    },
    View {
        name: "GV$PDBS",
        without: "an instance on which this PDB is closed is taken for one that does not answer",
        needed: |asked| asked.in_pdb() && asked.shape.cluster,
    },
    View {
        name: "DBA_SYS_PRIVS",
        without: CAPTURE_BY_NAME,
        needed: |asked| !asked.in_root(),
    },
    View {
        name: "CDB_SYS_PRIVS",
        without: CAPTURE_IN_PDBS_BY_NAME,
        needed: |asked| asked.in_root(),
    },
    View {
        name: "DBA_TAB_PRIVS",
        without: CAPTURE_BY_NAME,
        needed: |asked| !asked.in_root(),
    },
    View {
        name: "CDB_TAB_PRIVS",
        without: CAPTURE_IN_PDBS_BY_NAME,
        needed: |asked| asked.in_root(),
    },
    View {
        name: "DBA_ROLE_PRIVS",
        without: CAPTURE_BY_NAME,
        needed: |asked| !asked.in_root(),
    },
    View {
        name: "CDB_ROLE_PRIVS",
        without: CAPTURE_IN_PDBS_BY_NAME,
        needed: |asked| asked.in_root(),
    },
    View {
        name: "DBA_GOLDENGATE_PRIVILEGES",
        without: CAPTURE_BY_NAME,
        needed: |asked| !asked.in_root(),
    },
    View {
        name: "CDB_GOLDENGATE_PRIVILEGES",
        without: CAPTURE_IN_PDBS_BY_NAME,
        needed: |asked| asked.in_root(),
    },
    View {
        name: "DBA_XSTREAM_ADMINISTRATOR",
        without: CAPTURE_BY_NAME,
        needed: |asked| !asked.in_root(),
    },
    View {
        name: "CDB_XSTREAM_ADMINISTRATOR",
        without: CAPTURE_IN_PDBS_BY_NAME,
        needed: |asked| asked.in_root(),
    },
    View {
        name: "GV$TRANSACTION",
        without: "transaction_age, transaction_status, undo_records and undo are unknown, and everybody in a transaction is spared",
        needed: |_| true,
    },
    View {
        name: "GV$PX_SESSION",
        without: "parallel servers are told by their PROGRAM alone, and px_servers is unknown",
        needed: |_| true,
    },
    View {
        name: "GV$PROCESS",
        without: "pga, spid and pname are unknown, and `while` and `until` on pga inside a PDB",
        needed: |asked| asked.columns.needs(Source::Process),
    },
    View {
        name: "GV$SORT_USAGE",
        without: "temp is unknown",
        needed: |asked| asked.columns.needs(Source::Temp),
    },
    View {
        name: "DBA_TABLESPACES",
        without: "the blocks of temporary tablespaces are taken to be of the database's block size",
        needed: |asked| asked.columns.needs(Source::Temp),
    },
    View {
        name: "GV$SESSTAT",
        without: "cpu, logical_reads, physical_reads and redo are unknown, and so are cpu_rate, reads_rate and redo_rate",
        needed: |asked| asked.columns.needs(Source::Statistics),
    },
    View {
        name: "V$STATNAME",
        without: "cpu, logical_reads, physical_reads and redo are unknown, and so are cpu_rate, reads_rate and redo_rate",
        needed: |asked| asked.columns.needs(Source::Statistics),
    },
    View {
        name: "V$CONTAINERS",
        without: "container is unknown",
        needed: |asked| asked.columns.needs(Source::Container) && asked.shape.container != Container::NonCdb,
    },
    View {
        name: "GV$RESOURCE_LIMIT",
        without: "`while` and `until` on sessions, processes and transactions are unknown",
        needed: |asked| {
            asked.any(&[Resource::Sessions, Resource::Processes, Resource::Transactions]) && !asked.in_pdb()
        },
    },
    View {
        name: "GV$PGASTAT",
        without: "`while` and `until` on pga are unknown",
        needed: |asked| asked.any(&[Resource::Pga]) && !asked.in_pdb(),
    },
    View {
        name: "GV$PARAMETER",
        without: "the limits of pga and undo are unknown, and that of sessions inside a PDB",
        needed: |asked| {
            asked.any(&[Resource::Pga, Resource::Undo]) || asked.any(&[Resource::Sessions]) && asked.in_pdb()
        },
    },
    View {
        name: "GV$SYSMETRIC",
        without: "`while` and `until` on host_cpu are unknown",
        needed: |asked| asked.any(&[Resource::HostCpu]) && !asked.in_pdb(),
    },
    View {
        name: "GV$OSSTAT",
        without: "`while` and `until` on host_cpu are unknown",
        needed: |asked| asked.any(&[Resource::HostCpu]) && asked.in_pdb(),
    },
    View {
        name: "DBA_TEMP_FREE_SPACE",
        without: "`while` and `until` on temp are unknown",
        needed: |asked| asked.any(&[Resource::Temp]) && !asked.in_root(),
    },
    View {
        name: "DBA_TEMP_FILES",
        without: "the limit of temp is unknown",
        needed: |asked| asked.any(&[Resource::Temp]) && !asked.in_root(),
    },
    View {
        name: "DBA_DATA_FILES",
        without: "the limit of undo is unknown",
        needed: |asked| asked.any(&[Resource::Undo]) && !asked.in_root(),
    },
];

/// The account that reads, which a grant is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grantee<'a> {
    /// Its user name in the database's spelling.
    pub(crate) username: &'a str,
    /// Who runs the database.
    pub(crate) service: HostingService,
}

/// A view that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The view: `GV$TRANSACTION`.
    pub(crate) view: &'static str,
    /// What was tried and what Oracle answered.
    pub(crate) error: Error,
    /// What is unknown without it; empty for a view that is not in [`VIEWS`].
    pub(crate) without: &'static str,
    /// The statement that grants the right, if a right is missing.
    pub(crate) grant: Option<String>,
}

impl Unreadable {
    /// From the error of a query of the view.
    #[must_use]
    pub(crate) fn new(view: &'static str, error: Error, grantee: Grantee<'_>) -> Unreadable {
        let known = VIEWS.iter().find(|known| known.name == view);
        Unreadable {
            view,
            without: known.map_or("", |known| known.without),
            grant: known.filter(|_| error.is_missing_right()).map(|_| grant(view, grantee)),
            error,
        }
    }

    /// What there is to say of it.
    #[must_use]
    pub(crate) fn check(&self) -> Check {
        let mut found = self.error.to_string();
        if !self.without.is_empty() {
            found = format!("{found}; without it {}", self.without);
        }
        let check = Check::new(Id::View, self.view, State::Missing, found);
        match &self.grant {
            Some(grant) => check.granted_by(grant),
            None => check,
        }
    }
}

/// `read GV$TRANSACTION from prod: ORA-00942: table or view does not exist; without it transaction_age, transaction_status,
/// undo_records and undo are unknown, and everybody in a transaction is spared; remedy: GRANT SELECT ON
/// sys.gv_$transaction TO REAPER`
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check().fmt(f)
    }
}

/// The statement that lets the account read the view.
///
/// A right is granted on the view behind the synonym: GV_$SESSION, not GV$SESSION. On Amazon RDS rights on objects of SYS are
/// granted only through a package, which takes names in upper case (Amazon RDS User Guide, "Granting SELECT or EXECUTE
/// privileges to SYS objects").
#[must_use]
pub(crate) fn grant(view: &str, grantee: Grantee<'_>) -> String {
    let object = object(view);
    match grantee.service {
        HostingService::AmazonRds => format!(
            "EXEC rdsadmin.rdsadmin_util.grant_sys_object('{object}', '{}', 'SELECT')",
            grantee.username.replace('\'', "''")
        ),
        HostingService::SelfManaged | HostingService::Autonomous => format!(
            "GRANT SELECT ON sys.{} TO {}",
            object.to_lowercase(),
            identifier(grantee.username)
        ),
    }
}

/// The statement that lets the account execute a package of SYS, named in small letters.
#[must_use]
pub(crate) fn grant_execute(package: &str, grantee: Grantee<'_>) -> String {
    match grantee.service {
        HostingService::AmazonRds => format!(
            "EXEC rdsadmin.rdsadmin_util.grant_sys_object('{}', '{}', 'EXECUTE')",
            package.to_uppercase(),
            grantee.username.replace('\'', "''")
        ),
        HostingService::SelfManaged | HostingService::Autonomous => {
            format!("GRANT EXECUTE ON sys.{package} TO {}", identifier(grantee.username))
        }
    }
}

/// The statement that gives the account a system privilege.
#[must_use]
pub(crate) fn grant_privilege(privilege: &str, grantee: Grantee<'_>) -> String {
    format!("GRANT {privilege} TO {}", identifier(grantee.username))
}

/// The statement that lets the account end sessions on Amazon RDS.
#[must_use]
pub(crate) fn grant_rds_package(username: &str) -> String {
    format!("GRANT EXECUTE ON rdsadmin.rdsadmin_util TO {}", identifier(username))
}

/// The statement that lets a common account see the data of all containers while it is connected to the root.
#[must_use]
pub(crate) fn see_all_containers(username: &str) -> String {
    format!(
        "ALTER USER {} SET CONTAINER_DATA=ALL CONTAINER=CURRENT",
        identifier(username)
    )
}

/// The object that a right is granted on: `GV_$SESSION` for `GV$SESSION`.
pub(crate) fn object(view: &str) -> String {
    match view.split_once("V$") {
        Some((prefix @ ("" | "G"), name)) => format!("{prefix}V_${name}"),
        Some(_) | None => view.to_owned(),
    }
}

/// A name as the database spells it: in upper case unless it is quoted.
#[must_use]
pub(crate) fn folded(name: &str) -> String {
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    quoted.map_or_else(|| name.to_uppercase(), str::to_owned)
}

/// A name as an SQL identifier: quoted unless folding to upper case leaves it as it is.
#[must_use]
pub(crate) fn identifier(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '$' | '#'));
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

/// The views that the policies need.
#[must_use]
pub fn needed(asked: &PolicyNeeds<'_>) -> Vec<&'static View> {
    VIEWS.iter().filter(|view| (view.needed)(asked)).collect()
}

/// The needed views that cannot be read: each is queried for no rows.
///
/// # Errors
/// When the connection breaks.
pub(crate) fn check(
    connection: &mut dyn Connection,
    asked: &PolicyNeeds<'_>,
    grantee: Grantee<'_>,
    limit: Duration,
) -> Result<Vec<Unreadable>, Error> {
    let mut unreadable = Vec::new();
    for view in needed(asked) {
        let text = format!("SELECT 1 FROM {} WHERE 1 = 0", view.name.to_lowercase());
        let query = Query::new(view.name, text, &[CellType::Number]).few();
        match collect(connection, &query, limit, 1, |_| Some(())) {
            Ok(_) => {}
            Err(error) => match error.class {
                Class::Config | Class::Unsupported | Class::Bug | Class::Partial => {
                    unreadable.push(Unreadable::new(view.name, error, grantee));
                }
                Class::Auth | Class::Backoff | Class::Reconnect | Class::Cancelled => return Err(error),
            },
        }
    }
    Ok(unreadable)
}

#[cfg(test)]
mod tests;
