//! What the views show, and in which columns.

use orasim::backend::{ColumnType, ConnectTo};
use orasim::local::Local;
use orasim::{Scenario, World};

use super::{WORLD, client, rows};

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
fn what_a_client_says_of_itself_is_cut_to_its_column() {
    // 60 characters of which the last ones take two bytes each: 48 bytes end within one, of which the first half is left.
    let program = format!("{}{}", "x".repeat(47), "é".repeat(13));
    let scenario = WORLD.replace("JDBC Thin Client", &program);
    let world = World::new(Scenario::parse(&scenario).expect("the test's own scenario"));
    let mut client = Local::connect(&world, "reaper", &ConnectTo::default()).expect("log in");
    let found = rows(&mut client, "SELECT program FROM gv$session WHERE sid = 500");
    assert_eq!(found, format!("{}\u{fffd}", "x".repeat(47)));
}
