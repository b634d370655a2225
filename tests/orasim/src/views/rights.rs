//! Roles, system privileges, object privileges, and the privileges to capture and apply changes.

use super::{Cell, Col, Sink, Snap, d, since, v, view};
use crate::backend::ColumnType;
use crate::scenario::{Account, Goldengate, Release, Rights, Scenario};

/// Everybody with rights of their own: accounts and the scenario's roles.
fn grantees(scenario: &Scenario) -> impl Iterator<Item = (&str, &Rights)> {
    let accounts = scenario.accounts.iter().map(|(name, account)| (name, &account.rights));
    accounts
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

fn role_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Grant)> {
    let own = OWN_ROLES
        .iter()
        .map(|(to, role)| ((*to).to_owned(), (*role).to_owned()));
    let given = grantees(snap.scenario)
        .flat_map(|(to, rights)| rights.roles.iter().map(|role| (to.to_owned(), role.to_uppercase())));
    let rows: Vec<Grant> = own.chain(given).collect();
    rows.into_iter().map(|row| (0, row))
}

fn role_columns() -> Vec<Col<Grant>> {
    vec![
        v("GRANTEE", 128, |_, r| Cell::Owned(r.0.clone())),
        v("GRANTED_ROLE", 128, |_, r| Cell::Owned(r.1.clone())),
        v("ADMIN_OPTION", 3, |_, r| {
            Cell::Word(if r.0 == "SYS" { "YES" } else { "NO" })
        }),
        since(12, 1, v("DELEGATE_OPTION", 3, |_, _| Cell::Word("NO"))),
        v("DEFAULT_ROLE", 3, |_, _| Cell::Word("YES")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(roles, Grant, super::role_columns(), |snap| super::role_rows(snap));

/// The system privileges of an account that it holds itself.
pub(super) fn privileges(scenario: &Scenario, user: &str) -> Vec<String> {
    let account = scenario.accounts.get(user);
    let has = |get: fn(&Account) -> bool| account.is_none_or(get);
    let usual = [
        ("CREATE SESSION", has(|account| account.create_session)),
        ("ALTER SYSTEM", has(|account| account.alter_system)),
        ("SELECT ANY DICTIONARY", has(|account| account.views.is_none())),
        ("CREATE TABLE", true),
    ];
    let given = account.into_iter().flat_map(|account| &account.rights.privileges);
    usual
        .into_iter()
        .filter(|(_, held)| *held)
        .map(|(name, _)| name.to_owned())
        .chain(given.map(|name| name.to_uppercase()))
        .collect()
}

fn system_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Grant)> {
    let scenario = snap.scenario;
    // LOGMINING came with 12.1; DBA has nearly all privileges.
    let own = ["ALTER SYSTEM", "CREATE SESSION", "SELECT ANY DICTIONARY", "LOGMINING"]
        .into_iter()
        .filter(|name| *name != "LOGMINING" || scenario.release.at_least(12, 1))
        .flat_map(|name| ["SYS", "DBA"].map(|to| (to.to_owned(), name.to_owned())));
    let accounts = scenario
        .accounts
        .keys()
        .flat_map(|name| privileges(scenario, name).into_iter().map(|held| (name.clone(), held)));
    let roles = scenario
        .roles
        .iter()
        .flat_map(|(name, rights)| rights.privileges.iter().map(|held| (name.clone(), held.to_uppercase())));
    let rows: Vec<Grant> = own.chain(accounts).chain(roles).collect();
    rows.into_iter().map(|row| (0, row))
}

fn system_columns() -> Vec<Col<Grant>> {
    vec![
        v("GRANTEE", 128, |_, r| Cell::Owned(r.0.clone())),
        v("PRIVILEGE", 40, |_, r| Cell::Owned(r.1.clone())),
        v("ADMIN_OPTION", 3, |_, _| Cell::Word("NO")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(system, Grant, super::system_columns(), |snap| super::system_rows(snap));

/// A grant on an object of SYS: to whom, on what, to do what.
type ObjectGrant = (String, String, &'static str);

fn object_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, ObjectGrant)> {
    let role = "EXECUTE_CATALOG_ROLE";
    let own = ["DBMS_LOGMNR", "DBMS_LOGMNR_D"].map(|package| (role.to_owned(), package.to_owned(), "EXECUTE"));
    let packages = grantees(snap.scenario).flat_map(|(to, rights)| {
        rights
            .executes
            .iter()
            .map(|package| (to.to_owned(), package.to_uppercase(), "EXECUTE"))
    });
    let views = snap.scenario.accounts.iter().flat_map(|(name, account)| {
        // The grant is on the view behind the synonym.
        let behind = |view: &String| match view.split_once('$') {
            Some((kind @ ("V" | "GV"), rest)) => format!("{kind}_${rest}"),
            Some(_) | None => view.clone(),
        };
        let views = account.views.iter().flatten();
        views.map(move |view| (name.clone(), behind(view), "SELECT"))
    });
    let rows: Vec<ObjectGrant> = own.into_iter().chain(packages).chain(views).collect();
    rows.into_iter().map(|row| (0, row))
}

fn object_columns() -> Vec<Col<ObjectGrant>> {
    vec![
        v("GRANTEE", 128, |_, r| Cell::Owned(r.0.clone())),
        v("OWNER", 128, |_, _| Cell::Word("SYS")),
        v("TABLE_NAME", 128, |_, r| Cell::Owned(r.1.clone())),
        v("GRANTOR", 128, |_, _| Cell::Word("SYS")),
        v("PRIVILEGE", 40, |_, r| Cell::Word(r.2)),
        v("GRANTABLE", 3, |_, _| Cell::Word("NO")),
        v("HIERARCHY", 3, |_, _| Cell::Word("NO")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(
            12,
            1,
            v("TYPE", 24, |_, r| {
                Cell::Word(if r.2 == "EXECUTE" { "PACKAGE" } else { "VIEW" })
            }),
        ),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(
    objects,
    ObjectGrant,
    super::object_columns(),
    |snap| super::object_rows(snap)
);

type Replicator = (String, &'static str);

fn goldengate_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Replicator)> {
    let held = grantees(snap.scenario).filter_map(|(name, rights)| {
        let kind = match rights.goldengate? {
            Goldengate::Capture => "CAPTURE",
            Goldengate::Apply => "APPLY",
            Goldengate::Both => "*",
        };
        Some((0, (name.to_owned(), kind)))
    });
    held.collect::<Vec<_>>().into_iter()
}

fn goldengate_columns() -> Vec<Col<Replicator>> {
    vec![
        v("USERNAME", 128, |_, r| Cell::Owned(r.0.clone())),
        v("PRIVILEGE_TYPE", 7, |_, r| Cell::Word(r.1)),
        v("GRANT_SELECT_PRIVILEGES", 3, |_, _| Cell::Word("YES")),
        d("CREATE_TIME", |s, _| {
            Cell::Time(s.state.now.div_euclid(86_400_000) * 86_400_000 - 100 * 86_400_000)
        }),
    ]
}

view!(goldengate, Replicator, super::goldengate_columns(), |snap| {
    super::goldengate_rows(snap)
});

fn xstream_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, String)> {
    let held = grantees(snap.scenario)
        .filter(|(_, rights)| rights.xstream_administrator)
        .map(|(name, _)| (0, name.to_owned()));
    held.collect::<Vec<_>>().into_iter()
}

fn xstream_columns() -> Vec<Col<String>> {
    vec![
        v("USERNAME", 128, |_, r: &String| Cell::Owned(r.clone())),
        v("LOCAL_PRIVILEGES", 3, |_, _| Cell::Word("YES")),
        v("ACCESS_FROM_REMOTE", 3, |_, _| Cell::Word("NO")),
    ]
}

view!(xstream, String, super::xstream_columns(), |snap| super::xstream_rows(
    snap
));
