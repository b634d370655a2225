//! A web server that keeps what it is sent, and answers as a test says.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::site::wait_for;

/// The file with the self-made authority that has signed this server's certificate, which is for `localhost` and 127.0.0.1.
pub(super) const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notify/ca.pem");

/// How a request is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// By a status, with these lines of the head.
    Status(u16, &'static str),
    /// By status 200 after a second.
    Late,
    /// Not at all: the connection stays open.
    Silence,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) path: String,
    pub(super) head: BTreeMap<String, String>,
    pub(super) body: Value,
    pub(super) at: Instant,
}

type Replies = Box<dyn Fn(usize) -> Reply + Send + Sync>;

/// The server.
pub(super) struct Ear {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    replies: Arc<Mutex<Replies>>,
    scheme: &'static str,
}

impl Ear {
    /// One that takes everything.
    pub(super) fn new() -> Ear {
        Ear::that(|_| Reply::Status(200, ""))
    }

    /// One that answers the request with this number so.
    pub(super) fn that(replies: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Ear {
        Ear::start(Box::new(replies), None)
    }

    /// One with TLS.
    pub(super) fn with_tls() -> Ear {
        let folder = Path::new(CA).parent().expect("a folder");
        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions that it has")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they belong together");
        Ear::start(Box::new(|_| Reply::Status(200, "")), Some(Arc::new(config)))
    }

    fn start(replies: Replies, tls: Option<Arc<ServerConfig>>) -> Ear {
        // On every address of the host, so that it can be reached by one that its certificate does not have.
        let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
        let ear = Ear {
            port: listener.local_addr().expect("an address").port(),
            heard: Arc::default(),
            replies: Arc::new(Mutex::new(replies)),
            scheme: if tls.is_some() { "https" } else { "http" },
        };
        let (heard, replies) = (Arc::clone(&ear.heard), Arc::clone(&ear.replies));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, replies, tls) = (Arc::clone(&heard), Arc::clone(&replies), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &heard, &replies),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("a configuration");
                        serve(StreamOwned::new(connection, stream), &heard, &replies);
                    }
                });
            }
        });
        ear
    }

    /// The address of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Answers differently from now on.
    pub(super) fn answers(&self, replies: impl Fn(usize) -> Reply + Send + Sync + 'static) {
        *self.replies.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(replies);
    }

    /// Everything so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first body that is so.
    pub(super) fn hears(&self, what: &str, so: impl Fn(&Heard) -> bool) -> Heard {
        wait_for(&format!("{what}; heard: {:#?}", self.heard()), || {
            self.heard().into_iter().find(&so)
        })
    }

    /// Waits for the first of this event.
    pub(super) fn hears_event(&self, event: &str) -> Heard {
        self.hears(event, |heard| heard.body["event"] == event)
    }
}

fn serve<S: Read + Write>(stream: S, heard: &Mutex<Vec<Heard>>, replies: &Mutex<Replies>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream) else { return };
    let number = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(request);
        heard.len() - 1
    };
    let reply = (replies.lock().unwrap_or_else(PoisonError::into_inner))(number);
    let (status, lines) = match reply {
        Reply::Status(status, lines) => (status, lines),
        Reply::Late => {
            std::thread::sleep(Duration::from_secs(1));
            (200, "")
        }
        Reply::Silence => {
            // Until the client has had enough.
            let _ = stream.read(&mut [0]);
            return;
        }
    };
    let answer = format!("HTTP/1.1 {status} Told\r\n{lines}Content-Length: 2\r\nConnection: close\r\n\r\nok");
    // The client may have given up.
    let _ = stream.get_mut().write_all(answer.as_bytes());
    let _ = stream.get_mut().flush();
}

#[allow(clippy::disallowed_methods, reason = "when a request came is measured")]
fn read(stream: &mut impl std::io::BufRead) -> Option<Heard> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut head = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        head.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = head.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Heard {
        path,
        head,
        body: serde_json::from_slice(&body).ok()?,
        at: Instant::now(),
    })
}
