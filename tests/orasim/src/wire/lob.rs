//! CLOBs by reference: a client that asks for locators gets a handle instead of the text, and reads from it later.
//!
//! Lengths, offsets and amounts are counted in UTF-16 code units, which is also how the text is sent. A connection keeps
//! the texts that it has handed out locators for, the latest ones only: an older locator is ORA-22922.

use std::collections::VecDeque;

use super::bind::error;
use super::capability::NATIONAL_CHARSET;
use super::codec::{Parse, ParseError, Reader, Writer};
use super::request::{Call, Unsupported};
use crate::backend::OraError;

/// The length of a locator.
const LOCATOR: usize = 40;
/// How every locator begins: its length without these two bytes, a version, and flags: a CLOB, initialized, of text in
/// UTF-16 with the most significant byte first.
const BEGINNING: [u8; 7] = [0, LOCATOR as u8 - 2, 0, 1, 0x02, 0x08, 0x80];
/// Where in a locator the number of its text is.
const NUMBER: std::ops::Range<usize> = 16..24;
/// How many texts, and of how many code units together, a connection keeps.
const KEPT: usize = 65_536;
const KEPT_UNITS: usize = 64 * 1024 * 1024;
/// The chunk size that clients are told.
const CHUNK_SIZE: u64 = 8_132;
/// The longest locator in a request.
const REQUEST_LOCATOR_MAX: u32 = 4_096;

/// What is to be done with a LOB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// How long is it?
    Length,
    /// Read part of it.
    Read,
    /// Which amounts are best?
    ChunkSize,
    /// Is it open?
    IsOpen,
    /// Open or close it, which changes nothing for one that is only read.
    OpenOrClose,
}

/// A call that works on a LOB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LobCall {
    operation: Operation,
    locator: Vec<u8>,
    offset: u64,
    amount: Option<u64>,
}

/// Reads a LOB call after its sequence number.
pub(crate) fn parse(reader: &mut Reader<'_>) -> Parse<Call> {
    reader.pointer()?;
    let length = reader.ub4()?;
    let target = reader.pointer()?;
    reader.ub()?;
    reader.ub()?;
    reader.ub()?;
    let charset = reader.pointer()?;
    reader.raw(2)?;
    let code = reader.ub4()?;
    reader.pointer()?;
    reader.ub()?;
    let offset = reader.ub()?;
    reader.ub()?;
    let with_amount = reader.pointer()?;
    reader.raw(6)?;
    let operation = match code {
        0x0001 => Operation::Length,
        0x0002 => Operation::Read,
        0x4000 => Operation::ChunkSize,
        0x11000 => Operation::IsOpen,
        0x8000 | 0x10000 => Operation::OpenOrClose,
        _ => return Ok(Call::Unsupported(Unsupported::Lob(code))),
    };
    if target || charset {
        return Ok(Call::Unsupported(Unsupported::Lob(code)));
    }
    if length > REQUEST_LOCATOR_MAX {
        return Err(ParseError::Malformed("a locator beyond its limit"));
    }
    let locator = reader.raw(length as usize)?.to_vec();
    let amount = if with_amount { Some(reader.ub()?) } else { None };
    Ok(Call::Lob(LobCall {
        operation,
        locator,
        offset,
        amount,
    }))
}

/// Code units as they are sent.
fn bytes(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_be_bytes()).collect()
}

/// The texts that a connection has handed out locators for.
#[derive(Debug, Default)]
pub(crate) struct Lobs {
    kept: VecDeque<(u64, Vec<u16>)>,
    units: usize,
    last: u64,
}

impl Lobs {
    /// Writes a text as a column's value: its locator, and before it, where that is wanted, its length and so many of its
    /// code units.
    pub(crate) fn write(&mut self, writer: &mut Writer, text: &str, prefetch: Option<u32>) {
        let units: Vec<u16> = text.encode_utf16().collect();
        let length = units.len();
        writer.ub(LOCATOR as u64);
        if let Some(wanted) = prefetch {
            writer.ub(length as u64);
            writer.ub(CHUNK_SIZE);
            if wanted > 0 {
                let part = &units[..length.min(wanted as usize)];
                writer.u8(1);
                writer.ub(u64::from(NATIONAL_CHARSET));
                writer.u8(1);
                writer.clr(&bytes(part));
            }
        }
        self.last += 1;
        self.units += length;
        self.kept.push_back((self.last, units));
        while self.kept.len() > KEPT || (self.units > KEPT_UNITS && self.kept.len() > 1) {
            self.units -= self.kept.pop_front().map_or(0, |(_, units)| units.len());
        }
        let mut locator = [0; LOCATOR];
        locator[..BEGINNING.len()].copy_from_slice(&BEGINNING);
        locator[NUMBER].copy_from_slice(&self.last.to_be_bytes());
        writer.clr(&locator);
    }

