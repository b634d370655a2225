//! The daemon from the operator's view: signals, reloads, systemd, pages, the kill switch, `armed` and the dry run.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::site::{
    Daemon, Db, FIVE_HOURS, PATIENCE, Site, drivers, entry, fetched, not_run, prod, thin, until, wait_for,
};
use orasim::{Fault, Strike};

/// One idle session that a policy may take, and a pool that none takes.
const OFFICE: &str = prod!(
    running,
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
  - {name: pool, user: SHOP, count: 4, program: JDBC Thin Client, machines: [app1], cycle: {busy: 1s, idle: 10s}}
"
);

const ENFORCE: &str = "
policies:
  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}
";

fn office(policies: &str) -> (Db, Site) {
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.policies(policies);
    site.configure(&thin(), &db);
    (db, site)
}

/// Makes the database hang at the next query of its sessions; returns when that query has arrived.
fn hang_at_the_next_look(db: &Db, daemon: &Daemon) {
    daemon.looks("orcl", 1);
    db.world.arm(Fault {
        statement: Some("FROM gv$session".into()),
        user: Some("REAPER".into()),
        call: 1,
        times: u32::MAX,
        what: Strike::Hang,
    });
    let before = db.server.stats().executions;
    until("the call that hangs", || db.server.stats().executions > before);
}

fn killed(db: &Db) -> usize {
    db.world.kills().len()
}

#[test]
fn a_signal_stops_it_even_while_a_call_hangs() {
    for driver in drivers() {
        for signal in ["TERM", "INT"] {
            let db = Db::parse(OFFICE);
            let site = Site::new();
            site.policies(ENFORCE);
            // Far longer than the test waits for the end of the program.
            let call_timeout = "    call_timeout: 300s\n".to_owned();
            site.configure_with(&[entry("orcl", &driver, &db.connect_string(), true), call_timeout], "");
            let mut daemon = site.run(&driver);
            hang_at_the_next_look(&db, &daemon);
            daemon.signal(signal);
            let ended = daemon.ends();
            assert_eq!(ended.code(), Some(0), "SIG{signal} with driver {}", driver.name);
            assert_eq!(site.journalled("stopping").len(), 1);
            assert_eq!(daemon.output(), "", "nothing of this is a result");
        }
    }
}

/// Two signals sent while the process is stopped arrive together, and the handler that runs second finds the flag set. If two
/// threads handle one signal each at the same time, both may be first; so the test makes a few attempts.
#[test]
fn a_second_signal_ends_it_at_once() {
    let attempt = || {
        let (_db, site) = office(ENFORCE);
        let mut daemon = site.run(&thin());
        daemon.looks("orcl", 1);
        for signal in ["STOP", "TERM", "INT", "CONT"] {
            daemon.signal(signal);
        }
        let code = daemon.ends().code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
        if code == Some(1) {
            assert_eq!(
                site.journalled("stopping").len(),
                0,
                "it did not stop to write that down"
            );
        }
        code == Some(1)
    };
    assert!((0..5).any(|_| attempt()), "no second signal was heard");
}

#[test]
fn a_reload_takes_the_new_policies_or_keeps_the_old_ones() {
    let (db, site) = office("policies: [{name: first, mode: dry-run, when: INACTIVE longer than 4h, action: kill}]");
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    daemon.metric_becomes("orareaper_reload_success", 1.0);
    assert_eq!(daemon.page("/readyz").0, 200);

    site.policies("policies: [{name: second, mode: enforce, when: INACTIVE longer then 4h, action: kill}]");
    daemon.signal("HUP");
    daemon.metric_becomes("orareaper_reload_success", 0.0);
    let line = daemon.says("reload failed; what was in force stays in force");
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("policies.yaml:1:") && error.contains("then"), "{line}");
    daemon.looks("orcl", 2);
    assert_eq!(daemon.page("/readyz").0, 200, "it does its work");
    let matches = |policy: &str| format!("orareaper_policy_matches{{database=\"orcl\",policy=\"{policy}\"}}");
    assert_eq!(daemon.metric(&matches("first")), Some(0.0));
    assert_eq!(daemon.metric(&matches("second")), None);

    // An invalid configuration changes nothing either.
    let good = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    site.policies(ENFORCE);
    site.write("orareaper.yaml", good.replace("armed: true", "armed: perhaps"));
    daemon.signal("HUP");
    until("the second failure", || site.journalled("policies_failed").len() == 2);
    assert_eq!(daemon.metric(&matches("forgotten")), None);

    site.write("orareaper.yaml", good);
    daemon.signal("HUP");
    daemon.metric_becomes("orareaper_reload_success", 1.0);
    until("the new policy", || daemon.metric(&matches("forgotten")).is_some());
    assert_eq!(daemon.metric(&matches("first")), None, "the old one is forgotten");
    db.world.advance(FIVE_HOURS);
    until("the new policy to act", || killed(&db) == 1);
}

struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(site: &Site) -> Manager {
        let path = site.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Manager { socket, path }
    }

    /// The next message other than WATCHDOG=1, as its assignments.
    fn hears(&self) -> HashMap<String, String> {
        loop {
            let message = self.any();
            if !message.contains_key("WATCHDOG") {
                return message;
            }
        }
    }

    fn any(&self) -> HashMap<String, String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        let text = std::str::from_utf8(&bytes[..length]).expect("text");
        let assignments = text.lines().filter_map(|line| line.split_once('='));
        assignments.map(|(name, value)| (name.into(), value.into())).collect()
    }
}

#[test]
fn the_service_manager_is_told_what_is_true() {
    let (db, site) = office(ENFORCE);
    let manager = Manager::new(&site);
    let mut daemon = site.run_with(&thin(), |command| {
        command.env("NOTIFY_SOCKET", &manager.path);
        command.env("WATCHDOG_USEC", "1000000");
    });
    let ready = manager.hears();
    assert_eq!(ready["READY"], "1");
    assert_eq!(
        ready["STATUS"],
        "policies: 1; exemptions: 0; databases: 1, of them armed: 1"
    );
    let fed = |count: usize| {
        for _ in 0..count {
            until("the watchdog to be fed", || manager.any().contains_key("WATCHDOG"));
        }
    };
    fed(2);

    daemon.signal("HUP");
    let reloading = manager.hears();
    assert_eq!(reloading["RELOADING"], "1");
    let at: u64 = reloading["MONOTONIC_USEC"].parse().expect("a number");
    let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux");
    let uptime: f64 = uptime
        .split(' ')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .expect("seconds");
    assert!(at > 0 && (at as f64) <= (uptime + 2.0) * 1e6, "{at} of {uptime}s");
    assert_eq!(manager.hears()["READY"], "1");

    // A failed reload is reported as ended too, or systemd would wait for it; the status says that it failed.
    site.policies("policies: nonsense");
    daemon.signal("HUP");
    assert_eq!(manager.hears()["RELOADING"], "1");
    let kept = manager.hears();
    assert_eq!(kept["READY"], "1");
    assert!(kept["STATUS"].contains("failed"), "{kept:?}");

    // A hanging database must not stop the watchdog messages.
    hang_at_the_next_look(&db, &daemon);
    fed(4);
    daemon.signal("TERM");
    let stopping = manager.hears();
    assert_eq!(stopping["STOPPING"], "1");
    assert_eq!(daemon.ends().code(), Some(0));
}

#[test]
fn the_pages_answer() {
    let (db, site) = office(ENFORCE);
    db.world.set_listener(orasim::backend::OnAccept::Silent);
    site.configure_with(
        &[
            entry("orcl", &thin(), &db.connect_string(), true),
            "    connect_timeout: 1s\n".into(),
        ],
        "",
    );
    let daemon = site.run(&thin());
    assert_eq!(daemon.page("/healthz").0, 200);
    until("the reason why it is not ready", || {
        let (status, why) = daemon.page("/readyz");
        assert_eq!(status, 503, "{why}");
        why.contains("orcl")
    });
    daemon.says("database is down");
    db.world.set_listener(orasim::backend::OnAccept::Serve);
    until("it to be ready", || daemon.page("/readyz").0 == 200);
    assert_eq!(daemon.page("/healthz").0, 200);
    let (status, page) = daemon.page("/");
    assert!(
        status == 200 && page.contains("orcl") && page.contains("forgotten"),
        "{page}"
    );
    assert_eq!(daemon.page("/nothing").0, 404);
    db.world.advance(FIVE_HOURS);
    until("a kill", || killed(&db) == 1);
    site.journals("verification", |_| true);

    let (status, metrics) = daemon.page("/metrics");
    assert_eq!(status, 200);
    for name in [
        "up{database=\"orcl\",inst_id=\"1\"} 1",
        "actions_total{",
        "build_info{",
        "policies_loaded 1",
    ] {
        assert!(metrics.contains(&format!("orareaper_{name}")), "{name}\n{metrics}");
    }
    assert!(
        !metrics.contains("sqlplus") && !metrics.contains("pc1"),
        "no label is a session's own text"
    );
    promtool_is_content(&metrics);
}

