//! A command on a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{until, wait_for};

pub(crate) struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// `setsid` makes the terminal the command's own and becomes the command: Ctrl-C reaches it, and its exit status is seen.
    pub(crate) fn of(inner: &Command) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let theirs = theirs.expect("its other end");
        let end = || Stdio::from(theirs.try_clone().expect("a descriptor"));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(inner.get_program()).args(inner.get_args());
        command.current_dir(inner.get_current_dir().expect("it has one"));
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        let child = child.expect("util-linux has setsid");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        let keys = File::from(ours);
        let mut out = keys.try_clone().expect("a descriptor");
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error, once the other end is closed.
            while let Ok(length @ 1..) = out.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                shown.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Terminal {
            child,
            keys,
            screen,
            reader,
        }
    }

    /// Everything that was shown so far.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn shows(&self, text: &str) {
        until(text, || self.screen().contains(text));
    }

    pub(crate) fn types(&mut self, line: &str) {
        writeln!(self.keys, "{line}").expect("it listens");
    }

    /// Ctrl-C, and no Enter.
    pub(crate) fn interrupts(&mut self) {
        self.keys.write_all(b"\x03").expect("it listens");
    }

    /// Waits until what was shown so far is as it should be.
    pub(crate) fn until_shown(&self, what: &str, so: impl Fn(&str) -> bool) {
        until(what, || so(&self.screen()));
    }

    /// Gives the terminal a size, of which its programs are told.
    pub(crate) fn has_size(&self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.keys, size).expect("it is ours");
    }

    /// Sends the program a signal.
    pub(crate) fn gets(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("it runs").success(), "{signal}");
    }

    /// The signal that ended the program, and all that was shown.
    pub(crate) fn dies(mut self) -> (i32, String) {
        let status = wait_for("its end", || self.child.try_wait().expect("it can be asked"));
        self.reader.join().expect("it reads to the end");
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (status.signal().expect("a signal"), screen)
    }

    /// The exit status, and all that was shown.
    pub(crate) fn ends(mut self) -> (i32, String) {
        let status = wait_for("its end", || self.child.try_wait().expect("it can be asked"));
        self.reader.join().expect("it reads to the end");
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (status.code().expect("no signal"), screen)
    }
}
