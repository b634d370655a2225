//! `via: package`: what `setup-sql --guard` prints, as printed, in a simulated database. The daemon ends sessions by the package; the
//! package itself refuses to end protected sessions, also for another client with the daemon's account; `doctor` names what is missing.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::both::{on_both_drivers, target};
use crate::site::permit::{permitted, permitted_call};
use crate::site::{Driver, PASSWORD, Site, drivers, entry, fetched, not_run, thin, wait_for};
use orareaper::oracle::{ActingConnection, BlockAnswer, ConnectSlot};
use orasim::backend::{Client, ConnectTo};
use orasim::local::{Local, shown};
use orasim::scenario::Length;
use orasim::{Fault, Scenario, Server, SessionView, Strike, World};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

const DATABASE: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}, {number: 2, name: prod2, host: db2}]
accounts: {SYS: {password: sys, oracle_maintained: true}}
sessions:
  - {name: pool, user: SHOP, count: 3, instances: [1], program: JDBC Thin Client, idle: 5h}
  - {name: busy, user: LOAD, instances: [1], program: load, active: 5h, sql_id: 8yds4k9tqmh3u, when_killed: {notices: 1h}}
  - {name: far, user: SHOP, instances: [2], program: app, idle: 1m}
  - {name: owner, user: BOSS, instances: [1], program: app, idle: 5h}
  - {name: system, user: SYSTEM, instances: [1], program: app, idle: 5h}
  - {name: sys, user: SYS, instances: [1], program: app, idle: 5h}
  - {name: job, user: SHOP, instances: [1], program: 'oracle@{host} (J000)', idle: 5h}
";

const POLICIES: &str = "
policies:
  - name: idle
    mode: enforce
    when: username = SHOP and INACTIVE longer than 4h and inst_id = 1
    limits: {share: 100%}
    action: kill immediate
";

/// A database on which the output of `setup-sql --guard` was run, and a host beside it.
struct Desk {
    site: Site,
    world: Arc<World>,
    server: Server,
    statements: Vec<String>,
}

fn desk(driver: &Driver, scenario: &str) -> Desk {
    desk_with(driver, scenario, &["--for", "19c", "--rac"], POLICIES)
}

