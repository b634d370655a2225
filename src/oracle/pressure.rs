//! Reads how much the instances use of their resources: sessions, processes, transactions, PGA, temp, undo, the host's CPU.
//!
//! What a name measures, and against which limit, depends on the container. In a PDB the views of the instance are empty or
//! show the whole CDB, whose sessions a policy there neither sees nor may end; in CDB$ROOT the files are those of the root, the
//! sessions those of all containers. A share is computed only from a use and a limit that belong together. If one of them is
//! missing, the resource is unknown, and the readings say why. docs/policy-language.md has the table.
//!
//! Resources are read only while a policy needs them, and are never essential: one that cannot be read is unknown and closes
//! the gates.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::decide::pressure::{Figure, Reading, Readings};
use crate::oracle::Connection;
use crate::oracle::access::Unreadable;
use crate::oracle::capabilities::{Capabilities, Container};
use crate::oracle::error::Error;
use crate::oracle::probe::{id, number, text};
use crate::oracle::read::SnapshotReader;
use crate::oracle::sql::{self, Scope};
use crate::oracle::{Cell, Query};
use crate::policy::pressure::Resource;
use crate::session::census::{SessionKind, kinds};
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// The host's busy and idle time at the last reading, by instance: usage is computed from their growth.
#[derive(Debug, Default)]
pub(crate) struct Counters(HashMap<u32, (i64, i64)>);

/// Reads the requested resources of the instances. One that cannot be read is left out, which closes the gates that depend on
/// it; the readings say why, and name the views that could not be read with their grants.
///
/// # Errors
/// When the connection breaks or the limit passes.
pub(crate) fn read_pressure(
    connection: &mut dyn Connection,
    resources: &[Resource],
    snapshot: &Snapshot,
    capabilities: &Capabilities,
    counters: &mut Counters,
    limit: Duration,
) -> Result<(Readings, Vec<Unreadable>), Error> {
    let mut gauging = Gauging {
        reader: SnapshotReader::new(connection, capabilities, Scope::All, limit),
        container: capabilities.container(),
        snapshot,
        parameters: None,
        readings: Readings::default(),
    };
    if Resource::INSTANCE_LIMITS
        .iter()
        .any(|limited| resources.contains(limited))
        && gauging.container != Container::Pdb
    {
        gauging.resource_limits(resources)?;
    }
    for resource in resources {
        match (resource, gauging.container) {
            (Resource::ActiveSessions, _) => gauging.active_sessions(),
            (Resource::Sessions, Container::Pdb) => gauging.sessions_of_pdb()?,
            (Resource::Processes, Container::Pdb) => gauging.unknown(
                Resource::Processes,
                Figure::Use,
                "PROCESSES limits the whole CDB, whose processes cannot be seen from a PDB; an entry that connects to CDB$ROOT \
                 can watch them",
            ),
            (Resource::Transactions, Container::Pdb) => gauging.transactions_of_pdb(),
            (Resource::Sessions | Resource::Processes | Resource::Transactions, Container::NonCdb | Container::Root) => {}
            (Resource::Pga, Container::Pdb) => gauging.pga_of_pdb()?,
            (Resource::Pga, Container::NonCdb | Container::Root) => gauging.pga()?,
            (Resource::HostCpu, Container::Pdb) => gauging.host_cpu_of_pdb(counters)?,
            (Resource::HostCpu, Container::NonCdb | Container::Root) => gauging.host_cpu()?,
            (Resource::Temp | Resource::Undo, Container::Root) => gauging.unknown(
                *resource,
                Figure::Use,
                "each PDB has tablespaces of its own, and CDB$ROOT shows the root's alone; an entry that connects to the PDB \
                 can watch them",
            ),
            (Resource::Temp, Container::NonCdb | Container::Pdb) => gauging.temp_space()?,
            (Resource::Undo, Container::NonCdb | Container::Pdb) => gauging.undo_space()?,
        }
    }
    Ok((gauging.readings, gauging.reader.unreadable))
}

/// A reading of resources in progress.
struct Gauging<'r> {
    reader: SnapshotReader<'r>,
    container: Container,
    snapshot: &'r Snapshot,
    /// GV$PARAMETER by instance and name, after it was read.
    parameters: Option<HashMap<(u32, String), String>>,
    readings: Readings,
}

