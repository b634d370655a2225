//! A group of like sessions: who they are, what they do, and what happens when one of them is killed.

use serde::Deserialize;

use super::units::{Amounts, Length, Lengths};

/// A group of like sessions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name, for events and `blocked_by`.
    pub name: String,
    /// USERNAME.
    pub user: String,
    /// How many, dealt out to the instances in turn.
    #[serde(default = "single")]
    pub count: u32,
    /// On which instances; all of them without this.
    pub instances: Option<Vec<u32>>,
    /// In which container: a PDB, or the root without this.
    pub container: Option<String>,
    /// SERVICE_NAME.
    pub service: Option<String>,
    /// PROGRAM, cut to its column's 48 bytes as Oracle does. Here and in every other text `{host}` is the instance's host,
    /// `{machine}` the client's, `{n}`, `{nn}`, `{nnn}` the session's number in the group, and `{xE9}` the byte E9, whatever
    /// it is in the database's character set. One that begins with `oracle@` and ends with `(J000)` before it is cut is a
    /// server process of that PNAME.
    pub program: String,
    /// MACHINE, dealt out in turn; the instance's host without this.
    #[serde(default)]
    pub machines: Vec<String>,
    /// OSUSER.
    #[serde(default = "oracle")]
    pub osuser: String,
    /// TERMINAL.
    pub terminal: Option<String>,
    /// MODULE.
    pub module: Option<String>,
    /// ACTION.
    pub action: Option<String>,
    /// CLIENT_INFO.
    pub client_info: Option<String>,
    /// CLIENT_IDENTIFIER.
    pub client_identifier: Option<String>,
    /// SERVER.
    #[serde(default)]
    pub server: Server,
    /// How long ago it logged in.
    #[serde(default = "hours")]
    pub logged_on: Lengths,
    /// INACTIVE since so long ago, for good.
    pub idle: Option<Lengths>,
    /// ACTIVE since so long ago, for good.
    pub active: Option<Lengths>,
    /// Works and rests in turn.
    pub cycle: Option<Cycle>,
    /// STATUS SNIPED or CACHED instead of INACTIVE.
    pub parked: Option<Parked>,
    /// Its statement.
    pub sql_id: Option<String>,
    /// What it waits for while ACTIVE; on the processor without this.
    pub wait: Option<Wait>,
    /// An open transaction.
    pub transaction: Option<TransactionSpec>,
    /// Waits for a row lock of a session of that group.
    pub blocked_by: Option<String>,
    /// The transaction that an autonomous one hides: TADDR names `transaction`, SES_ADDR both.
    pub suspended_transaction: Option<TransactionSpec>,
    /// PX servers that work for it.
    #[serde(default)]
    pub px_servers: u32,
    /// The transaction that each of its PX servers has (parallel DML); its parent is the coordinator's.
    pub px_transaction: Option<TransactionSpec>,
    /// How many of the group's sessions on an instance share a server process, and with it PADDR.
    #[serde(default = "single")]
    pub sessions_per_process: u32,
    /// Memory of its server process.
    #[serde(default = "megabytes")]
    pub pga: Amounts,
    /// Temporary segments, in bytes.
    #[serde(default)]
    pub temp: Amounts,
    /// SID and SERIAL# of its first session.
    pub pinned: Option<Pinned>,
    /// Not there at the start: an event brings it.
    #[serde(default)]
    pub later: bool,
    /// What happens when it is killed.
    #[serde(default)]
    pub when_killed: WhenKilled,
}

fn single() -> u32 {
    1
}

fn oracle() -> String {
    "oracle".into()
}

fn hours() -> Lengths {
    Lengths {
        low: 3_600_000,
        high: 8 * 3_600_000,
    }
}

fn megabytes() -> Amounts {
    Amounts {
        low: 2 << 20,
        high: 9 << 20,
    }
}

/// V$SESSION.SERVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// A process of its own.
    #[default]
    Dedicated,
    /// Served by a shared server now.
    Shared,
    /// From a resident pool.
    Pooled,
    /// No process at the moment.
    None,
}

/// Works and rests in turn.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cycle {
    /// How long a call takes.
    pub busy: Lengths,
    /// How long it rests between calls.
    pub idle: Lengths,
}

/// A state beside ACTIVE and INACTIVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parked {
    /// Over a limit of its profile.
    Sniped,
    /// Kept for Oracle XA.
    Cached,
}

/// What a session waits for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// EVENT.
    pub event: String,
    /// WAIT_CLASS.
    pub class: String,
}

/// An open transaction.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionSpec {
    /// When it began.
    pub age: Lengths,
    /// USED_UREC.
    #[serde(default)]
    pub undo_records: Amounts,
    /// USED_UBLK; a fortieth of the records without this.
    pub undo_blocks: Option<Amounts>,
    /// STATUS.
    #[serde(default)]
    pub status: TransactionStatus,
}

/// V$TRANSACTION.STATUS: how far it is on its way to its end, perhaps together with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionStatus {
    /// Nothing was said of its end.
    #[default]
    Active,
    /// It collects what the others of a distributed transaction say.
    Collecting,
    /// It waits for its coordinator to say what becomes of it.
    Prepared,
    /// The same of a parallel one.
    PtxPrepared,
    /// A state without a name.
    Unknown,
}

impl TransactionStatus {
    /// As the view has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Collecting => "COLLECTING",
            Self::Prepared => "PREPARED",
            Self::PtxPrepared => "PTX PREPARED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A SID and a SERIAL#.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// SID.
    pub sid: u32,
    /// SERIAL#.
    pub serial: u32,
}

/// What happens when a session is killed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenKilled {
    /// How long a busy session takes to notice (two minutes without this). An idle one is rid of at once.
    pub notices: Option<Length>,
    /// Oracle refuses to end it: ORA-00029.
    #[serde(default)]
    pub refused: bool,
    /// The killer is answered ORA-00031 even where the session was idle.
    #[serde(default)]
    pub marked: bool,
    /// How long its row stays, KILLED, after all else is done.
    #[serde(default)]
    pub lingers: Length,
    /// Undo records rolled back a second (50 000 without this).
    pub rollback: Option<u32>,
    /// Its client comes back as a new session, so much later.
    pub reconnects: Option<Lengths>,
}
