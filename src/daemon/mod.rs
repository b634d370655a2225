//! The daemon: one loop for each database, a thread that reads, threads that act once there is work, and the few things that databases share.
//!
//! ```text
//! poll-<db> --snapshot--> db-<db> --warrants--> act-<db>-<n>
//!                           ^   <---outcomes----
//!                           +--- reload, stop: from the signals
//! ```
//!
//! Databases share the sink (journal, log, metrics, status) and nothing else. Stopping waits for the loops, which never
//! block, and only for a limited time for the threads that read and act: a call that hangs in a driver ends with the process,
//! and its intent is in the journal.

pub mod accounts;
pub mod actor;
pub(crate) mod backoff;
pub(crate) mod control;
pub mod database;
pub(crate) mod directory;
pub(crate) mod exemptions;
pub mod messages;
pub mod operator;
mod others;
mod part_reader;
pub mod pause;
mod peers;
pub mod poller;
pub mod ranks;
pub mod reach;
pub(crate) mod reports;
pub(crate) mod service;
pub(crate) mod siblings;
pub mod standby;
pub mod watcher;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::actuator::carry_out::StepRecorder;
use crate::clock::{Clock, Monotonic};
use crate::config::{self, Config, LoginConfig, SecretError};
use crate::daemon::accounts::AccountMemory;
use crate::daemon::database::{DatabaseLoop, StartWorker, Threads, Watcher};
use crate::daemon::messages::{Input, Settings};
use crate::daemon::others::ShownLock;
use crate::daemon::pause::Switch;
use crate::daemon::ranks::Leader;
use crate::daemon::reach::{Reach, SharedReach};
use crate::daemon::siblings::Siblings;
use crate::decide::cycle::Memory;
use crate::decide::in_force::DatabaseRules;
use crate::oracle::{self, LeaderLock};
use crate::policy::model::PolicySet;

/// How long a loop may take to end. It never blocks, so this is for a busy machine.
const RETIRES_WITHIN: Duration = Duration::from_secs(10);

/// The input of the databases' loops.
pub struct Start<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The policies.
    pub set: Arc<PolicySet>,
    /// `--dry-run`.
    pub dry_run: bool,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The kill switch.
    pub switch: Arc<Switch>,
    /// What its sessions show, so that daemons tell each other apart; a command has none.
    pub mark: Option<Arc<str>>,
    /// The accounts whose passwords were refused.
    pub accounts: &'a Arc<AccountMemory>,
    /// The entries for the same databases.
    pub siblings: &'a Arc<Siblings>,
    /// What the journal remembers of a database.
    pub memory: &'a dyn Fn(&config::DatabaseConfig) -> Memory,
    /// Makes the watcher of a database.
    pub watcher: &'a dyn Fn(&config::DatabaseConfig) -> Box<dyn Watcher>,
    /// Makes what makes the recorders of a database, one for each thread that acts on it.
    pub recorder: &'a dyn Fn(&config::DatabaseConfig) -> StepRecorders,
}

impl Start<'_> {
    /// How its databases are reached, with this daemon's mark.
    fn reaches(&self) -> Result<Vec<Reach>, SecretError> {
        let mut reaches = reaches(self.config, self.accounts)?;
        for (reach, database) in reaches.iter_mut().zip(&self.config.databases) {
            let shown = match &reach.leader {
                _ if self.dry_run || !database.armed => ShownLock::Watches,
                Some(leader) => ShownLock::Under(leader.lock),
                None => ShownLock::Alone,
            };
            reach.target.mark = self.mark.as_ref().map(|mark| shown.on(mark));
        }
        Ok(reaches)
    }
}

/// Makes a recorder.
pub type StepRecorders = Box<dyn Fn() -> Box<dyn StepRecorder + Send> + Send>;

/// The databases' running loops.
pub struct RunningDatabases {
    members: Vec<Member>,
    clock: Arc<dyn Clock>,
    /// The thread that reads the kill switch.
    looking: JoinHandle<()>,
    /// Set when that thread has to end.
    over: Arc<AtomicBool>,
}

/// How often the kill switch is read for the loops, which never wait for a disk. A pause by the command does not wait for it, and
/// before each statement it is read in any case.
const LOOKS: Duration = Duration::from_secs(1);

/// Reads the kill switch regularly, on a thread of its own.
fn watch(switch: Arc<Switch>, over: Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
    switch.look();
    thread::Builder::new().name("switch".into()).spawn(move || {
        while !over.load(Ordering::Relaxed) {
            switch.look();
            thread::sleep(LOOKS);
        }
    })
}

