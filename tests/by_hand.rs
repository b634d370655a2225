//! `orareaper kill`, with and without a running daemon, on both drivers: done, refused for each reason, and what the journal says.

mod which_process;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use orasim::{Clause, Fault, SessionView, Strike};

use crate::site::{Daemon, Db, Driver, Site, Terminal, drivers, entry, not_run, thin, told, until};

const OFFICE: &str = "
release: 19.22.0.0.0
seed: 7
speed: 0
starts: 2026-11-23T09:00:00
database: {name: PROD, background_kill: fatal}
instances:
  - {number: 1, name: prod1, host: db1}
  - {number: 2, name: prod2, host: db2}
accounts:
  REAPER: {password: reaper}
sessions:
  - {name: one, user: SCOTT, program: sqlplus, machines: [pc1], instances: [2], idle: 5h, pinned: {sid: 101, serial: 11}}
  - {name: other, user: SCOTT, program: sqlplus, machines: [pc1], instances: [1], idle: 5h, pinned: {sid: 101, serial: 12}}
  - {name: third, user: SCOTT, program: sqlplus, machines: [pc1], instances: [1], idle: 5h, pinned: {sid: 102, serial: 13}}
  - {name: busy, user: BUSY, program: loop, machines: [pc1], instances: [1], active: 5h, pinned: {sid: 103, serial: 14},
     when_killed: {notices: 10m}}
  - {name: report, user: REPORTS, program: sqlplus, machines: [pc1], instances: [1], active: 5h, pinned: {sid: 105, serial: 16},
     sql_id: 8yds4k9tqmh3u}
  - {name: exempt, user: PAYROLL, program: run, machines: [pc1], instances: [1], idle: 5h, pinned: {sid: 104, serial: 15}}
  - {name: rman, user: BACKUP, program: rman@db1, machines: [db1], instances: [1], idle: 5h, pinned: {sid: 201, serial: 1}}
  - {name: golden, user: GG, program: extract@gg01, machines: [gg01], instances: [1], idle: 5h, pinned: {sid: 202, serial: 1}}
  - {name: pump, user: SCOTT, program: expdp@pc1, machines: [pc1], instances: [1], idle: 5h, pinned: {sid: 203, serial: 1}}
  - {name: job, user: SCOTT, program: oracle@db1 (J001), machines: [db1], instances: [1], active: 5h, pinned: {sid: 204, serial: 1}}
  - {name: queue, user: SCOTT, program: oracle@db1 (Q001), machines: [db1], instances: [1], active: 5h, pinned: {sid: 205, serial: 1}}
  - {name: slave, user: SCOTT, program: oracle@db1 (P000), machines: [db1], instances: [1], active: 5h, pinned: {sid: 206, serial: 1}}
  - {name: agent, user: MON, program: emagent@db1, machines: [db1], instances: [1], idle: 5h, pinned: {sid: 207, serial: 1}}
  - {name: sys, user: SYS, program: sqlplus, machines: [db1], instances: [1], idle: 5h, pinned: {sid: 208, serial: 1}}
  - {name: branch, user: XA, program: JDBC Thin Client, machines: [app1], instances: [1], idle: 5h, pinned: {sid: 209, serial: 1},
     transaction: {age: 5h, undo_records: 3, status: prepared}}
  - {name: load, user: LOAD, program: load, machines: [app1], instances: [1], idle: 5h, pinned: {sid: 210, serial: 1},
     transaction: {age: 5h, undo_records: 900000}}
  - {name: shared, user: SHARER, count: 2, sessions_per_process: 2, program: JDBC Thin Client, machines: [app1],
     instances: [1], idle: 5h}
";

/// A policy that matches no session, and one exemption.
const POLICIES: &str = "
policies:
  - {name: nobody, mode: enforce, when: username = 'NOBODY' and idle longer than 4h, action: kill}
exemptions:
  - {when: username = 'PAYROLL', reason: month-end, owner: finance, until: 2099-12-31}
";

const ONE: &str = "101,11,@2";

fn office(driver: &Driver) -> (Db, Site) {
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.policies(POLICIES);
    site.configure(driver, &db);
    fs::create_dir_all(site.path("state")).expect("made");
    (db, site)
}

/// The command in that folder, as maria would run it.
fn command(site: &Site, driver: &Driver, arguments: &[&str]) -> Command {
    let mut command = site.command(driver);
    command
        .args(["--config", "orareaper.yaml", "--log", "error", "kill"])
        .args(arguments)
        .env("USER", "maria")
        .env_remove("SUDO_USER");
    command
}

