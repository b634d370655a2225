//! Recordings of clients whose calls are known.

use std::sync::Arc;

use super::{EVERY, START};
use crate::decide::pressure::Readings;
use crate::decide::protect::ProtectionFacts;
use crate::recording::RecordedSnapshot;
use crate::session::column::Column;
use crate::session::snapshot::{
    AccountRow, Cell, Instance, ProcessRow, Snapshot, SnapshotBuilder, SnapshotClock, SnapshotSource,
};
use crate::session::time::DbTime;

/// A session whose client calls at known times.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) user: &'static str,
    pub(super) program: String,
    pub(super) machine: String,
    /// In seconds from the start, ascending; the first may lie before it. A call takes no time.
    pub(super) calls: Vec<i64>,
    /// When it logs off.
    pub(super) ends: Option<i64>,
    /// What it runs at each call.
    pub(super) statement: &'static str,
    /// Whether a session waits for it, between these times.
    pub(super) waited_for: Option<(i64, i64)>,
    pub(super) profile: Option<&'static str>,
}

impl Client {
    pub(super) fn of(user: &'static str, machine: &str, calls: &[i64]) -> Client {
        Client {
            user,
            program: "JDBC Thin Client".into(),
            machine: machine.into(),
            calls: calls.to_vec(),
            ends: None,
            statement: "order",
            waited_for: None,
            profile: None,
        }
    }

    /// When it called last, at this time.
    fn last_call(&self, at: i64) -> Option<(usize, i64)> {
        let made = self.calls.iter().take_while(|call| **call <= at).count();
        let number = made.checked_sub(1)?;
        (self.ends.is_none_or(|ends| at < ends)).then(|| (number, self.calls[number]))
    }
}

/// The accounts of the users, if some profile is known.
fn accounts(clients: &[Client]) -> Option<Vec<AccountRow>> {
    let known = clients.iter().filter(|client| client.profile.is_some());
    let row = |client: &Client| AccountRow {
        con_id: None,
        username: client.user.to_owned(),
        status: Some("OPEN".to_owned()),
        profile: client.profile.map(str::to_owned),
        oracle_maintained: None,
    };
    Some(known.map(row).collect()).filter(|rows: &Vec<AccountRow>| !rows.is_empty())
}

const COLUMNS: [Column; 20] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Username,
    Column::Type,
    Column::Status,
    Column::Server,
    Column::Program,
    Column::Machine,
    Column::Taddr,
    Column::LastCallEt,
    Column::Module,
    Column::ClientInfo,
    Column::Event,
    Column::ConId,
    Column::SqlId,
    Column::PrevSqlId,
    Column::PrevExecStart,
    Column::Paddr,
];

fn moment(at: i64, clients: &[Client]) -> RecordedSnapshot {
    let with_waiters = clients.iter().any(|client| client.waited_for.is_some());
    let mut columns = COLUMNS.to_vec();
    if with_waiters {
        columns.extend([Column::BlockingSessionStatus, Column::BlockingSession]);
    }
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    let mut push = |cells: [Cell<'_>; 20], waits_for: Option<i64>| {
        let blocker = match waits_for {
            Some(sid) => [Cell::Text("VALID"), Cell::Number(sid)],
            None => [Cell::Text("NO HOLDER"), Cell::Null],
        };
        let blocker = blocker.into_iter().filter(|_| with_waiters);
        let row: Vec<Cell<'_>> = cells.into_iter().chain(blocker).collect();
        builder.push_row(&row).expect("few rows");
    };
    for (sid, client) in (10_i64..).zip(clients) {
        let Some((number, called)) = client.last_call(at) else {
            continue;
        };
        // Each call of work runs a statement of its own.
        let statement = if client.statement == "ping" {
            "ping".to_owned()
        } else {
            format!("{}{number}", client.statement)
        };
        let cells = [
            Cell::Number(1),
            Cell::Number(sid),
            Cell::Number(7),
            Cell::Number(START - 400_000),
            Cell::Text(client.user),
            Cell::Text("USER"),
            Cell::Text("INACTIVE"),
            Cell::Text("DEDICATED"),
            Cell::Text(&client.program),
            Cell::Text(&client.machine),
            Cell::Null,
            Cell::Number(at - called),
            Cell::Null,
            Cell::Null,
            Cell::Text("SQL*Net message from client"),
            Cell::Number(3),
            Cell::Null,
            Cell::Text(&statement),
            Cell::Number(START + called),
            Cell::Text("A1"),
        ];
        push(cells, None);
        if client
            .waited_for
            .is_some_and(|(from, until)| (from..until).contains(&at))
        {
            let mut waiter = cells;
            waiter[1] = Cell::Number(sid + 1_000);
            waiter[4] = Cell::Text("WAITER");
            waiter[6] = Cell::Text("ACTIVE");
            push(waiter, Some(sid));
        }
    }
    finished(builder, at, clients)
}

fn finished(builder: SnapshotBuilder, at: i64, clients: &[Client]) -> RecordedSnapshot {
    let clock = SnapshotClock {
        now: DbTime(START + at),
        utc_offset: 0,
    };
    let instances = vec![Instance {
        inst_id: 1,
        name: "PROD1".into(),
        complete: true,
    }];
    let mut joining = builder.finish(Some(clock), instances);
    joining.join_processes(&[ProcessRow {
        inst_id: 1,
        addr: "A1".into(),
        spid: None,
        name: None,
        pga: Some(8 << 20),
    }]);
    if let Some(accounts) = accounts(clients) {
        joining.join_accounts(&accounts);
    }
    RecordedSnapshot {
        snapshot: joining.finish(crate::columns_needed::columns_of_survey()),
        readings: Readings::default(),
        facts: Arc::new(ProtectionFacts::default()),
    }
}

pub(super) fn recording(clients: &[Client], length: i64) -> Vec<RecordedSnapshot> {
    (0..=length / EVERY)
        .map(|number| moment(number * EVERY, clients))
        .collect()
}
