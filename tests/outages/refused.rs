//! Accounts that are refused, and what is told of an outage meanwhile.

use super::*;

/// The password of `bad`, the first of two entries, is in the file `rotated` from here on.
fn bad_has_its_own_password(site: &Site) {
    let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    site.write(
        "orareaper.yaml",
        config.replacen("{file: password}", "{file: rotated}", 1),
    );
}

#[test]
fn a_wrong_password_is_tried_once_until_somebody_has_acted() {
    for driver in drivers() {
        let (bad, good) = (Db::parse(OFFICE), Db::parse(OFFICE));
        let site = site(ENFORCE);
        configure_both(&site, &driver, &bad, &good, "");
        bad_has_its_own_password(&site);
        site.write("rotated", "Wr0ng-zq7xKw");
        let daemon = site.run(&driver);
        let down = daemon.says("database is down");
        let error = down["error"].as_str().unwrap_or_default();
        assert!(
            error.contains("ORA-01017") && error.contains("not retried automatically"),
            "{down}"
        );
        let attempts = bad.server.stats().connections;
        daemon.looks("good", 5);
        assert_eq!(
            bad.server.stats().connections,
            attempts,
            "each further one is nearer to the lock"
        );
        assert_eq!(
            daemon.metric("orareaper_driver_errors_total{class=\"auth\",database=\"bad\"}"),
            Some(1.0)
        );
        let (status, why) = daemon.page("/readyz");
        assert!(status == 503 && why.contains("bad"), "{why}");
        for arguments in [&["doctor", "bad"][..], &["plan", "--database", "bad"]] {
            let mut command = site.command(&driver);
            let output = command.args(["--config", "orareaper.yaml"]).args(arguments).output();
            let output = output.expect("it runs");
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(
                output.status.code() == Some(2) && said.contains("refused before") && said.contains("ORA-01017"),
                "{arguments:?}: {said}"
            );
        }
        assert_eq!(
            bad.server.stats().connections,
            attempts,
            "a command tries no password that the daemon was refused"
        );

        // Somebody acts: the password is put right and the daemon told to look again.
        site.write("rotated", PASSWORD);
        daemon.signal("HUP");
        daemon.looks("bad", 1);
        for written in [daemon.log_text(), site.left_behind(), daemon.page("/").1] {
            assert!(!written.contains("zq7xKw"), "a password shows: {written}");
        }
    }
}

/// The other database is shown in each round, and the wrong password is tried in the first alone.
fn watches_on(site: &Site, driver: &Driver, bad: &Db) {
    let before = bad.server.stats().connections;
    let mut command = site.command(driver);
    command.args(["--config", "orareaper.yaml", "sessions", "--watch", "1"]);
    let mut watch = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let shown = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let tables = shown
        .map_while(Result::ok)
        .filter(|line| line.starts_with("good, "))
        .take(3);
    assert_eq!(tables.count(), 3, "the watch ended");
    assert_eq!(
        bad.server.stats().connections,
        before + 1,
        "each further one is nearer to the lock"
    );
    // Its reader is gone.
    assert!(watch.wait().expect("it ends").success());
}

#[test]
fn without_a_daemon_commands_try_a_wrong_password_once_in_all_and_a_watch_no_second_time() {
    for driver in drivers() {
        let (bad, good) = (Db::parse(OFFICE), Db::parse(OFFICE));
        let site = site(ENFORCE);
        configure_both(&site, &driver, &bad, &good, "");
        let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
        site.write("right.yaml", &config);
        bad_has_its_own_password(&site);
        site.write("rotated", "Wr0ng-zq7xKw");
        let run = |config: &str, arguments: &[&str]| {
            let output = site
                .command(&driver)
                .args(["--config", config])
                .args(arguments)
                .output();
            let output = output.expect("it runs");
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            (output.status.code(), said)
        };
        // Where there is no state folder, nothing can be remembered for the next command.
        let (status, said) = run("orareaper.yaml", &["sessions", "--watch", "1", "--database", "bad"]);
        assert!(
            status == Some(2) && said.contains("ORA-01017"),
            "nothing else is left to ask: {said}"
        );
        watches_on(&site, &driver, &bad);
        std::fs::create_dir_all(site.path("state")).expect("made");
        let attempts = || bad.server.stats().connections;
        let before = attempts();
        let (status, said) = run("orareaper.yaml", &["plan", "--database", "bad"]);
        assert!(status == Some(2) && said.contains("ORA-01017"), "{said}");
        let once = attempts();
        assert!(once > before, "the first tries it");
        for arguments in [&["plan"][..], &["sessions"], &["doctor", "bad"]] {
            let (_, said) = run("orareaper.yaml", arguments);
            assert!(said.contains("refused before"), "{arguments:?}: {said}");
        }
        assert_eq!(attempts(), once, "each further one is nearer to the lock");
        // The right password is another one. What only a daemon knows is not in a plan, which says so.
        let (status, said) = run("right.yaml", &["plan", "--database", "bad"]);
        assert!(status == Some(0) && said.contains("see its status page"), "{said}");
    }
}

