//! Policy tests: sessions over time as input, decisions and statements as output.
//!
//! A test has snapshots with the columns that matter, and the decisions that are expected for each. It runs through the
//! daemon's own pipeline; only reading and acting are replaced by what the test says. The project's own cases under
//! tests/cases are such tests, and a DBA tests policies with the same engine.
//!
//! Columns that a test does not set have harmless values: a user session of an ordinary account, on a dedicated server,
//! without a transaction. A column that should be unknown is listed under `missing`.

pub(crate) mod junit;
mod raw;
#[cfg(test)]
mod replayed;
mod timeline;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::actuator::statement;
use crate::decide::cycle::{Cycle, CycleInput, Done, Memory, cycle, remember};
use crate::decide::in_force::{Arming, DatabaseRules, EffectiveLimits, Rhythm, RunMode};
use crate::decide::outcome::Outcome;
use crate::decide::protect::ProtectionFacts;
use crate::decide::reason::Verdict;
use crate::decide::standstill::Standstill;
use crate::policy::model::{Action, Labels, Mode, PolicySet};
use crate::quantity::counted;
use crate::session::SessionKey;
use crate::session::column::{Column, Columns};
use crate::session::snapshot::Snapshot;
use crate::session::time::iso;

pub use crate::policy_test::raw::{Expectation, PolicyTestError, Timeline};

/// A decision in a cycle. Of the parts after the session, only those are compared that the expectation has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExpectedLine {
    /// The name of the decision; `verified` for the result of an earlier action.
    pub(crate) decision: &'static str,
    /// The session, `sid,serial#,@inst_id`.
    pub(crate) session: String,
    /// The policy.
    pub(crate) policy: String,
    /// `enforce` or `dry-run`.
    pub(crate) mode: &'static str,
    /// The reason, or the result of a verification.
    pub(crate) reason: String,
    /// The statement, for `act`.
    pub(crate) statement: Option<String>,
}

/// The decisions of one cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CycleDecisions {
    /// The time of the snapshot.
    pub(crate) at: DateTime<Utc>,
    /// Decisions and verifications, sorted.
    pub(crate) lines: Vec<ExpectedLine>,
}

/// Runs policies over a timeline. `load` loads the policies of the named files.
///
/// # Errors
/// If the timeline names something that does not exist, or the policies have an error.
pub(crate) fn tell(
    timeline: &Timeline,
    load: impl Fn(&[String]) -> Result<PolicySet, PolicyTestError>,
) -> Result<Vec<CycleDecisions>, PolicyTestError> {
    let first = timeline.policies.clone().unwrap_or_else(|| vec!["policy.yaml".into()]);
    let load = |files: &[String]| {
        let mut set = load(files)?;
        let rehearsing = set.policies.iter_mut().filter(|policy| policy.mode == Mode::DryRun);
        if timeline.enforce {
            rehearsing.for_each(|policy| policy.mode = Mode::Enforce);
        }
        Ok::<_, PolicyTestError>(Arc::new(set))
    };
    let setting = TestSetting::of(timeline)?;
    let mut rules = setting.rules(load(&first)?);
    let mut memory = Memory::default();
    let mut told = Vec::new();
    let mut before: Option<DateTime<Utc>> = None;
    let mut action_id = 0;
    for moment in timeline.moments()? {
        if let Some(files) = moment.reload() {
            rules = setting.rules(load(files)?);
        }
        let wanted = needed(rules.set());
        let mut snapshot = moment.snapshot(&setting.defaults, wanted)?;
        let rhythm = setting.rhythm;
        let unbroken = rhythm.is_unbroken(before, moment.at);
        memory.add_rates(&mut snapshot, wanted, unbroken);
        let standstill = moment.standstill.clone().map(Standstill::Told);
        let terms = CycleInput {
            rules: &rules,
            here: &rules.configured(rhythm.due(before, moment.at)),
            facts: &setting.facts,
            now: moment.at,
            unbroken,
            read_in: TimeDelta::zero(),
            standstill: standstill.as_ref(),
            assume_held: false,
        };
        let cycle = cycle(&mut memory, &snapshot, moment.readings()?, &terms);
        let lines = lines(&cycle, rules.set(), &snapshot);
        for warrant in &cycle.ruling.warrants {
            action_id += 1;
            let outcome = match (warrant.action(), warrant.mode()) {
                (Action::Report, _) => Outcome::Reported,
                (_, RunMode::DryRun) => Outcome::Assumed,
                (_, RunMode::Enforce) => moment.answer(warrant.key())?,
            };
            remember(&mut memory, Done::seen_in(&snapshot, warrant, action_id, outcome));
        }
        told.push(CycleDecisions { at: moment.at, lines });
        before = Some(moment.at);
    }
    Ok(told)
}

