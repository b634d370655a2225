//! Builds the snapshots of a policy test.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::decide::outcome::Outcome;
use crate::decide::pressure::{Reading, Readings};
use crate::policy::pressure::Resource;
use crate::policy_test::raw::{
    PolicyTestError, RawMoment, RawSession, RawValue, Timeline, instant, seconds, session_column,
};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::snapshot::{
    AccountRow, Cell, Instance, Joining, OWN_TRANSACTION, ParallelServer, ProcessRow, Snapshot, SnapshotClock,
    SnapshotSource, StatisticsRow, TempRow, TransactionRow,
};
use crate::session::time::DbTime;

/// A snapshot of a test, with its time.
pub(crate) struct TestSnapshot<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) standstill: Option<String>,
    raw: &'a RawMoment,
}

impl Timeline {
    pub(crate) fn moments(&self) -> Result<Vec<TestSnapshot<'_>>, PolicyTestError> {
        let moments: Vec<TestSnapshot<'_>> = self
            .snapshots
            .iter()
            .map(|raw| {
                Ok(TestSnapshot {
                    at: instant(&raw.at)?,
                    standstill: raw.standstill.clone(),
                    raw,
                })
            })
            .collect::<Result<_, PolicyTestError>>()?;
        match moments.windows(2).find(|pair| pair[0].at >= pair[1].at) {
            Some(pair) => Err(PolicyTestError(format!(
                "the snapshot at {} is not after the one before it",
                pair[1].at
            ))),
            None => Ok(moments),
        }
    }
}

/// A session with all its columns.
type Row = BTreeMap<Column, RawValue>;

impl TestSnapshot<'_> {
    /// The outcome of an action on a session.
    pub(crate) fn answer(&self, key: SessionKey) -> Result<Outcome, PolicyTestError> {
        match self.raw.answers.get(&key.to_string()) {
            None => Ok(Outcome::Done),
            Some(name) => {
                Outcome::named(name).ok_or_else(|| PolicyTestError(format!("{name:?} is not an outcome of an action")))
            }
        }
    }

    /// The policy files that are in force from this snapshot on, if they change.
    pub(crate) fn reload(&self) -> Option<&[String]> {
        self.raw.reload.as_deref()
    }

    pub(crate) fn readings(&self) -> Result<Readings, PolicyTestError> {
        let mut readings = Readings::default();
        for (inst_id, resources) in &self.raw.pressure {
            for (name, amount) in resources {
                let wrong = || {
                    PolicyTestError(format!(
                        "{name}: {amount:?} is not a reading: expected USED/LIMIT or USED"
                    ))
                };
                let resource = Resource::named(name).ok_or_else(wrong)?;
                let (used, limit) = amount
                    .split_once('/')
                    .map_or((amount.as_str(), None), |(used, of)| (used, Some(of)));
                let limit = limit.map(str::parse).transpose().map_err(|_| wrong())?;
                readings.set(
                    *inst_id,
                    resource,
                    Reading {
                        used: used.parse().map_err(|_| wrong())?,
                        limit,
                    },
                );
            }
        }
        Ok(readings)
    }

    pub(crate) fn snapshot(&self, defaults: &Row, wanted: Columns) -> Result<Snapshot, PolicyTestError> {
        let missing = self
            .raw
            .missing
            .iter()
            .map(|name| session_column(name))
            .collect::<Result<Vec<_>, _>>()?;
        let read: Vec<Column> = Column::ALL
            .iter()
            .copied()
            .filter(|column| column.source() == Source::Session && !missing.contains(column))
            .collect();
        let mut builder = Snapshot::builder(SnapshotSource::Live, &read);
        let mut transactions = Vec::new();
        let mut servers = Vec::new();
        let mut rows = Vec::new();
        let mut instances: BTreeMap<u32, bool> = BTreeMap::new();
        for session in &self.raw.sessions {
            for number in 0..session.repeat.unwrap_or(1) {
                let row = self.row(session, number, defaults, &mut transactions)?;
                if let Some(RawValue::Number(inst_id)) = row.get(&Column::InstId) {
                    instances.insert(u32::try_from(*inst_id).unwrap_or(0), true);
                }
                servers.extend(parallel_server(session, &row));
                push(&mut builder, &read, &row)?;
                rows.push(row);
            }
        }
        instances.extend(self.raw.empty.iter().map(|inst_id| (*inst_id, true)));
        if instances.is_empty() {
            instances.insert(1, true);
        }
        instances.extend(self.raw.partial.iter().map(|inst_id| (*inst_id, false)));
        let instances = instances
            .into_iter()
            .map(|(inst_id, complete)| Instance {
                inst_id,
                name: format!("inst{inst_id}"),
                complete,
            })
            .collect();
        let clock = SnapshotClock {
            now: DbTime(self.at.timestamp()),
            utc_offset: 0,
        };
        let mut joining = builder.finish(Some(clock), instances);
        joining.join_transactions(&transactions);
        if wanted.needs(Source::ParallelServers) {
            joining.count_parallel_servers(&coordinators(&servers, &rows));
        }
        joining.join_parallel_servers(servers);
        join_views(&mut joining, &rows, wanted, &missing)?;
        Ok(joining.finish(wanted))
    }

    fn row(
        &self,
        session: &RawSession,
        number: u32,
        defaults: &Row,
        transactions: &mut Vec<TransactionRow>,
    ) -> Result<Row, PolicyTestError> {
        let mut row = usual();
        row.extend(defaults.clone());
        for (name, value) in &session.columns {
            row.insert(session_column(name)?, value.clone());
        }
        let sid = match row.get(&Column::Sid) {
            Some(RawValue::Number(sid)) => sid + i64::from(number),
            Some(RawValue::Text(_) | RawValue::Null(())) | None => {
                return Err(PolicyTestError(format!("a session of {} has no SID", self.raw.at)));
            }
        };
        row.insert(Column::Sid, RawValue::Number(sid));
        for address in [Column::Saddr, Column::Paddr] {
            row.entry(address)
                .or_insert_with(|| RawValue::Text(format!("{sid:016X}")));
        }
        let inst_id = match row.get(&Column::InstId) {
            Some(RawValue::Number(inst_id)) => u32::try_from(*inst_id).unwrap_or(1),
            Some(RawValue::Text(_) | RawValue::Null(())) | None => 1,
        };
        if let Some(transaction) = &session.transaction {
            let addr = format!("{sid:016X}");
            row.insert(Column::Taddr, RawValue::Text(addr.clone()));
            let age = transaction.age.as_deref().map(seconds).transpose()?;
            let number = |sid: i64| (i64::from(inst_id), sid, 1);
            transactions.push(TransactionRow {
                inst_id,
                addr,
                ses_addr: row.get(&Column::Saddr).and_then(RawValue::text),
                xid: Some(number(sid)),
                parent: session.parallel_server_of.map(|coordinator| number(coordinator.into())),
                started: age.map(|age| DbTime(self.at.timestamp() - age)),
                status: Some(transaction.status.clone().unwrap_or_else(|| OWN_TRANSACTION.into())),
                undo_records: transaction.undo_records,
                undo_bytes: transaction
                    .undo
                    .as_ref()
                    .map(|undo| undo.number(Column::Undo))
                    .transpose()?
                    .flatten(),
            });
        }
        if let Some(blocked) = &session.blocked_by {
            row.insert(Column::BlockingSessionStatus, RawValue::Text("VALID".into()));
            row.insert(Column::BlockingSession, RawValue::Number(i64::from(blocked.sid)));
            row.insert(
                Column::BlockingInstance,
                RawValue::Number(i64::from(blocked.inst_id.unwrap_or(inst_id))),
            );
            row.insert(Column::State, RawValue::Text("WAITING".into()));
            row.insert(
                Column::WaitTimeMicro,
                RawValue::Number(seconds(&blocked.waited)?.saturating_mul(1_000_000)),
            );
        }
        Ok(row)
    }
}

