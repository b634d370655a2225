//! The journal against crashes at every byte, full disks, and a second daemon.

mod budgets;
mod chain;
mod disk;
mod entries;
mod retention;
mod trust;

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::used_again::{Aftermath, Afterwards};
use crate::decide::verify::{FollowState, Followed, Proof, Verification};
use crate::event::{Evidence, EvidenceValue, Intent, Outcomed};
use crate::journal::read::Past;
use crate::policy::model::{Action, KillClause};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns};
use crate::session::snapshot::{Instance, Snapshot, SnapshotSource};
use crate::session::time::DbTime;

const KILL: Action = Action::Kill {
    clause: KillClause::Immediate,
};

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse::<DateTime<Utc>>().expect("a time") + TimeDelta::seconds(second)
}

/// Soon after everything that the tests write.
fn now() -> DateTime<Utc> {
    at(3600)
}

fn key(sid: u32) -> SessionKey {
    SessionKey {
        inst_id: 1,
        sid,
        serial: 62507,
        logon_time: DbTime(1_763_776_800),
    }
}

pub(crate) fn intent(id: u64, sid: u32, mode: RunMode) -> Arc<Intent> {
    Arc::new(Intent {
        id,
        database: "prod".into(),
        place: Some("here".into()),
        identity: None,
        key: key(sid),
        policy: "idle".into(),
        policy_digest: "ab12".into(),
        mode,
        action: KILL,
        username: Some("APEXDEV".into()),
        program: Some("evil\n{\"v\":1}\u{1b}[31m".into()),
        machine: None,
        operator: None,
        reason: "INACTIVE for 5h 12m, longer than 4h".into(),
        statement: Some(format!("ALTER SYSTEM KILL SESSION '{sid},62507,@1' IMMEDIATE")),
        taken_at: at(i64::try_from(id).expect("small")),
        waited: Duration::ZERO,
        session: Evidence(vec![
            (Column::Taddr, EvidenceValue::Null),
            (Column::SqlId, EvidenceValue::Text("7ws837zynp1zv".into())),
            (Column::SqlExecId, EvidenceValue::Number(16_777_216)),
            (Column::LogonTime, EvidenceValue::Time(DbTime(1_763_776_800))),
        ]),
    })
}

pub(crate) fn outcome(intent: &Arc<Intent>, outcome: Outcome) -> Event {
    Event::Outcome(Outcomed {
        intent: Arc::clone(intent),
        outcome,
        code: Some(31),
        message: Some("ORA-00031: session marked for kill".into()),
        statement: intent.statement.clone(),
        session: intent.session.clone(),
        took: Duration::from_millis(12),
    })
}

fn verification(intent: &Arc<Intent>, proof: Proof) -> Event {
    Event::Verification {
        database: Arc::clone(&intent.database),
        verification: Verification {
            key: intent.key,
            followed: Followed {
                action_id: intent.id,
                policy: Arc::clone(&intent.policy),
                action: intent.action,
                mode: intent.mode,
                since: intent.taken_at,
                sql_exec: None,
                accepted: true,
                certain: true,
                was_killed: false,
                state: FollowState::Waiting,
            },
            proof,
        },
    }
}

fn write(state: &Path, events: &[Event]) {
    let (mut journal, _) = Journal::open(state, now()).expect("opens");
    for event in events {
        journal.append(event, at(0)).expect("writes");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let state = tempfile::tempdir().expect("a folder");
    let (one, two) = (intent(1, 287, RunMode::Enforce), intent(2, 288, RunMode::DryRun));
    write(
        state.path(),
        &[
            Event::Started {
                version: "0.1.0",
                dry_run: false,
            },
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Marked),
            Event::Intent(Arc::clone(&two)),
            verification(&one, Proof::Lingers),
        ],
    );
    let history = read(state.path(), now()).expect("reads");
    assert_eq!((history.next_id, history.damaged_lines), (3, 0));
    let past = &history.actions[&1];
    let mut expected = (*one).clone();
    expected
        .session
        .0
        .retain(|(column, _)| [Column::SqlId, Column::SqlExecId].contains(column));
    assert_eq!(*past.intent, expected);
    assert_eq!(past.proofs, [Proof::Lingers]);
    let outcomed = past.outcome.as_ref().expect("an outcome");
    assert_eq!((outcomed.outcome, outcomed.code), (Outcome::Marked, Some(31)));
    assert_eq!(outcomed.took, Duration::from_millis(12));
    assert_eq!(history.actions[&2].outcome, None);
}