/// The settings of a test.
struct TestSetting {
    database: String,
    labels: Labels,
    arming: Arming,
    limits: EffectiveLimits,
    zone: Tz,
    facts: ProtectionFacts,
    rhythm: Rhythm,
    defaults: BTreeMap<Column, raw::RawValue>,
}

impl TestSetting {
    fn of(timeline: &Timeline) -> Result<TestSetting, PolicyTestError> {
        Ok(TestSetting {
            database: timeline.database.clone().unwrap_or_else(|| "prod".into()),
            labels: timeline
                .labels
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            arming: Arming::of(timeline.armed.unwrap_or(true), timeline.dry_run.unwrap_or(false)),
            zone: timeline.zone()?,
            limits: EffectiveLimits::of(&timeline.limits.to_limits()),
            facts: ProtectionFacts {
                own_username: "REAPER".into(),
                own_sessions: timeline
                    .own_sessions
                    .iter()
                    .map(|text| raw::seat(text))
                    .collect::<Result<_, _>>()?,
                oracle_maintained: timeline.oracle_maintained.iter().cloned().collect(),
                replication: timeline.replication_accounts.iter().cloned().collect(),
            },
            rhythm: Rhythm::of(TimeDelta::minutes(1)).with_longest_gap(timeline.max_gap()?),
            defaults: timeline.defaults()?,
        })
    }

    fn rules(&self, set: Arc<PolicySet>) -> DatabaseRules {
        DatabaseRules::of_policy_test(&self.database, self.arming, self.limits, self.zone, set)
            .with_labels(self.labels.clone())
    }
}

/// The columns that the conditions, orders and groups of the policies use.
#[must_use]
pub(crate) fn needed(set: &PolicySet) -> Columns {
    crate::columns_needed::columns(set)
}

fn lines(cycle: &Cycle, set: &PolicySet, snapshot: &Snapshot) -> Vec<ExpectedLine> {
    let mut lines: Vec<ExpectedLine> = cycle
        .verified
        .iter()
        .map(|verification| ExpectedLine {
            decision: "verified",
            session: verification.key.to_string(),
            policy: verification.followed.policy.to_string(),
            mode: verification.followed.mode.name(),
            reason: verification.proof.name().into(),
            statement: None,
        })
        .collect();
    for decision in &cycle.ruling.decisions {
        let policy = &set.policies[decision.policy];
        let key = snapshot.key(decision.row);
        let statement = (decision.verdict() == Verdict::Act)
            .then(|| {
                let key = key?;
                statement(
                    decision.action,
                    key,
                    snapshot.text(decision.row, Column::SqlId),
                    key.inst_id,
                )
                .ok()
            })
            .flatten();
        lines.push(ExpectedLine {
            decision: decision.verdict().name(),
            session: key.map_or_else(
                || unidentified(snapshot, decision.row),
                |key: SessionKey| key.to_string(),
            ),
            policy: policy.name.to_string(),
            mode: decision.mode.name(),
            reason: decision.reason(set, snapshot),
            statement,
        });
    }
    lines.sort();
    lines
}

