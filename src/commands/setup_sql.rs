//! `setup-sql`: prints the statements that make the daemon's account. Runs none of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{CONFIG, ExitStatus, SetupSqlArgs};
use crate::clock::{Clock, SystemClock};
use crate::columns_needed;
use crate::commands::{fail, load_config, load_policies, no_config, print, say, warn};
use crate::config::{Config, DatabaseConfig, LoginConfig, Via};
use crate::daemon;
use crate::daemon::accounts::AccountMemory;
use crate::decide::protect::SYS_ACCOUNTS;
use crate::oracle::ConnectSlot;
use crate::oracle::access::PolicyNeeds;
use crate::oracle::capabilities::{Container, HostingService, Shape};
use crate::oracle::probe::{PREDEFINED_ACCOUNTS, outline};
use crate::policy::check_files;
use crate::policy::model::{Policy, PolicySet};
use crate::setup_sql::{
    ASSUMED, FOR_RAC, Setup, account, enforces, guard_script, has_a_choice, local_name, possible, script,
};

/// The policies that come with the program, for a host that has none yet.
pub(crate) const SHIPPED: [(&str, &str); 5] = [
    (
        "idle-application-sessions.yaml",
        include_str!("../../policies/idle-application-sessions.yaml"),
    ),
    (
        "idle-in-transaction.yaml",
        include_str!("../../policies/idle-in-transaction.yaml"),
    ),
    (
        "idle-under-pressure.yaml",
        include_str!("../../policies/idle-under-pressure.yaml"),
    ),
    (
        "leaked-pool-connections.yaml",
        include_str!("../../policies/leaked-pool-connections.yaml"),
    ),
    (
        "runaway-queries.yaml",
        include_str!("../../policies/runaway-queries.yaml"),
    ),
];

/// Runs the command.
pub(crate) fn run(arguments: &SetupSqlArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match text(arguments, config, clock) {
        Ok(text) => print(text.as_bytes()),
        Err(status) => status,
    }
}

fn text(arguments: &SetupSqlArgs, config: &Path, clock: SystemClock) -> Result<String, ExitStatus> {
    if !config.exists() && (config != Path::new(CONFIG) || arguments.release.is_none()) {
        let status = no_config(config);
        if config == Path::new(CONFIG) {
            warn("without a configuration: name the release with --for 19c, and --cdb or --pdb");
        }
        return Err(status);
    }
    let loaded = config.exists().then(|| load_config(config)).transpose()?;
    let set = policies(loaded.as_ref(), clock)?;
    let database = match &loaded {
        Some(config) => Some(chosen(config, arguments.database.as_deref())?),
        None => None,
    };
    let accounts = loaded.as_ref().map(|config| AccountMemory::of_command(&config.state));
    let (shape, pdb, found) = shape(arguments, database, &accounts.unwrap_or_default())?;
    possible(shape).map_err(|why| fail(&why))?;
    let is_assumed = !arguments.cdb && !arguments.pdb && arguments.release.is_some_and(has_a_choice);
    if is_assumed {
        warn(ASSUMED);
    }
    if arguments.pdb && !arguments.rac {
        say(FOR_RAC);
    }
    let user = user(arguments, database, shape)?;
    let columns = columns_needed::columns(&set);
    let resources = columns_needed::resources(&set);
    let on = |policy: &Policy| {
        let mut selectors = policy.databases.iter();
        policy.databases.is_empty()
            || database.is_none_or(|here| selectors.any(|one| one.selects(&here.name, &here.labels)))
    };
    let via = database.and_then(|database| database.via);
    let service = if via == Some(Via::Rds) {
        HostingService::AmazonRds
    } else {
        found
    };
    let guard = arguments.guard || arguments.guard_only || via == Some(Via::Package);
    if guard && service == HostingService::AmazonRds {
        return Err(fail(
            "Amazon RDS grants no account the privilege to end sessions, so the guard package cannot end them there: leave out --guard",
        ));
    }
    let print = if arguments.guard_only { guard_script } else { script };
    Ok(print(&Setup {
        database: database.map(|database| &*database.name),
        asked: PolicyNeeds {
            columns,
            resources: &resources,
            shape,
        },
        pdb: pdb.as_deref(),
        is_assumed,
        user: &user,
        enforces: enforces(&set, on),
        service,
        guard,
        leader: database.is_some_and(|database| database.leader.is_some()),
    }))
}

