//! Reads the current sessions, from the databases or from a saved snapshot, and evaluates the policies on them.
//!
//! `plan`, `explain` and `sessions` share this code, so they see the same sessions under the same protections and limits,
//! through the same cycle. Nothing here acts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::checks::Check;
use crate::cli::{CONFIG, ExitStatus, SourceArgs};
use crate::clock::{Clock, SystemClock};
use crate::columns_needed;
use crate::commands::stream::is_stream;
use crate::commands::{fail, load_config, load_policies, no_database, read_once};
use crate::config::{Config, DatabaseConfig};
use crate::daemon::accounts::AccountMemory;
use crate::daemon::messages::Needs;
use crate::daemon::poller::Poller;
use crate::decide::cycle::{Cycle, CycleInput, Memory, cycle};
use crate::decide::in_force::{self, Absent, Due, Here, Rhythm};
use crate::decide::pressure::Readings;
use crate::decide::protect::ProtectionFacts;
use crate::decide::rates::with_counters;
use crate::gaps::notes;
use crate::oracle::Class;
use crate::oracle::capabilities::Way;
use crate::policy::model::PolicySet;
use crate::session::column::Columns;
use crate::session::snapshot::{Snapshot, SnapshotSource};

/// How many databases are read at a time: each takes a thread and a connection.
const AT_A_TIME: usize = 16;

/// What is needed to read and evaluate.
pub(crate) struct Rules {
    /// The configuration; `None` where none is needed.
    pub(crate) config: Option<Config>,
    /// The policies.
    pub(crate) set: Arc<PolicySet>,
    clock: SystemClock,
}

/// The sessions of one database, and what is in force for them.
pub(crate) struct DatabaseSessions {
    /// The database's name.
    pub(crate) database: String,
    /// When the snapshot was taken, if it says so.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// The time of the snapshot, else the current time.
    pub(crate) now: DateTime<Utc>,
    /// The sessions.
    pub(crate) snapshot: Snapshot,
    /// The policies, and what else is in force.
    pub(crate) rules: in_force::DatabaseRules,
    /// How each policy runs here, or why it does not, in the set's order.
    pub(crate) here: Here,
    /// What the protections need to know of the database.
    pub(crate) facts: ProtectionFacts,
    /// How sessions are ended there; ALTER SYSTEM for a file, which does not say.
    pub(crate) way: Way,
    /// The notes to show before the sessions.
    pub(crate) notes: Vec<String>,
    readings: Readings,
    /// Whether it continues the snapshot before it.
    unbroken: bool,
}

impl Rules {
    /// Loads the configuration, if it is needed, and the policies.
    pub(crate) fn load(source: &SourceArgs, config: &Path, clock: SystemClock) -> Result<Rules, ExitStatus> {
        read_once(source.snapshot.as_deref(), "--snapshot", &source.policies)?;
        if source.snapshot.is_some() {
            return Rules::of_policies_alone(&source.policies, config, clock);
        }
        Rules::of_policies(&source.policies, true, config, clock)
    }

    /// As [`Rules::of_policies`] where the policies are all that is needed: the configuration is read only if none are named.
    pub(crate) fn of_policies_alone(
        policies: &[PathBuf],
        config: &Path,
        clock: SystemClock,
    ) -> Result<Rules, ExitStatus> {
        let unnamed = policies.is_empty();
        if unnamed && !is_stream(config) && !config.exists() {
            return Err(fail(&format!(
                "no policies are named, and there is no configuration {} that names any: name files or folders with --policies, such as \
                 `--policies policies/`, or a configuration with --config",
                config.display()
            )));
        }
        Rules::of_policies(policies, unnamed, config, clock)
    }

    /// Loads the named policies, else those of the configuration. The configuration is read only if it is needed.
    fn of_policies(
        policies: &[PathBuf],
        needs_config: bool,
        config: &Path,
        clock: SystemClock,
    ) -> Result<Rules, ExitStatus> {
        let config = needs_config.then(|| load_config(config)).transpose()?;
        let paths = match (&config, policies.is_empty()) {
            (Some(config), true) => &config.policies,
            (Some(_) | None, _) => policies,
        };
        let zone = config.as_ref().map_or(chrono_tz::UTC, |config| config.timezone);
        let set = load_policies(paths, clock.today(zone), zone)?;
        Ok(Rules::of(config, set, clock))
    }

    /// As [`Rules::load`], but sessions of a file need neither a configuration nor policies.
    pub(crate) fn load_if_any(source: &SourceArgs, config: &Path, clock: SystemClock) -> Result<Rules, ExitStatus> {
        let none = source.snapshot.is_some() && source.policies.is_empty();
        if none && config == Path::new(CONFIG) && !config.exists() {
            return Ok(Rules::of(None, Arc::default(), clock));
        }
        Rules::load(source, config, clock)
    }

