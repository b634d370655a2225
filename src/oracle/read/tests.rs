//! The reading of a snapshot, against scripted answers: what is whole, what is missing, what is an error.

use super::*;

use crate::oracle::capabilities::tests::capabilities;
use crate::oracle::pressure::{Counters, read_pressure};
use crate::oracle::scripted::{Answer, Scripted};
use crate::policy::pressure::{Mark, Resource};
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

fn read(connection: &mut Scripted, capabilities: &Capabilities, wanted: &[Column]) -> Result<Taken, Error> {
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
        "read GV$TRANSACTION from test: ORA-00942: scripted; without it transaction_age, undo_records and undo are unknown, \
         and everybody in a transaction is spared; to grant it: GRANT SELECT ON sys.gv_$transaction TO REAPER"
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
                "1", "AB12", "700", "60", "3", "0D", "7", "1", "900", "0", "0", "0",
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
    // A TADDR that dangles is a transaction of unknown size.
    assert_eq!(of(1, Column::UndoRecords), None);
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
                "1", "AB12", "700", "60", "3", "0D", "7", "1", "900", "0", "0", "0",
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
            inst_id, addr, at, records, "2", ses_addr, "7", "1", sequence, parent, parent, parent,
        ]
    };
    let mut child_of_a1 = transaction("2", "B1", "60000", "0F", "950", "0");
    child_of_a1.splice(9.., ["7", "1", "900"]);
    let mut grandchild = transaction("1", "B2", "5", "0E", "951", "0");
    grandchild.splice(9.., ["7", "1", "950"]);
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
                // The same address on another instance is somebody else's.
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
                vec!["1", "50", "7", "1", "60"],
                vec!["2", "51", "8", "1", "60"],
                vec!["1", "60", "7", "", "60"],
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
        ("GV$PX_SESSION", Answer::Rows(vec![vec!["1", "50", "7", "1", "60"]])),
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

#[test]
fn pressure_is_known_only_where_it_could_be_read() {
    let mut database = Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        ("GV$SESSION", Answer::Rows(vec![session("1", "287", "", "x")])),
        (
            "GV$RESOURCE_LIMIT",
            Answer::Rows(vec![
                vec!["1", "sessions", "400", "472"],
                vec!["1", "transactions", "9", "UNLIMITED"],
                vec!["1", "processes", "", "300"],
            ]),
        ),
        ("GV$PGASTAT", Answer::Rows(vec![vec!["1", "1000"]])),
        (
            "GV$PARAMETER",
            Answer::Rows(vec![
                vec!["1", "pga_aggregate_limit", "2000"],
                vec!["1", "sessions", "99"],
            ]),
        ),
        ("GV$SYSMETRIC", Answer::Fails(942)),
    ]);
    let capabilities = few_columns(false);
    let snapshot = read(&mut database, &capabilities, &[]).expect("a snapshot").snapshot;
    let asked = [
        Resource::Sessions,
        Resource::Processes,
        Resource::Transactions,
        Resource::Pga,
        Resource::HostCpu,
    ];
    let (readings, unreadable) = read_pressure(
        &mut database,
        &asked,
        &snapshot,
        &capabilities,
        &mut Counters::default(),
        LIMIT,
    )
    .expect("readings");
    let of = |resource| readings.get(1, resource).map(|reading| (reading.used, reading.limit));
    assert_eq!(of(Resource::Sessions), Some((400, Some(472))));
    assert_eq!(of(Resource::Transactions), Some((9, None)), "UNLIMITED is no limit");
    assert_eq!(of(Resource::Processes), None, "NULL is unknown");
    assert_eq!(of(Resource::Pga), Some((1000, Some(2000))));
    assert_eq!(of(Resource::HostCpu), None);
    assert_eq!(unreadable.len(), 1);
    assert_eq!(database.asked("DBA_TEMP_FREE_SPACE"), 0, "nobody asked for temp");
    let why = |resource, mark| readings.why_unknown(resource, mark).map(str::to_owned);
    let (share, amount) = (Mark::Percent(80), Mark::Amount(80));
    assert_eq!(why(Resource::Sessions, share), None);
    assert_eq!(why(Resource::Transactions, amount), None);
    assert!(why(Resource::Transactions, share).is_some_and(|why| why.contains("UNLIMITED")));
    assert_eq!(
        why(Resource::Processes, amount).as_deref(),
        Some("GV$RESOURCE_LIMIT does not tell it")
    );
    assert_eq!(
        why(Resource::HostCpu, share).as_deref(),
        Some("GV$SYSMETRIC cannot be read")
    );
}

/// A database connected to in a container, whose sessions are INST_ID, SID, PADDR, TADDR, STATUS, TYPE, CON_ID.
fn in_container(con_id: u32) -> Capabilities {
    let mut capabilities = few_columns(false);
    capabilities.con_id = Some(con_id);
    capabilities.columns = [
        Column::InstId,
        Column::Sid,
        Column::Paddr,
        Column::Taddr,
        Column::Status,
        Column::Type,
        Column::ConId,
    ]
    .into_iter()
    .collect();
    capabilities
}

