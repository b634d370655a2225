//! Objects, who holds locks on them, profiles, and the database's languages.

use super::session::{Row, rows};
use super::{Cell, Col, Sink, Snap, all, d, n, since, v, view};
use crate::backend::ColumnType;
use crate::scenario::Release;
use crate::world::session::{Seat, Txn};

/// The table that the scenario's transactions have changed rows of.
pub(super) const ORDERS: i64 = 74_512;

/// OWNER, OBJECT_NAME, OBJECT_ID, OBJECT_TYPE.
type Object = (String, String, i64, &'static str);

fn objects(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Object)> {
    let mut objects: Vec<Object> = vec![("APP".into(), "ORDERS".into(), ORDERS, "TABLE")];
    let views = all().iter().filter(|view| view.is_in(snap.scenario.release));
    for (view, id) in views.zip((3_000..).step_by(4)) {
        let forms = if view.dynamic { &["V_$", "GV_$"][..] } else { &[""][..] };
        for (form, id) in forms.iter().zip((id..).step_by(2)) {
            objects.push(("SYS".into(), format!("{form}{}", view.name), id, "VIEW"));
            let synonym = format!("{}{}", form.replace('_', ""), view.name);
            objects.push(("PUBLIC".into(), synonym, id + 1, "SYNONYM"));
        }
    }
    for (owner, name, table) in snap.state.tables.iter() {
        objects.push((owner.into(), name.into(), table.object, "TABLE"));
    }
    // A package is shown to whoever may use it.
    let (accounts, viewer) = (&snap.state.accounts, snap.viewer);
    let may = |owner: &str, name: &str| {
        *viewer.user == *owner || accounts.may_execute(&viewer.user, viewer.con_id, owner, name)
    };
    let packages = snap.state.packages.names().filter(|(owner, name)| may(owner, name));
    let rds = accounts
        .may_use_rds(&viewer.user, viewer.con_id)
        .then_some(("RDSADMIN", "RDSADMIN_UTIL"));
    for ((owner, name), id) in packages.chain(rds).zip(90_000..) {
        objects.push((owner.into(), name.into(), id, "PACKAGE"));
    }
    objects.into_iter().map(|object| (0, object))
}

fn object_columns() -> Vec<Col<Object>> {
    vec![
        v("OWNER", 128, |_, r| Cell::Owned(r.0.clone())),
        v("OBJECT_NAME", 128, |_, r| Cell::Owned(r.1.clone())),
        v("SUBOBJECT_NAME", 128, |_, _| Cell::Null),
        n("OBJECT_ID", |_, r| Cell::Int(r.2)),
        n("DATA_OBJECT_ID", |_, r| {
            if r.3 == "TABLE" { Cell::Int(r.2) } else { Cell::Null }
        }),
        v("OBJECT_TYPE", 23, |_, r| Cell::Word(r.3)),
        d("CREATED", |s, _| {
            Cell::Time(s.state.now.div_euclid(86_400_000) * 86_400_000 - 400 * 86_400_000)
        }),
        d("LAST_DDL_TIME", |s, _| {
            Cell::Time(s.state.now.div_euclid(86_400_000) * 86_400_000 - 400 * 86_400_000)
        }),
        v("STATUS", 7, |_, _| Cell::Word("VALID")),
        v("TEMPORARY", 1, |_, _| Cell::Word("N")),
        v("GENERATED", 1, |_, _| Cell::Word("N")),
    ]
}

view!(every, Object, super::object_columns(), |snap| super::objects(snap));

/// The objects that a session has changed rows of, by its transaction.
pub(super) fn changed(snap: &Snap<'_>, seat: Seat) -> Vec<i64> {
    let own: Vec<i64> = snap
        .state
        .tables
        .iter()
        .filter(|(_, _, table)| table.is_held_by(seat))
        .map(|(_, _, table)| table.object)
        .collect();
    let scripted = snap.state.sessions.get(&seat).is_some_and(|sess| sess.origin.is_some());
    if own.is_empty() && scripted { vec![ORDERS] } else { own }
}

/// A session's transaction and an object that it holds.
pub(super) struct Locked<'a> {
    row: Row<'a>,
    txn: &'a Txn,
    object: i64,
}

fn locked<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Locked<'a>)> {
    let mut locked = Vec::new();
    for (instance, row) in rows(snap) {
        let Some(txn) = row.sess.txn.as_ref() else { continue };
        for object in changed(snap, row.seat) {
            let (seat, sess, phase) = (row.seat, row.sess, row.phase);
            let row = Row { seat, sess, phase };
            locked.push((instance, Locked { row, txn, object }));
        }
    }
    locked.into_iter()
}

