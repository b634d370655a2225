//! The pages with TLS and a log-in, by the file that Prometheus' exporters have for it: asked by clients that know nothing of the daemon's
//! code, and by curl.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::site::{Daemon, Db, Site, certificate, entry, fetched, not_run, thin, told, until, wait_for};

/// Any policy: pages are what is looked at.
const POLICY: &str = "policies:\n  - {name: idle, when: INACTIVE longer than 4h, action: kill}\n";

/// Distinct enough to be looked for in everything that is written.
const PAGE_PASSWORD: &str = "Pag3-s3cret-v8";

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

fn users(cost: u32) -> String {
    let hash = bcrypt::hash(PAGE_PASSWORD, cost).expect("a hash");
    format!("basic_auth_users:\n  prometheus: {hash}\n")
}

/// A site whose pages are protected by a file.
struct Protected {
    site: Site,
    db: Db,
}

impl Protected {
    fn new(web: &str) -> Protected {
        let (site, db) = (Site::new(), Db::builtin("tutorial"));
        site.policies(POLICY);
        let protected = Protected { site, db };
        for file in ["server.pem", "server.key", "authority.pem"] {
            protected.replace(file, file);
        }
        protected.write(web);
        protected.configure("web_config: web/web.yml\n");
        protected
    }

    fn configure(&self, more: &str) {
        let database = entry("orcl", &thin(), &self.db.connect_string(), false);
        self.site.configure_with(&[database], more);
    }

    /// Puts one of the certificates under a name beside the file.
    fn replace(&self, name: &str, by: &str) {
        let path = self
            .site
            .write(&format!("web/{name}"), fs::read(certificate(by)).expect("it is there"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its owner may");
    }

    /// The file.
    fn write(&self, text: &str) {
        let path = self.site.write("web/web.yml", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its owner may");
    }

    fn run(&self) -> Daemon {
        self.site.run(&thin())
    }
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Somebody who asks with TLS.
struct PageClient {
    config: Arc<ClientConfig>,
    user: Option<(&'static str, &'static str)>,
}

impl PageClient {
    /// One who trusts this authority.
    fn who_trusts(authority: &str, own: Option<&str>) -> PageClient {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(certificate(authority)).expect("a certificate"))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain =
                    vec![CertificateDer::from_pem_file(certificate(&format!("{name}.pem"))).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("they match")
            }
        };
        PageClient {
            config: Arc::new(config),
            user: None,
        }
    }

    fn new() -> PageClient {
        PageClient::who_trusts("authority.pem", None)
    }

    fn with(self, user: &'static str, password: &'static str) -> PageClient {
        PageClient {
            user: Some((user, password)),
            ..self
        }
    }

    fn right() -> PageClient {
        PageClient::new().with("prometheus", PAGE_PASSWORD)
    }

    /// Sends a request; the connection to read the answer from.
    fn send(
        &self,
        address: SocketAddr,
        path: &str,
        host: &str,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::clone(&self.config), name).expect("a client");
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(crate::site::PATIENCE))?;
        let mut stream = StreamOwned::new(connection, socket);
        let claim = self.user.map(|(user, password)| {
            let claim =
                <base64ct::Base64 as base64ct::Encoding>::encode_string(format!("{user}:{password}").as_bytes());
            format!("Authorization: Basic {claim}\r\n")
        });
        let claim = claim.unwrap_or_default();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{claim}\r\n").as_bytes())?;
        Ok(stream)
    }

    fn try_get(&self, address: SocketAddr, path: &str) -> Result<Answer, std::io::Error> {
        let mut stream = self.send(address, path, "localhost")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(parse(&answer))
    }

