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
    ExitCode::from(commands::run(&cli).code())
}
