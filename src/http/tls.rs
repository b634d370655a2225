//! The stream of a connection: as it comes, or through TLS.
//!
//! The handshake is a part of the connection's first read, so that it delays no other connection, and ends by the connection's own
//! deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// The first byte of TLS: a record of the handshake.
const HANDSHAKE: u8 = 22;

/// What a client hears that does not speak TLS.
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
      this port speaks HTTPS: write https:// instead of http://\n";

/// Bytes from and to a client.
pub(super) enum Stream {
    /// As they are.
    Plain(TcpStream),
    /// With TLS, before the client's first byte.
    Expected(TcpStream, Arc<ServerConfig>),
    /// With TLS, while the keys are agreed upon.
    Handshake(Box<Accept<TcpStream>>),
    /// With TLS.
    Secure(Box<TlsStream<TcpStream>>),
    /// No longer.
    Ended,
}

impl Stream {
    /// A stream for a new connection.
    pub(super) fn new(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Stream {
        match tls {
            Some(tls) => Stream::Expected(stream, tls),
            None => Stream::Plain(stream),
        }
    }

    /// Goes on with the handshake, if there is one.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self {
                Stream::Plain(_) | Stream::Secure(_) => return Poll::Ready(Ok(())),
                Stream::Ended => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                Stream::Expected(stream, _) => {
                    let mut first = [0; 1];
                    let mut first = ReadBuf::new(&mut first);
                    ready!(stream.poll_peek(context, &mut first))?;
                    let is_tls = first.filled() == [HANDSHAKE];
                    let Stream::Expected(stream, tls) = std::mem::replace(self, Stream::Ended) else {
                        continue;
                    };
                    if !is_tls {
                        // It fits into the empty buffer of the socket, or the client hears nothing.
                        let _ = stream.try_write(NOT_TLS);
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    }
                    *self = Stream::Handshake(Box::new(TlsAcceptor::from(tls).accept(stream)));
                }
                Stream::Handshake(accept) => match ready!(Pin::new(&mut **accept).poll(context)) {
                    Ok(stream) => *self = Stream::Secure(Box::new(stream)),
                    Err(error) => {
                        tracing::debug!(error = error.to_string(), "a client did not agree upon TLS");
                        *self = Stream::Ended;
                        return Poll::Ready(Err(error));
                    }
                },
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_open(context))?;
        match this {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Expected(..) | Stream::Handshake(_) | Stream::Ended => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_open(context))?;
        match this {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Expected(..) | Stream::Handshake(_) | Stream::Ended => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Secure(stream) => Pin::new(stream).poll_flush(context),
            // Nothing was written yet.
            Stream::Expected(..) | Stream::Handshake(_) | Stream::Ended => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Secure(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Expected(..) | Stream::Handshake(_) | Stream::Ended => Poll::Ready(Ok(())),
        }
    }
}
