//! The database's clock against the host's: how a step of a clock is distinguished from time that passed.
//!
//! Snapshots are dated by the database's clock, and budgets, holds, followed sessions and suspensions go by these dates. A clock
//! that is set forward by two hours would let two hours pass in a moment: budgets would be free again and holds served. So the
//! time between two snapshots is compared with the time by the host's monotonic clock. Beyond [`TOLERANCE`] the
//! difference is a step, and time that only a step shows has not passed: see [`crate::decide::cycle::Memory::reconcile`].
//!
//! - When in a call the database's clock was read is not known: what an answer with it took counts as no step, however long that was.
//! - A step of less than [`TOLERANCE`] cannot be distinguished from clocks that are corrected. It serves no hold, because a hold goes by both clocks (see
//!   [`crate::decide::hold`]); a budget ends that much earlier.
//! - The host's monotonic clock stands still while the host is suspended. What passed then is taken for a step, which spares.
//! - After a restart only the host's time of day is there to compare with, and either clock may have been set. A difference then
//!   counts only where it keeps budgets for longer.
//! - A replay, a policy test and a plan have the times of snapshots and no host's clock: nothing is compared there.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::quantity::Span;

/// The two clocks may differ by this much over the time between two snapshots: slow answers, clocks of two instances, and clocks
/// that are corrected little by little.
pub(crate) const TOLERANCE: TimeDelta = TimeDelta::minutes(10);

/// The host's clocks when the reading of a snapshot began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostTime {
    /// The monotonic clock: the time since the daemon's start.
    pub passed: Duration,
    /// The time of day.
    pub utc: DateTime<Utc>,
    /// How much later the database's clock was read, at most: then its answer was there. By the monotonic clock.
    pub within: Duration,
}

/// A step of the database's clock: forward, or back if it is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep(pub TimeDelta);

impl fmt::Display for ClockStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0 < TimeDelta::zero() { "back" } else { "forward" };
        // To the minute: the seconds are those of a slow answer.
        let minutes = (self.0.num_seconds().abs() + 30) / 60;
        write!(f, "{direction} by {}", Span(minutes * 60))
    }
}

/// What the clocks showed at the newest snapshot.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    last: Option<(DateTime<Utc>, HostTime)>,
    /// The database's clock minus the host's time of day when the snapshot behind the newest action in the journal was read.
    journalled: Option<TimeDelta>,
    /// The sum of all steps.
    stepped: TimeDelta,
}

impl Clocks {
    /// For a daemon that has just started: the snapshot behind the newest action in its journal was dated this much later than the host's
    /// time of day was when its reading began.
    #[must_use]
    pub(crate) fn restored(ahead: Option<TimeDelta>) -> Clocks {
        Clocks {
            journalled: ahead,
            ..Clocks::default()
        }
    }

    /// How much later the newest action in the journal was dated than the host's time of day was, until the first snapshot.
    #[must_use]
    pub(crate) fn journalled(&self) -> Option<TimeDelta> {
        self.journalled
    }

    /// The host's clock at the snapshot with this time, if that is the newest one.
    #[must_use]
    pub(crate) fn passed_at(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.last
            .filter(|(newest, _)| *newest == now)
            .map(|(_, host)| host.passed)
    }

    /// Takes note of a snapshot's time by both clocks; the step since the previous one, if there was a step.
    pub fn meet(&mut self, now: DateTime<Utc>, host: HostTime) -> Option<ClockStep> {
        let ahead = match self.last.replace((now, host)) {
            Some((before, then)) => {
                let passed_until = host.passed.saturating_add(host.within);
                let most = passed_until.saturating_sub(then.passed);
                let least = host.passed.saturating_sub(then.passed.saturating_add(then.within));
                let beyond = |measured| (now - before).checked_sub(&TimeDelta::from_std(measured).ok()?);
                let (at_least, at_most) = (beyond(most)?, beyond(least)?);
                // Where either answer came late, there need not have been a step; where there was one, what is later spares.
                let is_step = at_least > TOLERANCE || at_most < -TOLERANCE;
                is_step.then_some(at_most)
            }
            None => self
                .journalled
                .take()
                .and_then(|journalled| (now - host.utc).checked_sub(&journalled))
                .map(|ahead| ahead.max(TimeDelta::zero())),
        };
        let step = ahead.filter(|ahead| ahead.abs() > TOLERANCE).map(ClockStep)?;
        self.stepped = self.stepped.checked_add(&step.0).unwrap_or(self.stepped);
        Some(step)
    }

