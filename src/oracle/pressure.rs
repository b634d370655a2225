//! Reading what the instances are short of: sessions, processes, transactions, PGA, temp, undo, the host's CPU.
//!
//! Read only while a policy asks for it, and never essential: what cannot be read is unknown, and closes the gates.

use std::collections::HashMap;
use std::time::Duration;

use crate::oracle::Connection;
use crate::oracle::access::Unreadable;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::error::Error;
use crate::oracle::probe::{id, number, text};
use crate::oracle::read::Reader;
use crate::oracle::sql::{self, Address, Scope};
use crate::policy::pressure::Resource;
use crate::pressure::{Reading, Readings};
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// Reads what the instances are short of: only the resources asked for. What cannot be read is left out, which closes the
/// gates that ask for it; the views that could not be read tell why.
///
/// # Errors
/// When the connection breaks or the limit passes.
pub fn read_pressure(
    connection: &mut dyn Connection,
    resources: &[Resource],
    snapshot: &Snapshot,
    capabilities: &Capabilities,
    limit: Duration,
) -> Result<(Readings, Vec<Unreadable>), Error> {
    let mut reader = Reader::new(connection, capabilities, Scope::All, limit);
    let mut readings = Readings::default();
    let asks = |wanted: &[Resource]| wanted.iter().any(|resource| resources.contains(resource));
    if asks(&[Resource::ActiveSessions]) {
        active_sessions(snapshot, &mut readings);
    }
    if asks(&[Resource::Sessions, Resource::Processes, Resource::Transactions]) {
        reader.resource_limits(snapshot, &mut readings)?;
    }
    if asks(&[Resource::Pga]) {
        reader.pga(&mut readings)?;
    }
    if asks(&[Resource::HostCpu]) {
        let rows = reader.rows_if_readable(&sql::host_cpu(), |row| Some((id(row, 0)?, number(row, 1)?)))?;
        for (inst_id, used) in rows.unwrap_or_default() {
            let limit = Some(100);
            readings.set(inst_id, Resource::HostCpu, Reading { used, limit });
        }
    }
    if asks(&[Resource::Temp]) {
        reader.temp_space(snapshot, &mut readings)?;
    }
    if asks(&[Resource::Undo]) {
        reader.undo_space(&mut readings)?;
    }
    Ok((readings, reader.unreadable))
}

/// User sessions in a call, counted in the snapshot.
fn active_sessions(snapshot: &Snapshot, readings: &mut Readings) {
    for instance in snapshot.instances().iter().filter(|instance| instance.complete) {
        let active = (0..snapshot.rows()).filter(|row| {
            snapshot.id(*row, Column::InstId) == Some(instance.inst_id)
                && snapshot.text(*row, Column::Status) == Some("ACTIVE")
                && snapshot.text(*row, Column::Type) == Some("USER")
        });
        let used = i64::try_from(active.count()).unwrap_or(i64::MAX);
        readings.set(
            instance.inst_id,
            Resource::ActiveSessions,
            Reading { used, limit: None },
        );
    }
}

