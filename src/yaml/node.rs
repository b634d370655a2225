//! Parses the bytes of a file into a tree of YAML nodes with positions. Only this module uses serde for YAML.
//!
//! Deriving `Deserialize` for the types of policies would be shorter, but a derived reader stops at the first problem. So YAML
//! is parsed into a plain tree that accepts anything, and the readers of the tree report all problems. Repeated keys are kept
//! in the tree for the same reason; merge keys and unknown tags are refused.
//!
//! The position of a scalar is that of its text as written, with quotes, escapes and folded lines.
//! [`super::offsets::Offsets`] maps a byte of the value to the byte of the file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Location, MergeKeyPolicy, NonFiniteFloatPolicy, Spanned};

use super::diagnostics::{Diagnostic, Severity, SourceFile};

/// The largest file that is read, in bytes. The largest sensible policy file has some tens of kilobytes.
pub(crate) const LARGEST_FILE: usize = 1 << 20;

const DEEPEST: usize = 24;
const MOST_NODES: usize = 100_000;

/// A part of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The position of its text in the file; empty for a block collection.
    pub(crate) at: Range<usize>,
    /// The value.
    pub(crate) value: Value,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, number or truth value.
    Scalar(Scalar),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping; keys may be repeated.
    Mapping(Vec<(Node, Node)>),
}

impl Value {
    /// The kind of value in words, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Value::Null => "empty",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// The text of a single value and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// The text without quotes, escapes and folds. A plain number or truth value keeps its spelling.
    pub(crate) text: String,
    /// How it is written.
    pub(crate) style: Style,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes.
    Plain,
    /// `'...'`
    Single,
    /// `"..."`
    Double,
    /// `|` or `>`
    Block,
}

/// Parses a file into its source for messages, its text and its tree.
///
/// `mask` returns the text for display, with the same length.
pub(crate) fn read(
    name: &str,
    bytes: &[u8],
    mask: fn(&str) -> String,
) -> Result<(Arc<SourceFile>, String, Node), Box<Diagnostic>> {
    let text = decode(name, bytes)?;
    let source = SourceFile::new(name, &mask(&text));
    let node = parse(&source, &text)?;
    if matches!(node.value, Value::Null) {
        return Err(Box::new(Diagnostic::of_file(name, "empty-file", "the file is empty")));
    }
    Ok((source, text, node))
}

fn decode(name: &str, bytes: &[u8]) -> Result<String, Box<Diagnostic>> {
    if bytes.len() > LARGEST_FILE {
        return Err(Box::new(Diagnostic::of_file(
            name,
            "file-too-large",
            format!("the file has more than {LARGEST_FILE} bytes, which is the limit"),
        )));
    }
    if bytes.contains(&0) {
        return Err(Box::new(Diagnostic::of_file(
            name,
            "binary-file",
            "the file is binary, not YAML text",
        )));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            Err(Box::new(Diagnostic::of_file(
                name,
                "not-utf-8",
                format!("the file is not UTF-8 text: line {line} has an invalid byte"),
            )))
        }
    }
}

fn parse(source: &Arc<SourceFile>, text: &str) -> Result<Node, Box<Diagnostic>> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: DEEPEST,
            max_nodes: MOST_NODES,
            max_events: 4 * MOST_NODES,
            flow_nesting_limit: DEEPEST,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 2,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MOST_NODES,
            max_replay_stack_depth: 8,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        ignore_binary_tag_for_string: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_yaml::from_str_with_options::<Spanned<Loose>>(text, options) {
        Ok(root) => Ok(node(text, root)),
        Err(error) => Err(Box::new(syntax(source, text, &error))),
    }
}

