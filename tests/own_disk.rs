//! Trouble with the daemon's own disk: a journal that another program cuts or replaces, reports that cannot be written.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

use crate::site::{Daemon, Db, FIVE_HOURS, PATIENCE, Site, entry, prod, thin, until};

const OFFICE: &str = prod!(
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
"
);

fn office() -> (Db, Site) {
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.policies("policies: [{name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}]");
    site.configure(&thin(), &db);
    (db, site)
}

/// How often it was said.
fn said(daemon: &Daemon, message: &str) -> usize {
    let log = daemon.log();
    log.iter().filter(|line| line["message"] == message).count()
}

/// What another program does to the journal, and how that is undone.
type Spoiling = (&'static str, fn(&Path), fn(&Path));

/// The folder's journal, and the same under another name.
fn kept(journal: &Path) -> std::path::PathBuf {
    journal.with_extension("kept")
}

const SPOILING: [Spoiling; 3] = [
    (
        // logrotate's copytruncate, or a shell's `: >`.
        "was truncated by another program",
        |journal| {
            fs::copy(journal, kept(journal)).expect("copied");
            fs::File::create(journal).expect("cut");
        },
        |journal| fs::write(journal, fs::read(kept(journal)).expect("kept")).expect("put back"),
    ),
    (
        // `sed -i`, or an editor: the same text in another file.
        "is another file than the one that is open",
        |journal| {
            fs::rename(journal, kept(journal)).expect("moved");
            fs::copy(kept(journal), journal).expect("copied");
        },
        |journal| fs::rename(kept(journal), journal).expect("put back"),
    ),
    (
        "cannot be looked at any more",
        |journal| fs::rename(journal, kept(journal)).expect("moved"),
        |journal| fs::rename(kept(journal), journal).expect("put back"),
    ),
];

#[test]
fn no_session_is_ended_and_the_daemon_is_not_ready_while_the_journal_fails() {
    for (what, spoil, put_back) in SPOILING {
        let (db, site) = office();
        let daemon = site.run(&thin());
        until("it to be ready", || daemon.page("/readyz").0 == 200);
        site.journals("database_up", |_| true);
        let journal = site.path("state/journal.jsonl");
        spoil(&journal);
        db.world.advance(FIVE_HOURS);
        until("it to be told", || daemon.page("/readyz").0 == 503);
        // Several intents are refused, each at its poll; what is wrong is said once.
        daemon.looks("orcl", 3);
        let (status, why) = daemon.page("/readyz");
        assert!(
            status == 503 && why.contains(what) && why.contains("no session is acted on"),
            "{why}"
        );
        assert!(daemon.page("/").1.contains(what), "on the page");
        assert_eq!(
            said(&daemon, "the journal cannot be written, so no session is acted on"),
            1,
            "{what}"
        );
        assert_eq!(
            said(&daemon, "no actions on this database for now"),
            1,
            "not in each cycle: {what}"
        );
        assert!(daemon.metric("orareaper_journal_errors_total") > Some(0.0));
        assert_eq!(db.kills().len(), 0);
        assert_eq!(daemon.page("/healthz").0, 200, "a restart would forget what was done");

        put_back(&journal);
        until("the kill", || db.kills().len() == 1);
        until("it to be ready", || daemon.page("/readyz").0 == 200);
        let again = daemon.says("the journal can be written again");
        let refused = again["refused"].as_u64().expect("a count");
        assert!(refused >= 2 && again["lost"] == 0, "{again}");
        assert!(
            again["error"].as_str().is_some_and(|error| error.contains(what)),
            "{again}"
        );
        let gap = site.journals("journal_gap", |_| true);
        assert_eq!(gap["refused"], refused, "{gap}");
        assert_eq!(said(&daemon, "the journal can be written again"), 1);
        assert_eq!(site.journals("outcome", |_| true)["outcome"], "done");
        daemon.says("actions resumed");
        assert_eq!(said(&daemon, "no actions on this database for now"), 1, "{what}");
    }
}

#[test]
fn resume_says_what_still_keeps_the_daemon_from_acting() {
    let (_db, site) = office();
    let daemon = site.run(&thin());
    until("it to be ready", || daemon.page("/readyz").0 == 200);
    let tell = |arguments: &[&str]| {
        let mut command = site.command(&thin());
        let told = command.args(["--config", "orareaper.yaml"]).args(arguments).output();
        let told = told.expect("it runs");
        assert_eq!(told.status.code(), Some(0), "{told:?}");
        String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned()
    };
    let (_, spoil, put_back) = SPOILING[0];
    let journal = site.path("state/journal.jsonl");
    spoil(&journal);
    until("it to be told", || daemon.page("/readyz").0 == 503);
    tell(&["pause", "--reason", "a look"]);
    let hindered = "the journal cannot be written, so no session is acted on: ";
    let resumed = tell(&["resume"]);
    assert!(
        resumed.contains("is no longer paused, but something else keeps it from acting") && resumed.contains(hindered),
        "{resumed}"
    );
    let again = tell(&["resume"]);
    assert!(again.contains("was not paused") && again.contains(hindered), "{again}");
    put_back(&journal);
    until("it to be ready", || daemon.page("/readyz").0 == 200);
    tell(&["pause", "--reason", "a look"]);
    let resumed = tell(&["resume"]);
    assert!(resumed.contains("acts again from the next cycle on"), "{resumed}");
}

/// Nobody has to act for it to be found out, nor for it to be well again.
#[test]
fn a_journal_that_is_cut_is_noticed_while_nothing_happens() {
    let (_db, site) = office();
    let daemon = site.run(&thin());
    until("it to be ready", || daemon.page("/readyz").0 == 200);
    site.journals("database_up", |_| true);
    let journal = site.path("state/journal.jsonl");
    let (_, spoil, put_back) = SPOILING[0];
    spoil(&journal);
    until("it to be told", || daemon.page("/readyz").0 == 503);
    put_back(&journal);
    until("it to be ready", || daemon.page("/readyz").0 == 200);
}

#[test]
fn a_journal_that_was_cut_is_begun_anew_by_a_restart() {
    let (db, site) = office();
    let mut daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    site.journals("database_up", |_| true);
    let (_, spoil, _) = SPOILING[0];
    spoil(&site.path("state/journal.jsonl"));
    daemon.signal("TERM");
    let ended = daemon.ends();
    assert_eq!(ended.code(), Some(2), "what it wrote last is in no journal");
    let line = daemon.says("the journal is not whole");
    assert!(
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains("was truncated")),
        "{line}"
    );

    let daemon = site.run(&thin());
    db.world.advance(FIVE_HOURS);
    until("the kill", || db.kills().len() == 1);
    assert_eq!(daemon.page("/readyz").0, 200);
    assert!(site.journal().iter().all(|record| record["v"] == 1), "not filled up");
}