/// Joins the other views that the policies need and whose columns are not missing. A session without `temp` has no temporary
/// segment; other columns that are not set are NULL.
fn join_views(joining: &mut Joining, rows: &[Row], wanted: Columns, missing: &[Column]) -> Result<(), PolicyTestError> {
    let number = |row: &Row, column: Column| match row.get(&column).filter(|_| !missing.contains(&column)) {
        None => Ok(None),
        Some(value) => value.number(column),
    };
    let text = |row: &Row, column: Column| {
        let value = row.get(&column).filter(|_| !missing.contains(&column));
        value.and_then(RawValue::text)
    };
    let (mut processes, mut temp, mut statistics) = (Vec::new(), Vec::new(), Vec::new());
    let mut accounts: BTreeMap<String, AccountRow> = BTreeMap::new();
    let mut containers: HashMap<u32, String> = HashMap::new();
    for row in rows {
        let (Some(inst_id), Some(sid)) = (id(row, Column::InstId), id(row, Column::Sid)) else {
            continue;
        };
        processes.push(ProcessRow {
            inst_id,
            addr: text(row, Column::Paddr).unwrap_or_default(),
            spid: text(row, Column::Spid),
            name: text(row, Column::Pname),
            pga: number(row, Column::Pga)?,
        });
        temp.extend(number(row, Column::Temp)?.map(|bytes| TempRow {
            inst_id,
            saddr: text(row, Column::Saddr).unwrap_or_default(),
            bytes,
        }));
        statistics.push(StatisticsRow {
            inst_id,
            sid,
            cpu: number(row, Column::Cpu)?,
            logical_reads: number(row, Column::LogicalReads)?,
            physical_reads: number(row, Column::PhysicalReads)?,
            redo: number(row, Column::Redo)?,
        });
        if let Some(account) = account(|column| text(row, column)) {
            let known = accounts
                .entry(account.username.clone())
                .or_insert_with(|| account.clone());
            if *known != account {
                return Err(PolicyTestError(format!(
                    "{} is there as two accounts",
                    account.username
                )));
            }
        }
        if let (Some(con_id), Some(name)) = (id(row, Column::ConId), text(row, Column::Container)) {
            let known = containers.entry(con_id).or_insert_with(|| name.clone());
            if *known != name {
                let both = format!("{known:?} and {name:?}");
                return Err(PolicyTestError(format!("con_id {con_id} is both {both}")));
            }
        }
    }
    if wanted.needs(Source::Process) || rows.iter().any(|row| row.contains_key(&Column::Pname)) {
        joining.join_processes(&processes);
    }
    if wanted.needs(Source::Temp) && !missing.contains(&Column::Temp) {
        joining.join_temp(&temp);
    }
    if wanted.needs(Source::Statistics) {
        joining.join_statistics(&statistics);
    }
    if wanted.needs(Source::Container) {
        joining.join_containers(&containers);
    }
    if wanted.needs(Source::Account) && !missing.iter().any(|column| column.source() == Source::Account) {
        joining.join_accounts(&accounts.into_values().collect::<Vec<_>>());
    }
    Ok(())
}

