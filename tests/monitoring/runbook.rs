//! docs/runbook.md has an entry for each alert and no other, and names what there is.

use std::collections::BTreeSet;
use std::path::Path;

use super::{alerts, read};
use crate::command_lines::lines;
use crate::documentation::{blocks, rust_files};

/// What each entry says, in this order.
const PARTS: [&str; 5] = ["Severity", "Means", "Look at", "Do", "Resolves"];

/// The entries: their headings and texts.
fn entries(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n### ").skip(1);
    parts
        .map(|part| {
            let (heading, text) = part.split_once('\n').expect("a heading and a text");
            (heading, text.split("\n## ").next().unwrap_or_default())
        })
        .collect()
}

#[test]
fn each_alert_has_its_entry_and_each_entry_its_alert() {
    let page = read("docs/runbook.md");
    let entries = entries(&page);
    let alerts = alerts(&read("monitoring/alerts.yml"));
    let of_entries: BTreeSet<&str> = entries.iter().map(|(heading, _)| *heading).collect();
    let of_alerts: BTreeSet<&str> = alerts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(of_entries, of_alerts);
    assert_eq!(entries.len(), alerts.len(), "an entry is there twice");
    for (name, rule) in &alerts {
        let url = format!("runbook_url: docs/runbook.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&url), "{name} has no {url}");
        let (_, entry) = entries.iter().find(|(heading, _)| heading == name).expect("seen above");
        let severity = rule.lines().find_map(|line| line.trim().strip_prefix("severity: "));
        let said = format!("**Severity**: {}.", severity.expect("it has one"));
        assert!(entry.contains(&said), "{name}: {said}");
    }
}

#[test]
fn each_entry_says_what_to_look_at_and_what_to_do() {
    for (name, entry) in entries(&read("docs/runbook.md")) {
        let begun = entry.lines().filter_map(|line| line.strip_prefix("**"));
        let parts: Vec<&str> = begun.filter_map(|line| Some(line.split_once("**:")?.0)).collect();
        assert_eq!(parts, PARTS, "{name}");
        let look = entry
            .split("**Look at**")
            .nth(1)
            .and_then(|rest| rest.split("**Do**").next());
        let look = blocks(look.expect("it has the part"));
        assert!(!look.is_empty(), "{name}: nothing to look at with");
    }
}

/// A filter of the log that fits no message would say that nothing happened.
#[test]
fn each_filter_of_the_log_fits_a_message() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let code: String = files
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("readable"))
        .collect();
    let mut filters = 0;
    for line in lines("docs/runbook.md") {
        let Some(at) = line.words.iter().position(|word| word == "--grep") else {
            continue;
        };
        let filter = &line.words[at + 1];
        let in_quotes = |line: &str| {
            line.split('"')
                .skip(1)
                .step_by(2)
                .any(|words| words.contains(filter.as_str()))
        };
        let fits = code.lines().any(in_quotes);
        assert!(
            fits,
            "docs/runbook.md line {}: no message has `{filter}` in it",
            line.number
        );
        filters += 1;
    }
    assert!(filters >= 6, "{filters}");
}