/// The outage began with something else, which is over: what is shown is what keeps the database down now.
#[test]
fn an_outage_that_ends_in_a_refused_login_shows_that() {
    for driver in drivers() {
        let (bad, good) = (Db::parse(OFFICE), Db::parse(OFFICE));
        let site = site(ENFORCE);
        configure_both(&site, &driver, &bad, &good, "");
        bad_has_its_own_password(&site);
        site.write("rotated", "Wr0ng-zq7xKw");
        bad.world.set_listener(OnAccept::Drop);
        let daemon = site.run(&driver);
        let down = daemon.says("database is down");
        let error = down["error"].as_str().unwrap_or_default();
        assert!(error.ends_with("; retried automatically"), "{down}");
        bad.world.set_listener(OnAccept::Serve);
        let record = site.journals("database_down", |record| {
            record["error"]
                .as_str()
                .is_some_and(|error| error.contains("ORA-01017"))
        });
        assert!(
            record["error"]
                .as_str()
                .is_some_and(|error| error.contains("not retried automatically")),
            "{record}"
        );
        until("the page to say why it is not ready now", || {
            let (status, why) = daemon.page("/readyz");
            status == 503
                && why.contains("ORA-01017")
                && why.contains("a reload alone does not try this password again")
        });
    }
}

/// What is shown of an outage is what keeps the database down now, at each change, and once while it stays the same.
#[test]
fn an_outage_shows_each_cause_once() {
    for driver in drivers() {
        let (bad, good) = (Db::parse(OFFICE), Db::parse(OFFICE));
        let site = site(ENFORCE);
        configure_both(&site, &driver, &bad, &good, "    connect_timeout: 1s\n");
        bad_has_its_own_password(&site);
        site.write("rotated", PASSWORD);
        bad.world.set_listener(OnAccept::Silent);
        let daemon = site.run(&driver);
        let told = || -> Vec<String> {
            let of_bad = |line: &serde_json::Value| line["message"] == "database is down" && line["database"] == "bad";
            let down = daemon.log().into_iter().filter(of_bad);
            down.map(|line| line["error"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        let attempts = || daemon.metric("orareaper_driver_errors_total{class=\"backoff\",database=\"bad\"}");
        until("three attempts", || attempts() >= Some(3.0));
        let first = told();
        assert_eq!(first.len(), 1, "the same cause is told once: {first:?}");
        // Which limit of a second runs out first, the daemon's or Oracle Client's, is chance, and the same cause.
        assert!(
            first[0].ends_with("no answer within 1s; retried automatically")
                || driver.name == "oci"
                    && first[0].ends_with("ORA-12170: TNS:Connect timeout occurred; retried automatically"),
            "{first:?}"
        );
        std::fs::remove_file(site.path("rotated")).expect("it was there");
        until("the other cause to be told", || told().len() == 2);
        let shown = told()[1].clone();
        assert!(
            shown.contains("the file rotated: ")
                && shown.contains("; needs to be fixed by an operator; retried automatically"),
            "{shown}"
        );
        until("the page to show it", || {
            daemon.page("/readyz").1.contains("the file rotated: ")
        });
    }
}

/// Every refused login counts towards the lock of the account, whichever entry makes it.
#[test]
fn twelve_entries_that_share_an_account_try_a_wrong_password_once() {
    for driver in drivers() {
        let db = Db::parse(OFFICE);
        let site = site(ENFORCE);
        let entries: Vec<String> = (1..=12)
            .map(|number| entry(&format!("db{number}"), &driver, &db.connect_string(), true))
            .collect();
        site.configure_with(&entries, "");
        site.write("password", "Wr0ng-zq7xKw");
        let down = |daemon: &crate::site::Daemon| {
            let told = |line: &serde_json::Value| {
                let error = line["error"].as_str().unwrap_or_default();
                line["message"] == "database is down"
                    && (error.contains("refused before") || error.contains("ORA-01017"))
            };
            daemon.log().iter().filter(|line| told(line)).count()
        };
        let daemon = site.run(&driver);
        until("all twelve to be told", || down(&daemon) == 12);
        let attempts = db.server.stats().connections;
        assert_eq!(attempts, 1, "one account, one attempt");
        let errors = || daemon.metric("orareaper_driver_errors_total{class=\"auth\",database=\"db12\"}");
        for _ in 0..3 {
            let before = errors();
            daemon.signal("HUP");
            until("it to look again", || errors() > before);
        }
        drop(daemon);
        let daemon = site.run(&driver);
        until("all twelve to be told", || down(&daemon) == 12);
        assert_eq!(db.server.stats().connections, attempts, "it has not changed");
        assert!(!site.left_behind().contains("zq7xKw"), "a password was written down");

        site.write("password", PASSWORD);
        daemon.signal("HUP");
        daemon.looks("db1", 1);
        daemon.looks("db12", 1);
    }
}

#[test]
fn acting_stops_as_well_when_the_account_is_refused() {
    for driver in drivers() {
        let db = Db::parse(OFFICE);
        let site = site(ENFORCE);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        daemon.metric_becomes("orareaper_acting_connection{database=\"orcl\",inst_id=\"1\"}", 1.0);
        // The password changes unnoticed: the reading connection stays open, and somebody kills the connection for actions.
        site.write("password", "Wr0ng-zq7xKw");
        let mut dba = log_in(&db, "dba").expect("it may");
        for seat in acting(&mut *dba) {
            end(seat, &mut *dba);
        }
        let before = (db.kills().len(), db.server.stats().connections);
        db.world.advance(FIVE_HOURS);
        let stopped = daemon.says("no actions on this database for now");
        let why = stopped["error"].as_str().unwrap_or_default();
        assert!(
            why.contains("ORA-01017") && why.contains("not retried automatically"),
            "{stopped}"
        );
        daemon.looks("orcl", 4);
        assert!(
            db.server.stats().connections <= before.1 + 1,
            "one attempt, which may have been made already"
        );
        assert_eq!(db.kills().len(), before.0);
        site.write("password", PASSWORD);
        daemon.signal("HUP");
        until("the kill", || db.kills().len() == before.0 + 1);
    }
}
