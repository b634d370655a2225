//! Files of a state folder get the folder's owner.
//!
//! The daemon has a user of its own. A command that root runs in its place (`orareaper kill` where no daemon runs) writes the
//! same files, and what root made the daemon could not open at its next start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

/// Gives a file that root has made to the owner of its folder; does nothing for other users.
///
/// # Errors
/// When the folder or the file cannot be looked at, or the file cannot be given away.
pub(crate) fn give(made: &File, folder: &Path) -> io::Result<()> {
    let (of, own) = (fs::metadata(folder)?, made.metadata()?);
    if own.uid() != 0 || of.uid() == 0 {
        return Ok(());
    }
    fchown(made, Some(of.uid()), Some(of.gid()))
}
