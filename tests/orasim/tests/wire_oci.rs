//! Oracle's own client library, under the `oracle` crate, against the wire with fixed answers behind it.
//!
//! It runs where the library is (`tests/fetch-clients` fetches it) and says so where it is not.

use std::env;
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::fixed::{BIG, Fixed, NAP, SLEEP, clients, long_text, serve};
use oracle::sql_type::{OracleType, Timestamp, ToSql};
use oracle::{ConnStatus, Connection, Connector, InitParams, Privilege};
use orasim::Server;

static LOADED: Once = Once::new();

/// Loads the library, once in this process; `false` where the test is not to go on here.
///
/// The library's own dependencies are found through LD_LIBRARY_PATH, which the loader reads when a process starts. Where
/// it does not name the library's folder, the test runs again in a process of its own where it does.
fn loaded() -> bool {
    let Some(library) = clients::client_library() else {
        clients::not_run("no Oracle client library");
        return false;
    };
    let path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|folder| folder == library) {
        let path = env::join_paths(std::iter::once(library).chain(env::split_paths(&path))).expect("a path");
        let test = std::thread::current()
            .name()
            .expect("tests' threads have the tests' names")
            .to_owned();
        let output = Command::new(env::current_exe().expect("this program"))
            .args([test.as_str(), "--exact", "--nocapture"])
            .env("LD_LIBRARY_PATH", path)
            .output()
            .expect("this program starts again");
        let said = String::from_utf8_lossy(&output.stdout);
        let ran = said.contains("1 passed");
        assert!(
            output.status.success() && ran,
            "{test}: {said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return false;
    }
    LOADED.call_once(|| {
        let mut parameters = InitParams::new();
        parameters.oracle_client_lib_dir(library).expect("a folder");
        if clients::network_settings().exists() {
            parameters
                .oracle_client_config_dir(clients::network_settings())
                .expect("a folder");
        }
        parameters.init().expect("the client library loads");
    });
    true
}

fn address(server: &Server, service: &str) -> String {
    format!("//127.0.0.1:{}/{service}", server.addr().port())
}

fn connect() -> Option<(Server, Fixed, Connection)> {
    if !loaded() {
        return None;
    }
    let (server, database) = serve();
    let connection = Connection::connect("scott", "tiger", address(&server, "fixed")).expect("a connection");
    Some((server, database, connection))
}

/// The number and the offset of a database error.
fn code<T>(result: oracle::Result<T>) -> (i32, u32) {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => {
            let Some(error) = error.db_error() else {
                panic!("not a database error: {error}")
            };
            (error.code(), error.offset())
        }
    }
}

#[test]
fn a_session_is_described() {
    let Some((_server, database, connection)) = connect() else {
        return;
    };
    let (version, banner) = connection.server_version().expect("a version");
    assert_eq!(version.to_string(), "19.3.0.0.0");
    assert!(banner.starts_with("Oracle Database 19c"), "{banner}");
    connection.ping().expect("a session");
    assert_eq!(connection.status().expect("a status"), ConnStatus::Normal);
    assert!(
        database
            .events()
            .iter()
            .any(|event| event.starts_with("logon SCOTT Right program=all"))
    );
    assert!(database.saw("client described=true proxy for nobody"));
    connection.set_module("loader").expect("a module");
    connection.set_action("load").expect("an action");
    connection.set_client_identifier("me").expect("an identifier");
    connection.set_client_info("info").expect("a text");
    connection.set_current_schema("HR").expect("a schema");
    connection.ping().expect("a session");
    for event in [
        "module loader",
        "action load",
        "client_identifier me",
        "client_info info",
        "current schema HR",
    ] {
        assert!(database.saw(event), "{event}");
    }
    connection.close().expect("a logoff");
    assert!(database.saw("logoff") && database.saw("session dropped"));
}

