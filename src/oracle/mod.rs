//! Everything that knows Oracle's drivers, the text of its queries and its error numbers.
//!
//! Two drivers stand behind one small trait: `oci` is the `oracle` crate over Oracle's own client library, `thin` is
//! Oracle's pure-Rust `oracledb` crate, for hosts where nothing may be installed. What is common to both is here: a query
//! that says which type each column is expected to have, rows handed over one at a time without being collected, a limit
//! on every call, and errors with a class that says what to do next.
//!
//! Both drivers block. A call stuck in one of them cannot be cancelled from outside, so each database has threads of its
//! own, and whatever could hang without a limit (connecting, logging off) runs on a thread that may be abandoned.
//!
//! Values cross the trait as text, whole numbers and points in the database's clock, and in no other type: both drivers
//! read DATE, NUMBER and VARCHAR2 well, and each has a type that it reads badly.

pub mod access;
pub(crate) mod account;
pub mod capabilities;
mod connect;
mod connect_string;
pub(crate) mod deadline;
pub(crate) mod decoy;
pub(crate) mod error;
mod expendable;
pub(crate) mod hindrance;
pub mod identity;
pub(crate) mod leader;
mod link;
mod logoff;
pub(crate) mod network;
pub(crate) mod oci;
pub(crate) mod pressure;
pub(crate) mod probe;
pub(crate) mod read;
mod row;
#[cfg(test)]
pub(crate) mod scripted;
mod sockets;
pub(crate) mod sql;
mod text_form;
mod thin;

pub(crate) use connect_string::OneForAll;

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::config::Driver;
pub use crate::oracle::connect::ConnectSlot;
pub(crate) use crate::oracle::connect::client_version;
pub use crate::oracle::error::{Class, Error, Phase, Retry};
pub(crate) use crate::oracle::link::panicked;
pub(crate) use crate::oracle::text_form::TextForm;
pub use crate::session::snapshot::Cell;

use crate::decide::guard::{Decoy, Statement, Wording};
use crate::session::time::DbTime;
use crate::words::words;
use zeroize::Zeroizing;

/// Rows a fetch brings in one round trip, the first time. A snapshot is dominated by round trips, not by bytes.
pub const FETCH_ROWS: u32 = 1000;

/// Rows a fetch brings where the same query had more the last time: the least that holds them all, or the most.
const FETCH_MORE: [u32; 3] = [2_000, 5_000, 10_000];

/// The most rows that a fetch brings.
pub(crate) const MOST_ROWS: u32 = 10_000;

/// The most values that one fetch brings, because of the room for them: 25 columns of 10,000 sessions.
const FETCH_VALUES: usize = 250_000;

/// The same for a query of one or a few rows. The client library holds room for all rows of a fetch at their greatest
/// width, which for a thousand rows of every GV$SESSION column is some ten megabytes.
pub(crate) const FETCH_FEW: u32 = 20;

/// Statements a connection keeps parsed. A snapshot uses about a dozen texts; the rest is for start-up and re-checks.
pub(crate) const STATEMENT_CACHE: u32 = 40;

/// A text that must not be shown: it has no `Display`, and its `Debug` hides it. Its memory is overwritten when the last clone
/// is dropped; copies that a driver makes are not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: &str) -> Secret {
        Secret(Arc::new(Zeroizing::new(text.to_owned())))
    }

    /// The text, for the driver alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An installed Oracle Client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its version.
    pub(crate) version: String,
    /// Whether its calls can be bounded, without which it is not used.
    pub(crate) bounds_calls: bool,
    /// Whether it knows Easy Connect Plus, which names an instance and bounds the connecting.
    pub(crate) knows_easy_connect_plus: bool,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By name (`user`, or `proxy[user]`) and password.
    Password {
        /// The account.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// By the client's own means: a wallet, Kerberos, the operating system. Only the `oci` driver can.
    External,
}

/// A database to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its configured name, as messages show it.
    pub name: Arc<str>,
    /// The driver that reaches it.
    pub driver: Driver,
    /// Easy Connect (Plus), a descriptor, or a TNS alias.
    pub connect: String,
    /// How to log in.
    pub login: Login,
    /// The folder of tnsnames.ora; `None` means what TNS_ADMIN says. Oracle Client uses the first one for the whole process.
    pub tns_admin: Option<PathBuf>,
    /// What its sessions show in V$SESSION.CLIENT_INFO, by which daemons tell each other apart.
    pub mark: Option<Arc<str>>,
}

