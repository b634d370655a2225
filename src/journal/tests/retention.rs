//! Retention: whole files go, the oldest first, and none that is still needed.

use super::*;
use crate::config::Retention;
use crate::journal::files::ages;
use crate::journal::verify::{Follows, verify};

const DAY: i64 = 86_400;

/// Keeps ten days.
fn ten_days() -> Retention {
    Retention {
        keep: TimeDelta::days(10),
        ..Retention::default()
    }
}

/// A journal of some files, each with these events, written this many days after the first.
fn journal_of(state: &Path, files: &[(i64, Vec<Event>)]) -> Journal {
    let (mut journal, _) = Journal::open(state, now()).expect("opens");
    for (number, (day, events)) in files.iter().enumerate() {
        if number > 0 {
            journal.start_file().expect("a new file");
        }
        for event in events {
            journal.append(event, at(day * DAY)).expect("writes");
        }
    }
    journal
}

fn ended(id: u64) -> Vec<Event> {
    let one = intent(id, 287, RunMode::Enforce);
    vec![
        Event::Intent(Arc::clone(&one)),
        outcome(&one, Outcome::Done),
        verification(&one, Proof::Gone),
    ]
}

fn tidy(journal: &mut Journal, kept: Retention, day: i64) -> Tidied {
    journal.tidy(&kept, at(day * DAY)).expect("looks")
}

fn left(state: &Path) -> usize {
    ages(state).expect("listed").len()
}

#[test]
fn a_file_that_is_too_old_goes_and_the_chain_says_so() {
    let state = tempfile::tempdir().expect("a folder");
    let mut journal = journal_of(state.path(), &[(0, ended(1)), (3, ended(2)), (11, ended(3))]);
    assert!(
        matches!(tidy(&mut journal, ten_days(), 10), Tidied::Nothing),
        "not older than ten days"
    );
    let Tidied::Deleted {
        event: Event::Retention(deleted),
        is_too_large,
    } = tidy(&mut journal, ten_days(), 11)
    else {
        panic!("it is too old");
    };
    assert_eq!(
        (deleted.records, deleted.from, deleted.to, is_too_large),
        (3, at(0), at(0), false)
    );
    assert_eq!(deleted.reason, "its last record is older than 10d");
    assert_eq!(left(state.path()), 2);
    let found = verify(state.path(), None).expect("reads");
    assert_eq!(found.fault, None);
    let (place, _, follows) = found.begins.expect("a chain");
    assert_eq!(place.file, file(state.path(), 1));
    assert!(
        matches!(follows, Follows::Deleted(hash, _) if hash.to_string() == deleted.through),
        "{follows:?}"
    );
    // Right after the first record that is left: nothing is missed before it.
    assert_eq!(read(state.path(), at(3 * DAY)).expect("reads").missing, None);
    // The next is 8 days old; the current file never goes.
    assert!(matches!(tidy(&mut journal, ten_days(), 11), Tidied::Nothing));
    assert!(matches!(tidy(&mut journal, ten_days(), 100), Tidied::Deleted { .. }));
    let left = ages(state.path()).expect("listed");
    assert_eq!(left.first(), Some(&0), "{left:?}");
    assert_eq!(verify(state.path(), None).expect("reads").fault, None);
}

#[test]
fn the_oldest_go_until_the_rest_is_small_enough() {
    let state = tempfile::tempdir().expect("a folder");
    let files: Vec<(i64, Vec<Event>)> = (0..6u8)
        .map(|number| (i64::from(number), ended(u64::from(number) + 1)))
        .collect();
    let mut journal = journal_of(state.path(), &files);
    let each = fs::metadata(file(state.path(), 5)).expect("there").len();
    let kept = Retention {
        size: each * 7 / 2,
        ..Retention::default()
    };
    let mut deleted = 0;
    while let Tidied::Deleted { is_too_large, .. } = tidy(&mut journal, kept, 9) {
        assert!(is_too_large);
        deleted += 1;
    }
    assert!(deleted >= 3, "{deleted}");
    let all: u64 = ages(state.path())
        .expect("listed")
        .into_iter()
        .map(|age| fs::metadata(file(state.path(), age)).expect("there").len())
        .sum();
    assert!(all <= kept.size, "{all}");
    assert_eq!(verify(state.path(), None).expect("reads").fault, None);
}

