//! The commands of the command line.
//!
//! The result goes to standard output, everything else to standard error. A problem is reported once: what was tried, on what,
//! why it failed, and what to do.

pub mod check;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod kill;
mod log;
mod log_queue;
pub(crate) mod look;
mod man;
pub(crate) mod manners;
pub(crate) mod notify;
pub(crate) mod pause;
pub(crate) mod plan;
mod progress;
pub(crate) mod prove;
pub(crate) mod record;
mod recorded;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod sessions;
pub(crate) mod setup_sql;
mod stream;
pub(crate) mod suggest;
pub(crate) mod test;
mod watch;

use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::cli::{CONFIG, Cli, Command, ExitStatus};
use crate::clock::SystemClock;
pub(crate) use crate::commands::log::{Priority, fail, say, say_as, tell, warn};
pub use crate::commands::log::{end_log, start_log};
pub use crate::commands::manners::arrive;
use crate::commands::manners::{colour_on, manners};
use crate::commands::stream::{STANDARD_INPUT, file_of, is_stream};
use crate::config::Config;
use crate::policy::LoadedPolicies;
use crate::policy::model::PolicySet;
use crate::terminal::TextStyle;
use crate::yaml::diagnostics::Diagnostic;
use crate::yaml::node::LARGEST_FILE;

/// Runs a command.
#[must_use]
pub fn run(cli: &Cli) -> ExitStatus {
    keep_memory_private();
    let clock = SystemClock::new();
    match &cli.command {
        Command::Run { dry_run } => run::run(&cli.config, *dry_run, clock),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(arguments, cli, clock),
        Command::Plan(arguments) => plan::run(arguments, &cli.config, clock),
        Command::Explain(arguments) => explain::run(arguments, &cli.config, clock),
        Command::Sessions(arguments) => sessions::run(arguments, &cli.config, clock),
        Command::Record(arguments) => record::run(arguments, &cli.config, clock),
        Command::Replay(arguments) => replay::run(arguments, &cli.config, clock),
        Command::Suggest(arguments) => suggest::run(arguments, clock),
        Command::Check(arguments) => check::run(arguments, &cli.config, &clock),
        Command::Test(arguments) => test::run(arguments, &cli.config),
        Command::Doctor(arguments) => doctor::run(arguments, &cli.config, clock),
        Command::Notify(arguments) => notify::run(arguments, &cli.config, clock),
        Command::Prove(arguments) => prove::run(arguments, &cli.config, clock),
        Command::SetupSql(arguments) => setup_sql::run(arguments, &cli.config, clock),
        Command::History(arguments) => history::run(arguments, &cli.config, clock),
        Command::Kill(arguments) => kill::run(arguments, &cli.config, clock),
        Command::Pause { reason, state } => pause::pause(&cli.config, state.as_deref(), reason, clock),
        Command::Resume { state } => pause::resume(&cli.config, state.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            match crate::cli::complete::script(*shell, &mut script) {
                Ok(()) => print(&script),
                Err(error) => fail(&format!("write the completion script: {error}")),
            }
        }
        Command::Man { folder } => man::run(folder.as_deref()),
    }
}

/// Prevents core dumps, and access by other processes of the same user (prctl(2), PR_SET_DUMPABLE), because the memory of this
/// process contains passwords, including the drivers' copies. If the system refuses, the daemon logs a warning and continues.
fn keep_memory_private() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    let hidden = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    for (what, refused) in [("RLIMIT_CORE", limited.err()), ("PR_SET_DUMPABLE", hidden.err())] {
        if let Some(error) = refused {
            tracing::warn!(
                error = error.to_string(),
                "cannot set {what}: a core dump would contain passwords"
            );
        }
    }
}

/// Writes a result. A closed pipe is not an error: the reader has seen enough.
pub(crate) fn print(bytes: &[u8]) -> ExitStatus {
    match write(bytes) {
        Ok(_) => ExitStatus::Fine,
        Err(status) => status,
    }
}

/// Writes a result. `false` if the reader has closed the pipe.
pub(crate) fn write(bytes: &[u8]) -> Result<bool, ExitStatus> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(fail(&format!("write the result: {error}"))),
    }
}

/// Writes a report to a file, or to standard output if none is given or it is `-`.
pub(crate) fn deliver(file: Option<&Path>, report: &str) -> Result<(), ExitStatus> {
    match file_of(file) {
        Some(file) => replaceable(file)
            .and_then(|()| std::fs::write(file, report))
            .map_err(|error| fail(&format!("write the report to {}: {error}", file.display()))),
        None => write(report.as_bytes()).map(|_| ()),
    }
}

/// Whether a report can be written to a file later; for commands that run long before they have one. What is there stays as it is.
pub(crate) fn deliverable(file: Option<&Path>) -> Result<(), ExitStatus> {
    let Some(file) = file_of(file) else { return Ok(()) };
    let tried = replaceable(file).and_then(|()| match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(_) => std::fs::remove_file(file),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        // A pipe that is opened and closed has ended for its reader.
        Err(_) if file.is_file() || file.is_dir() => OpenOptions::new().write(true).open(file).map(|_| ()),
        Err(_) => Ok(()),
    });
    tried.map_err(|error| fail(&format!("write the report to {}: {error}", file.display())))
}

/// Whether a report may take the place of a file: not of what the daemon lives by, which a mistyped name must not cost.
///
/// # Errors
/// What the file is.
fn replaceable(file: &Path) -> std::io::Result<()> {
    const LOOKED_AT: u64 = 1 << 20;
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let mut content = Vec::new();
    if file.is_file() {
        // What cannot be read is none of them to this user; the attempt to write it says more.
        if let Ok(open) = std::fs::File::open(file) {
            open.take(LOOKED_AT).read_to_end(&mut content)?;
        }
    }
    let begins = |key: &str| {
        let mut lines = content.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(key.as_bytes()))
    };
    let is = if !content.is_empty() && name.starts_with("journal") && name.ends_with(".jsonl") {
        "a journal"
    } else if ["databases:", "include:", "defaults:"].into_iter().any(begins) {
        "a configuration"
    } else if ["policies:", "exemptions:"].into_iter().any(begins) {
        "a file of policies"
    } else {
        return Ok(());
    };
    let why = format!("it is {is} and is not replaced; give another name, or remove it first");
    Err(std::io::Error::new(ErrorKind::AlreadyExists, why))
}

/// The style of a result that goes to a file, or to standard output if none is given or it is `-`.
pub(crate) fn style_for(file: Option<&Path>) -> TextStyle {
    match file_of(file) {
        Some(_) => TextStyle {
            detail: manners().detail(),
            ..TextStyle::WHOLE
        },
        None => terminal_style(),
    }
}

/// On a terminal its width; in a pipe or a file nothing is cut, because there is no screen to fit. The colours and the detail are those
/// that were asked for.
pub(crate) fn terminal_style() -> TextStyle {
    let out = std::io::stdout();
    let style = TextStyle {
        colour: colour_on(&out),
        detail: manners().detail(),
        ..TextStyle::WHOLE
    };
    if !out.is_terminal() {
        return style;
    }
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    TextStyle {
        width: width.unwrap_or(TextStyle::default().width),
        ..style
    }
}

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
