//! python-oracledb, thin and thick, against the wire with fixed answers behind it: `python_clients.py` does the asking.

mod fixed;

use std::path::Path;
use std::process::Command;

use fixed::{clients, serve};

/// Runs the script and gives what the database was asked.
fn run(python: &Path, mode: &str, library: Option<&Path>) -> Vec<String> {
    let (server, database) = serve();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_clients.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(mode)
        .arg(format!("127.0.0.1:{}", server.addr().port()));
    command.env("TNS_ADMIN", clients::network_settings());
    if let Some(library) = library {
        // The library's own dependencies are looked for here, beside the system's folders.
        command.arg(library).env("LD_LIBRARY_PATH", library);
    }
    let output = command.output().expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.ends_with("passed\n"),
        "{mode}: {said}\n{complaints}"
    );
    database.events()
}

/// What reached the database besides the answers that the script saw itself.
fn check(events: &[String]) {
    let count = |event: &str| events.iter().filter(|seen| *seen == event).count();
    for event in [
        "client described=true proxy for HR",
        "module loader",
        "action load",
        "client_identifier me",
    ] {
        assert!(count(event) >= 1, "{event}: {events:?}");
    }
    for event in [
        "execute insert into t values (1) and commit",
        "execute again insert into t values (1) and commit",
    ] {
        assert_eq!(count(event), 1, "{event}: {events:?}");
    }
    // Three sessions are closed in order; the other one is dropped, and those that were killed or cut have no logoff.
    assert!(count("logoff") >= 2, "{events:?}");
}

#[test]
fn thin() {
    let Some(python) = clients::python() else {
        clients::not_run("no python-oracledb");
        return;
    };
    check(&run(&python, "thin", None));
}

#[test]
fn thick() {
    let (Some(python), Some(library)) = (clients::python(), clients::client_library()) else {
        clients::not_run("no python-oracledb, or no Oracle client library");
        return;
    };
    check(&run(&python, "thick", Some(&library)));
}
