//! `test`: runs policy tests, each a folder with policy.yaml, timeline.yaml and expect.yaml.

use std::path::{Path, PathBuf};

use crate::cli::{Status, TestArgs};
use crate::commands::{fail, print, say};
use crate::story::run_folder;

/// Runs the command.
pub fn run(arguments: &TestArgs) -> Status {
    let mut tests = Vec::new();
    for path in &arguments.paths {
        if let Err(error) = find(path, &mut tests) {
            return fail(&format!("look for tests in {}: {error}", path.display()));
        }
    }
    tests.sort();
    if tests.is_empty() {
        return fail("no test found: a test is a folder with policy.yaml, timeline.yaml and expect.yaml");
    }
    let mut failed = 0;
    for test in &tests {
        match run_folder(test) {
            Ok(None) => {
                print(format!("ok      {}\n", test.display()).as_bytes());
            }
            Ok(Some(difference)) => {
                failed += 1;
                print(format!("FAILED  {}\n{difference}", test.display()).as_bytes());
            }
            Err(error) => {
                failed += 1;
                print(format!("FAILED  {}\n{error}\n", test.display()).as_bytes());
            }
        }
    }
    say(&format!("{} passed, {failed} failed", tests.len() - failed));
    if failed == 0 { Status::Fine } else { Status::Findings }
}

/// Folders deeper than this are not looked into.
const DEEPEST: usize = 8;

fn find(path: &Path, tests: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut folders = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if folder.join("expect.yaml").is_file() {
            tests.push(folder);
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && depth < DEEPEST {
                folders.push((path, depth + 1));
            }
        }
    }
    Ok(())
}
