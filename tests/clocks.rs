//! A database whose clock is set forward by two hours: the daemon's budgets and holds know that no two hours have passed.

use std::time::Duration;

use crate::site::{Daemon, Db, Site, drivers, prod, until};

const TWO_HOURS: Duration = Duration::from_secs(7_200);

/// Two users who idle. The clock is moved by hand.
const PROD: &str = prod!(
    "
  - {name: paid, user: PAID, count: 3, program: report, machines: [app1], idle: 5h, logged_on: 6h}
  - {name: held, user: HELD, program: report, machines: [app2], idle: 5h, logged_on: 6h}
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
";

/// How many of each were ended.
fn ended(db: &Db) -> [usize; 2] {
    let kills = db.world.kills();
    ["PAID", "HELD"].map(|user| {
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
        until("the first one to be ended", || ended(&db) == [1, 0]);
        db.let_pass(&daemon, "orcl", 16);
        db.world.advance(TWO_HOURS);
        until("the step to be told", || times_told(&daemon) == 1);
        daemon.looks("orcl", 3);
        assert_eq!(ended(&db), [1, 0], "neither an hour has passed nor twenty minutes");
        // The hold began anew with the step: sixteen minutes before it do not count.
        db.let_pass(&daemon, "orcl", 16);
        assert_eq!(ended(&db), [1, 0]);
        db.let_pass(&daemon, "orcl", 8);
        until("the hold to be served", || ended(&db) == [1, 1]);
        // Of the hour forty minutes have passed.
        db.world.advance(TWO_HOURS);
        until("the second step to be told", || times_told(&daemon) == 2);
        daemon.looks("orcl", 2);
        assert_eq!(ended(&db), [1, 1]);
        db.let_pass(&daemon, "orcl", 24);
        until("the next hour's to be ended", || ended(&db) == [2, 1]);
        assert_eq!(times_told(&daemon), 2, "each step is told once");
    }
}
