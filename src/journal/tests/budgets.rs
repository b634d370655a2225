//! What the journal says of budgets and of dry runs after a restart.

use super::*;

#[test]
fn an_intent_that_came_to_nothing_neither_counts_nor_is_followed() {
    for nothing in [
        Outcome::AlreadyGone,
        Outcome::NoLongerMatches,
        Outcome::Protected,
        Outcome::Expired,
        Outcome::Revoked,
    ] {
        let state = tempfile::tempdir().expect("a folder");
        let one = intent(1, 287, RunMode::Enforce);
        let mut came_to = outcome(&one, nothing);
        if let Event::Outcome(outcomed) = &mut came_to {
            (outcomed.statement, outcomed.code) = (None, None);
        }
        write(state.path(), &[Event::Intent(Arc::clone(&one)), came_to]);
        let memory = read(state.path(), now()).expect("reads").memory("prod", "here");
        assert_eq!(memory.following.iter().count(), 0, "{nothing}");
        assert_eq!(
            memory
                .ledger
                .count(at(10), TimeDelta::hours(1), |entry| entry.mode == RunMode::Enforce),
            0,
            "{nothing}"
        );
    }
}

#[test]
fn a_statement_that_was_sent_in_vain_counts_also_after_a_restart() {
    let state = tempfile::tempdir().expect("a folder");
    let one = intent(1, 287, RunMode::Enforce);
    write(
        state.path(),
        &[Event::Intent(Arc::clone(&one)), outcome(&one, Outcome::AlreadyGone)],
    );
    let memory = read(state.path(), now()).expect("reads").memory("prod", "here");
    assert_eq!(memory.following.iter().count(), 0);
    assert_eq!(memory.ledger.count(at(10), TimeDelta::hours(1), |_| true), 1);
}

#[test]
fn a_record_of_the_future_or_with_the_largest_number_changes_no_budget() {
    let state = tempfile::tempdir().expect("a folder");
    let (one, two) = (intent(1, 287, RunMode::Enforce), intent(2, 288, RunMode::Enforce));
    let future = Arc::new(Intent {
        taken_at: at(0) + TimeDelta::days(365 * 70),
        ..(*two).clone()
    });
    let largest = Arc::new(Intent {
        id: u64::MAX,
        ..(*intent(3, 289, RunMode::Enforce)).clone()
    });
    write(
        state.path(),
        &[
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Done),
            Event::Intent(Arc::clone(&future)),
            outcome(&future, Outcome::Done),
            Event::Intent(largest),
        ],
    );
    let history = read(state.path(), now()).expect("reads");
    assert_eq!(history.next_id, 3, "there are numbers left");
    assert_eq!(history.damaged_lines, 1);
    assert_eq!(
        history.damage[0].problem,
        "number 18446744073709551615 is none that an action was ever given"
    );
    let memory = history.memory("prod", "here");
    let counted = |now| memory.ledger.count(now, TimeDelta::hours(1), |_| true);
    assert_eq!(
        (counted(at(10)), counted(at(7200))),
        (1, 0),
        "the first one, for its hour"
    );
    assert_eq!(memory.following.iter().count(), 2, "both are looked for all the same");
}

/// The clock of the database was set forward by two hours, while the daemon ran or while it did not.
#[test]
fn a_clock_that_was_set_forward_frees_no_budget_by_a_restart() {
    let two_hours = TimeDelta::hours(2);
    for while_it_ran in [true, false] {
        let state = tempfile::tempdir().expect("a folder");
        let one = intent(1, 287, RunMode::Enforce);
        let two = Arc::new(Intent {
            taken_at: at(2) + if while_it_ran { two_hours } else { TimeDelta::zero() },
            ..(*intent(2, 288, RunMode::Enforce)).clone()
        });
        let events = [
            Event::Intent(Arc::clone(&one)),
            outcome(&one, Outcome::Done),
            Event::Intent(Arc::clone(&two)),
            outcome(&two, Outcome::Done),
        ];
        write(state.path(), &events);
        let mut memory = read(state.path(), at(60)).expect("reads").memory("prod", "here");
        let host = crate::decide::clocks::HostTime {
            passed: Duration::from_secs(1),
            utc: at(60),
            within: Duration::ZERO,
        };
        let step = memory.reconcile(at(60) + two_hours, host);
        assert_eq!(step.is_none(), while_it_ran, "it is one step, and told once");
        let counted = |now| memory.ledger.count(now, TimeDelta::hours(1), |_| true);
        assert_eq!(
            (counted(at(60) + two_hours), counted(at(3_700) + two_hours)),
            (2, 0),
            "{while_it_ran}"
        );
        let since: Vec<_> = memory.following.iter().map(|(_, followed)| followed.since).collect();
        assert!(since.iter().all(|since| *since >= at(-5) + two_hours), "{since:?}");
    }
}

