//! The alert rules, checked by promtool and against the daemon's metrics.
//!
//! promtool checks the rules and runs their unit tests (monitoring/alerts.test.yml). These tests also check that the rules use only
//! metrics and label values that the daemon has: an alert with a misspelt name never fires, and nothing else would show that. The
//! dashboard and the runbook are held against the same metrics and alerts.

mod dashboard;
mod runbook;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use orareaper::decide::outcome::Outcome;
use orareaper::oracle::Class;

use crate::every_event::every_metric;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// `$PROMTOOL`, what `tests/fetch-clients` fetched, or one on the PATH; where clients are required, there must be one.
fn promtool() -> Option<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| project("target"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let named = env::var_os("PROMTOOL").map(PathBuf::from);
    let fetched = target.join("test-clients/bin/promtool");
    let found = named
        .into_iter()
        .chain([fetched])
        .chain(env::split_paths(&path).map(|folder| folder.join("promtool")))
        .find(|tool| tool.is_file());
    if found.is_none() {
        assert!(
            env::var_os("ORAREAPER_REQUIRE_CLIENTS").is_none(),
            "promtool is required here and missing"
        );
        println!("not run: no promtool");
    }
    found
}

/// Whether promtool succeeds, and its output.
fn run(tool: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(project("monitoring"))
        .output()
        .unwrap_or_else(|error| panic!("run {}: {error}", tool.display()));
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// The words in `text` that begin with `prefix` and go on as a metric's name does, without the prefix.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c: char| !continues(c))
        .filter_map(|word| word.strip_prefix(prefix))
        .map(str::to_owned)
        .collect()
}

/// The values in `label="..."`, `label!="..."` and `label=~"a|b"`, wherever they stand.
fn values(text: &str, label: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(label) {
        let rest = &text[at + label.len()..];
        if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let Some(value) = ["=\"", "!=\"", "=~\"", "!~\""]
            .iter()
            .find_map(|operator| rest.strip_prefix(operator))
        else {
            continue;
        };
        let value = value.split('"').next().unwrap_or_default();
        found.extend(value.split('|').map(str::to_owned));
    }
    found
}

/// Name and text of each alert.
fn alerts(rules: &str) -> Vec<(String, String)> {
    let mut parts = rules.split("- alert: ");
    parts.next();
    parts
        .map(|part| {
            let name = part.split_whitespace().next().unwrap_or_default();
            let end = part.find("- record: ").unwrap_or(part.len());
            (name.to_owned(), part[..end].to_owned())
        })
        .collect()
}

#[test]
fn promtool_accepts_the_rules_and_the_scrape_configuration() {
    let Some(tool) = promtool() else { return };
    let (fine, text) = run(&tool, &["check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"]);
    assert!(fine, "promtool check rules:\n{text}");
    let (fine, text) = run(&tool, &["check", "config", "prometheus.yml"]);
    assert!(fine, "promtool check config:\n{text}");
}

#[test]
fn the_rules_pass_their_unit_tests() {
    let Some(tool) = promtool() else { return };
    let (fine, text) = run(&tool, &["test", "rules", "alerts.test.yml"]);
    assert!(fine && text.contains("SUCCESS"), "promtool test rules:\n{text}");
}

#[test]
fn rules_that_let_a_dry_run_alert_fail_their_unit_tests() {
    let Some(tool) = promtool() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistaken-rules");
    fs::create_dir_all(&folder).expect("target/tmp can be written to");
    let mistaken = read("monitoring/alerts.yml").replace("mode=\"enforce\",", "");
    fs::write(folder.join("alerts.yml"), mistaken).expect("target/tmp can be written to");
    let tests = folder.join("alerts.test.yml");
    fs::copy(project("monitoring/alerts.test.yml"), &tests).expect("target/tmp can be written to");
    let (fine, text) = run(&tool, &["test", "rules", &tests.to_string_lossy()]);
    assert!(!fine, "a dry run that alerts as a kill went unnoticed:\n{text}");
    assert!(
        text.contains("OrareaperSessionKilled"),
        "it failed for another reason:\n{text}"
    );
}

