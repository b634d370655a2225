//! Transactions, locks, temporary segments, statistics, and the cleanup of killed sessions.

use super::session::{Row, rows};
use super::{Cell, Col, Sink, Snap, d, n, raw, since, v, view};
use crate::backend::ColumnType;
use crate::clock::{Moment, calendar};
use crate::scenario::Release;
use crate::world::session::{Sess, Txn, mix};

/// An open transaction and whose it is.
pub(super) struct Open<'a> {
    row: Row<'a>,
    txn: &'a Txn,
}

fn parent(open: &Open<'_>, get: fn((u32, u32, u32)) -> u32) -> Cell {
    Cell::Int(open.txn.parent.map_or(0, |parent| i64::from(get(parent))))
}

fn transaction_columns<'a>() -> Vec<Col<Open<'a>>> {
    vec![
        raw("ADDR", |_, o| Cell::Address(o.txn.address(o.row.seat.0))),
        n("XIDUSN", |_, o| Cell::Int(i64::from(o.txn.usn))),
        n("XIDSLOT", |_, o| Cell::Int(i64::from(o.txn.slot))),
        n("XIDSQN", |_, o| Cell::Int(i64::from(o.txn.sequence))),
        v("STATUS", 16, |_, o| Cell::Word(o.txn.status.name())),
        v("START_TIME", 20, |_, o| {
            Cell::Owned(calendar(o.txn.start).format("%m/%d/%y %H:%M:%S").to_string())
        }),
        raw("SES_ADDR", |_, o| Cell::Address(Sess::saddr(o.row.seat))),
        n("FLAG", |s, o| {
            let back = o.txn.rollback.is_some_and(|(since, _)| since <= s.state.now);
            Cell::Int(3_587 + if back { 128 } else { 0 })
        }),
        v("SPACE", 3, |_, _| Cell::Word("NO")),
        v("RECURSIVE", 3, |_, _| Cell::Word("NO")),
        v("NOUNDO", 3, |_, _| Cell::Word("NO")),
        v("PTX", 3, |_, o| {
            Cell::Word(if o.txn.parent.is_some() { "YES" } else { "NO" })
        }),
        v("NAME", 256, |_, _| Cell::Null),
        n("PTX_XIDUSN", |_, o| parent(o, |parent| parent.0)),
        n("PTX_XIDSLT", |_, o| parent(o, |parent| parent.1)),
        n("PTX_XIDSQN", |_, o| parent(o, |parent| parent.2)),
        n("USED_UBLK", |s, o| Cell::Int(o.txn.blocks(s.state.now))),
        n("USED_UREC", |s, o| Cell::Int(o.txn.records(s.state.now))),
        n("LOG_IO", |_, o| Cell::Int(o.txn.undo_records * 4)),
        n("PHY_IO", |_, o| Cell::Int(o.txn.undo_blocks)),
        n("CR_GET", |_, o| Cell::Int(o.txn.undo_records)),
        n("CR_CHANGE", |_, _| Cell::Int(0)),
        d("START_DATE", |_, o| Cell::Time(o.txn.start)),
        raw("XID", |_, o| {
            Cell::Address(u64::from(o.txn.usn) << 48 | u64::from(o.txn.slot) << 32 | u64::from(o.txn.sequence))
        }),
        since(12, 1, n("CON_ID", |_, o| Cell::Int(i64::from(o.row.sess.con_id)))),
    ]
}

fn open<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Open<'a>)> {
    rows(snap).flat_map(|(instance, row)| {
        let (seat, sess, phase) = (row.seat, row.sess, row.phase);
        sess.transactions().map(move |txn| {
            let row = Row { seat, sess, phase };
            (instance, Open { row, txn })
        })
    })
}

view!(
    transactions,
    Open<'_>,
    super::transaction_columns(),
    |snap| super::open(snap)
);

/// A lock held or waited for.
pub(super) struct Held<'a> {
    row: Row<'a>,
    kind: &'static str,
    id1: i64,
    id2: i64,
    mode: i64,
    request: bool,
    /// Since when a user lock is held.
    since: Moment,
}