/// Exit status and everything that was said.
fn kill(site: &Site, driver: &Driver, arguments: &[&str]) -> (i32, String) {
    told(&mut command(site, driver, arguments))
}

const YES: [&str; 3] = ["--yes", "--reason", "blocks month-end"];

fn yes<'a>(session: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[session], &YES[..], more].concat()
}

/// With a daemon, and without.
fn both_ways(driver: &Driver, run: impl Fn(&Db, &Site, &str)) {
    let (db, site) = office(driver);
    let daemon = site.run(driver);
    daemon.looks("orcl", 1);
    run(&db, &site, "with a daemon");
    daemon.looks("orcl", 1);
    drop(daemon);
    let (db, site) = office(driver);
    run(&db, &site, "without a daemon");
}

/// This process's user, in the journal's words.
fn uids() -> String {
    let uid = std::fs::metadata("/proc/self").expect("procfs").uid();
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    match login.trim().parse::<u32>() {
        Ok(login) if login != u32::MAX && login != uid => format!("uid {uid}, logged in as uid {login}"),
        _ => format!("uid {uid}"),
    }
}

#[test]
fn the_session_that_was_shown_is_ended_followed_and_journalled_with_who_ordered_it() {
    for driver in drivers() {
        both_ways(&driver, |db, site, how| {
            let mut command = command(site, &driver, &yes(ONE, &[]));
            command.env("USER", "root").env("SUDO_USER", "maria");
            let (status, said) = told(&mut command);
            assert_eq!(status, 0, "{how} {}: {said}", driver.name);
            for part in [
                "session 101,11,@2 on orcl",
                "SCOTT, sqlplus",
                "protections, in the order",
                "statement: ALTER SYSTEM KILL SESSION '101,11,@2' IMMEDIATE",
                "sent: ALTER SYSTEM KILL SESSION '101,11,@2' IMMEDIATE",
                "done",
                "the session is gone",
            ] {
                assert!(said.contains(part), "{how}: {part}: {said}");
            }
            let kills = db.world.kills();
            assert_eq!(
                (kills.len(), kills[0].target, kills[0].clause),
                (1, (2, 101, 11), Clause::KillImmediate)
            );
            assert!(
                db.world
                    .session(1, 101)
                    .is_some_and(|other| other.serial == 12 && other.status == "INACTIVE")
            );
            let intent = site.journals("intent", |_| true);
            for (key, expected) in [
                ("policy", "by hand"),
                ("operator", &format!("maria as root ({})", uids())),
                (
                    "reason",
                    &format!("ordered by maria as root ({}): blocks month-end", uids()),
                ),
                ("mode", "enforce"),
                ("action", "kill immediate"),
                ("username", "SCOTT"),
            ] {
                assert_eq!(intent[key], expected, "{how}: {intent}");
            }
            let outcome = site.journals("outcome", |_| true);
            assert_eq!((&outcome["id"], &outcome["outcome"]), (&intent["id"], &"done".into()));
            let proof = site.journals("verification", |_| true);
            assert_eq!((&proof["id"], &proof["proof"]), (&intent["id"], &"gone".into()));
            let mut history = site.command(&driver);
            history.args([
                "--config",
                "orareaper.yaml",
                "history",
                "--policy",
                "by hand",
                "--format",
                "json",
            ]);
            let (_, said) = told(&mut history);
            let entry: serde_json::Value = serde_json::from_str(&said).expect("one entry");
            assert_eq!(entry["operator"], format!("maria as root ({})", uids()), "{entry}");
            let mut verify = site.command(&driver);
            verify.args(["--config", "orareaper.yaml", "history", "--verify"]);
            assert_eq!(told(&mut verify).0, 0, "{how}");
        });
    }
}

