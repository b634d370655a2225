//! Which module uses which: an import points down the layers, and no circle of files is there that is not named with its reason.
//!
//! An arrow goes from a file of `src/` to the file whose item it names by a path (`crate::`, `super::`, or one of its own
//! modules). An item that a module hands on (`pub use`) is of the file where it is made. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, Text, seen, without_comments};

/// The rooms of `src/` from the ground up. A room may use those of its own layer and of the layers above in this list.
const LAYERS: &[&[&str]] = &[
    &[
        "checks", "clock", "config", "folder", "policy", "quantity", "session", "terminal", "words", "yaml",
    ],
    &["decide", "columns_needed", "rows_needed"],
    &["event", "journal", "oracle", "recording"],
    &["actuator"],
    &[
        "explain",
        "html",
        "http",
        "metrics",
        "notify",
        "gaps",
        "systemd",
        "event_sink",
        "replay",
        "report",
        "export",
        "status",
        "suggest",
        "policy_test",
    ],
    &["daemon"],
    &["doctor", "prove", "setup_sql"],
    &["cli", "commands"],
    &["", "main"],
];

/// Circles of files that are there for a reason: all modules of each, and why. One more is a finding.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["commands::demo", "commands::demo::trust"],
        "the head tells the demo, and its file a part of it by the head's means",
    ),
    (
        &["commands::log", "commands::manners", "commands::output"],
        "what a command says is coloured as was asked for, and the help of that is a result like others",
    ),
    (
        &[
            "config",
            "config::database",
            "config::listen",
            "config::notify",
            "config::notify::files",
            "config::notify::read",
            "config::read",
        ],
        "the head holds what a configuration is, its files read it",
    ),
    (
        &["config::web", "config::web::tls"],
        "the head holds what protects the pages, its file reads certificates and keys for it",
    ),
    (
        &["decide::plan", "decide::plan::processes"],
        "the head holds the entries of a plan, its file which of them share a server process",
    ),
    (
        &["decide::protect", "decide::protect::texts"],
        "the head holds the set of protections, its file what each text of a client tells",
    ),
    (
        &["event", "event::cycle_report"],
        "a cycle in figures is one of the events, and makes events of what has changed",
    ),
    (
        &["event_sink", "event_sink::writer"],
        "the head is what others call, its file the thread behind it that writes",
    ),
    (
        &[
            "export",
            "export::assemble",
            "export::json",
            "export::spool",
            "export::table",
        ],
        "the head holds what a saved snapshot is, its files read one form each",
    ),
    (
        &[
            "journal",
            "journal::chain",
            "journal::disk",
            "journal::files",
            "journal::read",
            "journal::record",
            "journal::record::rehearsed",
            "journal::record::retention",
            "journal::trust",
        ],
        "opening the journal reads it, and reading goes by the journal's own bounds",
    ),
    (
        &["oracle::access", "oracle::capabilities"],
        "what a database is says which account needs a grant, and what it lacks",
    ),
    (
        &[
            "policy::habit",
            "policy::habit::aliases",
            "policy::habit::blocks",
            "policy::habit::decoded",
            "policy::habit::elsewhere",
            "policy::habit::extremes",
            "policy::habit::linear",
            "policy::habit::nulls",
            "policy::habit::rounding",
            "policy::habit::subquery",
            "policy::habit::subquery::asked",
            "policy::habit::subquery::read",
            "policy::habit::texts",
            "policy::habit::texts::columns",
            "policy::habit::texts::operand",
            "policy::habit::texts::oracle_regex",
            "policy::habit::texts::shape",
            "policy::habit::texts::written",
            "policy::lex",
            "policy::lex::letters",
            "policy::lex::quantity",
        ],
        "a mistake is explained by what the writer was used to, token by token",
    ),
    (
        &["policy::parse::operand", "policy::parse::phrase"],
        "an operand may begin a phrase, and a phrase ends in an operand",
    ),
    (
        &["policy_test", "policy_test::raw"],
        "the head holds a policy test's lines, its file what is written of them",
    ),
    (
        &["replay", "replay::curve", "replay::totals"],
        "the head holds how a replay goes, a curve repeats it with other limits, and totals count its steps",
    ),
    (
        &[
            "report",
            "report::figures",
            "report::html",
            "report::markdown",
            "report::rehearsal",
            "report::table",
        ],
        "the head holds what a report is, its files count and lay it out",
    ),
    (
        &["report::listing", "report::listing::columns"],
        "the head holds what a list of sessions is, its file what each column shows",
    ),
    (
        &["session::join", "session::snapshot"],
        "a snapshot is finished by joining, and only it knows its columns' places",
    ),
];

