//! A part of the sessions is read as if all were: the same decisions, reasons, counts and verifications, and far fewer rows, with
//! both drivers, over a database on which sessions come, go, work, wait for each other and share a server process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::both::{on_both_drivers, target};
use chrono::{NaiveDate, TimeDelta};
use orareaper::clock::SystemClock;
use orareaper::daemon::messages::{Needs, Polled};
use orareaper::daemon::poller::Poller;
use orareaper::daemon::reach::Reach;
use orareaper::decide::cycle::{Cycle, CycleInput, Done, Memory, cycle, remember};
use orareaper::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits, RunMode};
use orareaper::decide::outcome::Outcome;
use orareaper::decide::protect::ProtectionFacts;
use orareaper::oracle::Driver;
use orareaper::oracle::capabilities::Way;
use orareaper::policy::check_files;
use orareaper::policy::model::{Limits, PolicySet};
use orareaper::report::{Report, ReportFormat, ReportSubject};
use orasim::{Scenario, Server, World};

const LIMIT: Duration = Duration::from_secs(60);

/// Two instances with some 1,500 sessions, and time that only the test lets pass.
const SCENARIO: &str = "
release: 19.22.0.0.0
seed: 7
starts: 2026-11-23T14:00:00
speed: 0
database: {name: PROD}
instances:
  - {number: 1, name: prod1, host: node1}
  - {number: 2, name: prod2, host: node2}
accounts: {REAPER: {password: r}}
parameters: {processes: '2000', sessions: '3000'}
sessions:
  - {name: pool, user: SHOP, count: 1200, program: JDBC Thin Client, machines: [web01, web02, web03], logged_on: 2h..30h,
     cycle: {busy: 20ms..900ms, idle: 3s..20m}}
  - {name: leaked, user: SHOP, count: 40, program: JDBC Thin Client, module: cart, machines: [web07], logged_on: 9h..11h, idle: 4h..9h}
  - {name: tools, user: DEV, count: 15, program: sqldeveloper.exe, machines: [pc1, pc2], logged_on: 9h..11h, idle: 1h..8h}
  - {name: shared, user: CRM, count: 12, program: crm, machines: [crm1], sessions_per_process: 3, logged_on: 9h, idle: 3h30m..6h}
  - {name: in-transaction, user: CRM, count: 3, program: crm, machines: [crm2], logged_on: 9h, idle: 45m,
     transaction: {age: 50m, undo_records: 20}}
  - {name: holder, user: DWH, count: 1, program: load, machines: [dwh1], logged_on: 5h, idle: 20m, transaction: {age: 30m}}
  - {name: waiter, user: DWH, count: 5, program: load, machines: [dwh1], logged_on: 5h, active: 15m, blocked_by: holder}
  - {name: report, user: DWH, count: 2, program: sqlplus, machines: [dwh2], logged_on: 3h, active: 2h, px_servers: 4}
  - {name: rman, user: SYS, count: 2, program: 'rman@{host} (TNS V1-V3)', module: backup, logged_on: 6h, idle: 5h}
  - {name: job, user: SHOP, count: 3, program: 'oracle@{host} (J{nnn})', module: DBMS_SCHEDULER, logged_on: 5h, idle: 4h30m}
";