impl Target {
    /// The address as messages show it.
    pub(crate) fn address(&self) -> String {
        connect_string::address(&self.connect)
    }

    /// How error messages name an attempt to connect: database, driver, and the address that was tried.
    pub(crate) fn connecting(&self) -> String {
        let address = self.address();
        format!("connect to {} with driver {} at {address}", self.name, self.driver)
    }

    /// The target for one named instance of this database.
    ///
    /// # Errors
    /// Why the connect string cannot name an instance.
    pub(crate) fn on_instance(&self, instance: &str) -> Result<Target, OneForAll> {
        Ok(Target {
            connect: connect_string::on_instance(&self.connect, instance)?,
            ..self.clone()
        })
    }
}

words! {
    /// What a connection is for: shown in V$SESSION.ACTION, so that a DBA recognizes it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Purpose {
        /// Reading snapshots.
        Poll = "poll",
        /// Re-checking one session and acting on it.
        Act = "act",
        /// Being acted on, for a proof.
        Decoy = "decoy",
    }
}

/// V$SESSION.MODULE of the daemon's own sessions.
pub(crate) const MODULE: &str = "orareaper";

/// The type that a column of a query is expected to have. A value of another type is an error of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellType {
    /// VARCHAR2; a NUMBER is shown in decimal.
    Text,
    /// A NUMBER, without its fraction. One that does not fit 64 bits becomes the largest or smallest that does.
    Number,
    /// A DATE.
    Time,
}

impl CellType {
    /// For messages: `column 3 has a value that is not a date`.
    fn name(self) -> &'static str {
        match self {
            CellType::Text => "text",
            CellType::Number => "number",
            CellType::Time => "date",
        }
    }
}

/// A value for a placeholder, typed, so that no NLS setting takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// NUMBER.
    Number(i64),
    /// VARCHAR2.
    Text(String),
    /// DATE.
    Time(DbTime),
}

/// A SELECT with the types of its columns and the values of its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What is read, for messages: `GV$SESSION`.
    pub of: &'static str,
    /// The text, without a semicolon. A connection parses the same text once.
    pub sql: Cow<'static, str>,
    /// The columns' types, in order.
    pub columns: Vec<CellType>,
    /// The placeholders' values, in order: `:1`, `:2` ...
    pub binds: Vec<Bind>,
    /// Rows per fetch.
    pub(crate) fetch: u32,
}

impl Query {
    /// A query without placeholders.
    #[must_use]
    pub fn new(of: &'static str, sql: impl Into<Cow<'static, str>>, columns: &[CellType]) -> Query {
        Query {
            of,
            sql: sql.into(),
            columns: columns.to_vec(),
            binds: Vec::new(),
            fetch: FETCH_ROWS,
        }
    }

    /// The same query, tuned for a result of a few rows; correct for any number of rows.
    #[must_use]
    pub(crate) fn few(mut self) -> Query {
        self.fetch = FETCH_FEW;
        self
    }

    /// The same query, for a result that had so many rows the last time, where a fetch should bring no more than `most` of them.
    /// Where the result grew meanwhile, it only takes more round trips.
    #[must_use]
    pub(crate) fn expecting(mut self, rows: u64, most: u32) -> Query {
        self.fetch = self.fetch.min(most);
        let holds = |fetch: &u32| rows <= u64::from(*fetch);
        let room = |fetch: &u32| *fetch as usize * self.columns.len() <= FETCH_VALUES;
        let mut larger = FETCH_MORE
            .iter()
            .filter(|fetch| **fetch > self.fetch && **fetch <= most && room(fetch));
        if !holds(&self.fetch) && self.fetch >= FETCH_ROWS {
            let enough = larger.clone().find(|fetch| holds(fetch));
            self.fetch = enough.or(larger.next_back()).copied().unwrap_or(self.fetch);
        }
        self
    }

    /// Rows that come with the answer to the execution itself: one more than a fetch brings, so that a result of exactly one
    /// fetch is known to be complete without another round trip.
    #[must_use]
    pub(crate) fn prefetch(&self) -> u32 {
        self.fetch + 1
    }

    /// How many round trips a result of `rows` rows takes: one with the first rows, then one for each further fetch, the last
    /// of which finds the end.
    pub(crate) fn round_trips(&self, rows: u64) -> u64 {
        let first = u64::from(self.prefetch());
        if rows < first {
            1
        } else {
            2 + (rows - first) / u64::from(self.fetch)
        }
    }