/// Circles of rooms, likewise.
const ROOMS: &[(&[&str], &str)] = &[(
    &["policy", "yaml"],
    "a policy file is YAML, and a field's duration or size is read as the policy language reads it",
)];

/// Whether a circle is one of those that are known: the same modules, none more and none less.
fn is_known(circle: &[String], known: &[&str]) -> bool {
    circle == known
}

/// Arrows: from a module, `a::b`, to those that it uses.
pub(super) type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The modules of a tree with their files' texts, tests left out.
struct Modules {
    texts: BTreeMap<String, String>,
    /// Where an item is made that a module hands on: module and name to module.
    homes: BTreeMap<(String, String), String>,
}

/// The module of a file of `src/`.
fn module_of(path: &str) -> Option<String> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    Some(if inner == "lib" {
        String::new()
    } else {
        inner.replace('/', "::")
    })
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

fn joined(module: &str, rest: &str) -> String {
    match (module, rest) {
        ("", rest) => rest.to_owned(),
        (module, "") => module.to_owned(),
        (module, rest) => format!("{module}::{rest}"),
    }
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The paths that begin with what `text` begins with: `a::{b, c::d}` is `a::b` and `a::c::d`. With what is left of the text.
fn paths<'s>(before: &str, text: &'s str, found: &mut Vec<String>) -> &'s str {
    let mut path = before.to_owned();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inside) = rest.strip_prefix('{') {
            loop {
                inside = inside.trim_start();
                if let Some(after) = inside.strip_prefix('}') {
                    return after;
                }
                inside = match inside.strip_prefix(',') {
                    Some(after) => after,
                    None => paths(&path, inside, found),
                };
                if inside.is_empty() {
                    return inside;
                }
            }
        }
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            // `*`, or what is no path.
            found.push(path);
            let next = rest.chars().next().map_or(0, char::len_utf8);
            return &rest[next..];
        }
        path = match word {
            "self" => path,
            "super" => parent(&path).to_owned(),
            word => joined(&path, word),
        };
        match after.strip_prefix("::") {
            Some(after) if !after.starts_with('<') => rest = after.trim_start(),
            Some(_) | None => {
                found.push(path);
                let after = after.trim_start();
                // `as` gives another name, which does not matter.
                return match after.strip_prefix("as ") {
                    Some(renamed) => renamed.trim_start().trim_start_matches(is_word),
                    None => after,
                };
            }
        }
    }
}

/// The paths in a text that begin with this word, which stands for `module`.
fn paths_after(text: &str, word: &str, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    let start = format!("{word}::");
    for (at, _) in text.match_indices(&start) {
        let before = &text[..at];
        let inside = before.ends_with(is_word) || before.ends_with("::") || before.ends_with('$');
        if !inside {
            paths(module, &text[at + start.len()..], &mut found);
        }
    }
    found
}

/// `pub use` and `pub(crate) use`, each with what it hands on, and the text without them.
fn handed_on(text: &str) -> (Vec<String>, String) {
    let (mut handed, mut rest) = (Vec::new(), String::new());
    let mut left = text;
    while let Some(at) = ["pub use ", "pub(crate) use ", "pub(super) use "]
        .iter()
        .filter_map(|word| left.find(word))
        .min()
    {
        let end = left[at..].find(';').map_or(left.len(), |end| at + end + 1);
        rest.push_str(&left[..at]);
        let statement = &left[at..end];
        handed.push(statement[statement.find("use ").unwrap_or(0) + 4..].to_owned());
        left = &left[end..];
    }
    rest.push_str(left);
    (handed, rest)
}