fn lock_columns<'a>() -> Vec<Col<Held<'a>>> {
    vec![
        raw("ADDR", |_, h| Cell::Address(Sess::saddr(h.row.seat) | 0x80)),
        raw("KADDR", |_, h| Cell::Address(Sess::saddr(h.row.seat) | 0xc0)),
        n("SID", |_, h| Cell::Int(i64::from(h.row.seat.1))),
        v("TYPE", 2, |_, h| Cell::Word(h.kind)),
        n("ID1", |_, h| Cell::Int(h.id1)),
        n("ID2", |_, h| Cell::Int(h.id2)),
        n("LMODE", |_, h| Cell::Int(if h.request { 0 } else { h.mode })),
        n("REQUEST", |_, h| Cell::Int(if h.request { h.mode } else { 0 })),
        n("CTIME", |s, h| {
            let start = if h.request {
                h.row.phase.since
            } else if h.kind == "UL" {
                h.since
            } else {
                h.row.sess.txn.as_ref().map_or(0, |txn| txn.start)
            };
            Cell::Int((s.state.now - start) / 1000)
        }),
        n("BLOCK", |s, h| {
            let blocks = s
                .state
                .sessions
                .values()
                .any(|other| other.blocked.is_some_and(|(by, _)| by == h.row.seat));
            Cell::Int(i64::from(!h.request && h.kind == "TX" && blocks))
        }),
        since(12, 1, n("CON_ID", |_, h| Cell::Int(i64::from(h.row.sess.con_id)))),
    ]
}

/// The row locks of each transaction (TX, exclusive), the tables they are in (TM, row exclusive), who waits for a row, and user locks (UL).
fn held<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Held<'a>)> {
    let tx = |row, txn: &Txn, request| Held {
        row,
        kind: "TX",
        id1: i64::from(txn.usn) << 16 | i64::from(txn.slot),
        id2: i64::from(txn.sequence),
        mode: 6,
        request,
        since: 0,
    };
    let mut held = Vec::new();
    for (instance, row) in rows(snap) {
        let copy = || {
            let (seat, sess, phase) = (row.seat, row.sess, row.phase);
            Row { seat, sess, phase }
        };
        for txn in row.sess.transactions() {
            held.push((instance, tx(copy(), txn, false)));
        }
        if row.sess.txn.is_some() {
            for object in super::objects::changed(snap, row.seat) {
                let table = Held {
                    row: copy(),
                    kind: "TM",
                    id1: object,
                    id2: 0,
                    mode: 3,
                    request: false,
                    since: 0,
                };
                held.push((instance, table));
            }
        }
        let user = snap.state.user_locks();
        for lock in user.filter(|lock| (lock.seat, lock.serial) == (row.seat, row.sess.serial)) {
            let lock = Held {
                row: copy(),
                kind: "UL",
                id1: lock.id,
                id2: 0,
                mode: lock.mode,
                request: false,
                since: lock.since,
            };
            held.push((instance, lock));
        }
        let blocker = row
            .sess
            .blocked
            .and_then(|(blocker, _)| snap.state.sessions.get(&blocker));
        if let Some(txn) = blocker.and_then(|blocker| blocker.txn.as_ref()) {
            held.push((instance, tx(copy(), txn, true)));
        }
    }
    held.into_iter()
}

view!(locks, Held<'_>, super::lock_columns(), |snap| super::held(snap));

fn temporary_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        v("USERNAME", 128, |_, r| Cell::text(&r.sess.who.username)),
        v("USER", 128, |_, r| Cell::text(&r.sess.who.username)),
        raw("SESSION_ADDR", |_, r| Cell::Address(Sess::saddr(r.seat))),
        n("SESSION_NUM", |_, r| Cell::Int(i64::from(r.sess.serial))),
        v("SQL_ID", 13, |_, r| Cell::text(&r.sess.sql)),
        v("TABLESPACE", 30, |_, _| Cell::Word("TEMP")),
        v("CONTENTS", 9, |_, _| Cell::Word("TEMPORARY")),
        v("SEGTYPE", 9, |_, _| Cell::Word("SORT")),
        n("EXTENTS", |_, r| Cell::Int(r.sess.temp / (1 << 20) + 1)),
        n("BLOCKS", |_, r| Cell::Int(r.sess.temp / 8192)),
        n("TS#", |_, _| Cell::Int(3)),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.sess.con_id)))),
        since(12, 1, v("SQL_ID_TEMPSEG", 13, |_, r| Cell::text(&r.sess.sql))),
    ]
}

fn sorting<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    rows(snap).filter(|(_, row)| row.sess.temp > 0)
}

view!(temporary, Row<'_>, super::temporary_columns(), |snap| super::sorting(
    snap
));

fn dead_columns<'a>() -> Vec<Col<Row<'a>>> {
    vec![
        v("TYPE", 15, |_, _| Cell::Word("KILLED SESSION")),
        raw("SADDR", |_, r| Cell::Address(Sess::saddr(r.seat))),
        raw("PADDR", |_, r| Cell::Address(r.sess.paddr(r.seat))),
        v("STATE", 32, |s, r| {
            let now = s.state.now;
            Cell::Word(match r.sess.mark {
                Some(mark) if mark.released <= now => "RESOURCES FREED",
                Some(_)
                    if r.sess
                        .txn
                        .as_ref()
                        .is_some_and(|txn| txn.rollback.is_some_and(|(at, _)| at <= now)) =>
                {
                    if s.release().major() >= 19 {
                        "IN PROGRESS"
                    } else {
                        "PARTIAL CLEANUP"
                    }
                }
                Some(_) | None => "CLEANUP PENDING",
            })
        }),
        n("DEAD_TIME", |s, r| {
            r.sess
                .mark
                .map_or(Cell::Null, |mark| Cell::Int((s.state.now - mark.since) / 1000))
        }),
        n("CLEANUP_ATTEMPTS", |_, _| Cell::Int(1)),
        n("CLEANUP_TIME", |_, _| Cell::Int(0)),
        n("NUM_BLOCKED", |s, r| {
            let waits = |other: &&Sess| other.blocked.is_some_and(|(blocker, _)| blocker == r.seat);
            Cell::Int(s.state.sessions.values().filter(waits).count() as i64)
        }),
        since(12, 1, n("CON_ID", |_, r| Cell::Int(i64::from(r.sess.con_id)))),
    ]
}

