//! A DBA's host: a folder with configuration, policies and password, in which the real program runs.
//!
//! The tests see everything from outside: exit status, log lines, pages, the journal file, and what reached the simulated database.
//! Ports are free ones, so tests run in parallel. No test depends on timing: it waits for a condition, with a very long limit, and
//! checks that something did not happen after a later event has happened.

#![allow(clippy::disallowed_methods, reason = "waiting for a program needs a clock")]

pub(crate) mod client;
pub(crate) mod colleague;
pub(crate) mod permit;
mod prod;
pub(crate) mod seeds;
mod terminal;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orasim::scenario::Length;
use orasim::{Fault, Scenario, Server, Strike, World};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use prod::prod;
pub(crate) use terminal::Terminal;

/// Longer than any step takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Longer than the policies here wait.
pub(crate) const FIVE_HOURS: Duration = Duration::from_secs(5 * 3_600);

/// The reaper's password in every scenario here. Distinct enough to be looked for in everything that is written.
pub(crate) const PASSWORD: &str = "Secr3t-zq7xKw";

/// Waits until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    wait_for(what, || so().then_some(()));
}

/// The exit status of a command, and everything that it wrote.
pub(crate) fn told(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().expect("no signal"),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A driver to run the program with, and what the program's environment needs for it.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    pub(crate) name: &'static str,
    library: Option<PathBuf>,
}

/// `thin` always, `oci` where Oracle's client library is.
pub(crate) fn drivers() -> Vec<Driver> {
    let thin = Driver {
        name: "thin",
        library: None,
    };
    match client::library() {
        Some(folder) => vec![
            thin,
            Driver {
                name: "oci",
                library: Some(folder),
            },
        ],
        None => vec![thin],
    }
}

/// The driver that needs nothing.
pub(crate) fn thin() -> Driver {
    Driver {
        name: "thin",
        library: None,
    }
}

/// A simulated database that is being served.
pub(crate) struct Db {
    pub(crate) world: Arc<World>,
    pub(crate) server: Server,
    name: String,
}

impl Db {
    /// A ready-made scenario.
    pub(crate) fn builtin(name: &str) -> Db {
        Db::serve(Scenario::builtin(name).unwrap_or_else(|error| panic!("{error}")))
    }

    /// A scenario from its text.
    pub(crate) fn parse(text: &str) -> Db {
        Db::serve(Scenario::parse(text).unwrap_or_else(|error| panic!("{error}")))
    }

    /// A scenario whose listener speaks TLS, with the certificate of tests/certificates for localhost and 127.0.0.1. A client needs
    /// one of its own if `mutual`.
    pub(crate) fn by_tcps(text: &str, mutual: bool) -> Db {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
        Db::serve_with(scenario, Some(server_config(mutual)))
    }

    /// A scenario, with the reaper's account as [`Site`] has it.
    pub(crate) fn serve(scenario: Scenario) -> Db {
        Db::serve_with(scenario, None)
    }

    fn serve_with(mut scenario: Scenario, tls: Option<Arc<rustls::ServerConfig>>) -> Db {
        let reaper = scenario
            .accounts
            .get_mut("REAPER")
            .expect("every scenario has a reaper");
        reaper.password = Some(PASSWORD.to_owned());
        let name = scenario.database.name.clone();
        let world = World::new(scenario);
        let database = Arc::clone(&world) as Arc<dyn orasim::backend::Database>;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = match tls {
            Some(tls) => Server::start_tls(database, listen, tls),
            None => Server::start(database, listen),
        };
        let server = server.expect("a free port");
        Db { world, server, name }
    }

    /// `//127.0.0.1:PORT/NAME`
    pub(crate) fn connect_string(&self) -> String {
        format!("//{}/{}", self.server.addr(), self.name)
    }

    /// Lets this much time pass between two snapshots of the daemon, so that a snapshot's clock and its rows are of the same time.
    pub(crate) fn advance_between_snapshots(&self, by: Duration) {
        let before = self.world.now();
        self.world.arm(Fault {
            statement: Some("SYSTIMESTAMP".to_owned()),
            user: Some("REAPER".to_owned()),
            call: 1,
            times: 1,
            what: Strike::Advance(Length(i64::try_from(by.as_millis()).expect("not for ever"))),
        });
        until("the daemon to look", || self.world.now() > before);
    }

