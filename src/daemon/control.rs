//! How `orareaper pause`, `resume` and `kill` reach a running daemon: a socket in the runtime directory.
//!
//! The daemon obeys a file in the state folder too, but a file gives no answer, and a DBA who uses a kill switch has to know its effect.
//! So the command asks the daemon itself, which can be found without a configuration, and prints the daemon's answer.
//!
//! The runtime directory is the unit's (`RUNTIME_DIRECTORY`), `/run/orareaper` for root, `$XDG_RUNTIME_DIR/orareaper` for other
//! users, and the state folder if none of them exists. The socket's name is made from the state folder's path. A lock beside it
//! keeps a second daemon for the same path from starting, even if the folder was moved away.
//!
//! A daemon that starts removes the sockets and locks that killed daemons left there.
//!
//! Each connection carries one question, a line of JSON, and one answer, a line of JSON; an order gets one answer for each step.
//! Root, the daemon's own user and, under a service manager, the daemon's group may connect; [`crate::daemon::peers`] says who may ask what.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::daemon::directory::Directory;
use crate::daemon::operator::{KillRequest, OrderStep};
use crate::daemon::pause::{Moved, Pause, Switch};
use crate::daemon::peers::{NOT_FOR_MEMBERS, Peer, reason, socket_mode};
use crate::status::SharedStatus;

/// The longest question, in bytes.
const LONGEST: u64 = 64 * 1024;

/// How often a lock without a process number in it is tried again.
const SWEPT_WITHIN: u32 = 25;

/// The time limit for receiving a question and for sending the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time limit for writing the file to the state folder. The daemon obeys before that.
const DISK: Duration = Duration::from_secs(3);

/// How often a waiting client is told that the database's loop is alive.
const BEATS: Duration = Duration::from_secs(1);

/// The longest answer to one request, in bytes: an hour of steps.
const MOST_TOLD: u64 = 64 * 1024 * 1024;

/// The greatest number of questions that are answered at a time.
const MOST_ASKING: usize = 16;

/// The greatest number at which a member of the group is answered, so that members cannot keep root from the switch.
const MOST_BEFORE_MEMBER: usize = 8;

/// A question to a daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Question {
    /// Asks for process, folders and pause.
    Status,
    /// Pauses the daemon.
    Pause {
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
    /// Ends the pause.
    Resume {
        /// Who asks.
        by: String,
    },
    /// Asks a database's loop for something; it answers with one line for each step.
    Order {
        /// Its name; the only one if none is given.
        database: Option<String>,
        /// What; by its name on the wire.
        #[serde(rename = "wish")]
        request: KillRequest,
    },
}

/// A daemon's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ControlReply {
    /// The daemon's process id.
    pub(crate) pid: u32,
    /// Its state folder.
    pub(crate) state: PathBuf,
    /// Its configuration.
    pub(crate) config: PathBuf,
    /// The current pause, if there is one.
    pub(crate) pause: Option<Told>,
    /// Statements that were sent and have no answer yet.
    pub(crate) under_way: Vec<String>,
    /// Why the file could not be written or removed, if so.
    pub(crate) unsaved: Option<String>,
    /// What else keeps the daemon from acting.
    #[serde(default)]
    pub(crate) hindrances: Vec<String>,
}

/// A pause in an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Who or what.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: Option<DateTime<Utc>>,
}

impl From<Pause> for Told {
    fn from(Pause { by, reason, since }: Pause) -> Told {
        Told { by, reason, since }
    }
}

impl From<Told> for Pause {
    fn from(Told { by, reason, since }: Told) -> Pause {
        Pause { by, reason, since }
    }
}

/// A state folder's path, locked by this process as long as it runs.
#[derive(Debug)]
pub(crate) struct Claim {
    state: PathBuf,
    folder: PathBuf,
    _lock: File,
}

/// A daemon's control socket, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    socket: PathBuf,
    _claim: Claim,
}

