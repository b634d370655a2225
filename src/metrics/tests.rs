//! The text of /metrics after each event.

use std::time::Duration;

use super::*;
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::PolicyRehearsal;
use crate::event::{
    CycleStep, InstanceReport, LoadedPolicy, PolicyReport, SessionCount, SpareReason, StatusLabel, TypeLabel,
};
use crate::policy::model::{KillClause, Protection};
use crate::policy::pressure::Resource;

const KILL: Action = Action::Kill {
    clause: KillClause::Immediate,
};

fn at() -> DateTime<Utc> {
    "2026-11-22T10:00:00.5Z".parse().expect("a time")
}

fn loaded(databases: &[(&str, &[&str])]) -> Event {
    let databases = databases.iter().map(|(database, policies)| LoadedDatabase {
        database: Arc::from(*database),
        place: "here".into(),
        driver: "thin",
        armed: true,
        poll: Duration::from_secs(15),
        labels: std::collections::BTreeMap::new(),
        policies: policies
            .iter()
            .map(|policy| LoadedPolicy {
                policy: Arc::from(*policy),
                mode: RunMode::Enforce,
                actions: vec![KILL],
            })
            .collect(),
    });
    Event::Policies(PolicyLoad::Loaded(InForceReport {
        digest: "ab12".into(),
        policies: 2,
        exemptions: 1,
        lost: Vec::new(),
        timezone: chrono_tz::Tz::UTC,
        databases: databases.collect(),
    }))
}

fn up(database: &str, instances: &[u32]) -> Event {
    Event::DatabaseUp {
        database: Arc::from(database),
        instances: instances
            .iter()
            .map(|inst_id| (*inst_id, format!("PROD{inst_id}")))
            .collect(),
        release: "19.24.0.0.0".into(),
    }
}

fn cycle(instances: &[u32]) -> CycleReport {
    CycleReport {
        stale: false,
        leads: None,
        database: "prod".into(),
        taken_at: at(),
        steps: vec![(CycleStep::Read, Duration::from_millis(7))],
        round_trips: 4,
        sessions_read: 9,
        instances: instances
            .iter()
            .map(|inst_id| InstanceReport {
                inst_id: *inst_id,
                name: Arc::from(format!("PROD{inst_id}")),
                complete: *inst_id != 3,
                lingering: 2,
                pressure: vec![(Resource::Sessions, 0.875)],
                marks: Vec::new(),
            })
            .collect(),
        sessions: vec![SessionCount {
            inst_id: 1,
            session_type: TypeLabel::User,
            status: StatusLabel::Inactive,
            count: 31,
        }],
        policies: vec![PolicyReport {
            policy: "idle".into(),
            mode: RunMode::Enforce,
            matched: 12,
            warrants: 1,
            spared: BTreeMap::from([
                (SpareReason::Protected(Protection::Backup), 3),
                (SpareReason::Pending, 8),
            ]),
            breaker: Some("12 candidates".into()),
            suspended: BTreeMap::from([(ClientGroup::default(), "they came back".into())]),
            rehearsal: PolicyRehearsal::default(),
            pending: Vec::new(),
        }],
        notes: Vec::new(),
        budgets: Vec::new(),
        acting_beside: 0,
        budgets_unknown: false,
        lingering: Vec::new(),
    }
}

fn has(metrics: &Metrics, line: &str) -> bool {
    metrics.text().lines().any(|found| found == line)
}

