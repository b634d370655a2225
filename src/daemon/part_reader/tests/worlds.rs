//! Random databases over several snapshots, random policies and random outcomes: what is decided, told and remembered on a part of the
//! sessions is what is decided, told and remembered on all of them. The queries are the daemon's own, asked of SQLite.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::super::{FEW, PartReader};
use super::policies::{TERMS, policy};
use super::tables::Tables;
use super::world::{Person, SNAPSHOTS, START, State, Struck, World, world};
use crate::daemon::messages::Needs;
use crate::decide::cycle::{Cycle, CycleInput, Done, Memory, cycle, remember};
use crate::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits, RunMode};
use crate::decide::outcome::Outcome;
use crate::decide::pressure::Readings;
use crate::decide::protect::ProtectionFacts;
use crate::decide::refill::{ClientGroup, Ended};
use crate::decide::used_again::WouldHaveEnded;
use crate::event::{CycleReport, Evidence};
use crate::oracle::capabilities::{Capabilities, Way};
use crate::oracle::pressure::{Counters, read_pressure};
use crate::policy::check_files;
use crate::policy::model::{Action, Limits, PolicySet};
use crate::report::{Report, ReportFormat, ReportSubject};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::session::time::DbTime;

const LIMIT: Duration = Duration::from_secs(60);

/// What does not check is passed over.
fn set_of(policies: &[String], exempt: Option<&str>) -> Option<Arc<PolicySet>> {
    let mut text = String::new();
    if let Some(term) = exempt {
        text.push_str(&format!(
            "exemptions: [{{when: \"{term}\", reason: month end, owner: dwh}}]\n"
        ));
    }
    text.push_str("policies:\n");
    for (number, policy) in policies.iter().enumerate() {
        text.push_str(&format!("  - {{name: p{number}, {policy}}}\n"));
    }
    let today = chrono::DateTime::from_timestamp(START, 0)?.date_naive();
    let loaded = check_files(&[("random.yaml".into(), text.into_bytes())], today, chrono_tz::UTC);
    loaded.set.map(Arc::new)
}

/// The memory beside one way of reading.
#[derive(Default)]
struct Side {
    memory: Memory,
}

impl Side {
    fn cycle(&mut self, seen: (&Snapshot, Readings), rules: &DatabaseRules, unbroken: bool) -> (Cycle, String) {
        let (snapshot, readings) = seen;
        let here = rules.configured(Due::Always);
        let facts = ProtectionFacts {
            own_username: "REAPER".into(),
            ..ProtectionFacts::default()
        };
        let input = CycleInput {
            rules,
            here: &here,
            facts: &facts,
            now: snapshot.utc().expect("a clock"),
            unbroken,
            read_in: TimeDelta::zero(),
            standstill: None,
            assume_held: false,
        };
        let mut words = format!("{readings:#?}\n");
        let cycle = cycle(&mut self.memory, snapshot, readings.clone(), &input);
        let told = (&cycle.verified, &cycle.returns, &cycle.aftermaths);
        words.push_str(&format!("{told:#?}\n{:?}\n", cycle.plan.matches));
        for plan in &cycle.plan.policies {
            words.push_str(&format!("{:?} of {:?}\n", plan.candidates, plan.user_sessions));
        }
        for decision in &cycle.ruling.decisions {
            let who = (
                snapshot.id(decision.row, Column::InstId),
                snapshot.id(decision.row, Column::Sid),
            );
            let why = decision.reason(rules.set(), snapshot);
            words.push_str(&format!(
                "{who:?} p{}: {:?}: {why}\n",
                decision.policy,
                decision.verdict()
            ));
        }
        let mut report = CycleReport::of(
            &"prod".into(),
            snapshot,
            &readings,
            &cycle,
            rules,
            here.running(),
            &self.memory,
        );
        report.sessions_read = 0;
        words.push_str(&format!("{report:#?}\n"));
        let report = Report::new(&ReportSubject {
            database: "prod",
            taken_at: snapshot.utc(),
            mode: RunMode::Enforce,
            snapshot,
            set: rules.set(),
            plan: &cycle.plan,
            ruling: &cycle.ruling,
            notes: &[],
            way: Way::AlterSystem,
            rehearsals: Some(&self.memory.rehearsals),
        });
        for row in (0..snapshot.rows()).filter(|row| cycle.ruling.decisions.iter().any(|decision| decision.row == *row))
        {
            words.push_str(&format!("{:?}\n", Evidence::of(snapshot, row)));
        }
        words.push_str(&report.render(ReportFormat::Json));
        words.push_str(&report.render(ReportFormat::Html));
        (cycle, words)
    }