    /// The same query with values for its placeholders.
    #[must_use]
    pub fn with(mut self, binds: Vec<Bind>) -> Query {
        self.binds = binds;
        self
    }
}

/// The block that runs one statement and catches whatever Oracle answers.
///
/// ORA-00031 ("session marked for kill") is an ordinary answer about the target. When it comes as an error, both drivers
/// conclude that their own connection is lost. Caught inside the block it is a number in an OUT bind, and the connection
/// lives. The statement is a bind, so this text contains no statement.
pub(crate) const BLOCK: &str = "\
DECLARE
  code PLS_INTEGER := 0;
  text VARCHAR2(512);
BEGIN
  BEGIN
    EXECUTE IMMEDIATE :1;
  EXCEPTION
    WHEN OTHERS THEN
      code := SQLCODE;
      text := SUBSTR(SQLERRM, 1, 512);
  END;
  :2 := code;
  :3 := text;
END;";

/// The same for a call that answers in two placeholders of its own: SQLCODE and SQLERRM of what it did.
pub(crate) const CALL_BLOCK: &str = "\
DECLARE
  code NUMBER := 0;
  text VARCHAR2(512);
BEGIN
  BEGIN
    EXECUTE IMMEDIATE :1 USING OUT code, OUT text;
  EXCEPTION
    WHEN OTHERS THEN
      code := SQLCODE;
      text := SUBSTR(SQLERRM, 1, 512);
  END;
  :2 := code;
  :3 := text;
END;";

/// The block that sends an action, by how its words answer.
pub(crate) fn block_of(wording: &Wording) -> &'static str {
    match wording {
        Wording::Statement(_) => BLOCK,
        Wording::Call(_) => CALL_BLOCK,
    }
}

/// The longest statement that the block accepts.
pub(crate) const MAX_STATEMENT: usize = 1000;

/// What Oracle answered to the statement in the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockAnswer {
    /// 0 for success, else the number in `ORA-nnnnn`, without an error that only wraps it.
    pub code: u32,
    /// SQLERRM; empty for success.
    pub message: String,
}

impl BlockAnswer {
    /// From SQLCODE (negative for errors, +100 for NO_DATA_FOUND) and SQLERRM.
    #[must_use]
    pub(crate) fn new(sqlcode: i64, sqlerrm: Option<&str>) -> BlockAnswer {
        let outer = match sqlcode {
            0 => 0,
            100 => 1403,
            other => u32::try_from(other.unsigned_abs()).unwrap_or(u32::MAX),
        };
        let message = sqlerrm.unwrap_or_default().trim().to_owned();
        let code = if outer == 604 {
            error::numbers_in(&message)
                .into_iter()
                .find(|number| *number != 604)
                .unwrap_or(outer)
        } else {
            outer
        };
        BlockAnswer { code, message }
    }
}

/// Who this connection is, as far as the driver knows without asking the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionIdentity {
    /// The configured name of the database.
    pub database: Arc<str>,
    /// The driver.
    pub driver: Driver,
    /// What it is for.
    pub purpose: Purpose,
}

/// Receives a row: its cells in the order of the query's columns. `Break` ends the query.
pub type Sink<'s> = dyn FnMut(&[Cell<'_>]) -> ControlFlow<()> + 's;

/// A connection to a database.
///
/// Every call blocks until it is done or its limit has passed; cleaning up after the limit may take a driver the same time
/// again. The connection is lost after an error whose class [`Class::costs_the_connection`], after a panic of the driver, and
/// after several failures in a row; every further call then fails with [`Class::Reconnect`].
pub trait Connection: Send {
    /// Runs a query and hands its rows to the sink.
    ///
    /// # Errors
    /// Any error of the database or the driver. The sink may have received rows before it.
    fn query(&mut self, query: &Query, limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error>;

    /// Whether the database still answers.
    ///
    /// # Errors
    /// When it does not.
    fn ping(&mut self, limit: Duration) -> Result<(), Error>;

    /// Whether the connection is lost: every further call fails.
    fn is_lost(&self) -> bool;

    /// Database, driver and purpose of this connection.
    fn identity(&self) -> &ConnectionIdentity;

    /// A warning that came with the login: the password expires soon.
    fn warning(&self) -> Option<&str>;

    /// Round trips so far, computed from the calls and the rows that they returned.
    fn round_trips(&self) -> u64;

    /// Logs off; waits no longer than `grace` for it.
    fn close(self: Box<Self>, grace: Duration);
}

/// A connection to act on. Besides reading it sends statements, and takes none that a warrant has not permitted.
pub trait ActingConnection: Connection {
    /// Sends one statement inside the block that catches its errors. With a fence, the same call asks right before whether this session
    /// holds the lock, and does nothing otherwise.
    ///
    /// # Errors
    /// When the block itself could not run or its answer did not arrive: the outcome of the statement is unknown then.
    fn send(&mut self, statement: Statement, fence: Option<LeaderLock>, limit: Duration) -> Result<BlockAnswer, Error>;

