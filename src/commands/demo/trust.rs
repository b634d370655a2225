//! What a DBA does before a daemon may act: `doctor` examines the database, `prove` tries each action on decoys.
//!
//! Both are shown as their commands show them. They run on a second copy of the simulated database, so that the demo does not
//! count the statements that end the decoys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orasim::{Scenario, World};

use crate::clock::{Clock, PacedClock};
use crate::commands::demo::narrator::{Ink, tell};
use crate::commands::demo::{DemoCheck, SPEED, check, serve};
use crate::commands::run::Signals;
use crate::commands::terminal_style;
use crate::config::{Config, DatabaseConfig};
use crate::daemon;
use crate::daemon::pause::Switch;
use crate::doctor::{Examined, database::examine};
use crate::policy::model::PolicySet;
use crate::prove::page::page;
use crate::prove::run::{Terms, prove};
use crate::prove::{Halt, ProofReport, TrialVerdict};
use crate::{doctor, prove};

/// How long a decoy is followed.
const WAIT: Duration = Duration::from_secs(5);

/// Examines a copy of the scenario's database and proves the actions on it; `None` if somebody interrupted it.
///
/// # Errors
/// When the copy cannot be served, or the proof could not be completed.
pub(super) fn establish(
    scenario: &Scenario,
    config: impl FnOnce(&orasim::Server) -> Result<Config, String>,
    set: &Arc<PolicySet>,
    (clock, signals): (PacedClock, &Signals),
    ink: Ink,
) -> Result<Option<Vec<DemoCheck>>, String> {
    // The copy uses this host's clock, because `doctor` compares the two clocks.
    let scenario = Scenario {
        starts: None,
        ..scenario.clone()
    };
    let world = World::new(scenario);
    let mut server = serve(&world)?;
    let config = config(&server)?;
    let [database] = config.databases.as_slice() else {
        return Err("the demo has one database".into());
    };
    tell(&ink.bold("$ orareaper doctor prod"));
    let examined = examine(database, set, &Arc::default(), clock.host);
    tell(&doctor::show::text(std::slice::from_ref(&examined), terminal_style()));
    // A plain KILL of a busy session waits for a minute.
    world.set_speed(f64::from(SPEED));
    tell(&ink.bold("$ orareaper prove prod"));
    let proof = match proof(&config, database, (Arc::new(clock), signals)) {
        Ok(proof) => proof,
        Err(Halt::Interrupted) => return Ok(None),
        Err(Halt::Paused(why)) => return Err(format!("prove prod: {why}")),
        Err(Halt::Failed(error)) => return Err(format!("prove prod: {error}")),
    };
    tell(&prove::show::text(&proof, terminal_style()));
    write(&config.state, &proof)?;
    server.stop();
    Ok(Some(checks(&examined, &proof)))
}

fn proof(
    config: &Config,
    database: &DatabaseConfig,
    (clock, signals): (Arc<dyn Clock>, &Signals),
) -> Result<ProofReport, Halt> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| Halt::Paused(format!("{what}: {error}"));
    let switch = Switch::new(&config.state, Arc::clone(&clock)).map_err(|error| unusable("the kill switch", &error))?;
    let reach = daemon::reach(database, &Arc::default()).map_err(|error| unusable("the password", &error))?;
    prove(&Terms {
        reach: &reach,
        switch: &switch,
        clock: &clock,
        stop: &|| signals.stop(),
        poll: database.poll,
        wait: WAIT,
        tell: &|_| (),
        waits: &|_| (),
    })
}

fn write(folder: &Path, proof: &ProofReport) -> Result<(), String> {
    let file = folder.join("proof.html");
    std::fs::write(&file, page(proof)).map_err(|error| format!("write {}: {error}", file.display()))
}

fn checks(examined: &Examined, proof: &ProofReport) -> Vec<DemoCheck> {
    let [as_assumed, differs, untried] = TrialVerdict::ALL.map(|verdict| proof.count(verdict));
    vec![
        check(
            format!(
                "doctor examined {} things, and nothing is missing",
                examined.checks.len()
            ),
            examined.reached && !examined.has_findings(),
        ),
        check(
            format!("prove found {as_assumed} things as assumed, {differs} different; {untried} could not be tried"),
            as_assumed > 0 && differs == 0 && proof.tried_an_action(),
        ),
    ]
}
