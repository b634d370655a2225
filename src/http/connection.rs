//! Connections that trust no client: each ends after its deadline, and a new connection is always accepted.
//!
//! At most [`CONNECTIONS`] are open. For one more, the oldest connection whose answer has not begun is closed. So a client that
//! connects and sends nothing, however often, displaces only similar clients and never a scrape, which sends its request at
//! once. If all connections are being answered, the oldest is closed; it has had the longest time. A connection whose TLS is still
//! being agreed upon has no answer yet.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::Sleep;

use crate::http::access::Access;
use crate::http::login::WAITING;
use crate::http::tls::Stream;

/// The limit of open connections.
pub(super) const CONNECTIONS: usize = 64;

const _: () = assert!(CONNECTIONS <= WAITING, "each connection may have a password to compare");

/// Accepts connections, each for a limited time.
pub(super) struct Bounded {
    listener: TcpListener,
    deadline: Duration,
    /// Whether a new connection begins with TLS.
    access: Arc<Access>,
    /// Oldest first.
    open: VecDeque<Weak<Slot>>,
}

/// The state that the listener and a connection share.
#[derive(Debug, Default)]
struct Slot(Mutex<SlotState>);

#[derive(Debug, Default)]
struct SlotState {
    /// The connection must close in favour of another.
    given_away: bool,
    /// The server has begun to write.
    answered: bool,
    /// The task that waits for the client.
    waker: Option<Waker>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounded {
    /// Limits the connections of `listener`, each to the time `deadline`.
    pub(super) fn new(listener: TcpListener, deadline: Duration, access: Arc<Access>) -> Bounded {
        Bounded {
            listener,
            deadline,
            access,
            open: VecDeque::new(),
        }
    }

    /// Makes a place for a new connection.
    fn place(&mut self) -> Arc<Slot> {
        self.open.retain(|place| place.strong_count() > 0);
        while self.open.len() >= CONNECTIONS {
            let is_idle = |place: &Weak<Slot>| place.upgrade().is_some_and(|place| !place.state().answered);
            let closed = self.open.iter().position(is_idle).unwrap_or(0);
            if let Some(place) = self.open.remove(closed).and_then(|place| place.upgrade()) {
                let mut state = place.state();
                state.given_away = true;
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            }
        }
        let place = Arc::new(Slot::default());
        self.open.push_back(Arc::downgrade(&place));
        place
    }
}

impl axum::serve::Listener for Bounded {
    type Io = HttpConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (HttpConnection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let tls = self.access.current().tls.clone();
                    let connection = HttpConnection {
                        secure: tls.is_some(),
                        stream: Stream::new(stream, tls),
                        deadline: Box::pin(tokio::time::sleep(self.deadline)),
                        place: self.place(),
                    };
                    return (connection, address);
                }
                // The client is gone, or no file descriptor is left: retry a little later.
                Err(error) => {
                    tracing::debug!(error = error.to_string(), "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails every read and write after its deadline, or when its place was given away.
pub(super) struct HttpConnection {
    /// Whether it is one with TLS.
    pub(super) secure: bool,
    stream: Stream,
    deadline: Pin<Box<Sleep>>,
    place: Arc<Slot>,
}

impl HttpConnection {
    fn may_go_on(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.place.state();
        if state.given_away {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        state.waker = Some(context.waker().clone());
        drop(state);
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for HttpConnection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for HttpConnection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        this.place.state().answered = true;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The end of TLS is a message too, which a client may be slow to take.
        this.may_go_on(context)?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
