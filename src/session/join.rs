//! What other views say of the same sessions, joined to GV$SESSION in the daemon.
//!
//! V$ views give no consistency between each other, and only simple queries on them are supported, so each is read by
//! itself and the rows are matched here by address or seat. A reference that dangles is unknown, never zero.

use std::collections::HashMap;

use crate::session::column::{Column, Columns, Source};
use crate::session::snapshot::{Data, Snapshot};
use crate::session::store::{Numbers, TextsBuilder};
use crate::session::time::DbTime;
use crate::session::waiters::{HeldUp, Wait, held_up};

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
    /// USED_UREC.
    pub undo_records: Option<i64>,
    /// USED_UBLK times the block size.
    pub undo_bytes: Option<i64>,
    /// SES_ADDR in hexadecimal, the session's SADDR. TADDR names the current transaction alone: an autonomous one hides the
    /// other.
    pub ses_addr: Option<String>,
    /// Its own number.
    pub xid: Option<Xid>,
    /// PTX_XIDUSN, PTX_XIDSLT and PTX_XIDSQN: the coordinator's transaction, if it is a parallel server's.
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
    /// PNAME: of a process that serves no client.
    pub name: Option<String>,
    /// PGA_ALLOC_MEM.
    pub pga: Option<i64>,
}

/// Temporary segments of one session, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TempRow {
    /// INST_ID.
    pub inst_id: u32,
    /// SESSION_ADDR in hexadecimal, the session's SADDR.
    pub saddr: String,
    /// Bytes.
    pub bytes: i64,
}

/// One session's statistics since its logon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsRow {
    /// INST_ID.
    pub inst_id: u32,
    /// SID.
    pub sid: u32,
    /// 'CPU used by this session', hundredths of a second.
    pub cpu: Option<i64>,
    /// 'session logical reads'.
    pub logical_reads: Option<i64>,
    /// 'physical reads'.
    pub physical_reads: Option<i64>,
    /// 'redo size'.
    pub redo: Option<i64>,
}

/// A row of GV$PX_SESSION that is a parallel server (its coordinator is another session).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParallelServer {
    /// INST_ID.
    pub inst_id: u32,
    /// SID.
    pub sid: u32,
    /// SERIAL#.
    pub serial: u32,
    /// QCINST_ID; the server's own instance where it is NULL.
    pub coordinator_inst_id: u32,
    /// QCSID.
    pub coordinator_sid: u32,
}

/// What a column is made of; itself for a column of GV$SESSION.
pub(super) fn input_columns(column: Column) -> &'static [Column] {
    const WAITS: &[Column] = &[Column::WaitTimeMicro, Column::State];
    match column.source() {
        Source::Session => std::slice::from_ref(&Column::ALL[column as usize]),
        Source::Transaction => &[Column::Taddr, Column::Saddr],
        Source::Process => &[Column::Paddr],
        Source::Temp => &[Column::Saddr],
        Source::Statistics => &[Column::Sid],
        Source::Container => &[Column::ConId],
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

/// What ending a session would roll back: of an unknown part nothing is known.
#[derive(Clone, Copy)]
struct Held {
    /// When the oldest began.
    started: Option<DbTime>,
    undo_records: Option<i64>,
    undo_bytes: Option<i64>,
}

/// The rows of GV$TRANSACTION by whatever leads to them.
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

    fn held_by(&self, snapshot: &Snapshot, session: usize) -> Option<Held> {
        let inst_id = snapshot.id(session, Column::InstId)?;
        let mut found: Vec<usize> = match snapshot.text(session, Column::Taddr) {
            Some(taddr) => vec![*self.by_address.get(&(inst_id, taddr))?],
            None => Vec::new(),
        };
        if let Some(saddr) = snapshot.text(session, Column::Saddr) {
            found.extend(self.of_session.get(&(inst_id, saddr)).into_iter().flatten());
        }
        // Each row is looked at once, in whatever circle the numbers may lead.
        let mut looked_at = Vec::new();
        while let Some(at) = found.pop() {
            if looked_at.contains(&at) {
                continue;
            }
            looked_at.push(at);
            found.extend(
                self.rows[at]
                    .xid
                    .and_then(|xid| self.of_servers.get(&xid))
                    .into_iter()
                    .flatten(),
            );
        }
        let each = || looked_at.iter().map(|at| &self.rows[*at]);
        let sum = |amount: fn(&TransactionRow) -> Option<i64>| {
            each().try_fold(0_i64, |so_far, row| Some(so_far.saturating_add(amount(row)?)))
        };
        let started: Option<Vec<DbTime>> = each().map(|row| row.started).collect();
        (!looked_at.is_empty()).then(|| Held {
            started: started.and_then(|all| all.into_iter().min()),
            undo_records: sum(|row| row.undo_records),
            undo_bytes: sum(|row| row.undo_bytes),
        })
    }
}