    fn of(config: Option<Config>, set: Arc<PolicySet>, clock: SystemClock) -> Rules {
        Rules { config, set, clock }
    }

    /// What is in force for the sessions of a file, whose database has this name, if known.
    pub(crate) fn of_file(&self, name: Option<&str>) -> in_force::DatabaseRules {
        in_force::DatabaseRules::of_file(self.config.as_ref(), name, Arc::clone(&self.set))
    }

    /// Reads each database once, in the configuration's order. Reports those that cannot be read on standard error, because a reader of
    /// a long table may overlook them there.
    pub(crate) fn look(&self, source: &SourceArgs, more: Columns) -> Result<Vec<Looked>, ExitStatus> {
        if let Some(file) = &source.snapshot {
            return Ok(vec![Ok(self.file(file, source)?)]);
        }
        let mut readers = self.readers(source)?;
        let looks = self.read_all(&mut readers, more, None);
        looks
            .iter()
            .filter_map(|looked| looked.as_ref().err())
            .for_each(Unread::tell);
        readers
            .into_iter()
            .filter_map(|reader| reader.poller.ok())
            .for_each(Poller::close);
        Ok(looks)
    }

    /// Reads all databases, [`AT_A_TIME`] at a time, so that a slow one does not delay the others.
    pub(crate) fn read_all(
        &self,
        readers: &mut [DatabaseReader],
        more: Columns,
        rhythm: Option<Rhythm>,
    ) -> Vec<Looked> {
        let answers: Vec<OnceLock<Looked>> = readers.iter().map(|_| OnceLock::new()).collect();
        let threads = AT_A_TIME.min(answers.len());
        let waiting = Mutex::new(readers.iter_mut().zip(&answers));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((reader, answer)) = next else { return };
                        answer.get_or_init(|| reader.read(self, more, rhythm));
                    }
                });
            }
        });
        answers.into_iter().filter_map(OnceLock::into_inner).collect()
    }

    /// Connections for reading repeatedly.
    pub(crate) fn readers(&self, source: &SourceArgs) -> Result<Vec<DatabaseReader>, ExitStatus> {
        let databases = self.config.as_ref().map_or(&[][..], |config| &config.databases);
        let accounts = match &self.config {
            Some(config) => AccountMemory::of_command(&config.state),
            None => Arc::default(),
        };
        let wanted = |database: &&DatabaseConfig| source.database.as_ref().is_none_or(|name| **name == *database.name);
        let readers: Vec<DatabaseReader> = databases
            .iter()
            .filter(wanted)
            .map(|database| {
                let reach = crate::daemon::reach(database, &accounts).map_err(|error| error.to_string());
                DatabaseReader {
                    memory: Memory::default(),
                    before: None,
                    database: Arc::clone(&database.name),
                    // Not a dry run: the mode shown is the one that the daemon would use. Nothing here acts.
                    rules: in_force::DatabaseRules::of(database, false, Arc::clone(&self.set)),
                    poller: reach.map(|reach| Poller::new(reach, Arc::new(self.clock))),
                }
            })
            .collect();
        match (&source.database, readers.is_empty()) {
            (Some(name), true) => {
                let names = databases.iter().map(|database| &*database.name);
                Err(fail(&no_database(name, names)))
            }
            (Some(_) | None, _) => Ok(readers),
        }
    }

    fn file(&self, file: &Path, source: &SourceArgs) -> Result<DatabaseSessions, ExitStatus> {
        let taken_at = source
            .taken_at
            .as_deref()
            .map(crate::export::parse_taken_at)
            .transpose();
        let taken_at = taken_at.map_err(|problem| fail(&format!("--taken-at: {problem}")))?;
        let saved = crate::export::open(file, taken_at).map_err(|error| fail(&error.to_string()))?;
        // A policy's `databases` is compared only with a name given by the user: the name in a file may be any.
        let rules = self.of_file(source.database.as_deref());
        let name = source.database.clone().or(saved.database);
        Ok(self.complete(DatabaseSessions {
            database: name.unwrap_or_else(|| "snapshot".into()),
            taken_at: saved.snapshot.utc(),
            now: self.clock.utc(),
            here: rules.configured(Due::OnDay(saved.snapshot.utc().unwrap_or_else(|| self.clock.utc()))),
            snapshot: saved.snapshot,
            rules,
            facts: ProtectionFacts::default(),
            way: Way::AlterSystem,
            notes: saved.notes,
            readings: Readings::default(),
            unbroken: false,
        }))
    }

    /// Adds the time, the blackout and the notes.
    fn complete(&self, mut look: DatabaseSessions) -> DatabaseSessions {
        look.now = look.taken_at.unwrap_or(look.now);
        // A saved snapshot has only its own time; for a database both its clock and this host's clock count.
        let blackout = look.taken_at.and_then(|then| match look.snapshot.source() {
            SnapshotSource::Saved => look.rules.blackout(then),
            SnapshotSource::Live => look.rules.blackout_by_either(then, self.clock.utc()),
        });
        look.notes
            .extend(blackout.map(|blackout| format!("{blackout}: the daemon takes no action while it lasts")));
        look.notes.extend(notes(
            &look.snapshot,
            &look.readings,
            look.rules.set(),
            look.here.running(),
        ));
        look
    }
}

