//! What real databases show and a simulation likes to leave out: containers, limits, clocks, files, texts that are none.

use std::sync::Arc;
use std::time::Duration;

use orasim::backend::{Client, ConnectTo, Value};
use orasim::local::{Local, shown};
use orasim::{Scenario, World};

const CONTAINERS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: CDB, pdbs: [SHOP, DWH], open_on: {shop: [1]}}
instances:
  - {number: 1, name: cdb1, host: node1}
  - {number: 2, name: cdb2, host: node2}
accounts:
  REAPER: {password: r}
  C##REAPER: {password: r}
services:
  - {name: shop, container: SHOP}
  - {name: dwh, container: DWH}
  - {name: elsewhere, container: DWH, sysdate_shift: 5h30m}
parameters: {processes: '200', sessions: '320'}
pdb_parameters: {SHOP: {sessions: '8'}}
tablespaces:
  - {name: TEMP, contents: temporary, container: SHOP, size: 4GB, grows_to: 20GB}
  - {name: TEMP, contents: temporary, container: DWH, size: 30GB}
  - {name: UNDOTBS1, contents: undo, container: DWH, size: 1GB, grows_to: 8GB}
sessions:
  - {name: pool, user: SHOP, count: 5, container: SHOP, program: JDBC Thin Client, idle: 5h, temp: 3GB}
  - {name: load, user: ETL, container: DWH, program: sqlplus@etl01, active: 1h, temp: 7GB}
events:
  - {at: 10m, resources: {host_cpu: 75}}
";

fn world(scenario: &str) -> Arc<World> {
    World::new(Scenario::parse(scenario).expect("the test's own scenario"))
}

fn connect(world: &Arc<World>, user: &str, service: &str) -> Local {
    try_connect(world, user, service).expect("log in")
}

fn try_connect(world: &Arc<World>, user: &str, service: &str) -> Result<Local, orasim::backend::OraError> {
    let to = ConnectTo {
        service_name: Some(service.into()),
        ..ConnectTo::default()
    };
    Local::connect(world, user, &to)
}

/// Rows as text: values by `|`, rows by line.
fn rows(client: &mut Local, sql: &str) -> String {
    match client.run(sql) {
        Ok(answer) => {
            let line = |row: &Vec<Value>| row.iter().map(shown).collect::<Vec<_>>().join("|");
            answer.rows.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.message,
    }
}

fn check(client: &mut Local, cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(rows(client, sql), *expected, "{sql}");
    }
}

#[test]
fn inside_a_pdb_other_things_are_seen_than_in_the_root() {
    let world = world(CONTAINERS);
    let mut pdb = connect(&world, "reaper", "dwh");
    assert_eq!(pdb.instance, 1);
    check(
        &mut pdb,
        &[
            // 34 background processes and 12 of the cluster on either instance.
            (
                "SELECT inst_id, type, con_id, COUNT(*) FROM gv$session GROUP BY inst_id, type, con_id ORDER BY 1, 2",
                "1|BACKGROUND|0|46\n1|USER|4|2\n2|BACKGROUND|0|46",
            ),
            ("SELECT COUNT(*) FROM gv$resource_limit", "0"),
            ("SELECT COUNT(*) FROM gv$sysmetric", "0"),
            (
                "SELECT inst_id, con_id, value FROM gv$con_sysmetric WHERE metric_name = 'Session Count' ORDER BY 1",
                "1|4|2\n2|4|0",
            ),
            (
                "SELECT COUNT(*) FROM gv$con_sysmetric WHERE metric_name LIKE 'Host CPU%' OR metric_name LIKE '%Limit%'",
                "0",
            ),
            (
                "SELECT con_id, user_session_count, recursive_session_count FROM v$sessions_count",
                "4|2|0",
            ),
            (
                "SELECT COUNT(DISTINCT inst_id) FROM gv$osstat WHERE stat_name = 'BUSY_TIME'",
                "2",
            ),
            ("SELECT value FROM v$parameter WHERE name = 'sessions'", "320"),
        ],
    );
    let mut root = connect(&world, "c##reaper", "cdb");
    check(
        &mut root,
        &[
            (
                "SELECT DISTINCT con_id, user_session_count FROM gv$sessions_count WHERE user_session_count > 0 ORDER BY 1",
                "1|1\n3|5\n4|2",
            ),
            (
                "SELECT TRIM(initial_allocation), TRIM(limit_value) FROM v$resource_limit WHERE resource_name = 'transactions'",
                "322|UNLIMITED",
            ),
        ],
    );
}

