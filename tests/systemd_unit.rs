//! The units: `systemd-analyze` finds no fault, rates the sandboxes as tight, and every line has a comment with its reason. So it does
//! for the templates that packaging/instance-unit makes of them, which a package has as well.
//!
//! The units name /usr/bin/orareaper, which a build machine does not have, and systemd-analyze checks that it is executable. So the
//! tests use copies that name the built binary. Copies with a fault show that both checks can fail.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The exposure, from 0 (none) to 10, that the sandbox must not exceed.
const MOST_EXPOSED: f64 = 2.0;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Whether systemd-analyze is here; where clients are required, it must be.
fn analyze_is_here() -> bool {
    let found = Command::new("systemd-analyze")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        assert!(
            env::var_os("ORAREAPER_REQUIRE_CLIENTS").is_none(),
            "systemd-analyze is required here and missing"
        );
        println!("not run: no systemd-analyze");
    }
    found
}

/// The unit with the built binary's path, changed by `change`, as a file in a folder named for the test.
fn copy(test: &str, change: impl Fn(String) -> String) -> PathBuf {
    let binary = env!("CARGO_BIN_EXE_orareaper");
    let unit = read("systemd/orareaper.service");
    assert!(
        unit.contains("ExecStart=/usr/bin/orareaper "),
        "the unit starts another program"
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&folder).expect("target/tmp can be written to");
    let file = folder.join("orareaper.service");
    fs::write(&file, change(unit.replace("/usr/bin/orareaper", binary))).expect("target/tmp can be written to");
    file
}

/// Every unit of the project, by its file's name.
fn units() -> Vec<String> {
    let entries = fs::read_dir(project("systemd")).expect("the folder is there");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.expect("is read").file_name().into_string().ok())
        .filter(|name| name.ends_with(".service") || name.ends_with(".timer"))
        .collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}: this test looks at the wrong thing");
    names
}

