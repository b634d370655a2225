//! Saved snapshots as SQL tools write them, and files that are none.

use std::path::Path;

use orareaper::export::{Format, MAX_BYTES, Saved, open, parse, parse_taken_at};
use orareaper::session::column::Column;
use orareaper::session::snapshot::{Field, SnapshotClock, SnapshotSource};
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
    let clock = SnapshotClock {
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
    assert_eq!(
        snapshot.field(0, Column::P1),
        Field::Missing,
        "2^64-1 in the next row cannot be held, and is not NULL"
    );
    let told = saved
        .notes
        .iter()
        .any(|note| note.contains("line 3: column P1: \"18446744073709551615\" is a number of more than 63 bits"));
    assert!(told, "{:?}", saved.notes);
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
    assert_eq!(saved.notes.len(), 2);
    assert!(saved.notes[1].contains("has no INST_ID"), "{:?}", saved.notes);
    assert!(
        saved.notes[0].contains("no time of day in 1 session, so `connected` is unknown"),
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
    assert!(short.contains("line 4: the file says 412 rows but has 1"), "{short}");
}

#[test]
fn json_with_its_clock_after_the_sessions() {
    let saved = fixture("snapshot.json");
    let snapshot = &saved.snapshot;
    assert_eq!(
        (saved.format, saved.database.as_deref(), snapshot.rows()),
        (Format::Json, Some("prod"), 2)
    );
    let clock = SnapshotClock {
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
fn a_given_time_overrides_the_time_in_the_file() {
    let given = parse_taken_at("2026-11-22T12:00:00+02:00").expect("a time");
    assert_eq!((given.now, given.utc_offset), (DbTime(DAY + 12 * 3_600), 7_200));
    let csv = b"SID,SYSDATE\n1,2026-11-22 10:00:00\n";
    let read = parse(csv, "f", Some(given)).expect("fine");
    assert_eq!(read.snapshot.clock(), Some(given));
    assert_eq!(
        read.notes[0],
        "--taken-at is used instead of the time of the snapshot in the file, SYSDATE 2026-11-22 10:00:00: all ages go by it"
    );
    let same = b"SID,SYSDATE\n1,2026-11-22 12:00:00\n";
    let said = parse(same, "f", Some(given)).expect("fine").notes.join("\n");
    assert!(!said.contains("--taken-at"), "{said}");
    let long_ago = b"SID,SERIAL#,LOGON_TIME\n1,1,0026-11-22 09:00:00\n2,1,2026-11-22 09:00:00\n";
    let notes = parse(long_ago, "f", Some(given)).expect("fine").notes;
    assert!(
        notes[0].starts_with("1 session logged on more than ten years before the snapshot"),
        "{notes:?}"
    );
    assert!(parse_taken_at("yesterday").is_err());
    let later = b"SID,SERIAL#,LOGON_TIME\n1,1,2026-11-22 12:00:01\n";
    let notes = parse(later, "f", Some(given)).expect("fine").notes;
    assert!(
        notes[0].starts_with("1 session logged on after the time of the snapshot"),
        "{notes:?}"
    );
}

#[test]
fn a_file_without_a_snapshot_is_refused_with_position_and_remedy() {
    let cases: [(&[u8], &str); 21] = [
        (
            b"orarec\x1a\n\x01\x00\xff\xfe",
            "it is a recording, of many snapshots: `orareaper replay`",
        ),
        (b"", "read saved sessions from f: it is empty"),
        (b" \r\n\n", "it is empty"),
        (b"\x1f\x8b\x08", "it is compressed; unpack it first"),
        (b"PK\x03\x04..", "workbook or a zip archive"),
        (
            b"\xff\xfeS\0I\0D",
            "the file ends in the middle of a character of UTF-16",
        ),
        (b"SID\0\x01\x02", "it is binary"),
        (b"SID,USERNAME\n1,M\xfcller\n", "line 2: it is binary or not in UTF-8"),
        (b"A,B\n1,2\n", "line 1: the header row has no column SID"),
        (b"SID,sid\n1,2\n", "line 1: there are two columns SID"),
        (b"SID,SERIAL#\n", "it has no sessions"),
        (
            b"SID,SERIAL#\r\n1,2\r\n3\r\n",
            "line 3: 1 fields, but the header has 2: the file is cut off",
        ),
        (
            b"SID,PROGRAM\n1,a,b\n",
            "line 2: 3 fields, but the header has 2: a value that contains the separator",
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
            "line 2: column SERIAL#: \"1,234\" is not a whole number",
        ),
        (
            b"SID,SERIAL#\n1,2.8800E+10\n",
            "line 2: column SERIAL#: \"2.8800E+10\" is rounded: SQL*Plus does this to a number that is longer than `set numwidth`",
        ),
        (
            b"SID,LAST_CALL_ET\n1,########\n",
            "\"########\" is a number that was too wide for its column; `set numwidth 38`",
        ),
        (
            b"SID,LOGON_TIME\n1,\n2,03/04/2026\n",
            "line 3: column LOGON_TIME: \"03/04/2026\" is not a date",
        ),
        (
            b"SID,SERIAL#,LOGON_TIME\n1,1,01-JAN-26\n1,1,01-JAN-26\n",
            "line 3: session 1,1,@1 is already in line 2",
        ),
        (
            b"SID,SYSDATE\n1,2026-01-01 00:00:00\n2,2026-01-01 00:00:01\n",
            "line 3: SYSDATE differs",
        ),
    ];
    for (text, said) in cases {
        let message = refused(text);
        assert!(message.contains(said), "{message}\nwanted: {said}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

#[test]
fn json_that_is_no_snapshot_is_refused_with_its_place() {
    let cases: [(&[u8], &str); 9] = [
        (b"[{\"SID\": 1}, {\"SID\"", "the file ends in the middle of the JSON"),
        (
            b"{\"sessions\": [{\"SID\": 1}]",
            "the file ends in the middle of the JSON",
        ),
        (b"[]", "it has no sessions"),
        (b"[{\"USERNAME\": \"A\"}]", "no object has a SID, so this is not a list"),
        (b"{\"rows\": []}", "it has no sessions"),
        (b"[{\"SID\": 1}] trailing", "trailing characters"),
        (
            b"[{\"SID\": 1,\n\"SERIAL#\": 1.5}]",
            "line 2: column SERIAL#: \"1.5\" is not a whole number",
        ),
        (
            b"[{\"SID\": 1, \"LOGON_TIME\": \"soon\"}]",
            "line 1: column LOGON_TIME: \"soon\" is not a date",
        ),
        (b"[{\"SID\": 1, \"sid\": 2}]", "a session has the key sid twice"),
    ];
    for (text, said) in cases {
        let message = refused(text);
        assert!(message.contains(said), "{message}\nwanted: {said}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

/// A spool as SQL*Plus writes it with `set colsep '|'`: values are filled up with blanks, a heading is cut at its column's width.
#[test]
fn padding_by_colsep_is_not_part_of_a_value() {
    let saved = fixture("sqlplus-colsep.lst");
    let snapshot = &saved.snapshot;
    assert_eq!((saved.format, snapshot.rows()), (Format::Csv, 3));
    assert_eq!(snapshot.text(0, Column::Type), Some("USER"));
    assert_eq!(snapshot.text(0, Column::Status), Some("INACTIVE"));
    assert_eq!(snapshot.text(0, Column::Username), Some("SHOP"));
    assert_eq!(snapshot.text(0, Column::Program), Some("JDBC \"Thin\" Client"));
    assert_eq!(snapshot.field(2, Column::Username), Field::Null);
    assert_eq!(snapshot.number(1, Column::LastCallEt), Some(18_720));
    // LOGON_TIM over nine hyphens.
    assert_eq!(snapshot.number(1, Column::LogonTime), Some(DAY));
    assert_eq!(
        snapshot.field(0, Column::P1),
        Field::Missing,
        "a rounded number is unknown, also where a condition asks `p1 is null`"
    );
    assert_eq!(snapshot.clock(), None, "midnight is not what the clock showed");
    let notes = saved.notes.join("\n");
    for said in [
        "line 9: column P1: \"2.8800E+10\" is rounded",
        "set numwidth 38",
        "line 8: column SYSDATE: \"22-NOV-26\" is a day without a time; alter session set nls_date_format",
        "LOGON_TIME has no time of day in 3 sessions, so `connected` is unknown",
    ] {
        assert!(notes.contains(said), "{notes}\nwanted: {said}");
    }
}

/// Oracle's default format of a DATE has no time of day. The day tells sessions apart; an age from its midnight would be up to a day too
/// long, and a session that began to run ten minutes ago would be taken.
#[test]
fn a_day_without_a_time_is_no_age() {
    let columns =
        "INST_ID,SID,SERIAL#,LOGON_TIME,TYPE,STATUS,USERNAME,LAST_CALL_ET,SYSDATE,SQL_EXEC_START,PREV_EXEC_START";
    let row = |logon: &str, started: &str, before: &str| {
        format!("{columns}\n1,48,1,{logon},USER,ACTIVE,SHOP,18000,2026-11-22 10:00:00,{started},{before}\n")
    };
    let (hour, day) = ("2026-11-22 09:00:00", "22-NOV-26");
    let known = |saved: &Saved| {
        [Column::Connected, Column::StatementAge, Column::PrevExecStart].map(|column| saved.snapshot.number(0, column))
    };
    let nine = Some(DAY + 9 * 3_600);
    let read = |text: &str| parse(text.as_bytes(), "f", None).unwrap_or_else(|error| panic!("{error}"));
    let whole = read(&row(hour, hour, hour));
    assert_eq!(known(&whole), [Some(3_600), Some(3_600), nine]);
    assert_eq!(whole.notes, Vec::<String>::new());
    for (text, expected, column) in [
        (row(day, hour, hour), [None, Some(3_600), nine], "LOGON_TIME"),
        (row(hour, day, hour), [Some(3_600), None, nine], "SQL_EXEC_START"),
        (
            row(hour, hour, day),
            [Some(3_600), Some(3_600), None],
            "PREV_EXEC_START",
        ),
    ] {
        let saved = read(&text);
        assert_eq!(known(&saved), expected, "{column}");
        assert!(saved.snapshot.key(0).is_some(), "{column}: it has an identity");
        assert!(
            saved.notes.len() == 1 && saved.notes[0].contains(column) && saved.notes[0].contains("nls_date_format"),
            "{:?}",
            saved.notes
        );
    }
}

/// Prompts and a query above, a page's heading again, the count and a prompt below: in whatever language, nothing is lost.
#[test]
fn the_text_around_the_rows_of_a_spool_is_recognized() {
    let around = |count: &str, below: &str| {
        format!(
            "SQL> select inst_id, sid, serial#, type from gv$session;\r\n  2  \r\n\r\nINST_ID;SID;SERIAL#;TYPE\r\n\
             -------;---;-------;----\r\n1;2;3;USER\r\n\r\nINST_ID;SID;SERIAL#;TYPE\r\n-------;---;-------;----\r\n\
             1;3;4;USER\r\n\r\n{count}\r\n\r\n{below}"
        )
    };
    for count in [
        "2 rows selected.",
        "2 Zeilen ausgewählt.",
        "2 lignes sélectionnées.",
        "2 filas seleccionadas.",
        "Selezionate 2 righe.",
        "2 linhas selecionadas.",
        "2行が選択されました。",
        "已选择2行。",
        "2 개의 행이 선택되었습니다.",
        "",
    ] {
        for below in [
            "",
            "Elapsed: 00:00:00.05\r\nSQL> spool off\r\n",
            "SQL> exit\r\nDisconnected\r\n",
            "Ecoulé : 00 :00 :00.05\r\n",
            "Disconnected from Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production\r\nVersion 19.22.0.0.0\r\n",
            "Session altered.\r\n\r\nDéconnecté de Oracle Database 23ai Free Release 23.0.0.0.0 - Develop; Learn\r\n",
        ] {
            let text = around(count, below);
            let saved = parse(text.as_bytes(), "f", None).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(saved.snapshot.rows(), 2, "{text}");
            assert_eq!(saved.notes, [] as [&str; 0], "{text}");
        }
        if !count.is_empty() {
            let short = around(&count.replace('2', "20"), "");
            let said = refused(short.as_bytes());
            assert!(said.contains("line 12: the file says 20 rows but has 2"), "{said}");
        }
    }
    let two = around("2 rows selected.", "INST_ID;SID;SERIAL#;TYPE\r\n1;9;9;USER\r\n");
    let said = refused(two.as_bytes());
    assert!(said.contains("line 14: a second result begins here"), "{said}");
    let more = around("2 rows selected.", "1;9;9;USER\r\n");
    let said = refused(more.as_bytes());
    assert!(
        said.contains("line 14: there is a session after the end of the result in line 12"),
        "{said}"
    );
}

#[test]
fn an_unreadable_spool_names_the_setting_to_change() {
    let cases = [
        (
            "SQL> select * from gv$session;\n\n   INST_ID        SID    SERIAL# USERNAME\n---------- ---------- ---------- ---\n",
            "line 3: the columns are separated only by blanks",
        ),
        (
            "INST_ID |SID |TYPE\n--------|----|----------\n1       |   2|USER      \nweb01   |x\n",
            "line 4: 2 fields, but the header has 3: the line is wrapped (`set linesize 32767`",
        ),
        (
            "SID,TYPE\n1,USER      \n",
            "line 2: column TYPE: \"USER      \" is none of `USER`, `BACKGROUND` or `RECURSIVE`: the values are padded",
        ),
        (
            "SID,STATUS\n1,inaktiv\n",
            "column STATUS: \"inaktiv\" is none of `ACTIVE`",
        ),
        (
            "<html><body>\nSID\n",
            "it is HTML or XML; export it as CSV (SQL*Plus: `set markup csv on quote on`)",
        ),
        (
            "SQL> select sid, serial# from gv$session;\n\nno rows selected\n",
            "line 3: it has no sessions; a database always has some",
        ),
    ];
    for (text, said) in cases {
        let message = refused(text.as_bytes());
        assert!(message.contains(said), "{message}\nwanted: {said}");
    }
}

#[test]
fn a_spool_of_a_query_that_failed_is_refused_with_the_message() {
    let cases = [
        (
            "SQL> select * from gv$session;\nselect * from gv$session\n              *\nERROR at line 1:\nORA-00942: table or view does not exist\n\n\nSQL> spool off\n",
            "line 5: the query failed, so there are no sessions or not all of them: ORA-00942: table or view does not exist",
        ),
        (
            "SP2-0640: Not connected\n",
            "line 1: the query failed, so there are no sessions or not all of them: SP2-0640: Not connected",
        ),
        (
            "ERROR:\nORA-01017: invalid username/password; logon denied\n\n\nSP2-0157: unable to CONNECT to ORACLE after 3 attempts, exiting SQL*Plus\n",
            "line 2: the query failed, so there are no sessions or not all of them: ORA-01017",
        ),
        (
            "ERROR:\nORA-28002: the password will expire within 7 days\n\nFEHLER in Zeile 1:\nORA-00942: Tabelle oder View nicht vorhanden\n",
            "line 5: the query failed, so there are no sessions or not all of them: ORA-00942: Tabelle",
        ),
        (
            "SID,SERIAL#,TYPE\n1,2,USER\nERROR:\nORA-01555: snapshot too old\n",
            "line 4: the query failed, so there are no sessions or not all of them: ORA-01555",
        ),
        (
            "SID,SERIAL#,TYPE\n1,2,USER\nORA-01555: snapshot too old\n",
            "line 3: the query failed, so there are no sessions or not all of them: ORA-01555",
        ),
        (
            "\"SID\",\"SERIAL#\"\n\nSQL> x\nORA-03113: end-of-file on communication channel\n",
            "line 4: the query failed, so there are no sessions or not all of them: ORA-03113",
        ),
        ("select\nORA-00942: \u{1b}[2Jx\n", "not all of them: ORA-00942: [2Jx"),
    ];
    for (text, said) in cases {
        let message = refused(text.as_bytes());
        assert!(message.contains(said), "{message}\nwanted: {said}");
    }
    let warned = "ERROR:\nORA-28002: the password will expire within 7 days\n\nSID,SERIAL#\n1,2\n";
    assert_eq!(parse(warned.as_bytes(), "f", None).expect("read").snapshot.rows(), 1);
}

#[test]
fn a_row_that_is_wrapped_names_its_line_and_the_setting() {
    let cases = [
        "SID,SERIAL#,PROGRAM,TYPE\n1,2,a,USER\n2,3,JDBC Th\nin Client,USER\n3,4,b,USER\n",
        "SID,SERIAL#,PROGRAM,TYPE\n1,2,a,USER\n2,3,\"JDBC\"\n,USER\n",
    ];
    for text in cases {
        let message = refused(text.as_bytes());
        assert!(
            message.contains(
                "line 3: 3 fields, but the header has 4: SQL*Plus has wrapped the line (`set linesize 32767`)"
            ),
            "{message}"
        );
    }
}

#[test]
fn a_number_that_cannot_be_one_of_seconds_is_never_silently_null() {
    for number in ["99999999999999999999", "9223372036854775807", "5000000000"] {
        for text in [
            format!("SID,LAST_CALL_ET\n1,{number}\n"),
            format!("[{{\"SID\":1,\"LAST_CALL_ET\":{number}}}]"),
            format!("[{{\"SID\":1,\"LAST_CALL_ET\":\"{number}\"}}]"),
        ] {
            let message = refused(text.as_bytes());
            assert!(message.contains("column LAST_CALL_ET: \""), "{text}: {message}");
        }
        for text in [
            format!("SID,SECONDS_IN_WAIT\n1,{number}\n2,5\n"),
            format!("[{{\"SID\":1,\"SECONDS_IN_WAIT\":{number}}},{{\"SID\":2,\"SECONDS_IN_WAIT\":5}}]"),
        ] {
            let saved = parse(text.as_bytes(), "f", None).expect("it is of no use, and the rest is");
            assert_eq!(saved.snapshot.field(0, Column::SecondsInWait), Field::Missing);
            assert!(
                saved.notes.iter().any(|note| note.contains("SECONDS_IN_WAIT")),
                "{:?}",
                saved.notes
            );
        }
    }
    let taken = parse(b"SID,LAST_CALL_ET\n1,4294967295\n", "f", None).expect("Oracle's largest");
    assert_eq!(taken.snapshot.number(0, Column::LastCallEt), Some(4_294_967_295));
}

/// SQLcl and SQL Developer, ORDS, DBeaver, JSON Lines, and one that a session of SQLcl is wound around.
#[test]
fn json_of_every_tool_gives_the_same_sessions() {
    let rows = r#"{"inst_id":1,"sid":2,"serial#":3,"type":"USER","p1":28800000000},
                  {"inst_id":1,"sid":3,"serial#":4,"type":"USER","username":"SHOP"}"#;
    let array = format!("[{rows}]");
    let columns = r#"[{"name":"SID","type":"NUMBER"},{"name":"TYPE","type":"VARCHAR2"}]"#;
    let documents = [
        array.clone(),
        format!(r#"{{"results":[{{"columns":{columns},"items":{array}}}]}}"#),
        format!(r#"{{"items":{array},"hasMore":false,"limit":10000,"count":2,"links":[{{"rel":"self","href":"x"}}]}}"#),
        format!(
            r#"{{"env":{{"defaultTimeZone":"UTC"}},"items":[{{"statementId":1,"resultSet":{{"items":{array}}}}}]}}"#
        ),
        format!(r#"{{"select * from gv$session":{array}}}"#),
        rows.replace("},", "}"),
        format!("SQL> select * from gv$session;\n{array}\n\n2 rows selected.\n\nSQL> spool off\n"),
    ];
    for document in documents {
        let saved = parse(document.as_bytes(), "f", None).unwrap_or_else(|error| panic!("{error}\n{document}"));
        let snapshot = &saved.snapshot;
        assert_eq!((saved.format, snapshot.rows()), (Format::Json, 2), "{document}");
        assert_eq!(snapshot.number(0, Column::P1), Some(28_800_000_000));
        assert_eq!(snapshot.text(1, Column::Username), Some("SHOP"));
    }
    for (document, said) in [
        (
            format!(r#"{{"items":{array},"hasMore":true}}"#),
            "it is one page of a longer result",
        ),
        (
            format!(r#"{{"a":{array},"b":{array}}}"#),
            "a second array of sessions begins here",
        ),
        (
            array.replace(r#""sid":3"#, r#""session":3"#),
            "1 object among the sessions has no SID",
        ),
        (
            format!("SQL> x\n{array}\nand more"),
            "line 4: at column 1, trailing characters",
        ),
        (format!(r#"{{"columns":{columns},"items":[]}}"#), "no object has a SID"),
    ] {
        let message = refused(document.as_bytes());
        assert!(message.contains(said), "{message}\nwanted: {said}");
    }
    let rounded = parse(br#"[{"SID": 1, "P1": 2.88E+10, "P2": 5}]"#, "f", None).expect("the rest is readable");
    assert_eq!(rounded.snapshot.field(0, Column::P1), Field::Missing);
    assert_eq!(rounded.snapshot.number(0, Column::P2), Some(5));
    assert!(
        rounded.notes[0].starts_with("session 1: column P1: "),
        "{:?}",
        rounded.notes
    );
}

#[test]
fn utf_16_with_a_byte_order_mark_is_read() {
    let text = "\u{feff}SID;USERNAME\r\n1;MÜLLER\r\n";
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [little, big] {
        let saved = parse(&bytes, "f", None).expect("UTF-16");
        assert_eq!(saved.snapshot.text(0, Column::Username), Some("MÜLLER"));
    }
}

#[test]
fn a_clock_without_its_time_of_day_is_no_clock() {
    let csv = b"SID,LOGON_TIME,SYSDATE\n1,2026-11-21 23:00:00,22-NOV-26\n";
    let saved = parse(csv, "f", None).expect("the sessions can be read");
    assert_eq!(saved.snapshot.clock(), None);
    assert_eq!(saved.snapshot.number(0, Column::Connected), None);
    assert!(saved.notes[0].contains("is a day without a time"), "{:?}", saved.notes);
    assert!(parse_taken_at("2026-11-22").is_err());
    let json = br#"{"taken_at": "2026-11-22", "sessions": [{"SID": 1}]}"#;
    assert!(refused(json).contains("column TAKEN_AT: \"2026-11-22\" is a day without a time"));
}

#[test]
fn a_csv_cut_anywhere_is_refused_or_says_that_it_may_be_cut() {
    let whole = b"SID,USERNAME,TYPE\n10,\"APEX,DEV\",\"USER\"\n";
    let notes = parse(whole, "f", None).expect("whole").notes;
    assert!(notes.len() == 1 && notes[0].contains("has no INST_ID"), "{notes:?}");
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
    assert!(said(big.path()).contains("larger than 256 MB"));
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
    fn csv_is_read_back_as_written(
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
