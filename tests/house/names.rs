//! One name, one type: whoever reads `Line` need not look up which of two modules is meant.
//!
//! A name that two modules of the daemon define is found, wherever it is visible: `Error` too, for a file that deals with the
//! journal and with Oracle would have to rename one of them. Tests may define what they like.

use std::collections::BTreeMap;

use super::{Source, Text, seen};

/// What begins the definition of a type.
const KEYWORDS: &[&str] = &["struct ", "enum ", "union ", "trait ", "type "];

/// The name of the type that the line defines. A `type` that is indented is a trait's, and `Item` may be many things.
fn defined(line: &str) -> Option<&str> {
    let is_indented = line.starts_with(' ');
    let mut rest = line.trim_start();
    if let Some(public) = rest.strip_prefix("pub") {
        rest = match public.strip_prefix('(') {
            Some(scope) => scope.split_once(')')?.1,
            None => public,
        }
        .strip_prefix(' ')?;
    }
    let keyword = KEYWORDS.iter().find(|keyword| rest.starts_with(**keyword))?;
    if is_indented && *keyword == "type " {
        return None;
    }
    let name = &rest[keyword.len()..];
    let end = name
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(name.len());
    (end > 0).then(|| &name[..end])
}

/// Finds each definition of a type whose name was defined before.
pub(super) fn check(tree: &[Source], findings: &mut Vec<String>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for source in tree.iter().filter(|source| source.path.starts_with("src/")) {
        for (index, line) in seen(source, Text::Production).lines().enumerate() {
            let Some(name) = defined(line) else {
                continue;
            };
            let place = format!("{}:{}", source.path, index + 1);
            if let Some(before) = first.get(name) {
                findings.push(format!(
                    "{place}: `{name}` is also the name of another type, in {before}: name each after what it is"
                ));
            } else {
                first.insert(name.to_owned(), place);
            }
        }
    }
}

#[test]
fn a_definition_is_told_by_its_line() {
    let cases = [
        ("pub struct Line<'a> {", Some("Line")),
        ("pub(crate) enum Line {", Some("Line")),
        ("pub(in crate::a) struct Line;", Some("Line")),
        ("    struct Line(u8);", Some("Line")),
        ("trait Line: Send {", Some("Line")),
        ("type Line<T> = Vec<T>;", Some("Line")),
        ("    type Item = u8;", None),
        ("let structure = 1;", None),
        ("    pub line: Line,", None),
    ];
    for (line, expected) in cases {
        assert_eq!(defined(line), expected, "{line}");
    }
}
