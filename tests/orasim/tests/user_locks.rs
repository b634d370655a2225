//! DBMS_LOCK: who gets a lock, what is answered, and when a lock is free again.

use std::sync::Arc;
use std::time::Duration;

use orasim::backend::{ConnectTo, OraError, Value};
use orasim::local::{Local, shown};
use orasim::{Scenario, World};

const DATABASE: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD, cut_off_stays: 20s}
instances:
  - {number: 1, name: prod1, host: db1}
  - {number: 2, name: prod2, host: db2}
accounts:
  REAPER: {password: reaper, alter_system: true, rights: {executes: [DBMS_LOCK]}}
  OTHER: {password: other, alter_system: true}
";

fn world() -> Arc<World> {
    World::new(Scenario::parse(DATABASE).expect("the test's own scenario"))
}

fn on(world: &Arc<World>, user: &str, instance: Option<&str>) -> Local {
    let to = ConnectTo {
        instance_name: instance.map(str::to_owned),
        ..ConnectTo::default()
    };
    Local::connect(world, user, &to).expect("it may log in")
}

fn call(client: &mut Local, expression: &str) -> Result<i64, OraError> {
    let block = format!("BEGIN :1 := {expression}; END;");
    let answer = client.run_with(&block, &[Value::Int(-1)])?;
    let value = answer.out[0].as_ref().map_or_else(String::new, shown);
    Ok(value.parse().expect("a number"))
}

fn request(client: &mut Local, mode: i64) -> i64 {
    let call_of =
        format!("SYS.DBMS_LOCK.REQUEST(id => 7, lockmode => {mode}, timeout => 0, release_on_commit => FALSE)");
    call(client, &call_of).expect("it may")
}

#[test]
fn a_lock_is_held_across_instances_until_it_is_released_or_its_session_ends() {
    let world = world();
    let (mut one, mut other) = (on(&world, "REAPER", Some("prod1")), on(&world, "REAPER", Some("prod2")));
    assert_eq!((one.instance, other.instance), (1, 2));
    assert_eq!(
        [request(&mut one, 6), request(&mut one, 6), request(&mut one, 4)],
        [0, 4, 4]
    );
    assert_eq!(request(&mut other, 4), 1);
    one.run("COMMIT").expect("it may");
    assert_eq!(request(&mut other, 4), 1, "a commit releases nothing");
    let rows = other
        .run("SELECT inst_id, sid, type, id1, lmode FROM gv$lock WHERE type = 'UL'")
        .expect("it may")
        .rows;
    let seen: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    assert_eq!(
        seen,
        [["1".into(), one.sid.to_string(), "UL".into(), "7".into(), "6".into()]]
    );
    assert_eq!(call(&mut one, "DBMS_LOCK.CONVERT(7, 4, 0)").expect("it may"), 0);
    assert_eq!([request(&mut other, 6), request(&mut other, 4)], [1, 0]);
    assert_eq!(call(&mut one, "DBMS_LOCK.CONVERT(7, 6, 0)").expect("it may"), 1);
    assert_eq!(call(&mut one, "DBMS_LOCK.RELEASE(7)").expect("it may"), 0);
    assert_eq!(call(&mut one, "DBMS_LOCK.RELEASE(7)").expect("it may"), 4);
    assert_eq!(call(&mut other, "DBMS_LOCK.CONVERT(7, 6, 0)").expect("it may"), 0);
    other.session().logoff();
    assert_eq!(request(&mut one, 6), 0);
}

#[test]
fn a_killed_session_has_no_lock_and_one_that_was_cut_off_has_until_that_is_noticed() {
    let world = world();
    let (mut one, mut other) = (on(&world, "REAPER", None), on(&world, "REAPER", None));
    assert_eq!(request(&mut one, 6), 0);
    other
        .run(&format!(
            "ALTER SYSTEM KILL SESSION '{},{},@{}'",
            one.sid, one.serial, one.instance
        ))
        .expect("it may");
    assert_eq!(world.kills()[0].locks.len(), 1, "as it was just before");
    assert_eq!(request(&mut other, 6), 0);
    drop(other);
    let mut third = on(&world, "REAPER", None);
    assert_eq!(request(&mut third, 6), 1);
    world.advance(Duration::from_secs(19));
    assert_eq!(request(&mut third, 6), 1);
    world.advance(Duration::from_secs(2));
    assert_eq!(request(&mut third, 6), 0);
}

#[test]
fn it_takes_a_grant_and_a_lock_of_a_user() {
    let world = world();
    let mut other = on(&world, "OTHER", None);
    let refused = call(&mut other, "DBMS_LOCK.REQUEST(7, 6, 0, FALSE)").expect_err("it may not");
    assert_eq!(refused.code, 6550);
    assert!(
        refused
            .message
            .contains("PLS-00201: identifier 'DBMS_LOCK' must be declared"),
        "{}",
        refused.message
    );
    let mut one = on(&world, "REAPER", None);
    for (wrong, answer) in [
        ("-1, 6, 0", 3),
        ("2000000000, 6, 0", 3),
        ("7, 0, 0", 3),
        ("7, 7, 0", 3),
        ("8, 6, 0", 0),
    ] {
        assert_eq!(
            call(&mut one, &format!("DBMS_LOCK.REQUEST({wrong})")).expect("it may"),
            answer,
            "{wrong}"
        );
    }
    assert_eq!(
        call(&mut one, "DBMS_LOCK.REQUEST(7)").expect("it may"),
        0,
        "exclusive, without an end"
    );
}
