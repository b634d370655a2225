//! Every example of docs/policy-language.md and docs/cookbook.md is run; the schema accepts what the checker accepts; the pages
//! on metrics and on the journal describe everything that the daemon has, and nothing else.

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use orareaper::config::Config;
use orareaper::decide::outcome::Outcome;
use orareaper::journal::{self, Journal};
use orareaper::oracle::Class;
use orareaper::policy::model::{Action, Protection};
use orareaper::policy::{check_condition, check_files, schema, to_sql};
use orareaper::policy_test::run_folder_with;
use orareaper::session::column::{Column, Source};
use serde_json::Value;

use crate::every_event::{Family, at, every_event, every_metric};

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The fenced blocks of a Markdown text: what stands after the fence, the first line, and the text without indentation.
pub(crate) fn blocks(markdown: &str) -> Vec<(String, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, usize, String)> = None;
    for (at, line) in markdown.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(kind)) => {
                open = Some((
                    kind.to_owned(),
                    at + 1,
                    line.len() - line.trim_start().len(),
                    String::new(),
                ))
            }
            (Some(_), Some(_)) => {
                let (kind, line, _, text) = open.take().expect("it is open");
                blocks.push((kind, line, text));
            }
            (Some((_, _, indent, text)), None) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

fn problems(yaml: &str) -> Vec<String> {
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
    let loaded = check_files(
        &[("example.yaml".into(), yaml.as_bytes().to_vec())],
        today,
        chrono_tz::Tz::UTC,
    );
    loaded.diagnostics.iter().map(|one| one.render(false)).collect()
}

#[test]
fn every_name_is_in_the_language_reference() {
    let reference = read("docs/policy-language.md");
    // Oracle describes the columns of GV$SESSION itself.
    let columns = Column::ALL.iter().filter(|column| column.source() != Source::Session);
    let names = columns.map(|column| column.name());
    let names = names.chain(Protection::ALL.iter().map(|protection| protection.name()));
    let names = names.chain(Action::ALL.iter().map(|action| action.name()));
    let lacking: Vec<&str> = names.filter(|name| !reference.contains(&format!("`{name}`"))).collect();
    assert_eq!(lacking, [""; 0], "docs/policy-language.md says nothing of these");
}

#[test]
fn every_example_of_the_language_reference_does_what_it_says() {
    let (mut files, mut conditions, mut meanings) = (0, 0, 0);
    for (kind, line, text) in blocks(&read("docs/policy-language.md")) {
        match kind.as_str() {
            "yaml" => {
                assert_eq!(problems(&text), Vec::<String>::new(), "the example in line {line}");
                files += 1;
            }
            "yaml wrong" => {
                // Both misspelt words of the condition, the contradiction, the misspelt key.
                assert_eq!(problems(&text).len(), 4, "{:#?}", problems(&text));
            }
            "conditions" => {
                for condition in text.lines().filter(|line| !line.trim().is_empty()) {
                    check_condition(condition).unwrap_or_else(|found| panic!("{condition}: {found:?}"));
                    conditions += 1;
                }
            }
            "meaning" => {
                for line in text.lines() {
                    let (condition, meaning) = line.split_once("==>").expect("an arrow");
                    let condition = check_condition(condition).unwrap_or_else(|found| panic!("{line}: {found:?}"));
                    assert_eq!(to_sql(&condition), meaning.trim());
                    meanings += 1;
                }
            }
            other => panic!("line {line}: no test knows the block `{other}`"),
        }
    }
    assert!(
        files >= 7 && conditions >= 15 && meanings >= 25,
        "{files} {conditions} {meanings}"
    );
}

/// The names of the policies in a YAML text, in order.
fn policy_names(yaml: &str) -> Vec<String> {
    let value: Value = serde_yaml::from_str(yaml).expect("well-formed");
    let policies = value["policies"].as_array().expect("a list");
    let name = |policy: &Value| policy["name"].as_str().expect("a name").to_owned();
    policies.iter().map(name).collect()
}

