//! `pause` and `resume`: the kill switch from a shell.
//!
//! The kill switch must work when things are wrong. It never reads the policies, and it reads the configuration only to find the
//! daemon, as far as it can be read. The output says what the daemon confirmed. If no daemon answers, the file in the state
//! folder is created nevertheless, and the output says that no daemon confirmed it.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::cli::ExitStatus;
use crate::clock::{Clock, SystemClock};
use crate::commands::{fail, say, warn};
use crate::daemon::control::{ControlReply, Question, ask, is_of, sockets};
use crate::daemon::operator::LONGEST_REASON;
use crate::daemon::pause::{self, Pause};
use crate::terminal::visible::visible;

/// The default state folder.
const STATE: &str = "/var/lib/orareaper";

/// Pauses.
pub(crate) fn pause(config: &Path, state: Option<&Path>, reason: &str, clock: SystemClock) -> ExitStatus {
    let (by, reason) = (who(), shortened(reason));
    let question = Question::Pause {
        by: by.clone(),
        reason: reason.clone(),
    };
    let began = clock.utc();
    let found = match daemons(config, state) {
        Ok(found) => found,
        Err(problem) => return fail(&format!("not paused: {problem}")),
    };
    // Every daemon is asked, whatever the previous one answered.
    let mut status = ExitStatus::Fine;
    for socket in &found.meant {
        if !confirm(socket, &question, |answer| told_paused(answer, began)) {
            status = ExitStatus::Failed;
        }
    }
    for socket in &found.silent {
        status = fail(&format!(
            "not confirmed: the daemon at {} does not answer",
            socket.display()
        ));
    }
    if found.meant.is_empty() {
        let since = Some(began);
        if pause_by_file(config, state, Pause { by, reason, since }) != ExitStatus::Fine {
            status = ExitStatus::Failed;
        }
        for other in &found.others {
            status = fail(&format!(
                "not paused: the daemon (process {}), which runs with {} and another state folder, was not asked and acts on; to pause \
                 that one: orareaper pause --state {}",
                other.pid,
                other.config.display(),
                other.state.display()
            ));
        }
    }
    status
}

/// Pauses a state folder whose daemon does not run, or does not answer.
fn pause_by_file(config: &Path, state: Option<&Path>, pause: Pause) -> ExitStatus {
    let folder = match folder(config, state) {
        Ok(folder) => folder,
        Err(problem) => return fail(&problem),
    };
    if let Err(problem) = is_ours(&folder) {
        return fail(&format!("not paused: {problem}"));
    }
    let file = pause::file(&folder);
    let pause = pause.after(pause::read(&folder));
    if let Err(error) = pause::set(&folder, &pause) {
        return fail(&format!("not paused: write {}: {error}", file.display()));
    }
    match owner(&folder) {
        None => {
            say(&format!(
                "paused: no daemon runs with the state folder {}; a daemon started with it takes no action until `orareaper resume` ({} exists)",
                folder.display(),
                file.display()
            ));
            ExitStatus::Fine
        }
        Some(owner) => fail(&format!(
            "not confirmed: {} is written, and whatever daemon has this state folder checks for it before each statement; but \
             process {owner}, which has locked the folder, does not answer for it; to be certain, end that process",
            file.display()
        )),
    }
}

/// The reason as it is kept. A long one is cut: a pause does not fail for its reason.
fn shortened(reason: &str) -> String {
    let mut kept = visible(reason.trim()).into_owned();
    if kept.len() > LONGEST_REASON {
        kept.truncate(kept.floor_char_boundary(LONGEST_REASON));
        warn(&format!("warning: the reason is cut to {LONGEST_REASON} bytes"));
    }
    kept
}

