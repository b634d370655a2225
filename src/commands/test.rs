//! `test`: runs policy tests. A test is a folder with timeline.yaml, expect.yaml and the policies or their file names.

use std::path::{Path, PathBuf};

use crate::cli::{ExitStatus, TestArgs};
use crate::commands::manners::manners;
use crate::commands::stream::is_stream;
use crate::commands::{deliver, fail, load_config, print, say, tell};
use crate::policy_test::junit::{Case, TestResult, junit};
use crate::policy_test::run_folder;

/// Runs the command.
pub(crate) fn run(arguments: &TestArgs, config: &Path) -> ExitStatus {
    let paths = if arguments.paths.is_empty() {
        match load_config(config) {
            Ok(config) => beside(&config.policies),
            Err(status) => return status,
        }
    } else {
        arguments.paths.clone()
    };
    let mut tests = Vec::new();
    for path in &paths {
        if is_stream(path) {
            return fail("look for tests in standard input: a test is a folder, so name the folder, or one above it");
        }
        let before = tests.len();
        if let Err(error) = find(path, &mut tests) {
            return fail(&format!("look for tests in {}: {error}", path.display()));
        }
        if tests.len() == before {
            return fail(&format!(
                "no test found in {}: a test is a folder with timeline.yaml, expect.yaml and either policy.yaml or, in \
                 timeline.yaml, the names of the policy files under `policies:`",
                path.display()
            ));
        }
    }
    tests.sort();
    tests.dedup();
    let cases: Vec<Case> = tests.iter().map(|test| case(test)).collect();
    // Standard output has one result.
    let xml_here = arguments.junit.as_deref().is_some_and(is_stream);
    for (test, case) in tests.iter().zip(&cases) {
        let shown = test.display();
        let line = match &case.verdict {
            TestResult::Passed if manners().quiet => continue,
            TestResult::Passed => format!("ok      {shown}\n"),
            TestResult::Failed(difference) => format!("FAILED  {shown}\n{difference}"),
            TestResult::Broken(error) => format!("FAILED  {shown}\n{error}\n"),
        };
        if xml_here {
            tell(line.trim_end());
        } else {
            print(line.as_bytes());
        }
    }
    let failed = cases.iter().filter(|case| case.verdict != TestResult::Passed).count();
    say(&format!("{} passed, {failed} failed", cases.len() - failed));
    if let Some(file) = &arguments.junit
        && let Err(status) = deliver(Some(file), &junit(&cases))
    {
        return status;
    }
    if failed == 0 {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    }
}

/// The folders of the configured policies: a configured folder itself, or the part of a path before a file name or a star.
fn beside(policies: &[PathBuf]) -> Vec<PathBuf> {
    let folder = |path: &PathBuf| path.ancestors().find(|part| part.is_dir()).map(Path::to_owned);
    let mut folders: Vec<PathBuf> = policies.iter().filter_map(folder).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn case(test: &Path) -> Case {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or(test.as_os_str()).to_string_lossy().into_owned();
    Case {
        group: text(test.parent().map(Path::as_os_str)),
        name: text(test.file_name()),
        verdict: match run_folder(test) {
            Ok(None) => TestResult::Passed,
            Ok(Some(difference)) => TestResult::Failed(difference),
            Err(error) => TestResult::Broken(error.to_string()),
        },
    }
}

/// The search for tests does not go deeper than this.
const DEEPEST: usize = 8;

/// A folder with one of the two files of a test is a test: if the other file is missing or misspelt, the test fails instead of
/// disappearing.
fn find(path: &Path, tests: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut folders = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if ["expect.yaml", "timeline.yaml"]
            .iter()
            .any(|file| folder.join(file).symlink_metadata().is_ok())
        {
            tests.push(folder);
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && depth < DEEPEST {
                folders.push((path, depth + 1));
            }
        }
    }
    Ok(())
}
