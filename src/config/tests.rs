//! Whole configurations, right and wrong.

use std::path::{Path, PathBuf};

use super::{Driver, Login, SecretSource, check};

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
fn a_whole_configuration_means_what_it_says() {
    let loaded = check("c.yaml", WHOLE.as_bytes(), Path::new("/etc/orareaper"));
    assert_eq!(
        loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    let config = loaded.config.expect("no problem, so a configuration");
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
    let password = SecretSource::Credential("prod".into());
    assert_eq!(
        prod.login,
        Login::Password {
            user: "reaper".into(),
            password
        }
    );
    assert_eq!(
        (&*dev.name, dev.driver, dev.armed, &dev.login),
        ("dev.2", Driver::Oci, false, &Login::External)
    );
    assert_eq!(dev.poll.as_secs(), 15);
    assert_eq!(
        config.policies,
        [PathBuf::from("/etc/orareaper/policies/*.yaml"), "/srv/policies".into()]
    );
    assert_eq!(config.state, Path::new("/etc/orareaper/state"));
    assert_eq!(
        (config.limits.per_cycle, config.limits.per_hour, config.limits.share),
        (Some(3), Some(20), Some(20))
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
        // A quote that was never closed swallows the lines after it, a password among them.
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
fn what_is_no_configuration_says_so() {
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
