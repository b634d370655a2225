//! A program that is told: started for each message, with the message on its standard input.
//!
//! - No shell: the arguments are those of the configuration, and no text of an event is among them.
//! - Its environment is empty but for PATH and LANG, its output goes nowhere, its working directory is `/`.
//! - The message is in a file in memory, so that a program that reads nothing keeps nobody waiting.
//! - It has a process group of its own, which is killed when the time is up, and when the program has ended: what it leaves behind
//!   goes with it. The group is killed before the program is reaped, while its number cannot be anybody else's.
//!
//! - None outlives the daemon: at its end, the groups of all that still run are killed ([`RunningPrograms::end_all`]). Only where the
//!   daemon itself is killed is nobody left to do that; systemd then ends what is left of the unit.
//!
//! It runs as the daemon's user.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::notify::failure::NoticeFailure;
use crate::quantity::Elapsed;

/// The status by which a program asks for another attempt: EX_TEMPFAIL of sysexits.h.
const TRY_AGAIN: i32 = 75;

/// How often a running program is looked at.
const LOOKS: Duration = Duration::from_millis(20);

/// The programs that run now.
#[derive(Debug, Default)]
pub(crate) struct RunningPrograms(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    groups: Vec<Pid>,
    /// No other may begin.
    is_closed: bool,
}

impl RunningPrograms {
    /// Kills all that run, with what they have started, and lets none begin any more.
    pub(super) fn end_all(&self) {
        let mut running = self.lock();
        running.is_closed = true;
        for group in running.groups.drain(..) {
            kill_group(group);
        }
    }

    /// Starts a program; `None` if none may begin any more.
    fn start(&self, command: &mut Command) -> io::Result<Option<Child>> {
        let mut running = self.lock();
        if running.is_closed {
            return Ok(None);
        }
        let child = command.spawn()?;
        running.groups.push(pid(&child));
        Ok(Some(child))
    }

    /// Kills what is left of a program. It is not reaped yet, so the number of its group is nobody else's.
    fn end(&self, child: &Child) {
        let mut running = self.lock();
        let group = pid(child);
        running.groups.retain(|other| *other != group);
        kill_group(group);
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the program. `command` is its absolute path and its arguments.
pub(super) fn run(
    (command, programs): (&[String], &RunningPrograms),
    message: &[u8],
    limit: Duration,
    is_over: &dyn Fn() -> bool,
) -> Result<String, NoticeFailure> {
    let failed = |what: &str, error: &io::Error| {
        let why = format!("{what} {}: {error}", command[0]);
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory) {
            NoticeFailure::passing(why)
        } else {
            NoticeFailure::lasting(why)
        }
    };
    let input = in_memory(message).map_err(|error| failed("make the input of", &error))?;
    let mut started = Command::new(&command[0]);
    started
        .args(&command[1..])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let child = programs.start(&mut started).map_err(|error| failed("run", &error))?;
    let Some(mut child) = child else {
        let why = format!("{} was not started: the daemon is ending", command[0]);
        return Err(NoticeFailure::lasting(why));
    };
    let ended = ends_within(&child, limit, is_over);
    programs.end(&child);
    let status = child.wait().map_err(|error| failed("wait for", &error))?;
    if ended.map_err(|error| failed("wait for", &error))? {
        told(&command[0], status)
    } else {
        let (program, limit) = (&command[0], Elapsed(limit));
        Err(NoticeFailure::lasting(format!(
            "{program} did not end within {limit} and was killed"
        )))
    }
}

fn told(program: &str, status: ExitStatus) -> Result<String, NoticeFailure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok("exit status 0".to_owned()),
        (Some(TRY_AGAIN), _) => Err(NoticeFailure::passing(format!(
            "{program} ended with status {TRY_AGAIN}"
        ))),
        (Some(code), _) => Err(NoticeFailure::lasting(format!("{program} ended with status {code}"))),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Err(NoticeFailure::lasting(format!(
                "{program} was ended by signal {signal}"
            )))
        }
    }
}

/// A file without a name that has this content.
fn in_memory(message: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("notification", MemfdFlags::CLOEXEC)?);
    file.write_all(message)?;
    file.rewind()?;
    Ok(file)
}

