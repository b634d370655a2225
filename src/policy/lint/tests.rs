//! Compares what the lints report with the evaluator's results over a grid of sessions: no report may be wrong.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use super::coverage::narrows;
use super::*;
use crate::decide::evaluate::evaluate;
use crate::decide::evaluate::truth::Truth;
use crate::policy::check_condition;
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
