//! `demo`: shows the daemon at work, with nothing to set up.
//!
//! A simulated three-node RAC database runs in this process on a loopback port, with a faster clock, and the daemon runs against
//! it as with `run`: through the real driver, over the real wire protocol, with journal, metrics and status page. Before that, `doctor`
//! examines the database and `prove` tries each action on decoys. At the end the demo checks what happened against what should have
//! happened; the exit status is the result.
//!
//! With `--from`, the database begins with the user's own sessions, and the user's own policies run on it ([`practice`]).

mod left_out;
mod narrator;
mod pages;
mod practice;
mod trust;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use orasim::{KillRecord, Scenario, Server, World};

use crate::cli::{Cli, DemoArgs, ExitStatus};
use crate::clock::{Clock, PacedClock, SystemClock};
use crate::commands::demo::narrator::{IMPATIENT, Ink, Narrator, Seen, SharedSeen, tell};
use crate::commands::log::log_to;
use crate::commands::run::{GRACE, Signals};
use crate::commands::{fail, found_policies, read_once, terminal_style};
use crate::config::{Config, DatabaseConfig, Driver, LoginConfig, SecretSource};
use crate::daemon::database::Watcher;
use crate::daemon::service::DaemonService;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::policy::model::{Limits, Mode, PolicySet};
use crate::quantity::{Elapsed, counted};

/// Simulated seconds per second.
const SPEED: u32 = 60;

/// The time between two snapshots: five simulated minutes.
const POLL: Duration = Duration::from_secs(5);

/// The demo's own story takes so long.
const SHORTEST: Duration = Duration::from_secs(40);

/// The account of the daemon in the simulated database, and its password.
const USER: &str = "reaper";
const PASSWORD: &str = "reaper";

/// The policies of the demo, written so that a reader can copy them.
const POLICIES: &str = include_str!("policies.yaml");

/// Runs the command.
pub(crate) fn run(arguments: &DemoArgs, cli: &Cli, clock: SystemClock) -> ExitStatus {
    if arguments.from.is_none() && arguments.seconds < SHORTEST {
        return fail(&format!("the demo's story takes at least {}", Elapsed(SHORTEST)));
    }
    if let Err(status) = read_once(arguments.from.as_deref(), "--from", &arguments.policies) {
        return status;
    }
    let (folder, listen) = match pages::address(arguments.listen).and_then(|at| Ok((folder(arguments)?, at))) {
        Ok(found) => found,
        Err(problem) => return fail(&problem),
    };
    if let Err(status) = start_log(cli, &folder) {
        return status;
    }
    let arguments = &DemoArgs {
        listen: Some(listen),
        ..arguments.clone()
    };
    let paced = PacedClock {
        host: clock,
        pace: SPEED,
    };
    let run = match &arguments.from {
        Some(file) => practise(arguments, file, folder, paced),
        None => demo(arguments, folder, paced),
    };
    match run {
        Ok(status) => status,
        Err(problem) => fail(&problem),
    }
}

/// Sets up the log to a file in the folder, because the terminal shows the narration.
fn start_log(cli: &Cli, folder: &Path) -> Result<(), ExitStatus> {
    let path = folder.join("daemon.log");
    let file = std::fs::File::create(&path).map_err(|error| fail(&format!("create {}: {error}", path.display())))?;
    log_to(cli, file, false)
}

