//! Simulation: the daemon's parts against simulated databases, on simulated time, with everything that goes wrong drawn from a seed.
//!
//! A run draws databases full of sessions, entries of the configuration that lead to them, policies and limits. Then polls, decisions,
//! actions, reloads, pauses, restarts and crashes take turns, one within another's waits too, while sessions come and go, instances
//! leave, clocks are set, answers are late, wrong or cut off, and the disk is full. One thread does all of it, and nothing waits in
//! real time: a seed always comes to the same.
//!
//! - `base`, `groups`, `views`, `statements`, `faults`, `connection`: the simulated database, and connections to it behind the daemon's traits.
//! - `setting`, `rules`: what a seed draws.
//! - `stage`, `part`, `run`: the daemon's own poller, actors, loops, journal and switch, and the order of their turns.
//! - `hosts`, `locks`: several daemons on one database, of which one leads by a lock, and the lock.
//! - `accounts`: passwords that change, in the database and in files.
//! - `operators`: who orders a session's end by hand.
//! - `leads`: who leads, at the moment at which the database carries a statement out.
//! - `spy`, `judge`, `memory`: each statement, at the moment it is sent, against the database's own state.
//! - `threads`: the same with the daemon's threads, over the wire, for a few seeds.
//!
//! A failure prints its seed, and `ORAREAPER_SEED=n` runs that seed alone. `ORAREAPER_SIMULATIONS=n` runs so many seeds, from
//! `ORAREAPER_FIRST_SEED` on.

mod accounts;
mod base;
pub(crate) mod chance;
mod connection;
mod faults;
mod groups;
mod hosts;
mod judge;
mod judge_tests;
mod leads;
mod leads_tests;
mod locks;
mod memory;
mod operators;
mod part;
mod rules;
mod run;
mod setting;
mod spy;
mod stage;
mod statements;
mod threads;
mod threads_setting;
mod threads_trouble;
mod views;

use std::panic;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use run::{Run, Summary};

use crate::site::seeds::number;

/// Seeds that run when nobody asks for more or for one.
const SEEDS: u64 = 60;

/// After so many failures no further seeds are begun.
const MOST_FAILURES: usize = 40;

/// Turns with trouble, in each run.
const TURNS: usize = 16;

/// Runs one seed, and says which if it fails.
fn simulate(seed: u64) -> Summary {
    match panic::catch_unwind(|| Run::new(seed).play(TURNS)) {
        Ok(summary) => summary,
        Err(panicked) => {
            eprintln!("seed {seed} failed; ORAREAPER_SEED={seed} cargo test --test all simulation:: runs it again");
            panic::resume_unwind(panicked)
        }
    }
}

/// Runs so many seeds, and says how fast.
#[allow(clippy::disallowed_methods, reason = "how fast a test is is read off a clock")]
fn simulate_all(seeds: std::ops::Range<u64>) -> Summary {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicUsize::new(0));
    let began = std::time::Instant::now();
    let play = || {
        let mut all = Summary::default();
        loop {
            let block = next.fetch_add(setting::ALIKE, Ordering::Relaxed);
            if block >= seeds.end || failed.load(Ordering::Relaxed) >= MOST_FAILURES {
                return all;
            }
            for seed in block..(block + setting::ALIKE).min(seeds.end) {
                match panic::catch_unwind(|| simulate(seed)) {
                    Ok(summary) => all.add(summary),
                    Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                }
            }
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
    let (count, took) = (seeds.end - seeds.start, began.elapsed());
    let a_second = u128::from(count) * 1000 / took.as_millis().max(1);
    let failed = failed.into_inner();
    println!("seeds {seeds:?}: {count} runs in {took:.1?}, {a_second} a second: {all:?}");
    assert_eq!(failed, 0, "failed seeds are named above");
    all
}

#[test]
fn nothing_that_goes_wrong_makes_the_daemon_do_wrong() {
    if let Some(seed) = number("ORAREAPER_SEED") {
        println!("seed {seed}: {:?}", simulate(seed));
        return;
    }
    let seeds = number("ORAREAPER_SIMULATIONS").unwrap_or(SEEDS);
    let first = number("ORAREAPER_FIRST_SEED").unwrap_or(1);
    let all = simulate_all(first..first + seeds);
    // A simulation in which nothing happens proves nothing.
    let runs = usize::try_from(seeds).expect("a number of seeds");
    assert!(all.statements >= runs, "{all:?}");
    assert!(all.crashes * 4 >= runs, "{all:?}");
    let rare = all.escalations.min(all.side_by_side).min(all.by_hand);
    assert!(runs < 1_000 || rare * 50 >= runs, "{all:?}");
}

#[test]
fn a_seed_always_comes_to_the_same() {
    for seed in [1, 30, 60] {
        let [one, other] = [simulate(seed), simulate(seed)];
        assert_eq!(one, other, "seed {seed}");
    }
}

#[test]
fn nothing_that_goes_wrong_makes_the_daemon_s_threads_do_wrong() {
    let seeds = [1, 2, 3, 4];
    let sent: usize = seeds.map(threads::play).iter().sum();
    println!("{sent} statements");
    assert!(sent >= seeds.len(), "{sent}");
}