/// Intents, each with when its snapshot was read, by the database's clock and the host's, and how long it then waited for its record.
fn written_late(actions: &[(u64, DateTime<Utc>, DateTime<Utc>, u64)]) -> tempfile::TempDir {
    let state = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = Journal::open(state.path(), now()).expect("opens");
    for (id, taken_at, read, waited) in actions {
        let waited = Duration::from_secs(*waited);
        let one = Arc::new(Intent {
            taken_at: *taken_at,
            waited,
            ..(*intent(*id, 286 + u32::try_from(*id).expect("few"), RunMode::Enforce)).clone()
        });
        journal
            .append(&Event::Intent(Arc::clone(&one)), *read + waited)
            .expect("writes");
        journal
            .append(&outcome(&one, Outcome::Done), *read + waited)
            .expect("writes");
    }
    state
}

/// A connection was waited for until more than ten minutes after the snapshot. No clock was set.
#[test]
fn a_record_that_was_written_late_is_no_step_of_a_clock() {
    let state = written_late(&[(1, at(0), at(0), 1), (2, at(60), at(60), 900)]);
    let mut memory = read(state.path(), at(1_000)).expect("reads").memory("prod", "here");
    let host = crate::decide::clocks::HostTime {
        passed: Duration::from_secs(1),
        utc: at(1_000),
        within: Duration::ZERO,
    };
    assert_eq!(memory.reconcile(at(1_000), host), None);
    let counted = |now| memory.ledger.count(at(now), TimeDelta::hours(1), |_| true);
    assert_eq!((counted(3_599), counted(3_600), counted(3_660)), (2, 1, 0));
    let mut since: Vec<_> = memory.following.iter().map(|(_, followed)| followed.since).collect();
    since.sort();
    assert_eq!(since, [at(0), at(60)]);
}

/// A step is measured from when the snapshot was read: how late the record came frees no budget earlier.
#[test]
fn how_late_a_record_was_written_takes_nothing_from_a_step() {
    let two_hours = TimeDelta::hours(2);
    let state = written_late(&[(1, at(0), at(0), 1), (2, at(60) + two_hours, at(60), 205)]);
    let mut memory = read(state.path(), at(1_000)).expect("reads").memory("prod", "here");
    let host = crate::decide::clocks::HostTime {
        passed: Duration::from_secs(1),
        utc: at(1_000),
        within: Duration::ZERO,
    };
    assert_eq!(
        memory.reconcile(at(1_000) + two_hours, host),
        None,
        "it was told before"
    );
    let counted = |now| memory.ledger.count(at(now) + two_hours, TimeDelta::hours(1), |_| true);
    assert_eq!((counted(3_599), counted(3_600), counted(3_660)), (2, 1, 0));
}

/// Journals of earlier versions do not have the time that a record waited.
#[test]
fn an_intent_without_the_time_that_it_waited_is_read() {
    let state = tempfile::tempdir().expect("a folder");
    let waited = Duration::from_millis(1_234);
    let one = Intent {
        waited,
        ..(*intent(1, 287, RunMode::Enforce)).clone()
    };
    let line = crate::journal::line(&Event::Intent(Arc::new(one)), at(0)).expect("is written");
    let line = String::from_utf8(line.expect("is journalled")).expect("text");
    let path = crate::journal::file(state.path(), 0);
    for (text, waited) in [
        (line.clone(), waited),
        (line.replace("\"waited_ms\":1234,", ""), Duration::ZERO),
    ] {
        std::fs::write(&path, text).expect("written");
        let history = read(state.path(), now()).expect("reads");
        assert_eq!(history.damage, []);
        assert_eq!(history.actions[&1].intent.waited, waited);
    }
}

#[test]
fn what_a_dry_run_assumed_beside_a_real_action_is_followed_no_more_after_a_restart_than_before() {
    let (real, assumed) = (intent(1, 10, RunMode::Enforce), intent(2, 10, RunMode::DryRun));
    let followed = |events: &[Event]| {
        let state = tempfile::tempdir().expect("a folder");
        write(state.path(), events);
        let history = read(state.path(), now()).expect("a journal");
        history
            .memory("prod", "here")
            .following
            .get(key(10))
            .map(|followed| followed.action_id)
    };
    let marked = [Event::Intent(Arc::clone(&real)), outcome(&real, Outcome::Marked)];
    let rehearsed = [Event::Intent(Arc::clone(&assumed)), outcome(&assumed, Outcome::Assumed)];
    let gone = [verification(&real, Proof::Gone)];
    let all = |parts: [&[Event]; 3]| parts.concat();
    assert_eq!(
        followed(&all([&marked, &rehearsed, &[]])),
        Some(1),
        "an assumption replaces no real action"
    );
    assert_eq!(
        followed(&all([&marked, &rehearsed, &gone])),
        None,
        "nor does it follow one"
    );
    assert_eq!(
        followed(&all([&marked, &gone, &rehearsed])),
        Some(2),
        "the real one had ended before"
    );
    // A crash took the outcome away, and the restart writes it: both read the same.
    let (cut, after) = rehearsed.split_at(1);
    assert_eq!(followed(&all([&marked, &gone, cut])), Some(2), "the same after a crash");
    assert_eq!(followed(&all([&marked, &gone, &[cut, after].concat()])), Some(2));
    assert_eq!(followed(&all([&marked, cut, &[]])), Some(1), "the real one goes on");
    assert_eq!(
        followed(&all([&marked, cut, &[after, &gone].concat()])),
        None,
        "to its end"
    );
    // One that was asked to go after its transaction is followed beyond its deadline.
    let asked = Arc::new(Intent {
        action: Action::Disconnect {
            clause: crate::policy::model::DisconnectClause::PostTransaction,
        },
        ..(*real).clone()
    });
    let late = [
        Event::Intent(Arc::clone(&asked)),
        outcome(&asked, Outcome::Done),
        verification(&asked, Proof::DeadlinePassed),
    ];
    assert_eq!(followed(&all([&late, &rehearsed, &[]])), Some(1));
    assert_eq!(
        followed(&all([&late, &rehearsed, &gone])),
        None,
        "it was asked until then"
    );
}

