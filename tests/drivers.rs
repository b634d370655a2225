//! Both drivers over the real wire protocol: what they read, how they classify errors, and that every call ends.

#![allow(clippy::disallowed_methods, reason = "whether a limit is kept is seen on a clock")]

pub(crate) mod both;
mod canned;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use both::{on_both_drivers, target, without_client_library};
use orareaper::oracle::{
    Bind, Cell, CellType, Class, ConnectSlot, Connection, Driver, Error, FETCH_ROWS, Query, collect,
};
use orareaper::session::time::DbTime;
use orasim::Server;

use crate::site::permit::permitted;

const LIMIT: Duration = Duration::from_secs(20);

fn connect(driver: Driver, server: &Server) -> Box<dyn Connection> {
    let target = target(driver, server.addr().port(), "canned", "reaper", "tiger");
    ConnectSlot::new()
        .connect(&target, LIMIT)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn refused(driver: Driver, server: &Server, service: &str, user: &str, password: &str) -> Error {
    let target = target(driver, server.addr().port(), service, user, password);
    ConnectSlot::new()
        .connect(&target, LIMIT)
        .map(|_| ())
        .expect_err("refused")
}

fn rows(count: u64) -> Query {
    Query::new(
        "ROWS",
        format!("SELECT n, name FROM rows_{count}"),
        &[CellType::Number, CellType::Text],
    )
}

fn number(sql: &'static str) -> Query {
    Query::new("TEST", sql, &[CellType::Number])
}

fn fails(connection: &mut dyn Connection, sql: &'static str, limit: Duration) -> Error {
    connection
        .query(&number(sql), limit, &mut |_| ControlFlow::Continue(()))
        .expect_err(sql)
}

fn still_answers(connection: &mut dyn Connection) {
    let read = collect(connection, &rows(3), LIMIT, 10, |row| match row {
        [Cell::Number(n), Cell::Text("name")] => Some(*n),
        _ => None,
    });
    assert_eq!(read, Ok(vec![2, 1, 0]));
}

#[test]
fn a_connection_shows_whose_it_is_and_logs_off() {
    on_both_drivers(|driver| {
        let (server, database) = canned::serve();
        let mut connection = connect(driver, &server);
        connection.ping(LIMIT).expect("it answers");
        still_answers(&mut *connection);
        assert!(database.saw("module orareaper") && database.saw("action poll"));
        assert_eq!(connection.identity().driver, driver);
        assert_eq!(connection.warning(), None);
        connection.close(Duration::from_secs(5));
        assert!(database.saw("logoff"), "closing waits for the logoff");
    });
}

#[test]
fn a_refused_login_says_why_without_the_password() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let cases = [
            ("canned", "reaper", "wrong#1", Class::Auth, 1017),
            ("canned", "nobody", "wrong#1", Class::Auth, 1017),
            ("canned", "locked", "tiger", Class::Auth, 28_000),
            ("canned", "starting", "tiger", Class::Backoff, 1033),
            ("elsewhere", "reaper", "tiger", Class::Backoff, 12_514),
            ("full", "reaper", "tiger", Class::Backoff, 12_519),
        ];
        for (service, user, password, class, code) in cases {
            let error = refused(driver, &server, service, user, password);
            assert_eq!((error.class, error.code), (class, Some(code)), "{error}");
            let told = error.to_string();
            assert!(
                told.starts_with(&format!(
                    "connect to test with driver {driver} at //{}/{service}: ORA-{code:05}",
                    server.addr()
                )),
                "{told}"
            );
            assert!(!format!("{error:?}").contains(password), "{error:?}");
        }
    });
}

#[test]
fn a_password_that_expires_soon_is_a_warning_and_no_error() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let target = target(driver, server.addr().port(), "canned", "expiring", "tiger");
        let mut connection = ConnectSlot::new()
            .connect_to_act(&target, LIMIT)
            .unwrap_or_else(|error| panic!("{error}"));
        let warning = connection.warning().expect("a warning").to_owned();
        assert!(warning.contains("will expire within 7 days"), "{warning}");
        still_answers(&mut *connection);
    });
}

