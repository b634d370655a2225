//! Reads the views beside GV$SESSION that a snapshot needs, each by itself, and hands them on to be joined.

use std::collections::HashMap;

use crate::decide::protect::is_unnamed_server_process;
use crate::oracle::Cell;
use crate::oracle::capabilities::Container;
use crate::oracle::error::Error;
use crate::oracle::probe::{WITH_CONTAINERS, id, number, text, time};
use crate::oracle::read::{SnapshotReader, any_program};
use crate::oracle::sql::{self, Address, Scope};
use crate::session::census::kinds;
use crate::session::column::{Column, Columns, Source};
use crate::session::snapshot::{
    AccountRow, Joining, ParallelServer, ProcessRow, Snapshot, StatisticsRow, TempRow, TransactionRow,
};

impl SnapshotReader<'_> {
    /// The rows of another view to read: `None` if no session refers to it, one row for one session.
    fn address(&self, sessions: &Snapshot, column: Column) -> Option<Address> {
        match self.scope {
            Scope::One { inst_id, .. } => {
                let address = (0..sessions.rows()).find_map(|row| sessions.text(row, column))?;
                Some(Address::Of {
                    inst_id,
                    address: address.to_owned(),
                })
            }
            Scope::All => (0..sessions.rows())
                .any(|row| sessions.text(row, column).is_some())
                .then_some(Address::Any),
        }
    }

    pub(super) fn join_transactions(&mut self, joining: &mut Joining) -> Result<(), Error> {
        let block_size = self.capabilities.block_size;
        let sessions = joining.sessions();
        // One that TADDR does not show, as during an autonomous transaction, is found where somebody's is, also if he was only counted.
        let is_shown = (0..sessions.rows()).any(|row| sessions.text(row, Column::Taddr).is_some());
        if !is_shown && !kinds(sessions).any(|kind| kind.in_transaction) {
            joining.join_transactions(&[]);
            return Ok(());
        }
        // A transaction without a parent shows zeros.
        let xid = |row: &[Cell<'_>], at| Some((number(row, at)?, number(row, at + 1)?, number(row, at + 2)?));
        let rows = self.rows_if_readable(&sql::transactions(), |row| {
            Some(TransactionRow {
                inst_id: id(row, 0)?,
                addr: text(row, 1)?,
                started: time(row, 2),
                status: text(row, 12),
                undo_records: number(row, 3),
                undo_bytes: number(row, 4)
                    .zip(block_size)
                    .map(|(blocks, size)| blocks.saturating_mul(size)),
                ses_addr: text(row, 5),
                xid: xid(row, 6),
                parent: xid(row, 9).filter(|parent| *parent != (0, 0, 0)),
            })
        })?;
        if let Some(rows) = rows {
            joining.join_transactions(&rows);
        }
        Ok(())
    }

    pub(super) fn join_processes(&mut self, joining: &mut Joining) -> Result<(), Error> {
        let Some(address) = self.address(joining.sessions(), Column::Paddr) else {
            joining.join_processes(&[]);
            return Ok(());
        };
        let rows = self.rows_if_readable(&sql::processes(address), |row| {
            Some(ProcessRow {
                inst_id: id(row, 0)?,
                addr: text(row, 1)?,
                spid: text(row, 2),
                pga: number(row, 3),
                name: text(row, 4),
            })
        })?;
        if let Some(rows) = rows {
            joining.join_processes(&rows);
        }
        Ok(())
    }

    pub(super) fn join_temp(&mut self, joining: &mut Joining) -> Result<(), Error> {
        let Some(address) = self.address(joining.sessions(), Column::Saddr) else {
            return Ok(());
        };
        let blocks = &self.capabilities.tablespace_blocks;
        let block_size = self.capabilities.block_size;
        let mut unknown_size = false;
        let rows = self.rows_if_readable(&sql::temp(address), |row| {
            let size = text(row, 2).and_then(|name| blocks.get(&name).copied()).or(block_size);
            unknown_size |= size.is_none();
            Some(TempRow {
                inst_id: id(row, 0)?,
                saddr: text(row, 1)?,
                bytes: number(row, 3)?.saturating_mul(size?),
            })
        })?;
        // A segment of unknown size would make its session's temp too small.
        if let Some(rows) = rows.filter(|_| !unknown_size) {
            joining.join_temp(&rows);
        }
        Ok(())
    }

    pub(super) fn join_statistics(&mut self, joining: &mut Joining) -> Result<(), Error> {
        let known = self.capabilities.statistics;
        let numbers = known.numbers();
        if numbers.is_empty() {
            return Ok(());
        }
        let rows = self.rows_if_readable(&sql::statistics(&numbers, self.scope), |row| {
            Some((id(row, 0)?, id(row, 1)?, number(row, 2)?, number(row, 3)?))
        })?;
        let Some(rows) = rows else { return Ok(()) };
        let mut by_seat: HashMap<(u32, u32), StatisticsRow> = HashMap::new();
        for (inst_id, sid, statistic, value) in rows {
            let of_session = by_seat.entry((inst_id, sid)).or_insert(StatisticsRow {
                inst_id,
                sid,
                cpu: None,
                logical_reads: None,
                physical_reads: None,
                redo: None,
            });
            let places = [
                (known.cpu, &mut of_session.cpu),
                (known.logical_reads, &mut of_session.logical_reads),
                (known.physical_reads, &mut of_session.physical_reads),
                (known.redo, &mut of_session.redo),
            ];
            for (number, place) in places {
                if number == Some(statistic) {
                    *place = Some(value);
                }
            }
        }
        let rows: Vec<StatisticsRow> = by_seat.into_values().collect();
        joining.join_statistics(&rows);
        Ok(())
    }

    /// The accounts in the data dictionary. Where ORACLE_MAINTAINED does not exist, it is missing.
    pub(super) fn join_accounts(&mut self, joining: &mut Joining) -> Result<(), Error> {
        let sessions = joining.sessions();
        let only = match self.scope {
            Scope::One { .. } => (0..sessions.rows()).find_map(|row| sessions.text(row, Column::Username)),
            Scope::All => None,
        };
        if self.scope != Scope::All && only.is_none() {
            return Ok(());
        }
        let in_root = self.capabilities.container() == Container::Root;
        let has_maintained = self.capabilities.release.at_least(WITH_CONTAINERS.0, WITH_CONTAINERS.1);
        let query = sql::accounts(in_root, has_maintained, only);
        let rows = self.rows_if_readable(&query, |row| {
            Some(AccountRow {
                username: text(row, 0)?,
                status: text(row, 1),
                profile: text(row, 2),
                oracle_maintained: text(row, 3),
                con_id: if in_root { Some(id(row, 4)?) } else { None },
            })
        })?;
        if let Some(rows) = rows {
            joining.join_accounts(&rows);
        }
        Ok(())
    }

    /// GV$PX_SESSION is read if the number of a session's servers is wanted, or if some PROGRAM is that of a parallel server as Oracle
    /// writes it, or may be a cut form of it, also where not all sessions were read. A session shows nothing of its servers, so all rows
    /// are read for that number.
    pub(super) fn join_parallel_servers(&mut self, joining: &mut Joining, wanted: Columns) -> Result<(), Error> {
        let counted = wanted.needs(Source::ParallelServers);
        let may_be_one = |program: &str| program.contains("(P") || is_unnamed_server_process(program);
        // Where only a part of the sessions was read, the others may be those whose PROGRAM says so.
        let all_read = joining.sessions().counted().is_none();
        if !counted && all_read && !any_program(joining.sessions(), may_be_one) {
            return Ok(());
        }
        let scope = if counted { Scope::All } else { self.scope };
        let rows = self.rows_if_readable(&sql::parallel_servers(scope), |row| {
            let (inst_id, sid) = (id(row, 0)?, id(row, 1)?);
            let server = ParallelServer {
                inst_id,
                sid,
                serial: id(row, 2)?,
                coordinator_inst_id: id(row, 3).unwrap_or(inst_id),
                coordinator_sid: id(row, 4)?,
            };
            // The coordinator has a row of its own here.
            let is_coordinator = (server.coordinator_inst_id, server.coordinator_sid) == (inst_id, sid);
            (!is_coordinator).then_some((server, id(row, 5)))
        })?;
        let Some(rows) = rows else { return Ok(()) };
        if counted {
            let of_whom = rows
                .iter()
                .map(|(server, serial)| (server.coordinator_inst_id, server.coordinator_sid, *serial));
            joining.count_parallel_servers(&of_whom.collect::<Vec<_>>());
        }
        joining.join_parallel_servers(rows.into_iter().map(|(server, _)| server).collect());
        Ok(())
    }
}
