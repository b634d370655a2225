//! Who is spared because of what other views say of a session, over the wire: the real program, both drivers, and a simulated
//! database that has those views.
//!
//! `plan` is asked, which reads and decides as the daemon does. A database is told by its scenario; what the account may not
//! read is left out of its `views`.

use serde_json::Value;

use crate::site::{Db, Driver, Site, drivers, until};

/// The output of `plan` for a database with this one policy.
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
fn a_session_in_a_distributed_transaction_is_spared() {
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
        // Lifting `undo` does not lift this: without the view it is unknown whether a transaction is distributed.
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

impl Plan {
    /// What stands on top of the report.
    fn notes(&self) -> Vec<String> {
        let notes = self.0["notes"].as_array().into_iter().flatten();
        notes.filter_map(|note| note.as_str().map(str::to_owned)).collect()
    }
}

/// The views that every plan needs outside a root.
const EVERY_PLAN: [&str; 14] = [
    "V$INSTANCE",
    "GV$INSTANCE",
    "GV$SESSION",
    "V$DATABASE",
    "V$PARAMETER",
    "DBA_USERS",
    "DBA_SYS_PRIVS",
    "DBA_TAB_PRIVS",
    "DBA_ROLE_PRIVS",
    "DBA_GOLDENGATE_PRIVILEGES",
    "DBA_XSTREAM_ADMINISTRATOR",
    "GV$TRANSACTION",
    "GV$PX_SESSION",
    // How much memory would be freed.
    "GV$PROCESS",
];

/// The scenario with the account that reads restricted to these views but one.
fn without(scenario: &str, views: &[&str], taken: &str) -> String {
    assert!(views.contains(&taken), "{taken} is not there anyway");
    let left: Vec<&str> = views.iter().copied().filter(|view| *view != taken).collect();
    scenario.replacen(
        "{password: r}",
        &format!("{{password: r, views: [{}]}}", left.join(", ")),
        1,
    )
}

/// Of these notes exactly one names a view that cannot be read: this one, with its grant.
fn names_only(notes: &[String], view: &str, of: &str) {
    let named: Vec<&String> = notes.iter().filter(|note| note.contains("GRANT SELECT")).collect();
    let object = view.replace("GV$", "gv_$").replace("V$", "v_$").to_lowercase();
    let begins = format!("read {view} from ");
    let ends = format!("; remedy: GRANT SELECT ON sys.{object} TO REAPER");
    assert!(
        named.len() == 1 && named[0].starts_with(&begins) && named[0].ends_with(&ends),
        "{of}: {view}: {notes:#?}"
    );
}

const RIGHTS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts:
  REAPER: {password: r}
  MINES: {rights: {privileges: [LOGMINING]}}
  EXECUTES: {rights: {executes: [DBMS_LOGMNR]}}
  GOLDEN: {rights: {goldengate: capture}}
  STREAMS: {rights: {xstream_administrator: true}}
  BY_ROLE: {rights: {roles: [INNER_ROLE]}}
  APPLIES: {rights: {roles: [OGG_APPLY]}}
  CATALOG: {rights: {roles: [EXECUTE_CATALOG_ROLE]}}
roles:
  CDC_ROLE: {privileges: [LOGMINING]}
  INNER_ROLE: {roles: [CDC_ROLE]}
sessions:
  - {name: a, user: MINES, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: b, user: EXECUTES, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: c, user: GOLDEN, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: d, user: STREAMS, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: e, user: BY_ROLE, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: f, user: APPLIES, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: g, user: CATALOG, program: JDBC Thin Client, machines: [app1], idle: 5h}
";

const IDLE: &str = "when: idle > 4h, action: kill";

/// Verdicts in which only these are spared, by `replication`.
fn replicating(all: &[&str], spared: impl Fn(&str) -> bool) -> Vec<String> {
    let verdict = |name: &&str| match spared(name) {
        true => format!("{name}: protected by replication: USERNAME is {name}"),
        false => format!("{name}: act"),
    };
    let mut verdicts: Vec<String> = all.iter().map(verdict).collect();
    verdicts.sort();
    verdicts
}

#[test]
fn change_capture_is_known_by_each_of_its_rights() {
    const ALL: [&str; 7] = [
        "MINES", "EXECUTES", "GOLDEN", "STREAMS", "BY_ROLE", "APPLIES", "CATALOG",
    ];
    for driver in drivers() {
        let plan = Plan::of(&driver, RIGHTS, IDLE);
        assert_eq!(
            plan.verdicts(),
            replicating(&ALL, |name| name != "CATALOG"),
            "{}",
            driver.name
        );
        assert_eq!(plan.notes(), Vec::<String>::new());
        for (view, told_by_it) in [
            ("DBA_SYS_PRIVS", &["MINES", "BY_ROLE"][..]),
            ("DBA_TAB_PRIVS", &["EXECUTES"]),
            ("DBA_GOLDENGATE_PRIVILEGES", &["GOLDEN"]),
            ("DBA_XSTREAM_ADMINISTRATOR", &["STREAMS"]),
            ("DBA_ROLE_PRIVS", &["BY_ROLE", "APPLIES"]),
        ] {
            let plan = Plan::of(&driver, &without(RIGHTS, &EVERY_PLAN, view), IDLE);
            let left = |name: &str| name != "CATALOG" && !told_by_it.contains(&name);
            assert_eq!(plan.verdicts(), replicating(&ALL, left), "{view}, {}", driver.name);
            names_only(&plan.notes(), view, driver.name);
        }
    }
}

const CONTAINERS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: CDB, pdbs: [SHOP, DWH]}
instances: [{number: 1, name: cdb1, host: node1}]
accounts:
  REAPER: {password: r}
  C##GG: {rights: {goldengate: both}}
  APP: {rights_in: {SHOP: {privileges: [LOGMINING]}}}
  CDC: {rights_in: {DWH: {roles: [CDC_ROLE]}}}
  APEX: {oracle_maintained_in: [DWH]}