fn demo(arguments: &DemoArgs, folder: PathBuf, paced: PacedClock) -> Result<ExitStatus, String> {
    let clock: Arc<dyn Clock> = Arc::new(paced);
    let signals = Signals::catch().map_err(|error| format!("catch signals: {error}"))?;
    let ink = Ink {
        colour: terminal_style().colour,
    };
    let mut scenario = Scenario::builtin("rac3").map_err(|error| format!("read the demo's scenario: {error}"))?;
    let file = folder.join("policies.yaml");
    std::fs::write(&file, POLICIES).map_err(|error| format!("write {}: {error}", file.display()))?;
    let set = Arc::new(policies(&[file], &*clock)?);
    tell(&ink.bold("orareaper demo: the daemon against a simulated three-node RAC database"));
    tell("");
    // More per hour than the default, because a minute of the demo is an hour of the database.
    let limits = Limits {
        per_hour: Some(30),
        ..Limits::default()
    };
    let reached = |server: &Server| config(&folder, server, arguments, ("prod", limits));
    let Some(trusted) = trust::establish(&scenario, reached, &set, (paced, &signals), ink)? else {
        return Ok(interrupted());
    };
    scenario.speed = f64::from(SPEED);
    let world = World::new(scenario);
    let mut server = serve(&world)?;
    let config = config(&folder, &server, arguments, ("prod", limits))?;
    introduce(ink, &server, arguments, &folder);
    let Some(ran) = run_daemon(&config, &set, arguments, (&clock, &signals), ink)? else {
        server.stop();
        return Ok(interrupted());
    };
    server.stop();
    write_report(&folder, &ran.seen)?;
    let mut checks = trusted;
    checks.extend(checks_of_the_run(
        &ran.seen,
        &world.kills(),
        &ran.metrics,
        &folder,
        ran.ended,
    ));
    Ok(conclude(ink, &ran.seen, &checks, &folder))
}

/// What a run of the daemon has shown.
struct DaemonRun {
    seen: Seen,
    metrics: String,
    /// Whether it stopped in time with a whole journal.
    ended: bool,
}

/// Runs the daemon for as long as the arguments say, with narration; `None` if somebody interrupted it.
fn run_daemon(
    config: &Config,
    set: &Arc<PolicySet>,
    arguments: &DemoArgs,
    (clock, signals): (&Arc<dyn Clock>, &Signals),
    ink: Ink,
) -> Result<Option<DaemonRun>, String> {
    let seen: SharedSeen = Arc::default();
    let told = Arc::clone(&seen);
    let narrated = move |watcher| Box::new(Narrator::new(watcher, Arc::clone(&told), ink)) as Box<dyn Watcher>;
    let service = DaemonService::start(config, set, false, clock, (&narrated, &|_| ()));
    let service = service.map_err(|error| error.to_string())?;
    // Ends between two snapshots, when no action is under way, because the final checks need complete counts.
    let calm = clock.now().plus(arguments.seconds.saturating_sub(POLL / 2));
    let is_settled = || seen.lock().unwrap_or_else(PoisonError::into_inner).is_settled();
    let is_over = || clock.now() >= calm && (is_settled() || clock.now() >= calm.plus(GRACE));
    while !is_over() && !signals.stop() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let is_interrupted = signals.stop();
    let metrics = fetch(service.address().expect("the demo has pages"), "/metrics");
    let ended = service.stop("the demo is over", GRACE);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((!is_interrupted).then_some(DaemonRun { seen, metrics, ended }))
}

