//! Answers that say for certain that nothing was done, and whether they are about the session or about everything.

use crate::checks::{Check, Id, State};
use crate::decide::outcome::{Hindrance, Outcome};

/// What was in the way of a statement that came to this, by the number in the answer; `found` is the answer's text. `None` where
/// the statement may have done something, or was about its session alone.
#[must_use]
pub(crate) fn hindrance(outcome: Outcome, code: Option<u32>, found: &str) -> Option<Hindrance> {
    if outcome.is_followed() {
        return None;
    }
    match code? {
        // The guard package sends nothing for this session, or knows no such action.
        20_001..=20_011 | 20_014 | 20_015 => Some(Hindrance::Session),
        // The package's own budget; it could not do its work; it is missing, invalid or not granted; a privilege is missing, also
        // from 23ai on and by Database Vault; the database is not open.
        20_012 | 20_013 | 4063 | 4067 | 6508 | 6550 | 1031 | 41900 | 47306 | 1109 | 1219 => Some(Hindrance::Database(
            Box::new(Check::new(Id::RightToAct, "", State::Missing, found)),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_beforehand_is_told_apart_by_number() {
        let of = |outcome, code| match hindrance(outcome, Some(code), "so it is") {
            Some(Hindrance::Session) => "session",
            Some(Hindrance::Database(check)) => {
                assert_eq!(check.found, "so it is");
                "database"
            }
            None => "no",
        };
        for code in [20_001, 20_004, 20_011, 20_014, 20_015] {
            assert_eq!(of(Outcome::Refused, code), "session", "{code}");
        }
        for code in [20_012, 20_013, 4063, 4067, 6508, 6550, 1031, 41900, 47306, 1109, 1219] {
            assert_eq!(of(Outcome::Failed, code), "database", "{code}");
        }
        // What was sent and met nobody, or a session that cannot be ended.
        for (outcome, code) in [
            (Outcome::AlreadyGone, 30),
            (Outcome::Refused, 29),
            (Outcome::Unsupported, 26),
        ] {
            assert_eq!(of(outcome, code), "no", "{code}");
        }
        assert_eq!(of(Outcome::Unknown, 20_007), "no", "another package's number");
        assert_eq!(hindrance(Outcome::Protected, None, ""), None, "nothing was sent");
    }
}
