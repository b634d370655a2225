//! One cycle, the steps in order.
//!
//! The input is a snapshot, the output decisions and warrants; the outcome of each warrant is remembered for later cycles. Nothing
//! here reads a clock, a file or the network: the time is the snapshot's own. So a cycle can be tested as a table, replayed from
//! a recording, and run by `plan` without a daemon, all with the same code.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::clocks::{ClockStep, Clocks, HostTime};
use crate::decide::guard::{Ruling, Warrant, rule};
use crate::decide::hold::{Holds, SnapshotTime};
use crate::decide::in_force::{DatabaseRules, Here, RunMode};
use crate::decide::ledger::{Ledger, LedgerEntry, Reported};
use crate::decide::matches::Matches;
use crate::decide::outcome::{Hindrance, Outcome};
use crate::decide::plan::{Plan, Situation, plan};
use crate::decide::pressure::{Gates, Readings};
use crate::decide::protect::ProtectionFacts;
use crate::decide::rates::Rates;
use crate::decide::refill::{ClientGroup, Ended, Refills, Return};
use crate::decide::standstill::Standstill;
use crate::decide::under_way::{Begun, UnderWay};
use crate::decide::used_again::{Aftermath, CallSigns, Rehearsals, WouldHaveEnded};
use crate::decide::verify::{DEADLINE, FollowState, Followed, Following, Proof, Verification};
use crate::policy::model::{Action, PolicySet};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Source};
use crate::session::snapshot::Snapshot;

/// What one database remembers from cycle to cycle.
#[derive(Debug, Default)]
pub struct Memory {
    /// How long conditions have held.
    pub(crate) holds: Holds,
    /// Which gates are open.
    pub(crate) gates: Gates,
    /// Recent actions.
    pub ledger: Ledger,
    /// Sessions that were acted on and are not known to be gone.
    pub following: Following,
    /// Actions that have no outcome yet.
    pub(crate) under_way: UnderWay,
    /// Sessions that a `report` policy has reported already.
    pub(crate) reported: Reported,
    /// Sessions that were ended recently, and those that came back.
    pub refills: Refills,
    /// Sessions that dry runs would have ended, and what became of them.
    pub rehearsals: Rehearsals,
    /// The clocks at the previous snapshot.
    pub clocks: Clocks,
    /// The counters of the last snapshots; shared with what is read again right before a statement.
    pub(crate) rates: Arc<Rates>,
}

impl Memory {
    /// Compares the clock of a new snapshot with the host's. After a step everything that is remembered is dated anew, so that the
    /// step counts as no time: budgets, suspensions, refusals and followed sessions go on where they were. The caller ends the
    /// holds and permits nothing in this cycle, because nobody knows what else a changed clock means.
    pub(crate) fn reconcile(&mut self, now: DateTime<Utc>, host: HostTime) -> Option<ClockStep> {
        let step = self.clocks.meet(now, host)?;
        self.ledger.shift(step.0);
        self.following.shift(step.0);
        self.refills.shift(step.0);
        self.rehearsals.shift(step.0);
        Some(step)
    }

    /// Adds to a new snapshot the `wanted` columns that need the snapshots before it. `unbroken` says whether the
    /// snapshot before it is near enough.
    pub(crate) fn add_rates(&mut self, snapshot: &mut Snapshot, wanted: Columns, unbroken: bool) {
        if !unbroken {
            self.rates = Arc::default();
        }
        if wanted.needs(Source::Rate) {
            self.rates.add_to(snapshot, wanted);
            self.rates = Arc::new(self.rates.after(snapshot, wanted));
        }
    }

    /// INST_ID and SID of the sessions that the next snapshot has to show, if they are there.
    #[must_use]
    pub(crate) fn watched_seats(&self) -> BTreeSet<(u32, u32)> {
        let acted_on = self.following.watched().chain(self.reported.watched());
        let watched = acted_on.chain(self.rehearsals.watched()).chain(self.refills.watched());
        watched.map(|key| (key.inst_id, key.sid)).collect()
    }

    /// Forgets what a condition or a gate has lasted for. What was done stays.
    pub(crate) fn begin_anew(&mut self) {
        self.holds = Holds::default();
        self.gates = Gates::default();
    }
}

