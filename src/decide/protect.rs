//! The built-in protections: sessions that no policy may take, whatever its condition says.
//!
//! Killing a background process ends the instance; killing a backup's idle catalogue session fails the backup hours later;
//! a redo transport session looks like any idle user. So the protections are always on, are checked before any condition, and
//! are named in reports. A missing column of those in [`ESSENTIAL`] spares everybody; the others widen a protection where they can be read.
//!
//! Clients set PROGRAM, MODULE and CLIENT_INFO. These columns can give a session a protection, but never take one away: a forged
//! name only protects its forger, which is harmless. [`texts`] has the rules for each column.

mod accounts;
mod texts;

use std::collections::HashSet;

use crate::policy::model::Protection;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::{Field, KILLED, OWN_TRANSACTION, Snapshot, SnapshotSource};
use crate::session::store::Codes;

pub(crate) use accounts::Accounts;
#[cfg(feature = "demo")]
pub(crate) use texts::is_server_process;
pub(crate) use texts::{is_orareaper, is_unnamed_server_process};

/// Accounts that Oracle maintains on every release; `ORACLE_MAINTAINED` adds the others if it can be read.
pub(crate) const SYS_ACCOUNTS: [&str; 7] = ["SYS", "SYSTEM", "SYSBACKUP", "SYSDG", "SYSKM", "SYSRAC", "PUBLIC"];

/// What the protections need to know about the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectionFacts {
    /// The account that the daemon is logged in with, as V$SESSION.USERNAME shows it.
    pub own_username: String,
    /// The daemon's own sessions: INST_ID, SID, SERIAL#.
    pub own_sessions: Vec<(u32, u32, u32)>,
    /// Accounts with DBA_USERS.ORACLE_MAINTAINED = 'Y'.
    pub oracle_maintained: Accounts,
    /// Accounts with the right to capture or apply changes.
    pub replication: Accounts,
}

/// The set of a session's protections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Under(u16);

const _: () = assert!(
    Protection::ALL.len() <= u16::BITS as usize,
    "a protection has no bit in `Under`"
);

impl Under {
    fn of(protection: Protection) -> Under {
        Under(1 << protection as u16)
    }

    fn insert(&mut self, protection: Protection) {
        self.0 |= 1 << protection as u16;
    }

    fn union(self, other: Under) -> Under {
        Under(self.0 | other.0)
    }

    /// Whether the set has this protection.
    #[must_use]
    pub(crate) fn contains(self, protection: Protection) -> bool {
        self.0 >> (protection as u16) & 1 == 1
    }

    /// The protections, in the order of checking.
    pub(crate) fn each(self) -> impl Iterator<Item = Protection> {
        let all = Protection::ALL.into_iter();
        all.filter(move |protection| self.contains(*protection))
    }
}

/// The protections of every session, except those of [`by_transaction`].
#[must_use]
pub(crate) fn protections(snapshot: &Snapshot, facts: &ProtectionFacts) -> Vec<Under> {
    let mut under = vec![Under::default(); snapshot.rows()];
    judge(&mut under, snapshot, Column::Type, by_type);
    judge(&mut under, snapshot, Column::Status, by_status);
    judge(&mut under, snapshot, Column::Username, |name| by_username(name, facts));
    judge(&mut under, snapshot, Column::Program, by_program);
    judge(&mut under, snapshot, Column::Module, |module| {
        told(module, texts::by_module)
    });
    judge(&mut under, snapshot, Column::ClientInfo, |info| {
        told(info, texts::by_client_info)
    });
    judge(&mut under, snapshot, Column::Event, |event| {
        told(event, texts::by_event)
    });
    judge(&mut under, snapshot, Column::Pname, |name| {
        told(name, texts::by_process_name)
    });
    judge(&mut under, snapshot, Column::TransactionStatus, |status| {
        told(status, by_transaction_status)
    });
    by_local_account(&mut under, snapshot, facts);
    by_detachment(&mut under, snapshot);
    by_identity(&mut under, snapshot, facts);
    by_unnamed_server_process(&mut under, snapshot);
    under
}

