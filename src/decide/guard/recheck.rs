//! What can end a permission between its snapshot and its statement, besides identity, condition, protections and exemptions.
//!
//! A warrant is given for a snapshot, and a batch of warrants takes time. So right before each statement the schedule, the gate,
//! the floor, and whether the condition can have held all the time, are checked again. Unknown spares. An escalation completes
//! an earlier action, so schedule, gate, floor and hold do not apply to it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::going::{Going, rows_going};
use crate::decide::guard::Warrant;
use crate::decide::guard::floors::Floors;
use crate::decide::hold::{INEXACT, depends_on_use, last_use};
use crate::decide::matches::matched_rows;
use crate::decide::pressure::{Readings, is_open};
use crate::decide::reason::Lapse;
use crate::policy::model::Action;
use crate::policy::timetable::Timetable;
use crate::session::snapshot::Snapshot;

/// What floors and gates depend on, read right before the statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// All sessions.
    pub(crate) sessions: &'a Snapshot,
    /// The resources of the instances.
    pub(crate) readings: &'a Readings,
    /// Sessions that an action is ending.
    pub(crate) going: &'a [Going],
}

impl Warrant {
    /// The session, as one that carrying out ends.
    #[must_use]
    pub(crate) fn going(&self) -> Going {
        Going {
            key: self.key,
            mode: self.mode(),
            policy: Arc::clone(&self.policy().name),
        }
    }

    /// Whether the policy has a floor or a gate, which the session's row alone cannot decide.
    #[must_use]
    pub(crate) fn depends_on_others(&self) -> bool {
        self.counts_for_a_floor() || self.policy().pressure.is_some()
    }

    /// Whether a floor may stop it. A next rung takes nothing from a floor.
    fn counts_for_a_floor(&self) -> bool {
        let policy = self.policy();
        !self.escalates && policy.keep.is_some() && policy.action != Action::Report
    }

    /// Why the floor or the gate no longer permits it, if so.
    #[must_use]
    pub(crate) fn stopped_by_others(&self, now: &Surroundings<'_>) -> Option<Lapse> {
        if !self.depends_on_others() {
            return None;
        }
        let policy = self.policy();
        // The session is read again right afterwards; one that is gone has no group.
        let row = now.sessions.find(self.key)?;
        let counted = |going: &&Going| self.in_force.reckons_with(&self.set, going.mode, &going.policy);
        let others = now.going.iter().filter(counted).map(|going| going.key);
        let going = rows_going(now.sessions, others.filter(|key| *key != self.key));
        if self.counts_for_a_floor() {
            let matched = matched_rows(policy, now.sessions);
            let floors = Floors::of(policy, now.sessions, &matched, &going);
            if let Some(floor) = floors.and_then(|floors| floors.reached(now.sessions, row, 0)) {
                return Some(Lapse::Floor(floor));
            }
        }
        // A next rung completes what has marked the session, whether there is room by now or not.
        let completes = self.escalates && now.sessions.is_killed(row);
        let pressure = policy.pressure.as_ref().filter(|_| !completes)?;
        let inst_id = self.key.inst_id;
        let open = if pressure.end.is_some() {
            let mut estimate = now.readings.clone();
            for (row, _) in going.iter().enumerate().filter(|(_, going)| **going) {
                estimate.take_away(now.sessions, row);
            }
            is_open(pressure, true, &estimate, inst_id)
        } else {
            is_open(pressure, true, now.readings, inst_id)
        };
        (!open).then_some(Lapse::Gate { inst_id })
    }

    /// Why the policy's schedules or days no longer permit it, if so. `now` is the database's clock in UTC, read again. Its days end
    /// an escalation too.
    ///
    /// Schedules that also matched in the minute before the snapshot are a period: it has ended when the last minute does not
    /// match. Those that matched only then are a moment, which does not end its warrants.
    #[must_use]
    pub(crate) fn off_schedule(&self, timetable: Option<&Timetable>, now: DateTime<Utc>) -> Option<Lapse> {
        let timetable = timetable?;
        if let Some(outside) = timetable.outside(now) {
            return Some(Lapse::Dates(outside));
        }
        if self.escalates || timetable.schedules.is_empty() {
            return None;
        }
        let minute = TimeDelta::seconds(60);
        let last = self.issued - minute;
        let stretch = timetable.due(last, self.issued) && timetable.due(last - minute, last);
        let ended = stretch && !timetable.due(now - minute, now);
        ended.then(|| Lapse::Schedule(timetable.text()))
    }

