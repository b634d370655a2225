//! kill -9 of the real program at drawn moments, and at each boundary of the journal: what reached the database, by its own log of
//! statements, is held against what the journal says.
//!
//! A run has a seed, which draws the moments; timing decides the rest, so a seed narrows a failure down and does not repeat it
//! exactly. Each run crashes some times, and after each crash holds what is on the disk against the database:
//!
//! - no statement was sent without an intent on the disk;
//! - no session got the same rung twice, unless the outcome of the first was unknown or nothing was sent;
//! - the chain of the journal is whole, however it was cut.
//!
//! At the end a daemon runs undisturbed. Then each action has an outcome, each session that a statement named is known to be gone,
//! and no session that should be ended is left.
//!
//! `ORAREAPER_CRASHES=n` makes n runs, from the seed `ORAREAPER_FIRST_SEED` on; `ORAREAPER_SEED=n` only that one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use orasim::{Clause, Fault, Strike};
use serde_json::Value;

use crate::simulation::chance::Chance;
use crate::site::seeds::for_each_seed;
use crate::site::{Db, Driver, Site, prod, wait_for};

/// The number of runs by default; the drivers take turns.
const RUNS: u64 = 4;

/// Crashes of each run.
const CRASHES: u64 = 9;

/// A full file of the journal.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