/// Ends a pause.
pub(crate) fn resume(config: &Path, state: Option<&Path>) -> ExitStatus {
    match one_meant(config, state) {
        Ok(None) => {}
        Ok(Some(socket)) => {
            if let Ok(answer) = ask(&socket, &Question::Status)
                && answer.pause.is_none()
            {
                let hindrances: String = answer.hindrances.iter().map(|why| format!("; {why}")).collect();
                say(&format!(
                    "the daemon (process {}, state folder {}) was not paused{hindrances}",
                    answer.pid,
                    answer.state.display()
                ));
                return ExitStatus::Fine;
            }
            let fine = confirm(&socket, &Question::Resume { by: who() }, told_resumed);
            return if fine { ExitStatus::Fine } else { ExitStatus::Failed };
        }
        Err(status) => return status,
    }
    let folder = match folder(config, state) {
        Ok(folder) => folder,
        Err(problem) => return fail(&problem),
    };
    if let Err(problem) = is_ours(&folder) {
        return fail(&format!("not resumed: {problem}"));
    }
    let file = pause::file(&folder);
    let others = match daemons(config, state) {
        Ok(found) => found.others,
        Err(problem) => return fail(&problem),
    };
    let cleared = match pause::clear(&folder) {
        Ok(true) => {
            say(&match owner(&folder) {
                None => format!(
                    "resumed: {} is removed; no daemon runs with this state folder",
                    file.display()
                ),
                Some(owner) => format!(
                    "{} is removed, but process {owner}, which uses the folder, does not answer, so it is not confirmed that it resumes",
                    file.display()
                ),
            });
            ExitStatus::Fine
        }
        Ok(false) => match owner(&folder) {
            None => {
                say(&format!(
                    "nothing to resume: {} does not exist, and no daemon runs with this state folder",
                    file.display()
                ));
                ExitStatus::Fine
            }
            Some(owner) => fail(&format!(
                "not confirmed: {} does not exist, but process {owner}, which uses the folder, does not answer whether it is paused",
                file.display()
            )),
        },
        Err(error) => fail(&format!("still paused: remove {}: {error}", file.display())),
    };
    if tell_still_paused(&others) {
        ExitStatus::Failed
    } else {
        cleared
    }
}

/// Names the daemons with other state folders that are paused, of which one may have been meant.
fn tell_still_paused(others: &[ControlReply]) -> bool {
    let mut is_any = false;
    for other in others {
        if let Some(pause) = other.pause.clone().map(Pause::from) {
            is_any = true;
            fail(&format!(
                "not resumed: the daemon (process {}), which runs with {} and another state folder, was not asked and is still {pause}; to \
                 resume that one: orareaper resume --state {}",
                other.pid,
                other.config.display(),
                other.state.display()
            ));
        }
    }
    is_any
}

/// Asks a daemon and reports its answer. `true` if the daemon did what it was asked.
fn confirm(socket: &Path, question: &Question, told: impl Fn(&ControlReply) -> bool) -> bool {
    match ask(socket, question) {
        Ok(answer) => told(&answer),
        Err(error) => {
            fail(&format!(
                "not confirmed: ask the daemon at {}: {error}",
                socket.display()
            ));
            false
        }
    }
}

fn told_paused(answer: &ControlReply, began: DateTime<Utc>) -> bool {
    let (pid, state) = (answer.pid, answer.state.display());
    let Some(pause) = answer.pause.clone().map(Pause::from) else {
        fail(&format!(
            "the daemon (process {pid}, state folder {state}) is not paused"
        ));
        return false;
    };
    if pause.since.is_some_and(|since| since < began) {
        say("it was paused already");
    }
    say(&format!(
        "{pause}\nthe daemon (process {pid}, state folder {state}) takes no action on any database until `orareaper resume`"
    ));
    for statement in &answer.under_way {
        warn(&format!("already sent, no answer yet: {statement}"));
    }
    if let Some(unsaved) = &answer.unsaved {
        warn(&format!(
            "warning: the pause lasts only until that process ends: {unsaved}"
        ));
    }
    true
}

fn told_resumed(answer: &ControlReply) -> bool {
    let (pid, state) = (answer.pid, answer.state.display());
    match (answer.pause.clone().map(Pause::from), &answer.unsaved) {
        (None, _) => {
            let daemon = format!("the daemon (process {pid}, state folder {state})");
            say(&if answer.hindrances.is_empty() {
                format!("resumed: {daemon} acts again from the next cycle on")
            } else {
                format!(
                    "resumed: {daemon} is no longer paused, but something else keeps it from acting: {}",
                    answer.hindrances.join("; ")
                )
            });
            true
        }
        (Some(pause), Some(unsaved)) => {
            fail(&format!("the daemon (process {pid}) is still {pause}; {unsaved}"));
            false
        }
        (Some(pause), None) => {
            fail(&format!("the daemon (process {pid}) is still {pause}"));
            false
        }
    }
}

