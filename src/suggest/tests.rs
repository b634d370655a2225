//! Recordings in which the truth is known by construction: what is suggested of them, and what a replay of the suggestion finds.

mod clients;

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;

use self::clients::{Client, recording};
use super::RecordingSurvey;
use crate::decide::in_force::{DatabaseRules, Rhythm};
use crate::decide::used_again::RehearsalTally;
use crate::policy::check_files;
use crate::policy::model::PolicySet;
use crate::recording::RecordedSnapshot;
use crate::replay::{CurveReplay, Replay, ReplaySetting};

const START: i64 = 1_795_000_000;
const EVERY: i64 = 300;
const HOUR: i64 = 3_600;

/// The file that is suggested of a recording.
fn suggested(recording: &[RecordedSnapshot]) -> String {
    let mut survey = RecordingSurvey::new(EVERY);
    for one in recording {
        assert!(survey.look(one).is_some());
    }
    survey.into_policies("prod")
}

/// The file says this, wherever its lines are broken.
fn assert_told(file: &str, told: &str) {
    let words = |text: &str| {
        let words = text.split_whitespace().filter(|word| *word != "#");
        words.collect::<Vec<_>>().join(" ")
    };
    assert!(words(file).contains(&words(told)), "{told}\n{file}");
}

fn checked(file: &str) -> PolicySet {
    let today = NaiveDate::from_ymd_opt(2026, 11, 18).expect("a date");
    let loaded = check_files(
        &[("suggested.yaml".into(), file.as_bytes().to_vec())],
        today,
        chrono_tz::UTC,
    );
    assert!(loaded.diagnostics.is_empty(), "{file}\n{:?}", loaded.diagnostics);
    loaded.set.unwrap_or_else(|| panic!("{file}"))
}

/// What became of the sessions that the policies would have ended, without budgets.
fn rehearsed(set: PolicySet, recording: &[RecordedSnapshot]) -> Vec<(String, RehearsalTally)> {
    let names: Vec<String> = set.policies.iter().map(|policy| policy.name.to_string()).collect();
    let set = Arc::new(set);
    let rules = DatabaseRules::of_file(None, Some("prod"), Arc::clone(&set)).unlimited(set);
    let mut replay = Replay::new(ReplaySetting {
        rules,
        database: "prod".into(),
        rhythm: Rhythm::of(TimeDelta::seconds(EVERY)),
        assume_held: false,
    });
    for one in recording {
        assert!(replay.step(&mut one.clone()).is_some());
    }
    let of = |name: String| {
        let all = replay.rehearsals().of(&name).all;
        (name, all)
    };
    names.into_iter().map(of).collect()
}

/// Calls every ten minutes from the start on, up to and including `until`.
fn busy(until: i64) -> Vec<i64> {
    (0..=until / 600).map(|number| number * 600).collect()
}

#[test]
fn the_limit_is_the_shortest_round_one_beyond_which_nobody_came_back() {
    let day = 24 * HOUR;
    // One was idle for 5h 10m and was then used; two are never used again; others are in use all day.
    let late: Vec<i64> = [busy(2 * HOUR), vec![2 * HOUR + 18_600], busy(day)[44..].to_vec()].concat();
    assert!(late.windows(2).all(|two| two[0] < two[1]), "{late:?}");
    let clients = [
        Client::of("SHOP", "web01", &late),
        Client::of("SHOP", "web01", &busy(day)),
        Client::of("SHOP", "web02", &busy(day)),
        Client::of("SHOP", "web03", &[-7 * HOUR]),
        Client::of("SHOP", "web03", &[60]),
        // In use to the end: nothing is to be ended.
        Client::of("ETL", "etl1", &busy(day)),
        // Nobody ever came back, in a day.
        Client::of("QA", "qa-host", &[-3 * day]),
    ];
    let recording = recording(&clients, day);
    let file = suggested(&recording);
    let set = checked(&file);
    let names: Vec<&str> = set.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(
        names,
        ["idle-shop-jdbc-thin-client", "idle-qa-jdbc-thin-client"],
        "{file}"
    );
    let conditions: Vec<String> = set.policies.iter().map(|policy| policy.when.to_string()).collect();
    assert_eq!(
        conditions[0],
        "INACTIVE longer than 6h and username = 'SHOP' and program = 'JDBC Thin Client' and machine matches '^web[0-9]+$'"
    );
    assert!(
        conditions[1].starts_with("INACTIVE longer than 1d and username = 'QA'"),
        "{}",
        conditions[1]
    );
    assert!(conditions[1].ends_with("machine = 'qa-host'"), "{}", conditions[1]);
    for told in [
        "5 sessions in all, up to 5 at once, on 3 machines",
        "The latest came back after 5h 10m. 2 sessions had been idle for longer than 6h when seen last.",
        "Up to 2 of one machine were in use within 5m, which is the floor.",
        "ETL from etl# with JDBC Thin Client: the latest came back after 10m, and nobody was idle for longer than 30m",
        "No session was seen to come back from being idle, so the recording is too short to tell a limit",
        "Too short to tell: who comes back once a week; who comes back at the end of a month.",
        // 5h 10m and the three seconds of LAST_CALL_ET, in whole minutes; it would have ended the two of SHOP and the one of QA.
        "(the latest was SHOP after 5h 10m) would have ended 3 sessions; the limits of all groups together, 3:",
        "SET MAX_IDLE_TIME = 311;",
        "CREATE PROFILE IDLE_SHOP LIMIT IDLE_TIME 311; ALTER USER \"SHOP\" PROFILE IDLE_SHOP; -- 2 sessions; replaces the present profile, which was not \
         recorded",
        "Not recorded: whom others waited for (blocking).",
    ] {
        assert_told(&file, told);
    }
    // The floor is of one machine, and the two leaked sessions are on one of their own, below it.
    assert!(
        file.contains("keep: {at_least: 2, per: [username, machine, program]}"),
        "{file}"
    );
    for (name, tally) in rehearsed(set, &recording) {
        assert_eq!(tally.used_again(), 0, "{name}");
    }
}

