//! Roles, system privileges, object privileges, and the privileges to capture and apply changes.

use super::{Cell, Col, Of, Sink, Snap, d, of_all, of_own, since, v, view, with_container};
use crate::backend::ColumnType;
use crate::scenario::{Account, Goldengate, Release, Rights, Scenario};

/// Everybody with rights of their own in a container: accounts and the scenario's roles.
fn grantees(scenario: &Scenario, con_id: u32) -> impl Iterator<Item = (&str, &Rights)> {
    let everywhere = scenario.accounts.iter().map(|(name, account)| (name, &account.rights));
    let here = scenario.accounts.iter().flat_map(move |(name, account)| {
        let of = account.rights_in.iter();
        let here = of.filter(move |(pdb, _)| scenario.con_id(Some(pdb)) == Some(con_id));
        here.map(move |(_, rights)| (name, rights))
    });
    everywhere
        .chain(here)
        .chain(&scenario.roles)
        .map(|(name, rights)| (name.as_str(), rights))
}

/// A grant: to whom, what.
type Grant = (String, String);

/// What every database has, whether anybody uses it or not.
const OWN_ROLES: [(&str, &str); 6] = [
    ("SYS", "DBA"),
    ("SYSTEM", "DBA"),
    ("DBA", "SELECT_CATALOG_ROLE"),
    ("DBA", "EXECUTE_CATALOG_ROLE"),
    ("SYS", "EXECUTE_CATALOG_ROLE"),
    ("SYS", "SELECT_CATALOG_ROLE"),
];

fn role_rows(scenario: &Scenario, con_id: u32) -> Vec<Grant> {
    let own = OWN_ROLES
        .iter()
        .map(|(to, role)| ((*to).to_owned(), (*role).to_owned()));
    let given = grantees(scenario, con_id)
        .flat_map(|(to, rights)| rights.roles.iter().map(|role| (to.to_owned(), role.to_uppercase())));
    own.chain(given).collect()
}

