//! Pressure: how many are taken so that a resource recovers, counted one by one.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta};
use orareaper::columns_needed;
use orareaper::decide::cycle::{CycleInput, Done, Memory, cycle, remember};
use orareaper::decide::in_force::EffectiveLimits;
use orareaper::decide::outcome::Outcome;
use orareaper::decide::pressure::{Reading, Readings};
use orareaper::decide::reason::Verdict;
use orareaper::policy::check_files;
use orareaper::policy::model::Limits;
use orareaper::policy::pressure::Resource;
use orareaper::session::column::Column;
use orareaper::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock, SnapshotSource};
use orareaper::session::time::DbTime;
use proptest::prelude::*;

use super::world::{START, facts, in_force};

const COLUMNS: [Column; 11] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Type,
    Column::Username,
    Column::Program,
    Column::Status,
    Column::LastCallEt,
    Column::Taddr,
    Column::Server,
];

/// Idle sessions with these SIDs on one instance.
fn snapshot(sids: impl Iterator<Item = i64>, at: i64, set: &orareaper::policy::model::PolicySet) -> Snapshot {
    let mut builder = Snapshot::builder(SnapshotSource::Live, &COLUMNS);
    for sid in sids {
        let text = Cell::Text;
        let identity = [
            Cell::Number(1),
            Cell::Number(sid),
            Cell::Number(1),
            Cell::Time(DbTime(0)),
        ];
        let rest = [
            text("USER"),
            text("APP"),
            text("app@web01"),
            text("INACTIVE"),
            Cell::Number(7200),
        ];
        let row: Vec<Cell<'_>> = identity
            .into_iter()
            .chain(rest)
            .chain([Cell::Null, text("DEDICATED")])
            .collect();
        builder.push_row(&row).expect("few rows");
    }
    let instance = Instance {
        inst_id: 1,
        name: "inst1".into(),
        complete: true,
    };
    let clock = SnapshotClock {
        now: DbTime(at),
        utc_offset: 0,
    };
    builder
        .finish(Some(clock), vec![instance])
        .finish(columns_needed::columns(set))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Once begun, as many as bring the resource below the threshold and not one more, over two snapshots: in the second the
    /// first ones are still there, accepted but not gone, and as many others came as the reading says.
    #[test]
    fn as_many_as_needed_and_no_more(
        limit in 20_i64..300, used_percent in 50_i64..120, begin in 40_i64..90, lower in 1_i64..40,
        idle in 0_i64..40, per_cycle in 1_u32..60, more in 0_i64..10, armed in any::<bool>(),
    ) {
        let end = begin - lower;
        let text = format!(
            "policies: [{{name: short, mode: enforce, while: sessions above {begin}%, until: sessions below {end}%, \
             when: INACTIVE longer than 1h, limits: {{share: 100%}}, action: kill}}]"
        );
        let today = NaiveDate::from_ymd_opt(2027, 1, 15).expect("a day");
        let loaded = check_files(&[("short.yaml".into(), text.into_bytes())], today, chrono_tz::UTC);
        let set = Arc::new(loaded.set.expect("a policy"));
        let limits = EffectiveLimits {
            per_cycle, per_hour: 1000, share: 100, ..EffectiveLimits::of(&Limits::default())
        };
        let ((rules, here), facts, mut memory) = (in_force(&set, limits, armed, false), facts(), Memory::default());
        let mut used = limit * used_percent / 100;
        let (mut taken, mut begun) = (0, false);
        for (number, at) in [START, START + 10].into_iter().enumerate() {
            used += if number == 1 { more } else { 0 };
            let now = DateTime::from_timestamp(at, 0).expect("in range");
            let terms = CycleInput {
                rules: &rules, here: &here, facts: &facts, now, unbroken: number > 0,
                read_in: TimeDelta::zero(), standstill: None, assume_held: false,
            };
            let mut readings = Readings::default();
            readings.set(1, Resource::Sessions, Reading { used, limit: Some(limit) });
            let cycle = cycle(&mut memory, &snapshot(1..=idle, at, &set), readings, &terms);
            begun = if begun { used * 100 >= end * limit } else { used * 100 > begin * limit };
            // One by one, until the estimate is below the threshold or no session is left that may be taken.
            let mut expected = 0;
            while begun && taken + expected < idle && expected < i64::from(per_cycle)
                && (used - taken - expected) * 100 >= end * limit
            {
                expected += 1;
            }
            let acts = cycle.ruling.decisions.iter().filter(|decision| decision.verdict() == Verdict::Act).count();
            prop_assert_eq!(acts as i64, expected, "snapshot {}, {} of {}", number, used, limit);
            for (id, warrant) in cycle.ruling.warrants.iter().enumerate() {
                let outcome = if armed { Outcome::Marked } else { Outcome::Assumed };
                remember(&mut memory, Done::of(warrant, id as u64, outcome, None));
            }
            taken += expected;
        }
    }
}