    /// The sum of all steps so far: what was dated before a step is later by what the sum has grown since.
    #[must_use]
    pub const fn stepped(&self) -> TimeDelta {
        self.stepped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::decide::cycle::{Done, Memory, remember};
    use crate::decide::in_force::RunMode;
    use crate::decide::outcome::Outcome;
    use crate::decide::refill::ClientGroup;
    use crate::policy::model::{Action, KillClause};
    use crate::session::SessionKey;
    use crate::session::column::{Column, Columns};
    use crate::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock as DbClock, SnapshotSource};
    use crate::session::time::DbTime;

    /// The host's clocks after this many seconds.
    fn host(seconds: u64) -> HostTime {
        HostTime {
            passed: Duration::from_secs(seconds),
            utc: at(i64::try_from(seconds).expect("in range")),
            within: Duration::ZERO,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn met(clocks: &mut Clocks, database: i64, by_host: u64) -> Option<i64> {
        clocks
            .meet(at(database), host(by_host))
            .map(|step| step.0.num_seconds())
    }

    #[test]
    fn a_step_is_what_the_host_s_clock_does_not_confirm() {
        let mut clocks = Clocks::default();
        assert_eq!(met(&mut clocks, 5_000, 10), None, "there is nothing to compare with");
        assert_eq!(met(&mut clocks, 5_015, 25), None);
        assert_eq!(
            met(&mut clocks, 5_015 + 86_400, 25 + 86_400),
            None,
            "it was down for a day"
        );
        assert_eq!(met(&mut clocks, 5_015 + 87_000, 25 + 86_400), None, "at the tolerance");
        assert_eq!(met(&mut clocks, 5_015 + 87_601, 25 + 86_400), Some(601), "over it");
        assert_eq!(
            met(&mut clocks, 5_015 + 87_616, 25 + 86_415),
            None,
            "and goes on from there"
        );
        assert_eq!(met(&mut clocks, 5_015, 25 + 86_415), Some(-87_616));
        assert_eq!(clocks.stepped(), TimeDelta::seconds(601 - 87_616));
        assert_eq!(ClockStep(TimeDelta::hours(2)).to_string(), "forward by 2h");
        assert_eq!(ClockStep(TimeDelta::minutes(-90)).to_string(), "back by 1h 30m");
    }

    /// A machine that is busy for so long hands the answer over late: by the monotonic clock it was asked for at the first time.
    #[test]
    fn an_answer_that_comes_late_is_no_step() {
        let late = |asked, came| HostTime {
            within: Duration::from_secs(came - asked),
            ..host(asked)
        };
        let mut clocks = Clocks::default();
        let mut met = |database, host| clocks.meet(at(database), host).map(|step| step.0.num_seconds());
        assert_eq!(met(5_000, late(0, 0)), None);
        // Read at the end of the call, at its beginning, and again without a wait.
        assert_eq!(met(5_900, late(100, 900)), None);
        assert_eq!(met(6_000, late(1_000, 1_900)), None);
        assert_eq!(met(7_000, late(2_000, 2_000)), None);
        // A step is one beyond what either answer took, and no smaller than it was.
        assert_eq!(met(9_400, late(3_000, 3_800)), None);
        assert_eq!(met(10_400, late(4_000, 4_000)), None);
        assert_eq!(met(12_802, late(5_000, 5_801)), Some(1_402));
        assert_eq!(met(11_000, late(6_000, 6_000)), Some(-1_802 - 199));
    }

    #[test]
    fn after_a_restart_only_a_step_forward_counts() {
        let mut clocks = Clocks::restored(Some(TimeDelta::hours(1)));
        assert_eq!(met(&mut clocks, 3 * 3600 + 10, 10), Some(2 * 3600));
        assert_eq!(met(&mut clocks, 3 * 3600 + 25, 25), None);
        let mut clocks = Clocks::restored(Some(TimeDelta::hours(1)));
        assert_eq!(met(&mut clocks, 10, 10), None, "perhaps it was the host's clock");
    }

    fn done(sid: u32, outcome: Outcome, at: DateTime<Utc>) -> Done {
        Done {
            action_id: u64::from(sid),
            key: SessionKey {
                inst_id: 1,
                sid,
                serial: 7,
                logon_time: DbTime(0),
            },
            who: ClientGroup::default(),
            policy: Arc::from("idle"),
            action: Action::Kill {
                clause: KillClause::Plain,
            },
            mode: RunMode::Enforce,
            outcome,
            at,
            sql_exec: None,
            sent: true,
            hindrance: None,
            seen: None,
            was_killed: false,
        }
    }

    /// Between two snapshots: seconds by the host's clock, the step of the database's, and what came of an action after it.
    fn cycles() -> impl Strategy<Value = Vec<(u64, i64, Option<Outcome>)>> {
        let step = prop_oneof![
            3 => Just(0_i64),
            1 => 601..200_000_i64,
            1 => (601..200_000_i64).prop_map(|back| -back),
        ];
        let outcome = prop_oneof![
            Just(None),
            Just(Some(Outcome::Done)),
            Just(Some(Outcome::Failed)),
            Just(Some(Outcome::NoLongerMatches)),
        ];
        proptest::collection::vec((1..5_000_u64, step, outcome), 1..20)
    }

    proptest! {
        /// Whatever steps the database's clock makes, what is remembered has the age that the host's clock gives it.
        #[test]
        fn whatever_is_remembered_ages_by_the_host_s_clock(cycles in cycles()) {
            let mut memory = Memory::default();
            let (mut by_host, mut database) = (0, 1_000_000_i64);
            let mut acted: Vec<(u64, u32, Outcome)> = Vec::new();
            memory.reconcile(at(database), host(by_host));
            for (number, (passed, step, outcome)) in cycles.into_iter().enumerate() {
                by_host += passed;
                database += i64::try_from(passed).expect("small") + step;
                let found = memory.reconcile(at(database), host(by_host));
                prop_assert_eq!(found.map(|step| step.0.num_seconds()), Some(step).filter(|step| *step != 0));
                let now = at(database);
                memory.ledger.settle(now);
                for hours in [1, 24] {
                    let lately = acted.iter().filter(|(then, ..)| by_host - then < hours * 3600).count();
                    let hours = TimeDelta::hours(i64::try_from(hours).expect("small"));
                    prop_assert_eq!(memory.ledger.count(now, hours, |_| true) as usize, lately);
                }
                for (then, sid, outcome) in &acted {
                    let done = done(*sid, *outcome, now);
                    let lately = by_host - then < 3600;
                    let spared = memory.following.last_spared(&done.policy, done.mode, done.key, now).is_some();
                    prop_assert_eq!(spared, lately && *outcome == Outcome::NoLongerMatches);
                    let refused = memory.following.tried(done.key, now, false).is_some();
                    prop_assert_eq!(refused, lately && matches!(outcome, Outcome::Failed | Outcome::Done));
                    if let Some(followed) = memory.following.get(done.key) {
                        prop_assert_eq!((now - followed.since).num_seconds(), i64::try_from(by_host - then).expect("small"));
                    }
                }
                if let Some(outcome) = outcome {
                    let sid = u32::try_from(number).expect("few");
                    acted.push((by_host, sid, outcome));
                    remember(&mut memory, done(sid, outcome, now));
                }
            }
        }
    }

    /// Sessions of one group that logged on at these times by the database's clock.
    fn logged_on(now: i64, logons: &[i64]) -> Snapshot {
        let columns = [Column::InstId, Column::Sid, Column::Serial, Column::LogonTime];
        let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
        for (logon, sid) in logons.iter().zip(100..) {
            let cells = [1, sid, 1].map(Cell::Number).into_iter();
            let cells: Vec<Cell<'_>> = cells.chain([Cell::Time(DbTime(*logon))]).collect();
            builder.push_row(&cells).expect("few");
        }
        let time = DbClock {
            now: DbTime(now),
            utc_offset: 0,
        };
        let instances = vec![Instance {
            inst_id: 1,
            name: "i".into(),
            complete: true,
        }];
        builder.finish(Some(time), instances).finish(Columns::NONE)
    }

    /// Who came back for the one that was ended at 1,000,000, in a snapshot 30 seconds after that, before which the clock was set.
    fn came_back(step: i64, logon: i64) -> bool {
        let mut memory = Memory::default();
        memory.reconcile(at(1_000_000), host(100));
        remember(&mut memory, done(1, Outcome::Done, at(1_000_000)));
        let now = 1_000_030 + step;
        assert_eq!(memory.reconcile(at(now), host(130)).is_some(), step != 0);
        !memory.refills.observe(&logged_on(now, &[logon]), at(now)).is_empty()
    }

    #[test]
    fn who_came_back_is_known_whichever_clock_the_login_has() {
        for step in [0, 7_200, -7_200] {
            assert!(came_back(step, 1_000_010), "it logged on before the step of {step}s");
            assert!(
                came_back(step, 1_000_020 + step),
                "it logged on after the step of {step}s"
            );
            let earlier = 1_000_000 - step.abs() - 1;
            assert!(!came_back(step, earlier), "it was there before, whichever clock");
        }
    }
}
