//! `prove`: tries on decoys everything that a kill depends on, and reports what differs from what the daemon assumes.

use std::path::Path;
use std::sync::Arc;

use crate::cli::{ExitStatus, ProveArgs, ProveFormat};
use crate::clock::{Clock, SystemClock};
use crate::commands::run::Signals;
use crate::commands::{deliver, deliverable, fail, load_config, no_database, say, style_for};
use crate::daemon;
use crate::daemon::accounts::AccountMemory;
use crate::daemon::pause::Switch;
use crate::prove::page::page;
use crate::prove::run::{Terms, prove};
use crate::prove::show::{json, text};
use crate::prove::{Finding, Halt, ProofReport, TrialVerdict};
use crate::terminal::visible::visible;

/// Runs the command.
pub(crate) fn run(arguments: &ProveArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    proved(arguments, config, clock).unwrap_or_else(|status| status)
}

fn proved(arguments: &ProveArgs, path: &Path, clock: SystemClock) -> Result<ExitStatus, ExitStatus> {
    let signals = Signals::catch().map_err(|error| fail(&format!("catch signals: {error}")))?;
    let config = load_config(path)?;
    let database = config
        .databases
        .iter()
        .find(|database| *database.name == *arguments.database);
    let database = database.ok_or_else(|| {
        fail(&no_database(
            &arguments.database,
            config.databases.iter().map(|database| &*database.name),
        ))
    })?;
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let switch = Switch::new(&config.state, Arc::clone(&clock)).map_err(|error| {
        fail(&format!(
            "read the kill switch in the state folder {}: {error}; create the folder: `orareaper pause` stops a proof by a file in it",
            config.state.display()
        ))
    })?;
    deliverable(arguments.output.as_deref())?;
    let reach =
        daemon::reach(database, &AccountMemory::of_command(&config.state)).map_err(|error| fail(&error.to_string()))?;
    let terms = Terms {
        reach: &reach,
        switch: &switch,
        clock: &clock,
        stop: &|| signals.stop(),
        poll: database.poll,
        wait: arguments.wait,
        tell: &tell,
        waits: &|what| say(&visible(what)),
    };
    let proof = prove(&terms).map_err(|halt| ended_early(&halt, &arguments.database))?;
    show(arguments, &proof)?;
    Ok(status(&proof))
}

/// A line on standard error while it runs: a proof takes minutes.
fn tell(finding: &Finding) {
    let doing = finding
        .doing
        .map_or_else(String::new, |doing| format!(", {}", doing.name()));
    say(&format!("{}{doing}: {}", finding.what, finding.verdict.name()));
}

fn ended_early(halt: &Halt, database: &str) -> ExitStatus {
    match halt {
        Halt::Interrupted => fail("interrupted: the proof is not complete and not shown; its decoys are logged off"),
        Halt::Paused(why) => fail(&format!(
            "{}: nothing more is sent to {database}, and the decoys are logged off; try again after `orareaper resume`",
            visible(why)
        )),
        Halt::Failed(error) => fail(&format!("prove {database}: {}", visible(&error.to_string()))),
    }
}

fn show(arguments: &ProveArgs, proof: &ProofReport) -> Result<(), ExitStatus> {
    let output = arguments.output.as_deref();
    let shown = match arguments.format {
        ProveFormat::Text => text(proof, style_for(output)),
        ProveFormat::Json => json(proof),
        ProveFormat::Html => page(proof),
    };
    deliver(output, &shown)
}

fn status(proof: &ProofReport) -> ExitStatus {
    if proof.count(TrialVerdict::Differs) > 0 {
        ExitStatus::Findings
    } else if proof.tried_an_action() {
        ExitStatus::Fine
    } else {
        fail("no action could be tried; the report gives the reason for each")
    }
}
