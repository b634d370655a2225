//! How fast a recording of 2,000 sessions is replayed, how much of that time is reading, and how much memory it takes.
//!
//! The result is a ratio to reading alone in the same run, because absolute times depend on the machine. Memory is shown after a
//! tenth of the recording and after all of it; the difference is what replay remembers, not what it reads.
//! `cargo bench -p orareaper-benches --bench replay [SNAPSHOTS]`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, TimeDelta};
use orareaper::columns_needed;
use orareaper::decide::in_force::{DatabaseRules, Rhythm};
use orareaper::decide::pressure::Readings;
use orareaper::decide::protect::ProtectionFacts;
use orareaper::policy::check_files;
use orareaper::policy::model::PolicySet;
use orareaper::recording::{Header, Next, RecordedSnapshot, RecordingReader, RecordingWriter};
use orareaper::replay::{Replay, ReplaySetting};
use orareaper::session::column::{Column, Columns};
use orareaper::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock, SnapshotSource};
use orareaper::session::time::DbTime;

const SESSIONS: i64 = 2_000;
const START: i64 = 1_795_000_000;
const EVERY: i64 = 15;

const POLICIES: &str = "
policies:
  - name: idle
    when: INACTIVE longer than 4h and not background
    unless: in transaction or username in (ETL, DWH_LOAD)
    keep: {at_least: 2, per: [username, machine, program]}
    action: kill
  - name: forgotten-tools
    when: INACTIVE longer than 1h and program like 'sqlplus%'
    for: 5m
    action: disconnect immediate
  - name: runaway
    when: RUNNING longer than 3h
    action: report
";

const COLUMNS: [Column; 16] = [
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
    Column::LastCallEt,
    Column::ConId,
    Column::SqlId,
];

/// One snapshot: a twentieth of the sessions works now and then, a hundredth is replaced by others now and then.
fn moment(number: i64, wanted: Columns) -> Snapshot {
    let now = number * EVERY;
    let mut builder = Snapshot::builder(SnapshotSource::Live, &COLUMNS);
    for sid in 1..=SESSIONS {
        let generation = if sid % 100 == 0 { number / 40 } else { 0 };
        let works = sid % 20 == 0 && (sid + number) % 3 > 0;
        let machine = format!("web{:02}", sid % 12);
        let program = if sid % 50 == 0 {
            "sqlplus".to_owned()
        } else {
            format!("JDBC{}", sid % 7)
        };
        let sql = format!("sql{:010}", (sid * 31 + number / 20) % 5_000);
        let cells = [
            Cell::Number(1),
            Cell::Number(sid),
            Cell::Number(1 + generation),
            Cell::Number(START - 80_000 + generation * 600),
            Cell::Text(["SHOP", "CRM", "HR", "ETL"][sid as usize % 4]),
            Cell::Text(if sid < 60 { "BACKGROUND" } else { "USER" }),
            Cell::Text(if works { "ACTIVE" } else { "INACTIVE" }),
            Cell::Text("DEDICATED"),
            Cell::Text(&program),
            Cell::Text(&machine),
            Cell::Text("app"),
            Cell::Null,
            Cell::Null,
            Cell::Number(if works { 1 } else { sid * 8 + now % 3_000 }),
            Cell::Number(3),
            if works { Cell::Text(&sql) } else { Cell::Null },
        ];
        builder.push_row(&cells).expect("few rows");
    }
    let clock = SnapshotClock {
        now: DbTime(START + now),
        utc_offset: 0,
    };
    let instances = vec![Instance {
        inst_id: 1,
        name: "PROD1".into(),
        complete: true,
    }];
    builder.finish(Some(clock), instances).finish(wanted)
}

/// Writes a recording as it is made, so that all of it is in memory at no time.
fn record(file: &Path, snapshots: i64, wanted: Columns) {
    let header = Header {
        database: "prod".into(),
        every: Duration::from_secs(15),
    };
    let file = File::create(file).expect("a temporary file");
    let mut writer = RecordingWriter::begin(file, &header).expect("a temporary file");
    let facts = Arc::new(ProtectionFacts::default());
    for number in 0..snapshots {
        let recorded = RecordedSnapshot {
            snapshot: moment(number, wanted),
            readings: Readings::default(),
            facts: Arc::clone(&facts),
        };
        writer.add(recorded).expect("a temporary file");
    }
}

/// The most memory that this process has held so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.expect("Linux says it in kB")
}

/// Runs `each` over the recording; how long it took, and over how many snapshots.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(file: &Path, wanted: Columns, mut each: impl FnMut(&mut RecordedSnapshot)) -> (Duration, i64) {
    let begin = Instant::now();
    let file = File::open(file).expect("a temporary file");
    let mut reader = RecordingReader::open(BufReader::with_capacity(1 << 16, file), wanted).expect("a recording");
    let mut snapshots = 0;
    loop {
        match reader.next().expect("a temporary file") {
            Next::RecordedSnapshot(mut recorded) => {
                snapshots += 1;
                each(&mut recorded);
            }
            Next::Damage(damage) => panic!("{damage}"),
            Next::End => return (begin.elapsed(), snapshots),
        }
    }
}

fn policies() -> Arc<PolicySet> {
    let today = NaiveDate::from_ymd_opt(2026, 11, 18).expect("a date");
    let loaded = check_files(
        &[("policies.yaml".into(), POLICIES.as_bytes().to_vec())],
        today,
        chrono_tz::UTC,
    );
    Arc::new(loaded.set.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)))
}

fn main() {
    let snapshots = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000);
    let set = policies();
    let wanted = columns_needed::columns(&set);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    record(file.path(), snapshots, wanted);
    let bytes = file.as_file().metadata().expect("a temporary file").len() as i64;
    let (reading, read) = timed(file.path(), wanted, |_| {});
    let every = TimeDelta::seconds(EVERY);
    let mut replay = Replay::new(ReplaySetting {
        rules: DatabaseRules::of_file(None, Some("prod"), set),
        database: "prod".into(),
        rhythm: Rhythm::of(every),
        assume_held: false,
    });
    let (mut steps, mut early) = (0, 0);
    let (replaying, replayed) = timed(file.path(), wanted, |recorded| {
        assert!(replay.step(recorded).is_some(), "every snapshot has a clock");
        steps += 1;
        if steps == snapshots / 10 {
            early = peak();
        }
    });
    let late = peak();
    assert_eq!((read, replayed), (snapshots, snapshots));
    let totals = replay.into_totals();
    assert!(totals.all.acted > 0, "the policies take somebody");
    let a_second = |took: Duration| snapshots as f64 / took.as_secs_f64();
    println!("{snapshots} snapshots of {SESSIONS} sessions, 3 policies, one core");
    println!("  reading alone        {:8.0} snapshots a second", a_second(reading));
    println!("  replay               {:8.0} snapshots a second", a_second(replaying));
    println!(
        "  replay / reading     {:8.2}",
        replaying.as_secs_f64() / reading.as_secs_f64()
    );
    println!("  recording            {:8} bytes a snapshot", bytes / snapshots);
    println!("  peak memory          {early:8} KiB after a tenth");
    println!("                       {late:8} KiB after all of it");
    println!("  would have acted     {:8} times", totals.all.acted);
}
