//! `check`, over configurations, policies and releases.

use super::*;

#[test]
fn check_has_a_status_for_valid_invalid_and_unreadable_files() {
    let site = desk();
    let fine = site.orareaper(&["check", "policies"]);
    assert_eq!(fine.code, Some(0), "{}", fine.err);
    assert!(
        fine.err
            .contains("1 file, 1 policy, 0 exemptions, 0 errors, 0 warnings"),
        "{}",
        fine.err
    );

    site.write(
        "bad.yaml",
        "policies:\n  - {name: idle, when: INACTIVE longer then 4h, action: kill}\n",
    );
    let bad = site.orareaper(&["check", "bad.yaml"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.contains("bad.yaml:2:"), "{}", bad.err);
    let short = site.orareaper(&["check", "--format", "short", "bad.yaml"]);
    assert_eq!(short.code, Some(1));
    assert!(short.out.starts_with("bad.yaml:2:"), "{}", short.out);
    let listed = site.orareaper(&["check", "--format", "json", "bad.yaml"]);
    assert_eq!(listed.code, Some(1));
    let problems: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(
        (&problems[0]["file"], &problems[0]["line"]),
        (&json!("bad.yaml"), &json!(2))
    );
    assert_eq!(problems[0]["severity"], "error");
    let column = problems[0]["column"].as_u64().expect("a column");
    let at = "  - {name: idle, when: INACTIVE longer then 4h"
        .find("longer")
        .expect("there") as u64
        + 1;
    assert!((at..at + 12).contains(&column), "{column} is not about `longer then`");

    // A warning is no finding.
    site.write(
        "warned.yaml",
        IDLE.replace("action: kill", "action: kill, limits: {per_cycle: 50, per_hour: 20}"),
    );
    let warned = site.orareaper(&["check", "--format", "json", "warned.yaml"]);
    let problems: Value = serde_json::from_str(&warned.out).expect("JSON");
    assert_eq!(
        (warned.code, &problems[0]["severity"]),
        (Some(0), &json!("warning")),
        "{}",
        warned.out
    );

    let missing = site.orareaper(&["check", "nowhere.yaml"]);
    assert!(
        missing.code == Some(2) && missing.err.contains("nowhere.yaml"),
        "{}",
        missing.err
    );
}

#[test]
fn mistakes_of_the_configuration_and_of_its_policies_are_told_in_one_run() {
    let site = Site::new();
    site.write(
        "orareaper.yaml",
        "databases: [{name: prod, connect: PROD, external: true, pol: 15s}]\npolicies: [policies/*.yaml]\n",
    );
    site.policies("policies:\n  - {name: idle, when: INACTIVE longer then 4h, action: kill}\n");
    let told = site.orareaper(&["--config", "orareaper.yaml", "check", "--format", "json"]);
    assert_eq!(told.code, Some(1), "{}", told.err);
    let problems: Value = serde_json::from_str(&told.out).expect("JSON");
    let problems: Vec<(&str, u64)> = problems
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            (
                one["file"].as_str().unwrap_or_default(),
                one["line"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[0], ("orareaper.yaml", 1));
    assert!(
        problems[1].0.ends_with("policies/policies.yaml") && problems[1].1 == 2,
        "{problems:?}"
    );
    let told = site.orareaper(&["--config", "nowhere.yaml", "check"]);
    assert_eq!(told.code, Some(2), "{}", told.err);
}

#[test]
fn check_reports_what_a_release_lacks() {
    let site = Site::new();
    site.write(
        "p.yaml",
        "policies:\n  - {name: a, when: con_id = 3 and idle > 4h, action: kill noreplay}\n  - {name: b, when: ACTIVE \
         longer than 4h, action: cancel sql, escalate: [{after: 5m, action: kill force}]}\n  \
         - {name: c, while: pga above 80%, until: pga below 60%, when: idle > 4h, action: kill}\n  \
         - {name: d, while: pga above 8GB, until: pga below 6GB, when: idle > 4h, action: kill}\n\
         exemptions:\n  - {when: con_id = 4 and idle < 5h, reason: r, owner: o}\n",
    );
    // NOREPLAY, CON_ID and PGA_AGGREGATE_LIMIT came with 12.1, CANCEL SQL with 18, FORCE with 23.
    for (release, code, expected) in [
        (
            "11.2",
            1,
            &[
                "2 action", "2 column", "3 action", "3 action", "4 gate", "4 gate", "7 column",
            ][..],
        ),
        ("12.1", 1, &["3 action", "3 action"]),
        ("19", 1, &["3 action"]),
        ("23", 0, &[]),
    ] {
        let told = site.orareaper(&["check", "--release", release, "--format", "json", "p.yaml"]);
        assert_eq!(told.code, Some(code), "{release}: {}", told.err);
        let problems: Value = serde_json::from_str(&told.out).expect("JSON");
        let found: Vec<String> = problems
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| {
                let code = one["code"].as_str().unwrap_or_default();
                format!(
                    "{} {}",
                    one["line"],
                    code.strip_suffix("-not-on-release").unwrap_or(code)
                )
            })
            .collect();
        assert_eq!(found, expected, "{release}");
    }
    let told = site.orareaper(&["check", "--release", "9i", "p.yaml"]);
    assert!(
        told.code == Some(2) && told.err.contains("such as 12.1"),
        "{}",
        told.err
    );
}

#[test]
fn shipped_files_pass_check_without_a_warning() {
    let site = Site::new();
    let policies = site.orareaper(&["check", &project("policies")]);
    assert_eq!(policies.code, Some(0), "{}", policies.err);
    assert!(policies.err.contains("0 errors, 0 warnings"), "{}", policies.err);
    let configuration = site.orareaper(&["check", &project("systemd/orareaper.yaml")]);
    assert_eq!(configuration.code, Some(0), "{}", configuration.err);
    assert!(
        configuration
            .err
            .contains("1 file, 0 policies, 0 exemptions, 0 errors, 0 warnings"),
        "{}",
        configuration.err
    );
}

#[test]
fn check_counts_exemptions_and_names_the_files_that_it_does_not_read() {
    let site = desk();
    let exempt = "exemptions:\n  - {when: username = 'SCOTT', reason: month-end, owner: jane}\n";
    site.write("policies/ex.yaml", exempt);
    let read = site.orareaper(&["check", "policies"]);
    assert!(
        read.err
            .contains("2 files, 1 policy, 1 exemption, 0 errors, 0 warnings"),
        "{}",
        read.err
    );
    for (name, told) in [
        ("ex.YAML", "policies/ex.YAML"),
        (".ex.yaml", "policies/.ex.yaml"),
        ("ex.yaml.new", "policies/ex.yaml.new"),
        ("ex.yaml.bak", "policies/ex.yaml.bak"),
        ("sub/ex.yaml", "policies/sub"),
    ] {
        std::fs::remove_file(site.path("policies/ex.yaml")).expect("it was there");
        site.write(&format!("policies/{name}"), exempt);
        let warned = site.orareaper(&["check", "policies"]);
        let (code, text) = (warned.code, format!("{}{}", warned.out, warned.err));
        assert_eq!(code, Some(0), "a warning refuses nothing: {text}");
        assert!(
            text.contains("1 file, 1 policy, 0 exemptions, 0 errors, 1 warning"),
            "{text}"
        );
        assert!(text.contains("warning[not-read]") && text.contains(told), "{text}");
        std::fs::remove_file(site.path(&format!("policies/{name}"))).expect("it was there");
        site.write("policies/ex.yaml", exempt);
    }
}
