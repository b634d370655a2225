//! Whether the account that acts may act: by the privilege, by the guard package, or by Amazon's package. Nothing is sent that acts.

use std::time::Duration;

use crate::actuator::PRIVILEGE;
use crate::actuator::guard::{INSTALL_AGAIN, PACKAGE, VERSION, grant_execute, may_not_execute, owner_lacks};
use crate::checks::{Check, Id, State};
use crate::decide::leadership::LockAnswer;
use crate::oracle::access::{self, Grantee};
use crate::oracle::account::{self, GuardPackage};
use crate::oracle::capabilities::{Container, HostingService, Way};
use crate::oracle::leader;
use crate::oracle::{ActingConnection, Class, Connection, Error, LeaderLock};
use crate::setup_sql::guard::read_by_owner;

/// What acting depends on.
pub(super) struct Acts {
    pub(super) service: HostingService,
    pub(super) way: Way,
    pub(super) container: Container,
    /// Whether a policy enforces here.
    pub(super) enforces: bool,
    pub(super) username: String,
}

const RDS_PACKAGE: &str = "RDSADMIN_UTIL";

/// Asks over the connection that acts.
pub(super) fn look(connection: &mut dyn Connection, acts: &Acts, limit: Duration) -> Vec<Check> {
    match acts.way {
        Way::AlterSystem => vec![by_privilege(account::holds(connection, PRIVILEGE, limit), acts)],
        Way::Package { owner } => by_package(connection, owner, acts, limit),
        Way::RdsAdmin => vec![by_rds(account::executes_rds_package(connection, limit), acts)],
    }
}

/// Whether the account may use the lock by which one of several daemons leads. Releasing a lock that the session does not hold changes
/// nothing.
pub(super) fn to_lead(connection: &mut dyn ActingConnection, lock: LeaderLock, acts: &Acts, limit: Duration) -> Check {
    let grantee = Grantee {
        username: &acts.username,
        service: acts.service,
    };
    let check = |state, found: String| Check::new(Id::Leader, "DBMS_LOCK", state, found);
    let asked = connection.ask(&leader::probe(lock), limit);
    match asked.and_then(|said| leader::answer(&said, "ask DBMS_LOCK")) {
        Ok(LockAnswer::Held | LockAnswer::Got) => check(
            State::Fine,
            format!("the account may execute DBMS_LOCK, by lock {lock} of which one of several daemons leads"),
        ),
        Ok(other) => check(State::Untried, format!("DBMS_LOCK.RELEASE answered {other:?}")),
        Err(error) if error.class == Class::Config => {
            let found = format!(
                "`leader` is configured, and the account may not execute DBMS_LOCK, so a daemon cannot lead: {error}"
            );
            check(State::Missing, found).granted_by(access::grant_execute(leader::PACKAGE, grantee))
        }
        Err(error) => check(State::Untried, error.to_string()),
    }
}

/// What is said where there is no connection to ask over.
pub(super) fn unasked(way: Way) -> Check {
    let about = match way {
        Way::AlterSystem => PRIVILEGE,
        Way::Package { .. } => PACKAGE,
        Way::RdsAdmin => RDS_PACKAGE,
    };
    let found = "it is asked over the connection that acts, and there is none";
    Check::new(Id::RightToAct, about, State::Untried, found)
}

/// What is missing matters once a policy enforces.
const fn lacking(acts: &Acts) -> State {
    if acts.enforces { State::Missing } else { State::Note }
}

fn by_privilege(held: Result<bool, Error>, acts: &Acts) -> Check {
    let grantee = Grantee {
        username: &acts.username,
        service: acts.service,
    };
    let grant = access::grant_privilege(PRIVILEGE, grantee);
    let check = |state, found: &str| Check::new(Id::RightToAct, PRIVILEGE, state, found);
    match (acts.service, held) {
        (HostingService::AmazonRds, _) => check(
            State::Note,
            "Amazon RDS grants no account the privilege to end sessions",
        ),
        (HostingService::SelfManaged | HostingService::Autonomous, Err(error)) => {
            check(State::Untried, &error.to_string())
        }
        (HostingService::SelfManaged | HostingService::Autonomous, Ok(true)) => {
            check(State::Fine, "the account may end sessions")
        }
        (HostingService::SelfManaged | HostingService::Autonomous, Ok(false)) => {
            let found = if acts.enforces {
                "a policy enforces here, and the account may not end sessions"
            } else {
                "the account may not end sessions, and no policy enforces here yet"
            };
            check(lacking(acts), found).granted_by(grant)
        }
    }
}