#[test]
fn logins_that_fail_say_why() {
    let Some((server, database, _connection)) = connect() else {
        return;
    };
    let attempt = |user: &str, password: &str, service| Connection::connect(user, password, address(&server, service));
    assert_eq!(code(attempt("scott", "Tiger", "fixed")).0, 1_017);
    assert_eq!(code(attempt("nobody", "tiger", "fixed")).0, 1_017);
    assert_eq!(code(attempt("locked", "tiger", "fixed")).0, 28_000);
    assert_eq!(code(attempt("scott", "tiger", "nowhere")).0, 12_514);
    assert_eq!(code(attempt("scott", "tiger", "starting")).0, 12_528);
    let warning = attempt("expiring", "tiger", "fixed")
        .expect("a connection")
        .last_warning()
        .expect("a warning");
    assert!(warning.to_string().contains("ORA-28002"), "{warning}");
    let mut sysdba = Connector::new("scott", "tiger", address(&server, "fixed"));
    sysdba.privilege(Privilege::Sysdba).connect().expect("a connection");
    assert!(
        database
            .events()
            .iter()
            .any(|event| event.starts_with("logon SCOTT") && event.ends_with("sysdba=true"))
    );
    let long = format!(
        "(DESCRIPTION=(CONNECT_TIMEOUT=5)(ADDRESS_LIST=(FAILOVER=ON)(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))\
         (ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT={})))(CONNECT_DATA=(SERVER=DEDICATED)(SERVICE_NAME=fixed)\
         (CID=(PROGRAM={}))))",
        server.addr().port(),
        "x".repeat(300)
    );
    Connection::connect("scott", "tiger", long)
        .expect("a connection")
        .ping()
        .expect("a session");
}

#[test]
fn every_type_arrives() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    let rows: Vec<_> = connection
        .query("select * from kinds", &[])
        .expect("a cursor")
        .collect::<Result<_, _>>()
        .expect("rows");
    assert_eq!(rows.len(), 3);
    let filled = &rows[0];
    assert_eq!(filled.get::<_, i64>(0).expect("N"), 1);
    assert_eq!(filled.get::<_, String>(1).expect("D"), "-12.5");
    assert_eq!(filled.get::<_, f64>(2).expect("F"), 1.5);
    assert_eq!(filled.get::<_, String>(3).expect("T"), "grüße €");
    assert_eq!(filled.get::<_, String>(4).expect("LONG_T"), long_text(252));
    assert_eq!(
        filled.get::<_, Timestamp>(5).expect("DAY").to_string(),
        "2024-02-29 23:59:58"
    );
    assert_eq!(
        filled.get::<_, Timestamp>(6).expect("TS").to_string(),
        "2024-02-29 23:59:58.123456"
    );
    assert_eq!(filled.get::<_, Vec<u8>>(7).expect("R"), (0..=255).collect::<Vec<u8>>());
    for column in 0..8 {
        assert_eq!(
            rows[1].get::<_, Option<String>>(column).expect("a NULL"),
            None,
            "column {column}"
        );
    }
    assert_eq!(rows[2].get::<_, i64>(0).expect("N"), i64::MAX);
    assert_eq!(rows[2].get::<_, f64>(2).expect("F"), -2.25e-100);
    assert_eq!(rows[2].get::<_, String>(4).expect("LONG_T"), long_text(4_000));
    let wide: Vec<_> = connection
        .query("select * from wide", &[])
        .expect("a cursor")
        .collect::<Result<_, _>>()
        .expect("rows");
    assert_eq!(wide.len(), 5);
    assert_eq!(wide[4].get::<_, String>(299).expect("C299"), format!("4.{:0>140}", 299));
}

#[test]
fn many_rows_come_in_as_many_round_trips_as_it_takes_without_a_second_parse() {
    let Some((server, _database, connection)) = connect() else {
        return;
    };
    let array = 5_000;
    let mut statement = connection
        .statement("select n, name from big")
        .prefetch_rows(0)
        .fetch_array_size(array)
        .build()
        .expect("a statement");
    for poll in 0..3 {
        let before = server.stats();
        let mut expected = 0;
        for row in statement.query_as::<(i64, String)>(&[]).expect("a cursor") {
            expected += 1;
            assert_eq!(row.expect("a row"), (expected, format!("name of {expected}")));
        }
        assert_eq!(expected, BIG);
        let after = server.stats();
        // One to execute, fifteen to fetch 70,001 rows by 5,000.
        assert_eq!(
            after.round_trips - before.round_trips,
            (BIG as u64).div_ceil(u64::from(array)) + 1,
            "poll {poll}"
        );
        assert_eq!(after.parses - before.parses, u64::from(poll == 0));
    }
}

#[test]
fn clobs_arrive_as_text_each_time() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    let mut statement = connection
        .statement("select t from clobs")
        .build()
        .expect("a statement");
    for _ in 0..3 {
        let found: Vec<(i64, Option<String>)> = statement
            .query_as(&[])
            .expect("a cursor")
            .collect::<Result<_, _>>()
            .expect("rows");
        let expected: Vec<(i64, Option<String>)> = [10, 40_000, 0, 300]
            .map(|size: i64| (size, (size > 0).then(|| long_text(size as usize))))
            .to_vec();
        assert_eq!(found, expected);
    }
}

