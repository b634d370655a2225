//! `history` on a folder of a running daemon: by another user who may read it, and the chain of the journal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use crate::site::{Daemon, Db, Site, not_run, prod, thin, told, until, wait_for};

const OFFICE: &str = prod!(
    running,
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 5h, logged_on: 6h}
"
);

const KILL: &str = "policies:\n  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill, limits: {share: 100%}}\n";

/// A daemon that has killed one session and seen it gone.
fn office() -> (Db, Site, Daemon) {
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.policies(KILL);
    site.configure(&thin(), &db);
    let daemon = site.run(&thin());
    site.journals("verification", |record| record["proof"] == "gone");
    (db, site, daemon)
}

/// The command's status and result.
fn history(site: &Site, arguments: &[&str]) -> (i32, String) {
    let mut command = site.command(&thin());
    told(command.args(["--config", "orareaper.yaml", "history"]).args(arguments))
}

#[test]
fn an_edit_of_the_journal_is_named_with_file_and_line() {
    let (_db, site, mut daemon) = office();
    let (status, said) = history(&site, &["--verify"]);
    assert!(
        status == 0 && said.contains("it is the first record of the journal"),
        "{said}"
    );
    let head = wait_for("the last record's hash on the page", || {
        let head = site.journal().pop()?["hash"].as_str()?.to_owned();
        daemon.page("/").1.contains(&head).then_some(head)
    });
    daemon.signal("TERM");
    assert!(daemon.ends().success());
    let closed = daemon.says("the journal is closed")["head"].clone();
    assert_eq!(site.journal().pop().expect("a record")["hash"], closed);

    let path = site.path("state/journal.jsonl");
    let whole = fs::read_to_string(&path).expect("reads");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let at = lines
        .iter()
        .position(|line| line.contains("\"intent\""))
        .expect("an intent");
    let edited = whole.replacen("SCOTT", "SMITH", 1);
    fs::write(&path, edited).expect("written");
    let (status, said) = history(&site, &["--verify"]);
    let expected = format!("journal.jsonl line {}: this record was changed", at + 1);
    assert!(status == 1 && said.contains(&expected), "{said}");
    let (status, said) = history(&site, &["--verify", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (status, &found["verdict"], &found["fault"]["line"]),
        (1, &"broken".into(), &(at + 1).into()),
        "{said}"
    );

    // Cut off at the end: only a hash that was kept shows it.
    fs::write(&path, lines[..at].concat()).expect("written");
    assert_eq!(history(&site, &["--verify"]).0, 0);
    let (status, said) = history(&site, &["--verify", "--head", &head]);
    assert!(
        status == 1 && said.contains("was cut before it or written anew"),
        "{said}"
    );
    fs::write(&path, &whole).expect("put back");
    let (status, said) = history(&site, &["--verify", "--head", &head]);
    assert!(
        status == 0 && said.contains("the record that was asked for is at"),
        "{said}"
    );
    assert_eq!(history(&site, &["--verify", "--head", &head.to_uppercase()]).0, 0);
    for wrong in [
        &["--verify", "--format", "csv"][..],
        &["--verify", "--head", "ab"],
        &["--head", &head],
    ] {
        assert_eq!(history(&site, wrong).0, 2, "{wrong:?}");
    }
    fs::remove_file(&path).expect("removed");
    assert_eq!(history(&site, &["--verify"]).0, 2, "there is none");
}

#[test]
fn a_member_of_the_group_reads_and_others_do_not() {
    const MEMBER: u32 = 61_234;
    const GROUP: u32 = 61_235;
    let (_db, site, daemon) = office();
    let state = site.path("state");
    let group = |path: &std::path::Path| std::os::unix::fs::chown(path, None, Some(GROUP));
    if group(&state).is_err() {
        return not_run("another user needs root");
    }
    // As systemd makes the folder for the unit's group, and a daemon of that group its files.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o750)).expect("set");
    for entry in fs::read_dir(&state).expect("listed") {
        group(&entry.expect("an entry").path()).expect("given to the group");
    }
    fs::set_permissions(site.path("."), fs::Permissions::from_mode(0o755)).expect("set");
    let as_member = |gid: u32, arguments: &[&str]| {
        let mut command = site.command(&thin());
        command.args(["--config", "orareaper.yaml", "history"]).args(arguments);
        told(command.uid(MEMBER).gid(gid))
    };
    let (status, said) = as_member(GROUP, &[]);
    assert!(status == 0 && said.contains("SCOTT"), "{said}");
    let (status, said) = as_member(GROUP, &["--verify"]);
    assert!(status == 0 && said.contains("whole: "), "{said}");
    let (status, said) = as_member(MEMBER, &[]);
    assert_eq!(status, 2, "{said}");
    // They are readers: the lock and the switch are not theirs.
    assert_eq!(
        fs::metadata(state.join("lock")).expect("there").permissions().mode() & 0o777,
        0o600
    );
    until("the daemon goes on", || daemon.page("/healthz").0 == 200);
}
