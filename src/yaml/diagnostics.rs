//! Problems in files: what is wrong, where, and what to write instead.
//!
//! A DBA who mistypes a word should see it marked in its line, and see all other mistakes in all files in the same run. So a
//! [`Diagnostic`] is plain data with its own source, and readers go on after they report one. The wording is for people; the
//! `code` is for scripts and never changes.
//!
//! A source may contain secrets: a configuration with a password in it is refused, but its lines are shown. The reader of such
//! a file passes a masked text for display; the text that was parsed is never shown.

use crate::terminal::visible::{acts, visible};
use crate::words::words;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// The most problems of one file that are shown; the rest are only counted.
pub(crate) const SHOWN_PER_FILE: usize = 50;

/// The most lines of a source that one problem shows.
const SHOWN_LINES: usize = 6;

/// The most characters of the user's text that a message quotes.
const QUOTED_CHARACTERS: usize = 60;

words! {
    /// Whether a problem prevents loading.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Severity {
        /// No file is loaded.
        Error = "error",
        /// The files are loaded, but something is probably not as intended.
        Warning = "warning",
    }
}

/// A file that was read: its name, and its text for display.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// The path as the user gave it.
    pub(crate) name: Arc<str>,
    /// The text with its secrets masked; it has the same length as the text that was parsed.
    shown: String,
    /// The byte offsets of the beginnings of the lines.
    lines: Vec<usize>,
}

impl SourceFile {
    /// A source with its text for display.
    #[must_use]
    pub(crate) fn new(name: &str, text: &str) -> Arc<SourceFile> {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Arc::new(SourceFile {
            name: name.into(),
            shown: text.to_owned(),
            lines,
        })
    }

    /// Whether the line at an offset has nothing masked.
    pub(crate) fn shows(&self, text: &str, offset: usize) -> bool {
        let offset = offset.min(text.len());
        let line = self.lines.partition_point(|start| *start <= offset);
        let end = self.lines.get(line).copied().unwrap_or(self.shown.len());
        let range = self.lines[line - 1]..end;
        text.as_bytes().get(range.clone()) == self.shown.as_bytes().get(range)
    }

    /// Whether a part of the text has nothing masked.
    pub(crate) fn shows_all_of(&self, text: &str, range: &Range<usize>) -> bool {
        text.as_bytes().get(range.clone()) == self.shown.as_bytes().get(range.clone())
    }

    /// The line and column (in characters) of a byte offset, both from 1.
    #[must_use]
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = floor_char_boundary(&self.shown, offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        // A byte order mark does not count as a column.
        let before = self.shown[start..offset].trim_start_matches('\u{feff}');
        (line, before.chars().count() + 1)
    }

    /// The whole lines of a range, at most [`SHOWN_LINES`]: the text, the offset of its beginning, the number of its first line.
    fn excerpt(&self, range: &Range<usize>) -> (&str, usize, usize) {
        let first = self.lines.partition_point(|start| *start <= range.start).max(1);
        let last_offset = range.end.saturating_sub(1).max(range.start);
        let last = self
            .lines
            .partition_point(|start| *start <= last_offset)
            .clamp(first, first + SHOWN_LINES - 1);
        let begin = self.lines[first - 1];
        let end = self.lines.get(last).map_or(self.shown.len(), |next| next - 1);
        (&self.shown[begin..end], begin, first)
    }
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// A problem in a file.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether it prevents loading.
    pub(crate) severity: Severity,
    /// The path of the file as it was given.
    pub(crate) file: Arc<str>,
    /// The line, from 1; 0 if the problem has no position in the file.
    pub(crate) line: usize,
    /// The column, from 1, in characters.
    pub(crate) column: usize,
    /// The position, in bytes of the file.
    pub span: Range<usize>,
    /// A stable word in kebab case, for scripts.
    pub code: &'static str,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What was expected; it is shown next to the mark.
    pub(crate) expected: Option<String>,
    /// What to do or write instead.
    pub hint: Option<String>,
    source: Option<Arc<SourceFile>>,
}

