//! One cycle, the steps in order.
//!
//! A snapshot comes in, decisions and warrants come out; carrying a warrant out comes back as an outcome. Nothing here reads
//! a clock, a file or the network: the time is the snapshot's own. So a cycle can be tested as a table, replayed from a
//! recording, and run by `plan` without a daemon; there is no second pipeline for any of them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::guard::{Ruling, Warrant, rule};
use crate::decide::hold::{Holds, Moment};
use crate::decide::in_force::{Here, Rules, RunMode};
use crate::decide::ledger::{Entry, Ledger, Reported};
use crate::decide::matches::Matches;
use crate::decide::outcome::Outcome;
use crate::decide::plan::{Plan, Situation, plan};
use crate::decide::pressure::{Gates, Readings};
use crate::decide::protect::Facts;
use crate::decide::respawn::{Ended, Respawns, Return, Who};
use crate::decide::standstill::Standstill;
use crate::decide::verify::{DEADLINE, FollowState, Followed, Following, Verification};
use crate::policy::model::{Action, PolicySet};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// What one database remembers from cycle to cycle.
#[derive(Debug, Default)]
pub struct Memory {
    /// How long conditions have held.
    pub holds: Holds,
    /// Which gates are open.
    pub gates: Gates,
    /// What was done lately.
    pub ledger: Ledger,
    /// Who was acted on and is not known to be gone.
    pub following: Following,
    /// Whom a `report` policy has reported already.
    pub reported: Reported,
    /// Who was ended lately, and who came back.
    pub respawns: Respawns,
}

/// What holds for one cycle besides the snapshot and the memory.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The policies, their limits, and the day that it is on the database.
    pub rules: &'a Rules,
    /// Which of them this database runs now, and how.
    pub here: &'a Here,
    /// Who is protected.
    pub facts: &'a Facts,
    /// The snapshot's time in UTC.
    pub now: DateTime<Utc>,
    /// Whether the snapshot before this one is near enough for holds to go on.
    pub unbroken: bool,
    /// How long the reading took: `now` is from its beginning, what the rows say may be from its end.
    pub read_in: TimeDelta,
    /// Why nothing may be done in this cycle, if so: the snapshot is too old, actions are under way, the daemon is paused.
    pub standstill: Option<&'a Standstill>,
    /// Take every hold as served: `plan --assume-held`.
    pub assume_held: bool,
}

/// What a cycle found and decided.
#[derive(Debug)]
pub struct Cycle {
    /// What became of earlier actions.
    pub verified: Vec<Verification>,
    /// Who came back after one of the like was ended.
    pub returns: Vec<Return>,
    /// Who would be acted on.
    pub plan: Plan,
    /// Who may be.
    pub ruling: Ruling,
}

/// Runs the steps on a complete snapshot.
#[must_use]
pub fn cycle(memory: &mut Memory, snapshot: &Snapshot, readings: Readings, terms: &Terms<'_>) -> Cycle {
    let set = terms.rules.set();
    let verified = memory
        .following
        .verify(snapshot, terms.now, |followed| patience(set, followed));
    memory.ledger.settle(terms.now);
    memory.reported.keep_only(snapshot);
    let returns = memory.respawns.observe(snapshot, terms.now);
    let matches = Matches::of(set, terms.here.running(), snapshot);
    let moment = Moment {
        now: terms.now,
        read_in: terms.read_in,
        unbroken: terms.unbroken,
    };
    memory
        .holds
        .update(snapshot, set, terms.here.running(), &matches, moment);
    memory.gates.update(set, terms.here.running(), snapshot, readings);
    let situation = Situation {
        rules: terms.rules,
        here: terms.here,
        facts: terms.facts,
        matches: &matches,
        holds: &memory.holds,
        following: &memory.following,
        reported: &memory.reported,
        gates: &memory.gates,
        respawns: &memory.respawns,
        now: terms.now,
        assume_held: terms.assume_held,
    };
    let plan = plan(snapshot, &situation);
    let ruling = rule(&plan, snapshot, &situation, &memory.ledger, terms.standstill);
    Cycle {
        verified,
        returns,
        plan,
        ruling,
    }
}

/// For how long a session is followed: until the last rung of its policy's ladder is due, and an hour more.
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

