//! What ALTER SYSTEM does to sessions, clause by clause and state by state, asked in this process.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use orasim::backend::{ConnectTo, OnAccept, OraError, Then, Value};
use orasim::local::{Local, shown};
use orasim::{Clause, Fault, Scenario, Strike, World};

const WORLD: &str = "
release: RELEASE
starts: 2026-11-23T14:00:00
speed: 0
database: {name: TEST, pdbs: [SHOP]}
parameters: {processes: 60000}
instances:
  - {number: 1, name: test1, host: node1}
  - {number: 2, name: test2, host: node2}
accounts:
  REAPER: {password: r}
  WEAK: {password: w, alter_system: false}
  APEXDEV: {password: a}
services:
  - {name: shop, container: SHOP, replay: true}
clients:
  - {user: APEXDEV, sid: 287, serial: 62507}
  - {user: APEXDEV, sid: 32, serial: 36107}
sessions:
  - {name: idle, user: SHOP, instances: [1], program: app, idle: 5h, pinned: {sid: 500, serial: 10}, when_killed: {reconnects: 5s}}
  - {name: busy, user: ETL, instances: [1], program: app, active: 1h, pinned: {sid: 501, serial: 11}, sql_id: 7gxm0c1p2q3rs}
  - {name: stuck, user: SHOP, instances: [2], program: app, idle: 5h, pinned: {sid: 502, serial: 12},
     when_killed: {marked: true, lingers: 10m}}
  - {name: writer, user: ETL, instances: [1], program: app, idle: 1h, pinned: {sid: 503, serial: 13},
     transaction: {age: 2h, undo_records: 1000}, when_killed: {rollback: 100}}
  - {name: waiter, user: SHOP, instances: [2], program: app, active: 10m, pinned: {sid: 504, serial: 14}, blocked_by: writer}
  - {name: quick, user: ETL, instances: [1], program: app, active: 1h, pinned: {sid: 505, serial: 15}, when_killed: {notices: 20s}}
";

fn world_of(release: &str) -> Arc<World> {
    World::new(Scenario::parse(&WORLD.replace("RELEASE", release)).expect("the test's own scenario"))
}

fn world() -> Arc<World> {
    world_of("19.22.0.0.0")
}

fn connect(world: &Arc<World>, user: &str) -> Local {
    let to = ConnectTo {
        instance_name: Some("test1".into()),
        ..ConnectTo::default()
    };
    Local::connect(world, user, &to).expect("log in")
}

/// Sends ALTER SYSTEM; 0 or the number of the error.
fn order(client: &mut Local, text: &str) -> u32 {
    client
        .run(&format!("ALTER SYSTEM {text}"))
        .err()
        .map_or(0, |error| error.code)
}

fn status(world: &World, instance: u32, sid: u32) -> Option<&'static str> {
    world.session(instance, sid).map(|session| session.status)
}

/// Runs something on another thread and lets simulated time pass until it is done; how many seconds that took.
fn while_time_passes<T: Send + 'static>(world: &Arc<World>, act: impl FnOnce() -> T + Send + 'static) -> (T, u32) {
    let acting = thread::spawn(act);
    for second in 0..600 {
        thread::sleep(Duration::from_millis(if second == 0 { 50 } else { 4 }));
        if acting.is_finished() {
            return (acting.join().expect("the acting thread"), second);
        }
        world.advance(Duration::from_secs(1));
    }
    panic!("not done after ten simulated minutes");
}

fn one(client: &mut Local, sql: &str) -> String {
    let answer = client.run(sql).expect(sql);
    answer.rows.iter().flatten().map(shown).collect::<Vec<_>>().join("|")
}

fn end(error: Result<orasim::local::Answer, OraError>) -> (u32, Then) {
    let error = error.expect_err("the session is gone");
    (error.code, error.then)
}

