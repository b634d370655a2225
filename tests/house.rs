//! The house rules, enforced by an ordinary test.
//!
//! Much of the daemon's safety depends on what code does not do: no clock in a decision, no statement outside the actuator, no
//! ORA- number outside its module. The compiler does not check that, and reviewers forget it. Each rule is a row of data below,
//! with its reason; a finding names file, line, rule and reason.
//!
//! The text is looked at, not the program: comments are blanked out first, and tests at the end of a file are cut off where a
//! rule is about production code. That is enough to catch a slip; it is not meant to withstand malice.

mod arrows;
mod breaches;
mod names;
mod profiles;

use std::fs;
use std::path::Path;

/// No file is longer, tests at its end not counted.
const LONGEST_FILE: usize = 600;

/// The pure core: decides, and touches nothing. Each is a file `src/X.rs` or a folder `src/X/`.
const PURE: &[&str] = &[
    "src/decide",
    "src/explain",
    "src/columns_needed",
    "src/policy",
    "src/quantity",
    "src/recording",
    "src/replay",
    "src/report",
    "src/session",
    "src/suggest",
    "src/yaml",
];

/// The one part of the pure core that reads files.
const FILES: &str = "src/yaml/files";

/// What a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Text {
    /// Everything.
    Whole,
    /// Without comments.
    Code,
    /// Without comments and without the tests at the end of a file.
    Production,
}

/// Some words that may stand in some files only.
struct Rule {
    name: &'static str,
    words: &'static [&'static str],
    text: Text,
    /// Files and folders where the rule holds, as the beginning of a path.
    within: &'static [&'static str],
    /// Files and folders in there where the words are at home. A home that exists and lacks them makes the rule stale.
    home: &'static [&'static str],
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "nothing is left to do",
        words: &[
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("XX", "X:"),
            concat!("to", "do!("),
            concat!("unimple", "mented!("),
        ],
        text: Text::Whole,
        within: &["src", "tests", "benches"],
        home: &[],
        reason: "what is not done belongs into the tracker, and a stub in a daemon that kills is a fault",
    },
    Rule {
        name: "no test is skipped",
        words: &[concat!("#[ig", "nore")],
        text: Text::Code,
        within: &["src", "tests", "benches"],
        home: &[],
        reason: "what did not run says so (`not run: ...`); a test that nobody runs proves nothing",
    },
    Rule {
        name: "one place acts",
        words: &["ALTER SYSTEM"],
        text: Text::Production,
        within: &["src"],
        home: &["src/actuator"],
        reason: "a statement that ends a session is made in one place, out of a warrant",
    },
    Rule {
        name: "one place reads the clock",
        words: &["Instant::now", "SystemTime::now", "Utc::now", "Local::now"],
        text: Text::Production,
        within: &["src"],
        home: &["src/clock", "src/oracle/deadline.rs"],
        reason: "time is an argument, so that every decision can be tested and replayed (deadline.rs measures how long a \
                 driver takes and decides nothing about a session)",
    },
    Rule {
        name: "only yaml::node knows serde",
        words: &["serde::", "serde_yaml", "serde_json", "Deserialize", "Serialize"],
        text: Text::Production,
        within: &["src/policy", "src/yaml", "src/config"],
        home: &["src/yaml/node"],
        reason: "what a user typed is read loosely in one place and checked once; everything behind it is checked",
    },
    Rule {
        name: "only oracle knows Oracle's error numbers",
        words: &["ORA-0", "ORA-1", "ORA-2", "ORA-3", "ORA-4", "ORA-5", "DPI-1"],
        text: Text::Production,
        within: &["src"],
        home: &["src/oracle"],
        reason: "an error is classified by its number once; everything behind it deals in classes and outcomes",
    },
    Rule {
        name: "only oracle knows the drivers",
        words: &["oracledb::", "use ::oracle", "::oracle::Connection"],
        text: Text::Production,
        within: &["src"],
        home: &["src/oracle"],
        reason: "a driver can be replaced, and a simulated one put in its place",
    },
    Rule {
        name: "one place makes texts of durations and sizes",
        words: &[
            "}ms",
            "} ms",
            "}s\"",
            "}s ",
            "}s:",
            "} s\"",
            "} s ",
            "} seconds",
            "} minutes",
            "} hours",
            "} days",
            "} KB",
            "} MB",
            "} GB",
            "} MiB",
        ],
        text: Text::Production,
        within: &["src"],
        // The simulator and conditions in tests are written in seconds; what is outside the calendar is no duration.
        home: &[
            "src/quantity",
            "src/commands/demo/practice",
            "src/journal/cells",
            "src/policy/proptests",
        ],
        reason: "the same duration looks the same in every report, message and page: `quantity` has the two forms",
    },
    Rule {
        name: "only the guard makes a warrant",
        words: &["(Warrant {", "= Warrant {"],
        text: Text::Code,
        within: &["src"],
        home: &["src/decide/guard"],
        reason: "permission for an action comes out of the limits and nowhere else",
    },
    Rule {
        name: "only its own connection makes a decoy",
        words: &["Decoy::reported"],
        text: Text::Production,
        within: &["src"],
        home: &["src/oracle/link.rs"],
        reason: "a decoy is the session that its own connection reports: nobody else's can become one",
    },
    Rule {
        name: "only a decoy that is seen again permits a statement",
        words: &["Again {", "(Decoy {", "= Decoy {"],
        text: Text::Production,
        within: &["src"],
        home: &["src/decide/guard"],
        reason: "each statement of a proof needs a reading of its decoy right before",
    },
    Rule {
        name: "one place makes the statements of a proof",
        words: &["again.statement("],
        text: Text::Production,
        within: &["src"],
        home: &["src/actuator"],
        reason: "what is sent to a decoy is what a warrant would send, and leaves by the door",
    },
    Rule {
        name: "the simulated database is not built from the daemon",
        words: &["orareaper::", "use orareaper"],
        text: Text::Code,
        within: &["tests/orasim"],
        home: &[],
        reason: "only the wire connects them: a shared mistake would pass every test",
    },
];