fn desk_with(driver: &Driver, scenario: &str, arguments: &[&str], policies: &str) -> Desk {
    let world = World::new(Scenario::parse(scenario).unwrap_or_else(|error| panic!("{error}")));
    let server = Server::start(Arc::clone(&world) as _, SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let site = Site::new();
    site.policies(policies);
    let connect = format!("//{}/PROD", server.addr());
    let entry = entry("prod", driver, &connect, true) + "    via: package\n";
    site.configure_with(&[entry], "");
    let printed = site
        .command(driver)
        .args(["--config", "orareaper.yaml", "setup-sql"])
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let text = String::from_utf8(printed.stdout).expect("text");
    let ran = sys(&world).script(&text, &[("reaper_password", PASSWORD)]);
    let statements = ran.unwrap_or_else(|error| panic!("{error}\n{text}"));
    Desk {
        site,
        world,
        server,
        statements,
    }
}

fn sys(world: &Arc<World>) -> Local {
    let client = Client {
        sysdba: true,
        ..Client::default()
    };
    let to = ConnectTo {
        service_name: Some("PROD".to_owned()),
        ..ConnectTo::default()
    };
    Local::connect_as(world, "SYS", &to, client).expect("SYS may always log in")
}

impl Desk {
    fn session(&self, is: impl Fn(&SessionView) -> bool) -> SessionView {
        let found = self.world.sessions().into_iter().find(is);
        found.expect("it is in the scenario")
    }

    fn of_group(&self, group: &str) -> SessionView {
        self.session(|session| session.group.as_deref() == Some(group))
    }

    /// Runs a statement as a DBA, to stay.
    fn as_dba(&self, statement: &str) {
        let mut sys = sys(&self.world);
        for run in [statement, "COMMIT"] {
            sys.run(run).unwrap_or_else(|error| panic!("{run}: {}", error.message));
        }
    }

    fn log(&self) -> Vec<Vec<String>> {
        let rows = sys(&self.world)
            .run("SELECT asked_by, action, NVL(statement, '-'), code FROM orareaper_owner.orareaper_log ORDER BY id")
            .expect("SYS sees all")
            .rows;
        rows.iter().map(|row| row.iter().map(shown).collect()).collect()
    }

    /// The daemon's account, in other hands.
    fn thief(&self, driver: orareaper::oracle::Driver) -> Box<dyn ActingConnection> {
        let target = target(driver, self.server.addr().port(), "PROD", "reaper", PASSWORD);
        ConnectSlot::new()
            .connect_to_act(&target, LIMIT)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn proof(&self, driver: &Driver) -> (i32, Value) {
        let output = self
            .site
            .command(driver)
            .args(["--config", "orareaper.yaml", "--log", "error", "prove", "prod"])
            .args(["--format", "json", "--wait", "6s"])
            .output()
            .expect("it runs");
        let proof = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().expect("no signal"), proof)
    }

    fn doctor(&self) -> (Option<i32>, Vec<Value>) {
        let output = self
            .site
            .command(&thin())
            .args(["--config", "orareaper.yaml", "doctor", "--format", "json"])
            .output()
            .expect("it runs");
        let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let checks = all["checks"].as_array().expect("checks").iter();
        let of_database = checks.filter(|check| check["database"] == "prod");
        (output.status.code(), of_database.cloned().collect())
    }
}

/// Calls the package for a session, seen at another time if `shift` says so.
fn act(connection: &mut dyn ActingConnection, session: &SessionView, action: &str, shift: i64) -> BlockAnswer {
    act_on(
        connection,
        (session.instance, session.sid, session.serial),
        session.logon_time + chrono::TimeDelta::seconds(shift),
        action,
    )
}

fn act_on(
    connection: &mut dyn ActingConnection,
    (instance, sid, serial): (u32, u32, u32),
    logon_time: chrono::NaiveDateTime,
    action: &str,
) -> BlockAnswer {
    let call = format!(
        "BEGIN orareaper_owner.orareaper_guard.act({instance}, {sid}, {serial}, TO_DATE('{}', 'YYYY-MM-DD HH24:MI:SS'), {action}, \
         :code, :text); END;",
        logon_time.format("%Y-%m-%d %H:%M:%S")
    );
    connection
        .send(permitted_call(&call), None, LIMIT)
        .expect("the package answers everything")
}

#[test]
fn the_daemon_ends_sessions_by_the_package() {
    for driver in drivers() {
        let desk = desk(&driver, DATABASE);
        let daemon = desk.site.run(&driver);
        let outcomes = desk.site.journals_all("outcome", 3);
        for record in &outcomes {
            assert_eq!(record["outcome"], "done", "{record}");
            let statement = record["statement"].as_str().expect("a text");
            assert!(
                statement.starts_with("BEGIN ORAREAPER_OWNER.orareaper_guard.act(1, ")
                    && statement.contains("'KILL IMMEDIATE', NULL, :code, :text"),
                "{statement}"
            );
        }
        let log = daemon.log_text();
        assert!(!log.contains("GRANT "), "{log}");
        let kills = desk.world.kills();
        assert_eq!(kills.len(), 3, "{kills:?}");
        for kill in &kills {
            assert_eq!(
                (kill.by.as_str(), kill.group.as_deref(), kill.answer),
                ("REAPER", Some("pool"), Some(0))
            );
        }
        let written = desk.log();
        assert_eq!(written.len(), 3);
        for row in &written {
            assert!(
                row[0] == "REAPER" && row[1] == "KILL IMMEDIATE" && row[2].starts_with("ALTER SYSTEM KILL SESSION"),
                "{row:?}"
            );
            assert_eq!(row[3], "0");
        }
    }
}

/// The grant is taken away while the daemon runs, and given back; then the package's own budget is used up.
#[test]
fn what_is_refused_for_everybody_takes_no_budget_and_is_told_with_its_remedy() {
    let driver = thin();
    let rested = DATABASE.replace(
        "program: JDBC Thin Client, idle: 5h",
        "program: JDBC Thin Client, idle: 1m",
    );
    let desk = desk(&driver, &rested);
    let connect = format!("//{}/PROD", desk.server.addr());
    let configure = |per_hour: u32| {
        let entry = entry("prod", &driver, &connect, true) + "    via: package\n";
        let limits = format!("limits: {{per_hour: {per_hour}, parallel: 1}}\n");
        desk.site.configure_with(&[entry], &limits);
    };
    configure(3);
    let daemon = desk.site.run(&driver);
    daemon.looks("prod", 2);
    desk.as_dba("REVOKE EXECUTE ON orareaper_owner.orareaper_guard FROM reaper");
    desk.world.advance(Duration::from_secs(5 * 3_600));
    let refused = desk.site.journals("outcome", |_| true);
    assert_eq!(
        (refused["outcome"].as_str(), refused["code"].as_i64()),
        (Some("failed"), Some(6_550)),
        "{refused}"
    );
    let grant = "GRANT EXECUTE ON ORAREAPER_OWNER.orareaper_guard TO REAPER";
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|message| message.contains(grant)),
        "{refused}"
    );
    daemon.looks("prod", 5);
    assert_eq!(
        desk.site.journalled("outcome").len(),
        1,
        "no other one is tried for some minutes"
    );
    let page = daemon.page("/").1;
    assert!(daemon.log_text().contains(grant) && page.contains(grant), "{page}");
    desk.as_dba(grant);
    desk.as_dba("UPDATE orareaper_owner.orareaper_setting SET value = 3 WHERE name = 'PER_HOUR'");
    daemon.signal("HUP");
    let outcomes = desk.site.journals_all("outcome", 4);
    let done = outcomes.iter().filter(|record| record["outcome"] == "done").count();
    assert_eq!(
        (done, desk.world.kills().len()),
        (3, 3),
        "none of the daemon's budget was used up: {outcomes:?}"
    );
    let over = daemon.says("note no longer applies");
    assert!(over["note"].as_str().is_some_and(|note| note.contains(grant)), "{over}");
    // The package's own budget, of which somebody else has taken from too.
    desk.as_dba("UPDATE orareaper_owner.orareaper_setting SET value = 1 WHERE name = 'PER_HOUR'");
    desk.world.advance(Duration::from_secs(5 * 3_600));
    let mut thief = desk.thief(orareaper::oracle::Driver::Thin);
    let cancelled = act(&mut *thief, &desk.of_group("busy"), "'CANCEL SQL', '8yds4k9tqmh3u'", 0);
    assert_eq!(cancelled.code, 0, "{}", cancelled.message);
    let far = desk.of_group("far");
    desk.site.policies(&POLICIES.replace("inst_id = 1", "inst_id = 2"));
    configure(10);
    daemon.signal("HUP");
    let refused = desk.site.journals("outcome", |record| record["code"] == 20_012);
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("raise PER_HOUR in ORAREAPER_OWNER.ORAREAPER_SETTING"),
        "{refused}"
    );
    let still = desk.session(|session| session.sid == far.sid && session.instance == 2);
    assert_ne!(still.status, "KILLED");
}

