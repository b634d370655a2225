//! The daemon's web server: `/metrics`, `/healthz`, `/readyz`, a status page and the newest reports. It is read-only.
//!
//! It has a separate thread and reads only memory, so it answers even while every database hangs; reports come from the disk, by
//! threads of their own. It trusts no client: each connection serves one request and ends after [`DEADLINE`], whether or not the
//! client has read the answer ([`connection`]), and a request for another host is refused ([`host`]). With a web configuration it
//! speaks TLS ([`tls`]) and asks for a password ([`login`]); [`access`] is what of that is in force.
//!
//! The page is kept up to date by `/events`, which waits for a change and answers with one server-sent event: the new content. The
//! browser then asks again. So no connection lives longer than any other, and a slow reader delays nobody.
//!
//! `/healthz` says whether the process makes progress, `/readyz` whether it can do its work. A database that is down makes the
//! daemon not ready, but not unhealthy: a restart would not bring the database back.

pub(crate) mod access;
mod connection;
mod host;
mod login;
mod page;
#[cfg(test)]
mod tests;
mod tls;

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path as UrlPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::sync::oneshot;
use tower_http::compression::CompressionLayer;

use crate::clock::Clock;
use crate::html::shown;
use crate::http::access::Access;
use crate::http::connection::Bounded;
use crate::http::login::LoginClaim;
use crate::http::page::Moment;
use crate::metrics::Metrics;
use crate::status::{DaemonStatus, SharedStatus};
use crate::systemd::Heartbeat;

/// A connection ends after this time, whatever its client does.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How often `/events` looks whether something has changed. It answers in any case after so many looks, five seconds, because
/// ages and countdowns change by themselves.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: u32 = 20;

/// The pause between two events, by which the browser goes.
const PAUSE: Duration = Duration::from_secs(1);

/// How many threads read reports. A disk that hangs holds up these and nothing else.
const READERS: usize = 2;

/// No report is larger.
const LARGEST_REPORT: u64 = 64 << 20;

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
    /// The folder of the newest reports.
    pub(crate) reports: PathBuf,
    /// What protects all of it.
    pub(crate) access: Arc<Access>,
}

/// Who has connected.
#[derive(Clone, Copy, Debug)]
struct HttpPeer {
    address: SocketAddr,
    /// By TLS.
    secure: bool,
}

impl Connected<IncomingStream<'_, Bounded>> for HttpPeer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> HttpPeer {
        HttpPeer {
            address: *stream.remote_addr(),
            secure: stream.io().secure,
        }
    }
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(READERS)
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(listener, sources, deadline, address.ip().is_loopback()) => {}
                    // A dropped sender stops the server as well.
                    _ = stopped => {}
                }
            });
            // A reader may hang on a disk.
            runtime.shutdown_background();
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
    let bounded = Bounded::new(listener, deadline, Arc::clone(&sources.access));
    let service = router(sources, local).into_make_service_with_connect_info::<HttpPeer>();
    // `serve` does not end, whatever a connection does.
    let Ok(()) = axum::serve(bounded, service).await else {
        return;
    };
}

fn router(sources: Sources, local: bool) -> Router {
    let (access, clock) = (Arc::clone(&sources.access), Arc::clone(&sources.clock));
    Router::new()
        .route("/", get(status_page))
        .route("/events", get(events))
        .route("/live.js", get(live_script))
        .route("/reports/{database}", get(report))
        // Alone compressed: a page behind a login that repeats what others wrote must not show its secrets by its length.
        .route("/metrics", get(metrics).layer(CompressionLayer::new()))
        .route(HEALTH, get(healthz))
        .route(READINESS, get(readyz))
        .method_not_allowed_fallback(async || answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "read-only\n".to_owned()))
        .fallback(async || answer(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()))
        .with_state(sources)
        .layer(axum::middleware::from_fn(
            move |ConnectInfo(peer): ConnectInfo<HttpPeer>, request, next| {
                guarded((Arc::clone(&access), Arc::clone(&clock)), (peer, local), request, next)
            },
        ))
}

/// What an orchestrator asks, which has no password.
const HEALTH: &str = "/healthz";
const READINESS: &str = "/readyz";

