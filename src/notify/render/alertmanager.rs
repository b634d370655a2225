//! The API of an Alertmanager: one alert, POST /api/v2/alerts.
//!
//! Labels are of closed sets (configured names, the program's words, INST_ID), because they make the alert's identity; texts of sessions
//! are in annotations alone. What happens once lasts five minutes. A state lasts until its end is told, and a day at most: an
//! alert that its sender does not repeat would otherwise end after Alertmanager's `resolve_timeout`.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::config::NoticeKind;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::notify::notice::{Notice, NoticePhase};

const ONCE_LASTS: TimeDelta = TimeDelta::minutes(5);
const STATE_LASTS: TimeDelta = TimeDelta::days(1);

pub(super) fn body(notice: &Notice) -> String {
    let mut labels = BTreeMap::from([
        ("alertname", name(notice.kind).to_owned()),
        ("event", notice.kind.name().to_owned()),
        ("severity", notice.severity.name().to_owned()),
        ("dry_run", notice.dry_run.to_string()),
        ("daemon", notice.host.to_string()),
    ]);
    let mut label = |name: &'static str, value: Option<&str>| {
        labels.extend(value.map(|value| (name, value.to_owned())));
    };
    label("database", notice.database.as_deref());
    label("policy", notice.policy.as_deref());
    label("mode", notice.mode.map(RunMode::name));
    if let Some(action) = &notice.action {
        label("action", Some(action.action.name()));
        label("outcome", action.outcome.map(Outcome::name));
        label("verification", action.proof.map(Proof::name));
    }
    if let Some(session) = &notice.session {
        label("inst_id", Some(&session.key.inst_id.to_string()));
    }
    let mut annotations = BTreeMap::from([("summary".to_owned(), notice.headline())]);
    for fact in notice.facts() {
        let name = fact.label.to_ascii_lowercase().replace(' ', "_");
        annotations.entry(name).or_insert(fact.value);
    }
    let mut alert = json!({ "labels": labels, "annotations": annotations });
    let (starts, ends) = match notice.phase {
        NoticePhase::Once => (Some(notice.at), notice.at + ONCE_LASTS),
        NoticePhase::Begins => (Some(notice.at), notice.at + STATE_LASTS),
        NoticePhase::Ends => (None, notice.at),
    };
    if let Some(starts) = starts {
        alert["startsAt"] = time(starts).into();
    }
    alert["endsAt"] = time(ends).into();
    json!([alert]).to_string()
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// None of them is the name of an alert in monitoring/alerts.yml.
fn name(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Intent => "OrareaperIntentNotice",
        NoticeKind::Outcome => "OrareaperOutcomeNotice",
        NoticeKind::Verification => "OrareaperVerificationNotice",
        NoticeKind::Breaker => "OrareaperBreakerNotice",
        NoticeKind::Refill => "OrareaperRefillNotice",
        NoticeKind::Suspension => "OrareaperSuspensionNotice",
        NoticeKind::Database => "OrareaperDatabaseNotice",
        NoticeKind::Acting => "OrareaperActingNotice",
        NoticeKind::Pause => "OrareaperPauseNotice",
        NoticeKind::Journal => "OrareaperJournalNotice",
        NoticeKind::Reload => "OrareaperReloadNotice",
        NoticeKind::Exemption => "OrareaperExemptionNotice",
        NoticeKind::Daemon => "OrareaperDaemonNotice",
        NoticeKind::Collected => "OrareaperCollectedNotice",
        NoticeKind::Test => "OrareaperTestNotice",
    }
}