/// A client with the password can end no session that the package protects, and cannot change the package.
#[test]
fn a_stolen_password_ends_no_protected_session() {
    on_both_drivers(|driver| {
        let desk = desk(&thin(), DATABASE);
        desk.as_dba("INSERT INTO orareaper_owner.orareaper_protected (username) VALUES ('BOSS')");
        let mut thief = desk.thief(driver);
        let refusals = [
            ("sys", "'KILL'", 20_006),
            ("system", "'KILL IMMEDIATE'", 20_006),
            ("owner", "'KILL'", 20_007),
            ("job", "'KILL'", 20_008),
            ("far", "'DISCONNECT IMMEDIATE'", 20_010),
            ("pool", "'EXPLODE'", 20_001),
            ("pool", "'kill'", 20_001),
            ("pool", "NULL", 20_001),
            ("pool", "'CANCEL SQL'", 20_011),
        ];
        for (group, action, code) in refusals {
            let action = format!("{action}, NULL");
            let answer = act(&mut *thief, &desk.of_group(group), &action, 0);
            assert_eq!(answer.code, code, "{group}, {action}: {}", answer.message);
        }
        let background = desk.session(|session| session.background);
        assert_eq!(act(&mut *thief, &background, "'KILL', NULL", 0).code, 20_004);
        let own = desk.session(|session| session.username.as_deref() == Some("REAPER"));
        assert_eq!(act(&mut *thief, &own, "'KILL', NULL", 0).code, 20_005);
        let pool = desk.of_group("pool");
        assert_eq!(act(&mut *thief, &pool, "'KILL', NULL", 1).code, 20_003);
        let key = (pool.instance, pool.sid, pool.serial + 1);
        assert_eq!(act_on(&mut *thief, key, pool.logon_time, "'KILL', NULL").code, 20_002);
        let busy = desk.of_group("busy");
        let hostile = "'CANCEL SQL', '8yds4k9tqmh3u'' --'";
        assert_eq!(act(&mut *thief, &busy, hostile, 0).code, 20_011);
        assert_eq!(desk.world.kills().len(), 0, "nothing was sent");
        for statement in [
            "ALTER SYSTEM KILL SESSION '1,1'",
            "DELETE FROM orareaper_owner.orareaper_protected",
            "UPDATE orareaper_owner.orareaper_setting SET value = 1000000",
            "DELETE FROM orareaper_owner.orareaper_log",
            "GRANT ALTER SYSTEM TO reaper",
            "CREATE OR REPLACE PACKAGE orareaper_owner.orareaper_guard AS PROCEDURE act; END;",
        ] {
            let answer = thief.send(permitted(statement), None, LIMIT).expect("an answer");
            assert!(matches!(answer.code, 942 | 1031), "{statement}: {}", answer.message);
        }
        let refused = desk.log();
        assert_eq!(refused.len(), 14, "{refused:#?}");
        assert!(
            refused
                .iter()
                .all(|row| row[0] == "REAPER" && row[2] == "-" && row[3].starts_with("-20")),
            "{refused:#?}"
        );
    });
}

