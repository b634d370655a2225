//! The `thin` driver: Oracle's own in pure Rust, the `oracledb` crate.
//!
//! It needs no installation, but it is a beta with limits. Connecting and logging off cannot be bounded (see
//! [`crate::oracle::connect`]). After a call that took too long the connection may be lost, so it is abandoned. A text that is
//! not valid in the database's character set fails the whole query. The driver ignores what follows `?` in Easy Connect, and
//! treats the end of a query's rows as an error that closes the cursor, so that each query is parsed again (a soft parse: its
//! text is in the library cache).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oracledb::{Config, Cursor, DB_TYPE_NUMBER, DB_TYPE_VARCHAR, ErrorKind, OracleNumber, OracleTimestamp, ToDbValue};

use crate::oracle::connect_string;
use crate::oracle::deadline::Deadline;
use crate::oracle::error::{BROKEN_TEXT, Class, Error, Phase};
use crate::oracle::expendable::{self, CHUNK, RowSender};
use crate::oracle::link::{Link, Native, Sockets, too_slow};
use crate::oracle::logoff::Logoffs;
use crate::oracle::row::RowBuffer;
use crate::oracle::sockets::{SocketClaim, marked};
use crate::oracle::{
    Bind, BlockAnswer, ConnectionIdentity, Driver, Login, MODULE, MOST_ROWS, Purpose, Query, STATEMENT_CACHE, Sink,
    Target, calendar, db_time,
};

/// Connects. Hangs as long as the listener does.
pub(super) fn connect(
    target: &Target,
    purpose: Purpose,
    limit: Duration,
    logoffs: Logoffs,
) -> Result<Link<Thin>, Error> {
    let tried = target.connecting();
    let Login::Password { user, password } = &target.login else {
        return Err(Error::new(
            Class::Config,
            tried,
            "the thin driver has no external authentication: set user and password, or driver: oci",
        ));
    };
    let failed = |error: oracledb::Error| from_driver(&error, Phase::Connect, &tried, limit);
    let mut config = Config::default();
    if let Some(folder) = &target.tns_admin {
        config = config.set_config_dir(&folder.to_string_lossy());
    }
    if let Some(folder) = wallet(target).map_err(|why| Error::new(Class::Config, &*tried, why))? {
        config = config.set_wallet_location(folder);
    }
    let config = config
        .set_connect_string(&target.connect)
        .map_err(failed)?
        .set_credentials(user, password.reveal())
        .set_program(MODULE)
        .map_err(failed)?
        .set_stmtcachesize(STATEMENT_CACHE as usize)
        .set_transport_connect_timeout(Some(limit));
    let connection = oracledb::connect(config).map_err(failed)?;
    let own = marked(|mark| connection.set_call_timeout(Some(mark)).is_ok());
    connection.set_call_timeout(Some(limit)).map_err(failed)?;
    let sockets = Sockets {
        claim: own.as_ref().map(SocketClaim::on),
        own,
    };
    let warning = connection.last_warning().map_err(failed)?;
    connection.set_module(MODULE).map_err(failed)?;
    connection.set_action(purpose.name()).map_err(failed)?;
    if let Some(mark) = &target.mark {
        connection.set_client_info(mark).map_err(failed)?;
    }
    let identity = ConnectionIdentity {
        database: target.name.clone(),
        driver: Driver::Thin,
        purpose,
    };
    Ok(Link::new(
        Thin(Arc::new(connection)),
        identity,
        warning,
        logoffs,
        sockets,
    ))
}

/// The one wallet that the driver reads.
const PEM_WALLET: &str = "ewallet.pem";

