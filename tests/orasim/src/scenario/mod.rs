//! The scenario: a YAML file that describes the simulated database, its sessions, and what happens to them.
//!
//! A scenario is read and checked once; a mistake is refused with its place and its reason, so that a world is built only from a
//! valid scenario. Numbers with a range are drawn from the scenario's seed, the same each time.

mod behaviour;
mod database;
mod group;
mod rights;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDateTime;
use serde::Deserialize;

use crate::faults::Fault;
pub use behaviour::{Answer, Behaviour, Doing, Ends, RowAfter};
pub use database::{
    BackgroundKill, BrokenText, ContainerData, Contents, DatabaseSpec, ProcessesFull, Tablespace, WhereClosed,
};
pub use group::{Cycle, Group, Parked, Pinned, Server, TransactionSpec, TransactionStatus, Wait, WhenKilled};
pub use rights::{Goldengate, Rights};
pub use units::{Amount, Amounts, Length, Lengths, Shift};

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("read scenario {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a scenario.
    #[error("scenario {origin}: {message}")]
    Malformed {
        /// The file or the name.
        origin: String,
        /// What is wrong, and where.
        message: String,
    },
    /// No ready-made scenario has this name.
    #[error("no ready-made scenario `{0}` (there are: {list})", list = BUILTIN.map(|(name, _)| name).join(", "))]
    Unknown(String),
}

const BUILTIN: [(&str, &str); 3] = [
    ("quiet", include_str!("../../scenarios/quiet.yaml")),
    ("rac3", include_str!("../../scenarios/rac3.yaml")),
    ("tutorial", include_str!("../../scenarios/tutorial.yaml")),
];

/// A whole scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a line.
    #[serde(default)]
    pub description: String,
    /// The release, up to five numbers (`19.22`).
    pub release: Release,
    /// Decides everything that is drawn.
    #[serde(default = "one")]
    pub seed: u64,
    /// The simulated time at the start; without it, the machine's.
    pub starts: Option<NaiveDateTime>,
    /// Simulated seconds a real second; 0 stands still until moved by hand.
    #[serde(default = "real_time")]
    pub speed: f64,
    /// The database.
    pub database: DatabaseSpec,
    /// Its instances.
    pub instances: Vec<InstanceSpec>,
    /// Who may log in, by name.
    #[serde(default)]
    pub accounts: BTreeMap<String, Account>,
    /// The services the listener knows, beside one that has the database's name.
    #[serde(default)]
    pub services: Vec<Service>,
    /// V$PARAMETER beyond and instead of the defaults.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Instead of those, inside a PDB: `SHOP: {sessions: 100}` lets it have so many sessions an instance (ORA-00018).
    #[serde(default)]
    pub pdb_parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// Files of tablespaces beyond and instead of the defaults.
    #[serde(default)]
    pub tablespaces: Vec<Tablespace>,
    /// Roles beyond Oracle's own, and what they hold.
    #[serde(default)]
    pub roles: BTreeMap<String, Rights>,
    /// The sessions, in groups.
    #[serde(default)]
    pub sessions: Vec<Group>,
    /// SID and SERIAL# of real clients that log in, in the order of their logins.
    #[serde(default)]
    pub clients: Vec<Pin>,
    /// What happens, and when.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// How the database differs from what is documented.
    #[serde(default)]
    pub behaviour: Behaviour,
}

fn one() -> u64 {
    1
}

fn real_time() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

/// A release: five numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Release(pub [u8; 5]);

impl Release {
    /// The first number: 11, 12, 18, 19, 21, 23.
    pub fn major(self) -> u8 {
        self.0[0]
    }

    /// Whether it is this release or a later one.
    pub fn at_least(self, major: u8, minor: u8) -> bool {
        (self.0[0], self.0[1]) >= (major, minor)
    }
}

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("expected a release such as 19.22.0.0.0, found `{text}`");
        let mut numbers = [0; 5];
        let parts: Vec<_> = text.split('.').collect();
        if parts.len() > 5 {
            return Err(wrong());
        }
        for (number, part) in numbers.iter_mut().zip(&parts) {
            *number = part.parse().map_err(|_| wrong())?;
        }
        if numbers[0] < 11 {
            Err(format!("{}, at least 11", wrong()))
        } else {
            Ok(Self(numbers))
        }
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e] = self.0;
        write!(f, "{a}.{b}.{c}.{d}.{e}")
    }
}

/// One instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSpec {
    /// INST_ID.
    pub number: u32,
    /// INSTANCE_NAME.
    pub name: String,
    /// HOST_NAME.
    pub host: String,
    /// How long it has been up at the start.
    #[serde(default = "three_weeks")]
    pub up: Length,
    /// Its background processes.
    #[serde(default)]
    pub background: Background,
}

