//! What a report says on top: what could not be known, and whom that spares.
//!
//! Unknown never kills, so a file without TYPE gives an empty plan, which would read as "nothing to do". Each gap is
//! therefore named with its consequence, before any decision.

use crate::evaluate::missing_columns;
use crate::plan::InForce;
use crate::policy::model::{Policy, PolicySet, Protection};
use crate::protect::ESSENTIAL;
use crate::session::column::Column;
use crate::session::snapshot::{Snapshot, SnapshotSource};

/// The notes for a snapshot and the policies that run over it, the gravest first.
#[must_use]
pub fn notes(snapshot: &Snapshot, set: &PolicySet, in_force: &[InForce]) -> Vec<String> {
    let mut notes: Vec<String> = ESSENTIAL
        .iter()
        .filter(|column| !snapshot.has(**column))
        .map(|column| essential(*column))
        .collect();
    if snapshot.source() == SnapshotSource::Saved {
        notes.extend(unseen_protections(snapshot));
    }
    for policy in in_force.iter().map(|in_force| &set.policies[in_force.index]) {
        notes.extend(unknown_terms(policy, snapshot));
        if policy.pressure.is_some() && snapshot.source() == SnapshotSource::Saved {
            notes.push(format!(
                "policy {}: a saved snapshot does not say what its instances were short of, so `while` keeps it from acting",
                policy.name
            ));
        }
    }
    notes
}

fn essential(column: Column) -> String {
    let name = column.name().to_uppercase();
    let consequence = if column == Column::Type {
        "nobody can be told from a background process, so everybody is spared"
    } else if column == Column::Username {
        "nobody can be told from Oracle's own sessions, so everybody is spared"
    } else if column == Column::Program {
        "backups, jobs and replication cannot be told from applications, so everybody is spared"
    } else if column == Column::Status {
        "nobody can be told from a session that is being killed, so everybody is spared"
    } else {
        "no session can be told from the next one in its seat, so everybody is spared"
    };
    format!("{name} is missing: {consequence}")
}

/// Protections that a file says too little for: the database's own columns may spare more than the report shows.
fn unseen_protections(snapshot: &Snapshot) -> Vec<String> {
    let mut notes = Vec::new();
    if !snapshot.has(Column::Taddr) {
        notes.push(
            "TADDR is missing: open transactions cannot be seen, so `undo` and `xa` spare nobody here who would be spared live"
                .into(),
        );
    } else if !snapshot.has(Column::UndoRecords)
        && (0..snapshot.rows()).any(|row| snapshot.text(row, Column::Taddr).is_some())
    {
        notes.push(format!(
            "GV$TRANSACTION is not in the file: the size of open transactions is unknown, so `{}` spares everybody in one",
            Protection::Undo
        ));
    }
    for (column, who) in [
        (Column::Module, "backups, jobs and replication"),
        (Column::ClientInfo, "backups, jobs and replication"),
        (Column::Event, "sessions that listen to a queue or a pipe, and others"),
    ] {
        if !snapshot.has(column) {
            notes.push(format!(
                "{} is missing: {who} that only it tells are not recognized here",
                column.name().to_uppercase()
            ));
        }
    }
    notes
}

fn unknown_terms(policy: &Policy, snapshot: &Snapshot) -> Vec<String> {
    let parts = [
        Some((&policy.when, "condition")),
        policy.unless.as_ref().map(|unless| (unless, "`unless`")),
    ];
    let mut notes = Vec::new();
    for (condition, part) in parts.into_iter().flatten() {
        for column in missing_columns(condition, snapshot) {
            notes.push(format!(
                "policy {}: column {} is missing, its {part} is unknown for everybody as far as it depends on it",
                policy.name,
                column.name()
            ));
        }
        if snapshot.clock().is_none() {
            for column in [Column::Connected, Column::StatementAge] {
                if snapshot.has(column) && crate::evaluate::columns_of(condition).contains(column) {
                    notes.push(format!(
                        "policy {}: {} needs the database's clock, which the file does not tell (SYSDATE, or --taken-at); \
                         its {part} is unknown for everybody as far as it depends on it",
                        policy.name,
                        column.name()
                    ));
                }
            }
        }
    }
    notes
}
