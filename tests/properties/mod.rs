//! The guarantees, checked against a slow and obvious reference over random databases, policies, histories and answers.
//!
//! Policies go through the daemon's own reader as text, snapshots through its own columns, decisions through `cycle`. What
//! breaks a property is shrunk and printed; `PROPTEST_RNG_SEED` runs one seed again.

mod pressure;
mod reference;
mod world;

use std::collections::BTreeMap;

use orareaper::decide::cycle::{Cycle, Done, Memory, cycle, remember};
use orareaper::decide::guard::{Warrant, still_deserved};
use orareaper::decide::in_force::RunMode;
use orareaper::decide::outcome::Outcome;
use orareaper::decide::pressure::Readings;
use orareaper::decide::reason::{Refusal, Spared, Why};
use orareaper::session::SessionKey;
use orareaper::session::snapshot::Snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

use self::reference::{Act, Attempt, Reference};
use self::world::{MOST_SNAPSHOTS, Rules, World, facts, in_force, refilling, rules, world};

const MODES: [&str; 5] = ["enforce", "enforce", "dry-run", "dry-run", "off"];

fn answers() -> impl Strategy<Value = Vec<Outcome>> {
    vec(
        select(vec![
            Outcome::Done,
            Outcome::Done,
            Outcome::Marked,
            Outcome::Unknown,
            Outcome::Failed,
            Outcome::Refused,
            Outcome::AlreadyGone,
            Outcome::NoLongerMatches,
            Outcome::Unchecked,
            Outcome::Protected,
        ]),
        1..12,
    )
}

/// One cycle of the daemon.
fn run(
    memory: &mut Memory,
    world: &World,
    rules: &Rules,
    at: usize,
    people: &[usize],
    armed: (bool, bool),
) -> (Cycle, Snapshot) {
    let set = rules.set(at);
    let snapshot = world.snapshot(at, people, &set);
    let (in_force, facts) = (in_force(&set, rules.limits, armed.0, armed.1), facts());
    let terms = world.terms(at, &in_force, &facts);
    (cycle(memory, &snapshot, Readings::default(), &terms), snapshot)
}

fn outcome(warrant: &Warrant, real: Outcome) -> Outcome {
    match warrant.mode() {
        RunMode::DryRun => Outcome::Assumed,
        RunMode::Enforce => real,
    }
}

fn attempt(outcome: Outcome) -> Option<Attempt> {
    match outcome {
        Outcome::Refused => Some(Attempt::Refused),
        Outcome::Unsupported | Outcome::Failed => Some(Attempt::Failed),
        Outcome::Done | Outcome::Marked => Some(Attempt::Sent),
        Outcome::Unknown => Some(Attempt::Unknown),
        // Nothing was sent.
        Outcome::AlreadyGone
        | Outcome::NoLongerMatches
        | Outcome::Protected
        | Outcome::Unchecked
        | Outcome::Expired
        | Outcome::Revoked
        | Outcome::Assumed
        | Outcome::Reported => None,
    }
}

/// Who a warrant is for.
fn person(world: &World, people: &[usize], key: SessionKey) -> usize {
    let is = |number: &&usize| {
        let person = &world.people[**number];
        (person.inst_id, person.sid, person.serial, person.logon)
            == (
                key.inst_id.into(),
                key.sid.into(),
                key.serial.into(),
                Some(key.logon_time.0),
            )
    };
    *people
        .iter()
        .find(is)
        .expect("a warrant is for a session of the snapshot")
}

/// Runs all cycles with every policy acting, and holds each decision against the reference. How many sessions were left alone
/// because their group refills?
fn decides_as_the_reference(world: &World, rules: &Rules, answers: &[Outcome]) -> Result<usize, TestCaseError> {
    let reference = Reference { world, rules };
    let (mut memory, mut acts, mut next) = (Memory::default(), Vec::new(), 0);
    let mut left_alone = 0;
    for at in 0..world.moments.len() {
        let people = world.shown(at);
        let (cycle, _) = run(&mut memory, world, rules, at, &people, (true, false));
        let decisions = cycle.ruling.decisions.iter();
        let decided: Vec<_> = decisions
            .clone()
            .map(|decision| (decision.policy, people[decision.row], decision.verdict().name()))
            .collect();
        prop_assert_eq!(decided, reference.decide(at, &acts), "snapshot {}", at);
        left_alone += decisions
            .filter(|decision| matches!(decision.why, Why::Refused(Refusal::Suspended(_))))
            .count();
        for warrant in &cycle.ruling.warrants {
            let outcome = outcome(warrant, answers[next % answers.len()]);
            next += 1;
            let policy = warrant
                .set()
                .policies
                .iter()
                .position(|policy| policy.name == warrant.policy().name);
            acts.push(Act {
                at,
                policy: policy.expect("of the set"),
                person: person(world, &people, warrant.key()),
                counts: !matches!(
                    outcome,
                    Outcome::AlreadyGone | Outcome::NoLongerMatches | Outcome::Unchecked | Outcome::Protected
                ),
                spared: matches!(
                    outcome,
                    Outcome::NoLongerMatches | Outcome::Unchecked | Outcome::Protected
                ),
                followed: matches!(outcome, Outcome::Done | Outcome::Marked | Outcome::Unknown),
                attempt: attempt(outcome),
            });
            remember(&mut memory, Done::of(warrant, next as u64, outcome, None));
        }
    }
    Ok(left_alone)
}

