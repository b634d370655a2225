//! Reads mappings, numbers, durations and choices from a YAML tree, and reports everything that is wrong with them.
//!
//! A reader asks for the keys that it knows and gets an `Option`. `None` means that the key is missing, or that its value is
//! wrong and already reported. In both cases the reader goes on.

use std::ops::Range;
use std::sync::Arc;

use super::diagnostics::{Diagnostic, Severity, did_you_mean, nearest, one_of, quoted};
use super::node::{Node, Scalar, Style, Value};
use super::offsets::Offsets;
use crate::policy::lex::{Mistake, Token, measure};
use crate::quantity::{Bytes, Span};
use crate::yaml::diagnostics::SourceFile;

/// The most problems of a file that are recorded: far more than are shown, and few enough that a huge file full of mistakes
/// is checked quickly.
const MOST_FOUND: usize = 500;

/// The most lists, and the most conditions, that one file may define.
const MOST_NAMES: usize = 1_000;

/// Other names for keys, from other tools or from everyday language, and the keys.
const OTHER_NAMES: [(&str, &str); 23] = [
    ("condition", "when"),
    ("cron", "schedule"),
    ("dsn", "connect"),
    ("enabled", "armed"),
    ("every", "poll"),
    ("except", "unless"),
    ("exclude", "unless"),
    ("expires", "dates"),
    ("filter", "when"),
    ("from", "dates"),
    ("hold", "for"),
    ("host", "connect"),
    ("interval", "poll"),
    ("port", "listen"),
    ("service", "connect"),
    ("sort", "order"),
    ("tns", "connect"),
    ("tz", "timezone"),
    ("url", "connect"),
    ("username", "user"),
    ("where", "when"),
    ("why", "reason"),
    ("zone", "timezone"),
];

/// The mapping that some keys belong to, for messages about a key in the wrong mapping.
const HOMES: [(&str, &[&str]); 3] = [
    (
        "a database of the configuration",
        &[
            "driver",
            "connect",
            "user",
            "password",
            "external",
            "armed",
            "poll",
            "connect_timeout",
            "call_timeout",
            "tns_admin",
            "labels",
        ],
    ),
    (
        "the configuration",
        &[
            "defaults",
            "include",
            "listen",
            "web_config",
            "listen_unprotected",
            "state",
            "timezone",
            "blackouts",
        ],
    ),
    (
        "a policy",
        &[
            "when", "unless", "while", "until", "for", "mode", "schedule", "order", "keep", "action", "escalate",
            "allow",
        ],
    ),
];

/// A file that is being read, and the problems found in it.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) source: Arc<SourceFile>,
    /// The text that was parsed; it is never shown.
    pub(crate) text: String,
    pub(crate) found: Vec<Diagnostic>,
    /// Takes the problems beyond [`MOST_FOUND`], which are dropped.
    surplus: Option<Diagnostic>,
}

/// The entries of a mapping. Unknown and repeated keys are reported and left out.
pub(crate) struct Fields<'a> {
    /// The position of the whole mapping, or of its first key.
    pub(crate) at: Range<usize>,
    entries: Vec<(&'static str, &'a Node, &'a Node)>,
    /// Keys without a value and keys that were probably misspelt; they are already reported.
    reported: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries
            .iter()
            .find(|(name, ..)| *name == key)
            .map(|(_, _, value)| *value)
    }

    /// The position of a key.
    pub(crate) fn key_at(&self, key: &str) -> Range<usize> {
        let found = self.entries.iter().find(|(name, ..)| *name == key);
        found.map_or(self.at.clone(), |(_, key, _)| key.at.clone())
    }
}

impl Inspection {
    pub(crate) fn new(source: Arc<SourceFile>, text: String) -> Inspection {
        Inspection {
            source,
            text,
            found: Vec::new(),
            surplus: None,
        }
    }

