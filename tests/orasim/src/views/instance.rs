//! What an instance and its database are, and what they are short of.

use std::collections::BTreeMap;

use super::{Cell, Col, Sink, Snap, d, n, raw, since, v, view};
use crate::backend::ColumnType;
use crate::clock::Moment;
use crate::scenario::{Release, Scenario};
use crate::world::Instance;
use crate::world::session::{Kind, Sess};

type Own<'a> = &'a Instance;

fn own<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Own<'a>)> {
    snap.instances().map(|instance| (instance.spec.number, instance))
}

fn con_id<R>() -> Col<R> {
    since(12, 1, n("CON_ID", |_: &Snap<'_>, _: &R| Cell::Int(0)))
}

/// The release as V$INSTANCE has it: the first number and noughts from 18c on.
pub(super) fn version(release: Release) -> String {
    if release.major() >= 18 {
        format!("{}.0.0.0.0", release.major())
    } else {
        release.to_string()
    }
}

/// The first line of V$VERSION, which the login's answer carries too.
pub(crate) fn banner(release: Release) -> String {
    let name = match release.major() {
        11 => "Oracle Database 11g Enterprise Edition Release".to_owned(),
        12 => "Oracle Database 12c Enterprise Edition Release".to_owned(),
        23 => "Oracle Database 23ai Enterprise Edition Release".to_owned(),
        26 => "Oracle AI Database 26ai Enterprise Edition Release".to_owned(),
        major => format!("Oracle Database {major}c Enterprise Edition Release"),
    };
    if release.major() >= 18 {
        format!("{name} {} - Production", version(release))
    } else {
        format!("{name} {release} - 64bit Production")
    }
}

fn instance_columns<'a>() -> Vec<Col<Own<'a>>> {
    vec![
        n("INSTANCE_NUMBER", |_, r| Cell::Int(i64::from(r.spec.number))),
        v("INSTANCE_NAME", 16, |_, r| Cell::Owned(r.spec.name.clone())),
        v("HOST_NAME", 64, |_, r| Cell::Owned(r.spec.host.clone())),
        v("VERSION", 17, |s, _| Cell::Owned(version(s.release()))),
        since(18, 0, v("VERSION_LEGACY", 17, |s, _| Cell::Owned(version(s.release())))),
        since(
            18,
            0,
            v("VERSION_FULL", 17, |s, _| Cell::Owned(s.release().to_string())),
        ),
        d("STARTUP_TIME", |_, r| Cell::Time(r.startup)),
        v("STATUS", 12, |_, _| Cell::Word("OPEN")),
        v("PARALLEL", 3, |s, _| {
            Cell::Word(if s.scenario.instances.len() > 1 { "YES" } else { "NO" })
        }),
        n("THREAD#", |_, r| Cell::Int(i64::from(r.spec.number))),
        v("ARCHIVER", 7, |_, _| Cell::Word("STARTED")),
        v("LOG_SWITCH_WAIT", 15, |_, _| Cell::Null),
        v("LOGINS", 10, |_, _| Cell::Word("ALLOWED")),
        v("SHUTDOWN_PENDING", 3, |_, _| Cell::Word("NO")),
        v("DATABASE_STATUS", 17, |_, _| Cell::Word("ACTIVE")),
        v("INSTANCE_ROLE", 18, |_, _| Cell::Word("PRIMARY_INSTANCE")),
        v("ACTIVE_STATE", 9, |_, _| Cell::Word("NORMAL")),
        v("BLOCKED", 3, |_, _| Cell::Word("NO")),
        con_id(),
        since(12, 1, v("INSTANCE_MODE", 11, |_, _| Cell::Word("REGULAR"))),
        since(12, 1, v("EDITION", 7, |_, _| Cell::Word("EE"))),
        since(
            12,
            2,
            v("DATABASE_TYPE", 15, |s, _| {
                Cell::Word(if s.scenario.instances.len() > 1 {
                    "RAC"
                } else {
                    "SINGLE"
                })
            }),
        ),
    ]
}

view!(instances, Own<'_>, super::instance_columns(), |snap| super::own(snap));

fn database_columns<'a>() -> Vec<Col<Own<'a>>> {
    vec![
        n("DBID", |s, _| Cell::Int(dbid(s.scenario))),
        v("NAME", 9, |s, _| Cell::Owned(s.scenario.database.name.to_uppercase())),
        d("CREATED", |_, r| Cell::Time(r.startup - 400 * 86_400_000)),
        v("LOG_MODE", 12, |_, _| Cell::Word("ARCHIVELOG")),
        v("OPEN_MODE", 20, |s, _| {
            Cell::Owned(s.scenario.database.open_mode.clone())
        }),
        v("PROTECTION_MODE", 20, |_, _| Cell::Word("MAXIMUM PERFORMANCE")),
        v("DATABASE_ROLE", 16, |s, _| {
            Cell::Owned(s.scenario.database.role.clone())
        }),
        v("FORCE_LOGGING", 39, |_, _| Cell::Word("YES")),
        v("FLASHBACK_ON", 18, |_, _| Cell::Word("NO")),
        v("DB_UNIQUE_NAME", 30, |s, _| {
            Cell::Owned(unique_name(s.scenario).to_owned())
        }),
        v("PLATFORM_NAME", 101, |_, _| Cell::Word("Linux x86 64-bit")),
        since(
            12,
            1,
            v("CDB", 3, |s, _| {
                Cell::Word(if s.scenario.database.pdbs.is_empty() {
                    "NO"
                } else {
                    "YES"
                })
            }),
        ),
        con_id(),
        since(12, 1, n("CON_DBID", |s, _| Cell::Int(dbid(s.scenario)))),
    ]
}

/// DB_UNIQUE_NAME.
pub(crate) fn unique_name(scenario: &Scenario) -> &str {
    scenario
        .database
        .unique_name
        .as_deref()
        .unwrap_or(&scenario.database.name)
}

fn dbid(scenario: &Scenario) -> i64 {
    let name = scenario.database.name.bytes();
    name.fold(1_409_286_144, |id: i64, byte| {
        (id * 31 + i64::from(byte)) % 4_294_967_295
    })
}

view!(databases, Own<'_>, super::database_columns(), |snap| super::own(snap));

/// V$RESOURCE_LIMIT's name, use, high-water mark, initial allocation and limit.
pub(super) struct Resource {
    name: &'static str,
    used: i64,
    limit: Option<i64>,
}

impl Resource {
    fn right_aligned(&self) -> Cell {
        let limit = self
            .limit
            .map_or_else(|| "UNLIMITED".to_owned(), |limit| limit.to_string());
        Cell::Owned(format!("{limit:>10}"))
    }
}

fn resource_columns() -> Vec<Col<Resource>> {
    vec![
        v("RESOURCE_NAME", 128, |_, r| Cell::Word(r.name)),
        n("CURRENT_UTILIZATION", |_, r| Cell::Int(r.used)),
        n("MAX_UTILIZATION", |_, r| Cell::Int(r.used + r.used / 8)),
        v("INITIAL_ALLOCATION", 40, |_, r| r.right_aligned()),
        v("LIMIT_VALUE", 40, |_, r| r.right_aligned()),
        con_id(),
    ]
}

/// How many sessions, processes and transactions an instance has.
pub(crate) fn used(snap: &Snap<'_>, number: u32, resource: &str) -> i64 {
    if let Some(pressed) = snap.state.resources.get(resource) {
        return *pressed;
    }
    let sessions = snap
        .state
        .sessions
        .range((number, 0)..(number + 1, 0))
        .map(|(_, sess)| sess);
    let counts = |sess: &&Sess| match resource {
        "transactions" | "dml_locks" => sess.txn.is_some(),
        "processes" => !sess.mark.is_some_and(|mark| mark.detached),
        "enqueue_locks" => sess.txn.is_some() || sess.blocked.is_some() || sess.kind == Kind::Background,
        "parallel_max_servers" => sess.parallel.is_some_and(|part| part.number > 0),
        _ => true,
    };
    sessions.filter(counts).count() as i64
}

fn resource_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Resource)> {
    const NAMES: [&str; 6] = [
        "processes",
        "sessions",
        "enqueue_locks",
        "dml_locks",
        "transactions",
        "parallel_max_servers",
    ];
    let parameters = parameters_of(snap.scenario);
    let rooted = snap.viewer.con_id <= 1;
    let mut rows = Vec::new();
    for instance in snap.instances().filter(|_| rooted) {
        for name in NAMES {
            let limit = match name {
                "enqueue_locks" | "dml_locks" => None,
                _ => parameters.get(name).and_then(|limit| limit.parse().ok()),
            };
            rows.push((
                instance.spec.number,
                Resource {
                    name,
                    used: used(snap, instance.spec.number, name),
                    limit,
                },
            ));
        }
    }
    rows.into_iter()
}

view!(resources, Resource, super::resource_columns(), |snap| {
    super::resource_rows(snap)
});

/// The parameters that are set, with their defaults.
pub(crate) fn parameters_of(scenario: &Scenario) -> BTreeMap<String, String> {
    let cluster = if scenario.instances.len() > 1 { "TRUE" } else { "FALSE" };
    let processes: i64 = scenario
        .parameters
        .get("processes")
        .and_then(|it| it.parse().ok())
        .unwrap_or(1000);
    let sessions = (processes * 3 / 2 + 22).to_string();
    let open = [
        ("cluster_database", cluster.to_owned()),
        ("compatible", version(scenario.release)),
        ("control_management_pack_access", "DIAGNOSTIC+TUNING".to_owned()),
        ("db_block_size", "8192".to_owned()),
        ("db_name", scenario.database.name.clone()),
        ("db_unique_name", unique_name(scenario).to_owned()),
        (
            "enable_pluggable_database",
            if scenario.database.pdbs.is_empty() {
                "FALSE"
            } else {
                "TRUE"
            }
            .to_owned(),
        ),
        ("max_idle_blocker_time", "0".to_owned()),
        ("max_idle_time", "0".to_owned()),
        ("nls_date_format", "DD-MON-RR".to_owned()),
        ("parallel_max_servers", "80".to_owned()),
        ("pga_aggregate_limit", (8_i64 << 30).to_string()),
        ("pga_aggregate_target", (4_i64 << 30).to_string()),
        ("processes", processes.to_string()),
        ("resource_limit", "TRUE".to_owned()),
        ("sessions", sessions.clone()),
        ("transactions", sessions),
        ("undo_tablespace", "UNDOTBS1".to_owned()),
    ];
    let mut all: BTreeMap<String, String> = open.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    all.extend(scenario.parameters.clone());
    all
}

type Parameter = (i64, String, String);

fn parameter_columns() -> Vec<Col<Parameter>> {
    vec![
        n("NUM", |_, r| Cell::Int(r.0)),
        v("NAME", 80, |_, r| Cell::Owned(r.1.clone())),
        n("TYPE", |_, r| {
            Cell::Int(match r.2.as_str() {
                "TRUE" | "FALSE" => 1,
                other if other.parse::<i64>().is_ok() => 3,
                _ => 2,
            })
        }),
        v("VALUE", 4000, |_, r| Cell::Owned(r.2.clone())),
        v("DISPLAY_VALUE", 4000, |_, r| Cell::Owned(r.2.clone())),
        v("ISDEFAULT", 9, |s, r| {
            Cell::Word(if s.scenario.parameters.contains_key(&r.1) {
                "FALSE"
            } else {
                "TRUE"
            })
        }),
        v("ISMODIFIED", 10, |_, _| Cell::Word("FALSE")),
        con_id(),
    ]
}

fn parameter_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Parameter)> {
    let parameters = parameters_of(snap.scenario);
    let mut rows = Vec::new();
    for instance in snap.instances() {
        for (number, (name, value)) in parameters.iter().enumerate() {
            rows.push((instance.spec.number, (number as i64 + 1, name.clone(), value.clone())));
        }
    }
    rows.into_iter()
}

view!(parameters, Parameter, super::parameter_columns(), |snap| {
    super::parameter_rows(snap)
});

/// A metric of the last minute (6000 hundredths) or quarter of a minute.
pub(super) struct Metric {
    hundredths: i64,
    number: i64,
    name: &'static str,
    value: f64,
    unit: &'static str,
}

fn metric_columns() -> Vec<Col<Metric>> {
    fn end(snap: &Snap<'_>, hundredths: i64) -> Moment {
        snap.state.now.div_euclid(hundredths * 10) * hundredths * 10
    }
    vec![
        d("BEGIN_TIME", |s, r| {
            Cell::Time(end(s, r.hundredths) - r.hundredths * 10)
        }),
        d("END_TIME", |s, r| Cell::Time(end(s, r.hundredths))),
        n("INTSIZE_CSEC", |_, r| Cell::Int(r.hundredths)),
        n("GROUP_ID", |_, r| Cell::Int(if r.hundredths == 6_000 { 2 } else { 3 })),
        n("METRIC_ID", |_, r| Cell::Int(r.number)),
        v("METRIC_NAME", 64, |_, r| Cell::Word(r.name)),
        n("VALUE", |_, r| Cell::Real(r.value)),
        v("METRIC_UNIT", 64, |_, r| Cell::Word(r.unit)),
        con_id(),
    ]
}

fn metric_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Metric)> {
    let parameters = parameters_of(snap.scenario);
    let limit = |name: &str| {
        parameters
            .get(name)
            .and_then(|it| it.parse::<f64>().ok())
            .unwrap_or(1.0)
            .max(1.0)
    };
    let mut rows = Vec::new();
    for instance in snap.instances() {
        let number = instance.spec.number;
        let count = |resource: &str| used(snap, number, resource) as f64;
        let own = snap
            .state
            .sessions
            .range((number, 0)..(number + 1, 0))
            .map(|(_, sess)| sess);
        let active = own
            .clone()
            .filter(|sess| sess.kind == Kind::User && sess.phase(snap.state.now).busy)
            .count() as f64;
        let pga: i64 = own.clone().map(|sess| sess.pga).sum();
        let temp: i64 = own.map(|sess| sess.temp).sum();
        let pressed =
            |name: &str, computed: f64| snap.state.resources.get(name).map_or(computed, |value| *value as f64);
        let metrics = [
            (
                2118,
                "Process Limit %",
                count("processes") / limit("processes") * 100.0,
                "% Processes/Limit",
            ),
            (
                2119,
                "Session Limit %",
                count("sessions") / limit("sessions") * 100.0,
                "% Sessions/Limit",
            ),
            (2143, "Session Count", count("sessions"), "Sessions"),
            (2147, "Average Active Sessions", active, "Active Sessions"),
            (
                2057,
                "Host CPU Utilization (%)",
                pressed("host_cpu", (active * 4.0).min(97.0)),
                "% Busy/(Idle+Busy)",
            ),
            (2148, "Active Serial Sessions", active, "Sessions"),
            (2137, "Total PGA Allocated", pressed("pga", pga as f64), "bytes"),
            (2138, "Total PGA Used by SQL Workareas", temp as f64 / 4.0, "bytes"),
            (2154, "Temp Space Used", temp as f64, "bytes"),
        ];
        for hundredths in [6_000, 1_500] {
            for (id, name, value, unit) in metrics {
                rows.push((
                    number,
                    Metric {
                        hundredths,
                        number: id,
                        name,
                        value,
                        unit,
                    },
                ));
            }
        }
    }
    rows.into_iter()
}

view!(metrics, Metric, super::metric_columns(), |snap| super::metric_rows(
    snap
));

type Named = (&'static str, i64, &'static str);

fn named_columns() -> Vec<Col<Named>> {
    vec![
        v("NAME", 64, |_, r| Cell::Word(r.0)),
        n("VALUE", |_, r| Cell::Int(r.1)),
        v("UNIT", 12, |_, r| Cell::Word(r.2)),
        con_id(),
    ]
}

fn pgastat_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Named)> {
    let mut rows = Vec::new();
    for instance in snap.instances() {
        let number = instance.spec.number;
        let counted: i64 = snap
            .state
            .sessions
            .range((number, 0)..(number + 1, 0))
            .map(|(_, sess)| sess.pga)
            .sum();
        let pga = snap.state.resources.get("pga").copied().unwrap_or(counted);
        rows.push((number, ("aggregate PGA target parameter", 4 << 30, "bytes")));
        rows.push((number, ("total PGA inuse", pga / 10 * 8, "bytes")));
        rows.push((number, ("total PGA allocated", pga, "bytes")));
        rows.push((number, ("maximum PGA allocated", pga / 10 * 12, "bytes")));
        rows.push((number, ("over allocation count", 0, "")));
    }
    rows.into_iter()
}

