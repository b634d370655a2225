//! Files of a state folder get the folder's owner, and the state folder its mode, whatever the umask is.
//!
//! The daemon has a user of its own. A command that root runs in its place (`orareaper kill` where no daemon runs) writes the
//! same files, and what root made the daemon could not open at its next start.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// The mode of the state folder and of those in it: the group may read what the journal and the reports say, others may not.
pub(crate) const FOLDER_MODE: u32 = 0o750;

/// The mode of a file that the group may read.
pub(crate) const FILE_MODE: u32 = 0o640;

/// Makes the state folder, and those above it, unless it is there. One that is there keeps its mode, which somebody has chosen.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn make_state(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    make(folder)
}

/// Makes one folder for the group to read, unless it is there.
///
/// # Errors
/// When it cannot be made, or its mode cannot be set.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        // The umask may have taken more away.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a file for the group to read, and nobody else, also where a file of that name is there with another mode.
///
/// # Errors
/// When it cannot be written, or its mode cannot be set.
pub(crate) fn write_for_group(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(file)?;
    open.set_permissions(Permissions::from_mode(FILE_MODE))?;
    open.write_all(text)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_may_read_neither_the_folder_nor_its_files_and_the_group_may_read_both() {
        let place = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
        let state = place.path().join("var/state");
        make_state(&state).expect("made");
        assert_eq!(mode(&state), 0o750);
        let file = state.join("prod.html");
        for before in [None, Some(0o666), Some(0o600)] {
            if let Some(before) = before {
                fs::set_permissions(&file, Permissions::from_mode(before)).expect("set");
            }
            write_for_group(&file, b"text").expect("written");
            assert_eq!(mode(&file), 0o640, "{before:?}");
        }
        // Somebody has chosen it.
        fs::set_permissions(&state, Permissions::from_mode(0o700)).expect("set");
        make_state(&state).expect("it is there");
        assert_eq!(mode(&state), 0o700);
    }
}
