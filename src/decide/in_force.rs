//! What is in force on one database: which policies run there and how, under which limits, and which day it is.
//!
//! The daemon, `plan`, `sessions`, `explain`, `replay` and `test` all use [`DatabaseRules::here`], so that none of them can differ from the
//! daemon. Their input differs (a replay is never armed, a plan treats every schedule as due); the rules are the same. Only this
//! file can make an [`InForce`] that enforces, and only if policy, database and daemon all permit it.
//!
//! - A policy runs on a database if it is not off, if its `databases` select that database, and if each of its actions can be
//!   carried out there.
//! - It does not run before its first day and after its last, not even to complete an earlier action.
//! - It acts if policy, database and daemon all say so; otherwise it rehearses.
//! - A day is the calendar's day in the database's time zone. Exemptions end by it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::config::{self, Blackout, Config};
use crate::decide::order::OperatorOrder;
use crate::decide::standstill::Standstill;
use crate::policy::model::{Action, Labels, Limits, Mode, Policy, PolicySet};
use crate::policy::timetable::{OutsideDates, Timetable};
use crate::words::words;

/// This many intervals without a snapshot are a gap: three snapshots were missed. A gap breaks every hold, because sessions may
/// have changed meanwhile, and a schedule's time in a gap is skipped.
pub(crate) const GAP: u32 = 4;

/// The greatest number of pairs of policy and database: each pair has its own metric series for each instance, action and outcome.
pub(crate) const MOST_PAIRS: usize = 5_000;

/// The error, if there are too many pairs of policy and database.
#[must_use]
pub(crate) fn too_many(databases: &[(Arc<str>, Labels)], set: &PolicySet) -> Option<String> {
    let runs = |policy: &&Policy, name: &str, labels: &Labels| {
        let mut selectors = policy.databases.iter();
        policy.mode != Mode::Off
            && (policy.databases.is_empty() || selectors.any(|selector| selector.selects(name, labels)))
    };
    let on =
        |(name, labels): &(Arc<str>, Labels)| set.policies.iter().filter(|policy| runs(policy, name, labels)).count();
    let pairs: usize = databases.iter().map(on).sum();
    (pairs > MOST_PAIRS).then(|| {
        format!(
            "{pairs} policies on databases (each policy counted on each database that it runs on), more than the {MOST_PAIRS} that are \
             served: choose fewer databases with `databases`, or run a daemon for some of them"
        )
    })
}

/// What is in force on one database, before it is known which actions the database supports.
#[derive(Clone, Debug)]
pub struct DatabaseRules {
    set: Arc<PolicySet>,
    /// When each policy is in force, in its own time zone or the database's.
    timetables: Vec<Timetable>,
    /// Name and labels; `None` for a database without a name.
    database: Option<(Arc<str>, Labels)>,
    arming: Arming,
    limits: EffectiveLimits,
    /// The budget that this entry of the configuration says; `limits` may have a smaller one, of another entry for the same database.
    own_budget: SharedBudget,
    blackouts: Vec<Blackout>,
    zone: Tz,
    /// The operator's order, if these rules judge an order and no policy.
    order: Option<Arc<OperatorOrder>>,
}

/// Whether policies in `mode: enforce` may act on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arming {
    /// They may: `armed: true`, and no `--dry-run`.
    Armed,
    /// They rehearse.
    Unarmed,
}

impl Arming {
    /// Armed only if the database is armed and the daemon was started without `--dry-run`.
    #[must_use]
    pub const fn of(armed: bool, dry_run: bool) -> Arming {
        if armed && !dry_run {
            Arming::Armed
        } else {
            Arming::Unarmed
        }
    }
}

/// Why a policy does not run on a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// `mode: off`.
    Off,
    /// Its `databases` do not select this one.
    Elsewhere,
    /// The database does not support one of its actions.
    Unsupported(String),
    /// It does not run on this day.
    OutsideDates(OutsideDates),
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::Off => f.write_str("it is off"),
            Absent::Elsewhere => f.write_str("its `databases` do not select this one"),
            Absent::Unsupported(why) => f.write_str(why),
            Absent::OutsideDates(why) => why.fmt(f),
        }
    }
}

words! {
    /// How a policy runs: whether the last step is taken.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum RunMode {
        /// All steps except the statement.
        DryRun = "dry-run",
        /// All steps, including the statement.
        Enforce = "enforce",
    }
}

/// The actions of all policies on a database that its entries of the configuration share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedBudget {
    /// In 60 minutes.
    pub(crate) per_hour: u32,
    /// In 24 hours, if limited.
    pub(crate) per_day: Option<u32>,
}

