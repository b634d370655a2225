//! Which sessions a DISCONNECT would end with its target, against scripted answers.

use std::sync::Arc;

use super::*;
use crate::actuator::door::Permission;
use crate::decide::cycle::{CycleInput, Memory, cycle};
use crate::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits};
use crate::decide::pressure::Readings;
use crate::oracle::capabilities::tests::capabilities;
use crate::oracle::scripted::{Answer, Scripted};
use crate::oracle::{Error, LeaderLock};
use crate::policy::check_files;
use crate::policy::model::{Limits, PolicySet};

/// The columns of a session's row, in this order.
const READ: [Column; 12] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::Paddr,
    Column::Username,
    Column::Taddr,
    Column::Status,
    Column::Server,
    Column::Program,
    Column::Type,
    Column::LogonTime,
    Column::LastCallEt,
];

fn session(sid: &'static str, paddr: &'static str, username: &'static str, status: &'static str) -> Vec<&'static str> {
    vec![
        "1",
        sid,
        "7",
        paddr,
        username,
        "",
        status,
        "DEDICATED",
        "app@web01",
        "USER",
        "400",
        "20000",
    ]
}

/// Keeps the outcomes of actions, and how long intents had waited.
#[derive(Default)]
struct Notes(Vec<(Outcome, String)>, Vec<Duration>);

impl StepRecorder for Notes {
    fn next_id(&mut self) -> u64 {
        1
    }

    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()> {
        self.1.push(intending.waited);
        Ok(())
    }

    fn answered(&mut self, answered: &Answered<'_>) {
        self.0
            .push((answered.outcome, answered.message.clone().unwrap_or_default()));
    }

    fn abandon(&mut self, _why: &str) -> Vec<Done> {
        Vec::new()
    }

    fn unused(&mut self, _unused: &Intending<'_>, _outcome: Outcome, _why: &str) {}
}

/// Permits everything.
struct Granted;

impl Permission for Granted {
    fn begin(&self, _what: &str, _now: DateTime<Utc>) -> Result<(), (Outcome, String)> {
        Ok(())
    }

    fn end(&self) {}
}

fn policies(action: &str) -> Arc<PolicySet> {
    let text = format!(
        "policies:\n  - {{name: idle, mode: enforce, when: INACTIVE longer than 4h and username = SHOP, action: {action}}}\n"
    );
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 22).expect("a day");
    let loaded = check_files(&[("idle.yaml".into(), text.into_bytes())], day, chrono_tz::Tz::UTC);
    Arc::new(loaded.set.expect("it checks"))
}

fn found() -> Capabilities {
    let mut found = capabilities(19, 0);
    found.columns = READ.into_iter().collect();
    found
}

/// What comes of the action on session 10, its process serving these as well.
fn outcome(
    action: &str,
    first: Vec<&'static str>,
    others: Vec<&'static str>,
    other: Vec<Vec<&'static str>>,
) -> (Outcome, String) {
    let own = first.clone();
    let answers = |seats: Answer| {
        vec![
            ("serial# = :1", Answer::Rows(vec![vec![own[7], own[3]]])),
            ("HEXTORAW", Answer::Rows(vec![vec!["10", "7"], others.clone()])),
            (
                "GV$INSTANCE",
                Answer::Rows(vec![vec!["1", "orcl", "OPEN", "5", "900000", "+00:00"]]),
            ),
            ("GV$SESSION", seats),
        ]
    };
    let mut before = Scripted::new(answers(Answer::Rows(vec![session("10", "0A", "SHOP", "INACTIVE")])));
    let mut again = Scripted::new(answers(Answer::Rows(std::iter::once(first).chain(other).collect())));
    carried_out(action, Arming::Unarmed, &mut before, &mut again)
}

/// How old the snapshot is when an action begins.
const AGE: Duration = Duration::from_secs(7);

/// The limit of a statement that may wait for its victim.
const PATIENT: Duration = Duration::from_secs(75);

/// What comes of the action on the session that was seen before, over a connection that reads it again.
fn carried_out(action: &str, arming: Arming, before: &mut Scripted, again: &mut Scripted) -> (Outcome, String) {
    carried_out_beside(&Ending::default(), action, arming, before, again)
}

