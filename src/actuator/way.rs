//! The way in which a session is ended on a database, and an action in the words that this way has for it.

use std::time::Duration;

use super::{NoStatement, PRIVILEGE, guard, is_sql_id, statement};
use crate::config::Via;
use crate::decide::guard::Wording;
use crate::decide::outcome::Outcome;
use crate::oracle::capabilities::{Capabilities, HostingService, Way};
use crate::oracle::{Connection, Error, account, probe};
use crate::policy::model::{Action, DisconnectClause, KillClause};
use crate::session::SessionKey;

/// Finds out what the database is, and how sessions are ended there.
///
/// # Errors
/// Those of [`probe::probe`].
pub(crate) fn probe(connection: &mut dyn Connection, via: Option<Via>, limit: Duration) -> Result<Capabilities, Error> {
    let mut capabilities = probe::probe(connection, limit)?;
    capabilities.via = via;
    // Amazon RDS grants the privilege to nobody: where the account has it, RDSADMIN is left from an import.
    if capabilities.service == HostingService::AmazonRds && account::holds(connection, PRIVILEGE, limit)? {
        capabilities.service = HostingService::SelfManaged;
    }
    Ok(capabilities)
}

/// An action on a session, for a connection to the instance `connected`.
///
/// # Errors
/// When this way has no words that do exactly this to exactly this session.
pub(crate) fn wording(
    way: Way,
    action: Action,
    key: SessionKey,
    sql_id: Option<&str>,
    connected: u32,
) -> Result<Wording, NoStatement> {
    let plain = statement(action, key, sql_id, connected)?;
    match way {
        Way::AlterSystem => Ok(Wording::Statement(plain)),
        Way::Package { owner } => {
            let sql_id = sql_id.filter(|sql_id| action == Action::CancelSql && is_sql_id(sql_id));
            let call = guard::call(owner, action, key, sql_id).ok_or(NoStatement::NoLogonTime)?;
            Ok(Wording::Call(call))
        }
        Way::RdsAdmin => rds(action, key, sql_id).map(Wording::Statement),
    }
}

/// The call of Amazon's package (Amazon RDS User Guide, "Terminating a session", "Canceling a SQL statement in a session"). It has no
/// parameter for the instance: RDS has no RAC.
fn rds(action: Action, key: SessionKey, sql_id: Option<&str>) -> Result<String, NoStatement> {
    let SessionKey { sid, serial, .. } = key;
    let (procedure, more) = match action {
        Action::Kill {
            clause: KillClause::Plain,
        } => ("kill", String::new()),
        Action::Kill {
            clause: KillClause::Immediate,
        } => ("kill", ", method => 'IMMEDIATE'".to_owned()),
        Action::Disconnect {
            clause: DisconnectClause::PostTransaction,
        } => ("disconnect", ", method => 'POST_TRANSACTION'".to_owned()),
        Action::Disconnect {
            clause: DisconnectClause::Immediate,
        } => ("disconnect", ", method => 'IMMEDIATE'".to_owned()),
        Action::CancelSql => {
            let sql_id = sql_id.filter(|sql_id| is_sql_id(sql_id)).ok_or(NoStatement::NoSqlId)?;
            ("cancel", format!(", sql_id => '{sql_id}'"))
        }
        Action::Report => return Err(NoStatement::Nothing),
        Action::Kill {
            clause: KillClause::NoReplay | KillClause::Force,
        }
        | Action::Disconnect {
            clause: DisconnectClause::PostTransactionNoReplay | DisconnectClause::NoReplay,
        } => return Err(NoStatement::NotInRds),
    };
    Ok(format!(
        "BEGIN rdsadmin.rdsadmin_util.{procedure}(sid => {sid}, serial => {serial}{more}); END;"
    ))
}

/// The call did not compile: the package is not there, or the account may not execute it.
pub(crate) const NOT_COMPILED: u32 = 6550;

/// Whether the answer says that the package is there and invalid.
pub(crate) const fn is_invalid(code: u32) -> bool {
    matches!(code, 4063 | 4067 | 6508)
}

/// What came of it, by the number in the answer.
///
/// A call that did not compile was not made: the package is missing, invalid or not granted.
pub(crate) const fn outcome(way: Way, code: u32) -> Outcome {
    match (way, code) {
        (Way::Package { .. } | Way::RdsAdmin, code) if code == NOT_COMPILED || is_invalid(code) => Outcome::Failed,
        (Way::Package { .. }, code) => guard::outcome_of(code),
        (Way::AlterSystem | Way::RdsAdmin, code) => super::outcome_of(code),
    }
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
    fn rds_has_words_for_what_its_package_has() {
        for action in Action::ALL {
            let words = wording(Way::RdsAdmin, action, key(1), Some("8yds4k9tqmh3u"), 1);
            let expected = match action.name() {
                "kill" => "kill(sid => 287, serial => 62507)",
                "kill immediate" => "kill(sid => 287, serial => 62507, method => 'IMMEDIATE')",
                "disconnect immediate" => "disconnect(sid => 287, serial => 62507, method => 'IMMEDIATE')",
                "disconnect post_transaction" => {
                    "disconnect(sid => 287, serial => 62507, method => 'POST_TRANSACTION')"
                }
                "cancel sql" => "cancel(sid => 287, serial => 62507, sql_id => '8yds4k9tqmh3u')",
                "report" => {
                    assert_eq!(words, Err(NoStatement::Nothing));
                    continue;
                }
                _ => {
                    assert_eq!(words, Err(NoStatement::NotInRds), "{action}");
                    continue;
                }
            };
            let expected = format!("BEGIN rdsadmin.rdsadmin_util.{expected}; END;");
            assert_eq!(words, Ok(Wording::Statement(expected)), "{action}");
        }
    }

    #[test]
    fn a_disconnect_reaches_no_other_instance_by_a_package_either() {
        let way = Way::Package {
            owner: "ORAREAPER_OWNER",
        };
        let disconnect = Action::Disconnect {
            clause: DisconnectClause::Immediate,
        };
        assert!(matches!(
            wording(way, disconnect, key(2), None, 1),
            Err(NoStatement::OtherInstance { .. })
        ));
        let kill = Action::Kill {
            clause: KillClause::Immediate,
        };
        assert!(matches!(wording(way, kill, key(2), None, 1), Ok(Wording::Call(_))));
    }

    #[test]
    fn a_number_means_what_it_means_on_its_way() {
        let package = Way::Package {
            owner: "ORAREAPER_OWNER",
        };
        assert_eq!(outcome(package, 20_007), Outcome::Refused);
        assert_eq!(
            outcome(Way::RdsAdmin, 20_007),
            Outcome::Unknown,
            "another package's number"
        );
        assert_eq!(outcome(Way::AlterSystem, 6550), Outcome::Unknown);
        for way in [package, Way::RdsAdmin] {
            assert_eq!(outcome(way, 6550), Outcome::Failed);
            assert_eq!(outcome(way, 31), Outcome::Marked);
            assert_eq!(outcome(way, 0), Outcome::Done);
        }
    }
}
