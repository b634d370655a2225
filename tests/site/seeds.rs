//! Runs that a seed decides, as many as the environment asks for.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::site::{Driver, drivers};

/// A number in the environment; `None` where the variable is not set.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Makes a run for each seed, two at a time and each driver in its turn: that of `ORAREAPER_SEED` alone, else as many as `variable`
/// says, or `runs`, from `ORAREAPER_FIRST_SEED` on.
pub(crate) fn for_each_seed(variable: &str, runs: u64, run: impl Fn(u64, &Driver) + Sync) {
    let drivers = drivers();
    let driver = |seed: u64| {
        let at = seed % u64::try_from(drivers.len()).expect("few");
        &drivers[usize::try_from(at).expect("few")]
    };
    if let Some(seed) = number("ORAREAPER_SEED") {
        return run(seed, driver(seed));
    }
    let first = number("ORAREAPER_FIRST_SEED").unwrap_or(1);
    let runs = number(variable).unwrap_or(runs);
    let next = AtomicU64::new(first);
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + runs {
                return;
            }
            run(seed, driver(seed));
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(play);
        }
    });
}
