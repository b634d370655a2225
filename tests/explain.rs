//! `explain` and `sessions`: the real program over a saved snapshot and over a simulated cluster.
//!
//! The cluster's clock stands still, so the program and a later query see the same sessions.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::site::{Db, Site, entry, thin};
use orasim::Scenario;
use orasim::backend::ConnectTo;
use orasim::local::{Local, shown};
use serde_json::Value;

/// MODULE is missing. A background process, SYS, a hostile program, the same seat on two instances.
const SESSIONS: &str = "\
INST_ID,SID,SERIAL#,USERNAME,STATUS,TYPE,LOGON_TIME,LAST_CALL_ET,TADDR,MACHINE,SYSDATE,PROGRAM
1,287,62507,APEXDEV,INACTIVE,USER,2026-11-22T01:00:00,18720,,web01,2026-11-22T10:00:00Z,sqlplus@web01
2,287,9,SHOP,INACTIVE,USER,2026-11-22T05:00:00,14401,,\x1b]0;pwned\x07,2026-11-22T10:00:00Z,=cmd|calc
1,12,3,SYS,INACTIVE,USER,2026-11-21T10:00:00,20000,,db1,2026-11-22T10:00:00Z,sqlplus@db1
1,2,1,,ACTIVE,BACKGROUND,2026-10-01T10:00:00,99999,,db1,2026-11-22T10:00:00Z,oracle@db1 (PMON)
1,7,7,ETL,ACTIVE,USER,2026-11-22T09:00:00,60,,etl01,2026-11-22T10:00:00Z,pmdtm@etl01
";

const POLICIES: &str = "
exemptions:
  - when: username = ETL and program like 'pmdtm%'
    reason: month-end load
    owner: dwh-team
    until: 2099-12-31
policies:
  - name: idle
    when: INACTIVE longer than 4h
    unless: username in (ETL, DWH)
    action: kill
  - name: batch
    when: module not like 'BATCH%' and LAST_CALL_ET > 1h
    action: kill
  - name: patient
    when: username = ETL or machine = 'a&b'
    for: 10m
    action: report
  - name: gated
    schedule: '* * * * *'
    while: sessions above 85%
    when: sid = 287
    action: kill
  - name: resting
    mode: off
    when: sid = 7
    action: report
";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ran(mut command: Command) -> Ran {
    let output = command.output().expect("the program runs");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The program over the saved snapshot.
fn saved(arguments: &[&str]) -> Ran {
    let site = Site::new();
    site.write(
        "sessions.csv",
        SESSIONS.replace("\\x1b", "\x1b").replace("\\x07", "\x07"),
    );
    site.policies(POLICIES);
    let mut command = site.command(&thin());
    command.args(arguments);
    command.args(["--snapshot", "sessions.csv", "--policies", "policies"]);
    ran(command)
}

fn fine(ran: &Ran) -> &str {
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    &ran.out
}

#[track_caller]
fn holds(text: &str, part: &str) {
    assert!(text.contains(part), "expected:\n{part}\nin:\n{text}");
}

#[test]
fn every_term_protection_exemption_and_decision_of_a_session_is_shown() {
    let idle = saved(&["explain", "287,62507,@1"]);
    let text = fine(&idle);
    holds(
        text,
        "session 287,62507,@1 on snapshot\n  APEXDEV, sqlplus@web01 at web01, INACTIVE for 5h 12m\n",
    );
    holds(
        text,
        "  when
    TRUE     INACTIVE longer than 4h
      TRUE     status = 'INACTIVE'  [status is INACTIVE]
      TRUE     last_call_et > 4h  [last_call_et is 5h 12m]
  unless
    FALSE    username in ('ETL', 'DWH')  [username is APEXDEV]
  `when` and not `unless`: TRUE
  protections: none applies
  for: none; it acts at once
",
    );
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    holds(
        &words,
        "breaker above 20% (candidates on its instance: 1 of 3 user sessions) decision: act",
    );
    holds(text, "  decision: act, kill: INACTIVE for 5h 12m, longer than 4h\n");
    // NOT LIKE on a column that was not read is UNKNOWN, which spares.
    holds(
        text,
        "    UNKNOWN  all of
      UNKNOWN  module not like 'BATCH%'  [module was not read]
      TRUE     last_call_et > 1h  [last_call_et is 5h 12m]
",
    );
    holds(
        text,
        "  decision: none: its condition is UNKNOWN, which spares the session\n",
    );
    // A file has no readings of resources.
    holds(
        text,
        "  schedule: assumed to be due now\n  while: not known to be true for this instance\n",
    );
    holds(
        text,
        "  decision: none: its condition holds, but its `while` is not known to be true",
    );
    holds(text, "policy resting (does not run here, report)\n");
    holds(text, "  decision: none: it is off\n");
    holds(
        text,
        "  month-end load (dwh-team): does not apply\n    FALSE    all of\n",
    );
}

