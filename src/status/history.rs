//! How many user sessions an instance had, minute by minute, over the last hour.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use crate::event::{SessionCount, StatusLabel, TypeLabel};

/// How many minutes are kept.
pub(crate) const MINUTES: usize = 60;

/// The user sessions of a database by instance. A minute without a snapshot is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionHistory(BTreeMap<u32, VecDeque<SessionMinute>>);

/// The newest snapshot of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionMinute {
    /// The minute since 1970.
    pub(crate) minute: i64,
    /// Sessions that are ACTIVE.
    pub(crate) active: usize,
    /// Sessions that are INACTIVE, SNIPED or CACHED.
    pub(crate) idle: usize,
    /// Sessions that are KILLED.
    pub(crate) killed: usize,
}

impl SessionMinute {
    /// All user sessions.
    pub(crate) const fn all(&self) -> usize {
        self.active + self.idle + self.killed
    }
}

impl SessionHistory {
    /// Takes note of a snapshot.
    pub(crate) fn record(&mut self, counts: &[SessionCount], at: DateTime<Utc>) {
        let minute = at.timestamp().div_euclid(60);
        let mut now: BTreeMap<u32, SessionMinute> = BTreeMap::new();
        for count in counts {
            let of_instance = now.entry(count.inst_id).or_insert(SessionMinute {
                minute,
                active: 0,
                idle: 0,
                killed: 0,
            });
            if count.session_type != TypeLabel::User {
                continue;
            }
            match count.status {
                StatusLabel::Active => of_instance.active += count.count,
                StatusLabel::Inactive | StatusLabel::Sniped | StatusLabel::Cached | StatusLabel::Other => {
                    of_instance.idle += count.count;
                }
                StatusLabel::Killed => of_instance.killed += count.count,
            }
        }
        for (inst_id, newest) in now {
            let minutes = self.0.entry(inst_id).or_default();
            if minutes.back().is_some_and(|last| last.minute >= minute) {
                // A clock that was set back must not leave minutes of the future behind.
                minutes.retain(|known| known.minute < minute);
            }
            minutes.push_back(newest);
        }
        let oldest = minute - MINUTES as i64;
        for minutes in self.0.values_mut() {
            minutes.retain(|known| known.minute > oldest);
        }
        self.0.retain(|_, minutes| !minutes.is_empty());
    }

    /// The minutes of an instance, oldest first.
    pub(crate) fn of(&self, inst_id: u32) -> impl Iterator<Item = &SessionMinute> {
        self.0.get(&inst_id).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(inst_id: u32, active: usize) -> Vec<SessionCount> {
        let count = |session_type, status, count| SessionCount {
            inst_id,
            session_type,
            status,
            count,
        };
        vec![
            count(TypeLabel::User, StatusLabel::Active, active),
            count(TypeLabel::User, StatusLabel::Sniped, 3),
            count(TypeLabel::Background, StatusLabel::Active, 70),
        ]
    }

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60 + 59, 0).expect("a time")
    }

    #[test]
    fn an_hour_is_kept_with_one_snapshot_a_minute() {
        let mut history = SessionHistory::default();
        for minute in 0..100 {
            history.record(&counts(1, 1), at(1000 + minute));
            history.record(&counts(1, 7), at(1000 + minute));
        }
        let kept: Vec<&SessionMinute> = history.of(1).collect();
        assert_eq!((kept.len(), kept[0].minute, kept[59].minute), (60, 1040, 1099));
        assert!(
            kept.iter()
                .all(|minute| (minute.active, minute.idle, minute.all()) == (7, 3, 10))
        );
        // An instance that is silent for an hour is forgotten.
        history.record(&counts(2, 1), at(1200));
        assert_eq!((history.of(1).count(), history.of(2).count()), (0, 1));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_minute_of_the_future() {
        let mut history = SessionHistory::default();
        history.record(&counts(1, 1), at(1000));
        history.record(&counts(1, 1), at(1010));
        history.record(&counts(1, 2), at(1005));
        let minutes: Vec<i64> = history.of(1).map(|minute| minute.minute).collect();
        assert_eq!(minutes, [1000, 1005]);
    }
}