/// The input of one cycle besides the snapshot and the memory.
#[derive(Clone, Copy, Debug)]
pub struct CycleInput<'a> {
    /// The policies, their limits, and the database's calendar day.
    pub rules: &'a DatabaseRules,
    /// The policies that this database runs now, and how.
    pub here: &'a Here,
    /// What the protections need to know.
    pub facts: &'a ProtectionFacts,
    /// The snapshot's time in UTC.
    pub now: DateTime<Utc>,
    /// Whether the previous snapshot is recent enough for holds to continue.
    pub unbroken: bool,
    /// How long the reading took: `now` is the time of its beginning, the rows may be from its end.
    pub read_in: TimeDelta,
    /// Why nothing may be done in this cycle, if so: the snapshot is too old, the daemon is paused.
    pub standstill: Option<&'a Standstill>,
    /// Treat every hold as served: `plan --assume-held`.
    pub assume_held: bool,
}

/// What a cycle found and decided.
#[derive(Debug)]
#[must_use = "it holds the warrants"]
pub struct Cycle {
    /// What became of earlier actions.
    pub verified: Vec<Verification>,
    /// Sessions that came back after one of the same group was ended.
    pub(crate) returns: Vec<Return>,
    /// What became of sessions that a dry run would have ended.
    pub(crate) aftermaths: Vec<Aftermath>,
    /// The candidates.
    pub plan: Plan,
    /// The decisions and warrants.
    pub ruling: Ruling,
}

/// Runs the steps on a complete snapshot.
pub fn cycle(memory: &mut Memory, snapshot: &Snapshot, readings: Readings, input: &CycleInput<'_>) -> Cycle {
    let set = input.rules.set();
    let verified = memory
        .following
        .verify(snapshot, input.now, |followed| patience(set, followed));
    for not_sent in verified.iter().filter(|one| one.proof == Proof::NotSent) {
        memory.refills.forget(not_sent.followed.action_id);
    }
    memory.ledger.settle(input.now);
    memory.reported.keep_only(snapshot);
    let returns = memory.refills.observe(snapshot, input.now);
    let aftermaths = memory.rehearsals.observe(snapshot, input.now, input.unbroken);
    let matches = Matches::of(set, input.here.running(), snapshot);
    let moment = SnapshotTime {
        now: input.now,
        read_in: input.read_in,
        unbroken: input.unbroken,
        passed: memory.clocks.passed_at(input.now),
    };
    memory
        .holds
        .update(snapshot, set, input.here.running(), &matches, moment);
    memory.gates.update(set, input.here.running(), snapshot, readings);
    let situation = Situation {
        rules: input.rules,
        here: input.here,
        facts: input.facts,
        matches: &matches,
        holds: &memory.holds,
        following: &memory.following,
        under_way: &memory.under_way,
        reported: &memory.reported,
        gates: &memory.gates,
        refills: &memory.refills,
        now: input.now,
        assume_held: input.assume_held,
    };
    let plan = plan(snapshot, &situation);
    let ruling = rule(&plan, snapshot, &situation, &memory.ledger, input.standstill);
    Cycle {
        verified,
        returns,
        aftermaths,
        plan,
        ruling,
    }
}

/// Judges an operator's order on the snapshot that the last cycle ran on. `input` are those of [`DatabaseRules::for_order`]. What the
/// database remembers counts, and nothing of it changes: what is done about the order is remembered as any action is.
pub(crate) fn judge(memory: &Memory, snapshot: &Snapshot, input: &CycleInput<'_>) -> Cycle {
    let running = input.here.running();
    let matches = Matches::of(input.rules.set(), running, snapshot);
    let situation = Situation {
        rules: input.rules,
        here: input.here,
        facts: input.facts,
        matches: &matches,
        holds: &Holds::default(),
        following: &memory.following,
        under_way: &memory.under_way,
        reported: &memory.reported,
        gates: &Gates::default(),
        refills: &memory.refills,
        now: input.now,
        assume_held: false,
    };
    let plan = plan(snapshot, &situation);
    let ruling = rule(&plan, snapshot, &situation, &memory.ledger, input.standstill);
    Cycle {
        verified: Vec::new(),
        returns: Vec::new(),
        aftermaths: Vec::new(),
        plan,
        ruling,
    }
}

/// How long a session is followed: until an hour after the last rung of its policy's ladder is due.
fn patience(set: &PolicySet, followed: &Followed) -> TimeDelta {
    let policy = set.policies.iter().find(|policy| policy.name == followed.policy);
    let longest = policy
        .into_iter()
        .flat_map(|policy| policy.escalate.iter().map(|rung| rung.after))
        .max()
        .unwrap_or(0);
    let longest = i64::try_from(longest)
        .ok()
        .and_then(TimeDelta::try_seconds)
        .unwrap_or(TimeDelta::MAX);
    longest.checked_add(&DEADLINE).unwrap_or(TimeDelta::MAX)
}

