//! A pause, blackout, schedule or gate that takes effect during a batch stops the rest of the batch.
//!
//! A plain kill of a busy session waits for that session, up to a minute of the simulated clock. With two such sessions the second
//! statement of the batch is due a minute after the first, and must not be sent if its permission has ended by then.

use std::path::Path;
use std::time::Duration;

use crate::site::{Daemon, Db, Site, drivers, thin, until};
use orasim::{Scenario, World};

const BUSY: &str = "
release: 19.22.0.0.0
seed: 3
speed: 0
starts: 2026-11-23T09:00:10
database: {name: PROD}
instances:
  - {number: 1, name: prod1, host: db1}
accounts:
  REAPER: {password: reaper}
sessions:
  - {name: busy, user: BUSY, count: 2, program: loop, machines: [app1], active: 5h, logged_on: 6h, when_killed: {notices: 10m}}
";

/// A batch of two whose first statement is under way and waits.
fn half_way(policy: &str, config: &str) -> (Db, Site, Daemon) {
    let db = Db::parse(BUSY);
    let site = Site::new();
    site.policies(&format!(
        "policies:\n  - {{name: reap, mode: enforce, when: running longer than 4h, action: kill, limits: {{share: 100%}}{policy}}}\n"
    ));
    // Far longer than the test lasts, so that age is no reason.
    let database = crate::site::entry("orcl", &thin(), &db.connect_string(), true).replace("poll: 1s", "poll: 10m");
    // One at a time, so that there is a rest to be stopped.
    site.configure_with(&[database], &format!("limits: {{parallel: 1}}\n{config}"));
    let daemon = site.run(&thin());
    until("the first statement to be waiting", || {
        db.kills().first().is_some_and(|kill| kill.1.is_none())
    });
    (db, site, daemon)
}

/// Lets the first one come to its end; what came of the second.
fn the_second(db: &Db, site: &Site, kind: &str) -> serde_json::Value {
    db.world.advance(Duration::from_secs(61));
    let second = site.journals(kind, |record| record["outcome"] == "revoked");
    assert_eq!(db.kills().len(), 1, "nothing more was sent");
    second
}

fn reason(record: &serde_json::Value) -> &str {
    record["message"].as_str().unwrap_or_default()
}

#[test]
fn a_pause_stops_the_rest_of_a_batch_and_is_told() {
    let (db, site, daemon) = half_way("", "");
    // The content and the owner of the file do not matter.
    site.write("state/paused", "the storage is on fire\n");
    let dropped = the_second(&db, &site, "dropped");
    assert!(reason(&dropped).contains("the storage is on fire"), "{dropped}");
    assert_eq!(
        (dropped["username"].as_str(), dropped["policy"].as_str()),
        (Some("BUSY"), Some("reap"))
    );
    assert_eq!(site.journalled("intent").len(), 1, "it was never begun");
    daemon.says("action dropped");
    daemon.metric_becomes(
        "orareaper_actions_total{action=\"kill\",database=\"orcl\",inst_id=\"1\",mode=\"enforce\",outcome=\"revoked\",\
         policy=\"reap\"}",
        1.0,
    );
}

#[test]
fn a_link_that_leads_nowhere_stops_it_too() {
    let (db, site, _daemon) = half_way("", "");
    std::os::unix::fs::symlink(Path::new("nowhere"), site.path("state/paused")).expect("linked");
    the_second(&db, &site, "dropped");
}

#[test]
fn a_blackout_that_begins_stops_the_rest_of_a_batch() {
    let config = "blackouts: [{cron: \"1 9 * * *\", for: 1h, reason: the nightly load}]\n";
    let (db, site, _daemon) = half_way("", config);
    let revoked = the_second(&db, &site, "outcome");
    assert_eq!(reason(&revoked), "blackout: the nightly load");
}

#[test]
fn a_schedule_that_ends_stops_the_rest_of_a_batch() {
    let (db, site, _daemon) = half_way(", schedule: \"57-59,0 * * * *\"", "");
    let revoked = the_second(&db, &site, "outcome");
    assert!(reason(&revoked).contains("57-59,0"), "{revoked}");
}

#[test]
fn a_gate_that_closes_stops_the_rest_of_a_batch() {
    // Two user sessions in a call and the one that asks; when the first is gone, there are two.
    let (db, site, _daemon) = half_way(", while: active_sessions above 2", "");
    let (_, sid, _) = db.kills()[0].0;
    db.world.log_off(1, sid);
    let revoked = the_second(&db, &site, "outcome");
    assert!(reason(&revoked).contains("no longer short"), "{revoked}");
}

