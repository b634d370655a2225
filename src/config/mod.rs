//! The configuration: the databases, how to connect to them, the policy files, and the settings for all databases.
//!
//! It is read like policies: all problems are reported with their positions in one run, and nothing is loaded if there is an
//! error. It never contains a secret, only where a secret is stored. A password in the file is refused, and the message does
//! not show it.

mod connect;
mod database;
mod exposure;
mod listen;
mod mask;
pub(crate) mod notify;
mod read;
mod retention;
mod secret;
#[cfg(test)]
mod tests;
pub(crate) mod web;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

pub use notify::{NoticeKind, NoticeSeverity, Notify, Receiver, ReceiverKind};
pub use read::{LoadedConfig, PolicySources, check};
pub use retention::Retention;
pub use secret::{Password, SecretError, SecretSource};

use crate::config::exposure::NamedFiles;
pub(crate) use crate::policy::model::Labels;
use crate::policy::model::Limits;
use crate::policy::schedule::Schedule;
use crate::words::words;
use crate::yaml::diagnostics::{Diagnostic, Severity};

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one database; the names are unique.
    pub databases: Vec<DatabaseConfig>,
    /// The policies: files, folders and globs. Relative ones are already joined to the folder of the configuration.
    pub policies: Vec<PathBuf>,
    /// The address of the metrics and the status page.
    pub listen: SocketAddr,
    /// The file with TLS and users for that address, in the format of Prometheus' web configuration.
    pub web_config: Option<PathBuf>,
    /// Whether an address that others can reach may be served without TLS and users.
    pub listen_unprotected: bool,
    /// The state folder, with journal and reports.
    pub state: PathBuf,
    /// How long the journal is kept.
    pub journal: Retention,
    /// The time zone of databases that do not set one.
    pub timezone: Tz,
    /// The limits for databases that do not set their own. A limit that the configuration does not set is `None`.
    pub limits: Limits,
    /// The blackouts of all databases.
    pub blackouts: Vec<Blackout>,
    /// Who is told of what; `None`: nobody.
    pub notify: Option<Notify>,
}

/// A database in the configuration.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// The name: `[a-z0-9_.-]+`, unique; a label of the metrics.
    pub name: Arc<str>,
    /// The driver.
    pub driver: Driver,
    /// Easy Connect (Plus), a descriptor or a TNS alias, without credentials.
    pub connect: String,
    /// How the daemon logs in.
    pub login: LoginConfig,
    /// Whether policies with `mode: enforce` may act here.
    pub armed: bool,
    /// The time between two snapshots.
    pub poll: Duration,
    /// The same while a policy's gate is open; shorter than `poll`.
    pub pressed: Option<Duration>,
    /// The time limit for making a connection.
    pub connect_timeout: Duration,
    /// The time limit for a call to the database.
    pub call_timeout: Duration,
    /// The limits of all policies of the database together, completed from those of the configuration.
    pub limits: Limits,
    /// Its blackouts, with those of all databases.
    pub blackouts: Vec<Blackout>,
    /// The time zone of its schedules and of its days.
    pub timezone: Tz,
    /// The folder of tnsnames.ora and sqlnet.ora; `None`: the folder in TNS_ADMIN.
    pub tns_admin: Option<PathBuf>,
    /// Labels that the site chooses. Policies can select databases by them, and metrics show them.
    pub labels: Labels,
    /// How sessions are ended; `None`: the daemon finds out.
    pub via: Option<Via>,
    /// The number of the lock by which one of several daemons leads; `None`: each acts.
    pub leader: Option<u32>,
}

impl DatabaseConfig {
    /// The identity of the database: a digest of name, driver, address and account, and of `via` if it is set. `armed` and
    /// everything that the daemon remembers apply to this identity. If one of the parts changes, the entry is another
    /// database, even under the same name.
    #[must_use]
    pub fn place(&self) -> Arc<str> {
        let user = match &self.login {
            LoginConfig::Password { user, .. } => user.as_str(),
            LoginConfig::External => "",
        };
        // The address of a TNS alias depends on the files in that folder.
        let tns_admin = self.tns_admin.as_deref().unwrap_or(Path::new("")).to_string_lossy();
        let mut hash = Sha256::new();
        for part in [&*self.name, self.driver.name(), &self.connect, user, &tns_admin] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        if let Some(via) = self.via {
            hash.update(via.name());
        }
        let digest = hash.finalize();
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        hex.into()
    }
}

