//! The instance and its database, their parameters, resources and limits.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cell, Col, Sink, Snap, d, n, raw, since, v, view};
use crate::backend::ColumnType;
use crate::scenario::{Release, Scenario};
use crate::world::session::Kind;
use crate::world::{Instance, State};

type Own<'a> = &'a Instance;

fn own<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Own<'a>)> {
    snap.instances().map(|instance| (instance.spec.number, instance))
}

pub(super) fn con_id<R>() -> Col<R> {
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
    initial: Option<i64>,
    limit: Option<i64>,
}

fn right_aligned(limit: Option<i64>) -> Cell {
    let limit = limit.map_or_else(|| "UNLIMITED".to_owned(), |limit| limit.to_string());
    Cell::Owned(format!("{limit:>10}"))
}

fn resource_columns() -> Vec<Col<Resource>> {
    vec![
        v("RESOURCE_NAME", 128, |_, r| Cell::Word(r.name)),
        n("CURRENT_UTILIZATION", |_, r| Cell::Int(r.used)),
        n("MAX_UTILIZATION", |_, r| Cell::Int(r.used + r.used / 8)),
        v("INITIAL_ALLOCATION", 40, |_, r| right_aligned(r.initial)),
        v("LIMIT_VALUE", 40, |_, r| right_aligned(r.limit)),
        con_id(),
    ]
}

/// How many sessions, processes and transactions an instance has.
pub(super) fn used(snap: &Snap<'_>, number: u32, resource: &str) -> i64 {
    used_on(snap.state, number, resource)
}

/// The same, while nobody looks at a view.
pub(crate) fn used_on(state: &State, number: u32, resource: &str) -> i64 {
    if let Some(pressed) = state.resources.get(resource) {
        return *pressed;
    }
    let sessions = state.sessions.range((number, 0)..(number + 1, 0)).map(|(_, sess)| sess);
    let count = match resource {
        "transactions" | "dml_locks" => sessions.map(|sess| sess.transactions().count()).sum(),
        // A process may serve several sessions, and the killed idle session has none.
        "processes" => sessions
            .filter(|sess| !sess.mark.is_some_and(|mark| mark.detached))
            .map(|sess| sess.pid)
            .collect::<BTreeSet<_>>()
            .len(),
        "enqueue_locks" => sessions
            .filter(|sess| sess.txn.is_some() || sess.blocked.is_some() || sess.kind == Kind::Background)
            .count(),
        "parallel_max_servers" => sessions
            .filter(|sess| sess.parallel.is_some_and(|part| part.number > 0))
            .count(),
        _ => sessions.count(),
    };
    count as i64
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
            let initial = parameters.get(name).and_then(|limit| limit.parse().ok());
            // TRANSACTIONS says how many there is room for at the start, and more are made as they are needed.
            let limit = initial.filter(|_| name != "transactions");
            rows.push((
                instance.spec.number,
                Resource {
                    name,
                    used: used(snap, instance.spec.number, name),
                    initial,
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

/// The parameters as a container has them.
pub(crate) fn parameters_in(scenario: &Scenario, con_id: u32) -> BTreeMap<String, String> {
    let mut all = parameters_of(scenario);
    let own = scenario
        .pdb_parameters
        .iter()
        .filter(|(pdb, _)| scenario.con_id(Some(pdb)) == Some(con_id));
    for (_, parameters) in own {
        all.extend(parameters.clone());
    }
    all
}

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
        (
            "fixed_date",
            scenario
                .database
                .fixed_date
                .map_or_else(String::new, |at| at.format("%Y-%m-%d-%H:%M:%S").to_string()),
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
    let parameters = parameters_in(snap.scenario, snap.viewer.con_id);
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

/// CON_ID, NAME, and whether it is open there.
type Container = (u32, String, bool);

fn container_columns() -> Vec<Col<Container>> {
    let columns: Vec<Col<Container>> = vec![
        n("CON_ID", |_, r| Cell::Int(i64::from(r.0))),
        n("DBID", |s, r| Cell::Int(dbid(s.scenario) + i64::from(r.0))),
        v("NAME", 128, |_, r| Cell::Owned(r.1.clone())),
        v("OPEN_MODE", 10, |_, r| {
            Cell::Word(match r {
                (_, _, false) => "MOUNTED",
                (2, _, true) => "READ ONLY",
                (_, _, true) => "READ WRITE",
            })
        }),
        v("RESTRICTED", 3, |_, r| if r.2 { Cell::Word("NO") } else { Cell::Null }),
        raw("GUID", |_, r| Cell::Address(u64::from(r.0) << 40 | 0x5eed)),
    ];
    columns.into_iter().map(|column| since(12, 1, column)).collect()
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
    let seen: Vec<(u32, String)> = fixed
        .into_iter()
        .chain(own)
        .filter(|(number, _)| *number >= least && (snap.viewer.con_id <= 1 || *number == snap.viewer.con_id))
        .collect();
    snap.instances()
        .flat_map(|instance| {
            let number = instance.spec.number;
            let row = move |(con_id, name): &(u32, String)| (*con_id, name.clone(), database.is_open(*con_id, number));
            seen.iter().map(move |it| (number, row(it)))
        })
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
