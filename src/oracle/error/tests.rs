//! Every number with its class, and every way in which one error wraps another.

//! Each number in its class, in the phase where it was met: a wrong class locks an account or drops a connection.

use super::*;

fn call(stack: &[u32]) -> Class {
    classify(stack, Phase::Call).0
}

fn connect(stack: &[u32]) -> Class {
    classify(stack, Phase::Connect).0
}

#[test]
fn every_number_has_one_class() {
    let mut numbers: Vec<u32> = NUMBERS.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    let all = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "a number is listed twice");
    // The password will expire soon.
    for warning in [28_002, 28_011] {
        assert!(!numbers.contains(&warning), "a success with a warning is no error");
    }
}

/// Each row as the operations handbook has it, written down a second time and grouped differently: by where it is met.
#[test]
fn numbers_mean_what_the_handbook_says() {
    let met_while_connecting = [
        (Class::Auth, &[1017, 1005, 28000, 28001][..]),
        (
            Class::Config,
            &[
                28009, 1045, 12154, 12578, 12650, 12660, 28759, 28860, 29024, 28040, 28150, 28365, 47306,
            ],
        ),
        (
            Class::Backoff,
            &[
                2391, 18, 20, 12505, 12514, 12516, 12519, 12520, 12518, 12526, 12527, 12528, 12535, 12170, 12543,
                12545, 12541, 12533, 12560, 1033, 1034, 27101, 1035, 1089, 1090, 1092, 1109, 1219, 16456, 16004,
                // Lost before there was anything to lose: a crash of the server, an access list, a process limit.
                12537, 12547, 3113, 3135, 12606, 12608, 12609, 3136,
            ],
        ),
    ];
    for (class, numbers) in met_while_connecting {
        for number in numbers {
            assert_eq!(connect(&[*number]), class, "ORA-{number:05} while connecting");
        }
    }
    let met_while_calling = [
        (
            Class::Reconnect,
            &[
                28, 45, 22, 31, 1012, 3113, 3114, 3135, 12571, 12570, 12537, 12547, 12153, 12583, 2396, 2399, 603, 600,
                7445, 25408, 25402, 25405, 25409, 12606, 12608, 12609, 3156, 3136, 12161,
                // What ODPI-C gives a connection up for, besides those (`dpiError__check`), and its like.
                378, 602, 609, 1041, 1043, 3106, 3117, 3122, 3126, 24300, 27146, 28511, 56600,
            ][..],
        ),
        (
            Class::Backoff,
            &[1033, 1034, 1035, 1089, 1090, 1092, 1109, 1219, 16456, 16004],
        ),
        (Class::Config, &[1031, 942, 4043, 6550, 41900, 47306]),
        (Class::Cancelled, &[1013, 4061, 4065, 4068, 6508]),
        (Class::Unsupported, &[900, 922, 933, 2065, 3048, 904, 2003]),
        (
            Class::Partial,
            &[12801, 12805, 12850, 12853, 4031, 1555, 8103, 604, 29275],
        ),
        (
            Class::Bug,
            &[26, 27, 29, 30, 34, 1722, 2030, 13516, 16000, 20000, 20001, 20999],
        ),
    ];
    for (class, numbers) in met_while_calling {
        for number in numbers {
            assert_eq!(call(&[*number]), class, "ORA-{number:05} while calling");
        }
    }
    // Together the two lists leave no row untested.
    for (number, _) in NUMBERS {
        assert!(
            met_while_connecting.iter().any(|(_, list)| list.contains(number))
                || met_while_calling.iter().any(|(_, list)| list.contains(number)),
            "ORA-{number:05} is in no list of this test"
        );
    }
}

#[test]
fn a_wrapper_means_what_it_wraps() {
    assert_eq!(classify(&[604, 1000], Phase::Call), (Class::Partial, Some(1000)));
    assert_eq!(classify(&[604, 1031], Phase::Call), (Class::Config, Some(1031)));
    assert_eq!(classify(&[604, 604, 28], Phase::Call), (Class::Reconnect, Some(28)));
    assert_eq!(classify(&[604], Phase::Call), (Class::Partial, Some(604)));
    assert_eq!(classify(&[604, 1017], Phase::Connect), (Class::Auth, Some(1017)));
}

#[test]
fn a_parallel_servers_death_costs_the_answer_and_not_our_connection() {
    assert_eq!(classify(&[12801, 3113], Phase::Call), (Class::Partial, Some(3113)));
    assert_eq!(classify(&[12801, 12805], Phase::Call), (Class::Partial, Some(12805)));
    assert_eq!(classify(&[604, 12801, 28], Phase::Call), (Class::Partial, Some(28)));
    assert_eq!(classify(&[12801, 942], Phase::Call), (Class::Config, Some(942)));
    assert_eq!(classify(&[12801, 904], Phase::Call), (Class::Unsupported, Some(904)));
    assert_eq!(classify(&[12801], Phase::Call), (Class::Partial, Some(12801)));
}

