//! `replay`: reports what the policies would have done over a recording. Never acts, and needs no database.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::cli::{ExitStatus, ReplayArgs};
use crate::clock::SystemClock;
use crate::columns_needed;
use crate::commands::look;
use crate::commands::recorded::{EachError, OpenRecording};
use crate::commands::stream::{file_of, source_name};
use crate::commands::{deliver, deliverable, fail, read_once, style_for};
use crate::decide::in_force::{Rhythm, RunMode};
use crate::decide::used_again::Rehearsals;
use crate::oracle::capabilities::Way;
use crate::policy::model::PolicySet;
use crate::recording::RecordedSnapshot;
use crate::replay::{Curve, CurveReplay, Replay, ReplaySetting, ReplayedCycle};
use crate::report::{Report, ReportFormat, ReportSubject};

/// Runs the command.
pub(crate) fn run(arguments: &ReplayArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match replay(arguments, config, clock) {
        Ok(status) | Err(status) => status,
    }
}

fn replay(arguments: &ReplayArgs, config: &Path, clock: SystemClock) -> Result<ExitStatus, ExitStatus> {
    read_once(Some(&arguments.file), "FILE", &arguments.policies)?;
    let loaded = look::Rules::of_policies_alone(&arguments.policies, config, clock)?;
    let wanted = columns_needed::columns_of_recording(&loaded.set);
    let mut recording = OpenRecording::open(&arguments.file, wanted)?;
    let header = recording.header().clone();
    let every = TimeDelta::from_std(header.every).unwrap_or(TimeDelta::MAX);
    let set = Arc::clone(&loaded.set);
    let setting = ReplaySetting {
        rules: loaded.of_file(Some(&header.database)),
        database: header.database.clone(),
        rhythm: Rhythm::of(every),
        assume_held: arguments.assume_held,
    };
    let curve = arguments.curve.as_deref();
    let curve = curve.map(|policy| CurveReplay::new(&setting, policy)).transpose();
    let mut curve = curve.map_err(|none| fail(&format!("--curve: {none}")))?;
    let mut replay = Replay::new(setting);
    let has_lines = matches!(arguments.format, ReportFormat::Json | ReportFormat::JsonLines);
    let output = file_of(arguments.output.as_deref());
    deliverable(output)?;
    let mut lines = PlanLines::open(arguments)?;
    // No bar between the lines of a result.
    let silent = has_lines && output.is_none() && io::stdout().is_terminal();
    let read = recording.each(silent, |mut recorded| {
        let step = replay.step(&mut recorded);
        if let Some(curve) = &mut curve {
            curve.step(&recorded);
        }
        let Some(step) = &step else { return Ok(None) };
        lines.add(&header.database, &set, (&recorded, step), replay.rehearsals())?;
        Ok(Some(step.now))
    });
    let read = read.map_err(|error| error.told())?;
    read.has_something(&source_name(&arguments.file))?;
    read.tell_damage();
    let curve = curve.map(CurveReplay::into_curve);
    lines
        .finish(curve.as_ref())
        .map_err(|error| EachError::Unwritten(error).told())?;
    if !has_lines {
        let totals = replay
            .into_totals()
            .with_curve(curve)
            .render(arguments.format, style_for(output));
        deliver(output, &totals)?;
    }
    Ok(if read.damaged == 0 {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    })
}

/// Writes the plans in JSON as they are made: one a line, or one decision a line. Empty for other formats.
struct PlanLines {
    out: Option<Box<dyn Write>>,
    format: ReportFormat,
}

impl PlanLines {
    fn open(arguments: &ReplayArgs) -> Result<PlanLines, ExitStatus> {
        let output = file_of(arguments.output.as_deref());
        let out: Option<Box<dyn Write>> = match (arguments.format, output) {
            (ReportFormat::Json | ReportFormat::JsonLines, Some(path)) => {
                let file = File::create(path);
                let file = file.map_err(|error| fail(&format!("write the report to {}: {error}", path.display())))?;
                Some(Box::new(BufWriter::new(file)))
            }
            (ReportFormat::Json | ReportFormat::JsonLines, None) => Some(Box::new(BufWriter::new(io::stdout().lock()))),
            (ReportFormat::Text | ReportFormat::Csv | ReportFormat::Markdown | ReportFormat::Html, _) => None,
        };
        Ok(PlanLines {
            out,
            format: arguments.format,
        })
    }

    fn add(
        &mut self,
        database: &str,
        set: &PolicySet,
        (recorded, step): (&RecordedSnapshot, &ReplayedCycle),
        rehearsals: &Rehearsals,
    ) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let report = Report::new(&ReportSubject {
            database,
            taken_at: Some(step.now),
            mode: RunMode::DryRun,
            snapshot: &recorded.snapshot,
            set,
            plan: &step.cycle.plan,
            ruling: &step.cycle.ruling,
            notes: &[],
            way: Way::AlterSystem,
            rehearsals: Some(rehearsals),
        });
        out.write_all(report.render(self.format).as_bytes())
    }

    fn finish(mut self, curve: Option<&Curve>) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        if let Some(curve) = curve {
            out.write_all(curve.to_json().as_bytes())?;
        }
        out.flush()
    }
}