/// Joins what the other views say, each at most once, then ends in the snapshot.
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

    /// The sessions so far, to see which other views are worth reading.
    #[must_use]
    pub fn sessions(&self) -> &Snapshot {
        &self.snapshot
    }

    fn compute(&self, value: impl Fn(&Snapshot, usize) -> Option<i64>) -> Data {
        let mut numbers = Numbers::default();
        for row in 0..self.snapshot.rows {
            numbers.push(value(&self.snapshot, row));
        }
        numbers.shrink();
        Data::Numbers(numbers)
    }

    fn set(&mut self, column: Column, data: Data) {
        self.snapshot.columns[column as usize] = data;
    }

    /// GV$TRANSACTION. What a session has to roll back is in all its transactions and in those of its parallel servers. A
    /// session whose TADDR is in no row has a transaction of unknown age and size.
    pub fn join_transactions(&mut self, rows: &[TransactionRow]) {
        if !self.snapshot.has(Column::Taddr) {
            return;
        }
        let transactions = Transactions::of(rows);
        let held: Vec<Option<Held>> = (0..self.snapshot.rows)
            .map(|row| transactions.held_by(&self.snapshot, row))
            .collect();
        let now = self.snapshot.clock.map(|clock| clock.now);
        let age = self.compute(|_, row| Some(now?.since(held[row]?.started?)));
        let records = self.compute(|_, row| held[row]?.undo_records);
        let bytes = self.compute(|_, row| held[row]?.undo_bytes);
        self.set(Column::TransactionAge, age);
        self.set(Column::UndoRecords, records);
        self.set(Column::Undo, bytes);
    }

    /// GV$PROCESS. A killed session's PADDR may match no row.
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

    /// GV$SORT_USAGE. A session without a row has no temporary segment.
    pub fn join_temp(&mut self, rows: &[TempRow]) {
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

    /// GV$SESSTAT.
    pub fn join_statistics(&mut self, rows: &[StatisticsRow]) {
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

    /// V$CONTAINERS, by CON_ID.
    pub fn join_containers(&mut self, names: &HashMap<u32, String>) {
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

    /// GV$PX_SESSION.
    pub fn join_parallel_servers(&mut self, rows: Vec<ParallelServer>) {
        self.snapshot.parallel_servers = rows;
    }

    /// Ages that are differences of two DATEs are unknown: those of this database are not of one clock. Missing and not NULL,
    /// so that a condition that asks IS NULL is not true either.
    pub fn distrust_dates(&mut self) {
        self.dates_compare = false;
    }

    /// Computes the derived columns among `wanted` and ends. SADDR is kept only if it is among them.
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
        // It is another text for every session, and has led to their transactions and temporary segments already.
        if !wanted.contains(Column::Saddr) {
            self.set(Column::Saddr, Data::Missing);
        }
        self.snapshot
    }

    /// Who holds up whom. With an instance unread, or with a waiter that does not say for whom it waits, "holds up nobody"
    /// would be a guess about anybody.
    fn join_waiters(&mut self) {
        let snapshot = &self.snapshot;
        let alone = snapshot.instances.len() <= 1;
        let waiting: Vec<usize> = (0..snapshot.rows)
            .filter(|row| snapshot.text(*row, Column::BlockingSessionStatus) == Some("VALID"))
            .collect();
        let blocker_seat = |waiter: usize| {
            // Without BLOCKING_INSTANCE, the SID may be anybody's on a database of several instances.
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
        let held: Vec<HeldUp> = held_up(snapshot.rows, &waits);
        let sessions = self.compute(|_, row| all_known.then_some(held[row].sessions));
        let longest = self.compute(|_, row| held[row].longest.filter(|_| all_known));
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

/// A derived column of one session; NULL outside the statuses that it is defined for.
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
