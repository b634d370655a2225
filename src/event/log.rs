//! An event as a log line.
//!
//! The message is fixed and everything else is a field, so that a JSON log can be filtered. A field has the same name and the same
//! meaning in all lines: `id` is the number of the action, `session` is SID,SERIAL#,@INST_ID. Texts are string fields, which the
//! subscriber quotes and escapes, so a line feed in a program name does not begin a new line.

use tracing::{debug, error, info, warn};

use crate::decide::outcome::Outcome;
use crate::decide::refill::Return;
use crate::decide::used_again::{Aftermath, Afterwards};
use crate::decide::verify::{Proof, Verification};
use crate::event::{
    CycleReport, DeletedFile, Event, ExemptionEnd, InForceReport, Intent, JournalGap, Outcomed, PolicyLoad,
};
use crate::session::time::iso;

impl Event {
    /// Writes the log line.
    pub(crate) fn log(&self) {
        match self {
            Event::Started { version, dry_run } => info!(version, dry_run, "started"),
            Event::Stopping { reason } => info!(reason = reason.as_str(), "stopping"),
            Event::Policies(PolicyLoad::Loaded(loaded)) => log_loaded(loaded),
            Event::Policies(PolicyLoad::Failed { error }) => log_not_loaded(error),
            Event::WebConfig { error } => log_web_config(error.as_deref()),
            Event::DatabaseUp {
                database,
                instances,
                release,
            } => log_up(database, instances, release),
            Event::DatabaseDown { database, error } => {
                error!(database = &**database, error = error.as_str(), "database is down");
            }
            Event::DriverError { database, class, error } => {
                let (class, error) = (class.name(), error.as_str());
                warn!(database = &**database, class, error, "call failed");
            }
            Event::Acting {
                database,
                connections,
                hanging,
            } => log_acting(database, connections, *hanging),
            Event::Intent(intent) => log_intent(intent),
            Event::Outcome(outcomed) => log_outcome(outcomed),
            Event::Dropped(outcomed) => log_dropped(outcomed),
            Event::Verification { database, verification } => log_verification(database, verification),
            Event::BreakerOpened {
                database,
                policy,
                mode,
                reason,
            } => log_breaker_opened(database, policy, mode.name(), reason),
            Event::BreakerClosed { database, policy, mode } => {
                let (database, policy, mode) = (&**database, &**policy, mode.name());
                info!(database, policy, mode, "breaker closed");
            }
            Event::CameBack { database, back } => log_return(database, back),
            Event::Rehearsed { database, aftermath } => log_aftermath(database, aftermath),
            Event::GroupSuspended {
                database,
                policy,
                who,
                reason,
            } => {
                let (group, reason) = (who.to_string(), reason.as_str());
                let message = "policy is suspended for a group that refills";
                warn!(database = &**database, policy = &**policy, group, reason, "{message}");
            }
            Event::GroupReleased { database, policy, who } => {
                let group = who.to_string();
                let message = "policy is no longer suspended for a group";
                info!(database = &**database, policy = &**policy, group, "{message}");
            }
            Event::Cycle(report) => log_cycle(report),
            Event::Paused { by, reason, .. } => log_paused(by, reason),
            Event::Resumed { by } => info!(by = by.as_str(), "resumed"),
            Event::JournalFails { error } => log_journal(error),
            Event::JournalAgain(gap) => log_gap(gap),
            Event::Retention(deleted) => log_retention(deleted),
            Event::ExemptionEnds(end) => log_exemption(end),
        }
    }
}

fn log_journal(error: &str) {
    error!(error, "the journal cannot be written, so no session is acted on");
}

fn log_exemption(end: &ExemptionEnd) {
    let (owner, reason, origin) = (end.owner.as_str(), end.reason.as_str(), end.origin.as_str());
    let last_day = end.last_day.to_string();
    warn!(owner, reason, last_day, origin, "an exemption ends soon");
}

