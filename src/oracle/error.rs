//! What an ORA- number means for the daemon.
//!
//! Errors are classified by number: texts are translated, were rewritten in 23ai, and contain lines of help. The numbers
//! are data, one row each, so that a test can check every row. An error that only wraps another (ORA-00604, ORA-12801,
//! DPI-1080) is unwrapped first. One exception goes by text as well: `leader::was_stopped` looks for the name DBMS_LOCK in
//! ORA-06550, which has the same number for any PL/SQL that does not compile.
//!
//! Sources: the Oracle Database Error Messages reference, and the list of numbers after which ODPI-C takes a connection for
//! lost.

use crate::quantity::Elapsed;
use crate::words::words;
use std::fmt;
use std::time::Duration;

words! {
    /// What an error means for the connection, the cycle and the next attempt. The names are label values of metrics.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Class {
        /// The account was refused. Each further attempt counts towards locking it, so there is none until a person acts.
        Auth = "auth",
        /// A person has to change something: a grant, a name, a certificate, an installation.
        Config = "config",
        /// The database or its listener is not ready, or is full. Wait, longer each time.
        Backoff = "backoff",
        /// The connection is gone, and the outcome of what ran on it is unknown. Connect again and look first.
        Reconnect = "reconnect",
        /// This call was interrupted or invalidated; the connection lives.
        Cancelled = "cancelled",
        /// The answer is missing or may be incomplete, so it is not used; the connection lives.
        Partial = "partial",
        /// The release does not know a clause, a column or a parameter.
        Unsupported = "unsupported",
        /// The daemon's statement was wrong. No retry helps.
        Bug = "bug",
    }
}

impl Class {
    /// When to try again.
    #[must_use]
    pub(crate) const fn retry(self) -> Retry {
        match self {
            Class::Auth => Retry::Never,
            Class::Config => Retry::Slowly,
            Class::Backoff => Retry::Backoff,
            Class::Reconnect => Retry::Reconnect,
            Class::Cancelled | Class::Partial | Class::Unsupported | Class::Bug => Retry::NextCycle,
        }
    }

