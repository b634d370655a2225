//! The `oci` driver: the `oracle` crate over ODPI-C and Oracle Client.
//!
//! The client library is loaded with the first connection; a host that uses only the thin driver does not need it. Loading it
//! installs handlers for signals that have none yet, so the daemon registers its own first.
//!
//! A call's limit is OCI's call timeout, which bounds one round trip and may need the same time again to clean up; it needs
//! client 18. Before a value is read, its length is compared with the size of its buffer: the lengths in an answer may be
//! wrong. Connecting gets its limit through the connect string and runs on a thread that may be abandoned.

use std::borrow::Cow;
use std::cell::Cell as ThreadCell;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oracle::sql_type::{FromSql, InnerValue, OracleType, Timestamp};
use oracle::{Connector, ErrorKind, InitParams, RowValue, SqlValue, Version};

use crate::oracle::connect_string::{whole_seconds, with_limits};
use crate::oracle::deadline::Deadline;
use crate::oracle::error::{Class, Error, Phase};
use crate::oracle::link::{Link, Native, Sockets, too_slow};
use crate::oracle::logoff::Logoffs;
use crate::oracle::row::RowBuffer;
use crate::oracle::sockets::SocketAttempt;
use crate::oracle::{
    Bind, BlockAnswer, Client, ConnectionIdentity, Driver, Login, MAX_STATEMENT, MODULE, MOST_ROWS, Purpose, Query,
    STATEMENT_CACHE, Sink, Target, calendar, db_time,
};

/// Within this many minutes the client notices a peer that vanished (client 19 and later).
const EXPIRE_TIME: u64 = 2;

/// The first client that knows Easy Connect Plus and EXPIRE_TIME.
const CLIENT_WITH_EASY_CONNECT_PLUS: i32 = 19;

/// The first client with a call timeout, without which a call may hang for ever.
const OLDEST_CLIENT: i32 = 18;

/// Makes the client library look for its files in this folder. The first folder applies to the whole process; the
/// configuration allows only one for all databases of this driver.
fn look_up_in(folder: &Path) -> oracle::Result<()> {
    static SET: Mutex<bool> = Mutex::new(false);
    let mut set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    if !*set {
        InitParams::new().oracle_client_config_dir(folder)?.init()?;
        *set = true;
    }
    Ok(())
}

/// The version of the installed client, which is loaded for it.
pub(super) fn client_version(tns_admin: Option<&Path>) -> Result<Client, Error> {
    let tried = "load Oracle Client";
    let failed = |error: oracle::Error| from_driver(&error, Phase::Connect, tried, Duration::ZERO);
    if let Some(folder) = tns_admin {
        look_up_in(folder).map_err(failed)?;
    }
    let client = Version::client().map_err(failed)?;
    Ok(Client {
        version: client.to_string(),
        bounds_calls: client.major() >= OLDEST_CLIENT,
        knows_easy_connect_plus: client.major() >= CLIENT_WITH_EASY_CONNECT_PLUS,
    })
}

/// Connects. May hang if the connect string is a TNS alias without a limit.
pub(super) fn connect(
    target: &Target,
    purpose: Purpose,
    limit: Duration,
    logoffs: Logoffs,
    attempt: &SocketAttempt,
) -> Result<Link<oracle::Connection>, Error> {
    let tried = target.connecting();
    let failed = |error: oracle::Error| from_driver(&error, Phase::Connect, &tried, limit);
    if let Some(folder) = &target.tns_admin {
        look_up_in(folder).map_err(failed)?;
    }
    let client = Version::client().map_err(failed)?;
    if client.major() < OLDEST_CLIENT {
        return Err(Error::new(
            Class::Config,
            tried,
            format!(
                "Oracle Client {client} has no call timeout: install Oracle Client {CLIENT_WITH_EASY_CONNECT_PLUS} or later"
            ),
        ));
    }
    let connect = if client.major() >= CLIENT_WITH_EASY_CONNECT_PLUS {
        with_limits(&target.connect, whole_seconds(limit), EXPIRE_TIME)
    } else {
        target.connect.clone()
    };
    let mut connector = match &target.login {
        Login::Password { user, password } => Connector::new(user.as_str(), password.reveal(), connect),
        Login::External => {
            let mut connector = Connector::new("", "", connect);
            connector.external_auth(true);
            connector
        }
    };
    connector.stmt_cache_size(STATEMENT_CACHE);
    let connection = connector.connect().map_err(failed)?;
    // The logoff obeys the limit of calls, so the socket need not be known.
    let sockets = Sockets {
        own: None,
        claim: Some(attempt.claim_new()),
    };
    let warning = connection.last_warning().map(|warning| warning.to_string());
    connection.set_call_timeout(Some(limit)).map_err(failed)?;
    connection.set_module(MODULE).map_err(failed)?;
    connection.set_action(purpose.name()).map_err(failed)?;
    if let Some(mark) = &target.mark {
        connection.set_client_info(mark).map_err(failed)?;
    }
    let identity = ConnectionIdentity {
        database: target.name.clone(),
        driver: Driver::Oci,
        purpose,
    };
    Ok(Link::new(connection, identity, warning, logoffs, sockets))
}