fn log_cycle(report: &CycleReport) {
    let sessions: usize = report.sessions.iter().map(|count| count.count).sum();
    let warrants: usize = report.policies.iter().map(|policy| policy.warrants).sum();
    let spared: usize = report.policies.iter().flat_map(|policy| policy.spared.values()).sum();
    debug!(database = &*report.database, sessions, warrants, spared, "cycle done");
}

fn log_not_loaded(error: &str) {
    error!(error, "reload failed; what was in force stays in force");
}

fn log_web_config(error: Option<&str>) {
    match error {
        None => info!("the web configuration was read anew"),
        Some(error) => error!(
            error,
            "the web configuration cannot be used; what protected the pages stays in force"
        ),
    }
}

fn log_up(database: &str, instances: &[(u32, String)], release: &str) {
    let names: Vec<&str> = instances.iter().map(|(_, name)| name.as_str()).collect();
    info!(database, instances = names.join(", "), release, "database is up");
}

fn log_acting(database: &str, connections: &[(Option<u32>, bool)], hanging: usize) {
    let name = |inst_id: Option<u32>| inst_id.map_or_else(|| "any".to_owned(), |inst_id| inst_id.to_string());
    let inst_ids = |open: bool| {
        let chosen = connections.iter().filter(|(_, is_open)| *is_open == open);
        let names: Vec<String> = chosen.map(|(inst_id, _)| name(*inst_id)).collect();
        // A field without a value is left out.
        (!names.is_empty()).then(|| names.join(", "))
    };
    let (open, missing) = (inst_ids(true), inst_ids(false));
    if hanging > 0 {
        warn!(
            database,
            inst_ids = open,
            hanging,
            "connections for actions hang in a call of the driver"
        );
    }
    if missing.is_none() {
        info!(database, inst_ids = open, "connections for actions are open");
    } else {
        warn!(
            database,
            inst_ids = open,
            missing_inst_ids = missing,
            "a connection for actions is missing"
        );
    }
}

fn log_paused(by: &str, reason: &str) {
    warn!(by, reason, "paused: no action is taken on any database");
}

fn log_breaker_opened(database: &str, policy: &str, mode: &str, reason: &str) {
    warn!(database, policy, mode, reason, "breaker opened");
}

fn log_gap(gap: &JournalGap) {
    let (error, since) = (gap.error.as_str(), iso(gap.since));
    let (refused, lost) = (gap.refused, gap.lost);
    warn!(%since, error, refused, lost, "the journal can be written again");
}

fn log_retention(deleted: &DeletedFile) {
    info!(
        reason = deleted.reason.as_str(),
        bytes = deleted.bytes,
        records = deleted.records,
        from = %iso(deleted.from),
        to = %iso(deleted.to),
        through = deleted.through.as_str(),
        "retention deletes the journal's oldest file"
    );
}

fn log_return(database: &str, back: &Return) {
    info!(
        id = back.ended.action_id,
        database,
        session = %back.key,
        killed_session = %back.ended.key,
        group = back.ended.who.to_string(),
        policy = &*back.ended.policy,
        mode = back.ended.mode.name(),
        logon_time = %iso(back.at),
        "session came back"
    );
}

fn log_aftermath(database: &str, aftermath: &Aftermath) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            $level!(
                id = aftermath.action_id,
                database,
                session = %aftermath.key,
                policy = &*aftermath.policy,
                afterwards = aftermath.afterwards.name(),
                after_seconds = aftermath.after.num_seconds(),
                $message
            )
        };
    }
    match aftermath.afterwards {
        Afterwards::UsedAgain => line!(warn, "a session that a dry run would have ended was used again"),
        Afterwards::Validated => line!(
            info,
            "a session that a dry run would have ended made a call, perhaps to validate it"
        ),
        Afterwards::Ended => line!(debug, "a session that a dry run would have ended has ended by itself"),
        Afterwards::Lost => line!(debug, "a session that a dry run would have ended is no longer watched"),
    }
}

