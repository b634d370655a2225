//! The pure-Rust driver, unmodified, against the wire with fixed answers behind it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::fixed::{BIG, Fixed, NAP, SLEEP, long_text, moment, serve};
use oracledb::{Config, Connection, ErrorKind, OracleTimestamp};
use orasim::Server;

fn config(server: &Server, user: &str, password: &str, service: &str) -> Config {
    Config::default()
        .set_credentials(user, password)
        .set_connect_string(&format!("127.0.0.1:{}/{service}", server.addr().port()))
        .expect("a connect string")
}

fn connect() -> (Server, Fixed, Connection) {
    let (server, database) = serve();
    let connection = oracledb::connect(config(&server, "scott", "tiger", "fixed")).expect("a connection");
    (server, database, connection)
}

/// The number and the offset of a database error.
fn code<T>(result: Result<T, oracledb::Error>) -> (usize, usize) {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => {
            let ErrorKind::DbError(error) = error.kind() else {
                panic!("not a database error: {error}")
            };
            (error.code(), error.offset())
        }
    }
}

/// What a time shows, to the nanosecond.
fn time(value: &OracleTimestamp) -> (i16, u8, u8, u8, u8, u8, u32) {
    (
        value.year(),
        value.month(),
        value.day(),
        value.hour(),
        value.minute(),
        value.second(),
        value.nanoseconds(),
    )
}

#[test]
fn a_session_is_described() {
    let (_server, database, connection) = connect();
    assert_eq!(connection.session_id().expect("a SID"), 287);
    assert_eq!(connection.serial_num().expect("a serial number"), 62_507);
    assert_eq!(connection.instance_name().expect("a name"), "fixed1");
    assert_eq!(connection.service_name().expect("a name"), "fixed");
    assert_eq!(connection.db_name().expect("a name"), "FIXED_A");
    assert_eq!(connection.version().expect("a version").to_string(), "19.3.0.0.0");
    assert!(database.saw("client described=true proxy for nobody"));
    assert!(
        database
            .events()
            .iter()
            .any(|event| event.starts_with("logon SCOTT Right program=all"))
    );
}

#[test]
fn logins_that_fail_say_why() {
    let (server, _database) = serve();
    let attempt = |user: &str, password: &str| oracledb::connect(config(&server, user, password, "fixed"));
    assert_eq!(code(attempt("scott", "Tiger")).0, 1_017);
    assert_eq!(code(attempt("nobody", "tiger")).0, 1_017);
    assert_eq!(code(attempt("locked", "tiger")).0, 28_000);
    let expiring = attempt("expiring", "tiger").expect("a connection");
    let warning = expiring.last_warning().expect("a connection").expect("a warning");
    assert!(warning.starts_with("ORA-28002"), "{warning}");
}

#[test]
fn services_that_cannot_be_reached_are_refused() {
    let (server, _database) = serve();
    for (service, number) in [("nowhere", "nowhere"), ("starting", "12528")] {
        let error = oracledb::connect(config(&server, "scott", "tiger", service))
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains(number), "{error}");
    }
}

#[test]
fn every_type_arrives() {
    let (_server, _database, connection) = connect();
    let cursor = connection.query("select * from kinds", &[]).expect("a cursor");
    let rows: Vec<_> = cursor.into_iter().collect::<Result<_, _>>().expect("rows");
    assert_eq!(rows.len(), 3);
    let filled = &rows[0];
    assert_eq!(filled.get::<i64>(0).expect("N"), 1);
    assert_eq!(filled.get::<String>(1).expect("D"), "-12.5");
    assert_eq!(filled.get::<f64>(2).expect("F"), 1.5);
    assert_eq!(filled.get::<String>(3).expect("T"), "grüße €");
    assert_eq!(filled.get::<String>(4).expect("LONG_T"), long_text(252));
    assert_eq!(filled.get::<Vec<u8>>(7).expect("R"), (0..=255).collect::<Vec<u8>>());
    assert_eq!(time(&filled.get(5).expect("DAY")), (2024, 2, 29, 23, 59, 58, 0));
    assert_eq!(
        time(&filled.get(6).expect("TS")),
        (2024, 2, 29, 23, 59, 58, 123_456_000)
    );
    for column in 0..8 {
        assert_eq!(
            rows[1].get::<Option<String>>(column).expect("a NULL"),
            None,
            "column {column}"
        );
    }
    assert_eq!(rows[2].get::<i64>(0).expect("N"), i64::MAX);
    assert_eq!(rows[2].get::<f64>(2).expect("F"), -2.25e-100);
    assert_eq!(rows[2].get::<String>(4).expect("LONG_T"), long_text(4_000));
}