impl SharedBudget {
    /// What both permit.
    #[must_use]
    pub(crate) fn smaller(self, other: SharedBudget) -> SharedBudget {
        SharedBudget {
            per_hour: self.per_hour.min(other.per_hour),
            per_day: self.per_day.into_iter().chain(other.per_day).min(),
        }
    }
}

/// The limits with all defaults applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectiveLimits {
    /// Actions of all policies in a cycle.
    pub per_cycle: u32,
    /// Actions of all policies in 60 minutes.
    pub per_hour: u32,
    /// Actions of all policies in 24 hours, if limited.
    pub per_day: Option<u32>,
    /// The breaker's share in percent.
    pub share: u32,
    /// The `undo` protection's bound.
    pub undo_records: u64,
    /// A group whose sessions came back in this many cycles of a day is left alone.
    pub respawns: u32,
    /// Actions at the same time.
    pub parallel: u32,
}

impl EffectiveLimits {
    /// What the configuration says, and where it says nothing the defaults.
    #[must_use]
    pub fn of(configured: &Limits) -> EffectiveLimits {
        EffectiveLimits {
            per_cycle: configured.per_cycle.unwrap_or(5),
            per_hour: configured.per_hour.unwrap_or(20),
            per_day: configured.per_day,
            share: configured.share.unwrap_or(20),
            undo_records: configured.undo_records.unwrap_or(100_000),
            respawns: configured.respawns.unwrap_or(3),
            parallel: configured.parallel.unwrap_or(2),
        }
    }

    /// The budget of all policies together.
    #[must_use]
    pub(crate) fn budget(&self) -> SharedBudget {
        SharedBudget {
            per_hour: self.per_hour,
            per_day: self.per_day,
        }
    }

    /// The bound of the `undo` protection for the policy, which may set its own.
    #[must_use]
    pub(crate) fn undo_records_of(&self, policy: &Policy) -> u64 {
        policy.limits.undo_records.unwrap_or(self.undo_records)
    }
}

/// A policy that this database runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    index: usize,
    mode: RunMode,
    due: bool,
}

impl InForce {
    /// Its place in the set.
    #[must_use]
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// Whether it acts here: its own mode, the database's arming and `--dry-run` taken together.
    #[must_use]
    pub(crate) fn mode(self) -> RunMode {
        self.mode
    }

    /// Whether its schedule lets it act in this cycle; holds are kept either way.
    #[must_use]
    pub(crate) fn is_due(self) -> bool {
        self.due
    }

    /// Whether this policy has to reckon with an action that was done, or assumed to be done, by the policy of this name.
    ///
    /// - A real action has happened, for everybody.
    /// - What a dry run assumed has not happened for a policy that acts.
    /// - A policy in `mode: dry-run` counts everything, as it would if it were enforced.
    /// - A policy in `mode: enforce` on an unarmed database rehearses: it reckons with what other rehearsing policies assumed,
    ///   but not what a policy in `mode: dry-run` did, which takes nothing from it on an armed database either. So arming the
    ///   database changes the last step alone.
    #[must_use]
    pub(crate) fn reckons_with(self, set: &PolicySet, mode: RunMode, by: &str) -> bool {
        match (mode, self.mode, set.policies[self.index].mode) {
            (RunMode::Enforce, _, _) => true,
            (RunMode::DryRun, RunMode::Enforce, _) => false,
            (RunMode::DryRun, RunMode::DryRun, Mode::Enforce) => {
                let policy = set.policies.iter().find(|policy| &*policy.name == by);
                policy.is_none_or(|policy| policy.mode != Mode::DryRun)
            }
            (RunMode::DryRun, RunMode::DryRun, Mode::DryRun | Mode::Off) => true,
        }
    }
}

/// Each policy on a database at one time, in the set's order: how it runs, or why it does not.
#[derive(Clone, Debug)]
pub struct Here {
    each: Vec<Result<InForce, Absent>>,
    running: Vec<InForce>,
}

impl Here {
    /// The policies that run. Those that are not due keep their holds.
    #[must_use]
    pub fn running(&self) -> &[InForce] {
        &self.running
    }

    /// Every policy, in the set's order.
    pub(crate) fn each(&self) -> &[Result<InForce, Absent>] {
        &self.each
    }
}

/// Whether schedules matter.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// No: every policy is due.
    Always,
    /// No: every policy is due that runs on this day.
    OnDay(DateTime<Utc>),
    /// A policy is due if its schedule has a time after the first time and up to the second.
    Between(DateTime<Utc>, DateTime<Utc>),
}