#[test]
fn a_closed_port_is_reported_at_once() {
    on_both_drivers(|driver| {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("bound").port()
        };
        let began = Instant::now();
        let error = ConnectSlot::new()
            .connect(&target(driver, port, "canned", "reaper", "tiger"), LIMIT)
            .map(|_| ())
            .expect_err("nobody listens");
        assert_eq!(error.class, Class::Backoff, "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
}

#[test]
fn a_silent_listener_is_given_up_within_the_limit() {
    on_both_drivers(|driver| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let began = Instant::now();
        let error = ConnectSlot::new()
            .connect(
                &target(driver, port, "canned", "reaper", "tiger"),
                Duration::from_millis(1500),
            )
            .map(|_| ())
            .expect_err("it is silent");
        assert_eq!(error.class, Class::Backoff, "{error}");
        let waited = began.elapsed();
        assert!(
            waited >= Duration::from_millis(1400) && waited < Duration::from_secs(4),
            "{waited:?}"
        );
    });
}

/// How a relay passes on what the server says.
const WHOLE: u8 = 0;
const SILENT: u8 = 1;
const BY_BYTES: u8 = 2;

/// A listener between a client and a server, and how it passes on the server's bytes.
fn relay(server: u16) -> (u16, Arc<AtomicU8>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let how = Arc::new(AtomicU8::new(WHOLE));
    let its_how = Arc::clone(&how);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                return;
            };
            let (mut from_client, mut to_server) = (clone(&client), clone(&server));
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            let how = Arc::clone(&its_how);
            std::thread::spawn(move || pass_on(server, client, &how));
        }
    });
    (port, how)
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket")
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, how: &AtomicU8) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        for byte in bytes[..read].chunks(if how.load(Ordering::Relaxed) == BY_BYTES {
            1
        } else {
            read
        }) {
            if how.load(Ordering::Relaxed) == SILENT {
                continue;
            }
            if how.load(Ordering::Relaxed) == BY_BYTES {
                std::thread::sleep(Duration::from_millis(150));
            }
            if to.write_all(byte).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// The thin driver alone: Oracle Client takes up to twice the limit, and its own time where the answer comes a byte at a time.
#[test]
fn a_call_ends_soon_after_its_limit_whatever_the_server_does() {
    for mode in [SILENT, BY_BYTES] {
        let (server, _) = canned::serve();
        let (port, how) = relay(server.addr().port());
        let mut connection = ConnectSlot::new()
            .connect(&target(Driver::Thin, port, "canned", "reaper", "tiger"), LIMIT)
            .unwrap_or_else(|error| panic!("{error}"));
        still_answers(&mut *connection);
        how.store(mode, Ordering::Relaxed);
        let limit = Duration::from_secs(4);
        let began = Instant::now();
        let error = connection
            .query(&rows(200), limit, &mut |_| ControlFlow::Continue(()))
            .expect_err("there is no whole answer in time");
        let waited = began.elapsed();
        assert!(
            waited >= limit - Duration::from_millis(100) && waited < limit + Duration::from_millis(2500),
            "mode {mode}: {waited:?}: {error}"
        );
        assert!(error.why.contains("within 4s"), "{error}");
    }
}

#[test]
fn values_are_read_exactly_or_not_at_all() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let mut connection = connect(driver, &server);
        let kinds = [
            CellType::Text,
            CellType::Number,
            CellType::Number,
            CellType::Number,
            CellType::Time,
            CellType::Text,
            CellType::Number,
            CellType::Time,
            CellType::Text,
        ];
        let query = Query::new("VALUES", "SELECT odd FROM values", &kinds);
        let moment = DbTime(canned::moment().and_utc().timestamp());
        let mut seen = 0;
        connection
            .query(&query, LIMIT, &mut |row| {
                seen += 1;
                let expected = [
                    Cell::Text("DOMÄNE\\WEB01"),
                    // 18446744073709551615 is more than a number holds, and is not NULL.
                    Cell::Number(i64::MAX),
                    Cell::Number(-12),
                    Cell::Number(9_007_199_254_740_993),
                    Cell::Time(moment),
                    Cell::Null,
                    Cell::Null,
                    Cell::Time(moment),
                    Cell::Text("trailing blanks  "),
                ];
                assert_eq!(row, expected);
                ControlFlow::Continue(())
            })
            .expect("the row");
        assert_eq!(seen, 1);
        // A RAW is selected as text, never as itself: NULL would answer `IS NULL`.
        let query = Query::new("VALUES", "SELECT raw FROM values", &[CellType::Text]);
        let error = connection
            .query(&query, LIMIT, &mut |_| ControlFlow::Continue(()))
            .expect_err("no text");
        assert_eq!(error.why, "column 1 has a value that is not a text");
    });
}

