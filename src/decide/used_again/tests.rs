//! Sessions whose calls are known by construction, and whatever else snapshots may show, against a slow reference.

use proptest::prelude::*;

use super::*;
use crate::session::column::Column;
use crate::session::snapshot::{Cell, Instance, SnapshotClock, SnapshotSource};

const START: i64 = 1_795_000_000;
const IDLE: i64 = 5 * 3600;

/// A session's row in one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    sid: i64,
    status: &'static str,
    last_call_et: Option<i64>,
    sql_id: Option<&'static str>,
    prev_sql_id: Option<&'static str>,
    /// Seconds from the start.
    prev_exec_start: Option<i64>,
    taddr: Option<&'static str>,
}

/// A session that has been idle for this long.
const fn idle(sid: i64, seconds: i64) -> Row {
    Row {
        sid,
        status: "INACTIVE",
        last_call_et: Some(seconds),
        sql_id: None,
        prev_sql_id: Some("ping"),
        prev_exec_start: Some(-IDLE),
        taddr: None,
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(START + seconds, 0).expect("in range")
}

fn key(sid: u32) -> SessionKey {
    SessionKey {
        inst_id: 1,
        sid,
        serial: 7,
        logon_time: DbTime(START - 90_000),
    }
}

fn snapshot(seconds: i64, rows: &[Row], complete: bool) -> Snapshot {
    use Column::{InstId, LastCallEt, LogonTime, PrevExecStart, PrevSqlId, Serial, Sid, SqlId, Status, Taddr};
    let columns = [
        InstId,
        Sid,
        Serial,
        LogonTime,
        Status,
        LastCallEt,
        SqlId,
        PrevSqlId,
        PrevExecStart,
        Taddr,
    ];
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    let text = |text: Option<&'static str>| text.map_or(Cell::Null, Cell::Text);
    for row in rows {
        let cells = [
            Cell::Number(1),
            Cell::Number(row.sid),
            Cell::Number(7),
            Cell::Number(START - 90_000),
            Cell::Text(row.status),
            row.last_call_et.map_or(Cell::Null, Cell::Number),
            text(row.sql_id),
            text(row.prev_sql_id),
            row.prev_exec_start
                .map_or(Cell::Null, |start| Cell::Number(START + start)),
            text(row.taddr),
        ];
        builder.push_row(&cells).expect("few rows");
    }
    let clock = SnapshotClock {
        now: DbTime(START + seconds),
        utc_offset: 0,
    };
    let instance = Instance {
        inst_id: 1,
        name: "PROD1".into(),
        complete,
    };
    builder
        .finish(Some(clock), vec![instance])
        .finish(columns.into_iter().collect())
}

fn group(machine: &str) -> ClientGroup {
    ClientGroup {
        username: Some("SHOP".into()),
        program: Some("app".into()),
        machine: Some(machine.into()),
    }
}

/// A session that the policy `idle` would have ended in this snapshot.
fn taken(snapshot: &Snapshot, sid: u32, action_id: u64) -> WouldHaveEnded {
    let at = at(snapshot.clock().expect("a clock").now.0 - START);
    let row = snapshot.find(key(sid)).expect("it is there");
    WouldHaveEnded {
        action_id,
        policy: "idle".into(),
        key: key(sid),
        who: group("web01"),
        at,
        seen: Some(CallSigns::of(snapshot, row, at).into_owned()),
    }
}

/// What is told of session 10, which was taken at 0, by these snapshots: each with its seconds.
fn told(rows: &[(i64, &[Row])]) -> Vec<(Afterwards, i64)> {
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(&snapshot(0, &[idle(10, IDLE)], true), 10, 1));
    rows.iter()
        .flat_map(|(seconds, rows)| rehearsals.observe(&snapshot(*seconds, rows, true), at(*seconds), true))
        .map(|told| (told.afterwards, told.after.num_seconds()))
        .collect()
}

