//! Schedules against croner, another implementation of crontab, over years of instants in four time zones.
//!
//! On every day on which the clock does not change, both must name the same instants. The days on which it does are listed
//! here one by one, with what crontab does (cronie's rule) as the expectation, whatever croner does.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use chrono::{DateTime, Datelike as _, Duration, NaiveDate, TimeZone as _, Utc};
use chrono_tz::Tz;
use orareaper::policy::schedule::Schedule;

const PATTERNS: [&str; 18] = [
    "* 7-19 * * MON-FRI",
    "30 2 * * *",
    "15 2 * * *",
    "0 3 * * *",
    "*/20 2 * * *",
    "45 1 * * *",
    "30 * * * *",
    "0 0 1 * *",
    "0 0 13 * FRI",
    "5 4 1,15 * MON",
    "0 12 * JAN,JUL 1-5",
    "10-50/20 0-6/2 * * *",
    "0 22 31 * *",
    "0 6 29 2 *",
    "59 23 * * 0",
    "59 23 * * 7",
    "0 9 8-14 * *",
    "@daily",
];

const ZONES: [Tz; 4] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
];

type ByDay = BTreeMap<NaiveDate, Vec<DateTime<Utc>>>;

fn by_day(zone: Tz, instants: impl Iterator<Item = DateTime<Utc>>) -> ByDay {
    let mut days = ByDay::new();
    for at in instants {
        days.entry(at.with_timezone(&zone).date_naive()).or_default().push(at);
    }
    days
}

