//! Probes the database once for each connection: its release, instances, container and rights.
//!
//! Only the release and the daemon's own session are essential. Everything else has a cautious default if it cannot be read,
//! and is named as an unreadable view or in a note: reports show them, the log has them once. A definite "no such view" is an
//! answer; a broken connection is not, and ends the probe.

mod accounts;

use std::collections::HashMap;
use std::time::Duration;

use crate::checks::{Check, Id, State};
use crate::oracle::access::{Grantee, Unreadable, see_all_containers};
use crate::oracle::capabilities::{
    Capabilities, Container, Dates, HostingService, InstanceFacts, Provenance, Release, Shape,
};
use crate::oracle::error::{Class, Error};
use crate::oracle::sql::{self, Statistics, startup};
use crate::oracle::{Cell, Connection, Query, TextForm, collect, text_form, whole_number};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Source};
use crate::session::time::DbTime;

/// More rows than any query of the probe returns.
const AT_MOST: usize = 100_000;

/// The first release with containers.
pub(crate) const WITH_CONTAINERS: (u32, u32) = (12, 1);

/// Accounts that Oracle creates with the product, for databases that do not mark them: before 12.1, and where neither
/// DBA_USERS nor ALL_USERS has ORACLE_MAINTAINED. From the Oracle Database Security Guide, "Predefined Schemas".
pub(crate) const PREDEFINED_ACCOUNTS: [&str; 47] = [
    "ANONYMOUS",
    "APEX_PUBLIC_USER",
    "APPQOSSYS",
    "AUDSYS",
    "CTXSYS",
    "DBSFWUSER",
    "DBSNMP",
    "DGPDB_INT",
    "DIP",
    "DMSYS",
    "DVF",
    "DVSYS",
    "EXFSYS",
    "FLOWS_FILES",
    "GGSYS",
    "GSMADMIN_INTERNAL",
    "GSMCATUSER",
    "GSMUSER",
    "LBACSYS",
    "MDDATA",
    "MDSYS",
    "MGMT_VIEW",
    "OJVMSYS",
    "OLAPSYS",
    "ORACLE_OCM",
    "ORDDATA",
    "ORDPLUGINS",
    "ORDSYS",
    "OUTLN",
    "OWBSYS",
    "PUBLIC",
    "RDSADMIN",
    "REMOTE_SCHEDULER_AGENT",
    "SI_INFORMTN_SCHEMA",
    "SPATIAL_CSW_ADMIN_USR",
    "SPATIAL_WFS_ADMIN_USR",
    "SYS",
    "SYS$UMF",
    "SYSBACKUP",
    "SYSDG",
    "SYSKM",
    "SYSMAN",
    "SYSRAC",
    "SYSTEM",
    "WMSYS",
    "XDB",
    "XS$NULL",
];

/// Probes the database. `limit` bounds each query.
///
/// # Errors
/// When the connection breaks, or the release or the daemon's own session cannot be read.
pub(crate) fn probe(connection: &mut dyn Connection, limit: Duration) -> Result<Capabilities, Error> {
    let mut asking = Asking::new(connection, limit);
    let seat = asking.own_seat()?;
    let rds = asking.is_amazon_rds()?;
    let (instance_number, version, parallel) = asking.instance()?;
    let release = Release::parse(&version).ok_or_else(|| asking.unknown("its release", &version))?;
    let version = asking.full_version(release)?.unwrap_or(version);
    let own = asking.own_session(seat, instance_number)?;
    let container = asking.container(release)?;
    let database = asking.database(release)?;
    let parameters = asking.parameters()?;
    let instances = asking.instances()?;
    let (columns, columns_from) = asking.session_columns(release)?;
    let in_root = container.0 == Some(1);
    let accounts = asking.accounts(release, in_root)?;
    let service = if rds {
        HostingService::AmazonRds
    } else {
        asking.cloud_service(release)?
    };
    let tablespace_blocks = asking.tablespace_blocks()?;
    let statistics = asking.statistics()?;
    if in_root {
        asking.check_container_data()?;
    }
    let clustered = parameters
        .get("cluster_database")
        .is_some_and(|value| value.eq_ignore_ascii_case("TRUE"));
    Ok(Capabilities {
        release,
        version,
        database_name: database.name,
        role: database.role,
        open_mode: database.open_mode,
        cdb: database.cdb,
        con_id: container.0.filter(|con_id| *con_id > 0),
        con_name: container.1,
        cluster: parallel || clustered || instances.len() > 1,
        instances,
        narrows: Ok(()),
        own: own.key,
        own_username: own.username,
        dates: Dates {
            own_age: own.age,
            fixed: parameters
                .get("fixed_date")
                .is_some_and(|value| !value.eq_ignore_ascii_case("NONE")),
        },
        dates_fault: None,
        columns,
        columns_from,
        maintained: accounts.maintained,
        maintained_from: accounts.maintained_from,
        containers_of_accounts: accounts.containers,
        replication: accounts.replication,
        service,
        via: None,
        block_size: parameters.get("db_block_size").and_then(|value| whole_number(value)),
        tablespace_blocks,
        statistics,
        unreadable: asking.unreadable,
        texts: TextForm::Text,
        notes: asking.notes,
    })
}

