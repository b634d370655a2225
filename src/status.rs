//! The daemon's state, for the status page and for readiness.
//!
//! It is made from the same events as journal, log and metrics, and consists of numbers and texts only. A reader never waits for
//! a database: writer and reader hold the lock only while they copy some fields.

mod history;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::clock::Monotonic;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::used_again::PolicyRehearsal;
use crate::decide::verify::Proof;
use crate::event::{
    BudgetReport, CycleReport, Event, InForceReport, InstanceReport, LingeringReport, LoadedDatabase, Outcomed,
    PendingReport, PolicyLoad, READ_TOO_SLOWLY, SpareReason,
};
use crate::quantity::{Elapsed, shortened};
use crate::session::time::iso;
pub(crate) use crate::status::history::{MINUTES, SessionHistory};

/// How many actions the page shows.
const RECENT: usize = 50;

/// A database is not ready after this many poll intervals without a complete snapshot, but not within [`PATIENCE`].
const POLLS_MISSED: u32 = 3;

/// A database stays ready for at least this long without a complete snapshot: a cycle may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many of the things that are no longer in force are named in the line for `systemctl status`.
const LOST_IN_LINE: usize = 3;

/// The daemon at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct DaemonStatus {
    /// When it started.
    pub(crate) started: Option<DateTime<Utc>>,
    /// Whether every action is a dry run.
    pub(crate) dry_run: bool,
    /// Who or what paused the daemon, and why, if it is paused.
    pub(crate) paused: Option<String>,
    /// Why the kill switch cannot be read, if so; that counts as paused.
    pub(crate) switch_error: Option<String>,
    /// The digest of the policies in force; `None` before the first load.
    pub(crate) digest: Option<Arc<str>>,
    /// How many policies are in force.
    pub(crate) policies: usize,
    /// How many exemptions are in force.
    pub(crate) exemptions: usize,
    /// What the last change of the policies took away, each in words.
    pub(crate) lost: Vec<String>,
    /// Why the last load failed, if it did.
    pub(crate) load_error: Option<String>,
    /// Why the files that protect the pages could not be read anew.
    pub(crate) web_error: Option<String>,
    /// Why the journal cannot be written, if so; meanwhile no session is acted on.
    pub(crate) journal_error: Option<String>,
    /// The hash of the journal's last record, and since when it is the last.
    pub(crate) journal_head: Option<(String, DateTime<Utc>)>,
    /// The receivers that cannot be told of what happens, each with why.
    pub(crate) untold: BTreeMap<Arc<str>, String>,
    /// The time zone of the configuration.
    pub(crate) timezone: Tz,
    /// The databases, by name.
    pub(crate) databases: BTreeMap<Arc<str>, DatabaseStatus>,
    /// The last actions, newest first.
    pub(crate) recent: VecDeque<Recent>,
}

/// One database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DatabaseStatus {
    /// What the name stands for, [`crate::config::DatabaseConfig::place`].
    pub(crate) place: Arc<str>,
    /// Its driver's name.
    pub driver: &'static str,
    /// Whether it is armed: policies may act on it.
    pub armed: bool,
    /// How often it is polled.
    pub poll: Duration,
    /// Whether it answers.
    pub(crate) link: Reachability,
    /// When the last cycle with every instance complete was done.
    pub(crate) complete: Option<Monotonic>,
    /// When the last cycle was done, by the database's clock in UTC.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// When the last cycle was done, by the host's clock.
    pub(crate) seen: Option<Monotonic>,
    /// Number of sessions in that cycle.
    pub(crate) sessions: usize,
    /// Its instances in that cycle.
    pub(crate) instances: Vec<InstanceReport>,
    /// The connections that the policies need for statements: the instance of each, and whether it is open.
    pub(crate) acting: Vec<(Option<u32>, bool)>,
    /// Connections for actions that do not come back from a call.
    pub(crate) acting_hangs: usize,
    /// Its policies, in file and list order.
    pub(crate) policies: Vec<PolicyStatus>,
    /// What could not be read in that cycle, and the consequences.
    pub(crate) notes: Vec<String>,
    /// Whether reading takes so long that no session is acted on.
    pub(crate) stale: bool,
    /// Whether this daemon leads, where one of several is to and the database is armed.
    pub(crate) leads: Option<bool>,
    /// Its user sessions by instance and status, over the last hour.
    pub(crate) history: SessionHistory,
    /// Its budgets.
    pub(crate) budgets: Vec<BudgetReport>,
    /// Its killed sessions that linger.
    pub(crate) lingering: Vec<LingeringReport>,
}

