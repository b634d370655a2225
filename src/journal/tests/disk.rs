//! The files of a state folder, and what others do to them.

use super::*;

#[test]
fn the_files_are_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().expect("a folder");
    let lock = state.path().join("lock");
    fs::write(&lock, "").expect("written");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o640)).expect("as an earlier version left it");
    write(state.path(), &[Event::Resumed { by: "test".into() }]);
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    // The group may read the journal, unless the umask says otherwise, and not take the lock.
    let journal = mode(&file(state.path(), 0));
    assert_eq!((journal & 0o137, mode(&lock)), (0, 0o600), "{journal:o}");
}

#[test]
fn what_is_written_is_what_the_path_names() {
    let parent = tempfile::tempdir().expect("a folder");
    let state = parent.path().join("state");
    let (mut journal, _) = Journal::open(&state, now()).expect("opens");
    journal.append(&resumed(), now()).expect("written");
    let away = parent.path().join("away");
    fs::rename(&state, &away).expect("moved");
    journal.append(&resumed(), now()).expect_err("the path names nothing");
    fs::create_dir(&state).expect("made");
    fs::write(file(&state, 0), "").expect("made");
    journal
        .append(&resumed(), now())
        .expect_err("the path names another file");
    fs::remove_dir_all(&state).expect("removed");
    fs::rename(&away, &state).expect("moved back");
    journal.append(&resumed(), now()).expect("the path names it again");
    for name in ["lock", "journal.jsonl"] {
        let (there, kept) = (state.join(name), state.join("kept"));
        fs::rename(&there, &kept).expect("moved");
        journal.append(&resumed(), now()).expect_err(name);
        fs::rename(&kept, &there).expect("moved back");
        journal.append(&resumed(), now()).expect("it is there again");
    }
    fs::remove_file(file(&state, 0)).expect("removed");
    journal.append(&resumed(), now()).expect_err("it has no name any more");
}

/// As an operator or a log rotation would do it: the same file, another length.
#[test]
fn a_journal_that_somebody_else_has_cut_or_written_to_takes_nothing_more() {
    let state = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    journal.append(&resumed(), now()).expect("written");
    let path = file(state.path(), 0);
    let whole = fs::read(&path).expect("reads");
    let longer = [whole.as_slice(), b"{}\n"].concat();
    for (there, what) in [
        (&whole[..0], "was truncated"),
        (&whole[..9], "was truncated"),
        (&longer, "was written to"),
    ] {
        fs::write(&path, there).expect("written by another program");
        for _ in 0..2 {
            let error = journal.append(&resumed(), now()).expect_err(what).to_string();
            let lengths = format!("it has {} bytes, but orareaper wrote {}", there.len(), whole.len());
            assert!(error.contains(what) && error.contains(&lengths), "{error}");
        }
        assert_eq!(fs::read(&path).expect("reads"), there, "neither filled up nor cut");
        fs::write(&path, &whole).expect("put back");
        journal.append(&resumed(), now()).expect("it is as it was left");
        fs::write(&path, &whole).expect("put back");
        (journal.len, journal.torn) = (u64::try_from(whole.len()).expect("small"), 0);
    }
}

/// What a write that failed has left is cut off, but a file that was cut meanwhile is not filled up with zeros.
#[test]
fn half_a_record_is_cut_off_and_a_file_that_was_cut_is_left_alone() {
    let state = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    journal.append(&resumed(), now()).expect("written");
    let path = file(state.path(), 0);
    let whole = fs::read(&path).expect("reads");
    let half = [whole.as_slice(), &whole[..9]].concat();
    let torn = u64::try_from(whole.len()).expect("small");
    for (there, fits) in [
        (&half[..], true),
        (&whole, true),
        (&whole[..9], false),
        (&whole[..0], false),
    ] {
        fs::write(&path, there).expect("written");
        (journal.len, journal.torn) = (torn, torn);
        assert_eq!(journal.make_sure().is_ok(), fits);
        let expected = if fits { &whole[..] } else { there };
        assert_eq!(fs::read(&path).expect("reads"), expected);
    }
}

#[test]
fn a_rotation_that_fails_again_and_again_costs_no_old_file() {
    let state = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    journal.limit = 1;
    for id in 1..=4 {
        journal
            .append(&Event::Intent(intent(id, 1, RunMode::Enforce)), at(0))
            .expect("writes");
    }
    // The new file cannot be made.
    let in_the_way = state.path().join("journal.new.jsonl");
    fs::create_dir(&in_the_way).expect("made");
    for _ in 0..8 {
        journal.append(&resumed(), at(0)).expect_err("no room");
    }
    let actions = || read(state.path(), now()).expect("reads").actions.len();
    assert_eq!(actions(), 4);
    fs::remove_dir(in_the_way).expect("removed");
    journal.append(&resumed(), at(0)).expect("room again");
    assert_eq!(actions(), 4);
    // Half a rotation has left a gap: what is older than the gap stays where it is.
    fs::remove_file(file(state.path(), 2)).expect("removed");
    let older = fs::read(file(state.path(), 3)).expect("reads");
    journal.append(&resumed(), at(0)).expect("room");
    assert_eq!(fs::read(file(state.path(), 3)).expect("reads"), older);
}
