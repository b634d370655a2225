//! By what the calls of a session are seen: the definition that [`super`] explains.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::clocks::TOLERANCE;
use crate::decide::ledger::later;
use crate::policy::condition::SessionStatus;
use crate::session::column::Column;
use crate::session::snapshot::{Field, Snapshot};
use crate::session::time::DbTime;

/// A validation takes up to a second, and LAST_CALL_ET is exact to three.
const VALIDATION_SECONDS: i64 = 4;

/// A call that a session has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeenCall {
    /// It looks like a pool's validation.
    Validation,
    /// Any other.
    Other,
}

/// The values of a session by which its calls are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallSigns<'a> {
    /// When they were read.
    pub(super) at: DateTime<Utc>,
    status: Option<SessionStatus>,
    last_call_et: Option<i64>,
    /// SQL_ID. `None`: not read; `Some(None)`: NULL.
    pub(super) sql_id: Option<Option<Cow<'a, str>>>,
    /// PREV_SQL_ID.
    pub(super) prev_sql_id: Option<Cow<'a, str>>,
    /// By the database's own clock.
    prev_exec_start: Option<i64>,
    /// When its last call ended or began, by the same clock.
    last_call: Option<i64>,
    /// Whether it is known to have no transaction.
    no_transaction: bool,
}

impl<'a> CallSigns<'a> {
    /// Of a row of the snapshot that was taken at this time.
    pub(crate) fn of(snapshot: &'a Snapshot, row: usize, at: DateTime<Utc>) -> CallSigns<'a> {
        let last_call_et = snapshot.number(row, Column::LastCallEt);
        let clock = snapshot.clock().map(|clock| clock.now.0);
        CallSigns {
            at,
            status: snapshot.text(row, Column::Status).and_then(SessionStatus::named),
            last_call_et,
            sql_id: match snapshot.field(row, Column::SqlId) {
                Field::Missing | Field::Number(_) => None,
                Field::Null => Some(None),
                Field::Text(text) => Some(Some(Cow::Borrowed(text))),
            },
            prev_sql_id: snapshot.text(row, Column::PrevSqlId).map(Cow::Borrowed),
            prev_exec_start: snapshot.number(row, Column::PrevExecStart),
            last_call: clock.zip(last_call_et).map(|(clock, et)| clock.saturating_sub(et)),
            no_transaction: snapshot.has(Column::Taddr) && snapshot.text(row, Column::Taddr).is_none(),
        }
    }

    /// From values that were written down. What is not there was not read.
    pub(crate) fn restored(
        at: DateTime<Utc>,
        status: Option<&str>,
        last_call_et: Option<i64>,
        sql_id: Option<Option<&str>>,
        (prev_sql_id, prev_exec_start): (Option<&str>, Option<DbTime>),
    ) -> CallSigns<'static> {
        let owned = |text: &str| Cow::Owned(text.to_owned());
        CallSigns {
            at,
            status: status.and_then(SessionStatus::named),
            last_call_et,
            sql_id: sql_id.map(|text| text.map(owned)),
            prev_sql_id: prev_sql_id.map(owned),
            prev_exec_start: prev_exec_start.map(|time| time.0),
            last_call: None,
            no_transaction: false,
        }
    }

    /// The same, to be kept.
    pub(crate) fn into_owned(self) -> CallSigns<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let without = self.without_texts();
        CallSigns {
            sql_id: self.sql_id.map(|text| text.map(owned)),
            prev_sql_id: self.prev_sql_id.map(owned),
            ..without
        }
    }

    /// The same without its texts.
    pub(super) const fn without_texts(&self) -> CallSigns<'static> {
        CallSigns {
            at: self.at,
            status: self.status,
            last_call_et: self.last_call_et,
            sql_id: None,
            prev_sql_id: None,
            prev_exec_start: self.prev_exec_start,
            last_call: self.last_call,
            no_transaction: self.no_transaction,
        }
    }

    /// Whether somebody or something ended the session since then, and its row is still there.
    pub(crate) fn was_taken_since(&self, before: &CallSigns<'_>) -> bool {
        self.is_dead() && self.status != before.status
    }

    /// Whether it can make no call any more.
    const fn is_dead(&self) -> bool {
        matches!(self.status, Some(SessionStatus::Killed | SessionStatus::Sniped))
    }

    /// The call that the session has made since then, if it has made one.
    pub(crate) fn call_since(&self, before: &CallSigns<'_>) -> Option<SeenCall> {
        if self.is_dead() {
            return None;
        }
        let both = |one: Option<i64>, two: Option<i64>| one.zip(two);
        let fell = both(before.last_call_et, self.last_call_et).is_some_and(|(before_et, et)| {
            let passed = (self.at - before.at - TOLERANCE).num_seconds();
            et < before_et || et < before_et.saturating_add(passed)
        });
        let status = before
            .status
            .zip(self.status)
            .is_some_and(|(before, now)| before != now);
        let statement = match (&before.sql_id, &self.sql_id) {
            (Some(before), Some(Some(now))) => before.as_ref() != Some(now),
            (None, _) | (_, None | Some(None)) => false,
        };
        if !(fell || status || statement) {
            return None;
        }
        Some(if !status && !statement && self.is_validation(before) {
            SeenCall::Validation
        } else {
            SeenCall::Other
        })
    }

    /// Whether the last call ran nothing, or in no time what had run before.
    fn is_validation(&self, before: &CallSigns<'_>) -> bool {
        let idle = Some(SessionStatus::Inactive);
        let same_statement = self.prev_sql_id.is_some() && self.prev_sql_id == before.prev_sql_id;
        let started = self.prev_exec_start.zip(before.prev_exec_start);
        let short = started.is_some_and(|(now, before)| {
            let took = self.last_call.map(|ended| ended - now);
            now == before || took.is_some_and(|took| took <= VALIDATION_SECONDS)
        });
        self.status == idle
            && before.status == idle
            && self.no_transaction
            && self.sql_id == Some(None)
            && same_statement
            && short
    }

    /// The call that the session has made since then, with the seconds that it had been idle before.
    pub(crate) fn call_after_idle(&self, before: &CallSigns<'_>) -> Option<(SeenCall, i64)> {
        let idle = before.idle_for()?;
        let call = self.call_since(before)?;
        let waited = self.last_call_after(before.at) - before.at;
        Some((call, idle.saturating_add(waited.num_seconds())))
    }

    /// For how many seconds it has been idle, if it is.
    pub(crate) fn idle_for(&self) -> Option<i64> {
        (self.status == Some(SessionStatus::Inactive)).then_some(self.last_call_et?)
    }

    /// Takes over what was read last. Texts are copied only if they are others.
    pub(crate) fn replace_by(&mut self, signs: &CallSigns<'_>) {
        *self = if self.sql_id == signs.sql_id && self.prev_sql_id == signs.prev_sql_id {
            CallSigns {
                sql_id: self.sql_id.take(),
                prev_sql_id: self.prev_sql_id.take(),
                ..signs.without_texts()
            }
        } else {
            signs.clone().into_owned()
        };
    }

    /// When the last call was, as far as it lies after `before`.
    pub(crate) fn last_call_after(&self, before: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = self.last_call_et.and_then(TimeDelta::try_seconds);
        seconds.map_or(self.at, |ago| later(self.at, -ago).clamp(before.min(self.at), self.at))
    }
}
