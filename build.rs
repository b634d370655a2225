//! Tells the program what it is built from, for `--version`: the commit and the features.
//!
//! The commit is the first that there is of: the environment's ORAREAPER_COMMIT, for whoever builds from an archive; what `cargo package`
//! writes into a crate; what git says, in release builds alone, because a development build would otherwise compile everything anew
//! after each commit. Nothing of the host, of the time or of the path gets in, so the same source gives the same binary.

use std::env;
use std::path::Path;
use std::process::Command;

/// As many digits of a commit as tell it from all others here.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ORAREAPER_COMMIT");
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&root);
    let commit = env::var("ORAREAPER_COMMIT")
        .ok()
        .as_deref()
        .and_then(word)
        .or_else(|| of_package(&std::fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?))
        .or_else(|| of_git(root))
        .unwrap_or_else(|| "unknown".to_owned());
    println!(
        "cargo::rustc-env=ORAREAPER_BUILD=commit {commit}; features: {}",
        features()
    );
}

/// A text as it may stand in the line that `--version` prints.
pub(crate) fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty()
        && text.len() <= 60
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    fits.then(|| text.to_owned())
}

/// The commit in what `cargo package` writes down: `{"git": {"sha1": "...", "dirty": true}, ...}`.
pub(crate) fn of_package(info: &str) -> Option<String> {
    let (_, rest) = info.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?.get(..DIGITS)?;
    let dirty = if rest.contains("\"dirty\": true") { "-dirty" } else { "" };
    word(&format!("{commit}{dirty}"))
}

/// The commit that is checked out; `-dirty` where a file of it was changed.
fn of_git(root: &Path) -> Option<String> {
    if env::var("PROFILE").as_deref() != Ok("release") {
        return None;
    }
    // An archive that was unpacked inside of another project's tree has nothing to do with that project's commits.
    git(root, &["ls-files", "--error-unmatch", "build.rs"])?;
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(root, &["rev-parse", "--git-path", file])?;
        if root.join(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for part in ["Cargo.toml", "Cargo.lock", "src", "policies", "tests/orasim"] {
        println!("cargo::rerun-if-changed={part}");
    }
    let digits = format!("--abbrev={DIGITS}");
    word(&git(
        root,
        &["describe", "--always", "--dirty", "--exclude=*", &digits],
    )?)
}

/// What git prints, if it is there and succeeds.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The features that the program is built with, in the order of the alphabet.
fn features() -> String {
    let on = env::vars_os().filter_map(|(name, _)| {
        let name = name.into_string().ok()?;
        let feature = name
            .strip_prefix("CARGO_FEATURE_")?
            .to_ascii_lowercase()
            .replace('_', "-");
        (feature != "default").then_some(feature)
    });
    let mut on: Vec<String> = on.collect();
    on.sort();
    if on.is_empty() {
        "none".to_owned()
    } else {
        on.join(", ")
    }
}
