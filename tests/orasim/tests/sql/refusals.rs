//! What is refused, with Oracle's number and place: mistakes, missing grants, rows that another holds, and what is not simulated.

use orasim::backend::ConnectTo;
use orasim::local::Local;

use super::{client, rows};

#[test]
fn what_is_not_simulated_says_so() {
    let (_world, mut client) = client();
    client.run("CREATE TABLE t (n NUMBER)").expect("create");
    for sql in [
        "SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "LOCK TABLE t IN EXCLUSIVE MODE",
        "GRANT SELECT ON t TO scott",
        "COMMENT ON TABLE t IS 'x'",
        "EXPLAIN PLAN FOR SELECT 1 FROM dual",
        "SET TRANSACTION READ ONLY",
        "CREATE INDEX i ON t (n)",
        "MERGE INTO t USING dual ON (1 = 1) WHEN MATCHED THEN UPDATE SET n = 1",
        "ALTER SYSTEM SET open_cursors = 300",
        "ALTER SYSTEM FLUSH SHARED_POOL",
        "ALTER SESSION ENABLE PARALLEL DML",
        "SELECT n FROM t FOR UPDATE SKIP LOCKED",
    ] {
        let error = client.run(sql).expect_err(sql);
        assert_eq!(error.code, 3001, "{sql}: {}", error.message);
    }
    assert_eq!(
        client.run("ALTER SESSION SET frobnication = 1").map_err(|it| it.code),
        Err(2248)
    );
    client.run("ALTER SESSION SET NLS_LANGUAGE = 'GERMAN'").expect("set");
}

#[test]
fn mistakes_are_refused_with_oracles_numbers_and_places() {
    let (_world, mut client) = client();
    for (sql, code, offset) in [
        ("SELECT * FROM nowhere", 942, 14),
        ("SELECT nothing FROM dual", 904, 7),
        ("SELECT s.nothing FROM v$session s", 904, 9),
        ("SELECT drain_status FROM v$session", 904, 7),
        ("SELECT sid FROM v$session;", 933, 25),
        ("SELECT sid FROM v$session WHERE", 936, 31),
        ("SELECT 1", 923, 8),
        ("FROBNICATE", 900, 0),
        ("SELECT 'open FROM dual", 1756, 7),
        ("SELECT sid, COUNT(*) FROM v$session", 937, 7),
        ("SELECT TO_NUMBER('x') FROM dual", 1722, 0),
        ("SELECT 1/0 FROM dual", 1476, 0),
        ("SELECT SYS_CONTEXT('USERENV', 'NOSUCH') FROM dual", 2003, 0),
        ("SELECT :1 FROM dual", 1008, 0),
        ("ALTER SYSTEM FROBNICATE", 2065, 13),
        ("SELECT sid FROM v$session a, gv$session b", 918, 7),
        ("SELECT FROM dual", 936, 7),
        ("SELECT * FORM dual", 923, 9),
        ("SELECT TOP 5 * FROM dual", 923, 7),
        ("SELECT SUBSTR('a') FROM dual", 938, 0),
        ("SELECT SYSDATE + SYSDATE FROM dual", 975, 0),
        ("SELECT 1 FROM dual UNION SELECT 'a' FROM dual", 1790, 0),
        ("SELECT (SELECT sid FROM v$session) FROM dual", 1427, 0),
        ("SELECT COUNT(*) FROM dual WHERE COUNT(*) > 1", 934, 32),
        ("SELECT dummy FROM dual HAVING COUNT(*) > 1", 979, 7),
        ("SELECT MAX(COUNT(*)) FROM dual", 978, 7),
        ("SELECT dummy FROM dual ORDER BY 5", 1785, 32),
        ("SELECT MONTHS_BETWEEN(SYSDATE, SYSDATE) FROM dual", 3001, 0),
    ] {
        let error = client.run(sql).expect_err(sql);
        assert_eq!((error.code, error.offset), (code, offset), "{sql}: {}", error.message);
    }
    client
        .run("CREATE TABLE t (n NUMBER, v VARCHAR2(3), d DATE)")
        .expect("create");
    for (sql, message) in [
        ("INSERT INTO t (n) VALUES ('x')", "ORA-01722: invalid number"),
        (
            "INSERT INTO t (v) VALUES ('abcdef')",
            "ORA-12899: value too large for column \"REAPER\".\"T\".\"V\" (actual: 6, maximum: 3)",
        ),
        (
            "BEGIN nothing; END;",
            "ORA-06550: line 1, column 7:\nPLS-00201: identifier 'NOTHING' must be declared",
        ),
        (
            "DECLARE x NUMBER; BEGIN x := 'a'; END;",
            "ORA-06502: PL/SQL: numeric or value error: character to number conversion error\nORA-06512: at line 1",
        ),
    ] {
        assert_eq!(
            client.run(sql).map_err(|error| error.message).err().as_deref(),
            Some(message),
            "{sql}"
        );
    }
    client
        .run("INSERT INTO t VALUES ('7', 'abc', '23-NOV-26')")
        .expect("converted");
    assert_eq!(
        rows(&mut client, "SELECT n + 1, v, d FROM t"),
        "8|abc|2026-11-23 00:00:00"
    );
    let unknown = client.run("SELECT nothing FROM dual").expect_err("unknown column");
    assert_eq!(unknown.message, "ORA-00904: \"NOTHING\": invalid identifier");
}

