//! `setup-sql` and `doctor` against each other and against the daemon: what the one prints makes an account with which the other
//! finds nothing missing and the daemon acts; and each right that is taken away again is named, with its statement, and no other.

mod rights;
mod setup_sql;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;

use crate::drivers::both::on_both_drivers;
use crate::site::{Db, PASSWORD, Site, drivers, thin, until};
use orareaper::checks::{Check, Id, Remedy, State};
use orareaper::clock::SystemClock;
use orareaper::doctor::{Examined, database::examine};
use orareaper::oracle::Driver;
use orareaper::policy::model::PolicySet;
use orasim::backend::{Client, ConnectTo};
use orasim::local::Local;
use orasim::{Scenario, Server, World};
use serde_json::Value;

/// A kind of database.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// As `--for` takes it.
    release: &'static str,
    /// As the simulated database does.
    version: &'static str,
    flag: Option<&'static str>,
    service: &'static str,
    user: &'static str,
}

const ALONE: Kind = Kind {
    release: "19c",
    version: "19.22.0.0.0",
    flag: None,
    service: "PROD",
    user: "reaper",
};

const ROOT: Kind = Kind {
    flag: Some("--cdb"),
    service: "CDB",
    user: "c##reaper",
    ..ALONE
};

const PDB: Kind = Kind {
    flag: Some("--pdb"),
    service: "shop",
    user: "reaper",
    ..ALONE
};

impl Kind {
    const fn of(self, release: &'static str, version: &'static str) -> Kind {
        Kind {
            release,
            version,
            ..self
        }
    }

    /// Two instances with containers, or one without. There is no account for the daemon yet, and some session appears in each view.
    fn scenario(self) -> String {
        let Kind { version, .. } = self;
        let (database, more, container) = if self.flag.is_some() {
            (
                "{name: CDB, pdbs: [SHOP, DWH]}\ninstances:\n  - {number: 1, name: cdb1, host: node1}\n  - {number: 2, name: cdb2, \
                 host: node2}",
                "services: [{name: shop, container: SHOP}]\n",
                ", container: SHOP",
            )
        } else {
            ("{name: PROD}\ninstances: [{number: 1, name: prod1, host: db1}]", "", "")
        };
        format!(
            "release: {version}\ndatabase: {database}\naccounts:\n  SYS: {{password: sys}}\n{more}sessions:\n  - {{name: pool, user: \
             SHOP{container}, count: 3, program: JDBC Thin Client, idle: 5h, temp: 2MB, transaction: {{age: 5h, undo_records: 3}}}}\n"
        )
    }

    /// Its own words on the command line of `setup-sql`.
    fn arguments(self) -> Vec<&'static str> {
        let mut arguments = vec!["--for", self.release];
        arguments.extend(self.flag);
        if self.flag.is_some() {
            arguments.push("--rac");
        }
        arguments
    }
}

/// Needs every view that there is, one way or the other, and ends the idle.
const POLICIES: &str = "
policies:
  - name: idle
    mode: enforce
    when: INACTIVE longer than 4h and username = SHOP
    action: kill
  - name: greedy
    mode: dry-run
    when: temp > 1MB and pga > 1GB and cpu > 1h and undo_records > 5 and BLOCKING
    while: sessions above 95% or processes above 95% or pga above 100GB or temp above 95% or undo above 95% or host_cpu above 99%
    action: kill immediate
";

/// Names the container too, which 11.2 does not have.
const IN_CONTAINERS: &str = "
  - name: somewhere
    mode: dry-run
    when: INACTIVE longer than 4h and container = 'DWH'
    action: kill
";

/// A host beside a database of this kind.
struct Desk {
    kind: Kind,
    site: Site,
    world: Arc<World>,
    _server: Server,
}

impl Desk {
    fn new(kind: Kind, driver: Driver) -> Desk {
        Desk::with(kind, driver, &kind.scenario(), true)
    }

