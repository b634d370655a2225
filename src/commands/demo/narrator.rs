//! Prints what the daemon reads and does, as it happens.
//!
//! Every line comes from a cycle or an outcome: the narrator decides nothing and has no script. Repetitions are printed once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::actuator::statement;
use crate::daemon::database::{CycleView, Watcher};
use crate::daemon::pause::Pause;
use crate::daemon::standby::ConnectionState;
use crate::decide::clocks::ClockStep;
use crate::decide::cycle::Done;
use crate::decide::guard::Decision;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::reason::{Obstacle, Refusal, Verdict, Why};
use crate::decide::used_again::{Afterwards, RehearsalTally};
use crate::decide::verify::Proof;
use crate::oracle::Error;
use crate::policy::model::Protection;
use crate::quantity::Elapsed;
use crate::report::ReportFormat;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::terminal::visible::visible;

/// The policy whose limit is too short.
pub(crate) const IMPATIENT: &str = "impatient-with-pools";

/// What has happened so far, for the checks at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) cycles: usize,
    pub(crate) sessions: usize,
    pub(crate) instances: usize,
    pub(crate) warrants: usize,
    pub(crate) outcomes: BTreeMap<Outcome, usize>,
    pub(crate) proofs: BTreeMap<Proof, usize>,
    pub(crate) protections: BTreeSet<Protection>,
    pub(crate) deferred: usize,
    pub(crate) breakers: BTreeSet<String>,
    pub(crate) acted_by: BTreeMap<String, usize>,
    pub(crate) rehearsed: BTreeSet<SessionKey>,
    /// What became of the sessions that the policy with the short limit would have ended.
    pub(crate) impatient: RehearsalTally,
    pub(crate) troubles: Vec<String>,
    /// The first cycle's decisions as a dry run would report them, HTML and JSON.
    pub(crate) report: Option<(String, String)>,
}

impl Seen {
    /// Whether every warrant has an outcome.
    pub(crate) fn is_settled(&self) -> bool {
        self.warrants == self.outcomes.values().sum::<usize>()
    }
}

/// Shared between the narrator and the command.
pub(crate) type SharedSeen = Arc<Mutex<Seen>>;

/// The style of lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink {
    pub(crate) colour: bool,
}

impl Ink {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }
}

/// Prints a line. A failure is ignored: standard output is closed.
pub(crate) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A watcher that prints what happens and passes everything on.
pub(crate) struct Narrator {
    inner: Box<dyn Watcher>,
    seen: SharedSeen,
    ink: Ink,
    names: BTreeMap<SessionKey, String>,
    told: BTreeSet<String>,
}

