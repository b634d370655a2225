//! Notifications from outside: the real daemon, a simulated database, and receivers that take, refuse, hang or are not there.

#![allow(clippy::disallowed_methods, reason = "how long something takes is measured")]

mod ear;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::site::{Daemon, Db, FIVE_HOURS, PASSWORD, Site, entry, prod, thin, told, until};
use ear::{CA, Ear, Heard, Reply};

/// The clock is moved by hand; two sessions may be taken when it has. One has a program that would act if a shell saw it.
const OFFICE: &str = prod!(
    "
  - {name: forgotten, user: SCOTT, program: '$(touch acted);`touch acted`', machines: [pc1], idle: 3h, logged_on: 6h}
  - {name: second, user: ADAMS, program: '<!channel>', machines: [pc2], idle: 3h, logged_on: 6h}
"
);

const ENFORCE: &str = "
policies:
  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill, limits: {share: 100%}}
";

fn site() -> Site {
    let site = Site::new();
    site.policies(ENFORCE);
    site
}

/// The armed database and these receivers.
fn configure(site: &Site, db: &Db, receivers: &str) {
    let databases = [entry("orcl", &thin(), &db.connect_string(), true)];
    site.configure_with(&databases, &format!("notify:\n  receivers:\n{receivers}"));
}

fn started(receivers: impl Fn(&Site) -> String) -> (Db, Site, Daemon) {
    let (db, site) = (Db::parse(OFFICE), site());
    configure(&site, &db, &receivers(&site));
    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    (db, site, daemon)
}

/// Lets the sessions idle long enough, and waits until both are ended.
fn kill_both(db: &Db) {
    db.world.advance(FIVE_HOURS);
    until("both kills", || db.kills().len() == 2);
}

fn counted(daemon: &Daemon, receiver: &str, result: &str) -> f64 {
    let name = format!("orareaper_notifications_total{{receiver=\"{receiver}\",result=\"{result}\"}}");
    daemon.metric(&name).unwrap_or(-1.0)
}

fn secret(site: &Site, name: &str, text: &str) {
    let path = site.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its owner may");
}