#[test]
fn what_spares_a_session_is_named() {
    let sys = saved(&["explain", "12", "--policy", "idle"]);
    let text = fine(&sys);
    holds(
        text,
        "  unidentified    does not apply\n  background      does not apply\n",
    );
    holds(text, "  sys             applies: USERNAME is SYS\n");
    holds(text, "  protections: sys applies\n");
    holds(text, "  decision: protected: protected by sys: USERNAME is SYS\n");
    assert!(!text.contains("policy batch"), "{text}");

    let exempt = saved(&["explain", "7,7", "--policy", "patient"]);
    let text = fine(&exempt);
    holds(text, "  month-end load (dwh-team): applies\n");
    holds(text, "  for: 10m; the daemon counts it over several snapshots");
    holds(text, "  decision: exempt: exempt: month-end load (dwh-team)\n");

    let background = saved(&["explain", "2", "--policy", "idle"]);
    holds(fine(&background), "  background      applies: TYPE is BACKGROUND\n");
    holds(fine(&background), "[username is NULL]");
}

#[test]
fn a_hostile_session_does_nothing_to_the_terminal() {
    for arguments in [&["explain", "287,9,@2"][..], &["sessions"]] {
        let ran = saved(arguments);
        let text = fine(&ran);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        holds(text, "\\x1b]0;pwned\\x07");
    }
}

#[test]
fn an_unknown_name_is_reported_with_those_that_exist() {
    let cases = [
        (
            &["explain", "287"][..],
            "it could be 287,62507,@1 (APEXDEV), 287,9,@2 (SHOP)",
        ),
        (
            &["explain", "287,1,@1"],
            "with the same SID there is 287,62507,@1 (APEXDEV), 287,9,@2 (SHOP)",
        ),
        (&["explain", "278,62507,@1"], "did you mean `287,62507,@1`?"),
        (&["explain", "SHOP"], "expected 'SID,SERIAL#,@INST_ID'"),
        (
            &["explain", "12", "--policy", "idel"],
            "no policy is named idel; did you mean `idle`?",
        ),
        (&["explain"], "required"),
        (&["sessions", "usrname = SHOP"], "username"),
        (&["sessions", "--watch", "1"], "cannot be used with"),
    ];
    for (arguments, told) in cases {
        let ran = saved(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
        holds(&ran.err, told);
    }
}

#[test]
fn the_query_of_each_policy_can_be_pasted() {
    let all = saved(&["explain", "--sql"]);
    let text = fine(&all);
    holds(
        text,
        "-- policy idle
SELECT s.inst_id, s.sid, s.serial#, s.username, s.status, s.last_call_et, s.program, s.machine
  FROM gv$session s
 WHERE (s.status = 'INACTIVE' AND s.last_call_et > 14400)
   AND NOT (s.username IN ('ETL', 'DWH'));
",
    );
    // SQL*Plus would ask for the value of b.
    holds(text, "SET DEFINE OFF\n-- policy idle\n");
    let one = saved(&["explain", "12", "--sql", "--policy", "idle"]);
    holds(fine(&one), "-- policy idle: TRUE for 12,3,@1\nSELECT");
    assert!(
        !one.out.contains("SET DEFINE OFF") && !one.out.contains("batch"),
        "{}",
        one.out
    );
}

#[test]
fn sessions_are_those_that_the_condition_holds_for() {
    let all = saved(&["sessions"]);
    let text = fine(&all);
    holds(
        text,
        "snapshot, 2026-11-22T10:00:00Z: 4 of 5 sessions; 1 background not shown (--all shows them)\n",
    );
    assert!(!text.contains("PMON"), "{text}");
    let row = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
    };
    holds(&row(text, "287,62507,@1"), "act: idle");
    holds(&row(text, "12,3,@1"), "protected (sys): idle");
    holds(&row(text, "7,7,@1"), "exempt: patient");
    for shown in [&["sessions", "--all"][..], &["sessions", "background"]] {
        holds(fine(&saved(shown)), "2,1,@1");
    }

    let some = saved(&[
        "sessions",
        "INACTIVE longer than 4h and username != SYS and connected < 6h",
    ]);
    let text = fine(&some);
    holds(text, ": 1 of 5 sessions\n");
    // What the condition asks for is shown.
    holds(&row(text, "287,9,@2"), "connected 5h");
    let missing = saved(&["sessions", "module = 'x' or sid = 12"]);
    holds(fine(&missing), "! column module is missing");
    holds(fine(&missing), ": 1 of 5 sessions");

    let csv = saved(&["sessions", "sid = 287", "--format", "csv"]);
    let lines: Vec<&str> = fine(&csv).split("\r\n").collect();
    assert_eq!(lines.len(), 4, "a header, two rows and the end: {lines:?}");
    assert!(
        lines[0].starts_with("database,taken_at,inst_id,sid,serial,"),
        "{lines:?}"
    );
    holds(lines[2], ",SHOP,'=cmd|calc,");

    let json = saved(&["sessions", "connected > 8h and sid = 287", "--format", "json"]);
    let json: Value = serde_json::from_str(fine(&json)).expect("JSON");
    let session = &json["sessions"][0];
    assert_eq!(
        (&session["serial"], &session["values"]["connected"]),
        (&62_507.into(), &32_400.into())
    );
    assert_eq!(session["policies"][0]["policy"], "idle");
    assert_eq!(session["policies"][0]["decision"], "act");
}

