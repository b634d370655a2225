//! What is wrong with a file, where, and what to write instead.
//!
//! A DBA who mistyped one word should see that word marked in its line, and every other mistake of every file in the same
//! run. So nothing here stops at the first problem: a [`Diagnostic`] is plain data that carries its own source, and readers
//! go on after reporting one. The wording is for people; the `code` is for scripts and never changes.
//!
//! A source may hold secrets (a configuration with a password in it is refused, but it is still there on disk). Whoever
//! reads such a file hands over a masked text for display; the text that was parsed is never rendered.

use crate::visible::{acts, visible};
use crate::words::words;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// How many problems of one file are shown; the rest are counted.
pub const SHOWN_PER_FILE: usize = 50;

/// How many lines of a source one rendered problem shows.
const SHOWN_LINES: usize = 6;

/// How many characters of a user's own text a message repeats.
const QUOTED_CHARACTERS: usize = 60;

words! {
    /// Whether a problem keeps the file from being loaded.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Severity {
        /// Nothing is loaded.
        Error = "error",
        /// Loaded, but probably not what was meant.
        Warning = "warning",
    }
}

/// A file that was read: its name, and its text as it may be shown.
#[derive(Debug)]
pub struct Source {
    /// As the user named it.
    pub name: Arc<str>,
    /// Same length as the text that was parsed, secrets masked.
    shown: String,
    /// Byte offsets at which lines begin.
    lines: Vec<usize>,
}

impl Source {
    /// A source whose text may be shown as it is.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Arc<Source> {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Arc::new(Source {
            name: name.into(),
            shown: text.to_owned(),
            lines,
        })
    }

    /// Whether the line of this offset is shown just as it was read.
    pub(crate) fn shows(&self, text: &str, offset: usize) -> bool {
        let offset = offset.min(text.len());
        let line = self.lines.partition_point(|start| *start <= offset);
        let end = self.lines.get(line).copied().unwrap_or(self.shown.len());
        let range = self.lines[line - 1]..end;
        text.as_bytes().get(range.clone()) == self.shown.as_bytes().get(range)
    }

    /// Whether this part of the text is shown just as it was read.
    pub(crate) fn shows_all_of(&self, text: &str, range: &Range<usize>) -> bool {
        text.as_bytes().get(range.clone()) == self.shown.as_bytes().get(range.clone())
    }

    /// The 1-based line and column (in characters) of a byte offset.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = floor_char_boundary(&self.shown, offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        // A byte order mark is no column.
        let before = self.shown[start..offset].trim_start_matches('\u{feff}');
        (line, before.chars().count() + 1)
    }

    /// The whole lines that a range touches, at most a handful: the text, the offset at which it begins, its first line.
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

/// One problem of one file.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether it keeps the file from being loaded.
    pub severity: Severity,
    /// The file as it was named.
    pub file: Arc<str>,
    /// 1-based; 0 where the problem has no place inside the file.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// Byte offsets into the file.
    pub span: Range<usize>,
    /// A stable kebab-case word for scripts.
    pub code: &'static str,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What stands beside the mark: what was expected there.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    source: Option<Arc<Source>>,
}

impl Diagnostic {
    /// A problem at a place.
    #[must_use]
    pub fn at(
        severity: Severity,
        source: &Arc<Source>,
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

    /// A problem with a file as a whole.
    #[must_use]
    pub fn of_file(file: &str, code: &'static str, message: impl Into<String>) -> Diagnostic {
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

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do, if there is something.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Diagnostic {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }

    /// Whether it keeps the file from being loaded.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The line, the spot marked, and the hint, as rustc shows them; several lines, no newline at the end.
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

/// Sorts by file (in the order in which the files were read), place and code, drops repetitions, and caps each file.
#[must_use]
pub fn arrange(diagnostics: Vec<Diagnostic>, files: &[Arc<str>]) -> Vec<Diagnostic> {
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
        // An error beyond the cap would be hidden behind warnings; errors go first when there are too many.
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

/// A piece of the user's own text inside a message: in backquotes, shortened, control characters made visible.
#[must_use]
pub fn quoted(text: &str) -> String {
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
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// So many letters are the beginning of a word and no accident.
const BEGINNING: usize = 4;

/// The nearest of the valid words, if one is near enough to have been meant, or the only one that begins like this.
#[must_use]
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
pub fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, valid).map(|found| format!("did you mean `{found}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_and_lines_from_one() {
        let source = Source::new("f.yaml", "aé: 1\n\nb: 2");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3)); // after the two bytes of é
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(8), (3, 1));
        assert_eq!(source.position(1000), (3, 5));
    }

    #[test]
    fn the_nearest_word_is_one_that_could_have_been_meant() {
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
    fn a_file_with_too_many_problems_shows_errors_first_and_counts_the_rest() {
        let source = Source::new("f.yaml", &"x\n".repeat(100));
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
    fn control_characters_and_long_texts_are_tamed() {
        assert_eq!(quoted("a\u{1b}[0m"), "`a\\x1b[0m`");
        assert_eq!(quoted(&"x".repeat(100)), format!("`{}…`", "x".repeat(60)));
    }
}