fn log_loaded(loaded: &InForceReport) {
    info!(
        policies = loaded.policies,
        exemptions = loaded.exemptions,
        digest = &*loaded.digest,
        "policies loaded"
    );
    if !loaded.lost.is_empty() {
        warn!(
            lost = loaded.lost.join("; "),
            count = loaded.lost.len(),
            "policies or exemptions are no longer in force"
        );
    }
    for database in &loaded.databases {
        let acting = database
            .policies
            .iter()
            .filter(|policy| policy.mode == crate::decide::in_force::RunMode::Enforce);
        info!(
            database = &*database.database,
            driver = database.driver,
            armed = database.armed,
            policies = database.policies.len(),
            enforced_policies = acting.count(),
            "watching database"
        );
    }
}

fn log_intent(intent: &Intent) {
    info!(
        id = intent.id,
        database = &*intent.database,
        session = %intent.key,
        username = intent.username.as_deref(),
        program = intent.program.as_deref(),
        machine = intent.machine.as_deref(),
        policy = &*intent.policy,
        mode = intent.mode.name(),
        action = intent.action.name(),
        operator = intent.operator.as_deref(),
        reason = intent.reason.as_str(),
        "about to act"
    );
}

fn log_dropped(outcomed: &Outcomed) {
    warn!(
        id = outcomed.intent.id,
        database = &*outcomed.intent.database,
        session = %outcomed.intent.key,
        username = outcomed.intent.username.as_deref(),
        policy = &*outcomed.intent.policy,
        mode = outcomed.intent.mode.name(),
        action = outcomed.intent.action.name(),
        outcome = outcomed.outcome.name(),
        answer = outcomed.message.as_deref(),
        "action dropped"
    );
}

fn log_outcome(outcomed: &Outcomed) {
    macro_rules! line {
        ($level:ident) => {
            $level!(
                id = outcomed.intent.id,
                database = &*outcomed.intent.database,
                session = %outcomed.intent.key,
                username = outcomed.intent.username.as_deref(),
                program = outcomed.intent.program.as_deref(),
                machine = outcomed.intent.machine.as_deref(),
                policy = &*outcomed.intent.policy,
                mode = outcomed.intent.mode.name(),
                action = outcomed.intent.action.name(),
                reason = outcomed.intent.reason.as_str(),
                outcome = outcomed.outcome.name(),
                statement = outcomed.statement.as_deref(),
                code = outcomed.code,
                answer = outcomed.message.as_deref(),
                "action ended"
            )
        };
    }
    match outcomed.outcome {
        Outcome::Done
        | Outcome::Marked
        | Outcome::AlreadyGone
        | Outcome::NoLongerMatches
        | Outcome::Protected
        | Outcome::Assumed
        | Outcome::Reported => line!(info),
        Outcome::Unchecked
        | Outcome::Refused
        | Outcome::Unsupported
        | Outcome::Failed
        | Outcome::Unknown
        | Outcome::Expired
        | Outcome::Revoked => line!(warn),
    }
}

fn log_verification(database: &str, verification: &Verification) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            $level!(
                id = verification.followed.action_id,
                database,
                session = %verification.key,
                policy = &*verification.followed.policy,
                mode = verification.followed.mode.name(),
                action = verification.followed.action.name(),
                proof = verification.proof.name(),
                $message
            )
        };
    }
    match verification.proof {
        Proof::Gone | Proof::ResourcesFreed | Proof::Cancelled => line!(info, "action verified"),
        Proof::NotSent => line!(
            warn,
            "the kill with unknown outcome was not carried out; the session may be acted on again"
        ),
        Proof::Lingers => line!(warn, "session lingers"),
        Proof::DeadlinePassed => line!(warn, "session is still there; it is no longer followed"),
    }
}
