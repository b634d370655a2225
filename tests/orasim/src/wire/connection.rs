//! One connection from its first packet to its last: the worker that takes a client's messages one by one and answers them.
//!
//! What a call does is in `call`; here is when it is done, and what becomes of the connection after it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::bind::error;
use super::capability;
use super::codec::{Dialect, ParseError, Reader, Writer};
use super::cursor::CursorTable;
use super::handshake;
use super::link::{Incoming, Link};
use super::lob::Lobs;
use super::logon::LogonStep;
use super::packet::PacketReader;
use super::request::{self, Call, Message, Request};
use super::response::{self, CallEnd};
use super::server::Shared;
use crate::backend::{OraError, Session, Then};

/// How long a client may take until it is logged on.
const LOGON_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client whose session is gone may go on being told so.
const GONE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest message taken from a client.
const MESSAGE_MAX: usize = 64 * 1024 * 1024;
/// How many packets of a client wait for the worker.
const QUEUE: usize = 64;

/// What is left to do after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Take the next one.
    Go,
    /// Close the connection.
    Close,
}

/// Where the connection is in its life.
pub(crate) enum Phase {
    /// Nobody has logged on yet.
    Logon(LogonStep),
    /// A session is there.
    Session(Box<dyn Session>),
    /// The session was there and has been ended by the server.
    Gone,
}

/// The worker's side of a connection.
pub(crate) struct Connection {
    /// What all connections of the server share.
    pub(crate) shared: Arc<Shared>,
    /// The socket.
    pub(crate) link: Arc<Link>,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The instance that the listener chose.
    pub(crate) instance: u32,
    /// Whether the client is the client library, not a thin driver.
    pub(crate) client_library: bool,
    /// In which forms the client speaks.
    pub(crate) dialect: Dialect,
    /// The banner and the number of the release, once a session is there.
    pub(crate) release: (String, u64),
    /// The CLOBs that the client has locators of.
    pub(crate) lobs: Lobs,
    /// The open cursors.
    pub(crate) cursors: CursorTable,
    /// Where it is.
    pub(crate) phase: Phase,
    /// The sequence number of the last call.
    pub(crate) sequence: u8,
    /// What a call that a break interrupted came to, if that was an error.
    interrupted: Option<OraError>,
}

/// Serves one connection until it ends.
///
/// # Errors
///
/// Why it ended, where that was not the protocol's own end.
pub(crate) fn serve(mut stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOGON_TIMEOUT))?;
    let mut packets = PacketReader::new();
    let offer = handshake::read_offer(&mut packets, &mut stream)?;
    if !handshake::compatible(&offer) {
        return handshake::refuse(&mut stream, handshake::INCOMPATIBLE);
    }
    let instance = match shared.database.route(&offer.to) {
        Ok(instance) => instance,
        Err(error) => {
            return match error.then {
                Then::Continue | Then::SessionGone => handshake::refuse(&mut stream, error.code),
                Then::Cut => Ok(()),
                Then::Hang => wait_for_end(&mut stream, &mut packets),
            };
        }
    };
    handshake::accept(&mut stream, offer.session_data_unit)?;
    packets.widen();
    let link = Arc::new(Link::new(stream.try_clone()?, offer.session_data_unit)?);
    let (sender, incoming) = mpsc::sync_channel(QUEUE);
    let reading = Arc::clone(&link);
    let finish = Finish(Arc::clone(&link));
    let reader = std::thread::Builder::new()
        .name("orasim-reader".into())
        .spawn(move || reading.read(stream, packets, sender))?;
    let mut connection = Connection {
        shared: Arc::clone(shared),
        link,
        peer,
        instance,
        client_library: false,
        dialect: Dialect::default(),
        release: (String::new(), 0),
        lobs: Lobs::default(),
        cursors: CursorTable::default(),
        phase: Phase::Logon(LogonStep::Begin),
        sequence: 0,
        interrupted: None,
    };
    let result = connection.run(&incoming);
    drop(connection);
    drop(finish);
    // The reader cannot panic by itself, and a panic of the session's interrupt is reported where it happens.
    let _ = reader.join();
    result
}

/// Releases the reader, however the worker ends.
struct Finish(Arc<Link>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Reads and drops what a client sends until it goes away.
///
/// # Errors
///
/// The stream's own.
pub(crate) fn wait_for_end(stream: &mut TcpStream, packets: &mut PacketReader) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    while packets.next(stream).is_ok() {}
    Ok(())
}

impl Connection {
    fn run(&mut self, incoming: &Receiver<Incoming>) -> io::Result<()> {
        let begun = Instant::now();
        let mut pending: Vec<u8> = Vec::new();
        loop {
            let next = match &self.phase {
                Phase::Session(_) => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Phase::Logon(_) => incoming.recv_timeout(LOGON_TIMEOUT.saturating_sub(begun.elapsed())),
                Phase::Gone => incoming.recv_timeout(GONE_TIMEOUT),
            };
            let next = match next {
                Ok(Incoming::Data(bytes)) => {
                    if pending.len() + bytes.len() > MESSAGE_MAX {
                        return Err(malformed("a message beyond its limit"));
                    }
                    pending.extend_from_slice(&bytes);
                    self.take_messages(&mut pending)?
                }
                Ok(Incoming::Reset) => {
                    pending.clear();
                    self.end_break()?
                }
                Err(_) => Next::Close,
            };
            if next == Next::Close {
                return Ok(());
            }
        }
    }

