//! A database that behaves otherwise than documented: each key of a scenario's behaviour, what it changes, and that it changes
//! nothing else; and a long query, which is ended as any call is.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use orasim::backend::{ConnectTo, OraError, Then};
use orasim::local::{Answer, Local, shown};
use orasim::scenario::Behaviour;
use orasim::{Scenario, World};

const LONG_QUERY: &str = "SELECT COUNT(*) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 1000) a, (SELECT LEVEL n FROM dual \
                          CONNECT BY LEVEL <= 1000) b, (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 2000) c WHERE a.n + b.n + \
                          c.n < 0";

const OPEN: &str = "DECLARE id VARCHAR2(200); BEGIN id := DBMS_TRANSACTION.LOCAL_TRANSACTION_ID(TRUE); END;";

fn world(behaviour: &str) -> Arc<World> {
    let scenario = format!(
        "release: 23.9.0.0.0\nstarts: 2026-11-23T14:00:00\nspeed: 0\ndatabase: {{name: TEST}}\ninstances: [{{number: 1, name: test1, \
         host: node1}}]\naccounts:\n  REAPER: {{password: r}}\n  SCOTT: {{password: s}}\nbehaviour: {{{behaviour}}}\n"
    );
    World::new(Scenario::parse(&scenario).unwrap_or_else(|error| panic!("{error}")))
}

fn connect(world: &Arc<World>, user: &str) -> Local {
    Local::connect(world, user, &ConnectTo::default()).expect("log in")
}

/// Sends ALTER SYSTEM about a session; 0 or the number of the error.
fn order(reaper: &mut Local, what: &str, (sid, serial): (u32, u32)) -> u32 {
    let (action, clause) = what.split_once(" SESSION").unwrap_or((what, ""));
    let text = format!("ALTER SYSTEM {action} SESSION '{sid},{serial}'{clause}");
    reaper.run(&text).err().map_or(0, |error| error.code)
}

fn status(world: &World, sid: u32) -> Option<&'static str> {
    world.session(1, sid).map(|session| session.status)
}

fn told(answer: Result<Answer, OraError>) -> (u32, Then) {
    let error = answer.expect_err("it is told");
    (error.code, error.then)
}

/// A session in the middle of the long query; what that ends with.
fn busy(world: &Arc<World>) -> ((u32, u32), thread::JoinHandle<Result<Answer, OraError>>) {
    let mut scott = connect(world, "SCOTT");
    let seat = (scott.sid, scott.serial);
    let running = thread::spawn(move || scott.run(LONG_QUERY));
    while status(world, seat.0) != Some("ACTIVE") {
        thread::yield_now();
    }
    (seat, running)
}

#[test]
fn a_long_query_is_ended_by_a_kill_and_by_a_cancel() {
    let world = world("");
    let mut reaper = connect(&world, "REAPER");
    for (what, code, call) in [
        ("KILL SESSION", 0, (28, Then::SessionGone)),
        ("KILL SESSION IMMEDIATE", 31, (28, Then::SessionGone)),
        ("KILL SESSION FORCE TIMEOUT 0", 0, (3113, Then::Cut)),
        ("DISCONNECT SESSION IMMEDIATE", 0, (3113, Then::Cut)),
    ] {
        let (seat, running) = busy(&world);
        assert_eq!(order(&mut reaper, what, seat), code, "{what}");
        assert_eq!(told(running.join().expect("it ends")), call, "{what}");
        assert_eq!(status(&world, seat.0), None, "{what}");
    }
    let (seat, running) = busy(&world);
    let id = "SELECT sql_id FROM v$session WHERE sid = :1";
    let found = reaper.run_with(id, &[orasim::backend::Value::Int(seat.0.into())]);
    let id = shown(&found.expect("a row").rows[0][0]);
    let cancel = format!("ALTER SYSTEM CANCEL SQL '{}, {}, {id}'", seat.0, seat.1);
    reaper.run(&cancel).expect("accepted");
    assert_eq!(told(running.join().expect("it ends")), (1013, Then::Continue));
}

#[test]
fn a_transaction_is_opened_without_a_table() {
    let world = world("");
    let mut scott = connect(&world, "SCOTT");
    let in_transaction = |world: &World| {
        world
            .session(1, scott.sid)
            .is_some_and(|session| session.in_transaction)
    };
    let asked = "DECLARE id VARCHAR2(200); BEGIN id := DBMS_TRANSACTION.LOCAL_TRANSACTION_ID; END;";
    let mut other = connect(&world, "SCOTT");
    other.run(asked).expect("it only asks");
    assert!(!world.session(1, other.sid).expect("there").in_transaction);
    assert!(!in_transaction(&world));
    scott.run(OPEN).expect("it opens one");
    assert!(world.session(1, scott.sid).expect("there").in_transaction);
    scott.run("BEGIN COMMIT; END;").expect("it ends it");
    assert!(!world.session(1, scott.sid).expect("there").in_transaction);
}

