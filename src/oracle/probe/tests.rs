//! The probe, against scripted answers of several releases and set-ups.

use super::*;

use crate::oracle::scripted::{Answer, Scripted};

const LIMIT: Duration = Duration::from_secs(10);

/// A RAC database of release 19 that lets everything be read; what differs in a story stands before it.
fn open_database(differing: Vec<(&'static str, Answer)>) -> Scripted {
    let rows = |rows: &[&[&'static str]]| Answer::Rows(rows.iter().map(|row| row.to_vec()).collect());
    let mut answers = differing;
    answers.extend([
        ("version_full", rows(&[&["19.21.0.0.0"]])),
        ("V$INSTANCE", rows(&[&["2", "prod2", "19.0.0.0.0", "YES"]])),
        (
            "GV$INSTANCE",
            rows(&[&["1", "prod1", "db1", "OPEN"], &["2", "prod2", "db2", "OPEN"]]),
        ),
        ("CLOUD_SERVICE", rows(&[&[""]])),
        ("CON_ID", rows(&[&["3", "ORCLPDB1"]])),
        ("'SID'", rows(&[&["44", "2", "REAPER"]])),
        ("SELECT serial#", rows(&[&["9001", "500", "REAPER", "503"]])),
        ("cdb FROM", rows(&[&["YES"]])),
        ("V$DATABASE", rows(&[&["PROD", "PRIMARY", "READ WRITE"]])),
        (
            "V$PARAMETER",
            rows(&[&["db_block_size", "8192"], &["cluster_database", "TRUE"]]),
        ),
        (
            "ALL_TAB_COLUMNS",
            rows(&[&["INST_ID"], &["SID"], &["SERIAL#"], &["CON_ID"], &["NEW_IN_30AI"]]),
        ),
        ("DBA_USERS", rows(&[&["SYS"], &["XDB"]])),
        ("DBA_SYS_PRIVS", rows(&[&["SYS"], &["DBA"], &["C##DBZ"], &["CDC_ROLE"]])),
        ("DBA_TAB_PRIVS", rows(&[&["EXECUTE_CATALOG_ROLE"], &["MINER"]])),
        ("DBA_GOLDENGATE_PRIVILEGES", rows(&[&["GGADMIN"]])),
        ("DBA_XSTREAM_ADMINISTRATOR", rows(&[])),
        (
            "DBA_ROLE_PRIVS",
            rows(&[
                &["SHOP", "EXECUTE_CATALOG_ROLE"],
                &["INNER_ROLE", "CDC_ROLE"],
                &["CDC", "INNER_ROLE"],
                &["OGG", "OGG_APPLY"],
                &["CRM", "REPORTING"],
            ]),
        ),
        ("CDB_USERS", rows(&[&["SYS", "1"], &["SYS", "3"], &["APEX_PDB", "3"]])),
        (
            "CDB_SYS_PRIVS",
            rows(&[&["SYS", "1"], &["DBA", "3"], &["C##DBZ", "1"], &["DBZ", "3"]]),
        ),
        (
            "CDB_TAB_PRIVS",
            rows(&[&["MINER", "4"], &["EXECUTE_CATALOG_ROLE", "4"]]),
        ),
        ("CDB_GOLDENGATE_PRIVILEGES", rows(&[&["GGADMIN", "3"]])),
        ("CDB_XSTREAM_ADMINISTRATOR", rows(&[])),
        (
            "CDB_ROLE_PRIVS",
            rows(&[
                &["CDC_ROLE", "OGG_APPLY", "4"],
                &["CDC", "CDC_ROLE", "4"],
                &["CDC", "CDC_ROLE", "3"],
                &["C##OGG", "OGG_CAPTURE", "1"],
            ]),
        ),
        ("RDSADMIN", rows(&[])),
        ("DBA_TABLESPACES", rows(&[&["TEMP16", "16384"]])),
        (
            "V$STATNAME",
            rows(&[&["redo size", "288"], &["CPU used by this session", "19"]]),
        ),
    ]);
    Scripted::new(answers)
}

fn found(mut database: Scripted) -> Capabilities {
    probe(&mut database, LIMIT).expect("the essentials are there")
}

#[test]
fn an_open_database_tells_everything() {
    let found = found(open_database(Vec::new()));
    assert_eq!(found.release, Release { major: 19, minor: 0 });
    assert_eq!(found.version, "19.21.0.0.0");
    assert!(found.cluster && found.cdb);
    assert_eq!((found.con_id, found.con_name.as_str()), (Some(3), "ORCLPDB1"));
    assert_eq!(
        found.own,
        SessionKey {
            inst_id: 2,
            sid: 44,
            serial: 9001,
            logon_time: DbTime(500)
        }
    );
    assert_eq!(found.own_username, "REAPER");
    assert_eq!(found.instances.len(), 2);
    assert_eq!(
        found.columns.iter().collect::<Vec<_>>(),
        [Column::InstId, Column::Sid, Column::Serial, Column::ConId]
    );
    assert_eq!(found.columns_from, Provenance::Dictionary);
    assert!(found.maintained.include("XDB", None) && found.maintained_from == Provenance::Dictionary);
    for capturing in ["C##DBZ", "MINER", "GGADMIN", "CDC", "OGG"] {
        assert!(found.replication.include(capturing, None), "{capturing}");
    }
    for other in ["SYS", "DBA", "SHOP", "CRM", "PUBLIC", "REPORTING"] {
        assert!(!found.replication.include(other, None), "{other}");
    }
    assert_eq!(found.service, HostingService::SelfManaged);
    assert_eq!(found.block_size, Some(8192));
    assert_eq!(found.tablespace_blocks.get("TEMP16"), Some(&16_384));
    assert_eq!(found.statistics.numbers(), [19, 288]);
    assert_eq!(found.notes, Vec::<Check>::new());
}

#[test]
fn an_old_release_is_not_asked_for_what_it_does_not_have() {
    let mut database = open_database(vec![
        ("V$INSTANCE", Answer::Rows(vec![vec!["1", "orcl", "11.2.0.4.0", "NO"]])),
        ("GV$INSTANCE", Answer::Rows(vec![vec!["1", "orcl", "db1", "OPEN"]])),
        (
            "V$PARAMETER",
            Answer::Rows(vec![vec!["db_block_size", "4096"], vec!["cluster_database", "FALSE"]]),
        ),
    ]);
    let found = probe(&mut database, LIMIT).expect("the essentials are there");
    assert_eq!((found.release.major, found.release.minor), (11, 2));
    assert_eq!(found.version, "11.2.0.4.0");
    assert!(!found.cluster && !found.cdb && found.con_id.is_none());
    assert_eq!(found.maintained_from, Provenance::Documentation);
    for name in ["SYS", "DBSNMP", "XDB", "OUTLN"] {
        assert!(found.maintained.include(name, None), "{name}");
    }
    for absent in [
        "CON_ID",
        "cdb FROM",
        "version_full",
        "oracle_maintained",
        "CLOUD_SERVICE",
    ] {
        assert!(
            !database.asked.iter().any(|query| query.sql.contains(absent)),
            "{absent} was asked of 11.2"
        );
    }
}

#[test]
fn what_cannot_be_read_has_a_cautious_answer_and_a_note() {
    let found = found(open_database(vec![
        ("ALL_TAB_COLUMNS", Answer::Rows(Vec::new())),
        ("DBA_USERS", Answer::Fails(942)),
        ("oracle_maintained", Answer::Rows(vec![vec!["SYS"], vec!["CTXSYS"]])),
        ("V$DATABASE", Answer::Fails(942)),
        ("V$PARAMETER", Answer::Fails(942)),
        ("CON_ID", Answer::Fails(2003)),
        ("V$STATNAME", Answer::Fails(942)),
        ("DBA_TABLESPACES", Answer::Fails(942)),
    ]));
    assert_eq!(found.columns, found.release.documented_columns());
    assert_eq!(found.columns_from, Provenance::Documentation);
    assert_eq!(found.maintained_from, Provenance::PublicDictionary);
    assert!(found.maintained.include("CTXSYS", None));
    assert_eq!(found.block_size, None);
    assert!(found.cluster, "two instances are a cluster whatever else is known");
    assert_eq!(found.con_id, None);
    assert!(found.statistics.numbers().is_empty());
    let disconnect = crate::policy::model::Action::Disconnect {
        clause: crate::policy::model::DisconnectClause::Immediate,
    };
    assert!(found.supports(disconnect).is_err(), "not known to be open");
    let unreadable: Vec<&str> = found.unreadable.iter().map(|view| view.view).collect();
    assert_eq!(
        unreadable,
        [
            "V$DATABASE",
            "V$PARAMETER",
            "DBA_USERS",
            "DBA_TABLESPACES",
            "V$STATNAME"
        ]
    );
    assert!(found.unreadable.iter().all(|view| view.grant.is_some()));
    for about in ["ALL_TAB_COLUMNS", "SYS_CONTEXT"] {
        assert!(
            found.notes.iter().any(|note| note.to_string().contains(about)),
            "no note on {about}: {:?}",
            found.notes
        );
    }
}

#[test]
fn accounts_fall_back_to_the_documented_ones_when_no_view_names_any() {
    for users in [Answer::Rows(Vec::new()), Answer::Fails(904)] {
        let found = found(open_database(vec![("oracle_maintained", users)]));
        assert_eq!(found.maintained_from, Provenance::Documentation);
        assert!(found.maintained.include("SYSTEM", None));
        assert!(
            found.notes.iter().any(|note| note.to_string().contains("ALL_USERS")),
            "{:?}",
            found.notes
        );
    }
}

#[test]
fn a_connection_that_breaks_ends_the_probe() {
    for (code, class) in [
        (3113, Class::Reconnect),
        (1089, Class::Backoff),
        (1013, Class::Cancelled),
    ] {
        let mut database = open_database(vec![("DBA_USERS", Answer::Fails(code))]);
        let error = probe(&mut database, LIMIT).map(|_| ()).expect_err("it broke");
        assert_eq!(error.class, class, "{error}");
    }
}

#[test]
fn a_daemon_that_cannot_tell_itself_does_not_start() {
    let stories = [
        ("'SID'", Answer::Rows(vec![vec!["", "", ""]])),
        ("SELECT serial#", Answer::Rows(Vec::new())),
        ("SELECT serial#", Answer::Rows(vec![vec!["9001", "500", "", "503"]])),
        ("V$INSTANCE", Answer::Rows(vec![vec!["1", "orcl", "unheard of", "NO"]])),
    ];
    for story in stories {
        let key = story.0;
        let mut database = open_database(vec![story]);
        let error = probe(&mut database, LIMIT).map(|_| ()).expect_err(key);
        assert_eq!(error.class, Class::Config, "{error}");
    }
}

#[test]
fn managed_services_are_recognized() {
    let rds = open_database(vec![("'RDSADMIN'", Answer::Rows(vec![vec!["RDSADMIN"]]))]);
    assert_eq!(found(rds).service, HostingService::AmazonRds);
    let cloud = open_database(vec![("CLOUD_SERVICE", Answer::Rows(vec![vec!["OLTP"]]))]);
    assert_eq!(found(cloud).service, HostingService::Autonomous);
    let before = open_database(vec![("CLOUD_SERVICE", Answer::Fails(2003))]);
    assert_eq!(found(before).service, HostingService::SelfManaged);
}

/// The same in CDB$ROOT, without any other note.
fn root(mut differing: Vec<(&'static str, Answer)>) -> Scripted {
    differing.extend([
        ("CON_ID')", Answer::Rows(vec![vec!["1", "CDB$ROOT"]])),
        ("V$PDBS", Answer::Rows(vec![vec!["3", "ORCLPDB1"]])),
        ("con_id > 1", Answer::Rows(vec![vec!["12"]])),
    ]);
    open_database(differing)
}

#[test]
fn in_the_root_every_container_s_accounts_are_known_as_its_own() {
    let mut database = root(Vec::new());
    let found = probe(&mut database, LIMIT).expect("the essentials are there");
    for (name, con_id, capturing) in [
        ("C##DBZ", 4, true),
        ("C##OGG", 3, true),
        ("DBZ", 3, true),
        ("DBZ", 4, false),
        ("MINER", 4, true),
        ("MINER", 3, false),
        ("GGADMIN", 3, true),
        // The role captures in the one PDB alone.
        ("CDC", 4, true),
        ("CDC", 3, false),
        ("DBA", 3, false),
    ] {
        assert_eq!(
            found.replication.include(name, Some(con_id)),
            capturing,
            "{name} in {con_id}"
        );
    }
    assert!(found.maintained.include("SYS", Some(9)) && found.maintained.include("APEX_PDB", Some(3)));
    assert!(!found.maintained.include("APEX_PDB", Some(4)));
    assert_eq!(found.containers_of_accounts, Some([1, 3].into()));
    let asked: Vec<&str> = database.asked.iter().map(|query| query.of).collect();
    assert!(
        !asked
            .iter()
            .any(|of| matches!(*of, "DBA_USERS" | "DBA_SYS_PRIVS" | "DBA_ROLE_PRIVS")),
        "{asked:?}"
    );
}

#[test]
fn in_the_root_what_cdb_views_do_not_tell_is_taken_from_the_root_s_own_and_said() {
    for (view, known, of_pdb) in [
        ("CDB_SYS_PRIVS", "C##DBZ", "DBZ"),
        ("CDB_TAB_PRIVS", "MINER", ""),
        ("CDB_GOLDENGATE_PRIVILEGES", "GGADMIN", ""),
        ("CDB_ROLE_PRIVS", "OGG", "C##OGG"),
    ] {
        let found = found(root(vec![(view, Answer::Fails(942))]));
        // The root's own rights hold everywhere, as they do where there are no CDB_ views.
        assert!(found.replication.include(known, Some(9)), "{view}");
        assert!(!found.replication.include(of_pdb, None), "{view}");
        let said: Vec<&str> = found.unreadable.iter().map(|one| one.view).collect();
        assert_eq!(said, [view]);
        let grant = found.unreadable[0].grant.clone();
        let expected = format!("GRANT SELECT ON sys.{} TO REAPER", view.to_lowercase());
        assert_eq!(grant, Some(expected));
    }
    let found = found(root(vec![("CDB_USERS", Answer::Fails(942))]));
    assert!(found.maintained.include("XDB", Some(3)) && !found.maintained.include("APEX_PDB", Some(3)));
    assert_eq!(found.containers_of_accounts, None);
    assert_eq!(found.unreadable[0].view, "CDB_USERS");
}

#[test]
fn a_root_that_sees_no_pdb_is_told_of() {
    let root = |seen: &'static str| {
        open_database(vec![
            ("CON_ID')", Answer::Rows(vec![vec!["1", "CDB$ROOT"]])),
            ("V$PDBS", Answer::Rows(vec![vec!["3", "ORCLPDB1"]])),
            ("con_id > 1", Answer::Rows(vec![vec![seen]])),
        ])
    };
    let blind = found(root("0"));
    assert!(
        blind
            .notes
            .iter()
            .any(|note| note.to_string().contains("CONTAINER_DATA")),
        "{:?}",
        blind.notes
    );
    assert_eq!(found(root("12")).notes, Vec::<Check>::new());
    // Without V$PDBS it is unknown, and a note says so.
    let unable = found(open_database(vec![
        ("CON_ID')", Answer::Rows(vec![vec!["1", "CDB$ROOT"]])),
        ("V$PDBS", Answer::Fails(942)),
    ]));
    let said: Vec<String> = unable.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "read V$PDBS from test: ORA-00942: scripted; without it nobody can tell whether the account sees the sessions \
          of the PDBs (CONTAINER_DATA); remedy: GRANT SELECT ON sys.v_$pdbs TO REAPER"
        ]
    );
}

#[test]
fn an_account_that_may_not_even_read_its_own_session_is_told_what_to_grant() {
    let mut database = open_database(vec![("SELECT serial#", Answer::Fails(942))]);
    let error = probe(&mut database, LIMIT)
        .map(|_| ())
        .expect_err("the daemon cannot tell itself");
    assert_eq!(
        error.to_string(),
        "read GV$SESSION from test: ORA-00942: scripted; remedy: GRANT SELECT ON sys.gv_$session TO REAPER"
    );
}

#[test]
fn predefined_accounts_are_listed_once_and_in_order() {
    assert!(PREDEFINED_ACCOUNTS.is_sorted_by(|a, b| a < b));
}

/// SYSDATE of a session that logged on at 500 and took three seconds since; FIXED_DATE.
#[test]
fn dates_are_compared_only_where_the_own_log_in_shows_that_they_can_be() {
    let with = |sysdate: &'static str, fixed: Option<&'static str>| {
        let mut parameters = vec![vec!["db_block_size", "8192"]];
        parameters.extend(fixed.map(|value| vec!["fixed_date", value]));
        found(open_database(vec![
            (
                "SELECT serial#",
                Answer::Rows(vec![vec!["9001", "500", "REAPER", sysdate]]),
            ),
            ("V$PARAMETER", Answer::Rows(parameters)),
        ]))
        .dates
    };
    let seconds = Duration::from_secs;
    let login = with("503", None);
    assert_eq!(login.fault_at_login(seconds(3)), None);
    assert_eq!(with("503", Some("NONE")).fault_at_login(seconds(3)), None);
    // A second that was rounded either way, and a host that is a little ahead.
    assert_eq!(with("495", None).fault_at_login(seconds(3)), None);
    // SYSDATE in another zone, whichever way.
    for (sysdate, off) in [("32903", "9h 0m ahead"), ("-31897", "9h behind")] {
        let fault = with(sysdate, None).fault_at_login(seconds(3)).expect("they differ");
        assert!(fault.contains(off.split(' ').next().expect("a span")), "{fault}");
        assert!(fault.contains(off.split(' ').next_back().expect("a word")), "{fault}");
        assert!(
            fault.contains("connected, statement_age and transaction_age are unknown"),
            "{fault}"
        );
    }
    let fixed = with("503", Some("2026-01-01-00:00:00")).fault_at_login(seconds(3));
    assert!(fixed.is_some_and(|fault| fault.contains("FIXED_DATE")));
    // A log-in that took an hour explains an hour.
    assert_eq!(with("4100", None).fault_at_login(seconds(3600)), None);
    // Later the own session is as old as the connection, but for what summer time makes.
    assert_eq!(with("90500", None).fault_later(seconds(90_000)), None);
    assert_eq!(with("94100", None).fault_later(seconds(90_000)), None);
    assert!(
        with("503", None).fault_later(seconds(90_000)).is_some(),
        "it stands still"
    );
    assert!(with("122900", None).fault_later(seconds(90_000)).is_some());
}