/// One database's loop and threads.
struct Member {
    name: Arc<str>,
    place: Arc<str>,
    reach: SharedReach,
    inputs: Sender<Input>,
    engine: JoinHandle<()>,
    /// The reading thread. It may hang in a driver, so every wait for it has a limit.
    poller: JoinHandle<()>,
    /// The threads that act, which the loop starts when they are needed. The same goes for them.
    actors: Actors,
}

/// The threads that act on a database.
type Actors = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// Starts every database's loop and threads.
///
/// # Errors
/// When a password cannot be read, or a thread cannot be started.
pub fn start(start: &Start<'_>) -> io::Result<RunningDatabases> {
    let reaches = start.reaches().map_err(io::Error::other)?;
    let over = Arc::<AtomicBool>::default();
    let looking = watch(Arc::clone(&start.switch), Arc::clone(&over))?;
    let mut members = Vec::new();
    for (database, reach) in start.config.databases.iter().zip(reaches) {
        members.push(Member::start(start, database, reach)?);
    }
    Ok(RunningDatabases {
        members,
        clock: Arc::clone(&start.clock),
        looking,
        over,
    })
}

impl Member {
    fn start(start: &Start<'_>, database: &config::DatabaseConfig, reach: Reach) -> io::Result<Member> {
        let (inputs, received) = channel();
        let (ask, asks) = channel();
        let reach = SharedReach::new(reach);
        let clock = || Arc::clone(&start.clock);
        let poller = poller::start(reach.clone(), clock(), asks, inputs.clone())?;
        let recorder = (start.recorder)(database);
        let (actors, of_loop) = (Actors::default(), recorder());
        let one_more = {
            let (reach, clock, switch) = (reach.clone(), clock(), Arc::clone(&start.switch));
            let (inputs, actors) = (inputs.clone(), Arc::clone(&actors));
            move |number| {
                let (act, orders) = channel();
                let shared = (Arc::clone(&clock), Arc::clone(&switch));
                let actor = actor::start(reach.clone(), shared, recorder(), orders, (number, inputs.clone()))?;
                lock(&actors).push(actor);
                io::Result::Ok(act)
            }
        };
        let name = Arc::clone(&database.name);
        let start_worker: StartWorker = Box::new(move |number| {
            let hired = one_more(number);
            if let Err(error) = &hired {
                tracing::error!(
                    database = &*name,
                    error = error.to_string(),
                    "cannot start a thread to act"
                );
            }
            hired.ok()
        });
        let engine = DatabaseLoop::new(
            settings(start, database, reach.now().leader),
            Arc::new(DatabaseRules::of(database, start.dry_run, Arc::clone(&start.set))),
            (start.memory)(database),
            clock(),
            Threads { ask, start_worker },
            ((start.watcher)(database), of_loop),
        );
        let engine = thread::Builder::new()
            .name(format!("db-{}", database.name))
            .spawn(move || engine.run(&received))?;
        Ok(Member {
            name: Arc::clone(&database.name),
            place: database.place(),
            reach,
            inputs,
            engine,
            poller,
            actors,
        })
    }

    /// Whether every thread still runs.
    fn runs(&self) -> bool {
        let actors = lock(&self.actors);
        let mut threads = [&self.engine, &self.poller].into_iter().chain(actors.iter());
        threads.all(|handle| !handle.is_finished())
    }

    /// Whether its loop and those who act have ended.
    fn has_ended(&self) -> bool {
        self.engine.is_finished() && lock(&self.actors).iter().all(JoinHandle::is_finished)
    }

    /// Tells the loop to end, which revokes its warrants. A loop that has ended already has no warrants.
    fn stop(&self) {
        let _ = self.inputs.send(Input::Stop);
    }
}

