//! Storage for one column of a snapshot: numbers in 32 bits if they fit, texts as codes into the column's own dictionary.
//!
//! A snapshot of 100,000 sessions is read every few seconds, so its size matters, and most texts in it repeat: twenty
//! programs, ten machines, five statuses. With a dictionary for each column, a condition judges each distinct text once and
//! then looks up the result by code. An array of structs was the rejected design: it needs 24 bytes for each text and makes
//! the evaluator touch memory that it does not need.

use std::collections::HashMap;

/// The code of NULL in every dictionary.
const NULL_CODE: u32 = 0;

/// The texts of a column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    codes: Codes,
    words: Words,
}

/// The distinct texts of a column, in one block of memory.
#[derive(Clone, Debug, Default)]
struct Words {
    bytes: String,
    /// The end of each word; a word begins at the end of the one before it. Code `n + 1` is word `n`.
    ends: Vec<u32>,
}

/// The code of each row in the column's dictionary.
#[derive(Clone, Debug)]
pub(crate) enum Codes {
    /// All codes fit into 16 bits.
    Short(Vec<u16>),
    /// Some do not.
    Long(Vec<u32>),
}

impl Default for Codes {
    fn default() -> Codes {
        Codes::Short(Vec::new())
    }
}

impl Texts {
    /// A column from its codes and its dictionary: all words in one text, and the end of each.
    ///
    /// # Panics
    /// If a code has no word.
    #[must_use]
    pub(crate) fn of(codes: &[u32], words: &str, ends: &[u32]) -> Texts {
        let highest = codes.iter().fold(NULL_CODE, |highest, code| highest.max(*code));
        assert!(highest as usize <= ends.len(), "every code has a word");
        let narrow = |code: &u32| u16::try_from(*code).unwrap_or(u16::MAX);
        Texts {
            codes: if highest <= u32::from(u16::MAX) {
                Codes::Short(codes.iter().map(narrow).collect())
            } else {
                Codes::Long(codes.to_vec())
            },
            words: Words {
                bytes: words.to_owned(),
                ends: ends.to_vec(),
            },
        }
    }

    /// A column with only one row of this one.
    #[must_use]
    pub(crate) fn only(&self, row: usize) -> Texts {
        match self.get(row) {
            None => Texts::of(&[NULL_CODE], "", &[]),
            Some(text) => {
                let end = u32::try_from(text.len()).expect("a text is not longer than the whole dictionary");
                Texts::of(&[NULL_CODE + 1], text, &[end])
            }
        }
    }

    /// The number of rows.
    #[must_use]
    pub(crate) fn rows(&self) -> usize {
        match &self.codes {
            Codes::Short(codes) => codes.len(),
            Codes::Long(codes) => codes.len(),
        }
    }

    /// The text of a row; `None` for NULL.
    #[must_use]
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.word(self.code(row))
    }

    /// The code of a row's text; 0 for NULL. Rows with equal texts have equal codes.
    #[must_use]
    pub(crate) fn code(&self, row: usize) -> u32 {
        match &self.codes {
            Codes::Short(codes) => u32::from(codes[row]),
            Codes::Long(codes) => codes[row],
        }
    }

    /// The text of a code.
    #[must_use]
    pub(crate) fn word(&self, code: u32) -> Option<&str> {
        let index = code.checked_sub(1)? as usize;
        let start = if index == 0 {
            0
        } else {
            self.words.ends[index - 1] as usize
        };
        Some(&self.words.bytes[start..self.words.ends[index] as usize])
    }

    /// The codes of all rows.
    #[must_use]
    pub(crate) fn codes(&self) -> &Codes {
        &self.codes
    }

    /// The results of `of` for NULL and each distinct text, indexed by code.
    #[must_use]
    pub(crate) fn judged<T>(&self, of: impl Fn(Option<&str>) -> T) -> Vec<T> {
        let codes = u32::try_from(self.code_count()).expect("codes are 32 bits wide");
        (NULL_CODE..codes).map(|code| of(self.word(code))).collect()
    }

    /// The number of codes, with that of NULL; all codes are below it.
    #[must_use]
    pub(crate) fn code_count(&self) -> usize {
        self.words.ends.len() + 1
    }

    /// The memory that it uses, in bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Short(codes) => codes.capacity() * 2,
            Codes::Long(codes) => codes.capacity() * 4,
        };
        codes + self.words.bytes.capacity() + self.words.ends.capacity() * 4
    }
}

/// Builds a column of texts.
#[derive(Debug, Default)]
pub(crate) struct TextsBuilder {
    texts: Texts,
    known: HashMap<Box<str>, u32>,
}

impl TextsBuilder {
    /// Adds a row. An empty text is NULL, as it is in Oracle.
    ///
    /// # Panics
    /// If the distinct texts of one column exceed 4 GiB, which the limit on rows excludes.
    pub(crate) fn push(&mut self, text: Option<&str>) {
        let code = match text {
            None | Some("") => NULL_CODE,
            Some(text) => self.intern(text),
        };
        match &mut self.texts.codes {
            Codes::Short(codes) => match u16::try_from(code) {
                Ok(short) => codes.push(short),
                Err(_) => {
                    let mut long: Vec<u32> = codes.iter().map(|code| u32::from(*code)).collect();
                    long.push(code);
                    self.texts.codes = Codes::Long(long);
                }
            },
            Codes::Long(codes) => codes.push(code),
        }
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(code) = self.known.get(text) {
            return *code;
        }
        self.texts.words.bytes.push_str(text);
        let end = u32::try_from(self.texts.words.bytes.len()).expect("a column's distinct texts stay below 4 GiB");
        self.texts.words.ends.push(end);
        let code = u32::try_from(self.texts.words.ends.len()).expect("fewer distinct texts than bytes");
        self.known.insert(text.into(), code);
        code
    }

