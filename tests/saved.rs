//! Saved snapshots as SQL tools write them, and files that are none.

use std::path::Path;

use orareaper::saved::{Format, MAX_BYTES, Saved, open, parse, parse_taken_at};
use orareaper::session::column::Column;
use orareaper::session::snapshot::{Clock, Field, SnapshotSource};
use orareaper::session::time::DbTime;
use proptest::prelude::*;

/// Midnight of 2026-11-22 in seconds since 1970: 20,779 days.
const DAY: i64 = 20_779 * 86_400;

fn fixture(name: &str) -> Saved {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saved").join(name);
    open(&path, None).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &[u8]) -> String {
    match parse(text, "f", None) {
        Ok(saved) => panic!("taken: {saved:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn columns_come_in_any_order_and_letter_case_and_unknown_ones_are_ignored() {
    let saved = fixture("shuffled.csv");
    let snapshot = &saved.snapshot;
    assert_eq!(
        (saved.format, snapshot.source(), snapshot.rows()),
        (Format::Csv, SnapshotSource::Saved, 3)
    );
    let clock = Clock {
        now: DbTime(DAY + 36_000),
        utc_offset: 0,
    };
    assert_eq!(snapshot.clock(), Some(clock));
    let key = snapshot.key(0).expect("whole");
    assert_eq!(
        (key.inst_id, key.sid, key.serial, key.logon_time),
        (1, 287, 62_507, DbTime(DAY + 3_600))
    );
    assert_eq!(snapshot.number(0, Column::Connected), Some(9 * 3_600));
    assert_eq!(snapshot.number(0, Column::Idle), Some(18_720));
    assert_eq!(snapshot.number(1, Column::Running), Some(5));
    assert_eq!(snapshot.text(1, Column::Program), Some("JDBC Thin Client, pool \"A\""));
    assert_eq!(snapshot.field(2, Column::Username), Field::Null);
    assert_eq!(snapshot.field(0, Column::Taddr), Field::Missing);
    assert_eq!(snapshot.number(0, Column::P1), Some(1_413_697_536));
    assert_eq!(snapshot.field(1, Column::P1), Field::Null, "2^64-1 cannot be held");
    let instances: Vec<_> = snapshot
        .instances()
        .iter()
        .map(|one| (one.inst_id, one.complete))
        .collect();
    assert_eq!(instances, [(1, true), (2, true)]);
}

#[test]
fn sql_developers_export_without_inst_id_and_type() {
    let saved = fixture("sqldeveloper-no-type.csv");
    let snapshot = &saved.snapshot;
    assert_eq!((snapshot.rows(), snapshot.clock()), (2, None));
    assert_eq!(snapshot.id(1, Column::InstId), Some(1));
    assert_eq!(snapshot.field(0, Column::Type), Field::Missing);
    assert_eq!(snapshot.text(0, Column::Module), Some("line one\r\nline two"));
    assert_eq!(snapshot.text(1, Column::Module), Some("a;b"));
    assert_eq!(snapshot.field(1, Column::Username), Field::Null);
    assert_eq!(snapshot.field(1, Column::LastCallEt), Field::Null);
    assert_eq!(snapshot.number(0, Column::LogonTime), Some(DAY + 3_600));
    assert_eq!(
        snapshot.number(1, Column::LogonTime),
        Some(DAY + 23 * 3_600 + 30 * 60 + 5)
    );
    assert_eq!(snapshot.number(0, Column::Connected), None, "no clock, no age");
}

#[test]
fn oracles_own_dates_with_its_rule_for_two_digit_years() {
    let saved = fixture("oracle-dates.tsv");
    // 1999-12-31 is day 10,956 and 2000-01-01 day 10,957; 2024-02-29 is day 19,782.
    assert_eq!(saved.snapshot.number(0, Column::LogonTime), Some(10_956 * 86_400));
    assert_eq!(
        saved.snapshot.number(0, Column::SqlExecStart),
        Some(10_957 * 86_400 + 1)
    );
    assert_eq!(
        saved.snapshot.number(1, Column::LogonTime),
        Some(19_782 * 86_400 + 86_399)
    );
    assert_eq!(saved.snapshot.field(1, Column::SqlExecStart), Field::Null);
    assert_eq!(saved.notes.len(), 1);
    assert!(
        saved.notes[0].contains("no time of day for 1 sessions"),
        "{:?}",
        saved.notes
    );
}

#[test]
fn sqlplus_repeats_headers_and_counts_its_rows() {
    let saved = fixture("sqlplus-markup.csv");
    let serials: Vec<_> = (0..3).map(|row| saved.snapshot.number(row, Column::Serial)).collect();
    assert_eq!(serials, [Some(11), Some(22), Some(33)]);
    assert_eq!(saved.snapshot.rows(), 3);
    let short = refused(b"SID,SERIAL#\n1,2\n\n412 rows selected.\n");
    assert!(short.contains("line 4: the file says 412 rows and has 1"), "{short}");
}

#[test]
fn json_with_its_clock_after_the_sessions() {
    let saved = fixture("snapshot.json");
    let snapshot = &saved.snapshot;
    assert_eq!(
        (saved.format, saved.database.as_deref(), snapshot.rows()),
        (Format::Json, Some("prod"), 2)
    );
    let clock = Clock {
        now: DbTime(DAY + 11 * 3_600),
        utc_offset: 3_600,
    };
    assert_eq!(snapshot.clock(), Some(clock));
    assert_eq!(snapshot.number(0, Column::Connected), Some(9 * 3_600));
    // 01:30 UTC is 02:30 on a clock one hour east.
    assert_eq!(snapshot.number(1, Column::LogonTime), Some(DAY + 2 * 3_600 + 1_800));
    assert_eq!(snapshot.id(0, Column::Sid), Some(287));
    assert_eq!(snapshot.text(0, Column::Process), Some("1234"));
    assert_eq!(snapshot.field(1, Column::Type), Field::Null);
    assert_eq!(snapshot.field(1, Column::Status), Field::Null);
    assert_eq!(
        snapshot.field(1, Column::Username),
        Field::Null,
        "absent in this session, present in another"
    );
    let bare = parse(br#"[{"SID": 1}]"#, "f", None).expect("an array alone");
    assert_eq!((bare.snapshot.rows(), bare.database), (1, None));
}

#[test]
fn the_time_given_wins_over_the_files() {
    let given = parse_taken_at("2026-11-22T12:00:00+02:00").expect("a time");
    assert_eq!((given.now, given.utc_offset), (DbTime(DAY + 12 * 3_600), 7_200));
    let csv = b"SID,SYSDATE\n1,2026-11-22 10:00:00\n";
    assert_eq!(
        parse(csv, "f", Some(given)).expect("fine").snapshot.clock(),
        Some(given)
    );
    assert!(parse_taken_at("yesterday").is_err());
    let later = b"SID,SERIAL#,LOGON_TIME\n1,1,2026-11-22 12:00:01\n";
    let notes = parse(later, "f", Some(given)).expect("fine").notes;
    assert!(
        notes[0].starts_with("1 sessions logged on after the snapshot"),
        "{notes:?}"
    );
}

#[test]
fn what_is_no_snapshot_is_refused_with_its_place_and_a_way_out() {
    let cases: [(&[u8], &str); 27] = [
        (b"", "read saved sessions from f: it is empty"),
        (b" \r\n\n", "it is empty"),
        (b"\x1f\x8b\x08", "it is compressed; unpack it first"),
        (b"PK\x03\x04..", "workbook or a zip archive"),
        (b"\xff\xfeS\0I\0", "UTF-16"),
        (b"SID\0\x01\x02", "it is binary"),
        (b"SID,USERNAME\n1,M\xfcller\n", "line 2: it is binary or not in UTF-8"),
        (b"A,B\n1,2\n", "line 1: the header row has no column SID"),
        (b"SID,sid\n1,2\n", "line 1: column SID is there twice"),
        (b"SID,SERIAL#\n", "it holds no session"),
        (
            b"SID,SERIAL#\r\n1,2\r\n3\r\n",
            "line 3: 1 fields where the header has 2: the file is cut off",
        ),
        (
            b"SID,PROGRAM\n1,a,b\n",
            "line 2: 3 fields where the header has 2: a value that holds the separator",
        ),
        (
            b"SID,PROGRAM\n1,\"JDBC Th",
            "line 2: the file ends in the middle of a quoted field",
        ),
        (
            b"SID,PROGRAM,TYPE\n1,\"JDBC Th",
            "line 2: the file ends in the middle of a quoted field",
        ),
        (
            b"SID,SERIAL#\n1,\"1,234\"\n",
            "line 2: column SERIAL#: \"1,234\" is no whole number",
        ),
        (
            b"SID,LOGON_TIME\n1,\n2,03/04/2026\n",
            "line 3: column LOGON_TIME: \"03/04/2026\" is no date",
        ),
        (
            b"SID,SERIAL#,LOGON_TIME\n1,1,01-JAN-26\n1,1,01-JAN-26\n",
            "line 3: session 1,1,@1 is there already, as line 2",
        ),
        (
            b"SID,SYSDATE\n1,2026-01-01 00:00:00\n2,2026-01-01 00:00:01\n",
            "line 3: SYSDATE differs",
        ),
        (b"[{\"SID\": 1}, {\"SID\"", "the file ends in the middle of the JSON"),
        (
            b"{\"sessions\": [{\"SID\": 1}]",
            "the file ends in the middle of the JSON",
        ),
        (b"[]", "it holds no session"),
        (
            b"[{\"USERNAME\": \"A\"}]",
            "no session has no column SID, so it is no list",
        ),
        (
            b"{\"rows\": []}",
            "an object without `sessions`; expected an array of sessions",
        ),
        (b"[{\"SID\": 1}] trailing", "trailing characters"),
        (b"[{\"SID\": 1,\n\"SERIAL#\": 1.5}]", "line 2: at column"),
        (
            b"[{\"SID\": 1, \"LOGON_TIME\": \"soon\"}]",
            "line 1: column LOGON_TIME: \"soon\" is no date",
        ),
        (b"[{\"SID\": 1, \"sid\": 2}]", "sid is there twice in one session"),
    ];
    for (text, said) in cases {
        let message = refused(text);
        assert!(message.contains(said), "{message}\nwanted: {said}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

#[test]
fn a_csv_cut_anywhere_is_refused_or_says_that_it_may_be_cut() {
    let whole = b"SID,USERNAME,TYPE\n10,\"APEX,DEV\",\"USER\"\n";
    assert_eq!(parse(whole, "f", None).expect("whole").notes, [] as [&str; 0]);
    for cut in 1..whole.len() {
        if let Ok(saved) = parse(&whole[..cut], "f", None) {
            assert!(
                saved.notes[0].starts_with("the last line has no line end"),
                "{cut}: {:?}",
                saved.notes
            );
        }
    }
    // The separator before the last field is the first place where the row has all its fields.
    let lengths: Vec<usize> = (1..whole.len())
        .filter(|cut| parse(&whole[..*cut], "f", None).is_ok())
        .collect();
    assert_eq!(lengths, [32, 38]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let said = |path: &Path| open(path, None).expect_err("no snapshot").to_string();
    assert!(said(Path::new("no/such.csv")).starts_with("read saved sessions from no/such.csv: No such file"));
    assert!(said(Path::new(env!("CARGO_MANIFEST_DIR"))).contains("it is a folder"));
    let big = tempfile::NamedTempFile::new().expect("a temporary file");
    big.as_file().set_len(MAX_BYTES + 1).expect("a sparse file");
    assert!(said(big.path()).contains("larger than 256 MiB"));
}

/// A row as the writer gets it: SID and SERIAL# are given by its place, so that no two are the same.
#[derive(Clone, Debug)]
struct Written {
    username: String,
    program: String,
    last_call_et: Option<i64>,
    logon_time: Option<i64>,
}

fn written() -> impl Strategy<Value = Written> {
    // Texts that stand for NULL in CSV are no texts.
    let text = "[ -~\n\r\táüñ日\u{1b}]{0,12}".prop_filter("NULL", |text| {
        !["null", "(null)"].contains(&text.trim().to_ascii_lowercase().as_str())
    });
    (
        text.clone(),
        text,
        proptest::option::of(any::<i32>().prop_map(i64::from)),
        proptest::option::of(0..4_000_000_000_i64),
    )
        .prop_map(|(username, program, last_call_et, logon_time)| Written {
            username,
            program,
            last_call_et,
            logon_time,
        })
}

proptest! {
    #[test]
    fn what_a_csv_writer_wrote_is_read_back(
        rows in proptest::collection::vec(written(), 1..20), separator in proptest::sample::select(b",;\t|".to_vec()),
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
        writer.write_record(["username", "SID", "Serial#", "LAST_CALL_ET", "LOGON_TIME", "PROGRAM"]).expect("memory");
        for (at, row) in rows.iter().enumerate() {
            let logon = row.logon_time.map(|at| chrono::DateTime::from_timestamp(at, 0).expect("in range"));
            writer.write_record([
                row.username.clone(),
                at.to_string(),
                (at + 1).to_string(),
                row.last_call_et.map(|number| number.to_string()).unwrap_or_default(),
                logon.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
                row.program.clone(),
            ]).expect("memory");
        }
        let bytes = writer.into_inner().expect("memory");
        let saved = parse(&bytes, "f", None).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(saved.snapshot.rows(), rows.len());
        for (at, row) in rows.iter().enumerate() {
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            prop_assert_eq!(saved.snapshot.text(at, Column::Username).map(str::to_owned), text(&row.username));
            prop_assert_eq!(saved.snapshot.text(at, Column::Program).map(str::to_owned), text(&row.program));
            prop_assert_eq!(saved.snapshot.number(at, Column::LastCallEt), row.last_call_et);
            prop_assert_eq!(saved.snapshot.number(at, Column::LogonTime), row.logon_time);
            prop_assert_eq!(saved.snapshot.id(at, Column::Sid), u32::try_from(at).ok());
        }
    }

    #[test]
    fn no_text_makes_the_date_reader_panic(text in "\\PC{0,30}", dated in "[0-9A-Za-z:. +TZ-]{0,30}") {
        for text in [text, dated] {
            let _ = parse_taken_at(&text);
        }
    }
}
