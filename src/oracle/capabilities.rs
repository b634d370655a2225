//! The properties of the connected database that decide what can be read and done.
//!
//! Plain data that [`crate::oracle::probe`] finds out once for each connection. What could not be found out is named in `notes`
//! and assumed on the cautious side: a clause that is not known to exist is not sent.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use crate::checks::{Check, Id, State};
use crate::config::Via;
use crate::decide::protect::{Accounts, ProtectionFacts};
use crate::oracle::access::{Grantee, Unreadable, see_all_containers};
use crate::oracle::sql::Statistics;
use crate::oracle::{OneForAll, TextForm};
use crate::policy::model::{Action, DisconnectClause, KillClause};
use crate::policy::pressure::{Resource, Threshold};
use crate::quantity::Span;
use crate::session::SessionKey;
use crate::session::census::kinds;
use crate::session::column::{Column, Columns, Source};
use crate::session::snapshot::Snapshot;

/// A release of Oracle Database: 11.2, 12.1, 19.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Release {
    /// 11, 12, 18, 19, 21, 23.
    pub(crate) major: u32,
    /// 2 in 11.2; from 18 on the release update, if the database shows it.
    pub(crate) minor: u32,
}

impl Release {
    /// The release in a version such as `19.3.0.0.0`.
    #[must_use]
    pub(crate) fn parse(version: &str) -> Option<Release> {
        let mut parts = version.trim().split('.').map(str::parse);
        Some(Release {
            major: parts.next()?.ok()?,
            minor: parts.next().and_then(Result::ok).unwrap_or(0),
        })
    }

    /// Whether it is this release or a later one.
    #[must_use]
    pub(crate) fn at_least(self, major: u32, minor: u32) -> bool {
        self >= Release { major, minor }
    }

    /// The GV$SESSION columns that the Oracle Database Reference documents for this release: assumed if the dictionary cannot be
    /// read. A column whose first release is not documented is left out.
    #[must_use]
    pub(crate) fn documented_columns(self) -> Columns {
        const LATER: [(u32, u32, &[Column]); 3] = [
            (
                12,
                1,
                &[
                    Column::ConId,
                    Column::ExternalName,
                    Column::PgaTunableMem,
                    Column::SqlTranslationProfileId,
                ],
            ),
            (12, 2, &[Column::ShardDdlStatus, Column::PlsqlDebuggerConnected]),
            (
                u32::MAX,
                0,
                &[
                    Column::TopLevelCall,
                    Column::TotalTimeWaitedMicro,
                    Column::HeurTimeWaitedMicro,
                    Column::DrainStatus,
                    Column::DrainDeadline,
                    Column::DrainOrigin,
                ],
            ),
        ];
        Column::ALL
            .iter()
            .copied()
            .filter(|column| column.source() == Source::Session)
            .filter(|column| {
                let first = LATER.iter().find(|(_, _, columns)| columns.contains(column));
                first.is_none_or(|(major, minor, _)| self.at_least(*major, *minor))
            })
            .collect()
    }
}

/// The clause of an action that not every release has, and the first release that documents it.
#[must_use]
pub(crate) fn first_release(action: Action) -> Option<(&'static str, Release)> {
    let (clause, major, minor) = match action {
        Action::Report => return None,
        Action::Kill { clause } => match clause {
            KillClause::Plain | KillClause::Immediate => return None,
            KillClause::NoReplay => ("NOREPLAY", 12, 1),
            KillClause::Force => ("FORCE TIMEOUT", 23, 0),
        },
        Action::Disconnect { clause } => match clause {
            DisconnectClause::PostTransaction | DisconnectClause::Immediate => return None,
            DisconnectClause::PostTransactionNoReplay | DisconnectClause::NoReplay => ("NOREPLAY", 12, 1),
        },
        Action::CancelSql => ("CANCEL SQL", 18, 0),
    };
    Some((clause, Release { major, minor }))
}