#[test]
fn a_record_is_one_line_of_json_with_the_documented_fields() {
    let line = line(&Event::Intent(intent(7, 287, RunMode::Enforce)), at(0))
        .expect("is written")
        .expect("is journalled");
    let text = String::from_utf8(line).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(!text.contains('\u{1b}'), "a control character got through: {text}");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["v"], 1);
    assert_eq!(json["at"], "2026-11-22T10:00:00Z");
    assert_eq!(json["kind"], "intent");
    assert_eq!(json["id"], 7);
    assert_eq!(
        (&json["inst_id"], &json["sid"], &json["serial"]),
        (&1.into(), &287.into(), &62507.into())
    );
    // 1 763 776 800 s after 1970 is 2025-11-22 02:00:00 of a clock without a zone.
    assert_eq!(json["logon_time"], "2025-11-22T02:00:00");
    assert_eq!(json["session"]["logon_time"], "2025-11-22T02:00:00");
    assert_eq!(json["session"]["taddr"], serde_json::Value::Null);
    assert!(json["session"].as_object().expect("an object").contains_key("taddr"));
    assert_eq!(json["mode"], "enforce");
    assert_eq!(json["action"], "kill immediate");
}

/// Which actions a prefix of the journal must show: those whose intent's line is there in full.
fn whole_lines(prefix: &[u8], kind: &str) -> BTreeSet<u64> {
    let full = prefix.split_inclusive(|byte| *byte == b'\n');
    let json = full.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    json.filter(|json| json["kind"] == kind)
        .map(|json| json["id"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn a_crash_at_any_byte_never_hides_repeats_or_invents_an_action() {
    let whole = tempfile::tempdir().expect("a folder");
    let (one, two) = (intent(1, 287, RunMode::Enforce), intent(2, 288, RunMode::Enforce));
    write(
        whole.path(),
        &[
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Done),
            Event::Intent(Arc::clone(&two)),
            verification(&one, Proof::Gone),
            outcome(&two, Outcome::Marked),
        ],
    );
    let bytes = fs::read(file(whole.path(), 0)).expect("reads");
    // Thousands of flushes: in memory, if there is such a place.
    let state = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    for len in 0..=bytes.len() {
        let prefix = &bytes[..len];
        fs::write(file(state.path(), 0), prefix).expect("writes");
        let (mut journal, history) = Journal::open(state.path(), now()).expect("opens whatever is there");
        let (intents, outcomes) = (whole_lines(prefix, "intent"), whole_lines(prefix, "outcome"));
        assert_eq!(
            history.actions.keys().copied().collect::<BTreeSet<_>>(),
            intents,
            "cut at {len}"
        );
        let unfinished: BTreeSet<u64> = history.unfinished().map(|intent| intent.id).collect();
        assert_eq!(
            unfinished,
            intents.difference(&outcomes).copied().collect(),
            "cut at {len}"
        );
        assert!(intents.iter().all(|id| *id < history.next_id), "cut at {len}");
        assert!(history.damaged_lines <= 1, "cut at {len}: {:?}", history.damage);
        // Whatever is not known to have ended is followed; what is, is not.
        let memory = history.memory("prod", "here");
        let ended = whole_lines(prefix, "verification");
        let followed: BTreeSet<u64> = memory
            .following
            .iter()
            .map(|(_, followed)| followed.action_id)
            .collect();
        assert_eq!(followed, intents.difference(&ended).copied().collect(), "cut at {len}");
        let counted = memory
            .ledger
            .count(at(10), TimeDelta::hours(24), |entry| entry.mode == RunMode::Enforce);
        assert_eq!(counted as usize, intents.len(), "cut at {len}");
        // The next daemon writes on, and the damage stays where it is.
        let next = intent(history.next_id, 300, RunMode::Enforce);
        journal
            .append(&Event::Intent(Arc::clone(&next)), at(0))
            .expect("writes");
        drop(journal);
        let again = read(state.path(), now()).expect("reads");
        assert!(again.actions.contains_key(&next.id), "cut at {len}");
        assert_eq!(again.actions.len(), intents.len() + 1, "cut at {len}");
        assert_eq!(again.damaged_lines, history.damaged_lines, "cut at {len}");
    }
}

#[test]
fn damage_in_the_middle_is_told_with_its_line_and_costs_only_that_line() {
    let state = tempfile::tempdir().expect("a folder");
    let (one, two) = (intent(1, 287, RunMode::Enforce), intent(2, 288, RunMode::Enforce));
    write(
        state.path(),
        &[
            Event::Intent(one),
            Event::Intent(Arc::clone(&two)),
            outcome(&two, Outcome::Done),
        ],
    );
    let path = file(state.path(), 0);
    let mut lines: Vec<String> = fs::read_to_string(&path)
        .expect("reads")
        .lines()
        .map(str::to_owned)
        .collect();
    lines.insert(1, "\u{0}\u{fffd}not json".to_owned());
    lines.insert(
        3,
        r#"{"v":2,"at":"2026-11-22T10:00:00Z","kind":"intent","id":41}"#.to_owned(),
    );
    lines.insert(4, "x".repeat(RECORD_BYTES + 10));
    fs::write(&path, lines.join("\n") + "\n").expect("writes");
    let history = read(state.path(), now()).expect("reads");
    let told: Vec<usize> = history.damage.iter().map(|damage| damage.line).collect();
    assert_eq!(told, [2, 4, 5], "{:?}", history.damage);
    assert_eq!(history.damage[1].problem, "version 2 of the format is not known");
    assert_eq!(history.actions.len(), 2);
    assert!(matches!(history.actions[&2], Past { outcome: Some(_), .. }));
    assert_eq!(history.next_id, 42, "a number of any version is taken");
}

#[test]
fn an_action_that_was_sent_and_lingers_is_followed_on() {
    let state = tempfile::tempdir().expect("a folder");
    let one = intent(1, 287, RunMode::Enforce);
    write(
        state.path(),
        &[
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Marked),
            verification(&one, Proof::Lingers),
        ],
    );
    let memory = read(state.path(), now()).expect("reads").memory("prod", "here");
    let followed = memory.following.get(key(287)).expect("is followed");
    assert_eq!(followed.state, FollowState::Lingering);
    assert_eq!(followed.since, at(1));
    assert_eq!(followed.sql_exec, Some(("7ws837zynp1zv".into(), Some(16_777_216))));
    for (name, place) in [("other", "here"), ("prod", "elsewhere")] {
        let other = read(state.path(), now()).expect("reads").memory(name, place);
        assert_eq!(other.following.iter().count(), 0, "{name} {place}");
    }
}

#[test]
fn who_came_back_is_known_after_a_restart() {
    let state = tempfile::tempdir().expect("a folder");
    let mut events = Vec::new();
    for id in 1..=3 {
        let one = intent(id, 286 + u32::try_from(id).expect("small"), RunMode::Enforce);
        events.extend([Event::Intent(Arc::clone(&one)), outcome(&one, Outcome::Done)]);
        let ended = crate::decide::refill::Ended {
            action_id: id,
            policy: Arc::clone(&one.policy),
            mode: one.mode,
            key: one.key,
            who: crate::decide::refill::ClientGroup::default(),
            at: one.taken_at,
        };
        // The journal has the time to the second, as the database does.
        let back = crate::decide::refill::Return {
            ended,
            key: key(300),
            at: at(60 + i64::try_from(id).expect("small")),
        };
        let database = Arc::clone(&one.database);
        events.push(Event::CameBack { database, back });
    }
    write(state.path(), &events);
    let suspended = |database, minutes: i64| {
        let memory = read(state.path(), now()).expect("reads").memory(database, "here");
        memory
            .refills
            .suspended(3, at(minutes * 60), |ended| &*ended.policy == "idle")
    };
    let groups = suspended("prod", 60);
    let (who, suspension) = groups.first_key_value().expect("a group that refills");
    // As the intents have it, whatever the record of a return says.
    assert_eq!(who.username.as_deref(), Some("APEXDEV"));
    assert_eq!((who.machine.as_deref(), groups.len()), (None, 1));
    assert_eq!((suspension.times, suspension.until), (3, at(3600 + 63)));
    assert!(suspended("prod", 62).is_empty(), "the hour is over");
    assert!(suspended("other", 60).is_empty());
}

/// What became of the session of a dry run.
pub(crate) fn rehearsed(intent: &Arc<Intent>, afterwards: Afterwards, seconds: i64) -> Event {
    Event::Rehearsed {
        database: Arc::clone(&intent.database),
        aftermath: Aftermath {
            action_id: intent.id,
            policy: Arc::clone(&intent.policy),
            key: intent.key,
            afterwards,
            after: TimeDelta::seconds(seconds),
            was_validated: false,
        },
    }
}

#[test]
fn a_folder_belongs_to_one_daemon() {
    let state = tempfile::tempdir().expect("a folder");
    let (held, _) = Journal::open(state.path(), now()).expect("opens");
    let error = Journal::open(state.path(), now()).expect_err("is taken").to_string();
    let folder = state.path().display();
    let owner = std::process::id();
    assert_eq!(
        error,
        format!("state folder {folder} is in use by another orareaper (process {owner})")
    );
    drop(held);
    Journal::open(state.path(), now()).expect("is free again");
}

#[test]
fn a_full_file_makes_room_and_the_numbers_go_on() {
    let state = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    let record = line(&Event::Intent(intent(1, 1, RunMode::Enforce)), at(0))
        .expect("is written")
        .expect("is journalled");
    // Two records fit, a third does not.
    journal.limit = u64::try_from(record.len()).expect("small") * 5 / 2;
    for id in 1..=21 {
        journal
            .append(&Event::Intent(intent(id, 1, RunMode::Enforce)), at(0))
            .expect("writes");
    }
    drop(journal);
    // The current file has one record, each full one two, and none is lost.
    assert_eq!(
        crate::journal::files::ages(state.path()).expect("listed"),
        (0..=10).collect::<Vec<_>>()
    );
    let history = read(state.path(), now()).expect("reads");
    assert_eq!(history.next_id, 22);
    assert_eq!(
        history.actions.keys().copied().collect::<Vec<_>>(),
        (1..=21).collect::<Vec<_>>()
    );
}

#[test]
fn a_new_file_after_a_rotation_does_not_lose_the_numbers() {
    let state = tempfile::tempdir().expect("a folder");
    write(state.path(), &[Event::Intent(intent(9, 1, RunMode::Enforce))]);
    fs::rename(file(state.path(), 0), file(state.path(), 1)).expect("renames");
    let long_after = SystemClock::new().utc() + TimeDelta::days(400);
    assert_eq!(read(state.path(), long_after).expect("reads").next_id, 10);
}

/// What a journal did to its medium, in order; errors are injected by number of the call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
    pub(crate) bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) fail: Arc<Mutex<Vec<&'static str>>>,
    /// While this is held, no flush ends.
    pub(crate) slow: Arc<Mutex<()>>,
}