/// The same where pools refill: nearly everybody is of one group, is taken, and is followed by another.
#[test]
fn pools_that_refill_are_left_alone_as_the_reference_says() {
    let left_alone = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = (refilling(), rules(vec!["enforce"]), answers());
    let ran = TestRunner::new(config).run(&strategy, |(world, mut rules, answers)| {
        rules.take_freely();
        left_alone.set(left_alone.get() + decides_as_the_reference(&world, &rules, &answers)?);
        Ok(())
    });
    ran.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(left_alone.get() > 300, "{} is no proof", left_alone.get());
}

fn is_permitted(reference: &Reference<'_>, at: usize, warrant: &Warrant, policy: usize, number: usize) -> bool {
    let (rule, person) = (&reference.rules.rules[policy], &reference.world.people[number]);
    let real = warrant.mode() == RunMode::Enforce;
    reference.world.is_complete(at, person.inst_id)
        && reference.matches(at, rule, person)
        && !reference.is_protected(at, rule, person)
        && !reference.is_exempt(at, person)
        && reference.is_held(at, rule, number)
        && rule.mode != "off"
        && (!real || rule.mode == "enforce")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where every policy acts, the reference knows every decision: whom, by which policy, and what stands in the way.
    #[test]
    fn decisions_are_those_of_the_reference(
        world in world(), rules in rules(vec!["enforce", "enforce", "enforce", "off"]), answers in answers(),
    ) {
        decides_as_the_reference(&world, &rules, &answers)?;
    }

    /// In all combinations of modes and `armed`: no session is taken that may not be, no statement is sent where none may be, and
    /// real actions stay within the budgets in every window.
    #[test]
    fn warrants_are_for_those_who_may_be_taken(
        world in world(), rules in rules(MODES.to_vec()), answers in answers(), armed in any::<bool>(), dry_run in any::<bool>(),
    ) {
        let reference = Reference { world: &world, rules: &rules };
        let (mut memory, mut next) = (Memory::default(), 0);
        let mut real: Vec<(i64, usize)> = Vec::new();
        for at in 0..world.moments.len() {
            let people = world.shown(at);
            let (cycle, _) = run(&mut memory, &world, &rules, at, &people, (armed, dry_run));
            let mut keys: BTreeMap<(SessionKey, bool), usize> = BTreeMap::new();
            let mut now: Vec<usize> = Vec::new();
            for warrant in &cycle.ruling.warrants {
                let policy: usize = warrant.policy().name[1..].parse().expect("p and a number");
                let number = person(&world, &people, warrant.key());
                prop_assert!(is_permitted(&reference, at, warrant, policy, number), "{warrant:?}");
                let is_real = warrant.mode() == RunMode::Enforce;
                prop_assert!(!is_real || (armed && !dry_run));
                // In the world of enforced policies and in that of watched ones, each session is taken once.
                let enforced = rules.rules[policy].mode == "enforce";
                *keys.entry((warrant.key(), enforced)).or_default() += 1;
                let outcome = outcome(warrant, answers[next % answers.len()]);
                next += 1;
                if is_real {
                    now.push(policy);
                    if outcome.counts() {
                        real.push((world.time(at), policy));
                    }
                }
                remember(&mut memory, Done::of(warrant, next as u64, outcome, None));
            }
            prop_assert!(keys.values().all(|taken| *taken == 1));
            within_budgets(&rules, world.time(at), &now, &real)?;
        }
    }

    /// A dry run differs in the last step alone: where a real kill ends a session at once, arming the database changes
    /// nothing about any other session, in any mode of any policy.
    #[test]
    fn arming_changes_the_last_step_alone(mut world in world(), rules in rules(MODES.to_vec())) {
        // One seat each, at sight for less than an hour: who comes back after a kill would not come back from a real one.
        for (number, person) in world.people.iter_mut().enumerate() {
            person.sid = number as i64 + 1;
        }
        for moment in &mut world.moments {
            moment.step = moment.step.min(310);
        }
        let (mut armed, mut unarmed) = (Memory::default(), Memory::default());
        let mut killed: Vec<usize> = Vec::new();
        for at in 0..world.moments.len() {
            let all = world.shown(at);
            let left: Vec<usize> = all.iter().copied().filter(|number| !killed.contains(number)).collect();
            let (real, seen_armed) = run(&mut armed, &world, &rules, at, &left, (true, false));
            let (rehearsed, seen_unarmed) = run(&mut unarmed, &world, &rules, at, &all, (false, false));
            let set = rules.set(at);
            let told = |cycle: &Cycle, people: &[usize], seen: &Snapshot| -> Vec<_> {
                cycle.ruling.decisions.iter()
                    .map(|decision| (decision.policy, people[decision.row], decision.verdict(), decision.reason(&set, seen)))
                    .filter(|(_, number, ..)| !killed.contains(number))
                    .collect()
            };
            prop_assert_eq!(told(&real, &left, &seen_armed), told(&rehearsed, &all, &seen_unarmed), "snapshot {}", at);
            prop_assert!(rehearsed.ruling.warrants.iter().all(|warrant| warrant.mode() == RunMode::DryRun));
            for (memory, cycle) in [(&mut armed, &real), (&mut unarmed, &rehearsed)] {
                for warrant in &cycle.ruling.warrants {
                    remember(memory, Done::of(warrant, 1, outcome(warrant, Outcome::Done), None));
                }
            }
            let ended = real.ruling.warrants.iter().filter(|warrant| warrant.mode() == RunMode::Enforce);
            killed.extend(ended.map(|warrant| person(&world, &left, warrant.key())));
        }
    }

    /// Read again, a session is taken if and only if it is the same one and the snapshot's rules would still take it.
    #[test]
    fn what_is_read_again_is_judged_as_before(
        world in world(), rules in rules(vec!["enforce"]), other in any::<Index>(), state in any::<Index>(), same in any::<bool>(),
    ) {
        let people = world.shown(0);
        let (cycle, _) = run(&mut Memory::default(), &world, &rules, 0, &people, (true, false));
        for warrant in &cycle.ruling.warrants {
            let policy: usize = warrant.policy().name[1..].parse().expect("p and a number");
            let number = person(&world, &people, warrant.key());
            // The seat has another occupant, or the same one in another state and with another account.
            let mut later = world.clone();
            later.moments[0].missing = later.moments.last().expect("two at least").missing;
            let changed = other.get(&world.people).clone();
            let before = later.people[number].clone();
            let seat = &mut later.people[number];
            seat.states[0] = changed.states[state.index(MOST_SNAPSHOTS)].clone();
            (seat.kind, seat.username, seat.program, seat.module) = (changed.kind, changed.username, changed.program, changed.module);
            if !same {
                (seat.serial, seat.logon) = (changed.serial, changed.logon);
            }
            let again = later.snapshot(0, &[number], &rules.set(0));
            let judged = still_deserved(warrant, &again, &facts(), &rules.limits, world.now(0).date_naive());
            let reference = Reference { world: &later, rules: &rules };
            let (rule, seat) = (&rules.rules[policy], &later.people[number]);
            let is_same = (before.serial, before.logon) == (seat.serial, seat.logon);
            let expected = if !is_same {
                "already_gone"
            } else if reference.is_protected(0, rule, seat) {
                "protected"
            } else if reference.is_exempt(0, seat) {
                "exempt"
            } else if reference.matches(0, rule, seat) {
                "deserved"
            } else {
                "no_longer_matches"
            };
            let judged = match judged {
                Ok(_) => "deserved",
                Err(Spared::Protected(..)) => "protected",
                Err(Spared::Gone) => "already_gone",
                Err(Spared::Exempt) => "exempt",
                Err(Spared::ConditionNoLongerHolds) => "no_longer_matches",
            };
            prop_assert_eq!(judged, expected);
        }
    }
}