/// An error of the YAML parser as a problem, in words for DBAs. The parser's message does not quote the file's text.
fn syntax(source: &Arc<SourceFile>, text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let full = error.to_string();
    let message = full.rfind(" at line ").map_or(full.as_str(), |end| &full[..end]);
    let mut at = error.location().map_or(0, |location| byte_offset(text, &location));
    if message.contains("tab") {
        at = tab_after(text, at).unwrap_or(at);
    }
    // If something is masked, even the parser's message might contain it, as the name of an anchor or a tag.
    let masked = !source.shows(text, at);
    let told = if masked { "the value cannot be read" } else { message };
    let end = text[at..].chars().next().map_or(at, |next| at + next.len_utf8());
    let problem = Diagnostic::at(
        Severity::Error,
        source,
        at..end,
        "yaml-syntax",
        format!("this is not valid YAML: {told}"),
    );
    let other = |code, message: String| Diagnostic::at(Severity::Error, source, at..end, code, message);
    if message.contains("multiple YAML documents") {
        return other("several-documents", "the file has several YAML documents".to_owned())
            .hint("remove the `---` line, or split the file");
    }
    if message.contains("recursion limit") {
        return other(
            "too-deep",
            format!("brackets and braces are nested more than {DEEPEST} deep"),
        );
    }
    if message.contains("budget") || message.contains("limit exceeded") {
        return other(
            "file-too-large",
            format!("the file has more than {MOST_NODES} values, which is the limit"),
        )
        .hint("each use of an alias counts as a value");
    }
    if message.contains("merge keys") {
        return other("merge-key", "merge keys (`<<`) are not supported".to_owned()).hint("write the keys themselves");
    }
    problem.maybe_hint(syntax_hint(source, message, text, at))
}

/// What to do about text that is not valid YAML.
fn syntax_hint(source: &SourceFile, message: &str, text: &str, at: usize) -> Option<String> {
    let masked = !source.shows(text, at);
    let unclosed = message.contains("unclosed") || message.contains("end of stream") || at >= text.trim_end().len();
    let hint = if masked && unclosed {
        "a quote or a bracket is not closed, or the file was cut off; text that may be a password is not shown, and a \
         password does not belong in this file"
    } else if masked {
        "text that may be a password is not shown; a password does not belong in this file: write where it is stored, as \
         in `password: {credential: prod}`"
    } else if text[at..].starts_with(['@', '%', '`', '*']) {
        "a YAML value cannot begin with this character: quote the whole value, or write it as a block after `>`"
    } else if message.contains("trailing content after") {
        "a value that begins with a quote must end with it: write the condition as a block after `when: >`"
    } else if let Some(key) = key_without_blank(source, text, at) {
        return Some(format!(
            "a colon needs a blank after it: write `{key}: ` in the line above"
        ));
    } else if message.contains("expected '-' indicator") {
        "the keys of an entry must be exactly below each other, the first one after the `- `"
    } else if message.contains("mapping values are not allowed") {
        "quote a value that contains `: `; otherwise check the indentation"
    } else if message.contains("tab") {
        "indent YAML with spaces, never with tabs"
    } else if unclosed {
        "the file may be incomplete"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// The first tab in an indentation, from the line of an offset on. The parser's position is before the tab.
fn tab_after(text: &str, offset: usize) -> Option<usize> {
    let begin = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = begin;
    for line in text[begin..].split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t') {
            return Some(start + tab);
        }
        start += line.len();
    }
    None
}

/// The key of the line above, if its colon has no blank after it: in YAML, `name:prod` is one word, and the parser reports the
/// error only in the next line.
fn key_without_blank<'t>(source: &SourceFile, text: &'t str, offset: usize) -> Option<&'t str> {
    let begin = text[..offset]
        .rfind('\n')
        .filter(|newline| source.shows(text, *newline))?;
    let above = text[..begin].lines().next_back()?.trim_start_matches([' ', '-']);
    let (key, rest) = above.split_once(':')?;
    let word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (word && !rest.is_empty() && !rest.starts_with(' ')).then_some(key)
}

/// The byte offset of a location. Those of values have it; those of errors have only a line and a column in characters.
fn byte_offset(text: &str, location: &Location) -> usize {
    if let Some(offset) = location.span().byte_offset() {
        return (offset as usize).min(text.len());
    }
    let line = usize::try_from(location.line()).unwrap_or(0).saturating_sub(1);
    let column = usize::try_from(location.column()).unwrap_or(0).saturating_sub(1);
    let start = match line {
        0 => 0,
        line => text
            .match_indices('\n')
            .nth(line - 1)
            .map_or(text.len(), |(at, _)| at + 1),
    };
    let rest = text[start..].split('\n').next().unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

fn node(text: &str, spanned: Spanned<Loose>) -> Node {
    let span = spanned.defined.span();
    let start = byte_offset(text, &spanned.defined);
    let length = span.byte_len().map_or(0, |length| length as usize);
    let end = (start + length).min(text.len());
    let written = text.get(start..end).unwrap_or_default();
    let scalar = |value: String, style| Value::Scalar(Scalar { text: value, style });
    let value = match spanned.value {
        Loose::Null => Value::Null,
        Loose::Inferred => scalar(written.to_owned(), Style::Plain),
        Loose::Text(value) => {
            let style = style(text, start, written);
            scalar(value, style)
        }
        Loose::Sequence(items) => Value::Sequence(items.into_iter().map(|item| node(text, item)).collect()),
        Loose::Mapping(entries) => Value::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| (node(text, key), node(text, value)))
                .collect(),
        ),
    };
    // A block scalar includes the newline of its last line; its position should not.
    let trimmed = start + written.trim_end().len();
    Node {
        at: start..trimmed,
        value,
    }
}

