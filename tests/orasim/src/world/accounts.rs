//! Who may log in and what they may do: as the scenario says, and as CREATE USER, GRANT and their like have changed it.
//!
//! An account of the scenario exists in every container, with its rights in all of them. One that a statement has made is common
//! (made in the root) or local (made in a PDB), begins without any right, and has a right only in the container in which it was
//! granted, unless the grant says CONTAINER = ALL.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::{Account, AccountStatus, ContainerData, Rights, Scenario};

/// A right that is granted by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// A system privilege: `CREATE SESSION`.
    System(String),
    /// A view by the name that it is read by: `GV$SESSION`.
    View(String),
    /// To execute a package: its owner, its name.
    Package(String, String),
}

/// In which containers something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Where {
    /// In all.
    Everywhere,
    /// In one.
    In(u32),
}

impl Where {
    pub(crate) fn holds(self, con_id: u32) -> bool {
        match self {
            Where::Everywhere => true,
            Where::In(own) => own == con_id,
        }
    }
}

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// What the scenario says, or would say.
    pub(crate) account: Account,
    /// Where it exists.
    pub(crate) place: Where,
    /// What statements have granted.
    pub(crate) granted: BTreeSet<(Where, Right)>,
    /// The profile that a statement gave it.
    pub(crate) profile: Option<String>,
    /// What a statement has set for it.
    container_data: Option<ContainerData>,
}

/// All accounts, and the profiles that statements have made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    all: BTreeMap<String, Known>,
    /// Limits by the name of the resource.
    pub(crate) profiles: BTreeMap<String, BTreeMap<String, String>>,
}

impl Accounts {
    pub(super) fn of(scenario: &Scenario) -> Accounts {
        let known = |(name, account): (&String, &Account)| {
            let known = Known {
                account: account.clone(),
                place: Where::Everywhere,
                granted: BTreeSet::new(),
                profile: None,
                container_data: Some(scenario.database.container_data),
            };
            (name.clone(), known)
        };
        Accounts {
            all: scenario.accounts.iter().map(known).collect(),
            profiles: BTreeMap::new(),
        }
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Known)> {
        self.all.iter()
    }