impl Gauging<'_> {
    fn unknown(&mut self, resource: Resource, figure: Figure, why: impl Into<String>) {
        self.readings.explain(resource, figure, why);
    }

    /// The rows of the view that has a figure; without rows, the figure is unknown.
    fn rows<T>(
        &mut self,
        resource: Resource,
        figure: Figure,
        query: &Query,
        row: impl FnMut(&[Cell<'_>]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let rows = self.reader.rows_if_readable(query, row)?;
        let why = match &rows {
            None => format!("{} cannot be read", query.of),
            Some(rows) if rows.is_empty() => format!("{} does not show it", query.of),
            Some(_) => return Ok(rows.unwrap_or_default()),
        };
        self.unknown(resource, figure, why);
        Ok(Vec::new())
    }

    /// The instances whose sessions were read.
    fn complete(&self) -> Vec<u32> {
        let complete = self.snapshot.instances().iter().filter(|instance| instance.complete);
        complete.map(|instance| instance.inst_id).collect()
    }

    /// Counts sessions of the database, instance by instance.
    fn count(&self, is_counted: impl Fn(&SessionKind<'_>) -> bool) -> HashMap<u32, i64> {
        let mut counts: HashMap<u32, i64> = self.complete().into_iter().map(|inst_id| (inst_id, 0)).collect();
        for kind in kinds(self.snapshot).filter(is_counted) {
            if let Some(count) = kind.inst_id.and_then(|inst_id| counts.get_mut(&inst_id)) {
                *count = count.saturating_add(i64::try_from(kind.sessions).unwrap_or(i64::MAX));
            }
        }
        counts
    }

    /// A parameter of an instance that is a whole number.
    fn parameter(&self, inst_id: u32, name: &str) -> Option<i64> {
        let parameters = self.parameters.as_ref()?;
        parameters.get(&(inst_id, name.to_owned()))?.trim().parse().ok()
    }

    /// Reads GV$PARAMETER, which has the limit of this resource, unless it was read before.
    fn read_parameters(&mut self, resource: Resource) -> Result<(), Error> {
        if self.parameters.is_none() {
            let rows = self.rows(resource, Figure::Limit, &sql::limiting_parameters(), |row| {
                Some(((id(row, 0)?, text(row, 1)?), text(row, 2)?))
            })?;
            self.parameters = Some(rows.into_iter().collect());
        }
        Ok(())
    }

    /// User sessions in a call. They have no limit.
    fn active_sessions(&mut self) {
        let active = self.count(|kind| kind.status == Some("ACTIVE") && kind.are_users());
        for (inst_id, used) in active {
            let reading = Reading { used, limit: None };
            self.readings.set(inst_id, Resource::ActiveSessions, reading);
        }
    }

    /// GV$RESOURCE_LIMIT covers the whole instance, in the root or without containers; in a PDB it has no rows.
    fn resource_limits(&mut self, resources: &[Resource]) -> Result<(), Error> {
        let query = sql::resource_limits();
        let rows = self.reader.rows_if_readable(&query, |row| {
            let resource = Resource::INSTANCE_LIMITS
                .into_iter()
                .find(|one| Some(one.name()) == text(row, 1).as_deref())?;
            // UNLIMITED is not a number, which leaves the limit empty.
            let limit = text(row, 3).and_then(|limit| limit.trim().parse().ok());
            let used = number(row, 2)?;
            Some((id(row, 0)?, resource, Reading { used, limit }))
        })?;
        let verb = if rows.is_some() {
            "does not show it"
        } else {
            "cannot be read"
        };
        let rows = rows.unwrap_or_default();
        for resource in Resource::INSTANCE_LIMITS
            .into_iter()
            .filter(|one| resources.contains(one))
        {
            if !rows.iter().any(|(_, of, _)| *of == resource) {
                self.unknown(resource, Figure::Use, format!("{} {verb}", query.of));
            }
        }
        for (inst_id, resource, reading) in rows {
            if reading.limit.is_none() {
                self.unknown(
                    resource,
                    Figure::Limit,
                    "GV$RESOURCE_LIMIT says UNLIMITED, so there is no share of it; compare it with a number",
                );
            }
            self.readings.set(inst_id, resource, reading);
        }
        Ok(())
    }

    fn own_container(&self) -> Option<u32> {
        self.reader.capabilities.con_id
    }

    /// Sessions of this PDB, against its SESSIONS. The background processes of the CDB are visible too (CON_ID 0) and do not
    /// count.
    fn sessions_of_pdb(&mut self) -> Result<(), Error> {
        let own = self.own_container();
        if !self.snapshot.has(Column::ConId) {
            self.unknown(
                Resource::Sessions,
                Figure::Use,
                "GV$SESSION does not show which sessions belong to this PDB",
            );
            return Ok(());
        }
        let counts = self.count(|kind| kind.con_id == own);
        self.read_parameters(Resource::Sessions)?;
        for (inst_id, used) in counts {
            let limit = self.parameter(inst_id, "sessions");
            self.readings.set(inst_id, Resource::Sessions, Reading { used, limit });
        }
        Ok(())
    }

    /// Sessions of this PDB that are in a transaction. TRANSACTIONS limits the whole CDB.
    fn transactions_of_pdb(&mut self) {
        let own = self.own_container();
        let counts = self.count(|kind| kind.in_transaction && kind.con_id == own);
        for (inst_id, used) in counts {
            self.readings
                .set(inst_id, Resource::Transactions, Reading { used, limit: None });
        }
        self.unknown(
            Resource::Transactions,
            Figure::Limit,
            "TRANSACTIONS limits the whole CDB, so there is no share of it in a PDB; compare it with a number",
        );
    }

    fn pga(&mut self) -> Result<(), Error> {
        let rows = self.rows(Resource::Pga, Figure::Use, &sql::pga(), |row| {
            Some((id(row, 0)?, number(row, 1)?))
        })?;
        // In a CDB there may be a row for each container besides that of the instance, which is the largest.
        let mut allocated: HashMap<u32, i64> = HashMap::new();
        for (inst_id, used) in rows {
            let most = allocated.entry(inst_id).or_default();
            *most = used.max(*most);
        }
        self.set_pga(allocated)
    }

    /// The PGA of the processes that serve sessions of this PDB, each counted once.
    fn pga_of_pdb(&mut self) -> Result<(), Error> {
        let own = self.own_container();
        let snapshot = self.snapshot;
        if ![Column::Pga, Column::Paddr, Column::ConId]
            .into_iter()
            .all(|column| snapshot.has(column))
        {
            self.unknown(Resource::Pga, Figure::Use, "GV$PROCESS cannot be read");
            return Ok(());
        }
        let mut allocated: HashMap<u32, i64> = self.complete().into_iter().map(|inst_id| (inst_id, 0)).collect();
        let mut counted = HashSet::new();
        for row in (0..snapshot.rows()).filter(|row| snapshot.id(*row, Column::ConId) == own) {
            let (Some(inst_id), Some(process)) = (snapshot.id(row, Column::InstId), snapshot.text(row, Column::Paddr))
            else {
                continue;
            };
            if let Some(sum) = allocated.get_mut(&inst_id)
                && counted.insert((inst_id, process))
            {
                *sum = sum.saturating_add(snapshot.number(row, Column::Pga).unwrap_or(0));
            }
        }
        self.set_pga(allocated)
    }

    /// Against PGA_AGGREGATE_LIMIT: 0 means no limit; before 12.1 there is no such parameter.
    fn set_pga(&mut self, allocated: HashMap<u32, i64>) -> Result<(), Error> {
        self.read_parameters(Resource::Pga)?;
        for (inst_id, used) in allocated {
            let limit = self
                .parameter(inst_id, "pga_aggregate_limit")
                .filter(|limit| *limit > 0);
            if limit.is_none() {
                self.unknown(
                    Resource::Pga,
                    Figure::Limit,
                    "PGA_AGGREGATE_LIMIT is not set or not readable, so there is no share of it; compare it with a size",
                );
            }
            self.readings.set(inst_id, Resource::Pga, Reading { used, limit });
        }
        Ok(())
    }

    fn host_cpu(&mut self) -> Result<(), Error> {
        let rows = self.rows(Resource::HostCpu, Figure::Use, &sql::host_cpu(), |row| {
            Some((id(row, 0)?, number(row, 1)?))
        })?;
        for (inst_id, used) in rows {
            let limit = Some(100);
            self.readings.set(inst_id, Resource::HostCpu, Reading { used, limit });
        }
        Ok(())
    }

    /// GV$SYSMETRIC has no rows in a PDB, so there the host's counters are compared with those of the previous snapshot.
    fn host_cpu_of_pdb(&mut self, counters: &mut Counters) -> Result<(), Error> {
        let rows = self.rows(Resource::HostCpu, Figure::Use, &sql::host_times(), |row| {
            Some((id(row, 0)?, text(row, 1)?, number(row, 2)?))
        })?;
        let mut now: HashMap<u32, (Option<i64>, Option<i64>)> = HashMap::new();
        for (inst_id, name, value) in rows {
            let (busy, idle) = now.entry(inst_id).or_default();
            match name.as_str() {
                "BUSY_TIME" => *busy = Some(value),
                "IDLE_TIME" => *idle = Some(value),
                _ => {}
            }
        }
        let before = std::mem::take(&mut counters.0);
        for (inst_id, times) in now {
            let (Some(busy), Some(idle)) = times else { continue };
            counters.0.insert(inst_id, (busy, idle));
            let grown = before
                .get(&inst_id)
                .map(|(was_busy, was_idle)| (busy - was_busy, idle - was_idle));
            match grown {
                // After a restart of the instance the counters start at 0.
                Some((busy, idle)) if busy >= 0 && idle >= 0 && busy + idle > 0 => {
                    let (used, limit) = (busy * 100 / (busy + idle), Some(100));
                    self.readings.set(inst_id, Resource::HostCpu, Reading { used, limit });
                }
                Some(_) | None => self.unknown(
                    Resource::HostCpu,
                    Figure::Use,
                    "in a PDB it is what the host used between two snapshots, and there is no earlier one yet",
                ),
            }
        }
        Ok(())
    }

    /// The fullest temporary tablespace, which all instances share, against the maximum size of its files.
    fn temp_space(&mut self) -> Result<(), Error> {
        let spaces = self.rows(Resource::Temp, Figure::Use, &sql::temp_space(), |row| {
            let (size, free) = (number(row, 1)?, number(row, 2)?);
            Some((text(row, 0)?, size.saturating_sub(free)))
        })?;
        let limits = self.sizes(Resource::Temp, &sql::temp_files())?;
        let share = |(name, used): &(String, i64)| {
            let limit = limits.get(name).copied().filter(|limit| *limit > 0);
            limit.map_or(0, |limit| i128::from(*used) * 1_000_000 / i128::from(limit))
        };
        let fullest = spaces.into_iter().max_by_key(|space| (share(space), space.1));
        let Some((name, used)) = fullest else { return Ok(()) };
        let limit = limits.get(&name).copied().filter(|limit| *limit > 0);
        for inst_id in self.snapshot.instances().iter().map(|instance| instance.inst_id) {
            self.readings.set(inst_id, Resource::Temp, Reading { used, limit });
        }
        Ok(())
    }

    /// The maximum size of the files of each tablespace, in bytes.
    fn sizes(&mut self, resource: Resource, files: &Query) -> Result<HashMap<String, i64>, Error> {
        let files = self.rows(resource, Figure::Limit, files, |row| {
            // MAXBYTES is 0 if a file does not grow, and less than BYTES if it was enlarged by hand.
            let bytes = number(row, 1).unwrap_or(0).max(number(row, 2).unwrap_or(0));
            Some((text(row, 0)?, bytes))
        })?;
        let mut sizes: HashMap<String, i64> = HashMap::new();
        for (name, bytes) in files {
            let size = sizes.entry(name).or_default();
            *size = size.saturating_add(bytes);
        }
        Ok(sizes)
    }

    /// What open transactions hold of their instance's undo tablespace. Undo that is only retained can be reused.
    fn undo_space(&mut self) -> Result<(), Error> {
        let Some(block_size) = self.reader.capabilities.block_size else {
            self.unknown(Resource::Undo, Figure::Use, "V$PARAMETER does not show DB_BLOCK_SIZE");
            return Ok(());
        };
        let query = sql::transactions();
        // No rows means no transaction, which is an answer here.
        let rows = self
            .reader
            .rows_if_readable(&query, |row| Some((id(row, 0)?, number(row, 4)?)))?;
        let Some(transactions) = rows else {
            self.unknown(Resource::Undo, Figure::Use, format!("{} cannot be read", query.of));
            return Ok(());
        };
        let sizes = self.sizes(Resource::Undo, &sql::data_files())?;
        self.read_parameters(Resource::Undo)?;
        for inst_id in self.complete() {
            let of_instance = transactions.iter().filter(|(of, _)| *of == inst_id);
            let blocks: i64 = of_instance.fold(0, |sum, (_, blocks)| sum.saturating_add(*blocks));
            let used = blocks.saturating_mul(block_size);
            let name = (inst_id, "undo_tablespace".to_owned());
            let tablespace = self.parameters.as_ref().and_then(|parameters| parameters.get(&name));
            let limit = tablespace.and_then(|tablespace| sizes.get(tablespace)).copied();
            if limit.is_none() {
                self.unknown(
                    Resource::Undo,
                    Figure::Limit,
                    "DBA_DATA_FILES shows no file of UNDO_TABLESPACE (a PDB without local undo uses the root's)",
                );
            }
            self.readings.set(inst_id, Resource::Undo, Reading { used, limit });
        }
        Ok(())
    }
}
