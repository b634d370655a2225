//! Who is given which warrant, and what others that act make of it.

use super::*;
use crate::actuator::carry_out::{Answered, Intending, StepRecorder};
use crate::checks::{Check, Id, State};
use crate::clock::{Clock as _, ManualClock};
use crate::daemon::database::tests::{Heard, Noted, of_settings, settings};
use crate::daemon::messages::{Input, Settings};
use crate::daemon::pause::Pause;
use crate::daemon::standby::Needed;
use crate::decide::in_force::{Arming, EffectiveLimits};
use crate::decide::outcome::Hindrance;
use crate::decide::standstill::Standstill;
use crate::oracle::Class;
use crate::oracle::capabilities::tests::capabilities;
use crate::policy::model::Limits;
use crate::session::column::{Column, Columns};
use crate::session::snapshot::{Cell, Instance, SnapshotClock, SnapshotSource};
use crate::session::time::DbTime;
use std::sync::Mutex;

mod one_budget;

const IDLE: &str = "when: INACTIVE longer than 1h";

/// Warrants that were dropped: SID and why, and for how long they had waited.
#[derive(Clone, Default)]
struct Dropped(Arc<Mutex<Vec<(u32, String)>>>, Arc<Mutex<Vec<Duration>>>);

impl StepRecorder for Dropped {
    fn next_id(&mut self) -> u64 {
        1
    }
    fn intend(&mut self, _: &Intending<'_>) -> std::io::Result<()> {
        unreachable!("nobody acts here")
    }
    fn answered(&mut self, _: &Answered<'_>) {}
    fn abandon(&mut self, _: &str) -> Vec<Done> {
        Vec::new()
    }
    fn unused(&mut self, unused: &Intending<'_>, _: Outcome, why: &str) {
        let mut dropped = self.0.lock().expect("one thread");
        dropped.push((unused.warrant.key().sid, why.to_owned()));
        self.1.lock().expect("one thread").push(unused.waited);
    }
}

fn rules(policy: &str, limits: &Limits) -> Arc<DatabaseRules> {
    let text = format!("policies: [{{name: one, mode: enforce, action: kill, limits: {{share: 100%}}, {policy}}}]");
    let files = [("one.yaml".to_owned(), text.into_bytes())];
    let today = DateTime::UNIX_EPOCH.date_naive();
    let set = crate::policy::check_files(&files, today, chrono_tz::UTC)
        .set
        .expect("a policy");
    let limits = EffectiveLimits::of(limits);
    Arc::new(DatabaseRules::of_policy_test(
        "prod",
        Arming::Armed,
        limits,
        chrono_tz::UTC,
        Arc::new(set),
    ))
}

/// A snapshot of sessions that have been idle for two hours.
fn polled(clock: &ManualClock, sids: &[i64]) -> Input {
    use Column::{InstId, LastCallEt, LogonTime, Program, Serial, Sid, Status, Taddr, Type, Username};
    let columns = [
        InstId, Sid, Serial, LogonTime, Type, Username, Program, Status, LastCallEt, Taddr,
    ];
    let now = 1_000_000 + clock.utc().timestamp();
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    for sid in sids {
        let numbers = [1, *sid, 1].map(Cell::Number).into_iter();
        let row = numbers.chain([
            Cell::Time(DbTime(0)),
            Cell::Text("USER"),
            Cell::Text("APP"),
            Cell::Text("app@web01"),
            Cell::Text("INACTIVE"),
            Cell::Number(7_200),
            Cell::Null,
        ]);
        builder.push_row(&row.collect::<Vec<_>>()).expect("few rows");
    }
    let instance = Instance {
        inst_id: 1,
        name: "prod1".into(),
        complete: true,
    };
    let time = SnapshotClock {
        now: DbTime(now),
        utc_offset: 0,
    };
    let wanted = columns.into_iter().chain([Column::Idle]).collect::<Columns>();
    Input::Polled(Ok(Box::new(Polled {
        snapshot: builder.finish(Some(time), vec![instance]).finish(wanted),
        readings: crate::decide::pressure::Readings::default(),
        capabilities: Arc::new(capabilities(19, 3)),
        began: clock.now(),
        clock_came: clock.now(),
        took: Duration::ZERO,
        round_trips: 0,
        unreadable: Vec::new(),
        refused_part: None,
        dates_fault: None,
        warning: None,
        leader: None,
    })))
}

/// A database with what its threads hear.
struct Site {
    database: DatabaseLoop,
    clock: Arc<ManualClock>,
    heard: Heard,
    noted: Noted,
    dropped: Dropped,
}

impl Site {
    fn new(policy: &str, limits: &Limits) -> Site {
        Site::of(settings(), policy, limits)
    }

