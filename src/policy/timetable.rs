//! When a policy is in force: its schedules, and the days from which and until which it runs at all.
//!
//! A policy has one time zone for both, its own or else the database's. A day is the calendar's day in that zone, so nothing here
//! depends on when a day begins: where clocks change at midnight, a day has 23 hours, or 25, and is one day.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::policy::schedule::Schedule;

/// The schedules and days of a policy.
#[derive(Clone, Debug, Default)]
pub struct Timetable {
    /// When it may act; one of them is enough. None: at every snapshot.
    pub(crate) schedules: Vec<Schedule>,
    /// The first day on which it runs.
    pub(crate) from: Option<NaiveDate>,
    /// The last day on which it runs.
    pub(crate) until: Option<NaiveDate>,
    /// Its time zone; `None` is the database's.
    pub(crate) zone: Option<Tz>,
}

/// Why a policy does not run on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutsideDates {
    /// It begins later.
    Before(NaiveDate),
    /// This was its last day.
    After(NaiveDate),
}

impl Timetable {
    /// The same on a database with this time zone, unless it has one of its own.
    #[must_use]
    pub(crate) fn in_zone(&self, database: Tz) -> Timetable {
        let zone = self.zone.unwrap_or(database);
        Timetable {
            schedules: self.schedules.iter().map(|schedule| schedule.in_zone(zone)).collect(),
            zone: Some(zone),
            ..self.clone()
        }
    }

    /// Whether it may act in a snapshot that covers the time after one instant and up to the other.
    #[must_use]
    pub(crate) fn due(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        self.schedules.is_empty() || self.schedules.iter().any(|schedule| schedule.due(after, until))
    }

    /// Whether it is in force at any time.
    #[must_use]
    pub(crate) fn is_always(&self) -> bool {
        self.schedules.is_empty() && self.from.or(self.until).is_none()
    }

    /// Why it does not run at a time, if so.
    #[must_use]
    pub(crate) fn outside(&self, now: DateTime<Utc>) -> Option<OutsideDates> {
        let day = now.with_timezone(&self.zone.unwrap_or(Tz::UTC)).date_naive();
        let before = self.from.filter(|from| day < *from).map(OutsideDates::Before);
        before.or_else(|| self.until.filter(|until| day > *until).map(OutsideDates::After))
    }

    /// Its schedules as they are written.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let texts: Vec<&str> = self.schedules.iter().map(|schedule| schedule.text.as_str()).collect();
        texts.join("` or `")
    }
}

impl fmt::Display for OutsideDates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutsideDates::Before(from) => write!(f, "its first day is {from}"),
            OutsideDates::After(until) => write!(f, "its last day was {until}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    fn table(schedules: &[&str], (from, until): (&str, &str), zone: Option<Tz>) -> Timetable {
        let day = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a day"));
        Timetable {
            schedules: schedules
                .iter()
                .map(|text| Schedule::parse(text, Tz::UTC).expect(text))
                .collect(),
            from: day(from),
            until: day(until),
            zone,
        }
    }

    #[test]
    fn one_of_several_schedules_is_enough_and_all_are_in_one_zone() {
        let berlin = Some(Tz::Europe__Berlin);
        let hours = table(&["* 7-19 * * MON-FRI", "* 9-11 * * SAT"], ("", ""), berlin).in_zone(Tz::Asia__Tokyo);
        let due = |text: &str| hours.due(at(text) - chrono::TimeDelta::seconds(60), at(text));
        // Berlin is an hour ahead in winter: Friday 18:30Z is 19:30 there, 19:30Z is 20:30.
        assert!(due("2026-11-27T18:30:00Z") && !due("2026-11-27T19:30:00Z"));
        assert!(due("2026-11-28T08:30:00Z") && !due("2026-11-28T07:30:00Z") && !due("2026-11-28T11:30:00Z"));
        assert!(!due("2026-11-29T09:30:00Z"), "a Sunday");
        assert!(table(&[], ("", ""), None).due(at("2026-11-29T09:30:00Z"), at("2026-11-29T09:30:00Z")));
        assert_eq!(hours.text(), "* 7-19 * * MON-FRI` or `* 9-11 * * SAT");
    }

    #[test]
    fn both_days_belong_to_it_whole() {
        let days = table(&[], ("2026-12-01", "2026-12-31"), Some(Tz::Europe__Berlin)).in_zone(Tz::UTC);
        let outside = |text: &str| days.outside(at(text)).map(|why| why.to_string());
        assert_eq!(
            outside("2026-11-30T22:59:59Z").as_deref(),
            Some("its first day is 2026-12-01")
        );
        assert_eq!(outside("2026-11-30T23:00:00Z"), None);
        assert_eq!(outside("2026-12-31T22:59:59Z"), None);
        assert_eq!(
            outside("2026-12-31T23:00:00Z").as_deref(),
            Some("its last day was 2026-12-31")
        );
    }

    /// 2026: Berlin goes forward on 29 March at 01:00Z and back on 25 October at 01:00Z. In Santiago clocks go forward at midnight
    /// on 6 September (04:00Z), so that day begins at 01:00.
    #[test]
    fn a_day_on_which_clocks_change_is_one_day() {
        let within = |day: &str, zone: Tz, text: &str| {
            let only = table(&[], (day, day), Some(zone)).in_zone(Tz::UTC);
            only.outside(at(text)).is_none()
        };
        let berlin = Tz::Europe__Berlin;
        // 23 hours, from 23:00Z to 22:00Z.
        assert!(!within("2026-03-29", berlin, "2026-03-28T22:59:59Z"));
        assert!(within("2026-03-29", berlin, "2026-03-28T23:00:00Z"));
        assert!(within("2026-03-29", berlin, "2026-03-29T21:59:59Z"));
        assert!(!within("2026-03-29", berlin, "2026-03-29T22:00:00Z"));
        // 25 hours, from 22:00Z to 23:00Z.
        assert!(!within("2026-10-25", berlin, "2026-10-24T21:59:59Z"));
        assert!(within("2026-10-25", berlin, "2026-10-24T22:00:00Z"));
        assert!(within("2026-10-25", berlin, "2026-10-25T22:59:59Z"));
        assert!(!within("2026-10-25", berlin, "2026-10-25T23:00:00Z"));
        let santiago = Tz::America__Santiago;
        assert!(!within("2026-09-06", santiago, "2026-09-06T03:59:59Z"));
        assert!(within("2026-09-06", santiago, "2026-09-06T04:00:00Z"));
        assert!(within("2026-09-06", santiago, "2026-09-07T02:59:59Z"));
        assert!(!within("2026-09-06", santiago, "2026-09-07T03:00:00Z"));
    }
}
