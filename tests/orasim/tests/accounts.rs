//! Statements about accounts: who may run them, where what they make exists, what it may do, and how a script is read.

use std::sync::Arc;

use orasim::backend::{Client, ConnectTo};
use orasim::local::Local;
use orasim::{Scenario, World};

const WITH_CONTAINERS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: CDB, pdbs: [SHOP, DWH]}
instances: [{number: 1, name: cdb1, host: node1}]
accounts:
  SYS: {password: sys}
  APP: {password: app}
services: [{name: shop, container: SHOP}, {name: dwh, container: DWH}]
sessions: [{name: pool, user: SHOP, program: pool, count: 2, container: SHOP, idle: 5h}]
";

const WITHOUT: &str = "
release: 11.2.0.4.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod, host: db1}]
accounts:
  SYS: {password: sys}
sessions: [{name: pool, user: SHOP, program: pool, count: 2, idle: 5h}]
";

fn world(scenario: &str) -> Arc<World> {
    World::new(Scenario::parse(scenario).expect("the test's own scenario"))
}

fn to(service: &str) -> ConnectTo {
    ConnectTo {
        service_name: Some(service.to_owned()),
        ..ConnectTo::default()
    }
}

fn sys(world: &Arc<World>, service: &str) -> Local {
    let client = Client {
        sysdba: true,
        ..Client::default()
    };
    Local::connect_as(world, "SYS", &to(service), client).expect("SYS may always log in")
}

fn code(answer: Result<impl Sized, orasim::backend::OraError>) -> u32 {
    answer.err().map_or(0, |error| error.code)
}

#[test]
fn an_account_begins_without_any_right_and_has_those_that_are_granted() {
    let world = world(WITHOUT);
    let mut sys = sys(&world, "PROD");
    for statement in [
        "CREATE PROFILE calm LIMIT SESSIONS_PER_USER 1 IDLE_TIME UNLIMITED",
        "CREATE USER reaper IDENTIFIED BY \"Secret\" PROFILE calm",
    ] {
        sys.run(statement).expect(statement);
    }
    let log_in = || Local::connect(&world, "reaper", &to("PROD"));
    assert_eq!(code(log_in()), 1045);
    sys.run("GRANT CREATE SESSION TO reaper").expect("it exists");
    let mut reaper = log_in().expect("it may");
    assert_eq!(code(log_in()), 2391, "SESSIONS_PER_USER 1");
    assert_eq!(code(reaper.run("SELECT sid FROM v$session")), 942);
    assert_eq!(code(sys.run("GRANT SELECT ON sys.v$session TO reaper")), 2030);
    sys.run("GRANT SELECT ON sys.v_$session TO reaper")
        .expect("the view behind it");
    assert_eq!(code(reaper.run("SELECT sid FROM v$session")), 0);
    assert_eq!(code(reaper.run("SELECT sid FROM gv$session")), 942, "another view");
    assert_eq!(code(reaper.run("ALTER SYSTEM KILL SESSION '1,1'")), 1031);
    sys.run("GRANT ALTER SYSTEM TO reaper").expect("it exists");
    assert_eq!(code(reaper.run("ALTER SYSTEM KILL SESSION '999,1'")), 30);
    let shown = reaper
        .run("SELECT privilege FROM session_privs ORDER BY privilege")
        .expect("for everybody");
    assert_eq!(shown.rows.len(), 2, "{shown:?}");
    let limits = reaper.run("SELECT limit FROM user_resource_limits WHERE resource_name = 'SESSIONS_PER_USER'");
    assert_eq!(orasim::local::shown(&limits.expect("for everybody").rows[0][0]), "1");
    sys.run("REVOKE SELECT ON sys.v_$session FROM reaper")
        .expect("it was granted");
    assert_eq!(code(reaper.run("SELECT sid FROM v$session")), 942);
    assert_eq!(code(sys.run("REVOKE ALTER SYSTEM FROM reaper")), 0);
    assert_eq!(code(sys.run("REVOKE ALTER SYSTEM FROM reaper")), 1952);
}

#[test]
fn only_an_administrator_makes_accounts() {
    let world = world(WITH_CONTAINERS);
    let mut app = Local::connect(&world, "APP", &to("shop")).expect("it may log in");
    assert_eq!(code(app.run("CREATE USER other IDENTIFIED BY x")), 1031);
    assert_eq!(code(app.run("GRANT ALTER SYSTEM TO app")), 1031);
}

