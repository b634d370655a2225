//! `record`: saves snapshots of a configured database to a file, with everything that a policy can use.
//!
//! Reads as the daemon does, on its own connection, and never acts. It reads all columns that the release has, all views and all
//! resources, because a recording is for trying policies that are not written yet. A failed snapshot is reported and skipped.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{ExitStatus, RecordArgs};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::commands::manners::manners;
use crate::commands::output::nameable;
use crate::commands::run::Signals;
use crate::commands::stream::{is_stream, target_name};
use crate::commands::{fail, load_config, no_database, say, warn};
use crate::config::{Config, DatabaseConfig};
use crate::daemon::accounts::AccountMemory;
use crate::daemon::backoff::Backoff;
use crate::daemon::messages::{Needs, Polled};
use crate::daemon::poller::Poller;
use crate::decide::protect::ProtectionFacts;
use crate::policy::pressure::Resource;
use crate::quantity::{Bytes, Elapsed, counted};
use crate::recording::{Anonymiser, Header, RecordedSnapshot, RecordingWriter};
use crate::session::column::Column;
use crate::terminal::Detail;

/// Runs the command.
pub(crate) fn run(arguments: &RecordArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match record(arguments, config, Arc::new(clock)) {
        Ok(()) => ExitStatus::Fine,
        Err(status) => status,
    }
}

fn record(arguments: &RecordArgs, config: &Path, clock: Arc<dyn Clock>) -> Result<(), ExitStatus> {
    let signals = Signals::catch().map_err(|error| fail(&format!("catch signals: {error}")))?;
    let config = load_config(config)?;
    let database = database(&config, arguments.database.as_deref())?;
    let accounts = AccountMemory::of_command(&config.state);
    let reach = crate::daemon::reach(database, &accounts).map_err(|error| fail(&error.to_string()))?;
    let every = arguments.every.unwrap_or(database.poll);
    let mut anonymiser = arguments.anonymise.then(Anonymiser::default);
    let name = database.name.to_string();
    let header = Header {
        database: match &mut anonymiser {
            Some(anonymiser) => anonymiser.database(&name),
            None => name,
        },
        every,
    };
    let writer = begin(&arguments.output, &header)?;
    let until = arguments.for_.map(|span| clock.now().plus(span));
    let mut session = SnapshotTaker {
        poller: Poller::new(reach, Arc::clone(&clock)),
        writer,
        backoff: Backoff::of(&database.name),
        facts: Arc::default(),
        unreadable: Vec::new(),
        every,
        anonymiser,
    };
    let mut taken = 0;
    let wanted = |taken: u64| arguments.snapshots.is_none_or(|most| taken < most.get());
    let in_time = |now: Monotonic| until.is_none_or(|until| now < until);
    while wanted(taken) && in_time(clock.now()) && !signals.stop() {
        let began = clock.now();
        let attempt = session.take(&arguments.output);
        let pause = match attempt.inspect_err(|_| discard(taken, &arguments.output))? {
            None => {
                taken += 1;
                every
            }
            Some(pause) => pause,
        };
        let next = began.plus(pause);
        let next = until.map_or(next, |until| next.min(until));
        while wanted(taken) && clock.now() < next && !signals.stop() {
            signals.wait(next.since(clock.now()));
        }
    }
    let size = session.size();
    session.poller.close();
    if taken == 0 {
        discard(taken, &arguments.output);
        return Err(fail(&format!(
            "no snapshot of {} could be taken, so nothing was written to {}",
            database.name,
            target_name(&arguments.output)
        )));
    }
    say(&format!(
        "recorded {} of {} to {}, {}",
        counted(usize::try_from(taken).unwrap_or(usize::MAX), "snapshot"),
        database.name,
        target_name(&arguments.output),
        size
    ));
    Ok(())
}

/// The named database, or the only one.
fn database<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c DatabaseConfig, ExitStatus> {
    match (name, &config.databases[..]) {
        (Some(name), databases) => databases
            .iter()
            .find(|database| &*database.name == name)
            .ok_or_else(|| fail(&no_database(name, databases.iter().map(|database| &*database.name)))),
        (None, [only]) => Ok(only),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|database| &*database.name).collect();
            Err(fail(&format!(
                "a recording is of one database; choose one with --database: {}",
                names.join(", ")
            )))
        }
    }
}