fn three_weeks() -> Length {
    Length(21 * 86_400_000)
}

/// The background processes of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// Those that an instance of this release, in a cluster or not, has.
    #[default]
    Standard,
    /// None.
    None,
}

/// Somebody who may log in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The password; without one nobody can log in.
    pub password: Option<String>,
    /// DBA_USERS.ACCOUNT_STATUS: open, locked, expired or in its grace time.
    #[serde(default)]
    pub status: AccountStatus,
    /// DBA_USERS.ORACLE_MAINTAINED.
    #[serde(default)]
    pub oracle_maintained: bool,
    /// May end sessions.
    #[serde(default = "yes")]
    pub alter_system: bool,
    /// May log in (CREATE SESSION).
    #[serde(default = "yes")]
    pub create_session: bool,
    /// May log in AS SYSDBA, as SYS always may: V$PWFILE_USERS.SYSDBA.
    #[serde(default)]
    pub sysdba: bool,
    /// The views it may read (`GV$SESSION`, `V$INSTANCE`): all of them without this.
    pub views: Option<BTreeSet<String>>,
    /// How many sessions its profile allows (SESSIONS_PER_USER).
    pub sessions_per_user: Option<usize>,
    /// For how many minutes its profile lets a session be idle (IDLE_TIME).
    pub idle_time: Option<u32>,
    /// How many minutes its profile lets a session last (CONNECT_TIME), which is shown and not enforced.
    pub connect_time: Option<u32>,
    /// How long until its password expires (EXPIRY_DATE), at any time.
    pub expires_in: Option<Length>,
    /// The accounts that may log in for it, each with its own password (ALTER USER ... GRANT CONNECT THROUGH).
    #[serde(default)]
    pub connect_through: BTreeSet<String>,
    /// What it was granted beyond that, in every container.
    #[serde(default)]
    pub rights: Rights,
    /// The same in one PDB alone, by its name.
    #[serde(default)]
    pub rights_in: BTreeMap<String, Rights>,
    /// The PDBs in which ORACLE_MAINTAINED is Y although it is not elsewhere.
    #[serde(default)]
    pub oracle_maintained_in: BTreeSet<String>,
}

/// DBA_USERS.ACCOUNT_STATUS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// OPEN.
    #[default]
    Open,
    /// LOCKED: ORA-28000.
    Locked,
    /// EXPIRED: ORA-28001.
    Expired,
    /// EXPIRED(GRACE): the login succeeds with the warning ORA-28002.
    Grace,
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The container it leads to: a PDB, or the root without this.
    pub container: Option<String>,
    /// The instances that offer it; all of them without this.
    pub instances: Option<Vec<u32>>,
    /// Application Continuity replays on it: a session killed NOREPLAY is told ORA-00045.
    #[serde(default)]
    pub replay: bool,
    /// Its listener was started under another TZ, which its server processes inherit: SYSDATE and SYSTIMESTAMP are so much
    /// ahead (`-9h`: behind) of LOGON_TIME there.
    #[serde(default)]
    pub sysdate_shift: Option<Shift>,
}

/// The SID and SERIAL# of a real client that logs in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Who.
    pub user: String,
    /// SID.
    pub sid: u32,
    /// SERIAL#.
    pub serial: u32,
}

/// Something that happens: one of the fields beside `at` is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// So long after the start.
    pub at: Length,
    /// A group's sessions log in (again).
    pub spawn: Option<String>,
    /// A group's sessions log off.
    pub end: Option<String>,
    /// A group's idle sessions go to work, and from then on by its `cycle`.
    pub wake: Option<String>,
    /// This instance leaves.
    pub leave: Option<u32>,
    /// It joins again.
    pub join: Option<u32>,
    /// CURRENT_UTILIZATION of these resources, instead of what is counted.
    pub resources: Option<BTreeMap<String, i64>>,
}