    /// What is remembered, whatever order maps have.
    fn remembered(&self) -> Vec<String> {
        let text = format!("{:#?}", self.memory);
        sorted(&text)
    }
}

/// How often what happened that the comparison is about.
#[derive(Default, Debug)]
struct Tally {
    parts: usize,
    left_out: usize,
    acted: usize,
    told: [usize; TOLD.len()],
}

const TOLD: [&str; 12] = [
    "proof: Gone",
    "proof: ResourcesFreed",
    "proof: Lingers",
    "proof: Cancelled",
    "its server process also serves",
    "keep:",
    "breaker open:",
    "escalating to",
    "afterwards: Ended",
    "afterwards: UsedAgain",
    "Return {",
    "left alone",
];

/// A world with all sessions and with a part.
struct Race<'a> {
    world: &'a World,
    rules: DatabaseRules,
    known: Capabilities,
    whole: Side,
    part: Side,
    reader: PartReader,
    struck: Vec<Struck>,
    actions: usize,
}

impl Race<'_> {
    fn of<'a>(world: &'a World, set: &Arc<PolicySet>) -> Race<'a> {
        let limits = EffectiveLimits {
            per_cycle: 4,
            per_hour: 40,
            per_day: None,
            share: 100,
            undo_records: 10,
            respawns: 2,
            parallel: 2,
        };
        Race {
            world,
            rules: DatabaseRules::of_policy_test("prod", Arming::Armed, limits, chrono_tz::UTC, Arc::clone(set)),
            known: world.capabilities(),
            whole: Side::default(),
            part: Side::default(),
            reader: PartReader::default(),
            struck: Vec::new(),
            actions: 0,
        }
    }

    /// All sessions, and those that are needed beside what the second side remembers.
    fn read(&mut self, at: usize) -> [(Snapshot, Readings); 2] {
        let mut needs = Needs::of(&self.rules, &self.part.memory);
        if self.part.memory.following.is_any_uncertain() {
            needs.rows = None;
        }
        let mut tables = self.world.tables(at, &self.struck);
        let read = |reader: &mut PartReader, needs: &Needs, tables: &mut Tables| {
            let taken = reader.read(tables, needs, &self.known, LIMIT, &mut || ());
            let snapshot = taken.expect("a snapshot").snapshot;
            let mut counters = Counters::default();
            let readings = read_pressure(tables, &needs.resources, &snapshot, &self.known, &mut counters, LIMIT);
            (snapshot, readings.expect("readings").0)
        };
        let everybody = Needs::all_sessions(needs.columns, needs.resources.clone());
        let all = read(&mut PartReader::default(), &everybody, &mut tables);
        self.reader.sessions = FEW;
        [all, read(&mut self.reader, &needs, &mut tables)]
    }

    /// Remembers what came of the warrants of both sides, which are the same.
    fn act(&mut self, at: usize, cycles: [(Cycle, &Snapshot); 2]) -> usize {
        let (before, mut acted) = (self.actions, Vec::new());
        for (whole, (cycle, snapshot)) in [true, false].into_iter().zip(cycles) {
            self.actions = before;
            for warrant in cycle.ruling.warrants {
                let (answer, fate) = self.world.outcomes[self.actions % self.world.outcomes.len()];
                self.actions += 1;
                let outcome = match (warrant.action(), warrant.mode()) {
                    (Action::Report, _) => Outcome::Reported,
                    (_, RunMode::DryRun) => Outcome::Assumed,
                    (_, RunMode::Enforce) => answer,
                };
                let ends = warrant.mode() == RunMode::Enforce && warrant.action().ends_session();
                if whole && ends && matches!(outcome, Outcome::Done | Outcome::Marked) {
                    let person = self.world.person(warrant.key(), at, &self.struck);
                    acted.push(Struck { person, at, fate });
                }
                let side = if whole { &mut self.whole } else { &mut self.part };
                let done = Done::seen_in(snapshot, &warrant, self.actions as u64, outcome);
                remember(&mut side.memory, done);
            }
        }
        let count = acted.len();
        self.struck.extend(acted);
        count
    }
}

