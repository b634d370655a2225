//! A reload puts everything in force, including new, removed and changed databases. A change that needs a restart is refused with
//! the reason, and no output claims that it is in force.

#![allow(clippy::disallowed_methods, reason = "how long a reload takes is measured")]

use crate::site::{Daemon, Db, Driver, FIVE_HOURS, Site, entry, prod, thin, until};

/// The clock is moved by hand; one session may be taken when it has.
const OFFICE: &str = prod!(
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
"
);

const ENFORCE: &str = "
policies:
  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}
";

fn site() -> Site {
    let site = Site::new();
    site.policies(ENFORCE);
    site
}

/// These entries in force, as the log says.
fn configure(site: &Site, driver: &Driver, entries: &[(&str, &Db, bool)]) {
    let entries: Vec<String> = entries
        .iter()
        .map(|(name, db, armed)| entry(name, driver, &db.connect_string(), *armed))
        .collect();
    site.configure_with(&entries, "");
}

fn reload(daemon: &Daemon) {
    let loads = || {
        let lines = daemon.log().into_iter();
        lines
            .filter(|line| line["message"] == "policies loaded" || line["message"].as_str().is_some_and(is_refusal))
            .count()
    };
    let before = loads();
    daemon.signal("HUP");
    until("the reload to be told", || loads() > before);
}

fn is_refusal(message: &str) -> bool {
    message.starts_with("reload failed")
}

#[test]
fn an_entry_that_leads_elsewhere_never_arms_the_place_that_it_led_to() {
    let driver = thin();
    let (one, other) = (Db::parse(OFFICE), Db::parse(OFFICE));
    let site = site();
    configure(&site, &driver, &[("shop", &one, false)]);
    let daemon = site.run(&driver);
    daemon.looks("shop", 1);
    one.world.advance(FIVE_HOURS);
    other.world.advance(FIVE_HOURS);
    daemon.looks("shop", 2);
    assert!(one.kills().is_empty(), "it is not armed");

    configure(&site, &driver, &[("shop", &other, true)]);
    reload(&daemon);
    until("the kill where the entry leads now", || other.kills().len() == 1);
    daemon.looks("shop", 2);
    assert!(one.kills().is_empty(), "the entry leads there no longer");
    assert!(one.seats_of("REAPER").is_empty(), "nobody watches it any more");
}

#[test]
fn two_entries_that_exchange_their_names_are_two_new_databases() {
    let driver = thin();
    let (one, other) = (Db::parse(OFFICE), Db::parse(OFFICE));
    let site = site();
    configure(&site, &driver, &[("shop", &one, false), ("crm", &other, true)]);
    let daemon = site.run(&driver);
    daemon.looks("shop", 1);
    daemon.looks("crm", 1);
    configure(&site, &driver, &[("crm", &one, false), ("shop", &other, true)]);
    reload(&daemon);
    daemon.looks("crm", 1);
    one.world.advance(FIVE_HOURS);
    other.world.advance(FIVE_HOURS);
    until("the armed one's kill", || other.kills().len() == 1);
    let record = site.journals("intent", |record| record["mode"] == "enforce");
    assert_eq!(record["database"], "shop");
    daemon.looks("crm", 2);
    assert!(one.kills().is_empty(), "crm is not armed, and that is where it leads");
}

#[test]
fn databases_come_and_go_with_a_reload() {
    let driver = thin();
    let (one, other) = (Db::parse(OFFICE), Db::parse(OFFICE));
    let site = site();
    configure(&site, &driver, &[("shop", &one, true)]);
    let daemon = site.run(&driver);
    daemon.looks("shop", 1);
    let first = daemon.metric("orareaper_up{database=\"shop\",inst_id=\"1\"}");
    assert_eq!(first, Some(1.0));

    configure(&site, &driver, &[("shop", &one, true), ("crm", &other, true)]);
    reload(&daemon);
    daemon.looks("crm", 1);
    other.world.advance(FIVE_HOURS);
    until("the kill on the new one", || other.kills().len() == 1);

    configure(&site, &driver, &[("crm", &other, false)]);
    reload(&daemon);
    one.world.advance(FIVE_HOURS);
    daemon.looks("crm", 3);
    assert!(one.kills().is_empty(), "shop is configured no longer");
    until("its connections to be closed", || one.seats_of("REAPER").is_empty());
    let metrics = daemon.page("/metrics").1;
    assert!(!metrics.contains("database=\"shop\""), "{metrics}");
    let page = daemon.page("/").1;
    assert!(page.contains("crm") && !page.contains("shop"), "{page}");
    until("it to be ready", || daemon.page("/readyz").0 == 200);

    // A name that was away is a database like any other when it is back.
    configure(&site, &driver, &[("crm", &other, true), ("shop", &one, true)]);
    reload(&daemon);
    until("the kill on the one that is back", || one.kills().len() == 1);
}