const OFFICE: &str = prod!("
  - {name: idle, user: IDLE, count: 20, program: sqlplus, machines: [pc1], idle: 5h, logged_on: 6h}
  - {name: busy, user: BUSY, count: 4, program: loop, machines: [app1], active: 5h, logged_on: 6h, when_killed: {notices: 8m}}
  - {name: writer, user: WRITER, count: 4, program: load, machines: [app1], idle: 5h, logged_on: 6h,
     transaction: {age: 5h, undo_records: 60000}, when_killed: {rollback: 100}}
");

/// Softer first: a rung that is taken twice, or left out, shows.
const POLICIES: &str = "
policies:
  - name: forgotten
    mode: enforce
    when: username in ('IDLE', 'WRITER') and INACTIVE longer than 4h
    allow: [undo]
    reason: a test
    action: kill
    escalate: [{after: 5m, action: kill immediate}]
    limits: {share: 100%}
  - name: loops
    mode: enforce
    when: username = 'BUSY' and RUNNING longer than 4h
    action: kill
    escalate: [{after: 5m, action: kill immediate}]
    limits: {share: 100%}
";

const REAPED: [&str; 3] = ["IDLE", "BUSY", "WRITER"];

/// Where the daemon is killed.
#[derive(Clone, Copy, Debug)]
enum At {
    /// At any moment from its start on.
    AnyMoment,
    /// Once an intent is on the disk.
    Intent,
    /// While its statement is on the way and the database has not begun with it.
    Sending,
    /// Once the database has received a statement.
    Statement,
    /// Once an outcome is on the disk.
    Outcome,
    /// Once the journal begins its next file.
    NextFile,
}

const POINTS: [At; 5] = [At::AnyMoment, At::Intent, At::Sending, At::Statement, At::Outcome];

#[test]
fn no_crash_hides_or_repeats_a_statement_or_sends_one_without_a_record() {
    for_each_seed("ORAREAPER_CRASHES", RUNS, run);
}

fn run(seed: u64, driver: &Driver) {
    println!(
        "seed {seed} with driver {}; ORAREAPER_SEED={seed} cargo test --test all crashes:: runs it again",
        driver.name
    );
    let mut chance = Chance::of(seed);
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.policies(POLICIES);
    site.configure_with(
        &[crate::site::entry("orcl", driver, &db.connect_string(), true)],
        "limits: {per_cycle: 2, per_hour: 1000}\n",
    );
    fs::create_dir(site.path("state")).expect("made");
    // In every fourth run the journal of an earlier version is almost full. It is long, so its chain is followed once, at the end.
    let fills = seed.is_multiple_of(4);
    if fills {
        fill(&site.path("state/journal.jsonl"), chance.between(3_000, 30_000));
    }
    for crash in 0..CRASHES {
        let at = if fills && crash == 0 {
            At::NextFile
        } else {
            *chance.pick(&POINTS)
        };
        crash_once(&db, &site, driver, at, &mut chance);
        holds(&db, &site, (seed, at));
        if !fills {
            verified(&site, driver, (seed, at));
        }
    }
    let daemon = site.run(driver);
    daemon.looks("orcl", 2);
    let left = || REAPED.iter().any(|user| !db.seats_of(user).is_empty());
    for _ in 0..20 {
        if left() {
            db.let_pass(&daemon, "orcl", 6);
        }
    }
    assert!(!left(), "seed {seed}: {:?}", db.world.sessions());
    daemon.looks("orcl", 2);
    nothing_is_open(&db, &site, seed);
    holds(&db, &site, (seed, At::AnyMoment));
    drop(daemon);
    verified(&site, driver, (seed, At::AnyMoment));
}

/// Starts the daemon, lets the database's clock go on, and kills the daemon there.
fn crash_once(db: &Db, site: &Site, driver: &Driver, at: At, chance: &mut Chance) {
    if let At::Sending = at {
        db.world.arm(Fault {
            statement: Some("ALTER SYSTEM".into()),
            user: Some("REAPER".into()),
            call: u32::try_from(chance.between(1, 3)).expect("small"),
            times: 1,
            what: Strike::Hang,
        });
    }
    let kills = db.kills().len();
    let tail = Tail::of(site.path("state/journal.jsonl"));
    db.world.set_speed(20.0);
    let daemon = site.spawn(driver, |_| {});
    let (moment, soon) = (chance.between(0, 4_000_000), chance.between(0, 20_000));
    let (often, most, wait) = match at {
        At::AnyMoment => (Duration::ZERO, 1, moment),
        At::Intent | At::Sending | At::Statement | At::Outcome => (Duration::from_micros(500), 12_000, soon),
        At::NextFile => (Duration::from_micros(20), 200_000, 0),
    };
    let is_there = || match at {
        At::AnyMoment => true,
        At::Intent | At::Sending => tail.has("\"kind\":\"intent\""),
        At::Statement => db.kills().len() > kills,
        At::Outcome => tail.has("\"kind\":\"outcome\""),
        At::NextFile => site.path("state/journal.new.jsonl").exists() || site.path("state/journal.1.jsonl").exists(),
    };
    let mut tries = 0;
    // What it waits for may not come: everybody may be ended already.
    while !is_there() && tries < most {
        tries += 1;
        thread::sleep(often);
    }
    thread::sleep(Duration::from_micros(wait));
    // SIGKILL, and waits for its end.
    drop(daemon);
    db.world.set_speed(0.0);
    db.world.disarm();
}

/// What is written into the journal from now on.
struct Tail {
    path: PathBuf,
    from: u64,
}

impl Tail {
    fn of(path: PathBuf) -> Tail {
        let from = fs::metadata(&path).map_or(0, |there| there.len());
        Tail { path, from }
    }

    fn has(&self, text: &str) -> bool {
        let Ok(mut file) = fs::File::open(&self.path) else {
            return false;
        };
        let length = file.metadata().expect("it can be asked").len();
        // A shorter one is the next file.
        let from = if length < self.from { 0 } else { self.from };
        let mut written = Vec::new();
        file.seek(SeekFrom::Start(from)).expect("sought");
        file.read_to_end(&mut written).expect("read");
        String::from_utf8_lossy(&written).contains(text)
    }
}

/// A journal file that an earlier version has filled up to this many bytes: with large lines, because a file is read at each start.
fn fill(path: &Path, free: u64) {
    const LINE: usize = 512 * 1024;
    let mut text = Vec::new();
    let full = usize::try_from(FILE_BYTES - free).expect("it fits");
    while text.len() < full {
        let head = br#"{"v":1,"at":"2026-01-01T00:00:00Z","kind":"resumed","by":""#;
        let left = (full - text.len()).clamp(head.len() + 3, LINE);
        text.extend_from_slice(head);
        text.resize(text.len() + left - head.len() - 3, b'x');
        text.extend_from_slice(b"\"}\n");
    }
    fs::write(path, text).expect("written");
}

/// A session by its seat, and a rung: whether at once.
type Rung = ((u64, u64, u64), bool);

/// The journal, by what is asked here.
#[derive(Default)]
struct Journal {
    /// By number: whom it was about, and the rung.
    intents: BTreeMap<u64, Rung>,
    /// By number.
    outcomes: BTreeMap<u64, String>,
    /// The last proof, by number.
    proofs: BTreeMap<u64, String>,
}

impl Journal {
    fn of(site: &Site, seed: u64) -> Journal {
        let mut journal = Journal::default();
        for record in records(&site.path("state")) {
            let Some(id) = record["id"].as_u64() else { continue };
            let text = |key: &str| record[key].as_str().expect("a text").to_owned();
            let number = |key: &str| record[key].as_u64().expect("a number");
            match record["kind"].as_str() {
                Some("intent") => {
                    let seat = (number("inst_id"), number("sid"), number("serial"));
                    let before = journal.intents.insert(id, (seat, text("action") == "kill immediate"));
                    assert_eq!(before, None, "seed {seed}: the number {id} was given twice");
                }
                Some("outcome") => {
                    let before = journal.outcomes.insert(id, text("outcome"));
                    assert_eq!(before, None, "seed {seed}: action {id} has two outcomes");
                }
                Some("verification") => drop(journal.proofs.insert(id, text("proof"))),
                _ => {}
            }
        }
        journal
    }

    fn of_rung(&self, rung: Rung) -> impl DoubleEndedIterator<Item = u64> {
        self.intents
            .iter()
            .filter(move |(_, of)| **of == rung)
            .map(|(id, _)| *id)
    }
}

/// All records, oldest first, without the lines that a crash has cut and those that fill the file.
fn records(state: &Path) -> Vec<Value> {
    let mut files: Vec<(u32, PathBuf)> = fs::read_dir(state)
        .expect("listed")
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let age = name.strip_prefix("journal.")?.strip_suffix("jsonl")?;
            Some((age.trim_end_matches('.').parse().unwrap_or(0), entry.path()))
        })
        .filter(|(_, path)| !path.ends_with("journal.new.jsonl"))
        .collect();
    files.sort_unstable();
    let text = |path: &PathBuf| fs::read_to_string(path).expect("text");
    let lines: Vec<String> = files.iter().rev().map(|(_, path)| text(path)).collect();
    let lines = lines.iter().flat_map(|text| text.lines());
    lines
        .filter(|line| line.len() < 256 * 1024)
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The statements that the database has received, by rung, with how many.
fn statements(db: &Db) -> BTreeMap<Rung, usize> {
    let mut statements = BTreeMap::new();
    for kill in db.world.kills() {
        let (inst_id, sid, serial) = kill.target;
        let seat = (inst_id.into(), sid.into(), serial.into());
        *statements
            .entry((seat, kill.clause == Clause::KillImmediate))
            .or_insert(0) += 1;
    }
    statements
}