    fn get(&self, daemon: &Daemon, path: &str) -> Answer {
        self.try_get(daemon.address(), path)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The certificate that the daemon shows.
    fn shown(&self, daemon: &Daemon) -> Vec<u8> {
        let stream = self
            .send(daemon.address(), "/healthz", "localhost")
            .expect("agreed upon");
        let certificates = stream.conn.peer_certificates().expect("the server has one");
        certificates[0].to_vec()
    }

    fn metric(&self, daemon: &Daemon, name: &str) -> Option<String> {
        let text = self.get(daemon, "/metrics").body;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
        line.rsplit(' ').next().map(str::to_owned)
    }
}

#[test]
fn the_pages_speak_tls_and_ask_who_is_there() {
    let protected = Protected::new(&format!("{TLS}{}", users(4)));
    let daemon = protected.run();
    for path in ["/", "/metrics", "/events", "/live.js", "/reports/orcl", "/nowhere"] {
        let answer = PageClient::new().get(&daemon, path);
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert!(
            answer.head.contains("www-authenticate: basic realm=\"orareaper\""),
            "{answer:?}"
        );
        assert!(
            !answer.body.contains("orareaper_") && !answer.body.contains("orcl"),
            "{answer:?}"
        );
    }
    let wrong = [
        ("prometheus", "x"),
        ("prometheus", ""),
        ("nobody", PAGE_PASSWORD),
        ("", ""),
    ];
    for (user, password) in wrong {
        let answer = PageClient::new().with(user, password).get(&daemon, "/metrics");
        assert_eq!(answer.status, 401, "{user}: {answer:?}");
    }
    let right = PageClient::right();
    assert!(right.get(&daemon, "/metrics").body.contains("orareaper_build_info"));
    assert!(right.get(&daemon, "/").body.contains("orcl"));
    assert_eq!(right.get(&daemon, "/nowhere").status, 404);
    let event = right.get(&daemon, "/events");
    assert!(event.head.contains("content-type: text/event-stream"), "{event:?}");
    assert!(event.body.contains("\nevent: content\ndata: "), "{event:?}");
    // Whoever has compared the certificate has not been led here by another name.
    let mut stream = right
        .send(daemon.address(), "/metrics", "pages.example.com")
        .expect("agreed upon");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert_eq!(parse(&answer).status, 200, "{answer}");
    daemon.says("log-ins to the pages were refused, the last one from this address");
    let log = daemon.log_text();
    assert!(!log.contains(PAGE_PASSWORD) && !log.contains("$2b$"), "{log}");
}

#[test]
fn what_an_orchestrator_asks_needs_no_password_and_says_nothing_else() {
    let protected = Protected::new(&format!("{TLS}{}", users(4)));
    let daemon = protected.run();
    let right = PageClient::right();
    until("the database to be read", || {
        right.get(&daemon, "/readyz").status == 200
    });
    for path in ["/healthz", "/readyz"] {
        let answer = PageClient::new().get(&daemon, path);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{path}");
        let guessed = PageClient::new().with("prometheus", "x").get(&daemon, path);
        assert_eq!(guessed.status, 401, "{path}: who says a name must be right");
    }
    protected.db.world.arm(orasim::Fault {
        statement: None,
        user: Some("REAPER".to_owned()),
        call: 1,
        times: 10_000,
        what: orasim::Strike::Cut,
    });
    until("the database to be down", || {
        right.get(&daemon, "/readyz").status == 503
    });
    let told = right.get(&daemon, "/readyz").body;
    assert!(told.contains("orcl: "), "{told}");
    let answer = PageClient::new().get(&daemon, "/readyz");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "not ok: log in to see why\n")
    );
}

#[test]
fn who_is_no_partner_in_tls_is_not_served() {
    let protected = Protected::new(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.pem\n"
    ));
    let daemon = protected.run();
    let address = daemon.address();
    let known = PageClient::who_trusts("authority.pem", Some("client"));
    assert_eq!(known.get(&daemon, "/metrics").status, 200);
    // Without a certificate; with one that was not made for a client; trusting somebody else.
    assert!(PageClient::new().try_get(address, "/metrics").is_err());
    assert!(
        PageClient::who_trusts("authority.pem", Some("server"))
            .try_get(address, "/metrics")
            .is_err()
    );
    assert!(
        PageClient::who_trusts("stranger.pem", Some("client"))
            .try_get(address, "/metrics")
            .is_err()
    );
    // Without TLS.
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("is sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(
        answer.starts_with("HTTP/1.0 400 ") && answer.contains("https://"),
        "{answer}"
    );
    assert!(!answer.contains("orareaper_"), "{answer}");
}