impl Reader<'_> {
    /// GV$RESOURCE_LIMIT tells of the whole instance, and only in the root or without containers. In a PDB its own
    /// SESSIONS parameter stands against the sessions seen.
    fn resource_limits(&mut self, snapshot: &Snapshot, readings: &mut Readings) -> Result<(), Error> {
        if self.capabilities.con_id.is_some_and(|con_id| con_id > 1) {
            let parameters = self.limiting_parameters()?;
            for instance in snapshot.instances().iter().filter(|instance| instance.complete) {
                let seen =
                    (0..snapshot.rows()).filter(|row| snapshot.id(*row, Column::InstId) == Some(instance.inst_id));
                let limit = parameters
                    .get(&(instance.inst_id, "sessions".to_owned()))
                    .and_then(|value| value.trim().parse().ok());
                let used = i64::try_from(seen.count()).unwrap_or(i64::MAX);
                readings.set(instance.inst_id, Resource::Sessions, Reading { used, limit });
            }
            return Ok(());
        }
        let rows = self.rows_if_readable(&sql::resource_limits(), |row| {
            let resource = match text(row, 1)?.as_str() {
                "sessions" => Resource::Sessions,
                "processes" => Resource::Processes,
                "transactions" => Resource::Transactions,
                _ => return None,
            };
            // UNLIMITED is no number, so there is no limit then.
            let limit = text(row, 3).and_then(|limit| limit.trim().parse().ok());
            Some((
                id(row, 0)?,
                resource,
                Reading {
                    used: number(row, 2)?,
                    limit,
                },
            ))
        })?;
        for (inst_id, resource, reading) in rows.unwrap_or_default() {
            readings.set(inst_id, resource, reading);
        }
        Ok(())
    }

    fn limiting_parameters(&mut self) -> Result<HashMap<(u32, String), String>, Error> {
        let rows = self.rows_if_readable(&sql::limiting_parameters(), |row| {
            Some(((id(row, 0)?, text(row, 1)?), text(row, 2)?))
        })?;
        Ok(rows.unwrap_or_default().into_iter().collect())
    }

    fn pga(&mut self, readings: &mut Readings) -> Result<(), Error> {
        let rows = self.rows_if_readable(&sql::pga(), |row| Some((id(row, 0)?, number(row, 1)?)))?;
        let parameters = self.limiting_parameters()?;
        for (inst_id, used) in rows.unwrap_or_default() {
            // 0 means no limit; before 12.1 there is no such parameter.
            let limit = parameters
                .get(&(inst_id, "pga_aggregate_limit".to_owned()))
                .and_then(|value| value.trim().parse().ok())
                .filter(|limit: &i64| *limit > 0);
            readings.set(inst_id, Resource::Pga, Reading { used, limit });
        }
        Ok(())
    }

    /// The fullest temporary tablespace, which all instances share.
    fn temp_space(&mut self, snapshot: &Snapshot, readings: &mut Readings) -> Result<(), Error> {
        let rows = self.rows_if_readable(&sql::temp_space(), |row| {
            let (size, free) = (number(row, 1)?, number(row, 2)?);
            (size > 0).then_some((size, size.saturating_sub(free)))
        })?;
        let fullest = rows
            .unwrap_or_default()
            .into_iter()
            .max_by_key(|(size, used)| i128::from(*used) * 1_000_000 / i128::from(*size));
        if let Some((size, used)) = fullest {
            for instance in snapshot.instances() {
                let limit = Some(size);
                readings.set(instance.inst_id, Resource::Temp, Reading { used, limit });
            }
        }
        Ok(())
    }

    /// What open transactions hold of their instance's undo tablespace: what is merely retained can be reused.
    fn undo_space(&mut self, readings: &mut Readings) -> Result<(), Error> {
        let Some(block_size) = self.capabilities.block_size else {
            return Ok(());
        };
        let transactions = self.rows_if_readable(&sql::transactions(Address::Any), |row| {
            Some((id(row, 0)?, number(row, 4)?))
        })?;
        let files = self.rows_if_readable(&sql::data_files(), |row| {
            Some((text(row, 0)?, number(row, 1)?.max(number(row, 2).unwrap_or(0))))
        })?;
        let (Some(transactions), Some(files)) = (transactions, files) else {
            return Ok(());
        };
        let mut sizes: HashMap<String, i64> = HashMap::new();
        for (name, bytes) in files {
            let size = sizes.entry(name).or_default();
            *size = size.saturating_add(bytes);
        }
        for ((inst_id, name), tablespace) in self.limiting_parameters()? {
            if name != "undo_tablespace" {
                continue;
            }
            let of_instance = transactions.iter().filter(|(of, _)| *of == inst_id);
            let blocks: i64 = of_instance.fold(0, |sum, (_, blocks)| sum.saturating_add(*blocks));
            let used = blocks.saturating_mul(block_size);
            let limit = sizes.get(&tablespace).copied();
            readings.set(inst_id, Resource::Undo, Reading { used, limit });
        }
        Ok(())
    }
}