#[test]
fn a_pdb_that_is_open_on_one_node_is_not_to_be_found_on_the_other() {
    let scenario = CONTAINERS.replace("sessions: '8'", "sessions: '100'");
    let world = self::world(&scenario);
    let mut pdb = connect(&world, "reaper", "shop");
    check(
        &mut pdb,
        &[
            (
                "SELECT inst_id, open_mode FROM gv$pdbs ORDER BY 1",
                "1|READ WRITE\n2|MOUNTED",
            ),
            ("SELECT inst_id, status FROM gv$instance ORDER BY 1", "1|OPEN\n2|OPEN"),
            ("SELECT DISTINCT inst_id FROM gv$session", "1"),
        ],
    );
    let there = ConnectTo {
        service_name: Some("shop".into()),
        instance_name: Some("cdb2".into()),
        ..ConnectTo::default()
    };
    assert_eq!(
        Local::connect(&world, "reaper", &there).err().map(|error| error.code),
        Some(12_505)
    );
    let background = scenario.replace("open_on:", "where_closed: background, open_on:");
    let mut pdb = connect(&self::world(&background), "reaper", "shop");
    let seen = rows(&mut pdb, "SELECT DISTINCT inst_id, type FROM gv$session ORDER BY 1, 2");
    assert_eq!(seen, "1|BACKGROUND\n1|USER\n2|BACKGROUND");
}

#[test]
fn log_ins_are_refused_where_there_is_no_room() {
    let world = world(CONTAINERS);
    // Five of the pool are there, and SHOP has room for eight.
    let held: Vec<_> = (0..3).map(|_| connect(&world, "reaper", "shop")).collect();
    let refused = |service: &str| try_connect(&world, "reaper", service).err().map(|error| error.message);
    assert_eq!(
        refused("shop"),
        Some("ORA-00018: maximum number of sessions exceeded".into())
    );
    assert_eq!(refused("dwh"), None);
    drop(held);
    assert_eq!(refused("shop"), None);

    let full = CONTAINERS.replace("processes: '200'", "processes: '52'");
    let refusal = |scenario: &str| {
        let world = self::world(scenario);
        try_connect(&world, "reaper", "shop")
            .err()
            .map(|error| (error.code, error.message))
    };
    // 46 background processes, five of the pool, one of the load.
    assert_eq!(
        refusal(&full),
        Some((20, "ORA-00020: maximum number of processes (52) exceeded".into()))
    );
    let told = full.replace("open_on:", "processes_full: listener, open_on:");
    assert_eq!(refusal(&told).map(|it| it.0), Some(12_516));
    let sessions = CONTAINERS.replace("sessions: '320'", "sessions: '52'");
    assert_eq!(refusal(&sessions).map(|it| it.0), Some(18));
}

#[test]
fn files_grow_and_belong_to_their_container() {
    let world = world(CONTAINERS);
    let gigabytes = "bytes / 1073741824, maxbytes / 1073741824, autoextensible";
    let mut shop = connect(&world, "reaper", "shop");
    check(
        &mut shop,
        &[
            // Five sessions sort 3 GB each in a file that began with 4.
            (&format!("SELECT {gigabytes} FROM dba_temp_files"), "15|20|YES"),
            (
                "SELECT tablespace_name, tablespace_size / 1073741824, free_space FROM dba_temp_free_space",
                "TEMP|15|0",
            ),
            (
                &format!("SELECT {gigabytes} FROM dba_data_files WHERE tablespace_name = 'UNDOTBS1'"),
                "10|0|NO",
            ),
        ],
    );
    let mut dwh = connect(&world, "reaper", "dwh");
    check(
        &mut dwh,
        &[
            (
                "SELECT tablespace_size / 1073741824, free_space / 1073741824 FROM dba_temp_free_space",
                "30|23",
            ),
            (
                &format!("SELECT {gigabytes} FROM dba_data_files WHERE tablespace_name = 'UNDOTBS1'"),
                "1|8|YES",
            ),
            (
                "SELECT tablespace_name FROM dba_tablespaces WHERE contents IN ('TEMPORARY', 'UNDO') ORDER BY 1",
                "TEMP\nUNDOTBS1",
            ),
        ],
    );
    let mut root = connect(&world, "c##reaper", "cdb");
    assert_eq!(
        rows(
            &mut root,
            "SELECT tablespace_size / 1073741824, free_space / 1073741824 FROM dba_temp_free_space"
        ),
        "32|32"
    );
}

