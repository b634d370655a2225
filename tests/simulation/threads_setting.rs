//! The setting of a run: a database full of sessions, and two sets of policies that select some of them, all drawn from the seed.
//!
//! Each policy exists twice: in the policy language, for the daemon, and as a plain function over the state of the simulated
//! database, for the checks. Sessions that must never be touched are in groups whose names begin with `safe`.

use orareaper::policy::model::{Limits, PolicySet};
use orasim::{Scenario, SessionView};
use std::fmt::Write as _;

use super::chance::Chance;

/// The daemon's account.
pub(crate) const REAPER: &str = "REAPER";

/// A run's setting.
pub(crate) struct Setting {
    pub(crate) scenario: Scenario,
    pub(crate) instances: u32,
    /// Two sets, between which reloads change.
    pub(crate) sets: [Vec<Rule>; 2],
    pub(crate) limits: Limits,
}

/// Whom a policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Idle,
    IdleInTransaction,
    Running,
    Everybody,
    Blockers,
    OneAccount,
}

/// A policy.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    pub(crate) longer_than: i64,
    pub(crate) hold: i64,
    pub(crate) enforces: bool,
    pub(crate) action: &'static str,
    pub(crate) per_cycle: Option<u32>,
    pub(crate) per_hour: Option<u32>,
    pub(crate) keeps: bool,
}

impl Rule {
    fn draw(chance: &mut Chance, name: String) -> Rule {
        let wanted = *chance.pick(&[
            Wanted::Idle,
            Wanted::Idle,
            Wanted::IdleInTransaction,
            Wanted::Running,
            Wanted::Everybody,
            Wanted::Blockers,
            Wanted::OneAccount,
        ]);
        let ends = [
            "kill",
            "kill",
            "kill immediate",
            "disconnect immediate",
            "disconnect post_transaction",
        ];
        let action = if wanted == Wanted::Running && chance.one_in(2) {
            "cancel sql"
        } else {
            chance.pick(&ends)
        };
        Rule {
            name,
            wanted,
            longer_than: *chance.pick(&[60, 600, 1800]),
            hold: *chance.pick(&[0, 0, 0, 120, 600]),
            enforces: !chance.one_in(4),
            action,
            per_cycle: chance
                .one_in(3)
                .then(|| u32::try_from(chance.between(1, 4)).expect("small")),
            per_hour: chance
                .one_in(3)
                .then(|| u32::try_from(chance.between(3, 12)).expect("small")),
            keeps: chance.one_in(5),
        }
    }

    /// In the policy language.
    fn text(&self) -> String {
        let longer = self.longer_than;
        let when = match self.wanted {
            Wanted::Idle => format!("INACTIVE longer than {longer}s and not in transaction"),
            Wanted::IdleInTransaction => format!("INACTIVE longer than {longer}s and in transaction"),
            Wanted::Running => format!("running longer than {longer}s and username in (APP, REPORTS, CRM)"),
            Wanted::Everybody => format!("connected longer than {longer}s"),
            Wanted::Blockers => format!("blocking and INACTIVE longer than {longer}s"),
            Wanted::OneAccount => format!("username = APP and INACTIVE longer than {longer}s"),
        };
        let mode = if self.enforces { "enforce" } else { "dry-run" };
        let mut text = format!("  - name: {}\n    mode: {mode}\n    when: {when}\n", self.name);
        let limits: Vec<String> = [("per_cycle", self.per_cycle), ("per_hour", self.per_hour)]
            .into_iter()
            .filter_map(|(what, limit)| Some(format!("{what}: {}", limit?)))
            .collect();
        if !limits.is_empty() {
            writeln!(text, "    limits: {{{}}}", limits.join(", ")).expect("a string");
        }
        if self.hold > 0 {
            writeln!(text, "    for: {}s", self.hold).expect("a string");
        }
        if self.keeps {
            text.push_str("    keep: {at_least: 2, per: [username]}\n");
        }
        writeln!(text, "    action: {}", self.action).expect("a string");
        text
    }
}

/// Whether nobody may ever touch the session.
pub(crate) fn is_safe(session: &SessionView) -> bool {
    let program = session.program.as_deref().unwrap_or_default();
    session.background
        || session.group.as_deref().is_some_and(|group| group.starts_with("safe"))
        || session.username.as_deref().is_none_or(|name| name == REAPER)
        || program.contains("(P0")
        || matches!(session.status, "KILLED" | "CACHED")
        || session.group.as_deref() == Some("large-undo") && session.in_transaction
}

/// The policies as the daemon loads them.
pub(crate) fn load(rules: &[Rule]) -> PolicySet {
    let mut text = String::from(
        "exemptions:\n  - {when: username = VIP, reason: the board, owner: dba, until: 2030-12-31}\npolicies:\n",
    );
    for rule in rules {
        text.push_str(&rule.text());
    }
    let files = [("policies.yaml".to_owned(), text.clone().into_bytes())];
    let day = "2026-11-23".parse().expect("a day");
    let loaded = orareaper::policy::check_files(&files, day, chrono_tz::UTC);
    loaded.set.unwrap_or_else(|| {
        let problems: Vec<String> = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
        panic!("{}\n{text}", problems.join("\n"))
    })
}

