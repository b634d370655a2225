//! The kill switch: while it is set, no statement is sent to any database.
//!
//! It is a file in the state folder, `paused`, because a file works even when nothing else does: `orareaper pause`, `touch`, a
//! deployment script or a remote shell can make it, it needs no running daemon, and it survives a restart. Besides, a running
//! daemon remembers a pause that it was told of, so that a full or read-only folder cannot prevent a pause.
//!
//! - A switch that cannot be read counts as paused: a dangling link, an error, and a state folder that is gone or was replaced
//!   since the start.
//! - The thread that sends a statement reads the file right before it ([`Switch::begin`]).
//! - Statements in progress are known, so that a pause can report which ones can no longer be stopped.
//! - No link is followed or written through: root may set the switch in a folder of the daemon's user.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::{Clock, Monotonic};
use crate::daemon::operator::LONGEST_REASON;
use crate::session::time::iso;
use crate::terminal::visible::visible;

/// At most this many bytes of the file are read.
const LARGEST: u64 = 4096;

/// How long the last reading of the file is valid. A reading takes microseconds on a folder that answers.
const KNOWN_FOR: Duration = Duration::from_secs(10);

/// A reading is repeated if the switch was moved meanwhile, at most this often.
const MOST_LOOKS: usize = 100;

/// The author of a pause that nobody set, because the switch cannot be read.
const ITSELF: &str = "orareaper itself";

/// The file in a state folder.
#[must_use]
pub(crate) fn file(state: &Path) -> PathBuf {
    state.join("paused")
}

/// A pause: who set it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Who or what.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// Since when, if that is known.
    pub since: Option<DateTime<Utc>>,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paused by {}", visible(&self.by))?;
        if let Some(since) = self.since {
            write!(f, " since {}", iso(since))?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", visible(&self.reason))?;
        }
        Ok(())
    }
}

impl Pause {
    fn to_line(&self) -> String {
        let since = self.since.map(|since| since.to_rfc3339());
        let mut line = serde_json::json!({"by": self.by, "reason": self.reason, "since": since}).to_string();
        line.push('\n');
        line
    }

    /// The pause of a file's content: as [`Self::to_line`] wrote it, or a reason that was written by hand.
    fn of_text(text: &str, path: &Path, changed: Option<DateTime<Utc>>) -> Pause {
        let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let field = |name: &str| Some(json.as_ref()?.get(name)?.as_str()?.to_owned());
        match field("by") {
            Some(by) => Pause {
                by,
                reason: field("reason").unwrap_or_default(),
                since: field("since").and_then(|since| since.parse().ok()),
            },
            None => Pause {
                by: format!("{BY_FILE}{}", path.display()),
                reason: text.split_whitespace().collect::<Vec<_>>().join(" "),
                since: changed,
            },
        }
    }

    /// Whether nobody set it and the switch cannot be read.
    #[must_use]
    pub(crate) fn is_trouble(&self) -> bool {
        self.by == ITSELF
    }

    /// This pause, set while another one may hold: who set that one, and when, stays, and both reasons are kept.
    #[must_use]
    pub(crate) fn after(self, earlier: Option<Pause>) -> Pause {
        let says_something = |earlier: &Pause| !earlier.by.starts_with(BY_FILE) || !earlier.reason.is_empty();
        let Some(mut kept) = earlier.filter(|earlier| earlier.since.is_some() && says_something(earlier)) else {
            return self;
        };
        let is_known = self.reason.is_empty() || kept.reason.contains(&self.reason);
        let added = format!("{}; {}: {}", kept.reason, self.by, self.reason);
        if kept.reason.is_empty() {
            kept.reason = self.reason;
        } else if !is_known && added.len() <= LONGEST_REASON {
            kept.reason = added;
        }
        kept
    }

    fn unseen(by: String, reason: String) -> Pause {
        let since = None;
        Pause { by, reason, since }
    }
}

