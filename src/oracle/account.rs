//! What an account may find out about itself without any grant: its limits, its password, its rights.
//!
//! USER_USERS, USER_RESOURCE_LIMITS and SESSION_PRIVS show everybody their own entries (Oracle Database Reference), so a grant that
//! is missing never hides what limits the account. Only the instance's limits on idle sessions are in V$PARAMETER.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::oracle::error::Error;
use crate::oracle::probe::{number, text, time};
use crate::oracle::sql::startup;
use crate::oracle::{Connection, collect, text_form};
use crate::session::time::DbTime;

/// More rows than any of these queries returns.
const AT_MOST: usize = 1_000;

/// The account as the dictionary shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountStatus {
    /// USER_USERS.ACCOUNT_STATUS: `OPEN`, `EXPIRED(GRACE)`.
    pub(crate) status: String,
    /// USER_USERS.EXPIRY_DATE: when its password expires, if it does.
    pub(crate) expires: Option<DbTime>,
    /// SYSDATE.
    pub(crate) now: Option<DbTime>,
}

/// Status and expiry of the account.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn account_status(connection: &mut dyn Connection, limit: Duration) -> Result<AccountStatus, Error> {
    let rows = collect(connection, &startup::own_account(), limit, 1, |row| {
        Some(AccountStatus {
            status: text(row, 0).unwrap_or_default(),
            expires: time(row, 1),
            now: time(row, 2),
        })
    })?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// The limits of the account's profile, by RESOURCE_NAME: `IDLE_TIME` is `UNLIMITED`, or minutes.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn profile(connection: &mut dyn Connection, limit: Duration) -> Result<BTreeMap<String, String>, Error> {
    named(connection, &startup::own_limits(), limit)
}

/// MAX_IDLE_TIME, MAX_IDLE_BLOCKER_TIME and RESOURCE_LIMIT, as far as the release has them.
///
/// # Errors
/// When V$PARAMETER cannot be read.
pub(crate) fn idle_limits(connection: &mut dyn Connection, limit: Duration) -> Result<BTreeMap<String, String>, Error> {
    named(connection, &startup::idle_parameters(), limit)
}

/// Whether the session has a system privilege, its own or by a role.
///
/// # Errors
/// When SESSION_PRIVS cannot be read.
pub(crate) fn holds(connection: &mut dyn Connection, privilege: &str, limit: Duration) -> Result<bool, Error> {
    let rows = collect(connection, &startup::own_privilege(privilege), limit, AT_MOST, |row| {
        text(row, 0)
    })?;
    Ok(!rows.is_empty())
}

/// What there is of the guard package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GuardPackage {
    /// It can be called, and says its version.
    Callable(i64),
    /// It is not there, or the account may not execute it; whether there is its owner.
    Absent(Error, bool),
    /// It does not compile.
    Invalid(Error),
}

/// Whether the guard package can be called.
///
/// # Errors
/// When that cannot be found out.
pub(crate) fn guard_package(
    connection: &mut dyn Connection,
    owner: &str,
    limit: Duration,
) -> Result<GuardPackage, Error> {
    match collect(connection, &startup::guard_version(owner), limit, 1, |row| {
        number(row, 0)
    }) {
        Ok(versions) => Ok(GuardPackage::Callable(versions.first().copied().unwrap_or(0))),
        // An account without EXECUTE on a function does not see it: invalid identifier.
        Err(error) if matches!(error.code, Some(904 | 6550 | 6553)) => {
            let owners = collect(connection, &startup::account_named(owner), limit, AT_MOST, |row| {
                text(row, 0)
            })?;
            Ok(GuardPackage::Absent(error, !owners.is_empty()))
        }
        Err(error) if matches!(error.code, Some(4063 | 4067 | 6508 | 6575)) => Ok(GuardPackage::Invalid(error)),
        Err(error) => Err(error),
    }
}

/// What an account holds itself: system privileges, and objects of SYS that it may read.
///
/// # Errors
/// When the dictionary cannot be read.
pub(crate) fn rights_of(
    connection: &mut dyn Connection,
    account: &str,
    in_root: bool,
    limit: Duration,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let mut names = |query| collect(connection, &query, limit, AT_MOST, |row| text(row, 0));
    let privileges = names(startup::privileges_of(account, in_root))?;
    Ok((privileges, names(startup::objects_read_by(account, in_root))?))
}

/// Whether the account may execute Amazon's package.
///
/// # Errors
/// When that cannot be found out.
pub(crate) fn executes_rds_package(connection: &mut dyn Connection, limit: Duration) -> Result<bool, Error> {
    let rows = collect(connection, &startup::rds_package(), limit, AT_MOST, |row| text(row, 0))?;
    Ok(!rows.is_empty())
}

/// The database's character set, and whether texts in it are UTF-8.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn character_set(connection: &mut dyn Connection, limit: Duration) -> Result<(String, bool), Error> {
    let rows = collect(connection, &text_form::character_set(), limit, 1, |row| text(row, 0))?;
    let name = rows.into_iter().next().unwrap_or_default();
    let utf8 = text_form::is_utf8(&name);
    Ok((name, utf8))
}

fn named(
    connection: &mut dyn Connection,
    query: &crate::oracle::Query,
    limit: Duration,
) -> Result<BTreeMap<String, String>, Error> {
    let rows = collect(connection, query, limit, AT_MOST, |row| {
        Some((text(row, 0)?, text(row, 1).unwrap_or_default()))
    })?;
    Ok(rows.into_iter().collect())
}