/// What was done about one warrant.
#[derive(Clone, Debug)]
pub struct Done {
    /// The journal's number of the action.
    pub action_id: u64,
    /// On whom.
    pub key: SessionKey,
    /// Its like.
    pub who: Who,
    /// By which policy.
    pub policy: Arc<str>,
    /// What.
    pub action: Action,
    /// Whether it was real.
    pub mode: RunMode,
    /// What came of it.
    pub outcome: Outcome,
    /// When, by the database's clock in UTC.
    pub at: DateTime<Utc>,
    /// The session's SQL_ID and SQL_EXEC_ID as re-read, for CANCEL SQL.
    pub sql_exec: Option<(String, Option<i64>)>,
    /// Whether a statement was sent, whatever came of it.
    pub sent: bool,
}

impl Done {
    /// About this warrant.
    #[must_use]
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
        }
    }

    /// About this warrant, its session as the snapshot shows it: where nothing was re-read, because nothing was done.
    #[must_use]
    pub fn seen_in(snapshot: &Snapshot, warrant: &Warrant, action_id: u64, outcome: Outcome) -> Done {
        let sql_exec = snapshot.find(warrant.key()).and_then(|row| {
            Some((
                snapshot.text(row, Column::SqlId)?.to_owned(),
                snapshot.number(row, Column::SqlExecId),
            ))
        });
        Done::of(warrant, action_id, outcome, sql_exec)
    }
}

/// Remembers what was done: it counts against the budgets if a statement was or may have been sent, and the session is
/// followed until it is known to be gone.
pub fn remember(memory: &mut Memory, done: Done) {
    if done.action == Action::Report {
        if done.outcome == Outcome::Reported {
            memory.reported.insert(&done.policy, done.key);
        }
        return;
    }
    if done.mode == RunMode::Enforce {
        memory.following.answered(done.key, done.outcome, done.at);
    }
    if !(done.outcome.counts() || done.sent) {
        return;
    }
    memory.ledger.enter(Entry {
        at: done.at,
        policy: Arc::clone(&done.policy),
        mode: done.mode,
    });
    if done.outcome.is_followed() && done.action.ends_session() {
        memory.respawns.ended(Ended {
            action_id: done.action_id,
            policy: Arc::clone(&done.policy),
            mode: done.mode,
            key: done.key,
            who: done.who.clone(),
            at: done.at,
        });
    }
    // What a dry run assumes never takes the place of what was really done.
    let real = memory
        .following
        .get(done.key)
        .is_some_and(|followed| followed.mode == RunMode::Enforce);
    if done.outcome.is_followed() && !(real && done.mode == RunMode::DryRun) {
        memory.following.follow(
            done.key,
            Followed {
                action_id: done.action_id,
                policy: done.policy,
                action: done.action,
                mode: done.mode,
                since: done.at,
                sql_exec: done.sql_exec,
                certain: done.outcome != Outcome::Unknown,
                state: FollowState::Waiting,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            who: Who::default(),
            policy: "idle".into(),
            action: Action::Kill {
                clause: KillClause::Plain,
            },
            mode,
            outcome,
            at: DateTime::UNIX_EPOCH,
            sql_exec: None,
            sent: false,
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
        let counted = |outcome, sent| {
            let mut memory = Memory::default();
            let done = Done {
                action_id: 1,
                key: SessionKey {
                    inst_id: 1,
                    sid: 10,
                    serial: 7,
                    logon_time: DbTime(0),
                },
                who: Who::default(),
                policy: "idle".into(),
                action: Action::CancelSql,
                mode: RunMode::Enforce,
                outcome,
                at: DateTime::UNIX_EPOCH,
                sql_exec: None,
                sent,
            };
            remember(&mut memory, done);
            memory.ledger.count(DateTime::UNIX_EPOCH, TimeDelta::hours(1), |_| true)
        };
        // Gone when it was read again: nothing was sent. Gone when the statement arrived (ORA-00030): something was.
        assert_eq!(counted(Outcome::AlreadyGone, false), 0);
        assert_eq!(counted(Outcome::AlreadyGone, true), 1);
        for outcome in Outcome::ALL {
            assert_eq!(counted(outcome, true), 1, "{outcome}");
        }
    }
}