#[test]
fn refusals_have_oracles_numbers() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let own = format!("KILL SESSION '{},{}'", reaper.sid, reaper.serial);
    let background = world
        .sessions()
        .into_iter()
        .find(|session| session.background && session.instance == 1);
    let background = background.expect("a background process");
    let pmon = format!("KILL SESSION '{},{},@1' IMMEDIATE", background.sid, background.serial);
    for (text, code) in [
        (own.as_str(), 27),
        (pmon.as_str(), 29),
        ("KILL SESSION '500,11'", 30),
        ("KILL SESSION '502,12'", 30),
        ("KILL SESSION '500,10,@7'", 26),
        ("KILL SESSION 'x'", 26),
        ("DISCONNECT SESSION '500,10,@1' IMMEDIATE", 26),
        ("KILL SESSION '500,10' FORCE TIMEOUT 0", 933),
    ] {
        assert_eq!(order(&mut reaper, text), code, "{text}");
    }
    assert_eq!(order(&mut connect(&world, "WEAK"), "KILL SESSION '500,10'"), 1031);
    assert_eq!(status(&world, 1, 500), Some("INACTIVE"));
    let answers: Vec<_> = world.kills().iter().map(|kill| kill.answer).collect();
    assert_eq!(answers, [Some(27), Some(29), Some(30), Some(30), Some(26)]);
}

#[test]
fn an_idle_scripted_session_goes_at_once_and_comes_back_as_another() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    assert_eq!(order(&mut reaper, "KILL SESSION '500,10,@1'"), 0);
    assert_eq!(status(&world, 1, 500), None);
    world.advance(Duration::from_secs(4));
    let of_group = |world: &World| {
        world
            .sessions()
            .into_iter()
            .filter(|it| it.group.as_deref() == Some("idle"))
            .collect::<Vec<_>>()
    };
    assert_eq!(of_group(&world), []);
    world.advance(Duration::from_secs(2));
    let back = of_group(&world);
    assert_eq!(back.len(), 1);
    assert_ne!((back[0].sid, back[0].serial), (500, 10));
    let kill = world.kills().pop().expect("recorded");
    assert_eq!(
        (kill.clause, kill.target, kill.answer),
        (Clause::Kill, (1, 500, 10), Some(0))
    );
    assert_eq!((kill.by.as_str(), kill.group.as_deref()), ("REAPER", Some("idle")));
}

#[test]
fn a_plain_kill_of_a_busy_session_waits_a_minute_and_immediate_does_not() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let ((code, mut reaper), seconds) =
        while_time_passes(&world, move || (order(&mut reaper, "KILL SESSION '501,11'"), reaper));
    assert_eq!(code, 31);
    assert!((59..=62).contains(&seconds), "{seconds}");
    assert_eq!(status(&world, 1, 501), Some("KILLED"));
    assert_eq!(order(&mut reaper, "KILL SESSION '501,11' IMMEDIATE"), 31);
    world.advance(Duration::from_secs(65));
    assert_eq!(status(&world, 1, 501), None);
    let ((code, mut reaper), seconds) =
        while_time_passes(&world, move || (order(&mut reaper, "KILL SESSION '505,15'"), reaper));
    assert_eq!(code, 0);
    assert!((19..=22).contains(&seconds), "{seconds}");
    assert_eq!(order(&mut reaper, "KILL SESSION '502,12,@2' IMMEDIATE"), 31);
    assert_eq!(status(&world, 2, 502), Some("KILLED"));
    assert_eq!(
        one(&mut reaper, "SELECT state FROM gv$dead_cleanup WHERE inst_id = 2"),
        "RESOURCES FREED"
    );
    world.advance(Duration::from_secs(601));
    assert_eq!(status(&world, 2, 502), None);
}

#[test]
fn a_transaction_rolls_back_before_its_waiters_go_on() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let blocked =
        "SELECT blocking_instance, blocking_session, final_blocking_session, event FROM gv$session WHERE sid = 504";
    assert_eq!(one(&mut reaper, blocked), "1|503|503|enq: TX - row lock contention");
    assert_eq!(order(&mut reaper, "KILL SESSION '503,13' IMMEDIATE"), 31);
    let undo = "SELECT used_urec, BITAND(flag, 128) FROM v$transaction t JOIN v$session s ON s.taddr = t.addr WHERE s.sid = 503";
    world.advance(Duration::from_secs(4));
    assert_eq!(one(&mut reaper, undo), "600|128");
    assert_eq!(
        one(&mut reaper, "SELECT status FROM gv$session WHERE sid = 504"),
        "ACTIVE"
    );
    world.advance(Duration::from_secs(7));
    assert_eq!(status(&world, 1, 503), None);
    assert_eq!(
        one(
            &mut reaper,
            "SELECT status, blocking_session FROM gv$session WHERE sid = 504"
        ),
        "INACTIVE|"
    );
}

