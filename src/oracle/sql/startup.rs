//! The queries of start-up: what the database is, what it has, and who is who in it.

use super::{Bind, CellType, Number, Query, Text, Time};

/// A dictionary view in its two forms: of the container that one is connected to (DBA_), and of all (CDB_), which says after its
/// own columns which one a row is of (CON_ID) and shows to the root alone what others have (Oracle Database Reference, "CDB_* Views").
pub(crate) struct Dictionary {
    pub(crate) own: &'static str,
    pub(crate) of_all: &'static str,
    columns: &'static [&'static str],
    restriction: &'static str,
}

/// USERNAME of the accounts that Oracle maintains, from 12.1 on.
pub(crate) const MAINTAINED: Dictionary = Dictionary {
    own: "DBA_USERS",
    of_all: "CDB_USERS",
    columns: &["username"],
    restriction: "WHERE oracle_maintained = 'Y'",
};

/// Who holds a right to capture or apply changes: the privilege to mine the redo (from 12.1 on), the package that does, what
/// GoldenGate is told, and XStream's administrators.
pub(crate) const HOLDERS: [Dictionary; 4] = [
    Dictionary {
        own: "DBA_SYS_PRIVS",
        of_all: "CDB_SYS_PRIVS",
        columns: &["grantee"],
        restriction: "WHERE privilege = 'LOGMINING'",
    },
    Dictionary {
        own: "DBA_TAB_PRIVS",
        of_all: "CDB_TAB_PRIVS",
        columns: &["grantee"],
        restriction: "WHERE table_name = 'DBMS_LOGMNR' AND privilege = 'EXECUTE'",
    },
    Dictionary {
        own: "DBA_GOLDENGATE_PRIVILEGES",
        of_all: "CDB_GOLDENGATE_PRIVILEGES",
        columns: &["username"],
        restriction: "",
    },
    Dictionary {
        own: "DBA_XSTREAM_ADMINISTRATOR",
        of_all: "CDB_XSTREAM_ADMINISTRATOR",
        columns: &["username"],
        restriction: "",
    },
];

/// GRANTEE, GRANTED_ROLE, without the roles that many have.
pub(crate) const ROLES: Dictionary = Dictionary {
    own: "DBA_ROLE_PRIVS",
    of_all: "CDB_ROLE_PRIVS",
    columns: &["grantee", "granted_role"],
    restriction: "WHERE granted_role NOT IN ('CONNECT', 'RESOURCE', 'DBA')",
};

impl Dictionary {
    /// Of this container.
    pub(crate) fn own(&self) -> Query {
        self.query(self.own, self.columns.join(", "), &[])
    }

    /// Of all containers, CON_ID last.
    pub(crate) fn of_all(&self) -> Query {
        self.query(self.of_all, format!("{}, con_id", self.columns.join(", ")), &[Number])
    }

    fn query(&self, view: &'static str, columns: String, more: &[CellType]) -> Query {
        let text = format!("SELECT {columns} FROM {} {}", view.to_lowercase(), self.restriction);
        let types: Vec<CellType> = self.columns.iter().map(|_| Text).chain(more.iter().copied()).collect();
        Query::new(view, text.trim_end().to_owned(), &types)
    }
}

/// INSTANCE_NUMBER, INSTANCE_NAME, VERSION, PARALLEL.
pub(crate) fn instance() -> Query {
    Query::new(
        "V$INSTANCE",
        "SELECT instance_number, instance_name, version, parallel FROM v$instance",
        &[Number, Text, Text, Text],
    )
}

/// VERSION_FULL, from 18c on.
pub(crate) fn full_version() -> Query {
    Query::new("V$INSTANCE", "SELECT version_full FROM v$instance", &[Text])
}

/// INST_ID, INSTANCE_NAME, HOST_NAME, STATUS.
pub(crate) fn instances() -> Query {
    Query::new(
        "GV$INSTANCE",
        "SELECT inst_id, instance_name, host_name, status FROM gv$instance",
        &[Number, Text, Text, Text],
    )
}

