//! Text that a client chose, made safe to show. Everything that is shown goes through here: reports, log, journal, pages.
//!
//! PROGRAM, MODULE and their like hold whatever a client sent. An escape sequence in one of them could recolour, clear or
//! retitle a DBA's terminal, or hide its own row; a right-to-left override makes one name look like another; a single C1
//! control character makes journald store a whole line as binary data, which `journalctl` does not print. So each such
//! character is shown as its escape.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character controls the display or is invisible, other than a blank: controls, line and paragraph separators,
/// direction marks, joiners, fillers, variation selectors, tags.
#[must_use]
pub(crate) fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}' | '\u{1160}'
                | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}' | '\u{ffff}'
                | '\u{e0000}'..='\u{e01ef}'
        )
}

/// The text with each such character escaped: `\x1b`, `\u{202e}`.
#[must_use]
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
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

/// JSON with each such character written as a JSON escape, which every parser decodes. The JSON writer itself escapes only
/// characters below the blank. Such a character occurs only inside a string, where an escape is valid.
#[must_use]
pub(crate) fn json_escaped(json: &str) -> Cow<'_, str> {
    if !json.chars().any(acts) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if acts(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_invisible_characters_are_escaped_and_others_unchanged() {
        assert_eq!(
            visible("sqlplus@wëb01 (TNS V1-V3) 日本"),
            "sqlplus@wëb01 (TNS V1-V3) 日本"
        );
        assert_eq!(visible("\x1b[2Jgone\r\n"), "\\x1b[2Jgone\\x0d\\x0a");
        assert_eq!(visible("a\u{9b}31m\u{7f}"), "a\\x9b31m\\x7f");
        assert_eq!(visible("exe\u{202e}txt"), "exe\\u{202e}txt");
        assert_eq!(visible("tab\there"), "tab\\x09here");
        // A filler looks like an empty cell, and a variation selector makes two names look the same.
        assert_eq!(visible("\u{3164}"), "\\u{3164}");
        assert_eq!(visible("JDBC\u{fe00}\u{e0100}"), "JDBC\\u{fe00}\\u{e0100}");
    }

    #[test]
    fn escaped_json_decodes_to_the_same_text_and_has_no_control_character() {
        let text = "a\u{9b}31m \u{202e}b\u{2028}c\u{e0041}d\u{7f} é 日本";
        let json = serde_json::to_string(text).expect("text is JSON");
        let escaped = json_escaped(&json);
        assert!(!escaped.chars().any(acts), "{escaped:?}");
        assert!(
            escaped.contains("é 日本"),
            "visible characters are unchanged: {escaped}"
        );
        let back: String = serde_json::from_str(&escaped).expect("it is still JSON");
        assert_eq!(back, text);
    }
}
