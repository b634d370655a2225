//! Files that are empty, binary, incomplete, gigantic or missing, and a missing client library: each gives a clear message and the
//! right exit status.

use super::*;

/// Files that are none: name, and what is in them.
fn rubbish(site: &Site) -> Vec<&'static str> {
    site.write("empty", "");
    site.write("binary", (0..=255_u8).cycle().take(5_000).collect::<Vec<u8>>());
    let half: String = IDLE.chars().take(IDLE.len() / 2).collect();
    site.write("half", half);
    // Sparse: it takes no room on the disk, and must not take any in memory.
    File::create(site.path("gigantic"))
        .and_then(|file| file.set_len(1 << 36))
        .expect("a sparse file");
    vec!["empty", "binary", "half", "gigantic"]
}

#[test]
fn bad_policies_are_findings_with_their_name() {
    let site = desk();
    for name in rubbish(&site) {
        for arguments in [
            vec!["check", name],
            vec!["plan", "--snapshot", "sessions.csv", "--policies", name],
        ] {
            let told = site.orareaper(&arguments);
            assert_eq!(told.code, Some(1), "{arguments:?}: {}", told.err);
            assert!(told.err.contains(name), "{arguments:?}: {}", told.err);
            assert!(told.out.is_empty(), "{arguments:?}: {}", told.out);
        }
    }
    // What cannot be read at all is not a finding.
    symlink("nowhere", site.path("policies/dangling.yaml")).expect("a link");
    let told = site.orareaper(&["check", "policies"]);
    assert!(
        told.code == Some(2) && told.err.contains("dangling.yaml"),
        "{}",
        told.err
    );
}

#[test]
fn a_bad_configuration_starts_nothing() {
    let site = desk();
    let config = "databases: [{name: prod, connect: //db:1521/P, user: reaper, password: {file: password}}]\npolicies: [policies]\n";
    let half: String = config.chars().take(config.len() / 3).collect();
    rubbish(&site);
    site.write("half", half);
    for name in ["empty", "binary", "half", "gigantic"] {
        for command in ["run", "plan", "check"] {
            let told = site.orareaper(&["--config", name, command]);
            assert_eq!(told.code, Some(1), "{command} with {name}: {}", told.err);
            assert!(
                told.err.contains(name) && told.err.contains("invalid"),
                "{command}: {}",
                told.err
            );
        }
        for more in [
            &["doctor"][..],
            &["sessions"],
            &["explain", "1,2,@1"],
            &["prove", "prod"],
            &["record", "-o", "recording"],
            &["kill", "1,2,@1", "--yes", "--reason", "none"],
            &["setup-sql"],
        ] {
            let told = site.orareaper(&[&["--config", name][..], more].concat());
            assert_eq!(told.code, Some(1), "{more:?} with {name}: {}{}", told.err, told.out);
        }
    }
    for (name, sign) in [("nowhere", "does not exist"), ("policies", "directory")] {
        for command in ["run", "plan", "check"] {
            let told = site.orareaper(&["--config", name, command]);
            assert_eq!(told.code, Some(2), "{command} with {name}: {}", told.err);
            assert!(
                told.err.contains(name) && told.err.contains(sign),
                "{command}: {}",
                told.err
            );
        }
    }
    // All of it checks but the password's file is not there.
    let good = config.replace("file: password", "file: missing");
    site.write("good", format!("{good}listen: 127.0.0.1:0\nstate: state\n"));
    let told = site.orareaper(&["--config", "good", "run"]);
    assert!(told.code == Some(2) && told.err.contains("missing"), "{}", told.err);
    assert!(!site.journal().is_empty() && site.journalled("database_up").is_empty());
}

#[test]
fn a_bad_snapshot_gives_no_report() {
    let site = desk();
    let mut names = rubbish(&site);
    site.write("cut.csv", &EXPORT[..EXPORT.len() - 40]);
    site.write("cut.json", "{\"sessions\": [{\"SID\": 1, \"SERIAL#\": 2}, {\"SI");
    site.write("other.csv", "this,is,no\nsession,at,all\n");
    names.extend(["cut.json", "other.csv", "nowhere", "policies", "cut.csv"]);
    for name in names {
        let told = site.orareaper(&["plan", "--snapshot", name, "--policies", "policies"]);
        assert_eq!(told.code, Some(2), "{name}: {}{}", told.err, told.out);
        assert!(
            told.err.contains(&format!("read saved sessions from {name}")),
            "{name}: {}",
            told.err
        );
        assert!(told.out.is_empty(), "{name}: {}", told.out);
    }
}

#[test]
fn without_a_client_library_the_fix_is_named() {
    let site = desk();
    let connect = "//127.0.0.1:1/PROD";
    let oci = entry("prod", &thin(), connect, false).replace("driver: thin", "driver: oci");
    site.configure_with(&[oci], "");
    // The command's environment leads to no library.
    let told = site.orareaper(&["--config", "orareaper.yaml", "plan"]);
    assert_eq!(told.code, Some(2), "{}", told.err);
    if told.err.contains("ORA-12541") {
        println!("not run: an Oracle client library is installed on this system");
        return;
    }
    for sign in ["connect to prod with driver oci", "Instant Client", "driver: thin"] {
        assert!(told.err.contains(sign), "{sign}: {}", told.err);
    }
}