    /// Lets time pass for this daemon as well: in parts that are too small to be taken for a clock that was set, each seen by a cycle
    /// of its own.
    pub(crate) fn let_pass(&self, daemon: &Daemon, database: &str, minutes: u32) {
        const PART: u32 = 8;
        let mut left = minutes;
        while left > 0 {
            let part = left.min(PART);
            self.world.advance(Duration::from_secs(u64::from(part) * 60));
            daemon.looks(database, 2);
            left -= part;
        }
    }

    /// The answers of all ALTER SYSTEM statements so far, with their targets.
    pub(crate) fn kills(&self) -> Vec<((u32, u32, u32), Option<u32>)> {
        let kills = self.world.kills();
        kills.into_iter().map(|kill| (kill.target, kill.answer)).collect()
    }

    /// SID and SERIAL# of this user's sessions.
    pub(crate) fn seats_of(&self, user: &str) -> Vec<(u32, u32)> {
        let of_user = |session: &orasim::SessionView| session.username.as_deref() == Some(user);
        let sessions = self.world.sessions().into_iter().filter(of_user);
        sessions.map(|session| (session.sid, session.serial)).collect()
    }
}

/// A certificate, a key or an authority of tests/certificates.
pub(crate) fn certificate(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certificates")
        .join(file)
}

fn server_config(mutual: bool) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let read = |file| CertificateDer::from_pem_file(certificate(file)).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(read("authority.pem")).expect("an authority");
    let verifier = if mutual {
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier")
    } else {
        rustls::server::WebPkiClientVerifier::no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![read("server.pem")], key);
    Arc::new(config.expect("they match"))
}

/// The folder.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// With a password file and no policies yet.
    pub(crate) fn new() -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Site { folder };
        let password = site.write("password", PASSWORD);
        fs::set_permissions(password, fs::Permissions::from_mode(0o600)).expect("its owner may");
        // Keeps the client library from writing diagnostics and from catching signals.
        site.write(
            "network/sqlnet.ora",
            "DIAG_ADR_ENABLED=OFF\nDIAG_SIGHANDLER_ENABLED=FALSE\n",
        );
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// The policies, in the one file that the configuration names.
    pub(crate) fn policies(&self, text: &str) {
        self.write("policies/policies.yaml", text);
    }

    /// An armed database called `orcl`, polled every second.
    pub(crate) fn configure(&self, driver: &Driver, db: &Db) {
        self.configure_with(&[entry("orcl", driver, &db.connect_string(), true)], "");
    }

    /// These databases, and whatever else the configuration says.
    pub(crate) fn configure_with(&self, databases: &[String], more: &str) {
        let databases = databases.concat();
        self.write(
            "orareaper.yaml",
            format!("databases:\n{databases}policies: [policies/*.yaml]\nlisten: 127.0.0.1:0\nstate: state\n{more}"),
        );
    }

    /// The program in this folder, with nothing of the caller's Oracle settings.
    pub(crate) fn command(&self, driver: &Driver) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orareaper"));
        command
            .current_dir(self.folder.path())
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("ORACLE_HOME")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("ORAREAPER_LOG")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .env("RUNTIME_DIRECTORY", self.path("runtime"))
            .env("TNS_ADMIN", self.path("network"))
            .stdin(Stdio::null());
        if let Some(library) = &driver.library {
            command.env("LD_LIBRARY_PATH", library);
        }
        command
    }

    /// Starts `orareaper run` and waits until its pages answer.
    pub(crate) fn run(&self, driver: &Driver) -> Daemon {
        self.run_with(driver, |_| {})
    }

    /// The same, with more arguments or another environment.
    pub(crate) fn run_with(&self, driver: &Driver, prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut daemon = self.spawn(driver, prepare);
        daemon.pages = wait_for("the pages' address", || {
            let ended = daemon.child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "it ended: {ended:?}\n{}", daemon.log_text());
            let line = daemon.log_line("pages are served")?;
            line["address"].as_str()?.parse().ok()
        });
        daemon
    }

    /// Starts `orareaper run`, which may well refuse.
    pub(crate) fn spawn(&self, driver: &Driver, prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.command(driver);
        command.args([
            "--config",
            "orareaper.yaml",
            "--log",
            "debug",
            "--log-format",
            "json",
            "run",
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let err = child.stderr.take().expect("piped");
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Daemon {
            child,
            log,
            pages: SocketAddr::from(([127, 0, 0, 1], 0)),
            state: self.path("state"),
        }
    }

    /// The journal's records, oldest first.
    pub(crate) fn journal(&self) -> Vec<Value> {
        journal(&self.path("state"))
    }

    /// The journal's records of a kind, without those of warrants that expired: a busy machine may need longer than two polls from a
    /// snapshot to its statement.
    pub(crate) fn journalled(&self, kind: &str) -> Vec<Value> {
        let all = self.journal();
        let expired: BTreeSet<u64> = all
            .iter()
            .filter(|record| record["outcome"] == "expired")
            .filter_map(|record| record["id"].as_u64())
            .collect();
        let wanted = |record: &Value| {
            let of_expired = record["id"].as_u64().is_some_and(|id| expired.contains(&id));
            record["kind"] == kind && record["outcome"] != "expired" && !of_expired
        };
        all.into_iter().filter(wanted).collect()
    }

    /// Waits for a record of this kind that is so.
    pub(crate) fn journals(&self, kind: &str, so: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("a record of kind {kind}; {:#?}", self.journal()), || {
            self.journalled(kind).into_iter().find(&so)
        })
    }

    /// Waits until there are this many records of this kind. They come to the disk a little after the metric or the page shows
    /// what they say.
    pub(crate) fn journals_all(&self, kind: &str, count: usize) -> Vec<Value> {
        until(
            &format!("{count} records of kind {kind}; {:#?}", self.journal()),
            || self.journalled(kind).len() >= count,
        );
        self.journalled(kind)
    }

    /// Everything that was left in the folder by the program, as text.
    pub(crate) fn left_behind(&self) -> String {
        let mut text = String::new();
        let mut folders = vec![self.path("state")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    text.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()));
                }
            }
        }
        text
    }
}

