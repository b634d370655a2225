//! Carrying out a warrant: the only place that holds the words ALTER SYSTEM.
//!
//! ALTER SYSTEM takes no binds, so a statement is built only from parsed integers and from an SQL_ID, whose alphabet is checked;
//! no other text of a session is ever part of it. Oracle's answers are distinguished by number (one exception: `oracle::error`).

pub mod carry_out;
pub(crate) mod decoy;
pub(crate) mod door;
pub mod ending;
pub(crate) mod guard;
pub(crate) mod way;

use std::fmt;

use crate::decide::outcome::Outcome;
use crate::policy::model::{Action, DisconnectClause, KillClause};
use crate::session::SessionKey;

/// The system privilege that each of these statements needs. There is none for ending sessions alone.
pub(crate) const PRIVILEGE: &str = "ALTER SYSTEM";

/// Why there is no statement for an action on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoStatement {
    /// `report` does nothing.
    Nothing,
    /// DISCONNECT SESSION has no `@inst_id`: it reaches only the instance that it is sent to, where SID and SERIAL# may belong to
    /// another session.
    OtherInstance {
        /// The session's instance.
        of_session: u32,
        /// The connection's instance.
        connected: u32,
    },
    /// The guard package is told the session's LOGON_TIME, and this one is in no calendar.
    NoLogonTime,
    /// Amazon's package has no such clause.
    NotInRds,
    /// CANCEL SQL needs an SQL_ID, without which it may cancel the next statement or none, and the session has none.
    NoSqlId,
}

impl fmt::Display for NoStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoStatement::Nothing => f.write_str("nothing is done to the session"),
            NoStatement::OtherInstance { of_session, connected } => write!(
                f,
                "DISCONNECT SESSION reaches only the instance it is sent to: the session is on {of_session}, the connection on \
                 {connected}"
            ),
            NoStatement::NoLogonTime => f.write_str("the session's LOGON_TIME is in no calendar"),
            NoStatement::NotInRds => f.write_str("rdsadmin_util has no such clause"),
            NoStatement::NoSqlId => f.write_str("the session runs no SQL that has an SQL_ID"),
        }
    }
}

impl std::error::Error for NoStatement {}

/// The statement of an action on a session, for a connection to the instance `connected`.
///
/// KILL always names the instance, even if there is only one: without it, SID and SERIAL# are looked up on the connection's
/// instance.
///
/// # Errors
/// When no statement does exactly this to exactly this session.
pub(crate) fn statement(
    action: Action,
    key: SessionKey,
    sql_id: Option<&str>,
    connected: u32,
) -> Result<String, NoStatement> {
    let SessionKey {
        inst_id, sid, serial, ..
    } = key;
    match action {
        Action::Report => Err(NoStatement::Nothing),
        Action::Kill { clause } => {
            let clause = match clause {
                KillClause::Plain => "",
                KillClause::Immediate => " IMMEDIATE",
                KillClause::NoReplay => " NOREPLAY",
                KillClause::Force => " FORCE TIMEOUT 0",
            };
            Ok(format!("ALTER SYSTEM KILL SESSION '{sid},{serial},@{inst_id}'{clause}"))
        }
        Action::Disconnect { clause } => {
            if inst_id != connected {
                return Err(NoStatement::OtherInstance {
                    of_session: inst_id,
                    connected,
                });
            }
            let clause = match clause {
                DisconnectClause::PostTransaction => " POST_TRANSACTION",
                DisconnectClause::Immediate => " IMMEDIATE",
                DisconnectClause::PostTransactionNoReplay => " POST_TRANSACTION NOREPLAY",
                DisconnectClause::NoReplay => " NOREPLAY",
            };
            Ok(format!("ALTER SYSTEM DISCONNECT SESSION '{sid},{serial}'{clause}"))
        }
        Action::CancelSql => {
            let sql_id = sql_id.filter(|sql_id| is_sql_id(sql_id)).ok_or(NoStatement::NoSqlId)?;
            Ok(format!(
                "ALTER SYSTEM CANCEL SQL '{sid}, {serial}, @{inst_id}, {sql_id}'"
            ))
        }
    }
}

