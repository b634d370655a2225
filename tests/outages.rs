//! Failures between the daemon and its databases, and crashes of the daemon at a bad moment.

mod refused;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use crate::site::colleague::{acting, end, log_in};
use crate::site::{Db, Driver, FIVE_HOURS, PASSWORD, Site, drivers, entry, prod, until, wait_for};
use orasim::backend::OnAccept;
use orasim::{Fault, Strike};

/// The clock is moved by hand. One session may be killed; another is busy and does not notice a kill for long.
const OFFICE: &str = prod!(accounts "  DBA: {password: dba}\n", "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
  - {name: looping, user: LOOP, program: loop, machines: [pc2], active: 3h, logged_on: 6h, when_killed: {notices: 20m}}
");

const ENFORCE: &str = "
policies:
  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}
";

fn site(policies: &str) -> Site {
    let site = Site::new();
    site.policies(policies);
    site
}

fn hang(statement: &str) -> Fault {
    Fault {
        statement: Some(statement.to_owned()),
        user: Some("REAPER".to_owned()),
        call: 1,
        times: u32::MAX,
        what: Strike::Hang,
    }
}

/// Two databases, `bad` and `good`, in one configuration.
fn configure_both(site: &Site, driver: &Driver, bad: &Db, good: &Db, more: &str) {
    let bad = entry("bad", driver, &bad.connect_string(), true) + more;
    site.configure_with(&[bad, entry("good", driver, &good.connect_string(), true)], "");
}

#[test]
fn two_entries_that_lead_to_one_database_share_its_budget() {
    let driver = crate::site::thin();
    let two = OFFICE.replace("name: forgotten,", "name: forgotten, count: 2,");
    let db = Db::parse(&two);
    let site = site(ENFORCE);
    let entries = ["one", "other"].map(|name| entry(name, &driver, &db.connect_string(), true));
    site.configure_with(&entries, "limits: {per_hour: 1}\n");
    let daemon = site.run(&driver);
    daemon.looks("one", 2);
    daemon.looks("other", 2);
    assert!(
        daemon.log_text().contains("shows sessions that"),
        "{}",
        daemon.log_text()
    );
    db.advance_between_snapshots(FIVE_HOURS);
    until("the kill", || !db.kills().is_empty());
    daemon.looks("one", 3);
    daemon.looks("other", 3);
    assert_eq!(db.kills().len(), 1, "an hour's budget is the database's");
}