impl Diagnostic {
    /// A problem at a position in a file.
    #[must_use]
    pub(crate) fn at(
        severity: Severity,
        source: &Arc<SourceFile>,
        span: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Diagnostic {
        let start = floor_char_boundary(&source.shown, span.start);
        let end = floor_char_boundary(&source.shown, span.end.max(start));
        let (line, column) = source.position(start);
        Diagnostic {
            severity,
            file: source.name.clone(),
            line,
            column,
            span: start..end,
            code,
            message: message.into(),
            expected: None,
            hint: None,
            source: Some(source.clone()),
        }
    }

    /// A problem of a whole file.
    #[must_use]
    pub(crate) fn of_file(file: &str, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: file.into(),
            line: 0,
            column: 0,
            span: 0..0,
            code,
            message: message.into(),
            expected: None,
            hint: None,
            source: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint, if there is one.
    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Diagnostic {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }

    /// Whether it prevents loading.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The problem as rustc shows it: message, line with a mark, hint; several lines without a newline at the end.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let Some(source) = &self.source else {
            return match &self.hint {
                Some(hint) => format!("{self}\n  = help: {hint}"),
                None => self.to_string(),
            };
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (excerpt, begin, first_line) = source.excerpt(&self.span);
        let excerpt = excerpt.strip_suffix('\r').unwrap_or(excerpt);
        let start = (self.span.start - begin).min(excerpt.len());
        let end = self.span.end.saturating_sub(begin).clamp(start, excerpt.len());
        let mark = AnnotationKind::Primary.span(start..end).label(self.expected.as_deref());
        let snippet = Snippet::source(excerpt)
            .line_start(first_line)
            .path(self.file.as_ref())
            .annotation(mark);
        let mut group = level
            .primary_title(self.message.as_str())
            .id(self.code)
            .element(snippet);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// `file:line:column: error[code]: message`, on one line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}[{}]: {}", self.severity.name(), self.code, self.message)
    }
}

/// Sorts by file (in the order of `files`), position and code, removes duplicates, and limits the number for each file.
#[must_use]
pub(crate) fn arrange(diagnostics: Vec<Diagnostic>, files: &[Arc<str>]) -> Vec<Diagnostic> {
    let rank = |file: &str| files.iter().position(|name| &**name == file).unwrap_or(files.len());
    let mut sorted = diagnostics;
    sorted.sort_by_cached_key(|one| {
        (
            rank(&one.file),
            one.file.clone(),
            one.span.start,
            one.span.end,
            one.severity,
            one.code,
            one.message.clone(),
        )
    });
    sorted.dedup_by(|one, other| {
        one.file == other.file && one.span == other.span && one.code == other.code && one.message == other.message
    });
    let mut arranged: Vec<Diagnostic> = Vec::with_capacity(sorted.len());
    for file in sorted.chunk_by(|one, other| one.file == other.file) {
        // If there are too many, errors go first, so that warnings never hide an error.
        let mut shown: Vec<&Diagnostic> = file.iter().collect();
        if shown.len() > SHOWN_PER_FILE {
            shown.sort_by_key(|one| one.severity);
        }
        let hidden = shown.len().saturating_sub(SHOWN_PER_FILE);
        arranged.extend(shown.into_iter().take(SHOWN_PER_FILE).cloned());
        if hidden > 0 {
            let mut rest = Diagnostic::of_file(
                &file[0].file,
                "more-problems",
                format!("{hidden} more problems in this file are not shown"),
            );
            if !file.iter().any(Diagnostic::is_error) {
                rest.severity = Severity::Warning;
            }
            arranged.push(rest);
        }
    }
    arranged
}

/// The user's text in a message: in backquotes, shortened, with control characters made visible.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_CHARACTERS {
            shown.push('…');
            break;
        }
        if acts(character) {
            shown.push_str(&visible(character.encode_utf8(&mut [0; 4])));
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

/// `a`, `b` or `c`.
#[must_use]
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// This many equal letters at the beginning are not a coincidence.
const BEGINNING: usize = 4;

/// The valid word that was probably meant: the most similar one, or the only one with the same beginning.
#[must_use]
pub(crate) fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word
        .chars()
        .take(QUOTED_CHARACTERS)
        .flat_map(char::to_lowercase)
        .collect();
    let length = word.chars().count();
    let allowed = match length {
        0 | 1 => 0,
        2..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let mut near: Option<(usize, &str)> = None;
    let mut begun: Vec<&str> = Vec::new();
    for candidate in valid {
        let letters = candidate.to_lowercase();
        // A swap of neighbours counts as one edit.
        let distance = strsim::osa_distance(&word, &letters);
        if distance <= allowed && near.is_none_or(|(nearest, _)| distance < nearest) {
            near = Some((distance, candidate));
        }
        if length >= BEGINNING && letters.starts_with(&word) {
            begun.push(candidate);
        }
    }
    match (near, begun.as_slice()) {
        (Some((_, near)), _) => Some(near),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// ``did you mean `word`?``
#[must_use]
pub(crate) fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, valid).map(|found| format!("did you mean `{found}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let source = SourceFile::new("f.yaml", "aé: 1\n\nb: 2");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3)); // after the two bytes of é
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(8), (3, 1));
        assert_eq!(source.position(1000), (3, 5));
    }

    #[test]
    fn only_a_similar_word_is_suggested() {
        assert_eq!(nearest("usernmae", ["username", "user#", "program"]), Some("username"));
        assert_eq!(nearest("USERNAM", ["username", "schemaname"]), Some("username"));
        assert_eq!(nearest("blue", ["username", "program"]), None);
        assert_eq!(nearest("x", ["p1", "p2"]), None);
        assert_eq!(nearest("INACT", ["ACTIVE", "INACTIVE"]), Some("INACTIVE"));
        assert_eq!(
            nearest("block", ["blocking_session", "blocking_instance"]),
            None,
            "which one?"
        );
        assert_eq!(nearest("blo", ["blocking_session"]), None, "too little to tell");
        assert_eq!(
            nearest("sdi", ["sid"]),
            Some("sid"),
            "a swap is one edit, and two are too many here"
        );
    }

    #[test]
    fn too_many_problems_show_errors_first_and_count_the_rest() {
        let source = SourceFile::new("f.yaml", &"x\n".repeat(100));
        let mut all: Vec<Diagnostic> = (0..60)
            .map(|n| {
                Diagnostic::at(
                    Severity::Warning,
                    &source,
                    n * 2..n * 2 + 1,
                    "some-warning",
                    "a warning",
                )
            })
            .collect();
        all.push(Diagnostic::at(
            Severity::Error,
            &source,
            150..151,
            "some-error",
            "an error",
        ));
        let arranged = arrange(all, std::slice::from_ref(&source.name));
        assert_eq!(arranged.len(), SHOWN_PER_FILE + 1);
        assert!(arranged[0].is_error());
        assert_eq!(
            arranged[SHOWN_PER_FILE].message,
            "11 more problems in this file are not shown"
        );
    }

    #[test]
    fn control_characters_are_visible_and_long_texts_are_shortened() {
        assert_eq!(quoted("a\u{1b}[0m"), "`a\\x1b[0m`");
        assert_eq!(quoted(&"x".repeat(100)), format!("`{}…`", "x".repeat(60)));
    }
}
