//! All cases: policies and snapshots over time as input, decisions and statements as output.
//!
//! The cases in tests/cases test the pipeline; a new behaviour is a new folder there with policy.yaml, timeline.yaml and
//! expect.yaml, without a change here. The cases in policies/tests test the shipped policies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use orareaper::policy::check_files;
use orareaper::policy_test::{PolicyTestError, run_folder};

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("tests/cases is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn run_all(root: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let folders = folders(&root);
    assert!(!folders.is_empty(), "no case was found under {}", root.display());
    run_each(&folders, run_folder);
    folders
}

fn run_each(folders: &[PathBuf], run: impl Fn(&Path) -> Result<Option<String>, PolicyTestError>) {
    let mut failed = Vec::new();
    for folder in folders {
        let name = folder.file_name().expect("a name").to_string_lossy();
        match run(folder) {
            Ok(None) => println!("ok   {name}"),
            Ok(Some(difference)) => failed.push(format!("{name}:\n{difference}")),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases failed\n\n{}",
        failed.len(),
        folders.len(),
        failed.join("\n")
    );
}

#[test]
fn every_case_decides_as_expected() {
    run_all("tests/cases");
}

/// The policies of a set of files.
fn policy_names(files: &[(String, Vec<u8>)]) -> Vec<String> {
    let today = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
    let loaded = check_files(files, today, chrono_tz::Tz::UTC);
    let problems: Vec<String> = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let set = loaded.set.expect("it has no problem");
    set.policies.iter().map(|policy| policy.name.to_string()).collect()
}

/// The policies that the expectations of some cases name as having acted.
fn acting(folders: &[PathBuf]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in folders {
        let text = std::fs::read_to_string(folder.join("expect.yaml")).expect("readable");
        let snapshots: serde_json::Value = serde_yaml::from_str(&text).expect("well-formed");
        let acts = snapshots.as_array().into_iter().flatten();
        let acts = acts.filter_map(|snapshot| snapshot.get("act")?.as_array()).flatten();
        names.extend(acts.filter_map(|act| Some(act.get("policy")?.as_str()?.to_owned())));
    }
    names
}

#[test]
fn every_shipped_policy_has_a_story_in_which_it_acts() {
    let folders = run_all("policies/tests");
    let acting = acting(&folders);
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(policies).expect("policies/ is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push((path.display().to_string(), std::fs::read(&path).expect("readable")));
        }
    }
    let names = policy_names(&files);
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        assert!(
            acting.contains(&name),
            "no case under policies/tests shows what {name} does"
        );
    }
}

/// The comparison itself must be able to fail: a wrong expectation of each kind is noticed.
#[test]
fn a_wrong_expectation_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/idle-longer-than");
    let temporary = tempfile::tempdir().expect("a folder");
    for file in ["policy.yaml", "timeline.yaml"] {
        std::fs::copy(root.join(file), temporary.path().join(file)).expect("copied");
    }
    let right = std::fs::read_to_string(root.join("expect.yaml")).expect("readable");
    let wrong = [
        right.replace("session: \"287,62507,@1\"", "session: \"288,62507,@1\""),
        right.replace("longer than 4h", "longer than 5h"),
        right.replace("KILL SESSION '287,62507,@1'", "KILL SESSION '287,62507,@2'"),
        right.replace("act:", "pending:"),
        "- {}\n".to_owned(),
    ];
    for expectation in wrong {
        assert_ne!(expectation, right, "the expectation was really changed");
        std::fs::write(temporary.path().join("expect.yaml"), &expectation).expect("written");
        let difference = run_folder(temporary.path()).expect("the case can be told");
        assert!(
            difference.is_some(),
            "this expectation is wrong and was not noticed:\n{expectation}"
        );
    }
}