/// The protections of a session's transaction that [`protections`] does not give, in the order of checking: `undo`, which depends on
/// the policy's limit, and `xa` where the transaction's STATUS was not read.
pub(crate) fn by_transaction(snapshot: &Snapshot, row: usize, limit: u64) -> impl Iterator<Item = Protection> {
    let undo = undo(snapshot, row, limit).then_some(Protection::Undo);
    let xa = xa_unknown(snapshot, row).then_some(Protection::Xa);
    undo.into_iter().chain(xa)
}

/// Whether a protection of [`by_transaction`] applies only because the size or the STATUS of the session's transaction was not read.
#[must_use]
pub(crate) fn for_want_of_a_reading(protection: Protection, snapshot: &Snapshot, row: usize) -> bool {
    let size = || {
        snapshot
            .number(row, Column::UndoRecords)
            .filter(|records| *records >= 0)
    };
    match protection {
        Protection::Undo => size().is_none(),
        Protection::Xa => xa_unknown(snapshot, row),
        Protection::Background
        | Protection::Own
        | Protection::Dying
        | Protection::Unidentified
        | Protection::Sys
        | Protection::Backup
        | Protection::Replication
        | Protection::DataPump
        | Protection::Jobs
        | Protection::Queues
        | Protection::Agents
        | Protection::ParallelServer
        | Protection::SharedProcess => false,
    }
}

/// Whether the `undo` protection applies: more than `limit` records to roll back, including those of its parallel servers, or a
/// transaction of unknown size.
fn undo(snapshot: &Snapshot, row: usize, limit: u64) -> bool {
    match (
        snapshot.field(row, Column::Taddr),
        snapshot.number(row, Column::UndoRecords),
    ) {
        // A negative count is invalid, so the size is unknown.
        (_, Some(records)) => u64::try_from(records).map_or(true, |records| records > limit),
        (Field::Null, None) => false,
        // A saved snapshot may lack TADDR; its report says that open transactions are unknown.
        (Field::Missing, None) => snapshot.source() == SnapshotSource::Live,
        (Field::Text(_) | Field::Number(_), None) => true,
    }
}

/// Whether it is unknown if the session's transaction is distributed: it has, or may have, one whose STATUS was not read.
///
/// It is asked after [`undo`], which then knows no size either and says so.
fn xa_unknown(snapshot: &Snapshot, row: usize) -> bool {
    let status = snapshot.field(row, Column::TransactionStatus);
    match (snapshot.field(row, Column::Taddr), status) {
        (_, Field::Text(_)) | (Field::Null, _) => false,
        // As for `undo`: the report of a saved snapshot says what is not in it.
        (Field::Missing, _) | (_, Field::Missing) => snapshot.source() == SnapshotSource::Live,
        (Field::Text(_) | Field::Number(_), _) => true,
    }
}

