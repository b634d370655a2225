//! The guard package as statements: its schema, what that may do, and `guard.sql`, which is the package itself.

use std::fmt::Write as _;

use crate::actuator::PRIVILEGE;
use crate::actuator::guard::{VERSION, grant_execute};
use crate::oracle::access::{self, Grantee};
use crate::oracle::capabilities::{Container, HostingService, Release, Shape, guard_owner};
use crate::oracle::probe::PREDEFINED_ACCOUNTS;

/// The package, its tables, and what each refusal means.
const TEXT: &str = include_str!("guard.sql");

/// A verifier that no password has: its hash is all zeros.
const NO_PASSWORD: &str = "S:000000000000000000000000000000000000000000000000000000000000";

/// Schemas without a password came with this release.
const SCHEMA_ONLY: Release = Release { major: 18, minor: 0 };

/// DBA_USERS shows from this release on which accounts are Oracle's own.
const MAINTAINED: Release = Release { major: 12, minor: 1 };

/// Views that the owner reads. A package runs with its owner's own rights: those of roles do not count in it.
pub(crate) const fn read_by_owner(container: Container) -> [&'static str; 2] {
    match container {
        Container::Root => ["GV$SESSION", "CDB_USERS"],
        Container::NonCdb | Container::Pdb => ["GV$SESSION", "DBA_USERS"],
    }
}

/// The owner's rights, each as the statement that grants it.
#[must_use]
pub(crate) fn rights_of_owner(container: Container) -> Vec<String> {
    let grantee = Grantee {
        username: guard_owner(container),
        service: HostingService::SelfManaged,
    };
    let views = read_by_owner(container).map(|view| access::grant(view, grantee));
    std::iter::once(access::grant_privilege(PRIVILEGE, grantee))
        .chain(views)
        .collect()
}

/// Adds the statements, for the account that will call the package.
pub(super) fn script(out: &mut String, shape: Shape, user: &str) {
    let owner = guard_owner(shape.container);
    let everywhere = match shape.container {
        Container::Root => " CONTAINER=ALL",
        Container::NonCdb | Container::Pdb => "",
    };
    out.push_str(
        "\n-- The guard package ends sessions for the account, which may end none itself. Its schema has no password and cannot log \
         in.\n",
    );
    let _ = if shape.release >= SCHEMA_ONLY {
        writeln!(out, "CREATE USER {owner} NO AUTHENTICATION{everywhere};")
    } else {
        writeln!(
            out,
            "CREATE USER {owner} IDENTIFIED BY VALUES '{NO_PASSWORD}' ACCOUNT LOCK{everywhere};"
        )
    };
    out.push_str("\n-- its own rights: those of roles do not count in a package\n");
    for right in rights_of_owner(shape.container) {
        let _ = writeln!(out, "{right};");
    }
    if shape.container == Container::Root {
        let _ = writeln!(out, "{};", access::see_all_containers(owner));
    }
    let _ = writeln!(
        out,
        "\n-- its three small tables\nGRANT UNLIMITED TABLESPACE TO {owner};"
    );
    let accounts = PREDEFINED_ACCOUNTS.into_iter().chain([owner]);
    let protected: Vec<String> = accounts
        .map(|account| format!("INSERT INTO {owner}.orareaper_protected (username) VALUES ('{account}');"))
        .collect();
    let (users, is_maintained) = match (shape.container, shape.release >= MAINTAINED) {
        (Container::Root, _) => ("cdb_users", "oracle_maintained"),
        (Container::NonCdb | Container::Pdb, true) => ("dba_users", "oracle_maintained"),
        // Who is there at all.
        (Container::NonCdb | Container::Pdb, false) => ("dba_users", "'N'"),
    };
    let text = TEXT
        .replace("{owner}", owner)
        .replace("{protected}", &protected.join("\n"))
        .replace("{users}", users)
        .replace("{is_maintained}", is_maintained)
        .replace("{version}", &VERSION.to_string());
    out.push_str(&text);
    let _ = writeln!(out, "\n{};", grant_execute(shape.container, user));
}
