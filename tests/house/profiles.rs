//! The fuzzer is a workspace of its own, with a profile of its own: where it is not the product's, all dependencies are built twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What the simulated database needs and the fuzzer has not.
const OF_THE_SIMULATION: [&str; 3] = ["libsqlite3-sys", "rusqlite", "sqlparser"];

/// How a manifest has each dependency compiled without `--release`.
fn dev_profiles(manifest: &str) -> BTreeMap<&str, &str> {
    let sections = manifest.split("\n[").filter_map(|section| {
        let (name, settings) = section.split_once("]\n")?;
        Some((name.strip_prefix("profile.dev.package.")?, settings))
    });
    sections
        .map(|(name, text)| {
            let setting = text.lines().find(|line| line.starts_with("opt-level"));
            (name, setting.expect("a profile without an opt-level"))
        })
        .collect()
}

fn shared(product: &str) -> BTreeMap<&str, &str> {
    let mut profiles = dev_profiles(product);
    profiles.retain(|name, _| !OF_THE_SIMULATION.contains(name));
    profiles
}

#[test]
fn the_fuzzer_is_built_as_the_product_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("read {name}: {error}"));
    let (product, fuzzer) = (read("Cargo.toml"), read("fuzz/Cargo.toml"));
    assert!(
        dev_profiles(&product).contains_key("oracledb"),
        "no profiles were found"
    );
    assert_eq!(dev_profiles(&fuzzer), shared(&product));
}
