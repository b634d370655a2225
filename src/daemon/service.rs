//! The daemon put together: sink, pages, databases, and the one thread that waits for signals.
//!
//! `run` and `demo` start the same service; they differ in the source of the configuration and in additional watchers.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::accounts::AccountMemory;
use crate::daemon::database::Watcher;
use crate::daemon::directory::Directory;
use crate::daemon::exemptions::ExemptionWatch;
use crate::daemon::others::mark;
use crate::daemon::pause::{Pause, Switch};
use crate::daemon::siblings::Siblings;
use crate::daemon::watcher::{Clerk, EventWatcher};
use crate::daemon::{RunningDatabases, Start, start};
use crate::decide::in_force::{DatabaseRules, Due, EffectiveLimits};
use crate::event::{Event, InForceReport, LoadedDatabase, LoadedPolicy, Outcomed, PolicyLoad};
use crate::event_sink::EventSink;
use crate::http::access::{Access, AccessWatch};
use crate::http::{Server, Sources};
use crate::journal::read::{History, unwritten};
use crate::metrics::Metrics;
use crate::notify::NoticeDispatcher;
use crate::policy::model::PolicySet;
use crate::quantity::Elapsed;
use crate::quantity::counted;
use crate::status::SharedStatus;
use crate::systemd::Heartbeat;

/// A loop that makes no progress for this long is stuck: it never blocks.
const LOOP_ALLOWANCE: Duration = Duration::from_secs(30);

/// How long queued records may take to reach the disk when a reload or the end needs them there.
const RECORDS_WITHIN: Duration = Duration::from_secs(5);

/// How long the end waits for notifications that are still to be sent.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// How long the start waits for a port that is in use; less than the unit's start limit.
const PORT_PATIENCE: Duration = Duration::from_secs(15);

/// Everything that runs.
pub(crate) struct DaemonService {
    parts: Parts,
    running: RunningDatabases,
    /// The policies in force.
    set: Arc<PolicySet>,
    /// None where the service is a command's own.
    pages: Option<ServedPages>,
    /// Likewise.
    exemptions: Option<ExemptionWatch>,
}

/// The pages, and what protects them.
struct ServedPages {
    #[cfg_attr(not(feature = "demo"), expect(dead_code, reason = "dropping it ends the server"))]
    server: Server,
    access: Arc<Access>,
    /// Dropping it ends the look at the files.
    watch: AccessWatch,
}

/// What all databases share.
struct Parts {
    sink: Arc<EventSink>,
    heartbeat: Heartbeat,
    dry_run: bool,
    clock: Arc<dyn Clock>,
    state: PathBuf,
    status: SharedStatus,
    switch: Arc<Switch>,
    /// The pause that was last reported.
    told: Mutex<Option<Pause>>,
    accounts: Arc<AccountMemory>,
    siblings: Arc<Siblings>,
    directory: Arc<Directory>,
    mark: Option<Arc<str>>,
    notifier: Arc<NoticeDispatcher>,
}

/// Wraps a database's watcher in another, or returns it as it is.
pub(crate) type Wrap<'a> = &'a dyn Fn(Box<dyn Watcher>) -> Box<dyn Watcher>;

impl Parts {
    /// Opens the state folder.
    fn open(
        config: &Config,
        dry_run: bool,
        clock: &Arc<dyn Clock>,
        (metrics, status, heartbeat): (Arc<Metrics>, SharedStatus, Heartbeat),
    ) -> io::Result<(Parts, History)> {
        let opened = EventSink::open(&config.state, Arc::clone(clock), Arc::clone(&metrics), status.clone());
        let (sink, history) = opened.map_err(io::Error::other)?;
        let notifier = Arc::new(NoticeDispatcher::new(
            Arc::clone(clock),
            metrics,
            status.clone(),
            dry_run,
        ));
        notifier.receivers(config.notify.as_ref())?;
        sink.notify(Arc::clone(&notifier));
        let switch = Arc::new(Switch::new(&config.state, Arc::clone(clock))?);
        let accounts = AccountMemory::of(&config.state).map_err(|error| {
            let file = config.state.join("refused-logins.json");
            io::Error::other(format!(
                "read {}: {error}; the file says which passwords were refused and are not tried again: it may be deleted, and then \
                 each of them is tried once more, which counts as a failed login of its account",
                file.display()
            ))
        })?;
        let parts = Parts {
            sink: Arc::new(sink),
            heartbeat,
            dry_run,
            clock: Arc::clone(clock),
            state: config.state.clone(),
            status,
            switch,
            told: Mutex::default(),
            accounts: Arc::new(accounts),
            siblings: Arc::default(),
            directory: Arc::default(),
            mark: None,
            notifier,
        };
        Ok((parts, history))
    }

