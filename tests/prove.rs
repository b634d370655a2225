//! `orareaper prove` against simulated databases on both drivers: as documented on each release and shape; each difference found
//! and none but it; what it wrote read back; no session named but its own decoys; and nothing left, however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use orasim::scenario::{Behaviour, Length};
use orasim::{Fault, Scenario, Strike};
use serde_json::Value;

use crate::site::{Db, Driver, PASSWORD, Site, drivers, thin, wait_for};

/// A database of a release; `more` are further keys of the scenario.
fn scenario(release: &str, database: &str, instances: u32, more: &str) -> String {
    let instances: Vec<String> = (1..=instances)
        .map(|number| format!("{{number: {number}, name: prod{number}, host: db{number}}}"))
        .collect();
    format!(
        "release: {release}\nseed: 7\nspeed: 0\nstarts: 2026-11-23T09:00:00\ndatabase: {database}\ninstances: [{}]\naccounts:\n  \
         REAPER: {{password: reaper}}\nsessions:\n  - {{name: pool, user: SHOP, count: 3, program: JDBC Thin Client, idle: 5h}}\n{more}",
        instances.join(", ")
    )
}

const PLAIN: &str = "{name: PROD}";

struct Desk {
    db: Db,
    site: Site,
    driver: Driver,
}

