//! A database whose clock is set forward: the daemon's budgets and holds know that no two hours have passed, and its holds that not
//! even some minutes have.

#![allow(clippy::disallowed_methods, reason = "how long a hold lasts is seen on a clock")]

use std::time::{Duration, Instant};

use crate::site::{Daemon, Db, Site, drivers, prod, until};

const TWO_HOURS: Duration = Duration::from_secs(7_200);

/// Two users who idle. The clock is moved by hand.
const PROD: &str = prod!(
    "
  - {name: paid, user: PAID, count: 3, program: report, machines: [app1], idle: 5h, logged_on: 6h}
  - {name: held, user: HELD, program: report, machines: [app2], idle: 5h, logged_on: 6h}
  - {name: brief, user: BRIEF, program: report, machines: [app2], idle: 5h, logged_on: 6h}
  - {name: at-work, user: SHOP, count: 30, program: shop, machines: [app3], active: 1s, logged_on: 6h}
"
);

const POLICIES: &str = "
policies:
  - name: one-an-hour
    mode: enforce
    when: username = 'PAID' and INACTIVE longer than 4h
    action: kill immediate
    limits: {per_hour: 1}
  - name: held
    mode: enforce
    when: username = 'HELD' and INACTIVE longer than 4h
    for: 20m
    action: kill immediate
  - name: brief
    mode: enforce
    when: username = 'BRIEF' and INACTIVE longer than 4h
    for: 30s
    action: kill immediate
";

/// How many of each were ended.
fn ended(db: &Db) -> [usize; 3] {
    let kills = db.world.kills();
    ["PAID", "HELD", "BRIEF"].map(|user| {
        let of_user = kills.iter().filter(|kill| kill.username.as_deref() == Some(user));
        of_user.count()
    })
}

fn times_told(daemon: &Daemon) -> usize {
    let message = "the database's clock was set; no time counts as passed, and all holds begin anew";
    let told = daemon.log().into_iter().filter(|line| line["message"] == message);
    told.filter(|line| line["step"] == "forward by 2h" && line["level"] == "WARN")
        .count()
}

#[test]
fn a_clock_that_is_set_forward_frees_no_budget_and_serves_no_hold() {
    for driver in drivers() {
        let db = Db::parse(PROD);
        let site = Site::new();
        site.policies(POLICIES);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        until("the first one to be ended", || ended(&db) == [1, 0, 0]);
        // Small steps count for the budget's hour, and for no hold.
        let began = Instant::now();
        db.let_pass(&daemon, "orcl", 16);
        if began.elapsed() < Duration::from_secs(25) {
            assert_eq!(ended(&db), [1, 0, 0], "thirty seconds have not passed");
        }
        // All holds begin anew with the step.
        let began = Instant::now();
        db.world.advance(TWO_HOURS);
        until("the step to be told", || times_told(&daemon) == 1);
        daemon.looks("orcl", 3);
        assert_eq!(ended(&db), [1, 0, 0], "neither an hour has passed nor twenty minutes");
        db.let_pass(&daemon, "orcl", 24);
        if began.elapsed() < Duration::from_secs(25) {
            assert_eq!(
                ended(&db),
                [1, 0, 0],
                "three small steps are not twenty minutes, nor thirty seconds"
            );
        }
        until("thirty seconds to pass on both clocks", || ended(&db) == [1, 0, 1]);
        assert!(
            began.elapsed() >= Duration::from_secs(27),
            "after {:?}",
            began.elapsed()
        );
        // Of the hour forty minutes have passed.
        db.world.advance(TWO_HOURS);
        until("the second step to be told", || times_told(&daemon) == 2);
        daemon.looks("orcl", 2);
        assert_eq!(ended(&db), [1, 0, 1]);
        db.let_pass(&daemon, "orcl", 24);
        until("the next hour's to be ended", || ended(&db) == [2, 0, 1]);
        assert_eq!(times_told(&daemon), 2, "each step is told once");
    }
}
