//! The condition evaluator against a real SQL engine: three-valued logic is where such engines go wrong.
//!
//! Random conditions are written twice from the same tree, as a policy's condition and as SQL, by two renderers that share
//! nothing with the daemon. The first goes through the daemon's own parser, check and evaluator, the second through SQLite,
//! over the same rows with NULLs everywhere; every row must be TRUE, FALSE or UNKNOWN in both alike. The SQL that the daemon
//! itself writes for `explain --sql` is held against the same answers.
//!
//! `explain` shows the same evaluator's answers as a tree, whose truths must follow from one another as SQL's do.
//!
//! A difference is shrunk to the smallest condition and rows that show it, and printed.

mod conditions;
mod generate;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use orareaper::decide::evaluate::truth::Truth;
use orareaper::decide::evaluate::{Evaluation, evaluate};
use orareaper::explain::{ExplainedTerm, Join, tree as explained};
use orareaper::policy::implied::{RowClause, implied};
use orareaper::policy::{check_condition, to_sql};
use orareaper::session::column::{Column, Columns};
use orareaper::session::snapshot::{AccountRow, Cell, Instance, Snapshot, SnapshotClock, SnapshotSource};
use orareaper::session::time::DbTime;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use self::conditions::Tree;
use self::generate::{columns, number, text, tree};

/// The snapshot's clock.
const NOW: i64 = 1_800_000_000;

/// What is read, in the order of a row's values.
const READ: [Column; 15] = [
    Column::Status,
    Column::Username,
    Column::Module,
    Column::Program,
    Column::Server,
    Column::Taddr,
    Column::Type,
    Column::State,
    Column::Sid,
    Column::Port,
    Column::LastCallEt,
    Column::SecondsInWait,
    Column::WaitTimeMicro,
    Column::PgaTunableMem,
    Column::LogonTime,
];
const TEXTS: usize = 8;

/// What is joined by USERNAME: texts that are not known for everybody.
const JOINED: [Column; 2] = [Column::AccountStatus, Column::Profile];

/// What the dictionary says of a user: nothing, or of each column a value or none.
fn account(username: &str) -> Option<[Option<&'static str>; 2]> {
    match username.bytes().map(usize::from).sum::<usize>() % 4 {
        0 => None,
        1 => Some([Some("A"), None]),
        2 => Some([None, Some("B")]),
        _ => Some([Some("Aa"), Some("A")]),
    }
}

/// The user of a row, if it has one.
fn username(row: &Row) -> Option<&str> {
    let at = READ
        .iter()
        .position(|column| *column == Column::Username)
        .expect("it is read");
    row.texts[at].as_deref()
}

fn accounts(rows: &[Row]) -> Vec<AccountRow> {
    let names: BTreeSet<&str> = rows.iter().filter_map(username).collect();
    let known = names.into_iter().filter_map(|name| Some((name, account(name)?)));
    let row = |(name, [status, profile]): (&str, [Option<&str>; 2])| AccountRow {
        con_id: None,
        username: name.to_owned(),
        status: status.map(str::to_owned),
        profile: profile.map(str::to_owned),
        oracle_maintained: None,
    };
    known.map(row).collect()
}

/// Columns that were not read.
const MISSING: [Column; 3] = [Column::Machine, Column::Audsid, Column::CurrentQueueDuration];

#[derive(Clone, Debug)]
struct Row {
    texts: Vec<Option<String>>,
    numbers: Vec<Option<i64>>,
}

fn row() -> impl Strategy<Value = Row> {
    let numbers = vec(proptest::option::weighted(0.75, number()), READ.len() - TEXTS);
    (vec(proptest::option::weighted(0.75, text()), TEXTS), numbers).prop_map(|(texts, mut numbers)| {
        // The difference of two times has to fit; everything else may be at the edge of what fits.
        if let Some(Some(logon)) = numbers.last_mut() {
            *logon = NOW - logon.rem_euclid(100_000);
        }
        Row { texts, numbers }
    })
}

fn snapshot(rows: &[Row]) -> Snapshot {
    let mut builder = Snapshot::builder(SnapshotSource::Live, &READ);
    for row in rows {
        let texts = row
            .texts
            .iter()
            .map(|text| text.as_deref().map_or(Cell::Null, Cell::Text));
        let numbers = row.numbers.iter().map(|number| number.map_or(Cell::Null, Cell::Number));
        builder
            .push_row(&texts.chain(numbers).collect::<Vec<_>>())
            .expect("few rows");
    }
    let instance = Instance {
        inst_id: 1,
        name: "one".into(),
        complete: true,
    };
    let clock = SnapshotClock {
        now: DbTime(NOW),
        utc_offset: 0,
    };
    let wanted: Columns = columns().into_iter().collect();
    let mut joining = builder.finish(Some(clock), vec![instance]);
    joining.join_accounts(&accounts(rows));
    joining.finish(wanted)
}