    /// Those of a container.
    pub(crate) fn in_container(&self, con_id: u32) -> impl Iterator<Item = (&String, &Known)> {
        self.all.iter().filter(move |(_, known)| known.place.holds(con_id))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Known> {
        self.all.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Known> {
        self.all.get_mut(name)
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.all.remove(name).is_some()
    }

    /// Makes an account that has no right.
    pub(crate) fn create(&mut self, name: &str, password: Option<String>, place: Where, profile: Option<String>) {
        let limits = profile.as_ref().and_then(|profile| self.profiles.get(profile));
        let number = |resource: &str| limits.and_then(|limits| limits.get(resource)?.parse::<u32>().ok());
        let account = Account {
            password,
            status: AccountStatus::Open,
            oracle_maintained: false,
            alter_system: false,
            create_session: false,
            sysdba: false,
            views: Some(BTreeSet::new()),
            sessions_per_user: number("SESSIONS_PER_USER").map(|most| most as usize),
            idle_time: number("IDLE_TIME"),
            connect_time: number("CONNECT_TIME"),
            expires_in: None,
            connect_through: BTreeSet::new(),
            rights: Rights::default(),
            rights_in: BTreeMap::new(),
            oracle_maintained_in: BTreeSet::new(),
        };
        let known = Known {
            account,
            place,
            granted: BTreeSet::new(),
            profile,
            container_data: None,
        };
        self.all.insert(name.to_owned(), known);
    }

    /// Whether it holds a system privilege in a container, itself. One that the scenario does not name may do everything.
    pub(crate) fn holds(&self, name: &str, con_id: u32, privilege: &str) -> bool {
        let Some(known) = self.all.get(name) else { return true };
        let of_scenario = match privilege {
            "CREATE SESSION" => known.account.create_session,
            "ALTER SYSTEM" => known.account.alter_system,
            _ => false,
        };
        let rights = |rights: &Rights| {
            rights
                .privileges
                .iter()
                .any(|held| held.eq_ignore_ascii_case(privilege))
        };
        of_scenario || rights(&known.account.rights) || known.has(con_id, &Right::System(privilege.to_owned()))
    }

    /// Whether it may read a view.
    pub(crate) fn may_read(&self, name: &str, con_id: u32, view: &str) -> bool {
        let Some(known) = self.all.get(name) else { return true };
        let of_scenario = known.account.views.as_ref().is_none_or(|views| views.contains(view));
        of_scenario || known.has(con_id, &Right::View(view.to_owned()))
    }

    /// Whether it was granted to execute a package.
    pub(crate) fn may_execute(&self, name: &str, con_id: u32, owner: &str, package: &str) -> bool {
        let right = Right::Package(owner.to_owned(), package.to_owned());
        self.all.get(name).is_some_and(|known| known.has(con_id, &right))
    }

    /// Whether it may execute DBMS_LOCK.
    pub(crate) fn may_use_dbms_lock(&self, name: &str, con_id: u32) -> bool {
        const PACKAGE: &str = "DBMS_LOCK";
        let Some(known) = self.all.get(name) else { return true };
        let mut executes = known.account.rights.executes.iter();
        executes.any(|held| held.eq_ignore_ascii_case(PACKAGE)) || self.may_execute(name, con_id, "SYS", PACKAGE)
    }

    /// Whether it may execute Amazon's package, which is there where RDSADMIN is.
    pub(crate) fn may_use_rds(&self, name: &str, con_id: u32) -> bool {
        const PACKAGE: &str = "RDSADMIN_UTIL";
        let of_scenario = |known: &Known| {
            let mut executes = known.account.rights.executes.iter();
            executes.any(|held| held.eq_ignore_ascii_case(PACKAGE))
        };
        self.all.contains_key("RDSADMIN")
            && (self.may_execute(name, con_id, "RDSADMIN", PACKAGE) || self.all.get(name).is_some_and(of_scenario))
    }

    /// Whether it may make accounts and grant: SYS, and whoever has the role DBA.
    pub(crate) fn administers(&self, name: &str, sysdba: bool) -> bool {
        let is_dba = |known: &Known| {
            known
                .account
                .rights
                .roles
                .iter()
                .any(|role| role.eq_ignore_ascii_case("DBA"))
        };
        sysdba || name == "SYS" || self.all.get(name).is_some_and(is_dba)
    }

    /// Which containers' data it sees from the root. Oracle shows a new common account the root's alone.
    pub(crate) fn container_data(&self, name: &str, otherwise: ContainerData) -> ContainerData {
        match self.all.get(name) {
            Some(known) => known.container_data.unwrap_or(ContainerData::Current),
            None => otherwise,
        }
    }
}

impl Known {
    fn has(&self, con_id: u32, right: &Right) -> bool {
        let mut granted = self.granted.iter();
        granted.any(|(place, held)| place.holds(con_id) && held == right)
    }

    pub(crate) fn set_container_data(&mut self, data: ContainerData) {
        self.container_data = Some(data);
    }

    /// Takes a right away, wherever it came from. Whether it was there.
    pub(crate) fn revoke(&mut self, con_id: u32, right: &Right) -> bool {
        let before = self.granted.len();
        self.granted
            .retain(|(place, held)| held != right || !place.holds(con_id));
        let granted = self.granted.len() < before;
        let of_scenario = match right {
            Right::System(name) if name == "CREATE SESSION" => std::mem::take(&mut self.account.create_session),
            Right::System(name) if name == "ALTER SYSTEM" => std::mem::take(&mut self.account.alter_system),
            Right::System(_) | Right::Package(..) => false,
            Right::View(view) => self.account.views.as_mut().is_some_and(|views| views.remove(view)),
        };
        granted || of_scenario
    }
}
