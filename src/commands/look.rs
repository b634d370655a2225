//! One look at what is there now, on the databases or in a saved snapshot, and what the policies make of it.
//!
//! `plan`, `explain` and `sessions` all begin with it, so that they see the same sessions, under the same protections and
//! limits, through the same cycle. Nothing here acts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::cli::{CONFIG, SourceArgs, Status};
use crate::clock::{Clock, SystemClock};
use crate::columns_needed;
use crate::commands::{fail, load_config, load_policies};
use crate::config::{Config, Database};
use crate::daemon::database::utc_of;
use crate::daemon::poller::{Needs, Poller};
use crate::decide::cycle::{Cycle, Memory, Terms, cycle};
use crate::decide::in_force::{self, Absent, Due, Here};
use crate::decide::plan::InForce;
use crate::decide::pressure::Readings;
use crate::decide::protect::Facts;
use crate::gaps::notes;
use crate::oracle::Class;
use crate::policy::model::PolicySet;
use crate::session::column::Columns;
use crate::session::snapshot::{Snapshot, SnapshotSource};

/// So many databases are asked at a time: each costs a thread and a connection of its own.
const SIDE_BY_SIDE: usize = 16;

/// What a look is taken with.
pub(crate) struct Rules {
    /// The configuration; `None` where none is needed.
    pub(crate) config: Option<Config>,
    /// The policies.
    pub(crate) set: Arc<PolicySet>,
    clock: SystemClock,
}

/// What is there, and what holds for it.
pub(crate) struct Look {
    /// The database's name.
    pub(crate) database: String,
    /// When, if the snapshot says so.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// The same, or now.
    pub(crate) now: DateTime<Utc>,
    /// The sessions.
    pub(crate) snapshot: Snapshot,
    /// The policies, and what else is in force.
    pub(crate) rules: in_force::Rules,
    /// How each policy runs here, or why it does not, in the set's order.
    pub(crate) here: Here,
    /// Who is protected.
    pub(crate) facts: Facts,
    /// What has to be said first.
    pub(crate) notes: Vec<String>,
    readings: Readings,
}

impl Rules {
    /// The configuration, if one is needed, and the policies.
    pub(crate) fn load(source: &SourceArgs, config: &Path, clock: SystemClock) -> Result<Rules, Status> {
        let needed = source.snapshot.is_none() || source.policies.is_empty();
        Rules::of_policies(&source.policies, needed, config, clock)
    }

    /// The policies that are named, else those of the configuration, which is read only if it is needed.
    pub(crate) fn of_policies(
        policies: &[PathBuf],
        needs_config: bool,
        config: &Path,
        clock: SystemClock,
    ) -> Result<Rules, Status> {
        let config = needs_config.then(|| load_config(config)).transpose()?;
        let paths = match (&config, policies.is_empty()) {
            (Some(config), true) => &config.policies,
            (Some(_) | None, _) => policies,
        };
        let zone = config.as_ref().map_or(chrono_tz::UTC, |config| config.timezone);
        let set = load_policies(paths, clock.today(zone), zone)?;
        Ok(Rules::of(config, set, clock))
    }

    /// The same, but sessions of a file can be looked at with neither configuration nor policies.
    pub(crate) fn load_if_any(source: &SourceArgs, config: &Path, clock: SystemClock) -> Result<Rules, Status> {
        let none = source.snapshot.is_some() && source.policies.is_empty();
        if none && config == Path::new(CONFIG) && !config.exists() {
            return Ok(Rules::of(None, Arc::default(), clock));
        }
        Rules::load(source, config, clock)
    }

    fn of(config: Option<Config>, set: Arc<PolicySet>, clock: SystemClock) -> Rules {
        Rules { config, set, clock }
    }

    /// What is in force for sessions of a file that are of a database of this name, if that is known.
    pub(crate) fn of_file(&self, name: Option<&str>) -> in_force::Rules {
        in_force::Rules::of_file(self.config.as_ref(), name, Arc::clone(&self.set))
    }

    /// Looks once at each database, in the configuration's order. One that cannot be read is told of.
    pub(crate) fn look(&self, source: &SourceArgs, more: Columns) -> Result<Vec<Looked>, Status> {
        if let Some(file) = &source.snapshot {
            return Ok(vec![Ok(self.file(file, source)?)]);
        }
        let mut eyes = self.eyes(source)?;
        let looks = self.side_by_side(&mut eyes, more);
        eyes.into_iter()
            .filter_map(|eye| eye.poller.ok())
            .for_each(Poller::close);
        Ok(looks)
    }