#[test]
fn a_call_is_what_last_call_et_status_or_sql_id_show() {
    let used = |after| vec![(Afterwards::UsedAgain, after)];
    let called = Row {
        prev_sql_id: Some("report"),
        ..idle(10, 5)
    };
    assert_eq!(told(&[(15, &[idle(10, IDLE + 15)]), (30, &[called])]), used(25));
    let active = Row {
        status: "ACTIVE",
        last_call_et: Some(2),
        sql_id: Some("report"),
        ..idle(10, 0)
    };
    assert_eq!(told(&[(15, &[active])]), used(13));
    let unknown_age = Row {
        last_call_et: None,
        ..active
    };
    assert_eq!(told(&[(15, &[unknown_age])]), used(15), "STATUS alone");
    let statement = Row {
        sql_id: Some("report"),
        ..idle(10, IDLE + 15)
    };
    assert_eq!(told(&[(15, &[statement])]), used(0), "SQL_ID alone does not tell when");
    // An open cursor that is closed: SQL_ID becomes NULL, and nobody has called.
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(
        &snapshot(
            0,
            &[Row {
                sql_id: Some("old"),
                ..idle(10, IDLE)
            }],
            true,
        ),
        10,
        1,
    ));
    let told = rehearsals.observe(&snapshot(15, &[idle(10, IDLE + 15)], true), at(15), true);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn values_that_were_not_read_tell_nothing() {
    let unknown = Row {
        status: "STRANGE",
        last_call_et: None,
        ..idle(10, 0)
    };
    assert_eq!(told(&[(15, &[unknown]), (30, &[unknown])]), []);
    // What was known before is not compared with what is known after.
    assert_eq!(told(&[(15, &[unknown]), (30, &[idle(10, 3)])]), []);
}

#[test]
fn a_session_ends_when_its_row_is_gone_and_not_when_its_instance_is() {
    assert_eq!(
        told(&[(15, &[idle(10, IDLE + 15)]), (30, &[])]),
        [(Afterwards::Ended, 30)]
    );
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(&snapshot(0, &[idle(10, IDLE)], true), 10, 1));
    let day = 24 * 3600;
    for seconds in [15, 3600, day - 1] {
        let told = rehearsals.observe(&snapshot(seconds, &[], false), at(seconds), true);
        assert!(told.is_empty(), "{told:?}");
    }
    assert_eq!(rehearsals.of("idle").all.watched, 1);
    let told = rehearsals.observe(&snapshot(day, &[], false), at(day), true);
    assert_eq!(told[0].afterwards, Afterwards::Lost);
    assert_eq!(rehearsals.of("idle").all.lost, 1);
}

#[test]
fn whoever_is_gone_after_a_gap_may_have_been_used_meanwhile() {
    let begun = || {
        let mut rehearsals = Rehearsals::default();
        rehearsals.begin(taken(&snapshot(0, &[idle(10, IDLE)], true), 10, 1));
        rehearsals
    };
    let became = |told: Vec<Aftermath>| told.iter().map(|told| told.afterwards).collect::<Vec<_>>();
    // The daemon was down: nobody saw whether the client called before its session went.
    let gone = begun().observe(&snapshot(7200, &[], true), at(7200), false);
    assert_eq!(became(gone), [Afterwards::Lost]);
    // It is seen again after the gap, with an idle time that shows no call, and then goes.
    let mut rehearsals = begun();
    let there = snapshot(7200, &[idle(10, IDLE + 7200)], true);
    assert!(rehearsals.observe(&there, at(7200), false).is_empty());
    let gone = rehearsals.observe(&snapshot(7215, &[], true), at(7215), true);
    assert_eq!(became(gone), [Afterwards::Ended]);
    // After the gap its instance is not read at first: what was missed stays missed.
    for unbroken in [false, true] {
        let mut rehearsals = begun();
        assert!(
            rehearsals
                .observe(&snapshot(15, &[], false), at(15), unbroken)
                .is_empty()
        );
        let gone = rehearsals.observe(&snapshot(30, &[], true), at(30), true);
        assert_eq!(became(gone), [Afterwards::Lost], "{unbroken}");
    }
    // What was validated before was used, whatever the gap hid.
    let validated = Some((Afterwards::Validated, TimeDelta::seconds(60)));
    let one = taken(&snapshot(0, &[idle(10, IDLE)], true), 10, 1);
    let mut rehearsals = Rehearsals::restored([(one, validated)].into_iter());
    rehearsals.observe(&snapshot(7200, &[], true), at(7200), false);
    assert_eq!(rehearsals.of("idle").all.validated.count, 1);
}