/// Whether a database answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reachability {
    /// Not known yet.
    Connecting,
    /// It answers.
    Up {
        /// Its release.
        release: String,
    },
    /// It does not answer.
    Down {
        /// Since when, by the host's clock.
        since: DateTime<Utc>,
        /// Why.
        error: String,
    },
}

/// One policy on one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The mode in which it runs.
    pub mode: RunMode,
    /// Sessions that its condition held for in the last cycle.
    pub(crate) matched: usize,
    /// Warrants in the last cycle.
    pub(crate) warrants: usize,
    /// How many sessions it spared in the last cycle, by reason.
    pub(crate) spared: BTreeMap<SpareReason, usize>,
    /// Actions that were carried out, or assumed, since the daemon started.
    pub(crate) acted: u64,
    /// Why its breaker is open, if it is.
    pub(crate) breaker: Option<String>,
    /// The groups that it leaves alone because they refill, with the reason.
    pub(crate) suspended: Vec<String>,
    /// What became of the sessions that it would have ended in a dry run.
    pub(crate) rehearsal: PolicyRehearsal,
    /// The sessions whose hold is served soonest.
    pub(crate) pending: Vec<PendingReport>,
}

/// An action, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recent {
    /// The outcome's time, by the host's clock.
    pub(crate) at: DateTime<Utc>,
    /// Its outcome.
    pub(crate) outcomed: Outcomed,
    /// What later snapshots have shown.
    pub(crate) proof: Option<Proof>,
}

impl DatabaseStatus {
    fn new(loaded: &LoadedDatabase) -> DatabaseStatus {
        DatabaseStatus {
            place: Arc::clone(&loaded.place),
            driver: loaded.driver,
            armed: loaded.armed,
            poll: loaded.poll,
            link: Reachability::Connecting,
            complete: None,
            taken_at: None,
            seen: None,
            sessions: 0,
            instances: Vec::new(),
            acting: Vec::new(),
            acting_hangs: 0,
            policies: Vec::new(),
            notes: Vec::new(),
            stale: false,
            leads: None,
            history: SessionHistory::default(),
            budgets: Vec::new(),
            lingering: Vec::new(),
        }
    }

    /// Why the database is not ready, if so.
    #[must_use]
    pub(crate) fn trouble(&self, now: Monotonic) -> Option<String> {
        match (&self.link, self.complete) {
            (Reachability::Connecting, None) => return Some("not connected yet".to_owned()),
            (Reachability::Down { since, error }, _) => {
                return Some(format!("down since {}: {error}", iso(*since)));
            }
            (Reachability::Up { .. } | Reachability::Connecting, _) => {}
        }
        let Some(complete) = self.complete else {
            return Some(format!("no complete snapshot yet{}", self.silent()));
        };
        if self.stale {
            return Some(READ_TOO_SLOWLY.to_owned());
        }
        let age = now.since(complete);
        let allowed = PATIENCE.max(self.poll.saturating_mul(POLLS_MISSED));
        (age > allowed).then(|| format!("no complete snapshot for {}{}", Elapsed(age), self.silent()))
    }

    /// The instances that the newest snapshot lacks, as the end of a sentence.
    fn silent(&self) -> String {
        let silent = self.instances.iter().filter(|instance| !instance.complete);
        let silent: Vec<String> = silent
            .map(|instance| format!("{} ({})", instance.inst_id, instance.name))
            .collect();
        match silent.as_slice() {
            [] => String::new(),
            [one] => format!(": instance {one} was not read"),
            several => format!(": instances {} were not read", several.join(", ")),
        }
    }
}

