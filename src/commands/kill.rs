//! `kill`: one session ended by hand, through every guard that a policy's kill passes.
//!
//! Only one process at a time may write the journal: the one that holds the state folder. So a running daemon carries out the
//! order: the command sends the order to its control socket, and the daemon's loop for that database checks it against its
//! budgets, its pause and its memory, and acts. If no daemon runs, the command takes the state folder and starts the same
//! loop for this database, without policies, until the order has ended. If the command is killed, the next daemon follows the
//! session. The command releases the folder while it waits for the operator's answer, and then looks for a daemon again.
//!
//! An unarmed database refuses orders too: `armed: false` promises that this program sends it no statement.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cli::{ExitStatus, KillArgs};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::commands::pause::{may_write, one_meant, who};
use crate::commands::run::{GRACE, Signals};
use crate::commands::{fail, load_config, load_policies, say, terminal_style, warn, write};
use crate::config::Config;
use crate::daemon::control::{Claim, attend, order};
use crate::daemon::operator::{KillRequest, Named, OrderStep, WholeKey, kept};
use crate::daemon::service::DaemonService;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::policy::model::PolicySet;
use crate::quantity::Elapsed;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::did_you_mean;

/// How long to wait until the database has shown the session.
const SHOWN_WITHIN: Duration = Duration::from_secs(120);

/// How long to wait from the confirmation to the order's turn, and from there to the answer: a plain KILL may wait a minute for its
/// session.
const STEP_WITHIN: Duration = Duration::from_secs(120);

/// A daemon that holds the state folder and does not answer within this time hangs: a starting daemon waits half of this time
/// for its port.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// How often to look for the daemon.
const OFTEN: Duration = Duration::from_millis(100);

/// Runs the command.
pub(crate) fn run(arguments: &KillArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("catch signals: {error}")),
    };
    match arguments.reason.as_deref().map(|reason| kept("--reason", reason)) {
        Some(Ok(reason)) if reason.is_empty() => {
            return fail("--reason is empty; say why the session is ended: the journal keeps it");
        }
        Some(Err(why)) => return fail(&format!("{why}. Nothing was done")),
        Some(Ok(_)) | None => {}
    }
    let name = arguments.session;
    let (Some(serial), Some(inst_id)) = (name.serial, name.inst_id) else {
        return fail(&format!(
            "kill {name}: name the session in full, 'SID,SERIAL#,@INST', as `orareaper sessions` shows it: a part of it can be another \
             session by now. Nothing was done"
        ));
    };
    let session = Named {
        sid: name.sid,
        serial,
        inst_id,
    };
    let killing = Killing {
        arguments,
        config,
        session,
        signals: &signals,
        clock,
    };
    killing.run().unwrap_or_else(|status| status)
}

/// Who carries the order out.
enum WhoActs {
    /// The daemon behind this socket.
    Daemon(PathBuf),
    /// This process.
    Own(Box<DaemonService>, Claim),
}

impl WhoActs {
    fn ask(
        &self,
        database: Option<&str>,
        request: KillRequest,
        each: impl FnMut(&OrderStep) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            WhoActs::Daemon(socket) => order(socket, database, request, each),
            WhoActs::Own(service, _) => attend(service.directory(), database, request, each),
        }
    }

    /// Releases the state folder. An error means that a thread did not end properly.
    fn close(self) -> Result<(), ExitStatus> {
        match self {
            WhoActs::Daemon(_) => Ok(()),
            WhoActs::Own(service, claim) => {
                let ended = service.stop("the order has ended", GRACE);
                claim.give_back();
                let why = "the journal or a connection did not end in time or ended with an error; see the log";
                ended.then_some(()).ok_or_else(|| fail(why))
            }
        }
    }
}

/// Leaves one database in the configuration.
fn only(config: &mut Config, name: Option<&str>) -> Result<(), ExitStatus> {
    let names: Vec<String> = config
        .databases
        .iter()
        .map(|database| database.name.to_string())
        .collect();
    match name {
        Some(name) => config.databases.retain(|database| *database.name == *name),
        None if names.len() > 1 => {
            let names = names.join(", ");
            return Err(fail(&format!(
                "several databases are configured; choose one with --database: {names}"
            )));
        }
        None => {}
    }
    if config.databases.is_empty() {
        let name = name.unwrap_or_default();
        let hint = did_you_mean(name, names.iter().map(String::as_str));
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        return Err(fail(&format!("the configuration has no database {name}{hint}")));
    }
    Ok(())
}