/// A folder's identity, independent of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FolderIdentity {
    device: u64,
    inode: u64,
}

impl FolderIdentity {
    fn of(metadata: &fs::Metadata) -> FolderIdentity {
        FolderIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A statement that has been sent, or is about to be, and has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
struct PauseState {
    /// A pause that the running daemon was told of.
    told: Option<Pause>,
    /// The pause whose file is empty, because the disk took no text.
    unwritten: Option<Pause>,
    /// The result of the last reading, and its time.
    seen: Option<(Monotonic, Option<Pause>)>,
    /// The pause at the last look, if there was one.
    last: Option<Pause>,
    /// Who ended the last pause, if known.
    resumed_by: Option<String>,
    /// Counts the changes of the switch.
    moved: u64,
    tickets: u64,
    under_way: BTreeMap<Ticket, String>,
}

impl PauseState {
    /// The pause in the file. If the file does not say who set it, the remembered author is used; writing a text into the file or
    /// removing it ends that memory.
    fn with_its_reason(&mut self, found: Option<Pause>) -> Option<Pause> {
        let says_nothing = found
            .as_ref()
            .is_some_and(|found| found.reason.is_empty() && found.by.starts_with(BY_FILE));
        if !says_nothing {
            self.unwritten = None;
        }
        self.unwritten.clone().or(found)
    }
}

/// The author of a pause whose file names none.
const BY_FILE: &str = "the file ";

/// The switch of a running daemon, shared by its threads.
#[derive(Debug)]
pub struct Switch {
    state: PathBuf,
    /// Kept open, so that no other folder can get its inode number.
    folder: File,
    identity: FolderIdentity,
    clock: Arc<dyn Clock>,
    inner: Mutex<PauseState>,
    /// Whoever shows the pause is woken by it.
    waker: OnceLock<UnixStream>,
}

/// The result of setting or ending a pause in a running daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The current pause, if there is one.
    pub(crate) pause: Option<Pause>,
    /// Statements that were sent before and have no answer yet.
    pub(crate) under_way: Vec<String>,
    /// Why the file could not be written or removed, if so; the running daemon obeys nevertheless.
    pub(crate) unsaved: Option<String>,
}

impl Switch {
    /// The switch of an existing state folder.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn new(state: &Path, clock: Arc<dyn Clock>) -> io::Result<Switch> {
        let folder = File::open(state)?;
        let identity = FolderIdentity::of(&folder.metadata()?);
        Ok(Switch {
            state: state.to_owned(),
            folder,
            identity,
            clock,
            inner: Mutex::default(),
            waker: OnceLock::new(),
        })
    }

    /// Reads the switch; returns the current pause, if there is one.
    pub fn look(&self) -> Option<Pause> {
        let pause = self.on_disk();
        let mut inner = self.lock();
        let pause = inner.with_its_reason(pause);
        inner.seen = Some((self.clock.now(), pause.clone()));
        let pause = inner.told.clone().or(pause);
        if inner.last != pause {
            inner.last.clone_from(&pause);
            self.wake();
        }
        pause
    }

    /// From now on a byte is written to this socket whenever the switch is found to have changed.
    pub(crate) fn wakes(&self, socket: UnixStream) {
        let _ = self.waker.set(socket);
    }

    fn wake(&self) {
        if let Some(mut waker) = self.waker.get() {
            // Full, it wakes all the same.
            let _ = waker.write(&[0]);
        }
    }

    /// The result of the last reading, for a loop that must not wait for a disk. If it is too old, that counts as paused.
    #[must_use]
    pub(crate) fn known(&self) -> Option<Pause> {
        let inner = self.lock();
        let unknown = || {
            let reason = format!("{} could not be looked at lately", file(&self.state).display());
            Pause::unseen(ITSELF.into(), reason)
        };
        match (&inner.told, &inner.seen) {
            (Some(told), _) => Some(told.clone()),
            (None, Some((at, pause))) if self.clock.now().since(*at) <= KNOWN_FOR => pause.clone(),
            (None, Some(_) | None) => Some(unknown()),
        }
    }