fn database(rows: &[Row]) -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    connection
        .pragma_update(None, "case_sensitive_like", true)
        .expect("SQLite's LIKE as Oracle's");
    let deterministic = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let regexp_like = |context: &rusqlite::functions::Context<'_>| {
        let text: Option<String> = context.get(0)?;
        // Compiled once a statement.
        let regex = context.get_or_create_aux(1, |pattern| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            Ok(regex::Regex::new(pattern.as_str()?)?)
        })?;
        Ok(text.map(|text| regex.is_match(&text)))
    };
    connection
        .create_scalar_function("REGEXP_LIKE", 2, deterministic, regexp_like)
        .expect("a function");
    let raw_to_hex = |context: &rusqlite::functions::Context<'_>| {
        let text: Option<String> = context.get(0)?;
        Ok(text.map(|text| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>()))
    };
    connection
        .create_scalar_function("RAWTOHEX", 1, deterministic, raw_to_hex)
        .expect("a function");
    let mut create = String::from("CREATE TABLE sessions (id INTEGER PRIMARY KEY");
    for (at, column) in READ.iter().enumerate() {
        let kind = if at < TEXTS { "TEXT" } else { "INTEGER" };
        write!(create, ", {} {kind}", column.name()).expect("a String takes any text");
    }
    for column in JOINED {
        write!(create, ", {} TEXT", column.name()).expect("a String takes any text");
    }
    connection.execute_batch(&format!("{create})")).expect("a table");
    connection
        .execute_batch("CREATE TABLE dba_users (username TEXT, account_status TEXT, profile TEXT)")
        .expect("a table");
    for row in accounts(rows) {
        connection
            .execute(
                "INSERT INTO dba_users VALUES (?, ?, ?)",
                (row.username, row.status, row.profile),
            )
            .expect("an account");
    }
    let marks = vec!["?"; READ.len() + JOINED.len()].join(", ");
    let mut insert = connection
        .prepare(&format!("INSERT INTO sessions VALUES (NULL, {marks})"))
        .expect("an insert");
    for row in rows {
        let texts = row.texts.iter().map(|text| text as &dyn rusqlite::ToSql);
        let numbers = row.numbers.iter().map(|number| number as &dyn rusqlite::ToSql);
        let of_user = username(row).and_then(account).unwrap_or_default();
        let joined = of_user.iter().map(|text| text as &dyn rusqlite::ToSql);
        insert
            .execute(&*texts.chain(numbers).chain(joined).collect::<Vec<_>>())
            .expect("a row");
    }
    drop(insert);
    connection
}

fn asked(connection: &Connection, condition: &str) -> Vec<Truth> {
    let query = format!("SELECT {condition} FROM sessions s ORDER BY id");
    let mut statement = connection
        .prepare(&query)
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let truths = statement
        .query_map([], |row| row.get::<_, Option<bool>>(0))
        .expect("a query");
    truths
        .map(|truth| truth.expect("a truth").map_or(Truth::Unknown, Truth::known))
        .collect()
}

/// Shows that the comparison can fail: SQL with another treatment of NULL gives another answer.
#[test]
fn a_wrong_treatment_of_null_would_be_noticed() {
    let numbers = vec![None; READ.len() - TEXTS];
    let rows = [Row {
        texts: vec![None; TEXTS],
        numbers,
    }];
    let condition = check_condition("not module = 'A'").expect("a condition");
    assert_eq!(evaluate(&condition, &snapshot(&rows)).get(0), Truth::Unknown);
    assert_eq!(asked(&database(&rows), "(module IS NOT 'A')"), [Truth::True]);
}