#[test]
fn a_counter_exists_before_the_first_kill() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    assert!(has(&metrics, r#"orareaper_up{database="prod",inst_id=""} 0"#));
    metrics.count(&up("prod", &[1, 2]), at());
    let text = metrics.text();
    for (instance, outcome) in [(1, "done"), (2, "done"), (1, "marked"), (2, "unknown")] {
        let line = format!(
            r#"orareaper_actions_total{{action="kill immediate",database="prod",inst_id="{instance}",mode="enforce",outcome="{outcome}",policy="idle"}} 0"#
        );
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        !text.contains("assumed"),
        "an enforcing policy has no outcome `assumed`"
    );
    assert!(!text.contains(r#"inst_id="""#), "the instances are known now");
    assert!(has(
        &metrics,
        r#"orareaper_driver_errors_total{class="auth",database="prod"} 0"#
    ));
}

#[test]
fn a_cycle_sets_the_values_of_its_snapshot() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1, 3]))), at());
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1, 3]))), at());
    for line in [
        r#"orareaper_up{database="prod",inst_id="1"} 1"#,
        r#"orareaper_up{database="prod",inst_id="3"} 0"#,
        r#"orareaper_sessions{database="prod",inst_id="1",status="inactive",type="user"} 31"#,
        r#"orareaper_pressure_ratio{database="prod",inst_id="3",resource="sessions"} 0.875"#,
        r#"orareaper_policy_matches{database="prod",policy="idle"} 12"#,
        r#"orareaper_spared_total{database="prod",mode="enforce",policy="idle",reason="backup"} 6"#,
        r#"orareaper_spared_total{database="prod",mode="enforce",policy="idle",reason="pending"} 16"#,
        r#"orareaper_lingering_sessions{database="prod",inst_id="1"} 2"#,
        r#"orareaper_breaker_open{database="prod",mode="enforce",policy="idle"} 1"#,
        r#"orareaper_suspended_groups{database="prod",mode="enforce",policy="idle"} 1"#,
        r#"orareaper_respawns_total{database="prod",mode="enforce",policy="idle"} 0"#,
        r#"orareaper_driver_round_trips_total{database="prod"} 8"#,
        r#"orareaper_snapshot_sessions{database="prod"} 9"#,
        // 2026-11-22T10:00:00.5Z.
        r#"orareaper_last_cycle_timestamp_seconds{database="prod"} 1795341600.5"#,
        r#"orareaper_cycle_duration_seconds_bucket{database="prod",step="read",le="0.005"} 0"#,
        r#"orareaper_cycle_duration_seconds_bucket{database="prod",step="read",le="0.01"} 2"#,
        "orareaper_policies_loaded 2",
        "orareaper_reload_success 1",
        "orareaper_paused 0",
    ] {
        assert!(has(&metrics, line), "{line}\n{}", metrics.text());
    }
    let mut without = cycle(&[1, 3]);
    without.sessions.clear();
    metrics.count(&Event::Cycle(Arc::new(without)), at());
    assert!(has(
        &metrics,
        r#"orareaper_sessions{database="prod",inst_id="1",status="inactive",type="user"} 0"#
    ));
}