    /// Returns the column without spare memory.
    #[must_use]
    pub(crate) fn finish(mut self) -> Texts {
        match &mut self.texts.codes {
            Codes::Short(codes) => codes.shrink_to_fit(),
            Codes::Long(codes) => codes.shrink_to_fit(),
        }
        self.texts.words.bytes.shrink_to_fit();
        self.texts.words.ends.shrink_to_fit();
        self.texts
    }
}

/// The whole numbers of a column. The smallest value of the type means NULL.
#[derive(Clone, Debug)]
pub(crate) enum Numbers {
    /// All values fit into 32 bits.
    Narrow(Vec<i32>),
    /// Some do not.
    Wide(Vec<i64>),
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers::Narrow(Vec::new())
    }
}

impl Numbers {
    /// NULL in a column of 32 bits.
    pub(crate) const NARROW_NULL: i32 = i32::MIN;
    /// NULL in a column of 64 bits.
    pub(crate) const WIDE_NULL: i64 = i64::MIN;

    /// A column with these values, in 32 bits if they fit; [`Numbers::WIDE_NULL`] is NULL.
    #[must_use]
    pub(crate) fn of(values: &[i64]) -> Numbers {
        let fits = |value: i64| {
            (i64::from(Self::NARROW_NULL) < value && value <= i64::from(i32::MAX)) | (value == Self::WIDE_NULL)
        };
        // There is no early exit, so that the compiler can vectorize the loop.
        if values.iter().fold(true, |so_far, value| so_far & fits(*value)) {
            let narrow = |value: &i64| i32::try_from(*value).unwrap_or(Self::NARROW_NULL);
            Numbers::Narrow(values.iter().map(narrow).collect())
        } else {
            Numbers::Wide(values.to_vec())
        }
    }

    /// The number of rows.
    #[must_use]
    pub(crate) fn rows(&self) -> usize {
        match self {
            Numbers::Narrow(values) => values.len(),
            Numbers::Wide(values) => values.len(),
        }
    }

    /// The number of a row; `None` for NULL.
    #[must_use]
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        match self {
            Numbers::Narrow(values) => (values[row] != Self::NARROW_NULL).then(|| i64::from(values[row])),
            Numbers::Wide(values) => (values[row] != Self::WIDE_NULL).then(|| values[row]),
        }
    }

    /// Adds a row. `i64::MIN` means NULL.
    pub(crate) fn push(&mut self, value: Option<i64>) {
        match self {
            Numbers::Narrow(values) => match value.map(i32::try_from) {
                None => values.push(Self::NARROW_NULL),
                Some(Ok(narrow)) if narrow != Self::NARROW_NULL => values.push(narrow),
                Some(Ok(_) | Err(_)) => {
                    let mut wide: Vec<i64> = values
                        .iter()
                        .map(|value| {
                            if *value == Self::NARROW_NULL {
                                Self::WIDE_NULL
                            } else {
                                i64::from(*value)
                            }
                        })
                        .collect();
                    wide.push(value.unwrap_or(Self::WIDE_NULL));
                    *self = Numbers::Wide(wide);
                }
            },
            Numbers::Wide(values) => values.push(value.unwrap_or(Self::WIDE_NULL)),
        }
    }

    /// Frees spare memory.
    pub(crate) fn shrink(&mut self) {
        match self {
            Numbers::Narrow(values) => values.shrink_to_fit(),
            Numbers::Wide(values) => values.shrink_to_fit(),
        }
    }

    /// The memory that it uses, in bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Numbers::Narrow(values) => values.capacity() * 4,
            Numbers::Wide(values) => values.capacity() * 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unchanged_when_the_column_widens() {
        let given = [
            Some(1),
            None,
            Some(-5),
            Some(i64::from(i32::MIN)),
            Some(1 << 40),
            None,
            Some(i64::MAX),
        ];
        let mut numbers = Numbers::default();
        for value in given {
            numbers.push(value);
        }
        assert!(matches!(numbers, Numbers::Wide(_)));
        for (row, value) in given.into_iter().enumerate() {
            assert_eq!(numbers.get(row), value);
        }
    }

    #[test]
    fn equal_texts_share_a_word_and_empty_ones_are_null() {
        let mut builder = TextsBuilder::default();
        for text in [Some("SHOP"), None, Some("CRM"), Some("SHOP"), Some("")] {
            builder.push(text);
        }
        let texts = builder.finish();
        let rows: Vec<_> = (0..5).map(|row| texts.get(row)).collect();
        assert_eq!(rows, [Some("SHOP"), None, Some("CRM"), Some("SHOP"), None]);
        assert_eq!(texts.code_count(), 3);
    }

    #[test]
    fn a_column_may_have_more_words_than_codes_of_16_bits() {
        let mut builder = TextsBuilder::default();
        for number in 0..70_000 {
            builder.push(Some(&format!("w{number}")));
        }
        let texts = builder.finish();
        assert_eq!(
            (texts.get(0), texts.get(65_535), texts.get(69_999)),
            (Some("w0"), Some("w65535"), Some("w69999"))
        );
    }
}