fn script(site: &Site, name: &str, text: &str) -> String {
    let path = site.write(name, format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its owner may");
    path.display().to_string()
}

fn stop(mut daemon: Daemon) -> String {
    daemon.signal("TERM");
    assert!(daemon.ends().success(), "{}", daemon.log_text());
    daemon.log_text()
}

fn events(heard: &[Heard]) -> Vec<String> {
    let event = |heard: &Heard| heard.body["event"].as_str().unwrap_or_default().to_owned();
    heard.iter().map(event).collect()
}

/// Parts of every secret of [`Ears`].
const SECRETS: [&str; 5] = [
    "sl4ckS3cret",
    "t34msS3cret",
    "b34r3rS3cret",
    "b4s1cS3cret",
    "cmVhcGVyOmI0czFjUzNjcmV0",
];

/// A receiver of each kind that is a web server.
struct Ears {
    json: Ear,
    slack: Ear,
    teams: Ear,
    alerts: Ear,
}

impl Ears {
    fn new() -> Ears {
        Ears {
            json: Ear::new(),
            slack: Ear::new(),
            teams: Ear::that(|_| Reply::Status(202, "")),
            alerts: Ear::new(),
        }
    }

    /// Writes the secrets, but for the variable TEAMS_URL, and the configuration.
    fn configure(&self, site: &Site, db: &Db) {
        secret(site, "slack", &self.slack.url("/services/T0/B0/sl4ckS3cret"));
        secret(site, "basic", "b4s1cS3cret");
        secret(site, "bearer", "b34r3rS3cret");
        let all = "events: [intent, outcome, verification]";
        let (json, alerts) = (self.json.url("/hook"), self.alerts.url(""));
        let receivers = format!(
            "    - {{name: web, kind: json, url: '{json}', basic: {{user: reaper, password: {{file: basic}}}}, {all}}}
    - {{name: chat, kind: slack, url: {{file: slack}}, {all}}}
    - {{name: team, kind: teams, url: {{env: TEAMS_URL}}, {all}}}
    - {{name: am, kind: alertmanager, url: '{alerts}', bearer: {{file: bearer}}, {all}}}
"
        );
        configure(site, db, &receivers);
    }

    fn teams_url(&self) -> String {
        self.teams.url("/workflows/x?sig=t34msS3cret")
    }

    /// What the generic one was told of one kill after the other.
    fn hear_of_a_kill(&self) {
        self.json.hears_event("verification");
        let heard = self.json.heard();
        let of = |event: &str| heard.iter().find(|one| one.body["event"] == event).expect(event);
        let (intent, outcome, gone) = (of("intent"), of("outcome"), of("verification"));
        let id = &intent.body["action"]["id"];
        assert!(intent.at <= outcome.at && id.is_u64(), "{id}");
        for one in [intent, outcome, gone] {
            assert_eq!(
                (one.path.as_str(), &one.body["dry_run"]),
                ("/hook", &Value::Bool(false))
            );
            let of = (one.body["policy"].as_str(), one.body["database"].as_str());
            assert_eq!(of, (Some("forgotten"), Some("orcl")));
            let credentials = one.head.get("authorization").map(String::as_str);
            assert_eq!(
                credentials,
                Some("Basic cmVhcGVyOmI0czFjUzNjcmV0"),
                "reaper:b4s1cS3cret"
            );
        }
        let came = (&outcome.body["action"]["id"], &outcome.body["action"]["outcome"]);
        assert_eq!(came, (id, &"done".into()));
        let program = gone.body["session"]["program"].as_str().expect("it is remembered");
        assert!(["$(touch acted);`touch acted`", "<!channel>"].contains(&program));
    }

    /// What the others were told.
    fn hear_in_their_own_forms(&self) {
        let text = |heard: &Heard| heard.body["text"].as_str().unwrap_or_default().to_owned();
        let chat = self.slack.hears("the second", |heard| text(heard).contains("channel"));
        assert!(text(&chat).contains("Program: `&lt;!channel&gt;`"), "{}", text(&chat));
        assert_eq!(chat.path, "/services/T0/B0/sl4ckS3cret");
        let card = self.teams.hears("a card", |heard| heard.body["type"] == "message");
        assert_eq!(card.path, "/workflows/x?sig=t34msS3cret");
        assert_eq!(card.body["attachments"][0]["content"]["type"], "AdaptiveCard");
        let is_done = |heard: &Heard| heard.body[0]["labels"]["outcome"] == "done";
        let alert = self.alerts.hears("an alert", is_done);
        assert_eq!(alert.path, "/api/v2/alerts");
        let credentials = alert.head.get("authorization").map(String::as_str);
        assert_eq!(credentials, Some("Bearer b34r3rS3cret"));
        assert_eq!(alert.body[0]["labels"]["alertname"], "OrareaperOutcomeNotice");
    }
}

#[test]
fn each_kind_is_told_of_a_kill_and_no_secret_is_anywhere() {
    let (ears, db, site) = (Ears::new(), Db::parse(OFFICE), site());
    ears.configure(&site, &db);
    let daemon = site.run_with(&thin(), |command| {
        command.env("TEAMS_URL", ears.teams_url());
    });
    daemon.looks("orcl", 1);
    kill_both(&db);
    ears.hear_of_a_kill();
    ears.hear_in_their_own_forms();

    // A failure too says nothing of them.
    ears.slack.answers(|_| Reply::Status(404, ""));
    ears.teams.answers(|_| Reply::Status(403, ""));
    let command = |arguments: &[&str]| {
        let mut command = site.command(&thin());
        command.args(["--config", "orareaper.yaml"]).args(arguments);
        told(command.env("TEAMS_URL", ears.teams_url()))
    };
    let (status, tested) = command(&["notify"]);
    assert_eq!(status, 1, "{tested}");
    assert!(
        tested.contains("answered HTTP 404") && tested.contains("web"),
        "{tested}"
    );
    let (_, checked) = command(&["check"]);
    let (_, doctored) = command(&["doctor"]);
    let pages = [daemon.page("/").1, daemon.page("/metrics").1].concat();
    let log = stop(daemon);
    for text in [&tested, &checked, &doctored, &pages, &log, &site.left_behind()] {
        for secret in SECRETS.iter().chain([&PASSWORD]) {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
    }
}

#[test]
fn what_may_pass_is_tried_again_with_the_pause_that_the_server_asks_for() {
    let ear = Ear::that(|number| match number {
        0 => Reply::Status(503, ""),
        1 => Reply::Status(429, "Retry-After: 4\r\n"),
        _ => Reply::Status(200, ""),
    });
    let (_db, _site, daemon) = started(|_| {
        format!(
            "    - {{name: web, kind: json, url: '{}', events: [daemon]}}\n",
            ear.url("/")
        )
    });
    until("the third attempt", || ear.heard().len() == 3);
    let heard = ear.heard();
    assert_eq!(events(&heard), ["daemon"; 3]);
    assert_eq!(heard[0].body, heard[2].body, "it is the same message");
    assert!(heard[1].at - heard[0].at >= Duration::from_secs(1), "the first pause");
    assert!(heard[2].at - heard[1].at >= Duration::from_secs(4), "Retry-After");
    until("it to count as sent", || counted(&daemon, "web", "sent") == 1.0);
    for result in ["refused", "failed", "dropped"] {
        assert_eq!(counted(&daemon, "web", result), 0.0, "{result}");
    }
    let warned = |daemon: &Daemon| {
        let lines = daemon.log().into_iter();
        lines
            .filter(|line| line["message"] == "notifications cannot be sent")
            .count()
    };
    assert_eq!(warned(&daemon), 2, "once of each kind of trouble");
    daemon.says("notifications are sent again");
}

#[test]
fn what_does_not_pass_is_not_tried_again_and_the_page_says_so_until_it_works() {
    let ear = Ear::that(|_| Reply::Status(404, ""));
    let (_db, site, daemon) = started(|_| {
        format!(
            "    - {{name: web, kind: json, url: '{}', events: [daemon, pause]}}\n",
            ear.url("/")
        )
    });
    until("it to count as refused", || counted(&daemon, "web", "refused") == 1.0);
    assert_eq!(ear.heard().len(), 1);
    let page = daemon.page("/").1;
    assert!(page.contains("Notifications to web fail since"), "{page}");
    assert!(page.contains("answered HTTP 404: ok; not sent: 1"), "{page}");
    site.write("state/paused", "looking into it");
    until("the next one to be refused", || {
        counted(&daemon, "web", "refused") == 2.0
    });
    let log = daemon.log().into_iter();
    let warned = log
        .filter(|line| line["message"] == "notifications cannot be sent")
        .count();
    assert_eq!(warned, 1, "once of each kind");
    ear.answers(|_| Reply::Status(204, ""));
    fs::remove_file(site.path("state/paused")).expect("it is there");
    let resumed = ear.hears("the end of the pause", |heard| heard.body["phase"] == "ends");
    assert_eq!(resumed.body["event"], "pause");
    until("the page to forget it", || {
        !daemon.page("/").1.contains("Notifications to")
    });
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Ear::new();
    let line: &'static str = Box::leak(format!("Location: {}\r\n", elsewhere.url("/x")).into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let ear = Ear::that(move |_| Reply::Status(status, line));
        let site = site();
        let db = Db::parse(OFFICE);
        secret(&site, "bearer", "b34r3r");
        let receiver = format!(
            "    - {{name: web, kind: json, url: '{}', bearer: {{file: bearer}}}}\n",
            ear.url("/")
        );
        configure(&site, &db, &receiver);
        let (code, text) = told(site.command(&thin()).args(["--config", "orareaper.yaml", "notify"]));
        assert!(
            code == 1 && text.contains("a redirect, which is not followed"),
            "{status}: {code} {text}"
        );
        assert_eq!((ear.heard().len(), elsewhere.heard().len()), (1, 0), "{status}");
    }
}

#[test]
fn receivers_that_hang_delay_no_kill_and_no_end_and_what_finds_no_room_is_counted() {
    let ear = Ear::that(|_| Reply::Silence);
    let (db, site, daemon) = started(|site| {
        let hangs = script(site, "hangs", "exec sleep 600");
        format!(
            "    - {{name: web, kind: json, url: '{}', events: [intent, outcome, verification, daemon], timeout: 60s, queue: 1}}
    - {{name: pager, kind: program, command: [{hangs}], timeout: 60s}}\n",
            ear.url("/")
        )
    });
    ear.hears_event("daemon");
    let before = Instant::now();
    kill_both(&db);
    assert!(
        before.elapsed() < Duration::from_secs(50),
        "the receivers' own limit is a minute"
    );
    site.journals_all("outcome", 2);
    until("the sessions to be gone", || site.journalled("verification").len() == 2);
    // One is being sent and one waits: of two intents, two outcomes and two verifications at least five find no room.
    until("five to be dropped", || counted(&daemon, "web", "dropped") >= 5.0);
    assert_eq!(daemon.page("/healthz").0, 200);
    daemon.says("the queue of notifications is full: more are dropped");
    assert_eq!(ear.heard().len(), 1, "it still waits for the first answer");
    let before = Instant::now();
    let log = stop(daemon);
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "it does not wait for the receivers"
    );
    assert!(log.contains("notifications were not sent before the end"), "{log}");
}