#[test]
fn a_common_account_is_everywhere_and_its_grants_are_where_they_were_made() {
    let world = world(WITH_CONTAINERS);
    let mut sys = sys(&world, "CDB");
    assert_eq!(code(sys.run("CREATE USER reaper IDENTIFIED BY x")), 65_096);
    assert_eq!(
        code(sys.run("CREATE USER c##reaper IDENTIFIED BY x CONTAINER=CURRENT")),
        65_049
    );
    for statement in [
        "CREATE PROFILE c##calm LIMIT CONNECT_TIME UNLIMITED CONTAINER=ALL",
        "CREATE USER c##reaper IDENTIFIED BY x PROFILE c##calm CONTAINER=ALL",
        "GRANT CREATE SESSION TO c##reaper",
        "GRANT SELECT ON sys.gv_$session TO c##reaper",
    ] {
        sys.run(statement).expect(statement);
    }
    assert_eq!(code(Local::connect(&world, "c##reaper", &to("shop"))), 1045);
    let mut reaper = Local::connect(&world, "c##reaper", &to("CDB")).expect("it may");
    let pdb_sessions = "SELECT COUNT(*) FROM gv$session WHERE con_id > 1";
    let mut seen = || orasim::local::shown(&reaper.run(pdb_sessions).expect("granted").rows[0][0]);
    assert_eq!(seen(), "0", "the root shows its own data alone");
    assert_eq!(code(sys.run("ALTER USER c##reaper SET CONTAINER_DATA=ALL")), 65_057);
    sys.run("ALTER USER c##reaper SET CONTAINER_DATA=ALL CONTAINER=CURRENT")
        .expect("in the root");
    assert_eq!(seen(), "2");
}

#[test]
fn a_local_account_is_known_in_its_own_pdb_alone() {
    let world = world(WITH_CONTAINERS);
    let mut sys = sys(&world, "shop");
    assert_eq!(code(sys.run("CREATE USER c##reaper IDENTIFIED BY x")), 65_094);
    assert_eq!(
        code(sys.run("CREATE USER reaper IDENTIFIED BY x CONTAINER=ALL")),
        65_050
    );
    sys.run("CREATE USER reaper IDENTIFIED BY x").expect("local");
    sys.run("GRANT CREATE SESSION TO reaper CONTAINER=CURRENT")
        .expect("here");
    assert_eq!(code(Local::connect(&world, "reaper", &to("shop"))), 0);
    assert_eq!(code(Local::connect(&world, "reaper", &to("dwh"))), 1017);
    assert_eq!(code(Local::connect(&world, "reaper", &to("CDB"))), 1017);
    assert_eq!(code(sys.run("CREATE USER reaper IDENTIFIED BY x")), 1920);
}

#[test]
fn what_a_release_lacks_is_refused() {
    let world = world(WITHOUT);
    let mut sys = sys(&world, "PROD");
    assert_eq!(code(sys.run("CREATE USER reaper IDENTIFIED BY x CONTAINER=ALL")), 922);
    sys.run("CREATE USER reaper IDENTIFIED BY x").expect("it may");
    assert_eq!(code(sys.run("CREATE USER other IDENTIFIED BY x PROFILE none")), 2380);
    assert_eq!(code(sys.run("CREATE PROFILE p LIMIT PATIENCE 3")), 2376);
    assert_eq!(code(sys.run("GRANT CREATE SESSION TO nobody")), 1917);
    assert_eq!(code(sys.run("GRANT FLY AWAY TO reaper")), 990);
    assert_eq!(code(sys.run("GRANT SELECT ON sys.v_$nothing TO reaper")), 942);
}

#[test]
fn a_script_is_read_as_sqlplus_reads_it() {
    let world = world(WITHOUT);
    let run = |text: &str| {
        let ran = sys(&world, "PROD").script(text, &[("word", "tiger")]);
        ran.map(|statements| statements.len()).map_err(|error| error.why)
    };
    assert_eq!(
        run(
            "-- a comment\nSET VERIFY OFF\nACCEPT word CHAR PROMPT 'Word: ' HIDE\n\nCREATE USER one\n  IDENTIFIED BY \"&word\";\n"
        ),
        Ok(1)
    );
    assert!(run("CREATE USER two IDENTIFIED BY \"&word\";\n").is_err_and(|why| why.contains("not defined")));
    assert!(
        run("-- not & yet\n").is_err_and(|why| why.contains("not defined")),
        "in a comment too"
    );
    assert!(run("GRANT CREATE SESSION\n\nTO one;\n").is_err_and(|why| why.contains("empty line")));
    assert!(run("GRANT CREATE SESSION TO one; -- why\n").is_err_and(|why| why.contains("ends before")));
    assert!(run("GRANT CREATE SESSION TO one").is_err_and(|why| why.contains("ends before")));
    assert!(run("GRANT CREATE SESSION TO two;\n").is_err_and(|why| why.starts_with("ORA-01917")));
}
