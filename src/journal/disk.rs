//! The files of a state folder, as the journal writes them.
//!
//! Records written into a file that was removed or renamed are lost with this process, and a file that another process has cut or
//! written does not match the daemon's memory. So the open file is compared with its path and its expected length before and
//! after each write. Nothing is repaired here: a journal that another process has changed is not written to.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::folder::give;
use crate::journal::files::OLDEST;
use crate::journal::{JournalError, Medium, file};

/// The state folder's group may read the journal.
const MODE: u32 = 0o640;

/// It may not open the lock: a process that has it open can take it, and keep the daemon from starting.
const LOCK_MODE: u32 = 0o600;

/// Takes the folder for this process, until it ends or drops the file.
pub(super) fn lock(state: &Path) -> Result<File, JournalError> {
    let path = state.join("lock");
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(LOCK_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(|error| told_of_link("lock", error));
    let mut file = open.map_err(JournalError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            // Earlier versions let the group read it.
            let own = Permissions::from_mode(LOCK_MODE);
            file.set_permissions(own)
                .map_err(JournalError::io("set the mode of", &path))?;
            give(&file, state).map_err(JournalError::io("set the owner of", &path))?;
            // Only for the error message of a second daemon; the kernel's lock decides.
            let named = file
                .set_len(0)
                .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            named.map_err(JournalError::io("write", &path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let read = Read::by_ref(&mut file).take(20).read_to_string(&mut owner);
            let known = read.is_ok() && !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit());
            Err(JournalError::InUse {
                state: state.to_owned(),
                owner: if known { owner } else { "unknown".to_owned() },
            })
        }
        Err(TryLockError::Error(source)) => Err(JournalError::io("lock", &path)(source)),
    }
}

/// No link is written through: root writes in a folder of the daemon's user, and a rotation would rename the link.
fn told_of_link(name: &str, error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ELOOP) {
        let told = format!(
            "{name} is a symbolic link, which orareaper does not write through: put the file itself there, or let `state:` name another \
             folder"
        );
        return io::Error::new(io::ErrorKind::InvalidInput, told);
    }
    error
}

/// Whether an open file is the one that a path names: records written into another are lost with this process.
fn is_named(open: &File, path: &Path) -> io::Result<()> {
    let shown = path.display();
    let named = fs::metadata(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{shown} cannot be looked at any more: {error}")))?;
    let ours = open.metadata()?;
    if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) && ours.nlink() > 0 {
        return Ok(());
    }
    let error = format!("{shown} is another file than the one that is open: the state folder was moved or replaced");
    Err(io::Error::new(io::ErrorKind::NotFound, error))
}

/// Whether a file is as long as this process left it: a shorter one was cut, and a longer one was written to, by another process.
fn is_as_long(open: &File, path: &Path, length: RangeInclusive<u64>) -> io::Result<()> {
    let there = open.metadata()?.len();
    if length.contains(&there) {
        return Ok(());
    }
    let (shown, written) = (path.display(), length.start());
    let what = if there < *written {
        "was truncated"
    } else {
        "was written to"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{shown} {what} by another program: it has {there} bytes, but orareaper wrote {written}; restore it, or restart orareaper, which then \
             knows only what the file contains"
        ),
    ))
}

/// The files of a state folder.
#[derive(Debug)]
pub(super) struct Disk {
    state: PathBuf,
    current: File,
    /// A new file's name is on the disk only when its folder is.
    name_is_new: bool,
    /// Held for as long as the journal lives.
    lock: File,
}

impl Disk {
    pub(super) fn open(state: &Path, lock: File) -> io::Result<Disk> {
        let current = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(libc::O_NOFOLLOW)
            .open(file(state, 0))
            .map_err(|error| told_of_link("journal.jsonl", error))?;
        give(&current, state)?;
        let mut disk = Disk {
            state: state.to_owned(),
            current,
            name_is_new: true,
            lock,
        };
        disk.sync_name()?;
        Ok(disk)
    }

    fn sync_name(&mut self) -> io::Result<()> {
        if self.name_is_new {
            File::open(&self.state)?.sync_all()?;
            self.name_is_new = false;
        }
        Ok(())
    }

    /// Ends a line that a crash has cut, so that the next record starts on its own; gives the file's length.
    pub(super) fn end_last_line(&mut self) -> io::Result<u64> {
        let len = self.current.seek(SeekFrom::End(0))?;
        if len == 0 {
            return Ok(0);
        }
        let mut last = [0];
        self.current.seek(SeekFrom::End(-1))?;
        self.current.read_exact(&mut last)?;
        if last == [b'\n'] {
            return Ok(len);
        }
        self.current.write_all(b"\n")?;
        self.current.sync_data()?;
        Ok(len + 1)
    }

    /// Makes room for a newest full file. No file is moved further than it has to be, so that a rotation which fails again and
    /// again does not push the old files out one by one.
    fn make_room(&self) -> io::Result<()> {
        let is_free = |age: &u32| {
            let there = fs::symlink_metadata(file(&self.state, *age));
            there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let Some(free) = (1..=OLDEST).find(is_free) else {
            return Err(io::Error::other(format!("the journal already has {OLDEST} full files")));
        };
        for age in (1..free).rev() {
            fs::rename(file(&self.state, age), file(&self.state, age + 1))?;
        }
        Ok(())
    }
}

impl Medium for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.sync_data()?;
        self.sync_name()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.current.set_len(len)?;
        self.current.sync_data()
    }

    fn verify(&self, length: RangeInclusive<u64>) -> io::Result<()> {
        let path = file(&self.state, 0);
        is_named(&self.current, &path)?;
        // Without its name the lock protects nothing.
        is_named(&self.lock, &self.state.join("lock"))?;
        is_as_long(&self.current, &path, length)
    }

    /// The new file is there before any name changes: a disk that has no room for it costs nothing. A crash between two of the
    /// renames leaves a gap in the numbers, which reading does not mind.
    fn rotate(&mut self) -> io::Result<()> {
        let (new, full) = (self.state.join("journal.new.jsonl"), file(&self.state, 1));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let current = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(MODE)
            .open(&new)?;
        give(&current, &self.state)?;
        self.make_room()?;
        fs::rename(file(&self.state, 0), &full)?;
        if let Err(error) = fs::rename(&new, file(&self.state, 0)) {
            // Should this fail as well, the path names nothing, which the next look finds.
            let _ = fs::rename(&full, file(&self.state, 0));
            return Err(error);
        }
        (self.current, self.name_is_new) = (current, true);
        Ok(())
    }

    fn state(&self) -> Option<&Path> {
        Some(&self.state)
    }

    fn delete(&mut self, full: &File) -> io::Result<()> {
        let age = (1..=OLDEST).find(|age| is_named(full, &file(&self.state, *age)).is_ok());
        let gone = || io::Error::new(io::ErrorKind::NotFound, "another program has moved or deleted it");
        let path = file(&self.state, age.ok_or_else(gone)?);
        fs::remove_file(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("delete {}: {error}", path.display())))?;
        File::open(&self.state)?.sync_all()
    }
}