    /// Whether the connection on which the error happened is lost.
    #[must_use]
    pub const fn costs_the_connection(self) -> bool {
        match self {
            Class::Auth | Class::Backoff | Class::Reconnect => true,
            Class::Config | Class::Cancelled | Class::Partial | Class::Unsupported | Class::Bug => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When to try again after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not before a person has changed something (a reload, a restart).
    Never,
    /// Every few minutes: a person has to act, and an attempt does no harm.
    Slowly,
    /// Exponentially longer each time, with jitter.
    Backoff,
    /// On a new connection, at once the first time.
    Reconnect,
    /// On the same connection, with the next cycle.
    NextCycle,
}

/// Whether the error came from making the connection or from using it: a lost link means something else in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Making the connection.
    Connect,
    /// Using the connection.
    Call,
}

/// Every known number with its class.
pub(crate) const NUMBERS: &[(u32, Class)] = &[
    // Connecting: the account.
    (1005, Class::Auth),  // null password given
    (1017, Class::Auth),  // invalid username/password
    (28000, Class::Auth), // account is locked
    (28001, Class::Auth), // password has expired
    // A person has to act.
    (942, Class::Config),   // table or view does not exist: a missing grant
    (1031, Class::Config),  // insufficient privileges
    (1045, Class::Config),  // lacks CREATE SESSION
    (4043, Class::Config),  // object does not exist
    (6550, Class::Config),  // PL/SQL compilation, PLS-00201: not granted
    (12154, Class::Config), // TNS alias cannot be resolved
    (12578, Class::Config), // wallet open failed
    (12650, Class::Config), // no common encryption or data integrity algorithm
    (12660, Class::Config), // encryption or crypto-checksumming parameters incompatible
    (28009, Class::Config), // SYS should be AS SYSDBA
    (28040, Class::Config), // no matching authentication protocol
    (28150, Class::Config), // proxy not authorized to connect as client
    (28365, Class::Config), // wallet is not open
    (28759, Class::Config), // failure to open file: of a wallet
    (28860, Class::Config), // fatal SSL error
    (29024, Class::Config), // certificate validation failure
    (41900, Class::Config), // missing privilege, from 23ai on
    (47306, Class::Config), // refused by a rule set of Database Vault
    // Not ready, or full.
    (18, Class::Backoff),    // maximum number of sessions exceeded
    (20, Class::Backoff),    // maximum number of processes exceeded
    (1033, Class::Backoff),  // initialization or shutdown in progress
    (1034, Class::Backoff),  // ORACLE not available
    (1035, Class::Backoff),  // only available to users with RESTRICTED SESSION
    (1089, Class::Backoff),  // immediate shutdown in progress
    (1090, Class::Backoff),  // shutdown in progress
    (1092, Class::Backoff),  // instance terminated
    (1109, Class::Backoff),  // database not open
    (1219, Class::Backoff),  // database not open: queries on fixed tables only
    (2391, Class::Backoff),  // SESSIONS_PER_USER exceeded
    (12170, Class::Backoff), // connect timeout
    (12505, Class::Backoff), // listener does not know of SID
    (12514, Class::Backoff), // listener does not know of service
    (12516, Class::Backoff), // no handler with matching protocol stack
    (12518, Class::Backoff), // listener could not hand off
    (12519, Class::Backoff), // no appropriate service handler
    (12520, Class::Backoff), // no handler for this type of server
    (12526, Class::Backoff), // instances in restricted mode
    (12527, Class::Backoff), // instances restricted or blocking new connections
    (12528, Class::Backoff), // instances blocking new connections
    (12533, Class::Backoff), // illegal ADDRESS parameters
    (12535, Class::Backoff), // operation timed out
    (12541, Class::Backoff), // no listener
    (12543, Class::Backoff), // destination host unreachable
    (12545, Class::Backoff), // target host or object does not exist
    (12560, Class::Backoff), // protocol adapter error
    (16004, Class::Backoff), // standby requires recovery
    (16456, Class::Backoff), // switchover in progress or completed
    (27101, Class::Backoff), // shared memory realm does not exist
    // The connection is gone.
    (22, Class::Reconnect),    // invalid session ID
    (28, Class::Reconnect),    // your session has been killed: ours
    (31, Class::Reconnect),    // as an error of our own call: our session is being killed
    (45, Class::Reconnect),    // your session has been terminated with no replay
    (378, Class::Reconnect),   // buffer pools cannot be created as specified
    (600, Class::Reconnect),   // internal error
    (602, Class::Reconnect),   // internal programming exception
    (603, Class::Reconnect),   // session terminated by fatal error
    (609, Class::Reconnect),   // could not attach to incoming connection
    (1012, Class::Reconnect),  // not logged on
    (1041, Class::Reconnect),  // internal error, hostdef extension does not exist
    (1043, Class::Reconnect),  // user side memory corruption
    (2396, Class::Reconnect),  // exceeded maximum idle time: of our own profile
    (2399, Class::Reconnect),  // exceeded maximum connect time: of our own profile
    (3106, Class::Reconnect),  // fatal two-task communication protocol error
    (3113, Class::Reconnect),  // end-of-file on communication channel
    (3114, Class::Reconnect),  // not connected
    (3117, Class::Reconnect),  // two-task save area overflow
    (3122, Class::Reconnect),  // attempt to close ORACLE-side window on user side
    (3126, Class::Reconnect),  // network driver does not support non-blocking operations
    (3135, Class::Reconnect),  // connection lost contact
    (3136, Class::Reconnect),  // inbound connection timed out
    (3156, Class::Reconnect),  // OCI call timed out, and its recovery too
    (7445, Class::Reconnect),  // exception in the server
    (12153, Class::Reconnect), // not connected
    (12161, Class::Reconnect), // partial data received
    (12537, Class::Reconnect), // connection closed
    (12547, Class::Reconnect), // lost contact
    (12570, Class::Reconnect), // packet reader failure
    (12571, Class::Reconnect), // packet writer failure
    (12583, Class::Reconnect), // no reader
    (12606, Class::Reconnect), // application timeout
    (12608, Class::Reconnect), // send timeout
    (12609, Class::Reconnect), // receive timeout
    (24300, Class::Reconnect), // bad value for mode
    (25402, Class::Reconnect), // transaction must roll back after failover
    (25405, Class::Reconnect), // transaction status unknown after failover
    (25408, Class::Reconnect), // cannot safely replay call
    (25409, Class::Reconnect), // failover during the network operation
    (27146, Class::Reconnect), // post/wait initialization failed
    (28511, Class::Reconnect), // lost RPC connection
    (56600, Class::Reconnect), // illegal OCI function call
    // Interrupted or invalidated; the connection lives.
    (1013, Class::Cancelled), // user requested cancel
    (4061, Class::Cancelled), // package state has been invalidated
    (4065, Class::Cancelled), // not executed, altered or dropped
    (4068, Class::Cancelled), // package state has been discarded
    (6508, Class::Cancelled), // could not find program unit
    // The answer is missing or incomplete.
    (604, Class::Partial),         // error at recursive SQL level, without the error itself
    (1555, Class::Partial),        // snapshot too old
    (4031, Class::Partial),        // unable to allocate shared memory
    (8103, Class::Partial),        // object no longer exists
    (12801, Class::Partial),       // error signaled in parallel query server
    (12805, Class::Partial),       // parallel query server died unexpectedly
    (12850, Class::Partial),       // could not allocate slaves on all instances
    (12853, Class::Partial),       // insufficient memory for PX buffers
    (BROKEN_TEXT, Class::Partial), // partial multibyte character
    // The release does not know it.
    (900, Class::Unsupported),  // invalid SQL statement
    (904, Class::Unsupported),  // invalid identifier
    (922, Class::Unsupported),  // missing or invalid option
    (933, Class::Unsupported),  // SQL command not properly ended
    (2003, Class::Unsupported), // invalid USERENV parameter
    (2065, Class::Unsupported), // illegal option
    (3048, Class::Unsupported), // SQL reserved word is not syntactically valid following
    // Our statement was wrong, or an answer to the statement of an action came as an error of the block.
    (26, Class::Bug),    // missing or invalid session ID
    (27, Class::Bug),    // cannot kill current session
    (29, Class::Bug),    // session is not a user session
    (30, Class::Bug),    // session ID does not exist
    (34, Class::Bug),    // cannot COMMIT or ROLLBACK in the current PL/SQL session
    (1722, Class::Bug),  // invalid number
    (2030, Class::Bug),  // can only select from fixed tables
    (13516, Class::Bug), // AWR operation failed: AWR is never read
    (16000, Class::Bug), // open for read-only access: nothing is ever written
];

/// Partial multibyte character: a text was cut in the middle of a character, or was never valid in the character set.
pub(crate) const BROKEN_TEXT: u32 = 29_275;

/// Limits of Oracle Net and of OCI that ran out: to connect, of an operation, of an application, to send, to receive, of a call.
const TIMEOUTS: [u32; 6] = [12_170, 12_535, 12_606, 12_608, 12_609, 3_156];

const RECURSIVE: u32 = 604;
const PARALLEL: u32 = 12801;

/// The class of a stack of numbers, outermost first, and the number that decides it.
///
/// An unknown number means [`Class::Backoff`] while connecting, and [`Class::Partial`] in a call.
#[must_use]
pub(crate) fn classify(stack: &[u32], phase: Phase) -> (Class, Option<u32>) {
    let Some(outer) = stack.first().copied() else {
        return (unknown(phase), None);
    };
    let inner = stack
        .iter()
        .copied()
        .find(|number| *number != RECURSIVE && *number != PARALLEL);
    let Some(number) = inner else {
        return (of_number(outer, phase), Some(outer));
    };
    let class = of_number(number, phase);
    if outer != PARALLEL && !(outer == RECURSIVE && stack.contains(&PARALLEL)) {
        return (class, Some(number));
    }
    // A parallel server failed, not our connection: the answer is lost, the connection lives.
    let class = match class {
        Class::Auth | Class::Backoff | Class::Reconnect | Class::Partial => Class::Partial,
        Class::Config | Class::Cancelled | Class::Unsupported | Class::Bug => class,
    };
    (class, Some(number))
}

fn of_number(number: u32, phase: Phase) -> Class {
    let class = if (20000..=20999).contains(&number) {
        Class::Bug
    } else {
        NUMBERS
            .iter()
            .find(|(known, _)| *known == number)
            .map_or(unknown(phase), |(_, class)| *class)
    };
    match (phase, class) {
        // There is no connection yet that could be lost.
        (Phase::Connect, Class::Reconnect | Class::Partial | Class::Cancelled) => Class::Backoff,
        (Phase::Connect | Phase::Call, class) => class,
    }
}

const fn unknown(phase: Phase) -> Class {
    match phase {
        Phase::Connect => Class::Backoff,
        Phase::Call => Class::Partial,
    }
}

/// The ORA- numbers in a message, in their order.
#[must_use]
pub(crate) fn numbers_in(message: &str) -> Vec<u32> {
    prefixed_numbers(message, "ORA-")
}

/// The DPI- number at the beginning of an ODPI-C message.
#[must_use]
pub(crate) fn dpi_number(message: &str) -> Option<u32> {
    if message.starts_with("DPI-") {
        prefixed_numbers(message, "DPI-").first().copied()
    } else {
        None
    }
}

fn prefixed_numbers(message: &str, prefix: &str) -> Vec<u32> {
    message
        .match_indices(prefix)
        .filter_map(|(at, _)| {
            let digits: String = message[at + prefix.len()..]
                .chars()
                .take_while(char::is_ascii_digit)
                .take(5)
                .collect();
            digits.parse().ok()
        })
        .collect()
}

/// What was tried, on what, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What the error means.
    pub class: Class,
    /// The ORA- number that decided the class, if there is one.
    pub code: Option<u32>,
    /// What was tried and on what: `read GV$SESSION from prod`.
    pub(crate) tried: String,
    /// Why it failed: the first lines of the driver's message, or our own text.
    pub why: String,
    /// Whether an answer was waited for in vain. Which limit ran out first, of this program, of the driver or of Oracle Net, is chance.
    pub(crate) timed_out: bool,
}

