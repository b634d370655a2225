//! What a scrape costs: ten thousand series as `/metrics` renders them, beside a rendering that finds each series' name and labels ready
//! and only writes its value.
//!
//! The result is a ratio to that rendering in the same run, because absolute times depend on the machine.
//! `cargo bench -p orareaper-benches --bench scrape`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use orareaper::decide::in_force::RunMode;
use orareaper::event::{Event, InForceReport, LoadedDatabase, LoadedPolicy, PolicyLoad};
use orareaper::metrics::Metrics;
use orareaper::policy::model::Action;

const DATABASES: usize = 20;
const POLICIES: usize = 20;
const INSTANCES: [u32; 2] = [1, 2];
const ROUNDS: usize = 15;

fn main() {
    let metrics = site();
    let text = metrics.text();
    let prepared = prepared(&text);
    let series = prepared.iter().filter(|line| line.value.is_some()).count();
    let mut again = String::new();
    render(&prepared, &mut again);
    assert_eq!(again, text, "the other rendering is the same");

    let rendering = fastest(|| black_box(metrics.text()).len());
    let mut out = String::with_capacity(text.len());
    let ready = fastest(|| {
        out.clear();
        render(&prepared, &mut out);
        black_box(out.len())
    });
    println!(
        "{series} series of {DATABASES} databases with {POLICIES} policies each, {} bytes, one core",
        text.len()
    );
    println!("  rendering                {:6.2} ms", millis(rendering));
    println!("  with prepared labels     {:6.2} ms", millis(ready));
    println!(
        "  rendering / prepared     {:6.2}",
        rendering.as_secs_f64() / ready.as_secs_f64()
    );
}

/// All series of a daemon for these databases after their first log-in.
fn site() -> Metrics {
    let metrics = Metrics::new();
    let name = |kind: &str, number: usize| format!("{kind}-of-the-site-{number:02}");
    let policies = || {
        (0..POLICIES).map(|number| LoadedPolicy {
            policy: name("policy", number).into(),
            mode: RunMode::Enforce,
            actions: vec![Action::CancelSql],
        })
    };
    let databases = (0..DATABASES).map(|number| LoadedDatabase {
        database: name("database", number).into(),
        place: "here".into(),
        driver: "thin",
        armed: true,
        poll: Duration::from_secs(15),
        labels: [("env".into(), "prod".into())].into_iter().collect(),
        policies: policies().collect(),
    });
    let loaded = Event::Policies(PolicyLoad::Loaded(InForceReport {
        digest: "0123456789abcdef".into(),
        policies: POLICIES,
        exemptions: 0,
        lost: Vec::new(),
        timezone: chrono_tz::Tz::UTC,
        databases: databases.collect(),
    }));
    metrics.count(&loaded, chrono::DateTime::UNIX_EPOCH);
    for number in 0..DATABASES {
        let up = Event::DatabaseUp {
            database: name("database", number).into(),
            instances: INSTANCES.map(|instance| (instance, format!("I{instance}"))).into(),
            release: "19.24.0.0.0".into(),
        };
        metrics.count(&up, chrono::DateTime::UNIX_EPOCH);
    }
    metrics
}

/// A line of the text: what never changes, and the value of a series.
struct PreparedLine {
    fixed: String,
    value: Option<f64>,
}

fn prepared(text: &str) -> Vec<PreparedLine> {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((fixed, value)) if !line.starts_with('#') => PreparedLine {
            fixed: format!("{fixed} "),
            value: Some(value.parse().expect("a number")),
        },
        Some(_) | None => PreparedLine {
            fixed: line.to_owned(),
            value: None,
        },
    };
    text.lines().map(line).collect()
}

fn render(lines: &[PreparedLine], out: &mut String) {
    for PreparedLine { fixed, value } in lines {
        out.push_str(fixed);
        if let Some(value) = value {
            write!(out, "{value}").expect("a text takes it");
        }
        out.push('\n');
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn fastest(mut run: impl FnMut() -> usize) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        run();
        began.elapsed()
    });
    rounds.min().expect("some rounds")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
