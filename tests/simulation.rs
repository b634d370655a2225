//! Simulation: the daemon's own parts against the simulated database, with everything going wrong that a seed can think of.
//!
//! A run draws a database full of sessions, policies and limits, then lets polls, decisions, actions, reloads, pauses,
//! restarts and crashes take turns while sessions come and go, instances leave, answers are late, wrong or cut off, and the
//! disk is full. After every step the checks hold what was sent against the simulated database's own truth. When the
//! trouble is over, whoever has to go must go.
//!
//! A failure prints its seed, and `ORAREAPER_SEED=n` runs that seed alone. `ORAREAPER_SIMULATIONS=n` runs so many seeds.

#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/setting.rs"]
mod setting;
#[path = "simulation/steps.rs"]
mod steps;
#[path = "simulation/trouble.rs"]
mod trouble;

use std::env;
use std::panic;

use steps::{Run, Summary};

/// Seeds that run when nobody asks for more or for one.
const SEEDS: u64 = 60;

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
            eprintln!("seed {seed} failed; ORAREAPER_SEED={seed} cargo test --test simulation runs it again");
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
    let seeds = number("ORAREAPER_SIMULATIONS").unwrap_or(SEEDS);
    let first = number("ORAREAPER_FIRST_SEED").unwrap_or(1);
    let mut all = Summary::default();
    for seed in first..first + seeds {
        let summary = simulate(seed);
        all.statements += summary.statements;
        all.crashes += summary.crashes;
        all.cycles += summary.cycles;
    }
    println!("{seeds} seeds: {all:?}");
    // A simulation in which nothing happens proves nothing.
    let seeds = usize::try_from(seeds).expect("a number of seeds");
    assert!(all.statements >= 5 * seeds && all.crashes * 4 >= seeds, "{all:?}");
}