fn ours(pattern: &str, zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> ByDay {
    let schedule = Schedule::parse(pattern, zone).expect(pattern);
    let next = |at: &DateTime<Utc>| schedule.next(*at).filter(|next| *next < until);
    by_day(zone, std::iter::successors(next(&from), next))
}

fn croner(pattern: &str, zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> ByDay {
    let cron = croner::Cron::from_str(pattern).expect(pattern);
    let next = |at: &DateTime<Utc>| {
        let local = at.with_timezone(&zone);
        let next = cron.find_next_occurrence(&local, false).ok()?.to_utc();
        (next < until).then_some(next)
    };
    by_day(zone, std::iter::successors(next(&from), next))
}

/// The local days on which the zone's offset is not the same at both ends.
fn changes(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> BTreeSet<NaiveDate> {
    let offset = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let mut days = BTreeSet::new();
    let mut at = from;
    while at < until {
        if offset(at) != offset(at + Duration::minutes(30)) {
            days.insert((at + Duration::minutes(30)).with_timezone(&zone).date_naive());
        }
        at += Duration::minutes(30);
    }
    days
}

#[test]
fn on_ordinary_days_crontab_and_croner_agree() {
    let from = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    let until = Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0).unwrap();
    let mut compared = 0;
    for zone in ZONES {
        let changes = changes(zone, from, until);
        // Two a year, but none in UTC.
        assert_eq!(changes.len(), if zone == Tz::UTC { 0 } else { 8 }, "{zone}");
        for pattern in PATTERNS {
            // A pattern of every minute is compared over two months only, to keep the test short.
            let until = if pattern.starts_with("* ") {
                from + Duration::days(366)
            } else {
                until
            };
            let (ours, theirs) = (ours(pattern, zone, from, until), croner(pattern, zone, from, until));
            let days: BTreeSet<&NaiveDate> = ours.keys().chain(theirs.keys()).collect();
            assert!(!days.is_empty());
            for day in days {
                if !changes.contains(day) {
                    assert_eq!(ours.get(day), theirs.get(day), "{pattern} in {zone} on {day}");
                    compared += ours.get(day).map_or(0, Vec::len);
                }
            }
        }
    }
    assert!(compared > 200_000, "only {compared} instants were compared");
}

/// The local times at which a pattern happens on a day on which the clock changes.
fn on(pattern: &str, zone: Tz, day: (i32, u32, u32)) -> Vec<String> {
    let date = NaiveDate::from_ymd_opt(day.0, day.1, day.2).expect("a date");
    let from = zone
        .from_local_datetime(&date.and_hms_opt(0, 0, 0).expect("midnight"))
        .earliest()
        .expect("midnight exists")
        .to_utc()
        - Duration::seconds(1);
    ours(pattern, zone, from, from + Duration::hours(8))
        .into_iter()
        .filter(|(found, _)| found.day() == date.day())
        .flat_map(|(_, instants)| instants)
        .map(|at| at.with_timezone(&zone).format("%H:%M%:z").to_string())
        .collect()
}

#[test]
fn when_clocks_go_forward_a_fixed_time_happens_at_the_end_of_the_gap() {
    // 02:00 becomes 03:00.
    let (berlin, new_york) = (Tz::Europe__Berlin, Tz::America__New_York);
    for (year, month, day) in [(2026, 3, 29), (2027, 3, 28), (2028, 3, 26), (2029, 3, 25)] {
        assert_eq!(on("30 2 * * *", berlin, (year, month, day)), ["03:00+02:00"]);
        assert_eq!(on("15 2 * * *", berlin, (year, month, day)), ["03:00+02:00"]);
        assert_eq!(on("0 3 * * *", berlin, (year, month, day)), ["03:00+02:00"]);
        assert_eq!(on("45 1 * * *", berlin, (year, month, day)), ["01:45+01:00"]);
        assert_eq!(on("*/20 2 * * *", berlin, (year, month, day)), Vec::<String>::new());
    }
    for (year, month, day) in [(2026, 3, 8), (2027, 3, 14), (2028, 3, 12), (2029, 3, 11)] {
        assert_eq!(on("30 2 * * *", new_york, (year, month, day)), ["03:00-04:00"]);
        assert_eq!(on("0 3 * * *", new_york, (year, month, day)), ["03:00-04:00"]);
        assert_eq!(on("45 1 * * *", new_york, (year, month, day)), ["01:45-05:00"]);
    }
    // 02:00 becomes 02:30.
    for (year, month, day) in [(2026, 10, 4), (2027, 10, 3), (2028, 10, 1), (2029, 10, 7)] {
        let island = Tz::Australia__Lord_Howe;
        assert_eq!(on("15 2 * * *", island, (year, month, day)), ["02:30+11:00"]);
        assert_eq!(on("30 2 * * *", island, (year, month, day)), ["02:30+11:00"]);
        assert_eq!(on("*/20 2 * * *", island, (year, month, day)), ["02:40+11:00"]);
    }
}

#[test]
fn when_clocks_go_back_a_fixed_time_happens_once() {
    // 03:00 becomes 02:00.
    let berlin = Tz::Europe__Berlin;
    for (year, month, day) in [(2026, 10, 25), (2027, 10, 31), (2028, 10, 29), (2029, 10, 28)] {
        assert_eq!(on("30 2 * * *", berlin, (year, month, day)), ["02:30+02:00"]);
        assert_eq!(on("0 3 * * *", berlin, (year, month, day)), ["03:00+01:00"]);
        assert_eq!(
            on("*/20 2 * * *", berlin, (year, month, day)),
            [
                "02:00+02:00",
                "02:20+02:00",
                "02:40+02:00",
                "02:00+01:00",
                "02:20+01:00",
                "02:40+01:00"
            ]
        );
    }
    // 02:00 becomes 01:00.
    for (year, month, day) in [(2026, 11, 1), (2027, 11, 7), (2028, 11, 5), (2029, 11, 4)] {
        assert_eq!(
            on("45 1 * * *", Tz::America__New_York, (year, month, day)),
            ["01:45-04:00"]
        );
        assert_eq!(
            on("30 2 * * *", Tz::America__New_York, (year, month, day)),
            ["02:30-05:00"]
        );
    }
    // 02:00 becomes 01:30.
    for (year, month, day) in [(2026, 4, 5), (2027, 4, 4), (2028, 4, 2), (2029, 4, 1)] {
        let island = Tz::Australia__Lord_Howe;
        assert_eq!(on("45 1 * * *", island, (year, month, day)), ["01:45+11:00"]);
        let half_hours = on("30 * * * *", island, (year, month, day));
        assert_eq!(
            half_hours[..4],
            ["00:30+11:00", "01:30+11:00", "01:30+10:30", "02:30+10:30"]
        );
    }
}