#[test]
fn a_program_gets_the_decision_and_nothing_of_a_session_acts() {
    let (db, site, daemon) = started(|site| {
        let out = site.path("out").display().to_string();
        let tell = script(site, "tell", &format!("{{ printf '%s ' \"$@\"; cat; echo; }} >>{out}"));
        format!(
            "    - {{name: pager, kind: program, command: [{tell}, --team, 'a b; touch acted'], events: [outcome]}}\n"
        )
    });
    kill_both(&db);
    until("both to be told", || counted(&daemon, "pager", "sent") == 2.0);
    let out = fs::read_to_string(site.path("out")).expect("written");
    let programs: Vec<String> = out
        .lines()
        .map(|line| {
            let json = line
                .strip_prefix("--team a b; touch acted ")
                .expect("the arguments as they are");
            let value: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(value["action"]["outcome"], "done");
            value["session"]["program"].as_str().expect("a text").to_owned()
        })
        .collect();
    assert!(
        programs.contains(&"$(touch acted);`touch acted`".to_owned()),
        "{programs:?}"
    );
    for place in [site.path("acted"), Path::new("/acted").to_owned()] {
        assert!(!place.exists(), "{}", place.display());
    }
}

#[test]
fn a_program_that_hangs_is_killed_with_what_it_has_started() {
    let (_db, site, daemon) = started(|site| {
        let pids = site.path("pids").display().to_string();
        let hangs = script(site, "hangs", &format!("sleep 600 & echo $! >>{pids}; sleep 600"));
        format!("    - {{name: pager, kind: program, command: [{hangs}], timeout: 2s, events: [daemon]}}\n")
    });
    until("it to count as refused", || counted(&daemon, "pager", "refused") == 1.0);
    let warned = daemon.says("notifications cannot be sent");
    assert!(
        warned["error"]
            .as_str()
            .is_some_and(|error| error.contains("did not end within 2s and was killed"))
    );
    let pids = fs::read_to_string(site.path("pids")).expect("it ran");
    let pid = pids.trim();
    until("what it has started to be gone", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
    });
}