impl DaemonStatus {
    /// Applies an event. `at` and `now` are the host's time.
    pub(crate) fn update(&mut self, event: &Event, at: DateTime<Utc>, now: Monotonic) {
        match event {
            Event::Started { dry_run, .. } => {
                self.started = Some(at);
                self.dry_run = *dry_run;
            }
            Event::Policies(PolicyLoad::Loaded(loaded)) => self.loaded(loaded),
            Event::Policies(PolicyLoad::Failed { error }) => self.load_error = Some(error.clone()),
            Event::WebConfig { error } => self.web_error.clone_from(error),
            Event::DatabaseUp { database, release, .. } => {
                if let Some(database) = self.databases.get_mut(database) {
                    database.link = Reachability::Up {
                        release: release.clone(),
                    };
                }
            }
            Event::DatabaseDown { database, error } => {
                if let Some(database) = self.databases.get_mut(database) {
                    let since = match &database.link {
                        Reachability::Down { since, .. } => *since,
                        Reachability::Connecting | Reachability::Up { .. } => at,
                    };
                    let error = error.clone();
                    database.link = Reachability::Down { since, error };
                }
            }
            Event::Acting {
                database,
                connections,
                hanging,
            } => {
                if let Some(database) = self.databases.get_mut(database) {
                    database.acting.clone_from(connections);
                    database.acting_hangs = *hanging;
                }
            }
            Event::Outcome(outcomed) | Event::Dropped(outcomed) => self.outcome(outcomed, at),
            Event::Verification { verification, .. } => {
                let id = verification.followed.action_id;
                if let Some(recent) = self.recent.iter_mut().find(|recent| recent.outcomed.intent.id == id) {
                    recent.proof = Some(verification.proof);
                }
            }
            Event::Cycle(report) => self.cycle(report, at, now),
            Event::Paused { by, reason, trouble } => {
                self.switch_error = trouble.then(|| reason.clone());
                let why = if reason.is_empty() { "" } else { ": " };
                self.paused = Some(format!("{by}{why}{reason}"));
            }
            Event::Resumed { .. } => {
                self.paused = None;
                self.switch_error = None;
            }
            Event::JournalFails { error } => self.journal_error = Some(error.clone()),
            Event::JournalAgain(_) => self.journal_error = None,
            Event::Stopping { .. }
            | Event::DriverError { .. }
            | Event::Intent(_)
            | Event::BreakerOpened { .. }
            | Event::BreakerClosed { .. }
            | Event::CameBack { .. }
            | Event::Rehearsed { .. }
            | Event::GroupSuspended { .. }
            | Event::GroupReleased { .. }
            | Event::Retention(_)
            | Event::ExemptionEnds(_) => {}
        }
    }

    fn loaded(&mut self, loaded: &InForceReport) {
        // What is missing is told until the policies change again: a reload of the same files brings nothing back.
        if self.digest.as_ref() != Some(&loaded.digest) {
            self.lost.clone_from(&loaded.lost);
        }
        self.digest = Some(Arc::clone(&loaded.digest));
        (self.policies, self.exemptions) = (loaded.policies, loaded.exemptions);
        self.timezone = loaded.timezone;
        self.load_error = None;
        let mut databases = BTreeMap::new();
        for configured in &loaded.databases {
            let before = self.databases.remove(&configured.database);
            // An entry whose address, account or driver has changed is another database, of which nothing is known yet.
            let before = before.filter(|known| known.place == configured.place);
            let mut database = before.unwrap_or_else(|| DatabaseStatus::new(configured));
            (database.driver, database.armed, database.poll) = (configured.driver, configured.armed, configured.poll);
            let mut before = std::mem::take(&mut database.policies);
            for policy in &configured.policies {
                let at = before.iter().position(|known| known.name == policy.policy);
                let mut shown = at.map_or_else(
                    || PolicyStatus::new(&policy.policy, policy.mode),
                    |at| before.swap_remove(at),
                );
                shown.mode = policy.mode;
                database.policies.push(shown);
            }
            databases.insert(Arc::clone(&configured.database), database);
        }
        self.databases = databases;
    }

