//! How far a long command is, on a terminal: one line on standard error that is drawn over and leaves nothing behind.

use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Utc};

/// The bar is never longer, however wide the terminal.
const LONGEST_BAR: usize = 40;

/// A shorter bar says less than the percentage beside it.
const SHORTEST_BAR: usize = 10;

/// A terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Sets the cursor to the line's begin and empties the line.
const EMPTIED: &str = "\r\x1b[K";

/// The line.
pub(super) struct Progress {
    size: u64,
    wanted: bool,
    snapshots: u64,
    shown: Option<u64>,
}

impl Progress {
    /// For a file of so many bytes. `quiet` where it would stand between the lines of a result.
    pub(super) fn new(size: u64, quiet: bool) -> Progress {
        let moves = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Progress {
            size,
            wanted: size > 0 && moves && !quiet && io::stderr().is_terminal(),
            snapshots: 0,
            shown: None,
        }
    }

    /// One snapshot more, the one of this time; the file is read up to this byte.
    pub(super) fn advance(&mut self, offset: u64, at: Option<DateTime<Utc>>) {
        self.snapshots += 1;
        let percent = (offset.saturating_mul(100) / self.size.max(1)).min(100);
        if !self.wanted || self.shown == Some(percent) {
            return;
        }
        self.shown = Some(percent);
        let width = terminal_size::terminal_size_of(io::stderr());
        let width = width.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0));
        let line = line(width, percent, self.snapshots, at);
        // Where nobody can see it, there is nothing to be said about it.
        let _ = write!(io::stderr(), "{EMPTIED}{line}");
    }

    /// Takes the line away, before something else is said.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "{EMPTIED}");
        }
    }
}

/// The line for a terminal of this width, whose last column stays empty: a terminal may go to its next line from there. What
/// does not fit is left out: the time first, the percentage last.
fn line(width: usize, percent: u64, snapshots: u64, at: Option<DateTime<Utc>>) -> String {
    let room = width.saturating_sub(1);
    let share = format!("{percent:3} %");
    let count = format!("{share}  {snapshots} snapshots");
    let until = at.map(|at| format!("{count}, up to {}", at.format("%Y-%m-%d %H:%M UTC")));
    let beside = |said: &String| room.saturating_sub(said.len() + "[] ".len()).min(LONGEST_BAR);
    let mut said = [until, Some(count), Some(share.clone())].into_iter().flatten();
    let Some(said) = said.find(|said| beside(said) >= SHORTEST_BAR) else {
        return if share.len() <= room { share } else { String::new() };
    };
    let bar = beside(&said);
    let done = usize::try_from(percent).map_or(bar, |percent| bar * percent.min(100) / 100);
    format!("[{}{}] {said}", "#".repeat(done), ".".repeat(bar - done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(width: usize, percent: u64, expected: &str) {
        let at = DateTime::from_timestamp(1_795_000_000, 0);
        assert_eq!(line(width, percent, 4_312, at), expected, "{width} columns");
    }

    #[test]
    fn the_line_says_what_fits() {
        let bar = |done, left| format!("[{}{}]", "#".repeat(done), ".".repeat(left));
        let words = "4312 snapshots, up to 2026-11-18 11:06 UTC";
        check(200, 43, &format!("{}  43 %  {words}", bar(17, 23)));
        check(80, 43, &format!("{}  43 %  {words}", bar(11, 16)));
        check(63, 0, &format!("{}   0 %  {words}", bar(0, 10)));
        check(62, 0, &format!("{}   0 %  4312 snapshots", bar(0, 37)));
        check(35, 100, &format!("{} 100 %  4312 snapshots", bar(10, 0)));
        check(34, 43, &format!("{}  43 %", bar(10, 15)));
        check(19, 43, &format!("{}  43 %", bar(4, 6)));
        check(18, 43, " 43 %");
        check(6, 43, " 43 %");
        check(5, 43, "");
        check(0, 43, "");
    }

    #[test]
    fn no_line_reaches_the_last_column() {
        let at = DateTime::from_timestamp(1_795_000_000, 0);
        for width in 0..200 {
            for percent in 0..=100 {
                let line = line(width, percent, u64::MAX, at.filter(|_| percent % 2 == 0));
                assert!(line.is_ascii() && line.len() < width.max(1), "{width} columns: {line}");
            }
        }
    }
}