    /// Takes every whole message out of what has been received.
    fn take_messages(&mut self, pending: &mut Vec<u8>) -> io::Result<Next> {
        while !pending.is_empty() {
            let mut reader = Reader::new(pending).of(self.dialect);
            let message = match request::parse(&mut reader, &self.cursors) {
                Ok(message) => message,
                Err(ParseError::Incomplete) => return Ok(Next::Go),
                Err(ParseError::Malformed(what)) => return Err(malformed(what)),
            };
            let taken = reader.position();
            let unreadable = matches!(
                &message,
                Message::Request(Request {
                    call: Call::Unsupported(_),
                    ..
                })
            );
            if unreadable {
                pending.clear();
            } else {
                pending.drain(..taken);
            }
            if self.take(message)? == Next::Close {
                return Ok(Next::Close);
            }
        }
        Ok(Next::Go)
    }

    fn take(&mut self, message: Message) -> io::Result<Next> {
        match message {
            Message::Protocol => self.link.send(&capability::protocol_reply())?,
            Message::DataTypes(types) => {
                self.client_library = types.client_library;
                self.dialect = types.dialect;
                self.link.send(&capability::data_types_reply(&types))?;
            }
            Message::Request(request) => return self.take_request(request),
        }
        Ok(Next::Go)
    }

    fn take_request(&mut self, request: Request) -> io::Result<Next> {
        self.sequence = request.sequence;
        if self.link.is_breaking() {
            // Cancelled before it began: the reset that follows is its answer.
            return Ok(Next::Go);
        }
        match &self.phase {
            Phase::Logon(_) => return self.log_on(request.call),
            Phase::Gone => return self.answer_gone(&request.call),
            Phase::Session(_) => {}
        }
        self.shared.counters.round_trip();
        for notice in request.notices {
            self.take_notice(notice);
        }
        let leaving = matches!(request.call, Call::Logoff);
        let mut answer = Writer::of(self.dialect);
        let outcome = self.carry_out(request.call, &mut answer);
        match outcome {
            Ok(()) => {
                self.answered();
                let mut bytes = answer.into_bytes();
                if let Phase::Session(session) = &mut self.phase
                    && let Some(seed) = session.garbled()
                {
                    garble(&mut bytes, seed);
                }
                self.link.send(&bytes)?;
                if leaving {
                    self.phase = Phase::Gone;
                }
                Ok(Next::Go)
            }
            Err(failure) => self.fail(failure.error, failure.cursor),
        }
    }

    /// The session waits for the client again. This comes before the answer is sent: once the client has it, nobody may
    /// see the session still in its call.
    fn answered(&mut self) {
        if let Phase::Session(session) = &mut self.phase {
            session.answered();
        }
    }

    /// Whether the session has a transaction open.
    pub(crate) fn in_transaction(&self) -> bool {
        match &self.phase {
            Phase::Session(session) => session.in_transaction(),
            Phase::Logon(_) | Phase::Gone => false,
        }
    }

    /// The end of the current call, as far as the connection knows it.
    pub(crate) fn call_end(&self) -> CallEnd<'static> {
        CallEnd {
            sequence: self.sequence,
            in_transaction: self.in_transaction(),
            ..CallEnd::default()
        }
    }

    /// Answers with an error, and does with the connection what the error says.
    pub(crate) fn fail(&mut self, failure: OraError, cursor: u16) -> io::Result<Next> {
        match failure.then {
            Then::Continue => self.answered(),
            Then::SessionGone => self.end_session(),
            Then::Cut => return Ok(Next::Close),
            Then::Hang => {
                self.link.mute();
                return Ok(Next::Go);
            }
        }
        let mut answer = Writer::of(self.dialect);
        let end = CallEnd {
            cursor,
            error: Some(&failure),
            ..self.call_end()
        };
        response::call_end(&mut answer, end);
        if self.link.is_breaking() {
            self.interrupted = Some(failure);
            return Ok(Next::Go);
        }
        self.link.send(&answer.into_bytes())?;
        Ok(Next::Go)
    }

    fn end_session(&mut self) {
        self.link.interrupt_with(None);
        self.cursors.clear();
        self.lobs = Lobs::default();
        self.phase = Phase::Gone;
    }

    /// Every call on a session that is gone has one answer, except a logoff.
    fn answer_gone(&mut self, call: &Call) -> io::Result<Next> {
        let mut answer = Writer::of(self.dialect);
        if matches!(call, Call::Logoff) {
            response::status(&mut answer, false);
        } else {
            let gone = error(1_012, "not logged on");
            let end = CallEnd {
                error: Some(&gone),
                ..self.call_end()
            };
            response::call_end(&mut answer, end);
        }
        self.link.send(&answer.into_bytes())?;
        Ok(Next::Go)
    }

    fn end_break(&mut self) -> io::Result<Next> {
        let cancelled = error(1_013, "user requested cancel of current operation");
        let cause = self.interrupted.take().unwrap_or(cancelled);
        let mut answer = Writer::of(self.dialect);
        let end = CallEnd {
            error: Some(&cause),
            ..self.call_end()
        };
        response::call_end(&mut answer, end);
        self.answered();
        self.link.end_break(&answer.into_bytes())?;
        Ok(Next::Go)
    }
}

/// Changes some bytes, the same ones for the same number.
fn garble(bytes: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let changes = 1 + next() % 8;
    for _ in 0..changes {
        let at = (next() % bytes.len().max(1) as u64) as usize;
        let to = (next() >> 32) as u8;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