#[test]
fn what_cannot_change_while_it_runs_is_refused_and_the_old_set_stays() {
    let driver = thin();
    let (one, other) = (Db::parse(OFFICE), Db::parse(OFFICE));
    let site = site();
    configure(&site, &driver, &[("shop", &one, true)]);
    let daemon = site.run(&driver);
    daemon.looks("shop", 1);
    let entries = [entry("shop", &driver, &other.connect_string(), true)];
    site.configure_with(&entries, "");
    let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    for (from, to) in [("state: state", "state: elsewhere"), ("127.0.0.1:0", "127.0.0.1:9")] {
        let changed = config.replace(from, to);
        assert_ne!(changed, config);
        site.write("orareaper.yaml", changed);
        reload(&daemon);
        let refusal = |line: &serde_json::Value| line["message"].as_str().is_some_and(is_refusal);
        let refused = daemon.log().into_iter().rfind(refusal).expect("just told");
        let error = refused["error"].as_str().unwrap_or_default();
        assert!(error.contains("needs a restart"), "{refused}");
        assert_eq!(daemon.metric("orareaper_reload_success"), Some(0.0));
        assert!(daemon.page("/").1.contains("needs a restart"));
    }
    other.world.advance(FIVE_HOURS);
    one.world.advance(FIVE_HOURS);
    until("the kill where the entry led all the time", || one.kills().len() == 1);
    daemon.looks("shop", 2);
    assert!(other.kills().is_empty());
}

#[test]
fn a_new_database_whose_password_cannot_be_read_changes_nothing() {
    let driver = thin();
    let (one, other) = (Db::parse(OFFICE), Db::parse(OFFICE));
    let site = site();
    configure(&site, &driver, &[("shop", &one, true)]);
    let daemon = site.run(&driver);
    daemon.looks("shop", 1);
    let new = entry("crm", &driver, &other.connect_string(), true).replace("{file: password}", "{file: nowhere}");
    site.configure_with(&[new], "");
    reload(&daemon);
    let refused = daemon.log_line("reload failed; what was in force stays in force");
    assert!(refused.is_some_and(|line| line["error"].as_str().is_some_and(|error| error.contains("nowhere"))));
    one.world.advance(FIVE_HOURS);
    until("the kill on the one that is in force", || one.kills().len() == 1);
}

#[test]
fn how_often_it_is_polled_changes_without_a_restart() {
    let driver = thin();
    let one = Db::parse(OFFICE);
    let site = site();
    let slow = entry("shop", &driver, &one.connect_string(), true).replace("poll: 1s", "poll: 1h");
    site.configure_with(&[slow], "");
    let daemon = site.run(&driver);
    until("the first look", || daemon.log_line("cycle done").is_some());
    configure(&site, &driver, &[("shop", &one, true)]);
    reload(&daemon);
    daemon.looks("shop", 2);
    one.world.advance(FIVE_HOURS);
    until("the kill", || one.kills().len() == 1);
    let logins = one.server.stats().connections;
    daemon.looks("shop", 1);
    assert_eq!(one.server.stats().connections, logins, "its connections stay");
}

#[test]
fn a_port_that_is_busy_at_start_is_waited_for() {
    let driver = thin();
    let one = Db::parse(OFFICE);
    let site = site();
    configure(&site, &driver, &[("shop", &one, false)]);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = busy.local_addr().expect("bound");
    let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    site.write("orareaper.yaml", config.replace("127.0.0.1:0", &address.to_string()));
    let daemon = site.spawn(&driver, |_| {});
    until("it to say that it waits", || {
        daemon.log_text().contains("the port is in use: waiting for it")
    });
    drop(busy);
    until("the pages", || daemon.log_line("pages are served").is_some());
}

