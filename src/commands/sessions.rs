//! `sessions`: lists the current sessions with each policy's decision, repeatedly with `--watch`.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use crate::cli::{ExitStatus, ListFormat, SessionsArgs};
use crate::clock::SystemClock;
use crate::commands::look::{DatabaseSessions, Looked, Rules};
use crate::commands::{tell_problems, terminal_style, write};
use crate::decide::cycle::Memory;
use crate::decide::evaluate::{columns_of, missing_columns};
use crate::policy::condition::Condition;
use crate::policy::condition_and_problems;
use crate::report::Listing;
use crate::session::column::Columns;

/// Clears a terminal and moves the cursor to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Runs the command.
pub(crate) fn run(arguments: &SessionsArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match sessions(arguments, config, clock) {
        Ok(()) => ExitStatus::Fine,
        Err(status) => status,
    }
}

fn sessions(arguments: &SessionsArgs, config: &Path, clock: SystemClock) -> Result<(), ExitStatus> {
    let condition = arguments.condition.as_deref().map(understood).transpose()?;
    let rules = Rules::load_if_any(&arguments.source, config, clock)?;
    let more = condition.as_ref().map_or(Columns::NONE, columns_of);
    let Some(seconds) = arguments.watch else {
        let looks = rules.look(&arguments.source, more)?;
        write(show(arguments, condition.as_ref(), &looks, true).as_bytes())?;
        return if looks.iter().all(Result::is_ok) {
            Ok(())
        } else {
            Err(ExitStatus::Failed)
        };
    };
    let mut readers = rules.readers(&arguments.source)?;
    let clear = arguments.format == ListFormat::Text && std::io::stdout().is_terminal();
    let mut first = true;
    loop {
        let looks = rules.read_all(&mut readers, more);
        if !looks.is_empty() && looks.iter().all(Result::is_err) {
            return Err(ExitStatus::Failed);
        }
        let shown = show(arguments, condition.as_ref(), &looks, first);
        let shown = if clear { format!("{CLEAR}{shown}") } else { shown };
        if !write(shown.as_bytes())? {
            return Ok(());
        }
        first = false;
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

/// The condition, with what `check` would say of it in a policy on standard error.
fn understood(text: &str) -> Result<Condition, ExitStatus> {
    let (condition, problems) = condition_and_problems(text);
    tell_problems(&problems);
    condition.ok_or(ExitStatus::Failed)
}

/// The lists of all databases that could be read.
fn show(arguments: &SessionsArgs, condition: Option<&Condition>, looks: &[Looked], with_header: bool) -> String {
    let mut out = String::new();
    for (at, look) in looks.iter().flatten().enumerate() {
        let listing = listing(look, condition, arguments.all);
        match arguments.format {
            ListFormat::Text => {
                if at > 0 {
                    out.push('\n');
                }
                out.push_str(&listing.to_text(terminal_style()));
            }
            ListFormat::Csv => out.push_str(&listing.to_csv(with_header && at == 0)),
            ListFormat::Json => out.push_str(&listing.to_json()),
        }
    }
    out
}

fn listing(look: &DatabaseSessions, condition: Option<&Condition>, all: bool) -> Listing {
    let cycle = look.decide(&mut Memory::default(), false);
    let mut listing = Listing::new(
        &look.database,
        look.taken_at,
        &look.snapshot,
        condition,
        all,
        look.rules.set(),
        &cycle.ruling,
    );
    listing.notes.clone_from(&look.notes);
    for column in condition.map_or_else(Vec::new, |condition| missing_columns(condition, &look.snapshot)) {
        listing.notes.push(format!(
            "column {} is missing: each part of the condition that uses it is unknown for all sessions",
            column.name()
        ));
    }
    listing
}
