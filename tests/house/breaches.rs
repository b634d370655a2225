//! Each rule of the house finds its breach, and leaves alone what is allowed.

use super::*;

/// What must be found: path, text, a part of the finding.
const BREACHES: &[(&str, &str, &str)] = &[
    (
        "src/decide/plan.rs",
        concat!("//! A.\n// TO", "DO later\n"),
        "src/decide/plan.rs:2: ",
    ),
    (
        "benches/a.rs",
        concat!("//! A.\nfn a() { to", "do!() }\n"),
        "nothing is left to do",
    ),
    (
        "tests/a.rs",
        concat!("//! A.\n#[ig", "nore]\nfn a() {}\n"),
        "no test is skipped",
    ),
    (
        "src/decide/plan.rs",
        "//! A.\nconst A: &str = \"ALTER SYSTEM KILL\";\n",
        "one place acts",
    ),
    (
        "src/daemon.rs",
        "//! A.\nfn a() { let a = Instant::now(); }\n",
        "one place reads the clock",
    ),
    (
        "src/policy/check.rs",
        "//! A.\nuse serde::Deserialize;\n",
        "only yaml::node knows serde",
    ),
    (
        "src/decide/cycle.rs",
        "//! A.\nfn a() { b(\"ORA-00031\"); }\n",
        "only oracle knows Oracle's error numbers",
    ),
    (
        "src/daemon.rs",
        "//! A.\nuse oracledb::Connection;\n",
        "only oracle knows the drivers",
    ),
    (
        "src/status.rs",
        "//! A.\nfn a() { format!(\"for {}s\", age.as_secs()) }\n",
        "one place makes texts of durations",
    ),
    (
        "src/actuator.rs",
        "//! ALTER SYSTEM\nfn a() { let w = Warrant { a }; \"ALTER SYSTEM\" }\n",
        "only the guard makes",
    ),
    (
        "tests/orasim/src/a.rs",
        "//! A.\nuse orareaper::decide::plan;\n",
        "not built from the daemon",
    ),
    (
        "tests/orasim/Cargo.toml",
        "orareaper = { path = \"../..\" }\n",
        "orasim depends on orareaper",
    ),
    (
        "src/decide/hold.rs",
        "//! A.\nuse std::fs;\n",
        "the pure core touches nothing",
    ),
    (
        "src/session/store.rs",
        "//! A.\nfn a() { tracing::info!(\"a\"); }\n",
        "the pure core touches nothing",
    ),
    ("src/a.rs", "fn a() {}\n", "opens with `//!`"),
    ("src/utils.rs", "//! A.\n", "a name that says nothing"),
    (
        "src/decide/guard.rs",
        "//! A.\n#[derive(Clone)]\npub struct Warrant {\n    key: u8,\n}\n",
        "can be copied",
    ),
    (
        "src/decide/guard.rs",
        "//! A.\npub struct Warrant {\n    pub key: u8,\n}\n",
        "is open",
    ),
    ("src/actuator.rs", "//! ALTER SYSTEM\n", "the rule is stale"),
    (
        "src/a.rs",
        "//! A.\npub(crate) struct Line<'a> {\n}\nmod b {\n    enum Line {}\n}\n",
        "src/a.rs:5: `Line` is also the name of another type, in src/a.rs:2",
    ),
    (
        "src/a.rs",
        "//! A.\ntype Line = u8;\npub trait Line {}\n",
        "src/a.rs:3: `Line` is also",
    ),
];

#[test]
fn each_rule_finds_its_breach() {
    for (path, text, expected) in BREACHES {
        let tree = [Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        }];
        let findings = check(&tree);
        assert!(
            findings
                .iter()
                .any(|finding| finding.starts_with(path.trim_end_matches(".rs")) && finding.contains(expected)),
            "{path}, {expected}: found {findings:?} in:\n{text:.200}"
        );
    }
}

#[test]
fn a_long_file_is_found_and_one_line_less_is_not() {
    for (lines, findings) in [(LONGEST_FILE, 0), (LONGEST_FILE + 1, 1)] {
        let text = format!(
            "//! A.\n{}\n#[cfg(test)]\nmod tests {{\n}}\n",
            "fn a() {}\n".repeat(lines - 2)
        );
        let tree = [Source {
            path: "src/a.rs".to_owned(),
            text,
        }];
        assert_eq!(check(&tree).len(), findings, "{lines} lines");
    }
}

#[test]
fn a_test_file_that_no_program_names_is_found() {
    for folder in ["tests", "tests/orasim/tests"] {
        let tree = ["all.rs", "kills.rs", "site/mod.rs", "kills/deeper.rs"].map(|name| Source {
            path: format!("{folder}/{name}"),
            text: "//! A.\n\nmod kills;\n".to_owned(),
        });
        let findings = check(&tree);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].starts_with(&format!("{folder}/site/mod.rs: ")),
            "{findings:?}"
        );
    }
}

/// What must not be found: comments, tests at a file's end, the place where a thing is at home.
#[test]
fn what_is_allowed_is_not_found() {
    let tree = [
        ("src/actuator.rs", "//! A.\nconst A: &str = \"ALTER SYSTEM\";\n"),
        ("src/clock.rs", "//! A.\nfn a() { Instant::now() }\n"),
        (
            "src/oracle/error.rs",
            "//! A.\nconst A: &str = \"ORA-00031\";\nuse oracledb::Error;\n",
        ),
        (
            "src/decide/plan.rs",
            "//! About ALTER SYSTEM and ORA-00031.\n/* Utc::now /* nested */ std::fs */\nfn a() {}\n",
        ),
        (
            "src/decide/hold.rs",
            "//! A.\nfn a<'a>(_: &'a u8) {}\n\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ),
        (
            "src/decide/guard.rs",
            "//! A.\n#[derive(Debug)]\npub struct Warrant {\n    key: u8,\n}\n",
        ),
        (
            "src/decide/refill.rs",
            "//! A.\nstruct Seat;\nimpl Iterator for Seat {\n    type Item = u8;\n}\nimpl Iterator for Row {\n    type Item = u8;\n}\n\n\
             #[cfg(test)]\nmod tests {\n    struct Seat;\n}\n",
        ),
        (
            "tests/a.rs",
            "//! A.\nconst A: &str = \"ALTER SYSTEM\"; // and ORA-00031\n",
        ),
    ]
    .map(|(path, text)| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    });
    let findings: Vec<_> = check(&tree)
        .into_iter()
        .filter(|finding| !finding.contains("stale"))
        .collect();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn comments_go_and_strings_stay() {
    let cases = [
        ("a // b\nc", "a \nc"),
        ("a /* b\nb */ c", "a \n c"),
        ("a /* /* b */ */ c", "a  c"),
        ("\"// a\" // b", "\"// a\" "),
        (r#""\"// a" // b"#, r#""\"// a" "#),
        ("r\"\\\" // b", "r\"\\\" "),
        ("r#\"\" // a\"# // b", "r#\"\" // a\"# "),
        ("br#\"// a\"# // b", "br#\"// a\"# "),
        ("'\"' // b", "'\"' "),
        ("'\\'' // b", "'\\'' "),
        ("fn a<'a>(b: &'a str) // b", "fn a<'a>(b: &'a str) "),
        ("var#\"// a\"", "var#\"// a\""),
    ];
    for (text, expected) in cases {
        assert_eq!(without_comments(text), expected, "{text}");
    }
}