#[test]
fn many_rows_come_in_as_many_round_trips_as_it_takes() {
    let (server, _database, connection) = connect();
    let before = server.stats();
    let array = 5_000;
    let statement = connection
        .statement("select n, name from big")
        .expect("a statement")
        .prefetch_rows(array)
        .fetch_array_size(array)
        .build()
        .expect("a statement");
    let mut expected = 0;
    for row in statement.query(&[]).expect("a cursor") {
        let row = row.expect("a row");
        expected += 1;
        assert_eq!(row.get::<i64>(0).expect("N"), expected);
        assert_eq!(row.get::<String>(1).expect("NAME"), format!("name of {expected}"));
    }
    assert_eq!(expected, BIG);
    let after = server.stats();
    // 70,001 rows by 5,000: fifteen round trips, the last one short and so the end.
    assert_eq!(
        after.round_trips - before.round_trips,
        (BIG as u64).div_ceil(u64::from(array))
    );
    assert_eq!(after.parses - before.parses, 1);
}

/// This driver closes a cursor whose rows have been fetched to their end, and keeps one that has not come so far.
#[test]
fn a_repeated_statement_is_not_parsed_again() {
    let (server, database, connection) = connect();
    for _ in 0..3 {
        let row = connection.query_row("select n, name from three", &[]).expect("a row");
        assert_eq!(row.get::<String>(1).expect("NAME"), "name of 1");
    }
    let stats = server.stats();
    assert_eq!((stats.parses, stats.executions, stats.round_trips), (1, 3, 3));
    let events = database.events();
    assert_eq!(
        events
            .iter()
            .filter(|event| *event == "execute select n, name from three")
            .count(),
        1
    );
    assert_eq!(
        events
            .iter()
            .filter(|event| *event == "execute again select n, name from three")
            .count(),
        2
    );
}

#[test]
fn an_empty_result_is_empty_and_a_wide_one_is_whole() {
    let (_server, _database, connection) = connect();
    assert_eq!(
        connection
            .query("select n, name from none", &[])
            .expect("a cursor")
            .count(),
        0
    );
    let wide = connection.query("select * from wide", &[]).expect("a cursor");
    let rows: Vec<_> = wide.into_iter().collect::<Result<_, _>>().expect("rows");
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[4].get::<String>(299).expect("C299"), format!("4.{:0>140}", 299));
}

#[test]
fn clobs_arrive_as_text() {
    let (_server, _database, connection) = connect();
    for _ in 0..2 {
        let cursor = connection.query("select t from clobs", &[]).expect("a cursor");
        let found: Vec<(i64, Option<String>)> = cursor
            .into_iter()
            .map(|row| row.and_then(|row| Ok((row.get(0)?, row.get(1)?))))
            .collect::<Result<_, _>>()
            .expect("rows");
        let expected: Vec<(i64, Option<String>)> = [10, 40_000, 0, 300]
            .map(|size: i64| (size, (size > 0).then(|| long_text(size as usize))))
            .to_vec();
        assert_eq!(found, expected);
    }
}

