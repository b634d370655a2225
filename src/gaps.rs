//! The notes at the top of a report: what is unknown, and which sessions that spares.
//!
//! Unknown never kills, so a file without TYPE gives an empty plan, which would read as "nothing to do". Each gap is
//! therefore named with its consequence, before any decision.

use crate::checks::{Check, Id, State};
use crate::decide::evaluate::missing_columns;
use crate::decide::in_force::InForce;
use crate::decide::pressure::Readings;
use crate::decide::protect::ESSENTIAL;
use crate::decide::shared_process::ends_the_process;
use crate::policy::condition::Comparison;
use crate::policy::model::{Policy, PolicySet, Protection};
use crate::policy::pressure::{PressureCondition, Resource, Threshold};
use crate::quantity::Bytes;
use crate::session::column::{Column, Source};
use crate::session::snapshot::{Snapshot, SnapshotSource};

/// The notes for a snapshot and the policies that run over it, the most serious first.
#[must_use]
pub fn notes(snapshot: &Snapshot, readings: &Readings, set: &PolicySet, in_force: &[InForce]) -> Vec<String> {
    let checks = checks(snapshot, readings, set, in_force);
    checks.iter().map(ToString::to_string).collect()
}

/// The same as values.
#[must_use]
pub(crate) fn checks(snapshot: &Snapshot, readings: &Readings, set: &PolicySet, in_force: &[InForce]) -> Vec<Check> {
    let mut notes = silent_instances(snapshot);
    let missing = ESSENTIAL.iter().filter(|column| !snapshot.has(**column));
    notes.extend(missing.map(|column| essential(*column)));
    if snapshot.source() == SnapshotSource::Saved {
        notes.extend(unseen_protections(snapshot));
    }
    for policy in in_force.iter().map(|in_force| &set.policies[in_force.index()]) {
        notes.extend(unknown_terms(policy, snapshot));
        notes.extend(unknown_marks(policy, readings));
        notes.extend(unreachable_marks(policy, snapshot, readings));
        if snapshot.source() == SnapshotSource::Saved
            && !snapshot.has(Column::Paddr)
            && policy.actions().any(ends_the_process)
        {
            let found = format!(
                "policy {}: PADDR is missing, so nobody can see which sessions share a server process: `{}` spares nobody here who \
                 would be spared live",
                policy.name,
                Protection::SharedProcess
            );
            notes.push(Check::new(Id::Column, "paddr", State::Note, found));
        }
        if policy.pressure.is_some() && snapshot.source() == SnapshotSource::Saved {
            let found = format!(
                "policy {}: a saved snapshot has no resources of its instances, so `while` keeps it from acting",
                policy.name
            );
            notes.push(Check::new(Id::Gate, &*policy.name, State::Note, found));
        }
    }
    notes
}

/// Notes for instances that were not read: their sessions are not in the report, but they are not gone.
fn silent_instances(snapshot: &Snapshot) -> Vec<Check> {
    let silent = snapshot.instances().iter().filter(|instance| !instance.complete);
    let mut notes: Vec<Check> = silent
        .map(|instance| {
            let name = if instance.name.is_empty() {
                String::new()
            } else {
                format!(" ({})", instance.name)
            };
            let found = format!(
                "instance {}{name} was not read: it did not answer, is not open, or started or stopped meanwhile; its sessions are not \
                 seen, and nobody there is acted on",
                instance.inst_id
            );
            Check::new(Id::Instances, instance.inst_id.to_string(), State::Note, found)
        })
        .collect();
    if !notes.is_empty() {
        notes.push(Check::new(
            Id::Column,
            "blocking",
            State::Note,
            "blocking and blocking_for are unknown on every instance while one is not read: its sessions may wait for any other",
        ));
    }
    notes
}

