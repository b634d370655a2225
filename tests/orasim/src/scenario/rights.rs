//! The privileges of accounts and roles beyond those that a login needs.

use serde::Deserialize;

/// Grants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rights {
    /// Roles (DBA_ROLE_PRIVS): `OGG_CAPTURE`.
    pub roles: Vec<String>,
    /// System privileges (DBA_SYS_PRIVS): `LOGMINING`.
    pub privileges: Vec<String>,
    /// Packages of SYS it may execute (DBA_TAB_PRIVS): `DBMS_LOGMNR`.
    pub executes: Vec<String>,
    /// DBA_GOLDENGATE_PRIVILEGES.PRIVILEGE_TYPE.
    pub goldengate: Option<Goldengate>,
    /// It is in DBA_XSTREAM_ADMINISTRATOR.
    pub xstream_administrator: bool,
}

/// DBA_GOLDENGATE_PRIVILEGES.PRIVILEGE_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goldengate {
    /// CAPTURE.
    Capture,
    /// APPLY.
    Apply,
    /// `*`: both.
    Both,
}