#[test]
fn errors_have_their_numbers_and_offsets_and_leave_the_session() {
    let (_server, _database, connection) = connect();
    for _ in 0..2 {
        assert_eq!(code(connection.query("select nosuch from dual", &[])), (904, 7));
        assert_eq!(code(connection.query("select * from nowhere", &[])), (942, 14));
    }
    let cursor = connection.query("select n, name from old", &[]).expect("a cursor");
    let mut rows = 0;
    let failure = cursor.into_iter().find_map(|row| match row {
        Ok(_) => {
            rows += 1;
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(code::<()>(Err(failure.expect("ORA-01555"))), (1_555, 0));
    assert!(rows < 500, "{rows}");
    connection.ping().expect("a session");
}

#[test]
fn binds_of_every_kind_arrive() {
    let (_server, _database, connection) = connect();
    let text = long_text(20_000);
    let bytes: Vec<u8> = (0..200).collect();
    let row = connection
        .query_row(
            "select binds :1, :2, :3, :4, :5, :6 from dual",
            &[
                &text,
                &-42_i64,
                &2.5_f64,
                &OracleTimestamp::from(moment()),
                &None::<String>,
                &bytes,
            ],
        )
        .expect("a row");
    assert_eq!(row.get::<String>(0).expect("text"), "20000 bytes, as expected");
    assert_eq!(row.get::<i64>(1).expect("a number"), -42);
    assert_eq!(row.get::<f64>(2).expect("a float"), 2.5);
    assert_eq!(
        time(&row.get(3).expect("a time")),
        (2024, 2, 29, 23, 59, 58, 123_456_000)
    );
    assert_eq!(row.get::<Option<String>>(4).expect("a NULL"), None);
    assert_eq!(row.get::<Vec<u8>>(5).expect("bytes"), bytes);
}

#[test]
fn plsql_returns_its_out_binds_each_time() {
    let (server, _database, connection) = connect();
    for value in [21_i64, -1, 1_000_000] {
        let mut result = connection
            .execute("begin :1 := :2 * 2; end;", &[&oracledb::DB_TYPE_NUMBER, &value])
            .expect("a result");
        assert_eq!(result.out_bind_data().get::<i64>(0).expect("an OUT value"), value * 2);
    }
    let padded = format!("{:<40}", "grüße");
    let mut result = connection
        .execute(
            "begin :1 := upper(:1); :2 := null; end;",
            &[&padded, &oracledb::DB_TYPE_NUMBER],
        )
        .expect("a result");
    let out = result.out_bind_data();
    assert_eq!(out.get::<String>(0).expect("an OUT value"), padded.to_uppercase());
    assert_eq!(out.get::<Option<i64>>(1).expect("an OUT value"), None);
    assert_eq!(server.stats().parses, 2);
}

#[test]
fn batches_and_transactions_reach_the_session() {
    let (_server, database, connection) = connect();
    let rows: &[&[&dyn oracledb::ToDbValue]] = &[&[&1, &"one"], &[&2, &"two"], &[&3, &"three"]];
    let result = connection
        .execute_batch("insert into t values (:1, :2)", oracledb::BindParameters::Slice(rows))
        .expect("a result");
    assert_eq!(result.rows_affected(), 1 + 2 + 3);
    connection.set_module("loader").expect("a module");
    connection.set_action("load").expect("an action");
    connection.set_client_identifier("me").expect("an identifier");
    connection.commit().expect("a commit");
    connection.rollback().expect("a rollback");
    for event in [
        "module loader",
        "action load",
        "client_identifier me",
        "commit",
        "rollback",
    ] {
        assert!(database.saw(event), "{event}");
    }
    let mut connection = connection;
    connection.close().expect("a logoff");
    assert!(database.saw("logoff") && database.saw("session dropped"));
}

#[test]
fn a_call_timeout_leaves_a_usable_session() {
    let (_server, _database, connection) = connect();
    for _ in 0..3 {
        connection
            .set_call_timeout(Some(Duration::from_millis(200)))
            .expect("a time-out");
        let begun = Instant::now();
        let error = connection.execute("begin sleep; end;", &[]).err().expect("a time-out");
        assert!(begun.elapsed() < SLEEP / 2, "{error}");
        connection.set_call_timeout(None).expect("no time-out");
        let row = connection.query_row("select n, name from three", &[]).expect("a row");
        assert_eq!(row.get::<i64>(0).expect("N"), 1);
    }
}

/// A break that crosses the answer on its way is no different from one that comes in time.
#[test]
fn a_time_out_at_the_moment_of_the_answer_leaves_a_usable_session() {
    let (_server, _database, connection) = connect();
    let mut outcomes = [0, 0];
    for round in 0..60 {
        // Wide enough on both sides for a system that counts a socket's time-out in ticks of some milliseconds.
        let timeout = NAP - Duration::from_millis(12) + Duration::from_micros(400 * round);
        connection.set_call_timeout(Some(timeout)).expect("a time-out");
        let answered = connection.execute("begin nap; end;", &[]).is_ok();
        outcomes[usize::from(answered)] += 1;
        connection
            .set_call_timeout(Some(Duration::from_secs(5)))
            .expect("a time-out");
        let row = connection.query_row("select n, name from three", &[]).expect("a row");
        assert_eq!(row.get::<i64>(0).expect("N"), 1, "round {round}");
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

#[test]
fn a_session_that_is_gone_says_so_once_and_is_not_logged_on_after_that() {
    let (_server, database, connection) = connect();
    assert_eq!(code(connection.query("select gone from dual", &[])).0, 28);
    assert!(database.saw("session dropped"));
    assert_eq!(code(connection.query("select n, name from three", &[])).0, 1_012);
    assert_eq!(code(connection.ping()).0, 1_012);
}

#[test]
fn a_cut_connection_and_a_hang_up_are_the_end_of_it() {
    let (_server, _database, connection) = connect();
    assert!(connection.query("select cut from dual", &[]).is_err());
    assert!(connection.ping().is_err());
    let (_server, database, connection) = connect();
    database.hang_up_all();
    assert!(connection.ping().is_err());
    assert!(database.saw("session dropped"));
}

#[test]
fn a_session_that_hangs_answers_nothing_not_even_a_break() {
    let (_server, _database, connection) = connect();
    connection
        .set_call_timeout(Some(Duration::from_millis(200)))
        .expect("a time-out");
    assert!(connection.query("select hang from dual", &[]).is_err());
    assert!(connection.ping().is_err());
}

#[test]
fn stopping_ends_everything_soon() {
    let (mut server, database, connection) = connect();
    let other = oracledb::connect(config(&server, "scott", "tiger", "fixed")).expect("a connection");
    let sleeper = std::thread::spawn(move || other.execute("begin sleep; end;", &[]).is_err());
    assert!(database.saw("execute begin sleep; end;"));
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(connection.ping().is_err());
    assert!(sleeper.join().expect("a thread"));
    assert!(TcpStream::connect(server.addr()).is_err());
}

#[test]
fn many_connections_at_once() {
    let (server, _database) = serve();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let connection = oracledb::connect(config(&server, "scott", "tiger", "fixed")).expect("a connection");
                for _ in 0..5 {
                    assert_eq!(
                        connection
                            .query("select n, name from three", &[])
                            .expect("a cursor")
                            .count(),
                        3
                    );
                }
            });
        }
    });
    assert_eq!(server.stats().connections, 20);
}

