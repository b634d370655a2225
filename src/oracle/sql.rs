//! The text of every query, built from what is needed and from what the release has.
//!
//! Oracle supports only simple queries on V$ views, gives no read consistency for them, and joins of them have bad plans. So
//! each view is read by itself, with named columns, and joined in the daemon. GV$ views are read even if there is only one
//! instance: they cost no more, and INST_ID is always present.
//!
//! The database's clock comes with the row of GV$INSTANCE that is read just before GV$SESSION. As a column of GV$SESSION it
//! would be sent, and held in the fetch arrays, once for each session. Because it is read a moment earlier, every age is a
//! moment too short, which spares.

pub(crate) mod selected;
pub(crate) mod startup;

use std::borrow::Cow;

use crate::oracle::CellType::{self, Number, Text, Time};
use crate::oracle::{Bind, Query, TextForm};
use crate::session::column::{Column, Columns, Kind, Source};

/// Which sessions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All sessions of all instances. Background processes are included: they block others and show that an instance answers.
    All,
    /// One SID, for the re-check before an action.
    One {
        /// INST_ID.
        inst_id: u32,
        /// SID.
        sid: u32,
    },
}

impl Scope {
    /// For one SID, the query with its binds and tuned for few rows; else the query as it is.
    fn bound(self, query: Query) -> Query {
        match self.seat() {
            Some(binds) => query.with(binds).few(),
            None => query,
        }
    }

    fn seat(self) -> Option<Vec<Bind>> {
        match self {
            Scope::All => None,
            Scope::One { inst_id, sid } => Some(vec![Bind::Number(inst_id.into()), Bind::Number(sid.into())]),
        }
    }
}

/// Which rows of another view are read: all, or the one with an address that a session refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Every row.
    Any,
    /// The row of this instance with this address, in hexadecimal.
    Of {
        /// INST_ID.
        inst_id: u32,
        /// TADDR, PADDR or SADDR.
        address: String,
    },
}

impl Address {
    fn restriction(&self, column: &str) -> String {
        match self {
            Address::Any => String::new(),
            Address::Of { .. } => format!(" WHERE inst_id = :1 AND {column} = HEXTORAW(:2)"),
        }
    }

    fn bound(self, query: Query) -> Query {
        match self {
            Address::Any => query,
            Address::Of { inst_id, address } => query
                .with(vec![Bind::Number(inst_id.into()), Bind::Text(address)])
                .few(),
        }
    }
}

/// GV$INSTANCE with the database's clock and its offset from UTC: INST_ID, INSTANCE_NAME, STATUS, STARTUP_TIME, SYSDATE,
/// offset as `+01:00`.
#[must_use]
pub(crate) fn instances() -> Query {
    Query::new(
        "GV$INSTANCE",
        "SELECT inst_id, instance_name, status, startup_time, SYSDATE, TO_CHAR(SYSTIMESTAMP, 'TZH:TZM') FROM gv$instance",
        &[Number, Text, Text, Time, Time, Text],
    )
    .few()
}

/// GV$SESSION: the query for the columns that are `wanted` and `available`, and those columns. In the form of bytes every text
/// comes in hexadecimal, as a RAW does in both forms.
///
/// The same set of columns always gives the same text, so that a connection parses it once.
#[must_use]
pub(crate) fn sessions(wanted: Columns, available: Columns, scope: Scope, form: TextForm) -> (Query, Vec<Column>) {
    let columns: Vec<Column> = wanted
        .iter()
        .filter(|column| column.source() == Source::Session && available.contains(*column))
        .collect();
    let list: Vec<Cow<'_, str>> = columns.iter().map(|column| listed(*column, form)).collect();
    let types: Vec<CellType> = columns.iter().map(|column| cell_type(*column)).collect();
    let mut sql = format!("SELECT {} FROM gv$session", list.join(", "));
    if scope != Scope::All {
        sql.push_str(" WHERE inst_id = :1 AND sid = :2");
    }
    (scope.bound(Query::new("GV$SESSION", sql, &types)), columns)
}