#[test]
fn the_hosts_processors_are_busy_for_as_long_as_they_are() {
    let world = world(CONTAINERS);
    let mut pdb = connect(&world, "reaper", "dwh");
    let mut read = || -> Vec<i64> {
        let sql = "SELECT value FROM v$osstat WHERE stat_name IN ('BUSY_TIME', 'IDLE_TIME') ORDER BY stat_name";
        rows(&mut pdb, sql)
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect()
    };
    let first = read();
    world.advance(Duration::from_secs(600));
    let second = read();
    world.advance(Duration::from_secs(60));
    let third = read();
    // 16 processors: 25 % of ten minutes, then 75 % of one.
    assert_eq!([second[0] - first[0], second[1] - first[1]], [240_000, 720_000]);
    assert_eq!([third[0] - second[0], third[1] - second[1]], [72_000, 24_000]);
}

const CLOCKS: &str = "SELECT TO_CHAR(SYSDATE, 'DD HH24:MI'), TO_CHAR(SYSTIMESTAMP, 'HH24:MI TZH:TZM'), TO_CHAR(logon_time, \
                      'DD HH24:MI') FROM v$session WHERE sid = SYS_CONTEXT('USERENV', 'SID')";

#[test]
fn clocks_may_disagree() {
    let world = world(CONTAINERS);
    let mut usual = connect(&world, "reaper", "dwh");
    assert_eq!(rows(&mut usual, CLOCKS), "23 14:00|14:00 +00:00|23 14:00");
    let mut elsewhere = connect(&world, "reaper", "elsewhere");
    assert_eq!(rows(&mut elsewhere, CLOCKS), "23 19:30|19:30 +05:30|23 14:00");
    let shifted = CONTAINERS.replace("open_on:", "sysdate_shift: -9h, open_on:");
    let mut client = connect(&self::world(&shifted), "reaper", "dwh");
    assert_eq!(rows(&mut client, CLOCKS), "23 05:00|05:00 -09:00|23 14:00");
    let fixed = CONTAINERS.replace("open_on:", "fixed_date: '2026-01-01T00:00:00', open_on:");
    let mut client = connect(&self::world(&fixed), "reaper", "dwh");
    assert_eq!(rows(&mut client, CLOCKS), "01 00:00|14:00 +00:00|23 14:00");
}

const TEXTS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: TEST}
instances: [{number: 1, name: test1, host: dbprod-node1.internal.corp.example1.com}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: job, user: APP, program: 'oracle@{host} (J000)', module: AUD_MGR, active: 4h, pinned: {sid: 500, serial: 1}}
  - {name: latin, user: APP, program: 'caf{xE9}.exe', machines: ['b{xFC}ro'], idle: 1h, pinned: {sid: 501, serial: 1}}
  - {name: long, user: APP, program: plain, module: 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeüüüüüüüüüü', idle: 1h, pinned: {sid: 502, serial: 1}}
";

#[test]
fn texts_are_cut_by_bytes_and_may_be_no_texts() {
    let world = world(TEXTS);
    let mut client = connect(&world, "reaper", "test");
    let program =
        "SELECT program, p.pname, p.program FROM v$session s JOIN v$process p ON p.addr = s.paddr WHERE sid = 500";
    // `oracle@` and 39 characters of host leave room for ` (`.
    let cut = "oracle@dbprod-node1.internal.corp.example1.com (";
    // V$PROCESS has a PROGRAM of its own: both columns cannot be meant without a prefix.
    assert!(rows(&mut client, program).starts_with("ORA-00918"));
    let program = program.replace("SELECT program", "SELECT s.program");
    assert_eq!(rows(&mut client, &program), format!("{cut}|J000|{cut}"));
    let bytes = |client: &mut Local, sql: &str| client.run(sql).map(|answer| answer.rows.concat());
    assert_eq!(
        bytes(&mut client, "SELECT program, machine FROM v$session WHERE sid = 501"),
        Ok(vec![
            Value::Bytes((*b"caf\xe9.exe").into()),
            Value::Bytes((*b"b\xfcro").into())
        ])
    );
    // 47 bytes and then characters of two: MODULE ends at 64 in the middle of one, and at 48 on 11.2.
    let module = "SELECT module FROM v$session WHERE sid = 502";
    let wide = format!("{}{}\u{fffd}", "e".repeat(47), "ü".repeat(8));
    assert_eq!(rows(&mut client, module), wide);
    let old = TEXTS.replace("19.22.0.0.0", "11.2.0.4.0");
    let mut client = connect(&self::world(&old), "reaper", "test");
    assert_eq!(rows(&mut client, module), format!("{}\u{fffd}", "e".repeat(47)));
}

#[test]
fn a_database_may_refuse_a_query_for_one_text() {
    let world = world(&TEXTS.replace("{name: TEST}", "{name: TEST, broken_text: refused}"));
    let mut client = connect(&world, "reaper", "test");
    check(
        &mut client,
        &[
            (
                "SELECT program FROM v$session WHERE sid IN (500, 501)",
                "ORA-29275: partial multibyte character",
            ),
            (
                "SELECT module FROM v$session WHERE sid = 502",
                "ORA-29275: partial multibyte character",
            ),
            ("SELECT sid FROM v$session WHERE program LIKE 'caf%'", "501"),
            (
                "SELECT RAWTOHEX(UTL_RAW.CAST_TO_RAW(program)) FROM v$session WHERE sid = 501",
                "636166E92E657865",
            ),
        ],
    );
}

const PARALLEL: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: TEST}
instances: [{number: 1, name: test1, host: node1}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: dml, user: ETL, program: sqlplus@etl01, active: 1h, px_servers: 4, pinned: {sid: 500, serial: 7},
     transaction: {age: 1h, undo_records: 1}, px_transaction: {age: 50m, undo_records: 2500},
     when_killed: {notices: 1s, rollback: 1000}}
  - {name: audit, user: APP, program: app, idle: 1h, pinned: {sid: 501, serial: 8},
     transaction: {age: 1m, undo_records: 3}, suspended_transaction: {age: 2h, undo_records: 40000}}
  - {name: shared, user: WEB, count: 5, program: JDBC Thin Client, sessions_per_process: 3, idle: 6h}
  - {name: circuits, user: MTS, count: 3, program: JDBC Thin Client, server: shared, sessions_per_process: 3, idle: 6h}
  - {name: stubborn, user: APP, program: app, idle: 1h, pinned: {sid: 502, serial: 9}, when_killed: {refused: true}}
