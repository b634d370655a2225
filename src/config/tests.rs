//! Tests with whole configurations, correct and wrong.

use std::path::{Path, PathBuf};

use super::{Driver, LoginConfig, SecretSource, check, database, read};
use crate::decide::in_force::EffectiveLimits;
use crate::policy::model::Limits;

const WHOLE: &str = "
databases:
  - name: prod
    driver: thin
    connect: //db1.example.com:1521/ORCLPDB1
    user: reaper
    password: {credential: prod}
    armed: true
    poll: 30s
    call_timeout: 20s
  - {name: dev.2, connect: DEV, external: true}
policies: [policies/*.yaml, /srv/policies]
listen: 0.0.0.0:9000
listen_unprotected: true
state: state
timezone: Europe/Berlin
limits: {per_cycle: 3, undo_records: 5}
blackouts: [{cron: \"0 20 * * FRI\", for: 6h, reason: weekly full backup}]
";

fn codes(text: &str) -> Vec<(&'static str, usize, usize)> {
    let loaded = check("c.yaml", text.as_bytes(), Path::new("/etc/orareaper"));
    assert!(loaded.config.is_none() || loaded.diagnostics.is_empty());
    loaded
        .diagnostics
        .iter()
        .map(|one| (one.code, one.line, one.column))
        .collect()
}

#[test]
fn a_whole_configuration_is_read() {
    let loaded = check("c.yaml", WHOLE.as_bytes(), Path::new("/etc/orareaper"));
    assert_eq!(
        loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    let config = loaded.config.expect("a configuration without errors");
    let [prod, dev] = config.databases.as_slice() else {
        panic!("two databases")
    };
    assert_eq!((&*prod.name, prod.driver, prod.armed), ("prod", Driver::Thin, true));
    assert_eq!(
        (
            prod.poll.as_secs(),
            prod.connect_timeout.as_secs(),
            prod.call_timeout.as_secs()
        ),
        (30, 10, 20)
    );
    let password = SecretSource::Credential("prod".into(), "/etc/orareaper/credentials/prod".into());
    assert_eq!(
        prod.login,
        LoginConfig::Password {
            user: "reaper".into(),
            password
        }
    );
    assert_eq!(
        (&*dev.name, dev.driver, dev.armed, &dev.login),
        ("dev.2", Driver::Oci, false, &LoginConfig::External)
    );
    assert_eq!(dev.poll.as_secs(), 15);
    assert_eq!(
        config.policies,
        [PathBuf::from("/etc/orareaper/policies/*.yaml"), "/srv/policies".into()]
    );
    assert_eq!(config.state, Path::new("/etc/orareaper/state"));
    assert_eq!(
        (config.limits.per_cycle, config.limits.per_hour, config.limits.share),
        (Some(3), None, None)
    );
    assert_eq!((config.limits.per_day, config.limits.undo_records), (None, Some(5)));
    // Friday 20:00 in Berlin is 19:00Z in November; six hours from then on.
    let at = |text: &str| config.blackouts[0].holds(text.parse().expect("an instant"));
    assert_eq!(
        [
            at("2026-11-20T18:59:59Z"),
            at("2026-11-20T19:00:00Z"),
            at("2026-11-21T00:59:59Z"),
            at("2026-11-21T01:00:00Z")
        ],
        [false, true, true, false]
    );
}

#[test]
fn fifty_databases_need_about_fifty_lines() {
    let entries: String = (1..=50)
        .map(|number| format!("  - {{name: db{number}, connect: //db{number}.example.com:1521/PROD}}\n"))
        .collect();
    let text = format!(
        "defaults: {{driver: thin, user: reaper, password: {{credential: reaper}}, poll: 30s, labels: {{env: prod}}}}\n\
         databases:\n{entries}policies: [p.yaml]\n"
    );
    assert!(text.lines().count() < 55);
    let config = check("c.yaml", text.as_bytes(), Path::new("")).config.expect("right");
    assert_eq!(config.databases.len(), 50);
    for database in &config.databases {
        assert_eq!(
            (database.driver, database.poll.as_secs(), database.armed),
            (Driver::Thin, 30, false)
        );
        assert_eq!(database.labels.get("env").map(|value| &**value), Some("prod"));
        let password = SecretSource::Credential("reaper".into(), "credentials/reaper".into());
        assert_eq!(
            database.login,
            LoginConfig::Password {
                user: "reaper".into(),
                password
            }
        );
    }
}

#[test]
fn an_entry_overrides_the_defaults_and_these_override_the_configuration() {
    let text = "
defaults: {user: reaper, password: {env: PW}, timezone: Asia/Tokyo, limits: {per_hour: 7}, labels: {env: prod, site: fra},
  blackouts: [{cron: '0 20 * * *', for: 1h, reason: nightly}]}
databases:
  - {name: one, connect: A}
  - {name: two, connect: B, timezone: Europe/Berlin, limits: {per_hour: 9, share: 50%}, labels: {env: test}, user: other,
     tns_admin: tns, blackouts: [{cron: '0 3 * * *', for: 1h, reason: batch}]}
  - {name: three, connect: C, external: true}
policies: [p.yaml]
timezone: America/New_York
limits: {per_hour: 5, per_cycle: 2}
blackouts: [{cron: '0 12 * * *', for: 1h, reason: noon}]
";
    let loaded = check("c.yaml", text.as_bytes(), Path::new("/etc/orareaper"));
    let found: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false)).collect();
    assert_eq!(found, Vec::<String>::new());
    let databases = loaded.config.expect("right").databases;
    let limits = |at: usize| {
        (
            databases[at].limits.per_cycle,
            databases[at].limits.per_hour,
            databases[at].limits.share,
        )
    };
    assert_eq!(limits(0), (Some(2), Some(7), None));
    assert_eq!(limits(1), (Some(2), Some(9), Some(50)));
    let labels = |at: usize| {
        databases[at]
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(0), ["env=prod", "site=fra"]);
    assert_eq!(labels(1), ["env=test", "site=fra"]);
    let user = |at: usize| match &databases[at].login {
        LoginConfig::Password { user, .. } => Some(user.clone()),
        LoginConfig::External => None,
    };
    assert_eq!(
        [user(0), user(1), user(2)],
        [Some("reaper".into()), Some("other".into()), None]
    );
    // The whole client library has one folder, wherever it is set.
    assert!(
        databases
            .iter()
            .all(|database| database.tns_admin.as_deref() == Some(Path::new("/etc/orareaper/tns")))
    );
    let holds = |at: usize, time: &str| {
        let now = format!("2026-11-20T{time}Z").parse().expect("a time");
        let holding = databases[at].blackouts.iter().find(|blackout| blackout.holds(now));
        holding.map(|blackout| blackout.reason.clone())
    };
    // 12:00 in New York for all databases; 20:00 in the time zones of the databases, Tokyo and Berlin.
    for at in 0..2 {
        assert_eq!(holds(at, "17:00:00").as_deref(), Some("noon"));
    }
    assert_eq!(holds(0, "11:30:00").as_deref(), Some("nightly"));
    assert_eq!(holds(1, "19:30:00").as_deref(), Some("nightly"));
    assert_eq!(holds(1, "02:30:00").as_deref(), Some("batch"));
    assert_eq!((holds(0, "19:30:00"), holds(0, "18:30:00")), (None, None));
}

#[test]
fn included_files_have_databases_and_their_mistakes_have_positions() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    let main = folder.path().join("c.yaml");
    write(
        "c.yaml",
        "defaults: {user: reaper, password: {file: pw}}\ninclude: [d/*.yaml]\npolicies: [p.yaml]\n",
    );
    write("d/a.yaml", "databases:\n  - {name: one, connect: A}\n");
    write("d/b.yaml", "databases:\n  - {name: two, connect: B}\n");
    let loaded = super::load(&main);
    assert_eq!(loaded.files, 3);
    let config = loaded.config.expect("right");
    let names: Vec<&str> = config.databases.iter().map(|database| &*database.name).collect();
    assert_eq!(names, ["one", "two"]);
    let password = SecretSource::File(folder.path().join("pw"));
    let of_one = LoginConfig::Password {
        user: "reaper".into(),
        password,
    };
    assert_eq!(
        config.databases[0].login, of_one,
        "a relative path begins at the folder of the configuration"
    );

    write(
        "d/b.yaml",
        "databases:\n  - {name: one, connect: B, password: hunter2}\npolicies: [x]\n",
    );
    let loaded = super::load(&main);
    assert!(loaded.config.is_none());
    let shown = |one: &crate::yaml::diagnostics::Diagnostic| {
        assert!(one.file.ends_with("d/b.yaml"), "{one}");
        assert!(!format!("{one:?}{}", one.render(false)).contains("hunter2"));
        (one.code, one.line)
    };
    let found: Vec<(&str, usize)> = loaded.diagnostics.iter().map(shown).collect();
    assert_eq!(found, [("duplicate-name", 2), ("plain-secret", 2), ("unknown-key", 3)]);
}

#[test]
fn defaults_cannot_arm() {
    let text =
        "defaults: {armed: true, user: a, password: {env: X}}\ndatabases: [{name: a, connect: b}]\npolicies: [p]\n";
    assert_eq!(codes(text), [("armed-by-default", 1, 12)]);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = "
databases:
  - name: Prod
    driver: thick
    connect: //db1/PROD
    user: reaper
    password: {credential: ../x}
    armed: yes
    poll: 15
  - {name: dev, connect: DEV, user: r, password: {envv: X}, external: true}
policies: []
listen: 9763
timezone: Europe/Berln
limits: {share: 20}
colour: blue
";
    let expected = [
        ("bad-name", 3, 11),
        ("unknown-word", 4, 13),
        ("bad-name", 7, 28),
        ("wrong-type", 8, 12),
        ("wrong-type", 9, 11),
        ("conflicting-keys", 10, 31),
        ("conflicting-keys", 10, 40),
        ("empty-list", 11, 11),
        ("bad-address", 12, 9),
        ("unknown-timezone", 13, 11),
        ("wrong-type", 14, 17),
        ("unknown-key", 15, 1),
    ];
    assert_eq!(codes(text), expected);
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for line in [
        "password: hunter2",
        "password: 'hunter2",
        "password: *hunter2",
        "password: !hunter2 x",
        "password: &hunter2",
        "password: {hunter2: x}",
        "password: {file: a, hunter2: x}",
        "password: [hunter2]",
        "password: {plain: hunter2}",
        "pasword: hunter2",
        "password: @hunter2",
        "password: |\n      hunter2",
        "password: {credential: a}\n    connect: r/hunter2@db",
        // A quote that is never closed includes the following lines, and a password in them.
        "armed: 'x\n    password: hunter2\n    poll: y'",
        "poll: '5 password: hunter2'",
        "password: {credential: a}\n    'x password: hunter2': 1",
    ] {
        let text = format!("databases:\n  - name: prod\n    user: r\n    {line}\n    connectt: x\npolicies: [p]\n");
        let loaded = check("c.yaml", text.as_bytes(), Path::new(""));
        assert!(loaded.config.is_none(), "{line}");
        for one in &loaded.diagnostics {
            let shown = format!("{one}\n{}\n{:?}", one.render(false), one);
            assert!(!shown.contains("hunter2"), "{line}: {shown}");
        }
    }
}

#[test]
fn a_file_that_is_not_a_configuration_is_refused() {
    assert_eq!(codes(""), [("empty-file", 0, 0)]);
    assert_eq!(codes("- a\n"), [("wrong-type", 1, 3)]);
    assert_eq!(codes("databases: []\npolicies: [p]\n"), [("bad-list", 1, 12)]);
    assert_eq!(
        codes("listen: 127.0.0.1:1\n"),
        [("missing-key", 1, 1), ("missing-key", 1, 1)]
    );
    assert_eq!(
        codes("databases: [{name: a, connect: b, user: c}]\npolicies: [p]\n"),
        [("missing-key", 1, 13)]
    );
}

/// The rows of the table in each section: key and default as they are written, without backquotes.
fn reference() -> Vec<(String, Vec<(String, String)>)> {
    let page =
        |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there");
    let notify = page("docs/notify.md");
    // Its other tables are of what receivers get.
    let (keys, _) = notify.split_once("## The events").expect("the section after the keys");
    let text = page("docs/configuration.md") + keys;
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push((title.to_owned(), Vec::new()));
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let rows = &mut sections.last_mut().expect("a section before a table").1;
            rows.push((cells[1].to_owned(), cells[2].to_owned()));
        }
    }
    sections
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let written: Vec<(String, Vec<String>)> = reference()
        .into_iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(title, rows)| {
            let mut keys: Vec<String> = rows.into_iter().map(|(key, _)| key).collect();
            keys.sort();
            (title, keys)
        })
        .collect();
    let sections: [(&str, &[&str]); 8] = [
        ("The file", &read::KEYS),
        ("A database", &database::DATABASE_KEYS),
        ("Limits", &crate::policy::DATABASE_LIMIT_KEYS),
        ("A blackout", &read::BLACKOUT_KEYS),
        ("The journal", &super::retention::JOURNAL_KEYS),
        ("A password", &database::SECRET_KEYS),
        ("The keys", &super::notify::NOTIFY_KEYS),
        ("A receiver", &super::notify::RECEIVER_KEYS),
    ];
    let read: Vec<(String, Vec<String>)> = sections
        .into_iter()
        .map(|(title, keys)| {
            let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            keys.sort();
            (title.to_owned(), keys)
        })
        .collect();
    assert_eq!(written, read);
}

#[test]
fn the_reference_has_the_defaults_of_the_code() {
    let whole = |file: &str, database: &str, limits: &str| {
        let text = format!(
            "databases:\n  - {{name: a, connect: b, user: u, password: {{env: X}}{database}}}\npolicies: [p]\nlimits: {{per_day: 999{limits}}}\n{file}"
        );
        let loaded = check("c.yaml", text.as_bytes(), Path::new(""));
        let found: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false)).collect();
        let mut config = loaded.config.unwrap_or_else(|| panic!("{}", found.join("\n")));
        // The defaults of limits apply where limits take effect; a configuration has only what it says.
        let limits = [&config.limits, &config.databases[0].limits].map(EffectiveLimits::of);
        (config.limits, config.databases[0].limits) = (Limits::default(), Limits::default());
        format!("{config:?} {limits:?}")
    };
    const RECEIVERS: &str = "receivers: [{name: a, kind: json, url: https://h}]";
    let unsaid = whole("", "", "");
    let told_somebody = whole(&format!("notify: {{{RECEIVERS}}}\n"), "", "");
    let mut told = 0;
    for (title, rows) in reference() {
        for (key, default) in rows {
            if ["required", "none", "see below", "all", "all but `intent"].contains(&default.as_str()) {
                continue;
            }
            let said = match title.as_str() {
                "The file" => whole(&format!("{key}: {default}\n"), "", ""),
                "A database" => whole("", &format!(", {key}: {default}"), ""),
                "Limits" => whole("", "", &format!(", {key}: {default}")),
                "The journal" => whole(&format!("journal: {{{key}: {default}}}\n"), "", ""),
                "The keys" => whole(&format!("notify: {{{key}: {default}, {RECEIVERS}}}\n"), "", ""),
                "A receiver" => {
                    let receivers = RECEIVERS.replace("}]", &format!(", {key}: {default}}}]"));
                    whole(&format!("notify: {{{receivers}}}\n"), "", "")
                }
                other => panic!("a default in {other}"),
            };
            let of_receivers = ["The keys", "A receiver"].contains(&title.as_str());
            assert_eq!(
                said,
                if of_receivers { &told_somebody } else { &unsaid }.clone(),
                "{key}: {default}"
            );
            told += 1;
        }
    }
    assert_eq!(told, 25, "the number of defaults in the reference");
}

#[test]
fn a_descriptor_may_stand_in_several_lines() {
    let connect_of = |connect: &str| {
        let text = format!("databases:\n  - name: a\n    external: true\n    connect: {connect}\npolicies: [p]\n");
        let loaded = check("c.yaml", text.as_bytes(), Path::new(""));
        loaded.config.map(|config| config.databases[0].connect.clone())
    };
    let lines = "(DESCRIPTION=\n\t  (ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))\n        (CONNECT_DATA=\n          (SERVICE_NAME=shop)))";
    let indented = lines.replace('\n', "\n      ").replace('\t', "  ");
    for style in ["|", "|-", ">", ">-"] {
        assert_eq!(
            connect_of(&format!("{style}\n      {indented}")).as_deref(),
            Some("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=shop)))"),
            "{style}"
        );
    }
    // An alias or an address has no lines.
    assert_eq!(connect_of("|\n      //db1/shop\n      //db2/shop"), None);
}

/// A configuration with these receivers.
fn with_receivers(receivers: &str) -> String {
    format!(
        "databases: [{{name: prod, connect: b, external: true, labels: {{env: live}}}}]\npolicies: [p]\nnotify:\n  receivers:\n{receivers}"
    )
}

#[test]
fn every_kind_of_receiver_is_read() {
    use super::notify::{DeliveryWay, ReceiverUrl, WebLogin};
    let text = with_receivers(
        "    - {name: a, kind: json, url: 'https://h/x', basic: {user: u, password: {file: pw}}, rate: 5, queue: 7, timeout: 3s, give_up: 1m}
    - {name: b, kind: slack, url: {credential: b}, events: [intent, pause], severity: critical}
    - {name: c, kind: alertmanager, url: http://127.0.0.1:9093, bearer: {env: T}, databases: [prod, env=live], policies: ['idle-*']}
    - {name: d, kind: program, command: [/bin/true, \"two words\", '']}
",
    );
    let loaded = check("c.yaml", text.as_bytes(), Path::new("/etc/orareaper"));
    let found: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let notify = loaded.config.and_then(|config| config.notify);
    let notify = notify.unwrap_or_else(|| panic!("{found:?}"));
    let [a, b, c, d] = notify.receivers.as_slice() else {
        panic!("four receivers")
    };
    let DeliveryWay::Web(web) = &a.way else {
        panic!("a web server")
    };
    assert_eq!(web.url, ReceiverUrl::Written("https://h/x".into()));
    let password = SecretSource::File("/etc/orareaper/pw".into());
    assert_eq!(web.login, WebLogin::Basic("u".into(), password));
    assert_eq!(
        (a.rate, a.queue, a.timeout.as_secs(), a.give_up.as_secs()),
        (5, 7, 3, 60)
    );
    assert!(!a.filter.events.contains(&super::NoticeKind::Intent) && a.filter.events.len() == 12);
    assert_eq!(b.filter.events, [super::NoticeKind::Intent, super::NoticeKind::Pause]);
    assert_eq!(b.secrets().len(), 1);
    assert_eq!(
        (c.filter.databases.len(), c.filter.policies.len(), c.secrets().len()),
        (2, 1, 1)
    );
    assert_eq!(
        d.way,
        DeliveryWay::Program(vec!["/bin/true".into(), "two words".into(), String::new()])
    );
    let hours: Vec<i64> = notify.before.iter().map(chrono::TimeDelta::num_hours).collect();
    assert_eq!(hours, [24, 168]);
}

#[test]
fn a_program_that_others_can_change_or_that_is_not_there_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("tell");
    let mode = |mode: u32| {
        std::fs::write(&program, "#!/bin/sh\n").expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).expect("its owner may");
    };
    let file = folder.path().join("orareaper.yaml");
    let text = with_receivers(&format!(
        "    - {{name: d, kind: program, command: [{}]}}\n",
        program.display()
    ));
    std::fs::write(&file, text).expect("written");
    let told = || {
        let loaded = super::load(&file);
        let told: Vec<String> = loaded.diagnostics.iter().map(|one| one.render(false)).collect();
        (loaded.config.is_some(), told.concat())
    };
    let (fine, text) = told();
    assert!(!fine && text.contains("No such file"), "{text}");
    mode(0o644);
    let (fine, text) = told();
    assert!(
        !fine && text.contains("nobody may execute it") && text.contains("chmod 755"),
        "{text}"
    );
    mode(0o757);
    let (fine, text) = told();
    assert!(
        !fine && text.contains("every user of this host can change it"),
        "{text}"
    );
    mode(0o755);
    assert_eq!(told(), (true, String::new()));
}

#[test]
fn a_filter_that_nothing_can_pass_gives_a_warning() {
    let text = with_receivers(
        "    - {name: a, kind: json, url: 'https://h', databases: [prd, env=live], policies: ['idle-*', typo]}\n",
    );
    let config = check("c.yaml", text.as_bytes(), Path::new("")).config.expect("valid");
    let databases = [(std::sync::Arc::from("prod"), config.databases[0].labels.clone())];
    let notify = config.notify.expect("it is there");
    let found = super::notify::unmatched_filters("c.yaml", &notify, &["idle-app", "by hand"], &databases);
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the receiver `a` is for the policy `typo`, but there is no such policy",
            "the receiver `a` is for the database `prd`, but there is no such database"
        ]
    );
}
