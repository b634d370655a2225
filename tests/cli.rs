//! The commands that need no daemon: what they print, where, and with which exit status.
//!
//! 0 is success, 1 a finding, 2 a failure. Whatever a file contains, a message names the file and nothing panics.

mod bad_input;
mod check;
mod completion;
mod journald;
mod manners;
mod version;
mod watch;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::site::{Db, PASSWORD, Site, drivers, entry, thin};
use orasim::backend::OnAccept;
use serde_json::{Value, json};

/// A V$SESSION export, so without INST_ID; columns in no order, one unknown column, several missing.
const EXPORT: &str = "\
program,\"Serial#\",nonsense,SID,status,last_call_et,USERNAME,type,LOGON_TIME,machine,module,client_info,taddr
sqlplus@web01,62507,x,287,INACTIVE,18720,APEXDEV,USER,2026-11-22T01:00:00,web01,,,
\"JDBC Thin Client, \"\"A\"\"\",36107,,32,INACTIVE,14400,SHOP,USER,2026-11-22T05:00:00,app01,,,
oracle@db1 (PMON),1,x,2,ACTIVE,864000,,BACKGROUND,2026-11-12T10:00:00,db1,,,
sqlplus@db1,9,x,40,INACTIVE,20000,SYS,USER,2026-11-22T01:00:00,db1,,,
";

const IDLE: &str = "policies: [{name: idle, when: INACTIVE longer than 4h, action: kill}]\n";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran = Ran {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    };
    assert!(!ran.err.contains("panicked"), "{command:?}: {}", ran.err);
    ran
}

impl Site {
    fn orareaper(&self, arguments: &[&str]) -> Ran {
        ran(self.command(&thin()).args(arguments))
    }
}

/// A folder with the export and a policy for it.
fn desk() -> Site {
    let site = Site::new();
    site.write("sessions.csv", EXPORT);
    site.policies(IDLE);
    site
}

const PLAN: [&str; 5] = ["plan", "--snapshot", "sessions.csv", "--policies", "policies"];

fn plan(site: &Site, more: &[&str]) -> Ran {
    site.orareaper(&[&PLAN[..], more].concat())
}

