//! Arbitrary bytes in every test run: the properties that `fuzz/` checks without end, over bounded input.

mod properties;

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of these folders with one of these endings.
fn seeds(folders: &[&str], endings: &[&str]) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).expect(folder))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| endings.iter().any(|ending| e == *ending))
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folders:?} hold no seeds");
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

/// The conditions of the policies: what stands behind `when:` and `unless:` on the same line.
fn conditions() -> Vec<Vec<u8>> {
    let files = seeds(&["policies", "tests/diagnostics"], &["yaml"]);
    let texts: Vec<String> = files
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).expect("text"))
        .collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let conditions = lines.filter_map(|line| line.split_once("when: ").or_else(|| line.split_once("unless: ")));
    let found: Vec<Vec<u8>> = conditions.map(|(_, text)| text.trim().as_bytes().to_vec()).collect();
    assert!(found.len() > 80, "only {} conditions were found", found.len());
    found
}

/// One change to a file: what a slip of a hand, a bad copy or a cut does.
#[derive(Clone, Debug)]
enum Change {
    Byte(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    Repeat(Index, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Change::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Change::Remove(at, length) => {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                bytes.drain(at..end);
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Change::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let pieces: Vec<Vec<u8>> = [
        "'", "\"", "(", ")", "[", "{", "}", ": ", ",", "\n", "\t", "#", "@", "%", "not ", "and ", "=", ">", "4h",
        "1GB", "'é'", "\u{0}", "\r", "NULL", "\u{feff}", "&a ", "*a", "<<: ", "- ", "---\n", "|\n", ">-\n", "!x ",
    ]
    .iter()
    .map(|piece| piece.as_bytes().to_vec())
    .collect();
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<Index>(), prop_oneof![select(pieces), vec(any::<u8>(), 1..5)])
            .prop_map(|(at, new)| Change::Insert(at, new)),
        (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
    ]
}

/// Words of the language in no sensible order.
fn word_salad() -> impl Strategy<Value = Vec<u8>> {
    let words = vec![
        "and",
        "or",
        "not",
        "in",
        "(",
        ")",
        ",",
        "=",
        "<",
        ">=",
        "like",
        "escape",
        "between",
        "is",
        "null",
        "matches",
        "'x'",
        "''",
        "'%'",
        "4h",
        "85%",
        "2GB",
        "12",
        "-3",
        "@a",
        "username",
        "idle",
        "inactive",
        "longer",
        "than",
        "for",
        "more",
        "blocking",
        "sessions",
        "transaction",
        "background",
        "above",
        "30M",
        "logon_time",
        "s.status",
        "sysdate",
        "-",
        "/",
        "*",
        "0.5",
        "upper",
        "nvl(",
        "(select",
        "case",
        "end",
        "interval",
        "days",
        "||",
        "&x",
        ":y",
        "where",
        "order",
        "more",
        "\"SID\"",
    ];
    vec(select(words), 0..30).prop_map(|words| words.join(" ").into_bytes())
}

/// Nothing but noise, or a right or wrong file with some changes.
fn input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (select(seeds), vec(change(), 0..5)).prop_map(|(mut bytes, changes)| {
        for change in &changes {
            change.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 0..300), 1 => "\\PC{0,200}".prop_map(String::into_bytes), 6 => changed]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_condition_is_read_or_answered(bytes in input(conditions())) {
        properties::condition(&bytes);
    }

    #[test]
    fn any_order_of_words_is_read_or_answered(bytes in word_salad()) {
        properties::condition(&bytes);
    }

    #[test]
    fn any_policy_file_is_accepted_or_answered(bytes in input(seeds(&["policies", "tests/diagnostics"], &["yaml"]))) {
        properties::policy_file(&bytes);
    }

    #[test]
    fn any_configuration_is_accepted_or_answered(bytes in input(seeds(&["tests/diagnostics/configuration"], &["yaml"]))) {
        properties::configuration(&bytes);
    }

    #[test]
    fn any_saved_snapshot_is_read_or_answered(
        bytes in input(seeds(&["tests/saved"], &["csv", "tsv", "json", "lst", "jsonl"])),
        noise in vec(any::<u8>(), 0..200),
        begun in select(vec!["SID,LOGON_TIME,P1\n", "SID |P1  \n----|----\n", "SQL> x\n{\"a\":[{\"SID\":1},", "[{\"SID\":1,\"LOGON_TIME\":", "{\"sessions\":["]),
    ) {
        properties::saved_sessions(&bytes);
        properties::saved_sessions(&[begun.as_bytes(), &noise].concat());
    }
}

/// The fuzz targets need libFuzzer and are not compiled here. This test checks their text: each target only passes its bytes to one
/// of the properties that are compiled here, and each property has a target.
#[test]
fn each_property_has_its_target() {
    let properties = std::fs::read_to_string(root().join("tests/any_bytes/properties.rs")).expect("readable");
    let names: Vec<&str> = properties
        .lines()
        .filter_map(|line| line.strip_prefix("pub(crate) fn ")?.strip_suffix("(bytes: &[u8]) {"))
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("readable");
    let targets = seeds(&["fuzz/fuzz_targets"], &["rs"]);
    assert_eq!(targets.len(), names.len());
    for name in names {
        let target = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let target = std::fs::read_to_string(&target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        let expected = format!(
            "#![no_main]\n\n#[path = \"../../tests/any_bytes/properties.rs\"]\n#[allow(dead_code, reason = \"each target \
             asks for one\")]\nmod properties;\n\nlibfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::{name}(bytes));\n"
        );
        assert_eq!(target, expected);
        assert!(manifest.contains(&format!(
            "[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n"
        )));
    }
}