/// Passes a connection on, with about one byte in three hundred of what the client sends changed once it is logged on.
fn garble(client: TcpStream, server: SocketAddr, mut seed: u64) {
    let upstream = TcpStream::connect(server).expect("a socket");
    // A garbled length leaves both sides waiting for each other: whoever is silent for so long is cut off.
    for socket in [&client, &upstream] {
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a time-out");
    }
    let (mut from_server, mut to_client) = (
        upstream.try_clone().expect("a socket"),
        client.try_clone().expect("a socket"),
    );
    let back = std::thread::spawn(move || {
        // Either side may end it at any time.
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = (client, upstream);
    let mut block = [0; 4_096];
    let mut passed = 0;
    while let Ok(count @ 1..) = from_client.read(&mut block) {
        passed += count;
        for byte in &mut block[..count] {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            if passed > 5_000 && seed.is_multiple_of(300) {
                *byte = (seed >> 32) as u8;
            }
        }
        if to_server.write_all(&block[..count]).is_err() {
            break;
        }
    }
    let _ = to_server.shutdown(Shutdown::Both);
    let _ = from_client.shutdown(Shutdown::Both);
    back.join().expect("a thread");
}

/// Whatever a garbled client comes to, no thread of the server panics and other clients notice nothing.
#[test]
fn garbled_calls_end_their_own_connection_alone() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("orasim"))
        {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        hook(panic);
    }));
    let (server, database, connection) = connect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let through = listener.local_addr().expect("an address");
    let upstream = server.addr();
    std::thread::spawn(move || {
        for (seed, client) in (1..).zip(listener.incoming()) {
            let client = client.expect("a socket");
            std::thread::spawn(move || garble(client, upstream, seed * 0x9e37_79b9));
        }
    });
    let mut garbled = 0;
    std::thread::scope(|scope| {
        // The driver may panic over an answer to what it never sent.
        let fails = || std::panic::catch_unwind(|| talk(through)).map_or(true, |talked| talked.is_err());
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(move || (0..12).filter(|_| fails()).count()))
            .collect();
        garbled = workers.into_iter().map(|worker| worker.join().expect("a count")).sum();
    });
    assert!(garbled > 20, "only {garbled} connections came to grief");
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    connection.ping().expect("the other session is as it was");
    let logons = database
        .events()
        .iter()
        .filter(|event| event.starts_with("logon SCOTT Right"))
        .count();
    assert!(logons > 60, "{logons}");
}

