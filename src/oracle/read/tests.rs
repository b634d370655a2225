//! The reading of a snapshot, against scripted answers: what is whole, what is missing, what is an error.

mod pressure;

use super::*;

use crate::oracle::capabilities::tests::capabilities;
use crate::oracle::pressure::{Counters, read_pressure};
use crate::oracle::scripted::{Answer, Scripted};
use crate::policy::pressure::{Resource, Threshold};
use crate::session::snapshot::Field;

const LIMIT: Duration = Duration::from_secs(10);

/// Capabilities of a release that has only these columns, which are then the columns of every session row, in this order:
/// INST_ID, SID, SERIAL#, PADDR, USERNAME, TADDR, STATUS, PROGRAM, TYPE, LOGON_TIME.
fn few_columns(cluster: bool) -> Capabilities {
    let mut few = capabilities(19, 0);
    few.cluster = cluster;
    few.columns = [
        Column::InstId,
        Column::Sid,
        Column::Serial,
        Column::Paddr,
        Column::Username,
        Column::Taddr,
        Column::Status,
        Column::Program,
        Column::Type,
        Column::LogonTime,
    ]
    .into_iter()
    .collect();
    few
}

fn instance(inst_id: &'static str, status: &'static str, started: &'static str) -> Vec<&'static str> {
    vec![inst_id, "orcl", status, started, "1000", "+02:00"]
}

/// A session; PADDR is read only where a policy asks for it.
fn session(inst_id: &'static str, sid: &'static str, taddr: &'static str, program: &'static str) -> Vec<&'static str> {
    vec![inst_id, sid, "7", "SCOTT", taddr, "INACTIVE", program, "USER", "400"]
}

fn read(connection: &mut Scripted, capabilities: &Capabilities, wanted: &[Column]) -> Result<TakenSnapshot, Error> {
    let wanted = wanted.iter().copied().collect();
    read_snapshot(connection, wanted, capabilities, Scope::All, LIMIT)
}

#[test]
fn the_clock_comes_with_the_instances_and_ages_are_counted_from_it() {
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        (
            "GV$SESSION",
            Answer::Rows(vec![session("1", "287", "", "sqlplus@web01")]),
        ),
    ]);
    let taken = read(&mut database, &few_columns(false), &[Column::Connected]).expect("a snapshot");
    let clock = taken.snapshot.clock().expect("a clock");
    assert_eq!((clock.now, clock.utc_offset), (DbTime(1000), 7200));
    assert_eq!(taken.snapshot.number(0, Column::Connected), Some(600));
    assert!(taken.snapshot.is_complete(1) && taken.unreadable.is_empty());
    // One instance cannot vanish between two looks without the connection; nothing refers to another view.
    assert_eq!(database.asked.len(), 2);
    // No session has a transaction: that is known, not missing.
    assert_eq!(taken.snapshot.field(0, Column::UndoRecords), Field::Null);
}

