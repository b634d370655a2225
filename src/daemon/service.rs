//! The daemon put together: recorder, pages, databases, and the one thread that waits for signals.
//!
//! `run` and `demo` start the same service; they differ in where the configuration comes from and in who else watches.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::database::Watcher;
use crate::daemon::watcher::{Clerk, Recording};
use crate::daemon::{Running, Start, start};
use crate::event::{Event, Loaded, LoadedDatabase, LoadedPolicy, PolicyLoad};
use crate::http::{Server, Sources};
use crate::metrics::Metrics;
use crate::notify::Heartbeat;
use crate::plan::run_mode;
use crate::policy::model::PolicySet;
use crate::recorder::Recorder;
use crate::status::SharedStatus;

/// A loop that has not shown itself for so long is stuck: it never blocks, so a minute is a very long time.
const LOOP_ALLOWANCE: Duration = Duration::from_secs(30);

/// Everything that runs.
pub struct Service {
    recorder: Arc<Recorder>,
    heartbeat: Heartbeat,
    running: Running,
    pages: Server,
    dry_run: bool,
}

/// Wraps a database's watcher in another, or hands it back as it is.
pub type Wrap<'a> = &'a dyn Fn(Box<dyn Watcher>) -> Box<dyn Watcher>;

impl Service {
    /// Starts everything. Reads and acts from the first moment.
    ///
    /// # Errors
    /// When the state folder, the listening address or a password cannot be had; each says what and why.
    pub fn start(
        config: &Config,
        set: &Arc<PolicySet>,
        dry_run: bool,
        clock: &Arc<dyn Clock>,
        wrap: Wrap<'_>,
    ) -> io::Result<Service> {
        let (metrics, status) = (Arc::new(Metrics::new()), SharedStatus::default());
        let heartbeat = Heartbeat::new(Arc::clone(clock));
        let sources = Sources {
            metrics: Arc::clone(&metrics),
            status: status.clone(),
            heartbeat: heartbeat.clone(),
            clock: Arc::clone(clock),
        };
        let pages = Server::start(config.listen, sources)?;
        // With port 0 this is where the port is told.
        tracing::info!(address = pages.address().to_string(), "pages are served");
        let (recorder, history) =
            Recorder::open(&config.state, Arc::clone(clock), metrics, status).map_err(io::Error::other)?;
        let recorder = Arc::new(recorder);
        recorder.record(&Event::Started {
            version: env!("CARGO_PKG_VERSION"),
            dry_run,
        });
        recorder.record(&Event::Policies(PolicyLoad::Loaded(loaded(config, set, dry_run))));
        let state: &Path = &config.state;
        let running = start(&Start {
            config,
            set: Arc::clone(set),
            dry_run,
            clock: Arc::clone(clock),
            memory: &|database| history.memory(database),
            watcher: &|database| {
                let pulse = heartbeat.pulse(&format!("db-{database}"), LOOP_ALLOWANCE);
                let recorder = Arc::clone(&recorder);
                wrap(Box::new(Recording::new(
                    database,
                    recorder,
                    pulse,
                    Arc::clone(clock),
                    state,
                )))
            },
            witness: &|database| Box::new(Clerk::new(database, Arc::clone(&recorder))),
        })?;
        Ok(Service {
            recorder,
            heartbeat,
            running,
            pages,
            dry_run,
        })
    }

    /// Puts new policies in force.
    pub fn reload(&self, config: &Config, set: &Arc<PolicySet>) {
        self.recorder
            .record(&Event::Policies(PolicyLoad::Loaded(loaded(config, set, self.dry_run))));
        self.running.reload(config, Arc::clone(set));
    }

    /// Says that new policies did not check; the old ones stay.
    pub fn reload_failed(&self, error: String) {
        self.recorder.record(&Event::Policies(PolicyLoad::Failed { error }));
    }

    /// The loops' signs of life; `None` if a loop has ended, which none does of itself.
    #[must_use]
    pub fn heartbeat(&self) -> Option<&Heartbeat> {
        self.running.all_run().then_some(&self.heartbeat)
    }

    /// Where the pages are.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.pages.address()
    }

    /// Ends everything within `grace`; whether it all ended in good order.
    #[must_use]
    pub fn stop(self, reason: &str, grace: Duration) -> bool {
        self.recorder.record(&Event::Stopping { reason: reason.into() });
        let ended = self.running.stop(grace);
        drop(self.pages);
        ended
    }
}

/// What is in force, for log, metrics and status page.
fn loaded(config: &Config, set: &PolicySet, dry_run: bool) -> Loaded {
    let databases = config.databases.iter().map(|database| LoadedDatabase {
        database: Arc::clone(&database.name),
        driver: database.driver.name(),
        armed: database.armed,
        poll: database.poll,
        policies: set
            .policies
            .iter()
            .filter(|policy| {
                policy.databases.is_empty() || policy.databases.iter().any(|glob| glob.matches(&database.name))
            })
            .filter_map(|policy| {
                Some(LoadedPolicy {
                    policy: Arc::clone(&policy.name),
                    mode: run_mode(policy.mode, database.armed, dry_run)?,
                    actions: std::iter::once(policy.action)
                        .chain(policy.escalate.iter().map(|rung| rung.action))
                        .collect(),
                })
            })
            .collect(),
    });
    Loaded {
        digest: set.digest.as_str().into(),
        policies: set.policies.len(),
        databases: databases.collect(),
    }
}
