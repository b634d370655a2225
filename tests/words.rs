//! Columns that other views or several snapshots tell, over the wire with both drivers: parallel servers, accounts, rates.
//!
//! `plan` reads and decides as the daemon does, over one snapshot. Rates take two, so the daemon itself is asked, and what it sends
//! shows that the session was found to deserve it when it was read again.

use serde_json::Value;

use crate::site::{Db, Driver, Site, colleague, drivers, wait_for};

const SESSIONS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}, {number: 2, name: prod2, host: db2}]
accounts:
  REAPER: {password: r}
  OLDSHOP: {status: locked}
  LATE: {status: grace}
  BASE: {oracle_maintained: true}
sessions:
  - {name: hog, user: HOG, program: sqlplus, machines: [desk1], idle: 20m, px_servers: 3}
  - {name: work, user: WORK, program: sqlplus, machines: [desk1], active: 20m, px_servers: 2}
  - {name: none, user: NONE, program: app, machines: [app1], idle: 20m}
  - {name: old, user: OLDSHOP, program: app, machines: [app1], idle: 20m}
  - {name: late, user: LATE, program: app, machines: [app1], idle: 20m}
  - {name: base, user: BASE, program: app, machines: [app1], idle: 20m}
";

/// USERNAME of each session that a policy would act on, and the notes.
fn planned(driver: &Driver, scenario: &str, when: &str) -> (Vec<String>, String) {
    let db = Db::parse(scenario);
    let site = Site::new();
    site.policies(&format!(
        "policies:\n  - {{name: reap, limits: {{share: 100%}}, action: kill, when: \"{when}\"}}\n"
    ));
    site.configure(driver, &db);
    let mut command = site.command(driver);
    command.args(["--config", "orareaper.yaml", "plan", "--format", "json"]);
    let output = command.output().expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let plan: Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    let decisions = plan["decisions"].as_array().expect("a list").iter();
    let acted = decisions.filter(|decision| decision["decision"] == "act");
    let mut names: Vec<String> = acted
        .map(|decision| decision["username"].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    (names, plan["notes"].to_string())
}

fn acts_on(driver: &Driver, scenario: &str, when: &str, names: &[&str]) {
    let (acted, notes) = planned(driver, scenario, when);
    assert_eq!(acted, names, "{when} over {}: {notes}", driver.name);
}

#[test]
fn parallel_servers_count_for_the_session_that_holds_them_idle_or_not() {
    for driver in drivers() {
        acts_on(&driver, SESSIONS, "px_servers >= 3", &["HOG"]);
        acts_on(&driver, SESSIONS, "px_servers = 2", &["WORK"]);
        acts_on(
            &driver,
            SESSIONS,
            "px_servers = 0 and username in (NONE, HOG, WORK)",
            &["NONE"],
        );
        acts_on(&driver, SESSIONS, "px_servers is null", &[]);
        let blind = SESSIONS.replace("{password: r}", "{password: r, views: [V$INSTANCE, GV$INSTANCE, GV$SESSION, V$DATABASE, V$PARAMETER, DBA_USERS, GV$TRANSACTION]}");
        for when in ["px_servers >= 0", "not px_servers >= 1", "px_servers is null"] {
            let (acted, notes) = planned(&driver, &blind, when);
            assert!(
                acted.is_empty() && notes.contains("px_servers is unknown"),
                "{when}: {acted:?} {notes}"
            );
        }
    }
}

#[test]
fn the_account_of_a_sessions_user_is_what_the_dictionary_says() {
    for driver in drivers() {
        acts_on(&driver, SESSIONS, "account_status = 'LOCKED'", &["OLDSHOP"]);
        acts_on(&driver, SESSIONS, "not account_status = 'OPEN'", &["LATE", "OLDSHOP"]);
        acts_on(&driver, SESSIONS, "profile is null or account_status is null", &[]);
        // The one that Oracle maintains is protected besides.
        let ours = "oracle_maintained = 'N' and profile is not null and idle > 1m";
        acts_on(&driver, SESSIONS, ours, &["HOG", "LATE", "NONE", "OLDSHOP"]);
        let blind = SESSIONS.replace("{password: r}", "{password: r, views: [V$INSTANCE, GV$INSTANCE, GV$SESSION, V$DATABASE, V$PARAMETER, GV$TRANSACTION, GV$PX_SESSION]}");
        for when in [
            "not account_status = 'OPEN'",
            "profile is null",
            "not oracle_maintained = 'Y'",
        ] {
            let (acted, notes) = planned(&driver, &blind, when);
            assert!(
                acted.is_empty() && notes.contains("account_status, profile and oracle_maintained"),
                "{when}: {acted:?} {notes}"
            );
        }
        // ORACLE_MAINTAINED came with 12.1; the rest was there before.
        let old = SESSIONS.replace("19.22.0.0.0", "11.2.0.4.0");
        acts_on(&driver, &old, "account_status = 'LOCKED'", &["OLDSHOP"]);
        acts_on(
            &driver,
            &old,
            "oracle_maintained = 'N' or oracle_maintained is null or not oracle_maintained = 'Y'",
            &[],
        );
    }
}

/// The same name in two PDBs, of which one has locked it.
const CONTAINERS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: CDB, pdbs: [SHOP, DWH]}
instances: [{number: 1, name: cdb1, host: db1}]
accounts: {REAPER: {password: r}, OLD: {status: locked}}
sessions:
  - {name: shop, user: OLD, container: SHOP, program: app, machines: [app1], idle: 20m}
  - {name: dwh, user: NEW, container: DWH, program: app, machines: [app1], idle: 20m}
