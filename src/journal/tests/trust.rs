//! Where the journal does not show what was done, budgets count as used up; where a crash has cut it, they do not.

use super::*;
use crate::journal::read::REMEMBERED;

/// Six kills, each with its outcome, from the first second on.
fn acted(state: &Path) {
    let (mut journal, _) = Journal::open(state, now()).expect("opens");
    for id in 1..=6 {
        let intent = intent(id, 287 + u32::try_from(id).expect("small"), RunMode::Enforce);
        let written = at(i64::try_from(id).expect("small"));
        journal
            .append(&Event::Intent(Arc::clone(&intent)), written)
            .expect("writes");
        journal
            .append(&outcome(&intent, Outcome::Done), written)
            .expect("writes");
    }
}

/// How much of an hour's budget of ten counts as used, this many seconds after the first action.
fn used(state: &Path, second: i64) -> u32 {
    let mut ledger = read(state, at(second)).expect("reads").memory("prod", "here").ledger;
    ledger.settle(at(second));
    ledger.used(at(second), (TimeDelta::hours(1), 10), |entry| {
        entry.mode == RunMode::Enforce
    })
}

/// A daemon has started, on whatever it found.
fn started(state: &Path, second: i64) {
    let (mut journal, _) = Journal::open(state, at(second)).expect("opens");
    journal.append(&resumed(), at(second)).expect("writes");
}

type Damage = (&'static str, fn(&str) -> String);

const DAMAGES: [Damage; 8] = [
    ("a newer version", |text| text.replace(r#"{"v":1"#, r#"{"v":2"#)),
    ("intents dated back", |text| {
        text.replace(r#""taken_at":"2026-11-22"#, r#""taken_at":"2026-11-20"#)
    }),
    ("records dated back", |text| text.replace("2026-11-22T", "2026-11-20T")),
    ("garbage", |text| {
        text.lines().map(|line| format!("#{line}\n")).collect()
    }),
    ("zeros at the end", |text| {
        let (kept, zeroed) = text.split_at(text.len() / 2);
        kept.to_owned() + &"\0".repeat(zeroed.len())
    }),
    ("an intent taken away", |text| {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.remove(4);
        lines.concat()
    }),
    ("hashes taken away", |text| {
        let bare = |line: &str| line.split(r#","prev""#).next().unwrap_or_default().to_owned() + "}\n";
        let (first, others) = text.split_once('\n').expect("lines");
        format!("{first}\n") + &others.lines().map(bare).collect::<String>()
    }),
    ("one line is unreadable", |text| {
        text.replacen(r#""kind":"intent","id":3"#, r#""kind":"intend","id":3"#, 1)
    }),
];

#[test]
fn whatever_is_damaged_uses_up_each_budget_until_its_period_is_over() {
    for (what, damage) in DAMAGES {
        let state = tempfile::tempdir().expect("a folder");
        acted(state.path());
        assert_eq!(used(state.path(), 60), 6, "{what}");
        let path = file(state.path(), 0);
        let text = fs::read_to_string(&path).expect("reads");
        let damaged = damage(&text);
        assert_ne!(text, damaged, "{what}");
        fs::write(&path, damaged).expect("writes");
        assert_eq!(used(state.path(), 60), 10, "{what}");
        // The next start dates it: it was there by then.
        started(state.path(), 120);
        let known = read(state.path(), at(180)).expect("reads").missing.expect(what);
        assert!(known.until <= at(120), "{what}: {known:?}");
        assert!(
            known.check().to_string().contains("orareaper history --verify"),
            "{what}"
        );
        assert_eq!(used(state.path(), 180), 10, "{what}");
        // Once more, as a daemon that is restarted in a loop.
        started(state.path(), 200);
        assert_eq!(used(state.path(), 3500), 10, "{what}");
        assert!(used(state.path(), 120 + 3600) < 10, "{what}");
    }
}

#[test]
fn what_a_crash_has_cut_uses_up_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    acted(state.path());
    let path = file(state.path(), 0);
    let text = fs::read_to_string(&path).expect("reads");
    let last = text.trim_end().rfind('\n').expect("lines") + 1;
    fs::write(&path, &text[..last + 40]).expect("writes");
    assert_eq!(used(state.path(), 60), 6);
    // Its end was made a line, and then it crashed again.
    drop(Journal::open(state.path(), at(60)).expect("opens"));
    assert_eq!(used(state.path(), 60), 6);
    started(state.path(), 60);
    assert_eq!(used(state.path(), 60), 6);
}

#[test]
fn a_file_that_somebody_took_away_is_missed_if_it_was_newer_than_a_day() {
    let state = tempfile::tempdir().expect("a folder");
    {
        let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
        journal.append(&resumed(), at(0)).expect("writes");
        journal.start_file().expect("a new file");
        journal.append(&resumed(), at(1)).expect("writes");
    }
    let first = file(state.path(), 1);
    let whole = fs::read(&first).expect("reads");
    fs::remove_file(&first).expect("deletes");
    let found = read(state.path(), now())
        .expect("reads")
        .missing
        .expect("the beginning");
    assert_eq!(
        found.until,
        at(1),
        "nothing is missing after the first record that is there"
    );
    let later = at(1) + REMEMBERED + TimeDelta::seconds(1);
    assert_eq!(
        read(state.path(), later).expect("reads").missing,
        None,
        "no budget counts it"
    );
    fs::write(&first, whole).expect("writes");
    assert_eq!(read(state.path(), now()).expect("reads").missing, None);
}