impl RunningDatabases {
    /// Puts another configuration in force. `between` is called when the loops of removed and replaced entries have ended, before
    /// new ones begin.
    ///
    /// # Errors
    /// When a password cannot be read. Then nothing has changed.
    ///
    /// # Panics
    /// When a loop does not end, or a thread cannot be started: what is in force would differ from what is reported, and a restart
    /// only delays.
    pub fn reload(&mut self, start: &Start<'_>, between: impl FnOnce()) -> Result<(), SecretError> {
        let reaches = start.reaches()?;
        let places: Vec<Arc<str>> = start
            .config
            .databases
            .iter()
            .map(config::DatabaseConfig::place)
            .collect();
        let (kept, gone): (Vec<Member>, Vec<Member>) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|member| places.contains(&member.place));
        for member in &gone {
            tracing::info!(
                database = &*member.name,
                "no longer watching the database at its previous place"
            );
        }
        assert!(
            end(gone, &*self.clock, RETIRES_WITHIN),
            "the loop of a database that is configured no longer did not end in time or in good order"
        );
        self.members = kept;
        between();
        for (database, reach) in start.config.databases.iter().zip(reaches) {
            let place = database.place();
            if let Some(member) = self.members.iter().find(|member| member.place == place) {
                let rules = DatabaseRules::of(database, start.dry_run, Arc::clone(&start.set));
                member.reach.change(reach);
                let leader = member.reach.now().leader;
                // A loop that has ended unexpectedly ends the daemon.
                let _ = member
                    .inputs
                    .send(Input::Reload(Arc::new(rules), settings(start, database, leader)));
            } else {
                let member = Member::start(start, database, reach);
                self.members
                    .push(member.expect("threads for a database that was added by a reload"));
            }
        }
        Ok(())
    }

    /// Whether every thread still runs. None ends before the daemon stops, unless it panics.
    #[must_use]
    pub fn all_run(&self) -> bool {
        self.members.iter().all(Member::runs) && !self.looking.is_finished()
    }

    /// The way to each loop, by the database's name.
    pub(crate) fn inputs(&self) -> BTreeMap<Arc<str>, Sender<Input>> {
        let members = self.members.iter();
        members
            .map(|member| (Arc::clone(&member.name), member.inputs.clone()))
            .collect()
    }

    /// Ends every loop, waiting at most `grace`; returns whether all ended without a panic.
    #[must_use]
    pub fn stop(self, grace: Duration) -> bool {
        self.over.store(true, Ordering::Relaxed);
        end(self.members, &*self.clock, grace)
    }
}

fn lock(actors: &Actors) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
    actors.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends loops; returns whether all ended in time and without a panic. It also waits, within the same limit, for a statement in
/// progress, because its outcome belongs in the journal.
fn end(members: Vec<Member>, clock: &dyn Clock, grace: Duration) -> bool {
    members.iter().for_each(Member::stop);
    let deadline: Monotonic = clock.now().plus(grace);
    while !members.iter().all(Member::has_ended) && clock.now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let mut engines = members.into_iter().map(|member| member.engine);
    engines.all(|engine| engine.is_finished() && engine.join().is_ok())
}

/// The settings of a database's loop.
fn settings(start: &Start<'_>, database: &config::DatabaseConfig, leader: Option<Leader>) -> Settings {
    Settings {
        name: Arc::clone(&database.name),
        poll: database.poll,
        pressed: database.pressed,
        stagger: stagger(start.config, database),
        patience: patience(database),
        acting_patience: patience(database) + kill_limit(database) * 2,
        siblings: Arc::clone(start.siblings),
        leader,
    }
}

/// The databases share their interval: one of three begins a third of it after another. The first snapshot of each is read at once.
fn stagger(config: &Config, database: &config::DatabaseConfig) -> Duration {
    let count = u32::try_from(config.databases.len()).unwrap_or(u32::MAX);
    let at = config.databases.iter().position(|one| one.name == database.name);
    let at = at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
    database.poll.saturating_mul(at) / count.max(1)
}

/// How every configured database is reached, with its password.
///
/// # Errors
/// When a password cannot be read.
pub(crate) fn reaches(config: &Config, accounts: &Arc<AccountMemory>) -> Result<Vec<Reach>, SecretError> {
    let reaches = config.databases.iter().map(|database| reach(database, accounts));
    reaches.collect()
}

/// How one database is reached.
///
/// # Errors
/// When its password cannot be read.
pub(crate) fn reach(database: &config::DatabaseConfig, accounts: &Arc<AccountMemory>) -> Result<Reach, SecretError> {
    let (login, source) = match &database.login {
        LoginConfig::External => (oracle::Login::External, None),
        LoginConfig::Password { user, password } => {
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
        tns_admin: database.tns_admin.clone(),
        mark: None,
    };
    Ok(Reach {
        target,
        password: source,
        accounts: Arc::clone(accounts),
        via: database.via,
        leader: database.leader.map(|lock| Leader::new(LeaderLock(lock))),
        connector: None,
        connect_limit: database.connect_timeout,
        call_limit: database.call_timeout,
        kill_limit: kill_limit(database),
    })
}

/// A kill may wait for its victim.
fn kill_limit(database: &config::DatabaseConfig) -> Duration {
    actor::KILL_LIMIT.max(database.call_timeout)
}

/// How long a step of a thread may take: connecting, and the few calls that may each take their whole limit before one of them
/// fails. A call that is interrupted may take the same time again to clean up.
fn patience(database: &config::DatabaseConfig) -> Duration {
    database.connect_timeout + database.call_timeout * 4
}