#[test]
fn the_rules_speak_of_metrics_that_there_are() {
    let known = every_metric();
    let is_known = |name: &str| known.contains_key(&format!("orareaper_{name}"));
    for file in ["monitoring/alerts.yml", "monitoring/alerts.test.yml"] {
        let used = names(&read(file), "orareaper_");
        assert!(used.len() > 5, "{file}: {used:?}: this test looks at the wrong thing");
        let unknown: Vec<_> = used
            .iter()
            .filter(|name| !is_known(name) && !is_histogram(name))
            .collect();
        assert!(
            unknown.is_empty(),
            "{file} uses metrics that the daemon does not have: {unknown:?}"
        );
    }
}

/// The series that Prometheus makes of the one histogram.
fn is_histogram(name: &str) -> bool {
    ["_bucket", "_sum", "_count"]
        .iter()
        .any(|suffix| name.strip_suffix(suffix) == Some("cycle_duration_seconds"))
}

#[test]
fn alerts_and_daemon_count_the_same_outcomes_as_kills() {
    let rules = read("monitoring/alerts.yml");
    let line = rules
        .lines()
        .skip_while(|line| !line.contains("- record: orareaper:kills:total"))
        .find(|line| line.contains("expr:"))
        .expect("alerts.yml says what a kill is");
    assert_eq!(values(line, "mode"), BTreeSet::from(["enforce".to_owned()]));
    // What is followed is what may have ended a session; in a dry run that is only assumed.
    let kills: BTreeSet<String> = Outcome::ALL
        .into_iter()
        .filter(|outcome| outcome.is_followed() && *outcome != Outcome::Assumed)
        .map(|outcome| outcome.name().to_owned())
        .collect();
    assert_eq!(values(line, "outcome"), kills);
}

#[test]
fn the_rules_use_label_values_that_there_are() {
    for file in ["monitoring/alerts.yml", "monitoring/alerts.test.yml"] {
        let text = read(file);
        for outcome in values(&text, "outcome") {
            assert!(
                Outcome::named(&outcome).is_some(),
                "{file}: no outcome is called {outcome}"
            );
        }
        let classes: BTreeSet<String> = Class::ALL.iter().map(|class| class.name().to_owned()).collect();
        let used = values(&text, "class");
        assert!(
            !used.is_empty() && used.is_subset(&classes),
            "{file}: {used:?} are not all among {classes:?}"
        );
        let modes = BTreeSet::from(["dry-run".to_owned(), "enforce".to_owned()]);
        let used = values(&text, "mode");
        assert!(
            !used.is_empty() && used.is_subset(&modes),
            "{file}: {used:?} are not all modes"
        );
    }
}

#[test]
fn alerts_name_commands_that_there_are() {
    let help = Command::new(env!("CARGO_BIN_EXE_orareaper"))
        .arg("--help")
        .output()
        .expect("the program starts");
    let help = String::from_utf8(help.stdout).expect("text");
    let is_command = |word: &str| {
        help.lines()
            .any(|line| line.trim_start().split(' ').next() == Some(word))
    };
    assert!(is_command("plan") && !is_command("plans"), "{help}");
    let text = read("monitoring/alerts.yml");
    let commands = text.split("`orareaper ").skip(1);
    let commands: BTreeSet<&str> = commands
        .filter_map(|rest| rest.split([' ', '`', '\n']).next())
        .collect();
    assert!(commands.len() >= 3, "{commands:?}: this test looks at the wrong thing");
    for command in commands {
        assert!(is_command(command), "there is no `orareaper {command}`");
    }
}

#[test]
fn every_alert_tells_what_to_do_and_is_tested_both_ways() {
    let tests = read("monitoring/alerts.test.yml");
    let alerts = alerts(&read("monitoring/alerts.yml"));
    assert!(
        alerts.len() >= 12,
        "{} alerts: this test looks at the wrong thing",
        alerts.len()
    );
    for (name, text) in alerts {
        let severity = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("severity: "))
            .unwrap_or_else(|| panic!("{name} has no severity"));
        assert!(
            ["info", "warning", "critical"].contains(&severity),
            "{name}: severity {severity}"
        );
        for annotation in ["summary: ", "description: ", "runbook: "] {
            assert!(text.contains(annotation), "{name} has no {annotation}");
        }
        assert!(
            text.contains("`orareaper ") || text.contains("`journalctl"),
            "{name} names no command"
        );
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "no unit test shows {name} firing");
        let silent = format!("alertname: {name}, exp_alerts: []}}");
        assert!(tests.contains(&silent), "no unit test shows {name} not firing");
    }
}