/// The policies that an expectation names as acting.
fn acting(folder: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder.join("expect.yaml")).expect("readable");
    let snapshots: Vec<Value> = serde_yaml::from_str(&text).expect("well-formed");
    let acts = snapshots.iter().filter_map(|snapshot| snapshot["act"].as_array());
    acts.flatten()
        .filter_map(|act| Some(act["policy"].as_str()?.to_owned()))
        .collect()
}

/// A configuration with this in it.
fn configuration(fragment: &str) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orareaper.yaml");
    let rest =
        "databases:\n  - {name: prod, connect: //db/pdb, user: reaper, password: {env: X}}\npolicies: [p.yaml]\n";
    std::fs::write(&path, format!("{rest}state: state\n{fragment}")).expect("written");
    let loaded = orareaper::config::load(&path);
    let problems: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false)).collect();
    loaded.config.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

/// The policy test stands still exactly when the configuration's blackouts say so, and for their reason.
fn stands_still_as_configured(folder: &Path, config: &Config) {
    let text = std::fs::read_to_string(folder.join("timeline.yaml")).expect("readable");
    let timeline: Value = serde_yaml::from_str(&text).expect("well-formed");
    let (mut still, mut moving) = (0, 0);
    for snapshot in timeline["snapshots"].as_array().expect("a list") {
        let at = snapshot["at"].as_str().expect("a time");
        let now = at.parse().expect("a time");
        let blackout = config.blackouts.iter().find(|blackout| blackout.holds(now));
        let wanted = blackout.map(|blackout| format!("blackout: {}", blackout.reason));
        assert_eq!(
            wanted.as_deref(),
            snapshot["standstill"].as_str(),
            "{} at {at}",
            folder.display()
        );
        if wanted.is_some() {
            still += 1;
        } else {
            moving += 1;
        }
    }
    assert!(still > 0 && moving > 0, "{}", folder.display());
}

