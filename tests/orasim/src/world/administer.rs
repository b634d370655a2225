//! What statements about accounts do: CREATE USER and PROFILE, ALTER and DROP USER, GRANT, REVOKE.
//!
//! In the root what is made is common and its name begins with C## (COMMON_USER_PREFIX); in a PDB it is local and begins
//! otherwise. A grant holds in the container in which it was made (SQL Language Reference, CREATE USER and GRANT).

use super::accounts::{Right, Where};
use super::client::ClientSession;
use super::{Shared, State};
use crate::backend::OraError;
use crate::error::{known, not_simulated, ora};
use crate::scenario::{AccountStatus, ContainerData};
use crate::sql::ddl::{Container, Ddl, Granted};
use crate::views;

type Result<T> = std::result::Result<T, OraError>;

/// System privileges that can be granted here, besides those that nothing simulated asks for.
const PRIVILEGES: [&str; 12] = [
    "CREATE SESSION",
    "ALTER SYSTEM",
    "SELECT ANY DICTIONARY",
    "LOGMINING",
    "CREATE TABLE",
    "CREATE USER",
    "ALTER USER",
    "DROP USER",
    "CREATE PROFILE",
    "RESTRICTED SESSION",
    "UNLIMITED TABLESPACE",
    "SET CONTAINER",
];

const ROOT: u32 = 1;

impl ClientSession {
    /// Runs a statement about accounts.
    pub(super) fn administer(&mut self, ddl: Ddl) -> Result<()> {
        let shared = std::sync::Arc::clone(&self.shared);
        let (user, con_id) = (self.setting.viewer.user.to_string(), self.setting.viewer.con_id);
        let mut state = shared.look();
        if is_about_a_table(&state, &ddl, &self.setting.schema) {
            return Err(not_simulated("a grant on a table"));
        }
        if !state.accounts.administers(&user, self.setting.sysdba) {
            return Err(known(1031));
        }
        if shared.scenario.database.open_mode != "READ WRITE" {
            return Err(known(16_000));
        }
        match ddl {
            Ddl::CreateUser {
                name,
                password,
                locked,
                profile,
                container,
            } => create_user(
                &mut state,
                place_of(con_id, &name, container, [65_096, 65_094])?,
                name,
                (password, locked, profile),
            )?,
            Ddl::CreateProfile {
                name,
                limits,
                container,
            } => {
                place_of(con_id, &name, container, [65_140, 65_141])?;
                create_profile(&mut state, name, limits)?;
            }
            Ddl::SetContainerData { name, all } => {
                if con_id != ROOT {
                    return Err(known(65_057));
                }
                let data = if all {
                    ContainerData::All
                } else {
                    ContainerData::Current
                };
                account(&mut state, &name, con_id)?.set_container_data(data);
            }
            Ddl::SetPassword { name, password } => {
                account(&mut state, &name, con_id)?.account.password = Some(password)
            }
            Ddl::SetProfile { name, profile } => {
                exists(&state, Some(&profile))?;
                account(&mut state, &name, con_id)?.profile = Some(profile);
            }
            Ddl::DropUser(name) => {
                account(&mut state, &name, con_id)?;
                state.accounts.remove(&name);
                state.packages.remove_owner(&name);
                state.tables.remove_owner(&name);
            }
            Ddl::Grant { what, to, container } => {
                let rights = rights(&shared, &state, &what)?;
                grant(&mut state, con_id, &rights, (to, container))?;
            }
            Ddl::Revoke { what, from } => {
                let rights = rights(&shared, &state, &what)?;
                revoke(&mut state, con_id, &rights, from)?;
            }
        }
        Ok(())
    }
}

fn is_about_a_table(state: &State, ddl: &Ddl, schema: &str) -> bool {
    matches!(ddl, Ddl::Grant { what: Granted::Object(owner, name), .. } | Ddl::Revoke { what: Granted::Object(owner, name), .. }
        if state.tables.get(owner.as_deref().unwrap_or(schema), name).is_some())
}

fn create_user(
    state: &mut State,
    place: Where,
    name: String,
    (password, locked, profile): (Option<String>, bool, Option<String>),
) -> Result<()> {
    if state.accounts.get(&name).is_some() {
        return Err(ora(
            1920,
            format!("user name '{name}' conflicts with another user or role name"),
        ));
    }
    exists(state, profile.as_deref())?;
    state.accounts.create(&name, password, place, profile);
    if let Some(known) = state.accounts.get_mut(&name).filter(|_| locked) {
        known.account.status = AccountStatus::Locked;
    }
    state.limit_idle(&name);
    Ok(())
}

