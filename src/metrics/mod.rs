//! The Prometheus metrics.
//!
//! Labels come from closed sets: the configured names of databases and policies, INST_ID, and the names of this program's enums.
//! No text of a session and no error text is ever a label, so the configuration bounds the number of series. A series is
//! removed when its database, instance or policy is: an alert on a deleted policy would never end.
//!
//! Counters of actions exist at zero as soon as a policy is loaded and an instance is known, because `increase()` ignores the
//! first value of a counter. `inst_id` is INST_ID (Prometheus uses `instance` for the address that it scrapes); before the first
//! connection the instances are unknown, and `up` has an empty `inst_id`. Everything that a policy causes has the label `mode`,
//! so that no alert takes a dry run for real actions.

mod family;
mod info;
mod notifications;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use prometheus::core::{Atomic as _, AtomicF64, AtomicI64, AtomicU64, Collector};
use prometheus::{Histogram, IntCounter, IntGauge, Opts, Registry};

use crate::decide::in_force::RunMode;
use crate::decide::order::BY_HAND;
use crate::decide::outcome::Outcome;
use crate::decide::used_again::{Aftermath, Afterwards};
use crate::event::{CycleReport, Event, InForceReport, LoadedDatabase, LoadedPolicy, PolicyLoad};
use crate::metrics::family::{AnyFamily, Exposed, Family, NAMESPACE};
use crate::metrics::info::DatabaseInfo;
pub use crate::metrics::notifications::NoticeResult;
use crate::oracle::Class;
use crate::policy::model::Action;

/// All metrics.
pub struct Metrics {
    /// The metrics of the process, and those without labels.
    registry: Registry,
    /// All families.
    families: Vec<Arc<dyn AnyFamily>>,
    /// How long the last text was.
    length: AtomicUsize,
    up: Arc<Family<AtomicI64, 2>>,
    sessions: Arc<Family<AtomicI64, 4>>,
    pressure_ratio: Arc<Family<AtomicF64, 3>>,
    policy_matches: Arc<Family<AtomicI64, 2>>,
    actions: Arc<Family<AtomicU64, 6>>,
    spared: Arc<Family<AtomicU64, 4>>,
    lingering: Arc<Family<AtomicI64, 2>>,
    breaker_open: Arc<Family<AtomicI64, 3>>,
    suspended: Arc<Family<AtomicI64, 3>>,
    respawns: Arc<Family<AtomicU64, 3>>,
    used_again: Arc<Family<AtomicU64, 2>>,
    cycle_duration: Arc<Family<Histogram, 2>>,
    last_cycle: Arc<Family<AtomicF64, 1>>,
    database_info: DatabaseInfo,
    policies_loaded: IntGauge,
    reload_success: IntGauge,
    web_reload_success: IntGauge,
    paused: IntGauge,
    acting: Arc<Family<AtomicI64, 2>>,
    acting_hangs: Arc<Family<AtomicI64, 1>>,
    leader: Arc<Family<AtomicI64, 1>>,
    acting_beside: Arc<Family<AtomicI64, 1>>,
    budgets_unknown: Arc<Family<AtomicI64, 1>>,
    round_trips: Arc<Family<AtomicU64, 1>>,
    sessions_read: Arc<Family<AtomicI64, 1>>,
    driver_errors: Arc<Family<AtomicU64, 2>>,
    journal_errors: IntCounter,
    notifications: Arc<Family<AtomicU64, 2>>,
    known: Mutex<KnownSeries>,
}

/// What the existing series belong to.
#[derive(Debug, Default)]
struct KnownSeries {
    loaded: InForceReport,
    instances: BTreeMap<Arc<str>, Vec<u32>>,
}

/// Creates metrics: those without labels in the registry, the families beside it.
#[derive(Default)]
struct Maker {
    registry: Registry,
    families: Vec<Arc<dyn AnyFamily>>,
}

