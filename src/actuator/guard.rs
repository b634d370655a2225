//! The guard package, as far as the program depends on it: its name, its version, its calls and what its refusals mean.
//!
//! Its text is `setup_sql/guard.sql`. A call is built like a statement: from integers, a time, and an SQL_ID whose alphabet is checked.

use crate::decide::outcome::Outcome;
use crate::oracle::access::identifier;
use crate::oracle::calendar;
use crate::oracle::capabilities::{Container, guard_owner};
use crate::policy::model::Action;
use crate::session::SessionKey;

/// The version of the package that `setup-sql --guard` prints. Changes with every change of it.
pub(crate) const VERSION: u32 = 2;

/// Its name in the dictionary.
pub(crate) const PACKAGE: &str = "ORAREAPER_GUARD";

/// What to do about a package of another version, or an invalid one.
pub(crate) const INSTALL_AGAIN: &str = "run the statements of the package again, from CREATE OR REPLACE PACKAGE on, as `orareaper setup-sql \
                                        --guard-only` prints them";

/// The statement that lets the account call the package.
#[must_use]
pub(crate) fn grant_execute(container: Container, user: &str) -> String {
    format!(
        "GRANT EXECUTE ON {}.orareaper_guard TO {}",
        guard_owner(container),
        identifier(user)
    )
}

/// What a call that did not compile shows.
#[must_use]
pub(crate) fn may_not_execute(error: &str, owner: &str) -> String {
    format!("{error}; the account may not execute {owner}.{PACKAGE}, or the package is not there")
}

/// What its owner lacks.
#[must_use]
pub(crate) fn owner_lacks(owner: &str, what: &str) -> String {
    format!("{owner}, which owns the package, lacks {what}, held itself and not by a role")
}

/// The call for an action on a session; `None` for a LOGON_TIME that no calendar has.
pub(super) fn call(owner: &str, action: Action, key: SessionKey, sql_id: Option<&str>) -> Option<String> {
    let SessionKey {
        inst_id, sid, serial, ..
    } = key;
    let logon_time = calendar(key.logon_time)?.format("%Y-%m-%d %H:%M:%S");
    let action = action.name().to_uppercase();
    let sql_id = sql_id.map_or_else(|| "NULL".to_owned(), |sql_id| format!("'{sql_id}'"));
    Some(format!(
        "BEGIN {owner}.orareaper_guard.act({inst_id}, {sid}, {serial}, TO_DATE('{logon_time}', 'YYYY-MM-DD HH24:MI:SS'), \
         '{action}', {sql_id}, :code, :text); END;"
    ))
}

/// The package's own budget is used up.
pub(super) const BUDGET: u32 = 20_012;

/// What came of a call, by the number that the package returned.
pub(super) const fn outcome_of(code: u32) -> Outcome {
    match code {
        // No such session, or another one in its place.
        20_002 | 20_003 => Outcome::AlreadyGone,
        // No user's session, the own session, a protected account, a server process, one that is KILLED; DISCONNECT of a server
        // process that others share.
        20_004..=20_009 | 20_015 => Outcome::Refused,
        // No such action, or DISCONNECT on another instance.
        20_001 | 20_010 => Outcome::Unsupported,
        // The statement that was to be cancelled is over; the session has changed since the package examined it first.
        20_011 | 20_014 => Outcome::NoLongerMatches,
        // The package's budget, or it could not do its work.
        BUDGET | 20_013 => Outcome::Failed,
        other => super::outcome_of(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::time::DbTime;

    /// What the package knows and what the policies' language has are the same.
    #[test]
    fn the_package_knows_every_action_by_its_name() {
        let text = include_str!("../setup_sql/guard.sql");
        for action in Action::ALL.into_iter().filter(|action| *action != Action::Report) {
            let name = action.name().to_uppercase();
            assert!(
                text.contains(&format!("IF p_action = '{name}' THEN\n      RETURN '{name}';")),
                "{name}"
            );
            assert!(
                text.contains(&format!("IF p_action = '{name}' THEN\n      p_statement := ")),
                "{name}"
            );
        }
    }

    #[test]
    fn every_refusal_of_the_package_means_something() {
        let text = include_str!("../setup_sql/guard.sql");
        for code in 20_001..=20_015 {
            assert!(text.contains(&format!("  --   -{code}  ")), "{code} is not explained");
            assert!(!outcome_of(code).is_followed(), "nothing was sent: {code}");
        }
        assert!(!text.contains("20016"));
        assert!(text.contains("p_code < -20015 OR"), "each of them comes back as it is");
        assert_eq!(outcome_of(20_014), Outcome::NoLongerMatches);
        assert_eq!(outcome_of(20_015), Outcome::Refused);
        assert_eq!(outcome_of(20_016), Outcome::Unknown);
        assert_eq!(outcome_of(31), Outcome::Marked);
    }

    #[test]
    fn a_call_names_the_session_in_full() {
        let key = SessionKey {
            inst_id: 2,
            sid: 287,
            serial: 62507,
            logon_time: DbTime(1_764_147_600),
        };
        assert_eq!(
            call("ORAREAPER_OWNER", Action::CancelSql, key, Some("8yds4k9tqmh3u")).as_deref(),
            Some(
                "BEGIN ORAREAPER_OWNER.orareaper_guard.act(2, 287, 62507, TO_DATE('2025-11-26 09:00:00', 'YYYY-MM-DD \
                 HH24:MI:SS'), 'CANCEL SQL', '8yds4k9tqmh3u', :code, :text); END;"
            )
        );
    }
}