#[test]
fn whom_somebody_else_ends_is_lost() {
    for status in ["KILLED", "SNIPED"] {
        let dead = Row { status, ..idle(10, 0) };
        assert_eq!(told(&[(15, &[dead]), (30, &[])]), [(Afterwards::Lost, 15)], "{status}");
    }
    // A policy takes sniped sessions: nothing has changed since.
    let sniped = Row {
        status: "SNIPED",
        ..idle(10, IDLE)
    };
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(&snapshot(0, &[sniped], true), 10, 1));
    assert!(
        rehearsals
            .observe(&snapshot(15, &[sniped], true), at(15), true)
            .is_empty()
    );
    rehearsals.taken(key(10));
    let told = rehearsals.observe(&snapshot(30, &[sniped], true), at(30), true);
    assert_eq!(
        told[0].afterwards,
        Afterwards::Lost,
        "a policy that enforces acts on it"
    );
}

#[test]
fn a_validation_is_shown_apart_and_watched_on() {
    let validated = |seconds: i64, ago: i64| Row {
        prev_exec_start: Some(seconds - ago),
        ..idle(10, ago)
    };
    let used = Row {
        prev_sql_id: Some("order"),
        ..idle(10, 4)
    };
    let apart = |row: Row| told(&[(600, &[row])])[0].0;
    assert_eq!(apart(validated(600, 5)), Afterwards::Validated);
    assert_eq!(
        apart(idle(10, 5)),
        Afterwards::Validated,
        "a call that ran nothing: a ping"
    );
    assert_eq!(apart(used), Afterwards::UsedAgain, "another statement");
    let slow = Row {
        prev_exec_start: Some(500),
        ..idle(10, 5)
    };
    assert_eq!(apart(slow), Afterwards::UsedAgain, "95 seconds are no validation");
    let writes = Row {
        taddr: Some("AB"),
        ..validated(600, 5)
    };
    assert_eq!(apart(writes), Afterwards::UsedAgain, "it is in a transaction");
    let untold = Row {
        prev_exec_start: None,
        ..validated(600, 5)
    };
    assert_eq!(apart(untold), Afterwards::UsedAgain, "it cannot be told");
    let all = told(&[
        (600, &[validated(600, 5)]),
        (615, &[validated(600, 20)]),
        (1200, &[validated(1200, 3)]),
        (1215, &[validated(1200, 18)]),
        (1230, &[used]),
        (1245, &[]),
    ]);
    assert_eq!(all, [(Afterwards::Validated, 595), (Afterwards::UsedAgain, 1226)]);
    assert_eq!(
        told(&[(600, &[validated(600, 5)]), (615, &[])]),
        [(Afterwards::Validated, 595)],
        "its end adds nothing"
    );
}

#[test]
fn a_call_during_a_long_pause_is_seen_by_the_time_that_passed() {
    // It was idle for 30m; the daemon was down for two hours. Without a call it has been idle for 2h 30m.
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(&snapshot(0, &[idle(10, 1800), idle(11, 1800)], true), 10, 1));
    rehearsals.begin(taken(&snapshot(0, &[idle(10, 1800), idle(11, 1800)], true), 11, 2));
    let after = snapshot(7200, &[idle(10, 6600), idle(11, 9000)], true);
    let told = rehearsals.observe(&after, at(7200), true);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].key, told[0].after.num_seconds()), (key(10), 600));
}