/// The style of a scalar, from its text, because the parser does not give it: a block begins on the line after a `|` or `>`.
fn style(text: &str, start: usize, written: &str) -> Style {
    let before = text[..start].trim_end_matches([' ', '\t']);
    if before.ends_with('\n') {
        let mut above = before.lines().rev();
        let header = above.find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        if header.is_some_and(opens_block) {
            return Style::Block;
        }
    }
    match written.as_bytes().first() {
        Some(b'\'') => Style::Single,
        Some(b'"') => Style::Double,
        Some(_) | None => Style::Plain,
    }
}

/// Whether a line ends with the header of a block scalar: `|` or `>` with indicators, and perhaps a comment.
fn opens_block(line: &str) -> bool {
    let line = line.find(" #").map_or(line, |comment| &line[..comment]).trim_end();
    let header = line.rsplit([' ', '\t']).next().unwrap_or(line);
    let mut characters = header.chars();
    matches!(characters.next(), Some('|' | '>'))
        && characters.all(|character| matches!(character, '+' | '-' | '1'..='9'))
}

/// A value as the parser gives it, before it has a position.
enum Loose {
    Null,
    /// A number or a truth value; its spelling is taken from the file.
    Inferred,
    Text(String),
    Sequence(Vec<Spanned<Loose>>),
    Mapping(Vec<(Spanned<Loose>, Spanned<Loose>)>),
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loose, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Null)
    }

    fn visit_none<E>(self) -> Result<Loose, E> {
        Ok(Loose::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Inferred)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Inferred)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Inferred)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Loose, E> {
        Ok(Loose::Inferred)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Loose, E> {
        Ok(Loose::Inferred)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Inferred)
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Loose, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            if items.len() == MOST_NODES {
                return Err(A::Error::custom("a list is too long"));
            }
            items.push(item);
        }
        Ok(Loose::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Loose, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            if entries.len() == MOST_NODES {
                return Err(A::Error::custom("a mapping is too long"));
            }
            entries.push(entry);
        }
        Ok(Loose::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn a_repeated_key_and_an_alias_have_their_positions() {
        let (source, _, root) = read("f.yaml", b"a: &x one\nb: *x\na: 007\n", plain).expect("well-formed");
        let Value::Mapping(entries) = root.value else {
            panic!("not a mapping")
        };
        assert_eq!(entries.len(), 3);
        assert_eq!(source.position(entries[2].0.at.start), (3, 1));
        let Value::Scalar(seven) = &entries[2].1.value else {
            panic!("not a scalar")
        };
        assert_eq!(seven.text, "007");
    }

    fn problem(bytes: &[u8]) -> (&'static str, usize, usize) {
        let problem = read("f.yaml", bytes, plain).expect_err("refused");
        (problem.code, problem.line, problem.column)
    }

    #[test]
    fn a_file_that_is_not_yaml_is_refused_with_its_fault_code() {
        assert_eq!(problem(b""), ("empty-file", 0, 0));
        assert_eq!(problem(b"# nothing\n"), ("empty-file", 0, 0));
        assert_eq!(problem(b"\x7fELF\0\0"), ("binary-file", 0, 0));
        assert_eq!(problem(b"a: \xff\n"), ("not-utf-8", 0, 0));
        assert_eq!(problem(&vec![b'#'; LARGEST_FILE + 1]), ("file-too-large", 0, 0));
        assert_eq!(problem(b"a: 1\n---\nb: 2\n"), ("several-documents", 3, 1));
        assert_eq!(problem(b"a: [1, 2"), ("yaml-syntax", 1, 4));
        assert_eq!(problem(b"a: \"x\n"), ("yaml-syntax", 1, 4));
        assert_eq!(problem(b"a:\n\t- x\n"), ("yaml-syntax", 2, 1));
        assert_eq!(problem(b"x: {a: 1}\n<<: {a: 2}\n").0, "merge-key");
        assert_eq!(problem("[".repeat(500).as_bytes()).0, "too-deep");
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
        assert_eq!(problem(bomb.as_bytes()).0, "file-too-large");
    }
}