/// What a run said.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new(driver: &Driver, scenario: &str) -> Desk {
        Desk::of(
            driver,
            Scenario::parse(scenario).unwrap_or_else(|error| panic!("{error}\n{scenario}")),
        )
    }

    /// Each reading of a seat takes a second of the database's clock, which stands still otherwise.
    fn of(driver: &Driver, scenario: Scenario) -> Desk {
        let db = Db::serve(scenario);
        db.world.arm(Fault {
            statement: Some("FROM gv$instance".to_owned()),
            user: Some("REAPER".to_owned()),
            call: 1,
            times: u32::MAX,
            what: Strike::Advance(Length(1_000)),
        });
        let site = Site::new();
        site.configure(driver, &db);
        fs::create_dir_all(site.path("state")).expect("made");
        let driver = driver.clone();
        Desk { db, site, driver }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(&self.driver);
        command
            .args(["--config", "orareaper.yaml", "--log", "error", "prove"])
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("it runs");
        Ran {
            status: output.status.code().expect("no signal"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The exit status, and the report.
    fn proof(&self) -> (i32, Value) {
        let ran = self.run(&["orcl", "--format", "json", "--wait", "6s"]);
        let json = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
        (ran.status, json)
    }

    /// No decoy is there, and none but decoys was ever hit by a statement.
    fn is_left_alone(&self) {
        let decoys: Vec<_> = self
            .db
            .world
            .sessions()
            .into_iter()
            .filter(|session| session.action.as_deref() == Some("decoy") && session.status != "KILLED")
            .collect();
        assert_eq!(decoys, []);
        for kill in self.db.world.kills() {
            let others: Vec<_> = kill.hit.iter().chain(&kill.also).collect();
            let is_decoy = |hit: &&orasim::SessionView| hit.group.is_none() && hit.action.as_deref() == Some("decoy");
            assert!(others.iter().all(is_decoy), "{kill:?}");
        }
    }
}

/// `kill immediate, busy` of each line with this verdict.
fn subjects(proof: &Value, verdict: &str) -> BTreeSet<String> {
    let lines = proof["findings"].as_array().expect("lines");
    let subject = |line: &Value| {
        let what = line["what"].as_str().expect("a word");
        match line["doing"].as_str() {
            Some(doing) => format!("{what}, {doing}"),
            None => what.to_owned(),
        }
    };
    let of_verdict = lines.iter().filter(|line| line["verdict"] == verdict);
    of_verdict.map(subject).collect()
}

fn set(subjects: &[&str]) -> BTreeSet<String> {
    subjects.iter().map(|subject| (*subject).to_owned()).collect()
}

/// Nothing differs on this database, and what cannot be tried is exactly this.
fn as_documented(driver: &Driver, scenario: &str, untried: &[&str]) -> Value {
    let desk = Desk::new(driver, scenario);
    let (status, proof) = desk.proof();
    assert_eq!(subjects(&proof, "differs"), set(&[]), "{proof:#}");
    assert_eq!(subjects(&proof, "could not be tried"), set(untried), "{proof:#}");
    assert_eq!(status, 0);
    assert!(desk.db.world.kills().len() > 10);
    desk.is_left_alone();
    proof
}

/// The actions that only later releases have.
const SINCE_23: &[&str] = &["kill force"];
const SINCE_18: &[&str] = &["kill force", "cancel sql"];
const SINCE_12: &[&str] = &[
    "kill force",
    "cancel sql",
    "kill noreplay",
    "disconnect noreplay",
    "disconnect post_transaction noreplay",
];

#[test]
fn a_database_that_does_as_documented_is_as_assumed() {
    for driver in drivers() {
        let proof = as_documented(&driver, &scenario("19.22.0.0.0", PLAIN, 1, ""), SINCE_23);
        assert_eq!(proof["behaviour"]["missing_session"], 30);
        assert_eq!(proof["behaviour"]["actions"]["kill immediate"]["busy"]["answer"], 31);
    }
}

#[test]
fn the_newest_release_with_containers_behaves_as_assumed() {
    for driver in drivers() {
        let more = "services: [{name: shop, container: SHOP}]\n";
        as_documented(
            &driver,
            &scenario("23.9.0.0.0", "{name: CDB, pdbs: [SHOP]}", 1, more),
            &[],
        );
    }
}

#[test]
fn a_cluster_behaves_as_assumed() {
    for driver in drivers() {
        let proof = as_documented(&driver, &scenario("19.22.0.0.0", PLAIN, 2, ""), SINCE_23);
        let others = proof["findings"].as_array().expect("lines").iter();
        let is_other = |what: &str| what.starts_with("kill on instance ");
        let others: Vec<_> = others
            .filter(|line| line["what"].as_str().is_some_and(is_other))
            .collect();
        assert_eq!(others.len(), 1, "{proof:#}");
        assert_eq!(others[0]["verdict"], "as assumed");
    }
}

#[test]
fn older_releases_behave_as_assumed() {
    for driver in drivers() {
        for (release, untried) in [
            ("11.2.0.4.0", SINCE_12),
            ("12.1.0.2.0", SINCE_18),
            ("18.3.0.0.0", SINCE_23),
        ] {
            // The thin driver begins with 12.1.
            if driver.name == "oci" || release != "11.2.0.4.0" {
                as_documented(&driver, &scenario(release, PLAIN, 1, ""), untried);
            }
        }
    }
}

#[test]
fn on_a_standby_no_transaction_can_be_opened() {
    for driver in drivers() {
        let standby = "{name: PROD, role: PHYSICAL STANDBY, open_mode: READ ONLY WITH APPLY}";
        let untried: Vec<String> = [
            "kill",
            "kill immediate",
            "kill noreplay",
            "disconnect post_transaction",
            "disconnect immediate",
            "disconnect post_transaction noreplay",
            "disconnect noreplay",
        ]
        .map(|action| format!("{action}, transaction"))
        .into();
        let untried: Vec<&str> = untried.iter().map(String::as_str).chain(["kill force"]).collect();
        as_documented(&driver, &scenario("19.22.0.0.0", standby, 1, ""), &untried);
    }
}

/// Each way to differ, and what it shows in.
const DIFFERENCES: &[(&str, &[&str])] = &[
    ("disconnect_with_instance: 0", &["disconnect that names an instance"]),
    ("missing_session: 26", &["kill of a session that is gone"]),
    ("program_bytes: 84", &["program"]),
    ("idle_age_grows: false", &["age, idle"]),
    ("active_age_grows: false", &["age, busy"]),
    (
        "actions: {kill: {busy: {answer: 0, row: killed, told: 28}}}",
        &["kill, busy"],
    ),
    (
        "actions: {kill force: {idle: {answer: 933}, busy: {answer: 933}, transaction: {answer: 933}}}",
        &["kill force, idle", "kill force, busy", "kill force, transaction"],
    ),
    (
        "actions: {kill: {idle: {answer: 0, row: killed, ends: stays, told: 28}}}",
        &["kill, idle"],
    ),
    (
        "actions: {cancel sql: {busy: {answer: 0, ends: stays}}}",
        &["cancel sql, busy"],
    ),
    (
        "actions: {kill immediate: {busy: {answer: 0, row: killed, told: 28}}}",
        &["kill immediate, busy"],
    ),
    (
        "actions: {disconnect post_transaction: {transaction: {answer: 0, row: killed, told: 28}}}",
        &["disconnect post_transaction, transaction"],
    ),
    (
        "actions: {disconnect immediate: {idle: {answer: 0, row: kept, told: 0}}}",
        &["disconnect immediate, idle"],
    ),
    (
        "actions: {kill noreplay: {transaction: {answer: 31, row: killed, told: 45}}}",
        &["kill noreplay, transaction"],
    ),
];

fn differing(driver: &Driver, scenario: Scenario) -> (Desk, i32, Value) {
    let desk = Desk::of(driver, scenario);
    let (status, proof) = desk.proof();
    desk.is_left_alone();
    (desk, status, proof)
}

/// Exactly these lines differ; with the report.
fn is_found(driver: &Driver, (behaviour, expected): (&str, &[&str])) -> (Desk, Value) {
    let text = scenario("23.9.0.0.0", PLAIN, 1, &format!("behaviour: {{{behaviour}}}\n"));
    let given = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let (desk, status, proof) = differing(driver, given);
    assert_eq!(subjects(&proof, "differs"), set(expected), "{behaviour}: {proof:#}");
    assert_eq!(
        subjects(&proof, "could not be tried"),
        set(&[]),
        "{behaviour}: {proof:#}"
    );
    assert_eq!(status, 1, "{behaviour}");
    (desk, proof)
}

/// A proof mostly waits, so several run side by side. A panic in one of them is the scope's.
#[test]
fn each_difference_is_found_and_no_other() {
    for driver in drivers().into_iter().filter(|driver| driver.name == "oci") {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..SIDE_BY_SIDE {
                scope.spawn(|| {
                    while let Some(difference) = DIFFERENCES.get(next.fetch_add(1, Ordering::Relaxed)) {
                        is_found(&driver, *difference);
                    }
                });
            }
        });
    }
}