/// Each block of the cookbook checks without a warning, and decides as the policy tests of its first policy's name say: the folder
/// of that name, and those that have a dot and more after it.
#[test]
fn every_policy_of_the_cookbook_checks_and_decides_as_its_story_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cookbook");
    let mut untold: BTreeSet<PathBuf> = std::fs::read_dir(&root)
        .expect("tests/cookbook is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    let (mut all, mut failed, mut config) = (BTreeSet::new(), Vec::new(), None);
    for (kind, line, text) in blocks(&read("docs/cookbook.md")) {
        if kind == "yaml configuration" {
            config = Some(configuration(&text));
            continue;
        }
        assert_eq!(kind, "yaml", "line {line}: no test knows this block");
        assert_eq!(problems(&text), Vec::<String>::new(), "the block in line {line}");
        assert_eq!(against_schema(&text), Vec::<String>::new(), "the block in line {line}");
        let names = policy_names(&text);
        let mut shown = BTreeSet::new();
        let tests_of_it: Vec<PathBuf> = untold
            .iter()
            .filter(|folder| folder.file_name().and_then(|name| name.to_str()?.split('.').next()) == Some(&*names[0]))
            .cloned()
            .collect();
        for folder in tests_of_it {
            match run_folder_with(&folder, |_| Ok(text.clone().into_bytes())) {
                Ok(None) => {}
                Ok(Some(difference)) => failed.push(format!("{}:\n{difference}", folder.display())),
                Err(error) => failed.push(format!("{}: {error}", folder.display())),
            }
            if let Some(config) = config.take() {
                stands_still_as_configured(&folder, &config);
            }
            shown.extend(acting(&folder));
            untold.remove(&folder);
        }
        for name in names {
            assert!(
                shown.contains(&name),
                "line {line}: no policy test shows how {name} acts"
            );
            assert!(all.insert(name), "line {line}: a name is used twice");
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(untold.is_empty(), "policy tests of no policy: {untold:?}");
    assert!(config.is_none(), "a configuration without a policy after it");
    assert!(all.len() >= 20, "only {} policies", all.len());
}

/// A policy about work must not end whoever listens to a queue or sleeps: it is ACTIVE for days, in a wait of the class Idle. Where
/// such a policy does not look at WAIT_CLASS, a comment in it says why.
#[test]
fn policies_about_running_statements_say_what_they_do_about_idle_waits() {
    let mut texts: Vec<(String, String)> = shipped();
    let recipes = blocks(&read("docs/cookbook.md"));
    texts.extend(
        recipes
            .into_iter()
            .filter(|(kind, ..)| kind == "yaml")
            .map(|(_, line, text)| {
                let name = format!("docs/cookbook.md, line {line}");
                (name, text)
            }),
    );
    let (mut excluding, mut explained, mut silent) = (0, 0, Vec::new());
    for (name, text) in texts {
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
        let loaded = check_files(&[(name.clone(), text.clone().into_bytes())], today, chrono_tz::Tz::UTC);
        for policy in loaded.set.expect("it checks").policies {
            let when = format!("{:?}", policy.when);
            let is_about_work = [
                "Column(Running)",
                "Column(StatementAge)",
                "status: Active",
                "\"ACTIVE\"",
            ];
            if !is_about_work.iter().any(|word| when.contains(word)) {
                continue;
            }
            let own = text.lines().skip(policy.origin.line);
            let own = own.take_while(|line| !line.trim_start().starts_with("- name:"));
            let says_why = own
                .map(str::trim)
                .any(|line| line.starts_with('#') && line.contains("class Idle"));
            if format!("{when}{:?}", policy.unless).contains("Column(WaitClass)") {
                excluding += 1;
            } else if says_why {
                explained += 1;
            } else {
                silent.push(format!("{name}: {}", policy.name));
            }
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
    assert!(
        excluding >= 6 && explained >= 2,
        "{excluding} exclude them, {explained} say why not"
    );
}

/// The policies of the repository, each file with its text.
fn shipped() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let files = std::fs::read_dir(folder).expect("a folder");
    let files = files.map(|entry| entry.expect("readable").path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(&path).expect("readable"),
            )
        })
        .collect()
}

/// The pages whose blocks have tests of their own, which know more of them.
const WITH_TESTS_OF_THEIR_OWN: [&str; 4] = ["cookbook.md", "policy-language.md", "policy-tests.md", "connecting.md"];

/// What a page shows can be copied: policies check without a warning, and configurations without an error.
#[test]
fn every_policy_and_configuration_of_a_page_checks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).expect("docs is there");
    let pages = pages.map(|entry| entry.expect("readable").path());
    let pages =
        pages.chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root.join(name)));
    let (mut policies, mut configurations) = (0, 0);
    for page in pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let name = page.file_name().expect("a file").to_string_lossy().into_owned();
        if WITH_TESTS_OF_THEIR_OWN.contains(&&*name) {
            continue;
        }
        for (kind, line, text) in blocks(&std::fs::read_to_string(&page).expect("readable")) {
            if kind != "yaml" {
                continue;
            }
            let value: serde_json::Map<String, Value> = serde_yaml::from_str(&text).expect("a mapping");
            if value.get("policies").is_some_and(|all| all[0].is_object()) {
                assert_eq!(problems(&text), Vec::<String>::new(), "{name}, line {line}");
                assert_eq!(against_schema(&text), Vec::<String>::new(), "{name}, line {line}");
                policies += 1;
            } else {
                assert_eq!(
                    errors_of_configuration(&value, &text),
                    Vec::<String>::new(),
                    "{name}, line {line}"
                );
                configurations += 1;
            }
        }
    }
    assert!(
        policies >= 1 && configurations >= 8,
        "{policies} policies, {configurations} configurations"
    );
}

