//! Two daemons on one database, of which one is to lead: never do both act, whatever happens to them or to the wire between them and the
//! database. Judged by the database's own log of statements, which says who held the lock at that moment.
//!
//! A run has a seed, which draws what happens and when; timing decides the rest, so a seed narrows a failure down and does not repeat it
//! exactly. `ORAREAPER_LEADERS=n` makes so many runs, from the seed `ORAREAPER_FIRST_SEED` on; `ORAREAPER_SEED=n` only that one.

mod wire;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use orasim::{KillRecord, UserLock};

use crate::leader::wire::Wire;
use crate::simulation::chance::Chance;
use crate::site::seeds::for_each_seed;
use crate::site::{Daemon, Db, Driver, Site, drivers, entry, thin, until};

/// Runs that are made when nobody asks for more or for one; each driver has its turn.
const RUNS: u64 = 4;

/// What happens in each run.
const TROUBLES: usize = 5;

const LOCK: i64 = 77_350_117;

/// The busy ones hold up whoever ends them, so that further connections are called.
fn office(rights: &str, stays: &str) -> String {
    format!(
        "
release: 19.22.0.0.0
seed: 11
speed: 1
starts: 2026-11-23T09:00:00
database: {{name: PROD, cut_off_stays: {stays}}}
instances: [{{number: 1, name: prod, host: db1}}]
accounts: {{REAPER: {{password: reaper{rights}}}}}
sessions:
  - {{name: idle, user: IDLE, count: 700, program: sqlplus, machines: [pc1], idle: 5h, logged_on: 6h}}
  - {{name: busy, user: BUSY, count: 40, program: loop, machines: [app1], active: 5h, logged_on: 6h, when_killed: {{notices: 8m}}}}
"
    )
}

const MAY_LEAD: &str = ", rights: {executes: [DBMS_LOCK]}";