    /// Why the condition cannot have held without a break, if so: it depends on what the session is doing, and the session was used
    /// after the snapshot. `seen` is the session in the snapshot, which took `read_in` to read; `again` is read now.
    #[must_use]
    pub(crate) fn hold_broken(&self, seen: &Snapshot, read_in: TimeDelta, again: &Snapshot) -> Option<Lapse> {
        let policy = self.policy();
        if policy.hold == 0 || self.escalates {
            return None;
        }
        if !depends_on_use(policy) {
            return None;
        }
        let used = |snapshot: &Snapshot| last_use(snapshot, snapshot.find(self.key)?);
        let (Some(before), Some(after)) = (used(seen), used(again)) else {
            return Some(Lapse::UseUnknown);
        };
        (after - before > read_in + INEXACT).then_some(Lapse::Used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::cycle::{CycleInput, Done, Memory, cycle, remember};
    use crate::decide::guard::{LastStep, Spared, Wording, still_deserved};
    use crate::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits, RunMode};
    use crate::decide::outcome::Outcome;
    use crate::decide::pressure::Reading;
    use crate::oracle::capabilities::tests::capabilities;
    use crate::policy::model::Limits;
    use crate::policy::pressure::Resource;
    use crate::session::SessionKey;
    use crate::session::column::{Column, Columns};
    use crate::session::snapshot::{Cell, Instance, SnapshotClock, SnapshotSource};
    use crate::session::time::DbTime;

    /// 2026-11-23T09:00:00Z, a Monday.
    const NINE: i64 = 1_795_424_400;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(NINE + seconds, 0).expect("in range")
    }

    /// Sessions of APP on one instance, each with its SID and LAST_CALL_ET, so long after nine.
    fn sessions(of: &[(i64, i64)], seconds: i64) -> Snapshot {
        sessions_that_are("INACTIVE", of, seconds)
    }

    /// Likewise, with this STATUS.
    fn sessions_that_are(status: &str, of: &[(i64, i64)], seconds: i64) -> Snapshot {
        let columns = [
            Column::InstId,
            Column::Sid,
            Column::Serial,
            Column::LogonTime,
            Column::Type,
            Column::Username,
            Column::Program,
            Column::Status,
            Column::LastCallEt,
            Column::Taddr,
        ];
        let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
        for (sid, last_call) in of {
            let text = Cell::Text;
            let numbers = [Cell::Number(1), Cell::Number(*sid), Cell::Number(1)];
            let row = numbers.into_iter().chain([
                Cell::Time(DbTime(NINE - 36_000)),
                text("USER"),
                text("APP"),
                text("app@web01"),
                text(status),
                Cell::Number(*last_call),
                Cell::Null,
            ]);
            builder.push_row(&row.collect::<Vec<_>>()).expect("few rows");
        }
        let instance = Instance {
            inst_id: 1,
            name: "prod1".into(),
            complete: true,
        };
        let clock = SnapshotClock {
            now: DbTime(NINE + seconds),
            utc_offset: 0,
        };
        let derived = [Column::Idle, Column::Running, Column::Connected];
        let wanted = columns.into_iter().chain(derived).collect::<Columns>();
        builder.finish(Some(clock), vec![instance]).finish(wanted)
    }

    fn readings(used: i64) -> Readings {
        let mut readings = Readings::default();
        let limit = Some(100);
        readings.set(1, Resource::Sessions, Reading { used, limit });
        readings
    }

    /// The warrants of a policy for snapshots one after the other; those of the last.
    fn warrants(policy: &str, snapshots: &[Snapshot]) -> Vec<Warrant> {
        warrants_of(Arming::Armed, policy, snapshots)
    }

    fn warrants_of(arming: Arming, policy: &str, snapshots: &[Snapshot]) -> Vec<Warrant> {
        let policy = format!("action: kill, {policy}");
        warrants_after(&mut Memory::default(), arming, &policy, snapshots)
    }