#[test]
fn an_idle_client_learns_of_its_end_at_its_next_call() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let mut victim = connect(&world, "APEXDEV");
    assert_eq!((victim.sid, victim.serial), (287, 62_507));
    victim.run("SELECT 1 FROM dual").expect("query");
    world.advance(Duration::from_secs(5 * 3600));
    let row = "SELECT status, last_call_et, server FROM v$session WHERE sid = 287 AND serial# = 62507";
    assert_eq!(one(&mut reaper, row), "INACTIVE|18000|DEDICATED");
    assert_eq!(order(&mut reaper, "KILL SESSION '287,62507'"), 0);
    assert_eq!(one(&mut reaper, row), "KILLED|18000|PSEUDO");
    assert_eq!(order(&mut reaper, "KILL SESSION '287,62507'"), 31);
    assert_eq!(end(victim.run("SELECT 1 FROM dual")), (28, Then::SessionGone));
    assert_eq!(one(&mut reaper, row), "");
    assert_eq!(end(victim.run("SELECT 1 FROM dual")).1, Then::Cut);
    let second = connect(&world, "APEXDEV");
    assert_eq!((second.sid, second.serial), (32, 36_107));
    assert_eq!(order(&mut reaper, "DISCONNECT SESSION '32,36107' IMMEDIATE"), 0);
    assert_eq!(status(&world, 1, 32), None);
    let mut second = second;
    assert_eq!(end(second.run("SELECT 1 FROM dual")), (3113, Then::Cut));
}

#[test]
fn post_transaction_waits_for_the_commit() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let mut victim = connect(&world, "APEXDEV");
    victim.run("CREATE TABLE t (a NUMBER, b VARCHAR2(20))").expect("create");
    assert_eq!(
        victim
            .run("INSERT INTO t (a, b) VALUES (1, 'one')")
            .expect("insert")
            .affected,
        1
    );
    let taddr = "SELECT COUNT(taddr) FROM v$session WHERE sid = 287";
    assert_eq!(one(&mut reaper, taddr), "1");
    assert_eq!(order(&mut reaper, "DISCONNECT SESSION '287,62507' POST_TRANSACTION"), 0);
    world.advance(Duration::from_secs(600));
    assert_eq!(status(&world, 1, 287), Some("INACTIVE"));
    assert_eq!(one(&mut victim, "SELECT b FROM t"), "one");
    victim.run("COMMIT").expect("the commit itself succeeds");
    assert_eq!(status(&world, 1, 287), None);
    assert_eq!(end(victim.run("SELECT 1 FROM dual")), (3113, Then::Cut));
    assert_eq!(one(&mut reaper, "SELECT a, b FROM apexdev.t"), "1|one");
}

#[test]
fn a_killed_writer_loses_its_changes_and_its_waiter_goes_on() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let mut writer = connect(&world, "APEXDEV");
    writer.run("CREATE TABLE t (a NUMBER)").expect("create");
    writer.run("INSERT INTO t VALUES (1)").expect("insert");
    writer.run("COMMIT").expect("commit");
    writer.run("UPDATE t SET a = 2").expect("update");
    let mut waiter = connect(&world, "APEXDEV");
    let waiting = thread::spawn(move || {
        let result = waiter
            .run("UPDATE apexdev.t SET a = a + 10")
            .map(|answer| answer.affected);
        (result, waiter)
    });
    let blocked = "SELECT sid, blocking_session, status FROM v$session WHERE blocking_session = 287";
    while one(&mut reaper, blocked) != "32|287|ACTIVE" {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(order(&mut reaper, "KILL SESSION '287,62507'"), 0);
    let (result, mut waiter) = waiting.join().expect("the waiting thread");
    assert_eq!(result, Ok(1));
    assert_eq!(one(&mut waiter, "SELECT a FROM apexdev.t"), "11");
}

