//! The journal read for people: filters, several files, what is being written, and damage.

use super::*;
use crate::journal::entries::{Wanted, entries};

/// Three actions: one that was followed to its end, one in a dry run, one whose outcome was never written.
fn written(state: &Path) {
    let (one, two, three) = (
        intent(1, 287, RunMode::Enforce),
        intent(2, 288, RunMode::DryRun),
        intent(3, 289, RunMode::Enforce),
    );
    let dropped = Event::Dropped(Outcomed {
        intent: intent(4, 290, RunMode::Enforce),
        outcome: Outcome::Revoked,
        code: None,
        message: Some("paused".into()),
        statement: None,
        session: Evidence::default(),
        took: Duration::ZERO,
    });
    write(
        state,
        &[
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Marked),
            Event::Intent(Arc::clone(&two)),
            outcome(&two, Outcome::Assumed),
            verification(&one, Proof::Lingers),
            verification(&one, Proof::Gone),
            Event::Intent(three),
            dropped,
        ],
    );
}

fn ids(state: &Path, wanted: &Wanted) -> Vec<u64> {
    let read = entries(state, wanted).expect("reads");
    assert_eq!(read.damaged_lines, 0, "{:?}", read.damage);
    read.entries.iter().map(|entry| entry.intent.id).collect()
}

#[test]
fn an_action_is_one_entry_with_all_that_came_of_it() {
    let state = tempfile::tempdir().expect("a folder");
    written(state.path());
    let read = entries(state.path(), &Wanted::default()).expect("reads");
    assert_eq!(read.entries.len(), 4);
    let [one, _, three, four] = read.entries.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(one.outcome(), Outcome::Marked);
    let shown: Vec<Proof> = one.proofs.iter().map(|(_, proof)| *proof).collect();
    assert_eq!(shown, [Proof::Lingers, Proof::Gone]);
    assert_eq!((three.outcome.is_none(), three.outcome()), (true, Outcome::Unknown));
    assert_eq!(four.outcome(), Outcome::Revoked);
    assert_eq!(read.oldest, Some(at(0)));
}

/// What is asked for, changed from everything.
fn only(change: impl FnOnce(&mut Wanted)) -> Wanted {
    let mut wanted = Wanted::default();
    change(&mut wanted);
    wanted
}

#[test]
fn every_filter_leaves_what_it_says() {
    let state = tempfile::tempdir().expect("a folder");
    written(state.path());
    let (all, none): (&[u64], &[u64]) = (&[1, 2, 3, 4], &[]);
    let cases: [(Wanted, &[u64]); 18] = [
        (Wanted::default(), all),
        (only(|wanted| wanted.database = Some("prod".into())), all),
        (only(|wanted| wanted.database = Some("crm".into())), none),
        (only(|wanted| wanted.policy = Some("idle".into())), all),
        (only(|wanted| wanted.policy = Some("other".into())), none),
        (only(|wanted| wanted.user = Some("apexdev".into())), all),
        (only(|wanted| wanted.user = Some("APEX".into())), none),
        (only(|wanted| wanted.result = Some(Ok(Outcome::Marked))), &[1]),
        (only(|wanted| wanted.result = Some(Ok(Outcome::Unknown))), &[3]),
        (only(|wanted| wanted.result = Some(Err(Proof::Lingers))), &[1]),
        (only(|wanted| wanted.session = (Some(288), None, None)), &[2]),
        (only(|wanted| wanted.session = (Some(288), Some(62507), Some(1))), &[2]),
        (only(|wanted| wanted.session = (Some(288), Some(1), None)), none),
        (only(|wanted| wanted.session = (None, None, Some(7))), none),
        (only(|wanted| wanted.since = Some(at(0))), all),
        (only(|wanted| wanted.since = Some(at(1))), none),
        (only(|wanted| wanted.until = Some(at(0))), none),
        (only(|wanted| wanted.until = Some(at(1))), all),
    ];
    for (wanted, expected) in cases {
        assert_eq!(ids(state.path(), &wanted), expected, "{wanted:?}");
    }
}