impl Setting {
    /// Draws one.
    pub(crate) fn draw(seed: u64, chance: &mut Chance) -> Setting {
        let instances = u32::try_from(chance.between(1, 3)).expect("small");
        let reconnecting = chance.one_in(3);
        let text = scenario(seed, instances, reconnecting, chance);
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut set = |prefix: &str| -> Vec<Rule> {
            (0..chance.between(2, 5))
                .map(|number| Rule::draw(chance, format!("{prefix}{number}")))
                .collect()
        };
        let sets = [set("a"), set("b")];
        let small = |chance: &mut Chance, low, high| u32::try_from(chance.between(low, high)).expect("small");
        let limits = Limits {
            per_cycle: Some(small(chance, 1, 6)),
            per_hour: Some(small(chance, 6, 30)),
            per_day: None,
            // An open breaker would keep most runs from doing anything at all.
            share: Some(if chance.one_in(6) { 30 } else { 100 }),
            undo_records: Some(100_000),
            respawns: None,
            parallel: u32::try_from(1 + seed % 4).ok(),
        };
        Setting {
            scenario,
            instances,
            sets,
            limits,
        }
    }
}

/// Groups of sessions: name, at most so many, and what they are like.
const GROUPS: &[(&str, u64, &str)] = &[
    (
        "pool",
        3,
        "user: APP, program: JDBC Thin Client, cycle: {busy: 1s..20s, idle: 5s..3m}",
    ),
    ("idle", 10, "user: APP, program: JDBC Thin Client, idle: 1m..5h"),
    ("tools", 5, "user: CRM, program: SQL Developer, idle: 1m..5h"),
    (
        "walked-away",
        3,
        "user: CRM, program: Toad.exe, idle: 5m..3h, transaction: {age: 4h, undo_records: 1..5000}",
    ),
    (
        "waiting",
        3,
        "user: CRM, program: JDBC Thin Client, active: 2m..90m, blocked_by: walked-away",
    ),
    ("reports", 4, "user: REPORTS, program: python3, active: 5m..5h"),
    (
        "parallel",
        1,
        "user: REPORTS, program: sqlplus, active: 20m..5h, px_servers: 2",
    ),
    (
        "later",
        3,
        "user: APP, program: JDBC Thin Client, idle: 1m..2h, later: true",
    ),
    ("safe-exempt", 2, "user: VIP, program: SQL Developer, idle: 1m..5h"),
    ("safe-sys", 2, "user: SYS, program: sqlplus, idle: 1m..5h"),
    ("safe-monitor", 1, "user: DBSNMP, program: emagent, idle: 1m..5h"),
    (
        "safe-maintained",
        1,
        "user: ORDS_METADATA, program: JDBC Thin Client, idle: 1m..5h",
    ),
    (
        "safe-backup",
        2,
        "user: APP, program: 'rman@{host} (TNS V1-V3)', idle: 1m..5h",
    ),
    (
        "safe-job",
        2,
        "user: APP, program: 'oracle@{host} (J001)', active: 5m..5h",
    ),
    (
        "safe-capture",
        1,
        "user: APP, program: 'extract@{host} (TNS V1-V3)', idle: 1m..5h",
    ),
    (
        "xa",
        1,
        "user: APP, program: JDBC Thin Client, idle: 1m..5h, parked: cached",
    ),
    (
        "large-undo",
        1,
        "user: APP, program: JDBC Thin Client, idle: 1m..5h, transaction: {age: 6h, undo_records: 200000}",
    ),
    ("safe-own", 1, "user: REAPER, program: sqlplus, idle: 1m..5h"),
];

/// What may become of a group's sessions when they are killed.
const WHEN_KILLED: &[&str] = &[
    "{}",
    "{marked: true, lingers: 3m}",
    "{lingers: 90s}",
    "{notices: 20m, rollback: 20}",
    "{notices: 5s, rollback: 500}",
    RECONNECTS,
];

/// Its client comes back.
const RECONNECTS: &str = "{reconnects: 5s..2m}";

fn scenario(seed: u64, instances: u32, reconnecting: bool, chance: &mut Chance) -> String {
    let mut text = format!(
        "release: {}\nseed: {seed}\nstarts: 2026-11-23T08:00:00\nspeed: 0\ndatabase: {{name: SIM}}\ninstances:\n",
        chance.pick(&["19.22.0.0.0", "23.6.0.0.0", "12.2.0.1.0"])
    );
    for number in 1..=instances {
        writeln!(text, "  - {{number: {number}, name: sim{number}, host: host{number}}}").expect("a string");
    }
    text.push_str(
        "accounts:\n  REAPER: {password: reaper}\n  DBSNMP: {password: x, oracle_maintained: true}\n  \
         ORDS_METADATA: {password: x, oracle_maintained: true}\n",
    );
    text.push_str("sessions:\n");
    for (name, most, rest) in GROUPS {
        let count = chance.between(1, *most);
        let killed = *chance.pick(WHEN_KILLED);
        let killed = if killed == RECONNECTS && !reconnecting {
            "{}"
        } else {
            killed
        };
        writeln!(
            text,
            "  - {{name: {name}, count: {count}, when_killed: {killed}, {rest}}}"
        )
        .expect("a string");
    }
    text.push_str("events:\n");
    for event in ["spawn: later", "wake: idle", "wake: tools"] {
        writeln!(text, "  - {{at: {}m, {event}}}", chance.between(3, 60)).expect("a string");
    }
    text
}
