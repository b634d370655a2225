//! `run`: the daemon.
//!
//! Signal handlers are installed before anything else starts, because the Oracle client library installs its own handlers where it
//! finds none. SIGTERM and SIGINT stop the daemon; a second one ends the process at once; SIGHUP reloads.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cli::ExitStatus;
use crate::clock::{Clock, SystemClock};
use crate::commands::{fail, load_config, load_policies};
use crate::config::{Config, Driver};
use crate::daemon::control::Claim;
use crate::daemon::service::DaemonService;
use crate::policy::model::PolicySet;
use crate::systemd::{Notifier, watchdog_interval};
use crate::yaml::diagnostics::Diagnostic;

/// A loop that does not end within this time is abandoned.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// How often heartbeats and the watchdog are checked, at least. Signals and pauses are not waited for.
const TICK: Duration = Duration::from_secs(1);

/// The signals received so far.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    /// Gets a byte from each signal, after its flag is set, and from each waker.
    arrivals: Arc<UnixStream>,
    arriving: Arc<UnixStream>,
}

impl Signals {
    /// Installs the handlers.
    pub(crate) fn catch() -> io::Result<Signals> {
        let (arrivals, arriving) = UnixStream::pair()?;
        arriving.set_nonblocking(true)?;
        let signals = Signals {
            stop: Arc::default(),
            reload: Arc::default(),
            arrivals: Arc::new(arrivals),
            arriving: Arc::new(arriving),
        };
        for signal in [SIGTERM, SIGINT] {
            // Registered first, so that only the second signal finds the flag set.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&signals.stop))?;
            signal_hook::flag::register(signal, Arc::clone(&signals.stop))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, signals.waker()?)?;
        }
        Ok(signals)
    }

    /// A socket that ends [`Signals::wait`] when something is written to it.
    fn waker(&self) -> io::Result<UnixStream> {
        self.arriving.try_clone()
    }

    /// Waits until a signal arrives or a waker is used, or as long.
    pub(crate) fn wait(&self, at_most: Duration) {
        // A timeout of zero would be none.
        let timeout = at_most.max(Duration::from_millis(1));
        let mut bytes = [0; 64];
        let waited = self
            .arrivals
            .set_read_timeout(Some(timeout))
            .and_then(|()| (&*self.arrivals).read(&mut bytes));
        match waited {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It is a socket of this process: nothing else is to be expected of it. The flags are set all the same.
            Err(_) => std::thread::sleep(timeout),
        }
    }

    /// Whether to stop.
    pub(crate) fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }
}

/// Runs the command.
pub(crate) fn run(path: &Path, dry_run: bool, clock: SystemClock) -> ExitStatus {
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("catch signals: {error}")),
    };
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let (config, set) = match load(path, &*clock) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let notifier = match Notifier::from_environment() {
        Ok(notifier) => notifier,
        Err(error) => return fail(&error.to_string()),
    };
    // Before anything else, so that a second daemon does nothing.
    let claim = match Claim::take(&config.state) {
        Ok(claim) => claim,
        Err(error) => return fail(&error.to_string()),
    };
    let waits = |what: &str| notifier.status(what);
    let mut service = match DaemonService::start(&config, &set, dry_run, &clock, (&|watcher| watcher, &waits)) {
        Ok(service) => service,
        Err(error) => return fail(&error.to_string()),
    };
    let (switch, directory) = (Arc::clone(service.switch()), Arc::clone(service.directory()));
    match signals.waker() {
        Ok(waker) => switch.wakes(waker),
        Err(error) => return fail(&format!("make a socket: {error}")),
    }
    let status = service.status().clone();
    let _control = match claim.listen(path, switch, (status, directory), Arc::clone(&clock)) {
        Ok(control) => control,
        Err(error) => return fail(&error.to_string()),
    };
    notifier.ready(&service.status_line());
    serve(path, &config, &signals, &mut service, &notifier, &*clock);
    notifier.stopping("stopping");
    if service.stop("received a signal", GRACE) {
        ExitStatus::Fine
    } else {
        fail("stop: a database's loop or the journal did not end in time or ended with an error; see the log")
    }
}

