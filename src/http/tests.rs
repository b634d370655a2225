//! The server, with requests over TCP like those of any client.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::clock::ManualClock;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::event::{
    Event, Evidence, InForceReport, InstanceReport, Intent, LoadedDatabase, LoadedPolicy, Outcomed, PolicyLoad,
    PolicyReport, SpareReason,
};
use crate::http::connection::CONNECTIONS;
use crate::policy::model::{Action, Protection};
use crate::session::SessionKey;
use crate::session::time::DbTime;

struct Daemon {
    clock: Arc<ManualClock>,
    sources: Sources,
    server: Server,
}

fn daemon(deadline: Duration) -> Daemon {
    let clock = Arc::new(ManualClock::at("2026-11-22T10:00:00Z".parse().expect("a time")));
    let sources = Sources {
        metrics: Arc::new(Metrics::new()),
        status: SharedStatus::default(),
        heartbeat: Heartbeat::new(Arc::clone(&clock) as Arc<dyn Clock>),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::with_deadline(anywhere, sources.clone(), deadline).expect("starts");
    Daemon { clock, sources, server }
}

impl Daemon {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("is set");
        stream
    }

    fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = self.connect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server closes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), head.to_ascii_lowercase(), body.to_owned())
    }

    fn tell(&self, event: &Event) {
        self.sources
            .status
            .write()
            .update(event, self.clock.utc(), self.clock.now());
    }
}

fn loaded() -> Event {
    Event::Policies(PolicyLoad::Loaded(InForceReport {
        digest: "0123456789abcdef".into(),
        policies: 1,
        databases: vec![LoadedDatabase {
            database: "prod".into(),
            place: "here".into(),
            driver: "thin",
            armed: true,
            poll: Duration::from_secs(15),
            labels: [("env".into(), "prod".into())].into_iter().collect(),
            policies: vec![LoadedPolicy {
                policy: "idle".into(),
                mode: RunMode::Enforce,
                actions: vec![Action::CancelSql],
            }],
        }],
    }))
}

fn up() -> Event {
    Event::DatabaseUp {
        database: "prod".into(),
        instances: vec![(1, "PROD1".into())],
        release: "19.24.0.0.0".into(),
    }
}

fn cycle(complete: bool) -> Event {
    Event::Cycle(Arc::new(crate::event::CycleReport {
        database: "prod".into(),
        instances: vec![InstanceReport {
            inst_id: 1,
            name: "PROD1".into(),
            complete,
            lingering: 0,
            pressure: Vec::new(),
        }],
        policies: vec![PolicyReport {
            policy: "idle".into(),
            mode: RunMode::Enforce,
            matched: 17,
            warrants: 1,
            spared: [(SpareReason::Protected(Protection::Backup), 16)].into(),
            breaker: None,
            suspended: [(
                crate::decide::refill::ClientGroup::default(),
                "suspended: <they> came back".into(),
            )]
            .into(),
        }],
        notes: vec!["read V$PDBS from prod: ORA-00942; remedy: GRANT SELECT ON sys.v_$pdbs TO <REAPER>".into()],
        ..Default::default()
    }))
}

