//! Damaged answers: text that is not valid UTF-8, and bytes that differ from what the server sent.
//!
//! The text of one session must not hide the other sessions, and the bytes of a server must not end the daemon.

use std::env;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::both::{on_both_drivers, target, this_test};
use crate::site::permit::permitted;
use orareaper::clock::{Clock, SystemClock};
use orareaper::daemon::messages::{Needs, Polled};
use orareaper::daemon::poller::Poller;
use orareaper::daemon::reach::Reach;
use orareaper::decide::evaluate::evaluate;
use orareaper::oracle::{Class, ConnectSlot, Driver, Query};
use orareaper::policy::condition::Condition;
use orareaper::session::column::Column;
use orasim::{Fault, Scenario, Server, Strike, World};

const LIMIT: Duration = Duration::from_secs(20);

/// 501 is no UTF-8, 502 is cut in the middle of a character, 503 is as it should be.
const TEXTS: &str = "
release: 19.22.0.0.0
seed: 5
speed: 0
starts: 2026-11-23T09:00:00
database: {name: PROD, broken_text: BROKEN}
instances: [{number: 1, name: prod, host: db1}]
accounts: {REAPER: {password: reaper}}
sessions:
  - {name: latin, user: APP, program: 'caf{xE9}.exe', machines: ['b{xFC}ro'], idle: 5h, pinned: {sid: 501, serial: 1}}
  - {name: long, user: APP, program: plain, module: 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeüüüüüüüüüü', idle: 5h,
     pinned: {sid: 502, serial: 1}}
  - {name: sound, user: APP, program: plain, module: müde, idle: 5h, pinned: {sid: 503, serial: 1}}
  - {name: others, user: OTHERS, program: JDBC Thin Client, machines: [app1], count: 40, idle: 5h}
";