#[test]
fn a_kill_of_an_idle_session_ends_as_the_scenario_says() {
    for (said, code, row, call, after) in [
        ("{answer: 0, row: gone, told: 3113}", 0, None, (3113, Then::Cut), None),
        (
            "{answer: 0, row: gone, told: 28}",
            0,
            None,
            (28, Then::SessionGone),
            None,
        ),
        (
            "{answer: 31, row: killed, told: 28}",
            31,
            Some("KILLED"),
            (28, Then::SessionGone),
            None,
        ),
        (
            "{answer: 0, row: killed, ends: stays, told: 28}",
            0,
            Some("KILLED"),
            (28, Then::SessionGone),
            Some("KILLED"),
        ),
        (
            "{answer: 0, row: killed, told: 2396}",
            0,
            Some("KILLED"),
            (2396, Then::SessionGone),
            None,
        ),
    ] {
        let world = world(&format!("actions: {{kill: {{idle: {said}}}}}"));
        let mut reaper = connect(&world, "REAPER");
        let mut scott = connect(&world, "SCOTT");
        let seat = (scott.sid, scott.serial);
        assert_eq!(order(&mut reaper, "KILL SESSION", seat), code, "{said}");
        assert_eq!(status(&world, seat.0), row, "{said}");
        assert_eq!(told(scott.run("SELECT 1 FROM dual")), call, "{said}");
        assert_eq!(status(&world, seat.0), after, "{said}");
        drop(scott);
        assert_eq!(status(&world, seat.0), after, "{said}");
        world.advance(Duration::from_secs(601));
        assert_eq!(status(&world, seat.0), None, "{said}");
        // Another action, and another state, are as documented.
        let mut scott = connect(&world, "SCOTT");
        scott.run(OPEN).expect("it opens a transaction");
        assert_eq!(order(&mut reaper, "KILL SESSION", (scott.sid, scott.serial)), 0);
        assert_eq!(status(&world, scott.sid), Some("KILLED"));
        assert_eq!(told(scott.run("SELECT 1 FROM dual")), (28, Then::SessionGone), "{said}");
    }
}

#[test]
fn a_refusal_a_kill_without_effect_and_one_that_does_not_wait_are_as_the_scenario_says() {
    let world = world(
        "actions: {kill force: {busy: {answer: 922}}, kill noreplay: {idle: {answer: 0, row: kept, told: 0}}, kill: {busy: {answer: \
         0, row: killed, told: 28}}, cancel sql: {busy: {answer: 0, ends: stays}}, disconnect noreplay: {idle: {answer: 1031}}}",
    );
    let mut reaper = connect(&world, "REAPER");
    let (seat, running) = busy(&world);
    assert_eq!(order(&mut reaper, "KILL SESSION FORCE TIMEOUT 0", seat), 922);
    assert_eq!(status(&world, seat.0), Some("ACTIVE"));
    let cancel = format!("ALTER SYSTEM CANCEL SQL '{}, {}, 7gxm0c1p2q3rs'", seat.0, seat.1);
    reaper.run(&cancel).expect("accepted");
    assert_eq!(order(&mut reaper, "KILL SESSION", seat), 0);
    assert_eq!(status(&world, seat.0), Some("KILLED"));
    assert!(!running.is_finished());
    world.advance(Duration::from_secs(6));
    assert_eq!(told(running.join().expect("it ends")), (28, Then::SessionGone));
    let mut scott = connect(&world, "SCOTT");
    let seat = (scott.sid, scott.serial);
    assert_eq!(order(&mut reaper, "KILL SESSION NOREPLAY", seat), 0);
    assert_eq!(order(&mut reaper, "DISCONNECT SESSION NOREPLAY", seat), 1031);
    scott.run("SELECT 1 FROM dual").expect("it goes on");
    assert_eq!(order(&mut reaper, "DISCONNECT SESSION IMMEDIATE", seat), 0);
    assert_eq!(status(&world, seat.0), None);
}

#[test]
fn what_is_shown_and_named_is_as_the_scenario_says() {
    let world = world(
        "seen_at_once: false, idle_age_grows: false, program_bytes: 84, missing_session: 26, disconnect_with_instance: 0",
    );
    let mut reaper = connect(&world, "REAPER");
    let scott = connect(&world, "SCOTT");
    let seen = |reaper: &mut Local| {
        let found = reaper.run("SELECT last_call_et FROM gv$session WHERE username = 'SCOTT'");
        found
            .expect("rows")
            .rows
            .iter()
            .map(|row| shown(&row[0]))
            .collect::<Vec<_>>()
    };
    assert!(seen(&mut reaper).is_empty());
    world.advance(Duration::from_secs(601));
    assert_eq!(seen(&mut reaper), ["0"]);
    let width = "SELECT data_length FROM all_tab_columns WHERE table_name = 'GV_$SESSION' AND column_name = 'PROGRAM'";
    assert_eq!(shown(&reaper.run(width).expect("a row").rows[0][0]), "84");
    assert_eq!(order(&mut reaper, "KILL SESSION", (scott.sid, scott.serial + 1)), 26);
    let named = format!(
        "ALTER SYSTEM DISCONNECT SESSION '{},{},@1' IMMEDIATE",
        scott.sid, scott.serial
    );
    reaper.run(&named).expect("accepted");
    assert_eq!(status(&world, scott.sid), None);
}

#[test]
fn a_proof_of_a_real_database_is_taken_as_it_is() {
    let folder = std::env::temp_dir().join(format!("orasim-behave-{}", std::process::id()));
    let text = r#"{"database": "prod", "trials": [], "behaviour": {"seen_at_once": null, "program_bytes": 48,
        "actions": {"kill immediate": {"busy": {"answer": 31, "row": null, "ends": "call", "told": 28}}}}}"#;
    std::fs::write(&folder, text).expect("a file");
    let read = Behaviour::load(&folder);
    std::fs::remove_file(&folder).expect("its own file");
    let read = read.expect("a proof");
    assert_eq!((read.program_bytes, read.seen_at_once), (Some(48), None));
    assert_eq!(read.actions.len(), 1);
}