impl Modules {
    fn of(tree: &[Source]) -> Modules {
        let mut for_tests = BTreeSet::new();
        for source in tree {
            let Some(module) = module_of(&source.path) else {
                continue;
            };
            let code = without_comments(&source.text);
            for (at, marker) in code.match_indices("#[cfg(test)]\n") {
                let line = code[at + marker.len()..].lines().next().unwrap_or_default();
                if let Some(name) = line.trim().strip_suffix(';').and_then(|line| line.rsplit_once("mod ")) {
                    for_tests.insert(joined(&module, name.1));
                }
            }
        }
        let is_for_tests = |module: &str| {
            for_tests
                .iter()
                .any(|tests| module == tests || module.starts_with(&format!("{tests}::")))
        };
        let texts: BTreeMap<String, String> = tree
            .iter()
            .filter_map(|source| Some((module_of(&source.path)?, seen(source, Text::Production))))
            .filter(|(module, text)| !is_for_tests(module) && !text.is_empty())
            .collect();
        let mut modules = Modules {
            texts,
            homes: BTreeMap::new(),
        };
        for (module, text) in modules.texts.clone() {
            for statement in handed_on(&text).0 {
                for path in modules.uses(&module, &statement, true) {
                    let name = path.rsplit("::").next().unwrap_or_default().to_owned();
                    let home = modules.home(&path);
                    modules.homes.insert((module.clone(), name), home);
                }
            }
        }
        modules
    }

    /// The paths that a text of this module names, from the root.
    fn uses(&self, module: &str, text: &str, is_statement: bool) -> Vec<String> {
        let mut found = paths_after(text, "crate", "");
        found.extend(paths_after(text, "super", parent(module)));
        let children = self
            .texts
            .keys()
            .filter(|child| !child.is_empty() && parent(child) == module && *child != module);
        for child in children {
            let name = child.rsplit("::").next().unwrap_or_default();
            if is_statement || text.contains(&format!("mod {name};")) {
                found.extend(paths_after(text, name, child));
            }
        }
        found
    }

    /// The module where what this path names is made.
    fn home(&self, path: &str) -> String {
        let mut module = String::new();
        let mut rest = path;
        while !rest.is_empty() {
            let (word, after) = rest.split_once("::").unwrap_or((rest, ""));
            let inner = joined(&module, word);
            if self.texts.contains_key(&inner) {
                (module, rest) = (inner, after);
                continue;
            }
            return self
                .homes
                .get(&(module.clone(), word.to_owned()))
                .cloned()
                .unwrap_or(module);
        }
        module
    }
}

/// Every arrow of a tree.
pub(super) fn arrows(tree: &[Source]) -> Arrows {
    let modules = Modules::of(tree);
    let mut arrows = Arrows::new();
    for (module, text) in &modules.texts {
        let (handed, rest) = handed_on(text);
        let mut paths = modules.uses(module, &rest, false);
        // What is handed on and used here too is used here.
        for path in handed
            .iter()
            .flat_map(|statement| modules.uses(module, statement, true))
        {
            let name = path.rsplit("::").next().unwrap_or_default();
            let used = rest.match_indices(name).any(|(at, _)| {
                let (before, after) = (&rest[..at], &rest[at + name.len()..]);
                !before.ends_with(is_word) && !after.starts_with(is_word) && !before.ends_with("mod ")
            });
            paths.extend(used.then_some(path));
        }
        let to = paths.iter().map(|path| modules.home(path)).filter(|to| to != module);
        arrows.insert(module.clone(), to.collect());
    }
    arrows
}