#[test]
fn a_shorter_limit_is_found_out_by_the_same_recording() {
    let calls = [-HOUR, 18_600 - HOUR, 40_000];
    let clients = [
        Client::of("SHOP", "web01", &calls),
        Client::of("SHOP", "web02", &[-9 * HOUR]),
    ];
    let recording = recording(&clients, 15 * HOUR);
    let policy = |limit: &str| {
        checked(&format!(
            "policies: [{{name: idle, when: INACTIVE longer than {limit}, action: kill}}]\n"
        ))
    };
    // It is idle for 5h 10m, then for 25,000s. A dry run takes it once, in the first snapshot after its limit.
    let all = rehearsed(policy("4h"), &recording)[0].1;
    assert_eq!((all.would_have_ended(), all.used_again(), all.watched), (2, 1, 1));
    assert_eq!(all.used.soonest, Some(18_600 - 4 * HOUR - EVERY));
    let all = rehearsed(policy("6h"), &recording)[0].1;
    assert_eq!((all.would_have_ended(), all.used_again()), (2, 1));
    let all = rehearsed(policy("8h"), &recording)[0].1;
    assert_eq!((all.would_have_ended(), all.used_again()), (1, 0));
}

#[test]
fn the_curve_counts_each_idle_time_that_a_limit_would_have_ended() {
    // Idle for 5h 10m, for 25,000s (6h 56m), and for 14,000s to the end; another one is never called.
    let calls = [-HOUR, 18_600 - HOUR, 40_000];
    let clients = [
        Client::of("SHOP", "web01", &calls),
        Client::of("SHOP", "web02", &[-9 * HOUR]),
    ];
    let set = Arc::new(checked(
        "policies: [{name: idle, when: INACTIVE longer than 6h, action: kill}]\n",
    ));
    let mut curve = CurveReplay::new(
        &ReplaySetting {
            rules: DatabaseRules::of_file(None, Some("prod"), set),
            database: "prod".into(),
            rhythm: Rhythm::of(TimeDelta::seconds(EVERY)),
            assume_held: false,
        },
        "idle",
    )
    .expect("it has a limit");
    for one in recording(&clients, 15 * HOUR) {
        curve.step(&one);
    }
    let curve = curve.into_curve();
    assert_eq!((&*curve.words, curve.own), ("INACTIVE longer than 6h", 6 * HOUR));
    let points: Vec<(i64, usize, usize)> = curve
        .points
        .iter()
        .map(|point| (point.limit, point.tally.would_have_ended(), point.tally.used_again()))
        .collect();
    let expected = [
        (HOUR / 2, 4, 2),
        (HOUR, 4, 2),
        (2 * HOUR, 4, 2),
        (4 * HOUR, 3, 2),
        (6 * HOUR, 2, 1),
        (8 * HOUR, 1, 0),
        // It is idle for exactly a day at the end, and not for longer.
        (24 * HOUR, 0, 0),
    ];
    assert_eq!(points, expected);
}