/// Whether the program ends in time. It is not reaped, so its number stays its own.
fn ends_within(child: &Child, limit: Duration, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
    let id = WaitId::Pid(pid(child));
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let mut waited = Duration::ZERO;
    loop {
        if waitid(id.clone(), options)?.is_some() {
            return Ok(true);
        }
        if waited >= limit || is_over() {
            return Ok(false);
        }
        thread::sleep(LOOKS);
        waited += LOOKS;
    }
}

fn pid(child: &Child) -> Pid {
    let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    raw.expect("the number of a process is positive")
}

/// An error means that nobody is left in it.
fn kill_group(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    const SOON: Duration = Duration::from_secs(30);

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("tell");
        let half = folder.join("half");
        std::fs::write(&half, format!("#!/bin/sh\n{text}\n")).expect("a file");
        std::fs::set_permissions(&half, std::fs::Permissions::from_mode(0o755)).expect("its owner may");
        std::fs::rename(half, &path).expect("moved");
        path
    }

    fn run_script(
        text: &str,
        arguments: &[&str],
        message: &str,
        limit: Duration,
    ) -> (Result<String, NoticeFailure>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let program = script(folder.path(), &text.replace("OUT", &out.display().to_string()));
        let mut command = vec![program.display().to_string()];
        command.extend(arguments.iter().map(|one| (*one).to_owned()));
        let ran = run(
            (&command, &RunningPrograms::default()),
            message.as_bytes(),
            limit,
            &|| false,
        );
        let ran = ran.map_err(|failure| NoticeFailure {
            why: failure.why.replace(&command[0], "PROGRAM"),
            ..failure
        });
        (ran, std::fs::read_to_string(out).unwrap_or_default())
    }

    #[test]
    fn it_gets_the_message_its_arguments_as_they_are_and_no_environment() {
        let text = "{ cat; printf '\\n%s|' \"$@\"; echo; env | cut -d= -f1 | sort | tr '\\n' ' '; pwd; } >OUT";
        let (ran, out) = run_script(text, &["--team", "$(touch /tmp/no); `id` * \"x"], "{\"a\":1}", SOON);
        assert_eq!(ran, Ok("exit status 0".to_owned()));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[..3], ["{\"a\":1}", "--team|", "$(touch /tmp/no); `id` * \"x|"]);
        // The shell sets PWD and others itself.
        let own: Vec<&str> = lines[lines.len() - 1].split(' ').collect();
        assert_eq!(own.last(), Some(&"/"));
        let set: Vec<&&str> = own
            .iter()
            .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_", "/"].contains(name))
            .collect();
        assert_eq!(set, [&"LANG", &"PATH"]);
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_all_that_it_has_started() {
        let text = "sleep 300 & echo $! >OUT; sleep 300";
        let (ran, out) = run_script(text, &[], "{}", Duration::from_secs(1));
        let failure = ran.expect_err("it hangs");
        assert_eq!(
            (failure.why.as_str(), failure.may_pass),
            ("PROGRAM did not end within 1s and was killed", false)
        );
        assert!(is_gone(out.trim()), "what it has started runs on");
    }

    #[test]
    fn what_a_program_leaves_behind_goes_with_it() {
        let (ran, out) = run_script("sleep 300 & echo $! >OUT", &[], "{}", SOON);
        assert_eq!(ran, Ok("exit status 0".to_owned()));
        assert!(is_gone(out.trim()), "what it has started runs on");
    }

    /// Nobody may be left to reap it, so a dead one counts as gone.
    fn is_gone(pid: &str) -> bool {
        assert!(pid.parse::<u32>().is_ok(), "{pid:?}");
        (0..500).any(|_| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let gone = stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ");
            if !gone {
                thread::sleep(LOOKS);
            }
            gone
        })
    }

    #[test]
    fn only_the_status_that_asks_for_it_gives_another_attempt() {
        for (text, why, may_pass) in [
            ("exit 75", "PROGRAM ended with status 75", true),
            ("exit 1", "PROGRAM ended with status 1", false),
            ("kill -9 $$", "PROGRAM was ended by signal 9", false),
        ] {
            let failure = run_script(text, &[], "{}", SOON).0.expect_err(text);
            assert_eq!((failure.why.as_str(), failure.may_pass), (why, may_pass));
        }
        let missing = run(
            (&["/no/such/program".to_owned()], &RunningPrograms::default()),
            b"{}",
            SOON,
            &|| false,
        );
        let failure = missing.expect_err("there is none");
        assert!(
            failure.why.starts_with("run /no/such/program: No such file"),
            "{failure:?}"
        );
        assert!(!failure.may_pass);
    }
}