fn create_profile(state: &mut State, name: String, limits: Vec<(String, String)>) -> Result<()> {
    if state.accounts.profiles.contains_key(&name) || name == "DEFAULT" {
        return Err(ora(2379, format!("profile {name} already exists")));
    }
    state.accounts.profiles.insert(name, limits.into_iter().collect());
    Ok(())
}

fn grant(
    state: &mut State,
    con_id: u32,
    rights: &[Right],
    (to, container): (Vec<String>, Option<Container>),
) -> Result<()> {
    let place = match (container, con_id) {
        (Some(_), 0) => return Err(known(65_090)),
        (Some(Container::All), ROOT) => Where::Everywhere,
        (Some(Container::All), _) => return Err(known(65_050)),
        (Some(Container::Current) | None, own) => Where::In(own),
    };
    for name in to {
        let to = grantee(state, &name, con_id)?;
        to.granted.extend(rights.iter().map(|right| (place, right.clone())));
    }
    Ok(())
}

fn revoke(state: &mut State, con_id: u32, rights: &[Right], from: Vec<String>) -> Result<()> {
    for name in from {
        let of = grantee(state, &name, con_id)?;
        for right in rights {
            if !of.revoke(con_id, right) {
                return Err(match right {
                    Right::System(_) => ora(1952, format!("system privileges not granted to '{name}'")),
                    Right::View(_) | Right::Package(..) => known(1927),
                });
            }
        }
    }
    Ok(())
}

/// Where something new belongs, by the container that it is made in and its name. `wrong` are the errors for a name that is not
/// common in the root, and for one that is in a PDB.
fn place_of(con_id: u32, name: &str, container: Option<Container>, wrong: [u32; 2]) -> Result<Where> {
    let common = name.starts_with("C##");
    match (con_id, container) {
        (0, Some(_)) => Err(known(65_090)),
        (0, None) => Ok(Where::Everywhere),
        (ROOT, Some(Container::Current)) => Err(known(65_049)),
        (ROOT, _) if !common => Err(known(wrong[0])),
        (ROOT, _) => Ok(Where::Everywhere),
        (_, Some(Container::All)) => Err(known(65_050)),
        (_, _) if common => Err(known(wrong[1])),
        (own, _) => Ok(Where::In(own)),
    }
}

fn exists(state: &State, profile: Option<&str>) -> Result<()> {
    match profile {
        Some(name) if name != "DEFAULT" && !state.accounts.profiles.contains_key(name) => {
            Err(ora(2380, format!("profile {name} does not exist")))
        }
        Some(_) | None => Ok(()),
    }
}

fn account<'s>(state: &'s mut State, name: &str, con_id: u32) -> Result<&'s mut super::accounts::Known> {
    let account = state.accounts.get_mut(name).filter(|known| known.place.holds(con_id));
    account.ok_or_else(|| ora(1918, format!("user '{name}' does not exist")))
}

fn grantee<'s>(state: &'s mut State, name: &str, con_id: u32) -> Result<&'s mut super::accounts::Known> {
    let account = state.accounts.get_mut(name).filter(|known| known.place.holds(con_id));
    account.ok_or_else(|| ora(1917, format!("user or role '{name}' does not exist")))
}

fn rights(shared: &Shared, state: &State, what: &Granted) -> Result<Vec<Right>> {
    match what {
        Granted::Privileges(names) => names
            .iter()
            .map(|name| {
                if PRIVILEGES.contains(&name.as_str()) {
                    Ok(Right::System(name.clone()))
                } else if name.contains(' ') {
                    Err(known(990))
                } else {
                    Err(ora(1919, format!("role '{name}' does not exist")))
                }
            })
            .collect(),
        Granted::Package(owner, name) => match state.packages.get(owner, name) {
            Some(_) => Ok(vec![Right::Package(owner.clone(), name.clone())]),
            None if owner == "SYS" && name == "DBMS_LOCK" => Ok(vec![Right::Package(owner.clone(), name.clone())]),
            None if owner == "RDSADMIN" && state.accounts.get(owner).is_some() => {
                Ok(vec![Right::Package(owner.clone(), name.clone())])
            }
            None => Err(known(4042)),
        },
        Granted::Object(owner, name) => {
            let (view, global) =
                views::find(shared.scenario.release, owner.as_deref(), name).ok_or_else(|| known(942))?;
            // V$SESSION is a synonym for V_$SESSION, and SYS has no other object of the former name to grant.
            if name.starts_with("V$") || name.starts_with("GV$") {
                return Err(known(2030));
            }
            Ok(vec![Right::View(views::all()[view].granted_as(global))])
        }
    }
}