impl Maker {
    /// Panics only for an invalid or a repeated name; all names are in [`Metrics::new`].
    fn register<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect("the name and the labels are valid");
        self.registry
            .register(Box::new(metric.clone()))
            .expect("the name is registered once");
        metric
    }

    fn one(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(opts(name, help)))
    }

    /// A gauge that is 1 until something goes wrong.
    fn success(&self, name: &str, help: &str) -> IntGauge {
        let gauge = self.one(name, help);
        gauge.set(1);
        gauge
    }

    fn family<V, const N: usize>(
        &mut self,
        name: &str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Arc<Family<V, N>>
    where
        V: Exposed,
    {
        let family = Arc::new(Family::new(name, help, labels));
        self.families.push(Arc::clone(&family) as Arc<dyn AnyFamily>);
        family
    }

    /// With the metrics of the process and of the build.
    fn begin() -> Maker {
        let make = Maker::default();
        let process = prometheus::process_collector::ProcessCollector::for_self();
        let registered = make.registry.register(Box::new(process));
        registered.expect("nothing is registered yet");
        make.build_info();
        make
    }

    fn build_info(&self) {
        let build = opts("build_info", "Always 1; has the version of the daemon.");
        let build = build.const_label("version", env!("CARGO_PKG_VERSION"));
        self.register(IntGauge::with_opts(build)).set(1);
    }
}

const HANGING: &str = "Connections for actions that hang in a call of the driver.";
const RELOADED: &str = "1 if the last load of configuration and policies succeeded, else 0.";
const SESSIONS_READ: &str = "Sessions in the newest snapshot; the others were only counted by the database.";
const OTHERS: &str = "Other daemons that may act on the database at the same time as this one.";
const WEB_CONFIG: &str =
    "1 if the web configuration, its certificates and users are in force as the files are, else 0.";

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

impl Metrics {
    /// All metrics at zero, in a new registry, together with the metrics of the process.
    #[must_use]
    pub fn new() -> Metrics {
        let mut make = Maker::begin();
        let (database_instance, database_policy) = (["database", "inst_id"], ["database", "policy"]);
        let (of_session, of_resource) = (
            ["database", "inst_id", "type", "status"],
            ["database", "inst_id", "resource"],
        );
        let of_action = ["database", "inst_id", "policy", "action", "outcome", "mode"];
        let matches = "Sessions that match the policy's condition in the latest snapshot.";
        let actions = "Actions by outcome; with mode=dry-run nothing was sent.";
        let spared = "Sessions that matched a policy's condition but were spared, by reason, summed over cycles.";
        let lingering = "Sessions that were killed and are still there.";
        let breaker = "1 if the policy's whole plan is refused because it selects too many sessions, else 0.";
        let suspended = "Groups of sessions for which the policy is suspended because they refill.";
        let respawns =
            "Sessions that logged in within minutes after a session of the same user, machine and program was killed.";
        let used_again = "Sessions that a dry run would have ended and that were used again.";
        let duration = "Duration of the steps of a cycle.";
        let completed = "Unix time at which the last cycle was completed.";
        let paused = "1 if the kill switch stops all actions, else 0.";
        let acting =
            "1 if the standby connection for actions is open, else 0; exists where a policy in force needs it.";
        let leader = "1 if this daemon leads, of several that watch the database, else 0; exists where `leader` is configured and the database is armed.";
        let unknown = "1 while the journal may lack actions, so that each budget counts as used up, else 0.";
        let journal = "Failed attempts to write the journal; no action is taken without a record.";
        let errors = "Failed calls, by class of error.";
        let told = "Notifications by what came of them.";
        Metrics {
            up: make.family(
                "up",
                "1 if the latest snapshot includes the instance, else 0.",
                database_instance,
            ),
            sessions: make.family("sessions", "Sessions in the latest snapshot.", of_session),
            pressure_ratio: make.family(
                "pressure_ratio",
                "Use of a resource as a share of its limit; 1 is full.",
                of_resource,
            ),
            policy_matches: make.family("policy_matches", matches, database_policy),
            actions: make.family("actions_total", actions, of_action),
            spared: make.family("spared_total", spared, ["database", "policy", "reason", "mode"]),
            lingering: make.family("lingering_sessions", lingering, database_instance),
            breaker_open: make.family("breaker_open", breaker, ["database", "policy", "mode"]),
            suspended: make.family("suspended_groups", suspended, ["database", "policy", "mode"]),
            respawns: make.family("respawns_total", respawns, ["database", "policy", "mode"]),
            used_again: make.family("used_again_total", used_again, database_policy),
            cycle_duration: make.family("cycle_duration_seconds", duration, ["database", "step"]),
            last_cycle: make.family("last_cycle_timestamp_seconds", completed, ["database"]),
            database_info: make.register(DatabaseInfo::new()),
            policies_loaded: make.one("policies_loaded", "Policies in force."),
            reload_success: make.one("reload_success", RELOADED),
            web_reload_success: make.success("web_config_reload_success", WEB_CONFIG),
            paused: make.one("paused", paused),
            acting: make.family("acting_connection", acting, ["database", "inst_id"]),
            acting_hangs: make.family("hanging_connections", HANGING, ["database"]),
            leader: make.family("leader", leader, ["database"]),
            acting_beside: make.family("other_acting_daemons", OTHERS, ["database"]),
            budgets_unknown: make.family("budgets_unknown", unknown, ["database"]),
            round_trips: make.family("driver_round_trips_total", "Round trips to the database.", ["database"]),
            sessions_read: make.family("snapshot_sessions", SESSIONS_READ, ["database"]),
            driver_errors: make.family("driver_errors_total", errors, ["database", "class"]),
            journal_errors: make.register(IntCounter::with_opts(opts("journal_errors_total", journal))),
            notifications: make.family("notifications_total", told, ["receiver", "result"]),
            known: Mutex::new(KnownSeries::default()),
            registry: make.registry,
            length: AtomicUsize::new(0),
            families: make.families,
        }
    }

