//! The configuration: which databases, how they are reached, which policies, and what holds for all of them.
//!
//! It is read as policies are: everything that is wrong is reported at its place in one go, and nothing is loaded unless all
//! of it is right. It never holds a secret, only the name of the place where one is kept; a password in the file itself is
//! refused without being repeated.

mod database;
mod mask;
mod read;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

pub use read::{Loaded, Rules, check};
pub use secret::{Secret, SecretError, SecretSource};

pub use crate::policy::model::Labels;
use crate::policy::model::Limits;
use crate::policy::schedule::Schedule;
use crate::words::words;
use crate::yaml::diagnostics::{Diagnostic, Severity};

/// Every key of the configuration, by the section of docs/configuration.md that describes it.
pub const KEYS: [(&str, &[&str]); 5] = [
    ("The file", &read::KEYS),
    ("A database", &database::DATABASE_KEYS),
    ("Limits", &crate::policy::LIMIT_KEYS),
    ("A blackout", &read::BLACKOUT_KEYS),
    ("A password", &database::SECRET_KEYS),
];

/// What holds where neither a policy nor the configuration says otherwise.
pub const DEFAULT_LIMITS: Limits = Limits {
    per_cycle: Some(5),
    per_hour: Some(20),
    per_day: None,
    share: Some(20),
    undo_records: Some(100_000),
    respawns: Some(3),
};

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Never empty; names are unique.
    pub databases: Vec<Database>,
    /// Files, folders and globs, relative ones already joined to the configuration's own folder.
    pub policies: Vec<PathBuf>,
    /// Where metrics and the status page are served.
    pub listen: SocketAddr,
    /// The folder of journal and reports.
    pub state: PathBuf,
    /// Where a database has no time zone of its own.
    pub timezone: Tz,
    /// Where a database has no limits of its own; [`DEFAULT_LIMITS`] filled in.
    pub limits: Limits,
    /// When nothing is done on any database.
    pub blackouts: Vec<Blackout>,
}

/// A database.
#[derive(Clone, Debug)]
pub struct Database {
    /// `[a-z0-9_.-]+`, unique; a label of metrics.
    pub name: Arc<str>,
    /// How it is spoken to.
    pub driver: Driver,
    /// Easy Connect (Plus), a descriptor or a TNS alias; holds no credentials.
    pub connect: String,
    /// As whom.
    pub login: Login,
    /// Whether policies that enforce may act here.
    pub armed: bool,
    /// Between two snapshots.
    pub poll: Duration,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// For one call to be answered.
    pub call_timeout: Duration,
    /// Hold for all policies of the database together; what the configuration says for all and [`DEFAULT_LIMITS`] filled in.
    pub limits: Limits,
    /// When nothing is done on it; those for all databases included.
    pub blackouts: Vec<Blackout>,
    /// What its schedules are written in and its days are counted by.
    pub timezone: Tz,
    /// Where TNS aliases are looked up; `None`: where TNS_ADMIN says.
    pub tns_admin: Option<PathBuf>,
    /// Words of the site's own, which policies choose by and metrics show.
    pub labels: Labels,
}

impl Database {
    /// Where the entry leads: a digest of name, driver, address and account. Whether a database is armed, and all that is
    /// remembered of it, belongs to this: an entry that leads elsewhere is another database, whatever its name.
    #[must_use]
    pub fn place(&self) -> Arc<str> {
        let user = match &self.login {
            Login::Password { user, .. } => user.as_str(),
            Login::External => "",
        };
        // An alias leads where the files of that folder say.
        let tns_admin = self.tns_admin.as_deref().unwrap_or(Path::new("")).to_string_lossy();
        let mut hash = Sha256::new();
        for part in [&*self.name, self.driver.name(), &self.connect, user, &tns_admin] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        hex.into()
    }
}

words! {
    /// Which driver a database is reached through.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Driver {
        /// Oracle Client, by way of the `oracle` crate and ODPI-C.
        Oci = "oci",
        /// Oracle's own driver in pure Rust, the `oracledb` crate: nothing to install.
        Thin = "thin",
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// As whom a database is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By password.
    Password {
        /// The account.
        user: String,
        /// Where its password is kept.
        password: SecretSource,
    },
    /// By the operating system, a wallet or Kerberos, as the Oracle Client is set up.
    External,
}

/// A time in which nothing is done.
#[derive(Clone, Debug)]
pub struct Blackout {
    /// When it begins.
    pub schedule: Schedule,
    /// How long it lasts.
    pub lasts: Duration,
    /// Why.
    pub reason: String,
}

impl Blackout {
    /// The same in another time zone.
    #[must_use]
    pub(crate) fn in_zone(&self, zone: Tz) -> Blackout {
        Blackout {
            schedule: self.schedule.in_zone(zone),
            ..self.clone()
        }
    }

    /// Whether it holds at this time: from its beginning up to, but not including, its end.
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        chrono::Duration::from_std(self.lasts).is_ok_and(|lasts| self.schedule.due(now - lasts, now))
    }
}

/// Reads and checks the configuration with the files that it includes; the only place where they are read from disk.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    let name = path.display().to_string();
    match crate::yaml::files::read(path) {
        Ok(bytes) => {
            let base = path.parent().unwrap_or(Path::new(""));
            let mut loaded = read::check_with(&name, &bytes, base, &included);
            loaded.diagnostics.extend(crate::yaml::files::writable_by_all(path));
            look_up_beside(base, &mut loaded);
            let readable = readable_by_all(&name, &loaded);
            loaded.diagnostics.extend(readable);
            loaded
        }
        Err(error) => Loaded {
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

/// In a shell TNS_ADMIN is not what the unit sets. Where nothing is said, Oracle's files are looked for beside the
/// configuration, which is where the unit has them.
fn look_up_beside(base: &Path, loaded: &mut Loaded) {
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

/// A warning for each password that every user of the host may read, once for a file that several databases share.
fn readable_by_all(config: &str, loaded: &Loaded) -> Vec<Diagnostic> {
    let mut by_file: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for database in loaded.config.iter().flat_map(|config| &config.databases) {
        if let Login::Password { password, .. } = &database.login
            && let Some(file) = password.readable_by_all()
        {
            by_file.entry(file).or_default().push(&database.name);
        }
    }
    let warning = |(file, databases): (&Path, Vec<&str>)| {
        let file = file.display();
        let databases = databases.join(", ");
        let message = format!("every user of this host may read the password of {databases}: {file}");
        let mut warning = Diagnostic::of_file(config, "secret-readable-by-all", message);
        warning.severity = Severity::Warning;
        warning.hint(format!("chmod 600 {file}"))
    };
    by_file.into_iter().map(warning).collect()
}

/// The files that a pattern of `include` names, with what they hold.
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