/// What is wrong with a part of a configuration, apart from what it leaves out.
fn errors_of_configuration(part: &serde_json::Map<String, Value>, text: &str) -> Vec<String> {
    let mut whole = text.to_owned();
    for (key, rest) in [
        (
            "databases",
            "databases:\n  - {name: prod, connect: //db/pdb, user: reaper, password: {env: X}}\n",
        ),
        ("policies", "policies: [p.yaml]\n"),
    ] {
        if !part.contains_key(key) {
            whole.push_str(rest);
        }
    }
    let loaded = orareaper::config::check("page.yaml", whole.as_bytes(), Path::new("/nowhere"));
    let errors = loaded.diagnostics.iter().filter(|one| one.is_error());
    errors.map(|one| one.render(false)).collect()
}

/// The page on the first week names a policy and what to change in it: the result checks, and enforces within those limits.
#[test]
fn what_the_first_week_changes_in_a_policy_checks() {
    let page = read("docs/first-week.md");
    let spans: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let changes: Vec<&str> = ["mode: enforce", "limits: "]
        .iter()
        .map(|begin| *spans.iter().find(|span| span.starts_with(begin)).expect(begin))
        .collect();
    let begins = page
        .split("](../policies/")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let text = read(&format!("policies/{}", begins.expect("it names a policy")));
    let changed: Vec<String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("limits:"))
        .flat_map(|line| match line.trim_start().starts_with("mode:") {
            true => changes.iter().map(|change| format!("    {change}")).collect(),
            false => vec![line.to_owned()],
        })
        .collect();
    let changed = changed.join("\n");
    assert_eq!(problems(&changed), Vec::<String>::new(), "{changed}");
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
    let loaded = check_files(&[("p.yaml".into(), changed.into_bytes())], today, chrono_tz::Tz::UTC);
    let set = loaded.set.expect("it checks");
    let limits = set
        .policies
        .iter()
        .map(|policy| (policy.mode.name(), policy.limits.per_cycle, policy.limits.per_hour));
    assert_eq!(limits.collect::<Vec<_>>(), [("enforce", Some(1), Some(5))]);
}

/// Each example of the page on policy tests: a policy, a timeline, an expectation, in this order.
#[test]
fn every_example_of_a_policy_test_passes() {
    let blocks = blocks(&read("docs/policy-tests.md"));
    let files: Vec<_> = blocks.iter().filter(|(kind, ..)| kind.starts_with("yaml ")).collect();
    assert!(files.len() >= 6, "{} blocks", files.len());
    for example in files.chunks(3) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, (kind, line, text)) in ["policy", "timeline", "expect"].into_iter().zip(example) {
            assert_eq!(kind, &format!("yaml {name}"), "line {line}");
            std::fs::write(folder.path().join(format!("{name}.yaml")), text).expect("written");
        }
        let told = orareaper::policy_test::run_folder(folder.path());
        assert_eq!(told.expect("it can be told"), None, "line {}", example[0].1);
    }
}

fn against_schema(yaml: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema()).expect("the schema is JSON");
    let value: Value = serde_yaml::from_str(yaml).expect("well-formed");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a JSON Schema");
    validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_schema_accepts_every_policy_shipped_or_shown() {
    let mut accepted = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).expect("readable");
            assert_eq!(against_schema(&text), Vec::<String>::new(), "{}", path.display());
            accepted += 1;
        }
    }
    for (kind, line, text) in blocks(&read("docs/policy-language.md")) {
        if kind == "yaml" {
            assert_eq!(against_schema(&text), Vec::<String>::new(), "line {line}");
            accepted += 1;
        }
    }
    assert!(accepted >= 12, "only {accepted}");
}