/// The folder of the wallet: the one in the address, which the driver itself passes over, or that of `tns_admin` if it has one.
///
/// # Errors
/// When there is no wallet that the driver can read in the folder of the address.
fn wallet(target: &Target) -> Result<Option<String>, String> {
    if let Some(folder) = connect_string::wallet(&target.connect) {
        if Path::new(&folder).join(PEM_WALLET).exists() {
            return Ok(Some(folder));
        }
        return Err(format!(
            "there is no {PEM_WALLET} in {folder} (the wallet of `connect`), and driver thin reads no other wallet: write the \
             certificates of the authority there in PEM form, or set driver: oci, which reads cwallet.sso"
        ));
    }
    let folder = target.tns_admin.as_ref();
    let has_one = folder.filter(|folder| folder.join(PEM_WALLET).exists());
    Ok(has_one.map(|folder| folder.to_string_lossy().into_owned()))
}

/// The driver's connection. Each call runs on a thread of its own, which a panic of the driver may stop for ever.
pub(super) struct Thin(Arc<oracledb::Connection>);

impl Native for Thin {
    fn set_limit(&self, limit: Duration, tried: &str) -> Result<(), Error> {
        self.0
            .set_call_timeout(Some(limit))
            .map_err(|error| from_driver(&error, Phase::Call, tried, limit))
    }

    /// Before release 23 a server does not mark the end of its answer, and the driver (26.0.0-beta.5) begins to decode an answer anew with
    /// each packet of 8 KiB: the work grows with the square of the answer. 10,000 sessions took 580 ms of CPU at 1,000 rows a fetch and 252 ms
    /// at 250; 100 at a time gained nothing more.
    fn most_rows(&self) -> u32 {
        let release = self.0.version().map(|version| version.0);
        if release.is_ok_and(|release| release >= 23) {
            MOST_ROWS
        } else {
            250
        }
    }

    fn fetch(&self, query: &Query, limit: Duration, tried: &str, sink: &mut Sink<'_>) -> Result<u64, Error> {
        let (connection, its_query, its_tried) = (Arc::clone(&self.0), query.clone(), tried.to_owned());
        let (mut taken, mut unread) = (0_u64, None);
        let mut take = |rows: Vec<RowBuffer>| {
            rows.iter().all(|row| {
                taken += 1;
                match row.cells(&query.columns) {
                    Ok(cells) => sink(&cells).is_continue(),
                    Err(why) => {
                        unread = Some(why);
                        false
                    }
                }
            })
        };
        expendable::run(
            tried,
            limit,
            move |rows| fetch_all(&connection, &its_query, limit, &its_tried, rows),
            &mut take,
        )?;
        match unread {
            Some(why) => Err(Error::new(Class::Bug, tried, why)),
            None => Ok(taken),
        }
    }

    fn run_block(
        &self,
        block: &'static str,
        statement: &str,
        limit: Duration,
        tried: &str,
    ) -> Result<BlockAnswer, Error> {
        let (connection, statement, its_tried) = (Arc::clone(&self.0), statement.to_owned(), tried.to_owned());
        let run = move || -> Result<BlockAnswer, oracledb::Error> {
            let mut answer = connection.execute(block, &[&statement, &DB_TYPE_NUMBER, &DB_TYPE_VARCHAR])?;
            let row = answer.out_bind_data();
            let code: Option<i64> = row.get(0)?;
            let text: Option<String> = row.get(1)?;
            Ok(BlockAnswer::new(code.unwrap_or(0), text.as_deref()))
        };
        let deadline = Deadline::begin(limit);
        let call = move |_: &RowSender<_>| run().map_err(|error| from_call(&error, &its_tried, deadline));
        expendable::run(tried, limit, call, &mut |_| false)
    }

    fn ping(&self, limit: Duration, tried: &str) -> Result<(), Error> {
        let (connection, its_tried) = (Arc::clone(&self.0), tried.to_owned());
        let deadline = Deadline::begin(limit);
        let call = move |_: &RowSender<_>| {
            connection
                .ping()
                .map_err(|error| from_call(&error, &its_tried, deadline))
        };
        expendable::run(tried, limit, call, &mut |_| false)
    }
}