    /// Likewise, of a policy with an action of its own and with what is remembered.
    fn warrants_after(memory: &mut Memory, arming: Arming, policy: &str, snapshots: &[Snapshot]) -> Vec<Warrant> {
        let text = format!("policies: [{{name: one, mode: enforce, limits: {{share: 100%}}, {policy}}}]");
        let files = [("one.yaml".to_owned(), text.into_bytes())];
        let loaded = crate::policy::check_files(&files, at(0).date_naive(), chrono_tz::UTC);
        let set = Arc::new(loaded.set.expect("a policy"));
        let limits = EffectiveLimits::of(&Limits::default());
        let rules = DatabaseRules::of_policy_test("prod", arming, limits, chrono_tz::UTC, set);
        let here = rules.configured(Due::Always);
        let facts = capabilities(19, 3).facts(&[]);
        let mut warrants = Vec::new();
        for snapshot in snapshots {
            let now = snapshot.clock().and_then(|clock| clock.now.to_utc(0)).expect("a clock");
            let input = CycleInput {
                rules: &rules,
                here: &here,
                facts: &facts,
                now,
                unbroken: true,
                read_in: TimeDelta::zero(),
                standstill: None,
                assume_held: false,
            };
            warrants = cycle(memory, snapshot, readings(90), &input).ruling.warrants;
        }
        assert!(!warrants.is_empty(), "{policy}");
        warrants
    }

    const IDLE: &str = "when: INACTIVE longer than 1h";

    #[test]
    fn a_statement_comes_of_a_warrant_that_enforces_and_of_nothing_else() {
        let before = [sessions(&[(1, 7200)], 0)];
        let text = || Some(Wording::Statement("KILL".to_owned()));
        let mut armed = warrants_of(Arming::Armed, IDLE, &before).remove(0);
        assert!(matches!(armed.last_step(text()), LastStep::Send(statement) if statement.text() == "KILL"));
        let mut unarmed = warrants_of(Arming::Unarmed, IDLE, &before).remove(0);
        assert_eq!(unarmed.last_step(text()), LastStep::Assume("KILL".into()));
        let mut report = warrants_of(Arming::Armed, IDLE, &before).remove(0);
        assert_eq!(report.last_step(None), LastStep::Report);
    }

    #[test]
    #[should_panic(expected = "was used before")]
    fn a_warrant_is_used_once() {
        let mut one = warrants(IDLE, &[sessions(&[(1, 7200)], 0)]).remove(0);
        let _ = one.last_step(None);
        let _ = one.last_step(None);
    }

    /// The next rung is for a session that still matches, or that the one before left KILLED.
    #[test]
    fn an_escalation_asks_the_condition_again_unless_the_session_is_killed() {
        let policy = "when: INACTIVE longer than 1h, action: kill, escalate: [{after: 5m, action: kill immediate}]";
        let mut memory = Memory::default();
        let first = warrants_after(&mut memory, Arming::Armed, policy, &[sessions(&[(1, 7200)], 0)]).remove(0);
        remember(
            &mut memory,
            Done {
                action_id: 1,
                key: first.key(),
                who: first.who().clone(),
                policy: "one".into(),
                action: first.action(),
                mode: first.mode(),
                outcome: Outcome::Done,
                at: at(0),
                sql_exec: None,
                sent: true,
                hindrance: None,
                seen: None,
                was_killed: false,
            },
        );
        let later = [sessions(&[(1, 7500)], 300)];
        let next = warrants_after(&mut memory, Arming::Armed, policy, &later).remove(0);
        assert!(next.escalates && next.action() != first.action(), "the second rung");
        let (facts, limits) = (capabilities(19, 3).facts(&[]), EffectiveLimits::of(&Limits::default()));
        let asked = |again: &Snapshot| still_deserved(&next, again, &facts, &limits, at(330).date_naive());
        assert!(asked(&sessions(&[(1, 7530)], 330)).is_ok());
        assert!(asked(&sessions_that_are("KILLED", &[(1, 7530)], 330)).is_ok());
        for again in [sessions(&[(1, 2)], 330), sessions_that_are("ACTIVE", &[(1, 7530)], 330)] {
            assert!(matches!(asked(&again), Err(Spared::ConditionNoLongerHolds)));
        }
    }

