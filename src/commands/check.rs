//! `check`: validates the configuration and the policies, and reports every problem of every file in one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::{CheckArgs, CheckFormat, ExitStatus};
use crate::clock::Clock;
use crate::columns_needed::of_policy;
use crate::commands::manners::manners;
use crate::commands::stream::is_stream;
use crate::commands::{Priority, fail, found_policies, no_config, print, refused, say, say_as, tell_problems};
use crate::config::notify::unmatched_filters;
use crate::config::{Config, Labels, Notify, PolicySources, unreadable_passwords};
use crate::decide::evaluate::columns_of;
use crate::decide::order::BY_HAND;
use crate::oracle::capabilities::{Release, first_release, first_release_of_share};
use crate::policy::model::{Exemption, Origin, Policy, PolicySet};
use crate::quantity::{counted, policies};
use crate::rows_needed;
use crate::session::column::{Column, Columns, Source};
use crate::session::snapshot::Snapshot;
use crate::terminal::Detail;
use crate::yaml::diagnostics::{Diagnostic, Severity};

/// Runs the command.
pub(crate) fn run(arguments: &CheckArgs, config: &Path, clock: &dyn Clock) -> ExitStatus {
    if arguments.print_schema {
        print(crate::policy::schema().as_bytes());
        return ExitStatus::Fine;
    }
    let mut problems: Vec<Diagnostic> = Vec::new();
    let mut files = 0;
    let mut refused_config = false;
    let mut notify = None;
    let rules = if arguments.paths.is_empty() {
        if !config.exists() {
            return no_config(config);
        }
        let loaded = crate::config::load(config);
        files += loaded.files;
        refused_config = loaded.config.is_none();
        problems.extend(with_passwords(config, loaded.diagnostics, loaded.config.as_ref()));
        notify = loaded.config.and_then(|config| config.notify);
        loaded.rules
    } else {
        let (configurations, others): (Vec<PathBuf>, Vec<PathBuf>) =
            arguments.paths.iter().cloned().partition(|path| is_configuration(path));
        for path in &configurations {
            let loaded = crate::config::load(path);
            files += loaded.files;
            problems.extend(with_passwords(path, loaded.diagnostics, loaded.config.as_ref()));
        }
        Some(PolicySources {
            policies: others,
            timezone: chrono_tz::UTC,
            databases: None,
        })
    };
    let (mut found, mut exemptions) = (0, 0);
    if let Some(rules) = rules.filter(|rules| !rules.policies.is_empty()) {
        let loaded = found_policies(&rules.policies, clock.today(rules.timezone), rules.timezone);
        files += loaded.files;
        found = loaded.set.as_ref().map_or(0, |set| set.policies.len());
        if manners().detail() == Detail::More {
            loaded.set.iter().flat_map(|set| &set.policies).for_each(tell_policy);
        }
        exemptions = loaded.set.as_ref().map_or(0, |set| set.exemptions.len());
        problems.extend(loaded.diagnostics);
        if let (Some(set), Some(names)) = (&loaded.set, &rules.databases) {
            problems.extend(against_each_other(config, set, names, notify.as_ref()));
        }
        if let (Some(set), Some(release)) = (&loaded.set, arguments.release) {
            let policies = set.policies.iter().flat_map(|policy| lacking(policy, release));
            let exemptions = set.exemptions.iter();
            problems.extend(policies.chain(exemptions.flat_map(|exemption| unknown_exempts(exemption, release))));
        }
    }
    tell(arguments.format, &problems);
    if refused_config {
        fail(&format!("the configuration {} is invalid", config.display()));
    }
    concluded(arguments.format, &problems, files, (found, exemptions))
}

/// Counts what was found, and says with which status the command ends.
fn concluded(
    format: CheckFormat,
    problems: &[Diagnostic],
    files: usize,
    (found, exemptions): (usize, usize),
) -> ExitStatus {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    if format == CheckFormat::Text {
        say(&format!(
            "{}, {}, {}, {}, {}",
            counted(files, "file"),
            policies(found),
            counted(exemptions, "exemption"),
            counted(errors, "error"),
            counted(warnings, "warning")
        ));
    }
    match errors {
        0 => ExitStatus::Fine,
        _ => refused(problems),
    }
}