/// A value that is not known is no NULL.
#[test]
fn what_the_dictionary_does_not_say_is_unknown_in_every_form() {
    let one = |username: &str| {
        let mut texts = vec![None; TEXTS];
        texts[1] = Some(username.to_owned());
        let numbers = vec![None; READ.len() - TEXTS];
        Row { texts, numbers }
    };
    // 'D' is 68, of which the dictionary knows nothing; 'A' is 65 and has a status.
    let rows = [one("D"), one("A")];
    let forms = [
        ("account_status is null", Truth::False),
        ("account_status is not null", Truth::True),
        ("not account_status is null", Truth::True),
        ("not (account_status is not null)", Truth::False),
        ("account_status = 'A'", Truth::True),
        ("not account_status like 'A%'", Truth::False),
        ("account_status not in ('A', 'B')", Truth::False),
    ];
    for (text, known) in forms {
        let condition = check_condition(text).expect(text);
        let truths = evaluate(&condition, &snapshot(&rows));
        assert_eq!([truths.get(0), truths.get(1)], [Truth::Unknown, known], "{text}");
        let own = format!("({})", to_sql(&condition));
        assert_eq!(asked(&database(&rows), &own), [Truth::Unknown, known], "{own}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_condition_means_what_it_means_in_sql(rows in vec(row(), 20), trees in vec(tree(), 40)) {
        let (snapshot, connection) = (snapshot(&rows), database(&rows));
        // All of them together, as the policies of a cycle are: what one has evaluated, the next ones find.
        let mut together = Evaluation::of(&snapshot);
        for tree in trees {
            let text = tree.policy();
            let condition = check_condition(&text)
                .unwrap_or_else(|problems| panic!("{text}: {}", problems.iter().map(|it| it.render(false)).collect::<String>()));
            let truths = together.truths(&condition);
            prop_assert_eq!(&*truths, &evaluate(&condition, &snapshot), "{} alone", text);
            let here: Vec<Truth> = (0..rows.len()).map(|row| truths.get(row)).collect();
            prop_assert_eq!(&here, &asked(&connection, &tree.sql()), "{} / {}", text, tree.sql());
            // SQLite divides whole numbers, so what the daemon writes with a division is not asked of it.
            let askable = |column: &Column| !MISSING.contains(column) && !matches!(column, Column::Waited | Column::Connected);
            if tree.columns().iter().all(askable) && !text.contains("connected") {
                let own = to_sql(&condition);
                prop_assert_eq!(&here, &asked(&connection, &format!("({own})")), "{} / its own SQL {}", text, own);
            }
        }
    }

    /// What the database is asked to select by is satisfied by everybody whom a policy selects.
    #[test]
    fn whom_a_policy_selects_is_never_left_out_of_its_clause(rows in vec(row(), 20), trees in vec((tree(), option::of(tree())), 40)) {
        let (snapshot, connection) = (snapshot(&rows), database(&rows));
        let available: Columns = READ.into_iter().collect();
        for (when, unless) in trees {
            let condition = |tree: &Tree| check_condition(&tree.policy()).expect("a condition");
            let (text, when) = (when.policy(), condition(&when));
            let unless = unless.as_ref().map(condition);
            let taken = evaluate(&when, &snapshot);
            let spared = unless.as_ref().map(|unless| evaluate(unless, &snapshot));
            let RowClause::Those(clause) = implied(&when, unless.as_ref(), available).clause else { continue };
            // Dates are numbers of seconds here.
            let asked = asked(&connection, &clause.replace("SYSDATE", &NOW.to_string()).replace(" / 86400", ""));
            for (row, sent) in asked.iter().enumerate() {
                let is_spared = spared.as_ref().is_some_and(|spared| spared.get(row) != Truth::False);
                let is_selected = taken.get(row) == Truth::True && !is_spared;
                prop_assert!(!is_selected || *sent == Truth::True, "{} unless {:?}: {}", text, unless, clause);
            }
        }
    }

    #[test]
    fn what_explain_shows_is_what_the_evaluator_says(rows in vec(row(), 3), trees in vec(tree(), 10)) {
        let snapshot = snapshot(&rows);
        for tree in trees {
            let text = tree.policy();
            let condition = check_condition(&text).expect("a condition");
            let truths = evaluate(&condition, &snapshot);
            for row in 0..rows.len() {
                let root = explained(&condition, &snapshot.only(row));
                prop_assert_eq!(root.truth, truths.get(row), "{}", text);
                prop_assert!(follows(&root), "{}: {:#?}", text, root);
            }
        }
    }
}

/// Whether every truth of a tree follows from those below it.
fn follows(term: &ExplainedTerm) -> bool {
    let parts: Vec<Truth> = term.parts.iter().map(|part| part.truth).collect();
    let first_of = |decides: Truth, otherwise: Truth| {
        if parts.contains(&decides) {
            decides
        } else if parts.contains(&Truth::Unknown) {
            Truth::Unknown
        } else {
            otherwise
        }
    };
    let expected = match (term.join, parts.as_slice()) {
        (Join::None, []) => term.truth,
        (Join::All, [_, ..]) => first_of(Truth::False, Truth::True),
        (Join::Any, [_, ..]) => first_of(Truth::True, Truth::False),
        (Join::Same, [only]) => *only,
        (Join::Not, [Truth::True]) => Truth::False,
        (Join::Not, [Truth::False]) => Truth::True,
        (Join::Not, [Truth::Unknown]) => Truth::Unknown,
        (Join::None | Join::All | Join::Any | Join::Same | Join::Not, _) => return false,
    };
    expected == term.truth && term.parts.iter().all(follows)
}
