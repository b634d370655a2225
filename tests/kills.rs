//! The possible outcomes of a kill, with the real program, both drivers and a simulated cluster whose clock is moved by hand.
//!
//! Each test checks Oracle's answer, the statement sent, the session hit, the journal, and the state of the connection that sent
//! the statement.

use std::time::Duration;

use crate::site::{Daemon, Db, Driver, Site, drivers, entry, until, wait_for};
use orasim::scenario::Length;
use orasim::{Clause, Fault, Strike};

/// Two instances with everybody these tests are about; the same SID on both.
const CLUSTER: &str = "
release: 19.22.0.0.0
seed: 3
speed: 0
starts: 2026-11-23T09:00:00
database: {name: PROD, background_kill: fatal}
instances:
  - {number: 1, name: prod1, host: db1}
  - {number: 2, name: prod2, host: db2}
accounts:
  REAPER: {password: reaper}
sessions:
  - {name: bystander, user: BYSTANDER, program: report, machines: [app1], instances: [1], idle: 5h, logged_on: 6h,
     pinned: {sid: 287, serial: 62507}}
  - {name: target, user: TARGET, program: report, machines: [app1], instances: [2], idle: 5h, logged_on: 6h,
     pinned: {sid: 287, serial: 62507}}
  - {name: busy, user: BUSY, count: 2, program: loop, machines: [app1], instances: [1], active: 5h, logged_on: 6h,
     when_killed: {notices: 10m}}
  - {name: pool, user: POOL, count: 5, program: JDBC Thin Client, machines: [app2], instances: [1], idle: 5h, logged_on: 6h,
     when_killed: {reconnects: 1s}}
  - {name: writer, user: WRITER, program: load, machines: [app1], instances: [2], idle: 5h, logged_on: 6h,
     transaction: {age: 5h, undo_records: 60000}, when_killed: {rollback: 100}}
";

const MINUTE: Duration = Duration::from_secs(60);

fn policy(user: &str, action: &str, more: &str) -> String {
    format!(
        "policies:\n  - name: reap\n    mode: enforce\n    when: username = '{user}' and last_call_et > 14400\n    \
         action: {action}\n{more}"
    )
}

fn stage(driver: &Driver, policy: &str) -> (Db, Site) {
    let db = Db::parse(CLUSTER);
    let site = Site::new();
    site.policies(policy);
    site.configure(driver, &db);
    (db, site)
}

fn lingering(daemon: &Daemon, instance: u32) -> f64 {
    let name = format!("orareaper_lingering_sessions{{database=\"orcl\",inst_id=\"{instance}\"}}");
    daemon.metric(&name).expect("the instance was read")
}

/// A fault that strikes the statement which is about to end a session.
fn at_the_kill(what: Strike) -> Fault {
    Fault {
        statement: Some("ALTER SYSTEM".into()),
        user: Some("REAPER".into()),
        call: 1,
        times: 1,
        what,
    }
}

/// A fault that holds up the reading of the one session before it is acted on, for a simulated second. Each of the daemon's
/// two connections reads its own session first.
fn at_the_second_look() -> Fault {
    Fault {
        statement: Some("FROM gv$session WHERE inst_id = :1 AND sid = :2".into()),
        user: Some("REAPER".into()),
        call: 3,
        times: 1,
        what: Strike::Delay(Length(1_000)),
    }
}

#[test]
fn a_kill_that_is_only_marked_costs_no_connection_and_is_followed_to_its_end() {
    for driver in drivers() {
        let (db, site) = stage(
            &driver,
            &policy("BUSY", "kill immediate", "    limits: {per_cycle: 1}\n"),
        );
        let daemon = site.run(&driver);
        let first = site.journals("outcome", |record| record["outcome"] == "marked");
        assert_eq!(first["code"], 31, "{first}");
        let acting = wait_for("both of the reaper's sessions", || {
            let seats = db.seats_of("REAPER");
            (seats.len() == 2).then_some(seats)
        });
        until("the second one to be marked", || db.kills().len() == 2);
        daemon.looks("orcl", 2);
        assert_eq!(db.seats_of("REAPER"), acting, "the same sessions read and act");
        let kills = db.world.kills();
        assert!(
            kills
                .iter()
                .all(|kill| kill.answer == Some(31) && kill.clause == Clause::KillImmediate),
            "{kills:?}"
        );
        assert_ne!(kills[0].target, kills[1].target);
        assert_eq!(lingering(&daemon, 1), 0.0, "they have just been marked");

        // The killed sessions do not notice the kill for ten minutes.
        db.world.advance(2 * MINUTE);
        daemon.metric_becomes("orareaper_lingering_sessions{database=\"orcl\",inst_id=\"1\"}", 2.0);
        let lingers = site.journals_all("verification", 2);
        assert_eq!(lingers.len(), 2, "{lingers:?}");
        assert!(lingers.iter().all(|record| record["proof"] == "lingers"), "{lingers:?}");
        db.world.advance(9 * MINUTE);
        daemon.metric_becomes("orareaper_lingering_sessions{database=\"orcl\",inst_id=\"1\"}", 0.0);
        let proofs = site.journals_all("verification", 4);
        let gone = proofs.iter().filter(|record| record["proof"] == "gone").count();
        assert_eq!((proofs.len(), gone), (4, 2), "{proofs:?}");
        assert!(db.seats_of("BUSY").is_empty());
        assert_eq!(db.kills().len(), 2, "nobody was killed twice");
    }
}