    fn of(settings: Settings, policy: &str, limits: &Limits) -> Site {
        let (noted, dropped) = (Noted::default(), Dropped::default());
        let watcher = Box::new(noted.clone());
        let (database, clock, heard) = of_settings(settings, rules(policy, limits), watcher, Box::new(dropped.clone()));
        Site {
            database,
            clock,
            heard,
            noted,
            dropped,
        }
    }

    fn parallel(parallel: u32) -> Site {
        Site::new(
            IDLE,
            &Limits {
                parallel: Some(parallel),
                ..Limits::default()
            },
        )
    }

    fn apply(&mut self, input: Input) {
        assert!(self.database.apply(input).is_continue());
    }

    fn see(&mut self, sids: &[i64]) {
        let polled = polled(&self.clock, sids);
        self.apply(polled);
    }

    /// Lets time pass, as the loop does when nothing happens.
    fn pass(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.database.tell_if_acting_hangs();
        self.database.share_out();
    }

    /// The orders that one acting thread got: connections to keep, and warrants.
    fn orders(&self, worker: usize) -> (Vec<(Needed, bool)>, Vec<Task>) {
        let (mut standing, mut tasks) = (Vec::new(), Vec::new());
        for order in self.heard.orders(worker) {
            match order {
                ActorOrder::StandBy(stand) => standing.push((stand.needed, stand.may_connect)),
                ActorOrder::Act(task) => tasks.push(*task),
            }
        }
        (standing, tasks)
    }

    fn tasks(&self, worker: usize) -> Vec<Task> {
        self.orders(worker).1
    }

    fn stands(&mut self, worker: usize, error: Option<Error>) {
        let place = ConnectionState {
            inst_id: Some(1),
            stands: error.is_none(),
            acts: error.is_none(),
            error,
        };
        self.apply(Input::Acted(worker, Acted::Standby(vec![place])));
    }

    fn ends(&mut self, worker: usize, task: &Task, outcome: Outcome) {
        let done = Done::of(&task.warrant, 1, outcome, None);
        self.apply(Input::Acted(worker, Acted::Done(Box::new(done), task.batch.stepped)));
        self.apply(Input::Acted(worker, Acted::Finished(vec![1])));
    }

    fn dropped(&self) -> Vec<(u32, String)> {
        std::mem::take(&mut *self.dropped.0.lock().expect("one thread"))
    }

    fn told(&self) -> Vec<Option<String>> {
        std::mem::take(&mut *self.noted.0.lock().expect("one thread"))
    }

