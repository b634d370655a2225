//! `plan`: reports what one cycle would do now, on the databases or on a saved snapshot, repeatedly with `--watch`. Never acts.

use std::path::Path;

use crate::cli::{ExitStatus, PlanArgs};
use crate::clock::SystemClock;
use crate::commands::look::{DatabaseReader, DatabaseSessions, Looked, Rules, Unread, rhythm};
use crate::commands::sessions::goes_on;
use crate::commands::watch::{Watched, watch};
use crate::commands::{deliver, fail, style_for, tell_what_only_the_daemon_knows};
use crate::decide::cycle::Memory;
use crate::decide::in_force::{Rhythm, RunMode};
use crate::report::{Report, ReportFormat, ReportSubject, together};
use crate::session::column::{Column, Columns};
use crate::terminal::TextStyle;

/// Runs the command.
pub(crate) fn run(arguments: &PlanArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match plan(arguments, config, clock) {
        Ok(()) => ExitStatus::Fine,
        Err(status) => status,
    }
}

/// A report shows the PGA that the actions would free, even if no policy uses that column.
fn needs() -> Columns {
    [Column::Pga].into_iter().collect()
}

fn plan(arguments: &PlanArgs, config: &Path, clock: SystemClock) -> Result<(), ExitStatus> {
    if let Some(every) = arguments.watch.watch {
        repeatable(arguments.format)?;
        let rules = Rules::load(&arguments.source, config, clock)?;
        let mut watched = WatchedPlan {
            readers: rules.readers(&arguments.source)?,
            rules: &rules,
            arguments,
            rhythm: rhythm(every),
            reports: None,
            unread: Vec::new(),
        };
        return watch(every, arguments.format == ReportFormat::Text, clock, &mut watched);
    }
    let rules = Rules::load(&arguments.source, config, clock)?;
    let looks = rules.look(&arguments.source, needs())?;
    let reports: Vec<Report> = looks
        .iter()
        .map(|look| report(look, &mut Memory::default(), arguments))
        .collect();
    output(arguments, &reports)?;
    if arguments.source.snapshot.is_none() {
        tell_what_only_the_daemon_knows();
    }
    if looks.iter().all(Result::is_ok) {
        Ok(())
    } else {
        Err(ExitStatus::Failed)
    }
}

/// A page cannot follow another one in the same file.
fn repeatable(format: ReportFormat) -> Result<(), ExitStatus> {
    match format {
        ReportFormat::Text | ReportFormat::Json | ReportFormat::JsonLines | ReportFormat::Csv => Ok(()),
        ReportFormat::Markdown | ReportFormat::Html => Err(fail(&format!(
            "--watch writes one report after the other, which the format {} has no place for; use text, csv, json or jsonl",
            format.name()
        ))),
    }
}

fn report(look: &Looked, memory: &mut Memory, arguments: &PlanArgs) -> Report {
    match look {
        Ok(look) => of_sessions(look, memory, arguments),
        Err(unread) => Report::unread(&unread.database, &unread.why, RunMode::DryRun),
    }
}

fn of_sessions(look: &DatabaseSessions, memory: &mut Memory, arguments: &PlanArgs) -> Report {
    let cycle = look.decide(memory, arguments.assume_held);
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

/// The plan of each database, made anew in each round. What needs several snapshots is known from the second on.
struct WatchedPlan<'a> {
    readers: Vec<DatabaseReader>,
    rules: &'a Rules,
    arguments: &'a PlanArgs,
    rhythm: Rhythm,
    /// What was decided last.
    reports: Option<Vec<Report>>,
    unread: Vec<Unread>,
}

impl Watched for WatchedPlan<'_> {
    fn read(&mut self) -> Result<(), ExitStatus> {
        let looks = self.rules.read_all(&mut self.readers, needs(), Some(self.rhythm));
        goes_on(&looks, &self.readers, self.reports.is_none())?;
        let each = looks.iter().zip(&mut self.readers);
        let reports = each.map(|(look, reader)| report(look, &mut reader.memory, self.arguments));
        self.reports = Some(reports.collect());
        self.unread = looks.into_iter().filter_map(Result::err).collect();
        Ok(())
    }

    fn tell(&self) {
        self.unread.iter().for_each(Unread::tell);
    }

    fn show(&self, style: TextStyle, is_first: bool) -> Vec<String> {
        let reports = self.reports.as_deref().unwrap_or_default();
        let format = self.arguments.format;
        if format == ReportFormat::Text {
            return reports.iter().map(|report| report.to_text(style)).collect();
        }
        let shown = together(reports, format, style);
        let rows = match (format, is_first, shown.split_once('\n')) {
            (ReportFormat::Csv, false, Some((_, rows))) => rows.to_owned(),
            _ => shown,
        };
        vec![rows]
    }
}