#[test]
fn an_instance_that_was_not_seen_whole_is_unknown() {
    let open = |id| instance(id, "OPEN", "5");
    let sessions = |ids: &[&'static str]| Answer::Rows(ids.iter().map(|id| session(id, "1", "", "x")).collect());
    let cases = [
        (
            "both answer",
            Answer::Rows(vec![open("1"), open("2")]),
            sessions(&["1", "2"]),
            [true, true],
        ),
        (
            "2 shows nothing",
            Answer::Rows(vec![open("1"), open("2")]),
            sessions(&["1"]),
            [true, false],
        ),
        (
            "2 leaves meanwhile",
            Answer::Then(vec![open("1"), open("2")], vec![open("1")]),
            sessions(&["1", "2"]),
            [true, false],
        ),
        (
            "2 joins meanwhile",
            Answer::Then(vec![open("1")], vec![open("1"), open("2")]),
            sessions(&["1", "2"]),
            [true, false],
        ),
        (
            "2 is restarted meanwhile",
            Answer::Then(
                vec![open("1"), open("2")],
                vec![open("1"), instance("2", "OPEN", "900")],
            ),
            sessions(&["1", "2"]),
            [true, false],
        ),
        (
            "2 is mounted",
            Answer::Rows(vec![open("1"), instance("2", "MOUNTED", "5")]),
            sessions(&["1", "2"]),
            [true, false],
        ),
    ];
    for (story, instances, sessions, complete) in cases {
        let mut database = Scripted::new(vec![("GV$INSTANCE", instances), ("GV$SESSION", sessions)]);
        let taken = read(&mut database, &few_columns(true), &[]).expect(story);
        let found = [taken.snapshot.is_complete(1), taken.snapshot.is_complete(2)];
        assert_eq!(found, complete, "{story}");
        assert_eq!(taken.snapshot.instances().len(), 2, "{story}");
        assert_eq!(database.asked("GV$INSTANCE"), 2, "{story}");
    }
}

#[test]
fn a_view_that_is_not_granted_is_missing_and_one_that_may_be_incomplete_ends_the_snapshot() {
    let with = |code| {
        Scripted::new(vec![
            ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
            ("GV$SESSION", Answer::Rows(vec![session("1", "287", "AB12", "x")])),
            ("GV$TRANSACTION", Answer::Fails(code)),
        ])
    };
    let taken = read(&mut with(942), &few_columns(false), &[]).expect("a snapshot");
    assert_eq!(taken.snapshot.field(0, Column::UndoRecords), Field::Missing);
    assert_eq!(taken.unreadable.len(), 1);
    assert_eq!(
        taken.unreadable[0].to_string(),
        "read GV$TRANSACTION from test: ORA-00942: scripted; without it transaction_age, transaction_status, undo_records and \
         undo are unknown, and everybody in a transaction is spared; remedy: GRANT SELECT ON sys.gv_$transaction TO REAPER"
    );
    for (code, class) in [
        (12801, Class::Partial),
        (12805, Class::Partial),
        (12850, Class::Partial),
        (1013, Class::Cancelled),
        (3113, Class::Reconnect),
        (1089, Class::Backoff),
    ] {
        let error = read(&mut with(code), &few_columns(false), &[])
            .map(|_| ())
            .expect_err("no snapshot");
        assert_eq!(error.class, class, "ORA-{code:05}");
    }
}

#[test]
fn transactions_are_joined_with_their_undo_in_bytes() {
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        (
            "GV$SESSION",
            Answer::Rows(vec![session("1", "287", "AB12", "x"), session("1", "288", "CD34", "x")]),
        ),
        (
            "GV$TRANSACTION",
            Answer::Rows(vec![vec![
                "1", "AB12", "700", "60", "3", "0D", "7", "1", "900", "0", "0", "0", "ACTIVE",
            ]]),
        ),
    ]);
    let taken = read(
        &mut database,
        &few_columns(false),
        &[Column::TransactionAge, Column::Undo],
    )
    .expect("a snapshot");
    let of = |row, column| taken.snapshot.number(row, column);
    assert_eq!(of(0, Column::TransactionAge), Some(300));
    assert_eq!(of(0, Column::UndoRecords), Some(60));
    assert_eq!(of(0, Column::Undo), Some(3 * 8192));
    assert_eq!(taken.snapshot.text(0, Column::TransactionStatus), Some("ACTIVE"));
    // A TADDR that dangles is a transaction of unknown size and state.
    assert_eq!(of(1, Column::UndoRecords), None);
    assert_eq!(taken.snapshot.field(1, Column::TransactionStatus), Field::Null);
}

/// The text may be in a column that only the re-check reads.
#[test]
fn one_seat_with_half_a_character_is_read_as_bytes() {
    let hex = vec![
        "1",
        "287",
        "7",
        "0A",
        "53434F5454",
        "",
        "494E414354495645",
        "61C3",
        "55534552",
        "400",
    ];
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        ("RAWTOHEX(program)", Answer::Rows(vec![hex])),
        ("GV$SESSION", Answer::Fails(29_275)),
        ("NLS_DATABASE_PARAMETERS", Answer::Rows(vec![vec!["AL32UTF8"]])),
    ]);
    let seat = Scope::One { inst_id: 1, sid: 287 };
    let taken = read_snapshot(&mut database, Columns::NONE, &few_columns(true), seat, LIMIT).expect("a snapshot");
    let sessions = taken.snapshot;
    assert_eq!(sessions.text(0, Column::Username), Some("SCOTT"));
    assert_eq!(sessions.text(0, Column::Program), Some("a\u{fffd}"));
}

