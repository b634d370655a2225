//! Simulation: the daemon's parts against the simulated database, with faults that are drawn from a seed.
//!
//! A run draws a database full of sessions, policies and limits, then lets polls, decisions, actions, reloads, pauses,
//! restarts and crashes take turns while sessions come and go, instances leave, answers are late, wrong or cut off, and the
//! disk is full. After every step the checks compare what was sent with the state of the simulated database. When the faults
//! end, every session that the policies select must be killed.
//!
//! A failure prints its seed, and `ORAREAPER_SEED=n` runs that seed alone. `ORAREAPER_SIMULATIONS=n` runs so many seeds.

pub(crate) mod chance;
mod checks;
mod setting;
mod spy;
mod steps;
mod threads;
mod trouble;

use std::env;
use std::panic;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use steps::{Run, Summary};

/// Seeds that run when nobody asks for more or for one.
const SEEDS: u64 = 20;

/// Of so many runs one crashes at least.
const RUNS_A_CRASH: usize = 4;

const POLITE: &str = "a policy that waits for a commit kept a later, harder one from ever acting on that session";

/// Seeds that once failed, each with what was wrong. They run every time.
const FAILED_ONCE: &[(u64, &str)] = &[
    (10_000_454, POLITE),
    (10_000_805, POLITE),
    (30_000_168, POLITE),
    (30_000_457, POLITE),
    (
        20_000_373,
        "a snapshot whose rows came minutes after its clock: `for:` counted from the clock",
    ),
    (
        20_000_799,
        "the checks, not the daemon: a session that works every few minutes was expected to be met idle twice in succession",
    ),
];

/// Steps with trouble, in each run.
const STEPS: usize = 40;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs one seed, and says which if it fails.
fn simulate(seed: u64) -> Summary {
    match panic::catch_unwind(|| Run::new(seed).play(STEPS)) {
        Ok(summary) => summary,
        Err(panicked) => {
            eprintln!("seed {seed} failed; ORAREAPER_SEED={seed} cargo test --test all simulation:: runs it again");
            panic::resume_unwind(panicked)
        }
    }
}

#[test]
fn nothing_that_goes_wrong_makes_the_daemon_do_wrong() {
    if let Some(seed) = number("ORAREAPER_SEED") {
        println!("seed {seed}: {:?}", simulate(seed));
        return;
    }
    let asked = number("ORAREAPER_SIMULATIONS");
    let seeds = asked.unwrap_or(SEEDS);
    let first = number("ORAREAPER_FIRST_SEED").unwrap_or(1);
    let again = if asked.is_some() { &[] } else { FAILED_ONCE };
    let again_from = AtomicUsize::new(0);
    // Each run has a world, a clock and a folder of its own, so they do not see each other.
    let next = AtomicU64::new(first);
    let play = || {
        let mut all = Summary::default();
        while let Some((seed, wrong)) = again.get(again_from.fetch_add(1, Ordering::Relaxed)) {
            println!("seed {seed} once failed: {wrong}");
            all.add(simulate(*seed));
        }
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return all;
            }
            all.add(simulate(seed));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Summary::default();
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(play)).collect();
        for worker in running {
            match worker.join() {
                Ok(summary) => all.add(summary),
                Err(panicked) => panic::resume_unwind(panicked),
            }
        }
    });
    let runs = usize::try_from(seeds).expect("a number of seeds") + again.len();
    println!("{runs} runs: {all:?}");
    // A simulation in which nothing happens proves nothing: more has to happen in these runs than in their first cycles alone, had
    // they gone by undisturbed.
    assert!(all.statements > all.in_first_cycles, "{all:?}");
    assert!(all.in_first_cycles >= runs, "{all:?}: hardly anybody is wanted");
    assert!(all.crashes * RUNS_A_CRASH >= runs, "{all:?}");
}

#[test]
fn nothing_that_goes_wrong_makes_the_daemon_s_threads_do_wrong() {
    let seeds = [1, 2, 3, 4];
    let sent: usize = seeds.map(threads::play).iter().sum();
    println!("{sent} statements");
    assert!(sent >= seeds.len(), "{sent}");
}

/// Shows that the checks can fail: here a faulty substitute acts in place of the daemon.
mod the_checks {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use orareaper::decide::in_force::RunMode;
    use orareaper::session::SessionKey;
    use orareaper::session::time::DbTime;
    use orasim::backend::ConnectTo;
    use orasim::local::Local;
    use orasim::{SessionView, World};

    use super::chance::Chance;
    use super::checks::{Current, Truth};
    use super::setting::{Rule, Setting, Wanted};

    fn truth() -> Truth {
        let setting = Setting::draw(1, &mut Chance::of(1));
        let world = World::new(setting.scenario);
        let rule = Rule {
            name: "one".into(),
            wanted: Wanted::Everybody,
            longer_than: 0,
            hold: 0,
            enforces: true,
            action: "kill immediate",
            per_cycle: None,
            per_hour: Some(2),
            keeps: false,
        };
        Truth::new(world, vec![rule], setting.limits)
    }