/// What a gate measures against that not every release has: the limit, and the first release that documents it.
#[must_use]
pub(crate) fn first_release_of_share(resource: Resource, threshold: Threshold) -> Option<(&'static str, Release)> {
    match (resource, threshold) {
        (Resource::Pga, Threshold::Percent(_)) => Some(("PGA_AGGREGATE_LIMIT", Release { major: 12, minor: 1 })),
        (_, Threshold::Amount(_))
        | (
            Resource::Sessions
            | Resource::Processes
            | Resource::Transactions
            | Resource::Temp
            | Resource::Undo
            | Resource::HostCpu
            | Resource::ActiveSessions,
            Threshold::Percent(_),
        ) => None,
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The service that runs the database, which may take rights away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostingService {
    /// None: its owner runs it.
    SelfManaged,
    /// Amazon RDS for Oracle: no account has the privilege to end sessions.
    AmazonRds,
    /// Oracle Autonomous Database: of ALTER SYSTEM, only SET and KILL SESSION are allowed.
    Autonomous,
}

/// Whether SYSDATE and the DATEs of sessions come from one clock, which every difference of the two assumes.
///
/// They do not if SYSDATE follows the time zone of a PDB (TIME_AT_DBTIMEZONE from 23ai on) and LOGON_TIME the host's, if
/// FIXED_DATE makes SYSDATE stand still (Oracle Database Reference), or if a listener that was started with another TZ passed
/// it to its server processes. The age of one session is known, the daemon's own: it is as old as the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dates {
    /// SYSDATE - LOGON_TIME of the daemon's own session, in seconds; `None` if unknown.
    pub(crate) own_age: Option<i64>,
    /// FIXED_DATE is set.
    pub(crate) fixed: bool,
}

impl Dates {
    /// Zones differ by a quarter of an hour at least; clocks of one database by some seconds.
    const SLACK: i64 = 60;
    /// What a change to or from summer time adds to the age of an older session, or takes from it.
    const SUMMER_TIME: i64 = 3600;

    /// Why DATEs cannot be compared, if so, right after a log-in; `took` is the time since the log-in began.
    #[must_use]
    pub(crate) fn fault_at_login(self, took: Duration) -> Option<String> {
        let most = seconds(took);
        self.fault(0, most, "a session that has only just logged on")
    }

    /// Why DATEs cannot be compared, if so, on a connection of this age.
    #[must_use]
    pub(crate) fn fault_later(self, connected: Duration) -> Option<String> {
        let age = seconds(connected);
        let (least, most) = (age - Dates::SUMMER_TIME, age + Dates::SUMMER_TIME);
        self.fault(
            least,
            most,
            "the daemon's own session, going by how long it has been connected",
        )
    }

    fn fault(self, least: i64, most: i64, of: &str) -> Option<String> {
        let age = self.own_age.unwrap_or(least);
        let why = if self.fixed {
            "FIXED_DATE is set, so SYSDATE stands still (`for:` is not served, used budgets stay used, schedules do not become due)"
                .to_owned()
        } else if age > most + Dates::SLACK {
            format!(
                "SYSDATE is {} ahead of the LOGON_TIME of {of}",
                Span(rounded(age - most))
            )
        } else if age < least - Dates::SLACK {
            format!(
                "SYSDATE is {} behind the LOGON_TIME of {of}",
                Span(rounded(least - age))
            )
        } else {
            return None;
        };
        Some(dates_fault(&why))
    }
}

/// Rounded to the minute, so that the same fault always has the same message.
const fn rounded(seconds: i64) -> i64 {
    (seconds + 30) / 60 * 60
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX / 4)
}

/// The note for DATEs that cannot be compared.
#[must_use]
pub(crate) fn dates_fault(why: &str) -> String {
    format!(
        "{why}: the two come from different clocks or time zones, so connected, statement_age and transaction_age are unknown for \
         everybody; idle and running do not depend on it"
    )
}

/// The container that a connection is in, which decides what its views show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// A database without containers.
    NonCdb,
    /// CDB$ROOT.
    Root,
    /// A PDB.
    Pdb,
}

/// The properties that decide which views exist and which are read, apart from the policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The release.
    pub(crate) release: Release,
    /// The container connected to.
    pub(crate) container: Container,
    /// Whether it is a RAC database.
    pub(crate) cluster: bool,
}