fn run(world: &World, policies: &[String], exempt: Option<&str>, tally: &mut Tally) -> Result<(), TestCaseError> {
    let Some(set) = set_of(policies, exempt) else {
        return Ok(());
    };
    let mut race = Race::of(world, &set);
    for at in 0..world.moments.len() {
        let unbroken = at > 0 && world.moments[at].0 <= 300;
        let [(all, of_all), (some, of_some)] = race.read(at);
        prop_assert!(race.reader.refused.is_none(), "{:?}", race.reader.refused);
        tally.parts += usize::from(some.counted().is_some());
        tally.left_out += usize::from(some.rows() < all.rows());
        let (of_whole, expected) = race.whole.cycle((&all, of_all), &race.rules, unbroken);
        let (of_part, found) = race.part.cycle((&some, of_some), &race.rules, unbroken);
        let (found, expected) = (sorted(&found), sorted(&expected));
        let differ = differences(found.clone(), expected);
        prop_assert!(
            differ.is_empty(),
            "snapshot {} of {:?} but {:?}: {}",
            at,
            policies,
            exempt,
            differ
        );
        for (place, what) in TOLD.iter().enumerate() {
            tally.told[place] += usize::from(found.iter().any(|line: &String| line.contains(what)));
        }
        tally.acted += race.act(at, [(of_whole, &all), (of_part, &some)]);
        let differ = differences(race.part.remembered(), race.whole.remembered());
        prop_assert!(
            differ.is_empty(),
            "remembered after snapshot {} of {:?}: {}",
            at,
            policies,
            differ
        );
    }
    Ok(())
}

/// The lines of a text in an order that does not depend on that of a map.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The lines that only a part of the sessions has, and those that it lacks.
fn differences(mut part: Vec<String>, whole: Vec<String>) -> String {
    let mut text = String::new();
    for line in whole {
        match part.iter().position(|own| *own == line) {
            Some(at) => drop(part.remove(at)),
            None => text += &format!("\n- {line}"),
        }
    }
    part.into_iter().fold(text, |text, line| text + &format!("\n+ {line}"))
}

