//! `plan`: one cycle on what is there now, on the databases or in a saved snapshot, and a report of it. Never acts.

use std::path::Path;

use crate::actuator::statement;
use crate::cli::{PlanArgs, Status};
use crate::clock::SystemClock;
use crate::commands::look::{Look, Rules};
use crate::commands::{deliver, say, terminal_style};
use crate::cycle::Memory;
use crate::guard::RunMode;
use crate::policy::model::Action;
use crate::report::{Report, ReportFormat, SessionRow, Subject, TextStyle, together};
use crate::session::column::{Column, Columns};

/// The statement of an action, as it would be sent on the session's own instance.
#[must_use]
pub fn statement_of(action: Action, session: &SessionRow<'_>) -> Option<String> {
    statement(action, session.key, session.sql_id, session.key.inst_id).ok()
}

/// Runs the command.
pub fn run(arguments: &PlanArgs, config: &Path, clock: SystemClock) -> Status {
    match plan(arguments, config, clock) {
        Ok(()) => Status::Fine,
        Err(status) => status,
    }
}

fn plan(arguments: &PlanArgs, config: &Path, clock: SystemClock) -> Result<(), Status> {
    let rules = Rules::load(&arguments.source, config, clock)?;
    // What a cleaning would free is asked of a report, though no policy may ask for it.
    let more: Columns = [Column::Pga].into_iter().collect();
    let looks = rules.look(&arguments.source, more)?;
    let reports: Vec<Report> = looks.iter().flatten().map(|look| report(look, arguments)).collect();
    output(arguments, &reports)?;
    if reports.len() == looks.len() {
        Ok(())
    } else {
        Err(Status::Failed)
    }
}

fn report(look: &Look, arguments: &PlanArgs) -> Report {
    let cycle = look.decide(&mut Memory::default(), arguments.assume_held);
    Report::new(&Subject {
        database: &look.database,
        taken_at: look.taken_at,
        mode: RunMode::DryRun,
        snapshot: &look.snapshot,
        set: look.rules.set(),
        plan: &cycle.plan,
        ruling: &cycle.ruling,
        notes: &look.notes,
        statement: &statement_of,
    })
}

fn output(arguments: &PlanArgs, reports: &[Report]) -> Result<(), Status> {
    let style = if arguments.output.is_none() {
        terminal_style()
    } else {
        TextStyle::default()
    };
    let rendered = together(reports, arguments.format, style);
    // What a report for programs has no place for is told beside it: an empty plan may be a file that says too little.
    if matches!(arguments.format, ReportFormat::Json | ReportFormat::Csv) {
        for note in reports.iter().flat_map(|report| &report.notes) {
            say(&format!("note: {note}"));
        }
    }
    deliver(arguments.output.as_deref(), &rendered)
}