const SIDE_BY_SIDE: usize = 4;

/// Several differences in one database, and all lines in which they show. No two of them are of one action.
fn together<'d>(differences: impl Iterator<Item = &'d (&'d str, &'d [&'d str])>) -> (String, Vec<&'d str>) {
    let (mut fields, mut actions, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (behaviour, lines) in differences {
        match behaviour
            .strip_prefix("actions: {")
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(action) => actions.push(action),
            None => fields.push((*behaviour).to_owned()),
        }
        expected.extend_from_slice(lines);
    }
    fields.push(format!("actions: {{{}}}", actions.join(", ")));
    (fields.join(", "), expected)
}

/// The rest of the way with the other driver: a database that takes what was written about one gives the same proof.
#[test]
fn the_report_of_differences_reproduces_them_in_the_simulation() {
    let reproduces = |of: usize| {
        let (behaviour, expected) = together(DIFFERENCES.iter().skip(of).step_by(SIDE_BY_SIDE));
        let (desk, proof) = is_found(&thin(), (&behaviour, &expected));
        let file = desk.site.write("proof.json", proof.to_string());
        let mut read_back = Scenario::parse(&scenario("23.9.0.0.0", PLAIN, 1, "")).expect("a scenario");
        read_back.behaviour = Behaviour::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let (_, status, again) = differing(&thin(), read_back);
        assert_eq!(again["behaviour"], proof["behaviour"], "{behaviour}");
        assert_eq!(subjects(&again, "differs"), set(&expected), "{behaviour}");
        assert_eq!(status, 1, "{behaviour}");
    };
    thread::scope(|scope| {
        for of in 0..SIDE_BY_SIDE {
            scope.spawn(move || reproduces(of));
        }
    });
}

#[test]
fn where_a_new_session_is_not_seen_nothing_is_tried() {
    for driver in drivers() {
        let desk = Desk::new(
            &driver,
            &scenario("19.22.0.0.0", PLAIN, 1, "behaviour: {seen_at_once: false}\n"),
        );
        let (status, proof) = desk.proof();
        assert_eq!(subjects(&proof, "differs"), set(&["seen"]), "{proof:#}");
        assert_eq!((status, desk.db.world.kills().len()), (1, 0));
        desk.is_left_alone();
    }
}

/// Sessions that look like decoys: their account, program, module and action, and SIDs that decoys have elsewhere.
const ALIKE: &str = "  - {name: alike, user: REAPER, count: 4, program: orareaper, module: orareaper, action: act, idle: 5h}
  - {name: busy, user: REAPER, count: 2, program: orareaper, module: orareaper, active: 5h}
  - {name: twin, user: REAPER, instances: [2], program: orareaper, module: orareaper, idle: 5h, pinned: {sid: SID, serial: 3}}
  - {name: twins, user: REAPER, instances: [2], program: orareaper, module: orareaper, idle: 5h, pinned: {sid: NEXT, serial: 4}}
";

#[test]
fn only_decoys_are_named_even_if_others_share_account_program_or_sid() {
    for driver in drivers() {
        for seed in 0..3_u32 {
            // The decoys of this seed are near these SIDs; some are replaced right before the statement.
            let alike = ALIKE
                .replace("SID", &(60 + seed).to_string())
                .replace("NEXT", &(70 + seed).to_string());
            let desk = Desk::new(&driver, &scenario("23.9.0.0.0", PLAIN, 2, &alike));
            for nth in 0..6 {
                desk.db.world.arm(Fault {
                    statement: Some("ALTER SYSTEM".to_owned()),
                    user: None,
                    call: 1 + seed + nth * 5,
                    times: 1,
                    what: if nth % 3 == 2 {
                        Strike::EndTarget
                    } else {
                        Strike::ReplaceTarget
                    },
                });
            }
            let others = |desk: &Desk| -> BTreeSet<(u32, u32, u32)> {
                let sessions = desk.db.world.sessions().into_iter();
                let scripted = sessions.filter(|it| it.group.is_some());
                scripted.map(|it| (it.instance, it.sid, it.serial)).collect()
            };
            let before = others(&desk);
            let (_, proof) = desk.proof();
            assert!(before.is_subset(&others(&desk)), "seed {seed}: {proof:#}");
            let named: BTreeSet<_> = desk.db.world.kills().iter().map(|kill| kill.target).collect();
            assert!(named.is_disjoint(&before), "seed {seed}");
            assert!(named.len() > 20, "seed {seed}");
            // Who is still there has come to a decoy's seat.
            for newcomer in desk.db.world.sessions() {
                assert!(
                    !named.contains(&(newcomer.instance, newcomer.sid, newcomer.serial)),
                    "{newcomer:?}"
                );
            }
            for hit in desk.db.world.kills().iter().filter_map(|kill| kill.hit.as_ref()) {
                assert_eq!(
                    (hit.group.as_deref(), hit.action.as_deref()),
                    (None, Some("decoy")),
                    "seed {seed}"
                );
            }
            let lost = "the decoy was gone before the statement";
            let untried = proof["findings"].as_array().expect("lines").iter();
            let untried = untried.filter(|line| line["found"].as_str().is_some_and(|found| found.starts_with(lost)));
            assert!(untried.count() > 0, "seed {seed}: {proof:#}");
        }
    }
}

/// Runs until this many lines have come, then does something; returns how it ended.
fn stopped_after(desk: &Desk, lines: usize, stop: impl FnOnce(u32)) -> (Option<i32>, String) {
    let mut child = desk
        .command(&["orcl", "--wait", "6s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    for _ in 0..lines {
        assert_ne!(err.read_line(&mut said).expect("text"), 0, "it ended early: {said}");
    }
    stop(child.id());
    while err.read_line(&mut said).expect("text") > 0 {}
    let status = wait_for("its end", || child.try_wait().expect("it can be asked"));
    (status.code(), said)
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(sent.expect("a shell").success());
}

#[test]
fn an_interruption_at_any_step_leaves_no_decoy() {
    for driver in drivers() {
        for (lines, name) in [
            (1, "INT"),
            (4, "TERM"),
            (6, "INT"),
            (7, "TERM"),
            (9, "INT"),
            (13, "TERM"),
            (16, "INT"),
        ] {
            let desk = Desk::new(&driver, &scenario("23.9.0.0.0", PLAIN, 1, ""));
            let (status, said) = stopped_after(&desk, lines, |pid| signal(name, pid));
            assert_eq!(status, Some(2), "{said}");
            assert!(said.contains("interrupted: "), "{said}");
            desk.is_left_alone();
        }
    }
}

#[test]
fn a_pause_keeps_it_from_beginning_and_stops_it_before_its_next_statement() {
    for driver in drivers() {
        let desk = Desk::new(&driver, &scenario("19.22.0.0.0", PLAIN, 1, ""));
        desk.site.write("state/paused", "month-end");
        let ran = desk.run(&["orcl"]);
        assert_eq!((ran.status, desk.db.world.kills().len()), (2, 0), "{}", ran.err);
        assert!(
            ran.err.contains("month-end") && ran.err.contains("orareaper resume"),
            "{}",
            ran.err
        );
        let desk = Desk::new(&driver, &scenario("19.22.0.0.0", PLAIN, 1, ""));
        let (status, said) = stopped_after(&desk, 4, |_| {
            desk.site.write("state/paused", "month-end");
        });
        assert_eq!(status, Some(2), "{said}");
        desk.is_left_alone();
    }
}

#[test]
fn without_the_right_to_act_it_says_so_and_tries_no_action() {
    for driver in drivers() {
        let text = scenario("19.22.0.0.0", PLAIN, 1, "")
            .replace("password: reaper}", "password: reaper, alter_system: false}");
        let desk = Desk::new(&driver, &text);
        let (status, proof) = desk.proof();
        assert_eq!(subjects(&proof, "differs"), set(&[]), "{proof:#}");
        assert!(
            subjects(&proof, "could not be tried").contains("kill immediate"),
            "{proof:#}"
        );
        assert!(proof.to_string().contains("insufficient privileges"), "{proof:#}");
        assert_eq!(status, 2);
        desk.is_left_alone();
    }
}

#[test]
fn the_report_is_text_json_or_a_page_and_holds_no_secret_and_nobody_else() {
    let desk = Desk::new(&thin(), &scenario("19.22.0.0.0", PLAIN, 1, ""));
    let text = desk.run(&["orcl", "--wait", "6s"]);
    assert!(
        text.out.contains("Oracle Database 19.22.0.0.0") && text.out.contains("0 differs"),
        "{}",
        text.out
    );
    let page = desk.run(&["orcl", "--wait", "6s", "--format", "html", "--output", "proof.html"]);
    assert_eq!((page.status, page.out.as_str()), (0, ""), "{}", page.err);
    let page = fs::read_to_string(desk.site.path("proof.html")).expect("written");
    assert!(page.contains("<td>kill immediate, busy</td>"), "{page}");
    for shown in [&text.out, &text.err, &page] {
        for hidden in [PASSWORD, "SHOP", "JDBC", "REAPER", "reaper.yaml", "127.0.0.1"] {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
    }
    assert!(!desk.site.path("state/journal.jsonl").exists());
}

#[test]
fn prove_says_why_it_cannot_run() {
    let desk = Desk::new(&thin(), &scenario("19.22.0.0.0", PLAIN, 1, ""));
    let ran = desk.run(&["orcle"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("the configuration has no database orcle"),
        "{}",
        ran.err
    );
    // Before the first decoy, not after the last.
    let ran = desk.run(&["orcl", "-o", "no-such-folder/proof.txt"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("write the report to no-such-folder/proof.txt: ") && !ran.err.contains("as assumed"),
        "{}",
        ran.err
    );
    fs::remove_dir_all(desk.site.path("state")).expect("its own folder");
    let ran = desk.run(&["orcl"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("the kill switch in the state folder"), "{}", ran.err);
    assert_eq!(desk.db.world.kills(), []);
}