#[test]
fn new_certificates_and_users_are_in_force_without_a_word_and_broken_ones_never() {
    let protected = Protected::new(&format!("{TLS}{}", users(4)));
    let daemon = protected.run();
    let right = PageClient::right();
    let metric = "orareaper_web_config_reload_success";
    assert_eq!(right.metric(&daemon, metric).as_deref(), Some("1"));
    let renewed = CertificateDer::from_pem_file(certificate("renewed.pem")).expect("a certificate");
    assert_ne!(right.shown(&daemon), renewed.to_vec());
    protected.replace("server.pem", "renewed.pem");
    protected.replace("server.key", "renewed.key");
    until("the renewed certificate to be shown", || {
        right.shown(&daemon) == renewed.to_vec()
    });

    // A certificate without its key, a user without a hash: what was in force stays, and everybody hears of it.
    let broken = [
        (TLS.replace("server.key", "none.key"), "none.key"),
        (format!("{TLS}basic_auth_users: {{maria: tiger}}\n"), "the user `maria`"),
        (format!("{TLS}rate_limit: {{burst: 1}}\n"), "`rate_limit`"),
    ];
    for (text, why) in broken {
        protected.write(&text);
        until(&format!("{metric} to be 0"), || {
            right.metric(&daemon, metric).as_deref() == Some("0")
        });
        until("the page to say why", || right.get(&daemon, "/").body.contains(why));
        assert_eq!(PageClient::new().get(&daemon, "/metrics").status, 401);
        protected.write(&format!("{TLS}{}", users(4)));
        until(&format!("{metric} to be 1"), || {
            right.metric(&daemon, metric).as_deref() == Some("1")
        });
    }
    assert!(!daemon.log_text().contains("tiger"));
    let line = daemon.says("the web configuration cannot be used; what protected the pages stays in force");
    assert_eq!(line["level"], "ERROR", "{line}");

    // A user who is gone is not remembered, and another one's password is at once.
    let hash = bcrypt::hash("another", 4).expect("a hash");
    protected.write(&format!("{TLS}basic_auth_users:\n  maria: {hash}\n"));
    until("the old user to be refused", || {
        right.get(&daemon, "/metrics").status == 401
    });
    assert_eq!(
        PageClient::new()
            .with("maria", "another")
            .get(&daemon, "/metrics")
            .status,
        200
    );
}

#[test]
fn a_reload_takes_another_file_and_refuses_a_broken_one_with_everything_else() {
    let protected = Protected::new(&format!("{TLS}{}", users(4)));
    let daemon = protected.run();
    let right = PageClient::right();
    protected
        .site
        .write("web/broken.yml", "basic_auth_users: {maria: tiger}\n");
    protected.configure("web_config: web/broken.yml\n");
    daemon.signal("HUP");
    until("the reload to fail", || {
        right.metric(&daemon, "orareaper_reload_success").as_deref() == Some("0")
    });
    let line = daemon.says("reload failed; what was in force stays in force");
    assert!(
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains("the user `maria`")),
        "{line}"
    );
    // Without any file the pages are as they were before there was one.
    protected.configure("");
    daemon.signal("HUP");
    wait_for("the pages without TLS", || {
        let mut stream = TcpStream::connect(daemon.address()).ok()?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("200 OK").then_some(())
    });
    assert_eq!(daemon.metric("orareaper_reload_success"), Some(1.0));
}

#[test]
fn clients_that_begin_tls_and_stop_never_displace_a_scrape() {
    let protected = Protected::new(&format!("{TLS}{}", users(4)));
    let daemon = protected.run();
    let connect = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
        stream.write_all(bytes).expect("is sent");
        stream
    };
    // Nothing, the first byte of a handshake, and the head of one that never comes.
    let parts: [&[u8]; 3] = [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"];
    let silent: Vec<TcpStream> = (0..200).map(|number| connect(parts[number % 3])).collect();
    assert_eq!(PageClient::right().get(&daemon, "/metrics").status, 200);
    drop(silent);
}

#[test]
fn strangers_who_guess_keep_no_scrape_waiting() {
    // A guess takes a quarter of a second here, forty of them as long as a connection may last.
    let protected = Protected::new(&format!("{TLS}{}", users(12)));
    let daemon = protected.run();
    assert_eq!(
        PageClient::right().get(&daemon, "/metrics").status,
        200,
        "it is remembered from now on"
    );
    let stranger = PageClient::new().with("prometheus", "guess");
    let mut guesses: Vec<_> = (0..40)
        .map(|_| {
            stranger
                .send(daemon.address(), "/metrics", "localhost")
                .expect("agreed upon")
        })
        .collect();
    assert_eq!(PageClient::right().get(&daemon, "/metrics").status, 200);
    let last = guesses.last_mut().expect("there are some");
    last.sock.set_nonblocking(true).expect("is set");
    let waits = last.read(&mut [0; 1]).expect_err("it still waits for its turn");
    assert_eq!(
        waits.kind(),
        ErrorKind::WouldBlock,
        "the scrape was not behind it: {waits}"
    );
}

