//! The chain: every single edit of a written journal is found, and no journal that was left alone is accused.

use proptest::prelude::*;

use super::*;
use crate::journal::chain::{LineHash, Seal};
use crate::journal::files::ages;
use crate::journal::trust::MissingActions;
use crate::journal::verify::{ChainFindings, Fault, Follows, Noted, verify};

/// A folder in memory, if there is such a place: thousands of flushes.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}

/// Writes this many records, this many to a file.
fn written(state: &Path, records: u64, in_a_file: u64) {
    let (mut journal, _) = Journal::open(state, now()).expect("opens");
    for id in 1..=records {
        if id > 1 && id % in_a_file == 1 % in_a_file {
            journal.start_file().expect("a new file");
        }
        let event = match id % 3 {
            0 => Event::Intent(intent(id, 287, RunMode::Enforce)),
            1 => resumed(),
            _ => verification(&intent(id - 1, 287, RunMode::Enforce), Proof::Gone),
        };
        journal
            .append(&event, at(i64::try_from(id).expect("small")))
            .expect("writes");
    }
}

fn follow(state: &Path) -> ChainFindings {
    verify(state, None).expect("reads")
}

fn missing(state: &Path) -> Option<MissingActions> {
    read(state, now()).expect("reads").missing
}

/// Each file's age and its lines, oldest first, each line with its line feed.
type Lines = Vec<(u32, Vec<Vec<u8>>)>;

fn lines(state: &Path) -> Lines {
    let ages = ages(state).expect("listed");
    let of = |age: u32| {
        let text = fs::read(file(state, age)).expect("reads");
        let lines = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        (age, lines.collect())
    };
    ages.into_iter().rev().map(of).collect()
}

fn put(state: &Path, files: &[(u32, Vec<Vec<u8>>)]) {
    for (age, lines) in files {
        fs::write(file(state, *age), lines.concat()).expect("writes");
    }
}

/// An edit; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Edit {
    Byte(usize, usize, u8),
    Remove(usize),
    Insert(usize, Inserted),
    Swap(usize, usize),
    RemoveFile(usize),
    SwapFiles(usize, usize),
}

#[derive(Clone, Debug)]
enum Inserted {
    Copy(usize),
    Text(Vec<u8>),
}

fn edits() -> impl Strategy<Value = Edit> {
    let inserted = prop_oneof![
        any::<usize>().prop_map(Inserted::Copy),
        Just(Inserted::Text(Vec::new())),
        Just(Inserted::Text(
            br#"{"v":1,"at":"2026-11-22T10:00:00Z","kind":"resumed","by":"nobody"}"#.to_vec()
        )),
        // What begins as a record does may be taken for one that a crash has cut.
        proptest::collection::vec(
            any::<u8>().prop_filter("no such byte", |byte| !b"\n{".contains(byte)),
            1..40
        )
        // Zero bytes at the end are what a crash may leave.
        .prop_filter("zero bytes", |text| text.iter().any(|byte| *byte != 0))
        .prop_map(Inserted::Text),
    ];
    prop_oneof![
        6 => (any::<usize>(), any::<usize>(), any::<u8>()).prop_map(|(line, byte, to)| Edit::Byte(line, byte, to)),
        2 => any::<usize>().prop_map(Edit::Remove),
        3 => (any::<usize>(), inserted).prop_map(|(at, inserted)| Edit::Insert(at, inserted)),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Edit::Swap(one, other)),
        1 => any::<usize>().prop_map(Edit::RemoveFile),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Edit::SwapFiles(one, other)),
    ]
}

