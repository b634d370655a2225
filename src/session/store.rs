//! How one column of a snapshot is held: numbers as narrow as they are, texts as codes into the column's own dictionary.
//!
//! A snapshot of 100,000 sessions is read every few seconds, so its size matters, and most of its text repeats: twenty
//! programs, ten machines, five statuses. A dictionary per column (rather than one for all) lets a condition judge each
//! distinct text once and then look the answer up by code. A column of arrays of structs was the rejected design: it costs
//! 24 bytes for each text and makes the evaluator touch memory that it does not need.

use std::collections::HashMap;

/// The code of "no value" in every dictionary.
const NULL_CODE: u32 = 0;

/// Texts of one column.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    codes: Codes,
    words: Words,
}

/// The distinct texts of a column in one piece of memory.
#[derive(Clone, Debug, Default)]
struct Words {
    bytes: String,
    /// Where word `n` ends; it begins where the one before it ends. Code `n + 1` stands for word `n`.
    ends: Vec<u32>,
}

/// Each row's code into a column's dictionary.
#[derive(Clone, Debug)]
pub enum Codes {
    /// All codes fit 16 bits.
    Short(Vec<u16>),
    /// They do not.
    Long(Vec<u32>),
}

impl Default for Codes {
    fn default() -> Codes {
        Codes::Short(Vec::new())
    }
}

impl Texts {
    /// A column from codes into a dictionary that is kept elsewhere: all words one after the other, and where each ends.
    ///
    /// # Panics
    /// When a code stands for no word.
    #[must_use]
    pub fn of(codes: &[u32], words: &str, ends: &[u32]) -> Texts {
        let highest = codes.iter().fold(NULL_CODE, |highest, code| highest.max(*code));
        assert!(highest as usize <= ends.len(), "every code stands for a word");
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

    /// One row alone.
    #[must_use]
    pub fn only(&self, row: usize) -> Texts {
        match self.get(row) {
            None => Texts::of(&[NULL_CODE], "", &[]),
            Some(text) => {
                let end = u32::try_from(text.len()).expect("a text of the dictionary is no longer than all of them");
                Texts::of(&[NULL_CODE + 1], text, &[end])
            }
        }
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match &self.codes {
            Codes::Short(codes) => codes.len(),
            Codes::Long(codes) => codes.len(),
        }
    }

    /// The text of a row; `None` is NULL.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        self.word(self.code(row))
    }

    /// The code of a row's text; 0 is NULL. Equal codes are equal texts.
    #[must_use]
    pub fn code(&self, row: usize) -> u32 {
        match &self.codes {
            Codes::Short(codes) => u32::from(codes[row]),
            Codes::Long(codes) => codes[row],
        }
    }

    /// The text that a code stands for.
    #[must_use]
    pub fn word(&self, code: u32) -> Option<&str> {
        let index = code.checked_sub(1)? as usize;
        let start = if index == 0 {
            0
        } else {
            self.words.ends[index - 1] as usize
        };
        Some(&self.words.bytes[start..self.words.ends[index] as usize])
    }

    /// All rows' codes.
    #[must_use]
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// What `of` says of each distinct text, NULL first, to be looked up by code.
    #[must_use]
    pub fn judged<T>(&self, of: impl Fn(Option<&str>) -> T) -> Vec<T> {
        let codes = u32::try_from(self.code_count()).expect("codes are 32 bits wide");
        (NULL_CODE..codes).map(|code| of(self.word(code))).collect()
    }

    /// How many codes there are, NULL's included: codes are below this.
    #[must_use]
    pub fn code_count(&self) -> usize {
        self.words.ends.len() + 1
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Short(codes) => codes.capacity() * 2,
            Codes::Long(codes) => codes.capacity() * 4,
        };
        codes + self.words.bytes.capacity() + self.words.ends.capacity() * 4
    }
}

/// Builds a column of texts.
#[derive(Debug, Default)]
pub struct TextsBuilder {
    texts: Texts,
    known: HashMap<Box<str>, u32>,
}

impl TextsBuilder {
    /// Adds a row. An empty text is NULL, as it is in Oracle.
    ///
    /// # Panics
    /// When the distinct texts of one column pass 4 GiB, which the limit on rows rules out.
    pub fn push(&mut self, text: Option<&str>) {
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

    /// The column, its spare memory given back.
    #[must_use]
    pub fn finish(mut self) -> Texts {
        match &mut self.texts.codes {
            Codes::Short(codes) => codes.shrink_to_fit(),
            Codes::Long(codes) => codes.shrink_to_fit(),
        }
        self.texts.words.bytes.shrink_to_fit();
        self.texts.words.ends.shrink_to_fit();
        self.texts
    }
}

/// Whole numbers of one column; the smallest value of the width stands for NULL.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// All values fit 32 bits.
    Narrow(Vec<i32>),
    /// They do not.
    Wide(Vec<i64>),
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers::Narrow(Vec::new())
    }
}

impl Numbers {
    /// NULL in a narrow column.
    pub const NARROW_NULL: i32 = i32::MIN;
    /// NULL in a wide column.
    pub const WIDE_NULL: i64 = i64::MIN;

    /// A column of these values, as narrow as they are; [`Numbers::WIDE_NULL`] is NULL.
    #[must_use]
    pub fn of(values: &[i64]) -> Numbers {
        let fits = |value: i64| {
            (i64::from(Self::NARROW_NULL) < value && value <= i64::from(i32::MAX)) | (value == Self::WIDE_NULL)
        };
        // Without a way out early, so that many values are looked at at once.
        if values.iter().fold(true, |so_far, value| so_far & fits(*value)) {
            let narrow = |value: &i64| i32::try_from(*value).unwrap_or(Self::NARROW_NULL);
            Numbers::Narrow(values.iter().map(narrow).collect())
        } else {
            Numbers::Wide(values.to_vec())
        }
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Numbers::Narrow(values) => values.len(),
            Numbers::Wide(values) => values.len(),
        }
    }

    /// The number of a row; `None` is NULL.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<i64> {
        match self {
            Numbers::Narrow(values) => (values[row] != Self::NARROW_NULL).then(|| i64::from(values[row])),
            Numbers::Wide(values) => (values[row] != Self::WIDE_NULL).then(|| values[row]),
        }
    }

    /// Adds a row. `i64::MIN` cannot be told from NULL and is NULL.
    pub fn push(&mut self, value: Option<i64>) {
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

    /// Gives spare memory back.
    pub fn shrink(&mut self) {
        match self {
            Numbers::Narrow(values) => values.shrink_to_fit(),
            Numbers::Wide(values) => values.shrink_to_fit(),
        }
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
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
    fn numbers_widen_without_losing_what_was_there() {
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
    fn texts_share_their_words_and_know_null() {
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
    fn more_words_than_a_short_code_holds() {
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
