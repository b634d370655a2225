//! Somebody else at the database: a client that logs in, looks at the daemon's sessions and ends them.

use std::collections::BTreeSet;
use std::time::Duration;

use orareaper::oracle::{
    ActingConnection, Cell, CellType, ConnectSlot, Connection, Driver, Error, Login, Query, Secret, Target, collect,
};

use super::Db;
use super::permit::permitted;

/// Longer than a call takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A client of the database, with the daemon's own driver.
pub(crate) fn log_in(db: &Db, user: &str) -> Result<Box<dyn ActingConnection>, Error> {
    let target = Target {
        name: "a client".into(),
        driver: Driver::Thin,
        connect: db.connect_string(),
        login: Login::Password {
            user: user.to_owned(),
            password: Secret::new(user),
        },
        tns_admin: None,
        mark: None,
    };
    ConnectSlot::new().connect_to_act(&target, LIMIT)
}

/// SID and SERIAL# of the daemon's acting connections, as a colleague sees them.
pub(crate) fn acting(colleague: &mut dyn Connection) -> BTreeSet<(i64, i64)> {
    let query = Query::new(
        "V$SESSION",
        "SELECT sid, serial# FROM v$session WHERE username = 'REAPER' AND action = 'act' AND status <> 'KILLED'",
        &[CellType::Number, CellType::Number],
    );
    let number = |cell: Option<&Cell<'_>>| match cell {
        Some(Cell::Number(number)) => Some(*number),
        Some(Cell::Null | Cell::Text(_) | Cell::Time(_)) | None => None,
    };
    let seats = collect(colleague, &query, LIMIT, 100, |row| {
        Some((number(row.first())?, number(row.get(1))?))
    });
    seats.expect("it answers").into_iter().collect()
}

/// Somebody ends it.
pub(crate) fn end((sid, serial): (i64, i64), colleague: &mut dyn ActingConnection) {
    let statement = format!("ALTER SYSTEM KILL SESSION '{sid},{serial},@1' IMMEDIATE");
    let answer = colleague
        .send(permitted(&statement), None, LIMIT)
        .expect("it is carried out");
    assert!([0, 31].contains(&answer.code), "{answer:?}");
}