/// Asks who is there before anything else is looked at, and adds the headers that are configured.
async fn guarded(
    (access, clock): (Arc<Access>, Arc<dyn Clock>),
    (peer, local): (HttpPeer, bool),
    request: Request,
    next: Next,
) -> Response {
    let web = access.current();
    let mut response = match other_host(peer, local, &request) {
        Some(refusal) => refusal,
        None if web.users.is_empty() => next.run(request).await,
        None => match LoginClaim::of(&request) {
            LoginClaim::Nobody if [HEALTH, READINESS].contains(&request.uri().path()) => bare(next.run(request).await),
            LoginClaim::Nobody => log_in("log in with a name and a password\n"),
            LoginClaim::Unreadable => log_in("log in by basic authentication\n"),
            LoginClaim::User(claimed) => match access.logins.accepts(&web.users, claimed).await {
                Some(true) => next.run(request).await,
                Some(false) => {
                    access.logins.refused(peer.address, clock.now());
                    log_in("the name or the password is wrong\n")
                }
                None => {
                    let why = "too many log in at this moment: try again\n".to_owned();
                    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why)
                }
            },
        },
    };
    for (name, value) in &web.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

/// The answer to who has not logged in.
fn log_in(why: &'static str) -> Response {
    let mut response = answer(StatusCode::UNAUTHORIZED, TEXT, why.to_owned());
    let basic = HeaderValue::from_static("Basic realm=\"orareaper\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    response
}

/// The same without its words, which name databases and say what is wrong with them.
fn bare(response: Response) -> Response {
    let status = response.status();
    let word = if status.is_success() {
        "ok\n"
    } else {
        "not ok: log in to see why\n"
    };
    answer(status, TEXT, word.to_owned())
}

/// Refuses a request whose Host header names another host, or that has several. With TLS it may name any: a browser has
/// compared the name with the certificate.
fn other_host(peer: HttpPeer, local: bool, request: &Request) -> Option<Response> {
    let own_name = own_name();
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(ToString::to_string);
    let ours = |host: Option<&str>| peer.secure || host::is_ours(host, &own_name, local);
    if hosts.next().is_none() && ours(host) && ours(authority.as_deref()) {
        return None;
    }
    let why = format!(
        "the Host header names another host: use an IP address, localhost or {own_name}; a proxy in front must pass on one of these\n"
    );
    Some(answer(StatusCode::MISDIRECTED_REQUEST, TEXT, why))
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The page loads nothing from elsewhere, and runs no script but the server's own file.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

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

const HTML: &str = "text/html; charset=utf-8";

fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Renders a part of the page from a copy of the status.
fn rendered<T>(sources: &Sources, render: impl FnOnce(&DaemonStatus, Moment<'_>) -> T) -> T {
    let status = sources.status.read().clone();
    let moment = Moment {
        host: &own_name(),
        at: sources.clock.utc(),
        now: sources.clock.now(),
        zone: status.timezone,
    };
    render(&status, moment)
}

async fn status_page(State(sources): State<Sources>) -> Response {
    answer(StatusCode::OK, HTML, rendered(&sources, page::render))
}

async fn live_script() -> Response {
    let script = include_str!("live.js").to_owned();
    answer(StatusCode::OK, "text/javascript; charset=utf-8", script)
}

/// One event with the content of the page, as soon as it differs from what the browser has.
async fn events(State(sources): State<Sources>, request: Request) -> Response {
    let known = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let known: Option<u64> = known.and_then(|id| id.parse().ok());
    for _ in 0..LOOKS {
        if known != Some(sources.status.version()) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let version = sources.status.version();
    let content = rendered(&sources, |status, moment| shown(&page::content(status, moment)));
    let mut event = format!("retry: {}\nid: {version}\nevent: content\n", PAUSE.as_millis());
    for line in content.split('\n') {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    answer(StatusCode::OK, "text/event-stream; charset=utf-8", event)
}

/// The newest report of a database that is in force.
async fn report(State(sources): State<Sources>, UrlPath(database): UrlPath<String>) -> Response {
    let is_known = sources.status.read().databases.contains_key(&*database);
    if !is_known {
        return answer(
            StatusCode::NOT_FOUND,
            TEXT,
            "no database of this name is in force\n".to_owned(),
        );
    }
    let path = sources.reports.join(format!("{database}.html"));
    match tokio::task::spawn_blocking(move || read_report(&path)).await {
        Ok(Ok(html)) => answer(StatusCode::OK, HTML, html),
        Ok(Err(error)) => {
            let why = format!(
                "there is no report on {database} in the state folder ({error}): one is written when a policy decides something, at most \
                 once a minute\n"
            );
            answer(StatusCode::NOT_FOUND, TEXT, why)
        }
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// Reads an ordinary file, and waits for no pipe in its place.
fn read_report(path: &Path) -> io::Result<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut html = String::new();
    file.take(LARGEST_REPORT).read_to_string(&mut html)?;
    Ok(html)
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
