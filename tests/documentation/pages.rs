//! The pages on metrics and on the journal have everything that the program writes, and nothing else.

use super::*;

/// The tables under the heading `## heading` of a page: each row's cells.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, text) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let text = text.split("\n## ").next().unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let cells = lines.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    });
    let rows: Vec<Vec<String>> = cells.skip(2).collect();
    assert!(!rows.is_empty(), "{heading} has no table");
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The only word between backticks.
fn word(cell: &str) -> String {
    let words = quoted(cell);
    assert_eq!(words.len(), 1, "one word is expected: {cell}");
    words.into_iter().next().unwrap_or_default()
}

/// The rows of all metrics on the page, by name.
fn documented_metrics(page: &str) -> BTreeMap<String, Vec<String>> {
    let sections = ["Sessions and actions", "Databases", "The daemon"];
    let rows = sections.iter().flat_map(|heading| rows(page, heading));
    let mut metrics = BTreeMap::new();
    for row in rows {
        let name = word(&row[0]);
        assert!(metrics.insert(name.clone(), row).is_none(), "{name} is described twice");
    }
    metrics
}

#[test]
fn the_page_on_metrics_has_every_metric_with_type_and_labels() {
    let page = read("docs/metrics.md");
    let label_names = |family: &Family| family.labels.keys().cloned().collect::<BTreeSet<String>>();
    let shown: BTreeMap<String, (String, BTreeSet<String>)> = every_metric()
        .into_iter()
        .map(|(name, family)| (name, (family.kind.clone(), label_names(&family))))
        .collect();
    let documented: BTreeMap<String, (String, BTreeSet<String>)> = documented_metrics(&page)
        .into_iter()
        .map(|(name, row)| (name, (row[1].clone(), quoted(&row[2]))))
        .collect();
    assert_eq!(documented, shown);
}

#[test]
fn the_page_on_metrics_has_every_value_of_every_closed_label() {
    let page = read("docs/metrics.md");
    let open = ["database", "policy", "inst_id", "receiver", "version"];
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (label, values) in every_metric().into_values().flat_map(|family| family.labels) {
        shown.entry(label).or_default().extend(values);
    }
    let documented: BTreeMap<String, String> = rows(&page, "Labels")
        .into_iter()
        .map(|row| (word(&row[0]), row[1].clone()))
        .collect();
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        shown.keys().collect::<Vec<_>>(),
        "labels"
    );
    for (label, values) in shown.iter().filter(|(label, _)| !open.contains(&label.as_str())) {
        let mut words = quoted(&documented[label]);
        // These are where the values come from.
        words.retain(|word| !["while:", "until:"].contains(&word.as_str()));
        assert_eq!(&words, values, "label {label}");
    }
}

#[test]
fn the_page_on_metrics_explains_every_outcome_reason_and_class() {
    let page = read("docs/metrics.md");
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
    let documented: Vec<(String, String, String)> = rows(&page, "Outcomes")
        .into_iter()
        .map(|row| (word(&row[0]), row[2].clone(), row[3].clone()))
        .collect();
    let outcomes = Outcome::ALL.map(|outcome| {
        let (counts, followed) = (yes_or_no(outcome.counts()), yes_or_no(outcome.is_followed()));
        (outcome.name().to_owned(), counts.to_owned(), followed.to_owned())
    });
    assert_eq!(documented, outcomes);
    let words = |heading: &str| {
        let words = rows(&page, heading).into_iter().map(|row| word(&row[0]));
        words.collect::<BTreeSet<String>>()
    };
    assert_eq!(
        words("Classes of errors"),
        Class::ALL.map(|class| class.name().to_owned()).into()
    );
    let mut reasons = every_metric()["orareaper_spared_total"].labels["reason"].clone();
    reasons.retain(|reason| Protection::named(reason).is_none());
    assert_eq!(words("Reasons"), reasons);
}

/// The alerts whose expressions use each metric, directly or through recording rules.
fn alerts_by_metric() -> BTreeMap<String, BTreeSet<String>> {
    let file: Value = serde_yaml::from_str(&read("monitoring/alerts.yml")).expect("well-formed");
    let groups = file["groups"].as_array().expect("groups");
    let rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
        .collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names = |rule: &Value| -> BTreeSet<String> {
        let words = rule["expr"].as_str().expect("an expression").split(|c| !is_name(c));
        words
            .filter(|word| word.starts_with("orareaper"))
            .map(str::to_owned)
            .collect()
    };
    let records: BTreeMap<&str, BTreeSet<String>> = rules
        .iter()
        .filter_map(|rule| Some((rule["record"].as_str()?, names(rule))))
        .collect();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules {
        let Some(alert) = rule["alert"].as_str() else { continue };
        let mut open: Vec<String> = names(rule).into_iter().collect();
        while let Some(name) = open.pop() {
            match records.get(name.as_str()) {
                Some(names) => open.extend(names.iter().cloned()),
                None => {
                    used.entry(name).or_default().insert(alert.to_owned());
                }
            }
        }
    }
    used
}

#[test]
fn the_page_on_metrics_names_the_alerts_that_use_each_metric() {
    let documented: BTreeMap<String, BTreeSet<String>> = documented_metrics(&read("docs/metrics.md"))
        .into_iter()
        .map(|(name, row)| (name, quoted(&row[5])))
        .filter(|(_, alerts)| !alerts.is_empty())
        .collect();
    // `job="orareaper"` is a label's value, not a metric.
    let mut used = alerts_by_metric();
    used.remove("orareaper");
    assert_eq!(documented, used);
}

/// The fields of each kind of record, as the journal writes them.
fn journalled_fields() -> BTreeMap<String, BTreeSet<String>> {
    let state = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = Journal::open(state.path(), at()).expect("opens");
    for event in every_event() {
        journal.append(&event, at()).expect("written");
    }
    let text = std::fs::read_to_string(journal::file(state.path(), 0)).expect("readable");
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let record: serde_json::Map<String, Value> = serde_json::from_str(line).expect("a record");
        let kind = record["kind"].as_str().expect("a kind").to_owned();
        let fields = record.keys().filter(|field| !COMMON.contains(&field.as_str()));
        kinds.entry(kind).or_default().extend(fields.cloned());
    }
    kinds
}

/// The fields of every record.
const COMMON: [&str; 6] = ["v", "at", "kind", "file", "prev", "hash"];

#[test]
fn the_page_on_the_journal_has_every_kind_and_every_field() {
    let page = read("docs/journal.md");
    let documented: BTreeMap<String, BTreeSet<String>> = rows(&page, "Records")
        .into_iter()
        .map(|row| (word(&row[0]), quoted(&row[2])))
        .collect();
    let written = journalled_fields();
    assert_eq!(documented, written);
    let explained: BTreeSet<String> = rows(&page, "Fields").iter().flat_map(|row| quoted(&row[0])).collect();
    let mut fields: BTreeSet<String> = written.into_values().flatten().collect();
    fields.extend(COMMON.map(str::to_owned));
    assert_eq!(explained, fields);
}