    /// Tells receivers of the actions whose outcome a crash has left open. The sink ended them before there was somebody to tell.
    fn tell_unfinished(&self, history: &History) {
        for intent in history.unfinished() {
            let why = "the daemon ended before the outcome was written";
            let outcomed = Outcomed::untold(intent, unwritten(intent), why);
            self.notifier.tell(&Event::Outcome(outcomed));
        }
    }

    /// Has what the journal knows count for all entries of each database.
    fn seed(&self, config: &Config, history: &History) {
        let configured = config.databases.iter();
        let configured = configured.map(|database| {
            let limits = EffectiveLimits::of(&database.limits);
            (Arc::clone(&database.name), database.place(), limits)
        });
        self.siblings.learn(history, configured);
    }

    /// What the journal knows now.
    ///
    /// `within` is how long it waits for the disk, and becomes nothing where that was in vain: who asks twice waits once.
    fn history(&self, within: &mut Duration) -> Result<History, String> {
        let waited = *within;
        if !waited.is_zero() && !self.sink.flush(waited) {
            *within = Duration::ZERO;
            tracing::warn!(
                "the journal does not take all records now: what goes on by it follows up actions whose outcome is not in it"
            );
        }
        crate::journal::read::read(&self.state, self.clock.utc())
            .map_err(|error| format!("read the journal for what it knows of databases that are new: {error}"))
    }