#[test]
fn a_killed_session_is_only_ended_harder_and_the_budget_of_the_package_is_its_own() {
    on_both_drivers(|driver| {
        let desk = desk(&thin(), DATABASE);
        desk.as_dba("UPDATE orareaper_owner.orareaper_setting SET value = 3 WHERE name = 'PER_HOUR'");
        let mut thief = desk.thief(driver);
        let busy = desk.of_group("busy");
        assert_eq!(act(&mut *thief, &busy, "'CANCEL SQL', '8yds4k9tqmh3u'", 0).code, 0);
        let marked = act(&mut *thief, &busy, "'KILL IMMEDIATE', NULL", 0);
        assert_eq!(
            marked.code, 31,
            "Oracle's own answer comes back as a number: {}",
            marked.message
        );
        assert_eq!(act(&mut *thief, &busy, "'KILL', NULL", 0).code, 20_009);
        assert_eq!(act(&mut *thief, &busy, "'DISCONNECT IMMEDIATE', NULL", 0).code, 31);
        let far = desk.of_group("far");
        let beyond = act(&mut *thief, &far, "'KILL', NULL", 0);
        assert_eq!(beyond.code, 20_012, "{}", beyond.message);
        desk.world.advance(Duration::from_secs(3_700));
        let later = act(&mut *thief, &far, "'KILL', NULL", 0);
        assert_eq!(later.code, 0, "an hour later: {}", later.message);
        assert_eq!(desk.world.kills().len(), 4);
    });
}

