//! The newest report of each database, as HTML and JSON in the state folder, for whoever wants to look without asking.
//!
//! Written when something was decided, and no more often than once a minute; always whole, by renaming.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::daemon::database::CycleView;
use crate::guard::RunMode;
use crate::report::{Report, ReportFormat, Subject};

/// Between two reports of a database.
const EVERY: Duration = Duration::from_secs(60);

/// Writes one database's reports.
#[derive(Debug)]
pub struct Reports {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    every: Duration,
    last: Option<Monotonic>,
}

impl Reports {
    /// Into a state folder.
    #[must_use]
    pub fn new(state: &Path, clock: Arc<dyn Clock>) -> Reports {
        Reports {
            folder: state.join("reports"),
            clock,
            every: EVERY,
            last: None,
        }
    }

    /// Writes the cycle's report, if it is time for one.
    ///
    /// # Errors
    /// When it cannot be written. The one before stays.
    pub fn write(&mut self, view: &CycleView<'_>) -> io::Result<()> {
        let now = self.clock.now();
        let due = self.last.is_none_or(|last| now.since(last) >= self.every);
        if !due || view.cycle.ruling.decisions.is_empty() {
            return Ok(());
        }
        self.last = Some(now);
        let enforces = view.in_force.iter().any(|policy| policy.mode == RunMode::Enforce);
        let report = of(view, if enforces { RunMode::Enforce } else { RunMode::DryRun });
        std::fs::create_dir_all(&self.folder)?;
        for (format, ending) in [(ReportFormat::Html, "html"), (ReportFormat::Json, "json")] {
            let file = self.folder.join(format!("{}.{ending}", view.database));
            let half = self.folder.join(format!(".{}.{ending}.new", view.database));
            std::fs::write(&half, report.render(format))?;
            std::fs::rename(&half, &file)?;
        }
        Ok(())
    }
}

/// The report of a cycle, labelled as run in this mode.
#[must_use]
pub fn of(view: &CycleView<'_>, mode: RunMode) -> Report {
    let notes = view.notes();
    Report::new(&Subject {
        database: view.database,
        taken_at: Some(view.now),
        mode,
        snapshot: &view.polled.snapshot,
        set: view.rules.set(),
        plan: &view.cycle.plan,
        ruling: &view.cycle.ruling,
        notes: &notes,
        statement: &crate::commands::plan::statement_of,
    })
}
