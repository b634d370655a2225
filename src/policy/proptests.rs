//! Properties of the policy language that need private functions: a printed condition, with named lists and conditions too,
//! reads back as the same condition, and every position is right. Properties over arbitrary bytes are in tests/any_bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::check_condition;
use super::condition::Condition;
use super::resolve::{Definitions, resolve};
use super::sql::to_sql;
use crate::session::column::{Column, Kind};
use crate::yaml::node;

/// A condition as a text that can be compared: `Regex` does not implement `PartialEq`, and its Debug form is its pattern.
fn meaning(condition: &Condition) -> String {
    format!("{condition:?}")
}

fn definitions() -> Definitions {
    let mut definitions = Definitions::default();
    let list = vec![
        super::ast::TermKind::Text("A".into()),
        super::ast::TermKind::Word("b".into()),
    ];
    definitions.lists.insert("texts".into(), Some(list));
    let named = check_condition("sid = 1 or sid = 2").expect("a condition");
    definitions.conditions.insert("named".into(), Some(named.into()));
    definitions
}

fn read(text: &str) -> Result<Condition, String> {
    let super::parse::Parsed { expr, mistakes, .. } = super::parse::parse(text);
    if !mistakes.is_empty() {
        return Err(format!("{mistakes:?}"));
    }
    let mut mistakes = Vec::new();
    let resolved = resolve(&expr, &definitions(), &mut mistakes);
    match resolved {
        Some((condition, _)) if mistakes.is_empty() => Ok(condition),
        _ => Err(format!("{mistakes:?}")),
    }
}

fn column(kind: Kind) -> impl Strategy<Value = &'static str> {
    let names: Vec<&str> = Column::ALL
        .iter()
        .filter(|c| c.kind() == kind)
        .map(|c| c.name())
        .collect();
    prop::sample::select(names)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z][A-Za-z0-9_]{0,8}".prop_filter("keywords and columns need quotes", |word| {
            // In a list, the name of a column is a text; next to an operator, it is the column.
            Column::named(word).is_none()
                && check_condition(&format!("username in ({word})")).is_ok()
                && check_condition(&format!("username = {word}")).is_ok()
        }),
        "[^\u{0}]{1,12}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
    ]
}

fn quoted() -> impl Strategy<Value = String> {
    "[^!\u{0}]{1,12}".prop_map(|text| format!("'{}'", text.replace('\'', "''")))
}

fn duration() -> impl Strategy<Value = String> {
    prop_oneof![
        (0i64..1_000_000).prop_map(|n| n.to_string()),
        (0u32..99, 0u32..99).prop_map(|(h, m)| format!("{h}h{m}m")),
        (0u32..999).prop_map(|d| format!("{d}d")),
    ]
}

fn size() -> impl Strategy<Value = String> {
    (0i64..5_000, prop::sample::select(vec!["", "B", "KB", "mb", "GB", "TB"]))
        .prop_map(|(n, unit)| format!("{n}{unit}"))
}