/// The actions of this cycle and those that counted before it, in every window that ends now.
fn within_budgets(rules: &Rules, time: i64, now: &[usize], counted: &[(i64, usize)]) -> Result<(), TestCaseError> {
    let before = |seconds: i64, policy: Option<usize>| {
        let earlier = counted
            .iter()
            .filter(|(at, by)| *at < time && time - at < seconds && policy.is_none_or(|policy| policy == *by));
        earlier.count()
    };
    let under = |limit: Option<u32>, taken: usize| taken == 0 || limit.is_none_or(|limit| taken <= limit as usize);
    let total = |seconds, policy: Option<usize>| {
        let this = now
            .iter()
            .filter(|by| policy.is_none_or(|policy| policy == **by))
            .count();
        if this == 0 { 0 } else { this + before(seconds, policy) }
    };
    prop_assert!(under(Some(rules.limits.per_cycle), now.len()));
    prop_assert!(under(Some(rules.limits.per_hour), total(3600, None)));
    prop_assert!(under(rules.limits.per_day, total(86_400, None)));
    for (policy, rule) in rules.rules.iter().enumerate() {
        prop_assert!(under(rule.per_cycle, total(0, Some(policy))));
        prop_assert!(under(rule.per_hour, total(3600, Some(policy))));
        prop_assert!(under(rule.per_day, total(86_400, Some(policy))));
    }
    Ok(())
}
