//! Stored packages: whose rights they run with, what belongs to an autonomous transaction, and what a caller is told.

use std::sync::Arc;

use orasim::backend::{Client, ConnectTo, OraError, Value};
use orasim::local::{Answer, Local, shown};
use orasim::{Scenario, World};

const DATABASE: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod, host: db1}]
accounts: {SYS: {password: sys}}
sessions: [{name: pool, user: SHOP, program: pool, idle: 5h, pinned: {sid: 40, serial: 7}}]
";

const PACKAGE: &str = "
CREATE USER app IDENTIFIED BY app;
GRANT CREATE SESSION TO app;
CREATE USER keeper NO AUTHENTICATION;
GRANT ALTER SYSTEM TO keeper;
GRANT SELECT ON sys.gv_$session TO keeper;
CREATE TABLE keeper.notes (id NUMBER, text VARCHAR2(200));
INSERT INTO keeper.notes VALUES (0, 'first');
COMMIT;

CREATE OR REPLACE PACKAGE keeper.desk AUTHID DEFINER AS
  FUNCTION double(p IN NUMBER) RETURN NUMBER;
  PROCEDURE note(p_text IN VARCHAR2, p_id OUT NUMBER);
  PROCEDURE leave_open;
  PROCEDURE end_session(p_sid IN NUMBER, p_code OUT NUMBER, p_text OUT VARCHAR2);
  PROCEDURE who(p_session OUT VARCHAR2, p_current OUT VARCHAR2);
