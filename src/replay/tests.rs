//! Compares the totals of a replay with the recorded sessions.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};

use crate::decide::in_force::{DatabaseRules, Rhythm};
use crate::decide::pressure::{Reading, Readings};
use crate::decide::protect::ProtectionFacts;
use crate::policy::check_files;
use crate::policy::pressure::Resource;
use crate::recording::RecordedSnapshot;
use crate::replay::{ActionTally, Replay, ReplaySetting, Totals};
use crate::report::ReportFormat;
use crate::session::column::Column;
use crate::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock, SnapshotSource};
use crate::session::time::DbTime;
use crate::terminal::TextStyle;

const POLICY: &str =
    "policies:\n  - name: idle\n    mode: enforce\n    when: INACTIVE longer than 1h\n    action: kill\n";
const START: i64 = 1_795_000_000;

/// SID, seconds from the start to the logon, user, machine, seconds idle.
type Session = (i64, i64, &'static str, &'static str, i64);

fn moment(at: i64, sessions: &[Session], clock: bool) -> RecordedSnapshot {
    use Column::{InstId, LastCallEt, LogonTime, Machine, Program, Serial, Server, Sid, Status, Taddr, Type, Username};
    let columns = [
        InstId,
        Sid,
        Serial,
        LogonTime,
        Username,
        Type,
        Status,
        Server,
        Program,
        Machine,
        Taddr,
        LastCallEt,
        Column::Module,
        Column::ClientInfo,
    ];
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    for (sid, logon, user, machine, idle) in sessions {
        let cells = [
            Cell::Number(1),
            Cell::Number(*sid),
            Cell::Number(1),
            Cell::Number(START + logon),
            Cell::Text(user),
            Cell::Text("USER"),
            Cell::Text("INACTIVE"),
            Cell::Text("DEDICATED"),
            Cell::Text("app"),
            Cell::Text(machine),
            Cell::Null,
            Cell::Number(*idle),
            Cell::Null,
            Cell::Null,
        ];
        builder.push_row(&cells).expect("few rows");
    }
    let clock = clock.then_some(SnapshotClock {
        now: DbTime(START + at),
        utc_offset: 7200,
    });
    let instances = vec![Instance {
        inst_id: 1,
        name: "ORCL1".into(),
        complete: true,
    }];
    let mut readings = Readings::default();
    let limit = Some(200);
    readings.set(1, Resource::Sessions, Reading { used: 150, limit });
    RecordedSnapshot {
        snapshot: builder
            .finish(clock, instances)
            .finish(crate::columns_needed::ALWAYS.into_iter().collect()),
        readings,
        facts: Arc::new(ProtectionFacts::default()),
    }
}

fn replay(policy: &str, moments: &[RecordedSnapshot]) -> Totals {
    let today = NaiveDate::from_ymd_opt(2026, 11, 18).expect("a date");
    let loaded = check_files(
        &[("idle.yaml".into(), policy.as_bytes().to_vec())],
        today,
        chrono_tz::UTC,
    );
    let every = TimeDelta::seconds(15);
    let mut replay = Replay::new(ReplaySetting {
        rules: DatabaseRules::of_file(None, Some("prod"), Arc::new(loaded.set.expect("it checks"))),
        database: "prod".into(),
        rhythm: Rhythm::of(every),
        assume_held: false,
    });
    for one in moments {
        let mut one = one.clone();
        assert_eq!(replay.step(&mut one).is_some(), one.snapshot.clock().is_some());
    }
    replay.into_totals()
}

/// An idle session of SHOP on web01, other sessions that are not idle, and `more`.
fn with(at: i64, more: &[Session]) -> RecordedSnapshot {
    let mut sessions = vec![
        (10, -90_000, "SHOP", "web01", 7_200 + at),
        (11, -90_000, "CRM", "web01", 5),
    ];
    sessions.extend(more);
    moment(at, &sessions, true)
}

#[test]
fn a_similar_session_within_minutes_counts_as_come_back() {
    let totals = replay(
        POLICY,
        &[
            with(0, &[(12, -5, "SHOP", "web01", 0)]),
            with(15, &[(20, 5, "SHOP", "web02", 0), (21, 5, "CRM", "web01", 0)]),
            with(30, &[(22, 20, "SHOP", "web01", 0), (23, 21, "SHOP", "web01", 0)]),
            with(45, &[(22, 20, "SHOP", "web01", 0), (23, 21, "SHOP", "web01", 0)]),
        ],
    );
    let once = ActionTally { acted: 1, came_back: 1 };
    assert_eq!((totals.all, totals.policies[0].tally), (once, once));
    assert_eq!(totals.by_user.sorted(), [("SHOP", once)]);
    assert_eq!(totals.by_machine.sorted(), [("web01", once)]);
    let back = &totals.returns[0];
    assert_eq!((back.ended.key.sid, (back.at - back.ended.at).num_seconds()), (10, 20));
    assert_eq!((totals.snapshots, totals.gaps, totals.most_sessions), (4, 0, 4));
}