/// The session that a connection has.
///
/// # Errors
/// When the database does not show it.
pub(super) fn own_key(connection: &mut dyn Connection, limit: Duration) -> Result<SessionKey, Error> {
    let mut asking = Asking::new(connection, limit);
    let seat = asking.own_seat()?;
    let inst_id = match seat.1 {
        Some(inst_id) => inst_id,
        None => asking.instance()?.0,
    };
    Ok(asking.own_session(seat, inst_id)?.key)
}

/// The same capabilities with texts read as bytes, after a query failed because of a text.
///
/// # Errors
/// When the connection breaks. A character set that cannot be read is taken for one that is not UTF-8.
pub(crate) fn texts_as_bytes(
    connection: &mut dyn Connection,
    capabilities: &Capabilities,
    limit: Duration,
) -> Result<Capabilities, Error> {
    let names = match collect(connection, &text_form::character_set(), limit, 1, |row| text(row, 0)) {
        Ok(names) => names,
        Err(error) if connection.is_lost() => return Err(error),
        Err(_) => Vec::new(),
    };
    let utf8 = names.first().is_some_and(|name| text_form::is_utf8(name));
    let mut capabilities = capabilities.clone();
    capabilities.texts = TextForm::Bytes { utf8 };
    let known = if utf8 {
        ""
    } else {
        ", and texts that are not ASCII are unknown altogether"
    };
    let found = format!(
        "the text of some session (PROGRAM, MODULE or their like) is not valid in its character set, which fails the whole query: \
         texts of sessions are read as their bytes now; what is not valid in them is unknown, so that no condition over it \
         holds{known}"
    );
    capabilities
        .notes
        .push(Check::new(Id::CharacterSet, "", State::Note, found));
    Ok(capabilities)
}

/// The part of the probe that needs no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ungranted {
    /// The release and the container; a database whose instances no view shows counts as a single instance.
    pub(crate) shape: Shape,
    /// The name of the container, if there are containers.
    pub(crate) con_name: String,
    /// The account.
    pub(crate) username: String,
    /// The service that runs the database, as far as any account may read it.
    pub(crate) service: HostingService,
}

impl Ungranted {
    /// Whom a missing right is to be granted to.
    #[must_use]
    pub(crate) fn grantee(&self) -> Grantee<'_> {
        Grantee {
            username: &self.username,
            service: self.service,
        }
    }
}

/// Finds out which views are needed, after [`probe`] has failed because a grant is missing.
///
/// # Errors
/// When the connection breaks, or the database does not show its release.
pub(crate) fn outline(connection: &mut dyn Connection, limit: Duration) -> Result<Ungranted, Error> {
    let mut asking = Asking::new(connection, limit);
    asking.own_seat()?;
    let rds = asking.is_amazon_rds()?;
    let versions = asking.rows(&startup::product(), |row| text(row, 0))?;
    let version = versions.into_iter().next().unwrap_or_default();
    let release = Release::parse(&version).ok_or_else(|| asking.unknown("its release", &version))?;
    let (con_id, con_name) = asking.container(release)?;
    let container = match con_id {
        None | Some(0) => Container::NonCdb,
        Some(1) => Container::Root,
        Some(_) => Container::Pdb,
    };
    let cluster = asking.is_cluster()?;
    let service = if rds {
        HostingService::AmazonRds
    } else {
        asking.cloud_service(release)?
    };
    Ok(Ungranted {
        shape: Shape {
            release,
            container,
            cluster,
        },
        con_name,
        username: asking.username,
        service,
    })
}

