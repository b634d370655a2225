//! The server, with requests over TCP like those of any client.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::clock::ManualClock;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::{Afterwards, PolicyRehearsal, RehearsalTally};
use crate::event::{
    BudgetReport, Event, Evidence, InForceReport, InstanceReport, Intent, LingeringReport, LoadedDatabase,
    LoadedPolicy, Outcomed, PendingReport, PolicyLoad, PolicyReport, SessionCount, SpareReason, StatusLabel, TypeLabel,
};
use crate::http::connection::CONNECTIONS;
use crate::policy::model::{Action, Protection};
use crate::policy::pressure::Resource;
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
        reports: std::env::temp_dir().join("no-reports"),
        access: Arc::new(Access::of(None).expect("nothing to read")),
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
        exemptions: 1,
        lost: Vec::new(),
        timezone: chrono_tz::Tz::UTC,
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

/// One of two sessions was used again.
fn rehearsal() -> PolicyRehearsal {
    let mut tally = RehearsalTally::default();
    tally.add(Afterwards::UsedAgain, 18_600);
    tally.add(Afterwards::Ended, 60);
    let who = crate::decide::refill::ClientGroup {
        username: Some("<SHOP>".into()),
        program: Some("app".into()),
        machine: Some("web#".into()),
    };
    PolicyRehearsal::of([(who, tally)])
}

fn key(sid: u32) -> SessionKey {
    SessionKey {
        inst_id: 1,
        sid,
        serial: 62507,
        logon_time: DbTime(0),
    }
}