/// What does not fit together in a configuration and its policies: selectors and filters that match nothing, and too many pairs.
fn against_each_other(
    config: &Path,
    set: &PolicySet,
    databases: &[(Arc<str>, Labels)],
    notify: Option<&Notify>,
) -> Vec<Diagnostic> {
    let file = config.display().to_string();
    let mut problems = crate::policy::unmatched_databases(set, databases);
    let surplus = crate::decide::in_force::too_many(databases, set);
    problems.extend(surplus.map(|problem| Diagnostic::of_file(&file, "too-many-policies", problem)));
    let policies = set.policies.iter().map(|policy| &*policy.name).chain([BY_HAND]);
    let policies: Vec<&str> = policies.collect();
    problems.extend(
        notify
            .into_iter()
            .flat_map(|notify| unmatched_filters(&file, notify, &policies, databases)),
    );
    problems
}

/// The problems of a configuration, and those of its passwords, which are read as `run` would.
fn with_passwords(file: &Path, mut problems: Vec<Diagnostic>, config: Option<&Config>) -> Vec<Diagnostic> {
    if let Some(config) = config {
        let (unreadable, notes) = unreadable_passwords(&file.display().to_string(), config);
        problems.extend(unreadable);
        let (unprotected, unread) = crate::config::web::of(config).problems_and_notes();
        problems.extend(unprotected);
        notes
            .iter()
            .chain(&unread)
            .for_each(|note| say_as(Priority::Info, &format!("note: {note}")));
    }
    problems
}

/// With `--verbose`: where a policy is, what it does, and which sessions are read for it.
fn tell_policy(policy: &Policy) {
    say(&format!(
        "{}:{}: policy {} ({}, {})",
        policy.origin.file,
        policy.origin.line,
        policy.name,
        policy.mode.name(),
        policy.action
    ));
    let everything = Column::ALL.iter().copied().collect();
    say(&match rows_needed::of(policy, everything, false) {
        Ok(wanted) => format!("  of many sessions it reads {wanted}"),
        Err(why) => format!("  it reads all sessions, however many there are: {why}"),
    });
}

fn problem_at(origin: &Origin, severity: Severity, code: &'static str, message: String) -> Diagnostic {
    let mut problem = Diagnostic::of_file(&origin.file, code, message);
    (problem.severity, problem.line, problem.column) = (severity, origin.line, 1);
    problem
}

/// The columns that a release is not documented to have, among these columns and those of GV$SESSION that they are computed from.
///
/// Those of accounts and containers are named themselves, and not CON_ID, by which they are found where there are containers.
fn undocumented(columns: Columns, release: Release) -> Vec<Column> {
    let documented = release.documented_columns();
    let is_found = |column: &Column| matches!(column.source(), Source::Account | Source::Container);
    let inputs = Snapshot::inputs(columns.iter().filter(|column| !is_found(column)).collect());
    let lacks = |column: &Column| column.source() == Source::Session && !documented.contains(*column);
    let has_containers = documented.contains(Column::ConId);
    let of_12_1 = [Column::Container, Column::OracleMaintained].into_iter();
    let of_12_1 = of_12_1.filter(|column| columns.contains(*column) && !has_containers);
    inputs.iter().filter(lacks).chain(of_12_1).collect()
}

/// The columns of an exemption that a release lacks: it then spares all sessions that the rest of it matches.
fn unknown_exempts(exemption: &Exemption, release: Release) -> Vec<Diagnostic> {
    let lacks = undocumented(columns_of(&exemption.when), release);
    let told = lacks.into_iter().map(|column| {
        let message = format!(
            "this exemption uses {}, which is not documented for release {release}: its value is unknown there, so all sessions \
             that the rest of it matches are exempt",
            column.name()
        );
        problem_at(&exemption.origin, Severity::Warning, "column-not-on-release", message)
    });
    told.collect()
}

