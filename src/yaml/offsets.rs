//! Maps the bytes of a scalar's value to the bytes of the file, so that a mistake in line 3 of a block is shown at that line.

use std::ops::Range;

use super::node::{Scalar, Style};

/// A map from the bytes of a scalar's value to the bytes of the file.
#[derive(Clone, Debug)]
pub(crate) struct Offsets {
    /// For each byte of the value, and for the byte after its end: where its character begins and ends in the file.
    file: Vec<Range<usize>>,
}

impl Offsets {
    /// The map for a scalar at `at` in `text`.
    ///
    /// Both texts are walked in parallel. All characters but white space are in both, in the same order, apart from escapes.
    /// White space differs, because of folding and indentation; there the position in the file advances to the next character.
    pub(crate) fn of(text: &str, at: &Range<usize>, scalar: &Scalar) -> Offsets {
        let written = &text[at.clone()];
        let mut file = Vec::with_capacity(scalar.text.len() + 1);
        let quoted = matches!(scalar.style, Style::Single | Style::Double);
        let mut position = usize::from(quoted);
        for character in scalar.text.chars() {
            if !character.is_whitespace() {
                position = skip_space(written, position, scalar.style);
            }
            let from = position.min(written.len());
            position = step(written, from, character, scalar.style);
            let place = at.start + from..at.start + position;
            file.extend(std::iter::repeat_n(place, character.len_utf8()));
        }
        let after = at.start + position.min(written.len());
        file.push(after..after);
        Offsets { file }
    }

    /// The range in the file of a range of the value.
    pub(crate) fn range(&self, value: &Range<usize>) -> Range<usize> {
        let last = self.file.len() - 1;
        let start = self.file[value.start.min(last)].start;
        // The end of the last character, not the beginning of the next one, which may be on the next line.
        let end = match value.end.min(last) {
            end if end > value.start => self.file[end - 1].end.max(start),
            _ => start,
        };
        start..end
    }
}

/// Skips white space that the value may lack, and escaped line ends.
fn skip_space(written: &str, mut position: usize, style: Style) -> usize {
    while let Some(next) = written.get(position..).and_then(|rest| rest.chars().next()) {
        let escaped_line_end =
            style == Style::Double && next == '\\' && written[position + 1..].starts_with(['\n', '\r']);
        if !next.is_whitespace() && !escaped_line_end {
            break;
        }
        position += next.len_utf8();
    }
    position
}

/// Skips the text in the file of one character of the value.
fn step(written: &str, position: usize, character: char, style: Style) -> usize {
    let rest = &written[position..];
    let Some(next) = rest.chars().next() else {
        return position;
    };
    if style == Style::Single && character == '\'' && rest.starts_with("''") {
        return position + 2;
    }
    if style == Style::Double && next == '\\' {
        let code = rest[1..].chars().next();
        let digits = match code {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(_) | None => 0,
        };
        let length = 1 + code.map_or(0, char::len_utf8) + digits;
        return (position + length).min(written.len());
    }
    if character.is_whitespace() && !next.is_whitespace() {
        return position;
    }
    position + next.len_utf8()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::node::{Value, read};

    /// The position in the file of the word `HERE` in the value of the first key.
    fn place(yaml: &str) -> (Style, (usize, usize)) {
        let (source, text, root) = read("f.yaml", yaml.as_bytes(), str::to_owned).expect("the YAML is well-formed");
        let Value::Mapping(entries) = &root.value else {
            panic!("not a mapping")
        };
        let node = &entries[0].1;
        let Value::Scalar(scalar) = &node.value else {
            panic!("not a scalar: {:?}", node.value)
        };
        let at = scalar.text.find("HERE").expect("the value has the word");
        let range = Offsets::of(&text, &node.at, scalar).range(&(at..at + 4));
        assert_eq!(&text[range.clone()], "HERE", "{yaml}");
        (scalar.style, source.position(range.start))
    }

    #[test]
    fn a_mark_ends_after_the_last_byte_of_its_last_character() {
        for (yaml, value, shown) in [
            ("k: a \u{e9}\u{2265} b", "\u{e9}\u{2265}", "\u{e9}\u{2265}"),
            ("k: \"a \\u00e9 b\"", "\u{e9}", "\\u00e9"),
            ("k: 'a'' b'", "'", "''"),
        ] {
            let (_, text, root) = read("f.yaml", yaml.as_bytes(), str::to_owned).expect("the YAML is well-formed");
            let Value::Mapping(entries) = &root.value else {
                panic!("not a mapping")
            };
            let node = &entries[0].1;
            let Value::Scalar(scalar) = &node.value else {
                panic!("not a scalar: {:?}", node.value)
            };
            let at = scalar.text.find(value).expect("the value has it");
            let range = Offsets::of(&text, &node.at, scalar).range(&(at..at + value.len()));
            assert_eq!(&text[range], shown, "{yaml}");
        }
    }

    #[test]
    fn a_word_has_the_right_position_in_every_style_of_scalar() {
        assert_eq!(place("k: a HERE b"), (Style::Plain, (1, 6)));
        assert_eq!(place("k: é HERE b"), (Style::Plain, (1, 6)));
        assert_eq!(place("k: a\n  b\n\n  HERE c\n"), (Style::Plain, (4, 3)));
        assert_eq!(place("k: 'it''s ''x'' HERE'"), (Style::Single, (1, 17)));
        assert_eq!(place("k: 'a\n  b HERE'"), (Style::Single, (2, 5)));
        assert_eq!(place("k: \"a \\\" \\u00e9 \\x41 \\t HERE\""), (Style::Double, (1, 25)));
        assert_eq!(place("k: \"a \\\n   b HERE\""), (Style::Double, (2, 6)));
        assert_eq!(place("k: |\n  a\n    b HERE\n"), (Style::Block, (3, 7)));
        assert_eq!(place("k: |-  # why\n\n  'a'\n  HERE"), (Style::Block, (4, 3)));
        assert_eq!(place("k: >+2\n    a\n   b\n  c HERE\n\n"), (Style::Block, (4, 5)));
        assert_eq!(place("k: >\r\n  a\r\n  HERE\r\n"), (Style::Block, (3, 3)));
        assert_eq!(place("k:\n  'HERE'\n"), (Style::Single, (2, 4)));
        assert_eq!(place("\u{feff}k: HERE"), (Style::Plain, (1, 4)));
    }
}