    /// Reports an error; the caller may add what was expected and a hint.
    pub(crate) fn error(
        &mut self,
        at: &Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Error, at, code, message)
    }

    /// Reports a warning.
    pub(crate) fn warning(
        &mut self,
        at: &Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Warning, at, code, message)
    }

    fn report(
        &mut self,
        severity: Severity,
        at: &Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        if self.is_full(severity) {
            let surplus = || Diagnostic::of_file(&self.source.name, code, message);
            return self.surplus.get_or_insert_with(surplus);
        }
        self.found
            .push(Diagnostic::at(severity, &self.source, at.clone(), code, message));
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Whether no more problems are recorded. The first error always is, because it makes the file invalid.
    fn is_full(&self, severity: Severity) -> bool {
        self.found.len() >= MOST_FOUND && (severity == Severity::Warning || self.found.iter().any(Diagnostic::is_error))
    }

    /// Reports a mistake inside a scalar at its position in the file.
    pub(crate) fn mistake(&mut self, severity: Severity, offsets: &Offsets, mistake: Mistake) {
        if self.is_full(severity) {
            return;
        }
        let at = offsets.range(&mistake.at);
        let mut diagnostic = Diagnostic::at(severity, &self.source, at, mistake.code, mistake.message);
        diagnostic.expected = mistake.expected;
        diagnostic.hint = mistake.hint;
        self.found.push(diagnostic);
    }

    pub(crate) fn offsets(&self, node: &Node, scalar: &Scalar) -> Offsets {
        Offsets::of(&self.text, &node.at, scalar)
    }

    /// The position to show for a node: for a collection, that of its first entry.
    pub(crate) fn place(node: &Node) -> Range<usize> {
        if !node.at.is_empty() {
            return node.at.clone();
        }
        match &node.value {
            Value::Mapping(entries) => entries.first().map_or(node.at.clone(), |(key, _)| key.at.clone()),
            Value::Sequence(items) => items.first().map_or(node.at.clone(), Self::place),
            Value::Null | Value::Scalar(_) => node.at.clone(),
        }
    }

    /// Reads a mapping that may have only these keys.
    pub(crate) fn fields<'a>(&mut self, node: &'a Node, what: &str, keys: &[&'static str]) -> Option<Fields<'a>> {
        let Value::Mapping(entries) = &node.value else {
            let message = format!(
                "{what} must be a mapping with keys, but this is {}",
                node.value.describe()
            );
            self.error(&Self::place(node), "wrong-type", message).hint =
                Some(format!("possible keys: {}", one_of(keys.iter().copied())));
            return None;
        };
        let mut known: Vec<(&'static str, &Node, &Node)> = Vec::with_capacity(entries.len());
        let mut reported = Vec::new();
        for (key, value) in entries {
            let Value::Scalar(name) = &key.value else {
                self.error(&Self::place(key), "wrong-type", "a key must be a word");
                continue;
            };
            let Some(known_key) = keys.iter().find(|known| **known == name.text) else {
                let message = format!("{what} has no key {}", quoted(&name.text));
                let meant = meant(&name.text, keys);
                reported.extend(meant);
                self.error(&key.at, "unknown-key", message).hint = Some(match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => home_hint(&name.text)
                        .unwrap_or_else(|| format!("possible keys: {}", one_of(keys.iter().copied()))),
                });
                continue;
            };
            if let Some((_, first, _)) = known.iter().find(|(name, ..)| name == known_key) {
                let (line, _) = self.source.position(first.at.start);
                let message = format!("the key `{known_key}` is already in line {line}");
                self.error(&key.at, "duplicate-key", message);
                continue;
            }
            if matches!(value.value, Value::Null) {
                self.error(&key.at, "missing-value", format!("the key `{known_key}` has no value"));
                reported.push(*known_key);
                continue;
            }
            known.push((known_key, key, value));
        }
        Some(Fields {
            at: Self::place(node),
            entries: known,
            reported,
        })
    }

    /// The value of a required key.
    pub(crate) fn required<'a>(&mut self, fields: &Fields<'a>, what: &str, key: &'static str) -> Option<&'a Node> {
        self.required_as(fields, what, key, None)
    }

    /// The value of a required key; the hint says what to write if it is missing.
    pub(crate) fn required_as<'a>(
        &mut self,
        fields: &Fields<'a>,
        what: &str,
        key: &'static str,
        hint: Option<&str>,
    ) -> Option<&'a Node> {
        let found = fields.get(key);
        if found.is_none() && !fields.reported.contains(&key) {
            self.error(&fields.at, "missing-key", format!("{what} has no `{key}`"))
                .hint = hint.map(str::to_owned);
        }
        found
    }

    /// Reads a mapping whose keys are names that the user chooses; repeated names are reported.
    pub(crate) fn names<'a>(&mut self, node: &'a Node, what: &str) -> Vec<(&'a str, &'a Node, &'a Node)> {
        let Value::Mapping(entries) = &node.value else {
            let message = format!(
                "`{what}` must be a mapping with names as keys, but this is {}",
                node.value.describe()
            );
            self.error(&Self::place(node), "wrong-type", message);
            return Vec::new();
        };
        if entries.len() > MOST_NAMES {
            let message = format!("`{what}` has {} names; the limit is {MOST_NAMES}", entries.len());
            self.error(&Self::place(node), "too-many-names", message);
            return Vec::new();
        }
        let mut names: Vec<(&str, &Node, &Node)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Value::Scalar(name) = &key.value else {
                self.error(&Self::place(key), "wrong-type", "a name must be a word");
                continue;
            };
            let good = name.text.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.text.len() <= 64
                && name
                    .text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !good {
                let message = format!("{} is not a valid name", quoted(&name.text));
                self.error(&key.at, "bad-name", message).hint =
                    Some("a name begins with a letter and has at most 64 letters, digits, `_` and `-`".to_owned());
                continue;
            }
            if names.iter().any(|(known, ..)| *known == name.text) {
                let message = format!("the name `{}` is already defined above", name.text);
                self.error(&key.at, "duplicate-key", message);
                continue;
            }
            names.push((&name.text, key, value));
        }
        names
    }

    /// Reads a list.
    pub(crate) fn list<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        if let Value::Sequence(items) = &node.value {
            return items;
        }
        let message = format!("`{what}` must be a list, but this is {}", node.value.describe());
        let hint = match &node.value {
            Value::Scalar(scalar) => format!("write `{what}: [{}]`", scalar.text),
            Value::Mapping(_) => "begin each entry with `- `".to_owned(),
            Value::Null | Value::Sequence(_) => "write `[...]`".to_owned(),
        };
        self.error(&Self::place(node), "wrong-type", message).hint = Some(hint);
        &[]
    }

    /// Reads a single value.
    pub(crate) fn scalar<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a Scalar> {
        if let Value::Scalar(scalar) = &node.value {
            return Some(scalar);
        }
        let message = format!("`{what}` must be a single value, but this is {}", node.value.describe());
        self.error(&Self::place(node), "wrong-type", message);
        None
    }

    /// Reads a text, without the white space around it.
    pub(crate) fn text<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        self.scalar(node, what).map(|scalar| scalar.text.trim())
    }

    /// Reads one of some words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        let found = choices.iter().find(|choice| name(**choice).eq_ignore_ascii_case(text));
        if let Some(choice) = found {
            return Some(*choice);
        }
        let names = || choices.iter().map(|choice| name(*choice));
        let message = format!("{} is not a valid value of `{what}`", quoted(text));
        let hint = did_you_mean(text, names());
        let problem = self.error(&node.at, "unknown-word", message);
        problem.expected = Some(format!("expected {}", one_of(names())));
        problem.hint = hint;
        None
    }

    /// Reads `true` or `false`.
    pub(crate) fn truth(&mut self, node: &Node, what: &str) -> Option<bool> {
        let scalar = self.scalar(node, what)?;
        match (scalar.style, scalar.text.to_ascii_lowercase().as_str()) {
            (Style::Plain, "true") => Some(true),
            (Style::Plain, "false") => Some(false),
            (style, word) => {
                let hint = match (style, word) {
                    (Style::Plain, "yes" | "on" | "y" | "1") => Some("write `true`"),
                    (Style::Plain, "no" | "off" | "n" | "0") => Some("write `false`"),
                    (_, "true" | "false") => Some("write it without quotes"),
                    _ => None,
                };
                let message = match style {
                    Style::Plain => format!("{} is neither `true` nor `false`", quoted(&scalar.text)),
                    Style::Single | Style::Double | Style::Block => {
                        format!("`{what}` must be `true` or `false`, but this is a text")
                    }
                };
                let problem = self.error(&node.at, "wrong-type", message);
                problem.expected = Some("expected `true` or `false`".to_owned());
                problem.hint = hint.map(str::to_owned);
                None
            }
        }
    }

    /// Reads a whole number in a range.
    pub(crate) fn number(&mut self, node: &Node, what: &str, low: u64, high: u64) -> Option<u64> {
        let token = self.quantity(node, what, "a whole number")?;
        let Token::Number(number) = token else {
            self.wrong_quantity(node, what, "a whole number", &token);
            return None;
        };
        let number = u64::try_from(number)
            .ok()
            .filter(|number| (low..=high).contains(number));
        if number.is_none() {
            let message = format!("`{what}` must be between {low} and {high}");
            self.error(&node.at, "out-of-range", message);
        }
        number
    }

    /// Reads a duration in a range, in seconds.
    pub(crate) fn duration(&mut self, node: &Node, what: &str, low: i64, high: i64) -> Option<i64> {
        let token = self.quantity(node, what, "a duration")?;
        let Token::Duration(seconds) = token else {
            self.wrong_quantity(node, what, "a duration", &token);
            return None;
        };
        if (low..=high).contains(&seconds) {
            return Some(seconds);
        }
        let message = format!(
            "`{what}` must be between {} and {}",
            Span(low).in_full(),
            Span(high).in_full()
        );
        self.error(&node.at, "out-of-range", message);
        None
    }

    /// Reads a size in a range, in bytes.
    pub(crate) fn size(&mut self, node: &Node, what: &str, low: i64, high: i64) -> Option<i64> {
        let token = self.quantity(node, what, "a size")?;
        let Token::Size(bytes) = token else {
            self.wrong_quantity(node, what, "a size", &token);
            return None;
        };
        if (low..=high).contains(&bytes) {
            return Some(bytes);
        }
        let message = format!(
            "`{what}` must be between {} and {}",
            Bytes(low).in_full(),
            Bytes(high).in_full()
        );
        self.error(&node.at, "out-of-range", message);
        None
    }

    /// Reads a percentage from 1 to 100.
    pub(crate) fn percent(&mut self, node: &Node, what: &str) -> Option<u32> {
        let token = self.quantity(node, what, "a percentage")?;
        let Token::Percent(percent) = token else {
            self.wrong_quantity(node, what, "a percentage", &token);
            return None;
        };
        let percent = u32::try_from(percent)
            .ok()
            .filter(|percent| (1..=100).contains(percent));
        if percent.is_none() {
            self.error(
                &node.at,
                "out-of-range",
                format!("`{what}` must be between 1% and 100%"),
            );
        }
        percent
    }

    fn quantity(&mut self, node: &Node, what: &str, wanted: &str) -> Option<Token> {
        let text = self.text(node, what)?;
        match measure(text) {
            Ok(token) => Some(token),
            Err((code, message, hint)) => {
                let problem = self.error(&node.at, code, format!("`{what}` must be {wanted}: {message}"));
                problem.expected = Some(format!("expected {wanted}"));
                problem.hint = hint;
                None
            }
        }
    }

    fn wrong_quantity(&mut self, node: &Node, what: &str, wanted: &str, found: &Token) {
        let hint = match (wanted, found) {
            ("a duration", Token::Number(number)) => Some(format!("write `{number}s`, `{number}m` or `{number}h`")),
            ("a size", Token::Number(number)) => Some(format!("write `{number}MB` or `{number}GB`")),
            ("a percentage", Token::Number(number)) => Some(format!("write `{number}%`")),
            _ => None,
        };
        let message = format!("`{what}` must be {wanted}, but this is {}", found.describe());
        let problem = self.error(&node.at, "wrong-type", message);
        problem.expected = Some(format!("expected {wanted}"));
        problem.hint = hint;
    }
}

/// The key that a word probably means: a similar word, or another name for the key.
fn meant(word: &str, keys: &[&'static str]) -> Option<&'static str> {
    let lower = word.to_lowercase();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower);
    other
        .and_then(|(_, name)| keys.iter().copied().find(|key| key == name))
        .or_else(|| nearest(word, keys.iter().copied()))
}

/// A hint with the mapping that a key belongs to.
fn home_hint(word: &str) -> Option<String> {
    let (home, _) = HOMES.iter().find(|(_, keys)| keys.contains(&word))?;
    Some(format!("`{word}` is a key of {home}"))
}
