//! The interface between the wire and the world.
//!
//! The wire (`wire`) turns packets into the calls below; the world (`world`, `sql`) answers them. The wire never sees a session's
//! columns, and the world never sees a byte of the protocol. A call may block (a plain KILL of a busy session, a sleep): each
//! connection has its own thread, and a client's break or a kill by another session ends the wait through [`Interrupt`] or the
//! state of the world.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::NaiveDateTime;

/// An error as Oracle reports it, with what becomes of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OraError {
    /// The number in `ORA-nnnnn`.
    pub code: u32,
    /// The whole text as a client sees it, `ORA-nnnnn: ...`, further lines for a stack, no line feed at the end.
    pub message: String,
    /// Where in the statement, in bytes from its start; 0 where it has no position.
    pub offset: u32,
    /// What happens to the connection.
    pub then: Then,
}

/// What becomes of the connection after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The session goes on.
    Continue,
    /// The error is sent and the connection is closed by the server after that (ORA-00028, ORA-02396 and their like;
    /// calls that the client still sends are answered ORA-01012 for as long as the socket is open).
    SessionGone,
    /// The socket is closed without an answer: the client reports ORA-03113.
    Cut,
    /// No answer is ever sent; the socket stays open until the client or the server goes away.
    Hang,
}

/// A value in a row or in a bind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// VARCHAR2, CHAR or CLOB.
    Text(Arc<str>),
    /// VARCHAR2 whose bytes are no text in the database's character set.
    Bytes(Arc<[u8]>),
    /// NUMBER, where it is a whole number.
    Int(i64),
    /// NUMBER otherwise, in plain decimal notation (`-12.5`).
    Decimal(Arc<str>),
    /// BINARY_DOUBLE, or a NUMBER computed as a float.
    Float(f64),
    /// DATE and TIMESTAMP, in the database's own time zone.
    Date(NaiveDateTime),
    /// RAW.
    Raw(Arc<[u8]>),
}

/// The type of a result column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// VARCHAR2 of at most so many bytes.
    Varchar2(u32),
    /// NUMBER without precision.
    Number,
    /// BINARY_DOUBLE.
    BinaryDouble,
    /// DATE, to the second.
    Date,
    /// TIMESTAMP of this fractional precision.
    Timestamp(u8),
    /// RAW of at most so many bytes.
    Raw(u32),
    /// CLOB.
    Clob,
}

/// A result column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name as the client sees it.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A bind variable's value and declaration, in the order of the statement's placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Bind {
    /// The value sent (NULL for a pure OUT bind: the wire cannot tell the two apart).
    pub value: Value,
    /// The declared type, which an OUT value is returned in.
    pub kind: ColumnType,
    /// The client sends no value: the placeholder's name stands earlier in the statement too, and has its value there.
    pub left_out: bool,
}

/// What the client wants done with one statement.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    /// The text as typed.
    pub sql: &'a str,
    /// One row of binds for each iteration; an empty slice means one execution without binds.
    pub binds: &'a [Vec<Bind>],
    /// Parse and describe only, do not run.
    pub describe_only: bool,
    /// Commit when it succeeds.
    pub commit: bool,
    /// Whether the client re-executes a cursor that it parsed before (no parse: the world counts parses).
    pub reexecution: bool,
}

/// What kind of statement it was, as OCI numbers them in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// SELECT (3).
    Select,
    /// INSERT (2).
    Insert,
    /// UPDATE (5).
    Update,
    /// DELETE (6... 7).
    Delete,
    /// An anonymous PL/SQL block (34).
    PlSql,
    /// ALTER SYSTEM (44... 49).
    AlterSystem,
    /// ALTER SESSION (42).
    AlterSession,
    /// Anything else.
    Other,
}

/// The answer to a statement.
pub enum Reply {
    /// A result set, fetched at the client's pace. `None` rows: described only.
    Query {
        /// Its columns.
        columns: Arc<[Column]>,
        /// Its rows.
        rows: Option<Box<dyn Rows>>,
    },
    /// No result set.
    Done {
        /// What it was.
        kind: StatementKind,
        /// Rows inserted, updated, deleted: by each iteration, where there were several.
        affected: Vec<u64>,
        /// For PL/SQL: for each bind, its value if the block assigned it (OUT), else `None` (IN).
        out: Vec<Option<Value>>,
    },
}

/// The rows of a result set.
pub trait Rows: Send {
    /// The next row, `None` after the last. An error ends the result set (ORA-01555 in mid fetch).
    fn next_row(&mut self) -> Result<Option<Vec<Value>>, OraError>;
}

/// What the listener was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectTo {
    /// SERVICE_NAME of the connect descriptor.
    pub service_name: Option<String>,
    /// SID of the connect descriptor.
    pub sid: Option<String>,
    /// INSTANCE_NAME of the connect descriptor.
    pub instance_name: Option<String>,
}

