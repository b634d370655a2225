//! A database at its limit accepts no login, so the daemon must already have a connection for actions.
//!
//! The simulated database is filled to its limit of sessions, and of processes, after the daemon has its connections; a client
//! proves that it is full. The daemon must still reap sessions, even after somebody has killed its connection for actions.

use std::time::Duration;

use crate::site::colleague::{acting, end, log_in};
use crate::site::{Daemon, Db, Driver, Site, drivers, until, wait_for};
use orasim::Scenario;

/// 94 sessions besides the background processes, 60 of them forgotten. The clock is moved by hand.
const FULL: &str = "
release: 19.22.0.0.0
seed: 7
speed: 0
starts: 2026-11-23T09:00:00
database: {name: PROD}
parameters: {LIMITS}
instances:
  - {number: 1, name: prod, host: db1}
accounts:
  REAPER: {password: reaper}
  DBA: {password: dba}
  SHOP: {password: shop}
sessions:
  - {name: forgotten, user: FORGOTTEN, count: 60, program: JDBC Thin Client, machines: [app1], idle: 3h, logged_on: 6h}
  - {name: at-work, user: SHOP, count: 34, program: shop, machines: [app2], active: 1s, logged_on: 6h}
";

/// Where `resource` is one of the two.
fn policy(resource: &str) -> String {
    format!(
        "policies:\n  - name: make-room\n    mode: enforce\n    while: {resource} above 85%\n    until: {resource} below 60%\n    \
         when: INACTIVE longer than 4h\n    action: kill immediate\n    \
         limits: {{share: 100%, per_cycle: 10, per_hour: 100, respawns: 1000}}\n"
    )
}

/// A database with room for this many more sessions, by this parameter.
fn with_room_for(more: usize, resource: &str) -> Db {
    let parse = |limits: &str| {
        let text = FULL.replace("{LIMITS}", limits);
        Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let there = orasim::World::new(parse("{}")).sessions().len();
    let other = if resource == "sessions" {
        "processes"
    } else {
        "sessions"
    };
    Db::serve(parse(&format!(
        "{{{resource}: \"{}\", {other}: \"5000\"}}",
        there + more
    )))
}

fn begin(driver: &Driver, db: &Db, resource: &str) -> (Site, Daemon) {
    let site = Site::new();
    site.policies(&policy(resource));
    site.configure_with(
        &[crate::site::entry("orcl", driver, &db.connect_string(), true)],
        "limits: {per_cycle: 10, per_hour: 200, share: 100%}\n",
    );
    let daemon = site.run(driver);
    daemon.metric_becomes("orareaper_acting_connection{database=\"orcl\",inst_id=\"1\"}", 1.0);
    (site, daemon)
}

fn refused(db: &Db) -> String {
    log_in(db, "shop")
        .map(|_| ())
        .expect_err("there is no room")
        .to_string()
}

#[test]
fn a_full_database_is_reaped_over_connections_that_were_made_before() {
    for driver in drivers() {
        for (resource, number) in [("sessions", "ORA-00018"), ("processes", "ORA-00020")] {
            // The DBA, the connection that reads, the one that acts, and one client more.
            let db = with_room_for(4, resource);
            let mut dba = log_in(&db, "dba").expect("there is room");
            let (_site, daemon) = begin(&driver, &db, resource);
            let _last = log_in(&db, "shop").expect("there is room for one");
            assert!(refused(&db).contains(number), "{}", refused(&db));
            let first = acting(&mut *dba);
            assert_eq!(first.len(), 1, "one, and from the start");

            // Killing the connection makes room for one session, which the daemon takes again at once.
            end(*first.first().expect("one"), &mut *dba);
            until("another acting connection", || {
                let now = acting(&mut *dba);
                now.len() == 1 && now.is_disjoint(&first)
            });
            daemon.metric_becomes("orareaper_acting_connection{database=\"orcl\",inst_id=\"1\"}", 1.0);
            assert!(refused(&db).contains(number), "{}", refused(&db));

            db.world.advance(Duration::from_secs(2 * 3_600));
            let room = wait_for("room", || log_in(&db, "shop").ok());
            // And once more in the middle of it, with some of them still there.
            for seat in acting(&mut *dba) {
                end(seat, &mut *dba);
            }
            until("below sixty percent", || db.seats_of("FORGOTTEN").len() <= 25);
            assert_eq!(db.seats_of("SHOP").len(), 34 + 2, "nobody else was touched");
            room.close(Duration::from_secs(1));
        }
    }
}

#[test]
fn the_page_says_whether_it_can_act_and_nothing_stands_by_where_no_policy_enforces() {
    let driver = crate::site::thin();
    let db = with_room_for(10, "sessions");
    let (site, daemon) = begin(&driver, &db, "sessions");
    let page = daemon.page("/").1;
    assert!(
        page.contains("Connections for actions: instance 1 <span class=\"good\">open</span>"),
        "{page}"
    );
    let mut dba = log_in(&db, "dba").expect("there is room");
    assert_eq!(acting(&mut *dba).len(), 1);

    site.policies(&policy("sessions").replace("mode: enforce", "mode: dry-run"));
    daemon.signal("HUP");
    until("it to be gone", || acting(&mut *dba).is_empty());
    let metric = "orareaper_acting_connection{database=\"orcl\",inst_id=\"1\"}";
    until("no figure of it", || daemon.metric(metric).is_none());
    assert!(!daemon.page("/").1.contains("Connections to act on"));
}