/// The daemon's own session on this connection.
struct OwnSession {
    key: SessionKey,
    username: String,
    /// SYSDATE - LOGON_TIME in seconds.
    age: Option<i64>,
}

struct DatabaseRow {
    name: String,
    role: String,
    open_mode: String,
    cdb: bool,
}

struct Asking<'c> {
    connection: &'c mut dyn Connection,
    limit: Duration,
    /// The account, once it is known: grants name it.
    username: String,
    service: HostingService,
    unreadable: Vec<Unreadable>,
    notes: Vec<Check>,
}

impl<'c> Asking<'c> {
    fn new(connection: &'c mut dyn Connection, limit: Duration) -> Asking<'c> {
        Asking {
            connection,
            limit,
            username: String::new(),
            service: HostingService::SelfManaged,
            unreadable: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn grantee(&self) -> Grantee<'_> {
        Grantee {
            username: &self.username,
            service: self.service,
        }
    }

    /// The rows of an essential view; the error names the grant.
    fn essential_rows<T>(&mut self, query: &Query, row: impl FnMut(&[Cell<'_>]) -> Option<T>) -> Result<Vec<T>, Error> {
        self.rows(query, row).map_err(|mut error| {
            let unreadable = Unreadable::new(query.of, error.clone(), self.grantee());
            if let Some(grant) = unreadable.grant {
                error.why = format!("{}; remedy: {grant}", error.why);
            }
            error
        })
    }

    fn rows<T>(&mut self, query: &Query, row: impl FnMut(&[Cell<'_>]) -> Option<T>) -> Result<Vec<T>, Error> {
        collect(self.connection, query, self.limit, AT_MOST, row)
    }

    /// The rows, or the error of a view that cannot be read; a broken connection ends the probe.
    fn rows_or<T>(
        &mut self,
        query: &Query,
        row: impl FnMut(&[Cell<'_>]) -> Option<T>,
    ) -> Result<Result<Vec<T>, Error>, Error> {
        match self.rows(query, row) {
            Ok(rows) => Ok(Ok(rows)),
            Err(error) => match error.class {
                Class::Config | Class::Unsupported | Class::Partial | Class::Bug => Ok(Err(error)),
                Class::Auth | Class::Backoff | Class::Reconnect | Class::Cancelled => Err(error),
            },
        }
    }

    /// The rows, or `None` if the view cannot be read, which is then added to the unreadable ones.
    fn rows_if_readable<T>(
        &mut self,
        query: &Query,
        row: impl FnMut(&[Cell<'_>]) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        match self.rows_or(query, row)? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) => {
                self.unreadable.push(Unreadable::new(query.of, error, self.grantee()));
                Ok(None)
            }
        }
    }

    fn note(&mut self, id: Id, about: &str, found: String) {
        self.notes.push(Check::new(id, about, State::Note, found));
    }

    fn unknown(&self, what: &str, found: &str) -> Error {
        Error::new(
            Class::Config,
            format!("find out about {}", self.connection.identity().database),
            format!("the database does not show {what} ({found:?})"),
        )
    }

    fn instance(&mut self) -> Result<(u32, String, bool), Error> {
        let rows = self.essential_rows(&startup::instance(), |row| {
            Some((id(row, 0)?, text(row, 2)?, text(row, 3).as_deref() == Some("YES")))
        })?;
        rows.into_iter()
            .next()
            .ok_or_else(|| self.unknown("its instance", "V$INSTANCE is empty"))
    }

    /// Whether it is a RAC database, by the first of three views that can be read.
    fn is_cluster(&mut self) -> Result<bool, Error> {
        if let Ok(rows) = self.rows_or(&startup::instance(), |row| text(row, 3))? {
            return Ok(rows.first().is_some_and(|parallel| parallel == "YES"));
        }
        let parameters = self.rows_or(&startup::parameters(), |row| Some((text(row, 0)?, text(row, 1)?)))?;
        if let Ok(parameters) = parameters {
            let clustered =
                |(name, value): &(String, String)| name == "cluster_database" && value.eq_ignore_ascii_case("TRUE");
            return Ok(parameters.iter().any(clustered));
        }
        let instances = self.rows_or(&startup::instances(), |row| id(row, 0))?;
        Ok(instances.is_ok_and(|instances| instances.len() > 1))
    }

    fn full_version(&mut self, release: Release) -> Result<Option<String>, Error> {
        if !release.at_least(18, 0) {
            return Ok(None);
        }
        let rows = self.rows_or(&startup::full_version(), |row| text(row, 0))?;
        Ok(rows.ok().and_then(|rows| rows.into_iter().next()))
    }

    /// The SID of this session, and its instance if the release shows it.
    fn own_seat(&mut self) -> Result<(u32, Option<u32>), Error> {
        let seats = self.rows(&startup::own_seat(), |row| {
            let number = |at| text(row, at).and_then(|text| text.parse::<u32>().ok());
            Some((number(0)?, number(1), text(row, 2).unwrap_or_default()))
        })?;
        let (sid, inst_id, username) = seats
            .into_iter()
            .next()
            .ok_or_else(|| self.unknown("the daemon's own SID", ""))?;
        self.username = username;
        Ok((sid, inst_id))
    }

    fn own_session(&mut self, (sid, inst_id): (u32, Option<u32>), instance_number: u32) -> Result<OwnSession, Error> {
        let inst_id = inst_id.unwrap_or(instance_number);
        let sessions = self.essential_rows(&startup::own_session(inst_id, sid), |row| {
            let key = SessionKey {
                inst_id,
                sid,
                serial: id(row, 0)?,
                logon_time: time(row, 1)?,
            };
            Some(OwnSession {
                key,
                username: text(row, 2)?,
                age: time(row, 3).map(|now| now.since(key.logon_time)),
            })
        })?;
        sessions
            .into_iter()
            .next()
            .ok_or_else(|| self.unknown("the daemon's own session", &format!("SID {sid} of instance {inst_id}")))
    }

    fn container(&mut self, release: Release) -> Result<(Option<u32>, String), Error> {
        if !release.at_least(WITH_CONTAINERS.0, WITH_CONTAINERS.1) {
            return Ok((None, String::new()));
        }
        let rows = self.rows_or(&startup::container(), |row| {
            let con_id = text(row, 0).and_then(|text| text.parse().ok());
            Some((con_id, text(row, 1).unwrap_or_default()))
        })?;
        let rows = rows.unwrap_or_else(|error| {
            self.note(Id::Container, "", format!("{error}; the container is not known"));
            Vec::new()
        });
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    fn database(&mut self, release: Release) -> Result<DatabaseRow, Error> {
        let rows = self.rows_if_readable(&startup::database(), |row| {
            Some(DatabaseRow {
                name: text(row, 0).unwrap_or_default(),
                role: text(row, 1).unwrap_or_default(),
                open_mode: text(row, 2).unwrap_or_default(),
                cdb: false,
            })
        })?;
        let mut database = rows.unwrap_or_default().into_iter().next().unwrap_or(DatabaseRow {
            name: String::new(),
            role: String::new(),
            open_mode: String::new(),
            cdb: false,
        });
        if release.at_least(WITH_CONTAINERS.0, WITH_CONTAINERS.1) {
            let rows = self.rows_or(&startup::is_container_database(), |row| text(row, 0))?;
            database.cdb = rows.is_ok_and(|rows| rows.first().is_some_and(|cdb| cdb == "YES"));
        }
        Ok(database)
    }

    fn parameters(&mut self) -> Result<HashMap<String, String>, Error> {
        let rows = self.rows_if_readable(&startup::parameters(), |row| Some((text(row, 0)?, text(row, 1)?)))?;
        Ok(rows.unwrap_or_default().into_iter().collect())
    }

    fn instances(&mut self) -> Result<Vec<InstanceFacts>, Error> {
        self.essential_rows(&startup::instances(), |row| {
            Some(InstanceFacts {
                inst_id: id(row, 0)?,
                name: text(row, 1).unwrap_or_default(),
                host: text(row, 2).unwrap_or_default(),
                status: text(row, 3).unwrap_or_default(),
            })
        })
    }

    fn session_columns(&mut self, release: Release) -> Result<(Columns, Provenance), Error> {
        let known = self.rows_or(&startup::session_columns(), |row| text(row, 0))?;
        let names = match &known {
            Ok(names) => names.as_slice(),
            Err(_) => &[],
        };
        let columns: Columns = names
            .iter()
            .filter_map(|name| Column::named(name))
            .filter(|column| column.source() == Source::Session)
            .collect();
        if columns.contains(Column::Sid) {
            return Ok((columns, Provenance::Dictionary));
        }
        let why = known.err().map_or_else(
            || "ALL_TAB_COLUMNS does not show GV_$SESSION".to_owned(),
            |error| error.to_string(),
        );
        let found = format!("{why}; the columns of GV$SESSION are taken to be those that release {release} documents");
        self.note(Id::Column, "GV$SESSION", found);
        Ok((release.documented_columns(), Provenance::Documentation))
    }

    fn is_amazon_rds(&mut self) -> Result<bool, Error> {
        let rds = self.rows_or(&startup::amazon_rds(), |row| text(row, 0))?;
        let rds = rds.is_ok_and(|rows| !rows.is_empty());
        if rds {
            self.service = HostingService::AmazonRds;
        }
        Ok(rds)
    }

    fn cloud_service(&mut self, release: Release) -> Result<HostingService, Error> {
        if release.at_least(18, 0) {
            let cloud = self.rows_or(&startup::cloud_service(), |row| text(row, 0))?;
            if cloud.is_ok_and(|rows| !rows.is_empty()) {
                return Ok(HostingService::Autonomous);
            }
        }
        Ok(HostingService::SelfManaged)
    }

    fn tablespace_blocks(&mut self) -> Result<HashMap<String, i64>, Error> {
        let rows = self.rows_if_readable(&sql::tablespaces(), |row| Some((text(row, 0)?, number(row, 1)?)))?;
        Ok(rows.unwrap_or_default().into_iter().collect())
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        let mut statistics = Statistics::default();
        let rows = self.rows_if_readable(&sql::statistic_names(), |row| Some((text(row, 0)?, number(row, 1)?)))?;
        for (name, number) in rows.unwrap_or_default() {
            statistics.set(&name, number);
        }
        Ok(statistics)
    }

    /// In the root, V$ views show an account without CONTAINER_DATA no sessions of the PDBs, and no error.
    fn check_container_data(&mut self) -> Result<(), Error> {
        let Some(pdbs) = self.rows_if_readable(&startup::open_pdbs(), |row| text(row, 1))? else {
            return Ok(());
        };
        let Some(seen) = self.rows_if_readable(&startup::sessions_in_pdbs(), |row| number(row, 0))? else {
            return Ok(());
        };
        if !pdbs.is_empty() && seen.first() == Some(&0) {
            let found = format!(
                "no session of any PDB is visible although {} open: if they are in use, the account lacks CONTAINER_DATA",
                if pdbs.len() == 1 {
                    format!("{} is", pdbs[0])
                } else {
                    format!("{} PDBs are", pdbs.len())
                }
            );
            let check = Check::new(Id::ContainerData, "GV$SESSION", State::Missing, found);
            self.notes.push(check.granted_by(see_all_containers(&self.username)));
        }
        Ok(())
    }
}

/// The text at a position in a row.
pub(crate) fn text(row: &[Cell<'_>], at: usize) -> Option<String> {
    match row.get(at)? {
        Cell::Text(text) => Some((*text).to_owned()),
        Cell::Null | Cell::Number(_) | Cell::Time(_) => None,
    }
}

/// The number at a position in a row.
pub(crate) fn number(row: &[Cell<'_>], at: usize) -> Option<i64> {
    match row.get(at)? {
        Cell::Number(number) => Some(*number),
        Cell::Null | Cell::Text(_) | Cell::Time(_) => None,
    }
}

/// The number at a position in a row, if it fits 32 bits unsigned.
pub(crate) fn id(row: &[Cell<'_>], at: usize) -> Option<u32> {
    number(row, at)?.try_into().ok()
}

/// The point in time at a position in a row.
pub(crate) fn time(row: &[Cell<'_>], at: usize) -> Option<DbTime> {
    match row.get(at)? {
        Cell::Time(time) => Some(*time),
        Cell::Null | Cell::Text(_) | Cell::Number(_) => None,
    }
}

#[cfg(test)]
mod tests;
