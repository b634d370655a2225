//! What ends the daemon's connections or refuses them: its account's profile, its password, the instance's limits on idle sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::{Check, Id, State};
use crate::oracle::account::AccountStatus;
use crate::quantity::Span;

/// A password that expires within this time is a finding.
const SOON: i64 = 14 * DAY;

const DAY: i64 = 86_400;

/// A limit in minutes must be longer than the time between two calls by at least this: a call may take so long.
const SLACK: i64 = 60;

/// How the daemon uses its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// The time between two calls on each of them.
    pub(crate) poll: Duration,
    /// How many it keeps.
    pub(crate) connections: usize,
    /// The most that it has at the same time, while `parallel` actions are under way.
    pub(crate) at_most: usize,
}

impl Use {
    fn is_cut_by(self, minutes: i64) -> bool {
        minutes.saturating_mul(60) <= self.seconds().saturating_add(SLACK)
    }

    fn seconds(self) -> i64 {
        i64::try_from(self.poll.as_secs()).unwrap_or(i64::MAX)
    }
}

/// The account's status and the end of its password.
#[must_use]
pub(crate) fn account(user: &str, found: &AccountStatus) -> Check {
    let check = |state, found| Check::new(Id::Account, user, state, found);
    let left = found.expires.zip(found.now).map(|(expires, now)| expires.since(now));
    let renew = format!("ALTER USER {user} IDENTIFIED BY the new password, and put it where `password` says");
    if found.status.contains("GRACE") {
        return check(
            State::Missing,
            format!(
                "{user} is {}: its password has expired and is in its grace period",
                found.status
            ),
        )
        .with(renew);
    }
    match left {
        Some(left) if left <= SOON => {
            let when = if left > 0 {
                format!("in {}", Span(left))
            } else {
                "now".to_owned()
            };
            check(
                State::Missing,
                format!("the password of {user} expires {when}, and no log-in succeeds after that"),
            )
            .with(renew)
        }
        Some(left) => check(
            State::Fine,
            format!("{user} is {}; its password expires in {}", found.status, Span(left)),
        ),
        None => check(
            State::Fine,
            format!("{user} is {}; its password does not expire", found.status),
        ),
    }
}

/// The limits of the account's profile. `in_force` says whether the instance enforces those of resources (RESOURCE_LIMIT), if that is
/// known.
#[must_use]
pub(crate) fn profile(user: &str, limits: &BTreeMap<String, String>, of: Use, in_force: Option<bool>) -> Vec<Check> {
    // UNLIMITED and DEFAULT are no numbers.
    let limit = |name: &str| limits.get(name).and_then(|limit| limit.trim().parse::<i64>().ok());
    let mut found = Vec::new();
    // SESSIONS_PER_USER too is a resource, which counts only with RESOURCE_LIMIT.
    if in_force != Some(false) {
        found.extend(limit("SESSIONS_PER_USER").and_then(|most| sessions(user, most, of)));
        let mut missing = |about: &str, text: String, remedy: &str| {
            found.push(Check::new(Id::Profile, about, State::Missing, text).with(remedy));
        };
        if let Some(minutes) = limit("IDLE_TIME").filter(|minutes| of.is_cut_by(*minutes)) {
            let every = Span(of.seconds());
            missing(
                "IDLE_TIME",
                format!(
                    "the profile of {user} ends sessions that are idle for {}, and the daemon calls every {every}",
                    Span(minutes * 60)
                ),
                "set IDLE_TIME UNLIMITED in the account's profile, or shorten `poll`",
            );
        }
        if let Some(minutes) = limit("CONNECT_TIME") {
            missing(
                "CONNECT_TIME",
                format!(
                    "the profile of {user} ends each session after {}: while the database is at its limit of sessions, \
                     the daemon cannot make another",
                    Span(minutes * 60)
                ),
                "set CONNECT_TIME UNLIMITED in the account's profile",
            );
        }
    }
    if found.is_empty() {
        let shown = ["SESSIONS_PER_USER", "IDLE_TIME", "CONNECT_TIME"].map(|name| {
            let limit = limits.get(name).map_or("unknown", String::as_str);
            format!("{name} {limit}")
        });
        found.push(Check::new(Id::Profile, user, State::Fine, shown.join(", ")));
    }
    found
}

/// SESSIONS_PER_USER, if it is too low.
fn sessions(user: &str, most: i64, of: Use) -> Option<Check> {
    let is_below = |count: usize| most < i64::try_from(count).unwrap_or(i64::MAX);
    let (state, why) = if is_below(of.connections) {
        (State::Missing, format!("and the daemon keeps {}", of.connections))
    } else if is_below(of.at_most) {
        let more = format!(
            "and the daemon needs up to {}: fewer actions than `parallel` run at the same time",
            of.at_most
        );
        (State::Note, more)
    } else {
        return None;
    };
    let found = format!("the profile of {user} allows {most} sessions, {why}");
    let remedy = "raise SESSIONS_PER_USER in the account's profile, with some to spare for `plan` and `doctor`";
    Some(Check::new(Id::Profile, "SESSIONS_PER_USER", state, found).with(remedy))
}

