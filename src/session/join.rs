//! Joins the rows of other views to those of GV$SESSION, in the daemon.
//!
//! V$ views are not consistent with each other, and Oracle supports only simple queries on them. So each view is read
//! separately, and its rows are matched here by address or by instance and SID. A value whose row is missing is unknown,
//! never zero.

use std::collections::{HashMap, HashSet};

use crate::session::column::{Column, Columns, Source};
use crate::session::extent::PartOfSessions;
use crate::session::snapshot::{Data, Snapshot};
use crate::session::store::TextsBuilder;
use crate::session::time::DbTime;
use crate::session::waiters::{Blocked, Wait, blocked};

/// A transaction's XIDUSN, XIDSLOT and XIDSQN, unique in the database.
pub type Xid = (i64, i64, i64);

/// One row of GV$TRANSACTION.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionRow {
    /// INST_ID.
    pub inst_id: u32,
    /// ADDR in hexadecimal, the session's TADDR.
    pub addr: String,
    /// START_DATE.
    pub started: Option<DbTime>,
    /// STATUS: `ACTIVE` until it is committed or rolled back, by itself or with others.
    pub status: Option<String>,
    /// USED_UREC.
    pub undo_records: Option<i64>,
    /// USED_UBLK times the block size.
    pub undo_bytes: Option<i64>,
    /// SES_ADDR in hexadecimal, the session's SADDR. TADDR names only the current transaction; during an autonomous
    /// transaction, the session's other one is found only by SES_ADDR.
    pub ses_addr: Option<String>,
    /// XIDUSN, XIDSLOT and XIDSQN.
    pub xid: Option<Xid>,
    /// PTX_XIDUSN, PTX_XIDSLT and PTX_XIDSQN: for a parallel server, the transaction of its coordinator.
    pub parent: Option<Xid>,
}

/// One row of GV$PROCESS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// INST_ID.
    pub inst_id: u32,
    /// ADDR in hexadecimal, the session's PADDR.
    pub addr: String,
    /// SPID.
    pub spid: Option<String>,
    /// PNAME: the name of a process that does not serve a client.
    pub name: Option<String>,
    /// PGA_ALLOC_MEM.
    pub pga: Option<i64>,
}

/// The temporary segments of one session, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TempRow {
    /// INST_ID.
    pub(crate) inst_id: u32,
    /// SESSION_ADDR in hexadecimal, the session's SADDR.
    pub(crate) saddr: String,
    /// Their size in bytes.
    pub(crate) bytes: i64,
}

/// The statistics of one session since its logon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsRow {
    /// INST_ID.
    pub(crate) inst_id: u32,
    /// SID.
    pub(crate) sid: u32,
    /// 'CPU used by this session', hundredths of a second.
    pub(crate) cpu: Option<i64>,
    /// 'session logical reads'.
    pub(crate) logical_reads: Option<i64>,
    /// 'physical reads'.
    pub(crate) physical_reads: Option<i64>,
    /// 'redo size'.
    pub(crate) redo: Option<i64>,
}

/// An account in the data dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// CON_ID in CDB_USERS; `None` in DBA_USERS, which shows the accounts of the container that one is connected to.
    pub con_id: Option<u32>,
    /// USERNAME.
    pub username: String,
    /// ACCOUNT_STATUS.
    pub status: Option<String>,
    /// PROFILE.
    pub profile: Option<String>,
    /// ORACLE_MAINTAINED, from 12.1 on.
    pub oracle_maintained: Option<String>,
}

/// A row of GV$PX_SESSION that is a parallel server (its coordinator is another session).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParallelServer {
    /// INST_ID.
    pub(crate) inst_id: u32,
    /// SID.
    pub(crate) sid: u32,
    /// SERIAL#.
    pub(crate) serial: u32,
    /// QCINST_ID; the server's own instance if it is NULL.
    pub(crate) coordinator_inst_id: u32,
    /// QCSID.
    pub(crate) coordinator_sid: u32,
}

