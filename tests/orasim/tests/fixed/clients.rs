//! Where the clients are that are not Rust: what `tests/fetch-clients` fetched, or what the environment names.

use std::env;
use std::path::{Path, PathBuf};

fn fetched(place: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("test-clients").join(place)
}

/// Where clients are required, one that is missing fails the test instead of letting it pass unrun.
fn required<T>(client: Option<T>, name: &str) -> Option<T> {
    let needed = env::var_os("ORAREAPER_REQUIRE_CLIENTS").is_some();
    assert!(
        client.is_some() || !needed,
        "{name} is required here and missing: run tests/fetch-clients"
    );
    client
}

/// Says that a test did not run and why. Where the clients are required, it fails instead.
pub(crate) fn not_run(why: &str) {
    assert!(env::var_os("ORAREAPER_REQUIRE_CLIENTS").is_none(), "not run: {why}");
    println!("not run: {why}");
}

/// The folder of Oracle's client library, if there is one.
pub(crate) fn client_library() -> Option<PathBuf> {
    let folder = env::var_os("ORAREAPER_TEST_CLIENT").map_or_else(|| fetched("instantclient"), PathBuf::from);
    required(
        folder.join("libclntsh.so").exists().then_some(folder),
        "Oracle's client library",
    )
}

/// A Python with python-oracledb, if there is one.
pub(crate) fn python() -> Option<PathBuf> {
    let python = env::var_os("ORAREAPER_TEST_PYTHON").map_or_else(|| fetched("venv/bin/python"), PathBuf::from);
    required(python.exists().then_some(python), "python-oracledb")
}

/// Node.js and the folder of node-oracledb, if both are there.
pub(crate) fn node() -> Option<(PathBuf, PathBuf)> {
    let node = env::var_os("ORAREAPER_TEST_NODE").map_or_else(|| fetched("node/bin/node"), PathBuf::from);
    let driver = fetched("node/node_modules/oracledb");
    let there = node.exists() && driver.exists();
    required(there.then_some((node, driver)), "node-oracledb")
}

/// A Java that runs source files, and ojdbc8, which comes with the client library, if both are there.
pub(crate) fn java() -> Option<(PathBuf, PathBuf)> {
    let java = env::var_os("ORAREAPER_TEST_JAVA").map_or_else(|| fetched("bin/java"), PathBuf::from);
    let driver = client_library()?.join("ojdbc8.jar");
    let there = java.exists() && driver.exists();
    required(there.then_some((java, driver)), "ojdbc8, or a JDK to run it,")
}

/// The folder of network settings that keep the client library from writing diagnostics and from catching signals.
pub(crate) fn network_settings() -> PathBuf {
    fetched("network/admin")
}
