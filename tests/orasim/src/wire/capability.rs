//! The two exchanges in which client and server agree how to speak: protocol (TTIPRO) and data types (TTIDTY).
//!
//! The name that the server gives decides the representation: a client that reads another platform's name than its own
//! marshals portably for the whole session. The capabilities are those of an old release, so that no client asks for
//! what came later, and the field version (12) is that of the release which the client library for the tests has.

use super::codec::{Dialect, Parse, ParseError, Reader, Writer};

/// The server's name for itself; any that is no client's own platform name will do.
const BANNER: &[u8] = b"OraSim/1.0";
/// AL32UTF8.
pub(crate) const CHARSET: u16 = 873;
/// AL16UTF16, the national character set.
pub(crate) const NATIONAL_CHARSET: u16 = 2_000;
/// Compile-time capabilities; byte 4 asks for a 12c verifier, byte 7 is the field version.
const COMPILE: [u8; 48] = [
    0x06, 0x01, 0x01, 0x01, 0x2f, 0x01, 0x01, 12, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x7f, 0xff, 0x03, 0x0b,
    0x03, 0x03, 0x01, 0x01, 0xff, 0x01, 0xff, 0xff, 0x01, 0x0a, 0x01, 0x01, 0xff, 0x01, 0x06, 0x09, 0x60, 0x01, 0x7f,
    0x04, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// Run-time capabilities: strings of at most 4000 bytes.
const RUNTIME: [u8; 7] = [0x02, 0x01, 0x00, 0x01, 0x18, 0x00, 0x03];
/// The description of the server's number formats.
const FORMATS: [u8; 58] = [
    0, 0, 0, 96, 1, 36, 15, 0x05, 0x0b, 0x0c, 0x03, 0x0c, 0x0c, 0x05, 0x04, 0x05, 0x0d, 0x06, 0x09, 0x07, 0x08, 0x05,
    0x05, 0x05, 0x05, 0x05, 0x0f, 0x05, 0x05, 0x05, 0x05, 0x05, 0x0a, 0x05, 0x05, 0x05, 0x05, 0x05, 0x04, 0x05, 0x06,
    0x07, 0x08, 0x08, 0x23, 0x47, 0x23, 0x23, 0x08, 0x11, 0x23, 0x08, 0x11, 0x41, 0xb0, 0x23, 0x00, 0x83,
];
/// The type whose representation decides how a scale is sent.
const SIGNED_BYTE: u16 = 27;
/// Portable.
const UNIVERSAL: u16 = 1;
/// The server's own.
const ORACLE: u16 = 10;
/// The client's flag for texts that carry a length of their own.
const MEASURED_TEXTS: u8 = 0x02;
/// The client's flag for the national character set, which it then names.
const NATIONAL_FOLLOWS: u8 = 0x80;
/// The most types a client may list.
const TYPES_MAX: usize = 4_096;

/// What the client said about data types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataTypes {
    zone: Option<[u8; 11]>,
    zone_file: bool,
    types: Vec<(u16, Option<(u16, u16)>)>,
    /// In which forms it speaks.
    pub(crate) dialect: Dialect,
    /// Whether it is the client library, which alone offers more than one representation of a type.
    pub(crate) client_library: bool,
}

/// Reads a protocol message after its first byte. Nothing in it matters to the answer.
pub(crate) fn parse_protocol(reader: &mut Reader<'_>) -> Parse<()> {
    reader.until_zero()?;
    reader.until_zero()?;
    Ok(())
}

/// Answers a protocol message.
pub(crate) fn protocol_reply() -> Vec<u8> {
    let mut reply = Writer::new();
    reply.raw(&[1, 6, 0]);
    reply.raw(BANNER);
    reply.u8(0);
    reply.raw(&CHARSET.to_le_bytes());
    reply.u8(1);
    reply.raw(&[0, 0]);
    reply.u16_be(100);
    let mut formats = Writer::new();
    formats.raw(&FORMATS);
    formats.u16_be(CHARSET);
    formats.u16_be(NATIONAL_CHARSET);
    formats.u8(3);
    let mut formats = formats.into_bytes();
    formats.resize(100, 0);
    reply.raw(&formats);
    reply.u8(COMPILE.len() as u8);
    reply.raw(&COMPILE);
    reply.u8(RUNTIME.len() as u8);
    reply.raw(&RUNTIME);
    reply.into_bytes()
}

/// Reads a data types message after its first byte.
pub(crate) fn parse_data_types(reader: &mut Reader<'_>) -> Parse<DataTypes> {
    reader.u16_le()?;
    reader.u16_le()?;
    let flags = reader.u8()?;
    let length = usize::from(reader.u8()?);
    let compile = reader.raw(length)?;
    let length = usize::from(reader.u8()?);
    let runtime = reader.raw(length)?;
    let zone = if runtime.get(1).is_some_and(|byte| byte & 1 != 0) {
        let mut zone = [0; 11];
        zone.copy_from_slice(reader.raw(11)?);
        Some(zone)
    } else {
        None
    };
    let zone_file = zone.is_some() && compile.get(37).is_some_and(|byte| byte & 2 != 0);
    if zone_file {
        reader.raw(4)?;
    }
    if flags & NATIONAL_FOLLOWS != 0 {
        reader.u16_le()?;
    }
    let mut types: Vec<(u16, Option<(u16, u16)>)> = Vec::new();
    let mut client_library = false;
    loop {
        let kind = reader.u16_be()?;
        if kind == 0 {
            let scale = types.iter().find(|(kind, _)| *kind == SIGNED_BYTE);
            let dialect = Dialect {
                bare_texts: flags & MEASURED_TEXTS == 0,
                counted_scales: scale.is_some_and(|(_, chosen)| chosen.is_some_and(|(_, form)| form == UNIVERSAL)),
                return_codes: client_library,
            };
            return Ok(DataTypes {
                zone,
                zone_file,
                types,
                dialect,
                client_library,
            });
        }
        if types.len() >= TYPES_MAX {
            return Err(ParseError::Malformed("too many data types"));
        }
        let mut offered = Vec::new();
        loop {
            let conversion = reader.u16_be()?;
            if conversion == 0 {
                break;
            }
            offered.push((conversion, reader.u16_be()?));
            if offered.len() > 16 {
                return Err(ParseError::Malformed("too many representations of a data type"));
            }
        }
        client_library |= offered.len() > 1;
        types.push((kind, choose(kind, &offered)));
    }
}