    /// Asks about the lock by which a daemon leads.
    ///
    /// # Errors
    /// When there was no answer: whether the session holds the lock is unknown then.
    fn ask(&mut self, question: &LockQuestion, limit: Duration) -> Result<BlockAnswer, Error>;
}

/// The number of the lock by which one of several daemons leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderLock(pub u32);

impl fmt::Display for LeaderLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A question about that lock, which only [`leader`] words: besides a statement the only thing that a connection to act on takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockQuestion(Wording);

impl LockQuestion {
    /// Its words.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.text()
    }
}

/// Makes connections in the place of the drivers: to a database that is simulated in this process.
pub trait Connector: Send + Sync + fmt::Debug {
    /// Connects to read.
    ///
    /// # Errors
    /// Those of a driver.
    fn connect(&self, target: &Target) -> Result<Box<dyn Connection>, Error>;

    /// Connects to act.
    ///
    /// # Errors
    /// Those of a driver.
    fn connect_to_act(&self, target: &Target) -> Result<Box<dyn ActingConnection>, Error>;
}

/// The connection of a decoy: a session that is there to be acted on. What it runs has no text from outside.
pub(crate) trait DecoyConnection: Send {
    /// The session that this connection has.
    ///
    /// # Errors
    /// When the database does not show it.
    fn report(&mut self, limit: Duration) -> Result<Decoy, Error>;

    /// One round trip.
    ///
    /// # Errors
    /// What the client is told instead.
    fn ping(&mut self, limit: Duration) -> Result<(), Error>;

    /// Runs a query that takes some tens of seconds.
    ///
    /// # Errors
    /// What the client is told instead.
    fn work(&mut self, limit: Duration) -> Result<(), Error>;

    /// Opens a transaction that has changed nothing.
    ///
    /// # Errors
    /// When there was no answer.
    fn open_transaction(&mut self, limit: Duration) -> Result<BlockAnswer, Error>;

    /// Ends it.
    ///
    /// # Errors
    /// The same.
    fn commit(&mut self, limit: Duration) -> Result<BlockAnswer, Error>;

    /// Logs off; waits no longer than `grace` for it.
    fn close(self: Box<Self>, grace: Duration);
}

/// The rows of a small query, collected.
///
/// # Errors
/// Those of [`Connection::query`], and [`Class::Bug`] for more than `at_most` rows.
pub fn collect<T>(
    connection: &mut dyn Connection,
    query: &Query,
    limit: Duration,
    at_most: usize,
    mut row: impl FnMut(&[Cell<'_>]) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let mut rows = Vec::new();
    let mut count = 0_usize;
    connection.query(query, limit, &mut |cells| {
        count += 1;
        if count > at_most {
            return ControlFlow::Break(());
        }
        rows.extend(row(cells));
        ControlFlow::Continue(())
    })?;
    if count > at_most {
        let tried = reading(query, &connection.identity().database);
        return Err(Error::new(
            Class::Bug,
            tried,
            format!("more than {at_most} rows, which no database has"),
        ));
    }
    Ok(rows)
}

/// How error messages name a query.
pub(crate) fn reading(query: &Query, database: &str) -> String {
    format!("read {} from {database}", query.of)
}

/// A NUMBER in decimal notation, without its fraction; `None` when it is no number.
///
/// One that does not fit becomes the largest or smallest number: it compares with any limit as it would itself, and is not NULL.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || digits.is_empty() && fraction.is_empty() {
        return None;
    }
    let furthest = if whole.starts_with('-') { i64::MIN } else { i64::MAX };
    let number = if digits.is_empty() {
        0
    } else {
        whole.parse().unwrap_or(furthest)
    };
    Some(number)
}