impl Narrator {
    pub(crate) fn new(inner: Box<dyn Watcher>, seen: SharedSeen, ink: Ink) -> Narrator {
        Narrator {
            inner,
            seen,
            ink,
            names: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    fn seen(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Prints a line, once per key.
    fn tell_once(&mut self, key: String, line: &str) {
        if self.told.insert(key) {
            tell(line);
        }
    }

    fn name(&self, key: SessionKey) -> String {
        let who = self.names.get(&key).map_or("", String::as_str);
        format!("{:<16} {who}", key.to_string())
    }

    fn snapshot(&mut self, view: &CycleView<'_>) {
        let snapshot = &view.polled.snapshot;
        let user = count(snapshot, Column::Type, "USER");
        let active = count(snapshot, Column::Status, "ACTIVE");
        let complete = snapshot.instances().iter().filter(|instance| instance.complete).count();
        self.seen(|seen| {
            seen.cycles += 1;
            seen.sessions = seen.sessions.max(snapshot.rows());
            seen.instances = seen.instances.max(complete);
        });
        if !self.told.insert("snapshot".into()) {
            return;
        }
        let names: Vec<&str> = snapshot
            .instances()
            .iter()
            .map(|instance| instance.name.as_str())
            .collect();
        tell(&format!(
            "{}  {} {} sessions on {}: {user} user, {} background, {active} active; read in {}, {} round trips",
            clock(view),
            self.ink.bold("snapshot"),
            snapshot.rows(),
            names.join(", "),
            snapshot.rows() - user,
            Elapsed(view.polled.took),
            view.polled.round_trips,
        ));
    }

    fn policies(&mut self, view: &CycleView<'_>) {
        for in_force in view.in_force {
            let policy = &view.rules.set().policies[in_force.index()];
            let of_policy = |decision: &&Decision| decision.policy == in_force.index();
            let decisions: Vec<&Decision> = view.cycle.ruling.decisions.iter().filter(of_policy).collect();
            let acts = decisions
                .iter()
                .filter(|decision| decision.verdict() == Verdict::Act)
                .count();
            if acts > 0 || self.told.insert(format!("policy {}", policy.name)) {
                let words = self.words(&decisions);
                let mode = match in_force.mode() {
                    RunMode::Enforce => self.ink.bold("enforce"),
                    RunMode::DryRun => self.ink.yellow("dry run"),
                };
                tell(&format!(
                    "{}  policy {} ({mode}): {words}",
                    clock(view),
                    self.ink.bold(&policy.name)
                ));
            }
            for decision in decisions {
                self.decision(view, &policy.name, decision);
            }
        }
    }

    fn words(&self, decisions: &[&Decision]) -> String {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for decision in decisions {
            *counts.entry(decision.verdict().name()).or_insert(0) += 1;
        }
        let words: Vec<String> = ["act", "pending", "deferred", "refused", "protected", "exempt"]
            .iter()
            .filter_map(|name| counts.get(name).map(|count| format!("{count} {name}")))
            .collect();
        if words.is_empty() {
            "selects no session".into()
        } else {
            format!("selects {}: {}", decisions.len(), words.join(", "))
        }
    }

    fn decision(&mut self, view: &CycleView<'_>, policy: &str, decision: &Decision) {
        let snapshot = &view.polled.snapshot;
        let Some(key) = snapshot.key(decision.row) else { return };
        let who = who(snapshot, decision.row);
        let reason = decision.reason(view.rules.set(), snapshot);
        let reason = visible(&reason).into_owned();
        let session = format!("{:<16} {who}", key.to_string());
        match decision.verdict() {
            Verdict::Act => {
                let action = decision.action;
                let sql_id = snapshot.text(decision.row, Column::SqlId);
                tell(&format!("            {} {session}", self.ink.red("act      ")));
                tell(&format!(
                    "                      {}",
                    self.ink.dim(&format!("because {reason}"))
                ));
                if let Ok(statement) = statement(action, key, sql_id, key.inst_id) {
                    tell(&format!("                      {}", self.ink.dim(&statement)));
                }
                self.names.insert(key, who);
            }
            Verdict::Protected(protection) => {
                self.seen(|seen| {
                    seen.protections.insert(protection);
                });
                let line = format!("            {} {session}: {reason}", self.ink.green("spared   "));
                self.tell_once(format!("spared {policy} {protection}"), &line);
            }
            Verdict::Exempt | Verdict::Pending => {
                let line = format!(
                    "            {} {session}: {reason}",
                    self.ink.yellow(&format!("{:<9}", decision.verdict().name()))
                );
                self.tell_once(format!("{} {policy}", decision.verdict().name()), &line);
            }
            Verdict::Deferred => {
                self.seen(|seen| seen.deferred += 1);
                // Floors differ only in their numbers.
                let kind = match &decision.why {
                    Why::Deferred(Obstacle::Floor(_)) => "keep".to_owned(),
                    Why::Deferred(_) | Why::Refused(_) | Why::Standing(_) => reason.clone(),
                };
                let line = format!("            {} {session}: {reason}", self.ink.yellow("deferred "));
                self.tell_once(format!("deferred {policy} {kind}"), &line);
            }
            Verdict::Refused if matches!(decision.why, Why::Refused(Refusal::Suspended(_))) => {
                let line = format!("            {} {session}: {reason}", self.ink.red("refused  "));
                self.tell_once(format!("suspended {policy}"), &line);
            }
            Verdict::Refused => {
                self.seen(|seen| {
                    seen.breakers.insert(policy.to_owned());
                });
                let line = format!("            {} the whole plan: {reason}", self.ink.red("refused  "));
                self.tell_once(format!("refused {policy}"), &line);
            }
        }
    }

    /// Sessions that a dry run would have ended and that their clients used again.
    fn rehearsals(&mut self, view: &CycleView<'_>) {
        let all = view.memory.rehearsals.of(IMPATIENT).all;
        self.seen(|seen| seen.impatient = all);
        for aftermath in &view.cycle.aftermaths {
            match aftermath.afterwards {
                Afterwards::UsedAgain | Afterwards::Validated => tell(&format!(
                    "{}  {}  {}, {} after the dry run of {} would have ended it",
                    clock(view),
                    self.ink.red("used again"),
                    self.name(aftermath.key),
                    crate::quantity::Span(aftermath.after.num_seconds()),
                    aftermath.policy
                )),
                Afterwards::Ended | Afterwards::Lost => {}
            }
        }
    }

    fn verifications(&mut self, view: &CycleView<'_>) {
        for verification in &view.cycle.verified {
            self.seen(|seen| *seen.proofs.entry(verification.proof).or_insert(0) += 1);
            if verification.followed.mode == RunMode::DryRun {
                continue;
            }
            let after = (view.now - verification.followed.since).num_seconds();
            let session = self.name(verification.key);
            let told = match verification.proof {
                Proof::Gone => self.ink.green("is gone  "),
                Proof::ResourcesFreed => self.ink.green("is ended "),
                Proof::Cancelled => self.ink.green("cancelled"),
                Proof::Lingers => self.ink.yellow("LINGERS  "),
                Proof::DeadlinePassed => self.ink.red("gave up  "),
                Proof::NotSent => self.ink.yellow("NOT SENT "),
            };
            let after = crate::quantity::Span(after);
            tell(&format!(
                "{}  {told}   {session}, {after} after {}",
                clock(view),
                verification.followed.action
            ));
        }
    }
}

/// HH:MM:SS of the database's clock.
fn clock(view: &CycleView<'_>) -> String {
    view.now.format("%H:%M:%S").to_string()
}

fn count(snapshot: &Snapshot, column: Column, word: &str) -> usize {
    (0..snapshot.rows())
        .filter(|row| snapshot.text(*row, column) == Some(word))
        .count()
}

/// USERNAME, PROGRAM and MACHINE, with control characters escaped.
fn who(snapshot: &Snapshot, row: usize) -> String {
    let text = |column| visible(snapshot.text(row, column).unwrap_or("-")).into_owned();
    format!(
        "{} ({} on {})",
        text(Column::Username),
        text(Column::Program),
        text(Column::Machine)
    )
}

impl Watcher for Narrator {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.inner.cycle(view);
        self.seen(|seen| seen.warrants += view.cycle.ruling.warrants.len());
        self.snapshot(view);
        self.verifications(view);
        self.rehearsals(view);
        self.policies(view);
        if self.told.insert("report".into()) {
            let report = crate::daemon::reports::of(view, RunMode::DryRun);
            let (html, json) = (report.render(ReportFormat::Html), report.render(ReportFormat::Json));
            self.seen(|seen| seen.report = Some((html, json)));
        }
    }

    fn unreadable(&mut self, database: &str, error: &Error, again_in: Option<Duration>) {
        self.inner.unreadable(database, error, again_in);
        self.seen(|seen| seen.troubles.push(error.to_string()));
        tell(&format!("          {} {error}", self.ink.red("unreadable")));
    }

    fn hangs(&mut self, database: &str, error: &Error) {
        self.inner.hangs(database, error);
        self.seen(|seen| seen.troubles.push(error.to_string()));
        tell(&format!("          {} {error}", self.ink.red("unreadable")));
    }

    fn stepped(&mut self, database: &str, step: ClockStep) {
        self.inner.stepped(database, step);
    }

    fn unsupported(&mut self, database: &str, policy: &str, why: &str) {
        self.inner.unsupported(database, policy, why);
        self.seen(|seen| seen.troubles.push(format!("{policy}: {why}")));
    }

    fn done(&mut self, database: &str, done: &Done) {
        self.inner.done(database, done);
        self.seen(|seen| {
            *seen.outcomes.entry(done.outcome).or_insert(0) += 1;
            *seen.acted_by.entry(done.policy.to_string()).or_insert(0) += 1;
            if done.outcome == Outcome::Assumed {
                seen.rehearsed.insert(done.key);
            }
        });
        let said = match done.outcome {
            Outcome::Done => "Oracle carried it out".to_owned(),
            Outcome::Marked => "Oracle marked it for kill; orareaper follows it until it is gone".to_owned(),
            Outcome::Assumed => "dry run: nothing was sent".to_owned(),
            Outcome::AlreadyGone => "it was already gone".to_owned(),
            other @ (Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Unknown
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Reported) => other.name().to_owned(),
        };
        tell(&format!(
            "          {} {}: {said}",
            self.ink.bold("answered  "),
            self.name(done.key)
        ));
    }

    fn acting_goes_on(&mut self, database: &str) {
        self.inner.acting_goes_on(database);
    }

    fn acting_stopped(&mut self, database: &str, why: &str) {
        self.inner.acting_stopped(database, why);
        self.seen(|seen| seen.troubles.push(why.to_owned()));
    }

    fn acting_failed(&mut self, database: &str, error: &Error) {
        self.inner.acting_failed(database, error);
        self.seen(|seen| seen.troubles.push(error.to_string()));
    }

    fn helper_failed(&mut self, database: &str, error: &Error) {
        self.inner.helper_failed(database, error);
    }

    fn hanging(&mut self, database: &str, connections: usize) {
        self.inner.hanging(database, connections);
    }

    fn standby(&mut self, database: &str, places: &[ConnectionState]) {
        self.inner.standby(database, places);
    }

    fn alive(&mut self, database: &str) {
        self.inner.alive(database);
    }

    fn paused(&mut self) -> Option<Pause> {
        self.inner.paused()
    }
}