/// Why this process has not taken the state folder.
enum TakeError {
    /// Another process has it.
    InUse(String),
    /// Anything else, which was reported.
    Told(ExitStatus),
}

impl From<ExitStatus> for TakeError {
    fn from(status: ExitStatus) -> TakeError {
        TakeError::Told(status)
    }
}

struct Killing<'a> {
    arguments: &'a KillArgs,
    config: &'a Path,
    session: Named,
    signals: &'a Signals,
    clock: SystemClock,
}

/// A session as it was shown.
struct Shown {
    database: String,
    key: WholeKey,
}

impl Killing<'_> {
    fn run(&self) -> Result<ExitStatus, ExitStatus> {
        let way = self.find(None)?;
        let shown = match self.show(&way) {
            Ok(shown) => shown,
            Err(status) => return way.close().and(Err(status)),
        };
        let (way, reason) = if let (true, Some(reason)) = (self.arguments.yes, &self.arguments.reason) {
            (way, reason.clone())
        } else {
            // The operator may take long to answer, so the folder is released: a daemon that starts meanwhile gets the order.
            way.close()?;
            let reason = self.confirmed()?;
            let way = self.find(Some(&shown.database));
            (way.inspect_err(|_| say("nothing was done"))?, reason)
        };
        let ended = self.end(&way, &shown, reason);
        way.close()?;
        ended
    }

    /// The daemon of the state folder; this process if none runs.
    fn find(&self, database: Option<&str>) -> Result<WhoActs, ExitStatus> {
        let began = self.clock.now();
        let mut is_told = false;
        loop {
            match one_meant(self.config, self.arguments.state.as_deref())? {
                Some(socket) => return Ok(WhoActs::Daemon(socket)),
                None => match self.take(database.or(self.arguments.database.as_deref())) {
                    Ok(way) => return Ok(way),
                    Err(TakeError::InUse(why)) => {
                        // A daemon that starts takes the folder before it can answer.
                        if self.within(began, ANSWERS_WITHIN).is_err() {
                            return Err(fail(&format!("{why}, and does not answer")));
                        }
                        if !std::mem::replace(&mut is_told, true) {
                            say(&format!("waiting: {why}, and does not answer yet"));
                        }
                        std::thread::sleep(OFTEN);
                    }
                    Err(TakeError::Told(status)) => return Err(status),
                },
            }
        }
    }

    /// Takes the state folder and starts what the order needs.
    fn take(&self, database: Option<&str>) -> Result<WhoActs, TakeError> {
        let (arguments, path) = (self.arguments, self.config);
        may_write(path, arguments.state.as_deref()).map_err(|why| TakeError::Told(fail(&why)))?;
        let mut config = load_config(path)?;
        if let Some(state) = &arguments.state {
            config.state.clone_from(state);
        }
        if !config.state.is_dir() {
            return Err(TakeError::Told(fail(&format!(
                "no daemon answers, and there is no state folder {}; name it with --state, or make it: the journal is written there",
                config.state.display()
            ))));
        }
        let set = load_policies(&config.policies, self.clock.today(config.timezone), config.timezone)?;
        only(&mut config, database)?;
        let exemptions = PolicySet {
            policies: Vec::new(),
            ..PolicySet::clone(&set)
        };
        // A daemon that does not answer holds the folder, and the error names it.
        let claim = Claim::take(&config.state).map_err(|error| {
            if error.kind() == io::ErrorKind::AddrInUse {
                TakeError::InUse(error.to_string())
            } else {
                TakeError::Told(fail(&error.to_string()))
            }
        })?;
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let service = DaemonService::start_for_orders(&config, &Arc::new(exemptions), &clock)
            .map_err(|error| fail(&error.to_string()))?;
        Ok(WhoActs::Own(Box::new(service), claim))
    }

    fn within(&self, began: Monotonic, limit: Duration) -> io::Result<()> {
        if self.signals.stop() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        if self.clock.now().since(began) > limit {
            let error = format!("no answer within {}", Elapsed(limit));
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        Ok(())
    }

    /// Shows the session; an error ends the command.
    fn show(&self, way: &WhoActs) -> Result<Shown, ExitStatus> {
        let style = terminal_style();
        let name = self.arguments.session;
        let request = KillRequest::Show {
            session: self.session,
            action: self.arguments.action.name().to_owned(),
            width: style.width,
            colour: style.colour,
        };
        let began = self.clock.now();
        let mut last = None;
        let asked = way.ask(self.arguments.database.as_deref(), request, |told| {
            last = Some(told.clone());
            self.within(began, SHOWN_WITHIN)
        });
        if let Err(error) = asked {
            return Err(fail(&format!("show session {name}: {error}")));
        }
        match last {
            Some(OrderStep::Shown {
                database,
                key,
                text,
                refusals,
            }) => {
                write(text.as_bytes())?;
                if refusals.is_empty() {
                    Ok(Shown { database, key })
                } else {
                    Err(refused(&refusals))
                }
            }
            Some(OrderStep::Refused(why)) => Err(refused(&why)),
            Some(OrderStep::Failed(why)) => Err(fail(&format!("show session {name}: {}", visible(&why)))),
            Some(
                OrderStep::Waits(_)
                | OrderStep::Begins
                | OrderStep::Ended { .. }
                | OrderStep::Seen { .. }
                | OrderStep::Gone
                | OrderStep::Beat,
            )
            | None => Err(fail(&format!(
                "show session {name}: the daemon has a different version"
            ))),
        }
    }

    /// The reason, once the operator has confirmed.
    fn confirmed(&self) -> Result<String, ExitStatus> {
        if !io::stdin().is_terminal() {
            return Err(fail(
                "there is no terminal to ask on; confirm with --yes --reason \"...\". Nothing was done",
            ));
        }
        let reason = match &self.arguments.reason {
            Some(reason) => reason.clone(),
            None => self.prompt("reason, for the journal: ")?,
        };
        kept("the reason", &reason).map_err(|why| fail(&format!("{why}. Nothing was done")))?;
        let action = self.arguments.action;
        let answer = if reason.is_empty() {
            String::new()
        } else {
            self.prompt(&format!("{action} this session? Type yes to confirm: "))?
        };
        if answer == "yes" {
            Ok(reason)
        } else {
            warn("not confirmed: nothing was done");
            Err(ExitStatus::Findings)
        }
    }

    fn prompt(&self, text: &str) -> Result<String, ExitStatus> {
        let mut err = io::stderr().lock();
        // If the prompt cannot be written, the answer will show it.
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        drop(err);
        let mut line = String::new();
        let read = self.answered().and_then(|()| io::stdin().lock().read_line(&mut line));
        match read {
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                warn("\ninterrupted: nothing was done");
                Err(ExitStatus::Findings)
            }
            Err(error) => Err(fail(&format!("read the answer: {error}; nothing was done"))),
        }
    }

    /// Waits for a line on the terminal. A read by itself would begin again after each signal.
    fn answered(&self) -> io::Result<()> {
        let often = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        let stdin = io::stdin();
        while !self.signals.stop() {
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&often)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"))
    }

    /// Orders the end of the session and follows it until it is gone.
    fn end(&self, way: &WhoActs, shown: &Shown, reason: String) -> Result<ExitStatus, ExitStatus> {
        let request = KillRequest::End {
            key: shown.key,
            action: self.arguments.action.name().to_owned(),
            by: operator(),
            reason,
        };
        let mut since = self.clock.now();
        let mut progress = OrderProgress::default();
        let asked = way.ask(Some(&shown.database), request, |told| {
            let before = (progress.has_begun, progress.followed);
            progress.take(told);
            if before != (progress.has_begun, progress.followed) {
                since = self.clock.now();
            }
            let limit = if progress.followed.is_some() {
                self.arguments.wait
            } else {
                STEP_WITHIN
            };
            self.within(since, limit)
        });
        match (progress.last, asked) {
            (Some(status), _) => Ok(status),
            (None, Ok(())) => Err(fail(
                "the order ended with a result that this version does not know; see `orareaper history`",
            )),
            (None, Err(error)) if progress.followed.is_some() => Err(fail(&progress.left(&error))),
            (None, Err(error)) if progress.has_begun => Err(fail(&format!(
                "{error}; the order had begun, and its result is in the journal: see `orareaper history`"
            ))),
            (None, Err(error)) => Err(fail(&format!(
                "{error}; the order is withdrawn unless it has begun: see `orareaper history`"
            ))),
        }
    }
}