    /// The text for `/metrics`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.length.load(Ordering::Relaxed));
        for family in &self.families {
            family.write(&mut text);
        }
        prometheus::TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("every family that is registered has a name and at least one series");
        self.length.store(text.len(), Ordering::Relaxed);
        text
    }

    /// Counts an event. `at` is the host's time.
    pub fn count(&self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::Policies(PolicyLoad::Loaded(loaded)) => self.loaded(loaded),
            Event::Policies(PolicyLoad::Failed { .. }) => self.reload_success.set(0),
            Event::WebConfig { error } => self.web_reload_success.set(i64::from(error.is_none())),
            Event::DatabaseUp {
                database, instances, ..
            } => {
                let instances: Vec<u32> = instances.iter().map(|(inst_id, _)| *inst_id).collect();
                self.instances(database, &instances);
                self.all_up(database, true);
            }
            Event::DatabaseDown { database, .. } => self.down(database),
            Event::DriverError { database, class, .. } => {
                self.driver_errors.with([database, class.name()]).inc_by(1);
            }
            Event::Outcome(outcomed) | Event::Dropped(outcomed) => {
                let intent = &outcomed.intent;
                let instance = intent.key.inst_id.to_string();
                let labels = [
                    &*intent.database,
                    &instance,
                    &intent.policy,
                    intent.action.name(),
                    outcomed.outcome.name(),
                    intent.mode.name(),
                ];
                self.actions.with(labels).inc_by(1);
            }
            Event::BreakerOpened {
                database, policy, mode, ..
            } => self.breaker_open.with([database, policy, mode.name()]).set(1),
            Event::BreakerClosed { database, policy, mode } => {
                self.breaker_open.with([database, policy, mode.name()]).set(0);
            }
            Event::CameBack { database, back } => {
                self.respawns
                    .with([database, &back.ended.policy, back.ended.mode.name()])
                    .inc_by(1);
            }
            Event::Rehearsed { database, aftermath } => self.rehearsed(database, aftermath),
            Event::Cycle(report) => self.cycle(report, at),
            Event::Acting {
                database,
                connections,
                hanging,
            } => self.acting(database, connections, *hanging),
            Event::Paused { .. } => self.paused.set(1),
            Event::Resumed { .. } => self.paused.set(0),
            Event::Started { .. }
            | Event::Stopping { .. }
            | Event::Intent(_)
            | Event::Verification { .. }
            | Event::GroupSuspended { .. }
            | Event::GroupReleased { .. }
            | Event::JournalFails { .. }
            | Event::JournalAgain(_)
            | Event::Retention(_)
            | Event::ExemptionEnds(_) => {}
        }
    }

    /// Counts a failed attempt to write the journal.
    pub(crate) fn journal_failed(&self) {
        self.journal_errors.inc();
    }

    /// A session counts once, however many calls it makes.
    fn rehearsed(&self, database: &str, aftermath: &Aftermath) {
        let used = match aftermath.afterwards {
            Afterwards::UsedAgain | Afterwards::Validated => !aftermath.was_validated,
            Afterwards::Ended | Afterwards::Lost => false,
        };
        if used {
            self.used_again.with([database, &aftermath.policy]).inc_by(1);
        }
    }

    fn loaded(&self, loaded: &InForceReport) {
        self.policies_loaded.set(whole(loaded.policies));
        self.reload_success.set(1);
        self.database_info.set(&loaded.databases);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A name with a new place is another database: the counts of the previous one do not belong to it.
        let before = std::mem::replace(&mut known.loaded, loaded.clone());
        let was_elsewhere = |now: &LoadedDatabase| {
            let mut before = before.databases.iter();
            before.any(|before| before.database == now.database && before.place != now.place)
        };
        let stay: Vec<&LoadedDatabase> = loaded.databases.iter().filter(|now| !was_elsewhere(now)).collect();
        let names = |database: &str| stay.iter().any(|known| &*known.database == database);
        known.instances.retain(|database, _| names(database));
        let runs = |database: &str, policy: &str| {
            let database = stay.iter().find(|known| &*known.database == database);
            database.is_some_and(|database| database.policies.iter().any(|known| &*known.policy == policy))
        };
        self.up.retain(|[database, _]| names(database));
        self.sessions.retain(|[database, ..]| names(database));
        self.pressure_ratio.retain(|[database, ..]| names(database));
        self.lingering.retain(|[database, _]| names(database));
        self.acting.retain(|[database, _]| names(database));
        self.acting_hangs.retain(|[database]| names(database));
        self.leader.retain(|[database]| names(database));
        self.acting_beside.retain(|[database]| names(database));
        self.budgets_unknown.retain(|[database]| names(database));
        self.cycle_duration.retain(|[database, _]| names(database));
        self.last_cycle.retain(|[database]| names(database));
        self.round_trips.retain(|[database]| names(database));
        self.sessions_read.retain(|[database]| names(database));
        self.driver_errors.retain(|[database, _]| names(database));
        self.policy_matches.retain(|[database, policy]| runs(database, policy));
        let runs_so = |database: &str, policy: &str, mode: &str| {
            let database = stay.iter().find(|known| &*known.database == database);
            let is = |known: &LoadedPolicy| &*known.policy == policy && known.mode.name() == mode;
            database.is_some_and(|database| database.policies.iter().any(is))
        };
        self.breaker_open
            .retain(|[database, policy, mode]| runs_so(database, policy, mode));
        self.suspended
            .retain(|[database, policy, mode]| runs_so(database, policy, mode));
        self.respawns.retain(|[database, policy, _]| runs(database, policy));
        self.used_again.retain(|[database, policy]| runs(database, policy));
        self.spared.retain(|[database, policy, ..]| runs(database, policy));
        let acts = |database: &str, policy: &str| runs(database, policy) || (policy == BY_HAND && names(database));
        self.actions.retain(|[database, _, policy, ..]| acts(database, policy));
        for database in &loaded.databases {
            let instances = known.instances.get(&database.database);
            self.begin_at_zero(database, instances.map_or(&[], Vec::as_slice));
        }
    }

    fn begin_at_zero(&self, loaded: &LoadedDatabase, instances: &[u32]) {
        let database = &*loaded.database;
        if instances.is_empty() {
            self.up.with([database, ""]);
        }
        self.round_trips.with([database]);
        for class in Class::ALL {
            self.driver_errors.with([database, class.name()]);
        }
        // No action can be ordered on an unarmed database.
        for instance in instances.iter().filter(|_| loaded.armed) {
            for action in Action::ALL.into_iter().filter(|action| *action != Action::Report) {
                self.actions_at_zero((database, *instance, BY_HAND), action, RunMode::Enforce);
            }
        }
        for policy in &loaded.policies {
            self.breaker_open.with([database, &policy.policy, policy.mode.name()]);
            self.suspended.with([database, &policy.policy, policy.mode.name()]);
            self.respawns.with([database, &policy.policy, policy.mode.name()]);
            if policy.mode == RunMode::DryRun {
                self.used_again.with([database, &policy.policy]);
            }
            for instance in instances {
                for action in &policy.actions {
                    self.actions_at_zero((database, *instance, &policy.policy), *action, policy.mode);
                }
            }
        }
        for instance in instances {
            self.lingering.with([database, &instance.to_string()]);
        }
    }

    fn actions_at_zero(&self, (database, instance, policy): (&str, u32, &str), action: Action, mode: RunMode) {
        let instance = instance.to_string();
        for outcome in possible(action, mode) {
            self.actions
                .with([database, &instance, policy, action.name(), outcome.name(), mode.name()]);
        }
    }

    /// Updates the instances of a database. Removes the series of an instance that is gone, except its counters of actions. It stays
    /// down until the daemon is restarted: a series that is absent alerts nobody.
    fn instances(&self, database: &Arc<str>, instances: &[u32]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.instances.get(database).is_some_and(|known| known == instances) {
            return;
        }
        let before = known.instances.insert(Arc::clone(database), instances.to_vec());
        for gone in before.iter().flatten().filter(|known| !instances.contains(known)) {
            self.up.with([database, &gone.to_string()]).set(0);
        }
        let names: Vec<String> = instances.iter().map(u32::to_string).collect();
        let stays = |of: &str, instance: &str| of != &**database || names.iter().any(|name| name == instance);
        self.up
            .retain(|[of, instance]| of != &**database || !instance.is_empty());
        self.sessions.retain(|[of, instance, ..]| stays(of, instance));
        self.pressure_ratio.retain(|[of, instance, _]| stays(of, instance));
        self.lingering.retain(|[of, instance]| stays(of, instance));
        if let Some(loaded) = known.loaded.databases.iter().find(|known| known.database == *database) {
            self.begin_at_zero(loaded, instances);
        }
    }

    fn all_up(&self, database: &Arc<str>, up: bool) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.instances.get(database) {
            Some(instances) if !instances.is_empty() => {
                for instance in instances {
                    self.up.with([database, &instance.to_string()]).set(i64::from(up));
                }
            }
            Some(_) | None => self.up.with([database, ""]).set(i64::from(up)),
        }
    }

    /// Removes the values of the last snapshot: no value is better than an old one.
    fn down(&self, database: &Arc<str>) {
        self.all_up(database, false);
        self.sessions.retain(|[of, ..]| *of != **database);
        self.pressure_ratio.retain(|[of, ..]| *of != **database);
        self.policy_matches.retain(|[of, _]| *of != **database);
        self.lingering.retain(|[of, _]| *of != **database);
        self.breaker_open.retain(|[of, ..]| *of != **database);
        self.suspended.retain(|[of, ..]| *of != **database);
        // Whoever cannot read acts on nobody.
        self.leader.zero(|[of]| *of == **database, |gauge| gauge.set(0));
    }

    fn acting(&self, database: &Arc<str>, connections: &[(Option<u32>, bool)], hanging: usize) {
        self.acting_hangs.with([database]).set(whole(hanging));
        let name = |inst_id: Option<u32>| inst_id.map(|inst_id| inst_id.to_string()).unwrap_or_default();
        let needed = |of: &str| connections.iter().any(|(inst_id, _)| name(*inst_id) == of);
        self.acting.retain(|[of, inst_id]| *of != **database || needed(inst_id));
        for (inst_id, stands) in connections {
            self.acting.with([database, &name(*inst_id)]).set(i64::from(*stands));
        }
    }

    fn cycle(&self, report: &CycleReport, at: DateTime<Utc>) {
        let database = &report.database;
        let instances: Vec<u32> = report.instances.iter().map(|instance| instance.inst_id).collect();
        self.instances(database, &instances);
        for instance in &report.instances {
            let name = instance.inst_id.to_string();
            self.up.with([database, &name]).set(i64::from(instance.complete));
            self.lingering.with([database, &name]).set(whole(instance.lingering));
            for (resource, ratio) in &instance.pressure {
                self.pressure_ratio.with([database, &name, resource.name()]).set(*ratio);
            }
        }
        let read = |instance: &str, resource: &str| {
            let instance = report
                .instances
                .iter()
                .find(|known| known.inst_id.to_string() == instance);
            instance.is_some_and(|instance| instance.pressure.iter().any(|(known, _)| known.name() == resource))
        };
        self.pressure_ratio
            .retain(|[of, instance, resource]| *of != **database || read(instance, resource));
        self.sessions.zero(|[of, ..]| *of == **database, |gauge| gauge.set(0));
        for count in &report.sessions {
            let instance = count.inst_id.to_string();
            let labels = [&**database, &instance, count.session_type.name(), count.status.name()];
            self.sessions.with(labels).set(whole(count.count));
        }
        for policy in &report.policies {
            self.policy_matches
                .with([database, &policy.policy])
                .set(whole(policy.matched));
            let open = i64::from(policy.breaker.is_some());
            self.breaker_open
                .with([database, &policy.policy, policy.mode.name()])
                .set(open);
            self.suspended
                .with([database, &policy.policy, policy.mode.name()])
                .set(whole(policy.suspended.len()));
            for (reason, count) in &policy.spared {
                let count = u64::try_from(*count).unwrap_or(u64::MAX);
                self.spared
                    .with([database, &policy.policy, reason.name(), policy.mode.name()])
                    .inc_by(count);
            }
        }
        match report.leads {
            Some(leads) => self.leader.with([database]).set(i64::from(leads)),
            None => self.leader.retain(|[of]| *of != **database),
        }
        self.acting_beside
            .with([database])
            .set(i64::try_from(report.acting_beside).unwrap_or(i64::MAX));
        self.budgets_unknown
            .with([database])
            .set(i64::from(report.budgets_unknown));
        for (step, took) in &report.steps {
            self.cycle_duration
                .with([database, step.name()])
                .observe(took.as_secs_f64());
        }
        self.round_trips.with([database]).inc_by(report.round_trips);
        self.sessions_read
            .with([database])
            .set(i64::try_from(report.sessions_read).unwrap_or(i64::MAX));
        // Millisecond precision is exact in a double for many thousand years.
        let seconds = at.timestamp_millis() as f64 / 1000.0;
        self.last_cycle.with([database]).set(seconds);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

/// The possible outcomes of an action in a mode.
fn possible(action: Action, mode: RunMode) -> impl Iterator<Item = Outcome> {
    Outcome::ALL.into_iter().filter(move |outcome| match outcome {
        Outcome::Reported => action == Action::Report,
        Outcome::Assumed => action != Action::Report && mode == RunMode::DryRun,
        Outcome::Done | Outcome::Marked | Outcome::Refused | Outcome::Failed | Outcome::Unknown => {
            action != Action::Report && mode == RunMode::Enforce
        }
        Outcome::AlreadyGone
        | Outcome::NoLongerMatches
        | Outcome::Protected
        | Outcome::Unchecked
        | Outcome::Unsupported
        | Outcome::Expired
        | Outcome::Revoked => true,
    })
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
