//! Roles, system privileges, object privileges, and the privileges to capture and apply changes.

use super::{Cell, Col, Of, Sink, Snap, d, of_all, of_own, since, v, view, with_container};
use crate::backend::ColumnType;
use crate::scenario::{Account, Goldengate, Release, Rights};
use crate::world::accounts::Right;

/// Everybody with rights of their own in a container: accounts and the scenario's roles.
fn grantees<'a>(snap: &Snap<'a>, con_id: u32) -> impl Iterator<Item = (&'a str, &'a Rights)> + use<'a> {
    let (scenario, accounts) = (snap.scenario, &snap.state.accounts);
    let everywhere = accounts.iter().map(|(name, known)| (name, &known.account.rights));
    let here = accounts.iter().flat_map(move |(name, known)| {
        let of = known.account.rights_in.iter();
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

fn role_rows(snap: &Snap<'_>, con_id: u32) -> Vec<Grant> {
    let own = OWN_ROLES
        .iter()
        .map(|(to, role)| ((*to).to_owned(), (*role).to_owned()));
    let given = grantees(snap, con_id)
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
    super::role_rows(snap, con_id)
}));
view!(cdb_roles, Of<Grant>, with_container(super::role_columns()), |snap| {
    of_all(snap, |con_id| super::role_rows(snap, con_id))
});

/// The system privileges of an account that it holds itself, in a container.
pub(super) fn privileges(snap: &Snap<'_>, user: &str, con_id: u32) -> Vec<String> {
    let given = grantees(snap, con_id).filter(|(to, _)| *to == user);
    let mut all: Vec<String> = usual_privileges(snap, user, con_id)
        .into_iter()
        .chain(given.flat_map(|(_, rights)| rights.privileges.iter().map(|name| name.to_uppercase())))
        .collect();
    all.dedup();
    all
}

/// What its other fields make of it, and what statements have granted.
fn usual_privileges(snap: &Snap<'_>, user: &str, con_id: u32) -> Vec<String> {
    let known = snap.state.accounts.get(user);
    let has = |get: fn(&Account) -> bool| known.is_none_or(|known| get(&known.account));
    let usual = [
        ("CREATE SESSION", has(|account| account.create_session)),
        ("ALTER SYSTEM", has(|account| account.alter_system)),
        ("SELECT ANY DICTIONARY", has(|account| account.views.is_none())),
        // The accounts of a scenario stand for those of applications.
        ("CREATE TABLE", snap.scenario.accounts.contains_key(user)),
    ];
    let usual = usual
        .into_iter()
        .filter(|(_, held)| *held)
        .map(|(name, _)| name.to_owned());
    let granted = known.into_iter().flat_map(|known| &known.granted);
    let granted = granted.filter_map(|(place, right)| match right {
        Right::System(name) if place.holds(con_id) => Some(name.clone()),
        Right::System(_) | Right::View(_) | Right::Package(..) => None,
    });
    let mut all: Vec<String> = usual.collect();
    for name in granted {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

fn system_rows(snap: &Snap<'_>, con_id: u32) -> Vec<Grant> {
    // LOGMINING came with 12.1; DBA has nearly all privileges.
    let own = ["ALTER SYSTEM", "CREATE SESSION", "SELECT ANY DICTIONARY", "LOGMINING"]
        .into_iter()
        .filter(|name| *name != "LOGMINING" || snap.release().at_least(12, 1))
        .flat_map(|name| ["SYS", "DBA"].map(|to| (to.to_owned(), name.to_owned())));
    let accounts = snap.state.accounts.in_container(con_id).flat_map(|(name, _)| {
        let held = usual_privileges(snap, name, con_id);
        held.into_iter().map(|held| (name.clone(), held))
    });
    let given = grantees(snap, con_id).flat_map(|(to, rights)| {
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
    |con_id| { super::system_rows(snap, con_id) }
));
view!(cdb_system, Of<Grant>, with_container(super::system_columns()), |snap| {
    of_all(snap, |con_id| super::system_rows(snap, con_id))
});

/// A grant on an object of SYS: to whom, on what, to do what.
type ObjectGrant = (String, String, &'static str);

fn object_rows(snap: &Snap<'_>, con_id: u32) -> Vec<ObjectGrant> {
    let role = "EXECUTE_CATALOG_ROLE";
    let own = ["DBMS_LOGMNR", "DBMS_LOGMNR_D"].map(|package| (role.to_owned(), package.to_owned(), "EXECUTE"));
    let packages = grantees(snap, con_id).flat_map(|(to, rights)| {
        rights
            .executes
            .iter()
            .map(|package| (to.to_owned(), package.to_uppercase(), "EXECUTE"))
    });
    // The grant is on the view behind the synonym.
    let behind = |view: &String| match view.split_once('$') {
        Some((kind @ ("V" | "GV"), rest)) => format!("{kind}_${rest}"),
        Some(_) | None => view.clone(),
    };
    let views = snap.state.accounts.in_container(con_id).flat_map(|(name, known)| {
        let of_scenario = known.account.views.iter().flatten();
        let granted = known.granted.iter().filter_map(|(place, right)| match right {
            Right::View(view) if place.holds(con_id) => Some(view),
            Right::System(_) | Right::View(_) | Right::Package(..) => None,
        });
        of_scenario
            .chain(granted)
            .map(move |view| (name.clone(), behind(view), "SELECT"))
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
    |con_id| super::object_rows(snap, con_id)
));
view!(
    cdb_objects,
    Of<ObjectGrant>,
    with_container(super::object_columns()),
    |snap| of_all(snap, |con_id| super::object_rows(snap, con_id))
);

type Replicator = (String, &'static str);

fn goldengate_rows(snap: &Snap<'_>, con_id: u32) -> Vec<Replicator> {
    let held = grantees(snap, con_id).filter_map(|(name, rights)| {
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
    of_own(snap, |con_id| super::goldengate_rows(snap, con_id))
});
view!(
    cdb_goldengate,
    Of<Replicator>,
    with_container(super::goldengate_columns()),
    |snap| of_all(snap, |con_id| super::goldengate_rows(snap, con_id))
);

fn xstream_rows(snap: &Snap<'_>, con_id: u32) -> Vec<String> {
    let held = grantees(snap, con_id).filter(|(_, rights)| rights.xstream_administrator);
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
    |con_id| super::xstream_rows(snap, con_id)
));
view!(
    cdb_xstream,
    Of<String>,
    with_container(super::xstream_columns()),
    |snap| of_all(snap, |con_id| super::xstream_rows(snap, con_id))
);
