//! Several act on one database at the same time, so that a session that holds its caller up delays no other.
//!
//! A plain KILL of a busy session makes its caller wait for a minute of the simulated clock, which is moved by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::site::{Daemon, Db, Driver, Site, drivers, entry, until};

const BUSY: &str = "
release: 19.22.0.0.0
seed: 3
speed: 0
starts: 2026-11-23T09:00:10
database: {name: PROD}
parameters: {sessions: '2000', processes: '2000'}
instances:
  - {number: 1, name: prod1, host: db1}
accounts:
  REAPER: {password: reaper}
sessions:
  - {name: busy, user: BUSY, count: COUNT, program: loop, machines: [app1], active: 5h, logged_on: 6h, when_killed: {notices: 10m}}
  - {name: forgotten, user: FORGOTTEN, count: 1, program: app, machines: [app1], idle: 3h, logged_on: 6h}
";

const KILL_BUSY: &str =
    "policies: [{name: busy, mode: enforce, when: RUNNING longer than 4h, action: kill, limits: {share: 100%}}]";

/// What a plain KILL makes its caller wait for.
const HELD_UP: Duration = Duration::from_secs(61);

fn begin(driver: &Driver, count: usize, policies: &str, limits: &str) -> (Db, Site, Daemon) {
    let db = Db::parse(&BUSY.replace("COUNT", &count.to_string()));
    let site = Site::new();
    site.policies(policies);
    let database = entry("orcl", driver, &db.connect_string(), true);
    site.configure_with(&[database], &format!("limits: {limits}\n"));
    let daemon = site.run(driver);
    (db, site, daemon)
}

/// How many statements have no answer yet.
fn held_up(db: &Db) -> usize {
    db.kills().iter().filter(|kill| kill.1.is_none()).count()
}

#[test]
fn five_hundred_that_hold_up_their_callers_take_their_minutes_side_by_side() {
    const VICTIMS: usize = 500;
    const PARALLEL: usize = 10;
    for driver in drivers() {
        let limits = "{parallel: 10, per_cycle: 100, per_hour: 1000, share: 100%, respawns: 1000}";
        let (db, site, daemon) = begin(&driver, VICTIMS, KILL_BUSY, limits);
        for round in 1..=VICTIMS / PARALLEL {
            // A thread that begins its next statement has had the answer to the one before.
            until(&format!("round {round}"), || db.kills().len() >= round * PARALLEL);
            assert_eq!(
                (db.kills().len(), held_up(&db)),
                (round * PARALLEL, PARALLEL),
                "never more"
            );
            assert!(
                db.seats_of("REAPER").len() <= PARALLEL + 1,
                "one that reads, and those that act"
            );
            if round % 5 == 0 {
                // Cycles go on, and a step of the clock of more than ten minutes would hold them up.
                daemon.looks("orcl", 1);
            }
            db.world.advance(HELD_UP);
        }
        let outcomes = site.journals_all("outcome", VICTIMS);
        assert!(
            outcomes.iter().all(|outcome| outcome["outcome"] == "marked"),
            "each was tried once"
        );
        let hit: BTreeSet<_> = db.kills().into_iter().map(|kill| kill.0).collect();
        assert_eq!((hit.len(), db.kills().len()), (VICTIMS, VICTIMS), "nobody twice");
        let intents = site.journalled("intent");
        assert_eq!(intents.len(), VICTIMS, "each has an intent of its own");
    }
}

#[test]
fn a_cycle_permits_what_does_not_touch_the_sessions_under_way() {
    const BOTH: &str = "
policies:
  - {name: busy, mode: enforce, when: RUNNING longer than 4h, action: kill, limits: {share: 100%, per_hour: 1}}
  - {name: forgotten, mode: enforce, when: INACTIVE longer than 2h, action: kill immediate, limits: {share: 100%}}
";
    for driver in drivers() {
        let busy = KILL_BUSY.replace("share: 100%", "share: 100%, per_hour: 1");
        let (db, site, daemon) = begin(&driver, 2, &busy, "{parallel: 2, share: 100%}");
        until("the first to wait", || held_up(&db) == 1);
        daemon.looks("orcl", 2);
        assert_eq!(db.kills().len(), 1, "the budget counts what is under way");
        site.policies(BOTH);
        daemon.signal("HUP");
        until("the one that was forgotten to be gone", || {
            db.seats_of("FORGOTTEN").is_empty()
        });
        daemon.looks("orcl", 1);
        assert_eq!((db.kills().len(), held_up(&db)), (2, 1), "the first is still under way");
        let of_the_second = site.journals("outcome", |_| true);
        assert_eq!(of_the_second["outcome"], "done", "{of_the_second}");
        db.world.advance(HELD_UP);
        site.journals("outcome", |outcome| outcome["outcome"] == "marked");
        daemon.looks("orcl", 2);
        assert_eq!(db.kills().len(), 2, "nobody twice");
    }
}
