//! What a client asks: piggybacked notices, which need no answer, and the one call that they come with.

use super::capability::{self, DataTypes};
use super::codec::{Parse, ParseError, Reader};
use super::cursor::CursorTable;
use super::lob::{self, LobCall};
use super::statement::{self, Execute, Reexecute};
use crate::backend::EndToEnd;

/// The most name-value pairs in a login message.
const PAIRS_MAX: u64 = 256;
/// The most piggybacks in front of one call.
const NOTICES_MAX: usize = 64;

/// The piggyback that closes cursors.
const CLOSE_CURSORS: u8 = 0x69;
/// The piggyback that ends their fetching alone.
const CANCEL_CURSORS: u8 = 0x78;

/// One message of a client.
#[derive(Debug)]
pub(crate) enum Message {
    /// TTIPRO.
    Protocol,
    /// TTIDTY.
    DataTypes(DataTypes),
    /// A call, with what came in front of it.
    Request(Request),
}

/// A call and its piggybacks, in their order.
#[derive(Debug)]
pub(crate) struct Request {
    /// What came in front.
    pub(crate) notices: Vec<Notice>,
    /// The call's sequence number, which its answer repeats.
    pub(crate) sequence: u8,
    /// The call.
    pub(crate) call: Call,
}

/// A piggyback.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// These cursors are done with.
    CloseCursors(Vec<u16>),
    /// No more rows are wanted of these cursors, which stay open.
    CancelCursors(Vec<u16>),
    /// The client's end-to-end attributes have changed.
    EndToEnd(EndToEnd),
    /// The current schema changes.
    CurrentSchema(String),
    /// Something that changes nothing here.
    Nothing,
}

/// A call.
#[derive(Debug)]
pub(crate) enum Call {
    /// The first half of the login.
    SessionKey(Logon),
    /// The second half.
    Authenticate(Logon),
    /// Parse, describe, bind, define, execute and fetch, or some of them.
    Execute(Box<Execute>),
    /// Execute a cursor again.
    Reexecute(Reexecute),
    /// Fetch so many rows on.
    Fetch {
        /// From this cursor.
        cursor: u16,
        /// At most so many.
        rows: u32,
    },
    /// Read a LOB.
    Lob(LobCall),
    /// Are you there?
    Ping,
    /// Commit.
    Commit,
    /// Roll back.
    Rollback,
    /// Log off.
    Logoff,
    /// The release and its banner.
    Version,
    /// A call that this server does not know or cannot read to its end: whatever came with it is dropped.
    Unsupported(Unsupported),
}

/// Why a call cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// A function that is not served.
    Function(u8),
    /// A piggyback that is not served: where it ends, and the call behind it begins, cannot be told.
    Piggyback(u8),
    /// A bind of a type that is not served.
    BindType(u8),
    /// PL/SQL table binds.
    ArrayBind,
    /// DML with a RETURNING clause, whose binds the thin drivers send no values for.
    Returning,
    /// An operation on a LOB that is not served.
    Lob(u32),
    /// A cursor that is not open.
    Cursor(u16),
}

/// A login message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logon {
    /// The user's name as typed.
    pub(crate) user: String,
    /// Which kind of login.
    pub(crate) mode: u32,
    /// Everything else.
    pub(crate) pairs: Vec<(String, String)>,
}