/// A cluster whose clock stands still, and a configuration for it.
fn cluster(policies: &str) -> (Db, Site) {
    cluster_of(
        Scenario::builtin("rac3").unwrap_or_else(|error| panic!("{error}")),
        policies,
    )
}

fn cluster_of(mut scenario: Scenario, policies: &str) -> (Db, Site) {
    scenario.speed = 0.0;
    let db = Db::serve(scenario);
    let site = Site::new();
    site.policies(policies);
    site.configure(&thin(), &db);
    (db, site)
}

fn live(site: &Site, arguments: &[&str]) -> Ran {
    let mut command = site.command(&thin());
    command.args(["--config", "orareaper.yaml"]).args(arguments);
    ran(command)
}

/// Who waits behind those that the idle blocker holds up, on another instance, for longer than they do; a shared server;
/// a session with a little temporary space.
const MORE_SESSIONS: &str = "
  - {name: behind, user: CRM_BATCH, count: 2, instances: [2], container: SHOP, service: shop, program: batch@crm03,
     machines: [crm03], logged_on: 8h, active: 100m..110m, blocked_by: blocked}
  - {name: sorting, user: DEV, count: 2, instances: [1, 3], container: DWH, service: dwh, program: sqlplus@dev01,
     machines: [dev01], logged_on: 3h, active: 5m..50m, temp: 64MB..3GB, pga: 20MB..90MB}
";

/// Each says something else, and each selects some sessions and not others.
const CONDITIONS: &[&str] = &[
    "INACTIVE longer than 4h and not background",
    "username in (SHOP, CRM) and not (module like 'shop%')",
    "username is null or program like '%(J00_)'",
    "module not like 'shop%'",
    "in transaction longer than 1h or blocked",
    "machine matches '^shopweb0[1-3]$' and last_call_et between 10s and 1h",
    "connected longer than 12h and server = DEDICATED",
    "not (username = SHOP or module = 'crm-web')",
    "type = USER and (pga > 4MB or undo_records > 1000)",
    "waited > 1h and wait_class != 'Idle'",
    "container = SHOP and status != ACTIVE",
    "blocking",
    "blocking 2 sessions",
    // The four, and the two behind one of them.
    "blocking 6 sessions longer than 95m",
    "blocking between 1 and 3 and blocking_for > 95m",
    "not blocking longer than 95m and username in (CRM, CRM_ADMIN)",
    "blocked longer than 22m",
    "not blocked and machine like 'crm%'",
    "undo > 100MB",
    "transaction_age > 6h or undo < 1MB",
    "temp > 20GB or temp between 1MB and 2GB",
    "type = USER and cpu > 1h",
    "logical_reads > 50000000",
    "physical_reads < 100000 and type = USER",
    "redo > 10MB",
    "spid like '%7'",
    "statement_age > 30m",
    "statement_age is null and idle is null",
    "program = 'a\nb' or username = CRM_ADMIN or module = '-- /'",
];