fn promtool_is_content(metrics: &str) {
    let tool = std::env::var_os("PROMTOOL").map_or_else(|| fetched("bin/promtool"), PathBuf::from);
    if !tool.exists() {
        not_run("no promtool");
        return;
    }
    let mut child = Command::new(tool)
        .args(["check", "metrics", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(metrics.as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{metrics}");
}

#[test]
fn a_pause_is_obeyed_within_a_cycle_and_ended_likewise() {
    let (db, site) = office(ENFORCE);
    let orareaper = |arguments: &[&str]| {
        let mut command = site.command(&thin());
        let output = command
            .args(["--config", "orareaper.yaml"])
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    let said = orareaper(&["pause", "--reason", "month end"]);
    assert!(said.contains("paused by") && said.contains("month end"), "{said}");
    assert!(
        said.contains(&daemon.pid().to_string()) && said.contains("resume"),
        "{said}"
    );
    db.world.advance(FIVE_HOURS);
    daemon.looks("orcl", 3);
    assert_eq!(killed(&db), 0);
    assert_eq!(daemon.metric("orareaper_paused"), Some(1.0));
    assert_eq!(site.journalled("paused").len(), 1, "said once");
    assert_eq!(site.journalled("intent").len(), 0);
    orareaper(&["resume"]);
    until("the kill", || killed(&db) == 1);
    assert_eq!(daemon.metric("orareaper_paused"), Some(0.0));
    assert!(orareaper(&["resume"]).contains("not paused"));
}

#[test]
fn unarmed_databases_and_dry_runs_get_no_statement() {
    for (armed, dry_run) in [(false, false), (true, true)] {
        for driver in drivers() {
            let db = Db::parse(OFFICE);
            let site = Site::new();
            site.policies(ENFORCE);
            site.configure_with(&[entry("orcl", &driver, &db.connect_string(), armed)], "");
            let daemon = site.run_with(&driver, |command| {
                command.args(dry_run.then_some("--dry-run"));
            });
            daemon.looks("orcl", 1);
            db.world.advance(FIVE_HOURS);
            let outcome = site.journals("outcome", |_| true);
            assert_eq!(outcome["outcome"], "assumed", "{outcome}");
            assert_eq!(site.journalled("intent")[0]["mode"], "dry-run");
            let statement = outcome["statement"].as_str().unwrap_or_default();
            assert!(statement.starts_with("ALTER SYSTEM KILL SESSION '"), "{outcome}");
            daemon.looks("orcl", 3);
            assert_eq!(killed(&db), 0);
            assert_eq!(db.seats_of("SCOTT").len(), 1);
            assert_eq!(
                site.journalled("outcome").len(),
                1,
                "assumed dead, it is not taken again"
            );
            let acted = |mode: &str| {
                daemon.metric(&format!(
                    "orareaper_actions_total{{action=\"kill\",database=\"orcl\",inst_id=\"1\",mode=\"{mode}\",\
                     outcome=\"assumed\",policy=\"forgotten\"}}"
                ))
            };
            assert_eq!((acted("dry-run"), acted("enforce")), (Some(1.0), None));
        }
    }
}

#[test]
fn a_state_folder_has_one_daemon() {
    let (_db, site) = office(ENFORCE);
    let first = site.run(&thin());
    let mut second = site.spawn(&thin(), |_| {});
    assert_eq!(second.ends().code(), Some(2));
    let said = wait_for("its last words", || {
        let text = second.log_text();
        text.contains("error: ").then_some(text)
    });
    assert!(
        said.contains("state") && said.contains(&first.pid().to_string()),
        "{said}"
    );
    first.looks("orcl", 1);
}

#[test]
fn journal_and_reports_are_complete_after_a_stop() {
    let (db, site) = office(ENFORCE);
    let mut daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    db.world.advance(FIVE_HOURS);
    site.journals("verification", |_| true);
    daemon.signal("TERM");
    daemon.ends();
    let kinds: Vec<String> = site
        .journal()
        .iter()
        .map(|record| record["kind"].as_str().unwrap_or_default().to_owned())
        .collect();
    let expected = [
        "started",
        "policies_loaded",
        "database_up",
        "intent",
        "outcome",
        "verification",
        "stopping",
    ];
    assert_eq!(kinds, expected);
    let intent = &site.journalled("intent")[0];
    assert_eq!(intent["username"], "SCOTT");
    assert_eq!(intent["session"]["status"], "INACTIVE", "the evidence: {intent}");
    let html = std::fs::read_to_string(site.path("state/reports/orcl.html")).expect("a report");
    assert!(html.contains("SCOTT") && html.contains("forgotten"));
    let json = std::fs::read_to_string(site.path("state/reports/orcl.json")).expect("a report");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["decisions"][0]["username"], "SCOTT");
    let history = |arguments: &[&str]| {
        let output = site
            .command(&thin())
            .args(["--config", "orareaper.yaml", "history"])
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = history(&["--format", "json"]);
    let entry: serde_json::Value = serde_json::from_str(&shown).expect("one action on one line");
    for (key, expected) in [("username", "SCOTT"), ("policy", "forgotten"), ("outcome", "done")] {
        assert_eq!(entry[key], expected, "{entry}");
    }
    assert_eq!(entry["proofs"][0]["proof"], "gone", "{entry}");
    assert_eq!(entry["statement"], intent["statement"]);
    assert!(history(&["--user", "scott"]).contains("forgotten"));
    assert!(history(&["--user", "SHOP"]).contains("nothing was done"));
    let instance = entry["inst_id"].as_u64().expect("a number");
    assert!(history(&["--session", &format!("@{instance}")]).contains("forgotten"));
    assert!(history(&["--session", &format!("@{}", instance + 1)]).contains("nothing was done"));
    let verified = history(&["--verify"]);
    assert!(
        verified.contains("whole: ") && verified.contains("first record of the journal"),
        "{verified}"
    );
    let log = daemon.log_text();
    assert!(
        log.contains("about to act") && log.contains("action ended") && log.contains("action verified"),
        "{log}"
    );
}

/// What a unit that does not come up shows in `systemctl status`.
#[test]
fn an_address_that_cannot_be_served_says_what_to_set() {
    let (_db, site) = office(ENFORCE);
    let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    // An address for documentation (RFC 5737), which no host has.
    site.write(
        "orareaper.yaml",
        config.replace(
            "listen: 127.0.0.1:0",
            "listen: 192.0.2.1:9763\nlisten_unprotected: true",
        ),
    );
    let mut daemon = site.spawn(&thin(), |_| {});
    assert_eq!(daemon.ends().code(), Some(2));
    until("the reason", || {
        let log = daemon.log_text();
        log.contains("listen on 192.0.2.1:9763") && log.contains("`listen:` in the configuration")
    });
}

/// The start waits for the port for some time, and then says what to do.
#[test]
fn a_port_that_stays_busy_ends_the_start_with_a_hint() {
    let (_db, site) = office(ENFORCE);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    site.write(
        "orareaper.yaml",
        config.replace("listen: 127.0.0.1:0", &format!("listen: {address}")),
    );
    let mut daemon = site.spawn(&thin(), |_| {});
    assert_eq!(daemon.ends().code(), Some(2));
    let hint = "another program has this port; set another address or port with `listen:` in the configuration";
    until("the hint", || {
        let log = daemon.log_text();
        log.contains(&format!("listen on {address}")) && log.contains(hint)
    });
    assert!(site.journal().is_empty(), "nothing was begun: {:?}", site.journal());
}

#[test]
fn a_busy_port_is_told_while_it_is_waited_for() {
    let (_db, site) = office(ENFORCE);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    site.write(
        "orareaper.yaml",
        config.replace("listen: 127.0.0.1:0", &format!("listen: {address}")),
    );
    let manager = Manager::new(&site);
    let mut daemon = site.spawn(&thin(), |command| {
        command.env("NOTIFY_SOCKET", &manager.path);
    });
    let waiting = manager.hears();
    assert!(
        !waiting.contains_key("READY") && waiting["STATUS"].contains(&format!("for {address}")),
        "{waiting:?}"
    );
    drop(taken);
    let up = manager.hears();
    assert_eq!(
        (up["READY"].as_str(), up["STATUS"].as_str()),
        ("1", "policies: 1; exemptions: 0; databases: 1, of them armed: 1")
    );
    daemon.signal("TERM");
    assert_eq!(daemon.ends().code(), Some(0));
}
