//! A user of the database: python-oracledb in a separate process, which gets commands line by line.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::{Db, PATIENCE, fetched, not_run};

/// The folder of Oracle's client library, if there is one; says so if there is none.
pub(super) fn library() -> Option<PathBuf> {
    let folder = env::var_os("ORAREAPER_TEST_CLIENT").map_or_else(|| fetched("instantclient"), PathBuf::from);
    let found = folder.join("libclntsh.so").exists().then_some(folder);
    if found.is_none() {
        not_run("no Oracle client library (driver oci)");
    }
    found
}

/// A Python with python-oracledb, if there is one; says so if there is none.
pub(crate) fn python() -> Option<PathBuf> {
    let python = env::var_os("ORAREAPER_TEST_PYTHON").map_or_else(|| fetched("venv/bin/python"), PathBuf::from);
    let found = python.exists().then_some(python);
    if found.is_none() {
        not_run("no python-oracledb");
    }
    found
}

/// A logged-in user.
pub(crate) struct Client {
    child: Child,
    ask: ChildStdin,
    answers: Receiver<String>,
    /// SID and SERIAL#, as the login told them.
    pub(crate) seat: (u32, u32),
}

impl Client {
    /// Logs in.
    pub(crate) fn log_in(python: &Path, db: &Db, user: &str, password: &str) -> Client {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/client.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([user, password, db.connect_string().trim_start_matches('/')])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let ask = child.stdin.take().expect("piped");
        let out = child.stdout.take().expect("piped");
        let (lines, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut client = Client {
            child,
            ask,
            answers,
            seat: (0, 0),
        };
        let told = client.answer();
        let mut numbers = told
            .split(' ')
            .map(|number| number.parse().unwrap_or_else(|_| panic!("login: {told}")));
        client.seat = (numbers.next().expect("a SID"), numbers.next().expect("a SERIAL#"));
        client
    }

    fn answer(&self) -> String {
        let waited = self.answers.recv_timeout(PATIENCE);
        waited.expect("the client answers")
    }

    /// Executes a statement, or `commit`: `ok`, the rows with `|` between values and `;` between rows, or the error.
    pub(crate) fn execute(&mut self, statement: &str) -> String {
        self.begin(statement);
        self.answer()
    }

    /// The same without waiting.
    pub(crate) fn begin(&mut self, statement: &str) {
        writeln!(self.ask, "{statement}").expect("the client listens");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
