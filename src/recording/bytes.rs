//! Encodes numbers and texts as bytes. Small numbers are short, and everything is checked when it is read.

/// Appends values to a block.
#[derive(Debug, Default)]
pub(super) struct Put(pub(super) Vec<u8>);

impl Put {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Appends a number, seven bits in a byte, the lowest first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).expect("a count fits into 64 bits"));
    }

    /// Appends a signed number. Numbers near zero are short.
    pub(super) fn signed(&mut self, number: i64) {
        self.number(zigzag(number));
    }

    /// Appends a value or NULL.
    pub(super) fn optional(&mut self, number: Option<i64>) {
        self.byte(u8::from(number.is_some()));
        if let Some(number) = number {
            self.signed(number);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }
}

/// Maps 0, -1, 1, -2, 2 to 0, 1, 2, 3, 4.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Why the content of a block is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

/// Reads values from a block.
#[derive(Debug)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a flag that is neither 0 nor 1")),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed("a number of more than 64 bits"))
    }

    /// Reads a count of things of at least one byte, so that no count can allocate more memory than the block has bytes.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed("a count that is too large"))?;
        if count > self.0.len() {
            return Err(Malformed("a count that is larger than the rest of the block"));
        }
        Ok(count)
    }

    /// Reads a number of at most 32 bits.
    pub(super) fn id(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed("a number of more than 32 bits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        Ok(unzigzag(self.number()?))
    }

    pub(super) fn optional(&mut self) -> Result<Option<i64>, Malformed> {
        if self.flag()? {
            Ok(Some(self.signed()?))
        } else {
            Ok(None)
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_unchanged() {
        for number in [0, 1, -1, 63, 64, -65, i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut put = Put::default();
            put.signed(number);
            let mut take = Take(&put.0);
            assert_eq!((take.signed(), take.0.len()), (Ok(number), 0));
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        let mut too_long = vec![0xff; 9];
        too_long.push(0x02);
        assert!(Take(&too_long).number().is_err());
        too_long[9] = 0x01;
        assert_eq!(Take(&too_long).number(), Ok(u64::MAX));
        assert!(Take(&[5, 1, 2]).count().is_err(), "five of two bytes");
    }
}