/// What nothing in the pure core may use.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tracing",
    "rand::",
    "println!(",
    "eprintln!(",
];

/// A file of the tree: its path from the root with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

/// The text with the comments blanked out: lines stay lines, and what stands in a string stays.
fn without_comments(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            _ => 0,
        };
        if length > 0 {
            out.extend(rest[..length].iter().filter(|c| **c == '\n'));
            at += length;
            continue;
        }
        let length = literal(rest, at.checked_sub(1).map(|before| bytes[before])).max(1);
        out.extend(&rest[..length]);
        at += length;
    }
    out
}

/// How long the block comment at the beginning is; they nest.
fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// How long the string or character literal at the beginning is, 0 if there is none. `before` is the character before it.
fn literal(rest: &[char], before: Option<char>) -> usize {
    let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['"', ..] => quoted(rest, '"'),
        // A character, not a lifetime: closed after one character or after an escape.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
        ['r', '"' | '#', ..] if !in_a_word || before == Some('b') => {
            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            if rest.get(1 + hashes) != Some(&'"') {
                return 0;
            }
            let closes = |window: &[char]| window[0] == '"' && window[1..].iter().all(|c| *c == '#');
            let body = &rest[2 + hashes..];
            body.windows(1 + hashes)
                .position(closes)
                .map_or(rest.len(), |end| 2 + hashes + end + 1 + hashes)
        }
        _ => 0,
    }
}

/// How long a literal with backslash escapes is, its quotes included.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The text before the tests at its end. That there are some in another file (`mod tests;`) ends nothing.
fn without_tests(text: &str) -> &str {
    let begins = |text: &str| {
        let line = text.lines().next().unwrap_or_default();
        line.starts_with("mod ") && line.ends_with('{')
    };
    let end = text
        .match_indices("\n#[cfg(test)]\n")
        .find(|(at, marker)| begins(&text[at + marker.len()..]))
        .map_or(text.len(), |(at, _)| at + 1);
    &text[..end]
}

/// Whether the path is the file `place` or `place.rs`, or lies in the folder `place`.
fn is_in(path: &str, place: &str) -> bool {
    path == place
        || path.strip_suffix(".rs") == Some(place)
        || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
}

fn is_in_any(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| is_in(path, place))
}

/// Whether it is a test by its place: in a `tests` folder or file beside the code, or an integration test.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || (path.starts_with("tests/") && !path.starts_with("tests/orasim/src"))
}

/// What a rule sees of a file.
fn seen(source: &Source, text: Text) -> String {
    match text {
        Text::Whole => source.text.clone(),
        Text::Code => without_comments(&source.text),
        Text::Production if is_test_file(&source.path) => String::new(),
        Text::Production => without_comments(without_tests(&source.text)),
    }
}

/// The line numbers, from 1, of the lines that hold one of the words, and the word. A word does not begin inside another.
fn lines_with<'w>(text: &str, words: &[&'w str]) -> Vec<(usize, &'w str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let holds = |word: &&&str| {
            line.match_indices(**word).any(|(at, _)| {
                let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
                !(word.starts_with(inside) && line[..at].ends_with(inside))
            })
        };
        found.extend(words.iter().filter(holds).map(|word| (index + 1, *word)));
    }
    found
}

fn check_words(tree: &[Source], findings: &mut Vec<String>) {
    for rule in RULES {
        for source in tree.iter().filter(|source| is_in_any(&source.path, rule.within)) {
            if is_in_any(&source.path, rule.home) {
                continue;
            }
            for (line, word) in lines_with(&seen(source, rule.text), rule.words) {
                findings.push(format!(
                    "{}:{line}: `{word}`: {}: {}",
                    source.path, rule.name, rule.reason
                ));
            }
        }
        for home in rule.home {
            let mut files = tree.iter().filter(|source| is_in(&source.path, home)).peekable();
            if files.peek().is_some() && files.all(|source| lines_with(&seen(source, rule.text), rule.words).is_empty())
            {
                findings.push(format!(
                    "{home}: {}: it holds none of {:?}: the rule is stale",
                    rule.name, rule.words
                ));
            }
        }
    }
}