/// A column of GV$SESSION in a list of columns.
fn listed(column: Column, form: TextForm) -> Cow<'static, str> {
    if column.is_raw() || form != TextForm::Text && column.kind() == Kind::Text {
        Cow::Owned(format!("RAWTOHEX({name}) AS {name}", name = column.name()))
    } else {
        Cow::Borrowed(column.name())
    }
}

const fn cell_type(column: Column) -> CellType {
    match column.kind() {
        Kind::Text => Text,
        Kind::Number | Kind::Duration | Kind::Size => Number,
        Kind::Time => Time,
    }
}

/// The number of sessions that an instance shows; 0 means that it did not answer.
#[must_use]
pub(crate) fn sessions_of_instance(inst_id: u32) -> Query {
    Query::new(
        "GV$SESSION",
        "SELECT COUNT(*) FROM gv$session WHERE inst_id = :1",
        &[Number],
    )
    .with(vec![Bind::Number(inst_id.into())])
    .few()
}

/// How one session is served: SERVER, PADDR.
#[must_use]
pub(crate) fn server_of(inst_id: u32, sid: u32, serial: u32) -> Query {
    Query::new(
        "GV$SESSION",
        "SELECT server, RAWTOHEX(paddr) FROM gv$session WHERE serial# = :1 AND sid = :2 AND inst_id = :3",
        &[Text, Text],
    )
    .with(
        vec![serial, sid, inst_id]
            .into_iter()
            .map(|id| Bind::Number(id.into()))
            .collect(),
    )
    .few()
}

/// The sessions that one server process serves, by its PADDR: SID, SERIAL#.
#[must_use]
pub(crate) fn sessions_of_process(inst_id: u32, paddr: &str) -> Query {
    Query::new(
        "GV$SESSION",
        "SELECT sid, serial# FROM gv$session WHERE inst_id = :1 AND paddr = HEXTORAW(:2)",
        &[Number, Number],
    )
    .with(vec![Bind::Number(inst_id.into()), Bind::Text(paddr.to_owned())])
    .few()
}

/// GV$TRANSACTION: INST_ID, ADDR, START_DATE, USED_UREC, USED_UBLK, SES_ADDR, then the transaction's number and its parent's as
/// XIDUSN, XIDSLOT, XIDSQN, PTX_XIDUSN, PTX_XIDSLT, PTX_XIDSQN, and STATUS. All rows, also for one session: those of its parallel
/// servers, on whatever instance, show no more than the parent's number.
#[must_use]
pub(crate) fn transactions() -> Query {
    Query::new(
        "GV$TRANSACTION",
        "SELECT inst_id, RAWTOHEX(addr), start_date, used_urec, used_ublk, RAWTOHEX(ses_addr), xidusn, xidslot, xidsqn, \
         ptx_xidusn, ptx_xidslt, ptx_xidsqn, status FROM gv$transaction",
        &[
            Number, Text, Time, Number, Number, Text, Number, Number, Number, Number, Number, Number, Text,
        ],
    )
}

/// GV$PROCESS: INST_ID, ADDR, SPID, PGA_ALLOC_MEM, PNAME.
#[must_use]
pub(crate) fn processes(address: Address) -> Query {
    let restriction = address.restriction("addr");
    address.bound(Query::new(
        "GV$PROCESS",
        format!("SELECT inst_id, RAWTOHEX(addr), spid, pga_alloc_mem, pname FROM gv$process{restriction}"),
        &[Number, Text, Text, Number, Text],
    ))
}

/// GV$SORT_USAGE: INST_ID, SESSION_ADDR, TABLESPACE, BLOCKS.
#[must_use]
pub(crate) fn temp(address: Address) -> Query {
    let restriction = address.restriction("session_addr");
    address.bound(Query::new(
        "GV$SORT_USAGE",
        format!("SELECT inst_id, RAWTOHEX(session_addr), tablespace, blocks FROM gv$sort_usage{restriction}"),
        &[Number, Text, Text, Number],
    ))
}

