//! `check`: validates the configuration and the policies, and reports every problem of every file in one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::{CheckArgs, CheckFormat, Status};
use crate::clock::Clock;
use crate::commands::{load_config, print, refused, say, tell_problems};
use crate::policy::diagnostics::Diagnostic;

/// Runs the command.
pub fn run(arguments: &CheckArgs, config: &Path, clock: &dyn Clock) -> Status {
    if arguments.print_schema {
        print(crate::policy::schema().as_bytes());
        return Status::Fine;
    }
    let (paths, zone, databases) = if arguments.paths.is_empty() {
        match load_config(config) {
            Ok(config) => {
                let names = config.databases.iter().map(|database| database.name.clone()).collect();
                (config.policies, config.timezone, Some(names))
            }
            Err(status) => return status,
        }
    } else {
        (arguments.paths.clone(), chrono_tz::UTC, None::<Vec<Arc<str>>>)
    };
    let (configurations, policies): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| is_configuration(path));
    let mut problems: Vec<Diagnostic> = Vec::new();
    let mut files = configurations.len();
    for path in &configurations {
        problems.extend(crate::config::load(path).diagnostics);
    }
    let mut found = 0;
    if !policies.is_empty() {
        let loaded = crate::policy::load(&policies, clock.today(zone), zone);
        files += loaded.files;
        found = loaded.set.as_ref().map_or(0, |set| set.policies.len());
        problems.extend(loaded.diagnostics);
        if let (Some(set), Some(names)) = (&loaded.set, &databases) {
            problems.extend(crate::policy::unmatched_databases(set, names));
        }
    }
    tell(arguments.format, &problems);
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    if arguments.format == CheckFormat::Text {
        say(&format!(
            "{}, {}, {}, {}",
            count(files, "file"),
            count(found, "policy"),
            count(errors, "error"),
            count(warnings, "warning")
        ));
    }
    if errors == 0 { Status::Fine } else { refused(&problems) }
}

fn count(number: usize, noun: &str) -> String {
    match (number, noun) {
        (1, noun) => format!("1 {noun}"),
        (number, "policy") => format!("{number} policies"),
        (number, noun) => format!("{number} {noun}s"),
    }
}

/// A configuration says which databases there are; a policy file never does.
fn is_configuration(path: &Path) -> bool {
    // Only as much as a file may hold: what is larger is refused by whoever reads it next.
    crate::policy::read_file(path).is_ok_and(|bytes| {
        String::from_utf8_lossy(&bytes)
            .lines()
            .any(|line| line.trim_end() == "databases:" || line.starts_with("databases: "))
    })
}

fn tell(format: CheckFormat, problems: &[Diagnostic]) {
    match format {
        CheckFormat::Text => {
            tell_problems(problems);
        }
        CheckFormat::Short => {
            let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            print(lines.as_bytes());
        }
        CheckFormat::Json => {
            let all: Vec<serde_json::Value> = problems.iter().map(as_json).collect();
            print(format!("{}\n", serde_json::Value::Array(all)).as_bytes());
        }
    }
}

/// Stable: keys are added, never renamed. `line` and `column` count from 1 and are null for a whole file.
fn as_json(problem: &Diagnostic) -> serde_json::Value {
    let place = |number: usize| (number > 0).then_some(number);
    serde_json::json!({
        "severity": problem.severity.name(),
        "code": problem.code,
        "file": &*problem.file,
        "line": place(problem.line),
        "column": place(problem.column),
        "offset": problem.span.start,
        "length": problem.span.len(),
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
    })
}
