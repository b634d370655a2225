//! The dashboard asks for metrics, labels and label values that the daemon has, in expressions that Prometheus takes, and each panel
//! shows something once the daemon has done everything that it can do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{is_histogram, promtool, read, run};
use crate::every_event::{every_metric, exposition};

const DASHBOARD: &str = "monitoring/grafana.json";

/// Labels whose values come from the configuration, or from Prometheus: a query names them by a variable.
const OPEN: [&str; 5] = ["database", "policy", "inst_id", "version", "instance"];

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("it is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Where each query stands, the query, and its legend.
fn queries(dashboard: &Value) -> Vec<(String, &str, &str)> {
    let mut queries = Vec::new();
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            let place = format!("{} {}", text(&panel["title"]), text(&target["refId"]));
            queries.push((place, text(&target["expr"]), text(&target["legendFormat"])));
        }
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        if let Some(query) = annotation["expr"].as_str() {
            queries.push((
                text(&annotation["name"]).to_owned(),
                query,
                text(&annotation["textFormat"]),
            ));
        }
    }
    queries
}

/// A metric in a query, with its matchers: label and value.
struct Selector<'a> {
    metric: &'a str,
    matchers: Vec<(&'a str, &'a str)>,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The selectors of a query. No value of these queries has a comma or a brace in it.
fn selectors(query: &str) -> Vec<Selector<'_>> {
    let mut found = Vec::new();
    for prefix in ["orareaper_", "process_"] {
        for (at, _) in query.match_indices(prefix) {
            if query[..at].ends_with(|c: char| is_word(c) || c == '"') {
                continue;
            }
            let end = query[at..].find(|c| !is_word(c)).map_or(query.len(), |end| at + end);
            let inside = query[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let matchers = inside
                .map_or("", |(inside, _)| inside)
                .split(',')
                .filter_map(|matcher| {
                    let (label, value) = matcher.split_once(['=', '!'])?;
                    Some((label.trim(), value.trim_start_matches(['=', '~']).trim_matches('"')))
                });
            found.push(Selector {
                metric: &query[at..end],
                matchers: matchers.collect(),
            });
        }
    }
    found
}

/// The labels in the lists of `by (...)`, `without (...)` and `on (...)`.
fn grouped_by(query: &str) -> BTreeSet<&str> {
    let lists = ["by (", "without (", "on ("];
    let lists = lists.iter().flat_map(|word| query.split(word).skip(1));
    let labels = lists.flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','));
    labels.map(str::trim).filter(|label| !label.is_empty()).collect()
}

/// The labels that a legend shows.
fn in_legend(legend: &str) -> BTreeSet<&str> {
    let parts = legend.split("{{").skip(1);
    parts.filter_map(|part| Some(part.split_once("}}")?.0.trim())).collect()
}

/// Each metric with its labels and their values, those of the process and the series of the histogram included.
fn exported() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut exported: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (name, family) in every_metric() {
        let mut with_bounds = family.labels.clone();
        with_bounds.entry("le".into()).or_default();
        for suffix in ["_bucket", "_sum", "_count"] {
            let series = format!("{name}{suffix}");
            if is_histogram(series.trim_start_matches("orareaper_")) {
                exported.insert(series, with_bounds.clone());
            }
        }
        exported.insert(name, family.labels);
    }
    for line in exposition().lines() {
        if let Some(name) = line.strip_prefix("# TYPE process_") {
            let name = name.split(' ').next().unwrap_or_default();
            exported.insert(format!("process_{name}"), BTreeMap::new());
        }
    }
    assert!(exported.contains_key("process_cpu_seconds_total"), "{exported:?}");
    exported
}