/// One client's life: a bit of everything.
fn talk(address: SocketAddr) -> Result<(), oracledb::Error> {
    let descriptor = format!("127.0.0.1:{}/fixed", address.port());
    let config = Config::default()
        .set_credentials("scott", "tiger")
        .set_connect_string(&descriptor)?;
    let connection = oracledb::connect(config)?;
    connection.set_call_timeout(Some(Duration::from_millis(500)))?;
    for round in 0..20_i64 {
        connection.query_row("select n, name from three", &[])?;
        connection.execute("begin :1 := :2 * 2; end;", &[&oracledb::DB_TYPE_NUMBER, &round])?;
        connection.query_row("select binds :1, :2 from dual", &[&"text", &round])?;
        connection.set_module("loader")?;
        connection.ping()?;
    }
    connection.commit()
}

/// Garbage at every stage of a connection closes that connection and nothing else.
#[test]
fn garbage_ends_its_own_connection_alone() {
    let (server, _database, connection) = connect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let connect_packet = {
        let descriptor = b"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=fixed)))";
        let mut packet = vec![0_u8; 74];
        packet[0..2].copy_from_slice(&(74 + descriptor.len() as u16).to_be_bytes());
        packet[4] = 1;
        packet[8..10].copy_from_slice(&319_u16.to_be_bytes());
        packet[14..16].copy_from_slice(&8_192_u16.to_be_bytes());
        packet[24..26].copy_from_slice(&(descriptor.len() as u16).to_be_bytes());
        packet[26..28].copy_from_slice(&74_u16.to_be_bytes());
        packet.extend_from_slice(descriptor);
        packet
    };
    for round in 0..300 {
        let mut socket = TcpStream::connect(server.addr()).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a time-out");
        if round % 3 > 0 {
            socket.write_all(&connect_packet).expect("a packet");
            let mut accept = [0; 45];
            socket.read_exact(&mut accept).expect("an ACCEPT");
            assert_eq!(accept[4], 2);
        }
        let length = (random() % 200) as usize;
        let mut garbage: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        if round % 3 == 2 {
            // A well-formed data packet with garbage in it that begins like a call.
            let mut packet = (length as u32 + 12).to_be_bytes().to_vec();
            packet.extend_from_slice(&[6, 0, 0, 0, 0, 0, 3, [0x76, 0x73, 0x5e, 0x4e][round / 3 % 4]]);
            packet.append(&mut garbage);
            garbage = packet;
        }
        // The server may have hung up before all of it was written.
        let _ = socket.write_all(&garbage);
    }
    connection.ping().expect("the other session is as it was");
    let again = oracledb::connect(config(&server, "scott", "tiger", "fixed")).expect("a connection");
    again.ping().expect("a session");
}