/// GV$PX_SESSION: INST_ID, SID, SERIAL#, QCINST_ID, QCSID, QCSERIAL#.
#[must_use]
pub(crate) fn parallel_servers(scope: Scope) -> Query {
    let restriction = if scope != Scope::All {
        " WHERE inst_id = :1 AND sid = :2"
    } else {
        ""
    };
    scope.bound(Query::new(
        "GV$PX_SESSION",
        format!("SELECT inst_id, sid, serial#, qcinst_id, qcsid, qcserial# FROM gv$px_session{restriction}"),
        &[Number, Number, Number, Number, Number, Number],
    ))
}

/// The numbers of the statistics behind columns. They change from release to release; their names do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// 'CPU used by this session'.
    pub(crate) cpu: Option<i64>,
    /// 'session logical reads'.
    pub(crate) logical_reads: Option<i64>,
    /// 'physical reads'.
    pub(crate) physical_reads: Option<i64>,
    /// 'redo size'.
    pub(crate) redo: Option<i64>,
}

impl Statistics {
    /// Stores a row of V$STATNAME.
    pub(crate) fn set(&mut self, name: &str, number: i64) {
        let place = match name {
            "CPU used by this session" => &mut self.cpu,
            "session logical reads" => &mut self.logical_reads,
            "physical reads" => &mut self.physical_reads,
            "redo size" => &mut self.redo,
            _ => return,
        };
        *place = Some(number);
    }