";

#[test]
fn in_the_root_an_account_is_that_of_the_sessions_container() {
    for driver in drivers() {
        acts_on(&driver, CONTAINERS, "account_status = 'LOCKED'", &["OLD"]);
        acts_on(
            &driver,
            CONTAINERS,
            "account_status = 'OPEN' and username in (OLD, NEW)",
            &["NEW"],
        );
    }
}

/// Twenty seconds pass there in one here.
const BUSY: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 20
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: busy, user: BUSY, program: app, machines: [app1], active: 2h}
  - {name: calm, user: CALM, program: app, machines: [app1], idle: 2h}
";

#[test]
fn a_rate_is_known_from_the_second_snapshot_on_and_asked_again_before_the_statement() {
    for driver in drivers() {
        let when = "cpu_rate >= 1% and reads_rate >= 1";
        let (acted, notes) = planned(&driver, BUSY, when);
        assert!(
            acted.is_empty()
                && notes.contains("column cpu_rate is missing (it is what a session used in the last minute"),
            "{acted:?} {notes}"
        );
        let db = Db::parse(BUSY);
        let site = Site::new();
        let never = "cpu_rate is null or redo_rate is null or reads_rate is null";
        site.policies(&format!(
            "policies:\n  - {{name: reap, mode: enforce, limits: {{share: 100%}}, action: kill, when: \"{when}\", unless: username = CALM}}\n  \
             - {{name: never, mode: enforce, limits: {{share: 100%}}, action: kill, when: \"{never}\"}}\n"
        ));
        site.configure(&driver, &db);
        let _daemon = site.run(&driver);
        let busy = db.seats_of("BUSY");
        wait_for("a kill", || (!db.kills().is_empty()).then_some(()));
        let killed: Vec<(u32, u32)> = db.kills().iter().map(|((_, sid, serial), _)| (*sid, *serial)).collect();
        assert_eq!(killed, busy, "over {}", driver.name);
        let intent = site.journals("intent", |_| true);
        assert_eq!(intent["policy"], "reap");
    }
}

/// Idle sessions, one of which somebody kills; its row stays until its client calls.
const VICTIM: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: r}, KILLER: {password: KILLER}}
sessions:
  - {name: victim, user: VICTIM, program: app, machines: [app1], idle: 2h, when_killed: {lingers: 10m}}
";

#[test]
fn a_report_tells_of_a_session_that_somebody_else_killed_and_sends_nothing() {
    for driver in drivers() {
        let db = Db::parse(VICTIM);
        let site = Site::new();
        site.policies(
            "policies:\n  - {name: tell, mode: enforce, when: \"status = 'KILLED'\", action: report}\n  \
             - {name: reap, mode: enforce, when: \"status = 'KILLED' or last_call_et > 3h\", limits: {share: 100%}, action: kill immediate}\n",
        );
        site.configure(&driver, &db);
        let (sid, serial) = db.seats_of("VICTIM")[0];
        let mut killer = colleague::log_in(&db, "KILLER").expect("it logs in");
        colleague::end((i64::from(sid), i64::from(serial)), &mut *killer);
        let daemon = site.run(&driver);
        site.journals("outcome", |record| record["outcome"] == "reported");
        let told = site.journals("intent", |_| true);
        assert_eq!(
            (&told["policy"], &told["sid"]),
            (&Value::from("tell"), &Value::from(sid))
        );
        daemon.looks("orcl", 3);
        assert_eq!(
            site.journalled("intent").len(),
            1,
            "it is told of once, and never acted on"
        );
        assert_eq!(db.kills().len(), 1, "the one that somebody else sent");
    }
}
