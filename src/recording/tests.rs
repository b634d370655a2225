//! What is written is read back, damage is reported at its position, and nothing in a file is trusted.

use std::collections::{BTreeSet, HashMap};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::decide::pressure::{Reading, Readings};
use crate::decide::protect::{Accounts, ProtectionFacts};
use crate::policy::pressure::Resource;
use crate::recording::{
    BlockDamage, Header, MAGIC, Next, OpenError, RecordedSnapshot, RecordingReader, RecordingWriter, VERSION,
    WHOLE_EVERY,
};
use crate::session::column::{Column, Columns, Kind, Source};
use crate::session::snapshot::{
    Cell, Instance, ParallelServer, Snapshot, SnapshotClock, SnapshotSource, TransactionRow,
};
use crate::session::time::DbTime;

fn header() -> Header {
    Header {
        database: "prod".into(),
        every: Duration::from_secs(15),
    }
}

fn all() -> Columns {
    Column::ALL.iter().copied().collect()
}

fn write(moments: &[RecordedSnapshot]) -> Vec<u8> {
    let mut writer = RecordingWriter::begin(Vec::new(), &header()).expect("memory");
    for moment in moments {
        writer.add(moment.clone()).expect("memory");
    }
    let written = writer.written();
    let bytes = writer.finish();
    assert_eq!(written, bytes.len() as u64);
    bytes
}

/// Everything that is read from a file: snapshots, damaged blocks, the number of blocks that could not be used.
type Given = (Vec<RecordedSnapshot>, Vec<(u64, BlockDamage)>, u64);

fn read(bytes: &[u8], wanted: Columns) -> Result<Given, OpenError> {
    let mut reader = RecordingReader::open(Cursor::new(bytes), wanted)?;
    assert_eq!(*reader.header(), header());
    let (mut recorded, mut damage) = (Vec::new(), Vec::new());
    loop {
        match reader.next().expect("memory") {
            Next::RecordedSnapshot(one) => recorded.push(*one),
            Next::Damage(one) => damage.push((one.offset, one.broken)),
            Next::End => break,
        }
    }
    if damage.is_empty() {
        assert_eq!(reader.offset(), bytes.len() as u64);
    }
    Ok((recorded, damage, reader.passed_over()))
}

/// Everything in a snapshot, as text.
fn shown(moment: &RecordedSnapshot, columns: Columns) -> String {
    let snapshot = &moment.snapshot;
    let of = |accounts: &Accounts| {
        let everywhere: BTreeSet<&String> = accounts.everywhere().collect();
        let local = accounts
            .local()
            .map(|(con_id, names)| (con_id, names.iter().collect::<BTreeSet<_>>()));
        format!("{everywhere:?} {:?}", local.collect::<Vec<_>>())
    };
    let maintained = [of(&moment.facts.oracle_maintained), of(&moment.facts.replication)];
    let own = (&moment.facts.own_username, &moment.facts.own_sessions);
    let mut lines = vec![format!(
        "{} {:?} {:?} {:?} {:?} {own:?} {maintained:?}",
        snapshot.rows(),
        snapshot.source(),
        snapshot.clock(),
        snapshot.instances(),
        snapshot.parallel_servers()
    )];
    let mut readings: Vec<_> = moment.readings.iter().collect();
    readings.sort_by_key(|(inst_id, resource, _)| (*inst_id, *resource));
    lines.push(format!("{readings:?}"));
    for row in 0..snapshot.rows() {
        for column in columns.iter() {
            lines.push(format!("{row} {} {:?}", column.name(), snapshot.field(row, column)));
        }
    }
    lines.join("\n")
}

/// A session: INST_ID, SID, and a seed for the values of its columns.
type Seed = (u8, u8, u64);