/// A session that can be made to work, with a table of its own, idle for an hour.
fn idle_client(desk: &Desk) -> (Local, SessionView) {
    let mut client = Local::connect(&desk.world, "APP", &ConnectTo::default()).expect("APP may log in");
    client.run("CREATE TABLE worked (n NUMBER)").expect("created");
    desk.world.advance(Duration::from_secs(3_600));
    let view = desk.session(|session| (session.instance, session.sid) == (client.instance, client.sid));
    assert!(view.status == "INACTIVE" && !view.in_transaction, "{view:?}");
    (client, view)
}

const WITH_CLIENT: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {SYS: {password: sys, oracle_maintained: true}, APP: {password: app}}
sessions:
  - {name: pair, user: SHOP, count: 2, sessions_per_process: 2, program: app, idle: 5h}
  - {name: single, user: SHOP, program: app, idle: 5h}
  - {name: waiting, user: SHOP, count: 2, sessions_per_process: 2, server: none, program: app, idle: 5h}
";

/// Asks the package to end a session while a DBA holds its settings, and does something to the session meanwhile.
fn act_behind_a_dba(
    desk: &Desk,
    driver: orareaper::oracle::Driver,
    session: &SessionView,
    meanwhile: impl FnOnce(),
) -> BlockAnswer {
    let mut dba = sys(&desk.world);
    dba.run("UPDATE orareaper_owner.orareaper_setting SET value = 50 WHERE name = 'PER_HOUR'")
        .expect("a DBA may");
    let mut thief = desk.thief(driver);
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || act(&mut *thief, session, "'KILL IMMEDIATE', NULL", 0));
        let mut looking = sys(&desk.world);
        wait_for("the package to wait for the DBA", || {
            let waiting = looking
                .run("SELECT COUNT(*) FROM gv$session WHERE blocking_session IS NOT NULL")
                .expect("SYS sees all");
            (shown(&waiting.rows[0][0]) == "1").then_some(())
        });
        meanwhile();
        dba.run("COMMIT").expect("committed");
        asked.join().expect("the package answers")
    })
}

/// The package waits for its settings, and the session has begun a transaction, or made a call, when it may go on.
#[test]
fn a_session_that_wakes_up_while_the_package_waits_is_not_ended() {
    on_both_drivers(|driver| {
        let desk = desk_with(&thin(), WITH_CLIENT, &["--for", "19c"], POLICIES);
        let (mut client, view) = idle_client(&desk);
        let working = act_behind_a_dba(&desk, driver, &view, || {
            client.run("INSERT INTO worked VALUES (1)").expect("it works");
        });
        assert_eq!(working.code, 20_014, "{}", working.message);
        assert!(working.message.contains("in a transaction"), "{}", working.message);
        client.run("COMMIT").expect("it is alive");
        desk.world.advance(Duration::from_secs(3_600));
        let called = act_behind_a_dba(&desk, driver, &view, || {
            client.run("SELECT n FROM worked").expect("it works");
        });
        assert_eq!(called.code, 20_014, "{}", called.message);
        assert_eq!(desk.world.kills().len(), 0, "nothing was sent");
        let refused = desk.log();
        assert_eq!(refused.len(), 2, "{refused:#?}");
        for row in &refused {
            assert_eq!(row[1..], ["KILL IMMEDIATE", "-", "-20014"], "{row:?}");
        }
        desk.world.advance(Duration::from_secs(60));
        let still = act_behind_a_dba(&desk, driver, &view, || {});
        assert_eq!(still.code, 0, "nothing has changed: {}", still.message);
        assert_eq!(desk.world.kills().len(), 1);
    });
}

#[test]
fn the_package_does_not_wait_long_for_its_settings() {
    on_both_drivers(|driver| {
        let desk = desk_with(&thin(), WITH_CLIENT, &["--for", "19c"], POLICIES);
        let mut dba = sys(&desk.world);
        dba.run("UPDATE orareaper_owner.orareaper_setting SET value = 50 WHERE name = 'PER_HOUR'")
            .expect("a DBA may");
        desk.world.let_waits_pass();
        let before = desk.world.now();
        let locked = act(
            &mut *desk.thief(driver),
            &desk.of_group("single"),
            "'KILL IMMEDIATE', NULL",
            0,
        );
        assert_eq!(locked.code, 20_013, "{}", locked.message);
        assert!(locked.message.contains("ORA-30006"), "{}", locked.message);
        assert!(desk.world.now() - before < chrono::TimeDelta::seconds(10));
        assert_eq!(desk.world.kills().len(), 0, "nothing was sent");
        dba.run("ROLLBACK").expect("rolled back");
        assert_eq!(desk.log().len(), 0, "it could not be written down either");
    });
}

