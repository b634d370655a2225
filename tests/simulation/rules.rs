//! Policies, each of them twice: in the policy language, for the daemon, and as plain conditions over the simulated database, for
//! the judge.

use std::fmt::Write as _;

use orareaper::policy::model::PolicySet;

use super::base::{Base, Clause, Session};
use super::chance::Chance;

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

/// `while: sessions above N`, with or without an `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) above: i64,
    pub(crate) below: Option<i64>,
    /// As a share of the limit, in percent.
    pub(crate) percent: bool,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    pub(crate) longer_than: i64,
    pub(crate) hold: i64,
    pub(crate) enforces: bool,
    pub(crate) action: Clause,
    /// Seconds after the action before, and the next one.
    pub(crate) escalate: Vec<(i64, Clause)>,
    pub(crate) per_cycle: Option<usize>,
    pub(crate) per_hour: Option<usize>,
    pub(crate) per_day: Option<usize>,
    pub(crate) respawns: Option<usize>,
    /// So many sessions of each account stay.
    pub(crate) keeps: Option<usize>,
    pub(crate) gate: Option<Gate>,
    /// The hours of the day at which it acts: from, and how many.
    pub(crate) hours: Option<(i64, i64)>,
}

/// How a clause is written in a policy.
pub(crate) fn written(clause: Clause) -> &'static str {
    match clause {
        Clause::Kill => "kill",
        Clause::KillImmediate => "kill immediate",
        Clause::KillForce => "kill force",
        Clause::DisconnectPostTransaction => "disconnect post_transaction",
        Clause::DisconnectImmediate => "disconnect immediate",
        Clause::CancelSql => "cancel sql",
    }
}

impl Rule {
    pub(crate) fn draw(chance: &mut Chance, name: String) -> Rule {
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
            Clause::Kill,
            Clause::Kill,
            Clause::KillImmediate,
            Clause::DisconnectImmediate,
            Clause::DisconnectPostTransaction,
        ];
        let action = if wanted == Wanted::Running && chance.one_in(2) {
            Clause::CancelSql
        } else {
            *chance.pick(&ends)
        };
        let mut some = |of: u64, low: u64, high: u64| {
            let one = chance.one_in(of).then(|| chance.between(low, high));
            one.map(|one| usize::try_from(one).expect("small"))
        };
        let (per_cycle, per_hour, per_day) = (some(3, 1, 4), some(3, 3, 12), some(4, 4, 20));
        let (respawns, keeps) = (some(3, 1, 3), some(5, 1, 3));
        Rule {
            name,
            wanted,
            longer_than: *chance.pick(&[60, 600, 1800]),
            hold: *chance.pick(&[0, 0, 0, 120, 600]),
            enforces: !chance.one_in(8),
            action,
            escalate: Rule::ladder(chance, action),
            per_cycle,
            per_hour,
            per_day,
            respawns,
            keeps,
            gate: Rule::gate(chance),
            hours: chance.one_in(6).then(|| (chance.some(0, 23), chance.some(2, 12))),
        }
    }

    fn ladder(chance: &mut Chance, action: Clause) -> Vec<(i64, Clause)> {
        let mut ladder = Vec::new();
        if chance.one_in(3) {
            let mut last = action;
            for next in [Clause::Kill, Clause::KillImmediate, Clause::KillForce] {
                if next.strength() > last.strength() && !chance.one_in(3) {
                    ladder.push((*chance.pick(&[60, 300, 1200]), next));
                    last = next;
                }
            }
        }
        ladder
    }

    fn gate(chance: &mut Chance) -> Option<Gate> {
        if !chance.one_in(4) {
            return None;
        }
        let percent = chance.one_in(2);
        let above = if percent {
            chance.some(10, 60)
        } else {
            chance.some(4, 24)
        };
        let below = chance.one_in(2).then(|| above - chance.some(0, 6).min(above - 1));
        Some(Gate { above, below, percent })
    }

    /// Its ladder, from the first action on.
    pub(crate) fn actions(&self) -> impl Iterator<Item = Clause> {
        [self.action].into_iter().chain(self.escalate.iter().map(|rung| rung.1))
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
        let mut add = |line: String| writeln!(text, "    {line}").expect("a string");
        let limits = [
            ("per_cycle", self.per_cycle),
            ("per_hour", self.per_hour),
            ("per_day", self.per_day),
            ("respawns", self.respawns),
        ];
        let limits: Vec<String> = limits
            .into_iter()
            .filter_map(|(what, limit)| Some(format!("{what}: {}", limit?)))
            .collect();
        if !limits.is_empty() {
            add(format!("limits: {{{}}}", limits.join(", ")));
        }
        if self.hold > 0 {
            add(format!("for: {}s", self.hold));
        }
        if let Some(least) = self.keeps {
            add(format!("keep: {{at_least: {least}, per: [username]}}"));
        }
        if let Some(Gate { above, below, percent }) = self.gate {
            let unit = if percent { "%" } else { "" };
            add(format!("while: sessions above {above}{unit}"));
            if let Some(below) = below {
                add(format!("until: sessions below {below}{unit}"));
            }
        }
        if let Some((from, hours)) = self.hours {
            let hours: Vec<String> = (from..from + hours).map(|hour| (hour % 24).to_string()).collect();
            add(format!("schedule: '* {} * * *'", hours.join(",")));
        }
        add(format!("action: {}", written(self.action)));
        if !self.escalate.is_empty() {
            add("escalate:".to_owned());
            for (after, clause) in &self.escalate {
                add(format!("  - {{after: {after}s, action: {}}}", written(*clause)));
            }
        }
        text
    }

    /// Whether a session deserves it, by the database's own truth; how long it has is another question.
    pub(crate) fn wants(&self, session: &Session, base: &Base) -> bool {
        self.wants_by(base.clock(), session, base)
    }

    /// The same in a snapshot, whose clock is read first: by that it is known how long a session has been connected, however long its row
    /// takes.
    pub(crate) fn wants_by(&self, clock: i64, session: &Session, base: &Base) -> bool {
        let since_call = base.now - session.since > self.longer_than;
        let idle = session.status() == "INACTIVE" && since_call;
        let in_transaction = session.transaction.is_some();
        match self.wanted {
            Wanted::Idle => idle && !in_transaction,
            Wanted::IdleInTransaction => idle && in_transaction,
            Wanted::Running => {
                session.status() == "ACTIVE" && since_call && matches!(session.user(), "APP" | "REPORTS" | "CRM")
            }
            Wanted::Everybody => clock - session.key.logon > self.longer_than,
            Wanted::Blockers => idle && base.blocks(session),
            Wanted::OneAccount => idle && session.user() == "APP",
        }
    }

    /// Whether its condition is about what a session is doing, so that being used breaks it.
    pub(crate) fn is_about_work(&self) -> bool {
        self.wanted != Wanted::Everybody
    }

    /// Whether it ends sessions, and all of those it wants: they may be expected to go.
    pub(crate) fn ends_all_it_wants(&self) -> bool {
        let certain = !matches!(self.wanted, Wanted::Blockers | Wanted::Everybody);
        let ends = matches!(
            self.action,
            Clause::Kill | Clause::KillImmediate | Clause::DisconnectImmediate
        );
        certain && ends && self.enforces && self.keeps.is_none() && self.gate.is_none() && self.hours.is_none()
    }
}

impl Base {
    /// Whether anybody waits for the session.
    fn blocks(&self, session: &Session) -> bool {
        let seat = Some((session.key.inst, session.key.sid));
        self.sessions.iter().any(|other| other.waits_for == seat)
    }
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