#[test]
fn each_protection_refuses_and_is_named() {
    for driver in drivers() {
        let (db, site) = office(&driver);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        let named = |is: &dyn Fn(&SessionView) -> bool| {
            let found = db.world.sessions().into_iter().find(is).expect("there is one");
            format!("{},{},@{}", found.sid, found.serial, found.instance)
        };
        let own = named(&|session| session.username.as_deref() == Some("REAPER"));
        let background = named(&|session| session.background);
        let sharer = named(&|session| session.username.as_deref() == Some("SHARER"));
        let disconnect: &[&str] = &["--action", "disconnect immediate"];
        for (session, more, protection) in [
            ("201,1,@1", &[][..], "backup"),
            ("202,1,@1", &[], "replication"),
            ("203,1,@1", &[], "data-pump"),
            ("204,1,@1", &[], "jobs"),
            ("205,1,@1", &[], "queues"),
            ("206,1,@1", &[], "parallel-server"),
            ("207,1,@1", &[], "agents"),
            ("208,1,@1", &[], "sys"),
            ("209,1,@1", &[], "xa"),
            ("210,1,@1", &[], "undo"),
            (&background, &[], "background"),
            (&own, &[], "self"),
            (&sharer, disconnect, "shared-process"),
        ] {
            let (status, said) = kill(&site, &driver, &yes(session, more));
            assert_eq!(status, 1, "{protection}: {said}");
            let refused = format!("refused: protection {protection}: ");
            assert!(said.contains(&refused) && said.contains("nothing was done"), "{said}");
        }
        // A session that another action is ending already.
        let (status, said) = kill(&site, &driver, &yes("103,14,@1", &["--wait", "2s"]));
        assert!(status == 2 && said.contains("still there, STATUS KILLED"), "{said}");
        let (status, said) = kill(&site, &driver, &yes("103,14,@1", &[]));
        assert!(
            status == 1 && said.contains("refused: protection dying: STATUS is KILLED"),
            "{said}"
        );
        let (status, said) = kill(&site, &driver, &yes("104,15,@1", &[]));
        assert!(
            status == 1 && said.contains("refused: exempt: month-end (finance)"),
            "{said}"
        );
        let (status, said) = kill(&site, &driver, &yes("999,1,@1", &[]));
        assert!(status == 1 && said.contains("there is no session 999,1,@1"), "{said}");
        assert_eq!(db.kills().len(), 1, "the one that is dying");
        assert_eq!(site.journalled("intent").len(), 1);
    }
}

fn on_a_terminal(site: &Site, driver: &Driver, arguments: &[&str]) -> Terminal {
    Terminal::of(&command(site, driver, arguments))
}

#[test]
fn it_asks_on_a_terminal_and_does_nothing_unless_it_is_told_yes() {
    let driver = thin();
    let (db, site) = office(&driver);
    let daemon = site.run(&driver);
    daemon.looks("orcl", 1);
    for (reason, answer) in [("blocks month-end", "no"), ("blocks month-end", ""), ("", "")] {
        let mut terminal = on_a_terminal(&site, &driver, &[ONE]);
        terminal.shows("reason, for the journal: ");
        terminal.types(reason);
        if !reason.is_empty() {
            terminal.shows("Type yes to confirm: ");
            terminal.types(answer);
        }
        let (status, screen) = terminal.ends();
        assert!(
            status == 1 && screen.contains("not confirmed: nothing was done"),
            "{screen}"
        );
    }
    for prompts in [
        &["reason, for the journal: "][..],
        &["reason, for the journal: ", "Type yes to confirm: "],
    ] {
        let mut terminal = on_a_terminal(&site, &driver, &[ONE]);
        for (number, prompt) in prompts.iter().enumerate() {
            if number > 0 {
                terminal.types("blocks month-end");
            }
            terminal.shows(prompt);
        }
        terminal.interrupts();
        let (status, screen) = terminal.ends();
        assert!(
            status == 1 && screen.contains("interrupted: nothing was done"),
            "{screen}"
        );
    }
    // There is no terminal to ask on, or no reason, or a name that fits more than one session sooner or later.
    for wrong in [
        &yes("101", &[])[..],
        &yes("101,11", &[]),
        &yes("101,@2", &[]),
        &[ONE],
        &[ONE, "--yes"],
        &[ONE, "--yes", "--reason", " "],
        &[ONE, "--action", "report"],
    ] {
        let (status, said) = kill(&site, &driver, wrong);
        assert_eq!(status, 2, "{said}");
    }
    daemon.looks("orcl", 1);
    assert_eq!((db.kills().len(), site.journalled("intent").len()), (0, 0));
    let mut terminal = on_a_terminal(&site, &driver, &[ONE, "--reason", "blocks month-end"]);
    terminal.shows("Type yes to confirm: ");
    terminal.types("yes");
    let (status, screen) = terminal.ends();
    assert!(status == 0 && screen.contains("the session is gone"), "{screen}");
    let operator = format!("maria ({})", uids());
    assert_eq!(site.journals("intent", |_| true)["operator"], *operator);
}