roles:
  CDC_ROLE: {executes: [DBMS_LOGMNR]}
sessions:
  - {name: a, user: APP, container: SHOP, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: b, user: APP, container: DWH, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: c, user: CDC, container: SHOP, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: d, user: CDC, container: DWH, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: e, user: APEX, container: SHOP, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: f, user: APEX, container: DWH, program: JDBC Thin Client, machines: [app1], idle: 5h}
  - {name: g, user: C##GG, container: DWH, program: JDBC Thin Client, machines: [app1], idle: 5h}
";

/// The views that every plan needs in a root; DBA_ views besides, which are asked where those cannot be.
const IN_THE_ROOT: [&str; 21] = [
    "V$INSTANCE",
    "GV$INSTANCE",
    "GV$SESSION",
    "V$DATABASE",
    "V$PARAMETER",
    "V$PDBS",
    "CDB_USERS",
    "CDB_SYS_PRIVS",
    "CDB_TAB_PRIVS",
    "CDB_ROLE_PRIVS",
    "CDB_GOLDENGATE_PRIVILEGES",
    "CDB_XSTREAM_ADMINISTRATOR",
    "GV$TRANSACTION",
    "GV$PX_SESSION",
    "GV$PROCESS",
    "DBA_USERS",
    "DBA_SYS_PRIVS",
    "DBA_TAB_PRIVS",
    "DBA_ROLE_PRIVS",
    "DBA_GOLDENGATE_PRIVILEGES",
    "DBA_XSTREAM_ADMINISTRATOR",
];

#[test]
fn in_the_root_an_account_of_a_pdb_is_known_there_and_not_by_its_name_in_another() {
    for driver in drivers() {
        let all = [
            "APEX: act",
            "APEX: protected by sys: USERNAME is APEX",
            "APP: act",
            "APP: protected by replication: USERNAME is APP",
            "C##GG: protected by replication: USERNAME is C##GG",
            "CDC: act",
            "CDC: protected by replication: USERNAME is CDC",
        ];
        let plan = Plan::of(&driver, CONTAINERS, IDLE);
        assert_eq!(plan.verdicts(), all, "{}", driver.name);
        assert_eq!(plan.notes(), Vec::<String>::new());
        // The root's own dictionary tells of the root's accounts where that of all containers does not.
        for (view, told_by_it) in [
            ("CDB_USERS", "APEX"),
            ("CDB_SYS_PRIVS", "APP"),
            ("CDB_TAB_PRIVS", ""),
            ("CDB_ROLE_PRIVS", "CDC"),
            ("CDB_GOLDENGATE_PRIVILEGES", ""),
        ] {
            let plan = Plan::of(&driver, &without(CONTAINERS, &IN_THE_ROOT, view), IDLE);
            let mut left: Vec<String> = all.iter().map(|verdict| (*verdict).to_owned()).collect();
            for verdict in &mut left {
                if verdict.starts_with(&format!("{told_by_it}: ")) {
                    *verdict = format!("{told_by_it}: act");
                }
            }
            assert_eq!(plan.verdicts(), left, "{view}, {}", driver.name);
            names_only(&plan.notes(), view, driver.name);
        }
        // Sessions of all containers are seen, and the dictionary of one: that is no error, and is said.
        let blind = CONTAINERS.replace("pdbs: [SHOP, DWH]", "pdbs: [SHOP, DWH], container_data: sessions");
        let notes = Plan::of(&driver, &blind, IDLE).notes();
        assert!(
            notes.len() == 1
                && notes[0].starts_with("CDB_USERS shows no accounts of CON_ID 3, 4, of which there are sessions"),
            "{notes:?}"
        );
    }
}

const UNDO: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: three, user: THREE, program: load, machines: [app1], active: 5h, px_servers: 3,
     transaction: {age: 5h, undo_records: 1}, px_transaction: {age: 5h, undo_records: 40000}}
  - {name: two, user: TWO, program: load, machines: [app1], active: 5h, px_servers: 2,
     transaction: {age: 5h, undo_records: 1}, px_transaction: {age: 5h, undo_records: 40000}}