fn check_pure(tree: &[Source], findings: &mut Vec<String>) {
    for source in tree {
        if !is_in_any(&source.path, PURE) || is_in(&source.path, FILES) {
            continue;
        }
        for (line, word) in lines_with(&seen(source, Text::Production), EFFECTS) {
            findings.push(format!(
                "{}:{line}: `{word}`: the pure core touches nothing",
                source.path
            ));
        }
    }
}

fn check_shape(tree: &[Source], findings: &mut Vec<String>) {
    for source in tree {
        let Source { path, text } = source;
        if !path.ends_with(".rs") {
            continue;
        }
        if !text.starts_with("//! ") {
            findings.push(format!("{path}:1: a file opens with `//!` and says why it is there"));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        if ["util", "utils", "common", "manager", "helper", "helpers", "misc"].contains(&name.trim_end_matches(".rs")) {
            findings.push(format!("{path}: a name that says nothing"));
        }
        let held = path.starts_with("src/") || path.starts_with("tests/orasim/src/");
        let lines = without_tests(text).lines().count();
        if held && lines > LONGEST_FILE {
            findings.push(format!(
                "{path}: {lines} lines, more than {LONGEST_FILE}: make it a folder"
            ));
        }
    }
}

/// A warrant is used up by carrying it out: with a copy of it, code could act twice.
fn check_warrant(tree: &[Source], findings: &mut Vec<String>) {
    for source in tree.iter().filter(|source| is_in(&source.path, "src/decide/guard")) {
        let code = without_comments(&source.text);
        let Some(at) = code.find("pub struct Warrant {") else {
            continue;
        };
        let above = &code[code[..at].rfind(['}', ';']).unwrap_or(0)..at];
        let body = &code[at..at + code[at..].find('}').unwrap_or(0)];
        if above.contains("Clone") || above.contains("Copy") || code.contains("Clone for Warrant") {
            findings.push(format!("{}: a warrant can be copied", source.path));
        }
        if body.lines().skip(1).any(|line| line.trim_start().starts_with("pub")) {
            findings.push(format!("{}: a field of a warrant is open", source.path));
        }
    }
}

/// The simulated database's manifest names no part of the daemon.
fn check_manifest(tree: &[Source], findings: &mut Vec<String>) {
    for source in tree.iter().filter(|source| source.path == "tests/orasim/Cargo.toml") {
        if source.text.contains("orareaper") {
            findings.push(format!("{}: orasim depends on orareaper", source.path));
        }
    }
}

/// The test programs name their files one by one: a file that none of them names would never run.
fn check_test_programs(tree: &[Source], findings: &mut Vec<String>) {
    for program in ["tests/", "tests/orasim/tests/"] {
        let Some(root) = tree.iter().find(|source| source.path == format!("{program}all.rs")) else {
            continue;
        };
        for source in tree {
            let Some(rest) = source.path.strip_prefix(program) else {
                continue;
            };
            let Some(name) = rest.strip_suffix("/mod.rs").or_else(|| rest.strip_suffix(".rs")) else {
                continue;
            };
            if !name.contains('/') && name != "all" && !root.text.contains(&format!("\nmod {name};\n")) {
                findings.push(format!(
                    "{}: {program}all.rs does not name it, so it never runs",
                    source.path
                ));
            }
        }
    }
}

/// Everything that is wrong with a tree.
fn check(tree: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    check_words(tree, &mut findings);
    check_pure(tree, &mut findings);
    check_shape(tree, &mut findings);
    check_warrant(tree, &mut findings);
    check_manifest(tree, &mut findings);
    check_test_programs(tree, &mut findings);
    names::check(tree, &mut findings);
    findings
}

/// This project.
fn project() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tree = Vec::new();
    let mut folders: Vec<String> = ["src", "tests", "benches", "examples"].map(str::to_owned).into();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap_or_else(|error| panic!("read {folder}: {error}"));
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                if !path.ends_with("/target") {
                    folders.push(path);
                }
            } else if path.ends_with(".rs") || path.ends_with("Cargo.toml") {
                let text = fs::read_to_string(entry.path()).unwrap_or_else(|error| panic!("read {path}: {error}"));
                tree.push(Source { path, text });
            }
        }
    }
    tree.sort_by(|a, b| a.path.cmp(&b.path));
    tree
}

#[test]
fn the_house_is_in_order() {
    let tree = project();
    for path in [
        "src/lib.rs",
        "src/decide/guard.rs",
        "tests/orasim/src/lib.rs",
        "tests/orasim/Cargo.toml",
        "tests/house.rs",
    ] {
        let folder = path.replace(".rs", "/mod.rs");
        let there = |source: &Source| source.path == path || source.path == folder;
        assert!(tree.iter().any(there), "{path} was not looked at");
    }
    let findings = check(&tree);
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}