fn policies(config: Option<&Config>, clock: SystemClock) -> Result<Arc<PolicySet>, ExitStatus> {
    if let Some(config) = config {
        return load_policies(&config.policies, clock.today(config.timezone), config.timezone);
    }
    let files = SHIPPED.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let zone = chrono_tz::UTC;
    let loaded = check_files(&files, clock.today(zone), zone);
    loaded
        .set
        .map(Arc::new)
        .ok_or_else(|| fail("the policies that come with the program are invalid, which a test excludes"))
}

/// The named database, else the only one.
fn chosen<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c DatabaseConfig, ExitStatus> {
    let names = || config.databases.iter().map(|database| &*database.name);
    match (name, config.databases.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => {
            let all: Vec<&str> = names().collect();
            Err(fail(&format!(
                "the configuration has several databases: name one of them with --database ({})",
                all.join(", ")
            )))
        }
        (Some(name), databases) => databases
            .iter()
            .find(|database| &*database.name == name)
            .ok_or_else(|| fail(&crate::commands::no_database(name, names()))),
    }
}

/// From the command line; otherwise from the database, which even an account that may only log in can ask.
fn shape(
    arguments: &SetupSqlArgs,
    database: Option<&DatabaseConfig>,
    accounts: &Arc<AccountMemory>,
) -> Result<(Shape, Option<String>, HostingService), ExitStatus> {
    if let Some(release) = arguments.release {
        let container = match (arguments.cdb, arguments.pdb) {
            (true, _) => Container::Root,
            (_, true) => Container::Pdb,
            (false, false) => Container::NonCdb,
        };
        let cluster = arguments.rac;
        return Ok((
            Shape {
                release,
                container,
                cluster,
            },
            None,
            HostingService::SelfManaged,
        ));
    }
    let Some(database) = database else {
        return Err(fail("name the release with --for"));
    };
    let asked = daemon::reach(database, accounts)
        .map_err(|error| error.to_string())
        .and_then(|reach| {
            let mut connection = reach.connect(&ConnectSlot::new()).map_err(|error| error.to_string())?;
            let outline = outline(&mut *connection, reach.call_limit).map_err(|error| error.to_string());
            connection.close(Duration::from_secs(1));
            outline
        });
    match asked {
        Ok(outline) => {
            let pdb = (outline.shape.container == Container::Pdb).then_some(outline.con_name);
            Ok((outline.shape, pdb, outline.service))
        }
        Err(why) => Err(fail(&format!(
            "{why}; to set up an account that cannot log in yet, name the release with --for 19c, and --cdb or --pdb if it has \
             containers"
        ))),
    }
}

fn user(arguments: &SetupSqlArgs, database: Option<&DatabaseConfig>, shape: Shape) -> Result<String, ExitStatus> {
    let named = match (&arguments.user, database.map(|database| &database.login)) {
        (Some(user), _) => account(user),
        (None, Some(LoginConfig::Password { user, .. })) => account(user),
        (None, Some(LoginConfig::External)) => {
            return Err(fail(
                "the configuration names no account (`external: true`): name it with --user",
            ));
        }
        (None, None) if shape.container == Container::Root => "C##REAPER".to_owned(),
        (None, None) => "REAPER".to_owned(),
    };
    if named.is_empty() || named.contains(['"', '\0', '\n', ';', '&']) {
        return Err(fail(&format!("{named:?} is not the name of an account")));
    }
    if SYS_ACCOUNTS.contains(&&*named) || PREDEFINED_ACCOUNTS.contains(&&*named) {
        return Err(fail(&format!(
            "{named} is an account of Oracle's own, and the daemon needs one of its own, with no more rights than it uses: name it with \
             --user, and in the configuration"
        )));
    }
    if let Some(warning) = local_name(shape.container, &named) {
        warn(&warning);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_that_come_with_the_program_are_those_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .expect("policies")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        there.sort();
        assert_eq!(there, SHIPPED.map(|(name, _)| name));
    }
}