/// The reports are written by a thread of their own, so whatever holds that up holds nothing else up.
#[test]
fn a_report_that_cannot_be_written_delays_neither_polls_nor_kills_nor_the_end() {
    let (slow, good) = (Db::parse(OFFICE), Db::parse(OFFICE));
    let site = Site::new();
    site.policies("policies: [{name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}]");
    let both = [("slow", &slow), ("good", &good)];
    let entries = both.map(|(name, db)| entry(name, &thin(), &db.connect_string(), true));
    site.configure_with(&entries, "");
    // A write to a pipe waits for a reader.
    let pipe = site.write("state/reports/.slow.html.new", "");
    fs::remove_file(&pipe).expect("removed");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("coreutils").success());
    let mut daemon = site.run(&thin());
    daemon.looks("slow", 1);
    slow.world.advance(FIVE_HOURS);
    good.world.advance(FIVE_HOURS);
    until("the kills", || slow.kills().len() == 1 && good.kills().len() == 1);
    daemon.looks("slow", 3);
    daemon.looks("good", 3);
    assert_eq!((daemon.page("/healthz").0, daemon.page("/readyz").0), (200, 200));
    until("the other database's report", || {
        site.path("state/reports/good.html").exists()
    });
    assert!(!site.path("state/reports/slow.html").exists());
    // The pipe blocked the report: with a reader, it is written.
    let (told, read) = channel();
    std::thread::spawn(move || {
        let mut report = [0; 15];
        let mut reader = fs::File::open(&pipe).expect("a pipe");
        reader.read_exact(&mut report).expect("a report");
        told.send(report).expect("somebody waits");
    });
    let report = read.recv_timeout(PATIENCE).expect("somebody writes");
    assert!(report.eq_ignore_ascii_case(b"<!doctype html>"), "{report:?}");
    daemon.signal("TERM");
    assert_eq!(daemon.ends().code(), Some(0));
}

/// The hour's budget is used up. Intents are dated back in the stopped daemon's journal, or made unreadable: that frees nothing.
#[test]
fn a_journal_that_was_changed_frees_no_budget() {
    for (from, to) in [(r#""taken_at":"20"#, r#""taken_at":"19"#), (r#"{"v":1,"#, r#"{"v":2,"#)] {
        let db = Db::parse(&OFFICE.replace("name: forgotten,", "name: forgotten, count: 3,"));
        let site = Site::new();
        site.policies("policies: [{name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}]");
        let entry = entry("orcl", &thin(), &db.connect_string(), true);
        site.configure_with(&[entry], "limits: {per_hour: 1}\n");
        let mut daemon = site.run(&thin());
        daemon.looks("orcl", 1);
        db.advance_between_snapshots(FIVE_HOURS);
        until("the kill", || db.kills().len() == 1);
        daemon.looks("orcl", 2);
        daemon.signal("TERM");
        assert_eq!(daemon.ends().code(), Some(0));
        let journal = site.path("state/journal.jsonl");
        let text = fs::read_to_string(&journal).expect("reads");
        let changed = text.replace(from, to);
        assert_ne!(text, changed);
        fs::write(&journal, changed).expect("writes");
        let daemon = site.run(&thin());
        let told = daemon.says("actions may be missing in the journal");
        let note = told["note"].as_str().unwrap_or_default();
        assert!(
            told["level"] == "ERROR" && note.contains("orareaper history --verify"),
            "{told}"
        );
        daemon.looks("orcl", 3);
        assert_eq!(db.kills().len(), 1, "{to}: the hour is not over");
        let unknown = "orareaper_budgets_unknown{database=\"orcl\"}";
        until("the metric", || daemon.metric(unknown) == Some(1.0));
        assert!(
            daemon.page("/").1.contains("the journal is damaged or was changed"),
            "{to}"
        );
        let mut command = site.command(&thin());
        let examined = command.args(["--config", "orareaper.yaml", "doctor"]).output();
        let text = String::from_utf8_lossy(&examined.expect("it runs").stdout).into_owned();
        assert!(text.contains("the journal is damaged or was changed"), "{text}");
    }
}