const POLICIES: &str = "
policies:
  - {name: loops, mode: enforce, when: \"username = 'BUSY' and RUNNING longer than 4h\", action: kill, limits: {share: 100%, per_cycle: 1}}
  - {name: forgotten, mode: enforce, when: \"username = 'IDLE' and INACTIVE longer than 4h\", action: kill, limits: {share: 100%}}
";

/// A host with a daemon of its own.
struct Host {
    site: Site,
    driver: Driver,
}

impl Host {
    fn new(driver: &Driver, connect: &str, more: &str) -> Host {
        let site = Site::new();
        site.policies(POLICIES);
        let entry = entry("orcl", driver, connect, true);
        let limits = "limits: {per_cycle: 2, per_hour: 100000}\n";
        site.configure_with(&[format!("{entry}{more}")], limits);
        Host {
            site,
            driver: driver.clone(),
        }
    }

    fn leads(daemon: &Daemon) -> Option<f64> {
        daemon.metric("orareaper_leader{database=\"orcl\"}")
    }
}

fn leader() -> String {
    format!("    leader: {{lock: {LOCK}}}\n")
}

/// A wire that hangs is noticed soon.
fn impatient() -> String {
    format!("{}    call_timeout: 2s\n    connect_timeout: 3s\n", leader())
}

/// Who sent it: the process and the session.
fn sender(kill: &KillRecord) -> (String, (u32, u32, u32)) {
    (kill.process.clone().unwrap_or_default(), kill.sender)
}

fn key(lock: &UserLock) -> (u32, u32, u32) {
    (lock.seat.0, lock.seat.1, lock.serial)
}

/// Holds every statement against who held the lock when it came.
fn judge(kills: &[KillRecord], about: &str) {
    let mut acted: BTreeMap<(u32, u32, u32), String> = BTreeMap::new();
    for kill in kills {
        let (process, session) = sender(kill);
        let mut holders = kill.locks.iter().filter(|lock| lock.id == LOCK).map(key);
        assert!(
            holders.clone().any(|holder| holder == session),
            "{about}: {session:?} of process {process} acted without the lock: {kill:?}"
        );
        let other = holders.find(|holder| acted.get(holder).is_some_and(|of| *of != process));
        assert_eq!(other, None, "{about}: two can act at {kill:?}");
        acted.insert(session, process);
    }
}

fn processes(kills: &[KillRecord]) -> Vec<String> {
    let mut all: Vec<String> = kills.iter().map(|kill| sender(kill).0).collect();
    all.dedup();
    all
}

#[test]
fn the_other_stands_by_and_takes_over_within_two_polls() {
    for driver in drivers() {
        let db = Db::parse(&office(MAY_LEAD, "0s"));
        let hosts = [0, 1].map(|_| Host::new(&driver, &db.connect_string(), &leader()));
        let first = hosts[0].site.run(&driver);
        until("the first to act", || !db.kills().is_empty());
        assert_eq!(Host::leads(&first), Some(1.0));
        let second = hosts[1].site.run(&driver);
        second.metric_becomes("orareaper_leader{database=\"orcl\"}", 0.0);
        second.looks("orcl", 3);
        let note = second.says("note on the database");
        let note = note["note"].as_str().expect("a text").to_owned();
        assert!(
            note.starts_with(&format!(
                "this daemon stands by: another session holds lock {LOCK}; the orareaper on "
            )),
            "{note}"
        );
        assert_eq!(second.page("/readyz").0, 200);
        until("the page to say so", || {
            let page = second.page("/").1;
            page.contains("Standby") && page.contains("this daemon stands by")
        });
        until("the other page", || first.page("/").1.contains("Leads"));
        let told = |daemon: &Daemon| {
            daemon
                .log()
                .iter()
                .filter(|line| line["message"] == "note on the database")
                .count()
        };
        assert_eq!(told(&second), 1, "once");
        assert_eq!(processes(&db.world.kills()), [first.pid().to_string()]);

        drop(first);
        let (before, cycles) = (db.kills().len(), second.log().len());
        until("the second to act", || {
            processes(&db.world.kills()).last() == Some(&second.pid().to_string())
        });
        let cycle = |line: &&serde_json::Value| line["message"] == "cycle done";
        let log = second.log();
        let passed = log[cycles..].iter().filter(cycle).count();
        // The one that asked, the one that acted, and one for the way to the log.
        assert!(
            passed <= 4,
            "it took over after {passed} cycles, {before} kills: {}",
            second.log_text()
        );
        second.says("note no longer applies");

        let first = hosts[0].site.run(&driver);
        first.metric_becomes("orareaper_leader{database=\"orcl\"}", 0.0);
        first.looks("orcl", 3);
        let all = processes(&db.world.kills());
        assert_eq!(all.len(), 2, "{all:?}");
        judge(&db.world.kills(), driver.name);
    }
}

#[test]
fn an_order_to_a_daemon_that_stands_by_is_refused() {
    let driver = thin();
    let db = Db::parse(&office(MAY_LEAD, "0s"));
    let hosts = [0, 1].map(|_| Host::new(&driver, &db.connect_string(), &leader()));
    let first = hosts[0].site.run(&driver);
    first.metric_becomes("orareaper_leader{database=\"orcl\"}", 1.0);
    let order = |host: &Host| {
        let (sid, serial) = *db.seats_of("IDLE").last().expect("many");
        let session = format!("{sid},{serial},@1");
        let mut command = host.site.command(&driver);
        let arguments = [
            "--config",
            "orareaper.yaml",
            "kill",
            &session,
            "--yes",
            "--reason",
            "a test",
        ];
        command.args(arguments).output().expect("it runs")
    };
    std::fs::create_dir(hosts[1].site.path("state")).expect("made");
    // Without a daemon there, the command asks for the lock itself.
    for with_a_daemon in [false, true] {
        let second = with_a_daemon.then(|| hosts[1].site.run(&driver));
        if let Some(second) = &second {
            second.metric_becomes("orareaper_leader{database=\"orcl\"}", 0.0);
        }
        let refused = order(&hosts[1]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(
            text.contains(&format!("this daemon stands by: another session holds lock {LOCK}")),
            "{text}"
        );
    }
    let done = order(&hosts[0]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    judge(&db.world.kills(), "orders");
}

#[test]
fn without_the_grant_nobody_leads_and_the_grant_is_named() {
    const GRANT: &str = "GRANT EXECUTE ON sys.dbms_lock TO REAPER";
    for driver in drivers() {
        let db = Db::parse(&office("", "0s"));
        let host = Host::new(&driver, &db.connect_string(), &leader());
        let daemon = host.site.run(&driver);
        daemon.looks("orcl", 3);
        let note = daemon.says("note on the database");
        let note = note["note"].as_str().expect("a text");
        assert!(
            note.starts_with("this daemon cannot lead: ") && note.contains(GRANT),
            "{note}"
        );
        assert_eq!(Host::leads(&daemon), Some(0.0));
        assert!(db.kills().is_empty());
        drop(daemon);
        let mut command = host.site.command(&host.driver);
        let examined = command
            .args(["--config", "orareaper.yaml", "doctor"])
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&examined.stdout).into_owned();
        assert_eq!(examined.status.code(), Some(1), "{text}");
        let missing = text.lines().filter(|line| line.starts_with("  missing  "));
        // The scenario's clock is of another day than this host's.
        let missing: Vec<&str> = missing.filter(|line| !line.contains("clock")).collect();
        assert!(missing.len() == 1 && missing[0].contains("leader"), "{text}");
        assert!(text.contains(&format!("-> {GRANT};")), "{text}");
    }
}

const BESIDE: &str = "orareaper_other_acting_daemons{database=\"orcl\"}";

/// Neither the commands nor the daemon's own connections count.
#[test]
fn two_daemons_without_a_leader_are_found_out() {
    const FOUND: &str = "other-daemon";
    let driver = thin();
    let db = Db::parse(&office("", "0s"));
    let hosts = [0, 1].map(|_| Host::new(&driver, &db.connect_string(), ""));
    let notes = |daemon: &Daemon| -> Vec<String> {
        let log = daemon.log();
        let told = log.iter().filter(|line| line["message"] == "note on the database");
        told.map(|line| line["note"].as_str().unwrap_or_default().to_owned())
            .filter(|note| note.contains("watches this database"))
            .collect()
    };
    let plan = |host: &Host| {
        let mut command = host.site.command(&driver);
        let output = command
            .args(["--config", "orareaper.yaml", "plan"])
            .output()
            .expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let first = hosts[0].site.run(&driver);
    until("helpers beside the lead", || {
        db.world
            .sessions()
            .iter()
            .filter(|one| one.action.as_deref() == Some("act"))
            .count()
            > 1
    });
    first.looks("orcl", 2);
    assert!(
        !plan(&hosts[1]).contains("watches this database"),
        "one daemon is no news to a command"
    );
    assert_eq!(notes(&first), Vec::<String>::new());
    let second = hosts[1].site.run(&driver);
    for daemon in [&first, &second] {
        daemon.says("note on the database");
        until("the note", || notes(daemon).len() == 1);
        daemon.looks("orcl", 2);
        let found = notes(daemon);
        assert_eq!(found.len(), 1, "once");
        assert!(
            found[0].contains("as REAPER watches this database too") && found[0].contains("leader: {lock: N}"),
            "{found:?}"
        );
        assert!(daemon.page("/").1.contains("watches this database too"));
        daemon.metric_becomes(BESIDE, 1.0);
    }
    assert!(plan(&hosts[1]).contains("watches this database, and so does"));
    let mut command = hosts[1].site.command(&driver);
    let examined = command
        .args(["--config", "orareaper.yaml", "doctor"])
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&examined.stdout).contains(FOUND));
    drop(second);
    first.says("note no longer applies");
    first.metric_becomes(BESIDE, 0.0);
}

/// One that rehearses disturbs nobody, and is disturbed by nobody.
#[test]
fn a_daemon_that_only_watches_beside_one_that_acts_is_no_news() {
    let driver = thin();
    let db = Db::parse(&office("", "0s"));
    let hosts = [0, 1].map(|_| Host::new(&driver, &db.connect_string(), ""));
    let acts = hosts[0].site.run(&driver);
    let watches = hosts[1].site.run_with(&driver, |command| {
        command.arg("--dry-run");
    });
    for daemon in [&acts, &watches] {
        daemon.looks("orcl", 3);
        daemon.metric_becomes(BESIDE, 0.0);
        assert!(!daemon.page("/").1.contains("watches this database"));
    }
}

/// Each leads by its own lock, or the other one by none: both act, and both say so. Who shares the lock, or does not act, is no news.
#[test]
fn who_acts_beside_the_leader_is_found_out() {
    let driver = thin();
    let other_lock = || "    leader: {lock: 11}\n".to_owned();
    for (more, told) in [
        (
            other_lock(),
            Some("acts here by lock 11, while this entry says lock 77350117"),
        ),
        (
            String::new(),
            Some("acts here without a lock, while this entry says lock 77350117"),
        ),
        (leader(), None),
    ] {
        let db = Db::parse(&office(MAY_LEAD, "0s"));
        let hosts = [leader(), more.clone()].map(|more| Host::new(&driver, &db.connect_string(), &more));
        let notes = |daemon: &Daemon| -> Vec<String> {
            let log = daemon.log();
            let told = log.iter().filter(|line| line["message"] == "note on the database");
            told.map(|line| line["note"].as_str().unwrap_or_default().to_owned())
                .filter(|note| note.contains("watches this database"))
                .collect()
        };
        let first = hosts[0].site.run(&driver);
        first.metric_becomes("orareaper_leader{database=\"orcl\"}", 1.0);
        let second = hosts[1].site.run(&driver);
        second.looks("orcl", 3);
        first.looks("orcl", 3);
        let Some(told) = told else {
            assert_eq!((notes(&first), notes(&second)), (Vec::new(), Vec::new()), "{more}");
            continue;
        };
        let found = notes(&first);
        assert!(found.len() == 1 && found[0].contains(told), "{more}: {found:?}");
        assert!(first.page("/").1.contains(told), "{more}");
        first.metric_becomes(BESIDE, 1.0);
        assert_eq!(notes(&second).len(), 1, "{more}: the other one warns, too");
        let mut command = hosts[0].site.command(&driver);
        let examined = command
            .args(["--config", "orareaper.yaml", "doctor"])
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&examined.stdout).into_owned();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("other-daemon") && text.contains(told), "{more}: {text}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// kill -9, and a start some time later.
    Killed,
    /// SIGSTOP, and SIGCONT some time later.
    Stopped,
    /// The wire is cut, and whole again some time later.
    Cut,
    /// The wire passes nothing on, and then goes on.
    Hangs,
    /// The wire passes nothing on, and is then cut.
    HangsAndCut,
    /// A DBA ends a session that holds the lock.
    Ended,
    /// The database's clock is set forward.
    Clock,
}

const ALL: [Trouble; 7] = [
    Trouble::Killed,
    Trouble::Stopped,
    Trouble::Cut,
    Trouble::Hangs,
    Trouble::HangsAndCut,
    Trouble::Ended,
    Trouble::Clock,
];

#[test]
fn never_two_that_act() {
    for_each_seed("ORAREAPER_LEADERS", RUNS, run);
}

fn millis(chance: &mut Chance, low: u64, high: u64) -> Duration {
    Duration::from_millis(chance.between(low, high))
}

fn run(seed: u64, driver: &Driver) {
    let mut chance = Chance::of(seed);
    let stays = *chance.pick(&["0s", "0s", "3s"]);
    let db = Db::parse(&office(MAY_LEAD, stays));
    // A minute for a busy session takes some seconds.
    db.world.set_speed(15.0);
    let wires = [0, 1].map(|_| Wire::to(db.server.addr()));
    let hosts = wires.each_ref().map(|wire| {
        let connect = format!("//{}/PROD", wire.address());
        Host::new(driver, &connect, &impatient())
    });
    let mut daemons = hosts.each_ref().map(|host| Some(host.site.spawn(driver, |_| {})));
    until(&format!("the first statement of seed {seed}"), || {
        !db.kills().is_empty()
    });
    let mut told = Vec::new();
    for _ in 0..TROUBLES {
        let (trouble, whom) = (*chance.pick(&ALL), usize::from(chance.one_in(2)));
        told.push((trouble, whom));
        thread::sleep(millis(&mut chance, 0, 1_500));
        let lasts = millis(&mut chance, 200, 4_000);
        match trouble {
            Trouble::Killed => {
                daemons[whom] = None;
                thread::sleep(lasts);
                daemons[whom] = Some(hosts[whom].site.spawn(driver, |_| {}));
            }
            Trouble::Stopped => {
                let daemon = daemons[whom].as_ref().expect("it runs");
                daemon.signal("STOP");
                thread::sleep(lasts);
                daemon.signal("CONT");
            }
            Trouble::Cut => {
                wires[whom].cut();
                thread::sleep(lasts);
                wires[whom].mend();
            }
            Trouble::Hangs | Trouble::HangsAndCut => {
                wires[whom].hang();
                thread::sleep(lasts);
                if let Trouble::HangsAndCut = trouble {
                    wires[whom].cut();
                }
                wires[whom].mend();
            }
            Trouble::Ended => {
                let locks = db.world.user_locks();
                if let Some(lock) = locks.first() {
                    db.world.log_off(lock.seat.0, lock.seat.1);
                }
            }
            Trouble::Clock => db.world.advance(Duration::from_secs(2 * 3_600)),
        }
        judge(&db.world.kills(), &format!("seed {seed}, {told:?}"));
    }
    let before = db.kills().len();
    until(&format!("statements after all of seed {seed}, {told:?}"), || {
        db.kills().len() > before + 1
    });
    drop(daemons);
    judge(&db.world.kills(), &format!("seed {seed}, {told:?}"));
}