";

#[test]
fn parallel_dml_has_a_transaction_for_each_server() {
    let world = world(PARALLEL);
    let mut client = connect(&world, "reaper", "test");
    check(
        &mut client,
        &[
            (
                "SELECT ptx, used_urec, COUNT(*) FROM v$transaction t JOIN v$session s ON s.saddr = t.ses_addr WHERE username = \
                 'ETL' GROUP BY ptx, used_urec ORDER BY 1",
                "NO|1|1\nYES|2500|4",
            ),
            (
                "SELECT COUNT(*) FROM v$transaction p, v$transaction c WHERE p.ptx = 'YES' AND p.ptx_xidusn = c.xidusn AND \
                 p.ptx_xidslt = c.xidslot AND p.ptx_xidsqn = c.xidsqn AND c.used_urec = 1",
                "4",
            ),
            // TADDR names the autonomous transaction, SES_ADDR the suspended one too.
            (
                "SELECT used_urec FROM v$transaction t, v$session s WHERE s.taddr = RAWTOHEX(t.addr) AND s.sid = 501",
                "3",
            ),
            (
                "SELECT SUM(used_urec) FROM v$transaction t, v$session s WHERE t.ses_addr = s.saddr AND s.sid = 501",
                "40003",
            ),
        ],
    );
    // 10 001 records at 1000 a second, after it has noticed.
    let killed = client
        .run("ALTER SYSTEM KILL SESSION '500,7' IMMEDIATE")
        .expect_err("marked");
    assert_eq!(killed.code, 31);
    let left =
        "SELECT SUM(used_urec) FROM v$transaction t, v$session s WHERE t.ses_addr = s.saddr AND s.username = 'ETL'";
    world.advance(Duration::from_secs(2));
    assert_eq!(rows(&mut client, left), "6000");
    world.advance(Duration::from_millis(8_900));
    assert_eq!(
        rows(&mut client, "SELECT COUNT(*) FROM v$session WHERE username = 'ETL'"),
        "5"
    );
    world.advance(Duration::from_millis(200));
    assert_eq!(
        rows(&mut client, "SELECT COUNT(*) FROM v$session WHERE username = 'ETL'"),
        "0"
    );
}