/// Comparisons of a policy's gate that are unknown on this database, which keeps the gate closed.
fn unknown_marks(policy: &Policy, readings: &Readings) -> Vec<Check> {
    let Some(pressure) = &policy.pressure else {
        return Vec::new();
    };
    let parts = [(Some(&pressure.begin), "while"), (pressure.end.as_ref(), "until")];
    let mut notes: Vec<Check> = Vec::new();
    for (condition, part) in parts {
        for (resource, _, threshold) in condition.map_or_else(Vec::new, PressureCondition::comparisons) {
            let Some(why) = readings.why_unknown(resource, threshold) else {
                continue;
            };
            let of_what = match threshold {
                Threshold::Percent(_) => "the share of ",
                Threshold::Amount(_) => "",
            };
            let note = format!(
                "policy {}: {of_what}{} is unknown here, and `{part}` keeps the policy from acting as far as it depends on it: {why}",
                policy.name,
                resource.name()
            );
            let note = Check::new(Id::Gate, &*policy.name, State::Note, note);
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// Amounts in a policy's gate that no instance can exceed, because its limit is not higher: the gate never opens by them. PGA may exceed
/// its limit for a while.
fn unreachable_marks(policy: &Policy, snapshot: &Snapshot, readings: &Readings) -> Vec<Check> {
    let compared = policy.pressure.iter().flat_map(|pressure| pressure.begin.comparisons());
    let unreachable = compared.filter_map(|(resource, op, threshold)| {
        let Threshold::Amount(amount) = threshold else {
            return None;
        };
        if resource == Resource::Pga {
            return None;
        }
        let read = snapshot.instances().iter().filter(|instance| instance.complete);
        let limits: Vec<(u32, i64)> = read
            .filter_map(|instance| {
                let limit = readings.get(instance.inst_id, resource)?.limit?;
                let is_within = match op {
                    Comparison::Greater => limit <= amount,
                    Comparison::GreaterOrEqual | Comparison::Equal => limit < amount,
                    Comparison::Less | Comparison::LessOrEqual | Comparison::NotEqual => false,
                };
                is_within.then_some((instance.inst_id, limit))
            })
            .collect();
        let (inst_id, highest) = *limits.iter().max_by_key(|(_, limit)| *limit)?;
        let places = match limits.len() {
            1 => format!("on instance {inst_id}"),
            several => format!("on {several} instances"),
        };
        let shown = |amount: i64| match resource {
            Resource::Temp | Resource::Undo => Bytes(amount).in_full().to_string(),
            Resource::Sessions
            | Resource::Processes
            | Resource::Transactions
            | Resource::Pga
            | Resource::HostCpu
            | Resource::ActiveSessions => amount.to_string(),
        };
        let note = format!(
            "policy {}: `{} {} {}` in `while` is never true {places}: the limit is {}",
            policy.name,
            resource.name(),
            if op == Comparison::Greater { "above" } else { op.sql() },
            shown(amount),
            shown(highest)
        );
        Some(Check::new(Id::Gate, &*policy.name, State::Note, note).with("compare it with a share, such as 85%"))
    });
    unreachable.collect()
}

fn essential(column: Column) -> Check {
    let name = column.name().to_uppercase();
    let consequence = if column == Column::Type {
        "no session can be distinguished from a background process, so all are spared"
    } else if column == Column::Username {
        "no session can be distinguished from Oracle's own, so all are spared"
    } else if column == Column::Program {
        "backups, jobs and replication cannot be distinguished from applications, so all sessions are spared"
    } else if column == Column::Status {
        "no session can be distinguished from one that is being killed, so all are spared"
    } else {
        "no session can be distinguished from the next one with its SID, so all are spared"
    };
    let found = format!("{name} is missing: {consequence}");
    Check::new(Id::Column, column.name(), State::Missing, found)
}

/// Protections for which a file lacks columns: on the live database they may spare more sessions than the report shows.
fn unseen_protections(snapshot: &Snapshot) -> Vec<Check> {
    let mut notes = Vec::new();
    let mut unseen =
        |column: Column, found: String| notes.push(Check::new(Id::Column, column.name(), State::Note, found));
    if !snapshot.has(Column::Taddr) {
        unseen(
            Column::Taddr,
            "TADDR is missing: open transactions are unknown, so `undo` and `xa` may spare sessions on the live database that they do not spare here"
                .into(),
        );
    } else if !snapshot.has(Column::UndoRecords)
        && (0..snapshot.rows()).any(|row| snapshot.text(row, Column::Taddr).is_some())
    {
        let found = format!(
            "GV$TRANSACTION is not in the file: the size of open transactions is unknown, so `{}` spares everybody in one; and so \
             is which of them are prepared, so `{}` spares nobody for that",
            Protection::Undo,
            Protection::Xa
        );
        unseen(Column::UndoRecords, found);
    }
    for (column, who) in [
        (Column::Module, "backups, jobs and replication"),
        (Column::ClientInfo, "backups, jobs and replication"),
        (Column::Event, "sessions that listen to a queue or a pipe, and others"),
    ] {
        if !snapshot.has(column) {
            let name = column.name().to_uppercase();
            let found = format!("{name} is missing: {who} that only this column shows are not recognized here");
            unseen(column, found);
        }
    }
    notes
}

fn unknown_terms(policy: &Policy, snapshot: &Snapshot) -> Vec<Check> {
    let parts = [
        Some((&policy.when, "condition")),
        policy.unless.as_ref().map(|unless| (unless, "`unless`")),
    ];
    let mut notes = Vec::new();
    for (condition, part) in parts.into_iter().flatten() {
        for column in missing_columns(condition, snapshot) {
            let why = match column.source() {
                Source::Rate => {
                    " (it is what a session used in the last minute, which takes two snapshots at least ten seconds apart; `--watch` takes them)"
                }
                Source::Session
                | Source::Derived
                | Source::Transaction
                | Source::Process
                | Source::Temp
                | Source::Statistics
                | Source::Container
                | Source::Account
                | Source::ParallelServers
                | Source::Waiters => "",
            };
            let found = format!(
                "policy {}: column {} is missing{why}, its {part} is unknown for all sessions as far as it depends on the column",
                policy.name,
                column.name()
            );
            notes.push(Check::new(Id::Column, column.name(), State::Missing, found));
        }
        if snapshot.clock().is_none() {
            for column in [Column::Connected, Column::StatementAge] {
                if snapshot.has(column) && crate::decide::evaluate::columns_of(condition).contains(column) {
                    let found = format!(
                        "policy {}: {} needs the database's clock, which the file does not contain (SYSDATE, or --taken-at); \
                         its {part} is unknown for all sessions as far as it depends on the column",
                        policy.name,
                        column.name()
                    );
                    notes.push(Check::new(Id::Clock, column.name(), State::Note, found));
                }
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits};
    use crate::decide::pressure::{Figure, Reading};
    use crate::policy::model::Limits;
    use crate::policy::pressure::Resource;
    use crate::session::snapshot::{Instance, SnapshotClock};
    use crate::session::time::DbTime;

    fn set(policy: &str) -> PolicySet {
        let text = format!("policies:\n  - {{name: reap, {policy}, when: INACTIVE longer than 30m, action: kill}}\n");
        let today = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
        let loaded = crate::policy::check_files(&[("reap.yaml".into(), text.into())], today, chrono_tz::UTC);
        loaded.set.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    /// Live sessions of two instances, with every column that matters here.
    fn snapshot(complete: [bool; 2]) -> Snapshot {
        let columns: Vec<Column> = crate::columns_needed::ALWAYS
            .into_iter()
            .chain(ESSENTIAL)
            .filter(|column| column.source() == crate::session::column::Source::Session)
            .collect();
        let instances = complete.into_iter().zip(1..).map(|(complete, inst_id)| Instance {
            inst_id,
            name: format!("prod{inst_id}"),
            complete,
        });
        let clock = SnapshotClock {
            now: DbTime(0),
            utc_offset: 0,
        };
        let columns: crate::session::column::Columns = columns.into_iter().collect();
        let columns: Vec<Column> = columns.iter().collect();
        Snapshot::builder(SnapshotSource::Live, &columns)
            .finish(Some(clock), instances.collect())
            .finish(crate::columns_needed::ALWAYS.into_iter().collect())
    }

    fn of(policy: &str, complete: [bool; 2], readings: &Readings) -> Vec<String> {
        let limits = EffectiveLimits::of(&Limits::default());
        let rules =
            DatabaseRules::of_policy_test("prod", Arming::Unarmed, limits, chrono_tz::UTC, Arc::new(set(policy)));
        let here = rules.configured(Due::Always);
        notes(&snapshot(complete), readings, rules.set(), here.running())
    }

    #[test]
    fn an_instance_that_was_not_read_is_named_with_what_follows() {
        let plain = "mode: dry-run";
        assert_eq!(of(plain, [true, true], &Readings::default()), Vec::<String>::new());
        assert_eq!(
            of(plain, [true, false], &Readings::default()),
            [
                "instance 2 (prod2) was not read: it did not answer, is not open, or started or stopped meanwhile; its sessions \
                 are not seen, and nobody there is acted on",
                "blocking and blocking_for are unknown on every instance while one is not read: its sessions may wait for \
                 any other",
            ]
        );
    }

    #[test]
    fn a_gate_that_cannot_be_read_says_so_and_why() {
        let mut readings = Readings::default();
        readings.explain(Resource::Processes, Figure::Use, "they are the CDB's");
        readings.explain(Resource::Transactions, Figure::Limit, "UNLIMITED");
        let of = |policy| of(policy, [true, true], &readings);
        assert_eq!(
            of("while: transactions above 80%, until: processes below 100"),
            [
                "policy reap: the share of transactions is unknown here, and `while` keeps the policy from acting as far as \
                 it depends on it: UNLIMITED",
                "policy reap: processes is unknown here, and `until` keeps the policy from acting as far as it depends on it: \
                 they are the CDB's",
            ]
        );
    }

    #[test]
    fn an_amount_that_is_above_the_limit_is_named() {
        let mut readings = Readings::default();
        // An amount up to the limit can be exceeded, one from it on cannot. Where an instance has no limit, nothing is said of it.
        for (inst_id, limit) in [(1, Some(400)), (2, Some(472))] {
            readings.set(inst_id, Resource::Sessions, Reading { used: 90, limit });
        }
        let temp = |limit| Reading { used: 0, limit };
        readings.set(1, Resource::Temp, temp(Some(40 << 30)));
        readings.set(2, Resource::Temp, temp(None));
        readings.set(1, Resource::Pga, temp(Some(1)));
        let of = |policy: &str| of(policy, [true, true], &readings);
        for fine in [
            "sessions above 399",
            "sessions below 500",
            "temp above 39GB",
            "pga above 4GB",
            "sessions above 99%",
        ] {
            assert_eq!(of(&format!("while: {fine}")), Vec::<String>::new(), "{fine}");
        }
        let said = |resource, amount, place, limit| {
            format!(
                "policy reap: `{resource} above {amount}` in `while` is never true {place}: the limit is {limit}; remedy: compare it with a share, such as 85%"
            )
        };
        assert_eq!(
            of("while: sessions above 400"),
            [said("sessions", "400", "on instance 1", "400")]
        );
        assert_eq!(
            of("while: sessions above 472"),
            [said("sessions", "472", "on 2 instances", "472")]
        );
        assert_eq!(
            of("while: temp above 40GB"),
            [said("temp", "40GB", "on instance 1", "40GB")]
        );
    }

    #[test]
    fn how_many_there_are_is_known_where_only_the_limit_is_not() {
        let mut readings = Readings::default();
        readings.explain(Resource::Processes, Figure::Use, "they are the CDB's");
        readings.explain(Resource::Transactions, Figure::Limit, "UNLIMITED");
        let of = |policy| of(policy, [true, true], &readings);
        assert_eq!(of("while: transactions above 80"), Vec::<String>::new());
        assert_eq!(of("while: sessions above 80%"), Vec::<String>::new());
    }
}
