//! The listener's part: from a CONNECT packet to ACCEPT or REFUSE.
//!
//! The server always accepts without native network services, without fast authentication and without end-of-response
//! marks, whatever the client offers: what is then spoken is the same for all clients, and the oldest of them knows it.

use std::io;
use std::net::TcpStream;

use super::codec::{Parse, ParseError, Reader, Writer};
use super::packet::{Kind, PacketReader, Width, write_packet};
use crate::backend::ConnectTo;

/// The protocol version spoken; older clients are refused.
const VERSION: u16 = 318;
/// The smallest and the largest session data unit agreed to.
const SESSION_DATA_UNIT: std::ops::RangeInclusive<usize> = 512..=65_535;
/// The longest connect descriptor.
const DESCRIPTOR_MAX: usize = 32_767;
/// The most parameters taken from a connect descriptor.
const PARAMETERS_MAX: usize = 256;
/// Native network services are switched off.
const NO_NATIVE_SERVICES: u8 = 0x04;
/// "TNS: versions are incompatible".
pub(crate) const INCOMPATIBLE: u32 = 12_618;

/// What the CONNECT packet and the data after it say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The newest protocol version the client speaks.
    pub(crate) version: u16,
    /// The largest packet it wants.
    pub(crate) session_data_unit: usize,
    /// Where it wants to go.
    pub(crate) to: ConnectTo,
}

/// Reads the client's offer.
///
/// # Errors
///
/// The stream's own; `InvalidData` where it is no offer, `TimedOut` where the client does not finish it in time.
pub(crate) fn read_offer(reader: &mut PacketReader, stream: &mut TcpStream) -> io::Result<Offer> {
    let packet = next(reader, stream)?;
    if packet.kind != Kind::Connect {
        return Err(invalid("the first packet is not a CONNECT"));
    }
    let (mut offer, length, offset) = parse_connect(&packet.body).map_err(|_| invalid("a CONNECT packet cut short"))?;
    if length > DESCRIPTOR_MAX {
        return Err(invalid("a connect descriptor beyond its limit"));
    }
    let mut descriptor = packet.body.get(offset..).unwrap_or_default().to_vec();
    while descriptor.len() < length {
        let packet = next(reader, stream)?;
        if packet.kind != Kind::Data || packet.body.is_empty() {
            return Err(invalid("a connect descriptor that does not go on"));
        }
        descriptor.extend_from_slice(&packet.body);
    }
    descriptor.truncate(length);
    offer.to = destination(&String::from_utf8_lossy(&descriptor));
    Ok(offer)
}

fn next(reader: &mut PacketReader, stream: &mut TcpStream) -> io::Result<super::packet::Packet> {
    reader.next(stream)?.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The offer, and the length and the place in the body of the descriptor.
fn parse_connect(body: &[u8]) -> Parse<(Offer, usize, usize)> {
    let mut reader = Reader::new(body);
    let version = reader.u16_be()?;
    reader.raw(4)?;
    let narrow = usize::from(reader.u16_be()?);
    reader.raw(8)?;
    let length = usize::from(reader.u16_be()?);
    let offset = usize::from(reader.u16_be()?)
        .checked_sub(8)
        .ok_or(ParseError::Malformed("an offset in the header"))?;
    let wide = match body.get(50..54) {
        Some(bytes) if offset >= 54 => u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize,
        _ => 0,
    };
    let wanted = if wide == 0 { narrow } else { wide };
    let session_data_unit = wanted.clamp(*SESSION_DATA_UNIT.start(), *SESSION_DATA_UNIT.end());
    Ok((
        Offer {
            version,
            session_data_unit,
            to: ConnectTo::default(),
        },
        length,
        offset,
    ))
}

/// What a connect descriptor, `(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=...)))`, asks for.
fn destination(descriptor: &str) -> ConnectTo {
    let mut to = ConnectTo::default();
    for part in descriptor.split('(').take(PARAMETERS_MAX) {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        let value = value.split(')').next().unwrap_or_default().trim();
        if value.is_empty() {
            continue;
        }
        match name.trim().to_ascii_uppercase().as_str() {
            "SERVICE_NAME" => to.service_name = Some(value.to_owned()),
            "SID" => to.sid = Some(value.to_owned()),
            "INSTANCE_NAME" => to.instance_name = Some(value.to_owned()),
            _ => {}
        }
    }
    to
}

/// Whether the client speaks what the server speaks.
pub(crate) fn compatible(offer: &Offer) -> bool {
    offer.version >= VERSION
}

/// Takes the connection.
///
/// # Errors
///
/// The stream's own.
pub(crate) fn accept(stream: &mut TcpStream, session_data_unit: usize) -> io::Result<()> {
    let unit = session_data_unit.min(65_535);
    let mut body = Writer::new();
    body.u16_be(VERSION);
    body.u16_be(1);
    body.u16_be(unit as u16);
    body.u16_be(65_535);
    body.u16_be(0x0100);
    body.u16_be(0);
    body.u16_be(45);
    body.u8(NO_NATIVE_SERVICES);
    body.u8(NO_NATIVE_SERVICES);
    body.raw(&[0; 8]);
    body.u32_be(unit as u32);
    body.u32_be(65_535);
    body.u8(0);
    body.u32_be(0);
    write_packet(stream, Width::Narrow, Kind::Accept, &body.into_bytes())
}

/// Turns the connection down with an ORA- number.
///
/// # Errors
///
/// The stream's own.
pub(crate) fn refuse(stream: &mut TcpStream, code: u32) -> io::Result<()> {
    let text = format!("(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR={code})(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4))))");
    let mut body = Writer::new();
    body.raw(&[0x22, 0]);
    body.u16_be(text.len() as u16);
    body.raw(text.as_bytes());
    write_packet(stream, Width::Narrow, Kind::Refuse, &body.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_is_found_however_it_is_written() {
        let to = destination(
            "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521))\n (CONNECT_DATA= (CID=(PROGRAM=p)) (service_name = \
             sales.example )(INSTANCE_NAME=i2)))",
        );
        assert_eq!(to.service_name.as_deref(), Some("sales.example"));
        assert_eq!(to.instance_name.as_deref(), Some("i2"));
        assert_eq!(to.sid, None);
        assert_eq!(destination("(CONNECT_DATA=(SID=ORCL))").sid.as_deref(), Some("ORCL"));
        assert_eq!(destination("((((=)=)("), ConnectTo::default());
    }

    #[test]
    fn a_connect_packet_is_read() {
        let mut body = vec![0_u8; 66];
        body[..2].copy_from_slice(&319_u16.to_be_bytes());
        body[6..8].copy_from_slice(&8_192_u16.to_be_bytes());
        body[16..18].copy_from_slice(&7_u16.to_be_bytes());
        body[18..20].copy_from_slice(&74_u16.to_be_bytes());
        let (offer, length, offset) = parse_connect(&body).expect("an offer");
        assert_eq!(
            (offer.version, offer.session_data_unit, length, offset),
            (319, 8_192, 7, 66)
        );
        body[50..54].copy_from_slice(&2_000_000_u32.to_be_bytes());
        assert_eq!(parse_connect(&body).expect("an offer").0.session_data_unit, 65_535);
        assert!(parse_connect(&body[..15]).is_err());
    }
}
