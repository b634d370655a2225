//! What is measured of each resource, and what a PDB and its clocks tell.

use super::*;

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
    let why = |resource, threshold| readings.why_unknown(resource, threshold).map(str::to_owned);
    let (share, amount) = (Threshold::Percent(80), Threshold::Amount(80));
    assert_eq!(why(Resource::Sessions, share), None);
    assert_eq!(why(Resource::Transactions, amount), None);
    assert!(why(Resource::Transactions, share).is_some_and(|why| why.contains("UNLIMITED")));
    assert_eq!(
        why(Resource::Processes, amount).as_deref(),
        Some("GV$RESOURCE_LIMIT does not show it")
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
) -> crate::decide::pressure::Readings {
    let snapshot = read(database, capabilities, &[Column::Pga])
        .expect("a snapshot")
        .snapshot;
    read_pressure(database, &Resource::ALL, &snapshot, capabilities, counters, LIMIT)
        .expect("readings")
        .0
}

fn used_of_limit(readings: &crate::decide::pressure::Readings) -> Vec<(&'static str, i64, Option<i64>)> {
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
                "1", "C1", "700", "60", "100", "0D", "7", "1", "900", "0", "0", "0", "ACTIVE",
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
        // The three background processes are the CDB's and count against no PDB's SESSIONS.
        ("sessions", 3, Some(100)),
        ("transactions", 1, None),
        ("pga", 7000, Some(10_000)),
        // 20 % of TEMP2 is more than 9 % of what TEMP may grow to.
        ("temp", 200, Some(1000)),
        ("undo", 100 * 8192, Some(8_192_000)),
        ("active_sessions", 1, None),
    ];
    assert_eq!(used_of_limit(&first), expected);
    let why = |resource, threshold| first.why_unknown(resource, threshold).expect("a reason").to_owned();
    assert!(why(Resource::Processes, Threshold::Amount(1)).contains("CDB$ROOT"));
    assert!(why(Resource::Transactions, Threshold::Percent(1)).contains("compare it with a number"));
    assert!(why(Resource::HostCpu, Threshold::Percent(1)).contains("no earlier one"));
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
        let why = readings.why_unknown(resource, Threshold::Amount(1)).expect("a reason");
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
                    "1", "AB12", "700", "60", "3", "0D", "7", "1", "900", "0", "0", "0", "ACTIVE",
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
    let ages = |taken: &TakenSnapshot| {
        [Column::Connected, Column::TransactionAge].map(|column| taken.snapshot.number(0, column))
    };
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