fn serve(text: &str) -> (Arc<World>, Server) {
    let world = World::new(Scenario::parse(text).unwrap_or_else(|error| panic!("{error}")));
    let database = Arc::clone(&world) as Arc<dyn orasim::backend::Database>;
    let server = Server::start(database, SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    (world, server)
}

fn poller(driver: Driver, server: &Server, limit: Duration) -> Poller {
    let reach = Reach {
        via: None,
        leader: None,
        connector: None,
        target: target(driver, server.addr().port(), "PROD", "reaper", "reaper"),
        password: None,
        accounts: Arc::default(),
        connect_limit: LIMIT,
        call_limit: limit,
        kill_limit: limit,
    };
    Poller::new(reach, Arc::new(SystemClock::new()) as Arc<dyn Clock>)
}

fn needs() -> Needs {
    Needs::all_sessions(Column::ALL.iter().copied().collect(), Vec::new())
}

fn text(polled: &Polled, sid: i64, column: Column) -> Option<&str> {
    let snapshot = &polled.snapshot;
    let row = (0..snapshot.rows()).find(|row| snapshot.number(*row, Column::Sid) == Some(sid));
    snapshot.text(row.expect("it is there"), column)
}

/// How many of the scenario's own sessions were read; the daemon's that are being logged off come and go.
fn clients(polled: &Polled) -> usize {
    let snapshot = &polled.snapshot;
    let is_one = |row: &usize| matches!(snapshot.text(*row, Column::Username), Some("APP" | "OTHERS"));
    (0..snapshot.rows()).filter(is_one).count()
}

/// The SIDs from 501 on for which a condition is TRUE.
fn taken(polled: &Polled, condition: &str) -> Vec<i64> {
    let parsed = condition_of(condition);
    let truths = evaluate(&parsed, &polled.snapshot);
    let snapshot = &polled.snapshot;
    let mut sids: Vec<i64> = truths
        .true_rows()
        .filter_map(|row| snapshot.number(row, Column::Sid))
        .filter(|sid| (501..=503).contains(sid))
        .collect();
    sids.sort_unstable();
    sids
}

fn condition_of(text: &str) -> Condition {
    let policies = format!("policies:\n  - name: p\n    mode: dry-run\n    when: {text}\n    action: kill\n");
    let files = [("policies.yaml".to_owned(), policies.into_bytes())];
    let day = "2026-11-23".parse().expect("a day");
    let loaded = orareaper::policy::check_files(&files, day, chrono_tz::UTC);
    let set = loaded.set.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    set.policies[0].when.clone()
}

#[test]
fn an_invalid_text_is_unknown_and_all_other_sessions_are_read() {
    on_both_drivers(|driver| {
        for refuses in ["passed", "refused"] {
            let (_world, server) = serve(&TEXTS.replace("BROKEN", refuses));
            let mut poller = poller(driver, &server, LIMIT);
            let first = poller
                .poll(&needs())
                .unwrap_or_else(|error| panic!("{driver}, {refuses}: {error}"));
            let polled = poller
                .poll(&needs())
                .unwrap_or_else(|error| panic!("{driver}, {refuses}: {error}"));
            assert_eq!((clients(&first), clients(&polled)), (43, 43), "{driver}, {refuses}");
            assert_eq!(
                text(&polled, 501, Column::Program),
                Some("caf\u{fffd}.exe"),
                "{driver}, {refuses}"
            );
            assert_eq!(text(&polled, 501, Column::Machine), Some("b\u{fffd}ro"));
            assert_eq!(text(&polled, 503, Column::Program), Some("plain"));
            assert!(text(&polled, 502, Column::Module).is_some_and(|text| text.ends_with('\u{fffd}')));
            // Nothing that is said of a text that is not known is TRUE; the others are what they are.
            assert_eq!(
                taken(&polled, "program = 'plain' and INACTIVE longer than 4h"),
                [502, 503]
            );
            assert_eq!(taken(&polled, "program != 'plain' and INACTIVE longer than 4h"), NOBODY);
            assert_eq!(
                taken(&polled, "not program like 'x%' and INACTIVE longer than 4h"),
                [502, 503]
            );
            assert_eq!(
                taken(&polled, "program like 'caf%' and INACTIVE longer than 4h"),
                NOBODY
            );
            assert_eq!(
                taken(&polled, "program is not null and INACTIVE longer than 4h"),
                [501, 502, 503]
            );
            let said = polled
                .capabilities
                .notes
                .iter()
                .any(|note| note.found.contains("not valid in its character set"));
            let needed = refuses == "refused" || driver == Driver::Thin;
            assert_eq!(said, needed, "{driver}, {refuses}: {:?}", polled.capabilities.notes);
        }
    });
}

/// A policy that matches no session.
const NOBODY: [i64; 0] = [];

/// The number of corrupted answers.
const ANSWERS: u64 = 150;

/// A corrupted answer may make a driver wait for bytes that never come.
const IMPATIENT: Duration = Duration::from_millis(300);

/// For a machine so busy that no answer is read within [`IMPATIENT`].
const LESS_IMPATIENT: Duration = Duration::from_secs(3);

/// Runs the body of a test in a separate process. A thread in which the thin driver hangs never releases the lock of the panic hook, and the
/// test harness needs that lock at its end.
fn in_a_process_of_its_own(body: fn()) {
    const INSIDE: &str = "ORAREAPER_TEST_INSIDE";
    if env::var_os(INSIDE).is_some() {
        let told = std::panic::catch_unwind(body);
        std::process::exit(if told.is_ok() { 0 } else { 101 });
    }
    let name = this_test();
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", &name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("this test can run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("held"),
        "{name}:\n{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Only with the thin driver, like the next test: some corrupted answers make Oracle Client 19 loop without end, which no time limit
/// can end. The daemon reports such a call as hanging.
#[test]
fn corrupted_answers_cost_connections_and_nothing_else() {
    in_a_process_of_its_own(|| {
        let driver = Driver::Thin;
        let (world, server) = serve(
            &TEXTS
                .replace("BROKEN", "passed")
                .replace("caf{xE9}", "cafe")
                .replace("b{xFC}ro", "pc"),
        );
        let mut poller = poller(driver, &server, LIMIT);
        assert_eq!(clients(&poller.poll(&needs()).expect("it answers")), 43);
        world.arm(Fault {
            // The snapshot's query, and none that a new connection begins with.
            statement: Some("last_call_et".to_owned()),
            user: None,
            call: 1,
            times: u32::MAX,
            what: Strike::Garble(0),
        });
        let (mut failed, mut panicked) = (0, 0);
        for limit in [IMPATIENT, LESS_IMPATIENT] {
            poller.reach_mut().call_limit = limit;
            for _ in 0..ANSWERS {
                if let Err(error) = poller.poll(&needs()) {
                    failed += 1;
                    panicked += u64::from(error.to_string().contains("panicked over the answer"));
                }
            }
            if panicked > 0 {
                break;
            }
        }
        println!("{driver}: {failed} of {ANSWERS} failed, {panicked} of them by a panic");
        assert!(panicked > 0, "the thin driver panics over some of them");
        assert!(failed > ANSWERS / 10, "the answers are not corrupted");
        world.disarm();
        poller.reach_mut().call_limit = LIMIT;
        // At most once more: what is left of the last answer may lie in the connection yet.
        let _ = poller.poll(&needs());
        let again = poller
            .poll(&needs())
            .unwrap_or_else(|error| panic!("{driver}: {error}"));
        assert_eq!(clients(&again), 43);
        println!("held");
    });
}

#[test]
fn corrupted_answers_to_statements_leave_the_outcome_unknown() {
    in_a_process_of_its_own(|| {
        let driver = Driver::Thin;
        let (world, server) = serve(&TEXTS.replace("BROKEN", "passed"));
        let slot = ConnectSlot::new();
        let target = target(driver, server.addr().port(), "PROD", "reaper", "reaper");
        let connect = || slot.connect_to_act(&target, LIMIT).expect("it answers");
        world.arm(Fault {
            statement: Some("EXECUTE IMMEDIATE".to_owned()),
            user: None,
            call: 1,
            times: u32::MAX,
            what: Strike::Garble(7_000),
        });
        let mut connection = connect();
        for _ in 0..ANSWERS / 2 {
            // No session has this SID.
            let answer = connection.send(permitted("ALTER SYSTEM KILL SESSION '9999,9,@1'"), None, IMPATIENT);
            let lost = answer.is_err_and(|error| error.class.costs_the_connection()) || connection.is_lost();
            if lost {
                connection = connect();
            }
        }
        world.disarm();
        let mut connection = connect();
        let query = Query::new("DUAL", "SELECT 1 FROM dual", &[orareaper::oracle::CellType::Number]);
        let answer = connection.query(&query, LIMIT, &mut |_| ControlFlow::Continue(()));
        assert!(
            answer.is_ok(),
            "{:?}",
            answer.map_err(|error| (error.class, Class::Bug))
        );
        println!("held");
    });
}