#[test]
fn a_policy_without_a_limit_has_no_curve() {
    let file = "policies:\n  - {name: all, when: username = 'SHOP', action: kill}\n  - {name: told, when: idle > 1h, action: report}\n";
    let setting = ReplaySetting {
        rules: DatabaseRules::of_file(None, Some("prod"), Arc::new(checked(file))),
        database: "prod".into(),
        rhythm: Rhythm::of(TimeDelta::seconds(EVERY)),
        assume_held: false,
    };
    for (name, why) in [
        ("all", "the condition of the policy all has no limit of time"),
        ("told", "the policy told ends no session"),
        ("other", "no policy is called \"other\""),
    ] {
        let none = CurveReplay::new(&setting, name).expect_err("it has none").to_string();
        assert!(none.starts_with(why), "{none}");
    }
}

#[test]
fn a_pool_that_only_validates_is_shown_apart() {
    let day = 24 * HOUR;
    let pings: Vec<i64> = (0..=day / (2 * HOUR)).map(|number| number * 2 * HOUR).collect();
    let clients = [
        Client {
            statement: "ping",
            ..Client::of("SHOP", "web01", &pings)
        },
        Client::of("SHOP", "web01", &[-9 * HOUR]),
    ];
    let recording = recording(&clients, day);
    let file = suggested(&recording);
    assert!(file.contains("Idle before a call: never."), "{file}");
    assert!(
        file.contains("Idle before a call that looks like a pool's validation: 12 times, after 2h;"),
        "{file}"
    );
    let policy = checked("policies: [{name: idle, when: INACTIVE longer than 1h, action: kill}]\n");
    let all = rehearsed(policy, &recording)[0].1;
    // It is watched on from its first validation, so later ones add nothing.
    assert_eq!((all.would_have_ended(), all.used.count, all.validated.count), (2, 0, 1));
}

#[test]
fn whatever_clients_call_themselves_the_file_checks() {
    let names = [
        "it's",
        "a: b # c",
        "{x}",
        "\"q\"",
        "*[a-z]$(1)\\",
        "-",
        "- name: x",
        "%",
        "é",
        "tab\there",
        "two\nlines",
        "@name",
        "web#7",
    ];
    let clients: Vec<Client> = names
        .iter()
        .map(|name| Client {
            program: (*name).to_owned(),
            ..Client::of("SHOP", &format!("{name}1"), &[-60 * HOUR])
        })
        .collect();
    let file = suggested(&recording(&clients, 2 * HOUR));
    let set = checked(&file);
    // Two of them have characters that do not fit into a line.
    assert_eq!(set.policies.len(), names.len() - 2, "{file}");
    assert!(file.contains("has characters that a policy file cannot hold"), "{file}");
    // Each selects its own session.
    for (_, tally) in rehearsed(set, &recording(&clients, 30 * HOUR)) {
        assert_eq!(tally.would_have_ended(), 1, "{file}");
    }
    assert_eq!(checked(&suggested(&[])).policies.len(), 0);
}

#[test]
fn oracles_own_limits_count_protected_sessions_too() {
    let day = 24 * HOUR;
    let rman = |machine: &str, calls: &[i64]| Client {
        program: "rman@db1 (TNS V1-V3)".into(),
        ..Client::of("SHOP", machine, calls)
    };
    let clients = [
        Client::of("SHOP", "web01", &busy(day)),
        Client {
            profile: Some("APP"),
            ..Client::of("SHOP", "web02", &[-30 * HOUR])
        },
        Client::of("DBSNMP", "db1", &[-HOUR, 2 * HOUR, 5 * HOUR]),
        // Idle for 7h, as the same user: the profile of SHOP would end it.
        rman("db1", &[-HOUR, 6 * HOUR, 7 * HOUR]),
        Client::of("HR", "hr1", &busy(day)),
        Client::of("HR", "hr1", &[-30 * HOUR]),
    ];
    let file = suggested(&recording(&clients, day));
    // Idle at the end for more than 7h 1m: DBSNMP for 19h, RMAN for 17h, and the two that no one calls.
    assert_told(
        &file,
        "(the latest was SHOP after 7h, protected) would have ended 4 sessions, 2 of them protected; the limits of all groups together, 2:",
    );
    assert_told(&file, "SET MAX_IDLE_TIME = 421;");
    assert_told(
        &file,
        "CREATE PROFILE IDLE_SHOP LIMIT IDLE_TIME 421; ALTER USER \"SHOP\" PROFILE IDLE_SHOP; -- 2 sessions, 1 of them protected; \
         replaces APP",
    );
    assert_told(
        &file,
        "CREATE PROFILE IDLE_HR LIMIT IDLE_TIME 30; ALTER USER \"HR\" PROFILE IDLE_HR; -- 1 session; replaces",
    );
    assert!(!file.contains("IDLE_DBSNMP"), "no policy takes its sessions: {file}");
    // The policies go by those that they take.
    let limits: Vec<String> = checked(&file)
        .policies
        .iter()
        .map(|policy| policy.when.to_string())
        .collect();
    assert!(
        limits.len() == 2 && limits.iter().all(|when| when.starts_with("INACTIVE longer than 30m")),
        "{limits:?}"
    );
}

