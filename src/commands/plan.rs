//! `plan`: reports what one cycle would do now, on the databases or on a saved snapshot. Never acts.

use std::path::Path;

use crate::cli::{ExitStatus, PlanArgs};
use crate::clock::SystemClock;
use crate::commands::look::{DatabaseSessions, Rules};
use crate::commands::{deliver, style_for};
use crate::decide::cycle::Memory;
use crate::decide::in_force::RunMode;
use crate::report::{Report, ReportSubject, together};
use crate::session::column::{Column, Columns};

/// Runs the command.
pub(crate) fn run(arguments: &PlanArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match plan(arguments, config, clock) {
        Ok(()) => ExitStatus::Fine,
        Err(status) => status,
    }
}

fn plan(arguments: &PlanArgs, config: &Path, clock: SystemClock) -> Result<(), ExitStatus> {
    let rules = Rules::load(&arguments.source, config, clock)?;
    // A report shows the PGA that the actions would free, even if no policy uses that column.
    let more: Columns = [Column::Pga].into_iter().collect();
    let looks = rules.look(&arguments.source, more)?;
    let reports = looks.iter().map(|look| match look {
        Ok(look) => report(look, arguments),
        Err(unread) => Report::unread(&unread.database, &unread.why, RunMode::DryRun),
    });
    output(arguments, &reports.collect::<Vec<Report>>())?;
    if looks.iter().all(Result::is_ok) {
        Ok(())
    } else {
        Err(ExitStatus::Failed)
    }
}

fn report(look: &DatabaseSessions, arguments: &PlanArgs) -> Report {
    let cycle = look.decide(&mut Memory::default(), arguments.assume_held);
    Report::new(&ReportSubject {
        database: &look.database,
        taken_at: look.taken_at,
        mode: RunMode::DryRun,
        snapshot: &look.snapshot,
        set: look.rules.set(),
        plan: &cycle.plan,
        ruling: &cycle.ruling,
        notes: &look.notes,
        way: look.way,
        rehearsals: None,
    })
}

fn output(arguments: &PlanArgs, reports: &[Report]) -> Result<(), ExitStatus> {
    let style = style_for(arguments.output.as_deref());
    let rendered = together(reports, arguments.format, style);
    deliver(arguments.output.as_deref(), &rendered)
}