#[test]
fn a_step_of_the_clock_is_no_call() {
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(&snapshot(0, &[idle(10, 1800)], true), 10, 1));
    rehearsals.shift(TimeDelta::hours(3));
    let stepped = 3 * 3600 + 15;
    let told = rehearsals.observe(&snapshot(stepped, &[idle(10, 1815)], true), at(stepped), true);
    assert!(told.is_empty(), "{told:?}");
    let told = rehearsals.observe(&snapshot(stepped + 15, &[], true), at(stepped + 15), true);
    assert_eq!(told[0].after.num_seconds(), 30);
}

#[test]
fn a_session_that_is_taken_again_counts_once_until_it_is_used() {
    let mut rehearsals = Rehearsals::default();
    rehearsals.begin(taken(&snapshot(0, &[idle(10, IDLE)], true), 10, 1));
    rehearsals.begin(taken(&snapshot(3600, &[idle(10, IDLE + 3600)], true), 10, 2));
    let called = Row {
        prev_sql_id: Some("report"),
        ..idle(10, 5)
    };
    let told = rehearsals.observe(&snapshot(3615, &[called], true), at(3615), true);
    assert_eq!((told[0].action_id, told[0].after.num_seconds()), (1, 3610));
    rehearsals.begin(taken(&snapshot(30_000, &[idle(10, IDLE)], true), 10, 3));
    let all = rehearsals.of("idle").all;
    assert_eq!((all.would_have_ended(), all.used_again(), all.watched), (2, 1, 1));
    assert_eq!(rehearsals.of("other"), PolicyRehearsal::default());
}

#[test]
fn a_restart_goes_on_where_the_journal_ends() {
    let one = |seconds: i64, action_id| taken(&snapshot(seconds, &[idle(10, IDLE + seconds)], true), 10, action_id);
    let after = |seconds| Some((Afterwards::UsedAgain, TimeDelta::seconds(seconds)));
    // The first was used after five hours; the second is the same session, taken again an hour after the first.
    let rehearsals = Rehearsals::restored([(one(0, 1), after(18_000)), (one(3600, 2), None)].into_iter());
    assert_eq!(rehearsals.of("idle"), PolicyRehearsal::default());
    let mut rehearsals = Rehearsals::restored([(one(0, 1), None), (one(3600, 2), None)].into_iter());
    let told = rehearsals.observe(&snapshot(7200, &[idle(10, 60)], true), at(7200), true);
    assert_eq!((told[0].action_id, told[0].after.num_seconds()), (1, 7140));
    let validated = Some((Afterwards::Validated, TimeDelta::seconds(60)));
    let mut rehearsals = Rehearsals::restored([(one(0, 1), validated)].into_iter());
    assert_eq!(rehearsals.of("idle").all.validated.count, 1);
    assert!(
        rehearsals
            .observe(&snapshot(7200, &[], true), at(7200), true)
            .is_empty()
    );
    assert_eq!(rehearsals.of("idle").all.would_have_ended(), 1);
}

#[test]
fn hosts_that_differ_by_digits_are_one_group_and_groups_are_bounded() {
    let mut rehearsals = Rehearsals::default();
    let rows: Vec<Row> = (0..4).map(|sid| idle(sid, IDLE)).collect();
    let first = snapshot(0, &rows, true);
    for (sid, machine) in [(0, "web01"), (1, "web17.shop"), (2, "web02"), (3, "batch")] {
        rehearsals.begin(WouldHaveEnded {
            who: group(machine),
            ..taken(&first, sid, u64::from(sid))
        });
    }
    rehearsals.observe(&snapshot(15, &[idle(0, 5), idle(1, IDLE + 15)], true), at(15), true);
    let of = rehearsals.of("idle");
    let groups: Vec<(&str, usize, usize)> = of
        .groups
        .iter()
        .map(|(who, tally)| {
            (
                who.machine.as_deref().expect("known"),
                tally.would_have_ended(),
                tally.used_again(),
            )
        })
        .collect();
    assert_eq!(groups, [("web#", 2, 1), ("batch", 1, 0), ("web#.shop", 1, 0)]);
    for number in 0..MOST_GROUPS + 5 {
        let machine: String = number.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
        rehearsals.tell(&"idle".into(), &group(&machine), Afterwards::Ended, 1);
    }
    assert!(rehearsals.told.len() <= MOST_GROUPS + 1);
    assert_eq!(rehearsals.of("idle").all.ended.count, 2 + MOST_GROUPS + 5);
}