/// Values that repeat, drift, jump, are NULL or as large as possible.
fn cell(column: Column, seed: u64, texts: &[String]) -> Cell<'_> {
    let mixed = seed
        .wrapping_add(column as u64 + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(29);
    if mixed.is_multiple_of(5) {
        return Cell::Null;
    }
    match column.kind() {
        Kind::Text => Cell::Text(&texts[mixed as usize % texts.len()]),
        Kind::Number | Kind::Duration | Kind::Size | Kind::Time => Cell::Number(match mixed % 7 {
            0 => i64::MAX,
            1 => i64::MIN + 1,
            2 => i64::from(i32::MIN),
            3 => -1,
            _ => (mixed >> 40).cast_signed(),
        }),
    }
}

fn moment(at: i64, sessions: &[Seed], columns: &[Column], texts: &[String], clock: bool) -> RecordedSnapshot {
    let mut builder = Snapshot::builder(SnapshotSource::Live, columns);
    for (inst_id, sid, seed) in sessions {
        let cells: Vec<Cell<'_>> = columns
            .iter()
            .map(|column| {
                let known = [
                    (Column::InstId, i64::from(*inst_id)),
                    (Column::Sid, i64::from(*sid)),
                    (Column::Serial, 1),
                    (Column::LogonTime, 1000),
                ];
                let idle = (Column::LastCallEt, at);
                let mut known = known.into_iter().chain((seed % 2 == 0).then_some(idle));
                match known.find(|(known, _)| known == column) {
                    Some((_, number)) => Cell::Number(number),
                    None => cell(*column, *seed, texts),
                }
            })
            .collect();
        builder.push_row(&cells).expect("few rows");
    }
    let clock = clock.then_some(SnapshotClock {
        now: DbTime(at),
        utc_offset: -3600,
    });
    let instances = vec![Instance {
        inst_id: 1,
        name: "ORCL1".into(),
        complete: at % 2 == 0,
    }];
    let mut joining = builder.finish(clock, instances);
    if at % 3 == 0 {
        joining.join_transactions(&[TransactionRow {
            inst_id: 1,
            addr: texts[0].clone(),
            started: Some(DbTime(at - 60)),
            status: Some("ACTIVE".into()),
            undo_records: Some(at),
            ..TransactionRow::default()
        }]);
    }
    joining.join_containers(&HashMap::from([(1, "CDB$ROOT".into())]));
    joining.join_parallel_servers(vec![ParallelServer {
        inst_id: 1,
        sid: 3,
        serial: 1,
        coordinator_inst_id: 2,
        coordinator_sid: 9,
    }]);
    let mut readings = Readings::default();
    let limit = (at % 2 == 0).then_some(200);
    readings.set(1, Resource::Sessions, Reading { used: at, limit });
    RecordedSnapshot {
        snapshot: joining.finish(all()),
        readings,
        facts: Arc::new(ProtectionFacts {
            own_username: "REAPER".into(),
            own_sessions: vec![(1, 7, u32::try_from(at / 4).expect("small"))],
            oracle_maintained: ["SYS", "XDB"].map(String::from).into(),
            replication: replicating(at),
        }),
    }
}

/// An account that captures changes everywhere, and at some times another one that does so only in a PDB.
fn replicating(at: i64) -> Accounts {
    let mut accounts: Accounts = ["C##DBZ"].map(String::from).into();
    if at % 3 == 0 {
        accounts.insert(Some(4), "DBZ".into());
        accounts.insert(Some(3), "GG".into());
    }
    accounts
}

const SEATED: [Column; 5] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::LastCallEt,
];

fn session_columns() -> Vec<Column> {
    let of_session = |column: &Column| column.source() == Source::Session;
    Column::ALL.iter().copied().filter(of_session).collect()
}