view!(pgastat, Named, super::named_columns(), |snap| super::pgastat_rows(snap));

fn osstat_columns() -> Vec<Col<Named>> {
    vec![
        v("STAT_NAME", 64, |_, r| Cell::Word(r.0)),
        n("VALUE", |_, r| Cell::Int(r.1)),
        v("COMMENTS", 64, |_, r| Cell::Word(r.2)),
        v("CUMULATIVE", 3, |_, r| {
            Cell::Word(if r.0.ends_with("_TIME") { "YES" } else { "NO" })
        }),
        con_id(),
    ]
}

fn osstat_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Named)> {
    let now = snap.state.now;
    snap.instances().flat_map(move |instance| {
        let up = (now - instance.startup) / 10;
        let rows: [Named; 5] = [
            ("NUM_CPUS", 16, "Number of active CPUs"),
            (
                "IDLE_TIME",
                up * 12,
                "Time (centi-secs) that CPUs have been in the idle state",
            ),
            (
                "BUSY_TIME",
                up * 4,
                "Time (centi-secs) that CPUs have been in the busy state",
            ),
            ("LOAD", 4, "Number of processes running or waiting on the run queue"),
            ("PHYSICAL_MEMORY_BYTES", 64 << 30, "Physical memory size in bytes"),
        ];
        rows.map(|row| (instance.spec.number, row))
    })
}

