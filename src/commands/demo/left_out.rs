//! The sessions of a file that the simulated database does not take over, and why.
//!
//! Practice must never be less strict than `plan` on the same file. So a session is left out if it is protected in the file by something
//! that the simulated one would not show (STATUS is KILLED, a right of its account, EVENT while it is idle), or if a value is not known
//! that the simulated one cannot do without (LAST_CALL_ET, the size of its transaction).

use std::collections::BTreeMap;

use crate::decide::protect::{
    Accounts, ProtectionFacts, Under, by_transaction, for_want_of_a_reading, is_server_process, protections,
    why_protected,
};
use crate::policy::model::Protection;
use crate::quantity::counted;
use crate::session::column::{Column, Kind};
use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};
use crate::session::time::DbTime;
use crate::terminal::visible::visible;

/// What protections go by in the simulated database, which takes it from the file.
const SHOWN: [Column; 12] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Type,
    Column::Username,
    Column::Status,
    Column::Server,
    Column::Taddr,
    Column::Program,
    Column::Module,
    Column::ClientInfo,
];

/// Which sessions of a file are taken over.
#[derive(Debug, Default)]
pub(super) struct TakenOver {
    /// Their rows.
    pub(super) rows: Vec<usize>,
    /// How many are not, by the reason.
    pub(super) left_out: BTreeMap<String, usize>,
}

impl TakenOver {
    pub(super) fn of(snapshot: &Snapshot, facts: &ProtectionFacts) -> TakenOver {
        let under = protections(snapshot, facts);
        let simulated = protections(&as_simulated(snapshot), &facts_as_simulated(facts));
        let mut taken = TakenOver::default();
        for row in 0..snapshot.rows() {
            match why_not(snapshot, row, (under[row], simulated[row])) {
                Some(why) => *taken.left_out.entry(why).or_insert(0) += 1,
                None => taken.rows.push(row),
            }
        }
        taken
    }

    /// A line for each reason.
    pub(super) fn told(&self) -> impl Iterator<Item = String> {
        let of = |(why, count): (&String, &usize)| format!("{} left out: {}", counted(*count, "session"), visible(why));
        self.left_out.iter().map(of)
    }
}

/// `under`: its protections in the file, and those of the simulated session.
fn why_not(snapshot: &Snapshot, row: usize, (under, simulated): (Under, Under)) -> Option<String> {
    let text = |column| snapshot.text(row, column);
    let is_background = text(Column::Type).is_some_and(|kind| kind != "USER");
    if is_background || text(Column::Program).is_some_and(is_server_process) {
        return Some("Oracle's own processes, of which each simulated instance has its own".to_owned());
    }
    if text(Column::Username).is_none() {
        return Some("USERNAME is NULL or was not read, so it is nobody's client".to_owned());
    }
    if let Some(protection) = under.each().find(|protection| !simulated.contains(*protection)) {
        return Some(match protection {
            Protection::Background | Protection::Dying | Protection::Unidentified => {
                why_protected(protection, snapshot, row)
            }
            Protection::Own
            | Protection::Sys
            | Protection::Backup
            | Protection::Replication
            | Protection::DataPump
            | Protection::Jobs
            | Protection::Queues
            | Protection::Agents
            | Protection::ParallelServer
            | Protection::Xa
            | Protection::Undo
            | Protection::SharedProcess => format!(
                "protected ({}) by what a simulated session does not show",
                protection.name()
            ),
        });
    }
    let mut unread = by_transaction(snapshot, row, u64::MAX);
    if let Some(protection) = unread.find(|protection| for_want_of_a_reading(*protection, snapshot, row)) {
        return Some(why_protected(protection, snapshot, row));
    }
    let has_undo = snapshot
        .number(row, Column::UndoRecords)
        .is_some_and(|records| records > 0);
    if has_undo && text(Column::Taddr).is_none() {
        return Some("has undo records and no transaction of its own".to_owned());
    }
    let is_unknown = snapshot.number(row, Column::LastCallEt).is_none();
    is_unknown.then(|| "LAST_CALL_ET is NULL or was not read".to_owned())
}

/// The sessions with what the simulated ones show of them: nobody is KILLED there, and nobody waits while it is idle.
fn as_simulated(snapshot: &Snapshot) -> Snapshot {
    let mut builder = Snapshot::builder(SnapshotSource::Saved, &SHOWN);
    for row in 0..snapshot.rows() {
        let cells = SHOWN.map(|column| as_shown(snapshot, row, column));
        if builder.push_row(&cells).is_err() {
            // A row that the file had is no longer than any other.
            unreachable!("the row was read before");
        }
    }
    let joining = builder.finish(None, snapshot.instances().to_vec());
    joining.finish(SHOWN.into_iter().collect())
}

/// A value as the simulated session has it. Each has an identity and is a user's, whatever the file says, and nobody is KILLED.
fn as_shown(snapshot: &Snapshot, row: usize, column: Column) -> Cell<'_> {
    let number = snapshot.number(row, column).unwrap_or(0);
    let text = snapshot.text(row, column);
    if column == Column::LogonTime {
        Cell::Time(DbTime(number))
    } else if column.kind() == Kind::Number {
        Cell::Number(number)
    } else if column == Column::Type {
        Cell::Text("USER")
    } else if column == Column::Status {
        let kept = text.filter(|status| ["ACTIVE", "SNIPED", "CACHED"].contains(status));
        Cell::Text(kept.unwrap_or("INACTIVE"))
    } else {
        text.map_or(Cell::Null, Cell::Text)
    }
}

/// Who is known to the simulated database: Oracle's accounts that are so in every container. It knows no rights of replication.
fn facts_as_simulated(facts: &ProtectionFacts) -> ProtectionFacts {
    let mut oracle_maintained = Accounts::default();
    for name in facts.oracle_maintained.everywhere() {
        oracle_maintained.insert(None, name.clone());
    }
    ProtectionFacts {
        own_username: String::new(),
        own_sessions: Vec::new(),
        oracle_maintained,
        replication: Accounts::default(),
    }
}