/// A database in a configuration.
pub(crate) fn entry(name: &str, driver: &Driver, connect: &str, armed: bool) -> String {
    format!(
        "  - name: {name}\n    driver: {}\n    connect: {connect}\n    user: reaper\n    password: {{file: password}}\n    \
         armed: {armed}\n    poll: 1s\n",
        driver.name
    )
}

fn journal(state: &Path) -> Vec<Value> {
    let text = fs::read_to_string(state.join("journal.jsonl")).unwrap_or_default();
    // The last line may be half written when it is looked at.
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The running program. It is killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pages: SocketAddr,
    state: PathBuf,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its pages are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.pages
    }

    /// Everything it said on standard error.
    pub(crate) fn log_text(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The log's lines.
    pub(crate) fn log(&self) -> Vec<Value> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The first line with this message.
    pub(crate) fn log_line(&self, message: &str) -> Option<Value> {
        self.log().into_iter().find(|line| line["message"] == message)
    }

    /// Waits for a line with this message.
    pub(crate) fn says(&self, message: &str) -> Value {
        wait_for(&format!("`{message}` in the log"), || self.log_line(message))
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status()
            .expect("a shell");
        assert!(sent.success(), "kill -{name}");
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        wait_for("the end of the program", || {
            self.child.try_wait().expect("it can be asked")
        })
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_some()
    }

    /// What it wrote to standard output; only once it has ended.
    pub(crate) fn output(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut out) = self.child.stdout.take() {
            out.read_to_string(&mut text).expect("text");
        }
        text
    }

    /// A page: its status and its body.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.pages).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// The value of a metric, with its labels as they stand there; `None` if there is none.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (status, text) = self.page("/metrics");
        assert_eq!(status, 200);
        let line = text
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until a metric has a value.
    pub(crate) fn metric_becomes(&self, name: &str, value: f64) {
        until(&format!("{name} to be {value}; {}", self.page("/metrics").1), || {
            self.metric(name) == Some(value)
        });
    }

    /// Waits for this many more cycles of the daemon.
    pub(crate) fn looks(&self, database: &str, times: usize) {
        let cycles = || {
            let done = |line: &Value| line["message"] == "cycle done" && line["database"] == database;
            self.log().into_iter().filter(done).count()
        };
        let before = cycles();
        until(&format!("{times} more cycles of {database}"), || {
            cycles() >= before + times
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon\n{}", self.log_text());
            for record in journal(&self.state) {
                eprintln!("journal: {record}");
            }
        }
    }
}

/// Where `tests/fetch-clients` puts things.
pub(crate) fn fetched(place: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("test-clients").join(place)
}

/// Prints that something did not run, and why. Fails instead if clients are required.
pub(crate) fn not_run(why: &str) {
    assert!(env::var_os("ORAREAPER_REQUIRE_CLIENTS").is_none(), "not run: {why}");
    println!("not run: {why}");
}