/// Likewise, while others are ending sessions.
fn carried_out_beside(
    ending: &Ending,
    action: &str,
    arming: Arming,
    before: &mut Scripted,
    again: &mut Scripted,
) -> (Outcome, String) {
    let permission = (
        &Granted as &dyn Permission,
        &(|| Duration::ZERO) as &dyn Fn() -> Duration,
    );
    carried_out_by(permission, ending, (action, arming), before, again)
}

/// Likewise, by whoever permits it, by this clock of the host.
fn carried_out_by(
    (permission, elapsed): (&dyn Permission, &dyn Fn() -> Duration),
    ending: &Ending,
    (action, arming): (&str, Arming),
    before: &mut Scripted,
    again: &mut Scripted,
) -> (Outcome, String) {
    let set = policies(action);
    let found = found();
    let facts = found.facts(&[]);
    let limits = EffectiveLimits::of(&Limits::default());
    let now: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().expect("a time");
    let wanted = crate::columns_needed::columns(&set).union([Column::Paddr].into_iter().collect());
    let limit = Duration::from_secs(1);
    let seen = read_snapshot(before, wanted, &found, Scope::All, limit).expect("a snapshot");
    let rules = DatabaseRules::of_policy_test("prod", arming, limits, chrono_tz::UTC, Arc::clone(&set));
    let input = CycleInput {
        rules: &rules,
        here: &rules.configured(Due::Always),
        facts: &facts,
        now,
        unbroken: true,
        read_in: TimeDelta::zero(),
        standstill: None,
        assume_held: false,
    };
    let ruling = cycle(&mut Memory::default(), &seen.snapshot, Readings::default(), &input).ruling;
    let warrant = ruling.warrants.into_iter().next().expect("a warrant");
    let mut notes = Notes::default();
    let first = std::cell::Cell::new(None);
    let elapsed = &|| {
        let now = elapsed();
        first.set(first.get().or(Some(now)));
        now
    };
    let fence = again.fence;
    let mut hands = Hands {
        door: Door::new(again, permission, fence),
        capabilities: &found,
        facts: &facts,
        limits: &limits,
        today: now.date_naive(),
        timetable: None,
        rates: &crate::decide::rates::Rates::default(),
        age: AGE,
        read_in: TimeDelta::zero(),
        ending,
        counters: &mut Counters::default(),
        limit,
        kill_limit: PATIENT,
        elapsed,
    };
    let done = carry_out(warrant, &seen.snapshot.only(0), &mut hands, &mut notes).expect("written down");
    let was_fenced_off = hands.door.was_fenced_off();
    again.was_fenced_off = was_fenced_off;
    let began = first.get().expect("it was measured");
    assert_eq!(
        notes.1,
        [AGE + began],
        "since the snapshot was read, not since it began to act"
    );
    let (outcome, message) = notes.0.pop().expect("an outcome");
    assert_eq!(done.outcome, outcome);
    (outcome, message)
}

/// SYSDATE comes first in an answer, and the rest may come a minute later: schedules, dates and blackouts go by the time of the statement.
#[test]
fn what_the_answer_was_waited_for_counts_before_the_statement() {
    #[derive(Default)]
    struct AsksWhen(std::cell::Cell<Option<DateTime<Utc>>>);
    impl Permission for AsksWhen {
        fn begin(&self, _what: &str, now: DateTime<Utc>) -> Result<(), (Outcome, String)> {
            self.0.set(Some(now));
            Err((Outcome::Revoked, "a blackout".into()))
        }
        fn end(&self) {}
    }
    let answers = || {
        let instance = vec!["1", "orcl", "OPEN", "5", "900000", "+00:00"];
        let rows = Answer::Rows(vec![session("10", "0A", "SHOP", "INACTIVE")]);
        Scripted::new(vec![
            ("GV$INSTANCE", Answer::Rows(vec![instance])),
            ("GV$SESSION", rows),
        ])
    };
    let asked = AsksWhen::default();
    let clock = std::cell::Cell::new(7);
    let elapsed = || {
        let now = clock.get();
        clock.set(now + 51);
        Duration::from_secs(now)
    };
    let (mut before, mut again) = (answers(), answers());
    let by = (&asked as &dyn Permission, &elapsed as &dyn Fn() -> Duration);
    let (outcome, _) = carried_out_by(by, &Ending::default(), ("kill", Arming::Armed), &mut before, &mut again);
    assert_eq!(outcome, Outcome::Revoked);
    let shown = DateTime::from_timestamp(900_000, 0).expect("a time");
    assert_eq!(asked.0.get(), Some(shown + TimeDelta::seconds(51)));
}