/// Runs a query and hands its rows over in chunks.
fn fetch_all(
    connection: &oracledb::Connection,
    query: &Query,
    limit: Duration,
    tried: &str,
    rows: &RowSender<Result<(), Error>>,
) -> Result<(), Error> {
    let deadline = Deadline::begin(limit);
    let failed = |error: oracledb::Error| from_call(&error, tried, deadline);
    let binds: Vec<Box<dyn ToDbValue>> = query.binds.iter().map(bind_value).collect();
    let binds: Vec<&dyn ToDbValue> = binds.iter().map(AsRef::as_ref).collect();
    let cursor = connection
        .statement(&query.sql)
        .and_then(|statement| {
            statement
                .fetch_array_size(query.fetch)
                .prefetch_rows(query.prefetch())
                .build()
        })
        .and_then(|statement| statement.query(&binds))
        .map_err(failed)?;
    let columns = readers(&cursor);
    if columns.len() != query.columns.len() {
        let why = format!("{} columns where {} were expected", columns.len(), query.columns.len());
        return Err(Error::new(Class::Bug, tried, why));
    }
    let mut chunk = Vec::new();
    let mut count = 0_u64;
    // The driver's iterator repeats an error for ever, so the first error ends the loop.
    for row in cursor {
        let row = row.map_err(failed)?;
        let mut buffer = RowBuffer::default();
        read_row(&row, &columns, &mut buffer).map_err(failed)?;
        chunk.push(buffer);
        count += 1;
        if chunk.len() >= CHUNK && !rows.hand_over(std::mem::take(&mut chunk)) {
            return Ok(());
        }
        if count.is_multiple_of(u64::from(query.fetch)) && deadline.left().is_none() {
            return Err(too_slow(tried, deadline.limit()));
        }
    }
    rows.hand_over(chunk);
    Ok(())
}

fn bind_value(bind: &Bind) -> Box<dyn ToDbValue> {
    match bind {
        Bind::Number(number) => Box::new(*number),
        Bind::Text(text) => Box::new(text.clone()),
        Bind::Time(time) => Box::new(OracleTimestamp::from(calendar(*time).unwrap_or_default())),
    }
}

/// How the values of a column are read from the driver's rows.
#[derive(Clone, Copy, Debug)]
enum RowReader {
    Text,
    Number,
    Time,
    /// No query selects another type.
    Other,
}

fn readers(cursor: &Cursor) -> Vec<RowReader> {
    cursor
        .columns()
        .iter()
        .map(|column| {
            let kind = column.db_type();
            if kind.is_string_type() {
                RowReader::Text
            } else if kind.is_date_type() {
                RowReader::Time
            } else if kind == DB_TYPE_NUMBER {
                RowReader::Number
            } else {
                RowReader::Other
            }
        })
        .collect()
}

fn read_row(row: &oracledb::Row, columns: &[RowReader], buffer: &mut RowBuffer) -> Result<(), oracledb::Error> {
    buffer.clear();
    for (at, column) in columns.iter().enumerate() {
        match column {
            RowReader::Text => match row.get::<Option<&str>>(at)? {
                Some(text) => buffer.push_text(text),
                None => buffer.push_null(),
            },
            RowReader::Number => match row.get::<Option<OracleNumber>>(at)? {
                Some(number) => buffer.push_text(number),
                None => buffer.push_null(),
            },
            RowReader::Time => match row.get::<Option<OracleTimestamp>>(at)? {
                Some(time) => buffer.push_time(db_time(
                    time.year().into(),
                    time.month().into(),
                    time.day().into(),
                    time.hour().into(),
                    time.minute().into(),
                    time.second().into(),
                )),
                None => buffer.push_null(),
            },
            RowReader::Other => buffer.push_other(),
        }
    }
    debug_assert_eq!(buffer.len(), columns.len());
    Ok(())
}

