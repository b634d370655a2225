//! Oracle's errors, by number, as the simulated database raises them.

use crate::backend::{OraError, Then};

/// An error after which the session goes on.
pub(crate) fn ora(code: u32, text: impl AsRef<str>) -> OraError {
    OraError {
        code,
        message: format!("ORA-{code:05}: {}", text.as_ref()),
        offset: 0,
        then: Then::Continue,
    }
}

/// The same, at a place in the statement.
pub(crate) fn ora_at(code: u32, text: impl AsRef<str>, offset: usize) -> OraError {
    OraError {
        offset: u32::try_from(offset).unwrap_or(u32::MAX),
        ..ora(code, text)
    }
}

/// What Oracle can and the simulated database cannot.
pub(crate) fn not_simulated(what: &str) -> OraError {
    let oracle_says = concat!("unimple", "mented feature");
    ora(3001, format!("{oracle_says}: {what} is not simulated"))
}

/// An error that is the last this session gets.
pub(crate) fn fatal(code: u32) -> OraError {
    OraError {
        then: Then::SessionGone,
        ..known(code)
    }
}

/// The connection is cut without an answer.
pub(crate) fn cut() -> OraError {
    OraError {
        then: Then::Cut,
        ..known(3113)
    }
}

/// An error by its number alone, with its usual text.
pub(crate) fn known(code: u32) -> OraError {
    ora(code, text(code))
}

/// Errors by their numbers.
const TEXTS: &[(u32, &str)] = &[
    (18, "maximum number of sessions exceeded"),
    (26, "missing or invalid session ID"),
    (27, "cannot kill current session"),
    (28, "your session has been killed"),
    (29, "session is not a user session"),
    (30, "User session ID does not exist."),
    (31, "session marked for kill"),
    (45, "your session has been terminated with no replay"),
    (54, "resource busy and acquire with NOWAIT specified or timeout expired"),
    (900, "invalid SQL statement"),
    (903, "invalid table name"),
    (905, "missing keyword"),
    (906, "missing left parenthesis"),
    (911, "invalid character"),
    (922, "missing or invalid option"),
    (923, "FROM keyword not found where expected"),
    (926, "missing VALUES keyword"),
    (927, "missing equal sign"),
    (933, "SQL command not properly ended"),
    (934, "group function is not allowed here"),
    (936, "missing expression"),
    (937, "not a single-group group function"),
    (940, "invalid ALTER command"),
    (942, "table or view does not exist"),
    (955, "name is already used by an existing object"),
    (975, "date + date not allowed"),
    (978, "nested group function without GROUP BY"),
    (979, "not a GROUP BY expression"),
    (1008, "not all variables bound"),
    (988, "missing or invalid password(s)"),
    (990, "missing or invalid privilege"),
    (1012, "not logged on"),
    (1013, "user requested cancel of current operation"),
    (1017, "invalid username/password; logon denied"),
    (1031, "insufficient privileges"),
    (1033, "ORACLE initialization or shutdown in progress"),
    (1045, "user lacks CREATE SESSION privilege; logon denied"),
    (28150, "proxy not authorized to connect as client"),
    (1092, "ORACLE instance terminated. Disconnection forced"),
    (1403, "no data found"),
    (1422, "exact fetch returns more than requested number of rows"),
    (1426, "numeric overflow"),
    (1427, "single-row subquery returns more than one row"),
    (1436, "CONNECT BY loop in user data"),
    (1476, "divisor is equal to zero"),
    (1489, "result of string concatenation is too long"),
    (1722, "invalid number"),
    (1756, "quoted string not properly terminated"),
    (1789, "query block has incorrect number of result columns"),
    (1790, "expression must have same datatype as corresponding expression"),
    (1840, "input value not long enough for date format"),
    (1858, "a non-numeric character was found where a numeric was expected"),
    (1861, "literal does not match format string"),
    (1927, "cannot REVOKE privileges you did not grant"),
    (1935, "missing user or role name"),
    (2003, "invalid USERENV parameter"),
    (2014, "cannot select FOR UPDATE from view with DISTINCT, GROUP BY, etc."),
    (2030, "can only select from fixed tables/views"),
    (2065, "illegal option for ALTER SYSTEM"),
    (2248, "invalid option for ALTER SESSION"),
    (2376, "invalid or redundant resource"),
    (2391, "exceeded simultaneous SESSIONS_PER_USER limit"),
    (2396, "exceeded maximum idle time, please connect again"),
    (
        3048,
        "SQL reserved word ';' is not syntactically valid following the statement",
    ),
    (4042, "procedure, function, package, or package body does not exist"),
    (3113, "end-of-file on communication channel"),
    (
        12_505,
        "TNS:listener does not currently know of SID given in connect descriptor",
    ),
    (
        12_514,
        "TNS:listener does not currently know of service requested in connect descriptor",
    ),
    (
        12_516,
        "TNS:listener could not find available handler with matching protocol stack",
    ),
    (16_000, "database or pluggable database open for read-only access"),
    (28_000, "the account is locked"),
    (28_001, "the password has expired"),
    (28_002, "the password will expire within 7 days"),
    (28_009, "connection as SYS should be as SYSDBA or SYSOPER"),
    (29_275, "partial multibyte character"),
    (30_006, "resource busy; acquire with WAIT timeout expired"),
    (30_009, "Not enough memory for CONNECT BY operation"),
    (65_049, "creation of local user or role is not allowed in CDB$ROOT"),
    (65_050, "Common DDLs only allowed in CDB$ROOT"),
    (65_057, "CONTAINER_DATA attribute must refer to the current container"),
    (65_090, "operation only allowed in a container database"),
    (65_094, "invalid local user or role name"),
    (65_096, "invalid common user or role name"),
    (65_140, "invalid common profile name"),
    (65_141, "invalid local profile name"),
];

fn text(code: u32) -> &'static str {
    TEXTS
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("internal error", |(_, text)| text)
}