/// Why a protection spares the session, with the session's values.
#[must_use]
pub(crate) fn why_protected(protection: Protection, snapshot: &Snapshot, row: usize) -> String {
    let text = |column| match snapshot.field(row, column) {
        Field::Text(text) => format!("{} is {text}", column.name().to_uppercase()),
        Field::Null => format!("{} is null", column.name().to_uppercase()),
        Field::Number(number) => format!("{} is {number}", column.name().to_uppercase()),
        Field::Missing => format!("{} is unknown", column.name().to_uppercase()),
    };
    let server = || match snapshot.text(row, Column::Pname) {
        Some(name) => format!("{}, PNAME is {name}", text(Column::Program)),
        None => text(Column::Program),
    };
    match protection {
        Protection::Background => match (snapshot.text(row, Column::Type), snapshot.text(row, Column::Username)) {
            (Some("USER"), Some(_)) => server(),
            (Some("USER"), None) => text(Column::Username),
            (Some(_), _) | (None, _) => text(Column::Type),
        },
        Protection::Own => match snapshot.text(row, Column::Module) {
            Some(module) if texts::is_orareaper(module) => format!("an orareaper's session, {}", text(Column::Module)),
            Some(_) | None => "one of orareaper's own sessions".into(),
        },
        Protection::Dying => text(Column::Status),
        Protection::Unidentified => "a part of its identity (INST_ID, SID, SERIAL#, LOGON_TIME) is unknown".into(),
        Protection::Sys => text(Column::Username),
        Protection::Backup
        | Protection::Replication
        | Protection::DataPump
        | Protection::Jobs
        | Protection::Queues
        | Protection::Agents => recognized(protection, snapshot, row),
        Protection::ParallelServer => format!("{}: its coordinator is the one to act on", server()),
        Protection::Xa => because_xa(snapshot, row),
        Protection::Undo => match snapshot.number(row, Column::UndoRecords) {
            Some(records) => format!("{records} undo records would have to be rolled back"),
            None => "its open transaction's size is unknown".into(),
        },
        Protection::SharedProcess => "its server process serves others who are to stay".into(),
    }
}

fn because_xa(snapshot: &Snapshot, row: usize) -> String {
    let text = |column| snapshot.text(row, column);
    let event = text(Column::Event).filter(|event| texts::by_event(event).contains(Protection::Xa));
    let (status, server) = (text(Column::Status), text(Column::Server));
    if let (Some("CACHED"), _) | (_, Some("NONE")) = (status, server) {
        return format!(
            "STATUS is {}, SERVER is {}",
            status.unwrap_or("null"),
            server.unwrap_or("null")
        );
    }
    match (text(Column::TransactionStatus), event) {
        (Some(status), _) if status != OWN_TRANSACTION => format!(
            "its transaction is {status} and not {OWN_TRANSACTION}: what becomes of it is not for its session alone to decide"
        ),
        (_, Some(event)) => format!("EVENT is {event}"),
        (_, None) => "whether its open transaction is a distributed one is unknown".into(),
    }
}

/// The columns with the values by which this protection recognizes the session.
fn recognized(protection: Protection, snapshot: &Snapshot, row: usize) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut say = |column: Column, speaks: bool| {
        if let Some(text) = snapshot.text(row, column).filter(|_| speaks) {
            said.push(format!("{} is {text}", column.name().to_uppercase()));
        }
    };
    let by = |column: Column, by: fn(&str) -> Under| {
        snapshot
            .text(row, column)
            .is_some_and(|text| by(text).contains(protection))
    };
    let accounts = matches!(protection, Protection::Replication | Protection::Agents);
    say(Column::Username, accounts);
    say(Column::Program, true);
    say(Column::Module, true);
    say(Column::ClientInfo, by(Column::ClientInfo, texts::by_client_info));
    say(Column::Event, by(Column::Event, texts::by_event));
    say(Column::Pname, by(Column::Pname, texts::by_process_name));
    said.join(", ")
}

/// Columns without which a protection cannot be checked, so that every session is spared.
pub(crate) const ESSENTIAL: [Column; 8] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Type,
    Column::Username,
    Column::Status,
    Column::Program,
];

/// A session's value in one column.
#[derive(Clone, Copy)]
enum ColumnState<'a> {
    /// The column was not read, or the release lacks it.
    Missing,
    Null,
    Text(&'a str),
}