#[test]
fn a_session_that_reuses_the_sid_before_the_confirmation_is_not_ended() {
    for driver in drivers() {
        let (db, site) = office(&driver);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        let mut terminal = on_a_terminal(&site, &driver, &[ONE, "--reason", "blocks month-end"]);
        terminal.shows("Type yes to confirm: ");
        let serial = db.world.reuse_seat(2, 101).expect("a new session");
        terminal.types("yes");
        let (status, screen) = terminal.ends();
        let expected = format!("its SID is now that of session 101,{serial},@2, which was not shown");
        assert!(status == 1 && screen.contains(&expected), "{screen}");
        // A session that is gone and whose seat is free needs no order.
        let mut terminal = on_a_terminal(&site, &driver, &["102,13,@1", "--reason", "blocks month-end"]);
        terminal.shows("Type yes to confirm: ");
        db.world.log_off(1, 102);
        terminal.types("yes");
        let (status, screen) = terminal.ends();
        assert!(
            status == 0 && screen.contains("the session is gone already: nothing was done"),
            "{screen}"
        );
        assert_eq!((db.kills().len(), site.journalled("intent").len()), (0, 0));
    }
}

#[test]
fn a_session_that_reuses_the_sid_just_before_the_statement_is_not_ended() {
    for driver in drivers() {
        both_ways(&driver, |db, site, how| {
            db.world.arm(Fault {
                statement: Some("ALTER SYSTEM".into()),
                user: Some("REAPER".into()),
                call: 1,
                times: 1,
                what: Strike::ReplaceTarget,
            });
            let (status, said) = kill(site, &driver, &yes(ONE, &[]));
            assert!(status == 0 && said.contains("already gone"), "{how}: {said}");
            let new = db.world.session(2, 101).expect("the new one");
            assert!(new.serial != 11 && new.status != "KILLED", "{how}: {new:?}");
        });
    }
}

/// What an action needs is read for it, whatever the loaded policies need.
#[test]
fn every_kind_of_action_is_ordered_beside_policies_that_only_kill() {
    for driver in drivers() {
        both_ways(&driver, |db, site, how| {
            let orders = [
                (
                    "102,13,@1",
                    "disconnect immediate",
                    "ALTER SYSTEM DISCONNECT SESSION '102,13' IMMEDIATE",
                    "the session is gone",
                ),
                (
                    "105,16,@1",
                    "cancel sql",
                    "ALTER SYSTEM CANCEL SQL '105, 16, @1, 8yds4k9tqmh3u'",
                    "its statement no longer runs",
                ),
            ];
            for (number, (session, action, statement, proof)) in orders.into_iter().enumerate() {
                let (status, said) = std::thread::scope(|scope| {
                    let order = scope.spawn(|| kill(site, &driver, &yes(session, &["--action", action])));
                    until("the statement", || order.is_finished() || db.kills().len() > number);
                    // A statement that is cancelled goes on for a while.
                    db.world.advance(Duration::from_secs(3));
                    order.join().expect("no panic")
                });
                assert_eq!(status, 0, "{how} {}: {said}", driver.name);
                for part in [&format!("statement: {statement}"), &format!("sent: {statement}"), proof] {
                    assert!(said.contains(part), "{how}: {part}: {said}");
                }
            }
            let clauses: Vec<Clause> = db.world.kills().iter().map(|kill| kill.clause).collect();
            assert_eq!(clauses.len(), 2, "{how}: {clauses:?}");
        });
    }
}

#[test]
fn a_pause_refuses() {
    let driver = thin();
    both_ways(&driver, |db, site, how| {
        let switch = |word: &str| {
            let mut command = site.command(&driver);
            command.args(["--config", "orareaper.yaml", word]).env("USER", "maria");
            assert_eq!(told(&mut command).0, 0, "{how}");
        };
        switch("pause");
        let (status, said) = kill(site, &driver, &yes(ONE, &[]));
        assert!(
            status == 1 && said.contains("refused: orareaper is paused"),
            "{how}: {said}"
        );
        assert_eq!((db.kills().len(), site.journalled("intent").len()), (0, 0));
        switch("resume");
        let (status, said) = kill(site, &driver, &yes(ONE, &[]));
        assert_eq!(status, 0, "{how}: {said}");
    });
}