/// What is wrong with an account that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountFault {
    /// There is no such account, or it has another password.
    WrongPassword,
    /// It is locked.
    Locked,
    /// Its password has expired.
    Expired,
}

/// ORA-01017: invalid username/password; logon denied.
pub(crate) const WRONG_PASSWORD: u32 = 1017;

impl Error {
    /// Whether the database refused the password, which counts towards the account's lock.
    #[must_use]
    pub(crate) fn is_wrong_password(&self) -> bool {
        self.code == Some(WRONG_PASSWORD)
    }

    /// What is wrong with an account that was refused, if the database says so.
    #[must_use]
    pub(crate) const fn account_fault(&self) -> Option<AccountFault> {
        match self.code {
            Some(WRONG_PASSWORD) => Some(AccountFault::WrongPassword),
            Some(28000) => Some(AccountFault::Locked),
            Some(28001) => Some(AccountFault::Expired),
            Some(_) | None => None,
        }
    }

    /// Whether the account lacks CREATE SESSION and so may not log in.
    #[must_use]
    pub(crate) fn lacks_create_session(&self) -> bool {
        self.code == Some(1045)
    }

    /// An error without a number.
    #[must_use]
    pub fn new(class: Class, tried: impl Into<String>, why: impl Into<String>) -> Error {
        Error {
            class,
            code: None,
            tried: tried.into(),
            why: why.into(),
            timed_out: false,
        }
    }