#[test]
fn the_limit_of_idle_blockers_is_by_how_long_others_waited_for_those_who_came_back() {
    let of = |clients: &[Client]| suggested(&recording(clients, 6 * HOUR));
    let blocker = |user, calls: &[i64], waited_for| Client {
        waited_for,
        ..Client::of(user, "web01", calls)
    };
    // Idle for 2h 10m to its call, and LAST_CALL_ET is exact to 3 s; others wait for it to the end of that.
    let to_the_end = blocker("SHOP", &[0, 7_800, 8_400], Some((600, 7_800)));
    let file = of(&[to_the_end.clone(), Client::of("SHOP", "web02", &[0, 4 * HOUR])]);
    assert_told(&file, "SET MAX_IDLE_BLOCKER_TIME = 131;");
    assert!(!file.contains("only below MAX_IDLE_TIME"), "{file}");
    assert_told(&of(&[to_the_end]), "It has an effect only below MAX_IDLE_TIME.");
    // Nobody waits for it any more after 20 minutes, as the next snapshot shows; it is idle for 5h, which is no matter.
    let file = of(&[blocker("SHOP", &[0, 5 * HOUR], Some((600, 1_200)))]);
    assert_told(&file, "SET MAX_IDLE_BLOCKER_TIME = 21;");
    // A protected session is ended all the same, and SYS is exempt.
    let file = of(&[blocker("DBSNMP", &[0, 2 * HOUR], Some((600, 2 * HOUR)))]);
    assert_told(&file, "SET MAX_IDLE_BLOCKER_TIME = 121;");
    let file = of(&[blocker("SYS", &[0, 2 * HOUR], Some((600, 2 * HOUR)))]);
    assert_told(&file, "MAX_IDLE_BLOCKER_TIME: nobody waited for an idle session.");
    let file = of(&[blocker("SHOP", &[0], Some((600, 2 * HOUR)))]);
    assert_told(
        &file,
        "none of these was called again, so the recording tells no value.",
    );
}

#[test]
fn no_more_is_claimed_than_was_watched() {
    let clients = [Client::of("QA", "qa-host", &[-72 * HOUR])];
    // The recording is of 4h 5m, and of 2h 20m.
    for (length, told) in [
        (
            14_700,
            "it is of 4h 5m, and 5h is the next round limit. 1 session had been idle for longer than that",
        ),
        (8_400, "it is of 2h 20m, and 2h 30m is the next round limit."),
    ] {
        assert_told(&suggested(&recording(&clients, length)), told);
    }
}