impl Claim {
    /// Claims the path of a state folder, and makes the folder if it does not exist.
    ///
    /// # Errors
    /// When another daemon has claimed it, or the lock cannot be made anywhere.
    pub(crate) fn take(state: &Path) -> io::Result<Claim> {
        let tell = |what: &str, path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
        };
        crate::folder::make_state(state).map_err(|error| tell("create state folder", state, error))?;
        let state = fs::canonicalize(state).map_err(|error| tell("find state folder", state, error))?;
        let folder = runtime_folder(&state)?;
        let name = name_of(&state);
        let path = folder.join(format!("{name}.lock"));
        let mut attempts = 0..SWEPT_WITHIN;
        let mut lock = loop {
            let mut lock = open_lock(&path).map_err(|error| tell("open", &path, error))?;
            match lock.try_lock() {
                // A starting daemon removed the file between the two calls: this lock would protect nothing.
                Ok(()) if is_named(&lock, &path) => break lock,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut owner = String::new();
                    let read = io::Read::by_ref(&mut lock).take(20).read_to_string(&mut owner);
                    let known = read.is_ok() && !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit());
                    if !known && attempts.next().is_some() {
                        // A starting daemon may be removing leftovers, which takes a moment.
                        thread::sleep(Duration::from_millis(20));
                        continue;
                    }
                    let owner = if known { owner } else { "unknown".to_owned() };
                    let state = state.display();
                    let error = format!("state folder {state} is in use by another orareaper (process {owner})");
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, error));
                }
                Err(TryLockError::Error(error)) => return Err(tell("lock", &path, error)),
            }
        };
        sweep(&folder, &name);
        // Only for the error message of a second daemon; the kernel's lock decides.
        lock.set_len(0)
            .and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()))
            .map_err(|error| tell("write", &path, error))?;
        Ok(Claim {
            state,
            folder,
            _lock: lock,
        })
    }

    /// Ends the claim and removes its lock, so that this process leaves nothing behind.
    pub(crate) fn give_back(self) {
        // The next process makes it again.
        let _ = fs::remove_file(self.folder.join(format!("{}.lock", name_of(&self.state))));
    }

    /// Starts to answer, on threads of its own.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn listen(
        self,
        config: &Path,
        switch: Arc<Switch>,
        (status, directory): (SharedStatus, Arc<Directory>),
        clock: Arc<dyn Clock>,
    ) -> io::Result<Control> {
        let socket = self.folder.join(format!("{}.sock", name_of(&self.state)));
        let tell = |error: io::Error| io::Error::new(error.kind(), format!("listen on {}: {error}", socket.display()));
        // The process that left it is gone, because the lock is ours.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(tell(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&socket).map_err(tell)?;
        fs::set_permissions(&socket, Permissions::from_mode(socket_mode())).map_err(tell)?;
        let desk = Arc::new(ControlDesk {
            state: self.state.clone(),
            config: fs::canonicalize(config).unwrap_or_else(|_| config.to_owned()),
            switch,
            status,
            directory,
            clock,
            asking: AtomicUsize::new(0),
        });
        thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                ControlDesk::hear(&desk, stream);
            }
        })?;
        Ok(Control { socket, _claim: self })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // No harm if it stays: a client that connects without a daemon behind it is refused.
        let _ = fs::remove_file(&self.socket);
    }
}

struct ControlDesk {
    state: PathBuf,
    config: PathBuf,
    switch: Arc<Switch>,
    status: SharedStatus,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    asking: AtomicUsize,
}