/// Holds the journal on the disk against what the database has received. No daemon runs, or the one that runs has nothing to do.
fn holds(db: &Db, site: &Site, (seed, at): (u64, At)) {
    let journal = Journal::of(site, seed);
    for (rung, sent) in statements(db) {
        let intents: Vec<u64> = journal.of_rung(rung).collect();
        assert!(
            sent <= intents.len(),
            "seed {seed}, killed at {at:?}: {rung:?} was sent {sent} times, and the journal has the intents {intents:?}"
        );
    }
    let rungs: BTreeSet<Rung> = journal.intents.values().copied().collect();
    for rung in rungs {
        let mut ids = journal.of_rung(rung);
        ids.next_back();
        for id in ids {
            // Something came after it, so what became of it is known, or known to be unknown.
            let outcome = journal.outcomes.get(&id).map(String::as_str);
            assert!(
                matches!(
                    outcome,
                    Some("unknown" | "expired" | "unchecked" | "revoked" | "protected" | "no_longer_matches")
                ),
                "seed {seed}, killed at {at:?}: {rung:?} is taken again after action {id}, whose outcome is {outcome:?}"
            );
        }
    }
}

/// Each action has an outcome, and each session that a statement named is known to be gone.
fn nothing_is_open(db: &Db, site: &Site, seed: u64) {
    wait_for(&format!("the end of all actions of seed {seed}"), || {
        let journal = Journal::of(site, seed);
        let has_outcome = journal.intents.keys().all(|id| journal.outcomes.contains_key(id));
        let is_gone = |rung: &Rung| {
            let proofs = journal.intents.iter().filter(|(_, of)| of.0 == rung.0);
            let mut proofs = proofs.filter_map(|(id, _)| journal.proofs.get(id));
            proofs.any(|proof| proof == "gone" || proof == "resources_freed")
        };
        let told = || {
            journal
                .outcomes
                .iter()
                .filter(|(_, outcome)| *outcome == "already_gone")
                .map(|(id, _)| journal.intents[id].0)
        };
        let known: BTreeSet<_> = told().collect();
        (has_outcome
            && statements(db)
                .keys()
                .all(|rung| is_gone(rung) || known.contains(&rung.0)))
        .then_some(())
    });
}

/// The chain is whole, wherever a crash has cut it.
fn verified(site: &Site, driver: &Driver, (seed, at): (u64, At)) {
    if !site.path("state/journal.jsonl").exists() && !site.path("state/journal.1.jsonl").exists() {
        // It was killed before it began.
        return;
    }
    let mut command = site.command(driver);
    let output = command
        .args(["--config", "orareaper.yaml", "history", "--verify"])
        .output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "seed {seed}, killed at {at:?}: {output:?}");
}
