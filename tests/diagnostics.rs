//! Golden diagnostics: every mistake of tests/diagnostics/*.yaml is answered exactly as the .txt beside it says.
//!
//! Each case says on top, by hand, which problems it has and which words are to be marked (`#! code: marked words`); this
//! holds whatever the wording. When a wording changes, read the new one as the DBA who made the mistake: does it say what
//! was expected, and help? Then run with `UPDATE_DIAGNOSTICS=1` and review the difference.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use orareaper::policy::check_files;

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

/// The answer as found, in both forms.
fn answer(path: &Path) -> (Vec<String>, String) {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let bytes = std::fs::read(path).expect("readable");
    let text = String::from_utf8(bytes.clone()).expect("cases are text");
    let loaded = check_files(&[(name, bytes)], today(), chrono_tz::Tz::UTC);
    let marked = loaded
        .diagnostics
        .iter()
        .map(|one| format!("{}: {}", one.code, &text[one.span.clone()]).trim().to_owned());
    let marked = marked.collect();
    let refused = loaded.diagnostics.iter().any(|one| one.is_error());
    assert_eq!(
        loaded.set.is_none(),
        refused,
        "{}: an error refuses the set, a warning does not",
        path.display()
    );
    let rendered: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false) + "\n").collect();
    (marked, rendered.join("\n"))
}

/// One case: the file's mistakes, and the answer beside it.
fn check(path: &Path) -> Result<(), String> {
    let expected_path = path.with_extension("txt");
    let (marked, found) = answer(path);
    let text = std::fs::read_to_string(path).expect("readable");
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

#[test]
fn every_mistake_is_answered_as_reviewed() {
    let cases = cases("tests/diagnostics");
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|path| check(path).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
