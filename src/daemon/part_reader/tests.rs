//! Part or whole, against scripted answers: when which, and what a refused clause leads to.

mod policies;
mod tables;
mod world;
mod worlds;

use std::time::Duration;

use super::{FEW, PartReader};
use crate::daemon::messages::Needs;
use crate::decide::cycle::Memory;
use crate::decide::in_force::{Arming, DatabaseRules, EffectiveLimits};
use crate::oracle::capabilities::Capabilities;
use crate::oracle::capabilities::tests::capabilities;
use crate::oracle::scripted::{Answer, Scripted};
use crate::policy::check_files;
use crate::policy::model::Limits;
use crate::session::column::Column;

const LIMIT: Duration = Duration::from_secs(10);

/// A release that shows no more of a session than INST_ID, SID, STATUS and LAST_CALL_ET.
fn few_columns() -> Capabilities {
    let mut few = capabilities(19, 0);
    (few.cluster, few.con_id) = (false, None);
    few.columns = [Column::InstId, Column::Sid, Column::Status, Column::LastCallEt]
        .into_iter()
        .collect();
    few
}

fn needs(when: &str) -> Needs {
    let text = format!("policies: [{{name: idle, when: {when}, action: kill}}]");
    let today = chrono::DateTime::UNIX_EPOCH.date_naive();
    let loaded = check_files(&[("idle.yaml".into(), text.into_bytes())], today, chrono_tz::UTC);
    let set = loaded.set.expect("a policy").into();
    let limits = EffectiveLimits::of(&Limits::default());
    let rules = DatabaseRules::of_policy_test("prod", Arming::Unarmed, limits, chrono_tz::UTC, set);
    Needs::of(&rules, &Memory::default())
}

/// One that has seen many sessions.
fn after_many() -> PartReader {
    PartReader {
        sessions: FEW,
        ..PartReader::default()
    }
}

fn database(part: Answer) -> Scripted {
    let instance = vec!["1", "orcl", "OPEN", "5", "1000", "+02:00"];
    let session = |sid| vec!["1", sid, "INACTIVE", "20000"];
    let users = vec!["1", "USER", "INACTIVE", "", "0", "4", "2000", "900"];
    Scripted::new(vec![
        ("GV$INSTANCE", Answer::Rows(vec![instance])),
        ("GV$PX_SESSION", Answer::Rows(Vec::new())),
        ("COUNT(*)", Answer::Rows(vec![users])),
        (" s WHERE ", part),
        (
            "GV$SESSION",
            Answer::Rows(vec![session("7"), session("8"), session("9")]),
        ),
    ])
}

fn part() -> Answer {
    Answer::Rows(vec![vec!["1", "7", "INACTIVE", "20000"]])
}

fn clauses(database: &Scripted) -> usize {
    let with_clause = database.asked.iter().filter(|query| query.sql.contains(" s WHERE "));
    with_clause.count()
}

#[test]
fn few_sessions_are_read_whole_and_of_many_a_part() {
    let (mut reader, mut database, known) = (PartReader::default(), database(part()), few_columns());
    let needs = needs("idle > 4h");
    let taken = reader
        .read(&mut database, &needs, &known, LIMIT, &mut || ())
        .expect("a snapshot");
    assert_eq!((taken.snapshot.rows(), taken.snapshot.sessions()), (3, 3));
    assert_eq!(clauses(&database), 0);
    let mut reader = after_many();
    let taken = reader
        .read(&mut database, &needs, &known, LIMIT, &mut || ())
        .expect("a snapshot");
    assert_eq!((taken.snapshot.rows(), taken.snapshot.sessions()), (1, 2000));
    assert_eq!(reader.sessions, 2000, "there are still many");
    assert!(reader.refused(&needs).is_none());
}

#[test]
fn a_policy_that_a_part_is_not_enough_for_has_all_sessions_read() {
    let (mut reader, mut database) = (after_many(), database(part()));
    let taken = reader.read(
        &mut database,
        &needs("program is null"),
        &few_columns(),
        LIMIT,
        &mut || (),
    );
    assert_eq!(taken.expect("a snapshot").snapshot.rows(), 3);
    assert_eq!(clauses(&database), 0);
}

#[test]
fn a_clause_that_the_database_refuses_is_not_sent_again_before_a_reload() {
    // "invalid identifier"
    let (mut reader, mut database, known) = (after_many(), database(Answer::Fails(904)), few_columns());
    let needs_of_now = needs("idle > 4h");
    for polls in 1..=2 {
        reader.sessions = FEW;
        let taken = reader.read(&mut database, &needs_of_now, &known, LIMIT, &mut || ());
        assert_eq!(taken.expect("a snapshot").snapshot.rows(), 3);
        assert_eq!(clauses(&database), 1, "poll {polls}");
        let refused = reader.refused(&needs_of_now).expect("it is told");
        assert_eq!(refused.code, Some(904));
    }
    let needs_after_reload = needs("idle > 4h");
    assert!(reader.refused(&needs_after_reload).is_none());
    reader.sessions = FEW;
    let taken = reader.read(&mut database, &needs_after_reload, &known, LIMIT, &mut || ());
    assert_eq!((taken.expect("a snapshot").snapshot.rows(), clauses(&database)), (3, 2));
}

#[test]
fn an_error_that_is_not_of_the_clause_is_one_of_the_snapshot() {
    // ORA-01013: the call took too long. ORA-12805: a parallel server died.
    for code in [1013, 12805] {
        let (mut reader, mut database) = (after_many(), database(Answer::Fails(code)));
        let taken = reader.read(&mut database, &needs("idle > 4h"), &few_columns(), LIMIT, &mut || ());
        assert_eq!(taken.expect_err("no snapshot").code, Some(code));
        assert!(reader.refused.is_none());
    }
}