#[test]
fn a_session_after_five_minutes_does_not_count_as_come_back() {
    // The next snapshot, after 15 seconds, is assumed to be the first without the killed session.
    for (logon, came_back) in [(315, 1), (316, 0)] {
        let moments: Vec<RecordedSnapshot> = (0..=22)
            .map(|number| number * 15)
            .map(|at| {
                let back: &[Session] = &[(30, logon, "SHOP", "web01", 0)];
                with(at, if at >= logon { back } else { &[] })
            })
            .collect();
        let totals = replay(POLICY, &moments);
        assert_eq!(totals.all, ActionTally { acted: 1, came_back }, "{logon}");
    }
}

#[test]
fn a_snapshot_without_a_clock_is_skipped_and_a_long_pause_is_a_gap() {
    let idle: &[Session] = &[(10, -90_000, "SHOP", "web01", 9_000)];
    let totals = replay(
        POLICY,
        &[
            moment(0, idle, false),
            moment(15, idle, true),
            moment(75, idle, true),
            moment(136, idle, true),
        ],
    );
    assert_eq!((totals.clockless, totals.snapshots, totals.gaps), (1, 3, 1));
    assert_eq!(totals.all.acted, 1, "no session is acted on twice");
}

#[test]
fn whoever_is_gone_after_a_gap_is_lost_and_not_unused() {
    // 60 seconds are four intervals of 15; one more is a gap.
    for (at, ended, lost) in [(75, 1, 0), (76, 0, 1)] {
        let totals = replay(POLICY, &[with(0, &[]), with(15, &[]), moment(at, &[], true)]);
        let all = totals.policies[0].rehearsal.all;
        assert_eq!((all.ended.count, all.lost), (ended, lost), "at {at}");
    }
}

#[test]
fn the_report_of_an_empty_recording_does_not_mention_policies() {
    let text = replay(POLICY, &[]).render(ReportFormat::Text, TextStyle::WHOLE);
    assert!(
        text.contains("the recording has no snapshot that could be read"),
        "{text}"
    );
    assert!(!text.contains("does not run"), "{text}");
    let text = replay(POLICY, &[moment(0, &[], false)]).render(ReportFormat::Text, TextStyle::WHOLE);
    assert!(
        text.contains("1 snapshot without a clock, on which nothing was decided") && !text.contains("does not run"),
        "{text}"
    );
}

#[test]
fn a_hold_is_fulfilled_over_several_snapshots() {
    let policy = format!("{POLICY}    for: 30s\n");
    for (snapshots, acted) in [(2, 0), (3, 1), (9, 1)] {
        let moments: Vec<RecordedSnapshot> = (0..snapshots).map(|number| with(number * 15, &[])).collect();
        let totals = replay(&policy, &moments);
        assert_eq!(
            (totals.all.acted, totals.policies[0].most.pending),
            (acted, 1),
            "{snapshots}"
        );
    }
}

#[test]
fn every_format_shows_the_totals_and_escapes_text_of_sessions() {
    let evil: &[Session] = &[(10, -90_000, "<b>|SHOP", "=cmd\u{1b}[2J", 9_000)];
    let totals = replay(POLICY, &[moment(0, evil, true), moment(15, evil, true)]);
    let shown = |format| totals.render(format, TextStyle::default());
    let text = shown(ReportFormat::Text);
    assert!(
        text.contains("Summary: 1 action would have been taken; 0 of the sessions came back within 5m"),
        "{text}"
    );
    assert!(text.contains("<b>|SHOP") && text.contains("=cmd\\x1b[2J"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let markdown = shown(ReportFormat::Markdown);
    assert!(markdown.contains("| &lt;b&gt;\\|SHOP | 1 | 0 |"), "{markdown}");
    let csv = shown(ReportFormat::Csv);
    assert!(
        csv.contains("\r\npolicy,idle,1,0,2,0,1,1,0,0,0,0,0,1,0,,,0,0,1,0\r\n"),
        "{csv}"
    );
    assert!(csv.contains("\r\nmachine,'=cmd\\x1b[2J,1,0,,"), "{csv}");
    let html = shown(ReportFormat::Html);
    assert!(html.contains("&lt;b&gt;|SHOP") && !html.contains("<b>|"), "{html}");
    assert!(
        html.contains("<h3>Sessions</h3>")
            && html.contains("instance 1, up to 75 %")
            && html.contains("<polyline points=\"0.0,30.0 600.0,30.0\"")
    );
    assert!(!html.contains('\u{1b}'));
}

#[test]
fn a_report_says_why_a_policy_does_not_run() {
    let file = "policies:\n  - {name: resting, mode: off, when: idle > 1h, action: kill}\n  - {name: other, databases: [crm], when: idle > 1h, action: kill}\n";
    let text = replay(file, &[with(0, &[])]).render(ReportFormat::Text, TextStyle::WHOLE);
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "!").collect();
    let text = words.join(" ");
    for told in [
        "policy resting does not run on prod: it is off",
        "policy other does not run on prod: its `databases` do not select this one",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}
