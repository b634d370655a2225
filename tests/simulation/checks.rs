//! The checks: compares everything that was sent with the state of the simulated database and the journal on the disk.
//!
//! The checks know nothing of snapshots, conditions or plans. A statement is right if a policy selects the session that it hit, if
//! its intent was on the disk before, and if no budget was exceeded, whatever the daemon decided.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use orareaper::actuator::carry_out::{Answered, Intending};
use orareaper::decide::cycle::Memory;
use orareaper::decide::in_force::RunMode;
use orareaper::decide::outcome::Outcome;
use orareaper::journal;
use orareaper::policy::model::Limits;
use orareaper::session::SessionKey;
use orasim::{Clause, KillRecord, SessionView, World};

use super::setting::{REAPER, Rule, is_safe};

/// An action under way.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) id: u64,
    pub(crate) key: SessionKey,
    pub(crate) policy: String,
    pub(crate) mode: RunMode,
    pub(crate) issued: DateTime<Utc>,
}

/// A statement that reached the database.
#[derive(Clone, Debug)]
struct Sent {
    by: Current,
    clause: Clause,
    answer: Option<u32>,
}

/// What is known of a run from outside the daemon.
pub(crate) struct Truth {
    pub(crate) world: Arc<World>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    /// As the daemon was last told.
    pub(crate) armed: bool,
    pub(crate) paused: bool,
    accounted: usize,
    sent: Vec<Sent>,
    pub(crate) current: Option<Current>,
}

impl Truth {
    pub(crate) fn new(world: Arc<World>, rules: Vec<Rule>, limits: Limits) -> Truth {
        Truth {
            world,
            rules,
            limits,
            armed: true,
            paused: false,
            accounted: 0,
            sent: Vec::new(),
            current: None,
        }
    }

    /// Statements that reached the database.
    pub(crate) fn statements(&self) -> usize {
        self.sent.len()
    }

    /// Nothing was sent but by an action under way.
    pub(crate) fn nothing_else_was_sent(&self) {
        let all = self.world.kills();
        assert!(
            all.len() == self.accounted,
            "sent without an intent: {:?}",
            &all[self.accounted..]
        );
    }

    /// An intent that is said to be on the disk is there.
    pub(crate) fn begin(&mut self, intending: &Intending<'_>, state: &Path) {
        self.nothing_else_was_sent();
        let text = std::fs::read_to_string(journal::file(state, 0)).expect("a journal");
        let wanted = format!("\"id\":{},", intending.action_id);
        let there = text
            .lines()
            .rev()
            .take(50)
            .any(|line| line.contains("\"intent\"") && line.contains(&wanted));
        assert!(
            there && text.ends_with('\n'),
            "intent {} is not on the disk",
            intending.action_id
        );
        self.current = Some(Current {
            id: intending.action_id,
            key: intending.warrant.key(),
            policy: intending.warrant.policy().name.to_string(),
            mode: intending.warrant.mode(),
            issued: intending.warrant.issued(),
        });
    }

    /// What the action under way sent, if anything.
    pub(crate) fn end(&mut self, answered: &Answered<'_>) {
        let before = self.sent.len();
        self.take();
        let sent = self.sent.len() - before;
        let Some(current) = self.current.take() else { return };
        assert_eq!(current.id, answered.action_id);
        let simulated = answered.message.as_ref().is_some_and(|told| told.contains("simulated"));
        if answered.outcome == Outcome::AlreadyGone && !simulated {
            self.is_gone(current.key);
        }
        if answered.statement.is_none() || current.mode == RunMode::DryRun {
            assert_eq!(sent, 0, "{:?} was sent although it was not", self.sent.last());
        }
        // A number that the database itself gives to a statement that reached it.
        if let Some(last) = self.sent[before..].last()
            && let Some(code) = answered.code
            && let Some(answer) = last.answer
            && !simulated
        {
            assert_eq!(answer, code, "{current:?}");
        }
    }

    /// Holds everything new that reached the database against the action under way.
    pub(crate) fn take(&mut self) {
        let all = self.world.kills();
        let new = &all[self.accounted..];
        self.accounted = all.len();
        assert!(new.len() <= 1, "more than one statement for one warrant: {new:?}");
        let Some(record) = new.first() else { return };
        let current = self
            .current
            .clone()
            .unwrap_or_else(|| panic!("sent without an intent: {record:?}"));
        self.check(record, &current);
        self.sent.push(Sent {
            by: current,
            clause: record.clause,
            answer: record.answer,
        });
        self.check_budgets();
    }