#[test]
fn a_server_process_that_serves_another_session_is_not_ended() {
    on_both_drivers(|driver| {
        let desk = desk_with(&thin(), WITH_CLIENT, &["--for", "19c"], POLICIES);
        let mut thief = desk.thief(driver);
        let pair = desk.of_group("pair");
        for clause in ["POST_TRANSACTION", "IMMEDIATE", "POST_TRANSACTION NOREPLAY", "NOREPLAY"] {
            let answer = act(&mut *thief, &pair, &format!("'DISCONNECT {clause}', NULL"), 0);
            assert_eq!(answer.code, 20_015, "{clause}: {}", answer.message);
        }
        assert_eq!(desk.world.kills().len(), 0, "nothing was sent");
        for group in ["single", "waiting"] {
            let answer = act(&mut *thief, &desk.of_group(group), "'DISCONNECT IMMEDIATE', NULL", 0);
            assert_eq!(answer.code, 0, "{group}: {}", answer.message);
        }
        assert_eq!(
            act(&mut *thief, &pair, "'KILL', NULL", 0).code,
            0,
            "KILL ends one session"
        );
    });
}

#[test]
fn doctor_names_what_the_package_lacks() {
    let desk = desk(&thin(), DATABASE);
    let (_, checks) = desk.doctor();
    let right = |checks: &[Value]| -> Vec<Value> {
        let of_right = checks.iter().filter(|check| check["id"] == "right-to-act");
        of_right.cloned().collect()
    };
    let fine = right(&checks);
    assert!(fine.len() == 1 && fine[0]["state"] == "fine", "{checks:#?}");
    let rights: Vec<&String> = desk
        .statements
        .iter()
        .filter(|statement| {
            let of_owner = statement.ends_with(" TO ORAREAPER_OWNER") && !statement.contains("UNLIMITED TABLESPACE");
            statement.starts_with("GRANT ") && (of_owner || statement.contains("GRANT EXECUTE"))
        })
        .collect();
    assert_eq!(rights.len(), 4, "{rights:?}");
    for granted in rights {
        let revoke = granted.replacen("GRANT", "REVOKE", 1).replace(" TO ", " FROM ");
        desk.as_dba(&revoke);
        let (status, checks) = desk.doctor();
        let missing: Vec<Value> = right(&checks)
            .into_iter()
            .filter(|check| check["state"] != "fine")
            .collect();
        assert!(
            missing.len() == 1
                && missing[0]["state"] == "missing"
                && missing[0]["statement"] == **granted
                && status == Some(1),
            "after {revoke}: {checks:#?}"
        );
        desk.as_dba(granted);
    }
    desk.as_dba("GRANT ALTER SYSTEM TO reaper");
    let (_, checks) = desk.doctor();
    let note = right(&checks).into_iter().find(|check| check["state"] == "note");
    assert_eq!(note.expect("a note")["statement"], "REVOKE ALTER SYSTEM FROM REAPER");
    desk.as_dba("DROP USER orareaper_owner CASCADE");
    let (_, checks) = desk.doctor();
    let gone = right(&checks);
    assert!(
        gone.iter().any(|check| check["state"] == "missing"
            && check["remedy"]
                .as_str()
                .is_some_and(|it| it.contains("setup-sql --guard-only`"))),
        "{gone:#?}"
    );
    // What the remedy names runs, as printed, where the account is there already.
    let mut command = desk.site.command(&thin());
    command.args([
        "--config",
        "orareaper.yaml",
        "setup-sql",
        "--for",
        "19c",
        "--rac",
        "--guard-only",
    ]);
    let printed = command.output().expect("it runs");
    let text = String::from_utf8(printed.stdout).expect("text");
    let ran = sys(&desk.world).script(&text, &[]);
    ran.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (_, checks) = desk.doctor();
    let again = right(&checks);
    assert!(
        again.iter().any(|check| check["state"] == "fine") && again.iter().all(|check| check["state"] != "missing"),
        "{again:#?}"
    );
}

