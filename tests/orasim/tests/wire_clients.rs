//! Clients that are not Rust, all of them unmodified, as judges of the simulation: python-oracledb thin, thick and with asyncio,
//! node-oracledb thin, ojdbc8. Each is a script or a program beside this file that does the asking, once against the wire with fixed
//! answers behind it, and once against the simulated world.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::fixed::{clients, serve};
use orasim::backend::Database;
use orasim::{Scenario, Server, World};

/// A file beside this one.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Runs a client, which must end well and say so.
fn passes(command: &mut Command, what: &str) {
    command.env("TNS_ADMIN", clients::network_settings());
    let output = command.output().expect("the client starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.ends_with("passed\n"),
        "{what}: {said}\n{complaints}"
    );
}

/// Runs a client against fixed answers, and gives what reached the database.
fn against_fixed(client: impl Fn(&str, &str) -> Command) -> Vec<String> {
    let (server, database) = serve();
    let address = format!("127.0.0.1:{}", server.addr().port());
    passes(&mut client("fixed", &address), "against fixed answers");
    database.events()
}

/// Runs a client against the tutorial's world.
fn against_world(client: impl Fn(&str, &str) -> Command) {
    let world = World::new(Scenario::builtin("tutorial").expect("built in"));
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(world as Arc<dyn Database>, listen).expect("a listener");
    let address = format!("127.0.0.1:{}", server.addr().port());
    passes(&mut client("world", &address), "against the world");
}

/// What reached the database besides the answers that the client saw itself.
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
    let committed = |event: &&String| event.ends_with("insert into t values (1) and commit");
    assert_eq!(events.iter().filter(committed).count(), 2, "{events:?}");
    // Three sessions are closed in order; the other one is dropped, and those that were killed or cut have no logoff.
    assert!(count("logoff") >= 2, "{events:?}");
}

/// python-oracledb; with the client library it is thick.
fn python(
    script: &'static str,
    mode: Option<&'static str>,
    library: Option<PathBuf>,
) -> Option<impl Fn(&str, &str) -> Command> {
    let Some(python) = clients::python() else {
        clients::not_run("no python-oracledb");
        return None;
    };
    Some(move |part: &str, address: &str| {
        let mut command = Command::new(&python);
        command.arg(beside(script)).args(mode).args([part, address]);
        if let Some(library) = &library {
            // The library's own dependencies are looked for here, beside the system's folders.
            command.arg(library).env("LD_LIBRARY_PATH", library);
        }
        command
    })
}

#[test]
fn python_thin() {
    if let Some(client) = python("python_clients.py", Some("thin"), None) {
        check(&against_fixed(&client));
        against_world(&client);
    }
}

#[test]
fn python_thick() {
    let Some(library) = clients::client_library() else {
        clients::not_run("no Oracle client library");
        return;
    };
    if let Some(client) = python("python_clients.py", Some("thick"), Some(library)) {
        check(&against_fixed(&client));
        against_world(&client);
    }
}

#[test]
fn python_asyncio() {
    if let Some(client) = python("python_async.py", None, None) {
        against_fixed(&client);
        against_world(&client);
    }
}

#[test]
fn node_thin() {
    let Some((node, driver)) = clients::node() else {
        clients::not_run("no node-oracledb");
        return;
    };
    let client = |part: &str, address: &str| {
        let mut command = Command::new(&node);
        command.arg(beside("node_client.js")).arg(&driver).args([part, address]);
        command
    };
    check(&against_fixed(client));
    against_world(client);
}

#[test]
fn ojdbc() {
    let Some((java, driver)) = clients::java() else {
        clients::not_run("no ojdbc8, or no JDK to run it");
        return;
    };
    let client = |part: &str, address: &str| {
        let mut command = Command::new(&java);
        command.arg("-Dfile.encoding=UTF-8").arg("-Duser.timezone=UTC");
        command.arg("--class-path").arg(&driver).arg(beside("OjdbcClient.java"));
        command.args([part, address]);
        command
    };
    check(&against_fixed(client));
    against_world(client);
}