fn project(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

#[test]
fn a_plan_over_an_export_has_the_documented_json() {
    let ran = plan(&desk(), &["--taken-at", "2026-11-22T10:00:00Z", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1, "one object on one line: {}", ran.out);
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    let mut decisions = report["decisions"].as_array().expect("a list").clone();
    decisions.sort_by_key(|decision| decision["sid"].as_u64());
    assert_eq!(
        decisions.len(),
        2,
        "exactly four hours is not longer than four hours: {decisions:#?}"
    );
    assert_eq!(
        (&decisions[0]["sid"], &decisions[0]["decision"]),
        (&json!(40), &json!("protected"))
    );
    let why = decisions[0]["reason"].as_str().unwrap_or_default();
    assert!(why.contains("USERNAME is SYS"), "{why}");
    // 18720 seconds are 5h 12m; a V$SESSION export's sessions are shown as instance 1.
    assert_eq!(
        decisions[1],
        json!({
            "policy": "idle", "inst_id": 1, "sid": 287, "serial": 62507, "logon_time": "2026-11-22T01:00:00Z",
            "username": "APEXDEV", "program": "sqlplus@web01", "machine": "web01", "decision": "act",
            "reason": "INACTIVE for 5h 12m, longer than 4h", "action": "kill",
            "statement": "ALTER SYSTEM KILL SESSION '287,62507,@1'"
        })
    );
    let mut rest = report.as_object().expect("an object").clone();
    rest.remove("decisions");
    // What the export lacks; which that is changes with what protections ask for.
    let notes = rest.remove("notes").expect("there is a place for notes");
    assert!(notes.as_array().is_some_and(|notes| !notes.is_empty()), "{notes}");
    let expected = json!({
        "database": "snapshot", "taken_at": "2026-11-22T10:00:00Z", "mode": "dry-run", "sessions": 4,
        "error": null, "refusals": [],
        "summary": {"act": 1, "pending": 0, "deferred": 0, "refused": 0, "protected": 1, "exempt": 0}
    });
    assert_eq!(Value::Object(rest), expected);
}

#[test]
fn a_plan_reads_standard_input_where_the_file_is_a_hyphen() {
    let site = desk();
    let export = File::open(site.path("sessions.csv")).expect("it was written");
    let mut command = site.command(&thin());
    let piped = ran(command
        .args(["plan", "--snapshot", "-", "--policies", "policies"])
        .stdin(export));
    assert_eq!(piped.code, Some(0), "{}", piped.err);
    assert_eq!(piped.out, plan(&site, &[]).out);
    let nothing = ran(site
        .command(&thin())
        .args(["plan", "--snapshot", "-", "--policies", "policies"])
        .stdin(std::process::Stdio::null()));
    assert_eq!(nothing.code, Some(2));
    assert!(
        nothing
            .err
            .contains("read saved sessions from standard input: it is empty"),
        "{}",
        nothing.err
    );
}

#[test]
fn a_plan_comes_in_every_format_and_goes_to_a_file() {
    let site = desk();
    for (format, signs) in [
        ("text", ["APEXDEV", "5h 12m"]),
        ("csv", ["policy,", "287,62507"]),
        ("markdown", ["| ", "APEXDEV"]),
        ("html", ["<!DOCTYPE html>", "APEXDEV"]),
        ("json", ["{\"database\"", "APEXDEV"]),
    ] {
        let told = plan(&site, &["--format", format]);
        assert_eq!(told.code, Some(0), "{}", told.err);
        for sign in signs {
            assert!(told.out.contains(sign), "{format} without {sign}: {}", told.out);
        }
        let filed = plan(&site, &["--format", format, "-o", "report"]);
        assert_eq!((filed.code, filed.out.as_str()), (Some(0), ""));
        if format != "text" {
            assert_eq!(
                fs::read_to_string(site.path("report")).expect("written"),
                told.out,
                "{format}"
            );
        }
    }
    let unwritable = plan(&site, &["-o", "no/such/folder/report"]);
    assert_eq!(unwritable.code, Some(2));
    assert!(unwritable.err.contains("no/such/folder/report"), "{}", unwritable.err);
    let unknown = plan(&site, &["--format", "pdf"]);
    assert!(
        unknown.code == Some(2) && unknown.err.contains("markdown"),
        "{}",
        unknown.err
    );
}

#[test]
fn ages_are_unknown_without_the_clock_of_the_database() {
    let site = desk();
    site.policies("policies: [{name: old, when: INACTIVE and connected longer than 8h, action: kill}]\n");
    let count = |more: &[&str]| {
        let told = plan(&site, &[more, &["--format", "json"]].concat());
        assert_eq!(told.code, Some(0), "{}", told.err);
        let report: Value = serde_json::from_str(&told.out).expect("JSON");
        (report["summary"]["act"].clone(), report["taken_at"].clone())
    };
    assert_eq!(count(&[]), (json!(0), Value::Null), "unknown never kills");
    let at = ["--taken-at", "2026-11-22T10:00:00Z"];
    assert_eq!(
        count(&at),
        (json!(1), json!("2026-11-22T10:00:00Z")),
        "287 since nine hours"
    );
    let bad = plan(&site, &["--taken-at", "yesterday"]);
    assert!(bad.code == Some(2) && bad.err.contains("--taken-at"), "{}", bad.err);
}

#[test]
fn assume_held_treats_a_hold_as_fulfilled() {
    let site = desk();
    site.policies("policies: [{name: idle, when: INACTIVE longer than 4h, for: 10m, action: kill}]\n");
    let decision = |more: &[&str]| {
        let told = plan(&site, &[more, &["--format", "json"]].concat());
        let report: Value = serde_json::from_str(&told.out).expect("JSON");
        let decisions = report["decisions"].as_array().expect("a list");
        let of_287 = decisions.iter().find(|decision| decision["sid"] == 287);
        of_287.expect("it matches")["decision"].clone()
    };
    assert_eq!(decision(&[]), "pending");
    assert_eq!(decision(&["--assume-held"]), "act");
}

#[test]
fn an_export_without_type_says_first_that_it_spares_everybody() {
    let site = desk();
    let lines = EXPORT.lines().map(|line| {
        let mut fields: Vec<&str> = line.split(',').collect();
        // TYPE is the eighth field, the sixth from the end: the name of a program may hold a comma.
        fields.remove(fields.len() - 6);
        fields.join(",") + "\n"
    });
    let export: String = lines.collect();
    assert!(!export.contains("type") && !export.contains("BACKGROUND"), "{export}");
    site.write("sessions.csv", export);
    let told = plan(&site, &[]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    let said = told
        .out
        .find("TYPE is missing")
        .unwrap_or_else(|| panic!("{}", told.out));
    let first = told.out.find("APEXDEV").unwrap_or(usize::MAX);
    assert!(said < first, "on top: {}", told.out);
    let told = plan(&site, &["--format", "json"]);
    let report: Value = serde_json::from_str(&told.out).expect("nothing else in it");
    assert_eq!(report["summary"]["act"], 0);
    let notes = report["notes"].as_array().expect("notes");
    assert!(
        notes
            .iter()
            .any(|note| note.as_str().is_some_and(|note| note.starts_with("TYPE is missing"))),
        "{notes:?}"
    );
}

#[test]
fn policy_tests_pass_fail_or_are_missing() {
    let site = Site::new();
    let case = project("tests/cases/idle-longer-than");
    let passed = site.orareaper(&["test", &case]);
    assert_eq!(passed.code, Some(0), "{}{}", passed.out, passed.err);
    assert!(passed.err.contains("1 passed, 0 failed"), "{}", passed.err);
    for file in ["policy.yaml", "timeline.yaml", "expect.yaml"] {
        let text = fs::read_to_string(Path::new(&case).join(file)).expect("a case");
        let changed = if file == "expect.yaml" {
            text.replace("5h 12m", "5h 13m")
        } else {
            text.clone()
        };
        assert_eq!(
            file == "expect.yaml",
            changed != text,
            "the case has another reason by now"
        );
        site.write(&format!("changed/{file}"), changed);
    }
    let failed = site.orareaper(&["test", "changed"]);
    assert_eq!(failed.code, Some(1), "{}{}", failed.out, failed.err);
    assert!(
        failed.out.contains("FAILED  changed") && failed.out.contains("5h 12m"),
        "{}",
        failed.out
    );
    let none = site.orareaper(&["test", "network"]);
    assert!(
        none.code == Some(2) && none.err.contains("no test found"),
        "{}",
        none.err
    );
}

#[test]
fn version_help_and_manual_are_printed() {
    let site = Site::new();
    version::is_printed(&site);
    let help = site.orareaper(&["--help"]);
    assert_eq!(help.code, Some(0));
    let commands = [
        "run",
        "demo",
        "plan",
        "check",
        "test",
        "pause",
        "resume",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(
            help.out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command}: {}",
            help.out
        );
        let own = site.orareaper(&[command, "--help"]);
        assert!(
            own.code == Some(0) && own.out.contains("Usage:"),
            "{command}: {}",
            own.err
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = site.orareaper(&["completions", shell]);
        assert!(
            script.code == Some(0) && script.out.contains("ORAREAPER_COMPLETE"),
            "{shell}"
        );
        let mut asked = site.command(&thin());
        asked
            .args(["--", "orareaper", "plan", "--assume"])
            .env("ORAREAPER_COMPLETE", shell)
            .env("_CLAP_COMPLETE_INDEX", "2");
        let offered = ran(&mut asked).out;
        assert!(offered.contains("--assume-held"), "{shell}: {offered}");
    }
    let man = site.orareaper(&["man"]);
    assert!(man.code == Some(0) && man.out.contains(".TH"), "{}", man.out);
    let written = site.orareaper(&["man", "--folder", "pages"]);
    assert_eq!((written.code, written.out.as_str()), (Some(0), ""), "{}", written.err);
    for command in commands {
        let page = std::fs::read_to_string(site.path(&format!("pages/orareaper-{command}.1")));
        let page = page.unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(
            page.contains(&format!(".TH orareaper-{command} 1 ")),
            "{command}: {page}"
        );
    }
    let first = std::fs::read_to_string(site.path("pages/orareaper.1")).expect("the first page");
    assert!(
        first.contains("orareaper\\-plan(1)") && first.contains("SIGHUP"),
        "{first}"
    );
    for wrong in [&["reap"][..], &["plan", "--taken-at", "now"], &["run", "--wet"], &[]] {
        let told = site.orareaper(wrong);
        assert_eq!(told.code, Some(2), "{wrong:?}");
        assert!(told.err.contains("Usage:"), "{wrong:?}: {}", told.err);
    }
}

/// Looks for the right and a wrong password in all output, files and log lines, at the most verbose level.
#[test]
fn no_secret_is_ever_written() {
    const WRONG: &str = "Wr0ng-zq7xKw";
    let secrets = [PASSWORD, WRONG, "zq7xKw"];
    let clean = |what: &str, text: &str| {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {what}: {text}");
        }
    };
    for driver in drivers() {
        let db = Db::builtin("tutorial");
        let site = desk();
        let database = entry("orcl", &driver, &db.connect_string(), true);
        site.configure_with(&[database.replace("{file: password}", "{env: REAPER_PW}")], "");
        for (password, listener, code) in [
            (PASSWORD, OnAccept::Serve, 0),
            (WRONG, OnAccept::Serve, 2),
            (PASSWORD, OnAccept::Drop, 2),
        ] {
            db.world.set_listener(listener);
            let mut command = site.command(&driver);
            command
                .env("REAPER_PW", password)
                .args(["--config", "orareaper.yaml", "--log", "trace", "plan"]);
            let told = ran(&mut command);
            assert_eq!(told.code, Some(code), "{}", told.err);
            clean("the output", &(told.out + &told.err));
        }
        db.world.set_listener(OnAccept::Serve);
        let mut daemon = site.run_with(&driver, |command| {
            command.env("REAPER_PW", PASSWORD);
        });
        daemon.looks("orcl", 1);
        let cmdline = fs::read(format!("/proc/{}/cmdline", daemon.pid())).expect("it runs");
        clean("its command line", &String::from_utf8_lossy(&cmdline));
        for page in ["/", "/metrics", "/readyz", "/healthz"] {
            clean(page, &daemon.page(page).1);
        }
        daemon.signal("TERM");
        daemon.ends();
        clean("its log", &daemon.log_text());
        clean("its state folder", &site.left_behind());
        assert!(!site.journal().is_empty());
    }
    // In the configuration itself a password is refused, and not repeated.
    let site = desk();
    for (find, replace) in [
        ("password: {file: password}", "password: Secr3t-zq7xKw"),
        ("connect: //h/P", "connect: reaper/Secr3t-zq7xKw@//h/P"),
        ("user: reaper", "user: reaper/Secr3t-zq7xKw"),
        ("{file: password}", "{text: Secr3t-zq7xKw}"),
    ] {
        let config = "databases: [{name: prod, connect: //h/P, user: reaper, password: {file: password}}]\npolicies: [policies]\n";
        assert!(config.contains(find));
        site.write("orareaper.yaml", config.replace(find, replace));
        for format in ["text", "short", "json"] {
            let told = site.orareaper(&["check", "--format", format, "orareaper.yaml"]);
            assert_eq!(told.code, Some(1), "{replace}: {}", told.err);
            clean(replace, &(told.out + &told.err));
        }
    }
}

#[test]
fn a_database_that_is_down_is_in_the_report_beside_one_that_is_up() {
    let site = desk();
    let db = Db::builtin("quiet");
    let up = entry("up", &thin(), &db.connect_string(), false);
    let down = entry("down", &thin(), "//127.0.0.1:1/X", false);
    site.configure_with(&[down, up], "");
    for format in ["text", "json", "csv", "markdown", "html"] {
        let told = site.orareaper(&["--config", "orareaper.yaml", "plan", "--format", format]);
        assert_eq!(told.code, Some(2), "{format}: {}", told.err);
        assert!(
            told.out.contains("127.0.0.1:1/X") && told.out.contains("Connection refused"),
            "{format}: {}",
            told.out
        );
        // Nothing was decided for the other database, so a table of decisions has no row for it.
        assert!(format == "csv" || told.out.contains("up"), "{format}: {}", told.out);
    }
    // Standard output is a pipe here: no line is cut, however long.
    let told = site.orareaper(&["--config", "orareaper.yaml", "plan"]);
    assert!(!told.out.contains('…'), "{}", told.out);
}

#[test]
fn a_password_that_everybody_may_read_is_told_once_for_each_file() {
    let site = desk();
    let databases = ["one", "two"].map(|name| entry(name, &thin(), "//127.0.0.1:1/X", false));
    site.configure_with(&databases, "");
    let quiet = site.orareaper(&["--config", "orareaper.yaml", "check"]);
    assert!(
        quiet.code == Some(0) && !quiet.err.contains("warning["),
        "{}",
        quiet.err
    );
    let credential = ["one", "two"]
        .map(|name| entry(name, &thin(), "//127.0.0.1:1/X", false).replace("{file: password}", "{credential: reaper}"));
    fs::create_dir(site.path("credentials")).expect("a folder");
    site.write("credentials/reaper", "secret");
    let set = |path: &str, mode| {
        fs::set_permissions(site.path(path), fs::Permissions::from_mode(mode)).expect("its owner may")
    };
    for (databases, file) in [(databases, "password"), (credential, "credentials/reaper")] {
        site.configure_with(&databases, "");
        let told = || {
            let told = site.orareaper(&["--config", "orareaper.yaml", "check"]);
            assert_eq!(told.code, Some(0), "a warning is no finding: {}", told.err);
            told.err
        };
        set(file, 0o644);
        set("credentials", 0o755);
        set(".", 0o700);
        assert!(
            !told().contains("warning["),
            "nobody else gets into the folder: {}",
            told()
        );
        set(".", 0o755);
        let err = told();
        assert_eq!(err.matches("secret-readable-by-all").count(), 1, "{err}");
        for words in ["one, two", "chmod 600", file] {
            assert!(err.contains(words), "{words}: {err}");
        }
        let doctor = site.orareaper(&["--config", "orareaper.yaml", "doctor", "--format", "json"]);
        assert!(
            doctor.out.contains("can read the password of one, two"),
            "{}",
            doctor.out
        );
        set(file, 0o600);
        assert!(!told().contains("warning["), "{}", told());
    }
}

/// Who changes them decides who gets the password, or by which account the daemon acts.
#[test]
fn what_decides_where_the_password_goes_may_be_changed_by_nobody_else() {
    let site = desk();
    fs::create_dir(site.path("tns")).expect("a folder");
    fs::create_dir(site.path("credentials")).expect("a folder");
    site.write("tns/tnsnames.ora", "");
    site.write("credentials/reaper", "secret");
    let databases = ["one", "two"].map(|name| {
        entry(name, &thin(), "//127.0.0.1:1/X", false)
            .replace("{file: password}", "{credential: reaper}\n    tns_admin: tns")
    });
    site.configure_with(&databases, "");
    let set = |path: &str, mode| {
        fs::set_permissions(site.path(path), fs::Permissions::from_mode(mode)).expect("its owner may")
    };
    set("credentials/reaper", 0o600);
    let told = || site.orareaper(&["--config", "orareaper.yaml", "check"]).err;
    assert!(!told().contains("warning["), "{}", told());
    for (path, mode, back, words) in [
        (
            "tns/tnsnames.ora",
            0o666,
            0o644,
            "change this file, and so say which server the password is sent to",
        ),
        (
            "tns",
            0o777,
            0o755,
            "change a file in this folder, and so say which server",
        ),
        (
            "credentials",
            0o777,
            0o755,
            "change a file in this folder, and so say by which password",
        ),
    ] {
        set(path, mode);
        let err = told();
        assert_eq!(err.matches("writable-by-all").count(), 1, "{path}: {err}");
        assert!(err.contains(words) && err.contains("chmod o-w"), "{path}: {err}");
        set(path, back);
        assert!(!told().contains("warning["), "{path}: {}", told());
    }
}

#[test]
fn the_json_output_of_sessions_is_refused_as_a_snapshot() {
    let site = desk();
    let listed = site.orareaper(&[
        "sessions",
        "--snapshot",
        "sessions.csv",
        "--policies",
        "policies",
        "--format",
        "json",
    ]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    site.write("listed.json", &listed.out);
    let told = site.orareaper(&["plan", "--snapshot", "listed.json", "--policies", "policies"]);
    assert_eq!(told.code, Some(2), "{}", told.err);
    assert!(
        told.err.contains("listed.json")
            && told.err.contains("written by `orareaper sessions`")
            && told.err.contains("record"),
        "{}",
        told.err
    );
}

#[test]
fn the_csv_output_of_sessions_is_read_with_a_note() {
    let site = desk();
    let list = [
        "sessions",
        "--snapshot",
        "sessions.csv",
        "--policies",
        "policies",
        "--format",
        "csv",
    ];
    let listed = site.orareaper(&[&list[..], &["--taken-at", "2026-11-22T10:00:00Z"]].concat());
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    site.write("listed.csv", &listed.out);
    let plan = |name: &str| site.orareaper(&["plan", "--snapshot", name, "--policies", "policies", "--format", "json"]);
    let told = plan("listed.csv");
    assert_eq!(told.code, Some(0), "{}", told.err);
    let report: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(report["sessions"], listed.out.lines().count() - 1, "{report}");
    assert_eq!(report["taken_at"], "2026-11-22T10:00:00Z", "{report}");
    let notes = report["notes"].to_string();
    assert!(notes.contains("`orareaper sessions` wrote the file"), "{notes}");
    let told = site.orareaper(&[
        "explain",
        "287,62507",
        "--snapshot",
        "listed.csv",
        "--policies",
        "policies",
    ]);
    assert_eq!(told.code, Some(0), "SERIAL# is read: {}", told.err);
    // TYPE is missing, so no session is known to be a user session.
    assert_eq!(report["summary"]["act"], 0, "{report}");
    let mut lines = listed.out.lines();
    let (head, one) = (lines.next().expect("a header"), lines.next().expect("a session"));
    let other = one.replacen(one.split(',').next().expect("a database"), "another", 1);
    site.write("two.csv", format!("{head}\r\n{one}\r\n{other}\r\n"));
    let told = plan("two.csv");
    assert!(
        told.code == Some(2) && told.err.contains("this one is from another"),
        "{}",
        told.err
    );
}

#[test]
fn a_plan_whose_breaker_is_open_says_so_in_its_heading_whatever_is_pending() {
    let site = Site::new();
    let mut export =
        "PROGRAM,SERIAL#,OSUSER,SID,STATUS,LAST_CALL_ET,USERNAME,TYPE,LOGON_TIME,MACHINE,MODULE,CLIENT_INFO,TADDR\n"
            .to_owned();
    for sid in 1..=8 {
        export += &format!("app,1,x,{sid},INACTIVE,20000,SHOP,USER,2026-11-22T01:00:00,web01,,,\n");
    }
    site.write("sessions.csv", export);
    site.policies("policies: [{name: idle, when: INACTIVE longer than 4h, for: 10m, action: kill}]\n");
    let ran = plan(&site, &["--taken-at", "2026-11-22T10:00:00Z", "--format", "text"]);
    let heading = ran.out.lines().find(|line| line.starts_with("idle (dry-run, kill)"));
    assert_eq!(
        heading,
        Some("idle (dry-run, kill): breaker open, no session is acted on: 8 pending"),
        "{}{}",
        ran.out,
        ran.err
    );
}