fn cycle(complete: bool) -> Event {
    let users = |status, count| SessionCount {
        inst_id: 1,
        session_type: TypeLabel::User,
        status,
        count,
    };
    Event::Cycle(Arc::new(crate::event::CycleReport {
        database: "prod".into(),
        sessions: vec![users(StatusLabel::Active, 5), users(StatusLabel::Inactive, 100)],
        instances: vec![InstanceReport {
            inst_id: 1,
            name: "PROD1".into(),
            complete,
            lingering: 1,
            pressure: vec![(Resource::Sessions, 0.82), (Resource::Processes, 0.4)],
            marks: vec![(Resource::Sessions, 0.7), (Resource::Sessions, 0.85)],
        }],
        policies: vec![PolicyReport {
            policy: "idle".into(),
            mode: RunMode::Enforce,
            matched: 17,
            warrants: 1,
            spared: [(SpareReason::Protected(Protection::Backup), 16)].into(),
            breaker: None,
            suspended: [(ClientGroup::default(), "suspended: <they> came back".into())].into(),
            pending: vec![PendingReport {
                key: key(301),
                who: ClientGroup {
                    username: Some("<i>SCOTT".into()),
                    ..ClientGroup::default()
                },
                remaining: 3_600,
            }],
            rehearsal: rehearsal(),
        }],
        budgets: vec![BudgetReport {
            policy: None,
            key: "per_hour",
            limit: 20,
            used: 7,
        }],
        lingering: vec![LingeringReport {
            key: key(302),
            policy: "idle".into(),
            since: "2026-11-22T09:50:00Z".parse().expect("a time"),
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
fn metrics_alone_are_compressed_and_only_on_request() {
    let daemon = daemon(DEADLINE);
    let ask = |path: &str, accepts: &str| {
        let mut stream = daemon.connect();
        // Of version 1.0: what follows the head is the body alone.
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept-Encoding: {accepts}\r\n\r\n"
        )
        .expect("is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server closes");
        let head = memchr::memmem::find(&answer, b"\r\n\r\n").expect("a head");
        let body = answer.split_off(head + 4);
        (String::from_utf8_lossy(&answer).to_ascii_lowercase(), body)
    };
    let (head, body) = ask("/metrics", "deflate, gzip;q=0.5");
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*body)
        .read_to_string(&mut text)
        .expect("gzip");
    assert!(text.contains("\norareaper_paused 0\n"), "{text}");
    for (path, accepts) in [
        ("/metrics", "identity"),
        ("/metrics", "gzip;q=0"),
        ("/", "gzip"),
        ("/readyz", "gzip"),
    ] {
        let (head, body) = ask(path, accepts);
        assert!(!head.contains("content-encoding"), "{path}: {head}");
        assert!(std::str::from_utf8(&body).is_ok_and(|text| !text.is_empty()), "{path}");
    }
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
    assert_eq!(ready(), (503, "prod: no complete snapshot for 46s\n".into()));
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
            identity: None,
            key: key(287),
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
            waited: Duration::ZERO,
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
    // The only script is the server's own file.
    assert_eq!(body.matches("<script").count(), 1, "{body}");
    assert!(body.contains("<script src=\"/live.js\" defer></script>"), "{body}");
    assert!(!body.contains("http://") && !body.contains("https://"), "{body}");
    assert!(body.contains("&lt;i&gt;SCOTT") && !body.contains("<i>"), "{body}");
    for text in [
        "287,62507,@1",
        "PROD1",
        ">17<",
        "16 backup",
        "release 19.24.0.0.0",
        "Ready",
        "Would have been ended, and used again",
        "&lt;SHOP&gt; from web# with app",
        "<td class=\"n warn\">1</td><td class=\"n\">5h 10m</td>",
        "105 user sessions, 5 active, 100 idle, 0 killed",
        "sessions 82%",
        "marks at 70%, 85%",
        "in 1h",
        "301,62507,@1",
        "7 of 20",
        "302,62507,@1",
        "2026-11-22 09:50:00 UTC",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
    for element in [
        "section", "details", "svg", "table", "tr", "td", "div", "p", "span", "li",
    ] {
        let opened = body.matches(&format!("<{element}>")).count() + body.matches(&format!("<{element} ")).count();
        assert_eq!(opened, body.matches(&format!("</{element}>")).count(), "{element}");
    }
}

#[test]
fn the_page_shows_trouble_first_and_never_old_green() {
    let daemon = daemon(DEADLINE);
    daemon.tell(&loaded());
    daemon.tell(&up());
    daemon.tell(&cycle(true));
    let page = daemon.ask("GET", "/").2;
    assert!(page.contains("1 of 1 armed") && !page.contains("PAUSED"), "{page}");
    // Its suspended group and its lingering session are trouble although it answers.
    assert!(
        page.find("class=\"trouble\"") < page.find("class=\"overview\""),
        "{page}"
    );
    assert!(page.contains("killed sessions that linger: 1"), "{page}");
    daemon.clock.advance(Duration::from_secs(600));
    let page = daemon.ask("GET", "/").2;
    assert!(page.contains("no complete snapshot for 10m"), "{page}");
    assert!(page.contains("in 50m"), "the countdown goes on: {page}");
    daemon.tell(&Event::DatabaseDown {
        database: "prod".into(),
        error: "no listener".into(),
    });
    daemon.tell(&Event::Paused {
        by: "maria".into(),
        reason: "month end".into(),
        trouble: false,
    });
    let page = daemon.ask("GET", "/").2;
    for text in [
        "PAUSED",
        "Paused by maria: month end",
        "1 of 1 down",
        "● down",
        "down since 2026-11-22 10:10:00 UTC: no listener",
        "<tr class=\"old\">",
        "<div class=\"old\">",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("● up") && !page.contains(">Ready<"), "{page}");
}

#[test]
fn a_change_is_told_at_once_and_the_same_state_after_five_seconds() {
    let daemon = daemon(DEADLINE);
    daemon.tell(&loaded());
    let ask = |known: &str| {
        let mut stream = daemon.connect();
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n{known}\r\n").expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server closes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.to_ascii_lowercase().contains("content-type: text/event-stream"),
            "{head}"
        );
        let id = body.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
        assert!(
            body.ends_with("\n\n") && body.contains("\nevent: content\ndata: "),
            "{body}"
        );
        (id.to_owned(), body.to_owned())
    };
    let (id, first) = ask("");
    assert!(first.contains("Connecting") && !first.contains("<html"), "{first}");
    let mut waiting = daemon.connect();
    waiting
        .set_read_timeout(Some(LOOK_EVERY * (LOOKS - 4)))
        .expect("is set");
    write!(
        waiting,
        "GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {id}\r\n\r\n"
    )
    .expect("is sent");
    assert!(
        waiting.read(&mut [0]).is_err(),
        "nothing has changed, and it is not yet time"
    );
    let (same, _) = ask(&format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(same, id);
    daemon.tell(&up());
    let (other, second) = ask(&format!("Last-Event-ID: {id}\r\n"));
    assert!(other != id && second.contains("release 19.24.0.0.0"), "{second}");
}

#[test]
fn the_newest_report_of_a_database_in_force_is_served_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut daemon = daemon(DEADLINE);
    daemon.sources.reports = folder.path().to_owned();
    daemon.server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), daemon.sources.clone()).expect("starts");
    daemon.tell(&loaded());
    let (status, _, body) = daemon.ask("GET", "/reports/prod");
    assert!(
        status == 404 && body.contains("there is no report on prod"),
        "{status} {body}"
    );
    std::fs::write(folder.path().join("prod.html"), "<p>who and why</p>").expect("is written");
    std::fs::write(folder.path().join("crm.html"), "not in force").expect("is written");
    assert_eq!(daemon.ask("GET", "/reports/prod").2, "<p>who and why</p>");
    for path in ["/reports/crm", "/reports/..%2Fprod", "/reports/", "/reports/prod.html"] {
        assert_eq!(daemon.ask("GET", path).0, 404, "{path}");
    }
    // A link in its place leads nowhere.
    std::fs::remove_file(folder.path().join("prod.html")).expect("is there");
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("prod.html")).expect("is made");
    assert_eq!(daemon.ask("GET", "/reports/prod").0, 404);
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