/// What the client says of itself at login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// AUTH_PROGRAM_NM.
    pub program: String,
    /// AUTH_MACHINE.
    pub machine: String,
    /// AUTH_TERMINAL.
    pub terminal: String,
    /// AUTH_PID, V$SESSION.PROCESS.
    pub process: String,
    /// AUTH_SID, the operating system user.
    pub osuser: String,
    /// The client's port.
    pub port: u16,
    /// Whether it is connected by TCPS.
    pub tls: bool,
    /// Proxy authentication: the user to become.
    pub proxy_for: Option<String>,
    /// AS SYSDBA was asked for.
    pub sysdba: bool,
}

/// The result of the password exchange, which only the wire knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The client knows the password.
    Right,
    /// It does not.
    Wrong,
}

/// A session as the login's answer describes it.
pub struct Logon {
    /// The session, to be used by this connection alone.
    pub session: Box<dyn Session>,
    /// V$SESSION.SID.
    pub sid: u32,
    /// V$SESSION.SERIAL#.
    pub serial: u32,
    /// For AUTH_INSTANCENAME.
    pub instance_name: String,
    /// For AUTH_DBNAME.
    pub db_name: String,
    /// For AUTH_SC_DBUNIQUE_NAME.
    pub db_unique_name: String,
    /// For AUTH_SC_SERVICE_NAME.
    pub service_name: String,
    /// The release, five numbers (19.3.0.0.0).
    pub version: [u8; 5],
    /// The banner of the release.
    pub banner: String,
    /// A warning that comes with a success (ORA-28002).
    pub warning: Option<OraError>,
}

/// Closes the connection from the server's side, at once and without an answer. May be called at any time and repeatedly.
pub type Hangup = Arc<dyn Fn() + Send + Sync>;

/// The database (all instances of it) behind one listener.
pub trait Database: Send + Sync + 'static {
    /// Where the connection goes, to be handed on to `logon` as it is: the instance in the low 16 bits, above them the
    /// service that was asked for. Errors: ORA-12514, ORA-12505, ORA-12520, ORA-12528 and their like.
    fn route(&self, to: &ConnectTo) -> Result<u32, OraError>;
    /// The account's password, `None` for an account that does not exist (the exchange is run all the same).
    fn password(&self, user: &str) -> Option<String>;
    /// Makes the session. Errors: ORA-01017 (wrong or unknown), 28000, 28001, 01045, 00018, 00020, 01033 ... as the world has it.
    fn logon(&self, route: u32, user: &str, proof: Proof, client: Client, hangup: Hangup) -> Result<Logon, OraError>;
    /// What the listener does with a new TCP connection.
    fn on_accept(&self, peer: SocketAddr) -> OnAccept;
}

/// What the listener does with a new TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAccept {
    /// Speak TNS.
    Serve,
    /// Accept and never answer.
    Silent,
    /// Close at once.
    Drop,
}

/// One connected client's session. Dropping it is the client going away without a logoff.
pub trait Session: Send {
    /// Runs a statement. It is in call (ACTIVE) from before this until its rows are fetched or it returns.
    fn execute(&mut self, statement: &Statement<'_>) -> Result<Reply, OraError>;
    /// The client fetches on: an error (ORA-00028) ends the result set. Called once per fetch round trip, before its rows.
    fn fetching(&mut self) -> Result<(), OraError>;
    /// By what the bytes of the answer to the call that just ran are to be changed, if a fault wants that. Asked once a call.
    fn garbled(&mut self) -> Option<u64> {
        None
    }
    /// One request has been answered and the session waits for the client ("SQL*Net message from client"): INACTIVE.
    fn answered(&mut self);
    /// A ping.
    fn ping(&mut self) -> Result<(), OraError>;
    /// A commit.
    fn commit(&mut self) -> Result<(), OraError>;
    /// A rollback.
    fn rollback(&mut self) -> Result<(), OraError>;
    /// Whether a transaction is open: a client that is told so rolls it back before it logs off.
    fn in_transaction(&self) -> bool;
    /// A logoff in good order: rolls back... commits, as Oracle does, and ends the session.
    fn logoff(&mut self);
    /// Module, action, client identifier and client info as the client sets them between calls; `None` leaves one as it is.
    fn set_end_to_end(&mut self, changes: EndToEnd);
    /// ALTER SESSION SET CURRENT_SCHEMA through the protocol.
    fn set_current_schema(&mut self, schema: &str);
    /// How another thread interrupts the call that runs now.
    fn interrupt(&self) -> Arc<dyn Interrupt>;
}

/// The client's end-to-end attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndToEnd {
    /// V$SESSION.MODULE.
    pub module: Option<String>,
    /// V$SESSION.ACTION.
    pub action: Option<String>,
    /// V$SESSION.CLIENT_IDENTIFIER.
    pub client_identifier: Option<String>,
    /// V$SESSION.CLIENT_INFO.
    pub client_info: Option<String>,
}

/// Ends a wait inside a running call.
pub trait Interrupt: Send + Sync {
    /// The client sent a break: the running call, if it can be interrupted, ends with ORA-01013 soon. Without a running
    /// call it does nothing.
    fn break_call(&self);
}
