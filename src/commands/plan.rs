//! `plan`: one cycle on what is there now, on the databases or in a saved snapshot, and a report of it. Never acts.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::actuator::statement;
use crate::cli::{PlanArgs, Status};
use crate::clock::Clock;
use crate::commands::{fail, load_config, load_policies, terminal_style};
use crate::config::Config;
use crate::cycle::{Cycle, Memory, Terms, cycle};
use crate::daemon::poller::Reach;
use crate::guard::RunMode;
use crate::needs;
use crate::notes::notes;
use crate::oracle::pressure::read_pressure;
use crate::oracle::probe::probe;
use crate::oracle::read::read_snapshot;
use crate::oracle::sql::Scope;
use crate::oracle::{ConnectSlot, Purpose};
use crate::plan::{EffectiveLimits, InForce, run_mode};
use crate::policy::model::{Action, Limits, PolicySet};
use crate::pressure::Readings;
use crate::protect::Facts;
use crate::report::{Report, ReportFormat, SessionRow, Subject, TextStyle};
use crate::session::snapshot::Snapshot;

/// The statement of an action, as it would be sent on the session's own instance.
#[must_use]
pub fn statement_of(action: Action, session: &SessionRow<'_>) -> Option<String> {
    statement(action, session.key, session.sql_id, session.key.inst_id).ok()
}

/// Runs the command.
pub fn run(arguments: &PlanArgs, config: &Path, clock: &dyn Clock) -> Status {
    match plan(arguments, config, clock) {
        Ok(()) => Status::Fine,
        Err(status) => status,
    }
}

fn plan(arguments: &PlanArgs, config: &Path, clock: &dyn Clock) -> Result<(), Status> {
    let config = if arguments.snapshot.is_some() && !arguments.policies.is_empty() {
        None
    } else {
        Some(load_config(config)?)
    };
    let paths = match (&config, arguments.policies.is_empty()) {
        (Some(config), true) => config.policies.clone(),
        (Some(_) | None, _) => arguments.policies.clone(),
    };
    let zone = config.as_ref().map_or(chrono_tz::UTC, |config| config.timezone);
    let set = load_policies(&paths, clock.today(zone), zone)?;
    let limits = config.as_ref().map_or_else(Limits::default, |config| config.limits);
    let limits = EffectiveLimits::of(&limits);
    let reports = match (&arguments.snapshot, &config) {
        (Some(file), _) => vec![of_file(file, arguments, &set, &limits, clock)?],
        (None, Some(config)) => of_databases(arguments, config, &set, &limits, clock)?,
        (None, None) => return Err(Status::Failed),
    };
    output(arguments, &reports)
}

fn of_file(
    file: &Path,
    arguments: &PlanArgs,
    set: &Arc<PolicySet>,
    limits: &EffectiveLimits,
    clock: &dyn Clock,
) -> Result<Report, Status> {
    let taken_at = arguments
        .taken_at
        .as_deref()
        .map(crate::saved::parse_taken_at)
        .transpose();
    let taken_at = taken_at.map_err(|problem| fail(&format!("--taken-at: {problem}")))?;
    let saved = crate::saved::open(file, taken_at).map_err(|error| fail(&error.to_string()))?;
    let name = arguments
        .database
        .clone()
        .or(saved.database)
        .unwrap_or_else(|| "snapshot".into());
    // A policy's `databases` is held only against a name that was given: the one in a file may be any.
    let here = |index: usize| {
        let globs = &set.policies[index].databases;
        let named = arguments.database.as_ref();
        globs.is_empty() || named.is_none_or(|name| globs.iter().any(|glob| glob.matches(name)))
    };
    let in_force = in_force(set, |index| here(index).then_some(RunMode::DryRun));
    let now = utc(&saved.snapshot);
    let cycle = decide(
        set,
        &in_force,
        &Facts::default(),
        limits,
        &saved.snapshot,
        Readings::default(),
        arguments,
        now.unwrap_or_else(|| clock.utc()),
    );
    let mut said = saved.notes;
    said.extend(notes(&saved.snapshot, set, &in_force));
    Ok(report(&name, now, RunMode::DryRun, &saved.snapshot, set, &cycle, &said))
}

fn of_databases(
    arguments: &PlanArgs,
    config: &Config,
    set: &Arc<PolicySet>,
    limits: &EffectiveLimits,
    clock: &dyn Clock,
) -> Result<Vec<Report>, Status> {
    let reaches = crate::daemon::reaches(config).map_err(|error| fail(&error.to_string()))?;
    let mut reports = Vec::new();
    let mut failed = false;
    let wanted = |name: &str| arguments.database.as_ref().is_none_or(|wanted| wanted == name);
    for (database, reach) in config
        .databases
        .iter()
        .zip(reaches)
        .filter(|(database, _)| wanted(&database.name))
    {
        match of_database(arguments, database, &reach, set, limits, clock) {
            Ok(report) => reports.push(report),
            Err(error) => {
                fail(&error.to_string());
                failed = true;
            }
        }
    }
    if let (Some(name), true, false) = (&arguments.database, reports.is_empty(), failed) {
        return Err(fail(&format!("the configuration has no database {name}")));
    }
    if failed && reports.is_empty() {
        return Err(Status::Failed);
    }
    if failed {
        output(arguments, &reports)?;
        return Err(Status::Failed);
    }
    Ok(reports)
}

