//! Runs the same test with both drivers.
//!
//! `thin` needs nothing and always runs. `oci` needs Oracle's client library, whose dependencies the loader finds only through
//! LD_LIBRARY_PATH, which is read when a process starts. So that half of a test runs in a separate process, which runs only this
//! test. Without the library the test prints that it did not run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use orareaper::oracle::{Driver, Login, Secret, Target};

const ONLY_OCI: &str = "ORAREAPER_TEST_ONLY_OCI";
const NO_CLIENT: &str = "ORAREAPER_TEST_NO_CLIENT";

/// Runs the body of the test that calls it with each driver.
pub(crate) fn on_both_drivers(body: fn(Driver)) {
    if env::var_os(ONLY_OCI).is_some() {
        body(Driver::Oci);
        return;
    }
    body(Driver::Thin);
    let name = this_test();
    let Some(client) = client() else {
        assert!(
            env::var_os("ORAREAPER_REQUIRE_CLIENTS").is_none(),
            "no Oracle client library, which tests/fetch-clients fetches"
        );
        println!("not run: no Oracle client library (driver oci of {name})");
        return;
    };
    let settings = tempfile::tempdir().expect("a folder");
    fs::write(
        settings.path().join("sqlnet.ora"),
        "DIAG_ADR_ENABLED=OFF\nDIAG_SIGHANDLER_ENABLED=FALSE\n",
    )
    .expect("a file");
    let output = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", &name, "--nocapture"])
        .env(ONLY_OCI, "1")
        .env("LD_LIBRARY_PATH", client)
        .env("TNS_ADMIN", settings.path())
        // The client leaves its sqlnet.log where it stands.
        .current_dir(settings.path())
        .output()
        .expect("this test can run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{name} with driver oci:\n{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs the test's body in a process whose loader is not led to a client library.
pub(crate) fn without_client_library(body: fn()) {
    if env::var_os(NO_CLIENT).is_some() {
        body();
        return;
    }
    let name = this_test();
    let output = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", &name, "--nocapture"])
        .env(NO_CLIENT, "1")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("ORACLE_HOME")
        .output()
        .expect("this test can run");
    let told = String::from_utf8_lossy(&output.stdout);
    if let Some(reason) = told.lines().find(|line| line.starts_with("not run: ")) {
        println!("{reason}");
    }
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{name}:\n{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The name of the test that calls it, as the test program takes it: the test's thread has it.
pub(crate) fn this_test() -> String {
    std::thread::current()
        .name()
        .expect("a test's thread has its name")
        .to_owned()
}

/// The folder of Oracle's client library: `$ORAREAPER_TEST_CLIENT`, or what `tests/fetch-clients` fetched.
fn client() -> Option<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder =
        env::var_os("ORAREAPER_TEST_CLIENT").map_or_else(|| target.join("test-clients/instantclient"), PathBuf::from);
    folder.join("libclntsh.so").exists().then_some(folder)
}

/// An account on a loopback port.
pub(crate) fn target(driver: Driver, port: u16, service: &str, user: &str, password: &str) -> Target {
    Target {
        name: Arc::from("test"),
        driver,
        connect: format!("//127.0.0.1:{port}/{service}"),
        login: Login::Password {
            user: user.to_owned(),
            password: Secret::new(password),
        },
        tns_admin: None,
        mark: None,
    }
}