/// An error of a call that began with the deadline. After its limit the driver breaks the call off, and waits for the answer to
/// that. If there is none either, it says no more than that the connection is closed.
fn from_call(error: &oracledb::Error, tried: &str, deadline: Deadline) -> Error {
    let limit = deadline.limit();
    if matches!(error.kind(), ErrorKind::UnableToRecover) && deadline.left().is_none() {
        return Error::no_answer(Class::Reconnect, tried, limit);
    }
    from_driver(error, Phase::Call, tried, limit)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a foreign enum that stays open")]
fn from_driver(error: &oracledb::Error, phase: Phase, tried: &str, limit: Duration) -> Error {
    match error.kind() {
        ErrorKind::DbError(answer) => {
            let code = u32::try_from(answer.code()).ok();
            Error::from_database(phase, tried, code, answer.message())
        }
        kind => from_kind(kind, phase, tried, &error.to_string(), limit),
    }
}

/// Whether an error of a stream is one of TLS: a person has to change a certificate, a wallet or a protocol.
fn is_of_tls(message: &str) -> bool {
    [
        "invalid peer certificate",
        "received fatal alert",
        "received corrupt message",
        "peer is incompatible",
    ]
    .iter()
    .any(|part| message.contains(part))
}

fn untrusted(tried: &str, message: &str) -> Error {
    let why = format!(
        "{message}: driver thin trusts public authorities and those in {PEM_WALLET} of the wallet, and compares the host's name with the \
         certificate"
    );
    Error::new(Class::Config, tried, why)
}

/// An error of the driver itself, not of the database. Messages that would repeat the connect string are rewritten.
#[allow(clippy::wildcard_enum_match_arm, reason = "a foreign enum that stays open")]
fn from_kind(kind: &ErrorKind, phase: Phase, tried: &str, message: &str, limit: Duration) -> Error {
    let listener = |code: u32, why: String| {
        let (class, code) = crate::oracle::error::classify(&[code], phase);
        Error {
            code,
            ..Error::new(class, tried, why)
        }
    };
    let lost = match phase {
        Phase::Connect => Class::Backoff,
        Phase::Call => Class::Reconnect,
    };
    match kind {
        ErrorKind::InvalidServiceName(_, service, host, port) => listener(
            12514,
            format!("ORA-12514: the listener at {host}:{port} does not know the service {service}"),
        ),
        ErrorKind::InvalidSid(_, sid, host, port) => listener(
            12505,
            format!("ORA-12505: the listener at {host}:{port} does not know the SID {sid}"),
        ),
        ErrorKind::ListenerRefusedConnection(_, host, port, number) => listener(
            u32::try_from(*number).unwrap_or(0),
            format!("ORA-{number:05}: the listener at {host}:{port} refused the connection"),
        ),
        ErrorKind::CallTimeoutExceeded => Error::no_answer(lost, tried, limit),
        // What TLS says arrives as an error of the stream.
        ErrorKind::StreamOperation if phase == Phase::Connect && is_of_tls(message) => untrusted(tried, message),
        ErrorKind::DeadConnection
        | ErrorKind::NotConnected
        | ErrorKind::UnableToRecover
        | ErrorKind::StreamOperation
        | ErrorKind::UnexpectedRefuse(_)
        | ErrorKind::InvalidRedirect(_) => Error::new(lost, tried, message),
        ErrorKind::InvalidConnectString(_, reason) => {
            Error::new(Class::Config, tried, format!("invalid connect string: {reason}"))
        }
        ErrorKind::ParseError(..) | ErrorKind::InvalidDescriptorNode(..) | ErrorKind::InvalidNetworkName(_) => {
            Error::new(Class::Config, tried, "invalid connect string")
        }
        ErrorKind::NoConfigDir => Error::new(
            Class::Config,
            tried,
            "the connect string is a TNS alias, and neither `tns_admin` nor TNS_ADMIN says where tnsnames.ora is",
        ),
        ErrorKind::NoCredentials => Error::new(Class::Config, tried, "the user or the password is empty"),
        ErrorKind::TnsAliasNotFound(..)
        | ErrorKind::IfileCycleDetected(..)
        | ErrorKind::TlsOperation
        | ErrorKind::PemFileOperation
        | ErrorKind::WalletPasswordMissingOrInvalid(..)
        | ErrorKind::WalletPrivateKeyInvalid(_)
        | ErrorKind::WalletUnreadable(_) => Error::new(Class::Config, tried, message),
        ErrorKind::ServerVersionNotSupported | ErrorKind::UnsupportedTdsType(_) => Error::new(
            Class::Config,
            tried,
            format!("{message}: the thin driver needs Oracle Database 12.1 or later, set driver: oci"),
        ),
        // The rest of the answer is not read, so the connection is abandoned; the number says why.
        ErrorKind::InvalidEncodedString => Error {
            code: Some(BROKEN_TEXT),
            ..Error::new(lost, tried, "a text in the answer is not valid in its character set")
        },
        // Any other error of the driver leaves no usable answer and an unknown position in the
        // protocol, so the connection is abandoned too.
        _ => Error::new(lost, tried, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(kind: &ErrorKind, phase: Phase) -> (Class, Option<u32>) {
        let error = from_kind(
            kind,
            phase,
            "connect to prod",
            "the driver's words",
            Duration::from_secs(5),
        );
        (error.class, error.code)
    }

    #[test]
    fn the_drivers_own_errors_mean_what_oracles_numbers_would() {
        let listener = || ("cid".to_owned(), "db1".to_owned());
        let (cid, host) = listener();
        let refused = |number| ErrorKind::ListenerRefusedConnection(cid.clone(), host.clone(), 1521, number);
        let cases = [
            (refused(12519), Phase::Connect, Class::Backoff, Some(12519)),
            (refused(12650), Phase::Connect, Class::Config, Some(12650)),
            (
                ErrorKind::InvalidServiceName(cid.clone(), "orcl".to_owned(), host.clone(), 1521),
                Phase::Connect,
                Class::Backoff,
                Some(12514),
            ),
            (
                ErrorKind::InvalidSid(cid.clone(), "orcl".to_owned(), host.clone(), 1521),
                Phase::Connect,
                Class::Backoff,
                Some(12505),
            ),
            (ErrorKind::StreamOperation, Phase::Connect, Class::Backoff, None),
            (ErrorKind::StreamOperation, Phase::Call, Class::Reconnect, None),
            (ErrorKind::DeadConnection, Phase::Connect, Class::Backoff, None),
            (ErrorKind::CallTimeoutExceeded, Phase::Call, Class::Reconnect, None),
            (ErrorKind::UnableToRecover, Phase::Call, Class::Reconnect, None),
            (ErrorKind::NoConfigDir, Phase::Connect, Class::Config, None),
            (ErrorKind::TlsOperation, Phase::Connect, Class::Config, None),
            (
                ErrorKind::ServerVersionNotSupported,
                Phase::Connect,
                Class::Config,
                None,
            ),
            (ErrorKind::OutOfData, Phase::Call, Class::Reconnect, None),
            (
                ErrorKind::InvalidEncodedString,
                Phase::Call,
                Class::Reconnect,
                Some(29275),
            ),
            (ErrorKind::LockPoisoned, Phase::Call, Class::Reconnect, None),
        ];
        for (kind, phase, expected, code) in cases {
            assert_eq!(class(&kind, phase), (expected, code), "{kind:?}");
        }
    }

    #[test]
    fn a_connect_string_is_not_repeated() {
        let kind = ErrorKind::InvalidConnectString("scott/tiger@//db1".to_owned(), "no service".to_owned());
        let error = from_kind(
            &kind,
            Phase::Connect,
            "connect to prod",
            "invalid: scott/tiger@//db1",
            Duration::ZERO,
        );
        assert_eq!(error.to_string(), "connect to prod: invalid connect string: no service");
    }
}