fn of_database(
    arguments: &PlanArgs,
    database: &crate::config::Database,
    reach: &Reach,
    set: &Arc<PolicySet>,
    limits: &EffectiveLimits,
    clock: &dyn Clock,
) -> Result<Report, crate::oracle::Error> {
    let mut connection = ConnectSlot::new().connect(&reach.target_now()?, Purpose::Poll, reach.connect_limit)?;
    let capabilities = probe(&mut *connection, reach.call_limit)?;
    let taken = read_snapshot(
        &mut *connection,
        needs::columns(set),
        &capabilities,
        Scope::All,
        reach.call_limit,
    )?;
    let resources = needs::resources(set);
    let (readings, unreadable) = read_pressure(
        &mut *connection,
        &resources,
        &taken.snapshot,
        &capabilities,
        reach.call_limit,
    )?;
    connection.close(std::time::Duration::from_secs(1));
    let mut said = capabilities.notes.clone();
    let here = |index: usize| {
        let policy = &set.policies[index];
        let applies = policy.databases.is_empty() || policy.databases.iter().any(|glob| glob.matches(&database.name));
        let actions = std::iter::once(policy.action).chain(policy.escalate.iter().map(|rung| rung.action));
        let supported = actions.into_iter().all(|action| capabilities.supports(action).is_ok());
        // A plan shows what the daemon would do, so its label is the daemon's; nothing is done either way.
        run_mode(policy.mode, database.armed, false).filter(|_| applies && supported)
    };
    for policy in &set.policies {
        if let Err(reason) = capabilities.supports(policy.action) {
            said.push(format!(
                "policy {} does not run here: {}: {reason}",
                policy.name, policy.action
            ));
        }
    }
    let in_force = in_force(set, here);
    let now = utc(&taken.snapshot);
    let facts = capabilities.facts(&[capabilities.own]);
    let at = now.unwrap_or_else(|| clock.utc());
    let cycle = decide(set, &in_force, &facts, limits, &taken.snapshot, readings, arguments, at);
    said.extend(taken.unreadable.iter().chain(&unreadable).map(ToString::to_string));
    said.extend(notes(&taken.snapshot, set, &in_force));
    Ok(report(
        &database.name,
        now,
        RunMode::DryRun,
        &taken.snapshot,
        set,
        &cycle,
        &said,
    ))
}

/// A plan asks what would happen if it were time: schedules do not matter to it.
fn in_force(set: &PolicySet, mode: impl Fn(usize) -> Option<RunMode>) -> Vec<InForce> {
    let acting = |index: usize| run_mode(set.policies[index].mode, false, true).and_then(|_| mode(index));
    (0..set.policies.len())
        .filter_map(|index| {
            Some(InForce {
                index,
                mode: acting(index)?,
                due: true,
            })
        })
        .collect()
}

#[allow(clippy::too_many_arguments, reason = "what a cycle depends on, each once")]
fn decide(
    set: &Arc<PolicySet>,
    in_force: &[InForce],
    facts: &Facts,
    limits: &EffectiveLimits,
    snapshot: &Snapshot,
    readings: Readings,
    arguments: &PlanArgs,
    now: DateTime<Utc>,
) -> Cycle {
    let terms = Terms {
        set,
        in_force,
        facts,
        limits,
        now,
        today: now.date_naive(),
        unbroken: false,
        standstill: None,
        assume_held: arguments.assume_held,
    };
    cycle(&mut Memory::default(), snapshot, readings, &terms)
}

fn utc(snapshot: &Snapshot) -> Option<DateTime<Utc>> {
    crate::daemon::database::utc_of(snapshot)
}

fn report(
    database: &str,
    taken_at: Option<DateTime<Utc>>,
    mode: RunMode,
    snapshot: &Snapshot,
    set: &PolicySet,
    cycle: &Cycle,
    notes: &[String],
) -> Report {
    Report::new(&Subject {
        database,
        taken_at,
        mode,
        snapshot,
        set,
        plan: &cycle.plan,
        ruling: &cycle.ruling,
        notes,
        statement: &statement_of,
    })
}

fn output(arguments: &PlanArgs, reports: &[Report]) -> Result<(), Status> {
    let style = if arguments.output.is_none() {
        terminal_style()
    } else {
        TextStyle::default()
    };
    let rendered: String = reports
        .iter()
        .map(|report| match arguments.format {
            ReportFormat::Text => report.to_text(style),
            ReportFormat::Json | ReportFormat::Csv | ReportFormat::Markdown | ReportFormat::Html => {
                report.render(arguments.format)
            }
        })
        .collect::<Vec<String>>()
        .join("\n");
    match &arguments.output {
        Some(file) => write_file(file, &rendered),
        None => {
            let mut out = io::stdout().lock();
            match out.write_all(rendered.as_bytes()).and_then(|()| out.flush()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(fail(&format!("write the report: {error}")))
                }
                Ok(()) | Err(_) => Ok(()),
            }
        }
    }
}

fn write_file(file: &PathBuf, text: &str) -> Result<(), Status> {
    std::fs::write(file, text).map_err(|error| fail(&format!("write the report to {}: {error}", file.display())))
}