fn in_random_worlds() -> Tally {
    let cases = std::env::var("PART_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(800),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tally = std::cell::RefCell::new(Tally::default());
    let exempt = option::weighted(0.25, select(TERMS.to_vec()));
    let ran = TestRunner::new(config).run(&(world(), vec(policy(), 1..4), exempt), |(world, policies, exempt)| {
        run(&world, &policies, exempt, &mut tally.borrow_mut())
    });
    ran.unwrap_or_else(|failed| panic!("{failed}"));
    tally.into_inner()
}

#[test]
fn a_part_of_any_world_is_decided_on_as_all_of_it_is() {
    let tally = in_random_worlds();
    assert!(tally.left_out > 600 && tally.acted > 150, "{tally:?} is no proof");
    assert!(tally.told.iter().all(|times| *times > 0), "{tally:?} of {TOLD:?}");
}

/// Idle at first, then in a call.
fn somebody(inst_id: i64, sid: i64) -> Person {
    let state = |status| State {
        status: Some(status),
        last_call: Some(4_000),
        transaction: None,
        waits_for: None,
        waited: 0,
        running: false,
    };
    Person {
        inst_id,
        sid,
        serial: Some(1),
        logon: Some(START - 90_000),
        kind: "USER",
        username: Some("APP"),
        program: Some("app@web01"),
        module: None,
        machine: Some("web01"),
        server: "DEDICATED",
        process: sid,
        pga: None,
        con_id: 0,
        coordinator: None,
        lives: (0, SNAPSHOTS),
        states: std::iter::once("INACTIVE")
            .chain(["ACTIVE"; SNAPSHOTS])
            .map(state)
            .collect(),
    }
}

/// Two instances, whose sessions have been idle for long at the first snapshot and are in a call at the second one.
fn awake() -> World {
    World {
        people: vec![somebody(1, 3), somebody(2, 4), somebody(2, 5), somebody(2, 6)],
        moments: vec![(20, None), (20, None)],
        in_pdb: false,
        instances: 2,
        outcomes: Vec::new(),
    }
}

fn rules_of(policy: &str) -> DatabaseRules {
    let set = set_of(&[policy.to_owned()], None).expect("a policy");
    let limits = EffectiveLimits {
        per_cycle: 2,
        ..EffectiveLimits::of(&Limits::default())
    };
    DatabaseRules::of_policy_test("prod", Arming::Armed, limits, chrono_tz::UTC, set)
}

fn snapshot_of(tables: &mut Tables, needs: &Needs, known: &Capabilities) -> Snapshot {
    let mut reader = PartReader {
        sessions: FEW,
        ..PartReader::default()
    };
    let taken = reader.read(tables, needs, known, LIMIT, &mut || ());
    taken.expect("a snapshot").snapshot
}

/// GV$ views leave out the sessions of an instance that does not answer, without an error. It may answer the next query.
#[test]
fn nobody_is_gone_because_his_instance_did_not_answer_one_of_the_queries() {
    let (world, rules) = (
        awake(),
        rules_of("mode: enforce, when: idle > 1h, limits: {share: 100%}, action: kill"),
    );
    let known = world.capabilities();
    for at in 0..6 {
        let mut side = Side::default();
        let before = snapshot_of(&mut world.tables(0, &[]), &Needs::of(&rules, &side.memory), &known);
        let (cycle, _) = side.cycle((&before, Readings::default()), &rules, false);
        assert_eq!(cycle.ruling.warrants.len(), 2);
        for (number, warrant) in cycle.ruling.warrants.into_iter().enumerate() {
            remember(
                &mut side.memory,
                Done::seen_in(&before, &warrant, number as u64, Outcome::Done),
            );
        }
        let mut tables = world.tables(1, &[]);
        tables.silent_at = Some((at, 2));
        let after = snapshot_of(&mut tables, &Needs::of(&rules, &side.memory), &known);
        let (cycle, _) = side.cycle((&after, Readings::default()), &rules, true);
        assert!(
            cycle.verified.is_empty(),
            "silent at query {at}: {:?} of {:#?}",
            cycle.verified,
            tables.asked
        );
    }
}

#[test]
fn after_a_step_back_of_the_clock_all_sessions_are_read() {
    let (world, rules) = (awake(), rules_of("mode: enforce, when: idle > 1h, action: kill"));
    let known = world.capabilities();
    for (seconds, is_part) in [(0, true), (1, false)] {
        let mut needs = Needs::of(&rules, &Memory::default());
        let last = chrono::DateTime::from_timestamp(world.time(1) + seconds, 0);
        needs.rows.as_mut().expect("a part").after = last;
        let snapshot = snapshot_of(&mut world.tables(1, &[]), &needs, &known);
        assert_eq!(
            snapshot.counted().is_some(),
            is_part,
            "{seconds} s before the last snapshot"
        );
    }
}

/// Whoever was not asked for is neither there nor gone.
#[test]
fn a_part_that_was_asked_for_before_an_action_tells_nothing_of_it() {
    let policies = [
        "mode: enforce, when: idle > 1h, limits: {share: 100%}, action: kill",
        "mode: dry-run, when: idle > 1h, limits: {share: 100%}, action: kill",
        "mode: enforce, when: idle > 1h, action: report",
    ];
    for policy in policies {
        let (world, rules) = (awake(), rules_of(policy));
        let known = world.capabilities();
        let mut side = Side::default();
        let asked_before = Needs::of(&rules, &side.memory);
        let before = snapshot_of(&mut world.tables(0, &[]), &asked_before, &known);
        let (cycle, _) = side.cycle((&before, Readings::default()), &rules, false);
        assert!(!cycle.ruling.warrants.is_empty());
        for (number, warrant) in cycle.ruling.warrants.into_iter().enumerate() {
            let outcome = match (warrant.action(), warrant.mode()) {
                (Action::Report, _) => Outcome::Reported,
                (_, RunMode::DryRun) => Outcome::Assumed,
                (_, RunMode::Enforce) => Outcome::Done,
            };
            remember(
                &mut side.memory,
                Done::seen_in(&before, &warrant, number as u64, outcome),
            );
        }
        let seats = side.memory.watched_seats();
        assert!(!seats.is_empty());
        let after = snapshot_of(&mut world.tables(1, &[]), &asked_before, &known);
        let (cycle, _) = side.cycle((&after, Readings::default()), &rules, true);
        assert!(cycle.verified.is_empty(), "{policy}: {:?}", cycle.verified);
        assert!(cycle.aftermaths.is_empty(), "{policy}: {:?}", cycle.aftermaths);
        assert_eq!(side.memory.watched_seats(), seats, "{policy}");
        assert!(!format!("{:?}", side.memory.refills).contains("Some(Gone") || policy.contains("dry-run"));
    }
}

/// A session without a SID may be any that is looked for.
#[test]
fn nobody_is_gone_while_a_row_without_a_sid_may_be_his() {
    let (world, rules) = (
        awake(),
        rules_of("mode: enforce, when: idle > 1h, limits: {share: 100%}, action: kill"),
    );
    let known = world.capabilities();
    let mut side = Side::default();
    let before = snapshot_of(&mut world.tables(0, &[]), &Needs::of(&rules, &side.memory), &known);
    let (cycle, _) = side.cycle((&before, Readings::default()), &rules, false);
    for (number, warrant) in cycle.ruling.warrants.into_iter().enumerate() {
        remember(
            &mut side.memory,
            Done::seen_in(&before, &warrant, number as u64, Outcome::Done),
        );
    }
    let nameless = world.tables(1, &[]);
    nameless.forget_sids();
    let after = snapshot_of(&mut { nameless }, &Needs::of(&rules, &side.memory), &known);
    assert!(after.counted().is_some());
    let (cycle, _) = side.cycle((&after, Readings::default()), &rules, true);
    assert!(cycle.verified.is_empty(), "{:?}", cycle.verified);
}

/// All that is remembered of a session has it read again, each by itself.
#[test]
fn whoever_is_remembered_is_read_again() {
    let key = SessionKey {
        inst_id: 2,
        sid: 5,
        serial: 1,
        logon_time: DbTime(START),
    };
    let at = chrono::DateTime::from_timestamp(START, 0).expect("in range");
    let (policy, who): (Arc<str>, _) = ("p".into(), ClientGroup::default());
    let mut memories = [(); 5].map(|()| Memory::default());
    let [spared, attempted, reported, rehearsed, awaited] = &mut memories;
    spared.following.spared(&policy, RunMode::Enforce, key, at);
    attempted.following.attempted(key, Outcome::Refused, at, true);
    reported.reported.insert(&policy, key);
    rehearsed.rehearsals.begin(WouldHaveEnded {
        action_id: 1,
        policy: Arc::clone(&policy),
        key,
        who: who.clone(),
        at,
        seen: None,
    });
    awaited.refills.ended(Ended {
        action_id: 1,
        policy,
        mode: RunMode::Enforce,
        key,
        who,
        at,
    });
    for (number, memory) in memories.iter().enumerate() {
        let seats: Vec<(u32, u32)> = memory.watched_seats().into_iter().collect();
        assert_eq!(seats, [(2, 5)], "memory {number}");
    }
}