#[test]
fn sessions_of_dry_runs_are_watched_on_after_a_restart() {
    let state = tempfile::tempdir().expect("a folder");
    let mut events = Vec::new();
    // The fifth is the session of the first, taken again; the sixth is really acted on.
    let sids = [(1, 287), (2, 288), (3, 289), (4, 290), (5, 287)];
    for (id, sid) in sids {
        let one = intent(id, sid, RunMode::DryRun);
        events.extend([Event::Intent(Arc::clone(&one)), outcome(&one, Outcome::Assumed)]);
    }
    let (second, third) = (intent(2, 288, RunMode::DryRun), intent(3, 289, RunMode::DryRun));
    events.push(rehearsed(&second, Afterwards::UsedAgain, 18_600));
    events.push(rehearsed(&third, Afterwards::Validated, 60));
    let real = intent(6, 290, RunMode::Enforce);
    events.extend([Event::Intent(Arc::clone(&real)), outcome(&real, Outcome::Marked)]);
    write(state.path(), &events);
    let mut memory = read(state.path(), now()).expect("reads").memory("prod", "here");
    let all = memory.rehearsals.of("idle").all;
    assert_eq!((all.watched, all.validated.count, all.used.count), (2, 1, 0));
    // A snapshot without them: the one that was really acted on tells nothing.
    let snapshot = empty_snapshot();
    let mut told: Vec<(u64, Afterwards)> = memory
        .rehearsals
        .observe(&snapshot, at(3600), true)
        .iter()
        .map(|told| (told.action_id, told.afterwards))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [(1, Afterwards::Ended), (4, Afterwards::Lost)]);
    let other = read(state.path(), now()).expect("reads").memory("other", "here");
    assert_eq!(other.rehearsals.of("idle").all.would_have_ended(), 0);
}

/// No session on an instance that was read.
fn empty_snapshot() -> Snapshot {
    let instance = Instance {
        inst_id: 1,
        name: "PROD1".into(),
        complete: true,
    };
    Snapshot::builder(SnapshotSource::Live, &[])
        .finish(None, vec![instance])
        .finish(Columns::NONE)
}

/// A DISCONNECT POST_TRANSACTION was accepted; of the KILL after it nobody knew, and a snapshot showed that it was not sent.
#[test]
fn what_was_accepted_before_a_kill_that_was_not_sent_is_followed_again() {
    let (asked, killed) = (intent(1, 287, RunMode::Enforce), intent(2, 287, RunMode::Enforce));
    let asked = Arc::new(Intent {
        action: Action::ALL
            .into_iter()
            .find(|action| action.waits_for_commit())
            .expect("an action"),
        ..(*asked).clone()
    });
    let (accepted, unknown) = (outcome(&asked, Outcome::Done), outcome(&killed, Outcome::Unknown));
    for answered in [true, false] {
        for (proofs, followed) in [
            (vec![], Some(2)),
            (vec![Proof::NotSent], Some(1)),
            (vec![Proof::Gone], if answered { None } else { Some(1) }),
        ] {
            let state = tempfile::tempdir().expect("a folder");
            let mut events = vec![Event::Intent(Arc::clone(&asked)), accepted.clone()];
            events.push(Event::Intent(Arc::clone(&killed)));
            events.extend(answered.then(|| unknown.clone()));
            events.extend(proofs.iter().map(|proof| verification(&killed, *proof)));
            write(state.path(), &events);
            let memory = read(state.path(), now()).expect("reads").memory("prod", "here");
            let newest = memory.following.iter().map(|(_, followed)| followed.action_id).next();
            assert_eq!(newest, followed, "{answered}: {proofs:?}");
        }
    }
}