/// NAME, DATABASE_ROLE, OPEN_MODE.
pub(crate) fn database() -> Query {
    Query::new(
        "V$DATABASE",
        "SELECT name, database_role, open_mode FROM v$database",
        &[Text, Text, Text],
    )
}

/// CDB, from 12.1 on.
pub(crate) fn is_container_database() -> Query {
    Query::new("V$DATABASE", "SELECT cdb FROM v$database", &[Text])
}

/// CON_ID and CON_NAME, from 12.1 on: before, ORA-02003.
pub(crate) fn container() -> Query {
    Query::new(
        "SYS_CONTEXT",
        "SELECT SYS_CONTEXT('USERENV', 'CON_ID'), SYS_CONTEXT('USERENV', 'CON_NAME') FROM dual",
        &[Text, Text],
    )
}

/// SID, INSTANCE and SESSION_USER of this session.
pub(crate) fn own_seat() -> Query {
    Query::new(
        "SYS_CONTEXT",
        "SELECT SYS_CONTEXT('USERENV', 'SID'), SYS_CONTEXT('USERENV', 'INSTANCE'), SYS_CONTEXT('USERENV', 'SESSION_USER') \
         FROM dual",
        &[Text, Text, Text],
    )
}

/// NETWORK_PROTOCOL and IP_ADDRESS of this session.
pub(crate) fn own_protocol() -> Query {
    Query::new(
        "SYS_CONTEXT",
        "SELECT SYS_CONTEXT('USERENV', 'NETWORK_PROTOCOL'), SYS_CONTEXT('USERENV', 'IP_ADDRESS') FROM dual",
        &[Text, Text],
    )
}

/// NETWORK_SERVICE_BANNER of this session: what was agreed upon at its log-in.
pub(crate) fn own_banners(sid: u32) -> Query {
    Query::new(
        "V$SESSION_CONNECT_INFO",
        "SELECT network_service_banner FROM v$session_connect_info WHERE sid = :1",
        &[Text],
    )
    .with(vec![Bind::Number(sid.into())])
}

/// SERIAL#, LOGON_TIME, USERNAME, SYSDATE.
pub(crate) fn own_session(inst_id: u32, sid: u32) -> Query {
    Query::new(
        "GV$SESSION",
        "SELECT serial#, logon_time, username, SYSDATE FROM gv$session WHERE inst_id = :1 AND sid = :2",
        &[Number, Time, Text, Time],
    )
    .with(vec![Bind::Number(inst_id.into()), Bind::Number(sid.into())])
}

/// COLUMN_NAME of GV$SESSION.
pub(crate) fn session_columns() -> Query {
    Query::new(
        "ALL_TAB_COLUMNS",
        "SELECT column_name FROM all_tab_columns WHERE owner = 'SYS' AND table_name = 'GV_$SESSION'",
        &[Text],
    )
}

/// USERNAME of the accounts that Oracle maintains, from the view that everybody may read.
pub(crate) fn maintained_accounts_for_everybody() -> Query {
    Query::new(
        "ALL_USERS",
        "SELECT username FROM all_users WHERE oracle_maintained = 'Y'",
        &[Text],
    )
}

/// A row on Amazon RDS.
pub(crate) fn amazon_rds() -> Query {
    Query::new(
        "ALL_USERS",
        "SELECT username FROM all_users WHERE username = 'RDSADMIN'",
        &[Text],
    )
}

/// Not NULL on Autonomous Database.
pub(crate) fn cloud_service() -> Query {
    Query::new(
        "SYS_CONTEXT",
        "SELECT SYS_CONTEXT('USERENV', 'CLOUD_SERVICE') FROM dual",
        &[Text],
    )
}

/// NAME, VALUE.
pub(crate) fn parameters() -> Query {
    Query::new(
        "V$PARAMETER",
        "SELECT name, value FROM v$parameter WHERE name IN ('db_block_size', 'cluster_database', 'fixed_date')",
        &[Text, Text],
    )
}

/// NAME, VALUE of the limits on idle sessions, and of what puts profiles' limits in force.
pub(crate) fn idle_parameters() -> Query {
    Query::new(
        "V$PARAMETER",
        "SELECT name, value FROM v$parameter WHERE name IN ('max_idle_time', 'max_idle_blocker_time', 'resource_limit')",
        &[Text, Text],
    )
}