fn id(row: &Row, column: Column) -> Option<u32> {
    match row.get(&column) {
        Some(RawValue::Number(number)) => u32::try_from(*number).ok(),
        Some(RawValue::Text(_) | RawValue::Null(())) | None => None,
    }
}

/// The coordinator of each parallel server, with the SERIAL# of the session that has this SID.
fn coordinators(servers: &[ParallelServer], rows: &[Row]) -> Vec<(u32, u32, Option<u32>)> {
    let of = |server: &ParallelServer| {
        let seat = (Some(server.coordinator_inst_id), Some(server.coordinator_sid));
        let row = rows
            .iter()
            .find(|row| (id(row, Column::InstId), id(row, Column::Sid)) == seat);
        let serial = row.and_then(|row| id(row, Column::Serial));
        (server.coordinator_inst_id, server.coordinator_sid, serial)
    };
    servers.iter().map(of).collect()
}

/// The account of a session's user, if something is said of it.
fn account(text: impl Fn(Column) -> Option<String>) -> Option<AccountRow> {
    let row = AccountRow {
        con_id: None,
        username: text(Column::Username)?,
        status: text(Column::AccountStatus),
        profile: text(Column::Profile),
        oracle_maintained: text(Column::OracleMaintained),
    };
    let said = [&row.status, &row.profile, &row.oracle_maintained];
    said.iter().any(|fact| fact.is_some()).then_some(row)
}

/// The row of GV$PX_SESSION, if the session is a parallel server and has its numbers.
fn parallel_server(session: &RawSession, row: &Row) -> Option<ParallelServer> {
    let inst_id = id(row, Column::InstId)?;
    Some(ParallelServer {
        inst_id,
        sid: id(row, Column::Sid)?,
        serial: id(row, Column::Serial)?,
        coordinator_inst_id: inst_id,
        coordinator_sid: session.parallel_server_of?,
    })
}

/// The default values of a session.
fn usual() -> Row {
    let text = |column, value: &str| (column, RawValue::Text(value.into()));
    let number = |column, value| (column, RawValue::Number(value));
    BTreeMap::from([
        number(Column::InstId, 1),
        number(Column::Serial, 1),
        number(Column::ConId, 0),
        text(Column::LogonTime, "2026-01-01T00:00:00Z"),
        text(Column::Type, "USER"),
        text(Column::Username, "APP"),
        text(Column::Schemaname, "APP"),
        text(Column::Status, "INACTIVE"),
        text(Column::Server, "DEDICATED"),
        text(Column::Program, "app@web01"),
        text(Column::Machine, "web01"),
        text(Column::Osuser, "app"),
        number(Column::LastCallEt, 0),
        text(Column::BlockingSessionStatus, "NO HOLDER"),
        number(Column::Ownerid, 2_147_483_644),
    ])
}

fn push(
    builder: &mut crate::session::snapshot::SnapshotBuilder,
    read: &[Column],
    row: &Row,
) -> Result<(), PolicyTestError> {
    let texts: Vec<Option<String>> = read
        .iter()
        .map(|column| row.get(column).and_then(RawValue::text))
        .collect();
    let mut cells = Vec::with_capacity(read.len());
    for (column, text) in read.iter().zip(&texts) {
        cells.push(match (column.kind(), text) {
            (_, None) => Cell::Null,
            (Kind::Text, Some(text)) => Cell::Text(text),
            (Kind::Number | Kind::Duration | Kind::Size | Kind::Time, Some(_)) => {
                let number = row
                    .get(column)
                    .map(|value| value.number(*column))
                    .transpose()?
                    .flatten();
                number.map_or(Cell::Null, Cell::Number)
            }
        });
    }
    builder
        .push_row(&cells)
        .map_err(|error| PolicyTestError(error.to_string()))
}
