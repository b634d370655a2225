//! Recordings: snapshots over time in one small file, so that policies can be tried on the sessions of last week.
//!
//! A file begins with [`MAGIC`], the version of the format and a block about the database. Then comes a block for each
//! snapshot. A block is its length, a checksum of its content and a checksum of these two (four bytes each, little-endian),
//! then the content. So a file that is cut off is read up to that place, and a damaged block is skipped. Only if a length is
//! damaged is the rest of the file lost.
//!
//! Little changes between two snapshots, and most changes are the same for many sessions: the ages of all idle sessions grow
//! by the same few seconds. So a block has, for each column, one shift for all rows and the rows for which it is wrong. Texts
//! are numbers of words, and a word is written once. Every [`WHOLE_EVERY`] blocks, and when the columns change, a block is
//! *whole*: it does not depend on earlier blocks, and reading resumes there after damage. General compression was the rejected
//! design: it needs a dependency, and CPU during reading, where ten thousand snapshots must take only seconds. Each column has
//! its length, so columns that no policy uses are skipped.
//!
//! Memory: the writer keeps the last snapshot and its dictionaries, the reader the last values of the wanted columns. A
//! dictionary with more than twice the words in use is replaced by a new one.

mod anonymise;
mod bytes;
mod decode;
mod encode;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use crate::decide::pressure::Readings;
use crate::decide::protect::ProtectionFacts;
use crate::session::snapshot::Snapshot;

pub(crate) use anonymise::Anonymiser;
pub use reader::{BlockDamage, DamagedBlock, Next, OpenError, RecordingReader};
pub use writer::RecordingWriter;

/// The first bytes of every recording. A transfer as text would change the line feed or the byte 26.
pub(crate) const MAGIC: [u8; 8] = *b"orarec\x1a\n";

/// The version that is written, and the newest one that is read.
pub(crate) const VERSION: u16 = 3;

/// The most blocks from one whole block to the next: an hour, at four snapshots a minute.
pub(crate) const WHOLE_EVERY: u32 = 240;

/// The longest block; a snapshot with the most sessions is shorter.
pub(crate) const LONGEST_BLOCK: u32 = 1 << 30;

/// The header of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The configured name of the database.
    pub database: String,
    /// The time between two snapshots.
    pub every: Duration,
}

/// A snapshot and everything else that decisions depend on.
#[derive(Clone, Debug)]
pub struct RecordedSnapshot {
    /// The sessions.
    pub snapshot: Snapshot,
    /// The resource readings of the instances.
    pub readings: Readings,
    /// The facts for the protections.
    pub facts: Arc<ProtectionFacts>,
}
