//! What SQL means, asked in this process.

mod hierarchies;
mod numbers;
mod refusals;
mod views;

use std::sync::Arc;

use orasim::backend::{ConnectTo, Value};
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