fn by_rds(executes: Result<bool, Error>, acts: &Acts) -> Check {
    let check = |state, found: &str| Check::new(Id::RightToAct, RDS_PACKAGE, state, found);
    match executes {
        Err(error) => check(State::Untried, &error.to_string()),
        Ok(_) if acts.service != HostingService::AmazonRds => {
            let found = "`via: rds` is for Amazon RDS, and this database has no account RDSADMIN";
            check(State::Missing, found).with("leave `via` out")
        }
        Ok(true) => check(
            State::Fine,
            "the account may execute rdsadmin.rdsadmin_util, which ends sessions on Amazon RDS",
        ),
        Ok(false) => {
            let found =
                "sessions are ended by rdsadmin.rdsadmin_util on Amazon RDS, and the account may not execute it";
            check(lacking(acts), found).granted_by(access::grant_rds_package(&acts.username))
        }
    }
}

fn by_package(connection: &mut dyn Connection, owner: &str, acts: &Acts, limit: Duration) -> Vec<Check> {
    let about = |state, found: String| Check::new(Id::RightToAct, PACKAGE, state, found);
    let mut checks = Vec::new();
    let mut invalid = None;
    match account::guard_package(connection, owner, limit) {
        Err(error) => checks.push(about(State::Untried, error.to_string())),
        Ok(GuardPackage::Callable(version)) if version == i64::from(VERSION) => {
            let found =
                format!("the account may execute {owner}.{PACKAGE}, version {version}, which ends sessions for it");
            checks.push(about(State::Fine, found));
        }
        Ok(GuardPackage::Callable(version)) => {
            let found = format!("{owner}.{PACKAGE} is of version {version}, and this program calls version {VERSION}");
            checks.push(about(lacking(acts), found).with(INSTALL_AGAIN));
        }
        Ok(GuardPackage::Absent(error, true)) => {
            let found = may_not_execute(&error.to_string(), owner);
            checks.push(about(lacking(acts), found).granted_by(grant_execute(acts.container, &acts.username)));
        }
        Ok(GuardPackage::Absent(error, false)) => {
            let found = format!("{error}; there is no account {owner}, which owns the package");
            let remedy = "run the statements that `orareaper setup-sql --guard-only` prints";
            return vec![about(lacking(acts), found).with(remedy)];
        }
        Ok(GuardPackage::Invalid(error)) => invalid = Some(error),
    }
    let missing = rights_of_owner(connection, owner, acts, limit);
    if let Some(error) = invalid
        && missing.is_empty()
    {
        checks.push(about(lacking(acts), error.to_string()).with(INSTALL_AGAIN));
    }
    checks.extend(missing);
    if let Ok(true) = account::holds(connection, PRIVILEGE, limit) {
        let found =
            "the account may end sessions without the package too, so the package protects nobody from it".to_owned();
        let revoke = format!("REVOKE {PRIVILEGE} FROM {}", access::identifier(&acts.username));
        checks.push(Check::new(Id::RightToAct, PRIVILEGE, State::Note, found).granted_by(revoke));
    }
    checks
}

/// What the package's owner lacks. Where the dictionary cannot be read, that is said of its views.
fn rights_of_owner(connection: &mut dyn Connection, owner: &str, acts: &Acts, limit: Duration) -> Vec<Check> {
    let Ok((privileges, objects)) = account::rights_of(connection, owner, acts.container == Container::Root, limit)
    else {
        return Vec::new();
    };
    let grantee = Grantee {
        username: owner,
        service: HostingService::SelfManaged,
    };
    let lacks = |what: &str, grant: String| {
        let found = owner_lacks(owner, what);
        Check::new(Id::RightToAct, PACKAGE, lacking(acts), found).granted_by(grant)
    };
    let mut checks = Vec::new();
    if !privileges.iter().any(|held| held == PRIVILEGE) {
        checks.push(lacks(PRIVILEGE, access::grant_privilege(PRIVILEGE, grantee)));
    }
    for view in read_by_owner(acts.container) {
        if !objects.iter().any(|held| *held == access::object(view)) {
            checks.push(lacks(view, access::grant(view, grantee)));
        }
    }
    checks
}
