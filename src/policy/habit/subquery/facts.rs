//! What the rows of other views say about a session, and the words for it in a policy.

/// What a session is if a view has a row for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ViewFact {
    view: &'static str,
    /// The view's column and the session's column that are equal.
    pub(super) own: &'static str,
    pub(super) of_the_session: &'static str,
    pub(super) yes: &'static str,
    pub(super) no: &'static str,
    /// Why `yes` is also true of other sessions than those with a row, if it is.
    pub(super) wider: Option<&'static str>,
    /// What else a policy knows of it.
    pub(super) more: &'static str,
}

const fn fact(
    (view, own, of_the_session): (&'static str, &'static str, &'static str),
    (yes, no): (&'static str, &'static str),
    wider: Option<&'static str>,
    more: &'static str,
) -> ViewFact {
    ViewFact {
        view,
        own,
        of_the_session,
        yes,
        no,
        wider,
        more,
    }
}

const IN_TRANSACTION: (&str, &str) = ("in transaction", "not in transaction");
const BLOCKING: (&str, &str) = ("blocking", "not blocking");
const BLOCKED: (&str, &str) = ("blocked", "not blocked");
const TEMP: (&str, &str) = ("temp > 0", "temp = 0");

const OF_TRANSACTIONS: &str = "`transaction_age`, `undo_records`, `undo` and `transaction_status` are columns";
const OF_BLOCKERS: &str = "`blocking_for` is the longest wait for the session";
const OF_WAITERS: &str = "`blocked longer than 5m` has a limit of its own";
const OF_TEMP: &str = "`temp` is the size of the session's temporary segments";
const OF_PX: &str = "`px_servers` is how many parallel servers the session holds";

const NOT_ONLY_LOCKS: Option<&str> = Some("it counts every wait for another session, and not only locks");
const NOT_ONLY_FIRST: Option<&str> =
    Some("DBA_BLOCKERS has only locks, and no session that waits for another one itself");
const NOT_ONLY_FINAL: Option<&str> = Some("it is also true of a session that waits for another one itself");

const FACTS: [ViewFact; 15] = [
    fact(
        ("v$transaction", "addr", "taddr"),
        IN_TRANSACTION,
        None,
        OF_TRANSACTIONS,
    ),
    fact(
        ("v$transaction", "ses_addr", "saddr"),
        IN_TRANSACTION,
        None,
        OF_TRANSACTIONS,
    ),
    fact(("v$session", "blocking_session", "sid"), BLOCKING, None, OF_BLOCKERS),
    fact(
        ("v$session", "final_blocking_session", "sid"),
        BLOCKING,
        NOT_ONLY_FINAL,
        OF_BLOCKERS,
    ),
    fact(("v$session", "sid", "blocking_session"), BLOCKED, None, OF_WAITERS),
    fact(
        ("v$session_blockers", "blocker_sid", "sid"),
        BLOCKING,
        None,
        OF_BLOCKERS,
    ),
    fact(("v$session_blockers", "sid", "sid"), BLOCKED, None, OF_WAITERS),
    fact(
        ("dba_blockers", "holding_session", "sid"),
        BLOCKING,
        NOT_ONLY_FIRST,
        OF_BLOCKERS,
    ),
    fact(
        ("dba_waiters", "holding_session", "sid"),
        BLOCKING,
        NOT_ONLY_LOCKS,
        OF_BLOCKERS,
    ),
    fact(
        ("dba_waiters", "waiting_session", "sid"),
        BLOCKED,
        NOT_ONLY_LOCKS,
        OF_WAITERS,
    ),
    fact(("v$lock", "block", "sid"), BLOCKING, NOT_ONLY_LOCKS, OF_BLOCKERS),
    fact(("v$lock", "request", "sid"), BLOCKED, NOT_ONLY_LOCKS, OF_WAITERS),
    fact(("v$sort_usage", "session_addr", "saddr"), TEMP, None, OF_TEMP),
    fact(("v$tempseg_usage", "session_addr", "saddr"), TEMP, None, OF_TEMP),
    fact(
        ("v$px_session", "qcsid", "sid"),
        ("px_servers > 0", "px_servers = 0"),
        None,
        OF_PX,
    ),
];

/// What the view says through these two columns.
pub(super) fn known(view: &str, own: &str, of_the_session: &str) -> Option<ViewFact> {
    let found = FACTS
        .iter()
        .find(|fact| fact.view == view && fact.own == own && fact.of_the_session == of_the_session);
    found.copied()
}

/// Columns of other views that are columns of the session here, with the two columns by which a row is that of the session.
const LOOKED_UP: [(&str, &str, &str, &str, &str); 11] = [
    ("v$pdbs", "con_id", "con_id", "name", "container"),
    ("v$containers", "con_id", "con_id", "name", "container"),
    ("cdb_pdbs", "pdb_id", "con_id", "pdb_name", "container"),
    ("dba_pdbs", "pdb_id", "con_id", "pdb_name", "container"),
    ("v$process", "addr", "paddr", "spid", "spid"),
    ("v$process", "addr", "paddr", "pname", "pname"),
    ("v$process", "addr", "paddr", "pga_alloc_mem", "pga"),
    ("dba_users", "username", "username", "profile", "profile"),
    ("dba_users", "username", "username", "account_status", "account_status"),
    (
        "dba_users",
        "username",
        "username",
        "oracle_maintained",
        "oracle_maintained",
    ),
    ("v$instance", "instance_number", "inst_id", "instance_number", "inst_id"),
];

/// The session's column for a column of the view, if a row is that of the session by these two columns.
pub(super) fn looked_up(view: &str, own: &str, of_the_session: &str, name: &str) -> Option<&'static str> {
    let found = LOOKED_UP
        .iter()
        .find(|row| row.0 == view && row.1 == own && row.2 == of_the_session && row.3 == name);
    found.map(|row| row.4)
}