    fn find(&self, locator: &[u8]) -> Option<&[u16]> {
        let number = u64::from_be_bytes(locator.get(NUMBER)?.try_into().ok()?);
        let found = self.kept.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.kept.get(found).map(|(_, units)| units.as_slice())
    }

    /// Carries out a call and writes its answer, without the end of the call.
    pub(crate) fn carry_out(&self, call: &LobCall, answer: &mut Writer) -> Result<(), OraError> {
        let Some(units) = self.find(&call.locator) else {
            return Err(error(22_922, "nonexistent LOB value"));
        };
        let mut amount = call.amount.unwrap_or(0);
        match call.operation {
            Operation::Length => amount = units.len() as u64,
            Operation::ChunkSize => amount = CHUNK_SIZE,
            Operation::Read => {
                let from = usize::try_from(call.offset.saturating_sub(1))
                    .unwrap_or(usize::MAX)
                    .min(units.len());
                let wanted = usize::try_from(amount).unwrap_or(usize::MAX);
                let part = &units[from..from.saturating_add(wanted).min(units.len())];
                amount = part.len() as u64;
                if !part.is_empty() {
                    answer.u8(0x0e);
                    answer.clr(&bytes(part));
                }
            }
            Operation::IsOpen | Operation::OpenOrClose => {}
        }
        answer.u8(8);
        answer.raw(&call.locator);
        if call.amount.is_some() {
            answer.ub(amount);
        }
        if call.operation == Operation::IsOpen {
            answer.u8(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The locator in a column's value that has nothing else.
    fn locator(value: &[u8]) -> Vec<u8> {
        let mut reader = Reader::new(value);
        reader.ub().expect("a length");
        let locator = reader.clr().expect("a locator").expect("a locator");
        assert!(reader.is_empty());
        locator
    }

    #[test]
    fn the_length_and_the_beginning_come_along_where_they_are_wanted() {
        for (prefetch, before) in [
            (None, &[1, 40][..]),
            (Some(0), &[1, 40, 1, 3, 2, 0x1f, 0xc4]),
            (
                Some(2),
                &[1, 40, 1, 3, 2, 0x1f, 0xc4, 1, 2, 0x07, 0xd0, 1, 4, 0, b'a', 0x20, 0xac],
            ),
            (
                Some(9),
                &[
                    1, 40, 1, 3, 2, 0x1f, 0xc4, 1, 2, 0x07, 0xd0, 1, 6, 0, b'a', 0x20, 0xac, 0, b'b',
                ],
            ),
        ] {
            let mut value = Writer::new();
            Lobs::default().write(&mut value, "a€b", prefetch);
            let value = value.into_bytes();
            assert_eq!(&value[..before.len()], before);
            assert_eq!(value.len(), before.len() + 1 + LOCATOR);
        }
    }

    #[test]
    fn a_part_is_counted_in_code_units() {
        let mut lobs = Lobs::default();
        let mut value = Writer::new();
        lobs.write(&mut value, "a€😀b", None);
        let locator = locator(&value.into_bytes());
        let read = |offset, amount| {
            let call = LobCall {
                operation: Operation::Read,
                locator: locator.clone(),
                offset,
                amount: Some(amount),
            };
            let mut answer = Writer::new();
            lobs.carry_out(&call, &mut answer).map(|()| answer.into_bytes())
        };
        let answer = read(2, 3).expect("a part");
        assert_eq!(answer[..9], [0x0e, 6, 0x20, 0xac, 0xd8, 0x3d, 0xde, 0x00, 8]);
        assert_eq!(answer[answer.len() - 2..], [1, 3]);
        assert_eq!(read(6, 10).expect("nothing")[0], 8);
        assert_eq!(read(u64::MAX, u64::MAX).expect("nothing")[0], 8);
    }

    #[test]
    fn an_unknown_locator_is_an_error() {
        for locator in [vec![], vec![0; LOCATOR], vec![0xff; 200]] {
            let call = LobCall {
                operation: Operation::Length,
                locator,
                offset: 0,
                amount: Some(0),
            };
            assert_eq!(
                Lobs::default()
                    .carry_out(&call, &mut Writer::new())
                    .map_err(|error| error.code),
                Err(22_922)
            );
        }
    }

    #[test]
    fn only_the_latest_texts_are_kept() {
        let mut lobs = Lobs::default();
        for _ in 0..KEPT + 3 {
            lobs.write(&mut Writer::new(), "x", None);
        }
        assert_eq!((lobs.kept.len(), lobs.units), (KEPT, KEPT));
        assert_eq!(lobs.kept.front().map(|(number, _)| *number), Some(4));
    }
}
