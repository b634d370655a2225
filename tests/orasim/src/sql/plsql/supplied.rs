//! The supplied packages that clients call.

use super::block::Span;
use super::run::{Result, Run, as_text};
use crate::backend::{EndToEnd, OraError, Session};
use crate::error::{not_simulated, ora};
use crate::sql::lex::Tokens;
use crate::sql::types::Ty;

impl Run<'_, '_> {
    pub(super) fn supplied(&mut self, name: &str, arguments: &[(Option<String>, Span)]) -> Result<()> {
        let name = name.strip_prefix("SYS.").unwrap_or(name);
        let mut values = Vec::new();
        for (_, span) in arguments {
            values.push(self.value(span, Ty::Unknown)?);
        }
        let text = |at: usize| values.get(at).and_then(as_text);
        let named = |wanted: &str, at: usize| {
            let place = arguments
                .iter()
                .position(|(name, _)| name.as_deref() == Some(wanted))
                .unwrap_or(at);
            Some(text(place).unwrap_or_default())
        };
        let seconds = || text(0).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        match name {
            "DBMS_APPLICATION_INFO.SET_MODULE" => {
                let (module, action) = (named("MODULE_NAME", 0), named("ACTION_NAME", 1));
                self.session.set_end_to_end(EndToEnd {
                    module,
                    action,
                    ..EndToEnd::default()
                });
            }
            "DBMS_APPLICATION_INFO.SET_ACTION" => {
                self.session.set_end_to_end(EndToEnd {
                    action: named("ACTION_NAME", 0),
                    ..EndToEnd::default()
                });
            }
            "DBMS_APPLICATION_INFO.SET_CLIENT_INFO" => {
                self.session.set_end_to_end(EndToEnd {
                    client_info: named("CLIENT_INFO", 0),
                    ..EndToEnd::default()
                });
            }
            "DBMS_SESSION.SET_IDENTIFIER" => {
                let client_identifier = named("CLIENT_ID", 0);
                self.session.set_end_to_end(EndToEnd {
                    client_identifier,
                    ..EndToEnd::default()
                });
            }
            "DBMS_SESSION.SLEEP" if self.session.shared.scenario.release.major() < 18 => return Err(undeclared(name)),
            "DBMS_SESSION.SLEEP" | "DBMS_LOCK.SLEEP" => self.session.sleep(seconds(), false)?,
            "ORASIM.BUSY" => self.session.sleep(seconds(), true)?,
            "DBMS_OUTPUT.PUT_LINE" | "DBMS_OUTPUT.PUT" | "DBMS_OUTPUT.ENABLE" | "DBMS_OUTPUT.DISABLE" => {}
            "RDSADMIN.RDSADMIN_UTIL.KILL" | "RDSADMIN.RDSADMIN_UTIL.DISCONNECT" | "RDSADMIN.RDSADMIN_UTIL.CANCEL" => {
                let procedure = name.rsplit('.').next().unwrap_or_default();
                let given = |wanted: &str, at| named(wanted, at).filter(|text| !text.is_empty());
                let session = format!(
                    "{},{}",
                    given("SID", 0).unwrap_or_default(),
                    given("SERIAL", 1).unwrap_or_default()
                );
                return self.rds(name, procedure, &session, given("METHOD", 2), given("SQL_ID", 2));
            }
            "RAISE_APPLICATION_ERROR" => {
                let code = text(0).and_then(|code| code.parse::<i64>().ok()).unwrap_or(-20_000);
                return Err(ora(u32::try_from(-code).unwrap_or(20_000), text(1).unwrap_or_default()));
            }
            _ => return Err(undeclared(name)),
        }
        Ok(())
    }
}

impl Run<'_, '_> {
    /// What Amazon's package does (Amazon RDS User Guide, "Common system tasks"), as its owner, who may.
    fn rds(
        &mut self,
        name: &str,
        procedure: &str,
        session: &str,
        method: Option<String>,
        sql_id: Option<String>,
    ) -> Result<()> {
        let viewer = &self.session.setting.viewer;
        let may = self
            .session
            .shared
            .look()
            .accounts
            .may_use_rds(&viewer.user, viewer.con_id);
        if !may {
            return Err(undeclared(name));
        }
        let statement = match (procedure, method.as_deref()) {
            ("KILL", None) => format!("ALTER SYSTEM KILL SESSION '{session}'"),
            ("KILL", Some("IMMEDIATE")) => format!("ALTER SYSTEM KILL SESSION '{session}' IMMEDIATE"),
            ("DISCONNECT", None | Some("IMMEDIATE")) => {
                format!("ALTER SYSTEM DISCONNECT SESSION '{session}' IMMEDIATE")
            }
            ("DISCONNECT", Some("POST_TRANSACTION")) => {
                format!("ALTER SYSTEM DISCONNECT SESSION '{session}' POST_TRANSACTION")
            }
            ("CANCEL", _) => {
                let sql_id = sql_id.map_or_else(String::new, |sql_id| format!(",{sql_id}"));
                format!("ALTER SYSTEM CANCEL SQL '{session}{sql_id}'")
            }
            _ => return Err(not_simulated("this method of rdsadmin_util")),
        };
        let tokens = Tokens::read(&statement)?;
        self.session
            .as_definer("RDSADMIN", |session| session.run(&tokens, &[], false))
            .map(|_| ())
    }
}

pub(super) fn undeclared(name: &str) -> OraError {
    let name = name.split('.').next().unwrap_or(name);
    ora(
        6550,
        format!("line 1, column 7:\nPLS-00201: identifier '{name}' must be declared"),
    )
}