#[test]
fn the_schema_refuses_what_an_editor_can_see() {
    for case in [
        "unknown-key",
        "unknown-section",
        "unknown-mode",
        "unknown-action",
        "two-clauses",
        "bad-policy-name",
        "missing-keys",
        "hold-without-unit",
        "share-without-percent",
        "keep-without-group",
        "allow-never",
        "order-without-direction",
        "exemption-date",
        "exemption-without-reason",
        "policies-as-mapping",
        "list-not-a-list",
        "no-database",
    ] {
        let yaml = read(&format!("tests/diagnostics/{case}.yaml"));
        assert!(!against_schema(&yaml).is_empty(), "{case} is accepted");
    }
}

/// The list of grants has one home, which is not README: what `setup-sql` prints.
#[test]
fn readme_leaves_the_grants_to_setup_sql() {
    let readme = read("README.md");
    let grants: Vec<&str> = readme.lines().filter(|line| line.contains("GRANT SELECT")).collect();
    assert_eq!(grants, [""; 0]);
    assert!(readme.contains("orareaper setup-sql --for 19c --pdb") && readme.contains("`orareaper doctor`"));
}

/// The Rust files of a folder and those below it.
pub(crate) fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// docs/guarantees.md names tests as `file::test`. A test that was renamed or deleted must not go on proving anything.
#[test]
fn guarantees_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/guarantees.md")).expect("docs/guarantees.md");
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("tests"), &mut files);
    let files: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            (path.strip_prefix(root).expect("in the root").to_owned(), text)
        })
        .collect();
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains("::"))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let (modules, function) = name.rsplit_once("::").expect("there is one");
        let in_place = |path: &Path| {
            let parts: Vec<String> = path
                .with_extension("")
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            modules
                .split("::")
                .all(|module| parts.iter().any(|part| part == module))
        };
        let found = files
            .iter()
            .any(|(path, text)| in_place(path) && text.contains(&format!("fn {function}(")));
        assert!(found, "docs/guarantees.md names {name}, and there is no such test");
    }
}

/// CONTRIBUTING.md says which test fails if a step is forgotten. It has to be one that can.
#[test]
fn the_recipes_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("tests"), &mut files);
    let code: String = files
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("readable"))
        .collect();
    let page = read("CONTRIBUTING.md");
    let is_test = |word: &&str| {
        let name = word.rsplit("::").next().unwrap_or_default();
        name.matches('_').count() > 3 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        let function = name.rsplit("::").next().unwrap_or_default();
        assert!(
            code.contains(&format!("fn {function}(")),
            "CONTRIBUTING.md names {name}, and there is no such test"
        );
    }
}

/// As GitHub makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_within_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_docs = std::fs::read_dir(root.join("docs"))
        .expect("docs")
        .map(|entry| entry.expect("readable").path());
    let mut pages: Vec<PathBuf> = in_docs
        .filter(|path| path.extension().is_some_and(|is| is == "md"))
        .collect();
    let others = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "tests/README.md",
    ];
    pages.extend(others.map(|name| root.join(name)));
    let mut links = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("readable");
        for (_, target) in text.match_indices("](").map(|(at, _)| (at, &text[at + 2..])) {
            let target = target.split(')').next().unwrap_or_default();
            if target.contains("://") || target.is_empty() {
                continue;
            }
            links += 1;
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let leads_to = if path.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(path)
            };
            assert!(leads_to.exists(), "{}: {target} leads nowhere", page.display());
            if !fragment.is_empty() {
                let there = std::fs::read_to_string(&leads_to).expect("readable");
                let mut headings = there.lines().filter(|line| line.starts_with('#'));
                let is_there = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == fragment);
                assert!(is_there, "{}: {target} has no such heading", page.display());
            }
        }
    }
    assert!(links > 40, "{links}");
}

/// The site has every page, and each once.
#[test]
fn the_summary_lists_every_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names = std::fs::read_dir(folder)
        .expect("docs")
        .map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let pages: BTreeSet<String> = names
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<&str> = summary
        .lines()
        .filter_map(|line| Some(line.strip_prefix("- [")?.split_once("](")?.1.trim_end_matches(')')))
        .collect();
    let once: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(once, pages);
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
}