    /// No answer within a limit.
    #[must_use]
    pub(crate) fn no_answer(class: Class, tried: impl Into<String>, limit: Duration) -> Error {
        Error {
            timed_out: true,
            ..Error::new(class, tried, format!("no answer within {}", Elapsed(limit)))
        }
    }

    /// Whether the query failed only because a text in its answer is not valid in its character set.
    #[must_use]
    pub(crate) fn is_of_a_text(&self) -> bool {
        self.code == Some(BROKEN_TEXT)
    }

    /// From an error of ODPI-C: its own (`DPI-nnnn`), or the database's passed on.
    #[must_use]
    pub(crate) fn from_odpi(phase: Phase, tried: &str, code: i32, message: &str, limit: Duration) -> Error {
        let own = |class, why: String| Error::new(class, tried, why);
        match dpi_number(message) {
            None => Error::from_database(phase, tried, u32::try_from(code).ok(), message),
            Some(1047) => own(
                Class::Config,
                "the Oracle Client library was not found (DPI-1047): install Oracle Instant Client 19 or later and add \
                 its folder to LD_LIBRARY_PATH or ld.so.conf, or set driver: thin"
                    .to_owned(),
            ),
            Some(1050 | 1072) => own(
                Class::Config,
                format!("the Oracle Client library is too old, install 19 or later: {}", first_lines(message)),
            ),
            Some(1010) => own(Class::Reconnect, "not connected (DPI-1010)".to_owned()),
            Some(1067) => Error {
                timed_out: true,
                ..own(
                    Class::Cancelled,
                    format!("no answer within {} (DPI-1067)", Elapsed(limit)),
                )
            },
            // The driver closed the connection because of the number in its message.
            Some(1080) => {
                let error = Error::from_database(Phase::Call, tried, None, message);
                let class = if error.class.costs_the_connection() { error.class } else { Class::Reconnect };
                Error { class, ..error }
            }
            Some(_) => own(Class::Bug, first_lines(message)),
        }
    }

    /// From a message of the database and, if the driver gives it separately, its first number.
    #[must_use]
    pub fn from_database(phase: Phase, tried: impl Into<String>, code: Option<u32>, message: &str) -> Error {
        let mut stack = numbers_in(message);
        if let Some(code) = code.filter(|code| *code != 0)
            && stack.first() != Some(&code)
        {
            stack.insert(0, code);
        }
        let (class, code) = classify(&stack, phase);
        Error {
            timed_out: code.is_some_and(|code| TIMEOUTS.contains(&code)),
            class,
            code,
            tried: tried.into(),
            why: first_lines(message),
        }
    }

    /// Whether a grant would solve it: Oracle answers that there is no such view when the account may not see it (ORA-00942,
    /// ORA-04043, ORA-41900 from 23ai on), or that the privilege is missing (ORA-01031).
    #[must_use]
    pub(crate) fn is_missing_right(&self) -> bool {
        matches!(self.code, Some(942 | 1031 | 4043 | 41900))
    }
}

/// The first three lines of a message on one line, without the help that newer releases add.
fn first_lines(message: &str) -> String {
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Help: ") && !line.starts_with("https://"))
        .take(3)
        .collect();
    lines.join("; ").trim_end_matches('.').to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tried, self.why)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
