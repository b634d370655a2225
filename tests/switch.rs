//! The kill switch from a shell: it works when everything else fails, and reports what the daemon confirmed.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use crate::site::{Daemon, Db, FIVE_HOURS, Site, prod, thin, until};

const OFFICE: &str = prod!(
    running,
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
  - {name: later, user: SCOTT, count: 4, program: sqlplus, machines: [pc2], idle: 1h, logged_on: 6h}
"
);

fn office() -> (Db, Site) {
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.policies(
        "policies:\n  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill, limits: {share: 100%}}\n",
    );
    site.configure(&thin(), &db);
    (db, site)
}

/// Exit status and what was said.
fn orareaper(site: &Site, arguments: &[&str]) -> (i32, String) {
    let mut command = site.command(&thin());
    let output = command.args(["--config", "orareaper.yaml"]).args(arguments).output();
    let output = output.expect("it runs");
    assert!(output.stdout.is_empty(), "{output:?}");
    (
        output.status.code().expect("no signal"),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Lets hours pass and the daemon poll: no session is killed.
fn nobody_is_ended(db: &Db, daemon: &Daemon) {
    db.world.advance(FIVE_HOURS);
    daemon.looks("orcl", 3);
    assert_eq!(db.kills().len(), 0);
}

/// A pause's reason has no effect on the terminal that shows it.
#[test]
fn a_reason_is_shown_without_its_control_characters() {
    let (_db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    let (status, said) = orareaper(&site, &["pause", "--reason", "\u{1b}[31mred\u{202e}"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("red") && !said.contains(['\u{1b}', '\u{202e}']),
        "{said:?}"
    );
}

#[test]
fn it_works_with_a_broken_configuration_and_leaves_another_folder_alone() {
    let (db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    fs::create_dir(site.path("elsewhere")).expect("made");
    let broken = "databases: [\nstate: elsewhere\npolicies: nonsense: :\n";
    let good = fs::read_to_string(site.path("orareaper.yaml")).expect("there");
    site.write("orareaper.yaml", broken);
    let (status, said) = orareaper(&site, &["pause", "--reason", "month end"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains(": month end") && said.contains(&daemon.pid().to_string()),
        "{said}"
    );
    assert!(site.path("state/paused").exists() && !site.path("elsewhere/paused").exists());
    nobody_is_ended(&db, &daemon);
    let page = daemon.page("/").1;
    assert!(page.contains("Paused by") && page.contains("month end"), "{page}");
    let record = site.journals("paused", |_| true);
    assert_eq!(record["reason"], "month end", "{record}");
    assert_eq!(daemon.page("/readyz").0, 200, "an operator's pause is no trouble");

    let (status, said) = orareaper(&site, &["resume"]);
    assert!(status == 0 && said.contains("resumed"), "{said}");
    site.write("orareaper.yaml", good);
    until("the kills", || db.kills().len() == 5);
}

#[test]
fn it_works_with_every_database_down_and_is_seen() {
    let (db, site) = office();
    db.world.set_listener(orasim::backend::OnAccept::Silent);
    let path = site.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(crate::site::PATIENCE)).expect("a limit");
    let hears = |what: &str| {
        until(what, || {
            let mut bytes = [0; 4096];
            let length = manager.recv(&mut bytes).expect("a message");
            String::from_utf8_lossy(&bytes[..length]).contains(what)
        });
    };
    let daemon = site.run_with(&thin(), |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    hears("READY=1");
    let (status, said) = orareaper(&site, &["pause", "--reason", "the listener burns"]);
    assert_eq!(status, 0, "{said}");
    hears("the listener burns");
    daemon.metric_becomes("orareaper_paused", 1.0);
    orareaper(&site, &["resume"]);
    daemon.metric_becomes("orareaper_paused", 0.0);
    hears("STATUS=policies");
}

#[test]
fn without_a_daemon_the_file_is_made_and_a_daemon_obeys_it() {
    let (db, site) = office();
    let (status, said) = orareaper(&site, &["pause"]);
    assert!(status == 2 && said.contains("--state"), "{said}");
    fs::create_dir(site.path("state")).expect("made");
    let (status, said) = orareaper(&site, &["pause", "--reason", "before the first start"]);
    assert!(status == 0 && said.contains("no daemon runs"), "{said}");
    let daemon = site.run(&thin());
    nobody_is_ended(&db, &daemon);
    site.journals("paused", |record| record["reason"] == "before the first start");
    let (status, said) = orareaper(&site, &["resume"]);
    assert!(status == 0 && said.contains(&daemon.pid().to_string()), "{said}");
    until("the kills", || db.kills().len() == 5);
}

#[test]
fn what_no_daemon_confirms_is_not_said() {
    let (db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    fs::remove_dir_all(site.path("runtime")).expect("removed");
    let (status, said) = orareaper(&site, &["pause"]);
    assert!(status == 2 && said.contains("not confirmed"), "{said}");
    assert!(said.contains(&daemon.pid().to_string()), "{said}");
    nobody_is_ended(&db, &daemon);
    let (status, said) = orareaper(&site, &["resume", "--state", "state"]);
    assert!(status == 0 && said.contains("not confirmed that it resumes"), "{said}");
}

#[test]
fn a_link_is_neither_followed_nor_written_through() {
    let (db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    let before = fs::metadata(site.path("state/journal.jsonl")).expect("there").len();
    std::os::unix::fs::symlink("journal.jsonl", site.path("state/paused")).expect("linked");
    nobody_is_ended(&db, &daemon);
    let (status, said) = orareaper(&site, &["pause", "--reason", "properly"]);
    assert_eq!(status, 0, "{said}");
    let paused = fs::symlink_metadata(site.path("state/paused")).expect("there");
    assert!(paused.is_file(), "the link was replaced");
    let after = fs::metadata(site.path("state/journal.jsonl")).expect("there").len();
    assert!(after >= before, "the journal is whole");
    assert!(!site.journal().is_empty());
}

#[test]
fn a_state_folder_that_is_moved_away_stops_everything_and_turns_ready_red() {
    let (db, site) = office();
    let mut daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    fs::rename(site.path("state"), site.path("away")).expect("moved");
    until("it to be seen", || {
        let (status, why) = daemon.page("/readyz");
        status == 503 && why.contains("state")
    });
    nobody_is_ended(&db, &daemon);
    // Nor does a second one start beside it, on a new folder of the same name.
    let mut second = site.spawn(&thin(), |_| {});
    assert_eq!(second.ends().code(), Some(2));
    until("its last words", || {
        second.log_text().contains("in use by another orareaper")
    });
    assert_eq!(db.kills().len(), 0);
    assert!(!daemon.has_ended());

    let made = site.path("state");
    if made.exists() {
        fs::remove_dir_all(made).expect("removed");
    }
    fs::rename(site.path("away"), site.path("state")).expect("moved back");
    until("the kills", || db.kills().len() == 5);
    until("it to be ready", || daemon.page("/readyz").0 == 200);
}

#[test]
fn a_journal_that_is_deleted_stops_everything() {
    let (db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    fs::remove_file(site.path("state/journal.jsonl")).expect("removed");
    nobody_is_ended(&db, &daemon);
    until("it to be told", || daemon.page("/readyz").0 == 503);
    daemon.says("the journal cannot be written, so no session is acted on");
    assert!(!Path::new(&site.path("state/journal.jsonl")).exists());
}

#[test]
fn what_a_daemon_that_was_killed_leaves_is_taken_away_by_the_next_one() {
    let (_db, site) = office();
    let runtime = || -> std::collections::BTreeSet<String> {
        let entries = fs::read_dir(site.path("runtime")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let config = fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    let begin = |state: &str, sockets: usize| {
        site.write(
            "orareaper.yaml",
            config.replace("state: state", &format!("state: {state}")),
        );
        let daemon = site.run(&thin());
        // It comes after the pages, and what another left has gone before.
        until("its socket", || {
            runtime().iter().filter(|name| name.ends_with(".sock")).count() == sockets
        });
        daemon
    };
    let mut killed = begin("one", 1);
    killed.signal("KILL");
    killed.ends();
    let left = runtime();
    assert_eq!(left.len(), 2, "a socket and a lock: {left:?}");
    // What is there already in another's place is left alone, and so is what a running daemon has.
    site.write("runtime/notes.txt", "mine");
    let running = begin("two", 1);
    let now = runtime();
    assert!(now.is_disjoint(&left) && now.len() == 3, "{left:?} {now:?}");
    let _third = begin("three", 2);
    assert!(
        runtime().is_superset(&now) && runtime().len() == 5,
        "{now:?} {:?}",
        runtime()
    );
    assert_eq!(running.page("/healthz").0, 200);
    // The one that was killed starts anew as if nothing had been.
    let _again = begin("one", 3);
    assert!(runtime().is_superset(&left));
    // And a second one for the same folder is refused as ever.
    let mut second = site.spawn(&thin(), |_| {});
    assert_eq!(second.ends().code(), Some(2));
    until("its last words", || {
        second.log_text().contains("in use by another orareaper (process")
    });
}

/// A pause does not fail for its reason, and its reason can be shown.
#[test]
fn a_long_reason_is_cut_and_the_pause_holds() {
    let (db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    let (status, said) = orareaper(&site, &["pause", "--reason", &format!("\u{1b}{}", "ä".repeat(2_000))]);
    assert!(
        status == 0 && said.contains("the reason is cut to 1000 bytes"),
        "{said}"
    );
    let record = site.journals("paused", |_| true);
    let reason = record["reason"].as_str().expect("a text");
    assert!(reason.starts_with(r"\x1bä") && reason.len() == 1_000, "{reason}");
    nobody_is_ended(&db, &daemon);
}

/// Several daemons on one host: each is meant by its own configuration, running, stopped or hanging, and never by another's.
/// Nobody knows whether a daemon that does not answer is paused.
#[test]
fn resume_does_not_say_of_a_hanging_daemon_that_none_runs() {
    let (_db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    daemon.signal("STOP");
    let output = site
        .command(&thin())
        .args(["--config", "orareaper.yaml", "resume"])
        .output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let owner = format!("process {}, which uses the folder, does not answer", daemon.pid());
    assert!(
        output.status.code() == Some(2) && said.contains("not confirmed") && said.contains(&owner),
        "{said}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
    daemon.signal("CONT");
}

#[test]
fn a_command_never_reaches_the_daemon_of_another_configuration() {
    let ((db, site), (other_db, other)) = (office(), office());
    let in_there = |command: &mut Command| {
        command.env("RUNTIME_DIRECTORY", site.path("runtime"));
    };
    let there = |arguments: &[&str]| {
        let mut command = other.command(&thin());
        in_there(&mut command);
        let output = command.args(["--config", "orareaper.yaml"]).args(arguments).output();
        let output = output.expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let is_paused = |site: &Site| site.path("state/paused").exists();
    fs::create_dir_all(other.path("state")).expect("made");
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    let running = format!("the daemon (process {}", daemon.pid());

    // The other one does not run.
    assert_eq!(orareaper(&site, &["pause", "--reason", "an incident"]).0, 0);
    let (status, said) = there(&["resume"]);
    assert!(
        status == Some(2)
            && said.contains("nothing to resume")
            && said.contains(&format!("not resumed: {running}"))
            && said.contains("is still paused")
            && said.contains("an incident")
            && is_paused(&site),
        "{said}"
    );
    assert_eq!(orareaper(&site, &["resume"]).0, 0);
    let (status, said) = there(&["resume"]);
    assert!(status == Some(0) && said.contains("nothing to resume"), "{said}");
    let (status, said) = there(&["pause"]);
    assert!(
        status == Some(2)
            && said.contains(&format!("not paused: {running}"))
            && said.contains("was not asked and acts on"),
        "{said}"
    );
    assert!(is_paused(&other) && !is_paused(&site));
    assert_eq!(there(&["resume"]).0, Some(0));
    let twin = db
        .world
        .sessions()
        .into_iter()
        .find(|session| session.username.as_deref() == Some("SCOTT"));
    let twin = twin.expect("one of five");
    let name = format!("{},{},@1", twin.sid, twin.serial);
    let (status, said) = there(&["kill", &name, "--yes", "--reason", "a test"]);
    assert_eq!(
        (status, db.kills().len(), other_db.kills().len()),
        (Some(0), 0, 1),
        "{said}"
    );

    // It hangs.
    let hanging = other.run_with(&thin(), in_there);
    hanging.looks("orcl", 1);
    hanging.signal("STOP");
    let (status, said) = there(&["pause"]);
    assert!(status == Some(2) && said.contains("not confirmed"), "{said}");
    assert!(is_paused(&other) && !is_paused(&site));
    assert_eq!(there(&["resume"]).0, Some(0));
    assert!(!is_paused(&other));
    // Where nothing says which is meant, all are, and the one that does not answer is named.
    other.write("orareaper.yaml", "");
    fs::remove_file(other.path("orareaper.yaml")).expect("it was there");
    let (status, said) = there(&["pause"]);
    let silent = "not confirmed: the daemon at";
    assert!(
        status == Some(2) && said.contains(&running) && said.contains(silent) && is_paused(&site),
        "{said}"
    );
    hanging.signal("CONT");
}

#[test]
fn a_second_pause_keeps_the_reason_of_the_first() {
    let (_db, site) = office();
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    assert_eq!(orareaper(&site, &["pause", "--reason", "call Maria"]).0, 0);
    let (status, said) = orareaper(&site, &["pause", "--reason", "a restore"]);
    assert!(
        status == 0 && said.contains("it was paused already") && said.contains(": call Maria; "),
        "{said}"
    );
    until("the page", || {
        let page = daemon.page("/").1;
        page.contains("call Maria; ") && page.contains(": a restore")
    });
    // Without a daemon too.
    drop(daemon);
    let (status, said) = orareaper(&site, &["pause"]);
    let kept = fs::read_to_string(site.path("state/paused")).expect("it is there");
    assert!(status == 0 && kept.contains("call Maria; "), "{said} {kept}");
}