words! {
    /// The driver for a database.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Driver {
        /// Oracle Client, through the `oracle` crate and ODPI-C.
        Oci = "oci",
        /// Oracle's driver in Rust, the `oracledb` crate; it needs no installed client.
        Thin = "thin",
    }
}

words! {
    /// How sessions are ended on a database.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Via {
        /// By statements of the account itself.
        AlterSystem = "alter-system",
        /// By the guard package, which makes its own checks before it ends a session.
        Package = "package",
        /// By Amazon's package rdsadmin_util.
        Rds = "rds",
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the daemon logs in to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginConfig {
    /// With a password.
    Password {
        /// The account.
        user: String,
        /// Where the password is stored.
        password: SecretSource,
    },
    /// With the operating system, a wallet or Kerberos, as Oracle Client is configured.
    External,
}

/// A period in which the daemon does nothing.
#[derive(Clone, Debug)]
pub struct Blackout {
    /// When it begins.
    pub(crate) schedule: Schedule,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// The reason.
    pub reason: String,
}

impl Blackout {
    /// The same blackout in another time zone.
    #[must_use]
    pub(crate) fn in_zone(&self, zone: Tz) -> Blackout {
        Blackout {
            schedule: self.schedule.in_zone(zone),
            ..self.clone()
        }
    }

    /// The longest time between two beginnings, in seconds, if it lasts as long: then it never ends. Changes of the clock, which can
    /// make an hour longer, do not count.
    #[must_use]
    pub(crate) fn is_always_on(&self) -> Option<u64> {
        let gap = u64::try_from(self.schedule.longest_gap()?.num_seconds()).ok()?;
        (gap <= self.lasts.as_secs()).then_some(gap)
    }

    /// Whether it is in force at a time. At its end it is no longer in force.
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        chrono::Duration::from_std(self.lasts).is_ok_and(|lasts| self.schedule.due(now - lasts, now))
    }
}

impl Config {
    /// The files on this host that it keeps passwords and other secrets in.
    pub(crate) fn files_of_secrets(&self) -> Vec<&Path> {
        let passwords = self.databases.iter().filter_map(|database| match &database.login {
            LoginConfig::Password { password, .. } => Some(password),
            LoginConfig::External => None,
        });
        let receivers = self.notify.iter().flat_map(|notify| &notify.receivers);
        let secrets = receivers.flat_map(|receiver| receiver.secrets().into_iter().map(|(secret, _)| secret));
        passwords.chain(secrets).filter_map(SecretSource::kept_in).collect()
    }
}

/// Reads and checks the configuration and the files that it includes. Nothing else reads them from disk.
#[must_use]
pub fn load(path: &Path) -> LoadedConfig {
    let name = path.display().to_string();
    match crate::yaml::files::read(path) {
        Ok(bytes) => {
            let base = path.parent().unwrap_or(Path::new(""));
            let mut loaded = read::check_with(&name, &bytes, base, &included);
            loaded.diagnostics.extend(crate::yaml::files::writable_by_all(path));
            default_tns_admin(base, &mut loaded);
            let exposed = loaded
                .config
                .as_ref()
                .map_or_else(Vec::new, |config| exposed(&name, config));
            loaded.diagnostics.extend(exposed);
            let of_receivers = loaded.config.as_ref().and_then(|config| config.notify.as_ref());
            let troubles = of_receivers.map_or_else(Vec::new, |of| notify::troubles_of_files(&name, of));
            if !troubles.is_empty() {
                loaded.config = None;
                loaded.diagnostics.extend(troubles);
            }
            loaded
        }
        Err(error) => LoadedConfig {
            config: None,
            rules: None,
            files: 1,
            diagnostics: vec![Diagnostic::of_file(
                &name,
                "unreadable-file",
                format!("cannot read the file: {error}"),
            )],
        },
    }
}

