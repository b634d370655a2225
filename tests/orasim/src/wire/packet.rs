//! TNS packets: how bytes on a TCP connection become packets and back.
//!
//! The header's length field is two bytes wide until the server has accepted the connection and four after it. A reader
//! keeps what it has read of an unfinished packet, so that a time-out in the middle of one loses nothing.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The bytes in front of every packet's body.
const HEADER: usize = 8;
/// The longest packet taken from a client; more than the largest session data unit there is.
const PACKET_MAX: usize = 2_097_152 + 1_024;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The client wants to be connected.
    Connect,
    /// The server takes the connection.
    Accept,
    /// The server does not.
    Refuse,
    /// Part of a message.
    Data,
    /// A break, a reset or an interrupt.
    Marker,
    /// Anything else, which is skipped.
    Other(u8),
}

impl Kind {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Connect,
            2 => Self::Accept,
            4 => Self::Refuse,
            6 => Self::Data,
            12 => Self::Marker,
            other => Self::Other(other),
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Accept => 2,
            Self::Refuse => 4,
            Self::Data => 6,
            Self::Marker => 12,
            Self::Other(byte) => byte,
        }
    }
}

/// A packet without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its body; for data, without the data flags.
    pub(crate) body: Vec<u8>,
    /// The data flags, 0 for other kinds.
    pub(crate) data_flags: u16,
}

/// The width of the header's length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Two bytes: before the connection is accepted.
    Narrow,
    /// Four bytes: after that.
    Wide,
}

/// Takes packets off a stream.
#[derive(Debug)]
pub(crate) struct PacketReader {
    buffer: Vec<u8>,
    width: Width,
}

impl PacketReader {
    /// A reader at the start of a connection.
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            width: Width::Narrow,
        }
    }

    /// From the next packet on, lengths are four bytes wide.
    pub(crate) fn widen(&mut self) {
        self.width = Width::Wide;
    }

    /// The next packet, or `None` where the stream's read time-out passed before it was whole.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the stream ends, `InvalidData` where what comes is no packet, and the stream's own errors.
    pub(crate) fn next(&mut self, stream: &mut impl Read) -> io::Result<Option<Packet>> {
        let mut block = [0_u8; 16_384];
        loop {
            if let Some(packet) = self.take()? {
                return Ok(Some(packet));
            }
            match stream.read(&mut block) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.buffer.extend_from_slice(&block[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Packet>> {
        if self.buffer.len() < HEADER {
            return Ok(None);
        }
        let header = &self.buffer[..HEADER];
        let length = match self.width {
            Width::Narrow => usize::from(u16::from_be_bytes([header[0], header[1]])),
            Width::Wide => u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize,
        };
        if !(HEADER..=PACKET_MAX).contains(&length) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a packet length out of range",
            ));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let kind = Kind::from_byte(header[4]);
        let mut body = self.buffer[HEADER..length].to_vec();
        self.buffer.drain(..length);
        let mut data_flags = 0;
        if kind == Kind::Data {
            if body.len() < 2 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a data packet without data flags",
                ));
            }
            data_flags = u16::from_be_bytes([body[0], body[1]]);
            body.drain(..2);
        }
        Ok(Some(Packet { kind, body, data_flags }))
    }
}

/// Writes one packet.
///
/// # Errors
///
/// The stream's own.
pub(crate) fn write_packet(stream: &mut TcpStream, width: Width, kind: Kind, body: &[u8]) -> io::Result<()> {
    let flags: &[u8] = if kind == Kind::Data { &[0, 0] } else { &[] };
    let length = HEADER + flags.len() + body.len();
    let mut bytes = Vec::with_capacity(length);
    match width {
        Width::Narrow => {
            let narrow = u16::try_from(length)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a packet too long for a narrow length"))?;
            bytes.extend_from_slice(&narrow.to_be_bytes());
            bytes.extend_from_slice(&[0, 0]);
        }
        Width::Wide => bytes.extend_from_slice(&(length as u32).to_be_bytes()),
    }
    bytes.extend_from_slice(&[kind.byte(), 0, 0, 0]);
    bytes.extend_from_slice(flags);
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)
}

/// How much of a message fits one data packet of a session data unit.
pub(crate) fn data_capacity(session_data_unit: usize) -> usize {
    session_data_unit - HEADER - 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(bytes: &[u8], width: Width) -> io::Result<Vec<Packet>> {
        let mut reader = PacketReader::new();
        if width == Width::Wide {
            reader.widen();
        }
        let mut stream = bytes;
        let mut found = Vec::new();
        loop {
            match reader.next(&mut stream) {
                Ok(Some(packet)) => found.push(packet),
                Ok(None) => unreachable!("a slice does not time out"),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(found),
                Err(error) => return Err(error),
            }
        }
    }

    #[test]
    fn two_packets_in_one_read_are_two() {
        let bytes = [
            0, 0, 0, 12, 6, 0, 0, 0, 0, 0x40, 1, 2, 0, 0, 0, 11, 12, 0, 0, 0, 1, 0, 2,
        ];
        let found = packets(&bytes, Width::Wide).expect("packets");
        assert_eq!(
            found,
            [
                Packet {
                    kind: Kind::Data,
                    body: vec![1, 2],
                    data_flags: 0x40
                },
                Packet {
                    kind: Kind::Marker,
                    body: vec![1, 0, 2],
                    data_flags: 0
                },
            ]
        );
    }

    #[test]
    fn a_narrow_length_is_two_bytes() {
        let found = packets(&[0, 9, 0, 0, 1, 0, 0, 0, 7], Width::Narrow).expect("packets");
        assert_eq!(
            found,
            [Packet {
                kind: Kind::Connect,
                body: vec![7],
                data_flags: 0
            }]
        );
    }

    #[test]
    fn impossible_lengths_end_it() {
        for bytes in [
            [0, 0, 0, 7, 6, 0, 0, 0],
            [0xff, 0, 0, 0, 6, 0, 0, 0],
            [0, 0, 0, 9, 6, 0, 0, 0],
        ] {
            let mut long = bytes.to_vec();
            long.push(0);
            assert_eq!(
                packets(&long, Width::Wide).expect_err("no packet").kind(),
                io::ErrorKind::InvalidData
            );
        }
    }
}