/// Computes the protections once for each distinct text of a column, and adds them to every session with that text.
fn judge(under: &mut [Under], snapshot: &Snapshot, column: Column, by: impl Fn(ColumnState<'_>) -> Under) {
    let Some(texts) = snapshot.texts(column) else {
        let everybody = by(ColumnState::Missing);
        under.iter_mut().for_each(|under| *under = under.union(everybody));
        return;
    };
    assert_eq!(texts.rows(), under.len(), "a column has a value for each row");
    let by_code = texts.judged(|word| by(word.map_or(ColumnState::Null, ColumnState::Text)));
    // Most columns give no session a protection.
    if by_code.iter().all(|said| *said == Under::default()) {
        return;
    }
    match texts.codes() {
        Codes::Short(codes) => put(under, codes, &by_code),
        Codes::Long(codes) => put(under, codes, &by_code),
    }
}

fn put<C: Copy + Into<u32>>(under: &mut [Under], codes: &[C], by_code: &[Under]) {
    for (under, code) in under.iter_mut().zip(codes) {
        *under = under.union(by_code[(*code).into() as usize]);
    }
}

/// The protections of a text; none if the column is NULL or missing.
fn told(known: ColumnState<'_>, by: impl Fn(&str) -> Under) -> Under {
    match known {
        ColumnState::Missing | ColumnState::Null => Under::default(),
        ColumnState::Text(text) => by(text),
    }
}

fn by_program(known: ColumnState<'_>) -> Under {
    match known {
        ColumnState::Missing => Under::of(Protection::Background),
        ColumnState::Null => Under::default(),
        ColumnState::Text(program) => texts::by_program(program),
    }
}

fn by_type(known: ColumnState<'_>) -> Under {
    match known {
        ColumnState::Text("USER") => Under::default(),
        ColumnState::Missing | ColumnState::Null | ColumnState::Text(_) => Under::of(Protection::Background),
    }
}

fn by_status(known: ColumnState<'_>) -> Under {
    match known {
        ColumnState::Missing | ColumnState::Null | ColumnState::Text(KILLED) => Under::of(Protection::Dying),
        ColumnState::Text("CACHED") => Under::of(Protection::Xa),
        ColumnState::Text(_) => Under::default(),
    }
}

/// PREPARED and COLLECTING are states of a distributed transaction, and a parallel one has them too. Every other word but ACTIVE
/// is of one that ends already, or says nothing that is documented.
fn by_transaction_status(status: &str) -> Under {
    if status == OWN_TRANSACTION {
        Under::default()
    } else {
        Under::of(Protection::Xa)
    }
}

/// Accounts that exist, or have the privilege, in some containers only: the same name in another container is another account.
fn by_local_account(under: &mut [Under], snapshot: &Snapshot, facts: &ProtectionFacts) {
    let lists = [
        (&facts.oracle_maintained, Protection::Sys),
        (&facts.replication, Protection::Replication),
    ];
    let Some(names) = snapshot.texts(Column::Username) else {
        return;
    };
    for (accounts, protection) in lists.into_iter().filter(|(accounts, _)| accounts.are_by_container()) {
        let somewhere = names.judged(|name| name.is_some_and(|name| accounts.are_somewhere(name)));
        for (row, under) in under.iter_mut().enumerate() {
            let name = names.get(row).filter(|_| somewhere[names.code(row) as usize]);
            if name.is_some_and(|name| accounts.include(name, snapshot.id(row, Column::ConId))) {
                under.insert(protection);
            }
        }
    }
}

/// A server process whose name is cut off in PROGRAM is recognized by PNAME, or by GV$PX_SESSION as a parallel server. Without
/// either it may be any of them, including one that must never be killed.
fn by_unnamed_server_process(under: &mut [Under], snapshot: &Snapshot) {
    let Some(programs) = snapshot.texts(Column::Program) else {
        return;
    };
    let unnamed = programs.judged(|program| program.is_some_and(is_unnamed_server_process));
    if !unnamed.contains(&true) {
        return;
    }
    for (row, under) in under.iter_mut().enumerate() {
        let named = snapshot.text(row, Column::Pname).map(texts::by_process_name);
        // A command that reads GV$PROCESS and one that does not call it the same.
        let is_known = named.unwrap_or_default() != Under::default() || under.contains(Protection::ParallelServer);
        if unnamed[programs.code(row) as usize] && !is_known {
            under.insert(Protection::Background);
        }
    }
}

/// Whether Oracle's own monitoring uses the account. Enterprise Manager's repository accounts are SYSMAN, SYSMAN_MDS,
/// SYSMAN122140_OPSS and similar.
pub(crate) fn is_of_agents(name: &str) -> bool {
    name.starts_with("SYSMAN") || matches!(name, "DBSNMP" | "CLOUD_SWLIB_USER")
}

/// A transaction whose session is detached from its server is a distributed one.
fn by_detachment(under: &mut [Under], snapshot: &Snapshot) {
    let Some(servers) = snapshot.texts(Column::Server) else {
        return;
    };
    let detached = servers.judged(|server| server == Some("NONE"));
    if !detached.contains(&true) {
        return;
    }
    for (row, under) in under.iter_mut().enumerate() {
        if detached[servers.code(row) as usize] && snapshot.text(row, Column::Taddr).is_some() {
            under.insert(Protection::Xa);
        }
    }
}

fn by_identity(under: &mut [Under], snapshot: &Snapshot, facts: &ProtectionFacts) {
    let servers: HashSet<(u32, u32, u32)> = snapshot
        .parallel_servers()
        .iter()
        .map(|server| (server.inst_id, server.sid, server.serial))
        .collect();
    for (under, key) in under.iter_mut().zip(snapshot.keys()) {
        match key {
            None => under.insert(Protection::Unidentified),
            Some(SessionKey {
                inst_id, sid, serial, ..
            }) => {
                if facts.own_sessions.contains(&(inst_id, sid, serial)) {
                    under.insert(Protection::Own);
                }
                if servers.contains(&(inst_id, sid, serial)) {
                    under.insert(Protection::ParallelServer);
                }
            }
        }
    }
}

fn by_username(known: ColumnState<'_>, facts: &ProtectionFacts) -> Under {
    let ColumnState::Text(name) = known else {
        return Under::of(Protection::Background);
    };
    let mut under = Under::default();
    if SYS_ACCOUNTS.contains(&name) || facts.oracle_maintained.are_everywhere(name) {
        under.insert(Protection::Sys);
    }
    if name == "PUBLIC" || facts.replication.are_everywhere(name) {
        under.insert(Protection::Replication);
    }
    if is_of_agents(name) {
        under.insert(Protection::Agents);
    }
    if name == facts.own_username {
        under.insert(Protection::Own);
    }
    under
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::snapshot::Cell;
    use crate::session::snapshot::ParallelServer;
    use crate::session::time::DbTime;

    /// `plan` reads GV$PROCESS for its report, `sessions` and `explain` do not: they say the same.
    #[test]
    fn a_parallel_server_whose_name_is_cut_off_is_one_with_and_without_its_process() {
        let cut = "oracle@dbprod-node1.internal.corp.example.co (P0";
        let columns = [
            Column::InstId,
            Column::Sid,
            Column::Serial,
            Column::LogonTime,
            Column::Username,
            Column::Type,
            Column::Status,
            Column::Program,
        ];
        let first = |is_listed: bool| {
            let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
            let cells = [
                Cell::Number(1),
                Cell::Number(7),
                Cell::Number(9),
                Cell::Time(DbTime(100)),
                Cell::Text("SCOTT"),
                Cell::Text("USER"),
                Cell::Text("ACTIVE"),
                Cell::Text(cut),
            ];
            builder.push_row(&cells).expect("one row");
            let mut joining = builder.finish(None, Vec::new());
            if is_listed {
                joining.join_parallel_servers(vec![ParallelServer {
                    inst_id: 1,
                    sid: 7,
                    serial: 9,
                    coordinator_inst_id: 1,
                    coordinator_sid: 8,
                }]);
            }
            let snapshot = joining.finish(columns.into_iter().collect());
            protections(&snapshot, &ProtectionFacts::default())[0].each().next()
        };
        assert_eq!(first(true), Some(Protection::ParallelServer));
        assert_eq!(
            first(false),
            Some(Protection::Background),
            "it may be any server process"
        );
    }
}
