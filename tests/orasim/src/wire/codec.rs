//! The portable encodings of the protocol: integers with a count byte, strings in chunks.
//!
//! Every client that is told a platform name other than its own falls back to these, so they are the only ones spoken
//! here. A message does not say how long it is: the one way to know that it is whole is to have parsed it whole.
//! [`Reader`] therefore tells "there is more to come" ([`ParseError::Incomplete`]) from "this can never become a
//! message" ([`ParseError::Malformed`]), and nothing is acted on before a parse has succeeded.

/// The longest string that is sent with a single length byte.
const SHORT_MAX: usize = 252;
/// The length byte of a string sent in chunks.
const CHUNKED: u8 = 0xfe;
/// The length byte in front of an absent bind value; one more byte follows.
const NO_VALUE: u8 = 0xfd;
/// How much of a long string goes into one chunk.
const CHUNK: usize = 32_767;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// The bytes end before the message does.
    Incomplete,
    /// No continuation could make these bytes a message.
    Malformed(&'static str),
}

/// The outcome of reading something.
pub(crate) type Parse<T> = Result<T, ParseError>;

/// Reads a message from its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
}

/// What clients send and want in different forms, as the data types message settles it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// A text whose length has been announced comes as it is, without a length of its own.
    pub(crate) bare_texts: bool,
    /// A scale is an integer with a count byte, instead of one byte.
    pub(crate) counted_scales: bool,
    /// It reads a return code after an OUT value, where its declaration asks for one. ojdbc asks, and reads none.
    pub(crate) return_codes: bool,
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            dialect: Dialect::default(),
        }
    }

    /// The same reader for a client of this dialect.
    pub(crate) fn of(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next `count` bytes as they are.
    pub(crate) fn raw(&mut self, count: usize) -> Parse<&'a [u8]> {
        let end = self
            .at
            .checked_add(count)
            .ok_or(ParseError::Malformed("a length overflows"))?;
        let bytes = self.bytes.get(self.at..end).ok_or(ParseError::Incomplete)?;
        self.at = end;
        Ok(bytes)
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Parse<u8> {
        Ok(self.raw(1)?[0])
    }

    /// A pointer: a byte that says whether something follows elsewhere.
    pub(crate) fn pointer(&mut self) -> Parse<bool> {
        Ok(self.u8()? != 0)
    }

    /// Two bytes, most significant first.
    pub(crate) fn u16_be(&mut self) -> Parse<u16> {
        let bytes = self.raw(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Two bytes, least significant first.
    pub(crate) fn u16_le(&mut self) -> Parse<u16> {
        let bytes = self.raw(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    /// An unsigned integer with a count byte.
    pub(crate) fn ub(&mut self) -> Parse<u64> {
        let count = self.u8()?;
        if count > 8 {
            return Err(ParseError::Malformed("an integer is longer than eight bytes"));
        }
        Ok(self
            .raw(usize::from(count))?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A signed integer with a count byte, whose top bit is the sign.
    pub(crate) fn sb(&mut self) -> Parse<i64> {
        let count = self.u8()?;
        if count & 0x7f > 8 {
            return Err(ParseError::Malformed("an integer is longer than eight bytes"));
        }
        let magnitude = self
            .raw(usize::from(count & 0x7f))?
            .iter()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let value = i64::try_from(magnitude).map_err(|_| ParseError::Malformed("an integer exceeds 63 bits"))?;
        Ok(if count & 0x80 == 0 { value } else { -value })
    }

    /// An unsigned integer with a count byte that has to fit 32 bits.
    pub(crate) fn ub4(&mut self) -> Parse<u32> {
        u32::try_from(self.ub()?).map_err(|_| ParseError::Malformed("an integer exceeds 32 bits"))
    }

    /// An unsigned integer with a count byte that has to fit 16 bits.
    pub(crate) fn ub2(&mut self) -> Parse<u16> {
        u16::try_from(self.ub()?).map_err(|_| ParseError::Malformed("an integer exceeds 16 bits"))
    }

    /// Bytes up to a zero byte, which is read too.
    pub(crate) fn until_zero(&mut self) -> Parse<&'a [u8]> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let length = rest.iter().position(|byte| *byte == 0).ok_or(ParseError::Incomplete)?;
        let bytes = self.raw(length)?;
        self.raw(1)?;
        Ok(bytes)
    }

    /// A string with a length byte, in chunks where it is long. An empty one is NULL.
    pub(crate) fn clr(&mut self) -> Parse<Option<Vec<u8>>> {
        match self.u8()? {
            0 | 0xff => Ok(None),
            NO_VALUE => {
                self.u8()?;
                Ok(None)
            }
            CHUNKED => {
                let mut value = Vec::new();
                loop {
                    let length = self.ub4()? as usize;
                    if length == 0 {
                        return Ok((!value.is_empty()).then_some(value));
                    }
                    value.extend_from_slice(self.raw(length)?);
                }
            }
            length => Ok(Some(self.raw(usize::from(length))?.to_vec())),
        }
    }

    /// A string with its length as an integer in front of the string with its own length.
    pub(crate) fn dalc(&mut self) -> Parse<Vec<u8>> {
        if self.ub4()? == 0 {
            return Ok(Vec::new());
        }
        Ok(self.clr()?.unwrap_or_default())
    }

    /// A text that was announced with this length; bytes that are not UTF-8 become replacement characters.
    ///
    /// Only where the text is bare does the announced length count: the client library announces its buffer's size.
    pub(crate) fn text(&mut self, announced: u32) -> Parse<String> {
        let bytes = if self.dialect.bare_texts {
            self.raw(announced as usize)?.to_vec()
        } else {
            self.clr()?.unwrap_or_default()
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A scale.
    pub(crate) fn scale(&mut self) -> Parse<i64> {
        if self.dialect.counted_scales {
            self.sb()
        } else {
            Ok(i64::from(self.u8()? as i8))
        }
    }
}

/// Writes a message.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    dialect: Dialect,
}

impl Writer {
    /// An empty message.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An empty message for a client of this dialect.
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            ..Self::default()
        }
    }

    /// What has been written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How much has been written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte.
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Two bytes, most significant first.
    pub(crate) fn u16_be(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, most significant first.
    pub(crate) fn u32_be(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// An unsigned integer with a count byte.
    pub(crate) fn ub(&mut self, value: u64) {
        let bytes = value.to_be_bytes();
        let first = (value.leading_zeros() / 8) as usize;
        self.bytes.push((8 - first) as u8);
        self.raw(&bytes[first..]);
    }

    /// A signed integer with a count byte, whose top bit is the sign.
    pub(crate) fn sb(&mut self, value: i64) {
        let at = self.bytes.len();
        self.ub(value.unsigned_abs());
        if value < 0 {
            self.bytes[at] |= 0x80;
        }
    }

    /// A string with a length byte, in chunks where it is long. An empty one is NULL.
    pub(crate) fn clr(&mut self, value: &[u8]) {
        if value.len() <= SHORT_MAX {
            self.bytes.push(value.len() as u8);
            self.raw(value);
            return;
        }
        self.bytes.push(CHUNKED);
        for chunk in value.chunks(CHUNK) {
            self.ub(chunk.len() as u64);
            self.raw(chunk);
        }
        self.bytes.push(0);
    }

    /// A text whose length has been announced.
    pub(crate) fn text(&mut self, value: &str) {
        if self.dialect.bare_texts {
            self.raw(value.as_bytes());
        } else {
            self.clr(value.as_bytes());
        }
    }

    /// A return code after an OUT value.
    pub(crate) fn return_code(&mut self, code: u64) {
        if self.dialect.return_codes {
            self.ub(code);
        }
    }

    /// A scale.
    pub(crate) fn scale(&mut self, value: i8) {
        if self.dialect.counted_scales {
            self.sb(i64::from(value));
        } else {
            self.u8(value as u8);
        }
    }

    /// A string with its length as an integer in front of the string with its own length.
    pub(crate) fn dalc(&mut self, value: &[u8]) {
        self.ub(value.len() as u64);
        if !value.is_empty() {
            self.clr(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, ParseError, Reader, Writer};

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn integers_take_as_few_bytes_as_they_need() {
        let cases: [(u64, &[u8]); 6] = [
            (0, &[0]),
            (1, &[1, 1]),
            (255, &[1, 255]),
            (256, &[2, 1, 0]),
            (65_536, &[3, 1, 0, 0]),
            (u64::MAX, &[8, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (value, bytes) in cases {
            assert_eq!(written(|w| w.ub(value)), bytes, "{value}");
            assert_eq!(Reader::new(bytes).ub(), Ok(value));
        }
    }

    #[test]
    fn integers_that_cannot_be_are_refused() {
        assert_eq!(
            Reader::new(&[9, 1]).ub(),
            Err(ParseError::Malformed("an integer is longer than eight bytes"))
        );
        assert_eq!(
            Reader::new(&[3, 1, 0, 0]).ub2(),
            Err(ParseError::Malformed("an integer exceeds 16 bits"))
        );
        assert_eq!(Reader::new(&[2, 1]).ub(), Err(ParseError::Incomplete));
    }

    #[test]
    fn strings_of_every_length_come_back() {
        for length in [1, 2, 252, 253, 254, 255, 256, 32_767, 32_768, 100_000] {
            let value: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let bytes = written(|w| w.clr(&value));
            assert_eq!(bytes[0], if length <= 252 { length as u8 } else { 0xfe });
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.clr(), Ok(Some(value.clone())));
            assert!(reader.is_empty());
            let cut = &bytes[..bytes.len() - 1];
            assert_eq!(
                Reader::new(cut).clr(),
                Err(ParseError::Incomplete),
                "cut short at {length}"
            );
            let double = written(|w| w.dalc(&value));
            assert_eq!(Reader::new(&double).dalc(), Ok(value));
        }
    }

    #[test]
    fn texts_and_scales_have_the_form_of_the_dialect() {
        let bare = Dialect {
            bare_texts: true,
            counted_scales: true,
            return_codes: false,
        };
        let library = Dialect {
            return_codes: true,
            ..Dialect::default()
        };
        for (dialect, bytes, return_code) in [
            (Dialect::default(), &b"\x05scott\x81\x02"[..], &[][..]),
            (library, &b"\x05scott\x81\x02"[..], &[2, 5, 0x7d]),
            (bare, &b"scott\x81\x7f\x01\x02"[..], &[]),
        ] {
            let mut writer = Writer::of(dialect);
            writer.text("scott");
            writer.scale(-127);
            writer.scale(2);
            writer.return_code(1_405);
            assert_eq!(writer.into_bytes(), [bytes, return_code].concat());
            let mut reader = Reader::new(bytes).of(dialect);
            assert_eq!(reader.text(5).as_deref(), Ok("scott"));
            assert_eq!((reader.scale(), reader.scale()), (Ok(-127), Ok(2)));
            assert!(reader.is_empty());
        }
        assert_eq!(Reader::new(b"sco").of(bare).text(5), Err(ParseError::Incomplete));
    }

    #[test]
    fn null_has_four_spellings() {
        for bytes in [&[0_u8][..], &[0xff], &[0xfd, 1], &[0xfe, 0]] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.clr(), Ok(None), "{bytes:?}");
            assert!(reader.is_empty());
        }
    }
}