#[test]
fn a_statement_that_is_under_way_at_a_stop_has_its_outcome_written() {
    let (db, site, mut daemon) = half_way("", "");
    daemon.signal("TERM");
    daemon.says("stopping");
    db.world.advance(Duration::from_secs(61));
    assert_eq!(daemon.ends().code(), Some(0), "{}", daemon.log_text());
    let (intents, outcomes) = (site.journalled("intent"), site.journalled("outcome"));
    assert_eq!(intents.len(), 1, "nothing more was begun: {intents:?}");
    let outcome = outcomes.iter().find(|outcome| outcome["id"] == intents[0]["id"]);
    let outcome = outcome.unwrap_or_else(|| panic!("{outcomes:?}"));
    assert_ne!(outcome["outcome"], "unknown", "{outcome}");
    assert_eq!(db.kills().len(), 1);
}

/// Two sessions of one server process, which DISCONNECT would end both, and three of processes of their own.
const PAIRED: &str = "
release: 19.22.0.0.0
seed: SEED
speed: 0
starts: 2026-11-23T09:00:00
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: reaper}}
sessions:
  - {name: pair, user: PAIR, count: 2, program: app, machines: [app1], idle: 3h..8h, logged_on: 9h, sessions_per_process: 2}
  - {name: solo, user: SOLO, count: 3, program: app, machines: [app1], idle: 4h, logged_on: 9h}
";

/// One of the pair has been idle the longest, but the other one must not end, so neither may be disconnected.
fn paired() -> Db {
    let fits = |scenario: &Scenario| {
        let sessions = World::new(scenario.clone()).sessions();
        let pair = sessions
            .iter()
            .filter(|session| session.group.as_deref() == Some("pair"));
        let mut idle: Vec<i64> = pair.map(|session| session.last_call_et).collect();
        idle.sort_unstable();
        idle[0] < 4 * 3_600 && idle[1] > 5 * 3_600
    };
    let mut scenarios = (1..).map(|seed: u32| {
        let scenario = Scenario::parse(&PAIRED.replace("SEED", &seed.to_string()));
        scenario.unwrap_or_else(|error| panic!("{error}"))
    });
    Db::serve(scenarios.find(fits).expect("one of them"))
}

#[test]
fn a_session_that_must_not_be_disconnected_does_not_take_the_turn_of_the_others() {
    for driver in drivers() {
        let db = paired();
        let site = Site::new();
        site.policies(
            "policies: [{name: reap, mode: enforce, when: INACTIVE longer than 239m, order: [idle desc], action: \
             disconnect immediate, limits: {share: 100%, per_cycle: 1}}]",
        );
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        until("the others to be gone", || db.seats_of("SOLO").is_empty());
        daemon.looks("orcl", 2);
        assert_eq!(db.seats_of("PAIR").len(), 2, "neither may end");
        // The plan knows who shares a server process, so no warrant is given for the pair and none of the turns is lost on it.
        let outcomes = site.journalled("outcome");
        assert_eq!(outcomes.len(), 3, "{outcomes:?}");
        for outcome in &outcomes {
            let of_the_others = site
                .journalled("intent")
                .into_iter()
                .any(|intent| intent["id"] == outcome["id"] && intent["username"] == "SOLO");
            assert!(of_the_others && outcome["outcome"] == "done", "{outcome}");
        }
    }
}

/// TERMINAL is cut after 30 bytes, here inside a character. The re-check reads it although the snapshot does not.
const HALF_A_CHARACTER: &str = "
release: 19.22.0.0.0
seed: 3
speed: 0
starts: 2026-11-23T09:00:10
database: {name: PROD}
instances:
  - {number: 1, name: prod1, host: db1}
accounts:
  REAPER: {password: reaper}
sessions:
  - {name: cut, user: SHOP, program: tool, terminal: 'aéééééééééééééééééééé', idle: 5h, logged_on: 6h}
";

#[test]
fn a_text_cut_inside_a_character_makes_no_session_immune() {
    for driver in drivers() {
        let db = Db::parse(HALF_A_CHARACTER);
        let site = Site::new();
        site.policies(
            "policies:\n  - {name: reap, mode: enforce, when: idle longer than 4h, action: kill, limits: {share: 100%}}\n",
        );
        site.configure_with(&[crate::site::entry("orcl", &driver, &db.connect_string(), true)], "");
        let _daemon = site.run(&driver);
        let outcome = site.journals("outcome", |_| true);
        assert_ne!(outcome["outcome"], "unchecked", "{outcome}");
        assert_eq!(db.kills().len(), 1);
    }
}
