//! `replay`: reports what the policies would have done over a recording. Never acts, and needs no database.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::cli::{ExitStatus, ReplayArgs};
use crate::clock::SystemClock;
use crate::columns_needed;
use crate::commands::look;
use crate::commands::progress::ProgressBarLine;
use crate::commands::{deliver, deliverable, fail, say, style_for};
use crate::decide::in_force::{Rhythm, RunMode};
use crate::decide::used_again::Rehearsals;
use crate::oracle::capabilities::Way;
use crate::policy::model::PolicySet;
use crate::recording::{Next, RecordedSnapshot, RecordingReader};
use crate::replay::{Curve, CurveReplay, Replay, ReplaySetting, ReplayedCycle};
use crate::report::{Report, ReportFormat, ReportSubject};

/// Runs the command.
pub(crate) fn run(arguments: &ReplayArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match replay(arguments, config, clock) {
        Ok(status) | Err(status) => status,
    }
}

fn replay(arguments: &ReplayArgs, config: &Path, clock: SystemClock) -> Result<ExitStatus, ExitStatus> {
    let loaded = look::Rules::of_policies(&arguments.policies, arguments.policies.is_empty(), config, clock)?;
    let wrong =
        |error: &dyn std::fmt::Display| fail(&format!("read the recording {}: {error}", arguments.file.display()));
    let file = File::open(&arguments.file).map_err(|error| wrong(&error))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let wanted = columns_needed::columns_of_recording(&loaded.set);
    let mut reader =
        RecordingReader::open(BufReader::with_capacity(1 << 16, file), wanted).map_err(|error| wrong(&error))?;
    let every = TimeDelta::from_std(reader.header().every).unwrap_or(TimeDelta::MAX);
    let set = Arc::clone(&loaded.set);
    let setting = ReplaySetting {
        rules: loaded.of_file(Some(&reader.header().database)),
        database: reader.header().database.clone(),
        rhythm: Rhythm::of(every),
        assume_held: arguments.assume_held,
    };
    let curve = arguments.curve.as_deref();
    let curve = curve.map(|policy| CurveReplay::new(&setting, policy)).transpose();
    let mut curve = curve.map_err(|none| fail(&format!("--curve: {none}")))?;
    let mut replay = Replay::new(setting);
    if arguments.format != ReportFormat::Json {
        deliverable(arguments.output.as_deref())?;
    }
    let mut lines = PlanLines::open(arguments)?;
    // No bar between the lines of a result.
    let quiet = lines.out.is_some() && arguments.output.is_none() && io::stdout().is_terminal();
    let mut progress = ProgressBarLine::new(size, quiet);
    let mut broken = 0;
    loop {
        let next = reader.next().map_err(|error| {
            progress.clear();
            wrong(&error)
        });
        match next? {
            Next::RecordedSnapshot(mut recorded) => {
                let step = replay.step(&mut recorded);
                if let Some(curve) = &mut curve {
                    curve.step(&recorded);
                }
                if let Some(step) = &step {
                    let added = lines.add(&reader.header().database, &set, (&recorded, step), replay.rehearsals());
                    added.map_err(|error| {
                        progress.clear();
                        unwritten(&error)
                    })?;
                }
                progress.advance(reader.offset(), step.map(|step| step.now));
            }
            Next::Damage(damage) => {
                progress.aside(|| say(&format!("{}: {damage}", arguments.file.display())));
                broken += 1;
            }
            Next::End => break,
        }
    }
    progress.clear();
    tell_what_was_passed_over(reader.passed_over());
    let curve = curve.map(CurveReplay::into_curve);
    lines.finish(curve.as_ref()).map_err(|error| unwritten(&error))?;
    if arguments.format != ReportFormat::Json {
        let style = style_for(arguments.output.as_deref());
        let totals = replay.into_totals().with_curve(curve).render(arguments.format, style);
        deliver(arguments.output.as_deref(), &totals)?;
    }
    Ok(if broken == 0 {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    })
}

fn tell_what_was_passed_over(blocks: u64) {
    if blocks > 0 {
        say(&format!(
            "{blocks} undamaged blocks were skipped, because they contain only the changes since a damaged one"
        ));
    }
}

/// Writes the plans in JSON, one per line, as they are made. Empty for other formats.
struct PlanLines {
    out: Option<Box<dyn Write>>,
}

impl PlanLines {
    fn open(arguments: &ReplayArgs) -> Result<PlanLines, ExitStatus> {
        let out: Option<Box<dyn Write>> = match (arguments.format, &arguments.output) {
            (ReportFormat::Json, Some(path)) => {
                let file = File::create(path);
                let file = file.map_err(|error| fail(&format!("write the report to {}: {error}", path.display())))?;
                Some(Box::new(BufWriter::new(file)))
            }
            (ReportFormat::Json, None) => Some(Box::new(BufWriter::new(io::stdout().lock()))),
            (ReportFormat::Text | ReportFormat::Csv | ReportFormat::Markdown | ReportFormat::Html, _) => None,
        };
        Ok(PlanLines { out })
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
        out.write_all(report.to_json().as_bytes())
    }

    fn finish(mut self, curve: Option<&Curve>) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        if let Some(curve) = curve {
            out.write_all(curve.to_json().as_bytes())?;
        }
        out.flush()
    }
}

/// A closed pipe ends the replay without an error: the reader has seen enough.
fn unwritten(error: &io::Error) -> ExitStatus {
    if error.kind() == io::ErrorKind::BrokenPipe {
        ExitStatus::Fine
    } else {
        fail(&format!("write the report: {error}"))
    }
}