#[test]
fn a_user_without_the_grant_sees_no_view() {
    let (world, _client) = client();
    let mut narrow = Local::connect(&world, "NARROW", &ConnectTo::default()).expect("log in");
    assert_eq!(
        narrow
            .run("SELECT COUNT(*) FROM v$session")
            .map(|answer| answer.rows.len()),
        Ok(1)
    );
    assert_eq!(
        narrow
            .run("SELECT COUNT(*) FROM gv$session")
            .map_err(|error| error.code),
        Err(942)
    );
}

#[test]
fn a_row_that_another_holds_is_waited_for_as_told() {
    let (world, mut first) = client();
    let mut second = Local::connect(&world, "reaper", &ConnectTo::default()).expect("log in");
    first.run("CREATE TABLE t (n NUMBER, x NUMBER)").expect("create");
    for n in 1..=3 {
        first.run(&format!("INSERT INTO t VALUES ({n}, 0)")).expect("insert");
    }
    first.run("COMMIT").expect("commit");
    assert_eq!(rows(&mut first, "SELECT n FROM t WHERE n = 1 FOR UPDATE"), "1");
    let busy = "ORA-00054: resource busy and acquire with NOWAIT specified or timeout expired at 0";
    assert_eq!(rows(&mut second, "SELECT n FROM t WHERE n = 1 FOR UPDATE NOWAIT"), busy);
    assert_eq!(
        rows(&mut second, "SELECT n FROM t WHERE n = 1 FOR UPDATE OF x WAIT 0"),
        busy
    );
    // Its neighbour is free.
    assert_eq!(rows(&mut second, "SELECT n FROM t WHERE n = 2 FOR UPDATE NOWAIT"), "2");
    world.let_waits_pass();
    let waited = rows(&mut second, "SELECT n FROM t WHERE n = 1 FOR UPDATE WAIT 5");
    assert_eq!(
        waited,
        "ORA-30006: resource busy; acquire with WAIT timeout expired at 0"
    );
    let locks = "SELECT type, lmode, COUNT(*) FROM gv$lock WHERE type IN ('TX', 'TM') GROUP BY type, lmode ORDER BY 1";
    assert_eq!(rows(&mut second, locks), "TM|3|2\nTX|6|2");
    first.run("COMMIT").expect("commit");
    assert_eq!(rows(&mut second, "SELECT n FROM t FOR UPDATE NOWAIT"), "1\n2\n3");
    assert_eq!(
        rows(&mut second, "SELECT sid FROM v$session FOR UPDATE"),
        "ORA-02030: can only select from fixed tables/views at 0"
    );
}
