//! Shows that the judge can fail: a faulty substitute acts in the place of the daemon, in one thing after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::accounts::{Accounts, TriedLogin};
use super::base::{Base, Clause, Endings, Key, MIDNIGHT};
use super::chance::Chance;
use super::groups::group_named;
use super::judge::{Entry, HOUR, Judge, Limits, Read};
use super::memory::{Begun, EntryMemory, OtherBudget};
use super::operators::{BY_HAND, Ordered};
use super::rules::{Gate, Rule, Wanted};
use super::stage::Who;
use super::statements::Asked;
use super::views::Asking;

/// The session that acts.
const KEY: Key = Key {
    inst: 1,
    sid: 9_999,
    serial: 1,
    logon: 0,
};

const WHO: Who = Who::Actor(0, 0);

/// A database, an entry for it with one policy, and somebody whom the policy wants.
struct Scene {
    base: Base,
    judge: Judge,
    begun: Begun,
    asked: Asked,
    limit: Duration,
}

impl Scene {
    fn new() -> Scene {
        let now = MIDNIGHT + 12 * HOUR;
        let mut base = Base::new("ONE", 2, now, Endings::default(), Chance::of(1));
        base.long_there(1, group_named("tools"), 4_000);
        let key = base.sessions.last().expect("somebody").key;
        let rule = Rule {
            name: "one".into(),
            wanted: Wanted::Idle,
            longer_than: 600,
            hold: 0,
            enforces: true,
            action: Clause::Kill,
            escalate: vec![(300, Clause::KillImmediate)],
            per_cycle: None,
            per_hour: None,
            per_day: None,
            respawns: None,
            keeps: None,
            gate: None,
            hours: None,
        };
        let entry = Entry {
            version: 0,
            base: 0,
            armed: true,
            rules: vec![rule],
            limits: Limits {
                per_cycle: 3,
                per_hour: 9,
                per_day: None,
                share: 100,
                respawns: 3,
                parallel: 2,
            },
            blackout: None,
            poll: 60,
            package: false,
            leader: None,
        };
        let judge = Judge {
            entries: vec![Some(entry)],
            memory: vec![EntryMemory::default()],
            saw_pause: vec![0],
            denied: vec![None],
            base_of: vec![0],
            ..Judge::default()
        };
        let begun = begun(1, key, now);
        Scene {
            asked: asked(key, Clause::Kill),
            base,
            judge,
            begun,
            limit: Duration::from_secs(75),
        }
    }

    fn rule(&mut self) -> &mut Rule {
        &mut self.entry().rules[0]
    }

    fn entry(&mut self) -> &mut Entry {
        self.judge.entries[0].as_mut().expect("it is configured")
    }

    /// What the judge says of the statement, with its intent.
    fn sends(&mut self) -> Result<(), String> {
        self.judge.begin(WHO, self.begun.clone());
        self.sends_alone()
    }

    fn sends_alone(&mut self) -> Result<(), String> {
        self.looks_again();
        self.sends_after_the_look()
    }

    /// Whoever acts reads the session again.
    fn looks_again(&mut self) {
        let (base, hidden) = (&self.base, None);
        let asking = Asking {
            base,
            own: KEY,
            hidden,
            at_most: i64::MAX,
        };
        self.judge.reads(
            WHO,
            Read::Sessions(&asking, Some((self.begun.key.inst, self.begun.key.sid))),
        );
    }

    fn sends_after_the_look(&mut self) -> Result<(), String> {
        let (judge, base) = (&mut self.judge, &self.base);
        let sends = || judge.sends(WHO, base, &self.asked, self.limit);
        let said = catch_unwind(AssertUnwindSafe(sends));
        said.map_err(|panicked| *panicked.downcast::<String>().expect("a message"))
    }

    /// The statement was answered, and so much later there is another snapshot.
    fn later(&mut self, code: Option<u32>, seconds: i64) {
        self.judge.told(WHO, code);
        self.judge.ended(0, 0, self.base.now);
        self.base.advance(self.base.now + seconds);
        self.begun = Begun {
            cycle: self.begun.cycle + 1,
            ..begun(self.begun.id + 1, self.begun.key, self.base.now)
        };
    }
}

