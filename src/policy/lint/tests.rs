//! Compares what the lints report with the evaluator's results over a grid of sessions: no report may be wrong.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use super::coverage::narrows;
use super::*;
use crate::decide::evaluate::evaluate;
use crate::decide::evaluate::truth::Truth;
use crate::policy::check_condition;
use crate::policy::parse::parse;
use crate::policy::resolve::{Definitions, resolve};
use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

const COLUMNS: [Column; 7] = [
    Column::Status,
    Column::Type,
    Column::Server,
    Column::Username,
    Column::Taddr,
    Column::Module,
    Column::LastCallEt,
];

/// All combinations of the values in the conditions below, and of NULL.
static GRID: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = |values: &[&'static str]| {
        let values = values.iter().map(|value| Cell::Text(value));
        values.chain([Cell::Null]).collect::<Vec<_>>()
    };
    let axes: [Vec<Cell<'static>>; 7] = [
        text(&["ACTIVE", "INACTIVE", "KILLED", "SNIPED", "CACHED"]),
        text(&["USER", "BACKGROUND"]),
        text(&["DEDICATED", "NONE"]),
        text(&["SHOP", "ETL"]),
        text(&["00AA"]),
        text(&["B"]),
        [0, 3_600, 3_601, 7_199, 7_200, 7_201, 14_400, 20_000]
            .into_iter()
            .map(Cell::Number)
            .chain([Cell::Null])
            .collect(),
    ];
    let mut builder = Snapshot::builder(SnapshotSource::Saved, &COLUMNS);
    let rows: usize = axes.iter().map(Vec::len).product();
    for mut row in 0..rows {
        let cells: Vec<Cell<'_>> = axes
            .iter()
            .map(|axis| {
                let cell = axis[row % axis.len()];
                row /= axis.len();
                cell
            })
            .collect();
        builder.push_row(&cells).expect("few rows");
    }
    builder
        .finish(None, Vec::new())
        .finish(COLUMNS.into_iter().chain([Column::Idle, Column::Running]).collect())
});