    /// Looks at all databases, [`SIDE_BY_SIDE`] at a time: one that is slow delays no other. Why one cannot be read is told on
    /// standard error too, in their order: whoever reads a table reads nothing below it.
    pub(crate) fn side_by_side(&self, eyes: &mut [Eye], more: Columns) -> Vec<Looked> {
        let answers: Vec<OnceLock<Looked>> = eyes.iter().map(|_| OnceLock::new()).collect();
        let threads = SIDE_BY_SIDE.min(answers.len());
        let waiting = Mutex::new(eyes.iter_mut().zip(&answers));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((eye, answer)) = next else { return };
                        answer.get_or_init(|| eye.read(self, more));
                    }
                });
            }
        });
        let answers = answers.into_iter().filter_map(OnceLock::into_inner);
        answers
            .inspect(|looked| {
                if let Err(unread) = looked {
                    fail(&unread.why);
                }
            })
            .collect()
    }

    /// Connections to look through, for those who look more than once.
    pub(crate) fn eyes(&self, source: &SourceArgs) -> Result<Vec<Eye>, Status> {
        let databases = self.config.as_ref().map_or(&[][..], |config| &config.databases);
        let accounts = Arc::default();
        let wanted = |database: &&Database| source.database.as_ref().is_none_or(|name| **name == *database.name);
        let eyes: Vec<Eye> = databases
            .iter()
            .filter(wanted)
            .map(|database| {
                let reach = crate::daemon::reach(database, &accounts).map_err(|error| error.to_string());
                Eye {
                    database: Arc::clone(&database.name),
                    // What is shown is what the daemon would do, so its label is the daemon's; nothing is done either way.
                    rules: in_force::Rules::of(database, false, Arc::clone(&self.set)),
                    poller: reach.map(|reach| Poller::new(reach, Arc::new(self.clock))),
                }
            })
            .collect();
        match (&source.database, eyes.is_empty()) {
            (Some(name), true) => {
                let names = databases.iter().map(|database| &*database.name);
                let hint = crate::yaml::diagnostics::did_you_mean(name, names);
                let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
                Err(fail(&format!("the configuration has no database {name}{hint}")))
            }
            (Some(_) | None, _) => Ok(eyes),
        }
    }

    fn file(&self, file: &Path, source: &SourceArgs) -> Result<Look, Status> {
        let taken_at = source
            .taken_at
            .as_deref()
            .map(crate::export::parse_taken_at)
            .transpose();
        let taken_at = taken_at.map_err(|problem| fail(&format!("--taken-at: {problem}")))?;
        let saved = crate::export::open(file, taken_at).map_err(|error| fail(&error.to_string()))?;
        // A policy's `databases` is held only against a name that was given: the one in a file may be any.
        let rules = self.of_file(source.database.as_deref());
        let name = source.database.clone().or(saved.database);
        Ok(self.seen(Look {
            database: name.unwrap_or_else(|| "snapshot".into()),
            taken_at: utc_of(&saved.snapshot),
            now: self.clock.utc(),
            snapshot: saved.snapshot,
            here: rules.configured(),
            rules,
            facts: Facts::default(),
            notes: saved.notes,
            readings: Readings::default(),
        }))
    }

    /// Fills in what follows from the rest.
    fn seen(&self, mut look: Look) -> Look {
        look.now = look.taken_at.unwrap_or(look.now);
        // Sessions of a file are of then, and those of a database are of now by its clock and by this host's.
        let blackout = look.taken_at.and_then(|then| match look.snapshot.source() {
            SnapshotSource::Saved => look.rules.blackout(then),
            SnapshotSource::Live => look.rules.blackout_by_either(then, self.clock.utc()),
        });
        look.notes
            .extend(blackout.map(|blackout| format!("{blackout}: while it lasts the daemon does nothing of this")));
        look.notes.extend(notes(
            &look.snapshot,
            &look.readings,
            look.rules.set(),
            &look.in_force(),
        ));
        look
    }
}

/// A connection to look through.
pub(crate) struct Eye {
    database: Arc<str>,
    rules: in_force::Rules,
    /// Or why there is none, or will not be any more.
    poller: Result<Poller, String>,
}

impl Eye {
    /// Looks.
    fn read(&mut self, rules: &Rules, more: Columns) -> Looked {
        let unread = |why: String| Unread {
            database: self.database.to_string(),
            why,
        };
        let set = &rules.set;
        let needs = Needs {
            columns: columns_needed::columns(set).union(more),
            resources: columns_needed::resources(set),
            anew: false,
        };
        let poller = self.poller.as_mut().map_err(|why| unread(why.clone()))?;
        let polled = match poller.poll(&needs) {
            Ok(polled) => polled,
            Err(error) => {
                let unread = unread(error.to_string());
                // Each further attempt would bring the account nearer to its lock.
                if error.class == Class::Auth {
                    self.poller = Err(unread.why.clone());
                }
                return Err(unread);
            }
        };
        let capabilities = &polled.capabilities;
        let here = self.rules.here(|action| capabilities.supports(action));
        let mut said = polled.notes();
        for (policy, run) in set.policies.iter().zip(&here) {
            if let Err(Absent::Unsupported(why)) = run {
                said.push(format!("policy {} does not run here: {why}", policy.name));
            }
        }
        Ok(rules.seen(Look {
            database: self.database.to_string(),
            taken_at: utc_of(&polled.snapshot),
            now: rules.clock.utc(),
            rules: self.rules.clone(),
            here,
            facts: capabilities.facts(&[capabilities.own]),
            notes: said,
            snapshot: polled.snapshot,
            readings: polled.readings,
        }))
    }
}

/// A database as it was seen, or why it was not.
pub(crate) type Looked = Result<Look, Unread>;

/// A database that could not be read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Its name.
    pub(crate) database: String,
    /// What was tried, and why it failed.
    pub(crate) why: String,
}

impl Look {
    /// The policies that run here. Schedules do not matter: what is asked is what would happen if it were time.
    fn in_force(&self) -> Vec<InForce> {
        self.rules.in_force(&self.here, Due::Always)
    }

    /// What one cycle decides, with what is remembered.
    pub(crate) fn decide(&self, memory: &mut Memory, assume_held: bool) -> Cycle {
        let terms = Terms {
            set: self.rules.set(),
            in_force: &self.in_force(),
            facts: &self.facts,
            limits: self.rules.limits(),
            now: self.now,
            today: self.rules.today(self.now),
            unbroken: false,
            read_in: TimeDelta::zero(),
            standstill: None,
            assume_held,
        };
        cycle(memory, &self.snapshot, self.readings.clone(), &terms)
    }
}
