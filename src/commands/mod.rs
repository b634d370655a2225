//! What each command does.
//!
//! The result goes to standard output, everything about the work to standard error. A problem is told once, with what was
//! tried, on what, why, and what to do.

pub mod check;
#[cfg(feature = "demo")]
pub mod demo;
pub mod explain;
pub mod history;
mod log;
mod log_queue;
pub(crate) mod look;
pub mod pause;
pub mod plan;
mod progress;
pub mod record;
pub mod replay;
pub mod run;
pub mod sessions;
pub mod test;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::cli::{CONFIG, Cli, Command, Status};
use crate::clock::SystemClock;
pub(crate) use crate::commands::log::{Priority, fail, say, say_as};
pub use crate::commands::log::{end_log, start_log};
use crate::config::Config;
use crate::policy::model::PolicySet;
use crate::terminal::TextStyle;
use crate::yaml::diagnostics::Diagnostic;

/// Runs a command.
#[must_use]
pub fn run(cli: &Cli) -> Status {
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
        Command::Check(arguments) => check::run(arguments, &cli.config, &clock),
        Command::Test(arguments) => test::run(arguments, &cli.config),
        Command::History(arguments) => history::run(arguments, &cli.config, clock),
        Command::Pause { reason, state } => pause::pause(&cli.config, state.as_deref(), reason, clock),
        Command::Resume { state } => pause::resume(&cli.config, state.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            crate::cli::completions(*shell, &mut script);
            print(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            match crate::cli::man(&mut page) {
                Ok(()) => print(&page),
                Err(error) => fail(&format!("write the manual page: {error}")),
            }
        }
    }
}

/// Passwords are in this process's memory, a driver's copies among them: no core dump is written, and no other process of the
/// same user may look into it (prctl(2), PR_SET_DUMPABLE). Where the system refuses, the daemon works all the same.
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
                "cannot set {what}: a core dump would hold passwords"
            );
        }
    }
}

/// Writes a result. A reader that has seen enough is no error.
pub(crate) fn print(bytes: &[u8]) -> Status {
    match write(bytes) {
        Ok(_) => Status::Fine,
        Err(status) => status,
    }
}

/// Writes a result; whether anybody still reads.
pub(crate) fn write(bytes: &[u8]) -> Result<bool, Status> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(fail(&format!("write the result: {error}"))),
    }
}

/// Writes a report to a file, or where none is given to standard output.
pub(crate) fn deliver(file: Option<&Path>, report: &str) -> Result<(), Status> {
    match file {
        Some(file) => std::fs::write(file, report)
            .map_err(|error| fail(&format!("write the report to {}: {error}", file.display()))),
        None => write(report.as_bytes()).map(|_| ()),
    }
}

/// How a result is laid out that goes to a file or, where none is given, to standard output.
pub(crate) fn style_for(file: Option<&Path>) -> TextStyle {
    match file {
        Some(_) => TextStyle::WHOLE,
        None => terminal_style(),
    }
}

/// As wide as the terminal, in colour if it is one and does not ask for none. In a pipe or a file nothing is cut: whoever
/// reads on there has no screen to fit.
pub(crate) fn terminal_style() -> TextStyle {
    if !std::io::stdout().is_terminal() {
        return TextStyle::WHOLE;
    }
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    TextStyle {
        width: width.unwrap_or(TextStyle::default().width),
        colour: std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Tells all problems; whether one of them is an error.
pub(crate) fn tell_problems(problems: &[Diagnostic]) -> bool {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
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

/// The exit status for files that do not check: what could not be read at all is no finding.
pub(crate) fn refused(problems: &[Diagnostic]) -> Status {
    let unread = |problem: &Diagnostic| problem.is_error() && problem.code == "unreadable-file";
    if problems.iter().any(unread) {
        Status::Failed
    } else {
        Status::Findings
    }
}

/// Tells that there is no configuration.
pub(crate) fn no_config(path: &Path) -> Status {
    let hint = if path == Path::new(CONFIG) {
        "; write one, or name another with --config"
    } else {
        ""
    };
    fail(&format!(
        "read the configuration {}: there is no such file{hint}",
        path.display()
    ))
}

/// The configuration, or its problems told.
pub(crate) fn load_config(path: &Path) -> Result<Config, Status> {
    if !path.exists() {
        return Err(no_config(path));
    }
    let loaded = crate::config::load(path);
    tell_problems(&loaded.diagnostics);
    loaded.config.ok_or_else(|| {
        fail(&format!(
            "the configuration {} does not check; nothing was loaded",
            path.display()
        ));
        refused(&loaded.diagnostics)
    })
}

/// The policies, or their problems told.
pub(crate) fn load_policies(paths: &[PathBuf], today: NaiveDate, zone: Tz) -> Result<Arc<PolicySet>, Status> {
    let loaded = crate::policy::load(paths, today, zone);
    tell_problems(&loaded.diagnostics);
    loaded.set.map(Arc::new).ok_or_else(|| {
        fail("the policies do not check; nothing was loaded");
        refused(&loaded.diagnostics)
    })
}