/// One of the representations that the client offers, and never another: for a scale the server's own, one byte as it is,
/// else the portable one, else whatever there is.
fn choose(kind: u16, offered: &[(u16, u16)]) -> Option<(u16, u16)> {
    let of = |wanted| {
        offered
            .iter()
            .find(move |(_, representation)| *representation == wanted)
    };
    let byte = (kind == SIGNED_BYTE).then(|| of(ORACLE)).flatten();
    byte.or_else(|| of(UNIVERSAL)).or_else(|| offered.first()).copied()
}

/// Answers a data types message.
pub(crate) fn data_types_reply(request: &DataTypes) -> Vec<u8> {
    let mut reply = Writer::new();
    reply.u8(2);
    if let Some(zone) = &request.zone {
        reply.raw(zone);
        if request.zone_file {
            reply.u32_be(32);
        }
    }
    for (kind, chosen) in &request.types {
        reply.u16_be(*kind);
        if let Some((conversion, representation)) = chosen {
            reply.u16_be(*conversion);
            reply.u16_be(*representation);
        }
        reply.u16_be(0);
    }
    reply.u16_be(0);
    reply.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data types message without its first byte.
    fn message(flags: u8, after_capabilities: &[u8], types: &[u16]) -> Vec<u8> {
        let zone = u8::from(after_capabilities.len() >= 11);
        let mut message = vec![0x69, 0x03, 0x69, 0x03, flags, 0, 2, 2, zone];
        message.extend_from_slice(after_capabilities);
        for number in types {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message
    }

    #[test]
    fn a_representation_is_chosen_among_those_that_are_offered() {
        let types = [
            25, 25, 24, 25, 1, 0, 27, 27, 1, 27, 10, 0, 90, 0, 12, 12, 10, 0, 252, 252, 0, 0, 0,
        ];
        let message = message(0x03, &[], &types);
        let request = parse_data_types(&mut Reader::new(&message)).expect("data types");
        assert!(request.client_library && request.dialect.return_codes);
        assert_eq!(
            request.types,
            [
                (25, Some((25, 1))),
                (27, Some((27, 10))),
                (90, None),
                (12, Some((12, 10))),
                (252, Some((252, 0)))
            ]
        );
        assert_eq!(data_types_reply(&request)[1..7], [0, 25, 0, 25, 0, 1]);
        for cut in 0..message.len() {
            assert_eq!(
                parse_data_types(&mut Reader::new(&message[..cut])),
                Err(ParseError::Incomplete),
                "{cut}"
            );
        }
    }

    /// The flags say what follows the capabilities, and not the time zone (as the client library's message could suggest).
    #[test]
    fn the_flags_decide_about_texts_and_the_national_character_set() {
        let zone = [0x80, 0, 0, 0, 60, 60, 0x80, 0, 0, 0, 0];
        let with_national = [&zone[..], &[0xd0, 0x07]].concat();
        for (flags, after, bare_texts) in [
            (0x01, &[][..], true),
            (0x03, &zone[..], false),
            (0x83, &with_national[..], false),
            (0x81, &[0xd0, 0x07][..], true),
        ] {
            let message = message(flags, after, &[27, 27, 1, 0, 0]);
            let mut reader = Reader::new(&message);
            let request = parse_data_types(&mut reader).expect("data types");
            assert!(reader.is_empty(), "{flags:x}");
            let dialect = Dialect {
                bare_texts,
                counted_scales: true,
                return_codes: false,
            };
            assert_eq!(
                (request.dialect, &request.types[..]),
                (dialect, &[(27, Some((27, 1)))][..])
            );
        }
    }

    #[test]
    fn the_protocol_reply_has_the_announced_lengths() {
        let reply = protocol_reply();
        let mut reader = Reader::new(&reply);
        assert_eq!(reader.raw(3), Ok(&[1, 6, 0][..]));
        assert_eq!(reader.until_zero(), Ok(BANNER));
        assert_eq!(reader.u16_le(), Ok(CHARSET));
        reader.raw(3).expect("flags");
        let length = reader.u16_be().expect("a length");
        let formats = reader.raw(usize::from(length)).expect("formats");
        assert_eq!(u16::from_be_bytes([formats[60], formats[61]]), NATIONAL_CHARSET);
        for _ in 0..2 {
            let length = reader.u8().expect("a length");
            reader.raw(usize::from(length)).expect("capabilities");
        }
        assert!(reader.is_empty());
    }
}