fn refused(why: &[String]) -> ExitStatus {
    for why in why {
        warn(&format!("refused: {}", visible(why)));
    }
    warn("nothing was done");
    ExitStatus::Findings
}

/// The operator's name for the journal: the user of the shell, and under sudo both. What the environment says can be set; the
/// kernel's numbers behind it cannot.
fn operator() -> String {
    let by = who();
    let user = std::env::var("USER")
        .ok()
        .filter(|user| !user.is_empty() && *user != by);
    let named = match (std::env::var_os("SUDO_USER"), user) {
        (Some(_), Some(user)) => format!("{by} as {user}"),
        _ => by,
    };
    let uid = rustix::process::getuid().as_raw();
    match login_uid() {
        Some(login) if login != uid => format!("{named} (uid {uid}, logged in as uid {login})"),
        _ => format!("{named} (uid {uid})"),
    }
}

/// Who logged in, which neither su nor sudo changes (proc(5), loginuid); `None` for nobody, as in a service.
fn login_uid() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// What was reported of an order so far.
#[derive(Default)]
struct OrderProgress {
    has_begun: bool,
    /// The outcome of its statement, while the session is followed.
    followed: Option<Outcome>,
    /// A snapshot has shown the session since.
    is_seen: bool,
    waits_for: Option<String>,
    status: Option<String>,
    /// How it has ended.
    last: Option<ExitStatus>,
}

