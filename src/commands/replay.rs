//! `replay`: what policies would have done over a recording. Never acts, and needs no database.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;

use chrono::TimeDelta;

use crate::cli::{ReplayArgs, Status};
use crate::clock::SystemClock;
use crate::commands::look;
use crate::commands::plan::statement_of;
use crate::commands::{deliver, fail, say, terminal_style};
use crate::guard::RunMode;
use crate::needs;
use crate::policy::model::PolicySet;
use crate::recording::{Next, Reader, Recorded};
use crate::replay::{Replay, Rules, Step};
use crate::report::{Report, ReportFormat, Subject, TextStyle};

/// Runs the command.
pub fn run(arguments: &ReplayArgs, config: &Path, clock: SystemClock) -> Status {
    match replay(arguments, config, clock) {
        Ok(status) | Err(status) => status,
    }
}

fn replay(arguments: &ReplayArgs, config: &Path, clock: SystemClock) -> Result<Status, Status> {
    let loaded = look::Rules::of_policies(&arguments.policies, arguments.policies.is_empty(), config, clock)?;
    let wrong =
        |error: &dyn std::fmt::Display| fail(&format!("read the recording {}: {error}", arguments.file.display()));
    let file = File::open(&arguments.file).map_err(|error| wrong(&error))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let wanted = needs::columns(&loaded.set);
    let mut reader = Reader::open(BufReader::with_capacity(1 << 16, file), wanted).map_err(|error| wrong(&error))?;
    let every = TimeDelta::from_std(reader.header().every).unwrap_or(TimeDelta::MAX);
    let (set, config) = (loaded.set, loaded.config);
    let zone = config.as_ref().map_or(chrono_tz::UTC, |config| config.timezone);
    let mut replay = Replay::new(Rules {
        set: set.clone(),
        limits: loaded.limits,
        blackouts: config.map(|config| config.blackouts).unwrap_or_default(),
        zone,
        database: reader.header().database.clone(),
        every,
        longest_gap: Rules::longest_gap(every),
        assume_held: arguments.assume_held,
    });
    let mut lines = Lines::open(arguments)?;
    let mut progress = Progress::new(size);
    let mut broken = 0;
    loop {
        match reader.next().map_err(|error| wrong(&error))? {
            Next::Recorded(recorded) => {
                if let Some(step) = replay.step(&recorded) {
                    lines.add(&reader.header().database, &set, &recorded, &step)?;
                }
            }
            Next::Damage(damage) => {
                progress.clear();
                say(&format!("{}: {damage}", arguments.file.display()));
                broken += 1;
            }
            Next::End => break,
        }
        progress.show(reader.offset());
    }
    progress.clear();
    if reader.passed_over() > 0 {
        say(&format!(
            "{} good blocks were of no use, because they say only what changed since a damaged one",
            reader.passed_over()
        ));
    }
    lines.finish()?;
    if arguments.format != ReportFormat::Json {
        let style = if arguments.output.is_none() {
            terminal_style()
        } else {
            TextStyle::default()
        };
        let totals = replay.into_totals().render(arguments.format, style);
        deliver(arguments.output.as_deref(), &totals)?;
    }
    Ok(if broken == 0 { Status::Fine } else { Status::Findings })
}

/// The plans, one a line, written as they are made; nothing in any other format.
struct Lines {
    out: Option<Box<dyn Write>>,
}

impl Lines {
    fn open(arguments: &ReplayArgs) -> Result<Lines, Status> {
        let out: Option<Box<dyn Write>> = match (arguments.format, &arguments.output) {
            (ReportFormat::Json, Some(path)) => {
                let file = File::create(path);
                let file = file.map_err(|error| fail(&format!("write the report to {}: {error}", path.display())))?;
                Some(Box::new(BufWriter::new(file)))
            }
            (ReportFormat::Json, None) => Some(Box::new(BufWriter::new(io::stdout().lock()))),
            (ReportFormat::Text | ReportFormat::Csv | ReportFormat::Markdown | ReportFormat::Html, _) => None,
        };
        Ok(Lines { out })
    }

    fn add(&mut self, database: &str, set: &PolicySet, recorded: &Recorded, step: &Step) -> Result<(), Status> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let report = Report::new(&Subject {
            database,
            taken_at: Some(step.now),
            mode: RunMode::DryRun,
            snapshot: &recorded.snapshot,
            set,
            plan: &step.cycle.plan,
            ruling: &step.cycle.ruling,
            notes: &[],
            statement: &statement_of,
        });
        written(out.write_all(report.to_json().as_bytes()))
    }

    fn finish(mut self) -> Result<(), Status> {
        self.out.as_mut().map_or(Ok(()), |out| written(out.flush()))
    }
}

/// A reader that has seen enough ends the replay, and that is fine.
fn written(result: io::Result<()>) -> Result<(), Status> {
    result.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Status::Fine
        } else {
            fail(&format!("write the report: {error}"))
        }
    })
}

/// How far it is, on a terminal.
struct Progress {
    size: u64,
    shown: Option<u64>,
}

impl Progress {
    const STEPS: u32 = 40;

    fn new(size: u64) -> Progress {
        let shown = (std::io::stderr().is_terminal() && size > 0).then_some(u64::MAX);
        Progress { size, shown }
    }

    fn show(&mut self, offset: u64) {
        let step = offset.saturating_mul(Self::STEPS.into()) / self.size.max(1);
        if self.shown.is_none_or(|shown| shown == step) {
            return;
        }
        self.shown = Some(step);
        let steps = Self::STEPS as usize;
        let done = usize::try_from(step).unwrap_or(steps).min(steps);
        let bar = format!("{}{}", "#".repeat(done), ".".repeat(steps - done));
        // Where nobody can see it, there is nothing to be said about it.
        let _ = write!(io::stderr(), "\r[{bar}] {:3} %", done * 100 / steps);
    }

    fn clear(&mut self) {
        if self.shown.is_some_and(|shown| shown != u64::MAX) {
            self.shown = Some(u64::MAX);
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(50));
        }
    }
}
