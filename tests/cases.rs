//! Every story under tests/cases: policies and snapshots over time in, decisions and statements out.
//!
//! A new behaviour is a new folder there, with policy.yaml, timeline.yaml and expect.yaml; nothing is added here.

use std::path::{Path, PathBuf};

use orareaper::story::run_folder;

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("tests/cases is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_case_decides_as_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folders = folders(&root);
    assert!(!folders.is_empty(), "no case was found under {}", root.display());
    let mut failed = Vec::new();
    for folder in &folders {
        let name = folder.file_name().expect("a name").to_string_lossy();
        match run_folder(folder) {
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
        let difference = run_folder(temporary.path()).expect("the story can be told");
        assert!(
            difference.is_some(),
            "this expectation is wrong and was not noticed:\n{expectation}"
        );
    }
}