impl OrderProgress {
    /// What is known where the command ends while the session is followed.
    fn left(&self, error: &io::Error) -> String {
        let shown = if error.kind() == io::ErrorKind::TimedOut && self.is_seen {
            "the session is still there"
        } else {
            "it is not known whether the session is gone"
        };
        let statement = if matches!(self.followed, Some(Outcome::Done | Outcome::Marked)) {
            "the statement was accepted"
        } else {
            "it is not known whether the statement was carried out"
        };
        format!(
            "{shown} ({error}): {statement}; the daemon, or the next one to start, follows the session; see `orareaper history`"
        )
    }

    fn take(&mut self, told: &OrderStep) {
        match told {
            OrderStep::Waits(why) => {
                if self.waits_for.as_deref() != Some(why) {
                    say(&format!("waits: {}", visible(why)));
                    self.waits_for = Some(why.clone());
                }
            }
            OrderStep::Begins => {
                self.has_begun = true;
                say("checks the session again");
            }
            OrderStep::Ended {
                action_id,
                statement,
                outcome,
                message,
            } => self.ended(*action_id, statement.as_deref(), outcome, message.as_deref()),
            OrderStep::Seen { proof: None, status } => {
                self.is_seen = status.is_some();
                if let Some(status) = status.as_ref().filter(|status| self.status.as_ref() != Some(status)) {
                    say(&format!("still there, STATUS {}", visible(status)));
                    self.status = Some(status.clone());
                }
            }
            OrderStep::Seen { proof: Some(proof), .. } => self.seen(proof),
            OrderStep::Refused(why) => self.last = Some(refused(why)),
            OrderStep::Gone => {
                say("the session is gone already: nothing was done");
                self.last = Some(ExitStatus::Fine);
            }
            OrderStep::Failed(why) => self.last = Some(fail(&format!("not done: {}", visible(why)))),
            OrderStep::Shown { .. } | OrderStep::Beat => {}
        }
    }

    fn ended(&mut self, action_id: u64, statement: Option<&str>, outcome: &str, message: Option<&str>) {
        let words = outcome.replace('_', " ");
        let why = message.map_or_else(String::new, |message| format!(": {}", visible(message)));
        if let Some(statement) = statement {
            say(&format!("sent: {}", visible(statement)));
        }
        self.last = match Outcome::named(outcome) {
            Some(followed @ (Outcome::Done | Outcome::Marked | Outcome::Unknown | Outcome::Assumed)) => {
                self.followed = Some(followed);
                None
            }
            Some(Outcome::AlreadyGone) => Some(ExitStatus::Fine),
            Some(
                Outcome::NoLongerMatches | Outcome::Protected | Outcome::Expired | Outcome::Revoked | Outcome::Reported,
            ) => Some(ExitStatus::Findings),
            Some(Outcome::Unchecked | Outcome::Refused | Outcome::Unsupported | Outcome::Failed) | None => {
                Some(ExitStatus::Failed)
            }
        };
        self.report(&format!("action {action_id} in the journal: {words}{why}"));
        if self.last == Some(ExitStatus::Findings) {
            warn("nothing was done");
        }
    }