/// An instance as the probe found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceFacts {
    /// GV$INSTANCE.INST_ID.
    pub(crate) inst_id: u32,
    /// GV$INSTANCE.INSTANCE_NAME.
    pub(crate) name: String,
    /// GV$INSTANCE.HOST_NAME.
    pub(crate) host: String,
    /// GV$INSTANCE.STATUS: `OPEN`, `MOUNTED`, `STARTED`.
    pub(crate) status: String,
}

/// Where a list came from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// Read from the view that defines it.
    Dictionary,
    /// Read from a view that needs no grant and may show less.
    PublicDictionary,
    /// Not readable: taken from Oracle's documentation of the release.
    Documentation,
}

/// What was found out about a database.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The release.
    pub(crate) release: Release,
    /// The version as the database shows it; in full if it does.
    pub(crate) version: String,
    /// V$DATABASE.NAME.
    pub(crate) database_name: String,
    /// V$DATABASE.DATABASE_ROLE: `PRIMARY`, `PHYSICAL STANDBY`.
    pub role: String,
    /// V$DATABASE.OPEN_MODE: `READ WRITE`, `READ ONLY WITH APPLY`.
    pub(crate) open_mode: String,
    /// Whether it is a multitenant container database.
    pub cdb: bool,
    /// The container connected to: 1 is the root, above it a PDB; `None` on a database without containers.
    pub(crate) con_id: Option<u32>,
    /// Its name.
    pub(crate) con_name: String,
    /// Whether it is a RAC database.
    pub(crate) cluster: bool,
    /// Its instances.
    pub(crate) instances: Vec<InstanceFacts>,
    /// Whether a connection can name its instance, or why not; set by the code that connects.
    pub(crate) narrows: Result<(), OneForAll>,
    /// The daemon's own session.
    pub(crate) own: SessionKey,
    /// Its V$SESSION.USERNAME.
    pub(crate) own_username: String,
    /// SYSDATE compared with the LOGON_TIME of the daemon's own session, at the time of the probe.
    pub(crate) dates: Dates,
    /// Why DATEs cannot be compared, if so: ages that are differences of two DATEs are then unknown.
    pub(crate) dates_fault: Option<String>,
    /// The GV$SESSION columns that can be read.
    pub(crate) columns: Columns,
    /// How they are known.
    pub columns_from: Provenance,
    /// Accounts that Oracle maintains.
    pub(crate) maintained: Accounts,
    /// How they are known.
    pub(crate) maintained_from: Provenance,
    /// In the root, the containers whose accounts the dictionary shows; `None` elsewhere, or where it cannot be read.
    pub(crate) containers_of_accounts: Option<BTreeSet<u32>>,
    /// Accounts with the right to capture or apply changes, as far as the dictionary could be read.
    pub(crate) replication: Accounts,
    /// Who runs it.
    pub(crate) service: HostingService,
    /// How sessions are to be ended, if the configuration says it.
    pub(crate) via: Option<Via>,
    /// DB_BLOCK_SIZE in bytes, also the block size of undo.
    pub(crate) block_size: Option<i64>,
    /// The block size of each tablespace in bytes, if readable.
    pub(crate) tablespace_blocks: HashMap<String, i64>,
    /// The numbers of the statistics behind columns.
    pub(crate) statistics: Statistics,
    /// The form in which texts are read.
    pub(crate) texts: TextForm,
    /// Views that the probe could not read, whether or not a policy needs them.
    pub unreadable: Vec<Unreadable>,
    /// Everything else that could not be found out, or is wrong.
    pub notes: Vec<Check>,
}

/// How a session is ended on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a statement of the account itself.
    AlterSystem,
    /// By the guard package.
    Package {
        /// Its schema.
        owner: &'static str,
    },
    /// By Amazon's rdsadmin_util.
    RdsAdmin,
}

