//! The daemon: one loop a database, each with a thread to read and a thread to act, and the few things they share.
//!
//! ```text
//! poll-<db> --snapshot--> db-<db> --warrants--> act-<db>
//!                           ^   <---outcomes----
//!                           +--- reload, stop: from the signals
//! ```
//!
//! Databases share the recorder (journal, log, metrics, status) and nothing else. Stopping waits for the loops, which never
//! block, and not for the threads that read and act: a call that hangs in a driver is left to die with the process, and its
//! intent is in the journal.

pub mod actor;
pub mod backoff;
pub mod database;
pub mod pause;
pub mod poller;
pub mod reports;
pub mod service;
pub mod watcher;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::actuator::carry_out::Witness;
use crate::clock::{Clock, Monotonic};
use crate::config::{Config, Login, SecretError};
use crate::cycle::Memory;
use crate::daemon::database::{Database, Input, Rules, Settings, Watcher};
use crate::daemon::poller::Reach;
use crate::oracle;
use crate::plan::EffectiveLimits;
use crate::policy::model::PolicySet;

/// What the databases' loops are started with.
pub struct Start<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The policies.
    pub set: Arc<PolicySet>,
    /// `--dry-run`.
    pub dry_run: bool,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// What the journal remembers of a database.
    pub memory: &'a dyn Fn(&str) -> Memory,
    /// Who is told what happens to a database.
    pub watcher: &'a dyn Fn(&Arc<str>) -> Box<dyn Watcher>,
    /// Who writes a database's actions down.
    pub witness: &'a dyn Fn(&Arc<str>) -> Box<dyn Witness + Send>,
}

/// The databases' running loops.
pub struct Running {
    inputs: Vec<Sender<Input>>,
    loops: Vec<JoinHandle<()>>,
    /// Those that read and act. They may hang in a driver, so nobody ever waits for them.
    workers: Vec<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
}

/// Starts every database's loop and threads.
///
/// # Errors
/// When a password cannot be had, or the system has no thread to give.
pub fn start(start: &Start<'_>) -> io::Result<Running> {
    let rules = Arc::new(rules(start.config, Arc::clone(&start.set)));
    let mut running = Running {
        inputs: Vec::new(),
        loops: Vec::new(),
        workers: Vec::new(),
        clock: Arc::clone(&start.clock),
    };
    let reaches = reaches(start.config).map_err(io::Error::other)?;
    for (database, reach) in start.config.databases.iter().zip(reaches) {
        let (inputs, received) = channel();
        let (ask, asks) = channel();
        let (act, batches) = channel();
        running.workers.push(poller::start(
            reach.clone(),
            Arc::clone(&start.clock),
            asks,
            inputs.clone(),
        )?);
        let witness = (start.witness)(&database.name);
        running.workers.push(actor::start(
            reach,
            Arc::clone(&start.clock),
            witness,
            batches,
            inputs.clone(),
        )?);
        let settings = Settings {
            name: Arc::clone(&database.name),
            poll: database.poll,
            patience: patience(database),
            dry_run: start.dry_run,
        };
        let memory = (start.memory)(&database.name);
        let watcher = (start.watcher)(&database.name);
        let engine = Database::new(
            settings,
            Arc::clone(&rules),
            memory,
            Arc::clone(&start.clock),
            (ask, act),
            watcher,
        );
        let name = format!("db-{}", database.name);
        running
            .loops
            .push(thread::Builder::new().name(name).spawn(move || engine.run(&received))?);
        running.inputs.push(inputs);
    }
    Ok(running)
}

impl Running {
    /// Puts new rules in force, from the next cycle on.
    pub fn reload(&self, config: &Config, set: Arc<PolicySet>) {
        let rules = Arc::new(rules(config, set));
        for inputs in &self.inputs {
            // A loop that is gone ends the daemon.
            let _ = inputs.send(Input::Reload(Arc::clone(&rules)));
        }
    }

    /// Whether every thread is still there. None ends of itself before the daemon stops: one that is gone has panicked.
    #[must_use]
    pub fn all_run(&self) -> bool {
        self.loops
            .iter()
            .chain(&self.workers)
            .all(|handle| !handle.is_finished())
    }

    /// Tells every loop to end and waits for them, no longer than `grace`. Whether all ended in good order.
    #[must_use]
    pub fn stop(self, grace: Duration) -> bool {
        for inputs in &self.inputs {
            let _ = inputs.send(Input::Stop);
        }
        let deadline: Monotonic = self.clock.now().plus(grace);
        while self.loops.iter().any(|handle| !handle.is_finished()) && self.clock.now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        self.loops
            .into_iter()
            .filter(JoinHandle::is_finished)
            .all(|handle| handle.join().is_ok())
    }
}

/// What a configuration and its policies come to.
#[must_use]
pub fn rules(config: &Config, set: Arc<PolicySet>) -> Rules {
    Rules {
        set,
        limits: EffectiveLimits::of(&config.limits),
        blackouts: config.blackouts.clone(),
        armed: config
            .databases
            .iter()
            .map(|database| (Arc::clone(&database.name), database.armed))
            .collect::<HashMap<_, _>>(),
        zone: config.timezone,
    }
}

/// How every configured database is reached, passwords in hand.
///
/// # Errors
/// When a password cannot be had.
pub fn reaches(config: &Config) -> Result<Vec<Reach>, SecretError> {
    config.databases.iter().map(reach).collect()
}

/// How one database is reached.
///
/// # Errors
/// When its password cannot be had.
pub fn reach(database: &crate::config::Database) -> Result<Reach, SecretError> {
    let (login, source) = match &database.login {
        Login::External => (oracle::Login::External, None),
        Login::Password { user, password } => {
            let login = oracle::Login::Password {
                user: user.clone(),
                password: oracle::Secret::new(password.read()?.reveal()),
            };
            (login, Some(password.clone()))
        }
    };
    let target = oracle::Target {
        name: Arc::clone(&database.name),
        driver: database.driver,
        connect: database.connect.clone(),
        login,
    };
    Ok(Reach {
        target,
        password: source,
        connect_limit: database.connect_timeout,
        call_limit: database.call_timeout,
        kill_limit: actor::KILL_LIMIT.max(database.call_timeout),
    })
}

/// Connecting, and the few calls that may each take their whole limit before one of them fails: a call that is broken off
/// takes as long again to clean up after.
fn patience(database: &crate::config::Database) -> Duration {
    database.connect_timeout + database.call_timeout * 4
}
