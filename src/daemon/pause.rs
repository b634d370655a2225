//! The kill switch: a file in the state folder. While it is there, nothing is done to any session.
//!
//! A file, because it works when everything else is in doubt: it can be made by `orareaper pause`, by `touch`, by a
//! deployment script or over a remote shell, needs no running daemon, and survives a restart. What cannot be looked at
//! counts as paused.

use std::io;
use std::path::{Path, PathBuf};

/// The file in a state folder.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join("paused")
}

/// One looker's view of the switch.
#[derive(Debug)]
pub struct Pause {
    file: PathBuf,
    was: bool,
}

impl Pause {
    /// Of a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Pause {
        Pause {
            file: file(state),
            was: false,
        }
    }

    /// Whether everything is paused, and by what if that has changed since the last look.
    pub fn look(&mut self) -> (bool, Option<String>) {
        let paused = self.file.try_exists().unwrap_or(true);
        let changed = (paused != self.was).then(|| self.file.display().to_string());
        self.was = paused;
        (paused, changed)
    }
}

/// Pauses everything.
///
/// # Errors
/// When the file cannot be written.
pub fn pause(state: &Path, reason: &str) -> io::Result<()> {
    std::fs::create_dir_all(state)?;
    std::fs::write(file(state), format!("{reason}\n"))
}

/// Ends a pause; whether there was one.
///
/// # Errors
/// When the file is there and cannot be removed.
pub fn resume(state: &Path) -> io::Result<bool> {
    match std::fs::remove_file(file(state)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seen_once_as_a_change_and_lasts_until_it_is_ended() {
        let state = tempfile::tempdir().expect("a folder");
        let mut look = Pause::new(state.path());
        assert_eq!(look.look(), (false, None));
        pause(state.path(), "month end").expect("written");
        let (paused, by) = look.look();
        assert!(paused && by.is_some_and(|by| by.ends_with("paused")));
        assert_eq!(look.look(), (true, None));
        assert!(resume(state.path()).expect("removed"));
        assert!(!resume(state.path()).expect("nothing to remove"));
        assert!(!look.look().0);
    }
}