/// A connection to one database.
pub(crate) struct DatabaseReader {
    /// What the snapshots before this one have shown.
    pub(crate) memory: Memory,
    /// The time of the snapshot before this one, in UTC.
    before: Option<DateTime<Utc>>,
    database: Arc<str>,
    rules: in_force::DatabaseRules,
    /// The poller, or why there is none.
    poller: Result<Poller, String>,
}

/// The longest time between two snapshots of which the second still continues the first, however short the interval is: reading takes
/// its time.
const LONGEST_READING: TimeDelta = TimeDelta::seconds(30);

/// How snapshots come that are read again after an interval.
pub(crate) fn rhythm(every: Duration) -> Rhythm {
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    let gap = every.checked_mul(2).unwrap_or(TimeDelta::MAX).max(LONGEST_READING);
    Rhythm::of(every).with_longest_gap(gap)
}

impl DatabaseReader {
    /// Whether no further attempt is made.
    pub(crate) fn has_given_up(&self) -> bool {
        self.poller.is_err()
    }

    /// Reads and evaluates once. With a rhythm, what is remembered of the snapshot before this one goes on if it is recent enough.
    fn read(&mut self, rules: &Rules, more: Columns, rhythm: Option<Rhythm>) -> Looked {
        let unread = |why: String| Unread {
            database: self.database.to_string(),
            why,
        };
        let set = &rules.set;
        let needs = Needs::all_sessions(
            columns_needed::columns(set).union(with_counters(more)),
            columns_needed::resources(set),
        );
        let poller = self.poller.as_mut().map_err(|why| unread(why.clone()))?;
        let mut polled = match poller.poll(&needs) {
            Ok(polled) => polled,
            Err(error) => {
                let unread = unread(error.to_string());
                // Further attempts could lock the account.
                if error.class == Class::Auth {
                    self.poller = Err(unread.why.clone());
                }
                return Err(unread);
            }
        };
        let taken_at = polled.snapshot.utc();
        let unbroken = taken_at.is_some_and(|now| rhythm.is_some_and(|rhythm| rhythm.is_unbroken(self.before, now)));
        self.before = taken_at;
        self.memory.add_rates(&mut polled.snapshot, needs.columns, unbroken);
        let capabilities = &polled.capabilities;
        // Schedules are ignored: the question is what a policy would do if it were due.
        let now = taken_at.unwrap_or_else(|| rules.clock.utc());
        let here = self.rules.here(|action| capabilities.supports(action), Due::OnDay(now));
        let mut said = polled.notes();
        for (policy, run) in set.policies.iter().zip(here.each()) {
            if let Err(Absent::Unsupported(why)) = run {
                said.push(Check::does_not_run(&policy.name, why).to_string());
            }
        }
        Ok(rules.complete(DatabaseSessions {
            database: self.database.to_string(),
            taken_at,
            unbroken,
            now: rules.clock.utc(),
            rules: self.rules.clone(),
            here,
            facts: capabilities.facts(&[capabilities.own]),
            way: capabilities.way(),
            notes: said,
            snapshot: polled.snapshot,
            readings: polled.readings,
        }))
    }
}

/// What was read of a database, or why nothing was.
pub(crate) type Looked = Result<DatabaseSessions, Unread>;

/// A database that could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    /// Its name.
    pub(crate) database: String,
    /// What was tried, and why it failed.
    pub(crate) why: String,
}

impl Unread {
    /// Reports it.
    pub(crate) fn tell(&self) {
        fail(&self.why);
    }
}

impl DatabaseSessions {
    /// Runs one cycle with `memory`.
    pub(crate) fn decide(&self, memory: &mut Memory, assume_held: bool) -> Cycle {
        let input = CycleInput {
            rules: &self.rules,
            here: &self.here,
            facts: &self.facts,
            now: self.now,
            unbroken: self.unbroken,
            read_in: TimeDelta::zero(),
            standstill: None,
            assume_held,
        };
        cycle(memory, &self.snapshot, self.readings.clone(), &input)
    }
}