#[test]
fn no_more_are_watched_than_may_be() {
    let mut rehearsals = Rehearsals::default();
    let first = snapshot(0, &[idle(10, IDLE)], true);
    let one = taken(&first, 10, 1);
    for sid in 0..u32::try_from(MOST_WATCHED + 3).expect("small") {
        rehearsals.begin(WouldHaveEnded {
            key: key(sid),
            ..one.clone()
        });
    }
    let all = rehearsals.of("idle").all;
    assert_eq!((all.watched, all.lost), (MOST_WATCHED, 3));
}

#[test]
fn what_became_of_them_is_said_in_a_sentence() {
    let mut tally = RehearsalTally::default();
    assert_eq!(tally.words(), "");
    for seconds in [18_600, 30_000, 18_600] {
        tally.add(Afterwards::UsedAgain, seconds);
    }
    tally.watched = 58;
    assert_eq!(
        tally.words(),
        "61 sessions would have been ended: 3 were used again, after 5h 10m to 8h 20m; 58 are still watched"
    );
    tally.add(Afterwards::Validated, 600);
    tally.add(Afterwards::Ended, 60);
    tally.add(Afterwards::Lost, 60);
    assert_eq!(
        tally.words(),
        "64 sessions would have been ended: 4 were used again, after 10m to 8h 20m, of which 1 only by calls that look like a pool's \
         validation; 1 ended by itself without being used again, after 1m; 58 are still watched; 1 could not be watched to the end"
    );
    assert_eq!(tally.used.within, [0, 0, 0, 0, 2, 3]);
}

/// What the reference makes of one session that was taken at snapshot `from`: every later snapshot is looked at, one after the other.
fn slowly(rows: &[Option<Row>], from: usize, every: i64) -> (Option<(Afterwards, i64)>, usize) {
    let mut validated = None;
    for number in from + 1..rows.len() {
        let after = (number - from) as i64 * every;
        let Some(now) = rows[number] else {
            return (validated.or(Some((Afterwards::Ended, after))), number);
        };
        let before = rows[number - 1].expect("it was there");
        if now.status == "KILLED" {
            if before.status == "KILLED" {
                continue;
            }
            return (validated.or(Some((Afterwards::Lost, after))), number);
        }
        let fell = matches!((before.last_call_et, now.last_call_et), (Some(before), Some(now)) if now < before);
        let other_status = now.status != before.status;
        let other_statement = now.sql_id.is_some() && now.sql_id != before.sql_id;
        if !(fell || other_status || other_statement) {
            continue;
        }
        // The call lies after the snapshot before, and LAST_CALL_ET says where.
        let called = now
            .last_call_et
            .map_or(after, |et| (after - et).clamp(after - every, after));
        let same = now.prev_sql_id.is_some() && now.prev_sql_id == before.prev_sql_id;
        let started = now.prev_exec_start.zip(before.prev_exec_start);
        let ended = now.last_call_et.map(|et| number as i64 * every - et);
        let short = started.is_some_and(|(now, before)| {
            now == before || ended.is_some_and(|ended| ended - now <= VALIDATION_SECONDS_IN_REFERENCE)
        });
        let validation = !other_status
            && !other_statement
            && now.status == "INACTIVE"
            && now.taddr.is_none()
            && now.sql_id.is_none()
            && same
            && short;
        if !validation {
            return (Some((Afterwards::UsedAgain, called)), number);
        }
        validated = validated.or(Some((Afterwards::Validated, called)));
    }
    (validated, rows.len())
}

const VALIDATION_SECONDS_IN_REFERENCE: i64 = 4;

