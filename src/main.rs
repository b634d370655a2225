//! The program: what was typed, the log, the command, the exit status.

use std::process::ExitCode;

use orareaper::commands;

fn main() -> ExitCode {
    let cli = match commands::arrive() {
        Ok(cli) => cli,
        Err(status) => return ExitCode::from(status.code()),
    };
    if let Err(status) = commands::start_log(&cli) {
        return ExitCode::from(status.code());
    }
    let status = commands::run(&cli);
    commands::end_log();
    ExitCode::from(status.code())
}
