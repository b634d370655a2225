//! `man`: the manual, as one page with all commands or as one page a command.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, ExitStatus};
use crate::commands::stream::is_stream;
use crate::commands::{fail, print};

/// The sections of the manual page after the commands.
const MANUAL: &str = "\
.SH SIGNALS
.TP
\\fBSIGHUP\\fR
reload the configuration and the policies; if they are invalid, the old ones stay in force.
.TP
\\fBSIGTERM\\fR, \\fBSIGINT\\fR
stop within a few seconds, even while a call to a database hangs; a second signal ends the process at once.
.SH FILES
.TP
\\fI/etc/orareaper/orareaper.yaml\\fR
the configuration
.TP
\\fI/var/lib/orareaper/journal.jsonl\\fR
each intended action, its outcome, and what later snapshots show of the session
.TP
\\fI/var/lib/orareaper/reports/\\fR
the newest report of each database
.TP
\\fI/var/lib/orareaper/paused\\fR
while this file exists, no session is acted on
.TP
\\fI/run/orareaper/\\fR
the socket through which `pause`, `resume` and `kill` reach the daemon
.SH ENVIRONMENT
.TP
\\fBNO_COLOR\\fR, \\fBCLICOLOR_FORCE\\fR, \\fBTERM\\fR
whether to use colours, unless `--color` says so: none if NO_COLOR is set and not empty or TERM is dumb; also in a pipe if CLICOLOR_FORCE is
set and not 0.
.TP
\\fBORAREAPER_LOG\\fR
which log lines to write, unless `--log`, `--quiet` or `--verbose` says so.
.SH EXIT STATUS
.TP
0
success
.TP
1
findings: an invalid policy or configuration, a failed test, something that `doctor` found missing
.TP
2
failure: usage, connection, input or output
";

/// Prints the one page, or writes the pages into `folder`, which is made if it is missing.
pub(crate) fn run(folder: Option<&Path>) -> ExitStatus {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        return match whole(&mut page) {
            Ok(()) => print(&page),
            Err(error) => fail(&format!("write the manual page: {error}")),
        };
    };
    if is_stream(folder) {
        return fail(
            "write the manual pages to standard output: there is one a command; name a folder, or leave out --folder",
        );
    }
    match pages(folder) {
        Ok(()) => ExitStatus::Fine,
        Err(error) => fail(&format!("write the manual pages to {}: {error}", folder.display())),
    }
}

/// The tree of commands with every name and option filled in.
fn built() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// `orareaper.1`, and `orareaper-plan.1` and its like.
fn pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let command = built();
    let mut page = Vec::new();
    head(&command, &mut page)?;
    Man::new(command.clone()).render_subcommands_section(&mut page)?;
    page.write_all(MANUAL.as_bytes())?;
    fs::write(folder.join("orareaper.1"), &page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let mut page = Vec::new();
        head(sub, &mut page)?;
        writeln!(page, ".SH SEE ALSO\n\\fBorareaper\\fR(1)")?;
        fs::write(folder.join(format!("orareaper-{}.1", sub.get_name())), &page)?;
    }
    Ok(())
}

fn head(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let page = Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)
}

/// One page with all commands and their options.
fn whole(out: &mut dyn Write) -> io::Result<()> {
    let command = built();
    head(&command, out)?;
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
        Man::new(own).render_options_section(&mut options)?;
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
