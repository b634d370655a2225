//! The database of a scenario: its containers, clocks and files, and how it differs from the default.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use serde::Deserialize;

use super::units::{Amount, Length, Shift};

/// The database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// V$DATABASE.NAME.
    pub name: String,
    /// V$DATABASE.DB_UNIQUE_NAME; the name, if it is not given.
    pub unique_name: Option<String>,
    /// V$DATABASE.DATABASE_ROLE.
    #[serde(default = "primary")]
    pub role: String,
    /// V$DATABASE.OPEN_MODE.
    #[serde(default = "read_write")]
    pub open_mode: String,
    /// The pluggable databases; none makes it a non-CDB.
    #[serde(default)]
    pub pdbs: Vec<String>,
    /// Which containers' sessions a common user sees from the root.
    #[serde(default)]
    pub container_data: ContainerData,
    /// USERENV's CLOUD_SERVICE: of ALTER SYSTEM, Autonomous Database allows SET and KILL SESSION alone.
    pub cloud_service: Option<String>,
    /// DISCONNECT SESSION takes `@inst_id`, which no documented release does.
    #[serde(default)]
    pub disconnect_takes_instance: bool,
    /// What becomes of an attempt on a background process.
    #[serde(default)]
    pub background_kill: BackgroundKill,
    /// The PDBs that are open on some instances only, with these: MOUNTED on the others.
    #[serde(default)]
    pub open_on: BTreeMap<String, Vec<u32>>,
    /// What GV$ views show, inside a PDB, of an instance where it is not open.
    #[serde(default)]
    pub where_closed: WhereClosed,
    /// What becomes of a query that would return a text that is no text in the database's character set: one that a client
    /// sent so, or that was cut in the middle of a character.
    #[serde(default)]
    pub broken_text: BrokenText,
    /// How a log-in fails when PROCESSES is reached.
    #[serde(default)]
    pub processes_full: ProcessesFull,
    /// SYSDATE and SYSTIMESTAMP are so much ahead (`-9h`: behind) of what V$ views show, LOGON_TIME among it, as with
    /// TIME_AT_DBTIMEZONE = USER_SQL where DBTIMEZONE is not the host's zone.
    #[serde(default)]
    pub sysdate_shift: Shift,
    /// How long the session of a client that went without a word stays, until the server notices.
    #[serde(default)]
    pub cut_off_stays: Length,
    /// FIXED_DATE: SYSDATE stands still, SYSTIMESTAMP does not.
    pub fixed_date: Option<NaiveDateTime>,
}

fn primary() -> String {
    "PRIMARY".into()
}

fn read_write() -> String {
    "READ WRITE".into()
}

/// Which containers' sessions a common user sees from the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerData {
    /// All of them (`CONTAINER_DATA=ALL`).
    #[default]
    All,
    /// All of them in V$ views (`CONTAINER_DATA=ALL FOR sys.gv_$session` and so on), the root's own in CDB_ views.
    Sessions,
    /// The root's own, which is what a user gets without that attribute.
    Current,
}

/// What becomes of an attempt on a background process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackgroundKill {
    /// ORA-00029, as documented.
    #[default]
    Refused,
    /// The instance goes down, so that a test cannot overlook it.
    Fatal,
}

/// What GV$ views show, inside a PDB, of an instance where it is not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhereClosed {
    /// Nothing but the instance itself (GV$INSTANCE) and that the PDB is not open there (GV$PDBS).
    #[default]
    Nothing,
    /// The background processes as well, which are nobody's.
    Background,
}

/// What becomes of a query that would return a text that is no text in the database's character set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokenText {
    /// The bytes are passed on as they are.
    #[default]
    Passed,
    /// ORA-29275 for the whole query.
    Refused,
}

/// How a log-in fails when PROCESSES is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessesFull {
    /// ORA-00020 from the server process that found no room.
    #[default]
    Process,
    /// ORA-12516 from the listener, once it was told.
    Listener,
}

/// A file of a tablespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tablespace {
    /// TABLESPACE_NAME. Naming one of the defaults (SYSTEM, SYSAUX, UNDOTBS1, TEMP, USERS) replaces its file; naming one
    /// twice gives it two files.
    pub name: String,
    /// CONTENTS.
    #[serde(default)]
    pub contents: Contents,
    /// In which container: a PDB, or the root without this.
    pub container: Option<String>,
    /// BYTES of the file today.
    pub size: Amount,
    /// MAXBYTES of a file that grows (AUTOEXTENSIBLE); without this it does not.
    pub grows_to: Option<Amount>,
}

/// DBA_TABLESPACES.CONTENTS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contents {
    /// PERMANENT.
    #[default]
    Permanent,
    /// UNDO.
    Undo,
    /// TEMPORARY: it has temp files.
    Temporary,
}

impl DatabaseSpec {
    /// Whether a container is open on an instance.
    pub(crate) fn is_open(&self, con_id: u32, instance: u32) -> bool {
        let name = (con_id as usize).checked_sub(3).and_then(|at| self.pdbs.get(at));
        let on = name.and_then(|name| {
            self.open_on
                .iter()
                .find(|(pdb, _)| pdb.eq_ignore_ascii_case(name))
                .map(|(_, on)| on)
        });
        on.is_none_or(|on| on.contains(&instance))
    }

    pub(super) fn check(&self, numbers: &BTreeSet<u32>) -> Result<(), String> {
        for (pdb, on) in &self.open_on {
            if !self.pdbs.iter().any(|known| known.eq_ignore_ascii_case(pdb)) {
                return Err(format!("open_on: there is no PDB `{pdb}`"));
            }
            if let Some(missing) = on.iter().find(|number| !numbers.contains(number)) {
                return Err(format!("open_on: there is no instance {missing}"));
            }
        }
        Ok(())
    }
}
