//! The newest report of each database, as HTML and JSON in the state folder.
//!
//! It is written when something was decided, at most once a minute, and always whole, by renaming. A thread of its own writes it:
//! the loop that gives warrants never waits for a disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::daemon::database::CycleView;
use crate::decide::in_force::RunMode;
use crate::report::{Report, ReportFormat, ReportSubject};

/// The shortest time between two reports of a database.
const EVERY: Duration = Duration::from_secs(60);

/// Writes one database's reports.
#[derive(Debug)]
pub(crate) struct Reports {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    every: Duration,
    last: Option<Monotonic>,
    writer: Option<ReportWriter>,
}

/// The writing thread, and its errors.
#[derive(Debug)]
struct ReportWriter {
    reports: SyncSender<Report>,
    errors: Receiver<io::Error>,
}

impl ReportWriter {
    fn start(folder: PathBuf) -> io::Result<ReportWriter> {
        // One report is being written and one waits; on a slow disk the next ones are dropped.
        let (reports, received) = sync_channel::<Report>(1);
        let (failed, errors) = channel();
        thread::Builder::new().name("reports".into()).spawn(move || {
            for report in received {
                if let Err(error) = write(&folder, &report) {
                    // The receiver is gone only while the daemon stops.
                    let _ = failed.send(error);
                }
            }
        })?;
        Ok(ReportWriter { reports, errors })
    }
}

impl Reports {
    /// Writes to a state folder.
    #[must_use]
    pub(crate) fn new(state: &Path, clock: Arc<dyn Clock>) -> Reports {
        Reports {
            folder: state.join("reports"),
            clock,
            every: EVERY,
            last: None,
            writer: None,
        }
    }

    /// Writes the cycle's report if it is time for one.
    ///
    /// # Errors
    /// Why an earlier report could not be written. The older file stays.
    pub(crate) fn write(&mut self, view: &CycleView<'_>) -> io::Result<()> {
        let now = self.clock.now();
        let due = self.last.is_none_or(|last| now.since(last) >= self.every);
        if !due || view.cycle.ruling.decisions.is_empty() {
            return Ok(());
        }
        self.last = Some(now);
        let enforces = view.in_force.iter().any(|policy| policy.mode() == RunMode::Enforce);
        let report = of(view, if enforces { RunMode::Enforce } else { RunMode::DryRun });
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none @ None => none.insert(ReportWriter::start(self.folder.clone())?),
        };
        // A report that finds no room is dropped: the next is newer.
        let _ = writer.reports.try_send(report);
        writer.errors.try_recv().map_or(Ok(()), Err)
    }
}

fn write(folder: &Path, report: &Report) -> io::Result<()> {
    let tell = |what: &str, path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
    };
    // Not its parents: a state folder that was moved away must not be recreated.
    crate::folder::make(folder).map_err(|error| tell("create", folder, error))?;
    for (format, ending) in [(ReportFormat::Html, "html"), (ReportFormat::Json, "json")] {
        let file = folder.join(format!("{}.{ending}", report.database));
        let half = folder.join(format!(".{}.{ending}.new", report.database));
        let text = report.render(format);
        let written = crate::folder::write_for_group(&half, text.as_ref())
            .map_err(|error| tell("write", &half, error))
            .and_then(|()| std::fs::rename(&half, &file).map_err(|error| tell("rename a new report to", &file, error)));
        if written.is_err() {
            // On a full disk the journal needs the room. Where it cannot be removed, nothing better can be done.
            let _ = std::fs::remove_file(&half);
        }
        written?;
    }
    Ok(())
}

/// The report of a cycle that ran in this mode.
#[must_use]
pub(crate) fn of(view: &CycleView<'_>, mode: RunMode) -> Report {
    let notes = view.notes();
    Report::new(&ReportSubject {
        database: view.database,
        taken_at: Some(view.now),
        mode,
        snapshot: &view.polled.snapshot,
        set: view.rules.set(),
        plan: &view.cycle.plan,
        ruling: &view.cycle.ruling,
        notes: &notes,
        way: view.polled.capabilities.way(),
        rehearsals: Some(&view.memory.rehearsals),
    })
}