/// Outside systemd nobody else ends what the daemon has started: not the program that is being told at its end, nor that of a receiver
/// which a reload has taken out.
#[test]
fn no_program_outlives_the_daemon() {
    let (db, site, daemon) = started(|site| {
        let receiver = |name: &str| {
            let pids = site.path(name).display().to_string();
            let hangs = script(
                site,
                &format!("tells-{name}"),
                &format!("sleep 600 & echo $! $$ >>{pids}; sleep 600"),
            );
            format!("    - {{name: {name}, kind: program, command: [{hangs}], timeout: 60s, events: [daemon]}}\n")
        };
        receiver("kept") + &receiver("gone")
    });
    let pids = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(site.path(name)).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    until("both to run", || pids("kept").len() == 2 && pids("gone").len() == 2);
    let kept = site.path("tells-kept").display().to_string();
    let kept = format!("    - {{name: kept, kind: program, command: [{kept}], timeout: 60s, events: [daemon]}}\n");
    configure(&site, &db, &kept);
    daemon.signal("HUP");
    site.journals_all("policies_loaded", 2);
    let before = Instant::now();
    stop(daemon);
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "it does not wait for the programs"
    );
    for pid in [pids("kept"), pids("gone")].concat() {
        until("it to be gone", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
        });
    }
}