#[test]
fn a_busy_client_is_ended_in_the_middle_of_its_call() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    for (text, code, told) in [
        ("KILL SESSION '287,62507'", 0, (28, Then::SessionGone)),
        ("KILL SESSION '32,36107' IMMEDIATE", 31, (28, Then::SessionGone)),
    ] {
        let mut victim = connect(&world, "APEXDEV");
        let sid = victim.sid;
        let calling = thread::spawn(move || end(victim.run("BEGIN DBMS_SESSION.SLEEP(3600); END;")));
        let running = format!("SELECT status, event FROM v$session WHERE sid = {sid} AND sql_id IS NOT NULL");
        while one(&mut reaper, &running) != "ACTIVE|PL/SQL lock timer" {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(order(&mut reaper, text), code, "{text}");
        assert_eq!(calling.join().expect("the calling thread"), told, "{text}");
        assert_eq!(status(&world, 1, sid), None);
    }
}

#[test]
fn what_cannot_be_interrupted_keeps_its_killer_waiting() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let mut victim = connect(&world, "APEXDEV");
    let calling = thread::spawn(move || end(victim.run("BEGIN ORASIM.BUSY(100); END;")));
    while status(&world, 1, 287) != Some("ACTIVE") {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(30));
    let ((code, _reaper), _) =
        while_time_passes(&world, move || (order(&mut reaper, "KILL SESSION '287,62507'"), reaper));
    assert_eq!(code, 31);
    assert_eq!(status(&world, 1, 287), Some("KILLED"));
    world.advance(Duration::from_secs(60));
    assert_eq!(calling.join().expect("the calling thread"), (28, Then::SessionGone));
}

#[test]
fn cancel_needs_the_statement_and_a_break_ends_a_call() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    assert_eq!(order(&mut reaper, "CANCEL SQL '501, 11'"), 0);
    world.advance(Duration::from_secs(5));
    assert_eq!(status(&world, 1, 501), Some("ACTIVE"));
    assert_eq!(order(&mut reaper, "CANCEL SQL '501, 11, 7gxm0c1p2q3rs'"), 0);
    world.advance(Duration::from_secs(5));
    assert_eq!(status(&world, 1, 501), Some("INACTIVE"));
    let mut sleeper = connect(&world, "APEXDEV");
    let interrupt = sleeper.interrupt();
    let calling = thread::spawn(move || {
        (
            sleeper
                .run("BEGIN DBMS_SESSION.SLEEP(3600); END;")
                .map_err(|error| error.code),
            sleeper,
        )
    });
    while status(&world, 1, 287) != Some("ACTIVE") {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(30));
    interrupt.break_call();
    let (result, mut sleeper) = calling.join().expect("the calling thread");
    assert_eq!(result, Err(1013));
    assert_eq!(one(&mut sleeper, "SELECT 1 FROM dual"), "1");
}

#[test]
fn later_releases_can_be_forced() {
    let world = world_of("23.6.0.0.0");
    let mut reaper = connect(&world, "REAPER");
    assert_eq!(order(&mut reaper, "KILL SESSION '501,11' FORCE TIMEOUT 0"), 0);
    assert_eq!(status(&world, 1, 501), None);
    let semicolon = reaper.run("SELECT 1 FROM dual;").expect_err("a semicolon");
    assert_eq!(semicolon.code, 3048);
    assert_eq!(one(&mut reaper, "SELECT 1"), "1");
}

#[test]
fn a_pdb_sees_and_ends_its_own_sessions_only() {
    let world = world();
    let to = ConnectTo {
        service_name: Some("shop".into()),
        instance_name: Some("test1".into()),
        ..ConnectTo::default()
    };
    let mut inside = Local::connect(&world, "REAPER", &to).expect("log in");
    let seen = "SELECT COUNT(*), MIN(con_id) FROM gv$session WHERE type = 'USER'";
    assert_eq!(one(&mut inside, seen), "1|3");
    // The background processes are the whole CDB's.
    let background = "SELECT COUNT(DISTINCT inst_id), MAX(con_id) FROM gv$session WHERE type = 'BACKGROUND'";
    assert_eq!(one(&mut inside, background), "2|0");
    assert_eq!(
        one(&mut inside, "SELECT SYS_CONTEXT('USERENV','CON_NAME') FROM dual"),
        "SHOP"
    );
    assert_eq!(order(&mut inside, "KILL SESSION '500,10'"), 30);
    assert_eq!(one(&mut inside, "SELECT COUNT(*) FROM gv$resource_limit"), "0");
}