/// Three sessions whose idle time grows; one of them ends.
fn few() -> Vec<RecordedSnapshot> {
    let texts = ["AB01".to_owned(), "SHOP".to_owned(), "日本".to_owned()];
    let sessions: [&[Seed]; 4] = [
        &[(1, 10, 2), (1, 11, 3), (1, 12, 4)],
        &[(1, 10, 2), (1, 12, 4)],
        &[(1, 12, 5), (1, 10, 2)],
        &[],
    ];
    let columns: Vec<Column> = SEATED.into_iter().chain([Column::Status, Column::Username]).collect();
    (0..)
        .zip(sessions)
        .map(|(at, one)| moment(at * 15, one, &columns, &texts, true))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_recording_is_read_back_unchanged(
        moments in prop::collection::vec(
            (prop::collection::vec((1..4_u8, 0..6_u8, 0..8_u64), 0..12), any::<bool>(), any::<u8>()), 1..12),
        texts in prop::collection::vec("[a-z\u{e9}\u{0}\u{1b}]{0,4}", 1..6),
        skipped in prop::collection::vec(0..Column::COUNT, 0..60),
    ) {
        let moments: Vec<RecordedSnapshot> = (0..).zip(&moments).map(|(at, (sessions, clock, lacking))| {
            let mut columns = session_columns();
            // Sometimes a column appears or disappears.
            if *lacking < 40 {
                columns.retain(|column| *column as usize % 7 != usize::from(*lacking) % 7);
            }
            moment(at * 15, sessions, &columns, &texts, *clock)
        }).collect();
        let bytes = write(&moments);
        let skipped: Columns = skipped.into_iter().map(|at| Column::ALL[at]).collect();
        let wanted: Columns = all().iter().filter(|column| !skipped.contains(*column)).collect();
        for wanted in [all(), wanted] {
            let (back, damage, passed_over) = read(&bytes, wanted).expect("whole");
            prop_assert_eq!((damage.len(), passed_over), (0, 0));
            prop_assert_eq!(back.len(), moments.len());
            for (one, two) in moments.iter().zip(&back) {
                prop_assert_eq!(shown(one, wanted), shown(two, wanted));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200), at in 22..600_usize) {
        let mut bytes = write(&few());
        let at = at % bytes.len();
        bytes.splice(at.., noise.iter().copied());
        let _ = read(&bytes, all());
        // The checksums detect nearly all changes, so the content is also decoded without them.
        for kind in [super::encode::WHOLE, super::encode::CHANGES] {
            let content: Vec<u8> = std::iter::once(kind).chain(noise.iter().copied()).collect();
            let mut decoder = super::decode::Decoder::new(all());
            let mut first = super::encode::Encoder::default();
            decoder.decode(&first.encode(few().remove(0))).expect("whole");
            let _ = decoder.decode(&content);
        }
    }
}

/// A block with one changed byte, decoded without its checksum, never panics.
#[test]
fn changed_content_never_panics() {
    let moments = few();
    let mut encoder = super::encode::Encoder::default();
    let contents: Vec<Vec<u8>> = moments.iter().map(|one| encoder.encode(one.clone())).collect();
    let mut refused = 0;
    for at in 0..contents[1].len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = contents[1].clone();
            changed[at] = byte;
            let mut decoder = super::decode::Decoder::new(all());
            decoder.decode(&contents[0]).expect("whole");
            refused += usize::from(decoder.decode(&changed).is_err());
            let _ = decoder.decode(&contents[2]);
        }
    }
    assert!(refused > contents[1].len(), "most changes make no sense: {refused}");
}

/// The beginning of each block, and the end of the last one.
fn borders(moments: &[RecordedSnapshot]) -> Vec<usize> {
    (0..=moments.len())
        .map(|count| write(&moments[..count]).len())
        .collect()
}

