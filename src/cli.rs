//! The command line, parsed by clap.
//!
//! Exit status: 0 success, 1 findings (an invalid policy, a failed test), 2 failure (usage, connection, I/O). A command writes
//! its result to standard output and everything else to standard error.

pub(crate) mod complete;
mod look;
mod parse;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use crate::cli::look::{ListFormat, PlanArgs, SessionsArgs, SourceArgs};
use crate::cli::parse::{ordered_action, release, report_formats, span};
use crate::explain::SessionName;
use crate::journal::chain::LineHash;
use crate::oracle::capabilities::Release;
use crate::policy::model::Action;
use crate::report::ReportFormat;

/// The default path of the configuration.
pub const CONFIG: &str = "/etc/orareaper/orareaper.yaml";

/// The version with the commit and the features, which build.rs finds.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ORAREAPER_BUILD"), ")");

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: success.
    Fine,
    /// 1: the command ran and reports findings.
    Findings,
    /// 2: the command could not run.
    Failed,
}

impl ExitStatus {
    /// The exit status for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            ExitStatus::Fine => 0,
            ExitStatus::Findings => 1,
            ExitStatus::Failed => 2,
        }
    }
}

/// Kills idle, stuck and runaway Oracle sessions by policy, and records why for each one.
#[derive(Debug, Parser)]
#[command(name = "orareaper", version, long_version = BUILD, about, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", default_value = CONFIG)]
    pub(crate) config: PathBuf,
    /// The format of log lines; by default human on a terminal and JSON elsewhere.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Which log lines to write: error, warn, info, debug, trace, or directives such as orareaper=debug; by default what --quiet or
    /// --verbose asks for, else what the environment variable ORAREAPER_LOG says, else info.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Says less: of the messages only warnings and errors, of a result only what asks for attention, and log lines from warn on. The exit
    /// status stays the same.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Says more: results in detail, and log lines from debug on; twice, from trace on.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours; auto uses them on a terminal, unless NO_COLOR is set or TERM is dumb, and elsewhere if CLICOLOR_FORCE is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColourWish,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourWish {
    /// Where somebody sees them.
    #[default]
    Auto,
    /// In pipes and files too.
    Always,
    /// Nowhere.
    Never,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the daemon.
    Run {
        /// Sends no statement that acts on a session, whatever the policies and the configuration say.
        #[arg(long)]
        dry_run: bool,
    },
    /// Examines a simulated three-node RAC database, tries each action on it, and runs the daemon against it for a minute; needs no
    /// set-up.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Reports which sessions the policies would act on now, in the configured databases or in a saved snapshot. Never acts.
    Plan(PlanArgs),
    /// Explains one session: each policy's condition term by term, each protection and exemption, and the decision.
    Explain(ExplainArgs),
    /// Lists the current sessions, or those that match a condition, with each policy's decision.
    Sessions(SessionsArgs),
    /// Saves snapshots of a database to one file, for `replay`. Never acts.
    Record(RecordArgs),
    /// Reports what the policies would have done over a recording, with holds, budgets and schedules. Never acts.
    Replay(ReplayArgs),
    /// Derives policies from a recording: for each group of clients the shortest limit that would have hit nobody who came back, with the
    /// evidence as comments. Never acts.
    Suggest(SuggestArgs),
    /// Validates the configuration and the policies, and reports every problem with its line and column.
    Check(CheckArgs),
    /// Runs policy tests: sessions over time, and the expected decisions.
    Test(TestArgs),
    /// Examines this host and the databases as the daemon would: what is missing, with its remedy. Never acts.
    Doctor(DoctorArgs),
    /// Sends one test message, marked as such, through each receiver of notifications, and reports what came of it.
    Notify(NotifyArgs),
    /// Tries everything that a kill depends on, on sessions that it opens itself, and reports what differs from what the
    /// daemon assumes.
    Prove(ProveArgs),
    /// Prints the SQL that makes the daemon's account, with exactly the rights that the policies need. Runs none of it.
    SetupSql(SetupSqlArgs),
    /// Shows the journal: each action with its session, reason, outcome and what became of the session.
    History(HistoryArgs),
    /// Ends one session by hand, through all guards of the daemon: shows it with everything that protects it, asks, checks again,
    /// acts, and follows it until it is gone.
    Kill(KillArgs),
    /// Stops all actions of the running daemon until `resume`. Needs no valid configuration.
    Pause {
        /// The reason, shown to everybody who finds the daemon paused.
        #[arg(long, default_value = "")]
        reason: String,
        /// The daemon's state folder, if several daemons run or none can be found.
        #[arg(long, value_name = "FOLDER")]
        state: Option<PathBuf>,
    },
    /// Ends a pause.
    Resume {
        /// The daemon's state folder, if several daemons run or none can be found.
        #[arg(long, value_name = "FOLDER")]
        state: Option<PathBuf>,
    },
    /// Prints a completion script for a shell. The script asks this program, which knows the configured databases and policies.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page.
    Man {
        /// Writes one page a command into this folder instead, which a package can install.
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The session: 'SID,SERIAL#,@INST_ID'; SERIAL# and INST_ID may be left out if the rest is unambiguous.
    #[arg(value_name = "SID,SERIAL#,@INST", required_unless_present = "sql")]
    pub(crate) session: Option<String>,
    /// Only this policy.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// The sessions and the policies.
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Prints each policy's condition as a query for SQL*Plus that selects the same sessions, except by cpu_rate, reads_rate and
    /// redo_rate, which no view has: a comment says so. Without a session, no database is read.
    #[arg(long)]
    pub(crate) sql: bool,
}

