//! The command line: what was typed, checked by clap, and handed to the command that does it.
//!
//! Exit status: 0 fine, 1 findings (an invalid policy, a failed test, a refused kill), 2 could not do it (usage,
//! connection, I/O). Whatever a command says to a person goes to standard output if it is the result and to standard error
//! if it is about the work.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::oracle::capabilities::Release;
use crate::quantity::Span;
use crate::report::ReportFormat;

/// Where the configuration is, unless said otherwise.
pub const CONFIG: &str = "/etc/orareaper/orareaper.yaml";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0.
    Fine,
    /// 1: it was done, and something was found.
    Findings,
    /// 2: it could not be done.
    Failed,
}

impl Status {
    /// For the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Status::Fine => 0,
            Status::Findings => 1,
            Status::Failed => 2,
        }
    }
}

/// Reaps idle, stuck and runaway Oracle sessions by policy, with proof for every one.
#[derive(Debug, Parser)]
#[command(name = "orareaper", version, about, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// How log lines look; human on a terminal, JSON elsewhere, unless given.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Which log lines: error, warn, info, debug, trace, or directives such as orareaper=debug.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "info",
        env = "ORAREAPER_LOG"
    )]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the daemon.
    Run {
        /// Takes no last step on any database, whatever policies and configuration say.
        #[arg(long)]
        dry_run: bool,
    },
    /// Runs the daemon for a minute against a simulated three-node RAC database on this machine; nothing to set up.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Reports whom the policies would act on now, on the configured databases or in a saved snapshot. Never acts.
    Plan(PlanArgs),
    /// Explains one session: each policy's condition term by term, each protection and exemption, and what is decided.
    Explain(ExplainArgs),
    /// Shows the sessions there are now, those that a condition holds for, with what each policy thinks of them.
    Sessions(SessionsArgs),
    /// Saves snapshots of a database into one file, for `replay`. Never acts.
    Record(RecordArgs),
    /// Reports what the policies would have done over a recording: holds, budgets, schedules and all. Never acts.
    Replay(ReplayArgs),
    /// Checks the configuration and the policies, and reports every problem at its line and column.
    Check(CheckArgs),
    /// Runs policy tests: sessions given over time, decisions expected.
    Test(TestArgs),
    /// Shows the journal: which actions were taken on whom, why, with what outcome, and what became of the sessions.
    History(HistoryArgs),
    /// Stops the running daemon from sending anything to any database, until `resume`. Needs no valid configuration.
    Pause {
        /// Why, for those who find it paused.
        #[arg(long, default_value = "")]
        reason: String,
        /// The daemon's state folder, where several daemons run or none can be found.
        #[arg(long, value_name = "FOLDER")]
        state: Option<PathBuf>,
    },
    /// Ends a pause.
    Resume {
        /// The daemon's state folder, where several daemons run or none can be found.
        #[arg(long, value_name = "FOLDER")]
        state: Option<PathBuf>,
    },
    /// Prints a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page.
    Man,
}

/// Where the sessions and the policies come from that a command looks at.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Reads the sessions from a saved snapshot, JSON or CSV, instead of from the databases; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Policy files or folders, instead of the configured ones.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// The database's clock when the snapshot was saved, if the file does not say: 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME", requires = "snapshot")]
    pub taken_at: Option<String>,
    /// One of the configured databases; with a snapshot, the name that policies know its database by.
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The session: 'SID,SERIAL#,@INST_ID', or as much of it as is unambiguous.
    #[arg(value_name = "SID,SERIAL#,@INST", required_unless_present = "sql")]
    pub session: Option<String>,
    /// Of all policies this one alone.
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Prints each policy's condition as a query for SQL*Plus, which shows the same sessions. Without a session nothing is
    /// looked at.
    #[arg(long)]
    pub sql: bool,
}

/// `sessions`
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// Shows the sessions that this holds for: "INACTIVE longer than 1h and username = SHOP".
    #[arg(value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Shows background sessions too. A condition that speaks of `background` or `type` does as well.
    #[arg(long)]
    pub all: bool,
    /// How the sessions look.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ListFormat,
    /// Looks again so many seconds after the last look, until it is interrupted.
    #[arg(long, value_name = "SECONDS", conflicts_with = "snapshot", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub watch: Option<u64>,
}

/// How `sessions` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For a terminal.
    Text,
    /// For spreadsheets.
    Csv,
    /// For programs: one object a database, each on a line.
    Json,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Where to look.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Shows what policies with `for:` would do once it is served.
    #[arg(long)]
    pub assume_held: bool,
    /// How the report looks.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_formats())]
    pub format: ReportFormat,
    /// Writes the report to a file instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `record`
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The file to make; one that is there already is left alone.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Between two snapshots, such as 15s or 1m; the database's `poll` if not given.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub every: Option<Duration>,
    /// Ends after this long, such as 1h; until it is interrupted if neither is given.
    #[arg(long = "for", value_name = "SPAN", value_parser = span, conflicts_with = "snapshots")]
    pub for_: Option<Duration>,
    /// Ends after so many.
    #[arg(long, value_name = "N")]
    pub snapshots: Option<NonZeroU64>,
    /// One of the configured databases, if there are several.
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
}

