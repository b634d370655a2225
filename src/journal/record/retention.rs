//! The record of a file that retention deletes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::DeletedFile;

/// A file that retention deletes.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::journal) struct RetentionRecord {
    /// The configured limit that it is beyond.
    reason: String,
    bytes: u64,
    records: u64,
    /// When its first record was written.
    from: DateTime<Utc>,
    /// When its last record was written.
    to: DateTime<Utc>,
    /// The hash of its last line.
    pub(in crate::journal) through: String,
}

impl RetentionRecord {
    pub(super) fn of(deleted: &DeletedFile) -> RetentionRecord {
        RetentionRecord {
            reason: deleted.reason.clone(),
            bytes: deleted.bytes,
            records: deleted.records,
            from: deleted.from,
            to: deleted.to,
            through: deleted.through.clone(),
        }
    }
}
