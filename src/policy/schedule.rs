//! When a policy is evaluated: crontab's five fields in a time zone, with crontab's meaning.
//!
//! The `cron` crate finds the next matching wall-clock time. In everything else it differs from crontab: its Sunday is 1, it
//! needs a field for seconds, it requires day of month *and* day of week to match, it loses runs when clocks go forward, and
//! it repeats runs out of order when they go back. So this module reads the fields itself, gives the crate wall-clock times
//! without a zone, and then applies the zone as cronie does:
//!
//! - If neither day of month nor day of week begins with `*`, a day that matches either of them matches.
//! - A schedule whose minute or hour begins with `*` follows the wall clock: skipped minutes are skipped, repeated minutes
//!   are repeated.
//! - Every other schedule runs once for each matching time, whatever the clock does: a time that is skipped in spring runs at
//!   the end of the gap, and a time that is repeated in autumn runs only the first time.

use std::fmt::Write as _;
use std::ops::Range;
use std::str::FromStr as _;

use chrono::{DateTime, Datelike as _, Duration, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::yaml::diagnostics::{did_you_mean, quoted};

/// The longest clock change, apart from islands that crossed the date line.
const LONGEST_CHANGE_HOURS: i64 = 4;

/// The most wall-clock times that are tried to find the next run; a repeated hour has 60.
const MOST_TRIES: usize = 2_000;

/// A crontab expression in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The schedule as written.
    pub(crate) text: String,
    zone: Tz,
    /// A wall-clock time matches if it matches any of these. They run in UTC, which here means "without a zone".
    engines: Vec<cron::Schedule>,
    /// The values behind the engines: minutes and hours, and days, months and weekdays of each engine.
    times: (FieldValues, FieldValues),
    days: Vec<[FieldValues; 3]>,
    /// Whether the schedule follows the wall clock through clock changes.
    wildcard: bool,
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    /// The wrong part, in bytes of the text.
    pub(crate) at: Range<usize>,
    /// What is wrong: lower case, no full stop.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
}

/// One of the five fields.
struct CronField {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
    /// The value of the first of `names`.
    first_name: u32,
}

const FIELDS: [CronField; 5] = [
    CronField {
        name: "minute",
        low: 0,
        high: 59,
        names: &[],
        first_name: 0,
    },
    CronField {
        name: "hour",
        low: 0,
        high: 23,
        names: &[],
        first_name: 0,
    },
    CronField {
        name: "day of month",
        low: 1,
        high: 31,
        names: &[],
        first_name: 0,
    },
    CronField {
        name: "month",
        low: 1,
        high: 12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        first_name: 1,
    },
    CronField {
        name: "day of week",
        low: 0,
        high: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        first_name: 0,
    },
];

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The values of a field, as a bit set.
type FieldValues = u64;

