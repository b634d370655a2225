//! Between the daemon and its journal and log: what the daemon decides and writes down is shown to the judge, and passed on.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use orareaper::actuator::carry_out::{Answered, Intending, StepRecorder};
use orareaper::daemon::database::{CycleView, Watcher};
use orareaper::daemon::pause::{Pause, Switch};
use orareaper::daemon::standby::ConnectionState;
use orareaper::daemon::watcher::{Clerk, EventWatcher};
use orareaper::decide::cycle::Done;
use orareaper::decide::in_force::RunMode;
use orareaper::decide::outcome::Outcome;
use orareaper::decide::verify::Proof;
use orareaper::journal;
use orareaper::oracle::Error;
use orareaper::policy::model::Action;
use orareaper::session::SessionKey;
use orareaper::session::snapshot::Snapshot;

use super::base::Key;
use super::judge::Rank;
use super::memory::{Begun, LostIntent, Told};
use super::operators::{BY_HAND, ordered_by};
use super::part::{Part, key_of};
use super::rules::Rule;
use super::stage::{Stage, Who};

/// Holds what the daemon says against the truth, and passes it on to the daemon's own watcher.
pub(crate) struct Spy {
    pub(crate) inner: EventWatcher,
    pub(crate) stage: Weak<Stage>,
    pub(crate) entry: usize,
    pub(crate) switch: Arc<Switch>,
}

impl Spy {
    fn judge(&self, view: &CycleView<'_>) {
        let stage = self.stage.upgrade().expect("the run goes on");
        let bases = stage.bases();
        let mut judge = stage.judge();
        let judge = &mut *judge;
        let entry = judge.entries[self.entry].as_ref().expect("it is configured");
        let base = &bases[entry.base];
        for verification in view.cycle.verified.iter().filter(|it| it.proof == Proof::Gone) {
            let key = key_of(verification.key);
            assert!(base.find(key).is_none(), "{key:?} is said to be gone");
        }
        // Whoever is not in a complete snapshot is not waited for any longer.
        let snapshot = &view.polled.snapshot;
        for (key, followed) in view.memory.following.iter() {
            let is_gone = snapshot.is_complete(key.inst_id) && snapshot.find(*key).is_none();
            assert!(!is_gone, "{key} is gone and not verified: {followed:?}");
        }
        let beside = judge.budget_beside(self.entry);
        let entry = judge.entries[self.entry].as_ref().expect("it is configured");
        let memory = &mut judge.memory[self.entry];
        memory.shares(beside);
        if judge.paused {
            // None of an earlier cycle, nor of this one, may be acted on any more.
            judge.saw_pause[self.entry] = memory.cycles() + 1;
        }
        let term = entry.leader.and_then(|lock| base.term(lock));
        if term.is_some_and(|term| term.owner == Some(stage.daemon()) && memory.is_first_of(term.began)) {
            memory.leads_anew();
        }
        memory.cycle(self.entry, &entry.rules, entry.poll, &judge.sent);
        if stage.setting.has_leader() {
            memory.stands_by(|key| is_shown_gone(snapshot, key), would_end(view, &entry.rules));
            judge.ranks[self.entry] = rank(view);
        }
        // A first action is also one that was sent before, and nobody knows whether it was carried out.
        let acted = |policy: &str, key: Key| {
            let lies = base.find(key).is_some_and(|session| session.mark.is_some());
            let is_shown = judge.sent.iter().any(|sent| {
                let of_it = sent.policy == policy && sent.key == key && sent.entry == self.entry;
                of_it && (sent.told == Told::Accepted || lies && sent.told.is_followed())
            });
            let is_lost = |lost: &LostIntent| (lost.entry, &*lost.policy, lost.key) == (self.entry, policy, key);
            is_shown || lies && judge.lost.iter().any(is_lost)
        };
        let warrants = view.cycle.ruling.warrants.iter();
        let taken: Vec<(String, Key, bool)> = warrants
            .map(|warrant| {
                assert!(snapshot.is_complete(warrant.key().inst_id), "its instance was not read");
                let (policy, key) = (warrant.policy().name.to_string(), key_of(warrant.key()));
                let first = warrant.mode() == RunMode::Enforce && !acted(&policy, key);
                (policy, key, first)
            })
            .collect();
        memory.gives(taken.iter().map(|(policy, key, _)| (policy.clone(), *key)));
        stage.trace(|| format!("entry {} decides by {:?}: {taken:?}", self.entry, memory.newest()));
        trace_decisions(&stage, view, memory.look());
        if let Err(why) = memory.check_warrants(&entry.rules, entry.limits.share, &taken) {
            panic!("{why}: {entry:?}");
        }
    }
}

fn trace_decisions(stage: &Stage, view: &CycleView<'_>, look: &impl std::fmt::Debug) {
    let snapshot = &view.polled.snapshot;
    stage.trace(|| {
        let own = view.memory.ledger.own();
        let ids: Vec<_> = own.iter().filter_map(|done| done.action_id).collect();
        format!("its own actions: {ids:?}")
    });
    stage.trace(|| {
        let decisions = view.cycle.ruling.decisions.iter();
        let told: Vec<String> = decisions
            .map(|one| {
                format!(
                    "{}: {:?} {:?}",
                    one.policy,
                    snapshot.key(one.row).map(|key| (key.inst_id, key.sid, key.serial)),
                    one.why
                )
            })
            .collect();
        format!("its decisions: {told:?} by {look:?}")
    });
}

/// Whether a snapshot shows that a session is gone, or on its way.
fn is_shown_gone(snapshot: &Snapshot, key: SessionKey) -> bool {
    match snapshot.find(key) {
        Some(row) => snapshot.is_killed(row),
        None => snapshot.shows(key),
    }
}

