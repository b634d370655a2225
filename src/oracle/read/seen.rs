//! What the rows of GV$SESSION show of other rows that are needed, where only a part is read.

use std::collections::{BTreeSet, HashSet};

use crate::decide::shared_process::has_a_process;
use crate::oracle::probe::{id, text};
use crate::session::column::Column;
use crate::session::snapshot::Cell;

/// What rows show of other rows that are needed.
#[derive(Debug, Default)]
pub(super) struct SeenRows {
    places: Places,
    /// The instances that showed a row in each query so far.
    pub(super) answered: Option<HashSet<u32>>,
    /// INST_ID and SID of each row.
    pub(super) seats: HashSet<(u32, u32)>,
    /// INST_ID and SID of those that somebody waits for.
    pub(super) blockers: BTreeSet<(u32, u32)>,
    /// INST_ID and PADDR of those that have a server process.
    pub(super) processes: HashSet<(u32, String)>,
}

/// Where a row has these columns.
#[derive(Debug, Default)]
struct Places {
    inst_id: Option<usize>,
    sid: Option<usize>,
    blocking: Option<[usize; 3]>,
    process: Option<[usize; 2]>,
}

impl SeenRows {
    pub(super) fn of(columns: &[Column]) -> SeenRows {
        let place = |column: Column| columns.iter().position(|one| *one == column);
        let blocking = || {
            Some([
                place(Column::BlockingSessionStatus)?,
                place(Column::BlockingInstance)?,
                place(Column::BlockingSession)?,
            ])
        };
        let process = || Some([place(Column::Server)?, place(Column::Paddr)?]);
        let places = Places {
            inst_id: place(Column::InstId),
            sid: place(Column::Sid),
            blocking: blocking(),
            process: process(),
        };
        SeenRows {
            places,
            ..SeenRows::default()
        }
    }

    /// INST_ID of a row.
    pub(super) fn instance(&self, row: &[Cell<'_>]) -> Option<u32> {
        id(row, self.places.inst_id?)
    }

    /// A query is over, in which these instances showed a row.
    pub(super) fn note_answers(&mut self, shown: HashSet<u32>) {
        self.answered = Some(match self.answered.take() {
            Some(before) => &before & &shown,
            None => shown,
        });
    }

    /// Takes note of a row; false if its session was seen before.
    pub(super) fn note(&mut self, row: &[Cell<'_>]) -> bool {
        let places = &self.places;
        let at = |place: Option<usize>| id(row, place?);
        let (Some(inst_id), Some(sid)) = (at(places.inst_id), at(places.sid)) else {
            return true;
        };
        if let Some([status, instance, session]) = places.blocking
            && text(row, status).as_deref() == Some("VALID")
            && let Some(session) = id(row, session)
        {
            // Without BLOCKING_INSTANCE it is of the own instance, if there is only one.
            self.blockers.insert((id(row, instance).unwrap_or(inst_id), session));
        }
        if let Some([server, paddr]) = places.process
            && has_a_process(text(row, server).as_deref())
            && let Some(paddr) = text(row, paddr)
        {
            self.processes.insert((inst_id, paddr));
        }
        self.seats.insert((inst_id, sid))
    }
}