/// GV$ views leave out an instance that has left without a word; an alert needs its series.
#[test]
fn an_instance_that_leaves_is_down_and_is_told_of() {
    let driver = crate::site::thin();
    let two = "instances:\n  - {number: 1, name: prod1, host: node1}\n  - {number: 2, name: prod2, host: node2}\n";
    let lines = OFFICE
        .lines()
        .filter(|line| !line.starts_with("instances:") && !line.starts_with("  - {number: 1"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let db = Db::parse(&format!("{two}{text}"));
    let site = site(ENFORCE);
    site.configure_with(&[entry("orcl", &driver, &db.connect_string(), false)], "");
    let daemon = site.run(&driver);
    let up = |instance: u32| format!("orareaper_up{{database=\"orcl\",inst_id=\"{instance}\"}}");
    daemon.metric_becomes(&up(2), 1.0);
    db.world.leave(2);
    daemon.metric_becomes(&up(2), 0.0);
    daemon.metric_becomes(&up(1), 1.0);
    let note = daemon.says("note on the database");
    assert!(
        note["note"]
            .as_str()
            .is_some_and(|note| note.contains("instance 2 (prod2) was there and is not shown any more")),
        "{note}"
    );
    assert!(daemon.page("/").1.contains("was there and is not shown any more"));
}

/// Whoever reads only the table must not take a database that is down for one without sessions.
#[test]
fn sessions_names_a_database_that_is_down_wherever_the_format_has_a_place() {
    let driver = crate::site::thin();
    let db = Db::parse(OFFICE);
    let site = site(ENFORCE);
    let entries = [
        entry("up", &driver, &db.connect_string(), false),
        entry("down", &driver, "//127.0.0.1:1/X", false),
    ];
    site.configure_with(&entries, "");
    for format in ["text", "json", "csv", "jsonl"] {
        let mut command = site.command(&driver);
        let listed = command
            .args(["--config", "orareaper.yaml", "sessions", "--format", format])
            .output()
            .expect("it runs");
        let (out, err) = (
            String::from_utf8_lossy(&listed.stdout),
            String::from_utf8_lossy(&listed.stderr),
        );
        assert_eq!(listed.status.code(), Some(2), "{format}: {out}{err}");
        assert!(err.contains("connect to down"), "{format}: {err}");
        let has_a_place = matches!(format, "text" | "json");
        assert_eq!(out.contains("connect to down"), has_a_place, "{format}: {out}");
        if format == "json" {
            let errors: Vec<_> = out
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["error"].clone())
                .collect();
            assert!(
                errors.len() == 2 && errors[0].is_null() && errors[1].is_string(),
                "{out}"
            );
        }
    }
    // What is not known of the rows is on standard error where the format has rows only.
    for (format, told) in [("csv", true), ("jsonl", true), ("json", false)] {
        let mut command = site.command(&driver);
        let arguments = [
            "--config",
            "orareaper.yaml",
            "sessions",
            "--database",
            "up",
            "--columns",
            "sid,cpu_rate",
            "--format",
            format,
        ];
        let listed = command.args(arguments).output().expect("it runs");
        let err = String::from_utf8_lossy(&listed.stderr);
        assert_eq!(err.contains("note: up: column cpu_rate"), told, "{format}: {err}");
    }
}

/// The root shows the sessions of its PDBs: an entry for each does not take twice as many.
#[test]
fn an_entry_for_the_root_and_one_for_its_pdb_share_a_budget() {
    let driver = crate::site::thin();
    let text = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
database: {name: CDB, pdbs: [SHOP]}
instances: [{number: 1, name: cdb1, host: node1}]
accounts: {REAPER: {password: r}, C##REAPER: {password: c##reaper's}}
services:
  - {name: shop, container: SHOP}
sessions:
  - {name: forgotten, user: SCOTT, count: 4, container: SHOP, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
";
    let db = Db::parse(&text.replace("c##reaper's", PASSWORD));
    let site = site(ENFORCE);
    let at = |service: &str| format!("//{}/{service}", db.server.addr());
    let pdb = entry("pdb", &driver, &at("shop"), true);
    let root = entry("root", &driver, &at("CDB"), true).replace("user: reaper", "user: c##reaper");
    assert_ne!(root, entry("root", &driver, &at("CDB"), true));
    site.configure_with(&[pdb, root], "limits: {per_hour: 1}\n");
    let daemon = site.run(&driver);
    for name in ["pdb", "root"] {
        daemon.looks(name, 2);
    }
    assert!(
        daemon.log_text().contains("shows sessions that"),
        "{}",
        daemon.log_text()
    );
    db.advance_between_snapshots(FIVE_HOURS);
    until("the kill", || !db.kills().is_empty());
    for name in ["pdb", "root"] {
        daemon.looks(name, 4);
    }
    assert_eq!(db.kills().len(), 1, "an hour's budget is that of the sessions");
}

/// The entry that has used the budget up cannot connect after the restart: the other one knows of its action all the same.
#[test]
fn after_a_restart_the_other_entry_s_actions_count_at_once() {
    let driver = crate::site::thin();
    let two = OFFICE.replace("name: forgotten,", "name: forgotten, count: 2,");
    let db = Db::parse(&two);
    let site = site(ENFORCE);
    let entries = ["one", "other"].map(|name| {
        site.write(name, PASSWORD);
        entry(name, &driver, &db.connect_string(), true).replace("{file: password}", &format!("{{file: {name}}}"))
    });
    site.configure_with(&entries, "limits: {per_hour: 1}\n");
    let mut daemon = site.run(&driver);
    daemon.looks("one", 2);
    daemon.looks("other", 2);
    db.advance_between_snapshots(FIVE_HOURS);
    let intent = site.journals("intent", |_| true);
    until("the kill", || !db.kills().is_empty());
    assert_eq!(intent["identity"]["database"], "PROD", "{intent}");
    daemon.signal("TERM");
    assert_eq!(daemon.ends().code(), Some(0));
    let used_up = intent["database"].as_str().expect("a name");
    site.write(used_up, "Wr0ng-zq7xKw");
    let daemon = site.run(&driver);
    daemon.looks(if used_up == "one" { "other" } else { "one" }, 5);
    assert_eq!(db.kills().len(), 1, "an hour's budget is the database's");
}

#[test]
fn a_database_that_hangs_delays_no_other() {
    for driver in drivers() {
        let (bad, good) = (Db::parse(OFFICE), Db::parse(OFFICE));
        let site = site(ENFORCE);
        configure_both(&site, &driver, &bad, &good, "    call_timeout: 300s\n");
        bad.world.arm(hang("FROM gv$session"));
        let daemon = site.run(&driver);
        daemon.looks("good", 2);
        good.world.advance(FIVE_HOURS);
        until("the other database's kill", || good.kills().len() == 1);
        daemon.looks("good", 2);
        assert_eq!(daemon.log_line("call failed"), None, "the first one still hangs");
        let up = |database: &str| daemon.metric(&format!("orareaper_up{{database=\"{database}\",inst_id=\"1\"}}"));
        assert_eq!((up("good"), up("bad")), (Some(1.0), None));
        assert_eq!(daemon.page("/healthz").0, 200);
    }
}

#[test]
fn nobody_listening_and_a_silent_listener_are_waited_out() {
    for driver in drivers() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let nobody = format!("//{}/PROD", free.local_addr().expect("bound"));
        drop(free);
        let silent = Db::parse(OFFICE);
        silent.world.set_listener(OnAccept::Silent);
        let site = site(ENFORCE);
        site.configure_with(
            &[
                entry("nobody", &driver, &nobody, true),
                entry("silent", &driver, &silent.connect_string(), true) + "    connect_timeout: 1s\n",
            ],
            "",
        );
        let mut daemon = site.run(&driver);
        let down = |name: &str| {
            daemon
                .log()
                .into_iter()
                .find(|line| line["message"] == "database is down" && line["database"] == name)
        };
        until("both to be missed", || {
            down("nobody").is_some() && down("silent").is_some()
        });
        for name in ["nobody", "silent"] {
            let error = down(name).expect("just seen")["error"].to_string();
            assert!(error.contains("; retried automatically"), "{error}");
            assert!(
                error.contains(&format!("connect to {name} with driver {}", driver.name)),
                "{error}"
            );
        }
        assert_eq!(daemon.page("/healthz").0, 200, "a restart would not bring them back");
        assert_eq!(daemon.page("/readyz").0, 503);
        // `plan` says the same once, and fails.
        let output = site
            .command(&driver)
            .args(["--config", "orareaper.yaml", "plan", "--database", "nobody"])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("error: connect to nobody with driver"), "{said}");

        silent.world.set_listener(OnAccept::Serve);
        daemon.looks("silent", 1);
        daemon.signal("TERM");
        assert_eq!(daemon.ends().code(), Some(0));
    }
}

#[test]
fn a_database_that_goes_away_is_found_again() {
    for driver in drivers() {
        let db = Db::parse(OFFICE);
        let site = site(ENFORCE);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        for what in [
            Strike::Cut,
            Strike::Error {
                code: 1034,
                message: "ORACLE not available".into(),
            },
        ] {
            db.world.arm(Fault {
                times: 1,
                what,
                ..hang("FROM gv$session")
            });
            let failed = || {
                daemon
                    .log()
                    .iter()
                    .filter(|line| line["message"] == "call failed")
                    .count()
            };
            let before = failed();
            until("a call to fail", || failed() > before);
            daemon.looks("orcl", 1);
        }
        db.world.advance(FIVE_HOURS);
        until("the kill", || db.kills().len() == 1);
        until("it to be ready", || daemon.page("/readyz").0 == 200);
    }
}

/// The statement hangs on its way, so it is unknown whether Oracle received it; it counts as done and is followed.
#[test]
fn an_intent_without_an_outcome_is_followed_up_and_not_repeated() {
    for driver in drivers() {
        let db = Db::parse(OFFICE);
        let site = site(ENFORCE);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        db.world.arm(hang("ALTER SYSTEM"));
        db.advance_between_snapshots(FIVE_HOURS);
        let intent = site.journals("intent", |_| true);
        daemon.looks("orcl", 2);
        assert_eq!(site.journalled("outcome").len(), 0);
        daemon.signal("KILL");
        drop(daemon);

        db.world.disarm();
        let daemon = site.run(&driver);
        daemon.looks("orcl", 3);
        assert_eq!(site.journalled("intent").len(), 1, "it is not tried again");
        assert!(db.kills().is_empty());
        // It is not KILLED, but the database's clock has stood still since the intent: by that clock this daemon's sessions may be those
        // that the statement was sent through, so nobody knows. It is spared, and not counted as lingering.
        db.world.advance(Duration::from_secs(120));
        daemon.looks("orcl", 3);
        assert_eq!(site.journalled("verification").len(), 0);
        daemon.metric_becomes("orareaper_lingering_sessions{database=\"orcl\",inst_id=\"1\"}", 0.0);
        db.world
            .log_off(1, u32::try_from(intent["sid"].as_u64().expect("a SID")).expect("small"));
        site.journals("verification", |record| {
            record["proof"] == "gone" && record["id"] == intent["id"]
        });
        assert_eq!(site.journalled("intent").len(), 1);
    }
}

/// The statement was carried out and its answer was lost: the first complete snapshot after a restart proves it.
#[test]
fn an_unknown_outcome_is_verified_by_the_first_snapshot_after_a_restart() {
    for driver in drivers() {
        let db = Db::parse(OFFICE);
        let site = site(ENFORCE);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        db.world.arm(hang("ALTER SYSTEM"));
        db.world.advance(FIVE_HOURS);
        let intent = site.journals("intent", |_| true);
        daemon.signal("KILL");
        drop(daemon);

        db.world.disarm();
        db.world
            .log_off(1, u32::try_from(intent["sid"].as_u64().expect("a SID")).expect("small"));
        let daemon = site.run(&driver);
        daemon.says("cycle done");
        let log = daemon.log();
        let place = |message: &str| log.iter().position(|line| line["message"] == message);
        assert!(place("action verified").is_some(), "{log:#?}");
        assert!(
            place("action verified") < place("cycle done"),
            "in the first cycle: {log:#?}"
        );
        let proof = site.journals("verification", |_| true);
        assert_eq!((&proof["id"], &proof["proof"]), (&intent["id"], &"gone".into()));
        assert_eq!(site.journalled("outcome")[0]["outcome"], "unknown");
    }
}

/// The daemon is killed while Oracle makes it wait for the answer; the end of the session is still its effect.
#[test]
fn a_kill_under_way_is_followed_to_its_end_by_the_next_daemon() {
    for driver in drivers() {
        let db = Db::parse(OFFICE);
        let site = site("policies: [{name: loops, mode: enforce, when: RUNNING longer than 2h, action: kill}]");
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        until("the statement to be waiting", || {
            db.kills().first().is_some_and(|kill| kill.1.is_none())
        });
        daemon.signal("KILL");
        drop(daemon);
        assert_eq!(site.journalled("outcome").len(), 0);

        let daemon = site.run(&driver);
        daemon.looks("orcl", 2);
        db.world.advance(Duration::from_secs(21 * 60));
        let proof = site.journals("verification", |record| record["proof"] != "lingers");
        assert_eq!(proof["proof"], "gone");
        daemon.looks("orcl", 2);
        assert_eq!(db.kills().len(), 1, "nothing is repeated");
        assert!(db.seats_of("LOOP").is_empty());
    }
}

/// Reading many sessions costs few round trips, and with the Oracle client no statement is parsed a second time.
#[test]
fn thousands_of_sessions_cost_few_round_trips() {
    const SESSIONS: u64 = 4_500;
    for driver in drivers() {
        let crowd = format!(
            "{OFFICE}  - {{name: crowd, user: CROWD, count: {SESSIONS}, program: JDBC Thin Client, machines: [app1], idle: 1h, \
             logged_on: 6h}}\nparameters: {{sessions: \"20000\", processes: \"20000\"}}\n"
        );
        let db = Db::parse(&crowd);
        let site = site(ENFORCE);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        // The connection that stands by is made after the first, and asked for the first time some polls later.
        daemon.looks("orcl", 4);
        let (before, told) = (db.server.stats(), round_trips(&daemon));
        daemon.looks("orcl", 3);
        let (after, told_after) = (db.server.stats(), round_trips(&daemon));
        let executions = after.executions - before.executions;
        let trips = after.round_trips - before.round_trips;
        // The polls before showed how many there are: all of them come with the answer to their query. The thin driver asks for 250 at a
        // time. Between the two looks at the counters up to five polls were under way.
        let fetches = if driver.name == "oci" {
            0
        } else {
            5 * (SESSIONS + 100) / 250
        };
        let most = 2 * executions + fetches;
        assert!(
            trips <= most,
            "{trips} round trips for {executions} queries with driver {}",
            driver.name
        );
        let fetched = after.fetches - before.fetches;
        assert!(fetched <= fetches, "{fetched} fetches with driver {}", driver.name);
        assert!(
            told_after > told && told_after - told <= trips as f64 + most as f64,
            "{told} {told_after}"
        );
        if driver.name == "oci" {
            assert_eq!(after.parses, before.parses, "no statement is parsed again");
        }
    }
}

fn round_trips(daemon: &crate::site::Daemon) -> f64 {
    let told = daemon.metric("orareaper_driver_round_trips_total{database=\"orcl\"}");
    told.expect("it is counted")
}

#[test]
fn a_reader_of_the_log_that_stops_does_not_stop_the_daemon() {
    let driver = crate::site::thin();
    for stuck in [true, false] {
        let db = Db::parse(OFFICE);
        let site = site(ENFORCE);
        site.configure(&driver, &db);
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let pages = free.local_addr().expect("bound");
        drop(free);
        let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
        site.write(
            "orareaper.yaml",
            config.replacen("listen: 127.0.0.1:0", &format!("listen: {pages}"), 1),
        );
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let held = if stuck {
            // As much as a pipe takes: the first line already finds no room.
            std::io::Write::write_all(&mut writer, &[b'x'; 64 * 1024]).expect("it takes so much");
            Some(reader)
        } else {
            drop(reader);
            None
        };
        let mut command = site.command(&driver);
        command
            .args(["--log", "debug", "--config", "orareaper.yaml", "run"])
            .stderr(writer);
        let mut child = command.spawn().expect("it starts");
        // The parent's end of the pipe goes with the command.
        drop(command);
        until("the first look", || db.server.stats().round_trips > 20);
        db.world.advance(FIVE_HOURS);
        until("the kill", || db.kills().len() == 1);
        assert!(std::net::TcpStream::connect(pages).is_ok(), "its pages are there");
        let told = std::process::Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", child.id())])
            .status();
        assert!(told.is_ok_and(|told| told.success()));
        let ended = wait_for("its end", || child.try_wait().expect("it can be asked"));
        assert_eq!(ended.code(), Some(0), "stuck: {stuck}");
        drop(held);
    }
}

/// A statement that never comes back, as a call that loops in a driver never does: its thread is lost, and nothing else.
#[test]
fn a_call_that_never_comes_back_while_it_acts_delays_no_other_database_no_pause_no_page_and_no_stop() {
    for driver in drivers() {
        // Another database: one that is the same would wait for the first one's actions.
        let (bad, good) = (
            Db::parse(&OFFICE.replace("name: PROD", "name: OTHER")),
            Db::parse(OFFICE),
        );
        let site = site(ENFORCE);
        configure_both(&site, &driver, &bad, &good, "    call_timeout: 300s\n");
        bad.world.arm(hang("ALTER SYSTEM"));
        let manager = std::os::unix::net::UnixDatagram::bind(site.path("notify")).expect("a socket");
        manager.set_read_timeout(Some(crate::site::PATIENCE)).expect("a limit");
        let hears = |what: &str| {
            until(what, || {
                let mut bytes = [0; 4096];
                let length = manager.recv(&mut bytes).expect("a message");
                String::from_utf8_lossy(&bytes[..length]).contains(what)
            });
        };
        let mut daemon = site.run_with(&driver, |command| {
            command.env("NOTIFY_SOCKET", site.path("notify"));
            command.env("WATCHDOG_USEC", "1000000");
        });
        daemon.looks("bad", 1);
        bad.world.advance(FIVE_HOURS);
        site.journals("intent", |record| record["database"] == "bad");
        daemon.looks("bad", 3);
        good.world.advance(FIVE_HOURS);
        until("the other database's kill", || good.kills().len() == 1);
        site.journals("outcome", |record| record["database"] == "good");
        assert_eq!(site.journalled("outcome").len(), 1, "the first one still hangs");
        assert_eq!(daemon.page("/healthz").0, 200);
        assert!(daemon.page("/").1.contains("bad"));
        // The loops go on, so the watchdog is fed: a restart would not know more.
        for _ in 0..3 {
            hears("WATCHDOG=1");
        }
        let paused = site
            .command(&driver)
            .args(["pause", "--reason", "it hangs"])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&paused.stdout).into_owned() + &String::from_utf8_lossy(&paused.stderr);
        assert!(paused.status.success() && said.contains("bad: ALTER SYSTEM"), "{said}");
        daemon.signal("TERM");
        assert_eq!(daemon.ends().code(), Some(0));
    }
}
