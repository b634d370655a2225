//! Connections that trust no client: each ends after its deadline, and there is always room for the next one.
//!
//! Never more than [`CONNECTIONS`] are open. Where one more comes, the oldest that has not begun to be answered goes: a client
//! that connects and says nothing, however often, takes the place of its like and never of a scrape, which sends its request
//! at once. If all are being answered, the oldest of them goes; it has had the longest time.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// Connections at a time.
pub(super) const CONNECTIONS: usize = 64;

/// Accepts connections, each for a limited time.
pub(super) struct Bounded {
    listener: TcpListener,
    deadline: Duration,
    /// Oldest first.
    open: VecDeque<Weak<Place>>,
}

/// What listener and connection know of each other.
#[derive(Debug, Default)]
struct Place(Mutex<PlaceState>);

#[derive(Debug, Default)]
struct PlaceState {
    /// Its place was given to another.
    given_away: bool,
    /// The server has begun to write.
    answered: bool,
    /// Who waits for its client.
    waker: Option<Waker>,
}

impl Place {
    fn state(&self) -> MutexGuard<'_, PlaceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounded {
    /// On a listener; each connection has until `deadline`.
    pub(super) fn new(listener: TcpListener, deadline: Duration) -> Bounded {
        Bounded {
            listener,
            deadline,
            open: VecDeque::new(),
        }
    }

    /// A place for one more.
    fn place(&mut self) -> Arc<Place> {
        self.open.retain(|place| place.strong_count() > 0);
        while self.open.len() >= CONNECTIONS {
            let is_idle = |place: &Weak<Place>| place.upgrade().is_some_and(|place| !place.state().answered);
            let goes = self.open.iter().position(is_idle).unwrap_or(0);
            if let Some(place) = self.open.remove(goes).and_then(|place| place.upgrade()) {
                let mut state = place.state();
                state.given_away = true;
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            }
        }
        let place = Arc::new(Place::default());
        self.open.push_back(Arc::downgrade(&place));
        place
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let connection = Connection {
                        stream,
                        deadline: Box::pin(tokio::time::sleep(self.deadline)),
                        place: self.place(),
                    };
                    return (connection, address);
                }
                // The client went away, or there are no file descriptors: neither gets better at once.
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

/// A connection that fails every reading and writing after its deadline, or when its place was given away.
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    place: Arc<Place>,
}

impl Connection {
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

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
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
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
