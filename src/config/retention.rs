//! How long the journal is kept.

use chrono::TimeDelta;

use crate::yaml::fields::Inspection;
use crate::yaml::node::Node;

pub(super) const JOURNAL_KEYS: [&str; 2] = ["keep", "size"];

const DAY: i64 = 86_400;
const SHORTEST: i64 = 2 * DAY;
const LONGEST: i64 = 3_650 * DAY;
const SMALLEST: i64 = 16 << 20;
const LARGEST: i64 = 512 << 30;

/// How long the journal is kept. Only whole files are deleted, when one of these limits is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// A file is deleted when its last record is older than this.
    pub keep: TimeDelta,
    /// The oldest file is deleted when all files together are larger than this, in bytes.
    pub size: u64,
}

impl Retention {
    /// The largest size of one file of the journal: a sixteenth of the total, but no more than with the default total.
    #[must_use]
    pub(crate) fn file_bytes(&self) -> u64 {
        (self.size / 16).min(Retention::default().size / 16)
    }

    /// The next file of the journal begins when the first record of the current one is older than this. So files can be
    /// deleted in time even if little is written.
    #[must_use]
    pub(crate) fn file_span(&self) -> TimeDelta {
        (self.keep / 16).max(TimeDelta::days(1))
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            keep: TimeDelta::days(400),
            size: 1 << 30,
        }
    }
}

/// Reads `journal:`.
pub(super) fn retention(inspection: &mut Inspection, node: &Node) -> Option<Retention> {
    let fields = inspection.fields(node, "`journal`", &JOURNAL_KEYS)?;
    let keep = match fields.get("keep") {
        Some(node) => inspection
            .duration(node, "keep", SHORTEST, LONGEST)
            .map(TimeDelta::seconds),
        None => Some(Retention::default().keep),
    };
    let size = match fields.get("size") {
        Some(node) => inspection
            .size(node, "size", SMALLEST, LARGEST)
            .and_then(|bytes| u64::try_from(bytes).ok()),
        None => Some(Retention::default().size),
    };
    Some(Retention {
        keep: keep?,
        size: size?,
    })
}