/// Runs the user's policies, each that is not `off` in mode `enforce`, on a simulated database that begins with the sessions of a file.
fn practise(arguments: &DemoArgs, file: &Path, folder: PathBuf, paced: PacedClock) -> Result<ExitStatus, String> {
    let clock: Arc<dyn Clock> = Arc::new(paced);
    let signals = Signals::catch().map_err(|error| format!("catch signals: {error}"))?;
    let ink = Ink {
        colour: terminal_style().colour,
    };
    let mut set = policies(&arguments.policies, &*clock)?;
    for policy in &mut set.policies {
        if policy.mode != Mode::Off {
            policy.mode = Mode::Enforce;
        }
    }
    let set = Arc::new(set);
    let saved = practice::read(file)?;
    let taken = saved.taken_over();
    let mut scenario = saved.scenario(&taken, USER, PASSWORD)?;
    let read_at = saved.read_at();
    scenario.speed = f64::from(SPEED);
    let world = World::new(scenario);
    let mut server = serve(&world)?;
    let name = arguments.database.clone().or(saved.database.clone());
    let name = name.unwrap_or_else(|| "practice".to_owned());
    let config = config(&folder, &server, arguments, (&name, Limits::default()))?;
    tell(&ink.bold(&format!(
        "orareaper demo: your policies (every policy that is not `off` enforces) against a simulation of {} of {}",
        counted(taken.rows.len(), "session"),
        file.display()
    )));
    tell(
        "  Three or more sessions of the same user, machine and program are taken for a pool, which opens a new session for each that",
    );
    tell("  is killed. Nobody else logs in, and no idle session goes to work. No real session is touched.");
    for line in taken.told().chain(saved.notes.iter().cloned()) {
        tell(&format!("  {line}"));
    }
    practice::tell_left_out(&config.databases[0], &set, read_at);
    tell("");
    introduce(ink, &server, arguments, &folder);
    let ran = run_daemon(&config, &set, arguments, (&clock, &signals), ink)?;
    server.stop();
    let Some(ran) = ran else { return Ok(interrupted()) };
    write_report(&folder, &ran.seen)?;
    practice::conclude(ink, &ran.seen, &world.kills(), &folder);
    Ok(if ran.ended && ran.seen.troubles.is_empty() {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    })
}

fn interrupted() -> ExitStatus {
    tell("interrupted before the end of the demo");
    ExitStatus::Failed
}

/// Serves a simulated database on a free loopback port.
fn serve(world: &Arc<World>) -> Result<Server, String> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Server::start(Arc::clone(world) as Arc<dyn orasim::backend::Database>, loopback)
        .map_err(|error| format!("start the simulated database on {loopback}: {error}"))
}

/// The given folder, or a new one that no other user can have prepared.
fn folder(arguments: &DemoArgs) -> Result<PathBuf, String> {
    let Some(folder) = &arguments.folder else {
        let mine = std::fs::Permissions::from_mode(0o700);
        let new = tempfile::Builder::new()
            .prefix("orareaper-demo-")
            .permissions(mine)
            .tempdir();
        return new
            .map(tempfile::TempDir::keep)
            .map_err(|error| format!("create a folder in {}: {error}", std::env::temp_dir().display()));
    };
    std::fs::create_dir_all(folder).map_err(|error| format!("create the folder {}: {error}", folder.display()))?;
    Ok(folder.clone())
}

fn policies(paths: &[PathBuf], clock: &dyn Clock) -> Result<PolicySet, String> {
    let loaded = found_policies(paths, clock.today(chrono_tz::UTC), chrono_tz::UTC);
    let problems: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|problem| problem.is_error())
        .map(|problem| problem.render(false))
        .collect();
    loaded.set.ok_or_else(|| problems.join("\n"))
}

fn config(
    folder: &Path,
    server: &Server,
    arguments: &DemoArgs,
    (name, limits): (&str, Limits),
) -> Result<Config, String> {
    let secret = folder.join("password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).map_err(|error| format!("write {}: {error}", secret.display()))?;
    Ok(Config {
        databases: vec![DatabaseConfig {
            name: name.into(),
            driver: Driver::Thin,
            connect: format!("//{}/{}", server.addr(), service(arguments)),
            login: LoginConfig::Password {
                user: USER.into(),
                password: SecretSource::File(secret),
            },
            armed: true,
            poll: POLL,
            pressed: None,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(15),
            limits,
            blackouts: Vec::new(),
            timezone: chrono_tz::UTC,
            tns_admin: None,
            labels: std::collections::BTreeMap::new(),
            via: None,
            leader: None,
        }],
        policies: vec![folder.join("policies.yaml")],
        listen: arguments.listen.unwrap_or(pages::USUAL),
        web_config: None,
        // What it shows is made up, or the reader's own recording.
        listen_unprotected: true,
        state: folder.to_owned(),
        journal: crate::config::Retention::default(),
        timezone: chrono_tz::UTC,
        limits,
        blackouts: Vec::new(),
        notify: None,
    })
}

/// The service of the simulated database: its name.
fn service(arguments: &DemoArgs) -> &'static str {
    if arguments.from.is_some() {
        practice::DATABASE
    } else {
        "PROD"
    }
}