#[test]
fn an_unarmed_database_gets_no_statement() {
    let driver = thin();
    for (armed, arguments) in [(false, None), (false, Some(&[][..])), (true, Some(&["--dry-run"][..]))] {
        let (db, site) = office(&driver);
        site.configure_with(&[entry("orcl", &driver, &db.connect_string(), armed)], "");
        let daemon = arguments.map(|arguments| {
            site.run_with(&driver, |command| {
                command.args(arguments);
            })
        });
        let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
        assert!(
            status == 1 && said.contains("refused: no statement is sent to this database"),
            "{armed} {arguments:?}: {said}"
        );
        assert_eq!((db.kills().len(), site.journalled("intent").len()), (0, 0));
        drop(daemon);
    }
}

#[test]
fn budgets_and_blackouts_hold_and_count_it() {
    let driver = thin();
    for with_daemon in [true, false] {
        let (db, site) = office(&driver);
        let database = [entry("orcl", &driver, &db.connect_string(), true)];
        site.configure_with(&database, "limits: {per_hour: 1}\n");
        let daemon = with_daemon.then(|| site.run(&driver));
        assert_eq!(kill(&site, &driver, &yes(ONE, &[])).0, 0);
        let (status, said) = kill(&site, &driver, &yes("102,13,@1", &[]));
        assert!(
            status == 1 && said.contains("refused: budget: the database's per_hour 1 is used up"),
            "{said}"
        );
        drop(daemon);
        let blackout = "blackouts: [{cron: '* * * * *', for: 6h, reason: full backup}]\n";
        site.configure_with(&database, blackout);
        let daemon = with_daemon.then(|| site.run(&driver));
        let (status, said) = kill(&site, &driver, &yes("102,13,@1", &[]));
        assert!(status == 1 && said.contains("refused: blackout: full backup"), "{said}");
        assert_eq!(db.kills().len(), 1);
        drop(daemon);
    }
}

/// A budget that counts as used up because the journal is damaged is not said to be used up: where the damage is, and what to do.
#[test]
fn a_damaged_journal_is_named_where_it_refuses() {
    let driver = thin();
    for with_daemon in [true, false] {
        let (db, site) = office(&driver);
        let before = site.run(&driver);
        site.journals_all("policies_loaded", 1);
        drop(before);
        let journal = site.path("state/journal.jsonl");
        let text = fs::read_to_string(&journal).expect("reads");
        let (first, others) = text.split_once('\n').expect("lines");
        fs::write(&journal, format!("{first}\n{{\"v\":1,\"at\":\n{others}")).expect("written");
        let daemon = with_daemon.then(|| site.run(&driver));
        let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
        assert_eq!(status, 1, "{said}");
        for part in [
            "refused: budget: the database's per_hour 20 counts as used up until 2026-11-",
            "because the journal is damaged or was changed",
            "(state/journal.jsonl, line 3: ",
            "find out with `orareaper history --verify`",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("is used up"), "{said}");
        drop(daemon);
        assert_eq!(db.kills().len(), 0);
    }
}

/// What the journal does not take is not done.
#[test]
fn a_journal_that_cannot_be_written_stops_it() {
    let driver = thin();
    let (db, site) = office(&driver);
    let daemon: Daemon = site.run(&driver);
    daemon.looks("orcl", 1);
    let journal = site.path("state/journal.jsonl");
    let whole = fs::read(&journal).expect("reads");
    fs::write(&journal, "").expect("truncated by another program");
    let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
    assert!(
        status == 2 && said.contains("not done: write the intent to the journal"),
        "{said}"
    );
    assert_eq!(db.kills().len(), 0);
    drop(daemon);
    fs::remove_file(&journal).expect("removed");
    fs::create_dir(&journal).expect("made");
    let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
    assert!(status == 2 && said.contains("journal"), "{said}");
    fs::remove_dir(&journal).expect("removed");
    fs::write(&journal, whole).expect("put back");
    assert_eq!(kill(&site, &driver, &yes(ONE, &[])).0, 0);
    assert_eq!(db.kills().len(), 1);
}

