//! The command lines of the commands that look at sessions.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::parse::{interval, list_column, report_formats, sort_key};
use crate::report::{ListColumn, ReportFormat, SortKey};

/// Where a command gets the sessions and the policies from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArgs {
    /// Reads the sessions from a saved snapshot (JSON or CSV) instead of the databases; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// Policy files or folders, instead of the configured ones; `-` is standard input.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) policies: Vec<PathBuf>,
    /// The database's time when the snapshot was saved, if the file does not contain it: 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME", requires = "snapshot")]
    pub(crate) taken_at: Option<String>,
    /// Only this configured database; with --snapshot, the name of its database for the policies' `databases:`.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
}

/// Repetition.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WatchArgs {
    /// Reads again this long after the previous reading, such as 10s, until interrupted. On a terminal the screen is drawn anew, elsewhere
    /// one table follows the other. What needs several snapshots, such as cpu_rate and `for:`, is known from the second on,
    /// if it is ten seconds later.
    #[arg(
        long,
        value_name = "INTERVAL",
        conflicts_with = "snapshot",
        num_args = 0..=1,
        default_missing_value = "10s",
        value_parser = interval
    )]
    pub(crate) watch: Option<Duration>,
}

/// `sessions`
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    /// Lists only the sessions that match this condition: "INACTIVE longer than 1h and username = SHOP".
    #[arg(value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// The sessions and the policies.
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Lists background sessions too. A condition that uses `background` or `type` implies it.
    #[arg(long)]
    pub(crate) all: bool,
    /// The format of the list.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ListFormat,
    /// The columns to show, by the names of the policy language (idle, pga, cpu_rate), and `session` and `policies`.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = list_column)]
    pub(crate) columns: Vec<ListColumn>,
    /// The columns to sort by; `-pga` or `pga desc` has the largest first. Sessions without a value come last.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = sort_key, allow_hyphen_values = true)]
    pub(crate) sort: Vec<SortKey>,
    /// How to repeat it.
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

/// The format of `sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For a terminal.
    Text,
    /// For spreadsheets.
    Csv,
    /// For programs: one object per database, one per line.
    Json,
    /// For programs that read on: one object per session, one per line.
    #[value(name = "jsonl")]
    JsonLines,
}

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The sessions and the policies.
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Treats every `for:` as fulfilled.
    #[arg(long)]
    pub(crate) assume_held: bool,
    /// How to repeat it.
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_formats())]
    pub(crate) format: ReportFormat,
    /// Writes the report to this file instead of standard output, which `-` stands for too.
    #[arg(long, short, value_name = "FILE", conflicts_with = "watch")]
    pub(crate) output: Option<PathBuf>,
}