    /// Reads the switch right before a statement is sent, and records the statement as in progress until [`Self::end`].
    ///
    /// # Errors
    /// The current pause. Then nothing must be sent.
    pub(crate) fn begin(&self, what: &str) -> Result<Ticket, Pause> {
        for _ in 0..MOST_LOOKS {
            let before = self.lock().moved;
            if let Some(pause) = self.look() {
                return Err(pause);
            }
            let mut inner = self.lock();
            if inner.moved == before {
                inner.tickets += 1;
                let ticket = Ticket(inner.tickets);
                inner.under_way.insert(ticket, what.to_owned());
                return Ok(ticket);
            }
        }
        Err(Pause::unseen(
            ITSELF.into(),
            "the pause switch kept changing while it was read".into(),
        ))
    }

    /// The statement has ended, with or without an answer.
    pub(crate) fn end(&self, ticket: Ticket) {
        self.lock().under_way.remove(&ticket);
    }

    /// Statements that were sent and have no answer yet.
    #[must_use]
    pub(crate) fn under_way(&self) -> Vec<String> {
        self.lock().under_way.values().cloned().collect()
    }

    /// Sets the switch. When this returns, no further statement begins.
    pub(crate) fn pause(&self, pause: &Pause) -> Moved {
        // The disk may not answer, so it is written to after no statement can begin any more.
        let (under_way, told) = {
            let mut inner = self.lock();
            inner.moved += 1;
            inner.resumed_by = None;
            let told = inner.told.replace(pause.clone());
            (inner.under_way.values().cloned().collect(), told)
        };
        let on_disk = self.on_disk();
        let pause = {
            let mut inner = self.lock();
            let earlier = told.or(inner.with_its_reason(on_disk));
            let pause = pause.clone().after(earlier);
            inner.told = Some(pause.clone());
            pause
        };
        let saved = self.is_the_folder().and_then(|()| set(&self.state, &pause));
        let unsaved = self.keep(&pause, saved);
        Moved {
            pause: self.look(),
            under_way,
            unsaved,
        }
    }

    /// Takes note of what came of the file; why it is not there, if so.
    fn keep(&self, pause: &Pause, saved: io::Result<PauseText>) -> Option<String> {
        match saved {
            Err(error) => Some(error.to_string()),
            Ok(said) => {
                // From here on the file pauses, and removing the file ends the pause.
                let mut inner = self.lock();
                inner.moved += 1;
                inner.told = None;
                inner.unwritten = (said == PauseText::Nothing).then(|| pause.clone());
                None
            }
        }
    }

    /// Who ended the last pause.
    #[must_use]
    pub(crate) fn resumed_by(&self) -> String {
        let inner = self.lock();
        let removed = || format!("whoever removed {}", file(&self.state).display());
        inner.resumed_by.clone().unwrap_or_else(removed)
    }

    /// Ends a pause; removes the file first.
    pub(crate) fn resume(&self, by: &str) -> Moved {
        let removed = self.is_the_folder().and_then(|()| clear(&self.state).map(|_| ()));
        let unsaved = removed.err().map(|error| error.to_string());
        {
            let mut inner = self.lock();
            inner.moved += 1;
            if unsaved.is_none() {
                inner.told = None;
                inner.resumed_by = Some(by.to_owned());
            }
        }
        Moved {
            pause: self.look(),
            under_way: self.under_way(),
            unsaved,
        }
    }

    fn lock(&self) -> MutexGuard<'_, PauseState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file first, then checks the folder: if the folder is still the same one, the file was read in it.
    fn on_disk(&self) -> Option<Pause> {
        if let Some(pause) = read(&self.state) {
            return Some(pause);
        }
        let error = self.is_the_folder().err()?;
        Some(Pause::unseen(ITSELF.into(), error.to_string()))
    }