/// `record`
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The file to create; an existing file is not overwritten. `-` is standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The time between two snapshots, such as 15s or 1m; by default the database's `poll`.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) every: Option<Duration>,
    /// Ends after this time, such as 1h. Without --for and --snapshots, records until interrupted.
    #[arg(long = "for", value_name = "SPAN", value_parser = span, conflicts_with = "snapshots")]
    pub(crate) for_: Option<Duration>,
    /// Ends after this many snapshots.
    #[arg(long, value_name = "N")]
    pub(crate) snapshots: Option<NonZeroU64>,
    /// The configured database to record; required if there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Replaces the names of users, machines, programs and the database by pseudonyms, consistently, so that groups stay groups. Names
    /// of products and of Oracle's own accounts stay.
    #[arg(long, visible_alias = "anonymize")]
    pub(crate) anonymise: bool,
}

/// `replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A recording made by `record`; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Policy files or folders, instead of the configured ones; `-` is standard input.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) policies: Vec<PathBuf>,
    /// Treats every `for:` as fulfilled.
    #[arg(long)]
    pub(crate) assume_held: bool,
    /// Also reports what this policy would do with other limits: how many sessions it would end, and how many of them were used again,
    /// at 30m, 1h, 2h, 4h, 8h and 1d. In JSON the last line has it.
    #[arg(long, value_name = "POLICY")]
    pub(crate) curve: Option<String>,
    /// The format of the report: totals, except JSON, which is one plan per snapshot, one per line.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_formats())]
    pub(crate) format: ReportFormat,
    /// Writes the report to this file instead of standard output, which `-` stands for too.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `history`
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Only actions since this time: a span before now such as 7d, a day, or a time.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only actions up to this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only actions on this database.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Only actions of this policy.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Only actions on sessions of this user.
    #[arg(long, value_name = "USERNAME")]
    pub(crate) user: Option<String>,
    /// Only actions with this outcome, such as done, marked or failed, or with this verification, such as gone or lingers.
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,
    /// Only actions on this session: 'SID,SERIAL#,@INST_ID', or a part of it.
    #[arg(long, value_name = "SID,SERIAL#,@INST")]
    pub(crate) session: Option<String>,
    /// Counts by day and policy instead of listing each action.
    #[arg(long)]
    pub(crate) summary: bool,
    /// Follows the chain of hashes through all files instead, and names the first record that was changed, removed, inserted or moved.
    #[arg(
        long,
        conflicts_with_all = ["since", "until", "database", "policy", "user", "outcome", "session", "summary"]
    )]
    pub(crate) verify: bool,
    /// With --verify: the hash of a record that must be there, as the log or the status page has shown it.
    #[arg(long, value_name = "HASH", requires = "verify", value_parser = str::parse::<LineHash>)]
    pub(crate) head: Option<LineHash>,
    /// The format; json is one object per line, with all recorded columns of the session.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_formats())]
    pub(crate) format: ReportFormat,
    /// Writes to this file instead of standard output, which `-` stands for too.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The daemon's state folder, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The configured databases to examine; by default all.
    #[arg(value_name = "DATABASE")]
    pub(crate) databases: Vec<String>,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: DoctorFormat,
}

/// The format of `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    /// For people.
    Text,
    /// For programs: one object.
    Json,
    /// For programs that read on: one object per check, one per line.
    #[value(name = "jsonl")]
    JsonLines,
}

/// `notify`
#[derive(Debug, Args)]
pub(crate) struct NotifyArgs {
    /// The configured receivers to test; by default all.
    #[arg(value_name = "RECEIVER")]
    pub(crate) receivers: Vec<String>,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: NotifyFormat,
}

/// The format of `notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NotifyFormat {
    /// For people.
    Text,
    /// For programs: one array.
    Json,
}