#[test]
fn faults_strike_when_told() {
    let world = world();
    let mut reaper = connect(&world, "REAPER");
    let fault = |statement: &str, call, what| Fault {
        statement: Some(statement.into()),
        user: None,
        call,
        times: 1,
        what,
    };
    world.arm(fault(
        "FROM GV$SESSION",
        2,
        Strike::Error {
            code: 12_801,
            message: "error signaled in parallel query server PZ99\nORA-00600: inner".into(),
        },
    ));
    let poll = "SELECT COUNT(*) FROM gv$session WHERE inst_id = 2 AND type = 'USER'";
    assert_eq!(one(&mut reaper, poll), "2");
    assert_eq!(reaper.run(poll).map_err(|error| error.code), Err(12_801));
    world.arm(fault("FROM GV$SESSION", 1, Strike::HideInstance(2)));
    assert_eq!(one(&mut reaper, poll), "0");
    assert_eq!(one(&mut reaper, "SELECT COUNT(*) FROM gv$instance"), "2");
    world.disarm();
    world.arm(fault("KILL SESSION", 1, Strike::ReplaceTarget));
    assert_eq!(order(&mut reaper, "KILL SESSION '500,10'"), 30);
    assert_eq!(world.session(1, 500).map(|session| session.serial != 10), Some(true));
    world.arm(fault("KILL SESSION", 1, Strike::EndTarget));
    assert_eq!(order(&mut reaper, "KILL SESSION '501,11'"), 30);
    world.leave(2);
    assert_eq!(one(&mut reaper, "SELECT COUNT(*) FROM gv$instance"), "1");
    assert_eq!(order(&mut reaper, "KILL SESSION '504,14,@2'"), 26);
    world.arm(fault("DUAL", 1, Strike::Hang));
    assert_eq!(end(reaper.run("SELECT 1 FROM dual")).1, Then::Hang);
    world.set_listener(OnAccept::Silent);
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(
        orasim::backend::Database::on_accept(world.as_ref(), peer),
        OnAccept::Silent
    );
}

#[test]
fn a_seed_decides_everything() {
    let look = |seed| {
        let mut scenario = Scenario::builtin("rac3").expect("built in");
        (scenario.seed, scenario.speed) = (seed, 0.0);
        let world = World::new(scenario);
        world.advance(Duration::from_secs(1800));
        world.sessions()
    };
    assert_eq!(look(1), look(1));
    assert_ne!(look(1), look(2));
}

#[test]
fn tens_of_thousands_of_sessions_are_loaded_at_once() {
    let text = WORLD.replace("RELEASE", "19.22.0.0.0")
        + "  - {name: crowd, user: CROWD, count: 50000, program: JDBC Thin Client, machines: [a, b, c], cycle: {busy: 1s..2s, idle: 10s..2m}}\n";
    let world = World::new(Scenario::parse(&text).expect("the test's own scenario"));
    let mut reaper = connect(&world, "REAPER");
    let columns = "inst_id, sid, serial#, username, status, server, schemaname, osuser, process, machine, terminal, program, type,
        sql_id, sql_exec_start, module, action, client_info, logon_time, last_call_et, client_identifier, blocking_session_status,
        blocking_instance, blocking_session, final_blocking_instance, final_blocking_session, event, wait_class, state,
        wait_time_micro, service_name, taddr, paddr, saddr, con_id, audsid, ownerid, prev_sql_id, port, seq#";
    let answer = reaper
        .run(&format!("SELECT {columns} FROM gv$session WHERE type = 'USER'"))
        .expect("query");
    assert!(answer.rows.len() > 50_000);
    assert_eq!(answer.rows[0].len(), 40);
    assert!(answer.rows.iter().all(|row| row[1] != Value::Null));
}