fn load(path: &Path, clock: &dyn Clock) -> Result<(Config, Arc<PolicySet>), ExitStatus> {
    let config = load_config(path)?;
    let set = load_policies(&config.policies, clock.today(config.timezone), config.timezone)?;
    match surplus(&config, &set) {
        Some(problem) => {
            fail(&problem);
            Err(ExitStatus::Findings)
        }
        None => Ok((config, set)),
    }
}

fn serve(
    path: &Path,
    config: &Config,
    signals: &Signals,
    service: &mut DaemonService,
    notifier: &Notifier,
    clock: &dyn Clock,
) {
    let interval = watchdog_interval();
    let tick = interval.map_or(TICK, |interval| TICK.min(interval / 2));
    let mut fed = clock.now();
    let mut said = service.status_line();
    while !signals.stop() {
        if signals.take_reload() {
            notifier.reloading();
            if let Err(problem) = reload(path, config, service, clock) {
                service.reload_failed(problem);
            }
            said = service.status_line();
            notifier.ready(&said);
        }
        service.tell_pause();
        let line = service.status_line();
        if line != said {
            notifier.status(&line);
            said = line;
        }
        // A thread that panicked may have left an action unfinished. The journal has its intent; a restart only delays.
        let heartbeat = service
            .heartbeat()
            .expect("a thread of the daemon has panicked; its message is above");
        if let Some(interval) = interval
            && clock.now().since(fed) >= interval
        {
            notifier.feed(heartbeat);
            fed = clock.now();
        }
        signals.wait(tick);
    }
}

/// Puts the new configuration and policies in force, all of them or none. The error says why nothing was changed.
fn reload(path: &Path, running: &Config, service: &mut DaemonService, clock: &dyn Clock) -> Result<(), String> {
    let loaded = crate::config::load(path);
    let config = loaded.config.ok_or_else(|| joined(&loaded.diagnostics))?;
    let fixed = fixed(running, &config);
    if !fixed.is_empty() {
        return Err(fixed.join("; "));
    }
    let policies = crate::policy::load(&config.policies, clock.today(config.timezone), config.timezone);
    let set = Arc::new(policies.set.ok_or_else(|| joined(&policies.diagnostics))?);
    for warning in policies.diagnostics {
        tracing::warn!(
            problem = warning.to_string(),
            hint = warning.hint.as_deref(),
            "warning of a policy file"
        );
    }
    if let Some(problem) = surplus(&config, &set) {
        return Err(problem);
    }
    service.reload(&config, &set)
}

fn surplus(config: &Config, set: &PolicySet) -> Option<String> {
    let named = |database: &crate::config::DatabaseConfig| (Arc::clone(&database.name), database.labels.clone());
    let databases: Vec<_> = config.databases.iter().map(named).collect();
    crate::decide::in_force::too_many(&databases, set)
}

fn joined(problems: &[Diagnostic]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The changes that need a restart, with the reason for each.
fn fixed(running: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    if running.listen != new.listen {
        changes.push(format!(
            "`listen: {}` needs a restart; until then the pages are served at {}",
            new.listen, running.listen
        ));
    }
    if running.state != new.state {
        changes.push(format!(
            "`state: {}` needs a restart; the journal and the kill switch are in {} and cannot move while the daemon runs",
            new.state.display(),
            running.state.display()
        ));
    }
    if let (Some(before), Some(after)) = (client_folder(running), client_folder(new))
        && before != after
    {
        changes.push(
            "a new `tns_admin` for `driver: oci` needs a restart; Oracle Client reads its files only once per process"
                .to_owned(),
        );
    }
    changes
}

/// The folder in which Oracle Client looks for its files, if a database uses it.
fn client_folder(config: &Config) -> Option<Option<&Path>> {
    let mut databases = config.databases.iter();
    let of_client = databases.find(|database| database.driver == Driver::Oci)?;
    Some(of_client.tns_admin.as_deref())
}