/// The columns of GV$SESSION that a column is computed from; for one of GV$SESSION, itself.
pub(super) fn input_columns(column: Column) -> &'static [Column] {
    const WAITS: &[Column] = &[Column::WaitTimeMicro, Column::State];
    match column.source() {
        Source::Session => std::slice::from_ref(&Column::ALL[column as usize]),
        Source::Transaction => &[Column::Taddr, Column::Saddr],
        Source::Process => &[Column::Paddr],
        Source::Temp => &[Column::Saddr],
        Source::Statistics | Source::Rate => &[Column::Sid],
        Source::ParallelServers => &[Column::Sid, Column::Serial],
        Source::Container => &[Column::ConId],
        Source::Account => &[Column::Username, Column::ConId],
        Source::Waiters => &[
            Column::BlockingSessionStatus,
            Column::BlockingInstance,
            Column::BlockingSession,
            Column::WaitTimeMicro,
            Column::State,
        ],
        Source::Derived if column == Column::StatementAge => &[Column::Status, Column::SqlExecStart],
        Source::Derived if column == Column::Connected => &[Column::LogonTime],
        Source::Derived if column == Column::Waited => WAITS,
        Source::Derived => &[Column::Status, Column::LastCallEt],
    }
}

/// V$TRANSACTION.STATUS of a transaction that only its own session commits or rolls back.
pub(crate) const OWN_TRANSACTION: &str = "ACTIVE";

/// What would be rolled back if a session ended. A sum with an unknown part is unknown.
#[derive(Clone, Copy)]
struct RollbackSum<'a> {
    /// The start of the oldest transaction.
    started: Option<DbTime>,
    undo_records: Option<i64>,
    undo_bytes: Option<i64>,
    /// The STATUS of a transaction that is not ACTIVE, if there is one; otherwise ACTIVE.
    status: &'a str,
}