    fn outcome(&mut self, outcomed: &Outcomed, at: DateTime<Utc>) {
        let intent = &outcomed.intent;
        let database = self.databases.get_mut(&intent.database);
        let policy =
            database.and_then(|database| database.policies.iter_mut().find(|known| known.name == intent.policy));
        if let Some(policy) = policy
            && (outcomed.outcome.is_followed() || outcomed.outcome == Outcome::Reported)
        {
            policy.acted += 1;
        }
        self.recent.push_front(Recent {
            at,
            outcomed: outcomed.clone(),
            proof: None,
        });
        self.recent.truncate(RECENT);
    }

    fn cycle(&mut self, report: &CycleReport, at: DateTime<Utc>, now: Monotonic) {
        let Some(database) = self.databases.get_mut(&report.database) else {
            return;
        };
        database.taken_at = Some(report.taken_at);
        database.sessions = report.sessions.iter().map(|count| count.count).sum();
        database.instances.clone_from(&report.instances);
        database.notes.clone_from(&report.notes);
        database.stale = report.stale;
        database.leads = report.leads;
        database.seen = Some(now);
        database.budgets.clone_from(&report.budgets);
        database.lingering.clone_from(&report.lingering);
        database.history.record(&report.sessions, at);
        if !report.instances.is_empty() && report.instances.iter().all(|instance| instance.complete) {
            database.complete = Some(now);
        }
        for policy in &report.policies {
            let Some(shown) = database.policies.iter_mut().find(|known| known.name == policy.policy) else {
                continue;
            };
            (shown.mode, shown.matched, shown.warrants) = (policy.mode, policy.matched, policy.warrants);
            shown.spared.clone_from(&policy.spared);
            shown.breaker.clone_from(&policy.breaker);
            shown.suspended = policy.suspended.values().cloned().collect();
            shown.rehearsal.clone_from(&policy.rehearsal);
            shown.pending.clone_from(&policy.pending);
        }
    }

    /// One line for `systemctl status`, problems first.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.paused.as_ref().map(|by| format!("paused ({by})")));
        if self.dry_run {
            parts.push("dry run".to_owned());
        }
        let is_down = |(_, database): &(&Arc<str>, &DatabaseStatus)| matches!(database.link, Reachability::Down { .. });
        let down: Vec<&str> = self.databases.iter().filter(is_down).map(|(name, _)| &**name).collect();
        if !down.is_empty() {
            parts.push(format!("down: {}", down.join(", ")));
        }
        let stands_by = |(_, database): &(&Arc<str>, &DatabaseStatus)| database.leads == Some(false);
        let standing_by: Vec<&str> = self
            .databases
            .iter()
            .filter(stands_by)
            .map(|(name, _)| &**name)
            .collect();
        if !standing_by.is_empty() {
            parts.push(format!("standing by: {}", standing_by.join(", ")));
        }
        if self.load_error.is_some() {
            parts.push("the last reload failed; the previous configuration stays in force".to_owned());
        }
        if self.web_error.is_some() {
            parts.push("the web configuration cannot be used; the previous one stays in force".to_owned());
        }
        if self.journal_error.is_some() {
            parts.push("the journal cannot be written; no session is acted on".to_owned());
        }
        if !self.lost.is_empty() {
            let lost = shortened(&self.lost, LOST_IN_LINE);
            parts.push(format!("no longer in force: {lost}"));
        }
        let armed = self.databases.values().filter(|database| database.armed).count();
        parts.push(format!(
            "policies: {}; exemptions: {}; databases: {}, of them armed: {armed}",
            self.policies,
            self.exemptions,
            self.databases.len()
        ));
        parts.join("; ")
    }

    /// What keeps the daemon from acting besides a pause, on all databases or on some.
    #[must_use]
    pub(crate) fn hindrances(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(error) = &self.journal_error {
            found.push(format!(
                "the journal cannot be written, so no session is acted on: {error}"
            ));
        }
        if self.dry_run {
            found.push("it was started with --dry-run, so no statement is sent".to_owned());
        }
        for (name, database) in &self.databases {
            if !database.armed {
                found.push(format!("database {name} is not armed"));
            } else if let Reachability::Down { error, .. } = &database.link {
                found.push(format!("database {name} is down: {error}"));
            } else if database.leads == Some(false) {
                found.push(format!(
                    "on database {name} it stands by: it does not hold the lock by which one daemon leads"
                ));
            }
        }
        found
    }

    /// Why the daemon is not ready: the problem of each database with its name, and those of the daemon with an empty name.
    #[must_use]
    pub(crate) fn troubles(&self, now: Monotonic) -> Vec<(Arc<str>, String)> {
        let mut troubles = Vec::new();
        if let Some(error) = &self.switch_error {
            troubles.push((Arc::from(""), format!("the kill switch cannot be read: {error}")));
        }
        if let Some(error) = &self.journal_error {
            let trouble = format!("the journal cannot be written, so no session is acted on: {error}");
            troubles.push((Arc::from(""), trouble));
        }
        if self.digest.is_none() {
            troubles.push((Arc::from(""), "no policies are loaded".to_owned()));
        }
        for (name, database) in &self.databases {
            troubles.extend(database.trouble(now).map(|trouble| (Arc::clone(name), trouble)));
        }
        troubles
    }
}

