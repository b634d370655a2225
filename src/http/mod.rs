//! The daemon's own little web server: `/metrics`, `/healthz`, `/readyz` and a status page. It only ever shows.
//!
//! It has a thread of its own and reads nothing but what is in memory, so it answers while every database hangs; that is
//! when it is needed. It trusts no client: each connection serves one request, ends after [`DEADLINE`] whether or not the
//! client has read its answer, and there are never more than [`CONNECTIONS`] of them.
//!
//! `/healthz` says whether the process makes progress and `/readyz` whether it does its work; a database that is down makes
//! the daemon not ready, and never unhealthy: a restart would not bring the database back.

mod page;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::notify::Heartbeat;
use crate::status::SharedStatus;

/// A connection ends after this, whatever its client does.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Connections at a time; further ones wait.
pub const CONNECTIONS: usize = 64;

/// Where the answers come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `/readyz` and the page.
    pub status: SharedStatus,
    /// For `/healthz`.
    pub heartbeat: Heartbeat,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to answer on `listen`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(listen: SocketAddr, sources: Sources) -> io::Result<Server> {
        Server::with_deadline(listen, sources, DEADLINE)
    }

    fn with_deadline(listen: SocketAddr, sources: Sources, deadline: Duration) -> io::Result<Server> {
        let said = |error: io::Error| io::Error::new(error.kind(), format!("listen on {listen}: {error}"));
        let listener = TcpListener::bind(listen).map_err(said)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(listener, sources, deadline) => {}
                    // A dropped sender is a stop as well.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(serve)?;
        Ok(Server {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it answers: the port that was given for port 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    /// The runtime ends with the connections in it: nothing of them is worth waiting for.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the web server's thread had panicked");
        }
    }
}

async fn serve(listener: TcpListener, sources: Sources, deadline: Duration) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the web server cannot use its socket");
            return;
        }
    };
    let bounded = Bounded {
        listener,
        permits: Arc::new(Semaphore::new(CONNECTIONS)),
        deadline,
    };
    // `serve` never ends of itself, whatever a connection does.
    let Ok(()) = axum::serve(bounded, router(sources)).await else {
        return;
    };
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/", get(status_page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(async || answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only shown\n".to_owned()))
        .fallback(async || answer(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()))
        .with_state(sources)
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing on the page comes from elsewhere, and nothing on it runs.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn status_page(State(sources): State<Sources>) -> Response {
    let status = sources.status.read().clone();
    let page = page::render(&status, sources.clock.utc(), sources.clock.now());
    answer(StatusCode::OK, "text/html; charset=utf-8", page)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    answer(StatusCode::OK, prometheus::TEXT_FORMAT, sources.metrics.text())
}

async fn healthz(State(sources): State<Sources>) -> Response {
    let stuck = sources.heartbeat.stuck();
    if stuck.is_empty() {
        answer(StatusCode::OK, TEXT, "ok\n".to_owned())
    } else {
        let body: String = stuck.iter().map(|name| format!("{name}: no progress\n")).collect();
        answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
    }
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let now = sources.clock.now();
    let troubles = sources.status.read().troubles(now);
    if troubles.is_empty() {
        return answer(StatusCode::OK, TEXT, "ok\n".to_owned());
    }
    let line = |(database, trouble): &(Arc<str>, String)| {
        if database.is_empty() {
            format!("{trouble}\n")
        } else {
            format!("{database}: {trouble}\n")
        }
    };
    answer(
        StatusCode::SERVICE_UNAVAILABLE,
        TEXT,
        troubles.iter().map(line).collect(),
    )
}

/// Accepts no more connections than there are permits, each for a limited time.
struct Bounded {
    listener: tokio::net::TcpListener,
    permits: Arc<Semaphore>,
    deadline: Duration,
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let connection = Connection {
                        stream,
                        deadline: Box::pin(tokio::time::sleep(self.deadline)),
                        _permit: permit,
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

/// A connection that fails every reading and writing after its deadline.
struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.in_time(context)?;
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.in_time(context)?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.in_time(context)?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
