//! The files of a journal, found and opened for reading while the daemon may write, rotate and delete.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::journal::{JournalError, file};
use crate::yaml::files::open_regular;

/// The highest number of a file; a journal with this many files takes no more records.
pub(super) const OLDEST: u32 = 9_999;

/// How many numbers further the oldest file may be because of rotations during the search.
const MARGIN: u32 = 2;

/// All files of a journal, opened before the first is read: a rotation meanwhile renames them and changes none.
#[derive(Debug)]
pub(super) struct Files {
    newest_first: Vec<(PathBuf, File)>,
}

impl Files {
    /// Each once, however they are renamed meanwhile. No folder is no file.
    ///
    /// # Errors
    /// When the folder or a file that is there cannot be read.
    pub(super) fn open(state: &Path) -> Result<Files, JournalError> {
        let oldest = ages(state)?.last().map_or(0, |oldest| oldest.saturating_add(MARGIN));
        let mut newest_first = Vec::new();
        let mut seen = HashSet::new();
        for age in 0..=oldest {
            let path = file(state, age);
            match open_regular(&path) {
                Ok(opened) => {
                    let metadata = opened.metadata().map_err(JournalError::io("read", &path))?;
                    if seen.insert((metadata.dev(), metadata.ino())) {
                        newest_first.push((path, opened));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(JournalError::io("open", &path)(error)),
            }
        }
        Ok(Files { newest_first })
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = (&Path, &File)> {
        self.newest_first.iter().map(|(path, opened)| (path.as_path(), opened))
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = (&Path, &File)> {
        self.newest_first
            .iter()
            .rev()
            .map(|(path, opened)| (path.as_path(), opened))
    }

    pub(super) fn len(&self) -> usize {
        self.newest_first.len()
    }
}

/// The ages of the files that are there, newest first.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn ages(state: &Path) -> Result<Vec<u32>, JournalError> {
    let listed = match fs::read_dir(state) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("list", state)(error)),
    };
    let mut ages = Vec::new();
    for entry in listed {
        let name = entry.map_err(JournalError::io("list", state))?.file_name();
        ages.extend(name.to_str().and_then(age_of));
    }
    ages.sort_unstable();
    Ok(ages)
}

fn age_of(name: &str) -> Option<u32> {
    if name == "journal.jsonl" {
        return Some(0);
    }
    let digits = name.strip_prefix("journal.")?.strip_suffix(".jsonl")?;
    let age = digits.parse().ok().filter(|age| (1..=OLDEST).contains(age))?;
    // `journal.01.jsonl` is another file.
    (digits == u32::to_string(&age)).then_some(age)
}