#[test]
fn a_server_process_takes_its_sessions_with_it() {
    let world = world(PARALLEL);
    let mut client = connect(&world, "reaper", "test");
    let processes = "SELECT COUNT(DISTINCT paddr), COUNT(*) FROM v$session WHERE username = 'WEB'";
    assert_eq!(rows(&mut client, processes), "2|5");
    let of_web = "SELECT COUNT(*) FROM v$process WHERE addr IN (SELECT paddr FROM v$session WHERE username = 'WEB')";
    assert_eq!(rows(&mut client, of_web), "2");
    let first = rows(&mut client, "SELECT MIN(sid) FROM v$session WHERE username = 'WEB'");
    let serial = rows(
        &mut client,
        &format!("SELECT serial# FROM v$session WHERE sid = {first}"),
    );
    client
        .run(&format!("ALTER SYSTEM DISCONNECT SESSION '{first},{serial}' IMMEDIATE"))
        .expect("disconnected");
    assert_eq!(rows(&mut client, processes), "1|2");
    let also = world.kills().last().map(|kill| kill.also.len());
    assert_eq!(also, Some(2));
    // Through a shared server DISCONNECT ends the virtual circuit of one session.
    let circuit = rows(
        &mut client,
        "SELECT MIN(sid || ',' || serial#) FROM v$session WHERE username = 'MTS'",
    );
    client
        .run(&format!("ALTER SYSTEM DISCONNECT SESSION '{circuit}' IMMEDIATE"))
        .expect("disconnected");
    let also = world.kills().last().map(|kill| kill.also.len());
    assert_eq!(also, Some(0));
    for clause in ["KILL SESSION '502,9'", "DISCONNECT SESSION '502,9' IMMEDIATE"] {
        let refused = client.run(&format!("ALTER SYSTEM {clause}")).expect_err("refused");
        assert_eq!(refused.message, "ORA-00029: session is not a user session", "{clause}");
    }
}

#[test]
fn rights_can_be_asked_for() {
    let world = world(
        "
release: 23.4.0.0.0
speed: 0
database: {name: TEST}
instances: [{number: 1, name: test1, host: node1}]
roles: {CDC_READER: {privileges: [LOGMINING]}}
accounts:
  REAPER: {password: r, views: [V$SESSION, DBA_ROLE_PRIVS, DBA_SYS_PRIVS, DBA_TAB_PRIVS, DBA_GOLDENGATE_PRIVILEGES, DBA_XSTREAM_ADMINISTRATOR]}
  DEBEZIUM: {rights: {privileges: [logmining], executes: [dbms_logmnr]}}
  CDC: {rights: {roles: [cdc_reader]}}
  GGADMIN: {rights: {roles: [OGG_CAPTURE], goldengate: both}}
  STRMADMIN: {rights: {xstream_administrator: true}}
",
    );
    let mut client = connect(&world, "reaper", "test");
    check(
        &mut client,
        &[
            (
                "SELECT grantee FROM dba_sys_privs WHERE privilege = 'LOGMINING' ORDER BY 1",
                "CDC_READER\nDBA\nDEBEZIUM\nSYS",
            ),
            (
                "SELECT grantee FROM dba_tab_privs WHERE owner = 'SYS' AND table_name = 'DBMS_LOGMNR' AND privilege = 'EXECUTE' \
                 ORDER BY 1",
                "DEBEZIUM\nEXECUTE_CATALOG_ROLE",
            ),
            (
                "SELECT table_name FROM dba_tab_privs WHERE grantee = 'REAPER' AND table_name LIKE 'V%'",
                "V_$SESSION",
            ),
            (
                "SELECT grantee, granted_role FROM dba_role_privs WHERE granted_role IN ('OGG_CAPTURE', 'CDC_READER') ORDER BY 1",
                "CDC|CDC_READER\nGGADMIN|OGG_CAPTURE",
            ),
            (
                "SELECT username, privilege_type FROM dba_goldengate_privileges",
                "GGADMIN|*",
            ),
            ("SELECT username FROM dba_xstream_administrator", "STRMADMIN"),
        ],
    );
}

#[test]
fn only_whom_the_password_file_knows_logs_in_as_sysdba() {
    let mut scenario = Scenario::builtin("tutorial").expect("built in");
    scenario.accounts.get_mut("REAPER").expect("an account").sysdba = true;
    let world = World::new(scenario);
    let log_in = |user: &str| {
        let client = Client {
            sysdba: true,
            ..Client::default()
        };
        Local::connect_as(&world, user, &ConnectTo::default(), client)
    };
    assert_eq!(log_in("apexdev").err().map(|error| error.code), Some(1017));
    let mut reaper = log_in("reaper").expect("a session");
    let sql = "SELECT username, schemaname, sys_context('userenv', 'isdba') FROM v$session WHERE sid = sys_context('userenv', 'sid')";
    assert_eq!(rows(&mut reaper, sql), "SYS|SYS|TRUE");
    let own = "SELECT username FROM v$session WHERE sid = sys_context('userenv', 'sid')";
    assert_eq!(rows(&mut connect(&world, "reaper", "orcl"), own), "REAPER");
}