    /// Tells how it ended, also with `--quiet` if that is not as it was ordered.
    fn report(&self, words: &str) {
        match self.last {
            None | Some(ExitStatus::Fine) => say(words),
            Some(ExitStatus::Findings | ExitStatus::Failed) => warn(words),
        }
    }

    fn seen(&mut self, proof: &str) {
        let (words, status) = match Proof::named(proof) {
            Some(Proof::Gone) => ("the session is gone", Some(ExitStatus::Fine)),
            Some(Proof::ResourcesFreed) => (
                "the session is ended: it holds nothing any more, and its row disappears when its client calls again",
                Some(ExitStatus::Fine),
            ),
            Some(Proof::Cancelled) => ("its statement no longer runs", Some(ExitStatus::Fine)),
            Some(Proof::DeadlinePassed) => (
                "the session is still there, and is no longer followed",
                Some(ExitStatus::Failed),
            ),
            Some(Proof::NotSent) => (
                "the kill was not carried out, although its answer was lost; give the order again",
                Some(ExitStatus::Failed),
            ),
            Some(Proof::Lingers) => {
                self.is_seen = true;
                ("the session lingers: it may be rolling back", None)
            }
            None => ("the daemon has a different version; see `orareaper history`", None),
        };
        self.last = status;
        self.report(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_has_its_exit_status() {
        let ends = |told: &[OrderStep]| {
            let mut progress = OrderProgress::default();
            told.iter().for_each(|told| progress.take(told));
            progress.last
        };
        let ended = |outcome: Outcome| OrderStep::Ended {
            action_id: 1,
            statement: None,
            outcome: outcome.name().to_owned(),
            message: None,
        };
        let seen = |proof: Proof| OrderStep::Seen {
            proof: Some(proof.name().to_owned()),
            status: None,
        };
        for outcome in Outcome::ALL {
            let told = ended(outcome);
            assert_eq!(ends(std::slice::from_ref(&told)).is_some(), told.is_last(), "{outcome}");
        }
        for proof in Proof::ALL {
            let told = [ended(Outcome::Done), seen(proof)];
            assert_eq!(ends(&told).is_some(), told[1].is_last(), "{}", proof.name());
        }
        assert_eq!(ends(&[ended(Outcome::Done), seen(Proof::Gone)]), Some(ExitStatus::Fine));
        assert_eq!(ends(&[ended(Outcome::Protected)]), Some(ExitStatus::Findings));
        assert_eq!(ends(&[ended(Outcome::Failed)]), Some(ExitStatus::Failed));
        assert_eq!(
            ends(&[OrderStep::Waits("a".into()), OrderStep::Gone]),
            Some(ExitStatus::Fine)
        );
    }

    #[test]
    fn only_what_is_known_is_said_of_a_session_that_is_followed_no_longer() {
        let left = |outcome: Outcome, status: Option<&str>| {
            let mut progress = OrderProgress::default();
            progress.ended(1, None, outcome.name(), None);
            progress.take(&OrderStep::Seen {
                proof: None,
                status: status.map(str::to_owned),
            });
            progress.left(&io::Error::new(io::ErrorKind::TimedOut, "no answer within 2s"))
        };
        for outcome in [Outcome::Done, Outcome::Marked, Outcome::Unknown] {
            let said = left(outcome, Some("ACTIVE"));
            let accepted = outcome != Outcome::Unknown;
            assert!(
                said.starts_with("the session is still there (no answer within 2s): "),
                "{said}"
            );
            assert_eq!(said.contains("the statement was accepted"), accepted, "{said}");
            let unknown = "it is not known whether the statement was carried out";
            assert_eq!(said.contains(unknown), !accepted, "{said}");
        }
        let said = left(Outcome::Done, None);
        assert!(
            said.starts_with("it is not known whether the session is gone"),
            "{said}"
        );
    }
}
