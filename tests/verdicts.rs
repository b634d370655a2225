//! The daemon, `plan`, `sessions`, `explain`, `replay` and `test` decide alike about the same sessions, even when the date in UTC
//! differs from the date of the database, and on days on which its clock changes.
//!
//! Each case has an exemption that ends with one of the two days, a blackout-free time, and a policy for another database, one
//! that is off, and one with a schedule that is due. What each command says is read from what it prints.

use std::collections::BTreeSet;

use crate::site::{Db, Site, entry, thin, wait_for};
use serde_json::Value;

/// A zone and a moment in UTC; the day there, and whether it is later than in UTC.
struct Case {
    zone: &'static str,
    utc: &'static str,
    day: &'static str,
}

const CASES: [Case; 5] = [
    // Half an hour into the day on which clocks go forward.
    Case {
        zone: "Europe/Berlin",
        utc: "2026-03-28T23:30:00",
        day: "2026-03-29",
    },
    // The last hour of the day on which they went back, which has twenty-five.
    Case {
        zone: "Europe/Berlin",
        utc: "2026-10-25T22:30:00",
        day: "2026-10-25",
    },
    // Still the day before, in the hour that comes twice a few hours later.
    Case {
        zone: "America/New_York",
        utc: "2026-11-01T03:30:00",
        day: "2026-10-31",
    },
    Case {
        zone: "Pacific/Kiritimati",
        utc: "2026-06-30T11:00:00",
        day: "2026-07-01",
    },
    Case {
        zone: "UTC",
        utc: "2026-06-30T12:00:00",
        day: "2026-06-30",
    },
];

fn office(utc: &str) -> String {
    format!(
        "
release: 19.22.0.0.0
seed: 11
speed: 0
starts: {utc}
database: {{name: PROD}}
instances:
  - {{number: 1, name: prod, host: db1}}
accounts:
  REAPER: {{password: reaper}}
sessions:
  - {{name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 5h, logged_on: 6h}}
  - {{name: exempt, user: ETL, program: sqlplus, machines: [pc2], idle: 5h, logged_on: 6h}}
  - {{name: past, user: OLD, program: sqlplus, machines: [pc3], idle: 5h, logged_on: 6h}}
  - {{name: backup, user: OPS, program: rman@db1 (TNS V1-V3), machines: [db1], idle: 5h, logged_on: 6h}}
"
    )
}

/// ETL is exempt up to and including the day there, OLD up to the day before.
fn policies(day: &str) -> String {
    let today: chrono::NaiveDate = day.parse().expect("a day");
    let yesterday = today.pred_opt().expect("a day");
    format!(
        "
exemptions:
  - {{when: username = ETL, reason: load, owner: dwh, until: {today}}}
  - {{when: username = OLD, reason: old, owner: dwh, until: {yesterday}}}
policies:
  - {{name: idle, mode: enforce, when: INACTIVE longer than 4h, action: kill}}
  - {{name: elsewhere, mode: enforce, databases: [crm, env=test], when: INACTIVE longer than 1h, action: kill}}
  - {{name: labelled, databases: [env=prod], schedule: \"* * * * *\", when: username = SCOTT and INACTIVE longer than 1h, action: report}}
  - {{name: unused, mode: 'off', when: INACTIVE longer than 1h, action: kill}}
"
    )
}

/// Policy, SID and decision.
type Verdicts = BTreeSet<(String, u64, String)>;

fn of_plan(plan: &Value) -> Verdicts {
    let decisions = plan["decisions"].as_array().expect("decisions");
    decisions
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            (text("policy"), one["sid"].as_u64().expect("a SID"), text("decision"))
        })
        .collect()
}

fn of_sessions(listing: &Value) -> Verdicts {
    let mut verdicts = Verdicts::new();
    for session in listing["sessions"].as_array().expect("sessions") {
        for thought in session["policies"].as_array().expect("policies") {
            let text = |key: &str| thought[key].as_str().unwrap_or_default().to_owned();
            verdicts.insert((
                text("policy"),
                session["sid"].as_u64().expect("a SID"),
                text("decision"),
            ));
        }
    }
    verdicts
}