/// Policies for which a part is enough, and how many of the sessions that part may have at most, in percent.
const POLICIES: [(&str, usize); 7] = [
    (
        "
  - {name: all-but-34, mode: enforce, when: \"machine = 'web07' and INACTIVE\", keep: {at_least: 34, per: [username, machine, program]}, action: kill}
  - {name: all-but-12, mode: dry-run, when: username = DEV and INACTIVE, keep: {at_least: 12, per: [username]}, order: idle desc, action: kill}",
        10,
    ),
    (
        "
  - {name: idle, mode: enforce, when: INACTIVE longer than 4h and not background, action: kill}
  - {name: tools, mode: dry-run, when: idle > 1h and program like 'sqldev%', unless: \"username in (SYS, 'O''Neil', 'A:1', 'B?', '--', '&C')\", action: kill immediate}",
        10,
    ),
    (
        "
  - {name: holders, mode: enforce, when: BLOCKING 2 sessions longer than 5m and INACTIVE, action: kill}
  - {name: waiters, mode: dry-run, when: BLOCKED longer than 1m, action: report}
  - {name: too-short, mode: dry-run, when: idle between 10m and 30m and username = SHOP, action: kill, limits: {share: 90%}}",
        40,
    ),
    (
        "
  - {name: one-process, mode: enforce, when: username = CRM and idle > 4h, action: disconnect immediate}",
        5,
    ),
    (
        "
  - {name: in-transaction, mode: enforce, when: IN TRANSACTION longer than 10m and idle > 10m, action: kill, limits: {undo_records: 50}}
  - {name: runaway, mode: dry-run, when: RUNNING longer than 1h, unless: wait_class = Idle, action: cancel sql}",
        5,
    ),
    (
        "
  - {name: held, mode: enforce, when: \"idle > 15m and machine in ('web01', 'web07')\", for: 5m, action: kill, limits: {share: 60%}}
  - {name: pressed, mode: enforce, when: INACTIVE longer than 3h, while: active_sessions above 3, action: kill, order: idle desc}",
        30,
    ),
    (
        "
  - {name: wrong, mode: enforce, when: idle > 1m, action: kill, limits: {share: 5%}}
  - {name: newest, mode: enforce, when: idle > 5h, keep: {at_least: 2, of: matching, per: [username]}, order: idle desc, action: kill}",
        100,
    ),
];

fn set_of(policies: &str) -> Arc<PolicySet> {
    let text = format!("policies:{policies}\n");
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).expect("a day");
    let loaded = check_files(
        &[("part.yaml".into(), text.clone().into_bytes())],
        today,
        chrono_tz::UTC,
    );
    let problems: String = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
    Arc::new(loaded.set.unwrap_or_else(|| panic!("{text}{problems}")))
}

/// The daemon's memory beside one way of reading.
struct Side {
    memory: Memory,
    actions: u64,
}

impl Side {
    fn new() -> Side {
        Side {
            memory: Memory::default(),
            actions: 0,
        }
    }

    /// One cycle, in words, as the report shows it and as later cycles remember it.
    fn cycle(&mut self, polled: &Polled, rules: &DatabaseRules) -> String {
        let here = rules.configured(Due::Always);
        let facts = ProtectionFacts {
            own_username: "REAPER".into(),
            ..ProtectionFacts::default()
        };
        let now = polled.snapshot.utc().expect("a clock");
        let input = CycleInput {
            rules,
            here: &here,
            facts: &facts,
            now,
            unbroken: true,
            read_in: TimeDelta::zero(),
            standstill: None,
            assume_held: false,
        };
        let snapshot = &polled.snapshot;
        let mut cycle = cycle(&mut self.memory, snapshot, polled.readings.clone(), &input);
        let mut words = self.words(polled, rules, &cycle);
        for warrant in std::mem::take(&mut cycle.ruling.warrants) {
            self.actions += 1;
            words.push_str(&format!("{} by {}\n", warrant.key(), warrant.policy().name));
            let outcome = match warrant.mode() {
                RunMode::DryRun => Outcome::Assumed,
                RunMode::Enforce => Outcome::Done,
            };
            remember(
                &mut self.memory,
                Done::seen_in(snapshot, &warrant, self.actions, outcome),
            );
        }
        words
    }

    fn words(&self, polled: &Polled, rules: &DatabaseRules, cycle: &Cycle) -> String {
        let (set, snapshot) = (rules.set(), &polled.snapshot);
        let report = Report::new(&ReportSubject {
            database: "prod",
            taken_at: snapshot.utc(),
            mode: RunMode::Enforce,
            snapshot,
            set,
            plan: &cycle.plan,
            ruling: &cycle.ruling,
            notes: &[],
            way: Way::AlterSystem,
            rehearsals: Some(&self.memory.rehearsals),
        });
        let mut words = format!("{:?}\n", cycle.verified);
        for decision in &cycle.ruling.decisions {
            let key = snapshot.key(decision.row).expect("a whole key");
            words.push_str(&format!("{key}: {}\n", decision.reason(set, snapshot)));
        }
        words + &report.render(ReportFormat::Json) + &report.render(ReportFormat::Html)
    }
}

/// A database, and a connection that reads it.
struct Site {
    world: Arc<World>,
    _server: Server,
    poller: Poller,
}

impl Site {
    fn new(driver: Driver, scenario: &str) -> Site {
        let world = World::new(Scenario::parse(scenario).expect("the test's own scenario"));
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(world.clone(), free).expect("a free port");
        let reach = Reach {
            target: target(driver, server.addr().port(), "PROD", "reaper", "r"),
            password: None,
            accounts: Arc::default(),
            via: None,
            leader: None,
            connector: None,
            connect_limit: LIMIT,
            call_limit: LIMIT,
            kill_limit: LIMIT,
        };
        Site {
            world,
            _server: server,
            poller: Poller::new(reach, Arc::new(SystemClock::default())),
        }
    }

    fn poll(&mut self, needs: &Needs) -> Polled {
        *self.poller.poll(needs).unwrap_or_else(|error| panic!("{error}"))
    }

    fn all(&mut self, needs: &Needs) -> Polled {
        self.poll(&Needs::all_sessions(needs.columns, needs.resources.clone()))
    }
}

fn rules(set: &Arc<PolicySet>) -> DatabaseRules {
    let limits = EffectiveLimits::of(&Limits::default());
    DatabaseRules::of_policy_test("prod", Arming::Armed, limits, chrono_tz::UTC, Arc::clone(set))
}

#[test]
fn a_part_of_the_sessions_is_decided_on_as_all_of_them_are() {
    on_both_drivers(|driver| {
        let mut site = Site::new(driver, SCENARIO);
        let mut told = String::new();
        for (policies, most) in POLICIES {
            let rules = rules(&set_of(policies));
            let (mut whole, mut part) = (Side::new(), Side::new());
            for round in 0..4 {
                let needs = Needs::of(&rules, &part.memory);
                let all = site.all(&needs);
                let some = site.poll(&needs);
                let (rows, sessions) = (some.snapshot.rows(), all.snapshot.rows());
                assert!(
                    rows * 100 <= sessions * most && (rows < sessions || most == 100),
                    "{rows} of {sessions} for{policies}"
                );
                let (expected, found) = (whole.cycle(&all, &rules), part.cycle(&some, &rules));
                assert_eq!(found, expected, "round {round} of{policies}");
                told += &found;
                // Whoever is watched first ends, and another one takes the seat of the second.
                let mut seats = part.memory.following.iter().map(|(key, _)| (key.inst_id, key.sid));
                let (first, second) = (seats.next(), seats.next());
                drop(seats);
                if let Some((inst_id, sid)) = first {
                    site.world.log_off(inst_id, sid);
                }
                if let Some((inst_id, sid)) = second {
                    site.world.reuse_seat(inst_id, sid);
                }
                site.world.advance(Duration::from_secs(300));
            }
        }
        // What the comparison is about has happened.
        for what in [
            "its server process also serves",
            "proof: Gone",
            "by holders",
            "by in-transaction",
            "breaker",
            "newest",
            "keep: only",
        ] {
            assert!(told.contains(what), "nobody {what}");
        }
        let mut used = told.split("\"used_again\":").skip(1);
        assert!(used.any(|rest| !rest.starts_with('0')), "nobody was used again");
    });
}
