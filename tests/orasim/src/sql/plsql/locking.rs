//! DBMS_LOCK's functions, which an expression calls.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::invoke::arguments;
use super::run::{Result, Run, as_text};
use super::supplied::undeclared;
use crate::backend::{OraError, Value};
use crate::error::{not_simulated, ora};
use crate::sql::lex::word;
use crate::sql::types::Ty;
use crate::world::LockCall;

/// The function of DBMS_LOCK that a name means.
pub(super) fn function_of(parts: &[String]) -> Option<&str> {
    let parts = match parts {
        [owner, rest @ ..] if owner == "SYS" => rest,
        all => all,
    };
    match parts {
        [package, function] if package == "DBMS_LOCK" => Some(function),
        _ => None,
    }
}

fn wrong_arguments(function: &str) -> OraError {
    let text = format!("line 1, column 7:\nPLS-00306: wrong number or types of arguments in call to '{function}'");
    ora(6550, text)
}

impl Run<'_, '_> {
    /// What a function of DBMS_LOCK returns for these arguments.
    pub(super) fn locking(&mut self, function: &str, list: &[TokenWithSpan]) -> Result<Value> {
        let viewer = &self.session.setting.viewer;
        let may = self.session.setting.sysdba
            || self
                .session
                .shared
                .look()
                .accounts
                .may_use_dbms_lock(&viewer.user, viewer.con_id);
        if !may {
            return Err(undeclared("DBMS_LOCK"));
        }
        let parameters: &[&str] = match function {
            "REQUEST" => &["ID", "LOCKMODE", "TIMEOUT", "RELEASE_ON_COMMIT"],
            "CONVERT" => &["ID", "LOCKMODE", "TIMEOUT"],
            "RELEASE" => &["ID"],
            _ => return Err(not_simulated("this function of DBMS_LOCK")),
        };
        let mut given = [None; 4];
        for (at, argument) in arguments(list).into_iter().enumerate() {
            let (place, value) = match argument {
                [name, arrow, value @ ..] if arrow.token == Token::RArrow => {
                    let name = word(&name.token).unwrap_or_default();
                    let place = parameters.iter().position(|parameter| *parameter == name);
                    (place.ok_or_else(|| wrong_arguments(function))?, value)
                }
                value => (at, value),
            };
            let value = self.evaluated(value.to_vec(), Ty::Unknown)?;
            let number = as_text(&value).and_then(|text| text.parse::<i64>().ok());
            let slot = given.get_mut(place).filter(|_| place < parameters.len());
            *slot.ok_or_else(|| wrong_arguments(function))? = number;
        }
        let [id, mode, seconds, on_commit] = given;
        let id = id.ok_or_else(|| wrong_arguments(function))?;
        if on_commit.is_some_and(|on_commit| on_commit != 0) {
            return Err(not_simulated("RELEASE_ON_COMMIT"));
        }
        let seconds = seconds.unwrap_or(32_767);
        let call = match function {
            "REQUEST" => LockCall::Request {
                mode: mode.unwrap_or(6),
                seconds,
            },
            "CONVERT" => LockCall::Convert {
                mode: mode.ok_or_else(|| wrong_arguments(function))?,
                seconds,
            },
            _ => LockCall::Release,
        };
        self.session.lock_call(id, call).map(Value::Int)
    }
}
