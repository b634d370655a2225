//! The daemon's web server: `/metrics`, `/healthz`, `/readyz` and a status page. It is read-only.
//!
//! It has a separate thread and reads only memory, so it answers even while every database hangs. It trusts no client: each
//! connection serves one request and ends after [`DEADLINE`], whether or not the client has read the answer ([`connection`]),
//! and a request for another host is refused ([`host`]).
//!
//! `/healthz` says whether the process makes progress, `/readyz` whether it can do its work. A database that is down makes the
//! daemon not ready, but not unhealthy: a restart would not bring the database back.

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

/// A connection ends after this time, whatever its client does.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The sources of the answers.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// For `/metrics`.
    pub(crate) metrics: Arc<Metrics>,
    /// For `/readyz` and the page.
    pub(crate) status: SharedStatus,
    /// For `/healthz`.
    pub(crate) heartbeat: Heartbeat,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
}

/// The running server. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the server on `listen`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) fn start(listen: SocketAddr, sources: Sources) -> io::Result<Server> {
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
                    // A dropped sender stops the server as well.
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

    /// The address of the server, with the actual port if the configured one is 0.
    #[must_use]
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    /// Ends the runtime with all its connections, without waiting for them.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the web server's thread has panicked");
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
    // `serve` does not end, whatever a connection does.
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
        .method_not_allowed_fallback(async || answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "read-only\n".to_owned()))
        .fallback(async || answer(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()))
        .with_state(sources)
        .layer(axum::middleware::from_fn(move |request, next| {
            refuse_other_hosts(local, request, next)
        }))
}

/// Refuses a request whose Host header names another host, or that has several.
async fn refuse_other_hosts(local: bool, request: Request, next: Next) -> Response {
    let own_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(ToString::to_string);
    let ours = |host: Option<&str>| host::is_ours(host, &own_name, local);
    if hosts.next().is_none() && ours(host) && ours(authority.as_deref()) {
        return next.run(request).await;
    }
    let why = format!(
        "the Host header names another host: use an IP address, localhost or {own_name}; a proxy in front must pass on one of these\n"
    );
    answer(StatusCode::MISDIRECTED_REQUEST, TEXT, why)
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The page loads nothing from elsewhere and runs no script.
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