    /// Passes to `start` everything that databases are started with.
    fn with<T>(
        &self,
        config: &Config,
        set: &Arc<PolicySet>,
        history: &RefCell<History>,
        wrap: Wrap<'_>,
        then: impl FnOnce(&Start<'_>) -> T,
    ) -> T {
        self.seed(config, &history.borrow());
        then(&Start {
            config,
            set: Arc::clone(set),
            dry_run: self.dry_run,
            clock: Arc::clone(&self.clock),
            switch: Arc::clone(&self.switch),
            mark: self.mark.clone(),
            accounts: &self.accounts,
            siblings: &self.siblings,
            memory: &|database| history.borrow().memory(&database.name, &database.place()),
            watcher: &|database| {
                let pulse = self.heartbeat.pulse(&format!("db-{}", database.name), LOOP_ALLOWANCE);
                let sink = Arc::clone(&self.sink);
                let clock = Arc::clone(&self.clock);
                wrap(Box::new(EventWatcher::new(
                    &database.name,
                    sink,
                    pulse,
                    clock,
                    Arc::clone(&self.switch),
                    &self.state,
                )))
            },
            recorder: &|database| {
                let (name, place) = (Arc::clone(&database.name), database.place());
                let sink = Arc::clone(&self.sink);
                Box::new(move || Box::new(Clerk::new((&name, &place), Arc::clone(&sink))))
            },
        })
    }
}

impl DaemonService {
    /// Starts everything. The databases are read and acted on from then on.
    /// `waits` is told what the start itself waits for.
    ///
    /// # Errors
    /// When the state folder, the listening address or a password cannot be used; the error says which and why.
    pub(crate) fn start(
        config: &Config,
        set: &Arc<PolicySet>,
        dry_run: bool,
        clock: &Arc<dyn Clock>,
        (wrap, waits): (Wrap<'_>, &dyn Fn(&str)),
    ) -> io::Result<DaemonService> {
        let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
        let heartbeat = Heartbeat::new(Arc::clone(clock));
        let sources = Sources {
            metrics: Arc::clone(&metrics),
            status: status.clone(),
            heartbeat: heartbeat.clone(),
            clock: Arc::clone(clock),
            reports: config.state.join("reports"),
            access: Arc::new(Access::of(Some(config))?),
        };
        let pages = listen(config.listen, &sources, &**clock, waits)?;
        // With port 0 only this line shows the port.
        let protection = sources.access.current().to_string();
        tracing::info!(address = pages.address().to_string(), protection, "pages are served");
        let (mut parts, history) = Parts::open(config, dry_run, clock, (metrics, status, heartbeat))?;
        parts.mark = Some(mark());
        parts.sink.keep(config.journal);
        parts.sink.record(&Event::Started {
            version: env!("CARGO_PKG_VERSION"),
            dry_run,
        });
        let in_force = loaded(config, set, dry_run, missing_exemptions(&history, set));
        parts.sink.record(&Event::Policies(PolicyLoad::Loaded(in_force)));
        parts.tell_unfinished(&history);
        let exemptions = ExemptionWatch::start(&parts.sink, clock, &config.state)?;
        exemptions.set(config, set);
        let running = parts.with(config, set, &history.into(), wrap, start)?;
        let sink = Arc::clone(&parts.sink);
        let tell = move |read: Result<(), String>| sink.record(&Event::WebConfig { error: read.err() });
        let pages = ServedPages {
            server: pages,
            watch: AccessWatch::start(&sources.access, tell)?,
            access: sources.access,
        };
        let service = DaemonService {
            exemptions: Some(exemptions),
            ..DaemonService::of(parts, running, set, Some(pages))
        };
        service.tell_pause();
        Ok(service)
    }

    /// Starts what an order needs where no daemon runs: the same loops, journal and kill switch, without pages and policies.
    ///
    /// # Errors
    /// When the state folder or a password cannot be used; the error says which and why.
    pub(crate) fn start_for_orders(
        config: &Config,
        set: &Arc<PolicySet>,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<DaemonService> {
        let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
        let heartbeat = Heartbeat::new(Arc::clone(clock));
        let (parts, history) = Parts::open(config, false, clock, (metrics, status, heartbeat))?;
        // Of what is in force, as the receivers are told; the command's log does not repeat it.
        parts.notifier.tell(&Event::Policies(PolicyLoad::Loaded(loaded(
            config,
            set,
            false,
            Vec::new(),
        ))));
        parts.tell_unfinished(&history);
        let running = parts.with(config, set, &history.into(), &|watcher| watcher, start)?;
        Ok(DaemonService::of(parts, running, set, None))
    }

    fn of(parts: Parts, running: RunningDatabases, set: &Arc<PolicySet>, pages: Option<ServedPages>) -> DaemonService {
        parts.directory.set(running.inputs());
        DaemonService {
            parts,
            running,
            set: Arc::clone(set),
            pages,
            exemptions: None,
        }
    }

    /// Whom orders are given to.
    #[must_use]
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.parts.directory
    }

    /// The kill switch.
    #[must_use]
    pub(crate) fn switch(&self) -> &Arc<Switch> {
        &self.parts.switch
    }

    /// Reports to log, journal, metrics and page when a pause begins, changes or ends; returns the current pause. The thread that waits
    /// for signals calls it, so that it works while no database answers.
    pub(crate) fn tell_pause(&self) -> Option<Pause> {
        let Parts { switch, told, sink, .. } = &self.parts;
        let now = switch.known();
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != now {
            sink.record(&match &now {
                Some(pause) => Event::Paused {
                    by: pause.by.clone(),
                    reason: pause.reason.clone(),
                    trouble: pause.is_trouble(),
                },
                None => Event::Resumed {
                    by: switch.resumed_by(),
                },
            });
            told.clone_from(&now);
        }
        now
    }

    /// Puts another configuration and other policies in force, all of it or nothing.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(crate) fn reload(&mut self, config: &Config, set: &Arc<PolicySet>) -> Result<(), String> {
        let (parts, running) = (&self.parts, &mut self.running);
        if self.pages.is_some() {
            Access::check(config)?;
        }
        parts.accounts.look_again();
        // Actions on a new entry's database may be in the journal, under its name or another, from before a reload removed that entry.
        let mut within = RECORDS_WITHIN;
        let history = RefCell::new(parts.history(&mut within)?);
        let lost = self.set.lacking_in(set);
        let in_force = || {
            // Those who are removed may have acted until now.
            match parts.history(&mut within) {
                Ok(now) => {
                    parts.seed(config, &now);
                    history.replace(now);
                }
                Err(error) => {
                    tracing::error!(error, "budgets of new databases count as used up");
                    history.borrow_mut().distrust(parts.clock.utc(), &parts.state, error);
                }
            }
            let loaded = loaded(config, set, parts.dry_run, lost);
            parts.sink.record(&Event::Policies(PolicyLoad::Loaded(loaded)));
        };
        let whole = parts.with(config, set, &history, &|watcher| watcher, |start| {
            running.reload(start, in_force)
        });
        parts.directory.set(running.inputs());
        whole.map_err(|error| error.to_string())?;
        parts.sink.keep(config.journal);
        if let Err(error) = parts.notifier.receivers(config.notify.as_ref()) {
            tracing::error!(error = error.to_string(), "no thread for a receiver of notifications");
        }
        if let Some(exemptions) = &self.exemptions {
            exemptions.set(config, set);
        }
        if let Some(pages) = &self.pages {
            let error = pages.access.follow(Some(config)).err();
            pages.watch.other_files();
            parts.sink.record(&Event::WebConfig { error });
        }
        self.set = Arc::clone(set);
        Ok(())
    }

