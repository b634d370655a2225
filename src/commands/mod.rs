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
mod inputs;
pub(crate) mod kill;
mod log;
mod log_queue;
pub(crate) mod look;
mod man;
pub(crate) mod manners;
pub(crate) mod notify;
mod output;
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

use crate::cli::{Cli, Command, ExitStatus};
use crate::clock::SystemClock;
pub(crate) use crate::commands::inputs::{
    found_policies, load_config, load_policies, no_config, no_database, read_once, refused, tell_problems,
    tell_what_only_the_daemon_knows,
};
pub(crate) use crate::commands::log::{Priority, fail, say, say_as, tell, warn};
pub use crate::commands::log::{end_log, start_log};
pub use crate::commands::manners::arrive;
pub(crate) use crate::commands::output::{deliver, deliverable, print, style_for, terminal_style, write};

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