/// What is wrong with the queries.
fn problems(dashboard: &Value) -> Vec<String> {
    let exported = exported();
    let mut problems = Vec::new();
    for (place, query, legend) in queries(dashboard) {
        let selectors = selectors(query);
        if selectors.is_empty() {
            problems.push(format!("{place}: no metric"));
        }
        let mut labels = BTreeSet::from(["job", "instance", "__name__"]);
        for Selector { metric, matchers } in &selectors {
            let Some(of_metric) = exported.get(*metric) else {
                problems.push(format!("{place}: there is no metric {metric}"));
                continue;
            };
            labels.extend(of_metric.keys().map(String::as_str));
            for (label, value) in matchers {
                problems
                    .extend(matcher_problem(of_metric, label, value).map(|why| format!("{place}: {metric}: {why}")));
            }
        }
        let grouped = grouped_by(query);
        let strange: Vec<&&str> = grouped.difference(&labels).collect();
        if !strange.is_empty() {
            problems.push(format!("{place}: grouped by {strange:?}"));
        }
        // A query that groups by nothing keeps all labels.
        let kept = if grouped.is_empty() { &labels } else { &grouped };
        let lost: Vec<&str> = in_legend(legend).difference(kept).copied().collect();
        if !lost.is_empty() {
            problems.push(format!("{place}: the legend shows {lost:?}, which the query drops"));
        }
    }
    problems
}

fn matcher_problem(of_metric: &BTreeMap<String, BTreeSet<String>>, label: &str, value: &str) -> Option<String> {
    if value.contains('$') {
        let named = value == format!("${label}") && (of_metric.contains_key(label) || label == "instance");
        return (!named).then(|| format!("{label} by the variable {value}"));
    }
    if label == "job" {
        return (value != "orareaper").then(|| format!("job {value}"));
    }
    if OPEN.contains(&label) {
        return Some(format!("{label} is named outright: {value}"));
    }
    let Some(values) = of_metric.get(label) else {
        return Some(format!("no label {label}"));
    };
    let unknown: Vec<&str> = value.split('|').filter(|value| !values.contains(*value)).collect();
    (!unknown.is_empty()).then(|| format!("{label} has no value {unknown:?}"))
}

#[test]
fn the_dashboard_asks_for_what_the_daemon_exports() {
    let dashboard = dashboard();
    assert_eq!(problems(&dashboard), Vec::<String>::new());
    assert!(queries(&dashboard).len() >= 35);
}

#[test]
fn a_mistake_in_a_query_is_named() {
    let whole = read(DASHBOARD);
    for (right, wrong, named) in [
        (
            "max(orareaper_paused{",
            "max(orareaper_pause{",
            "no metric orareaper_pause",
        ),
        (
            "outcome=\\\"assumed\\\"",
            "outcome=\\\"assume\\\"",
            "no value [\"assume\"]",
        ),
        ("|marked|", "|mark|", "no value [\"mark\"]"),
        ("type=\\\"user\\\"", "kind=\\\"user\\\"", "no label kind"),
        (
            "by (database, inst_id, resource)",
            "by (database, inst_id, what)",
            "grouped by [\"what\"]",
        ),
        ("by (database, class)", "by (database)", "the legend shows [\"class\"]"),
        ("job=\\\"orareaper\\\"", "job=\\\"reaper\\\"", "job reaper"),
        (
            "database=~\\\"$database\\\"",
            "database=~\\\"prod\\\"",
            "named outright: prod",
        ),
    ] {
        assert!(whole.contains(right), "{right}: this test looks at the wrong thing");
        let mistaken = serde_json::from_str(&whole.replace(right, wrong)).expect("still JSON");
        let found = problems(&mistaken);
        assert!(
            found.iter().any(|problem| problem.contains(named)),
            "{wrong}: {found:?}"
        );
    }
}

/// A query as Grafana sends it with every variable at "All" and a step of five minutes.
fn sent(query: &str) -> String {
    let times = ["$__rate_interval", "$__interval", "1m"];
    let with_times = times.iter().fold(query.to_owned(), |query, time| {
        query.replace(&format!("[{time}]"), "[5m]")
    });
    ["instance", "database", "policy"]
        .iter()
        .fold(with_times, |query, variable| {
            query.replace(&format!("${variable}"), ".*")
        })
}