/// How often snapshots come.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    every: TimeDelta,
    longest_gap: TimeDelta,
}

impl Rhythm {
    /// One snapshot in each interval.
    #[must_use]
    pub fn of(every: TimeDelta) -> Rhythm {
        let gap = i32::try_from(GAP).unwrap_or(i32::MAX);
        Rhythm {
            every,
            longest_gap: every.checked_mul(gap).unwrap_or(TimeDelta::MAX),
        }
    }

    /// The same with another longest pause.
    #[must_use]
    pub(crate) fn with_longest_gap(self, longest_gap: TimeDelta) -> Rhythm {
        Rhythm { longest_gap, ..self }
    }

    /// Whether a snapshot continues the one before it.
    #[must_use]
    pub(crate) fn is_unbroken(self, before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        // A clock that went back breaks it too, because the real time is unknown.
        before.is_some_and(|before| before <= now && now - before <= self.longest_gap)
    }

    /// The time that this snapshot covers: since the previous one, or one interval if there was none recently. A schedule's time
    /// that passed without a snapshot is skipped.
    #[must_use]
    pub(crate) fn due(self, before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Due {
        let after = before.filter(|_| self.is_unbroken(before, now));
        Due::Between(after.unwrap_or(now - self.every), now)
    }
}

impl DatabaseRules {
    /// For a configured database.
    #[must_use]
    pub fn of(database: &config::DatabaseConfig, dry_run: bool, set: Arc<PolicySet>) -> DatabaseRules {
        DatabaseRules {
            timetables: timetables(&set, database.timezone),
            set,
            database: Some((Arc::clone(&database.name), database.labels.clone())),
            arming: Arming::of(database.armed, dry_run),
            own_budget: EffectiveLimits::of(&database.limits).budget(),
            limits: EffectiveLimits::of(&database.limits),
            blackouts: database.blackouts.clone(),
            zone: database.timezone,
            order: None,
        }
    }

    /// Whether a policy may act on the database at all.
    #[must_use]
    pub(crate) const fn is_armed(&self) -> bool {
        matches!(self.arming, Arming::Armed)
    }

    /// For sessions in a file, which no policy acts on. A database of this name in the configuration gives the rules; otherwise the
    /// configuration's rules for all databases, or without a configuration the defaults. Without a name, every policy's
    /// `databases` selects it.
    #[must_use]
    pub fn of_file(config: Option<&Config>, name: Option<&str>, set: Arc<PolicySet>) -> DatabaseRules {
        let mut configured = config.into_iter().flat_map(|config| &config.databases);
        if let Some(database) = configured.find(|database| name == Some(&*database.name)) {
            return DatabaseRules::of(database, true, set);
        }
        let zone = config.map_or(Tz::UTC, |config| config.timezone);
        let limits = EffectiveLimits::of(&config.map_or_else(Limits::default, |config| config.limits));
        DatabaseRules {
            timetables: timetables(&set, zone),
            set,
            database: name.map(|name| (name.into(), Labels::new())),
            arming: Arming::Unarmed,
            own_budget: limits.budget(),
            limits,
            blackouts: config.map(|config| config.blackouts.clone()).unwrap_or_default(),
            zone,
            order: None,
        }
    }

    /// For a policy test, which gives all of it.
    #[must_use]
    pub fn of_policy_test(
        name: &str,
        arming: Arming,
        limits: EffectiveLimits,
        zone: Tz,
        set: Arc<PolicySet>,
    ) -> DatabaseRules {
        DatabaseRules {
            timetables: timetables(&set, zone),
            set,
            database: Some((name.into(), Labels::new())),
            arming,
            own_budget: limits.budget(),
            limits,
            blackouts: Vec::new(),
            zone,
            order: None,
        }
    }

    /// The rules for an operator's order: its own policy alone, and everything else as here.
    #[must_use]
    pub(crate) fn for_order(&self, order: Arc<OperatorOrder>) -> DatabaseRules {
        let set = Arc::new(order.set(&self.set));
        DatabaseRules {
            timetables: timetables(&set, self.zone),
            set,
            order: Some(order),
            ..self.clone()
        }
    }

    /// The same for other policies, without budgets, breaker and suspensions.
    #[must_use]
    pub(crate) fn unlimited(&self, set: Arc<PolicySet>) -> DatabaseRules {
        DatabaseRules {
            timetables: timetables(&set, self.zone),
            set,
            limits: EffectiveLimits {
                per_cycle: u32::MAX,
                per_hour: u32::MAX,
                per_day: None,
                share: 100,
                respawns: u32::MAX,
                ..self.limits
            },
            ..self.clone()
        }
    }