impl Tape {
    fn call(&self, name: &'static str) -> io::Result<()> {
        self.calls.lock().expect("not poisoned").push(name.to_owned());
        let mut fail = self.fail.lock().expect("not poisoned");
        match fail.iter().position(|failing| *failing == name) {
            Some(at) => {
                fail.remove(at);
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("not poisoned"))
    }
}

impl Medium for Tape {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.call("append");
        let written = if result.is_ok() {
            bytes
        } else {
            &bytes[..bytes.len() / 2]
        };
        self.bytes.lock().expect("not poisoned").extend_from_slice(written);
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        drop(self.slow.lock().expect("not poisoned"));
        self.call("sync")
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.call("cut")?;
        let len = usize::try_from(len).expect("small");
        self.bytes.lock().expect("not poisoned").truncate(len);
        Ok(())
    }

    fn verify(&self, length: RangeInclusive<u64>) -> io::Result<()> {
        let there = self.bytes.lock().expect("not poisoned").len();
        assert!(
            length.contains(&u64::try_from(there).expect("small")),
            "{there} is not in {length:?}"
        );
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.call("rotate")?;
        self.bytes.lock().expect("not poisoned").clear();
        Ok(())
    }

    fn state(&self) -> Option<&Path> {
        None
    }

    fn delete(&mut self, _full: &fs::File) -> io::Result<()> {
        unreachable!("it has no files")
    }
}