/// The daemons of this host, divided into those that a command is for and others.
#[derive(Debug, Default)]
struct Daemons {
    /// The sockets of those that the command is for.
    meant: Vec<PathBuf>,
    /// The sockets of those that it may be for and that do not answer.
    silent: Vec<PathBuf>,
    /// The others that answer.
    others: Vec<ControlReply>,
}

/// The whole path, as a daemon says it; also of what is not there any more.
fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match (path.parent().map(fs::canonicalize), path.file_name()) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => path,
        }
    })
}

/// Finds the daemons that a command is for. If a state folder is given: the daemon of that folder. Otherwise the daemon of
/// the folder that the configuration names, and one that was started with this configuration. If the configuration cannot be
/// read: all daemons. A command is never for another daemon, because that one watches other databases.
///
/// # Errors
/// When the only daemon that it may be for is one that this user may not ask; the error says who may.
fn daemons(config: &Path, state: Option<&Path>) -> Result<Daemons, String> {
    let named = state.map(Path::to_owned).or_else(|| configured_in(config).ok());
    let named = named.map(|folder| whole(&folder));
    let started_with = state.is_none().then(|| whole(config));
    let is_meant = |answer: &ControlReply| {
        named.as_ref().is_none_or(|folder| answer.state == *folder)
            || started_with.as_ref().is_some_and(|config| answer.config == *config)
    };
    // The name of a socket says which state folder it is of.
    let may_be_meant = |socket: &Path| named.as_deref().is_none_or(|folder| is_of(socket, folder));
    // A daemon that cannot use a runtime directory listens in its state folder.
    let in_state = state.map(Path::to_owned).or_else(|| state_folder(config, None).ok());
    let (mut found, mut closed) = (Daemons::default(), None);
    for socket in sockets(in_state.as_deref()) {
        match ask(&socket, &Question::Status) {
            Ok(answer) if is_meant(&answer) => found.meant.push(socket),
            Ok(answer) => found.others.push(answer),
            Err(_) if !may_be_meant(&socket) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => closed = Some(socket),
            // A daemon that was killed has left it.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {}
            Err(_) => found.silent.push(socket),
        }
    }
    match closed {
        Some(socket) if found.meant.is_empty() => Err(format!(
            "the daemon at {} obeys only root and its own user{}: run this with sudo",
            socket.display(),
            who_may_ask(&socket)
        )),
        Some(_) | None => Ok(found),
    }
}

/// The socket of the one daemon that the command is for, if one runs.
///
/// # Errors
/// When there are several, or this user may not ask it, which was reported.
pub(crate) fn one_meant(config: &Path, state: Option<&Path>) -> Result<Option<PathBuf>, ExitStatus> {
    match daemons(config, state)
        .map_err(|problem| fail(&problem))?
        .meant
        .as_slice()
    {
        [] => Ok(None),
        [socket] => Ok(Some(socket.clone())),
        several => {
            let shown: Vec<String> = several.iter().map(|socket| socket.display().to_string()).collect();
            let all = shown.join(", ");
            Err(fail(&format!(
                "several daemons run here ({all}); choose one by its state folder with --state"
            )))
        }
    }
}

/// The numbers of a socket's owner and, if it is open to them, of the group whose members may pause and resume.
fn who_may_ask(socket: &Path) -> String {
    const GROUP_WRITES: u32 = 0o020;
    match fs::metadata(socket) {
        Ok(of) if of.mode() & GROUP_WRITES != 0 => format!(
            " (uid {}), and to pause and resume members of its group (gid {})",
            of.uid(),
            of.gid()
        ),
        Ok(of) => format!(" (uid {})", of.uid()),
        Err(_) => String::new(),
    }
}

fn owner_of(path: &Path) -> Option<u32> {
    fs::metadata(path).map(|of| of.uid()).ok()
}

/// Whether this user may write to the state folder, as a command does itself if no daemon runs.
///
/// # Errors
/// The error says who may.
pub(crate) fn may_write(config: &Path, state: Option<&Path>) -> Result<(), String> {
    match state_folder(config, state) {
        Ok(folder) => is_ours(&folder),
        Err(problem) => Err(format!("no daemon answers, and {problem}")),
    }
}

