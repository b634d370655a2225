//! The progress of a long command on a terminal: one line on standard error that is redrawn and finally erased.
//!
//! `indicatif` draws it, and draws nothing where standard error is no terminal or one that cannot move its cursor.

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use crate::commands::manners::manners;
use crate::quantity::counted;

const TEMPLATE: &str = "[{wide_bar}] {percent:>3} %  {msg}";

/// The progress line.
pub(super) struct ProgressBarLine {
    bar: ProgressBar,
    snapshots: u64,
}

impl ProgressBarLine {
    /// For a file of `size` bytes. `quiet` if the line would appear between the lines of a result.
    pub(super) fn new(size: u64, quiet: bool) -> ProgressBarLine {
        let bar = if quiet || manners().quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(size)
        };
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is sound");
        ProgressBarLine {
            bar: bar.with_style(style.progress_chars("##.")),
            snapshots: 0,
        }
    }

    /// Counts a snapshot taken at `at`; the file has been read up to `offset`.
    pub(super) fn advance(&mut self, offset: u64, at: Option<DateTime<Utc>>) {
        self.snapshots += 1;
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(offset);
        let count = counted(usize::try_from(self.snapshots).unwrap_or(usize::MAX), "snapshot");
        self.bar.set_message(at.map_or_else(
            || count.clone(),
            |at| format!("{count}, up to {}", at.format("%Y-%m-%d %H:%M UTC")),
        ));
    }

    /// Removes the line while something else is printed.
    pub(super) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    /// Removes the line for good. Its last state is drawn first, because how often the line is drawn is limited.
    pub(super) fn clear(&self) {
        self.bar.abandon();
        self.bar.finish_and_clear();
    }
}