impl Logon {
    /// The value that goes by this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Reads one message; nothing may be acted on before this has succeeded.
pub(crate) fn parse(reader: &mut Reader<'_>, cursors: &CursorTable) -> Parse<Message> {
    let mut notices = Vec::new();
    loop {
        match reader.u8()? {
            1 if notices.is_empty() => {
                capability::parse_protocol(reader)?;
                return Ok(Message::Protocol);
            }
            2 if notices.is_empty() => return Ok(Message::DataTypes(capability::parse_data_types(reader)?)),
            0x03 => {
                let function = reader.u8()?;
                let sequence = reader.u8()?;
                let call = parse_call(function, reader, cursors)?;
                return Ok(Message::Request(Request {
                    notices,
                    sequence,
                    call,
                }));
            }
            0x11 => {
                let function = reader.u8()?;
                let sequence = reader.u8()?;
                let Some(notice) = parse_notice(function, reader)? else {
                    return Ok(Message::Request(Request {
                        notices,
                        sequence,
                        call: Call::Unsupported(Unsupported::Piggyback(function)),
                    }));
                };
                notices.push(notice);
                if notices.len() > NOTICES_MAX {
                    return Err(ParseError::Malformed("too many piggybacks"));
                }
            }
            _ => return Err(ParseError::Malformed("an unknown message type")),
        }
    }
}

fn parse_call(function: u8, reader: &mut Reader<'_>, cursors: &CursorTable) -> Parse<Call> {
    Ok(match function {
        0x76 => Call::SessionKey(parse_logon(reader)?),
        0x73 => Call::Authenticate(parse_logon(reader)?),
        0x5e => statement::parse_execute(reader, cursors)?,
        0x4e => statement::parse_reexecute(reader, cursors, true)?,
        0x04 => statement::parse_reexecute(reader, cursors, false)?,
        0x05 => Call::Fetch {
            cursor: reader.ub2()?,
            rows: reader.ub4()?,
        },
        0x60 => lob::parse(reader)?,
        0x93 => Call::Ping,
        0x0e => Call::Commit,
        0x0f => Call::Rollback,
        0x09 => Call::Logoff,
        0x3b => {
            reader.pointer()?;
            reader.ub()?;
            reader.pointer()?;
            reader.pointer()?;
            reader.ub()?;
            Call::Version
        }
        function => Call::Unsupported(Unsupported::Function(function)),
    })
}

fn parse_logon(reader: &mut Reader<'_>) -> Parse<Logon> {
    let named = reader.pointer()?;
    let length = reader.ub4()?;
    let mode = reader.ub4()?;
    reader.pointer()?;
    let count = reader.ub()?;
    reader.pointer()?;
    reader.pointer()?;
    if count > PAIRS_MAX {
        return Err(ParseError::Malformed("too many login attributes"));
    }
    let user = if named { reader.text(length)? } else { String::new() };
    let mut pairs = Vec::new();
    for _ in 0..count {
        let key = String::from_utf8_lossy(&reader.dalc()?).into_owned();
        let value = String::from_utf8_lossy(&reader.dalc()?).into_owned();
        reader.ub()?;
        pairs.push((key.trim_end_matches('\0').to_owned(), value));
    }
    Ok(Logon { user, mode, pairs })
}

/// Reads a piggyback; `None` for one that is not served.
fn parse_notice(function: u8, reader: &mut Reader<'_>) -> Parse<Option<Notice>> {
    Ok(Some(match function {
        CLOSE_CURSORS | CANCEL_CURSORS => {
            reader.pointer()?;
            let count = reader.ub2()?;
            let mut cursors = Vec::new();
            for _ in 0..count {
                cursors.push(reader.ub2()?);
            }
            if function == CLOSE_CURSORS {
                Notice::CloseCursors(cursors)
            } else {
                Notice::CancelCursors(cursors)
            }
        }
        0x6b => {
            reader.ub()?;
            reader.ub()?;
            reader.ub()?;
            Notice::Nothing
        }
        0xb0 => {
            reader.ub()?;
            Notice::Nothing
        }
        0x87 => Notice::EndToEnd(parse_end_to_end(reader)?),
        0x98 => {
            reader.pointer()?;
            let length = reader.ub4()?;
            Notice::CurrentSchema(reader.text(length)?)
        }
        _ => return Ok(None),
    }))
}

/// Each attribute is announced with a pointer and a length; those that are not empty follow at the end.
fn parse_end_to_end(reader: &mut Reader<'_>) -> Parse<EndToEnd> {
    fn announced(reader: &mut Reader<'_>) -> Parse<Option<u32>> {
        let present = reader.pointer()?;
        let length = reader.ub4()?;
        Ok(present.then_some(length))
    }
    fn value(reader: &mut Reader<'_>, announced: Option<u32>) -> Parse<Option<String>> {
        Ok(match announced {
            None => None,
            Some(0) => Some(String::new()),
            Some(length) => Some(reader.text(length)?),
        })
    }
    reader.u8()?;
    reader.u8()?;
    reader.ub()?;
    let identifier = announced(reader)?;
    let module = announced(reader)?;
    let action = announced(reader)?;
    let execution_context = announced(reader)?;
    reader.u8()?;
    reader.ub()?;
    let info = announced(reader)?;
    let stack = announced(reader)?;
    let target = announced(reader)?;
    let operation = announced(reader)?;
    let client_identifier = value(reader, identifier)?;
    let module = value(reader, module)?;
    let action = value(reader, action)?;
    value(reader, execution_context)?;
    let client_info = value(reader, info)?;
    for ignored in [stack, target, operation] {
        value(reader, ignored)?;
    }
    Ok(EndToEnd {
        module,
        action,
        client_identifier,
        client_info,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::Writer;

    fn request(bytes: &[u8]) -> Parse<Request> {
        match parse(&mut Reader::new(bytes), &CursorTable::default())? {
            Message::Request(request) => Ok(request),
            other @ (Message::Protocol | Message::DataTypes(_)) => panic!("{other:?}"),
        }
    }

    /// A module change, two cursors closed and a ping, in one message.
    fn piggybacks_and_ping() -> Vec<u8> {
        let mut message = Writer::new();
        message.raw(&[0x11, 0x69, 1, 1]);
        message.ub(2);
        message.ub(3);
        message.ub(300);
        message.raw(&[0x11, 0x87, 2, 0, 0]);
        message.ub(0x18);
        message.raw(&[0, 0]);
        message.u8(1);
        message.ub(4);
        message.u8(1);
        message.ub(0);
        message.raw(&[0, 0]);
        message.raw(&[0, 0]);
        message.raw(&[0; 8]);
        message.clr(b"load");
        message.raw(&[0x03, 0x93, 7]);
        message.into_bytes()
    }

    #[test]
    fn piggybacks_come_with_their_call() {
        let request = request(&piggybacks_and_ping()).expect("a request");
        assert_eq!(request.sequence, 7);
        assert!(matches!(request.call, Call::Ping));
        let end_to_end = EndToEnd {
            module: Some("load".into()),
            action: Some(String::new()),
            ..EndToEnd::default()
        };
        assert_eq!(
            request.notices,
            [Notice::CloseCursors(vec![3, 300]), Notice::EndToEnd(end_to_end)]
        );
    }

    #[test]
    fn a_piggyback_that_is_not_served_is_a_call_that_is_not_served() {
        let mut message = vec![0x11, 0x69, 1, 1, 1, 1, 1, 3];
        message.extend_from_slice(&[0x11, 0xc7, 2, 0, 0, 1, 0x03, 0x93, 3]);
        let request = request(&message).expect("a request");
        assert_eq!(
            (request.sequence, request.notices),
            (2, vec![Notice::CloseCursors(vec![3])])
        );
        assert!(matches!(request.call, Call::Unsupported(Unsupported::Piggyback(0xc7))));
    }

    #[test]
    fn a_message_cut_anywhere_is_incomplete() {
        let message = piggybacks_and_ping();
        for cut in 0..message.len() {
            assert_eq!(
                request(&message[..cut]).map(|_| ()),
                Err(ParseError::Incomplete),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_login_message_is_read() {
        let mut message = Writer::new();
        message.raw(&[0x03, 0x76, 1, 1]);
        message.ub(5);
        message.ub(0x21);
        message.u8(1);
        message.ub(2);
        message.raw(&[1, 1]);
        message.clr(b"scott");
        message.dalc(b"AUTH_PROGRAM_NM");
        message.dalc(b"sqlplus");
        message.ub(0);
        message.dalc(b"AUTH_TERMINAL");
        message.dalc(b"");
        message.ub(1);
        let Call::SessionKey(logon) = request(&message.into_bytes()).expect("a request").call else {
            panic!("no logon")
        };
        assert_eq!((logon.user.as_str(), logon.mode), ("scott", 0x21));
        assert_eq!(logon.value("AUTH_PROGRAM_NM"), Some("sqlplus"));
        assert_eq!(logon.value("AUTH_TERMINAL"), Some(""));
    }

    #[test]
    fn garbage_is_malformed_or_incomplete_and_never_a_panic() {
        use rand::{Rng, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(0x0ac1e);
        for _ in 0..200_000 {
            let length = random.random_range(0..80);
            let mut bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
            if let Some(first) = bytes.first_mut() {
                *first = [1, 2, 3, 0x11][random.random_range(0..4)];
            }
            if let Some(second) = bytes.get_mut(1) {
                let functions = [0x76, 0x73, 0x5e, 0x4e, 4, 5, 0x3b, 0x69, 0x6b, 0x87, 0x98];
                *second = functions[random.random_range(0..functions.len())];
            }
            let _ = parse(&mut Reader::new(&bytes), &CursorTable::default());
        }
    }
}