";

#[test]
fn what_parallel_servers_would_roll_back_is_their_coordinator_s() {
    let policy = "when: running > 4h and program = 'load', action: kill";
    for driver in drivers() {
        // 3 * 40000 + 1 of at most 100000, and 2 * 40000 + 1.
        let plan = Plan::of(&driver, UNDO, policy);
        assert_eq!(
            plan.verdicts(),
            [
                "THREE: protected by undo: 120001 undo records would have to be rolled back",
                "TWO: act"
            ],
            "{}",
            driver.name
        );
        let unknown = "protected by undo: its open transaction's size is unknown";
        let plan = Plan::of(&driver, &without(UNDO, &EVERY_PLAN, "GV$TRANSACTION"), policy);
        assert_eq!(
            plan.verdicts(),
            [format!("THREE: {unknown}"), format!("TWO: {unknown}")]
        );
        names_only(&plan.notes(), "GV$TRANSACTION", driver.name);
        let plan = Plan::of(&driver, &without(UNDO, &EVERY_PLAN, "GV$PX_SESSION"), policy);
        names_only(&plan.notes(), "GV$PX_SESSION", driver.name);
    }
}

/// Server processes that serve two sessions, and one that serves one.
const SHARERS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T09:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: shared, user: SHARER, count: 2, sessions_per_process: 2, program: JDBC Thin Client, module: 'part {n}',
     machines: [app1], idle: 5h, logged_on: 6h}
  - {name: alike, user: ALIKE, count: 2, sessions_per_process: 2, program: JDBC Thin Client, machines: [app1], idle: 5h,
     logged_on: 6h}
  - {name: alone, user: ALONE, program: JDBC Thin Client, machines: [app1], idle: 5h, logged_on: 6h}
  - {name: circuit, user: CIRCUIT, count: 2, sessions_per_process: 2, server: shared, program: JDBC Thin Client,
     module: 'part {n}', machines: [app1], idle: 5h, logged_on: 6h}
";

#[test]
fn a_session_whose_process_serves_one_that_is_to_stay_is_not_disconnected() {
    let condition = "when: idle > 4h and (module is null or module != 'part 2')";
    for driver in drivers() {
        let plan = Plan::of(&driver, SHARERS, &format!("{condition}, action: kill"));
        let killed = ["ALIKE: act", "ALIKE: act", "ALONE: act", "CIRCUIT: act", "SHARER: act"];
        assert_eq!(plan.verdicts(), killed, "{}", driver.name);
        let disconnect = format!("{condition}, action: disconnect immediate");
        let verdicts = Plan::of(&driver, SHARERS, &disconnect).verdicts();
        let shared = "protected by shared-process: its server process also serves ";
        for alike in &verdicts[..2] {
            assert!(alike.starts_with(&format!("ALIKE: {shared}")), "{verdicts:?}");
        }
        assert_eq!(verdicts[2..4], killed[2..4], "{}", driver.name);
        assert!(
            verdicts[4].starts_with("SHARER: protected by shared-process: its server process also serves "),
            "{verdicts:?}"
        );

        // Armed, nothing is sent for it and nothing is begun, and everybody else goes.
        let db = Db::parse(SHARERS);
        let site = Site::new();
        site.policies(&format!(
            "policies:\n  - {{name: reap, mode: enforce, limits: {{share: 100%}}, {disconnect}}}\n"
        ));
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        let seats = |name: &str| db.seats_of(name).len();
        until("the others to be gone", || seats("ALONE") + seats("CIRCUIT") == 1);
        daemon.looks("orcl", 1);
        assert_eq!((seats("SHARER"), seats("ALIKE")), (2, 2));
        let sharers = db.seats_of("SHARER");
        let begun = site.journalled("intent");
        let of_sharers = |record: &Value| sharers.iter().any(|(sid, _)| record["sid"] == *sid);
        assert!(!begun.iter().any(of_sharers), "{begun:?}");
        let spared =
            "orareaper_spared_total{database=\"orcl\",mode=\"enforce\",policy=\"reap\",reason=\"shared-process\"}";
        assert!(
            daemon.metric(spared).is_some_and(|count| count >= 1.0),
            "{}",
            daemon.page("/metrics").1
        );
    }
}
