//! The log and the messages of commands: to standard error, or to the demo's file.
//!
//! One line per event, with control characters escaped. The text of a client can also appear in an error message of the database,
//! so the whole line is escaped, not only the fields that are known to contain such text. If standard error is connected to the
//! journal of systemd, each line begins with its priority, from `<3>` for an error to `<7>` for a trace (sd-daemon(3)), so that
//! `journalctl -p warning` filters the lines.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::{Cli, Command, ExitStatus, LogFormat};
use crate::commands::log_queue::{self, LogQueue};
use crate::commands::manners::{colour_on, manners};
use crate::terminal::visible::{json_escaped, visible};

/// The severity of a line, with the numbers of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Something could not be done.
    Error,
    /// Somebody should look at it.
    Warning,
    /// Something was done.
    Info,
    /// Details for finding a fault.
    Debug,
}

impl Priority {
    const fn prefix(self) -> &'static str {
        match self {
            Priority::Error => "<3>",
            Priority::Warning => "<4>",
            Priority::Info => "<6>",
            Priority::Debug => "<7>",
        }
    }

    fn of(level: Level) -> Priority {
        match level {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            Level::DEBUG | Level::TRACE => Priority::Debug,
        }
    }
}

/// Whether standard error is connected to systemd's journal. JOURNAL_STREAM contains the device and the inode of the socket that
/// systemd connected (systemd.exec(5)). They are compared, because standard error may have been redirected since.
fn to_journal() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let Ok(named) = std::env::var("JOURNAL_STREAM") else {
            return false;
        };
        let stderr = io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from);
        let metadata = stderr.and_then(|stderr| stderr.metadata());
        metadata.is_ok_and(|metadata| named == format!("{}:{}", metadata.dev(), metadata.ino()))
    })
}

/// How long the end of the program waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Writes the remaining lines, if standard error accepts them in time.
pub fn end_log() {
    if let Some(queue) = log_queue::running() {
        queue.finish(LAST_LINES);
    }
}

/// Sets up the log to standard error: by default human on a terminal, JSON elsewhere. The demo logs to a file in its folder
/// instead, once it has one, because standard error would interrupt its output.
///
/// # Errors
/// When `--log` is invalid.
pub fn start_log(cli: &Cli) -> Result<(), ExitStatus> {
    #[cfg(feature = "demo")]
    if matches!(cli.command, Command::Demo(_)) {
        return Ok(());
    }
    if matches!(cli.command, Command::Run { .. }) {
        // A reader that stops reading the log must not stop the daemon.
        let queue = LogQueue::start().map_err(|error| fail(&format!("start a thread for the log: {error}")))?;
        return log_to(cli, move || queue, true);
    }
    log_to(cli, || StandardError, true)
}

/// Which log lines to write, and who said so: the more precise wish counts, the command line before the environment.
fn level(cli: &Cli, environment: Option<String>) -> (&'static str, String) {
    match (&cli.log, cli.quiet, cli.verbose) {
        (Some(level), ..) => ("--log", level.clone()),
        (None, true, _) => ("--quiet", "warn".to_owned()),
        (None, false, 1) => ("--verbose", "debug".to_owned()),
        (None, false, 2..) => ("--verbose", "trace".to_owned()),
        (None, false, 0) => match environment.filter(|level| !level.is_empty()) {
            Some(level) => ("ORAREAPER_LOG", level),
            // Where no daemon runs, `kill` starts a daemon's loop, whose lines would stand between what it shows and its question.
            None if matches!(&cli.command, Command::Kill(arguments) if !arguments.yes) => ("--log", "warn".to_owned()),
            None => ("--log", "info".to_owned()),
        },
    }
}