    #[test]
    fn a_floor_that_was_reached_meanwhile_stops_the_rest() {
        let before = sessions(&[(1, 7200), (2, 7200), (3, 7200)], 0);
        let policy = format!("{IDLE}, keep: {{at_least: 2, per: [username]}}");
        let one = warrants(&policy, &[before]).remove(0);
        let after = |there: &[(i64, i64)], going: &[Going]| {
            let now = Surroundings {
                sessions: &sessions(there, 30),
                readings: &readings(90),
                going,
            };
            one.stopped_by_others(&now).map(|lapse| lapse.to_string())
        };
        let going = |sid| Going {
            key: SessionKey { sid, ..one.key() },
            mode: RunMode::Enforce,
            policy: "one".into(),
        };
        assert_eq!(one.key().sid, 1);
        assert_eq!(after(&[(1, 7230), (2, 7230), (3, 7230)], &[]), None);
        let floor = Some("keep: only 2 left of its username".to_owned());
        assert_eq!(after(&[(1, 7230), (2, 7230)], &[]), floor, "one has left by itself");
        assert_eq!(
            after(&[(1, 7230), (2, 7230), (3, 7230)], &[going(3)]),
            floor,
            "one is about to go"
        );
        assert_eq!(
            after(&[(1, 7230), (2, 7230), (3, 7230)], &[going(1)]),
            None,
            "an action of its own takes nothing from its floor"
        );
        assert_eq!(after(&[(2, 7230)], &[]), None, "who is gone is seen by its own look");
    }

    #[test]
    fn the_last_of_those_that_match_are_kept_by_what_is_read_again() {
        let before = sessions(&[(1, 4000), (2, 5000), (3, 6000)], 0);
        let policy = format!("{IDLE}, order: [idle asc], keep: {{at_least: 1, of: matching}}");
        let all = warrants(&policy, &[before]);
        assert_eq!(all.iter().map(|one| one.key().sid).collect::<Vec<_>>(), [1, 2]);
        let second = &all[1];
        let after = |there: &[(i64, i64)], going: &[Going]| {
            let now = Surroundings {
                sessions: &sessions(there, 30),
                readings: &readings(90),
                going,
            };
            second.stopped_by_others(&now).map(|lapse| lapse.to_string())
        };
        let going = |sid| Going {
            key: SessionKey { sid, ..second.key() },
            mode: RunMode::Enforce,
            policy: "one".into(),
        };
        let last = Some("keep: one of the last 1 by `idle asc` of those that match".to_owned());
        assert_eq!(after(&[(1, 4030), (2, 5030), (3, 6030)], &[]), None);
        assert_eq!(
            after(&[(1, 4030), (2, 5030)], &[]),
            last,
            "the oldest has left by itself"
        );
        assert_eq!(
            after(&[(2, 5030), (3, 30)], &[]),
            last,
            "the oldest was used, and matches no more"
        );
        assert_eq!(
            after(&[(1, 4030), (2, 5030), (3, 6030)], &[going(3)]),
            last,
            "the oldest is about to go"
        );
        assert_eq!(
            after(&[(2, 5030), (3, 6030)], &[going(1)]),
            None,
            "a newer one counts for nothing"
        );
        assert_eq!(after(&[(2, 6030), (3, 5030)], &[]), last, "the order is that of now");
        assert_eq!(
            after(&[(2, 30), (3, 6030)], &[]),
            last,
            "who matches no more has no place; its own look tells that too"
        );
    }

    #[test]
    fn a_gate_that_closed_meanwhile_stops_the_rest() {
        let there = sessions(&[(1, 7230), (2, 7230)], 30);
        for (gate, used, stopped) in [
            ("while: sessions above 85%", 86, false),
            ("while: sessions above 85%", 85, true),
            ("while: sessions above 85%, until: sessions below 70%", 70, false),
            ("while: sessions above 85%, until: sessions below 70%", 69, true),
        ] {
            let one = warrants(&format!("{IDLE}, {gate}"), &[sessions(&[(1, 7200), (2, 7200)], 0)]).remove(0);
            let with = |readings: &Readings| {
                one.stopped_by_others(&Surroundings {
                    sessions: &there,
                    readings,
                    going: &[],
                })
            };
            assert_eq!(with(&readings(used)).is_some(), stopped, "{gate} at {used}");
            assert!(with(&Readings::default()).is_some(), "what cannot be read closes it");
        }
    }