#[test]
fn a_reload_puts_changed_receivers_in_force_and_what_waits_goes_the_new_way() {
    let (old, new, gone) = (Ear::that(|_| Reply::Status(503, "")), Ear::new(), Ear::new());
    let receiver = |name: &str, ear: &Ear| format!("    - {{name: {name}, kind: json, url: '{}'}}\n", ear.url("/"));
    let (db, site, daemon) = started(|_| receiver("web", &old) + &receiver("other", &gone));
    gone.hears_event("daemon");
    old.hears_event("daemon");
    configure(&site, &db, &receiver("web", &new));
    daemon.signal("HUP");
    // The first message was never taken, and is not lost.
    let first = new.hears_event("daemon");
    assert!(
        first.body["title"]
            .as_str()
            .is_some_and(|title| title.ends_with("started"))
    );
    daemon.says("a receiver that was taken out gets no more notifications");
    let metrics = daemon.page("/metrics").1;
    assert!(
        !metrics.contains("receiver=\"other\"") && metrics.contains("receiver=\"web\""),
        "{metrics}"
    );
    let heard = gone.heard().len();
    kill_both(&db);
    new.hears_event("outcome");
    assert_eq!(gone.heard().len(), heard, "it is configured no longer");
    // A reload that fails is told, and changes no receiver.
    site.write("policies/policies.yaml", "policies: [{name: x}]\n");
    daemon.signal("HUP");
    let failed = new.hears_event("reload");
    assert_eq!(
        (&failed.body["phase"], &failed.body["severity"]),
        (&"begins".into(), &"warning".into())
    );
    site.policies(ENFORCE);
    daemon.signal("HUP");
    new.hears("its end", |heard| {
        heard.body["event"] == "reload" && heard.body["phase"] == "ends"
    });
}

