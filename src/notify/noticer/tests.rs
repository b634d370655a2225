//! Events in, notices out; and who is told of which.

use glob::Pattern;

use super::*;
use crate::config::notify::NoticeFilter;
use crate::decide::refill::Ended;
use crate::decide::verify::{FollowState, Followed};
use crate::event::{Evidence, InForceReport, LoadedPolicy};
use crate::policy::model::{KillClause, Selector};
use crate::session::SessionKey;
use crate::session::time::DbTime;

const KILL: crate::policy::model::Action = crate::policy::model::Action::Kill {
    clause: KillClause::Immediate,
};

pub(crate) const KEY: SessionKey = SessionKey {
    inst_id: 1,
    sid: 287,
    serial: 62507,
    logon_time: DbTime(1_795_712_400),
};

pub(crate) fn at() -> DateTime<Utc> {
    "2026-11-27T10:00:00Z".parse().expect("a time")
}

pub(crate) fn noticer(dry_run: bool) -> Noticer {
    Noticer::new("dba1".into(), dry_run)
}

/// A kill of a session with this program.
pub(crate) fn intent(mode: RunMode, program: &str) -> Arc<Intent> {
    Arc::new(Intent {
        id: 412,
        database: "prod".into(),
        place: None,
        identity: None,
        key: KEY,
        policy: "idle-application-sessions".into(),
        policy_digest: "ab12".into(),
        mode,
        action: KILL,
        username: Some("SHOP".into()),
        program: Some(program.to_owned()),
        machine: Some("web01".into()),
        operator: None,
        reason: "INACTIVE for 5h 12m, longer than 4h".into(),
        statement: Some("ALTER SYSTEM KILL SESSION '287,62507,@1' IMMEDIATE".into()),
        taken_at: at(),
        waited: std::time::Duration::ZERO,
        session: Evidence::default(),
    })
}

pub(crate) fn outcomed(intent: &Arc<Intent>, outcome: Outcome) -> Outcomed {
    Outcomed {
        code: Some(31),
        message: Some("session marked for kill".into()),
        ..Outcomed::untold(intent, outcome, "")
    }
}

fn verified(mode: RunMode, action_id: u64, proof: Proof) -> Event {
    Event::Verification {
        database: "prod".into(),
        verification: Verification {
            key: KEY,
            followed: Followed {
                action_id,
                policy: "idle-application-sessions".into(),
                action: KILL,
                mode,
                since: at(),
                sql_exec: None,
                accepted: true,
                certain: true,
                was_killed: false,
                state: FollowState::Waiting,
            },
            proof,
        },
    }
}

fn loaded(mode: RunMode) -> Event {
    Event::Policies(PolicyLoad::Loaded(InForceReport {
        databases: vec![LoadedDatabase {
            database: "prod".into(),
            place: "here".into(),
            driver: "thin",
            armed: true,
            poll: std::time::Duration::from_secs(15),
            labels: Labels::from([("env".into(), "live".into())]),
            policies: vec![LoadedPolicy {
                policy: "idle".into(),
                mode,
                actions: vec![KILL],
            }],
        }],
        ..InForceReport::default()
    }))
}

fn suspended() -> Event {
    Event::GroupSuspended {
        database: "prod".into(),
        policy: "idle".into(),
        who: ClientGroup {
            username: Some("SHOP".into()),
            program: Some("java".into()),
            machine: Some("web#".into()),
        },
        reason: "it came back 3 times".into(),
    }
}

fn down() -> Event {
    Event::DatabaseDown {
        database: "prod".into(),
        error: "no listener".into(),
    }
}

fn up() -> Event {
    Event::DatabaseUp {
        database: "prod".into(),
        instances: Vec::new(),
        release: "19.24.0.0.0".into(),
    }
}

fn acting(open: &[bool]) -> Event {
    Event::Acting {
        database: "prod".into(),
        connections: open.iter().map(|open| (Some(1), *open)).collect(),
        hanging: 0,
    }
}