#[test]
fn errors_have_their_numbers_and_offsets_and_leave_the_session() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    for _ in 0..2 {
        assert_eq!(code(connection.query("select nosuch from dual", &[])), (904, 7));
        assert_eq!(code(connection.query("select * from nowhere", &[])), (942, 14));
        let old: oracle::Result<Vec<_>> = connection
            .query("select n, name from old", &[])
            .expect("a cursor")
            .collect();
        assert_eq!(code(old).0, 1_555);
    }
    assert_eq!(
        connection
            .query("select n, name from none", &[])
            .expect("a cursor")
            .count(),
        0
    );
    connection.ping().expect("a session");
}

#[test]
fn binds_of_every_kind_arrive() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    let text = long_text(20_000);
    let moment = Timestamp::new(2024, 2, 29, 23, 59, 58, 123_456_000).expect("a moment");
    let bytes: Vec<u8> = (0..200).collect();
    let binds: [&dyn ToSql; 7] = [
        &text,
        &-42_i64,
        &2.5_f64,
        &moment,
        &OracleType::Varchar2(30),
        &bytes,
        &"grüße €",
    ];
    for _ in 0..2 {
        let row = connection
            .query_row("select binds :1, :2, :3, :4, :5, :6, :7 from dual", &binds)
            .expect("a row");
        assert_eq!(row.get::<_, String>(0).expect("text"), "20000 bytes, as expected");
        assert_eq!(row.get::<_, i64>(1).expect("a number"), -42);
        assert_eq!(row.get::<_, f64>(2).expect("a float"), 2.5);
        assert_eq!(
            row.get::<_, Timestamp>(3).expect("a time").to_string(),
            "2024-02-29 23:59:58.123456000"
        );
        assert_eq!(row.get::<_, Option<String>>(4).expect("a NULL"), None);
        assert_eq!(row.get::<_, Vec<u8>>(5).expect("bytes"), bytes);
        assert_eq!(row.get::<_, String>(6).expect("text"), "grüße €");
    }
    let row = connection
        .query_row_named("select binds :a, :b from dual", &[("b", &"second"), ("a", &1)])
        .expect("a row");
    assert_eq!(
        (row.get::<_, i64>(0).expect("a"), row.get::<_, String>(1).expect("b")),
        (1, "second".to_owned())
    );
}

#[test]
fn plsql_returns_its_out_binds_each_time() {
    let Some((server, _database, connection)) = connect() else {
        return;
    };
    let mut statement = connection
        .statement("begin :1 := :2 * 2; end;")
        .build()
        .expect("a statement");
    for value in [21_i64, -1, 1_000_000] {
        statement
            .execute(&[&OracleType::Number(0, 0), &value])
            .expect("a result");
        assert_eq!(statement.bind_value::<_, i64>(1).expect("an OUT value"), value * 2);
    }
    drop(statement);
    let mut statement = connection
        .statement("begin :1 := upper(:1); :2 := null; end;")
        .build()
        .expect("a statement");
    for text in ["grüße", "x"] {
        statement.bind(1, &OracleType::Varchar2(20)).expect("a bind");
        statement.bind(1, &text).expect("a bind");
        statement.bind(2, &OracleType::Int64).expect("a bind");
        statement.execute(&[]).expect("a result");
        assert_eq!(
            statement.bind_value::<_, String>(1).expect("an OUT value"),
            text.to_uppercase()
        );
        assert_eq!(statement.bind_value::<_, Option<i64>>(2).expect("an OUT value"), None);
    }
    connection
        .execute("begin null; end;", &[])
        .expect("a block without binds");
    connection
        .execute("alter system flush", &[])
        .expect("a statement without rows");
    assert!(server.stats().parses <= 5, "{:?}", server.stats());
}

#[test]
fn batches_and_transactions_reach_the_session() {
    let Some((_server, database, mut connection)) = connect() else {
        return;
    };
    let mut batch = connection
        .batch("insert into t values (:1, :2)", 10)
        .build()
        .expect("a batch");
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        batch.append_row(&[&number, &name]).expect("a row");
    }
    batch.execute().expect("a result");
    drop(batch);
    let statement = connection
        .execute("insert into t values (:1)", &[&1])
        .expect("a result");
    assert_eq!(statement.row_count().expect("a count"), 1);
    drop(statement);
    connection.commit().expect("a commit");
    connection.rollback().expect("a rollback");
    connection.set_autocommit(true);
    for _ in 0..2 {
        connection.execute("insert into t values (1)", &[]).expect("a result");
    }
    let events = database.events();
    for event in [
        "execute insert into t values (:1, :2)",
        "commit",
        "rollback",
        "execute insert into t values (1) and commit",
        "execute again insert into t values (1) and commit",
    ] {
        assert!(events.iter().any(|seen| seen == event), "{event}: {events:?}");
    }
}