/// Whether a text is an SQL_ID: thirteen digits and lower case letters.
fn is_sql_id(text: &str) -> bool {
    text.len() == 13
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// The outcome of a statement, by the number in Oracle's answer `ORA-nnnnn`, 0 for success.
///
/// A number that is not known to mean a refusal may come from an accepted statement, so the session is followed.
#[must_use]
pub(crate) const fn outcome_of(code: u32) -> Outcome {
    match code {
        0 => Outcome::Done,
        // Session marked for kill: it ends as soon as it can be interrupted.
        31 => Outcome::Marked,
        // User session ID does not exist.
        30 => Outcome::AlreadyGone,
        // The caller's own session; not a user session.
        27 | 29 => Outcome::Refused,
        // Missing or invalid session ID, or a syntax error: the release does not know this form.
        26 | 900 | 922 | 933 | 2065 | 3048 => Outcome::Unsupported,
        // No privilege (41900 from 23ai on, 47306 of Database Vault); the database is not open.
        1031 | 41900 | 47306 | 1109 | 1219 => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

/// Whether the answer says that the account lacks [`PRIVILEGE`].
const fn lacks_privilege(code: u32) -> bool {
    matches!(code, 1031 | 41900)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::time::DbTime;

    fn key(inst_id: u32) -> SessionKey {
        SessionKey {
            inst_id,
            sid: 287,
            serial: 62507,
            logon_time: DbTime(0),
        }
    }

    #[test]
    fn every_action_is_written_as_the_language_promises() {
        for action in Action::ALL {
            let expected = match action.name() {
                "kill" => "ALTER SYSTEM KILL SESSION '287,62507,@1'",
                "kill immediate" => "ALTER SYSTEM KILL SESSION '287,62507,@1' IMMEDIATE",
                "kill noreplay" => "ALTER SYSTEM KILL SESSION '287,62507,@1' NOREPLAY",
                "kill force" => "ALTER SYSTEM KILL SESSION '287,62507,@1' FORCE TIMEOUT 0",
                "disconnect post_transaction" => "ALTER SYSTEM DISCONNECT SESSION '287,62507' POST_TRANSACTION",
                "disconnect immediate" => "ALTER SYSTEM DISCONNECT SESSION '287,62507' IMMEDIATE",
                "disconnect post_transaction noreplay" => {
                    "ALTER SYSTEM DISCONNECT SESSION '287,62507' POST_TRANSACTION NOREPLAY"
                }
                "disconnect noreplay" => "ALTER SYSTEM DISCONNECT SESSION '287,62507' NOREPLAY",
                "cancel sql" => "ALTER SYSTEM CANCEL SQL '287, 62507, @1, 8yds4k9tqmh3u'",
                "report" => {
                    assert_eq!(statement(action, key(1), None, 1), Err(NoStatement::Nothing));
                    continue;
                }
                other => panic!("no statement is written down for {other}"),
            };
            assert_eq!(
                statement(action, key(1), Some("8yds4k9tqmh3u"), 1).as_deref(),
                Ok(expected)
            );
        }
    }

    #[test]
    fn a_disconnect_is_never_sent_to_another_instance_and_a_kill_names_it() {
        let immediate = Action::Disconnect {
            clause: DisconnectClause::Immediate,
        };
        assert_eq!(
            statement(immediate, key(2), None, 1),
            Err(NoStatement::OtherInstance {
                of_session: 2,
                connected: 1
            })
        );
        let kill = Action::Kill {
            clause: KillClause::Plain,
        };
        assert_eq!(
            statement(kill, key(2), None, 1).as_deref(),
            Ok("ALTER SYSTEM KILL SESSION '287,62507,@2'")
        );
    }

    #[test]
    fn nothing_but_an_sql_id_gets_into_a_cancel() {
        for hostile in [
            "",
            "8yds4k9tqmh3",
            "8yds4k9tqmh3u0",
            "8YDS4K9TQMH3U",
            "a' IMMEDIATE--",
            "8yds4k9tqmh3\u{fc}",
        ] {
            assert_eq!(
                statement(Action::CancelSql, key(1), Some(hostile), 1),
                Err(NoStatement::NoSqlId),
                "{hostile}"
            );
        }
        assert_eq!(statement(Action::CancelSql, key(1), None, 1), Err(NoStatement::NoSqlId));
    }

    #[test]
    fn answers_are_told_apart_by_number() {
        let cases = [
            (0, Outcome::Done),
            (31, Outcome::Marked),
            (30, Outcome::AlreadyGone),
            (29, Outcome::Refused),
            (27, Outcome::Refused),
            (26, Outcome::Unsupported),
            (900, Outcome::Unsupported),
            (922, Outcome::Unsupported),
            (933, Outcome::Unsupported),
            (2065, Outcome::Unsupported),
            (3048, Outcome::Unsupported),
            (1031, Outcome::Failed),
            (41900, Outcome::Failed),
            (47306, Outcome::Failed),
            (1109, Outcome::Failed),
            (1219, Outcome::Failed),
            (1013, Outcome::Unknown),
            (28, Outcome::Unknown),
            (4242, Outcome::Unknown),
        ];
        for (code, outcome) in cases {
            assert_eq!(outcome_of(code), outcome, "ORA-{code:05}");
        }
    }
}
