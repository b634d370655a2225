//! The tutorial's exercise over the wire: a real driver, the real world, and what its victim is told.

use std::sync::Arc;
use std::time::Duration;

use oracledb::{Config, Connection, ErrorKind};
use orasim::backend::Database;
use orasim::{Scenario, Server, World};

fn tutorial() -> (Arc<World>, Server) {
    let mut scenario = Scenario::builtin("tutorial").expect("built in");
    scenario.speed = 0.0;
    let world = World::new(scenario);
    let database: Arc<dyn Database> = Arc::clone(&world) as Arc<dyn Database>;
    let server = Server::start(database, "127.0.0.1:0".parse().expect("an address")).expect("a listener");
    (world, server)
}

fn connect(server: &Server, user: &str) -> Connection {
    let config = Config::default()
        .set_credentials(user, user)
        .set_connect_string(&format!("127.0.0.1:{}/orcl", server.addr().port()))
        .expect("a connect string");
    oracledb::connect(config).expect("a connection")
}

/// The number of the error, 0 for one without.
fn code<T>(result: Result<T, oracledb::Error>) -> usize {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => {
            let ErrorKind::DbError(error) = error.kind() else {
                return 0;
            };
            error.code()
        }
    }
}

fn status(reaper: &Connection, sid: i64) -> Option<String> {
    let sql = "SELECT status FROM v$session WHERE sid = :1 AND username = 'APEXDEV'";
    reaper
        .query_row(sql, &[&sid])
        .ok()
        .map(|row| row.get::<String>(0).expect("a status"))
}

#[test]
fn a_killed_session_tells_its_client_at_the_next_statement() {
    let (world, server) = tutorial();
    let reaper = connect(&server, "reaper");
    let victim = connect(&server, "apexdev");
    assert_eq!(
        (victim.session_id().ok(), victim.serial_num().ok()),
        (Some(287), Some(62_507))
    );
    victim.query_row("SELECT 1 FROM dual", &[]).expect("a row");
    world.advance(Duration::from_secs(5 * 3600));
    let sql = "SELECT sid, serial#, last_call_et FROM v$session WHERE status = 'INACTIVE' AND username = 'APEXDEV'";
    let row = reaper.query_row(sql, &[]).expect("a row");
    let numbers = [0, 1, 2].map(|at| row.get::<i64>(at).expect("a number"));
    assert_eq!(numbers, [287, 62_507, 18_000]);
    let block = "BEGIN EXECUTE IMMEDIATE :stmt; :code := 0; EXCEPTION WHEN OTHERS THEN :code := SQLCODE; END;";
    let kill = "ALTER SYSTEM KILL SESSION '287,62507'";
    for expected in [0, -31] {
        let mut result = reaper
            .execute(block, &[&kill, &oracledb::DB_TYPE_NUMBER])
            .expect("the block");
        assert_eq!(result.out_bind_data().get::<i64>(0).expect("an OUT value"), expected);
        assert_eq!(status(&reaper, 287).as_deref(), Some("KILLED"));
    }
    assert_eq!(code(victim.query_row("SELECT 1 FROM dual", &[])), 28);
    assert_eq!(status(&reaper, 287), None);
}

#[test]
fn a_disconnected_session_ends_at_once_or_with_its_transaction() {
    let (world, server) = tutorial();
    let reaper = connect(&server, "reaper");
    let first = connect(&server, "apexdev");
    first.execute("CREATE TABLE notes (n NUMBER)", &[]).expect("a table");
    first.execute("INSERT INTO notes VALUES (1)", &[]).expect("a row");
    let second = connect(&server, "apexdev");
    assert_eq!(
        (second.session_id().ok(), second.serial_num().ok()),
        (Some(32), Some(36_107))
    );
    reaper
        .execute("ALTER SYSTEM DISCONNECT SESSION '32,36107' IMMEDIATE", &[])
        .expect("a disconnect");
    assert_eq!(status(&reaper, 32), None);
    assert!(second.query_row("SELECT 1 FROM dual", &[]).is_err());
    reaper
        .execute("ALTER SYSTEM DISCONNECT SESSION '287,62507' POST_TRANSACTION", &[])
        .expect("a disconnect");
    world.advance(Duration::from_secs(3600));
    assert_eq!(status(&reaper, 287).as_deref(), Some("INACTIVE"));
    first.commit().expect("the commit itself succeeds");
    while world.session(1, 287).is_some() {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(first.query_row("SELECT 1 FROM dual", &[]).is_err());
    assert_eq!(status(&reaper, 287), None);
}