#[test]
fn one_seat_is_read_with_everything_the_release_has() {
    let row = vec!["1", "287", "7", "0A", "SCOTT", "AB12", "INACTIVE", "x", "USER", "400"];
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        ("GV$SESSION", Answer::Rows(vec![row])),
        (
            "GV$TRANSACTION",
            Answer::Rows(vec![vec![
                "1", "AB12", "700", "60", "3", "0D", "7", "1", "900", "0", "0", "0", "ACTIVE",
            ]]),
        ),
    ]);
    let seat = Scope::One { inst_id: 1, sid: 287 };
    let taken = read_snapshot(&mut database, Columns::NONE, &few_columns(true), seat, LIMIT).expect("a snapshot");
    assert_eq!(taken.snapshot.text(0, Column::Paddr), Some("0A"));
    assert_eq!(taken.snapshot.number(0, Column::UndoRecords), Some(60));
    assert!(taken.snapshot.is_complete(1));
    let transactions = database
        .asked
        .iter()
        .find(|query| query.of == "GV$TRANSACTION")
        .expect("asked");
    assert!(
        transactions.binds.is_empty(),
        "its parallel servers' are among the others"
    );
}

#[test]
fn what_a_session_would_roll_back_is_in_all_its_transactions_and_its_servers() {
    let mut capabilities = few_columns(true);
    capabilities.columns.insert(Column::Saddr);
    let session = |sid, saddr, taddr| vec!["1", saddr, sid, "7", "SCOTT", taddr, "ACTIVE", "x", "USER", "400"];
    // INST_ID, ADDR, START_DATE, USED_UREC, USED_UBLK, SES_ADDR, XID, parent's XID.
    let transaction = |inst_id, addr, records, ses_addr, sequence, parent| {
        let at = if addr == "A2" { "500" } else { "700" };
        vec![
            inst_id, addr, at, records, "2", ses_addr, "7", "1", sequence, parent, parent, parent, "ACTIVE",
        ]
    };
    let mut child_of_a1 = transaction("2", "B1", "60000", "0F", "950", "0");
    child_of_a1.splice(9..12, ["7", "1", "900"]);
    let mut grandchild = transaction("1", "B2", "5", "0E", "951", "0");
    grandchild.splice(9..12, ["7", "1", "950"]);
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        (
            "GV$SESSION",
            Answer::Rows(vec![
                session("10", "0D", "A1"),
                session("11", "0C", ""),
                session("12", "0B", "FF"),
            ]),
        ),
        (
            "GV$TRANSACTION",
            Answer::Rows(vec![
                transaction("1", "A1", "1", "0D", "900", "0"),
                // Hidden behind an autonomous one.
                transaction("1", "A2", "20", "0D", "901", "0"),
                // The same address on another instance belongs to another session.
                transaction("2", "A3", "7000000", "0D", "902", "0"),
                child_of_a1,
                grandchild,
                transaction("1", "A4", "3", "0C", "903", "0"),
                transaction("1", "A5", "3", "0B", "904", "0"),
            ]),
        ),
    ]);
    let wanted = [Column::TransactionAge, Column::Undo];
    let taken = read(&mut database, &capabilities, &wanted)
        .expect("a snapshot")
        .snapshot;
    let of = |row, column| taken.number(row, column);
    assert_eq!(of(0, Column::UndoRecords), Some(1 + 20 + 60_000 + 5));
    assert_eq!(of(0, Column::Undo), Some(4 * 2 * 8192));
    assert_eq!(of(0, Column::TransactionAge), Some(500));
    assert_eq!(of(1, Column::UndoRecords), Some(3));
    // Where TADDR dangles, all is unknown.
    assert_eq!(of(2, Column::UndoRecords), None);
    assert!(!taken.has(Column::Saddr), "no policy asked for it");
}

#[test]
fn one_transaction_that_is_not_active_is_told_of_whichever_leads_to_it() {
    let transaction = |addr, ses_addr, sequence, parent, status| {
        vec![
            "1", addr, "700", "1", "1", ses_addr, "7", "1", sequence, parent, parent, parent, status,
        ]
    };
    let mut child = transaction("B1", "0F", "950", "0", "PTX PREPARED");
    child.splice(9..12, ["7", "1", "903"]);
    let mut capabilities = few_columns(false);
    capabilities.columns.insert(Column::Saddr);
    let session = |sid, saddr, taddr| vec!["1", saddr, sid, "7", "SCOTT", taddr, "INACTIVE", "x", "USER", "400"];
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        (
            "GV$SESSION",
            Answer::Rows(vec![
                session("10", "0A", "A1"),
                session("11", "0B", "A2"),
                session("12", "0C", "A3"),
                session("13", "0D", "A5"),
                session("14", "0E", ""),
            ]),
        ),
        (
            "GV$TRANSACTION",
            Answer::Rows(vec![
                transaction("A1", "0A", "901", "0", "PREPARED"),
                // Behind an autonomous one.
                transaction("A2", "0B", "902", "0", "ACTIVE"),
                transaction("A4", "0B", "905", "0", "COLLECTING"),
                transaction("A3", "0C", "903", "0", "ACTIVE"),
                child,
                transaction("A5", "0D", "906", "0", ""),
            ]),
        ),
    ]);
    let taken = read(&mut database, &capabilities, &[]).expect("a snapshot").snapshot;
    let status: Vec<_> = (0..5).map(|row| taken.text(row, Column::TransactionStatus)).collect();
    let expected = ["PREPARED", "COLLECTING", "PTX PREPARED", "UNKNOWN"].map(Some);
    assert_eq!(status, [&expected[..], &[None]].concat());
}