#[test]
fn a_plain_kill_waits_for_its_victim_and_then_hears_that_it_is_marked() {
    for driver in drivers() {
        let (db, site) = stage(&driver, &policy("BUSY", "kill", "    limits: {per_cycle: 1}\n"));
        let database = entry("orcl", &driver, &db.connect_string(), true);
        site.configure_with(&[database], "limits: {parallel: 1}\n");
        let daemon = site.run(&driver);
        until("the statement to be waiting", || {
            db.kills().first().is_some_and(|kill| kill.1.is_none())
        });
        // Reading goes on meanwhile, and nothing else is begun.
        daemon.looks("orcl", 2);
        assert_eq!(db.kills().len(), 1);
        assert_eq!(site.journalled("intent").len(), 1);
        assert_eq!(site.journalled("outcome").len(), 0);
        let acting = db.seats_of("REAPER");
        db.world.advance(MINUTE + Duration::from_secs(1));
        let outcome = site.journals("outcome", |_| true);
        assert_eq!(
            (outcome["outcome"].as_str(), outcome["code"].as_u64()),
            (Some("marked"), Some(31))
        );
        until("the same connection to act on the second one", || db.kills().len() == 2);
        assert_eq!(db.seats_of("REAPER"), acting);
    }
}

#[test]
fn of_two_sessions_with_the_same_sid_the_right_one_dies() {
    for driver in drivers() {
        for (action, statement) in [
            ("kill", "ALTER SYSTEM KILL SESSION '287,62507,@2'"),
            (
                "disconnect immediate",
                "ALTER SYSTEM DISCONNECT SESSION '287,62507' IMMEDIATE",
            ),
        ] {
            let (db, site) = stage(&driver, &policy("TARGET", action, ""));
            let daemon = site.run(&driver);
            site.journals("verification", |record| {
                record["inst_id"] != 1 && record["proof"] != "lingers"
            });
            let kills = db.world.kills();
            assert_eq!(kills.len(), 1, "{kills:?}");
            assert_eq!((kills[0].target, kills[0].answer), ((2, 287, 62_507), Some(0)));
            assert_eq!(kills[0].username.as_deref(), Some("TARGET"));
            assert_eq!(kills[0].statement, statement);
            daemon.looks("orcl", 2);
            let bystander = db.world.session(1, 287).expect("it is there");
            assert_eq!(
                (bystander.serial, bystander.status, bystander.username.as_deref()),
                (62_507, "INACTIVE", Some("BYSTANDER"))
            );
            assert_eq!(db.kills().len(), 1, "once is enough");
        }
    }
}

#[test]
fn a_session_that_reuses_the_sid_before_the_recheck_is_not_ended() {
    for driver in drivers() {
        let (db, site) = stage(&driver, &policy("TARGET", "kill", ""));
        db.world.arm(at_the_second_look());
        let daemon = site.run(&driver);
        let intent = site.journals("intent", |_| true);
        assert_eq!(
            (intent["sid"].as_u64(), intent["serial"].as_u64()),
            (Some(287), Some(62_507))
        );
        let serial = db.world.reuse_seat(2, 287).expect("a new session");
        assert_ne!(serial, 62_507);
        // Time passes only by hand, and the second look may not have begun yet.
        let outcome = wait_for("the outcome", || {
            db.world.advance(Duration::from_secs(2));
            site.journalled("outcome")
                .into_iter()
                .find(|record| record["id"] == intent["id"])
        });
        assert_eq!(outcome["outcome"], "already_gone", "{outcome}");
        assert_eq!(
            outcome["statement"],
            serde_json::Value::Null,
            "nothing was sent: {outcome}"
        );
        daemon.looks("orcl", 2);
        let sent = db.world.kills();
        assert!(sent.iter().all(|kill| kill.target.2 != 62_507), "{sent:?}");
    }
}

#[test]
fn a_session_that_reuses_the_sid_just_before_the_statement_is_not_ended() {
    for driver in drivers() {
        let (db, site) = stage(&driver, &policy("TARGET", "kill", "    limits: {per_day: 1}\n"));
        db.world.arm(at_the_kill(Strike::ReplaceTarget));
        let daemon = site.run(&driver);
        let outcome = site.journals("outcome", |_| true);
        assert_eq!(outcome["outcome"], "already_gone", "{outcome}");
        assert_eq!(outcome["code"], 30, "{outcome}");
        let kills = db.world.kills();
        assert_eq!((kills[0].target, kills[0].answer), ((2, 287, 62_507), Some(30)));
        assert_eq!(kills[0].username, None, "it hit nobody");
        daemon.looks("orcl", 2);
        assert_eq!(site.journalled("verification").len(), 0, "there is nobody to follow");
        let new = db.world.session(2, 287).expect("the new one");
        assert!(new.serial != 62_507 && new.status != "KILLED", "{new:?}");
    }
}

