//! The columns and resources that the loaded policies, and the actions that are ordered by hand, need from a database. Nothing else
//! is read.

use crate::decide::evaluate::columns_of;
use crate::decide::rates::with_counters;
use crate::decide::shared_process::ends_the_process;
use crate::policy::model::{Action, Mode, Policy, PolicySet, Protection};
use crate::policy::pressure::{PressureCondition, Resource};
use crate::session::column::{Column, Columns};

/// Columns that every snapshot has, whatever the policies: a session's identity, what the protections ask, what reports
/// and metrics show, and what verification looks at.
pub const ALWAYS: [Column; 20] = [
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
    Column::Module,
    Column::ClientInfo,
    Column::Taddr,
    Column::Event,
    Column::LastCallEt,
    Column::Idle,
    Column::Running,
    Column::UndoRecords,
    Column::TransactionStatus,
    Column::ConId,
];

/// The columns that a set of policies needs, derived ones included.
#[must_use]
pub fn columns(set: &PolicySet) -> Columns {
    let mut columns: Columns = ALWAYS.into_iter().collect();
    for policy in &set.policies {
        columns = columns.union(of_policy(policy));
    }
    for exemption in &set.exemptions {
        columns = columns.union(columns_of(&exemption.when));
    }
    with_counters(columns)
}

/// The columns to take from a recording: those that the policies need, and those by which protections recognize server
/// processes, which cost another view in a database and nothing in a recording.
#[must_use]
pub(crate) fn columns_of_recording(set: &PolicySet) -> Columns {
    let mut columns = columns(set);
    columns.insert(Column::Pname);
    columns.union(USED_AGAIN.into_iter().collect())
}

/// The columns to take from a recording in order to suggest policies: how long sessions are idle, what they hold meanwhile,
/// and what a suggested profile would replace.
#[must_use]
pub(crate) fn columns_of_survey() -> Columns {
    let held = [Column::Pga, Column::Undo, Column::Blocking, Column::Pname];
    let replaced = [Column::Profile];
    ALWAYS
        .into_iter()
        .chain(USED_AGAIN)
        .chain(held)
        .chain(replaced)
        .collect()
}

/// By these, besides those of every snapshot, a session is seen to be used again, and a validation to be none.
const USED_AGAIN: [Column; 3] = [Column::SqlId, Column::PrevSqlId, Column::PrevExecStart];

/// The columns that one policy uses.
#[must_use]
pub(crate) fn of_policy(policy: &Policy) -> Columns {
    let mut columns = columns_of(&policy.when);
    if let Some(unless) = &policy.unless {
        columns = columns.union(columns_of(unless));
    }
    columns = columns.union(policy.order.iter().map(|order| order.column).collect());
    if let Some(keep) = &policy.keep {
        columns = columns.union(keep.per.iter().copied().collect());
    }
    columns = policy.actions().map(of_action).fold(columns, Columns::union);
    if policy.mode == Mode::DryRun && policy.actions().any(Action::ends_session) {
        columns = columns.union(USED_AGAIN.into_iter().collect());
    }
    if policy.allow.iter().any(|lifted| is_of_server_processes(*lifted)) {
        columns.insert(Column::Pname);
    }
    for resource in resources_of(policy) {
        match resource {
            Resource::Pga => columns.insert(Column::Pga),
            Resource::Temp => columns.insert(Column::Temp),
            Resource::Undo => columns.insert(Column::Undo),
            Resource::Sessions
            | Resource::Processes
            | Resource::Transactions
            | Resource::HostCpu
            | Resource::ActiveSessions => {}
        }
    }
    with_counters(columns)
}

/// The columns without which an action cannot be permitted, or cannot be followed.
#[must_use]
pub(crate) fn of_action(action: Action) -> Columns {
    let mut columns = Columns::NONE;
    if action == Action::CancelSql {
        columns.insert(Column::SqlId);
        columns.insert(Column::SqlExecId);
    }
    if ends_the_process(action) {
        columns.insert(Column::Paddr);
    }
    columns
}

/// Protections that depend on the name of a server process. A policy that lifts one needs that name even if PROGRAM is cut: a
/// process that is not known to be a job may have a protection that cannot be lifted.
const fn is_of_server_processes(protection: Protection) -> bool {
    match protection {
        Protection::Replication
        | Protection::DataPump
        | Protection::Jobs
        | Protection::Queues
        | Protection::ParallelServer => true,
        Protection::Unidentified
        | Protection::Background
        | Protection::Own
        | Protection::Dying
        | Protection::Sys
        | Protection::Backup
        | Protection::Agents
        | Protection::Xa
        | Protection::Undo
        | Protection::SharedProcess => false,
    }
}

/// The resources that a set of policies uses.
#[must_use]
pub(crate) fn resources(set: &PolicySet) -> Vec<Resource> {
    let mut resources: Vec<Resource> = set.policies.iter().flat_map(resources_of).collect();
    resources.sort_unstable();
    resources.dedup();
    resources
}

/// The resources that one policy uses.
#[must_use]
pub(crate) fn resources_of(policy: &Policy) -> Vec<Resource> {
    let conditions = policy.pressure.iter();
    let conditions = conditions.flat_map(|pressure| std::iter::once(&pressure.begin).chain(&pressure.end));
    conditions
        .flat_map(PressureCondition::comparisons)
        .map(|(resource, ..)| resource)
        .collect()
}