#[test]
fn rotated_files_come_first_and_a_file_is_read_once() {
    let state = tempfile::tempdir().expect("a folder");
    written(state.path());
    fs::rename(file(state.path(), 0), file(state.path(), 1)).expect("renamed");
    let (mut journal, history) = Journal::open(state.path(), now()).expect("opens");
    assert_eq!(history.next_id, 5);
    journal
        .append(&Event::Intent(intent(5, 291, RunMode::Enforce)), at(9))
        .expect("writes");
    assert_eq!(ids(state.path(), &Wanted::default()), [1, 2, 3, 4, 5]);
    fs::hard_link(file(state.path(), 1), file(state.path(), 2)).expect("linked");
    assert_eq!(ids(state.path(), &Wanted::default()), [1, 2, 3, 4, 5]);
}

/// The daemon writes while it is read: what is half there is none of the reader's business, in the current file's end alone.
#[test]
fn half_a_record_is_damage_everywhere_but_at_the_end_of_the_current_file() {
    let state = tempfile::tempdir().expect("a folder");
    written(state.path());
    let path = file(state.path(), 0);
    let whole = fs::read(&path).expect("reads");
    fs::write(&path, &whole[..whole.len() - 20]).expect("writes");
    assert_eq!(ids(state.path(), &Wanted::default()), [1, 2, 3]);
    let last = whole
        .split_inclusive(|byte| *byte == b'\n')
        .next_back()
        .expect("a line");
    fs::write(&path, [&whole[..whole.len() - 20], b"\n", last].concat()).expect("writes");
    let read = entries(state.path(), &Wanted::default()).expect("reads");
    // The half record was the eighth line.
    let lines: Vec<usize> = read.damage.iter().map(|damage| damage.line).collect();
    assert_eq!((read.damaged_lines, lines), (1, vec![8]));
    fs::rename(&path, file(state.path(), 1)).expect("renamed");
    fs::write(&path, "").expect("writes");
    fs::write(file(state.path(), 1), &whole[..whole.len() - 20]).expect("writes");
    assert_eq!(
        entries(state.path(), &Wanted::default()).expect("reads").damaged_lines,
        1
    );
}

#[test]
fn a_mistyped_name_is_reported() {
    let state = tempfile::tempdir().expect("a folder");
    written(state.path());
    let wanted = only(|wanted| wanted.policy = Some("idel".into()));
    let read = entries(state.path(), &wanted).expect("reads");
    assert_eq!(
        read.unknown_names,
        ["the journal has no action with the policy \"idel\"; did you mean `idle`?"]
    );
    let wanted = only(|wanted| wanted.policy = Some("idle".into()));
    assert!(entries(state.path(), &wanted).expect("reads").unknown_names.is_empty());
}

#[test]
fn a_pipe_in_place_of_the_journal_is_refused_at_once() {
    let state = tempfile::tempdir().expect("a folder");
    let made = std::process::Command::new("mkfifo").arg(file(state.path(), 0)).status();
    assert!(made.expect("mkfifo runs").success());
    let error = entries(state.path(), &Wanted::default()).expect_err("a pipe");
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn an_action_that_is_there_twice_is_damage() {
    let state = tempfile::tempdir().expect("a folder");
    written(state.path());
    let path = file(state.path(), 0);
    let whole = fs::read(&path).expect("reads");
    fs::write(&path, [&whole[..], &whole[..]].concat()).expect("writes");
    let read = entries(state.path(), &Wanted::default()).expect("reads");
    // The outcomes and verifications that are there twice say nothing new.
    assert_eq!((read.entries.len(), read.damaged_lines), (4, 4), "{:?}", read.damage);
}

#[test]
fn where_no_journal_is_there_is_nothing_to_read() {
    let state = tempfile::tempdir().expect("a folder");
    let error = entries(state.path(), &Wanted::default()).expect_err("no file");
    assert!(error.to_string().starts_with("open "), "{error}");
}

#[test]
fn what_became_of_the_session_of_a_dry_run_is_in_its_entry() {
    let state = tempfile::tempdir().expect("a folder");
    let one = intent(1, 287, RunMode::DryRun);
    write(
        state.path(),
        &[
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Assumed),
            rehearsed(&one, Afterwards::Validated, 600),
            rehearsed(&one, Afterwards::UsedAgain, 18_600),
        ],
    );
    let read = entries(state.path(), &Wanted::default()).expect("reads");
    let last = Some((Afterwards::UsedAgain, TimeDelta::seconds(18_600)));
    assert_eq!(
        (read.entries[0].would_have_ended(), read.entries[0].afterwards),
        (true, last)
    );
}
