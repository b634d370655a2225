//! What Oracle itself would do as well as a policy: one thing less that can end sessions.
//!
//! MAX_IDLE_TIME (12.2) ends every session that is idle for so many minutes, and MAX_IDLE_BLOCKER_TIME (19c) every one that is and
//! holds up others (Oracle Database Reference). They know no protection, no condition and no dry run, so only a policy that has
//! none of its own either is named.

use crate::checks::{Check, Id, State};
use crate::oracle::capabilities::Release;
use crate::policy::condition::{Comparison, Condition, Constant, Operand, Phrase, SessionStatus};
use crate::policy::model::{Action, Policy};
use crate::session::column::Column;

/// The limit in a policy's condition, if the condition is nothing but a limit on idle sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Idle {
    inactive: bool,
    /// In seconds.
    longer_than: Option<i64>,
    blocking: bool,
    /// It asks for something else too.
    more: bool,
}

impl Idle {
    fn of(condition: &Condition) -> Idle {
        let mut idle = Idle::default();
        idle.take(condition);
        idle
    }

    fn take(&mut self, condition: &Condition) {
        match condition {
            Condition::And(all) => all.iter().for_each(|one| self.take(one)),
            Condition::Named(_, named) => self.take(named),
            Condition::Phrase(Phrase::Status {
                status: SessionStatus::Inactive,
                longer_than,
            }) => {
                self.inactive = true;
                self.longer_than = self.longer_than.max(*longer_than);
            }
            Condition::Phrase(Phrase::Blocking {
                sessions: None,
                longer_than: None,
            }) => self.blocking = true,
            Condition::Compare {
                left: Operand::Column(Column::Idle),
                op: Comparison::Greater | Comparison::GreaterOrEqual,
                right: Operand::Literal(Constant::Duration(seconds)),
            } => {
                self.inactive = true;
                self.longer_than = self.longer_than.max(Some(*seconds));
            }
            Condition::Or(_)
            | Condition::Not(_)
            | Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
            | Condition::Phrase(_) => self.more = true,
        }
    }
}

/// The parameter that would replace a policy on this release, if one would.
#[must_use]
pub(crate) fn replaces(policy: &Policy, release: Release) -> Option<Check> {
    let ends = match policy.action {
        Action::Kill { .. } | Action::Disconnect { .. } => true,
        Action::CancelSql | Action::Report => false,
    };
    let has_more = policy.unless.is_some()
        || !policy.timetable.is_always()
        || policy.pressure.is_some()
        || policy.keep.is_some()
        || policy.hold > 0;
    let idle = Idle::of(&policy.when);
    let seconds = idle
        .longer_than
        .filter(|_| ends && !has_more && idle.inactive && !idle.more)?;
    let (parameter, since) = if idle.blocking {
        ("MAX_IDLE_BLOCKER_TIME", (19, 0))
    } else {
        ("MAX_IDLE_TIME", (12, 2))
    };
    if !release.at_least(since.0, since.1) {
        return None;
    }
    // Whole minutes, never fewer than the policy allows.
    let minutes = seconds.max(1).saturating_add(59) / 60;
    let found = format!(
        "{parameter} = {minutes} would replace policy {}: Oracle itself would end these sessions, though without any protection, \
         exemption, budget or dry run",
        policy.name
    );
    Some(Check::new(Id::BuiltIn, &*policy.name, State::Note, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: &str, major: u32, minor: u32) -> Option<String> {
        let text = format!("policies:\n  - {{name: p, mode: enforce, {policy}}}\n");
        let today = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
        let loaded = crate::policy::check_files(&[("p.yaml".into(), text.into())], today, chrono_tz::UTC);
        let set = loaded.set.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        replaces(&set.policies[0], Release { major, minor }).map(|check| {
            assert_eq!((check.id, check.state), (Id::BuiltIn, State::Note));
            check.found.split(" would").next().unwrap_or_default().to_owned()
        })
    }

    #[test]
    fn a_parameter_replaces_a_policy_that_is_nothing_but_its_limit() {
        let four_hours = Some("MAX_IDLE_TIME = 240".to_owned());
        assert_eq!(told("when: INACTIVE longer than 4h, action: kill", 19, 0), four_hours);
        assert_eq!(told("when: idle > 4h, action: kill immediate", 12, 2), four_hours);
        // Rounded up: sessions that the policy would spare must not be ended.
        let rounded = Some("MAX_IDLE_TIME = 2".to_owned());
        assert_eq!(told("when: INACTIVE longer than 61s, action: kill", 19, 0), rounded);
        assert_eq!(
            told("when: BLOCKING and INACTIVE longer than 10m, action: kill", 19, 0),
            Some("MAX_IDLE_BLOCKER_TIME = 10".to_owned())
        );
    }

    #[test]
    fn none_replaces_a_policy_that_asks_for_more_or_a_release_that_lacks_it() {
        for (policy, major, minor) in [
            ("when: INACTIVE longer than 4h, action: kill", 12, 1),
            ("when: BLOCKING and INACTIVE longer than 10m, action: kill", 18, 0),
            ("when: INACTIVE longer than 4h and username = SHOP, action: kill", 19, 0),
            ("when: INACTIVE longer than 4h or SNIPED, action: kill", 19, 0),
            ("when: INACTIVE longer than 4h, action: report", 19, 0),
            (
                "when: INACTIVE longer than 4h, unless: username = SHOP, action: kill",
                19,
                0,
            ),
            ("when: INACTIVE longer than 4h, for: 5m, action: kill", 19, 0),
            (
                "when: INACTIVE longer than 4h, while: sessions above 90%, action: kill",
                19,
                0,
            ),
            ("when: RUNNING longer than 4h, action: kill", 19, 0),
        ] {
            assert_eq!(told(policy, major, minor), None, "{policy}");
        }
    }
}