/// What became of one warrant.
#[derive(Clone, Debug)]
#[must_use = "what was done is remembered"]
pub struct Done {
    /// The journal's number of the action.
    pub(crate) action_id: u64,
    /// The session.
    pub(crate) key: SessionKey,
    /// The session's group.
    pub(crate) who: ClientGroup,
    /// The policy.
    pub(crate) policy: Arc<str>,
    /// The action.
    pub(crate) action: Action,
    /// The mode in which the policy ran.
    pub(crate) mode: RunMode,
    /// The outcome.
    pub(crate) outcome: Outcome,
    /// The time by the database's clock, in UTC.
    pub(crate) at: DateTime<Utc>,
    /// The session's SQL_ID and SQL_EXEC_ID at the re-check, for CANCEL SQL.
    pub(crate) sql_exec: Option<(String, Option<i64>)>,
    /// Whether a statement was sent, whatever its outcome.
    pub(crate) sent: bool,
    /// What prevented it, if it was refused before anything was done.
    pub(crate) hindrance: Option<Hindrance>,
    /// The values that will show the session's next call, as they were in the snapshot behind the action.
    pub(crate) seen: Option<CallSigns<'static>>,
    /// Whether its STATUS was KILLED there.
    pub(crate) was_killed: bool,
}

impl Done {
    /// The outcome of this warrant.
    pub fn of(warrant: &Warrant, action_id: u64, outcome: Outcome, sql_exec: Option<(String, Option<i64>)>) -> Done {
        Done {
            action_id,
            key: warrant.key(),
            who: warrant.who().clone(),
            policy: Arc::clone(&warrant.policy().name),
            action: warrant.action(),
            mode: warrant.mode(),
            outcome,
            at: warrant.issued(),
            sql_exec,
            sent: false,
            hindrance: None,
            seen: None,
            was_killed: false,
        }
    }

    /// With the session as it was in the snapshot behind the warrant.
    #[must_use = "it is the outcome"]
    pub(crate) fn with(self, snapshot: &Snapshot) -> Done {
        let row = snapshot.find(self.key);
        Done {
            seen: row.map(|row| CallSigns::of(snapshot, row, self.at).into_owned()),
            was_killed: row.is_some_and(|row| snapshot.is_killed(row)),
            ..self
        }
    }

    /// Whether it counts against budgets: a statement was or may have been sent, and was not refused before anything was done.
    #[must_use]
    pub(crate) fn takes_budget(&self) -> bool {
        (self.outcome.counts() || self.sent) && self.hindrance.is_none()
    }

    /// Whether it is known what the database answered.
    pub(crate) fn is_accepted(&self) -> bool {
        self.outcome != Outcome::Unknown
    }

    /// The session as it is followed from now on.
    pub(crate) fn followed(self, state: FollowState) -> Followed {
        let accepted = self.is_accepted();
        Followed {
            action_id: self.action_id,
            policy: self.policy,
            action: self.action,
            mode: self.mode,
            since: self.at,
            sql_exec: self.sql_exec,
            accepted,
            certain: accepted,
            was_killed: self.was_killed,
            state,
        }
    }

    /// The action under way that it ends.
    #[must_use]
    pub(crate) fn begun(&self) -> Begun {
        Begun {
            key: self.key,
            policy: Arc::clone(&self.policy),
            action: self.action,
            mode: self.mode,
        }
    }

    /// The outcome of a warrant without a re-check: the session's SQL is taken from the snapshot.
    pub fn seen_in(snapshot: &Snapshot, warrant: &Warrant, action_id: u64, outcome: Outcome) -> Done {
        let sql_exec = snapshot.find(warrant.key()).and_then(|row| {
            Some((
                snapshot.text(row, Column::SqlId)?.to_owned(),
                snapshot.number(row, Column::SqlExecId),
            ))
        });
        Done::of(warrant, action_id, outcome, sql_exec).with(snapshot)
    }

    /// The session, if a dry run would have ended it.
    #[must_use]
    pub(crate) fn would_have_ended(&self) -> Option<WouldHaveEnded> {
        let would = self.mode == RunMode::DryRun && self.outcome == Outcome::Assumed && self.action.ends_session();
        would.then(|| WouldHaveEnded {
            action_id: self.action_id,
            policy: Arc::clone(&self.policy),
            key: self.key,
            who: self.who.clone(),
            at: self.at,
            seen: self.seen.clone(),
        })
    }
}