/// Every set of files of which each is reached from each.
pub(super) fn circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let reached = |from: &str| {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = vec![from];
        while let Some(module) = open.pop() {
            for to in arrows.get(module).into_iter().flatten() {
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|from| (from.as_str(), reached(from))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for (from, to) in &reach {
        let circle: Vec<String> = to
            .iter()
            .filter(|to| reach.get(**to).is_some_and(|back| back.contains(from)))
            .map(|to| (*to).to_owned())
            .collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

/// The same arrows between rooms.
fn between_rooms(arrows: &Arrows) -> Arrows {
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut rooms = Arrows::new();
    for (from, targets) in arrows {
        let others = targets.iter().map(|to| room(to)).filter(|to| *to != room(from));
        rooms.entry(room(from)).or_default().extend(others);
    }
    rooms
}

/// The layer of a module, by its room.
fn layer(module: &str) -> Option<usize> {
    let room = module.split("::").next().unwrap_or_default();
    LAYERS.iter().position(|layer| layer.contains(&room))
}

/// Arrows that point up the layers, and rooms that are in none.
pub(super) fn wrong_ways(arrows: &Arrows) -> Vec<String> {
    let mut found = Vec::new();
    for (from, targets) in arrows {
        let Some(own) = layer(from) else {
            found.push(format!("{from}: its room is in no layer"));
            continue;
        };
        for to in targets.iter().filter(|to| layer(to).is_some_and(|other| other > own)) {
            found.push(format!("{from} uses {to}, which is of a layer above it"));
        }
    }
    found
}

#[test]
fn every_import_points_down_and_no_circle_is_unknown() {
    let arrows = arrows(&super::project());
    let circles = circles(&arrows);
    let mut findings = wrong_ways(&arrows);
    for circle in &circles {
        if !CIRCLES.iter().any(|(known, _)| is_known(circle, known)) {
            let within = |from: &String| {
                let to: Vec<&str> = arrows[from]
                    .iter()
                    .filter(|to| circle.contains(to))
                    .map(String::as_str)
                    .collect();
                format!("  {from} -> {}", to.join(", "))
            };
            let each: Vec<String> = circle.iter().map(within).collect();
            findings.push(format!("a circle of {}:\n{}", circle.len(), each.join("\n")));
        }
    }
    let rooms = self::circles(&between_rooms(&arrows));
    let unknown = rooms
        .iter()
        .filter(|circle| !ROOMS.iter().any(|(known, _)| is_known(circle, known)));
    findings.extend(unknown.map(|circle| format!("a circle of the rooms {}", circle.join(", "))));
    for (circles, exceptions) in [(&circles, CIRCLES), (&rooms, ROOMS)] {
        for (known, reason) in exceptions {
            if !circles.iter().any(|circle| is_known(circle, known)) {
                findings.push(format!(
                    "there is no circle of just {known:?} ({reason}): the exception is stale"
                ));
            }
        }
    }
    let all: usize = arrows.values().map(BTreeSet::len).sum();
    println!(
        "{} modules, {all} arrows, {} circles of {} modules",
        arrows.len(),
        circles.len(),
        circles.concat().len()
    );
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn an_arrow_up_the_layers_is_found() {
    let arrow = |from: &str, to: &str| Arrows::from([(from.to_owned(), BTreeSet::from([to.to_owned()]))]);
    assert_eq!(
        wrong_ways(&arrow("decide::plan", "oracle::read")),
        ["decide::plan uses oracle::read, which is of a layer above it"]
    );
    assert_eq!(wrong_ways(&arrow("oracle::read", "decide::plan")), [""; 0]);
    assert_eq!(wrong_ways(&arrow("oracle::read", "oracle::sql")), [""; 0]);
}

#[test]
fn an_arrow_is_found_however_it_is_written() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.into(),
    };
    let tree = [
        source("src/lib.rs", "//! A.\nmod a;\nmod b;\nmod c;\nmod d;\n"),
        source(
            "src/a/mod.rs",
            "//! A.\nmod inner;\npub use inner::Handed;\nfn x() { inner::y() }\n",
        ),
        source(
            "src/a/inner.rs",
            "//! A.\nuse super::super::c::C;\npub struct Handed;\n",
        ),
        source(
            "src/b.rs",
            "//! A.\nuse crate::{\n    a::{Handed, Other as Another},\n    c,\n};\n// use crate::d::D;\n",
        ),
        source(
            "src/c.rs",
            "//! A.\nfn x() { crate::d::y(); }\n#[cfg(test)]\nmod tests {\n use crate::b::B;\n}\n",
        ),
        source("src/d.rs", "//! A.\n#[cfg(test)]\nmod tests;\nuse crate::b::B;\n"),
        source("src/d/tests.rs", "//! A.\nuse crate::a::A;\n"),
    ];
    let arrows = arrows(&tree);
    let of = |from: &str| arrows[from].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a"), ["a::inner"]);
    assert_eq!(of("a::inner"), ["c"]);
    assert_eq!(of("b"), ["a", "a::inner", "c"]);
    assert_eq!(of("c"), ["d"]);
    assert_eq!(of("d"), ["b"]);
    assert!(!arrows.contains_key("d::tests"));
    assert_eq!(wrong_ways(&arrows).len(), 5, "none of these rooms is in a layer");
    assert_eq!(circles(&arrows), [["a", "a::inner", "b", "c", "d"].map(str::to_owned)]);
}