impl Native for oracle::Connection {
    fn set_limit(&self, limit: Duration, tried: &str) -> Result<(), Error> {
        self.set_call_timeout(Some(limit))
            .map_err(|error| from_driver(&error, Phase::Call, tried, limit))
    }

    fn most_rows(&self) -> u32 {
        MOST_ROWS
    }

    fn fetch(&self, query: &Query, limit: Duration, tried: &str, sink: &mut Sink<'_>) -> Result<u64, Error> {
        let failed = |error: oracle::Error| from_driver(&error, Phase::Call, tried, limit);
        let deadline = Deadline::begin(limit);
        let mut statement = self
            .statement(&query.sql)
            .fetch_array_size(query.fetch)
            .prefetch_rows(query.prefetch())
            .build()
            .map_err(failed)?;
        for (at, bind) in query.binds.iter().enumerate() {
            bind_value(&mut statement, at + 1, bind).map_err(failed)?;
        }
        let rows = statement.query_as::<RowBuffer>(&[]).map_err(failed)?;
        let columns = rows.column_info().len();
        if columns != query.columns.len() {
            let why = format!("{columns} columns where {} were expected", query.columns.len());
            return Err(Error::new(Class::Bug, tried, why));
        }
        let mut count = 0_u64;
        for row in rows {
            let row = row.map_err(failed)?;
            let flow = sink(
                &row.cells(&query.columns)
                    .map_err(|why| Error::new(Class::Bug, tried, why))?,
            );
            SPARE.set(row);
            count += 1;
            if flow.is_break() {
                break;
            }
            if count.is_multiple_of(u64::from(query.fetch)) && deadline.left().is_none() {
                return Err(too_slow(tried, deadline.limit()));
            }
        }
        Ok(count)
    }

    fn run_block(
        &self,
        block: &'static str,
        statement: &str,
        limit: Duration,
        tried: &str,
    ) -> Result<BlockAnswer, Error> {
        let run = || -> oracle::Result<BlockAnswer> {
            let mut block = self.statement(block).build()?;
            // As VARCHAR2, not the NVARCHAR2 that the crate sends by default: EXECUTE IMMEDIATE does not accept NVARCHAR2.
            block.bind(1, &(&statement, &varchar2(MAX_STATEMENT)))?;
            block.bind(2, &OracleType::Number(38, 0))?;
            block.bind(3, &varchar2(MESSAGE))?;
            block.execute(&[])?;
            let code: Option<i64> = block.bind_value(2)?;
            let text: Option<Message> = block.bind_value(3)?;
            Ok(BlockAnswer::new(code.unwrap_or(0), text.as_ref().map(|text| &*text.0)))
        };
        run().map_err(|error| from_driver(&error, Phase::Call, tried, limit))
    }

    fn ping(&self, limit: Duration, tried: &str) -> Result<(), Error> {
        oracle::Connection::ping(self).map_err(|error| from_driver(&error, Phase::Call, tried, limit))
    }
}

/// Size of the message that the block returns, in bytes.
const MESSAGE: usize = 512;

/// The message that the block returns.
struct Message(String);

impl FromSql for Message {
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign enum that stays open")]
    fn from_sql(value: &SqlValue<'_>) -> oracle::Result<Message> {
        match value.as_inner_value()? {
            InnerValue::Char(bytes) => Ok(Message(within(bytes, MESSAGE)?.into_owned())),
            _ => Ok(Message(String::new())),
        }
    }
}

/// The client library reserves this many bytes for each character of UTF-8, the encoding in which texts are read.
const BYTES_OF_A_CHARACTER: usize = 4;