impl ControlDesk {
    /// A client that sends nothing delays no other client.
    fn hear(desk: &Arc<ControlDesk>, stream: UnixStream) {
        let Ok(peer) = Peer::of(&stream) else { return };
        let most = match peer {
            Peer::Trusted => MOST_ASKING,
            Peer::Member => MOST_BEFORE_MEMBER,
        };
        if desk.asking.fetch_add(1, Ordering::SeqCst) >= most {
            desk.asking.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let mine = Arc::clone(desk);
        let started = thread::Builder::new().name("control-answer".into()).spawn(move || {
            if let Err(error) = mine.answer(stream, peer) {
                tracing::debug!(
                    error = error.to_string(),
                    "a request at the control socket was not answered"
                );
            }
            mine.asking.fetch_sub(1, Ordering::SeqCst);
        });
        if started.is_err() {
            desk.asking.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn answer(&self, stream: UnixStream, peer: Peer) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new((&stream).take(LONGEST)).read_line(&mut line)?;
        let question = match serde_json::from_str(&line)? {
            Question::Order { .. } if peer == Peer::Member => {
                return send(&stream, &OrderStep::Failed(NOT_FOR_MEMBERS.to_owned()));
            }
            Question::Order { database, request } => {
                let send = |told: &OrderStep| send(&stream, told);
                return attend(&self.directory, database.as_deref(), request, send);
            }
            Question::Status => Move::Status,
            Question::Pause { by, reason: why } => Move::Pause {
                by: peer.name(&by),
                reason: reason(&why),
            },
            Question::Resume { by } => Move::Resume { by: peer.name(&by) },
        };
        send(&stream, &self.reply(question))
    }

    fn reply(&self, question: Move) -> ControlReply {
        let moved = match question {
            Move::Status => {
                let looked = |switch: &Switch| Moved {
                    pause: switch.look(),
                    under_way: switch.under_way(),
                    unsaved: None,
                };
                self.move_it(looked).unwrap_or_else(|| Moved {
                    pause: self.switch.known(),
                    under_way: self.switch.under_way(),
                    unsaved: None,
                })
            }
            Move::Pause { by, reason } => {
                let since = Some(self.clock.utc());
                let pause = Pause { by, reason, since };
                let told = pause.clone();
                self.move_it(move |switch| switch.pause(&pause))
                    .unwrap_or_else(|| Moved {
                        pause: Some(told),
                        under_way: self.switch.under_way(),
                        unsaved: Some(format!("{} does not answer", self.state.display())),
                    })
            }
            Move::Resume { by } => self.move_it(move |switch| switch.resume(&by)).unwrap_or_else(|| Moved {
                pause: self.switch.known(),
                under_way: self.switch.under_way(),
                unsaved: Some(format!("{} does not answer", self.state.display())),
            }),
        };
        ControlReply {
            pid: std::process::id(),
            state: self.state.clone(),
            config: self.config.clone(),
            pause: moved.pause.map(Told::from),
            under_way: moved.under_way,
            unsaved: moved.unsaved,
            hindrances: self.status.read().hindrances(),
        }
    }

    /// The state folder may be on a disk that does not answer, so the wait has a limit. The pause is in force before that.
    fn move_it(&self, how: impl FnOnce(&Switch) -> Moved + Send + 'static) -> Option<Moved> {
        let switch = Arc::clone(&self.switch);
        let (moved, comes) = channel();
        let started = thread::Builder::new().name("switch-move".into()).spawn(move || {
            // The client may have stopped waiting.
            let _ = moved.send(how(&switch));
        });
        started.ok()?;
        comes.recv_timeout(DISK).ok()
    }
}

/// A question about the kill switch.
enum Move {
    Status,
    Pause { by: String, reason: String },
    Resume { by: String },
}

fn send(mut stream: &UnixStream, answer: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Sends a request to its database and passes each step to `each`, until the last one or until `each` fails; a failure withdraws
/// the request if its turn has not come.
///
/// # Errors
/// Those of `each`.
pub(crate) fn attend(
    directory: &Directory,
    database: Option<&str>,
    request: KillRequest,
    mut each: impl FnMut(&OrderStep) -> io::Result<()>,
) -> io::Result<()> {
    let (told, comes) = channel();
    directory.ask(database, request, &told);
    drop(told);
    loop {
        let told = match comes.recv_timeout(BEATS) {
            Ok(told) => told,
            Err(RecvTimeoutError::Timeout) => OrderStep::Beat,
            Err(RecvTimeoutError::Disconnected) => OrderStep::Failed(
                "the daemon is stopping, or a reload removed this database; `orareaper history` shows what was done"
                    .to_owned(),
            ),
        };
        each(&told)?;
        if told.is_last() {
            return Ok(());
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Whether an open file is still the one of this name.
fn is_named(open: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let named = fs::symlink_metadata(path).map(identity);
    named.is_ok_and(|named| open.metadata().map(identity).is_ok_and(|open| open == named))
}

/// Removes what killed daemons left: a process that gets the lock of a name is the only one that uses its files.
fn sweep(folder: &Path, own: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: BTreeSet<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".sock").or_else(|| name.strip_suffix(".lock"))?;
            (name.starts_with(NAME) && name != own).then(|| name.to_owned())
        })
        .collect();
    for name in names {
        let path = folder.join(format!("{name}.lock"));
        // Files of another user, and those that cannot be read, stay.
        let Ok(lock) = open_lock(&path) else { continue };
        // Emptied, so that a process that finds it locked now knows that no daemon has it.
        if lock.try_lock().is_ok() && is_named(&lock, &path) && lock.set_len(0).is_ok() {
            let _ = fs::remove_file(folder.join(format!("{name}.sock")));
            let _ = fs::remove_file(&path);
        }
    }
}

/// Asks the daemon behind a socket.
///
/// # Errors
/// When no daemon answers there.
pub(crate) fn ask(socket: &Path, question: &Question) -> io::Result<ControlReply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE + DISK))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Asks the daemon behind a socket for something of a database, and passes each step to `each`, until the last one or until
/// `each` fails.
///
/// # Errors
/// When the daemon cannot be reached or no longer answers; those of `each`.
pub(crate) fn order(
    socket: &Path,
    database: Option<&str>,
    request: KillRequest,
    mut each: impl FnMut(&OrderStep) -> io::Result<()>,
) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE + BEATS))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let database = database.map(str::to_owned);
    send(&stream, &Question::Order { database, request })?;
    for line in BufReader::new((&stream).take(MOST_TOLD)).lines() {
        let told: OrderStep = serde_json::from_str(&line?)?;
        each(&told)?;
        if told.is_last() {
            return Ok(());
        }
    }
    let error = "the daemon has ended; `orareaper history` shows what was done";
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, error))
}

