//! From a story's moment to the snapshot that the pipeline takes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::outcome::Outcome;
use crate::policy::pressure::Resource;
use crate::pressure::{Reading, Readings};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::snapshot::{Cell, Clock, Instance, ParallelServer, Snapshot, SnapshotSource, TransactionRow};
use crate::session::time::DbTime;
use crate::story::raw::{RawMoment, RawSession, Scalar, StoryError, Timeline, instant, seconds, session_column};

/// One snapshot of a story, its time read.
pub(crate) struct Moment<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) standstill: Option<String>,
    raw: &'a RawMoment,
}

impl Timeline {
    pub(crate) fn moments(&self) -> Result<Vec<Moment<'_>>, StoryError> {
        let moments: Vec<Moment<'_>> = self
            .snapshots
            .iter()
            .map(|raw| {
                Ok(Moment {
                    at: instant(&raw.at)?,
                    standstill: raw.standstill.clone(),
                    raw,
                })
            })
            .collect::<Result<_, StoryError>>()?;
        match moments.windows(2).find(|pair| pair[0].at >= pair[1].at) {
            Some(pair) => Err(StoryError(format!(
                "the snapshot at {} does not come after the one before it",
                pair[1].at
            ))),
            None => Ok(moments),
        }
    }
}

/// One session with all its columns.
type Row = BTreeMap<Column, Scalar>;

impl Moment<'_> {
    /// What Oracle answers to an action on the session.
    pub(crate) fn answer(&self, key: SessionKey) -> Result<Outcome, StoryError> {
        match self.raw.answers.get(&key.to_string()) {
            None => Ok(Outcome::Done),
            Some(name) => {
                Outcome::named(name).ok_or_else(|| StoryError(format!("{name:?} is no outcome of an action")))
            }
        }
    }

    /// The policy files that are in force from now on, if they change.
    pub(crate) fn reload(&self) -> Option<&[String]> {
        self.raw.reload.as_deref()
    }

    pub(crate) fn readings(&self) -> Result<Readings, StoryError> {
        let mut readings = Readings::default();
        for (inst_id, resources) in &self.raw.pressure {
            for (name, amount) in resources {
                let wrong = || {
                    StoryError(format!(
                        "{name}: {amount:?} is no reading: expected USED/LIMIT, or USED alone"
                    ))
                };
                let resource = Resource::ALL
                    .into_iter()
                    .find(|resource| resource.name() == name)
                    .ok_or_else(wrong)?;
                let (used, limit) = amount
                    .split_once('/')
                    .map_or((amount.as_str(), None), |(used, of)| (used, Some(of)));
                let limit = limit.map(str::parse).transpose().map_err(|_| wrong())?;
                readings.set(
                    *inst_id,
                    resource,
                    Reading {
                        used: used.parse().map_err(|_| wrong())?,
                        limit,
                    },
                );
            }
        }
        Ok(readings)
    }

    pub(crate) fn snapshot(&self, defaults: &Row, wanted: Columns) -> Result<Snapshot, StoryError> {
        let missing = self
            .raw
            .missing
            .iter()
            .map(|name| session_column(name))
            .collect::<Result<Vec<_>, _>>()?;
        let read: Vec<Column> = Column::ALL
            .iter()
            .copied()
            .filter(|column| column.source() == Source::Session && !missing.contains(column))
            .collect();
        let mut builder = Snapshot::builder(SnapshotSource::Live, &read);
        let mut transactions = Vec::new();
        let mut servers = Vec::new();
        let mut instances: BTreeMap<u32, bool> = BTreeMap::new();
        for session in &self.raw.sessions {
            for number in 0..session.repeat.unwrap_or(1) {
                let row = self.row(session, number, defaults, &mut transactions)?;
                if let Some(Scalar::Number(inst_id)) = row.get(&Column::InstId) {
                    instances.insert(u32::try_from(*inst_id).unwrap_or(0), true);
                }
                servers.extend(parallel_server(session, &row));
                push(&mut builder, &read, &row)?;
            }
        }
        instances.extend(self.raw.empty.iter().map(|inst_id| (*inst_id, true)));
        if instances.is_empty() {
            instances.insert(1, true);
        }
        instances.extend(self.raw.partial.iter().map(|inst_id| (*inst_id, false)));
        let instances = instances
            .into_iter()
            .map(|(inst_id, complete)| Instance {
                inst_id,
                name: format!("inst{inst_id}"),
                complete,
            })
            .collect();
        let clock = Clock {
            now: DbTime(self.at.timestamp()),
            utc_offset: 0,
        };
        let mut joining = builder.finish(Some(clock), instances);
        joining.join_transactions(&transactions);
        joining.join_parallel_servers(servers);
        Ok(joining.finish(wanted))
    }

    fn row(
        &self,
        session: &RawSession,
        number: u32,
        defaults: &Row,
        transactions: &mut Vec<TransactionRow>,
    ) -> Result<Row, StoryError> {
        let mut row = usual();
        row.extend(defaults.clone());
        for (name, value) in &session.columns {
            row.insert(session_column(name)?, value.clone());
        }
        let sid = match row.get(&Column::Sid) {
            Some(Scalar::Number(sid)) => sid + i64::from(number),
            Some(Scalar::Text(_) | Scalar::Null(())) | None => {
                return Err(StoryError(format!("a session of {} has no SID", self.raw.at)));
            }
        };
        row.insert(Column::Sid, Scalar::Number(sid));
        let inst_id = match row.get(&Column::InstId) {
            Some(Scalar::Number(inst_id)) => u32::try_from(*inst_id).unwrap_or(1),
            Some(Scalar::Text(_) | Scalar::Null(())) | None => 1,
        };
        if let Some(transaction) = &session.transaction {
            let addr = format!("{sid:016X}");
            row.insert(Column::Taddr, Scalar::Text(addr.clone()));
            let age = transaction.age.as_deref().map(seconds).transpose()?;
            transactions.push(TransactionRow {
                inst_id,
                addr,
                started: age.map(|age| DbTime(self.at.timestamp() - age)),
                undo_records: transaction.undo_records,
                undo_bytes: None,
            });
        }
        if let Some(blocked) = &session.blocked_by {
            row.insert(Column::BlockingSessionStatus, Scalar::Text("VALID".into()));
            row.insert(Column::BlockingSession, Scalar::Number(i64::from(blocked.sid)));
            row.insert(
                Column::BlockingInstance,
                Scalar::Number(i64::from(blocked.inst_id.unwrap_or(inst_id))),
            );
            row.insert(Column::State, Scalar::Text("WAITING".into()));
            row.insert(
                Column::WaitTimeMicro,
                Scalar::Number(seconds(&blocked.waited)?.saturating_mul(1_000_000)),
            );
        }
        Ok(row)
    }
}

