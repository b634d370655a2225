//! A replay of the recorded snapshots of a test makes the same decisions.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::columns_needed::columns_of_recording;
use crate::policy::model::PolicySet;
use crate::policy_test::raw::{self, PolicyTestError, Timeline};
use crate::policy_test::{CycleDecisions, TestSetting, lines, tell};
use crate::recording::{Header, Next, RecordedSnapshot, RecordingReader, RecordingWriter};
use crate::replay::Replay;
use crate::session::column::Column;

fn load(folder: &Path, names: &[String], timeline: &Timeline) -> Result<PolicySet, PolicyTestError> {
    let read = |name: &String| (name.clone(), std::fs::read(folder.join(name)).expect("a policy file"));
    let files: Vec<(String, Vec<u8>)> = names.iter().map(read).collect();
    let zone = timeline.zone()?;
    let today = timeline.moments()?[0].at.with_timezone(&zone).date_naive();
    let loaded = crate::policy::check_files(&files, today, zone);
    loaded.set.ok_or_else(|| PolicyTestError("it does not check".into()))
}

/// Records all columns of a test and replays those that its policies need.
fn replayed(timeline: &Timeline, set: PolicySet) -> Vec<CycleDecisions> {
    let set = Arc::new(set);
    let setting = TestSetting::of(timeline).expect("a setting");
    let header = Header {
        database: setting.database.clone(),
        every: Duration::from_secs(60),
    };
    let mut writer = RecordingWriter::begin(Vec::new(), &header).expect("memory");
    let facts = Arc::new(setting.facts.clone());
    for moment in timeline.moments().expect("moments") {
        let all = Column::ALL.iter().copied().collect();
        let recorded = RecordedSnapshot {
            snapshot: moment.snapshot(&setting.defaults, all).expect("a snapshot"),
            readings: moment.readings().expect("readings"),
            facts: Arc::clone(&facts),
        };
        writer.add(recorded).expect("memory");
    }
    let mut replay = Replay::new(crate::replay::ReplaySetting {
        rules: setting.rules(Arc::clone(&set)),
        database: setting.database.clone(),
        rhythm: setting.rhythm,
        assume_held: false,
    });
    let mut reader = RecordingReader::open(Cursor::new(writer.finish()), columns_of_recording(&set))
        .expect("a recording that was just written");
    let mut told = Vec::new();
    loop {
        match reader.next().expect("memory") {
            Next::RecordedSnapshot(mut recorded) => {
                let step = replay.step(&mut recorded).expect("a test has a clock");
                let lines = lines(&step.cycle, &set, &recorded.snapshot);
                told.push(CycleDecisions { at: step.now, lines });
            }
            Next::Damage(damage) => panic!("{damage}"),
            Next::End => return told,
        }
    }
}

#[test]
fn every_case_has_the_same_decisions_in_a_replay() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let (mut count, mut acts) = (0, 0);
    for entry in std::fs::read_dir(cases).expect("the cases") {
        let folder = entry.expect("an entry").path();
        let Ok(text) = std::fs::read(folder.join("timeline.yaml")) else {
            continue;
        };
        let mut timeline: Timeline = raw::parse(&text, "timeline.yaml").expect("a timeline");
        // In a recording the policies never change, and there is no pause.
        let moments = &timeline.snapshots;
        if moments
            .iter()
            .any(|moment| moment.reload.is_some() || moment.standstill.is_some())
        {
            continue;
        }
        timeline.dry_run = Some(true);
        let names = timeline.policies.clone().unwrap_or_else(|| vec!["policy.yaml".into()]);
        let told = tell(&timeline, |names| load(&folder, names, &timeline)).expect("a test");
        let again = replayed(&timeline, load(&folder, &names, &timeline).expect("policies"));
        assert_eq!(again, told, "{}", folder.display());
        count += 1;
        acts += told
            .iter()
            .flat_map(|told| &told.lines)
            .filter(|line| line.decision == "act")
            .count();
    }
    assert!(count >= 50 && acts >= 50, "{count} cases with {acts} acts");
}