impl Way {
    /// As the configuration says, else as found.
    #[must_use]
    pub(crate) fn of(via: Option<Via>, service: HostingService, container: Container) -> Way {
        match (via, service) {
            (Some(Via::Package), _) => Way::Package {
                owner: guard_owner(container),
            },
            (Some(Via::Rds), _) | (None, HostingService::AmazonRds) => Way::RdsAdmin,
            (Some(Via::AlterSystem), _) | (None, HostingService::SelfManaged | HostingService::Autonomous) => {
                Way::AlterSystem
            }
        }
    }

    /// The configuration's word for it.
    #[must_use]
    pub(crate) const fn via(self) -> Via {
        match self {
            Way::AlterSystem => Via::AlterSystem,
            Way::Package { .. } => Via::Package,
            Way::RdsAdmin => Via::Rds,
        }
    }
}

/// The schema of the guard package: common in the root, where the names of common accounts begin with C##.
#[must_use]
pub(crate) const fn guard_owner(container: Container) -> &'static str {
    match container {
        Container::Root => "C##ORAREAPER_OWNER",
        Container::NonCdb | Container::Pdb => "ORAREAPER_OWNER",
    }
}

/// Why an action is not possible on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A later release introduced it.
    Since {
        /// The clause.
        clause: &'static str,
        /// The first release that documents it.
        first: Release,
        /// The release of this database.
        connected: Release,
    },
    /// Amazon RDS grants no account the privilege.
    AmazonRds,
    /// Amazon's package has no such clause.
    NotInRds,
    /// `via: rds`, and there is no account RDSADMIN.
    NoRdsAdmin,
    /// Autonomous Database allows only KILL SESSION.
    Autonomous,
    /// The guard package writes down what it does, and the database is read only.
    PackageReadOnly,
    /// DISCONNECT SESSION needs an open database.
    NotOpen,
    /// DISCONNECT SESSION reaches only the instance that it is sent to, and no connection can name another instance.
    OtherInstances(OneForAll),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Since {
                clause,
                first,
                connected,
            } => write!(
                f,
                "{clause} is documented from release {first} on, this database is {connected}"
            ),
            Reason::AmazonRds => f.write_str(
                "Amazon RDS grants no account the privilege to end sessions; its own package rdsadmin_util ends sessions there: leave \
                 `via` out, or write `via: rds`",
            ),
            Reason::NotInRds => f.write_str(
                "rdsadmin_util of Amazon RDS has kill, kill immediate, disconnect immediate, disconnect post_transaction and \
                 cancel sql alone",
            ),
            Reason::NoRdsAdmin => f.write_str("`via: rds` is for Amazon RDS, and this database has no account RDSADMIN"),
            Reason::Autonomous => f.write_str("Autonomous Database allows KILL SESSION alone"),
            Reason::PackageReadOnly => f.write_str(
                "the guard package writes down what it does before it does it, and this database cannot be written to: on a standby \
                 write `via: alter-system`",
            ),
            Reason::NotOpen => f.write_str("DISCONNECT SESSION needs an open database"),
            Reason::OtherInstances(why) => write!(
                f,
                "DISCONNECT SESSION reaches only the instance that it is sent to, and this database has several; {why}, or take a \
                 `kill`"
            ),
        }
    }
}

impl std::error::Error for Reason {}

/// Whether Amazon's package has the action (Amazon RDS User Guide, "Terminating a session").
fn rds_has(action: Action) -> Result<(), Reason> {
    match action {
        Action::Report
        | Action::CancelSql
        | Action::Kill {
            clause: KillClause::Plain | KillClause::Immediate,
        }
        | Action::Disconnect {
            clause: DisconnectClause::PostTransaction | DisconnectClause::Immediate,
        } => Ok(()),
        Action::Kill {
            clause: KillClause::NoReplay | KillClause::Force,
        }
        | Action::Disconnect {
            clause: DisconnectClause::PostTransactionNoReplay | DisconnectClause::NoReplay,
        } => Err(Reason::NotInRds),
    }
}

