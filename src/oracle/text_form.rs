//! Texts that are not valid in their character set.
//!
//! PROGRAM, MODULE and similar columns hold bytes that a client sent, and Oracle may cut them in the middle of a character. One
//! such text makes the whole query fail: the thin driver accepts only UTF-8, and the server itself answers ORA-29275 in some
//! character sets. After such a failure the texts are read as bytes, which cannot fail: RAWTOHEX recasts a text to RAW without
//! modifying it (Oracle Database SQL Language Reference, "RAWTOHEX"). Bytes that are not valid become U+FFFD, which marks the
//! text as unknown: no condition over such a text is TRUE or FALSE.

use crate::oracle::{Cell, CellType, Query};

/// The form in which texts of sessions are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// As texts.
    #[default]
    Text,
    /// As their bytes, in hexadecimal.
    Bytes {
        /// Whether they are UTF-8. If not, only ASCII is decoded.
        utf8: bool,
    },
}

/// VALUE of the database's character set.
pub(super) fn character_set() -> Query {
    Query::new(
        "NLS_DATABASE_PARAMETERS",
        "SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'",
        &[CellType::Text],
    )
    .few()
}

/// Whether a character set of this name is UTF-8. `UTF8` is CESU-8; the characters in which it differs become unknown.
pub(super) fn is_utf8(name: &str) -> bool {
    matches!(name, "AL32UTF8" | "UTF8")
}

/// The text with these bytes.
pub(super) fn of_hex(hex: &str, utf8: bool) -> String {
    let digits = hex.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let Some(bytes) = bytes else {
        return char::REPLACEMENT_CHARACTER.to_string();
    };
    let mut text = String::with_capacity(bytes.len());
    if utf8 {
        text.push_str(&String::from_utf8_lossy(&bytes));
    } else {
        text.extend(bytes.iter().map(|byte| match byte {
            0..=0x7f => char::from(*byte),
            0x80.. => char::REPLACEMENT_CHARACTER,
        }));
    }
    text.truncate(text.trim_end_matches('\0').len());
    text
}

/// The texts of a row that were read as bytes.
pub(super) fn words_of(row: &[Cell<'_>], is_text: &[bool], utf8: bool) -> Vec<Option<String>> {
    let word = |(cell, is_text): (&Cell<'_>, &bool)| match cell {
        Cell::Text(hex) if *is_text => Some(of_hex(hex, utf8)),
        Cell::Text(_) | Cell::Number(_) | Cell::Time(_) | Cell::Null => None,
    };
    row.iter().zip(is_text).map(word).collect()
}

/// The row with these texts in their positions.
pub(super) fn with_words<'a>(row: &[Cell<'a>], words: &'a [Option<String>]) -> Vec<Cell<'a>> {
    let cell = |(cell, word): (&Cell<'a>, &'a Option<String>)| match word.as_deref() {
        Some("") => Cell::Null,
        Some(word) => Cell::Text(word),
        None => *cell,
    };
    row.iter().zip(words).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text_and_what_is_none_is_unknown() {
        let cases = [
            ("6A6462632E657865", true, "jdbc.exe"),
            ("6a6462632e657865", false, "jdbc.exe"),
            // caf\xE9 is no UTF-8, caf\xC3\xA9 is.
            ("636166E9", true, "caf\u{fffd}"),
            ("636166C3A9", true, "caf\u{e9}"),
            // In another character set it may be anything.
            ("636166C3A9", false, "caf\u{fffd}\u{fffd}"),
            // Cut in the middle of a character, and a trailing NUL of an old client.
            ("C3BCC3", true, "\u{fc}\u{fffd}"),
            ("6170700000", true, "app"),
            ("00", true, ""),
            ("6X", true, "\u{fffd}"),
            ("", true, ""),
        ];
        for (hex, utf8, text) in cases {
            assert_eq!(of_hex(hex, utf8), text, "{hex}");
        }
    }

    #[test]
    fn character_sets_that_are_utf8() {
        for (name, utf8) in [
            ("AL32UTF8", true),
            ("UTF8", true),
            ("WE8MSWIN1252", false),
            ("AL16UTF16", false),
        ] {
            assert_eq!(is_utf8(name), utf8, "{name}");
        }
    }
}