/// The row of GV$PX_SESSION, if the session is a parallel server and is known by number.
fn parallel_server(session: &RawSession, row: &Row) -> Option<ParallelServer> {
    let id = |column| match row.get(&column) {
        Some(Scalar::Number(number)) => u32::try_from(*number).ok(),
        Some(Scalar::Text(_) | Scalar::Null(())) | None => None,
    };
    let inst_id = id(Column::InstId)?;
    Some(ParallelServer {
        inst_id,
        sid: id(Column::Sid)?,
        serial: id(Column::Serial)?,
        coordinator_inst_id: inst_id,
        coordinator_sid: session.parallel_server_of?,
    })
}

/// What a session is unless it says otherwise.
fn usual() -> Row {
    let text = |column, value: &str| (column, Scalar::Text(value.into()));
    let number = |column, value| (column, Scalar::Number(value));
    BTreeMap::from([
        number(Column::InstId, 1),
        number(Column::Serial, 1),
        number(Column::ConId, 0),
        text(Column::LogonTime, "2026-01-01T00:00:00Z"),
        text(Column::Type, "USER"),
        text(Column::Username, "APP"),
        text(Column::Schemaname, "APP"),
        text(Column::Status, "INACTIVE"),
        text(Column::Server, "DEDICATED"),
        text(Column::Program, "app@web01"),
        text(Column::Machine, "web01"),
        text(Column::Osuser, "app"),
        number(Column::LastCallEt, 0),
        text(Column::BlockingSessionStatus, "NO HOLDER"),
        number(Column::Ownerid, 2_147_483_644),
    ])
}

fn push(builder: &mut crate::session::snapshot::SnapshotBuilder, read: &[Column], row: &Row) -> Result<(), StoryError> {
    let texts: Vec<Option<String>> = read
        .iter()
        .map(|column| row.get(column).and_then(Scalar::text))
        .collect();
    let mut cells = Vec::with_capacity(read.len());
    for (column, text) in read.iter().zip(&texts) {
        cells.push(match (column.kind(), text) {
            (_, None) => Cell::Null,
            (Kind::Text, Some(text)) => Cell::Text(text),
            (Kind::Number | Kind::Duration | Kind::Size | Kind::Time, Some(_)) => {
                let number = row
                    .get(column)
                    .map(|value| value.number(*column))
                    .transpose()?
                    .flatten();
                number.map_or(Cell::Null, Cell::Number)
            }
        });
    }
    builder.push_row(&cells).map_err(|error| StoryError(error.to_string()))
}
