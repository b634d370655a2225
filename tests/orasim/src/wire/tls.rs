//! TLS before the protocol of the database (TCPS).
//!
//! The connection's code reads and writes one socket from two threads. So TLS ends in two threads of its own, and what it wraps goes
//! through a second socket, within this process, to the connection's code.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

/// A client agrees upon keys within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Agrees upon keys with a client, and returns the socket that has what it says.
///
/// # Errors
///
/// Those of the sockets, and what the client does not agree upon.
pub(crate) fn unwrapped(mut client: TcpStream, config: Arc<ServerConfig>) -> io::Result<TcpStream> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(HANDSHAKE))?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut client)?;
    }
    flush(&mut tls, &mut client)?;
    client.set_read_timeout(None)?;
    let (inner, outer) = pair()?;
    let tls = Arc::new(Mutex::new(tls));
    let (mut from, mut to, its_tls) = (client.try_clone()?, outer.try_clone()?, Arc::clone(&tls));
    let mut wire = client.try_clone()?;
    std::thread::Builder::new()
        .name("orasim-tls-in".into())
        .spawn(move || {
            let _ended = receive(&its_tls, &mut from, &mut wire, &mut to);
            ended(&from, &to);
        })?;
    let (mut from, mut to) = (outer, client);
    std::thread::Builder::new()
        .name("orasim-tls-out".into())
        .spawn(move || {
            let _ended = send(&tls, &mut from, &mut to);
            ended(&from, &to);
        })?;
    Ok(inner)
}

/// What is ended on one side is ended on both.
fn ended(one: &TcpStream, other: &TcpStream) {
    for stream in [one, other] {
        // One that is closed already is as good.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Two sockets that are connected to each other.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    loop {
        let (other, from) = listener.accept()?;
        if from == one.local_addr()? {
            one.set_nodelay(true)?;
            other.set_nodelay(true)?;
            return Ok((one, other));
        }
    }
}

fn locked(tls: &Mutex<ServerConnection>) -> MutexGuard<'_, ServerConnection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What TLS has to say, to the client. The lock is held, so that records keep their order.
fn flush(tls: &mut ServerConnection, wire: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(wire)?;
    }
    Ok(())
}

fn receive(
    tls: &Mutex<ServerConnection>,
    from: &mut TcpStream,
    wire: &mut TcpStream,
    to: &mut TcpStream,
) -> io::Result<()> {
    let mut sealed = [0; 16 * 1024];
    let mut plain = Vec::new();
    loop {
        // What was sent together with the end of the handshake is there already.
        {
            let mut tls = locked(tls);
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            plain.resize(state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut plain)?;
            flush(&mut tls, wire)?;
        }
        to.write_all(&plain)?;
        let count = from.read(&mut sealed)?;
        let mut rest = &sealed[..count];
        if rest.is_empty() {
            return Ok(());
        }
        let mut tls = locked(tls);
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

fn send(tls: &Mutex<ServerConnection>, from: &mut TcpStream, wire: &mut TcpStream) -> io::Result<()> {
    let mut plain = [0; 16 * 1024];
    loop {
        let count = match from.read(&mut plain) {
            Ok(0) => {
                let mut tls = locked(tls);
                tls.send_close_notify();
                return flush(&mut tls, wire);
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut tls = locked(tls);
        tls.writer().write_all(&plain[..count])?;
        flush(&mut tls, wire)?;
    }
}