#[test]
fn a_file_that_is_cut_off_is_read_up_to_the_cut() {
    let moments = few();
    let bytes = write(&moments);
    let borders = borders(&moments);
    for cut in 0..bytes.len() {
        let part = read(&bytes[..cut], all());
        if cut < MAGIC.len() {
            assert!(matches!(part, Err(OpenError::NotARecording)), "{cut}");
            continue;
        }
        if cut < borders[0] {
            assert!(matches!(part, Err(OpenError::Broken(BlockDamage::CutOff))), "{cut}");
            continue;
        }
        let (back, damage, _) = part.expect("its beginning is there");
        let whole = borders.iter().filter(|border| **border <= cut).count() - 1;
        assert_eq!(back.len(), whole, "{cut}");
        for (one, two) in moments.iter().zip(&back) {
            assert_eq!(shown(one, all()), shown(two, all()), "{cut}");
        }
        let expected = if borders.contains(&cut) {
            Vec::new()
        } else {
            vec![(borders[whole] as u64, BlockDamage::CutOff)]
        };
        assert_eq!(damage, expected, "{cut}");
    }
}

#[test]
fn a_damaged_block_is_reported_and_reading_resumes_at_the_next_whole_one() {
    let texts = ["AB01".to_owned()];
    let count = i64::from(WHOLE_EVERY) + 3;
    let moments: Vec<RecordedSnapshot> = (0..count)
        .map(|at| moment(at, &[(1, 10, 2)], &SEATED, &texts, true))
        .collect();
    let bytes = write(&moments);
    let second = write(&moments[..1]).len();
    let mut content = bytes.clone();
    content[second + 12] ^= 0x40;
    let (back, damage, passed_over) = read(&content, all()).expect("its beginning is there");
    assert_eq!(damage, [(second as u64, BlockDamage::Content)]);
    // The first, then those from the next whole block on, which is number 240, counted from zero.
    assert_eq!(back.len(), 1 + 3);
    assert_eq!(passed_over, u64::from(WHOLE_EVERY) - 2);
    assert_eq!(back[1].snapshot.clock(), moments[240].snapshot.clock());

    let mut length = bytes;
    length[second] ^= 0x40;
    let (back, damage, _) = read(&length, all()).expect("its beginning is there");
    assert_eq!((back.len(), damage), (1, vec![(second as u64, BlockDamage::Length)]));
}

#[test]
fn a_recording_of_version_1_is_read() {
    // Version 1 has no accounts that capture changes; without any, the files differ only in the version.
    let mut moments = few();
    for moment in &mut moments {
        Arc::make_mut(&mut moment.facts).replication = Accounts::default();
    }
    let mut bytes = write(&moments);
    bytes[MAGIC.len()..][..2].copy_from_slice(&1_u16.to_le_bytes());
    let (back, damage, _) = read(&bytes, all()).expect("an old file");
    assert_eq!((back.len(), damage.len()), (moments.len(), 0));
}

#[test]
fn other_files_and_newer_versions_are_refused() {
    assert!(matches!(
        read(b"SID,SERIAL#\n1,2\n", all()),
        Err(OpenError::NotARecording)
    ));
    let mut bytes = write(&few());
    bytes[MAGIC.len()..][..2].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let error = read(&bytes, all()).expect_err("newer");
    assert!(matches!(error, OpenError::Newer(4)));
    assert_eq!(
        error.to_string(),
        "the recording has version 4, but this orareaper reads only up to version 3: use the release that made it"
    );
}

#[test]
fn a_quiet_database_needs_few_bytes() {
    let columns = session_columns();
    let texts: Vec<String> = (0..20).map(|number| format!("program{number}@web")).collect();
    let sessions: Vec<Seed> = (0..200).map(|number| (1, number, u64::from(number) * 2)).collect();
    let moments: Vec<RecordedSnapshot> = [30, 60, 90]
        .map(|at| moment(at, &sessions, &columns, &texts, true))
        .into();
    let borders = borders(&moments);
    let (first, later) = (borders[1] - borders[0], borders[2] - borders[1]);
    // Only the idle times and the header change: one shift for each column, a few bytes for each of 110 columns.
    assert!(first > 20_000 && later < 1_000, "{first} bytes, then {later}");
}