fn unidentified(snapshot: &Snapshot, row: usize) -> String {
    let id = |column| snapshot.id(row, column).map_or_else(|| "?".into(), |id| id.to_string());
    format!("{},{},@{}", id(Column::Sid), id(Column::Serial), id(Column::InstId))
}

/// Compares the decisions with the expectation: `None` if they agree, otherwise the differences in readable form.
#[must_use]
pub(crate) fn compare(told: &[CycleDecisions], expected: &[Expectation]) -> Option<String> {
    let mut difference = String::new();
    if told.len() != expected.len() {
        let _ = writeln!(
            difference,
            "the timeline has {}, but the expectation has {}",
            counted(told.len(), "snapshot"),
            expected.len()
        );
    }
    for (number, (told, expected)) in told.iter().zip(expected).enumerate() {
        let mut unmatched: Vec<&ExpectedLine> = told.lines.iter().collect();
        let mut missing = Vec::new();
        for wanted in expected.lines() {
            match unmatched.iter().position(|line| wanted.describes(line)) {
                Some(at) => {
                    unmatched.remove(at);
                }
                None => missing.push(wanted),
            }
        }
        if missing.is_empty() && unmatched.is_empty() {
            continue;
        }
        let _ = writeln!(difference, "snapshot {} at {}:", number + 1, iso(told.at));
        for wanted in missing {
            let _ = writeln!(difference, "  - expected {wanted}");
        }
        for line in unmatched {
            let statement = line.statement.as_deref().unwrap_or("-");
            let ExpectedLine {
                decision,
                session,
                policy,
                mode,
                reason,
                ..
            } = line;
            let _ = writeln!(
                difference,
                "  + {decision} {session} by {policy} ({mode}): {reason}; statement: {statement}"
            );
        }
    }
    (!difference.is_empty()).then_some(difference)
}

/// Runs the test in a folder: policy.yaml (or the files that the timeline names), timeline.yaml and expect.yaml. `None` if all
/// decisions are as expected.
///
/// # Errors
/// If a file cannot be read, or has an error.
pub fn run_folder(folder: &std::path::Path) -> Result<Option<String>, PolicyTestError> {
    run_folder_with(folder, |name| read(&folder.join(name)))
}

/// The same with policy files from elsewhere: `policy` returns the text of a file that the timeline names, or of policy.yaml.
///
/// # Errors
/// If a file cannot be read, or has an error.
pub fn run_folder_with(
    folder: &std::path::Path,
    policy: impl Fn(&str) -> Result<Vec<u8>, PolicyTestError>,
) -> Result<Option<String>, PolicyTestError> {
    let timeline: Timeline = raw::parse(&read(&folder.join("timeline.yaml"))?, "timeline.yaml")?;
    let expected: Vec<Expectation> = raw::parse(&read(&folder.join("expect.yaml"))?, "expect.yaml")?;
    let zone = timeline.zone()?;
    let today = timeline
        .moments()?
        .first()
        .map(|moment| moment.at.with_timezone(&zone).date_naive());
    let today = today.ok_or_else(|| PolicyTestError("timeline.yaml has no snapshot".into()))?;
    let told = tell(&timeline, |names| {
        let files = names
            .iter()
            .map(|name| Ok((name.clone(), policy(name)?)))
            .collect::<Result<Vec<_>, PolicyTestError>>()?;
        let loaded = crate::policy::check_files(&files, today, zone);
        loaded.set.ok_or_else(|| {
            let problems: Vec<String> = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
            PolicyTestError(problems.join("\n"))
        })
    })?;
    Ok(compare(&told, &expected))
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, PolicyTestError> {
    let mut bytes = Vec::new();
    let read = crate::yaml::files::open_regular(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| PolicyTestError(format!("read {}: {error}", path.display())))?;
    Ok(bytes)
}
