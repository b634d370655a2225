//! Finding out, reading and acting, with both drivers, against the simulated database.

#![allow(clippy::disallowed_methods, reason = "whether a limit is kept is seen on a clock")]

#[path = "drivers/both.rs"]
mod both;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use both::{on_both_drivers, target};
use orareaper::actuator::{outcome_of, statement};
use orareaper::needs::ALWAYS;
use orareaper::oracle::capabilities::{Capabilities, Provenance, Release, Service};
use orareaper::oracle::probe::{own_session, probe};
use orareaper::oracle::read::{Taken, read_snapshot};
use orareaper::oracle::sql::Scope;
use orareaper::oracle::{Class, ConnectSlot, Connection, Driver, Error, Purpose};
use orareaper::outcome::Outcome;
use orareaper::policy::model::{Action, KillClause};
use orareaper::session::SessionKey;
use orareaper::session::column::{Column, Columns, Source};
use orareaper::session::snapshot::{Field, Snapshot};
use orasim::{Fault, Scenario, Server, Strike, World};

const LIMIT: Duration = Duration::from_secs(20);

const KILL: Action = Action::Kill {
    clause: KillClause::Plain,
};

/// Two instances with what makes every view worth reading.
const SCENARIO: &str = r#"
description: Two instances with a pool, a batch, a parallel query, a queue behind a lock and a session slow to die.
release: 19.22.0.0.0
seed: 11
starts: 2026-11-23T14:00:00
database: {name: PROD}
instances:
  - {number: 1, name: prod1, host: db1}
  - {number: 2, name: prod2, host: db2}
accounts:
  REAPER: {password: reaper}
  SHOP: {password: shop}
sessions:
  - {name: shop, user: SHOP, count: 160, program: JDBC Thin Client, machines: [web01, web02], osuser: tomcat, module: checkout,
     idle: 30m..2h}
  - {name: batch, user: ETL, count: 4, program: "pmdtm@etl01", machines: [etl01], active: 10m, sql_id: 8yds4k9tqmh3u,
     transaction: {age: 10m, undo_records: 50..5000}, temp: 1MB..2MB}
  - {name: report, user: DWH, program: "sqlplus@dwh01", machines: [dwh01], active: 20m, px_servers: 4}
  - {name: holder, user: HOLDER, program: "sqlplus@pc1", machines: [pc1], idle: 15m,
     transaction: {age: 20m, undo_records: 10..10}}
  - {name: waiter, user: WAITER, count: 3, program: "sqlplus@pc2", machines: [pc2], active: 14m, blocked_by: holder}
  - {name: stubborn, user: STUBBORN, program: "sqlplus@pc3", machines: [pc3], idle: 1h, when_killed: {marked: true, lingers: 20s}}
"#;

/// A running scenario.
struct Running {
    world: Arc<World>,
    server: Server,
}

impl Running {
    fn start() -> Running {
        Running::of(Scenario::parse(SCENARIO).unwrap_or_else(|error| panic!("{error}")))
    }

    fn of(scenario: Scenario) -> Running {
        let world = World::new(scenario);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(world.clone(), listen).expect("a free port");
        Running { world, server }
    }

