//! What systemd's journal gets: a priority on each line, and no line that it would store as binary data.

use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use super::*;

/// Standard error as systemd connects it: JOURNAL_STREAM names its device and inode.
fn told_to_journal(site: &Site, arguments: &[&str], matches: bool) -> String {
    let path = site.path("stderr");
    let file = File::create(&path).expect("a file");
    let metadata = file.metadata().expect("it is there");
    let inode = metadata.ino() + u64::from(!matches);
    let status = site
        .command(&thin())
        .args(arguments)
        .env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()))
        .stdout(Stdio::null())
        .stderr(file)
        .status()
        .expect("it runs");
    assert!(status.code().is_some_and(|code| code > 0), "{status}");
    fs::read_to_string(path).expect("text")
}

#[test]
fn each_line_to_the_journal_has_its_priority_and_no_other_line_has_one() {
    let site = desk();
    site.policies("policies: [{name: idle, when: statsu = INACTIVE, action: kill}]\n");
    let told = told_to_journal(&site, &["check", "policies"], true);
    assert!(told.lines().count() > 3, "{told}");
    let unknown = told
        .lines()
        .find(|line| line.contains("statsu"))
        .expect("it names the word");
    assert!(unknown.starts_with("<3>"), "{told}");
    for line in told.lines() {
        assert!(line.starts_with("<3>") || line.starts_with("<6>"), "{told}");
    }
    // The variable is inherited by whatever a service starts; what counts is where standard error leads now.
    let told = told_to_journal(&site, &["check", "policies"], false);
    assert!(told.contains("statsu") && !told.contains("<3>"), "{told}");
}

#[test]
fn a_database_that_is_down_is_an_error_in_the_journal() {
    let site = desk();
    site.configure_with(&[entry("gone", &thin(), "//127.0.0.1:1/X", false)], "");
    let path = site.path("stderr");
    let file = File::create(&path).expect("a file");
    let metadata = file.metadata().expect("it is there");
    let mut daemon = site
        .command(&thin())
        .args(["--config", "orareaper.yaml", "run"])
        .env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino()))
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .expect("it runs");
    let found = crate::site::wait_for("the outage in the journal", || {
        let told = fs::read_to_string(&path).expect("text");
        told.lines()
            .find(|line| line.contains("database is down"))
            .map(str::to_owned)
    });
    daemon.kill().expect("it is there");
    daemon.wait().expect("it ends");
    assert!(found.starts_with("<3>{") && found.contains("127.0.0.1:1"), "{found}");
}