fn locked_columns<'a>() -> Vec<Col<Locked<'a>>> {
    vec![
        n("XIDUSN", |_, r| Cell::Int(i64::from(r.txn.usn))),
        n("XIDSLOT", |_, r| Cell::Int(i64::from(r.txn.slot))),
        n("XIDSQN", |_, r| Cell::Int(i64::from(r.txn.sequence))),
        n("OBJECT_ID", |_, r| Cell::Int(r.object)),
        n("SESSION_ID", |_, r| Cell::Int(i64::from(r.row.seat.1))),
        v("ORACLE_USERNAME", 128, |_, r| Cell::text(&r.row.sess.who.username)),
        v("OS_USER_NAME", 128, |_, r| Cell::text(&r.row.sess.who.osuser)),
        v("PROCESS", 24, |_, r| Cell::text(&r.row.sess.who.process)),
        n("LOCKED_MODE", |_, _| Cell::Int(3)),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.row.sess.con_id)))),
    ]
}

view!(locked_objects, Locked<'_>, super::locked_columns(), |snap| {
    super::locked(snap)
});

/// PROFILE, RESOURCE_NAME, RESOURCE_TYPE, LIMIT.
type Limit = (String, &'static str, &'static str, String);

/// The profile of an account.
pub(super) fn profile_of(snap: &Snap<'_>, user: &str) -> String {
    let Some(known) = snap.state.accounts.get(user) else {
        return "DEFAULT".into();
    };
    let account = &known.account;
    match &known.profile {
        Some(profile) => profile.clone(),
        None if account.sessions_per_user.is_some()
            || account.idle_time.is_some()
            || account.connect_time.is_some() =>
        {
            format!("{user}_LIMITED")
        }
        None => "DEFAULT".into(),
    }
}

/// The DEFAULT profile: RESOURCE_NAME, RESOURCE_TYPE, LIMIT.
const DEFAULT: [(&str, &str, &str); 16] = [
    ("COMPOSITE_LIMIT", "KERNEL", "UNLIMITED"),
    ("SESSIONS_PER_USER", "KERNEL", "UNLIMITED"),
    ("CPU_PER_SESSION", "KERNEL", "UNLIMITED"),
    ("CPU_PER_CALL", "KERNEL", "UNLIMITED"),
    ("LOGICAL_READS_PER_SESSION", "KERNEL", "UNLIMITED"),
    ("LOGICAL_READS_PER_CALL", "KERNEL", "UNLIMITED"),
    ("IDLE_TIME", "KERNEL", "UNLIMITED"),
    ("CONNECT_TIME", "KERNEL", "UNLIMITED"),
    ("PRIVATE_SGA", "KERNEL", "UNLIMITED"),
    ("FAILED_LOGIN_ATTEMPTS", "PASSWORD", "10"),
    ("PASSWORD_LIFE_TIME", "PASSWORD", "180"),
    ("PASSWORD_REUSE_TIME", "PASSWORD", "UNLIMITED"),
    ("PASSWORD_REUSE_MAX", "PASSWORD", "UNLIMITED"),
    ("PASSWORD_VERIFY_FUNCTION", "PASSWORD", "NULL"),
    ("PASSWORD_LOCK_TIME", "PASSWORD", "1"),
    ("PASSWORD_GRACE_TIME", "PASSWORD", "7"),
];

fn limits(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Limit)> {
    let mut limits: Vec<(u32, Limit)> = Vec::new();
    for (name, kind, limit) in DEFAULT {
        limits.push((0, ("DEFAULT".into(), name, kind, limit.into())));
    }
    for (profile, own) in &snap.state.accounts.profiles {
        for (name, kind, _) in DEFAULT {
            let limit = own.get(name).cloned().unwrap_or_else(|| "DEFAULT".into());
            limits.push((0, (profile.clone(), name, kind, limit)));
        }
    }
    for (user, known) in snap.state.accounts.iter().filter(|(_, known)| known.profile.is_none()) {
        let account = &known.account;
        let own = [
            (
                "SESSIONS_PER_USER",
                account.sessions_per_user.map(|most| most.to_string()),
            ),
            ("IDLE_TIME", account.idle_time.map(|minutes| minutes.to_string())),
            ("CONNECT_TIME", account.connect_time.map(|minutes| minutes.to_string())),
        ];
        if own.iter().all(|(_, limit)| limit.is_none()) {
            continue;
        }
        for (name, kind, _) in DEFAULT {
            let limit = own.iter().find(|(limited, _)| *limited == name);
            let limit = limit.and_then(|(_, limit)| limit.clone());
            let limit = limit.unwrap_or_else(|| "DEFAULT".into());
            limits.push((0, (profile_of(snap, user), name, kind, limit)));
        }
    }
    limits.into_iter()
}