/// The template of a unit, for one daemon a database.
fn template(unit: &str) -> String {
    let output = Command::new(project("packaging/instance-unit"))
        .arg(project("systemd").join(unit))
        .output()
        .expect("packaging/instance-unit runs");
    assert!(output.status.success(), "{unit}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// All units and an instance of each template, as files in a folder named for the test.
fn copies(test: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&folder).expect("target/tmp can be written to");
    let mut files = Vec::new();
    for unit in units() {
        let (stem, kind) = unit.rsplit_once('.').expect("it ends in its kind");
        for (name, text) in [
            (unit.clone(), read(&format!("systemd/{unit}"))),
            (format!("{stem}@prod.{kind}"), template(&unit)),
        ] {
            let file = folder.join(name);
            let text = text.replace("/usr/bin/orareaper", env!("CARGO_BIN_EXE_orareaper"));
            fs::write(&file, text).expect("target/tmp can be written to");
            files.push(file);
        }
    }
    files
}

/// Exit status and everything that was printed.
fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg("--no-pager")
        .arg(unit)
        .env("SYSTEMD_COLORS", "0")
        .output()
        .expect("systemd-analyze was there a moment ago");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// The number in `Overall exposure level for orareaper.service: 1.1 OK`.
fn exposure(unit: &Path) -> f64 {
    let (_, text) = analyze(&["security", "--offline=true"], unit);
    let line = text
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .unwrap_or_else(|| panic!("no exposure level in:\n{text}"));
    let words = line.rsplit(": ").next().unwrap_or_default();
    let number = words.split_whitespace().next().unwrap_or_default();
    number.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A line of the unit: section, name, value.
fn directives(unit: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in unit.lines() {
        if line.starts_with('[') {
            line.clone_into(&mut section);
        } else if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            found.push((section.clone(), name.to_owned(), value.to_owned()));
        }
    }
    found
}

#[test]
fn the_units_verify() {
    if !analyze_is_here() {
        return;
    }
    for unit in copies("verifies") {
        let (fine, text) = analyze(&["verify"], &unit);
        assert!(
            fine && text.trim().is_empty(),
            "systemd-analyze verify {}:\n{text}",
            unit.display()
        );
    }
}

#[test]
fn a_unit_with_a_fault_does_not_verify() {
    if !analyze_is_here() {
        return;
    }
    let misspelt = copy("misspelt", |unit| unit.replace("ProtectClock=", "ProtectClocks="));
    let (_, text) = analyze(&["verify"], &misspelt);
    assert!(
        text.contains("ProtectClocks"),
        "a misspelt line went unnoticed:\n{text}"
    );
    let missing = copy("missing", |unit| unit.replace("ExecStart=/", "ExecStart=/nowhere/"));
    let (fine, text) = analyze(&["verify"], &missing);
    assert!(
        !fine && text.contains("/nowhere/"),
        "a missing program went unnoticed:\n{text}"
    );
}

#[test]
fn the_sandboxes_are_tight() {
    if !analyze_is_here() {
        return;
    }
    let services = copies("tight")
        .into_iter()
        .filter(|unit| unit.extension() == Some("service".as_ref()));
    for unit in services {
        let level = exposure(&unit);
        println!("{}: exposure {level}", unit.display());
        assert!(
            level <= MOST_EXPOSED,
            "{}: exposure {level}, more than {MOST_EXPOSED}",
            unit.display()
        );
    }
}

#[test]
fn a_unit_without_its_sandbox_is_exposed() {
    if !analyze_is_here() {
        return;
    }
    let open = copy("open", |unit| {
        let kept = unit.lines().filter(|line| {
            let name = line.split('=').next().unwrap_or_default();
            !name.starts_with("Protect") && !name.starts_with("SystemCall") && name != "User"
        });
        kept.collect::<Vec<_>>().join("\n")
    });
    let level = exposure(&open);
    assert!(level > MOST_EXPOSED, "exposure {level} although the sandbox is gone");
}

#[test]
fn every_line_says_why() {
    let mut seen = 0;
    for unit in units() {
        let mut explained = false;
        let mut asks = false;
        for line in read(&format!("systemd/{unit}")).lines() {
            if line.starts_with('[') {
                asks = line == "[Service]" || line == "[Timer]";
                explained = false;
            } else if line.starts_with('#') {
                // A rule across the page is a heading, no reason.
                explained = !line.starts_with("# ---");
            } else if line.trim().is_empty() {
                explained = false;
            } else if asks {
                seen += 1;
                // What runs once and ends says so by its type.
                assert!(
                    explained || line == "Type=oneshot",
                    "{unit}: no reason is given for `{line}`"
                );
            }
        }
    }
    assert!(
        seen > 100,
        "{seen} lines in [Service] and [Timer]: this test looks at the wrong thing"
    );
}

/// An instance shares nothing with another one, nor with the one daemon, but the user and the group.
#[test]
fn an_instance_has_files_of_its_own() {
    let of = |unit: &str| directives(&template(unit));
    let has = |unit: &str, name: &str, value: &str| {
        let found = of(unit);
        assert!(
            found.iter().any(|line| line.1 == name && line.2.contains(value)),
            "{unit}: no {name}={value} in {found:?}"
        );
    };
    has("orareaper.service", "ExecStart", "--config /etc/orareaper/%i.yaml run");
    has(
        "orareaper.service",
        "LoadCredential",
        "%i:/etc/orareaper/credentials/%i",
    );
    has("orareaper.service", "StateDirectory", "orareaper/%i");
    has("orareaper.service", "RuntimeDirectory", "orareaper-%i");
    for unit in ["orareaper-history.service", "orareaper-summary.service"] {
        has(unit, "ExecStart", "--config /etc/orareaper/%i.yaml history");
        has(unit, "ExecStart", "--output /var/lib/orareaper/%i/history/");
        has(unit, "StateDirectory", "orareaper/%i/history");
    }
    // Nothing but names and the heading differs: the sandbox is the same, line by line.
    for unit in units() {
        let (own, instance) = (directives(&read(&format!("systemd/{unit}"))), of(&unit));
        assert_eq!(own.len(), instance.len(), "{unit}");
        let differ: Vec<_> = own.iter().zip(&instance).filter(|(one, other)| one != other).collect();
        assert!(
            differ
                .iter()
                .all(|(one, other)| one.1 == other.1 && other.2.contains("%i")),
            "{unit}: {differ:?}"
        );
    }
}

#[test]
fn what_others_rely_on_is_there() {
    let unit = directives(&read("systemd/orareaper.service"));
    let expected = [
        ("[Service]", "Type", "notify"),
        ("[Service]", "NotifyAccess", "main"),
        (
            "[Service]",
            "ExecStart",
            "/usr/bin/orareaper --config /etc/orareaper/orareaper.yaml run",
        ),
        ("[Service]", "ExecReload", "/bin/kill -HUP $MAINPID"),
        ("[Service]", "Restart", "on-failure"),
        (
            "[Service]",
            "ExecStopPost",
            "+/bin/sh -c 'test \"$SERVICE_RESULT\" != success || systemctl reset-failed %n'",
        ),
        ("[Service]", "RestartPreventExitStatus", "1 2"),
        ("[Service]", "LoadCredential", "prod:/etc/orareaper/credentials/prod"),
        ("[Service]", "StateDirectory", "orareaper"),
        ("[Service]", "StateDirectoryMode", "0750"),
        ("[Service]", "RuntimeDirectory", "orareaper"),
        ("[Service]", "RuntimeDirectoryMode", "0755"),
        ("[Service]", "ConfigurationDirectory", "orareaper"),
        ("[Service]", "User", "orareaper"),
        ("[Service]", "Group", "orareaper"),
        ("[Service]", "UMask", "0027"),
        ("[Service]", "LimitCORE", "0"),
        ("[Service]", "Environment", "TNS_ADMIN=/etc/orareaper"),
        ("[Service]", "Environment", "MALLOC_ARENA_MAX=2"),
    ];
    for (section, name, value) in expected {
        let found: Vec<_> = unit.iter().filter(|line| line.0 == section && line.1 == name).collect();
        assert!(
            found.iter().any(|line| line.2 == value),
            "{section} {name}={value} is not there, but {found:?}"
        );
    }
    assert!(unit.iter().any(|line| line.1 == "WatchdogSec"), "no watchdog");
}

/// A dynamic user's state is under /var/lib/private, which only root may enter: no group could read the journal.
#[test]
fn the_group_can_reach_the_state_folder() {
    let unit = directives(&read("systemd/orareaper.service"));
    assert!(!unit.iter().any(|line| line.1 == "DynamicUser"));
    let users = read("systemd/orareaper.sysusers");
    assert!(users.lines().any(|line| line.starts_with("u orareaper - ")), "{users}");
}

#[test]
fn the_oracle_client_neither_traces_nor_catches_signals() {
    let settings = read("systemd/sqlnet.ora");
    let lines: Vec<&str> = settings
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    assert_eq!(lines, ["DIAG_ADR_ENABLED=OFF", "DIAG_SIGHANDLER_ENABLED=FALSE"]);
}

#[test]
fn the_example_configuration_arms_nothing_and_holds_no_secret() {
    let example = read("systemd/orareaper.yaml");
    let lines: Vec<&str> = example
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .collect();
    let armed: Vec<&&str> = lines.iter().filter(|line| line.starts_with("armed:")).collect();
    assert_eq!(armed, [&"armed: false"], "one database, and it is not armed");
    let password = lines
        .iter()
        .find(|line| line.starts_with("password:"))
        .expect("the example has a password");
    assert!(
        password.starts_with("password: {credential: prod}"),
        "{password}: not the credential that the unit loads"
    );
}