impl Protected {
    /// What `check` says of pages on all addresses, protected by this.
    fn everywhere(&self, more: &str) -> (i32, String) {
        let text = fs::read_to_string(self.site.path("orareaper.yaml")).expect("is there");
        let lines = text.lines().filter(|line| !line.starts_with("web_config"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = text.replace("listen: 127.0.0.1:0", "listen: 0.0.0.0:0");
        self.site.write("everywhere.yaml", format!("{text}\n{more}"));
        self.of_everywhere("check")
    }

    /// What another command says of the same.
    fn of_everywhere(&self, command: &str) -> (i32, String) {
        let mut program = self.site.command(&thin());
        told(program.args(["--config", "everywhere.yaml", command]))
    }
}

#[test]
fn pages_that_others_can_reach_need_protection_or_a_word() {
    let protected = Protected::new(TLS);
    let everywhere = |more: &str| protected.everywhere(more);
    let doctor = || protected.of_everywhere("doctor").1;
    let (status, said) = everywhere("");
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("error[unprotected-address]: others can reach 0.0.0.0:0"),
        "{said}"
    );
    assert!(
        said.contains("web_config: web-config.yml") && said.contains("listen_unprotected: true"),
        "{said}"
    );
    assert!(doctor().contains("nothing protects the pages"));
    let ran = told(
        protected
            .site
            .command(&thin())
            .args(["--config", "everywhere.yaml", "run"]),
    );
    assert!(ran.0 == 1 && ran.1.contains("nothing protects the pages"), "{ran:?}");

    let (status, said) = everywhere("listen_unprotected: true\n");
    assert_eq!(status, 0, "{said}");
    assert!(doctor().contains("without TLS and users, as `listen_unprotected` says"));
}

#[test]
fn a_file_that_protects_nothing_is_refused_and_half_of_one_is_told() {
    let protected = Protected::new(TLS);
    let everywhere = |more: &str| protected.everywhere(more);
    let doctor = || protected.of_everywhere("doctor").1;
    // A file that protects nothing.
    protected.write("http_server_config: {http2: false}\n");
    let (status, said) = everywhere("web_config: web/web.yml\n");
    assert!(
        status == 1 && said.contains("has neither `tls_server_config` nor `basic_auth_users`"),
        "{said}"
    );
    assert!(doctor().contains("has neither `tls_server_config` nor `basic_auth_users`"));
    let ran = told(
        protected
            .site
            .command(&thin())
            .args(["--config", "everywhere.yaml", "run"]),
    );
    assert!(
        ran.0 != 0 && ran.1.contains("has neither `tls_server_config`"),
        "{ran:?}"
    );

    // Half of it is taken, and said to be half.
    protected.write(TLS);
    let (status, said) = everywhere("web_config: web/web.yml\n");
    assert!(
        status == 0 && said.contains("TLS alone asks nobody who they are"),
        "{said}"
    );
    protected.write(&users(4));
    let (status, said) = everywhere("web_config: web/web.yml\n");
    assert!(
        status == 0 && said.contains("passwords cross the network in clear text"),
        "{said}"
    );
    protected.write(&format!("{TLS}{}", users(4)));
    let (status, said) = everywhere("web_config: web/web.yml\n");
    assert!(status == 0 && said.contains("0 warnings"), "{said}");
    assert!(
        doctor().contains("protected by TLS, 1 user with a password"),
        "{}",
        doctor()
    );
}

#[test]
fn curl_logs_in_and_promtool_takes_the_same_file() {
    let protected = Protected::new(&format!("{TLS}  min_version: TLS12\n{}", users(4)));
    let daemon = protected.run();
    let url = format!("https://localhost:{}/metrics", daemon.address().port());
    match Command::new("curl").arg("--version").output() {
        Err(error) => not_run(&format!("no curl: {error}")),
        Ok(_) => {
            for (version, user, code) in [
                ("--tlsv1.3", format!("prometheus:{PAGE_PASSWORD}"), "200"),
                ("--tls-max=1.2", format!("prometheus:{PAGE_PASSWORD}"), "200"),
                ("--tlsv1.3", "prometheus:x".to_owned(), "401"),
            ] {
                let mut curl = Command::new("curl");
                curl.args([
                    "--silent",
                    "--show-error",
                    "--write-out",
                    "%{http_code}",
                    "--output",
                    "/dev/null",
                ]);
                let version: Vec<&str> = version.split('=').collect();
                curl.args(version).args(["--user", &user, "--resolve"]);
                curl.arg(format!("localhost:{}:127.0.0.1", daemon.address().port()));
                let (status, said) = told(curl.arg("--cacert").arg(certificate("authority.pem")).arg(&url));
                assert_eq!((status, said.as_str()), (0, code), "{user}");
            }
        }
    }
    let promtool = std::env::var_os("PROMTOOL").map_or_else(|| fetched("bin/promtool"), PathBuf::from);
    if promtool.exists() {
        let file = protected.site.path("web/web.yml");
        let (status, said) = told(Command::new(promtool).args(["check", "web-config"]).arg(file));
        assert_eq!(status, 0, "{said}");
    } else {
        not_run("no promtool");
    }
}