impl PolicyStatus {
    fn new(name: &Arc<str>, mode: RunMode) -> PolicyStatus {
        PolicyStatus {
            name: Arc::clone(name),
            mode,
            matched: 0,
            warrants: 0,
            spared: BTreeMap::new(),
            acted: 0,
            breaker: None,
            suspended: Vec::new(),
            rehearsal: PolicyRehearsal::default(),
            pending: Vec::new(),
        }
    }
}

/// The status, shared between its writer and its readers.
#[derive(Clone, Debug, Default)]
pub struct SharedStatus {
    status: Arc<RwLock<DaemonStatus>>,
    version: Arc<AtomicU64>,
}

impl SharedStatus {
    /// Locks it for reading; hold the lock only to copy.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, DaemonStatus> {
        self.status.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks it for writing.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, DaemonStatus> {
        self.version.fetch_add(1, Ordering::Relaxed);
        self.status.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that grows with each change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_not_as_it_should_be() {
        let mut status = DaemonStatus::default();
        let loaded = |name: &str, armed| LoadedDatabase {
            database: name.into(),
            place: "here".into(),
            driver: "thin",
            armed,
            poll: Duration::from_secs(15),
            labels: BTreeMap::new(),
            policies: Vec::new(),
        };
        status.loaded(&InForceReport {
            digest: "ab".into(),
            policies: 3,
            exemptions: 1,
            lost: Vec::new(),
            timezone: Tz::UTC,
            databases: vec![loaded("crm", true), loaded("prod", false)],
        });
        assert_eq!(
            status.line(),
            "policies: 3; exemptions: 1; databases: 2, of them armed: 1"
        );
        status.databases.get_mut("crm").expect("loaded").leads = Some(false);
        assert_eq!(
            status.line(),
            "standing by: crm; policies: 3; exemptions: 1; databases: 2, of them armed: 1"
        );
        status.databases.get_mut("crm").expect("loaded").leads = Some(true);
        (status.dry_run, status.paused) = (true, Some("maria: month end".into()));
        status.load_error = Some("p.yaml:1:1: error".into());
        let prod = status.databases.get_mut("prod").expect("loaded");
        prod.link = Reachability::Down {
            since: DateTime::UNIX_EPOCH,
            error: "no listener".into(),
        };
        assert_eq!(
            status.line(),
            "paused (maria: month end); dry run; down: prod; the last reload failed; the previous configuration stays in force; policies: 3; exemptions: 1; \
             databases: 2, of them armed: 1"
        );
    }
}