fn introduce(ink: Ink, server: &Server, arguments: &DemoArgs, folder: &Path) {
    tell(&ink.bold("$ orareaper run"));
    tell(&format!(
        "  database     //{}/{}, over Oracle's wire protocol",
        server.addr(),
        service(arguments)
    ));
    tell(&format!(
        "  clock        {SPEED} simulated seconds per second, a snapshot every {} simulated minutes",
        POLL.as_secs()
    ));
    let listen = arguments.listen.unwrap_or(pages::USUAL);
    tell(&format!(
        "  status page  http://{listen}/   metrics: http://{listen}/metrics"
    ));
    tell(&format!(
        "  folder       {}: log, journal, report{}",
        folder.display(),
        if arguments.from.is_some() {
            ""
        } else {
            ", policies, proof"
        }
    ));
    tell("");
}

/// Fetches a page of the daemon, as a browser or Prometheus does.
fn fetch(address: SocketAddr, path: &str) -> String {
    let get = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    get().unwrap_or_default()
}

fn write_report(folder: &Path, seen: &Seen) -> Result<(), String> {
    let Some((html, json)) = &seen.report else {
        return Ok(());
    };
    for (name, text) in [("report.html", html), ("report.json", json)] {
        let file = folder.join(name);
        std::fs::write(&file, text).map_err(|error| format!("write {}: {error}", file.display()))?;
    }
    Ok(())
}

/// One thing that must have happened.
struct DemoCheck {
    what: String,
    held: bool,
}

fn conclude(ink: Ink, seen: &Seen, checks: &[DemoCheck], folder: &Path) -> ExitStatus {
    tell("");
    tell(&ink.bold("Checks: what happened, against what should have happened"));
    for check in checks {
        let mark = if check.held { ink.green("yes") } else { ink.red("NO ") };
        tell(&format!("  {mark}  {}", check.what));
    }
    for trouble in &seen.troubles {
        tell(&format!("  {}  {trouble}", ink.red("trouble")));
    }
    tell("");
    tell(&format!(
        "The report of the first snapshot, as a dry run, is {}; the proof is {}; the journal is {}.",
        folder.join("report.html").display(),
        folder.join("proof.html").display(),
        folder.join("journal.jsonl").display()
    ));
    if checks.iter().all(|check| check.held) {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    }
}

fn checks_of_the_run(seen: &Seen, kills: &[KillRecord], metrics: &str, folder: &Path, ended: bool) -> Vec<DemoCheck> {
    let mut checks = checks_of_what_was_done(seen);
    checks.extend(checks_of_what_was_not(seen, kills));
    checks.extend(checks_of_the_records(seen, metrics, folder, ended));
    checks
}

fn check(what: String, held: bool) -> DemoCheck {
    DemoCheck { what, held }
}

fn checks_of_what_was_done(seen: &Seen) -> Vec<DemoCheck> {
    let outcomes = |outcome: Outcome| seen.outcomes.get(&outcome).copied().unwrap_or(0);
    let proofs = |proof: Proof| seen.proofs.get(&proof).copied().unwrap_or(0);
    let acted = |policy: &str| seen.acted_by.get(policy).copied().unwrap_or(0);
    let (leaked, forgotten) = (acted("leaked-pool"), acted("forgotten-sessions"));
    let (done, marked) = (outcomes(Outcome::Done), outcomes(Outcome::Marked));
    let ended = proofs(Proof::Gone) + proofs(Proof::ResourcesFreed);
    vec![
        check(
            format!(
                "{} snapshots of up to {} sessions on {} instances",
                seen.cycles, seen.sessions, seen.instances
            ),
            seen.cycles >= 7 && seen.sessions >= 300 && seen.instances == 3,
        ),
        check(
            format!("the leaked pool was reduced in steps: {leaked} sessions"),
            leaked >= 3,
        ),
        check(
            format!("the idle blocker was killed: {}", acted("idle-blocker")),
            acted("idle-blocker") >= 1,
        ),
        check(
            format!("forgotten sessions were disconnected, each on its instance: {forgotten}"),
            forgotten >= 1,
        ),
        check(
            format!("Oracle carried out {done} at once and marked {marked} for kill"),
            done >= 1 && marked >= 1,
        ),
        check(
            format!(
                "{ended} were verified as gone or as holding nothing any more; lingering was told of {}",
                proofs(Proof::Lingers)
            ),
            ended >= 3 && proofs(Proof::Lingers) >= 1,
        ),
    ]
}