/// `prove`
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The configured database.
    #[arg(value_name = "DATABASE")]
    pub(crate) database: String,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ProveFormat,
    /// Writes the report to this file instead of standard output, which `-` stands for too.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How long to follow each session until it is gone and its client has been told.
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    pub(crate) wait: Duration,
}

/// The format of `prove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProveFormat {
    /// For people.
    Text,
    /// For programs, and to be attached to a report: one object.
    Json,
    /// For a browser.
    Html,
}

/// `setup-sql`
#[derive(Debug, Args)]
pub(crate) struct SetupSqlArgs {
    /// The configured database; required if there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// The release, such as 11.2, 12c (which means 12.1), 19c or 26ai, if the account cannot log in yet; otherwise the database is
    /// asked.
    /// Without a configuration, the policies that come with the program are used.
    #[arg(long = "for", value_name = "RELEASE", value_parser = release)]
    pub(crate) release: Option<Release>,
    /// The daemon connects to CDB$ROOT.
    #[arg(long, requires = "release", conflicts_with = "pdb")]
    pub(crate) cdb: bool,
    /// The daemon connects to a PDB.
    #[arg(long, requires = "release")]
    pub(crate) pdb: bool,
    /// The database has several instances (RAC): in a PDB the account then needs one view more.
    #[arg(long, requires = "release")]
    pub(crate) rac: bool,
    /// Prints the guard package too, which ends sessions for an account that has no right to end sessions itself. It is
    /// always printed if the database is configured with `via: package`.
    #[arg(long)]
    pub(crate) guard: bool,
    /// Prints the statements of the guard package alone, for an account that is there already.
    #[arg(long, conflicts_with = "guard")]
    pub(crate) guard_only: bool,
    /// The account, instead of the configured one.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

/// `kill`
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// The session: 'SID,SERIAL#,@INST_ID', all of it.
    #[arg(value_name = "SID,SERIAL#,@INST")]
    pub(crate) session: SessionName,
    /// The configured database; required if there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// The action, as in a policy: `kill immediate`.
    #[arg(long, value_name = "ACTION", default_value = "kill immediate", value_parser = ordered_action())]
    pub(crate) action: Action,
    /// The reason, for the journal; the command asks for it if it is not given.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Does not ask; needs --reason.
    #[arg(long, requires = "reason")]
    pub(crate) yes: bool,
    /// How long to follow the session until it is gone.
    #[arg(long, value_name = "SPAN", default_value = "2m", value_parser = span)]
    pub(crate) wait: Duration,
    /// The daemon's state folder, if several daemons run or none can be found.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
}

/// `suggest`
#[derive(Debug, Args)]
pub(crate) struct SuggestArgs {
    /// A recording made by `record`; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Writes the policies to this file instead of standard output, which `-` stands for too.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Policy files or folders, or configurations; by default the configuration and its policies. `-` is a policy file on standard
    /// input.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also reports what the policies use that this release of Oracle Database lacks: 11.2, 12.1, 19, 23.
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub(crate) release: Option<Release>,
    /// The format of the problems.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CheckFormat,
    /// Prints the JSON Schema of a policy file, for editors, and exits.
    #[arg(long)]
    pub(crate) print_schema: bool,
}

/// The format of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// With the source line and the place marked.
    Text,
    /// One line per problem, beginning with `file:line:column`.
    Short,
    /// For editors: one array.
    Json,
    /// For programs that read on: one object per problem, one per line.
    #[value(name = "jsonl")]
    JsonLines,
}

/// `test`
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Folders with tests. A test is a folder with timeline.yaml, expect.yaml and the policies: policy.yaml, or the files
    /// that the timeline names. By default the folders of the configured policies.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also writes the results as JUnit XML, for a build server. `-` is standard output; the results for people then go to standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// `demo`
#[cfg(feature = "demo")]
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// How long the demo runs, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// The address that serves /metrics and the status page; by default 127.0.0.1:9763, or a free port where another program has that.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// The folder for the report and the journal; by default a new folder in the system's temporary folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Simulates a database that begins with the sessions of an export or a recording (`-` is standard input), and runs the policies of --policies on it; every
    /// policy that is not `off` enforces. No real session is touched.
    #[arg(long, value_name = "FILE", requires = "policies")]
    pub(crate) from: Option<PathBuf>,
    /// The policies to practise with: files and folders.
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "from")]
    pub(crate) policies: Vec<PathBuf>,
    /// The name of the database for policies that name databases; by default that in the file.
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) database: Option<String>,
}

#[cfg(feature = "demo")]
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 10..=600) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err("expected a whole number of seconds from 10 to 600".into()),
    }
}
