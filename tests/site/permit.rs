//! A statement of any words, for tests of what carries statements: a warrant gives it, as nothing else can.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use orareaper::decide::cycle::{CycleInput, Memory, cycle};
use orareaper::decide::guard::{LastStep, Statement, Wording};
use orareaper::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits};
use orareaper::decide::pressure::Readings;
use orareaper::decide::protect::ProtectionFacts;
use orareaper::policy::check_files;
use orareaper::policy::model::Limits;
use orareaper::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock, SnapshotSource};
use orareaper::session::time::DbTime;

const POLICY: &str =
    "policies: [{name: all, mode: enforce, when: username = SHOP, limits: {share: 100%}, action: kill}]";

/// One session of SHOP, which nothing protects.
fn one_session() -> Snapshot {
    use orareaper::session::column::Column::{InstId, LogonTime, Program, Serial, Sid, Status, Taddr, Type, Username};
    let columns = [InstId, Sid, Serial, LogonTime, Type, Username, Program, Status, Taddr];
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    let text = Cell::Text;
    let numbers = [1, 10, 7].map(Cell::Number).into_iter();
    let row = numbers.chain([
        Cell::Time(DbTime(0)),
        text("USER"),
        text("SHOP"),
        text("app@web01"),
        text("INACTIVE"),
        Cell::Null,
    ]);
    builder.push_row(&row.collect::<Vec<_>>()).expect("one row");
    let instance = Instance {
        inst_id: 1,
        name: "prod1".into(),
        complete: true,
    };
    let clock = SnapshotClock {
        now: DbTime(60),
        utc_offset: 0,
    };
    let wanted = columns.into_iter().collect();
    builder.finish(Some(clock), vec![instance]).finish(wanted)
}

/// In these words.
pub(crate) fn permitted(text: &str) -> Statement {
    permitted_as(Wording::Statement(text.to_owned()))
}

/// A call that answers in two placeholders of its own.
pub(crate) fn permitted_call(text: &str) -> Statement {
    permitted_as(Wording::Call(text.to_owned()))
}

fn permitted_as(wording: Wording) -> Statement {
    let loaded = check_files(&[("all.yaml".into(), POLICY.into())], NaiveDate::MIN, chrono_tz::UTC);
    let limits = EffectiveLimits::of(&Limits::default());
    let set = Arc::new(loaded.set.expect("a policy"));
    let rules = DatabaseRules::of_policy_test("prod", Arming::Armed, limits, chrono_tz::UTC, set);
    let facts = ProtectionFacts {
        own_username: "REAPER".into(),
        ..ProtectionFacts::default()
    };
    let terms = CycleInput {
        rules: &rules,
        here: &rules.configured(Due::Always),
        facts: &facts,
        now: DateTime::from_timestamp(60, 0).expect("in range"),
        unbroken: false,
        read_in: chrono::TimeDelta::zero(),
        standstill: None,
        assume_held: false,
    };
    let decided = cycle(&mut Memory::default(), &one_session(), Readings::default(), &terms);
    let mut warrants = decided.ruling.warrants.into_iter();
    let mut warrant = warrants.next().expect("nothing is in the way");
    match warrant.last_step(Some(wording)) {
        LastStep::Send(statement) => statement,
        other @ (LastStep::Report | LastStep::Assume(_)) => panic!("the policy enforces: {other:?}"),
    }
}