    /// The budget that this entry of the configuration says.
    #[must_use]
    pub(crate) fn own_budget(&self) -> SharedBudget {
        self.own_budget
    }

    /// The same beside other entries that lead to the database, which may have a smaller budget. It is one budget, and the smaller one
    /// of two spares. `None` where that changes nothing.
    #[must_use]
    pub(crate) fn beside(&self, others: Option<SharedBudget>) -> Option<DatabaseRules> {
        let own = self.own_budget;
        let SharedBudget { per_hour, per_day } = others.map_or(own, |others| own.smaller(others));
        let limits = EffectiveLimits {
            per_hour,
            per_day,
            ..self.limits
        };
        (limits != self.limits).then(|| DatabaseRules { limits, ..self.clone() })
    }

    /// The order that they are for.
    #[must_use]
    pub(crate) fn order(&self) -> Option<&Arc<OperatorOrder>> {
        self.order.as_ref()
    }

    /// The same with these labels of the database.
    #[must_use]
    pub(crate) fn with_labels(mut self, labels: Labels) -> DatabaseRules {
        self.database = self.database.map(|(name, _)| (name, labels));
        self
    }

    /// The policies.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// The limits of all policies of the database together.
    #[must_use]
    pub(crate) fn limits(&self) -> &EffectiveLimits {
        &self.limits
    }

    /// The calendar day in the database's time zone, which exemptions expire by.
    #[must_use]
    pub(crate) fn today(&self, now: DateTime<Utc>) -> NaiveDate {
        now.with_timezone(&self.zone).date_naive()
    }

    /// The blackout at this time, if there is one, in words.
    #[must_use]
    pub(crate) fn blackout(&self, now: DateTime<Utc>) -> Option<Standstill> {
        let blackout = self.blackouts.iter().find(|blackout| blackout.holds(now))?;
        Some(Standstill::Blackout(blackout.reason.clone()))
    }

    /// The blackout by either clock. A database's clock can stand still (FIXED_DATE) or be set back, while a backup that runs by the
    /// host's clock is in progress.
    #[must_use]
    pub(crate) fn blackout_by_either(&self, database: DateTime<Utc>, host: DateTime<Utc>) -> Option<Standstill> {
        self.blackout(database).or_else(|| self.blackout(host))
    }

    /// When a policy is in force here.
    #[must_use]
    pub(crate) fn timetable(&self, policy: &str) -> Option<&Timetable> {
        let at = self.set.policies.iter().position(|known| &*known.name == policy)?;
        Some(&self.timetables[at])
    }

    /// Why a policy does not run, by either clock, as [`Self::blackout_by_either`].
    #[must_use]
    pub(crate) fn outside_dates(
        &self,
        policy: &str,
        database: DateTime<Utc>,
        host: DateTime<Utc>,
    ) -> Option<OutsideDates> {
        let timetable = self.timetable(policy)?;
        timetable.outside(database).or_else(|| timetable.outside(host))
    }

    /// Which policies run here, now, and how. `supports` says why the database does not support an action, if it does not.
    pub(crate) fn here<E: fmt::Display>(&self, supports: impl Fn(Action) -> Result<(), E>, due: Due) -> Here {
        let run = |(index, policy): (usize, &Policy)| {
            let mode = self.mode(policy)?;
            let mut actions = std::iter::once(policy.action).chain(policy.escalate.iter().map(|rung| rung.action));
            let lacking = actions.find_map(|action| supports(action).err().map(|why| format!("{action}: {why}")));
            let timetable = &self.timetables[index];
            let (now, due) = match due {
                Due::Always => (None, true),
                Due::OnDay(now) => (Some(now), true),
                Due::Between(after, now) => (Some(now), timetable.due(after, now)),
            };
            if let Some(outside) = now.and_then(|now| timetable.outside(now)) {
                return Err(Absent::OutsideDates(outside));
            }
            lacking.map_or(Ok(InForce { index, mode, due }), |why| Err(Absent::Unsupported(why)))
        };
        let each: Vec<Result<InForce, Absent>> = self.set.policies.iter().enumerate().map(run).collect();
        Here {
            running: each.iter().filter_map(|run| run.as_ref().ok().copied()).collect(),
            each,
        }
    }

    /// The same before any connection is made: every action is assumed to be supported.
    #[must_use]
    pub fn configured(&self, due: Due) -> Here {
        self.here(|_| Ok::<(), std::convert::Infallible>(()), due)
    }