/// Sets up the log to `out`, which is standard error or a file.
pub(crate) fn log_to<W>(cli: &Cli, out: W, to_stderr: bool) -> Result<(), ExitStatus>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let terminal = to_stderr && io::stderr().is_terminal();
    let (asked, level) = level(cli, std::env::var("ORAREAPER_LOG").ok());
    let filter = tracing_subscriber::EnvFilter::try_new(&level).map_err(|error| {
        fail(&format!(
            "{asked} {level:?}: {error}; expected a level such as info or debug"
        ))
    })?;
    let format = cli
        .log_format
        .unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
    let colour = to_stderr && colour_on(&io::stderr());
    let form = match (format, colour) {
        (LogFormat::Json, _) => LogForm::Json,
        (LogFormat::Human, false) => LogForm::Plain,
        (LogFormat::Human, true) => LogForm::Coloured,
    };
    let lines = LogLines {
        out,
        form,
        prioritized: to_journal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .with_target(false);
    match format {
        LogFormat::Human => log.with_ansi(colour).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The form of an event's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogForm {
    /// One JSON object.
    Json,
    /// Plain text.
    Plain,
    /// Text with the subscriber's colours; the subscriber escapes the fields.
    Coloured,
}

/// Makes a writer for each event.
struct LogLines<M> {
    out: M,
    form: LogForm,
    prioritized: bool,
}

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for LogLines<M> {
    type Writer = LogLine<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        LogLine {
            out: self.out.make_writer(),
            form: self.form,
            prefix: if self.prioritized { Priority::Info.prefix() } else { "" },
        }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Self::Writer {
        let priority = Priority::of(*event.level());
        LogLine {
            out: self.out.make_writer_for(event),
            form: self.form,
            prefix: if self.prioritized { priority.prefix() } else { "" },
        }
    }
}

/// Writes one event. The subscriber passes the whole event in one call.
struct LogLine<W> {
    out: W,
    form: LogForm,
    prefix: &'static str,
}

impl<W: Write> Write for LogLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let shown = match self.form {
            LogForm::Json => json_escaped(body),
            LogForm::Plain => visible(body),
            LogForm::Coloured => Cow::Borrowed(body),
        };
        let line = format!("{}{shown}\n", self.prefix);
        self.out.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reports a problem.
pub(crate) fn fail(problem: &str) -> ExitStatus {
    say_as(Priority::Error, &format!("error: {problem}"));
    ExitStatus::Failed
}

/// Reports something about the work.
pub(crate) fn say(text: &str) {
    say_as(Priority::Info, text);
}

/// Reports a result on standard error, because standard output has another one.
pub(crate) fn tell(text: &str) {
    say_as(Priority::Warning, text);
}

/// Reports something that somebody should look at.
pub(crate) fn warn(text: &str) {
    say_as(Priority::Warning, text);
}

/// Reports text with a priority, line by line. With `--quiet` only problems are reported.
pub(crate) fn say_as(priority: Priority, text: &str) {
    if manners().quiet && matches!(priority, Priority::Info | Priority::Debug) {
        return;
    }
    let text = if to_journal() {
        let lines = text.lines().map(|line| format!("{}{line}\n", priority.prefix()));
        lines.collect()
    } else {
        format!("{text}\n")
    };
    match log_queue::running() {
        Some(queue) => queue.put(text.as_bytes()),
        // A failure is ignored: standard error is closed, and there is nowhere else to report it.
        None => drop(StandardError.write_all(text.as_bytes())),
    }
}

/// Lines that wait until a screen is put away that standard error would write into; `None` where there is no such screen.
static WAITING: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// The most bytes that wait. What comes after them is lost: a screen shows what matters itself.
const MOST_WAITING: usize = 64 << 10;

/// Keeps what is written to standard error until [`no_more_aside`].
pub(super) fn keep_aside() {
    WAITING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default();
}

/// Writes what was kept.
pub(super) fn no_more_aside() {
    let kept = WAITING.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(io::stderr().write_all(&kept.unwrap_or_default()));
}

/// Standard error, unless what is written to it has to wait.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kept) if kept.len() + bytes.len() <= MOST_WAITING => kept.extend_from_slice(bytes),
            Some(_) => {}
            None => return io::stderr().write(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn written(form: LogForm, prefix: &'static str, event: &str) -> String {
        let mut out = Vec::new();
        let mut line = LogLine {
            out: &mut out,
            form,
            prefix,
        };
        line.write_all(event.as_bytes()).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn control_characters_are_escaped_and_an_event_is_one_line() {
        let hostile = "{\"machine\":\"web\u{9b}1\u{202e}\u{2028}\"}\n";
        assert_eq!(
            written(LogForm::Json, "<4>", hostile),
            "<4>{\"machine\":\"web\\u009b1\\u202e\\u2028\"}\n"
        );
        assert_eq!(written(LogForm::Plain, "", "a\u{9b}b\nc\n"), "a\\x9bb\\x0ac\n");
    }

    #[test]
    fn the_more_precise_wish_sets_the_level() {
        let asked = |words: &[&str], environment: Option<&str>| {
            let words = ["orareaper", "run"].iter().chain(words);
            let cli = Cli::try_parse_from(words).expect("a command line");
            level(&cli, environment.map(str::to_owned))
        };
        let cases: [(&[&str], Option<&str>, &str); 8] = [
            (&[], None, "info"),
            (&[], Some(""), "info"),
            (&[], Some("error"), "error"),
            (&["-q"], Some("trace"), "warn"),
            (&["-v"], Some("error"), "debug"),
            (&["-vv"], None, "trace"),
            (&["-v", "-v", "--log", "error"], None, "error"),
            (&["-q", "--log", "orareaper=debug"], Some("info"), "orareaper=debug"),
        ];
        for (words, environment, expected) in cases {
            assert_eq!(asked(words, environment).1, expected, "{words:?} {environment:?}");
        }
    }

    #[test]
    fn each_level_has_its_priority() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        let prefixes = levels.map(|level| Priority::of(level).prefix());
        assert_eq!(prefixes, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
    }
}
