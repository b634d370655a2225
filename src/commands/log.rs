//! Where the log and whatever else is said of the work goes: standard error, or the demo's file.
//!
//! One line an event, harmless to show: what a client calls itself may stand in an error of the database too, so the whole
//! line is made visible and not only the fields that are known to hold such text. Where standard error leads to the journal
//! of systemd, each line begins with its priority, `<3>` for an error to `<7>` for a trace (sd-daemon(3)), so that
//! `journalctl -p warning` shows the outage and nothing else.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::{Cli, Command, LogFormat, Status};
use crate::commands::log_queue::{self, Queue};
use crate::terminal::visible::{json_escaped, visible};

/// How grave a line is, by the numbers of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// It could not be done.
    Error,
    /// A person should look.
    Warning,
    /// It was done.
    Info,
    /// For whoever looks for a fault.
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

/// Whether standard error leads to systemd's journal: JOURNAL_STREAM names the device and the inode of the socket that
/// systemd connected (systemd.exec(5)). A service whose standard error was redirected since has it too, so both are compared.
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

/// What is still to be written when the program ends gets so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Writes what is still to be written, as far as standard error takes it.
pub fn end_log() {
    if let Some(queue) = log_queue::running() {
        queue.finish(LAST_WORDS);
    }
}

/// Sets up the log: human where a person reads it, JSON elsewhere, unless told otherwise. To standard error, but for the
/// demo, whose story would drown in it: that one logs into its folder as soon as it has one.
///
/// # Errors
/// When the directives make no sense.
pub fn start_log(cli: &Cli) -> Result<(), Status> {
    #[cfg(feature = "demo")]
    if matches!(cli.command, Command::Demo(_)) {
        return Ok(());
    }
    let terminal = io::stderr().is_terminal();
    if matches!(cli.command, Command::Run { .. }) {
        // Whoever reads the log may stop reading, which must not stop the daemon.
        let queue = Queue::start().map_err(|error| fail(&format!("start a thread for the log: {error}")))?;
        return log_to(cli, move || queue, terminal);
    }
    log_to(cli, io::stderr, terminal)
}

/// Sets up the log, to anywhere.
pub(crate) fn log_to<W>(cli: &Cli, out: W, terminal: bool) -> Result<(), Status>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = tracing_subscriber::EnvFilter::try_new(&cli.log).map_err(|error| {
        fail(&format!(
            "--log {:?}: {error}; expected a level such as info or debug",
            cli.log
        ))
    })?;
    let format = cli
        .log_format
        .unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
    let form = match (format, terminal) {
        (LogFormat::Json, _) => Form::Json,
        (LogFormat::Human, false) => Form::Plain,
        (LogFormat::Human, true) => Form::Coloured,
    };
    let lines = Lines {
        out,
        form,
        prioritized: to_journal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .with_target(false);
    match format {
        LogFormat::Human => log.with_ansi(terminal).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// What an event's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One object.
    Json,
    /// Words.
    Plain,
    /// Words with the subscriber's own colours; it escapes the fields itself.
    Coloured,
}

/// Makes the writers of single events.
struct Lines<M> {
    out: M,
    form: Form,
    prioritized: bool,
}

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Line {
            out: self.out.make_writer(),
            form: self.form,
            prefix: if self.prioritized { Priority::Info.prefix() } else { "" },
        }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Self::Writer {
        let priority = Priority::of(*event.level());
        Line {
            out: self.out.make_writer_for(event),
            form: self.form,
            prefix: if self.prioritized { priority.prefix() } else { "" },
        }
    }
}

/// Writes one event, which the subscriber hands over whole.
struct Line<W> {
    out: W,
    form: Form,
    prefix: &'static str,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let shown = match self.form {
            Form::Json => json_escaped(body),
            Form::Plain => visible(body),
            Form::Coloured => Cow::Borrowed(body),
        };
        let line = format!("{}{shown}\n", self.prefix);
        self.out.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Tells a problem.
pub(crate) fn fail(problem: &str) -> Status {
    say_as(Priority::Error, &format!("error: {problem}"));
    Status::Failed
}

/// Tells something about the work.
pub(crate) fn say(text: &str) {
    say_as(Priority::Info, text);
}

/// Tells something of a priority, line by line.
pub(crate) fn say_as(priority: Priority, text: &str) {
    let text = if to_journal() {
        let lines = text.lines().map(|line| format!("{}{line}\n", priority.prefix()));
        lines.collect()
    } else {
        format!("{text}\n")
    };
    match log_queue::running() {
        Some(queue) => queue.put(text.as_bytes()),
        // Nobody reads it if standard error is closed, and there is nowhere else to say so.
        None => drop(io::stderr().write_all(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, prefix: &'static str, event: &str) -> String {
        let mut out = Vec::new();
        let mut line = Line {
            out: &mut out,
            form,
            prefix,
        };
        line.write_all(event.as_bytes()).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_line_shows_what_a_client_hid_in_it_and_stays_one_line() {
        let hostile = "{\"machine\":\"web\u{9b}1\u{202e}\u{2028}\"}\n";
        assert_eq!(
            written(Form::Json, "<4>", hostile),
            "<4>{\"machine\":\"web\\u009b1\\u202e\\u2028\"}\n"
        );
        assert_eq!(written(Form::Plain, "", "a\u{9b}b\nc\n"), "a\\x9bb\\x0ac\n");
    }

    #[test]
    fn each_level_has_its_priority() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        let prefixes = levels.map(|level| Priority::of(level).prefix());
        assert_eq!(prefixes, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
    }
}
