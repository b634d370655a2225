//! Trees whose truth values are worked out by hand.

use super::*;
use crate::export::parse;
use crate::policy::check_condition;

/// MODULE is missing; USERNAME of the second session is NULL.
const SESSIONS: &str = "\
INST_ID,SID,SERIAL#,USERNAME,STATUS,TYPE,LOGON_TIME,LAST_CALL_ET,PROGRAM,MACHINE
1,287,62507,SHOP,INACTIVE,USER,2026-11-22T01:00:00,18720,sqlplus@web01,web01
1,288,62508,,ACTIVE,USER,2026-11-22T01:00:00,60,sqlplus@web01,web01
";

fn one(row: usize) -> Snapshot {
    let saved = parse(SESSIONS.as_bytes(), "sessions.csv", None).expect("sessions");
    saved.snapshot.only(row)
}

/// The tree on one line: truth, text and values, parts in brackets.
fn line(term: &ExplainedTerm) -> String {
    let values: Vec<String> = term
        .values
        .iter()
        .map(|held| match held {
            ColumnValue::Missing(column) => format!("{} missing", column.name()),
            ColumnValue::Null(column) => format!("{} null", column.name()),
            ColumnValue::Value(column, shown) => format!("{} {shown}", column.name()),
        })
        .collect();
    let parts: Vec<String> = term.parts.iter().map(line).collect();
    let mut text = format!("{} {}", term.truth.name(), term.text);
    if !values.is_empty() {
        text.push_str(&format!(" <{}>", values.join(", ")));
    }
    if !parts.is_empty() {
        text.push_str(&format!(" [{}]", parts.join("; ")));
    }
    text
}

#[test]
fn each_term_has_its_truth_and_its_values() {
    let idle = "INACTIVE longer than 4h [TRUE status = 'INACTIVE' <status INACTIVE>; \
                TRUE last_call_et > 4h <last_call_et 5h 12m>]";
    let cases = [
        (0, "inactive longer than 4h", format!("TRUE {idle}")),
        (
            0,
            "inactive longer than 4h and not module = 'x'",
            format!("UNKNOWN all of [TRUE {idle}; UNKNOWN not [UNKNOWN module = 'x' <module missing>]]"),
        ),
        // A column that was not read is not NULL.
        (
            1,
            "module is null or username is null",
            "TRUE any of [UNKNOWN module is null <module missing>; TRUE username is null <username null>]".into(),
        ),
        (
            1,
            "module is null or username is not null",
            "UNKNOWN any of [UNKNOWN module is null <module missing>; FALSE username is not null <username null>]".into(),
        ),
        (0, "not (module is null)", "UNKNOWN module is not null <module missing>".into()),
        // FALSE AND UNKNOWN is FALSE, so its NOT is TRUE; TRUE AND UNKNOWN is UNKNOWN, and so is its NOT.
        (
            1,
            "not (username = shop and status = inactive)",
            "TRUE not [FALSE all of [UNKNOWN username = 'SHOP' <username null>; FALSE status = 'INACTIVE' <status ACTIVE>]]"
                .into(),
        ),
        (
            1,
            "not (username = shop and status = active)",
            "UNKNOWN not [UNKNOWN all of [UNKNOWN username = 'SHOP' <username null>; TRUE status = 'ACTIVE' <status ACTIVE>]]"
                .into(),
        ),
        (1, "username not in (SHOP)", "UNKNOWN username not in ('SHOP') <username null>".into()),
        (0, "not background", "TRUE not [FALSE background <type USER>]".into()),
    ];
    for (row, condition, expected) in cases {
        let condition = check_condition(condition).unwrap_or_else(|problems| panic!("{condition}: {problems:?}"));
        assert_eq!(line(&tree(&condition, &one(row))), expected);
    }
}

#[test]
fn an_ambiguous_or_unknown_name_lists_similar_sessions() {
    let saved = parse(
        format!("{SESSIONS}2,287,9,CRM,ACTIVE,USER,2026-11-22T01:00:00,60,x,y\n").as_bytes(),
        "sessions.csv",
        None,
    );
    let snapshot = saved.expect("sessions").snapshot;
    let find = |name: &str| name.parse::<SessionName>().expect(name).find(&snapshot);
    assert_eq!(find("287,62507,@1"), Ok(0));
    assert_eq!(find("287,9"), Ok(2));
    assert_eq!(find("288"), Ok(1));
    assert_eq!(
        find("287"),
        Err(
            "session 287 is ambiguous: it could be 287,62507,@1 (SHOP), 287,9,@2 (CRM); add the SERIAL# and the instance".into()
        )
    );
    assert_eq!(
        find("288,1"),
        Err("there is no session 288,1; with the same SID there is 288,62508,@1 (no user)".into())
    );
    assert_eq!(
        find("278,62507,@1"),
        Err("there is no session 278,62507,@1; did you mean `287,62507,@1`?".into())
    );
    assert_eq!(
        find("99999"),
        Err("there is no session 99999; no session has the SID 99999; `orareaper sessions` shows all sessions".into())
    );
}