fn resumed() -> Event {
    Event::Resumed { by: "test".into() }
}

#[test]
fn a_record_is_flushed_before_the_caller_hears_of_it() {
    let tape = Tape::default();
    let mut journal = Journal::on(Box::new(tape.clone()), FILE_BYTES);
    journal
        .append(&Event::Intent(intent(1, 1, RunMode::Enforce)), at(0))
        .expect("writes");
    assert_eq!(tape.taken(), ["append", "sync"]);
    let report = crate::event::CycleReport::default();
    journal
        .append(&Event::Cycle(Arc::new(report)), at(0))
        .expect("is not journalled");
    assert_eq!(tape.taken(), Vec::<String>::new());
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_record() {
    for failing in ["append", "sync"] {
        let tape = Tape::default();
        let mut journal = Journal::on(Box::new(tape.clone()), FILE_BYTES);
        let unsealed = line(&resumed(), at(0)).expect("is written").expect("is journalled");
        journal.append(&resumed(), at(0)).expect("writes");
        let before = tape.bytes.lock().expect("not poisoned").clone();
        tape.fail.lock().expect("not poisoned").push(failing);
        let error = journal.append(&resumed(), at(0)).expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        // As long as the half record cannot be cut off, nothing is written after it.
        tape.fail.lock().expect("not poisoned").push("cut");
        tape.taken();
        journal.append(&resumed(), at(0)).expect_err("still full");
        assert_eq!(tape.taken(), ["cut"], "{failing}");
        journal.append(&resumed(), at(0)).expect("there is room again");
        assert_eq!(tape.taken(), ["cut", "append", "sync"], "{failing}");
        let after = tape.bytes.lock().expect("not poisoned").clone();
        // The chain goes on from the record that is there, not from the one that is not.
        let (sealed, end) = ChainEnd::START.seal(&unsealed);
        assert_eq!(before, sealed, "{failing}");
        assert_eq!(after, [before, end.seal(&unsealed).0].concat(), "{failing}");
    }
}

#[test]
fn a_rotation_that_fails_is_an_error_too() {
    let tape = Tape::default();
    let mut journal = Journal::on(Box::new(tape.clone()), 1);
    journal
        .append(&resumed(), at(0))
        .expect("the first record is written whatever its size");
    tape.fail.lock().expect("not poisoned").push("rotate");
    journal.append(&resumed(), at(0)).expect_err("no room");
    journal.append(&resumed(), at(0)).expect("room again");
    assert_eq!(tape.taken(), ["append", "sync", "rotate", "rotate", "append", "sync"]);
}

#[test]
fn a_time_outside_the_calendar_is_refused_and_not_written_wrongly() {
    let mut far = (*intent(1, 1, RunMode::Enforce)).clone();
    far.key.logon_time = DbTime(i64::MAX);
    let error = line(&Event::Intent(Arc::new(far)), at(0)).expect_err("cannot be read back");
    assert_eq!(
        error.to_string(),
        format!("a time of {} seconds is outside the calendar", i64::MAX)
    );
}