    /// Reports that new policies did not check; the old ones stay in force.
    pub(crate) fn reload_failed(&self, error: String) {
        self.parts.sink.record(&Event::Policies(PolicyLoad::Failed { error }));
    }

    /// The heartbeat of the loops; `None` if a loop or the journal's thread has ended, which happens only after a panic.
    #[must_use]
    pub(crate) fn heartbeat(&self) -> Option<&Heartbeat> {
        let all = self.running.all_run() && self.parts.sink.runs();
        all.then_some(&self.parts.heartbeat)
    }

    /// The status that the pages show.
    #[must_use]
    pub(crate) fn status(&self) -> &SharedStatus {
        &self.parts.status
    }

    /// The line for `systemctl status`: problems, and what is in force.
    #[must_use]
    pub(crate) fn status_line(&self) -> String {
        self.parts.status.read().line()
    }

    /// The address of the pages, if it has any.
    #[cfg(feature = "demo")]
    #[must_use]
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.pages.as_ref().map(|pages| pages.server.address())
    }

    /// Ends everything within `grace`, and writes the records that are left; returns whether all ended without an error.
    #[must_use]
    pub(crate) fn stop(self, reason: &str, grace: Duration) -> bool {
        // A command's own service was not said to have started either.
        if self.pages.is_some() {
            self.parts.sink.record(&Event::Stopping { reason: reason.into() });
        }
        let ended = self.running.stop(grace);
        let whole = self.parts.sink.close(RECORDS_WITHIN);
        if let Err(unwritten) = &whole {
            tracing::error!(error = unwritten.as_str(), "the journal is not whole");
        }
        let untold = self.parts.notifier.close(TOLD_WITHIN);
        if untold > 0 {
            tracing::warn!(untold, "notifications were not sent before the end");
        }
        drop(self.pages);
        ended && whole.is_ok()
    }
}

/// Serves the pages. Waits for a port that is in use, for example by a daemon that is still ending.
fn listen(address: SocketAddr, sources: &Sources, clock: &dyn Clock, waits: &dyn Fn(&str)) -> io::Result<Server> {
    let deadline = clock.now().plus(PORT_PATIENCE);
    let mut told = false;
    loop {
        match Server::start(address, sources.clone()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && clock.now() < deadline => {
                if !told {
                    let patience = Elapsed(PORT_PATIENCE);
                    tracing::warn!(
                        address = address.to_string(),
                        "the port is in use: waiting for it up to {patience}"
                    );
                    waits(&format!(
                        "not up yet: waiting up to {patience} for {address}, which another program has (`listen:`)"
                    ));
                    told = true;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable) => {
                let why = if error.kind() == io::ErrorKind::AddrInUse {
                    "another program has this port"
                } else {
                    "this host has no such address"
                };
                return Err(io::Error::new(
                    error.kind(),
                    format!("{error}: {why}; set another address or port with `listen:` in the configuration"),
                ));
            }
            answer => return answer,
        }
    }
}

/// What is said if exemptions have gone while no daemon ran. The journal knows how many there were, not which.
fn missing_exemptions(history: &History, set: &PolicySet) -> Vec<String> {
    let (before, now) = (history.exemptions.unwrap_or(0), set.exemptions.len());
    match before.checked_sub(now) {
        None | Some(0) => Vec::new(),
        Some(gone) => vec![format!(
            "{} of {before} that the daemon had in force when it ran last",
            counted(gone, "exemption")
        )],
    }
}

/// What is in force, for log, metrics and status page; `lost` is what was before.
fn loaded(config: &Config, set: &Arc<PolicySet>, dry_run: bool, lost: Vec<String>) -> InForceReport {
    let databases = config.databases.iter().map(|database| {
        let here = DatabaseRules::of(database, dry_run, Arc::clone(set)).configured(Due::Always);
        let policies = here.running().iter().map(|in_force| {
            let policy = &set.policies[in_force.index()];
            LoadedPolicy {
                policy: Arc::clone(&policy.name),
                mode: in_force.mode(),
                actions: std::iter::once(policy.action)
                    .chain(policy.escalate.iter().map(|rung| rung.action))
                    .collect(),
            }
        });
        LoadedDatabase {
            database: Arc::clone(&database.name),
            place: database.place(),
            driver: database.driver.name(),
            armed: database.armed,
            poll: database.poll,
            labels: database.labels.clone(),
            policies: policies.collect(),
        }
    });
    InForceReport {
        digest: set.digest.as_str().into(),
        policies: set.policies.len(),
        exemptions: set.exemptions.len(),
        lost,
        timezone: config.timezone,
        databases: databases.collect(),
    }
}