#[test]
fn a_session_that_left_by_itself_is_no_error() {
    for driver in drivers() {
        let (db, site) = stage(&driver, &policy("TARGET", "kill", ""));
        db.world.arm(at_the_kill(Strike::EndTarget));
        let daemon = site.run(&driver);
        let outcome = site.journals("outcome", |_| true);
        assert_eq!(
            (outcome["outcome"].as_str(), outcome["code"].as_u64()),
            (Some("already_gone"), Some(30))
        );
        let acting = db.seats_of("REAPER");
        daemon.looks("orcl", 2);
        assert_eq!(db.seats_of("REAPER"), acting, "no connection was lost over it");
        assert_eq!(db.kills().len(), 1);
        assert_eq!(daemon.log_line("call failed"), None);
        assert_eq!(
            daemon.metric(
                "orareaper_actions_total{action=\"kill\",database=\"orcl\",inst_id=\"2\",mode=\"enforce\",\
                 outcome=\"already_gone\",policy=\"reap\"}"
            ),
            Some(1.0),
            "{}",
            daemon.page("/metrics").1
        );
    }
}

#[test]
fn a_long_rollback_shows_as_lingering_until_it_is_through() {
    for driver in drivers() {
        let (db, site) = stage(&driver, &policy("WRITER", "kill immediate", ""));
        let daemon = site.run(&driver);
        let outcome = site.journals("outcome", |_| true);
        assert_eq!(
            outcome["outcome"], "marked",
            "60000 records are not rolled back at once: {outcome}"
        );
        daemon.looks("orcl", 1);
        assert_eq!(lingering(&daemon, 2), 0.0);
        db.world.advance(2 * MINUTE);
        daemon.metric_becomes("orareaper_lingering_sessions{database=\"orcl\",inst_id=\"2\"}", 1.0);
        assert_eq!(
            lingering(&daemon, 1),
            0.0,
            "the other instance has nothing to do with it"
        );
        daemon.says("session lingers");
        // 60000 records at 100 a second take ten minutes.
        db.world.advance(9 * MINUTE);
        daemon.metric_becomes("orareaper_lingering_sessions{database=\"orcl\",inst_id=\"2\"}", 0.0);
        site.journals("verification", |record| record["proof"] == "gone");
        assert_eq!(db.kills().len(), 1);
    }
}

#[test]
fn a_pool_that_refills_is_left_alone_also_after_a_restart() {
    for driver in drivers() {
        let limits = "    limits: {per_cycle: 1, respawns: 2}\n";
        let (db, site) = stage(&driver, &policy("POOL", "kill immediate", limits));
        let daemon = site.run(&driver);
        let suspended = "orareaper_suspended_groups{database=\"orcl\",mode=\"enforce\",policy=\"reap\"}";
        // Its clients log in again a second after each kill; time passes by hand.
        wait_for("the policy to be suspended", || {
            db.world.advance(Duration::from_secs(2));
            (daemon.metric(suspended) == Some(1.0)).then_some(())
        });
        daemon.looks("orcl", 2);
        let kills = db.kills().len();
        // Two that came back are enough; what was under way when the second one was seen is brought to an end.
        assert!((2..=4).contains(&kills), "{:?}", db.kills());
        let told = site.journals("group_suspended", |_| true);
        let of = [&told["username"], &told["machine"], &told["program"]].map(|text| text.as_str());
        assert_eq!(of, [Some("POOL"), Some("app2"), Some("JDBC Thin Client")], "{told}");
        assert!(
            told["reason"]
                .as_str()
                .is_some_and(|it| it.contains("came back within 5m")),
            "{told}"
        );
        let back = site.journalled("came_back");
        assert!(back.len() >= 2 && back.len() <= kills, "{back:?}");
        let came_back = "orareaper_respawns_total{database=\"orcl\",mode=\"enforce\",policy=\"reap\"}";
        assert_eq!(daemon.metric(came_back), Some(back.len() as f64));
        assert!(
            daemon.page("/").1.contains("reap is suspended: sessions of POOL"),
            "on the status page"
        );
        drop(daemon);

        let daemon = site.run(&driver);
        daemon.looks("orcl", 2);
        assert_eq!(daemon.metric(suspended), Some(1.0), "it is known from the journal");
        assert_eq!(db.kills().len(), kills);
        db.let_pass(&daemon, "orcl", 62);
        until("it to be tried again", || db.kills().len() > kills);
        site.journals("group_released", |_| true);
    }
}
