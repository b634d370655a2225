//! The record of what became of a session that a dry run would have ended.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::UnknownWord;
use crate::decide::used_again::{Aftermath, Afterwards};

/// What became of a session that a dry run would have ended.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::journal) struct RehearsedRecord {
    /// The number of the action that the dry run assumed.
    pub(in crate::journal) id: u64,
    database: String,
    /// One of the closed list: `used_again`, `validated`, `ended`, `lost`.
    afterwards: String,
    /// How long after the action, in seconds.
    after: i64,
}

impl RehearsedRecord {
    pub(super) fn of(database: &str, aftermath: &Aftermath) -> RehearsedRecord {
        RehearsedRecord {
            id: aftermath.action_id,
            database: database.to_owned(),
            afterwards: aftermath.afterwards.name().to_owned(),
            after: aftermath.after.num_seconds(),
        }
    }

    /// What became of it, and how long after the action.
    ///
    /// # Errors
    /// When it is a word that this version does not know.
    pub(in crate::journal) fn read(&self) -> Result<(Afterwards, TimeDelta), UnknownWord> {
        let afterwards = Afterwards::named(&self.afterwards).ok_or_else(|| UnknownWord {
            what: "afterwards",
            word: self.afterwards.clone(),
        })?;
        let after = TimeDelta::try_seconds(self.after.max(0)).unwrap_or(TimeDelta::MAX);
        Ok((afterwards, after))
    }
}