/// `replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What `record` made.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Policy files or folders, instead of the configured ones.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// Takes every `for:` as served.
    #[arg(long)]
    pub assume_held: bool,
    /// How the report looks: totals, or in JSON one plan a line for each snapshot.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_formats())]
    pub format: ReportFormat,
    /// Writes the report to a file instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// From this time on: a span before now such as 7d, a day, or a time.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Up to this time.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// On this database.
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// By this policy.
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// On sessions of this user.
    #[arg(long, value_name = "USERNAME")]
    pub user: Option<String>,
    /// With this outcome, such as done, marked, failed; or with what was seen afterwards: gone, lingers.
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// On this session: 'SID,SERIAL#,@INST_ID', or part of it.
    #[arg(long, value_name = "SID,SERIAL#,@INST")]
    pub session: Option<String>,
    /// Counts by day and policy instead of listing each action.
    #[arg(long)]
    pub summary: bool,
    /// How it looks; json is one object a line, with the whole session as it was.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_formats())]
    pub format: ReportFormat,
    /// Writes to a file instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The daemon's state folder, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

/// A span of time from a second to a year.
fn span(text: &str) -> Result<Duration, String> {
    match text.parse().map(|Span(seconds)| u64::try_from(seconds)) {
        Ok(Ok(seconds @ 1..=31_536_000)) => Ok(Duration::from_secs(seconds)),
        Ok(Ok(_) | Err(_)) => Err("expected a span from 1s to 365d".into()),
        Err(error) => Err(format!("{error}")),
    }
}

/// A release of Oracle Database that there is something to say of.
fn release(text: &str) -> Result<Release, String> {
    match Release::parse(text) {
        Some(release) if release.at_least(11, 2) && release.major < 100 => Ok(release),
        Some(_) | None => Err("expected a release from 11.2 on, such as 12.1 or 19".into()),
    }
}

/// The formats by name, so that a wrong one is answered with the right ones.
fn report_formats() -> impl clap::builder::TypedValueParser<Value = ReportFormat> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(ReportFormat::ALL.map(ReportFormat::name))
        .map(|name| ReportFormat::named(&name).expect("the parser takes these names only"))
}

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Policy files or folders, or a configuration; the configured ones if none is given.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Names what this release of Oracle Database does not have of what the policies use: 11.2, 12.1, 19, 23.
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub release: Option<Release>,
    /// How problems look.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
    /// Prints the JSON Schema of a policy file, for editors, and ends.
    #[arg(long)]
    pub print_schema: bool,
}

/// How `check` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// With the line and the spot.
    Text,
    /// One `file:line:column` a line.
    Short,
    /// For editors.
    Json,
}

/// `test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Folders with tests; each test is a folder with timeline.yaml, expect.yaml and the policies: policy.yaml, or the
    /// files that the timeline names. The folders of the configured policies if none is given.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Writes the results as JUnit XML too, for a build server.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `demo`
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How long it runs.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub seconds: Duration,
    /// Where /metrics and the status page are served meanwhile.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9763")]
    pub listen: std::net::SocketAddr,
    /// Where the report and the journal are left; a new folder under the system's temporary one if not given.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

#[cfg(feature = "demo")]
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 40..=600) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err("expected a whole number of seconds from 40 to 600".into()),
    }
}

/// What the manual page says beyond the commands.
const MANUAL: &str = "\
.SH SIGNALS
.TP
\\fBSIGHUP\\fR
reads configuration and policies again; if they do not check, what was in force stays so.
.TP
\\fBSIGTERM\\fR, \\fBSIGINT\\fR
stop within a few seconds, also while a call to a database hangs; a second one ends the process at once.
.SH FILES
.TP
\\fI/etc/orareaper/orareaper.yaml\\fR
the configuration
.TP
\\fI/var/lib/orareaper/journal.jsonl\\fR
what was intended, what came of it, and what the next snapshots showed
.TP
\\fI/var/lib/orareaper/reports/\\fR
the newest report of each database
.TP
\\fI/var/lib/orareaper/paused\\fR
while this file is there, nothing is done to any session
.TP
\\fI/run/orareaper/\\fR
the socket by which `pause` and `resume` reach the daemon
.SH EXIT STATUS
.TP
0
fine
.TP
1
findings: something that does not check, a failed test
.TP
2
could not do it: usage, connection, input or output
";

/// The manual page, as troff: one page, each command with its options.
///
/// # Errors
/// When it cannot be written.
pub fn man(out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    writeln!(out, ".SH COMMANDS")?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        writeln!(out, ".SS {}", sub.get_name())?;
        if let Some(about) = sub.get_long_about().or_else(|| sub.get_about()) {
            writeln!(out, "{about}")?;
        }
        let own = sub.clone().mut_args(|arg| {
            let everywhere = arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
            arg.hide(everywhere)
        });
        let mut options = Vec::new();
        clap_mangen::Man::new(own).render_options_section(&mut options)?;
        let options = String::from_utf8_lossy(&options);
        for line in options
            .lines()
            .filter(|line| !line.starts_with(".SH") && !line.starts_with(".ie") && !line.starts_with(".el"))
        {
            writeln!(out, "{line}")?;
        }
    }
    out.write_all(MANUAL.as_bytes())
}

/// The completion script of a shell.
pub fn completions(shell: clap_complete::Shell, out: &mut dyn std::io::Write) {
    clap_complete::generate(shell, &mut Cli::command(), "orareaper", out);
}