END desk;
/
CREATE OR REPLACE PACKAGE BODY keeper.desk AS

  FUNCTION double(p IN NUMBER) RETURN NUMBER IS
  BEGIN
    RETURN p * 2;
  END double;

  PROCEDURE note(p_text IN VARCHAR2, p_id OUT NUMBER) IS
    PRAGMA AUTONOMOUS_TRANSACTION;
  BEGIN
    SELECT NVL(MAX(id), 0) + 1 INTO p_id FROM notes;
    INSERT INTO notes (id, text) VALUES (p_id, p_text);
    COMMIT;
  END note;

  PROCEDURE leave_open IS
    PRAGMA AUTONOMOUS_TRANSACTION;
  BEGIN
    INSERT INTO notes (id, text) VALUES (99, 'lost');
  END leave_open;

  PROCEDURE end_session(p_sid IN NUMBER, p_code OUT NUMBER, p_text OUT VARCHAR2) IS
    l_serial NUMBER;
    l_id NUMBER;
  BEGIN
    BEGIN
      SELECT serial# INTO l_serial FROM gv$session WHERE sid = p_sid;
    EXCEPTION
      WHEN NO_DATA_FOUND THEN
        RAISE_APPLICATION_ERROR(-20002, 'nobody is there');
    END;
    note('about to', l_id);
    EXECUTE IMMEDIATE 'ALTER SYSTEM KILL SESSION ''' || TO_CHAR(p_sid) || ',' || TO_CHAR(l_serial) || '''';
    p_code := 0;
  EXCEPTION
    WHEN OTHERS THEN
      p_code := SQLCODE;
      p_text := SUBSTR(SQLERRM, 1, 100);
  END end_session;

  PROCEDURE who(p_session OUT VARCHAR2, p_current OUT VARCHAR2) IS
  BEGIN
    p_session := SYS_CONTEXT('USERENV', 'SESSION_USER');
    p_current := SYS_CONTEXT('USERENV', 'CURRENT_USER');
  END who;
END desk;
/
GRANT EXECUTE ON keeper.desk TO app;
";

struct Desk {
    world: Arc<World>,
    sys: Local,
    app: Local,
}

fn desk() -> Desk {
    let world = World::new(Scenario::parse(DATABASE).expect("the test's own scenario"));
    let to = ConnectTo::default();
    let client = Client {
        sysdba: true,
        ..Client::default()
    };
    let mut sys = Local::connect_as(&world, "SYS", &to, client).expect("SYS may always log in");
    sys.script(PACKAGE, &[]).unwrap_or_else(|error| panic!("{error}"));
    let app = Local::connect(&world, "APP", &to).expect("it may log in");
    Desk { world, sys, app }
}

fn code(answer: Result<Answer, OraError>) -> u32 {
    answer.err().map_or(0, |error| error.code)
}

fn out(answer: &Answer) -> Vec<String> {
    let values = answer.out.iter();
    values
        .map(|value| value.as_ref().map_or_else(String::new, shown))
        .collect()
}

fn notes(sys: &mut Local) -> Vec<String> {
    let rows = sys
        .run("SELECT text FROM keeper.notes ORDER BY id")
        .expect("SYS sees all")
        .rows;
    rows.iter().map(|row| shown(&row[0])).collect()
}

const END_SESSION: &str = "BEGIN keeper.desk.end_session(:1, :2, :3); END;";

#[test]
fn a_package_runs_with_the_rights_of_its_owner_alone() {
    let Desk {
        world,
        mut sys,
        mut app,
    } = desk();
    assert_eq!(code(app.run("SELECT sid FROM gv$session")), 942);
    assert_eq!(code(app.run("ALTER SYSTEM KILL SESSION '40,7'")), 1031);
    for statement in [
        "SELECT text FROM keeper.notes",
        "INSERT INTO keeper.notes VALUES (1, 'forged')",
        "UPDATE keeper.notes SET text = 'forged'",
        "DELETE FROM keeper.notes",
    ] {
        assert_eq!(code(app.run(statement)), 942, "{statement}");
    }
    let binds = [Value::Int(40), Value::Int(5), Value::Text("".into())];
    let answer = app.run_with(END_SESSION, &binds).expect("it may call it");
    assert_eq!(out(&answer)[1..], ["0".to_owned(), String::new()]);
    assert_eq!(world.kills().len(), 1);
    assert_eq!(world.kills()[0].by, "APP");
    assert_eq!(
        code(app.run("ALTER SYSTEM KILL SESSION '40,7'")),
        1031,
        "the rights end with the call"
    );
    let who = app.run_with(
        "BEGIN keeper.desk.who(:1, :2); END;",
        &[Value::Text("".into()), Value::Text("".into())],
    );
    assert_eq!(out(&who.expect("it may")), ["APP", "KEEPER"]);
    assert_eq!(notes(&mut sys), ["first", "about to"]);
}

#[test]
fn its_errors_come_back_as_it_says() {
    let Desk { mut app, .. } = desk();
    let binds = [Value::Int(999), Value::Int(5), Value::Text("".into())];
    let answer = app.run_with(END_SESSION, &binds).expect("it catches everything");
    assert_eq!(out(&answer)[1..], ["-20002", "ORA-20002: nobody is there"]);
    let block =
        "DECLARE c NUMBER := 5; t VARCHAR2(100); BEGIN EXECUTE IMMEDIATE :1 USING OUT c, OUT t; :2 := c; :3 := t; END;";
    let call = "BEGIN keeper.desk.end_session(999, :c, :t); END;";
    let binds = [Value::Text(call.into()), Value::Int(0), Value::Text("".into())];
    let answer = app.run_with(block, &binds).expect("it catches everything");
    assert_eq!(out(&answer)[1..], ["-20002", "ORA-20002: nobody is there"]);
}

#[test]
fn a_function_is_a_value_in_sql_and_in_a_block() {
    let Desk { mut app, .. } = desk();
    let answer = app.run("SELECT keeper.desk.double(20 + 1) FROM dual").expect("it may");
    assert_eq!(shown(&answer.rows[0][0]), "42");
    let answer = app
        .run_with("BEGIN :1 := keeper.desk.double(4) + 1; END;", &[Value::Int(0)])
        .expect("it may");
    assert_eq!(out(&answer), ["9"]);
    assert_eq!(code(app.run("SELECT keeper.desk.treble(1) FROM dual")), 904);
}

#[test]
fn an_autonomous_transaction_is_one_of_its_own() {
    let Desk { mut sys, mut app, .. } = desk();
    app.run("CREATE TABLE own (a NUMBER)").expect("in its own schema");
    app.run("INSERT INTO own VALUES (1)").expect("its own");
    app.run_with("BEGIN keeper.desk.note('kept', :1); END;", &[Value::Int(0)])
        .expect("it may");
    app.run("ROLLBACK").expect("it is its own");
    assert_eq!(notes(&mut sys), ["first", "kept"]);
    let left = app.run("SELECT COUNT(*) FROM own").expect("its own");
    assert_eq!(
        shown(&left.rows[0][0]),
        "0",
        "COMMIT in the package was not of the caller's transaction"
    );
    let last = sys
        .run("SELECT NVL(MAX(id), 0) FROM keeper.notes")
        .expect("a group function in another function");
    assert_eq!(shown(&last.rows[0][0]), "1");
    assert_eq!(code(app.run("BEGIN keeper.desk.leave_open; END;")), 6519);
    assert_eq!(notes(&mut sys), ["first", "kept"]);
}

#[test]
fn without_the_right_there_is_no_package_and_without_its_owners_rights_no_body() {
    let Desk { mut sys, mut app, .. } = desk();
    sys.run("REVOKE EXECUTE ON keeper.desk FROM app")
        .expect("it was granted");
    assert_eq!(code(app.run("BEGIN keeper.desk.leave_open; END;")), 6550);
    assert_eq!(code(app.run("SELECT keeper.desk.double(1) FROM dual")), 904);
    sys.run("GRANT EXECUTE ON keeper.desk TO app").expect("it is there");
    sys.run("REVOKE SELECT ON sys.gv_$session FROM keeper")
        .expect("it was granted");
    assert_eq!(
        code(app.run("SELECT keeper.desk.double(1) FROM dual")),
        4063,
        "the whole body is invalid"
    );
    sys.run("GRANT SELECT ON sys.gv_$session TO keeper")
        .expect("it is there");
    assert_eq!(code(app.run("SELECT keeper.desk.double(1) FROM dual")), 0);
    sys.run("REVOKE ALTER SYSTEM FROM keeper").expect("it was granted");
    let binds = [Value::Int(40), Value::Int(5), Value::Text("".into())];
    let answer = app.run_with(END_SESSION, &binds).expect("it catches everything");
    assert_eq!(out(&answer)[1], "-1031");
}

#[test]
fn a_schema_without_authentication_came_with_18c_and_only_an_administrator_makes_packages() {
    let Desk { mut app, .. } = desk();
    assert_eq!(
        code(app.run("CREATE OR REPLACE PACKAGE keeper.desk AS PROCEDURE a; END;")),
        1031
    );
    let old = DATABASE.replace("19.22.0.0.0", "12.2.0.1.0");
    let world = World::new(Scenario::parse(&old).expect("the test's own scenario"));
    let client = Client {
        sysdba: true,
        ..Client::default()
    };
    let mut sys = Local::connect_as(&world, "SYS", &ConnectTo::default(), client).expect("SYS may always log in");
    assert_eq!(code(sys.run("CREATE USER keeper NO AUTHENTICATION")), 922);
    let values = format!(
        "CREATE USER keeper IDENTIFIED BY VALUES 'S:{}' ACCOUNT LOCK",
        "0".repeat(60)
    );
    assert_eq!(code(sys.run(&values)), 0);
    assert_eq!(
        code(Local::connect(&world, "KEEPER", &ConnectTo::default()).map(|_| Answer::default())),
        28_000
    );
}