    #[test]
    fn a_stretch_of_time_ends_and_a_moment_does_not() {
        let issued = |schedule: &str| {
            let policy = format!("{IDLE}, schedule: \"{schedule}\"");
            warrants(&policy, &[sessions(&[(1, 7200)], 0)]).remove(0)
        };
        let off = |warrant: &Warrant, seconds| warrant.off_schedule(Some(&warrant.policy().timetable), at(seconds));
        let stretch = issued("* 7-9 * * *");
        assert_eq!(off(&stretch, 3599), None);
        assert!(off(&stretch, 3660).is_some_and(|lapse| lapse == Lapse::Schedule("* 7-9 * * *".into())));
        let longer = issued("* 7-19 * * *");
        assert_eq!(off(&longer, 600), None);
        let moment = issued("0 9 * * *");
        assert_eq!(off(&moment, 120), None, "it is good for as long as any warrant");
    }

    #[test]
    fn several_schedules_are_one_stretch_and_the_last_day_ends_with_its_midnight() {
        let issued = |keys: &str| warrants(&format!("{IDLE}, {keys}"), &[sessions(&[(1, 7200)], 0)]).remove(0);
        let off = |warrant: &Warrant, seconds| warrant.off_schedule(Some(&warrant.policy().timetable), at(seconds));
        // The one ends where the other begins, an hour after nine.
        let two = issued("schedule: [\"* 7-9 * * *\", \"* 10 * * *\"]");
        assert_eq!((off(&two, 3599), off(&two, 3660), off(&two, 7199)), (None, None, None));
        let over = Lapse::Schedule("* 7-9 * * *` or `* 10 * * *".into());
        assert_eq!(off(&two, 7260), Some(over.clone()));
        assert_eq!(
            over.to_string(),
            "its schedule `* 7-9 * * *` or `* 10 * * *` ended before its turn came"
        );
        // Nine o'clock here is eleven at night in a zone fourteen hours on.
        let last = issued("dates: {until: 2026-11-23}, timezone: Pacific/Kiritimati");
        assert_eq!(off(&last, 3599), None);
        let ended = off(&last, 3600).map(|lapse| lapse.to_string());
        assert_eq!(ended.as_deref(), Some("dates: its last day was 2026-11-23"));
        let first = issued("dates: {from: 2026-11-23}");
        assert_eq!(off(&first, 0), None);
        assert!(
            off(&first, -9 * 3600 - 1).is_some_and(|lapse| matches!(lapse, Lapse::Dates(_))),
            "a clock that was set back"
        );
    }

    #[test]
    fn a_hold_ends_when_the_session_is_used_after_the_snapshot() {
        let snapshots = |idle: i64| [sessions(&[(1, idle)], 0), sessions(&[(1, idle + 600)], 600)];
        let broken = |policy: &str, idle_again: i64, read_in: i64| {
            let before = snapshots(7200);
            let one = warrants(&format!("for: 10m, {policy}"), &before).remove(0);
            let again = sessions(&[(1, idle_again)], 700);
            one.hold_broken(&before[1], TimeDelta::seconds(read_in), &again)
                .is_some()
        };
        assert!(!broken(IDLE, 7900, 0), "it went on");
        assert!(!broken(IDLE, 7895, 0), "as exact as it can be told");
        assert!(broken(IDLE, 7894, 0), "it may have worked for a moment");
        assert!(broken(IDLE, 3700, 0), "idle for an hour, but not all the time");
        assert!(
            !broken(IDLE, 7894, 1),
            "the row may have been read a second after the clock"
        );
        assert!(
            !broken("when: connected longer than 1h", 10, 0),
            "it does not matter what it does"
        );
        assert!(broken("when: connected longer than 1h, unless: ACTIVE", 10, 0));
        let without = warrants(IDLE, &snapshots(7200)).remove(0);
        assert_eq!(
            without.hold_broken(&snapshots(7200)[1], TimeDelta::zero(), &sessions(&[(1, 3700)], 700)),
            None
        );
    }
}