/// A missing package is an outcome like any other: nothing was sent, and the connection lives.
#[test]
fn without_the_package_nothing_is_sent_and_that_is_said() {
    for driver in drivers() {
        let desk = desk(&driver, DATABASE);
        desk.as_dba("REVOKE EXECUTE ON orareaper_owner.orareaper_guard FROM reaper");
        let _daemon = desk.site.run(&driver);
        let record = desk.site.journals("outcome", |record| record["outcome"] == "failed");
        assert_eq!(record["code"], 6550, "{record}");
        assert_eq!(desk.world.kills().len(), 0);
    }
}

/// A parser that is not this project's takes all of what is printed, and notices a mistake in it.
#[test]
fn an_independent_parser_accepts_what_is_printed() {
    let parser = fetched("venv/bin/parseora");
    if !parser.exists() {
        not_run("no ParseOra (an independent parser of the guard package)");
        return;
    }
    let site = Site::new();
    let parses = |text: &str| {
        let file = site.write("printed.sql", text);
        let parse = Command::new(&parser)
            .args(["parse", "--errors", "--strict"])
            .arg(file)
            .output();
        let parsed = parse.expect("it runs");
        (
            parsed.status.success(),
            String::from_utf8_lossy(&parsed.stderr).into_owned() + &String::from_utf8_lossy(&parsed.stdout),
        )
    };
    for arguments in [
        ["--for", "11.2", "--rac"],
        ["--for", "12.2", "--pdb"],
        ["--for", "19c", "--cdb"],
        ["--for", "26ai", "--pdb"],
    ] {
        let mut command = site.command(&thin());
        let printed = command
            .args(["setup-sql", "--guard"])
            .args(arguments)
            .output()
            .expect("it runs");
        let text = String::from_utf8(printed.stdout).expect("text");
        let (accepted, told) = parses(&text);
        assert!(accepted && told.contains("CreatePackageBody"), "{arguments:?}: {told}");
        let wrong = text.replacen("    END IF;", "    END;", 1);
        assert!(
            wrong != text && !parses(&wrong).0,
            "{arguments:?}: a mistake is noticed"
        );
    }
}

const RDS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts:
  RDSADMIN: {}
  REAPER: {password: reaper, alter_system: false, rights: {executes: [RDSADMIN_UTIL]}}
sessions:
  - {name: pool, user: SHOP, count: 2, program: JDBC Thin Client, idle: 5h}
  - {name: other, user: CRM, program: app, idle: 5h}
";