/// MAX_IDLE_TIME and MAX_IDLE_BLOCKER_TIME. The latter strikes an idle session also when the instance is about to reach its limit of
/// sessions or processes (Oracle Database Reference), which is when the daemon is needed.
#[must_use]
pub(crate) fn idle_limits(parameters: &BTreeMap<String, String>, of: Use) -> Vec<Check> {
    let mut found = Vec::new();
    let mut set = Vec::new();
    for name in ["max_idle_time", "max_idle_blocker_time"] {
        let minutes = parameters.get(name).and_then(|value| value.trim().parse::<i64>().ok());
        let Some(minutes) = minutes.filter(|minutes| *minutes > 0) else {
            continue;
        };
        let name = name.to_uppercase();
        if of.is_cut_by(minutes) {
            let every = Span(of.seconds());
            let text = format!(
                "{name} = {minutes} ends sessions that are idle for {}, and the daemon calls every {every}",
                Span(minutes * 60)
            );
            let remedy = format!("raise {name}, or shorten `poll`");
            found.push(Check::new(Id::IdleLimits, name, State::Missing, text).with(remedy));
        } else {
            set.push(format!("{name} = {minutes}"));
        }
    }
    if found.is_empty() {
        let text = match set.as_slice() {
            [] => "neither MAX_IDLE_TIME nor MAX_IDLE_BLOCKER_TIME is set".to_owned(),
            set => format!("{}: the daemon calls every {}", set.join(", "), Span(of.seconds())),
        };
        found.push(Check::new(Id::IdleLimits, "", State::Fine, text));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::time::DbTime;

    const OFTEN: Use = Use {
        poll: Duration::from_secs(15),
        connections: 2,
        at_most: 3,
    };

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, limit)| ((*name).to_owned(), (*limit).to_owned()))
            .collect()
    }

    fn named(checks: &[Check]) -> Vec<(&str, State)> {
        checks.iter().map(|check| (check.about.as_str(), check.state)).collect()
    }

    #[test]
    fn a_profile_is_a_finding_where_it_ends_or_refuses_the_daemon_s_connections() {
        let judged = |pairs: &[(&str, &str)], of, in_force| {
            let checks = profile("REAPER", &map(pairs), of, in_force);
            checks
                .iter()
                .map(|check| (check.about.clone(), check.state))
                .collect::<Vec<_>>()
        };
        let fine = vec![("REAPER".to_owned(), State::Fine)];
        let missing = |name: &str| vec![(name.to_owned(), State::Missing)];
        let unlimited = [
            ("SESSIONS_PER_USER", "UNLIMITED"),
            ("IDLE_TIME", "DEFAULT"),
            ("CONNECT_TIME", "UNLIMITED"),
        ];
        assert_eq!(judged(&unlimited, OFTEN, None), fine);
        assert_eq!(judged(&[("SESSIONS_PER_USER", "3")], OFTEN, None), fine);
        assert_eq!(
            judged(&[("SESSIONS_PER_USER", "2")], OFTEN, None),
            vec![("SESSIONS_PER_USER".to_owned(), State::Note)]
        );
        assert_eq!(
            judged(&[("SESSIONS_PER_USER", "1")], OFTEN, None),
            missing("SESSIONS_PER_USER")
        );
        // 15 s between two calls, and a minute for the call itself.
        assert_eq!(judged(&[("IDLE_TIME", "2")], OFTEN, None), fine);
        assert_eq!(judged(&[("IDLE_TIME", "1")], OFTEN, None), missing("IDLE_TIME"));
        let hourly = Use {
            poll: Duration::from_secs(3_600),
            ..OFTEN
        };
        assert_eq!(judged(&[("IDLE_TIME", "61")], hourly, None), missing("IDLE_TIME"));
        assert_eq!(judged(&[("IDLE_TIME", "62")], hourly, None), fine);
        assert_eq!(
            judged(&[("CONNECT_TIME", "600")], OFTEN, Some(true)),
            missing("CONNECT_TIME")
        );
        // RESOURCE_LIMIT = FALSE: the instance does not enforce them.
        assert_eq!(
            judged(
                &[("CONNECT_TIME", "600"), ("SESSIONS_PER_USER", "1")],
                OFTEN,
                Some(false)
            ),
            fine
        );
    }

    #[test]
    fn an_instance_s_limit_is_a_finding_where_it_is_shorter_than_the_time_between_two_calls() {
        let judged = |pairs: &[(&str, &str)]| {
            let checks = idle_limits(&map(pairs), OFTEN);
            named(&checks)
                .into_iter()
                .map(|(about, state)| (about.to_owned(), state))
                .collect::<Vec<_>>()
        };
        let fine = vec![(String::new(), State::Fine)];
        assert_eq!(judged(&[]), fine);
        assert_eq!(judged(&[("max_idle_time", "0"), ("max_idle_blocker_time", "5")]), fine);
        assert_eq!(
            judged(&[("max_idle_time", "1")]),
            vec![("MAX_IDLE_TIME".to_owned(), State::Missing)]
        );
        assert_eq!(
            judged(&[("max_idle_blocker_time", "1")]),
            vec![("MAX_IDLE_BLOCKER_TIME".to_owned(), State::Missing)]
        );
    }

    #[test]
    fn a_password_that_expires_within_two_weeks_is_a_finding() {
        let judged = |status: &str, days: Option<i64>| {
            let found = AccountStatus {
                status: status.to_owned(),
                expires: days.map(|days| DbTime(days * DAY)),
                now: Some(DbTime(0)),
            };
            account("REAPER", &found).state
        };
        assert_eq!(judged("OPEN", None), State::Fine);
        assert_eq!(judged("OPEN", Some(15)), State::Fine);
        assert_eq!(judged("OPEN", Some(14)), State::Missing);
        assert_eq!(judged("OPEN", Some(-1)), State::Missing);
        assert_eq!(judged("EXPIRED(GRACE)", Some(30)), State::Missing);
    }
}
