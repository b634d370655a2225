//! The daemon's own little web server: `/metrics`, `/healthz`, `/readyz` and a status page. It only ever shows.
//!
//! It has a thread of its own and reads nothing but what is in memory, so it answers while every database hangs; that is
//! when it is needed. It trusts no client: each connection serves one request and ends after [`DEADLINE`] whether or not the
//! client has read its answer ([`connection`]), and a request that means another host is refused ([`host`]).
//!
//! `/healthz` says whether the process makes progress and `/readyz` whether it does its work; a database that is down makes
//! the daemon not ready, and never unhealthy: a restart would not bring the database back.

mod connection;
mod host;
mod page;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::http::connection::Bounded;
use crate::metrics::Metrics;
use crate::status::SharedStatus;
use crate::systemd::Heartbeat;

/// A connection ends after this, whatever its client does.
pub const DEADLINE: Duration = Duration::from_secs(10);

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
                    () = serve(listener, sources, deadline, address.ip().is_loopback()) => {}
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

async fn serve(listener: TcpListener, sources: Sources, deadline: Duration, local: bool) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the web server cannot use its socket");
            return;
        }
    };
    let bounded = Bounded::new(listener, deadline);
    // `serve` never ends of itself, whatever a connection does.
    let Ok(()) = axum::serve(bounded, router(sources, local)).await else {
        return;
    };
}

fn router(sources: Sources, local: bool) -> Router {
    Router::new()
        .route("/", get(status_page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(async || answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only shown\n".to_owned()))
        .fallback(async || answer(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()))
        .with_state(sources)
        .layer(axum::middleware::from_fn(move |request, next| {
            only_ours(local, request, next)
        }))
}

/// Refuses a request that names somebody else as its host, or several.
async fn only_ours(local: bool, request: Request, next: Next) -> Response {
    let own_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(ToString::to_string);
    let ours = |host: Option<&str>| host::is_ours(host, &own_name, local);
    if hosts.next().is_none() && ours(host) && ours(authority.as_deref()) {
        return next.run(request).await;
    }
    let why = format!(
        "the Host header names another host: ask for an address, localhost or {own_name}; a proxy in front has to pass one of these on\n"
    );
    answer(StatusCode::MISDIRECTED_REQUEST, TEXT, why)
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