    /// The known numbers.
    #[must_use]
    pub(crate) fn numbers(&self) -> Vec<i64> {
        [self.cpu, self.logical_reads, self.physical_reads, self.redo]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// V$STATNAME: NAME, STATISTIC#.
#[must_use]
pub(crate) fn statistic_names() -> Query {
    Query::new(
        "V$STATNAME",
        "SELECT name, statistic# FROM v$statname WHERE name IN ('CPU used by this session', 'session logical reads', \
         'physical reads', 'redo size')",
        &[Text, Number],
    )
}

/// GV$SESSTAT for these statistics only, of the one or two thousand that each session has: INST_ID, SID, STATISTIC#, VALUE.
#[must_use]
pub(crate) fn statistics(numbers: &[i64], scope: Scope) -> Query {
    let list: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let seat = if scope != Scope::All {
        " AND inst_id = :1 AND sid = :2"
    } else {
        ""
    };
    scope.bound(Query::new(
        "GV$SESSTAT",
        format!(
            "SELECT inst_id, sid, statistic#, value FROM gv$sesstat WHERE statistic# IN ({}){seat}",
            list.join(", ")
        ),
        &[Number, Number, Number, Number],
    ))
}

/// V$CONTAINERS: CON_ID, NAME.
#[must_use]
pub(crate) fn containers() -> Query {
    Query::new("V$CONTAINERS", "SELECT con_id, name FROM v$containers", &[Number, Text])
}

/// The accounts of this container, or in the root those of all: USERNAME, ACCOUNT_STATUS, PROFILE, then ORACLE_MAINTAINED where the
/// release has it, then CON_ID in the root. All of them, or those of one name.
#[must_use]
pub(crate) fn accounts(in_root: bool, has_maintained: bool, username: Option<&str>) -> Query {
    let maintained = if has_maintained { "oracle_maintained" } else { "NULL" };
    let columns = format!("username, account_status, profile, {maintained}");
    let restriction = username.map_or("", |_| " WHERE username = :1");
    let query = if in_root {
        let text = format!("SELECT {columns}, con_id FROM cdb_users{restriction}");
        Query::new("CDB_USERS", text, &[Text, Text, Text, Text, Number])
    } else {
        let text = format!("SELECT {columns} FROM dba_users{restriction}");
        Query::new("DBA_USERS", text, &[Text, Text, Text, Text])
    };
    match username {
        Some(name) => query.with(vec![Bind::Text(name.to_owned())]).few(),
        None => query,
    }
}

/// GV$RESOURCE_LIMIT: INST_ID, RESOURCE_NAME, CURRENT_UTILIZATION, LIMIT_VALUE. The limit is a right-aligned text that may
/// say UNLIMITED, so it is read as text: TO_NUMBER would end the query in ORA-01722. MAX_UTILIZATION never falls.
#[must_use]
pub(crate) fn resource_limits() -> Query {
    Query::new(
        "GV$RESOURCE_LIMIT",
        "SELECT inst_id, resource_name, current_utilization, TRIM(limit_value) FROM gv$resource_limit \
         WHERE resource_name IN ('sessions', 'processes', 'transactions')",
        &[Number, Text, Number, Text],
    )
}

/// GV$PGASTAT, what is allocated: INST_ID, VALUE.
#[must_use]
pub(crate) fn pga() -> Query {
    Query::new(
        "GV$PGASTAT",
        "SELECT inst_id, value FROM gv$pgastat WHERE name = 'total PGA allocated'",
        &[Number, Number],
    )
}

/// GV$PARAMETER: INST_ID, NAME, VALUE of the parameters that limit a resource.
#[must_use]
pub(crate) fn limiting_parameters() -> Query {
    Query::new(
        "GV$PARAMETER",
        "SELECT inst_id, name, value FROM gv$parameter WHERE name IN ('sessions', 'pga_aggregate_limit', 'undo_tablespace')",
        &[Number, Text, Text],
    )
}

/// GV$SYSMETRIC, the host's CPU over the last minute (each metric is there twice, the other time over 15 seconds):
/// INST_ID, percent.
#[must_use]
pub(crate) fn host_cpu() -> Query {
    Query::new(
        "GV$SYSMETRIC",
        "SELECT inst_id, value FROM gv$sysmetric WHERE metric_name = 'Host CPU Utilization (%)' AND intsize_csec > 5000",
        &[Number, Number],
    )
}

/// GV$OSSTAT, the host's busy and idle time in hundredths of a second since the instance started: INST_ID, STAT_NAME,
/// VALUE.
#[must_use]
pub(crate) fn host_times() -> Query {
    Query::new(
        "GV$OSSTAT",
        "SELECT inst_id, stat_name, value FROM gv$osstat WHERE stat_name IN ('BUSY_TIME', 'IDLE_TIME')",
        &[Number, Text, Number],
    )
}

/// DBA_TEMP_FREE_SPACE: TABLESPACE_NAME, TABLESPACE_SIZE, FREE_SPACE, in bytes.
#[must_use]
pub(crate) fn temp_space() -> Query {
    Query::new(
        "DBA_TEMP_FREE_SPACE",
        "SELECT tablespace_name, tablespace_size, free_space FROM dba_temp_free_space",
        &[Text, Number, Number],
    )
}

/// DBA_TEMP_FILES: TABLESPACE_NAME, BYTES, MAXBYTES (0 where a file does not grow).
#[must_use]
pub(crate) fn temp_files() -> Query {
    Query::new(
        "DBA_TEMP_FILES",
        "SELECT tablespace_name, bytes, maxbytes FROM dba_temp_files",
        &[Text, Number, Number],
    )
}

/// DBA_DATA_FILES: TABLESPACE_NAME, BYTES, MAXBYTES (0 where a file does not grow).
#[must_use]
pub(crate) fn data_files() -> Query {
    Query::new(
        "DBA_DATA_FILES",
        "SELECT tablespace_name, bytes, maxbytes FROM dba_data_files",
        &[Text, Number, Number],
    )
}

/// DBA_TABLESPACES: TABLESPACE_NAME, BLOCK_SIZE.
#[must_use]
pub(crate) fn tablespaces() -> Query {
    Query::new(
        "DBA_TABLESPACES",
        "SELECT tablespace_name, block_size FROM dba_tablespaces WHERE contents IN ('TEMPORARY', 'UNDO')",
        &[Text, Number],
    )
}

/// GV$PDBS: where a PDB is open: INST_ID, OPEN_MODE (`MOUNTED` where it is not).
#[must_use]
pub(crate) fn pdb_on_instances(con_id: u32) -> Query {
    Query::new(
        "GV$PDBS",
        "SELECT inst_id, open_mode FROM gv$pdbs WHERE con_id = :1",
        &[Number, Text],
    )
    .with(vec![Bind::Number(con_id.into())])
    .few()
}

#[cfg(test)]
mod tests;
