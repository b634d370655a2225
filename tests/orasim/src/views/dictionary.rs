//! The part of the data dictionary that a monitoring user reads.

use super::{Cell, Col, Of, Sink, Snap, all, d, n, of_all, of_own, since, v, view, with_container};
use crate::backend::ColumnType;
use crate::scenario::{AccountStatus, Release};
use crate::world::user_number;

fn once<R>(row: R) -> std::iter::Once<(u32, R)> {
    std::iter::once((0, row))
}

view!(dual, (), vec![super::v("DUMMY", 1, |_, ()| Cell::Word("X"))], |_snap| {
    super::once(())
});

type User<'a> = (&'a str, AccountStatus, bool);

fn user_rows<'a>(snap: &Snap<'a>, con_id: u32) -> Vec<User<'a>> {
    let (scenario, accounts) = (snap.scenario, &snap.state.accounts);
    const OWN: [(&str, bool); 6] = [
        ("SYS", true),
        ("SYSTEM", true),
        ("DBSNMP", true),
        ("SYSBACKUP", true),
        ("SYSDG", true),
        ("OUTLN", true),
    ];
    let own = OWN
        .iter()
        .filter(|(name, _)| accounts.get(name).is_none())
        .map(|(name, _)| {
            let status = if matches!(*name, "SYS" | "SYSTEM" | "DBSNMP") {
                AccountStatus::Open
            } else {
                AccountStatus::Locked
            };
            (*name, status, true)
        });
    let named = accounts.in_container(con_id).map(|(name, known)| {
        let account = &known.account;
        let mut pdbs = account.oracle_maintained_in.iter();
        let here = pdbs.any(|pdb| scenario.con_id(Some(pdb)) == Some(con_id));
        (name.as_str(), account.status, account.oracle_maintained || here)
    });
    // Whoever owns sessions without an account of their own exists all the same.
    let mut owners: Vec<&'a str> = scenario.sessions.iter().map(|group| group.user.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let owners = owners
        .into_iter()
        .filter(|name| *name != "PUBLIC" && accounts.get(name).is_none() && !OWN.iter().any(|(own, _)| own == name));
    own.chain(named)
        .chain(owners.map(|name| (name, AccountStatus::Open, false)))
        .collect()
}

fn user_columns<'a>() -> Vec<Col<Of<User<'a>>>> {
    vec![
        v("USERNAME", 128, |_, r| Cell::Owned(r.it.0.to_owned())),
        n("USER_ID", |_, r| Cell::Int(i64::from(user_number(r.it.0)))),
        v("ACCOUNT_STATUS", 32, |_, r| {
            Cell::Word(match r.it.1 {
                AccountStatus::Open => "OPEN",
                AccountStatus::Locked => "LOCKED",
                AccountStatus::Expired => "EXPIRED",
                AccountStatus::Grace => "EXPIRED(GRACE)",
            })
        }),
        d("LOCK_DATE", |_, _| Cell::Null),
        d("EXPIRY_DATE", |s, r| {
            match s.state.accounts.get(r.it.0).and_then(|known| known.account.expires_in) {
                Some(left) => Cell::Time(s.state.now + left.0),
                None => Cell::Null,
            }
        }),
        v("DEFAULT_TABLESPACE", 30, |_, r| {
            Cell::Word(if r.it.2 { "SYSTEM" } else { "USERS" })
        }),
        v("TEMPORARY_TABLESPACE", 30, |_, _| Cell::Word("TEMP")),
        d("CREATED", |s, _| {
            Cell::Time(s.state.now.div_euclid(86_400_000) * 86_400_000 - 400 * 86_400_000)
        }),
        v("PROFILE", 128, |s, r| {
            Cell::Owned(super::objects::profile_of(s, r.it.0))
        }),
        since(
            12,
            1,
            v("COMMON", 3, |s, r| {
                Cell::Word(if r.it.2 && !s.scenario.database.pdbs.is_empty() {
                    "YES"
                } else {
                    "NO"
                })
            }),
        ),
        since(
            12,
            1,
            v("ORACLE_MAINTAINED", 1, |_, r| {
                Cell::Word(if r.it.2 { "Y" } else { "N" })
            }),
        ),
    ]
}

fn all_user_columns<'a>() -> Vec<Col<Of<User<'a>>>> {
    const PUBLIC: [&str; 5] = ["USERNAME", "USER_ID", "CREATED", "COMMON", "ORACLE_MAINTAINED"];
    user_columns()
        .into_iter()
        .filter(|column| PUBLIC.contains(&column.name))
        .collect()
}