    /// One with a helper that is given the second of the warrants.
    fn with_help(parallel: u32, sids: &[i64]) -> (Site, Task, Task) {
        let mut site = Site::parallel(parallel);
        site.see(sids);
        site.stands(0, None);
        let one = site.tasks(0).remove(0);
        site.pass(2);
        assert_eq!(site.orders(1).0, [(Needed::Any, true)]);
        site.stands(1, None);
        let other = site.tasks(1).remove(0);
        (site, one, other)
    }
}

fn sids(tasks: &[Task]) -> Vec<u32> {
    tasks.iter().map(|task| task.warrant.key().sid).collect()
}

#[test]
fn warrants_wait_for_who_is_free_and_help_is_called_when_somebody_is_held_up() {
    let mut site = Site::parallel(2);
    site.see(&[1, 2, 3]);
    site.stands(0, None);
    let first = site.tasks(0);
    assert_eq!(sids(&first), [1], "one at a time");
    site.pass(1);
    assert!(site.orders(1).0.is_empty(), "most actions take milliseconds");
    site.pass(1);
    assert_eq!(site.orders(1).0, [(Needed::Any, true)]);
    site.pass(1);
    assert!(
        site.orders(1).0.is_empty() && site.orders(2).0.is_empty(),
        "no more than two act"
    );
    site.stands(1, None);
    let second = site.tasks(1);
    assert_eq!(sids(&second), [2]);
    site.pass(5);
    site.ends(1, &second[0], Outcome::Done);
    assert_eq!(sids(&site.tasks(1)), [3], "who is held up delays nobody else");
    assert_eq!(site.dropped(), []);
}

#[test]
fn without_a_second_connection_one_waits_for_the_other() {
    let mut site = Site::parallel(1);
    site.see(&[1, 2]);
    site.stands(0, None);
    let first = site.tasks(0);
    site.pass(10);
    assert!(site.orders(1).0.is_empty());
    site.ends(0, &first[0], Outcome::Done);
    assert_eq!(sids(&site.tasks(0)), [2]);
}

#[test]
fn the_next_cycle_leaves_out_what_is_under_way_and_decides_anew_about_what_waits() {
    let mut site = Site::parallel(1);
    site.see(&[1, 2, 3]);
    site.stands(0, None);
    let first = site.tasks(0);
    site.clock.advance(Duration::from_secs(15));
    // The second has left; a fourth has come.
    site.see(&[1, 3, 4]);
    assert_eq!(site.dropped(), [(2, "a newer snapshot gave it no turn".to_owned())]);
    site.ends(0, &first[0], Outcome::Done);
    let third = site.tasks(0);
    assert_eq!(sids(&third), [3]);
    assert_eq!(third[0].batch.began, site.clock.now(), "by the newest snapshot");
    site.ends(0, &third[0], Outcome::Done);
    assert_eq!(sids(&site.tasks(0)), [4]);
    assert_eq!(site.dropped(), []);
}

#[test]
fn what_is_under_way_takes_its_budget_and_counts_as_gone() {
    let limits = |per_hour| Limits {
        parallel: Some(2),
        per_cycle: Some(1),
        per_hour: Some(per_hour),
        ..Limits::default()
    };
    let second = |policy: &str, per_hour| {
        let mut site = Site::new(policy, &limits(per_hour));
        site.see(&[1, 2, 3]);
        site.stands(0, None);
        let _ = site.heard.orders(0);
        site.pass(10);
        site.see(&[1, 2, 3]);
        // It waits, if there is one.
        site.database
            .waiting
            .iter()
            .map(|task| task.warrant.key().sid)
            .collect::<Vec<_>>()
    };
    assert_eq!(second(IDLE, 2), [2]);
    assert_eq!(second(IDLE, 1), [0; 0], "the hour's budget is used up");
    let keep = |floor| format!("{IDLE}, keep: {{at_least: {floor}, per: [username]}}");
    assert_eq!(second(&keep(1), 2), [2]);
    assert_eq!(second(&keep(2), 2), [0; 0], "two are left without the one under way");
}

#[test]
fn a_reload_drops_what_waits_and_revokes_what_was_given_to_somebody() {
    let mut site = Site::parallel(1);
    site.see(&[1, 2]);
    site.stands(0, None);
    let first = site.tasks(0);
    let reloaded = rules(IDLE, &Limits::default());
    site.apply(Input::Reload(reloaded, settings()));
    let why = "policies or settings were changed before its turn came";
    assert_eq!(site.dropped(), [(2, why.to_owned())]);
    let lapsed = first[0].batch.lapsed(&*site.clock);
    assert_eq!(lapsed, Some((Outcome::Revoked, why.to_owned())));
    site.see(&[1, 2]);
    site.ends(0, &first[0], Outcome::Revoked);
    let second = site.tasks(0);
    assert_eq!(
        second[0].batch.lapsed(&*site.clock),
        None,
        "the next cycle decides anew"
    );
}

#[test]
fn a_pause_that_a_cycle_sees_revokes_what_has_not_begun() {
    let mut site = Site::parallel(1);
    site.see(&[1, 2]);
    site.stands(0, None);
    let given = site.tasks(0).remove(0);
    let (by, reason) = ("ops".to_owned(), String::new());
    let since = None;
    *site.noted.1.lock().expect("one thread") = Some(Pause { by, reason, since });
    site.clock.advance(Duration::from_secs(15));
    site.see(&[1, 2]);
    let dropped = site.dropped();
    assert!(
        matches!(dropped.as_slice(), [(2, why)] if why.starts_with("orareaper is paused")),
        "{dropped:?}"
    );
    // The pause is over before the first one's turn comes.
    *site.noted.1.lock().expect("one thread") = None;
    let lapsed = given.batch.lapsed(&*site.clock);
    assert!(matches!(lapsed, Some((Outcome::Revoked, _))), "{lapsed:?}");
}

#[test]
fn a_snapshot_that_took_longer_than_two_polls_permits_nothing() {
    for (seconds, permitted) in [(30, 1), (31, 0)] {
        let mut site = Site::parallel(1);
        let polled = polled(&site.clock, &[1]);
        site.clock.advance(Duration::from_secs(seconds));
        site.apply(polled);
        let expected = (permitted == 0).then(|| Standstill::OldSnapshot.to_string());
        assert_eq!(site.told(), [expected]);
        site.stands(0, None);
        assert_eq!(site.tasks(0).len(), permitted, "after {seconds} s");
    }
}

#[test]
fn a_gap_between_snapshots_breaks_a_hold() {
    // Four polls of 15 seconds.
    for (seconds, permitted) in [(60, 1), (61, 0)] {
        let mut site = Site::new(&format!("{IDLE}, for: 60s"), &Limits::default());
        site.see(&[1]);
        site.stands(0, None);
        site.clock.advance(Duration::from_secs(seconds));
        site.see(&[1]);
        site.stands(0, None);
        assert_eq!(site.tasks(0).len(), permitted, "after {seconds} s");
    }
}

#[test]
fn where_every_statement_would_be_refused_none_is_tried_for_minutes() {
    let mut site = Site::parallel(1);
    site.see(&[1, 2]);
    site.stands(0, None);
    let first = site.tasks(0).remove(0);
    let check = Check::new(Id::RightToAct, "", State::Missing, "no right").with("grant it");
    let done = Done {
        sent: true,
        hindrance: Some(Hindrance::Database(Box::new(check))),
        ..Done::of(&first.warrant, 1, Outcome::Failed, None)
    };
    site.apply(Input::Acted(0, Acted::Done(Box::new(done), first.batch.stepped)));
    site.apply(Input::Acted(0, Acted::Finished(vec![1])));
    let why = "no session can be ended here, as the last attempt showed: no right; remedy: grant it".to_owned();
    assert_eq!(site.dropped(), [(2, why.clone())]);
    let _ = site.told();
    for _ in 0..20 {
        site.clock.advance(Duration::from_secs(15));
        site.see(&[1, 2]);
        site.stands(0, None);
    }
    assert!(site.told().iter().all(|standstill| *standstill == Some(why.clone())));
    assert_eq!(sids(&site.tasks(0)), [0; 0], "five minutes");
    // The pause is lengthened by at most a quarter. The session that met the refusal is tried again: it was not about that.
    site.clock.advance(Duration::from_secs(76));
    site.see(&[1, 2]);
    site.stands(0, None);
    assert_eq!(site.told(), [None]);
    assert_eq!(sids(&site.tasks(0)), [1]);
}

#[test]
fn who_waits_for_longer_than_its_snapshot_is_good_for_is_dropped() {
    let mut site = Site::parallel(1);
    site.see(&[1, 2]);
    site.pass(30);
    assert_eq!(site.dropped(), []);
    site.pass(1);
    assert_eq!(
        site.dropped(),
        [(2, "the snapshot was too old when its turn came".to_owned())]
    );
    let waited = site.dropped.1.lock().expect("one thread");
    assert_eq!(*waited, [Duration::from_secs(31)], "which the journal says");
}

#[test]
fn a_helper_that_cannot_connect_costs_no_warrant_and_is_tried_less_and_less() {
    let mut site = Site::parallel(4);
    site.see(&[1, 2, 3]);
    site.stands(0, None);
    let first = site.tasks(0);
    site.pass(2);
    assert_eq!(
        (site.orders(1).0.len(), site.orders(2).0.len()),
        (1, 1),
        "one for each that waits"
    );
    let full = || Some(Error::new(Class::Backoff, "connect to prod", "no room for a session"));
    site.stands(1, full());
    site.stands(2, full());
    assert_eq!(
        site.orders(1).0,
        [(Needed::Nothing, false)],
        "what it may have got instead is given up"
    );
    site.apply(Input::Acted(1, Acted::Standby(Vec::new())));
    site.pass(5);
    assert!(
        site.orders(1).0.is_empty() && site.orders(3).0.is_empty(),
        "not at once again"
    );
    site.ends(0, &first[0], Outcome::Done);
    assert_eq!(sids(&site.tasks(0)), [2], "the lead goes on alone");
    let told = site.told();
    assert!(
        told.contains(&Some("connect to prod: no room for a session".into())),
        "{told:?}"
    );
    assert!(
        !told.contains(&Some("actions resumed".into())),
        "it never stopped: {told:?}"
    );
}

#[test]
fn a_helper_with_nothing_to_do_is_asked_whether_it_lives_and_logs_off_after_minutes() {
    let (mut site, one, other) = Site::with_help(2, &[1, 2]);
    site.ends(0, &one, Outcome::Done);
    site.ends(1, &other, Outcome::Done);
    for _ in 0..19 {
        site.clock.advance(Duration::from_secs(15));
        site.see(&[]);
        assert_eq!(site.orders(1).0, [(Needed::Any, false)]);
        site.stands(1, None);
        site.stands(0, None);
    }
    site.clock.advance(Duration::from_secs(15));
    site.see(&[]);
    assert_eq!(site.orders(1).0, [(Needed::Nothing, false)]);
    site.apply(Input::Acted(1, Acted::Standby(Vec::new())));
    site.stands(0, None);
    site.clock.advance(Duration::from_secs(15));
    site.see(&[3, 4]);
    site.stands(0, None);
    assert!(site.orders(1).0.is_empty());
    site.pass(2);
    assert_eq!(
        site.orders(1).0,
        [(Needed::Any, true)],
        "and it is the one that is called again"
    );
}

#[test]
fn a_call_that_hangs_costs_one_connection_and_another_takes_the_lead() {
    let (mut site, one, other) = Site::with_help(2, &[1, 2, 3]);
    let _ = site.told();
    site.pass(197);
    site.ends(1, &other, Outcome::Done);
    site.see(&[1, 3]);
    site.stands(1, None);
    let third = site.tasks(1);
    assert_eq!(sids(&third), [3]);
    let _ = site.orders(0);
    site.pass(2);
    let told = site.told();
    let hangs = "act on prod: no answer for 3m 21s: the driver does not keep its limits; this connection is out of use until the \
                 call returns or orareaper is restarted; the others continue";
    assert_eq!(told.last(), Some(&Some(hangs.to_owned())), "{told:?}");
    site.ends(1, &third[0], Outcome::Done);
    site.clock.advance(Duration::from_secs(15));
    site.see(&[1, 4]);
    let (standing, tasks) = site.orders(1);
    assert_eq!(standing, [(Needed::Any, true)], "the one that stands by from now on");
    assert_eq!(sids(&tasks), [4], "the session that the other one is at is left out");
    assert!(
        site.orders(0).0.is_empty() && site.orders(2).0.is_empty(),
        "and nobody takes its place"
    );
    // It comes back after all.
    site.ends(0, &one, Outcome::Unknown);
    site.ends(1, &tasks[0], Outcome::Done);
    assert!(site.database.memory().under_way.is_empty());
}

#[test]
fn acting_goes_on_when_an_intent_can_be_written_or_a_connection_stands() {
    let mut site = Site::parallel(1);
    let stopped = Some("actions resumed".to_owned());
    let goes_on = |site: &Site| site.told().contains(&stopped);
    let fail = |site: &mut Site| {
        site.apply(Input::Acted(0, Acted::JournalFailed("disk full".into())));
        site.apply(Input::Acted(0, Acted::Finished(vec![1])));
    };
    site.see(&[1, 2]);
    site.stands(0, None);
    assert_eq!(site.tasks(0).len(), 1);
    fail(&mut site);
    assert!(!goes_on(&site), "the same warrant");
    assert!(site.tasks(0).is_empty(), "what waited would have met it too");
    site.clock.advance(Duration::from_secs(15));
    site.see(&[1, 2]);
    assert_eq!(site.tasks(0).len(), 1);
    fail(&mut site);
    assert!(!goes_on(&site), "the next one met it too");
    site.clock.advance(Duration::from_secs(15));
    site.see(&[1, 2]);
    let task = site.tasks(0).remove(0);
    site.ends(0, &task, Outcome::Done);
    assert!(goes_on(&site));
    let _ = site.tasks(0);
    assert_eq!(site.dropped(), [], "no record can be written");
    site.clock.advance(Duration::from_secs(15));
    site.see(&[3, 4, 5]);
    let _ = site.dropped();
    let error = Error::new(Class::Backoff, "connect to prod", "refused");
    site.apply(Input::Acted(0, Acted::Unreachable(Box::new(error))));
    let why = "there is no connection to act on: connect to prod: refused";
    let dropped: Vec<_> = site
        .dropped()
        .into_iter()
        .map(|(sid, told)| (sid, told == why))
        .collect();
    assert_eq!(dropped, [(3, true), (4, true), (5, true)], "each has its record");
    site.apply(Input::Acted(0, Acted::Finished(Vec::new())));
    assert!(!goes_on(&site));
    site.stands(0, None);
    assert!(goes_on(&site));
}