#[test]
fn a_group_that_no_condition_knows_has_no_policy() {
    let strange = |machine: &str| Client {
        program: "app\u{fffd}".into(),
        ..Client::of("SHOP", machine, &[-60 * HOUR])
    };
    let file = suggested(&recording(
        &[strange("web01"), Client::of("SHOP", "w\u{fffd}1", &[-60 * HOUR])],
        2 * HOUR,
    ));
    assert!(checked(&file).policies.is_empty(), "{file}");
    for column in ["program", "machine"] {
        let told = format!("its {column} has bytes that are no valid text, so every condition on it is UNKNOWN");
        assert_told(&file, &told);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whenever clients call: the latest to come back is the one with the longest time between two calls, and a replay of what is
    /// suggested ends nobody who comes back.
    #[test]
    fn nobody_who_comes_back_is_ended(
        gaps in proptest::collection::vec(proptest::collection::vec(400_i64..30_000, 0..12), 1..6),
        first in 1_i64..40_000,
    ) {
        let length = 40 * HOUR;
        let clients: Vec<Client> = gaps
            .iter()
            .map(|gaps| {
                let mut at = -first;
                let rest = gaps.iter().map(|gap| { at += gap; at });
                let calls: Vec<i64> = std::iter::once(-first).chain(rest).collect();
                Client::of("SHOP", "web01", &calls)
            })
            .collect();
        let recording = recording(&clients, length);
        // As the clients have it: idle times that a call within the recording ended.
        let idle_times = clients.iter().flat_map(|client| client.calls.windows(2)).filter(|two| two[1] > 0 && two[1] <= length);
        let latest = idle_times.map(|two| two[1] - two[0]).max();
        let mut survey = RecordingSurvey::new(EVERY);
        for one in &recording {
            prop_assert!(survey.look(one).is_some());
        }
        let survey = survey.finished();
        prop_assert_eq!(survey.groups[0].came_back.latest, latest);
        let file = suggested(&recording);
        for (name, tally) in rehearsed(checked(&file), &recording) {
            prop_assert_eq!(tally.used_again(), 0, "{}\n{}", name, &file);
        }
    }
}

/// The reviewer's figures: 26h 0m 14s, and three seconds by which LAST_CALL_ET is inexact, are 1,561 minutes and not two days.
#[test]
fn oracles_own_limits_are_exact_to_the_minute() {
    let late = 26 * HOUR + 14;
    let clients = [
        Client::of("SHOP", "web01", &[0, late, late + 600]),
        Client::of("SHOP", "web02", &[-3 * HOUR]),
    ];
    let file = suggested(&recording(&clients, 30 * HOUR));
    assert_told(&file, "SET MAX_IDLE_TIME = 1561;");
    // Idle for 33h at the end, which two days would not have ended.
    assert_told(
        &file,
        "The shortest of at least 30m that would have hit nobody who came back (the latest was SHOP after 1d 2h) would have ended 1 session;",
    );
}

#[test]
fn every_user_has_a_statement_or_a_reason_why_not() {
    let long = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let users = [
        "C##APP",
        "A B",
        "q;DROP USER X",
        "lower",
        long,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0124",
        "two\nlines",
        "q\"q",
        "Ö",
    ];
    let clients: Vec<Client> = users
        .iter()
        .flat_map(|user| {
            [
                Client::of(user, "web01", &[0, HOUR]),
                Client::of(user, "web01", &[-9 * HOUR]),
            ]
        })
        .collect();
    let file = suggested(&recording(&clients, 2 * HOUR));
    for told in [
        "CREATE PROFILE C##IDLE_APP LIMIT IDLE_TIME 61 CONTAINER = ALL; ALTER USER \"C##APP\" PROFILE C##IDLE_APP CONTAINER = ALL; -- in CDB$ROOT;",
        "CREATE PROFILE \"IDLE_A B\" LIMIT IDLE_TIME 61; ALTER USER \"A B\" PROFILE \"IDLE_A B\";",
        "CREATE PROFILE \"IDLE_q;DROP USER X\" LIMIT IDLE_TIME 61; ALTER USER \"q;DROP USER X\" PROFILE \"IDLE_q;DROP USER X\";",
        "CREATE PROFILE \"IDLE_lower\" LIMIT IDLE_TIME 61; ALTER USER \"lower\" PROFILE \"IDLE_lower\";",
        // 30 bytes, as names had before 12.2.
        "CREATE PROFILE IDLE_ABCDEFGHIJKLMNOPQRSTUVWXY LIMIT IDLE_TIME 61; ALTER USER \"ABCDEFGHIJKLMNOPQRSTUVWXYZ\" PROFILE",
        "ALTER USER \"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123\" PROFILE IDLE_ABCDEFGHIJKLMNOPQRSTUVW_2;",
        "ALTER USER \"ABCDEFGHIJKLMNOPQRSTUVWXYZ0124\" PROFILE IDLE_ABCDEFGHIJKLMNOPQRSTUVW_3;",
        "no statement for two\\x0alines: its name has characters that a line cannot hold",
        "no statement for q\"q: a name in a statement cannot contain a double quote",
        "ALTER USER \"Ö\" PROFILE \"IDLE_Ö\";",
    ] {
        assert_told(&file, told);
    }
}

/// A client that calls its machine `web#` is not counted with `web01`, which another condition selects.
#[test]
fn a_sign_of_the_class_in_a_machines_name_is_a_machine_of_its_own() {
    let clients = [
        Client::of("SHOP", "web01", &[-60 * HOUR]),
        Client::of("SHOP", "web#", &[-60 * HOUR]),
        Client::of("SHOP", "web#", &[-60 * HOUR]),
    ];
    let recording = recording(&clients, 2 * HOUR);
    let file = suggested(&recording);
    assert_told(&file, "SHOP from web# with JDBC Thin Client: 1 session in all");
    assert_told(&file, "SHOP from web\\# with JDBC Thin Client: 2 sessions in all");
    let ended: Vec<usize> = rehearsed(checked(&file), &recording)
        .into_iter()
        .map(|(_, tally)| tally.would_have_ended())
        .collect();
    assert_eq!(ended, [2, 1]);
}