fn term() -> impl Strategy<Value = String> {
    let op = || prop::sample::select(vec!["=", "!=", "<>", "<", "<=", ">", ">=", "above", "BELOW"]);
    let not = || prop::sample::select(vec!["", "not "]);
    prop_oneof![
        (column(Kind::Text), op(), text()).prop_map(|(c, op, v)| format!("{c} {op} {v}")),
        (column(Kind::Number), op(), any::<i32>()).prop_map(|(c, op, v)| format!("{v} {op} {c}")),
        (column(Kind::Duration), op(), duration()).prop_map(|(c, op, v)| format!("{c} {op} {v}")),
        (column(Kind::Size), op(), size()).prop_map(|(c, op, v)| format!("{c} {op} {v}")),
        (column(Kind::Time), op(), column(Kind::Time)).prop_map(|(c, op, v)| format!("{c} {op} {v}")),
        (column(Kind::Text), not(), vec(text(), 1..4)).prop_map(|(c, n, v)| format!("{c} {n}in ({})", v.join(", "))),
        (column(Kind::Text), not()).prop_map(|(c, n)| format!("{c} {n}in @texts")),
        (column(Kind::Duration), not(), 0i64..50, 50i64..99)
            .prop_map(|(c, n, a, b)| format!("{c} {n}between {a}s and {b}m")),
        (column(Kind::Text), not(), quoted()).prop_map(|(c, n, p)| format!("{c} {n}like {p}")),
        (column(Kind::Text), not(), quoted()).prop_map(|(c, n, p)| format!("{c} {n}like {p} escape '!'")),
        (column(Kind::Text), not(), "[a-z.]{1,5}[*+?]?").prop_map(|(c, n, p)| format!("{c} {n}matches '{p}'")),
        (column(Kind::Size), not()).prop_map(|(c, n)| format!("{c} is {n}null")),
        Just("@named".to_owned()),
        (
            prop::sample::select(vec![
                "ACTIVE",
                "inactive",
                "Killed",
                "SNIPED",
                "cached",
                "in transaction",
                "blocked",
                "blocking",
                "blocking 3 sessions",
                "blocking 1 session"
            ]),
            prop::option::of(1u32..90)
        )
            .prop_map(|(p, d)| d.map_or(p.to_owned(), |d| format!("{p} longer than {d}m"))),
        (prop::sample::select(vec!["idle", "running", "connected"]), 0u32..90)
            .prop_map(|(p, d)| format!("{p} for more than {d}s")),
        prop::sample::select(vec!["background", "dedicated", "shared", "pooled"]).prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    term().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.prop_map(|part| format!("(not ({part}))")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_condition_reads_back_as_the_same(text in condition()) {
        let first = read(&text).map_err(TestCaseError::fail)?;
        let printed = first.to_string();
        let second = read(&printed).map_err(|why| TestCaseError::fail(format!("{printed}: {why}")))?;
        prop_assert_eq!(meaning(&first), meaning(&second), "{}", printed);
        prop_assert_eq!(&printed, &second.to_string());
        prop_assert!(!to_sql(&first).is_empty());
    }

    #[test]
    fn every_offset_of_a_scalar_is_inside_it(text in "[ -~é\n]{1,40}", style in 0..5) {
        let yaml = match style {
            0 => format!("k: '{}'", text.replace('\'', "''")),
            1 => format!("k: {text:?}"),
            2 => format!("k: |\n  {}\n", text.replace('\n', "\n  ")),
            3 => format!("k: >-\n  {}\n", text.replace('\n', "\n  ")),
            _ => format!("k: {text}"),
        };
        if let Ok((_, text, root)) = node::read("f.yaml", yaml.as_bytes(), str::to_owned)
            && let node::Value::Mapping(entries) = &root.value
            && let node::Value::Scalar(scalar) = &entries[0].1.value
        {
            let node = &entries[0].1;
            let offsets = crate::yaml::offsets::Offsets::of(&text, &node.at, scalar);
            let mut last = node.at.start;
            for (at, character) in scalar.text.char_indices() {
                let range = offsets.range(&(at..at + character.len_utf8()));
                prop_assert!(range.start >= last && range.end <= text.len(), "{:?}", scalar);
                // Outside double quotes, every character but a blank is at its position unchanged.
                if !character.is_whitespace() && scalar.style != node::Style::Double {
                    prop_assert!(text[range.start..].starts_with(character), "{:?} at {}", scalar, at);
                }
                last = range.start;
            }
        }
    }
}

/// Parts of a condition, and how many mistakes each has alone.
const PARTS: [(&str, usize); 22] = [
    ("INACTIVE longer than 4h", 0),
    ("username in (SHOP, CRM)", 0),
    ("sid between 1 and 5", 0),
    ("(ACTIVE or blocked)", 0),
    ("last_call_et/3600 > 2", 1),
    ("logon_time < sysdate - 1", 1),
    ("upper(program) like '%X%'", 1),
    ("regexp_like(program, 'x')", 1),
    ("sid in (select sid from v$mystat where x = 1 and y = 2)", 1),
    ("sid between and 5", 1),
    ("connected longer than 7 days", 1),
    ("blocking > 5 sessions", 1),
    ("program = SQL Developer", 1),
    ("username in (SHOP, @list)", 1),
    ("program ilike 'x'", 1),
    ("usernme = SHOP", 1),
    ("sid == 5", 1),
    ("sid = '5'", 1),
    ("()", 1),
    ("username = ~", 1),
    ("not not background", 1),
    ("(usernme = 1 or idle > 2 hours)", 2),
];

proptest! {
    /// A mistake does not change how the rest is read: it hides no mistake and causes none.
    #[test]
    fn a_mistake_neither_hides_nor_causes_another(
        parts in vec(prop::sample::select(PARTS.to_vec()), 1..6), joins in vec(prop::sample::select(vec![" and ", " OR "]), 6),
    ) {
        let mut text = String::new();
        for ((part, _), join) in parts.iter().zip(&joins) {
            if !text.is_empty() {
                text.push_str(join);
            }
            text.push_str(part);
        }
        let expected: usize = parts.iter().map(|(_, mistakes)| mistakes).sum();
        let found = check_condition(&text).map_or_else(|problems| problems, |_| Vec::new());
        let found: Vec<String> = found.iter().filter(|one| one.is_error()).map(ToString::to_string).collect();
        prop_assert_eq!(found.len(), expected, "{}\n{}", text, found.join("\n"));
    }
}

/// A policy file with one change gives no panic, and every problem has a position.
#[test]
fn a_damaged_policy_file_never_makes_the_checker_panic() {
    let whole = include_bytes!("../../policies/idle-under-pressure.yaml");
    let mut problems = 0;
    for at in 0..whole.len() {
        for change in [b'\'', b'@', b'0'] {
            let mut bytes = whole.to_vec();
            bytes[at] = change;
            let loaded = super::check_files(&[("f.yaml".into(), bytes)], chrono::NaiveDate::MIN, chrono_tz::Tz::UTC);
            problems += loaded.diagnostics.len();
            assert!(loaded.set.is_some() || !loaded.diagnostics.is_empty());
        }
        let cut = super::check_files(
            &[("f.yaml".into(), whole[..at].to_vec())],
            chrono::NaiveDate::MIN,
            chrono_tz::Tz::UTC,
        );
        assert!(cut.set.is_some() || !cut.diagnostics.is_empty());
    }
    assert!(problems > 500, "too few of the changes gave a problem: {problems}");
}

/// Large files that are built to be slow are checked in the end, and give few problems.
#[test]
fn huge_files_are_checked_and_give_few_problems() {
    let size = node::LARGEST_FILE / 4;
    let fill = |head: &str, piece: &str, tail: &str| {
        let count = (size - head.len() - tail.len()) / piece.len();
        format!("{head}{}{tail}", piece.repeat(count))
    };
    let one = |when: &str| format!("policies: [{{name: p, action: kill, when: '{when}'}}]");
    let names: String = (0..40_000).map(|n| format!("  n{n}: x\n")).collect();
    for text in [
        fill("policies: {", "a: 1, ", "}"),
        fill("policies: [", "1, ", "]"),
        fill("policies: [", "{name: p}, ", "]"),
        fill("lists: {l: [", "a-b, ", "]}"),
        fill("", "[", ""),
        fill("", "{a: ", ""),
        fill("a: ", "x", ""),
        fill("a: \"", "\\u0041", "\""),
        fill("a: |\n", "  'x' y\n", ""),
        format!("conditions:\n{names}"),
        one(&fill("", "(", "")[..size / 2]),
        one(&"not ".repeat(4_000)),
        one(&"sid = 1 or ".repeat(1_400)),
        one(&format!("{}sid = 1{}", "(".repeat(5_000), ")".repeat(5_000))),
        one(&format!("sid in ({}1)", "1,".repeat(7_000))),
        one(&format!("program matches ''{}''", "(a{1000}){1000}")),
    ] {
        let files = [("f.yaml".to_owned(), text.into_bytes())];
        let loaded = super::check_files(&files, chrono::NaiveDate::MIN, chrono_tz::Tz::UTC);
        let begins = String::from_utf8_lossy(&files[0].1[..60]).into_owned();
        assert!(loaded.diagnostics.len() <= 51, "{begins}");
        assert!(loaded.set.is_none() || begins.contains("sid in"), "{begins}");
        for problem in &loaded.diagnostics {
            assert!(problem.to_string().len() < 2_000, "{begins}");
        }
    }
}