/// Creates the file, readable only by its owner because it contains names of users and programs; or begins on standard output.
fn begin(path: &Path, header: &Header) -> Result<RecordingWriter<Box<dyn Write>>, ExitStatus> {
    let out: io::Result<Box<dyn Write>> = if is_stream(path) {
        if io::stdout().is_terminal() {
            return Err(fail(
                "write the recording to standard output: it is a terminal, and a recording is not text; name a file, or send it through a pipe",
            ));
        }
        Ok(Box::new(io::stdout()))
    } else {
        let named = nameable(path);
        let file = named.and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
        file.map(|file| Box::new(file) as Box<dyn Write>)
    };
    out.and_then(|out| RecordingWriter::begin(out, header))
        .map_err(|error| fail(&format!("create the recording {}: {error}", target_name(path))))
}

/// Removes the recording that this process has made, if it has no snapshot: it is of no use, and the next `record` would be refused for it.
fn discard(taken: u64, path: &Path) {
    if taken > 0 || is_stream(path) {
        return;
    }
    if let Err(error) = std::fs::remove_file(path) {
        warn(&format!(
            "remove the recording {}, which has no snapshot: {error}",
            target_name(path)
        ));
    }
}

/// A closed pipe is no error: its reader has enough.
fn unwritten(error: &io::Error, path: &Path) -> ExitStatus {
    if error.kind() == io::ErrorKind::BrokenPipe {
        ExitStatus::Fine
    } else {
        fail(&format!("write the recording {}: {error}", target_name(path)))
    }
}

struct SnapshotTaker {
    poller: Poller,
    writer: RecordingWriter<Box<dyn Write>>,
    backoff: Backoff,
    facts: Arc<ProtectionFacts>,
    /// The problems already reported.
    unreadable: Vec<String>,
    every: Duration,
    anonymiser: Option<Anonymiser>,
}

impl SnapshotTaker {
    /// Takes one snapshot. `Some`: it failed, and the next attempt is after this pause. An error: another attempt is useless.
    fn take(&mut self, path: &Path) -> Result<Option<Duration>, ExitStatus> {
        let needs = Needs::all_sessions(Column::ALL.iter().copied().collect(), Resource::ALL.to_vec());
        let polled = match self.poller.poll(&needs) {
            Ok(polled) => polled,
            Err(error) => {
                let pause = self.backoff.after(error.class, self.every);
                let problem = fail(&error.to_string());
                return pause.map(Some).ok_or(problem);
            }
        };
        self.backoff.reset();
        for problem in polled.unreadable.iter().map(ToString::to_string) {
            if !self.unreadable.contains(&problem) {
                warn(&format!("not recorded: {problem}"));
                self.unreadable.push(problem);
            }
        }
        let (sessions, took) = (polled.snapshot.rows(), polled.took);
        let recorded = self.recorded(*polled);
        let added = self.writer.add(recorded);
        added.map_err(|error| unwritten(&error, path))?;
        if manners().detail() == Detail::More {
            let took = Elapsed(took);
            say(&format!(
                "{} in {took}, {} so far",
                counted(sessions, "session"),
                self.size()
            ));
        }
        Ok(None)
    }

    /// What was written so far.
    fn size(&self) -> Bytes {
        Bytes(i64::try_from(self.writer.written()).unwrap_or(i64::MAX))
    }

    fn recorded(&mut self, polled: Polled) -> RecordedSnapshot {
        let facts = polled.capabilities.facts(&[polled.capabilities.own]);
        if *self.facts != facts {
            self.facts = Arc::new(facts);
        }
        let recorded = RecordedSnapshot {
            snapshot: polled.snapshot,
            readings: polled.readings,
            facts: Arc::clone(&self.facts),
        };
        match &mut self.anonymiser {
            Some(anonymiser) => anonymiser.anonymise(recorded),
            None => recorded,
        }
    }
}