#[test]
fn binds_arrive_typed() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let mut connection = connect(driver, &server);
        let kinds = [CellType::Number, CellType::Text, CellType::Time];
        let moment = DbTime(canned::moment().and_utc().timestamp());
        for number in [0_i64, 62_507, -1, i64::from(u32::MAX)] {
            let query = Query::new("VALUES", "SELECT :1, :2, :3 FROM binds", &kinds).with(vec![
                Bind::Number(number),
                Bind::Text("AB12".to_owned()),
                Bind::Time(moment),
            ]);
            let read = collect(&mut *connection, &query, LIMIT, 2, |row| {
                assert_eq!(row, [Cell::Number(number), Cell::Text("AB12"), Cell::Time(moment)]);
                Some(())
            });
            assert_eq!(read, Ok(vec![()]));
        }
    });
}

#[test]
fn a_poll_makes_few_round_trips_and_parses_once() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let mut connection = connect(driver, &server);
        for count in [0_u64, 7, 999, 1000, 1001, 2500, 10_000, 20_500] {
            let query = rows(count);
            for repetition in 0..3 {
                let before = (server.stats(), connection.round_trips());
                let mut next = count;
                connection
                    .query(&query, LIMIT, &mut |row| {
                        next -= 1;
                        assert_eq!(row[0], Cell::Number(i64::try_from(next).expect("small")));
                        ControlFlow::Continue(())
                    })
                    .expect("rows");
                assert_eq!(next, 0, "all {count} rows came");
                let after = (server.stats(), connection.round_trips());
                let trips = after.0.round_trips - before.0.round_trips;
                // The number of rows is not known the first time. The thin driver's work grows with the square of an answer.
                let fetched = match (driver, repetition) {
                    (Driver::Thin, _) => 250,
                    (Driver::Oci, 0) => u64::from(FETCH_ROWS),
                    (Driver::Oci, _) => 10_000,
                };
                let most = count.div_ceil(fetched) + 1;
                assert!(trips <= most, "{trips} round trips for {count} rows with {driver}");
                // The thin driver (26.0.0-beta.5) takes the end of the rows for an error that closes the cursor, and so
                // parses every query again; Oracle finds its text in the library cache then. The oci driver does not.
                let again = match driver {
                    Driver::Oci => 0,
                    Driver::Thin => 1,
                };
                let first = if repetition == 0 { 1 } else { again };
                let parses = after.0.parses - before.0.parses;
                assert_eq!(parses, first, "{count} rows, repetition {repetition}");
                let told = after.1 - before.1;
                assert!(
                    told.abs_diff(trips) <= 1,
                    "told {told} of {trips} round trips for {count} rows"
                );
            }
        }
    });
}

#[test]
fn a_query_that_is_broken_off_leaves_the_connection_usable() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let mut connection = connect(driver, &server);
        for _ in 0..3 {
            let mut seen = 0;
            connection
                .query(&rows(5000), LIMIT, &mut |_| {
                    seen += 1;
                    if seen == 1200 {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
                .expect("rows");
            assert_eq!(seen, 1200);
            still_answers(&mut *connection);
        }
    });
}

#[test]
fn an_answer_about_the_target_costs_no_connection() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let target = target(driver, server.addr().port(), "canned", "reaper", "tiger");
        let mut connection = ConnectSlot::new().connect_to_act(&target, LIMIT).expect("it answers");
        for _ in 0..3 {
            let marked = connection.send(permitted("marked"), None, LIMIT).expect("an answer");
            assert_eq!(
                (marked.code, marked.message.as_str()),
                (31, "ORA-00031: session marked for kill")
            );
            assert_eq!(
                connection.send(permitted("gone"), None, LIMIT).expect("an answer").code,
                30
            );
            let fine = connection.send(permitted("fine"), None, LIMIT).expect("an answer");
            assert_eq!((fine.code, fine.message.as_str()), (0, ""));
            still_answers(&mut *connection);
        }
        let error = connection
            .send(permitted("killed meanwhile"), None, LIMIT)
            .expect_err("our own session");
        assert_eq!((error.class, error.code), (Class::Reconnect, Some(28)), "{error}");
    });
}

