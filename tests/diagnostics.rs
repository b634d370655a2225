//! Golden diagnostics: the diagnostics of each file in tests/diagnostics/*.yaml, and of the configurations in its subfolder, are
//! exactly the .txt file beside it.
//!
//! Each case lists at its head, by hand, the codes of its problems and the words to be marked (`#! code: marked words`); these are
//! independent of the wording. When the wording changes, read it as the DBA who made the mistake: does it say what was expected,
//! and does it help? Then run with `UPDATE_DIAGNOSTICS=1` and review the difference.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use orareaper::policy::check_files;
use orareaper::yaml::diagnostics::Diagnostic;

/// A part of every password in the cases. No diagnostic may contain it.
const SECRET: &str = "tiger";

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date")
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    found.sort();
    found
}

/// What the case's author expects: the code and the marked words of each problem.
fn intended(text: &str) -> Vec<String> {
    let intended = text.lines().filter_map(|line| line.strip_prefix("#! "));
    intended.map(|line| line.trim().to_owned()).collect()
}

/// What one file is answered: whether it was accepted, and its problems.
type Answer = (bool, Vec<Diagnostic>);

fn of_policies(name: String, bytes: Vec<u8>) -> Answer {
    let loaded = check_files(&[(name, bytes)], today(), chrono_tz::Tz::UTC);
    (loaded.set.is_some(), loaded.diagnostics)
}

fn of_a_configuration(name: String, bytes: Vec<u8>) -> Answer {
    let loaded = orareaper::config::check(&name, &bytes, Path::new("/etc/orareaper"));
    (loaded.config.is_some(), loaded.diagnostics)
}

/// The answer as found, in both forms.
fn answer(path: &Path, read: fn(String, Vec<u8>) -> Answer) -> (Vec<String>, String) {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let bytes = std::fs::read(path).expect("readable");
    let text = String::from_utf8(bytes.clone()).expect("cases are text");
    let (accepted, problems) = read(name, bytes);
    let marked = problems
        .iter()
        .map(|one| format!("{}: {}", one.code, &text[one.span.clone()]).trim().to_owned());
    let marked = marked.collect();
    let refused = problems.iter().any(Diagnostic::is_error);
    assert_eq!(
        accepted,
        !refused,
        "{}: an error refuses the file, a warning does not",
        path.display()
    );
    let rendered: Vec<String> = problems.iter().map(|one| one.render(false) + "\n").collect();
    (marked, rendered.join("\n"))
}

/// One case: the file's mistakes, and the answer beside it.
fn check(path: &Path, read: fn(String, Vec<u8>) -> Answer) -> Result<(), String> {
    let expected_path = path.with_extension("txt");
    let (marked, found) = answer(path, read);
    let text = std::fs::read_to_string(path).expect("readable");
    if found.contains(SECRET) {
        return Err(format!("{}: the answer repeats the secret", path.display()));
    }
    if marked != intended(&text) {
        return Err(format!(
            "{}: meant {:?}, found {marked:?}\n{found}",
            path.display(),
            intended(&text)
        ));
    }
    if std::env::var_os("UPDATE_DIAGNOSTICS").is_some() {
        std::fs::write(&expected_path, &found).expect("writable");
    }
    let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{}:\n--- expected\n{expected}\n--- found\n{found}",
        path.display()
    ))
}

fn check_all(folder: &str, at_least: usize, read: fn(String, Vec<u8>) -> Answer) {
    let cases = cases(folder);
    assert!(cases.len() >= at_least, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|path| check(path, read).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_is_answered_as_reviewed() {
    check_all("tests/diagnostics", 40, of_policies);
}

/// What an answer says to write in place of what is marked.
fn replacement(problem: &Diagnostic) -> Option<&str> {
    let stands_for_the_mark = [
        "not-an-operator",
        "no-functions",
        "no-subqueries",
        "unit-apart",
        "needs-quotes",
        "double-quotes",
        "not-whole",
    ];
    if !stands_for_the_mark.contains(&problem.code) {
        return None;
    }
    let hint = problem.hint.as_deref()?.strip_prefix("write ")?;
    let bare = hint.strip_prefix('`').and_then(|hint| hint.strip_suffix('`'));
    bare.or(hint.starts_with('\'').then_some(hint))
        .filter(|text| !text.contains('`'))
}

/// Replaces the marked words of every case by the advice and checks again: the same problem must not be reported any more.
#[test]
fn every_hint_that_replaces_text_is_valid() {
    let mut followed = 0;
    for path in cases("tests/diagnostics") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        let (_, problems) = of_policies(name.clone(), text.clone().into_bytes());
        let before = followed;
        let mut better = text;
        for problem in problems.iter().rev().filter(|one| replacement(one).is_some()) {
            // Inside YAML's own quotes the advice would have to be quoted once more.
            let line = better[..problem.span.start].rsplit('\n').next().unwrap_or_default();
            if line.contains(": '") || line.contains(": \"") {
                continue;
            }
            better.replace_range(problem.span.clone(), replacement(problem).expect("it was one"));
            followed += 1;
        }
        let (_, left) = of_policies(name.clone(), better.clone().into_bytes());
        let left: Vec<String> = left
            .iter()
            .filter(|one| replacement(one).is_some() || one.code == "yaml-syntax")
            .map(|one| one.render(false))
            .filter(|_| followed > before)
            .collect();
        assert!(left.is_empty(), "{name}:\n{better}\n{}", left.join("\n"));
    }
    assert!(followed >= 40, "only {followed} pieces of advice were followed");
}

#[test]
fn every_mistake_of_a_configuration_is_answered_as_reviewed() {
    check_all("tests/diagnostics/configuration", 40, of_a_configuration);
}

/// The demo reads its policies when it runs, which takes a minute; here a mistake in them shows at once.
#[test]
fn the_policies_of_the_demo_pass_without_a_warning() {
    let text = include_bytes!("../src/commands/demo/policies.yaml").to_vec();
    let loaded = check_files(&[("demo.yaml".to_owned(), text)], today(), chrono_tz::Tz::UTC);
    let found: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_shipped_policies_pass_without_a_warning() {
    let policies = cases("policies");
    assert_eq!(policies.len(), 5);
    let files: Vec<(String, Vec<u8>)> = policies
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).expect("readable")))
        .collect();
    let loaded = check_files(&files, today(), chrono_tz::Tz::UTC);
    let found: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let set = loaded.set.expect("no error, so a set");
    assert!(
        set.policies
            .iter()
            .all(|policy| policy.mode.name() == "dry-run" && !policy.description.is_empty())
    );
    assert_eq!(set.digest.len(), 64);
}