fn role_columns() -> Vec<Col<Of<Grant>>> {
    vec![
        v("GRANTEE", 128, |_, r| Cell::Owned(r.it.0.clone())),
        v("GRANTED_ROLE", 128, |_, r| Cell::Owned(r.it.1.clone())),
        v("ADMIN_OPTION", 3, |_, r| {
            Cell::Word(if r.it.0 == "SYS" { "YES" } else { "NO" })
        }),
        since(12, 1, v("DELEGATE_OPTION", 3, |_, _| Cell::Word("NO"))),
        v("DEFAULT_ROLE", 3, |_, _| Cell::Word("YES")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(roles, Of<Grant>, super::role_columns(), |snap| of_own(snap, |con_id| {
    super::role_rows(snap.scenario, con_id)
}));
view!(cdb_roles, Of<Grant>, with_container(super::role_columns()), |snap| {
    of_all(snap, |con_id| super::role_rows(snap.scenario, con_id))
});

/// The system privileges of an account that it holds itself, in a container.
pub(super) fn privileges(scenario: &Scenario, user: &str, con_id: u32) -> Vec<String> {
    let given = grantees(scenario, con_id).filter(|(to, _)| *to == user);
    usual_privileges(scenario, user)
        .map(str::to_owned)
        .chain(given.flat_map(|(_, rights)| rights.privileges.iter().map(|name| name.to_uppercase())))
        .collect()
}

/// What its other fields make of it.
fn usual_privileges(scenario: &Scenario, user: &str) -> impl Iterator<Item = &'static str> {
    let account = scenario.accounts.get(user);
    let has = |get: fn(&Account) -> bool| account.is_none_or(get);
    let usual = [
        ("CREATE SESSION", has(|account| account.create_session)),
        ("ALTER SYSTEM", has(|account| account.alter_system)),
        ("SELECT ANY DICTIONARY", has(|account| account.views.is_none())),
        ("CREATE TABLE", true),
    ];
    usual.into_iter().filter(|(_, held)| *held).map(|(name, _)| name)
}

fn system_rows(scenario: &Scenario, con_id: u32) -> Vec<Grant> {
    // LOGMINING came with 12.1; DBA has nearly all privileges.
    let own = ["ALTER SYSTEM", "CREATE SESSION", "SELECT ANY DICTIONARY", "LOGMINING"]
        .into_iter()
        .filter(|name| *name != "LOGMINING" || scenario.release.at_least(12, 1))
        .flat_map(|name| ["SYS", "DBA"].map(|to| (to.to_owned(), name.to_owned())));
    let accounts = scenario
        .accounts
        .keys()
        .flat_map(|name| usual_privileges(scenario, name).map(|held| (name.clone(), held.to_owned())));
    let given = grantees(scenario, con_id).flat_map(|(to, rights)| {
        rights
            .privileges
            .iter()
            .map(|held| (to.to_owned(), held.to_uppercase()))
    });
    own.chain(accounts).chain(given).collect()
}

fn system_columns() -> Vec<Col<Of<Grant>>> {
    vec![
        v("GRANTEE", 128, |_, r| Cell::Owned(r.it.0.clone())),
        v("PRIVILEGE", 40, |_, r| Cell::Owned(r.it.1.clone())),
        v("ADMIN_OPTION", 3, |_, _| Cell::Word("NO")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(system, Of<Grant>, super::system_columns(), |snap| of_own(
    snap,
    |con_id| { super::system_rows(snap.scenario, con_id) }
));
view!(cdb_system, Of<Grant>, with_container(super::system_columns()), |snap| {
    of_all(snap, |con_id| super::system_rows(snap.scenario, con_id))
});

/// A grant on an object of SYS: to whom, on what, to do what.
type ObjectGrant = (String, String, &'static str);

fn object_rows(scenario: &Scenario, con_id: u32) -> Vec<ObjectGrant> {
    let role = "EXECUTE_CATALOG_ROLE";
    let own = ["DBMS_LOGMNR", "DBMS_LOGMNR_D"].map(|package| (role.to_owned(), package.to_owned(), "EXECUTE"));
    let packages = grantees(scenario, con_id).flat_map(|(to, rights)| {
        rights
            .executes
            .iter()
            .map(|package| (to.to_owned(), package.to_uppercase(), "EXECUTE"))
    });
    let views = scenario.accounts.iter().flat_map(|(name, account)| {
        // The grant is on the view behind the synonym.
        let behind = |view: &String| match view.split_once('$') {
            Some((kind @ ("V" | "GV"), rest)) => format!("{kind}_${rest}"),
            Some(_) | None => view.clone(),
        };
        let views = account.views.iter().flatten();
        views.map(move |view| (name.clone(), behind(view), "SELECT"))
    });
    own.into_iter().chain(packages).chain(views).collect()
}

fn object_columns() -> Vec<Col<Of<ObjectGrant>>> {
    vec![
        v("GRANTEE", 128, |_, r| Cell::Owned(r.it.0.clone())),
        v("OWNER", 128, |_, _| Cell::Word("SYS")),
        v("TABLE_NAME", 128, |_, r| Cell::Owned(r.it.1.clone())),
        v("GRANTOR", 128, |_, _| Cell::Word("SYS")),
        v("PRIVILEGE", 40, |_, r| Cell::Word(r.it.2)),
        v("GRANTABLE", 3, |_, _| Cell::Word("NO")),
        v("HIERARCHY", 3, |_, _| Cell::Word("NO")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(
            12,
            1,
            v("TYPE", 24, |_, r| {
                Cell::Word(if r.it.2 == "EXECUTE" { "PACKAGE" } else { "VIEW" })
            }),
        ),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(objects, Of<ObjectGrant>, super::object_columns(), |snap| of_own(
    snap,
    |con_id| super::object_rows(snap.scenario, con_id)
));
view!(
    cdb_objects,
    Of<ObjectGrant>,
    with_container(super::object_columns()),
    |snap| of_all(snap, |con_id| super::object_rows(snap.scenario, con_id))
);

type Replicator = (String, &'static str);

fn goldengate_rows(scenario: &Scenario, con_id: u32) -> Vec<Replicator> {
    let held = grantees(scenario, con_id).filter_map(|(name, rights)| {
        let kind = match rights.goldengate? {
            Goldengate::Capture => "CAPTURE",
            Goldengate::Apply => "APPLY",
            Goldengate::Both => "*",
        };
        Some((name.to_owned(), kind))
    });
    held.collect()
}

fn goldengate_columns() -> Vec<Col<Of<Replicator>>> {
    vec![
        v("USERNAME", 128, |_, r| Cell::Owned(r.it.0.clone())),
        v("PRIVILEGE_TYPE", 7, |_, r| Cell::Word(r.it.1)),
        v("GRANT_SELECT_PRIVILEGES", 3, |_, _| Cell::Word("YES")),
        d("CREATE_TIME", |s, _| {
            Cell::Time(s.state.now.div_euclid(86_400_000) * 86_400_000 - 100 * 86_400_000)
        }),
    ]
}

view!(goldengate, Of<Replicator>, super::goldengate_columns(), |snap| {
    of_own(snap, |con_id| super::goldengate_rows(snap.scenario, con_id))
});
view!(
    cdb_goldengate,
    Of<Replicator>,
    with_container(super::goldengate_columns()),
    |snap| of_all(snap, |con_id| super::goldengate_rows(snap.scenario, con_id))
);

fn xstream_rows(scenario: &Scenario, con_id: u32) -> Vec<String> {
    let held = grantees(scenario, con_id).filter(|(_, rights)| rights.xstream_administrator);
    held.map(|(name, _)| name.to_owned()).collect()
}

fn xstream_columns() -> Vec<Col<Of<String>>> {
    vec![
        v("USERNAME", 128, |_, r: &Of<String>| Cell::Owned(r.it.clone())),
        v("LOCAL_PRIVILEGES", 3, |_, _| Cell::Word("YES")),
        v("ACCESS_FROM_REMOTE", 3, |_, _| Cell::Word("NO")),
    ]
}

view!(xstream, Of<String>, super::xstream_columns(), |snap| of_own(
    snap,
    |con_id| super::xstream_rows(snap.scenario, con_id)
));
view!(
    cdb_xstream,
    Of<String>,
    with_container(super::xstream_columns()),
    |snap| of_all(snap, |con_id| super::xstream_rows(snap.scenario, con_id))
);