/// Makes the edit; whether it has changed anything that a chain can show. What is cut off the end it cannot.
fn edit(files: &mut [(u32, Vec<Vec<u8>>)], edit: Edit) -> bool {
    let places: Vec<(usize, usize)> = files
        .iter()
        .enumerate()
        .flat_map(|(at, (_, lines))| (0..lines.len()).map(move |line| (at, line)))
        .collect();
    let place = |number: usize| places[number % places.len()];
    let last = *places.last().expect("a record");
    match edit {
        Edit::Byte(number, byte, to) => {
            let (at, line) = place(number);
            let text = &mut files[at].1[line];
            let byte = byte % (text.len() - 1);
            let differs = text[byte] != to;
            text[byte] = to;
            differs
        }
        Edit::Remove(number) => {
            let (at, line) = place(number);
            files[at].1.remove(line);
            (at, line) != last
        }
        Edit::Insert(number, inserted) => {
            let (at, line) = place(number);
            let mut text = match inserted {
                Inserted::Copy(of) => {
                    let (at, line) = place(of);
                    files[at].1[line].clone()
                }
                Inserted::Text(text) => [text, b"\n".to_vec()].concat(),
            };
            if number % 7 == 0 {
                // At the end.
                files[last.0].1.push(std::mem::take(&mut text));
            } else {
                files[at].1.insert(line, text);
            }
            true
        }
        Edit::Swap(one, other) => {
            let (one, other) = (place(one), place(other));
            let text = files[one.0].1[one.1].clone();
            files[one.0].1[one.1] = std::mem::replace(&mut files[other.0].1[other.1], text);
            one != other
        }
        Edit::RemoveFile(number) => {
            let at = number % files.len();
            files[at].1.clear();
            at != files.len() - 1
        }
        Edit::SwapFiles(one, other) => {
            let (one, other) = (one % files.len(), other % files.len());
            let lines = files[one].1.clone();
            files[one].1 = std::mem::replace(&mut files[other].1, lines);
            one != other
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_single_edit_is_found((records, in_a_file) in (1u64..9, 1u64..5), chosen in edits()) {
        let state = folder();
        written(state.path(), records, in_a_file);
        let whole = follow(state.path());
        prop_assert_eq!(&whole.fault, &None);
        prop_assert_eq!((whole.records, whole.noted.len()), (records, 0));
        prop_assert_eq!(missing(state.path()), None);
        let mut files = lines(state.path());
        if edit(&mut files, chosen) {
            put(state.path(), &files);
            let edited = follow(state.path());
            prop_assert!(edited.fault.is_some(), "{:?}", edited);
            // Budgets are no freer for it.
            prop_assert!(missing(state.path()).is_some(), "{:?}", edited);
        }
    }

    /// Cut by crashes at any byte, and written on: nothing of it is taken for an edit.
    #[test]
    fn a_journal_that_crashed_is_not_accused(cuts in proptest::collection::vec((1u64..4, any::<prop::sample::Index>()), 1..6)) {
        let state = folder();
        let mut whole_lines = 0;
        for (records, cut) in cuts {
            let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
            let before = journal.len;
            let lines: Vec<u8> = (0..records).flat_map(|_| line(&resumed(), at(0)).expect("a line").expect("journalled")).collect();
            journal.append_lines(&lines).expect("writes");
            drop(journal);
            let path = file(state.path(), 0);
            let bytes = fs::read(&path).expect("reads");
            let grown = bytes.len() - usize::try_from(before).expect("small");
            let kept = usize::try_from(before).expect("small") + cut.index(grown + 1);
            fs::write(&path, &bytes[..kept]).expect("cut");
            let found = follow(state.path());
            prop_assert_eq!(&found.fault, &None);
            prop_assert_eq!(missing(state.path()), None);
            whole_lines = found.records;
        }
        let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
        journal.append(&resumed(), at(0)).expect("writes");
        let found = follow(state.path());
        prop_assert_eq!(&found.fault, &None);
        prop_assert_eq!(missing(state.path()), None);
        // A record that lost only its line feed is whole again.
        prop_assert!(found.records > whole_lines);
        prop_assert!(found.noted.iter().all(|(_, noted)| *noted == Noted::Cut));
    }
}

#[test]
fn the_first_that_is_wrong_is_named_with_what_was_done_to_it() {
    let state = folder();
    written(state.path(), 6, 3);
    let whole = lines(state.path());
    let fault = |change: &dyn Fn(&mut Lines)| {
        let mut files = whole.clone();
        change(&mut files);
        put(state.path(), &files);
        let (place, fault) = follow(state.path()).fault.expect("found");
        put(state.path(), &whole);
        (ages_of(&place.file), place.line, fault)
    };
    let hash = |file: usize, line: usize| match Seal::of(whole[file].1[line].trim_ascii_end()) {
        Seal::Whole(chained) => chained.hash,
        other @ (Seal::Broken | Seal::None) => panic!("{other:?}"),
    };
    assert_eq!(fault(&|files| files[0].1[1][5] = b'7'), (1, 2, Fault::Changed));
    assert_eq!(
        fault(&|files| drop(files[0].1.remove(1))),
        (1, 2, Fault::PredecessorMissing(hash(0, 1)))
    );
    assert_eq!(
        fault(&|files| drop(files[0].1.pop())),
        (0, 1, Fault::PredecessorMissing(hash(0, 2)))
    );
    assert_eq!(
        fault(&|files| files[1].1.insert(1, b"{\"v\":1}\n".to_vec())),
        (0, 2, Fault::Inserted)
    );
    assert_eq!(
        fault(&|files| files[1].1.push(b"{\"v\":1}\n".to_vec())),
        (0, 4, Fault::UnchainedEnd)
    );
    assert_eq!(
        fault(&|files| files[1].1.push(b"\n".to_vec())),
        (0, 4, Fault::DamagedEnd)
    );
    let (line, what) = match fault(&|files| files[0].1.swap(1, 2)) {
        (1, line, Fault::Moved(elsewhere)) => (line, elsewhere.line),
        other => panic!("{other:?}"),
    };
    // The third record stands second and follows the second, which now stands third.
    assert_eq!((line, what), (2, 3));
    assert_eq!(fault(&|files| drop(files[0].1.remove(0))), (1, 1, Fault::StartMissing));
    assert_eq!(
        fault(&|files| {
            let moved = files[1].1.remove(0);
            files[0].1.push(moved);
        }),
        (1, 4, Fault::StartWithin)
    );
    assert_eq!(
        fault(&|files| files[0].1.clear()),
        (0, 1, Fault::BeginningMissing(hash(0, 2)))
    );
}

fn ages_of(path: &Path) -> u32 {
    (0..10)
        .find(|age| path.file_name() == file(Path::new(""), *age).file_name())
        .expect("a file of the journal")
}

/// As versions without a chain wrote them.
fn unchained(state: &Path, age: u32, records: u64) {
    let plain: Vec<u8> = (1..=records)
        .flat_map(|id| {
            line(&Event::Intent(intent(id, 287, RunMode::Enforce)), at(0))
                .expect("a line")
                .expect("journalled")
        })
        .collect();
    fs::write(file(state, age), plain).expect("writes");
}

#[test]
fn what_no_version_wrote_is_found_before_the_chain_too() {
    for garbage in [b"\x00\x9f\x80 no JSON".to_vec(), vec![b'x'; 3 << 20]] {
        let state = folder();
        unchained(state.path(), 1, 2);
        let mut text = fs::read(file(state.path(), 1)).expect("reads");
        text.extend(garbage);
        text.push(b'\n');
        fs::write(file(state.path(), 1), text).expect("writes");
        let told = |followed: ChainFindings| followed.fault.map(|(place, fault)| (place.line, fault));
        assert_eq!(told(follow(state.path())), Some((3, Fault::NotARecord)));
        {
            let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
            journal.append(&resumed(), at(0)).expect("writes");
        }
        assert_eq!(told(follow(state.path())), Some((3, Fault::NotARecord)));
    }
}

#[test]
fn a_journal_of_an_earlier_version_is_said_to_have_no_chain_and_goes_on_with_one() {
    let state = folder();
    unchained(state.path(), 1, 2);
    unchained(state.path(), 0, 3);
    let old = follow(state.path());
    assert_eq!((old.fault, old.begins, old.unchained), (None, None, 5));
    {
        let (mut journal, history) = Journal::open(state.path(), now()).expect("opens");
        assert_eq!(history.damaged_lines, 2, "the numbers of the test are there twice");
        journal.append(&resumed(), at(0)).expect("writes");
        journal.start_file().expect("a new file");
        journal.append(&resumed(), at(0)).expect("writes");
    }
    let found = follow(state.path());
    let (place, _, follows) = found.begins.expect("a chain");
    assert_eq!((ages_of(&place.file), place.line, follows), (1, 4, Follows::Unchained));
    assert_eq!((found.fault, found.records, found.unchained), (None, 2, 5));
    // The last line before the chain is covered by it, and nothing before that.
    let whole = lines(state.path());
    for (line, is_found) in [(0, false), (1, false), (2, true)] {
        let mut files = whole.clone();
        files[1].1[line][20] ^= 1;
        put(state.path(), &files);
        assert_eq!(follow(state.path()).fault.is_some(), is_found, "line {line}");
    }
}

#[test]
fn the_chain_goes_over_a_line_that_a_crash_has_cut_and_names_it() {
    let state = folder();
    written(state.path(), 2, 9);
    let path = file(state.path(), 0);
    let bytes = fs::read(&path).expect("reads");
    fs::write(&path, &bytes[..bytes.len() - 30]).expect("cut");
    let noted = |found: &ChainFindings| {
        found
            .noted
            .iter()
            .map(|(at, noted)| (at.line, *noted))
            .collect::<Vec<_>>()
    };
    let found = follow(state.path());
    assert_eq!((noted(&found), found.fault), (vec![(2, Noted::BeingWritten)], None));
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    journal.append(&resumed(), at(0)).expect("writes");
    let found = follow(state.path());
    assert_eq!((noted(&found), found.fault), (vec![(2, Noted::Cut)], None));
    // From now on it is covered as any other line.
    let mut files = lines(state.path());
    files[0].1[1][20] ^= 1;
    put(state.path(), &files);
    let (place, fault) = follow(state.path()).fault.expect("found");
    assert_eq!((place.line, fault), (2, Fault::NotOurs));
}

#[test]
fn a_hash_that_was_kept_elsewhere_shows_what_a_chain_cannot() {
    let state = folder();
    let kept = {
        let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
        journal.append(&resumed(), at(0)).expect("writes");
        journal.append(&resumed(), at(1)).expect("writes");
        journal.head()
    };
    let found = verify(state.path(), Some(kept)).expect("reads");
    assert_eq!((found.asked.map(|at| at.line), found.fault), (Some(2), None));
    // Cut off at the end: the rest is a chain without a fault.
    let mut files = lines(state.path());
    let head = files[0].1.pop().expect("the record");
    put(state.path(), &files);
    assert_eq!(follow(state.path()).fault, None);
    let (_, fault) = verify(state.path(), Some(kept)).expect("reads").fault.expect("found");
    assert_eq!(fault, Fault::HeadMissing(kept));
    // Written anew as a whole.
    fs::remove_file(file(state.path(), 0)).expect("removed");
    written(state.path(), 2, 9);
    assert_eq!(follow(state.path()).fault, None);
    assert!(verify(state.path(), Some(kept)).expect("reads").fault.is_some());
    // Written anew, with the known record up to its hash at the end, as a crash would have cut it.
    let fragment = head[..head
        .windows(9)
        .position(|text| text == b",\"hash\":\"")
        .expect("it has one")]
        .to_vec();
    let mut files = lines(state.path());
    files[0].1.push(fragment);
    put(state.path(), &files);
    assert_eq!(follow(state.path()).fault, None);
    let (_, fault) = verify(state.path(), Some(kept)).expect("reads").fault.expect("found");
    assert_eq!(fault, Fault::HeadMissing(kept));
    files[0].1.pop();
    put(state.path(), &files);
    // Every hash removed, as if an earlier version had written it.
    let mut files = lines(state.path());
    for line in files.iter_mut().flat_map(|(_, lines)| lines) {
        let prev = line
            .windows(9)
            .position(|text| text == b",\"prev\":\"")
            .expect("it has one");
        line.truncate(prev);
        line.extend_from_slice(b"}\n");
    }
    put(state.path(), &files);
    let found = follow(state.path());
    assert_eq!((found.begins, found.unchained, found.fault), (None, 2, None));
    let (place, fault) = verify(state.path(), Some(kept)).expect("reads").fault.expect("found");
    assert_eq!((place.line, fault), (2, Fault::HeadMissing(kept)));
    // Emptied.
    fs::write(file(state.path(), 0), "").expect("written");
    assert_eq!(follow(state.path()).fault, None);
    let (place, fault) = verify(state.path(), Some(kept)).expect("reads").fault.expect("found");
    assert_eq!((place.line, fault), (1, Fault::HeadMissing(kept)));
}

#[test]
fn the_hash_is_the_beginning_of_sha_256_over_what_is_before_it() {
    // printf '{"v":1,"file":1,"prev":"00000000000000000000000000000000"' | sha256sum
    let (sealed, _) = ChainEnd::START.seal(b"{\"v\":1}\n");
    let expected = "{\"v\":1,\"file\":1,\"prev\":\"00000000000000000000000000000000\",\"hash\":\"SHA\"}\n";
    let expected = expected.replace("SHA", "62e6e62b1a8e39c6d3285394785c3d1c");
    assert_eq!(String::from_utf8(sealed).expect("text"), expected);
}

/// Somebody puts a line without a hash before the first record, or in its place.
#[test]
fn zero_bytes_at_the_end_are_what_a_crash_left_before_a_restart_and_after_it() {
    let noted = |found: ChainFindings| {
        assert_eq!(found.fault, None);
        found.noted.into_iter().map(|(_, noted)| noted).collect::<Vec<_>>()
    };
    for (cut, zeros) in [(0, 1), (0, 700), (40, 60)] {
        let state = folder();
        written(state.path(), 3, 10);
        let path = file(state.path(), 0);
        let mut bytes = fs::read(&path).expect("a journal");
        bytes.truncate(bytes.len() - cut);
        bytes.extend(std::iter::repeat_n(0, zeros));
        fs::write(&path, &bytes).expect("written");
        assert_eq!(noted(follow(state.path())), [Noted::BeingWritten], "{cut} {zeros}");
        let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
        assert_eq!(noted(follow(state.path())), [Noted::Cut], "{cut} {zeros}");
        journal.append(&resumed(), at(0)).expect("writes");
        assert_eq!(noted(follow(state.path())), [Noted::Cut], "{cut} {zeros}");
    }
    // Bytes that no crash leaves are damage.
    let state = folder();
    written(state.path(), 3, 10);
    let path = file(state.path(), 0);
    let mut bytes = fs::read(&path).expect("a journal");
    bytes.extend([0, b'x', 0]);
    fs::write(&path, &bytes).expect("written");
    assert!(matches!(follow(state.path()).fault, Some((_, Fault::DamagedEnd))));
}

#[test]
fn a_forged_first_line_is_named_itself() {
    let forged = br#"{"v":1,"at":"2026-11-22T10:00:00Z","kind":"resumed","by":"nobody"}"#;
    for (replaced, fault) in [(false, Fault::Inserted), (true, Fault::NotOurs)] {
        let state = folder();
        written(state.path(), 3, 9);
        let mut files = lines(state.path());
        if replaced {
            files[0].1.remove(0);
        }
        files[0].1.insert(0, [forged, &b"\n"[..]].concat());
        put(state.path(), &files);
        let (place, found) = follow(state.path()).fault.expect("found");
        assert_eq!((place.line, found), (1, fault));
    }
}

/// A line is a fault or a note, never both; and what a crash has cut was not written by an earlier version.
#[test]
fn a_line_is_described_once() {
    let state = folder();
    written(state.path(), 3, 9);
    let mut files = lines(state.path());
    let cut = files[0].1[1].len() - 20;
    files[0].1[1].truncate(cut);
    files[0].1[1].push(b'\n');
    put(state.path(), &files);
    let found = follow(state.path());
    assert_eq!(
        (found.fault.map(|(at, fault)| (at.line, fault)), found.noted),
        (Some((2, Fault::NotOurs)), vec![])
    );

    let state = folder();
    written(state.path(), 1, 9);
    let path = file(state.path(), 0);
    let bytes = fs::read(&path).expect("reads");
    fs::write(&path, &bytes[..bytes.len() - 20]).expect("cut");
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    journal.append(&resumed(), at(0)).expect("writes");
    let found = follow(state.path());
    assert_eq!(
        found.begins.map(|(at, _, follows)| (at.line, follows)),
        Some((2, Follows::Cut))
    );
    assert_eq!((found.fault, found.unchained, found.noted.len()), (None, 0, 1));
}

/// A crash between the renames of a rotation leaves full files alone; the next start begins a file, and says so in its first record.
#[test]
fn a_crash_in_the_middle_of_a_rotation_is_not_accused() {
    for began_before in [false, true] {
        let state = folder();
        if began_before {
            unchained(state.path(), 0, 2);
        }
        written(state.path(), 2, 9);
        fs::rename(file(state.path(), 0), file(state.path(), 1)).expect("renamed");
        for _ in 0..2 {
            let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
            journal.append(&resumed(), at(9)).expect("writes");
        }
        let found = follow(state.path());
        assert_eq!(
            (found.fault, found.records, found.files),
            (None, 4, 2),
            "{began_before}"
        );
    }
}

#[test]
fn a_missing_current_file_is_told() {
    let state = folder();
    written(state.path(), 4, 2);
    assert!(!follow(state.path()).current_is_missing);
    fs::remove_file(file(state.path(), 0)).expect("removed");
    let found = follow(state.path());
    assert_eq!((found.fault, found.current_is_missing), (None, true));
}

#[test]
fn a_hash_is_asked_for_in_any_case_and_written_in_small_letters() {
    let hash: LineHash = "62E6e62b1a8e39c6d3285394785c3d1c".parse().expect("a hash");
    assert_eq!(hash.to_string(), "62e6e62b1a8e39c6d3285394785c3d1c");
    for wrong in ["62e6", "62e6e62b1a8e39c6d3285394785c3d1g"] {
        assert!(wrong.parse::<LineHash>().is_err());
    }
    let state = folder();
    written(state.path(), 1, 9);
    let mut files = lines(state.path());
    let line = &mut files[0].1[0];
    // The digits, before `"}` and the line feed.
    let digits = line.len() - 3 - LineHash::DIGITS..line.len() - 3;
    assert!(line[digits.clone()].iter().any(u8::is_ascii_lowercase));
    line[digits].make_ascii_uppercase();
    put(state.path(), &files);
    assert!(
        follow(state.path()).fault.is_some(),
        "a capital letter in a record is an edit"
    );
}