#[test]
fn a_file_stays_while_something_depends_on_it() {
    let (one, two) = (intent(1, 287, RunMode::Enforce), intent(2, 288, RunMode::Enforce));
    let open: [(&str, Vec<Event>); 4] = [
        ("without an outcome", vec![Event::Intent(Arc::clone(&one))]),
        (
            "unknown",
            vec![Event::Intent(Arc::clone(&one)), outcome(&one, Outcome::Unknown)],
        ),
        (
            "not seen gone",
            vec![Event::Intent(Arc::clone(&one)), outcome(&one, Outcome::Done)],
        ),
        (
            "lingering",
            vec![
                Event::Intent(Arc::clone(&one)),
                outcome(&one, Outcome::Marked),
                verification(&one, Proof::Lingers),
            ],
        ),
    ];
    for (what, events) in open {
        let state = tempfile::tempdir().expect("a folder");
        let mut journal = journal_of(state.path(), &[(0, events), (1, ended(2)), (2, ended(3))]);
        let Tidied::Stays(why) = tidy(&mut journal, ten_days(), 50) else {
            panic!("{what}");
        };
        assert!(why.ends_with("what became of action 1 on prod is not known"), "{why}");
        // A later file may say what became of it.
        journal
            .append(&verification(&one, Proof::Gone), at(51 * DAY))
            .expect("writes");
        if what == "without an outcome" || what == "unknown" {
            journal
                .append(&outcome(&one, Outcome::Unknown), at(51 * DAY))
                .expect("writes");
        }
        assert!(
            matches!(tidy(&mut journal, ten_days(), 51), Tidied::Deleted { .. }),
            "{what}"
        );
    }
    // What was refused is not followed.
    let state = tempfile::tempdir().expect("a folder");
    let refused = vec![Event::Intent(Arc::clone(&two)), outcome(&two, Outcome::Refused)];
    let mut journal = journal_of(state.path(), &[(0, refused), (1, ended(3))]);
    assert!(matches!(tidy(&mut journal, ten_days(), 50), Tidied::Deleted { .. }));
    // Budgets count by the last day, however small the journal may be.
    let state = tempfile::tempdir().expect("a folder");
    let mut journal = journal_of(state.path(), &[(0, ended(1)), (0, ended(2))]);
    let nothing = Retention {
        size: 1,
        ..Retention::default()
    };
    assert!(matches!(tidy(&mut journal, nothing, 1), Tidied::Stays(_)));
    assert!(matches!(tidy(&mut journal, nothing, 2), Tidied::Deleted { .. }));
}

#[test]
fn nothing_is_deleted_that_cannot_be_read_or_whose_deletion_cannot_be_recorded() {
    let state = tempfile::tempdir().expect("a folder");
    let mut journal = journal_of(state.path(), &[(0, ended(1)), (1, ended(2)), (2, ended(3))]);
    // Something else is in the place of a file.
    let (oldest, away) = (file(state.path(), 2), state.path().join("away"));
    fs::rename(&oldest, &away).expect("moved");
    fs::create_dir(&oldest).expect("made");
    journal.tidy(&ten_days(), at(50 * DAY)).expect_err("it cannot be read");
    fs::remove_dir(&oldest).expect("removed");
    fs::rename(&away, &oldest).expect("moved back");
    // The record has no room: nothing is deleted.
    let current = fs::read(file(state.path(), 0)).expect("reads");
    fs::write(file(state.path(), 0), [current.as_slice(), b"{}\n"].concat()).expect("written by another program");
    journal
        .tidy(&ten_days(), at(50 * DAY))
        .expect_err("the journal takes no record");
    assert_eq!(left(state.path()), 3);
    fs::write(file(state.path(), 0), current).expect("put back");
    assert!(matches!(tidy(&mut journal, ten_days(), 50), Tidied::Deleted { .. }));
}

#[test]
fn a_quiet_journal_begins_a_new_file_in_time() {
    let state = tempfile::tempdir().expect("a folder");
    let mut journal = journal_of(state.path(), &[(0, ended(1))]);
    let kept = Retention {
        keep: TimeDelta::days(32),
        ..Retention::default()
    };
    assert!(matches!(tidy(&mut journal, kept, 2), Tidied::Nothing));
    assert_eq!(left(state.path()), 1);
    assert!(matches!(tidy(&mut journal, kept, 3), Tidied::Nothing));
    assert_eq!(
        left(state.path()),
        2,
        "the first record is older than a sixteenth of what is kept"
    );
    assert!(matches!(tidy(&mut journal, kept, 40), Tidied::Deleted { .. }));
    assert_eq!(left(state.path()), 1);
    assert_eq!(verify(state.path(), None).expect("reads").fault, None);
}
