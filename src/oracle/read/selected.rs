//! Reads a part of the sessions, and the number of all: what [`crate::rows_needed`] says that the policies need.
//!
//! First come those that a clause selects; then, by INST_ID and SID, those who have to be there and were not among them: sessions
//! that memory looks at again, and those that somebody waits for; then those that share a server process with one of them; and
//! a count of all sessions by kind. These are several moments, as the views beside GV$SESSION are. A session that came to satisfy the
//! clause between two queries is found by the next snapshot, as one is that came to satisfy the condition after the only query.
//!
//! In a cluster each query of rows shows a background process of every instance that answers it. Where an instance answered one query
//! and not another, its sessions would seem to be gone: all sessions are read then.

use std::collections::{BTreeSet, HashMap};

use crate::oracle::Query;
use crate::oracle::error::Error;
use crate::oracle::probe::{id, number, text, time};
use crate::oracle::read::{SessionRows, SnapshotReader};
use crate::oracle::sql::selected::{AT_ONCE, counts, of_processes, of_seats, selected, shared_processes};
use crate::oracle::sql::{self, Scope};
use crate::policy::implied::RowClause;
use crate::rows_needed::{RowsNeeded, WantedRows};
use crate::session::column::{Column, Columns};
use crate::session::extent::{CountedGroups, CountedSessions, GroupValues, PartOfSessions};
use crate::session::snapshot::{Cell, SnapshotClock};
use crate::session::time::DbTime;

/// If more sessions than this have to be read one by one, or so many processes are shared, all sessions are read at once.
const MOST_ONE_BY_ONE: usize = 20 * AT_ONCE;

/// Whether the clock shows less than at the last snapshot. What is remembered is dated anew then, so that other logins are needed.
fn was_set_back(needed: &RowsNeeded, clock: Option<SnapshotClock>) -> bool {
    let now = clock.and_then(|clock| clock.now.to_utc(clock.utc_offset));
    now.zip(needed.after).is_some_and(|(now, last)| now < last)
}

/// Since when logins are needed: also those while this is read. Whoever was there before a session was ended has not come back for it.
fn logins_since(needed: &RowsNeeded, clock: Option<SnapshotClock>) -> Option<DbTime> {
    let offset = clock.map_or(0, |clock| i64::from(clock.utc_offset));
    let of_memory = needed
        .logins_since
        .map(|since| DbTime(since.timestamp().saturating_add(offset)));
    of_memory.into_iter().chain(clock.map(|clock| clock.now)).min()
}

impl SnapshotReader<'_> {
    /// The sessions that are needed; `None` if it is less work to read all.
    pub(super) fn selected_sessions(
        &mut self,
        columns: Columns,
        (needed, wanted): (&RowsNeeded, &WantedRows),
        clock: Option<SnapshotClock>,
    ) -> Result<Option<(SessionRows, PartOfSessions)>, Error> {
        let (form, cluster) = (self.capabilities.texts, self.capabilities.cluster);
        let (all, columns) = sql::sessions(columns, self.capabilities.columns, Scope::All, form);
        if was_set_back(needed, clock) {
            return Ok(None);
        }
        let clause = match &wanted.clause {
            RowClause::Those(clause) => Some(&**clause),
            RowClause::Nobody => None,
            RowClause::Everybody => return Ok(None),
        };
        let mut rows = SessionRows::of(&columns);
        let query = selected(&all, clause, wanted.blockers, cluster, logins_since(needed, clock));
        self.fetch_sessions(&query, &columns, &mut rows)?;
        let mut asked: BTreeSet<(u32, u32)> = needed.seats.iter().copied().collect();
        if wanted.blockers {
            asked.extend(&rows.seen.blockers);
        }
        let missing: Vec<(u32, u32)> = asked
            .iter()
            .copied()
            .filter(|seat| !rows.seen.seats.contains(seat))
            .collect();
        if missing.len() > MOST_ONE_BY_ONE {
            return Ok(None);
        }
        for some in missing.chunks(AT_ONCE) {
            self.fetch_sessions(&of_seats(&all, some, cluster), &columns, &mut rows)?;
        }
        if wanted.processes && !self.sharers(&all, &columns, &mut rows)? {
            return Ok(None);
        }
        let counted = self.counts(&counts(self.capabilities.columns.contains(Column::ConId)))?;
        let groups = wanted.groups.iter().map(|per| self.groups(per));
        let groups = groups.collect::<Result<Vec<CountedGroups>, Error>>()?;
        rows.instances_seen = counted.iter().map(|alike| alike.inst_id).collect();
        // One that answered this query and not another one would seem to have lost its sessions.
        let has_answered = |inst_id: &u32| rows.seen.answered.as_ref().is_some_and(|all| all.contains(inst_id));
        if cluster && !rows.instances_seen.iter().all(has_answered) {
            return Ok(None);
        }
        asked.extend(&rows.seen.seats);
        let seats = asked.into_iter().collect();
        let part = PartOfSessions { counted, seats, groups };
        Ok(Some((rows, part)))
    }

    /// Adds the sessions that share a server process with one of the rows; false if there are too many processes.
    fn sharers(&mut self, all: &Query, columns: &[Column], rows: &mut SessionRows) -> Result<bool, Error> {
        let shared = self.rows(&shared_processes(), |row| Some((id(row, 0)?, text(row, 1)?)))?;
        let shared = shared
            .into_iter()
            .filter(|process| rows.seen.processes.contains(process));
        let shared: Vec<(u32, String)> = shared.collect();
        if shared.len() > MOST_ONE_BY_ONE {
            return Ok(false);
        }
        for some in shared.chunks(AT_ONCE) {
            self.fetch_sessions(&of_processes(all, some, self.capabilities.cluster), columns, rows)?;
        }
        Ok(true)
    }

    fn groups(&mut self, per: &[Column]) -> Result<CountedGroups, Error> {
        let query = sql::selected::groups(per, self.capabilities.texts);
        let columns: Vec<Column> = [Column::InstId, Column::Sid]
            .into_iter()
            .chain(per.iter().copied())
            .collect();
        let mut sessions: HashMap<(u32, GroupValues), u32> = HashMap::new();
        self.fetch(&query, &columns, |row| {
            let value = |cell: &Cell<'_>| match cell {
                // As in a snapshot: old Windows clients send MACHINE with a trailing NUL.
                Cell::Text(text) => Some(text.trim_end_matches('\0').to_owned()).filter(|text| !text.is_empty()),
                Cell::Number(number) => Some(number.to_string()),
                Cell::Time(time) => Some(time.0.to_string()),
                Cell::Null => None,
            };
            if let (Some(inst_id), Some(count)) = (id(row, 0), id(row, 1)) {
                let values = row.iter().skip(2).map(value).collect();
                let sum = sessions.entry((inst_id, values)).or_insert(0);
                *sum = sum.saturating_add(count);
            }
            Ok(())
        })?;
        let per = per.to_vec();
        Ok(CountedGroups { per, sessions })
    }

    fn counts(&mut self, query: &Query) -> Result<Vec<CountedSessions>, Error> {
        self.rows(query, |row| {
            Some(CountedSessions {
                inst_id: id(row, 0)?,
                session_type: text(row, 1),
                status: text(row, 2),
                con_id: id(row, 3),
                in_transaction: number(row, 4) == Some(1),
                idle: id(row, 5).map(|class| class as usize),
                sessions: usize::try_from(number(row, 6)?).ok()?,
                last_logon: time(row, 7),
            })
        })
    }
}