view!(osstat, Named, super::osstat_columns(), |snap| super::osstat_rows(snap));

fn version_columns<'a>() -> Vec<Col<Own<'a>>> {
    vec![
        v("BANNER", 80, |s, _| Cell::Owned(banner(s.release()))),
        since(
            18,
            0,
            v("BANNER_FULL", 160, |s, _| {
                Cell::Owned(format!("{}\nVersion {}", banner(s.release()), s.release()))
            }),
        ),
        since(18, 0, v("BANNER_LEGACY", 80, |s, _| Cell::Owned(banner(s.release())))),
        con_id(),
    ]
}

view!(versions, Own<'_>, super::version_columns(), |snap| super::own(snap));

type Container = (u32, String);

fn container_columns() -> Vec<Col<Container>> {
    vec![
        n("CON_ID", |_, r| Cell::Int(i64::from(r.0))),
        n("DBID", |s, r| Cell::Int(dbid(s.scenario) + i64::from(r.0))),
        v("NAME", 128, |_, r| Cell::Owned(r.1.clone())),
        v("OPEN_MODE", 10, |_, r| {
            Cell::Word(if r.0 == 2 { "READ ONLY" } else { "READ WRITE" })
        }),
        v("RESTRICTED", 3, |_, _| Cell::Word("NO")),
        raw("GUID", |_, r| Cell::Address(u64::from(r.0) << 40 | 0x5eed)),
    ]
}

fn container_rows(snap: &Snap<'_>, least: u32) -> Vec<(u32, Container)> {
    let database = &snap.scenario.database;
    if database.pdbs.is_empty() {
        return Vec::new();
    }
    let fixed = [(1, "CDB$ROOT".to_owned()), (2, "PDB$SEED".to_owned())];
    let own = database
        .pdbs
        .iter()
        .zip(3..)
        .map(|(name, number)| (number, name.to_uppercase()));
    let seen: Vec<Container> = fixed
        .into_iter()
        .chain(own)
        .filter(|(number, _)| *number >= least && (snap.viewer.con_id <= 1 || *number == snap.viewer.con_id))
        .collect();
    snap.instances()
        .flat_map(|instance| seen.iter().map(|row| (instance.spec.number, row.clone())))
        .collect()
}

view!(pdbs, Container, super::container_columns(), |snap| {
    super::container_rows(snap, 2).into_iter()
});
view!(containers, Container, super::container_columns(), |snap| {
    super::container_rows(snap, 1).into_iter()
});

type Offered = (usize, String);

fn service_columns() -> Vec<Col<Offered>> {
    vec![
        n("SERVICE_ID", |_, r| Cell::Int(r.0 as i64 + 1)),
        v("NAME", 64, |_, r| Cell::Owned(r.1.clone())),
        v("NETWORK_NAME", 512, |_, r| Cell::Owned(r.1.clone())),
        con_id(),
    ]
}

fn service_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Offered)> {
    let names = snap.scenario.services.iter().map(|service| service.name.clone());
    let names: Vec<_> = std::iter::once(snap.scenario.database.name.to_lowercase())
        .chain(names)
        .collect();
    let numbers: Vec<u32> = snap.instances().map(|instance| instance.spec.number).collect();
    numbers.into_iter().flat_map(move |number| {
        names
            .clone()
            .into_iter()
            .enumerate()
            .map(move |service| (number, service))
            .collect::<Vec<_>>()
    })
}

view!(services, Offered, super::service_columns(), |snap| super::service_rows(
    snap
));