fn begun(id: u64, key: Key, now: i64) -> Begun {
    Begun {
        id,
        key,
        policy: "one".into(),
        order: None,
        enforces: true,
        issued: now,
        asked: now,
        read: now,
        cycle: 0,
        sent: false,
        seen: None,
        there: None,
        gauged: None,
    }
}

fn asked(key: Key, clause: Clause) -> Asked {
    Asked {
        clause,
        seat: (key.inst, key.sid, key.serial),
        sql_id: None,
        by_package: None,
        fence: None,
    }
}

#[test]
fn what_is_right_passes() {
    assert_eq!(Scene::new().sends(), Ok(()));
    let mut ladder = Scene::new();
    assert_eq!(ladder.sends(), Ok(()));
    ladder.later(Some(31), 300);
    ladder.asked.clause = Clause::KillImmediate;
    assert_eq!(ladder.sends(), Ok(()), "the next rung, when it is due");
}

type Wrong = (&'static str, fn(&mut Scene));

/// What is wrong, in the judge's words, and how it comes about.
const WRONGS: &[Wrong] = &[
    ("the database is not armed", |scene| scene.entry().armed = false),
    ("a policy that rehearses", |scene| scene.rule().enforces = false),
    ("a policy that rehearses", |scene| scene.begun.enforces = false),
    ("it is paused", |scene| scene.judge.paused = true),
    ("its loop has seen a pause", |scene| scene.judge.saw_pause[0] = 1),
    ("fenced by lock None, and configured is Some(7)", |scene| {
        scene.entry().leader = Some(7);
    }),
    ("fenced by lock Some(8), and configured is None", |scene| {
        scene.asked.fence = Some(8);
    }),
    ("the 2th of Some(1) per_hour of its policy", |scene| {
        scene.rule().per_hour = Some(1);
        scene.judge.memory[0].sees_done_by_another("one", scene.begun.read - HOUR + 1);
    }),
    ("the 2th of Some(1) per_hour", |scene| {
        scene.entry().limits.per_hour = 1;
        scene.judge.memory[0].sees_done_by_another("two", scene.begun.read);
    }),
    ("in a blackout", |scene| scene.entry().blackout = Some((11, 2))),
    ("in a blackout", |scene| {
        scene.entry().blackout = Some((5, 1));
        scene.judge.host_offset = 17 * HOUR + 10;
    }),
    ("of an entry that is gone", |scene| scene.judge.entries[0] = None),
    ("nobody's policy", |scene| scene.begun.policy = "two".into()),
    ("121 s after its snapshot", |scene| scene.begun.asked -= 121),
    ("it would not wait for its victim", |scene| {
        scene.limit = Duration::from_secs(30)
    }),
    ("another session than its intent", |scene| scene.asked.seat.2 += 1),
    ("not in the way that is configured", |scene| {
        scene.entry().package = true
    }),
    ("another LOGON_TIME", |scene| {
        scene.entry().package = true;
        scene.asked.by_package = Some(scene.begun.key.logon - 1);
    }),
    ("it was not read again, or was gone then", |scene| {
        scene.begun.key.logon -= 1
    }),
    ("a protected session", |scene| {
        let safe = group_named("backup");
        scene.base.sessions.last_mut().expect("somebody").group = Some(safe);
    }),
    ("it is dying already", |scene| {
        scene.base.sessions.last_mut().expect("somebody").mark = Some(DYING)
    }),
    ("the policy does not want it", |scene| {
        scene.base.use_it(scene.begun.key)
    }),
    ("it was used", |scene| scene.rule().hold = 5_000),
    ("its policy begins with", |scene| {
        scene.asked.clause = Clause::KillImmediate
    }),
    ("its snapshot is off schedule", |scene| {
        scene.rule().hours = Some((2, 3))
    }),
    ("the gate was not looked at", |scene| scene.rule().gate = Some(GATE)),
    ("its gate is closed", |scene| {
        scene.rule().gate = Some(GATE);
        scene.begun.gauged = Some([(1, (5, None))].into());
    }),
    ("its gate is closed", |scene| {
        scene.rule().gate = Some(Gate { percent: true, ..GATE });
        scene.begun.gauged = Some([(1, (50, None))].into());
    }),
    ("the floor was not looked at", |scene| scene.rule().keeps = Some(1)),
    ("only 0 of CRM are left", |scene| {
        scene.rule().keeps = Some(1);
        scene.begun.there = Some(vec![(scene.begun.key, "CRM")]);
    }),
    ("per_cycle", |scene| scene.entry().limits.per_cycle = 0),
    ("per_hour", |scene| scene.entry().limits.per_hour = 0),
    ("per_hour beside", |scene| {
        let per_day = None;
        scene.judge.memory[0].shares(Some(OtherBudget { per_hour: 0, per_day }));
    }),
    ("per_day beside", |scene| {
        let per_day = Some(0);
        scene.judge.memory[0].shares(Some(OtherBudget { per_hour: 9, per_day }));
    }),
    ("per_day of its policy", |scene| scene.rule().per_day = Some(0)),
    ("of Some(0) per_day", |scene| scene.entry().limits.per_day = Some(0)),
    ("no statement is named", |scene| {
        (scene.rule().action, scene.asked.clause) = (Clause::CancelSql, Clause::CancelSql);
        scene.rule().wanted = Wanted::Everybody;
        scene.base.sessions.last_mut().expect("somebody").busy = true;
    }),
    ("its schedule is over", |scene| {
        scene.rule().hours = Some((5, 7));
        scene.begun.issued -= 120;
    }),
    ("its instance was not measured", |scene| {
        scene.rule().gate = Some(GATE);
        scene.begun.gauged = Some([(2, (50, None))].into());
    }),
];

const GATE: Gate = Gate {
    above: 10,
    below: None,
    percent: false,
};

const DYING: super::base::Mark = super::base::Mark {
    frees: i64::MAX,
    gone: i64::MAX,
};

#[test]
fn what_is_wrong_is_noticed() {
    for (wrong, makes) in WRONGS {
        let mut scene = Scene::new();
        makes(&mut scene);
        let said = scene.sends().expect_err(wrong);
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
}

#[test]
fn a_statement_without_an_intent_or_a_second_one_is_noticed() {
    let mut scene = Scene::new();
    let said = scene.sends_alone().expect_err("there is no intent");
    assert!(said.contains("without an intent"), "{said}");
    assert_eq!(scene.sends(), Ok(()));
    let said = scene.sends_alone().expect_err("one is enough");
    assert!(said.contains("a second statement"), "{said}");
}

/// A kill had no answer, and a snapshot a minute later shows the session alive. Somebody else marks it before or after the second look.
#[test]
fn what_happens_after_the_second_look_is_not_known() {
    for before in [true, false] {
        let mut scene = Scene::new();
        assert_eq!(scene.sends(), Ok(()));
        scene.later(None, 60);
        scene.judge.begin(WHO, scene.begun.clone());
        let mark = |scene: &mut Scene| scene.base.sessions.last_mut().expect("somebody").mark = Some(DYING);
        if before {
            mark(&mut scene);
        }
        scene.looks_again();
        if !before {
            mark(&mut scene);
        }
        let said = scene.sends_after_the_look();
        match before {
            true => assert!(said.is_err_and(|said| said.contains("again, 60 s after"))),
            false => assert_eq!(said, Ok(())),
        }
    }
}

#[test]
fn whoever_is_met_again_too_soon_or_by_the_wrong_rung_is_noticed() {
    // The answer, how much later, the clause, and what the judge says.
    let wrongs = [
        (Some(31), 299, Clause::KillImmediate, "again, 299 s after"),
        (Some(31), 300, Clause::KillForce, "again, 300 s after"),
        (Some(0), 3_599, Clause::Kill, "again, 3599 s after"),
        (None, 59, Clause::Kill, "again, 59 s after"),
        (None, 60, Clause::KillForce, "its policy begins with"),
        (Some(4_242), 59, Clause::Kill, "again, 59 s after"),
        (Some(29), 59, Clause::Kill, "after it failed"),
        (Some(1_031), 299, Clause::Kill, "after no statement got through"),
        (Some(30), 60, Clause::KillImmediate, "its policy begins with"),
    ];
    for (code, seconds, clause, wrong) in wrongs {
        let mut scene = Scene::new();
        assert_eq!(scene.sends(), Ok(()));
        scene.later(code, seconds);
        scene.asked.clause = clause;
        let said = scene.sends().expect_err(wrong);
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
    // A rung that failed waits, and is the next one all the same.
    for (seconds, said) in [(3_599, Err("after its rung failed")), (3_600, Ok(()))] {
        let mut scene = Scene::new();
        assert_eq!(scene.sends(), Ok(()));
        scene.later(Some(31), 300);
        scene.asked.clause = Clause::KillImmediate;
        assert_eq!(scene.sends(), Ok(()));
        scene.later(Some(26), seconds);
        let sends = scene.sends();
        match said {
            Ok(()) => assert_eq!(sends, Ok(())),
            Err(why) => assert!(sends.as_ref().is_err_and(|said| said.contains(why)), "{sends:?}"),
        }
    }
    // Where nobody knows whether it was taken, it is taken again like a first action: with its gate.
    let mut scene = Scene::new();
    (scene.rule().action, scene.asked.clause) = (Clause::DisconnectImmediate, Clause::DisconnectImmediate);
    scene.rule().escalate = vec![(300, Clause::KillForce)];
    assert_eq!(scene.sends(), Ok(()));
    scene.later(None, 300);
    scene.rule().gate = Some(GATE);
    let said = scene.sends().expect_err("its gate was not looked at");
    assert!(said.contains("the gate was not looked at"), "{said}");
    let mut scene = Scene::new();
    assert_eq!(scene.sends(), Ok(()));
    scene.later(Some(30), 60);
    scene.begun.cycle -= 1;
    let said = scene.sends().expect_err("once a cycle");
    assert!(said.contains("twice in one cycle"), "{said}");
    let mut scene = Scene::new();
    assert_eq!(scene.sends(), Ok(()));
    let said = scene.sends().expect_err("it is under way");
    assert!(said.contains("is under way"), "{said}");
}

impl Scene {
    /// A snapshot so much later, over a session of instance 2 from which instance 1 may be hidden; what the judge says of warrants for
    /// these.
    fn cycle(&mut self, seconds: i64, hidden: Option<u32>, taken: &[Key]) -> Result<(), String> {
        self.cycle_read_in(seconds, 0, hidden, taken)
    }

    /// Likewise, with rows that come so much later than the clock.
    fn cycle_read_in(&mut self, seconds: i64, read_in: i64, hidden: Option<u32>, taken: &[Key]) -> Result<(), String> {
        self.base.advance(self.base.now + seconds);
        let began = (self.base.now, self.base.clock());
        self.base.advance(self.base.now + read_in);
        let (rule, limits) = (self.rule().clone(), self.entry().limits);
        let (base, rules) = (&self.base, [rule]);
        let own = Key { inst: 2, ..KEY };
        let asking = Asking {
            base,
            own,
            hidden,
            at_most: i64::MAX,
        };
        let memory = &mut self.judge.memory[0];
        memory.polls();
        memory.begins(began.0, began.0, began.1);
        memory.looks(&rules, &asking);
        memory.gauges(&asking);
        memory.cycle(0, &rules, 60, &self.judge.sent);
        let taken: Vec<_> = taken.iter().map(|key| ("one".to_owned(), *key, true)).collect();
        memory.check_warrants(&rules, limits.share, &taken)
    }
}

#[test]
fn warrants_that_nothing_justifies_are_noticed() {
    let says = |said: Result<(), String>, wrong: &str| {
        assert!(
            said.as_ref().is_err_and(|said| said.contains(wrong)),
            "{wrong}: {said:?}"
        );
    };
    let mut scene = Scene::new();
    let one = [scene.begun.key];
    assert_eq!(scene.cycle(0, None, &one), Ok(()));
    says(scene.cycle(60, Some(1), &one), "was not shown");

    scene.rule().hold = 120;
    says(scene.cycle(60, None, &one), "has held for");
    assert_eq!(scene.cycle(60, None, &[]), Ok(()));
    assert_eq!(scene.cycle(60, None, &one), Ok(()));
    says(scene.cycle(241, None, &one), "has held for");
    assert_eq!(scene.cycle(120, None, &one), Ok(()));
    scene.base.offset = 4_000;
    says(scene.cycle(60, None, &one), "has held for");
    scene.rule().hold = 0;

    scene.rule().gate = Some(GATE);
    says(scene.cycle(60, None, &one), "the gate of one was closed");
    // Two sessions, the instance's own and this one: one too many, and by one too many.
    let (above, below) = (1, Some(2));
    scene.rule().gate = Some(Gate { above, below, ..GATE });
    assert_eq!(scene.cycle(60, None, &one), Ok(()));
    says(scene.cycle(60, None, &[one[0], KEY]), "where fewer relieve");
    scene.rule().gate = None;

    for _ in 0..6 {
        scene.base.long_there(1, group_named("tools"), 4_000);
    }
    assert_eq!(scene.cycle(60, None, &one), Ok(()), "the limit is 100 %");
    scene.entry().limits.share = 30;
    says(scene.cycle(60, None, &one), "open the breaker");
}

/// The clock of a snapshot is read first. Who has been connected for long enough by the time that the rows come is no candidate yet.
#[test]
fn a_breaker_counts_by_the_clock_of_the_snapshot() {
    for (since, said) in [(571, Ok(())), (601, Err("open the breaker"))] {
        let mut scene = Scene::new();
        let one = [scene.begun.key];
        scene.rule().wanted = Wanted::Everybody;
        scene.entry().limits.share = 30;
        for _ in 0..8 {
            scene.base.log_in(1, Some(group_named("tools")));
        }
        let found = scene.cycle_read_in(since, 30, None, &one);
        match said {
            Ok(()) => assert_eq!(found, Ok(())),
            Err(wrong) => assert!(found.is_err_and(|found| found.contains(wrong))),
        }
    }
}

/// An order to end the session, which its loop has permitted.
fn ordered(scene: &mut Scene) {
    let begun = &mut scene.begun;
    scene.judge.orders = vec![Ordered::new(0, begun.key, Clause::KillImmediate)];
    (begun.policy, begun.order) = (BY_HAND.into(), Some(0));
    scene.asked.clause = Clause::KillImmediate;
    scene.base.use_it(begun.key);
}

#[test]
fn what_is_wrong_with_an_order_is_noticed() {
    let mut scene = Scene::new();
    ordered(&mut scene);
    scene.entry().rules.clear();
    assert_eq!(scene.sends(), Ok(()), "no policy has to want it");
    let said = scene.sends_alone().expect_err("one is enough");
    assert!(said.contains("an order that is over"), "{said}");
    let wrongs: &[Wrong] = &[
        ("the operator meant", |scene| {
            scene.begun.key.logon -= 1;
        }),
        ("its policy begins with KillImmediate", |scene| {
            scene.asked.clause = Clause::Kill
        }),
        ("it is paused", |scene| scene.judge.paused = true),
        ("in a blackout", |scene| scene.entry().blackout = Some((11, 2))),
        ("the database is not armed", |scene| scene.entry().armed = false),
        ("a protected session", |scene| {
            scene.base.sessions.last_mut().expect("somebody").group = Some(group_named("exempt"));
        }),
        ("it is dying already", |scene| {
            scene.base.sessions.last_mut().expect("somebody").mark = Some(DYING);
        }),
        ("per_hour", |scene| scene.entry().limits.per_hour = 0),
        ("an order that is over", |scene| {
            let nothing = serde_json::Value::Null;
            assert!(scene.judge.told_of_order(0, "refused", &nothing, &scene.base));
        }),
    ];
    for (wrong, makes) in wrongs {
        let mut scene = Scene::new();
        ordered(&mut scene);
        makes(&mut scene);
        let said = scene.sends().expect_err(wrong);
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
    // It counts for the budget of everybody.
    let mut scene = Scene::new();
    let policy = scene.begun.clone();
    ordered(&mut scene);
    assert_eq!(scene.sends(), Ok(()));
    scene.later(Some(31), 3_599);
    scene.base.long_there(1, group_named("tools"), 4_000);
    let key = scene.base.sessions.last().expect("somebody").key;
    scene.begun = Begun {
        key,
        policy: policy.policy,
        order: None,
        ..scene.begun
    };
    scene.asked = asked(key, Clause::Kill);
    scene.entry().limits.per_hour = 1;
    let said = scene.sends().expect_err("the order was the first");
    assert!(said.contains("the 2th of Some(1) per_hour"), "{said}");
}

#[test]
fn a_password_that_is_tried_too_often_is_noticed() {
    let tried = |service, account, password| TriedLogin {
        service,
        account,
        password,
    };
    let begins = |accounts: &mut Accounts, one, wrong: Option<&str>| match (accounts.begins(one), wrong) {
        (Ok(is_known), None) => {
            let accepted = accounts.answers(one);
            accounts.ends(one, is_known);
            assert_eq!(accepted, one.password == 0);
        }
        (said, wrong) => {
            let said = said.expect_err("it is wrong");
            assert!(wrong.is_some_and(|wrong| said.contains(wrong)), "{wrong:?}: {said}");
        }
    };
    let mut accounts = Accounts::default();
    begins(&mut accounts, tried(0, 0, 0), None);
    begins(&mut accounts, tried(0, 0, 7), None);
    begins(&mut accounts, tried(0, 0, 7), Some("is tried again"));
    begins(&mut accounts, tried(0, 0, 8), None);
    begins(&mut accounts, tried(1, 0, 8), None);
    begins(&mut accounts, tried(2, 0, 8), None);
    begins(&mut accounts, tried(3, 0, 8), Some("one account refuses"));
    begins(&mut accounts, tried(3, 1, 8), None);
    assert_eq!(accounts.begins(tried(4, 0, 9)), Ok(false));
    begins(&mut accounts, tried(4, 0, 9), Some("two attempts at a time"));
    // One that was accepted before may be tried beside one of which nobody knows, whichever begins first.
    begins(&mut accounts, tried(5, 2, 0), None);
    assert_eq!(accounts.begins(tried(5, 2, 0)), Ok(true));
    assert_eq!(accounts.begins(tried(5, 2, 9)), Ok(false));
    assert_eq!(accounts.begins(tried(5, 2, 0)), Ok(true));
    begins(&mut accounts, tried(5, 2, 8), Some("two attempts at a time"));
    accounts.ends(tried(5, 2, 9), false);
    begins(&mut accounts, tried(5, 2, 8), None);
}

#[test]
fn clients_that_came_back_too_often_are_to_be_left_alone() {
    let mut scene = Scene::new();
    scene.rule().respawns = Some(1);
    for cycle in 0..3 {
        scene.base.long_there(1, group_named("tools"), 4_000);
        let key = scene.base.sessions.last().expect("somebody").key;
        scene.asked = asked(key, Clause::Kill);
        scene.begun = Begun {
            cycle,
            ..begun(10, key, scene.base.now)
        };
        assert_eq!(scene.sends(), Ok(()), "after {cycle} cycles");
        scene.later(Some(0), 0);
        scene.base.log_off(key);
        scene.base.advance(scene.base.now + 30);
        scene.base.log_in(1, Some(group_named("tools")));
        assert_eq!(scene.cycle(30, None, &[]), Ok(()));
    }
    scene.base.long_there(1, group_named("tools"), 4_000);
    let key = scene.base.sessions.last().expect("somebody").key;
    scene.asked = asked(key, Clause::Kill);
    scene.begun = Begun {
        cycle: 9,
        ..begun(20, key, scene.base.now)
    };
    let said = scene.sends().expect_err("they came back each time");
    assert!(said.contains("they came back after 3 cycles"), "{said}");
}