impl Schedule {
    /// Reads five crontab fields, or a word such as `@daily`.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(text: &str, zone: Tz) -> Result<Schedule, ScheduleError> {
        let written = text.trim();
        if written.starts_with('@') {
            let lower = written.to_ascii_lowercase();
            let Some((_, fields)) = MACROS.iter().find(|(name, _)| *name == lower) else {
                return Err(ScheduleError {
                    at: 0..text.len(),
                    message: format!("unknown schedule {}", quoted(written)),
                    hint: did_you_mean(&lower, MACROS.map(|(name, _)| name))
                        .or_else(|| Some("write five fields: minute hour day-of-month month day-of-week".to_owned())),
                });
            };
            return Ok(Schedule {
                text: written.to_owned(),
                ..Schedule::of_fields(fields, zone)?
            });
        }
        Schedule::of_fields(text, zone)
    }

    fn of_fields(text: &str, zone: Tz) -> Result<Schedule, ScheduleError> {
        let words = words(text);
        if words.len() != FIELDS.len() {
            return Err(field_count(text, words.len()));
        }
        let mut values = [0; 5];
        for ((field, at), values) in FIELDS.iter().zip(&words).zip(&mut values) {
            *values = field_values(field, text, at)?;
        }
        let starred = |field: usize| text[words[field].clone()].starts_with('*');
        let [minutes, hours, days, months, mut weekdays] = values;
        // Sunday is 0 and 7.
        weekdays = (weekdays | weekdays >> 7) & 0b111_1111;
        let every_day = (1 << 32) - 2;
        let every_weekday = 0b111_1111;
        let either = !starred(2) && !starred(4);
        if !either || weekdays == 0 {
            possible_date(days, months, &words)?;
        }
        let days = if either {
            vec![[days, months, every_weekday], [every_day, months, weekdays]]
        } else {
            vec![[days, months, weekdays]]
        };
        let of_days = days.iter();
        let engines = of_days.map(|[days, months, weekdays]| engine(minutes, hours, *days, *months, *weekdays));
        Ok(Schedule {
            text: text.trim().to_owned(),
            zone,
            engines: engines.collect(),
            times: (minutes, hours),
            days,
            wildcard: starred(0) || starred(1),
        })
    }

    /// The same schedule in another time zone.
    #[must_use]
    pub(crate) fn in_zone(&self, zone: Tz) -> Schedule {
        Schedule { zone, ..self.clone() }
    }

    /// The first run after a time.
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = after.with_timezone(&self.zone).naive_local();
        let change = Duration::hours(LONGEST_CHANGE_HOURS);
        let offset_at = |at: DateTime<Utc>| at.with_timezone(&self.zone).naive_local() - at.naive_utc();
        let steady = offset_at(after - change) == offset_at(after + change);
        let (mut from, horizon) = if steady {
            (wall, wall)
        } else {
            (wall - change, wall + change)
        };
        let mut best: Option<DateTime<Utc>> = None;
        for _ in 0..MOST_TRIES {
            let Some(candidate) = self.next_wall(from) else {
                break;
            };
            let found = self.instants(candidate).into_iter().flatten();
            best = best.into_iter().chain(found.filter(|at| *at > after)).min();
            if best.is_some() && candidate >= horizon {
                break;
            }
            from = candidate;
        }
        best
    }

    /// The longest time between two runs, by the wall clock: clock changes do not count. `None` if it runs once or never.
    #[must_use]
    pub(crate) fn longest_gap(&self) -> Option<Duration> {
        let (minutes, hours) = self.times;
        let of_a_day: Vec<i64> = (0..24 * 60)
            .filter(|minute| hours >> (minute / 60) & 1 == 1 && minutes >> (minute % 60) & 1 == 1)
            .collect();
        let (first, last) = (of_a_day.first()?, of_a_day.last()?);
        let within = of_a_day.windows(2).map(|pair| pair[1] - pair[0]).max();
        // After 28 years without a century between them, dates fall on the same weekdays again.
        let start = NaiveDate::from_ymd_opt(2001, 1, 1)?;
        let dates: Vec<i64> = (0..28 * 366)
            .filter(|day| self.runs_on(start + Duration::days(*day)))
            .collect();
        let between = dates
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) * 24 * 60 - last + first)
            .max();
        Some(Duration::minutes(within.max(Some(between?))?))
    }

    fn runs_on(&self, date: NaiveDate) -> bool {
        let has = |values: FieldValues, value: u32| values >> value & 1 == 1;
        self.days.iter().any(|[days, months, weekdays]| {
            has(*days, date.day())
                && has(*months, date.month())
                && has(*weekdays, date.weekday().num_days_from_sunday())
        })
    }

    /// Whether a run is due after one time and not after the other.
    #[must_use]
    pub(crate) fn due(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        after < until && self.next(after).is_some_and(|next| next <= until)
    }

    /// The first matching wall-clock time after another one, without regard to zones.
    fn next_wall(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        self.engines
            .iter()
            .filter_map(|engine| engine.after(&after.and_utc()).next())
            .map(|next| next.naive_utc())
            .min()
    }

    /// The instants of a wall-clock time: none, one or two.
    fn instants(&self, wall: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        use chrono::offset::LocalResult;
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(only) => [Some(only.to_utc()), None],
            LocalResult::Ambiguous(first, second) if self.wildcard => [Some(first.to_utc()), Some(second.to_utc())],
            LocalResult::Ambiguous(first, _) => [Some(first.to_utc()), None],
            LocalResult::None if self.wildcard => [None, None],
            LocalResult::None => [self.end_of_gap(wall), None],
        }
    }

    /// The end of the gap in which a skipped wall-clock time lies. Clocks change on whole minutes.
    fn end_of_gap(&self, skipped: NaiveDateTime) -> Option<DateTime<Utc>> {
        (1..=36 * 60).find_map(|minutes| {
            let wall = skipped + Duration::minutes(minutes);
            self.zone.from_local_datetime(&wall).earliest().map(|at| at.to_utc())
        })
    }
}

fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        match (character.is_whitespace(), start) {
            (false, None) => start = Some(at),
            (true, Some(begin)) => {
                words.push(begin..at);
                start = None;
            }
            (false, Some(_)) | (true, None) => {}
        }
    }
    words
}

fn field_count(text: &str, count: usize) -> ScheduleError {
    let hint = match count {
        6 | 7 => "crontab has no field for seconds or years: write minute, hour, day of month, month, day of week",
        _ => "write minute, hour, day of month, month, day of week: `* 7-19 * * MON-FRI`",
    };
    ScheduleError {
        at: 0..text.len(),
        message: format!("a schedule has five fields, but this one has {count}"),
        hint: Some(hint.to_owned()),
    }
}

fn field_values(field: &CronField, text: &str, at: &Range<usize>) -> Result<FieldValues, ScheduleError> {
    let mut values = 0;
    let mut start = at.start;
    for item in text[at.clone()].split(',') {
        let place = start..start + item.len();
        values |= item_values(field, item).map_err(|(message, hint)| ScheduleError {
            at: place.clone(),
            message,
            hint,
        })?;
        start = place.end + 1;
    }
    Ok(values)
}

type Wrong = (String, Option<String>);

fn item_values(field: &CronField, item: &str) -> Result<FieldValues, Wrong> {
    let name = field.name;
    if item.is_empty() {
        return Err((format!("a value for the {name} is missing next to a comma"), None));
    }
    let (span, step) = match item.split_once('/') {
        None => (item, None),
        Some((span, step)) => (span, Some(step)),
    };
    let step = match step {
        None => 1,
        Some(step) => match step.parse::<u32>() {
            Ok(step) if (1..=field.high).contains(&step) => step,
            Ok(_) | Err(_) => return Err((format!("{} is not a valid step for the {name}", quoted(step)), None)),
        },
    };
    let (low, high) = if span == "*" {
        (field.low, field.high)
    } else if let Some((low, high)) = span.split_once('-') {
        let (low, high) = (value(field, low, false)?, value(field, high, true)?);
        if low > high {
            let message = format!("the range {} for the {name} runs backwards", quoted(span));
            return Err((message, Some("write two ranges: `22-23,0-5`".to_owned())));
        }
        (low, high)
    } else {
        let only = value(field, span, false)?;
        if step != 1 {
            let message = format!("a step needs a range, but {} is a single {name}", quoted(span));
            return Err((
                message,
                Some(format!("write `{only}-{}/{step}` or `*/{step}`", field.high)),
            ));
        }
        (only, only)
    };
    Ok((low..=high)
        .step_by(step as usize)
        .fold(0, |values, value| values | 1 << value))
}

fn value(field: &CronField, word: &str, ends_range: bool) -> Result<u32, Wrong> {
    if let Some(at) = field.names.iter().position(|name| name.eq_ignore_ascii_case(word)) {
        let at = u32::try_from(at).unwrap_or(0) + field.first_name;
        // In SAT-SUN, the Sunday is the one after the Saturday.
        return Ok(if ends_range && field.high == 7 && at == 0 {
            7
        } else {
            at
        });
    }
    match word.parse::<u32>() {
        Ok(number) if (field.low..=field.high).contains(&number) => Ok(number),
        Ok(_) => Err((
            format!(
                "the {} {} is not between {} and {}",
                field.name,
                quoted(word),
                field.low,
                field.high
            ),
            None,
        )),
        Err(_) => {
            let quartz = word.contains(['?', 'L', 'W', '#']) && field.name.starts_with("day");
            let hint = if quartz {
                Some("`?`, `L`, `W` and `#` are Quartz syntax, not crontab; write `*`".to_owned())
            } else {
                did_you_mean(word, field.names.iter().copied())
                    .or_else(|| (!field.names.is_empty()).then(|| format!("the names are {}", field.names.join(", "))))
            };
            Err((format!("{} is not a {}", quoted(word), field.name), hint))
        }
    }
}

