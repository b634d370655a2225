//! Characters that look like others or are invisible. They come from text that was copied from a web page or a chat.

use super::is_word;
use crate::session::column::Column;

/// Cyrillic and Greek letters, each with the Latin letter that looks the same.
const LOOK_ALIKES: [(&str, &str); 3] = [
    ("АВЕКМНОРСТУХІЈЅ", "ABEKMHOPCTYXIJS"),
    ("аеорсухіјѕ", "aeopcyxijs"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEZHIKMNOPTYXo"),
];

/// The words that have a meaning in conditions, apart from the names of columns.
const WORDS: [&str; 27] = [
    "and",
    "or",
    "not",
    "in",
    "between",
    "like",
    "escape",
    "matches",
    "is",
    "null",
    "above",
    "below",
    "longer",
    "than",
    "for",
    "more",
    "active",
    "inactive",
    "killed",
    "sniped",
    "cached",
    "transaction",
    "blocked",
    "background",
    "dedicated",
    "shared",
    "pooled",
];

/// The first letter in a word that is not Latin, and the word that was meant, if the word looks like a column or one of
/// [`WORDS`].
pub(super) fn latin(word: &str) -> Option<(char, String)> {
    let odd = word.chars().find(|letter| look_alike(*letter).is_some())?;
    let meant: String = word
        .chars()
        .map(|letter| look_alike(letter).unwrap_or(letter))
        .collect();
    let known = WORDS.iter().any(|known| known.eq_ignore_ascii_case(&meant)) || Column::named(&meant).is_some();
    known.then_some((odd, meant))
}

fn look_alike(letter: char) -> Option<char> {
    LOOK_ALIKES.iter().find_map(|(odd, latin)| {
        let at = odd.chars().position(|one| one == letter)?;
        latin.chars().nth(at)
    })
}

/// Whether a character is invisible because it takes no space.
pub(super) fn invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

pub(super) fn without_invisible(word: &str) -> String {
    word.chars().filter(|character| is_word(*character)).collect()
}

/// The code point of a character, which a reader can look up.
pub(super) fn named(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_letters_of_other_alphabets_are_recognized() {
        assert_eq!(latin("IN\u{410}CTIVE"), Some(('\u{410}', "INACTIVE".to_owned())));
        assert_eq!(latin("userna\u{43c}e"), None, "\u{43c} looks like no letter");
        assert_eq!(latin("us\u{435}rname"), Some(('\u{435}', "username".to_owned())));
        // A name in Russian is not a mistake.
        assert_eq!(latin("\u{410}\u{41d}\u{41d}\u{410}"), None);
        assert_eq!(latin("INACTIVE"), None);
        for (odd, latin) in LOOK_ALIKES {
            assert_eq!(odd.chars().count(), latin.chars().count(), "{odd}");
        }
    }
}