/// One event of each kind that a receiver may choose.
pub(crate) fn each_kind(mode: RunMode) -> Vec<Event> {
    let intent = intent(mode, "java");
    let ended = Ended {
        action_id: 412,
        policy: "idle".into(),
        mode,
        key: KEY,
        who: ClientGroup::default(),
        at: at(),
    };
    vec![
        Event::Started {
            version: "0.1.0",
            dry_run: false,
        },
        loaded(mode),
        Event::Intent(Arc::clone(&intent)),
        Event::Outcome(outcomed(&intent, Outcome::Marked)),
        verified(mode, 412, Proof::Gone),
        Event::BreakerOpened {
            database: "prod".into(),
            policy: "idle".into(),
            mode,
            reason: "40 of 100".into(),
        },
        Event::CameBack {
            database: "prod".into(),
            back: Return {
                ended,
                key: KEY,
                at: at(),
            },
        },
        suspended(),
        down(),
        acting(&[true]),
        acting(&[false]),
        Event::Paused {
            by: "maria".into(),
            reason: "month end".into(),
            trouble: false,
        },
        Event::JournalFails {
            error: "no space".into(),
        },
        Event::Policies(PolicyLoad::Failed { error: "line 3".into() }),
        Event::ExemptionEnds(ExemptionEnd {
            owner: "maria".into(),
            reason: "month end".into(),
            last_day: at().date_naive(),
            origin: "policies/exemptions.yaml:3".into(),
        }),
    ]
}

/// The notices of these events, one after the other.
pub(crate) fn told(noticer: &mut Noticer, events: &[Event]) -> Vec<Notice> {
    events.iter().filter_map(|event| noticer.notice(event, at())).collect()
}

#[test]
fn every_kind_that_can_be_chosen_has_an_event() {
    let mut kinds: Vec<NoticeKind> = told(&mut noticer(false), &each_kind(RunMode::Enforce))
        .iter()
        .map(|notice| notice.kind)
        .collect();
    kinds.sort();
    let mut selectable: Vec<NoticeKind> = NoticeKind::ALL
        .into_iter()
        .filter(|kind| kind.is_selectable())
        .collect();
    selectable.sort();
    assert_eq!(kinds, selectable);
}

#[test]
fn a_kill_is_told_before_after_and_when_the_session_is_gone() {
    let mut noticer = noticer(false);
    let intent = intent(RunMode::Enforce, "java");
    let events = [
        Event::Intent(Arc::clone(&intent)),
        Event::Outcome(outcomed(&intent, Outcome::Marked)),
        verified(RunMode::Enforce, 412, Proof::Lingers),
        verified(RunMode::Enforce, 412, Proof::Gone),
        verified(RunMode::Enforce, 411, Proof::Gone),
    ];
    let told = told(&mut noticer, &events);
    let titles: Vec<&str> = told.iter().map(|notice| notice.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "prod: about to act on session 287,62507,@1 (kill immediate)",
            "prod: kill immediate of session 287,62507,@1: marked",
            "prod: session 287,62507,@1 lingers: it is still there a minute after the action",
            "prod: session 287,62507,@1 is gone",
            "prod: session 287,62507,@1 is gone",
        ]
    );
    let severities: Vec<NoticeSeverity> = told.iter().map(|notice| notice.severity).collect();
    let (info, warning) = (NoticeSeverity::Info, NoticeSeverity::Warning);
    assert_eq!(severities, [info, info, warning, info, info]);
    let program = |notice: &Notice| notice.session.as_ref().and_then(|session| session.program.clone());
    assert_eq!(program(&told[3]).as_deref(), Some("java"), "who it was is remembered");
    assert_eq!(program(&told[4]), None, "of another action nothing is known");
    assert_eq!(told[1].action.as_ref().and_then(|action| action.code), Some(31));
}

#[test]
fn a_dry_run_says_so_in_every_message() {
    for (daemon, mode) in [(true, RunMode::Enforce), (false, RunMode::DryRun)] {
        for notice in told(&mut noticer(daemon), &each_kind(mode)) {
            let of_policy = notice.policy.is_some();
            assert_eq!(notice.dry_run, daemon || of_policy, "{notice:?}");
            assert_eq!(
                notice.headline().starts_with("[dry run] "),
                notice.dry_run,
                "{notice:?}"
            );
        }
    }
    for notice in told(&mut noticer(false), &each_kind(RunMode::Enforce)) {
        assert!(!notice.dry_run, "{notice:?}");
    }
}

