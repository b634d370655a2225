//! The generic form, which docs/notify.md describes and docs/notification.schema.json has as a schema: every key is always there.

use serde::Serialize;

use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::notify::notice::{ActionFacts, CollectedCount, ExemptionFacts, Notice, SessionFacts};
use crate::session::time::iso;

/// Grows when a key changes its meaning or goes; a new key does not change it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Payload<'a> {
    version: u32,
    time: String,
    event: &'static str,
    phase: &'static str,
    severity: &'static str,
    dry_run: bool,
    title: String,
    host: &'a str,
    database: Option<&'a str>,
    policy: Option<&'a str>,
    mode: Option<&'static str>,
    action: Option<ActionPayload<'a>>,
    session: Option<SessionPayload<'a>>,
    detail: Option<&'a str>,
    exemption: Option<ExemptionPayload<'a>>,
    collected: Vec<CollectedPayload>,
}

#[derive(Serialize)]
struct ActionPayload<'a> {
    id: u64,
    action: &'static str,
    statement: Option<&'a str>,
    reason: Option<&'a str>,
    operator: Option<&'a str>,
    outcome: Option<&'static str>,
    code: Option<u32>,
    message: Option<&'a str>,
    verification: Option<&'static str>,
}

#[derive(Serialize)]
struct SessionPayload<'a> {
    inst_id: u32,
    sid: u32,
    serial: u32,
    logon_time: String,
    username: Option<&'a str>,
    program: Option<&'a str>,
    machine: Option<&'a str>,
}

#[derive(Serialize)]
struct ExemptionPayload<'a> {
    owner: &'a str,
    reason: &'a str,
    last_day: String,
    origin: &'a str,
}

#[derive(Serialize)]
struct CollectedPayload {
    event: &'static str,
    severity: &'static str,
    count: u64,
}

pub(super) fn body(notice: &Notice) -> String {
    let payload = Payload {
        version: VERSION,
        time: iso(notice.at),
        event: notice.kind.name(),
        phase: notice.phase.name(),
        severity: notice.severity.name(),
        dry_run: notice.dry_run,
        title: notice.headline(),
        host: &notice.host,
        database: notice.database.as_deref(),
        policy: notice.policy.as_deref(),
        mode: notice.mode.map(RunMode::name),
        action: notice.action.as_ref().map(action),
        session: notice.session.as_ref().map(session),
        detail: notice.detail.as_deref(),
        exemption: notice.exemption.as_ref().map(exemption),
        collected: notice.collected.iter().map(collected).collect(),
    };
    serde_json::to_string(&payload).expect("texts and numbers")
}

fn action(facts: &ActionFacts) -> ActionPayload<'_> {
    ActionPayload {
        id: facts.id,
        action: facts.action.name(),
        statement: facts.statement.as_deref(),
        reason: facts.reason.as_deref(),
        operator: facts.operator.as_deref(),
        outcome: facts.outcome.map(Outcome::name),
        code: facts.code,
        message: facts.message.as_deref(),
        verification: facts.proof.map(Proof::name),
    }
}

fn session(facts: &SessionFacts) -> SessionPayload<'_> {
    SessionPayload {
        inst_id: facts.key.inst_id,
        sid: facts.key.sid,
        serial: facts.key.serial,
        logon_time: facts.key.logon_time.to_string(),
        username: facts.username.as_deref(),
        program: facts.program.as_deref(),
        machine: facts.machine.as_deref(),
    }
}

fn exemption(facts: &ExemptionFacts) -> ExemptionPayload<'_> {
    ExemptionPayload {
        owner: &facts.owner,
        reason: &facts.reason,
        last_day: facts.last_day.to_string(),
        origin: &facts.origin,
    }
}

fn collected(counted: &CollectedCount) -> CollectedPayload {
    CollectedPayload {
        event: counted.kind.name(),
        severity: counted.severity.name(),
        count: counted.count,
    }
}