#[test]
fn a_disconnect_is_refused_where_another_session_would_go_along_that_is_to_stay() {
    let own = || session("10", "0A", "SHOP", "INACTIVE");
    let disconnect = |other: Vec<Vec<&'static str>>| outcome("disconnect immediate", own(), vec!["11", "7"], other);
    let refused = |other, why: &str| {
        let (outcome, message) = disconnect(other);
        assert_eq!(outcome, Outcome::Protected, "{message}");
        let who = "its server process also serves 11,7,@1, which would end with it and is spared: ";
        assert_eq!(message.strip_prefix(who), Some(why), "{message}");
    };
    refused(vec![session("11", "0A", "SYS", "INACTIVE")], "sys: USERNAME is SYS");
    refused(
        vec![session("11", "0A", "SHOP", "CACHED")],
        "xa: STATUS is CACHED, SERVER is DEDICATED",
    );
    refused(
        vec![session("11", "0A", "CRM", "INACTIVE")],
        "its condition no longer holds",
    );
    refused(
        vec![session("11", "0A", "SHOP", "ACTIVE")],
        "its condition no longer holds",
    );
    // One that matches too would end without a record of its own.
    let (alike, message) = disconnect(vec![session("11", "0A", "SHOP", "INACTIVE")]);
    assert_eq!(alike, Outcome::Protected, "{message}");
    assert!(message.contains("without a record of its own"), "{message}");
    // One that is being ended already, and one that has gone meanwhile.
    let (dying, _) = disconnect(vec![session("11", "0A", "CRM", "KILLED")]);
    let (replaced, _) = disconnect(vec![{
        let mut other = session("11", "0A", "CRM", "ACTIVE");
        other[2] = "8";
        other
    }]);
    assert_eq!([dying, replaced], [Outcome::Assumed; 2]);
}

#[test]
fn who_would_go_along_is_asked_where_a_process_ends_and_nowhere_else() {
    let stays = || vec![session("11", "0A", "CRM", "INACTIVE")];
    let other = || vec!["11", "7"];
    let own = || session("10", "0A", "SHOP", "INACTIVE");
    // KILL ends the one session.
    assert_eq!(outcome("kill immediate", own(), other(), stays()).0, Outcome::Assumed);
    for (server, expected) in [
        ("DEDICATED", Outcome::Protected),
        ("POOLED", Outcome::Protected),
        ("SHARED", Outcome::Assumed),
        ("NONE", Outcome::Assumed),
    ] {
        let mut own = own();
        own[7] = server;
        assert_eq!(
            outcome("disconnect immediate", own, other(), stays()).0,
            expected,
            "{server}"
        );
    }
    let (unknown, why) = outcome(
        "disconnect immediate",
        session("10", "", "SHOP", "INACTIVE"),
        other(),
        stays(),
    );
    assert_eq!(unknown, Outcome::Unchecked, "{why}");
}

/// A session that is as it was, on an instance of this STATUS: for the snapshot, and for whoever acts.
fn as_before(instance: &'static str) -> [Scripted; 2] {
    let answers = |instances: Vec<&'static str>| {
        vec![
            ("GV$INSTANCE", Answer::Rows(vec![instances])),
            (
                "GV$SESSION",
                Answer::Rows(vec![session("10", "0A", "SHOP", "INACTIVE")]),
            ),
        ]
    };
    ["OPEN", instance].map(|status| Scripted::new(answers(vec!["1", "orcl", status, "5", "900000", "+00:00"])))
}

/// The outcome where a statement is answered with this, and the limits of what was sent.
fn enforced(
    action: &str,
    instance: &'static str,
    says: Result<BlockAnswer, Error>,
) -> (Outcome, String, Vec<Duration>) {
    let [mut before, mut again] = as_before(instance);
    again.says = Some(says);
    let (outcome, message) = carried_out(action, Arming::Armed, &mut before, &mut again);
    (outcome, message, again.sent)
}

