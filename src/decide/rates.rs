//! What sessions use in a minute: the counters of V$SESSTAT, compared over the last snapshots.
//!
//! A counter says what a session has used since its logon, and one snapshot has one value of it. So the values of the last minute are
//! kept, by the whole key of the session, and a rate is the difference over the time between. What is not known to be a rate is
//! unknown: a session that was not seen ten seconds before, or that is not the one that was; a counter that fell; a snapshot that
//! was missed; a clock that was set. The re-check compares a session's counters with the same values, so it needs no second look.
//!
//! Samples are a quarter of a minute apart, and none is older than the newest one that is a minute old. So a session has at most six,
//! whatever the poll interval, and only while a policy asks for a rate.

use std::collections::HashMap;

use crate::session::SessionKey;
use crate::session::column::{Column, Columns, Source};
use crate::session::snapshot::Snapshot;

/// The time in seconds that a rate is over, where there are samples for it.
const WINDOW: i64 = 60;
/// The time between two samples.
const APART: i64 = 15;
/// The shortest time that a rate can be over: SYSDATE has whole seconds.
const SHORTEST: i64 = 10;
/// The longest: what was used in a longer time says nothing of the last minute.
const LONGEST: i64 = 600;
/// The most samples of a session: one that is a minute old, and the quarters since.
const MOST_SAMPLES: usize = 6;

/// The rates, with what each is computed from.
const RATES: [(Column, Column); 3] = [
    (Column::CpuRate, Column::Cpu),
    (Column::ReadsRate, Column::PhysicalReads),
    (Column::RedoRate, Column::Redo),
];

/// The counters of a session at one time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// By the database's clock, in UTC.
    at: i64,
    counters: [Option<i64>; RATES.len()],
}

/// The counters of the sessions in the last snapshots of one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    /// Oldest first; never empty.
    seen: HashMap<SessionKey, Vec<Sample>>,
}

/// The columns with those that rates are computed from.
#[must_use]
pub(crate) fn with_counters(mut columns: Columns) -> Columns {
    for (rate, counter) in RATES {
        if columns.contains(rate) {
            columns.insert(counter);
        }
    }
    columns
}

impl Rates {
    /// Adds the rates among `wanted` to a snapshot, as far as they are known.
    pub(crate) fn add_to(&self, snapshot: &mut Snapshot, wanted: Columns) {
        let Some(now) = time_of(snapshot).filter(|_| !self.seen.is_empty()) else {
            return;
        };
        for (at, (rate, counter)) in RATES.into_iter().enumerate() {
            if wanted.contains(rate) && snapshot.has(counter) {
                snapshot.compute(rate, |snapshot, row| {
                    let samples = self.seen.get(&snapshot.key(row)?)?;
                    rate_of(samples, at, now, snapshot.number(row, counter)?)
                });
            }
        }
    }

    /// What is known after a snapshot. Only its sessions are: one that it does not show is not known to be the same one later.
    #[must_use]
    pub(crate) fn after(&self, snapshot: &Snapshot, wanted: Columns) -> Rates {
        let mut seen = HashMap::new();
        if let Some(at) = time_of(snapshot).filter(|_| wanted.needs(Source::Rate)) {
            for row in 0..snapshot.rows() {
                let counters = RATES.map(|(_, counter)| snapshot.number(row, counter));
                if let Some(key) = snapshot.key(row).filter(|_| counters.iter().any(Option::is_some)) {
                    let before = self.seen.get(&key).map_or(&[][..], Vec::as_slice);
                    seen.insert(key, continued(before, Sample { at, counters }));
                }
            }
        }
        Rates { seen }
    }
}

fn time_of(snapshot: &Snapshot) -> Option<i64> {
    Some(snapshot.utc()?.timestamp())
}

/// The samples of a session after one more.
fn continued(before: &[Sample], new: Sample) -> Vec<Sample> {
    let fell = |last: &Sample| {
        let pairs = last.counters.iter().zip(&new.counters);
        last.at > new.at || pairs.into_iter().any(|(before, now)| now < before)
    };
    if before.last().is_none_or(fell) {
        return vec![new];
    }
    // The newest one that is a minute old, and all since.
    let first = before
        .iter()
        .rposition(|sample| new.at - sample.at >= WINDOW)
        .unwrap_or(0);
    let mut samples = before[first..].to_vec();
    if samples.last().is_some_and(|last| new.at - last.at >= APART) {
        samples.push(new);
    }
    assert!(samples.len() <= MOST_SAMPLES, "a minute has four quarters");
    samples
}