/// A mistyped name must not cost what the daemon lives by.
#[test]
fn a_report_takes_no_place_of_a_journal_a_configuration_or_policies() {
    let site = desk();
    site.write("state/journal.jsonl", "{\"v\":1}\n");
    site.write("orareaper.yaml", "# mine\ndatabases: []\n");
    site.write("policies/mine.yaml", IDLE);
    site.write("report.md", "an older report\n");
    site.write("export.csv", EXPORT);
    let plan = [
        "plan",
        "--snapshot",
        "export.csv",
        "--policies",
        "policies/mine.yaml",
        "--format",
        "markdown",
        "-o",
    ];
    for (name, is) in [
        ("state/journal.jsonl", "it is a journal"),
        ("orareaper.yaml", "it is a configuration"),
        ("policies/mine.yaml", "it is a file of policies"),
    ] {
        let before = std::fs::read_to_string(site.path(name)).expect("reads");
        let told = site.orareaper(&[&plan[..], &[name]].concat());
        assert!(told.code == Some(2) && told.err.contains(is), "{name}: {}", told.err);
        assert_eq!(std::fs::read_to_string(site.path(name)).expect("reads"), before);
    }
    let told = site.orareaper(&[&plan[..], &["report.md"]].concat());
    assert_eq!(told.code, Some(0), "{}", told.err);
}

/// Nor a secret, or what protects the pages; and a report's name must not mean anything to the daemon.
#[test]
fn a_report_takes_no_place_of_a_secret_and_no_name_of_the_daemon_s_own() {
    let site = desk();
    let config = "databases:\n  - {name: prod, connect: //db:1521/P, user: reaper, password: {file: password}}\npolicies: [policies]\n";
    site.write("orareaper.yaml", config);
    site.write("export.csv", EXPORT);
    site.write("password", "tiger\n");
    site.write("credentials/prod", "tiger\n");
    site.write("web.yml", "# who may look\nbasic_auth_users:\n  maria: x\n");
    site.write("tls.yml", "tls_server_config: {cert_file: a, key_file: b}\n");
    site.write("server.key", "-----BEGIN PRIVATE KEY-----\nx\n");
    site.write("tnsnames.ora", "CRM = (DESCRIPTION=)\n");
    let plan = ["--config", "orareaper.yaml", "plan", "--snapshot", "export.csv", "-o"];
    for (name, is) in [
        ("password", "it is a password or another secret and is not replaced"),
        ("credentials/prod", "it is a password or another secret"),
        ("web.yml", "it is a web configuration"),
        ("tls.yml", "it is a web configuration"),
        ("server.key", "it is a certificate or a key"),
        ("tnsnames.ora", "it is one of Oracle's own files"),
    ] {
        let before = std::fs::read_to_string(site.path(name)).expect("reads");
        let told = site.orareaper(&[&plan[..], &[name]].concat());
        assert!(told.code == Some(2) && told.err.contains(is), "{name}: {}", told.err);
        assert_eq!(std::fs::read_to_string(site.path(name)).expect("reads"), before);
    }
    let paused = "a file named paused is the daemon's own in its state folder, and there it pauses the daemon; give another name";
    for (arguments, says) in [
        (&["plan", "--snapshot", "export.csv", "-o", "state/paused"][..], paused),
        (&["record", "--snapshots", "1", "-o", "state/paused"], paused),
        (
            &["plan", "--snapshot", "export.csv", "-o", "state/refused-logins.json"],
            "the daemon's own",
        ),
    ] {
        std::fs::create_dir_all(site.path("state")).expect("made");
        let told = site.orareaper(&[&["--config", "orareaper.yaml"], arguments].concat());
        assert!(
            told.code == Some(2) && told.err.contains(says),
            "{arguments:?}: {}",
            told.err
        );
        let names: Vec<_> = std::fs::read_dir(site.path("state")).expect("reads").collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

#[test]
fn no_account_is_made_of_one_of_oracle_s_own() {
    let site = desk();
    let config = "databases: [{name: prod, connect: //db:1521/P, user: SYSTEM, password: {file: password}}]\npolicies: [policies]\n";
    site.write("oracle.yaml", config);
    let setup = ["--config", "oracle.yaml", "setup-sql", "--for", "19c", "--pdb"];
    for user in [&[][..], &["--user", "SYS"], &["--user", "dbsnmp"]] {
        let told = site.orareaper(&[&setup[..], user].concat());
        assert!(
            told.code == Some(2) && told.out.is_empty() && told.err.contains("is an account of Oracle's own"),
            "{user:?}: {}",
            told.err
        );
    }
    let told = site.orareaper(&[&setup[..], &["--user", "reaper"]].concat());
    assert!(
        told.code == Some(0) && told.out.contains("CREATE USER REAPER "),
        "{}",
        told.err
    );
}