/// A calendar date and time as a point in the database's clock; `None` when there is no such date.
pub(crate) fn db_time(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<DbTime> {
    let date = chrono::NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(hour, minute, second)?;
    Some(DbTime(date.and_utc().timestamp()))
}

/// The calendar date and time of a point in the database's clock.
pub(crate) fn calendar(time: DbTime) -> Option<chrono::NaiveDateTime> {
    Some(chrono::DateTime::from_timestamp(time.0, 0)?.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_fraction_and_stay_large_when_they_do_not_fit() {
        let cases = [
            ("0", Some(0)),
            ("-17", Some(-17)),
            ("12.75", Some(12)),
            (".5", Some(0)),
            ("-.5", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", Some(i64::MAX)),
            ("18446744073709551615.5", Some(i64::MAX)),
            ("-9223372036854775809", Some(i64::MIN)),
            ("1E+20", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("UNLIMITED", None),
        ];
        for (text, number) in cases {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }

    #[test]
    fn the_calendar_goes_both_ways() {
        // 2026-11-22 10:00:00 is 20779 days after 1970-01-01: 56 years, 14 of them leap, are 20454, and 325 more.
        let time = db_time(2026, 11, 22, 10, 0, 0).expect("a date");
        assert_eq!(time, DbTime(20_779 * 86_400 + 36_000));
        let back = calendar(time).expect("in range");
        assert_eq!(back.to_string(), "2026-11-22 10:00:00");
        assert_eq!(db_time(2026, 2, 30, 0, 0, 0), None);
    }

    #[test]
    fn an_answer_comes_out_of_its_wrapper() {
        assert_eq!(BlockAnswer::new(0, None).code, 0);
        assert_eq!(
            BlockAnswer::new(-31, Some("ORA-00031: session marked for kill")),
            BlockAnswer {
                code: 31,
                message: "ORA-00031: session marked for kill".to_owned()
            }
        );
        assert_eq!(BlockAnswer::new(100, Some("ORA-01403: no data found")).code, 1403);
        let wrapped = "ORA-00604: error occurred at recursive SQL level 1\nORA-00030: User session ID does not exist.";
        assert_eq!(BlockAnswer::new(-604, Some(wrapped)).code, 30);
        assert_eq!(BlockAnswer::new(-604, Some("ORA-00604: error")).code, 604);
    }

    #[test]
    fn a_query_takes_no_more_round_trips_than_its_rows_need() {
        let query = Query::new("ROWS", "SELECT 1 FROM dual", &[]);
        for (rows, trips) in [
            (0, 1),
            (1, 1),
            (1000, 1),
            (1001, 2),
            (1500, 2),
            (2000, 2),
            (2001, 3),
            (100_000, 100),
        ] {
            assert_eq!(query.round_trips(rows), trips, "{rows} rows");
            assert!(trips <= rows.div_ceil(u64::from(FETCH_ROWS)) + 1);
        }
        for (before, rows, trips) in [
            (1_000, 1_001, 2),
            (1_001, 1_001, 1),
            (5_000, 5_000, 1),
            (5_001, 7_000, 1),
            (5_001, 10_000, 1),
            (20_000, 20_000, 2),
            (20_000, 100_000, 10),
        ] {
            let query = query.clone().expecting(before, MOST_ROWS);
            assert_eq!(query.round_trips(rows), trips, "{rows} rows after {before}");
        }
        assert_eq!(query.clone().expecting(20_000, 250).fetch, 250);
        let wide = Query::new("ROWS", "SELECT 1 FROM dual", &[CellType::Text; 100]);
        assert_eq!(
            wide.expecting(20_000, MOST_ROWS).fetch,
            2_000,
            "room for 250,000 values"
        );
        let few = query.few();
        assert_eq!(few.clone().expecting(20_000, 250).fetch, FETCH_FEW);
        for (rows, trips) in [(0, 1), (20, 1), (21, 2), (41, 3)] {
            assert_eq!(few.round_trips(rows), trips, "{rows} rows");
        }
    }

    #[test]
    fn a_secret_does_not_tell() {
        let target = Target {
            name: Arc::from("prod"),
            driver: Driver::Thin,
            connect: "//db1:1521/orcl".to_owned(),
            login: Login::Password {
                user: "reaper".to_owned(),
                password: Secret::new("tiger#1"),
            },
            tns_admin: None,
            mark: None,
        };
        assert!(!format!("{target:?}").contains("tiger"));
    }
}