/// Why one of the two columns is NULL, so that a comparison with the values of the other is UNKNOWN.
pub(super) const fn nulls(fact: &ViewFact, without_null: bool) -> Option<&'static str> {
    match (fact.own.as_bytes(), fact.of_the_session.as_bytes()) {
        (_, b"taddr") => Some("TADDR is NULL in a session without a transaction"),
        (_, b"blocking_session") => Some("BLOCKING_SESSION is NULL in a session that waits for no other one"),
        (b"blocking_session" | b"final_blocking_session", _) if !without_null => {
            Some("BLOCKING_SESSION is NULL in some rows of the subquery")
        }
        _ => None,
    }
}

/// Sessions that are always spared, by a view or a function that names them; and the protection.
pub(super) const OWN_SESSIONS: &str = "orareaper's own sessions";
pub(super) const PROTECTED: [(&str, &str, &str); 5] = [
    ("v$mystat", OWN_SESSIONS, "self"),
    ("dba_jobs_running", "job slaves", "jobs"),
    ("dba_scheduler_running_jobs", "job slaves", "jobs"),
    ("dba_datapump_sessions", "Data Pump's sessions", "data-pump"),
    ("v$bgprocess", "background processes", "background"),
];

const OF_LOCKS: &str = "`blocking` and `not blocking` say whether others wait for a session, `blocked` and `not blocked` whether it waits for \
                        another one, `in transaction` whether it has a transaction; locks themselves are not available";
const OF_SESSIONS: &str = "`blocking` and `not blocking` say whether others wait for a session, `blocked` and `not blocked` whether it waits for \
                           another one";
const OF_STATISTICS: &str = "`cpu`, `logical_reads`, `physical_reads`, `redo` and `waited` are columns of the session";
const OF_ACCOUNTS: &str = "`account_status`, `profile` and `oracle_maintained` are columns of the session; to name accounts, put them into a \
                           list: `username in @team`";
const OF_TEXTS: &str = "compare `sql_id`: the text of a statement is not available";
pub(super) const OF_PDBS: &str = "`container` is a column: the name of the session's PDB";

/// Views, and what a policy has instead of a query of them. The first one in this order that the query contains decides.
const VIEWS: [(&str, &str); 28] = [
    ("dba_users", OF_ACCOUNTS),
    ("all_users", OF_ACCOUNTS),
    ("dba_jobs", "job slaves are always spared (protection `jobs`)"),
    ("scheduler_running", "job slaves are always spared (protection `jobs`)"),
    ("datapump", "Data Pump is always spared (protection `data-pump`)"),
    (
        "px_session",
        "`px_servers` is a column: how many parallel servers a session holds; they themselves are always spared (protection \
         `parallel-server`)",
    ),
    (
        "v$bgprocess",
        "background processes are always spared (protection `background`)",
    ),
    (
        "v$transaction",
        "`in transaction` and `not in transaction` say whether a session has a transaction; `transaction_age`, `undo_records`, \
         `undo` and `transaction_status` are columns",
    ),
    ("v$lock", OF_LOCKS),
    ("dba_lock", OF_LOCKS),
    ("dba_dml_locks", OF_LOCKS),
    ("dba_ddl_locks", OF_LOCKS),
    ("dba_blockers", OF_SESSIONS),
    ("dba_waiters", OF_SESSIONS),
    ("session_blockers", OF_SESSIONS),
    ("wait_chains", OF_SESSIONS),
    ("blocking_session", OF_SESSIONS),
    (
        "db_block_size",
        "`undo` and `temp` are columns of the session, in bytes",
    ),
    ("v$process", "`spid`, `pname` and `pga` are columns of the session"),
    ("sort_usage", OF_TEMP),
    ("tempseg_usage", OF_TEMP),
    ("sess_io", OF_STATISTICS),
    (
        "session_wait",
        "`event`, `wait_class`, `state` and `waited` are columns of the session",
    ),
    ("sesstat", OF_STATISTICS),
    ("v$sql", OF_TEXTS),
    (
        "longops",
        "`statement_age` is a column: how long the statement has been running; V$SESSION_LONGOPS is not read",
    ),
    ("pdbs", OF_PDBS),
    (
        "v$instance",
        "`inst_id` is a column: compare it with the number itself; the key `databases: [...]` selects the databases",
    ),
];

/// What a policy has instead of a query, whose text is in lower case.
pub(super) fn instead_of_view(text: &str) -> Option<&'static str> {
    let text = text.replace("v_$", "v$");
    let known = VIEWS
        .iter()
        .find(|(view, _)| text.contains(view))
        .map(|(_, hint)| *hint);
    known.or_else(|| text.contains("v$containers").then_some(OF_PDBS))
}
