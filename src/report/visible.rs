//! Text that a client chose, made safe to show.
//!
//! PROGRAM, MODULE and their like hold whatever a client sent. An escape sequence in one of them could recolour, clear or
//! retitle a DBA's terminal, or hide its own row; a right-to-left override makes one name look like another. They are shown
//! as what they are.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character acts instead of showing: controls, line and paragraph separators, invisible and direction marks.
#[must_use]
pub fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with each such character written out: `\x1b`, `\u{202e}`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match (acts(character), u32::from(character)) {
            (false, _) => shown.push(character),
            (true, code @ 0..=0xff) => {
                let _ = write!(shown, "\\x{code:02x}");
            }
            (true, code) => {
                let _ = write!(shown, "\\u{{{code:x}}}");
            }
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out_and_what_shows_is_left_alone() {
        assert_eq!(
            visible("sqlplus@wëb01 (TNS V1-V3) 日本"),
            "sqlplus@wëb01 (TNS V1-V3) 日本"
        );
        assert_eq!(visible("\x1b[2Jgone\r\n"), "\\x1b[2Jgone\\x0d\\x0a");
        assert_eq!(visible("a\u{9b}31m\u{7f}"), "a\\x9b31m\\x7f");
        assert_eq!(visible("exe\u{202e}txt"), "exe\\u{202e}txt");
        assert_eq!(visible("tab\there"), "tab\\x09here");
    }
}