/// The rows of GV$TRANSACTION, indexed by all references to them.
struct Transactions<'a> {
    rows: &'a [TransactionRow],
    by_address: HashMap<(u32, &'a str), usize>,
    of_session: HashMap<(u32, &'a str), Vec<usize>>,
    of_servers: HashMap<Xid, Vec<usize>>,
}

impl<'a> Transactions<'a> {
    fn of(rows: &'a [TransactionRow]) -> Transactions<'a> {
        let mut all = Transactions {
            rows,
            by_address: HashMap::new(),
            of_session: HashMap::new(),
            of_servers: HashMap::new(),
        };
        for (at, row) in rows.iter().enumerate() {
            all.by_address.insert((row.inst_id, row.addr.as_str()), at);
            if let Some(session) = &row.ses_addr {
                all.of_session.entry((row.inst_id, session)).or_default().push(at);
            }
            if let Some(parent) = row.parent {
                all.of_servers.entry(parent).or_default().push(at);
            }
        }
        all
    }

    fn held_by(&self, snapshot: &Snapshot, session: usize) -> Option<RollbackSum<'a>> {
        let inst_id = snapshot.id(session, Column::InstId)?;
        let mut found: Vec<usize> = match snapshot.text(session, Column::Taddr) {
            Some(taddr) => vec![*self.by_address.get(&(inst_id, taddr))?],
            None => Vec::new(),
        };
        if let Some(saddr) = snapshot.text(session, Column::Saddr) {
            found.extend(self.of_session.get(&(inst_id, saddr)).into_iter().flatten());
        }
        // Each row is visited once, even if the references form a cycle.
        let mut visited = Vec::new();
        while let Some(at) = found.pop() {
            if visited.contains(&at) {
                continue;
            }
            visited.push(at);
            found.extend(
                self.rows[at]
                    .xid
                    .and_then(|xid| self.of_servers.get(&xid))
                    .into_iter()
                    .flatten(),
            );
        }
        let rows = self.rows;
        let each = || visited.iter().map(|at| &rows[*at]);
        let sum = |amount: fn(&TransactionRow) -> Option<i64>| {
            each().try_fold(0_i64, |so_far, row| Some(so_far.saturating_add(amount(row)?)))
        };
        let started: Option<Vec<DbTime>> = each().map(|row| row.started).collect();
        (!visited.is_empty()).then(|| RollbackSum {
            started: started.and_then(|all| all.into_iter().min()),
            undo_records: sum(|row| row.undo_records),
            undo_bytes: sum(|row| row.undo_bytes),
            status: each()
                // The word that Oracle uses for a state without a name.
                .map(|row| row.status.as_deref().unwrap_or("UNKNOWN"))
                .filter(|status| *status != OWN_TRANSACTION)
                .max()
                .unwrap_or(OWN_TRANSACTION),
        })
    }
}

/// A snapshot under construction, to which the rows of other views are joined, each view at most once.
#[derive(Debug)]
pub struct Joining {
    snapshot: Snapshot,
    dates_compare: bool,
}

impl Joining {
    pub(super) fn new(snapshot: Snapshot) -> Joining {
        Joining {
            snapshot,
            dates_compare: true,
        }
    }

    /// Where not all sessions were asked for: what is known of the others.
    #[must_use]
    pub(crate) fn with(mut self, part: Option<PartOfSessions>) -> Joining {
        if let Some(part) = part {
            self.snapshot.set_part(part);
        }
        self
    }

    /// The sessions without the joined columns, to see which other views have to be read.
    #[must_use]
    pub(crate) fn sessions(&self) -> &Snapshot {
        &self.snapshot
    }

    fn compute(&self, value: impl Fn(&Snapshot, usize) -> Option<i64>) -> Data {
        self.snapshot.computed(value)
    }

    fn set(&mut self, column: Column, data: Data) {
        self.snapshot.columns[column as usize] = data;
    }

    /// Joins GV$TRANSACTION. The columns are over all transactions of the session and of its parallel servers. If the row of
    /// a session's TADDR is missing, the age and size of its transaction are unknown.
    pub fn join_transactions(&mut self, rows: &[TransactionRow]) {
        if !self.snapshot.has(Column::Taddr) {
            return;
        }
        let transactions = Transactions::of(rows);
        let held: Vec<Option<RollbackSum<'_>>> = (0..self.snapshot.rows)
            .map(|row| transactions.held_by(&self.snapshot, row))
            .collect();
        let now = self.snapshot.clock.map(|clock| clock.now);
        let age = self.compute(|_, row| Some(now?.since(held[row]?.started?)));
        let records = self.compute(|_, row| held[row]?.undo_records);
        let bytes = self.compute(|_, row| held[row]?.undo_bytes);
        let mut status = TextsBuilder::default();
        held.iter().for_each(|held| status.push(held.map(|held| held.status)));
        self.set(Column::TransactionStatus, Data::Texts(status.finish()));
        self.set(Column::TransactionAge, age);
        self.set(Column::UndoRecords, records);
        self.set(Column::Undo, bytes);
    }

    /// Joins GV$PROCESS. The PADDR of a killed session may match no row.
    pub fn join_processes(&mut self, rows: &[ProcessRow]) {
        let by_address: HashMap<(u32, &str), &ProcessRow> =
            rows.iter().map(|row| ((row.inst_id, row.addr.as_str()), row)).collect();
        let find = |snapshot: &Snapshot, row: usize| {
            by_address
                .get(&(snapshot.id(row, Column::InstId)?, snapshot.text(row, Column::Paddr)?))
                .copied()
        };
        let pga = self.compute(|snapshot, row| find(snapshot, row)?.pga);
        let (mut spid, mut name) = (TextsBuilder::default(), TextsBuilder::default());
        for row in 0..self.snapshot.rows {
            let process = find(&self.snapshot, row);
            spid.push(process.and_then(|process| process.spid.as_deref()));
            name.push(process.and_then(|process| process.name.as_deref()));
        }
        self.set(Column::Pga, pga);
        self.set(Column::Spid, Data::Texts(spid.finish()));
        self.set(Column::Pname, Data::Texts(name.finish()));
    }

    /// Joins GV$SORT_USAGE. A session without a row has no temporary segments.
    pub(crate) fn join_temp(&mut self, rows: &[TempRow]) {
        let mut by_address: HashMap<(u32, &str), i64> = HashMap::new();
        for row in rows {
            let bytes = by_address.entry((row.inst_id, row.saddr.as_str())).or_default();
            *bytes = bytes.saturating_add(row.bytes);
        }
        let temp = self.compute(|snapshot, row| {
            let key = (snapshot.id(row, Column::InstId)?, snapshot.text(row, Column::Saddr)?);
            Some(by_address.get(&key).copied().unwrap_or(0))
        });
        self.set(Column::Temp, temp);
    }

    /// Joins GV$SESSTAT.
    pub(crate) fn join_statistics(&mut self, rows: &[StatisticsRow]) {
        let by_sid: HashMap<(u32, u32), &StatisticsRow> =
            rows.iter().map(|row| ((row.inst_id, row.sid), row)).collect();
        let find = |snapshot: &Snapshot, row: usize| {
            by_sid
                .get(&(snapshot.id(row, Column::InstId)?, snapshot.id(row, Column::Sid)?))
                .copied()
        };
        type Statistic = fn(&StatisticsRow) -> Option<i64>;
        let columns: [(Column, Statistic); 4] = [
            (Column::Cpu, |row| row.cpu),
            (Column::LogicalReads, |row| row.logical_reads),
            (Column::PhysicalReads, |row| row.physical_reads),
            (Column::Redo, |row| row.redo),
        ];
        for (column, value) in columns {
            let data = self.compute(|snapshot, row| value(find(snapshot, row)?));
            self.set(column, data);
        }
    }

    /// Joins V$CONTAINERS, by CON_ID.
    pub(crate) fn join_containers(&mut self, names: &HashMap<u32, String>) {
        let mut container = TextsBuilder::default();
        for row in 0..self.snapshot.rows {
            let name = self
                .snapshot
                .id(row, Column::ConId)
                .and_then(|con_id| names.get(&con_id));
            container.push(name.map(String::as_str));
        }
        self.set(Column::Container, Data::Texts(container.finish()));
    }

    /// Joins the accounts of the sessions' users. A user whom the dictionary does not show has unknown values.
    pub fn join_accounts(&mut self, rows: &[AccountRow]) {
        let by_name: HashMap<(Option<u32>, &str), &AccountRow> = rows
            .iter()
            .map(|row| ((row.con_id, row.username.as_str()), row))
            .collect();
        let by_container = rows.iter().any(|row| row.con_id.is_some());
        let find = |snapshot: &Snapshot, row: usize| {
            let con_id = match by_container {
                true => Some(snapshot.id(row, Column::ConId)?),
                false => None,
            };
            by_name.get(&(con_id, snapshot.text(row, Column::Username)?)).copied()
        };
        type Fact = fn(&AccountRow) -> Option<&str>;
        let columns: [(Column, Fact); 3] = [
            (Column::AccountStatus, |row| row.status.as_deref()),
            (Column::Profile, |row| row.profile.as_deref()),
            (Column::OracleMaintained, |row| row.oracle_maintained.as_deref()),
        ];
        for (column, fact) in columns {
            let mut texts = TextsBuilder::default();
            for row in 0..self.snapshot.rows {
                texts.push(find(&self.snapshot, row).and_then(fact));
            }
            self.set(column, Data::Texts(texts.finish()));
        }
    }

    /// Counts the parallel servers that each session holds, by the coordinator that GV$PX_SESSION names for each server: INST_ID, SID
    /// and SERIAL#. For whom a server is that does not name its coordinator's SERIAL# is not known, and neither is then how many
    /// the session of that SID has. While an instance was not read, its servers may be anybody's.
    pub(crate) fn count_parallel_servers(&mut self, coordinators: &[(u32, u32, Option<u32>)]) {
        if !self.snapshot.instances.iter().all(|instance| instance.complete) {
            return;
        }
        let mut held: HashMap<(u32, u32, u32), i64> = HashMap::new();
        let mut nameless = HashSet::new();
        for (inst_id, sid, serial) in coordinators {
            match serial {
                Some(serial) => *held.entry((*inst_id, *sid, *serial)).or_insert(0) += 1,
                None => {
                    nameless.insert((*inst_id, *sid));
                }
            }
        }
        let servers = self.compute(|snapshot, row| {
            let (inst_id, sid) = (snapshot.id(row, Column::InstId)?, snapshot.id(row, Column::Sid)?);
            let key = (inst_id, sid, snapshot.id(row, Column::Serial)?);
            (!nameless.contains(&(inst_id, sid))).then(|| held.get(&key).copied().unwrap_or(0))
        });
        self.set(Column::PxServers, servers);
    }

    /// Adds the parallel servers of GV$PX_SESSION.
    pub(crate) fn join_parallel_servers(&mut self, rows: Vec<ParallelServer>) {
        self.snapshot.parallel_servers = rows;
    }

    /// Makes all ages that are differences of two DATEs unknown, because the DATEs of this database are not by the same clock.
    /// They are missing, not NULL, so that IS NULL is not true for them either.
    pub(crate) fn distrust_dates(&mut self) {
        self.dates_compare = false;
    }

    /// Computes the derived columns among `wanted` and returns the snapshot. SADDR is kept only if it is wanted.
    #[must_use]
    pub fn finish(mut self, wanted: Columns) -> Snapshot {
        let now = self.snapshot.clock.map(|clock| clock.now);
        for column in wanted.iter().filter(|column| column.source() == Source::Derived) {
            if !input_columns(column).iter().all(|input| self.snapshot.has(*input)) {
                continue;
            }
            let data = self.compute(|snapshot, row| derived(snapshot, row, column, now));
            self.set(column, data);
        }
        if wanted.needs(Source::Waiters) {
            self.join_waiters();
        }
        if !self.dates_compare {
            for column in [Column::Connected, Column::StatementAge, Column::TransactionAge] {
                self.set(column, Data::Missing);
            }
        }
        // SADDR is a different text for every session, and is no longer needed to find transactions and temporary segments.
        if !wanted.contains(Column::Saddr) {
            self.set(Column::Saddr, Data::Missing);
        }
        self.snapshot
    }

    /// Computes which sessions each one blocks. If an instance was not read, or the blocker of a waiting session is not known,
    /// then any session might be a blocker, and the columns are unknown for all.
    fn join_waiters(&mut self) {
        let snapshot = &self.snapshot;
        let alone = snapshot.instances.len() <= 1;
        let waiting: Vec<usize> = (0..snapshot.rows)
            .filter(|row| snapshot.text(*row, Column::BlockingSessionStatus) == Some("VALID"))
            .collect();
        let blocker_seat = |waiter: usize| {
            // Without BLOCKING_INSTANCE, the SID is not unique in a database with several instances.
            let own = snapshot.id(waiter, Column::InstId).filter(|_| alone);
            let inst_id = snapshot.id(waiter, Column::BlockingInstance).or(own)?;
            Some((inst_id, snapshot.id(waiter, Column::BlockingSession)?))
        };
        let all_known = snapshot.instances.iter().all(|instance| instance.complete)
            && waiting.iter().all(|waiter| blocker_seat(*waiter).is_some());
        if ![Column::BlockingSessionStatus, Column::BlockingSession]
            .into_iter()
            .all(|column| snapshot.has(column))
        {
            return;
        }
        let mut seats = HashMap::new();
        for row in 0..snapshot.rows {
            if let (Some(inst_id), Some(sid)) = (snapshot.id(row, Column::InstId), snapshot.id(row, Column::Sid)) {
                seats.insert((inst_id, sid), row);
            }
        }
        let waits: Vec<Wait> = waiting
            .iter()
            .filter_map(|waiter| {
                Some(Wait {
                    waiter: *waiter,
                    blocker: *seats.get(&blocker_seat(*waiter)?)?,
                    waited: waited(snapshot, *waiter),
                })
            })
            .collect();
        let blocked: Vec<Blocked> = blocked(snapshot.rows, &waits);
        let sessions = self.compute(|_, row| all_known.then_some(blocked[row].sessions));
        let longest = self.compute(|_, row| blocked[row].longest.filter(|_| all_known));
        self.set(Column::Blocking, sessions);
        self.set(Column::BlockingFor, longest);
    }
}

fn waited(snapshot: &Snapshot, row: usize) -> Option<i64> {
    if snapshot.text(row, Column::State)? == "WAITING" {
        snapshot.number(row, Column::WaitTimeMicro)
    } else {
        None
    }
}

/// The value of a derived column for one session; NULL for a status for which the column is not defined.
fn derived(snapshot: &Snapshot, row: usize, column: Column, now: Option<DbTime>) -> Option<i64> {
    let last_call = |statuses: &[&str]| {
        let status = snapshot.text(row, Column::Status)?;
        if statuses.contains(&status) {
            snapshot.number(row, Column::LastCallEt)
        } else {
            None
        }
    };
    if column == Column::Idle {
        last_call(&["INACTIVE", "SNIPED"])
    } else if column == Column::Running {
        last_call(&["ACTIVE"])
    } else if column == Column::StatementAge {
        let active = snapshot.text(row, Column::Status)? == "ACTIVE";
        let started = snapshot.number(row, Column::SqlExecStart)?;
        if active {
            Some(now?.since(DbTime(started)))
        } else {
            None
        }
    } else if column == Column::Connected {
        Some(now?.since(DbTime(snapshot.number(row, Column::LogonTime)?)))
    } else {
        assert_eq!(column, Column::Waited, "every derived column is computed");
        waited(snapshot, row)
    }
}