    fn members(world: &World, group: &str) -> Vec<SessionView> {
        let mut sessions = world.sessions();
        sessions.retain(|session| session.group.as_deref() == Some(group));
        assert!(!sessions.is_empty(), "{group}");
        sessions
    }

    fn key(of: &SessionView) -> SessionKey {
        SessionKey {
            inst_id: of.instance,
            sid: of.sid,
            serial: of.serial,
            logon_time: DbTime(of.logon_time.and_utc().timestamp()),
        }
    }

    /// Sends the statement for a session as the daemon would, with an intent for `key`.
    fn kill(truth: &mut Truth, session: &SessionView, key: SessionKey) -> Result<(), String> {
        let world = Arc::clone(&truth.world);
        let mut local = Local::connect(&world, "reaper", &ConnectTo::default()).expect("a login");
        let (sid, serial, instance) = (session.sid, session.serial, session.instance);
        let statement = format!("ALTER SYSTEM KILL SESSION '{sid},{serial},@{instance}' IMMEDIATE");
        // Whatever the database answers is for the checks to judge.
        let _ = local.run(&statement);
        truth.current = Some(Current {
            id: 1,
            key,
            policy: "one".into(),
            mode: RunMode::Enforce,
            issued: world.now().and_utc(),
        });
        let taken = catch_unwind(AssertUnwindSafe(|| truth.take()));
        taken.map_err(|panicked| *panicked.downcast::<String>().unwrap_or_default())
    }

    fn noticed(taken: Result<(), String>, as_what: &str) {
        let told = taken.expect_err(as_what);
        assert!(told.contains(as_what), "{told}");
    }

    #[test]
    fn pass_what_is_right() {
        let mut truth = truth();
        let idle = members(&truth.world, "idle").remove(0);
        assert_eq!(kill(&mut truth, &idle, key(&idle)), Ok(()));
        truth.nothing_else_was_sent();
    }

    #[test]
    fn notice_a_protected_session() {
        for group in ["safe-sys", "safe-backup", "safe-exempt", "xa", "large-undo"] {
            let mut truth = truth();
            let safe = members(&truth.world, group).remove(0);
            noticed(kill(&mut truth, &safe, key(&safe)), "a protected session");
        }
        let mut truth = truth();
        let mut sessions = truth.world.sessions();
        sessions.retain(|session| session.background);
        noticed(kill(&mut truth, &sessions[0], key(&sessions[0])), "a protected session");
    }

    #[test]
    fn notice_another_session_than_the_intent_s() {
        let mut truth = truth();
        let idle = members(&truth.world, "idle").remove(0);
        let other = SessionKey {
            serial: idle.serial + 1,
            ..key(&idle)
        };
        assert!(kill(&mut truth, &idle, other).is_err());
    }

    #[test]
    fn notice_who_does_not_deserve_it_and_who_is_met_again() {
        let mut truth = truth();
        let idle = members(&truth.world, "idle").remove(0);
        truth.rules[0].longer_than = 1_000_000;
        noticed(kill(&mut truth, &idle, key(&idle)), "does not want");
        let mut again = self::truth();
        let stays = members(&again.world, "safe-sys").remove(0);
        // Nobody is hit, so that the same key can be sent twice.
        let gone = SessionView {
            serial: stays.serial + 7,
            ..stays
        };
        assert_eq!(kill(&mut again, &gone, key(&gone)), Ok(()));
        noticed(kill(&mut again, &gone, key(&gone)), "twice in one cycle");
    }

    #[test]
    fn notice_what_is_sent_unarmed_without_an_intent_or_above_a_budget() {
        let mut unarmed = truth();
        unarmed.armed = false;
        let idle = members(&unarmed.world, "idle").remove(0);
        noticed(kill(&mut unarmed, &idle, key(&idle)), "sent while armed is false");
        let mut truth = truth();
        truth.limits.per_cycle = None;
        truth.limits.per_hour = None;
        let sessions = truth.world.sessions();
        let mut wanted = sessions.iter().filter(|session| !super::setting::is_safe(session));
        for _ in 0..2 {
            let one = wanted.next().expect("enough of them");
            assert_eq!(kill(&mut truth, one, key(one)), Ok(()));
        }
        let third = wanted.next().expect("enough of them");
        noticed(kill(&mut truth, third, key(third)), "are above Some(2)");
        let mut local = Local::connect(&truth.world, "reaper", &ConnectTo::default()).expect("a login");
        let _ = local.run("ALTER SYSTEM KILL SESSION '1,1,@1'");
        let unseen = catch_unwind(AssertUnwindSafe(|| truth.nothing_else_was_sent()));
        assert!(unseen.is_err());
    }
}