/// Remembers an action: it counts against the budgets if a statement was or may have been sent, unless that was refused before
/// anything was done, and the session is followed until it is known to be gone.
pub fn remember(memory: &mut Memory, done: Done) {
    if done.action == Action::Report {
        if done.outcome == Outcome::Reported {
            memory.reported.insert(&done.policy, done.key);
        }
        return;
    }
    // What prevents an action on every session says nothing about this one, which may be tried when that is over.
    if done.mode == RunMode::Enforce && !matches!(done.hindrance, Some(Hindrance::Database(_))) {
        memory.following.attempted(done.key, done.outcome, done.at, done.sent);
    }
    if done.outcome.is_spared() {
        memory.following.spared(&done.policy, done.mode, done.key, done.at);
    }
    if !done.takes_budget() {
        memory.ledger.withdraw(done.action_id);
        return;
    }
    if let Some(one) = done.would_have_ended() {
        memory.rehearsals.begin(one);
    }
    if done.mode == RunMode::Enforce {
        memory.rehearsals.taken(done.key);
    }
    memory.ledger.enter(LedgerEntry {
        at: done.at,
        policy: Arc::clone(&done.policy),
        mode: done.mode,
        action_id: Some(done.action_id),
    });
    if done.outcome.is_followed() && done.action.ends_session() {
        memory.refills.ended(Ended {
            action_id: done.action_id,
            policy: Arc::clone(&done.policy),
            mode: done.mode,
            key: done.key,
            who: done.who.clone(),
            at: done.at,
        });
    }
    // An assumption of a dry run never replaces a real action.
    let real = memory
        .following
        .get(done.key)
        .is_some_and(|followed| followed.mode == RunMode::Enforce);
    if done.outcome.is_followed() && !(real && done.mode == RunMode::DryRun) {
        memory.following.follow(done.key, done.followed(FollowState::Waiting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{Check, Id, State};
    use crate::policy::model::KillClause;
    use crate::session::time::DbTime;

    #[test]
    fn a_dry_run_never_takes_the_place_of_what_was_really_done() {
        let key = SessionKey {
            inst_id: 1,
            sid: 10,
            serial: 7,
            logon_time: DbTime(0),
        };
        let done = |mode, outcome| Done {
            action_id: 1,
            key,
            who: ClientGroup::default(),
            policy: "idle".into(),
            action: Action::Kill {
                clause: KillClause::Plain,
            },
            mode,
            outcome,
            at: DateTime::UNIX_EPOCH,
            sql_exec: None,
            sent: false,
            hindrance: None,
            seen: None,
            was_killed: false,
        };
        let mut memory = Memory::default();
        remember(&mut memory, done(RunMode::DryRun, Outcome::Assumed));
        remember(&mut memory, done(RunMode::Enforce, Outcome::Marked));
        remember(&mut memory, done(RunMode::DryRun, Outcome::Assumed));
        let followed = memory.following.get(key).expect("it is followed");
        assert_eq!(followed.mode, RunMode::Enforce);
    }

    #[test]
    fn a_statement_that_was_sent_takes_its_budget_whatever_came_of_it() {
        let remembered = |outcome, sent, hindrance| {
            let mut memory = Memory::default();
            let done = Done {
                action_id: 1,
                key: SessionKey {
                    inst_id: 1,
                    sid: 10,
                    serial: 7,
                    logon_time: DbTime(0),
                },
                who: ClientGroup::default(),
                policy: "idle".into(),
                action: Action::CancelSql,
                mode: RunMode::Enforce,
                outcome,
                at: DateTime::UNIX_EPOCH,
                sql_exec: None,
                sent,
                hindrance,
                seen: None,
                was_killed: false,
            };
            let key = done.key;
            remember(&mut memory, done);
            let counted = memory.ledger.count(DateTime::UNIX_EPOCH, TimeDelta::hours(1), |_| true);
            (
                counted,
                memory.following.tried(key, DateTime::UNIX_EPOCH, false).is_some(),
            )
        };
        let counted = |outcome, sent| remembered(outcome, sent, None).0;
        // Gone when it was read again: nothing was sent. Gone when the statement arrived (ORA-00030): something was.
        assert_eq!(counted(Outcome::AlreadyGone, false), 0);
        assert_eq!(counted(Outcome::AlreadyGone, true), 1);
        for outcome in Outcome::ALL {
            assert_eq!(counted(outcome, true), 1, "{outcome}");
        }
        // Refused before anything was done: the session waits where that was about the session.
        let check = Check::new(Id::RightToAct, "", State::Missing, "no right");
        let everywhere = Hindrance::Database(Box::new(check));
        assert_eq!(remembered(Outcome::Failed, true, None), (1, true));
        assert_eq!(remembered(Outcome::Refused, true, Some(Hindrance::Session)), (0, true));
        assert_eq!(remembered(Outcome::Failed, true, Some(everywhere)), (0, false));
    }
}