fn all_readings(
    database: &mut Scripted,
    capabilities: &Capabilities,
    counters: &mut Counters,
) -> crate::pressure::Readings {
    let snapshot = read(database, capabilities, &[Column::Pga])
        .expect("a snapshot")
        .snapshot;
    read_pressure(database, &Resource::ALL, &snapshot, capabilities, counters, LIMIT)
        .expect("readings")
        .0
}

fn used_of_limit(readings: &crate::pressure::Readings) -> Vec<(&'static str, i64, Option<i64>)> {
    let of = |resource| Some((resource, readings.get(1, resource)?));
    let known = Resource::ALL.into_iter().filter_map(of);
    known
        .map(|(resource, reading)| (resource.name(), reading.used, reading.limit))
        .collect()
}

/// What is the same in a PDB and in the root; the CDB's own background processes are seen in both.
fn in_a_cdb(more: Vec<(&'static str, Answer)>) -> Scripted {
    let row = |sid, paddr, taddr, status, kind, con_id| vec!["1", sid, paddr, taddr, status, kind, con_id];
    let sessions = vec![
        row("1", "A1", "", "ACTIVE", "BACKGROUND", "0"),
        row("2", "A2", "", "ACTIVE", "BACKGROUND", "0"),
        row("3", "A3", "", "ACTIVE", "BACKGROUND", "0"),
        row("50", "B1", "C1", "ACTIVE", "USER", "3"),
        row("51", "B2", "", "INACTIVE", "USER", "3"),
        // Two sessions of one process.
        row("52", "B2", "", "INACTIVE", "USER", "3"),
    ];
    let mut answers = more;
    answers.extend([
        ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
        ("GV$SESSION", Answer::Rows(sessions)),
        (
            "GV$TRANSACTION",
            Answer::Rows(vec![vec![
                "1", "C1", "700", "60", "100", "0D", "7", "1", "900", "0", "0", "0",
            ]]),
        ),
        (
            "GV$PROCESS",
            Answer::Rows(vec![
                vec!["1", "A1", "11", "70000", ""],
                vec!["1", "B1", "12", "3000", ""],
                vec!["1", "B2", "13", "4000", ""],
            ]),
        ),
        (
            "GV$PARAMETER",
            Answer::Rows(vec![
                vec!["1", "sessions", "100"],
                vec!["1", "pga_aggregate_limit", "10000"],
                vec!["1", "undo_tablespace", "UNDOTBS1"],
            ]),
        ),
    ]);
    Scripted::new(answers)
}

/// Inside a PDB the instance's views have no rows, and what they would tell is of the whole CDB.
#[test]
fn in_a_pdb_only_its_own_use_stands_against_its_own_limits() {
    let times = |busy, idle| vec![vec!["1", "BUSY_TIME", busy], vec!["1", "IDLE_TIME", idle]];
    let mut database = in_a_cdb(vec![
        ("GV$OSSTAT", Answer::Then(times("1000", "9000"), times("1900", "9100"))),
        (
            "DBA_TEMP_FREE_SPACE",
            Answer::Rows(vec![vec!["TEMP", "1000", "100"], vec!["TEMP2", "1000", "800"]]),
        ),
        // TEMP may grow to ten times its size, TEMP2 may not grow.
        (
            "DBA_TEMP_FILES",
            Answer::Rows(vec![vec!["TEMP", "1000", "10000"], vec!["TEMP2", "1000", "0"]]),
        ),
        ("DBA_DATA_FILES", Answer::Rows(vec![vec!["UNDOTBS1", "8192000", "0"]])),
    ]);
    let pdb = in_container(3);
    let mut counters = Counters::default();
    let first = all_readings(&mut database, &pdb, &mut counters);
    let expected = [
        // The three background processes are the CDB's and count against nobody's SESSIONS here.
        ("sessions", 3, Some(100)),
        ("transactions", 1, None),
        ("pga", 7000, Some(10_000)),
        // 20 % of TEMP2 is more than 9 % of what TEMP may grow to.
        ("temp", 200, Some(1000)),
        ("undo", 100 * 8192, Some(8_192_000)),
        ("active_sessions", 1, None),
    ];
    assert_eq!(used_of_limit(&first), expected);
    let why = |resource, mark| first.why_unknown(resource, mark).expect("a reason").to_owned();
    assert!(why(Resource::Processes, Mark::Amount(1)).contains("CDB$ROOT"));
    assert!(why(Resource::Transactions, Mark::Percent(1)).contains("compare it with a number"));
    assert!(why(Resource::HostCpu, Mark::Percent(1)).contains("no earlier one"));
    assert_eq!(database.asked("GV$RESOURCE_LIMIT") + database.asked("GV$SYSMETRIC"), 0);
    // Between the two looks the host was busy for 900 of 1000 hundredths.
    let second = all_readings(&mut database, &pdb, &mut counters);
    assert!(used_of_limit(&second).contains(&("host_cpu", 90, Some(100))));
}

/// In the root the sessions are everybody's and the files are the root's: no share can be made of the two.
#[test]
fn in_the_root_nobodys_use_stands_against_the_roots_files() {
    let mut database = in_a_cdb(vec![
        (
            "GV$RESOURCE_LIMIT",
            Answer::Rows(vec![
                vec!["1", "sessions", "6", "472"],
                vec!["1", "processes", "5", "300"],
                vec!["1", "transactions", "1", "UNLIMITED"],
            ]),
        ),
        ("GV$PGASTAT", Answer::Rows(vec![vec!["1", "77000"], vec!["1", "7000"]])),
        ("GV$SYSMETRIC", Answer::Rows(vec![vec!["1", "35"]])),
    ]);
    let readings = all_readings(&mut database, &in_container(1), &mut Counters::default());
    let expected = [
        ("sessions", 6, Some(472)),
        ("processes", 5, Some(300)),
        ("transactions", 1, None),
        ("pga", 77_000, Some(10_000)),
        ("host_cpu", 35, Some(100)),
        ("active_sessions", 1, None),
    ];
    assert_eq!(used_of_limit(&readings), expected);
    for resource in [Resource::Temp, Resource::Undo] {
        let why = readings.why_unknown(resource, Mark::Amount(1)).expect("a reason");
        assert!(why.contains("connects to the PDB"), "{why}");
    }
}

#[test]
fn an_instance_on_which_the_pdb_is_closed_is_not_one_that_does_not_answer() {
    let open = |id| instance(id, "OPEN", "5");
    let with = |rows| {
        Scripted::new(vec![
            ("GV$INSTANCE", Answer::Rows(vec![open("1"), open("2"), open("3")])),
            (
                "GV$SESSION",
                Answer::Rows(vec![vec!["1", "50", "", "ACTIVE", "USER", "3"]]),
            ),
            ("GV$PDBS", rows),
        ])
    };
    let mut pdb = in_container(3);
    pdb.cluster = true;
    let seen = |database: &mut Scripted| -> Vec<(u32, bool)> {
        let taken = read(database, &pdb, &[]).expect("a snapshot");
        let instances = taken.snapshot.instances().iter();
        instances
            .map(|instance| (instance.inst_id, instance.complete))
            .collect()
    };
    // Closed on 2; open on 3, which is silent then.
    let states = Answer::Rows(vec![
        vec!["1", "READ WRITE"],
        vec!["2", "MOUNTED"],
        vec!["3", "READ WRITE"],
    ]);
    assert_eq!(seen(&mut with(states)), [(1, true), (3, false)]);
    // What GV$PDBS does not say is not taken for closed.
    let all = [(1, true), (2, false), (3, false)];
    assert_eq!(seen(&mut with(Answer::Rows(vec![vec!["1", "READ WRITE"]]))), all);
    assert_eq!(seen(&mut with(Answer::Fails(942))), all);
}

/// Where SYSDATE and LOGON_TIME are of different zones, an age in DATEs would be hours off; what is counted in seconds is not.
#[test]
fn ages_in_dates_are_missing_where_the_dates_are_not_of_one_clock() {
    let taken = |logon_time: &'static str, fault: Option<&str>| {
        let mut row = session("1", "287", "AB12", "x");
        *row.last_mut().expect("LOGON_TIME") = logon_time;
        let mut database = Scripted::new(vec![
            ("GV$INSTANCE", Answer::Rows(vec![instance("1", "OPEN", "5")])),
            ("GV$SESSION", Answer::Rows(vec![row])),
            (
                "GV$TRANSACTION",
                Answer::Rows(vec![vec![
                    "1", "AB12", "700", "60", "3", "0D", "7", "1", "900", "0", "0", "0",
                ]]),
            ),
        ]);
        let mut capabilities = few_columns(false);
        capabilities.dates_fault = fault.map(str::to_owned);
        read(
            &mut database,
            &capabilities,
            &[Column::Connected, Column::TransactionAge],
        )
        .expect("a snapshot")
    };
    let ages =
        |taken: &Taken| [Column::Connected, Column::TransactionAge].map(|column| taken.snapshot.number(0, column));
    let agreeing = taken("400", None);
    assert_eq!(ages(&agreeing), [Some(600), Some(300)]);
    assert_eq!(agreeing.dates_fault, None);
    let off = taken("400", Some("SYSDATE is 9h ahead"));
    assert_eq!(ages(&off), [None, None]);
    assert_eq!(
        off.snapshot.field(0, Column::Connected),
        Field::Missing,
        "IS NULL is not true of it"
    );
    assert_eq!(off.snapshot.number(0, Column::UndoRecords), Some(60), "no age");
    assert_eq!(off.dates_fault.as_deref(), Some("SYSDATE is 9h ahead"));
    // SYSDATE is 1000: nobody has logged on at 5000 yet, so that instance's clock is another.
    let future = taken("5000", None);
    assert_eq!(ages(&future), [None, None]);
    assert!(future.dates_fault.is_some_and(|fault| fault.contains("on instance 1")));
}