#[test]
fn an_unknown_number_never_yields_an_answer_and_never_hammers_the_listener() {
    assert_eq!(classify(&[59999], Phase::Call), (Class::Partial, Some(59999)));
    assert_eq!(classify(&[59999], Phase::Connect), (Class::Backoff, Some(59999)));
    assert_eq!(classify(&[], Phase::Call), (Class::Partial, None));
    assert_eq!(classify(&[], Phase::Connect), (Class::Backoff, None));
}

#[test]
fn numbers_are_read_from_a_stack_whatever_its_language() {
    let german = "ORA-12801: in parallelem Abfrage-Server PZ99 Fehler gemeldet, Instanz db2:orcl2 (2)\n\
                  ORA-03113: Unerwartetes Dateiende im Kommunikationskanal\n\
                  Help: https://docs.oracle.com/error-help/db/ora-12801/";
    assert_eq!(numbers_in(german), [12801, 3113]);
    assert_eq!(numbers_in("nothing here, ORA- nor here"), Vec::<u32>::new());
    assert_eq!(numbers_in("ORA-000311 reads five digits"), [31]);
    assert_eq!(dpi_number("DPI-1080: connection was closed by ORA-00031"), Some(1080));
    assert_eq!(dpi_number("ORA-00031: DPI-1080"), None);
}

#[test]
fn a_message_says_what_was_tried_on_what_and_why() {
    let error = Error::from_database(
        Phase::Connect,
        "connect to prod",
        Some(12541),
        "ORA-12541: Cannot connect. No listener at host db1 port 1521.\nHelp: https://docs.oracle.com/error-help/db/ora-12541/\n",
    );
    assert_eq!(
        error.to_string(),
        "connect to prod: ORA-12541: Cannot connect. No listener at host db1 port 1521"
    );
    assert_eq!((error.class, error.code), (Class::Backoff, Some(12541)));
}

#[test]
fn a_number_apart_from_the_message_is_the_outermost() {
    let error = Error::from_database(
        Phase::Call,
        "read",
        Some(604),
        "ORA-00942: table or view does not exist",
    );
    assert_eq!((error.class, error.code), (Class::Config, Some(942)));
    let error = Error::from_database(Phase::Call, "read", Some(0), "no number at all");
    assert_eq!((error.class, error.code), (Class::Partial, None));
}

#[test]
fn only_a_refused_account_is_never_tried_again() {
    for class in Class::ALL {
        assert_eq!(class.retry() == Retry::Never, class == Class::Auth, "{class}");
    }
    for class in [Class::Reconnect, Class::Backoff, Class::Auth] {
        assert!(class.costs_the_connection());
    }
    for class in [Class::Partial, Class::Cancelled, Class::Unsupported, Class::Config] {
        assert!(!class.costs_the_connection());
    }
}

#[test]
fn the_client_librarys_own_errors_are_told_apart() {
    let second = Duration::from_secs(1);
    let odpi = |code, message| Error::from_odpi(Phase::Call, "read", code, message, second);
    let cases = [
        (
            0,
            "DPI-1080: connection was closed by ORA-00031",
            Class::Reconnect,
            Some(31),
        ),
        (
            0,
            "DPI-1080: connection was closed by ORA-00028\nORA-00028: your session has been killed",
            Class::Reconnect,
            Some(28),
        ),
        (
            0,
            "DPI-1080: connection was closed by ORA-01092",
            Class::Backoff,
            Some(1092),
        ),
        (0, "DPI-1010: not connected", Class::Reconnect, None),
        (
            0,
            "DPI-1067: call timeout of 1000 ms exceeded with ORA-03156",
            Class::Cancelled,
            None,
        ),
        (
            0,
            "DPI-1047: Cannot locate a 64-bit Oracle Client library",
            Class::Config,
            None,
        ),
        (
            0,
            "DPI-1072: the Oracle Client library version is unsupported",
            Class::Config,
            None,
        ),
        (0, "DPI-1042: null argument", Class::Bug, None),
        (942, "ORA-00942: table or view does not exist", Class::Config, Some(942)),
    ];
    for (code, message, class, number) in cases {
        let error = odpi(code, message);
        assert_eq!((error.class, error.code), (class, number), "{message}");
    }
    let missing = odpi(
        0,
        "DPI-1047: Cannot locate a 64-bit Oracle Client library: \"libclntsh.so\"",
    )
    .to_string();
    assert!(
        missing.contains("Instant Client") && missing.contains("driver: thin"),
        "{missing}"
    );
}