    fn mode(&self, policy: &Policy) -> Result<RunMode, Absent> {
        let chosen = |(name, labels): &(Arc<str>, Labels)| {
            let mut selectors = policy.databases.iter();
            selectors.any(|selector| selector.selects(name, labels))
        };
        let elsewhere = !policy.databases.is_empty() && !self.database.as_ref().is_none_or(chosen);
        match (policy.mode, self.arming) {
            (Mode::Off, _) => Err(Absent::Off),
            (Mode::DryRun | Mode::Enforce, _) if elsewhere => Err(Absent::Elsewhere),
            (Mode::Enforce, Arming::Armed) => Ok(RunMode::Enforce),
            (Mode::Enforce, Arming::Unarmed) | (Mode::DryRun, _) => Ok(RunMode::DryRun),
        }
    }
}

fn timetables(set: &PolicySet, zone: Tz) -> Vec<Timetable> {
    let policies = set.policies.iter();
    policies.map(|policy| policy.timetable.in_zone(zone)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_enforces_where_it_the_database_and_the_daemon_all_say_so() {
        for mode in ["enforce", "dry-run"] {
            let text = format!("policies: [{{name: p, mode: {mode}, when: SNIPED longer than 1h, action: kill}}]");
            let loaded = crate::policy::check_files(&[("p.yaml".into(), text.into_bytes())], NaiveDate::MIN, Tz::UTC);
            let set = Arc::new(loaded.set.expect("right"));
            for (armed, dry_run) in [(true, false), (true, true), (false, false), (false, true)] {
                let limits = EffectiveLimits::of(&Limits::default());
                let arming = Arming::of(armed, dry_run);
                let rules = DatabaseRules::of_policy_test("prod", arming, limits, Tz::UTC, Arc::clone(&set));
                let here = rules.configured(Due::Always);
                let enforces = mode == "enforce" && armed && !dry_run;
                let expected = if enforces { RunMode::Enforce } else { RunMode::DryRun };
                assert_eq!(here.running()[0].mode(), expected, "{mode} {armed} {dry_run}");
            }
        }
    }

    #[test]
    fn what_nobody_says_is_the_default() {
        let own = Limits {
            per_hour: Some(7),
            ..Limits::default()
        };
        let limits = EffectiveLimits::of(&own);
        assert_eq!((limits.per_cycle, limits.per_hour, limits.per_day), (5, 7, None));
        assert_eq!((limits.share, limits.undo_records, limits.respawns), (20, 100_000, 3));
        assert_eq!(limits.parallel, 2);
    }

    #[test]
    fn a_blackout_holds_by_the_hosts_clock_where_the_databases_stands_still() {
        let text = "databases: [{name: prod, driver: thin, connect: //db1/PROD, user: reaper, password: {env: NO}}]\n\
                    policies: [policies]\nstate: /s\nblackouts: [{cron: \"0 20 * * *\", for: 6h, reason: backup}]\n";
        let loaded = config::check("orareaper.yaml", text.as_bytes(), std::path::Path::new("/"));
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let rules = DatabaseRules::of(&config.databases[0], false, Arc::default());
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let (frozen, evening) = (at("2026-01-01T12:00:00Z"), at("2026-11-22T21:00:00Z"));
        assert_eq!(rules.blackout_by_either(frozen, at("2026-11-22T19:59:59Z")), None);
        for (database, host) in [(frozen, evening), (evening, frozen)] {
            let holds = rules.blackout_by_either(database, host);
            assert_eq!(holds, Some(Standstill::Blackout("backup".into())));
        }
    }

    #[test]
    fn more_policies_on_databases_than_are_served_are_told_where_they_are_configured() {
        let policies: String = (0..500)
            .map(|number| format!("  - {{name: p{number}, when: SNIPED longer than 1h, action: kill}}\n"))
            .collect();
        let text = format!("policies:\n{policies}");
        let loaded = crate::policy::check_files(&[("p.yaml".into(), text.into_bytes())], NaiveDate::MIN, Tz::UTC);
        let set = loaded.set.expect("right");
        let databases = |count: usize| -> Vec<(Arc<str>, Labels)> {
            (0..count)
                .map(|number| (format!("db{number}").into(), Labels::new()))
                .collect()
        };
        assert_eq!(too_many(&databases(10), &set), None);
        let problem = too_many(&databases(11), &set).expect("5500 are more than 5000");
        assert!(problem.starts_with("5500 policies on databases"), "{problem}");
    }
}