fn rank(view: &CycleView<'_>) -> Rank {
    Rank {
        leads: view.leads,
        standstill: view.standstill.map(ToString::to_string),
    }
}

/// Whom a daemon shows that it would end, if it did not stand by.
fn would_end(view: &CycleView<'_>, rules: &[Rule]) -> Vec<(String, SessionKey)> {
    if view.leads != Some(false) {
        return Vec::new();
    }
    let decisions = view.cycle.ruling.decisions.iter();
    let would = decisions.filter(|decision| {
        let rule = &rules[decision.policy];
        let ends = !matches!(decision.action, Action::CancelSql | Action::Report);
        rule.enforces && ends && format!("{:?}", decision.why).contains("StandsBy(")
    });
    would
        .filter_map(|decision| {
            let key = view.polled.snapshot.key(decision.row)?;
            Some((rules[decision.policy].name.clone(), key))
        })
        .collect()
}

impl Watcher for Spy {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.judge(view);
        self.inner.cycle(view);
    }

    fn unreadable(&mut self, database: &str, error: &Error, again_in: Option<Duration>) {
        self.inner.unreadable(database, error, again_in);
    }

    fn hangs(&mut self, database: &str, error: &Error) {
        self.inner.hangs(database, error);
    }

    fn stepped(&mut self, database: &str, step: orareaper::decide::clocks::ClockStep) {
        self.inner.stepped(database, step);
    }

    fn unsupported(&mut self, database: &str, policy: &str, why: &str) {
        self.inner.unsupported(database, policy, why);
    }

    fn done(&mut self, database: &str, done: &Done) {
        self.inner.done(database, done);
    }

    fn acting_goes_on(&mut self, database: &str) {
        self.inner.acting_goes_on(database);
    }

    fn acting_stopped(&mut self, database: &str, why: &str) {
        self.inner.acting_stopped(database, why);
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
        // The daemon's own loop is told by a thread that looks all the time.
        self.switch.look();
        self.inner.paused()
    }
}

/// Writes actions down as the daemon does, watched, on a disk that may be full, in a daemon that may crash.
pub(crate) struct Desk<'a> {
    clerk: Clerk,
    stage: &'a Stage,
    who: Who,
    journal: PathBuf,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(stage: &'a Stage, part: &Part, number: usize) -> Desk<'a> {
        Desk {
            clerk: Clerk::new((&part.name, &part.place), stage.sink()),
            stage,
            who: Who::Actor(part.at, number),
            journal: journal::file(stage.state.path(), 0),
        }
    }

    /// The journal's last record, if it is this intent, whole.
    fn on_disk(&self, id: u64) -> Option<String> {
        let text = std::fs::read(&self.journal).expect("a journal");
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(8192)..]).into_owned();
        let wanted = format!("\"id\":{id},");
        let last = tail.lines().last().unwrap_or_default();
        let is_it = tail.ends_with('\n') && last.contains("\"intent\"") && last.contains(&wanted);
        is_it.then(|| last.to_owned())
    }
}

impl StepRecorder for Desk<'_> {
    fn abandon(&mut self, why: &str) -> Vec<Done> {
        self.clerk.abandon(why)
    }

    fn next_id(&mut self) -> u64 {
        self.clerk.next_id()
    }

    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()> {
        self.stage.may_crash(1);
        if !self.stage.is_calm() && self.stage.one_in(60) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.clerk.intend(intending)?;
        let id = intending.action_id;
        let record = self
            .on_disk(id)
            .unwrap_or_else(|| panic!("intent {id} is not on the disk"));
        let warrant = intending.warrant;
        let issued = warrant.issued().timestamp();
        {
            let mut judge = self.stage.judge();
            let (key, policy) = (key_of(warrant.key()), warrant.policy().name.to_string());
            let order = (policy == BY_HAND).then(|| ordered_by(&record));
            let taken = match order {
                Some(order) => judge.takes_order(order, self.who.entry(), key),
                None => judge.memory[self.who.entry()].takes(&policy, key, issued),
            };
            let (cycle, began) = taken.expect("a warrant that a cycle gave");
            // By this the journal tells a record that comes late from a step of a clock.
            let waited = self.stage.now() - began.read;
            assert_eq!(
                intending.waited,
                Duration::from_secs(waited.unsigned_abs()),
                "intent {id}"
            );
            let begun = Begun {
                id,
                key,
                policy,
                order,
                enforces: warrant.mode() == RunMode::Enforce,
                issued,
                asked: began.asked,
                read: began.read,
                cycle,
                sent: false,
                seen: None,
                there: None,
                gauged: None,
            };
            judge.begin(self.who, begun);
        }
        self.stage.trace(|| {
            let (who, key) = (self.who, key_of(warrant.key()));
            format!("{who:?} intends {id} on {key:?} by {}", warrant.policy().name)
        });
        self.stage.may_crash(1);
        Ok(())
    }

    fn answered(&mut self, answered: &Answered<'_>) {
        self.stage.trace(|| {
            let Answered {
                action_id,
                outcome,
                code,
                message,
                ..
            } = answered;
            format!("{:?} had of {action_id}: {outcome}, {code:?}, {message:?}", self.who)
        });
        self.stage.may_crash(1);
        {
            let bases = self.stage.bases();
            let judge = self.stage.judge();
            judge.answered(
                self.who,
                &bases,
                answered.outcome,
                answered.code,
                answered.statement.is_some(),
            );
        }
        self.clerk.answered(answered);
        self.stage.may_crash(1);
    }

    fn unused(&mut self, unused: &Intending<'_>, outcome: Outcome, why: &str) {
        self.clerk.unused(unused, outcome, why);
    }
}
