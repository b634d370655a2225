//! Which process carries an order out: the daemon of the state folder, or the command itself.

use super::*;

#[test]
fn it_says_which_database_and_which_daemon_is_missing() {
    let driver = thin();
    let (db, site) = office(&driver);
    let connect = db.connect_string();
    let other = Db::parse(OFFICE);
    let entries = [
        entry("orcl", &driver, &connect, true),
        entry("crm", &driver, &other.connect_string(), true),
    ];
    site.configure_with(&entries, "");
    for daemon in [None, Some(site.run(&driver))] {
        if let Some(daemon) = &daemon {
            daemon.looks("orcl", 1);
        }
        let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
        assert!(status == 2 && said.contains("--database"), "{said}");
        let (status, said) = kill(&site, &driver, &yes(ONE, &["--database", "erp"]));
        assert!(
            status == 2 && said.contains("crm") | said.contains("no database erp"),
            "{said}"
        );
        drop(daemon);
    }
    let (status, said) = kill(&site, &driver, &yes(ONE, &["--database", "crm"]));
    assert_eq!((status, db.kills().len(), other.kills().len()), (0, 0, 1), "{said}");
    let daemon = site.run(&driver);
    daemon.looks("orcl", 1);
}

/// The daemon has a user of its own: what root leaves behind it could not open.
#[test]
fn files_that_root_writes_belong_to_the_owner_of_the_state_folder() {
    const OWNER: u32 = 61_236;
    let driver = thin();
    let (_db, site) = office(&driver);
    let state = site.path("state");
    if std::os::unix::fs::chown(&state, Some(OWNER), Some(OWNER)).is_err() {
        return not_run("another user needs root");
    }
    assert_eq!(kill(&site, &driver, &yes(ONE, &[])).0, 0);
    let files: Vec<_> = fs::read_dir(&state).expect("listed").flatten().collect();
    assert!(files.len() >= 2, "the lock and the journal: {files:?}");
    for file in files {
        let of = file.metadata().expect("there");
        assert_eq!((of.uid(), of.gid()), (OWNER, OWNER), "{file:?}");
    }
    let left: Vec<_> = fs::read_dir(site.path("runtime"))
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Nobody is kept waiting by a question: the daemon starts, and gets the order once it is answered.
#[test]
fn a_daemon_starts_while_the_question_is_open_and_gets_the_order() {
    for driver in drivers() {
        let (db, site) = office(&driver);
        let mut terminal = on_a_terminal(&site, &driver, &[ONE, "--reason", "blocks month-end"]);
        terminal.shows("Type yes to confirm: ");
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        terminal.types("yes");
        let (status, screen) = terminal.ends();
        assert!(status == 0 && screen.contains("the session is gone"), "{screen}");
        assert!(daemon.log_line("an operator's order begins").is_some(), "{screen}");
        let one = |kind: &str| site.journals_all(kind, 1).len();
        assert_eq!((one("intent"), one("outcome"), db.kills().len()), (1, 1, 1));
    }
}

/// A daemon that starts has the folder before it can be asked.
#[test]
fn an_order_waits_for_a_daemon_that_starts() {
    let driver = thin();
    let (db, site) = office(&driver);
    // The port is taken, so the start waits for it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let config = fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
    let address = port.local_addr().expect("bound").to_string();
    site.write("orareaper.yaml", config.replace("127.0.0.1:0", &address));
    let daemon = site.spawn(&driver, |_| {});
    daemon.says("the port is in use: waiting for it up to 15s");
    let mut order = command(&site, &driver, &yes(ONE, &[]));
    let mut order = order
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut said = BufReader::new(order.stderr.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    let waits = said.next().expect("it waits");
    assert!(
        waits.starts_with("waiting: state folder") && waits.ends_with("does not answer yet"),
        "{waits}"
    );
    drop(port);
    let rest: Vec<String> = said.collect();
    let status = order.wait().expect("it ends").code();
    assert_eq!(
        (status, db.kills().len()),
        (Some(0), 1),
        "{rest:?}\n{}",
        daemon.log_text()
    );
    assert!(daemon.log_line("an operator's order begins").is_some());
}

/// The daemon runs as group 0 here. A member of it has the switch, is marked as what they are, and may not have a session ended.
#[test]
fn a_member_of_the_daemons_group_pauses_and_resumes_and_does_not_kill() {
    const MEMBER: u32 = 61_238;
    let driver = thin();
    let (db, site) = office(&driver);
    fs::set_permissions(site.path("."), fs::Permissions::from_mode(0o755)).expect("set");
    if std::os::unix::fs::chown(site.path("policies"), Some(0), Some(0)).is_err() {
        return not_run("a member of another user's group needs root");
    }
    let daemon = site.run(&driver);
    daemon.looks("orcl", 1);
    let as_member = |mut command: Command| {
        command.uid(MEMBER).gid(0).env("USER", "maria").env_remove("SUDO_USER");
        told(&mut command)
    };
    let of = |words: &[&str]| {
        let mut command = site.command(&driver);
        command.args(["--config", "orareaper.yaml"]).args(words);
        command
    };
    let (status, said) = as_member(of(&["pause", "--reason", "month-end"]));
    assert!(
        status == 0 && said.contains("paused by maria (not root)") && said.contains(": month-end"),
        "{status}: {said}"
    );
    assert!(site.path("state/paused").exists());
    let (status, said) = as_member(of(&["resume"]));
    assert!(status == 0 && said.contains("resumed: "), "{status}: {said}");
    assert!(!site.path("state/paused").exists());
    let (status, said) = as_member(command(&site, &driver, &yes(ONE, &[])));
    assert!(
        status == 2 && said.contains("only root and the daemon's own user end sessions by hand"),
        "{status}: {said}"
    );
    assert_eq!(db.kills().len(), 0);
    let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
    assert_eq!((status, db.kills().len()), (0, 1), "root may: {said}");
}

/// Whoever is neither root nor the daemon's user nor of its group may not order, pause or resume.
#[test]
fn another_user_is_told_what_to_do() {
    const OTHER: u32 = 61_237;
    let driver = thin();
    for with_daemon in [true, false] {
        let (db, site) = office(&driver);
        fs::set_permissions(site.path("."), fs::Permissions::from_mode(0o755)).expect("set");
        if std::os::unix::fs::chown(site.path("policies"), Some(0), Some(0)).is_err() {
            return not_run("another user needs root");
        }
        let daemon = with_daemon.then(|| {
            let daemon = site.run(&driver);
            daemon.looks("orcl", 1);
            daemon
        });
        let as_other = |mut command: Command| {
            command.uid(OTHER).gid(OTHER);
            told(&mut command)
        };
        let of = |word: &str| {
            let mut command = site.command(&driver);
            command.args(["--config", "orareaper.yaml", word]);
            command
        };
        for (what, command) in [
            ("kill", command(&site, &driver, &yes(ONE, &[]))),
            ("pause", of("pause")),
            ("resume", of("resume")),
        ] {
            let (status, said) = as_other(command);
            let who = if with_daemon {
                "obeys only root and its own user (uid 0), and to pause and resume members of its group (gid 0)"
            } else {
                "is only for root and its owner (uid 0)"
            };
            assert!(
                status == 2 && said.contains(who) && said.contains("run this with sudo") && !said.contains("lock"),
                "{what}, {with_daemon}: {said}"
            );
        }
        assert_eq!((db.kills().len(), site.path("state/paused").exists()), (0, false));
        drop(daemon);
    }
}