fn condition() -> impl Strategy<Value = Condition> {
    let duration = || prop::sample::select(vec!["0s", "1h", "2h", "4h"]);
    let op = || prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let term = prop_oneof![
        (
            prop::sample::select(vec!["idle", "running", "last_call_et"]),
            op(),
            duration()
        )
            .prop_map(|(column, op, value)| format!("{column} {op} {value}")),
        (prop::sample::select(vec!["idle", "last_call_et"]), duration())
            .prop_map(|(column, low)| format!("{column} between {low} and 4h")),
        (
            prop::sample::select(vec!["active", "inactive", "sniped", "killed"]),
            prop::option::of(duration())
        )
            .prop_map(|(status, longer)| longer.map_or(status.to_owned(), |d| format!("{status} longer than {d}"))),
        (op(), prop::sample::select(vec!["ACTIVE", "INACTIVE", "SNIPED"]))
            .prop_map(|(op, v)| format!("status {op} {v}")),
        prop::sample::select(vec![
            "background",
            "type = 'USER'",
            "type != 'BACKGROUND'",
            "in transaction",
            "username = SHOP",
            "username != SHOP",
            "username in (SHOP, ETL)",
            "username is null",
            "username is not null",
            "username like '%'",
            "username like 'S%'",
            "username not like 'SHO%'",
            "username not like 'SHOP'",
            "username not matches '^S'",
            "username matches 'T'",
            "username = username",
            "username != username",
            "username <= username",
            "module is null",
            "module not like 'B%'",
            "module = b",
            "dedicated",
            "status in (ACTIVE, KILLED)",
            "taddr is null",
            "status not in (INACTIVE, SNIPED, CACHED)",
            "4h > last_call_et",
            "module matches '^B'",
            "status != KILLED",
        ])
        .prop_map(str::to_owned),
    ];
    let text = term.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|part| format!("(not ({part}))")),
        ]
    });
    text.prop_map(|text| check_condition(&text).unwrap_or_else(|found| panic!("{text}: {found:?}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_unreachable_condition_is_never_true(condition in condition()) {
        let grid = &*GRID;
        let truths = evaluate(&condition, grid);
        let truth = |row| truths.get(row);
        if ColumnFacts::of(&condition, true).contradict() {
            prop_assert!((0..grid.rows()).all(|row| truth(row) != Truth::True), "{}", condition);
        }
        if ColumnFacts::of(&condition, false).contradict() {
            prop_assert!((0..grid.rows()).all(|row| truth(row) != Truth::False), "{}", condition);
        }
        let facts = ColumnFacts::of(&condition, true);
        for row in truths.true_rows() {
            for column in [Column::Status, Column::Type, Column::Server] {
                if let Some(value) = grid.text(row, column) {
                    prop_assert!(facts.may_be(column, value), "{} {}", condition, value);
                }
            }
            let unnamed = grid.text(row, Column::Username).is_none();
            prop_assert!(unnamed || !facts.must_be_null(Column::Username), "{}", condition);
        }
    }

    #[test]
    fn what_is_said_never_to_hold_together_never_does(when in condition(), unless in condition()) {
        let grid = &*GRID;
        let (of_when, of_unless) = (evaluate(&when, grid), evaluate(&unless, grid));
        let is_candidate = |row: usize| of_when.get(row) == Truth::True && of_unless.get(row) == Truth::False;
        if never_together(&[(&when, true), (&unless, false)]) {
            prop_assert!(!(0..grid.rows()).any(is_candidate), "{} unless {}", when, unless);
        }
        if never_together(&[(&when, true)]) {
            prop_assert!((0..grid.rows()).all(|row| of_when.get(row) != Truth::True), "{}", when);
        }
        if never_together(&[(&unless, false)]) {
            prop_assert!((0..grid.rows()).all(|row| of_unless.get(row) != Truth::False), "{}", unless);
        }
    }

    #[test]
    fn a_condition_reported_to_match_everybody_does(condition in condition()) {
        let grid = &*GRID;
        if !narrows(&condition, true) {
            let truths = evaluate(&condition, grid);
            for row in 0..grid.rows() {
                let ordinary = grid.text(row, Column::Type) == Some("USER")
                    && matches!(grid.text(row, Column::Status), Some("ACTIVE" | "INACTIVE"))
                    && grid.text(row, Column::Server).is_some()
                    && grid.text(row, Column::Username).is_some()
                    && grid.number(row, Column::LastCallEt).is_some_and(|seconds| seconds > 0);
                if ordinary {
                    prop_assert_eq!(truths.get(row), Truth::True, "{}", condition);
                }
            }
        }
    }
}

#[test]
fn plausible_contradictions_are_reported() {
    for text in [
        "ACTIVE and INACTIVE",
        "idle > 4h and idle < 2h",
        "INACTIVE longer than 4h and last_call_et <= 2h",
        "ACTIVE and idle > 1h",
        "running > 1h and status in (INACTIVE, SNIPED)",
        "username = SHOP and username is null",
        "username in (SHOP, CRM) and username not in (CRM, SHOP, ETL)",
        "undo_records > 5 and not in transaction",
        "background and type = 'USER'",
        "idle < 0s",
        "waited > 5m and waited < 1m",
        "status not in (ACTIVE, INACTIVE, KILLED, SNIPED, CACHED)",
    ] {
        let condition = check_condition(text).expect(text);
        assert!(ColumnFacts::of(&condition, true).contradict(), "{text}");
    }
}

#[test]
fn a_condition_that_excludes_no_user_session_gives_a_warning() {
    for text in [
        "not background",
        "type = 'USER'",
        "username is not null and not background",
        "status != KILLED",
        "sid > 0",
        "not (background or username is null)",
        "username like '%'",
    ] {
        assert!(!narrows(&check_condition(text).expect(text), true), "{text}");
    }
    for text in [
        "INACTIVE",
        "username = SHOP",
        "not background and ACTIVE longer than 1h",
        "sid > 5",
        "program like '%'",
    ] {
        assert!(narrows(&check_condition(text).expect(text), true), "{text}");
    }
}

/// The codes of what the lints find in a policy's `unless`, and the conditions in which the advice is followed.
fn advice(text: &str) -> Vec<(&'static str, String)> {
    let parsed = parse(text);
    let (mut mistakes, definitions) = (parsed.mistakes, Definitions::default());
    let (condition, spans) = resolve(&parsed.expr, &definitions, &mut mistakes).expect(text);
    assert!(mistakes.is_empty(), "{text}");
    let found = judge(&condition, &spans, Clause::Unless).into_iter();
    let found = found.filter(|(_, mistake)| !mistake.code.starts_with("null-"));
    found
        .map(|(_, mistake)| {
            let hint = mistake.hint.unwrap_or_default();
            let mut better = text.to_owned();
            let advice = hint.rsplit('`').nth(1).unwrap_or_default();
            better.replace_range(mistake.at, advice);
            (mistake.code, better)
        })
        .collect()
}

#[test]
fn a_text_of_another_operator_is_told_which_one_keeping_every_not() {
    for (text, code, better) in [
        (
            "program = 'sqlplus%'",
            "pattern-without-like",
            "program like 'sqlplus%'",
        ),
        (
            "program != 'sqlplus%'",
            "pattern-without-like",
            "program not like 'sqlplus%'",
        ),
        ("'%toad' = program", "pattern-without-like", "program like '%toad'"),
        (
            "not program = 'sqlplus%'",
            "pattern-without-like",
            "not program like 'sqlplus%'",
        ),
        ("program in ('a%')", "pattern-without-like", "program like 'a%'"),
        (
            "program not in ('a%', 'b')",
            "pattern-without-like",
            "(program not like 'a%' and program not in ('b'))",
        ),
        (
            "not program in ('a%', 'b')",
            "pattern-without-like",
            "not (program like 'a%' or program in ('b'))",
        ),
        ("machine = 'web*'", "pattern-without-like", "machine like 'web%'"),
        ("machine like 'web*'", "shell-wildcard", "machine like 'web%'"),
        ("machine not like '*web*'", "shell-wildcard", "machine not like '%web%'"),
        ("not machine like 'web*'", "shell-wildcard", "not machine like 'web%'"),
        (
            "program matches '%sqlplus%'",
            "percent-in-regex",
            "program like '%sqlplus%'",
        ),
        (
            "program not matches 'sqlplus%'",
            "percent-in-regex",
            "program not like 'sqlplus%'",
        ),
        (
            "username = 'SHOP, ETL'",
            "several-in-one-text",
            "username in ('SHOP', 'ETL')",
        ),
        (
            "username != 'SHOP,ETL'",
            "several-in-one-text",
            "username not in ('SHOP', 'ETL')",
        ),
        ("username = '%'", "pattern-without-like", "username is not null"),
        ("username != '%'", "pattern-without-like", "username is null"),
        ("program like 'a''b*'", "shell-wildcard", "program like 'a''b%'"),
    ] {
        assert_eq!(advice(text), [(code, better.to_owned())], "{text}");
        assert_eq!(advice(better), [], "{better}");
    }
}

#[test]
fn what_is_written_with_a_reason_gives_no_warning() {
    for text in [
        "program = 'SQL*Plus'",
        "module = '100% done'",
        "program like 'web*%'",
        "program like '%(J000)'",
        "program like 'sqlplus%' or program matches '(?i)toad|plsqldev'",
        "action = 'Step 1, load'",
        "module in ('Step 1, load', 'Step 2')",
        "external_name in ('CN=Joe,OU=DBA')",
        "client_info like '% %'",
        "username matches '^ETL_[0-9]+$' or username matches '(?i)etl' or username matches '\\w\\d'",
        "username matches '[^a-z]' or username matches '(?:ETL|CRM)x' or username matches 'x*'",
        "profile = 'APP_PROFILE' or account_status like '%LOCKED%' or container = 'CDB$ROOT'",
        "program matches 'over 90\\%'",
    ] {
        assert_eq!(advice(text), [], "{text}");
    }
}

#[test]
fn small_letters_are_found_where_oracle_stores_capitals() {
    for (text, code) in [
        ("profile = 'default'", "in-small-letters"),
        ("container in ('sales_pdb')", "in-small-letters"),
        ("account_status like '%locked%'", "in-small-letters"),
        ("resource_consumer_group = 'batch_group'", "in-small-letters"),
        ("username matches 'etl'", "unlikely-account"),
        ("username not matches '^(?:etl|crm)_\\d'", "unlikely-account"),
        ("container matches '[a-z]+'", "in-small-letters"),
    ] {
        let found: Vec<&str> = advice(text).into_iter().map(|(code, _)| code).collect();
        assert_eq!(found, [code], "{text}");
    }
}

#[test]
fn alternatives_of_which_one_always_holds_are_found() {
    let grid = &*GRID;
    for text in [
        "username != 'SHOP' or username != 'ETL'",
        "username <> 'SHOP' or INACTIVE or 'ETL' != username",
        "not username = 'SHOP' or username not in ('ETL', 'CRM')",
        "username not like 'SH%' or username not like 'E%'",
        "username != 'SHOP' or username not like 'E%'",
    ] {
        let found: Vec<&str> = advice(text).into_iter().map(|(code, _)| code).collect();
        assert_eq!(found, ["always-true"], "{text}");
        let truths = evaluate(&check_condition(text).expect(text), grid);
        for row in 0..grid.rows() {
            let named = grid.text(row, Column::Username).is_some();
            assert!(!named || truths.get(row) == Truth::True, "{text}");
        }
    }
    for text in [
        "username != 'SHOP' or program != 'X'",
        "username != 'SHOP' or username = 'ETL'",
        "username != 'SHOP' and username != 'ETL'",
        "username not in ('SHOP', 'ETL') or username != 'SHOP'",
        "username not like 'S%' or username != 'SHOP'",
        "last_call_et != 60 or last_call_et != 1m",
        "username is null or username != 'SHOP'",
    ] {
        assert_eq!(advice(text), [], "{text}");
    }
    for text in [
        "not (username = 'SHOP' and username = 'ETL')",
        "not (idle > 4h and idle < 2h)",
    ] {
        let found: Vec<&str> = advice(text).into_iter().map(|(code, _)| code).collect();
        assert_eq!(found, ["unreachable"], "{text}");
    }
}