#[test]
fn an_empty_seat_is_gone_only_if_its_instance_answers() {
    for (count, complete) in [("85", true), ("0", false)] {
        let mut database = Scripted::new(vec![
            ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
            ("GV$SESSION", Answer::Then(Vec::new(), vec![vec![count]])),
        ]);
        let seat = Scope::One { inst_id: 1, sid: 287 };
        let taken = read_snapshot(&mut database, Columns::NONE, &few_columns(true), seat, LIMIT).expect("a snapshot");
        assert_eq!(taken.snapshot.rows(), 0);
        assert_eq!(taken.snapshot.is_complete(1), complete, "{count} sessions");
    }
}

#[test]
fn who_holds_up_others_is_never_told_from_one_seat() {
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        ("GV$SESSION", Answer::Rows(vec![session("1", "287", "", "x")])),
    ]);
    let seat = Scope::One { inst_id: 1, sid: 287 };
    let wanted = [Column::Blocking].into_iter().collect();
    read_snapshot(&mut database, wanted, &few_columns(false), seat, LIMIT).expect("a snapshot");
    let sessions = database
        .asked
        .iter()
        .find(|query| query.of == "GV$SESSION")
        .expect("asked");
    assert!(sessions.binds.is_empty(), "{}", sessions.sql);
}

#[test]
fn parallel_servers_are_told_from_their_coordinator() {
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        (
            "GV$SESSION",
            Answer::Rows(vec![
                session("1", "50", "", "oracle@db1 (P000)"),
                session("1", "60", "", "x"),
            ]),
        ),
        (
            "GV$PX_SESSION",
            Answer::Rows(vec![
                vec!["1", "50", "7", "1", "60", "7"],
                vec!["2", "51", "8", "1", "60", "7"],
                vec!["1", "60", "7", "", "60", ""],
            ]),
        ),
    ]);
    let taken = read(&mut database, &few_columns(true), &[]).expect("a snapshot");
    let servers: Vec<(u32, u32, u32)> = taken
        .snapshot
        .parallel_servers()
        .iter()
        .map(|server| (server.inst_id, server.sid, server.coordinator_sid))
        .collect();
    assert_eq!(servers, [(1, 50, 60), (2, 51, 60)]);
}

#[test]
fn a_server_process_whose_name_was_cut_off_is_looked_up() {
    let cut = "oracle@dbprod-node1.internal.corp.example.co (P0";
    let session = |sid, address, program| vec!["1", sid, "7", address, "SCOTT", "", "INACTIVE", program, "USER", "400"];
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        (
            "GV$SESSION",
            Answer::Rows(vec![session("50", "0A", cut), session("60", "0B", "app@web01")]),
        ),
        (
            "GV$PROCESS",
            Answer::Rows(vec![
                vec!["1", "0A", "4711", "100", "P00K"],
                vec!["1", "0B", "4712", "100", ""],
            ]),
        ),
        (
            "GV$PX_SESSION",
            Answer::Rows(vec![vec!["1", "50", "7", "1", "60", "7"]]),
        ),
    ]);
    let taken = read(&mut database, &few_columns(false), &[Column::Pname]).expect("a snapshot");
    assert_eq!(taken.snapshot.text(0, Column::Pname), Some("P00K"));
    assert_eq!(taken.snapshot.field(1, Column::Pname), Field::Null);
    assert_eq!(taken.snapshot.parallel_servers().len(), 1);
}

#[test]
fn offsets_from_utc_are_read_or_unknown() {
    let cases = [
        ("+01:00", Some(3600)),
        ("-03:30", Some(-12_600)),
        ("-00:30", Some(-1800)),
        ("+00:00", Some(0)),
        ("Europe/Berlin", None),
        ("+99:00", None),
        ("", None),
    ];
    for (text, seconds) in cases {
        assert_eq!(utc_offset(text), seconds, "{text}");
    }
}
