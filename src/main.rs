//! The program: what was typed, the log, the command, the exit status.

use std::process::ExitCode;

use clap::Parser;
use orareaper::cli::Cli;
use orareaper::commands;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(status) = commands::start_log(&cli) {
        return ExitCode::from(status.code());
    }
    let status = commands::run(&cli);
    commands::end_log();
    ExitCode::from(status.code())
}