/// A text whose length is checked against its buffer, which has room for this many characters.
fn within(bytes: &[u8], characters: usize) -> oracle::Result<Cow<'_, str>> {
    if bytes.len() > characters.saturating_mul(BYTES_OF_A_CHARACTER) {
        let message = format!(
            "a text of {} bytes where {characters} characters fit: the answer is corrupted",
            bytes.len()
        );
        return Err(oracle::Error::new(ErrorKind::OutOfRange, message));
    }
    Ok(String::from_utf8_lossy(bytes))
}

/// The number of characters that the buffer of a text column has room for.
#[allow(clippy::wildcard_enum_match_arm, reason = "a foreign enum that stays open")]
fn characters(kind: &OracleType) -> usize {
    match kind {
        OracleType::Varchar2(size) | OracleType::NVarchar2(size) | OracleType::Char(size) | OracleType::NChar(size) => {
            *size as usize
        }
        // No query selects another type that the driver returns as a text.
        _ => 0,
    }
}

fn varchar2(bytes: usize) -> OracleType {
    OracleType::Varchar2(u32::try_from(bytes).unwrap_or(4000).max(1))
}

fn bind_value(statement: &mut oracle::Statement, at: usize, bind: &Bind) -> oracle::Result<()> {
    match bind {
        Bind::Number(number) => statement.bind(at, number),
        Bind::Text(text) => statement.bind(at, &(text, &varchar2(text.len()))),
        Bind::Time(time) => {
            use chrono::{Datelike, Timelike};
            let date = calendar(*time).unwrap_or_default();
            let timestamp = Timestamp::new(
                date.year(),
                date.month(),
                date.day(),
                date.hour(),
                date.minute(),
                date.second(),
                0,
            )?;
            statement.bind(at, &(&timestamp, &OracleType::Date))
        }
    }
}

thread_local! {
    /// The buffer of the previous row, reused for the next: the driver hands rows out only by value.
    static SPARE: ThreadCell<RowBuffer> = ThreadCell::new(RowBuffer::default());
}

impl RowValue for RowBuffer {
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign enum that stays open")]
    fn get(row: &oracle::Row) -> oracle::Result<RowBuffer> {
        let mut buffer = SPARE.take();
        buffer.clear();
        for (value, column) in row.sql_values().iter().zip(row.column_info()) {
            if value.is_null()? {
                buffer.push_null();
                continue;
            }
            match value.as_inner_value()? {
                InnerValue::Char(bytes) => buffer.push_text(within(bytes, characters(column.oracle_type()))?),
                InnerValue::Number(decimal) => buffer.push_text(decimal),
                InnerValue::Int64(number) => buffer.push_text(number),
                InnerValue::UInt64(number) => buffer.push_text(number),
                InnerValue::Double(number) => buffer.push_text(number),
                InnerValue::Float(number) => buffer.push_text(number),
                InnerValue::Timestamp(_) => {
                    let time: Timestamp = value.get()?;
                    buffer.push_time(db_time(
                        time.year(),
                        time.month(),
                        time.day(),
                        time.hour(),
                        time.minute(),
                        time.second(),
                    ));
                }
                // No query selects another type.
                _ => buffer.push_other(),
            }
        }
        Ok(buffer)
    }
}

fn from_driver(error: &oracle::Error, phase: Phase, tried: &str, limit: Duration) -> Error {
    match error.db_error() {
        Some(answer) => Error::from_odpi(phase, tried, answer.code(), answer.message(), limit),
        // The answer contradicts itself, so nothing from this connection can be trusted.
        None if error.kind() == ErrorKind::OutOfRange && phase == Phase::Call => {
            Error::new(Class::Reconnect, tried, error.to_string())
        }
        None => Error::new(Class::Bug, tried, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_longer_than_its_room_is_no_text() {
        // Three characters, one of four bytes, one that is none.
        assert_eq!(within("a\u{1f600}".as_bytes(), 2).ok().as_deref(), Some("a\u{1f600}"));
        assert_eq!(within(b"caf\xe9", 4).ok().as_deref(), Some("caf\u{fffd}"));
        let error = within(&[b'x'; 9], 2).expect_err("two characters are eight bytes at most");
        let error = from_driver(&error, Phase::Call, "read GV$SESSION from prod", Duration::ZERO);
        assert_eq!(error.class, Class::Reconnect);
        assert!(
            error
                .to_string()
                .ends_with("where 2 characters fit: the answer is corrupted"),
            "{error}"
        );
    }
}