    /// Checks that the state folder's name still means the folder that the daemon started with.
    fn is_the_folder(&self) -> io::Result<()> {
        let shown = self.state.display();
        let found = fs::metadata(&self.state).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the state folder {shown} cannot be looked at: {error}"),
            )
        })?;
        let deleted = self.folder.metadata()?.nlink() == 0;
        if FolderIdentity::of(&found) == self.identity && !deleted {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{shown} is no longer the folder that orareaper started with; restart orareaper to use this one"),
        ))
    }
}

/// The pause of a state folder's file, if there is one. Anything of that name pauses, even a dangling link.
#[must_use]
pub(crate) fn read(state: &Path) -> Option<Pause> {
    let path = file(state);
    let there = match fs::symlink_metadata(&path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            let reason = format!("{} cannot be looked at: {error}", path.display());
            return Some(Pause::unseen(ITSELF.into(), reason));
        }
    };
    let by = format!("{BY_FILE}{}", path.display());
    let changed = there.modified().ok().map(DateTime::<Utc>::from);
    if !there.is_file() {
        return Some(Pause::unseen(by, "it is no ordinary file, and is not followed".into()));
    }
    let text = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&path)
        .and_then(|open| {
            let mut bytes = Vec::new();
            open.take(LARGEST).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
    Some(match text {
        Ok(bytes) => Pause::of_text(&String::from_utf8_lossy(&bytes), &path, changed),
        Err(error) => Pause::unseen(by, format!("its reason cannot be read: {error}")),
    })
}

/// Whether a file that pauses also says who set it, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseText {
    /// It does.
    All,
    /// The disk took the file and no text.
    Nothing,
}

/// Sets the switch of an existing state folder. If it is set already, it gets the new reason.
///
/// # Errors
/// When the file does not exist and cannot be made.
pub fn set(state: &Path, pause: &Pause) -> io::Result<PauseText> {
    let path = file(state);
    match create(&path, pause) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        done => return done,
    }
    // An existing file pauses already, so it may keep its reason. Renaming replaces a link itself.
    let new = state.join(format!(".paused.{}", std::process::id()));
    let replaced = create(&new, pause).and_then(|said| {
        if said == PauseText::Nothing {
            return Err(io::ErrorKind::StorageFull.into());
        }
        fs::rename(&new, &path)
    });
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
        return Ok(PauseText::Nothing);
    }
    Ok(PauseText::All)
}

/// An existing file pauses whatever its content, so a reason that a full disk does not take is not essential.
fn create(path: &Path, pause: &Pause) -> io::Result<PauseText> {
    // Never through a link: an existing name is an error.
    let mut made = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = made
        .write_all(pause.to_line().as_bytes())
        .and_then(|()| made.set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| made.sync_all());
    Ok(said(&mut made, &written))
}

/// A truncated text would look like an operator's reason.
fn said(made: &mut File, written: &io::Result<()>) -> PauseText {
    if written.is_ok() {
        return PauseText::All;
    }
    // Where not even this works, the half of it is what it says.
    let _ = made.set_len(0);
    PauseText::Nothing
}