/// Refuses dates that do not exist, such as 30 February.
fn possible_date(days: FieldValues, months: FieldValues, words: &[Range<usize>]) -> Result<(), ScheduleError> {
    const LONGEST: [u32; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let first_day = days.trailing_zeros();
    let fits = (1..=12).any(|month| months >> month & 1 == 1 && first_day <= LONGEST[month]);
    if fits {
        return Ok(());
    }
    Err(ScheduleError {
        at: words[2].start..words[3].end,
        message: "this date does not exist in any year".to_owned(),
        hint: None,
    })
}

fn engine(
    minutes: FieldValues,
    hours: FieldValues,
    days: FieldValues,
    months: FieldValues,
    weekdays: FieldValues,
) -> cron::Schedule {
    // In the crate, Sunday is 1.
    let fields = [
        (minutes, 0..=59),
        (hours, 0..=23),
        (days, 1..=31),
        (months, 1..=12),
        (weekdays << 1, 1..=7),
    ];
    let mut text = "0".to_owned();
    for (values, range) in fields {
        let listed: Vec<u32> = range.clone().filter(|value| values >> value & 1 == 1).collect();
        if listed.len() == range.count() {
            text.push_str(" *");
            continue;
        }
        for (at, value) in listed.iter().enumerate() {
            write!(text, "{}{value}", if at == 0 { ' ' } else { ',' }).expect("a String takes any text");
        }
    }
    text.push_str(" *");
    cron::Schedule::from_str(&text).expect("lists of values within their ranges are a schedule")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str, zone: Tz, from: &str, until: &str) -> Vec<String> {
        let schedule = Schedule::parse(text, zone).expect(text);
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
        let (mut now, until) = (at(from), at(until));
        let mut runs = Vec::new();
        while let Some(next) = schedule.next(now).filter(|next| *next <= until) {
            assert!(schedule.due(now, next) && !schedule.due(now, next - Duration::seconds(1)));
            runs.push(next.with_timezone(&zone).format("%m-%d %H:%M%:z").to_string());
            now = next;
        }
        runs
    }

    /// The gaps by the definition: from each run to the next, over a year and more.
    #[test]
    fn the_longest_gap_is_that_between_two_runs() {
        for (text, minutes) in [
            ("* * * * *", 1),
            ("*/20 6-22 * * *", 7 * 60 + 20),
            ("0 20 * * FRI", 7 * 24 * 60),
            ("30 1,4 * * *", 22 * 60 + 30 - 90),
            ("* * * * MON-SAT", 24 * 60 + 1),
            ("0 0 1 * *", 31 * 24 * 60),
            ("0 0 1,15 * SUN", 7 * 24 * 60),
            ("@hourly", 60),
        ] {
            let schedule = Schedule::parse(text, Tz::UTC).expect(text);
            let gap = schedule.longest_gap().expect(text);
            assert_eq!(gap, Duration::minutes(minutes), "{text}");
            let start = "2027-01-01T00:00:00Z".parse::<DateTime<Utc>>().expect("an instant");
            let runs = std::iter::successors(schedule.next(start), |run| schedule.next(*run));
            let runs: Vec<DateTime<Utc>> = runs
                .take(2_000)
                .take_while(|run| *run < start + Duration::days(400))
                .collect();
            let found = runs
                .windows(2)
                .map(|pair| pair[1] - pair[0])
                .max()
                .expect("several runs");
            // Runs of every minute are too many to see all of a week.
            assert!(
                found == gap || found < gap && text.starts_with("* *"),
                "{text}: {found}"
            );
        }
        let leap = Schedule::parse("0 0 29 2 *", Tz::UTC).expect("right").longest_gap();
        assert_eq!(leap, Some(Duration::days(4 * 365 + 1)));
    }

    #[test]
    fn day_of_month_or_day_of_week_may_match_if_both_are_given() {
        // June 2026: the 1st is a Monday, the 13th a Saturday, Fridays are 5, 12, 19, 26.
        let june = |text| runs(text, Tz::UTC, "2026-05-31T23:59:00Z", "2026-06-30T23:59:00Z");
        assert_eq!(
            june("0 0 13 * FRI"),
            [
                "06-05 00:00+00:00",
                "06-12 00:00+00:00",
                "06-13 00:00+00:00",
                "06-19 00:00+00:00",
                "06-26 00:00+00:00"
            ]
        );
        // With a field that begins with a star both must match: the odd days that are Mondays.
        assert_eq!(
            june("0 0 */2 * 1"),
            ["06-01 00:00+00:00", "06-15 00:00+00:00", "06-29 00:00+00:00"]
        );
        assert_eq!(june("0 12 14 6 *"), ["06-14 12:00+00:00"]);
        assert_eq!(june("0 0 * 6 7"), june("0 0 * JUN 0"));
        assert_eq!(june("0 0 * * SAT-SUN"), june("0 0 * * 0,6"));
        assert_eq!(june("@weekly"), june("0 0 * * SUN"));
    }

    #[test]
    fn a_time_in_the_gap_of_spring_runs_once_at_its_end() {
        // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00Z.
        let night = |text| runs(text, Tz::Europe__Berlin, "2026-03-28T22:30:00Z", "2026-03-29T03:00:00Z");
        assert_eq!(night("30 2 * * *"), ["03-29 03:00+02:00"]);
        assert_eq!(night("10,20,30 2 * * *"), ["03-29 03:00+02:00"]);
        assert_eq!(night("0 3 * * *"), ["03-29 03:00+02:00"]);
        assert_eq!(night("0 2,3 * * *"), ["03-29 03:00+02:00"]);
        assert_eq!(night("*/20 2 * * *"), Vec::<String>::new());
        assert_eq!(
            night("30 * * * *"),
            [
                "03-29 00:30+01:00",
                "03-29 01:30+01:00",
                "03-29 03:30+02:00",
                "03-29 04:30+02:00"
            ]
        );
        // Lord Howe, 4 October 2026: 02:00 becomes 02:30 at 15:30Z the day before.
        let island = runs(
            "15 2 * * *",
            Tz::Australia__Lord_Howe,
            "2026-10-03T14:00:00Z",
            "2026-10-03T17:00:00Z",
        );
        assert_eq!(island, ["10-04 02:30+11:00"]);
    }

    #[test]
    fn a_repeated_time_in_autumn_runs_once_unless_the_schedule_follows_the_wall_clock() {
        // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00Z.
        let night = |text| runs(text, Tz::Europe__Berlin, "2026-10-24T23:45:00Z", "2026-10-25T02:15:00Z");
        assert_eq!(night("30 2 * * *"), ["10-25 02:30+02:00"]);
        assert_eq!(night("0 3 * * *"), ["10-25 03:00+01:00"]);
        assert_eq!(night("30 * * * *"), ["10-25 02:30+02:00", "10-25 02:30+01:00"]);
        assert_eq!(
            night("*/30 2 * * *"),
            [
                "10-25 02:00+02:00",
                "10-25 02:30+02:00",
                "10-25 02:00+01:00",
                "10-25 02:30+01:00"
            ]
        );
    }

    #[test]
    fn a_wrong_schedule_is_refused_at_the_wrong_part() {
        let cases = [
            ("* * * *", 0, "a schedule has five fields, but this one has 4"),
            ("0 * * * * *", 0, "a schedule has five fields, but this one has 6"),
            ("60 * * * *", 0, "the minute `60` is not between 0 and 59"),
            ("* 7-25 * * *", 2, "the hour `25` is not between 0 and 23"),
            ("* 22-5 * * *", 2, "the range `22-5` for the hour runs backwards"),
            ("* * 0 * *", 4, "the day of month `0` is not between 1 and 31"),
            ("* * * FOO *", 6, "`FOO` is not a month"),
            ("* * * * MON,TUF", 12, "`TUF` is not a day of week"),
            ("* * ? * *", 4, "`?` is not a day of month"),
            ("*/0 * * * *", 0, "`0` is not a valid step for the minute"),
            ("5/10 * * * *", 0, "a step needs a range, but `5` is a single minute"),
            ("0 0 30 FEB *", 4, "this date does not exist in any year"),
            ("1,,2 * * * *", 2, "a value for the minute is missing next to a comma"),
            ("@dayly", 0, "unknown schedule `@dayly`"),
            ("@reboot", 0, "unknown schedule `@reboot`"),
            ("", 0, "a schedule has five fields, but this one has 0"),
        ];
        for (text, at, message) in cases {
            let error = Schedule::parse(text, Tz::UTC).expect_err(text);
            assert_eq!((error.at.start, error.message.as_str()), (at, message), "{text}");
        }
    }

    #[test]
    fn the_next_leap_day_is_found() {
        let schedule = Schedule::parse("0 0 29 2 *", Tz::UTC).expect("a schedule");
        let after = "2026-01-01T00:00:00Z".parse().expect("an instant");
        assert_eq!(
            schedule.next(after).map(|at| at.to_rfc3339()),
            Some("2028-02-29T00:00:00+00:00".into())
        );
    }
}