fn says(code: u32) -> Result<BlockAnswer, Error> {
    Ok(BlockAnswer {
        code,
        message: format!("number {code}"),
    })
}

/// Its session was asked for the lock, and may hold it now beside those of another daemon: whoever acts learns that it has to be closed.
#[test]
fn a_session_that_was_fenced_off_is_known_and_its_warrant_revoked() {
    for (fence, code, is_off) in [(Some(7), 20_999, true), (Some(7), 0, false), (None, 20_999, false)] {
        let [mut before, mut again] = as_before("OPEN");
        again.says = Some(says(code));
        again.fence = fence.map(LeaderLock);
        let (outcome, _) = carried_out("kill", Arming::Armed, &mut before, &mut again);
        assert_eq!(again.was_fenced_off, is_off, "{fence:?}, {code}");
        assert_eq!(outcome == Outcome::Revoked, is_off, "{fence:?}, {code}");
    }
}

#[test]
fn a_statement_that_may_wait_for_its_victim_has_the_time_for_it() {
    for action in ["kill", "kill immediate"] {
        assert_eq!(enforced(action, "OPEN", says(31)).2, [PATIENT], "{action}");
    }
    assert_eq!(enforced("kill", "OPEN", says(0)).0, Outcome::Done);
}

#[test]
fn who_could_not_be_read_again_for_certain_gets_no_statement() {
    let (outcome, why, sent) = enforced("kill", "MOUNTED", says(0));
    assert_eq!((outcome, sent.len()), (Outcome::Unchecked, 0), "{why}");
}

#[test]
fn what_may_have_been_carried_out_is_unknown_and_not_failed() {
    let lost = Error::from_database(crate::oracle::Phase::Call, "run a statement", Some(3113), "end-of-file");
    for answer in [Err(lost), says(4_242)] {
        let (outcome, why, _) = enforced("kill", "OPEN", answer);
        assert_eq!(outcome, Outcome::Unknown, "{why}");
    }
    assert_eq!(enforced("kill", "OPEN", says(1_031)).0, Outcome::Failed);
}

/// Two of SHOP are idle and one has to stay. While the one is read again, a policy without a floor begins to end the other.
#[test]
fn what_others_begin_to_end_meanwhile_counts_for_the_floor() {
    let instance = || Answer::Rows(vec![vec!["1", "orcl", "OPEN", "5", "900000", "+00:00"]]);
    let idle = |sid| session(sid, "0A", "SHOP", "INACTIVE");
    for (begins, expected) in [(false, Outcome::Done), (true, Outcome::Revoked)] {
        let both = || vec![idle("10"), idle("11")];
        let mut before = Scripted::new(vec![("GV$INSTANCE", instance()), ("GV$SESSION", Answer::Rows(both()))]);
        // No policy disconnects, so nobody asks all sessions for PADDR.
        let without_paddr = |mut row: Vec<&'static str>| {
            row.remove(3);
            row
        };
        let sessions = Answer::Then(both().into_iter().map(without_paddr).collect(), vec![idle("10")]);
        let mut again = Scripted::new(vec![("GV$INSTANCE", instance()), ("GV$SESSION", sessions)]);
        again.says = Some(says(0));
        let ending = Arc::new(Ending::default());
        let other = Going {
            key: SessionKey {
                inst_id: 1,
                sid: 11,
                serial: 7,
                logon_time: crate::session::time::DbTime(400),
            },
            mode: RunMode::Enforce,
            policy: "another".into(),
        };
        let beside = Arc::clone(&ending);
        again.meanwhile = begins
            .then(|| -> Box<dyn FnOnce() + Send> { Box::new(move || drop(beside.begin(other, Vec::new(), |_| None))) });
        let action = "kill, keep: {at_least: 1, per: [username]}";
        let (outcome, why) = carried_out_beside(&ending, action, Arming::Armed, &mut before, &mut again);
        assert_eq!(outcome, expected, "{why}");
        assert_eq!(again.sent.len(), usize::from(!begins));
    }
}