#[test]
fn the_sql_of_a_condition_selects_the_same_sessions() {
    let policies: String = CONDITIONS
        .iter()
        .enumerate()
        .map(|(at, condition)| format!("  - name: c{at}\n    when: \"{condition}\"\n    action: report\n"))
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/orasim/scenarios/rac3.yaml");
    let rac3 = std::fs::read_to_string(path).expect("the scenario");
    let (sessions, events) = rac3.split_once("\nevents:").expect("it ends with its events");
    let scenario = Scenario::parse(&format!("{sessions}{MORE_SESSIONS}events:{events}"));
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let (db, site) = cluster_of(scenario, &format!("policies:\n{policies}"));
    let printed = live(&site, &["explain", "--sql"]);
    let mut client = Local::connect(&db.world, "reaper", &ConnectTo::default()).expect("log in");
    let text = fine(&printed);
    let mut wrong: Vec<String> = Vec::new();
    for (at, condition) in CONDITIONS.iter().enumerate() {
        let query = text.split_once(&format!("-- policy c{at}\n")).expect("a query").1;
        let query = query.split_once(';').expect("it ends").0;
        let answer = client.run(query);
        let answer = answer.unwrap_or_else(|error| panic!("{condition}: {}: {query}", error.message));
        // The reaper's own sessions come and go between the two.
        let by_sql: BTreeSet<String> = answer
            .rows
            .iter()
            .filter(|row| shown(&row[3]) != "REAPER")
            .map(|row| format!("{},{},@{}", shown(&row[1]), shown(&row[2]), shown(&row[0])))
            .collect();
        let listed = live(&site, &["sessions", condition, "--all", "--format", "json"]);
        let listed: Value = serde_json::from_str(fine(&listed)).expect("JSON");
        let listed = listed["sessions"].as_array().expect("sessions");
        let here: BTreeSet<String> = listed
            .iter()
            .filter(|session| session["username"] != "REAPER")
            .map(|session| format!("{},{},@{}", session["sid"], session["serial"], session["inst_id"]))
            .collect();
        if here != by_sql {
            let differ: Vec<&String> = here.symmetric_difference(&by_sql).collect();
            wrong.push(format!("{condition}: {} and {}: {differ:?}", here.len(), by_sql.len()));
        }
        if here.is_empty() || here.len() >= db.world.sessions().len() {
            wrong.push(format!("{condition}: {} sessions are no proof", here.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_session_of_a_live_database_is_explained() {
    let (db, site) = cluster(
        "policies:\n  - name: walked-away\n    mode: enforce\n    when: blocking longer than 10m and INACTIVE\n    \
         action: kill\n",
    );
    let sessions = db.world.sessions();
    let blocker = sessions
        .iter()
        .find(|session| session.username.as_deref() == Some("CRM_ADMIN"));
    let blocker = blocker.expect("rac3 has an idle blocker");
    let name = format!("{},{},@{}", blocker.sid, blocker.serial, blocker.instance);
    let ran = live(&site, &["explain", &name]);
    let text = fine(&ran);
    holds(text, "policy walked-away (enforce, kill)\n");
    holds(text, "TRUE     blocking > 0  [blocking is 4]");
    holds(text, "  decision: act, kill: ");
    assert_eq!(db.kills(), [], "explaining is all it does");

    let own = live(&site, &["explain", "99999"]);
    assert_eq!(own.code, Some(2));
    // With two databases one must be chosen.
    let address = db.connect_string();
    let two = [
        entry("one", &thin(), &address, true),
        entry("two", &thin(), &address, false),
    ];
    site.configure_with(&two, "");
    let ran = live(&site, &["explain", &name]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    holds(&ran.err, "choose one with --database: one, two");
    let ran = live(&site, &["explain", &name, "--database", "two"]);
    holds(fine(&ran), "policy walked-away (dry run, kill)\n");
    let ran = live(&site, &["sessions", "--database", "tow"]);
    holds(&ran.err, "the configuration has no database tow; did you mean `two`?");
    let ran = live(&site, &["sessions", "username = CRM_ADMIN"]);
    let titles: Vec<&str> = fine(&ran).lines().filter(|line| line.ends_with(" sessions")).collect();
    assert!(
        titles.len() == 2 && titles[0].starts_with("one, ") && titles[1].starts_with("two, "),
        "{titles:?}"
    );
}

#[test]
fn watching_looks_again_over_the_same_connection() {
    let (_db, site) = cluster("policies: []\n");
    let mut command = site.command(&thin());
    command.args([
        "--config",
        "orareaper.yaml",
        "sessions",
        "username = REAPER",
        "--format",
        "json",
        "--watch",
        "1",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut look = || -> Value {
        let line = lines.next().expect("a look").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let (first, second) = (look(), look());
    let own = |look: &Value| {
        (
            look["sessions"][0]["sid"].clone(),
            look["sessions"][0]["serial"].clone(),
        )
    };
    assert_eq!(first["sessions"].as_array().map(Vec::len), Some(1), "{first}");
    assert_eq!(own(&first), own(&second));
    // It ends when the reader closes the pipe.
    drop(lines);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_queries_of_policies_need_no_configuration() {
    let site = Site::new();
    site.policies(POLICIES);
    let mut command = site.command(&thin());
    command.args(["--config", "nowhere.yaml", "explain", "--sql", "--policies", "policies"]);
    holds(fine(&ran(command)), "-- policy idle\nSELECT");
}

/// What `check` says of a condition in a policy, and what `sessions` says of the same one.
#[test]
fn a_condition_on_the_command_line_is_judged_as_one_in_a_policy() {
    let cases = [
        ("module not like 'BATCH%'", true),
        ("username = 'SHOP' and username = 'CRM'", false),
        ("username = shop", true),
        ("status = inaktiv", false),
        ("username = SHOP and stats = ACTIVE", false),
        ("INACTIVE longer than 1h", true),
    ];
    let run = |condition: &str, arguments: &[&str]| {
        let site = Site::new();
        site.write("sessions.csv", SESSIONS);
        site.policies(&format!(
            "policies:\n  - name: idle\n    when: {condition:?}\n    action: kill\n"
        ));
        let mut command = site.command(&thin());
        command.args(arguments);
        ran(command)
    };
    let heads = |text: &str| -> BTreeSet<String> {
        let heads = text
            .lines()
            .filter(|line| line.starts_with("error[") || line.starts_with("warning["));
        heads.map(str::to_owned).collect()
    };
    // What a policy is told of that has nothing to do with its condition.
    let of_any = heads(&run("INACTIVE longer than 1h", &["check", "policies"]).err);
    let mut told = 0;
    for (condition, listed) in cases {
        let of_a_policy: BTreeSet<String> = &heads(&run(condition, &["check", "policies"]).err) - &of_any;
        let asked = run(
            condition,
            &["sessions", condition, "--snapshot", "sessions.csv", "--database", "x"],
        );
        assert_eq!(heads(&asked.err), of_a_policy, "{condition}: {}", asked.err);
        told += of_a_policy.len();
        assert_eq!(asked.code == Some(0), listed, "{condition}: {}", asked.err);
        assert_eq!(asked.out.is_empty(), !listed, "{condition}: {}", asked.out);
    }
    assert!(told >= 4, "{told} findings");
}

#[test]
fn sessions_of_a_file_need_neither_configuration_nor_policies() {
    if PathBuf::from(orareaper::cli::CONFIG).exists() {
        crate::site::not_run("this host has a configuration of its own");
        return;
    }
    let site = Site::new();
    site.write("sessions.csv", SESSIONS);
    let mut command = site.command(&thin());
    command.args(["sessions", "sid = 12", "--snapshot", "sessions.csv"]);
    let ran = ran(command);
    holds(fine(&ran), "12,3,@1");
}