/// Ends the pause of a state folder; returns whether there was one.
///
/// # Errors
/// When the file exists and cannot be removed.
pub fn clear(state: &Path) -> io::Result<bool> {
    match fs::remove_file(file(state)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn month_end() -> Pause {
        Pause {
            by: "ann on db1".into(),
            reason: "month end".into(),
            since: Some("2026-11-22T10:00:00Z".parse().expect("a time")),
        }
    }

    struct Stage {
        _parent: tempfile::TempDir,
        state: PathBuf,
        clock: Arc<ManualClock>,
        switch: Switch,
    }

    fn stage() -> Stage {
        let parent = tempfile::tempdir().expect("a folder");
        let state = parent.path().join("state");
        fs::create_dir(&state).expect("made");
        let clock = Arc::new(ManualClock::at("2026-11-22T10:00:00Z".parse().expect("a time")));
        let switch = Switch::new(&state, Arc::clone(&clock) as Arc<dyn Clock>).expect("opens");
        Stage {
            _parent: parent,
            state,
            clock,
            switch,
        }
    }

    #[test]
    fn a_pause_says_who_and_why_and_lasts_until_it_is_ended() {
        let Stage { state, switch, .. } = &stage();
        assert_eq!(switch.look(), None);
        let moved = switch.pause(&month_end());
        assert_eq!((moved.pause, moved.unsaved), (Some(month_end()), None));
        let told = switch.begin("prod: a statement").expect_err("paused");
        assert_eq!(
            told.to_string(),
            "paused by ann on db1 since 2026-11-22T10:00:00Z: month end"
        );
        // Another daemon on the folder knows it from the file.
        assert_eq!(read(state), Some(month_end()));
        assert_eq!(switch.resume("ann").pause, None);
        switch.begin("prod: a statement").expect("it may");
    }

    #[test]
    fn a_second_pause_adds_its_reason_and_takes_nothing_away() {
        let of = |by: &str, reason: &str, minute: u32| Pause {
            by: by.into(),
            reason: reason.into(),
            since: format!("2026-11-22T10:{minute:02}:00Z").parse().ok(),
        };
        let first = || of("maria", "month end", 1);
        assert_eq!(of("root", "", 2).after(Some(first())), first());
        assert_eq!(of("root", "month end", 2).after(Some(first())), first());
        let both = of("maria", "month end; root: a restore", 1);
        assert_eq!(of("root", "a restore", 2).after(Some(first())), both);
        assert_eq!(of("root", &"a".repeat(LONGEST_REASON), 2).after(Some(first())), first());
        assert_eq!(
            of("root", "a restore", 2).after(Some(of("maria", "", 1))),
            of("maria", "a restore", 1)
        );
        // An empty file names no author, and an unreadable switch has none.
        for nothing in [
            of("the file /x/paused", "", 1),
            Pause::unseen(ITSELF.into(), "gone".into()),
        ] {
            assert_eq!(
                of("root", "a restore", 2).after(Some(nothing)),
                of("root", "a restore", 2)
            );
        }
        // By the switch and by the file alike.
        let stage = stage();
        stage.switch.pause(&first());
        let moved = stage.switch.pause(&of("root", "a restore", 2));
        assert_eq!((moved.pause, read(&stage.state)), (Some(both.clone()), Some(both)));
    }

    #[test]
    fn a_file_that_anybody_made_pauses_and_removing_it_ends_that() {
        let Stage { state, switch, .. } = &stage();
        fs::write(file(state), "  backup \n runs\n").expect("written");
        let pause = switch.look().expect("paused");
        assert!(
            pause.by.ends_with("state/paused") && pause.reason == "backup runs",
            "{pause}"
        );
        switch.pause(&month_end());
        let both = Pause {
            reason: format!("backup runs; {}: {}", month_end().by, month_end().reason),
            ..pause
        };
        assert_eq!(switch.look(), Some(both));
        fs::remove_file(file(state)).expect("removed");
        assert_eq!(switch.look(), None);
        assert!(!clear(state).expect("nothing to remove"));
    }

    #[test]
    fn who_paused_on_a_full_disk_and_why_is_remembered_for_as_long_as_the_file_is_there() {
        let Stage { state, switch, .. } = &stage();
        let mut made = File::create_new(file(state)).expect("made");
        made.write_all(b"{\"by\": \"ann on").expect("half of it");
        let full = Err(io::ErrorKind::StorageFull.into());
        assert_eq!(said(&mut made, &full), PauseText::Nothing);
        assert_eq!(switch.keep(&month_end(), Ok(PauseText::Nothing)), None);
        assert_eq!(switch.look(), Some(month_end()));
        assert_eq!(switch.known(), Some(month_end()));
        assert_eq!(switch.begin("prod: a statement"), Err(month_end()));
        // Somebody writes a reason of their own.
        fs::write(file(state), "storage is full").expect("written");
        assert_eq!(
            switch.look().map(|pause| pause.reason),
            Some("storage is full".to_owned())
        );
        fs::write(file(state), "").expect("written");
        assert_eq!(
            switch.look().map(|pause| pause.reason),
            Some(String::new()),
            "and it is forgotten"
        );
        switch.keep(&month_end(), Ok(PauseText::Nothing));
        fs::remove_file(file(state)).expect("removed");
        assert_eq!(switch.look(), None);
        switch.begin("prod: a statement").expect("it may");
    }

    #[test]
    fn no_link_is_followed_and_one_that_leads_nowhere_pauses() {
        let Stage { state, switch, .. } = &stage();
        let precious = state.join("journal.jsonl");
        fs::write(&precious, "precious").expect("written");
        for target in [precious.as_path(), Path::new("nowhere")] {
            std::os::unix::fs::symlink(target, file(state)).expect("linked");
            assert!(switch.begin("prod: a statement").is_err(), "{}", target.display());
            let moved = switch.pause(&month_end());
            assert_eq!((moved.pause, moved.unsaved), (Some(month_end()), None));
            assert!(fs::symlink_metadata(file(state)).expect("there").is_file());
            assert_eq!(switch.resume("ann").pause, None);
        }
        assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
        assert!(!state.join("nowhere").exists());
    }

    #[test]
    fn anything_of_that_name_pauses_and_nothing_hangs() {
        let Stage { state, switch, .. } = &stage();
        fs::create_dir(file(state)).expect("made");
        assert!(switch.look().is_some());
        let moved = switch.resume("ann");
        assert!(moved.pause.is_some() && moved.unsaved.is_some(), "{moved:?}");
        fs::remove_dir(file(state)).expect("removed");
        let fifo = std::process::Command::new("mkfifo").arg(file(state)).status();
        assert!(fifo.expect("it runs").success());
        assert!(switch.look().is_some());
        assert!(clear(state).expect("removed"));
    }

    #[test]
    fn a_folder_that_is_gone_or_another_one_counts_as_paused() {
        let Stage { state, switch, .. } = &stage();
        let away = state.with_extension("away");
        fs::rename(state, &away).expect("moved");
        let gone = switch.begin("prod: a statement").expect_err("gone");
        assert!(gone.reason.contains("cannot be looked at"), "{gone}");
        fs::create_dir(state).expect("made");
        let other = switch.look().expect("another");
        assert!(
            other
                .reason
                .contains("no longer the folder that orareaper started with"),
            "{other}"
        );
        // The daemon obeys although there is no place to write it down.
        let moved = switch.pause(&month_end());
        assert!(moved.unsaved.is_some() && moved.pause == Some(month_end()), "{moved:?}");
        assert!(!file(state).exists());
        fs::remove_dir(state).expect("removed");
        fs::rename(&away, state).expect("moved back");
        assert_eq!(switch.look(), Some(month_end()));
        assert_eq!(switch.resume("ann").pause, None);
    }

    #[test]
    fn who_pauses_is_told_what_is_under_way() {
        let Stage { switch, .. } = &stage();
        let first = switch.begin("prod: one").expect("it may");
        let second = switch.begin("crm: two").expect("it may");
        switch.end(first);
        assert_eq!(switch.pause(&month_end()).under_way, ["crm: two"]);
        switch.end(second);
        assert!(switch.pause(&month_end()).under_way.is_empty());
    }

    #[test]
    fn what_nobody_has_looked_at_for_a_while_is_unknown_and_paused() {
        let Stage { clock, switch, .. } = &stage();
        assert!(switch.known().is_some(), "nobody has looked yet");
        switch.look();
        assert_eq!(switch.known(), None);
        clock.advance(KNOWN_FOR);
        assert_eq!(switch.known(), None);
        clock.advance(Duration::from_millis(1));
        assert!(switch.known().is_some());
    }
}
