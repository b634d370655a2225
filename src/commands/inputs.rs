//! What commands read: the configuration and the policies, with what is wrong in them.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::cli::{CONFIG, ExitStatus};
use crate::commands::log::{Priority, fail, say, say_as};
use crate::commands::manners::colour_on;
use crate::commands::stream::{STANDARD_INPUT, is_stream};
use crate::config::Config;
use crate::policy::LoadedPolicies;
use crate::policy::model::PolicySet;
use crate::yaml::diagnostics::Diagnostic;
use crate::yaml::node::LARGEST_FILE;

/// Reports all problems. `true` if one of them is an error.
pub(crate) fn tell_problems(problems: &[Diagnostic]) -> bool {
    let colour = colour_on(&std::io::stderr());
    for problem in problems {
        let priority = if problem.is_error() {
            Priority::Error
        } else {
            Priority::Warning
        };
        say_as(priority, &problem.render(colour));
    }
    problems.iter().any(Diagnostic::is_error)
}

/// The exit status for invalid files: an unreadable file is a failure, not a finding.
pub(crate) fn refused(problems: &[Diagnostic]) -> ExitStatus {
    let unread = |problem: &Diagnostic| problem.is_error() && problem.code == "unreadable-file";
    if problems.iter().any(unread) {
        ExitStatus::Failed
    } else {
        ExitStatus::Findings
    }
}

/// Reports that there is no configuration.
pub(crate) fn no_config(path: &Path) -> ExitStatus {
    if is_stream(path) {
        return fail(
            "read the configuration from standard input: that is not possible, because the files that it names are looked for beside it; \
             save it, and name the file with --config",
        );
    }
    let hint = if path == Path::new(CONFIG) {
        "; create it, or name another file with --config"
    } else {
        ""
    };
    fail(&format!(
        "read the configuration {}: the file does not exist{hint}",
        path.display()
    ))
}

/// The error for a database that the configuration does not have.
pub(crate) fn no_database<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let hint = crate::yaml::diagnostics::did_you_mean(name, known);
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    format!("the configuration has no database {name}{hint}")
}

/// Says what only a running daemon knows, which a command that reads the database by itself cannot show.
pub(crate) fn tell_what_only_the_daemon_knows() {
    say(
        "note: a pause, budgets that are used up and groups that a policy is suspended for are a running daemon's, and no part of this: \
         see its status page, `orareaper history` and its metrics",
    );
}

/// Loads the configuration and reports its problems.
pub(crate) fn load_config(path: &Path) -> Result<Config, ExitStatus> {
    if !path.exists() {
        return Err(no_config(path));
    }
    let loaded = crate::config::load(path);
    tell_problems(&loaded.diagnostics);
    loaded.config.ok_or_else(|| {
        fail(&format!(
            "the configuration {} is invalid; nothing was loaded",
            path.display()
        ));
        refused(&loaded.diagnostics)
    })
}

/// Finds, reads and checks policies; `-` among the paths is a file on standard input.
pub(crate) fn found_policies(paths: &[PathBuf], today: NaiveDate, zone: Tz) -> LoadedPolicies {
    let (streams, paths): (Vec<PathBuf>, Vec<PathBuf>) = paths.iter().cloned().partition(|path| is_stream(path));
    if streams.is_empty() {
        return crate::policy::load(&paths, today, zone);
    }
    let mut bytes = Vec::new();
    // One byte more than the largest file, so that a larger one is refused.
    let read = std::io::stdin().take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) => crate::policy::load_with(&paths, Some((STANDARD_INPUT.to_owned(), bytes)), today, zone),
        Err(error) => {
            let mut loaded = crate::policy::load(&paths, today, zone);
            let message = format!("cannot read the file: {error}");
            loaded.set = None;
            loaded
                .diagnostics
                .push(Diagnostic::of_file(STANDARD_INPUT, "unreadable-file", message));
            loaded
        }
    }
}

/// Standard input can be read once.
pub(crate) fn read_once(file: Option<&Path>, what: &str, policies: &[PathBuf]) -> Result<(), ExitStatus> {
    if file.is_some_and(is_stream) && policies.iter().any(|path| is_stream(path)) {
        return Err(fail(&format!(
            "{what} and --policies are both `-`, but standard input can be read only once: name a file for one of them"
        )));
    }
    Ok(())
}

/// Loads the policies and reports their problems.
pub(crate) fn load_policies(paths: &[PathBuf], today: NaiveDate, zone: Tz) -> Result<Arc<PolicySet>, ExitStatus> {
    let loaded = found_policies(paths, today, zone);
    tell_problems(&loaded.diagnostics);
    loaded.set.map(Arc::new).ok_or_else(|| {
        fail("the policies are invalid; nothing was loaded");
        refused(&loaded.diagnostics)
    })
}