    fn with(kind: Kind, driver: Driver, scenario: &str, armed: bool) -> Desk {
        let world = World::new(Scenario::parse(scenario).unwrap_or_else(|error| panic!("{error}")));
        let server =
            Server::start(Arc::clone(&world) as _, SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let site = Site::new();
        let more = if kind.flag.is_some() { IN_CONTAINERS } else { "" };
        site.policies(&format!("{POLICIES}{more}"));
        let (port, service, user) = (server.addr().port(), kind.service, kind.user);
        site.write(
            "orareaper.yaml",
            format!(
                "databases:\n  - name: prod\n    driver: {driver}\n    connect: //127.0.0.1:{port}/{service}\n    user: {user}\n    \
                 password: {{file: password}}\n    armed: {armed}\n    poll: 1s\npolicies: [policies/*.yaml]\nlisten: 127.0.0.1:0\n\
                 state: state\n"
            ),
        );
        Desk {
            kind,
            site,
            world,
            _server: server,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(&thin());
        command.args(["--config", "orareaper.yaml"]).args(arguments);
        command
    }

    /// What `setup-sql` prints for it.
    fn setup(&self) -> String {
        let mut arguments = vec!["setup-sql"];
        arguments.extend(self.kind.arguments());
        let output = self.command(&arguments).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// An administrator, where the account is.
    fn sys(&self) -> Local {
        let to = ConnectTo {
            service_name: Some(self.kind.service.to_owned()),
            ..ConnectTo::default()
        };
        let client = Client {
            sysdba: true,
            ..Client::default()
        };
        Local::connect_as(&self.world, "SYS", &to, client).expect("SYS may always log in")
    }

    /// Runs what `setup-sql` prints, as printed; the statements.
    fn set_up(&self) -> Vec<String> {
        let text = self.setup();
        let ran = self.sys().script(&text, &[("reaper_password", PASSWORD)]);
        ran.unwrap_or_else(|error| panic!("{:?}: {error}\n{text}", self.kind))
    }

    fn examined(&self) -> Examined {
        let loaded = orareaper::config::load(&self.site.path("orareaper.yaml"));
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let today = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
        let policies = fs::read(self.site.path("policies/policies.yaml")).expect("they are there");
        let files = [("policies.yaml".to_owned(), policies)];
        let loaded = orareaper::policy::check_files(&files, today, chrono_tz::UTC);
        let set: PolicySet = loaded.set.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        examine(
            &config.databases[0],
            &Arc::new(set),
            &Arc::default(),
            SystemClock::new(),
        )
    }

    /// The checks that ask for an action.
    fn findings(&self) -> Vec<Check> {
        let examined = self.examined();
        let is_finding = |check: &Check| matches!(check.state, State::Missing | State::Untried);
        examined.checks.into_iter().filter(is_finding).collect()
    }
}

/// The statement that takes a right away again, if the statement gives one.
fn taken_away(granted: &str) -> Option<String> {
    if granted.starts_with("GRANT ") {
        let (right, to) = granted
            .trim_start_matches("GRANT ")
            .rsplit_once(" TO ")
            .expect("a grant");
        return Some(format!("REVOKE {right} FROM {to}"));
    }
    granted
        .contains("SET CONTAINER_DATA=ALL")
        .then(|| granted.replace("=ALL", "=DEFAULT"))
}

/// What is wrong with the account, the clocks or the instance, and the one finding that it makes. The scenario is changed.
#[test]
fn what_ends_or_weakens_the_daemon_later_is_a_finding() {
    let account = "  REAPER: {password: Secr3t-zq7xKw}";
    let cases: &[(&str, &str, &str, Id)] = &[
        (
            "IDLE_TIME",
            account,
            "  REAPER: {password: Secr3t-zq7xKw, idle_time: 1}",
            Id::Profile,
        ),
        (
            "CONNECT_TIME",
            account,
            "  REAPER: {password: Secr3t-zq7xKw, connect_time: 60}",
            Id::Profile,
        ),
        (
            "grace",
            account,
            "  REAPER: {password: Secr3t-zq7xKw, status: grace}",
            Id::Account,
        ),
        (
            "expiry",
            account,
            "  REAPER: {password: Secr3t-zq7xKw, expires_in: 3d}",
            Id::Account,
        ),
        (
            "MAX_IDLE_TIME",
            "parameters: {}",
            "parameters: {max_idle_time: '1'}",
            Id::IdleLimits,
        ),
        ("clock", "description: now", "starts: 2024-01-01T00:00:00", Id::Clock),
        ("FIXED_DATE", "fixed: no", "fixed_date: 2030-01-01T00:00:00", Id::Clock),
    ];
    let scenario = |was: &str, becomes: &str| {
        let text = format!(
            "description: now\nrelease: 19.22.0.0.0\ndatabase:\n  name: PROD\n  fixed: no\ninstances: [{{number: 1, name: prod1, host: \
             db1}}]\nparameters: {{}}\naccounts:\n{account}\n"
        );
        assert!(text.contains(was), "{was}");
        text.replacen(was, becomes, 1).replace("  fixed: no\n", "")
    };
    let none = Desk::with(
        ALONE,
        Driver::Thin,
        &scenario("description: now", "description: x"),
        true,
    );
    assert_eq!(none.findings(), Vec::<Check>::new());
    for (what, was, becomes, id) in cases {
        let desk = Desk::with(ALONE, Driver::Thin, &scenario(was, becomes), true);
        let findings = desk.findings();
        let ids: BTreeSet<&str> = findings.iter().map(|check| check.id.name()).collect();
        assert_eq!(ids, BTreeSet::from([id.name()]), "{what}: {findings:#?}");
        assert!(
            findings.iter().all(|check| check.remedy.is_some()),
            "{what}: {findings:#?}"
        );
    }
}

/// No room for the second connection: that and the limit are named, and what could not be asked is not taken for fine.
#[test]
fn a_second_connection_that_is_refused_is_a_finding() {
    let scenario = ALONE.scenario().replace(
        "accounts:\n",
        &format!("accounts:\n  REAPER: {{password: {PASSWORD}, sessions_per_user: 1}}\n"),
    );
    let desk = Desk::with(ALONE, Driver::Thin, &scenario, true);
    let found: Vec<(Id, State)> = desk.findings().iter().map(|check| (check.id, check.state)).collect();
    assert_eq!(
        found,
        [
            (Id::Profile, State::Missing),
            (Id::ActingConnection, State::Missing),
            (Id::RightToAct, State::Untried)
        ]
    );
}

#[test]
fn the_right_to_act_is_missing_only_where_a_policy_enforces() {
    let scenario = ALONE.scenario().replace(
        "accounts:\n",
        &format!("accounts:\n  REAPER: {{password: {PASSWORD}, alter_system: false}}\n"),
    );
    for (armed, state) in [(true, State::Missing), (false, State::Note)] {
        let desk = Desk::with(ALONE, Driver::Thin, &scenario, armed);
        let checks = desk.examined().checks;
        let right = checks
            .iter()
            .find(|check| check.id == Id::RightToAct)
            .expect("it is looked at");
        assert_eq!(right.state, state, "armed: {armed}");
        assert_eq!(
            right.remedy,
            Some(Remedy::Statement("GRANT ALTER SYSTEM TO REAPER".to_owned()))
        );
    }
}

/// A standby, Amazon RDS and Autonomous Database: which actions they do not have, and nothing else.
#[test]
fn what_a_service_does_not_have_is_said_of_the_policies_that_ask_for_it() {
    let reaper = format!("accounts:\n  REAPER: {{password: {PASSWORD}}}\n");
    let scenario = |database: &str, more: &str| {
        let text = ALONE.scenario().replace("{name: PROD}", database);
        text.replace("accounts:\n", &format!("{reaper}{more}"))
    };
    let cases = [
        (
            "standby",
            scenario(
                "{name: PROD, role: PHYSICAL STANDBY, open_mode: READ ONLY WITH APPLY}",
                "",
            ),
            vec![],
        ),
        (
            "Amazon RDS",
            scenario("{name: PROD}", "  RDSADMIN: {}\n").replace(
                "REAPER: {",
                "REAPER: {alter_system: false, rights: {executes: [RDSADMIN_UTIL]}, ",
            ),
            vec!["sharp"],
        ),
        (
            "Autonomous",
            scenario("{name: PROD, cloud_service: OLTP}", ""),
            vec!["cutting"],
        ),
    ];
    for (service, text, expected) in cases {
        let desk = Desk::with(ALONE, Driver::Thin, &text, true);
        let cutting = "  - {name: cutting, mode: enforce, when: INACTIVE longer than 9h, action: disconnect immediate}\n  - {name: sharp, mode: \
             enforce, when: INACTIVE longer than 9h, action: kill noreplay}\n";
        desk.site.policies(&format!("{POLICIES}{cutting}"));
        let findings = desk.findings();
        let policies: BTreeSet<&str> = findings.iter().map(|check| check.about.as_str()).collect();
        assert_eq!(policies, BTreeSet::from_iter(expected), "{service}: {findings:#?}");
        assert!(
            findings.iter().all(|check| check.id == Id::Action),
            "{service}: {findings:#?}"
        );
    }
}

/// It opens what the daemon would, one connection that reads and one that acts, and nothing is sent that acts.
#[test]
fn it_looks_and_does_nothing() {
    let scenario = ALONE.scenario().replace(
        "accounts:\n",
        &format!("accounts:\n  REAPER: {{password: {PASSWORD}, sessions_per_user: 2}}\n"),
    );
    let desk = Desk::with(ALONE, Driver::Thin, &scenario, true);
    assert_eq!(desk.findings(), Vec::<Check>::new(), "two connections are enough");
    assert!(desk.world.kills().is_empty());
}

#[test]
fn the_command_reports_in_text_and_in_json_and_says_by_its_status_what_it_found() {
    let desk = Desk::new(ALONE, Driver::Thin);
    let statements = desk.set_up();
    let run = |arguments: &[&str]| {
        let mut all = vec!["doctor"];
        all.extend(arguments);
        let output = desk.command(&all).output().expect("it runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text, error) = run(&[]);
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(
        text.starts_with("this host\n") && text.contains("\nprod\n") && text.contains("0 missing"),
        "{text}"
    );
    let granted = "GRANT SELECT ON sys.gv_$transaction TO REAPER";
    assert!(statements.iter().any(|statement| statement == granted));
    desk.sys()
        .run(&taken_away(granted).expect("a grant"))
        .expect("it was granted");
    let (code, text, _) = run(&["prod"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("-> {granted};\n")) && text.contains("1 missing"),
        "{text}"
    );
    let (code, json, _) = run(&["--format", "json"]);
    assert_eq!(code, Some(1));
    let whole: Value = serde_json::from_str(&json).expect("JSON");
    let checks = whole["checks"].as_array().expect("a list");
    let missing: Vec<&Value> = checks.iter().filter(|check| check["state"] == "missing").collect();
    assert_eq!(missing.len(), 1, "{missing:#?}");
    assert_eq!(missing[0]["statement"], granted);
    assert_eq!(missing[0]["id"], "view");
    assert_eq!(missing[0]["database"], "prod");
    let (code, _, error) = run(&["prodd"]);
    assert!(code == Some(2) && error.contains("did you mean `prod`"), "{error}");

    // What others on this host could change or read.
    let open = |path: &str, mode| {
        fs::set_permissions(desk.site.path(path), fs::Permissions::from_mode(mode)).expect("its owner may");
    };
    open("password", 0o644);
    open("policies/policies.yaml", 0o666);
    let (code, text, _) = run(&[]);
    assert!(
        code == Some(1) && text.contains("chmod 600") && text.contains("chmod o-w"),
        "{text}"
    );

    // A database that does not answer is not one that is fine.
    drop(desk.sys().run("DROP USER reaper").expect("it exists"));
    let (code, text, _) = run(&[]);
    assert!(code == Some(2) && text.contains("ORA-01017"), "{text}");
    desk.site.write("orareaper.yaml", "databases: []\n");
    let (code, text, _) = run(&[]);
    assert!(code == Some(1) && text.contains("no database was looked at"), "{text}");
    fs::remove_file(desk.site.path("orareaper.yaml")).expect("it is there");
    assert_eq!(run(&[]).0, Some(2));
}

/// The page has each check, in the order in which they are made, and each state.
#[test]
fn the_page_on_doctor_has_every_check() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md")).expect("docs/doctor.md");
    let words = |heading: &str| -> Vec<String> {
        let (_, text) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
        let text = text.split("\n## ").next().unwrap_or_default();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| row.split('`').next().map(str::to_owned))
            .collect()
    };
    assert_eq!(words("Checks"), Id::ALL.map(Id::name));
    assert_eq!(words("States"), State::ALL.map(State::name));
}

/// Locked, expired and wrong are three faults with three remedies; for a command, no remedy says to restart.
#[test]
fn what_is_wrong_with_an_account_has_its_own_remedy() {
    for driver in drivers() {
        for (status, password, number, remedy) in [
            ("locked", PASSWORD, "ORA-28000", "ACCOUNT UNLOCK"),
            ("expired", PASSWORD, "ORA-28001", "give it a new password"),
            ("open", "wrong", "ORA-01017", "each further attempt with a wrong one"),
        ] {
            let db = Db::parse(&format!(
                "release: 19.22.0.0.0\ndatabase: {{name: PROD}}\ninstances: [{{number: 1, name: prod, host: db1}}]\naccounts:\n  REAPER: \
                 {{password: reaper, status: {status}}}\n"
            ));
            let site = Site::new();
            site.policies(POLICIES);
            site.configure(&driver, &db);
            site.write("password", password);
            let run = |arguments: &[&str]| {
                let mut command = site.command(&driver);
                let output = command.args(["--config", "orareaper.yaml"]).args(arguments).output();
                let output = output.expect("it runs");
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
            };
            let said = run(&["doctor"]);
            assert!(
                said.contains(number) && said.contains(remedy),
                "{}, {status}: {said}",
                driver.name
            );
            let remedies = [
                "ACCOUNT UNLOCK",
                "give it a new password",
                "each further attempt with a wrong one",
            ];
            assert_eq!(
                remedies.iter().filter(|other| said.contains(**other)).count(),
                1,
                "{said}"
            );
            let planned = run(&["plan"]);
            for said in [said, planned] {
                assert!(
                    said.contains(number) && !said.contains("then re"),
                    "{}: {said}",
                    driver.name
                );
            }
            if status == "open" {
                let daemon = site.run(&driver);
                until("the daemon says what to do", || {
                    daemon.log_text().contains("then reload")
                });
            }
        }
    }
}