    fn connect(&self, driver: Driver, purpose: Purpose) -> Box<dyn Connection> {
        let target = target(driver, self.server.addr().port(), "prod", "REAPER", "reaper");
        ConnectSlot::new()
            .connect(&target, purpose, LIMIT)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn arm(&self, statement: &str, what: Strike) {
        self.world.arm(Fault {
            statement: Some(statement.to_owned()),
            user: Some("REAPER".to_owned()),
            call: 1,
            times: 1,
            what,
        });
    }
}

fn everything() -> Columns {
    Column::ALL.iter().copied().collect()
}

fn read(connection: &mut dyn Connection, capabilities: &Capabilities, scope: Scope) -> Result<Taken, Error> {
    read_snapshot(connection, everything(), capabilities, scope, LIMIT)
}

fn row_of(snapshot: &Snapshot, username: &str) -> usize {
    (0..snapshot.rows())
        .find(|row| snapshot.text(*row, Column::Username) == Some(username))
        .unwrap_or_else(|| panic!("no session of {username}"))
}

#[test]
fn start_up_finds_out_what_the_database_is() {
    on_both_drivers("start_up_finds_out_what_the_database_is", |driver| {
        let running = Running::start();
        let mut connection = running.connect(driver, Purpose::Poll);
        let found = probe(&mut *connection, LIMIT).unwrap_or_else(|error| panic!("{error}"));
        assert!(found.release.at_least(19, 0), "{}", found.release);
        assert_eq!(found.version, "19.22.0.0.0");
        assert!(found.cluster, "{found:?}");
        assert_eq!(found.instances.len(), 2);
        assert_eq!(found.columns_from, Provenance::Dictionary, "{:?}", found.notes);
        assert_eq!(found.service, Service::SelfManaged);
        assert_eq!(found.own_username, "REAPER");
        assert!(found.maintained.contains("SYS") && found.maintained.contains("DBSNMP"));
        assert_eq!(found.open_mode, "READ WRITE");
        // All that release 19 documents can be read.
        let documented = Release { major: 19, minor: 0 }.documented_columns();
        for column in documented.iter() {
            assert!(found.columns.contains(column), "{}", column.name());
        }
        // Another connection is another session, of the same account.
        let mut second = running.connect(driver, Purpose::Act);
        let (own, username) = own_session(&mut *second, LIMIT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(username, "REAPER");
        assert_ne!(own, found.own);
        let snapshot = read(&mut *connection, &found, Scope::All).expect("a snapshot").snapshot;
        for (key, action) in [(found.own, "poll"), (own, "act")] {
            let row = snapshot.find(key).expect("our own session");
            assert_eq!(snapshot.text(row, Column::Module), Some("orareaper"));
            assert_eq!(snapshot.text(row, Column::Action), Some(action));
        }
    });
}

#[test]
fn a_snapshot_shows_every_instance_and_is_the_same_through_either_driver() {
    on_both_drivers(
        "a_snapshot_shows_every_instance_and_is_the_same_through_either_driver",
        |driver| {
            let running = Running::start();
            running.world.set_speed(0.0);
            let mut connection = running.connect(driver, Purpose::Poll);
            let mut witness = running.connect(Driver::Thin, Purpose::Poll);
            let found = probe(&mut *connection, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            let taken = read(&mut *connection, &found, Scope::All).unwrap_or_else(|error| panic!("{error}"));
            let other = read(&mut *witness, &found, Scope::All).unwrap_or_else(|error| panic!("{error}"));
            let (snapshot, other) = (taken.snapshot, other.snapshot);
            assert!(snapshot.rows() > 200, "{} sessions", snapshot.rows());
            for inst_id in 1..=2 {
                assert!(snapshot.is_complete(inst_id), "instance {inst_id}");
            }
            assert!(snapshot.clock().is_some());
            // What differs is only what the two connections themselves do between the two readings.
            let own: Vec<SessionKey> = [&mut connection, &mut witness]
                .into_iter()
                .map(|connection| own_session(&mut **connection, LIMIT).expect("its own session").0)
                .collect();
            let mut compared = 0;
            for row in 0..snapshot.rows() {
                let key = snapshot.key(row).expect("a whole key");
                if own.contains(&key) {
                    continue;
                }
                let there = other.find(key).unwrap_or_else(|| panic!("{key} in the other snapshot"));
                for column in Column::ALL.iter().copied() {
                    assert_eq!(
                        snapshot.field(row, column),
                        other.field(there, column),
                        "{} of {key}",
                        column.name()
                    );
                }
                compared += 1;
            }
            assert!(compared > 200, "{compared} sessions compared");
        },
    );
}

#[test]
fn every_column_that_the_release_has_is_read_and_every_view_joined() {
    on_both_drivers(
        "every_column_that_the_release_has_is_read_and_every_view_joined",
        |driver| {
            let running = Running::start();
            let mut connection = running.connect(driver, Purpose::Poll);
            let found = probe(&mut *connection, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            let taken = read(&mut *connection, &found, Scope::All).unwrap_or_else(|error| panic!("{error}"));
            let snapshot = taken.snapshot;
            for column in ALWAYS.into_iter().chain(found.columns.iter()) {
                assert!(snapshot.has(column), "{} is missing", column.name());
            }
            assert_eq!(taken.unreadable, Vec::new());
            for column in Column::ALL.iter().copied() {
                let lacking = found.lacking([column].into_iter().collect()) != Columns::NONE;
                // A database without containers has no name for one.
                let nameless = column.source() == Source::Container && found.con_id.is_none();
                assert!(
                    snapshot.has(column) || lacking || nameless,
                    "{} is missing",
                    column.name()
                );
            }
            let etl = row_of(&snapshot, "ETL");
            let number = |row, column| snapshot.number(row, column);
            assert!((50..=5000).contains(&number(etl, Column::UndoRecords).expect("its undo")));
            assert!((600..700).contains(&number(etl, Column::TransactionAge).expect("its age")));
            assert!(number(etl, Column::Undo).expect("its undo") >= 8192);
            assert!(number(etl, Column::Pga).expect("its memory") > 0);
            assert!(snapshot.text(etl, Column::Spid).is_some());
            let holder = row_of(&snapshot, "HOLDER");
            assert_eq!(number(holder, Column::Blocking), Some(3));
            assert!(number(holder, Column::BlockingFor).expect("the longest wait") >= 13 * 60 * 1_000_000);
            assert_eq!(number(holder, Column::UndoRecords), Some(10));
            assert_eq!(snapshot.parallel_servers().len(), 4);
            let query = snapshot.key(row_of(&snapshot, "DWH")).expect("a whole key");
            for server in snapshot.parallel_servers() {
                assert_ne!(
                    (server.inst_id, server.sid),
                    (query.inst_id, query.sid),
                    "the coordinator is no server"
                );
            }
        },
    );
}

#[test]
fn an_answer_of_ora_31_leaves_the_acting_connection_alive_and_the_session_is_seen_to_go() {
    on_both_drivers(
        "an_answer_of_ora_31_leaves_the_acting_connection_alive_and_the_session_is_seen_to_go",
        |driver| {
            let running = Running::start();
            let mut poll = running.connect(driver, Purpose::Poll);
            let mut act = running.connect(driver, Purpose::Act);
            let found = probe(&mut *poll, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            let before = read(&mut *poll, &found, Scope::All).expect("a snapshot").snapshot;
            let key = before.key(row_of(&before, "STUBBORN")).expect("a whole key");
            let sql = statement(KILL, key, None, found.own.inst_id).expect("a statement");
            let answer = act.call(&sql, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(outcome_of(answer.code), Outcome::Marked, "{answer:?}");
            act.ping(LIMIT).expect("the acting connection lives");
            // The same connection looks again: the row is there, marked.
            let seat = Scope::One {
                inst_id: key.inst_id,
                sid: key.sid,
            };
            let again = read(&mut *act, &found, seat).expect("a snapshot").snapshot;
            let row = again.find(key).expect("still there");
            assert_eq!(again.text(row, Column::Status), Some("KILLED"));
            running.world.advance(Duration::from_secs(60));
            let after = read(&mut *poll, &found, Scope::All).expect("a snapshot").snapshot;
            assert_eq!(after.find(key), None, "gone");
            assert!(after.is_complete(key.inst_id));
        },
    );
}

#[test]
fn the_wrong_sessions_are_refused_by_number() {
    on_both_drivers("the_wrong_sessions_are_refused_by_number", |driver| {
        let running = Running::start();
        let mut act = running.connect(driver, Purpose::Act);
        let found = probe(&mut *act, LIMIT).unwrap_or_else(|error| panic!("{error}"));
        let snapshot = read(&mut *act, &found, Scope::All).expect("a snapshot").snapshot;
        let background = (0..snapshot.rows())
            .find(|row| snapshot.text(*row, Column::Type) == Some("BACKGROUND"))
            .and_then(|row| snapshot.key(row))
            .expect("a background process");
        let gone = SessionKey {
            serial: found.own.serial + 1,
            ..found.own
        };
        for (key, outcome) in [
            (found.own, Outcome::Refused),
            (background, Outcome::Refused),
            (gone, Outcome::AlreadyGone),
        ] {
            let sql = statement(KILL, key, None, found.own.inst_id).expect("a statement");
            let answer = act.call(&sql, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(outcome_of(answer.code), outcome, "{answer:?}");
        }
        act.ping(LIMIT).expect("the acting connection lives");
    });
}

#[test]
fn a_seat_that_somebody_else_took_is_not_the_session_that_was_read() {
    on_both_drivers(
        "a_seat_that_somebody_else_took_is_not_the_session_that_was_read",
        |driver| {
            let running = Running::start();
            let mut act = running.connect(driver, Purpose::Act);
            let found = probe(&mut *act, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            let snapshot = read(&mut *act, &found, Scope::All).expect("a snapshot").snapshot;
            let key = snapshot.key(row_of(&snapshot, "HOLDER")).expect("a whole key");
            let serial = running.world.reuse_seat(key.inst_id, key.sid).expect("it was there");
            assert_ne!(serial, key.serial);
            let seat = Scope::One {
                inst_id: key.inst_id,
                sid: key.sid,
            };
            let again = read_snapshot(&mut *act, Columns::NONE, &found, seat, LIMIT)
                .expect("a snapshot")
                .snapshot;
            assert_eq!(
                (again.rows(), again.find(key)),
                (1, None),
                "somebody sits there, but not this session"
            );
            let sql = statement(KILL, key, None, found.own.inst_id).expect("a statement");
            let answer = act.call(&sql, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(outcome_of(answer.code), Outcome::AlreadyGone, "{answer:?}");
            let there = running.world.session(key.inst_id, key.sid).expect("the newcomer");
            assert_eq!(there.serial, serial, "the newcomer lives");
        },
    );
}

#[test]
fn every_ready_made_scenario_is_read_whole() {
    on_both_drivers("every_ready_made_scenario_is_read_whole", |driver| {
        for name in Scenario::builtin_names() {
            let scenario = Scenario::builtin(name).unwrap_or_else(|error| panic!("{error}"));
            let service = scenario.database.name.to_lowercase();
            let running = Running::of(scenario);
            let target = target(driver, running.server.addr().port(), &service, "REAPER", "reaper");
            let mut connection = ConnectSlot::new()
                .connect(&target, Purpose::Poll, LIMIT)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = probe(&mut *connection, LIMIT).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found.notes, Vec::<String>::new(), "{name}");
            assert!(found.block_size.is_some(), "{name}");
            let taken = read(&mut *connection, &found, Scope::All).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(taken.unreadable, Vec::new(), "{name}");
            assert!(!taken.snapshot.instances().is_empty(), "{name}");
            for instance in taken.snapshot.instances() {
                assert!(instance.complete, "{name}: instance {}", instance.inst_id);
            }
        }
    });
}

#[test]
fn an_instance_that_does_not_show_itself_is_unknown_and_not_gone() {
    on_both_drivers(
        "an_instance_that_does_not_show_itself_is_unknown_and_not_gone",
        |driver| {
            let running = Running::start();
            let mut connection = running.connect(driver, Purpose::Poll);
            let found = probe(&mut *connection, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            let other = 3 - found.own.inst_id;
            running.arm("FROM GV$SESSION", Strike::HideInstance(other));
            let taken = read(&mut *connection, &found, Scope::All).unwrap_or_else(|error| panic!("{error}"));
            assert!(!taken.snapshot.is_complete(other), "{:?}", taken.snapshot.instances());
            assert!(taken.snapshot.is_complete(found.own.inst_id));
            let seat = Scope::One { inst_id: other, sid: 1 };
            let one = read_snapshot(&mut *connection, Columns::NONE, &found, seat, LIMIT).expect("a snapshot");
            assert_eq!(one.snapshot.rows(), 0);
            assert!(
                !one.snapshot.is_complete(other),
                "an empty seat of a silent instance proves nothing"
            );
        },
    );
}

#[test]
fn a_view_that_fails_is_an_error_or_missing_as_its_number_says() {
    on_both_drivers(
        "a_view_that_fails_is_an_error_or_missing_as_its_number_says",
        |driver| {
            let running = Running::start();
            let mut connection = running.connect(driver, Purpose::Poll);
            let found = probe(&mut *connection, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            let fails = |code: u32, text: &str| Strike::Error {
                code,
                message: text.to_owned(),
            };
            running.arm(
            "GV$SESSION",
            fails(
                12_801,
                "error signaled in parallel query server PZ99, instance db2 (2)\nORA-12805: parallel query server died",
            ),
        );
            let error = read(&mut *connection, &found, Scope::All)
                .map(|_| ())
                .expect_err("no snapshot");
            assert_eq!((error.class, error.code), (Class::Partial, Some(12_805)), "{error}");
            running.arm("GV$TRANSACTION", fails(942, "table or view does not exist"));
            let taken = read(&mut *connection, &found, Scope::All).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(taken.snapshot.field(0, Column::UndoRecords), Field::Missing);
            assert_eq!(taken.unreadable[0].code, Some(942));
            let taken = read(&mut *connection, &found, Scope::All).unwrap_or_else(|error| panic!("{error}"));
            assert!(taken.snapshot.has(Column::UndoRecords), "the fault is over");
        },
    );
}
