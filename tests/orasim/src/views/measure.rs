//! Metrics of an instance, its host and its containers.

use super::instance::{con_id, parameters_of, used};
use super::{Cell, Col, Sink, Snap, d, n, since, until, v, view};
use crate::backend::ColumnType;
use crate::clock::Moment;
use crate::scenario::Release;
use crate::world::session::{Kind, Sess};

/// A metric of the last minute (6000 hundredths) or quarter of a minute.
pub(super) struct Metric {
    hundredths: i64,
    group: i64,
    number: i64,
    name: &'static str,
    value: f64,
    unit: &'static str,
    con_id: u32,
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
        n("GROUP_ID", |_, r| Cell::Int(r.group)),
        n("METRIC_ID", |_, r| Cell::Int(r.number)),
        v("METRIC_NAME", 64, |_, r| Cell::Word(r.name)),
        n("VALUE", |_, r| Cell::Real(r.value)),
        v("METRIC_UNIT", 64, |_, r| Cell::Word(r.unit)),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.con_id)))),
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
    // Inside a PDB there are none.
    for instance in snap.instances().filter(|_| snap.viewer.con_id <= 1) {
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
        for (hundredths, group) in [(6_000, 2), (1_500, 3)] {
            for (id, name, value, unit) in metrics {
                rows.push((
                    number,
                    Metric {
                        hundredths,
                        group,
                        con_id: 0,
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

fn con_metric_columns() -> Vec<Col<Metric>> {
    metric_columns()
        .into_iter()
        .map(|column| since(12, 2, column))
        .collect()
}

/// The same of each container, over a minute, as far as a container has them: nothing of the host, and no limits.
fn con_metric_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Metric)> {
    let mut rows = Vec::new();
    for instance in snap.instances() {
        let number = instance.spec.number;
        for con_id in containers(snap, number) {
            let own = || of_container(snap, number, con_id);
            let active = own().filter(|sess| sess.kind == Kind::User && sess.phase(snap.state.now).busy);
            let metrics = [
                (2143, "Session Count", own().count() as f64, "Sessions"),
                (
                    2147,
                    "Average Active Sessions",
                    active.count() as f64,
                    "Active Sessions",
                ),
                (
                    2137,
                    "Total PGA Allocated",
                    own().map(|sess| sess.pga).sum::<i64>() as f64,
                    "bytes",
                ),
                (
                    2154,
                    "Temp Space Used",
                    own().map(|sess| sess.temp).sum::<i64>() as f64,
                    "bytes",
                ),
            ];
            for (id, name, value, unit) in metrics {
                let metric = Metric {
                    hundredths: 6_000,
                    group: 18,
                    con_id,
                    number: id,
                    name,
                    value,
                    unit,
                };
                rows.push((number, metric));
            }
        }
    }
    rows.into_iter()
}

view!(con_metrics, Metric, super::con_metric_columns(), |snap| {
    super::con_metric_rows(snap)
});

/// The containers that somebody sees the figures of: the own PDB, or from the root all that are open.
fn containers(snap: &Snap<'_>, instance: u32) -> Vec<u32> {
    let database = &snap.scenario.database;
    let all = match database.pdbs.len() {
        0 => Vec::new(),
        pdbs => std::iter::once(1).chain((3..).take(pdbs)).collect(),
    };
    all.into_iter()
        .filter(|con_id| snap.viewer.con_id <= 1 || *con_id == snap.viewer.con_id)
        .filter(|con_id| database.is_open(*con_id, instance))
        .collect()
}

fn of_container<'a>(snap: &Snap<'a>, instance: u32, con_id: u32) -> impl Iterator<Item = &'a Sess> {
    let state = snap.state;
    state
        .sessions
        .range((instance, 0)..(instance + 1, 0))
        .map(|(_, sess)| sess)
        .filter(move |sess| sess.con_id == con_id)
}

/// V$SESSIONS_COUNT: CON_ID and user sessions.
type Count = (u32, i64);

fn count_columns() -> Vec<Col<Count>> {
    vec![
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.0)))),
        // 12.1 has one count, later releases two.
        until(12, 2, since(12, 1, n("CURRENT_COUNT", |_, r| Cell::Int(r.1)))),
        since(12, 2, n("USER_SESSION_COUNT", |_, r| Cell::Int(r.1))),
        since(12, 2, n("RECURSIVE_SESSION_COUNT", |_, _| Cell::Int(0))),
    ]
}

fn count_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Count)> {
    let mut rows = Vec::new();
    for instance in snap.instances() {
        let number = instance.spec.number;
        for con_id in containers(snap, number) {
            let users = of_container(snap, number, con_id).filter(|sess| sess.kind == Kind::User);
            rows.push((number, (con_id, users.count() as i64)));
        }
    }
    rows.into_iter()
}

view!(counts, Count, super::count_columns(), |snap| super::count_rows(snap));

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

/// The host's processors.
const CPUS: i64 = 16;
/// How busy they are unless the scenario says so, in percent.
const USUAL: i64 = 25;

/// BUSY_TIME: hundredths of a second of all processors since then, each percentage for as long as it was so.
fn busy(snap: &Snap<'_>, since: Moment) -> i64 {
    let mut busy = 0;
    let (mut from, mut percent) = (since, USUAL);
    let end = (snap.state.now, USUAL);
    for (at, next) in snap.state.host_cpu.iter().copied().chain([end]) {
        let at = at.max(from);
        busy += (at - from) / 10 * CPUS * percent / 100;
        (from, percent) = (at, next);
    }
    busy
}

fn osstat_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Named)> {
    let now = snap.state.now;
    snap.instances().flat_map(move |instance| {
        let up = (now - instance.startup) / 10;
        let busy = busy(snap, instance.startup);
        let rows: [Named; 5] = [
            ("NUM_CPUS", CPUS, "Number of active CPUs"),
            (
                "IDLE_TIME",
                up * CPUS - busy,
                "Time (centi-secs) that CPUs have been in the idle state",
            ),
            (
                "BUSY_TIME",
                busy,
                "Time (centi-secs) that CPUs have been in the busy state",
            ),
            ("LOAD", 4, "Number of processes running or waiting on the run queue"),
            ("PHYSICAL_MEMORY_BYTES", 64 << 30, "Physical memory size in bytes"),
        ];
        rows.map(|row| (instance.spec.number, row))
    })
}

view!(osstat, Named, super::osstat_columns(), |snap| super::osstat_rows(snap));