#[test]
fn what_is_too_many_is_told_as_a_count() {
    let ear = Ear::new();
    let (db, _site, daemon) = started(|_| {
        format!(
            "    - {{name: web, kind: json, url: '{}', rate: 1, events: [daemon, intent, outcome]}}\n",
            ear.url("/")
        )
    });
    ear.hears_event("daemon");
    kill_both(&db);
    until("the rest to be counted", || counted(&daemon, "web", "collected") >= 4.0);
    stop(daemon);
    let told = ear.hears_event("collected");
    let counts: BTreeMap<String, u64> = told.body["collected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let event = one["event"].as_str().expect("a word").to_owned();
            (event, one["count"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(
        (counts["intent"], counts["outcome"], counts["daemon"]),
        (2, 2, 1),
        "with the end"
    );
    assert_eq!(events(&ear.heard()), ["daemon", "collected"]);
}

#[test]
fn the_end_waits_for_what_is_still_to_be_sent() {
    // Each takes a second, so the last ones still wait when the databases' loops have ended.
    let ear = Ear::that(|_| Reply::Late);
    let (_db, site, daemon) = started(|_| {
        let url = ear.url("/");
        format!("    - {{name: web, kind: json, url: '{url}', events: [daemon, pause]}}\n")
    });
    until("the start to be told", || counted(&daemon, "web", "sent") == 1.0);
    site.write("state/paused", "month end");
    daemon.says("paused: no action is taken on any database");
    let log = stop(daemon);
    assert!(!log.contains("notifications were not sent"), "{log}");
    assert_eq!(events(&ear.heard()), ["daemon", "pause", "daemon"]);
    assert_eq!(ear.heard()[2].body["title"], "orareaper is stopping");
}

#[test]
fn a_dry_run_says_so_in_every_message() {
    let ear = Ear::new();
    let (db, site) = (Db::parse(OFFICE), site());
    let receiver = format!(
        "    - {{name: web, kind: json, url: '{}', events: [daemon, intent, outcome]}}\n",
        ear.url("/")
    );
    configure(&site, &db, &receiver);
    let daemon = site.run_with(&thin(), |command| {
        command.arg("--dry-run");
    });
    daemon.looks("orcl", 1);
    db.world.advance(FIVE_HOURS);
    ear.hears("an outcome", |heard| heard.body["action"]["outcome"] == "assumed");
    stop(daemon);
    for heard in ear.heard() {
        assert_eq!(heard.body["dry_run"], true, "{:#}", heard.body);
        assert!(
            heard.body["title"]
                .as_str()
                .is_some_and(|title| title.starts_with("[dry run] "))
        );
    }
    assert!(db.kills().is_empty());
}

#[test]
fn a_lost_database_is_told_and_told_again_when_it_is_back() {
    let ear = Ear::new();
    let (db, _site, _daemon) = started(|_| {
        format!(
            "    - {{name: web, kind: json, url: '{}', severity: critical}}\n",
            ear.url("/")
        )
    });
    db.world.arm(orasim::Fault {
        statement: Some("FROM gv$session".into()),
        user: Some("REAPER".into()),
        call: 1,
        times: 3,
        what: orasim::Strike::Cut,
    });
    let down = ear.hears("the loss", |heard| heard.body["phase"] == "begins");
    assert_eq!(
        (down.body["event"].as_str(), down.body["database"].as_str()),
        (Some("database"), Some("orcl"))
    );
    let up = ear.hears("the end", |heard| heard.body["phase"] == "ends");
    assert_eq!(
        (&up.body["event"], &up.body["severity"]),
        (&"database".into(), &"critical".into())
    );
}

#[test]
fn tls_trusts_the_authorities_that_the_configuration_names() {
    let ear = Ear::with_tls();
    let (db, site) = (Db::parse(OFFICE), site());
    let receiver = |more: &str| format!("    - {{name: web, kind: json, url: '{}'{more}}}\n", ear.url("/tls"));
    let notify = |receiver: &str| {
        configure(&site, &db, receiver);
        told(
            site.command(&thin())
                .args(["--config", "orareaper.yaml", "notify", "--format", "json"]),
        )
    };
    let (status, text) = notify(&receiver(&format!(", ca_file: {CA}")));
    assert_eq!(status, 0, "{text}");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&report[0]["receiver"], &report[0]["sent"]),
        (&"web".into(), &true.into())
    );
    let test = ear.hears_event("test");
    assert!(
        test.body["title"]
            .as_str()
            .is_some_and(|title| title.starts_with("TEST: "))
    );
    let (status, text) = notify(&receiver(""));
    assert!(status == 1 && text.contains("invalid peer certificate"), "{text}");
    // A name that the certificate does not have.
    let other = receiver(&format!(", ca_file: {CA}")).replace("127.0.0.1", "127.0.0.2");
    let (status, text) = notify(&other);
    assert!(status == 1, "{text}");
    assert_eq!(ear.heard().len(), 1);
    let (status, text) = notify(&receiver(", ca_file: orareaper.yaml"));
    assert!(status == 1 && text.contains("it has no certificate"), "{text}");
}

#[test]
fn a_test_goes_to_those_that_are_named_and_says_who_is_not_there() {
    let (one, other) = (Ear::new(), Ear::new());
    let (db, site) = (Db::parse(OFFICE), site());
    let receiver = |name: &str, ear: &Ear| {
        format!(
            "    - {{name: {name}, kind: json, url: '{}', events: []}}\n",
            ear.url("/")
        )
    };
    configure(&site, &db, &(receiver("one", &one) + &receiver("other", &other)));
    let notify = |names: &[&str]| {
        told(
            site.command(&thin())
                .args(["--config", "orareaper.yaml", "notify"])
                .args(names),
        )
    };
    let (status, text) = notify(&["one"]);
    assert_eq!((status, one.heard().len(), other.heard().len()), (0, 1, 0), "{text}");
    assert!(text.starts_with("one  json          sent: http://127.0.0.1:"), "{text}");
    let (status, text) = notify(&["onne"]);
    assert!(
        status == 2 && text.contains("no receiver `onne`") && text.contains("did you mean `one`"),
        "{text}"
    );
    site.configure(&thin(), &db);
    let (status, text) = notify(&[]);
    assert!(status == 2 && text.contains("no receivers of notifications"), "{text}");
}

#[test]
fn an_exemption_that_ends_soon_is_told_once_also_after_a_restart() {
    let ear = Ear::new();
    let (db, site) = (Db::parse(OFFICE), site());
    let last_day = chrono::Utc::now().date_naive() + chrono::TimeDelta::days(2);
    site.policies(&format!(
        "{ENFORCE}exemptions:\n  - {{when: USERNAME = 'SCOTT', reason: month end, owner: maria, until: {last_day}}}\n"
    ));
    let receiver = |name: &str, owner: &str| {
        let events = "events: [exemption, daemon]";
        format!(
            "    - {{name: {name}, kind: json, url: '{}', {events}, owners: [{owner}]}}\n",
            ear.url(&format!("/{owner}"))
        )
    };
    configure(&site, &db, &(receiver("hers", "maria") + &receiver("his", "tom")));
    let daemon = site.run(&thin());
    let told = ear.hears_event("exemption");
    assert_eq!(
        (told.path.as_str(), &told.body["exemption"]["owner"]),
        ("/maria", &"maria".into())
    );
    assert_eq!(told.body["exemption"]["last_day"], last_day.to_string());
    daemon.says("an exemption ends soon");
    stop(daemon);
    let daemon = site.run(&thin());
    // It looks right after the start, and says nothing that it said before.
    daemon.looks("orcl", 3);
    stop(daemon);
    assert_eq!(
        events(&ear.heard())
            .iter()
            .filter(|event| *event == "exemption")
            .count(),
        1
    );
}