fn run(site: &Site, arguments: &[&str]) -> String {
    let output = site
        .command(&thin())
        .args(["--config", "orareaper.yaml"])
        .args(arguments)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn serial_of(listing: &Value, sid: u64) -> u64 {
    let mut sessions = listing["sessions"].as_array().expect("sessions").iter();
    let session = sessions
        .find(|session| session["sid"].as_u64() == Some(sid))
        .expect("listed");
    session["serial"].as_u64().expect("a number")
}

/// What `explain` says of each session: the line `decision: act, ...` after each policy's heading.
fn of_explain(site: &Site, known: &Verdicts, serials: &Value) -> Verdicts {
    let mut verdicts = Verdicts::new();
    for (policy, sid, _) in known {
        let serial = serial_of(serials, *sid);
        let text = run(site, &["explain", &format!("{sid},{serial},@1"), "--policy", policy]);
        let line = text
            .lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix("decision: "));
        let word = line.unwrap_or_default().split([',', ':']).next().unwrap_or_default();
        verdicts.insert((policy.clone(), *sid, word.to_owned()));
    }
    verdicts
}

/// The same sessions as a policy test: it expects what the others decided, and nothing else.
fn as_a_story(site: &Site, case: &Case, listing: &Value, verdicts: &Verdicts) {
    use std::fmt::Write as _;
    let mut timeline = format!(
        "database: orcl\nlabels: {{env: prod}}\ntimezone: {}\ndry_run: true\npolicies: [../../policies/policies.yaml]\nsnapshots:\n  - at: {}Z\n    sessions:\n",
        case.zone, case.utc
    );
    for session in listing["sessions"].as_array().expect("sessions") {
        let text = |key: &str| session[key].to_string();
        let _ = writeln!(
            timeline,
            "      - {{sid: {}, serial#: {}, username: {}, program: {}, machine: {}, status: {}, last_call_et: {}s}}",
            text("sid"),
            text("serial"),
            text("username"),
            text("program"),
            text("machine"),
            text("status"),
            text("last_call_et")
        );
    }
    let mut parts = Vec::new();
    for word in ["act", "exempt", "protected"] {
        let of_word: Vec<String> = verdicts
            .iter()
            .filter(|(.., decision)| decision == word)
            .map(|(policy, sid, _)| {
                let serial = serial_of(listing, *sid);
                format!("{{session: \"{sid},{serial},@1\", policy: {policy}}}")
            })
            .collect();
        parts.push(format!("{word}: [{}]", of_word.join(", ")));
    }
    let expect = format!("- {{{}}}\n", parts.join(", "));
    site.write("tests/one/timeline.yaml", timeline);
    site.write("tests/one/expect.yaml", expect);
    run(site, &["test", "tests"]);
}

#[test]
fn all_commands_decide_alike_about_the_same_sessions() {
    let driver = thin();
    for case in CASES {
        let db = Db::parse(&office(case.utc));
        let site = Site::new();
        site.policies(&policies(case.day));
        let labelled = entry("orcl", &driver, &db.connect_string(), true) + "    labels: {env: prod}\n";
        site.configure_with(&[labelled], &format!("timezone: {}\n", case.zone));

        let planned = of_plan(&json(&run(&site, &["plan", "--format", "json"])));
        let count = |word: &str| planned.iter().filter(|(.., decision)| decision == word).count();
        // SCOTT and OLD by `idle`, SCOTT by `labelled`; ETL is exempt; RMAN is protected.
        assert_eq!(
            (count("act"), count("exempt"), count("protected")),
            (3, 1, 1),
            "{}: {planned:?}",
            case.zone
        );
        assert_eq!(planned.len(), 5, "{planned:?}");

        let listing = json(&run(&site, &["sessions", "--format", "json"]));
        assert_eq!(of_sessions(&listing), planned, "sessions in {}", case.zone);
        assert_eq!(
            of_explain(&site, &planned, &listing),
            planned,
            "explain in {}",
            case.zone
        );
        run(&site, &["record", "-o", "one.rec", "--snapshots", "1"]);
        let replayed = json(&run(&site, &["replay", "one.rec", "--format", "json"]));
        assert_eq!(of_plan(&replayed), planned, "replay in {}", case.zone);
        as_a_story(&site, &case, &listing, &planned);

        let daemon = site.run_with(&driver, |command| {
            command.arg("--dry-run");
        });
        let report = wait_for("the daemon's report", || {
            let text = std::fs::read_to_string(site.path("state/reports/orcl.json")).ok()?;
            serde_json::from_str(&text).ok()
        });
        assert_eq!(of_plan(&report), planned, "the daemon in {}", case.zone);
        drop(daemon);
    }
}
