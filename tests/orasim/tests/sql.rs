//! What SQL means, asked in this process.

use std::sync::Arc;

use orasim::backend::{ColumnType, ConnectTo, Value};
use orasim::local::{Local, shown};
use orasim::{Scenario, World};

const WORLD: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: TEST, unique_name: TEST_A}
instances:
  - {number: 1, name: test1, host: node1}
  - {number: 2, name: test2, host: node2}
accounts:
  REAPER: {password: r}
  NARROW: {password: n, views: ['V$SESSION']}
sessions:
  - {name: idle, user: SHOP, instances: [1], program: JDBC Thin Client, module: A_B, machines: [web01], logged_on: 6h,
     idle: 5h, pinned: {sid: 500, serial: 77}}
  - {name: busy, user: ETL, instances: [2], program: sqlplus@etl01, logged_on: 2h, active: 90m, pinned: {sid: 501, serial: 78},
     sql_id: 7gxm0c1p2q3rs}
";

fn client() -> (Arc<World>, Local) {
    let world = World::new(Scenario::parse(WORLD).expect("the test's own scenario"));
    let to = ConnectTo {
        instance_name: Some("test1".into()),
        ..ConnectTo::default()
    };
    let client = Local::connect(&world, "reaper", &to).expect("log in");
    (world, client)
}