/// What a snapshot may show of a session, whatever it showed before.
fn any_row() -> impl Strategy<Value = Option<Row>> {
    let row = (
        prop_oneof![8 => Just("INACTIVE"), 2 => Just("ACTIVE"), 1 => Just("KILLED")],
        prop_oneof![1 => Just(None), 9 => (0_i64..90).prop_map(Some)],
        prop_oneof![4 => Just(None), 1 => Just(Some("a")), 1 => Just(Some("b"))],
        prop_oneof![1 => Just(None), 4 => Just(Some("ping")), 1 => Just(Some("b"))],
        prop_oneof![1 => Just(None), 4 => (0_i64..200).prop_map(Some)],
        prop_oneof![4 => Just(None), 1 => Just(Some("AB"))],
    );
    let row = row.prop_map(
        |(status, last_call_et, sql_id, prev_sql_id, prev_exec_start, taddr)| Row {
            sid: 0,
            status,
            last_call_et,
            sql_id,
            prev_sql_id,
            prev_exec_start,
            taddr,
        },
    );
    prop_oneof![1 => Just(None), 20 => row.prop_map(Some)]
}

proptest! {
    /// Several sessions over several snapshots, each taken at one of them and again whenever the policy likes.
    #[test]
    fn it_is_as_the_slow_reference_says(
        mut sessions in proptest::collection::vec(proptest::collection::vec(any_row(), 2..12), 1..4),
        takes in proptest::collection::vec((0_usize..4, 0_usize..12), 1..8),
    ) {
        const EVERY: i64 = 15;
        // Nobody comes back under his old key.
        for session in &mut sessions {
            let gone = session.iter().position(Option::is_none).unwrap_or(session.len());
            session[gone..].fill(None);
            for (number, row) in session.iter_mut().enumerate() {
                if let Some(row) = row {
                    row.prev_exec_start = row.prev_exec_start.map(|start| start.min(number as i64 * EVERY));
                }
            }
        }
        let takes = |number: usize, sid: usize| takes.iter().any(|(who, when)| *who == sid && *when == number);
        let last = sessions.iter().map(Vec::len).max().unwrap_or(0);
        for session in &mut sessions {
            // As long as the others, without a change: it stays as it was.
            let end = session.last().copied().flatten();
            let is_gone = end.is_none();
            let length = session.len();
            session.resize(last, end);
            if !is_gone {
                session.truncate(length);
                session.resize(last, None);
            }
        }
        let mut rehearsals = Rehearsals::default();
        let mut found: Vec<(u64, Afterwards, i64)> = Vec::new();
        for number in 0..last {
            let seconds = number as i64 * EVERY;
            let rows: Vec<Row> = (0_i64..)
                .zip(&sessions)
                .filter_map(|(sid, session)| session[number].map(|row| Row { sid, ..row }))
                .collect();
            let snapshot = snapshot(seconds, &rows, true);
            for told in rehearsals.observe(&snapshot, at(seconds), true) {
                found.push((told.action_id, told.afterwards, told.after.num_seconds()));
            }
            for row in &rows {
                let sid = u32::try_from(row.sid).expect("small");
                if takes(number, sid as usize) {
                    rehearsals.begin(taken(&snapshot, sid, (number * 10 + sid as usize) as u64));
                }
            }
        }
        let mut expected = RehearsalTally::default();
        let mut times: Vec<(u64, Afterwards, i64)> = Vec::new();
        for (sid, session) in sessions.iter().enumerate() {
            let mut free_from = 0;
            for number in 0..last {
                if number < free_from || session[number].is_none() || !takes(number, sid) {
                    continue;
                }
                let (became, until) = slowly(session, number, EVERY);
                free_from = until;
                match became {
                    None => expected.watched += 1,
                    Some((afterwards, after)) => {
                        expected.add(afterwards, after);
                        times.push(((number * 10 + sid) as u64, afterwards, after));
                    }
                }
            }
        }
        prop_assert_eq!(rehearsals.of("idle").all, expected);
        // Each validation that a real call followed was told as such first.
        found.retain(|(id, afterwards, _)| {
            *afterwards != Afterwards::Validated || times.iter().any(|(of, became, _)| of == id && became == afterwards)
        });
        times.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, times);
    }
}