#[test]
fn metrics_are_served_as_prometheus_reads_them() {
    let daemon = daemon(DEADLINE);
    let (status, head, body) = daemon.ask("GET", "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(body.contains("\norareaper_paused 0\n"), "{body}");
}

#[test]
fn only_get_requests_are_answered() {
    let daemon = daemon(DEADLINE);
    assert_eq!(daemon.ask("POST", "/metrics").0, 405);
    assert_eq!(daemon.ask("DELETE", "/").0, 405);
    assert_eq!(daemon.ask("GET", "/../etc/passwd").0, 404);
}

#[test]
fn the_daemon_is_healthy_while_its_loops_make_progress() {
    let daemon = daemon(DEADLINE);
    let pulse = daemon.sources.heartbeat.pulse("prod poll", Duration::from_secs(60));
    assert_eq!(daemon.ask("GET", "/healthz").0, 200);
    daemon.clock.advance(Duration::from_secs(61));
    let (status, _, body) = daemon.ask("GET", "/healthz");
    assert_eq!((status, &*body), (503, "prod poll: no progress\n"));
    pulse.touch();
    assert_eq!(daemon.ask("GET", "/healthz").0, 200);
}

#[test]
fn the_daemon_is_ready_if_every_database_has_a_recent_complete_snapshot() {
    let daemon = daemon(DEADLINE);
    let ready = || {
        let (status, _, body) = daemon.ask("GET", "/readyz");
        (status, body)
    };
    assert_eq!(ready(), (503, "no policies are loaded\n".into()));
    daemon.tell(&loaded());
    assert_eq!(ready(), (503, "prod: not connected yet\n".into()));
    daemon.tell(&up());
    assert_eq!(ready(), (503, "prod: no complete snapshot yet\n".into()));
    daemon.tell(&cycle(false));
    let silent = "prod: no complete snapshot yet: instance 1 (PROD1) was not read\n";
    assert_eq!(ready(), (503, silent.into()));
    daemon.tell(&cycle(true));
    assert_eq!(ready(), (200, "ok\n".into()));
    // Three polls of 15 seconds.
    daemon.clock.advance(Duration::from_secs(45));
    assert_eq!(ready(), (200, "ok\n".into()));
    daemon.clock.advance(Duration::from_secs(1));
    assert_eq!(ready(), (503, "prod: no complete snapshot for 46 s\n".into()));
    daemon.tell(&Event::DatabaseDown {
        database: "prod".into(),
        error: "connect to prod: no listener".into(),
    });
    let down = "prod: down since 2026-11-22T10:00:46Z: connect to prod: no listener\n";
    assert_eq!(ready(), (503, down.into()));
    assert_eq!(
        daemon.ask("GET", "/healthz").0,
        200,
        "a restart would not bring it back"
    );
}

#[test]
fn the_page_escapes_what_a_client_sets() {
    let daemon = daemon(DEADLINE);
    daemon.tell(&loaded());
    daemon.tell(&up());
    daemon.tell(&cycle(true));
    let evil = "<script>alert('1')</script>\"\u{202e}\n&";
    daemon.tell(&Event::Outcome(Outcomed {
        intent: Arc::new(Intent {
            id: 1,
            database: "prod".into(),
            place: None,
            key: SessionKey {
                inst_id: 1,
                sid: 287,
                serial: 62507,
                logon_time: DbTime(0),
            },
            policy: "idle".into(),
            policy_digest: String::new(),
            mode: RunMode::Enforce,
            action: Action::CancelSql,
            username: Some("APEXDEV".into()),
            program: Some(evil.into()),
            machine: None,
            operator: None,
            reason: evil.into(),
            statement: None,
            taken_at: daemon.clock.utc(),
            session: Evidence::default(),
        }),
        outcome: Outcome::Done,
        code: Some(0),
        message: Some(evil.into()),
        statement: None,
        session: Evidence::default(),
        took: Duration::ZERO,
    }));
    let (status, head, body) = daemon.ask("GET", "/");
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    let shown = "&lt;script&gt;alert('1')&lt;/script&gt;&quot;\\u{202e}\\x0a&amp;";
    assert!(body.contains("sys.v_$pdbs TO &lt;REAPER&gt;"), "{body}");
    assert_eq!(body.matches(shown).count(), 3, "{body}");
    assert!(
        !body.contains("<script") && !body.contains("http://") && !body.contains("https://"),
        "{body}"
    );
    for text in [
        "287,62507,@1",
        "PROD1",
        ">17<",
        "16 backup",
        "release 19.24.0.0.0",
        "Ready",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
    for element in ["section", "table", "tr", "td", "div", "p", "span"] {
        let opened = body.matches(&format!("<{element}>")).count() + body.matches(&format!("<{element} ")).count();
        assert_eq!(opened, body.matches(&format!("</{element}>")).count(), "{element}");
    }
}

#[test]
fn a_database_that_is_read_too_slowly_to_act_on_is_not_ready() {
    let daemon = daemon(DEADLINE);
    daemon.tell(&loaded());
    daemon.tell(&up());
    let Event::Cycle(report) = cycle(true) else {
        unreachable!("it is one");
    };
    let stale = crate::event::CycleReport {
        stale: true,
        ..(*report).clone()
    };
    daemon.tell(&Event::Cycle(Arc::new(stale)));
    let (status, _, body) = daemon.ask("GET", "/readyz");
    assert!(status == 503 && body.contains("raise `poll`"), "{status} {body}");
    daemon.tell(&Event::Cycle(report));
    assert_eq!(daemon.ask("GET", "/readyz").0, 200);
}

#[test]
fn a_request_with_two_hosts_or_another_authority_is_refused() {
    let daemon = daemon(DEADLINE);
    for head in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut stream = daemon.connect();
        stream.write_all(head.as_bytes()).expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server closes");
        assert!(answer.starts_with("HTTP/1.1 4"), "{head}: {answer}");
    }
}

#[test]
fn silent_clients_never_displace_a_scrape() {
    // No deadline ends here: a connection closes only because another one came.
    let daemon = daemon(Duration::from_secs(3_600));
    let mut slow = daemon.connect();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").expect("is sent");
    let silent: Vec<TcpStream> = (0..3 * CONNECTIONS).map(|_| daemon.connect()).collect();
    assert_eq!(daemon.ask("GET", "/healthz").0, 200);
    assert_eq!(daemon.ask("GET", "/metrics").0, 200);
    // The oldest surplus connections are closed; half a request counts as silence.
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "half a request has no answer");
    for mut stream in silent.into_iter().take(2 * CONNECTIONS) {
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "the server has hung up");
    }
}

#[test]
fn a_client_that_never_ends_its_request_is_disconnected() {
    let daemon = daemon(Duration::from_millis(200));
    let mut slow = daemon.connect();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").expect("is sent");
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "half a request has no answer");
}

#[test]
fn a_rebound_host_name_is_refused() {
    let daemon = daemon(DEADLINE);
    for path in ["/", "/metrics", "/readyz"] {
        let mut stream = daemon.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: evil.example:9763\r\n\r\n").expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server closes");
        assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        assert!(
            answer.contains("Host header") && !answer.contains("orareaper_"),
            "{answer}"
        );
    }
}

#[test]
fn an_address_in_use_is_reported() {
    let daemon = daemon(DEADLINE);
    let address = daemon.server.address();
    let error = Server::start(address, daemon.sources.clone()).expect_err("is taken");
    assert!(
        error.to_string().starts_with(&format!("listen on {address}: ")),
        "{error}"
    );
    // Stopping the server frees the address.
    let sources = daemon.sources.clone();
    drop(daemon);
    Server::start(address, sources).expect("is free again");
}