    fn check(&self, record: &KillRecord, current: &Current) {
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.name == current.policy)
            .unwrap_or_else(|| panic!("nobody's policy: {current:?}"));
        let key = current.key;
        assert_eq!(record.by, REAPER);
        assert_eq!(record.target, (key.inst_id, key.sid, key.serial), "{record:?}");
        assert!(
            current.mode == RunMode::Enforce && rule.enforces && self.armed && !self.paused,
            "sent while armed is {} and paused {} by {rule:?}: {record:?}",
            self.armed,
            self.paused
        );
        match &record.hit {
            Some(hit) => {
                assert!(!is_safe(hit), "a protected session: {record:?}");
                assert_eq!(hit.logon_time.and_utc().timestamp(), key.logon_time.0, "{record:?}");
                assert!(rule.wants(hit, record.at), "{rule:?} does not want {hit:?}");
                assert!(!self.is_out_of_sight(hit.instance), "it could not be seen: {record:?}");
            }
            None => assert!(
                matches!(record.answer, Some(30 | 26)),
                "it hit nobody and was answered otherwise: {record:?}"
            ),
        }
        for earlier in self.sent.iter().filter(|earlier| earlier.by.key == key) {
            assert!(
                earlier.by.issued < current.issued,
                "twice in one cycle: {earlier:?} {record:?}"
            );
            let accepted = matches!(earlier.answer, None | Some(0 | 31));
            let apart = current.issued - earlier.by.issued;
            assert!(
                !accepted || earlier.clause == Clause::CancelSql || apart >= TimeDelta::hours(1),
                "again, {apart} after {earlier:?}: {record:?}"
            );
        }
    }

    /// Every budget that the newest statement takes from. One that met nobody took nothing. Of several that act, one may send after another
    /// whose warrant is of a later cycle, so each later cycle is checked too.
    fn check_budgets(&self) {
        let newest = self.sent.last().expect("just sent");
        let counted = |end: DateTime<Utc>, period: TimeDelta, policy: Option<&str>| {
            let count = self.sent.iter().filter(|sent| {
                let age = end - sent.by.issued;
                age >= TimeDelta::zero()
                    && age < period
                    && !matches!(sent.answer, Some(30))
                    && policy.is_none_or(|policy| sent.by.policy == policy)
            });
            u32::try_from(count.count()).expect("few")
        };
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.name == newest.by.policy)
            .expect("known");
        let name = Some(rule.name.as_str());
        let (cycle, hour) = (TimeDelta::milliseconds(1), TimeDelta::hours(1));
        let budgets = [
            (self.limits.per_cycle, cycle, None),
            (self.limits.per_hour, hour, None),
            (rule.per_cycle, cycle, name),
            (rule.per_hour, hour, name),
        ];
        let ends = self.sent.iter().map(|sent| sent.by.issued);
        for end in ends.filter(|end| *end >= newest.by.issued) {
            for (limit, period, policy) in budgets {
                let count = counted(end, period, policy);
                assert!(
                    limit.is_none_or(|limit| count <= limit),
                    "{count} in {period} until {end} by {policy:?} are above {limit:?}: {newest:?}"
                );
            }
        }
    }

    /// Whether the instance's sessions are missing from GV$SESSION for the daemon: its own instance answers in any case.
    fn is_out_of_sight(&self, instance: u32) -> bool {
        let own = |session: &SessionView| {
            session.instance == instance && session.group.is_none() && session.username.as_deref() == Some(REAPER)
        };
        self.world.is_hidden(instance) && !self.world.sessions().iter().any(own)
    }

    /// The session is gone, as the daemon says.
    pub(crate) fn is_gone(&self, key: SessionKey) {
        let there = self
            .world
            .session(key.inst_id, key.sid)
            .filter(|session| is(session, key));
        assert!(there.is_none(), "said to be gone: {there:?}");
    }

    /// Whom the rules want gone and nothing keeps.
    pub(crate) fn wanted_gone(&self, rules: &[Rule]) -> Vec<SessionView> {
        let now = self.world.now();
        let wanted = |session: &SessionView| {
            rules
                .iter()
                .any(|rule| rule.ends_all_it_wants() && rule.wants(session, now) && rule.finds_surely(session))
        };
        let mut sessions = self.world.sessions();
        sessions.retain(|session| !is_safe(session) && wanted(session));
        sessions
    }
}

/// Whether the session is the key's.
pub(crate) fn is(session: &SessionView, key: SessionKey) -> bool {
    (session.instance, session.sid, session.serial) == (key.inst_id, key.sid, key.serial)
        && session.logon_time.and_utc().timestamp() == key.logon_time.0
}

/// What a memory comes to, in words that can be compared: budgets used up, and who is followed because of what.
pub(crate) fn remembered(memory: &Memory, now: DateTime<Utc>, rules: &[Rule]) -> Vec<String> {
    let mut words = Vec::new();
    for rule in rules {
        for hours in [1, 24] {
            for mode in [RunMode::Enforce, RunMode::DryRun] {
                let count = memory.ledger.count(now, TimeDelta::hours(hours), |entry| {
                    entry.mode == mode && *entry.policy == *rule.name
                });
                words.push(format!("{} {hours}h {}: {count}", rule.name, mode.name()));
            }
        }
    }
    words.extend(memory.following.iter().map(|(key, followed)| {
        format!(
            "{key} logged on {}: {} {} by {} ({}) since {} {:?}",
            key.logon_time.0,
            followed.action_id,
            followed.action,
            followed.policy,
            followed.mode.name(),
            followed.since,
            followed.state
        )
    }));
    words
}