fn killed<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, Row<'a>)> {
    rows(snap).filter(|(_, row)| row.sess.mark.is_some())
}

view!(dead, Row<'_>, super::dead_columns(), |snap| super::killed(snap));

/// The statistics that are kept for each session, with their numbers.
pub(super) const STATISTICS: [(i64, &str, i64); 11] = [
    (6, "user commits", 1),
    (9, "opened cursors current", 1),
    (14, "session logical reads", 8),
    (19, "CPU used by this session", 1),
    (37, "session uga memory", 64),
    (41, "session pga memory", 64),
    (96, "physical reads", 8),
    (288, "redo size", 8),
    (310, "undo change vector size", 64),
    (622, "execute count", 1),
    (701, "temp space allocated (bytes)", 8),
];

pub(super) fn statistic(snap: &Snap<'_>, row: &Row<'_>, number: i64) -> i64 {
    let age = ((snap.state.now - row.sess.logon) / 1000).max(1);
    // What a session has used grows with its age, at a pace of its own between idle and busy.
    let pace = (mix(u64::from(row.seat.1), u64::from(row.sess.serial) ^ number as u64) % 100) as i64 + 1;
    let busy = if row.phase.busy { 10 } else { 1 };
    match number {
        19 if row.phase.busy => (snap.state.now - row.phase.since) / 10 * pace / 100,
        19 => age * pace / 200,
        14 => age * pace * 40 * busy,
        96 => age * pace * busy,
        41 => row.sess.pga,
        37 => row.sess.pga / 2,
        288 | 310 => row.sess.txn.as_ref().map_or(age * pace, |txn| txn.undo_records * 220),
        701 => row.sess.temp,
        9 => pace % 20,
        _ => age * pace / 10,
    }
}

fn sesstat_columns<'a>() -> Vec<Col<(Row<'a>, i64)>> {
    vec![
        n("SID", |_, (r, _)| Cell::Int(i64::from(r.seat.1))),
        n("STATISTIC#", |_, (_, number)| Cell::Int(*number)),
        n("VALUE", |s, (r, number)| Cell::Int(statistic(s, r, *number))),
        since(12, 1, n("CON_ID", |_, (r, _)| Cell::Int(i64::from(r.sess.con_id)))),
    ]
}

fn sesstat_rows<'a>(snap: &Snap<'a>) -> impl Iterator<Item = (u32, (Row<'a>, i64))> {
    rows(snap).flat_map(|(instance, row)| of_row(instance, &row))
}

/// The statistics of one session.
pub(super) fn of_row<'a>(instance: u32, row: &Row<'a>) -> impl Iterator<Item = (u32, (Row<'a>, i64))> + use<'a> {
    let (seat, sess, phase) = (row.seat, row.sess, row.phase);
    STATISTICS
        .iter()
        .map(move |(number, _, _)| (instance, (Row { seat, sess, phase }, *number)))
}

view!(sesstat, (Row<'_>, i64), super::sesstat_columns(), |snap| {
    super::sesstat_rows(snap)
});

fn statname_columns() -> Vec<Col<(i64, &'static str, i64)>> {
    vec![
        n("STATISTIC#", |_, r| Cell::Int(r.0)),
        v("NAME", 64, |_, r| Cell::Word(r.1)),
        n("CLASS", |_, r| Cell::Int(r.2)),
        n("STAT_ID", |_, r| Cell::Int((mix(r.0 as u64, 1) >> 33) as i64)),
        since(12, 1, n("CON_ID", |_, _| Cell::Int(0))),
    ]
}

fn statname_rows(snap: &Snap<'_>) -> impl Iterator<Item = (u32, (i64, &'static str, i64))> {
    let numbers: Vec<u32> = snap.instances().map(|instance| instance.spec.number).collect();
    numbers
        .into_iter()
        .flat_map(|number| STATISTICS.iter().map(move |statistic| (number, *statistic)))
}

view!(statname, (i64, &'static str, i64), super::statname_columns(), |snap| {
    super::statname_rows(snap)
});