impl Capabilities {
    /// Whether an action is possible on the database.
    ///
    /// # Errors
    /// The reason why not. No other action takes its place.
    pub(crate) fn supports(&self, action: Action) -> Result<(), Reason> {
        if action == Action::Report {
            return Ok(());
        }
        match (self.way(), self.service) {
            (Way::AlterSystem | Way::Package { .. }, HostingService::AmazonRds) => return Err(Reason::AmazonRds),
            (Way::RdsAdmin, HostingService::SelfManaged | HostingService::Autonomous) => {
                return Err(Reason::NoRdsAdmin);
            }
            (Way::RdsAdmin, HostingService::AmazonRds) => rds_has(action)?,
            (Way::AlterSystem | Way::Package { .. }, HostingService::Autonomous) => match action {
                Action::Kill { .. } | Action::Report => {}
                Action::Disconnect { .. } | Action::CancelSql => return Err(Reason::Autonomous),
            },
            (Way::AlterSystem | Way::Package { .. }, HostingService::SelfManaged) => {}
        }
        // If the open mode cannot be read, the finding about its view says so.
        if matches!(self.way(), Way::Package { .. }) && !matches!(self.open_mode.as_str(), "" | "READ WRITE") {
            return Err(Reason::PackageReadOnly);
        }
        if let Some((clause, first)) = first_release(action)
            && self.release < first
        {
            return Err(Reason::Since {
                clause,
                first,
                connected: self.release,
            });
        }
        match action {
            Action::Disconnect { .. } if !self.open_mode.starts_with("READ") => Err(Reason::NotOpen),
            Action::Disconnect { .. } if self.instances.len() > 1 => match self.narrows {
                Ok(()) => Ok(()),
                Err(why) => Err(Reason::OtherInstances(why)),
            },
            Action::Disconnect { .. } | Action::Kill { .. } | Action::CancelSql | Action::Report => Ok(()),
        }
    }

    /// How a session is ended here: as the configuration says, else as found.
    #[must_use]
    pub(crate) fn way(&self) -> Way {
        Way::of(self.via, self.service, self.container())
    }

    /// The kind of container that the connection is in.
    #[must_use]
    pub(crate) fn container(&self) -> Container {
        match self.con_id {
            None => Container::NonCdb,
            Some(1) => Container::Root,
            Some(_) => Container::Pdb,
        }
    }

    /// The properties that decide which views exist and which are read.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            release: self.release,
            container: self.container(),
            cluster: self.cluster,
        }
    }

    /// A finding about containers whose sessions are visible and whose accounts are not: CDB_ views show nothing of them to an
    /// account without CONTAINER_DATA, and give no error.
    #[must_use]
    pub(crate) fn strangers(&self, sessions: &Snapshot) -> Option<Check> {
        let known = self.containers_of_accounts.as_ref()?;
        let con_ids = kinds(sessions).filter_map(|kind| kind.con_id);
        let all: BTreeSet<u32> = con_ids
            .filter(|con_id| *con_id > 1 && !known.contains(con_id))
            .collect();
        let list: Vec<String> = all.iter().map(u32::to_string).collect();
        (!list.is_empty()).then(|| {
            let found = format!(
                "CDB_USERS shows no accounts of CON_ID {}, of which there are sessions: who captures or applies changes there is told \
                 by PROGRAM and MODULE alone, and Oracle's own accounts by their names in the root; the account sees the sessions of \
                 these containers and not their dictionaries",
                list.join(", "),
            );
            Check::new(Id::ContainerData, "CDB_USERS", State::Missing, found)
                .granted_by(see_all_containers(&self.own_username))
        })
    }

    /// Whom a missing right is to be granted to.
    #[must_use]
    pub(crate) fn grantee(&self) -> Grantee<'_> {
        Grantee {
            username: &self.own_username,
            service: self.service,
        }
    }

    /// What the protections need to know; `own` are the daemon's sessions on this database.
    #[must_use]
    pub(crate) fn facts(&self, own: &[SessionKey]) -> ProtectionFacts {
        ProtectionFacts {
            own_username: self.own_username.clone(),
            own_sessions: own.iter().map(|key| (key.inst_id, key.sid, key.serial)).collect(),
            oracle_maintained: self.maintained.clone(),
            replication: self.replication.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
