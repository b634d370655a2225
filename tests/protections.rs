//! Who is spared because of what other views say of a session, over the wire: the real program, both drivers, and a simulated
//! database that has those views.
//!
//! `plan` is asked, which reads and decides as the daemon does. A database is told by its scenario; what the account may not
//! read is left out of its `views`.

use serde_json::Value;

use crate::site::{Db, Driver, Site, drivers};

/// What `plan` says of a database with this one policy for everybody that it does not name.
struct Plan(Value);

impl Plan {
    fn of(driver: &Driver, scenario: &str, policy: &str) -> Plan {
        let db = Db::parse(scenario);
        let site = Site::new();
        site.policies(&format!(
            "policies:\n  - {{name: reap, limits: {{share: 100%}}, {policy}}}\n"
        ));
        site.configure(driver, &db);
        let mut command = site.command(driver);
        command.args(["--config", "orareaper.yaml", "plan", "--format", "json"]);
        let output = command.output().expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let plan = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
        Plan(plan)
    }

    /// USERNAME and verdict of each session that the condition holds for; of a protected one the reason too, up to its first
    /// comma.
    fn verdicts(&self) -> Vec<String> {
        let text = |decision: &Value, name: &str| decision[name].as_str().unwrap_or_default().to_owned();
        let decisions = self.0["decisions"].as_array().expect("a list").iter();
        let mut verdicts: Vec<String> = decisions
            .map(|decision| {
                let (name, verdict) = (text(decision, "username"), text(decision, "decision"));
                if verdict == "protected" {
                    let reason = text(decision, "reason");
                    format!("{name}: {}", reason.split(',').next().unwrap_or_default())
                } else {
                    format!("{name}: {verdict}")
                }
            })
            .collect();
        verdicts.sort();
        verdicts
    }
}

const XA: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: ordinary, user: ORDINARY, program: JDBC Thin Client, machines: [app1], idle: 5h,
     transaction: {age: 5h, undo_records: 3}}
  - {name: none, user: NONE_AT_ALL, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: prepared, user: PREPARED, program: JDBC Thin Client, machines: [app1], idle: 5h,
     transaction: {age: 5h, undo_records: 3, status: prepared}}
  - {name: collecting, user: COLLECTING, program: JDBC Thin Client, machines: [app1], idle: 5h,
     transaction: {age: 5h, undo_records: 3}, suspended_transaction: {age: 6h, undo_records: 3, status: collecting}}
  - {name: unknown, user: UNKNOWN, program: JDBC Thin Client, machines: [app1], idle: 5h,
     transaction: {age: 5h, undo_records: 3, status: unknown}}
  - {name: waits, user: WAITS, program: JDBC Thin Client, machines: [app1], active: 5h,
     wait: {event: inactive transaction branch, class: Other}}
  - {name: pdml, user: PDML, program: load, machines: [app1], active: 5h, px_servers: 1,
     transaction: {age: 5h, undo_records: 3}, px_transaction: {age: 5h, undo_records: 3, status: ptx-prepared}}
";

#[test]
fn whoever_does_not_end_a_transaction_alone_is_spared() {
    for driver in drivers() {
        let plan = Plan::of(&driver, XA, "when: type = USER and last_call_et > 4h, action: kill");
        let mut expected = vec![
            "COLLECTING: protected by xa: its transaction is COLLECTING and not ACTIVE: what becomes of it is not for its \
             session alone to decide",
            "NONE_AT_ALL: act",
            "ORDINARY: act",
            "PDML: protected by parallel-server: PROGRAM is oracle@db1 (P000)",
            "PDML: protected by xa: its transaction is PTX PREPARED and not ACTIVE: what becomes of it is not for its session \
             alone to decide",
            "PREPARED: protected by xa: its transaction is PREPARED and not ACTIVE: what becomes of it is not for its session \
             alone to decide",
            "UNKNOWN: protected by xa: its transaction is UNKNOWN and not ACTIVE: what becomes of it is not for its session \
             alone to decide",
            "WAITS: protected by xa: EVENT is inactive transaction branch",
        ];
        expected.sort_unstable();
        assert_eq!(plan.verdicts(), expected, "{}", driver.name);
        // Whoever lifts `undo` has not lifted this: without the view nobody knows which transaction is whose to end.
        let blind = XA.replace(
            "{password: r}",
            "{password: r, views: [V$INSTANCE, GV$INSTANCE, GV$SESSION, V$DATABASE, V$PARAMETER, GV$PX_SESSION]}",
        );
        let plan = Plan::of(
            &driver,
            &blind,
            "when: idle > 4h, allow: [undo], reason: for a test, action: kill",
        );
        let unknown = "protected by xa: whether its open transaction is a distributed one is unknown";
        let of = |name: &str| format!("{name}: {unknown}");
        assert_eq!(
            plan.verdicts(),
            [
                &of("COLLECTING"),
                "NONE_AT_ALL: act",
                &of("ORDINARY"),
                &of("PREPARED"),
                &of("UNKNOWN")
            ],
            "{}",
            driver.name
        );
    }
}