/// Unit tests for promtool: after half an hour in which every series grows, each query has a value.
fn each_has_a_value(dashboard: &Value) -> Value {
    let series = exposition();
    let series = series.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let series: Vec<Value> = series
        .map(|line| {
            let (series, _) = line.rsplit_once(' ').expect("a series and its value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let comma = if labels == "}" { "" } else { "," };
            let series = format!("{name}{{job=\"orareaper\",instance=\"db1:9763\"{comma}{labels}");
            json!({"series": series, "values": "1+1x60"})
        })
        .collect();
    let tests: Vec<Value> = queries(dashboard)
        .iter()
        .map(|(_, query, _)| {
            let there = format!("count({}) > bool 0", sent(query));
            json!({"expr": there, "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]})
        })
        .collect();
    json!({
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
    })
}

#[test]
fn every_query_of_the_dashboard_has_a_value_once_everything_has_happened() {
    let Some(tool) = promtool() else { return };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.test.yml");
    let check = |dashboard: &Value| {
        // JSON is YAML.
        fs::write(&path, each_has_a_value(dashboard).to_string()).expect("target/tmp can be written to");
        run(&tool, &["test", "rules", &path.to_string_lossy()])
    };
    let mut dashboard = dashboard();
    // An alternative of zero always has a value, so what stands before it is asked for alone. A start is seen once only.
    let queries = dashboard["panels"].as_array_mut().expect("panels").iter_mut();
    let targets = queries.filter_map(|panel| panel["targets"].as_array_mut()).flatten();
    for target in targets {
        let query = text(&target["expr"]).trim_end_matches(" or vector(0)").to_owned();
        // Of all that is up or fails nothing is down.
        let query = query.replace(") == 0)", ") > 0)");
        target["expr"] = query.into();
    }
    let (fine, said) = check(&dashboard);
    assert!(fine && said.contains("SUCCESS"), "{said}");
    let first = &mut dashboard["panels"][2]["targets"][0]["expr"];
    *first = text(first).replace("orareaper_paused", "orareaper_paused_").into();
    let (fine, said) = check(&dashboard);
    assert!(
        !fine && said.contains("orareaper_paused_"),
        "a query without a value went unnoticed:\n{said}"
    );
}

#[test]
fn the_variables_are_asked_of_metrics_that_there_are() {
    let (dashboard, exported) = (dashboard(), exported());
    let variables = list(&dashboard["templating"]["list"]);
    let names: Vec<&str> = variables.iter().map(|variable| text(&variable["name"])).collect();
    assert_eq!(names, ["datasource", "instance", "database", "policy"]);
    assert_eq!(
        (&variables[0]["type"], &variables[0]["query"]),
        (&"datasource".into(), &"prometheus".into())
    );
    for variable in &variables[1..] {
        let query = text(&variable["query"]["query"]);
        assert_eq!(query, text(&variable["definition"]));
        let inside = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inside.and_then(|inside| inside.rsplit_once(", ")).expect(query);
        assert_eq!(label, text(&variable["name"]));
        let selectors = selectors(selector);
        let of_metric = &exported[selectors[0].metric];
        assert!(of_metric.contains_key(label) || label == "instance", "{query}");
        for (label, value) in &selectors[0].matchers {
            assert_eq!(matcher_problem(of_metric, label, value), None, "{query}");
        }
    }
}

#[test]
fn each_panel_of_the_dashboard_is_named_explained_and_in_its_place() {
    let dashboard = dashboard();
    let panels = list(&dashboard["panels"]);
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| text(&row["title"]))
        .collect();
    assert_eq!(
        rows,
        ["Now", "Kills", "Who is spared", "Pressure", "Databases", "Daemon"]
    );
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = text(&panel["title"]);
        assert!(!title.is_empty() && title.len() <= 40, "{title}");
        assert!(
            ids.insert(panel["id"].as_u64().expect("a number")),
            "{title}: its id is used twice"
        );
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| place[key].as_u64().expect("a number"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title}: {place}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies over another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(text(&panel["description"]).ends_with('.'), "{title} explains nothing");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title} has no unit"
        );
        for part in std::iter::once(panel).chain(list(&panel["targets"])) {
            assert_eq!(part["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