#[test]
fn a_budget_is_the_database_s_whatever_entry_leads_to_it() {
    let driver = thin();
    let db = Db::parse(&OFFICE.replace("name: forgotten,", "name: forgotten, count: 3,"));
    let site = site();
    let put = |name: &str, connect: &str| {
        let entries = [entry(name, &driver, connect, true)];
        site.configure_with(&entries, "limits: {per_hour: 1}\n");
    };
    let here = db.connect_string();
    put("shop", &here);
    let mut daemon = site.run(&driver);
    daemon.looks("shop", 2);
    db.advance_between_snapshots(FIVE_HOURS);
    until("the kill", || db.kills().len() == 1);
    site.journals("outcome", |_| true);
    let elsewhere = here.replace("127.0.0.1", "localhost");
    assert_ne!(here, elsewhere);
    for (name, connect) in [("crm", &here), ("crm", &elsewhere), ("shop", &here)] {
        put(name, connect);
        reload(&daemon);
        daemon.looks(name, 3);
        assert_eq!(db.kills().len(), 1, "{name} at {connect}: the hour is not over");
    }
    daemon.signal("KILL");
    daemon.ends();
    put("third", &elsewhere);
    let daemon = site.run(&driver);
    daemon.looks("third", 3);
    assert_eq!(db.kills().len(), 1, "nor is it after a restart under another name");
}

#[test]
fn a_reload_that_loses_an_exemption_says_which_and_which_file_is_not_read() {
    const EXEMPT: &str = "
exemptions:
  - {when: username = 'SCOTT', reason: month-end close, owner: jane}
";
    let driver = thin();
    let db = Db::parse(OFFICE);
    let site = site();
    site.write("policies/ex.yaml", EXEMPT);
    configure(&site, &driver, &[("shop", &db, true)]);
    let daemon = site.run(&driver);
    daemon.looks("shop", 1);
    let loads = || -> Vec<_> {
        let lines = daemon.log().into_iter();
        lines.filter(|line| line["message"] == "policies loaded").collect()
    };
    assert_eq!(loads()[0]["exemptions"], 1);
    std::fs::rename(site.path("policies/ex.yaml"), site.path("policies/.ex.yaml")).expect("renamed");
    reload(&daemon);
    assert_eq!(loads()[1]["exemptions"], 0);
    until("the loss to be told", || {
        daemon.log().iter().any(|line| {
            let lost = line["lost"].as_str().unwrap_or_default();
            line["level"] == "WARN" && lost.contains("exemption \"month-end close\" of jane")
        })
    });
    let unread = daemon
        .log()
        .into_iter()
        .find(|line| line["message"] == "warning of a policy file");
    let unread = unread.expect("the file is named");
    assert!(
        unread["problem"].as_str().is_some_and(|told| told.contains(".ex.yaml")),
        "{unread}"
    );
    let record = site.journals("policies_loaded", |record| record["exemptions"] == 0);
    assert_eq!(record["lost"].as_array().map(Vec::len), Some(1), "{record}");
    // A reload of the same files brings nothing back.
    reload(&daemon);
    let page = daemon.page("/").1;
    assert!(
        page.contains("month-end close") && page.contains("0 exemptions"),
        "{page}"
    );
    std::fs::rename(site.path("policies/.ex.yaml"), site.path("policies/ex.yaml")).expect("renamed");
    reload(&daemon);
    assert!(!daemon.page("/").1.contains("month-end close"));
}

#[test]
fn an_exemption_that_went_while_no_daemon_ran_is_told_at_the_start() {
    let driver = thin();
    let db = Db::parse(OFFICE);
    let site = site();
    let exempt = "exemptions: [{when: username = 'SCOTT', reason: month-end close, owner: jane}]";
    site.write("policies/ex.yaml", exempt);
    configure(&site, &driver, &[("shop", &db, true)]);
    for expected in [false, true, false] {
        let mut daemon = site.run(&driver);
        daemon.looks("shop", 1);
        let gone = "1 exemption of 1 that the daemon had in force when it ran last";
        assert_eq!(daemon.page("/").1.contains(gone), expected);
        assert_eq!(daemon.log_text().contains(gone), expected, "{}", daemon.log_text());
        daemon.signal("TERM");
        assert_eq!(daemon.ends().code(), Some(0));
        let _ = std::fs::remove_file(site.path("policies/ex.yaml"));
    }
}

/// A reload asks the journal what it knows, and for what is still on its way to the disk. Where that has just failed, nobody waits.
#[test]
fn a_reload_does_not_wait_for_a_journal_that_cannot_be_written() {
    let (db, site) = (Db::parse(OFFICE), site());
    configure(&site, &thin(), &[("orcl", &db, true)]);
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    std::fs::write(site.path("state/journal.jsonl"), "").expect("truncated by another program");
    db.world.advance(FIVE_HOURS);
    daemon.says("the journal cannot be written, so no session is acted on");
    // Its own record is on its way to the disk from here on.
    reload(&daemon);
    let before = std::time::Instant::now();
    reload(&daemon);
    assert!(
        before.elapsed() < std::time::Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
    daemon.says(
        "the journal does not take all records now: what goes on by it follows up actions whose outcome is not in it",
    );
}