/// Sets `tns_admin` to the folder of the configuration, if Oracle's files are there and neither the entry nor TNS_ADMIN says
/// otherwise. The systemd unit sets TNS_ADMIN to that folder; in a shell it is not set.
fn default_tns_admin(base: &Path, loaded: &mut LoadedConfig) {
    let is_there = ["sqlnet.ora", "tnsnames.ora"]
        .iter()
        .any(|file| base.join(file).is_file());
    if !is_there || std::env::var_os("TNS_ADMIN").is_some() {
        return;
    }
    let databases = loaded.config.iter_mut().flat_map(|config| &mut config.databases);
    for database in databases.filter(|database| database.tns_admin.is_none()) {
        database.tns_admin = Some(base.to_owned());
    }
}

/// Warns of files that other users of the host can read or change.
fn exposed(file: &str, config: &Config) -> Vec<Diagnostic> {
    let of_all = std::env::var_os("TNS_ADMIN").map(PathBuf::from);
    let mut named = NamedFiles::default();
    for database in &config.databases {
        if let LoginConfig::Password { password, .. } = &database.login {
            named.passwords.push((password, &database.name));
        }
        named
            .folders
            .extend(database.tns_admin.as_deref().or(of_all.as_deref()));
    }
    for receiver in config.notify.iter().flat_map(|notify| &notify.receivers) {
        let secrets = receiver.secrets().into_iter();
        named
            .secrets
            .extend(secrets.map(|(secret, _)| (secret, &*receiver.name)));
    }
    exposure::of(file, &named)
}

/// The passwords that cannot be read, each with the databases that need it, the secrets of receivers likewise, and warnings of those with blanks around them. A
/// password that perhaps only the unit can read gives a note in the second list: a credential outside the unit, a variable that
/// is not set here, a file of another user.
pub(crate) fn unreadable_passwords(file: &str, config: &Config) -> (Vec<Diagnostic>, Vec<String>) {
    let mut found: BTreeMap<String, (SecretError, Vec<&str>)> = BTreeMap::new();
    let mut blanks: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for database in &config.databases {
        let LoginConfig::Password { password, .. } = &database.login else {
            continue;
        };
        match password.read() {
            Ok(secret) if secret.has_blanks_around() => {
                blanks.entry(password.to_string()).or_default().push(&database.name);
            }
            Ok(_) => {}
            Err(error) => {
                let known = found.entry(error.to_string()).or_insert((error, Vec::new()));
                known.1.push(&database.name);
            }
        }
    }
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    for (source, databases) in blanks {
        let message = format!(
            "the password of {} {}: {source}",
            databases.join(", "),
            Password::BLANKS
        );
        let mut warning = Diagnostic::of_file(file, "blanks-around-password", message);
        warning.severity = Severity::Warning;
        problems.push(warning.hint("take the blanks away, unless the account has them too"));
    }
    for (why, (error, databases)) in found {
        let databases = databases.join(", ");
        if error.may_be_of_the_unit() {
            notes.push(format!("the password of {databases} was not checked: {why}"));
        } else {
            let message = format!("the password of {databases} cannot be used: {why}");
            problems.push(Diagnostic::of_file(file, "unreadable-password", message));
        }
    }
    if let Some(of_receivers) = &config.notify {
        let (unreadable, unchecked) = notify::unreadable_secrets(file, of_receivers);
        problems.extend(unreadable);
        notes.extend(unchecked);
    }
    (problems, notes)
}

/// The files that a pattern of `include` matches, with their contents.
fn included(pattern: &Path, problems: &mut Vec<Diagnostic>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for path in crate::yaml::files::expand(pattern, problems) {
        let name = path.display().to_string();
        match crate::yaml::files::read(&path) {
            Ok(bytes) => {
                problems.extend(crate::yaml::files::writable_by_all(&path));
                files.push((name, bytes));
            }
            Err(error) => problems.push(Diagnostic::of_file(
                &name,
                "unreadable-file",
                format!("cannot read the file: {error}"),
            )),
        }
    }
    files
}