view!(users, Of<User<'_>>, super::user_columns(), |snap| of_own(
    snap,
    |con_id| super::user_rows(snap, con_id)
));
view!(cdb_users, Of<User<'_>>, with_container(super::user_columns()), |snap| {
    of_all(snap, |con_id| super::user_rows(snap, con_id))
});
fn own_user<'a>(snap: &Snap<'a>) -> Vec<User<'a>> {
    let own = |user: &User<'_>| *user.0 == *snap.viewer.user;
    let mut all = user_rows(snap, snap.viewer.con_id);
    all.retain(own);
    all
}

fn own_user_columns<'a>() -> Vec<Col<Of<User<'a>>>> {
    const OTHERS: [&str; 1] = ["PROFILE"];
    let all = user_columns().into_iter();
    all.filter(|column| !OTHERS.contains(&column.name)).collect()
}

view!(own_users, Of<User<'_>>, super::own_user_columns(), |snap| of_own(
    snap,
    |_| super::own_user(snap)
));

view!(all_users, Of<User<'_>>, super::all_user_columns(), |snap| of_own(
    snap,
    |con_id| super::user_rows(snap, con_id)
));

type TabColumn = (String, String, String, ColumnType, i64);

fn tab_columns_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, TabColumn)> {
    let release = snap.scenario.release;
    let mut rows = Vec::new();
    let mut add = |owner: &str, table: String, columns: Vec<(String, ColumnType)>| {
        for ((name, kind), number) in columns.into_iter().zip(1..) {
            rows.push((0, (owner.to_owned(), table.clone(), name, kind, number)));
        }
    };
    for view in all().iter().filter(|view| view.is_in(release)) {
        if view.dynamic {
            add("SYS", format!("V_${}", view.name), view.columns(snap.scenario, false));
            add("SYS", format!("GV_${}", view.name), view.columns(snap.scenario, true));
        } else {
            add("SYS", view.name.to_owned(), view.columns(snap.scenario, false));
        }
    }
    for (owner, name, table) in snap.state.tables.iter() {
        add(owner, name.to_owned(), table.columns.clone());
    }
    rows.into_iter()
}

fn tab_columns_columns() -> Vec<Col<TabColumn>> {
    vec![
        v("OWNER", 128, |_, r| Cell::Owned(r.0.clone())),
        v("TABLE_NAME", 128, |_, r| Cell::Owned(r.1.clone())),
        v("COLUMN_NAME", 128, |_, r| Cell::Owned(r.2.clone())),
        v("DATA_TYPE", 128, |_, r| {
            Cell::Word(match r.3 {
                ColumnType::Varchar2(_) => "VARCHAR2",
                ColumnType::Number => "NUMBER",
                ColumnType::BinaryDouble => "BINARY_DOUBLE",
                ColumnType::Date => "DATE",
                ColumnType::Timestamp(_) => "TIMESTAMP(6)",
                ColumnType::Raw(_) => "RAW",
                ColumnType::Clob => "CLOB",
            })
        }),
        n("DATA_LENGTH", |_, r| {
            Cell::Int(match r.3 {
                ColumnType::Varchar2(size) | ColumnType::Raw(size) => i64::from(size),
                ColumnType::Number => 22,
                ColumnType::BinaryDouble => 8,
                ColumnType::Date => 7,
                ColumnType::Timestamp(_) => 11,
                ColumnType::Clob => 4000,
            })
        }),
        v("NULLABLE", 1, |_, _| Cell::Word("Y")),
        n("COLUMN_ID", |_, r| Cell::Int(r.4)),
    ]
}

view!(tab_columns, TabColumn, super::tab_columns_columns(), |snap| {
    super::tab_columns_rows(snap)
});

fn product_columns() -> Vec<Col<()>> {
    vec![
        v("PRODUCT", 80, |s, ()| Cell::Owned(super::instance::banner(s.release()))),
        v("VERSION", 80, |s, ()| {
            Cell::Owned(super::instance::version(s.release()))
        }),
        since(
            18,
            0,
            v("VERSION_FULL", 80, |s, ()| Cell::Owned(s.release().to_string())),
        ),
        v("STATUS", 80, |_, ()| Cell::Word("Production")),
    ]
}

view!(product, (), super::product_columns(), |_snap| super::once(()));

fn privilege_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, String)> {
    super::rights::privileges(snap, &snap.viewer.user, snap.viewer.con_id)
        .into_iter()
        .map(|name| (0, name))
}

view!(
    session_privs,
    String,
    vec![super::v("PRIVILEGE", 40, |_, r: &String| Cell::Owned(r.clone()))],
    |snap| super::privilege_rows(snap)
);

fn user_sys_priv_columns() -> Vec<Col<String>> {
    vec![
        v("USERNAME", 128, |s, _| Cell::Text(s.viewer.user.clone())),
        v("PRIVILEGE", 40, |_, r: &String| Cell::Owned(r.clone())),
        v("ADMIN_OPTION", 3, |_, _| Cell::Word("NO")),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(12, 1, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(user_sys_privs, String, super::user_sys_priv_columns(), |snap| {
    super::privilege_rows(snap)
});