#[test]
fn an_order_with_an_unknown_outcome_is_not_reported_as_done() {
    for driver in drivers() {
        let (db, site) = office(&driver);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        db.world.arm(Fault {
            statement: Some("ALTER SYSTEM".into()),
            user: Some("REAPER".into()),
            call: 1,
            times: u32::MAX,
            what: Strike::Hang,
        });
        let mut order = command(&site, &driver, &yes(ONE, &[]));
        let mut order = order
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let intent = site.journals("intent", |_| true);
        daemon.signal("KILL");
        drop(daemon);
        assert_eq!(order.wait().expect("it ends").code(), Some(2));
        db.world.disarm();
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
        let unknown = format!(
            "refused: the outcome of action {} (kill immediate, begun 2026-11-23T09:0",
            intent["id"]
        );
        let why = "is unknown: the daemon ended or the connection broke before its answer was recorded";
        assert!(status == 1 && said.contains(&unknown) && said.contains(why), "{said}");
        assert_eq!(db.kills().len(), 0);
        if driver.name == "thin" {
            // It can be, when the time is over that is said.
            assert!(
                said.contains("if the session is still there at 2026-11-23T10:0"),
                "{said}"
            );
            db.let_pass(&daemon, "orcl", 61);
            let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
            assert!(status == 0 && db.kills().len() == 1, "{said}");
        }
    }
}

#[test]
fn the_grant_that_is_missing_is_named() {
    for driver in drivers() {
        let scenario = OFFICE.replace("{password: reaper}", "{password: reaper, alter_system: false}");
        let db = Db::parse(&scenario);
        let site = Site::new();
        site.policies(POLICIES);
        site.configure(&driver, &db);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
        let remedy = "remedy: GRANT ALTER SYSTEM TO REAPER";
        assert!(
            status == 2 && said.contains("failed: ORA-01031") && said.contains(remedy),
            "{said}"
        );
        let outcome = site.journals("outcome", |_| true);
        assert!(
            outcome["message"]
                .as_str()
                .is_some_and(|message| message.ends_with(remedy)),
            "{outcome}"
        );
    }
}

#[test]
fn an_unknown_exemption_names_what_is_unknown() {
    for driver in drivers() {
        let (db, site) = office(&driver);
        site.policies(
            "policies: []\nexemptions:\n  - {when: username = 'SCOTT' and client_info = 'payroll', reason: month-end, owner: finance, until: \
             2099-12-31}\n",
        );
        let (status, said) = kill(&site, &driver, &yes(ONE, &[]));
        let refused = "refused: exempt: month-end (finance); whether it is meant cannot be told, which spares: client_info is NULL";
        assert!(status == 1 && said.contains(refused), "{said}");
        assert_eq!(db.kills().len(), 0);
    }
}

#[test]
fn a_reason_is_recorded_escaped_and_refused_if_it_is_too_long() {
    let driver = thin();
    both_ways(&driver, |db, site, how| {
        let long = "x".repeat(1_001);
        for reason in [&*long, &"\u{1b}".repeat(400)] {
            let (status, said) = kill(site, &driver, &[ONE, "--yes", "--reason", reason]);
            assert!(
                status == 2 && said.contains("the limit is 1000") && said.contains("Nothing was done"),
                "{how}: {said}"
            );
        }
        assert_eq!((db.kills().len(), site.journalled("intent").len()), (0, 0), "{how}");
        let (status, said) = kill(site, &driver, &[ONE, "--yes", "--reason", " a\u{1b}[2Jb\u{202e} "]);
        assert_eq!(status, 0, "{how}: {said}");
        let intent = site.journals("intent", |_| true);
        let reason = intent["reason"].as_str().expect("a text");
        assert!(reason.ends_with(r": a\x1b[2Jb\u{202e}"), "{how}: {reason}");
    });
}

#[test]
fn the_counters_of_orders_begin_at_zero() {
    for driver in drivers() {
        let (_db, site) = office(&driver);
        let daemon = site.run(&driver);
        daemon.looks("orcl", 1);
        let done = "orareaper_actions_total{action=\"kill immediate\",database=\"orcl\",inst_id=\"2\",mode=\"enforce\",outcome=\"done\",policy=\"by \
                    hand\"}";
        assert_eq!(daemon.metric(done), Some(0.0));
        assert_eq!(kill(&site, &driver, &yes(ONE, &[])).0, 0);
        daemon.metric_becomes(done, 1.0);
    }
}

#[test]
fn without_a_daemon_no_line_of_the_log_stands_between_the_session_and_the_question() {
    let driver = thin();
    let (db, site) = office(&driver);
    let mut command = site.command(&driver);
    command.args([
        "--config",
        "orareaper.yaml",
        "kill",
        ONE,
        "--reason",
        "blocks month-end",
    ]);
    let mut terminal = Terminal::of(&command);
    terminal.shows("Type yes to confirm: ");
    terminal.types("yes");
    let (status, screen) = terminal.ends();
    assert!(status == 0 && db.kills().len() == 1, "{screen}");
    assert!(!screen.contains("INFO"), "{screen}");
}