#[test]
fn a_call_timeout_leaves_a_usable_session() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    for _ in 0..3 {
        connection
            .set_call_timeout(Some(Duration::from_millis(300)))
            .expect("a time-out");
        let begun = Instant::now();
        let error = connection.execute("begin sleep; end;", &[]).expect_err("a time-out");
        assert!(begun.elapsed() < SLEEP / 2, "{error}");
        assert_eq!(error.dpi_code(), Some(1_067), "{error}");
        connection.set_call_timeout(None).expect("no time-out");
        let row = connection
            .query_row_as::<(i64, String)>("select n, name from three", &[])
            .expect("a row");
        assert_eq!(row.0, 1);
    }
}

/// A break that crosses the answer on its way is no different from one that comes in time.
#[test]
fn a_time_out_at_the_moment_of_the_answer_leaves_a_usable_session() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    let mut outcomes = [0, 0];
    for round in 0..60 {
        let timeout = NAP + Duration::from_millis(round % 6) - Duration::from_millis(2);
        connection.set_call_timeout(Some(timeout)).expect("a time-out");
        let answered = connection.execute("begin nap; end;", &[]).is_ok();
        outcomes[usize::from(answered)] += 1;
        connection
            .set_call_timeout(Some(Duration::from_secs(5)))
            .expect("a time-out");
        let row = connection
            .query_row_as::<(i64, String)>("select n, name from three", &[])
            .expect("a row");
        assert_eq!(row.0, 1, "round {round}");
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

#[test]
fn a_break_from_another_thread_ends_the_call_alone() {
    let Some((_server, database, connection)) = connect() else {
        return;
    };
    for round in 1..=3 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runs = || {
                    database
                        .events()
                        .iter()
                        .filter(|event| event.contains("begin sleep"))
                        .count()
                };
                while runs() < round {
                    std::thread::sleep(Duration::from_millis(10));
                }
                connection.break_execution().expect("a break");
            });
            let begun = Instant::now();
            assert_eq!(code(connection.execute("begin sleep; end;", &[])).0, 1_013);
            assert!(begun.elapsed() < SLEEP / 2);
        });
        connection.ping().expect("a session");
        assert_eq!(
            connection
                .query("select n, name from three", &[])
                .expect("a cursor")
                .count(),
            3
        );
    }
}

#[test]
fn a_session_that_is_gone_is_a_dead_connection() {
    let Some((_server, database, connection)) = connect() else {
        return;
    };
    let error = connection.query("select gone from dual", &[]).expect_err("ORA-00028");
    assert!(error.to_string().contains("ORA-00028"), "{error}");
    assert!(database.saw("session dropped"));
    assert_eq!(connection.status().expect("a status"), ConnStatus::Closed);
    assert!(connection.ping().is_err());
}

#[test]
fn a_cut_connection_and_a_hang_up_are_ora_03113() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    let error = connection.query("select cut from dual", &[]).expect_err("ORA-03113");
    assert!(error.to_string().contains("ORA-03113"), "{error}");
    let Some((_server, database, connection)) = connect() else {
        return;
    };
    database.hang_up_all();
    let error = connection
        .query("select n, name from three", &[])
        .expect_err("ORA-03113 or ORA-03135");
    assert!(
        error.to_string().contains("ORA-03113") || error.to_string().contains("ORA-03135"),
        "{error}"
    );
}

#[test]
fn a_session_that_hangs_ends_with_the_second_time_out() {
    let Some((_server, _database, connection)) = connect() else {
        return;
    };
    connection
        .set_call_timeout(Some(Duration::from_millis(300)))
        .expect("a time-out");
    let begun = Instant::now();
    let error = connection.query("select hang from dual", &[]).expect_err("a time-out");
    assert!(begun.elapsed() < SLEEP / 2);
    assert!(error.to_string().contains("DPI-1080"), "{error}");
}

#[test]
fn many_connections_at_once() {
    let Some((server, _database, _connection)) = connect() else {
        return;
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let connection =
                        Connection::connect("scott", "tiger", address(&server, "fixed")).expect("a connection");
                    assert_eq!(
                        connection
                            .query("select n, name from three", &[])
                            .expect("a cursor")
                            .count(),
                        3
                    );
                }
            });
        }
    });
}