/// Amazon's package is found out, and what it has not is refused at the start.
#[test]
fn on_amazon_rds_sessions_are_ended_by_its_own_package() {
    const POLICIES: &str = "
policies:
  - {name: idle, mode: enforce, when: username = SHOP and INACTIVE longer than 4h, limits: {share: 100%}, action: kill immediate}
  - {name: sharp, mode: enforce, when: username = CRM and INACTIVE longer than 4h, limits: {share: 100%}, action: kill noreplay}
";
    for driver in drivers() {
        let mut scenario = Scenario::parse(RDS).expect("the test's own scenario");
        scenario.accounts.get_mut("REAPER").expect("it is there").password = Some(PASSWORD.to_owned());
        let world = World::new(scenario);
        let server =
            Server::start(Arc::clone(&world) as _, SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let site = Site::new();
        site.policies(POLICIES);
        site.configure_with(
            &[entry("prod", &driver, &format!("//{}/PROD", server.addr()), true)],
            "",
        );
        let daemon = site.run(&driver);
        let outcomes = site.journals_all("outcome", 2);
        for record in &outcomes {
            assert_eq!(record["outcome"], "done", "{record}");
            let statement = record["statement"].as_str().expect("a text");
            assert!(
                statement.starts_with("BEGIN rdsadmin.rdsadmin_util.kill(sid => "),
                "{statement}"
            );
        }
        assert_eq!(world.kills().len(), 2);
        // Found out or, for an account that cannot log in yet, configured.
        let connect = format!("//{}/PROD", server.addr());
        for (via, arguments) in [("", &[][..]), ("    via: rds\n", &["--for", "19c"])] {
            site.configure_with(&[entry("prod", &driver, &connect, true) + via], "");
            let print = |more: &[&str]| {
                let mut command = site.command(&driver);
                command.args(["--config", "orareaper.yaml", "setup-sql"]);
                let output = command.args(arguments).args(more).output().expect("it runs");
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
                (output.status.code(), text(output.stdout), text(output.stderr))
            };
            let (status, text, error) = print(&[]);
            let grant = "\nGRANT EXECUTE ON rdsadmin.rdsadmin_util TO REAPER;\n";
            assert!(
                status == Some(0) && text.ends_with(grant) && !text.contains("ALTER SYSTEM"),
                "{error}{text}"
            );
            let (status, _, error) = print(&["--guard"]);
            assert!(status == Some(2) && error.contains("leave out --guard"), "{error}");
        }
        let told = wait_for("the reason", || {
            let log = daemon.log_text();
            log.contains("rdsadmin_util of Amazon RDS has").then_some(log)
        });
        assert!(told.contains("sharp"), "{told}");
    }
}

/// The words of each line of a proof with this verdict.
fn lines<'p>(proof: &'p Value, verdict: &str) -> Vec<&'p str> {
    let findings = proof["findings"].as_array().expect("lines").iter();
    let of_verdict = findings.filter(|line| line["verdict"] == verdict);
    of_verdict.map(|line| line["what"].as_str().expect("a word")).collect()
}

#[test]
fn prove_tries_each_action_by_the_package() {
    for driver in drivers() {
        let desk = desk(&driver, DATABASE);
        // Each reading of a seat takes a second of the database's clock, which stands still otherwise.
        desk.world.arm(Fault {
            statement: Some("FROM gv$instance".to_owned()),
            user: Some("REAPER".to_owned()),
            call: 1,
            times: u32::MAX,
            what: Strike::Advance(Length(1_000)),
        });
        std::fs::create_dir_all(desk.site.path("state")).expect("made");
        let (status, proof) = desk.proof(&driver);
        assert_eq!(lines(&proof, "differs"), [""; 0], "{proof:#}");
        // The first has no words in the package, the second none in the release.
        let untried = ["disconnect that names an instance", "kill force"];
        assert_eq!(lines(&proof, "could not be tried"), untried, "{proof:#}");
        assert_eq!((status, &proof["via"]), (0, &Value::from("package")));
        for line in proof["findings"].as_array().expect("lines") {
            let statement = line["statement"].as_str().unwrap_or("BEGIN ORAREAPER_OWNER.");
            assert!(statement.starts_with("BEGIN ORAREAPER_OWNER."), "{line:#}");
        }
        assert_eq!(
            proof["behaviour"]["missing_session"],
            Value::Null,
            "a number of the package's own"
        );
        let sent = lines(&proof, "as assumed")
            .iter()
            .filter(|what| what.starts_with("kill on instance "))
            .count();
        assert_eq!(sent, 1, "{proof:#}");
        assert!(desk.log().len() > 20);
        for kill in desk.world.kills() {
            assert_eq!((kill.by.as_str(), kill.group.as_deref()), ("REAPER", None), "{kill:?}");
        }

        desk.as_dba("REVOKE EXECUTE ON orareaper_owner.orareaper_guard FROM reaper");
        let (status, proof) = desk.proof(&driver);
        assert_eq!(status, 2, "{proof:#}");
        assert!(
            lines(&proof, "could not be tried").contains(&"kill immediate"),
            "{proof:#}"
        );
    }
}