#[test]
fn an_end_is_told_only_of_what_has_begun_and_is_as_urgent() {
    let resumed = || Event::Resumed { by: "maria".into() };
    let ends = [
        up(),
        acting(&[true]),
        acting(&[false]),
        resumed(),
        loaded(RunMode::Enforce),
    ];
    let mut fresh = noticer(false);
    let first: Vec<Notice> = told(&mut fresh, &ends[..2]);
    assert_eq!(first, [], "neither was said to be otherwise");
    assert_eq!(
        told(&mut fresh, &[acting(&[true]), resumed(), loaded(RunMode::Enforce)]),
        []
    );
    // Connections that were never complete are being made.
    assert_eq!(told(&mut noticer(false), &[acting(&[false]), acting(&[true])]), []);
    let mut noticer = noticer(false);
    let pairs = [
        (vec![down()], up()),
        (vec![acting(&[true]), acting(&[false])], acting(&[true])),
        (
            vec![Event::Paused {
                by: "maria".into(),
                reason: String::new(),
                trouble: false,
            }],
            resumed(),
        ),
        (
            vec![Event::Policies(PolicyLoad::Failed { error: "x".into() })],
            loaded(RunMode::Enforce),
        ),
    ];
    for (begins, ends) in pairs {
        let begun = told(&mut noticer, &begins);
        let ended = told(&mut noticer, &[ends]);
        let ([begun], [ended]) = (begun.as_slice(), ended.as_slice()) else {
            panic!("one each: {begun:?} {ended:?}")
        };
        assert_eq!((begun.phase, ended.phase), (NoticePhase::Begins, NoticePhase::Ends));
        assert_eq!((begun.kind, begun.severity), (ended.kind, ended.severity));
    }
}

#[test]
fn what_somebody_has_to_look_at_is_a_warning() {
    let mut noticer = noticer(false);
    let intent = intent(RunMode::Enforce, "java");
    let is_warning = |notice: &Notice| notice.severity == NoticeSeverity::Warning;
    let warned: Vec<Outcome> = Outcome::ALL
        .into_iter()
        .filter(|outcome| is_warning(&told(&mut noticer, &[Event::Outcome(outcomed(&intent, *outcome))])[0]))
        .collect();
    assert_eq!(
        warned,
        [
            Outcome::Unchecked,
            Outcome::Refused,
            Outcome::Unsupported,
            Outcome::Failed,
            Outcome::Unknown
        ]
    );
}

#[test]
fn a_filter_passes_what_is_of_its_kind_severity_database_policy_and_owner() {
    let all = || NoticeFilter {
        events: NoticeKind::ALL.to_vec(),
        severity: NoticeSeverity::Info,
        databases: Vec::new(),
        policies: Vec::new(),
        owners: Vec::new(),
    };
    let glob = |text: &str| Pattern::new(text).expect("a pattern");
    let mut noticer = noticer(false);
    let notices = told(&mut noticer, &each_kind(RunMode::Enforce));
    let labels = noticer.labels(Some("prod"));
    let passing = |filter: &NoticeFilter| {
        let passing = notices.iter().filter(|notice| notice.passes(filter, &labels));
        passing.map(|notice| notice.kind.name()).collect::<Vec<_>>().join(" ")
    };
    let everything =
        "daemon intent outcome verification breaker refill suspension database acting pause journal reload exemption";
    assert_eq!(passing(&all()), everything);
    for (selector, expected) in [
        (Selector::Name(glob("prod")), everything),
        (Selector::Label("env".into(), glob("li*")), everything),
        // What is of no database may concern each of them.
        (Selector::Name(glob("crm")), "daemon pause journal reload exemption"),
        (
            Selector::Label("env".into(), glob("test")),
            "daemon pause journal reload exemption",
        ),
    ] {
        let filter = NoticeFilter {
            databases: vec![selector],
            ..all()
        };
        assert_eq!(passing(&filter), expected);
    }
    let filter = NoticeFilter {
        policies: vec![glob("idle-*")],
        ..all()
    };
    assert_eq!(
        passing(&filter),
        "daemon intent outcome verification database acting pause journal reload exemption"
    );
    let filter = NoticeFilter {
        owners: vec![glob("tom")],
        ..all()
    };
    assert_eq!(passing(&filter), everything.trim_end_matches(" exemption"));
    let filter = NoticeFilter {
        severity: NoticeSeverity::Critical,
        ..all()
    };
    assert_eq!(passing(&filter), "database journal");
    let filter = NoticeFilter {
        events: vec![NoticeKind::Pause],
        ..all()
    };
    assert_eq!(passing(&filter), "pause");
    // What a receiver did not get one by one, and a test, pass any filter.
    let counted = Noticer::collected((&"h".into(), false), at(), Vec::new());
    assert!(counted.passes(&filter, &labels) && Noticer::test("h".into(), at()).passes(&filter, &labels));
}