/// What a counter grew by in a second, over the last minute or the time since the first sample.
fn rate_of(samples: &[Sample], counter: usize, now: i64, value: i64) -> Option<i64> {
    let last = samples.last()?;
    let base = samples.iter().rfind(|sample| now - sample.at >= WINDOW);
    let base = base.or_else(|| samples.first())?;
    let elapsed = now - base.at;
    let grown = value.checked_sub(base.counters[counter]?)?;
    let is_a_rate = (SHORTEST..=LONGEST).contains(&elapsed) && value >= last.counters[counter]?;
    (is_a_rate && grown >= 0).then(|| grown / elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::evaluate::evaluate;
    use crate::decide::evaluate::truth::Truth;
    use crate::session::snapshot::{Cell, Instance, SnapshotClock, SnapshotSource, StatisticsRow};
    use crate::session::time::DbTime;

    /// Sessions by SID and SERIAL#, each with its CPU in hundredths of a second.
    fn snapshot(at: i64, of: &[(i64, i64, Option<i64>)]) -> Snapshot {
        let read = [Column::InstId, Column::Sid, Column::Serial, Column::LogonTime];
        let mut builder = Snapshot::builder(SnapshotSource::Live, &read);
        for (sid, serial, _) in of {
            let numbers = [1, *sid, *serial].map(Cell::Number);
            let cells: Vec<Cell<'_>> = numbers.into_iter().chain([Cell::Time(DbTime(0))]).collect();
            builder.push_row(&cells).expect("few rows");
        }
        let clock = SnapshotClock {
            now: DbTime(at),
            utc_offset: 0,
        };
        let instance = Instance {
            inst_id: 1,
            name: "prod1".into(),
            complete: true,
        };
        let mut joining = builder.finish(Some(clock), vec![instance]);
        let rows = of.iter().map(|(sid, _, cpu)| StatisticsRow {
            inst_id: 1,
            sid: u32::try_from(*sid).expect("small"),
            cpu: *cpu,
            logical_reads: None,
            physical_reads: cpu.map(|cpu| cpu * 10),
            redo: None,
        });
        joining.join_statistics(&rows.collect::<Vec<_>>());
        joining.finish(Columns::NONE)
    }

    fn wanted() -> Columns {
        [Column::CpuRate, Column::ReadsRate, Column::RedoRate]
            .into_iter()
            .collect()
    }

    type Seen<'a> = (i64, &'a [(i64, i64, Option<i64>)]);

    /// The last snapshot with its rates, and what is known after it.
    fn after(seen: &[Seen<'_>]) -> (Snapshot, Rates) {
        let mut rates = Rates::default();
        let mut last = snapshot(0, &[]);
        for (at, of) in seen {
            last = snapshot(*at, of);
            rates.add_to(&mut last, wanted());
            rates = rates.after(&last, wanted());
        }
        (last, rates)
    }

    fn cpu(seen: &[Seen<'_>]) -> Option<i64> {
        after(seen).0.number(0, Column::CpuRate)
    }

    fn one(cpu: i64) -> [(i64, i64, Option<i64>); 1] {
        [(1, 1, Some(cpu))]
    }

    #[test]
    fn a_rate_is_what_grew_in_the_last_minute() {
        // Ten seconds of CPU in twenty: half a core.
        assert_eq!(cpu(&[(0, &one(500)), (20, &one(1500))]), Some(50));
        // What it did before the last minute does not count: 3000 hundredths then, 600 in the minute.
        let seen: [Seen<'_>; 4] = [(0, &one(0)), (60, &one(3000)), (90, &one(3300)), (120, &one(3600))];
        assert_eq!(cpu(&seen), Some(10));
        let (last, _) = after(&[(0, &one(500)), (20, &one(1500))]);
        assert_eq!(last.number(0, Column::ReadsRate), Some(500));
        assert_eq!(last.number(0, Column::RedoRate), None, "of which nothing was read");
    }

    #[test]
    fn what_is_not_known_to_be_a_rate_is_unknown() {
        let two = |(at, other): Seen<'_>| cpu(&[(0, &one(500)), (at, other)]);
        assert!(
            !after(&[(0, &one(500))]).0.has(Column::CpuRate),
            "one snapshot is not two"
        );
        assert_eq!(two((10, &one(600))), Some(10));
        assert_eq!(two((9, &one(600))), None, "too short");
        assert_eq!(two((600, &one(600))), Some(0));
        assert_eq!(two((601, &one(600))), None, "too long");
        assert_eq!(two((60, &one(499))), None, "it fell");
        assert_eq!(two((60, &one(500))), Some(0), "it did not");
        assert_eq!(two((60, &[(1, 2, Some(900))])), None, "another SERIAL#");
        assert_eq!(two((60, &[(2, 1, Some(900))])), None, "another session");
        assert_eq!(two((60, &[(1, 1, None)])), None, "no value");
        assert_eq!(two((-60, &one(900))), None, "a clock that went back");
        assert_eq!(
            cpu(&[(0, &one(500)), (20, &[]), (40, &one(900))]),
            None,
            "not seen in between"
        );
        assert_eq!(
            cpu(&[(0, &one(500)), (20, &one(400)), (40, &one(600))]),
            Some(10),
            "since it fell"
        );
        assert_eq!(cpu(&[(0, &[(1, 1, None)]), (20, &one(400)), (40, &one(600))]), Some(10));
    }

    #[test]
    fn no_condition_is_true_of_a_rate_that_is_unknown() {
        let seen: [Seen<'_>; 2] = [
            (0, &[(1, 1, Some(0)), (2, 1, Some(0))]),
            (60, &[(1, 1, Some(600)), (2, 2, Some(600))]),
        ];
        let (last, _) = after(&seen);
        let (first, _) = after(&seen[..1]);
        let forms = [
            ("cpu_rate > 5%", Truth::True),
            ("not cpu_rate > 5%", Truth::False),
            ("cpu_rate < 11", Truth::True),
            ("cpu_rate is null", Truth::False),
            ("not cpu_rate is null", Truth::True),
            ("cpu_rate is not null", Truth::True),
            ("cpu_rate not between 1 and 20", Truth::False),
            ("cpu_rate in (10)", Truth::True),
        ];
        for (text, known) in forms {
            let condition = crate::policy::check_condition(text).expect(text);
            let truths = evaluate(&condition, &last);
            assert_eq!([truths.get(0), truths.get(1)], [known, Truth::Unknown], "{text}");
            assert_eq!(
                evaluate(&condition, &first).get(0),
                Truth::Unknown,
                "{text}, of one snapshot"
            );
        }
    }

    #[test]
    fn a_session_that_is_read_again_is_compared_with_the_same_samples() {
        let (_, rates) = after(&[(0, &one(0)), (60, &one(600))]);
        let again = |at, serial, cpu| {
            let mut again = snapshot(at, &[(1, serial, Some(cpu))]);
            rates.add_to(&mut again, wanted());
            again.number(0, Column::CpuRate)
        };
        assert_eq!(again(61, 1, 610), Some(10));
        assert_eq!(again(61, 2, 610), None, "somebody else took its seat");
        assert_eq!(again(61, 1, 599), None, "it fell since the snapshot");
    }

    #[test]
    fn however_often_it_is_asked_a_session_has_few_samples() {
        for every in [1, 2, 7, 14, 15, 16, 30, 59, 60, 61, 300] {
            let mut rates = Rates::default();
            for number in 0..400 {
                let mut last = snapshot(number * every, &one(number * every * 50));
                rates.add_to(&mut last, wanted());
                if number * every >= 2 * WINDOW && every <= LONGEST {
                    assert_eq!(last.number(0, Column::CpuRate), Some(50), "every {every}s");
                }
                rates = rates.after(&last, wanted());
                assert!(rates.seen.values().all(|samples| samples.len() <= MOST_SAMPLES));
            }
            assert!(rates.after(&snapshot(0, &[]), wanted()).seen.is_empty());
            assert!(
                rates
                    .after(&snapshot(9_999_999, &one(1)), Columns::NONE)
                    .seen
                    .is_empty()
            );
        }
    }
}