fn checks_of_what_was_not(seen: &Seen, kills: &[KillRecord]) -> Vec<DemoCheck> {
    let broad = seen.acted_by.get("far-too-broad").copied().unwrap_or(0);
    let hit = |kill: &KillRecord| {
        seen.rehearsed
            .iter()
            .any(|key| kill.target == (key.inst_id, key.sid, key.serial))
    };
    let background = kills.iter().filter(|kill| kill.background).count();
    let protected = kills
        .iter()
        .filter(|kill| kill.username.as_deref().is_none_or(is_protected))
        .count();
    let names: Vec<&str> = seen.protections.iter().map(|protection| protection.name()).collect();
    vec![
        check(
            format!("the breaker refused the policy that is far too broad; it acted on {broad}"),
            seen.breakers.contains("far-too-broad") && broad == 0,
        ),
        check(
            format!("the dry run selected {} and sent nothing", seen.rehearsed.len()),
            !seen.rehearsed.is_empty() && !kills.iter().any(hit),
        ),
        check(
            format!(
                "the dry run of {IMPATIENT} found its limit too short: {}",
                seen.impatient.words()
            ),
            seen.impatient.used_again() > 0,
        ),
        check(
            format!("budgets and floors deferred a session {} times", seen.deferred),
            seen.deferred > 0,
        ),
        check(
            format!("protected sessions that matched were spared: {}", names.join(", ")),
            names.len() >= 5,
        ),
        check(
            format!(
                "the database received {} statements: {background} for background processes, {protected} for protected accounts",
                kills.len()
            ),
            !kills.is_empty() && background == 0 && protected == 0,
        ),
    ]
}

fn checks_of_the_records(seen: &Seen, metrics: &str, folder: &Path, ended: bool) -> Vec<DemoCheck> {
    let outcomes = |outcome: Outcome| seen.outcomes.get(&outcome).copied().unwrap_or(0);
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
    let intents = journal
        .lines()
        .filter(|line| line.contains("\"kind\":\"intent\""))
        .count();
    let sent = outcomes(Outcome::Done) + outcomes(Outcome::Marked);
    let all: usize = seen.outcomes.values().sum();
    let assumed = outcomes(Outcome::Assumed);
    let counted = |line: &str| {
        line.starts_with("orareaper_actions_total{") && line.contains("mode=\"enforce\"") && !line.ends_with(" 0")
    };
    vec![
        check(
            format!(
                "the journal has {intents} intents: {sent} statements, {assumed} dry-run actions, {} for which nothing was sent after all",
                all.saturating_sub(sent + assumed)
            ),
            sent > 0 && intents == all,
        ),
        check("/metrics counted the kills".into(), metrics.lines().any(counted)),
        check(
            "there was no problem, and the daemon stopped cleanly".into(),
            seen.troubles.is_empty() && ended,
        ),
    ]
}

/// Accounts of the scenario that no policy of the demo may touch.
fn is_protected(username: &str) -> bool {
    matches!(
        username,
        "SYS" | "SYSTEM" | "PUBLIC" | "DBSNMP" | "REAPER" | "RMAN" | "RCVCAT" | "GGADMIN"
    )
}