/// The sockets of this host's daemons, including those that a dead daemon left.
#[must_use]
pub(crate) fn sockets(state: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(own) = env::var_os("RUNTIME_DIRECTORY") {
        folders.extend(first_of(&own));
    } else {
        // Whatever the unit calls its folder.
        let in_run = fs::read_dir("/run").into_iter().flatten().flatten();
        folders.extend(in_run.map(|entry| entry.path()));
        folders.extend(env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("orareaper")));
    }
    folders.extend(state.map(Path::to_owned));
    let is_socket = |path: &PathBuf| {
        path.file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|name| name.starts_with(NAME) && name.ends_with(".sock"))
    };
    let in_folder = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_socket).collect::<Vec<_>>()
    };
    let mut sockets: Vec<PathBuf> = folders.into_iter().flat_map(in_folder).collect();
    sockets.sort();
    sockets.dedup();
    sockets
}

const NAME: &str = "orareaper-";

/// A path to a socket has room for some hundred bytes, and a state folder's own path may be longer.
fn name_of(state: &Path) -> String {
    let digest = Sha256::digest(state.as_os_str().as_bytes());
    digest.iter().take(8).fold(NAME.to_owned(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// Whether a socket is that of a daemon with this state folder, by its name.
#[must_use]
pub(crate) fn is_of(socket: &Path, state: &Path) -> bool {
    socket.file_stem().and_then(OsStr::to_str) == Some(name_of(state).as_str())
}

fn first_of(folders: &OsStr) -> Option<PathBuf> {
    let first = folders.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(first)))
}

/// The first of these folders that belongs to this user or can be made.
fn runtime_folder(state: &Path) -> io::Result<PathBuf> {
    if let Some(folder) = env::var_os("RUNTIME_DIRECTORY").as_deref().and_then(first_of) {
        fs::create_dir_all(&folder)?;
        return Ok(folder);
    }
    let own = fs::metadata("/proc/self").map(|own| own.uid());
    let mut places = Vec::new();
    if own.as_ref().is_ok_and(|uid| *uid == 0) {
        places.push(PathBuf::from("/run/orareaper"));
    }
    places.extend(env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("orareaper")));
    let usable = |place: &PathBuf| {
        // An existing folder is checked next.
        let _ = DirBuilder::new().mode(0o755).create(place);
        let there = fs::symlink_metadata(place);
        there.is_ok_and(|there| there.is_dir() && own.as_ref().is_ok_and(|uid| *uid == there.uid()))
    };
    Ok(places.into_iter().find(usable).unwrap_or_else(|| state.to_owned()))
}