impl Scenario {
    /// The names of the ready-made scenarios.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// A ready-made scenario: `quiet`, `rac3` or `tutorial`.
    pub fn builtin(name: &str) -> Result<Self, ScenarioError> {
        let (_, text) = BUILTIN
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| ScenarioError::Unknown(name.to_owned()))?;
        Self::read(name, text)
    }

    /// A scenario from a file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable {
            path: origin.clone(),
            source,
        })?;
        Self::read(&origin, &text)
    }

    /// A scenario from its text.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        Self::read("text", text)
    }

    fn read(origin: &str, text: &str) -> Result<Self, ScenarioError> {
        let malformed = |message: String| ScenarioError::Malformed {
            origin: origin.to_owned(),
            message,
        };
        let scenario: Self = serde_yaml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        scenario.check().map_err(malformed)?;
        Ok(scenario)
    }

    /// The number of a container: 0 without containers, 1 for the root, 3 and up for PDBs.
    pub(crate) fn con_id(&self, container: Option<&str>) -> Option<u32> {
        match container {
            None => Some(u32::from(!self.database.pdbs.is_empty())),
            Some("CDB$ROOT") if !self.database.pdbs.is_empty() => Some(1),
            Some(name) => {
                let place = self
                    .database
                    .pdbs
                    .iter()
                    .position(|pdb| pdb.eq_ignore_ascii_case(name))?;
                u32::try_from(place).ok().map(|place| place + 3)
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.instances.is_empty() {
            return Err("at least one instance is needed".into());
        }
        let numbers: BTreeSet<u32> = self.instances.iter().map(|instance| instance.number).collect();
        if numbers.len() != self.instances.len() {
            return Err("two instances have the same number".into());
        }
        self.database.check(&numbers)?;
        for (name, account) in &self.accounts {
            let mut pdbs = account.rights_in.keys().chain(&account.oracle_maintained_in);
            if let Some(pdb) = pdbs.find(|pdb| self.con_id(Some(pdb)).is_none()) {
                return Err(format!("account `{name}`: there is no PDB `{pdb}`"));
            }
        }
        if let Some(pdb) = self.pdb_parameters.keys().find(|pdb| self.con_id(Some(pdb)).is_none()) {
            return Err(format!("pdb_parameters: there is no PDB `{pdb}`"));
        }
        for file in &self.tablespaces {
            if self.con_id(file.container.as_deref()).is_none() {
                return Err(format!("tablespace `{}`: there is no such container", file.name));
            }
        }
        if !(0.0..=100_000.0).contains(&self.speed) {
            return Err(format!("a speed of {} is not between 0 and 100000", self.speed));
        }
        let mut names = BTreeSet::new();
        for group in &self.sessions {
            if !names.insert(group.name.as_str()) {
                return Err(format!("two groups of sessions are called `{}`", group.name));
            }
            self.check_group(group, &numbers, &names)
                .map_err(|why| format!("sessions `{}`: {why}", group.name))?;
        }
        for service in &self.services {
            if self.con_id(service.container.as_deref()).is_none() {
                return Err(format!("service `{}`: there is no such container", service.name));
            }
        }
        self.events
            .iter()
            .try_for_each(|event| check_event(event, &numbers, &names))
    }

    fn check_group(&self, group: &Group, numbers: &BTreeSet<u32>, names: &BTreeSet<&str>) -> Result<(), String> {
        let ways = [group.idle.is_some(), group.active.is_some(), group.cycle.is_some()];
        if ways.iter().filter(|given| **given).count() > 1 {
            return Err("only one of idle, active and cycle can be given".into());
        }
        if self.con_id(group.container.as_deref()).is_none() {
            return Err(format!(
                "there is no container `{}`",
                group.container.as_deref().unwrap_or_default()
            ));
        }
        if group.sessions_per_process == 0 {
            return Err("sessions_per_process: a process has at least one session".into());
        }
        match group.instances.as_deref() {
            Some([]) => return Err("it is on no instance".into()),
            Some(on) => {
                if let Some(missing) = on.iter().find(|number| !numbers.contains(number)) {
                    return Err(format!("there is no instance {missing}"));
                }
            }
            None => {}
        }
        match group.blocked_by.as_deref() {
            Some(blocker) if blocker == group.name || !names.contains(blocker) => {
                Err(format!("blocked_by: there is no group `{blocker}` before this one"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn check_event(event: &Event, numbers: &BTreeSet<u32>, names: &BTreeSet<&str>) -> Result<(), String> {
    let groups = [&event.spawn, &event.end, &event.wake];
    let instances = [event.leave, event.join];
    let given = groups.iter().filter(|group| group.is_some()).count()
        + instances.iter().flatten().count()
        + usize::from(event.resources.is_some());
    if given != 1 {
        return Err(format!(
            "event at {}ms: exactly one thing can happen, found {given}",
            event.at.0
        ));
    }
    if let Some(group) = groups
        .into_iter()
        .flatten()
        .find(|group| !names.contains(group.as_str()))
    {
        return Err(format!("event at {}ms: there is no group `{group}`", event.at.0));
    }
    match instances.into_iter().flatten().find(|number| !numbers.contains(number)) {
        Some(number) => Err(format!("event at {}ms: there is no instance {number}", event.at.0)),
        None => Ok(()),
    }
}
