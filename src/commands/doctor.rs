//! `doctor`: examines this host and the databases, and reports what is missing with its remedy. Never acts.

use std::path::Path;
use std::sync::Arc;

use crate::checks::{Check, Id, State};
use crate::cli::{DoctorArgs, DoctorFormat, ExitStatus};
use crate::clock::{Clock, SystemClock};
use crate::commands::pause::owner;
use crate::commands::{fail, no_config, no_database, print, terminal_style};
use crate::config::{Config, DatabaseConfig};
use crate::daemon::accounts::AccountMemory;
use crate::doctor::{Examined, database, host, show};
use crate::policy::model::PolicySet;

/// How many databases are examined at a time.
const AT_A_TIME: usize = 16;

/// Runs the command.
pub(crate) fn run(arguments: &DoctorArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    if !config.exists() {
        return no_config(config);
    }
    let (host, loaded) = this_host(config, clock);
    let mut all = vec![host];
    if let Some((config, set)) = loaded {
        match chosen(&config, &arguments.databases) {
            Ok(databases) => all.extend(examined(&databases, &set, &config.state, clock)),
            Err(problem) => return fail(&problem),
        }
    }
    let shown = match arguments.format {
        DoctorFormat::Text => show::text(&all, terminal_style()),
        DoctorFormat::Json => show::json(&all),
        DoctorFormat::JsonLines => show::json_lines(&all),
    };
    if print(shown.as_bytes()) == ExitStatus::Failed || all.iter().any(|one| !one.reached) {
        ExitStatus::Failed
    } else if all.iter().any(Examined::has_findings) {
        ExitStatus::Findings
    } else {
        ExitStatus::Fine
    }
}

/// The files, the state folder, the client; and configuration and policies, if both are valid.
fn this_host(config: &Path, clock: SystemClock) -> (Examined, Option<(Config, Arc<PolicySet>)>) {
    let loaded = crate::config::load(config);
    let shown = config.display();
    let unread = |problem: &crate::yaml::diagnostics::Diagnostic| problem.code == "unreadable-file";
    let mut reached = !loaded.diagnostics.iter().any(unread);
    let fine = match loaded.files {
        1 => format!("{shown} is valid"),
        files => format!("{shown} and the files that it includes are valid ({files} files)"),
    };
    let mut checks = host::files(Id::Configuration, &fine, &loaded.diagnostics);
    let mut ready = None;
    if let Some(config) = loaded.config {
        let policies = crate::policy::load(&config.policies, clock.today(config.timezone), config.timezone);
        reached &= !policies.diagnostics.iter().any(unread);
        let count = policies.set.as_ref().map_or(0, |set| set.policies.len());
        let fine = format!(
            "{} in {}",
            crate::quantity::policies(count),
            crate::quantity::counted(policies.files, "file")
        );
        checks.extend(host::files(Id::Policies, &fine, &policies.diagnostics));
        checks.extend(host::pages(&config));
        checks.extend(host::state_folder(&config, owner(&config.state).as_deref()));
        checks.extend(host::journal(&config, clock.utc()));
        checks.extend(host::client(&config));
        ready = policies.set.map(|set| (config, Arc::new(set)));
    }
    if ready.is_none() {
        let found = "no database was looked at: the configuration and the policies must be valid first";
        checks.push(Check::new(Id::Connection, "", State::Untried, found));
    }
    checks.extend(host::nothing_exposed(&checks));
    let host = Examined {
        database: None,
        checks,
        reached,
    };
    (host, ready)
}

/// The named databases, else all.
fn chosen<'c>(config: &'c Config, names: &[String]) -> Result<Vec<&'c DatabaseConfig>, String> {
    let known = |name: &String| {
        let database = config.databases.iter().find(|database| *database.name == **name);
        database.ok_or_else(|| no_database(name, config.databases.iter().map(|database| &*database.name)))
    };
    if names.is_empty() {
        Ok(config.databases.iter().collect())
    } else {
        names.iter().map(known).collect()
    }
}

/// Several at a time, so that one that does not answer does not delay the others.
fn examined(databases: &[&DatabaseConfig], set: &Arc<PolicySet>, state: &Path, clock: SystemClock) -> Vec<Examined> {
    let mut all = Vec::new();
    let accounts = &AccountMemory::of_command(state);
    for some in databases.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some
                .iter()
                .map(|database| scope.spawn(move || database::examine(database, set, accounts, clock)))
                .collect();
            for (thread, database) in threads.into_iter().zip(some) {
                all.push(thread.join().unwrap_or_else(|_| panicked(database)));
            }
        });
    }
    all
}

fn panicked(database: &DatabaseConfig) -> Examined {
    let found = "the examination ended in a panic, which standard error shows";
    Examined {
        database: Some(database.name.to_string()),
        checks: vec![Check::new(Id::Connection, "", State::Untried, found)],
        reached: false,
    }
}