#[test]
fn errors_that_do_not_break_the_connection_leave_it_usable() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let mut connection = connect(driver, &server);
        let cases = [
            ("SELECT n FROM nowhere", Class::Config, 942),
            ("SELECT n FROM parallel", Class::Partial, 3113),
        ];
        for (sql, class, code) in cases {
            let error = fails(&mut *connection, sql, LIMIT);
            assert_eq!((error.class, error.code), (class, Some(code)), "{error}");
            still_answers(&mut *connection);
        }
        // An error in mid fetch comes after rows; what came before is no answer.
        let torn = Query::new("TORN", "SELECT n, name FROM torn", &[CellType::Number, CellType::Text]);
        let error = collect(&mut *connection, &torn, LIMIT, 10_000, |_| Some(())).expect_err("torn");
        assert_eq!((error.class, error.code), (Class::Partial, Some(1555)), "{error}");
        still_answers(&mut *connection);
        // A wrong number of columns is a fault of the caller.
        let error = collect(
            &mut *connection,
            &Query::new("ROWS", "SELECT n, name FROM rows_3", &[CellType::Number]),
            LIMIT,
            9,
            |_| Some(()),
        )
        .expect_err("two columns");
        assert_eq!(error.class, Class::Bug, "{error}");
        still_answers(&mut *connection);
    });
}

#[test]
fn a_lost_connection_stays_lost() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        for sql in ["SELECT n FROM killed", "SELECT n FROM cut"] {
            let mut connection = connect(driver, &server);
            let error = fails(&mut *connection, sql, LIMIT);
            assert_eq!(error.class, Class::Reconnect, "{sql}: {error}");
            let again = fails(&mut *connection, sql, LIMIT);
            assert_eq!(again.class, Class::Reconnect, "{again}");
            assert!(again.why.contains("lost before"), "{again}");
            assert_eq!(connection.ping(LIMIT).expect_err("lost").class, Class::Reconnect);
        }
    });
}

#[test]
fn a_call_that_takes_too_long_ends_in_time() {
    on_both_drivers(|driver| {
        let (server, _) = canned::serve();
        let limit = Duration::from_secs(1);
        // Interruptible: the database answers the break.
        let mut connection = connect(driver, &server);
        let began = Instant::now();
        let error = fails(&mut *connection, "SELECT n FROM slow", limit);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        match driver {
            Driver::Oci => {
                assert_eq!(error.class, Class::Cancelled, "{error}");
                still_answers(&mut *connection);
            }
            Driver::Thin => assert_eq!(error.class, Class::Reconnect, "{error}"),
        }
        // Not even the break is answered: the driver cleans up for as long again, then the connection is lost.
        let mut connection = connect(driver, &server);
        let began = Instant::now();
        let error = fails(&mut *connection, "SELECT n FROM abyss", limit);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert_eq!(error.class, Class::Reconnect, "{error}");
        assert!(driver == Driver::Oci || error.why == "no answer within 1s", "{error}");
        // Logging off from such a database is not waited for.
        let began = Instant::now();
        connection.close(Duration::from_millis(300));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    });
}

#[test]
fn without_the_client_library_the_message_says_what_to_do() {
    without_client_library(|| {
        let error = ConnectSlot::new()
            .connect(&target(Driver::Oci, 1, "canned", "reaper", "tiger"), LIMIT)
            .map(|_| ())
            .expect_err("no library, and nobody listens");
        if error.code == Some(12_541) {
            println!("not run: an Oracle client library is installed on this system");
            return;
        }
        assert_eq!(error.class, Class::Config, "{error}");
        assert!(
            error.why.contains("Instant Client") && error.why.contains("driver: thin"),
            "{error}"
        );
    });
}