/// What a policy uses that a release lacks: the action would be refused, the gate would never open, or no comparison with the
/// column could be true.
fn lacking(policy: &Policy, release: Release) -> Vec<Diagnostic> {
    let problem = |severity, code, message: String| problem_at(&policy.origin, severity, code, message);
    let mut found = Vec::new();
    let gates = policy.pressure.iter().flat_map(|pressure| {
        let end = pressure.end.iter().map(|end| ("until", end));
        std::iter::once(("while", &pressure.begin)).chain(end)
    });
    for (key, gate) in gates {
        for (resource, _, threshold) in gate.comparisons() {
            if let Some((what, first)) = first_release_of_share(resource, threshold)
                && release < first
            {
                let message = format!(
                    "the policy `{}` compares `{}` with a percentage in `{key}`, and release {release} has no {what}, which is \
                     documented from release {first} on: the gate stays closed; compare it with a size",
                    policy.name,
                    resource.name()
                );
                found.push(problem(Severity::Error, "gate-not-on-release", message));
            }
        }
    }
    let mut actions = vec![policy.action];
    actions.extend(policy.escalate.iter().map(|rung| rung.action));
    for action in actions {
        if let Some((clause, first)) = first_release(action)
            && release < first
        {
            let message = format!(
                "the policy `{}` cannot act on release {release}: `{action}` needs {clause}, which is documented from release {first} on",
                policy.name
            );
            found.push(problem(Severity::Error, "action-not-on-release", message));
        }
    }
    for column in undocumented(of_policy(policy), release) {
        let message = format!(
            "the policy `{}` uses {}, which is not documented for release {release}: its value is unknown there, so no \
             comparison with it is true",
            policy.name,
            column.name()
        );
        found.push(problem(Severity::Warning, "column-not-on-release", message));
    }
    found
}

/// Whether a file is a configuration: only a configuration has `databases:` or `include:`. Standard input is a policy file, because what a
/// configuration names is beside it.
fn is_configuration(path: &Path) -> bool {
    if is_stream(path) {
        return false;
    }
    // Reads no more than the size limit of a file; the loader refuses a larger file later.
    crate::yaml::files::read(path).is_ok_and(|bytes| {
        String::from_utf8_lossy(&bytes).lines().any(|line| {
            let key = |key: &str| {
                line.strip_prefix(key)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            };
            key("databases:") || key("include:")
        })
    })
}

fn tell(format: CheckFormat, problems: &[Diagnostic]) {
    match format {
        CheckFormat::Text => {
            tell_problems(problems);
        }
        CheckFormat::Short => {
            let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            print(lines.as_bytes());
        }
        CheckFormat::JsonLines => {
            let lines: String = problems
                .iter()
                .map(|problem| format!("{}\n", as_json(problem)))
                .collect();
            print(lines.as_bytes());
        }
        CheckFormat::Json => {
            let all: Vec<serde_json::Value> = problems.iter().map(as_json).collect();
            print(format!("{}\n", serde_json::Value::Array(all)).as_bytes());
        }
    }
}

/// A stable format: keys are added, never renamed. `line` and `column` count from 1 and are null for a whole file.
fn as_json(problem: &Diagnostic) -> serde_json::Value {
    let place = |number: usize| (number > 0).then_some(number);
    serde_json::json!({
        "severity": problem.severity.name(),
        "code": problem.code,
        "file": &*problem.file,
        "line": place(problem.line),
        "column": place(problem.column),
        "offset": problem.span.start,
        "length": problem.span.len(),
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
    })
}

#[cfg(test)]
mod tests {
    use super::{Column, Release, undocumented};

    #[test]
    fn a_release_lacks_what_the_policy_uses_and_not_by_what_it_is_found() {
        let lacks = |columns: &[Column], (major, minor)| {
            undocumented(columns.iter().copied().collect(), Release { major, minor })
        };
        assert_eq!(lacks(&[Column::AccountStatus, Column::Profile], (11, 2)), []);
        assert_eq!(lacks(&[Column::OracleMaintained], (11, 2)), [Column::OracleMaintained]);
        assert_eq!(lacks(&[Column::Container], (11, 2)), [Column::Container]);
        assert_eq!(lacks(&[Column::ConId], (11, 2)), [Column::ConId]);
        assert_eq!(
            lacks(&[Column::OracleMaintained, Column::Container, Column::ConId], (12, 1)),
            []
        );
    }
}