fn limit_columns() -> Vec<Col<Limit>> {
    vec![
        v("PROFILE", 128, |_, r| Cell::Owned(r.0.clone())),
        v("RESOURCE_NAME", 32, |_, r| Cell::Word(r.1)),
        v("RESOURCE_TYPE", 8, |_, r| Cell::Word(r.2)),
        v("LIMIT", 128, |_, r| Cell::Owned(r.3.clone())),
        since(12, 1, v("COMMON", 3, |_, _| Cell::Word("NO"))),
        since(12, 2, v("INHERITED", 3, |_, _| Cell::Word("NO"))),
        since(18, 0, v("IMPLICIT", 3, |_, _| Cell::Word("NO"))),
    ]
}

view!(profiles, Limit, super::limit_columns(), |snap| super::limits(snap));

/// The limits of the viewer's own profile, where those of the DEFAULT profile stand for what it does not say.
fn own_limits(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Limit)> {
    let profile = profile_of(snap, &snap.viewer.user);
    let of_own = limits(snap).filter(move |(_, (name, _, kind, _))| *name == profile && *kind == "KERNEL");
    of_own.map(|(instance, (profile, name, kind, limit))| {
        let default = DEFAULT.iter().find(|(known, _, _)| *known == name);
        let limit = match default {
            Some((_, _, default)) if limit == "DEFAULT" => (*default).to_owned(),
            Some(_) | None => limit,
        };
        (instance, (profile, name, kind, limit))
    })
}

view!(
    own_profile,
    Limit,
    vec![
        super::v("RESOURCE_NAME", 32, |_, r: &Limit| Cell::Word(r.1)),
        super::v("LIMIT", 40, |_, r: &Limit| Cell::Owned(r.3.clone())),
    ],
    |snap| super::own_limits(snap)
);

type Setting = (&'static str, String);

fn languages(snap: &Snap<'_>) -> impl Iterator<Item = (u32, Setting)> {
    const FIXED: [(&str, &str); 19] = [
        ("NLS_LANGUAGE", "AMERICAN"),
        ("NLS_TERRITORY", "AMERICA"),
        ("NLS_CURRENCY", "$"),
        ("NLS_ISO_CURRENCY", "AMERICA"),
        ("NLS_NUMERIC_CHARACTERS", ".,"),
        ("NLS_CHARACTERSET", "AL32UTF8"),
        ("NLS_CALENDAR", "GREGORIAN"),
        ("NLS_DATE_FORMAT", "DD-MON-RR"),
        ("NLS_DATE_LANGUAGE", "AMERICAN"),
        ("NLS_SORT", "BINARY"),
        ("NLS_TIME_FORMAT", "HH.MI.SSXFF AM"),
        ("NLS_TIMESTAMP_FORMAT", "DD-MON-RR HH.MI.SSXFF AM"),
        ("NLS_TIME_TZ_FORMAT", "HH.MI.SSXFF AM TZR"),
        ("NLS_TIMESTAMP_TZ_FORMAT", "DD-MON-RR HH.MI.SSXFF AM TZR"),
        ("NLS_DUAL_CURRENCY", "$"),
        ("NLS_COMP", "BINARY"),
        ("NLS_LENGTH_SEMANTICS", "BYTE"),
        ("NLS_NCHAR_CONV_EXCP", "FALSE"),
        ("NLS_NCHAR_CHARACTERSET", "AL16UTF16"),
    ];
    let version = super::instance::version(snap.scenario.release);
    let fixed = FIXED.map(|(name, value)| (name, value.to_owned()));
    fixed
        .into_iter()
        .chain([("NLS_RDBMS_VERSION", version)])
        .map(|row| (0, row))
}

fn language_columns() -> Vec<Col<Setting>> {
    vec![
        v("PARAMETER", 128, |_, r| Cell::Word(r.0)),
        v("VALUE", 64, |_, r| Cell::Owned(r.1.clone())),
    ]
}

view!(nls, Setting, super::language_columns(), |snap| super::languages(snap));
