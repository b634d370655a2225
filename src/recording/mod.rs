//! Recordings: snapshots over time in one small file, so that policies can be tried on last week.
//!
//! A file begins with [`MAGIC`], the format's version and a block that says of which database it is. Then comes one block a
//! snapshot. A block is its length, a checksum of its content and a checksum of these two, all four bytes, little-endian;
//! then the content. So a file that was cut anywhere is read up to the cut, a damaged block is passed over, and only where
//! a length itself is damaged the rest is lost.
//!
//! From one snapshot to the next little changes, and what changes does so alike: all idle sessions grow idle by the same few
//! seconds. So a block holds, for each column, one shift for all rows and the rows that it is not true for; texts are
//! numbers of words, and a word is written once. Every [`WHOLE_EVERY`] blocks, and when the columns change, a block is
//! *whole*: it needs none before it, and reading goes on there after a damaged one. General compression was the rejected
//! design: it costs a dependency and CPU on the way back, where ten thousand snapshots are to be read in seconds. Columns
//! have their lengths, so those that no policy speaks of are skipped unread.
//!
//! Memory: the writer keeps the last snapshot and its dictionaries, the reader the last values of the wanted columns. A
//! dictionary that holds more than twice the words in use is begun anew.

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
use crate::decide::protect::Facts;
use crate::session::snapshot::Snapshot;

pub use bytes::Malformed;
pub use reader::{Broken, Damage, Next, OpenError, Reader};
pub use writer::Writer;

/// What every recording begins with. The line feed and the byte 26 show a transfer that took it for text.
pub const MAGIC: [u8; 8] = *b"orarec\x1a\n";

/// The version that is written, and the newest that is read.
pub const VERSION: u16 = 2;

/// A block that needs none before it comes at least so often: an hour at four snapshots a minute.
pub const WHOLE_EVERY: u32 = 240;

/// No block is longer; a snapshot of the most sessions that there may be stays below.
pub const LONGEST_BLOCK: u32 = 1 << 30;

/// What a recording says once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The configured name of the database.
    pub database: String,
    /// Between two snapshots.
    pub every: Duration,
}

/// One moment with all that decisions are made from.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The sessions.
    pub snapshot: Snapshot,
    /// What instances were short of.
    pub readings: Readings,
    /// Who was protected.
    pub facts: Arc<Facts>,
}