/// Rows as text: values by `|`, rows by line.
fn rows(client: &mut Local, sql: &str) -> String {
    match client.run(sql) {
        Ok(answer) => {
            let line = |row: &Vec<Value>| row.iter().map(shown).collect::<Vec<_>>().join("|");
            answer.rows.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("{} at {}", error.message, error.offset),
    }
}

const QUERIES: &[(&str, &str)] = &[
    (
        "SELECT sid, serial#, schemaname, program FROM V$SESSION WHERE schemaname != 'SYS' AND sid = 500",
        "500|77|SHOP|JDBC Thin Client",
    ),
    (
        "select inst_id, sid from sys.gv_$session where sid in (500, 501) order by inst_id desc",
        "2|501\n1|500",
    ),
    (
        "SELECT s.sid FROM gv$session s WHERE s.type = 'USER' AND s.username IS NOT NULL AND username <> 'REAPER' ORDER BY 1",
        "500\n501",
    ),
    (
        "SELECT (SYSDATE - logon_time)*86400 FROM v$session WHERE sid = 500",
        "21600",
    ),
    (
        "SELECT ROUND((SYSDATE - logon_time) * 24, 2) hours FROM v$session WHERE sid = 500",
        "6",
    ),
    (
        "SELECT last_call_et, status, event, state FROM v$session WHERE sid = 500",
        "18000|INACTIVE|SQL*Net message from client|WAITING",
    ),
    (
        "SELECT status, sql_id, TO_CHAR(sql_exec_start, 'YYYY-MM-DD HH24:MI:SS') FROM gv$session WHERE sid = 501",
        "ACTIVE|7gxm0c1p2q3rs|2026-11-23 12:30:00",
    ),
    ("SELECT SYSDATE FROM dual", "2026-11-23 14:00:00"),
    ("SELECT TO_CHAR(SYSDATE - 1/24, 'HH24:MI') FROM dual", "13:00"),
    ("SELECT SYSDATE - INTERVAL '90' MINUTE FROM dual", "2026-11-23 12:30:00"),
    (
        "SELECT TRUNC(SYSDATE), TRUNC(12.78, 1), MOD(7, 3), 7/2 FROM dual",
        "2026-11-23 00:00:00|12.7|1|3.5",
    ),
    ("SELECT 'a' || NULL || 1.5 || '' FROM dual", "a1.5"),
    ("SELECT COUNT(*) FROM dual WHERE '' = '' OR 'x' <> ''", "0"),
    (
        "SELECT NVL(NULL, 'n'), NVL2('', 1, 2), COALESCE(NULL, NULL, 3), DECODE(NULL, NULL, 'same', 'not') FROM dual",
        "n|2|3|same",
    ),
    ("SELECT CASE WHEN 1 = NULL THEN 'y' ELSE 'n' END FROM dual", "n"),
    (
        "SELECT UPPER('a'), SUBSTR('abcdef', -3, 2), INSTR('hello', 'l'), LPAD(7, 3, '0'), LENGTH('abc') FROM dual",
        "A|de|3|007|3",
    ),
    (
        "SELECT COUNT(*) FROM v$session WHERE module LIKE 'A\\_B' ESCAPE '\\'",
        "1",
    ),
    ("SELECT COUNT(*) FROM v$session WHERE program LIKE 'jdbc%'", "0"),
    (
        "SELECT COUNT(*) FROM v$session WHERE REGEXP_LIKE(program, '^jdbc', 'i')",
        "1",
    ),
    ("SELECT sid FROM v$session WHERE sid = '500'", "500"),
    (
        "SELECT GREATEST(1, 3, 2), LEAST('b', 'a'), BITAND(6, 3) FROM dual",
        "3|a|2",
    ),
    (
        "SELECT TO_NUMBER(TRIM(limit_value)) FROM gv$resource_limit WHERE resource_name = 'processes' AND inst_id = 1",
        "1000",
    ),
    (
        "SELECT LISTAGG(username, ',') WITHIN GROUP (ORDER BY username DESC) FROM gv$session WHERE username IN ('SHOP','ETL')",
        "SHOP,ETL",
    ),
    (
        "SELECT username, COUNT(*) c FROM gv$session WHERE sid >= 500 GROUP BY username HAVING COUNT(*) > 0 ORDER BY c, username",
        "ETL|1\nSHOP|1",
    ),
    (
        "SELECT sid FROM (SELECT sid FROM gv$session ORDER BY sid DESC) WHERE ROWNUM <= 1",
        "501",
    ),
    (
        "SELECT sid FROM gv$session ORDER BY sid DESC FETCH FIRST 2 ROWS ONLY",
        "501\n500",
    ),
    (
        "SELECT COUNT(*) FROM gv$session WHERE type = 'BACKGROUND' AND ROWNUM < 4",
        "3",
    ),
    (
        "SELECT p.background, s.sid FROM v$session s LEFT JOIN v$process p ON p.addr = s.paddr WHERE s.sid = 500",
        "|500",
    ),
    (
        "SELECT s.sid FROM v$session s, v$transaction t WHERE s.taddr = t.addr(+) AND s.sid = 500",
        "500",
    ),
    (
        "SELECT a.username FROM dba_users a WHERE EXISTS (SELECT 1 FROM v$session s WHERE s.username = a.username AND s.sid = 500)",
        "SHOP",
    ),
    (
        "SELECT SYS_CONTEXT('USERENV', 'INSTANCE'), SYS_CONTEXT('userenv', 'CON_ID'), SYS_CONTEXT('USERENV','DB_UNIQUE_NAME') FROM dual",
        "1|0|TEST_A",
    ),
    (
        "SELECT version, version_full, status FROM v$instance",
        "19.0.0.0.0|19.22.0.0.0|OPEN",
    ),
    ("SELECT value FROM v$parameter WHERE name = 'cluster_database'", "TRUE"),
    (
        "SELECT COUNT(*) FROM all_tab_columns WHERE owner='SYS' AND table_name='GV_$SESSION' AND column_name IN ('INST_ID','CON_ID','DRAIN_STATUS')",
        "2",
    ),
    (
        "WITH x AS (SELECT sid FROM gv$session WHERE sid >= 500) SELECT MAX(sid) - MIN(sid) FROM x",
        "1",
    ),
    (
        "SELECT 1 FROM dual UNION ALL SELECT 2 FROM dual ORDER BY 1 DESC",
        "2\n1",
    ),
    ("SELECT /*+ LEADING(s) */ s.* FROM dual s", "X"),
    ("SELECT \"SID\" FROM v$session WHERE \"SERIAL#\" = 77", "500"),
    (
        "SELECT CAST(LAST_CALL_ET AS VARCHAR2(10)) || 's' FROM v$session WHERE sid = 500",
        "18000s",
    ),
    (
        "SELECT sid FROM v$session WHERE logon_time = TO_DATE('2026-11-23 08:00:00', 'YYYY-MM-DD HH24:MI:SS')",
        "500",
    ),
    (
        "SELECT sid FROM v$session WHERE logon_time < DATE '2026-11-23' AND sid = 500",
        "",
    ),
    (
        "SELECT COUNT(*) FROM v$session WHERE username NOT IN ('SHOP', NULL)",
        "0",
    ),
    ("SELECT COUNT(*) FROM v$session WHERE sid IN ('500', 1000)", "1"),
    (
        "SELECT COUNT(*) FROM v$session WHERE NOT (action = 'x') AND sid = 500",
        "0",
    ),
    (
        "SELECT COUNT(*) FROM v$session WHERE username IN (SELECT username FROM all_users) AND sid = 500",
        "1",
    ),
    (
        "SELECT sid, ROWNUM FROM gv$session WHERE sid >= 500 ORDER BY sid",
        "500|1\n501|2",
    ),
];

#[test]
fn queries_mean_what_oracle_means() {
    let (_world, mut client) = client();
    for (sql, expected) in QUERIES {
        assert_eq!(rows(&mut client, sql), *expected, "{sql}");
    }
}

/// 1 under nobody, 2 and 3 under 1, 4 under 2; 5 and 6 under each other, 7 under 5.
const TREE: &str = "SELECT 1 AS id, CAST(NULL AS NUMBER) AS boss FROM dual UNION ALL SELECT 2, 1 FROM dual UNION ALL \
                    SELECT 3, 1 FROM dual UNION ALL SELECT 4, 2 FROM dual UNION ALL SELECT 5, 6 FROM dual UNION ALL \
                    SELECT 6, 5 FROM dual UNION ALL SELECT 7, 5 FROM dual";

#[test]
fn a_hierarchy_is_walked() {
    let (_world, mut client) = client();
    client.run(&format!("CREATE TABLE tree AS {TREE}")).expect("create");
    let cases = [
        (
            "SELECT id, LEVEL FROM tree START WITH boss IS NULL CONNECT BY boss = PRIOR id ORDER BY id",
            "1|1\n2|2\n3|2\n4|3",
        ),
        // WHERE leaves rows out, not what is below them.
        (
            "SELECT id FROM tree WHERE id != 2 START WITH id = 1 CONNECT BY PRIOR id = boss ORDER BY id",
            "1\n3\n4",
        ),
        // Bottom up, and the clauses the other way round.
        (
            "SELECT id FROM tree t CONNECT BY t.id = PRIOR t.boss START WITH id = 4 ORDER BY LEVEL",
            "4\n2\n1",
        ),
        // Without START WITH, from every row.
        (
            "SELECT COUNT(*) FROM tree WHERE id < 5 CONNECT BY NOCYCLE boss = PRIOR id",
            "8",
        ),
        (
            "SELECT id FROM tree START WITH id = 5 CONNECT BY boss = PRIOR id",
            "ORA-01436: CONNECT BY loop in user data at 0",
        ),
        (
            "SELECT id FROM tree START WITH id = 5 CONNECT BY NOCYCLE boss = PRIOR id ORDER BY id",
            "5\n6\n7",
        ),
        // In a subquery, from where the row outside stands.
        (
            "SELECT o.id, (SELECT COUNT(DISTINCT t.id) FROM tree t WHERE t.id != o.id START WITH t.boss = o.id CONNECT BY NOCYCLE \
             t.boss = PRIOR t.id) FROM tree o ORDER BY o.id",
            "1|3\n2|1\n3|0\n4|0\n5|2\n6|2\n7|0",
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
}

#[test]
fn rownum_counts_the_rows_of_a_join() {
    let (_world, mut client) = client();
    let pairs = "FROM (SELECT 1 a FROM dual UNION ALL SELECT 2 FROM dual UNION ALL SELECT 3 FROM dual) x, \
                 (SELECT 1 b FROM dual UNION ALL SELECT 2 FROM dual) y";
    for (condition, expected) in [
        ("ROWNUM <= 4", 4),
        ("5 > ROWNUM", 4),
        ("ROWNUM < 4.5", 4),
        ("ROWNUM = 1", 1),
        ("ROWNUM = 2", 0),
        ("ROWNUM > 1", 0),
        ("ROWNUM > 0", 6),
        ("ROWNUM >= 1 AND ROWNUM <= 3", 3),
        ("ROWNUM BETWEEN 1 AND 2", 2),
        ("ROWNUM BETWEEN 2 AND 3", 0),
        ("ROWNUM IN (1, 2, 4)", 2),
        ("x.a = y.b AND ROWNUM <= 5", 2),
        ("ROWNUM <= 1 AND x.a > 1", 1),
        ("(ROWNUM <= 2 OR x.a = 99)", 2),
        ("MOD(ROWNUM, 4) <> 0", 3),
        ("ROWNUM <= NULL", 0),
    ] {
        for query in [
            format!("SELECT COUNT(*) {pairs} WHERE {condition}"),
            format!("SELECT COUNT(*) FROM (SELECT x.a, y.b {pairs} WHERE {condition})"),
            format!("SELECT COUNT(*) FROM (SELECT x.a, y.b {pairs} WHERE {condition} ORDER BY y.b)"),
        ] {
            assert_eq!(rows(&mut client, &query), expected.to_string(), "{query}");
        }
    }
    // A subquery counts anew for each row outside.
    let first = "SELECT username, (SELECT i.sid FROM gv$session i WHERE i.username = o.username AND ROWNUM = 1) FROM \
                 gv$session o WHERE o.sid >= 500 ORDER BY 1";
    assert_eq!(rows(&mut client, first), "ETL|501\nSHOP|500");
    let joined = "SELECT COUNT(*) FROM v$session s LEFT JOIN v$process p ON p.addr = s.paddr WHERE ROWNUM <= 7";
    assert_eq!(rows(&mut client, joined), "7");
}

#[test]
fn rows_are_made_of_one_and_put_together() {
    let (_world, mut client) = client();
    for (query, expected) in [
        ("SELECT LEVEL FROM dual CONNECT BY LEVEL <= 4", "1\n2\n3\n4"),
        ("SELECT SUM(LEVEL) FROM dual CONNECT BY LEVEL <= 100", "5050"),
        ("SELECT COUNT(*) FROM dual CONNECT BY LEVEL < 1", "1"),
        (
            "SELECT TRUNC(SYSDATE) - LEVEL AS day FROM dual CONNECT BY LEVEL <= 2",
            "2026-11-22 00:00:00\n2026-11-21 00:00:00",
        ),
        (
            "SELECT COUNT(*) FROM dual CONNECT BY 1 = 1",
            "ORA-30009: Not enough memory for CONNECT BY operation at 0",
        ),
        (
            "SELECT LISTAGG(n, '-') WITHIN GROUP (ORDER BY n DESC) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 3)",
            "3-2-1",
        ),
        (
            "SELECT LISTAGG(n) WITHIN GROUP (ORDER BY n) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 3)",
            "123",
        ),
        (
            "SELECT n, LISTAGG(n, ',') WITHIN GROUP (ORDER BY n) OVER (PARTITION BY MOD(n, 2)) FROM (SELECT LEVEL n FROM dual \
             CONNECT BY LEVEL <= 4) ORDER BY n",
            "1|1,3\n2|2,4\n3|1,3\n4|2,4",
        ),
        (
            "SELECT LISTAGG(n, ',') WITHIN GROUP (ORDER BY n) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 2000)",
            "ORA-01489: result of string concatenation is too long at 0",
        ),
    ] {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
    client.run(&format!("CREATE TABLE tree AS {TREE}")).expect("create");
    // Down before on.
    let walk = "SELECT id FROM tree START WITH boss IS NULL CONNECT BY boss = PRIOR id";
    assert_eq!(rows(&mut client, walk), "1\n2\n4\n3");
}

#[test]
fn numbers_keep_all_their_digits() {
    let (_world, mut client) = client();
    let third = format!(".{}", "3".repeat(40));
    for (query, expected) in [
        ("SELECT 1234567890123456789 FROM dual", "1234567890123456789"),
        (
            "SELECT 12345678901234567890123456789012345678 FROM dual",
            "12345678901234567890123456789012345678",
        ),
        ("SELECT -0.12345678901234567890 FROM dual", "-0.1234567890123456789"),
        ("SELECT TO_NUMBER('9007199254740993') FROM dual", "9007199254740993"),
        (
            "SELECT TRUNC(9007199254740993.7), ROUND(9007199254740993.5) FROM dual",
            "9007199254740993|9007199254740994",
        ),
        (
            "SELECT MOD(9007199254740993, 10), ABS(-9007199254740993) FROM dual",
            "3|9007199254740993",
        ),
        ("SELECT 9999999999 * 9999999999 FROM dual", "99999999980000000001"),
        ("SELECT 99999999999999999999 + 1 FROM dual", "100000000000000000000"),
        ("SELECT TO_CHAR(1/3) FROM dual", third.as_str()),
        ("SELECT 2/3*3 - 2, 0.1 + 0.2 FROM dual", "0|0.3"),
        (
            "SELECT TO_CHAR(12345678901234567.5, 'FM99,999,999,999,999,999.00') FROM dual",
            "12,345,678,901,234,567.50",
        ),
        (
            "SELECT CASE WHEN 9007199254740993 > 9007199254740992.5 THEN 1 END FROM dual",
            "1",
        ),
        (
            "SELECT GREATEST(2, 10000000000000000000.5), LEAST(1/3, 3) * 3 FROM dual",
            "10000000000000000000.5|0.9999999999999999999999999999999999999999",
        ),
    ] {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
}

#[test]
fn numbers_that_users_keep_are_sorted_and_summed() {
    let (_world, mut client) = client();
    client.run("CREATE TABLE sums (n NUMBER)").expect("create");
    for n in ["12345678901234567.89", "-99999999999999999999", "7", "0.5"] {
        let bound = client.run_with("INSERT INTO sums VALUES (:1)", &[Value::Decimal(n.into())]);
        assert_eq!(bound.map(|answer| answer.affected), Ok(1));
    }
    for (query, expected) in [
        (
            "SELECT n FROM sums ORDER BY n",
            "-99999999999999999999\n0.5\n7\n12345678901234567.89",
        ),
        (
            "SELECT n FROM sums ORDER BY 1 DESC FETCH FIRST 1 ROW ONLY",
            "12345678901234567.89",
        ),
        (
            "SELECT SUM(n), MIN(n), MAX(n) FROM sums",
            "-99987654321098765423.61|-99999999999999999999|12345678901234567.89",
        ),
        (
            "SELECT n FROM sums WHERE n > 6 AND n < 12345678901234567.895 ORDER BY n",
            "7\n12345678901234567.89",
        ),
        ("SELECT COUNT(*) FROM sums WHERE n = 12345678901234567.89", "1"),
        ("SELECT COUNT(*) FROM sums WHERE n = '7' OR n IN (0.5, 3)", "2"),
        ("SELECT AVG(n) FROM sums WHERE n BETWEEN 0 AND 10", "3.75"),
    ] {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
    let same = client.run_with(
        "SELECT n FROM sums WHERE n = :1",
        &[Value::Decimal("12345678901234567.89".into())],
    );
    assert_eq!(
        same.map(|answer| answer.rows),
        Ok(vec![vec![Value::Decimal("12345678901234567.89".into())]])
    );
}

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
fn sessions_are_shown_from_all_sides() {
    let (_world, mut client) = client();
    client.run("CREATE TABLE basket (n NUMBER)").expect("create");
    client.run("INSERT INTO basket VALUES (1)").expect("insert");
    let sid = client.sid;
    let own = format!("sid = {sid}");
    for (query, expected) in [
        ("SELECT COUNT(DISTINCT sid), MIN(sid) FROM v$mystat".into(), format!("1|{sid}")),
        (
            "SELECT COUNT(*) FROM v$mystat m JOIN v$statname n ON n.statistic# = m.statistic# WHERE n.name = 'user commits'".into(),
            "1".into(),
        ),
        (
            "SELECT t.value - (SELECT SUM(value) FROM v$sesstat s WHERE s.statistic# = t.statistic#) FROM v$sysstat t WHERE name = \
             'session pga memory'"
                .into(),
            "0".into(),
        ),
        (
            "SELECT event, state, wait_class FROM v$session_wait WHERE sid = 500".into(),
            "SQL*Net message from client|WAITING|Idle".into(),
        ),
        (
            "SELECT event, time_waited FROM v$session_event WHERE sid = 500".into(),
            "SQL*Net message from client|1800000".into(),
        ),
        (
            format!(
                "SELECT o.owner, o.object_name, l.locked_mode FROM v$locked_object l JOIN dba_objects o ON o.object_id = l.object_id \
                 WHERE l.session_id = {sid}"
            ),
            "REAPER|BASKET|3".into(),
        ),
        (
            format!("SELECT l.type, l.lmode, l.id1 - o.object_id FROM v$lock l, dba_objects o WHERE {own} AND l.type = 'TM' AND \
                     o.object_name = 'BASKET'"),
            "TM|3|0".into(),
        ),
        (
            "SELECT sql_text, executions, command_type FROM v$sql WHERE sql_text LIKE 'INSERT%'".into(),
            "INSERT INTO basket VALUES (1)|1|2".into(),
        ),
        (
            format!("SELECT COUNT(*), MAX(cursor_type) FROM v$open_cursor WHERE {own}"),
            "1|OPEN".into(),
        ),
        (
            "SELECT client_driver FROM v$session_connect_info WHERE sid = 500".into(),
            "jdbcthin".into(),
        ),
        (
            "SELECT limit FROM dba_profiles WHERE profile = 'DEFAULT' AND resource_name = 'IDLE_TIME'".into(),
            "UNLIMITED".into(),
        ),
        (
            "SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'".into(),
            "AL32UTF8".into(),
        ),
        ("SELECT COUNT(*) FROM gv$session_longops WHERE sid = 501".into(), "0".into()),
    ] {
        assert_eq!(rows(&mut client, &query), expected, "{query}");
    }
}

#[test]
fn a_statement_is_known_by_oracles_sql_id() {
    let (_world, mut client) = client();
    assert_eq!(rows(&mut client, "select * from dual"), "X");
    let own =
        "SELECT q.sql_text FROM v$session s JOIN v$sql q ON q.sql_id = s.sql_id AND q.hash_value = s.sql_hash_value";
    assert_eq!(rows(&mut client, own), own);
    assert_eq!(
        rows(&mut client, "SELECT sql_text FROM v$sql WHERE sql_id = 'a5ks9fhw2v9s1'"),
        "select * from dual"
    );
}

#[test]
fn columns_come_with_their_types() {
    let (_world, mut client) = client();
    let sql = "SELECT sid, username, logon_time, saddr, SYSDATE now, COUNT(*) OVER () n, 'abc' t, sid + 1 FROM v$session WHERE sid = 500";
    let answer = client.run(sql).expect("query");
    let kinds: Vec<_> = answer
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("SID", ColumnType::Number),
            ("USERNAME", ColumnType::Varchar2(128)),
            ("LOGON_TIME", ColumnType::Date),
            ("SADDR", ColumnType::Raw(8)),
            ("NOW", ColumnType::Date),
            ("N", ColumnType::Number),
            ("T", ColumnType::Varchar2(3)),
            ("SID+1", ColumnType::Number),
        ]
    );
}

#[test]
fn binds_are_taken_in_their_order() {
    let (_world, mut client) = client();
    let sql = "SELECT sid, :name FROM gv$session WHERE sid = :sid AND inst_id = :inst";
    let answer = client
        .run_with(sql, &[Value::Text("x".into()), Value::Int(501), Value::Int(2)])
        .expect("query");
    assert_eq!(answer.rows, [[Value::Int(501), Value::Text("x".into())]]);
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
fn every_column_of_every_view_can_be_read() {
    let (_world, mut client) = client();
    let views = rows(
        &mut client,
        "SELECT DISTINCT table_name FROM all_tab_columns WHERE owner = 'SYS'",
    );
    assert!(views.lines().count() > 40, "{views}");
    for view in views.lines() {
        let answer = client
            .run(&format!("SELECT * FROM sys.{view}"))
            .unwrap_or_else(|error| panic!("{view}: {}", error.message));
        let names: Vec<_> = answer.columns.iter().map(|column| column.name.clone()).collect();
        let named = client.run(&format!("SELECT {} FROM {view} v", names.join(", ")));
        // The first of the two is in V$SQL when the second reads it.
        let more = usize::from(view.ends_with("V_$SQL"));
        assert_eq!(
            named.map(|named| named.rows.len()).map_err(|error| error.message),
            Ok(answer.rows.len() + more),
            "{view}"
        );
    }
}

#[test]
fn blocks_run_and_return_values() {
    let (_world, mut client) = client();
    let out = |client: &mut Local, sql: &str, binds: &[Value]| {
        let answer = client.run_with(sql, binds).map_err(|error| error.message)?;
        Ok::<_, String>(answer.out.iter().flatten().map(shown).collect::<Vec<_>>().join("|"))
    };
    let null = Value::Null;
    let guarded =
        "BEGIN EXECUTE IMMEDIATE :stmt; :code := 0; EXCEPTION WHEN OTHERS THEN :code := SQLCODE; :msg := SQLERRM; END;";
    let kill = |text: &str| [Value::Text(text.into()), Value::Null, Value::Null];
    assert_eq!(
        out(&mut client, guarded, &kill("ALTER SYSTEM KILL SESSION '9999,1,@1'")),
        Ok("-30|ORA-00030: User session ID does not exist.".into())
    );
    assert_eq!(
        out(&mut client, guarded, &kill("ALTER SYSTEM KILL SESSION '500,77,@1'")),
        Ok("0".into())
    );
    let computed = "DECLARE n NUMBER := 2; t VARCHAR2(20); BEGIN
        SELECT username INTO t FROM gv$session WHERE sid = 501;
        IF n > 1 AND t = 'ETL' THEN n := n * 21; ELSIF n = 0 THEN NULL; ELSE n := 0; END IF;
        WHILE n < 45 LOOP n := n + 1; END LOOP;
        :1 := t || ':' || n; END;";
    assert_eq!(
        out(&mut client, computed, std::slice::from_ref(&null)),
        Ok("ETL:45".into())
    );
    let nothing = "DECLARE x NUMBER; BEGIN SELECT sid INTO x FROM v$session WHERE sid = -1; EXCEPTION WHEN NO_DATA_FOUND THEN :c := SQLCODE; END;";
    assert_eq!(out(&mut client, nothing, std::slice::from_ref(&null)), Ok("100".into()));
    let named = "DECLARE marked EXCEPTION; PRAGMA EXCEPTION_INIT(marked, -31); BEGIN RAISE marked; EXCEPTION WHEN marked THEN :c := SQLCODE; END;";
    assert_eq!(out(&mut client, named, std::slice::from_ref(&null)), Ok("-31".into()));
    assert_eq!(
        client
            .run("BEGIN dbms_nothing.at_all; END;")
            .map_err(|error| error.code),
        Err(6550)
    );
    assert_eq!(client.run("BEGIN NULL; EN").map_err(|error| error.code), Err(6550));
    assert_eq!(
        client
            .run("BEGIN RAISE_APPLICATION_ERROR(-20001, 'no'); END;")
            .map_err(|error| error.code),
        Err(20_001)
    );
    client
        .run("BEGIN DBMS_APPLICATION_INFO.SET_MODULE('orareaper', 'poll'); END;")
        .expect("set module");
    let own = format!(
        "SELECT module, action, status, program FROM v$session WHERE sid = {}",
        client.sid
    );
    assert_eq!(
        rows(&mut client, &own),
        "orareaper|poll|ACTIVE|orasim@localhost (local)"
    );
}

#[test]
fn what_a_client_says_of_itself_is_cut_to_its_column() {
    // 60 characters of which the last ones take two bytes each: 48 bytes end within one, of which the first half is left.
    let program = format!("{}{}", "x".repeat(47), "é".repeat(13));
    let scenario = WORLD.replace("JDBC Thin Client", &program);
    let world = World::new(Scenario::parse(&scenario).expect("the test's own scenario"));
    let mut client = Local::connect(&world, "reaper", &ConnectTo::default()).expect("log in");
    let found = rows(&mut client, "SELECT program FROM gv$session WHERE sid = 500");
    assert_eq!(found, format!("{}\u{fffd}", "x".repeat(47)));
}