/// VERSION of the database, which everybody may read.
pub(crate) fn product() -> Query {
    Query::new(
        "PRODUCT_COMPONENT_VERSION",
        "SELECT version FROM product_component_version WHERE product LIKE 'Oracle%Database%'",
        &[Text],
    )
}

/// ACCOUNT_STATUS, EXPIRY_DATE, SYSDATE of the own account.
pub(crate) fn own_account() -> Query {
    Query::new(
        "USER_USERS",
        "SELECT account_status, expiry_date, SYSDATE FROM user_users",
        &[Text, Time, Time],
    )
}

/// RESOURCE_NAME, LIMIT of the own profile.
pub(crate) fn own_limits() -> Query {
    Query::new(
        "USER_RESOURCE_LIMITS",
        "SELECT resource_name, limit FROM user_resource_limits",
        &[Text, Text],
    )
}

/// A row if the session has this system privilege.
pub(crate) fn own_privilege(privilege: &str) -> Query {
    Query::new(
        "SESSION_PRIVS",
        "SELECT privilege FROM session_privs WHERE privilege = :1",
        &[Text],
    )
    .with(vec![Bind::Text(privilege.to_owned())])
}

/// The version of the guard package.
pub(crate) fn guard_version(owner: &str) -> Query {
    Query::new(
        "ORAREAPER_GUARD",
        format!("SELECT {owner}.orareaper_guard.version() FROM dual"),
        &[Number],
    )
}

/// A row if there is an account of this name.
pub(crate) fn account_named(name: &str) -> Query {
    Query::new(
        "ALL_USERS",
        "SELECT username FROM all_users WHERE username = :1",
        &[Text],
    )
    .with(vec![Bind::Text(name.to_owned())])
}

/// System privileges that an account holds itself in this container.
pub(crate) fn privileges_of(account: &str, in_root: bool) -> Query {
    let query = if in_root {
        Query::new(
            "CDB_SYS_PRIVS",
            "SELECT privilege FROM cdb_sys_privs WHERE grantee = :1 AND con_id = 1",
            &[Text],
        )
    } else {
        Query::new(
            "DBA_SYS_PRIVS",
            "SELECT privilege FROM dba_sys_privs WHERE grantee = :1",
            &[Text],
        )
    };
    query.with(vec![Bind::Text(account.to_owned())])
}

/// Objects of SYS that an account may itself read in this container.
pub(crate) fn objects_read_by(account: &str, in_root: bool) -> Query {
    let query = if in_root {
        Query::new(
            "CDB_TAB_PRIVS",
            "SELECT table_name FROM cdb_tab_privs WHERE grantee = :1 AND owner = 'SYS' AND privilege IN ('SELECT', 'READ') \
             AND con_id = 1",
            &[Text],
        )
    } else {
        Query::new(
            "DBA_TAB_PRIVS",
            "SELECT table_name FROM dba_tab_privs WHERE grantee = :1 AND owner = 'SYS' AND privilege IN ('SELECT', 'READ')",
            &[Text],
        )
    };
    query.with(vec![Bind::Text(account.to_owned())])
}

/// A row if this account may execute Amazon's package: ALL_OBJECTS shows everybody what they may use.
pub(crate) fn rds_package() -> Query {
    Query::new(
        "ALL_OBJECTS",
        "SELECT object_name FROM all_objects WHERE owner = 'RDSADMIN' AND object_name = 'RDSADMIN_UTIL'",
        &[Text],
    )
}

/// CON_ID, NAME of the PDBs that are open.
pub(crate) fn open_pdbs() -> Query {
    Query::new(
        "V$PDBS",
        "SELECT con_id, name FROM v$pdbs WHERE open_mode LIKE 'READ%' AND con_id > 2",
        &[Number, Text],
    )
}

/// Sessions that are seen outside the root.
pub(crate) fn sessions_in_pdbs() -> Query {
    Query::new(
        "GV$SESSION",
        "SELECT COUNT(*) FROM gv$session WHERE con_id > 1",
        &[Number],
    )
}