#[test]
fn series_are_removed_with_their_database_instance_or_policy() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle", "runaway"]), ("test", &["idle"])]), at());
    metrics.count(&up("test", &[1]), at());
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1, 2]))), at());
    assert!(metrics.text().contains(r#"inst_id="2""#));
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1]))), at());
    let kept = metrics.text();
    let left: Vec<&str> = kept.lines().filter(|line| line.contains(r#"inst_id="2""#)).collect();
    let (down, left): (Vec<&str>, Vec<&str>) = left.into_iter().partition(|line| line.starts_with("orareaper_up{"));
    assert_eq!(
        down,
        [r#"orareaper_up{database="prod",inst_id="2"} 0"#],
        "an alert needs the series"
    );
    assert!(
        left.iter().all(|line| line.starts_with("orareaper_actions_total{")),
        "{left:?}"
    );
    assert!(
        !left.is_empty(),
        "the counters of actions on a removed instance are kept"
    );
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    let text = metrics.text();
    assert!(
        !text.contains("runaway") && !text.contains(r#"database="test""#),
        "{text}"
    );
    assert!(text.contains(r#"policy="idle""#));
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1, 2]))), at());
    assert!(
        has(&metrics, r#"orareaper_up{database="prod",inst_id="2"} 1"#),
        "it is back"
    );
}

#[test]
fn orders_are_counted_from_zero_where_they_can_be_given() {
    let metrics = Metrics::new();
    let mut both = loaded(&[("prod", &[]), ("test", &[])]);
    if let Event::Policies(PolicyLoad::Loaded(loaded)) = &mut both {
        loaded.databases[1].armed = false;
    }
    metrics.count(&both, at());
    metrics.count(&up("prod", &[2]), at());
    metrics.count(&up("test", &[1]), at());
    let text = metrics.text();
    let of = |line: &&str| line.contains("policy=\"by hand\"");
    assert!(
        text.lines()
            .filter(of)
            .all(|line| line.contains("database=\"prod\"") && line.ends_with(" 0")),
        "{text}"
    );
    for action in ["kill immediate", "cancel sql"] {
        let series = format!(
            "orareaper_actions_total{{action=\"{action}\",database=\"prod\",inst_id=\"2\",mode=\"enforce\",outcome=\"done\",policy=\"by \
             hand\"}} 0"
        );
        assert!(has(&metrics, &series), "{series}\n{text}");
    }
}

#[test]
fn another_database_under_the_same_name_begins_at_zero() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1, 2]))), at());
    assert!(metrics.text().contains(r#"inst_id="2""#));
    let mut elsewhere = loaded(&[("prod", &["idle"])]);
    if let Event::Policies(PolicyLoad::Loaded(loaded)) = &mut elsewhere {
        loaded.databases[0].place = "there".into();
    }
    metrics.count(&elsewhere, at());
    let text = metrics.text();
    let of_before = |line: &&str| line.contains(r#"inst_id=""#) && !line.contains(r#"inst_id="""#);
    assert_eq!(
        text.lines().find(of_before),
        None,
        "a series of the previous database is left"
    );
    assert!(has(&metrics, r#"orareaper_up{database="prod",inst_id=""} 0"#));
}

#[test]
fn values_of_the_last_snapshot_are_removed_when_a_database_goes_down() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    metrics.count(&Event::Cycle(Arc::new(cycle(&[1]))), at());
    metrics.count(
        &Event::DatabaseDown {
            database: "prod".into(),
            error: "no listener".into(),
        },
        at(),
    );
    let text = metrics.text();
    assert!(
        has(&metrics, r#"orareaper_up{database="prod",inst_id="1"} 0"#),
        "{text}"
    );
    assert!(!text.contains("orareaper_sessions{"), "{text}");
    assert!(!text.contains("orareaper_policy_matches{"), "{text}");
    for family in ["lingering_sessions", "breaker_open", "suspended_groups"] {
        assert!(!text.contains(&format!("orareaper_{family}{{")), "{text}");
    }
    assert!(!text.contains("no listener"), "an error text is a label");
}

#[test]
fn every_possible_outcome_of_an_action_has_a_counter() {
    let of = |action, mode| possible(action, mode).map(Outcome::name).collect::<Vec<_>>();
    assert_eq!(
        of(KILL, RunMode::DryRun),
        [
            "already_gone",
            "no_longer_matches",
            "protected",
            "unchecked",
            "unsupported",
            "expired",
            "revoked",
            "assumed"
        ]
    );
    assert!(!of(KILL, RunMode::Enforce).contains(&"assumed"));
    assert!(of(KILL, RunMode::Enforce).contains(&"done"));
    assert!(of(Action::Report, RunMode::Enforce).contains(&"reported"));
    assert!(!of(Action::Report, RunMode::Enforce).contains(&"done"));
}

#[test]
fn standby_connections_are_shown_while_they_are_needed() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle"]), ("crm", &["idle"])]), at());
    let say = |database: &str, connections: &[(Option<u32>, bool)]| {
        let event = Event::Acting {
            database: database.into(),
            connections: connections.to_vec(),
            hanging: 0,
        };
        metrics.count(&event, at());
        let text = metrics.text();
        let mut lines: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("orareaper_acting_connection"))
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(say("prod", &[(None, false)]), [r#"{database="prod",inst_id=""} 0"#]);
    assert_eq!(
        say("prod", &[(Some(1), true), (Some(2), false)]),
        [
            r#"{database="prod",inst_id="1"} 1"#,
            r#"{database="prod",inst_id="2"} 0"#
        ]
    );
    assert_eq!(say("crm", &[(Some(1), true)]).len(), 3);
    assert_eq!(say("prod", &[]), [r#"{database="crm",inst_id="1"} 1"#]);
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    assert!(!metrics.text().contains("orareaper_acting_connection"));
}

#[test]
fn a_large_site_has_room_for_its_series() {
    let names: Vec<String> = (0..500).map(|number| format!("p{number}")).collect();
    let policies: Vec<&str> = names.iter().map(String::as_str).collect();
    let databases = ["a", "b", "c", "d", "e"].map(|name| (name, policies.as_slice()));
    let metrics = Metrics::new();
    metrics.count(&loaded(&databases), at());
    for (name, _) in databases {
        metrics.count(&up(name, &[1, 2, 3, 4]), at());
    }
}

#[test]
fn who_leads_is_shown_where_one_of_several_is_to_and_nobody_leads_who_cannot_read() {
    let metrics = Metrics::new();
    metrics.count(&loaded(&[("prod", &["idle"])]), at());
    let count = |leads| {
        let report = CycleReport { leads, ..cycle(&[1]) };
        metrics.count(&Event::Cycle(Arc::new(report)), at());
    };
    count(None);
    assert!(!metrics.text().contains("orareaper_leader{"));
    count(Some(false));
    assert!(has(&metrics, "orareaper_leader{database=\"prod\"} 0"));
    count(Some(true));
    assert!(has(&metrics, "orareaper_leader{database=\"prod\"} 1"));
    let (database, error) = ("prod".into(), "no listener".into());
    metrics.count(&Event::DatabaseDown { database, error }, at());
    assert!(has(&metrics, "orareaper_leader{database=\"prod\"} 0"));
    count(None);
    assert!(!metrics.text().contains("orareaper_leader{"));
}

#[test]
fn a_session_that_is_used_again_counts_once() {
    let metrics = Metrics::new();
    let mut rehearsing = loaded(&[("prod", &["idle"])]);
    if let Event::Policies(PolicyLoad::Loaded(loaded)) = &mut rehearsing {
        loaded.databases[0].policies[0].mode = RunMode::DryRun;
    }
    metrics.count(&rehearsing, at());
    let line = |count: u32| format!(r#"orareaper_used_again_total{{database="prod",policy="idle"}} {count}"#);
    assert!(has(&metrics, &line(0)), "it exists before the first");
    for (afterwards, was_validated, count) in [
        (Afterwards::Ended, false, 0),
        (Afterwards::Lost, false, 0),
        (Afterwards::UsedAgain, false, 1),
        (Afterwards::Validated, false, 2),
        // The same session as before.
        (Afterwards::UsedAgain, true, 2),
    ] {
        let aftermath = Aftermath {
            action_id: 1,
            policy: "idle".into(),
            key: crate::session::SessionKey {
                inst_id: 1,
                sid: 10,
                serial: 7,
                logon_time: crate::session::time::DbTime(0),
            },
            afterwards,
            after: chrono::TimeDelta::seconds(60),
            was_validated,
        };
        let database = "prod".into();
        metrics.count(&Event::Rehearsed { database, aftermath }, at());
        assert!(has(&metrics, &line(count)), "{afterwards:?}");
    }
    metrics.count(&loaded(&[("prod", &["other"])]), at());
    assert!(
        !metrics.text().contains("orareaper_used_again_total{"),
        "the policy is gone"
    );
}
