//! What `setup-sql` prints: enough for the daemon on every release, and for the right kind of database.

use super::*;

#[test]
fn what_setup_sql_prints_is_enough_on_every_release() {
    let kinds = [
        ALONE.of("11.2", "11.2.0.4.0"),
        ALONE.of("12.1", "12.1.0.2.0"),
        ROOT.of("12.1", "12.1.0.2.0"),
        PDB.of("12.2", "12.2.0.1.0"),
        ROOT.of("18c", "18.3.0.0.0"),
        ROOT.of("21c", "21.3.0.0.0"),
        PDB.of("21c", "21.3.0.0.0"),
        ROOT.of("23ai", "23.5.0.0.0"),
        PDB.of("26ai", "23.26.0.0.0"),
    ];
    for kind in kinds {
        let desk = Desk::new(kind, Driver::Thin);
        desk.set_up();
        assert_eq!(desk.findings(), Vec::<Check>::new(), "{kind:?}");
    }
}

#[test]
fn the_daemon_works_with_what_setup_sql_prints() {
    for kind in [ALONE, ROOT, PDB] {
        let desk = Desk::new(kind, Driver::Thin);
        desk.set_up();
        let daemon = desk.site.run(&thin());
        until("the kills", || {
            desk.world.kills().iter().filter(|kill| kill.answer == Some(0)).count() == 3
        });
        let log = daemon.log_text();
        assert!(!log.contains("GRANT "), "{kind:?}: {log}");
    }
}

#[test]
fn without_a_configuration_it_prints_for_the_policies_that_come_with_it() {
    let site = Site::new();
    let run = |arguments: &[&str]| {
        site.command(&thin())
            .arg("setup-sql")
            .args(arguments)
            .output()
            .expect("it runs")
    };
    let told = run(&["--for", "19c", "--pdb", "--user", "watcher"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.status.success() && text.contains("GRANT SELECT ON sys.gv_$session TO WATCHER;"),
        "{text}"
    );
    assert!(
        !text.lines().any(|line| line.starts_with("GRANT ALTER SYSTEM")),
        "none of them enforces: {text}"
    );
    for (arguments, why) in [
        (&[][..], "name the release with --for"),
        (&["--for", "11.2", "--cdb"], "has no containers"),
        (&["--for", "23ai"], "add --cdb"),
        (&["--for", "10.2"], "expected a release"),
        (&["--cdb"], "--for"),
    ] {
        let told = run(arguments);
        let error = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(
            told.status.code() == Some(2) && error.contains(why),
            "{arguments:?}: {error}"
        );
    }
}

/// Without `--for`, the database is asked, which an account that may only log in can.
#[test]
fn setup_sql_asks_the_database_what_it_is() {
    let desk = Desk::new(PDB, Driver::Thin);
    let run = || desk.command(&["setup-sql"]).output().expect("it runs");
    let told = run();
    let error = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        told.status.code() == Some(2) && error.contains("ORA-01017") && error.contains("--for 19c"),
        "{error}"
    );
    let mut sys = desk.sys();
    for statement in [
        &format!("CREATE USER reaper IDENTIFIED BY \"{PASSWORD}\""),
        "GRANT CREATE SESSION TO reaper",
    ] {
        sys.run(statement).expect(statement);
    }
    let told = String::from_utf8_lossy(&run().stdout).into_owned();
    assert!(
        told.contains("for Oracle Database 19.0") && told.contains("-- as SYS in the PDB SHOP"),
        "{told}"
    );
}

/// Each assumption is named, in the script and on standard error.
#[test]
fn setup_sql_says_what_it_assumes() {
    let site = Site::new();
    let run = |arguments: &[&str]| {
        let mut command = site.command(&thin());
        let output = command.arg("setup-sql").args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr))
    };
    const ASSUMED: &str = "assumed: a database without containers; for CDB$ROOT add --cdb";
    let (script, error) = run(&["--for", "19c"]);
    let third = script.lines().nth(2).unwrap_or_default();
    assert!(
        third.starts_with(&format!("-- {ASSUMED}")) && error.contains(ASSUMED),
        "{script}{error}"
    );
    for arguments in [
        &["--for", "19c", "--cdb"][..],
        &["--for", "19c", "--pdb"],
        &["--for", "11.2"],
        &["--for", "23ai", "--pdb"],
    ] {
        let (script, error) = run(arguments);
        assert!(
            !script.contains("assumed") && !error.contains("assumed"),
            "{arguments:?}: {script}{error}"
        );
    }
}

/// Whoever runs the statements need not be who printed them: what is said beside them stands in them too, as a comment.
#[test]
fn a_warning_of_the_name_stands_in_the_statements() {
    let site = Site::new();
    let run = |user: &str| {
        let mut command = site.command(&thin());
        let run = command
            .args(["setup-sql", "--for", "19c", "--cdb", "--user", user])
            .output();
        let run = run.expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&run.stdout), text(&run.stderr))
    };
    let (statements, said) = run("reaper");
    let warning = "warning: in CDB$ROOT the name of an account begins with COMMON_USER_PREFIX";
    let begins = |text: &str, with: &str| text.lines().any(|line| line.starts_with(with));
    assert!(begins(&said, warning), "{said}");
    assert!(begins(&statements, &format!("-- {warning}")), "{statements}");
    let (statements, said) = run("c##reaper");
    assert!(
        !statements.contains("warning") && !said.contains("warning"),
        "{statements}{said}"
    );
}