/// Whether this user may write there. A folder that is missing or cannot be read is reported later, when it is used.
fn is_ours(folder: &Path) -> Result<(), String> {
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Err(Errno::ACCESS) => Err(format!(
            "no daemon answers, and the state folder {} is only for root and its owner{}: run this with sudo",
            folder.display(),
            owner_of(folder).map_or_else(String::new, |uid| format!(" (uid {uid})"))
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The state folder that is named, else the one that the configuration names as far as it can be read.
///
/// # Errors
/// When the configuration is there and cannot be read: it may name another folder than the default one.
pub(crate) fn state_folder(config: &Path, state: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(state) = state {
        return Ok(state.to_owned());
    }
    match configured_in(config) {
        Ok(folder) => Ok(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PathBuf::from(STATE)),
        Err(error) => {
            let remedy = if error.kind() == io::ErrorKind::PermissionDenied {
                "run this with sudo, or name the state folder with --state"
            } else {
                "name the state folder with --state"
            };
            Err(format!(
                "read the configuration {}: {error}; {remedy}",
                config.display()
            ))
        }
    }
}

/// The state folder that a configuration names.
fn configured_in(config: &Path) -> io::Result<PathBuf> {
    let bytes = crate::yaml::files::read(config)?;
    Ok(configured(&String::from_utf8_lossy(&bytes), config))
}

/// The state folder to use if no daemon answers.
fn folder(config: &Path, state: Option<&Path>) -> Result<PathBuf, String> {
    let folder =
        state_folder(config, state).map_err(|error| format!("nothing was changed: no daemon answers, and {error}"))?;
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!(
            "nothing was changed: no daemon answers, and the state folder {} does not exist; name the folder with --state. If a \
             daemon runs nevertheless, stop it with `systemctl stop orareaper`",
            folder.display()
        ))
    }
}

/// The state folder that a configuration names. The rest of the configuration may be invalid.
fn configured(text: &str, config: &Path) -> PathBuf {
    let named = text.lines().find_map(|line| line.strip_prefix("state:")).map(|rest| {
        let rest = rest.split(" #").next().unwrap_or_default();
        rest.trim().trim_matches(['"', '\'']).to_owned()
    });
    match named.filter(|named| !named.is_empty()) {
        Some(named) => config.parent().unwrap_or(Path::new("")).join(named),
        None => PathBuf::from(STATE),
    }
}

/// The process that has locked the folder, if any.
pub(crate) fn owner(folder: &Path) -> Option<String> {
    let mut lock: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join("lock"))
        .ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let read = lock.by_ref().take(20).read_to_string(&mut owner);
            Some(read.map_or_else(|_| "unknown".to_owned(), |_| owner))
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The user of the shell, from its environment; without one (cron, a container), the account of the process.
pub(crate) fn who() -> String {
    let mut named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| env::var(name).ok());
    if let Some(name) = named.find(|name| !name.is_empty()) {
        return name;
    }
    let Ok(own) = fs::metadata("/proc/self").map(|own| own.uid()) else {
        return "somebody".to_owned();
    };
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    account_of(own, &accounts).unwrap_or_else(|| format!("user {own}"))
}

/// The name of an account in /etc/passwd (passwd(5): name, password, number, ...).
fn account_of(uid: u32, accounts: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_the_name_of_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n:x:7:7::/:\nbroken\nmaria:x:1001:100::/home/maria:/bin/sh\n";
        assert_eq!(account_of(0, accounts).as_deref(), Some("root"));
        assert_eq!(account_of(1001, accounts).as_deref(), Some("maria"));
        for unknown in [7, 100, 1002] {
            assert_eq!(account_of(unknown, accounts), None, "{unknown}");
        }
    }

    #[test]
    fn the_state_folder_is_found_in_a_configuration_that_is_wrong_elsewhere() {
        let found = |text: &str| configured(text, Path::new("/etc/orareaper/orareaper.yaml"));
        assert_eq!(
            found("databases: [\nstate: /srv/reaper # on its own disk\n"),
            Path::new("/srv/reaper")
        );
        assert_eq!(found("state: 'here'\n: : :"), Path::new("/etc/orareaper/here"));
        assert_eq!(found("polices: []\n"), Path::new(STATE));
        assert_eq!(found("state:\n"), Path::new(STATE));
    }
}
